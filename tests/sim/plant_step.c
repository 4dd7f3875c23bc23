/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One step of the machine, a quarter of a second of fluid flow: packets arrive, softirqs take their time first, what is left of
 * each CPU is shared among the tasks that the scheduler has put there, and what got done is counted.
 */
#include <math.h>

#include "plant.h"

/* Two busy siblings get 1.3 times as much done as one: each is slowed to 0.65. */
#define SMT_LOSS 0.35
/* A request whose packets came up on the worker's own CPU, on another cache, on another node, against one of the same cache. */
#define LOCAL_CPU  0.97
#define OTHER_LLC  1.05
#define OTHER_NODE 1.12
/* Softirqs leave this share of a CPU to others: beyond it they are ksoftirqd's, which is scheduled like anybody. */
#define SOFTIRQ_MAX 0.9
/* An interrupt covers many packets when there are many: at most this many interrupts a second of a queue (NAPI). */
#define INTERRUPTS_MAX 8000.0
/* Work that may wait for a worker, in CPU-seconds; what comes beyond it is lost. */
#define BACKLOG_MAX 1.0
/* Run-queue wait on a CPU that is not full: this times the share of others, over what they leave. */
#define WAIT_LIGHT 0.1

/* --- arrival --- */

/* Requests a second: a part of what the group's clients want or, of a closed load, of what the worker gets done. */
static double cell_rate(const struct plant *plant, const struct plant_cell *cell,
			const double *rate)
{
	const struct plant_task *task;

	if (cell->task == PLANT_NONE || !plant->scenario->group[cell->group].closed)
		return rate[cell->group] * cell->size;
	task = &plant->task[cell->task];
	return task->flow_size > 0 ? task->served_per_sec * cell->size / task->flow_size : 0;
}

static void begin_step(struct plant *plant, const double *rate)
{
	for (uint32_t i = 0; i < plant->n_workers; i++) {
		struct plant_task *task = &plant->task[i];

		task->work = task->requests = 0;
		if (plant->n_steps == 0)
			task->served_per_sec =
				rate[task->group] / plant->scenario->group[task->group].n_workers;
	}
	for (uint32_t i = 0; i < plant->n_queues; i++)
		plant->queue[i].packets_per_sec = 0;
	for (uint32_t i = 0; i < plant->n_cells; i++) {
		const struct plant_cell *cell = &plant->cell[i];

		if (cell->task != PLANT_NONE && cell->queue != PLANT_NONE)
			plant->queue[cell->queue].packets_per_sec +=
				cell_rate(plant, cell, rate) *
				plant->scenario->group[cell->group].packets;
	}
}

static void run_softirqs(struct plant *plant, double dt)
{
	for (uint32_t i = 0; i < plant->n_cpus; i++)
		plant->cpu[i].softirq = 0;
	for (uint32_t i = 0; i < plant->n_queues; i++) {
		const struct plant_queue *queue = &plant->queue[i];
		struct plant_cpu *cpu = &plant->cpu[queue->cpu];

		cpu->softirq += queue->packets_per_sec * 1e-6 *
				plant->scenario->nic[queue->nic].packet_usec / cpu->speed;
	}
	for (uint32_t i = 0; i < plant->n_cpus; i++) {
		struct plant_cpu *cpu = &plant->cpu[i];
		double most = SOFTIRQ_MAX * (1 - cpu->steal_level);

		cpu->delivered = cpu->softirq > most ? most / cpu->softirq : 1;
		cpu->softirq = CB_MIN(cpu->softirq, most);
	}
	for (uint32_t i = 0; i < plant->n_queues; i++) {
		struct plant_queue *queue = &plant->queue[i];
		struct plant_cpu *cpu = &plant->cpu[queue->cpu];
		double packets = queue->packets_per_sec;
		double interrupts = packets * dt / (1 + packets / INTERRUPTS_MAX);

		queue->n_interrupts += interrupts;
		queue->n_packets += packets * cpu->delivered * dt;
		cpu->n_dropped += packets * (1 - cpu->delivered) * dt;
		cpu->n_softirqs += interrupts;
	}
}

