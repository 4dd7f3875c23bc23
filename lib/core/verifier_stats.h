/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What verifier.c asks and verifier_stats.c computes. */

#include "cpubalance/verifier.h"

/* One figure of a window. They are told apart by their addresses. */
typedef double (*verifier_measure)(const struct cb_window *window);
double verifier_served(const struct cb_window *window);
double verifier_metric(const struct cb_window *window);
double verifier_wait(const struct cb_window *window);
double verifier_hot_wait(const struct cb_window *window);
double verifier_hot_cpu(const struct cb_window *window);
double verifier_control(const struct cb_window *window);
double verifier_heat(const struct cb_window *window);
double verifier_others(const struct cb_window *window);
double verifier_elsewhere(const struct cb_window *window);
double verifier_cpu(const struct cb_window *window);
double verifier_drops(const struct cb_window *window);

double verifier_mean(const struct cb_window *window, uint32_t n, verifier_measure measure);
/* Whether all windows have it, and there are any. */
bool verifier_has(const struct cb_window *window, uint32_t n, verifier_measure measure);
/* Variance of the difference of the means of two sides (or of the mean of one, with @n_after 0). */
double verifier_variance(const struct cb_window *before, uint32_t n_before,
			 const struct cb_window *after, uint32_t n_after, verifier_measure measure);

struct verifier_test {
	bool made;
	double before, after;
	double error;	     /* standard, of the difference */
	double p_up, p_down; /* one-sided */
};

void verifier_test(const struct cb_window *before, uint32_t n_before, const struct cb_window *after,
		   uint32_t n_after, verifier_measure measure,
		   const struct cb_verifier_params *params, struct verifier_test *ret);
