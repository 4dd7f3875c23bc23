/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The lines of a scenario, one function for each keyword. Invariant: whatever parses can be run, since every number is within
 * bounds, every name is known and every limit is kept.
 */
#include "scenario.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "scenario_fields.h"

#define HOUR	 3600.0
#define FILE_MAX (1u << 20)

static const char *const happenings[_SCENARIO_HAPPENING_MAX] = {
	"rate", "elephant", "respawn", "repin", "queues", "offline", "online", "steal",
};

static const char *const measures[_SCENARIO_MEASURE_MAX] = {
	"converge", "moves", "returns", "hot", "served", "wait", "kept", "undone",
};

const char *scenario_happening_name(enum scenario_happening happening)
{
	return happenings[happening];
}

const char *scenario_measure_name(enum scenario_measure measure)
{
	return measures[measure];
}

bool scenario_measure_is_relative(enum scenario_measure measure)
{
	return measure == SCENARIO_SERVED || measure == SCENARIO_WAIT;
}

bool scenario_measure_is_ratio(enum scenario_measure measure)
{
	return measure == SCENARIO_HOT || scenario_measure_is_relative(measure);
}

/* A word out of a list; -EINVAL with all of them in the message. */
static int choose(struct line *line, const char *what, const char *const *names, int n, int *ret)
{
	char word[SCENARIO_NAME_MAX], all[128];
	size_t at = 0;
	int r = line_word(line, what, word, sizeof(word));

	if (r < 0)
		return r;
	for (int i = 0; i < n; i++) {
		if (strcmp(names[i], word) == 0) {
			*ret = i;
			return 0;
		}
		at += (size_t)snprintf(all + at, sizeof(all) - at, "%s%s", i ? ", " : "", names[i]);
	}
	return line_error(line, "\"%s\" is none of %s", word, all);
}

static const struct scenario_group *find_group(const struct scenario *scenario, const char *name)
{
	for (uint32_t i = 0; i < scenario->n_groups; i++)
		if (strcmp(scenario->group[i].name, name) == 0)
			return &scenario->group[i];
	return NULL;
}

static const struct scenario_nic *find_nic(const struct scenario *scenario, const char *name)
{
	for (uint32_t i = 0; i < scenario->n_nics; i++)
		if (strcmp(scenario->nic[i].name, name) == 0)
			return &scenario->nic[i];
	return NULL;
}

/* --- the keywords --- */

static int take_about(struct line *line, struct scenario *ret)
{
	size_t len;

	cb_scan_blanks(&line->rest);
	len = (size_t)(line->rest.end - line->rest.p);
	if (len == 0 || len >= sizeof(ret->about) || memchr(line->rest.p, 0, len))
		return line_error(line, "not a text of 1 to %zu characters",
				  sizeof(ret->about) - 1);
	memcpy(ret->about, line->rest.p, len);
	ret->about[len] = 0;
	return 0;
}

/* "run 10min", "from 60s" */
static int take_time(struct line *line, double min, double max, uint64_t *ret)
{
	const struct field field = { line->keyword, FIELD_SPAN, 0, min, max, true };
	char text[32];
	int r = line_word(line, "a time", text, sizeof(text));

	if (r == 0)
		r = field_take(line, &field, text, ret);
	if (r == 0 && !line_done(line))
		r = line_error(line, "one time is enough");
	return r;
}

static int take_run(struct line *line, struct scenario *ret)
{
	return take_time(line, 10, 48 * HOUR, &ret->run_usec);
}

static int take_from(struct line *line, struct scenario *ret)
{
	return take_time(line, 0, 48 * HOUR, &ret->from_usec);
}

