/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The planner: what it moves first, what it refuses and why, and properties that hold for any problem. */
#include "cpubalance/planner.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define CPUS_MAX 32u
#define ITEMS_MAX 96u

struct fixture {
	struct cb_topology *topology;
	double floor_ratio[CPUS_MAX], capacity_ratio[CPUS_MAX], scratch[CPUS_MAX];
	struct cb_planner_item item[ITEMS_MAX];
	struct cb_planner_problem problem;
	struct cb_planner_result result;
};

static void fixture_init(struct fixture *f, uint32_t n_cpus)
{
	memset(f, 0, sizeof(*f));
	f->topology = cb_topology_new(n_cpus);
	assert_non_null(f->topology);
	cb_cpuset_set_range(&f->topology->possible, 0, n_cpus - 1);
	f->topology->online = f->topology->possible;
	f->topology->n_online = n_cpus;
	for (uint32_t i = 0; i < n_cpus; i++)
		f->capacity_ratio[i] = 1;
	f->problem = (struct cb_planner_problem){
		.topology = f->topology,
		.floor_ratio = f->floor_ratio,
		.capacity_ratio = f->capacity_ratio,
		.scratch = f->scratch,
		.item = f->item,
		.max_steps = 2,
		.min_gain_ratio = 0.05,
		.min_item_ratio = 0.02,
	};
}

static void fixture_done(struct fixture *f)
{
	cb_topology_unref(f->topology);
}

static struct cb_planner_item *add(struct fixture *f, enum cb_item_kind kind, double load, int32_t cpu)
{
	struct cb_planner_item *item = &f->item[f->problem.n_items];

	*item = (struct cb_planner_item){
		.ref = { kind, f->problem.n_items + 1 },
		.load_ratio = load,
		.cpu = cpu,
		.mask = cb_cpuset_of((unsigned int)cpu),
		.target = f->topology->online,
		.single = kind == CB_ITEM_IRQ,
	};
	f->problem.n_items++;
	return item;
}

static const struct cb_refusal *refusal_of(const struct fixture *f, uint32_t key)
{
	for (uint32_t i = 0; i < f->result.n_refusals; i++)
		if (f->result.refusal[i].item.key == key)
			return &f->result.refusal[i];
	return NULL;
}

static void widens_one_of_two_workers(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f, 2);
	f.floor_ratio[1] = 0.35;
	add(&f, CB_ITEM_WORKER, 1, 0);
	add(&f, CB_ITEM_WORKER, 1, 0);
	cb_planner_run(&f.problem, &f.result);
	assert_int_equal(f.result.n_steps, 1);
	assert_true(cb_cpuset_equal(&f.result.step[0].to, &f.topology->online));
	assert_true(f.result.hottest_before_ratio > 1.99);
	assert_true(f.result.hottest_after_ratio < 1.36);
	assert_int_equal(refusal_of(&f, 2)->reason, CB_REJECT_NO_GAIN);
	fixture_done(&f);
}

static void an_interrupt_goes_to_one_cpu(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f, 4);
	f.floor_ratio[0] = 0.5;
	f.floor_ratio[1] = 0.3;
	f.floor_ratio[3] = 0.1;
	add(&f, CB_ITEM_IRQ, 0.4, 0);
	cb_planner_run(&f.problem, &f.result);
	assert_int_equal(f.result.n_steps, 1);
	assert_true(cb_cpuset_equal(&f.result.step[0].to, &(struct cb_cpuset){ .word = { 1u << 2 } }));
	fixture_done(&f);
}

static void workers_and_interrupts_are_moved_jointly(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f, 4);
	add(&f, CB_ITEM_WORKER, 0.5, 0)->single = true;
	add(&f, CB_ITEM_WORKER, 0.5, 0)->single = true;
	add(&f, CB_ITEM_IRQ, 0.4, 0);
	cb_planner_run(&f.problem, &f.result);
	assert_int_equal(f.result.n_steps, 2);
	assert_false(cb_cpuset_equal(&f.result.step[0].to, &f.result.step[1].to));
	assert_true(f.result.hottest_after_ratio < 0.51);
	fixture_done(&f);
}

