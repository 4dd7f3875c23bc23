/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a trace holds, as tables of fields: the policy, generated from policy.def; groups, workers, interrupts, events,
 * commands, steps and outcomes. Each field of an input is written, also where its kind gives it no meaning, so that a
 * replay sees what the engine saw. Of a decision only the entries that count are written: equal decisions give equal
 * bytes.
 */
#include "trace_codec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "trace_json.h"

#ifndef CB_VERSION
#define CB_VERSION ""
#endif

/* Enums are read and written as int, by names. */
_Static_assert(sizeof(enum cb_mode) == sizeof(int) && sizeof(enum cb_verdict) == sizeof(int),
	       "size of enums");
#define NAMED(name, function, type)                \
	static const char *name(int value)         \
	{                                          \
		return function((enum type)value); \
	}
NAMED(mode_name, cb_mode_name, cb_mode)
NAMED(detail_name, cb_detail_name, cb_detail)
NAMED(placement_name, cb_placement_name, cb_placement)
NAMED(queue_dir_name, cb_queue_dir_name, cb_queue_dir)
NAMED(steering_name, cb_steering_name, cb_steering)
NAMED(packets_name, cb_packets_name, cb_packets)
NAMED(reject_name, cb_reject_name, cb_reject)
NAMED(item_name, cb_item_kind_name, cb_item_kind)
NAMED(state_name, cb_step_state_name, cb_step_state)
NAMED(error_name, cb_error_class_name, cb_error_class)
NAMED(event_name, cb_event_kind_name, cb_event_kind)
NAMED(command_name, cb_command_kind_name, cb_command_kind)
NAMED(notice_name, cb_notice_kind_name, cb_notice_kind)
NAMED(finding_name, cb_finding_kind_name, cb_finding_kind)
NAMED(verdict_name, cb_verdict_name, cb_verdict)

static const char *op_name(int value)
{
	return value == CB_OP_SET ? "set" : value == CB_OP_RESTORE ? "restore" : "?";
}

static const char *class_name(int value)
{
	return value == CB_IRQ_OTHER ? "other" : value == CB_IRQ_NETWORK ? "network" : "?";
}

#define FIELD(type, k, member, kind_)                                         \
	{                                                                     \
		.key = (k), .kind = (kind_), .offset = offsetof(type, member) \
	}
#define TEXT(type, k, member)                                                        \
	{                                                                            \
		.key = (k), .kind = CB_TRACE_TEXT, .offset = offsetof(type, member), \
		.room = sizeof(((type *)NULL)->member)                               \
	}
#define ENUM(type, k, member, name, n)                                               \
	{                                                                            \
		.key = (k), .kind = CB_TRACE_ENUM, .offset = offsetof(type, member), \
		.name_of = (name), .n_names = (n)                                    \
	}
#define OBJECT(type, k, member, table)                                                 \
	{                                                                              \
		.key = (k), .kind = CB_TRACE_OBJECT, .offset = offsetof(type, member), \
		.fields = (table), .n_fields = CB_ARRAY_SIZE(table)                    \
	}

#define POLICY_SPAN(f)	 FIELD(struct cb_policy, #f, f, CB_TRACE_U64)
#define POLICY_PCT(f)	 FIELD(struct cb_policy, #f, f, CB_TRACE_DOUBLE)
#define POLICY_COUNT(f)	 FIELD(struct cb_policy, #f, f, CB_TRACE_U32)
#define POLICY_BOOL(f)	 FIELD(struct cb_policy, #f, f, CB_TRACE_BOOL)
#define POLICY_MODE(f)	 ENUM(struct cb_policy, #f, f, mode_name, _CB_MODE_MAX)
#define POLICY_DETAIL(f) ENUM(struct cb_policy, #f, f, detail_name, _CB_DETAIL_MAX)
#define POLICY_PATH(f)	 TEXT(struct cb_policy, #f, f)
#define POLICY_SCOPE(f)	 TEXT(struct cb_policy, #f, f)
static const struct cb_trace_field policy_fields[] = {
#define CB_POLICY_SECTION(name)
#define CB_POLICY_ROW(type, field, Name, def, min, max, help) POLICY_##type(field),
#include "cpubalance/policy.def"
#undef CB_POLICY_ROW
#undef CB_POLICY_SECTION
};

