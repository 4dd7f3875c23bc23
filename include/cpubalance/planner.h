/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The planner: given the loads of CPUs and items, which few moves lower the hottest CPU most. Pure; knows neither time nor
 * budgets nor quarantine: the engine says what may move and how many steps there may be.
 *
 * Model: E_c = (L_c + 0.3 x L_siblings) / capacity_c. A worker's target is a mask, the widest that it may have; the scheduler
 * then finds it a place, which the model takes to be the one computed here. An interrupt's target is a single CPU, since it lands
 * on a single one anyway.
 *
 * How, in short (more in lib/core/placement*.c). The whole placement: the smallest level is looked for under which all CPUs can be brought
 * when every CPU above it gives up its fewest items; what is left above is mended by exchanges with the hottest CPU. A plan within a
 * budget: from a coarse placement of all items, and from exchanges with cool CPUs, the steps that help the hottest CPU most.
 */

#include "cpubalance/plan.h"
#include "cpubalance/topology.h"

/* Items of one problem: every worker there can be, as many interrupts, and room for more in larger machines. */
#define CB_PLANNER_ITEMS_MAX 16384u

struct cb_planner_item {
	struct cb_item_ref ref;
	double load_ratio; /* CPU-seconds wanted per second; may exceed 1 for a worker with threads */
	int32_t cpu; /* where it is counted now; -1, or not online: it has no place yet and needs one */
	enum cb_reject reject;	      /* not NONE: it stays, for this reason */
	bool single;		      /* its target has to be one CPU (interrupt, Placement=core) */
	const struct cb_cpuset *mask; /* what it has now */
	const struct cb_cpuset *
		target; /* the widest mask that it may have; for a single one, the CPUs to choose from */
};

/* What is weighed besides the loads. All 0: nothing but the hottest CPU counts. */
struct cb_planner_weights {
	double smt_ratio;      /* share of a busy SMT sibling's load that is felt */
	double locality_ratio; /* a place on another node has to be better by this share of the level; another LLC, by half of it */
};

/* The usual gain of a second hardware thread is 20 to 30 %, so that the sibling's work costs about as much of one's own. */
#define CB_PLANNER_WEIGHTS ((struct cb_planner_weights){ .smt_ratio = 0.3, .locality_ratio = 0.1 })

struct cb_planner_scratch;

/* Working memory for problems of up to that size. Returns NULL without memory or beyond CB_CPUS_MAX, CB_PLANNER_ITEMS_MAX. */
struct cb_planner_scratch *cb_planner_scratch_new(uint32_t n_cpu_ids, uint32_t n_items)
	_must_check_;
struct cb_planner_scratch *cb_planner_scratch_free(
	struct cb_planner_scratch *scratch); /* NULL is fine; returns NULL */

struct cb_planner_problem {
	const struct cb_topology *topology;
	const double *floor_ratio;    /* [n_cpu_ids] load that is no item's */
	const double *capacity_ratio; /* [n_cpu_ids] what the CPU can give, steal taken off; > 0 */
	const struct cb_planner_item *item;
	uint32_t n_items; /* beyond what the scratch was made for, nothing is done */
	struct cb_planner_weights weights;
	int32_t hot_cpu;    /* the CPU to be mended; not used by cb_planner_place() */
	uint32_t max_steps; /* <= CB_STEPS_MAX; not used by cb_planner_place() */
	double min_gain_ratio; /* smallest fall of the hottest CPU's effective load per step; not used by cb_planner_place() */
	double min_item_ratio;	 /* smaller items stay */
	double hysteresis_ratio; /* of the loads: what is within it is taken for noise, see noise.h */
	struct cb_planner_scratch *scratch;
};

struct cb_planner_result {
	uint32_t n_steps;
	struct cb_step step[CB_STEPS_MAX];
	uint32_t n_refusals;
	struct cb_refusal refusal[CB_REFUSALS_MAX];
	double hottest_before_ratio,
		hottest_after_ratio; /* effective load of the hottest CPU concerned */
};

/*
 * A plan within a budget. Deterministic: the same problem gives the same result. Does not allocate. The steps come in an
 * order in which every one that is no part of a swap, and every swap as a whole, lowers the hottest CPU that can be helped; the CPU to be
 * mended is cooler after it, unless all its steps give items a place that have none.
 */
void cb_planner_run(const struct cb_planner_problem *problem, struct cb_planner_result *ret);

/*
 * The whole placement, without a budget, for the hottest CPU alone: @ret_cpu[n_items] is where each item is to be, -1 for one that has
 * no place and cannot get any. Run again on its own result it changes nothing. Returns how many items change their place.
 */
uint32_t cb_planner_place(const struct cb_planner_problem *problem, int32_t *ret_cpu);