static int take_machine(struct line *line, struct scenario *ret)
{
	static const struct field fields[] = {
#define AT(field) offsetof(struct scenario_machine, field)
		{ "cpus", FIELD_COUNT, AT(n_cpus), 1, SCENARIO_CPUS_MAX, true },
		{ "smt", FIELD_COUNT, AT(smt), 1, 8, false },
		{ "llc", FIELD_COUNT, AT(llc_cpus), 1, SCENARIO_CPUS_MAX, false },
		{ "nodes", FIELD_COUNT, AT(n_nodes), 1, 64, false },
#undef AT
	};
	struct scenario_machine *m = &ret->machine;
	int r;

	if (m->n_cpus)
		return line_error(line, "there is one already");
	m->smt = m->n_nodes = 1;
	r = fields_take(line, fields, CB_ARRAY_SIZE(fields), m);
	if (r < 0)
		return r;
	if (m->n_cpus % (m->smt * m->n_nodes))
		return line_error(line, "cpus=%u is no multiple of smt=%u times nodes=%u",
				  m->n_cpus, m->smt, m->n_nodes);
	if (m->llc_cpus == 0)
		m->llc_cpus = m->n_cpus / m->n_nodes;
	if (m->llc_cpus % m->smt || (m->n_cpus / m->n_nodes) % m->llc_cpus)
		return line_error(line, "llc=%u is no divisor of a node's %u CPUs in whole cores",
				  m->llc_cpus, m->n_cpus / m->n_nodes);
	for (uint32_t i = 0; i < m->n_cpus; i++)
		m->capacity[i] = CB_CAPACITY_FULL;
	line->n_cpus = m->n_cpus;
	return 0;
}

static int take_capacity(struct line *line, struct scenario *ret)
{
	struct {
		struct cb_cpuset cpus;
		uint32_t value;
	} it;
	static const struct field fields[] = {
		{ "cpus", FIELD_CPUS, 0, 0, 0, true },
		{ "value", FIELD_COUNT, sizeof(it.cpus), 1, CB_CAPACITY_FULL, true },
	};
	int r = fields_take(line, fields, CB_ARRAY_SIZE(fields), &it);

	if (r < 0)
		return r;
	CB_CPUSET_FOREACH(cpu, &it.cpus)
		ret->machine.capacity[cpu] = it.value;
	return 0;
}

static int take_cpus_line(struct line *line, struct cb_cpuset *ret)
{
	static const struct field field[] = { { "cpus", FIELD_CPUS, 0, 0, 0, true } };

	return fields_take(line, field, 1, ret);
}

static int take_isolated(struct line *line, struct scenario *ret)
{
	return take_cpus_line(line, &ret->machine.isolated);
}

static int take_offline(struct line *line, struct scenario *ret)
{
	int r = take_cpus_line(line, &ret->machine.offline);

	if (r == 0 && cb_cpuset_count(&ret->machine.offline) == ret->machine.n_cpus)
		return line_error(line, "one CPU has to stay online");
	return r;
}

static int take_nic(struct line *line, struct scenario *ret)
{
	static const struct field fields[] = {
#define AT(field) offsetof(struct scenario_nic, field)
		{ "queues", FIELD_COUNT, AT(n_queues), 1, SCENARIO_QUEUES_MAX, true },
		{ "irq", FIELD_COUNT, AT(irq), 1, 100000, true },
		{ "cpus", FIELD_CPUS, AT(cpus), 0, 0, true },
		{ "node", FIELD_NODE, AT(node), -1, 63, false },
		{ "packet", FIELD_NUMBER, AT(packet_usec), 0, 1000, false },
#undef AT
	};
	struct scenario_nic *nic = &ret->nic[ret->n_nics];
	uint32_t queues = 0;
	int r;

	if (ret->n_nics == SCENARIO_NICS_MAX)
		return line_error(line, "more than %u", SCENARIO_NICS_MAX);
	*nic = (struct scenario_nic){ .node = -1, .packet_usec = 1 };
	r = line_name(line, "a name", nic->name);
	if (r == 0 && find_nic(ret, nic->name))
		r = line_error(line, "%s is there already", nic->name);
	if (r == 0 && strlen(nic->name) >= CB_IFNAME_MAX)
		r = line_error(line, "%s is longer than %u characters", nic->name,
			       CB_IFNAME_MAX - 1);
	if (r == 0)
		r = fields_take(line, fields, CB_ARRAY_SIZE(fields), nic);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i < ret->n_nics; i++) {
		queues += ret->nic[i].n_queues;
		if (nic->irq < ret->nic[i].irq + ret->nic[i].n_queues)
			return line_error(line, "irq=%u: interrupts have to come after those of %s",
					  nic->irq, ret->nic[i].name);
	}
	if (queues + nic->n_queues > SCENARIO_QUEUES_MAX)
		return line_error(line, "more than %u queues in all", SCENARIO_QUEUES_MAX);
	ret->n_nics++;
	return 0;
}

