/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The planner: what it moves first, what it refuses and why, the whole placement, and properties that hold for any problem. */
#include "cpubalance/planner.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define CPUS_MAX  32u
#define ITEMS_MAX 96u

struct fixture {
	struct cb_topology *topology;
	double floor_ratio[CPUS_MAX], capacity_ratio[CPUS_MAX];
	struct cb_planner_item item[ITEMS_MAX];
	struct cb_cpuset mask[ITEMS_MAX], target[ITEMS_MAX];
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
		.scratch = cb_planner_scratch_new(n_cpus, ITEMS_MAX),
		.weights = CB_PLANNER_WEIGHTS,
		.item = f->item,
		.max_steps = 2,
		.min_gain_ratio = 0.05,
		.min_item_ratio = 0.02,
	};
}

static void fixture_done(struct fixture *f)
{
	cb_planner_scratch_free(f->problem.scratch);
	cb_topology_unref(f->topology);
}

static struct cb_planner_item *add(struct fixture *f, enum cb_item_kind kind, double load,
				   int32_t cpu)
{
	struct cb_planner_item *item = &f->item[f->problem.n_items];

	*item = (struct cb_planner_item){
		.ref = { kind, f->problem.n_items + 1 },
		.load_ratio = load,
		.cpu = cpu,
		.mask = &f->mask[f->problem.n_items],
		.target = &f->target[f->problem.n_items],
		.single = kind == CB_ITEM_IRQ,
	};
	f->mask[f->problem.n_items] = cb_cpuset_of((unsigned int)cpu);
	f->target[f->problem.n_items] = f->topology->online;
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
	assert_int_equal(refusal_of(&f, 3 - f.result.step[0].item.key)->reason, CB_REJECT_NO_GAIN);
	fixture_done(&f);
}

/* Both steps would help CPU 1 more. */
static void a_plan_helps_the_cpu_that_it_is_made_for(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f, 8);
	for (int i = 0; i < 2; i++)
		add(&f, CB_ITEM_WORKER, 0.6, 0);
	for (int i = 0; i < 4; i++)
		add(&f, CB_ITEM_WORKER, 0.9, 1);
	cb_planner_run(&f.problem, &f.result);
	assert_true(f.result.n_steps >= 1);
	assert_in_range(f.result.step[0].item.key, 1, 2);
	assert_true(f.result.hottest_after_ratio < 0.61);
	/* where there is room for both, the hotter one comes first */
	f.problem.max_steps = 8;
	cb_planner_run(&f.problem, &f.result);
	assert_true(f.result.n_steps >= 4);
	assert_in_range(f.result.step[0].item.key, 3, 6);
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
	assert_true(
		cb_cpuset_equal(&f.result.step[0].to, &(struct cb_cpuset){ .word = { 1u << 2 } }));
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
	add(&f, CB_ITEM_WORKER, 0.4, 0)->mask = &f.topology->online;
	add(&f, CB_ITEM_WORKER, 0.4, 0);
	f.target[3] = cb_cpuset_of(0);
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

static void a_gain_within_the_noise_is_none(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f, 2);
	add(&f, CB_ITEM_WORKER, 0.6, 0);
	add(&f, CB_ITEM_WORKER, 0.1, 0);
	cb_planner_run(&f.problem, &f.result);
	assert_int_equal(f.result.n_steps, 1);
	f.problem.hysteresis_ratio = 0.2;
	cb_planner_run(&f.problem, &f.result);
	assert_int_equal(f.result.n_steps, 0);
	assert_int_equal(refusal_of(&f, 2)->reason, CB_REJECT_NO_GAIN);
	fixture_done(&f);
}

/* Five workers that want one CPU whole: however noisy the CPUs are, each of them gains by leaving. */
static void waiting_is_no_noise(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f, 2);
	for (uint32_t i = 0; i < 5; i++)
		add(&f, CB_ITEM_WORKER, 1, 0);
	f.problem.hysteresis_ratio = 0.5;
	cb_planner_run(&f.problem, &f.result);
	assert_int_equal(f.result.n_steps, 2);
	fixture_done(&f);
}

