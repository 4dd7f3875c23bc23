/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Who inherits our mask, and gets the true original back: by news of forks, by walking, by searching. */
#include "heirs_test.h"

/* --- what has to come out right --- */

static void successor_of_a_worker_that_ends_at_once(void **state)
{
	(void)state;
	BOTH(eyes)
	{
		struct setting s;
		struct machine_thread *successor;
		const struct cb_journal_entry *e;

		begin(&s, eyes);
		place_ok(&s, s.worker, "1");
		tick(&s);
		successor = fork_of(&s, s.worker);
		machine_exit_process(&s.machine, s.worker->tgid);
		tick(&s);
		tick(&s);
		assert_int_equal(cb_journal_count(s.journal), 1);
		e = entry_of(&s, successor);
		assert_non_null(e);
		assert_true(e->heir);
		assert_string_equal(e->group, "g");
		/* It is placed itself, and has a successor too. */
		place_ok(&s, successor, "2");
		tick(&s);
		fork_of(&s, successor);
		machine_exit_process(&s.machine, successor->tgid);
		tick(&s);
		release_all(&s, 1);
		end(&s);
	}
}

static void released_in_the_same_tick(void **state)
{
	(void)state;
	BOTH(eyes)
	{
		struct setting s;

		begin(&s, eyes);
		place_ok(&s, s.worker, "1");
		fork_of(&s, s.worker);
		clone_of(&s, s.worker);
		release_all(&s, 3);
		end(&s);
	}
}

static void daemons_fork_twice(void **state)
{
	(void)state;
	BOTH(eyes)
	{
		struct setting s;
		struct machine_thread *middle;

		begin(&s, eyes);
		place_ok(&s, s.worker, "1");
		tick(&s);
		middle = fork_of(&s, s.worker);
		fork_of(&s, middle);
		machine_exit_process(&s.machine, middle->tgid);
		tick(&s);
		release_all(&s, 2);

		/* The whole chain ends but its last. */
		place_ok(&s, s.worker, "1");
		tick(&s);
		middle = fork_of(&s, s.worker);
		fork_of(&s, middle);
		machine_exit_process(&s.machine, middle->tgid);
		machine_exit_process(&s.machine, s.worker->tgid);
		tick(&s);
		tick(&s);
		release_all(&s, 1);
		end(&s);
	}
}

static void threads_of_heirs(void **state)
{
	(void)state;
	BOTH(eyes)
	{
		struct setting s;
		struct machine_thread *child;

		begin(&s, eyes);
		place_ok(&s, s.worker, "1");
		child = fork_of(&s, s.worker);
		clone_of(&s, child);
		tick(&s);
		assert_int_equal(cb_journal_count(s.journal), 3);
		clone_of(&s, child);
		fork_of(&s, child);
		machine_exit_process(&s.machine, s.worker->tgid);
		tick(&s);
		release_all(&s, 4);
		end(&s);
	}
}

/* Forked between two placements, it still has the first mask. */
static void forked_before_the_second_placement(void **state)
{
	(void)state;
	BOTH(eyes)
	{
		struct setting s;
		struct cb_change change = { 0 };
		struct cb_step step = { .to = cpus("2") };
		struct cb_target target = { .group = "g" };

		begin(&s, eyes);
		place_ok(&s, s.worker, "1");
		tick(&s);
		change.writer = &s.machine.writer;
		change.journal = s.journal;
		target.tgid = s.worker->tgid;
		target.start_ticks = s.worker->start_ticks;
		machine_fork(&s.machine, s.worker); /* not heard of in time */
		cb_place_process(&change, &target, &step);
		assert_int_equal(step.state, CB_STEP_DONE);
		tick(&s);
		release_all(&s, 2);
		end(&s);
	}
}

