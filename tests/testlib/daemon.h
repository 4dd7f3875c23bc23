/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A real cpubalanced on a message bus of its own, for the tests in tests/bus: a directory for its files, a connection of the
 * test's, and waiting for a condition with a limit. A failure ends the test.
 */

#include <stdbool.h>
#include <sys/types.h>

#include <systemd/sd-bus.h>

#include "cpubalance/macro.h"

struct daemon {
	char dir[64]; /* run/, state/, test.conf, log */
	const char *bus_address;
	pid_t pid;   /* 0: does not run */
	sd_bus *bus; /* NULL: not connected */
};

/*
 * Run this program below tools/private-bus unless it is already; for main(). Returns when there is a bus: its address is in
 * CB_BUS_ADDRESS. @argv[0] has to be a path.
 */
void daemon_need_bus(char **argv);

void daemon_init(struct daemon *daemon);
void daemon_done(struct daemon *daemon); /* stops it, removes its files */

/* Replace test.conf. Samples are taken every 250 ms unless @text says otherwise. */
void daemon_config(struct daemon *daemon, const char *text);
/* With more arguments (NULL-terminated; may be NULL) and wait until two samples were taken. */
void daemon_start(struct daemon *daemon, const char *const *arguments);
/* Only start it; nothing is waited for. */
void daemon_spawn(struct daemon *daemon, const char *const *arguments);
/* SIGTERM; returns its exit status, or 128 + signal. */
int daemon_stop(struct daemon *daemon);
void daemon_kill(struct daemon *daemon); /* SIGKILL */
int daemon_wait(struct daemon *daemon);	 /* until it has ended; as daemon_stop() */
/* Everything it has printed so far; the caller frees it. */
char *daemon_log(const struct daemon *daemon);
bool daemon_log_has(const struct daemon *daemon, const char *text);

/* Another program with the same daemon binary; returns the exit status. Output goes to the log. */
int daemon_run(const struct daemon *daemon, const char *const *arguments);

/* Call a method of the Manager. On failure @error (may be NULL) is set. Returns 0 or a negative errno. */
int daemon_call(struct daemon *daemon, const char *method, sd_bus_error *error,
		sd_bus_message **ret, const char *types, ...);
/* The same where the test expects it to work: fails with the daemon's own words otherwise. */
sd_bus_message *daemon_ask(struct daemon *daemon, const char *method, const char *types, ...);
char *daemon_get_string(struct daemon *daemon, const char *property); /* free() it */
uint32_t daemon_get_u32(struct daemon *daemon, const char *property);
bool daemon_get_bool(struct daemon *daemon, const char *property);

/* Register @n pids; returns as daemon_call(). */
int daemon_register(struct daemon *daemon, const char *group, const pid_t *pids, size_t n,
		    sd_bus_error *error);

/* Try @condition until it is true; the test fails with @what when that takes too long. */
void wait_until(const char *what, bool (*condition)(void *userdata), void *userdata);

/* A process that sleeps; end_process() kills and reaps it. */
pid_t start_sleeper(void);
void end_process(pid_t *pid);
