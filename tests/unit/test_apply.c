/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Placing and putting back, on a machine that is a table: what is written and what is not. */
#include "apply_test.h"

/* --- threads --- */

static void each_thread_gets_its_own_original_back(void **state)
{
	struct setting s;
	struct cb_change change;
	const struct cb_journal_entry *e;

	(void)state;
	begin(&s);
	assert_step(place(&s, s.main, "1,4"), CB_STEP_DONE, CB_ERROR_NONE);
	assert_mask(s.main->mask, "1,4");
	assert_mask(s.second->mask, "1,4");
	assert_mask(s.third->mask, "1,4");
	assert_int_equal(cb_journal_count(s.journal), 3);
	e = cb_journal_find_task(s.journal, s.third->tid, s.third->start_ticks);
	assert_non_null(e);
	assert_mask(e->original, "2");
	assert_mask(e->set, "1,4");
	assert_int_equal(e->tgid, s.main->tid);
	assert_string_equal(e->group, "nginx");
	assert_int_equal(e->plan_id, 5);
	assert_false(e->heir);

	assert_step(place(&s, s.main, "3"), CB_STEP_DONE, CB_ERROR_NONE);
	assert_mask(s.third->mask, "3");
	e = cb_journal_find_task(s.journal, s.third->tid, s.third->start_ticks);
	assert_mask(e->original, "2");
	assert_mask(e->was, "1,4");

	change = release(&s, "other");
	assert_int_equal(change.n_restored, 0);
	change = release(&s, "nginx");
	assert_int_equal(change.n_restored, 3);
	assert_int_equal(cb_journal_count(s.journal), 0);
	machine_assert_true(&s.machine);
	end(&s);
}

static void nothing_to_do_writes_nothing(void **state)
{
	struct setting s;

	(void)state;
	begin(&s);
	machine_exit(&s.machine, s.third);
	assert_step(place(&s, s.main, "0-7"), CB_STEP_DONE, CB_ERROR_NONE);
	assert_int_equal(s.machine.n_calls[OP_TASK_SET], 0);
	assert_int_equal(cb_journal_count(s.journal), 0);
	assert_step(place(&s, s.main, "1"), CB_STEP_DONE, CB_ERROR_NONE);
	assert_int_equal(s.machine.n_calls[OP_TASK_SET], 2);
	assert_step(place(&s, s.main, "1"), CB_STEP_DONE, CB_ERROR_NONE);
	assert_int_equal(s.machine.n_calls[OP_TASK_SET], 2);
	/* Placed where it came from, there is nothing left to remember. */
	assert_step(place(&s, s.main, "0-7"), CB_STEP_DONE, CB_ERROR_NONE);
	assert_int_equal(cb_journal_count(s.journal), 0);
	machine_assert_true(&s.machine);
	end(&s);
}

static void only_what_exists_is_written(void **state)
{
	struct setting s;

	(void)state;
	begin(&s);
	assert_step(place(&s, s.main, "5-20"), CB_STEP_DONE, CB_ERROR_NONE);
	assert_mask(s.main->mask, "5-7");
	assert_step(place(&s, s.main, "20"), CB_STEP_FAILED, CB_ERROR_TRANSIENT);
	assert_mask(s.main->mask, "5-7");
	s.main->cpuset = s.second->cpuset = s.third->cpuset = cpus("0-3");
	assert_step(place(&s, s.main, "3-5"), CB_STEP_DONE, CB_ERROR_NONE);
	assert_mask(s.main->mask, "3");
	assert_step(place(&s, s.main, "6"), CB_STEP_FAILED, CB_ERROR_TRANSIENT);
	assert_mask(s.main->mask, "3");
	end(&s);
}

/* One thread in a narrower cpuset than its process: what is possible for it is what all get. */
static void a_mask_cut_by_the_kernel(void **state)
{
	struct setting s;

	(void)state;
	begin(&s);
	s.second->cpuset = cpus("1-3");
	assert_step(place(&s, s.main, "3-5"), CB_STEP_DONE, CB_ERROR_NONE);
	assert_mask(s.main->mask, "3");
	assert_mask(s.second->mask, "3");
	assert_mask(s.third->mask, "3");
	assert_mask(cb_journal_find_task(s.journal, s.main->tid, s.main->start_ticks)->set, "3");
	s.second->cpuset = CB_CPUSET_EMPTY;
	release(&s, NULL);
	machine_assert_true(&s.machine);
	end(&s);
}

