/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Transmit queues follow an interrupt that a plan moves, and come back with it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "world.h"

static void set_group(struct world *world, enum cb_packets packets)
{
	struct cb_event event = { .kind = CB_EVENT_GROUP_ADDED,
				  .group_key = 1,
				  .group = { .name = "web",
					     .interfaces = "eth0",
					     .placement = CB_PLACEMENT_CORE,
					     .packets = packets } };

	world_event(world, &event);
}

static struct cb_cpuset cpus(const char *list)
{
	struct cb_cpuset set;

	assert_int_equal(cb_cpuset_parse_list(list, strlen(list), &set), 0);
	return set;
}

/* Both interrupts of eth0 on CPU 0, which is hot by them; its queues are used by all. */
static void begin_xps(struct world *world, enum cb_packets packets)
{
	world_init_queues(world, 2);
	world->irq[1].cpu = world->irq[1].original = 0;
	world->irq[0].softirq_ratio = world->irq[1].softirq_ratio = 0.45;
	world->worker[0].demand = 0.3;
	world->worker[1].demand = 0.1;
	for (int i = 0; i < 2; i++)
		world->irq[i].xps = world->irq[i].xps_original = cpus("0-3");
	world_irqs(world);
	set_group(world, packets);
	world_queues(world);
}

static uint32_t n_xps(const struct cb_plan *plan)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < plan->n_steps; i++)
		n += plan->step[i].item.kind == CB_ITEM_XPS;
	return n;
}

static void transmit_queues_follow_an_interrupt_that_moves(void **state)
{
	struct cb_command rollback = { .kind = CB_COMMAND_ROLLBACK };
	struct world world;

	(void)state;
	begin_xps(&world, CB_PACKETS_XPS);
	world_until_applied(&world, 200);
	assert_true(world.irq[0].cpu != world.irq[1].cpu);
	assert_int_equal(n_xps(cb_engine_plan(world.engine)), 2);
	for (int i = 0; i < 2; i++) {
		/* each CPU sends by one queue, its interrupt's own by that */
		assert_true(cb_cpuset_has(&world.irq[i].xps, (unsigned int)world.irq[i].cpu));
		assert_int_equal(cb_cpuset_count(&world.irq[i].xps), 2);
	}
	assert_false(cb_cpuset_intersects(&world.irq[0].xps, &world.irq[1].xps));
	world_queues(&world);
	assert_int_equal(world_command(&world, &rollback).result, 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(world.irq[i].cpu, 0);
		assert_int_equal(cb_cpuset_count(&world.irq[i].xps), 4);
	}
	world_done(&world);
}

/* Every way back: a move that is kept and rolled back later, settings, a release. */
static void transmit_queues_come_back(void **state)
{
	struct cb_command back[] = { { .kind = CB_COMMAND_ROLLBACK },
				     { .kind = CB_COMMAND_RELEASE, .present = true } };
	struct world world;

	(void)state;
	for (int way = 0; way < 3; way++) {
		begin_xps(&world, CB_PACKETS_XPS);
		world_until_applied(&world, 200);
		world_queues(&world);
		world_ticks(&world, 80);
		assert_int_equal(world.last_verdict, CB_VERDICT_KEPT);
		assert_int_equal(cb_cpuset_count(&world.irq[0].xps), 2);
		world_queues(&world);
		if (way < 2) {
			assert_int_equal(world_command(&world, &back[way]).result, 0);
			assert_int_equal(world.irq[0].cpu, 0);
			assert_int_equal(world.irq[1].cpu, 0);
		} else {
			set_group(&world, CB_PACKETS_NONE);
			world_ticks(&world, 2);
		}
		assert_int_equal(cb_cpuset_count(&world.irq[0].xps), 4);
		assert_int_equal(cb_cpuset_count(&world.irq[1].xps), 4);
		world_done(&world);
	}
}

static void without_leave_transmit_queues_stay(void **state)
{
	struct world world;

	(void)state;
	begin_xps(&world, CB_PACKETS_NONE);
	world_until_applied(&world, 200);
	assert_true(world.irq[0].cpu != world.irq[1].cpu);
	assert_int_equal(n_xps(cb_engine_plan(world.engine)), 0);
	assert_int_equal(cb_cpuset_count(&world.irq[0].xps), 4);
	world_done(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(transmit_queues_follow_an_interrupt_that_moves),
		cmocka_unit_test(transmit_queues_come_back),
		cmocka_unit_test(without_leave_transmit_queues_stay),
	};

	return cmocka_run_group_tests_name("xps", tests, NULL, NULL);
}
