/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Steering on a machine that is a table: all steps or none, the journal first, everything back, each errno by its meaning. */
#include "apply_test.h"

#include "lib/host/steer.h"

#define N 2u

struct steering {
	struct setting s;
	struct machine_thread *worker[N];
	struct machine_socket *socket[N];
	struct cb_step step[N];
};

static void begin_steering(struct steering *t)
{
	const struct cb_cpuset all = cpus("0-7");

	begin(&t->s);
	for (uint32_t i = 0; i < N; i++) {
		t->worker[i] = machine_spawn(&t->s.machine, &all);
		t->socket[i] = machine_add_socket(&t->s.machine, t->worker[i]->tgid, 443, -1);
	}
}

static struct cb_target target_of(const struct machine_thread *worker, uint32_t plan_id)
{
	return (struct cb_target){ .tgid = worker->tgid,
				   .start_ticks = worker->start_ticks,
				   .group = "web",
				   .plan_id = plan_id };
}

static void steer(struct steering *t, enum cb_item_kind kind, const char *first, const char *second)
{
	const char *to[N] = { first, second };
	struct cb_change change = change_of(&t->s);
	struct cb_target target[N];

	for (uint32_t i = 0; i < N; i++) {
		target[i] = target_of(t->worker[i], 7);
		t->step[i] = (struct cb_step){ .item = { kind, i + 1 } };
		if (kind == CB_ITEM_LISTENER)
			t->step[i].to = cpus(to[i]);
		else
			t->step[i].share_to = (uint32_t)atoi(to[i]);
	}
	cb_place_steering(&change, target, t->step, N, false);
}

static void each_socket_gets_its_cpu_and_its_original_back(void **state)
{
	struct steering t;
	struct cb_change change;

	(void)state;
	begin_steering(&t);
	t.socket[1]->cpu = t.socket[1]->original = 6;
	steer(&t, CB_ITEM_LISTENER, "0", "1");
	assert_step(t.step[0], CB_STEP_DONE, CB_ERROR_NONE);
	assert_int_equal(t.socket[0]->cpu, 0);
	assert_int_equal(t.socket[1]->cpu, 1);
	assert_int_equal(cb_journal_count(t.s.journal), N);
	steer(&t, CB_ITEM_LISTENER, "2", "3");
	assert_int_equal(t.socket[1]->cpu, 3);
	change = release(&t.s, "web");
	assert_int_equal(change.n_restored, N);
	assert_int_equal(t.socket[0]->cpu, -1);
	assert_int_equal(t.socket[1]->cpu, 6);
	assert_int_equal(cb_journal_count(t.s.journal), 0);
	end(&t.s);
}

static void two_sockets_of_a_cpu_are_refused(void **state)
{
	struct steering t;

	(void)state;
	begin_steering(&t);
	steer(&t, CB_ITEM_LISTENER, "1", "1");
	assert_step(t.step[0], CB_STEP_FAILED, CB_ERROR_PERMANENT);
	assert_int_equal(t.step[0].reject, CB_REJECT_SHARED_CPU);
	assert_int_equal(t.socket[0]->cpu, -1);
	/* two of one worker too */
	machine_add_socket(&t.s.machine, t.worker[0]->tgid, 443, -1);
	steer(&t, CB_ITEM_LISTENER, "0", "1");
	assert_int_equal(t.step[1].reject, CB_REJECT_SHARED_CPU);
	assert_int_equal(cb_journal_count(t.s.journal), 0);
	t.s.machine.ignores_cpu = true;
	steer(&t, CB_ITEM_LISTENER, "0", "1");
	assert_int_equal(t.step[1].reject, CB_REJECT_OLD_KERNEL);
	end(&t.s);
}

