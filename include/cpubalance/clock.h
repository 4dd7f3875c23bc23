/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The clock that does not stand still: what CLOCK_MONOTONIC, by which everything here is timed, does not count.
 */

#include <stdint.h>

struct cb_host;

/* How long the machine has been suspended since its boot, in microseconds: CLOCK_BOOTTIME less CLOCK_MONOTONIC. */
uint64_t cb_host_suspended_usec(const struct cb_host *host);
