/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * status: a dozen lines on any machine, exceptions first, each with its figures. What is unknown is
 * "-".
 */

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "json.h"
#include "render.h"

#define HOT_LINES     5u
#define WHO_MAX	      4u
#define REFUSED_LINES 3u
#define FINDING_LINES 3u

struct who {
	const char *name;
	double load_ratio;
};

static int by_load(const void *a, const void *b)
{
	double x = ((const struct who *)a)->load_ratio, y = ((const struct who *)b)->load_ratio;

	return x < y ? 1 : x > y ? -1 : 0;
}

/* Append to @who those of @rows that count on @cpu. */
static size_t add_who(struct who *who, size_t n, struct json_object *rows, const char *key,
		      int64_t cpu)
{
	for (size_t i = 0; i < cb_json_length(rows); i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);
		int64_t at;

		if (!cb_json_int(row, "CPU", &at) || at != cpu ||
		    !cb_json_number(row, key, &who[n].load_ratio))
			continue;
		who[n++].name = cb_json_text_or(row, "Name", "-");
	}
	return n;
}

/* "nginx/3 51, nginx/7 22, eth0-rx-3 13, 2 more 4, other 10": points of percent of the CPU. */
static void show_who(struct cb_buf *buf, struct json_object *status, struct json_object *cpu,
		     int64_t number)
{
	struct json_object *workers = cb_json_get(status, "Workers"),
			   *irqs = cb_json_get(status, "Interrupts");
	struct who *who =
		cb_must(calloc(cb_json_length(workers) + cb_json_length(irqs) + 1, sizeof(*who)));
	double more_ratio = 0, other_ratio;
	size_t n, shown = 0, more = 0;
	char text[32];

	n = add_who(who, 0, workers, "CPUTime", number);
	n = add_who(who, n, irqs, "Load", number);
	qsort(who, n, sizeof(*who), by_load);
	for (size_t i = 0; i < n; i++) {
		if (who[i].load_ratio < 0.005)
			break;
		if (i < WHO_MAX || (i == WHO_MAX && i + 1 == n)) {
			cb_buf_join(buf, shown++ ? ", " : "   ", "%s %s", who[i].name,
				    cb_show_points(who[i].load_ratio, text, sizeof(text)));
		} else {
			more++;
			more_ratio += who[i].load_ratio;
		}
	}
	if (more)
		cb_buf_add(buf, ", %zu more %s", more,
			   cb_show_points(more_ratio, text, sizeof(text)));
	if (cb_json_number(cpu, "Other", &other_ratio))
		cb_buf_join(buf, shown ? ", " : "   ", "other %s",
			    cb_show_points(other_ratio, text, sizeof(text)));
	free(who);
}

static int by_busy(const void *a, const void *b)
{
	struct json_object *x = *(struct json_object *const *)a,
			   *y = *(struct json_object *const *)b;
	double busy_x = -1, busy_y = -1;

	cb_json_number(x, "Busy", &busy_x);
	cb_json_number(y, "Busy", &busy_y);
	return busy_x < busy_y ? 1 : busy_x > busy_y ? -1 : 0;
}

static const char *show_busy(struct json_object *cpu, char *buf, size_t size)
{
	double busy_ratio;

	if (!cb_json_number(cpu, "Busy", &busy_ratio))
		return "-";
	snprintf(buf, size, "%.0f%%", busy_ratio * 100);
	return buf;
}

static void hot_line(struct cb_lines *lines, const char *label, struct json_object *status,
		     struct json_object *cpu)
{
	struct cb_buf buf = { 0 };
	char text[64];
	int64_t number = cb_json_int_or(cpu, "CPU", -1);
	uint64_t usec;

	cb_buf_add(&buf, "CPU %lld  %s", (long long)number, show_busy(cpu, text, sizeof(text)));
	if (cb_json_u64(cpu, "HotForUSec", &usec))
		cb_buf_add(&buf, " for %s", cb_show_span(usec, text, sizeof(text)));
	show_who(&buf, status, cpu, number);
	cb_line(lines, label, CB_COLOR_RED, "%s", buf.text);
	cb_buf_done(&buf);
}

