/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The plan on trial: its record, what survives, and what a start makes of one that nobody has judged. */
#include "lib/host/journal_trial.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/host/apply_internal.h"
#include "machine.h"

#define BOOT "6f8a1c6e-0a9e-4c53-9f5c-0b3b6f5c1d11"

static char dir[256], file[300];

static int make_dir(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	snprintf(dir, sizeof(dir), "%s/trial.XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(dir))
		return -1;
	snprintf(file, sizeof(file), "%s/journal", dir);
	return 0;
}

static int remove_dir(void **state)
{
	(void)state;
	return unlink(file) < 0 || rmdir(dir) < 0 ? -1 : 0;
}

static struct cb_journal *open_ok(void)
{
	struct cb_journal *journal = NULL;
	struct cb_err err = { "" };

	if (cb_journal_open(dir, BOOT, &journal, &err) < 0)
		fail_msg("%s", err.msg);
	return journal;
}

static struct cb_journal_entry an_entry(void)
{
	return (struct cb_journal_entry){
		.knob = CB_KNOB_TASK_AFFINITY,
		.tid = 812,
		.tgid = 812,
		.start_ticks = 1000,
		.tgid_start_ticks = 1000,
		.original_effective_cpu = -1,
		.plan_id = 12,
		.original = cb_cpuset_of(3),
		.set = cb_cpuset_of(7),
	};
}

static void record_there_and_back(void **state)
{
	static const uint32_t plans[] = { 0, 1, 5, 99999, UINT32_MAX };
	char line[CB_JOURNAL_TRIAL_MAX];

	(void)state;
	for (size_t i = 0; i < CB_ARRAY_SIZE(plans); i++) {
		uint32_t plan = 77;
		int len = cb_journal_trial_format(plans[i], line);

		assert_true(len > 0 && (size_t)len < sizeof(line));
		assert_int_equal(cb_journal_trial_parse(line, (size_t)len, &plan), 1);
		assert_int_equal(plan, plans[i]);
		/* one letter less, one more, or another */
		assert_true(cb_journal_trial_parse(line, (size_t)len - 1, &plan) <= 0);
		for (int k = 0; k < len; k++) {
			line[k] ^= 1;
			assert_true(cb_journal_trial_parse(line, (size_t)len, &plan) <= 0);
			line[k] ^= 1;
		}
		assert_int_equal(plan, plans[i]);
	}
}

static void other_records_are_not_its_own(void **state)
{
	struct cb_journal_entry e = an_entry();
	char line[CB_JOURNAL_LINE_MAX];
	uint32_t plan = 77;
	int len = cb_journal_line_format(&e, false, line, sizeof(line));

	(void)state;
	assert_int_equal(cb_journal_trial_parse(line, (size_t)len, &plan), 0);
	assert_int_equal(cb_journal_trial_parse("", 0, &plan), 0);
	assert_int_equal(cb_journal_trial_parse("00000000 trial plan=1", 21, &plan), -EBADMSG);
	assert_int_equal(plan, 77);
}

static struct cb_journal *again(struct cb_journal *journal)
{
	cb_journal_close(journal);
	return open_ok();
}

static void survives_restarts_and_compaction(void **state)
{
	struct cb_journal_entry e = an_entry();
	struct cb_journal *journal = open_ok();

	(void)state;
	assert_int_equal(cb_journal_trial(journal), 0);
	assert_int_equal(cb_journal_set_trial(journal, 5, NULL), 0);
	journal = again(journal);
	assert_int_equal(cb_journal_trial(journal), 5);
	for (unsigned int i = 0; i < 700; i++)
		assert_int_equal(cb_journal_put(journal, &e, NULL), 0);
	journal = again(journal);
	assert_int_equal(cb_journal_trial(journal), 5);
	assert_int_equal(cb_journal_count(journal), 1);
	cb_apply_ended(journal, 4); /* another plan */
	assert_int_equal(cb_journal_trial(journal), 5);
	cb_apply_ended(journal, 5);
	journal = again(journal);
	assert_int_equal(cb_journal_trial(journal), 0);
	assert_string_equal(cb_journal_state(journal), "ok");
	cb_journal_close(journal);
}

static void a_full_disk_changes_nothing(void **state)
{
	struct cb_journal *journal = open_ok();
	struct rlimit before, limited;
	struct cb_err err = { "" };
	struct stat st;

	(void)state;
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	limited = before;
	limited.rlim_cur = (rlim_t)st.st_size + 5;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limited), 0);
	assert_int_equal(cb_journal_set_trial(journal, 5, &err), -EFBIG);
	assert_false(cb_journal_healthy(journal));
	assert_int_equal(cb_journal_trial(journal), 0);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(cb_journal_set_trial(journal, 5, &err), 0);
	assert_true(cb_journal_healthy(journal));
	cb_journal_close(journal);
}

