/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Greedy search from the hottest CPU: try every movable item that is counted there, take the move that lowers the objective
 * most, pretend it is done, look again. An item moves at most once in a plan.
 *
 * Invariants: a target is never empty and always a subset of the item's target mask; loads in scratch[] are those after the
 * steps chosen so far; the objective falls with every step.
 */

#include <string.h>

#include "cpubalance/planner.h"

struct search {
	const struct cb_planner_problem *problem;
	const struct cb_topology *topology;
	double *load; /* [n_cpu_ids] as the steps so far leave it */
	int32_t place[CB_PLANNER_ITEMS_MAX]; /* where a step of this plan puts the item, -1 it stays */
};

struct candidate {
	uint32_t index;
	int32_t cpu;         /* best place, -1 none */
	double objective;    /* change of the objective, negative is better */
	double gain_ratio;   /* fall of the higher of the two effective loads */
	enum cb_reject reject;
};

static double effective(const struct search *s, unsigned int cpu)
{
	double load = s->load[cpu];
	struct cb_cpuset siblings = cb_topology_siblings(s->topology, cpu);

	CB_CPUSET_FOREACH(other, &siblings)
		load += CB_PLANNER_SMT_SHARE * s->load[other];
	return load / s->problem->capacity_ratio[cpu];
}

static double power8(double x)
{
	double x2 = x * x, x4 = x2 * x2;

	return x4 * x4;
}

/* The part of the objective that depends on the load of @cpu: its own term and its siblings'. */
static double objective_near(const struct search *s, unsigned int cpu)
{
	double sum = power8(effective(s, cpu));
	struct cb_cpuset siblings = cb_topology_siblings(s->topology, cpu);

	CB_CPUSET_FOREACH(other, &siblings)
		sum += power8(effective(s, other));
	return sum;
}

static bool same_core(const struct search *s, unsigned int a, unsigned int b)
{
	return s->topology->cpu[a].core == s->topology->cpu[b].core;
}

static double objective_of_pair(const struct search *s, unsigned int a, unsigned int b)
{
	return objective_near(s, a) + (same_core(s, a, b) ? 0 : objective_near(s, b));
}

/* What moving @item from @from to @to does; leaves the loads as they were. */
static void try_move(struct search *s, const struct cb_planner_item *item, unsigned int from, unsigned int to,
		     double *ret_objective, double *ret_gain_ratio)
{
	double objective = objective_of_pair(s, from, to);
	double hottest = CB_MAX(effective(s, from), effective(s, to));

	s->load[from] -= item->load_ratio;
	s->load[to] += item->load_ratio;
	*ret_objective = objective_of_pair(s, from, to) - objective;
	*ret_gain_ratio = hottest - CB_MAX(effective(s, from), effective(s, to));
	s->load[from] += item->load_ratio;
	s->load[to] -= item->load_ratio;
}

/* The best place for one item on @hot, and whether it may go there. */
static void evaluate(struct search *s, uint32_t index, unsigned int hot, struct candidate *ret)
{
	const struct cb_planner_item *item = &s->problem->item[index];

	*ret = (struct candidate){ .index = index, .cpu = -1, .reject = item->reject };
	CB_CPUSET_FOREACH(cpu, &item->target) {
		double objective, gain_ratio;

		if (cpu == hot || cpu >= s->topology->n_cpu_ids)
			continue;
		try_move(s, item, hot, cpu, &objective, &gain_ratio);
		if (ret->cpu >= 0 && objective >= ret->objective)
			continue;
		ret->cpu = (int32_t)cpu;
		ret->objective = objective;
		ret->gain_ratio = gain_ratio;
	}
	if (ret->reject != CB_REJECT_NONE)
		return;
	if (item->load_ratio < s->problem->min_item_ratio)
		ret->reject = CB_REJECT_TOO_SMALL;
	else if (ret->cpu < 0)
		ret->reject = CB_REJECT_OUTSIDE_CPUSET;
	else if (!item->single && cb_cpuset_equal(&item->mask, &item->target))
		ret->reject = CB_REJECT_FLOATING;
	else if (ret->objective >= 0 || ret->gain_ratio < s->problem->min_gain_ratio)
		ret->reject = CB_REJECT_NO_GAIN;
}

