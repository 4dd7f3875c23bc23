/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Fields `key=value` of a scenario's lines, by tables: one row is a key, its type, its bounds and where it goes. For
 * tests/sim/scenario*.c alone.
 */

#include <stddef.h>

#include "cpubalance/scan.h"
#include "scenario.h"

enum field_type {
	FIELD_COUNT,  /* uint32_t */
	FIELD_NODE,   /* int32_t */
	FIELD_NUMBER, /* double; "30%" is 0.3 */
	FIELD_SPAN,   /* uint64_t usec */
	FIELD_CPUS,   /* struct cb_cpuset, of CPUs that the machine has */
	FIELD_NAME,   /* char[SCENARIO_NAME_MAX] */
	FIELD_PLACE,  /* enum scenario_place */
	FIELD_LOAD,   /* bool: closed */
};

struct field {
	const char *key;
	enum field_type type;
	size_t offset;
	double min, max; /* of counts, nodes, numbers; of spans in seconds */
	bool required;
};

/* A line as it is being read. */
struct line {
	const char *path, *keyword;
	uint32_t number, n_cpus;
	struct cb_scan rest;
	struct cb_err *err;
};

int line_error(const struct line *line, const char *fmt, ...) _printf_(2, 3);
/* The next word of the line as text; -EINVAL when there is none (@what is missing) or it is too long. */
int line_word(struct line *line, const char *what, char *ret, size_t size) _must_check_;
int line_name(struct line *line, const char *what, char ret[SCENARIO_NAME_MAX]) _must_check_;
bool line_done(struct line *line);
/* A value of its own, without a key. */
int field_take(const struct line *line, const struct field *field, const char *text, void *object)
	_must_check_;
/* All that is left of the line. Unknown, doubled and missing keys are errors. */
int fields_take(struct line *line, const struct field *fields, size_t n, void *object) _must_check_;
