/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * JSON for the trace, and for nothing else. Writing: straight into a growing buffer, so that a line costs no tree and
 * equal values give equal bytes. Reading: json-c, made strict. Between the two stand tables of fields: one table says
 * how a struct is written and how it is read, so the two cannot drift apart.
 */

#include <json-c/json.h>

#include "cpubalance/cpuset.h"
#include "cpubalance/err.h"

/* --- writing --- */

struct cb_trace_out {
	char *buf; /* NUL-terminated once something was written */
	size_t len, cap;
	bool failed; /* no memory; everything after it is dropped */
};

void cb_trace_out_done(struct cb_trace_out *out);
/* Hand the text over; NULL when something failed. */
char *cb_trace_out_steal(struct cb_trace_out *out);

/* @key NULL: an element of an array. Commas come by themselves. */
void cb_trace_open(struct cb_trace_out *out, const char *key, char bracket);
void cb_trace_close_bracket(struct cb_trace_out *out, char bracket);
void cb_trace_u64(struct cb_trace_out *out, const char *key, uint64_t value);
void cb_trace_i64(struct cb_trace_out *out, const char *key, int64_t value);
void cb_trace_bool(struct cb_trace_out *out, const char *key, bool value);
void cb_trace_double(struct cb_trace_out *out, const char *key,
		     double value); /* null when not finite */
/* At most @size bytes, or up to a NUL. */
void cb_trace_text(struct cb_trace_out *out, const char *key, const char *text, size_t size);
void cb_trace_word(struct cb_trace_out *out, const char *key, const char *word);
void cb_trace_cpuset(struct cb_trace_out *out, const char *key, const struct cb_cpuset *set);

/* --- reading; all return 0, or -EBADMSG with a message naming the field --- */

/*
 * One line, an object, with duplicate fields, oversized integers and anything that follows refused. -EAGAIN when the
 * text ends inside the object. Give the object back with json_object_put().
 */
int cb_trace_parse_json(const char *line, size_t len, struct json_object **ret, struct cb_err *err)
	_must_check_;

int cb_trace_member(struct json_object *object, const char *key, json_type type,
		    struct json_object **ret, struct cb_err *err) _must_check_;
/* An array member of @min to @max elements. */
int cb_trace_array(struct json_object *object, const char *key, size_t min, size_t max,
		   struct json_object **ret, size_t *ret_n, struct cb_err *err) _must_check_;
/* That the object has exactly @n fields: all known ones were found, so one more is unknown. */
int cb_trace_no_more(struct json_object *object, size_t n, struct cb_err *err) _must_check_;

int cb_trace_read_u64(struct json_object *value, const char *what, uint64_t max, uint64_t *ret,
		      struct cb_err *err) _must_check_;
int cb_trace_read_i32(struct json_object *value, const char *what, int32_t *ret, struct cb_err *err)
	_must_check_;
int cb_trace_read_double(struct json_object *value, const char *what, double *ret,
			 struct cb_err *err) _must_check_; /* finite */
int cb_trace_read_cpuset(struct json_object *value, const char *what, struct cb_cpuset *ret,
			 struct cb_err *err) _must_check_;

/* --- tables of fields --- */

enum cb_trace_kind {
	CB_TRACE_U32,
	CB_TRACE_I32,
	CB_TRACE_U64,
	CB_TRACE_BOOL,
	CB_TRACE_DOUBLE,
	CB_TRACE_TEXT, /* char[room] */
	CB_TRACE_CPUSET,
	CB_TRACE_ENUM,	 /* by name_of(0) ... name_of(n_names - 1) */
	CB_TRACE_OBJECT, /* a struct of fields[n_fields] */
};

struct cb_trace_field {
	const char *key;
	enum cb_trace_kind kind;
	size_t offset;
	size_t room;
	const char *(*name_of)(int value);
	int n_names;
	const struct cb_trace_field *fields;
	size_t n_fields;
};

/* The fields of the struct at @base, into the object that is open. Encoding an enum's value without a name writes "?". */
void cb_trace_encode(struct cb_trace_out *out, const struct cb_trace_field *fields, size_t n,
		     const void *base);
int cb_trace_decode(struct json_object *object, const struct cb_trace_field *fields, size_t n,
		    void *base, struct cb_err *err) _must_check_;
