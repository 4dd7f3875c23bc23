/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* changes: every difference from the originals, and how to undo it by hand. */

#include <json-c/json.h>
#include <string.h>

#include "client.h"
#include "json.h"
#include "render.h"
#include "table.h"

static bool show_what(struct json_object *row, const struct cb_style *style, struct cb_buf *buf)
{
	const char *name = cb_json_text(row, "Name");
	int64_t number;

	(void)style;
	cb_buf_add(buf, "%s", name ? name : cb_json_text_or(row, "Kind", "-"));
	if (cb_json_int(row, "TID", &number))
		cb_buf_add(buf, " (tid %lld)", (long long)number);
	else if (cb_json_int(row, "IRQ", &number) && !(name && strstr(name, "irq ")))
		cb_buf_add(buf, " (irq %lld)", (long long)number);
	return true;
}

/* What we set, where the machine has something else now. */
static bool show_set(struct json_object *row, const struct cb_style *style, struct cb_buf *buf)
{
	const char *set = cb_json_text(row, "Set"), *is = cb_json_text(row, "Is");

	(void)style;
	if (!set || (is && strcmp(set, is) == 0))
		return false;
	cb_buf_add(buf, "%s", set);
	return true;
}

void cb_render_changes(FILE *out, const struct cb_style *style, struct json_object *changes)
{
	static const struct cb_column columns[] = {
		{ .title = "WHAT", .show = show_what, .min_cols = 16 },
		{ .title = "GROUP", .cell = CB_CELL_TEXT, .key = "Group", .min_cols = 8, .drop = 1 },
		{ .title = "WAS", .cell = CB_CELL_TEXT, .key = "Was", .min_cols = 8 },
		{ .title = "IS", .cell = CB_CELL_TEXT, .key = "Is", .min_cols = 8 },
		{ .title = "WE SET", .show = show_set, .min_cols = 8, .optional = true },
		{ .title = "PLAN", .cell = CB_CELL_NUMBER, .key = "Plan" },
		{ .title = "STATE", .cell = CB_CELL_STATE, .key = "State" },
	};

	cb_table_print(out, style, columns, CB_ARRAY_SIZE(columns), changes, 0,
		       "nothing is changed: every mask is the original");
	if (cb_json_length(changes))
		cb_sentence(out, style, CB_COLOR_DIM, "Undo all: cpubalctl release --all --pause");
}

void cb_render_changes_shell(FILE *out, const struct cb_style *style, struct json_object *changes)
{
	cb_show_shell(out, style, changes);
}

enum { FLAG_SHELL, FLAG_PERMANENT };
static const struct cb_flag flags[] = {
	[FLAG_SHELL] = { "--shell", NULL, "only the commands that put the originals back by hand" },
	[FLAG_PERMANENT] = { "--permanent", NULL,
			     "only what to write into the configuration of nginx, of units, of interrupts" },
	{ NULL, NULL, NULL },
};

static int show_permanent_changes(struct cb_ctl *ctl)
{
	struct json_object *changes = NULL;
	int code = cb_client_call_json(ctl, "ListChanges", CB_CALL_USEC, &changes, "");

	return code == CB_EXIT_OK ? cb_show_permanent(ctl, "Changes", changes) : code;
}

static int run(struct cb_ctl *ctl, const struct cb_args *args)
{
	if (args->flag[FLAG_PERMANENT])
		return show_permanent_changes(ctl);
	return cb_show_list(ctl, "ListChanges",
			    args->flag[FLAG_SHELL] ? cb_render_changes_shell : cb_render_changes);
}

const struct cb_verb cb_verb_changes = {
	.name = "changes",
	.arguments = "",
	.summary = "every difference from the originals: what, was, is, plan",
	.details = "STATE: changed; pending, an interrupt that moves with its next "
		   "occurrence; heir, a process that inherited a worker's mask; foreign, "
		   "set by somebody else since, and so left alone.",
	.example = "cpubalctl changes --shell",
	.flags = flags,
	.run = run,
};
