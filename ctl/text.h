/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Text for people: what may reach a terminal, how wide it is there, where a line breaks, and how
 * figures are written. Whatever comes over the bus passes cb_text_clean() once before it is
 * printed: names of tasks and interrupts are chosen by strangers.
 */

#include <stdbool.h>
#include <stdio.h>

#include "cpubalance/macro.h"

/* How to print, decided once in main(); tests make their own. */
struct cb_style {
	unsigned int width_cols; /* of the terminal; 0: nobody's, never shorten */
	bool color;
	bool utf8;	   /* the terminal shows UTF-8 */
	uint64_t now_usec; /* CLOCK_REALTIME microseconds, decides how dates are written */
};

enum cb_color {
	CB_COLOR_NONE,
	CB_COLOR_BOLD,
	CB_COLOR_DIM,
	CB_COLOR_RED,
	CB_COLOR_YELLOW,
	CB_COLOR_GREEN,
	_CB_COLOR_MAX,
	_CB_COLOR_INVALID = -22,
};

/*
 * Color by default for a word that the daemon uses for a state: "hot", "rolled_back", "foreign",
 * ...
 */
enum cb_color cb_color_of(const char *word);
/* The sequences around a colored text; "" without colors. */
const char *cb_color_on(const struct cb_style *style, enum cb_color color);
const char *cb_color_off(const struct cb_style *style, enum cb_color color);

/* End the program when there is no memory: a tool has nothing better to do. Returns @pointer. */
void *cb_must(void *pointer);

/*
 * A printable copy of @text: control characters, broken UTF-8, and characters that change the
 * direction of writing are shown as \xNN or \uNNNN, and what is not ASCII as '?' where the terminal
 * has no UTF-8. The caller frees it.
 */
char *cb_text_clean(const struct cb_style *style, const char *text);

/* Whether @text could do anything on a terminal or in a shell's input but show itself. */
bool cb_text_is_plain(const char *text);

/* Columns that a cleaned text takes. */
unsigned int cb_text_width(const char *clean);

/* Bytes of a cleaned text that fit @cols columns. */
size_t cb_text_fit(const char *clean, unsigned int cols);

/*
 * Where to break a cleaned text that is too wide: the bytes of its first line. It ends at a gap of
 * two or more blanks where that leaves the line at least half full, else behind a comma or semicolon
 * (two thirds), else at a blank, else inside the word. At least one character; all of it when it fits
 * or @cols is 0.
 */
size_t cb_text_wrap(const char *clean, unsigned int cols);

/*
 * Figures; all return @buf.
 *   percent  "96.2": share of one CPU, without a sign
 *   points   "96"
 *   rate     "0.3", "1234", "123k", "1.2M"
 *   wait     of seconds per second, in milliseconds per second: "212", "0.4"
 *   span     one or two units: "850 ms", "41 s", "2 h 5 min"
 *   when     local time: "02:41:07" of today or of the last 12 hours, else "2025-03-01 02:41"
 */
const char *cb_show_percent(double ratio, char *buf, size_t size);
const char *cb_show_points(double ratio, char *buf, size_t size);
const char *cb_show_rate(double per_sec, char *buf, size_t size);
const char *cb_show_wait(double sec_per_sec, char *buf, size_t size);
const char *cb_show_span(uint64_t usec, char *buf, size_t size);
const char *cb_show_when(const struct cb_style *style, uint64_t realtime_usec, char *buf,
			 size_t size);

/* A growing line. Zero-initialise; text is NULL until the first append. */
struct cb_buf {
	char *text;
	size_t length;
};
void cb_buf_add(struct cb_buf *buf, const char *format, ...) _printf_(2, 3);
/* Like cb_buf_add(), after @separator when something is there. */
void cb_buf_join(struct cb_buf *buf, const char *separator, const char *format, ...) _printf_(3, 4);
void cb_buf_done(struct cb_buf *buf);

/*
 * Labelled lines, as `status` has them: a label in the margin, text wrapped beside it. @right, when
 * set, goes to the right end of the first line that has room for it.
 */
#define CB_LABEL_COLS 11u
struct cb_lines {
	FILE *out;
	const struct cb_style *style;
	char *right; /* owned; NULL none */
};
void cb_line(struct cb_lines *lines, const char *label, enum cb_color color, const char *format,
	     ...) _printf_(4, 5);
/* A sentence without a margin, wrapped. */
void cb_sentence(FILE *out, const struct cb_style *style, enum cb_color color, const char *format,
		 ...) _printf_(4, 5);
