/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Worker, socket and interrupt as one lane (Steering=local): together or not at all, and said if not. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "world.h"

static void set_group(struct world *world, enum cb_steering steering)
{
	struct cb_event event = { .kind = CB_EVENT_GROUP_ADDED,
				  .group_key = 1,
				  .group = { .name = "web",
					     .interfaces = "eth0",
					     .placement = CB_PLACEMENT_CORE,
					     .steering = steering } };

	world_event(world, &event);
}

static int order(struct world *world, enum cb_steering steering)
{
	struct cb_command command = { .kind = CB_COMMAND_STEER,
				      .group_key = 1,
				      .steering = steering };

	return world_command(world, &command).result;
}

static void begin(struct world *world)
{
	world_init_queues(world, 2);
	set_group(world, CB_STEERING_LOCAL);
	world_ticks(world, 5);
	assert_int_equal(order(world, CB_STEERING_LOCAL), 0);
	world_ticks(world, 150);
	assert_int_equal(world->worker[0].incoming_cpu, 0);
	assert_int_equal(world->worker[1].incoming_cpu, 1);
	world->n_applies = 0;
}

/* Is everything of lane @index where its worker is? */
static void assert_lane(const struct world *world, uint32_t index)
{
	int32_t cpu = world->worker[index].incoming_cpu;

	assert_true(cpu >= 0);
	assert_int_equal(cb_cpuset_count(&world->worker[index].mask), 1);
	assert_true(cb_cpuset_has(&world->worker[index].mask, (unsigned int)cpu));
	assert_int_equal(world->irq[index].cpu, cpu);
}

/* CPU 0 is hot by somebody else's work: its lane has just been led away, or that was tried. */
static void begin_moved(struct world *world)
{
	begin(world);
	world->batch[0] = 0.9;
	world_until_applied(world, 200);
}

static void a_lane_moves_as_one(void **state)
{
	const struct cb_plan *plan;
	struct cb_group_view view;
	struct world world;

	(void)state;
	begin_moved(&world);
	assert_int_equal(world.n_applies, 1);
	assert_true(world.worker[0].incoming_cpu >= 2); /* CPU 1 has a lane */
	assert_lane(&world, 0);
	assert_lane(&world, 1);
	plan = cb_engine_plan(world.engine);
	assert_non_null(plan);
	assert_int_equal(plan->n_steps, 3);
	assert_int_equal(plan->step[0].item.kind, CB_ITEM_WORKER);
	assert_int_equal(plan->step[1].item.kind, CB_ITEM_IRQ);
	assert_int_equal(plan->step[2].item.kind, CB_ITEM_LISTENER);
	for (uint32_t i = 0; i < plan->n_steps; i++)
		assert_true(cb_plan_in_lane(plan, &plan->step[i]));
	/* expected with the load of both: 0.9 stays */
	assert_true(plan->hottest_after_ratio < 0.95);
	/* one move of the budget */
	cb_engine_group(world.engine, 0, &view);
	assert_int_equal(view.moves_hour, 1);
	world_ticks(&world, 60);
	assert_int_equal(world.last_verdict, CB_VERDICT_KEPT);
	assert_lane(&world, 0);
	/* and there is nothing more to do */
	world_ticks(&world, 300);
	assert_int_equal(world.n_applies, 1);
	world_done(&world);
}

static void a_lane_goes_back_as_one(void **state)
{
	struct cb_command rollback = { .kind = CB_COMMAND_ROLLBACK };
	struct cb_group_view view;
	struct world world;

	(void)state;
	for (int late = 0; late <= 1; late++) {
		begin(&world);
		world.batch[0] = 0.9;
		world_until_applied(&world, 200);
		assert_true(world.worker[0].incoming_cpu >= 2);
		world_ticks(&world, late ? 60 : 2);
		assert_int_equal(world_command(&world, &rollback).result, 0);
		assert_int_equal(world.worker[0].incoming_cpu, 0);
		assert_lane(&world, 0);
		assert_lane(&world, 1);
		cb_engine_group(world.engine, 0, &view);
		assert_int_equal(view.steered, CB_STEERING_LOCAL);
		world_ticks(&world, 30);
		assert_lane(&world, 0);
		world_done(&world);
	}
}

static void without_lanes_each_moves_alone(void **state)
{
	struct world world;

	(void)state;
	world_init_queues(&world, 2);
	set_group(&world, CB_STEERING_NONE);
	world.batch[0] = 0.9;
	world_until_applied(&world, 200);
	for (uint32_t i = 0; i < world.last.n_steps; i++)
		assert_int_not_equal(world.last.step[i].item.kind, CB_ITEM_LISTENER);
	assert_int_equal(world.worker[0].incoming_cpu, -1);
	world_done(&world);
}

