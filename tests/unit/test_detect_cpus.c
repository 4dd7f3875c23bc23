/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Findings about CPUs beyond how busy they are, in virtual time: who receives, who switches, what is stolen; with noise, with
 * sources that are absent, and with CPUs that come and go.
 */
#include "cpubalance/engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "world.h"

/* What the machine does in a second, beside what the world knows; counters are its growing sums. */
static struct {
	double net_rx_per_sec[WORLD_CPUS], softirq_ratio[WORLD_CPUS];
	double switches_per_sec[WORLD_CPUS], steal_ratio[WORLD_CPUS];
	double noise_ratio; /* uniform, of every rate */
	bool no_softirqs, no_switches;
	uint32_t asked_only;	 /* bits of CPUs whose switches are read, 0 all */
	uint32_t switches_every; /* ticks between two readings of a CPU's switches */
	uint32_t seed, tick;
	uint64_t softirqs[WORLD_CPUS], switches[WORLD_CPUS], softirq_ticks[WORLD_CPUS],
		steal_ticks[WORLD_CPUS];
} plant;

static double noisy(double value)
{
	double unit;

	plant.seed = plant.seed * 1664525u + 1013904223u;
	unit = (double)(plant.seed >> 8) / (double)(1u << 23) - 1.0;
	return value * (1 + plant.noise_ratio * unit);
}

static void shape_cpu(struct cb_cpu_sample *sample, uint32_t cpu)
{
	uint64_t softirq = (uint64_t)(noisy(plant.softirq_ratio[cpu]) * 100 + 0.5);
	uint64_t steal = (uint64_t)(noisy(plant.steal_ratio[cpu]) * 100 + 0.5);

	plant.softirqs[cpu] += (uint64_t)noisy(plant.net_rx_per_sec[cpu]);
	plant.switches[cpu] += (uint64_t)noisy(plant.switches_per_sec[cpu]);
	/* they are taken from what was idle */
	plant.softirq_ticks[cpu] += softirq;
	plant.steal_ticks[cpu] += steal;
	sample->time_ticks[CB_TIME_SOFTIRQ] = plant.softirq_ticks[cpu];
	sample->time_ticks[CB_TIME_STEAL] = plant.steal_ticks[cpu];
	sample->time_ticks[CB_TIME_IDLE] -= plant.softirq_ticks[cpu] + plant.steal_ticks[cpu];
	if (!plant.no_softirqs) {
		sample->softirqs[CB_SOFTIRQ_NET_RX] = plant.softirqs[cpu];
		sample->present |= CB_CPU_HAS_SOFTIRQS;
	}
	if (!plant.no_switches && (!plant.asked_only || (plant.asked_only & 1u << cpu)) &&
	    plant.tick % plant.switches_every == cpu % plant.switches_every) {
		sample->ctxsw = plant.switches[cpu];
		sample->present |= CB_CPU_HAS_CTXSW;
	}
}

static void shape(struct world *world, struct cb_snapshot *snapshot)
{
	plant.tick++;
	for (uint32_t cpu = 0; cpu < world->n_cpus; cpu++)
		if (cb_cpuset_has(&world->topology->online, cpu))
			shape_cpu(&snapshot->cpu[cpu], cpu);
		else
			snapshot->cpu[cpu].present = 0;
}

static void begin(struct world *world, uint32_t n_cpus)
{
	memset(&plant, 0, sizeof(plant));
	plant.noise_ratio = 0.1;
	plant.switches_every = 1;
	plant.seed = 7;
	world_init(world, n_cpus, 1);
	world->worker[0].demand = 0.05;
	world->shape = shape;
	for (uint32_t cpu = 0; cpu < n_cpus; cpu++) {
		plant.net_rx_per_sec[cpu] = 1000;
		plant.softirq_ratio[cpu] = 0.03;
		plant.switches_per_sec[cpu] = 3000;
	}
}

