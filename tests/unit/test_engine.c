/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The engine as a whole, on a small machine in virtual time: findings, the life of a plan, commands, budgets. */
#include "cpubalance/engine.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "world.h"

static const struct cb_finding *the_finding(const struct world *world)
{
	assert_int_equal(cb_engine_n_findings(world->engine), 1);
	return cb_engine_finding(world->engine, 0);
}

static struct cb_totals totals_of(const struct world *world)
{
	struct cb_totals totals;

	cb_engine_totals(world->engine, &totals);
	return totals;
}

/* Two workers that want a whole CPU each, both on CPU 0: one of them has to be let go. */
static void hot_start(struct world *world)
{
	world_init(world, 2, 2);
	world->worker[0].demand = world->worker[1].demand = 1;
	world->noise_ratio = 0.02;
}

static void nothing_registered_nothing_written(void **state)
{
	struct world world;

	(void)state;
	world_init(&world, 4, 0);
	world.batch[0] = 3;
	world_ticks(&world, 60);
	assert_int_equal(the_finding(&world)->kind, CB_FINDING_HOT_CPU);
	assert_true(the_finding(&world)->confirmed);
	assert_int_equal(world.n_applies, 0);
	world_done(&world);
}

static void hot_cpu_is_found_mended_and_kept(void **state)
{
	struct world world;
	struct cb_worker_view view;

	(void)state;
	hot_start(&world);
	world_ticks(&world, 4);
	assert_int_equal(world.n_applies, 0);
	world_ticks(&world, 40);
	assert_int_equal(world.n_applies, 1);
	assert_int_equal(world.last_verdict, CB_VERDICT_KEPT);
	assert_non_null(strstr(world.last_sentence, "served work +"));
	/* float first: the mask is widened, not moved to one CPU */
	assert_int_equal(
		cb_cpuset_count(&world.worker[0].mask) + cb_cpuset_count(&world.worker[1].mask), 3);
	cb_engine_worker(world.engine, cb_cpuset_count(&world.worker[0].mask) == 2 ? 0 : 1, &view);
	assert_true(view.placed);
	world_ticks(&world, 120);
	assert_int_equal(world.n_applies, 1);
	world_done(&world);
}

static void a_move_that_hurts_is_undone(void **state)
{
	struct world world;

	(void)state;
	hot_start(&world);
	world.efficiency[1] = -0.2; /* whoever runs there is in the way of others */
	world_ticks(&world, 45);
	assert_int_equal(world.n_applies, 2);
	assert_int_equal(world.last_verdict, CB_VERDICT_ROLLED_BACK);
	assert_true(cb_cpuset_equal(&world.worker[0].mask, &world.worker[0].original));
	assert_true(cb_cpuset_equal(&world.worker[1].mask, &world.worker[1].original));
	assert_int_equal(totals_of(&world).n_quarantined, 1);
	world_done(&world);
}

static void saturated_is_left_alone(void **state)
{
	struct world world;
	uint32_t n;

	(void)state;
	hot_start(&world);
	world.batch[1] = 1;
	world_ticks(&world, 60);
	assert_int_equal(world.n_applies, 0);
	n = cb_engine_n_findings(world.engine);
	assert_int_equal(n, 2);
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(cb_engine_finding(world.engine, i)->kind, CB_FINDING_SATURATED);
	assert_true(cb_engine_n_refusals(world.engine) >= 2);
	assert_int_equal(cb_engine_refusal(world.engine, 0)->reason, CB_REJECT_SATURATED);
	world_done(&world);
}

static void one_worker_that_fills_its_cpu_is_bound(void **state)
{
	struct world world;

	(void)state;
	world_init(&world, 2, 1);
	world.worker[0].demand = 1;
	world_ticks(&world, 60);
	assert_int_equal(the_finding(&world)->kind, CB_FINDING_WORKER_BOUND);
	assert_int_equal(the_finding(&world)->worker_key, 1);
	assert_int_equal(world.n_applies, 0);
	world_done(&world);
}

