/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The engine as the daemon drives it: policy, topology, interrupts, groups and workers at first, then in each second what has happened and
 * one snapshot; whatever it decides is done at once and answered with the outcome. The inputs are the real ones, so a recorded run
 * replays with `cpubalanced --replay`.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

#define USER_HZ 100u
/* Answers to one input: apply, undo, and a release at most. */
#define ROUNDS_MAX 8u

struct sim_engine {
	struct sim *sim;
	struct cb_engine *engine;
	struct cb_trace_writer *trace;
	struct cb_snapshot snapshot;
	struct cb_irqs *irqs;
	bool *queue_placed;
	uint64_t *hwirq; /* [n_queues], another one after a reset */
	struct cb_outcome outcome;
	struct cb_decision decision;
};

/* --- obeying --- */

static uint32_t task_of(const struct plant *plant, uint32_t key)
{
	for (uint32_t i = 0; i < plant->n_workers; i++)
		if (plant->task[i].alive && plant->task[i].key == key)
			return i;
	return PLANT_NONE;
}

static uint32_t queue_of(const struct plant *plant, uint32_t irq)
{
	for (uint32_t i = 0; i < plant->n_queues; i++)
		if (plant->queue[i].alive && plant->queue[i].irq == irq)
			return i;
	return PLANT_NONE;
}

static void write_step(struct sim_engine *se, struct cb_step *step)
{
	struct plant *plant = se->sim->plant;
	const struct cb_plan *plan = cb_engine_plan(se->engine);
	bool restore = step->op == CB_OP_RESTORE, worker = step->item.kind == CB_ITEM_WORKER, good;
	/* what had been placed before goes back to that place, not to its original */
	bool undo = restore || (plan && plan->state == CB_PLAN_UNDOING);
	uint32_t index = worker ? task_of(plant, step->item.key) : queue_of(plant, step->item.key);

	if (index == PLANT_NONE) {
		step->state = CB_STEP_GONE;
		step->error_class = CB_ERROR_GONE;
		return;
	}
	if (worker) {
		good = sim_set_task(se->sim, index,
				    restore ? &plant->task[index].original : &step->to, undo);
	} else {
		good = sim_set_queue(se->sim, index,
				     restore ? &plant->queue[index].original : &step->to, undo);
		se->queue_placed[index] = !restore;
	}
	step->state = good ? CB_STEP_DONE : CB_STEP_FAILED;
	if (!good) {
		step->errnum = EINVAL;
		step->error_class = CB_ERROR_TRANSIENT;
	}
}

static void obey(struct sim_engine *se, const struct cb_decision *decision)
{
	/* nothing here orders a release: no command is ever given */
	if (decision->action != CB_ACTION_APPLY)
		abort();
	se->outcome.plan_id = decision->plan_id;
	se->outcome.n_steps = decision->n_steps;
	for (uint32_t i = 0; i < decision->n_steps; i++) {
		se->outcome.step[i] = decision->step[i];
		write_step(se, &se->outcome.step[i]);
	}
}

static void tell(const struct sim_engine *se)
{
	FILE *to = se->sim->params->windows;

	for (uint32_t i = 0; to && i < se->decision.n_notices; i++)
		fprintf(to, "  %6.0f s  %s: %s\n",
			(double)(plant_elapsed_usec(se->sim->plant)) / 1e6,
			cb_notice_kind_name(se->decision.notice[i].kind),
			se->decision.notice[i].sentence);
}

static int feed_one(struct sim_engine *se, const struct cb_input *input)
{
	int r;

	if (se->trace) {
		r = cb_trace_input(se->trace, input);
		if (r < 0)
			return r;
	}
	r = cb_engine_feed(se->engine, input, &se->decision);
	if (r < 0)
		return r;
	tell(se);
	return se->trace ? cb_trace_decision(se->trace, &se->decision) : 0;
}

static int feed(struct sim_engine *se, struct cb_input *input)
{
	struct cb_input answer = { .kind = CB_INPUT_OUTCOME, .outcome = &se->outcome };
	int r;

	input->now_usec = answer.now_usec = se->sim->plant->now_usec;
	r = feed_one(se, input);
	for (uint32_t i = 0; r == 0 && se->decision.action != CB_ACTION_NONE; i++) {
		if (i == ROUNDS_MAX)
			return -ELOOP;
		obey(se, &se->decision);
		r = feed_one(se, &answer);
	}
	return r;
}

static int feed_event(struct sim_engine *se, const struct cb_event *event)
{
	struct cb_input input = { .kind = CB_INPUT_EVENT, .event = event };

	return feed(se, &input);
}

/* --- what there is --- */

static int feed_topology(struct sim_engine *se)
{
	struct cb_input input = { .kind = CB_INPUT_TOPOLOGY, .topology = se->sim->plant->topology };

	return feed(se, &input);
}