#define GROUP(k, member, kind_) FIELD(struct cb_group_policy, k, member, kind_)
static const struct cb_trace_field group_fields[] = {
	TEXT(struct cb_group_policy, "name", name),
	GROUP("has_mode", has_mode, CB_TRACE_BOOL),
	ENUM(struct cb_group_policy, "mode", mode, mode_name, _CB_MODE_MAX),
	ENUM(struct cb_group_policy, "placement", placement, placement_name, _CB_PLACEMENT_MAX),
	ENUM(struct cb_group_policy, "steering", steering, steering_name, _CB_STEERING_MAX),
	ENUM(struct cb_group_policy, "packets", packets, packets_name, _CB_PACKETS_MAX),
	GROUP("has_allowed", has_allowed, CB_TRACE_BOOL),
	GROUP("allowed_cpus", allowed_cpus, CB_TRACE_CPUSET),
	TEXT(struct cb_group_policy, "pid_file", pid_file),
	TEXT(struct cb_group_policy, "interfaces", interfaces),
};

#define IRQ(k, member, kind_) FIELD(struct cb_irq_info, k, member, kind_)
static const struct cb_trace_field irq_fields[] = {
	IRQ("irq", irq, CB_TRACE_U32),
	ENUM(struct cb_irq_info, "class", class, class_name, _CB_IRQ_CLASS_MAX),
	IRQ("writable", writable, CB_TRACE_BOOL),
	IRQ("immovable", immovable, CB_TRACE_BOOL),
	IRQ("node", node, CB_TRACE_I32),
	IRQ("hwirq", hwirq, CB_TRACE_U64),
	TEXT(struct cb_irq_info, "actions", actions),
	TEXT(struct cb_irq_info, "ifname", ifname),
	IRQ("queue", queue, CB_TRACE_I32),
	ENUM(struct cb_irq_info, "queue_dir", queue_dir, queue_dir_name, _CB_QUEUE_DIR_MAX),
	IRQ("affinity", affinity, CB_TRACE_CPUSET),
	IRQ("placed", placed, CB_TRACE_BOOL),
};

#define QUEUE(k, member, kind_) FIELD(struct cb_queue_info, k, member, kind_)
static const struct cb_trace_field queue_fields[] = {
	QUEUE("ifindex", ifindex, CB_TRACE_U32),
	QUEUE("queue", queue, CB_TRACE_U32),
	ENUM(struct cb_queue_info, "dir", dir, queue_dir_name, _CB_QUEUE_DIR_MAX),
	TEXT(struct cb_queue_info, "ifname", ifname),
	QUEUE("device", device, CB_TRACE_BOOL),
	QUEUE("cpus", cpus, CB_TRACE_CPUSET),
	QUEUE("flows", flows, CB_TRACE_U32),
	QUEUE("placed", placed, CB_TRACE_BOOL),
	QUEUE("flows_placed", flows_placed, CB_TRACE_BOOL),
	TEXT(struct cb_queue_info, "group", group),
};

#define QUEUES(k, member, kind_) FIELD(struct cb_queues, k, member, kind_)
static const struct cb_trace_field queues_fields[] = {
	QUEUES("generation", generation, CB_TRACE_U32),
	QUEUES("has_table", has_table, CB_TRACE_BOOL),
	QUEUES("table", table, CB_TRACE_U32),
	QUEUES("table_placed", table_placed, CB_TRACE_BOOL),
	TEXT(struct cb_queues, "table_group", table_group),
};

#define WORKER(k, member, kind_) FIELD(struct cb_worker_added, k, member, kind_)
static const struct cb_trace_field worker_fields[] = {
	WORKER("key", key, CB_TRACE_U32),
	WORKER("group", group_key, CB_TRACE_U32),
	WORKER("pid", pid, CB_TRACE_I32),
	WORKER("tid", tid, CB_TRACE_I32),
	WORKER("start_ticks", start_ticks, CB_TRACE_U64),
	TEXT(struct cb_worker_added, "comm", comm),
	WORKER("cpuset", cpuset, CB_TRACE_CPUSET),
	WORKER("placed", placed, CB_TRACE_BOOL),
	WORKER("original", original, CB_TRACE_CPUSET),
};