/* One lane of two: its socket alone, which is nobody else's business. */
static void one_lane_moves_by_itself(void **state)
{
	struct cb_target target;
	struct cb_step step = { .item = { CB_ITEM_LISTENER, 1 } };
	struct steering t;
	struct cb_change change;

	(void)state;
	begin_steering(&t);
	machine_add_socket(&t.s.machine, t.worker[0]->tgid, 80, -1);
	machine_add_socket(&t.s.machine, t.worker[1]->tgid, 80, -1);
	steer(&t, CB_ITEM_LISTENER, "0", "1");
	target = target_of(t.worker[0], 8);
	/* not to where the other one is */
	step.to = cpus("1");
	change = change_of(&t.s);
	cb_place_steering(&change, &target, &step, 1, true);
	assert_step(step, CB_STEP_FAILED, CB_ERROR_PERMANENT);
	assert_int_equal(step.reject, CB_REJECT_SHARED_CPU);
	assert_int_equal(t.socket[0]->cpu, 0);
	assert_int_equal(t.socket[1]->cpu, 1);
	step.to = cpus("3");
	cb_place_steering(&change, &target, &step, 1, true);
	assert_step(step, CB_STEP_DONE, CB_ERROR_NONE);
	assert_int_equal(t.socket[0]->cpu, 3);
	assert_int_equal(t.s.machine.socket[2].cpu, 3);
	assert_int_equal(t.socket[1]->cpu, 1);
	assert_int_equal(cb_journal_count(t.s.journal), 4);
	/* one of its two cannot be set: neither is */
	machine_no_script(&t.s.machine);
	t.s.machine.fail_op = OP_SOCKET_SET;
	t.s.machine.fail_errnum = ENOMEM;
	t.s.machine.fail_call = 2;
	t.s.machine.fail_calls = 1;
	step.to = cpus("4");
	cb_place_steering(&change, &target, &step, 1, true);
	assert_step(step, CB_STEP_FAILED, CB_ERROR_TRANSIENT);
	assert_int_equal(t.socket[0]->cpu, 3);
	assert_int_equal(t.s.machine.socket[2].cpu, 3);
	change = release(&t.s, "web");
	assert_int_equal(change.n_restored, 4);
	assert_int_equal(t.socket[0]->cpu, -1);
	assert_int_equal(t.socket[1]->cpu, -1);
	end(&t.s);
}

/* Lanes that go together: not to one CPU, and all of them or none. */
static void some_lanes_move_together(void **state)
{
	struct cb_target target[N];
	struct cb_step step[N] = { { .item = { CB_ITEM_LISTENER, 1 } },
				   { .item = { CB_ITEM_LISTENER, 2 } } };
	struct steering t;
	struct cb_change change;

	(void)state;
	begin_steering(&t);
	steer(&t, CB_ITEM_LISTENER, "0", "1");
	for (uint32_t i = 0; i < N; i++) {
		target[i] = target_of(t.worker[i], 8);
		step[i].to = cpus("3");
	}
	change = change_of(&t.s);
	cb_place_steering(&change, target, step, N, true);
	assert_step(step[0], CB_STEP_FAILED, CB_ERROR_PERMANENT);
	assert_int_equal(step[1].reject, CB_REJECT_SHARED_CPU);
	assert_int_equal(t.socket[0]->cpu, 0);
	/* the second has no socket that we know of: it stays with the first */
	step[1].to = cpus("4");
	target[1] = target_of(t.s.main, 8);
	cb_place_steering(&change, target, step, N, true);
	assert_step(step[1], CB_STEP_GONE, CB_ERROR_GONE);
	assert_int_equal(t.socket[0]->cpu, 0);
	assert_int_equal(t.socket[1]->cpu, 1);
	end(&t.s);
}

/* A socket outlives its worker where a master keeps it: all workers of the group are asked for, whoever the journal names. */
static void who_comes_in_anothers_stead_gets_the_lane(void **state)
{
	const struct cb_cpuset all = cpus("0-7");
	struct steering t;

	(void)state;
	begin_steering(&t);
	steer(&t, CB_ITEM_LISTENER, "0", "1");
	machine_exit_process(&t.s.machine, t.worker[0]->tgid);
	t.worker[0] = machine_spawn(&t.s.machine, &all);
	t.socket[0]->tgid = t.worker[0]->tgid;
	steer(&t, CB_ITEM_LISTENER, "0", "1");
	assert_step(t.step[0], CB_STEP_DONE, CB_ERROR_NONE);
	assert_int_equal(t.socket[0]->cpu, 0);
	steer(&t, CB_ITEM_LISTENER, "2", "1");
	assert_step(t.step[0], CB_STEP_DONE, CB_ERROR_NONE);
	assert_int_equal(t.socket[0]->cpu, 2);
	assert_int_equal(cb_journal_count(t.s.journal), N);
	end(&t.s);
}