static int feed_irqs(struct sim_engine *se)
{
	struct cb_input input = { .kind = CB_INPUT_IRQS, .irqs = se->irqs };
	const struct plant *plant = se->sim->plant;

	se->irqs->generation++;
	se->irqs->n = 0;
	for (uint32_t i = 0; i < plant->n_queues; i++) {
		const struct plant_queue *queue = &plant->queue[i];
		const struct scenario_nic *nic = &plant->scenario->nic[queue->nic];
		struct cb_irq_info *info = &se->irqs->irq[se->irqs->n];

		if (!queue->alive)
			continue;
		se->irqs->n++;
		*info = (struct cb_irq_info){
			.irq = queue->irq,
			.class = CB_IRQ_NETWORK,
			.writable = true,
			.node = nic->node,
			.hwirq = se->hwirq[i],
			.affinity = queue->mask,
			.placed = se->queue_placed[i],
		};
		snprintf(info->ifname, sizeof(info->ifname), "%.15s", nic->name);
		snprintf(info->actions, sizeof(info->actions), "%s-TxRx-%u", nic->name,
			 queue->irq - nic->irq);
	}
	return feed(se, &input);
}

static int feed_groups(struct sim_engine *se)
{
	const struct scenario *scenario = se->sim->plant->scenario;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < scenario->n_groups; i++) {
		const struct scenario_group *group = &scenario->group[i];
		struct cb_event event = { .kind = CB_EVENT_GROUP_ADDED, .group_key = i + 1 };

		snprintf(event.group.name, sizeof(event.group.name), "%s", group->name);
		snprintf(event.group.interfaces, sizeof(event.group.interfaces), "%s",
			 group->nic[0] ? group->nic : "none");
		event.group.has_allowed = !cb_cpuset_empty(&group->allowed);
		event.group.allowed_cpus = group->allowed;
		r = feed_event(se, &event);
	}
	return r;
}

/* Who went first, then who came. */
static int feed_workers(struct sim_engine *se)
{
	const struct plant *plant = se->sim->plant;
	int r = 0;

	for (uint32_t i = 0; r == 0 && i < plant->n_gone; i++) {
		struct cb_event event = { .kind = CB_EVENT_WORKER_GONE,
					  .worker_key = plant->gone_key[i] };

		r = feed_event(se, &event);
	}
	for (uint32_t i = 0; r == 0 && i < plant->n_come; i++) {
		const struct plant_task *task = &plant->task[plant->come[i]];
		struct cb_event event = {
			.kind = CB_EVENT_WORKER_ADDED,
			.worker = { .key = task->key,
				    .group_key = task->group + 1,
				    .pid = (int32_t)(1000 + task->key),
				    .start_ticks = task->start_ticks,
				    .original = task->mask },
		};

		snprintf(event.worker.comm, sizeof(event.worker.comm), "%.15s",
			 plant->scenario->group[task->group].name);
		memset(&event.worker.cpuset, 0xff, sizeof(event.worker.cpuset));
		r = feed_event(se, &event);
	}
	return r;
}

/* --- the snapshot --- */

static void sample_cpus(struct cb_snapshot *s, const struct plant *plant)
{
	s->n_cpus = plant->n_cpus;
	s->ctxt = s->intr_total = 0;
	s->procs_running = 0;
	for (uint32_t i = 0; i < plant->n_cpus; i++) {
		const struct plant_cpu *cpu = &plant->cpu[i];
		struct cb_cpu_sample *sample = &s->cpu[i];

		*sample = (struct cb_cpu_sample){ 0 };
		s->ctxt += (uint64_t)cpu->n_switches;
		s->intr_total += (uint64_t)cpu->n_softirqs;
		if (!cpu->online)
			continue;
		sample->present = CB_CPU_HAS_TIMES | CB_CPU_HAS_SOFTIRQS | CB_CPU_HAS_CTXSW |
				  CB_CPU_HAS_SOFTNET;
		for (int t = 0; t < _CB_TIME_MAX; t++)
			sample->time_ticks[t] = (uint64_t)(cpu->seconds[t] * USER_HZ);
		sample->softirqs[CB_SOFTIRQ_NET_RX] = (uint64_t)cpu->n_softirqs;
		sample->softirqs[CB_SOFTIRQ_TIMER] =
			(uint64_t)(plant->n_windows * USER_HZ * cpu->busy);
		sample->ctxsw = (uint64_t)cpu->n_switches;
		sample->softnet_dropped = (uint64_t)cpu->n_dropped;
	}
}

static void sample_workers(struct cb_snapshot *s, const struct plant *plant)
{
	s->n_workers = 0;
	for (uint32_t i = 0; i < plant->n_workers; i++) {
		const struct plant_task *task = &plant->task[i];

		if (!task->alive)
			continue;
		s->procs_running += task->got > 0.5;
		s->worker[s->n_workers++] = (struct cb_worker_sample){
			.key = task->key,
			.present = CB_WORKER_HAS_CPU | CB_WORKER_HAS_WAIT | CB_WORKER_HAS_SWITCHES |
				   CB_WORKER_HAS_THREADS | CB_WORKER_HAS_LAST_CPU |
				   CB_WORKER_HAS_MASK | CB_WORKER_HAS_FDS,
			.cpu_nsec = (uint64_t)(task->cpu_sec * 1e9),
			.wait_nsec = (uint64_t)(task->wait_sec * 1e9),
			.vol_switches = (uint64_t)task->n_vol,
			.invol_switches = (uint64_t)task->n_invol,
			.n_threads = 1,
			.last_cpu = task->cpu,
			.n_fds = 8 + task->n_flows,
			/* the kernel shows what is online of it */
			.mask = cb_cpuset_and(&task->mask, &plant->topology->online),
		};
	}
}