#define EVENT(k, member, kind_) FIELD(struct cb_event, k, member, kind_)
static const struct cb_trace_field event_fields[] = {
	ENUM(struct cb_event, "event", kind, event_name, _CB_EVENT_MAX),
	EVENT("group_key", group_key, CB_TRACE_U32),
	OBJECT(struct cb_event, "group", group, group_fields),
	OBJECT(struct cb_event, "worker", worker, worker_fields),
	EVENT("worker_key", worker_key, CB_TRACE_U32),
	EVENT("irq", irq, CB_TRACE_U32),
	EVENT("present", present, CB_TRACE_BOOL),
	EVENT("mask", mask, CB_TRACE_CPUSET),
};

#define COMMAND(k, member, kind_) FIELD(struct cb_command, k, member, kind_)
static const struct cb_trace_field command_fields[] = {
	ENUM(struct cb_command, "command", kind, command_name, _CB_COMMAND_MAX),
	COMMAND("plan", plan_id, CB_TRACE_U32),
	COMMAND("worker_key", worker_key, CB_TRACE_U32),
	COMMAND("group_key", group_key, CB_TRACE_U32),
	COMMAND("span_usec", span_usec, CB_TRACE_U64),
	ENUM(struct cb_command, "mode", mode, mode_name, _CB_MODE_MAX),
	COMMAND("present", present, CB_TRACE_BOOL),
	COMMAND("mask", mask, CB_TRACE_CPUSET),
	ENUM(struct cb_command, "steering", steering, steering_name, _CB_STEERING_MAX),
	ENUM(struct cb_command, "packets", packets, packets_name, _CB_PACKETS_MAX),
	TEXT(struct cb_command, "shares", shares),
};

#define STEP(k, member, kind_) FIELD(struct cb_step, k, member, kind_)
static const struct cb_trace_field step_fields[] = {
	ENUM(struct cb_step, "item", item.kind, item_name, _CB_ITEM_MAX),
	STEP("key", item.key, CB_TRACE_U32),
	ENUM(struct cb_step, "op", op, op_name, _CB_OP_MAX),
	STEP("from", from, CB_TRACE_CPUSET),
	STEP("to", to, CB_TRACE_CPUSET),
	STEP("load_ratio", load_ratio, CB_TRACE_DOUBLE),
	STEP("share_from", share_from, CB_TRACE_U32),
	STEP("share_to", share_to, CB_TRACE_U32),
	ENUM(struct cb_step, "state", state, state_name, _CB_STEP_STATE_MAX),
	STEP("errno", errnum, CB_TRACE_I32),
	ENUM(struct cb_step, "error", error_class, error_name, _CB_ERROR_CLASS_MAX),
	ENUM(struct cb_step, "reject", reject, reject_name, _CB_REJECT_MAX),
};

#define OUTCOME(k, member, kind_) FIELD(struct cb_outcome, k, member, kind_)
static const struct cb_trace_field outcome_fields[] = {
	OUTCOME("plan", plan_id, CB_TRACE_U32),	     OUTCOME("restored", n_restored, CB_TRACE_U32),
	OUTCOME("pending", n_pending, CB_TRACE_U32), OUTCOME("gone", n_gone, CB_TRACE_U32),
	OUTCOME("foreign", n_foreign, CB_TRACE_U32), OUTCOME("failed", n_failed, CB_TRACE_U32),
};

#define NOTICE(k, member, kind_) FIELD(struct cb_notice, k, member, kind_)
static const struct cb_trace_field notice_fields[] = {
	ENUM(struct cb_notice, "notice", kind, notice_name, _CB_NOTICE_MAX),
	ENUM(struct cb_notice, "finding", finding, finding_name, _CB_FINDING_MAX),
	NOTICE("cpu", cpu, CB_TRACE_I32),
	NOTICE("worker_key", worker_key, CB_TRACE_U32),
	NOTICE("group_key", group_key, CB_TRACE_U32),
	NOTICE("plan", plan_id, CB_TRACE_U32),
	ENUM(struct cb_notice, "verdict", verdict, verdict_name, _CB_VERDICT_MAX),
	TEXT(struct cb_notice, "sentence", sentence),
};

