/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The buffer and the rows; what each row shows is in metrics_rows.c. The header of a metric is written with its first
 * sample, so that a metric without samples is not there at all: absent is not zero.
 *
 * A machine of many CPUs has thousands of samples, so nothing is formatted that can be copied: what stands around the
 * labels and the value of a row is made once, and the buffer is kept.
 */
#include "metrics.h"

#include <stdlib.h>
#include <string.h>

#include "manager.h"
#include "metrics_rows.h"

#define BUFFER_FIRST 16384u
/* Room for any number as text. */
#define NUMBER_MAX 32u
/* What is copied at once where less is wanted. */
#define STROKE 64u

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

/* The next name of a comma-separated list of labels. */
static const char *next_label(const char *labels, int *ret_len)
{
	const char *comma = strchr(labels, ',');

	*ret_len = (int)(comma ? comma - labels : (ptrdiff_t)strlen(labels));
	return comma ? comma + 1 : labels + *ret_len;
}

/* --- the buffer --- */

/* Room for @n more bytes and a NUL; false without memory. */
static inline bool room(struct cb_metrics *metrics, size_t n)
{
	size_t size = metrics->size;
	char *grown;

	if (n < size - metrics->len)
		return !metrics->failed;
	while (n >= size - metrics->len)
		size *= 2;
	grown = metrics->failed ? NULL : realloc(metrics->buf, size);
	if (!grown) {
		metrics->failed = true;
		return false;
	}
	metrics->buf = grown;
	metrics->size = size;
	return true;
}

static void put(struct cb_metrics *metrics, const char *text, size_t len)
{
	if (!room(metrics, len))
		return;
	memcpy(metrics->buf + metrics->len, text, len);
	metrics->len += len;
}

/* A label's value: backslash, quote and newline are escaped (exposition format 0.0.4). Returns its end. */
static inline char *write_escaped(char *to, const char *value)
{
	for (; *value; value++) {
		if (*value == '\\' || *value == '"' || *value == '\n')
			*to++ = '\\';
		*to++ = *value == '\n' ? 'n' : *value;
	}
	return to;
}

/* --- figures --- */

/* 00 to 99: two digits for one division. */
static const char two_digits[] =
	"0001020304050607080910111213141516171819202122232425262728293031323334353637383940"
	"4142434445464748495051525354555657585960616263646566676869707172737475767778798081"
	"828384858687888990919293949596979899";

/* Writes the digits of @value before @end. Returns where they begin. */
static char *digits_before(char *end, uint64_t value)
{
	for (; value >= 100; value /= 100)
		memcpy(end -= 2, &two_digits[2 * (value % 100)], 2);
	if (value >= 10)
		return memcpy(end - 2, &two_digits[2 * value], 2);
	*--end = (char)('0' + value);
	return end;
}

/* Returns the end of what it has written at @to, where there is room for NUMBER_MAX. */
static char *write_count(char *to, uint64_t value)
{
	char text[2 * NUMBER_MAX], *end = text + NUMBER_MAX, *at;

	if (value < 10) {
		*to = (char)('0' + value);
		return to + 1;
	}
	memset(end, 0, NUMBER_MAX);
	at = digits_before(end, value);
	memcpy(to, at, NUMBER_MAX); /* what is behind it too: always as much is faster */
	return to + (end - at);
}

/* Six digits behind the point, without zeros at the end: finer than anything here is measured. */
static char *write_value(char *to, double value)
{
	uint64_t millionths, whole;
	uint32_t fraction;

	if (!(value >= 0 && value < 1e12)) /* NaN too */
		return to + snprintf(to, NUMBER_MAX, "%.9g", value);
	millionths = (uint64_t)(value * 1e6 + 0.5);
	whole = millionths / 1000000;
	fraction = (uint32_t)(millionths - whole * 1000000);
	to = write_count(to, whole);
	if (fraction == 0)
		return to;
	*to++ = '.';
	memcpy(to, &two_digits[2 * (fraction / 10000)], 2);
	memcpy(to + 2, &two_digits[2 * (fraction / 100 % 100)], 2);
	memcpy(to + 4, &two_digits[2 * (fraction % 100)], 2);
	for (to += 6; to[-1] == '0';)
		to--;
	return to;
}

