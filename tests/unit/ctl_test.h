/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the tests of the tool's output share: JSON in, text out, and a machine of any size.
 */

#include <json-c/json.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ctl/json.h"
#include "ctl/render.h"

static const struct cb_style wide = { .utf8 = true, .now_usec = UINT64_C(1700000900000000) };

static inline struct json_object *parse(const char *text)
{
	struct json_object *json = json_tokener_parse(text);

	if (!json)
		fail_msg("not JSON: %s", text);
	return json;
}

/* What @render prints for @json at this width, without colors; the caller frees it. */
/* Not inline: gcc then takes what the stream has allocated for the variable that holds it (-Wdangling-pointer). */
static __attribute__((noinline, unused)) char *shown(cb_render_t render, struct json_object *json,
						     unsigned int cols)
{
	struct cb_style style = wide;
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	style.width_cols = cols;
	render(out, &style, json);
	fclose(out);
	return text;
}

/* Prints and compares; @json is put. */
static inline void expect(cb_render_t render, const char *json, unsigned int cols,
			  const char *expected)
{
	struct json_object *object = parse(json);
	char *text = shown(render, object, cols);

	assert_string_equal(text, expected);
	free(text);
	json_object_put(object);
}

static inline unsigned int count_lines(const char *text)
{
	unsigned int n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

static inline unsigned int widest_line(const char *text)
{
	unsigned int widest = 0;

	while (*text) {
		size_t length = strcspn(text, "\n");
		char *line = strndup(text, length);

		assert_non_null(line);
		widest = CB_MAX(widest, cb_text_width(line));
		free(line);
		text += length + (text[length] == '\n');
	}
	return widest;
}

/* A machine of @n CPUs where CPU 3 mod n is hot, and so are @n_hot - 1 others. */
static inline struct json_object *machine(unsigned int n, unsigned int n_hot)
{
	struct json_object *cpus = json_object_new_array();

	for (unsigned int i = n; i-- > 0;) {
		bool hot = (i + n - 3 % n) % n < n_hot;
		char text[512];

		snprintf(
			text, sizeof(text),
			"{\"CPU\":%u,\"Online\":true,\"Heat\":\"%s\",%s\"Busy\":%g,\"User\":0.31,\"System\":0.12,"
			"\"IRQ\":0.001,\"SoftIRQ\":0.1,\"Steal\":0,\"ContextSwitchesPerSec\":123456,\"Workers\":0.4,"
			"\"Interrupts\":0.1,\"Other\":0.104,\"Node\":%u}",
			i, hot ? "hot" : "cool", hot ? "\"HotForUSec\":41000000," : "",
			hot ? 0.96 - i * 0.0001 : 0.3, i / 64);
		json_object_array_add(cpus, parse(text));
	}
	return cpus;
}