/* --- what a start does --- */

struct setting {
	struct machine machine;
	struct cb_host host;
	struct cb_journal *journal;
	struct machine_thread *one, *two; /* two processes */
};

static void begin(struct setting *s)
{
	const struct cb_cpuset all = cpus("0-7");

	memset(s, 0, sizeof(*s));
	machine_init(&s->machine);
	s->host.writer = &s->machine.writer;
	assert_int_equal(cb_journal_open(NULL, BOOT, &s->journal, NULL), 0);
	s->one = machine_spawn(&s->machine, &all);
	s->two = machine_spawn(&s->machine, &all);
	machine_add_irq(&s->machine, 38, "eth0-rx-0", &all, 0);
	machine_tick(&s->machine, 100);
}

static void end(struct setting *s)
{
	cb_journal_close(s->journal);
	machine_done(&s->machine);
}

static void place(struct setting *s, const struct machine_thread *process, const char *to,
		  uint32_t plan_id)
{
	struct cb_change change = { .writer = &s->machine.writer, .journal = s->journal };
	struct cb_target target = { .tgid = process->tgid,
				    .start_ticks = process->start_ticks,
				    .group = "nginx",
				    .plan_id = plan_id };
	struct cb_step step = { .item = { .kind = CB_ITEM_WORKER, .key = 1 }, .to = cpus(to) };

	cb_place_process(&change, &target, &step);
	assert_int_equal(step.state, CB_STEP_DONE);
}

static bool has(const struct machine_thread *thread, const char *list)
{
	const struct cb_cpuset set = cpus(list);

	return cb_cpuset_equal(&thread->mask, &set);
}

static void only_what_nobody_judged_is_undone(void **state)
{
	struct cb_step step = { .item = { .kind = CB_ITEM_IRQ, .key = 38 }, .to = cpus("4") };
	struct cb_outcome outcome;
	struct cb_change change;
	struct setting s;

	(void)state;
	begin(&s);
	change = (struct cb_change){ .writer = &s.machine.writer, .journal = s.journal };
	place(&s, s.one, "1", 3); /* kept */
	assert_int_equal(cb_undo_unjudged(&s.host, s.journal, &outcome), 0);
	assert_true(has(s.one, "1"));
	assert_int_equal(cb_journal_set_trial(s.journal, 4, NULL), 0);
	place(&s, s.two, "2", 4);
	cb_place_irq(&change, "nginx", 4, &step);
	machine_fork(&s.machine, s.two);
	assert_int_equal(cb_undo_unjudged(&s.host, s.journal, &outcome), 4);
	assert_int_equal(outcome.plan_id, 4);
	assert_int_equal(outcome.n_failed + outcome.n_foreign, 0);
	assert_true(has(s.one, "1"));
	assert_true(has(s.two, "0-7"));
	assert_true(cb_cpuset_equal(&machine_find_irq(&s.machine, 38)->mask,
				    &machine_find_irq(&s.machine, 38)->original));
	assert_int_equal(cb_journal_trial(s.journal), 0);
	assert_non_null(cb_journal_find_task(s.journal, s.one->tid, s.one->start_ticks));
	end(&s);
}

/* What cannot be undone stays on trial, and the next start tries again. */
static void a_failure_is_tried_again(void **state)
{
	struct cb_outcome outcome;
	struct setting s;

	(void)state;
	begin(&s);
	assert_int_equal(cb_journal_set_trial(s.journal, 4, NULL), 0);
	place(&s, s.two, "2", 4);
	machine_no_script(&s.machine);
	s.machine.fail_op = OP_TASK_SET;
	s.machine.fail_call = 1;
	s.machine.fail_calls = 100;
	s.machine.fail_errnum = EPERM;
	assert_int_equal(cb_undo_unjudged(&s.host, s.journal, &outcome), 4);
	assert_int_equal(outcome.n_failed, 1);
	assert_int_equal(cb_journal_trial(s.journal), 4);
	machine_no_script(&s.machine);
	assert_int_equal(cb_undo_unjudged(&s.host, s.journal, &outcome), 4);
	assert_int_equal(outcome.n_restored, 1);
	assert_true(has(s.two, "0-7"));
	assert_int_equal(cb_journal_trial(s.journal), 0);
	end(&s);
}

#define FILE_TEST(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(record_there_and_back),
		cmocka_unit_test(other_records_are_not_its_own),
		FILE_TEST(survives_restarts_and_compaction),
		FILE_TEST(a_full_disk_changes_nothing),
		cmocka_unit_test(only_what_nobody_judged_is_undone),
		cmocka_unit_test(a_failure_is_tried_again),
	};

	return cmocka_run_group_tests_name("journal_trial", tests, NULL, NULL);
}