static void set_online(struct world *world, uint32_t cpu, bool online)
{
	struct cb_topology *topology = cb_topology_new(world->n_cpus);
	struct cb_input input = { .kind = CB_INPUT_TOPOLOGY,
				  .now_usec = world->now_usec,
				  .topology = topology };

	assert_non_null(topology);
	topology->possible = world->topology->possible;
	topology->online = world->topology->online;
	if (online)
		cb_cpuset_set(&topology->online, cpu);
	else
		cb_cpuset_clear(&topology->online, cpu);
	topology->n_online = cb_cpuset_count(&topology->online);
	topology->generation = world->topology->generation + 1;
	world_feed(world, &input);
	cb_topology_unref(world->topology);
	world->topology = topology;
}

/* --- SOFTIRQ_CONCENTRATION --- */

static void one_cpu_that_receives_nearly_all_is_found(void **state)
{
	struct world world;
	const struct cb_finding *finding;

	(void)state;
	begin(&world, 4);
	plant.net_rx_per_sec[2] = 40000;
	plant.softirq_ratio[2] = 0.45;
	world_ticks(&world, 20);
	assert_false(world_confirmed(&world, CB_FINDING_SOFTIRQ_CONCENTRATION));
	world_ticks(&world, 30);
	assert_true(world_confirmed(&world, CB_FINDING_SOFTIRQ_CONCENTRATION));
	finding = world_finding(&world, CB_FINDING_SOFTIRQ_CONCENTRATION);
	assert_int_equal(finding->cpu, 2);
	assert_true(finding->net_rx_share_ratio > 0.9 && finding->net_rx_share_ratio <= 1);
	assert_true(finding->softirq_ratio > 0.4 && finding->softirq_ratio < 0.5);
	assert_non_null(
		strstr(world_sentence(&world, CB_FINDING_SOFTIRQ_CONCENTRATION), "CPU 2 does 9"));
	assert_int_equal(world.last_finding.cpu, 2);
	assert_int_equal(world_n_told(&world), 1);

	/* between the thresholds it stays; below, it ends once */
	plant.net_rx_per_sec[2] = 6500; /* 68 % */
	plant.softirq_ratio[2] = 0.25;
	world_ticks(&world, 60);
	assert_true(world_confirmed(&world, CB_FINDING_SOFTIRQ_CONCENTRATION));
	plant.net_rx_per_sec[2] = 1000;
	world_ticks(&world, 60);
	assert_null(world_finding(&world, CB_FINDING_SOFTIRQ_CONCENTRATION));
	assert_int_equal(world_n_told(&world), 2);
	world_done(&world);
}

/* A machine with one queue and little traffic: all of it is on one CPU, and that is nobody's problem. */
static void little_traffic_on_one_cpu_is_no_finding(void **state)
{
	struct world world;

	(void)state;
	begin(&world, 2);
	plant.net_rx_per_sec[0] = 4000;
	plant.net_rx_per_sec[1] = 0;
	plant.softirq_ratio[0] = 0.1;
	world_ticks(&world, 600);
	assert_int_equal(cb_engine_n_findings(world.engine), 0);
	assert_int_equal(world_n_told(&world), 0);
	world_done(&world);
}

static void another_cpu_is_another_concentration(void **state)
{
	struct world world;

	(void)state;
	begin(&world, 4);
	plant.net_rx_per_sec[2] = 40000;
	plant.softirq_ratio[2] = plant.softirq_ratio[3] = 0.4;
	world_ticks(&world, 60);
	assert_int_equal(world_n_told(&world), 1);
	plant.net_rx_per_sec[2] = 1000;
	plant.net_rx_per_sec[3] = 40000;
	world_ticks(&world, 60);
	assert_int_equal(world_n_told(&world), 3);
	assert_int_equal(world_finding(&world, CB_FINDING_SOFTIRQ_CONCENTRATION)->cpu, 3);
	world_done(&world);
}

static void without_counters_nothing_is_said_of_receiving(void **state)
{
	struct world world;

	(void)state;
	begin(&world, 4);
	plant.net_rx_per_sec[2] = 40000;
	plant.softirq_ratio[2] = 0.4;
	plant.no_softirqs = true;
	world_ticks(&world, 100);
	assert_null(world_finding(&world, CB_FINDING_SOFTIRQ_CONCENTRATION));
	world_done(&world);
}

