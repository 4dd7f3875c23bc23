/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* proc/PID/stat, schedstat, status: names that try to look like fields, and files that are cut. */
#include "sources_test.h"

#include <errno.h>

#define FIELDS_5_TO_39 " 1 1 0 -1 64 0 0 0 0 8 9 0 0 20 0 3 0 55 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 17 2"

static int parse_stat(const char *string, struct cb_task_stat *ret)
{
	AUTO_TEXT text = TEXT(string);

	return cb_task_stat_parse(text.buf, text.len, ret);
}

static void stat_fields(void **state)
{
	AUTO_TEXT text = text_of_file(FIXTURES "task-stat");
	struct cb_task_stat stat;

	(void)state;
	assert_int_equal(cb_task_stat_parse(text.buf, text.len, &stat), 0);
	assert_int_equal(stat.pid, 4711);
	assert_string_equal(stat.comm, "a) b (c)");
	assert_int_equal(stat.state, 'S');
	assert_int_equal(stat.ppid, 17);
	assert_int_equal(stat.flags, 4194560);
	assert_int_equal(stat.utime_ticks, 250);
	assert_int_equal(stat.stime_ticks, 31);
	assert_int_equal(stat.n_threads, 7);
	assert_int_equal(stat.start_ticks, 100312);
	assert_int_equal(stat.last_cpu, 3);
}

static void stat_names(void **state)
{
	static const char *const names[][2] = {
		{ "", "" },
		{ ")", ")" },
		{ ") R 1 (", ") R 1 (" },
		{ "two\nlines", "two?lines" },
		{ "kworker/u8:3-events_unbound", "kworker/u8:3-ev" },
		{ "\303\244\303\266\303\274", "\303\244\303\266\303\274" },
		{ "cut \303", "cut ?" }, /* the kernel cuts at 15 bytes, not at characters */
		{ "\033[31mred", "?[31mred" },
	};

	(void)state;
	for (size_t i = 0; i < CB_ARRAY_SIZE(names); i++) {
		struct cb_task_stat stat;
		char string[256];

		snprintf(string, sizeof(string), "7 (%s) R 1" FIELDS_5_TO_39 "\n", names[i][0]);
		assert_int_equal(parse_stat(string, &stat), 0);
		assert_string_equal(stat.comm, names[i][1]);
		assert_int_equal(stat.state, 'R');
		assert_int_equal(stat.last_cpu, 2);
	}
}

static void stat_cut_short(void **state)
{
	AUTO_TEXT whole = text_of_file(FIXTURES "task-stat");
	const char *end = strstr(whole.buf, " 17 3 ") + strlen(" 17 3 ");

	(void)state;
	for (size_t len = 0; len < whole.len; len++) {
		AUTO_TEXT part = text_of(whole.buf, len);
		struct cb_task_stat stat = { .pid = -5 };
		int r = cb_task_stat_parse(part.buf, part.len, &stat);

		assert_int_equal(r, whole.buf + len < end ? -EBADMSG : 0);
		assert_int_equal(stat.pid, r < 0 ? -5 : 4711);
	}
}

static void stat_no_file_of_the_kernel(void **state)
{
	static const struct {
		const char *text;
		int r;
	} cases[] = {
		{ "", -EBADMSG },
		{ "x (a) R 1" FIELDS_5_TO_39 "\n", -EBADMSG },
		{ "7 a R 1" FIELDS_5_TO_39 "\n", -EBADMSG },
		{ "7 (a R 1" FIELDS_5_TO_39 "\n", -EBADMSG },
		{ ") 7 (a R 1" FIELDS_5_TO_39 "\n", -EBADMSG },
		{ "7 )a( R 1" FIELDS_5_TO_39 "\n", -EBADMSG },
		{ "7 (a)R 1" FIELDS_5_TO_39 "\n", -EBADMSG },
		{ "7 (a)  1" FIELDS_5_TO_39 "\n", -EBADMSG },
		{ "7 (a) RR 1" FIELDS_5_TO_39 "\n", -EBADMSG },
		{ "7 (a) R -1" FIELDS_5_TO_39 "\n", -EBADMSG },
		{ "2147483648 (a) R 1" FIELDS_5_TO_39 "\n", -ERANGE },
		{ "7 (a) R 2147483648" FIELDS_5_TO_39 "\n", -ERANGE },
		{ "7 (a) R 1" FIELDS_5_TO_39 "99999\n", -ERANGE },
		{ "7 (a) R 1" FIELDS_5_TO_39 "x\n", -EBADMSG },
		{ "7 (a) R 1" FIELDS_5_TO_39, -EBADMSG },
		{ "7 (a) R 1" FIELDS_5_TO_39 "\n", 0 },
	};

	(void)state;
	for (size_t i = 0; i < CB_ARRAY_SIZE(cases); i++) {
		struct cb_task_stat stat;
		int r = parse_stat(cases[i].text, &stat);

		if (r != cases[i].r)
			fail_msg("case %zu: %d, not %d: %s", i, r, cases[i].r, cases[i].text);
	}
}

