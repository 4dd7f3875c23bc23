/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The verifier: did a move help? Pure statistics over windows before and after it. The score is outcome, not demand: served
 * work first, or the operator's own number where every window has one, run-queue wait per CPU-second second. Successive windows are autocorrelated, so blocks of two are exchanged in a
 * permutation test, exact where the number of arrangements allows, else seeded.
 */

#include "cpubalance/plan.h"

/* Largest VerifyWindowsMax= and VerifyWindows=. */
#define CB_WINDOWS_MAX 60u

struct cb_window {
	bool has_served, has_wait, has_control, has_metric, has_heat, has_hot, has_others;
	double served_per_sec;     /* packets, or CPU-seconds where packets cannot be counted */
	double wait_ratio;         /* run-queue wait per CPU-second of the workers */
	double hot_wait_ratio;     /* wait_ratio of the workers that were on the hot CPU when the plan was carried out */
	double hot_cpu_per_sec;    /* and the CPU time that they got */
	double control_per_sec;    /* CPU-seconds of groups that were not touched */
	double drops_per_sec;      /* connections dropped at the listeners */
	double heat_ratio;         /* how full the busiest of the CPUs was that the plan takes something from or puts something on */
	double metric;             /* ServiceMetric=: what the operator counts instead of served work */
	double cpu_per_sec;        /* CPU-seconds of the group's workers */
	double others_per_sec;     /* CPU-seconds that were neither a worker's nor an interrupt's */
	double elsewhere_per_sec;  /* of these, on CPUs that the plan puts nothing on: has_others */
};

struct cb_verifier_params {
	double alpha_ratio;      /* level of the whole verdict, both looks and both measures */
	double min_effect_ratio; /* smallest change of served work that counts */
	bool final;              /* the last look: NONE is not an answer */
	bool headroom;           /* interrupts alone were moved: a cooler CPU is worth it where nothing is worse */
	bool metric_falls;       /* the operator's number is better when it is less */
	bool late;               /* long after the move: the load is another one, so less served work alone is no harm */
	uint32_t seed;
};

/*
 * Is a baseline of @n windows long enough? False below @n_min, true from @n_max on; between, when the mean of served work is known well
 * enough for the smallest effect that counts. A noisy service is looked at for longer before it is touched.
 */
bool cb_verifier_enough(const struct cb_window *before, uint32_t n, uint32_t n_min, uint32_t n_max,
			const struct cb_verifier_params *params);

/*
 * @ret->verdict: KEPT, ROLLED_BACK, VOID, INCONCLUSIVE, or NONE (look again with more windows). All figures and the sentence are set.
 * @n_before, @n_after: 0 to CB_WINDOWS_MAX.
 */
void cb_verifier_judge(const struct cb_window *before, uint32_t n_before, const struct cb_window *after, uint32_t n_after,
		       const struct cb_verifier_params *params, struct cb_judgement *ret);