static void who_has_set_it_since_is_left_alone(void **state)
{
	struct steering t;
	struct cb_change change;

	(void)state;
	begin_steering(&t);
	steer(&t, CB_ITEM_LISTENER, "0", "1");
	t.socket[0]->cpu = 5;
	steer(&t, CB_ITEM_LISTENER, "2", "3");
	assert_int_equal(t.step[0].reject, CB_REJECT_FOREIGN);
	assert_int_equal(t.socket[0]->cpu, 5);
	assert_int_equal(t.socket[1]->cpu, -1); /* all or none */
	end(&t.s);
	begin_steering(&t);
	steer(&t, CB_ITEM_LISTENER, "0", "1");
	t.socket[0]->cpu = 5;
	change = release(&t.s, "web");
	assert_int_equal(change.n_foreign, 1);
	assert_int_equal(change.n_restored, 1);
	assert_int_equal(t.socket[0]->cpu, 5);
	end(&t.s);
}

static void shares_of_two_addresses(void **state)
{
	struct steering t;
	struct cb_change change;

	(void)state;
	begin_steering(&t);
	machine_add_socket(&t.s.machine, t.worker[0]->tgid, 80, -1);
	machine_add_socket(&t.s.machine, t.worker[1]->tgid, 80, -1);
	steer(&t, CB_ITEM_SHARE, "400", "600");
	assert_step(t.step[1], CB_STEP_DONE, CB_ERROR_NONE);
	assert_true(t.s.machine.attached);
	assert_int_equal(t.socket[0]->share, 400);
	assert_int_equal(t.s.machine.socket[3].share, 600);
	assert_int_equal(cb_journal_count(t.s.journal), 2);
	assert_int_equal(cb_journal_at(t.s.journal, 0)->plan_id, 7);
	change = release(&t.s, "other");
	assert_int_equal(change.n_restored, 0);
	change = release(&t.s, "web");
	assert_int_equal(change.n_restored, 2);
	assert_false(t.s.machine.attached);
	assert_int_equal(cb_journal_count(t.s.journal), 0);
	end(&t.s);
}

static void what_cannot_be_steered_says_why(void **state)
{
	struct steering t;

	(void)state;
	begin_steering(&t);
	t.s.machine.unsteerable = CB_REJECT_DATAGRAMS;
	steer(&t, CB_ITEM_SHARE, "400", "600");
	assert_step(t.step[0], CB_STEP_FAILED, CB_ERROR_PERMANENT);
	assert_int_equal(t.step[0].reject, CB_REJECT_DATAGRAMS);
	assert_int_equal(cb_journal_count(t.s.journal), 0);
	t.s.machine.unsteerable = CB_REJECT_NONE;
	machine_exit_process(&t.s.machine, t.worker[1]->tgid);
	steer(&t, CB_ITEM_SHARE, "400", "600");
	assert_step(t.step[0], CB_STEP_GONE, CB_ERROR_GONE);
	end(&t.s);
}

