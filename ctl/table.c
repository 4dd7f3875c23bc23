/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Laying out a table: cells are written and cleaned first, then widths are measured, then columns
 * are shortened or left out until a line fits, then it is printed.
 */

#include "table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"

#define GAP_COLS 2u

struct table {
	const struct cb_column *columns;
	const struct cb_style *style;
	size_t n_columns, n_rows;
	unsigned int indent;
	char **cells; /* n_rows x n_columns, cleaned */
	bool shown[CB_COLUMNS_MAX];
	unsigned int width[CB_COLUMNS_MAX];
};

#define UNKNOWN "-"

static bool aligns_right(const struct cb_column *column)
{
	if (column->show)
		return column->right;
	switch (column->cell) {
	case CB_CELL_TEXT:
	case CB_CELL_STATE:
	case CB_CELL_WHEN:
	case CB_CELL_YES:
		return false;
	case CB_CELL_NUMBER:
	case CB_CELL_PERCENT:
	case CB_CELL_RATIO:
	case CB_CELL_RATE:
	case CB_CELL_WAIT:
	case CB_CELL_SPAN:
	case CB_CELL_CPU:
	case _CB_CELL_MAX:
	case _CB_CELL_INVALID:
		break;
	}
	return true;
}

static void show_number(enum cb_cell cell, double value, char *buf, size_t size)
{
	switch (cell) {
	case CB_CELL_PERCENT:
		cb_show_percent(value, buf, size);
		break;
	case CB_CELL_RATIO:
		snprintf(buf, size, "%.2f", value);
		break;
	case CB_CELL_RATE:
		cb_show_rate(value, buf, size);
		break;
	case CB_CELL_WAIT:
		cb_show_wait(value, buf, size);
		break;
	case CB_CELL_NUMBER:
		snprintf(buf, size, "%.0f", value);
		break;
	case CB_CELL_CPU:
		snprintf(buf, size, "%.0f", value);
		if (value < 0)
			*buf = '\0';
		break;
	case CB_CELL_TEXT:
	case CB_CELL_STATE:
	case CB_CELL_SPAN:
	case CB_CELL_WHEN:
	case CB_CELL_YES:
	case _CB_CELL_MAX:
	case _CB_CELL_INVALID:
		*buf = '\0';
		break;
	}
}

/* The cell as text, not cleaned; returns false when it is unknown. */
static bool show_cell(const struct table *table, const struct cb_column *column,
		      struct json_object *row, struct cb_buf *buf)
{
	char text[64] = "";
	const char *string;
	uint64_t usec;
	double value;

	if (column->show)
		return column->show(row, table->style, buf);
	if (column->cell == CB_CELL_TEXT || column->cell == CB_CELL_STATE) {
		string = cb_json_text(row, column->key);
		if (string)
			cb_buf_add(buf, "%s", string);
		return string != NULL;
	}
	if (column->cell == CB_CELL_YES) {
		if (!cb_json_get(row, column->key))
			return false;
		cb_buf_add(buf, "%s", cb_json_true(row, column->key) ? "yes" : "no");
		return true;
	}
	if (column->cell == CB_CELL_SPAN || column->cell == CB_CELL_WHEN) {
		if (!cb_json_u64(row, column->key, &usec))
			return false;
		if (column->cell == CB_CELL_SPAN)
			cb_show_span(usec, text, sizeof(text));
		else
			cb_show_when(table->style, usec, text, sizeof(text));
	} else if (cb_json_number(row, column->key, &value)) {
		show_number(column->cell, value, text, sizeof(text));
	}
	if (*text)
		cb_buf_add(buf, "%s", text);
	return *text != '\0';
}

static char **cell_at(const struct table *table, size_t row, size_t column)
{
	return &table->cells[row * table->n_columns + column];
}

/* Nothing that an optional column would be shown for. */
static bool is_nothing(const char *cell)
{
	return strcmp(cell, UNKNOWN) == 0 || strcmp(cell, "no") == 0 ||
	       cell[strspn(cell, "0.")] == '\0' || strcmp(cell, "0 ms") == 0;
}

static void fill(struct table *table, struct json_object *rows)
{
	table->cells = cb_must(calloc(table->n_rows * table->n_columns + 1, sizeof(*table->cells)));
	for (size_t c = 0; c < table->n_columns; c++) {
		table->shown[c] = !table->columns[c].optional;
		for (size_t r = 0; r < table->n_rows; r++) {
			struct cb_buf buf = { 0 };
			char **cell = cell_at(table, r, c);

			if (show_cell(table, &table->columns[c], json_object_array_get_idx(rows, r),
				      &buf) &&
			    buf.text)
				*cell = cb_text_clean(table->style, buf.text);
			else
				*cell = cb_must(strdup(UNKNOWN));
			cb_buf_done(&buf);
			if (!is_nothing(*cell))
				table->shown[c] = true;
		}
	}
}

static size_t last_shown(const struct table *table)
{
	size_t last = 0;

	for (size_t c = 0; c < table->n_columns; c++)
		if (table->shown[c])
			last = c;
	return last;
}

/* Natural widths; returns what a line takes. */
static unsigned int measure(struct table *table)
{
	unsigned int total = table->indent;
	bool first = true;

	for (size_t c = 0; c < table->n_columns; c++) {
		if (!table->shown[c])
			continue;
		table->width[c] = cb_text_width(table->columns[c].title);
		for (size_t r = 0; r < table->n_rows; r++)
			table->width[c] =
				CB_MAX(table->width[c], cb_text_width(*cell_at(table, r, c)));
		total += table->width[c] + (first ? 0 : GAP_COLS);
		first = false;
	}
	return total;
}

