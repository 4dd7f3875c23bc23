/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The policy: text to values and back, all generated from policy.def. Defaults and bounds go through the same parsers as
 * the configuration, so a row of the table cannot mean something else than the operator's line. Invariant: each value of
 * a policy is inside its bounds, whatever cb_policy_set() answers.
 */
#include "cpubalance/policy.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cpubalance/irqs.h"
#include "cpubalance/scan.h"
#include "policy_internal.h"

enum value_type {
	TYPE_SPAN,
	TYPE_PCT,
	TYPE_COUNT,
	TYPE_BOOL,
	TYPE_MODE,
	TYPE_DETAIL,
	TYPE_PATH,
	TYPE_SCOPE,
};

/*
 * Which section a row stands in, as a constant: each section starts a new hundred, so a row's place divided by a hundred
 * is the number of sections before it. The names of the enumerators of a section come from its line in policy.def.
 */
#define PASTE2(a, b) a##b
#define PASTE(a, b)  PASTE2(a, b)
enum place {
#define CB_POLICY_SECTION(name)                    \
	PASTE(section_at_line_, __LINE__),         \
		PASTE(section_begins_, __LINE__) = \
			(PASTE(section_at_line_, __LINE__) / 100 + 1) * 100,
#define CB_POLICY_ROW(type, field, Name, def, min, max, help) PLACE_##field,
#include "cpubalance/policy.def"
#undef CB_POLICY_ROW
#undef CB_POLICY_SECTION
};

static const char section_names[][16] = {
#define CB_POLICY_SECTION(name) name,
#define CB_POLICY_ROW(type, field, Name, def, min, max, help)
#include "cpubalance/policy.def"
#undef CB_POLICY_ROW
#undef CB_POLICY_SECTION
};

