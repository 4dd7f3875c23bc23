/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A number that a program of the operator's has printed: ServiceMetric=. Decimal, with a sign, a fraction and an exponent if it likes,
 * blanks and newlines around it and nothing else. The first 15 digits count, which a double holds, and so does a power of ten of up to
 * 22, more where there are fewer digits: the value is the nearest one, by one multiplication or division.
 */
#include "cpubalance/sources.h"

#include <errno.h>

#include "cpubalance/scan.h"

#define DIGITS_MAX   15u
#define EXPONENT_MAX 22
#define DIGITS_ROOM  UINT64_C(100000000000000) /* below this one more fits */

static void skip_space(struct cb_scan *s)
{
	while (!cb_scan_done(s) &&
	       (*s->p == ' ' || *s->p == '\t' || *s->p == '\n' || *s->p == '\r'))
		s->p++;
}

struct number {
	uint64_t digits;
	uint32_t n_digits; /* in it; leading zeros do not count */
	int32_t exponent;  /* the value is digits * 10^exponent */
	bool any;
};

/* Digits in front of the point, or behind it. What is beyond the precision counts for the magnitude alone. */
static void take_digits(struct cb_scan *s, bool fraction, struct number *number)
{
	for (; !cb_scan_done(s) && *s->p >= '0' && *s->p <= '9'; s->p++) {
		bool taken = number->n_digits < DIGITS_MAX;

		number->any = true;
		if (taken) {
			number->n_digits += number->digits > 0 || *s->p > '0';
			number->digits = number->digits * 10 + (uint64_t)(*s->p - '0');
		}
		/* saturates far beyond any exponent that is accepted */
		if (number->exponent > -INT16_MAX && number->exponent < INT16_MAX)
			number->exponent += taken ? (fraction ? -1 : 0) : (fraction ? 0 : 1);
	}
}

static int take_exponent(struct cb_scan *s, int32_t *ret)
{
	bool negative;
	uint32_t n;

	if (!cb_scan_char(s, 'e') && !cb_scan_char(s, 'E'))
		return 0;
	negative = cb_scan_char(s, '-');
	if (!negative)
		(void)cb_scan_char(s, '+');
	if (!cb_scan_u32(s, &n))
		return -EBADMSG;
	if (n > INT16_MAX)
		return -ERANGE;
	*ret += negative ? -(int32_t)n : (int32_t)n;
	return 0;
}

int cb_gauge_parse(const char *buf, size_t len, double *ret)
{
	struct cb_scan s = CB_SCAN(buf, len);
	struct number number = { .digits = 0 };
	double value, power = 1;
	bool negative;
	int r;

	skip_space(&s);
	negative = cb_scan_char(&s, '-');
	if (!negative)
		(void)cb_scan_char(&s, '+');
	take_digits(&s, false, &number);
	if (cb_scan_char(&s, '.'))
		take_digits(&s, true, &number);
	if (!number.any)
		return -EBADMSG;
	r = take_exponent(&s, &number.exponent);
	if (r < 0)
		return r;
	skip_space(&s);
	if (!cb_scan_done(&s))
		return -EBADMSG;
	if (number.digits == 0)
		number.exponent = 0;
	/* 3e27 is 3000000e21: where there is room in the digits they take what is too much for the power */
	for (; number.exponent > EXPONENT_MAX && number.digits < DIGITS_ROOM; number.exponent--)
		number.digits *= 10;
	if (number.exponent > EXPONENT_MAX || number.exponent < -EXPONENT_MAX)
		return -ERANGE;
	for (int32_t i = number.exponent < 0 ? -number.exponent : number.exponent; i > 0; i--)
		power *= 10;
	value = (double)number.digits;
	value = number.exponent < 0 ? value / power : value * power;
	*ret = negative ? -value : value;
	return 0;
}