static void one_worker_back_with_its_heirs(void **state)
{
	(void)state;
	BOTH(eyes)
	{
		struct setting s;
		struct cb_change change = { 0 };
		struct machine_thread *other;
		struct cb_target target = { .group = "g" };
		struct cb_select select = { .lineage = &target };

		begin(&s, eyes);
		other = fork_of(&s, s.master);
		place_ok(&s, s.worker, "1");
		place_ok(&s, other, "1");
		fork_of(&s, fork_of(&s, s.worker));
		fork_of(&s, other);
		tick(&s);
		assert_int_equal(cb_journal_count(s.journal), 5);
		change.writer = &s.machine.writer;
		change.journal = s.journal;
		target.tgid = s.worker->tgid;
		target.start_ticks = s.worker->start_ticks;
		cb_restore_selected(&change, &select, false);
		assert_int_equal(change.n_restored, 3);
		tick(&s);
		assert_int_equal(cb_journal_count(s.journal), 2);
		release_all(&s, 2);
		end(&s);
	}
}

/* A thread that comes to light after the walk, with the mask of before. */
static void stragglers_follow(void **state)
{
	(void)state;
	BOTH(eyes)
	{
		struct setting s;
		struct machine_thread *late;

		begin(&s, eyes);
		place_ok(&s, s.worker, "1");
		tick(&s);
		for (unsigned int i = 0; i < 2; i++) {
			late = clone_of(&s, s.worker);
			late->mask = i == 0 ? late->truth : cpus("1");
			tick(&s);
			assert_true(cb_cpuset_equal(&late->mask, &s.worker->mask));
			place_ok(&s, s.worker, "2");
		}
		/* Not so when the process is back: what its threads have is theirs. */
		s.worker->mask = s.worker->truth;
		late = clone_of(&s, s.worker);
		tick(&s);
		assert_true(cb_cpuset_equal(&late->mask, &late->truth));
		release(&s, NULL);
		machine_assert_true(&s.machine);
		end(&s);
	}
}

/* A thread and a child that were being made while their creator was released. */
static void offspring_that_comes_to_light_after_the_release(void **state)
{
	(void)state;
	BOTH(eyes)
	{
		const struct cb_cpuset ours = cpus("1");
		struct setting s;
		struct machine_thread *late;

		begin(&s, eyes);
		place_ok(&s, s.worker, "1");
		machine_tick(&s.machine, 5);
		clone_of(&s, s.worker);
		assert_int_equal(release(&s, "g").n_restored, 2);
		assert_int_equal(cb_journal_count(s.journal), 1);
		for (unsigned int i = 0; i < 3; i++) {
			machine_tick(&s.machine, 5);
			late = clone_of(&s, s.worker);
			late->mask = ours;
			late = fork_of(&s, late);
			tick(&s);
			machine_assert_true(&s.machine);
			assert_true(cb_journal_count(s.journal) > 0);
		}
		/* Placed again meanwhile, it is not released any more. */
		place_ok(&s, s.worker, "1");
		tick(&s);
		tick(&s);
		assert_true(cb_cpuset_equal(&s.worker->mask, &ours));
		release(&s, NULL);
		tick(&s);
		assert_int_equal(cb_journal_count(s.journal), 0);
		machine_assert_true(&s.machine);
		end(&s);
	}
}

/* --- who is none --- */

static void not_heirs(void **state)
{
	(void)state;
	BOTH(eyes)
	{
		const struct cb_cpuset ours = cpus("1"), own = cpus("5");
		struct setting s;
		struct machine_thread *older, *pinned, *stranger, *sibling;

		begin(&s, eyes);
		older = fork_of(&s, s.worker);
		machine_pin(older, &ours);
		machine_tick(&s.machine, 10);
		place_ok(&s, s.worker, "1");
		pinned = fork_of(&s, s.worker);
		machine_pin(pinned, &own);
		fork_of(&s, pinned);
		/* Pinned by the administrator to the same CPU, in another service, below the first process. */
		stranger = machine_spawn(&s.machine, &ours);
		stranger->cgroup_id = 2;
		hear(&s, stranger);
		/* A new worker of the master that pins itself there. */
		sibling = fork_of(&s, s.master);
		machine_pin(sibling, &ours);
		tick(&s);
		assert_int_equal(cb_heirs_search(&s.machine.writer, s.journal), 0);
		assert_int_equal(cb_journal_count(s.journal), 1);
		assert_null(entry_of(&s, older));
		assert_null(entry_of(&s, stranger));
		assert_null(entry_of(&s, sibling));
		release_all(&s, 1);
		end(&s);
	}
}

