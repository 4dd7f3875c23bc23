/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * capture: this machine as a directory, to be looked at elsewhere. The daemon's own program does it, without a running one.
 */

#include <stdlib.h>

#include "ctl.h"

static int run(struct cb_ctl *ctl, const struct cb_args *args)
{
	char *argv[] = { (char *)(uintptr_t) "cpubalanced", (char *)(uintptr_t) "--capture",
			 args->word[0], NULL };

	return cb_ctl_run_daemon(ctl, argv);
}

const struct cb_verb cb_verb_capture = {
	.name = "capture",
	.arguments = "DIR",
	.summary = "copy what is read of this machine to a directory, to be looked at elsewhere",
	.details =
		"The files of /proc and /sys that cpubalanced reads, without any of processes, in the new directory "
		"DIR: counters, CPUs, the names of interrupts and of interfaces with a device, the kernel's release. "
		"The same as cpubalanced --capture; cpubalanced --sysroot DIR shows that machine. Works without a "
		"running daemon.",
	.example = "sudo cpubalctl capture /tmp/machine",
	.min_words = 1,
	.max_words = 1,
	.once = true,
	.local = true,
	.run = run,
};