static void advise_waits_for_apply(void **state)
{
	struct world world;
	struct cb_command command = { .kind = CB_COMMAND_APPLY };
	struct cb_decision decision;

	(void)state;
	hot_start(&world);
	world.policy.mode = CB_MODE_ADVISE;
	world_policy(&world);
	decision = world_command(&world, &command);
	assert_int_equal(decision.result, -ENOENT);
	world_ticks(&world, 60);
	assert_int_equal(world.n_applies, 0);
	assert_int_equal(cb_engine_plan(world.engine)->state, CB_PLAN_PROPOSED);
	decision = world_command(&world, &command);
	assert_int_equal(decision.result, 0);
	assert_int_equal(decision.answer_plan_id, 1);
	world_ticks(&world, 30);
	assert_int_equal(world.last_verdict, CB_VERDICT_KEPT);
	world_done(&world);
}

static void observe_and_pause_plan_nothing(void **state)
{
	struct world world;
	struct cb_command pause = { .kind = CB_COMMAND_PAUSE, .span_usec = 60 * CB_USEC_PER_SEC };
	struct cb_command mode = { .kind = CB_COMMAND_MODE, .mode = CB_MODE_OBSERVE };

	(void)state;
	hot_start(&world);
	world_command(&world, &mode);
	world_ticks(&world, 60);
	assert_null(cb_engine_plan(world.engine));
	assert_int_equal(
		cb_engine_refusal(world.engine, cb_engine_n_refusals(world.engine) - 1)->reason,
		CB_REJECT_OBSERVE);
	mode.mode = CB_MODE_AUTO;
	world_command(&world, &mode);
	world_command(&world, &pause);
	world_ticks(&world, 58);
	assert_null(cb_engine_plan(world.engine));
	world_ticks(&world, 5); /* the pause ends by itself */
	assert_non_null(cb_engine_plan(world.engine));
	world_done(&world);
}

static struct cb_command move_of(uint32_t worker_key, struct cb_cpuset mask)
{
	return (struct cb_command){ .kind = CB_COMMAND_MOVE,
				    .worker_key = worker_key,
				    .mask = mask };
}

static void an_operators_move_goes_through_the_same_door(void **state)
{
	struct world world;
	struct cb_command move = move_of(1, cb_cpuset_of(1)),
			  rollback = { .kind = CB_COMMAND_ROLLBACK };
	struct cb_decision decision;

	(void)state;
	world_init(&world, 2, 2);
	world_ticks(&world,
		    20); /* two workers at 0.5: full, but nothing to mend; evidence is there */
	world.policy.mode = CB_MODE_OBSERVE;
	world_policy(&world);
	decision = world_command(&world, &move);
	assert_int_equal(decision.result, 0);
	assert_int_equal(decision.action, CB_ACTION_APPLY);
	assert_true(cb_cpuset_equal(&world.worker[0].mask, &move.mask));
	assert_int_equal(world_command(&world, &move).result, -EBUSY);
	decision = world_command(&world, &rollback);
	assert_int_equal(decision.result, 0);
	assert_true(cb_cpuset_equal(&world.worker[0].mask, &world.worker[0].original));
	assert_int_equal(world.last_verdict, CB_VERDICT_ROLLED_BACK);
	assert_int_equal(world_command(&world, &rollback).result, -ENOENT);
	world_done(&world);
}

static void an_operators_move_that_does_nothing_stays(void **state)
{
	struct world world;
	struct cb_command move = move_of(1, cb_cpuset_of(1)),
			  rollback = { .kind = CB_COMMAND_ROLLBACK };

	(void)state;
	world_init(&world, 2, 2);
	world.worker[0].demand = world.worker[1].demand = 0.1;
	world.noise_ratio = 0.01;
	world_ticks(&world, 15);
	world_command(&world, &move);
	world_ticks(&world, 60);
	assert_int_equal(world.last_verdict, CB_VERDICT_INCONCLUSIVE);
	assert_true(cb_cpuset_equal(&world.worker[0].mask, &move.mask));
	/* and may be rolled back by word long after */
	assert_int_equal(world_command(&world, &rollback).result, 0);
	assert_true(cb_cpuset_equal(&world.worker[0].mask, &world.worker[0].original));
	world_done(&world);
}