static void heir_that_sets_its_own_mask_later(void **state)
{
	(void)state;
	BOTH(eyes)
	{
		const struct cb_cpuset own = cpus("5");
		struct setting s;
		struct machine_thread *child;
		struct cb_change change;

		begin(&s, eyes);
		place_ok(&s, s.worker, "1");
		child = fork_of(&s, s.worker);
		tick(&s);
		assert_non_null(entry_of(&s, child));
		machine_pin(child, &own);
		change = release(&s, NULL);
		assert_int_equal(change.n_foreign, 1);
		assert_int_equal(change.n_restored, 1);
		machine_assert_true(&s.machine);
		end(&s);
	}
}

/* The number of a dead worker is given to somebody else, whose children are none of ours. */
static void number_used_again(void **state)
{
	const struct cb_cpuset own = cpus("1");
	struct setting s;
	struct machine_thread *stranger, *child;
	int32_t number;

	(void)state;
	begin(&s, EYES_FORKS);
	place_ok(&s, s.worker, "1");
	tick(&s);
	number = s.worker->tid;
	machine_exit_process(&s.machine, number);
	machine_tick(&s.machine, 1);
	s.machine.next_tid = number;
	stranger = fork_of(&s, s.master);
	assert_int_equal(stranger->tid, number);
	machine_pin(stranger, &own);
	s.machine.next_tid = 5000;
	child = fork_of(&s, stranger);
	tick(&s);
	assert_null(entry_of(&s, stranger));
	assert_null(entry_of(&s, child));
	tick(&s);
	assert_int_equal(cb_journal_count(s.journal), 0);
	machine_assert_true(&s.machine);
	end(&s);
}

/* --- bookkeeping --- */

static void entries_of_the_dead_go(void **state)
{
	(void)state;
	BOTH(eyes)
	{
		struct setting s;

		begin(&s, eyes);
		for (unsigned int i = 0; i < 100; i++)
			clone_of(&s, s.worker);
		place_ok(&s, s.worker, "1");
		assert_int_equal(cb_journal_count(s.journal), 101);
		for (size_t i = 0; i < MACHINE_THREADS; i++)
			if (s.machine.thread[i].tgid == s.worker->tid &&
			    s.machine.thread[i].tid % 2)
				machine_exit(&s.machine, &s.machine.thread[i]);
		for (unsigned int i = 0; i < 4; i++)
			tick(&s);
		assert_true(cb_journal_count(s.journal) <= 52);
		machine_exit_process(&s.machine, s.worker->tgid);
		tick(&s);
		assert_int_equal(cb_journal_count(s.journal), 0);
		end(&s);
	}
}

static void a_look_that_fails_forgets_nobody(void **state)
{
	struct setting s;

	(void)state;
	begin(&s, EYES_WALK);
	place_ok(&s, s.worker, "1");
	machine_no_script(&s.machine);
	s.machine.fail_op = OP_TASK_STAT;
	s.machine.fail_call = 1;
	s.machine.fail_calls = UINT32_MAX - 1;
	s.machine.fail_errnum = EMFILE;
	tick(&s);
	assert_int_equal(cb_journal_count(s.journal), 1);
	machine_no_script(&s.machine);
	release_all(&s, 1);
	end(&s);
}

static void more_forks_than_can_be_followed(void **state)
{
	struct setting s;
	struct cb_fork news = { 0 };

	(void)state;
	begin(&s, EYES_FORKS);
	place_ok(&s, s.worker, "1");
	tick(&s);
	news.parent_tgid = s.worker->tid;
	for (int32_t i = 0; i < 70000; i++) {
		news.child_tid = news.child_tgid = 100000 + i;
		cb_heirs_fork(&s.machine.writer, s.journal, &news);
	}
	fork_of(&s, s.worker);
	tick(&s);
	assert_int_equal(cb_journal_count(s.journal), 2);
	release_all(&s, 2);
	end(&s);
}

/* --- a random life --- */

static uint32_t seed;

static uint32_t roll(uint32_t sides)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 10) % sides;
}