/* No single move helps: CPU 0 has 0.6 + 0.4, CPU 1 0.3 + 0.3. */
static void what_no_move_mends_a_swap_does(void **state)
{
	static const double load[] = { 0.6, 0.4, 0.3, 0.3 };
	struct fixture f;

	(void)state;
	fixture_init(&f, 2);
	for (uint32_t i = 0; i < 4; i++)
		add(&f, CB_ITEM_IRQ, load[i], i / 2 ? 1 : 0);
	cb_planner_run(&f.problem, &f.result);
	assert_int_equal(f.result.n_steps, 2);
	assert_true(f.result.hottest_after_ratio < 0.91);
	/* what makes room goes first */
	assert_true(cb_cpuset_has(&f.result.step[0].to, 0));
	assert_true(cb_cpuset_has(&f.result.step[1].to, 1));
	f.problem.max_steps = 1;
	cb_planner_run(&f.problem, &f.result);
	assert_int_equal(f.result.n_steps, 0);
	fixture_done(&f);
}

/* A worker that fills a CPU cannot be helped; the CPU to be mended can. */
static void a_giant_is_in_nobodys_way(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f, 4);
	add(&f, CB_ITEM_WORKER, 2, 3)->single = true;
	add(&f, CB_ITEM_WORKER, 0.5, 0)->single = true;
	add(&f, CB_ITEM_WORKER, 0.5, 0)->single = true;
	cb_planner_run(&f.problem, &f.result);
	assert_int_equal(f.result.n_steps, 1);
	assert_int_not_equal(f.result.step[0].item.key, 1);
	assert_false(cb_cpuset_has(&f.result.step[0].to, 3));
	assert_true(f.result.hottest_after_ratio < 0.51);
	fixture_done(&f);
}

static void near_places_are_preferred(void **state)
{
	struct fixture f;

	(void)state;
	fixture_init(&f, 8);
	for (uint32_t i = 0; i < 8; i++) {
		f.topology->cpu[i].node = f.topology->cpu[i].package = i / 4 ? 1 : 0;
		f.topology->cpu[i].llc = (int32_t)(i / 2 * 2);
		f.floor_ratio[i] = 0.3;
	}
	f.floor_ratio[1] = 0.32; /* of one LLC with CPU 0, and hardly warmer than the others */
	add(&f, CB_ITEM_IRQ, 0.4, 0);
	add(&f, CB_ITEM_IRQ, 0.4, 0);
	f.problem.max_steps = 1;
	cb_planner_run(&f.problem, &f.result);
	assert_int_equal(f.result.n_steps, 1);
	assert_true(cb_cpuset_has(&f.result.step[0].to, 1));
	f.floor_ratio[1] = 0.6;
	cb_planner_run(&f.problem, &f.result);
	assert_int_equal(f.result.n_steps, 1);
	assert_true(cb_cpuset_has(&f.result.step[0].to, 2) ||
		    cb_cpuset_has(&f.result.step[0].to, 3));
	fixture_done(&f);
}

static void a_new_item_gets_a_good_place(void **state)
{
	struct fixture f;
	int32_t cpu[1];

	(void)state;
	fixture_init(&f, 4);
	f.floor_ratio[0] = f.floor_ratio[1] = f.floor_ratio[3] = 0.5;
	add(&f, CB_ITEM_IRQ, 0.4, 0)->cpu = -1;
	assert_int_equal(cb_planner_place(&f.problem, cpu), 1);
	assert_int_equal(cpu[0], 2);
	cb_planner_run(&f.problem, &f.result);
	assert_int_equal(f.result.n_steps, 1);
	assert_true(cb_cpuset_has(&f.result.step[0].to, 2));
	/* on a CPU that is not there it is nowhere either */
	f.item[0].cpu = 3;
	cb_cpuset_clear(&f.topology->online, 3);
	assert_int_equal(cb_planner_place(&f.problem, cpu), 1);
	assert_int_equal(cpu[0], 2);
	fixture_done(&f);
}

