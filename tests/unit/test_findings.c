/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What all findings have in common, and those about how busy a CPU is, on a small machine in virtual time. */
#include "cpubalance/engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "world.h"

static uint32_t n_began(const struct world *world)
{
	return world->n_notices[CB_NOTICE_FINDING_BEGAN];
}

static uint32_t n_ended(const struct world *world)
{
	return world->n_notices[CB_NOTICE_FINDING_ENDED];
}

/* One CPU of four is busy with what is no worker's. */
static void hot_by_others(struct world *world)
{
	world_init(world, 4, 1);
	world->worker[0].demand = 0.1;
	world->batch[2] = 0.95;
}

static void time_confirms_and_it_is_told_once(void **state)
{
	struct world world;
	const struct cb_finding *finding;

	(void)state;
	hot_by_others(&world);
	world_ticks(&world, 20);
	assert_int_equal(cb_engine_n_findings(world.engine), 1);
	finding = cb_engine_finding(world.engine, 0);
	assert_false(finding->confirmed);
	assert_int_equal(finding->confirm_usec, world.policy.hot_idle_usec);
	assert_int_equal(n_began(&world), 0);
	world_ticks(&world, 60);
	assert_true(cb_engine_finding(world.engine, 0)->confirmed);
	assert_int_equal(n_began(&world), 1);
	assert_int_equal(world.last_finding.cpu, 2);
	assert_int_equal(world.last_finding.finding, CB_FINDING_HOT_CPU);
	assert_int_equal(n_ended(&world), 0);
	world.batch[2] = 0;
	world_ticks(&world, 10);
	assert_int_equal(cb_engine_n_findings(world.engine), 0);
	assert_int_equal(n_ended(&world), 1);
	world_done(&world);
}

static void what_was_never_confirmed_ends_in_silence(void **state)
{
	struct world world;

	(void)state;
	hot_by_others(&world);
	world_ticks(&world, 15);
	world.batch[2] = 0;
	world_ticks(&world, 10);
	assert_int_equal(n_began(&world) + n_ended(&world), 0);
	world_done(&world);
}

static void between_the_thresholds_nothing_changes(void **state)
{
	struct world world;

	(void)state;
	hot_by_others(&world);
	world_ticks(&world, 60);
	assert_int_equal(n_began(&world), 1);
	for (uint32_t i = 0; i < 100; i++) {
		world.batch[2] = i % 2 ? 0.73 : 0.84; /* HotOff=70%, HotOn=80% */
		world_ticks(&world, 3);
	}
	assert_int_equal(n_began(&world), 1);
	assert_int_equal(n_ended(&world), 0);
	world_done(&world);
}

static void another_kind_ends_the_first(void **state)
{
	struct world world;

	(void)state;
	hot_by_others(&world);
	world_ticks(&world, 60);
	world.batch[0] = world.batch[1] = world.batch[3] = 0.95;
	world_ticks(&world, 10);
	assert_int_equal(n_ended(&world), 1);
	assert_int_equal(world.last_finding.finding, CB_FINDING_HOT_CPU);
	assert_non_null(strstr(world.last_finding.sentence, "looks like SATURATED"));
	world_ticks(&world, 60);
	assert_int_equal(n_began(&world), 5);
	world_done(&world);
}

/* State about CPUs is dropped with the set of CPUs: whoever heard of the beginning has to hear of the end. */
static void hotplug_ends_what_is_about_cpus(void **state)
{
	struct world world;
	struct cb_topology *topology = cb_topology_new(4);
	struct cb_input input = { .kind = CB_INPUT_TOPOLOGY, .topology = topology };

	(void)state;
	assert_non_null(topology);
	hot_by_others(&world);
	world_ticks(&world, 60);
	topology->possible = topology->online = world.topology->possible;
	cb_cpuset_clear(&topology->online, 3);
	topology->n_online = 3;
	topology->generation = world.topology->generation + 1;
	input.now_usec = world.now_usec;
	world_feed(&world, &input);
	cb_topology_unref(world.topology);
	world.topology = topology;
	assert_int_equal(n_ended(&world), 1);
	assert_int_equal(world.last_finding.cpu, 2);
	assert_non_null(strstr(world.last_finding.sentence, "set of CPUs"));
	world_ticks(&world, 60);
	assert_int_equal(n_began(&world), 2);
	world_done(&world);
}

static void what_plans_follow_comes_first(void **state)
{
	struct world world;

	(void)state;
	/* the worker may only use CPU 0 and 1, which are full; CPU 2 is hot beside an idle CPU 3 */
	world_init(&world, 4, 1);
	world.worker[0].demand = 0.2;
	world.worker[0].mask = cb_cpuset_of(0);
	world.batch[0] = 1.5;
	world.batch[1] = 1.5;
	world.batch[2] = 0.85;
	world_ticks(&world, 60);
	assert_true(cb_engine_n_findings(world.engine) >= 3);
	for (uint32_t i = 1; i < cb_engine_n_findings(world.engine); i++) {
		const struct cb_finding *a = cb_engine_finding(world.engine, i - 1),
					*b = cb_engine_finding(world.engine, i);

		assert_true(a->confirmed >= b->confirmed);
		if (a->confirmed == b->confirmed)
			assert_true(cb_finding_role(a->kind) <= cb_finding_role(b->kind));
		if (a->confirmed == b->confirmed && a->kind == b->kind)
			assert_true(a->busy_ratio >= b->busy_ratio);
	}
	world_done(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(time_confirms_and_it_is_told_once),
		cmocka_unit_test(what_was_never_confirmed_ends_in_silence),
		cmocka_unit_test(between_the_thresholds_nothing_changes),
		cmocka_unit_test(another_kind_ends_the_first),
		cmocka_unit_test(hotplug_ends_what_is_about_cpus),
		cmocka_unit_test(what_plans_follow_comes_first),
	};

	return cmocka_run_group_tests_name("findings", tests, NULL, NULL);
}