/* Shorten text columns, the widest first, until @excess is gone. Returns what remains of it. */
static unsigned int shorten(struct table *table, unsigned int excess)
{
	while (excess > 0) {
		size_t widest = table->n_columns;

		for (size_t c = 0; c < table->n_columns; c++) {
			unsigned int least = CB_MAX(table->columns[c].min_cols,
						    cb_text_width(table->columns[c].title));

			if (!table->shown[c] || table->columns[c].min_cols == 0 ||
			    table->width[c] <= least)
				continue;
			if (widest == table->n_columns || table->width[c] > table->width[widest])
				widest = c;
		}
		if (widest == table->n_columns)
			break;
		table->width[widest]--;
		excess--;
	}
	return excess;
}

static bool drop_one(struct table *table)
{
	size_t drop = table->n_columns;

	for (size_t c = 0; c < table->n_columns; c++) {
		if (!table->shown[c] || table->columns[c].drop == 0)
			continue;
		if (drop == table->n_columns || table->columns[c].drop > table->columns[drop].drop)
			drop = c;
	}
	if (drop == table->n_columns)
		return false;
	table->shown[drop] = false;
	return true;
}

/*
 * Decide which columns are shown and how wide. Appends the titles that had to go to @ret_dropped.
 */
static void fit(struct table *table, struct cb_buf *ret_dropped)
{
	bool before[CB_COLUMNS_MAX];

	memcpy(before, table->shown, sizeof(before));
	for (;;) {
		unsigned int total = measure(table), width = table->style->width_cols;

		if (width == 0 || total <= width || shorten(table, total - width) == 0 ||
		    !drop_one(table))
			break;
	}
	for (size_t c = 0; c < table->n_columns; c++)
		if (before[c] && !table->shown[c])
			cb_buf_join(ret_dropped, ", ", "%s", table->columns[c].title);
}

static void print_cell(FILE *out, const struct table *table, size_t column, const char *cell,
		       bool is_last)
{
	const struct cb_column *c = &table->columns[column];
	enum cb_color color = c->cell == CB_CELL_STATE ? cb_color_of(cell) : CB_COLOR_NONE;
	unsigned int width = table->width[column], cols = cb_text_width(cell), pad;
	const char *dots = "";
	size_t bytes = strlen(cell);

	if (cols > width) {
		dots = table->style->utf8 ? "\xe2\x80\xa6" : "~"; /* an ellipsis */
		bytes = cb_text_fit(cell, width - 1);
		cols = width;
	}
	pad = width - cols;
	if (aligns_right(c))
		fprintf(out, "%*s", (int)pad, "");
	fprintf(out, "%s%.*s%s%s", cb_color_on(table->style, color), (int)bytes, cell, dots,
		cb_color_off(table->style, color));
	if (!aligns_right(c) && !is_last)
		fprintf(out, "%*s", (int)pad, "");
}

/* The last column, wrapped beside the others. */
static void print_wrapped(FILE *out, const char *cell, unsigned int width, unsigned int at)
{
	for (;;) {
		size_t bytes = cb_text_wrap(cell, width);

		fwrite(cell, 1, bytes, out);
		cell += bytes;
		while (*cell == ' ')
			cell++;
		if (!*cell)
			return;
		fprintf(out, "\n%*s", (int)at, "");
	}
}

static void print_row(FILE *out, const struct table *table, const char *const *cells)
{
	unsigned int at = table->indent;
	size_t last = last_shown(table);

	fprintf(out, "%*s", (int)table->indent, "");
	for (size_t c = 0; c < table->n_columns; c++) {
		const struct cb_column *column = &table->columns[c];

		if (!table->shown[c])
			continue;
		if (c == last && column->min_cols > 0 && !aligns_right(column))
			print_wrapped(out, cells[c], table->width[c], at);
		else
			print_cell(out, table, c, cells[c], c == last);
		if (c != last)
			fprintf(out, "%*s", (int)GAP_COLS, "");
		at += table->width[c] + GAP_COLS;
	}
	fputc('\n', out);
}

void cb_table_print(FILE *out, const struct cb_style *style, const struct cb_column *columns,
		    size_t n_columns, struct json_object *rows, unsigned int indent,
		    const char *none)
{
	struct table table = {
		.columns = columns,
		.style = style,
		.n_columns = n_columns,
		.n_rows = cb_json_length(rows),
		.indent = indent,
	};
	const char *titles[CB_COLUMNS_MAX] = { NULL };
	struct cb_buf dropped = { 0 };

	assert(n_columns > 0 && n_columns <= CB_COLUMNS_MAX);
	if (table.n_rows == 0) {
		if (none)
			cb_sentence(out, style, CB_COLOR_NONE, "%*s%s", (int)indent, "", none);
		return;
	}
	fill(&table, rows);
	fit(&table, &dropped);
	for (size_t c = 0; c < n_columns; c++)
		titles[c] = columns[c].title;
	fputs(cb_color_on(style, CB_COLOR_BOLD), out);
	print_row(out, &table, titles);
	fputs(cb_color_off(style, CB_COLOR_BOLD), out);
	for (size_t r = 0; r < table.n_rows; r++)
		print_row(out, &table, (const char *const *)cell_at(&table, r, 0));
	if (dropped.text)
		cb_sentence(out, style, CB_COLOR_DIM, "%*s(no room for %s; --json has all)",
			    (int)indent, "", dropped.text);
	for (size_t i = 0; i < table.n_rows * n_columns; i++)
		free(table.cells[i]);
	free(table.cells);
	cb_buf_done(&dropped);
}
