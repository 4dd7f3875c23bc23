/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Sets of CPU numbers: algebra at word borders, both text formats, limits, and random round trips. */
#include "cpubalance/cpuset.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct cb_cpuset list(const char *text)
{
	struct cb_cpuset set;

	assert_int_equal(cb_cpuset_parse_list(text, strlen(text), &set), 0);
	return set;
}

static const char *text_of(const struct cb_cpuset *set)
{
	static char buf[CB_CPULIST_MAX];

	assert_true(cb_cpuset_format_list(set, buf, sizeof(buf)) >= 0);
	return buf;
}

static void assert_list(const char *text, const char *expected)
{
	struct cb_cpuset set = list(text);

	assert_string_equal(text_of(&set), expected);
}

static int parse_list(const char *text)
{
	struct cb_cpuset set = cb_cpuset_of(7);
	int r = cb_cpuset_parse_list(text, strlen(text), &set);

	if (r < 0)
		assert_string_equal(text_of(&set), "7"); /* untouched */
	return r;
}

static int parse_mask(const char *text, const char *expected)
{
	struct cb_cpuset set = cb_cpuset_of(7);
	int r = cb_cpuset_parse_mask(text, strlen(text), &set);

	assert_string_equal(text_of(&set), r < 0 ? "7" : expected);
	return r;
}

static void members(void **state)
{
	static const unsigned int cpus[] = { 0, 1, 31, 32, 63, 64, 127, 128, CB_CPUS_MAX - 1 };
	struct cb_cpuset set = CB_CPUSET_EMPTY;

	(void)state;
	assert_true(cb_cpuset_empty(&set));
	for (size_t i = 0; i < CB_ARRAY_SIZE(cpus); i++) {
		assert_false(cb_cpuset_has(&set, cpus[i]));
		cb_cpuset_set(&set, cpus[i]);
		assert_true(cb_cpuset_has(&set, cpus[i]));
		assert_int_equal(cb_cpuset_count(&set), i + 1);
	}
	assert_false(cb_cpuset_has(&set, CB_CPUS_MAX));
	assert_false(cb_cpuset_has(&set, UINT32_MAX));
	for (size_t i = 0; i < CB_ARRAY_SIZE(cpus); i++)
		cb_cpuset_clear(&set, cpus[i]);
	cb_cpuset_clear(&set, CB_CPUS_MAX);
	assert_true(cb_cpuset_empty(&set));
}

static void ranges(void **state)
{
	static const unsigned int borders[] = { 0, 1, 62, 63, 64, 65, 127, 128, CB_CPUS_MAX - 1 };

	(void)state;
	for (size_t i = 0; i < CB_ARRAY_SIZE(borders); i++)
		for (size_t j = i; j < CB_ARRAY_SIZE(borders); j++) {
			struct cb_cpuset set = CB_CPUSET_EMPTY;

			cb_cpuset_set_range(&set, borders[i], borders[j]);
			assert_int_equal(cb_cpuset_count(&set), borders[j] - borders[i] + 1);
			assert_int_equal(cb_cpuset_first(&set), borders[i]);
			assert_true(cb_cpuset_has(&set, borders[j]));
			assert_false(cb_cpuset_has(&set, borders[j] + 1));
		}
}

static void algebra(void **state)
{
	struct cb_cpuset a = list("0-63,100"), b = list("63-64,100,4095"), set;

	(void)state;
	set = cb_cpuset_and(&a, &b);
	assert_string_equal(text_of(&set), "63,100");
	set = cb_cpuset_or(&a, &b);
	assert_string_equal(text_of(&set), "0-64,100,4095");
	set = cb_cpuset_andnot(&b, &a);
	assert_string_equal(text_of(&set), "64,4095");
	assert_true(cb_cpuset_intersects(&a, &b));
	assert_false(cb_cpuset_intersects(&a, &set));
	assert_true(cb_cpuset_subset(&set, &b));
	assert_false(cb_cpuset_subset(&b, &set));
	assert_true(cb_cpuset_subset(&CB_CPUSET_EMPTY, &set));
	assert_true(cb_cpuset_equal(&a, &a));
	assert_false(cb_cpuset_equal(&a, &b));
}