/* Two interrupts of one interface on CPU 2, whose traffic is all that the machine receives. */
static void add_interrupts(struct world *world, struct cb_snapshot *snapshot)
{
	static uint64_t count;

	shape(world, snapshot);
	count += 2000;
	snapshot->n_irqs = 2;
	snapshot->irq[0] = (struct cb_irq_sample){ .irq = 40, .effective_cpu = 2, .count = count };
	snapshot->irq[1] = (struct cb_irq_sample){ .irq = 41, .effective_cpu = 2, .count = count };
}

static void begin_with_interrupts(struct world *world, const char *scope)
{
	struct cb_event event = { .kind = CB_EVENT_GROUP_ADDED, .group_key = 1 };
	struct cb_irqs *irqs = calloc(1, sizeof(*irqs) + 2 * sizeof(irqs->irq[0]));
	struct cb_input input = { .kind = CB_INPUT_IRQS, .irqs = irqs };

	assert_non_null(irqs);
	begin(world, 4);
	assert_int_equal(cb_snapshot_reserve(&world->snapshot, 4, 2, 1, 1), 0);
	world->policy.mode = CB_MODE_OBSERVE;
	assert_int_equal(cb_irq_scope_parse(scope, world->policy.manage_interrupts,
					    sizeof(world->policy.manage_interrupts)),
			 0);
	world_policy(world);
	strcpy(event.group.name, "web");
	strcpy(event.group.interfaces, "eth0");
	world_event(world, &event);
	irqs->generation = 1;
	irqs->n = 2;
	for (uint32_t i = 0; i < 2; i++) {
		irqs->irq[i] = (struct cb_irq_info){ .irq = 40 + i,
						     .class = CB_IRQ_NETWORK,
						     .writable = true,
						     .node = -1,
						     .affinity = cb_cpuset_of(2) };
		strcpy(irqs->irq[i].ifname, "eth0");
		strcpy(irqs->irq[i].actions, i ? "eth0-rx-1" : "eth0-rx-0");
	}
	input.now_usec = world->now_usec;
	world_feed(world, &input);
	free(irqs);
	world->shape = add_interrupts;
	world->worker[0].mask = world->worker[0].original = cb_cpuset_of(2);
	plant.net_rx_per_sec[2] = 40000;
	plant.softirq_ratio[2] = 0.5;
	world_ticks(world, 60);
	assert_true(world_confirmed(world, CB_FINDING_SOFTIRQ_CONCENTRATION));
}

/* A plan may follow, but only of interrupts: nothing is hot. */
static void a_concentration_of_movable_interrupts_leads_to_a_plan(void **state)
{
	static struct cb_plan plan;
	struct world world;
	bool refused = false;

	(void)state;
	begin_with_interrupts(&world, "feeding");
	assert_null(world_finding(&world, CB_FINDING_HOT_CPU));
	cb_engine_preview(world.engine, &plan);
	assert_true(plan.n_steps >= 1);
	assert_int_equal(plan.finding.kind, CB_FINDING_SOFTIRQ_CONCENTRATION);
	for (uint32_t i = 0; i < plan.n_steps; i++)
		assert_int_equal(plan.step[i].item.kind, CB_ITEM_IRQ);
	for (uint32_t i = 0; i < cb_engine_n_refusals(world.engine); i++)
		refused |= cb_engine_refusal(world.engine, i)->reason == CB_REJECT_NOT_HOT;
	assert_true(refused);
	world_done(&world);
}

static void interrupts_that_may_not_be_moved_are_only_told_of(void **state)
{
	static struct cb_plan plan;
	struct world world;

	(void)state;
	begin_with_interrupts(&world, "none");
	cb_engine_preview(world.engine, &plan);
	assert_int_equal(plan.n_steps, 0);
	world_done(&world);
}

/* --- CONTEXT_SWITCH_STORM --- */