/* Largest first would fill node 0 with the free ones. */
static void the_most_constrained_go_first(void **state)
{
	struct fixture f;
	int32_t cpu[6];

	(void)state;
	fixture_init(&f, 4);
	f.problem.weights = (struct cb_planner_weights){ 0 };
	for (uint32_t i = 0; i < 4; i++)
		f.topology->cpu[i].node = i / 2 ? 1 : 0;
	for (uint32_t i = 0; i < 2; i++)
		add(&f, CB_ITEM_IRQ, 0.9, 0);
	for (uint32_t i = 0; i < 4; i++) {
		add(&f, CB_ITEM_IRQ, 0.45, 0);
		cb_cpuset_clear(&f.target[2 + i], 2);
		cb_cpuset_clear(&f.target[2 + i], 3);
	}
	cb_planner_place(&f.problem, cpu);
	assert_int_equal(cpu[0] + cpu[1], 5);
	assert_int_equal(cpu[2] + cpu[3] + cpu[4] + cpu[5], 2);
	fixture_done(&f);
}

static void nothing_comes_of_nothing(void **state)
{
	struct fixture f;
	int32_t cpu[2];

	(void)state;
	fixture_init(&f, 2);
	cb_planner_run(&f.problem, &f.result);
	assert_int_equal(f.result.n_steps + f.result.n_refusals, 0);
	assert_int_equal(cb_planner_place(&f.problem, cpu), 0);
	add(&f, CB_ITEM_IRQ, 0, 0);
	add(&f, CB_ITEM_IRQ, 0.5, 0)->reject = CB_REJECT_MANAGED_IRQ;
	assert_int_equal(cb_planner_place(&f.problem, cpu), 0);
	assert_int_equal(cpu[0] + cpu[1], 0);
	f.problem.hot_cpu = -1;
	cb_planner_run(&f.problem, &f.result);
	assert_int_equal(f.result.n_steps, 0);
	f.topology->online = CB_CPUSET_EMPTY;
	f.problem.hot_cpu = 0;
	cb_planner_run(&f.problem, &f.result);
	assert_int_equal(cb_planner_place(&f.problem, cpu), 0);
	fixture_done(&f);
}

static void the_scratch_bounds_the_problem(void **state)
{
	struct fixture f;
	int32_t cpu[2];

	(void)state;
	assert_null(cb_planner_scratch_new(CB_CPUS_MAX + 1, 1));
	assert_null(cb_planner_scratch_new(1, CB_PLANNER_ITEMS_MAX + 1));
	cb_planner_scratch_free(cb_planner_scratch_new(CB_CPUS_MAX, CB_PLANNER_ITEMS_MAX));
	cb_planner_scratch_free(cb_planner_scratch_new(0, 0));
	fixture_init(&f, 2);
	cb_planner_scratch_free(f.problem.scratch);
	f.problem.scratch = cb_planner_scratch_new(2, 1);
	add(&f, CB_ITEM_IRQ, 0.5, 0);
	add(&f, CB_ITEM_IRQ, 0.5, 0);
	assert_int_equal(cb_planner_place(&f.problem, cpu), 0);
	cb_planner_run(&f.problem, &f.result);
	assert_int_equal(f.result.n_steps, 0);
	fixture_done(&f);
}

/* --- properties --- */

static uint32_t random_of(uint32_t *seed, uint32_t below)
{
	*seed = *seed * 1664525u + 1013904223u;
	return (*seed >> 8) % below;
}

static void random_topology(struct fixture *f, uint32_t *seed)
{
	uint32_t n = f->topology->n_cpu_ids, nodes = 1 + random_of(seed, 4),
		 threads = 1 + random_of(seed, 3);

	for (uint32_t i = 0; i < n; i++) {
		f->topology->cpu[i].node = f->topology->cpu[i].package = (int32_t)(i * nodes / n);
		f->topology->cpu[i].llc = (int32_t)(i / 4 * 4);
		f->topology->cpu[i].core = (int32_t)(i / threads * threads);
		f->capacity_ratio[i] = random_of(seed, 4) ? 1 : 0.4;
		f->floor_ratio[i] = random_of(seed, 100) / 200.0;
		if (i && random_of(seed, 8) == 0)
			cb_cpuset_clear(&f->topology->online, i);
	}
}

