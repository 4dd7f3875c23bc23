/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The strategy. A round: try levels from the bound upwards, packing in all ways below each; a level that is near the bound has to be reached,
 * from there on the most even packing will do; mend what is above; of all that, keep the solution that costs least, in heat and in
 * moves, and take back those of its moves that are not needed. Rounds follow until one improves nothing worth mentioning. A round depends on
 * nothing but the solution
 * that it starts from, so that the planner run again on its own result does nothing.
 *
 * The effort of a round is bounded in proportion to the problem; even packing and trimming, which are cheap and end by themselves, are outside of it.
 */
#include "placement.h"

#include <math.h>

/* The first level is this much above the bound, the second is ENOUGH, each further one above it by the factor. */
#define FIRST_LEVEL  0.001
#define LEVEL_FACTOR 2.5
/* Nobody notices less than this: mending stops at this much above the bound, and nothing is done for a smaller gain. */
#define ENOUGH 0.016
/* Levels that are reached, before the search ends: a higher one now and then ends better when it is mended. */
#define LEVELS_MAX 3
#define ROUNDS_MAX 8
/* Moving all items is worth as much as a hottest CPU that is cooler by this share of the bound. */
#define MOVES_WORTH 0.1
/* Within what nobody notices, moves are taken back where it is at least one of so many. */
#define TRIM_OF 10u
/* Effort of a round, and of one packing: a part of it and a number for each CPU and item. */
#define ROUND_EFFORT	  60000
#define ROUND_EFFORT_EACH 120
#define PACK_EFFORT	  15000
#define PACK_EFFORT_EACH  40
#define MEND_EFFORT_EACH  40

static double enough_of(const struct cb_planner_problem *problem)
{
	return ENOUGH + problem->hysteresis_ratio;
}

static int64_t effort_of(const struct cb_planner_scratch *p, int64_t fixed, int64_t each)
{
	return fixed + each * (p->n + p->n_cpus);
}

/* What the present solution costs, in multiples of the bound; below @least it does not get cheaper by being cooler. */
static double cost_of(const struct cb_planner_scratch *p, double bound, double least)
{
	return CB_MAX(placement_hottest(p), least) / bound +
	       MOVES_WORTH * placement_moves(p, p->from, p->at) / CB_MAX(p->n, 1u);
}

/* Remember the present solution in @ret if it costs less than @best. */
static void keep(const struct cb_planner_scratch *p, double bound, double least, double *best,
		 uint16_t *ret)
{
	double cost = cost_of(p, bound, least);

	if (cost >= *best)
		return;
	*best = cost;
	memcpy(ret, p->at, p->n * sizeof(*ret));
}

/* One packing; tight ones have a bounded part of the effort. */
static bool pack(struct cb_planner_scratch *p, double level, unsigned int how)
{
	int64_t others = 0;
	bool below;

	if (how & PACK_TIGHT)
		others = p->effort - CB_MIN(p->effort, effort_of(p, PACK_EFFORT, PACK_EFFORT_EACH));
	p->effort -= others;
	below = placement_pack(p, level, how);
	p->effort += others;
	return below;
}

/* Pack in all ways, the cheap ones first. False: none is below the level. True: the one with the fewest moves is loaded. */
static bool pack_below(struct cb_planner_scratch *p, double bound, double level)
{
	static const unsigned int ways[] = {
		PACK_CONSTRAINED,
		PACK_TIGHT,
		PACK_TIGHT | PACK_CONSTRAINED,
		PACK_KEEP | PACK_CONSTRAINED,
		PACK_KEEP | PACK_TIGHT,
		PACK_KEEP | PACK_TIGHT | PACK_CONSTRAINED,
	};
	double best = HUGE_VAL;

	p->hopeless = false;
	for (uint32_t i = 0; i < CB_ARRAY_SIZE(ways); i++) {
		bool tight = ways[i] & PACK_TIGHT;

		if (ways[i] & PACK_KEEP && (best < HUGE_VAL || !p->keepable))
			break;
		if (p->hopeless && !(ways[i] & PACK_KEEP))
			continue;
		if (tight && (p->effort <= 0 || (ways[i] & PACK_CONSTRAINED && p->n_classes == 1)))
			continue;
		if (!pack(p, level, ways[i]))
			continue;
		keep(p, bound, level, &best, p->best_packed);
		if (!tight)
			break;
	}
	if (best < HUGE_VAL)
		placement_load(p, p->best_packed);
	return best < HUGE_VAL;
}