static void bad_moves_are_refused(void **state)
{
	struct world world;
	struct cb_command move = move_of(1, CB_CPUSET_EMPTY);
	struct cb_event group = { .kind = CB_EVENT_GROUP_ADDED,
				  .group_key = 1,
				  .group = { .name = "web" } };

	(void)state;
	world_init(&world, 2, 1);
	world_ticks(&world, 2);
	assert_int_equal(world_command(&world, &move).result, -EINVAL);
	move.mask = cb_cpuset_of(7);
	assert_int_equal(world_command(&world, &move).result, -EPERM);
	group.group.has_allowed = true;
	group.group.allowed_cpus = cb_cpuset_of(0);
	world_event(&world, &group);
	move.mask = cb_cpuset_of(1);
	assert_int_equal(world_command(&world, &move).result, -EPERM);
	move.worker_key = 99;
	assert_int_equal(world_command(&world, &move).result, -ENOENT);
	assert_int_equal(world.n_applies, 0);
	world_done(&world);
}

static void a_load_that_stops_is_void(void **state)
{
	struct world world;

	(void)state;
	hot_start(&world);
	while (world.n_applies == 0)
		world_tick(&world);
	world_ticks(&world, 5);
	world.load_factor = 0;
	world_ticks(&world, 20);
	assert_int_equal(world.last_verdict, CB_VERDICT_VOID);
	assert_true(cb_cpuset_equal(&world.worker[0].mask, &world.worker[0].original));
	assert_int_equal(totals_of(&world).n_quarantined, 0);
	world_done(&world);
}

static void a_worker_that_dies_voids_the_plan(void **state)
{
	struct world world;
	struct cb_event gone = { .kind = CB_EVENT_WORKER_GONE, .worker_key = 1 };

	(void)state;
	hot_start(&world);
	while (world.n_applies == 0)
		world_tick(&world);
	world_ticks(&world, 5);
	world.worker[0].alive = false;
	world_event(&world, &gone);
	assert_int_equal(world.last_verdict, CB_VERDICT_VOID);
	assert_null(cb_engine_plan(world.engine));
	assert_int_equal(cb_engine_n_workers(world.engine), 1);
	world_ticks(&world, 5);
	world_done(&world);
}

static void a_failed_write_undoes_the_plan(void **state)
{
	struct world world;

	(void)state;
	hot_start(&world);
	world.fail_errno = EINVAL;
	world.fail_class = CB_ERROR_PERMANENT;
	world_ticks(&world, 30);
	assert_int_equal(world.last_verdict, CB_VERDICT_FAILED);
	assert_true(totals_of(&world).n_write_errors[CB_ITEM_WORKER][CB_ERROR_PERMANENT] > 0);
	assert_true(cb_cpuset_equal(&world.worker[0].mask, &world.worker[0].original));
	world_done(&world);
}

static void a_foreign_mask_is_left_alone(void **state)
{
	struct world world;
	uint32_t moved;

	(void)state;
	hot_start(&world);
	world_ticks(&world, 45);
	assert_int_equal(world.last_verdict, CB_VERDICT_KEPT);
	moved = cb_cpuset_count(&world.worker[0].mask) == 2 ? 0 : 1;
	world.worker[moved].mask = cb_cpuset_of(0);
	world_ticks(&world, 60);
	assert_int_equal(world.n_notices[CB_NOTICE_FOREIGN], 1);
	assert_int_equal(world.n_applies, 2); /* the other worker was let go instead */
	assert_int_equal(cb_cpuset_count(&world.worker[moved].mask), 1);
	assert_int_equal(totals_of(&world).n_foreign[CB_ITEM_WORKER], 1);
	world_done(&world);
}

