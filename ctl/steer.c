/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* steer, packets, drain, undrain: where new connections go, and where packets are handled. */

#include <string.h>

#include "client.h"
#include "cpubalance/policy.h"
#include "json.h"
#include "render.h"

static int say(struct cb_ctl *ctl, sd_bus_message *reply, const char *what, const char *name)
{
	uint32_t plan;
	int r = sd_bus_message_read(reply, "u", &plan);

	if (r < 0)
		return cb_client_broken(ctl, "cannot read the answer of cpubalanced", r);
	if (ctl->json) {
		fprintf(ctl->out, "%u\n", plan);
		return CB_EXIT_OK;
	}
	fprintf(ctl->out, "%s: %s", name, what);
	if (plan != 0)
		fprintf(ctl->out, ", plan %u: watch it with cpubalctl plan", plan);
	fputc('\n', ctl->out);
	return CB_EXIT_OK;
}

static int run_steer(struct cb_ctl *ctl, const struct cb_args *args)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	int code = cb_check_group(ctl, args->word[0]);

	if (code == CB_EXIT_OK)
		code = cb_client_call(ctl, "Steer", CB_CALL_LONG_USEC, &reply, "ss", args->word[0],
				      args->word[1]);
	return code == CB_EXIT_OK ? say(ctl, reply, args->word[1], args->word[0]) : code;
}

const struct cb_verb cb_verb_steer = {
	.name = "steer",
	.arguments = "GROUP HOW",
	.summary = "share out the new connections of a group now",
	.details =
		"HOW is shares for its workers in the order of their numbers, such as 1:2:3:4; "
		"weighted, by the headroom they have; local, where packets arrive; or none, the "
		"kernel's hash. The group has to allow it (Steering=). It is a plan like a move: "
		"journaled, verified, undone when it is shown to hurt.",
	.example = "cpubalctl steer nginx 2:3",
	.min_words = 2,
	.max_words = 2,
	.changes = true,
	.run = run_steer,
};

static int run_packets(struct cb_ctl *ctl, const struct cb_args *args)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	int code = cb_check_group(ctl, args->word[0]);

	if (code == CB_EXIT_OK && args->n > 2)
		code = cb_check_cpus(ctl, "CPUs", args->word[2]);
	if (code == CB_EXIT_OK)
		code = cb_client_call(ctl, "SteerPackets", CB_CALL_LONG_USEC, &reply, "sss",
				      args->word[0], args->word[1],
				      args->n > 2 ? args->word[2] : "");
	return code == CB_EXIT_OK ? say(ctl, reply, args->word[1], args->word[0]) : code;
}

const struct cb_verb cb_verb_packets = {
	.name = "packets",
	.arguments = "GROUP HOW [CPUS]",
	.summary = "steer the packets of a group's interfaces now",
	.details =
		"HOW is rps with CPUs that handle what its interfaces receive; xps, transmit queues "
		"follow their interrupts; both, with CPUs; none, as it was before; or auto, by what "
		"the CPUs have to do, as without any order. The group has to allow it "
		"(PacketSteering=). It is a plan like a move: journaled, verified, undone when it is "
		"shown to hurt.",
	.example = "cpubalctl packets nginx rps 2-5",
	.min_words = 2,
	.max_words = 3,
	.changes = true,
	.run = run_packets,
};

static int drain(struct cb_ctl *ctl, const struct cb_args *args, int wanted, const char *what)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	const char *worker = args->word[args->n - 1];
	char name[CB_NAME_MAX + 16];
	int code = CB_EXIT_OK;

	/* "web 1" as well as "web/1" */
	if (args->n == 2) {
		code = cb_check_group(ctl, args->word[0]);
		snprintf(name, sizeof(name), "%s/%s", args->word[0], args->word[1]);
		if (!strchr(worker, '/'))
			worker = name;
	}
	if (code == CB_EXIT_OK)
		code = cb_client_call(ctl, "Drain", CB_CALL_LONG_USEC, &reply, "sb", worker,
				      wanted);
	return code == CB_EXIT_OK ? say(ctl, reply, what, worker) : code;
}

static int run_drain(struct cb_ctl *ctl, const struct cb_args *args)
{
	return drain(ctl, args, 1, "gets no new connections");
}

static int run_undrain(struct cb_ctl *ctl, const struct cb_args *args)
{
	return drain(ctl, args, 0, "gets new connections again");
}

const struct cb_verb cb_verb_drain = {
	.name = "drain",
	.arguments = "[GROUP] WORKER",
	.summary = "send a worker no new connections",
	.details = "Before maintenance: connections that it has stay. Ends with undrain, with the "
		   "worker, or when its group is released. Its group needs Steering=weighted. "
		   "An order, not a plan to be judged.",
	.example = "cpubalctl drain nginx 3",
	.min_words = 1,
	.max_words = 2,
	.changes = true,
	.run = run_drain,
};

const struct cb_verb cb_verb_undrain = {
	.name = "undrain",
	.arguments = "[GROUP] WORKER",
	.summary = "send it new connections again",
	.example = "cpubalctl undrain nginx 3",
	.min_words = 1,
	.max_words = 2,
	.changes = true,
	.run = run_undrain,
};
