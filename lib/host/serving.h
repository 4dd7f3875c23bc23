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

/* Called while the descriptors are looked at, with indices in the table of wanted ones; each may be NULL. */
struct cb_holdings_hooks {
	void (*count)(uint32_t index, void *userdata); /* it is held; as often as it is */
	void (*watched)(int32_t epoll_fd, uint32_t index, void *userdata);
	void *userdata;
};

/*
 * What process @pid has of @wanted. @hooks may be NULL. Returns 0, -ESRCH when the process has gone, -EACCES or -EPERM where its descriptors may not be read.
 */
int cb_holdings_read(struct cb_host *host, int32_t pid, const struct cb_wanted *wanted, uint32_t n,
		     const struct cb_holdings_hooks *hooks, struct cb_holdings *ret) _must_check_;

/*
 * serving_threads.c: which threads of @pid wait for clients at which of @wanted: each of them in an epoll descriptor of its own, or in
 * a call. A thread that is running shows nothing, so it is looked at a few times, within milliseconds. @ret_n_loops: epoll
 * descriptors that watch one of them; @ret_n_unseen: of these, those that no thread was seen to wait in. Returns as above.
 */
int cb_serving_threads(struct cb_host *host, int32_t pid, const struct cb_wanted *wanted,
		       uint32_t n, void (*fn)(int32_t tid, uint32_t index, void *userdata),
		       void *userdata, uint32_t *ret_n_loops, uint32_t *ret_n_unseen) _must_check_;
/* Whether a call with that number waits for clients at the socket that is its first argument. */
bool cb_call_waits(int64_t number);
/* Index of @inode, or @n. */
uint32_t cb_wanted_find(const struct cb_wanted *wanted, uint32_t n, uint32_t inode);
/* By inode. */
void cb_wanted_sort(struct cb_wanted *wanted, uint32_t n);

/* The network namespace of a process, 0 when it has gone or may not be looked at (errno says which). */
ino_t cb_netns_of(struct cb_host *host, int32_t pid);
