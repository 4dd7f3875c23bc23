/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* groups, workers: who is registered, how they fare, where they may run. */

#include <json-c/json.h>

#include "client.h"
#include "json.h"
#include "render.h"
#include "table.h"

static bool show_note(struct json_object *row, const struct cb_style *style, struct cb_buf *buf)
{
	const char *note = cb_json_text(row, "Note");
	uint64_t usec;
	char text[48];

	(void)style;
	if (cb_json_u64(row, "CooldownLeftUSec", &usec) && usec)
		cb_buf_add(buf, "no plan for %s", cb_show_span(usec, text, sizeof(text)));
	if (note)
		cb_buf_join(buf, "; ", "%s", note);
	return buf->length > 0;
}

void cb_render_groups(FILE *out, const struct cb_style *style, struct json_object *groups)
{
	static const struct cb_column columns[] = {
		{ .title = "GROUP", .cell = CB_CELL_TEXT, .key = "Name", .min_cols = 10 },
		{ .title = "MODE", .cell = CB_CELL_TEXT, .key = "Mode" },
		{ .title = "WORKERS", .cell = CB_CELL_NUMBER, .key = "Workers" },
		{ .title = "CHANGED", .cell = CB_CELL_NUMBER, .key = "Changed" },
		{ .title = "CPU%", .cell = CB_CELL_PERCENT, .key = "CPUTime" },
		{ .title = "WAIT ms/s", .cell = CB_CELL_WAIT, .key = "WaitPerSec" },
		{ .title = "PKTS/s", .cell = CB_CELL_RATE, .key = "PacketsPerSec", .drop = 5 },
		{ .title = "BACKLOG", .show = cb_show_backlog, .right = true, .drop = 1 },
		{ .title = "DROPS/s", .cell = CB_CELL_RATE, .key = "DropsPerSec", .drop = 2 },
		{ .title = "SKEW",
		  .cell = CB_CELL_RATIO,
		  .key = "Skew",
		  .drop = 3,
		  .optional = true },
		{ .title = "MOVES/h", .cell = CB_CELL_NUMBER, .key = "MovesThisHour", .drop = 4 },
		{ .title = "ALLOWED",
		  .cell = CB_CELL_TEXT,
		  .key = "AllowedCPUs",
		  .min_cols = 8,
		  .drop = 6,
		  .optional = true },
		{ .title = "FROM", .cell = CB_CELL_TEXT, .key = "Source", .drop = 7 },
		{ .title = "NOTE", .show = show_note, .min_cols = 16, .optional = true },
	};

	cb_table_print(out, style, columns, CB_ARRAY_SIZE(columns), groups, 0,
		       "no group is registered: cpubalctl register --help");
}

static int run_groups(struct cb_ctl *ctl, const struct cb_args *args)
{
	(void)args;
	return cb_show_list(ctl, "ListGroups", cb_render_groups);
}

const struct cb_verb cb_verb_groups = {
	.name = "groups",
	.arguments = "",
	.summary = "registered groups and how they fare",
	.details =
		"CPU% is the sum of the workers': 250 is two and a half CPUs. WAIT is "
		"time spent runnable without a CPU. BACKLOG is what waits at the sockets, of "
		"at most how much: connections and, in KiB, datagrams. SKEW is the most connections of a "
		"worker over the mean; 1 is even.",
	.example = "cpubalctl groups",
	.run = run_groups,
};

static bool show_state(struct json_object *row, const struct cb_style *style, struct cb_buf *buf)
{
	uint64_t usec;
	int64_t cpu;
	double share;
	char text[48];

	(void)style;
	if (cb_json_true(row, "Foreign"))
		cb_buf_join(buf, ", ", "foreign");
	else if (cb_json_true(row, "Changed"))
		cb_buf_join(buf, ", ", "changed");
	if (cb_json_true(row, "Drained"))
		cb_buf_join(buf, ", ", "drained");
	else if (cb_json_number(row, "Share", &share))
		cb_buf_join(buf, ", ", "share %.1f %%", share * 100);
	if (cb_json_int(row, "IncomingCPU", &cpu))
		cb_buf_join(buf, ", ", "connections of CPU %lld", (long long)cpu);
	if (cb_json_u64(row, "QuarantineLeftUSec", &usec) && usec)
		cb_buf_join(buf, ", ", "left alone for %s", cb_show_span(usec, text, sizeof(text)));
	return buf->length > 0;
}

void cb_render_workers(FILE *out, const struct cb_style *style, struct json_object *workers)
{
	static const struct cb_column columns[] = {
		{ .title = "WORKER", .cell = CB_CELL_TEXT, .key = "Name", .min_cols = 10 },
		{ .title = "PID", .cell = CB_CELL_NUMBER, .key = "PID" },
		{ .title = "COMMAND",
		  .cell = CB_CELL_TEXT,
		  .key = "Comm",
		  .min_cols = 7,
		  .drop = 6 },
		{ .title = "CPU", .cell = CB_CELL_CPU, .key = "CPU" },
		{ .title = "CPU%", .cell = CB_CELL_PERCENT, .key = "CPUTime" },
		{ .title = "WAIT ms/s", .cell = CB_CELL_WAIT, .key = "WaitPerSec" },
		{ .title = "VOL/s", .cell = CB_CELL_RATE, .key = "VoluntaryPerSec", .drop = 5 },
		{ .title = "INVOL/s", .cell = CB_CELL_RATE, .key = "InvoluntaryPerSec", .drop = 4 },
		{ .title = "THREADS", .cell = CB_CELL_NUMBER, .key = "Threads", .drop = 7 },
		{ .title = "FDS", .cell = CB_CELL_NUMBER, .key = "FDs", .drop = 3 },
		{ .title = "BACKLOG",
		  .show = cb_show_backlog,
		  .right = true,
		  .drop = 2,
		  .optional = true },
		{ .title = "AFFINITY", .cell = CB_CELL_TEXT, .key = "Affinity", .min_cols = 8 },
		{ .title = "ORIGINAL",
		  .cell = CB_CELL_TEXT,
		  .key = "Original",
		  .min_cols = 8,
		  .drop = 1 },
		{ .title = "ALLOWED",
		  .cell = CB_CELL_TEXT,
		  .key = "Allowed",
		  .min_cols = 8,
		  .drop = 8 },
		{ .title = "STATE",
		  .cell = CB_CELL_STATE,
		  .show = show_state,
		  .min_cols = 8,
		  .optional = true },
	};

	cb_table_print(out, style, columns, CB_ARRAY_SIZE(columns), workers, 0,
		       "no worker is registered: cpubalctl register --help");
}

static int run_workers(struct cb_ctl *ctl, const struct cb_args *args)
{
	struct json_object *json = NULL;
	int code = CB_EXIT_OK;

	if (args->n)
		code = cb_check_group(ctl, args->word[0]);
	if (code == CB_EXIT_OK)
		code = cb_client_call_json(ctl, "ListWorkers", CB_CALL_USEC, &json, "s",
					   args->n ? args->word[0] : "");
	return code == CB_EXIT_OK ? cb_show(ctl, json, cb_render_workers) : code;
}

const struct cb_verb cb_verb_workers = {
	.name = "workers",
	.arguments = "[GROUP]",
	.summary = "registered workers: CPU time, wait, where they may run",
	.details = "CPU is the CPU that its load is counted on. AFFINITY is its mask "
		   "now, ORIGINAL the one that `release` puts back. foreign: somebody "
		   "else has set its mask since, so it is left alone.",
	.example = "cpubalctl workers nginx",
	.max_words = 1,
	.run = run_workers,
};
