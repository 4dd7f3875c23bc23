/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The JSON of the trace. The writer knows no locale, no order but ours, and 17 significant digits, which give back each
 * double. The reader starts from json-c's tree; a look at the text first refuses what json-c would let pass: integers
 * beyond 64 bits (it saturates), a field given twice (it takes the last), quotes of the other kind.
 */
#include "trace_json.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpubalance/scan.h"

/* Deeper than any line of ours, and no danger to the stack. */
#define DEPTH_MAX 8

_Static_assert(sizeof(enum cb_trace_kind) == sizeof(int), "enums are read and written as int");

/* --- writing --- */

void cb_trace_out_done(struct cb_trace_out *out)
{
	free(out->buf);
	*out = (struct cb_trace_out){ 0 };
}

char *cb_trace_out_steal(struct cb_trace_out *out)
{
	char *buf = out->failed ? NULL : cb_steal_ptr(out->buf);

	cb_trace_out_done(out);
	return buf;
}

static void append(struct cb_trace_out *out, const char *text, size_t len)
{
	if (out->failed)
		return;
	if (out->cap - out->len <= len) {
		size_t cap = CB_MAX(out->cap * 2, out->len + len + 512);
		char *buf = realloc(out->buf, cap);

		if (!buf) {
			out->failed = true;
			return;
		}
		out->buf = buf;
		out->cap = cap;
	}
	memcpy(out->buf + out->len, text, len);
	out->len += len;
	out->buf[out->len] = 0;
}

static void append_string(struct cb_trace_out *out, const char *text, size_t len)
{
	append(out, "\"", 1);
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];
		char escaped[8];

		if (c == '"' || c == '\\') {
			char pair[2] = { '\\', (char)c };

			append(out, pair, sizeof(pair));
		} else if (c < 0x20) {
			snprintf(escaped, sizeof(escaped), "\\u%04x", c);
			append(out, escaped, 6);
		} else {
			append(out, text + i, 1);
		}
	}
	append(out, "\"", 1);
}

/* What stands in front of each value: a comma unless it is the first, and its key. */
static void begin(struct cb_trace_out *out, const char *key)
{
	if (out->len > 0 && !strchr("{[", out->buf[out->len - 1]))
		append(out, ",", 1);
	if (key) {
		append_string(out, key, strlen(key));
		append(out, ":", 1);
	}
}

void cb_trace_open(struct cb_trace_out *out, const char *key, char bracket)
{
	begin(out, key);
	append(out, &bracket, 1);
}

void cb_trace_close_bracket(struct cb_trace_out *out, char bracket)
{
	append(out, &bracket, 1);
}

void cb_trace_u64(struct cb_trace_out *out, const char *key, uint64_t value)
{
	char text[24];

	begin(out, key);
	append(out, text, (size_t)snprintf(text, sizeof(text), "%" PRIu64, value));
}

void cb_trace_i64(struct cb_trace_out *out, const char *key, int64_t value)
{
	char text[24];

	begin(out, key);
	append(out, text, (size_t)snprintf(text, sizeof(text), "%" PRId64, value));
}

void cb_trace_bool(struct cb_trace_out *out, const char *key, bool value)
{
	begin(out, key);
	append(out, value ? "true" : "false", value ? 4 : 5);
}

void cb_trace_double(struct cb_trace_out *out, const char *key, double value)
{
	char text[40];
	size_t len;

	begin(out, key);
	if (!isfinite(value)) {
		append(out, "null", 4);
		return;
	}
	len = (size_t)snprintf(text, sizeof(text), "%.17g", value);
	append(out, text, len);
	/* Stays a double on the way back: as an integer, -0 would lose its sign. */
	if (!strpbrk(text, ".e"))
		append(out, ".0", 2);
}

void cb_trace_text(struct cb_trace_out *out, const char *key, const char *text, size_t size)
{
	begin(out, key);
	append_string(out, text, strnlen(text, size));
}

void cb_trace_word(struct cb_trace_out *out, const char *key, const char *word)
{
	cb_trace_text(out, key, word, strlen(word));
}

