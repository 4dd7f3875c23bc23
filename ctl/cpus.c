/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* cpus, sources: every CPU with where its time goes; every signal with whether it is there. */

#include <json-c/json.h>

#include "client.h"
#include "json.h"
#include "render.h"
#include "table.h"

int cb_by_cpu_number(const void *a, const void *b)
{
	int64_t x = cb_json_int_or(*(struct json_object *const *)a, "CPU", -1),
		y = cb_json_int_or(*(struct json_object *const *)b, "CPU", -1);

	return x < y ? -1 : x > y ? 1 : 0;
}

static bool show_heat(struct json_object *row, const struct cb_style *style, struct cb_buf *buf)
{
	const char *heat = cb_json_text(row, "Heat");

	(void)style;
	if (cb_json_get(row, "Online") && !cb_json_true(row, "Online"))
		heat = "offline";
	if (heat)
		cb_buf_add(buf, "%s", heat);
	return heat != NULL;
}

void cb_render_all_cpus(FILE *out, const struct cb_style *style, struct json_object *cpus)
{
	static const struct cb_column columns[] = {
		{ .title = "CPU", .cell = CB_CELL_CPU, .key = "CPU" },
		{ .title = "NODE", .cell = CB_CELL_CPU, .key = "Node", .drop = 5 },
		{ .title = "HEAT", .cell = CB_CELL_STATE, .show = show_heat },
		{ .title = "BUSY%", .cell = CB_CELL_PERCENT, .key = "Busy" },
		{ .title = "USER%", .cell = CB_CELL_PERCENT, .key = "User" },
		{ .title = "SYS%", .cell = CB_CELL_PERCENT, .key = "System" },
		{ .title = "IRQ%", .cell = CB_CELL_PERCENT, .key = "IRQ", .drop = 4 },
		{ .title = "SOFT%", .cell = CB_CELL_PERCENT, .key = "SoftIRQ" },
		{ .title = "STEAL%", .cell = CB_CELL_PERCENT, .key = "Steal", .drop = 3 },
		{ .title = "GUEST%",
		  .cell = CB_CELL_PERCENT,
		  .key = "Guest",
		  .drop = 7,
		  .optional = true },
		{ .title = "CTXSW/s",
		  .cell = CB_CELL_RATE,
		  .key = "ContextSwitchesPerSec",
		  .drop = 2 },
		{ .title = "WORK%", .cell = CB_CELL_PERCENT, .key = "Workers" },
		{ .title = "IRQS%", .cell = CB_CELL_PERCENT, .key = "Interrupts", .drop = 1 },
		{ .title = "OTHER%", .cell = CB_CELL_PERCENT, .key = "Other", .drop = 6 },
	};

	if (cb_json_length(cpus))
		json_object_array_sort(cpus, cb_by_cpu_number);
	cb_table_print(out, style, columns, CB_ARRAY_SIZE(columns), cpus, 0,
		       "no CPU has been sampled yet");
	cb_render_cpus_map(out, style, cpus, false);
}

enum { FLAG_ALL };
static const struct cb_flag flags[] = {
	[FLAG_ALL] = { "--all", NULL, "a line for each, however many there are" },
	{ NULL, NULL, NULL },
};

static int run_cpus(struct cb_ctl *ctl, const struct cb_args *args)
{
	return cb_show_list(ctl, "ListCPUs",
			    args->flag[FLAG_ALL] ? cb_render_all_cpus : cb_render_cpus);
}

const struct cb_verb cb_verb_cpus = {
	.name = "cpus",
	.arguments = "",
	.summary = "every CPU: how busy, with what, for whom",
	.details = "BUSY is without steal. WORK, IRQS and OTHER say who it is: "
		   "registered workers, the interrupts that land there, the rest. Rates "
		   "are smoothed; --json has the raw ones too. Below, the machine: a line for "
		   "each last-level cache. Of more than 16 CPUs, only the hottest have a line of "
		   "their own, and all fits one screen.",
	.example = "cpubalctl cpus --all",
	.flags = flags,
	.run = run_cpus,
};

static bool show_there(struct json_object *row, const struct cb_style *style, struct cb_buf *buf)
{
	(void)style;
	if (!cb_json_get(row, "Available"))
		return false;
	cb_buf_add(buf, "%s",
		   !cb_json_true(row, "Available")				      ? "missing" :
		   !cb_json_get(row, "InLastTick") || cb_json_true(row, "InLastTick") ? "yes" :
											"not now");
	return true;
}

void cb_render_sources(FILE *out, const struct cb_style *style, struct json_object *sources)
{
	static const struct cb_column columns[] = {
		{ .title = "SIGNAL", .cell = CB_CELL_TEXT, .key = "Name" },
		{ .title = "THERE", .cell = CB_CELL_STATE, .show = show_there },
		{ .title = "AGE", .cell = CB_CELL_SPAN, .key = "AgeUSec" },
		{ .title = "WHERE", .cell = CB_CELL_TEXT, .key = "Where", .min_cols = 12 },
		{ .title = "GIVES", .cell = CB_CELL_TEXT, .key = "Gives", .min_cols = 20 },
	};

	cb_table_print(out, style, columns, CB_ARRAY_SIZE(columns), sources, 0,
		       "no signal has been tried yet");
}

static int run_sources(struct cb_ctl *ctl, const struct cb_args *args)
{
	(void)args;
	return cb_show_list(ctl, "ListSources", cb_render_sources);
}

const struct cb_verb cb_verb_sources = {
	.name = "sources",
	.arguments = "",
	.summary = "every signal: where it comes from, whether it is there",
	.example = "cpubalctl sources",
	.run = run_sources,
};