static void random_problem(struct fixture *f, uint32_t *seed)
{
	uint32_t n_cpus = 2 + random_of(seed, CPUS_MAX - 2), n_items = random_of(seed, ITEMS_MAX);
	bool sets = random_of(seed, 2);

	fixture_init(f, n_cpus);
	random_topology(f, seed);
	f->problem.max_steps = 1 + random_of(seed, CB_STEPS_MAX);
	for (uint32_t i = 0; i < n_items; i++) {
		struct cb_planner_item *item =
			add(f, random_of(seed, 2) ? CB_ITEM_WORKER : CB_ITEM_IRQ,
			    random_of(seed, 1000) / 1000.0, (int32_t)random_of(seed, n_cpus));

		for (uint32_t cpu = 0; cpu < n_cpus && sets; cpu++)
			if (random_of(seed, 3) == 0)
				cb_cpuset_clear(&f->target[i], cpu);
		if (random_of(seed, 5) == 0)
			item->reject = CB_REJECT_QUARANTINE;
		if (random_of(seed, 20) == 0)
			item->cpu = -1;
	}
	do
		f->problem.hot_cpu = (int32_t)random_of(seed, n_cpus);
	while (!cb_cpuset_has(&f->topology->online, (unsigned int)f->problem.hot_cpu));
}

static bool has_place(const struct fixture *f, int32_t cpu)
{
	return cpu >= 0 && cb_cpuset_has(&f->topology->online, (unsigned int)cpu);
}

/* What the planner is about, computed another way. */
static void effective_loads(const struct fixture *f, const int32_t *cpu, double *ret)
{
	double load[CPUS_MAX];

	memcpy(load, f->floor_ratio, sizeof(load));
	for (uint32_t i = 0; i < f->problem.n_items; i++)
		if (has_place(f, cpu[i]))
			load[cpu[i]] += f->item[i].load_ratio;
	for (uint32_t i = 0; i < f->topology->n_cpu_ids; i++) {
		struct cb_cpuset siblings = cb_topology_siblings(f->topology, i);

		ret[i] = load[i];
		CB_CPUSET_FOREACH(other, &siblings)
			ret[i] += f->problem.weights.smt_ratio * load[other];
		ret[i] /= f->capacity_ratio[i];
		if (!cb_cpuset_has(&f->topology->online, i))
			ret[i] = 0;
	}
}

static double hottest(const struct fixture *f, const int32_t *cpu)
{
	double level[CPUS_MAX], highest = 0;

	effective_loads(f, cpu, level);
	for (uint32_t i = 0; i < f->topology->n_cpu_ids; i++)
		highest = level[i] > highest ? level[i] : highest;
	return highest;
}

static void check_step(const struct fixture *f, uint32_t index)
{
	const struct cb_step *step = &f->result.step[index];
	const struct cb_planner_item *item = &f->item[step->item.key - 1];
	struct cb_cpuset usable = cb_cpuset_and(&step->to, &f->topology->online);

	assert_false(cb_cpuset_empty(&usable));
	assert_true(cb_cpuset_subset(&step->to, item->target));
	assert_int_equal(item->reject, CB_REJECT_NONE);
	assert_true(!item->single || cb_cpuset_count(&step->to) == 1);
	assert_true(item->load_ratio >= f->problem.min_item_ratio);
	for (uint32_t j = 0; j < index; j++)
		assert_int_not_equal(f->result.step[j].item.key, step->item.key);
}

static void check_plan(struct fixture *f)
{
	struct cb_planner_result again;

	cb_planner_run(&f->problem, &f->result);
	assert_true(f->result.n_steps <= f->problem.max_steps);
	assert_true(f->result.hottest_after_ratio <= f->result.hottest_before_ratio + 1e-9 ||
		    f->result.n_steps > 0);
	for (uint32_t i = 0; i < f->result.n_steps; i++)
		check_step(f, i);
	cb_planner_run(&f->problem, &again);
	assert_int_equal(again.n_steps, f->result.n_steps);
	assert_memory_equal(again.step, f->result.step, again.n_steps * sizeof(again.step[0]));
}

static void plans_keep_to_the_rules(void **state)
{
	uint32_t seed = 42;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		struct fixture f;

		random_problem(&f, &seed);
		check_plan(&f);
		fixture_done(&f);
	}
}