static void sample(struct sim_engine *se)
{
	const struct plant *plant = se->sim->plant;
	struct cb_snapshot *s = &se->snapshot;

	s->time_usec = plant->now_usec;
	s->topology_generation = plant->topology->generation;
	s->valid = (1u << _CB_SOURCE_MAX) - 1;
	s->user_hz = USER_HZ;
	sample_cpus(s, plant);
	sample_workers(s, plant);
	s->n_irqs = 0;
	for (uint32_t i = 0; i < plant->n_queues; i++)
		if (plant->queue[i].alive)
			s->irq[s->n_irqs++] = (struct cb_irq_sample){
				.irq = plant->queue[i].irq,
				.effective_cpu = plant->queue[i].cpu,
				.count = (uint64_t)plant->queue[i].n_interrupts,
			};
	s->n_groups = plant->scenario->n_groups;
	for (uint32_t i = 0; i < s->n_groups; i++)
		s->group[i] = (struct cb_group_sample){
			.key = i + 1,
			.present = CB_GROUP_HAS_PACKETS,
			.packets = (uint64_t)(plant->group[i].n_served *
					      plant->scenario->group[i].packets),
		};
}

static void reset_queues(struct sim_engine *se)
{
	for (uint32_t i = 0; i < se->sim->plant->n_queues; i++) {
		se->queue_placed[i] = false;
		se->hwirq[i] += se->sim->plant->n_queues;
	}
}

int sim_engine_window(struct sim *sim)
{
	struct sim_engine *se = sim->engine;
	struct cb_input input = { .kind = CB_INPUT_SNAPSHOT, .snapshot = &se->snapshot };
	int r = feed_workers(se);

	if (r == 0 && sim->plant->topology_changed)
		r = feed_topology(se);
	if (r == 0 && sim->plant->queues_changed) {
		reset_queues(se);
		r = feed_irqs(se);
	}
	if (r < 0)
		return r;
	sample(se);
	return feed(se, &input);
}

void sim_engine_totals(const struct sim *sim, struct cb_totals *ret)
{
	cb_engine_totals(sim->engine->engine, ret);
}

/* --- life --- */

static int first_inputs(struct sim_engine *se)
{
	struct cb_input policy = { .kind = CB_INPUT_POLICY,
				   .policy = &se->sim->plant->scenario->policy };
	struct cb_event irqbalance = { .kind = CB_EVENT_IRQBALANCE, .present = true };
	int r = feed(se, &policy);

	if (r == 0)
		r = feed_topology(se);
	if (r == 0)
		r = feed_irqs(se);
	if (r == 0 && se->sim->params->policy == SIM_BOTH)
		r = feed_event(se, &irqbalance);
	if (r == 0)
		r = feed_groups(se);
	return r == 0 ? feed_workers(se) : r;
}

int sim_engine_new(struct sim *sim, struct cb_err *err)
{
	const struct plant *plant = sim->plant;
	struct sim_engine *se = calloc(1, sizeof(*se));
	int r;

	if (!se)
		return -ENOMEM;
	sim->engine = se;
	se->sim = sim;
	se->engine = cb_engine_new(1);
	se->irqs = calloc(1, sizeof(*se->irqs) + plant->n_queues * sizeof(se->irqs->irq[0]));
	se->queue_placed = calloc(plant->n_queues + 1, sizeof(*se->queue_placed));
	se->hwirq = calloc(plant->n_queues + 1, sizeof(*se->hwirq));
	if (!se->engine || !se->irqs || !se->queue_placed || !se->hwirq)
		return -ENOMEM;
	for (uint32_t i = 0; i < plant->n_queues; i++)
		se->hwirq[i] = i + 1;
	r = cb_snapshot_reserve(&se->snapshot, plant->n_cpus, plant->n_queues, plant->n_workers,
				plant->scenario->n_groups);
	if (r == 0 && sim->params->record)
		r = cb_trace_create(sim->params->record, 1, &se->trace, err);
	return r == 0 ? first_inputs(se) : r;
}

void sim_engine_free(struct sim *sim)
{
	struct sim_engine *se = sim->engine;

	if (!se)
		return;
	cb_engine_free(se->engine);
	cb_trace_close(se->trace);
	cb_snapshot_done(&se->snapshot);
	free(se->irqs);
	free(se->queue_placed);
	free(se->hwirq);
	free(se);
	sim->engine = NULL;
}