static void schedstat(void **state)
{
	static const struct {
		const char *text;
		int r;
	} cases[] = {
		{ "1018935 88250 2\n", 0 },
		{ "1018935 88250 2 new\n", 0 },
		{ "1018935 88250 2", -EBADMSG },
		{ "1018935 88250\n", -EBADMSG },
		{ "1018935 88250 2x\n", -EBADMSG },
		{ "1018935 -1 2\n", -EBADMSG },
		{ "18446744073709551616 1 2\n", -ERANGE },
		{ "", -EBADMSG },
	};

	(void)state;
	for (size_t i = 0; i < CB_ARRAY_SIZE(cases); i++) {
		AUTO_TEXT text = TEXT(cases[i].text);
		struct cb_schedstat got = { .cpu_nsec = 5 };

		assert_int_equal(cb_schedstat_parse(text.buf, text.len, &got), cases[i].r);
		assert_int_equal(got.cpu_nsec, cases[i].r ? 5 : 1018935);
		assert_int_equal(got.wait_nsec, cases[i].r ? 0 : 88250);
		assert_int_equal(got.timeslices, cases[i].r ? 0 : 2);
	}
}

static void status_fields(void **state)
{
	AUTO_TEXT text = text_of_file(FIXTURES "task-status");
	struct cb_task_status status;
	char list[64];

	(void)state;
	assert_int_equal(cb_task_status_parse(text.buf, text.len, &status), 0);
	assert_int_equal(status.tgid, 4711);
	assert_int_equal(status.ppid, 17);
	assert_int_equal(status.uid, 33);
	assert_int_equal(status.n_threads, 7);
	assert_int_equal(status.vol_switches, 1775);
	assert_int_equal(status.invol_switches, 12);
	assert_true(cb_cpuset_format_list(&status.allowed, list, sizeof(list)) > 0);
	assert_string_equal(list, "0-2,5");
	for (size_t len = 0; len < text.len; len++) {
		AUTO_TEXT part = text_of(text.buf, len);

		assert_int_equal(cb_task_status_parse(part.buf, part.len, &status), -EBADMSG);
	}
}

/* Each line of the fixture that is used: damaged, missing, twice. */
static void status_damaged(void **state)
{
	static const struct {
		const char *line, *instead;
		int r;
	} cases[] = {
		{ "Tgid:\t4711\n", "", -EBADMSG },
		{ "Tgid:\t4711\n", "Tgid:\t1\nTgid:\t1\n", -EBADMSG },
		{ "Tgid:\t4711\n", "Tgid:\t2147483648\n", -ERANGE },
		{ "PPid:\t17\n", "PPid:\t-17\n", -EBADMSG },
		{ "Uid:\t33\t0\t33\t33\n", "Uid:\n", -EBADMSG },
		{ "Uid:\t33\t0\t33\t33\n", "Uid:\t4294967295\n", 0 },
		{ "Threads:\t7\n", "Threads:\t7x\n", -EBADMSG },
		{ "Cpus_allowed_list:\t0-2,5\n", "Cpus_allowed_list:\t2-0\n", -EBADMSG },
		{ "Cpus_allowed_list:\t0-2,5\n", "Cpus_allowed_list:\t4096\n", -ERANGE },
		{ "Cpus_allowed_list:\t0-2,5\n", "", -EBADMSG },
		{ "voluntary_ctxt_switches:\t1775\n",
		  "voluntary_ctxt_switches:\t18446744073709551616\n", -ERANGE },
		{ "SigQ:\t0/96365\n", "A line of a later kernel\n", 0 },
	};
	AUTO_TEXT text = text_of_file(FIXTURES "task-status");

	(void)state;
	for (size_t i = 0; i < CB_ARRAY_SIZE(cases); i++) {
		struct cb_task_status status = { .tgid = -5 };
		char string[2048], *at, *rest;
		int r;

		snprintf(string, sizeof(string), "%.*s", (int)text.len, text.buf);
		at = strstr(string, cases[i].line);
		assert_non_null(at);
		rest = strdup(at + strlen(cases[i].line));
		assert_non_null(rest);
		snprintf(at, sizeof(string) - (size_t)(at - string), "%s%s", cases[i].instead,
			 rest);
		free(rest);
		r = cb_task_status_parse(string, strlen(string), &status);
		if (r != cases[i].r)
			fail_msg("case %zu: %d, not %d", i, r, cases[i].r);
		assert_int_equal(status.tgid, r < 0 ? -5 : 4711);
	}
}

static void command_line(const char *buf, size_t len, size_t size, const char *expected)
{
	char text[64];

	assert_true(size <= sizeof(text));
	assert_int_equal(cb_cmdline_parse(buf, len, text, size), strlen(expected));
	assert_string_equal(text, expected);
}

static void command_lines(void **state)
{
	(void)state;
	command_line("nginx\0-g\0daemon off;\0", 21, 64, "nginx -g daemon off;");
	command_line("a", 1, 64, "a");
	command_line("a\0\0b\0", 5, 64, "a  b");
	command_line("", 0, 64, "");
	command_line("\0\0", 2, 64, "");
	command_line("a\n\033[31m\0\377", 9, 64, "a??[31m ?");
	/* what has no room is left out, whole characters of it */
	command_line("abc\0def\0", 8, 6, "abc d");
	command_line("abc\0def\0", 8, 5, "abc ");
	command_line("abc\0def\0", 8, 4, "abc");
	command_line("a\303\244\0", 4, 3, "a");
	command_line("a", 1, 1, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(stat_fields),	  cmocka_unit_test(stat_names),
		cmocka_unit_test(stat_cut_short), cmocka_unit_test(stat_no_file_of_the_kernel),
		cmocka_unit_test(schedstat),	  cmocka_unit_test(status_fields),
		cmocka_unit_test(status_damaged), cmocka_unit_test(command_lines),
	};

	return cmocka_run_group_tests_name("task", tests, NULL, NULL);
}
