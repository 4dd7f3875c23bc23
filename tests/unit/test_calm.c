/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What keeps the engine calm and honest: nothing goes straight back to where it came from, those on a CPU say what stops them whether it is
 * hot or not, and a steady tick, a plan and the planner allocate nothing.
 */
#include "lib/core/engine_internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "instance.h"
#include "world.h"

/* --- allocations are counted, where the C library's can be stood in for --- */

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__)
#define COUNTS_ALLOCATIONS 1
#else
#define COUNTS_ALLOCATIONS 0
#endif
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#undef COUNTS_ALLOCATIONS
#define COUNTS_ALLOCATIONS 0
#endif
#endif

static unsigned long n_allocations;

#if COUNTS_ALLOCATIONS
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *old, size_t size);

void *malloc(size_t size)
{
	n_allocations++;
	return __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	n_allocations++;
	return __libc_calloc(n, size);
}

void *realloc(void *old, size_t size)
{
	n_allocations++;
	return __libc_realloc(old, size);
}
#endif

static void skip_unless_counted(void)
{
	void *volatile something;
	unsigned long before = n_allocations;

	something = malloc(1);
	free(something);
	if (n_allocations != before)
		return;
	print_message("skip: allocations cannot be counted under a sanitizer or valgrind\n");
	skip();
}

/* From a hot start through a plan that is made, applied, verified and kept, and long after. */
static void no_tick_allocates(void **state)
{
	struct world world;
	unsigned long before;

	(void)state;
	skip_unless_counted();
	world_init(&world, 4, 4);
	world_ticks(&world, 2);
	before = n_allocations;
	world_ticks(&world, 200);
	assert_true(world.n_applies > 0);
	assert_int_equal(n_allocations - before, 0);
	world_done(&world);
}

static void the_planner_does_not_allocate(void **state)
{
	static struct instance instance;
	static struct instance_problem ip;
	static struct cb_planner_result result;
	static int32_t cpu[INSTANCE_ITEMS];
	struct instance_params params = {
		.n_cpus = 256,
		.n_nodes = 8,
		.n_items = 1280,
		.shape = SHAPE_PARETO,
		.start = START_HOT,
		.utilisation_ratio = 0.6,
		.pinned = true,
		.seed = 1,
	};
	unsigned long before;

	(void)state;
	skip_unless_counted();
	instance_make(&instance, &params);
	assert_true(instance_problem_init(&ip, &instance));
	ip.problem.max_steps = CB_STEPS_MAX;
	ip.problem.weights = CB_PLANNER_WEIGHTS;
	ip.problem.hot_cpu = instance_hottest_cpu(&instance);
	before = n_allocations;
	cb_planner_run(&ip.problem, &result);
	assert_true(result.n_steps > 0);
	assert_true(cb_planner_place(&ip.problem, cpu) > 0);
	assert_int_equal(n_allocations - before, 0);
	instance_problem_done(&ip);
}

/* How hot the hottest CPU is when @item is not where @cpu says, but where it was at the start. */
static int64_t hottest_without(const struct instance *which, int32_t *cpu, uint32_t item)
{
	int32_t place = cpu[item];
	int64_t ret;

	cpu[item] = which->item[item].start;
	ret = instance_hottest(which, cpu);
	cpu[item] = place;
	return ret;
}

/* Of ten moves or fewer none is left that could be taken back and nobody would notice. */
static void no_move_is_left_that_is_not_needed(void **state)
{
	static struct instance instance;
	static struct instance_problem ip;
	static int32_t cpu[INSTANCE_ITEMS];
	uint32_t n_looked = 0;

	(void)state;
	for (uint64_t seed = 1; seed <= 120; seed++) {
		struct instance_params params = {
			.n_cpus = 8u << seed % 2,
			.n_nodes = 1,
			.n_items = 32u << seed % 2,
			.shape = (enum instance_shape)(seed % _SHAPE_MAX),
			.start = START_DRIFT,
			.utilisation_ratio = 0.6,
			.seed = seed,
		};
		double enough;
		uint32_t moves;

		instance_make(&instance, &params);
		assert_true(instance_problem_init(&ip, &instance));
		moves = cb_planner_place(&ip.problem, cpu);
		instance_problem_done(&ip);
		enough = 1.016 * (double)instance_bound(&instance);
		if (moves > 10 || (double)instance_hottest(&instance, cpu) > enough)
			continue;
		n_looked += moves;
		for (uint32_t i = 0; i < instance.n_items; i++)
			if (cpu[i] != instance.item[i].start)
				assert_true((double)hottest_without(&instance, cpu, i) > enough);
	}
	assert_true(n_looked > 100);
}

/* --- not from A to B to A --- */

static const struct cb_item_ref first_worker = { CB_ITEM_WORKER, 1 };