static void release_puts_everything_back(void **state)
{
	struct world world;
	struct cb_command release = { .kind = CB_COMMAND_RELEASE, .present = true };

	(void)state;
	hot_start(&world);
	world_ticks(&world, 45);
	world_command(&world, &release);
	assert_int_equal(world.n_releases, 1);
	assert_int_equal(world.last.result, 0);
	assert_true(totals_of(&world).paused);
	for (uint32_t i = 0; i < 2; i++) {
		struct cb_worker_view view;

		cb_engine_worker(world.engine, i, &view);
		assert_false(view.placed);
		assert_true(cb_cpuset_equal(&world.worker[i].mask, &world.worker[i].original));
	}
	world_ticks(&world, 60);
	assert_int_equal(world.n_applies, 1);
	world_done(&world);
}

static void release_in_flight_ends_the_plan(void **state)
{
	struct world world;
	struct cb_command release = { .kind = CB_COMMAND_RELEASE, .group_key = 1, .present = true };

	(void)state;
	hot_start(&world);
	while (world.n_applies == 0)
		world_tick(&world);
	world_command(&world, &release);
	assert_null(cb_engine_plan(world.engine));
	assert_int_equal(world.last_verdict, CB_VERDICT_WITHDRAWN);
	world_done(&world);
}

static void too_many_rollbacks_only_advise(void **state)
{
	struct world world;
	struct cb_command mode = { .kind = CB_COMMAND_MODE, .mode = CB_MODE_AUTO };
	uint32_t applies;

	(void)state;
	hot_start(&world);
	world.policy.quarantine_usec = 10 * CB_USEC_PER_SEC;
	world.policy.moves_per_hour = 100;
	world_policy(&world);
	world.efficiency[1] = -0.2;
	world_ticks(&world, 600);
	assert_true(totals_of(&world).canary);
	assert_int_equal(totals_of(&world).rollbacks_hour, world.policy.rollbacks_per_hour + 1);
	assert_int_equal(world.n_notices[CB_NOTICE_CANARY], 1);
	applies = world.n_applies;
	world_ticks(&world, 600);
	assert_int_equal(world.n_applies, applies);
	world_command(&world, &mode);
	assert_false(totals_of(&world).canary);
	world_done(&world);
}

static void moves_of_an_hour_are_bounded(void **state)
{
	struct world world;

	(void)state;
	world_init(&world, 8, 16);
	for (uint32_t i = 0; i < 16; i++)
		world.worker[i].demand = 0.4;
	world.noise_ratio = 0.01;
	world_ticks(&world, 1800);
	assert_int_equal(totals_of(&world).n_moves[CB_ITEM_WORKER], world.policy.moves_per_hour);
	assert_int_equal(totals_of(&world).moves_hour, world.policy.moves_per_hour);
	assert_int_equal(
		cb_engine_refusal(world.engine, cb_engine_n_refusals(world.engine) - 1)->reason,
		CB_REJECT_BUDGET);
	world_done(&world);
}

/* The refusals of a proposed plan for CPU 0 of eight, where eight workers crowd, by reason. */
static uint32_t n_refused(const struct world *world, enum cb_reject reason)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < cb_engine_n_refusals(world->engine); i++)
		n += cb_engine_refusal(world->engine, i)->reason == reason;
	return n;
}

static uint32_t crowd(struct world *world, uint32_t plan_steps, uint32_t moves_per_hour)
{
	world_init(world, 8, 8);
	world->policy.mode = CB_MODE_ADVISE;
	world->policy.plan_steps = plan_steps;
	world->policy.moves_per_hour = moves_per_hour;
	world_policy(world);
	world_ticks(world, 30);
	assert_non_null(cb_engine_plan(world->engine));
	return cb_engine_plan(world->engine)->n_steps;
}

