/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Places where a crash is interesting: before and after each write to the machine or to the journal. Nothing in an
 * ordinary build. Built with -DCB_FAULT_POINTS, the process kills itself, as a power cut would, at the point that the
 * environment names: CB_FAULT=NAME, or CB_FAULT=NAME:N for the N-th time that it comes by.
 */

#ifdef CB_FAULT_POINTS

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static inline void cb_fault_point(const char *name, unsigned int *times)
{
	const char *want = getenv("CB_FAULT");
	size_t len = strlen(name);

	if (!want || strncmp(want, name, len) != 0 || (want[len] != 0 && want[len] != ':'))
		return;
	(*times)++;
	if (want[len] == ':' && (unsigned int)atoi(want + len + 1) != *times)
		return;
	kill(getpid(), SIGKILL);
}

#define CB_FAULT_POINT(name)                     \
	do {                                     \
		static unsigned int _times;      \
		cb_fault_point((name), &_times); \
	} while (0)

#else

#define CB_FAULT_POINT(name) ((void)0)

#endif
