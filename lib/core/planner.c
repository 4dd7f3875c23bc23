/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A plan within a budget. Where all could be, if every CPU were brought to about the mean, says for each item where to: that is the joint
 * part, so that the plans after this one need not move it again. Of that, step by step and from the hottest CPU downwards to the one to be
 * mended, what lowers it most for each of its moves is taken, together with what has to leave the target first. An exchange with a
 * cool CPU (placement_mend.c) is taken instead where that is better, and where the placement has nothing that helps.
 *
 * Every unit of moves lowers the hottest of the CPUs that it touches by min_gain_ratio for each of its moves, and the sum of
 * E^8 over them (a maximum alone would stall on ties). A plan whose steps were all spent on others, so that the CPU to be mended is as hot as
 * before, is no plan for it: then only that one is helped.
 *
 * Invariants: a target is never empty and always a subset of the item's target mask; loads are those after the steps chosen so
 * far; an item moves at most once in a plan.
 */
#include "placement.h"

#include <math.h>

/* Moves of an exchange. */
#define UNIT_MAX EXCHANGE_MOVES_MAX
/* The level of the joint placement, in means. */
#define LEVEL_OF_MEAN 1.05
/* A step of the joint placement is as good as any other that gains no more than this many times as much. */
#define JOINT_WORTH 1.1
/* Items of a CPU that are looked at for its best step. */
#define CANDIDATES_MAX 12u
/* The coolest CPUs of each node that are looked at for an item's best place. */
#define PLACES_OF_ZONE 8u
/* CPUs that are looked at in vain before the plan is complete. */
#define HELPLESS_MAX 64u

struct move {
	double load;
	uint16_t rank; /* NOWHERE: of an item that may not move */
	uint16_t from, to;
};

/* What belongs together: moves, and then those that make room for them. */
struct unit {
	uint32_t n;
	struct move move[UNIT_MAX];
	double gain_ratio; /* fall of the hottest CPU concerned, per move */
	bool good;	   /* that is enough */
};

struct run {
	struct cb_planner_scratch *p;
	const struct cb_planner_problem *problem;
	struct cb_planner_result *ret;
	unsigned int hot;
	double min_gain_ratio;
	bool alone;   /* help no CPU but the one to be mended */
	double mean;  /* effective load of all CPUs: none has to be below it */
	uint16_t *to; /* [n] where the joint placement has the item; NOWHERE: it has had its step */
};

/* --- the effect of moves --- */

static double power8(double x)
{
	double x2 = x * x, x4 = x2 * x2;

	return x4 * x4;
}

/* CPUs that moves change, with their siblings, each once. */
struct touched {
	uint32_t n;
	uint16_t cpu[2 * UNIT_MAX * 8];
};

static void touch(const struct cb_planner_scratch *p, unsigned int cpu, struct touched *touched)
{
	unsigned int other = cpu;

	do {
		bool known = false;

		for (uint32_t i = 0; i < touched->n; i++)
			known = known || touched->cpu[i] == other;
		if (!known && touched->n < CB_ARRAY_SIZE(touched->cpu))
			touched->cpu[touched->n++] = (uint16_t)other;
		other = p->sibling[other];
	} while (other != cpu);
}

static void measure(const struct cb_planner_scratch *p, const struct touched *touched,
		    double *ret_hottest, double *ret_sum)
{
	*ret_hottest = *ret_sum = 0;
	for (uint32_t i = 0; i < touched->n; i++) {
		double level = placement_effective(p, touched->cpu[i]);

		*ret_hottest = CB_MAX(*ret_hottest, level);
		*ret_sum += power8(level);
	}
}

/* Shift loads only; lists stay as they are. */
static void shift(struct cb_planner_scratch *p, const struct unit *unit, double sign)
{
	for (uint32_t i = 0; i < unit->n; i++) {
		placement_add(p, unit->move[i].from, -sign * unit->move[i].load);
		placement_add(p, unit->move[i].to, sign * unit->move[i].load);
	}
}

/* Sets the unit's gain. Leaves the loads as they were. */
static void weigh(struct run *run, struct unit *unit)
{
	struct cb_planner_scratch *p = run->p;
	struct touched touched = { 0 };
	double before, after, sum_before, sum_after;

	for (uint32_t i = 0; i < unit->n; i++) {
		touch(p, unit->move[i].from, &touched);
		touch(p, unit->move[i].to, &touched);
	}
	measure(p, &touched, &before, &sum_before);
	shift(p, unit, 1);
	measure(p, &touched, &after, &sum_after);
	shift(p, unit, -1);
	unit->gain_ratio = (before - after) / unit->n;
	unit->good = sum_after < sum_before && unit->gain_ratio >= run->min_gain_ratio;
}

/* --- steps of the joint placement --- */