const struct cb_option cb_options[] = {
#define CB_POLICY_SECTION(name)
#define CB_POLICY_ROW(type, field, Name, def, min, max, help) \
	{ section_names[PLACE_##field / 100 - 1], #Name, #type, def, min, max, help },
#include "cpubalance/policy.def"
#undef CB_POLICY_ROW
#undef CB_POLICY_SECTION
};
const size_t cb_n_options = CB_ARRAY_SIZE(cb_options);

/* Of the same row of cb_options[]. */
static const struct {
	enum value_type type;
	size_t offset; /* in struct cb_policy */
} fields[] = {
#define CB_POLICY_SECTION(name)
#define CB_POLICY_ROW(type, field, Name, def, min, max, help) \
	{ TYPE_##type, offsetof(struct cb_policy, field) },
#include "cpubalance/policy.def"
#undef CB_POLICY_ROW
#undef CB_POLICY_SECTION
};

/* --- text to value; all return 0, -EINVAL or -ERANGE --- */

/* "80%", "80.5%", "80": up to six decimals. One division of two exact numbers, so the nearest double. */
static int parse_pct(const char *text, double *ret)
{
	struct cb_scan s = CB_SCAN(text, strlen(text));
	uint64_t whole, fraction = 0, scale = 1;

	cb_scan_blanks(&s);
	if (cb_scan_done(&s) || *s.p < '0' || *s.p > '9')
		return -EINVAL;
	if (!cb_scan_u64(&s, &whole) || whole > 1000)
		return -ERANGE;
	if (cb_scan_char(&s, '.')) {
		const char *start = s.p;

		if (!cb_scan_u64(&s, &fraction) || s.p - start > 6)
			return -EINVAL;
		for (; start < s.p; start++)
			scale *= 10;
	}
	cb_scan_blanks(&s);
	(void)cb_scan_char(&s, '%');
	cb_scan_blanks(&s);
	if (!cb_scan_done(&s))
		return -EINVAL;
	*ret = (double)(whole * scale + fraction) / (double)(scale * 100);
	return 0;
}

static int parse_count(const char *text, uint32_t *ret)
{
	struct cb_scan s = CB_SCAN(text, strlen(text));
	bool number;
	uint32_t value;

	cb_scan_blanks(&s);
	number = !cb_scan_done(&s) && *s.p >= '0' && *s.p <= '9';
	if (!cb_scan_u32(&s, &value))
		return number ? -ERANGE : -EINVAL;
	cb_scan_blanks(&s);
	if (!cb_scan_done(&s))
		return -EINVAL;
	*ret = value;
	return 0;
}

static int parse_bool(const char *text, bool *ret)
{
	static const char *const words[2][6] = {
		{ "no", "0", "n", "false", "f", "off" },
		{ "yes", "1", "y", "true", "t", "on" },
	};

	for (int value = 0; value < 2; value++)
		for (size_t i = 0; i < CB_ARRAY_SIZE(words[value]); i++)
			if (strcasecmp(text, words[value][i]) == 0) {
				*ret = value;
				return 0;
			}
	return -EINVAL;
}

int policy_parse_mode(const char *text, enum cb_mode *ret)
{
	enum cb_mode mode = cb_mode_from_name(text);

	if (mode == _CB_MODE_INVALID)
		return -EINVAL;
	*ret = mode;
	return 0;
}

static int parse_detail(const char *text, enum cb_detail *ret)
{
	for (int detail = 0; detail < _CB_DETAIL_MAX; detail++)
		if (strcmp(cb_detail_name((enum cb_detail)detail), text) == 0) {
			*ret = (enum cb_detail)detail;
			return 0;
		}
	return -EINVAL;
}

int policy_parse_path(const char *text, char *ret)
{
	size_t len = strlen(text);

	if (len >= CB_PATH_MAX)
		return -ERANGE;
	if (len > 0 && text[0] != '/')
		return -EINVAL;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return -EINVAL;
	memcpy(ret, text, len + 1);
	return 0;
}

/* --- one row --- */

union value {
	uint64_t span;
	double pct;
	uint32_t count;
	bool boolean;
	enum cb_mode mode;
	enum cb_detail detail;
	char path[CB_PATH_MAX];
};

static int parse_value(enum value_type type, const char *text, union value *ret)
{
	switch (type) {
	case TYPE_SPAN:
		return cb_span_parse(text, &ret->span);
	case TYPE_PCT:
		return parse_pct(text, &ret->pct);
	case TYPE_COUNT:
		return parse_count(text, &ret->count);
	case TYPE_BOOL:
		return parse_bool(text, &ret->boolean);
	case TYPE_MODE:
		return policy_parse_mode(text, &ret->mode);
	case TYPE_DETAIL:
		return parse_detail(text, &ret->detail);
	case TYPE_PATH:
		return policy_parse_path(text, ret->path);
	case TYPE_SCOPE:
		return cb_irq_scope_parse(text, ret->path, sizeof(ret->path));
	}
	return -EINVAL;
}

static size_t value_size(enum value_type type)
{
	switch (type) {
	case TYPE_SPAN:
		return sizeof(uint64_t);
	case TYPE_PCT:
		return sizeof(double);
	case TYPE_COUNT:
		return sizeof(uint32_t);
	case TYPE_BOOL:
		return sizeof(bool);
	case TYPE_MODE:
		return sizeof(enum cb_mode);
	case TYPE_DETAIL:
		return sizeof(enum cb_detail);
	case TYPE_PATH:
	case TYPE_SCOPE:
		return CB_PATH_MAX;
	}
	return 0;
}

static const char *type_wants(enum value_type type)
{
	switch (type) {
	case TYPE_SPAN:
		return "a time such as 250ms, 5s or 1min 30s";
	case TYPE_PCT:
		return "a percentage such as 80%";
	case TYPE_COUNT:
		return "a whole number";
	case TYPE_BOOL:
		return "yes or no";
	case TYPE_MODE:
		return POLICY_WANTS_MODE;
	case TYPE_DETAIL:
		return "summary, cpu or full";
	case TYPE_PATH:
		return POLICY_WANTS_PATH;
	case TYPE_SCOPE:
		return "feeding, network, all, none, or a list of interrupts such as 40-47,51";
	}
	return "?";
}

/* False also for what is not a number. Only types that have bounds. */
static bool at_least(enum value_type type, const union value *value, const union value *bound)
{
	switch (type) {
	case TYPE_SPAN:
		return value->span >= bound->span;
	case TYPE_PCT:
		return value->pct >= bound->pct;
	case TYPE_COUNT:
		return value->count >= bound->count;
	case TYPE_BOOL:
	case TYPE_MODE:
	case TYPE_DETAIL:
	case TYPE_PATH:
	case TYPE_SCOPE:
		break;
	}
	return true;
}

static bool within(size_t row, const union value *value)
{
	const struct cb_option *option = &cb_options[row];
	const enum value_type type = fields[row].type;
	union value min, max;

	if (!option->min[0])
		return true;
	return parse_value(type, option->min, &min) == 0 &&
	       parse_value(type, option->max, &max) == 0 && at_least(type, value, &min) &&
	       at_least(type, &max, value);
}

static int set_row(struct cb_policy *policy, size_t row, const char *text, struct cb_err *err)
{
	const struct cb_option *option = &cb_options[row];
	union value value;
	int r;

	/* Also what follows a short path: equal policies are equal to the byte. */
	memset(&value, 0, sizeof(value));
	r = parse_value(fields[row].type, text, &value);
	if (r == -EINVAL || (r < 0 && !option->min[0]))
		return cb_err_set(err, r, "%s=: \"%.64s\" is not %s%s%s%s%s", option->name, text,
				  type_wants(fields[row].type), option->min[0] ? ", " : "",
				  option->min, option->min[0] ? " to " : "", option->max);
	if (r < 0 || !within(row, &value))
		return cb_err_set(err, -ERANGE, "%s=: \"%.64s\" is not in %s to %s", option->name,
				  text, option->min, option->max);
	memcpy((char *)policy + fields[row].offset, &value, value_size(fields[row].type));
	return 0;
}

/* --- the policy --- */

void cb_policy_init(struct cb_policy *policy)
{
	memset(policy, 0, sizeof(*policy));
	for (size_t row = 0; row < cb_n_options; row++) {
		int r = set_row(policy, row, cb_options[row].def, NULL);

		assert(r == 0);
		(void)r;
	}
}

int cb_policy_set(struct cb_policy *policy, const char *section, const char *name,
		  const char *value, struct cb_err *err)
{
	bool section_known = false;

	if (strncmp(section, "Group ", strlen("Group ")) == 0) {
		section += strlen("Group ");
		return policy_set_group(policy, section + strspn(section, " \t"), name, value, err);
	}
	for (size_t row = 0; row < cb_n_options; row++) {
		if (strcmp(cb_options[row].section, section) != 0)
			continue;
		section_known = true;
		if (strcmp(cb_options[row].name, name) == 0)
			return set_row(policy, row, value, err);
	}
	if (!section_known)
		return cb_err_set(
			err, -ENOENT,
			"there is no section [%.64s] (Manager, Detect, Plan, Verify, Group NAME)",
			section);
	for (size_t row = 0; row < cb_n_options; row++)
		if (strcmp(cb_options[row].name, name) == 0)
			return cb_err_set(err, -ENOENT, "%s= belongs to [%s], not to [%s]", name,
					  cb_options[row].section, section);
	return cb_err_set(err, -ENOENT, "[%s] has no option %.64s=", section, name);
}

static int relation(const struct cb_policy *policy, bool holds, const char *lesser,
		    const char *words, const char *greater, struct cb_err *err)
{
	char a[CB_PATH_MAX] = "?", b[CB_PATH_MAX] = "?";

	if (holds)
		return 0;
	(void)cb_policy_format(policy, lesser, a, sizeof(a));
	(void)cb_policy_format(policy, greater, b, sizeof(b));
	return cb_err_set(err, -EINVAL, "%s= (%.40s) has to be %s %s= (%.40s)", lesser, a, words,
			  greater, b);
}

/* What begins at a threshold ends at a lower one. */
static int check_findings(const struct cb_policy *p, struct cb_err *err)
{
	static const char below[] = "less than";
	int r = relation(p, p->net_rx_off_ratio < p->net_rx_on_ratio, "NetRxOff", below, "NetRxOn",
			 err);

	if (r == 0)
		r = relation(p, p->softirq_off_ratio < p->softirq_on_ratio, "SoftirqOff", below,
			     "SoftirqOn", err);
	if (r == 0)
		r = relation(p, p->storm_off_per_sec < p->storm_on_per_sec, "StormOff", below,
			     "StormOn", err);
	if (r == 0)
		r = relation(p, p->steal_off_ratio < p->steal_on_ratio, "StealOff", below,
			     "StealOn", err);
	if (r == 0)
		r = relation(p, p->backlog_off_ratio < p->backlog_on_ratio, "BacklogOff", below,
			     "BacklogOn", err);
	if (r == 0)
		r = relation(p, p->skew_off_ratio < p->skew_on_ratio, "SkewOff", below, "SkewOn",
			     err);
	if (r == 0)
		r = relation(p, p->gone_usec < p->gone_forget_usec, "GoneSec", below,
			     "GoneForgetSec", err);
	return r;
}

int cb_policy_check(const struct cb_policy *policy, struct cb_err *err)
{
	static const char below[] = "less than", up_to[] = "at most";
	const struct cb_policy *p = policy;
	int r;

	for (size_t row = 0; row < cb_n_options; row++) {
		union value value;

		memcpy(&value, (const char *)policy + fields[row].offset,
		       value_size(fields[row].type));
		if (!within(row, &value))
			return cb_err_set(err, -EINVAL, "%s= is not in %s to %s",
					  cb_options[row].name, cb_options[row].min,
					  cb_options[row].max);
	}
	r = relation(p, p->hot_off_ratio < p->hot_on_ratio, "HotOff", below, "HotOn", err);
	if (r == 0)
		r = relation(p, p->warm_ratio <= p->hot_on_ratio, "WarmOn", up_to, "HotOn", err);
	if (r == 0)
		r = relation(p, p->cooler_by_ratio <= p->hot_on_ratio, "CoolerBy", up_to, "HotOn",
			     err);
	if (r == 0)
		r = relation(p, p->hot_harm_usec <= p->hot_idle_usec, "HotHarmSec", up_to,
			     "HotNoHarmSec", err);
	if (r == 0)
		r = check_findings(p, err);
	if (r == 0)
		r = relation(p, p->plan_steps <= p->plan_steps_trusted, "PlanSteps", up_to,
			     "PlanStepsTrusted", err);
	if (r == 0)
		r = relation(p, p->verify_windows <= p->verify_windows_max, "VerifyWindows", up_to,
			     "VerifyWindowsMax", err);
	if (r == 0)
		r = relation(p, p->quarantine_usec <= p->quarantine_max_usec, "QuarantineSec",
			     up_to, "QuarantineMaxSec", err);
	return r;
}

/* --- value to text --- */

/* With as few decimals as read back to the same value; parse_pct() reads six. */
static void format_pct(double ratio, char *buf, size_t size)
{
	for (int decimals = 0; decimals <= 6; decimals++) {
		double back;

		snprintf(buf, size, "%.*f%%", decimals, ratio * 100.0);
		if (parse_pct(buf, &back) == 0 && back >= ratio && back <= ratio)
			return;
	}
}

int cb_policy_format(const struct cb_policy *policy, const char *name, char *buf, size_t size)
{
	char text[CB_PATH_MAX] = "";
	union value value;
	size_t row, len;

	for (row = 0; row < cb_n_options; row++)
		if (strcmp(cb_options[row].name, name) == 0)
			break;
	if (row == cb_n_options)
		return -ENOENT;
	memcpy(&value, (const char *)policy + fields[row].offset, value_size(fields[row].type));
	switch (fields[row].type) {
	case TYPE_SPAN:
		cb_span_format(value.span, text, sizeof(text));
		break;
	case TYPE_PCT:
		format_pct(value.pct, text, sizeof(text));
		break;
	case TYPE_COUNT:
		snprintf(text, sizeof(text), "%u", value.count);
		break;
	case TYPE_BOOL:
		snprintf(text, sizeof(text), "%s", value.boolean ? "yes" : "no");
		break;
	case TYPE_MODE:
		snprintf(text, sizeof(text), "%s", cb_mode_name(value.mode));
		break;
	case TYPE_DETAIL:
		snprintf(text, sizeof(text), "%s", cb_detail_name(value.detail));
		break;
	case TYPE_PATH:
	case TYPE_SCOPE:
		snprintf(text, sizeof(text), "%s", value.path);
		break;
	}
	len = strlen(text);
	if (len >= size)
		return -ENOSPC;
	memcpy(buf, text, len + 1);
	return (int)len;
}
