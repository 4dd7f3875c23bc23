/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Placing and putting back, on a machine that is a table: what is written, what is not, and what every errno leaves. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/host/apply_internal.h"
#include "lib/host/journal_internal.h"
#include "machine.h"

#define BOOT "b"

struct setting {
	struct machine machine;
	struct cb_journal *journal;
	struct machine_thread *main, *second, *third; /* of one process, masks 0-7, 0-7, 2 */
	struct machine_irq *irq;		      /* 38, mask 0-7, lands on 0 */
};

static void begin(struct setting *s)
{
	const struct cb_cpuset all = cpus("0-7"), two = cpus("2");

	memset(s, 0, sizeof(*s));
	machine_init(&s->machine);
	assert_int_equal(cb_journal_open(NULL, BOOT, &s->journal, NULL), 0);
	s->main = machine_spawn(&s->machine, &all);
	s->second = machine_clone(&s->machine, s->main);
	s->third = machine_clone(&s->machine, s->main);
	machine_pin(s->third, &two);
	s->irq = machine_add_irq(&s->machine, 38, "eth0-rx-0", &all, 0);
	machine_tick(&s->machine, 100);
}

static void end(struct setting *s)
{
	cb_journal_close(s->journal);
	machine_done(&s->machine);
}

static struct cb_change change_of(struct setting *s)
{
	return (struct cb_change){ .writer = &s->machine.writer, .journal = s->journal };
}

static struct cb_step place(struct setting *s, const struct machine_thread *process, const char *to)
{
	struct cb_change change = change_of(s);
	struct cb_target target = {
		.tgid = process->tgid,
		.start_ticks = process->start_ticks,
		.group = "nginx",
		.plan_id = 5,
	};
	struct cb_step step = { .item = { .kind = CB_ITEM_WORKER, .key = 1 }, .to = cpus(to) };

	cb_place_process(&change, &target, &step);
	return step;
}

static struct cb_step place_irq(struct setting *s, const char *to)
{
	struct cb_change change = change_of(s);
	struct cb_step step = { .item = { .kind = CB_ITEM_IRQ, .key = 38 }, .to = cpus(to) };

	cb_place_irq(&change, "nginx", 5, &step);
	return step;
}

static struct cb_change release(struct setting *s, const char *group)
{
	struct cb_change change = change_of(s);
	struct cb_select select = { .group = group };

	cb_restore_selected(&change, &select, false);
	return change;
}

static uint32_t release_pending(struct setting *s)
{
	struct cb_host host = { .writer = &s->machine.writer };

	return cb_release_pending(&host, s->journal);
}

#define assert_mask(set, list)                                                             \
	do {                                                                               \
		char _shown[64];                                                           \
		assert_string_equal(cb_cpuset_show(&(set), _shown, sizeof(_shown)), list); \
	} while (0)

#define assert_step(step, the_state, the_class)                             \
	do {                                                                \
		const struct cb_step _step = (step);                        \
		assert_string_equal(cb_step_state_name(_step.state),        \
				    cb_step_state_name(the_state));         \
		assert_string_equal(cb_error_class_name(_step.error_class), \
				    cb_error_class_name(the_class));        \
	} while (0)

static void assert_true_masks(struct setting *s)
{
	for (size_t i = 0; i < MACHINE_THREADS; i++) {
		const struct machine_thread *t = &s->machine.thread[i];
		char is[64], should[64];

		if (t->tid != 0 && !machine_is_dead(&s->machine, t) &&
		    !cb_cpuset_equal(&t->mask, &t->truth))
			fail_msg("thread %d of %d has %s, by right %s", t->tid, t->tgid,
				 cb_cpuset_show(&t->mask, is, sizeof(is)),
				 cb_cpuset_show(&t->truth, should, sizeof(should)));
	}
	for (size_t i = 0; i < MACHINE_IRQS; i++)
		if (s->machine.irq[i].irq != 0)
			assert_true(cb_cpuset_equal(&s->machine.irq[i].mask,
						    &s->machine.irq[i].original));
}

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
	assert_true_masks(&s);
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
	assert_true_masks(&s);
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
	assert_true_masks(&s);
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
	assert_true_masks(&s);
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
	assert_true_masks(&s);
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
	assert_true_masks(&s);
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
		assert_true_masks(&s);
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
	assert_true_masks(&s);
	/* Older than the placement: there is nothing to mistake, and nothing to remember. */
	machine_tick(&s.machine, 5);
	assert_step(place(&s, s.main, "1"), CB_STEP_DONE, CB_ERROR_NONE);
	assert_int_equal(cb_journal_count(s.journal), 3);
	release(&s, NULL);
	assert_true_masks(&s);
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
	assert_true_masks(&s);
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
	assert_true_masks(&s);
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
	assert_true_masks(&s);
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
	assert_true_masks(&s);
	/* Where the kernel does not tell where it lands, done is done. */
	s.irq->effective = -1;
	assert_step(place_irq(&s, "3"), CB_STEP_DONE, CB_ERROR_NONE);
	assert_int_equal(release(&s, NULL).n_restored, 1);
	assert_true_masks(&s);
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
	assert_true_masks(&s);
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
	assert_true_masks(&s);
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
	assert_true_masks(&s);
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
		assert_true_masks(&s);
		end(&s);
	}
}

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
	assert_true_masks(s);
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
	assert_true_masks(&s);
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
	assert_true_masks(s);
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
		cmocka_unit_test(any_errno_while_placing),
		cmocka_unit_test(any_errno_while_restoring),
		cmocka_unit_test(no_journal_no_write),
		cmocka_unit_test(dying_at_any_operation),
		cmocka_unit_test(restore_without_a_journal),
	};

	return cmocka_run_group_tests_name("apply", tests, NULL, NULL);
}
