/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * run and hold: commands that run another command. `run` registers its own process and then becomes the command; `hold`
 * keeps a descriptor of the daemon's for as long as the command runs.
 */

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client.h"

/* As shells have it. */
#define EXIT_CANNOT_RUN 126
#define EXIT_NOT_FOUND	127

enum { FLAG_GROUP, FLAG_ALLOWED, FLAG_MODE };
static const struct cb_flag run_flags[] = {
	[FLAG_GROUP] = { "--group", "NAME", "the group that it is to be a worker of" },
	[FLAG_ALLOWED] = { "--allowed-cpus", "LIST",
			   "CPUs that the group's workers may be put on" },
	[FLAG_MODE] = { "--mode", "MODE", "auto, advise or observe; else the daemon's own" },
	{ NULL, NULL, NULL },
};

static int become(const struct cb_ctl *ctl, const struct cb_args *args)
{
	char **argv = cb_must(calloc(args->n + 1, sizeof(*argv)));

	memcpy(argv, args->word, args->n * sizeof(*argv));
	execvp(argv[0], argv);
	cb_ctl_fail(ctl, CB_EXIT_FAILED, "%s: %s", argv[0], strerror(errno));
	free(argv);
	return errno == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_RUN;
}

/* The daemon knows this process from now on; what it executes stays the same process. */
static int register_self(struct cb_ctl *ctl, const struct cb_args *args)
{
	static const char *const keys[] = { [FLAG_ALLOWED] = "AllowedCPUs", [FLAG_MODE] = "Mode" };
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *reply = NULL;
	int fd, r, code = cb_client_method(ctl, "Register", &call);

	if (code != CB_EXIT_OK)
		return code;
	fd = (int)syscall(SYS_pidfd_open, getpid(), 0u);
	if (fd < 0)
		return cb_ctl_fail(ctl, CB_EXIT_FAILED, "pidfd_open: %s", strerror(errno));
	r = sd_bus_message_append(call, "sah", args->flag[FLAG_GROUP], 1, fd);
	close(fd);
	if (r >= 0)
		r = sd_bus_message_open_container(call, 'a', "{sv}");
	for (int i = FLAG_ALLOWED; i <= FLAG_MODE && r >= 0; i++)
		if (args->flag[i])
			r = sd_bus_message_append(call, "{sv}", keys[i], "s", args->flag[i]);
	if (r >= 0)
		r = sd_bus_message_close_container(call);
	if (r < 0)
		return cb_client_broken(ctl, "cannot say this on the bus", r);
	return cb_client_send(ctl, call, CB_CALL_USEC, &reply);
}

static int run_run(struct cb_ctl *ctl, const struct cb_args *args)
{
	int code;

	if (!args->flag[FLAG_GROUP])
		return cb_ctl_fail(ctl, CB_EXIT_USAGE, "name the group: --group=NAME");
	code = cb_check_group(ctl, args->flag[FLAG_GROUP]);
	if (code == CB_EXIT_OK && args->flag[FLAG_ALLOWED])
		code = cb_check_cpus(ctl, "--allowed-cpus", args->flag[FLAG_ALLOWED]);
	if (code == CB_EXIT_OK && args->flag[FLAG_MODE])
		code = cb_check_mode(ctl, args->flag[FLAG_MODE]);
	if (code == CB_EXIT_OK)
		code = register_self(ctl, args);
	if (code != CB_EXIT_OK)
		return code;
	cb_agent_close(ctl);
	cb_client_close(ctl);
	return become(ctl, args);
}

const struct cb_verb cb_verb_run = {
	.name = "run",
	.arguments = "-- COMMAND...",
	.summary = "run a command as a worker of a group",
	.details =
		"The group is made when it is new. The exit code is the command's; 126 when it cannot "
		"be run, 127 when there is no such command. Workers that the command starts are "
		"not registered with it.",
	.example = "cpubalctl run --group=encode -- ffmpeg -i in.mkv out.mp4",
	.flags = run_flags,
	.min_words = 1,
	.max_words = 4096,
	.changes = true,
	.local = true,
	.run = run_run,
};

/* Wait as `time` does: what is typed on the terminal is for the command. */
static int run_beside(struct cb_ctl *ctl, const struct cb_args *args)
{
	pid_t pid = fork();
	int status = 0;

	if (pid < 0)
		return cb_ctl_fail(ctl, CB_EXIT_FAILED, "fork: %s", strerror(errno));
	if (pid == 0)
		_exit(become(ctl, args));
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return cb_ctl_fail(ctl, CB_EXIT_FAILED, "wait: %s", strerror(errno));
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int run_hold(struct cb_ctl *ctl, const struct cb_args *args)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	int fd, r, code = cb_client_call(ctl, "Hold", CB_CALL_USEC, &reply, "");

	if (code != CB_EXIT_OK)
		return code;
	/* The message keeps the descriptor, which the command does not inherit. */
	r = sd_bus_message_read(reply, "h", &fd);
	if (r < 0)
		return cb_client_broken(ctl, "cannot read the answer of cpubalanced", r);
	return run_beside(ctl, args);
}

const struct cb_verb cb_verb_hold = {
	.name = "hold",
	.arguments = "-- COMMAND...",
	.summary = "move nothing while a command runs",
	.details =
		"Placements stay as they are. However the command or cpubalctl ends, the hold ends with it. "
		"The exit code is the command's.",
	.example = "cpubalctl hold -- ./benchmark.sh",
	.min_words = 1,
	.max_words = 4096,
	.changes = true,
	.local = true,
	.run = run_hold,
};