static void an_interrupt_that_stays_keeps_its_lane(void **state)
{
	struct world world;

	(void)state;
	begin(&world);
	assert_int_equal(cb_irq_scope_parse("none", world.policy.manage_interrupts,
					    sizeof(world.policy.manage_interrupts)),
			 0);
	world_policy(&world);
	world.batch[0] = 0.9;
	for (int i = 0; i < 100 && !world_refused(&world, CB_ITEM_WORKER, CB_REJECT_LANE_FIXED);
	     i++)
		world_tick(&world);
	assert_true(world_refused(&world, CB_ITEM_WORKER, CB_REJECT_LANE_FIXED));
	world_ticks(&world, 100);
	assert_int_equal(world.n_applies, 0);
	assert_lane(&world, 0);
	world_done(&world);
}

static void every_cpu_has_a_lane(void **state)
{
	struct world world;

	(void)state;
	world_init_queues(&world, 4);
	set_group(&world, CB_STEERING_LOCAL);
	world_ticks(&world, 5);
	assert_int_equal(order(&world, CB_STEERING_LOCAL), 0);
	world_ticks(&world, 150);
	world.n_applies = 0;
	world.batch[0] = 0.9;
	for (int i = 0; i < 100 && !world_refused(&world, CB_ITEM_WORKER, CB_REJECT_LANE_TAKEN);
	     i++)
		world_tick(&world);
	assert_true(world_refused(&world, CB_ITEM_WORKER, CB_REJECT_LANE_TAKEN));
	assert_true(world_refused(&world, CB_ITEM_IRQ, CB_REJECT_LANE));
	world_ticks(&world, 100);
	assert_int_equal(world.n_applies, 0);
	world_done(&world);
}

/* Two interrupts that bring much to one CPU: the smaller goes to another lane, and to no CPU without one. */
static void one_of_several_goes_to_another_lane(void **state)
{
	struct world world;

	(void)state;
	world_init_queues(&world, 3);
	world.irq[0].softirq_ratio = 0.5;
	world.irq[2].softirq_ratio = 0.3;
	world.irq[2].cpu = world.irq[2].original = 0;
	world.worker[0].demand = 0.3;
	world.worker[1].demand = world.worker[2].demand = 0.2;
	world.irq[1].softirq_ratio = 0.1;
	world_irqs(&world);
	set_group(&world, CB_STEERING_LOCAL);
	/* nothing of its own before the order */
	world.policy.mode = CB_MODE_OBSERVE;
	world_policy(&world);
	world_ticks(&world, 5);
	assert_int_equal(order(&world, CB_STEERING_LOCAL), 0);
	world_ticks(&world, 100);
	assert_int_equal(world.worker[2].incoming_cpu, 2);
	world.n_applies = 0;
	world.policy.mode = CB_MODE_AUTO;
	world_policy(&world);
	world_until_applied(&world, 200);
	assert_int_equal(world.irq[0].cpu, 0);
	assert_true(world.irq[2].cpu == 1 || world.irq[2].cpu == 2);
	assert_true(cb_cpuset_has(&world.worker[0].mask, 0));
	assert_int_equal(world.worker[0].incoming_cpu, 0);
	world_done(&world);
}

static int move(struct world *world, uint32_t key, unsigned int cpu, char *ret_answer, size_t size)
{
	struct cb_command command = { .kind = CB_COMMAND_MOVE,
				      .worker_key = key,
				      .mask = cb_cpuset_of(cpu) };
	struct cb_decision decision = world_command(world, &command);

	snprintf(ret_answer, size, "%s", decision.answer);
	return decision.result;
}

static void an_order_moves_the_lane_or_says_that_it_does_not(void **state)
{
	char answer[256];
	struct world world;

	(void)state;
	begin(&world);
	assert_int_equal(move(&world, 1, 3, answer, sizeof(answer)), 0);
	assert_null(strstr(answer, "alone"));
	assert_int_equal(world.worker[0].incoming_cpu, 3);
	assert_lane(&world, 0);
	world_ticks(&world, 60);
	assert_lane(&world, 0);
	/* to where another lane is: alone, and there cannot be two, so the hash comes back */
	assert_int_equal(move(&world, 1, 1, answer, sizeof(answer)), 0);
	assert_non_null(strstr(answer, "alone"));
	assert_int_equal(world.irq[0].cpu, 3);
	world_ticks(&world, 60);
	assert_int_equal(world.worker[0].incoming_cpu, -1);
	assert_int_equal(world.worker[1].incoming_cpu, -1);
	world_done(&world);
}