/* Every call at which it can fail, with every errno: nothing stays, in the journal neither. */
static void nothing_half_stays(void **state)
{
	static const struct {
		enum machine_op op;
		int errnum;
		enum cb_item_kind kind;
		enum cb_error_class error_class;
	} cases[] = {
		{ OP_SOCKET_GET, EPERM, CB_ITEM_LISTENER, CB_ERROR_PERMANENT },
		{ OP_SOCKET_SET, EPERM, CB_ITEM_LISTENER, CB_ERROR_PERMANENT },
		{ OP_SOCKET_SET, ESTALE, CB_ITEM_LISTENER, CB_ERROR_GONE },
		{ OP_SOCKET_SET, ENOMEM, CB_ITEM_LISTENER, CB_ERROR_TRANSIENT },
		{ OP_STEER_RESOLVE, ENOMEM, CB_ITEM_SHARE, CB_ERROR_TRANSIENT },
		{ OP_SHARES_SET, EBUSY, CB_ITEM_SHARE, CB_ERROR_PERMANENT },
		{ OP_SHARES_SET, EPERM, CB_ITEM_SHARE, CB_ERROR_PERMANENT },
		{ OP_SHARES_SET, EINVAL, CB_ITEM_SHARE, CB_ERROR_PERMANENT },
		{ OP_SHARES_SET, ENOMEM, CB_ITEM_SHARE, CB_ERROR_TRANSIENT },
	};

	(void)state;
	for (size_t i = 0; i < CB_ARRAY_SIZE(cases); i++)
		for (uint32_t call = 1; call <= 2; call++) {
			struct steering t;

			begin_steering(&t);
			machine_add_socket(&t.s.machine, t.worker[0]->tgid, 80, -1);
			machine_add_socket(&t.s.machine, t.worker[1]->tgid, 80, -1);
			t.s.machine.fail_op = cases[i].op;
			t.s.machine.fail_errnum = cases[i].errnum;
			t.s.machine.fail_call = call;
			t.s.machine.fail_calls = 1;
			steer(&t, cases[i].kind, cases[i].kind == CB_ITEM_SHARE ? "400" : "0",
			      cases[i].kind == CB_ITEM_SHARE ? "600" : "1");
			if (t.s.machine.n_failed > 0)
				assert_string_equal(cb_error_class_name(t.step[0].error_class),
						    cb_error_class_name(cases[i].error_class));
			assert_int_equal(t.step[0].state == CB_STEP_DONE,
					 t.s.machine.n_failed == 0);
			if (t.s.machine.n_failed > 0) {
				assert_false(t.s.machine.attached);
				assert_int_equal(t.socket[0]->cpu, -1);
				assert_int_equal(t.socket[1]->cpu, -1);
				assert_int_equal(cb_journal_count(t.s.journal), 0);
			}
			end(&t.s);
		}
}

/* What was in place went with a change that failed: whoever decides must not go on believing in it. */
static void who_decides_hears_what_is_lost(void **state)
{
	struct steering t;
	struct cb_host host = { .writer = &t.s.machine.writer };
	char lost[4][CB_NAME_MAX];

	(void)state;
	begin_steering(&t);
	t.s.machine.fail_op = OP_SHARES_SET;
	t.s.machine.fail_errnum = ENOMEM;
	t.s.machine.fail_call = t.s.machine.fail_calls = 1;
	steer(&t, CB_ITEM_SHARE, "400", "600");
	assert_step(t.step[0], CB_STEP_FAILED, CB_ERROR_TRANSIENT);
	assert_int_equal(cb_steer_lost(&host, lost, 4), 0);
	machine_no_script(&t.s.machine);
	steer(&t, CB_ITEM_SHARE, "400", "600");
	assert_true(t.s.machine.attached);
	machine_no_script(&t.s.machine);
	t.s.machine.fail_op = OP_SHARES_SET;
	t.s.machine.fail_errnum = ENOMEM;
	t.s.machine.fail_call = t.s.machine.fail_calls = 1;
	steer(&t, CB_ITEM_SHARE, "500", "500");
	assert_step(t.step[0], CB_STEP_FAILED, CB_ERROR_TRANSIENT);
	assert_false(t.s.machine.attached);
	assert_int_equal(cb_journal_count(t.s.journal), 0);
	assert_int_equal(cb_steer_lost(&host, lost, 4), 1);
	assert_string_equal(lost[0], "web");
	end(&t.s);
}

