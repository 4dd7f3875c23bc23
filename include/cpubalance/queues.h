/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The queues of network interfaces, as far as packets can be steered there: which CPUs handle what a receive queue brings (RPS),
 * and which use a transmit queue (XPS); Documentation/networking/scaling.rst of the kernel. Read only where a group asks for
 * packet steering, and again when interfaces change; immutable like the inventory of interrupts.
 */

#include "cpubalance/cpuset.h"
#include "cpubalance/irqs.h"
#include "cpubalance/snapshot.h"

/* Queues of all interfaces; the numbers of one interface's; and of interfaces, so that both fit into a key. */
#define CB_QUEUES_MAX	   4096u
#define CB_QUEUE_NUMBERS   1024u
#define CB_QUEUE_IFINDICES (UINT32_MAX / CB_QUEUE_NUMBERS)

struct cb_queue_info {
	uint32_t ifindex, queue;
	enum cb_queue_dir dir; /* RX or TX */
	char ifname[CB_IFNAME_MAX];
	bool device; /* of hardware; what a virtual one receives comes from other queues, or from senders on this machine */
	struct cb_cpuset cpus; /* rps_cpus or xps_cpus, empty: not steered */
	uint32_t flows;	       /* of a receive queue: rps_flow_cnt */
	/* the journal holds the original of the mask, or of the number of flows, and for whom that was */
	bool placed, flows_placed;
	char group[64]; /* CB_NAME_MAX */
};

struct cb_queues {
	uint32_t generation;
	bool has_table; /* there is net.core.rps_sock_flow_entries here */
	uint32_t table; /* what it is: 0 is no RFS, whatever the queues say */
	bool table_placed; /* as of a queue */
	char table_group[64];
	uint32_t n;
	struct cb_queue_info queue[]; /* ascending by direction, then key */
};

static inline uint32_t cb_queue_key(uint32_t ifindex, uint32_t queue)
{
	return ifindex * CB_QUEUE_NUMBERS + queue;
}

/* NULL when there is no such queue. */
const struct cb_queue_info *cb_queues_find(const struct cb_queues *queues, enum cb_queue_dir dir,
					   uint32_t key);
/* How many of that direction an interface has. */
uint32_t cb_queues_count(const struct cb_queues *queues, uint32_t ifindex, enum cb_queue_dir dir);
