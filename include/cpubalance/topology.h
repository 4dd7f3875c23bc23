/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What CPUs there are and how they are related. Immutable once built: hotplug builds a new one with a higher generation
 * and the previous snapshot is dropped. Reference-counted, since the host, the engine and reports share it.
 */

#include "cpubalance/cpuset.h"

/* arch_scale_cpu_capacity(): the biggest CPU of the machine is 1024 (include/linux/sched/topology.h, SCHED_CAPACITY_SCALE). */
#define CB_CAPACITY_FULL 1024u

struct cb_cpu_place {
	int32_t node;      /* NUMA node, -1 unknown */
	int32_t package;   /* physical package, -1 unknown */
	int32_t llc;       /* lowest CPU sharing the last-level cache, -1 unknown */
	int32_t cluster;   /* lowest CPU of the cluster: cores that share more than the last-level cache does; -1 unknown, or a core is all of it */
	int32_t core;      /* lowest CPU of this physical core (SMT siblings share it); the CPU itself where unknown */
	uint32_t capacity; /* 1..1024, CB_CAPACITY_FULL where unknown */
};

/* Nodes whose distances are known have smaller numbers. */
#define CB_DISTANCE_NODES 64u
/* Of a node to itself, by ACPI and by the kernel (include/linux/topology.h, LOCAL_DISTANCE). */
#define CB_DISTANCE_LOCAL 10u

struct cb_topology {
	uint32_t n_ref;
	uint32_t generation; /* grows with every rebuild, starts at 1 */
	uint32_t n_cpu_ids;  /* highest possible CPU number + 1; arrays indexed by CPU number have this size */
	uint32_t n_online;
	struct cb_cpuset possible;
	struct cb_cpuset online;
	struct cb_cpuset isolated;  /* isolcpus=, and isolated partitions of cpusets */
	struct cb_cpuset nohz_full; /* /sys/devices/system/cpu/nohz_full */
	uint8_t distance[CB_DISTANCE_NODES][CB_DISTANCE_NODES]; /* by node numbers, from and to; 0 unknown */
	uint8_t farthest;	    /* the largest of them between nodes with CPUs, 0 unknown */
	struct cb_cpu_place cpu[];  /* [n_cpu_ids] */
};

/* All CPUs unplaced (node -1 ...), nothing online. Returns NULL without memory or when n_cpu_ids > CB_CPUS_MAX. */
struct cb_topology *cb_topology_new(uint32_t n_cpu_ids) _must_check_;
struct cb_topology *cb_topology_ref(struct cb_topology *topology);
struct cb_topology *cb_topology_unref(struct cb_topology *topology); /* NULL is fine; returns NULL */

/* CPUs that work may be put on by default: online, neither isolated nor nohz_full. */
struct cb_cpuset cb_topology_housekeeping(const struct cb_topology *topology);
/* Set the distance of two nodes; ignored where it cannot be held or is none. Only while a topology is built. */
void cb_topology_set_distance(struct cb_topology *topology, int32_t from, int32_t to,
			      int64_t distance);
/*
 * How far apart two CPUs are, as far as caches and memory are concerned: 0 of one cluster, or of one last-level cache without
 * clusters; 0.25 another cluster; 0.5 another last-level cache of the node; 0.5 to 1 another node, 1 the farthest, or where distances are
 * unknown. Both have to be below n_cpu_ids.
 */
double cb_topology_distance_ratio(const struct cb_topology *topology, unsigned int a,
				  unsigned int b);
/* The other hardware threads of @cpu's core (without @cpu), online ones only. */
struct cb_cpuset cb_topology_siblings(const struct cb_topology *topology, unsigned int cpu);
