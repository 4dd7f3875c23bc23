/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The sockets that the groups of the scout name, one list for each network namespace. A dump goes into a spare array; only
 * when the set of inodes in it is another one the two change places, and what is known of a socket is taken over.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "scout.h"

void cb_scout_space_done(struct cb_scout_space *space)
{
	cb_diag_free(space->diag);
	free(space->socket);
	free(space->next);
	free(space->wanted);
	*space = (struct cb_scout_space){ 0 };
}

static uint64_t groups_of(const struct cb_scout *scout, bool own, const struct cb_socket *socket)
{
	uint64_t groups = 0;

	for (uint32_t i = 0; i < scout->n_groups; i++) {
		const struct cb_selector *selector = &scout->group[i].selector;
		bool matches = selector->n_listen == 0 && socket->listens;

		if (!own && !(scout->named >> i & 1))
			continue;
		for (uint32_t j = 0; j < selector->n_listen && !matches; j++)
			matches = cb_listen_matches(&selector->listen[j], &socket->local);
		if (matches)
			groups |= UINT64_C(1) << i;
	}
	return groups;
}

bool cb_scout_names_datagrams(const struct cb_host *host, const struct cb_socket *socket)
{
	const struct cb_scout *scout = host->scout;

	for (uint32_t i = 0; scout && scout->udp && socket && i < scout->n_groups; i++) {
		const struct cb_selector *selector = &scout->group[i].selector;

		for (uint32_t j = 0; j < selector->n_listen; j++)
			if (cb_listen_matches(&selector->listen[j], &socket->local))
				return true;
	}
	return scout && scout->udp && !socket;
}

static void take(const struct cb_socket *socket, void *userdata)
{
	struct cb_scout *scout = userdata;
	struct cb_scout_space *space = scout->dumping;
	uint64_t groups = groups_of(scout, space == &scout->space[0], socket);

	if (groups == 0 || socket->queue.inode == 0)
		return;
	if (space->n_next == space->cap_next) {
		uint32_t cap = space->cap_next ? space->cap_next * 2 : 64;
		struct cb_scout_socket *grown =
			reallocarray(space->next, cap, sizeof(*space->next));

		if (!grown) {
			space->failed = true;
			return;
		}
		space->next = grown;
		space->cap_next = cap;
	}
	space->next[space->n_next++] =
		(struct cb_scout_socket){ .inode = socket->queue.inode, .groups = groups };
	/* As in group.c: any mixing will do. */
	space->next_hash += (socket->queue.inode + UINT64_C(1)) * UINT64_C(0x9e3779b97f4a7c15);
}

static bool swap(struct cb_scout_space *space)
{
	struct cb_wanted *wanted = calloc(space->n_next + 1, sizeof(*wanted));
	struct cb_scout_socket *old = space->socket;
	uint32_t old_cap = space->cap;

	if (!wanted)
		return false;
	for (uint32_t i = 0; i < space->n_next; i++) {
		struct cb_scout_socket *socket = &space->next[i];
		uint32_t index = cb_wanted_find(space->wanted, space->n, socket->inode);

		if (index < space->n)
			socket->served = old[space->wanted[index].tag].served;
		wanted[i] = (struct cb_wanted){ .inode = socket->inode, .tag = i };
	}
	cb_wanted_sort(wanted, space->n_next);
	free(space->wanted);
	space->wanted = wanted;
	space->socket = space->next;
	space->n = space->n_next;
	space->cap = space->cap_next;
	space->next = old;
	space->cap_next = old_cap;
	space->set_hash = space->next_hash;
	space->stale = false;
	return true;
}

static bool dump(struct cb_scout *scout, struct cb_scout_space *space)
{
	int r;

	if (!space->diag)
		return false;
	space->n_next = 0;
	space->next_hash = 0;
	space->failed = false;
	scout->dumping = space;
	r = cb_diag_dump(space->diag, CB_DIAG_LISTENERS, take, scout);
	if (r == 0 && scout->udp)
		r = cb_diag_dump(space->diag, CB_DIAG_DATAGRAMS, take, scout);
	if (r < 0 || space->failed || (space->next_hash == space->set_hash && !space->stale))
		return false;
	return swap(space);
}

bool cb_scout_spaces_dump(struct cb_scout *scout)
{
	bool changed = false;

	for (uint32_t i = 0; i < scout->n_spaces; i++)
		changed |= dump(scout, &scout->space[i]);
	return changed;
}

struct cb_scout_space *cb_scout_space_add(struct cb_host *host, struct cb_scout *scout, ino_t netns,
					  int32_t pid)
{
	struct cb_scout_space *space = &scout->space[scout->n_spaces];
	int pidfd = -1, r;

	if (scout->n_spaces == CB_SCOUT_SPACES_MAX)
		return NULL;
	*space = (struct cb_scout_space){ .netns = netns, .stale = true, .used = true };
	if (pid > 0) {
		pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
		if (pidfd < 0)
			return NULL;
		/* The process may have become another one since its namespace was asked for. */
		if (cb_netns_of(host, pid) != netns) {
			close(pidfd);
			return NULL;
		}
	}
	r = host->netlink ? cb_diag_new(host, pidfd, &space->diag) : 0;
	if (pidfd >= 0)
		close(pidfd);
	if (r < 0) {
		space->diag = NULL;
		if (pid > 0)
			return NULL;
	}
	scout->n_spaces++;
	dump(scout, space);
	return space;
}

struct cb_scout_space *cb_scout_space_of(struct cb_host *host, struct cb_scout *scout, ino_t netns,
					 int32_t pid)
{
	for (uint32_t i = 0; i < scout->n_spaces; i++)
		if (scout->space[i].netns == netns) {
			scout->space[i].used = true;
			return &scout->space[i];
		}
	return cb_scout_space_add(host, scout, netns, pid);
}

void cb_scout_spaces_drop(struct cb_host *host, struct cb_scout *scout)
{
	uint32_t n = 1;

	(void)host;
	for (uint32_t i = 1; i < scout->n_spaces; i++) {
		if (!scout->space[i].used) {
			cb_scout_space_done(&scout->space[i]);
			continue;
		}
		scout->space[i].used = false;
		if (n != i) {
			scout->space[n] = scout->space[i];
			scout->space[i] = (struct cb_scout_space){ 0 };
		}
		n++;
	}
	scout->n_spaces = CB_MIN(scout->n_spaces, n);
}
