/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* findings: each thing that is wrong, since when, with its figures and what may be done about it. */

#include <json-c/json.h>
#include <string.h>

#include "client.h"
#include "json.h"
#include "render.h"

/* How far it is: "for 41 s", or "in 12 s, if it lasts" before it counts. */
static void show_age(struct cb_buf *buf, struct json_object *finding)
{
	uint64_t since = 0, left = 0;
	char text[32];

	if (cb_json_u64(finding, "ConfirmedInUSec", &left))
		cb_buf_add(buf, "counts in %s, if it lasts",
			   cb_show_span(left, text, sizeof(text)));
	else if (cb_json_u64(finding, "SinceUSec", &since))
		cb_buf_add(buf, "for %s", cb_show_span(since, text, sizeof(text)));
	if (cb_json_true(finding, "Harm"))
		cb_buf_add(buf, ", somebody suffers");
}

/* What it means and what may be done: the same for all of a kind. */
static void show_kind(struct cb_lines *lines, struct json_object *finding)
{
	bool plans = strcmp(cb_json_text_or(finding, "Role", ""), "plans") == 0;

	cb_line(lines, "  MEANS", CB_COLOR_NONE, "%s", cb_json_text_or(finding, "Meaning", "-"));
	cb_line(lines, plans ? "  PLANS" : "  DO", CB_COLOR_NONE, "%s",
		cb_json_text_or(finding, "Remedy", "-"));
}

static enum cb_color finding_color(struct json_object *finding)
{
	return cb_json_true(finding, "Confirmed") ? CB_COLOR_RED : CB_COLOR_YELLOW;
}

void cb_show_finding(FILE *out, const struct cb_style *style, struct json_object *finding)
{
	struct cb_lines lines = { .out = out, .style = style };
	struct cb_buf age = { 0 };

	show_age(&age, finding);
	cb_sentence(out, style, finding_color(finding), "%s %s",
		    cb_json_text_or(finding, "Kind", "-"), age.text ? age.text : "");
	cb_buf_done(&age);
	cb_line(&lines, "  WHAT", CB_COLOR_NONE, "%s", cb_json_text_or(finding, "Sentence", "-"));
	show_kind(&lines, finding);
}

/* Those of one kind, of which there are more than one: a line each, and once what holds for all. */
static void show_many(FILE *out, const struct cb_style *style, struct json_object *findings,
		      struct json_object *first, size_t n)
{
	const char *kind = cb_json_text_or(first, "Kind", "-");
	struct cb_lines lines = { .out = out, .style = style };

	cb_sentence(out, style, finding_color(first), "%s, %zu of them", kind, n);
	for (size_t i = 0; i < cb_json_length(findings); i++) {
		struct json_object *finding = json_object_array_get_idx(findings, i);
		struct cb_buf age = { 0 };

		if (strcmp(cb_json_text_or(finding, "Kind", "-"), kind) != 0)
			continue;
		show_age(&age, finding);
		cb_line(&lines, "  WHAT", CB_COLOR_NONE, "%s   (%s)",
			cb_json_text_or(finding, "Sentence", "-"), age.text ? age.text : "new");
		cb_buf_done(&age);
	}
	show_kind(&lines, first);
}

void cb_render_findings(FILE *out, const struct cb_style *style, struct json_object *findings)
{
	size_t n = cb_json_length(findings);

	if (n == 0)
		cb_sentence(out, style, CB_COLOR_NONE, "Nothing is wrong that is known of.");
	for (size_t i = 0; i < n; i++) {
		struct json_object *finding = json_object_array_get_idx(findings, i);
		size_t n_alike = cb_json_alike(findings, n, finding, "Kind");

		if (cb_json_alike(findings, i, finding, "Kind") > 0)
			continue; /* shown with the first of its kind */
		if (i > 0)
			fputc('\n', out);
		if (n_alike == 1)
			cb_show_finding(out, style, finding);
		else
			show_many(out, style, findings, finding, n_alike);
	}
}

static int run(struct cb_ctl *ctl, const struct cb_args *args)
{
	(void)args;
	return cb_show_list(ctl, "ListFindings", cb_render_findings);
}

const struct cb_verb cb_verb_findings = {
	.name = "findings",
	.arguments = "",
	.summary = "what is wrong, since when, and what may be done",
	.details =
		"What matters most comes first; what is of one kind stands together. What has not lasted long enough to count is shown too. "
		"PLANS: a plan may follow; DO: nothing but an operator mends it. The kinds are in "
		"cpubalctl(1), FINDINGS.",
	.example = "cpubalctl findings",
	.run = run,
};
