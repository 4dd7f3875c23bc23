/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the tests of the parsers share: text in a block of exactly its size, so that valgrind and ASan see a byte read beyond
 * it; fixtures; snapshots; and the proof by truncation, that no part of a good file is read as something else.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cpubalance/sources.h"

#define FIXTURES "tests/fixtures/sources/"

struct text {
	char *buf;
	size_t len;
};

static inline struct text text_of(const void *bytes, size_t len)
{
	struct text text = { .buf = malloc(len ? len : 1), .len = len };

	assert_non_null(text.buf);
	if (len)
		memcpy(text.buf, bytes, len);
	return text;
}

/* Reads to the end. NULL text where the file cannot be read. */
static inline struct text text_of_stream(FILE *file)
{
	struct text text = { 0 };
	size_t cap = 0;

	while (file) {
		if (text.len == cap) {
			cap = cap ? cap * 2 : 65536;
			text.buf = realloc(text.buf, cap);
			assert_non_null(text.buf);
		}
		size_t n = fread(text.buf + text.len, 1, cap - text.len, file);

		text.len += n;
		if (n == 0)
			break;
	}
	if (text.buf) {
		text.buf = realloc(text.buf, text.len ? text.len : 1);
		assert_non_null(text.buf);
	}
	return text;
}

static inline struct text text_of_file(const char *path)
{
	FILE *file = fopen(path, "re");
	struct text text;

	if (!file)
		fail_msg("cannot open %s", path);
	text = text_of_stream(file);
	fclose(file);
	return text;
}

static inline void text_done(struct text *text)
{
	free(text->buf);
}

#define TEXT(string) text_of((string), strlen(string))
#define AUTO_TEXT    __attribute__((cleanup(text_done))) struct text

/* A snapshot for @n_cpus CPUs and the interrupts 0 .. @n_irqs - 1. */
static inline void snapshot_make(struct cb_snapshot *snapshot, uint32_t n_cpus, uint32_t n_irqs)
{
	*snapshot = (struct cb_snapshot){ 0 };
	assert_int_equal(cb_snapshot_reserve(snapshot, n_cpus, n_irqs, 0, 0), 0);
	snapshot->n_cpus = n_cpus;
	snapshot->n_irqs = n_irqs;
	for (uint32_t i = 0; i < n_irqs; i++)
		snapshot->irq[i].irq = i;
}

#define AUTO_SNAPSHOT __attribute__((cleanup(cb_snapshot_done))) struct cb_snapshot
