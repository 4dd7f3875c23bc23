/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Look-up in the inventory of queues, which is ascending by direction, then key. */
#include "cpubalance/queues.h"

static int64_t rank(enum cb_queue_dir dir, uint32_t key)
{
	return (int64_t)dir * ((int64_t)UINT32_MAX + 1) + key;
}

const struct cb_queue_info *cb_queues_find(const struct cb_queues *queues, enum cb_queue_dir dir,
					   uint32_t key)
{
	uint32_t low = 0, high = queues ? queues->n : 0;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		const struct cb_queue_info *info = &queues->queue[middle];
		int64_t at = rank(info->dir, cb_queue_key(info->ifindex, info->queue));

		if (at == rank(dir, key))
			return info;
		if (at < rank(dir, key))
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

uint32_t cb_queues_count(const struct cb_queues *queues, uint32_t ifindex, enum cb_queue_dir dir)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < queues->n; i++)
		n += queues->queue[i].ifindex == ifindex && queues->queue[i].dir == dir;
	return n;
}