static void a_storm_is_found_and_ends(void **state)
{
	struct world world;
	const struct cb_finding *finding;

	(void)state;
	begin(&world, 4);
	world_ticks(&world, 400);
	assert_int_equal(cb_engine_n_findings(world.engine), 0);
	plant.switches_per_sec[1] = 150000;
	world_ticks(&world, 8);
	assert_false(world_confirmed(&world, CB_FINDING_CONTEXT_SWITCH_STORM));
	world_ticks(&world, 10);
	assert_true(world_confirmed(&world, CB_FINDING_CONTEXT_SWITCH_STORM));
	finding = world_finding(&world, CB_FINDING_CONTEXT_SWITCH_STORM);
	assert_int_equal(finding->cpu, 1);
	assert_true(finding->usual_per_sec > 2500 && finding->usual_per_sec < 12000);
	assert_true(finding->peers_per_sec > 2500 && finding->peers_per_sec < 3500);
	assert_int_equal(finding->worker_key, 0);
	assert_non_null(
		strstr(world_sentence(&world, CB_FINDING_CONTEXT_SWITCH_STORM), "CPU 1 switches"));
	plant.switches_per_sec[1] = 3000;
	world_ticks(&world, 20);
	assert_null(world_finding(&world, CB_FINDING_CONTEXT_SWITCH_STORM));
	assert_int_equal(world_n_told(&world), 2);
	world_done(&world);
}

static void a_level_that_all_cpus_have_is_no_storm(void **state)
{
	struct world world;

	(void)state;
	begin(&world, 4);
	world_ticks(&world, 400);
	for (uint32_t cpu = 0; cpu < 4; cpu++)
		plant.switches_per_sec[cpu] = 150000;
	world_ticks(&world, 600);
	assert_int_equal(world_n_told(&world), 0);
	world_done(&world);
}

static void a_usual_level_is_no_storm(void **state)
{
	struct world world;

	(void)state;
	begin(&world, 2);
	plant.switches_per_sec[1] = 150000; /* from the start on, as long as anybody has looked */
	world_ticks(&world, 3600);
	assert_int_equal(world_n_told(&world), 0);
	world_done(&world);
}

/* What stays becomes usual: told once, over in less than an hour with StormUsualSec=30min. */
static void a_storm_that_lasts_becomes_usual(void **state)
{
	struct world world;

	(void)state;
	begin(&world, 2);
	world_ticks(&world, 1800);
	plant.switches_per_sec[1] = 150000;
	world_ticks(&world, 60);
	assert_true(world_confirmed(&world, CB_FINDING_CONTEXT_SWITCH_STORM));
	world_ticks(&world, 3600);
	assert_null(world_finding(&world, CB_FINDING_CONTEXT_SWITCH_STORM));
	assert_int_equal(world_n_told(&world), 2);
	world_done(&world);
}

static void two_of_four_cpus_can_storm(void **state)
{
	struct world world;
	uint32_t n = 0;

	(void)state;
	begin(&world, 4);
	world_ticks(&world, 400);
	plant.switches_per_sec[0] = plant.switches_per_sec[3] = 150000;
	world_ticks(&world, 30);
	for (uint32_t i = 0; i < cb_engine_n_findings(world.engine); i++)
		n += cb_engine_finding(world.engine, i)->kind == CB_FINDING_CONTEXT_SWITCH_STORM;
	assert_int_equal(n, 2);
	world_done(&world);
}

/* On big machines the CPUs take turns: rates are over the time between two readings. */
static void storms_are_seen_in_turns_too(void **state)
{
	struct world world;

	(void)state;
	begin(&world, 8);
	plant.switches_every = 4;
	world_ticks(&world, 600);
	assert_int_equal(world_n_told(&world), 0);
	plant.switches_per_sec[5] = 150000;
	world_ticks(&world, 40);
	assert_true(world_confirmed(&world, CB_FINDING_CONTEXT_SWITCH_STORM));
	assert_int_equal(world_finding(&world, CB_FINDING_CONTEXT_SWITCH_STORM)->cpu, 5);
	world_done(&world);
}

