/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* CPUs that give less than others: stolen from, of a slower kind, or with a busy thread on the same core. */
#include "cpubalance/engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "world.h"

static const struct cb_finding *finding_on(const struct world *world, int32_t cpu)
{
	for (uint32_t i = 0; i < cb_engine_n_findings(world->engine); i++) {
		const struct cb_finding *finding = cb_engine_finding(world->engine, i);

		if (finding->cpu == cpu && finding->kind != CB_FINDING_STOLEN)
			return finding;
	}
	return NULL;
}

static bool is_pinned(const struct world *world, uint32_t worker)
{
	return cb_cpuset_count(&world->worker[worker].mask) == 1;
}

static void pin(struct world *world, uint32_t worker, unsigned int cpu, double demand)
{
	world->worker[worker].demand = demand;
	world->worker[worker].mask = world->worker[worker].original = cb_cpuset_of(cpu);
}

/* --- the hypervisor --- */

/* Of what CPU 0 does, the hypervisor takes this many of a hundred ticks for itself; what is left gets less done. */
static uint64_t stolen_percent, stolen_ticks, user_ticks;

static void steal_from_cpu_0(struct world *world, struct cb_snapshot *snapshot)
{
	uint64_t user = world->ticks[0][CB_TIME_USER];

	stolen_ticks += (user - user_ticks) * stolen_percent / 100;
	user_ticks = user;
	snapshot->cpu[0].time_ticks[CB_TIME_USER] -= stolen_ticks;
	snapshot->cpu[0].time_ticks[CB_TIME_STEAL] += stolen_ticks;
}

static void begin_stolen(struct world *world, uint64_t percent)
{
	world_init(world, 4, 1);
	stolen_percent = percent;
	stolen_ticks = user_ticks = 0;
	world->shape = steal_from_cpu_0;
	world->efficiency[0] = 1 - (double)percent / 100;
	world->noise_ratio = 0.02;
}

static void a_cpu_that_is_stolen_from_is_full_before_it_is_busy(void **state)
{
	struct world world;
	const struct cb_finding *finding;
	struct cb_cpu_view view;
	char sentence[256];

	(void)state;
	begin_stolen(&world, 45);
	pin(&world, 0, 0, 1);
	world_ticks(&world, 20);
	assert_true(cb_engine_cpu(world.engine, 0, &view));
	assert_true(view.busy.smooth < 0.6);
	assert_int_equal(view.heat, CB_HEAT_HOT);
	finding = finding_on(&world, 0);
	assert_non_null(finding);
	assert_int_equal(finding->kind, CB_FINDING_HOT_CPU);
	assert_true(finding->busy_ratio > 0.95);
	assert_true(finding->known & CB_KNOWS(STEAL));
	assert_true(finding->steal_ratio > 0.4);
	cb_engine_finding_sentence(world.engine, finding, sentence, sizeof(sentence));
	assert_non_null(strstr(sentence, "busy (the hypervisor takes 45 %) for"));
	world_ticks(&world, 80);
	assert_false(is_pinned(&world, 0));
	assert_int_equal(world.last_verdict, CB_VERDICT_KEPT);
	assert_int_equal(world.n_applies, 1);
	world_done(&world);
}

/* What was learned of a CPU while it was busy is not forgotten when it is idle: it is no better a place than it was. */
static void an_idle_cpu_is_known_for_what_was_stolen(void **state)
{
	struct cb_refusal refusal[4];
	struct world world;

	(void)state;
	begin_stolen(&world, 45);
	pin(&world, 0, 0, 0.6);
	world_ticks(&world, 30);
	pin(&world, 0, 1, 0.6);
	world.batch[2] = world.batch[3] = 0.5;
	world_ticks(&world, 120);
	assert_int_equal(cb_engine_outlook(world.engine, 1, refusal, 4), 1);
	/* 0.6 / 0.55 is more than 0.6 */
	assert_int_equal(refusal[0].reason, CB_REJECT_NO_GAIN);
	world_done(&world);
}

static void a_little_steal_makes_no_cpu_hot(void **state)
{
	struct world world;

	(void)state;
	begin_stolen(&world, 10);
	pin(&world, 0, 0, 0.6);
	world_ticks(&world, 120);
	assert_null(finding_on(&world, 0));
	assert_int_equal(world.n_applies, 0);
	world_done(&world);
}

/* --- the topology --- */

static void change_topology(struct world *world, void (*change)(struct cb_topology *topology))
{
	struct cb_topology *topology = cb_topology_new(world->n_cpus);
	struct cb_input input = { .kind = CB_INPUT_TOPOLOGY, .now_usec = world->now_usec };

	assert_non_null(topology);
	topology->generation = world->topology->generation + 1;
	topology->possible = topology->online = world->topology->online;
	topology->n_online = world->n_cpus;
	change(topology);
	cb_topology_unref(world->topology);
	world->topology = input.topology = topology;
	world_feed(world, &input);
}

static void slow_0_and_1(struct cb_topology *topology)
{
	topology->cpu[0].capacity = topology->cpu[1].capacity = CB_CAPACITY_FULL / 2;
}