static void narrowed_by_its_cpuset_since(void **state)
{
	struct setting s;

	(void)state;
	begin(&s);
	assert_step(place(&s, s.main, "1-4"), CB_STEP_DONE, CB_ERROR_NONE);
	for (size_t i = 0; i < 3; i++) {
		s.machine.thread[i].cpuset = cpus("0-2");
		s.machine.thread[i].mask = cpus("1-2");
	}
	assert_step(place(&s, s.main, "0"), CB_STEP_DONE, CB_ERROR_NONE);
	assert_int_equal(release(&s, NULL).n_foreign, 0);
	assert_mask(s.main->mask, "0-2"); /* all of the original that its cpuset leaves */
	assert_int_equal(cb_journal_count(s.journal), 0);
	end(&s);
}

static void foreign_masks_are_left_alone(void **state)
{
	struct setting s;
	struct cb_change change;
	struct cb_cpuset own = cpus("6");

	(void)state;
	begin(&s);
	assert_step(place(&s, s.main, "1"), CB_STEP_DONE, CB_ERROR_NONE);
	machine_pin(s.second, &own);
	machine_no_script(&s.machine);
	assert_step(place(&s, s.main, "3"), CB_STEP_FAILED, CB_ERROR_FOREIGN);
	assert_int_equal(s.machine.n_calls[OP_TASK_SET], 0);
	assert_mask(s.main->mask, "1");
	assert_mask(cb_journal_find_task(s.journal, s.main->tid, s.main->start_ticks)->set, "1");
	change = release(&s, NULL);
	assert_int_equal(change.n_foreign, 1);
	assert_int_equal(change.n_restored, 2);
	assert_int_equal(cb_journal_count(s.journal), 0);
	machine_assert_true(&s.machine);
	end(&s);
}

static void set_back_by_somebody_is_not_foreign(void **state)
{
	struct setting s;

	(void)state;
	begin(&s);
	assert_step(place(&s, s.main, "1"), CB_STEP_DONE, CB_ERROR_NONE);
	s.second->mask = s.second->truth;
	assert_step(place(&s, s.main, "3"), CB_STEP_DONE, CB_ERROR_NONE);
	assert_mask(s.second->mask, "3");
	release(&s, NULL);
	machine_assert_true(&s.machine);
	end(&s);
}

static void gone_and_reused(void **state)
{
	struct cb_cpuset all = cpus("0-7");
	struct setting s;
	struct machine_thread old;

	(void)state;
	begin(&s);
	s.machine.reuse_tids = true;
	assert_step(place(&s, s.main, "1"), CB_STEP_DONE, CB_ERROR_NONE);
	old = *s.main;
	machine_exit_process(&s.machine, old.tgid);
	assert_step(place(&s, &old, "1"), CB_STEP_GONE, CB_ERROR_GONE);
	/* Somebody else with the same number, and the very mask: not touched. */
	s.machine.next_tid = old.tid;
	s.machine.reuse_tids = false;
	machine_tick(&s.machine, 10);
	s.main = machine_spawn(&s.machine, &all);
	assert_int_equal(s.main->tid, old.tid);
	machine_pin(s.main, &old.mask);
	s.main->cgroup_id = 2;
	machine_no_script(&s.machine);
	assert_step(place(&s, &old, "2"), CB_STEP_GONE, CB_ERROR_GONE);
	assert_int_equal(release(&s, NULL).n_gone, 3);
	assert_int_equal(s.machine.n_calls[OP_TASK_SET], 0);
	assert_int_equal(cb_journal_count(s.journal), 0);
	end(&s);
}

