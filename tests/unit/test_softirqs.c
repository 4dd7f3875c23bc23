/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* proc/softirqs: columns by the header's CPU numbers, rows by name. */
#include "sources_test.h"

#include <errno.h>

static int parse(const char *string, struct cb_snapshot *snapshot)
{
	AUTO_TEXT text = TEXT(string);

	return cb_softirqs_parse(text.buf, text.len, snapshot);
}

static void every_field(void **state)
{
	AUTO_TEXT text = text_of_file(FIXTURES "softirqs-2cpu");
	static const uint64_t expected[2][_CB_SOFTIRQ_MAX] = {
		{ 0, 12557, 8, 652434, 0, 0, 3, 23890, 0, 22339 },
		{ 0, 9900, 2, 619134, 105579, 0, 2, 20580, 0, 29612 },
	};
	AUTO_SNAPSHOT snapshot;

	(void)state;
	snapshot_make(&snapshot, 3, 0);
	snapshot.cpu[2].present = CB_CPU_HAS_TIMES | CB_CPU_HAS_SOFTIRQS;
	assert_int_equal(cb_softirqs_parse(text.buf, text.len, &snapshot), 0);
	for (uint32_t cpu = 0; cpu < 2; cpu++) {
		assert_int_equal(snapshot.cpu[cpu].present, CB_CPU_HAS_SOFTIRQS);
		assert_memory_equal(snapshot.cpu[cpu].softirqs, expected[cpu],
				    sizeof(expected[cpu]));
	}
	assert_int_equal(snapshot.cpu[2].present, CB_CPU_HAS_TIMES);
}

static void cut_short(void **state)
{
	AUTO_TEXT whole = text_of_file(FIXTURES "softirqs-2cpu");

	(void)state;
	for (size_t len = 0; len < whole.len; len++) {
		AUTO_TEXT part = text_of(whole.buf, len);
		AUTO_SNAPSHOT snapshot;
		int r;

		snapshot_make(&snapshot, 2, 0);
		r = cb_softirqs_parse(part.buf, part.len, &snapshot);
		/* Whole rows are accepted: a kernel may have fewer. */
		if (r == 0)
			assert_int_equal(part.buf[part.len - 1], '\n');
		else
			assert_int_equal(r, -EBADMSG);
		assert_int_equal(snapshot.cpu[1].present, r == 0 ? CB_CPU_HAS_SOFTIRQS : 0);
	}
}

static void holes_and_old_names(void **state)
{
	AUTO_SNAPSHOT snapshot;

	(void)state;
	snapshot_make(&snapshot, 6, 0);
	snapshot.cpu[2].softirqs[CB_SOFTIRQ_RCU] = 99; /* of the tick before */
	assert_int_equal(
		parse("   CPU0  CPU2 CPU5       CPU4000\n"
		      "SCHED:  1 2 3 4\n"
		      "LATER:  x\n"
		      "BLOCK_IOPOLL:          0          7          0          0 new column\n"
		      "\n",
		      &snapshot),
		0);
	assert_int_equal(snapshot.cpu[0].softirqs[CB_SOFTIRQ_SCHED], 1);
	assert_int_equal(snapshot.cpu[2].softirqs[CB_SOFTIRQ_SCHED], 2);
	assert_int_equal(snapshot.cpu[5].softirqs[CB_SOFTIRQ_SCHED], 3);
	assert_int_equal(snapshot.cpu[2].softirqs[CB_SOFTIRQ_IRQ_POLL], 7);
	assert_int_equal(snapshot.cpu[2].softirqs[CB_SOFTIRQ_RCU], 0);
	assert_int_equal(snapshot.cpu[1].present, 0);
	assert_int_equal(snapshot.cpu[5].present, CB_CPU_HAS_SOFTIRQS);
}

