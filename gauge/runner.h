/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * One client of cpubalanced-gauge: it says once what is to be run and how often, and gets a line for each run:
 *
 *     > 1000000 /usr/local/bin/requests-per-second
 *     < + 1234.5
 *     < ! exit status 22: curl: (7) Failed to connect to 127.0.0.1 port 8080
 *
 * The number in front is the interval in microseconds. What begins with http:// or https:// is fetched by curl(1), anything else is
 * run by sh(1). The lines end when the client closes its end.
 */

#include "cpubalance/macro.h"

#define CB_GAUGE_REQUEST_MAX \
	320u /* a line, with its newline: an interval and less than 256 bytes */
#define CB_GAUGE_ANSWER_MAX   160u
#define CB_GAUGE_OUTPUT_MAX   4096u /* of a command; one that prints more is ended */
#define CB_GAUGE_TIMEOUT_USEC (5 * CB_USEC_PER_SEC)

/* Serve the client on @fd until it has gone. In a process of its own; returns its exit status. */
int cb_gauge_serve(int fd);