static void a_busy_sibling_is_no_free_core(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f, 4);
	f.topology->cpu[0].core = f.topology->cpu[2].core = 0;
	f.topology->cpu[1].core = f.topology->cpu[3].core = 1;
	add(&f, CB_ITEM_WORKER, 0.6, 0)->single = true;
	add(&f, CB_ITEM_WORKER, 0.5, 0)->single = true;
	f.problem.max_steps = 1;
	cb_planner_run(&f.problem, &f.result);
	assert_int_equal(f.result.n_steps, 1);
	/* CPU 2 is as idle as 1 and 3, but shares its core with the hot one */
	assert_false(cb_cpuset_has(&f.result.step[0].to, 2));
	fixture_done(&f);
}

static void a_weak_cpu_takes_less(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f, 3);
	f.capacity_ratio[1] = 0.4;
	f.floor_ratio[2] = 0.2;
	add(&f, CB_ITEM_WORKER, 0.5, 0)->single = true;
	add(&f, CB_ITEM_WORKER, 0.5, 0)->single = true;
	f.problem.max_steps = 1;
	cb_planner_run(&f.problem, &f.result);
	assert_int_equal(f.result.n_steps, 1);
	assert_true(cb_cpuset_has(&f.result.step[0].to, 2));
	fixture_done(&f);
}

static void every_refusal_has_its_reason(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f, 2);
	f.floor_ratio[0] = 0.5;
	f.floor_ratio[1] = 0.45;
	add(&f, CB_ITEM_WORKER, 0.4, 0)->reject = CB_REJECT_QUARANTINE;
	add(&f, CB_ITEM_WORKER, 0.01, 0);
	add(&f, CB_ITEM_WORKER, 0.4, 0)->mask = f.topology->online;
	add(&f, CB_ITEM_WORKER, 0.4, 0)->target = cb_cpuset_of(0);
	cb_planner_run(&f.problem, &f.result);
	assert_int_equal(f.result.n_steps, 0);
	assert_int_equal(f.result.n_refusals, 4);
	assert_int_equal(refusal_of(&f, 1)->reason, CB_REJECT_QUARANTINE);
	assert_int_equal(refusal_of(&f, 1)->best_cpu, 1);
	assert_int_equal(refusal_of(&f, 2)->reason, CB_REJECT_TOO_SMALL);
	assert_int_equal(refusal_of(&f, 3)->reason, CB_REJECT_FLOATING);
	assert_int_equal(refusal_of(&f, 4)->reason, CB_REJECT_OUTSIDE_CPUSET);
	assert_int_equal(refusal_of(&f, 4)->best_cpu, -1);
	fixture_done(&f);
}

static void no_gain_is_no_move(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f, 2);
	f.floor_ratio[0] = 0.2;
	f.floor_ratio[1] = 0.2;
	add(&f, CB_ITEM_WORKER, 0.7, 0);
	cb_planner_run(&f.problem, &f.result);
	assert_int_equal(f.result.n_steps, 0);
	assert_int_equal(refusal_of(&f, 1)->reason, CB_REJECT_NO_GAIN);
	fixture_done(&f);
}

static uint32_t random_of(uint32_t *seed, uint32_t below)
{
	*seed = *seed * 1664525u + 1013904223u;
	return (*seed >> 8) % below;
}

static double hottest_effective(const struct fixture *f, const double *load)
{
	double hottest = 0;

	for (uint32_t i = 0; i < f->topology->n_cpu_ids; i++)
		hottest = load[i] / f->capacity_ratio[i] > hottest ? load[i] / f->capacity_ratio[i] : hottest;
	return hottest;
}

