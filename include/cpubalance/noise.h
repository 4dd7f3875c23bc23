/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * How much loads vary by themselves, and what follows for the planner. Of many CPUs that are equally loaded one is always the
 * hottest, by about sqrt(2 ln n) standard deviations: that is no reason to move anything. What is expected of a window is
 * the smoothed load before it; the squares of the errors of this forecast, averaged, are the noise.
 */

#include <math.h>

#include "cpubalance/macro.h"

/* Windows that the noise is averaged over. */
#define CB_NOISE_WINDOWS 20u

struct cb_noise {
	double square;	    /* mean square of the error */
	uint32_t n_windows; /* up to CB_NOISE_WINDOWS */
};

/* One more window, with what was measured in it and what was expected. All 0 is a noise that knows nothing yet. */
static inline void cb_noise_update(struct cb_noise *noise, double measured, double expected)
{
	double error = measured - expected;

	if (noise->n_windows < CB_NOISE_WINDOWS)
		noise->n_windows++;
	noise->square += (error * error - noise->square) / noise->n_windows;
}

/*
 * Share by which the hottest of @n_cpus has to exceed the others before that means anything. @noise_square, @load_square: sums
 * over the CPUs of their noise and of the squares of their smoothed loads. @dt_usec, @tau_usec: of the smoothing, as for
 * cb_rate_update(). Returns 0 where nothing is known.
 *
 * With a weight w of the newest window, the error of a forecast has 2 / (2 - w) of the variance of a window, and a smoothed load has
 * w / (2 - w): so the latter is w / 2 of the former.
 */
static inline double cb_noise_hysteresis_ratio(double noise_square, double load_square,
					       uint32_t n_cpus, uint64_t dt_usec, uint64_t tau_usec)
{
	double weight = (double)dt_usec / (double)(dt_usec + tau_usec), log2_n = 0;

	if (load_square <= 0 || n_cpus < 2)
		return 0;
	for (uint32_t n = n_cpus; n > 1; n /= 2)
		log2_n++;
	/* half of it: of the loads that show up as the hottest, that many last */
	return 0.5 * sqrt(noise_square / load_square * weight / 2) *
	       sqrt(2 * 0.6931471805599453 * log2_n);
}
