/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* irqs: every interrupt, where it lands, and whether it may be moved. */

#include <json-c/json.h>
#include <string.h>

#include "client.h"
#include "json.h"
#include "render.h"
#include "table.h"

static bool show_movable(struct json_object *row, const struct cb_style *style, struct cb_buf *buf)
{
	const char *reason = cb_json_text_or(row, "Reason", cb_json_text(row, "ReasonText"));

	(void)style;
	if (!cb_json_get(row, "Movable"))
		return false;
	if (cb_json_true(row, "Movable"))
		cb_buf_add(buf, "yes");
	else
		cb_buf_add(buf, "no%s%s", reason ? ": " : "", reason ? reason : "");
	return true;
}

/* The number has a column of its own. */
static bool show_name(struct json_object *row, const struct cb_style *style, struct cb_buf *buf)
{
	const char *name = cb_json_text(row, "Name");
	const char *end = name ? strstr(name, " (irq ") : NULL;

	(void)style;
	if (name)
		cb_buf_add(buf, "%.*s", end && end > name ? (int)(end - name) : (int)strlen(name),
			   name);
	return name != NULL;
}

static bool show_queue(struct json_object *row, const struct cb_style *style, struct cb_buf *buf)
{
	const char *kind = cb_json_text(row, "QueueKind");
	uint64_t queue;

	(void)style;
	if (!cb_json_u64(row, "Queue", &queue))
		return false;
	if (kind && strcmp(kind, "both") != 0)
		cb_buf_add(buf, "%s ", kind);
	cb_buf_add(buf, "%llu", (unsigned long long)queue);
	return true;
}

void cb_render_all_irqs(FILE *out, const struct cb_style *style, struct json_object *irqs)
{
	static const struct cb_column columns[] = {
		{ .title = "IRQ", .cell = CB_CELL_NUMBER, .key = "IRQ" },
		{ .title = "NAME", .show = show_name, .min_cols = 12 },
		{ .title = "INTERFACE",
		  .cell = CB_CELL_TEXT,
		  .key = "Interface",
		  .drop = 4,
		  .optional = true },
		{ .title = "QUEUE", .show = show_queue, .drop = 5, .optional = true },
		{ .title = "NODE",
		  .cell = CB_CELL_NUMBER,
		  .key = "Node",
		  .drop = 7,
		  .optional = true },
		{ .title = "RATE/s", .cell = CB_CELL_RATE, .key = "PerSec" },
		{ .title = "PKTS/s",
		  .cell = CB_CELL_RATE,
		  .key = "PacketsPerSec",
		  .drop = 6,
		  .optional = true },
		{ .title = "CPU", .cell = CB_CELL_CPU, .key = "CPU" },
		{ .title = "LOAD%", .cell = CB_CELL_PERCENT, .key = "Load" },
		{ .title = "AFFINITY", .cell = CB_CELL_TEXT, .key = "Affinity", .min_cols = 8 },
		{ .title = "GROUP",
		  .cell = CB_CELL_TEXT,
		  .key = "Group",
		  .drop = 3,
		  .min_cols = 8,
		  .optional = true },
		{ .title = "CHANGED",
		  .cell = CB_CELL_YES,
		  .key = "Changed",
		  .drop = 2,
		  .optional = true },
		{ .title = "MOVABLE", .show = show_movable, .min_cols = 16 },
	};

	cb_table_print(out, style, columns, CB_ARRAY_SIZE(columns), irqs, 0,
		       "no interrupt has been found");
}

void cb_render_irqs(FILE *out, const struct cb_style *style, struct json_object *irqs)
{
	struct json_object *some = cb_must(json_object_new_array());
	size_t n = cb_json_length(irqs), idle;

	for (size_t i = 0; i < n; i++) {
		struct json_object *irq = json_object_array_get_idx(irqs, i);
		double per_sec;

		/* An unknown rate is not an idle interrupt. */
		if (!cb_json_number(irq, "PerSec", &per_sec) || per_sec >= 0.05 ||
		    cb_json_true(irq, "Changed"))
			json_object_array_add(some, json_object_get(irq));
	}
	idle = n - cb_json_length(some);
	if (idle < n || n == 0)
		cb_render_all_irqs(out, style, some);
	if (idle)
		cb_sentence(out, style, CB_COLOR_DIM, "%zu idle interrupt%s: cpubalctl irqs --all",
			    idle, idle == 1 ? "" : "s");
	json_object_put(some);
}

