/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Steering as the engine decides it: when, by how much, by whose order, and what of it stays. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "world.h"

static void set_steering(struct world *world, enum cb_steering steering)
{
	struct cb_event event = { .kind = CB_EVENT_GROUP_ADDED,
				  .group_key = 1,
				  .group = { .name = "web", .steering = steering } };

	world_event(world, &event);
}

/* Two workers on two CPUs, a batch job on the first. */
static void begin(struct world *world, enum cb_steering steering)
{
	world_init(world, 2, 2);
	world->worker[1].mask = world->worker[1].original = cb_cpuset_of(1);
	world->worker[0].demand = world->worker[1].demand = 0.6;
	world->batch[0] = 1;
	set_steering(world, steering);
}

static struct cb_group_view group_of(const struct world *world)
{
	struct cb_group_view view;

	cb_engine_group(world->engine, 0, &view);
	return view;
}

static struct cb_worker_view worker_of(const struct world *world, uint32_t key)
{
	struct cb_worker_view view;

	assert_true(cb_engine_worker_by_key(world->engine, key, &view));
	return view;
}

static int order(struct world *world, enum cb_steering steering, const char *shares)
{
	struct cb_command command = { .kind = CB_COMMAND_STEER,
				      .group_key = 1,
				      .steering = steering };

	snprintf(command.shares, sizeof(command.shares), "%s", shares);
	return world_command(world, &command).result;
}

static int drain(struct world *world, uint32_t key, bool wanted)
{
	struct cb_command command = { .kind = CB_COMMAND_DRAIN,
				      .worker_key = key,
				      .present = wanted };

	return world_command(world, &command).result;
}

static bool refused(const struct world *world, enum cb_reject reason)
{
	for (uint32_t i = 0; i < cb_engine_n_refusals(world->engine); i++)
		if (cb_engine_refusal(world->engine, i)->reason == reason)
			return true;
	return false;
}

static void a_batch_job_gets_its_worker_fewer_connections(void **state)
{
	struct world world;

	(void)state;
	begin(&world, CB_STEERING_WEIGHTED);
	world_ticks(&world, 40);
	/* it has 0.375 of the 0.6 CPUs that it wants, the other one all */
	assert_true(world.shared);
	assert_in_range(world.worker[0].share, 350, 420);
	assert_int_equal(world.worker[0].share + world.worker[1].share, CB_SHARES);
	world_ticks(&world, 40);
	assert_int_equal(world.last_verdict, CB_VERDICT_KEPT);
	assert_int_equal(group_of(&world).steered, CB_STEERING_WEIGHTED);
	assert_int_equal(worker_of(&world, 1).share, world.worker[0].share);
	/* nobody was moved */
	assert_true(cb_cpuset_equal(&world.worker[0].mask, &world.worker[0].original));
	world_done(&world);
}

static void moving_is_refused_with_the_reason(void **state)
{
	struct world world;
	bool seen = false;

	(void)state;
	begin(&world, CB_STEERING_WEIGHTED);
	world.worker[0].demand = world.worker[1].demand =
		0.35; /* there would be room on the other CPU */
	for (uint32_t i = 0; i < 40 && !seen; i++) {
		world_tick(&world);
		seen = refused(&world, CB_REJECT_STEERED);
	}
	assert_true(seen);
	world_done(&world);
}

static void without_the_word_nothing_is_steered(void **state)
{
	struct world world;

	(void)state;
	begin(&world, CB_STEERING_NONE);
	world_ticks(&world, 120);
	assert_false(world.shared);
	assert_int_equal(order(&world, CB_STEERING_WEIGHTED, "1:2"), -EPERM);
	assert_int_equal(drain(&world, 1, true), -EPERM);
	assert_int_equal(order(&world, CB_STEERING_NONE, ""), 0);
	world_done(&world);
}

static void what_does_not_help_is_undone(void **state)
{
	struct world world;

	(void)state;
	begin(&world, CB_STEERING_WEIGHTED);
	world.efficiency[1] =
		0.3; /* what goes to the other worker is served there with more effort */
	world_ticks(&world, 100);
	assert_false(world.shared);
	assert_int_equal(group_of(&world).steered, CB_STEERING_NONE);
	assert_int_not_equal(world.last_verdict, CB_VERDICT_KEPT);
	world_done(&world);
}

