/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * plan, apply, rollback, changes: what is to be done, what is being done, and what has been
 * changed.
 */

#include <json-c/json.h>
#include <string.h>

#include "client.h"
#include "json.h"
#include "render.h"
#include "table.h"

static bool show_step_state(struct json_object *row, const struct cb_style *style,
			    struct cb_buf *buf)
{
	const char *state = cb_json_text(row, "State"), *error = cb_json_text(row, "Error");

	(void)style;
	if (state)
		cb_buf_add(buf, "%s", state);
	if (error)
		cb_buf_join(buf, ": ", "%s", error);
	return buf->length > 0;
}

static void show_plan_steps(FILE *out, const struct cb_style *style, struct json_object *steps)
{
	static const struct cb_column columns[] = {
		{ .title = "STEP", .cell = CB_CELL_TEXT, .key = "Name", .min_cols = 10 },
		{ .title = "KIND", .cell = CB_CELL_TEXT, .key = "Kind", .drop = 1 },
		{ .title = "FROM", .cell = CB_CELL_TEXT, .key = "From", .min_cols = 8 },
		{ .title = "TO", .cell = CB_CELL_TEXT, .key = "To", .min_cols = 8 },
		{ .title = "LOAD%", .cell = CB_CELL_PERCENT, .key = "Load" },
		{ .title = "STATE", .show = show_step_state, .min_cols = 12 },
	};

	cb_table_print(out, style, columns, CB_ARRAY_SIZE(columns), steps, 2, NULL);
}

static bool show_reason(struct json_object *row, const struct cb_style *style, struct cb_buf *buf)
{
	const char *reason = cb_json_text(row, "Reason"), *text = cb_json_text(row, "ReasonText");

	(void)style;
	if (reason && strcmp(reason, "NONE") != 0)
		cb_buf_add(buf, "%s", reason);
	if (text)
		cb_buf_join(buf, ": ", "%s", text);
	return buf->length > 0;
}

/* Rows of one reason that a terminal is filled with. */
#define ROWS_PER_REASON 4u

static void show_refusals(FILE *out, const struct cb_style *style, struct json_object *refusals)
{
	static const struct cb_column columns[] = {
		{ .title = "NOT MOVED", .cell = CB_CELL_TEXT, .key = "Name", .min_cols = 10 },
		{ .title = "CPU", .cell = CB_CELL_CPU, .key = "CPU" },
		{ .title = "LOAD%", .cell = CB_CELL_PERCENT, .key = "Load" },
		{ .title = "BEST CPU", .cell = CB_CELL_CPU, .key = "BestCPU", .drop = 2 },
		{ .title = "GAIN%", .cell = CB_CELL_PERCENT, .key = "Gain", .drop = 1 },
		{ .title = "REASON", .show = show_reason, .min_cols = 20 },
	};
	struct json_object *shown = cb_must(json_object_new_array());
	size_t n = cb_json_length(refusals);

	for (size_t i = 0; i < n; i++) {
		struct json_object *row = json_object_array_get_idx(refusals, i);

		if (style->width_cols == 0 ||
		    cb_json_alike(refusals, i, row, "Reason") < ROWS_PER_REASON)
			json_object_array_add(shown, json_object_get(row));
	}
	cb_table_print(out, style, columns, CB_ARRAY_SIZE(columns), shown, 2, NULL);
	for (size_t i = 0; i < n && style->width_cols > 0; i++) {
		struct json_object *row = json_object_array_get_idx(refusals, i);
		size_t all = cb_json_alike(refusals, n, row, "Reason");

		if (all > ROWS_PER_REASON && cb_json_alike(refusals, i, row, "Reason") == 0)
			cb_sentence(out, style, CB_COLOR_DIM, "  %zu more with %s; --json has all",
				    all - ROWS_PER_REASON, cb_json_text_or(row, "Reason", "-"));
	}
	json_object_put(shown);
}

