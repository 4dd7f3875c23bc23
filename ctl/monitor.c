/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * monitor: one line for each finding and plan as it comes, until interrupted or the daemon leaves.
 */

#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client.h"
#include "json.h"
#include "message_json.h"

static void print_json(struct cb_ctl *ctl, const char *member, struct json_object *args)
{
	struct json_object *line = cb_must(json_object_new_object());

	json_object_object_add(line, "Signal", json_object_new_string(member));
	json_object_object_add(line, "Arguments", json_object_get(args));
	fprintf(ctl->out, "%s\n",
		json_object_to_json_string_ext(line, JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(line);
}

/*
 * Every signal of ours is (kind s, cpu i, group s, worker s, sentence s) or (plan u, [verdict s,] sentence s): the values
 * in order read well, without those that say "none". The sentence names the CPU.
 */
static void print_line(struct cb_ctl *ctl, const char *member, struct json_object *args)
{
	struct cb_buf buf = { 0 };
	char when[32] = "-", *clean;
	struct tm tm;
	time_t now = time(NULL);

	if (localtime_r(&now, &tm))
		strftime(when, sizeof(when), "%H:%M:%S", &tm);
	cb_buf_add(&buf, "%s  %-13s", when, member);
	for (size_t i = 0; i < cb_json_length(args); i++) {
		struct json_object *arg = json_object_array_get_idx(args, i);
		bool is_plan = strncmp(member, "Plan", 4) == 0 && i == 0;
		const char *text = json_object_get_string(arg);

		if (!is_plan && (json_object_is_type(arg, json_type_int) || !text || !*text))
			continue;
		cb_buf_add(&buf, "  %s%s", is_plan ? "#" : "", text ? text : "-");
	}
	clean = cb_text_clean(&ctl->style, buf.text);
	fprintf(ctl->out, "%s\n", clean);
	free(clean);
	cb_buf_done(&buf);
}

static int on_signal(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	struct cb_ctl *ctl = userdata;
	const char *member = sd_bus_message_get_member(message);
	struct json_object *args = NULL;
	int r = cb_message_to_json(message, &args);

	(void)error;
	if (r < 0)
		return 0; /* from another version */
	if (ctl->json)
		print_json(ctl, member, args);
	else
		print_line(ctl, member, args);
	fflush(ctl->out);
	json_object_put(args);
	return 0;
}

static int on_owner(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	const char *name, *before, *after;
	bool *gone = userdata;

	(void)error;
	if (sd_bus_message_read(message, "sss", &name, &before, &after) >= 0 && !*after)
		*gone = true;
	return 0;
}

static int subscribe(struct cb_ctl *ctl, bool *gone)
{
	static const char owner_rule[] =
		"type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',member='NameOwnerChanged',"
		"arg0='" CB_BUS_NAME "'";
	int r;

	r = sd_bus_add_match(ctl->bus, NULL, owner_rule, on_owner, gone);
	if (r >= 0)
		r = sd_bus_match_signal(ctl->bus, NULL, CB_BUS_NAME, CB_BUS_PATH, CB_BUS_MANAGER,
					NULL, on_signal, ctl);
	return r < 0 ? cb_client_broken(ctl, "cannot listen on the bus", r) : CB_EXIT_OK;
}

static int run(struct cb_ctl *ctl, const struct cb_args *args)
{
	struct json_object *manager = NULL;
	bool gone = false;
	int r = 0, code = cb_client_open(ctl);

	(void)args;
	if (code == CB_EXIT_OK)
		code = subscribe(ctl, &gone);
	if (code == CB_EXIT_OK) /* says that there is nobody to listen to */
		code = cb_client_get_all(ctl, CB_BUS_PATH, CB_BUS_MANAGER, false, &manager);
	json_object_put(manager);
	while (code == CB_EXIT_OK && r >= 0 && !gone) {
		r = sd_bus_process(ctl->bus, NULL);
		if (r == 0)
			r = sd_bus_wait(ctl->bus, UINT64_MAX);
		if (r == -EINTR)
			r = 0;
	}
	if (gone)
		return cb_ctl_fail(ctl, CB_EXIT_NO_DAEMON, "cpubalanced has stopped");
	return r < 0 ? cb_client_broken(ctl, "the bus is gone", r) : code;
}

const struct cb_verb cb_verb_monitor = {
	.name = "monitor",
	.arguments = "",
	.summary = "a line for each finding and plan as it comes",
	.details = "Ends with an interrupt, or when the daemon stops (exit code 3). With "
		   "--json: one object a line.",
	.example = "cpubalctl monitor",
	.once = true,
	.run = run,
};
