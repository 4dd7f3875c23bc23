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
			.cluster = -1,
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

static bool has_distance(int32_t node)
{
	return node >= 0 && (uint32_t)node < CB_DISTANCE_NODES;
}

void cb_topology_set_distance(struct cb_topology *topology, int32_t from, int32_t to,
			      int64_t distance)
{
	bool from_has = false, to_has = false;

	if (!has_distance(from) || !has_distance(to) || distance < CB_DISTANCE_LOCAL ||
	    distance > UINT8_MAX)
		return;
	topology->distance[from][to] = (uint8_t)distance;
	for (uint32_t cpu = 0; cpu < topology->n_cpu_ids; cpu++) {
		from_has = from_has || topology->cpu[cpu].node == from;
		to_has = to_has || topology->cpu[cpu].node == to;
	}
	if (from_has && to_has && from != to)
		topology->farthest = CB_MAX(topology->farthest, (uint8_t)distance);
}

static double node_distance(const struct cb_topology *topology, int32_t from, int32_t to)
{
	uint8_t distance = has_distance(from) && has_distance(to) ? topology->distance[from][to] :
								    0;

	if (distance <= CB_DISTANCE_LOCAL || topology->farthest <= CB_DISTANCE_LOCAL)
		return 1;
	return 0.5 + 0.5 * CB_MIN((double)(distance - CB_DISTANCE_LOCAL) /
					  (topology->farthest - CB_DISTANCE_LOCAL),
				  1.0);
}

double cb_topology_distance_ratio(const struct cb_topology *topology, unsigned int a,
				  unsigned int b)
{
	const struct cb_cpu_place *from = &topology->cpu[a], *to = &topology->cpu[b];

	if (a == b)
		return 0;
	if (from->node != to->node)
		return node_distance(topology, from->node, to->node);
	if (from->package != to->package)
		return 1;
	if (from->llc != to->llc)
		return 0.5;
	return from->cluster == to->cluster ? 0 : 0.25;
}
