/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The cursor of all parsers. Invariants: never reads at or beyond end, and a function that answers false leaves the
 * cursor where it was, so that a caller can try one form after another.
 */
#include "cpubalance/scan.h"

#include <string.h>

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Value of a digit in @base (10 or 16), or @base when it is none. */
static unsigned int digit(char c, unsigned int base)
{
	if (c >= '0' && c <= '9')
		return (unsigned int)(c - '0');
	if (base == 16 && c >= 'a' && c <= 'f')
		return (unsigned int)(c - 'a') + 10;
	if (base == 16 && c >= 'A' && c <= 'F')
		return (unsigned int)(c - 'A') + 10;
	return base;
}

static bool scan_number(struct cb_scan *s, unsigned int base, uint64_t *ret)
{
	const char *p = s->p;
	uint64_t value = 0;

	for (; p < s->end; p++) {
		unsigned int d = digit(*p, base);

		if (d >= base)
			break;
		if (__builtin_mul_overflow(value, (uint64_t)base, &value) ||
		    __builtin_add_overflow(value, (uint64_t)d, &value))
			return false;
	}
	if (p == s->p)
		return false;
	s->p = p;
	*ret = value;
	return true;
}

void cb_scan_blanks(struct cb_scan *s)
{
	while (s->p < s->end && is_blank(*s->p))
		s->p++;
}

bool cb_scan_char(struct cb_scan *s, char c)
{
	if (s->p >= s->end || *s->p != c)
		return false;
	s->p++;
	return true;
}

bool cb_scan_word(struct cb_scan *s, const char *word)
{
	size_t len = strlen(word);

	if (s->p > s->end || (size_t)(s->end - s->p) < len || (len && memcmp(s->p, word, len) != 0))
		return false;
	s->p += len;
	return true;
}

bool cb_scan_u64(struct cb_scan *s, uint64_t *ret)
{
	return scan_number(s, 10, ret);
}

bool cb_scan_u32(struct cb_scan *s, uint32_t *ret)
{
	struct cb_scan ahead = *s;
	uint64_t value;

	if (!scan_number(&ahead, 10, &value) || value > UINT32_MAX)
		return false;
	*s = ahead;
	*ret = (uint32_t)value;
	return true;
}

bool cb_scan_i64(struct cb_scan *s, int64_t *ret)
{
	struct cb_scan ahead = *s;
	bool negative = cb_scan_char(&ahead, '-');
	uint64_t value;

	if (!scan_number(&ahead, 10, &value) || value > (uint64_t)INT64_MAX + negative)
		return false;
	*s = ahead;
	/* Negate as unsigned: -INT64_MIN does not exist. */
	*ret = (int64_t)(negative ? 0 - value : value);
	return true;
}

bool cb_scan_hex64(struct cb_scan *s, uint64_t *ret)
{
	return scan_number(s, 16, ret);
}

bool cb_scan_line(struct cb_scan *s, struct cb_scan *ret_line)
{
	const char *newline;

	if (cb_scan_done(s))
		return false;
	newline = memchr(s->p, '\n', (size_t)(s->end - s->p));
	*ret_line = (struct cb_scan){ .p = s->p, .end = newline ? newline : s->end };
	s->p = newline ? newline + 1 : s->end;
	return true;
}

bool cb_scan_token(struct cb_scan *s, const char **ret, size_t *ret_len)
{
	const char *p = s->p;

	while (p < s->end && !is_blank(*p) && *p != '\n')
		p++;
	if (p == s->p)
		return false;
	*ret = s->p;
	*ret_len = (size_t)(p - s->p);
	s->p = p;
	return true;
}