static struct machine_thread *any_thread(struct setting *s)
{
	for (unsigned int i = 0; i < 50; i++) {
		struct machine_thread *t = &s->machine.thread[roll(MACHINE_THREADS)];

		if (t->tid != 0 && t->state != 'Z' && t != s->master)
			return t;
	}
	return NULL;
}

static void pin_process(struct setting *s, int32_t tgid)
{
	const struct cb_cpuset own = cb_cpuset_of(5 + roll(3));

	for (size_t i = 0; i < MACHINE_THREADS; i++)
		if (s->machine.thread[i].tgid == tgid && s->machine.thread[i].tid != 0)
			machine_pin(&s->machine.thread[i], &own);
}

/* Registered workers are those whose number is even; their groups, two. */
static void place_any(struct setting *s)
{
	const struct machine_thread *t = any_thread(s);
	struct cb_cpuset to = cb_cpuset_of(roll(4));
	enum cb_step_state is;

	if (!t || t->tgid % 2)
		return;
	t = machine_find(&s->machine, t->tgid);
	cb_cpuset_set(&to, roll(4));
	is = place(s, t, false, t->tgid % 4 ? "a" : "b", &to).state;
	assert_true(is == CB_STEP_DONE || is == CB_STEP_FAILED || is == CB_STEP_GONE);
}

static void live(struct setting *s)
{
	struct machine_thread *t = any_thread(s);

	switch (t ? roll(24) : 0) {
	case 0:
		fork_of(s, s->master);
		break;
	case 1:
	case 2:
	case 3:
	case 4:
	case 5:
		fork_of(s, t);
		break;
	case 6:
	case 7:
	case 8:
		clone_of(s, t);
		break;
	case 9:
	case 10:
	case 11:
		if (t->tid == t->tgid)
			break;
		machine_exit(&s->machine, t);
		/* No number is given away twice within one tick of the clock. */
		machine_tick(&s->machine, 1);
		break;
	case 12:
	case 13:
	case 14:
	case 15:
		machine_exit_process(&s->machine, t->tgid);
		machine_tick(&s->machine, 1);
		break;
	case 16:
		/* With originals that differ, an orphan of one of two creators with the same mask is a guess. */
		if (s->eyes == EYES_FORKS)
			pin_process(s, t->tgid);
		break;
	case 17:
	case 18:
	case 19:
		place_any(s);
		break;
	case 20:
		(void)release(s, roll(2) ? "a" : "b");
		break;
	case 21:
		machine_tick(&s->machine, roll(3));
		break;
	default:
		tick(s);
		break;
	}
}

static void any_life_ends_with_true_masks(void **state)
{
	(void)state;
	BOTH(eyes)
	{
		for (uint32_t i = 1; i <= 400; i++) {
			struct setting s;

			seed = i * 2 + (uint32_t)eyes;
			begin(&s, eyes);
			s.machine.reuse_tids = i % 2;
			for (unsigned int j = 0; j < 300; j++)
				live(&s);
			(void)release(&s, NULL);
			tick(&s);
			if (cb_journal_count(s.journal) != 0)
				fail_msg("%u entries are left, seed %u, eyes %d",
					 cb_journal_count(s.journal), i, eyes);
			print_message("seed %u, eyes %d\n", i, eyes);
			machine_assert_true(&s.machine);
			end(&s);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(successor_of_a_worker_that_ends_at_once),
		cmocka_unit_test(released_in_the_same_tick),
		cmocka_unit_test(daemons_fork_twice),
		cmocka_unit_test(threads_of_heirs),
		cmocka_unit_test(forked_before_the_second_placement),
		cmocka_unit_test(one_worker_back_with_its_heirs),
		cmocka_unit_test(stragglers_follow),
		cmocka_unit_test(offspring_that_comes_to_light_after_the_release),
		cmocka_unit_test(not_heirs),
		cmocka_unit_test(heir_that_sets_its_own_mask_later),
		cmocka_unit_test(number_used_again),
		cmocka_unit_test(entries_of_the_dead_go),
		cmocka_unit_test(a_look_that_fails_forgets_nobody),
		cmocka_unit_test(more_forks_than_can_be_followed),
		cmocka_unit_test(any_life_ends_with_true_masks),
	};

	return cmocka_run_group_tests_name("heirs", tests, NULL, NULL);
}
