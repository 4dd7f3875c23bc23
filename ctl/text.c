/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Cleaning, measuring and wrapping of text, and how figures are written. Pure but for the memory
 * and the streams that it is given; the clock comes in with the style.
 */

#include "text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <wchar.h>

void *cb_must(void *pointer)
{
	if (!pointer) {
		fputs("cpubalctl: out of memory\n", stderr);
		exit(1);
	}
	return pointer;
}

enum cb_color cb_color_of(const char *word)
{
	static const struct {
		const char *word;
		enum cb_color color;
	} colors[] = {
		{ "hot", CB_COLOR_RED },
		{ "warm", CB_COLOR_YELLOW },
		{ "rolled_back", CB_COLOR_YELLOW },
		{ "failed", CB_COLOR_RED },
		{ "kept", CB_COLOR_GREEN },
		{ "MOVED", CB_COLOR_GREEN },
		{ "foreign", CB_COLOR_YELLOW },
		{ "offline", CB_COLOR_DIM },
		{ "missing", CB_COLOR_YELLOW },
	};

	for (size_t i = 0; i < CB_ARRAY_SIZE(colors); i++)
		if (strcmp(colors[i].word, word) == 0)
			return colors[i].color;
	return CB_COLOR_NONE;
}

const char *cb_color_on(const struct cb_style *style, enum cb_color color)
{
	if (!style->color)
		return "";
	switch (color) {
	case CB_COLOR_BOLD:
		return "\033[1m";
	case CB_COLOR_DIM:
		return "\033[2m";
	case CB_COLOR_RED:
		return "\033[1;31m";
	case CB_COLOR_YELLOW:
		return "\033[33m";
	case CB_COLOR_GREEN:
		return "\033[32m";
	case CB_COLOR_NONE:
	case _CB_COLOR_MAX:
	case _CB_COLOR_INVALID:
		break;
	}
	return "";
}

const char *cb_color_off(const struct cb_style *style, enum cb_color color)
{
	return *cb_color_on(style, color) ? "\033[0m" : "";
}

/*
 * One character of UTF-8 (RFC 3629: no overlong form, no surrogate). Returns its bytes, 0 when it
 * is broken.
 */
static size_t decode(const char *text, uint32_t *ret_code)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const unsigned char *p = (const unsigned char *)text;
	uint32_t code;
	size_t length;

	if (p[0] < 0x80) {
		*ret_code = p[0];
		return 1;
	}
	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		length = 2;
	else if (p[0] >= 0xe0 && p[0] <= 0xef)
		length = 3;
	else if (p[0] >= 0xf0 && p[0] <= 0xf4)
		length = 4;
	else
		return 0;
	code = p[0] & (0xffu >> (length + 1));
	for (size_t i = 1; i < length; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (p[i] & 0x3fu);
	}
	if (code < least[length] || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff))
		return 0;
	*ret_code = code;
	return length;
}

/* Invisible characters that turn or join text: they would make a name look like another. */
static bool deceives(uint32_t code)
{
	return (code >= 0x200b && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
	       (code >= 0x2060 && code <= 0x206f) || code == 0xfeff;
}

char *cb_text_clean(const struct cb_style *style, const char *text)
{
	/*
	 * The longest replacement of one byte is \xNN; a character of three bytes may become
	 * \uNNNN, one of four \UNNNNNNNN.
	 */
	char *clean = cb_must(malloc(strlen(text) * 4 + 1)), *w = clean;

	while (*text) {
		uint32_t code = 0;
		size_t length = decode(text, &code);

		if (length == 0) {
			w += sprintf(w, "\\x%02x", (unsigned int)(unsigned char)*text);
			length = 1;
		} else if (code < 0x20 || (code >= 0x7f && code < 0xa0)) {
			w += sprintf(w, "\\x%02x", (unsigned int)code);
		} else if (code < 0x80) {
			*w++ = (char)code;
		} else if (deceives(code) || (style->utf8 && wcwidth((wchar_t)code) < 0)) {
			w += sprintf(w, code > 0xffff ? "\\U%08x" : "\\u%04x", (unsigned int)code);
		} else if (!style->utf8) {
			*w++ = '?';
		} else {
			memcpy(w, text, length);
			w += length;
		}
		text += length;
	}
	*w = '\0';
	return clean;
}

bool cb_text_is_plain(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || (unsigned char)*text >= 0x7f)
			return false;
	return true;
}

static unsigned int char_width(const char *clean, size_t *ret_length)
{
	uint32_t code = 0;
	size_t length = decode(clean, &code);
	int width;

	*ret_length = length ? length : 1;
	if (length <= 1)
		return 1;
	width = wcwidth((wchar_t)code);
	return width < 0 ? 1 : (unsigned int)width;
}

