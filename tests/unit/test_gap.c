/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Time that is missing: a daemon that was stopped, a machine that was suspended, while a move is being judged. Whatever the load is
 * afterwards, it is no evidence; what is no matter of windows, as quarantines and plans that were kept, goes on.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "world.h"

#define LONG_USEC  (UINT64_C(600) * CB_USEC_PER_SEC)
#define SHORT_USEC (UINT64_C(5) * CB_USEC_PER_SEC)

static void gap(struct world *world, uint64_t usec)
{
	world->now_usec += usec;
}

/* The clock has stood still, and the machine is read anew. */
static void suspend(struct world *world)
{
	struct cb_input input = { .kind = CB_INPUT_TOPOLOGY, .now_usec = world->now_usec };

	world->topology->generation++;
	input.topology = world->topology;
	world_feed(world, &input);
}

/* Two workers that want a whole CPU each, both on CPU 0: soon one is moved. */
static void until_applied(struct world *world)
{
	world_init(world, 2, 2);
	world->worker[0].demand = world->worker[1].demand = 1;
	world->noise_ratio = 0.02;
	world_until_applied(world, 60);
	assert_int_equal(world->n_applies, 1);
}

static uint32_t n_verdicts(const struct world *world)
{
	return world->n_notices[CB_NOTICE_PLAN_ENDED];
}

static void assert_void(const struct world *world, const char *why)
{
	assert_int_equal(n_verdicts(world), 1);
	assert_int_equal(world->last_verdict, CB_VERDICT_VOID);
	assert_non_null(strstr(world->last_sentence, why));
	for (uint32_t i = 0; i < world->n_workers; i++)
		assert_true(cb_cpuset_equal(&world->worker[i].mask, &world->worker[i].original));
}

/* In each tick of settling and of being judged; with twice the load and with half of it afterwards. */
static void a_long_gap_is_void(void **state)
{
	(void)state;
	for (uint32_t after = 0; after < 12; after++)
		for (unsigned int more = 0; more < 2; more++) {
			struct world world;

			until_applied(&world);
			world_ticks(&world, after);
			assert_int_equal(n_verdicts(&world), 0);
			gap(&world, LONG_USEC);
			world.load_factor = more ? 2 : 0.5;
			world_tick(&world);
			world_tick(&world);
			world_tick(&world);
			world_tick(&world);
			assert_void(&world, "nothing was measured for a while");
			world_done(&world);
		}
}

static void a_suspend_is_void(void **state)
{
	struct world world;

	(void)state;
	until_applied(&world);
	world_ticks(&world, 6);
	suspend(&world);
	world.load_factor = 2;
	world_ticks(&world, 2);
	assert_void(&world, "suspended");
	world_done(&world);
}

/* Some seconds that are missing are left out: the verdict is that of the others. */
static void a_short_gap_is_left_out(void **state)
{
	struct world world;

	(void)state;
	until_applied(&world);
	world_ticks(&world, 8);
	gap(&world, SHORT_USEC);
	world_ticks(&world, 9); /* else it would be there by now */
	assert_int_equal(n_verdicts(&world), 0);
	world_ticks(&world, 20);
	assert_int_equal(n_verdicts(&world), 1);
	assert_int_equal(world.last_verdict, CB_VERDICT_KEPT);
	world_done(&world);
}

/* Before the move a gap only means that what to compare with is collected anew. */
static void a_gap_before_the_move_delays_it(void **state)
{
	struct world world;

	(void)state;
	world_init(&world, 2, 2);
	world.worker[0].demand = world.worker[1].demand = 1;
	world.noise_ratio = 0.02;
	for (unsigned int i = 0; i < 60 && !cb_engine_plan(world.engine); i++)
		world_tick(&world);
	assert_int_equal(cb_engine_plan(world.engine)->state, CB_PLAN_BASELINE);
	gap(&world, LONG_USEC);
	world_ticks(&world, 10);
	assert_int_equal(world.n_applies, 0);
	world_ticks(&world, 40);
	assert_int_equal(world.n_applies, 1);
	assert_int_equal(world.last_verdict, CB_VERDICT_KEPT);
	world_done(&world);
}

/* A late look compares with windows of another time, or of other CPUs, no more. */
static void what_was_kept_stays(void **state)
{
	struct world world;

	(void)state;
	until_applied(&world);
	world_ticks(&world, 40);
	assert_int_equal(world.last_verdict, CB_VERDICT_KEPT);
	suspend(&world);
	world.batch[1] = 3; /* now it would look like harm */
	world_ticks(&world, 700);
	assert_int_equal(n_verdicts(&world), 1);
	world_done(&world);
}

static uint64_t quarantined_until(const struct world *world)
{
	uint64_t until_usec = 0;

	for (uint32_t i = 0; i < world->n_workers; i++) {
		struct cb_worker_view view;

		cb_engine_worker(world->engine, i, &view);
		until_usec = CB_MAX(until_usec, view.quarantine_until_usec);
	}
	return until_usec;
}

static void a_quarantine_outlasts_a_suspend(void **state)
{
	struct world world;
	uint64_t until_usec;

	(void)state;
	until_applied(&world);
	world.efficiency[1] = -0.2;
	for (unsigned int i = 0; i < 60 && n_verdicts(&world) == 0; i++)
		world_tick(&world);
	assert_int_equal(world.last_verdict, CB_VERDICT_ROLLED_BACK);
	until_usec = quarantined_until(&world);
	assert_true(until_usec > world.now_usec);
	suspend(&world);
	gap(&world, SHORT_USEC);
	world_ticks(&world, 20);
	assert_int_equal(quarantined_until(&world), until_usec);
	assert_int_equal(world.n_applies, 2);
	world_done(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_long_gap_is_void),
		cmocka_unit_test(a_suspend_is_void),
		cmocka_unit_test(a_short_gap_is_left_out),
		cmocka_unit_test(a_gap_before_the_move_delays_it),
		cmocka_unit_test(what_was_kept_stays),
		cmocka_unit_test(a_quarantine_outlasts_a_suspend),
	};

	return cmocka_run_group_tests_name("gap", tests, NULL, NULL);
}
