/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The buffer and the rows; what each row shows is in metrics_rows.c. The header of a metric is written with its first
 * sample, so that a metric without samples is not there at all: absent is not zero.
 */
#include "metrics.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "manager.h"
#include "metrics_rows.h"

#define BUFFER_FIRST 16384u

struct cb_metrics *cb_metrics_new(void)
{
	struct cb_metrics *metrics = calloc(1, sizeof(*metrics));

	if (!metrics)
		return NULL;
	metrics->buf = malloc(BUFFER_FIRST);
	metrics->size = BUFFER_FIRST;
	if (!metrics->buf)
		return cb_metrics_free(metrics);
	return metrics;
}

struct cb_metrics *cb_metrics_free(struct cb_metrics *metrics)
{
	if (!metrics)
		return NULL;
	free(metrics->buf);
	free(metrics);
	return NULL;
}

static void _printf_(2, 3) put(struct cb_metrics *metrics, const char *fmt, ...)
{
	va_list ap;
	char *grown;
	int n;

	for (;;) {
		if (metrics->failed)
			return;
		va_start(ap, fmt);
		n = vsnprintf(metrics->buf + metrics->len, metrics->size - metrics->len, fmt, ap);
		va_end(ap);
		if (n < 0) {
			metrics->failed = true;
			return;
		}
		if ((size_t)n < metrics->size - metrics->len) {
			metrics->len += (size_t)n;
			return;
		}
		grown = realloc(metrics->buf, metrics->size * 2 + (size_t)n);
		if (!grown) {
			metrics->failed = true;
			return;
		}
		metrics->buf = grown;
		metrics->size = metrics->size * 2 + (size_t)n;
	}
}

/* --- the rows --- */

enum type {
	TYPE_GAUGE,
	TYPE_COUNTER,
};

enum unit {
	UNIT_NONE,
	UNIT_SECONDS,
	UNIT_RATIO,
	UNIT_BYTES,
	UNIT_INFO,
};

struct metric {
	const char *name;
	enum type type;
	enum unit unit;
	const char *labels;
	enum cb_detail detail;
	const char *help;
	void (*collect)(struct cb_metrics *metrics, const struct cb_manager *m);
};