static struct move move_of(const struct run *run, uint16_t rank)
{
	return (struct move){ run->p->w[rank], rank, run->p->at[rank], run->to[rank] };
}

static bool is_pending(const struct run *run, uint16_t rank)
{
	return run->to[rank] != NOWHERE && run->p->at[rank] != run->to[rank];
}

/* The largest item of @cpu that the placement has elsewhere and that is not in the unit yet, or NOWHERE. */
static uint16_t next_to_leave(const struct run *run, unsigned int cpu, const struct unit *unit)
{
	for (uint16_t rank = run->p->head[cpu]; rank != NOWHERE; rank = run->p->next[rank]) {
		bool known = !is_pending(run, rank);

		for (uint32_t i = 0; i < unit->n; i++)
			known = known || unit->move[i].rank == rank;
		if (!known)
			return rank;
	}
	return NOWHERE;
}

/* The step that moves @rank: alone, or with what has to leave its target first. */
static void joint_unit(struct run *run, uint16_t rank, uint32_t at_most, struct unit *ret)
{
	*ret = (struct unit){ .n = 1, .move = { move_of(run, rank) } };
	weigh(run, ret);
	while (!ret->good && ret->n < CB_MIN(at_most, UNIT_MAX)) {
		uint16_t leaves = next_to_leave(run, run->to[rank], ret);

		if (leaves == NOWHERE)
			return;
		ret->move[ret->n++] = move_of(run, leaves);
		weigh(run, ret);
	}
}

/* The best one of those of the largest items of @cpu. */
static struct unit best_joint_unit(struct run *run, unsigned int cpu, uint32_t at_most)
{
	struct unit best = { 0 }, unit;
	uint32_t seen = 0;

	for (uint16_t rank = run->p->head[cpu]; rank != NOWHERE && seen < CANDIDATES_MAX;
	     rank = run->p->next[rank]) {
		if (!is_pending(run, rank))
			continue;
		seen++;
		joint_unit(run, rank, at_most, &unit);
		if (unit.good && unit.gain_ratio > best.gain_ratio)
			best = unit;
	}
	return best;
}

/* --- the best place of an item --- */

/* How hot the hotter of both CPUs is after a move; of equals, the cooler target. */
static double level_after(const struct run *run, const struct unit *unit)
{
	struct cb_planner_scratch *p = run->p;
	const struct move *move = &unit->move[0];
	double level, target, way = run->problem->weights.locality_ratio;

	way = way > 0 ? way * placement_distance(p, move->from, move->to) : 0;
	shift(p, unit, 1);
	target = placement_effective(p, move->to) * (1 + way);
	level = CB_MAX(placement_effective(p, move->from), target);
	for (unsigned int cpu = p->sibling[move->to]; cpu != move->to; cpu = p->sibling[cpu])
		level = CB_MAX(level, placement_effective(p, cpu));
	shift(p, unit, -1);
	return level + 1e-3 * target;
}

/* The best place for an item but its own, among the coolest ones of each node. False: there is none. */
static bool best_place(struct run *run, const struct cb_planner_item *item, uint16_t rank,
		       uint16_t from, struct unit *ret)
{
	const struct cb_planner_scratch *p = run->p;
	double lowest = HUGE_VAL;

	*ret = (struct unit){ 0 };
	for (uint32_t i = 0; i < p->n_zones; i++) {
		for (uint32_t j = 0, seen = 0; j < p->zone[i].n && seen < PLACES_OF_ZONE; j++) {
			uint16_t cpu = (uint16_t)p->zone[i].slot[j];
			struct unit unit = { .n = 1,
					     .move = { { item->load_ratio, rank, from, cpu } } };
			double level;

			if (cpu == from || !cb_cpuset_has(item->target, cpu))
				continue;
			seen++;
			level = level_after(run, &unit);
			if (level >= lowest)
				continue;
			lowest = level;
			*ret = unit;
		}
	}
	if (ret->n)
		weigh(run, ret);
	return ret->n > 0;
}

/* --- taking steps --- */

static void add_step(struct run *run, uint16_t rank, uint16_t to)
{
	const struct cb_planner_item *item = &run->problem->item[run->p->index[rank]];
	struct cb_step *step = &run->ret->step[run->ret->n_steps++];

	*step = (struct cb_step){
		.item = item->ref,
		.op = CB_OP_SET,
		.from = *item->mask,
		.to = item->single ? cb_cpuset_of(to) : *item->target,
		.load_ratio = item->load_ratio,
		.state = CB_STEP_PLANNED,
	};
	run->to[rank] = NOWHERE;
}