static const struct field group_fields[] = {
#define AT(field) offsetof(struct scenario_group, field)
	{ "workers", FIELD_COUNT, AT(n_workers), 1, SCENARIO_WORKERS_MAX, true },
	{ "cpus", FIELD_CPUS, AT(cpus), 0, 0, true },
	{ "place", FIELD_PLACE, AT(place), 0, 0, false },
	{ "allowed", FIELD_CPUS, AT(allowed), 0, 0, false },
	{ "nic", FIELD_NAME, AT(nic), 0, 0, false },
	{ "rate", FIELD_NUMBER, AT(rate_per_sec), 0, 1e9, true },
	{ "work", FIELD_NUMBER, AT(work_usec), 0.1, 1e6, false },
	{ "packets", FIELD_NUMBER, AT(packets), 1, 1e4, false },
	{ "flows", FIELD_COUNT, AT(n_flows), 1, SCENARIO_FLOWS_MAX, false },
	{ "skew", FIELD_NUMBER, AT(skew_ratio), 0, 5, false },
	{ "noise", FIELD_NUMBER, AT(noise_ratio), 0, 1, false },
	{ "drift", FIELD_NUMBER, AT(drift_ratio), 0, 1, false },
	{ "memory", FIELD_SPAN, AT(drift_usec), 1, HOUR, false },
	{ "churn", FIELD_NUMBER, AT(churn_per_sec), 0, 1, false },
	{ "remote", FIELD_NUMBER, AT(memory_ratio), 0, 2, false },
	{ "day", FIELD_SPAN, AT(day_usec), 60, 48 * HOUR, false },
	{ "low", FIELD_NUMBER, AT(day_low_ratio), 0, 1, false },
	{ "load", FIELD_LOAD, AT(closed), 0, 0, false },
#undef AT
};

static int take_group(struct line *line, struct scenario *ret)
{
	struct scenario_group *group = &ret->group[ret->n_groups];
	uint32_t workers = 0, flows = 0;
	int r;

	if (ret->n_groups == SCENARIO_GROUPS_MAX)
		return line_error(line, "more than %u", SCENARIO_GROUPS_MAX);
	*group = (struct scenario_group){ .n_flows = 512,
					  .work_usec = 50,
					  .packets = 4,
					  .drift_usec = 30 * CB_USEC_PER_SEC,
					  .memory_ratio = 0.15,
					  .day_low_ratio = 1,
					  .day_usec = 3600 * CB_USEC_PER_SEC };
	r = line_name(line, "a name", group->name);
	if (r == 0 && find_group(ret, group->name))
		r = line_error(line, "%s is there already", group->name);
	if (r == 0)
		r = fields_take(line, group_fields, CB_ARRAY_SIZE(group_fields), group);
	if (r < 0)
		return r;
	if (group->nic[0] && !find_nic(ret, group->nic))
		return line_error(line, "nic=%s: there is no such nic before this line",
				  group->nic);
	for (uint32_t i = 0; i < ret->n_groups; i++) {
		workers += ret->group[i].n_workers;
		flows += ret->group[i].n_flows;
	}
	if (workers + group->n_workers > SCENARIO_WORKERS_MAX)
		return line_error(line, "more than %u workers in all", SCENARIO_WORKERS_MAX);
	/* one more for each elephant */
	if (flows + group->n_flows > SCENARIO_FLOWS_MAX - SCENARIO_EVENTS_MAX)
		return line_error(line, "more than %u flows in all",
				  SCENARIO_FLOWS_MAX - SCENARIO_EVENTS_MAX);
	ret->n_groups++;
	return 0;
}