static void zombies(void **state)
{
	struct setting s;

	(void)state;
	begin(&s);
	assert_step(place(&s, s.main, "1"), CB_STEP_DONE, CB_ERROR_NONE);
	/* The main thread has ended, the others work on. */
	s.main->state = 'Z';
	assert_step(place(&s, s.main, "2"), CB_STEP_DONE, CB_ERROR_NONE);
	assert_mask(s.third->mask, "2");
	release(&s, NULL);
	assert_mask(s.third->mask, "2");
	machine_exit(&s.machine, s.second);
	machine_exit(&s.machine, s.third);
	assert_step(place(&s, s.main, "3"), CB_STEP_GONE, CB_ERROR_GONE);
	end(&s);
}

static void threads_that_refuse(void **state)
{
	struct setting s;

	(void)state;
	begin(&s);
	s.third->flags = 0x04000000; /* PF_NO_SETAFFINITY */
	assert_step(place(&s, s.main, "1"), CB_STEP_FAILED, CB_ERROR_PERMANENT);
	assert_int_equal(cb_journal_count(s.journal), 0);
	machine_assert_true(&s.machine);
	end(&s);
}

/* A thread made while we walk, by one that has our mask already: it is an heir of its process. */
static void clone_on_third_write(struct machine *machine, enum machine_op op, uint32_t call)
{
	struct setting *s = machine->userdata;

	if (op == OP_TASK_SET && call == 3)
		machine_clone(machine, s->main);
}

static void clone_before_first_write(struct machine *machine, enum machine_op op, uint32_t call)
{
	struct setting *s = machine->userdata;

	if (op == OP_TASK_SET && call == 1)
		machine_clone(machine, s->third);
}

static void threads_made_meanwhile(void **state)
{
	void (*const hooks[])(struct machine *, enum machine_op,
			      uint32_t) = { clone_on_third_write, clone_before_first_write };

	(void)state;
	for (size_t i = 0; i < CB_ARRAY_SIZE(hooks); i++) {
		struct setting s;

		begin(&s);
		s.machine.userdata = &s;
		s.machine.after = i == 0 ? hooks[i] : NULL;
		s.machine.before = i == 1 ? hooks[i] : NULL;
		assert_step(place(&s, s.main, "1"), CB_STEP_DONE, CB_ERROR_NONE);
		assert_int_equal(s.machine.thread[3].tgid, s.main->tid);
		assert_mask(s.machine.thread[3].mask, "1");
		machine_no_script(&s.machine);
		/* And one after it. */
		machine_tick(&s.machine, 5);
		machine_clone(&s.machine, s.second);
		assert_int_equal(release(&s, NULL).n_restored, 5);
		machine_assert_true(&s.machine);
		release_pending(&s);
		assert_int_equal(cb_journal_count(s.journal), 0);
		end(&s);
	}
}

/* Had before us, or by itself, what we want now: not an heir, even if it is as young as the clock can tell. */
static void same_mask_by_itself(void **state)
{
	struct cb_cpuset one = cpus("1"), two = cpus("2");
	struct setting s;

	(void)state;
	begin(&s);
	s.machine.now_ticks = s.main->start_ticks;
	machine_pin(s.second, &one);
	assert_step(place(&s, s.main, "1"), CB_STEP_DONE, CB_ERROR_NONE);
	assert_step(place(&s, s.main, "1"), CB_STEP_DONE, CB_ERROR_NONE);
	machine_tick(&s.machine, 5);
	machine_pin(machine_clone(&s.machine, s.main), &two);
	assert_step(place(&s, s.main, "2"), CB_STEP_DONE, CB_ERROR_NONE);
	release(&s, NULL);
	assert_int_equal(cb_journal_count(s.journal), 0);
	machine_assert_true(&s.machine);
	/* Older than the placement: there is nothing to mistake, and nothing to remember. */
	machine_tick(&s.machine, 5);
	assert_step(place(&s, s.main, "1"), CB_STEP_DONE, CB_ERROR_NONE);
	assert_int_equal(cb_journal_count(s.journal), 3);
	release(&s, NULL);
	machine_assert_true(&s.machine);
	end(&s);
}

