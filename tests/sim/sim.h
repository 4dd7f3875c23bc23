/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * One run of a scenario under one policy and one seed: the plant in virtual time, somebody who sets masks, and what came of it.
 *
 *     sim_run.c         the run and its measures
 *     sim_engine.c      the real engine, fed by the real inputs and obeyed
 *     sim_irqbalance.c  a peer: interrupts alone, by irqbalance's rule
 */

#include <stdio.h>

#include "cpubalance/engine.h"
#include "cpubalance/trace.h"
#include "plant.h"

enum sim_policy {
	SIM_UNMANAGED,
	SIM_IRQBALANCE,
	SIM_DAEMON,
	SIM_BOTH, /* the daemon leaves interrupts to irqbalance then */
	_SIM_POLICY_MAX,
};
const char *sim_policy_name(enum sim_policy policy);

struct sim_result {
	double value[_SCENARIO_MEASURE_MAX]; /* relative ones: absolute still, see sim_compare() */
	double served, wait_sec;	     /* since `from` */
	double hottest;			     /* mean of the hottest CPU's share since `from` */
	uint32_t n_windows;
};

struct sim_params {
	const struct scenario *scenario;
	uint64_t seed;
	enum sim_policy policy;
	FILE *windows;	    /* NULL, or where each window is told of */
	const char *record; /* NULL, or the trace to write */
};

/* 0, -ENOMEM, or what the trace could not be written for, with a message. */
int sim_run(const struct sim_params *params, struct sim_result *ret, struct cb_err *err)
	_must_check_;
/* Set the relative measures of @result from the unmanaged run of the same seed. */
void sim_compare(struct sim_result *result, const struct sim_result *unmanaged);
bool sim_needs_unmanaged(const struct scenario *scenario);
bool sim_holds(const struct scenario_expect *expect, const struct sim_result *result);

/* --- for sim*.c --- */

/* Somebody writes masks; counted here, for every policy alike. */
struct sim_item {
	struct cb_cpuset before; /* the mask before the last move */
	bool moved;		 /* `before` says something */
};

struct sim {
	const struct sim_params *params;
	struct plant *plant;
	struct sim_item *task_item, *queue_item;
	uint32_t n_moves, n_returns;
	struct sim_engine *engine;	   /* NULL without */
	struct sim_irqbalance *irqbalance; /* NULL without */
};

/* Write a mask and count it. @restore: an undoing, which is never a return. False: the kernel refuses. */
bool sim_set_task(struct sim *sim, uint32_t task, const struct cb_cpuset *mask, bool restore);
bool sim_set_queue(struct sim *sim, uint32_t queue, const struct cb_cpuset *mask, bool restore);

int sim_engine_new(struct sim *sim, struct cb_err *err) _must_check_;
void sim_engine_free(struct sim *sim);
int sim_engine_window(struct sim *sim) _must_check_;
void sim_engine_totals(const struct sim *sim, struct cb_totals *ret);

int sim_irqbalance_new(struct sim *sim) _must_check_;
void sim_irqbalance_free(struct sim *sim);
void sim_irqbalance_window(struct sim *sim);
