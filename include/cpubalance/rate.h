/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A rate, raw over the last interval and smoothed. The smoothing is an exponential average in its implicit form,
 * weight = dt / (tau + dt): plain arithmetic, right for any dt, and the same in every replay.
 */

#include "cpubalance/macro.h"

struct cb_rate {
	double raw, smooth;
};

/* @first: there is no history yet, the smoothed value starts at @raw. */
static inline void cb_rate_update(struct cb_rate *rate, double raw, uint64_t dt_usec, uint64_t tau_usec, int first)
{
	double weight = first ? 1.0 : (double)dt_usec / (double)(dt_usec + tau_usec);

	rate->raw = raw;
	rate->smooth += weight * (raw - rate->smooth);
}
