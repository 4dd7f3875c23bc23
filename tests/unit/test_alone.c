/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A thread that is placed alone: the others of its process stay where they are, and what it makes is followed. */
#include "heirs_test.h"

static void others_are_left_alone(void **state)
{
	(void)state;
	BOTH(eyes)
	{
		struct setting s;
		struct machine_thread *one, *two;
		const struct cb_journal_entry *e;

		begin(&s, eyes);
		one = clone_of(&s, s.worker);
		two = clone_of(&s, s.worker);
		place_alone(&s, one, "1");
		place_alone(&s, two, "2");
		/* The main thread is one like the others. */
		place_alone(&s, s.worker, "3");
		tick(&s);
		assert_int_equal(cb_journal_count(s.journal), 3);
		assert_true(cb_cpuset_equal(&one->mask, &(struct cb_cpuset){ { 1u << 1 } }));
		assert_true(cb_cpuset_equal(&two->mask, &(struct cb_cpuset){ { 1u << 2 } }));
		e = entry_of(&s, one);
		assert_non_null(e);
		assert_true(e->alone);
		assert_false(e->heir);
		place_alone(&s, one, "4");
		assert_true(cb_cpuset_equal(&two->mask, &(struct cb_cpuset){ { 1u << 2 } }));
		release_all(&s, 3);
		end(&s);
	}
}

/* New threads of the others have nothing of ours, and do not follow. */
static void new_threads_of_others_stay(void **state)
{
	(void)state;
	BOTH(eyes)
	{
		struct setting s;
		struct machine_thread *one, *late;

		begin(&s, eyes);
		one = clone_of(&s, s.worker);
		place_alone(&s, s.worker, "3");
		tick(&s);
		late = clone_of(&s, one);
		tick(&s);
		assert_true(cb_cpuset_equal(&late->mask, &late->truth));
		assert_int_equal(cb_journal_count(s.journal), 1);
		release_all(&s, 1);
		end(&s);
	}
}

static void what_it_makes_is_followed(void **state)
{
	(void)state;
	BOTH(eyes)
	{
		struct setting s;
		struct machine_thread *one, *thread, *child;
		const struct cb_journal_entry *e;

		begin(&s, eyes);
		one = clone_of(&s, s.worker);
		place_alone(&s, one, "1");
		tick(&s);
		thread = clone_of(&s, one);
		child = fork_of(&s, one);
		tick(&s);
		assert_int_equal(cb_journal_count(s.journal), 3);
		e = entry_of(&s, thread);
		assert_non_null(e);
		assert_true(e->heir && e->alone);
		assert_int_equal(e->root_tgid, one->tid);
		e = entry_of(&s, child);
		assert_non_null(e);
		assert_true(e->heir && !e->alone);
		/* Offspring of the offspring, after its makers have gone. */
		clone_of(&s, thread);
		fork_of(&s, child);
		tick(&s);
		machine_exit(&s.machine, one);
		machine_exit(&s.machine, thread);
		machine_exit_process(&s.machine, child->tgid);
		tick(&s);
		tick(&s);
		release_all(&s, 2);
		end(&s);
	}
}

static void one_thread_back_with_its_heirs(void **state)
{
	(void)state;
	BOTH(eyes)
	{
		struct setting s;
		struct cb_change change = { 0 };
		struct machine_thread *one, *two;
		struct cb_target target = { .group = "g" };
		struct cb_select select = { .lineage = &target };

		begin(&s, eyes);
		one = clone_of(&s, s.worker);
		two = clone_of(&s, s.worker);
		place_alone(&s, one, "1");
		place_alone(&s, two, "2");
		tick(&s);
		clone_of(&s, one);
		fork_of(&s, one);
		fork_of(&s, two);
		tick(&s);
		assert_int_equal(cb_journal_count(s.journal), 5);
		change.writer = &s.machine.writer;
		change.journal = s.journal;
		target.tgid = one->tgid;
		target.tid = one->tid;
		target.start_ticks = one->start_ticks;
		cb_restore_selected(&change, &select, false);
		assert_int_equal(change.n_restored, 3);
		tick(&s);
		assert_int_equal(cb_journal_count(s.journal), 2);
		release_all(&s, 2);
		end(&s);
	}
}

/* A number that was used again is another thread. */
static void another_thread_with_its_number(void **state)
{
	(void)state;
	BOTH(eyes)
	{
		const struct cb_cpuset mask = cpus("1");
		struct setting s;
		struct machine_thread *one, old;
		struct cb_step step;

		begin(&s, eyes);
		one = clone_of(&s, s.worker);
		old = *one;
		old.start_ticks--;
		step = place(&s, &old, true, "g", &mask);
		assert_int_equal(step.state, CB_STEP_GONE);
		machine_assert_true(&s.machine);
		assert_int_equal(cb_journal_count(s.journal), 0);
		end(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(others_are_left_alone),
		cmocka_unit_test(new_threads_of_others_stay),
		cmocka_unit_test(what_it_makes_is_followed),
		cmocka_unit_test(one_thread_back_with_its_heirs),
		cmocka_unit_test(another_thread_with_its_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
