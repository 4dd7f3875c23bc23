/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the engine wants to be read, where the daemon should run itself, and how often it ticks when ticks are dear; rates of signals
 * that are not in every snapshot.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cpubalance/engine.h"
#include "daemon/manager.h"
#include "world.h"

static void assert_set(const struct cb_cpuset *set, const char *expected)
{
	char buf[128];

	assert_true(cb_cpuset_format_list(set, buf, sizeof(buf)) >= 0);
	assert_string_equal(buf, expected);
}

/* Three workers of half a CPU each on CPU 0, a batch job of a fifth on CPU 2. */
static void asks_for_what_is_near(void **state)
{
	struct world world;
	struct cb_demand demand;

	(void)state;
	world_init(&world, 4, 3);
	world.policy.mode = CB_MODE_OBSERVE;
	world_policy(&world);
	world.batch[2] = 0.2;
	world_ticks(&world, 5);
	cb_engine_demand(world.engine, false, &demand);
	assert_true(demand.detail);
	assert_set(&demand.near, "0");
	assert_set(&demand.busy, "2");
	/* an isolated one is asked for nothing, so it has no turn to take from others either */
	cb_cpuset_set(&world.topology->isolated, 2);
	world_topology(&world);
	world_ticks(&world, 2);
	cb_engine_demand(world.engine, false, &demand);
	assert_set(&demand.near, "0");
	assert_true(cb_cpuset_empty(&demand.busy));
	world_done(&world);
}

/* Nothing can be done about a hot CPU without a group, so its details can wait for their turn. */
static void asks_for_less_without_a_group(void **state)
{
	struct cb_event removed = { .kind = CB_EVENT_GROUP_REMOVED, .group_key = 1 };
	struct cb_demand demand;
	struct world world;

	(void)state;
	world_init(&world, 4, 0);
	world.batch[2] = 1;
	world_ticks(&world, 40);
	cb_engine_demand(world.engine, false, &demand);
	assert_true(demand.detail);
	world_event(&world, &removed);
	cb_engine_demand(world.engine, false, &demand);
	assert_false(demand.detail);
	assert_set(&demand.near, "2");
	cb_engine_demand(world.engine, true, &demand);
	assert_true(demand.detail);
	world_done(&world);
}

static void asks_for_nothing_when_idle(void **state)
{
	struct world world;
	struct cb_demand demand;

	(void)state;
	world_init(&world, 4, 0);
	world_ticks(&world, 5);
	cb_engine_demand(world.engine, false, &demand);
	assert_false(demand.detail);
	assert_true(cb_cpuset_empty(&demand.near) && cb_cpuset_empty(&demand.busy));
	cb_engine_demand(world.engine, true, &demand);
	assert_true(demand.detail);
	world_done(&world);
}

static void runs_on_cool_housekeeping_cpus(void **state)
{
	struct cb_cpuset may = CB_CPUSET_EMPTY, own;
	struct world world;

	(void)state;
	world_init(&world, 4, 3);
	world.policy.mode = CB_MODE_OBSERVE;
	world_policy(&world);
	cb_cpuset_set(&world.topology->isolated, 3);
	world_topology(&world);
	world_ticks(&world, 5);
	cb_cpuset_set_range(&may, 0, 3);
	cb_engine_own_cpus(world.engine, &may, &own);
	assert_set(&own, "1-2"); /* 0 is hot, 3 isolated */
	may = cb_cpuset_of(0);
	cb_engine_own_cpus(world.engine, &may, &own);
	assert_set(&own, "0"); /* better hot than nowhere */
	may = cb_cpuset_of(3);
	cb_engine_own_cpus(world.engine, &may, &own);
	assert_set(&own, "");
	world_done(&world);
}

static void backs_off(void **state)
{
	const double second = 1e6;

	(void)state;
	assert_int_equal(cb_tick_every(1, 40e3, second, 0.05), 1);
	assert_int_equal(cb_tick_every(1, 60e3, second, 0.05), 2);
	assert_int_equal(cb_tick_every(1, 190e3, second, 0.05), 4);
	assert_int_equal(cb_tick_every(1, 5e6, second, 0.05), 8);
	/* back only with room to spare: no to and fro at the limit */
	assert_int_equal(cb_tick_every(2, 49e3, second, 0.05), 2);
	assert_int_equal(cb_tick_every(2, 39e3, second, 0.05), 1);
	assert_int_equal(cb_tick_every(8, 100, second, 0.05), 1);
}

/* Softirqs come with every third snapshot: the rate is over all of the time between. */
static void rates_over_gaps(void **state)
{
	struct cb_topology *topology = cb_topology_new(1);
	struct cb_snapshot snapshot = { 0 };
	struct cb_engine *engine = cb_engine_new(1);
	struct cb_decision decision;
	struct cb_policy policy;
	struct cb_input input = { .kind = CB_INPUT_POLICY, .policy = &policy };
	struct cb_cpu_view view;

	(void)state;
	cb_policy_init(&policy);
	assert_int_equal(cb_engine_feed(engine, &input, &decision), 0);
	cb_cpuset_set(&topology->possible, 0);
	topology->online = topology->possible;
	topology->n_online = 1;
	input = (struct cb_input){ .kind = CB_INPUT_TOPOLOGY, .topology = topology };
	assert_int_equal(cb_engine_feed(engine, &input, &decision), 0);
	assert_int_equal(cb_snapshot_reserve(&snapshot, 1, 0, 0, 0), 0);
	for (uint32_t tick = 1; tick <= 7; tick++) {
		snapshot.time_usec = tick * CB_USEC_PER_SEC;
		snapshot.topology_generation = 1;
		snapshot.user_hz = 100;
		snapshot.n_cpus = 1;
		snapshot.cpu[0] = (struct cb_cpu_sample){ .present = CB_CPU_HAS_TIMES };
		snapshot.cpu[0].time_ticks[CB_TIME_IDLE] = 100 * tick;
		if (tick % 3 == 1) {
			snapshot.cpu[0].present |= CB_CPU_HAS_SOFTIRQS | CB_CPU_HAS_SOFTNET;
			snapshot.cpu[0].softirqs[CB_SOFTIRQ_NET_RX] = 500 * tick;
			snapshot.cpu[0].softnet_dropped = 7 * tick;
		}
		input = (struct cb_input){ .kind = CB_INPUT_SNAPSHOT,
					   .now_usec = snapshot.time_usec,
					   .snapshot = &snapshot };
		assert_int_equal(cb_engine_feed(engine, &input, &decision), 0);
		assert_true(cb_engine_cpu(engine, 0, &view));
		assert_int_equal(!!(view.present & CB_CPU_HAS_SOFTIRQS), tick >= 4);
	}
	assert_float_equal(view.softirqs_per_sec[CB_SOFTIRQ_NET_RX].raw, 500, 1e-6);
	assert_float_equal(view.softnet_dropped_per_sec.raw, 7, 1e-6);
	cb_snapshot_done(&snapshot);
	cb_engine_free(engine);
	cb_topology_unref(topology);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(asks_for_what_is_near),
		cmocka_unit_test(asks_for_less_without_a_group),
		cmocka_unit_test(asks_for_nothing_when_idle),
		cmocka_unit_test(runs_on_cool_housekeeping_cpus),
		cmocka_unit_test(backs_off),
		cmocka_unit_test(rates_over_gaps),
	};

	return cmocka_run_group_tests_name("demand", tests, NULL, NULL);
}