static int take_batch(struct line *line, struct scenario *ret)
{
	static const struct field fields[] = {
#define AT(field) offsetof(struct scenario_batch, field)
		{ "cpus", FIELD_CPUS, AT(cpus), 0, 0, true },
		{ "place", FIELD_PLACE, AT(place), 0, 0, false },
		{ "count", FIELD_COUNT, AT(count), 1, 256, false },
		{ "demand", FIELD_NUMBER, AT(demand_ratio), 0.01, 1, false },
		{ "noise", FIELD_NUMBER, AT(noise_ratio), 0, 1, false },
		{ "weight", FIELD_COUNT, AT(weight), 1, 100000, false },
		{ "at", FIELD_SPAN, AT(from_usec), 0, 48 * HOUR, false },
		{ "for", FIELD_SPAN, AT(for_usec), 1, 48 * HOUR, false },
#undef AT
	};
	struct scenario_batch *batch = &ret->batch[ret->n_batches];
	int r;

	if (ret->n_batches == SCENARIO_BATCHES_MAX)
		return line_error(line, "more than %u", SCENARIO_BATCHES_MAX);
	*batch = (struct scenario_batch){ .count = 1, .demand_ratio = 1, .weight = 1024 };
	r = line_name(line, "a name", batch->name);
	if (r == 0)
		r = fields_take(line, fields, CB_ARRAY_SIZE(fields), batch);
	if (r == 0)
		ret->n_batches++;
	return r;
}

/* --- events --- */

#define AT(field) offsetof(struct scenario_event, field)
static const struct field rate_fields[] = {
	{ "times", FIELD_NUMBER, AT(value), 0, 100, true },
	{ "over", FIELD_SPAN, AT(over_usec), 0, 24 * HOUR, false },
};
static const struct field elephant_fields[] = {
	{ "share", FIELD_NUMBER, AT(value), 0.001, 1, true },
	{ "for", FIELD_SPAN, AT(for_usec), 1, 24 * HOUR, false },
};
static const struct field respawn_fields[] = {
	{ "count", FIELD_COUNT, AT(count), 1, SCENARIO_WORKERS_MAX, false },
	{ "down", FIELD_SPAN, AT(over_usec), 0, HOUR, false },
};
static const struct field repin_fields[] = {
	{ "worker", FIELD_COUNT, AT(count), 0, SCENARIO_WORKERS_MAX - 1, true },
	{ "cpus", FIELD_CPUS, AT(cpus), 0, 0, true },
};
static const struct field queues_fields[] = {
	{ "count", FIELD_COUNT, AT(count), 1, SCENARIO_QUEUES_MAX, true },
};
static const struct field hotplug_fields[] = {
	{ "cpus", FIELD_CPUS, AT(cpus), 0, 0, true },
};
static const struct field steal_fields[] = {
	{ "cpus", FIELD_CPUS, AT(cpus), 0, 0, true },
	{ "share", FIELD_NUMBER, AT(value), 0, 0.9, true },
};
#undef AT

/* What each is about, and its fields. */
static const struct {
	bool group, nic;
	const struct field *fields;
	size_t n;
} event_kind[_SCENARIO_HAPPENING_MAX] = {
#define FIELDS(name) name, CB_ARRAY_SIZE(name)
	[SCENARIO_RATE] = { true, false, FIELDS(rate_fields) },
	[SCENARIO_ELEPHANT] = { true, false, FIELDS(elephant_fields) },
	[SCENARIO_RESPAWN] = { true, false, FIELDS(respawn_fields) },
	[SCENARIO_REPIN] = { true, false, FIELDS(repin_fields) },
	[SCENARIO_QUEUES] = { false, true, FIELDS(queues_fields) },
	[SCENARIO_OFFLINE] = { false, false, FIELDS(hotplug_fields) },
	[SCENARIO_ONLINE] = { false, false, FIELDS(hotplug_fields) },
	[SCENARIO_STEAL] = { false, false, FIELDS(steal_fields) },
#undef FIELDS
};