/* Idle CPUs are not woken to be asked: their level is what comes out when they are asked at last, and of peers it is little. */
static void storms_are_seen_where_idle_cpus_are_not_asked(void **state)
{
	struct world world;

	(void)state;
	begin(&world, 2);
	plant.switches_per_sec[0] = plant.switches_per_sec[1] = 300;
	world_ticks(&world, 3);
	plant.no_switches = true;
	world_ticks(&world, 900);
	plant.asked_only = 1u << 1;
	plant.no_switches = false;
	plant.switches_per_sec[1] = 150000;
	world_ticks(&world, 30);
	assert_true(world_confirmed(&world, CB_FINDING_CONTEXT_SWITCH_STORM));
	assert_true(world_finding(&world, CB_FINDING_CONTEXT_SWITCH_STORM)->usual_per_sec < 10000);
	assert_non_null(
		strstr(world_sentence(&world, CB_FINDING_CONTEXT_SWITCH_STORM), "are idle"));
	/* the storm ends and so do the readings */
	plant.no_switches = true;
	world_ticks(&world, 30);
	assert_null(world_finding(&world, CB_FINDING_CONTEXT_SWITCH_STORM));
	world_done(&world);
}

static void without_readings_there_is_no_storm(void **state)
{
	struct world world;

	(void)state;
	begin(&world, 2);
	plant.no_switches = true;
	world_ticks(&world, 400);
	plant.switches_per_sec[1] = 1e6;
	world_ticks(&world, 100);
	assert_int_equal(world_n_told(&world), 0);
	world_done(&world);
}

static void spikes_are_no_storm(void **state)
{
	struct world world;

	(void)state;
	begin(&world, 4);
	world_ticks(&world, 400);
	for (uint32_t i = 0; i < 200;
	     i++) { /* a second of each eight: 25 ms of switching at 1 us */
		plant.switches_per_sec[1] = i % 8 ? 3000 : 150000;
		world_ticks(&world, 1);
	}
	assert_int_equal(world_n_told(&world), 0);
	world_done(&world);
}

static void hotplug_ends_a_storm_and_begins_anew(void **state)
{
	struct world world;

	(void)state;
	begin(&world, 4);
	world_ticks(&world, 400);
	plant.switches_per_sec[1] = 150000;
	world_ticks(&world, 30);
	assert_int_equal(world_n_told(&world), 1);
	set_online(&world, 3, false);
	assert_int_equal(world_n_told(&world), 2);
	assert_non_null(strstr(world.last_finding.sentence, "CPU 1 ended: the set of CPUs"));
	/* what was usual before is not known any more, so this is */
	world_ticks(&world, 400);
	assert_int_equal(world_n_told(&world), 2);
	world_done(&world);
}

/* --- STOLEN --- */

static void steal_is_one_finding_of_the_machine(void **state)
{
	struct world world;
	const struct cb_finding *finding;

	(void)state;
	begin(&world, 4);
	plant.steal_ratio[1] = 0.3;
	plant.steal_ratio[2] = 0.2;
	world_ticks(&world, 60);
	assert_int_equal(cb_engine_n_findings(world.engine), 1);
	finding = world_finding(&world, CB_FINDING_STOLEN);
	assert_non_null(finding);
	assert_true(finding->confirmed);
	assert_int_equal(finding->cpu, 1);
	assert_int_equal(finding->stolen_cpus, 2);
	assert_int_equal(finding->worker_key, 0);
	assert_int_equal(finding->group_key, 0);
	assert_true(finding->steal_sum_ratio > 0.4 && finding->steal_sum_ratio < 0.6);
	assert_int_equal(cb_finding_role(finding->kind), CB_ROLE_INFORMS);
	plant.steal_ratio[1] = plant.steal_ratio[2] = 0.07; /* StealOff=5%, StealOn=10% */
	world_ticks(&world, 60);
	assert_non_null(world_finding(&world, CB_FINDING_STOLEN));
	plant.steal_ratio[1] = plant.steal_ratio[2] = 0;
	world_ticks(&world, 30);
	assert_null(world_finding(&world, CB_FINDING_STOLEN));
	assert_int_equal(world_n_told(&world), 2);
	assert_int_equal(world.n_applies, 0);
	world_done(&world);
}

/* --- all of them --- */