static void begin_hybrid(struct world *world, uint32_t n_workers)
{
	world_init(world, 4, n_workers);
	change_topology(world, slow_0_and_1);
	world->efficiency[0] = world->efficiency[1] = 0.5;
	world->noise_ratio = 0.02;
}

static void a_worker_that_fills_a_slow_core_is_not_bound(void **state)
{
	struct world world;

	(void)state;
	begin_hybrid(&world, 1);
	pin(&world, 0, 0, 1);
	world_ticks(&world, 10);
	assert_non_null(finding_on(&world, 0));
	assert_int_equal(finding_on(&world, 0)->kind, CB_FINDING_HOT_CPU);
	world_ticks(&world, 120);
	assert_false(is_pinned(&world, 0));
	assert_int_equal(world.last_verdict, CB_VERDICT_KEPT);
	assert_int_equal(world.n_applies, 1);
	world_done(&world);
}

static void where_all_that_is_free_is_as_slow_it_is_bound(void **state)
{
	struct world world;

	(void)state;
	begin_hybrid(&world, 1);
	pin(&world, 0, 0, 1);
	world.batch[2] = world.batch[3] = 0.9;
	world_ticks(&world, 60);
	assert_int_equal(finding_on(&world, 0)->kind, CB_FINDING_WORKER_BOUND);
	assert_int_equal(world.n_applies, 0);
	world_done(&world);
}

/* The scheduler could have put it on a fast core by itself. */
static void what_floats_already_is_bound(void **state)
{
	struct world world;

	(void)state;
	begin_hybrid(&world, 1);
	pin(&world, 0, 0, 1);
	world.worker[0].mask = world.worker[0].original = world.topology->online;
	world_ticks(&world, 60);
	assert_int_equal(finding_on(&world, world.worker[0].cpu)->kind, CB_FINDING_WORKER_BOUND);
	assert_int_equal(world.n_applies, 0);
	world_done(&world);
}

/* A half of a fast core is all of a slow one: what was moved from here to there has not become less. */
static void loads_are_compared_in_work(void **state)
{
	struct cb_refusal refusal[4];
	struct world world;

	(void)state;
	begin_hybrid(&world, 1);
	pin(&world, 0, 2, 0.6);
	world.batch[3] = 0.5;
	world_ticks(&world, 60);
	assert_int_equal(cb_engine_outlook(world.engine, 2, refusal, 4), 1);
	assert_int_equal(refusal[0].reason, CB_REJECT_NO_GAIN); /* 0.6 / 0.5, and 1.1 */
	pin(&world, 0, 0, 0.6);
	world_ticks(&world, 60);
	assert_int_equal(cb_engine_outlook(world.engine, 0, refusal, 4), 1);
	assert_int_equal(refusal[0].best_cpu, 2);
	assert_true(refusal[0].load_ratio > 0.27 && refusal[0].load_ratio < 0.33);
	assert_true(refusal[0].gain_ratio > 0.25 && refusal[0].gain_ratio < 0.35);
	world_done(&world);
}

static void pair_threads(struct cb_topology *topology)
{
	topology->cpu[1].core = 0;
	topology->cpu[2].core = topology->cpu[3].core = 2;
}

static void two_threads_of_one_core_are_not_bound(void **state)
{
	struct world world;

	(void)state;
	world_init(&world, 4, 2);
	change_topology(&world, pair_threads);
	pin(&world, 0, 0, 1);
	pin(&world, 1, 1, 1);
	world.effect_ratio = 0.3; /* each has a core for itself then */
	world.noise_ratio = 0.02;
	world_ticks(&world, 10);
	assert_int_equal(finding_on(&world, 0)->kind, CB_FINDING_HOT_CPU);
	world_ticks(&world, 120);
	assert_int_equal(is_pinned(&world, 0) + is_pinned(&world, 1), 1);
	assert_int_equal(world.last_verdict, CB_VERDICT_KEPT);
	assert_int_equal(world.n_applies, 1);
	world_done(&world);
}

static void alone_on_its_core_it_is_bound(void **state)
{
	struct world world;

	(void)state;
	world_init(&world, 4, 1);
	change_topology(&world, pair_threads);
	pin(&world, 0, 0, 1);
	world_ticks(&world, 60);
	assert_int_equal(finding_on(&world, 0)->kind, CB_FINDING_WORKER_BOUND);
	assert_int_equal(world.n_applies, 0);
	world_done(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_cpu_that_is_stolen_from_is_full_before_it_is_busy),
		cmocka_unit_test(an_idle_cpu_is_known_for_what_was_stolen),
		cmocka_unit_test(a_little_steal_makes_no_cpu_hot),
		cmocka_unit_test(a_worker_that_fills_a_slow_core_is_not_bound),
		cmocka_unit_test(where_all_that_is_free_is_as_slow_it_is_bound),
		cmocka_unit_test(what_floats_already_is_bound),
		cmocka_unit_test(loads_are_compared_in_work),
		cmocka_unit_test(two_threads_of_one_core_are_not_bound),
		cmocka_unit_test(alone_on_its_core_it_is_bound),
	};

	return cmocka_run_group_tests_name("capacity", tests, NULL, NULL);
}