static int check_event(const struct line *line, const struct scenario *scenario,
		       const struct scenario_event *event)
{
	const struct scenario_group *group = find_group(scenario, event->name);
	const struct scenario_nic *nic = find_nic(scenario, event->name);

	if (event->happening == SCENARIO_OFFLINE &&
	    cb_cpuset_count(&event->cpus) == scenario->machine.n_cpus)
		return line_error(line, "one CPU has to stay online");
	if (event_kind[event->happening].group && !group)
		return line_error(line, "there is no group %s before this line", event->name);
	if (event_kind[event->happening].nic && !nic)
		return line_error(line, "there is no nic %s before this line", event->name);
	if (nic && event->happening == SCENARIO_QUEUES && event->count > nic->n_queues)
		return line_error(line, "count=%u: %s has at most its %u queues", event->count,
				  nic->name, nic->n_queues);
	if (group && event->happening == SCENARIO_REPIN && event->count >= group->n_workers)
		return line_error(line, "worker=%u: %s has 0 to %u", event->count, group->name,
				  group->n_workers - 1);
	return 0;
}

/* "at TIME WHAT [NAME] key=value ..." */
static int take_at(struct line *line, struct scenario *ret)
{
	const struct field at = { line->keyword, FIELD_SPAN, 0, 0, 48 * HOUR, true };
	struct scenario_event event = { .count = 1, .over_usec = 0 };
	char text[32];
	uint32_t where;
	int kind, r;

	if (ret->n_events == SCENARIO_EVENTS_MAX)
		return line_error(line, "more than %u", SCENARIO_EVENTS_MAX);
	r = line_word(line, "a time", text, sizeof(text));
	if (r == 0)
		r = field_take(line, &at, text, &event.at_usec);
	if (r == 0)
		r = choose(line, "what happens", happenings, _SCENARIO_HAPPENING_MAX, &kind);
	if (r < 0)
		return r;
	event.happening = (enum scenario_happening)kind;
	if (event.happening == SCENARIO_RESPAWN)
		event.over_usec = CB_USEC_PER_SEC;
	if (event_kind[kind].group || event_kind[kind].nic)
		r = line_name(line, "a name", event.name);
	if (r == 0)
		r = fields_take(line, event_kind[kind].fields, event_kind[kind].n, &event);
	if (r == 0)
		r = check_event(line, ret, &event);
	if (r < 0)
		return r;
	for (where = ret->n_events; where > 0 && ret->event[where - 1].at_usec > event.at_usec;
	     where--)
		ret->event[where] = ret->event[where - 1];
	ret->event[where] = event;
	ret->n_events++;
	return 0;
}

/* --- policy and bounds --- */

/* "policy SECTION NAME=VALUE" */
static int take_policy(struct line *line, struct scenario *ret)
{
	char section[SCENARIO_NAME_MAX], text[128], *value;
	struct cb_err why = { .msg = "" };
	int r = line_name(line, "a section", section);

	if (r == 0)
		r = line_word(line, "an option", text, sizeof(text));
	if (r < 0)
		return r;
	value = strchr(text, '=');
	if (!value || !line_done(line))
		return line_error(line, "not SECTION NAME=VALUE");
	*value++ = 0;
	if (cb_policy_set(&ret->policy, section, text, value, &why) < 0)
		return line_error(line, "%s", why.msg);
	return 0;
}

/* "expect MEASURE <=|>= VALUE" */
static int take_expect(struct line *line, struct scenario *ret)
{
	static const char *const relations[] = { ">=", "<=" };
	const struct field value = { "value", FIELD_NUMBER, 0, -1000, 1e6, true };
	struct scenario_expect expect;
	char text[32];
	int measure, relation, r;

	if (ret->n_expects == SCENARIO_EXPECTS_MAX)
		return line_error(line, "more than %u", SCENARIO_EXPECTS_MAX);
	r = choose(line, "a measure", measures, _SCENARIO_MEASURE_MAX, &measure);
	if (r == 0)
		r = choose(line, "a relation", relations, 2, &relation);
	if (r == 0)
		r = line_word(line, "a value", text, sizeof(text));
	if (r == 0)
		r = field_take(line, &value, text, &expect.value);
	if (r < 0)
		return r;
	if (scenario_measure_is_ratio((enum scenario_measure)measure) != !!strchr(text, '%'))
		return line_error(line, "%s: %s is %s", text, measures[measure],
				  strchr(text, '%') ? "a number, not percent" :
						      "in percent, such as 20%");
	expect.measure = (enum scenario_measure)measure;
	expect.at_most = relation == 1;
	ret->expect[ret->n_expects++] = expect;
	return line_done(line) ? 0 : line_error(line, "one bound a line");
}

