/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Trimming: of a solution, moves are taken back that are not needed for a level. One that can simply go back home goes; else one that came
 * to the home of another that left may take that one's way: two moves become one or, where both have changed places, none.
 */
#include "placement.h"

/* Items of a CPU that are looked at for one that could go in another's stead. */
#define LOOKS_MAX 16u

static bool has_left(const struct cb_planner_scratch *p, uint32_t rank)
{
	return p->from[rank] != NOWHERE && p->at[rank] != p->from[rank];
}

/* Is @cpu, and whoever feels it, at its limit or below with @load more? */
static bool fits(const struct cb_planner_scratch *p, unsigned int cpu, double load)
{
	if (p->felt[cpu] + load > p->limit[cpu] + LOAD_EPSILON)
		return false;
	for (unsigned int other = p->sibling[cpu]; other != cpu; other = p->sibling[other])
		if (p->felt[other] + p->smt_ratio * load > p->limit[other] + LOAD_EPSILON)
			return false;
	return true;
}

static void move(struct cb_planner_scratch *p, uint32_t rank, uint16_t cpu)
{
	placement_detach(p, rank);
	placement_attach(p, rank, cpu);
}

/* Carry out and, where a limit is not kept then, take back: exact also where both CPUs are of one core. */
static bool exchange(struct cb_planner_scratch *p, uint32_t back, uint32_t instead)
{
	uint16_t home = p->from[back], target = p->at[back];

	move(p, back, home);
	move(p, instead, target);
	if (fits(p, home, 0) && fits(p, target, 0))
		return true;
	move(p, instead, home);
	move(p, back, target);
	return false;
}

/* Let one that came to the home of @rank go on to where that one is. */
static bool go_instead(struct cb_planner_scratch *p, uint32_t rank)
{
	uint16_t home = p->from[rank], target = p->at[rank];
	uint32_t looks = 0;

	for (uint16_t i = p->head[home]; i != NOWHERE && looks < LOOKS_MAX; i = p->next[i]) {
		double more;

		if (!has_left(p, i) || !placement_allowed(p, i, target))
			continue;
		looks++;
		more = p->w[rank] - p->w[i];
		/* a first look, without what siblings feel */
		if (p->felt[home] + more > p->limit[home] + LOAD_EPSILON ||
		    p->felt[target] - more > p->limit[target] + LOAD_EPSILON)
			continue;
		if (exchange(p, rank, i))
			return true;
	}
	return false;
}

static bool take_back(struct cb_planner_scratch *p, uint32_t rank)
{
	if (!fits(p, p->from[rank], p->w[rank]))
		return go_instead(p, rank);
	move(p, rank, p->from[rank]);
	return true;
}

uint32_t placement_trim(struct cb_planner_scratch *p, double level)
{
	uint32_t taken, all = 0;

	for (uint32_t i = 0; i < p->n_cpus; i++) {
		unsigned int cpu = p->cpu[i];

		p->limit[cpu] = CB_MAX(level / p->inverse[cpu], p->felt[cpu]);
	}
	do {
		taken = 0;
		for (uint32_t rank = p->n; rank-- > 0;)
			taken += has_left(p, rank) && take_back(p, rank);
		all += taken;
	} while (taken);
	return all;
}
