/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * proc/stat: every column in its place, holes and hotplug, old kernels' shorter rows, interrupts by position, and nothing
 * accepted that the kernel would not write.
 */
#include "sources_test.h"

#include <errno.h>

#define TAIL "ctxt 7\nbtime 1\nprocesses 9\nprocs_running 3\nprocs_blocked 4\n"
#define INTR "intr 5 0 0 5 0\n"
#define CPU0 "cpu  1 1 1 1\ncpu0 1 2 3 4 5 6 7 8 9 10\n"

static int parse(const char *string, struct cb_snapshot *snapshot, struct cb_cpuset *online,
		 bool *news)
{
	AUTO_TEXT text = TEXT(string);

	return cb_stat_parse(text.buf, text.len, snapshot, online, news);
}

static void every_field(void **state)
{
	AUTO_TEXT text = text_of_file(FIXTURES "stat-2cpu");
	AUTO_SNAPSHOT snapshot;
	struct cb_cpuset online;
	bool news = true;
	uint64_t irqs = 0;

	(void)state;
	snapshot_make(&snapshot, 2, 64);
	assert_int_equal(cb_stat_parse(text.buf, text.len, &snapshot, &online, &news), 0);
	assert_int_equal(cb_cpuset_count(&online), 2);
	assert_false(news);
	assert_int_equal(snapshot.cpu[0].present, CB_CPU_HAS_TIMES);
	assert_int_equal(snapshot.cpu[0].time_ticks[CB_TIME_USER], 3681);
	assert_int_equal(snapshot.cpu[0].time_ticks[CB_TIME_STEAL], 429);
	assert_int_equal(snapshot.cpu[1].time_ticks[CB_TIME_IDLE], 89648);
	assert_int_equal(snapshot.cpu[1].time_ticks[CB_TIME_SOFTIRQ], 342);
	assert_int_equal(snapshot.cpu[1].time_ticks[CB_TIME_GUEST_NICE], 0);
	assert_int_equal(snapshot.ctxt, 1218702);
	assert_int_equal(snapshot.intr_total, 484139);
	assert_int_equal(snapshot.procs_running, 1);
	assert_int_equal(snapshot.procs_blocked, 0);
	assert_int_equal(snapshot.irq[36].count, 105589);
	assert_int_equal(snapshot.irq[43].count, 1);
	for (uint32_t i = 0; i < snapshot.n_irqs; i++)
		irqs += snapshot.irq[i].count;
	assert_int_equal(irqs, 113797);
}

static void cut_short(void **state)
{
	AUTO_TEXT whole = text_of_file(FIXTURES "stat-2cpu");

	(void)state;
	for (size_t len = 0; len < whole.len; len++) {
		AUTO_TEXT part = text_of(whole.buf, len);
		AUTO_SNAPSHOT snapshot;
		struct cb_cpuset online;
		bool news;
		int r;

		snapshot_make(&snapshot, 2, 8);
		r = cb_stat_parse(part.buf, part.len, &snapshot, &online, &news);
		/* The softirq line comes last and is not ours: only what ends right before it is whole. */
		if (r == 0)
			assert_memory_equal(whole.buf + len, "softirq", 7);
		else
			assert_int_equal(r, -EBADMSG);
		assert_int_equal(snapshot.cpu[1].present, r == 0 ? CB_CPU_HAS_TIMES : 0);
	}
}

static void old_and_new_columns(void **state)
{
	AUTO_SNAPSHOT snapshot;
	struct cb_cpuset online;
	bool news;

	(void)state;
	snapshot_make(&snapshot, 2, 0);
	memset(&snapshot.cpu[0], 0xff, sizeof(snapshot.cpu[0]));
	assert_int_equal(
		parse("cpu  1 2 3 4\ncpu0 1 2 3 4\ncpu1 1 2 3 4 5 6 7 8 9 10 11 12\n" INTR TAIL,
		      &snapshot, &online, &news),
		0);
	assert_int_equal(snapshot.cpu[0].time_ticks[CB_TIME_IDLE], 4);
	assert_int_equal(snapshot.cpu[0].time_ticks[CB_TIME_IOWAIT], 0);
	assert_int_equal(snapshot.cpu[0].time_ticks[CB_TIME_GUEST_NICE], 0);
	assert_int_equal(snapshot.cpu[1].time_ticks[CB_TIME_GUEST_NICE], 10);
	assert_int_equal(parse("cpu0 1 2 3\n" INTR TAIL, &snapshot, &online, &news), -EBADMSG);
	assert_int_equal(parse("cpu0 1 2 3 x\n" INTR TAIL, &snapshot, &online, &news), -EBADMSG);
}