/* Two hours of a calm machine, with noise of a third on everything. */
static void a_calm_machine_shows_nothing(void **state)
{
	struct world world;

	(void)state;
	for (uint32_t seed = 1; seed <= 5; seed++) {
		begin(&world, 8);
		plant.seed = seed;
		plant.noise_ratio = 0.33;
		for (uint32_t cpu = 0; cpu < 8; cpu++)
			plant.steal_ratio[cpu] = 0.02;
		world_ticks(&world, 7200);
		assert_int_equal(world_n_told(&world), 0);
		world_done(&world);
	}
}

/* --- SATURATED --- */

static void saturated_says_how_many_more_cpus(void **state)
{
	struct world world;
	const struct cb_finding *finding;

	(void)state;
	/* 4 workers that want 0.8 each on 2 CPUs: 3.2 / HotOff=0.7 is 5 CPUs */
	world_init(&world, 2, 4);
	for (uint32_t i = 0; i < 4; i++) {
		world.worker[i].demand = 0.8;
		world.worker[i].mask = world.worker[i].original = cb_cpuset_of(i % 2);
	}
	world_ticks(&world, 60);
	finding = world_finding(&world, CB_FINDING_SATURATED);
	assert_non_null(finding);
	assert_true(finding->known & CB_KNOWS(MORE_CPUS));
	assert_int_equal(finding->more_cpus, 3);
	assert_int_equal(finding->spare_cpus, 0);
	assert_non_null(
		strstr(world_sentence(&world, CB_FINDING_SATURATED), "; 3 more CPUs would do"));
	world_done(&world);
}

static void saturated_names_cool_cpus_that_are_not_allowed(void **state)
{
	struct world world;
	const struct cb_finding *finding;
	struct cb_event event = { .kind = CB_EVENT_GROUP_ADDED, .group_key = 1 };

	(void)state;
	world_init(&world, 8, 2);
	strcpy(event.group.name, "web");
	event.group.has_allowed = true;
	event.group.allowed_cpus = cb_cpuset_of(0);
	world_event(&world, &event);
	world.worker[0].demand = world.worker[1].demand = 0.8;
	world_ticks(&world, 60);
	finding = world_finding(&world, CB_FINDING_SATURATED);
	assert_non_null(finding);
	assert_int_equal(finding->more_cpus, 2); /* 1.6 / 0.7 */
	assert_int_equal(finding->spare_cpus, 7);
	assert_non_null(strstr(world_sentence(&world, CB_FINDING_SATURATED), "they may not use"));
	world_done(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_cpu_that_receives_nearly_all_is_found),
		cmocka_unit_test(little_traffic_on_one_cpu_is_no_finding),
		cmocka_unit_test(another_cpu_is_another_concentration),
		cmocka_unit_test(without_counters_nothing_is_said_of_receiving),
		cmocka_unit_test(a_concentration_of_movable_interrupts_leads_to_a_plan),
		cmocka_unit_test(interrupts_that_may_not_be_moved_are_only_told_of),
		cmocka_unit_test(a_storm_is_found_and_ends),
		cmocka_unit_test(a_level_that_all_cpus_have_is_no_storm),
		cmocka_unit_test(a_usual_level_is_no_storm),
		cmocka_unit_test(a_storm_that_lasts_becomes_usual),
		cmocka_unit_test(two_of_four_cpus_can_storm),
		cmocka_unit_test(storms_are_seen_in_turns_too),
		cmocka_unit_test(storms_are_seen_where_idle_cpus_are_not_asked),
		cmocka_unit_test(without_readings_there_is_no_storm),
		cmocka_unit_test(spikes_are_no_storm),
		cmocka_unit_test(hotplug_ends_a_storm_and_begins_anew),
		cmocka_unit_test(steal_is_one_finding_of_the_machine),
		cmocka_unit_test(a_calm_machine_shows_nothing),
		cmocka_unit_test(saturated_says_how_many_more_cpus),
		cmocka_unit_test(saturated_names_cool_cpus_that_are_not_allowed),
	};

	return cmocka_run_group_tests_name("detect_cpus", tests, NULL, NULL);
}
