/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Programs for crash tests: they die of SIGKILL at a boundary of their writes (lib/host/fault.h), and whoever comes after them finds
 * what they have left in a directory. A failure ends the test.
 */

#include <stdbool.h>
#include <sys/types.h>

struct mortal {
	char dir[128];
	char life[4096];   /* this program, with the fault points */
	char daemon[4096]; /* the one that is shipped */
};

/* Where the programs are, for the test of that name; returns why there can be no test, NULL when there can. */
const char *mortal_find(struct mortal *m, const char *test);

void mortal_begin(struct mortal *m); /* a new directory */
void mortal_end(struct mortal *m);   /* with all that is in it */

/* In the background, with what it says in a file of the directory; @fault: NULL for none, else as in CB_FAULT. */
pid_t mortal_run(const struct mortal *m, const char *program, const char *const *arguments,
		 const char *fault);
int mortal_status(pid_t pid); /* 128 and the number for a signal */
const char *mortal_said(const struct mortal *m);

/* True when the life was killed at that boundary, false when it came to its end before. */
bool mortal_dies_at(const struct mortal *m, const char *const *arguments, const char *point,
		    unsigned int times);
/* The offline restore of the daemon that is shipped; returns its status. */
int mortal_restore(const struct mortal *m);
/* That daemon, once it has read the machine; it samples four times a second. */
pid_t mortal_daemon(const struct mortal *m);
