/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Every errno at every operation of apply and release, and death at any of them: what is left can be put right. */
#include "apply_test.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* --- every errno at every step --- */

static const int errnos[] = { ESRCH, ENOENT, EPERM, EINVAL, EIO, ENOSPC, EBUSY, EMFILE, ENOMEM };

/* What a failure leaves can be put right: all masks are true after a release without failures. */
static void check_recovery(struct setting *s, const char *what, int errnum, uint32_t call)
{
	machine_no_script(&s->machine);
	for (unsigned int i = 0; i < 4 && cb_journal_count(s->journal) > 0; i++) {
		release(s, NULL);
		machine_fire(s->irq);
		release_pending(s);
	}
	print_message("%s: errno %d at call %u\n", what, errnum, call);
	assert_int_equal(cb_journal_count(s->journal), 0);
	machine_assert_true(&s->machine);
}

static void any_errno_while_placing(void **state)
{
	(void)state;
	for (int op = 0; op < _OP_MAX; op++)
		for (size_t i = 0; i < CB_ARRAY_SIZE(errnos); i++)
			for (uint32_t call = 1, again = 1; again; call++) {
				struct cb_step step = { .state = CB_STEP_DONE };
				struct setting s;
				bool irq = op >= OP_IRQ_IDENTITY;

				begin(&s);
				if (call % 2 == 0) /* half of them: not for the first time */
					irq ? place_irq(&s, "5") : place(&s, s.main, "5");
				machine_no_script(&s.machine);
				s.machine.fail_op = (enum machine_op)op;
				s.machine.fail_call = (call + 1) / 2;
				s.machine.fail_calls = 1;
				s.machine.fail_errnum = errnos[i];
				step = irq ? place_irq(&s, "3") : place(&s, s.main, "3");
				again = s.machine.n_failed;
				/* All or nothing, and it says which. Gone threads are not looked at. */
				if (step.state == CB_STEP_FAILED && !irq) {
					assert_true(
						cb_cpuset_equal(&s.main->mask, &s.second->mask));
					assert_true(step.error_class != CB_ERROR_NONE);
					assert_false(cb_cpuset_has(&s.main->mask, 3) &&
						     !cb_cpuset_has(&s.main->mask, 4));
				}
				check_recovery(&s, "placing", errnos[i], call);
				end(&s);
			}
}

static void any_errno_while_restoring(void **state)
{
	(void)state;
	for (int op = 0; op < _OP_MAX; op++)
		for (size_t i = 0; i < CB_ARRAY_SIZE(errnos); i++)
			for (uint32_t call = 1, again = 1; again; call++) {
				struct setting s;
				struct cb_change change;

				/* A thread or an interrupt that is gone is rightly forgotten. */
				if (errnos[i] == ESRCH || errnos[i] == ENOENT)
					break;
				begin(&s);
				place(&s, s.main, "5");
				place_irq(&s, "5");
				machine_fire(s.irq);
				machine_no_script(&s.machine);
				s.machine.fail_op = (enum machine_op)op;
				s.machine.fail_call = call;
				s.machine.fail_calls = 1;
				s.machine.fail_errnum = errnos[i];
				change = release(&s, NULL);
				machine_fire(s.irq);
				release_pending(&s);
				again = s.machine.n_failed;
				assert_true(change.n_failed <= 1);
				assert_int_equal(change.n_gone + change.n_foreign, 0);
				assert_int_equal(
					change.n_restored + change.n_pending + change.n_failed, 4);
				check_recovery(&s, "restoring", errnos[i], call);
				end(&s);
			}
}

/* Unrecorded means unwritten. */
static void no_journal_no_write(void **state)
{
	struct cb_journal_entry filler = {
		.knob = CB_KNOB_IRQ_AFFINITY,
		.original = cpus("1"),
		.set = cpus("2"),
	};
	struct setting s;

	(void)state;
	begin(&s);
	/* All entries but one: the second thread finds no room. */
	for (uint32_t i = 0; i < CB_JOURNAL_ENTRIES_MAX - 1; i++) {
		filler.irq = 1000 + i;
		assert_int_equal(cb_journal_put(s.journal, &filler, NULL), 0);
	}
	assert_step(place(&s, s.main, "3"), CB_STEP_FAILED, CB_ERROR_TRANSIENT);
	assert_int_equal(s.machine.n_calls[OP_TASK_SET], 0);
	assert_int_equal(cb_journal_count(s.journal), CB_JOURNAL_ENTRIES_MAX - 1);
	filler.irq++;
	assert_int_equal(cb_journal_put(s.journal, &filler, NULL), 0);
	assert_step(place_irq(&s, "3"), CB_STEP_FAILED, CB_ERROR_TRANSIENT);
	assert_int_equal(s.machine.n_calls[OP_IRQ_SET], 0);
	machine_assert_true(&s.machine);
	end(&s);
}