/* Somebody else's hand: the socket goes after its worker. */
static void sockets_follow_their_workers(void **state)
{
	struct world world;

	(void)state;
	begin(&world);
	world.worker[0].mask = cb_cpuset_of(2);
	world_ticks(&world, 10);
	assert_int_equal(world.worker[0].incoming_cpu, 2);
	assert_int_equal(world.worker[1].incoming_cpu, 1);
	assert_non_null(strstr(world.last_sentence, "its lanes follow its workers"));
	world_done(&world);
}

/* Two hot lanes and one free CPU, which has room for both: one goes, and the loads are told without the other. */
static void two_lanes_do_not_share_a_cpu(void **state)
{
	const struct cb_plan *plan;
	uint32_t n_workers = 0;
	struct world world;

	(void)state;
	world_init_queues(&world, 3);
	for (int i = 0; i < 3; i++) {
		world.worker[i].demand = 0.2;
		world.irq[i].softirq_ratio = 0.1;
	}
	world.policy.plan_steps = world.policy.plan_steps_trusted = 4;
	world_policy(&world);
	world_irqs(&world);
	set_group(&world, CB_STEERING_LOCAL);
	world_ticks(&world, 5);
	assert_int_equal(order(&world, CB_STEERING_LOCAL), 0);
	world_ticks(&world, 150);
	world.n_applies = 0;
	world.batch[0] = world.batch[1] = 0.9;
	world_until_applied(&world, 200);
	plan = cb_engine_plan(world.engine);
	assert_non_null(plan);
	for (uint32_t i = 0; i < plan->n_steps; i++)
		n_workers += plan->step[i].item.kind == CB_ITEM_WORKER;
	assert_int_equal(n_workers, 1);
	assert_true(plan->hottest_after_ratio < plan->hottest_before_ratio);
	for (uint32_t i = 0; i < 3; i++) {
		assert_lane(&world, i);
		assert_int_not_equal(world.worker[i].incoming_cpu,
				     world.worker[(i + 1) % 3].incoming_cpu);
	}
	world_done(&world);
}

static void begin_two_groups(struct world *world)
{
	struct cb_event group = { .kind = CB_EVENT_GROUP_ADDED,
				  .group_key = 2,
				  .group = { .name = "api",
					     .interfaces = "eth0",
					     .placement = CB_PLACEMENT_CORE,
					     .steering = CB_STEERING_LOCAL } };
	struct cb_command steer = { .kind = CB_COMMAND_STEER,
				    .group_key = 2,
				    .steering = CB_STEERING_LOCAL };

	world_init_queues(world, 2);
	set_group(world, CB_STEERING_LOCAL);
	world_event(world, &group);
	for (uint32_t i = 0; i < 2; i++) {
		world->worker[i].demand = 0.2;
		world_add_worker(world, 2, i, 0.2, 77);
	}
	world_irqs(world);
	world_ticks(world, 5);
	assert_int_equal(order(world, CB_STEERING_LOCAL), 0);
	world_ticks(world, 150);
	assert_int_equal(world_command(world, &steer).result, 0);
	world_ticks(world, 150);
	assert_int_equal(world->worker[0].incoming_cpu, 0);
	assert_int_equal(world->worker[2].incoming_cpu, 0);
	world->n_applies = 0;
}

static void an_interrupt_of_two_groups_stays(void **state)
{
	struct world world;

	(void)state;
	begin_two_groups(&world);
	world.batch[0] = 0.9;
	for (int i = 0; i < 100 && !world_refused(&world, CB_ITEM_WORKER, CB_REJECT_LANE_FIXED);
	     i++)
		world_tick(&world);
	assert_true(world_refused(&world, CB_ITEM_WORKER, CB_REJECT_LANE_FIXED));
	world_ticks(&world, 100);
	assert_int_equal(world.n_applies, 0);
	assert_lane(&world, 0);
	assert_int_equal(world.worker[2].incoming_cpu, 0);
	world_done(&world);
}

