/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the command of ServiceMetric= has printed. */
#include "cpubalance/sources.h"

#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void numbers(void **state)
{
	static const struct {
		const char *text;
		double value;
	} cases[] = {
		{ "0", 0 },
		{ "42\n", 42 },
		{ " \t-3.5 \r\n", -3.5 },
		{ "+7", 7 },
		{ ".5", 0.5 },
		{ "5.", 5 },
		{ "1e3", 1000 },
		{ "3000000e21", 3e27 },
		{ "3e27", 3e27 },
		{ "1e36", 1e36 },
		{ "2.5E-3", 0.0025 },
		{ "0.30000000000000004", 0.3 },
		{ "0.1", 0.1 },
		{ "123456.789", 123456.789 },
		{ "00000000000000000000000000000012", 12 },
		{ "0.00000000000000000001", 1e-20 },
		{ "12345678901234567890", 12345678901234567890.0 },
		{ "0e999", 0 },
	};

	(void)state;
	for (size_t i = 0; i < CB_ARRAY_SIZE(cases); i++) {
		double value = -1;

		assert_int_equal(cb_gauge_parse(cases[i].text, strlen(cases[i].text), &value), 0);
		assert_true(fabs(value - cases[i].value) <= 1e-14 * fabs(cases[i].value));
	}
}

static void no_numbers(void **state)
{
	static const struct {
		const char *text;
		int r;
	} cases[] = {
		{ "", -EBADMSG },	  { "\n", -EBADMSG },	  { ".", -EBADMSG },
		{ "-", -EBADMSG },	  { "nan", -EBADMSG },	  { "inf", -EBADMSG },
		{ "0x10", -EBADMSG },	  { "1,5", -EBADMSG },	  { "1 2", -EBADMSG },
		{ "12 req/s", -EBADMSG }, { "1e", -EBADMSG },	  { "1e+", -EBADMSG },
		{ "1e37", -ERANGE },	  { "1e99999", -ERANGE }, { "1e99999999999", -EBADMSG },
	};

	(void)state;
	for (size_t i = 0; i < CB_ARRAY_SIZE(cases); i++) {
		double value = -1;

		assert_int_equal(cb_gauge_parse(cases[i].text, strlen(cases[i].text), &value),
				 cases[i].r);
		assert_true(value == -1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers),
		cmocka_unit_test(no_numbers),
	};

	return cmocka_run_group_tests_name("gauge", tests, NULL, NULL);
}