static void a_restore_that_fails_is_tried_again(void **state)
{
	struct steering t;
	struct cb_change change;

	(void)state;
	begin_steering(&t);
	steer(&t, CB_ITEM_SHARE, "400", "600");
	machine_no_script(&t.s.machine);
	t.s.machine.fail_op = OP_SHARES_CLEAR;
	t.s.machine.fail_errnum = EPERM;
	t.s.machine.fail_call = t.s.machine.fail_calls = 1;
	change = release(&t.s, NULL);
	assert_int_equal(change.n_failed, 1);
	assert_true(t.s.machine.attached);
	assert_int_equal(cb_journal_count(t.s.journal), 1);
	change = release(&t.s, NULL);
	assert_int_equal(change.n_restored, 1);
	assert_false(t.s.machine.attached);
	end(&t.s);
}

/* A master that replaces its workers: the sockets mean others now. */
static void other_sockets_lose_their_program(void **state)
{
	struct steering t;
	struct cb_host host = { .writer = &t.s.machine.writer };
	char lost[4][CB_NAME_MAX];
	struct cb_change change;

	(void)state;
	begin_steering(&t);
	steer(&t, CB_ITEM_SHARE, "400", "600");
	change = change_of(&t.s);
	cb_steer_look(&change);
	assert_true(t.s.machine.attached);
	assert_int_equal(cb_steer_lost(&host, lost, 4), 0);
	machine_add_socket(&t.s.machine, 4711, 443, -1);
	cb_steer_look(&change);
	assert_false(t.s.machine.attached);
	assert_int_equal(cb_journal_count(t.s.journal), 0);
	assert_int_equal(cb_steer_lost(&host, lost, 4), 1);
	assert_string_equal(lost[0], "web");
	assert_int_equal(cb_steer_lost(&host, lost, 4), 0);
	/* a socket that is closed takes its entry along */
	t.s.machine.socket[2].cookie = 0;
	steer(&t, CB_ITEM_LISTENER, "0", "1");
	t.socket[0]->cookie = 0;
	cb_steer_look(&change);
	assert_int_equal(cb_journal_count(t.s.journal), 1);
	assert_int_equal(t.socket[1]->cpu, 1);
	end(&t.s);
}

/* Nothing that steers outlives who looks after it; placements may. */
static void a_restart_takes_steering_away_and_nothing_else(void **state)
{
	struct steering t;
	struct cb_host host = { .writer = &t.s.machine.writer };
	struct cb_outcome outcome;

	(void)state;
	begin_steering(&t);
	place(&t.s, t.s.main, "1");
	place_irq(&t.s, "4");
	steer(&t, CB_ITEM_SHARE, "400", "600");
	cb_steer_detach(&host, t.s.journal, &outcome);
	assert_int_equal(outcome.n_restored, 1);
	assert_false(t.s.machine.attached);
	assert_mask(t.s.main->mask, "1");
	assert_mask(t.s.irq->mask, "4");
	cb_steer_detach(&host, t.s.journal, &outcome);
	assert_int_equal(outcome.n_restored, 0);
	release(&t.s, NULL);
	end(&t.s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_socket_gets_its_cpu_and_its_original_back),
		cmocka_unit_test(two_sockets_of_a_cpu_are_refused),
		cmocka_unit_test(one_lane_moves_by_itself),
		cmocka_unit_test(some_lanes_move_together),
		cmocka_unit_test(who_comes_in_anothers_stead_gets_the_lane),
		cmocka_unit_test(who_has_set_it_since_is_left_alone),
		cmocka_unit_test(shares_of_two_addresses),
		cmocka_unit_test(what_cannot_be_steered_says_why),
		cmocka_unit_test(nothing_half_stays),
		cmocka_unit_test(who_decides_hears_what_is_lost),
		cmocka_unit_test(a_restore_that_fails_is_tried_again),
		cmocka_unit_test(other_sockets_lose_their_program),
		cmocka_unit_test(a_restart_takes_steering_away_and_nothing_else),
	};

	return cmocka_run_group_tests_name("steer_apply", tests, NULL, NULL);
}
