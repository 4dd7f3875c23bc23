/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Spans of time: what is read, what is refused, and that what is written reads back to the same microsecond. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cpubalance/policy.h"

#define SEC CB_USEC_PER_SEC

static void accepts(void **state)
{
	static const struct {
		const char *text;
		uint64_t usec;
	} cases[] = {
		{ "0", 0 },
		{ "0s", 0 },
		{ "5", 5 * SEC },
		{ "5s", 5 * SEC },
		{ "5 s", 5 * SEC },
		{ " 5s ", 5 * SEC },
		{ "0.5", SEC / 2 },
		{ "1.5h", 5400 * SEC },
		{ "250ms", 250000 },
		{ "7us", 7 },
		{ "1min 30s", 90 * SEC },
		{ "1min30s", 90 * SEC },
		{ "1d 2h 3min 4s 5ms 6us", 93784 * SEC + 5006 },
		{ "0.000001s", 1 },
		{ "18446744073709551615us", UINT64_MAX },
	};

	(void)state;
	for (size_t i = 0; i < CB_ARRAY_SIZE(cases); i++) {
		uint64_t usec = 1234;

		if (cb_span_parse(cases[i].text, &usec) != 0 || usec != cases[i].usec)
			fail_msg("\"%s\" gives %llu", cases[i].text, (unsigned long long)usec);
	}
}

static void refuses(void **state)
{
	static const struct {
		const char *text;
		int r;
	} cases[] = {
		{ "", -EINVAL },
		{ " ", -EINVAL },
		{ "s", -EINVAL },
		{ "5x", -EINVAL },
		{ "5S", -EINVAL },
		{ "-5s", -EINVAL },
		{ "+5s", -EINVAL },
		{ "5 6", -EINVAL },
		{ "1min 30", -EINVAL },
		{ "30 1min", -EINVAL },
		{ "5s,", -EINVAL },
		{ "5.s", -EINVAL },
		{ ".5s", -EINVAL },
		{ "5.1234567s", -EINVAL },
		{ "0.5us", -EINVAL },
		{ "infinity", -EINVAL },
		{ "18446744073709551616us", -ERANGE },
		{ "18446744073709551615s", -ERANGE },
		{ "18446744073709551615us 1us", -ERANGE },
		{ "99999999999999999999999", -ERANGE },
	};

	(void)state;
	for (size_t i = 0; i < CB_ARRAY_SIZE(cases); i++) {
		uint64_t usec = 1234;
		int r = cb_span_parse(cases[i].text, &usec);

		if (r != cases[i].r || usec != 1234)
			fail_msg("\"%s\" gives %d", cases[i].text, r);
	}
}

static void formats(void **state)
{
	char buf[96];

	(void)state;
	assert_string_equal(cb_span_format(0, buf, sizeof(buf)), "0s");
	assert_string_equal(cb_span_format(5 * SEC, buf, sizeof(buf)), "5s");
	assert_string_equal(cb_span_format(90 * SEC, buf, sizeof(buf)), "1min 30s");
	assert_string_equal(cb_span_format(1250000, buf, sizeof(buf)), "1s 250ms");
	assert_string_equal(cb_span_format(93784 * SEC + 5006, buf, sizeof(buf)),
			    "1d 2h 3min 4s 5ms 6us");
	/* Cut between parts, never inside one. */
	assert_string_equal(cb_span_format(90 * SEC, buf, 8), "1min");
	assert_string_equal(cb_span_format(90 * SEC, buf, 9), "1min 30s");
	assert_string_equal(cb_span_format(90 * SEC, buf, 1), "");
}

static void round_trips(void **state)
{
	char buf[96];

	(void)state;
	srand(1);
	for (int i = 0; i < 2000; i++) {
		uint64_t usec = i == 0 ? UINT64_MAX :
					 (uint64_t)rand() << (rand() % 32) ^ (uint64_t)rand(),
			 back;

		cb_span_format(usec, buf, sizeof(buf));
		assert_int_equal(cb_span_parse(buf, &back), 0);
		assert_true(back == usec);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepts),
		cmocka_unit_test(refuses),
		cmocka_unit_test(formats),
		cmocka_unit_test(round_trips),
	};

	return cmocka_run_group_tests_name("span", tests, NULL, NULL);
}
