/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The scheduler, as far as it matters to who shares a CPU with whom. A task that wakes on a CPU that others use looks for
 * a better one, first among those that share its cache (select_idle_sibling()); where there is none and its core is over-full, the
 * periodic balance looks at all of its mask, and asks for a quarter less load (imbalance_pct). Now and then it wakes somewhere
 * else for no good reason, as it does. A mask is never left.
 */
#include "plant.h"

/* A task wakes on some other CPU of its cache for no reason that the model knows, in this share of the steps. */
#define STRAY 0.01
/* A busy sibling is felt as this share of its load. */
#define SIBLING	    0.4
#define BETTER_NEAR 0.05
#define BETTER_FAR  0.25

static uint32_t cores_of(const struct plant *plant)
{
	return plant->n_cpus / plant->scenario->machine.smt;
}

/* What the task would find on @cpu: the load of others there, its sibling's in part, and itself at that CPU's speed. */
static double level_at(const struct plant *plant, const struct plant_task *task, unsigned int cpu)
{
	const struct plant_cpu *there = &plant->cpu[cpu], *here = &plant->cpu[task->cpu];
	double level = there->load, want = task->want * here->speed / there->speed;

	if ((int32_t)cpu == task->cpu)
		level -= task->want;
	for (uint32_t other = cpu % cores_of(plant); other < plant->n_cpus;
	     other += cores_of(plant))
		if (other != cpu)
			level += SIBLING * plant->cpu[other].load;
	return level + want;
}

/* The best CPU of @among that the task may use, or its own. */
static unsigned int best_of(const struct plant *plant, const struct plant_task *task,
			    const struct cb_cpuset *among, double *ret_level)
{
	unsigned int best = (unsigned int)task->cpu;

	*ret_level = level_at(plant, task, best);
	CB_CPUSET_FOREACH(cpu, among) {
		double level;

		if (cpu >= plant->n_cpus)
			break;
		/* who wakes does not queue behind a task where there is another CPU */
		if ((int32_t)cpu == task->cpu || plant->cpu[cpu].load >= 1)
			continue;
		level = level_at(plant, task, cpu);
		if (level >= *ret_level)
			continue;
		*ret_level = level;
		best = cpu;
	}
	return best;
}

static struct cb_cpuset near_of(const struct plant *plant, const struct plant_task *task,
				const struct cb_cpuset *usable)
{
	struct cb_cpuset near = CB_CPUSET_EMPTY;
	int32_t llc = plant->topology->cpu[task->cpu].llc;
	uint32_t llc_cores = plant->scenario->machine.llc_cpus / plant->scenario->machine.smt;

	for (uint32_t first = (uint32_t)llc; first < plant->n_cpus; first += cores_of(plant))
		cb_cpuset_set_range(&near, first, first + llc_cores - 1);
	return cb_cpuset_and(&near, usable);
}

static void move(struct plant *plant, struct plant_task *task, unsigned int cpu)
{
	double want;

	if ((int32_t)cpu == task->cpu)
		return;
	want = task->want * plant->cpu[task->cpu].speed / plant->cpu[cpu].speed;
	plant->cpu[task->cpu].load -= task->want;
	task->want = CB_MIN(want, 1.0);
	plant->cpu[cpu].load += task->want;
	task->cpu = (int32_t)cpu;
}

static void stray(struct plant *plant, struct plant_task *task, const struct cb_cpuset *near,
		  double chance)
{
	uint32_t n = (uint32_t)(chance * cb_cpuset_count(near));
	unsigned int cpu = cb_cpuset_first(near);

	while (n-- > 0)
		cpu = cb_cpuset_next(near, cpu + 1);
	if (cpu < plant->n_cpus)
		move(plant, task, cpu);
}

static void consider(struct plant *plant, uint32_t index)
{
	struct plant_task *task = &plant->task[index];
	const struct plant_cpu *here = &plant->cpu[task->cpu];
	double chance = plant_uniform(plant, CHANCE_WAKE, index, plant->n_steps);
	double now = level_at(plant, task, (unsigned int)task->cpu), others = now - task->want;
	struct cb_cpuset usable, near;
	unsigned int best;
	double level;

	/* it wakes, and finds its CPU taken as often as others use it; a busy sibling counts in part */
	if (chance >= STRAY + others && here->load <= 1)
		return;
	usable = cb_cpuset_and(&task->mask, &plant->topology->online);
	near = near_of(plant, task, &usable);
	if (chance < STRAY) {
		stray(plant, task, &near,
		      plant_uniform(plant, CHANCE_WAKE_WHERE, index, plant->n_steps));
		return;
	}
	best = best_of(plant, task, &near, &level);
	if (level < now - BETTER_NEAR) {
		move(plant, task, best);
		return;
	}
	if (now <= 1)
		return;
	best = best_of(plant, task, &usable, &level);
	if (level < now - BETTER_FAR)
		move(plant, task, best);
}

void plant_schedule(struct plant *plant)
{
	for (uint32_t i = 0; i < plant->n_cpus; i++)
		plant->cpu[i].load = plant->cpu[i].softirq + plant->cpu[i].steal_level;
	for (uint32_t i = 0; i < plant->n_tasks; i++)
		if (plant->task[i].alive)
			plant->cpu[plant->task[i].cpu].load += plant->task[i].want;
	for (uint32_t n = 0; n < plant->n_tasks; n++) {
		/* nobody is always the first to choose */
		uint32_t i = (n + plant->n_steps) % plant->n_tasks;

		if (plant->task[i].alive && cb_cpuset_count(&plant->task[i].mask) > 1)
			consider(plant, i);
	}
}