/* The hottest CPU among those that an item could leave or reach; the given one first. */
static unsigned int hottest_cpu(const struct search *s)
{
	unsigned int hot = (unsigned int)s->problem->hot_cpu;
	double highest = effective(s, hot);

	for (uint32_t i = 0; i < s->problem->n_items; i++) {
		const struct cb_planner_item *item = &s->problem->item[i];
		double e;

		if (item->cpu < 0 || s->place[i] >= 0)
			continue;
		e = effective(s, (unsigned int)item->cpu);
		if (e > highest) {
			highest = e;
			hot = (unsigned int)item->cpu;
		}
	}
	return hot;
}

static bool best_candidate(struct search *s, unsigned int hot, struct candidate *ret)
{
	bool found = false;

	for (uint32_t i = 0; i < s->problem->n_items; i++) {
		struct candidate candidate;

		if (s->place[i] >= 0 || s->problem->item[i].cpu != (int32_t)hot)
			continue;
		evaluate(s, i, hot, &candidate);
		if (candidate.reject != CB_REJECT_NONE)
			continue;
		if (found && candidate.objective >= ret->objective)
			continue;
		*ret = candidate;
		found = true;
	}
	return found;
}

static void take_step(struct search *s, const struct candidate *candidate, struct cb_planner_result *ret)
{
	const struct cb_planner_item *item = &s->problem->item[candidate->index];
	struct cb_step *step = &ret->step[ret->n_steps++];

	*step = (struct cb_step){
		.item = item->ref,
		.op = CB_OP_SET,
		.from = item->mask,
		.to = item->single ? cb_cpuset_of((unsigned int)candidate->cpu) : item->target,
		.load_ratio = item->load_ratio,
		.state = CB_STEP_PLANNED,
	};
	s->load[item->cpu] -= item->load_ratio;
	s->load[candidate->cpu] += item->load_ratio;
	s->place[candidate->index] = candidate->cpu;
}

/* Every item on the hot CPU that stays says why, and where its best place would be. */
static void fill_refusals(struct search *s, unsigned int hot, struct cb_planner_result *ret)
{
	for (uint32_t i = 0; i < s->problem->n_items && ret->n_refusals < CB_REFUSALS_MAX; i++) {
		const struct cb_planner_item *item = &s->problem->item[i];
		struct candidate candidate;

		if (s->place[i] >= 0 || item->cpu != (int32_t)hot)
			continue;
		evaluate(s, i, hot, &candidate);
		ret->refusal[ret->n_refusals++] = (struct cb_refusal){
			.item = item->ref,
			.cpu = item->cpu,
			.reason = candidate.reject == CB_REJECT_NONE ? CB_REJECT_PLAN_FULL : candidate.reject,
			.best_cpu = candidate.cpu,
			.gain_ratio = candidate.gain_ratio,
			.load_ratio = item->load_ratio,
		};
	}
}

/* Highest effective load among the CPU to be mended and the places that the steps lead to. */
static double hottest_concerned(const struct search *s)
{
	double highest = effective(s, (unsigned int)s->problem->hot_cpu);

	for (uint32_t i = 0; i < s->problem->n_items; i++)
		if (s->place[i] >= 0)
			highest = CB_MAX(highest, effective(s, (unsigned int)s->place[i]));
	return highest;
}

void cb_planner_run(const struct cb_planner_problem *problem, struct cb_planner_result *ret)
{
	struct search s;
	struct candidate candidate;

	s.problem = problem;
	s.topology = problem->topology;
	s.load = problem->scratch;
	*ret = (struct cb_planner_result){ 0 };
	if (problem->n_items > CB_PLANNER_ITEMS_MAX)
		return;
	for (uint32_t i = 0; i < problem->n_items; i++)
		s.place[i] = -1;
	memcpy(s.load, problem->floor_ratio, problem->topology->n_cpu_ids * sizeof(*s.load));
	for (uint32_t i = 0; i < problem->n_items; i++)
		if (problem->item[i].cpu >= 0)
			s.load[problem->item[i].cpu] += problem->item[i].load_ratio;

	ret->hottest_before_ratio = hottest_concerned(&s);
	while (ret->n_steps < CB_MIN(problem->max_steps, CB_STEPS_MAX) &&
	       best_candidate(&s, hottest_cpu(&s), &candidate))
		take_step(&s, &candidate, ret);
	ret->hottest_after_ratio = hottest_concerned(&s);
	fill_refusals(&s, (unsigned int)problem->hot_cpu, ret);
}