/* A name that holds a NUL must not be taken for the name that it begins with. */
static void name_with_nul(void **state)
{
	static const char string[] = "CPU0\nNET_RX\0garbage: 1\nHI: 2\n";
	AUTO_TEXT text = text_of(string, sizeof(string) - 1);
	AUTO_SNAPSHOT snapshot;

	(void)state;
	snapshot_make(&snapshot, 1, 0);
	assert_int_equal(cb_softirqs_parse(text.buf, text.len, &snapshot), -EBADMSG);
	assert_int_equal(snapshot.cpu[0].softirqs[CB_SOFTIRQ_NET_RX], 0);
}

static void no_file_of_the_kernel(void **state)
{
	static const struct {
		const char *text;
		int r;
	} cases[] = {
		{ "", -EBADMSG },
		{ "\n", -EBADMSG },
		{ "CPU0\n", -EBADMSG },
		{ "CPU\nHI: 1\n", -EBADMSG },
		{ "CPU0x\nHI: 1\n", -EBADMSG },
		{ "CPU1 CPU0\nHI: 1 1\n", -EBADMSG },
		{ "CPU0 CPU0\nHI: 1 1\n", -EBADMSG },
		{ "CPU4096\nHI: 1\n", -ERANGE },
		{ "CPU99999999999999999999\nHI: 1\n", -ERANGE },
		{ "CPU0\nHI: 1\nHI: 1\n", -EBADMSG },
		{ "CPU0\nIRQ_POLL: 1\nBLOCK_IOPOLL: 1\n", -EBADMSG },
		{ "CPU0 CPU1\nHI: 1\n", -EBADMSG },
		{ "CPU0 CPU1\nHI:          0          0x\n", -EBADMSG },
		{ "CPU0\nHI 1\n", -EBADMSG },
		{ "CPU0\n: 1\n", -EBADMSG },
		{ "CPU0\nHI: 99999999999999999999\n", -ERANGE },
		{ "CPU0\nHI: 1\n", 0 },
		{ "CPU0\nHI:\t1\n", -EBADMSG },
	};

	(void)state;
	for (size_t i = 0; i < CB_ARRAY_SIZE(cases); i++) {
		AUTO_SNAPSHOT snapshot;
		int r;

		snapshot_make(&snapshot, 2, 0);
		r = parse(cases[i].text, &snapshot);
		if (r != cases[i].r)
			fail_msg("case %zu: %d, not %d: %s", i, r, cases[i].r, cases[i].text);
		assert_int_equal(snapshot.cpu[0].present, r == 0 ? CB_CPU_HAS_SOFTIRQS : 0);
	}
}

/* CB_CPUS_MAX columns fit, one more does not. */
static void widest(void **state)
{
	size_t size = (CB_CPUS_MAX + 1) * 22 + 64;
	char *string = malloc(size), *p;

	(void)state;
	assert_non_null(string);
	for (unsigned int extra = 0; extra < 2; extra++) {
		AUTO_SNAPSHOT snapshot;

		snapshot_make(&snapshot, CB_CPUS_MAX, 0);
		p = string;
		for (unsigned int i = 0; i < CB_CPUS_MAX + extra; i++)
			p += sprintf(p, " CPU%u", i);
		p += sprintf(p, "\nTIMER:");
		for (unsigned int i = 0; i < CB_CPUS_MAX + extra; i++)
			p += sprintf(p, " %10u", i % 3);
		p += sprintf(p, "\n");
		assert_true((size_t)(p - string) < size);
		assert_int_equal(parse(string, &snapshot), extra ? -ERANGE : 0);
		if (!extra)
			assert_int_equal(snapshot.cpu[4094].softirqs[CB_SOFTIRQ_TIMER], 4094 % 3);
	}
	free(string);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_field),		 cmocka_unit_test(cut_short),
		cmocka_unit_test(holes_and_old_names),	 cmocka_unit_test(name_with_nul),
		cmocka_unit_test(no_file_of_the_kernel), cmocka_unit_test(widest),
	};

	return cmocka_run_group_tests_name("softirqs", tests, NULL, NULL);
}