static void holes_and_hotplug(void **state)
{
	AUTO_SNAPSHOT snapshot;
	struct cb_cpuset online;
	bool news;

	(void)state;
	snapshot_make(&snapshot, 4, 0);
	snapshot.cpu[1].present = CB_CPU_HAS_TIMES | CB_CPU_HAS_SOFTIRQS;
	assert_int_equal(parse("cpu0 1 2 3 4\ncpu2 5 6 7 8\ncpu700 9 9 9 9\n" INTR TAIL, &snapshot,
			       &online, &news),
			 0);
	assert_int_equal(snapshot.cpu[1].present, CB_CPU_HAS_SOFTIRQS);
	assert_int_equal(snapshot.cpu[2].time_ticks[CB_TIME_USER], 5);
	assert_int_equal(snapshot.cpu[3].present, 0);
	assert_int_equal(cb_cpuset_count(&online), 3);
	assert_true(cb_cpuset_has(&online, 700));
	assert_int_equal(parse("cpu4095 1 2 3 4\n" INTR TAIL, &snapshot, &online, &news), 0);
	assert_int_equal(parse("cpu4096 1 2 3 4\n" INTR TAIL, &snapshot, &online, &news), -ERANGE);
}

/* Zero runs of every length around the word sizes, with the one count behind them. */
static void interrupts_by_position(void **state)
{
	(void)state;
	for (uint32_t zeros = 0; zeros < 100; zeros++) {
		for (uint32_t after = 0; after < 20; after++) {
			char line[512] = CPU0 "intr 77";
			AUTO_SNAPSHOT snapshot;
			struct cb_cpuset online;
			bool news;

			for (uint32_t i = 0; i < zeros; i++)
				strcat(line, " 0");
			strcat(line, " 77");
			for (uint32_t i = 0; i < after; i++)
				strcat(line, " 0");
			strcat(line, "\n" TAIL);
			snapshot_make(&snapshot, 1, 128);
			snapshot.irq[127].count = 1; /* of the tick before */
			assert_int_equal(parse(line, &snapshot, &online, &news), 0);
			assert_false(news);
			for (uint32_t i = 0; i < 128; i++)
				assert_int_equal(snapshot.irq[i].count, i == zeros ? 77 : 0);
		}
	}
}

static void interrupt_news(void **state)
{
	AUTO_SNAPSHOT snapshot;
	struct cb_cpuset online;
	bool news;

	(void)state;
	snapshot_make(&snapshot, 1, 3);
	snapshot.irq[0].irq = 1;
	snapshot.irq[1].irq = 5;
	snapshot.irq[2].irq = 900; /* beyond the line */
	assert_int_equal(parse(CPU0 "intr 9 0 3 0 0 0 6 0\n" TAIL, &snapshot, &online, &news), 0);
	assert_false(news);
	assert_int_equal(snapshot.irq[0].count, 3);
	assert_int_equal(snapshot.irq[1].count, 6);
	assert_int_equal(snapshot.irq[2].count, 0);
	assert_int_equal(parse(CPU0 "intr 9 0 3 0 1 0 6\n" TAIL, &snapshot, &online, &news), 0);
	assert_true(news);
	assert_int_equal(snapshot.irq[1].count, 6);
	assert_int_equal(parse(CPU0 "intr 9 \n" TAIL, &snapshot, &online, &news), 0);
	assert_false(news);
}

