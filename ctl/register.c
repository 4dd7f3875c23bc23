/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * register, unregister. Processes travel as pidfds, opened here: what the caller meant when it
 * named a pid cannot become another process on the way.
 */

#include <errno.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "client.h"
#include "cpubalance/policy.h"
#include "cpubalance/snapshot.h"
#include "json.h"

/*
 * A message bus takes this many descriptors in a message by default; more workers go in several
 * messages.
 */
#define FDS_PER_CALL 16u

enum {
	FLAG_ALLOWED,
	FLAG_MODE,
	FLAG_PLACEMENT,
	FLAG_STEERING,
	FLAG_PACKETS,
	FLAG_PID_FILE,
	FLAG_INTERFACES,
	FLAG_LISTEN,
	FLAG_UNIT,
	FLAG_CGROUP,
	FLAG_PROCESS,
	FLAG_GRANULARITY,
};
static const struct cb_flag flags[] = {
	[FLAG_ALLOWED] = { "--allowed-cpus", "LIST",
			   "CPUs that its workers may be put on, such as 0-15,32" },
	[FLAG_MODE] = { "--mode", "MODE", "auto, advise or observe; else the daemon's own" },
	[FLAG_PLACEMENT] = { "--placement", "HOW",
			     "auto (the widest mask that helps) or core (one CPU each)" },
	[FLAG_STEERING] = { "--steering", "HOW",
			    "new connections: none, local (where their packets arrive) or weighted (by headroom)" },
	[FLAG_PACKETS] = { "--packet-steering", "HOW",
			   "packets of its interfaces: none, rps (received on cool CPUs), xps (sent by near queues) or both" },
	[FLAG_PID_FILE] = { "--pid-file", "FILE",
			    "workers by a file of pids; of a single pid its children too" },
	[FLAG_INTERFACES] = { "--interfaces", "NAMES",
			      "network interfaces that feed it, separated by blanks" },
	[FLAG_LISTEN] = { "--listen", "WHERE",
			  "workers by what they serve: tcp:443, udp:[::]:53, tcp:10.0.0.1:80" },
	[FLAG_UNIT] = { "--unit", "UNIT", "only processes of this unit, nginx.service" },
	[FLAG_CGROUP] = { "--cgroup", "PATH", "only processes in or below this cgroup" },
	[FLAG_PROCESS] = { "--process", "NAME", "only processes with this name or program" },
	[FLAG_GRANULARITY] = { "--granularity", "WHAT",
			       "what one worker is: auto, process or thread" },
	{ NULL, NULL, NULL },
};

/* As the daemon names its options; the same order as the flags. */
static const char *const option_names[] = {
	"AllowedCPUs", "Mode",	 "Placement", "Steering", "PacketSteering", "PIDFile",
	"Interfaces",  "Listen", "Unit",      "Cgroup",	  "Process",	    "Granularity"
};

static bool has_selector(const struct cb_args *args)
{
	return args->flag[FLAG_LISTEN] || args->flag[FLAG_UNIT] || args->flag[FLAG_CGROUP] ||
	       args->flag[FLAG_PROCESS];
}

static int check_selector(const struct cb_ctl *ctl, const struct cb_args *args)
{
	struct cb_selector scratch;
	const char *text = args->flag[FLAG_LISTEN];

	if (text && cb_listen_parse_list(text, scratch.listen, &scratch.n_listen) < 0)
		return cb_ctl_fail(ctl, CB_EXIT_USAGE,
				   "--listen '%s' is not tcp:443, udp:[::]:53 or tcp:10.0.0.1:8080",
				   text);
	text = args->flag[FLAG_UNIT];
	if (text && cb_selector_parse_unit(text, scratch.unit) < 0)
		return cb_ctl_fail(
			ctl, CB_EXIT_USAGE,
			"--unit '%s' is not the full name of a unit such as nginx.service", text);
	text = args->flag[FLAG_CGROUP];
	if (text && cb_selector_parse_cgroup(text, scratch.cgroup) < 0)
		return cb_ctl_fail(
			ctl, CB_EXIT_USAGE,
			"--cgroup '%s' is not a path such as /system.slice/nginx.service", text);
	text = args->flag[FLAG_PROCESS];
	if (text && cb_selector_parse_process(text, scratch.process) < 0)
		return cb_ctl_fail(
			ctl, CB_EXIT_USAGE,
			"--process '%s' is not a name such as nginx, nor an absolute path", text);
	return CB_EXIT_OK;
}

