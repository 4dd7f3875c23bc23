/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "plant.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define START_USEC (UINT64_C(1000) * CB_USEC_PER_SEC)

/* --- chance --- */

static uint64_t mix(uint64_t x) /* the finalizer of splitmix64 */
{
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

static uint64_t bits(const struct plant *plant, enum plant_chance chance, uint64_t who,
		     uint64_t when)
{
	uint64_t x = mix(plant->seed * UINT64_C(0x9e3779b97f4a7c15) + (uint64_t)chance + 1);

	x = mix(x + (who + 1) * UINT64_C(0x9e3779b97f4a7c15));
	return mix(x + (when + 1) * UINT64_C(0x9e3779b97f4a7c15));
}

double plant_uniform(const struct plant *plant, enum plant_chance chance, uint64_t who,
		     uint64_t when)
{
	return (double)(bits(plant, chance, who, when) >> 11) / (double)(UINT64_C(1) << 53);
}

double plant_normal(const struct plant *plant, enum plant_chance chance, uint64_t who,
		    uint64_t when)
{
	double u = 1 - plant_uniform(plant, chance, who, 2 * when);
	double v = plant_uniform(plant, chance, who, 2 * when + 1);

	return sqrt(-2 * log(u)) * cos(2 * M_PI * v);
}

uint64_t plant_elapsed_usec(const struct plant *plant)
{
	return plant->now_usec - plant->start_usec;
}

/* --- the machine --- */

/* Cores first, then their siblings, as firmware usually counts: CPU i and i + cores are one core. */
static void place_cpu(const struct scenario_machine *machine, uint32_t cpu,
		      struct cb_cpu_place *ret)
{
	uint32_t cores = machine->n_cpus / machine->smt, core = cpu % cores;
	uint32_t node_cores = cores / machine->n_nodes,
		 llc_cores = machine->llc_cpus / machine->smt;

	*ret = (struct cb_cpu_place){
		.node = (int32_t)(core / node_cores),
		.package = (int32_t)(core / node_cores),
		.llc = (int32_t)(core / llc_cores * llc_cores),
		.core = (int32_t)core,
		.capacity = machine->capacity[cpu],
	};
}

static bool build_topology(struct plant *plant)
{
	const struct scenario_machine *machine = &plant->scenario->machine;
	struct cb_topology *topology = cb_topology_new(machine->n_cpus);

	if (!topology)
		return false;
	topology->generation = plant->topology ? plant->topology->generation + 1 : 1;
	cb_cpuset_set_range(&topology->possible, 0, machine->n_cpus - 1);
	topology->isolated = machine->isolated;
	for (uint32_t i = 0; i < machine->n_cpus; i++) {
		place_cpu(machine, i, &topology->cpu[i]);
		if (plant->cpu[i].online)
			cb_cpuset_set(&topology->online, i);
	}
	topology->n_online = cb_cpuset_count(&topology->online);
	cb_topology_unref(plant->topology);
	plant->topology = topology;
	plant->topology_changed = true;
	return true;
}

static bool usable(const struct plant *plant, const struct cb_cpuset *mask)
{
	return cb_cpuset_intersects(mask, &plant->topology->online);
}

bool plant_set_task(struct plant *plant, uint32_t task, const struct cb_cpuset *mask)
{
	struct plant_task *t = &plant->task[task];

	if (!usable(plant, mask))
		return false;
	t->mask = *mask;
	if (!cb_cpuset_has(mask, (unsigned int)t->cpu) || !plant->cpu[t->cpu].online) {
		struct cb_cpuset online = cb_cpuset_and(mask, &plant->topology->online);

		t->cpu = (int32_t)cb_cpuset_first(&online);
	}
	return true;
}

bool plant_set_queue(struct plant *plant, uint32_t queue, const struct cb_cpuset *mask)
{
	struct plant_queue *q = &plant->queue[queue];
	struct cb_cpuset online = cb_cpuset_and(mask, &plant->topology->online);

	if (cb_cpuset_empty(&online))
		return false;
	q->mask = *mask;
	if (q->cpu < 0 || !cb_cpuset_has(&online, (unsigned int)q->cpu))
		q->cpu = (int32_t)cb_cpuset_first(&online);
	return true;
}

/* The @i-th CPU of a set, in turns. */
static unsigned int nth_cpu(const struct cb_cpuset *set, uint32_t i)
{
	unsigned int cpu = cb_cpuset_first(set);

	for (i %= cb_cpuset_count(set); i > 0; i--)
		cpu = cb_cpuset_next(set, cpu + 1);
	return cpu;
}

static struct cb_cpuset place_of(enum scenario_place place, const struct cb_cpuset *cpus,
				 uint32_t i)
{
	return place == SCENARIO_FLOAT ? *cpus : cb_cpuset_of(nth_cpu(cpus, i));
}

/* --- workers --- */

static void come(struct plant *plant, uint32_t index)
{
	struct plant_task *task = &plant->task[index];
	const struct scenario_group *sg = &plant->scenario->group[task->group];
	uint32_t n_alive = 0;

	plant->cells_stale = true;
	task->alive = true;
	task->back_usec = 0;
	task->key = plant->next_key++;
	task->start_ticks = plant->now_usec / 10000;
	task->original = place_of(sg->place, &sg->cpus, task->slot);
	task->cpu = (int32_t)nth_cpu(&sg->cpus, task->slot);
	if (!plant_set_task(plant, index, &task->original))
		plant_set_task(plant, index, &plant->topology->possible);
	task->home_node = plant->topology->cpu[task->cpu].node;
	task->cpu_sec = task->wait_sec = task->n_vol = task->n_invol = task->backlog = 0;
	for (uint32_t i = 0; i < sg->n_workers; i++)
		n_alive += plant->task[plant->group[task->group].first_task + i].alive;
	/* its share of those who connect again */
	for (uint32_t i = 0; i < plant->n_flows; i++) {
		struct plant_flow *flow = &plant->flow[i];

		if (flow->alive && flow->group == task->group &&
		    (flow->task == PLANT_NONE ||
		     plant_uniform(plant, CHANCE_RESPAWN, i, task->key) * n_alive < 1))
			flow->task = index;
	}
	plant->come[plant->n_come++] = index;
}

static void go(struct plant *plant, uint32_t index, uint64_t down_usec)
{
	struct plant_task *task = &plant->task[index];

	if (!task->alive)
		return;
	plant->cells_stale = true;
	task->alive = false;
	task->back_usec = plant->now_usec + down_usec;
	plant->gone_key[plant->n_gone++] = task->key;
	for (uint32_t i = 0; i < plant->n_flows; i++) {
		struct plant_flow *flow = &plant->flow[i];

		if (flow->alive && flow->task == index) {
			flow->generation++;
			flow->task = plant_pick_worker(plant, flow->group,
						       plant_uniform(plant, CHANCE_FLOW_WORKER, i,
								     flow->generation));
		}
	}
}

/* --- events --- */

static uint32_t group_named(const struct plant *plant, const char *name)
{
	uint32_t i = 0;

	while (strcmp(plant->scenario->group[i].name, name) != 0)
		i++;
	return i;
}

static void set_online(struct plant *plant, const struct cb_cpuset *cpus, bool online)
{
	uint32_t n_online = plant->topology->n_online;

	CB_CPUSET_FOREACH(cpu, cpus) {
		if (plant->cpu[cpu].online == online || (!online && n_online == 1))
			continue; /* the last one is refused */
		plant->cpu[cpu].online = online;
		n_online += online ? 1 : -1u;
	}
	if (!build_topology(plant))
		abort();
	/* a task with no CPU left may run anywhere (select_fallback_rq()), an interrupt lands on another one */
	for (uint32_t i = 0; i < plant->n_tasks; i++) {
		struct plant_task *task = &plant->task[i];
		struct cb_cpuset mask = task->mask;

		if (!plant_set_task(plant, i, &mask))
			plant_set_task(plant, i, &plant->topology->possible);
	}
	for (uint32_t i = 0; i < plant->n_queues; i++) {
		struct cb_cpuset mask = plant->queue[i].mask;

		if (!plant_set_queue(plant, i, &mask))
			plant_set_queue(plant, i, &plant->topology->online);
	}
}

/* The driver frees its interrupts and asks for new ones, which are where they were at first. */
static void set_queues(struct plant *plant, const struct scenario_event *event)
{
	for (uint32_t i = 0; i < plant->scenario->n_groups; i++)
		if (strcmp(plant->scenario->group[i].nic, event->name) == 0)
			plant->group[i].n_queues = event->count;
	for (uint32_t i = 0, n = 0; i < plant->n_queues; i++) {
		struct plant_queue *queue = &plant->queue[i];
		struct cb_cpuset mask = queue->original;

		if (strcmp(plant->scenario->nic[queue->nic].name, event->name) != 0)
			continue;
		queue->alive = n++ < event->count;
		queue->cpu = -1;
		if (!plant_set_queue(plant, i, &mask))
			plant_set_queue(plant, i, &plant->topology->online);
	}
	for (uint32_t i = 0; i < plant->n_flows; i++)
		if (plant->flow[i].alive)
			plant->flow[i].queue =
				plant_pick_queue(plant, plant->flow[i].group,
						 plant_uniform(plant, CHANCE_FLOW_QUEUE, i,
							       plant->flow[i].generation));
	plant->queues_changed = plant->cells_stale = true;
}

static void add_elephant(struct plant *plant, const struct scenario_event *event)
{
	uint32_t index = plant->n_flows++;

	plant->flow[index] = (struct plant_flow){
		.alive = true,
		.elephant = true,
		.group = group_named(plant, event->name),
		.size = event->value,
		.until_usec = event->for_usec ? plant->now_usec + event->for_usec : 0,
	};
	plant_hash_flow(plant, index);
}

static void happen(struct plant *plant, const struct scenario_event *event)
{
	struct plant_group *g;
	uint32_t first;

	switch (event->happening) {
	case SCENARIO_RATE:
		g = &plant->group[group_named(plant, event->name)];
		g->factor_from = g->factor;
		g->factor_to = event->value;
		g->ramp_usec = plant->now_usec;
		g->ramp_for_usec = event->over_usec;
		return;
	case SCENARIO_ELEPHANT:
		add_elephant(plant, event);
		return;
	case SCENARIO_RESPAWN:
		first = group_named(plant, event->name);
		for (uint32_t i = 0;
		     i < CB_MIN(event->count, plant->scenario->group[first].n_workers); i++)
			go(plant, plant->group[first].first_task + i, event->over_usec);
		return;
	case SCENARIO_REPIN:
		first = plant->group[group_named(plant, event->name)].first_task;
		if (plant->task[first + event->count].alive)
			plant_set_task(plant, first + event->count, &event->cpus);
		return;
	case SCENARIO_QUEUES:
		set_queues(plant, event);
		return;
	case SCENARIO_OFFLINE:
	case SCENARIO_ONLINE:
		set_online(plant, &event->cpus, event->happening == SCENARIO_ONLINE);
		return;
	case SCENARIO_STEAL:
		CB_CPUSET_FOREACH(cpu, &event->cpus)
			plant->cpu[cpu].steal_level = event->value;
		return;
	case _SCENARIO_HAPPENING_MAX:
		return;
	}
}

static void batches(struct plant *plant)
{
	for (uint32_t i = plant->n_workers; i < plant->n_tasks; i++) {
		struct plant_task *task = &plant->task[i];
		const struct scenario_batch *batch = &plant->scenario->batch[task->group];
		uint64_t now = plant_elapsed_usec(plant);

		task->alive = now >= batch->from_usec &&
			      (!batch->for_usec || now < batch->from_usec + batch->for_usec);
		task->noise = 1 + batch->noise_ratio *
					  plant_normal(plant, CHANCE_NOISE, i, plant->n_windows);
		task->noise = CB_MAX(task->noise, 0.0);
	}
}

/* What changes from window to window by chance and by the day. */
static void vary(struct plant *plant)
{
	for (uint32_t i = 0; i < plant->scenario->n_groups; i++) {
		struct plant_group *g = &plant->group[i];
		const struct scenario_group *sg = &plant->scenario->group[i];
		uint64_t since = plant->now_usec - g->ramp_usec;
		double rho = exp(-1e6 / (double)sg->drift_usec), part = 1;

		g->drift = rho * g->drift +
			   sqrt(1 - rho * rho) * sg->drift_ratio *
				   plant_normal(plant, CHANCE_DRIFT, i, plant->n_windows);
		if (since < g->ramp_for_usec)
			part = (double)since / (double)g->ramp_for_usec;
		g->factor = g->factor_from + part * (g->factor_to - g->factor_from);
		plant_churn(plant, i);
	}
	for (uint32_t i = 0; i < plant->n_workers; i++) {
		double sigma = plant->scenario->group[plant->task[i].group].noise_ratio;

		plant->task[i].noise =
			exp(sigma * plant_normal(plant, CHANCE_NOISE, i, plant->n_windows) -
			    sigma * sigma / 2);
	}
	batches(plant);
}

double plant_rate(const struct plant *plant, uint32_t group)
{
	const struct scenario_group *sg = &plant->scenario->group[group];
	const struct plant_group *g = &plant->group[group];
	double phase = fmod((double)plant_elapsed_usec(plant), (double)sg->day_usec) /
		       (double)sg->day_usec;
	double day = sg->day_low_ratio + (1 - sg->day_low_ratio) * (1 - cos(2 * M_PI * phase)) / 2;

	return CB_MAX(sg->rate_per_sec * g->factor * day * (1 + g->drift), 0.0);
}

void plant_window(struct plant *plant)
{
	const struct scenario *scenario = plant->scenario;

	plant->topology_changed = plant->queues_changed = false;
	plant->n_gone = plant->n_come = 0;
	while (plant->n_happened < scenario->n_events &&
	       scenario->event[plant->n_happened].at_usec <= plant_elapsed_usec(plant))
		happen(plant, &scenario->event[plant->n_happened++]);
	for (uint32_t i = 0; i < plant->n_workers; i++)
		if (!plant->task[i].alive && plant->task[i].back_usec &&
		    plant->task[i].back_usec <= plant->now_usec)
			come(plant, i);
	for (uint32_t i = 0; i < plant->n_flows; i++)
		if (plant->flow[i].alive && plant->flow[i].until_usec &&
		    plant->flow[i].until_usec <= plant->now_usec) {
			plant->flow[i].alive = false;
			plant->cells_stale = true;
		}
	vary(plant);
	for (uint32_t i = 0; i < plant->n_cpus; i++)
		plant->cpu[i].window_busy = 0;
	if (plant->cells_stale)
		plant_make_cells(plant);
	for (uint32_t i = 0; i < PLANT_STEPS; i++)
		plant_step(plant, 1.0 / PLANT_STEPS);
	plant->n_windows++;
	plant->now_usec += CB_USEC_PER_SEC;
}

/* --- life --- */

static void init_queues(struct plant *plant)
{
	const struct scenario *scenario = plant->scenario;

	for (uint32_t i = 0; i < scenario->n_nics; i++) {
		const struct scenario_nic *nic = &scenario->nic[i];

		for (uint32_t j = 0; j < scenario->n_groups; j++)
			if (strcmp(scenario->group[j].nic, nic->name) == 0) {
				plant->group[j].first_queue = plant->n_queues;
				plant->group[j].n_queues = nic->n_queues;
			}
		for (uint32_t j = 0; j < nic->n_queues; j++) {
			struct plant_queue *queue = &plant->queue[plant->n_queues];

			*queue = (struct plant_queue){
				.nic = i, .irq = nic->irq + j, .alive = true, .cpu = -1
			};
			queue->original = cb_cpuset_of(nth_cpu(&nic->cpus, j));
			if (!plant_set_queue(plant, plant->n_queues, &queue->original))
				plant_set_queue(plant, plant->n_queues, &plant->topology->online);
			plant->n_queues++;
		}
	}
}

static void init_tasks(struct plant *plant)
{
	const struct scenario *scenario = plant->scenario;

	for (uint32_t i = 0; i < scenario->n_groups; i++) {
		plant->group[i].first_task = plant->n_tasks;
		plant->group[i].factor = plant->group[i].factor_from = 1;
		plant->group[i].factor_to = 1;
		for (uint32_t j = 0; j < scenario->group[i].n_workers; j++) {
			struct plant_task *task = &plant->task[plant->n_tasks++];

			*task = (struct plant_task){
				.worker = true, .group = i, .slot = j, .weight = 1024, .noise = 1
			};
		}
	}
	plant->n_workers = plant->n_tasks;
	for (uint32_t i = 0; i < plant->n_workers; i++)
		come(plant, i);
	for (uint32_t i = 0; i < scenario->n_batches; i++)
		for (uint32_t j = 0; j < scenario->batch[i].count; j++) {
			struct plant_task *task = &plant->task[plant->n_tasks];

			*task = (struct plant_task){ .group = i,
						     .slot = j,
						     .weight = scenario->batch[i].weight };
			task->original =
				place_of(scenario->batch[i].place, &scenario->batch[i].cpus, j);
			task->cpu = (int32_t)nth_cpu(&scenario->batch[i].cpus, j);
			if (!plant_set_task(plant, plant->n_tasks, &task->original))
				plant_set_task(plant, plant->n_tasks, &plant->topology->possible);
			task->home_node = plant->topology->cpu[task->cpu].node;
			plant->n_tasks++;
		}
}

static bool allocate(struct plant *plant)
{
	const struct scenario *scenario = plant->scenario;
	uint32_t tasks = 0, workers = 0, queues = 0, flows = SCENARIO_EVENTS_MAX;

	for (uint32_t i = 0; i < scenario->n_groups; i++) {
		workers += scenario->group[i].n_workers;
		flows += scenario->group[i].n_flows;
	}
	tasks = workers;
	for (uint32_t i = 0; i < scenario->n_batches; i++)
		tasks += scenario->batch[i].count;
	for (uint32_t i = 0; i < scenario->n_nics; i++)
		queues += scenario->nic[i].n_queues;
	plant->cpu = calloc(plant->n_cpus, sizeof(*plant->cpu));
	plant->task = calloc(tasks, sizeof(*plant->task));
	plant->queue = calloc(queues + 1, sizeof(*plant->queue));
	plant->flow = calloc(flows, sizeof(*plant->flow));
	plant->cell = calloc(flows, sizeof(*plant->cell));
	plant->cell_of = calloc((size_t)(queues + 1) * (workers + scenario->n_groups),
				sizeof(*plant->cell_of));
	/* each event of a window may send all away */
	plant->gone_key = calloc(workers, sizeof(*plant->gone_key));
	plant->come = calloc(workers, sizeof(*plant->come));
	return plant->cpu && plant->task && plant->queue && plant->flow && plant->cell &&
	       plant->cell_of && plant->gone_key && plant->come;
}

struct plant *plant_new(const struct scenario *scenario, uint64_t seed)
{
	struct plant *plant = calloc(1, sizeof(*plant));

	if (!plant)
		return NULL;
	plant->scenario = scenario;
	plant->seed = seed;
	plant->start_usec = plant->now_usec = START_USEC;
	plant->n_cpus = scenario->machine.n_cpus;
	plant->next_key = 1;
	if (!allocate(plant))
		return plant_free(plant);
	for (uint32_t i = 0; i < plant->n_cpus; i++) {
		double capacity = scenario->machine.capacity[i];

		plant->cpu[i].online = !cb_cpuset_has(&scenario->machine.offline, i);
		plant->cpu[i].capacity_ratio = plant->cpu[i].speed = capacity / CB_CAPACITY_FULL;
	}
	if (!build_topology(plant))
		return plant_free(plant);
	init_queues(plant);
	init_tasks(plant);
	for (uint32_t i = 0; i < scenario->n_groups; i++)
		for (uint32_t j = 0; j < scenario->group[i].n_flows; j++) {
			plant->flow[plant->n_flows].group = i;
			plant_begin_flow(plant, plant->n_flows++);
		}
	return plant;
}

struct plant *plant_free(struct plant *plant)
{
	if (!plant)
		return NULL;
	cb_topology_unref(plant->topology);
	free(plant->cpu);
	free(plant->task);
	free(plant->queue);
	free(plant->flow);
	free(plant->cell);
	free(plant->cell_of);
	free(plant->gone_key);
	free(plant->come);
	free(plant);
	return NULL;
}