static void hot_lines(struct cb_lines *lines, struct json_object *status)
{
	struct json_object *cpus = cb_json_array(status, "CPUs");
	size_t n = cb_json_length(cpus), n_hot = 0;
	struct json_object **order = cb_must(calloc(n + 1, sizeof(struct json_object *)));
	char text[32];

	for (size_t i = 0; i < n; i++)
		order[i] = json_object_array_get_idx(cpus, i);
	qsort(order, n, sizeof(struct json_object *), by_busy);
	for (size_t i = 0; i < n; i++) {
		if (strcmp(cb_json_text_or(order[i], "Heat", ""), "hot") != 0)
			continue;
		if (n_hot++ < HOT_LINES)
			hot_line(lines, n_hot == 1 ? "HOT" : "", status, order[i]);
	}
	if (n_hot > HOT_LINES)
		cb_line(lines, "", CB_COLOR_NONE, "%zu more hot CPUs: cpubalctl cpus",
			n_hot - HOT_LINES);
	if (n_hot == 0 && n > 0) {
		cb_line(lines, "HOT", CB_COLOR_NONE, "none; the busiest is CPU %lld at %s",
			(long long)cb_json_int_or(order[0], "CPU", -1),
			show_busy(order[0], text, sizeof(text)));
	} else if (n == 0) {
		cb_line(lines, "HOT", CB_COLOR_NONE, "-");
	}
	free(order);
}

/* A count of the report as text, "-" when unknown. */
static const char *count(struct json_object *manager, const char *key, char *buf, size_t size)
{
	uint64_t value;

	if (!cb_json_u64(manager, key, &value))
		return "-";
	snprintf(buf, size, "%llu", (unsigned long long)value);
	return buf;
}

struct count {
	char text[24];
};
#define COUNT(manager, key) count(manager, key, (struct count){ 0 }.text, sizeof(struct count))

static void first_line(struct cb_lines *lines, struct json_object *manager)
{
	const char *state = cb_json_text_or(manager, "State", "-");
	enum cb_color color = strcmp(state, "ok") == 0	      ? CB_COLOR_GREEN :
			      strcmp(state, "attention") == 0 ? CB_COLOR_RED :
								CB_COLOR_YELLOW;
	char label[16];

	for (size_t i = 0; i < sizeof(label); i++) {
		label[i] = i + 1 < sizeof(label) ? state[i] : '\0';
		if (label[i] >= 'a' && label[i] <= 'z')
			label[i] = (char)(label[i] - 'a' + 'A');
		if (!label[i])
			break;
	}
	cb_line(lines, label, color, "%s", cb_json_text_or(manager, "Headline", "-"));
}

static void machine_line(struct cb_lines *lines, struct json_object *manager)
{
	const char *owner = cb_json_text_or(manager, "InterruptsOwner", "-"),
		   *cpus = COUNT(manager, "CPUs");

	cb_line(lines, "MACHINE", CB_COLOR_BOLD,
		"%s CPU%s: %s hot, %s warm, %s cool   groups %s   workers %s%s%s", cpus,
		strcmp(cpus, "1") == 0 ? "" : "s", COUNT(manager, "CPUsHot"),
		COUNT(manager, "CPUsWarm"), COUNT(manager, "CPUsCool"), COUNT(manager, "Groups"),
		COUNT(manager, "Workers"),
		strcmp(owner, "irqbalance") == 0 ? "   irqbalance moves interrupts" :
		strcmp(owner, "shared") == 0	 ? "   irqbalance moves the other interrupts" :
						   "",
		strcmp(owner, "none") == 0 ? "   nobody moves interrupts" : "");
}

static void changed_line(struct cb_lines *lines, struct json_object *manager)
{
	uint64_t workers = 0, irqs = 0;
	bool known = cb_json_u64(manager, "ChangedWorkers", &workers);

	known = cb_json_u64(manager, "ChangedInterrupts", &irqs) && known;
	if (!known || workers || irqs)
		cb_line(lines, "CHANGED", CB_COLOR_BOLD,
			"%s worker%s, %s interrupt%s   undo: cpubalctl release --all --pause",
			COUNT(manager, "ChangedWorkers"), workers == 1 ? "" : "s",
			COUNT(manager, "ChangedInterrupts"), irqs == 1 ? "" : "s");
	else
		cb_line(lines, "CHANGED", CB_COLOR_BOLD, "nothing");
}

static void harm_line(struct cb_lines *lines, struct json_object *manager)
{
	char wait[32] = "-", drops[32] = "-";
	uint64_t workers = 1, backlog_max = 0;
	double value;

	/* Without workers there is nobody to suffer. */
	cb_json_u64(manager, "Workers", &workers);
	if (workers == 0) {
		cb_line(lines, "HARM", CB_COLOR_BOLD,
			"no worker is registered: cpubalctl register --help");
		return;
	}
	if (cb_json_number(manager, "RunQueueWait", &value))
		cb_show_wait(value, wait, sizeof(wait));
	if (cb_json_number(manager, "DropsPerSec", &value))
		cb_show_rate(value, drops, sizeof(drops));
	/* A limit of 0 is no listener's: the backlog has not been seen. */
	if (cb_json_u64(manager, "BacklogMax", &backlog_max) && backlog_max)
		cb_line(lines, "HARM", CB_COLOR_BOLD,
			"run-queue wait %s ms/s   backlog %s/%s   drops %s/s", wait,
			COUNT(manager, "Backlog"), COUNT(manager, "BacklogMax"), drops);
	else
		cb_line(lines, "HARM", CB_COLOR_BOLD,
			"run-queue wait %s ms/s   backlog -   drops -", wait);
}