/* Worker 1 was on CPU 0 beside worker 2, and an operator moved it to CPU 1. */
static void moved_to_1(struct world *world)
{
	struct cb_command command = {
		.kind = CB_COMMAND_MOVE,
		.worker_key = 1,
		.mask = cb_cpuset_of(1),
	};

	world_init(world, 4, 2);
	world->batch[0] = 0.1;
	world_ticks(world, 3);
	assert_int_equal(engine_left_bars(world->engine, first_worker), -1);
	assert_int_equal(world_command(world, &command).result, 0);
	world_ticks(world, 60);
	assert_true(cb_cpuset_equal(&world->worker[0].mask, &command.mask));
}

static void it_does_not_go_straight_back(void **state)
{
	struct world world;

	(void)state;
	moved_to_1(&world);
	assert_int_equal(engine_left_bars(world.engine, first_worker), 0);
	/* a little more is what loads do */
	world.batch[1] = 0.03;
	world_ticks(&world, 20);
	assert_int_equal(engine_left_bars(world.engine, first_worker), 0);
	world_done(&world);
}

static void new_evidence_opens_the_way_back(void **state)
{
	struct world world;

	(void)state;
	moved_to_1(&world);
	world.batch[1] = 0.3;
	world_ticks(&world, 40);
	assert_int_equal(engine_left_bars(world.engine, first_worker), -1);
	world.batch[1] = 0;
	world_ticks(&world, 60);
	assert_int_equal(engine_left_bars(world.engine, first_worker), 0);
	world.worker[0].demand = 0.8;
	world_ticks(&world, 60);
	assert_int_equal(engine_left_bars(world.engine, first_worker), -1);
	world_done(&world);
}

static void what_is_undone_is_forgotten(void **state)
{
	struct cb_command command = { .kind = CB_COMMAND_ROLLBACK };
	struct world world;

	(void)state;
	moved_to_1(&world);
	assert_int_equal(world_command(&world, &command).result, 0);
	world_ticks(&world, 5);
	assert_true(cb_cpuset_equal(&world.worker[0].mask, &world.worker[0].original));
	assert_int_equal(engine_left_bars(world.engine, first_worker), -1);
	world_done(&world);
}

/* --- what stops it --- */

static void a_cool_cpu_is_explained_too(void **state)
{
	struct cb_refusal refusal[8];
	struct world world;

	(void)state;
	world_init(&world, 4, 2);
	world.worker[0].demand = world.worker[1].demand = 0.3;
	world_ticks(&world, 20);
	assert_int_equal(cb_engine_n_findings(world.engine), 0);
	assert_int_equal(cb_engine_outlook(world.engine, 0, refusal, 8), 2);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(refusal[i].reason, CB_REJECT_NO_FINDING);
		assert_in_range(refusal[i].best_cpu, 1, 3);
		assert_true(refusal[i].gain_ratio > 0.2);
		assert_true(refusal[i].load_ratio > 0.2);
	}
	assert_int_equal(cb_engine_outlook(world.engine, 0, refusal, 1), 1);
	assert_int_equal(cb_engine_outlook(world.engine, 1, refusal, 8), 0);
	assert_int_equal(cb_engine_outlook(world.engine, 99, refusal, 8), 0);
	/* what is asked changes nothing */
	assert_int_equal(cb_engine_n_refusals(world.engine), 0);
	world_done(&world);
}

/* Before a finding counts, each step that would be taken names its best CPU and what it waits for. */
static void a_gate_names_the_best_cpu(void **state)
{
	struct world world;
	uint32_t n_waiting = 0;

	(void)state;
	world_init(&world, 4, 2);
	world.policy.hot_harm_usec = world.policy.hot_idle_usec = 60 * CB_USEC_PER_SEC;
	world_policy(&world);
	world_ticks(&world, 10);
	for (uint32_t i = 0; i < cb_engine_n_refusals(world.engine); i++) {
		const struct cb_refusal *refusal = cb_engine_refusal(world.engine, i);

		n_waiting += refusal->reason == CB_REJECT_NOT_CONFIRMED;
		if (refusal->reason == CB_REJECT_NOT_CONFIRMED)
			assert_in_range(refusal->best_cpu, 1, 3);
	}
	assert_true(n_waiting > 0);
	world_done(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_tick_allocates),
		cmocka_unit_test(the_planner_does_not_allocate),
		cmocka_unit_test(no_move_is_left_that_is_not_needed),
		cmocka_unit_test(it_does_not_go_straight_back),
		cmocka_unit_test(new_evidence_opens_the_way_back),
		cmocka_unit_test(what_is_undone_is_forgotten),
		cmocka_unit_test(a_cool_cpu_is_explained_too),
		cmocka_unit_test(a_gate_names_the_best_cpu),
	};

	return cmocka_run_group_tests_name("calm", tests, NULL, NULL);
}