unsigned int cb_text_width(const char *clean)
{
	unsigned int width = 0;
	size_t length;

	for (; *clean; clean += length)
		width += char_width(clean, &length);
	return width;
}

size_t cb_text_fit(const char *clean, unsigned int cols)
{
	size_t at = 0, length;

	while (clean[at]) {
		unsigned int width = char_width(clean + at, &length);

		if (width > cols)
			break;
		cols -= width;
		at += length;
	}
	return at;
}

size_t cb_text_wrap(const char *clean, unsigned int cols)
{
	size_t fits = cols ? cb_text_fit(clean, cols) : strlen(clean), gap = 0, pause = 0,
	       blank = 0, length;

	if (!clean[fits])
		return fits;
	for (size_t i = 1; i <= fits; i++) {
		if (clean[i] != ' ' || clean[i - 1] == ' ')
			continue;
		blank = i;
		if (clean[i + 1] == ' ')
			gap = i;
		else if (clean[i - 1] == ',' || clean[i - 1] == ';')
			pause = i;
	}
	if (gap && gap * 2 >= fits)
		return gap;
	if (pause && pause * 3 >= fits * 2)
		return pause;
	if (blank)
		return blank;
	if (fits)
		return fits;
	char_width(clean, &length); /* wider than the line: it has to go somewhere */
	return length;
}

const char *cb_show_percent(double ratio, char *buf, size_t size)
{
	snprintf(buf, size, "%.1f", ratio * 100);
	return buf;
}

const char *cb_show_points(double ratio, char *buf, size_t size)
{
	snprintf(buf, size, "%.0f", ratio * 100);
	return buf;
}

const char *cb_show_rate(double per_sec, char *buf, size_t size)
{
	if (per_sec == 0)
		snprintf(buf, size, "0");
	else if (per_sec < 9.95)
		snprintf(buf, size, "%.1f", per_sec);
	else if (per_sec < 99999.5)
		snprintf(buf, size, "%.0f", per_sec);
	else if (per_sec < 999.5e3)
		snprintf(buf, size, "%.0fk", per_sec / 1e3);
	else
		snprintf(buf, size, "%.1fM", per_sec / 1e6);
	return buf;
}

const char *cb_show_wait(double sec_per_sec, char *buf, size_t size)
{
	double ms = sec_per_sec * 1e3;

	snprintf(buf, size, ms != 0 && ms < 9.95 ? "%.1f" : "%.0f", ms);
	return buf;
}

const char *cb_show_span(uint64_t usec, char *buf, size_t size)
{
	static const struct {
		uint64_t usec;
		const char *unit, *small_unit;
		uint64_t small_usec;
	} units[] = {
		{ 86400 * CB_USEC_PER_SEC, "d", "h", 3600 * CB_USEC_PER_SEC },
		{ 3600 * CB_USEC_PER_SEC, "h", "min", 60 * CB_USEC_PER_SEC },
		{ 60 * CB_USEC_PER_SEC, "min", "s", CB_USEC_PER_SEC },
	};

	for (size_t i = 0; i < CB_ARRAY_SIZE(units); i++) {
		uint64_t small = usec % units[i].usec / units[i].small_usec;

		if (usec < units[i].usec)
			continue;
		if (small)
			snprintf(buf, size, "%llu %s %llu %s",
				 (unsigned long long)(usec / units[i].usec), units[i].unit,
				 (unsigned long long)small, units[i].small_unit);
		else
			snprintf(buf, size, "%llu %s", (unsigned long long)(usec / units[i].usec),
				 units[i].unit);
		return buf;
	}
	if (usec >= CB_USEC_PER_SEC)
		snprintf(buf, size, "%llu s", (unsigned long long)(usec / CB_USEC_PER_SEC));
	else if (usec >= 10 * CB_USEC_PER_MSEC || usec == 0)
		snprintf(buf, size, "%llu ms", (unsigned long long)(usec / CB_USEC_PER_MSEC));
	else
		snprintf(buf, size, "%.1f ms", (double)usec / 1e3);
	return buf;
}