static void show_heading(FILE *out, const struct cb_style *style, struct json_object *plan,
			 uint64_t id, size_t n_steps)
{
	const char *origin = cb_json_text(plan, "Origin"), *group = cb_json_text(plan, "Group");
	struct cb_buf buf = { 0 };
	uint64_t left;
	char text[48];

	if (id == 0) {
		cb_sentence(out, style, CB_COLOR_BOLD, "%s",
			    n_steps ? "No plan is made yet; if one were made now, it would be:" :
				      "No plan is made, and none would be made now.");
		return;
	}
	cb_buf_add(&buf, "Plan #%llu: %s", (unsigned long long)id,
		   cb_json_text_or(plan, "State", "-"));
	if (cb_json_u64(plan, "LeftUSec", &left) && left)
		cb_buf_add(&buf, ", %s left", cb_show_span(left, text, sizeof(text)));
	if (group)
		cb_buf_add(&buf, ", group %s", group);
	if (origin)
		cb_buf_add(&buf, ", %s",
			   strcmp(origin, "operator") == 0 ? "ordered by an operator" :
							     "by the daemon itself");
	cb_sentence(out, style, CB_COLOR_BOLD, "%s", buf.text);
	cb_buf_done(&buf);
}

static void show_expected(FILE *out, const struct cb_style *style, struct json_object *plan)
{
	double before, after;
	int64_t cpu;

	if (!cb_json_number(plan, "HottestBefore", &before) ||
	    !cb_json_number(plan, "HottestAfter", &after))
		return;
	if (cb_json_int(plan, "HotCPU", &cpu) && cpu >= 0)
		cb_sentence(out, style, CB_COLOR_NONE,
			    "Expected load of the hottest CPU: %.0f%% (CPU %lld) -> %.0f%%",
			    before * 100, (long long)cpu, after * 100);
	else
		cb_sentence(out, style, CB_COLOR_NONE,
			    "Expected load of the hottest CPU: %.0f%% -> %.0f%%", before * 100,
			    after * 100);
}

static void show_next(FILE *out, const struct cb_style *style, struct json_object *plan,
		      uint64_t id)
{
	const char *state = cb_json_text_or(plan, "State", ""),
		   *verdict = cb_json_text(plan, "Verdict");

	if (verdict && strcmp(verdict, "none") != 0)
		cb_sentence(out, style, cb_color_of(verdict), "Verdict: %s; %s", verdict,
			    cb_json_text_or(plan, "Sentence", "-"));
	else if (id && strcmp(state, "proposed") == 0)
		cb_sentence(out, style, CB_COLOR_NONE, "To do it: cpubalctl apply %llu",
			    (unsigned long long)id);
	else if (id)
		cb_sentence(out, style, CB_COLOR_NONE, "To %s it now: cpubalctl rollback %llu",
			    strcmp(state, "baseline") == 0 ? "stop" : "undo",
			    (unsigned long long)id);
}

void cb_render_plan(FILE *out, const struct cb_style *style, struct json_object *plan)
{
	struct json_object *steps = cb_json_array(plan, "Steps"),
			   *refusals = cb_json_array(plan, "Refusals");
	const char *finding = cb_json_text(plan, "Finding");
	uint64_t id = 0;

	cb_json_u64(plan, "Id", &id);
	show_heading(out, style, plan, id, cb_json_length(steps));
	if (finding)
		cb_sentence(out, style, CB_COLOR_NONE, "Because: %s", finding);
	if (cb_json_length(steps)) {
		show_expected(out, style, plan);
		fputc('\n', out);
		show_plan_steps(out, style, steps);
	}
	if (cb_json_length(refusals)) {
		fputc('\n', out);
		show_refusals(out, style, refusals);
	}
	if (id)
		fputc('\n', out);
	show_next(out, style, plan, id);
}

void cb_render_plan_shell(FILE *out, const struct cb_style *style, struct json_object *plan)
{
	cb_show_shell(out, style, cb_json_array(plan, "Steps"));
}

enum { FLAG_SHELL, FLAG_PERMANENT };
static const struct cb_flag plan_flags[] = {
	[FLAG_SHELL] = { "--shell", NULL, "only the commands that would do the steps by hand" },
	[FLAG_PERMANENT] = { "--permanent", NULL,
			     "only what to write into the configuration of nginx, of units, of interrupts" },
	{ NULL, NULL, NULL },
};

static int show_permanent_plan(struct cb_ctl *ctl)
{
	struct json_object *plan = NULL, *steps;
	int code = cb_client_call_json(ctl, "GetPlan", CB_CALL_USEC, &plan, "");

	if (code != CB_EXIT_OK)
		return code;
	steps = cb_json_array(plan, "Steps");
	steps = steps ? json_object_get(steps) : cb_must(json_object_new_array());
	json_object_put(plan);
	return cb_show_permanent(ctl, "Steps", steps);
}

