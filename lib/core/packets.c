/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * RPS gives each flow to one CPU of a set by its hash, so a set shares evenly, whatever its CPUs have to do besides. The best set is
 * therefore one of the coolest k CPUs, with the CPU that takes the interrupt or without it: without where its own work leaves no room for
 * an even share. Each further CPU costs interrupts from CPU to CPU, so it has to be worth something.
 */
#include "cpubalance/packets.h"

#include <math.h>

static double capacity(const struct cb_topology *topology, unsigned int cpu)
{
	uint32_t capacity = topology->cpu[cpu].capacity;

	return capacity ? (double)capacity / CB_CAPACITY_FULL : 1;
}

/* --- receiving --- */

/* The hottest CPU of the set and @problem->cpu, when the set shares what moves. */
static double hottest(const struct cb_rps_problem *p, const struct cb_cpuset *set)
{
	double moves = p->softirq_ratio * (1 - CB_RPS_STAYS_RATIO) / cb_cpuset_count(set);
	double most = p->load_ratio[p->cpu] - p->softirq_ratio * (1 - CB_RPS_STAYS_RATIO);

	if (cb_cpuset_has(set, p->cpu))
		most += moves;
	CB_CPUSET_FOREACH(cpu, set) {
		double load = p->load_ratio[cpu];

		if (cpu == p->cpu)
			continue;
		load += moves * capacity(p->topology, p->cpu) / capacity(p->topology, cpu);
		most = fmax(most, load);
	}
	return most;
}

/* CPUs that are cool enough, one of each core and none of @problem->cpu's. */
static struct cb_cpuset candidates(const struct cb_rps_problem *p, const struct cb_cpuset *may)
{
	struct cb_cpuset ret = CB_CPUSET_EMPTY;

	CB_CPUSET_FOREACH(cpu, may) {
		struct cb_cpuset siblings;
		bool better = true;

		if (cpu >= p->topology->n_cpu_ids)
			break;
		if (p->topology->cpu[cpu].core == p->topology->cpu[p->cpu].core ||
		    p->load_ratio[cpu] > p->load_ratio[p->cpu] - p->cooler_by_ratio)
			continue;
		siblings = cb_topology_siblings(p->topology, cpu);
		CB_CPUSET_FOREACH(other, &siblings)
			if (cb_cpuset_has(may, other) &&
			    (p->load_ratio[other] < p->load_ratio[cpu] ||
			     (other < cpu && p->load_ratio[other] <= p->load_ratio[cpu])))
				better = false;
		if (better)
			cb_cpuset_set(&ret, cpu);
	}
	return ret;
}

static struct cb_cpuset of_node(const struct cb_rps_problem *p, const struct cb_cpuset *set)
{
	int32_t node = p->topology->cpu[p->cpu].node;
	struct cb_cpuset ret = *set;

	CB_CPUSET_FOREACH(cpu, set)
		if (node >= 0 && cpu < p->topology->n_cpu_ids && p->topology->cpu[cpu].node != node)
			cb_cpuset_clear(&ret, cpu);
	return ret;
}

static int32_t coolest(const struct cb_rps_problem *p, const struct cb_cpuset *set)
{
	int32_t ret = -1;

	CB_CPUSET_FOREACH(cpu, set)
		if (ret < 0 || p->load_ratio[cpu] < p->load_ratio[ret])
			ret = (int32_t)cpu;
	return ret;
}

/* Is there a cooler CPU in the set, whatever else speaks against it? */
static bool any_cooler(const struct cb_rps_problem *p, const struct cb_cpuset *set, bool siblings)
{
	CB_CPUSET_FOREACH(cpu, set) {
		if (cpu >= p->topology->n_cpu_ids)
			break;
		if (cpu != p->cpu &&
		    (p->topology->cpu[cpu].core == p->topology->cpu[p->cpu].core) == siblings &&
		    p->load_ratio[cpu] <= p->load_ratio[p->cpu] - p->cooler_by_ratio)
			return true;
	}
	return false;
}