static void iteration(void **state)
{
	struct cb_cpuset set = list("0,63-64,1000,4095");
	static const unsigned int expected[] = { 0, 63, 64, 1000, 4095 };
	size_t n = 0;

	(void)state;
	CB_CPUSET_FOREACH(cpu, &set) {
		assert_true(n < CB_ARRAY_SIZE(expected));
		assert_int_equal(cpu, expected[n++]);
	}
	assert_int_equal(n, CB_ARRAY_SIZE(expected));
	assert_int_equal(cb_cpuset_next(&set, 65), 1000);
	assert_int_equal(cb_cpuset_next(&set, CB_CPUS_MAX), CB_CPUS_MAX);
	assert_int_equal(cb_cpuset_first(&CB_CPUSET_EMPTY), CB_CPUS_MAX);
}

static void list_accepts(void **state)
{
	struct cb_cpuset set;

	(void)state;
	assert_list("", "");
	assert_list("\n", "");
	assert_list("0", "0");
	assert_list("0-3,8,10-11\n", "0-3,8,10-11");
	assert_list("  0-1\t\n", "0-1");
	assert_list("8,0-3,2-9", "0-9");
	assert_list("0-4095", "0-4095");
	assert_list("007", "7");
	assert_int_equal(cb_cpuset_parse_list("1-2\n", 5, &set), 0); /* with its NUL */
	assert_int_equal(cb_cpuset_parse_list("1,2garbage", 3, &set), 0);
	assert_string_equal(text_of(&set), "1-2");
}

static void list_refuses(void **state)
{
	static const char *const malformed[] = {
		"3-1", "a",	"1,",	 ",1", "1,,2", "1-",	   "-1",  "1--2", "1 2",
		"0x1", "1-2-3", "1\n\n", "+1", "1-a",  "0-31:2/4", "all", "1;2",  "1\n2",
	};
	static const char *const big[] = { "4096", "0-4096", "18446744073709551616",
					   "1,99999999999999999999-2" };

	(void)state;
	for (size_t i = 0; i < CB_ARRAY_SIZE(malformed); i++)
		assert_int_equal(parse_list(malformed[i]), -EINVAL);
	for (size_t i = 0; i < CB_ARRAY_SIZE(big); i++)
		assert_int_equal(parse_list(big[i]), -ERANGE);
}

static void mask_accepts(void **state)
{
	(void)state;
	assert_int_equal(parse_mask("f\n", "0-3"), 0);
	assert_int_equal(parse_mask("0", ""), 0);
	assert_int_equal(parse_mask("00000000,0000000f", "0-3"), 0);
	assert_int_equal(parse_mask("80000000,00000001,00000000", "32,95"), 0);
	assert_int_equal(parse_mask(" 3,FFFFFFFF\n", "0-33"), 0);
}

static void mask_refuses(void **state)
{
	static const char *const malformed[] = {
		"",	      "\n", ",",   "f,",  ",0000000f",		"0000000f,f",
		"000000000f", "g",  "0xf", "f f", "ffffffffffffffffff",
	};
	char wide[9 * 129 + 1];

	(void)state;
	for (size_t i = 0; i < CB_ARRAY_SIZE(malformed); i++)
		assert_int_equal(parse_mask(malformed[i], ""), -EINVAL);
	/* 129 words: one too many, unless it is zero. */
	for (size_t i = 0; i < 129; i++)
		memcpy(wide + 9 * i, "00000000,", 9);
	wide[9 * 129 - 1] = 0;
	wide[9 + 0] = '8';
	assert_int_equal(parse_mask(wide, "4095"), 0);
	wide[7] = '1';
	assert_int_equal(parse_mask(wide, ""), -ERANGE);
}