/* Both have the CPU time that they want, yet one does not keep up. */
static void first_lags(struct world *world, struct cb_snapshot *snapshot)
{
	for (uint32_t i = 0; i < snapshot->n_workers; i++) {
		struct cb_worker_sample *worker = &snapshot->worker[i];

		worker->present |= CB_WORKER_HAS_LISTEN;
		worker->n_listeners = 1;
		worker->backlog_max = 100;
		worker->backlog = i == 0 && !world->shared ? 60 : 0;
		worker->n_fds = 10 + (uint32_t)(world->now_usec / CB_USEC_PER_SEC);
		worker->present |= CB_WORKER_HAS_FDS;
	}
}

static void a_queue_that_fills_gets_its_worker_fewer_connections(void **state)
{
	struct world world;

	(void)state;
	begin(&world, CB_STEERING_WEIGHTED);
	world.batch[0] = 0;
	world.shape = first_lags;
	for (int i = 0; i < 60 && !world.shared; i++)
		world_tick(&world);
	assert_true(world.shared);
	assert_int_equal(cb_engine_plan(world.engine)->finding.kind, CB_FINDING_BACKLOG);
	assert_in_range(world.worker[0].share, 250, 400);
	world_done(&world);
	/* only where it may be */
	begin(&world, CB_STEERING_NONE);
	world.batch[0] = 0;
	world.shape = first_lags;
	world_ticks(&world, 60);
	assert_false(world.shared);
	assert_int_equal(world.n_applies, 0);
	world_done(&world);
}

/* Connections that the first worker has many of, and what they cost it. */
static void first_has_many(struct world *world, struct cb_snapshot *snapshot)
{
	(void)world;
	snapshot->group[0].present |= CB_GROUP_HAS_LISTEN;
	snapshot->group[0].backlog_max = 200;
	for (uint32_t i = 0; i < snapshot->n_workers; i++) {
		snapshot->worker[i].present |= CB_WORKER_HAS_FDS;
		snapshot->worker[i].n_fds = i == 0 ? 2000 : 200;
	}
}

static void a_skew_leads_to_other_shares(void **state)
{
	struct world world;

	(void)state;
	begin(&world, CB_STEERING_WEIGHTED);
	world.batch[0] = 0;
	world.worker[0].demand = 0.6;
	world.worker[1].demand = 0.1;
	world.shape = first_has_many;
	for (int i = 0; i < 120 && !world.shared; i++)
		world_tick(&world);
	assert_true(world.shared);
	assert_int_equal(cb_engine_plan(world.engine)->finding.kind, CB_FINDING_CONNECTION_SKEW);
	assert_true(world.worker[0].share < world.worker[1].share);
	world_done(&world);
}

static void equal_headroom_is_left_to_the_hash(void **state)
{
	struct world world;

	(void)state;
	begin(&world, CB_STEERING_WEIGHTED);
	world.batch[0] = world.batch[1] = 1;
	world_ticks(&world, 120);
	assert_false(world.shared);
	assert_int_equal(order(&world, CB_STEERING_WEIGHTED, ""), -EPERM);
	world_done(&world);
}

static void the_hash_comes_back_when_there_is_no_reason_any_more(void **state)
{
	struct world world;

	(void)state;
	begin(&world, CB_STEERING_WEIGHTED);
	world_ticks(&world, 80);
	assert_true(world.shared);
	world.batch[0] = 0;
	world_ticks(&world, 200);
	assert_false(world.shared);
	assert_int_equal(group_of(&world).steered, CB_STEERING_NONE);
	world_done(&world);
}

/* While something else is being judged; shares that are ours still go when there is no reason any more. */
static void an_order_that_has_to_wait_is_none(void **state)
{
	struct world world;

	(void)state;
	begin(&world, CB_STEERING_WEIGHTED);
	for (int i = 0; i < 60 && !world.shared; i++)
		world_tick(&world);
	assert_true(world.shared);
	assert_int_equal(order(&world, CB_STEERING_NONE, ""), -EBUSY);
	world_ticks(&world, 60);
	assert_int_equal(world.last_verdict, CB_VERDICT_KEPT);
	world.batch[0] = 0;
	world_ticks(&world, 200);
	assert_false(world.shared);
	world_done(&world);
}