static int check(const struct cb_ctl *ctl, const struct cb_args *args)
{
	const char *placement = args->flag[FLAG_PLACEMENT];
	const char *granularity = args->flag[FLAG_GRANULARITY];
	const char *steering = args->flag[FLAG_STEERING];
	int code = cb_check_group(ctl, args->word[0]);

	if (code == CB_EXIT_OK && args->flag[FLAG_ALLOWED])
		code = cb_check_cpus(ctl, "--allowed-cpus", args->flag[FLAG_ALLOWED]);
	if (code == CB_EXIT_OK && args->flag[FLAG_MODE])
		code = cb_check_mode(ctl, args->flag[FLAG_MODE]);
	if (code != CB_EXIT_OK)
		return code;
	if (placement && strcmp(placement, "auto") != 0 && strcmp(placement, "core") != 0)
		return cb_ctl_fail(ctl, CB_EXIT_USAGE, "--placement '%s' is not auto or core",
				   placement);
	if (granularity && strcmp(granularity, "auto") != 0 &&
	    strcmp(granularity, "process") != 0 && strcmp(granularity, "thread") != 0)
		return cb_ctl_fail(ctl, CB_EXIT_USAGE,
				   "--granularity '%s' is not auto, process or thread",
				   granularity);
	if (steering && cb_steering_from_name(steering) == _CB_STEERING_INVALID)
		return cb_ctl_fail(ctl, CB_EXIT_USAGE,
				   "--steering '%s' is not none, local or weighted", steering);
	if (args->flag[FLAG_PACKETS] &&
	    cb_packets_from_name(args->flag[FLAG_PACKETS]) == _CB_PACKETS_INVALID)
		return cb_ctl_fail(ctl, CB_EXIT_USAGE,
				   "--packet-steering '%s' is not none, rps, xps or both",
				   args->flag[FLAG_PACKETS]);
	if (args->n == 1 && !args->flag[FLAG_PID_FILE] && !has_selector(args))
		return cb_ctl_fail(
			ctl, CB_EXIT_USAGE,
			"name at least one pid, or --listen=tcp:PORT, --unit=, --cgroup=, "
			"--process= or --pid-file=");
	return check_selector(ctl, args);
}

static int open_pid(const struct cb_ctl *ctl, const char *text, int *ret_fd)
{
	uint32_t pid;
	int fd, code = cb_check_u32(ctl, "pid", text, 1, INT_MAX, &pid);

	if (code != CB_EXIT_OK)
		return code;
	fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0u);
	if (fd >= 0) {
		*ret_fd = fd;
		return CB_EXIT_OK;
	}
	switch (errno) {
	case ESRCH:
		return cb_ctl_fail(ctl, CB_EXIT_UNKNOWN, "pid %u: no such process", pid);
	case EINVAL: /* kernels before 6.15; then ENOENT */
	case ENOENT:
		return cb_ctl_fail(ctl, CB_EXIT_UNKNOWN, "pid %u is a thread, not a process", pid);
	default:
		return cb_ctl_fail(ctl, CB_EXIT_FAILED, "pid %u: %s", pid, strerror(errno));
	}
}

static void close_all(int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	free(fds);
}

/* The daemon does not know where the caller stands: a relative path is made absolute here. */
static char *absolute(const char *path)
{
	char *directory, *joined = NULL;

	if (*path == '/')
		return cb_must(strdup(path));
	directory = getcwd(NULL, 0);
	if (asprintf(&joined, "%s/%s", directory ? directory : "", path) < 0)
		cb_must(NULL);
	free(directory);
	return joined;
}

static int append_options(sd_bus_message *call, const struct cb_args *args)
{
	int r = sd_bus_message_open_container(call, 'a', "{sv}");

	for (size_t i = 0; i < CB_ARRAY_SIZE(option_names) && r >= 0; i++) {
		char *path;

		if (!args->flag[i])
			continue;
		path = i == FLAG_PID_FILE ? absolute(args->flag[i]) : NULL;
		r = sd_bus_message_append(call, "{sv}", option_names[i], "s",
					  path ? path : args->flag[i]);
		free(path);
	}
	return r < 0 ? r : sd_bus_message_close_container(call);
}

/* One call with up to FDS_PER_CALL workers. The answer is the group's object path. */
static int send_some(struct cb_ctl *ctl, const struct cb_args *args, const int *fds, size_t n,
		     char **ret_path)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *reply = NULL;
	const char *path = NULL;
	int r, code = cb_client_method(ctl, "Register", &call);

	if (code != CB_EXIT_OK)
		return code;
	r = sd_bus_message_append(call, "s", args->word[0]);
	if (r >= 0)
		r = sd_bus_message_open_container(call, 'a', "h");
	for (size_t i = 0; i < n && r >= 0; i++)
		r = sd_bus_message_append(call, "h", fds[i]);
	if (r >= 0)
		r = sd_bus_message_close_container(call);
	if (r >= 0)
		r = append_options(call, args);
	if (r < 0)
		return cb_client_broken(ctl, "cannot say this on the bus", r);
	code = cb_client_send(ctl, call, CB_CALL_USEC, &reply);
	if (code != CB_EXIT_OK)
		return code;
	r = sd_bus_message_read(reply, "o", &path);
	if (r < 0)
		return cb_client_broken(ctl, "cannot read the answer of cpubalanced", r);
	free(*ret_path);
	*ret_path = cb_must(strdup(path));
	return CB_EXIT_OK;
}