/* How many of @findings that count are of this kind. */
static size_t n_of_kind(struct json_object *findings, const char *kind, size_t *ret_first)
{
	size_t n = 0;

	for (size_t i = cb_json_length(findings); i-- > 0;) {
		struct json_object *finding = json_object_array_get_idx(findings, i);

		if (strcmp(cb_json_text_or(finding, "Kind", "-"), kind) != 0 ||
		    !cb_json_true(finding, "Confirmed"))
			continue;
		n++;
		*ret_first = i;
	}
	return n;
}

/* What no HOT line tells: findings of other kinds, the first of each. */
static void finding_lines(struct cb_lines *lines, struct json_object *findings)
{
	size_t n = 0;

	for (size_t i = 0; i < cb_json_length(findings); i++) {
		struct json_object *finding = json_object_array_get_idx(findings, i);
		const char *kind = cb_json_text_or(finding, "Kind", "-");
		size_t first = 0, n_same;
		char more[32] = "";

		n_same = n_of_kind(findings, kind, &first);
		if (strcmp(kind, "HOT_CPU") == 0 || n_same == 0 || first != i)
			continue;
		if (n_same > 1)
			snprintf(more, sizeof(more), " (%zu more)", n_same - 1);
		if (n++ < FINDING_LINES)
			cb_line(lines, n == 1 ? "FINDING" : "", CB_COLOR_YELLOW, "%s: %s%s", kind,
				cb_json_text_or(finding, "Sentence", "-"), more);
	}
	if (n > FINDING_LINES)
		cb_line(lines, "", CB_COLOR_NONE, "%zu more kinds: cpubalctl findings",
			n - FINDING_LINES);
}

static void plan_line(struct cb_lines *lines, struct json_object *plan)
{
	const char *state = cb_json_text_or(plan, "State", "-");
	struct cb_buf buf = { 0 };
	double before, after;
	uint64_t id, left;
	char text[48];

	if (!cb_json_u64(plan, "Id", &id) || id == 0)
		return;
	cb_buf_add(&buf, "#%llu %s", (unsigned long long)id, state);
	if (cb_json_u64(plan, "LeftUSec", &left) && left)
		cb_buf_add(&buf, ", %s left", cb_show_span(left, text, sizeof(text)));
	if (cb_json_length(cb_json_array(plan, "Steps"))) {
		cb_buf_add(&buf, "   ");
		cb_show_steps(&buf, cb_json_array(plan, "Steps"), 2);
	}
	if (cb_json_number(plan, "HottestBefore", &before) &&
	    cb_json_number(plan, "HottestAfter", &after))
		cb_buf_add(&buf, "   hottest %.0f%% -> %.0f%%", before * 100, after * 100);
	if (strcmp(state, "proposed") == 0)
		cb_buf_add(&buf, "   do it: cpubalctl apply %llu", (unsigned long long)id);
	else
		cb_buf_add(&buf, "   %s: cpubalctl rollback %llu",
			   strcmp(state, "baseline") == 0 ? "stop" : "undo",
			   (unsigned long long)id);
	cb_line(lines, "PLAN", CB_COLOR_BOLD, "%s", buf.text);
	cb_buf_done(&buf);
}

static int by_refused_load(const void *a, const void *b)
{
	struct json_object *x = *(struct json_object *const *)a,
			   *y = *(struct json_object *const *)b;
	double load_x = 0, load_y = 0;

	cb_json_number(x, "Load", &load_x);
	cb_json_number(y, "Load", &load_y);
	return load_x < load_y ? 1 : load_x > load_y ? -1 : 0;
}