/* The better of the even packings, also if it is above the level. */
static void pack_even(struct cb_planner_scratch *p, double bound, double level)
{
	double best = HUGE_VAL;

	pack(p, level, PACK_CONSTRAINED | PACK_ANYWAY);
	keep(p, bound, level, &best, p->best_packed);
	if (p->keepable) {
		pack(p, level, PACK_CONSTRAINED | PACK_KEEP | PACK_ANYWAY);
		keep(p, bound, level, &best, p->best_packed);
	}
	placement_load(p, p->best_packed);
}

/* One round from p->from: the result, if it is better, is loaded and true returned. */
static bool improve(struct cb_planner_scratch *p, double bound, double enough)
{
	double before = placement_hottest(p), best = HUGE_VAL, least = bound * (1 + FIRST_LEVEL);
	double goal = bound * (1 + enough), worth = before * (1 - enough);
	int reached = 0;

	p->effort = effort_of(p, ROUND_EFFORT, ROUND_EFFORT_EACH);
	if (p->smt_ratio <= 0 && pack_below(p, bound, least))
		return true;
	if (goal < worth) {
		pack_even(p, bound, goal);
		placement_mend(p, goal);
		keep(p, bound, least, &best, p->best);
		if (placement_hottest(p) <= goal)
			return true;
	}
	for (double level = goal; level < worth && p->effort > 0 && reached < LEVELS_MAX;
	     level = bound + (level - bound) * LEVEL_FACTOR) {
		if (!pack_below(p, bound, level))
			continue;
		reached++;
		placement_mend(p, goal);
		keep(p, bound, least, &best, p->best);
		if (placement_hottest(p) <= goal)
			break;
	}
	if (best >= HUGE_VAL) {
		p->effort = CB_MAX(p->effort, effort_of(p, 0, MEND_EFFORT_EACH));
		placement_load(p, p->from);
		placement_mend(p, goal);
		keep(p, bound, least, &best, p->best);
	}
	placement_load(p, p->best);
	return placement_hottest(p) < worth;
}

uint16_t placement_first_place(const struct cb_planner_scratch *p, uint32_t rank)
{
	double coolest = HUGE_VAL;
	uint16_t best = NOWHERE;

	for (uint32_t i = 0; i < p->n_cpus; i++) {
		uint16_t cpu = p->cpu[i];
		double level = (p->felt[cpu] + p->w[rank]) * p->inverse[cpu];

		if (level >= coolest || !placement_allowed(p, rank, cpu))
			continue;
		coolest = level;
		best = cpu;
	}
	return best;
}

static void place_new(struct cb_planner_scratch *p)
{
	for (uint32_t rank = 0; rank < p->n; rank++)
		if (p->at[rank] == NOWHERE)
			placement_attach(p, rank, placement_first_place(p, rank));
}

/* Fewer moves at a level that is still good enough: not for a few of many, which cost about as much as the heat that they save. */
static void trim(struct cb_planner_scratch *p, double level)
{
	uint32_t moves = placement_moves(p, p->from, p->at);

	memcpy(p->best, p->at, p->n * sizeof(*p->best));
	if (placement_trim(p, level) &&
	    TRIM_OF * (moves - placement_moves(p, p->from, p->at)) < moves)
		placement_load(p, p->best);
}

void placement_solve(struct cb_planner_scratch *p)
{
	double enough = enough_of(p->problem), bound = placement_bound(p);

	place_new(p);
	for (int round = 0; round < ROUNDS_MAX; round++) {
		memcpy(p->from, p->at, p->n * sizeof(*p->from));
		if (placement_hottest(p) * (1 - enough) <= bound)
			return;
		if (!improve(p, bound, enough)) {
			placement_load(p, p->from);
			return;
		}
		trim(p, bound * (1 + enough));
	}
}

uint32_t cb_planner_place(const struct cb_planner_problem *problem, int32_t *ret_cpu)
{
	struct cb_planner_scratch *p = problem->scratch;
	uint32_t moves = 0;

	for (uint32_t i = 0; i < problem->n_items; i++)
		ret_cpu[i] = problem->item[i].cpu;
	if (!placement_begin(p, problem) || placement_at_rest(p, enough_of(problem)))
		return 0;
	placement_rank(p);
	placement_solve(p);
	for (uint32_t rank = 0; rank < p->n; rank++) {
		moves += p->at[rank] != p->home[rank];
		ret_cpu[p->index[rank]] = p->at[rank] == NOWHERE ? -1 : (int32_t)p->at[rank];
	}
	return moves;
}