static const struct metric table[] = {
#define CB_METRIC_ROW(id, name, type, unit, labels, detail, help) \
	{ name, TYPE_##type, UNIT_##unit, labels, CB_DETAIL_##detail, help, cb_metric_##id },
#include "cpubalance/metrics.def"
#undef CB_METRIC_ROW
};

static const char *unit_suffix(enum unit unit)
{
	switch (unit) {
	case UNIT_NONE:
		return "";
	case UNIT_SECONDS:
		return "_seconds";
	case UNIT_RATIO:
		return "_ratio";
	case UNIT_BYTES:
		return "_bytes";
	case UNIT_INFO:
		return "_info";
	}
	return "";
}

/* In OpenMetrics a counter's family is named without the "_total" of its samples. */
static void family_name(const struct metric *metric, char *buf, size_t size)
{
	snprintf(buf, size, "cpubalance_%s%s", metric->name, unit_suffix(metric->unit));
}

static void full_name(const struct metric *metric, char *buf, size_t size)
{
	snprintf(buf, size, "cpubalance_%s%s%s", metric->name, unit_suffix(metric->unit),
		 metric->type == TYPE_COUNTER ? "_total" : "");
}

static const char *type_name(const struct metric *metric)
{
	return metric->type == TYPE_COUNTER ? "counter" : "gauge";
}

/* A label's value: backslash, quote and newline are escaped (exposition format 0.0.4). */
static void put_escaped(struct cb_metrics *metrics, const char *value)
{
	for (; *value; value++) {
		if (*value == '\\' || *value == '"')
			put(metrics, "\\%c", *value);
		else if (*value == '\n')
			put(metrics, "\\n");
		else
			put(metrics, "%c", *value);
	}
}

/* The next name of a comma-separated list of labels. */
static const char *next_label(const char *labels, int *ret_len)
{
	const char *comma = strchr(labels, ',');

	*ret_len = (int)(comma ? comma - labels : (ptrdiff_t)strlen(labels));
	return comma ? comma + 1 : labels + *ret_len;
}

static void put_head(struct cb_metrics *metrics, const struct metric *metric)
{
	char name[128];

	if (!metrics->openmetrics) {
		full_name(metric, name, sizeof(name));
		put(metrics, "# HELP %s %s\n# TYPE %s %s\n", name, metric->help, name,
		    type_name(metric));
		return;
	}
	family_name(metric, name, sizeof(name));
	put(metrics, "# TYPE %s %s\n", name, type_name(metric));
	if (metric->unit != UNIT_NONE && metric->unit != UNIT_INFO)
		put(metrics, "# UNIT %s %s\n", name, unit_suffix(metric->unit) + 1);
	put(metrics, "# HELP %s ", name);
	put_escaped(metrics, metric->help); /* quotes too, unlike 0.0.4 */
	put(metrics, "\n");
}

static void put_sample(struct cb_metrics *metrics, const char *value, const char *const *labels)
{
	const struct metric *metric = &table[metrics->row];
	const char *names = metric->labels;
	char name[128];

	full_name(metric, name, sizeof(name));
	if (!metrics->head_done)
		put_head(metrics, metric);
	metrics->head_done = true;
	put(metrics, "%s", name);
	for (size_t i = 0; *names; i++) {
		int len;
		const char *next = next_label(names, &len);

		put(metrics, "%c%.*s=\"", i == 0 ? '{' : ',', len, names);
		put_escaped(metrics, labels[i]);
		put(metrics, "\"");
		names = next;
	}
	put(metrics, "%s %s\n", metric->labels[0] ? "}" : "", value);
}

void cb_metric_count(struct cb_metrics *metrics, uint64_t value, const char *label1,
		     const char *label2)
{
	char text[32];

	snprintf(text, sizeof(text), "%ju", (uintmax_t)value);
	put_sample(metrics, text, (const char *const[]){ label1, label2 });
}

void cb_metric_value(struct cb_metrics *metrics, double value, const char *label1,
		     const char *label2)
{
	char text[32];

	snprintf(text, sizeof(text), "%.9g", value);
	put_sample(metrics, text, (const char *const[]){ label1, label2 });
}

static const char *render(struct cb_metrics *metrics, const struct cb_manager *m, bool openmetrics)
{
	metrics->openmetrics = openmetrics;
	metrics->len = 0;
	metrics->failed = false;
	metrics->buf[0] = '\0';
	for (size_t i = 0; i < CB_ARRAY_SIZE(table); i++) {
		if (table[i].detail > m->policy->metrics_detail)
			continue;
		metrics->row = i;
		metrics->head_done = false;
		table[i].collect(metrics, m);
	}
	if (openmetrics)
		put(metrics, "# EOF\n");
	return metrics->failed ? NULL : metrics->buf;
}

const char *cb_metrics_render(struct cb_metrics *metrics, const struct cb_manager *m)
{
	return render(metrics, m, false);
}

const char *cb_metrics_render_openmetrics(struct cb_metrics *metrics, const struct cb_manager *m)
{
	return render(metrics, m, true);
}

void cb_metrics_print_doc(FILE *out)
{
	fputs("# Metrics\n\n"
	      "Prometheus text format 0.0.4, from `cpubalctl metrics`, over HTTP from cpubalanced-metrics(8) (there as OpenMetrics too,\n"
	      "where a counter's family is named without `_total`) and, with `MetricsTextfile=`, in a file for node_exporter's\n"
	      "textfile collector. `MetricsDetail=` (`summary`, `cpu`, `full`) says how much is shown. A worker is\n"
	      "named by its group and a stable slot number, never by its pid or command line. What is unknown is absent.\n\n"
	      "This file is written by `cpubalanced --print-metrics-doc` (`make docs`).\n\n"
	      "| metric | type | labels | from `MetricsDetail=` | what it is |\n"
	      "|---|---|---|---|---|\n",
	      out);
	for (size_t i = 0; i < CB_ARRAY_SIZE(table); i++) {
		const char *names = table[i].labels;
		char name[128];

		full_name(&table[i], name, sizeof(name));
		fprintf(out, "| `%s` | %s | ", name, type_name(&table[i]));
		while (*names) {
			int len;
			const char *next = next_label(names, &len);

			fprintf(out, "`%.*s`%s", len, names, *next ? ", " : "");
			names = next;
		}
		fprintf(out, "%s | `%s` | %s |\n", table[i].labels[0] ? "" : "-",
			cb_detail_name(table[i].detail), table[i].help);
	}
}
