/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The planner: given the loads of CPUs and items, which few moves lower the hottest CPU most. Pure; knows neither time nor
 * budgets nor quarantine: the engine says what may move and how many steps there may be.
 *
 * Model: E_c = (L_c + 0.3 x L_siblings) / capacity_c, objective sum of E_c^8 over the usable CPUs (a max-only objective stalls
 * on ties). A worker's target is a mask, the widest that it may have; the scheduler then finds it a place, which the model takes to be
 * the best one. An interrupt's target is a single CPU, since it lands on a single one anyway.
 */

#include "cpubalance/plan.h"
#include "cpubalance/topology.h"

/* Share of a busy SMT sibling's load that is felt; the usual gain of a second hardware thread is 20 to 30 %. */
#define CB_PLANNER_SMT_SHARE 0.3

/* Items of one problem: every worker there can be, and as many interrupts. */
#define CB_PLANNER_ITEMS_MAX (2u * CB_WORKERS_MAX)

struct cb_planner_item {
	struct cb_item_ref ref;
	double load_ratio;       /* CPU-seconds wanted per second; may exceed 1 for a worker with threads */
	int32_t cpu;             /* where it is counted now */
	struct cb_cpuset mask;   /* what it has now */
	struct cb_cpuset target; /* the widest mask that it may have; for an interrupt, the CPUs to choose from */
	bool single;             /* target has to be one CPU (interrupt, Placement=core) */
	enum cb_reject reject;   /* not NONE: it stays, for this reason */
};

struct cb_planner_problem {
	const struct cb_topology *topology;
	const double *floor_ratio; /* [n_cpu_ids] load that is no item's */
	const double *capacity_ratio; /* [n_cpu_ids] what the CPU can give, steal taken off; > 0 */
	struct cb_planner_item *item;
	uint32_t n_items;
	int32_t hot_cpu;         /* the CPU to be mended */
	uint32_t max_steps;      /* <= CB_STEPS_MAX */
	double min_gain_ratio;   /* smallest fall of the hottest CPU's effective load per step */
	double min_item_ratio;
	double *scratch;         /* [n_cpu_ids] */
};

struct cb_planner_result {
	uint32_t n_steps;
	struct cb_step step[CB_STEPS_MAX];
	uint32_t n_refusals;
	struct cb_refusal refusal[CB_REFUSALS_MAX];
	double hottest_before_ratio, hottest_after_ratio; /* effective load of the hottest CPU concerned */
};

/* Deterministic: the same problem gives the same result. Does not allocate. */
void cb_planner_run(const struct cb_planner_problem *problem, struct cb_planner_result *ret);
