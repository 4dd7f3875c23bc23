/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* proc/net/softnet_stat: hex, with and without the CPU's number. */
#include "sources_test.h"

#include <errno.h>

#define NINE "00000010 0000000f 00000001 00000000 00000000 00000000 00000000 00000000 00000000"

static int parse(const char *string, struct cb_cpuset online, struct cb_snapshot *snapshot)
{
	AUTO_TEXT text = TEXT(string);

	return cb_softnet_parse(text.buf, text.len, &online, snapshot);
}

static void with_numbers(void **state)
{
	AUTO_TEXT text = text_of_file(FIXTURES "softnet-3cpu-hole");
	struct cb_cpuset online = CB_CPUSET_EMPTY;
	AUTO_SNAPSHOT snapshot;

	(void)state;
	snapshot_make(&snapshot, 3, 0);
	snapshot.cpu[1].present = CB_CPU_HAS_SOFTNET;
	assert_int_equal(cb_softnet_parse(text.buf, text.len, &online, &snapshot), 0);
	assert_int_equal(snapshot.cpu[0].softnet_dropped, 0);
	assert_int_equal(snapshot.cpu[0].present, CB_CPU_HAS_SOFTNET);
	assert_int_equal(snapshot.cpu[1].present, 0);
	assert_int_equal(snapshot.cpu[0].softnet_processed, 0xa1370);
	assert_int_equal(snapshot.cpu[2].softnet_processed, 0x9b4e8);
	assert_int_equal(snapshot.cpu[2].softnet_dropped, 0x1a2b);
}

static void without_numbers(void **state)
{
	struct cb_cpuset online = cb_cpuset_of(1);
	AUTO_SNAPSHOT snapshot;

	(void)state;
	snapshot_make(&snapshot, 4, 0);
	cb_cpuset_set(&online, 3);
	assert_int_equal(parse(NINE "\n" NINE " 00000000 00000000\n", online, &snapshot), 0);
	assert_int_equal(snapshot.cpu[0].present, 0);
	assert_int_equal(snapshot.cpu[1].softnet_dropped, 15);
	assert_int_equal(snapshot.cpu[3].present, CB_CPU_HAS_SOFTNET);
	/* A row too few, a row too many: whose they are cannot be known. */
	assert_int_equal(parse(NINE "\n", online, &snapshot), -EBADMSG);
	assert_int_equal(parse(NINE "\n" NINE "\n" NINE "\n", online, &snapshot), -EBADMSG);
	assert_int_equal(snapshot.cpu[1].present, 0);
}

static void cut_short(void **state)
{
	AUTO_TEXT whole = text_of_file(FIXTURES "softnet-3cpu-hole");

	(void)state;
	for (size_t len = 0; len < whole.len; len++) {
		AUTO_TEXT part = text_of(whole.buf, len);
		struct cb_cpuset online = CB_CPUSET_EMPTY;
		AUTO_SNAPSHOT snapshot;
		int r;

		snapshot_make(&snapshot, 1, 0);
		r = cb_softnet_parse(part.buf, part.len, &online, &snapshot);
		assert_int_equal(r, len > 0 && part.buf[len - 1] == '\n' ? 0 : -EBADMSG);
	}
}

static void no_file_of_the_kernel(void **state)
{
	static const struct {
		const char *text;
		int r;
	} cases[] = {
		{ "", -EBADMSG },
		{ "\n", -EBADMSG },
		{ "0\n", -EBADMSG },
		{ "0 g\n", -EBADMSG },
		{ "0 0x1\n", -EBADMSG },
		{ "0 10000000000000000\n", -ERANGE },
		{ NINE " 0 0 0 00001000\n", -ERANGE },
		{ NINE " 0 0 0 0\n" NINE "\n", -EBADMSG },
		{ NINE " 0 0 0 0\n" NINE " 0 0 0 0\n", -EBADMSG },
		{ NINE " 0 0 0 1\n" NINE " 0 0 0 0\n", -EBADMSG },
		{ NINE " 0 0 0 0\n" NINE " 0 0 0 00000fff 0 0 what\n", 0 },
		{ "0 ffffFFFFffffFFFF\n", 0 },
	};

	(void)state;
	for (size_t i = 0; i < CB_ARRAY_SIZE(cases); i++) {
		AUTO_SNAPSHOT snapshot;
		int r;

		snapshot_make(&snapshot, 2, 0);
		r = parse(cases[i].text, cb_cpuset_of(0), &snapshot);
		if (r != cases[i].r)
			fail_msg("case %zu: %d, not %d: %s", i, r, cases[i].r, cases[i].text);
		assert_int_equal(snapshot.cpu[0].present, r == 0 ? CB_CPU_HAS_SOFTNET : 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(with_numbers),
		cmocka_unit_test(without_numbers),
		cmocka_unit_test(cut_short),
		cmocka_unit_test(no_file_of_the_kernel),
	};

	return cmocka_run_group_tests_name("softnet", tests, NULL, NULL);
}