static double locality(const struct plant *plant, int32_t queue_cpu, int32_t worker_cpu)
{
	const struct cb_cpu_place *a = &plant->topology->cpu[queue_cpu];
	const struct cb_cpu_place *b = &plant->topology->cpu[worker_cpu];

	if (queue_cpu == worker_cpu)
		return LOCAL_CPU;
	if (a->node != b->node)
		return OTHER_NODE;
	return a->llc == b->llc ? 1 : OTHER_LLC;
}

static void arrive_requests(struct plant *plant, const double *rate, double dt)
{
	for (uint32_t i = 0; i < plant->n_cells; i++) {
		const struct plant_cell *cell = &plant->cell[i];
		double requests = cell_rate(plant, cell, rate), lost = 0;
		double cost = plant->scenario->group[cell->group].work_usec * 1e-6;
		struct plant_task *task;

		if (cell->task == PLANT_NONE) {
			plant->group[cell->group].n_lost += requests * dt;
			continue;
		}
		task = &plant->task[cell->task];
		if (cell->queue != PLANT_NONE) {
			int32_t cpu = plant->queue[cell->queue].cpu;

			lost = requests * (1 - plant->cpu[cpu].delivered);
			cost *= locality(plant, cpu, task->cpu);
		}
		plant->group[cell->group].n_lost += lost * dt;
		task->requests += requests - lost;
		task->work += (requests - lost) * cost;
	}
}

/* What each task would run now if it were alone on its CPU. */
static void want(struct plant *plant, double dt)
{
	for (uint32_t i = 0; i < plant->n_tasks; i++) {
		struct plant_task *task = &plant->task[i];
		double sigma;

		task->want = 0;
		if (!task->alive)
			continue;
		if (!task->worker) {
			task->want = CB_MIN(plant->scenario->batch[task->group].demand_ratio *
						    task->noise,
					    1.0);
			continue;
		}
		if (task->requests <= 0 && task->backlog <= 0)
			continue;
		task->work *= task->noise;
		if (plant->topology->cpu[task->cpu].node != task->home_node)
			task->work *= 1 + plant->scenario->group[task->group].memory_ratio;
		sigma = 1 / sqrt(CB_MAX(task->requests * dt, 1.0));
		if (!plant->scenario->group[task->group].closed) {
			double chance = CB_MAX(1 + sigma * plant_normal(plant, CHANCE_ARRIVAL, i,
									plant->n_steps),
					       0.0);

			task->work *= chance;
			task->requests *= chance;
		}
		task->want = (task->work + task->backlog / dt) / plant->cpu[task->cpu].speed;
		if (plant->scenario->group[task->group].closed)
			task->want = 1;
		task->want = CB_MIN(task->want, 1.0);
	}
}

/* --- sharing a CPU --- */

static void link_tasks(struct plant *plant)
{
	for (uint32_t i = 0; i < plant->n_cpus; i++)
		plant->cpu[i].first = PLANT_NONE;
	for (uint32_t i = plant->n_tasks; i-- > 0;) {
		struct plant_task *task = &plant->task[i];

		task->got = 0;
		if (!task->alive)
			continue;
		task->next = plant->cpu[task->cpu].first;
		plant->cpu[task->cpu].first = i;
	}
}

/* By weight, and nobody gets more than he wants: what he leaves is shared by the others. */
static void share(struct plant *plant, struct plant_cpu *cpu, double room)
{
	for (int round = 0; round < 16 && room > 1e-9; round++) {
		double weights = 0, given = 0;

		for (uint32_t i = cpu->first; i != PLANT_NONE; i = plant->task[i].next)
			if (plant->task[i].got < plant->task[i].want)
				weights += plant->task[i].weight;
		if (weights <= 0)
			return;
		for (uint32_t i = cpu->first; i != PLANT_NONE; i = plant->task[i].next) {
			struct plant_task *task = &plant->task[i];
			double part = CB_MIN(room * task->weight / weights, task->want - task->got);

			if (task->got >= task->want)
				continue;
			task->got += part;
			given += part;
		}
		room -= given;
	}
}

static void account_worker(struct plant *plant, struct plant_task *task, double dt)
{
	struct plant_group *group = &plant->group[task->group];
	double done = task->got * plant->cpu[task->cpu].speed * dt, cost, all;

	cost = task->requests > 0 ? task->work / task->requests :
				    plant->scenario->group[task->group].work_usec * 1e-6;
	if (cost <= 0)
		return;
	if (!plant->scenario->group[task->group].closed) {
		all = task->work * dt + task->backlog;
		done = CB_MIN(done, all);
		task->backlog = CB_MIN(all - done, BACKLOG_MAX);
		group->n_lost += (all - done - task->backlog) / cost;
	}
	task->served_per_sec = done / cost / dt;
	group->n_served += done / cost;
}

