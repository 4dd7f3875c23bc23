/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Life and questions of a topology. Built by the host or a test, immutable from then on; the count of references is
 * plain, since one thread does everything.
 */
#include "cpubalance/topology.h"

#include <assert.h>
#include <stdlib.h>

struct cb_topology *cb_topology_new(uint32_t n_cpu_ids)
{
	struct cb_topology *topology;

	if (n_cpu_ids > CB_CPUS_MAX)
		return NULL;
	topology = calloc(1, sizeof(*topology) + n_cpu_ids * sizeof(topology->cpu[0]));
	if (!topology)
		return NULL;
	topology->n_ref = 1;
	topology->generation = 1;
	topology->n_cpu_ids = n_cpu_ids;
	for (uint32_t cpu = 0; cpu < n_cpu_ids; cpu++)
		topology->cpu[cpu] = (struct cb_cpu_place){
			.node = -1,
			.package = -1,
			.llc = -1,
			.core = (int32_t)cpu,
			.capacity = CB_CAPACITY_FULL,
		};
	return topology;
}

struct cb_topology *cb_topology_ref(struct cb_topology *topology)
{
	if (topology)
		topology->n_ref++;
	return topology;
}

struct cb_topology *cb_topology_unref(struct cb_topology *topology)
{
	if (!topology)
		return NULL;
	assert(topology->n_ref > 0);
	if (--topology->n_ref == 0)
		free(topology);
	return NULL;
}

struct cb_cpuset cb_topology_housekeeping(const struct cb_topology *topology)
{
	struct cb_cpuset set = cb_cpuset_andnot(&topology->online, &topology->isolated);

	return cb_cpuset_andnot(&set, &topology->nohz_full);
}

struct cb_cpuset cb_topology_siblings(const struct cb_topology *topology, unsigned int cpu)
{
	struct cb_cpuset set = CB_CPUSET_EMPTY;

	if (cpu >= topology->n_cpu_ids)
		return set;
	CB_CPUSET_FOREACH(other, &topology->online) {
		if (other >= topology->n_cpu_ids)
			break;
		if (other != cpu && topology->cpu[other].core == topology->cpu[cpu].core)
			cb_cpuset_set(&set, other);
	}
	return set;
}
