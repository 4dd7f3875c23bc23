/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Between metrics.c and metrics_rows.c: a function for each row of metrics.def, which calls cb_metric_count() or
 * cb_metric_value() for each of its samples, with as many labels as the row has. A row without its function does not link.
 */

#include <stddef.h>

#include "cpubalance/engine.h"
#include "metrics.h"

/* Interrupts with series of their own: those that we have placed, and so many of the busiest others. */
#define IRQ_SERIES_MAX	64u
#define IRQ_BUSIEST_MAX 16u
/* Workers with series of their own. */
#define WORKER_SERIES_MAX 256u

/* Labels that a row may have. */
#define LABELS_MAX 2u

/* A stretch of the text that is made once. */
struct piece {
	size_t at, len;
};

struct pieces {
	struct piece head[2];		   /* HELP and TYPE; as OpenMetrics */
	struct piece part[LABELS_MAX + 1]; /* before each label's value, and before the figure */
	size_t size;			   /* of all parts, and what ends a sample */
};

struct cb_metrics {
	struct pieces *pieces; /* by row */
	char *text;	       /* of them */
	char *buf;
	size_t len, size;
	bool failed;	/* out of memory */
	size_t row;	/* that is being written */
	bool head_done; /* its HELP and TYPE are there */
	bool openmetrics;
	uint32_t n_irqs; /* ascending number */
	struct cb_irq_use irq[IRQ_SERIES_MAX + IRQ_BUSIEST_MAX];
};

struct cb_manager;

#define CB_METRIC_ROW(id, name, type, unit, labels, detail, help) \
	void cb_metric_##id(struct cb_metrics *metrics, const struct cb_manager *m);
#include "cpubalance/metrics.def"
#undef CB_METRIC_ROW

/* Once before the rows. */
void cb_metrics_choose_irqs(struct cb_metrics *metrics, const struct cb_manager *m);

/* One sample; labels in the order of the row, NULL beyond. */
void cb_metric_count(struct cb_metrics *metrics, uint64_t value, const char *label1,
		     const char *label2);
/* The first label is a number. */
void cb_metric_numbered(struct cb_metrics *metrics, double value, uint32_t number,
			const char *label2);
void cb_metric_value(struct cb_metrics *metrics, double value, const char *label1,
		     const char *label2);