#define DECISION(k, member, kind_) FIELD(struct cb_decision, k, member, kind_)
static const struct cb_trace_field decision_fields[] = {
	DECISION("now", now_usec, CB_TRACE_U64),
	DECISION("plan", plan_id, CB_TRACE_U32),
	DECISION("group_key", group_key, CB_TRACE_U32),
	DECISION("result", result, CB_TRACE_I32),
	TEXT(struct cb_decision, "answer", answer),
	DECISION("answer_plan", answer_plan_id, CB_TRACE_U32),
	DECISION("notices_lost", notices_lost, CB_TRACE_U32),
};

/* --- arrays of objects --- */

struct table {
	const struct cb_trace_field *fields;
	size_t n_fields;
	size_t stride; /* bytes from one entry to the next */
};

#define TABLE(fields, type) ((struct table){ fields, CB_ARRAY_SIZE(fields), sizeof(type) })

static void put_objects(struct cb_trace_out *out, const char *key, struct table table,
			const void *entries, size_t n)
{
	cb_trace_open(out, key, '[');
	for (size_t i = 0; i < n; i++) {
		cb_trace_open(out, NULL, '{');
		cb_trace_encode(out, table.fields, table.n_fields,
				(const char *)entries + i * table.stride);
		cb_trace_close_bracket(out, '}');
	}
	cb_trace_close_bracket(out, ']');
}

static int get_objects(struct json_object *array, const char *key, struct table table,
		       void *entries, struct cb_err *err)
{
	for (size_t i = 0; i < json_object_array_length(array); i++) {
		struct json_object *object = json_object_array_get_idx(array, i);
		int r;

		if (!json_object_is_type(object, json_type_object))
			return cb_err_set(err, -EBADMSG, "%s[%zu]: object expected", key, i);
		r = cb_trace_decode(object, table.fields, table.n_fields,
				    (char *)entries + i * table.stride, err);
		if (r == 0)
			r = cb_trace_no_more(object, table.n_fields, err);
		if (r < 0)
			return cb_err_prefix(err, r, "%s[%zu].", key, i);
	}
	return 0;
}

/* --- writing --- */

static void put_input(struct cb_trace_out *out, const struct cb_input *input)
{
	switch (input->kind) {
	case CB_INPUT_POLICY:
		cb_trace_encode(out, policy_fields, CB_ARRAY_SIZE(policy_fields), input->policy);
		put_objects(out, "groups", TABLE(group_fields, struct cb_group_policy),
			    input->policy->group, input->policy->n_groups);
		return;
	case CB_INPUT_TOPOLOGY:
		cb_trace_put_topology(out, input->topology);
		return;
	case CB_INPUT_IRQS:
		cb_trace_u64(out, "generation", input->irqs->generation);
		put_objects(out, "irqs", TABLE(irq_fields, struct cb_irq_info), input->irqs->irq,
			    input->irqs->n);
		return;
	case CB_INPUT_QUEUES:
		cb_trace_encode(out, queues_fields, CB_ARRAY_SIZE(queues_fields), input->queues);
		put_objects(out, "queues", TABLE(queue_fields, struct cb_queue_info),
			    input->queues->queue, input->queues->n);
		return;
	case CB_INPUT_SNAPSHOT:
		cb_trace_put_snapshot(out, input->snapshot);
		return;
	case CB_INPUT_EVENT:
		cb_trace_encode(out, event_fields, CB_ARRAY_SIZE(event_fields), input->event);
		return;
	case CB_INPUT_COMMAND:
		cb_trace_encode(out, command_fields, CB_ARRAY_SIZE(command_fields), input->command);
		return;
	case CB_INPUT_OUTCOME:
		cb_trace_encode(out, outcome_fields, CB_ARRAY_SIZE(outcome_fields), input->outcome);
		put_objects(out, "steps", TABLE(step_fields, struct cb_step), input->outcome->step,
			    input->outcome->n_steps);
		return;
	case _CB_INPUT_MAX:
	case _CB_INPUT_INVALID:
		return;
	}
}