static void random_problem(struct fixture *f, uint32_t *seed)
{
	uint32_t n_cpus = 2 + random_of(seed, CPUS_MAX - 2), n_items = random_of(seed, ITEMS_MAX);

	fixture_init(f, n_cpus);
	f->problem.max_steps = 1 + random_of(seed, CB_STEPS_MAX);
	for (uint32_t i = 0; i < n_cpus; i++)
		f->floor_ratio[i] = random_of(seed, 100) / 200.0;
	for (uint32_t i = 0; i < n_items; i++) {
		struct cb_planner_item *item = add(f, random_of(seed, 2) ? CB_ITEM_WORKER : CB_ITEM_IRQ,
						   random_of(seed, 1000) / 1000.0, (int32_t)random_of(seed, n_cpus));

		item->target = CB_CPUSET_EMPTY;
		for (uint32_t cpu = 0; cpu < n_cpus; cpu++)
			if (random_of(seed, 3))
				cb_cpuset_set(&item->target, cpu);
		if (random_of(seed, 5) == 0)
			item->reject = CB_REJECT_QUARANTINE;
	}
	f->problem.hot_cpu = (int32_t)random_of(seed, n_cpus);
}

static void check_properties(struct fixture *f)
{
	struct cb_planner_result again;

	cb_planner_run(&f->problem, &f->result);
	assert_true(f->result.n_steps <= f->problem.max_steps);
	for (uint32_t i = 0; i < f->result.n_steps; i++) {
		const struct cb_step *step = &f->result.step[i];
		const struct cb_planner_item *item = &f->item[step->item.key - 1];

		assert_false(cb_cpuset_empty(&step->to));
		assert_true(cb_cpuset_subset(&step->to, &item->target));
		assert_int_equal(item->reject, CB_REJECT_NONE);
		assert_true(!item->single || cb_cpuset_count(&step->to) == 1);
		for (uint32_t j = 0; j < i; j++)
			assert_int_not_equal(f->result.step[j].item.key, step->item.key);
	}
	cb_planner_run(&f->problem, &again);
	assert_int_equal(again.n_steps, f->result.n_steps);
	assert_memory_equal(again.step, f->result.step, again.n_steps * sizeof(again.step[0]));
}

static void properties_hold_for_any_problem(void **state)
{
	uint32_t seed = 42;

	(void)state;
	for (int i = 0; i < 400; i++) {
		struct fixture f;

		random_problem(&f, &seed);
		check_properties(&f);
		fixture_done(&f);
	}
}

/* The hottest CPU concerned never gets hotter by a plan. */
static void a_plan_never_makes_it_worse(void **state)
{
	uint32_t seed = 7;

	(void)state;
	for (int i = 0; i < 400; i++) {
		double before[CPUS_MAX];
		struct fixture f;

		random_problem(&f, &seed);
		memcpy(before, f.floor_ratio, sizeof(before));
		for (uint32_t j = 0; j < f.problem.n_items; j++)
			before[f.item[j].cpu] += f.item[j].load_ratio;
		cb_planner_run(&f.problem, &f.result);
		assert_true(hottest_effective(&f, f.scratch) <= hottest_effective(&f, before) + 1e-9);
		fixture_done(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(widens_one_of_two_workers),
		cmocka_unit_test(an_interrupt_goes_to_one_cpu),
		cmocka_unit_test(workers_and_interrupts_are_moved_jointly),
		cmocka_unit_test(a_busy_sibling_is_no_free_core),
		cmocka_unit_test(a_weak_cpu_takes_less),
		cmocka_unit_test(every_refusal_has_its_reason),
		cmocka_unit_test(no_gain_is_no_move),
		cmocka_unit_test(properties_hold_for_any_problem),
		cmocka_unit_test(a_plan_never_makes_it_worse),
	};

	return cmocka_run_group_tests_name("planner", tests, NULL, NULL);
}