/* Who would be in the plan too is told what keeps him out: a plan's size, or what is left of the hour. */
static void a_full_plan_and_a_spent_hour_are_told_apart(void **state)
{
	struct world world;

	(void)state;
	assert_int_equal(crowd(&world, 2, 6), 2);
	assert_int_equal(n_refused(&world, CB_REJECT_PLAN_FULL), 6);
	assert_int_equal(n_refused(&world, CB_REJECT_BUDGET), 0);
	world_done(&world);
	/* as much is left as a plan may have */
	assert_int_equal(crowd(&world, 2, 2), 2);
	assert_int_equal(n_refused(&world, CB_REJECT_PLAN_FULL), 6);
	assert_int_equal(n_refused(&world, CB_REJECT_BUDGET), 0);
	world_done(&world);
	assert_int_equal(crowd(&world, 2, 1), 1);
	assert_int_equal(n_refused(&world, CB_REJECT_PLAN_FULL), 0);
	assert_int_equal(n_refused(&world, CB_REJECT_BUDGET), 7);
	world_done(&world);
}

/* A plan for the less hot of two CPUs helps the hotter one first: what it may not do is told of where each worker is. */
static void a_refusal_names_the_cpu_of_its_worker(void **state)
{
	struct world world;
	uint32_t n = 0;

	(void)state;
	world_init(&world, 8, 6);
	for (uint32_t i = 0; i < 6; i++) {
		world.worker[i].demand = i < 4 ? 0.5 : 0.48;
		world.worker[i].mask = world.worker[i].original = cb_cpuset_of(i < 4 ? 0 : 1);
	}
	world.policy.mode = CB_MODE_OBSERVE;
	world.policy.plan_steps = world.policy.plan_steps_trusted = 4;
	world_policy(&world);
	world_ticks(&world, 60);
	assert_true(cb_engine_n_findings(world.engine) >= 2);
	for (uint32_t i = 0; i < cb_engine_n_refusals(world.engine); i++) {
		const struct cb_refusal *refusal = cb_engine_refusal(world.engine, i);
		struct cb_worker_view view;

		if (refusal->reason != CB_REJECT_OBSERVE)
			continue;
		assert_true(cb_engine_worker_by_key(world.engine, refusal->item.key, &view));
		assert_int_equal(refusal->cpu, view.cpu_attributed);
		n++;
	}
	assert_true(n >= 2);
	world_done(&world);
}

static void no_plan_soon_after_a_start(void **state)
{
	struct world world;

	(void)state;
	hot_start(&world);
	world_done(&world);
	hot_start(&world);
	world.policy.quiet_start_usec = 60 * CB_USEC_PER_SEC;
	world_policy(&world);
	for (uint32_t key = 1; key <= 2; key++) {
		struct cb_event gone = { .kind = CB_EVENT_WORKER_GONE, .worker_key = key };
		struct cb_event added = { .kind = CB_EVENT_WORKER_ADDED,
					  .worker = { .key = key,
						      .group_key = 1,
						      .comm = "w",
						      .original = cb_cpuset_of(0) } };

		memset(&added.worker.cpuset, 0xff, sizeof(added.worker.cpuset));
		world_event(&world, &gone);
		world_event(&world, &added);
	}
	world_ticks(&world, 59);
	assert_null(cb_engine_plan(world.engine));
	world_ticks(&world, 3);
	assert_non_null(cb_engine_plan(world.engine));
	world_done(&world);
}

/* Kept; a minute later everybody waits longer and gets less done. */
static void a_late_look_undoes_what_went_bad(void **state)
{
	struct world world;

	(void)state;
	hot_start(&world);
	world_ticks(&world, 45);
	assert_int_equal(world.last_verdict, CB_VERDICT_KEPT);
	world.batch[0] = world.batch[1] = 2;
	world_ticks(&world, 80);
	assert_int_equal(world.last_verdict, CB_VERDICT_ROLLED_BACK);
	assert_non_null(strstr(world.last_sentence, "kept at first, but 1 min later"));
	assert_true(cb_cpuset_equal(&world.worker[0].mask, &world.worker[0].original));
	assert_true(cb_cpuset_equal(&world.worker[1].mask, &world.worker[1].original));
	world_done(&world);
}

