/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* explain: why a CPU is as it is, who is on it, where each could go, and why it stays or went. */

#include <json-c/json.h>

#include "client.h"
#include "cpubalance/cpuset.h"
#include "json.h"
#include "render.h"
#include "table.h"

/* "user 61.0, system 12.3": shares of the CPU; what is not known is named too. */
static void split_line(struct cb_lines *lines, const char *label, struct json_object *cpu,
		       const char *const *keys, const char *const *names, size_t n)
{
	struct cb_buf buf = { 0 };

	for (size_t i = 0; i < n; i++) {
		char text[32] = "-";
		double ratio;

		if (cb_json_number(cpu, keys[i], &ratio))
			cb_show_percent(ratio, text, sizeof(text));
		cb_buf_join(&buf, "   ", "%s %s", names[i], text);
	}
	cb_line(lines, label, CB_COLOR_BOLD, "%s", buf.text);
	cb_buf_done(&buf);
}

static bool show_decision(struct json_object *row, const struct cb_style *style, struct cb_buf *buf)
{
	const char *decision = cb_json_text(row, "Decision");
	const char *reason = cb_json_text_or(row, "ReasonText", cb_json_text(row, "Reason"));

	(void)style;
	if (decision)
		cb_buf_add(buf, "%s", decision);
	if (reason)
		cb_buf_join(buf, ": ", "%s", reason);
	return buf->length > 0;
}

/* What else is wrong there, and what may be done about it. */
static void finding_lines(struct cb_lines *lines, struct json_object *findings)
{
	for (size_t i = 0; i < cb_json_length(findings); i++) {
		struct json_object *finding = json_object_array_get_idx(findings, i);

		cb_line(lines, i == 0 ? "FINDING" : "", CB_COLOR_YELLOW, "%s%s: %s. %s",
			cb_json_text_or(finding, "Kind", "-"),
			cb_json_true(finding, "Confirmed") ? "" : " (not confirmed)",
			cb_json_text_or(finding, "Sentence", "-"),
			cb_json_text_or(finding, "Remedy", "-"));
	}
}

void cb_render_explain(FILE *out, const struct cb_style *style, struct json_object *explained)
{
	static const char *const time_keys[] = {
		"Busy", "User", "System", "IRQ", "SoftIRQ", "Steal"
	};
	static const char *const time_names[] = { "busy", "user",    "system",
						  "irq",  "softirq", "steal" };
	static const char *const who_keys[] = { "Workers", "Interrupts", "Other" };
	static const char *const who_names[] = { "workers", "interrupts", "other" };
	static const struct cb_column columns[] = {
		{ .title = "WHO", .cell = CB_CELL_TEXT, .key = "Name", .min_cols = 12 },
		{ .title = "KIND", .cell = CB_CELL_TEXT, .key = "Kind", .drop = 2 },
		{ .title = "LOAD%", .cell = CB_CELL_PERCENT, .key = "Load" },
		{ .title = "WAIT ms/s", .cell = CB_CELL_WAIT, .key = "WaitPerSec" },
		{ .title = "BACKLOG",
		  .show = cb_show_backlog,
		  .right = true,
		  .drop = 3,
		  .optional = true },
		{ .title = "BEST", .cell = CB_CELL_TEXT, .key = "Best", .min_cols = 6 },
		{ .title = "GAIN%", .cell = CB_CELL_PERCENT, .key = "Gain", .drop = 1 },
		{ .title = "MOVED?", .cell = CB_CELL_STATE, .show = show_decision, .min_cols = 20 },
	};
	struct cb_lines lines = { .out = out, .style = style };
	const char *heat = cb_json_text_or(explained, "Heat", "-");
	char label[32] = "CPU -";
	int64_t cpu;

	if (cb_json_int(explained, "CPU", &cpu))
		snprintf(label, sizeof(label), "CPU %lld", (long long)cpu);
	cb_line(&lines, label, cb_color_of(heat), "%s",
		cb_json_text_or(explained, "Sentence", heat));
	finding_lines(&lines, cb_json_array(explained, "Findings"));
	split_line(&lines, "TIME %", explained, time_keys, time_names, CB_ARRAY_SIZE(time_keys));
	split_line(&lines, "FOR %", explained, who_keys, who_names, CB_ARRAY_SIZE(who_keys));
	fputc('\n', out);
	cb_table_print(out, style, columns, CB_ARRAY_SIZE(columns),
		       cb_json_array(explained, "Rows"), 2, "nobody was seen there");
	fputc('\n', out);
	cb_line(&lines, "SURE", CB_COLOR_BOLD, "%s", cb_json_text_or(explained, "Confidence", "-"));
	cb_line(&lines, "NEXT", CB_COLOR_BOLD, "%s", cb_json_text_or(explained, "Next", "-"));
}

static int run(struct cb_ctl *ctl, const struct cb_args *args)
{
	struct json_object *json = NULL;
	uint32_t cpu = 0;
	int code = CB_EXIT_OK;

	if (args->n)
		code = cb_check_u32(ctl, "CPU", args->word[0], 0, CB_CPUS_MAX - 1, &cpu);
	if (code == CB_EXIT_OK)
		code = cb_client_call_json(ctl, "Explain", CB_CALL_LONG_USEC, &json, "i",
					   args->n ? (int)cpu : -1);
	return code == CB_EXIT_OK ? cb_show(ctl, json, cb_render_explain) : code;
}

const struct cb_verb cb_verb_explain = {
	.name = "explain",
	.arguments = "[CPU]",
	.summary = "one CPU, by default the hottest: who is on it, and why it stays",
	.details =
		"It watches the CPU for one sampling interval, so the answer takes a "
		"moment. BACKLOG is what waits at a worker's own sockets, of at most how "
		"much: connections and, in KiB, datagrams. BEST is the best place that each could have, GAIN the fall "
		"of the hottest CPU's load that is expected of it.",
	.example = "cpubalctl explain 3",
	.max_words = 1,
	.run = run,
};