void cb_trace_cpuset(struct cb_trace_out *out, const char *key, const struct cb_cpuset *set)
{
	char list[CB_CPULIST_MAX];
	int len = cb_cpuset_format_list(set, list, sizeof(list));

	begin(out, key);
	append_string(out, list, len > 0 ? (size_t)len : 0);
}

/* --- reading --- */

/* Looks at the text outside strings. */
static int check_text(const char *line, size_t len, size_t *ret_n_keys, struct cb_err *err)
{
	struct cb_scan s = CB_SCAN(line, len);
	bool inside = false;
	size_t n = 0;

	while (!cb_scan_done(&s)) {
		char c = *s.p;
		uint64_t number;

		if (!inside && c >= '0' && c <= '9') {
			if (!cb_scan_u64(&s, &number))
				return cb_err_set(err, -EBADMSG, "an integer beyond 64 bits");
			continue;
		}
		s.p++;
		if (c == '"')
			inside = !inside;
		else if (inside && c == '\\' && !cb_scan_done(&s))
			s.p++;
		else if (!inside && c == '\'')
			return cb_err_set(err, -EBADMSG, "not JSON: single quotes");
		else if (!inside && c == ':')
			n++;
	}
	*ret_n_keys = n;
	return 0;
}

static size_t count_keys(struct json_object *value)
{
	size_t n = 0;

	if (json_object_is_type(value, json_type_object)) {
		json_object_object_foreach(value, key, member)
		{
			(void)key;
			n += 1 + count_keys(member);
		}
	} else if (json_object_is_type(value, json_type_array)) {
		for (size_t i = 0; i < json_object_array_length(value); i++)
			n += count_keys(json_object_array_get_idx(value, i));
	}
	return n;
}

int cb_trace_parse_json(const char *line, size_t len, struct json_object **ret, struct cb_err *err)
{
	struct json_tokener *tokener;
	struct json_object *object;
	enum json_tokener_error error;
	size_t n_keys = 0, end;
	int r;

	if (len == 0)
		return cb_err_set(err, -EBADMSG, "an empty line");
	if (len > INT32_MAX)
		return cb_err_set(err, -EBADMSG, "longer than a line can be");
	r = check_text(line, len, &n_keys, err);
	if (r < 0)
		return r;
	tokener = json_tokener_new_ex(DEPTH_MAX);
	if (!tokener)
		return -ENOMEM;
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
	object = json_tokener_parse_ex(tokener, line, (int)len);
	error = json_tokener_get_error(tokener);
	end = json_tokener_get_parse_end(tokener);
	json_tokener_free(tokener);
	if (error == json_tokener_continue)
		r = cb_err_set(err, -EAGAIN, "ends before the object does");
	else if (error != json_tokener_success)
		r = cb_err_set(err, -EBADMSG, "not JSON: %s, at byte %zu",
			       json_tokener_error_desc(error), end + 1);
	else if (!json_object_is_type(object, json_type_object) || end != len)
		r = cb_err_set(err, -EBADMSG, "not one JSON object");
	else if (count_keys(object) != n_keys)
		r = cb_err_set(err, -EBADMSG, "a field is given twice");
	if (r < 0) {
		json_object_put(object);
		return r;
	}
	*ret = object;
	return 0;
}

int cb_trace_member(struct json_object *object, const char *key, json_type type,
		    struct json_object **ret, struct cb_err *err)
{
	struct json_object *value;

	if (!json_object_object_get_ex(object, key, &value))
		return cb_err_set(err, -EBADMSG, "%s: missing", key);
	if (!json_object_is_type(value, type))
		return cb_err_set(err, -EBADMSG, "%s: %s, %s expected", key,
				  json_type_to_name(json_object_get_type(value)),
				  json_type_to_name(type));
	*ret = value;
	return 0;
}

int cb_trace_array(struct json_object *object, const char *key, size_t min, size_t max,
		   struct json_object **ret, size_t *ret_n, struct cb_err *err)
{
	struct json_object *array;
	size_t n;
	int r = cb_trace_member(object, key, json_type_array, &array, err);

	if (r < 0)
		return r;
	n = json_object_array_length(array);
	if (n < min || n > max)
		return cb_err_set(err, -EBADMSG, "%s: %zu elements, %zu to %zu expected", key, n,
				  min, max);
	*ret = array;
	*ret_n = n;
	return 0;
}

