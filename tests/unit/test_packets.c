/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Packet steering: which CPUs figures speak for, and what the engine makes of it - when, refused why, by whose order, undone. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cpubalance/packets.h"
#include "world.h"

static struct cb_cpuset cpus(const char *list)
{
	struct cb_cpuset set;

	assert_int_equal(cb_cpuset_parse_list(list, strlen(list), &set), 0);
	return set;
}

#define assert_cpus(set, list)                                                 \
	do {                                                                   \
		char _shown[64] = "";                                          \
		if (!cb_cpuset_empty(&(set)))                                  \
			cb_cpuset_format_list(&(set), _shown, sizeof(_shown)); \
		assert_string_equal(_shown, list);                             \
	} while (0)

/* --- which CPUs --- */

/* Two nodes of two cores with two threads each: core = cpu / 2. */
static struct cb_topology *eight(void)
{
	struct cb_topology *topology = cb_topology_new(8);

	assert_non_null(topology);
	topology->online = topology->possible = cpus("0-7");
	for (int32_t cpu = 0; cpu < 8; cpu++)
		topology->cpu[cpu] = (struct cb_cpu_place){ .node = cpu / 4,
							    .package = cpu / 4,
							    .llc = cpu / 4 * 4,
							    .cluster = cpu / 2 * 2,
							    .core = cpu / 2 * 2,
							    .capacity = CB_CAPACITY_FULL };
	return topology;
}

static enum cb_reject rps(const struct cb_topology *topology, const double *load, const char *may,
			  double softirq_ratio, struct cb_rps_choice *ret)
{
	struct cb_rps_problem problem = {
		.topology = topology,
		.may = cpus(may),
		.load_ratio = load,
		.softirq_ratio = softirq_ratio,
		.cooler_by_ratio = 0.25,
		.min_gain_ratio = 0.05,
		.min_item_ratio = 0.02,
	};

	return cb_rps_choose(&problem, ret);
}

static void siblings_are_no_capacity(void **state)
{
	const double load[8] = { 1.0, 0.1, 0.2, 0.3, 0.9, 0.9, 0.9, 0.9 };
	struct cb_topology *topology = eight();
	struct cb_rps_choice choice;

	(void)state;
	/* of core 1 the cooler thread alone, of core 0 none but itself */
	assert_int_equal(rps(topology, load, "0-7", 0.5, &choice), CB_REJECT_NONE);
	assert_false(cb_cpuset_has(&choice.cpus, 1));
	assert_false(cb_cpuset_has(&choice.cpus, 3));
	assert_true(cb_cpuset_has(&choice.cpus, 2));
	assert_int_equal(rps(topology, load, "0-1", 0.5, &choice), CB_REJECT_OUTSIDE_CPUSET);
	topology->online = cpus("0-1");
	assert_int_equal(rps(topology, load, "0-1", 0.5, &choice), CB_REJECT_SIBLINGS);
	cb_topology_unref(topology);
}

static void the_own_node_first(void **state)
{
	double load[8] = { 1.0, 1.0, 0.2, 0.9, 0.0, 0.0, 0.0, 0.0 };
	struct cb_topology *topology = eight();
	struct cb_rps_choice choice;
	struct cb_rps_problem problem = {
		.topology = topology,
		.may = cpus("0-7"),
		.load_ratio = load,
		.softirq_ratio = 0.5,
		.cooler_by_ratio = 0.25,
		.min_gain_ratio = 0.05,
		.min_item_ratio = 0.02,
	};

	(void)state;
	assert_int_equal(cb_rps_choose(&problem, &choice), CB_REJECT_NONE);
	assert_true(cb_cpuset_has(&choice.cpus, 2));
	assert_false(cb_cpuset_intersects(&choice.cpus, &CB_CPUSET_EMPTY));
	CB_CPUSET_FOREACH(cpu, &choice.cpus)
		assert_true(cpu < 4);
	load[2] = 0.9;
	assert_int_equal(cb_rps_choose(&problem, &choice), CB_REJECT_OTHER_NODE);
	problem.cross_node = true;
	assert_int_equal(cb_rps_choose(&problem, &choice), CB_REJECT_NONE);
	assert_true(cb_cpuset_has(&choice.cpus, 4) || cb_cpuset_has(&choice.cpus, 6));
	/* never where it may not */
	problem.may = cpus("0-3");
	problem.isolated = cpus("4-7");
	assert_int_equal(cb_rps_choose(&problem, &choice), CB_REJECT_ISOLATED);
	cb_topology_unref(topology);
}

