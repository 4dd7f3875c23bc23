/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What scout.c and scout_space.c share: groups as bits, sockets by namespace, and who is to be looked at.
 */

#include <stdio.h>

#include "serving.h"
#include "writer.h"

/* A socket that a group's selector names. */
struct cb_scout_socket {
	uint32_t inode;
	uint64_t groups; /* bit per index of a group */
	bool served;	 /* somebody was seen to serve it */
};

/* A network namespace; the first one is ours. It is held open while it is here. */
struct cb_scout_space {
	ino_t netns;
	struct cb_diag *diag;
	bool stale; /* the groups have changed since it was dumped */
	bool used;  /* by a process of the scan that ended last, or of this one */
	uint64_t set_hash;
	uint32_t n, cap;
	struct cb_scout_socket *socket;
	struct cb_wanted *wanted;  /* by inode; the tag is the index of the socket */
	uint32_t n_next, cap_next; /* the dump that is being read */
	struct cb_scout_socket *next;
	uint64_t next_hash;
	bool failed; /* out of memory while it was read */
};

struct cb_scout_group {
	uint32_t key;
	struct cb_selector selector;
	bool checks; /* finds nobody by itself */
	struct cb_scout_state state, counting;
};

struct cb_scout_fresh {
	int32_t pid;
	uint32_t looks; /* that are left, one a tick */
	uint32_t wait;	/* ticks until one more; 0 none */
	uint32_t span;	/* the last of these waits */
};

struct cb_scout_maybe {
	int32_t pid, parent;
	uint32_t inode;
	uint64_t groups;
};

#define CB_SCOUT_SPACES_MAX 16u
#define CB_SCOUT_FRESH_MAX  1024u
#define CB_SCOUT_MAYBE_MAX  256u

struct cb_scout {
	uint32_t n_groups;
	struct cb_scout_group group[CB_GROUPS_MAX];
	uint64_t listens; /* groups that find by themselves */
	uint64_t named;	  /* groups that name processes */
	uint64_t udp;	  /* groups with UDP addresses */

	uint32_t n_spaces;
	struct cb_scout_space space[CB_SCOUT_SPACES_MAX];
	struct cb_scout_space *dumping;

	bool no_conn; /* the connector is not to be had */
	int proc_fd;
	int32_t *listed, *known; /* without it: processes of this tick and of the last */
	size_t n_known;
	uint32_t n_fresh;
	struct cb_scout_fresh fresh[CB_SCOUT_FRESH_MAX];

	bool rescan, scanning;
	uint64_t rescan_usec;
	int32_t *todo;
	size_t n_todo, at;
	uint32_t n_unreadable;
	uint32_t n_maybe, n_before;
	struct cb_scout_maybe maybe[CB_SCOUT_MAYBE_MAX], before[CB_SCOUT_MAYBE_MAX];
	struct cb_holdings holdings; /* too big for a stack */
};

struct cb_scout_look {
	uint64_t names;	 /* groups whose selectors name it, but for the sockets */
	uint64_t holds;	 /* of these, those of which it has a socket */
	uint64_t serves; /* of these, those of which it serves one */
	uint32_t n_loops;
};
/* One process against the groups of @mask. Returns 0, or a negative errno: -ESRCH, -EACCES, -EPERM. */
int cb_scout_look(struct cb_host *host, int32_t pid, uint64_t mask, struct cb_scout_look *ret)
	_must_check_;

uint32_t cb_scout_group_index(const struct cb_scout *scout,
			      uint32_t key); /* n_groups when there is none */

/* --- scout_names.c --- */

/* The groups of @mask whose Unit=, Cgroup= and Process= the process fits; those that name none fit all. */
int cb_scout_names(struct cb_host *host, int32_t pid, uint64_t mask, uint64_t *ret) _must_check_;

/* --- scout_space.c --- */

/* The namespace of process @pid, ours with -1. NULL when it cannot be entered or there are too many. */
struct cb_scout_space *cb_scout_space_add(struct cb_host *host, struct cb_scout *scout, ino_t netns,
					  int32_t pid);
/* The same, if it is not there yet. */
struct cb_scout_space *cb_scout_space_of(struct cb_host *host, struct cb_scout *scout, ino_t netns,
					 int32_t pid);
void cb_scout_space_done(struct cb_scout_space *space);
/* Forget those that no process of the last scan was in. */
void cb_scout_spaces_drop(struct cb_host *host, struct cb_scout *scout);
/* Dump all. True when the set of sockets that matter has changed anywhere. */
bool cb_scout_spaces_dump(struct cb_scout *scout);