static void take(struct run *run, const struct unit *unit)
{
	struct cb_planner_scratch *p = run->p;

	/* what makes room goes first */
	for (uint32_t i = unit->n; i-- > 0;) {
		const struct move *move = &unit->move[i];

		add_step(run, move->rank, move->to);
		placement_detach(p, move->rank);
		placement_attach(p, move->rank, move->to);
		placement_reorder_core(p, move->from);
		placement_reorder_core(p, move->to);
	}
}

static uint32_t steps_left(const struct run *run)
{
	return CB_MIN(run->problem->max_steps, CB_STEPS_MAX) - run->ret->n_steps;
}

static void add_move(const struct run *run, struct unit *unit, uint16_t rank, uint16_t to)
{
	if (rank != NOWHERE)
		unit->move[unit->n++] =
			(struct move){ run->p->w[rank], rank, run->p->at[rank], to };
}

/* The best exchange of @cpu with at most that many moves; a unit of none where there is none. */
static struct unit best_exchange(struct run *run, unsigned int cpu, uint32_t at_most)
{
	struct cb_planner_scratch *p = run->p;
	double level = placement_effective(p, cpu);
	double enough = CB_MIN(run->mean, level);
	struct placement_exchange exchange;
	struct unit unit = { 0 };

	if (!placement_exchange(p, cpu, enough, run->min_gain_ratio / enough, at_most, run->to,
				&exchange))
		return unit;
	for (int i = 0; i < 2; i++)
		add_move(run, &unit, exchange.give[i], exchange.partner);
	for (int i = 0; i < 2; i++)
		add_move(run, &unit, exchange.take[i], (uint16_t)cpu);
	weigh(run, &unit);
	return unit;
}

/* Take the best unit that makes @cpu cooler. False: there is none. */
static bool help(struct run *run, unsigned int cpu)
{
	double excess = placement_effective(run->p, cpu) - run->mean;
	uint32_t left = CB_MIN(steps_left(run), UNIT_MAX);
	struct unit best = best_joint_unit(run, cpu, left), unit = best_exchange(run, cpu, 1);

	if (unit.good && unit.gain_ratio > JOINT_WORTH * best.gain_ratio)
		best = unit;
	/* nothing that takes two moves can gain more than half of the excess for each */
	if (left > 1 && best.gain_ratio < excess / 2) {
		unit = best_exchange(run, cpu, left);
		if (unit.good && unit.gain_ratio > JOINT_WORTH * best.gain_ratio)
			best = unit;
	}
	if (best.good)
		take(run, &best);
	return best.good;
}

/* The hottest CPU that has something to give away and has not been looked at in vain; of equals, the one to be mended. */
static unsigned int hottest_cpu(const struct run *run)
{
	const struct cb_planner_scratch *p = run->p;
	double level = p->stuck[run->hot] ? -1 : placement_effective(p, run->hot);
	unsigned int hottest = run->hot;

	for (uint32_t i = 0; i < p->n_zones; i++) {
		for (uint32_t j = p->zone[i].n; j-- > 0;) {
			unsigned int cpu = (uint32_t)p->zone[i].slot[j];

			if (placement_effective(p, cpu) <= level)
				break;
			if (p->head[cpu] == NOWHERE || p->stuck[cpu])
				continue;
			level = placement_effective(p, cpu);
			hottest = cpu;
		}
	}
	return hottest;
}

/* Help the hottest that can be helped, down to the one to be mended. */
static void take_steps(struct run *run)
{
	struct cb_planner_scratch *p = run->p;

	memset(p->stuck, 0, p->problem->topology->n_cpu_ids);
	for (uint32_t helpless = 0; steps_left(run) > 0;) {
		unsigned int cpu = helpless < HELPLESS_MAX && !run->alone ? hottest_cpu(run) :
									    run->hot;

		if (p->stuck[cpu] || placement_effective(p, cpu) < placement_effective(p, run->hot))
			return;
		if (help(run, cpu))
			continue;
		p->stuck[cpu] = 1;
		helpless++;
	}
}

/* What has no place yet comes first. */
static void place_new(struct run *run)
{
	struct cb_planner_scratch *p = run->p;

	for (uint16_t rank = 0; rank < p->n && steps_left(run) > 0; rank++) {
		uint16_t to;

		if (p->at[rank] != NOWHERE)
			continue;
		to = placement_first_place(p, rank);
		add_step(run, rank, to);
		placement_attach(p, rank, to);
	}
}

/* --- what it all comes to --- */

static enum cb_reject reason_of(const struct run *run, const struct cb_planner_item *item,
				const struct unit *unit)
{
	if (item->reject != CB_REJECT_NONE)
		return item->reject;
	if (item->load_ratio < run->problem->min_item_ratio)
		return CB_REJECT_TOO_SMALL;
	if (unit->n == 0)
		return CB_REJECT_OUTSIDE_CPUSET;
	if (!item->single && cb_cpuset_equal(item->mask, item->target))
		return CB_REJECT_FLOATING;
	return unit->good ? CB_REJECT_PLAN_FULL : CB_REJECT_NO_GAIN;
}