static int send_all(struct cb_ctl *ctl, const struct cb_args *args, const int *fds, size_t n,
		    char **ret_path)
{
	size_t sent = 0;
	int code;

	do {
		size_t some = CB_MIN(n - sent, (size_t)FDS_PER_CALL);

		code = send_some(ctl, args, fds + sent, some, ret_path);
		if (code != CB_EXIT_OK && sent)
			cb_ctl_fail(
				ctl, code,
				"the first %zu of %zu processes are registered, the others are not",
				sent, n);
		sent += some;
	} while (code == CB_EXIT_OK && sent < n);
	return code;
}

/* Whom the daemon has found. */
static int print_found(struct cb_ctl *ctl, const char *group)
{
	struct json_object *workers = NULL;
	int code = cb_client_call_json(ctl, "ListWorkers", CB_CALL_USEC, &workers, "s", group);
	size_t n;

	if (code != CB_EXIT_OK)
		return code;
	n = json_object_array_length(workers);
	fprintf(ctl->out, "%s: %zu worker%s found:", group, n, n == 1 ? "" : "s");
	for (size_t i = 0; i < n; i++) {
		struct json_object *pid = NULL;

		if (json_object_object_get_ex(json_object_array_get_idx(workers, i), "PID", &pid))
			fprintf(ctl->out, " %d", json_object_get_int(pid));
	}
	fputc('\n', ctl->out);
	json_object_put(workers);
	return code;
}

static int run_register(struct cb_ctl *ctl, const struct cb_args *args)
{
	size_t n = args->n - 1;
	int *fds = cb_must(calloc(n + 1, sizeof(*fds))), code = check(ctl, args);
	char *path = NULL;

	for (size_t i = 0; i < n; i++)
		fds[i] = -1;
	for (size_t i = 0; i < n && code == CB_EXIT_OK; i++)
		code = open_pid(ctl, args->word[i + 1], &fds[i]);
	if (code == CB_EXIT_OK)
		code = send_all(ctl, args, fds, n, &path);
	if (code == CB_EXIT_OK && ctl->json) {
		struct json_object *json = cb_must(json_object_new_string(path));

		cb_json_print(ctl->out, json);
		json_object_put(json);
	} else if (code == CB_EXIT_OK) {
		const char *file = args->flag[FLAG_PID_FILE];

		if (n)
			fprintf(ctl->out, "%s: %zu process%s registered\n", args->word[0], n,
				n == 1 ? "" : "es");
		if (file)
			fprintf(ctl->out, "%s: workers by %s\n", args->word[0], file);
		if (has_selector(args) && !n)
			code = print_found(ctl, args->word[0]);
	}
	free(path);
	close_all(fds, n);
	return code;
}

const struct cb_verb cb_verb_register = {
	.name = "register",
	.arguments = "NAME [PID...]",
	.summary = "make processes the workers of group NAME",
	.details = "The group is made when it is new; else the processes are added and "
		   "what the options say is set. Without pids the daemon finds the workers by "
		   "--listen, --unit, --cgroup and --process, and those that come later too; "
		   "of what is given all has to hold.",
	.example = "cpubalctl register nginx --listen=tcp:443 --allowed-cpus=0-7",
	.flags = flags,
	.min_words = 1,
	.max_words = 1 + CB_WORKERS_MAX,
	.changes = true,
	.local = true,
	.run = run_register,
};

static int run_unregister(struct cb_ctl *ctl, const struct cb_args *args)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	int code = cb_check_group(ctl, args->word[0]);

	if (code == CB_EXIT_OK)
		code = cb_client_call(ctl, "Unregister", CB_CALL_LONG_USEC, &reply, "s",
				      args->word[0]);
	if (code == CB_EXIT_OK && ctl->json)
		fputs("null\n", ctl->out);
	else if (code == CB_EXIT_OK)
		fprintf(ctl->out, "%s: released and forgotten\n", args->word[0]);
	return code;
}

const struct cb_verb cb_verb_unregister = {
	.name = "unregister",
	.arguments = "NAME",
	.summary = "put the workers of a group back where they were and forget it",
	.example = "cpubalctl unregister nginx",
	.min_words = 1,
	.max_words = 1,
	.changes = true,
	.run = run_unregister,
};