static void its_own_cpu_by_its_load(void **state)
{
	struct cb_topology *topology = eight();
	double load[8] = { 1.0, 0, 0.3, 1, 1, 1, 1, 1 };
	struct cb_rps_choice choice;

	(void)state;
	/* nothing but packets there: it keeps an even share */
	assert_int_equal(rps(topology, load, "0-3", 1.0, &choice), CB_REJECT_NONE);
	assert_cpus(choice.cpus, "0,2");
	/* a worker fills the rest: it keeps none */
	assert_int_equal(rps(topology, load, "0-3", 0.3, &choice), CB_REJECT_NONE);
	assert_cpus(choice.cpus, "2");
	assert_int_equal(choice.best_cpu, 2);
	assert_true(choice.after_ratio < choice.before_ratio - 0.2);
	/* not worth it */
	assert_int_equal(rps(topology, load, "0-3", 0.05, &choice), CB_REJECT_NO_GAIN);
	assert_true(cb_cpuset_empty(&choice.cpus));
	cb_topology_unref(topology);
}

static void queues_follow_their_interrupts(void **state)
{
	struct cb_topology *topology = eight();
	const struct cb_cpuset all = cpus("0-7");
	struct cb_cpuset mask[4];

	(void)state;
	cb_xps_spread(topology, &all, (const int32_t[]){ 0, 4 }, 2, mask);
	assert_cpus(mask[0], "0-3");
	assert_cpus(mask[1], "4-7");
	cb_xps_spread(topology, &all, (const int32_t[]){ 6, 0, 2, 4 }, 4, mask);
	assert_cpus(mask[0], "6-7");
	assert_cpus(mask[1], "0-1");
	assert_cpus(mask[2], "2-3");
	assert_cpus(mask[3], "4-5");
	/* of unknown places each has as many as the others */
	cb_xps_spread(topology, &all, (const int32_t[]){ -1, -1 }, 2, mask);
	assert_int_equal(cb_cpuset_count(&mask[0]), 4);
	assert_int_equal(cb_cpuset_count(&mask[1]), 4);
	/* two at one CPU: the others share them */
	cb_xps_spread(topology, &all, (const int32_t[]){ 0, 0 }, 2, mask);
	assert_int_equal(cb_cpuset_count(&mask[0]), 4);
	cb_topology_unref(topology);
}

/* --- the engine --- */

static void set_packets(struct world *world, enum cb_packets packets)
{
	struct cb_event event = {
		.kind = CB_EVENT_GROUP_ADDED,
		.group_key = 1,
		.group = { .name = "web", .packets = packets, .interfaces = "veth0" },
	};

	world_event(world, &event);
}

/* One worker on CPU 0 of two, where its packets are received too. */
static void begin(struct world *world, enum cb_packets packets)
{
	world_init(world, 2, 1);
	world->worker[0].demand = 0.7;
	world->softirq_ratio = 0.6;
	set_packets(world, packets);
	world_queues(world);
}

static int order(struct world *world, enum cb_packets packets, const char *list, bool automatic)
{
	struct cb_command command = { .kind = CB_COMMAND_PACKETS,
				      .group_key = 1,
				      .packets = packets,
				      .present = automatic,
				      .mask = cpus(list) };

	return world_command(world, &command).result;
}

