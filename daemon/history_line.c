/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A line of history.jsonl. Unknown keys are passed over and missing ones keep their zero, so that versions can read each
 * other's files; a known key of the wrong type or an unknown word makes the whole line bad.
 */
#include "history.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

static void add_number(json_object *object, const char *key, double value)
{
	if (isfinite(value))
		json_object_object_add(object, key, json_object_new_double(value));
}

static void add_text(json_object *object, const char *key, const char *value)
{
	if (value && value[0])
		json_object_object_add(object, key, json_object_new_string(value));
}

static void add_count(json_object *object, const char *key, uint64_t value)
{
	json_object_object_add(object, key, json_object_new_uint64(value));
}

static json_object *format_steps(const struct cb_history_entry *entry)
{
	json_object *steps = json_object_new_array();

	for (uint32_t i = 0; i < entry->n_steps; i++) {
		const struct cb_history_step *step = &entry->step[i];
		json_object *object = json_object_new_object();

		add_text(object, "kind", cb_item_kind_name(step->kind));
		add_text(object, "name", step->name);
		add_text(object, "from", step->from);
		add_text(object, "to", step->to);
		add_text(object, "state", cb_step_state_name(step->state));
		add_number(object, "load", step->load_ratio);
		json_object_array_add(steps, object);
	}
	return steps;
}

char *cb_history_line_format(const struct cb_history_entry *entry)
{
	json_object *object = json_object_new_object();
	const char *text;
	char *line;

	if (!object)
		return NULL;
	add_count(object, "plan", entry->plan_id);
	add_count(object, "at", entry->at_usec);
	add_text(object, "origin", cb_origin_name(entry->origin));
	add_text(object, "verdict", cb_verdict_name(entry->verdict));
	add_text(object, "group", entry->group);
	add_text(object, "finding", entry->finding);
	add_text(object, "sentence", entry->sentence);
	add_text(object, "measure", entry->measure);
	add_number(object, "effect", entry->effect_ratio);
	add_number(object, "p", entry->p_value);
	add_number(object, "served_effect", entry->served_effect_ratio);
	add_number(object, "served_p", entry->served_p_value);
	if (entry->has_metric) {
		add_number(object, "metric_before", entry->metric_before);
		add_number(object, "metric_after", entry->metric_after);
	}
	add_number(object, "wait_before", entry->wait_before_ratio);
	add_number(object, "wait_after", entry->wait_after_ratio);
	add_count(object, "windows_before", entry->n_before);
	add_count(object, "windows_after", entry->n_after);
	json_object_object_add(object, "foreign", json_object_new_boolean(entry->foreign));
	add_number(object, "hottest_before", entry->hottest_before_ratio);
	add_number(object, "hottest_after", entry->hottest_after_ratio);
	json_object_object_add(object, "steps", format_steps(entry));
	text = json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN);
	line = text ? strdup(text) : NULL;
	json_object_put(object);
	return line;
}

/* A reader with a sticky failure. */
struct reader {
	json_object *object;
	bool bad;
};

static json_object *member(struct reader *reader, const char *key, json_type type)
{
	json_object *value;

	if (!json_object_object_get_ex(reader->object, key, &value))
		return NULL;
	if (!json_object_is_type(value, type) &&
	    !(type == json_type_double && json_object_is_type(value, json_type_int))) {
		reader->bad = true;
		return NULL;
	}
	return value;
}

static void get_text(struct reader *reader, const char *key, char *ret, size_t size)
{
	json_object *value = member(reader, key, json_type_string);

	ret[0] = '\0';
	if (value) {
		size_t len = CB_MIN((size_t)json_object_get_string_len(value), size - 1);

		memcpy(ret, json_object_get_string(value), len);
		ret[len] = '\0';
	}
}

static double get_number(struct reader *reader, const char *key)
{
	json_object *value = member(reader, key, json_type_double);

	return value ? json_object_get_double(value) : 0;
}

static uint64_t get_count(struct reader *reader, const char *key, uint64_t max)
{
	json_object *value = member(reader, key, json_type_int);

	if (!value)
		return 0;
	if (json_object_get_int64(value) < 0 || json_object_get_uint64(value) > max) {
		reader->bad = true;
		return 0;
	}
	return json_object_get_uint64(value);
}

/* The number of the word in an enum whose names @name gives, 0 when there is none. */
#define DEFINE_GET_WORD(type, name, max)                                               \
	static type get_##name(struct reader *reader, const char *key)                 \
	{                                                                              \
		json_object *value = member(reader, key, json_type_string);            \
		for (int i = 0; value && i < (int)(max); i++)                          \
			if (strcmp(json_object_get_string(value), name((type)i)) == 0) \
				return (type)i;                                        \
		reader->bad = reader->bad || value;                                    \
		return (type)0;                                                        \
	}
