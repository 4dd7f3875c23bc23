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

static int parse_mode(const char *text, enum cb_mode *ret)
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

static int parse_placement(const char *text, enum cb_placement *ret)
{
	for (int placement = 0; placement < _CB_PLACEMENT_MAX; placement++)
		if (strcmp(cb_placement_name((enum cb_placement)placement), text) == 0) {
			*ret = (enum cb_placement)placement;
			return 0;
		}
	return -EINVAL;
}

static int parse_granularity(const char *text, enum cb_granularity *ret)
{
	for (int granularity = 0; granularity < _CB_GRANULARITY_MAX; granularity++)
		if (strcmp(cb_granularity_name((enum cb_granularity)granularity), text) == 0) {
			*ret = (enum cb_granularity)granularity;
			return 0;
		}
	return -EINVAL;
}

static int parse_steering(const char *text, enum cb_steering *ret)
{
	enum cb_steering steering = cb_steering_from_name(text);

	if (steering == _CB_STEERING_INVALID)
		return -EINVAL;
	*ret = steering;
	return 0;
}

static int parse_path(const char *text, char *ret)
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

/* Blank-separated names of network interfaces, stored with one blank between them. */
static int parse_interfaces(const char *text, char *ret)
{
	struct cb_scan s = CB_SCAN(text, strlen(text));
	char names[CB_PATH_MAX] = "";
	size_t used = 0, len;
	const char *name;

	for (cb_scan_blanks(&s); cb_scan_token(&s, &name, &len); cb_scan_blanks(&s)) {
		if (len >= CB_IFNAME_MAX)
			return -EINVAL;
		/* As the kernel sees it (net/core/dev.c, dev_valid_name()), and no control characters. */
		for (size_t i = 0; i < len; i++)
			if ((unsigned char)name[i] <= 0x20 || name[i] == 0x7f || name[i] == '/' ||
			    name[i] == ':')
				return -EINVAL;
		if (name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')))
			return -EINVAL;
		if (used + (used > 0) + len >= sizeof(names))
			return -ERANGE;
		if (used > 0)
			names[used++] = ' ';
		memcpy(names + used, name, len);
		used += len;
	}
	if (!cb_scan_done(&s))
		return -EINVAL;
	names[used] = 0;
	memcpy(ret, names, used + 1);
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
		return parse_mode(text, &ret->mode);
	case TYPE_DETAIL:
		return parse_detail(text, &ret->detail);
	case TYPE_PATH:
		return parse_path(text, ret->path);
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
		return "auto, advise or observe";
	case TYPE_DETAIL:
		return "summary, cpu or full";
	case TYPE_PATH:
		return "an absolute path of less than 256 bytes, or empty";
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

/* --- groups --- */

static bool is_name_start(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool cb_name_valid(const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len >= CB_NAME_MAX || !is_name_start(name[0]))
		return false;
	for (size_t i = 1; i < len; i++)
		if (!is_name_start(name[i]) && !strchr("_.-", name[i]))
			return false;
	return true;
}

/* Listen=, Unit=, Cgroup= and Process=. */
static int set_selector(struct cb_group_policy *group, const char *name, const char *text,
			struct cb_err *err)
{
	struct cb_selector *selector = &group->selector;
	const char *wants;
	int r;

	if (strcmp(name, "Listen") == 0) {
		wants = "up to 8 of tcp:443, udp:[::]:53, tcp:10.0.0.1:8080 with blanks between them";
		r = cb_listen_parse_list(text, selector->listen, &selector->n_listen);
	} else if (strcmp(name, "Unit") == 0) {
		wants = "the full name of a unit, such as nginx.service";
		r = cb_selector_parse_unit(text, selector->unit);
	} else if (strcmp(name, "Cgroup") == 0) {
		wants = "the path of a cgroup, such as /system.slice/nginx.service, less than 256 bytes";
		r = cb_selector_parse_cgroup(text, selector->cgroup);
	} else if (strcmp(name, "Granularity") == 0) {
		wants = "auto, process or thread";
		r = parse_granularity(text, &group->granularity);
	} else if (strcmp(name, "Process") == 0) {
		wants = "the name of a program, such as nginx, or its absolute path, less than 256 bytes";
		r = cb_selector_parse_process(text, selector->process);
	} else {
		return cb_err_set(
			err, -ENOENT,
			"[Group %s] has no option %.64s= (Mode, AllowedCPUs, Placement, Steering, Listen, "
			"Unit, Cgroup, Process, Granularity, PIDFile, Interfaces, ServiceMetric, "
			"ServiceMetricBetter)",
			group->name, name);
	}
	return r < 0 ? cb_err_set(err, r, "%s=: \"%.64s\" is not %s", name, text, wants) : 0;
}

/* One line of text for somebody else to make sense of. */
static int parse_line(const char *text, char ret[CB_PATH_MAX])
{
	size_t len = strlen(text);

	if (len >= CB_PATH_MAX)
		return -ERANGE;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return -EINVAL;
	memset(ret, 0, CB_PATH_MAX);
	memcpy(ret, text, len);
	return 0;
}

static int parse_better(const char *text, bool *ret_falls)
{
	bool falls = strcmp(text, "lower") == 0;

	if (!falls && strcmp(text, "higher") != 0)
		return -EINVAL;
	*ret_falls = falls;
	return 0;
}

static int set_group_option(struct cb_group_policy *group, const char *name, const char *text,
			    struct cb_err *err)
{
	const char *wants;
	int r;

	if (strcmp(name, "Mode") == 0) {
		wants = type_wants(TYPE_MODE);
		group->has_mode = text[0] != 0;
		r = group->has_mode ? parse_mode(text, &group->mode) : 0;
	} else if (strcmp(name, "AllowedCPUs") == 0) {
		wants = "a list of CPUs such as 0-3,8, below 4096";
		group->allowed_cpus = CB_CPUSET_EMPTY;
		r = cb_cpuset_parse_list(text, strlen(text), &group->allowed_cpus);
		group->has_allowed = !cb_cpuset_empty(&group->allowed_cpus);
	} else if (strcmp(name, "Placement") == 0) {
		wants = "auto or core";
		r = parse_placement(text, &group->placement);
	} else if (strcmp(name, "Steering") == 0) {
		wants = "none, local or weighted";
		r = parse_steering(text, &group->steering);
	} else if (strcmp(name, "PIDFile") == 0) {
		wants = type_wants(TYPE_PATH);
		r = parse_path(text, group->pid_file);
	} else if (strcmp(name, "Interfaces") == 0) {
		wants = "names of network interfaces with blanks between them, less than 256 bytes in all";
		r = parse_interfaces(text, group->interfaces);
	} else if (strcmp(name, "ServiceMetric") == 0) {
		wants = "a command or an http:// or https:// URL, one line of less than 256 bytes";
		r = parse_line(text, group->service_metric);
	} else if (strcmp(name, "ServiceMetricBetter") == 0) {
		wants = "higher or lower";
		r = parse_better(text, &group->metric_falls);
	} else {
		return set_selector(group, name, text, err);
	}
	if (r < 0)
		return cb_err_set(err, r, "%s=: \"%.64s\" is not %s", name, text, wants);
	return 0;
}

static int set_group(struct cb_policy *policy, const char *group_name, const char *name,
		     const char *text, struct cb_err *err)
{
	struct cb_group_policy group = { 0 };
	uint32_t i;
	int r;

	if (!cb_name_valid(group_name))
		return cb_err_set(
			err, -EINVAL,
			"[Group %.80s]: a name is 1 to 63 of A-Z a-z 0-9 _ . -, starting with a letter or digit",
			group_name);
	for (i = 0; i < policy->n_groups; i++)
		if (strcmp(policy->group[i].name, group_name) == 0)
			break;
	if (i == CB_GROUPS_MAX)
		return cb_err_set(err, -E2BIG, "[Group %s]: more than %u groups", group_name,
				  CB_GROUPS_MAX);
	if (i < policy->n_groups)
		group = policy->group[i];
	else
		memcpy(group.name, group_name, strlen(group_name) + 1);
	r = set_group_option(&group, name, text, err);
	if (r < 0)
		return r;
	policy->group[i] = group;
	policy->n_groups = CB_MAX(policy->n_groups, i + 1);
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
		return set_group(policy, section + strspn(section, " \t"), name, value, err);
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