static void packets_go_to_the_cool_cpu_and_that_is_kept(void **state)
{
	struct world world;
	const struct cb_queues *queues;

	(void)state;
	begin(&world, CB_PACKETS_RPS);
	world_until_applied(&world, 100);
	assert_cpus(world.rps, "1");
	assert_true(world_refused(&world, CB_ITEM_WORKER, CB_REJECT_PACKETS) ||
		    world.n_applies == 1);
	queues = cb_engine_queues(world.engine);
	assert_true(queues->queue[0].placed);
	assert_string_equal(queues->queue[0].group, "web");
	world_ticks(&world, 60);
	assert_int_equal(world.last_verdict, CB_VERDICT_KEPT);
	assert_cpus(world.rps, "1");
	assert_cpus(world.worker[0].mask, "0");
	world_done(&world);
}

static void without_leave_workers_move_and_packets_stay(void **state)
{
	struct world world;

	(void)state;
	begin(&world, CB_PACKETS_XPS);
	world_until_applied(&world, 100);
	assert_cpus(world.rps, "");
	assert_int_equal(cb_cpuset_count(&world.worker[0].mask), 2);
	world_done(&world);
}

static void what_hurts_is_undone_and_left_alone(void **state)
{
	struct world world;

	(void)state;
	begin(&world, CB_PACKETS_RPS);
	world_ticks(&world, 3);
	world.worker[0].demand = 0.3; /* nothing is hot: only an order does that */
	world_ticks(&world, 60);
	world.n_applies = 0;
	world.worker[0].mask = world.worker[0].original = cb_cpuset_of(1);
	world.worker[0].demand = 0.8;
	world_ticks(&world, 40);
	world_queues(&world);
	assert_int_equal(order(&world, CB_PACKETS_RPS, "1", false), 0);
	world_ticks(&world, 80);
	assert_int_equal(world.last_verdict, CB_VERDICT_ROLLED_BACK);
	assert_cpus(world.rps, "");
	world_done(&world);
}

/* No worker on the CPU that receives, and a choice of CPUs: flows are kept where they are read. */
static void flows_stay_with_their_readers(void **state)
{
	struct cb_event event = {
		.kind = CB_EVENT_GROUP_ADDED,
		.group_key = 1,
		.group = { .name = "web", .packets = CB_PACKETS_RPS, .interfaces = "veth0" }
	};
	struct world world;

	(void)state;
	for (int readers = 0; readers < 2; readers++) {
		world_init(&world, 3, 2);
		for (unsigned int i = 0; i < 2; i++) {
			world.worker[i].mask = cb_cpuset_of(i + (readers == 0));
			world.worker[i].original = world.worker[i].mask;
			world.worker[i].demand = 0.2;
		}
		world.batch[0] = 0.4;
		world.softirq_ratio = 0.9;
		world.has_flows = true;
		world_event(&world, &event);
		world_queues(&world);
		world_until_applied(&world, 100);
		assert_false(cb_cpuset_empty(&world.rps));
		if (readers == 0) {
			assert_cpus(world.rps, "1-2");
			assert_int_equal(world.flows, 32768);
			assert_true(cb_engine_queues(world.engine)->table_placed ||
				    cb_engine_queues(world.engine)->queue[0].flows_placed);
		} else {
			assert_int_equal(world.flows, 0);
		}
		world_done(&world);
	}
}

static void orders(void **state)
{
	struct world world;

	(void)state;
	begin(&world, CB_PACKETS_RPS);
	world.worker[0].demand = 0.1;
	world.softirq_ratio = 0.2;
	world_ticks(&world, 20);
	assert_int_equal(order(&world, CB_PACKETS_RPS, "0-2", false), -EPERM); /* offline */
	assert_int_equal(order(&world, CB_PACKETS_XPS, "", false), -EPERM);
	assert_int_equal(order(&world, CB_PACKETS_BOTH, "1", false), -EPERM);
	assert_int_equal(order(&world, CB_PACKETS_RPS, "1", false), 0);
	world_ticks(&world, 2);
	assert_cpus(world.rps, "1");
	world_ticks(&world, 60); /* it does not matter, and an order stays */
	assert_cpus(world.rps, "1");
	world_queues(&world);
	assert_int_equal(order(&world, CB_PACKETS_NONE, "", false), 0);
	assert_cpus(world.rps, "");
	assert_false(cb_engine_queues(world.engine)->queue[0].placed);
	/* after an order nothing is done by itself, until that is taken back */
	world.worker[0].demand = 0.7;
	world.softirq_ratio = 0.6;
	world.n_applies = 0;
	world_queues(&world);
	world_until_applied(&world, 100);
	assert_cpus(world.rps, "");
	world_done(&world);
}