/* --- dying in the middle --- */

struct shared {
	struct setting s;
	char dir[256];
	uint32_t die_at, seen; /* operations, before and after each */
};

static void die(struct machine *machine, enum machine_op op, uint32_t call)
{
	struct shared *shared = machine->userdata;

	(void)op;
	(void)call;
	if (++shared->seen == shared->die_at)
		_exit(42);
}

/* What is died in: place, place again, an interrupt, release. */
static void life(struct shared *shared)
{
	struct setting *s = &shared->s;

	if (cb_journal_open(shared->dir, BOOT, &s->journal, NULL) < 0)
		_exit(1);
	s->machine.userdata = shared;
	s->machine.before = s->machine.after = die;
	place(s, s->main, "1,4");
	place_irq(s, "3");
	place(s, s->main, "6");
	machine_clone(&s->machine, s->second);
	machine_fork(&s->machine, s->second);
	machine_fire(s->irq);
	place_irq(s, "4");
	release(s, NULL);
	machine_fire(s->irq);
	release_pending(s);
	_exit(0);
}

static uint32_t n_said;

static void count_lines(const char *line, void *userdata)
{
	(void)userdata;
	print_message("%s\n", line);
	n_said++;
}

static void restore_after(struct shared *shared)
{
	struct setting *s = &shared->s;
	struct cb_host host = { .writer = &s->machine.writer };
	struct cb_restore_result result;
	struct cb_err err = { "" };

	machine_no_script(&s->machine);
	s->machine.writer.heirs = NULL; /* was the child's */
	machine_tick(&s->machine, 100);
	snprintf(host.boot_id, sizeof(host.boot_id), BOOT);
	n_said = 0;
	if (cb_restore_offline(&host, shared->dir, count_lines, NULL, &result, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(result.n_foreign + result.n_failed + result.n_gone, 0);
	assert_int_equal(n_said, result.n_pending);
	machine_done(&s->machine);
	machine_assert_true(&s->machine);
}

static void dying_at_any_operation(void **state)
{
	struct shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	const char *tmp = getenv("TMPDIR");
	int status = 42;
	uint32_t points = 0;

	(void)state;
	assert_true(shared != MAP_FAILED);
	for (uint32_t at = 1; status == 42; at += 3) {
		char path[300];
		pid_t child;

		memset(shared, 0, sizeof(*shared));
		begin(&shared->s);
		cb_journal_close(shared->s.journal);
		shared->die_at = at;
		snprintf(shared->dir, sizeof(shared->dir), "%s/apply.XXXXXX", tmp ? tmp : "/tmp");
		assert_non_null(mkdtemp(shared->dir));
		child = fork();
		assert_true(child >= 0);
		if (child == 0)
			life(shared);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFEXITED(status));
		status = WEXITSTATUS(status);
		assert_true(status == 42 || status == 0);
		restore_after(shared);
		snprintf(path, sizeof(path), "%s/journal", shared->dir);
		assert_int_equal(unlink(path), 0);
		assert_int_equal(rmdir(shared->dir), 0);
		points++;
	}
	print_message("died at %u of %u operations\n", points - 1, shared->seen);
	assert_true(points > 40);
	munmap(shared, sizeof(*shared));
}

static void restore_without_a_journal(void **state)
{
	struct setting s;
	struct cb_host host = { .writer = &s.machine.writer };
	struct cb_restore_result result = { .n_restored = 9 };

	(void)state;
	begin(&s);
	assert_int_equal(cb_restore_offline(&host, "/nonexistent/below", NULL, NULL, &result, NULL),
			 0);
	assert_int_equal(result.n_restored, 0);
	end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_errno_while_placing),
		cmocka_unit_test(any_errno_while_restoring),
		cmocka_unit_test(no_journal_no_write),
		cmocka_unit_test(dying_at_any_operation),
		cmocka_unit_test(restore_without_a_journal),
	};

	return cmocka_run_group_tests_name("apply faults", tests, NULL, NULL);
}