/* @others: share of the CPU that was somebody else's. */
static void account_task(struct plant_task *task, double others, double dt)
{
	double lacks = task->want - task->got, wait = lacks;

	others = CB_MIN(others, 0.95);
	if (lacks < 1e-6)
		wait = WAIT_LIGHT * task->got * others / (1 - others);
	task->cpu_sec += task->got * dt;
	task->wait_sec += wait * dt;
	task->all_wait_sec += wait * dt;
	/* it sleeps when it has nothing to do, and is preempted by others */
	task->n_vol += CB_MIN(task->requests, 2000.0) * CB_MAX(1 - task->got - lacks, 0.0) * dt;
	task->n_invol += (20 + 250 * others) * task->got * dt;
}

static void run_cpu(struct plant *plant, struct plant_cpu *cpu, double dt)
{
	double user = 0, system = 0, wanted = cpu->softirq, switches = 0, stolen;

	for (uint32_t i = cpu->first; i != PLANT_NONE; i = plant->task[i].next)
		wanted += plant->task[i].want;
	share(plant, cpu, CB_MAX(1 - cpu->steal_level - cpu->softirq, 0.0));
	cpu->busy = cpu->softirq;
	for (uint32_t i = cpu->first; i != PLANT_NONE; i = plant->task[i].next)
		cpu->busy += plant->task[i].got;
	for (uint32_t i = cpu->first; i != PLANT_NONE; i = plant->task[i].next) {
		struct plant_task *task = &plant->task[i];
		double before = task->n_vol + task->n_invol;

		account_task(task, cpu->busy - task->got, dt);
		switches += task->n_vol + task->n_invol - before;
		user += task->worker ? 0.6 * task->got : task->got;
		system += task->worker ? 0.4 * task->got : 0;
		if (task->worker)
			account_worker(plant, task, dt);
	}
	/* the hypervisor takes nothing from a CPU that does nothing */
	stolen = cpu->steal_level * CB_MIN(1.0, wanted / (1 - cpu->steal_level));
	cpu->steal = CB_MIN(stolen, 1 - cpu->busy);
	cpu->seconds[CB_TIME_USER] += user * dt;
	cpu->seconds[CB_TIME_SYSTEM] += system * dt;
	cpu->seconds[CB_TIME_SOFTIRQ] += cpu->softirq * dt;
	cpu->seconds[CB_TIME_STEAL] += cpu->steal * dt;
	cpu->seconds[CB_TIME_IDLE] += CB_MAX(1 - cpu->busy - cpu->steal, 0.0) * dt;
	cpu->n_switches += 2 * switches + 20 * dt;
	cpu->window_busy += (cpu->busy + cpu->steal) * dt;
}

/* From how busy its siblings were just now. */
static void set_speeds(struct plant *plant)
{
	uint32_t smt = plant->scenario->machine.smt, cores = plant->n_cpus / smt;

	for (uint32_t i = 0; i < plant->n_cpus; i++) {
		double beside = 0;

		for (uint32_t other = i % cores; other < plant->n_cpus && smt > 1; other += cores)
			if (other != i && plant->cpu[other].online)
				beside += plant->cpu[other].busy / (smt - 1);
		plant->cpu[i].speed = plant->cpu[i].capacity_ratio * (1 - SMT_LOSS * beside);
	}
}

void plant_step(struct plant *plant, double dt)
{
	double rate[SCENARIO_GROUPS_MAX];

	for (uint32_t i = 0; i < plant->scenario->n_groups; i++)
		rate[i] = plant_rate(plant, i);
	begin_step(plant, rate);
	run_softirqs(plant, dt);
	arrive_requests(plant, rate, dt);
	want(plant, dt);
	plant_schedule(plant);
	link_tasks(plant);
	for (uint32_t i = 0; i < plant->n_cpus; i++)
		if (plant->cpu[i].online)
			run_cpu(plant, &plant->cpu[i], dt);
		else
			plant->cpu[i].busy = 0;
	set_speeds(plant);
	plant->n_steps++;
}