int cb_trace_no_more(struct json_object *object, size_t n, struct cb_err *err)
{
	size_t there = (size_t)json_object_object_length(object);

	if (there != n)
		return cb_err_set(err, -EBADMSG, "%zu fields, of which %zu are known", there, n);
	return 0;
}

int cb_trace_read_u64(struct json_object *value, const char *what, uint64_t max, uint64_t *ret,
		      struct cb_err *err)
{
	uint64_t number;

	if (!json_object_is_type(value, json_type_int))
		return cb_err_set(err, -EBADMSG, "%s: %s, int expected", what,
				  json_type_to_name(json_object_get_type(value)));
	number = json_object_get_uint64(value);
	if (json_object_get_int64(value) < 0 || number > max)
		return cb_err_set(err, -EBADMSG, "%s: %s is not in 0 to %" PRIu64, what,
				  json_object_get_string(value), max);
	*ret = number;
	return 0;
}

int cb_trace_read_i32(struct json_object *value, const char *what, int32_t *ret, struct cb_err *err)
{
	int64_t number;

	if (!json_object_is_type(value, json_type_int))
		return cb_err_set(err, -EBADMSG, "%s: %s, int expected", what,
				  json_type_to_name(json_object_get_type(value)));
	number = json_object_get_int64(value); /* saturates */
	if (number < INT32_MIN || number > INT32_MAX)
		return cb_err_set(err, -EBADMSG, "%s: %s is not in %" PRId32 " to %" PRId32, what,
				  json_object_get_string(value), INT32_MIN, INT32_MAX);
	*ret = (int32_t)number;
	return 0;
}

int cb_trace_read_double(struct json_object *value, const char *what, double *ret,
			 struct cb_err *err)
{
	double number;

	if (!json_object_is_type(value, json_type_double) &&
	    !json_object_is_type(value, json_type_int))
		return cb_err_set(err, -EBADMSG, "%s: %s, double expected", what,
				  json_type_to_name(json_object_get_type(value)));
	number = json_object_get_double(value);
	if (!isfinite(number))
		return cb_err_set(err, -EBADMSG, "%s: not a finite number", what);
	*ret = number;
	return 0;
}

/* The text of a string of less than @room bytes without a NUL inside. */
static int read_text(struct json_object *value, const char *what, size_t room, const char **ret,
		     struct cb_err *err)
{
	const char *text;
	size_t len;

	if (!json_object_is_type(value, json_type_string))
		return cb_err_set(err, -EBADMSG, "%s: %s, string expected", what,
				  json_type_to_name(json_object_get_type(value)));
	text = json_object_get_string(value);
	len = (size_t)json_object_get_string_len(value);
	if (len >= room || strlen(text) != len)
		return cb_err_set(err, -EBADMSG, "%s: longer than %zu bytes, or with a NUL inside",
				  what, room - 1);
	*ret = text;
	return 0;
}

int cb_trace_read_cpuset(struct json_object *value, const char *what, struct cb_cpuset *ret,
			 struct cb_err *err)
{
	const char *text = NULL;
	int r = read_text(value, what, CB_CPULIST_MAX, &text, err);

	if (r < 0)
		return r;
	if (cb_cpuset_parse_list(text, strlen(text), ret) < 0)
		return cb_err_set(err, -EBADMSG, "%s: \"%.64s\" is not a list of CPUs below %u",
				  what, text, CB_CPUS_MAX);
	return 0;
}

/* --- tables of fields --- */

static void encode_field(struct cb_trace_out *out, const struct cb_trace_field *field,
			 const void *at)
{
	switch (field->kind) {
	case CB_TRACE_U32:
		cb_trace_u64(out, field->key, *(const uint32_t *)at);
		return;
	case CB_TRACE_I32:
		cb_trace_i64(out, field->key, *(const int32_t *)at);
		return;
	case CB_TRACE_U64:
		cb_trace_u64(out, field->key, *(const uint64_t *)at);
		return;
	case CB_TRACE_BOOL:
		cb_trace_bool(out, field->key, *(const bool *)at);
		return;
	case CB_TRACE_DOUBLE:
		cb_trace_double(out, field->key, *(const double *)at);
		return;
	case CB_TRACE_TEXT:
		cb_trace_text(out, field->key, at, field->room);
		return;
	case CB_TRACE_CPUSET:
		cb_trace_cpuset(out, field->key, at);
		return;
	case CB_TRACE_ENUM: {
		int value;

		memcpy(&value, at, sizeof(value));
		cb_trace_word(out, field->key, field->name_of(value));
		return;
	}
	case CB_TRACE_OBJECT:
		cb_trace_open(out, field->key, '{');
		cb_trace_encode(out, field->fields, field->n_fields, at);
		cb_trace_close_bracket(out, '}');
		return;
	}
}