/* Kept; a minute later there is simply less to do. */
static void a_late_look_forgives_a_lighter_load(void **state)
{
	struct world world;

	(void)state;
	hot_start(&world);
	world_ticks(&world, 45);
	world.load_factor = 0.3;
	world_ticks(&world, 700);
	assert_int_equal(world.last_verdict, CB_VERDICT_KEPT);
	assert_int_equal(world.n_applies, 1);
	world_done(&world);
}

/* Kept, then an operator moves it on; a minute later all is bad: that is no reason to undo the first of both moves. */
static void a_late_look_leaves_what_was_moved_on(void **state)
{
	struct cb_command move = move_of(1, cb_cpuset_of(1));
	struct world world;

	(void)state;
	world_init(&world, 4, 2);
	world.worker[0].demand = world.worker[1].demand = 1;
	world.noise_ratio = 0.02;
	world.policy.mode = CB_MODE_OBSERVE;
	world_policy(&world);
	world_ticks(&world, 20);
	assert_int_equal(world_command(&world, &move).result, 0);
	world_ticks(&world, 40);
	assert_int_equal(world.last_verdict, CB_VERDICT_KEPT);
	assert_int_equal(world.n_applies, 1);
	move.mask = cb_cpuset_of(2);
	assert_int_equal(world_command(&world, &move).result, 0);
	for (uint32_t i = 0; i < 100 && cb_engine_plan(world.engine); i++)
		world_tick(&world);
	assert_null(cb_engine_plan(world.engine));
	assert_int_equal(world.n_applies, 2);
	world.batch[0] = world.batch[2] = 2;
	world_ticks(&world, 120);
	assert_int_equal(world.n_applies, 2);
	assert_true(cb_cpuset_has(&world.worker[0].mask, 2));
	world_done(&world);
}

/* The later plan came to nothing: what went bad is the first one's. */
static void a_late_look_knows_what_failed(void **state)
{
	struct cb_command move;
	struct world world;
	bool first;

	(void)state;
	hot_start(&world);
	world_ticks(&world, 45);
	assert_int_equal(world.last_verdict, CB_VERDICT_KEPT);
	first = !cb_cpuset_equal(&world.worker[0].mask, &world.worker[0].original);
	move = move_of(first ? 1 : 2, cb_cpuset_of(0));
	world.fail_errno = EPERM;
	world.fail_class = CB_ERROR_PERMANENT;
	assert_int_equal(world_command(&world, &move).result, 0);
	for (uint32_t i = 0; i < 100 && cb_engine_plan(world.engine); i++)
		world_tick(&world);
	assert_int_equal(world.last_verdict, CB_VERDICT_FAILED);
	world.fail_errno = 0;
	world.batch[0] = world.batch[1] = 2;
	world_ticks(&world, 80);
	assert_int_equal(world.last_verdict, CB_VERDICT_ROLLED_BACK);
	assert_non_null(strstr(world.last_sentence, "kept at first, but 1 min later"));
	world_done(&world);
}

static void a_veto_keeps_the_items_out_for_long(void **state)
{
	struct world world;
	struct cb_command veto = { .kind = CB_COMMAND_VETO };

	(void)state;
	hot_start(&world);
	assert_int_equal(world_command(&world, &veto).result, -ENOENT);
	world_ticks(&world, 45);
	assert_int_equal(world.last_verdict, CB_VERDICT_KEPT);
	assert_int_equal(world_command(&world, &veto).result, 0);
	assert_int_equal(world.last_verdict, CB_VERDICT_ROLLED_BACK);
	for (uint32_t i = 0; i < 2; i++) {
		struct cb_worker_view view;

		cb_engine_worker(world.engine, i, &view);
		if (view.quarantine_until_usec)
			assert_int_equal(view.quarantine_until_usec,
					 world.now_usec + world.policy.quarantine_max_usec);
	}
	world_tick(&world);
	assert_int_equal(totals_of(&world).n_quarantined, 1);
	world_done(&world);
}

