/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * cpubalanced --doctor: what this machine lets the balancer see and do, what stands in the way, and what to do about it.
 * Looks only: no journal is opened, nothing is written, a daemon that runs is not disturbed.
 */

#include "options.h"

/* Print every finding. Returns CB_EXIT_OK, or CB_EXIT_FAILED when one is a problem or the machine cannot be looked at. */
int cb_doctor(const struct cb_options *options);