static void an_order_stands_until_it_is_taken_back(void **state)
{
	struct world world;

	(void)state;
	begin(&world, CB_STEERING_WEIGHTED);
	world.batch[0] = 0;
	world_ticks(&world, 20);
	assert_int_equal(order(&world, CB_STEERING_WEIGHTED, "1:0"), -EINVAL);
	assert_int_equal(order(&world, CB_STEERING_WEIGHTED, "1:2:3"), -EINVAL);
	assert_int_equal(order(&world, CB_STEERING_WEIGHTED, "1"), -EINVAL);
	assert_int_equal(order(&world, CB_STEERING_WEIGHTED, "1:1001"), -EINVAL);
	assert_int_equal(order(&world, CB_STEERING_LOCAL, ""), -EPERM);
	assert_int_equal(order(&world, CB_STEERING_WEIGHTED, "1:3"), 0);
	world_ticks(&world, 60);
	assert_int_equal(world.worker[0].share, 250);
	assert_int_equal(world.worker[1].share, 750);
	/* not even for a reason */
	world.batch[1] = 1;
	world_ticks(&world, 120);
	assert_int_equal(world.worker[1].share, 750);
	assert_int_equal(order(&world, CB_STEERING_NONE, ""), 0);
	assert_false(world.shared);
	world_ticks(&world, 120);
	assert_false(world.shared);
	world_done(&world);
}

static void a_drained_worker_gets_nothing(void **state)
{
	struct world world;

	(void)state;
	begin(&world, CB_STEERING_WEIGHTED);
	world.batch[0] = 0;
	world_ticks(&world, 20);
	assert_int_equal(drain(&world, 1, true), 0);
	assert_true(world.shared);
	assert_int_equal(world.worker[0].share, 0);
	assert_int_equal(world.worker[1].share, CB_SHARES);
	assert_true(worker_of(&world, 1).drained);
	assert_int_equal(drain(&world, 2, true), -EPERM); /* the last one */
	world_ticks(&world, 120);
	assert_int_equal(world.worker[0].share, 0);
	assert_int_equal(drain(&world, 1, false), 0);
	assert_false(world.shared); /* nothing had been kept before */
	assert_false(worker_of(&world, 1).drained);
	world_done(&world);
}

static void a_drain_that_fails_is_none(void **state)
{
	struct world world;

	(void)state;
	begin(&world, CB_STEERING_WEIGHTED);
	world.batch[0] = 0;
	world.refuse_steering = CB_REJECT_OUTSIDER;
	world_ticks(&world, 20);
	drain(&world, 1, true);
	assert_false(worker_of(&world, 1).drained);
	assert_int_equal(world.last_verdict, CB_VERDICT_FAILED);
	assert_non_null(strstr(world.last_sentence, cb_reject_sentence(CB_REJECT_OUTSIDER)));
	assert_int_equal(group_of(&world).steer_reject, CB_REJECT_OUTSIDER);
	world_done(&world);
}

static void replace(struct world *world, uint32_t index)
{
	struct cb_event gone = { .kind = CB_EVENT_WORKER_GONE, .worker_key = index + 1 };
	struct cb_event added = { .kind = CB_EVENT_WORKER_ADDED,
				  .worker = { .key = index + 1,
					      .group_key = 1,
					      .comm = "w",
					      .original = world->worker[index].original } };

	memset(&added.worker.cpuset, 0xff, sizeof(added.worker.cpuset));
	world_event(world, &gone);
	world_event(world, &added);
}

/* A reload: other workers, other sockets; the host has taken the program away. */
static void what_was_kept_comes_again_for_new_workers(void **state)
{
	struct cb_event lost = { .kind = CB_EVENT_STEER_LOST, .group_key = 1 };
	struct world world;
	uint32_t share;

	(void)state;
	begin(&world, CB_STEERING_WEIGHTED);
	world_ticks(&world, 80);
	assert_true(world.shared);
	share = world.worker[0].share;
	world.shared = false;
	world.worker[0].share = 0;
	world_event(&world, &lost);
	assert_int_equal(group_of(&world).steered, CB_STEERING_NONE);
	replace(&world, 0);
	world_tick(&world);
	assert_false(world.shared);
	world_ticks(&world, 4);
	assert_true(world.shared);
	assert_int_equal(world.worker[0].share, share);
	assert_int_equal(worker_of(&world, 1).share, share);
	/* an old worker whose socket is still there: once more */
	world.refuse_steering = CB_REJECT_OUTSIDER;
	world.shared = false;
	world_event(&world, &lost);
	world_ticks(&world, 10);
	assert_false(world.shared);
	world.refuse_steering = CB_REJECT_NONE;
	world_ticks(&world, 10);
	assert_true(world.shared);
	world_done(&world);
}

static void settings_that_forbid_it_end_it(void **state)
{
	struct world world;

	(void)state;
	begin(&world, CB_STEERING_WEIGHTED);
	world_ticks(&world, 80);
	assert_true(world.shared);
	set_steering(&world, CB_STEERING_NONE);
	world_ticks(&world, 2);
	assert_false(world.shared);
	world_done(&world);
}