char *cb_trace_input_line(const struct cb_input *input)
{
	struct cb_trace_out out = { 0 };

	cb_trace_open(&out, NULL, '{');
	cb_trace_word(&out, "in", cb_input_kind_name(input->kind));
	cb_trace_u64(&out, "now", input->now_usec);
	put_input(&out, input);
	cb_trace_close_bracket(&out, '}');
	return cb_trace_out_steal(&out);
}

char *cb_trace_decision_line(const struct cb_decision *decision)
{
	struct cb_trace_out out = { 0 };

	cb_trace_open(&out, NULL, '{');
	cb_trace_word(&out, "out", cb_action_name(decision->action));
	cb_trace_encode(&out, decision_fields, CB_ARRAY_SIZE(decision_fields), decision);
	put_objects(&out, "steps", TABLE(step_fields, struct cb_step), decision->step,
		    CB_MIN(decision->n_steps, CB_STEPS_MAX));
	put_objects(&out, "notices", TABLE(notice_fields, struct cb_notice), decision->notice,
		    CB_MIN(decision->n_notices, CB_NOTICES_MAX));
	cb_trace_close_bracket(&out, '}');
	return cb_trace_out_steal(&out);
}

char *cb_trace_header_line(uint32_t first_plan_id)
{
	struct cb_trace_out out = { 0 };

	cb_trace_open(&out, NULL, '{');
	cb_trace_u64(&out, "trace", CB_TRACE_VERSION);
	cb_trace_word(&out, "version", CB_VERSION);
	cb_trace_u64(&out, "first_plan_id", first_plan_id);
	cb_trace_close_bracket(&out, '}');
	return cb_trace_out_steal(&out);
}

/* --- reading; the line's own fields are "in" and "now" --- */

#define LINE_FIELDS 2

static int get_policy(struct json_object *object, struct cb_trace_record *record,
		      struct cb_err *err)
{
	struct cb_policy *policy = record->storage = calloc(1, sizeof(*policy));
	struct json_object *groups;
	size_t n;
	int r;

	if (!policy)
		return -ENOMEM;
	r = cb_trace_decode(object, policy_fields, CB_ARRAY_SIZE(policy_fields), policy, err);
	if (r == 0)
		r = cb_trace_array(object, "groups", 0, CB_GROUPS_MAX, &groups, &n, err);
	if (r == 0)
		r = cb_trace_no_more(object, LINE_FIELDS + CB_ARRAY_SIZE(policy_fields) + 1, err);
	if (r == 0)
		r = get_objects(groups, "groups", TABLE(group_fields, struct cb_group_policy),
				policy->group, err);
	if (r < 0)
		return r;
	policy->n_groups = (uint32_t)n;
	record->input.policy = policy;
	return cb_policy_check(policy, err) < 0 ? -EBADMSG : 0;
}

static int get_irqs(struct json_object *object, struct cb_trace_record *record, struct cb_err *err)
{
	struct cb_irqs *irqs;
	struct json_object *array, *generation;
	uint64_t number;
	size_t n;
	int r = cb_trace_member(object, "generation", json_type_int, &generation, err);

	if (r == 0)
		r = cb_trace_read_u64(generation, "generation", UINT32_MAX, &number, err);
	if (r == 0)
		r = cb_trace_array(object, "irqs", 0, CB_IRQS_MAX, &array, &n, err);
	if (r == 0)
		r = cb_trace_no_more(object, LINE_FIELDS + 2, err);
	if (r < 0)
		return r;
	irqs = record->storage = calloc(1, sizeof(*irqs) + n * sizeof(irqs->irq[0]));
	if (!irqs)
		return -ENOMEM;
	irqs->generation = (uint32_t)number;
	irqs->n = (uint32_t)n;
	r = get_objects(array, "irqs", TABLE(irq_fields, struct cb_irq_info), irqs->irq, err);
	if (r < 0)
		return r;
	for (uint32_t i = 1; i < irqs->n; i++)
		if (irqs->irq[i].irq <= irqs->irq[i - 1].irq)
			return cb_err_set(err, -EBADMSG, "irqs[%u]: not ascending", i);
	record->input.irqs = irqs;
	return 0;
}

