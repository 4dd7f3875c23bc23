/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "scenario_fields.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 512u

int line_error(const struct line *line, const char *fmt, ...)
{
	char what[CB_ERR_MSG_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	/* the message is one line of text whatever the file holds */
	for (char *p = what; *p; p++)
		if ((unsigned char)*p < ' ' || (unsigned char)*p > '~')
			*p = '?';
	return cb_err_set(line->err, -EINVAL, "%s:%u: %s%s%s", line->path, line->number,
			  line->keyword, line->keyword[0] ? ": " : "", what);
}

bool line_done(struct line *line)
{
	cb_scan_blanks(&line->rest);
	return cb_scan_done(&line->rest);
}

int line_word(struct line *line, const char *what, char *ret, size_t size)
{
	const char *word;
	size_t len;

	cb_scan_blanks(&line->rest);
	if (!cb_scan_token(&line->rest, &word, &len))
		return line_error(line, "%s is missing", what);
	if (len >= size || memchr(word, 0, len))
		return line_error(line, "%s is longer than %zu characters or has a NUL", what,
				  size - 1);
	memcpy(ret, word, len);
	ret[len] = 0;
	return 0;
}

int line_name(struct line *line, const char *what, char ret[SCENARIO_NAME_MAX])
{
	int r = line_word(line, what, ret, SCENARIO_NAME_MAX);

	if (r < 0)
		return r;
	if (!cb_name_valid(ret))
		return line_error(line, "\"%s\" is not %s: letters, digits, \"_\", \".\", \"-\"",
				  ret, what);
	return 0;
}

/* "12.5" or "30%"; no sign but '-', no exponent, nothing that the locale decides. */
static bool parse_number(const char *text, double *ret)
{
	const char *p = text;
	double value = 0, unit = 1;
	bool minus = *p == '-', digits = false;

	p += minus || *p == '+';
	for (; isdigit((unsigned char)*p); p++, digits = true)
		value = value * 10 + (*p - '0');
	if (*p == '.')
		for (p++; isdigit((unsigned char)*p); p++, digits = true) {
			unit /= 10;
			value += unit * (*p - '0');
		}
	if (*p == '%') {
		value /= 100;
		p++;
	}
	if (!digits || *p || value > 1e12)
		return false;
	*ret = minus ? -value : value;
	return true;
}

static int take_number(const struct line *line, const struct field *field, const char *text,
		       double *ret)
{
	bool whole = field->type == FIELD_COUNT || field->type == FIELD_NODE;

	if (!parse_number(text, ret) || *ret < field->min || *ret > field->max ||
	    (whole && floor(*ret) != *ret))
		return line_error(line, "%s=%s: not a %snumber from %g to %g", field->key, text,
				  whole ? "whole " : "", field->min, field->max);
	return 0;
}

static int take_span(const struct line *line, const struct field *field, const char *text,
		     uint64_t *ret)
{
	uint64_t usec;

	if (cb_span_parse(text, &usec) < 0 || (double)usec / 1e6 < field->min ||
	    (double)usec / 1e6 > field->max)
		return line_error(line, "%s=%s: not a time from %gs to %gs", field->key, text,
				  field->min, field->max);
	*ret = usec;
	return 0;
}

static int take_cpus(const struct line *line, const struct field *field, const char *text,
		     struct cb_cpuset *ret)
{
	struct cb_cpuset set, there = CB_CPUSET_EMPTY;

	if (line->n_cpus == 0)
		return line_error(line, "%s=: \"machine\" has to come first", field->key);
	cb_cpuset_set_range(&there, 0, line->n_cpus - 1);
	if (strcmp(text, "all") == 0)
		set = there;
	else if (cb_cpuset_parse_list(text, strlen(text), &set) < 0 || cb_cpuset_empty(&set) ||
		 !cb_cpuset_subset(&set, &there))
		return line_error(line, "%s=%s: not a list of CPUs from 0 to %u", field->key, text,
				  line->n_cpus - 1);
	*ret = set;
	return 0;
}

/* One of two words. */
static int take_choice(const struct line *line, const struct field *field, const char *text,
		       const char *no, const char *yes, bool *ret)
{
	if (strcmp(text, no) != 0 && strcmp(text, yes) != 0)
		return line_error(line, "%s=%s: neither %s nor %s", field->key, text, no, yes);
	*ret = strcmp(text, yes) == 0;
	return 0;
}

int field_take(const struct line *line, const struct field *field, const char *text, void *object)
{
	void *to = (char *)object + field->offset;
	double number = 0;
	bool second = false;
	int r = 0;

	switch (field->type) {
	case FIELD_COUNT:
		r = take_number(line, field, text, &number);
		if (r == 0)
			*(uint32_t *)to = (uint32_t)number;
		return r;
	case FIELD_NODE:
		r = take_number(line, field, text, &number);
		if (r == 0)
			*(int32_t *)to = (int32_t)number;
		return r;
	case FIELD_NUMBER:
		return take_number(line, field, text, to);
	case FIELD_SPAN:
		return take_span(line, field, text, to);
	case FIELD_CPUS:
		return take_cpus(line, field, text, to);
	case FIELD_NAME:
		if (!cb_name_valid(text) || strlen(text) >= SCENARIO_NAME_MAX)
			return line_error(line, "%s=%s: not a name of at most %u characters",
					  field->key, text, SCENARIO_NAME_MAX - 1);
		memcpy(to, text, strlen(text) + 1);
		return 0;
	case FIELD_PLACE:
		r = take_choice(line, field, text, "pinned", "float", &second);
		if (r == 0)
			*(enum scenario_place *)to = second ? SCENARIO_FLOAT : SCENARIO_PINNED;
		return r;
	case FIELD_LOAD:
		return take_choice(line, field, text, "open", "closed", to);
	}
	return r;
}

static const struct field *find_field(const struct field *fields, size_t n, const char *key)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(fields[i].key, key) == 0)
			return &fields[i];
	return NULL;
}

/* "cpus, smt, llc" for a message. */
static const char *known_keys(const struct field *fields, size_t n, char *buf, size_t size)
{
	size_t at = 0;

	buf[0] = 0;
	for (size_t i = 0; i < n && at + 1 < size; i++) {
		int len = snprintf(buf + at, size - at, "%s%s=", i ? " " : "", fields[i].key);

		at += len > 0 ? (size_t)len : 0;
	}
	return buf;
}

int fields_take(struct line *line, const struct field *fields, size_t n, void *object)
{
	uint32_t seen = 0;
	char text[TEXT_MAX], keys[160];

	while (!line_done(line)) {
		const struct field *field;
		char *value;
		int r = line_word(line, "a field", text, sizeof(text));

		if (r < 0)
			return r;
		value = strchr(text, '=');
		if (value)
			*value++ = 0;
		field = find_field(fields, n, text);
		if (!field || !value)
			return line_error(line, "\"%s\" is none of %s", text,
					  known_keys(fields, n, keys, sizeof(keys)));
		if (seen & (1u << (field - fields)))
			return line_error(line, "%s= comes twice", field->key);
		seen |= 1u << (field - fields);
		r = field_take(line, field, value, object);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < n; i++)
		if (fields[i].required && !(seen & (1u << i)))
			return line_error(line, "%s= is missing", fields[i].key);
	return 0;
}