static void bad_inputs_are_ignored(void **state)
{
	struct world world;
	struct cb_decision decision;
	struct cb_input back = { .kind = CB_INPUT_POLICY };
	struct cb_event unknown = { .kind = CB_EVENT_WORKER_GONE, .worker_key = 77 };
	struct cb_input event = { .kind = CB_INPUT_EVENT, .event = &unknown };

	(void)state;
	world_init(&world, 2, 1);
	world_ticks(&world, 2);
	back.policy = &world.policy;
	assert_int_equal(cb_engine_feed(world.engine, &back, &decision), -EINVAL);
	event.now_usec = world.now_usec;
	assert_int_equal(cb_engine_feed(world.engine, &event, &decision), -EINVAL);
	world.snapshot.topology_generation++;
	event = (struct cb_input){ .kind = CB_INPUT_SNAPSHOT,
				   .now_usec = world.now_usec + 5,
				   .snapshot = &world.snapshot };
	assert_int_equal(cb_engine_feed(world.engine, &event, &decision), -EINVAL);
	world_ticks(&world, 2);
	world_done(&world);
}

static void a_steady_balanced_load_moves_nothing(void **state)
{
	struct world world;

	(void)state;
	world_init(&world, 4, 4);
	for (uint32_t i = 0; i < 4; i++) {
		world.worker[i].mask = world.worker[i].original = cb_cpuset_of(i);
		world.worker[i].demand = 0.85;
	}
	world.noise_ratio = 0.1;
	world_ticks(&world, 1800);
	assert_int_equal(world.n_applies, 0);
	world_done(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_registered_nothing_written),
		cmocka_unit_test(hot_cpu_is_found_mended_and_kept),
		cmocka_unit_test(a_move_that_hurts_is_undone),
		cmocka_unit_test(saturated_is_left_alone),
		cmocka_unit_test(one_worker_that_fills_its_cpu_is_bound),
		cmocka_unit_test(advise_waits_for_apply),
		cmocka_unit_test(observe_and_pause_plan_nothing),
		cmocka_unit_test(an_operators_move_goes_through_the_same_door),
		cmocka_unit_test(an_operators_move_that_does_nothing_stays),
		cmocka_unit_test(bad_moves_are_refused),
		cmocka_unit_test(a_load_that_stops_is_void),
		cmocka_unit_test(a_worker_that_dies_voids_the_plan),
		cmocka_unit_test(a_failed_write_undoes_the_plan),
		cmocka_unit_test(a_foreign_mask_is_left_alone),
		cmocka_unit_test(release_puts_everything_back),
		cmocka_unit_test(release_in_flight_ends_the_plan),
		cmocka_unit_test(too_many_rollbacks_only_advise),
		cmocka_unit_test(moves_of_an_hour_are_bounded),
		cmocka_unit_test(a_full_plan_and_a_spent_hour_are_told_apart),
		cmocka_unit_test(a_refusal_names_the_cpu_of_its_worker),
		cmocka_unit_test(no_plan_soon_after_a_start),
		cmocka_unit_test(a_late_look_undoes_what_went_bad),
		cmocka_unit_test(a_late_look_forgives_a_lighter_load),
		cmocka_unit_test(a_late_look_leaves_what_was_moved_on),
		cmocka_unit_test(a_late_look_knows_what_failed),
		cmocka_unit_test(a_veto_keeps_the_items_out_for_long),
		cmocka_unit_test(bad_inputs_are_ignored),
		cmocka_unit_test(a_steady_balanced_load_moves_nothing),
	};

	return cmocka_run_group_tests_name("engine", tests, NULL, NULL);
}