/* --- what is the same in every text --- */

static void make_head(struct cb_metrics *metrics, const struct metric *metric, bool openmetrics)
{
	char name[128], line[512];
	int n;

	if (!openmetrics) {
		full_name(metric, name, sizeof(name));
		n = snprintf(line, sizeof(line), "# HELP %s %s\n# TYPE %s %s\n", name, metric->help,
			     name, type_name(metric));
		put(metrics, line, (size_t)n);
		return;
	}
	family_name(metric, name, sizeof(name));
	n = snprintf(line, sizeof(line), "# TYPE %s %s\n", name, type_name(metric));
	put(metrics, line, (size_t)n);
	if (metric->unit != UNIT_NONE && metric->unit != UNIT_INFO) {
		n = snprintf(line, sizeof(line), "# UNIT %s %s\n", name,
			     unit_suffix(metric->unit) + 1);
		put(metrics, line, (size_t)n);
	}
	n = snprintf(line, sizeof(line), "# HELP %s ", name);
	put(metrics, line, (size_t)n);
	if (room(metrics, 2 * strlen(metric->help))) /* quotes too, unlike 0.0.4 */
		metrics->len = (size_t)(write_escaped(metrics->buf + metrics->len, metric->help) -
					metrics->buf);
	put(metrics, "\n", 1);
}

/* Everything of a sample that is neither a label's value nor the figure. */
static void make_parts(struct cb_metrics *metrics, const struct metric *metric, struct piece *ret)
{
	const char *names = metric->labels;
	size_t begin = metrics->len;
	char name[160];

	full_name(metric, name, sizeof(name));
	put(metrics, name, strlen(name));
	for (int i = 0; *names; i++) {
		const char *next;
		int len;

		next = next_label(names, &len);
		put(metrics, i == 0 ? "{" : "\",", i == 0 ? 1 : 2);
		put(metrics, names, (size_t)len);
		put(metrics, "=\"", 2);
		ret[i] = (struct piece){ begin, metrics->len - begin };
		begin = metrics->len;
		names = next;
	}
	put(metrics, metric->labels[0] ? "\"} " : " ", metric->labels[0] ? 3 : 1);
	ret[LABELS_MAX] = (struct piece){ begin, metrics->len - begin };
}

/* Made in the buffer, which moves to where they are kept. */
static int make_pieces(struct cb_metrics *metrics)
{
	for (size_t i = 0; i < CB_ARRAY_SIZE(table); i++) {
		struct pieces *pieces = &metrics->pieces[i];

		for (int openmetrics = 0; openmetrics <= 1; openmetrics++) {
			size_t begin = metrics->len;

			make_head(metrics, &table[i], openmetrics);
			pieces->head[openmetrics] = (struct piece){ begin, metrics->len - begin };
		}
		make_parts(metrics, &table[i], pieces->part);
		pieces->size = 2; /* the newline, and a NUL */
		for (size_t k = 0; k <= LABELS_MAX; k++)
			pieces->size += pieces->part[k].len;
	}
	if (!room(metrics, STROKE))
		return -1;
	memset(metrics->buf + metrics->len, 0, STROKE);
	metrics->text = metrics->buf;
	metrics->buf = malloc(BUFFER_FIRST);
	metrics->size = BUFFER_FIRST;
	metrics->len = 0;
	return metrics->buf ? 0 : -1;
}

struct cb_metrics *cb_metrics_new(void)
{
	struct cb_metrics *metrics = calloc(1, sizeof(*metrics));

	if (!metrics)
		return NULL;
	metrics->pieces = calloc(CB_ARRAY_SIZE(table), sizeof(*metrics->pieces));
	metrics->buf = malloc(BUFFER_FIRST);
	metrics->size = BUFFER_FIRST;
	if (!metrics->pieces || !metrics->buf || make_pieces(metrics) < 0)
		return cb_metrics_free(metrics);
	return metrics;
}