static int take_line(struct line *line, struct scenario *ret)
{
	static const struct {
		const char *name;
		int (*take)(struct line *line, struct scenario *ret);
		bool needs_machine;
	} keyword[] = {
		{ "about", take_about, false },
		{ "run", take_run, false },
		{ "from", take_from, false },
		{ "machine", take_machine, false },
		{ "capacity", take_capacity, true },
		{ "isolated", take_isolated, true },
		{ "offline", take_offline, true },
		{ "nic", take_nic, true },
		{ "group", take_group, true },
		{ "batch", take_batch, true },
		{ "at", take_at, true },
		{ "policy", take_policy, false },
		{ "expect", take_expect, false },
	};
	char word[SCENARIO_NAME_MAX];
	int r = line_word(line, "a keyword", word, sizeof(word));

	if (r < 0)
		return r;
	for (size_t i = 0; i < CB_ARRAY_SIZE(keyword); i++) {
		if (strcmp(keyword[i].name, word) != 0)
			continue;
		line->keyword = keyword[i].name;
		if (keyword[i].needs_machine && line->n_cpus == 0)
			return line_error(line, "\"machine\" has to come first");
		return keyword[i].take(line, ret);
	}
	return line_error(line,
			  "\"%s\" is none of about, run, from, machine, capacity, isolated, "
			  "offline, nic, group, batch, at, policy, expect",
			  word);
}

static void name_after(const char *path, struct scenario *ret)
{
	const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
	size_t len = strcspn(base, ".");

	snprintf(ret->name, sizeof(ret->name), "%.*s", (int)CB_MIN(len, sizeof(ret->name) - 1),
		 base);
}

/* What has to be there, and what belongs together. */
static int check(struct line *line, const struct scenario *scenario)
{
	struct cb_err why = { .msg = "" };

	line->keyword = "";
	if (scenario->machine.n_cpus == 0 || scenario->n_groups == 0 || scenario->run_usec == 0)
		return line_error(line, "a scenario needs run, machine and a group");
	if (scenario->from_usec >= scenario->run_usec)
		return line_error(line, "\"from\" is not before the end of the run");
	if (cb_policy_check(&scenario->policy, &why) < 0)
		return line_error(line, "policy: %s", why.msg);
	return 0;
}

int scenario_parse(const char *buf, size_t len, const char *path, struct scenario *ret,
		   struct cb_err *err)
{
	struct line line = { .path = path, .err = err, .keyword = "" };
	struct cb_scan file = CB_SCAN(buf, len);

	memset(ret, 0, sizeof(*ret));
	cb_policy_init(&ret->policy);
	name_after(path, ret);
	while (cb_scan_line(&file, &line.rest)) {
		const char *hash = memchr(line.rest.p, '#', (size_t)(line.rest.end - line.rest.p));
		int r;

		line.number++;
		line.keyword = "";
		if (hash)
			line.rest.end = hash;
		if (line_done(&line))
			continue;
		r = take_line(&line, ret);
		if (r < 0)
			return r;
	}
	return check(&line, ret);
}

int scenario_read(const char *path, struct scenario *ret, struct cb_err *err)
{
	FILE *file = fopen(path, "re");
	char *buf = file ? malloc(FILE_MAX) : NULL;
	size_t len;
	int r = -errno;

	if (!file || !buf) {
		if (file)
			fclose(file);
		return cb_err_set(err, r, "%s: %s", path, strerror(-r));
	}
	len = fread(buf, 1, FILE_MAX, file);
	if (ferror(file))
		r = cb_err_set(err, -EIO, "%s: cannot be read", path);
	else if (len == FILE_MAX)
		r = cb_err_set(err, -EINVAL, "%s: longer than %u bytes", path, FILE_MAX);
	else
		r = scenario_parse(buf, len, path, ret, err);
	fclose(file);
	free(buf);
	return r;
}
