/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Windows and time: an interval that is none, because nobody looked for a while, is no evidence. */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "world.h"

static void hot_start(struct world *world)
{
	world_init(world, 2, 2);
	world->worker[0].demand = world->worker[1].demand = 1;
	world->noise_ratio = 0.02;
}

static void until_applied(struct world *world)
{
	world_until_applied(world, 120);
	assert_int_equal(world->n_applies, 1);
}

/* In the world nothing happens in time that only passes: one window then has a small part of the usual work. Longer gaps: test_gap. */
static void a_gap_after_the_move_is_not_judged(void **state)
{
	(void)state;
	for (unsigned int when = 0; when < 12; when++) {
		struct world world;

		hot_start(&world);
		until_applied(&world);
		world_ticks(&world, when);
		world.now_usec += 8 * CB_USEC_PER_SEC;
		world_ticks(&world, 60);
		assert_int_equal(world.n_applies, 1);
		assert_int_equal(world.last_verdict, CB_VERDICT_KEPT);
		world_done(&world);
	}
}

static void a_gap_before_the_move_is_not_judged(void **state)
{
	(void)state;
	for (unsigned int when = 1; when < 14; when++) {
		struct world world;

		hot_start(&world);
		world_ticks(&world, when);
		world.now_usec += 60 * CB_USEC_PER_SEC;
		world_ticks(&world, 120);
		assert_int_equal(world.n_applies, 1);
		assert_int_equal(world.last_verdict, CB_VERDICT_KEPT);
		world_done(&world);
	}
}

/* Work that does not come over the network is work all the same. */
static void without_packets_cpu_time_is_judged(void **state)
{
	struct world world;

	(void)state;
	hot_start(&world);
	for (unsigned int i = 0; i < 2; i++)
		world.efficiency[i] = 0;
	until_applied(&world);
	world_ticks(&world, 60);
	assert_int_equal(world.last_verdict, CB_VERDICT_KEPT);
	world_done(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_gap_after_the_move_is_not_judged),
		cmocka_unit_test(a_gap_before_the_move_is_not_judged),
		cmocka_unit_test(without_packets_cpu_time_is_judged),
	};

	return cmocka_run_group_tests_name("windows", tests, NULL, NULL);
}