/* Found by search, so they have to be in order: by direction, then key. */
static bool in_order(const struct cb_queue_info *before, const struct cb_queue_info *now)
{
	if (before->dir != now->dir)
		return before->dir < now->dir;
	return cb_queue_key(before->ifindex, before->queue) <
	       cb_queue_key(now->ifindex, now->queue);
}

static int get_queues(struct json_object *object, struct cb_trace_record *record,
		      struct cb_err *err)
{
	struct cb_queues head = { .n = 0 }, *queues;
	struct json_object *array;
	size_t n;
	int r = cb_trace_decode(object, queues_fields, CB_ARRAY_SIZE(queues_fields), &head, err);

	if (r == 0)
		r = cb_trace_array(object, "queues", 0, CB_QUEUES_MAX, &array, &n, err);
	if (r == 0)
		r = cb_trace_no_more(object, LINE_FIELDS + CB_ARRAY_SIZE(queues_fields) + 1, err);
	if (r < 0)
		return r;
	queues = record->storage = calloc(1, sizeof(*queues) + n * sizeof(queues->queue[0]));
	if (!queues)
		return -ENOMEM;
	*queues = head;
	queues->n = (uint32_t)n;
	r = get_objects(array, "queues", TABLE(queue_fields, struct cb_queue_info), queues->queue,
			err);
	for (uint32_t i = 0; r == 0 && i < queues->n; i++) {
		const struct cb_queue_info *info = &queues->queue[i];

		if (info->ifindex == 0 || info->ifindex >= CB_QUEUE_IFINDICES ||
		    info->queue >= CB_QUEUE_NUMBERS ||
		    (info->dir != CB_QUEUE_RX && info->dir != CB_QUEUE_TX))
			return cb_err_set(err, -EBADMSG, "queues[%u]: no queue", i);
		if (i > 0 && !in_order(info - 1, info))
			return cb_err_set(err, -EBADMSG, "queues[%u]: not ascending", i);
	}
	record->input.queues = queues;
	return r;
}

/* An event or a command: one struct of @size bytes and its table. */
static int get_struct(struct json_object *object, struct cb_trace_record *record,
		      struct table table, struct cb_err *err)
{
	int r;

	record->storage = calloc(1, table.stride);
	if (!record->storage)
		return -ENOMEM;
	r = cb_trace_decode(object, table.fields, table.n_fields, record->storage, err);
	return r == 0 ? cb_trace_no_more(object, LINE_FIELDS + table.n_fields, err) : r;
}

static int get_outcome(struct json_object *object, struct cb_trace_record *record,
		       struct cb_err *err)
{
	struct cb_outcome *outcome = record->storage = calloc(1, sizeof(*outcome));
	struct json_object *steps;
	size_t n;
	int r;

	if (!outcome)
		return -ENOMEM;
	r = cb_trace_decode(object, outcome_fields, CB_ARRAY_SIZE(outcome_fields), outcome, err);
	if (r == 0)
		r = cb_trace_array(object, "steps", 0, CB_STEPS_MAX, &steps, &n, err);
	if (r == 0)
		r = cb_trace_no_more(object, LINE_FIELDS + CB_ARRAY_SIZE(outcome_fields) + 1, err);
	if (r == 0)
		r = get_objects(steps, "steps", TABLE(step_fields, struct cb_step), outcome->step,
				err);
	if (r < 0)
		return r;
	outcome->n_steps = (uint32_t)n;
	record->input.outcome = outcome;
	return 0;
}

