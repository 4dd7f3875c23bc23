/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The small text files: proc/PID/net/snmp, proc/PID/cgroup, sysfs attributes, PIDFile=. */
#include "sources_test.h"

#include <errno.h>

#define TCP "Tcp: MaxConn InSegs OutSegs\nTcp: -1 10 20\n"
#define UDP "Udp: InDatagrams OutDatagrams\nUdp: 1 2\n"

static void snmp(void **state)
{
	AUTO_TEXT text = text_of_file(FIXTURES "snmp");
	uint64_t packets = 0;

	(void)state;
	assert_int_equal(cb_snmp_parse(text.buf, text.len, &packets), 0);
	assert_int_equal(packets, 2366 + 1432 + 65 + 66);
	for (size_t len = 0; len < text.len; len++) {
		AUTO_TEXT part = text_of(text.buf, len);
		int r = cb_snmp_parse(part.buf, part.len, &packets);

		assert_true(r == -EBADMSG ||
			    (r == 0 && len > 0 && part.buf[len - 1] == '\n' && packets == 3929));
	}
}

static void snmp_damaged(void **state)
{
	static const struct {
		const char *text;
		int r;
	} cases[] = {
		{ TCP UDP, 0 },
		{ UDP TCP "Later: a\nLater: 1\n", 0 },
		{ "Tcp: OutSegs New InSegs\nTcp: 10 x 20 30\n" UDP, 0 },
		{ "", -EBADMSG },
		{ TCP, -EBADMSG },
		{ UDP, -EBADMSG },
		{ TCP TCP UDP, -EBADMSG },
		{ TCP "Udp: InDatagrams OutDatagrams\n", -EBADMSG },
		{ TCP "Udp: InDatagrams OutDatagrams\nTcp: 1 2\n", -EBADMSG },
		{ TCP "Udp: InDatagrams OutDatagrams\nUdp: 1\n", -EBADMSG },
		{ TCP "Udp: InDatagrams OutDatagrams\nUdp: 1 -2\n", -EBADMSG },
		{ TCP "Udp: InDatagrams OutDatagrams\nUdp: 1 18446744073709551616\n", -ERANGE },
		{ TCP "Udp: InDatagrams OutDatagrams\nUdp: 1 18446744073709551615\n", -ERANGE },
	};

	(void)state;
	for (size_t i = 0; i < CB_ARRAY_SIZE(cases); i++) {
		AUTO_TEXT text = TEXT(cases[i].text);
		uint64_t packets = 5;
		int r = cb_snmp_parse(text.buf, text.len, &packets);

		if (r != cases[i].r)
			fail_msg("case %zu: %d, not %d: %s", i, r, cases[i].r, cases[i].text);
		assert_int_equal(packets, r < 0 ? 5 : 33);
	}
}

/* Columns are the possible CPUs, which may have holes. */
static void counts_per_cpu(void **state)
{
	static const struct {
		const char *text;
		int r;
	} cases[] = {
		{ "1,0,3\n", 0 },
		{ "1,0,3", 0 },
		{ "1,0,3\n", 0 },
		{ "1\n", 0 },
		{ "1,0,3,4\n", -EBADMSG }, /* nobody knows whose the fourth is */
		{ "", -EBADMSG },
		{ "\n", -EBADMSG },
		{ "1,\n", -EBADMSG },
		{ ",1\n", -EBADMSG },
		{ "1 2\n", -EBADMSG },
		{ "1,-2\n", -EBADMSG },
		{ "18446744073709551616\n", -ERANGE },
	};
	struct cb_cpuset possible = CB_CPUSET_EMPTY;
	uint64_t count[5];

	(void)state;
	cb_cpuset_set_range(&possible, 0, 1);
	cb_cpuset_set(&possible, 4);
	for (size_t i = 0; i < CB_ARRAY_SIZE(cases); i++) {
		AUTO_TEXT text = TEXT(cases[i].text);

		assert_int_equal(cb_sysfs_counts_parse(text.buf, text.len, &possible, count, 5),
				 cases[i].r);
		if (cases[i].r == 0)
			assert_int_equal(count[0], 1);
		if (cases[i].r == 0)
			assert_int_equal(count[4], i < 3 ? 3 : 0);
	}
	assert_int_equal(cb_sysfs_counts_parse("7,8,9\n", 6, &possible, count, 1), 0);
	assert_int_equal(count[0], 7);
}