static void clone_always(struct machine *machine, enum machine_op op, uint32_t call)
{
	struct setting *s = machine->userdata;
	struct machine_thread *t;

	(void)call;
	if (op != OP_TASK_LIST)
		return;
	t = machine_clone(machine, s->main);
	if (t)
		machine_pin(t, &s->main->truth);
}

static void threads_that_never_come_to_rest(void **state)
{
	struct setting s;

	(void)state;
	begin(&s);
	s.machine.userdata = &s;
	s.machine.after = clone_always;
	assert_step(place(&s, s.main, "1"), CB_STEP_FAILED, CB_ERROR_TRANSIENT);
	assert_int_equal(cb_journal_count(s.journal), 0);
	machine_assert_true(&s.machine);
	end(&s);
}

/* --- interrupts --- */

static void interrupt_there_and_back(void **state)
{
	struct setting s;
	struct cb_change change;
	const struct cb_journal_entry *e;

	(void)state;
	begin(&s);
	assert_step(place_irq(&s, "3"), CB_STEP_PENDING, CB_ERROR_NONE);
	assert_mask(s.irq->mask, "3");
	e = cb_journal_find_irq(s.journal, 38, 1038, "eth0-rx-0");
	assert_non_null(e);
	assert_mask(e->original, "0-7");
	assert_int_equal(e->original_effective_cpu, 0);
	machine_fire(s.irq);
	assert_int_equal(s.irq->effective, 3);
	assert_step(place_irq(&s, "3-4"), CB_STEP_DONE, CB_ERROR_NONE);

	/* Home first, and only then the wide mask. */
	change = release(&s, NULL);
	assert_int_equal(change.n_pending, 1);
	assert_mask(s.irq->mask, "0");
	assert_int_equal(release_pending(&s), 1);
	assert_int_equal(cb_journal_count(s.journal), 1);
	machine_fire(s.irq);
	assert_int_equal(release_pending(&s), 0);
	assert_int_equal(s.irq->effective, 0);
	assert_int_equal(cb_journal_count(s.journal), 0);
	machine_assert_true(&s.machine);
	end(&s);
}

static void interrupt_that_stays_silent(void **state)
{
	struct setting s;

	(void)state;
	begin(&s);
	assert_step(place_irq(&s, "3"), CB_STEP_PENDING, CB_ERROR_NONE);
	machine_fire(s.irq);
	assert_int_equal(release(&s, NULL).n_pending, 1);
	assert_int_equal(release_pending(&s), 1);
	machine_tick(&s.machine, 2900);
	assert_int_equal(release_pending(&s), 1);
	machine_tick(&s.machine, 200);
	assert_int_equal(release_pending(&s), 0);
	machine_assert_true(&s.machine);
	assert_int_equal(cb_journal_count(s.journal), 0);
	end(&s);
}

static void interrupt_that_never_left(void **state)
{
	struct setting s;

	(void)state;
	begin(&s);
	assert_step(place_irq(&s, "3"), CB_STEP_PENDING, CB_ERROR_NONE);
	assert_int_equal(release(&s, NULL).n_restored, 1);
	machine_assert_true(&s.machine);
	/* Where the kernel does not tell where it lands, done is done. */
	s.irq->effective = -1;
	assert_step(place_irq(&s, "3"), CB_STEP_DONE, CB_ERROR_NONE);
	assert_int_equal(release(&s, NULL).n_restored, 1);
	machine_assert_true(&s.machine);
	end(&s);
}

static void interrupt_changed_by_somebody_else(void **state)
{
	struct setting s;

	(void)state;
	begin(&s);
	assert_step(place_irq(&s, "3"), CB_STEP_PENDING, CB_ERROR_NONE);
	s.irq->mask = s.irq->original = cpus("6");
	machine_no_script(&s.machine);
	assert_step(place_irq(&s, "4"), CB_STEP_FAILED, CB_ERROR_FOREIGN);
	assert_int_equal(s.machine.n_calls[OP_IRQ_SET], 0);
	assert_int_equal(release(&s, NULL).n_foreign, 1);
	assert_int_equal(cb_journal_count(s.journal), 0);
	machine_assert_true(&s.machine);
	end(&s);
}

