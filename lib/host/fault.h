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

/* The same in the middle of a write: one half of @len bytes reaches the file. */
#define CB_FAULT_TORN(name, fd, bytes, len)                                      \
	do {                                                                     \
		static unsigned int _times;                                      \
		const char *_want = getenv("CB_FAULT");                          \
		if (_want && strncmp(_want, name, strlen(name)) == 0) {          \
			unsigned int _next = _times + 1;                         \
			if (!strchr(_want, ':') ||                               \
			    (unsigned int)atoi(strchr(_want, ':') + 1) == _next) \
				(void)!write((fd), (bytes), (len) / 2);          \
			cb_fault_point((name), &_times);                         \
		}                                                                \
	} while (0)

#else

#define CB_FAULT_POINT(name)		    ((void)0)
#define CB_FAULT_TORN(name, fd, bytes, len) ((void)0)

#endif