static int run_plan(struct cb_ctl *ctl, const struct cb_args *args)
{
	if (args->flag[FLAG_PERMANENT])
		return show_permanent_plan(ctl);
	return cb_show_list(ctl, "GetPlan",
			    args->flag[FLAG_SHELL] ? cb_render_plan_shell : cb_render_plan);
}

const struct cb_verb cb_verb_plan = {
	.name = "plan",
	.arguments = "",
	.summary = "the plan in flight or proposed, else what would be done now",
	.details = "Each step with the load that moves; each candidate that stays, with "
		   "the reason.",
	.example = "cpubalctl plan --shell",
	.flags = plan_flags,
	.run = run_plan,
};

static void show_outcome(FILE *out, const struct cb_style *style, struct json_object *plan)
{
	(void)style;
	fprintf(out, "plan #%s: watch it with cpubalctl plan\n", json_object_get_string(plan));
}

static void show_undone(FILE *out, const struct cb_style *style, struct json_object *plan)
{
	(void)style;
	fprintf(out, "plan #%s: undone or withdrawn, see cpubalctl history\n",
		json_object_get_string(plan));
}

/* apply, rollback and veto: one optional plan number. */
static int run_on_plan(struct cb_ctl *ctl, const struct cb_args *args, const char *member,
		       cb_render_t show)
{
	struct json_object *json = NULL;
	uint32_t id = 0;
	int code = CB_EXIT_OK;

	if (args->n) {
		const char *text = args->word[0] + (args->word[0][0] == '#');

		code = cb_check_u32(ctl, "plan", text, 1, UINT32_MAX, &id);
	}
	if (code == CB_EXIT_OK)
		code = cb_client_call_json(ctl, member, CB_CALL_LONG_USEC, &json, "u", id);
	return code == CB_EXIT_OK ? cb_show(ctl, json, show) : code;
}

static int run_apply(struct cb_ctl *ctl, const struct cb_args *args)
{
	return run_on_plan(ctl, args, "Apply", show_outcome);
}

const struct cb_verb cb_verb_apply = {
	.name = "apply",
	.arguments = "[PLAN]",
	.summary = "do the proposed plan",
	.details = "With a number, only if that is the plan which is proposed. It is "
		   "verified, and undone if it does not help.",
	.example = "cpubalctl apply 12",
	.max_words = 1,
	.changes = true,
	.run = run_apply,
};

static int run_rollback(struct cb_ctl *ctl, const struct cb_args *args)
{
	return run_on_plan(ctl, args, "Rollback", show_undone);
}

const struct cb_verb cb_verb_rollback = {
	.name = "rollback",
	.arguments = "[PLAN]",
	.summary = "undo a plan: the one in flight, else the last that was kept",
	.example = "cpubalctl rollback",
	.max_words = 1,
	.changes = true,
	.run = run_rollback,
};

static int run_veto(struct cb_ctl *ctl, const struct cb_args *args)
{
	return run_on_plan(ctl, args, "Veto", show_undone);
}

const struct cb_verb cb_verb_veto = {
	.name = "veto",
	.arguments = "[PLAN]",
	.summary = "undo a plan, and leave alone what it moved for long",
	.details = "Like rollback, but the items go into the longest quarantine "
		   "(QuarantineMaxSec=). A plan that is only proposed is withdrawn.",
	.example = "cpubalctl veto 12",
	.max_words = 1,
	.changes = true,
	.run = run_veto,
};

static int run_move(struct cb_ctl *ctl, const struct cb_args *args)
{
	struct json_object *json = NULL;
	int code = cb_check_cpus(ctl, "CPULIST", args->word[1]);

	if (code == CB_EXIT_OK && !*args->word[0])
		code = cb_ctl_fail(ctl, CB_EXIT_USAGE, "name a worker such as nginx/3, or its pid");
	if (code == CB_EXIT_OK)
		code = cb_client_call_json(ctl, "Move", CB_CALL_LONG_USEC, &json, "ss",
					   args->word[0], args->word[1]);
	return code == CB_EXIT_OK ? cb_show(ctl, json, show_outcome) : code;
}

const struct cb_verb cb_verb_move = {
	.name = "move",
	.arguments = "WORKER CPULIST",
	.summary = "put a worker on these CPUs; undone if it hurts",
	.details = "WORKER is a name such as nginx/3 (cpubalctl workers lists them) or a "
		   "pid. The move is a plan like any other: journaled, verified, rolled "
		   "back by the verdict.",
	.example = "cpubalctl move nginx/3 4-7",
	.min_words = 2,
	.max_words = 2,
	.changes = true,
	.run = run_move,
};
