/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Tables: one row per JSON object of a listing, one column per figure. A column says how its cell
 * is written and what may happen to it where the terminal is narrow: text is shortened, the last
 * column wraps, and what can be spared is left out, which the table says below itself. Written to
 * something that is no terminal, nothing is ever left out.
 */

#include <stdbool.h>
#include <stdio.h>

#include "text.h"

struct json_object;

enum cb_cell {
	CB_CELL_TEXT,	 /* string, left-aligned */
	CB_CELL_STATE,	 /* string, colored by cb_color_of() */
	CB_CELL_NUMBER,	 /* integer */
	CB_CELL_PERCENT, /* ratio, shown x 100 */
	CB_CELL_RATIO,	 /* ratio, shown as it is */
	CB_CELL_RATE,	 /* per second */
	CB_CELL_WAIT,	 /* seconds per second, shown as milliseconds */
	CB_CELL_SPAN,	 /* microseconds */
	CB_CELL_WHEN,	 /* realtime microseconds */
	CB_CELL_YES,	 /* boolean: "yes" or "no" */
	CB_CELL_CPU,	 /* CPU number, unknown where negative */
	_CB_CELL_MAX,
	_CB_CELL_INVALID = -22,
};

struct cb_column {
	const char *title;
	enum cb_cell cell;
	const char *key;
	unsigned int drop; /* 0: always shown; else the column with the highest goes first */
	/* > 0: text that may be shortened to this; in the last column it wraps instead. */
	unsigned int min_cols;
	bool optional; /* left out where no row has it, or all have 0 or "no" */
	/* Instead of key: write the cell into @buf; false: unknown. NULL: not used. */
	bool (*show)(struct json_object *row, const struct cb_style *style, struct cb_buf *buf);
	bool right; /* with show: align to the right */
};

#define CB_COLUMNS_MAX 24u

/*
 * Print @rows (an array of objects, or NULL) as a table with @n_columns <= CB_COLUMNS_MAX, each
 * line after @indent blanks. Prints nothing but @none, when that is not NULL, where there are no
 * rows.
 */
void cb_table_print(FILE *out, const struct cb_style *style, const struct cb_column *columns,
		    size_t n_columns, struct json_object *rows, unsigned int indent,
		    const char *none);
