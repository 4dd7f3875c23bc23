/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Processes for a test to look at: each does what it is told, one thing for a character, answers,
 * and then stands still. They die with the test. A failure ends the test.
 */

#include <sys/types.h>

#define CHILDREN_MAX 8
struct child {
	pid_t pid; /* 0 when it has been ended */
	int to, from;
};

struct child *child_new(void); /* at most CHILDREN_MAX */
/*
 * Returns when all of @commands is done:
 *   b  use 20 ms of CPU time
 *   t  start a thread that does so and stays
 *   e  start one that does so and ends
 *   o  open 100 files
 *   n  enter a new network namespace
 *   l  listen there at 127.0.0.1:8001 with a backlog of 5
 *   m  the same at port 8002 with a backlog of 9
 *   w  wait for clients of the last one with an epoll descriptor
 *   c  connect to port 8001
 *   f  fork a process that shares everything and waits
 *   x  the main thread ends, alone
 */
void child_do(struct child *c, const char *commands);
void child_end(struct child *c); /* kills it and waits */
void child_end_all(void);