static void other_sockets_end_a_move_of_lanes(void **state)
{
	struct cb_event lost = { .kind = CB_EVENT_STEER_LOST, .group_key = 1 };
	struct world world;

	(void)state;
	begin_moved(&world);
	assert_true(world.worker[0].incoming_cpu >= 2);
	world_tick(&world);
	world.worker[0].incoming_cpu = world.worker[1].incoming_cpu = -1;
	world_event(&world, &lost);
	assert_int_equal(world.last_verdict, CB_VERDICT_VOID);
	/* back, and no socket is steered until they have settled */
	assert_true(cb_cpuset_has(&world.worker[0].mask, 0));
	assert_int_equal(world.irq[0].cpu, 0);
	assert_int_equal(world.worker[0].incoming_cpu, -1);
	world_ticks(&world, 10);
	assert_lane(&world, 0);
	assert_lane(&world, 1);
	world_done(&world);
}

static void settings_end_a_move_of_lanes(void **state)
{
	struct world world;

	(void)state;
	begin_moved(&world);
	world_tick(&world);
	set_group(&world, CB_STEERING_NONE);
	assert_int_equal(world.last_verdict, CB_VERDICT_VOID);
	assert_true(cb_cpuset_has(&world.worker[0].mask, 0));
	world_ticks(&world, 2);
	assert_int_equal(world.worker[0].incoming_cpu, -1);
	assert_int_equal(world.worker[1].incoming_cpu, -1);
	world_done(&world);
}

/* What the operator has switched off does not come back with a worker. */
static void a_rollback_steers_nothing_anew(void **state)
{
	struct cb_command rollback = { .kind = CB_COMMAND_ROLLBACK };
	struct world world;

	(void)state;
	begin_moved(&world);
	rollback.plan_id = cb_engine_plan(world.engine)->id;
	world_ticks(&world, 60);
	assert_int_equal(world.last_verdict, CB_VERDICT_KEPT);
	assert_int_equal(order(&world, CB_STEERING_NONE), 0);
	world_ticks(&world, 2);
	assert_int_equal(world.worker[0].incoming_cpu, -1);
	assert_int_equal(world_command(&world, &rollback).result, 0);
	assert_true(cb_cpuset_has(&world.worker[0].mask, 0));
	assert_int_equal(world.irq[0].cpu, 0);
	assert_int_equal(world.worker[0].incoming_cpu, -1);
	assert_int_equal(world.last_verdict, CB_VERDICT_ROLLED_BACK);
	world_done(&world);
}

static void a_newcomer_in_a_lane_is_not_moved_alone(void **state)
{
	struct world world;

	(void)state;
	begin(&world);
	world.n_irqs = 3;
	world.irq[2] = (struct world_irq){
		.cpu = 2, .original = 2, .softirq_ratio = 0.2, .dir = CB_QUEUE_BOTH
	};
	world.batch[2] = 0.9;
	world.policy.mode = CB_MODE_ADVISE;
	world_policy(&world);
	world_add_worker(&world, 1, 2, 0.4, world.now_usec / 10000);
	world_irqs(&world);
	for (int i = 0; i < 30 && world.worker[2].incoming_cpu < 0; i++)
		world_tick(&world);
	world_ticks(&world, 5);
	assert_lane(&world, 2);
	world.policy.mode = CB_MODE_AUTO;
	world_policy(&world);
	for (int i = 0; i < 200; i++) {
		world_tick(&world);
		assert_lane(&world, 2);
	}
	world_done(&world);
}

/* A socket that somebody else has set: its lane is not tried again and again. */
static void a_lane_that_cannot_go_is_left_alone(void **state)
{
	struct world world;

	(void)state;
	begin(&world);
	world.refuse_steering = CB_REJECT_FOREIGN;
	world.batch[0] = 0.9;
	world_until_applied(&world, 200);
	assert_int_equal(world.last_verdict, CB_VERDICT_FAILED);
	assert_int_equal(world.n_applies, 2); /* there and back */
	assert_true(cb_cpuset_has(&world.worker[0].mask, 0));
	assert_int_equal(world.irq[0].cpu, 0);
	world_ticks(&world, 200);
	assert_int_equal(world.n_applies, 2);
	assert_true(world_refused(&world, CB_ITEM_WORKER, CB_REJECT_QUARANTINE));
	world_done(&world);
}