static void a_rollback_is_the_hash(void **state)
{
	struct cb_command rollback = { .kind = CB_COMMAND_ROLLBACK };
	struct cb_command release = { .kind = CB_COMMAND_RELEASE, .present = true };
	struct world world;

	(void)state;
	begin(&world, CB_STEERING_WEIGHTED);
	world_ticks(&world, 80);
	assert_true(world.shared);
	assert_int_equal(world_command(&world, &rollback).result, 0);
	world_ticks(&world, 10);
	assert_false(world.shared);
	world_done(&world);
	begin(&world, CB_STEERING_WEIGHTED);
	world_ticks(&world, 80);
	assert_true(world.shared);
	world_command(&world, &release);
	world_ticks(&world, 100);
	assert_false(world.shared);
	assert_int_equal(worker_of(&world, 1).share, 0);
	world_done(&world);
}

static void lanes_need_a_cpu_each(void **state)
{
	struct world world;

	(void)state;
	begin(&world, CB_STEERING_LOCAL);
	world.batch[0] = 0;
	world.worker[0].demand = world.worker[1].demand = 0.2;
	world.worker[1].mask = cb_cpuset_of(0);
	world_ticks(&world, 20);
	assert_int_equal(group_of(&world).steer_reject, CB_REJECT_SHARED_CPU);
	assert_int_equal(order(&world, CB_STEERING_LOCAL, ""), -EPERM);
	cb_cpuset_set(&world.worker[1].mask, 1);
	world_ticks(&world, 20);
	assert_int_equal(group_of(&world).steer_reject, CB_REJECT_NOT_PINNED);
	world.worker[1].mask = cb_cpuset_of(1);
	world_ticks(&world, 20);
	assert_int_equal(world.worker[0].incoming_cpu, 0);
	assert_int_equal(world.worker[1].incoming_cpu, 1);
	world_done(&world);
}

/* Its socket cannot go after a worker that somebody else has moved: connections are anybody's then, and there is an end of it. */
static void lanes_that_cannot_follow_are_given_up(void **state)
{
	struct world world;

	(void)state;
	world_init(&world, 4, 2);
	world.worker[1].mask = world.worker[1].original = cb_cpuset_of(1);
	world.worker[0].demand = world.worker[1].demand = 0.2;
	set_steering(&world, CB_STEERING_LOCAL);
	world_ticks(&world, 5);
	assert_int_equal(order(&world, CB_STEERING_LOCAL, ""), 0);
	world_ticks(&world, 60);
	assert_int_equal(world.worker[0].incoming_cpu, 0);
	world.refuse_steering = CB_REJECT_OUTSIDER;
	world.worker[0].mask = cb_cpuset_of(2);
	world_ticks(&world, 200);
	assert_int_equal(group_of(&world).steered, CB_STEERING_NONE);
	assert_int_equal(world.worker[0].incoming_cpu, -1);
	assert_int_equal(world.worker[1].incoming_cpu, -1);
	world.n_applies = 0;
	world_ticks(&world, 60);
	assert_int_equal(world.n_applies, 0);
	world_done(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_batch_job_gets_its_worker_fewer_connections),
		cmocka_unit_test(moving_is_refused_with_the_reason),
		cmocka_unit_test(without_the_word_nothing_is_steered),
		cmocka_unit_test(what_does_not_help_is_undone),
		cmocka_unit_test(a_queue_that_fills_gets_its_worker_fewer_connections),
		cmocka_unit_test(a_skew_leads_to_other_shares),
		cmocka_unit_test(equal_headroom_is_left_to_the_hash),
		cmocka_unit_test(the_hash_comes_back_when_there_is_no_reason_any_more),
		cmocka_unit_test(an_order_that_has_to_wait_is_none),
		cmocka_unit_test(an_order_stands_until_it_is_taken_back),
		cmocka_unit_test(a_drained_worker_gets_nothing),
		cmocka_unit_test(a_drain_that_fails_is_none),
		cmocka_unit_test(what_was_kept_comes_again_for_new_workers),
		cmocka_unit_test(settings_that_forbid_it_end_it),
		cmocka_unit_test(a_rollback_is_the_hash),
		cmocka_unit_test(lanes_need_a_cpu_each),
		cmocka_unit_test(lanes_that_cannot_follow_are_given_up),
	};

	return cmocka_run_group_tests_name("steer", tests, NULL, NULL);
}
