/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The threads of a process that serve the sockets of a group, for groups whose workers are threads. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "scout.h"

struct servers {
	int32_t *tid;
	size_t n, cap;
};

static void take(int32_t tid, uint32_t index, void *userdata)
{
	struct servers *servers = userdata;

	(void)index;
	for (size_t i = 0; i < servers->n; i++)
		if (servers->tid[i] == tid)
			return;
	if (servers->n < servers->cap)
		servers->tid[servers->n++] = tid;
}

/* Those of the group alone; ascending, as they are in the space. */
static struct cb_wanted *wanted_of(const struct cb_scout_space *space, uint64_t bit,
				   uint32_t *ret_n)
{
	struct cb_wanted *wanted = calloc(space->n + 1, sizeof(*wanted));

	*ret_n = 0;
	for (uint32_t i = 0; wanted && i < space->n; i++)
		if (space->socket[space->wanted[i].tag].groups & bit)
			wanted[(*ret_n)++] = space->wanted[i];
	return wanted;
}

int cb_scout_threads(struct cb_host *host, uint32_t group_key, int32_t pid, int32_t *ret_tids,
		     size_t cap, size_t *ret_n, uint32_t *ret_n_loops, uint32_t *ret_n_unseen)
{
	struct cb_scout *scout = host->scout;
	uint32_t index = scout ? cb_scout_group_index(scout, group_key) : 0, n = 0;
	struct servers servers = { .tid = ret_tids, .cap = cap };
	_cleanup_free_ struct cb_wanted *wanted = NULL;
	struct cb_scout_space *space;
	ino_t netns;
	int r;

	if (!scout || index == scout->n_groups)
		return -ENOENT;
	netns = cb_netns_of(host, pid);
	if (netns == 0)
		return -ESRCH;
	space = cb_scout_space_of(host, scout, netns, pid);
	if (!space)
		return -EPERM;
	wanted = wanted_of(space, UINT64_C(1) << index, &n);
	if (!wanted)
		return -ENOMEM;
	r = cb_serving_threads(host, pid, wanted, n, take, &servers, ret_n_loops, ret_n_unseen);
	if (r == 0)
		*ret_n = servers.n;
	return r;
}