/* The heaviest that were looked at and not moved. */
static void refused_lines(struct cb_lines *lines, struct json_object *plan)
{
	struct json_object *refusals = cb_json_array(plan, "Refusals");
	size_t n = cb_json_length(refusals), shown;
	struct json_object **order = cb_must(calloc(n + 1, sizeof(struct json_object *)));

	for (size_t i = 0; i < n; i++)
		order[i] = json_object_array_get_idx(refusals, i);
	qsort(order, n, sizeof(struct json_object *), by_refused_load);
	for (shown = 0; shown < n && shown < REFUSED_LINES; shown++)
		cb_line(lines, shown ? "" : "REFUSED", CB_COLOR_BOLD, "%s: %s",
			cb_json_text_or(order[shown], "Name", "-"),
			cb_json_text_or(order[shown], "ReasonText",
					cb_json_text_or(order[shown], "Reason", "-")));
	if (n > shown)
		cb_line(lines, "", CB_COLOR_NONE, "%zu more: cpubalctl plan", n - shown);
	free(order);
}

static void last_line(struct cb_lines *lines, struct json_object *manager,
		      struct json_object *last_plan)
{
	const char *verdict = cb_json_text_or(manager, "LastVerdict", "-");
	const char *sentence = cb_json_text_or(manager, "LastSentence", "-");
	struct cb_buf buf = { 0 };
	uint64_t id, usec;
	char text[48];

	if (!cb_json_u64(manager, "LastPlanId", &id) || id == 0) {
		cb_line(lines, "LAST", CB_COLOR_BOLD, "no plan yet");
		return;
	}
	cb_buf_add(&buf, "#%llu", (unsigned long long)id);
	if (cb_json_u64(manager, "LastUSec", &usec) && usec)
		cb_buf_add(&buf, " %s", cb_show_when(lines->style, usec, text, sizeof(text)));
	if (cb_json_length(cb_json_array(last_plan, "Steps"))) {
		/* Its own sentence does not name the steps again, as the report's does. */
		sentence = cb_json_text_or(last_plan, "Sentence", sentence);
		cb_buf_add(&buf, "   ");
		cb_show_steps(&buf, cb_json_array(last_plan, "Steps"), 2);
	}
	cb_buf_add(&buf, "   %s   %s", verdict, sentence);
	cb_line(lines, "LAST", CB_COLOR_BOLD, "%s", buf.text);
	cb_buf_done(&buf);
}

static void budget_line(struct cb_lines *lines, struct json_object *manager)
{
	char text[48];
	const char *pause = "";
	uint64_t left = 0;
	struct cb_buf buf = { 0 };

	if (cb_json_true(manager, "Paused")) {
		if (cb_json_u64(manager, "PausedLeftUSec", &left) && left)
			cb_buf_add(&buf, "   paused for %s",
				   cb_show_span(left, text, sizeof(text)));
		else
			cb_buf_add(&buf, "   paused until cpubalctl resume");
		pause = buf.text;
	}
	cb_line(lines, "BUDGET", CB_COLOR_BOLD, "moves %s/%s this hour   rollbacks %s/%s%s%s",
		COUNT(manager, "MovesThisHour"), COUNT(manager, "MovesPerHour"),
		COUNT(manager, "RollbacksThisHour"), COUNT(manager, "RollbacksPerHour"),
		cb_json_true(manager, "Canary") ?
			"   too many rollbacks, only advising: cpubalctl mode auto ends this" :
			"",
		pause);
	cb_buf_done(&buf);
}

static void self_line(struct cb_lines *lines, struct json_object *manager)
{
	char tick[48] = "-", age[48] = "-";
	const char *missing = cb_json_text(manager, "Missing");
	uint64_t usec, overruns = 0;

	if (cb_json_u64(manager, "TickUSec", &usec))
		cb_show_span(usec, tick, sizeof(tick));
	if (cb_json_u64(manager, "DataAgeUSec", &usec))
		cb_show_span(usec, age, sizeof(age));
	cb_json_u64(manager, "Overruns", &overruns);
	cb_line(lines, "SELF", CB_COLOR_BOLD,
		"tick %s   data %s old   journal %s%s%s   missing: %s", tick, age,
		cb_json_text_or(manager, "Journal", "-"), overruns ? "   late ticks " : "",
		overruns ? COUNT(manager, "Overruns") : "", missing ? missing : "nothing");
}

/* How old each signal is: those that are not of the last tick by name, since nobody has needed them. */
static void signals_line(struct cb_lines *lines, struct json_object *sources)
{
	struct cb_buf buf = { 0 };
	size_t n = 0, n_old = 0;

	for (size_t i = 0; i < cb_json_length(sources); i++) {
		struct json_object *source = json_object_array_get_idx(sources, i);
		char age[48];
		uint64_t usec;

		if (!cb_json_true(source, "Available") || !cb_json_u64(source, "AgeUSec", &usec))
			continue;
		n++;
		if (cb_json_true(source, "InLastTick"))
			continue;
		cb_buf_add(&buf, "%s%s %s", n_old++ ? ", " : " but ",
			   cb_json_text_or(source, "Name", "-"),
			   cb_show_span(usec, age, sizeof(age)));
	}
	if (n > 0)
		cb_line(lines, "SIGNALS", CB_COLOR_BOLD, "as old as the data:%s%s",
			n_old < n ? " all" : " none", n_old ? buf.text : "");
	cb_buf_done(&buf);
}