static void sysfs_number(void **state)
{
	static const struct {
		const char *text;
		size_t len;
		int r;
		int64_t value;
	} cases[] = {
		{ "0\n", 2, 0, 0 },
		{ "-1\n", 3, 0, -1 },
		{ "1024", 4, 0, 1024 },
		{ " 7 \n\0", 5, 0, 7 },
		{ "9223372036854775807\n", 20, 0, INT64_MAX },
		{ "-9223372036854775808\n", 21, 0, INT64_MIN },
		{ "9223372036854775808\n", 20, -ERANGE, 0 },
		{ "", 0, -EBADMSG, 0 },
		{ "\n", 1, -EBADMSG, 0 },
		{ "-\n", 2, -EBADMSG, 0 },
		{ "+1\n", 3, -EBADMSG, 0 },
		{ "1 2\n", 4, -EBADMSG, 0 },
		{ "0x1\n", 4, -EBADMSG, 0 },
	};

	(void)state;
	for (size_t i = 0; i < CB_ARRAY_SIZE(cases); i++) {
		AUTO_TEXT text = text_of(cases[i].text, cases[i].len);
		int64_t value = 99;

		assert_int_equal(cb_sysfs_i64_parse(text.buf, text.len, &value), cases[i].r);
		assert_int_equal(value, cases[i].r ? 99 : cases[i].value);
	}
}

static void sysfs_text(void **state)
{
	static const struct {
		const char *text;
		size_t size;
		const char *shown;
	} cases[] = {
		{ "virtio2-input.0\n", 64, "virtio2-input.0" },
		{ "no newline", 64, "no newline" },
		{ "first\nsecond\n", 64, "first" },
		{ "shortened", 6, "short" },
		{ "tab\tesc\033del\177", 64, "tab?esc?del?" },
		{ "\302\205\302\240", 64, "?\302\240" }, /* C1; a no-break space is text */
		{ "\342\202\254\360\237\230\200", 64, "\342\202\254\360\237\230\200" },
		{ "a\342\202\254", 4, "a" }, /* no room for the whole character */
		{ "\300\200\340\200\200\355\240\200\364\220\200\200\377", 64, "?????????????" },
		{ "\360\200\200\200\342\202", 64, "??????" },
		{ "", 64, "" },
		{ "x", 1, "" },
	};
	char shown[64];

	(void)state;
	for (size_t i = 0; i < CB_ARRAY_SIZE(cases); i++) {
		AUTO_TEXT text = TEXT(cases[i].text);

		assert_int_equal(cb_sysfs_text_parse(text.buf, text.len, shown, cases[i].size),
				 strlen(cases[i].shown));
		assert_string_equal(shown, cases[i].shown);
	}
	shown[0] = 'x';
	assert_int_equal(cb_sysfs_text_parse("abc", 3, shown, 0), 0);
	assert_int_equal(shown[0], 'x');
	assert_int_equal(cb_sysfs_text_parse("ab\0c\n", 5, shown, sizeof(shown)), 2);
}

static void sysfs_cpulist(void **state)
{
	static const struct {
		const char *text;
		size_t len;
		int r;
		unsigned int count;
	} cases[] = {
		{ "0-3,8\n", 6, 0, 5 },
		{ "\n", 1, 0, 0 },
		{ "", 0, 0, 0 },
		{ "(null)\n", 7, 0, 0 },
		{ " (null)", 7, 0, 0 },
		{ "0-1\n\0", 5, 0, 2 },
		{ "(null)x\n", 8, -EBADMSG, 0 },
		{ "3-1\n", 4, -EBADMSG, 0 },
		{ "4096\n", 5, -ERANGE, 0 },
	};

	(void)state;
	for (size_t i = 0; i < CB_ARRAY_SIZE(cases); i++) {
		AUTO_TEXT text = text_of(cases[i].text, cases[i].len);
		struct cb_cpuset set = cb_cpuset_of(77);

		assert_int_equal(cb_sysfs_cpulist_parse(text.buf, text.len, &set), cases[i].r);
		assert_int_equal(cb_cpuset_count(&set), cases[i].r ? 1 : cases[i].count);
	}
}

