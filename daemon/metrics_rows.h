/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Between metrics.c and metrics_rows.c: a function for each row of metrics.def, which calls cb_metric_count() or
 * cb_metric_value() for each of its samples, with as many labels as the row has. A row without its function does not link.
 */

#include <stddef.h>

#include "metrics.h"

struct cb_metrics {
	char *buf;
	size_t len, size;
	bool failed;	/* out of memory */
	size_t row;	/* that is being written */
	bool head_done; /* its HELP and TYPE are there */
	bool openmetrics;
};

struct cb_manager;

#define CB_METRIC_ROW(id, name, type, unit, labels, detail, help) \
	void cb_metric_##id(struct cb_metrics *metrics, const struct cb_manager *m);
#include "cpubalance/metrics.def"
#undef CB_METRIC_ROW

/* One sample; labels in the order of the row, NULL beyond. */
void cb_metric_count(struct cb_metrics *metrics, uint64_t value, const char *label1,
		     const char *label2);
void cb_metric_value(struct cb_metrics *metrics, double value, const char *label1,
		     const char *label2);