void cb_trace_encode(struct cb_trace_out *out, const struct cb_trace_field *fields, size_t n,
		     const void *base)
{
	for (size_t i = 0; i < n; i++)
		encode_field(out, &fields[i], (const char *)base + fields[i].offset);
}

static int read_u32(struct json_object *value, const char *what, uint32_t *ret, struct cb_err *err)
{
	uint64_t number;
	int r = cb_trace_read_u64(value, what, UINT32_MAX, &number, err);

	if (r == 0)
		*ret = (uint32_t)number;
	return r;
}

static int read_bool(struct json_object *value, const char *what, bool *ret, struct cb_err *err)
{
	if (!json_object_is_type(value, json_type_boolean))
		return cb_err_set(err, -EBADMSG, "%s: %s, boolean expected", what,
				  json_type_to_name(json_object_get_type(value)));
	*ret = json_object_get_boolean(value);
	return 0;
}

static int read_enum(struct json_object *value, const struct cb_trace_field *field, void *ret,
		     struct cb_err *err)
{
	const char *text = NULL;
	int r = read_text(value, field->key, 64, &text, err);

	if (r < 0)
		return r;
	for (int i = 0; i < field->n_names; i++)
		if (strcmp(field->name_of(i), text) == 0) {
			memcpy(ret, &i, sizeof(i));
			return 0;
		}
	return cb_err_set(err, -EBADMSG, "%s: unknown \"%s\"", field->key, text);
}

static int decode_object(struct json_object *value, const struct cb_trace_field *field, void *at,
			 struct cb_err *err)
{
	int r;

	if (!json_object_is_type(value, json_type_object))
		return cb_err_set(err, -EBADMSG, "%s: object expected", field->key);
	r = cb_trace_decode(value, field->fields, field->n_fields, at, err);
	if (r == 0)
		r = cb_trace_no_more(value, field->n_fields, err);
	return r < 0 ? cb_err_prefix(err, r, "%s.", field->key) : 0;
}

static int decode_field(struct json_object *value, const struct cb_trace_field *field, void *at,
			struct cb_err *err)
{
	const char *text = NULL;
	int r;

	switch (field->kind) {
	case CB_TRACE_U32:
		return read_u32(value, field->key, at, err);
	case CB_TRACE_I32:
		return cb_trace_read_i32(value, field->key, at, err);
	case CB_TRACE_U64:
		return cb_trace_read_u64(value, field->key, UINT64_MAX, at, err);
	case CB_TRACE_BOOL:
		return read_bool(value, field->key, at, err);
	case CB_TRACE_DOUBLE:
		return cb_trace_read_double(value, field->key, at, err);
	case CB_TRACE_TEXT:
		r = read_text(value, field->key, field->room, &text, err);
		if (r == 0)
			memcpy(at, text, strlen(text) + 1);
		return r;
	case CB_TRACE_CPUSET:
		return cb_trace_read_cpuset(value, field->key, at, err);
	case CB_TRACE_ENUM:
		return read_enum(value, field, at, err);
	case CB_TRACE_OBJECT:
		return decode_object(value, field, at, err);
	}
	return -EBADMSG;
}

int cb_trace_decode(struct json_object *object, const struct cb_trace_field *fields, size_t n,
		    void *base, struct cb_err *err)
{
	for (size_t i = 0; i < n; i++) {
		struct json_object *value;
		int r;

		if (!json_object_object_get_ex(object, fields[i].key, &value))
			return cb_err_set(err, -EBADMSG, "%s: missing", fields[i].key);
		r = decode_field(value, &fields[i], (char *)base + fields[i].offset, err);
		if (r < 0)
			return r;
	}
	return 0;
}
