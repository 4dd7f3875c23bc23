/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The Prometheus text format 0.0.4 and OpenMetrics 1.0.0, from the rows of metrics.def; the type and the unit of a row derive the rest of its
 * name. One buffer is kept and used again.
 */

#include <stdbool.h>
#include <stdio.h>

#include "cpubalance/macro.h"

struct cb_manager;
struct cb_metrics;

struct cb_metrics *cb_metrics_new(void);
struct cb_metrics *cb_metrics_free(struct cb_metrics *metrics); /* NULL is fine; returns NULL */

/* All metrics that MetricsDetail= shows. Valid until the next call; NULL without memory. */
const char *cb_metrics_render(struct cb_metrics *metrics, const struct cb_manager *m);

/* The same as OpenMetrics 1.0.0, which differs in how counters' families are named and how a text ends. */
const char *cb_metrics_render_openmetrics(struct cb_metrics *metrics, const struct cb_manager *m);

/* docs/METRICS.md. */
void cb_metrics_print_doc(FILE *out);