/* While something else is being judged; later it is still done by itself. */
static void an_order_that_has_to_wait_is_none(void **state)
{
	struct cb_command rollback = { .kind = CB_COMMAND_ROLLBACK };
	struct world world;

	(void)state;
	begin(&world, CB_PACKETS_RPS);
	world_until_applied(&world, 100);
	assert_cpus(world.rps, "1");
	assert_int_equal(order(&world, CB_PACKETS_NONE, "", false), -EBUSY);
	assert_int_equal(world_command(&world, &rollback).result, 0);
	assert_cpus(world.rps, "");
	world.worker[0].demand = 0.1;
	world.softirq_ratio = 0.2;
	world_ticks(&world, 2000);
	world.worker[0].demand = 0.7;
	world.softirq_ratio = 0.6;
	world.n_applies = 0;
	world_until_applied(&world, 100);
	assert_cpus(world.rps, "1");
	world_done(&world);
}

static void a_change_of_the_settings_puts_it_back(void **state)
{
	struct world world;

	(void)state;
	begin(&world, CB_PACKETS_RPS);
	world_until_applied(&world, 100);
	world_ticks(&world, 60);
	assert_cpus(world.rps, "1");
	set_packets(&world, CB_PACKETS_NONE);
	world_ticks(&world, 2);
	assert_cpus(world.rps, "");
	world_done(&world);
}

static void what_somebody_else_has_set_is_left_alone(void **state)
{
	struct world world;

	(void)state;
	begin(&world, CB_PACKETS_RPS);
	world_until_applied(&world, 100);
	world_ticks(&world, 60);
	world.rps = cpus("0-1");
	world_queues(&world);
	assert_int_equal(world.n_notices[CB_NOTICE_FOREIGN], 1);
	world.n_applies = 0;
	world_ticks(&world, 120);
	assert_cpus(world.rps, "0-1");
	assert_int_equal(order(&world, CB_PACKETS_RPS, "1", false), -EPERM);
	world_done(&world);
}

static void refusals_have_their_reason(void **state)
{
	struct world world;

	(void)state;
	begin(&world, CB_PACKETS_RPS);
	world.softirq_ratio = 0.2;
	world.worker[0].demand = 0.95;
	for (int i = 0; i < 40 && !world_refused(&world, CB_ITEM_RPS, CB_REJECT_LITTLE_SOFTIRQ);
	     i++)
		world_tick(&world);
	assert_true(world_refused(&world, CB_ITEM_RPS, CB_REJECT_LITTLE_SOFTIRQ));
	world_done(&world);
	/* refused by the machine for good */
	begin(&world, CB_PACKETS_RPS);
	world.fail_errno = EPERM;
	world.fail_class = CB_ERROR_PERMANENT;
	world_until_applied(&world, 100);
	assert_int_equal(world.last_verdict, CB_VERDICT_FAILED);
	assert_cpus(world.rps, "");
	world_ticks(&world, 60);
	assert_true(world_refused(&world, CB_ITEM_RPS, CB_REJECT_NO_RIGHT));
	world_done(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(siblings_are_no_capacity),
		cmocka_unit_test(the_own_node_first),
		cmocka_unit_test(its_own_cpu_by_its_load),
		cmocka_unit_test(queues_follow_their_interrupts),
		cmocka_unit_test(packets_go_to_the_cool_cpu_and_that_is_kept),
		cmocka_unit_test(without_leave_workers_move_and_packets_stay),
		cmocka_unit_test(what_hurts_is_undone_and_left_alone),
		cmocka_unit_test(flows_stay_with_their_readers),
		cmocka_unit_test(orders),
		cmocka_unit_test(an_order_that_has_to_wait_is_none),
		cmocka_unit_test(a_change_of_the_settings_puts_it_back),
		cmocka_unit_test(what_somebody_else_has_set_is_left_alone),
		cmocka_unit_test(refusals_have_their_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