struct cb_metrics *cb_metrics_free(struct cb_metrics *metrics)
{
	if (!metrics)
		return NULL;
	free(metrics->pieces);
	free(metrics->text);
	free(metrics->buf);
	free(metrics);
	return NULL;
}

/* --- samples --- */

/* Short pieces, which are nearly all, in one stroke: behind the text and in the buffer is room for it. */
static char *copy_piece(const struct cb_metrics *metrics, char *to, struct piece piece)
{
	const char *from = metrics->text + piece.at;

	if (piece.len <= STROKE)
		memcpy(to, from, STROKE);
	else
		memcpy(to, from, piece.len);
	return to + piece.len;
}

/* Room for a sample with labels of so many bytes, and where it goes; NULL without memory. */
static char *begin_sample(struct cb_metrics *metrics, size_t labels_size)
{
	const struct pieces *pieces = &metrics->pieces[metrics->row];

	if (!metrics->head_done)
		put(metrics, metrics->text + pieces->head[metrics->openmetrics].at,
		    pieces->head[metrics->openmetrics].len);
	metrics->head_done = true;
	return room(metrics, pieces->size + 2 * NUMBER_MAX + STROKE + 2 * labels_size) ?
		       metrics->buf + metrics->len :
		       NULL;
}

/* From the second label on. */
static char *write_label2(const struct cb_metrics *metrics, char *to, const char *label2)
{
	const struct pieces *pieces = &metrics->pieces[metrics->row];

	if (pieces->part[1].len > 0)
		to = write_escaped(copy_piece(metrics, to, pieces->part[1]), label2);
	return copy_piece(metrics, to, pieces->part[LABELS_MAX]);
}

static char *write_labels(struct cb_metrics *metrics, const char *label1, const char *label2)
{
	const struct pieces *pieces = &metrics->pieces[metrics->row];
	char *to = begin_sample(metrics,
				(label1 ? strlen(label1) : 0) + (label2 ? strlen(label2) : 0));

	if (!to)
		return NULL;
	if (pieces->part[0].len > 0)
		to = write_escaped(copy_piece(metrics, to, pieces->part[0]), label1);
	return write_label2(metrics, to, label2);
}

static void end_sample(struct cb_metrics *metrics, char *to)
{
	*to++ = '\n';
	metrics->len = (size_t)(to - metrics->buf);
}

void cb_metric_count(struct cb_metrics *metrics, uint64_t value, const char *label1,
		     const char *label2)
{
	char *to = write_labels(metrics, label1, label2);

	if (to)
		end_sample(metrics, write_count(to, value));
}

void cb_metric_value(struct cb_metrics *metrics, double value, const char *label1,
		     const char *label2)
{
	char *to = write_labels(metrics, label1, label2);

	if (to)
		end_sample(metrics, write_value(to, value));
}

void cb_metric_numbered(struct cb_metrics *metrics, double value, uint32_t number,
			const char *label2)
{
	char *to = begin_sample(metrics, NUMBER_MAX + (label2 ? strlen(label2) : 0));

	if (!to)
		return;
	to = copy_piece(metrics, to, metrics->pieces[metrics->row].part[0]);
	to = write_label2(metrics, write_count(to, number), label2);
	end_sample(metrics, write_value(to, value));
}

static const char *render(struct cb_metrics *metrics, const struct cb_manager *m, bool openmetrics)
{
	metrics->openmetrics = openmetrics;
	metrics->len = 0;
	metrics->failed = false;
	if (m->policy->metrics_detail > CB_DETAIL_SUMMARY)
		cb_metrics_choose_irqs(metrics, m);
	for (size_t i = 0; i < CB_ARRAY_SIZE(table); i++) {
		if (table[i].detail > m->policy->metrics_detail)
			continue;
		metrics->row = i;
		metrics->head_done = false;
		table[i].collect(metrics, m);
	}
	if (openmetrics)
		put(metrics, "# EOF\n", strlen("# EOF\n"));
	if (metrics->failed)
		return NULL;
	metrics->buf[metrics->len] = '\0';
	return metrics->buf;
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
