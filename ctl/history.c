/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* history: what was done, when, and how it came out. */

#include <errno.h>
#include <json-c/json.h>
#include <string.h>
#include <time.h>

#include "client.h"
#include "cpubalance/policy.h"
#include "cpubalance/scan.h"
#include "json.h"
#include "render.h"
#include "table.h"

/* Exactly @digits digits within @min..@max. */
static bool scan_field(struct cb_scan *scan, size_t digits, int min, int max, int *ret)
{
	int value = 0;

	if ((size_t)(scan->end - scan->p) < digits)
		return false;
	for (size_t i = 0; i < digits; i++) {
		if (scan->p[i] < '0' || scan->p[i] > '9')
			return false;
		value = value * 10 + (scan->p[i] - '0');
	}
	if (value < min || value > max)
		return false;
	scan->p += digits;
	*ret = value;
	return true;
}

static bool scan_date(struct cb_scan *scan, struct tm *tm)
{
	int year, month;

	if (!scan_field(scan, 4, 1970, 9999, &year) || !cb_scan_char(scan, '-') ||
	    !scan_field(scan, 2, 1, 12, &month) || !cb_scan_char(scan, '-') ||
	    !scan_field(scan, 2, 1, 31, &tm->tm_mday))
		return false;
	tm->tm_year = year - 1900;
	tm->tm_mon = month - 1;
	return true;
}

static bool scan_time(struct cb_scan *scan, struct tm *tm)
{
	int digit;

	if (!scan_field(scan, 2, 0, 23, &tm->tm_hour) || !cb_scan_char(scan, ':') ||
	    !scan_field(scan, 2, 0, 59, &tm->tm_min))
		return false;
	if (!cb_scan_char(scan, ':'))
		return true;
	if (!scan_field(scan, 2, 0, 60, &tm->tm_sec))
		return false;
	if (!cb_scan_char(scan, '.'))
		return true;
	if (!scan_field(scan, 1, 0, 9, &digit))
		return false;
	while (scan_field(scan, 1, 0, 9, &digit))
		; /* fractions of a second make no difference here */
	return true;
}

/* "Z" or "+02:00"; returns whether there was one, and seconds to subtract. */
static bool scan_zone(struct cb_scan *scan, int *ret_seconds)
{
	int hours, minutes, sign = cb_scan_char(scan, '-') ? -1 : 1;

	if (sign > 0 && (cb_scan_char(scan, 'Z') || cb_scan_char(scan, 'z'))) {
		*ret_seconds = 0;
		return true;
	}
	if (sign > 0 && !cb_scan_char(scan, '+'))
		return false;
	if (!scan_field(scan, 2, 0, 23, &hours) || !cb_scan_char(scan, ':') ||
	    !scan_field(scan, 2, 0, 59, &minutes))
		return false;
	*ret_seconds = sign * (hours * 3600 + minutes * 60);
	return true;
}

static int parse_date(const char *text, uint64_t *ret_usec)
{
	struct cb_scan scan = CB_SCAN(text, strlen(text));
	struct tm tm = { .tm_isdst = -1 }, check;
	int zone = 0;
	time_t at;

	if (!scan_date(&scan, &tm))
		return -EINVAL;
	check = tm;
	if (!cb_scan_done(&scan)) {
		if (!cb_scan_char(&scan, 'T') && !cb_scan_char(&scan, 't') &&
		    !cb_scan_char(&scan, ' '))
			return -EINVAL;
		if (!scan_time(&scan, &tm))
			return -EINVAL;
	}
	check = tm;
	if (cb_scan_done(&scan))
		at = mktime(&tm);
	else if (scan_zone(&scan, &zone) && cb_scan_done(&scan))
		at = timegm(&tm) - zone;
	else
		return -EINVAL;
	if (tm.tm_mday != check.tm_mday || at < 0) /* February 30th has become March 2nd */
		return -EINVAL;
	*ret_usec = (uint64_t)at * CB_USEC_PER_SEC;
	return 0;
}

int cb_since_parse(const char *text, uint64_t now_usec, uint64_t *ret_usec)
{
	struct cb_scan scan = CB_SCAN(text, strlen(text));
	uint64_t value;

	if (cb_scan_u64(&scan, &value) && cb_scan_done(&scan)) {
		if (value > UINT64_MAX / CB_USEC_PER_SEC)
			return -EINVAL;
		*ret_usec = value * CB_USEC_PER_SEC;
		return 0;
	}
	if (parse_date(text, ret_usec) == 0)
		return 0;
	if (cb_span_parse(text, &value) != 0)
		return -EINVAL;
	if (value > now_usec)
		return -ERANGE;
	*ret_usec = now_usec - value;
	return 0;
}