/* An order is as whole as a plan of our own: the queues that send follow, and what goes along is counted. */
static void an_order_takes_all_of_the_lane_along(void **state)
{
	struct cb_event group = { .kind = CB_EVENT_GROUP_ADDED,
				  .group_key = 1,
				  .group = { .name = "web",
					     .interfaces = "eth0",
					     .placement = CB_PLACEMENT_CORE,
					     .packets = CB_PACKETS_XPS,
					     .steering = CB_STEERING_LOCAL } };
	const struct cb_plan *plan;
	struct world world;
	char answer[256];

	(void)state;
	begin(&world);
	world_event(&world, &group);
	for (unsigned int i = 0; i < 2; i++) {
		world.irq[i].xps = cb_cpuset_of(2 * i);
		cb_cpuset_set(&world.irq[i].xps, 2 * i + 1);
		world.irq[i].xps_original = world.irq[i].xps;
	}
	world_queues(&world);
	assert_int_equal(move(&world, 1, 3, answer, sizeof(answer)), 0);
	assert_lane(&world, 0);
	assert_true(cb_cpuset_has(&world.irq[0].xps, 3));
	assert_false(cb_cpuset_has(&world.irq[1].xps, 3));
	plan = cb_engine_plan(world.engine);
	assert_non_null(plan);
	/* a worker with 0.4 and an interrupt with 0.2 were all that the CPU had to do */
	assert_true(plan->hottest_before_ratio > 0.5);
	assert_true(plan->hottest_after_ratio < 0.1);
	world_done(&world);
}

/* An interrupt that brings no connections is moved for itself, even if it is to where a lane goes. */
static void what_goes_the_same_way_is_no_lane(void **state)
{
	const struct cb_plan *plan;
	struct cb_group_view view;
	uint32_t n_alone = 0;
	struct world world;

	(void)state;
	world_init_queues(&world, 3);
	world.n_workers = 2;
	world.worker[2].alive = false;
	world_event(&world, &(struct cb_event){ .kind = CB_EVENT_WORKER_GONE, .worker_key = 3 });
	world.irq[2] = (struct world_irq){
		.cpu = 0, .original = 0, .softirq_ratio = 0.25, .dir = CB_QUEUE_TX
	};
	world.worker[0].demand = 0.2;
	world.irq[0].softirq_ratio = 0.1;
	world.policy.plan_steps = world.policy.plan_steps_trusted = 4;
	world.policy.mode = CB_MODE_OBSERVE;
	world_policy(&world);
	world_irqs(&world);
	set_group(&world, CB_STEERING_LOCAL);
	world.batch[2] = 0.8;
	world_ticks(&world, 5);
	assert_int_equal(order(&world, CB_STEERING_LOCAL), 0);
	world_ticks(&world, 150);
	world.policy.mode = CB_MODE_AUTO;
	world_policy(&world);
	world.n_applies = 0;
	world.batch[0] = 0.9;
	world_until_applied(&world, 200);
	plan = cb_engine_plan(world.engine);
	assert_non_null(plan);
	assert_lane(&world, 0);
	assert_int_equal(world.worker[0].incoming_cpu, 3);
	assert_int_equal(world.irq[2].cpu, 3);
	for (uint32_t i = 0; i < plan->n_steps; i++)
		n_alone += !cb_plan_in_lane(plan, &plan->step[i]);
	assert_int_equal(plan->n_steps, 4);
	assert_int_equal(n_alone, 1);
	cb_engine_group(world.engine, 0, &view);
	assert_int_equal(view.moves_hour, 2);
	world_done(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_lane_moves_as_one),
		cmocka_unit_test(a_lane_goes_back_as_one),
		cmocka_unit_test(without_lanes_each_moves_alone),
		cmocka_unit_test(an_interrupt_that_stays_keeps_its_lane),
		cmocka_unit_test(every_cpu_has_a_lane),
		cmocka_unit_test(one_of_several_goes_to_another_lane),
		cmocka_unit_test(an_order_moves_the_lane_or_says_that_it_does_not),
		cmocka_unit_test(sockets_follow_their_workers),
		cmocka_unit_test(two_lanes_do_not_share_a_cpu),
		cmocka_unit_test(an_interrupt_of_two_groups_stays),
		cmocka_unit_test(other_sockets_end_a_move_of_lanes),
		cmocka_unit_test(settings_end_a_move_of_lanes),
		cmocka_unit_test(a_rollback_steers_nothing_anew),
		cmocka_unit_test(a_newcomer_in_a_lane_is_not_moved_alone),
		cmocka_unit_test(a_lane_that_cannot_go_is_left_alone),
		cmocka_unit_test(an_order_takes_all_of_the_lane_along),
		cmocka_unit_test(what_goes_the_same_way_is_no_lane),
	};

	return cmocka_run_group_tests_name("lane", tests, NULL, NULL);
}
