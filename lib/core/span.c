/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Spans of time as people write them. What cb_span_format() writes cb_span_parse() reads back to the same microsecond.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cpubalance/policy.h"
#include "cpubalance/scan.h"

static const struct {
	const char *name;
	uint64_t usec;
} units[] = {
	{ "d", 24 * 3600 * CB_USEC_PER_SEC }, { "h", 3600 * CB_USEC_PER_SEC },
	{ "min", 60 * CB_USEC_PER_SEC },      { "s", CB_USEC_PER_SEC },
	{ "ms", CB_USEC_PER_MSEC },	      { "us", 1 },
};

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* The unit here; "" is one only where the whole text is a bare number. Returns its microseconds, 0 for none. */
static uint64_t scan_unit(struct cb_scan *s, bool first)
{
	const char *start = s->p;
	size_t len;

	while (!cb_scan_done(s) && is_letter(*s->p))
		s->p++;
	len = (size_t)(s->p - start);
	if (len == 0)
		return first && cb_scan_done(s) ? CB_USEC_PER_SEC : 0;
	for (size_t i = 0; i < CB_ARRAY_SIZE(units); i++)
		if (strlen(units[i].name) == len && memcmp(units[i].name, start, len) == 0)
			return units[i].usec;
	return 0;
}

/* One "1.5h" of a span. */
static int scan_part(struct cb_scan *s, bool first, uint64_t *ret_usec)
{
	uint64_t whole, fraction = 0, scale = 1, unit, usec, rest;

	if (cb_scan_done(s) || *s->p < '0' || *s->p > '9')
		return -EINVAL;
	if (!cb_scan_u64(s, &whole))
		return -ERANGE;
	if (cb_scan_char(s, '.')) {
		const char *start = s->p;

		if (!cb_scan_u64(s, &fraction) || s->p - start > 6)
			return -EINVAL;
		for (; start < s->p; start++)
			scale *= 10;
	}
	cb_scan_blanks(s);
	unit = scan_unit(s, first);
	if (unit == 0)
		return -EINVAL;
	/* No overflow: less than a million times a day. */
	rest = fraction * unit;
	if (rest % scale != 0)
		return -EINVAL;
	if (__builtin_mul_overflow(whole, unit, &usec) ||
	    __builtin_add_overflow(usec, rest / scale, &usec))
		return -ERANGE;
	*ret_usec = usec;
	return 0;
}

int cb_span_parse(const char *text, uint64_t *ret_usec)
{
	struct cb_scan s = CB_SCAN(text, strlen(text));
	uint64_t total = 0;
	bool first = true;

	/* Blanks at the end are no part of what follows a number. */
	while (s.end > s.p && (s.end[-1] == ' ' || s.end[-1] == '\t'))
		s.end--;
	cb_scan_blanks(&s);
	do {
		uint64_t usec;
		int r = scan_part(&s, first, &usec);

		if (r < 0)
			return r;
		if (__builtin_add_overflow(total, usec, &total))
			return -ERANGE;
		cb_scan_blanks(&s);
		first = false;
	} while (!cb_scan_done(&s));
	*ret_usec = total;
	return 0;
}

const char *cb_span_format(uint64_t usec, char *buf, size_t size)
{
	size_t len = 0;

	if (size == 0)
		return buf;
	if (usec == 0)
		snprintf(buf, size, "0s");
	for (size_t i = 0; i < CB_ARRAY_SIZE(units) && usec > 0; i++) {
		uint64_t n = usec / units[i].usec;
		int written;

		if (n == 0)
			continue;
		usec %= units[i].usec;
		written = snprintf(buf + len, size - len, "%s%llu%s", len ? " " : "",
				   (unsigned long long)n, units[i].name);
		if (written < 0 || (size_t)written >= size - len) {
			/* No room: what is there is the bigger part. */
			buf[len] = 0;
			break;
		}
		len += (size_t)written;
	}
	return buf;
}