/* All single, so that steps say where; nothing new, since what comes has to be somewhere. */
static void a_plan_never_makes_it_worse(void **state)
{
	uint32_t seed = 7;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		int32_t cpu[ITEMS_MAX];
		double before, level[CPUS_MAX], hot_before;
		struct fixture f;

		random_problem(&f, &seed);
		for (uint32_t j = 0; j < f.problem.n_items; j++) {
			f.item[j].single = true;
			if (!has_place(&f, f.item[j].cpu))
				f.item[j].cpu = (int32_t)cb_cpuset_first(&f.topology->online);
			cpu[j] = f.item[j].cpu;
		}
		before = hottest(&f, cpu);
		effective_loads(&f, cpu, level);
		hot_before = level[f.problem.hot_cpu];
		cb_planner_run(&f.problem, &f.result);
		for (uint32_t j = 0; j < f.result.n_steps; j++)
			cpu[f.result.step[j].item.key - 1] =
				(int32_t)cb_cpuset_first(&f.result.step[j].to);
		assert_true(hottest(&f, cpu) <= before + 1e-9);
		/* and the CPU that it is made for is cooler by it */
		effective_loads(&f, cpu, level);
		assert_true(f.result.n_steps == 0 || level[f.problem.hot_cpu] < hot_before);
		fixture_done(&f);
	}
}

static void check_place(struct fixture *f)
{
	int32_t before[ITEMS_MAX], after[ITEMS_MAX], again[ITEMS_MAX];
	uint32_t moves, changed = 0;

	for (uint32_t i = 0; i < f->problem.n_items; i++)
		before[i] = f->item[i].cpu;
	moves = cb_planner_place(&f->problem, after);
	for (uint32_t i = 0; i < f->problem.n_items; i++) {
		const struct cb_planner_item *item = &f->item[i];

		if (after[i] == before[i])
			continue;
		changed++;
		assert_int_equal(item->reject, CB_REJECT_NONE);
		assert_true(has_place(f, after[i]));
		assert_true(cb_cpuset_has(item->target, (unsigned int)after[i]));
	}
	assert_int_equal(changed, moves);
	for (uint32_t i = 0; i < f->problem.n_items; i++) {
		/* what has no place adds to no load before, so it has to be counted where it came to */
		if (!has_place(f, before[i]))
			before[i] = after[i];
		f->item[i].cpu = after[i];
	}
	assert_true(hottest(f, after) <= hottest(f, before) + 1e-9);
	assert_int_equal(cb_planner_place(&f->problem, again), 0);
	assert_memory_equal(again, after, f->problem.n_items * sizeof(again[0]));
}

static void a_whole_placement_is_legal_and_final(void **state)
{
	uint32_t seed = 99;

	(void)state;
	for (int i = 0; i < 2000; i++) {
		struct fixture f;

		random_problem(&f, &seed);
		if (random_of(&seed, 2))
			f.problem.weights = (struct cb_planner_weights){ 0 };
		check_place(&f);
		fixture_done(&f);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(widens_one_of_two_workers),
		cmocka_unit_test(a_plan_helps_the_cpu_that_it_is_made_for),
		cmocka_unit_test(an_interrupt_goes_to_one_cpu),
		cmocka_unit_test(workers_and_interrupts_are_moved_jointly),
		cmocka_unit_test(a_busy_sibling_is_no_free_core),
		cmocka_unit_test(a_weak_cpu_takes_less),
		cmocka_unit_test(every_refusal_has_its_reason),
		cmocka_unit_test(no_gain_is_no_move),
		cmocka_unit_test(a_gain_within_the_noise_is_none),
		cmocka_unit_test(waiting_is_no_noise),
		cmocka_unit_test(what_no_move_mends_a_swap_does),
		cmocka_unit_test(a_giant_is_in_nobodys_way),
		cmocka_unit_test(near_places_are_preferred),
		cmocka_unit_test(a_new_item_gets_a_good_place),
		cmocka_unit_test(the_most_constrained_go_first),
		cmocka_unit_test(nothing_comes_of_nothing),
		cmocka_unit_test(the_scratch_bounds_the_problem),
		cmocka_unit_test(plans_keep_to_the_rules),
		cmocka_unit_test(a_plan_never_makes_it_worse),
		cmocka_unit_test(a_whole_placement_is_legal_and_final),
	};

	return cmocka_run_group_tests_name("planner", tests, NULL, NULL);
}