static void cgroup(void **state)
{
	static const struct {
		const char *controller;
		int r;
		const char *path;
	} cases[] = {
		{ NULL, 0, "/system.slice/web.service" },
		{ "cpuset", 0, "/pool/a:b" },
		{ "cpu", 0, "/batch" },
		{ "cpuacct", 0, "/batch" },
		{ "cpu2", 0, "/no" },
		{ "name=systemd", 0, "/system.slice/web.service" },
		{ "memory", -ENOENT, "" },
		{ "", -ENOENT, "" },
	};
	AUTO_TEXT text = text_of_file(FIXTURES "cgroup-v1");
	char path[64];

	(void)state;
	for (size_t i = 0; i < CB_ARRAY_SIZE(cases); i++) {
		path[0] = '\0';
		assert_int_equal(cb_cgroup_parse(text.buf, text.len, cases[i].controller, path,
						 sizeof(path)),
				 cases[i].r);
		assert_string_equal(path, cases[i].path);
	}
	assert_int_equal(cb_cgroup_parse(text.buf, text.len, NULL, path, 25), -E2BIG);
	assert_int_equal(cb_cgroup_parse(text.buf, text.len, NULL, path, 26), 0);
	assert_int_equal(cb_cgroup_parse(text.buf, text.len, NULL, path, 0), -E2BIG);
}

static void cgroup_damaged(void **state)
{
	static const struct {
		const char *text;
		int r;
	} cases[] = {
		{ "0::/\n", 0 },	  { "0::/..\n", 0 }, /* seen from another cgroup namespace */
		{ "1:cpu:/\n", -ENOENT }, { "", -EBADMSG },	 { "0::/", -EBADMSG },
		{ "\n", -EBADMSG },	  { "0::\n", -EBADMSG }, { "0::x\n", -EBADMSG },
		{ "x::/\n", -EBADMSG },	  { "0:/\n", -EBADMSG }, { "0::/a\n0::/b\n", -EBADMSG },
	};

	(void)state;
	for (size_t i = 0; i < CB_ARRAY_SIZE(cases); i++) {
		AUTO_TEXT text = TEXT(cases[i].text);
		char path[64] = "";
		int r = cb_cgroup_parse(text.buf, text.len, NULL, path, sizeof(path));

		if (r != cases[i].r)
			fail_msg("case %zu: %d, not %d: %s", i, r, cases[i].r, cases[i].text);
	}
	assert_int_equal(cb_cgroup_parse("0::/a\0b\n", 8, NULL, (char[64]){ 0 }, 64), -EBADMSG);
}

static void pidfile(void **state)
{
	static const struct {
		const char *text;
		int r;
		uint32_t n_or_line;
	} cases[] = {
		{ "", 0, 0 },
		{ "17\n", 0, 1 },
		{ "17", 0, 1 },
		{ "# workers\n\n \t17 # first\r\n18\t\n4194303\n", 0, 3 },
		{ "17\n18\n19\n20\n", 0, 4 },
		{ "17\n18\n19\n20\n21\n", -E2BIG, 5 },
		{ "17\n18 19\n", -EBADMSG, 2 },
		{ "17\n\n17\n", -EBADMSG, 3 },
		{ "0\n", -EBADMSG, 1 },
		{ "-1\n", -EBADMSG, 1 },
		{ "4194304\n", -EBADMSG, 1 },
		{ "99999999999999999999\n", -EBADMSG, 1 },
		{ "17\nnginx\n", -EBADMSG, 2 },
		{ "17#\n", 0, 1 },
		{ "17x\n", -EBADMSG, 1 },
	};

	(void)state;
	for (size_t i = 0; i < CB_ARRAY_SIZE(cases); i++) {
		AUTO_TEXT text = TEXT(cases[i].text);
		int32_t pids[4];
		size_t n = 99;
		uint32_t line = 99;
		int r = cb_pidfile_parse(text.buf, text.len, pids, CB_ARRAY_SIZE(pids), &n, &line);

		if (r != cases[i].r)
			fail_msg("case %zu: %d, not %d: %s", i, r, cases[i].r, cases[i].text);
		assert_int_equal(r < 0 ? line : n, cases[i].n_or_line);
		if (r < 0)
			assert_int_equal(n, 99);
		else if (n > 0)
			assert_int_equal(pids[0], 17);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(snmp),		  cmocka_unit_test(snmp_damaged),
		cmocka_unit_test(counts_per_cpu), cmocka_unit_test(sysfs_number),
		cmocka_unit_test(sysfs_text),	  cmocka_unit_test(sysfs_cpulist),
		cmocka_unit_test(cgroup),	  cmocka_unit_test(cgroup_damaged),
		cmocka_unit_test(pidfile),
	};

	return cmocka_run_group_tests_name("small files", tests, NULL, NULL);
}
