/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * doctor: what this machine lets the balancer do. The tool knows the bus and nothing of the machine; the daemon's own
 * program does, and looks without a running one.
 */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl.h"

#define DAEMON "cpubalanced"

int cb_ctl_run_daemon(struct cb_ctl *ctl, char **argv)
{
	/* Administrators' programs are not on everybody's PATH. */
	static const char *const places[] = { DAEMON, "/usr/local/sbin/" DAEMON,
					      "/usr/sbin/" DAEMON };

	for (size_t i = 0; i < CB_ARRAY_SIZE(places); i++)
		execvp(places[i], argv);
	return cb_ctl_fail(ctl, CB_EXIT_FAILED, "%s cannot be run: %s", DAEMON, strerror(errno));
}

static int run(struct cb_ctl *ctl, const struct cb_args *args)
{
	char bus[512];
	char *argv[] = { (char *)(uintptr_t)DAEMON, (char *)(uintptr_t) "--doctor", bus,
			 ctl->json ? (char *)(uintptr_t) "--json" : NULL, NULL };

	(void)args;
	if ((size_t)snprintf(bus, sizeof(bus), "--bus=%s", ctl->bus_name) >= sizeof(bus))
		return cb_ctl_fail(ctl, CB_EXIT_USAGE, "the address of the bus is too long");
	return cb_ctl_run_daemon(ctl, argv);
}

const struct cb_verb cb_verb_doctor = {
	.name = "doctor",
	.arguments = "",
	.summary = "what this machine lets the balancer do, and what to do about the rest",
	.details =
		"Each line is OK, a NOTE (it works, but less of it) or a PROBLEM, with a remedy. The exit code is "
		"1 when there is a problem. The same as cpubalanced --doctor; works without a running daemon.",
	.example = "sudo cpubalctl doctor",
	.once = true,
	.local = true,
	.run = run,
};