/* --- on which CPUs --- */

#define SHOWN_MAX 8u

struct count {
	int64_t cpu;
	uint64_t count;
};

/* The CPUs that had most, in the order of that, and how many more there are. */
static bool show_cpus(struct json_object *row, const struct cb_style *style, struct cb_buf *buf)
{
	struct json_object *cpus = cb_json_get(row, "CPUs");
	struct count most[SHOWN_MAX] = { { .cpu = -1 } };
	size_t n = cb_json_length(cpus), n_most = 0;

	(void)style;
	for (size_t i = 0; i < n; i++) {
		struct json_object *one = json_object_array_get_idx(cpus, i);
		struct count count;
		size_t at;

		if (!cb_json_int(one, "CPU", &count.cpu) ||
		    !cb_json_u64(one, "Count", &count.count))
			continue;
		for (at = n_most; at > 0 && most[at - 1].count < count.count; at--)
			if (at < SHOWN_MAX)
				most[at] = most[at - 1];
		if (at < SHOWN_MAX)
			most[at] = count;
		n_most = n_most < SHOWN_MAX ? n_most + 1 : SHOWN_MAX;
	}
	for (size_t i = 0; i < n_most; i++)
		cb_buf_join(buf, ", ", "CPU %lld: %llu", (long long)most[i].cpu,
			    (unsigned long long)most[i].count);
	if (n > n_most)
		cb_buf_add(buf, ", %zu more", n - n_most);
	return n_most > 0;
}

void cb_render_irq_counts(FILE *out, const struct cb_style *style, struct json_object *irqs)
{
	static const struct cb_column columns[] = {
		{ .title = "IRQ", .cell = CB_CELL_NUMBER, .key = "IRQ" },
		{ .title = "NAME", .cell = CB_CELL_TEXT, .key = "Name", .min_cols = 12 },
		{ .title = "TOTAL", .cell = CB_CELL_NUMBER, .key = "Total" },
		{ .title = "WHERE", .show = show_cpus, .min_cols = 20 },
	};

	cb_table_print(out, style, columns, CB_ARRAY_SIZE(columns), irqs, 0,
		       "no interrupt is changed, feeds a group or fires: --all");
}

static int run_counts(struct cb_ctl *ctl, bool all)
{
	struct json_object *json = NULL;
	int code = cb_client_call_json(ctl, "CountIRQs", CB_CALL_USEC, &json, "b", all);

	return code == CB_EXIT_OK ? cb_show(ctl, json, cb_render_irq_counts) : code;
}

enum { FLAG_ALL, FLAG_COUNTS };
static const struct cb_flag flags[] = {
	[FLAG_ALL] = { "--all", NULL, "those without a single interrupt a second too" },
	[FLAG_COUNTS] = { "--counts", NULL, "how often on which CPU since boot" },
	{ NULL, NULL, NULL },
};

static int run(struct cb_ctl *ctl, const struct cb_args *args)
{
	if (args->flag[FLAG_COUNTS])
		return run_counts(ctl, args->flag[FLAG_ALL]);
	return cb_show_list(ctl, "ListIRQs",
			    args->flag[FLAG_ALL] ? cb_render_all_irqs : cb_render_irqs);
}

const struct cb_verb cb_verb_irqs = {
	.name = "irqs",
	.arguments = "",
	.summary = "interrupts: rate, where they land, whether they may move",
	.details =
		"LOAD is the share of its CPU's interrupt time that is counted as "
		"this interrupt's. cpubalctl(1) explains the reasons. With --counts: those that are "
		"changed, feed a group or fire, or with --all all of /proc/interrupts.",
	.example = "cpubalctl irqs --all",
	.flags = flags,
	.run = run,
};