static void interrupt_of_another_device_now(void **state)
{
	struct setting s;

	(void)state;
	begin(&s);
	assert_step(place_irq(&s, "3"), CB_STEP_PENDING, CB_ERROR_NONE);
	strcpy(s.irq->actions, "eth1-rx-0");
	s.irq->original = s.irq->mask;
	assert_int_equal(release(&s, NULL).n_gone, 1);
	machine_assert_true(&s.machine);
	assert_step(place_irq(&s, "4"), CB_STEP_PENDING, CB_ERROR_NONE);
	s.irq->gone = true;
	assert_step(place_irq(&s, "4"), CB_STEP_GONE, CB_ERROR_GONE);
	assert_int_equal(release_pending(&s), 0);
	assert_int_equal(cb_journal_count(s.journal), 0);
	end(&s);
}

static void interrupt_placed_again_while_it_goes_home(void **state)
{
	struct setting s;

	(void)state;
	begin(&s);
	place_irq(&s, "3");
	machine_fire(s.irq);
	assert_int_equal(release(&s, NULL).n_pending, 1);
	assert_step(place_irq(&s, "5"), CB_STEP_PENDING, CB_ERROR_NONE);
	assert_int_equal(cb_journal_n_pending(s.journal), 0);
	assert_int_equal(release_pending(&s), 0);
	assert_mask(s.irq->mask, "5");
	machine_fire(s.irq);
	assert_int_equal(release(&s, NULL).n_pending, 1);
	machine_fire(s.irq);
	assert_int_equal(release_pending(&s), 0);
	machine_assert_true(&s.machine);
	end(&s);
}

static void refused_writes_of_an_interrupt(void **state)
{
	static const struct {
		int errnum;
		enum cb_error_class error_class;
	} cases[] = {
		{ EIO, CB_ERROR_PERMANENT },	{ EPERM, CB_ERROR_PERMANENT },
		{ EACCES, CB_ERROR_PERMANENT }, { ENOSPC, CB_ERROR_CAPACITY },
		{ EINVAL, CB_ERROR_TRANSIENT }, { EBUSY, CB_ERROR_TRANSIENT },
		{ ERANGE, CB_ERROR_TRANSIENT },
	};

	(void)state;
	for (size_t i = 0; i < CB_ARRAY_SIZE(cases); i++) {
		struct setting s;
		struct cb_step step;

		begin(&s);
		s.machine.fail_op = OP_IRQ_SET;
		s.machine.fail_call = s.machine.fail_calls = 1;
		s.machine.fail_errnum = cases[i].errnum;
		step = place_irq(&s, "3");
		assert_step(step, CB_STEP_FAILED, cases[i].error_class);
		assert_int_equal(step.errnum, cases[i].errnum);
		assert_int_equal(cb_journal_count(s.journal), 0);
		machine_assert_true(&s.machine);
		end(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_thread_gets_its_own_original_back),
		cmocka_unit_test(nothing_to_do_writes_nothing),
		cmocka_unit_test(only_what_exists_is_written),
		cmocka_unit_test(a_mask_cut_by_the_kernel),
		cmocka_unit_test(narrowed_by_its_cpuset_since),
		cmocka_unit_test(foreign_masks_are_left_alone),
		cmocka_unit_test(set_back_by_somebody_is_not_foreign),
		cmocka_unit_test(gone_and_reused),
		cmocka_unit_test(zombies),
		cmocka_unit_test(threads_that_refuse),
		cmocka_unit_test(threads_made_meanwhile),
		cmocka_unit_test(same_mask_by_itself),
		cmocka_unit_test(threads_that_never_come_to_rest),
		cmocka_unit_test(interrupt_there_and_back),
		cmocka_unit_test(interrupt_that_stays_silent),
		cmocka_unit_test(interrupt_that_never_left),
		cmocka_unit_test(interrupt_changed_by_somebody_else),
		cmocka_unit_test(interrupt_of_another_device_now),
		cmocka_unit_test(interrupt_placed_again_while_it_goes_home),
		cmocka_unit_test(refused_writes_of_an_interrupt),
	};

	return cmocka_run_group_tests_name("apply", tests, NULL, NULL);
}