DEFINE_GET_WORD(enum cb_origin, cb_origin_name, _CB_ORIGIN_MAX)
DEFINE_GET_WORD(enum cb_verdict, cb_verdict_name, _CB_VERDICT_MAX)
DEFINE_GET_WORD(enum cb_item_kind, cb_item_kind_name, _CB_ITEM_MAX)
DEFINE_GET_WORD(enum cb_step_state, cb_step_state_name, _CB_STEP_STATE_MAX)

static int parse_steps(struct reader *reader, struct cb_history_entry *entry)
{
	json_object *steps = member(reader, "steps", json_type_array);
	size_t n = steps ? json_object_array_length(steps) : 0;

	if (n > CB_STEPS_MAX) {
		reader->bad = true;
		return 0;
	}
	entry->step = calloc(CB_MAX(n, (size_t)1), sizeof(*entry->step));
	if (!entry->step)
		return -ENOMEM;
	entry->n_steps = (uint32_t)n;
	for (size_t i = 0; i < n; i++) {
		struct reader one = { .object = json_object_array_get_idx(steps, i) };
		struct cb_history_step *step = &entry->step[i];

		if (!json_object_is_type(one.object, json_type_object)) {
			reader->bad = true;
			break;
		}
		step->kind = get_cb_item_kind_name(&one, "kind");
		step->state = get_cb_step_state_name(&one, "state");
		get_text(&one, "name", step->name, sizeof(step->name));
		get_text(&one, "from", step->from, sizeof(step->from));
		get_text(&one, "to", step->to, sizeof(step->to));
		step->load_ratio = get_number(&one, "load");
		reader->bad = reader->bad || one.bad;
	}
	return 0;
}

static int parse_object(json_object *object, struct cb_history_entry *entry)
{
	struct reader reader = { .object = object };
	json_object *foreign = member(&reader, "foreign", json_type_boolean);
	int r;

	entry->plan_id = (uint32_t)get_count(&reader, "plan", UINT32_MAX);
	entry->at_usec = get_count(&reader, "at", INT64_MAX);
	entry->origin = get_cb_origin_name(&reader, "origin");
	entry->verdict = get_cb_verdict_name(&reader, "verdict");
	get_text(&reader, "group", entry->group, sizeof(entry->group));
	get_text(&reader, "finding", entry->finding, sizeof(entry->finding));
	get_text(&reader, "sentence", entry->sentence, sizeof(entry->sentence));
	get_text(&reader, "measure", entry->measure, sizeof(entry->measure));
	entry->effect_ratio = get_number(&reader, "effect");
	entry->p_value = get_number(&reader, "p");
	entry->served_effect_ratio = get_number(&reader, "served_effect");
	entry->served_p_value = get_number(&reader, "served_p");
	entry->has_metric = json_object_object_get_ex(object, "metric_before", NULL) &&
			    json_object_object_get_ex(object, "metric_after", NULL);
	entry->metric_before = get_number(&reader, "metric_before");
	entry->metric_after = get_number(&reader, "metric_after");
	entry->wait_before_ratio = get_number(&reader, "wait_before");
	entry->wait_after_ratio = get_number(&reader, "wait_after");
	entry->n_before = (uint32_t)get_count(&reader, "windows_before", UINT32_MAX);
	entry->n_after = (uint32_t)get_count(&reader, "windows_after", UINT32_MAX);
	entry->foreign = foreign && json_object_get_boolean(foreign);
	entry->hottest_before_ratio = get_number(&reader, "hottest_before");
	entry->hottest_after_ratio = get_number(&reader, "hottest_after");
	r = parse_steps(&reader, entry);
	if (r < 0)
		return r;
	return reader.bad || (entry->plan_id == 0 && !entry->foreign) ? -EBADMSG : 0;
}

int cb_history_line_parse(const char *line, size_t len, struct cb_history_entry *ret)
{
	struct cb_history_entry entry = { .plan_id = 0 };
	json_tokener *tokener;
	json_object *object;
	int r = -EBADMSG;

	if (len > INT32_MAX)
		return -EBADMSG;
	tokener = json_tokener_new_ex(8);
	if (!tokener)
		return -ENOMEM;
	object = json_tokener_parse_ex(tokener, line, (int)len);
	if (json_object_is_type(object, json_type_object) &&
	    json_tokener_get_parse_end(tokener) == len)
		r = parse_object(object, &entry);
	json_object_put(object);
	json_tokener_free(tokener);
	if (r < 0) {
		free(entry.step);
		return r;
	}
	*ret = entry;
	return 0;
}