static enum cb_reject why_none(const struct cb_rps_problem *p)
{
	struct cb_cpuset others = cb_cpuset_andnot(&p->topology->online, &p->isolated);

	others = cb_cpuset_andnot(&others, &p->may);
	if (any_cooler(p, &p->may, false))
		return CB_REJECT_OTHER_NODE;
	if (any_cooler(p, &p->isolated, false))
		return CB_REJECT_ISOLATED;
	if (any_cooler(p, &others, false))
		return CB_REJECT_OUTSIDE_CPUSET;
	if (any_cooler(p, &p->may, true))
		return CB_REJECT_SIBLINGS;
	return CB_REJECT_NO_GAIN;
}

enum cb_reject cb_rps_choose(const struct cb_rps_problem *p, struct cb_rps_choice *ret)
{
	struct cb_cpuset near = of_node(p, &p->may), left, set = CB_CPUSET_EMPTY;
	bool own = cb_cpuset_has(&p->may, p->cpu);

	*ret = (struct cb_rps_choice){ .best_cpu = -1,
				       .before_ratio = p->load_ratio[p->cpu],
				       .after_ratio = p->load_ratio[p->cpu] };
	left = candidates(p, &near);
	if (cb_cpuset_empty(&left) && p->cross_node)
		left = candidates(p, &p->may);
	if (cb_cpuset_empty(&left))
		return why_none(p);
	ret->best_cpu = coolest(p, &left);
	while (!cb_cpuset_empty(&left)) {
		unsigned int next = (unsigned int)coolest(p, &left);
		struct cb_cpuset with;
		double after;

		cb_cpuset_clear(&left, next);
		cb_cpuset_set(&set, next);
		after = hottest(p, &set);
		if (after < ret->after_ratio - p->min_item_ratio) {
			ret->cpus = set;
			ret->after_ratio = after;
		}
		with = set;
		cb_cpuset_set(&with, p->cpu);
		after = hottest(p, &with);
		if (own && after < ret->after_ratio - p->min_item_ratio) {
			ret->cpus = with;
			ret->after_ratio = after;
		}
	}
	if (ret->before_ratio - ret->after_ratio < p->min_gain_ratio) {
		ret->cpus = CB_CPUSET_EMPTY;
		return CB_REJECT_NO_GAIN;
	}
	return CB_REJECT_NONE;
}

/* --- sending --- */

/* Of a CPU to where an interrupt lands; unknown is as far as anything. */
static double distance(const struct cb_topology *topology, unsigned int cpu, int32_t irq_cpu)
{
	if (irq_cpu < 0 || (uint32_t)irq_cpu >= topology->n_cpu_ids)
		return 3;
	if (cpu == (unsigned int)irq_cpu)
		return 0;
	if (topology->cpu[cpu].core == topology->cpu[irq_cpu].core)
		return 0.5;
	return 1 + cb_topology_distance_ratio(topology, cpu, (unsigned int)irq_cpu);
}

void cb_xps_spread(const struct cb_topology *topology, const struct cb_cpuset *cpus,
		   const int32_t *irq_cpu, uint32_t n, struct cb_cpuset *ret)
{
	for (uint32_t i = 0; i < n; i++)
		ret[i] = CB_CPUSET_EMPTY;
	/* those that take an interrupt first, so that the others fill up what is left */
	for (int pass = 0; pass < 2; pass++)
		CB_CPUSET_FOREACH(cpu, cpus) {
			double nearest = 4;
			uint32_t best = 0, fewest = 0;

			if (cpu >= topology->n_cpu_ids)
				break;
			for (uint32_t i = 0; i < n; i++) {
				double far = distance(topology, cpu, irq_cpu[i]);
				uint32_t has = cb_cpuset_count(&ret[i]);

				if (far > nearest || (far >= nearest && has >= fewest))
					continue;
				nearest = far;
				best = i;
				fewest = has;
			}
			if (n > 0 && (nearest <= 0) == (pass == 0))
				cb_cpuset_set(&ret[best], cpu);
		}
}
