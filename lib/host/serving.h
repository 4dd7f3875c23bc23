/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * serving.c: which of some sockets one process holds, and whether it serves them. Opens and allocates; never in a tick in
 * which nothing has changed.
 */

#include "collect.h"

/* Of a tag: the socket is counted where it is held, and no more. */
#define CB_WANTED_COUNT (UINT32_C(1) << 31)

/* A socket to look for: by inode, ascending; the rest of the tag is the caller's. */
struct cb_wanted {
	uint32_t inode;
	uint32_t tag;
};

#define CB_HELD_MAX 256u
struct cb_held {
	uint32_t index; /* in the table of wanted ones */
	int32_t fd;
	bool serves; /* an epoll descriptor of the process watches it, or a thread waits for it in a call */
};

struct cb_holdings {
	uint32_t n; /* at most CB_HELD_MAX; beyond that the first */
	struct cb_held held[CB_HELD_MAX];
	uint32_t n_loops; /* epoll descriptors that watch one of them */
	bool serves;	  /* one of them at least */
};

/*
 * What process @pid has of @wanted. @count (may be NULL): called with the index of each one that is held, as often as it is.
 * Returns 0, -ESRCH when the process has gone, -EACCES or -EPERM where its descriptors may not be read.
 */
int cb_holdings_read(struct cb_host *host, int32_t pid, const struct cb_wanted *wanted, uint32_t n,
		     void (*count)(uint32_t index, void *userdata), void *userdata,
		     struct cb_holdings *ret) _must_check_;
/* Index of @inode, or @n. */
uint32_t cb_wanted_find(const struct cb_wanted *wanted, uint32_t n, uint32_t inode);
/* By inode. */
void cb_wanted_sort(struct cb_wanted *wanted, uint32_t n);

/* The network namespace of a process, 0 when it has gone or may not be looked at (errno says which). */
ino_t cb_netns_of(struct cb_host *host, int32_t pid);