static bool show_id(struct json_object *row, const struct cb_style *style, struct cb_buf *buf)
{
	uint64_t id;

	(void)style;
	if (!cb_json_u64(row, "Plan", &id) || id == 0)
		return false;
	cb_buf_add(buf, "#%llu", (unsigned long long)id);
	return true;
}

static bool show_what(struct json_object *row, const struct cb_style *style, struct cb_buf *buf)
{
	(void)style;
	cb_show_steps(buf, cb_json_array(row, "Steps"), 2);
	return buf->length > 0;
}

static bool show_waits(struct json_object *row, const struct cb_style *style, struct cb_buf *buf)
{
	double before, after;

	(void)style;
	if (!cb_json_number(row, "WaitBefore", &before) ||
	    !cb_json_number(row, "WaitAfter", &after))
		return false;
	cb_buf_add(buf, "%.2f -> %.2f", before, after);
	return true;
}

static bool show_outcome(struct json_object *row, const struct cb_style *style, struct cb_buf *buf)
{
	const char *sentence = cb_json_text(row, "Sentence");

	(void)style;
	if (sentence)
		cb_buf_add(buf, "%s", sentence);
	if (cb_json_true(row, "Foreign"))
		cb_buf_join(buf, "; ", "somebody else changed a mask meanwhile");
	return buf->length > 0;
}

void cb_render_history(FILE *out, const struct cb_style *style, struct json_object *history)
{
	static const struct cb_column columns[] = {
		{ .title = "PLAN", .show = show_id, .right = true },
		{ .title = "WHEN", .cell = CB_CELL_WHEN, .key = "At" },
		{ .title = "BY", .cell = CB_CELL_TEXT, .key = "Origin", .drop = 2 },
		{ .title = "GROUP", .cell = CB_CELL_TEXT, .key = "Group", .min_cols = 8, .drop = 1 },
		{ .title = "MOVED", .show = show_what, .min_cols = 24 },
		{ .title = "VERDICT", .cell = CB_CELL_STATE, .key = "Verdict" },
		{ .title = "WAIT/CPU s", .show = show_waits, .drop = 3 },
		{ .title = "WHY", .show = show_outcome, .min_cols = 24 },
	};

	cb_table_print(out, style, columns, CB_ARRAY_SIZE(columns), history, 0,
		       "no plan in this time");
}

void cb_render_foreign(FILE *out, const struct cb_style *style, struct json_object *writes)
{
	static const struct cb_column columns[] = {
		{ .title = "WHEN", .cell = CB_CELL_WHEN, .key = "At" },
		{ .title = "WHAT", .cell = CB_CELL_TEXT, .key = "Sentence", .min_cols = 24 },
	};

	cb_table_print(out, style, columns, CB_ARRAY_SIZE(columns), writes, 0,
		       "nobody else has changed what cpubalanced had set in this time");
}

enum { FLAG_SINCE, FLAG_FOREIGN };
static const struct cb_flag flags[] = {
	[FLAG_SINCE] = { "--since", "TIME",
			 "a span (2h), a date (2025-03-01, 2025-03-01T02:41:07Z), or seconds since 1970" },
	[FLAG_FOREIGN] = { "--foreign", NULL,
			   "what somebody else has set of that which cpubalanced had set" },
	{ NULL, NULL, NULL },
};

static int run(struct cb_ctl *ctl, const struct cb_args *args)
{
	const char *since = args->flag[FLAG_SINCE];
	struct json_object *json = NULL;
	uint64_t usec = 0;
	int code, r = since ? cb_since_parse(since, ctl->style.now_usec, &usec) : 0;

	if (r < 0)
		return cb_ctl_fail(
			ctl, CB_EXIT_USAGE,
			"--since '%s' is not a span such as 2h, a date such as 2025-03-01 or 2025-03-01T02:41:07Z, or seconds since 1970",
			since);
	code = cb_client_call_json(ctl, args->flag[FLAG_FOREIGN] ? "ListForeign" : "ListHistory",
				   CB_CALL_USEC, &json, "t", usec);
	if (code != CB_EXIT_OK)
		return code;
	return cb_show(ctl, json, args->flag[FLAG_FOREIGN] ? cb_render_foreign : cb_render_history);
}

const struct cb_verb cb_verb_history = {
	.name = "history",
	.arguments = "",
	.summary = "plans that ended, oldest first, with their verdicts",
	.details = "WAIT/CPU s is the run-queue wait for each second of CPU time that "
		   "the workers used, before and after.",
	.example = "cpubalctl history --since=2h",
	.flags = flags,
	.run = run,
};
