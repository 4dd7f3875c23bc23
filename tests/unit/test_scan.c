/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The cursor, which reads nothing beyond its end, and the line of explanation. */
#include "cpubalance/scan.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cpubalance/err.h"

static struct cb_scan over(const char *text)
{
	return CB_SCAN(text, strlen(text));
}

static void unsigned_numbers(void **state)
{
	struct cb_scan s = over("18446744073709551615,18446744073709551616");
	uint64_t value = 7;

	(void)state;
	assert_true(cb_scan_u64(&s, &value));
	assert_true(value == UINT64_MAX);
	assert_false(cb_scan_u64(&s, &value)); /* at the comma */
	assert_true(cb_scan_char(&s, ','));
	assert_false(cb_scan_u64(&s, &value)); /* one too many */
	assert_true(value == UINT64_MAX);
	assert_int_equal(*s.p, '1'); /* not advanced */
	s = over("-1");
	assert_false(cb_scan_u64(&s, &value));
	s = over("");
	assert_false(cb_scan_u64(&s, &value));
	s = over("00000000000000000000000000042x");
	assert_true(cb_scan_u64(&s, &value));
	assert_true(value == 42);
	assert_true(cb_scan_char(&s, 'x'));
	assert_true(cb_scan_done(&s));
}

static void narrow_numbers(void **state)
{
	struct cb_scan s = over("4294967295 4294967296");
	uint32_t value = 0;

	(void)state;
	assert_true(cb_scan_u32(&s, &value));
	assert_true(value == UINT32_MAX);
	cb_scan_blanks(&s);
	assert_false(cb_scan_u32(&s, &value));
	assert_int_equal(s.end - s.p, 10);
}

