/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the files that steer connections share. A socket is reached through a process that has it: its descriptor is duplicated
 * (pidfd_getfd), turned and closed again within one function, since a listening socket that we hold when its owner has ended
 * goes on taking connections that nobody serves.
 *
 * steer_sockets.c finds whose sockets are whose; steer_bpf.c is the program that shares connections out; apply_steer.c does the
 * steps of a plan, with the journal.
 */

#include "serving.h"
#include "writer.h"

/* One plan's workers, and the sockets that they serve. */
#define CB_STEER_WORKERS_MAX CB_STEPS_MAX
#define CB_STEER_SOCKETS_MAX 256u
#define CB_STEER_PLACES_MAX  16u

struct cb_steer_worker {
	int32_t tgid;
	uint64_t start_ticks;
	uint32_t share; /* of the group's new connections */
	int32_t cpu;	/* whose connections it is given first */
	uint32_t n;	/* sockets that it serves, found by the resolve */
};

/* One address, and the sockets that wait at it. */
struct cb_steer_place {
	struct cb_listen local;
	uint32_t interface;
};

struct cb_steer_socket {
	int32_t tgid, fd; /* who has it, and as what */
	uint32_t inode;
	uint64_t cookie;
	uint32_t place, worker; /* indices */
};

struct cb_steer_set {
	uint64_t netns;
	uint32_t n_workers, n_places, n;
	struct cb_steer_worker worker[CB_STEER_WORKERS_MAX];
	struct cb_steer_place place[CB_STEER_PLACES_MAX];
	struct cb_steer_socket socket[CB_STEER_SOCKETS_MAX]; /* by place */
};

/* --- steer_sockets.c --- */

/*
 * The sockets of @set's workers at addresses at which each socket is one worker's, and two workers at least wait. Returns 0; 1 when they
 * cannot be steered, with the reason; or a negative errno.
 */
int cb_steer_resolve(struct cb_host *host, struct cb_steer_set *set, enum cb_reject *ret_why)
	_must_check_;
/* Somebody who has the socket of an INCOMING_CPU entry, or one at the address of a REUSEPORT_WEIGHTS entry. -ENOENT: nobody has. */
int cb_steer_find(struct cb_host *host, const struct cb_journal_entry *entry,
		  struct cb_steer_socket *ret) _must_check_;
/* A descriptor of it for ourselves, to be closed at once. -ESTALE: it is another one by now. */
int cb_steer_dup(const struct cb_steer_socket *socket) _must_check_;
int cb_steer_get_cpu(const struct cb_steer_socket *socket, int32_t *ret) _must_check_;
int cb_steer_set_cpu(const struct cb_steer_socket *socket, int32_t cpu) _must_check_;
/* Does SO_INCOMING_CPU decide between sockets that share a port here? Tried once, on the loopback. 1, 0, or a negative errno. */
int cb_steer_cpu_heeded(void);

/* --- steer_bpf.c --- */

struct cb_steer;
struct cb_steer *cb_steer_free(
	struct cb_steer *steer); /* NULL is fine; returns NULL. What is attached stays so */
/*
 * Share out the connections of one place of @set: by new weights in what is attached already, or by a program that is attached
 * now. Returns 0; 1 when it cannot be, with the reason; or a negative errno.
 */
int cb_steer_share(struct cb_host *host, struct cb_steer **steer, const struct cb_steer_set *set,
		   uint32_t place, enum cb_reject *ret_why) _must_check_;
/* Take the program of a REUSEPORT_WEIGHTS entry away. -ENOENT: its sockets are gone. */
int cb_steer_unshare(struct cb_host *host, struct cb_steer **steer,
		     const struct cb_journal_entry *entry) _must_check_;
/* Are the sockets of an entry still those that it was made for? 1, 0, or a negative errno: unknown. */
int cb_steer_same(struct cb_host *host, struct cb_steer **steer,
		  const struct cb_journal_entry *entry) _must_check_;