static int get_input(struct json_object *object, struct cb_trace_record *record, struct cb_err *err)
{
	struct cb_input *input = &record->input;
	int r = -EBADMSG;

	switch (input->kind) {
	case CB_INPUT_POLICY:
		return get_policy(object, record, err);
	case CB_INPUT_TOPOLOGY:
		r = cb_trace_get_topology(object, &record->topology, err);
		input->topology = record->topology;
		return r;
	case CB_INPUT_IRQS:
		return get_irqs(object, record, err);
	case CB_INPUT_QUEUES:
		return get_queues(object, record, err);
	case CB_INPUT_SNAPSHOT:
		input->snapshot = &record->snapshot;
		return cb_trace_get_snapshot(object, &record->snapshot, err);
	case CB_INPUT_EVENT:
		r = get_struct(object, record, TABLE(event_fields, struct cb_event), err);
		input->event = record->storage;
		return r;
	case CB_INPUT_COMMAND:
		r = get_struct(object, record, TABLE(command_fields, struct cb_command), err);
		input->command = record->storage;
		return r;
	case CB_INPUT_OUTCOME:
		return get_outcome(object, record, err);
	case _CB_INPUT_MAX:
	case _CB_INPUT_INVALID:
		break;
	}
	return r;
}

static int get_header(struct json_object *object, struct cb_trace_record *record,
		      struct cb_err *err)
{
	struct json_object *value;
	uint64_t number;
	int r = cb_trace_member(object, "trace", json_type_int, &value, err);

	if (r == 0)
		r = cb_trace_read_u64(value, "trace", UINT32_MAX, &number, err);
	if (r == 0 && number != CB_TRACE_VERSION)
		r = cb_err_set(err, -EBADMSG, "trace: version %s, only %d is known",
			       json_object_get_string(value), CB_TRACE_VERSION);
	if (r == 0)
		r = cb_trace_member(object, "version", json_type_string, &value, err);
	if (r == 0)
		r = cb_trace_member(object, "first_plan_id", json_type_int, &value, err);
	if (r == 0)
		r = cb_trace_read_u64(value, "first_plan_id", UINT32_MAX, &number, err);
	if (r == 0)
		r = cb_trace_no_more(object, 3, err);
	record->line = CB_TRACE_LINE_HEADER;
	record->first_plan_id = (uint32_t)(r == 0 ? number : 0);
	return r;
}

/* The index of the @key's text among @n names. */
static int get_kind(struct json_object *object, const char *key, const char *(*name_of)(int value),
		    int n, int *ret, struct cb_err *err)
{
	struct cb_trace_field field = {
		.key = key, .kind = CB_TRACE_ENUM, .name_of = name_of, .n_names = n
	};

	return cb_trace_decode(object, &field, 1, ret, err);
}

NAMED(input_name, cb_input_kind_name, cb_input_kind)
NAMED(action_name, cb_action_name, cb_action)

static int get_line(struct json_object *object, struct cb_trace_record *record, struct cb_err *err)
{
	static const struct cb_trace_field now =
		FIELD(struct cb_input, "now", now_usec, CB_TRACE_U64);
	int kind = 0, r;

	if (json_object_object_get_ex(object, "trace", NULL))
		return get_header(object, record, err);
	if (json_object_object_get_ex(object, "out", NULL)) {
		record->line = CB_TRACE_LINE_DECISION;
		return get_kind(object, "out", action_name, _CB_ACTION_MAX, &kind, err);
	}
	record->line = CB_TRACE_LINE_INPUT;
	r = get_kind(object, "in", input_name, _CB_INPUT_MAX, &kind, err);
	if (r == 0)
		r = cb_trace_decode(object, &now, 1, &record->input, err);
	if (r < 0)
		return r;
	record->input.kind = (enum cb_input_kind)kind;
	return get_input(object, record, err);
}

int cb_trace_line_parse(const char *line, size_t len, struct cb_trace_record *ret,
			struct cb_err *err)
{
	struct cb_trace_record record = { 0 };
	struct json_object *object = NULL;
	int r = cb_trace_parse_json(line, len, &object, err);

	if (r < 0)
		return r;
	r = get_line(object, &record, err);
	json_object_put(object);
	if (r < 0) {
		cb_trace_record_done(&record);
		return r;
	}
	*ret = record;
	/* What was found is moved, and so is the one input that points into its record. */
	if (ret->line == CB_TRACE_LINE_INPUT && ret->input.kind == CB_INPUT_SNAPSHOT)
		ret->input.snapshot = &ret->snapshot;
	return 0;
}

void cb_trace_record_done(struct cb_trace_record *record)
{
	cb_topology_unref(record->topology);
	cb_snapshot_done(&record->snapshot);
	free(record->storage);
	*record = (struct cb_trace_record){ 0 };
}
