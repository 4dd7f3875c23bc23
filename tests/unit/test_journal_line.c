/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One record of the journal as a line: there and back, and what is no record. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "journal_test.h"

static void checksum_is_the_usual_one(void **state)
{
	(void)state;
	assert_int_equal(cb_journal_crc("123456789", 9), 0xcbf43926);
	assert_int_equal(cb_journal_crc("", 0), 0);
}

static void round_trip(const struct cb_journal_entry *e, bool drop)
{
	static char line[CB_JOURNAL_LINE_MAX], again[CB_JOURNAL_LINE_MAX];
	struct cb_journal_entry back;
	struct cb_err err = { "" };
	bool dropped;
	int len = cb_journal_line_format(e, drop, line, sizeof(line));

	assert_true(len > 0);
	assert_int_equal(strlen(line), len);
	assert_null(strchr(line, '\n'));
	if (cb_journal_line_parse(line, (size_t)len, &back, &dropped, &err) < 0)
		fail_msg("%s: %s", line, err.msg);
	assert_true(dropped == drop);
	assert_int_equal(cb_journal_line_format(&back, drop, again, sizeof(again)), len);
	assert_string_equal(line, again);
	if (!drop)
		assert_same(e, &back);
	for (size_t size = 0; size <= (size_t)len; size++)
		assert_int_equal(cb_journal_line_format(e, drop, again, size), -ENOSPC);
	/* No beginning of a line is a line, and no line has anything behind it. */
	for (size_t cut = 0; cut < (size_t)len; cut++)
		assert_int_equal(cb_journal_line_parse(line, cut, &back, &dropped, NULL), -EBADMSG);
	line[len] = ' ';
	assert_int_equal(cb_journal_line_parse(line, (size_t)len + 1, &back, &dropped, NULL),
			 -EBADMSG);
}

static void lines_there_and_back(void **state)
{
	struct cb_journal_entry e = task(812, 3, 7);

	(void)state;
	round_trip(&e, false);
	round_trip(&e, true);
	e.alone = true;
	e.heir = true;
	e.root_tgid = 77;
	e.root_start_ticks = UINT64_MAX;
	e.cgroup_id = 0;
	e.group[0] = 0;
	e.was = cb_cpuset_of(CB_CPUS_MAX - 1);
	round_trip(&e, false);
	e = queue(CB_KNOB_RPS_CPUS, 3);
	round_trip(&e, false);
	round_trip(&e, true);
	e.set = e.was;
	round_trip(&e, false);
	e = queue(CB_KNOB_XPS_CPUS, 0);
	round_trip(&e, false);
	e = queue(CB_KNOB_RPS_FLOWS, 3);
	round_trip(&e, false);
	round_trip(&e, true);
	e = irq(38);
	round_trip(&e, false);
	round_trip(&e, true);
	e.pending = true;
	e.original_effective_cpu = -1;
	memset(e.actions, 0xe4, sizeof(e.actions) - 1);
	round_trip(&e, false);
	e.actions[0] = 0;
	round_trip(&e, false);
}

static void longest_line_fits(void **state)
{
	static char line[CB_JOURNAL_LINE_MAX];
	struct cb_journal_entry e = irq(UINT32_MAX), back;
	bool drop;
	int len;

	(void)state;
	e.hwirq = UINT64_MAX;
	e.plan_id = UINT32_MAX;
	e.pending = true;
	e.original_effective_cpu = INT32_MAX;
	memset(e.actions, '\n', sizeof(e.actions) - 1);
	memset(e.group, ' ', sizeof(e.group) - 1);
	for (unsigned int cpu = 0; cpu < CB_CPUS_MAX; cpu += 2)
		cb_cpuset_set(&e.was, cpu);
	e.original = e.set = e.was;
	len = cb_journal_line_format(&e, false, line, sizeof(line));
	assert_true(len > 0);
	assert_int_equal(cb_journal_line_parse(line, (size_t)len, &back, &drop, NULL), 0);
	assert_same(&e, &back);
}

static void refuse(const char *text, const char *why)
{
	struct cb_journal_entry e = { .plan_id = 4711 };
	struct cb_err err = { "" };
	char line[512];
	bool drop;
	int n = snprintf(line, sizeof(line), "%08x %s", cb_journal_crc(text, strlen(text)), text);

	assert_int_equal(cb_journal_line_parse(line, (size_t)n, &e, &drop, &err), -EBADMSG);
	if (!strstr(err.msg, why))
		fail_msg("\"%s\" is not in \"%s\"", why, err.msg);
	assert_int_equal(e.plan_id, 4711); /* untouched */
}

#define TASK  "knob=task_affinity tid=5 tgid=4 start=9 tgstart=8"
#define MASKS "original=0-3 set=1"

