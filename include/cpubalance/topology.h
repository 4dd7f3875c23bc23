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
	int32_t core;      /* lowest CPU of this physical core (SMT siblings share it); the CPU itself where unknown */
	uint32_t capacity; /* 1..1024, CB_CAPACITY_FULL where unknown */
};

struct cb_topology {
	uint32_t n_ref;
	uint32_t generation; /* grows with every rebuild, starts at 1 */
	uint32_t n_cpu_ids;  /* highest possible CPU number + 1; arrays indexed by CPU number have this size */
	uint32_t n_online;
	struct cb_cpuset possible;
	struct cb_cpuset online;
	struct cb_cpuset isolated;  /* isolcpus=, and isolated partitions of cpusets */
	struct cb_cpuset nohz_full; /* /sys/devices/system/cpu/nohz_full */
	struct cb_cpu_place cpu[];  /* [n_cpu_ids] */
};

/* All CPUs unplaced (node -1 ...), nothing online. Returns NULL without memory or when n_cpu_ids > CB_CPUS_MAX. */
struct cb_topology *cb_topology_new(uint32_t n_cpu_ids) _must_check_;
struct cb_topology *cb_topology_ref(struct cb_topology *topology);
struct cb_topology *cb_topology_unref(struct cb_topology *topology); /* NULL is fine; returns NULL */

/* CPUs that work may be put on by default: online, neither isolated nor nohz_full. */
struct cb_cpuset cb_topology_housekeeping(const struct cb_topology *topology);
/* The other hardware threads of @cpu's core (without @cpu), online ones only. */
struct cb_cpuset cb_topology_siblings(const struct cb_topology *topology, unsigned int cpu);
