/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The trace: the engine's ordered stream of inputs and the decisions it gave, one JSON object a line. Recording it is recording
 * everything; replaying it gives the same decisions to the byte.
 *   {"trace":1,"version":"0.1.0","first_plan_id":1}          first line
 *   {"in":"snapshot","now":123456,...}                        an input
 *   {"out":"none","now":123456,...}                           the decision it gave
 */

#include <stdio.h>

#include "cpubalance/engine.h"
#include "cpubalance/err.h"

struct cb_trace_writer;
int cb_trace_create(const char *path, uint32_t first_plan_id, struct cb_trace_writer **ret, struct cb_err *err) _must_check_;
int cb_trace_input(struct cb_trace_writer *writer, const struct cb_input *input) _must_check_;
int cb_trace_decision(struct cb_trace_writer *writer, const struct cb_decision *decision) _must_check_;
struct cb_trace_writer *cb_trace_close(struct cb_trace_writer *writer); /* NULL is fine; returns NULL */

/* One decision as the JSON line of the trace, without the newline; the string belongs to the caller (free()). NULL without memory. */
char *cb_trace_decision_line(const struct cb_decision *decision);

struct cb_replay_result {
	uint64_t n_inputs, n_decisions, n_differing;
	uint64_t first_differing_line; /* of the file, 0 none */
};
/*
 * Feed the trace to a new engine, print each decision to @out (NULL: none), compare it with the recorded one.
 * Returns 0 (differences are in @ret), -EBADMSG with FILE:LINE and the field, or another errno.
 */
int cb_trace_replay(const char *path, FILE *out, struct cb_replay_result *ret, struct cb_err *err) _must_check_;