const char *cb_show_when(const struct cb_style *style, uint64_t realtime_usec, char *buf,
			 size_t size)
{
	time_t then = (time_t)(realtime_usec / CB_USEC_PER_SEC),
	       now = (time_t)(style->now_usec / CB_USEC_PER_SEC);
	struct tm at = { 0 }, today = { 0 };
	bool near;

	if (!localtime_r(&then, &at) || !localtime_r(&now, &today)) {
		snprintf(buf, size, "-");
		return buf;
	}
	near = (at.tm_yday == today.tm_yday && at.tm_year == today.tm_year) ||
	       (then <= now && now - then < 12 * 3600);
	if (strftime(buf, size, near ? "%H:%M:%S" : "%Y-%m-%d %H:%M", &at) == 0)
		snprintf(buf, size, "-");
	return buf;
}

_printf_(2, 0) static void buf_addv(struct cb_buf *buf, const char *format, va_list args)
{
	char *more = NULL;
	int length = vasprintf(&more, format, args);

	if (length < 0)
		cb_must(NULL);
	buf->text = cb_must(realloc(buf->text, buf->length + (size_t)length + 1));
	memcpy(buf->text + buf->length, more, (size_t)length + 1);
	buf->length += (size_t)length;
	free(more);
}

void cb_buf_add(struct cb_buf *buf, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	buf_addv(buf, format, args);
	va_end(args);
}

void cb_buf_join(struct cb_buf *buf, const char *separator, const char *format, ...)
{
	va_list args;

	if (buf->length)
		cb_buf_add(buf, "%s", separator);
	va_start(args, format);
	buf_addv(buf, format, args);
	va_end(args);
}

void cb_buf_done(struct cb_buf *buf)
{
	free(buf->text);
	*buf = (struct cb_buf){ 0 };
}

/* Beyond this, eyes do not find what is at the right end. */
#define RIGHT_COLS_MAX 100u

/* Print @right behind @used columns when there is room; returns whether it was printed. */
static bool print_right(struct cb_lines *lines, unsigned int used)
{
	unsigned int width = lines->style->width_cols, need = cb_text_width(lines->right), end;

	if (width == 0) {
		fprintf(lines->out, "   %s", lines->right);
		return true;
	}
	if (used + 2 + need > width)
		return false;
	end = CB_MIN(width, CB_MAX(RIGHT_COLS_MAX, used + 2 + need));
	fprintf(lines->out, "%*s%s%s%s", (int)(end - used - need), "",
		cb_color_on(lines->style, CB_COLOR_DIM), lines->right,
		cb_color_off(lines->style, CB_COLOR_DIM));
	return true;
}

/*
 * Print @clean in lines of @indent blanks and at most the style's width; the first starts at column
 * @indent already.
 */
static void print_wrapped(struct cb_lines *lines, const char *clean, unsigned int indent)
{
	unsigned int width = lines->style->width_cols, room;

	room = width == 0 ? 0 : width > indent + 20 ? width - indent : 20;
	for (;;) {
		size_t bytes = cb_text_wrap(clean, room);

		fwrite(clean, 1, bytes, lines->out);
		if (lines->right) {
			char *first = cb_must(strndup(clean, bytes));

			if (print_right(lines, indent + cb_text_width(first))) {
				free(lines->right);
				lines->right = NULL;
			}
			free(first);
		}
		fputc('\n', lines->out);
		clean += bytes;
		while (*clean == ' ')
			clean++;
		if (!*clean)
			return;
		fprintf(lines->out, "%*s", (int)indent, "");
	}
}

void cb_line(struct cb_lines *lines, const char *label, enum cb_color color, const char *format,
	     ...)
{
	struct cb_buf buf = { 0 };
	char *clean, *clean_label = cb_text_clean(lines->style, label);
	unsigned int width = cb_text_width(clean_label);
	va_list args;

	va_start(args, format);
	buf_addv(&buf, format, args);
	va_end(args);
	clean = cb_text_clean(lines->style, buf.text);
	fprintf(lines->out, "%s%s%s%*s", cb_color_on(lines->style, color), clean_label,
		cb_color_off(lines->style, color),
		width < CB_LABEL_COLS ? (int)(CB_LABEL_COLS - width) : 1, "");
	print_wrapped(lines, clean, CB_LABEL_COLS);
	free(clean);
	free(clean_label);
	cb_buf_done(&buf);
}

void cb_sentence(FILE *out, const struct cb_style *style, enum cb_color color, const char *format,
		 ...)
{
	struct cb_lines lines = { .out = out, .style = style };
	struct cb_buf buf = { 0 };
	char *clean;
	va_list args;

	va_start(args, format);
	buf_addv(&buf, format, args);
	va_end(args);
	clean = cb_text_clean(style, buf.text);
	fputs(cb_color_on(style, color), out);
	print_wrapped(&lines, clean, 0);
	fputs(cb_color_off(style, color), out);
	free(clean);
	cb_buf_done(&buf);
}
