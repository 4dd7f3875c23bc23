/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Lines of a trace <-> inputs and decisions: the half without files, for the recorder, the replay, tests and fuzzing.
 * What is read is checked as far as the engine's contract goes: an input that comes out can be fed.
 */

#include <stdio.h>

#include "cpubalance/trace.h"

#define CB_TRACE_VERSION  1
#define CB_TRACE_LINE_MAX (64u << 20)

enum cb_trace_line {
	CB_TRACE_LINE_HEADER,
	CB_TRACE_LINE_INPUT,
	CB_TRACE_LINE_DECISION, /* compared as text, so only its form is looked at */
};

struct cb_trace_record {
	enum cb_trace_line line;
	uint32_t first_plan_id; /* HEADER */
	struct cb_input input;	/* INPUT: points to what follows */
	struct cb_topology *topology;
	struct cb_snapshot snapshot;
	void *storage;
};

char *cb_trace_header_line(uint32_t first_plan_id);
/* The JSON line of an input, without the newline; the string belongs to the caller (free()). NULL without memory. */
char *cb_trace_input_line(const struct cb_input *input);

/*
 * Returns 0, -ENOMEM, -EBADMSG with a message naming the field, or -EAGAIN with a message when the line ends too soon.
 * Give what it holds back with cb_trace_record_done(), which takes an empty one ({ 0 }) too.
 */
int cb_trace_line_parse(const char *line, size_t len, struct cb_trace_record *ret,
			struct cb_err *err) _must_check_;
void cb_trace_record_done(struct cb_trace_record *record);

/* cb_trace_replay() from a stream; @name is for messages. */
int cb_trace_replay_stream(FILE *in, const char *name, FILE *out, struct cb_replay_result *ret,
			   struct cb_err *err) _must_check_;

/* --- trace_snapshot.c: the inputs that are made of rows --- */

struct cb_trace_out;
struct json_object;
void cb_trace_put_snapshot(struct cb_trace_out *out, const struct cb_snapshot *snapshot);
int cb_trace_get_snapshot(struct json_object *object, struct cb_snapshot *ret, struct cb_err *err)
	_must_check_;
void cb_trace_put_topology(struct cb_trace_out *out, const struct cb_topology *topology);
int cb_trace_get_topology(struct json_object *object, struct cb_topology **ret, struct cb_err *err)
	_must_check_;