static void signed_numbers(void **state)
{
	static const struct {
		const char *text;
		bool ok;
		int64_t value;
	} cases[] = {
		{ "0", true, 0 },
		{ "-0", true, 0 },
		{ "-1", true, -1 },
		{ "9223372036854775807", true, INT64_MAX },
		{ "-9223372036854775808", true, INT64_MIN },
		{ "9223372036854775808", false, 0 },
		{ "-9223372036854775809", false, 0 },
		{ "-", false, 0 },
		{ "--1", false, 0 },
		{ "+1", false, 0 },
		{ "", false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < CB_ARRAY_SIZE(cases); i++) {
		struct cb_scan s = over(cases[i].text);
		const char *start = s.p;
		int64_t value = 5;

		assert_int_equal(cb_scan_i64(&s, &value), cases[i].ok);
		if (cases[i].ok) {
			assert_true(value == cases[i].value);
			assert_true(cb_scan_done(&s));
		} else {
			assert_true(s.p == start && value == 5);
		}
	}
}

static void hex_numbers(void **state)
{
	struct cb_scan s = over("fFfFffffffffffff 10000000000000000");
	uint64_t value = 0;

	(void)state;
	assert_true(cb_scan_hex64(&s, &value));
	assert_true(value == UINT64_MAX);
	cb_scan_blanks(&s);
	assert_false(cb_scan_hex64(&s, &value));
	s = over("0x1");
	assert_true(cb_scan_hex64(&s, &value));
	assert_true(value == 0);
	assert_true(cb_scan_char(&s, 'x'));
}

static void words(void **state)
{
	struct cb_scan s = over("cpu12");
	uint64_t n;

	(void)state;
	assert_false(cb_scan_word(&s, "cpus"));
	assert_false(cb_scan_word(&s, "cpu123"));
	assert_true(cb_scan_word(&s, ""));
	assert_true(cb_scan_word(&s, "cpu"));
	assert_true(cb_scan_u64(&s, &n));
	assert_int_equal(n, 12);
	assert_true(cb_scan_done(&s));
	assert_false(cb_scan_char(&s, 0));
}

static void lines(void **state)
{
	struct cb_scan s = over("a\n\nb"), line;

	(void)state;
	assert_true(cb_scan_line(&s, &line));
	assert_int_equal(line.end - line.p, 1);
	assert_true(cb_scan_line(&s, &line));
	assert_true(cb_scan_done(&line));
	assert_true(cb_scan_line(&s, &line));
	assert_int_equal(*line.p, 'b');
	assert_false(cb_scan_line(&s, &line));
	s = over("a\n");
	assert_true(cb_scan_line(&s, &line));
	assert_false(cb_scan_line(&s, &line));
}

static void tokens(void **state)
{
	struct cb_scan s = over("ab \tc\nd");
	const char *token;
	size_t len;

	(void)state;
	assert_true(cb_scan_token(&s, &token, &len));
	assert_int_equal(len, 2);
	assert_false(cb_scan_token(&s, &token, &len)); /* at a blank */
	cb_scan_blanks(&s);
	assert_true(cb_scan_token(&s, &token, &len));
	assert_int_equal(*token, 'c');
	assert_int_equal(len, 1);
	cb_scan_blanks(&s);
	assert_false(cb_scan_token(&s, &token, &len)); /* at the newline */
}

/* A block of exactly the text's size: a sanitizer or valgrind sees a read beyond it. */
static void reads_nothing_beyond(void **state)
{
	static const char *const texts[] = { "1", "-", "-1", "f", "cpu", "a", " ", "\n" };

	(void)state;
	for (size_t i = 0; i < CB_ARRAY_SIZE(texts); i++) {
		size_t len = strlen(texts[i]);
		char *buf = malloc(len);
		struct cb_scan s, line;
		uint64_t u;
		uint32_t n;
		int64_t d;
		const char *token;

		assert_non_null(buf);
		memcpy(buf, texts[i], len);
		s = CB_SCAN(buf, len);
		(void)cb_scan_u64(&s, &u);
		s = CB_SCAN(buf, len);
		(void)cb_scan_u32(&s, &n);
		s = CB_SCAN(buf, len);
		(void)cb_scan_i64(&s, &d);
		s = CB_SCAN(buf, len);
		(void)cb_scan_hex64(&s, &u);
		s = CB_SCAN(buf, len);
		(void)cb_scan_word(&s, "cpu0");
		s = CB_SCAN(buf, len);
		(void)cb_scan_token(&s, &token, &len);
		s = CB_SCAN(buf, strlen(texts[i]));
		(void)cb_scan_line(&s, &line);
		cb_scan_blanks(&line);
		cb_scan_blanks(&s);
		(void)cb_scan_char(&s, 'x');
		free(buf);
	}
}

static void explanation(void **state)
{
	struct cb_err err = { "" };
	char longer[2 * CB_ERR_MSG_MAX];

	(void)state;
	assert_int_equal(cb_err_set(NULL, -EINVAL, "%s", "x"), -EINVAL);
	assert_int_equal(cb_err_prefix(NULL, -EINVAL, "%s", "x"), -EINVAL);
	assert_int_equal(cb_err_set(&err, -ERANGE, "bad\n%d\x1b", 4), -ERANGE);
	assert_string_equal(err.msg, "bad?4?");
	assert_int_equal(cb_err_prefix(&err, -ERANGE, "%s:%d: ", "file", 3), -ERANGE);
	assert_string_equal(err.msg, "file:3: bad?4?");

	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = 0;
	cb_err_set(&err, -1, "%s", longer);
	assert_int_equal(strlen(err.msg), CB_ERR_MSG_MAX - 1);
	cb_err_prefix(&err, -1, "front: ");
	assert_int_equal(strlen(err.msg), CB_ERR_MSG_MAX - 1);
	assert_memory_equal(err.msg, "front: xxx", 10);
	cb_err_prefix(&err, -1, "%s", longer);
	assert_int_equal(strlen(err.msg), CB_ERR_MSG_MAX - 1);
	assert_memory_equal(err.msg, "xxx", 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unsigned_numbers),
		cmocka_unit_test(narrow_numbers),
		cmocka_unit_test(signed_numbers),
		cmocka_unit_test(hex_numbers),
		cmocka_unit_test(words),
		cmocka_unit_test(lines),
		cmocka_unit_test(tokens),
		cmocka_unit_test(reads_nothing_beyond),
		cmocka_unit_test(explanation),
	};

	return cmocka_run_group_tests_name("scan", tests, NULL, NULL);
}