void cb_render_status(FILE *out, const struct cb_style *style, struct json_object *status)
{
	struct json_object *manager = cb_json_get(status, "Manager"),
			   *plan = cb_json_get(status, "Plan");
	const char *config_error = cb_json_text(manager, "ConfigError");
	struct cb_lines lines = { .out = out, .style = style };
	struct cb_buf right = { 0 };

	cb_buf_add(&right, "cpubalanced %s  %s", cb_json_text_or(manager, "Version", "-"),
		   cb_json_text_or(manager, "Mode", "-"));
	lines.right = cb_text_clean(style, right.text);
	cb_buf_done(&right);

	first_line(&lines, manager);
	machine_line(&lines, manager);
	changed_line(&lines, manager);
	hot_lines(&lines, status);
	finding_lines(&lines, cb_json_array(status, "Findings"));
	harm_line(&lines, manager);
	plan_line(&lines, plan);
	refused_lines(&lines, plan);
	last_line(&lines, manager, cb_json_get(status, "LastPlan"));
	budget_line(&lines, manager);
	self_line(&lines, manager);
	signals_line(&lines, cb_json_array(status, "Sources"));
	if (config_error)
		cb_line(&lines, "CONFIG", CB_COLOR_RED, "the last reload was refused: %s",
			config_error);
	free(lines.right);
}

/* Ask for one part of the status. */
static int ask(struct cb_ctl *ctl, struct json_object *status, const char *key, const char *member,
	       const char *types, const char *text)
{
	struct json_object *json = NULL;
	int code;

	if (*types)
		code = cb_client_call_json(ctl, member, CB_CALL_USEC, &json, types, text);
	else
		code = cb_client_call_json(ctl, member, CB_CALL_USEC, &json, "");
	if (code == CB_EXIT_OK)
		json_object_object_add(status, key, json);
	return code;
}

/*
 * The steps of the last plan, for the LAST line. The daemon may have forgotten them: then there are
 * none.
 */
static void ask_last_plan(struct cb_ctl *ctl, struct json_object *status)
{
	struct json_object *json = NULL;
	char path[64];
	uint64_t id;

	if (!cb_json_u64(cb_json_get(status, "Manager"), "LastPlanId", &id) || id == 0)
		return;
	snprintf(path, sizeof(path), CB_BUS_PATH "/plan/%llu", (unsigned long long)id);
	if (cb_client_get_all(ctl, path, CB_BUS_PLAN, true, &json) == CB_EXIT_OK)
		json_object_object_add(status, "LastPlan", json);
}

static int run(struct cb_ctl *ctl, const struct cb_args *args)
{
	static const struct {
		const char *key, *member, *types, *text;
	} parts[] = {
		{ "CPUs", "ListCPUs", "", NULL },	{ "Workers", "ListWorkers", "s", "" },
		{ "Interrupts", "ListIRQs", "", NULL }, { "Findings", "ListFindings", "", NULL },
		{ "Plan", "GetPlan", "", NULL },	{ "Sources", "ListSources", "", NULL },
	};
	struct json_object *status = cb_must(json_object_new_object()), *manager = NULL;
	int code;

	(void)args;
	code = cb_client_get_all(ctl, CB_BUS_PATH, CB_BUS_MANAGER, false, &manager);
	if (code == CB_EXIT_OK)
		json_object_object_add(status, "Manager", manager);
	for (size_t i = 0; i < CB_ARRAY_SIZE(parts) && code == CB_EXIT_OK; i++)
		code = ask(ctl, status, parts[i].key, parts[i].member, parts[i].types,
			   parts[i].text);
	if (code != CB_EXIT_OK) {
		json_object_put(status);
		return code;
	}
	ask_last_plan(ctl, status);
	return cb_show(ctl, status, cb_render_status);
}

const struct cb_verb cb_verb_status = {
	.name = "status",
	.arguments = "",
	.summary = "what matters now, in a dozen lines",
	.details = "HOT names who makes a CPU hot, in points of percent of that CPU. A "
		   "figure that is not known is shown as -.",
	.example = "cpubalctl status",
	.run = run,
};
