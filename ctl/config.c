/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* config: each option with the value in force and where it comes from. */

#include <json-c/json.h>
#include <string.h>

#include "client.h"
#include "json.h"
#include "render.h"
#include "table.h"

static void render(FILE *out, const struct cb_style *style, struct json_object *options)
{
	static const struct cb_column columns[] = {
		{ .title = "SECTION", .cell = CB_CELL_TEXT, .key = "Section", .min_cols = 8 },
		{ .title = "OPTION", .cell = CB_CELL_TEXT, .key = "Name", .min_cols = 12 },
		{ .title = "VALUE", .cell = CB_CELL_TEXT, .key = "Value", .min_cols = 8 },
		{ .title = "DEFAULT",
		  .cell = CB_CELL_TEXT,
		  .key = "Default",
		  .min_cols = 8,
		  .drop = 1 },
		{ .title = "FROM", .cell = CB_CELL_TEXT, .key = "From", .min_cols = 10 },
	};

	cb_table_print(out, style, columns, CB_ARRAY_SIZE(columns), options, 0, NULL);
}

/* Only what somebody has set. */
static void render_set(FILE *out, const struct cb_style *style, struct json_object *options)
{
	struct json_object *set = cb_must(json_object_new_array());

	for (size_t i = 0; i < cb_json_length(options); i++) {
		struct json_object *row = json_object_array_get_idx(options, i);

		if (strcmp(cb_json_text_or(row, "From", ""), "default") != 0)
			json_object_array_add(set, json_object_get(row));
	}
	if (cb_json_length(set))
		render(out, style, set);
	else
		fputs("everything has its default: cpubalctl config --all\n", out);
	json_object_put(set);
}

enum { FLAG_ALL };
static const struct cb_flag flags[] = {
	[FLAG_ALL] = { "--all", NULL, "also what has its default" },
	{ NULL, NULL, NULL },
};

static int run(struct cb_ctl *ctl, const struct cb_args *args)
{
	return cb_show_list(ctl, "ListConfig", args->flag[FLAG_ALL] ? render : render_set);
}

const struct cb_verb cb_verb_config = {
	.name = "config",
	.arguments = "",
	.summary = "options with the values in force and where they come from",
	.details =
		"FROM is a file and a line; \"default\"; or SetMode(), which holds until the next reload. "
		"With --json: every option, with its bounds.",
	.example = "cpubalctl config --all",
	.flags = flags,
	.run = run,
};