/* As many digits as there can be, before each of the things that may be behind them, and what is none in every place. */
static void numbers_of_every_length(void **state)
{
	static const char digits[] = "18446744073709551615";
	AUTO_SNAPSHOT snapshot;
	struct cb_cpuset online;
	bool news;

	(void)state;
	snapshot_make(&snapshot, 1, 8);
	for (int n = 1; n <= 20; n++) {
		uint64_t value = n == 20 ? UINT64_MAX : 0;
		char file[256];

		for (int i = 0; n < 20 && i < n; i++)
			value = value * 10 + (uint64_t)(digits[i] - '0');
		snprintf(file, sizeof(file),
			 "cpu0 %.*s 2 3 4 5 6 7 8 9 %.*s\nintr 5 0 %.*s 0 %.*s\n" TAIL, n, digits,
			 n, digits, n, digits, n, digits);
		assert_int_equal(parse(file, &snapshot, &online, &news), 0);
		assert_true(snapshot.cpu[0].time_ticks[CB_TIME_USER] == value);
		assert_int_equal(snapshot.cpu[0].time_ticks[CB_TIME_NICE], 2);
		assert_true(snapshot.cpu[0].time_ticks[CB_TIME_GUEST_NICE] == value);
		assert_true(snapshot.irq[1].count == value);
		assert_true(snapshot.irq[3].count == value);
		for (int at = 0; at < n; at++)
			for (const char *bad = "/:x\t\x80\xb1"; *bad; bad++) {
				char wrong[32];

				snprintf(wrong, sizeof(wrong), "%.*s", n, digits);
				wrong[at] = *bad;
				snprintf(file, sizeof(file),
					 "cpu0 1 %s 3 4 5 6 7 8 9 10\n" INTR TAIL, wrong);
				assert_int_equal(parse(file, &snapshot, &online, &news), -EBADMSG);
			}
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
		{ INTR TAIL, -EBADMSG }, /* no CPU */
		{ CPU0 INTR, -EBADMSG }, /* lines are missing */
		{ CPU0 TAIL, -EBADMSG },
		{ CPU0 "cpu0 1 2 3 4\n" INTR TAIL, -EBADMSG }, /* twice */
		{ CPU0 INTR INTR TAIL, -EBADMSG },
		{ CPU0 INTR TAIL "ctxt 8\n", -EBADMSG },
		{ CPU0 INTR TAIL "procs_blocked 8\n", -EBADMSG },
		{ "cpu00x 1 2 3 4\n" INTR TAIL, -EBADMSG },
		{ "cpu0 1 2 -3 4\n" INTR TAIL, -EBADMSG },
		{ CPU0 "intr\n" TAIL, -EBADMSG },
		{ CPU0 "intr \n" TAIL, -EBADMSG },
		{ CPU0 "intr 5 0 0 0 0 0 0 0 0x\n" TAIL, -EBADMSG },
		{ CPU0 "intr 5 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0-0\n" TAIL, -EBADMSG },
		{ CPU0 "intr 5 0 x\n" TAIL, -EBADMSG },
		{ CPU0 "intr 5 99999999999999999999\n" TAIL, -ERANGE },
		{ "cpu0 18446744073709551616 2 3 4\n" INTR TAIL, -ERANGE },
		{ "cpu99999999999999999999 1 2 3 4\n" INTR TAIL, -ERANGE },
		{ CPU0 INTR "ctxt 1\nprocs_running 4294967296\nprocs_blocked 0\n", -ERANGE },
		{ CPU0 INTR TAIL, 0 },
		{ CPU0 INTR TAIL "a line of a later kernel\ncpufoo 1\n\ncp\n", 0 },
		{ "cpu0 18446744073709551615 00000000000000000000001 3 4\n" INTR TAIL, 0 },
		{ CPU0 "intr 5 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0007\n" TAIL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < CB_ARRAY_SIZE(cases); i++) {
		AUTO_SNAPSHOT snapshot;
		struct cb_cpuset online = cb_cpuset_of(9);
		bool news = true;
		int r;

		snapshot_make(&snapshot, 2, 64);
		r = parse(cases[i].text, &snapshot, &online, &news);
		if (r != cases[i].r)
			fail_msg("case %zu: %d, not %d: %s", i, r, cases[i].r, cases[i].text);
		assert_int_equal(snapshot.cpu[0].present, r == 0 ? CB_CPU_HAS_TIMES : 0);
		assert_int_equal(cb_cpuset_has(&online, 9), r < 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_field),
		cmocka_unit_test(cut_short),
		cmocka_unit_test(old_and_new_columns),
		cmocka_unit_test(holes_and_hotplug),
		cmocka_unit_test(interrupts_by_position),
		cmocka_unit_test(interrupt_news),
		cmocka_unit_test(numbers_of_every_length),
		cmocka_unit_test(no_file_of_the_kernel),
	};

	return cmocka_run_group_tests_name("stat", tests, NULL, NULL);
}