static bool has_step(const struct run *run, const struct cb_planner_item *item)
{
	for (uint32_t i = 0; i < run->ret->n_steps; i++)
		if (cb_item_equal(run->ret->step[i].item, item->ref))
			return true;
	return false;
}

/* Every item on the hot CPU that stays says why, and where its best place would be. */
static void fill_refusals(struct run *run)
{
	struct cb_planner_result *ret = run->ret;

	for (uint32_t i = 0; i < run->problem->n_items && ret->n_refusals < CB_REFUSALS_MAX; i++) {
		const struct cb_planner_item *item = &run->problem->item[i];
		struct unit unit;

		if (item->cpu != (int32_t)run->hot || has_step(run, item))
			continue;
		best_place(run, item, NOWHERE, (uint16_t)run->hot, &unit);
		ret->refusal[ret->n_refusals++] = (struct cb_refusal){
			.item = item->ref,
			.cpu = item->cpu,
			.reason = reason_of(run, item, &unit),
			.best_cpu = unit.n ? (int32_t)unit.move[0].to : -1,
			.gain_ratio = unit.n ? unit.gain_ratio : 0,
			.load_ratio = item->load_ratio,
		};
	}
}

/* Highest effective load among the CPU to be mended and the places that the steps lead to. */
static double hottest_concerned(const struct run *run)
{
	const struct cb_planner_scratch *p = run->p;
	double highest = placement_effective(p, run->hot);

	for (uint32_t rank = 0; rank < p->n; rank++)
		if (p->at[rank] != p->home[rank] && p->at[rank] != NOWHERE)
			highest = CB_MAX(highest, placement_effective(p, p->at[rank]));
	return highest;
}

static double mean_level(const struct cb_planner_scratch *p)
{
	double sum = 0;

	for (uint32_t i = 0; i < p->n_cpus; i++)
		sum += placement_effective(p, p->cpu[i]);
	return sum / p->n_cpus;
}

/* Where the loaded solution would have all items be if there were no budget. */
static void place_jointly(struct run *run)
{
	struct cb_planner_scratch *p = run->p;

	memcpy(p->from, p->at, p->n * sizeof(*p->from));
	p->effort = 0; /* only for what is not asked for here */
	placement_pack(p, run->mean * LEVEL_OF_MEAN, PACK_CONSTRAINED | PACK_KEEP | PACK_ANYWAY);
	for (uint32_t rank = 0; rank < p->n; rank++)
		if (run->to[rank] != NOWHERE)
			run->to[rank] = p->at[rank];
	placement_load(p, p->from);
}

/* From home to a plan. */
static void choose_steps(struct run *run, bool alone)
{
	struct cb_planner_scratch *p = run->p;

	run->alone = alone;
	run->ret->n_steps = 0;
	placement_load(p, p->home);
	memset(run->to, 0, p->n * sizeof(*run->to));
	place_new(run);
	run->mean = mean_level(p);
	place_jointly(run);
	placement_order_by_load(p);
	take_steps(run);
}

/* Is the CPU to be mended cooler, or was nothing to be done but find places? */
static bool is_mended(const struct run *run)
{
	double level = placement_effective(run->p, run->hot);

	return run->ret->n_steps == 0 || level < run->ret->hottest_before_ratio - LOAD_EPSILON;
}

void cb_planner_run(const struct cb_planner_problem *problem, struct cb_planner_result *ret)
{
	struct cb_planner_scratch *p = problem->scratch;
	struct run run = { .p = p,
			   .problem = problem,
			   .ret = ret,
			   .hot = (unsigned int)problem->hot_cpu,
			   .min_gain_ratio = problem->min_gain_ratio,
			   .to = p->best };

	*ret = (struct cb_planner_result){ 0 };
	if (problem->hot_cpu < 0 || (uint32_t)problem->hot_cpu >= problem->topology->n_cpu_ids ||
	    !cb_cpuset_has(&problem->topology->online, run.hot) || !placement_begin(p, problem))
		return;
	placement_rank(p);
	ret->hottest_before_ratio = placement_effective(p, run.hot);
	/*
	 * A gain that is smaller than what the load varies by is none. That was measured of busy shares, which end at 1; what
	 * is wanted of a CPU beyond that is workers waiting, and no noise.
	 */
	run.min_gain_ratio =
		CB_MAX(run.min_gain_ratio,
		       problem->hysteresis_ratio * CB_MIN(ret->hottest_before_ratio, 1.0));
	choose_steps(&run, false);
	if (!is_mended(&run))
		choose_steps(&run, true);
	ret->hottest_after_ratio = hottest_concerned(&run);
	fill_refusals(&run);
}
