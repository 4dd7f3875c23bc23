/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* metrics: the daemon's figures in the text format of Prometheus. */

#include <json-c/json.h>

#include "client.h"
#include "render.h"

static void print_text(FILE *out, const struct cb_style *style, struct json_object *text)
{
	(void)style;
	/* For a program to read: as it is. */
	fputs(json_object_is_type(text, json_type_string) ? json_object_get_string(text) : "", out);
}

static int run(struct cb_ctl *ctl, const struct cb_args *args)
{
	(void)args;
	return cb_show_list(ctl, "GetMetrics", print_text);
}

const struct cb_verb cb_verb_metrics = {
	.name = "metrics",
	.arguments = "",
	.summary = "the figures for Prometheus, text format 0.0.4",
	.details = "With --json: the same text as one JSON string.",
	.example = "cpubalctl metrics | promtool check metrics",
	.run = run,
};