static void bad_lines(void **state)
{
	(void)state;
	refuse("put " TASK " " MASKS, "neither");
	refuse("set tid=5 " MASKS, "\"knob\" is missing");
	refuse("set knob=volume " TASK " " MASKS, "\"knob\" has no valid");
	refuse("set " TASK, "\"original\" is missing");
	refuse("set " TASK " original=0-3", "\"set\" is missing");
	refuse("set " TASK " " MASKS " tid=5", "\"tid\" is there twice");
	refuse("set " TASK " " MASKS " irq=5", "\"irq\" does not belong");
	refuse("set " TASK " " MASKS " colour=red", "unknown field");
	refuse("set " TASK " " MASKS " colour", "unknown field");
	refuse("set " TASK " " MASKS " ", "a blank without");
	refuse("set " TASK "  " MASKS, "a blank without");
	refuse("set " TASK " original= set=1", "\"original\" has no valid");
	refuse("set " TASK " original=3-0 set=1", "\"original\" has no valid");
	refuse("set " TASK " original=0 set=99999", "\"set\" has no valid");
	refuse("set " TASK " " MASKS " root=5", "belong together");
	refuse("set " TASK " " MASKS " alone=0", "alone");
	refuse("set " TASK " " MASKS " plan=4294967296", "\"plan\" has no valid");
	refuse("set " TASK " " MASKS " cgroup=xyz", "\"cgroup\" has no valid");
	refuse("set " TASK " " MASKS " group=", "\"group\" has no valid");
	refuse("set " TASK " " MASKS " group=a%0", "\"group\" has no valid");
	refuse("set " TASK " " MASKS " group=a%00", "\"group\" has no valid");
	refuse("set knob=task_affinity tid=0 tgid=4 start=9 tgstart=8 " MASKS,
	       "\"tid\" has no valid");
	refuse("set knob=task_affinity tid=-4 tgid=4 start=9 tgstart=8 " MASKS,
	       "\"tid\" has no valid");
	refuse("set knob=task_affinity tid=2147483648 tgid=4 start=9 tgstart=8 " MASKS,
	       "\"tid\" has no valid");
	refuse("set knob=irq_affinity irq=5 hwirq=1 " MASKS, "\"actions\" is missing");
	refuse("set knob=irq_affinity irq=5 hwirq=1 actions=a pending=2 " MASKS,
	       "\"pending\" has no valid");
	refuse("drop " TASK " " MASKS, "does not belong");
	refuse("drop knob=irq_affinity irq=5 hwirq=1", "\"actions\" is missing");
}

static struct cb_journal_entry socket_entry(void)
{
	struct cb_journal_entry e = {
		.knob = CB_KNOB_INCOMING_CPU,
		.cookie = UINT64_MAX,
		.inode = UINT32_MAX,
		.netns = 4026531840,
		.tgid = 812,
		.original_effective_cpu = -1,
		.group = "web",
		.plan_id = 3,
		.set = cb_cpuset_of(5),
	};

	return e;
}

static struct cb_journal_entry place_entry(const char *listen)
{
	struct cb_journal_entry e = {
		.knob = CB_KNOB_REUSEPORT_WEIGHTS,
		.netns = 4026531840,
		.interface = 2,
		.tgid = 812,
		.original_effective_cpu = -1,
		.group = "web",
		.plan_id = 3,
	};

	assert_int_equal(cb_listen_parse(listen, strlen(listen), &e.local), 0);
	return e;
}

static void what_steers(void **state)
{
	const struct cb_journal_entry entries[] = {
		socket_entry(),
		place_entry("tcp:127.0.0.1:443"),
		place_entry("tcp:0.0.0.0:443"),
		place_entry("tcp:[::]:443"),
		place_entry("tcp:[fe80::1]:65535"),
	};
	char line[CB_JOURNAL_LINE_MAX], again[CB_JOURNAL_LINE_MAX];

	(void)state;
	for (size_t i = 0; i < CB_ARRAY_SIZE(entries); i++)
		for (int drop = 0; drop <= 1; drop++) {
			struct cb_journal_entry back;
			bool is_drop;
			int n = cb_journal_line_format(&entries[i], drop, line, sizeof(line));

			assert_true(n > 0);
			assert_int_equal(
				cb_journal_line_parse(line, (size_t)n, &back, &is_drop, NULL), 0);
			assert_int_equal(is_drop, drop);
			assert_true(back.cookie == entries[i].cookie);
			assert_memory_equal(&back.local, &entries[i].local, sizeof(back.local));
			assert_int_equal(cb_journal_line_format(&back, drop, again, sizeof(again)),
					 n);
			assert_string_equal(again, line);
		}
	/* of a thread no mask is "none" */
	assert_int_equal(cb_journal_line_format(&entries[0], false, line, sizeof(line)) > 0, 1);
	assert_non_null(strstr(line, " original=none set=5"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(checksum_is_the_usual_one),
		cmocka_unit_test(lines_there_and_back),
		cmocka_unit_test(longest_line_fits),
		cmocka_unit_test(bad_lines),
		cmocka_unit_test(what_steers),
	};

	return cmocka_run_group_tests_name("journal line", tests, NULL, NULL);
}