static void longest_list(void **state)
{
	struct cb_cpuset set = CB_CPUSET_EMPTY, back;
	char buf[CB_CPULIST_MAX];
	int len;

	(void)state;
	for (unsigned int cpu = 0; cpu < CB_CPUS_MAX; cpu++)
		if (cpu % 3 != 2)
			cb_cpuset_set(&set, cpu);
	len = cb_cpuset_format_list(&set, buf, sizeof(buf));
	assert_true(len > 0);
	assert_int_equal(cb_cpuset_parse_list(buf, (size_t)len, &back), 0);
	assert_true(cb_cpuset_equal(&set, &back));
	set = CB_CPUSET_EMPTY;
	for (unsigned int cpu = 0; cpu < CB_CPUS_MAX; cpu += 2)
		cb_cpuset_set(&set, cpu);
	assert_true(cb_cpuset_format_list(&set, buf, sizeof(buf)) > 0);
}

static void too_small(void **state)
{
	struct cb_cpuset set = list("0-3,8");
	char buf[8] = "xxxxxxx";

	(void)state;
	assert_int_equal(cb_cpuset_format_list(&set, buf, 5), -ENOSPC);
	assert_string_equal(buf, "");
	assert_int_equal(cb_cpuset_format_list(&set, buf, 6), 5);
	assert_string_equal(buf, "0-3,8");
	assert_int_equal(cb_cpuset_format_list(&set, buf, 0), -ENOSPC);
	assert_int_equal(cb_cpuset_format_list(&CB_CPUSET_EMPTY, buf, 1), 0);
}

static void shown(void **state)
{
	struct cb_cpuset set = list("0-3,8,10,12,14");
	char buf[32];

	(void)state;
	assert_string_equal(cb_cpuset_show(&set, buf, sizeof(buf)), "0-3,8,10,12,14");
	assert_string_equal(cb_cpuset_show(&set, buf, 15), "0-3,8,10,12,14");
	assert_string_equal(cb_cpuset_show(&set, buf, 14), "0-3,8,10,...");
	assert_string_equal(cb_cpuset_show(&set, buf, 8), "0-3,...");
	assert_string_equal(cb_cpuset_show(&set, buf, 7), "...");
	assert_string_equal(cb_cpuset_show(&set, buf, 3), "..");
	assert_string_equal(cb_cpuset_show(&set, buf, 1), "");
}

/* Sparse, dense and clustered sets, formatted and parsed back in both formats. */
static void round_trips(void **state)
{
	char buf[CB_CPULIST_MAX], mask[9 * 128 + 1];

	(void)state;
	srand(1);
	for (int i = 0; i < 300; i++) {
		struct cb_cpuset set = CB_CPUSET_EMPTY, back;
		unsigned int limit = (unsigned int)(1 + rand() % (int)CB_CPUS_MAX);
		int len, density = 1 + rand() % 100;

		for (unsigned int cpu = 0; cpu < limit; cpu++)
			if (rand() % 100 < density)
				cb_cpuset_set(&set, cpu);
		len = cb_cpuset_format_list(&set, buf, sizeof(buf));
		assert_true(len >= 0);
		assert_int_equal(cb_cpuset_parse_list(buf, (size_t)len, &back), 0);
		assert_true(cb_cpuset_equal(&set, &back));
		for (unsigned int word = 0; word < 128; word++)
			snprintf(mask + 9 * word, 10, "%08x%s",
				 (unsigned int)(set.word[(127 - word) / 2] >>
							((127 - word) % 2 * 32) &
						UINT32_MAX),
				 word < 127 ? "," : "");
		assert_int_equal(cb_cpuset_parse_mask(mask, strlen(mask), &back), 0);
		assert_true(cb_cpuset_equal(&set, &back));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(members),	cmocka_unit_test(ranges),
		cmocka_unit_test(algebra),	cmocka_unit_test(iteration),
		cmocka_unit_test(list_accepts), cmocka_unit_test(list_refuses),
		cmocka_unit_test(mask_accepts), cmocka_unit_test(mask_refuses),
		cmocka_unit_test(longest_list), cmocka_unit_test(too_small),
		cmocka_unit_test(shown),	cmocka_unit_test(round_trips),
	};

	return cmocka_run_group_tests_name("cpuset", tests, NULL, NULL);
}
