/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "world.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HZ		    100u
#define PACKETS_PER_CPU_SEC 40000.0
#define WORLD_IRQ_FIRST	    40u

static double uniform(struct world *world) /* -1..1 */
{
	world->seed = world->seed * 1664525u + 1013904223u;
	return (double)(world->seed >> 8) / (double)(1u << 23) - 1.0;
}

/* Standard normal by the central limit (Irwin-Hall, 12 terms of variance 1/12 each). */
static double normal(struct world *world)
{
	double sum = 0;

	for (int i = 0; i < 12; i++)
		sum += uniform(world) / 2;
	return sum;
}

static void add_worker(struct world *world, uint32_t index, uint32_t group_key,
		       uint64_t start_ticks, const char *comm)
{
	struct cb_event event = {
		.kind = CB_EVENT_WORKER_ADDED,
		.worker = { .key = index + 1,
			    .group_key = group_key,
			    .pid = (int32_t)(1000 + index),
			    .start_ticks = start_ticks,
			    .original = world->worker[index].mask },
	};

	snprintf(event.worker.comm, sizeof(event.worker.comm), "%s", comm);
	memset(&event.worker.cpuset, 0xff, sizeof(event.worker.cpuset));
	world_event(world, &event);
}

uint32_t world_add_worker(struct world *world, uint32_t group_key, unsigned int cpu, double demand,
			  uint64_t start_ticks)
{
	uint32_t index = world->n_workers++;

	assert_true(world->n_workers <= WORLD_WORKERS);
	world->worker[index] = (struct world_worker){ .alive = true,
						      .demand = demand,
						      .mask = cb_cpuset_of(cpu),
						      .original = cb_cpuset_of(cpu),
						      .incoming_cpu = -1 };
	add_worker(world, index, group_key, start_ticks, "");
	return index;
}

void world_policy(struct world *world)
{
	struct cb_input input = { .kind = CB_INPUT_POLICY,
				  .now_usec = world->now_usec,
				  .policy = &world->policy };

	world_feed(world, &input);
}

void world_topology(struct world *world)
{
	struct cb_input input = { .kind = CB_INPUT_TOPOLOGY,
				  .now_usec = world->now_usec,
				  .topology = world->topology };

	world_feed(world, &input);
}

void world_init(struct world *world, uint32_t n_cpus, uint32_t n_workers)
{
	struct cb_event group = { .kind = CB_EVENT_GROUP_ADDED,
				  .group_key = 1,
				  .group = { .name = "web" } };

	memset(world, 0, sizeof(*world));
	assert_true(n_cpus <= WORLD_CPUS && n_workers <= WORLD_WORKERS);
	world->engine = cb_engine_new(1);
	assert_non_null(world->engine);
	cb_policy_init(&world->policy);
	world->policy.quiet_start_usec = 0;
	world->now_usec = 1000 * CB_USEC_PER_SEC;
	world->n_cpus = n_cpus;
	world->n_workers = n_workers;
	world->load_factor = 1;
	world->seed = 1;
	world_policy(world);

	world->topology = cb_topology_new(n_cpus);
	assert_non_null(world->topology);
	cb_cpuset_set_range(&world->topology->possible, 0, n_cpus - 1);
	world->topology->online = world->topology->possible;
	world->topology->n_online = n_cpus;
	world_topology(world);
	assert_int_equal(
		cb_snapshot_reserve(&world->snapshot, n_cpus, WORLD_IRQS, WORLD_WORKERS, 1), 0);
	world_event(world, &group);
	for (uint32_t i = 0; i < n_cpus; i++)
		world->efficiency[i] = 1;
	for (uint32_t i = 0; i < n_workers; i++) {
		world->worker[i] = (struct world_worker){ .alive = true,
							  .demand = 0.5,
							  .mask = cb_cpuset_of(0),
							  .incoming_cpu = -1,
							  .original = cb_cpuset_of(0) };
		add_worker(world, i, 1, 77, "worker");
	}
}

void world_init_queues(struct world *world, uint32_t n)
{
	world_init(world, 4, n);
	world->noise_ratio = 0.02;
	world->n_irqs = n;
	for (uint32_t i = 0; i < n; i++) {
		world->worker[i].mask = world->worker[i].original = cb_cpuset_of(i);
		world->worker[i].demand = 0.4;
		world->irq[i] = (struct world_irq){ .cpu = (int32_t)i,
						    .original = (int32_t)i,
						    .softirq_ratio = 0.2,
						    .dir = CB_QUEUE_BOTH };
	}
	world_irqs(world);
}

void world_done(struct world *world)
{
	world->engine = cb_engine_free(world->engine);
	cb_snapshot_done(&world->snapshot);
	world->topology = cb_topology_unref(world->topology);
}

/* --- obeying --- */

static void write_queue(struct world *world, struct cb_step *step)
{
	step->state = world->fail_errno ? CB_STEP_FAILED : CB_STEP_DONE;
	step->errnum = world->fail_errno;
	step->error_class = world->fail_class;
	if (!world->fail_errno)
		world->rps = step->op == CB_OP_RESTORE ? world->rps_original : step->to;
}

static void write_irq(struct world *world, struct cb_step *step)
{
	uint32_t index = step->item.kind == CB_ITEM_IRQ ? step->item.key - WORLD_IRQ_FIRST :
							  step->item.key % CB_QUEUE_NUMBERS;
	bool back = step->op == CB_OP_RESTORE;

	if (index >= world->n_irqs) {
		step->state = CB_STEP_GONE;
		step->error_class = CB_ERROR_GONE;
		return;
	}
	step->state = world->fail_errno ? CB_STEP_FAILED : CB_STEP_DONE;
	step->errnum = world->fail_errno;
	step->error_class = world->fail_class;
	if (world->fail_errno)
		return;
	if (step->item.kind == CB_ITEM_XPS)
		world->irq[index].xps = back ? world->irq[index].xps_original : step->to;
	else
		world->irq[index].cpu = back ? world->irq[index].original :
					       (int32_t)cb_cpuset_first(&step->to);
}

static void write_step(struct world *world, struct cb_step *step)
{
	uint32_t index = step->item.key - 1;

	if (step->item.kind == CB_ITEM_RPS) {
		write_queue(world, step);
		return;
	}
	if (step->item.kind == CB_ITEM_RFS) {
		world->flows = step->op == CB_OP_SET ? step->share_to : 0;
		step->state = CB_STEP_DONE;
		return;
	}
	if (step->item.kind == CB_ITEM_IRQ || step->item.kind == CB_ITEM_XPS) {
		write_irq(world, step);
		return;
	}
	if (index >= world->n_workers || !world->worker[index].alive) {
		step->state = CB_STEP_GONE;
		step->error_class = CB_ERROR_GONE;
		return;
	}
	if (cb_item_steers(step->item.kind) && step->op == CB_OP_SET &&
	    world->refuse_steering != CB_REJECT_NONE) {
		step->state = CB_STEP_FAILED;
		step->error_class = CB_ERROR_PERMANENT;
		step->reject = world->refuse_steering;
		return;
	}
	if (world->fail_errno) {
		step->state = CB_STEP_FAILED;
		step->errnum = world->fail_errno;
		step->error_class = world->fail_class;
		return;
	}
	step->state = CB_STEP_DONE;
	if (step->item.kind == CB_ITEM_SHARE) {
		world->shared = step->op == CB_OP_SET;
		world->worker[index].share = step->share_to;
		return;
	}
	if (step->item.kind == CB_ITEM_LISTENER) {
		world->worker[index].incoming_cpu =
			step->op == CB_OP_SET ? (int32_t)cb_cpuset_first(&step->to) : -1;
		return;
	}
	assert_false(cb_cpuset_empty(&step->to));
	assert_true(cb_cpuset_subset(&step->to, &world->topology->possible));
	world->worker[index].mask = step->op == CB_OP_RESTORE ? world->worker[index].original :
								step->to;
}

static void obey(struct world *world, const struct cb_decision *decision, struct cb_outcome *ret)
{
	*ret = (struct cb_outcome){ .plan_id = decision->plan_id };
	if (decision->action == CB_ACTION_RELEASE) {
		world->n_releases++;
		world->shared = false;
		world->rps = world->rps_original;
		for (uint32_t i = 0; i < world->n_irqs; i++) {
			world->irq[i].cpu = world->irq[i].original;
			world->irq[i].xps = world->irq[i].xps_original;
		}
		for (uint32_t i = 0; i < world->n_workers; i++) {
			ret->n_restored += !cb_cpuset_equal(&world->worker[i].mask,
							    &world->worker[i].original);
			world->worker[i].mask = world->worker[i].original;
		}
		return;
	}
	world->n_applies++;
	ret->n_steps = decision->n_steps;
	for (uint32_t i = 0; i < decision->n_steps; i++) {
		ret->step[i] = decision->step[i];
		write_step(world, &ret->step[i]);
	}
}

static void take_notices(struct world *world, const struct cb_decision *decision)
{
	for (uint32_t i = 0; i < decision->n_notices; i++) {
		const struct cb_notice *notice = &decision->notice[i];

		world->n_notices[notice->kind]++;
		if (notice->kind == CB_NOTICE_FINDING_BEGAN ||
		    notice->kind == CB_NOTICE_FINDING_ENDED)
			world->last_finding = *notice;
		if (notice->kind != CB_NOTICE_PLAN_ENDED)
			continue;
		world->last_verdict = notice->verdict;
		memcpy(world->last_sentence, notice->sentence, sizeof(world->last_sentence));
	}
}

struct cb_decision world_feed(struct world *world, const struct cb_input *input)
{
	struct cb_decision first;
	uint32_t rounds = 0;

	assert_int_equal(cb_engine_feed(world->engine, input, &first), 0);
	world->last = first;
	take_notices(world, &world->last);
	while (world->last.action != CB_ACTION_NONE) {
		struct cb_outcome outcome;
		struct cb_input answer = { .kind = CB_INPUT_OUTCOME,
					   .now_usec = world->now_usec,
					   .outcome = &outcome };

		assert_true(rounds++ < 4);
		obey(world, &world->last, &outcome);
		assert_int_equal(cb_engine_feed(world->engine, &answer, &world->last), 0);
		take_notices(world, &world->last);
	}
	return first;
}

struct cb_decision world_command(struct world *world, const struct cb_command *command)
{
	struct cb_input input = { .kind = CB_INPUT_COMMAND,
				  .now_usec = world->now_usec,
				  .command = command };

	return world_feed(world, &input);
}

void world_event(struct world *world, const struct cb_event *event)
{
	struct cb_input input = { .kind = CB_INPUT_EVENT,
				  .now_usec = world->now_usec,
				  .event = event };

	world_feed(world, &input);
}

/* --- the machine --- */

static double demand_of(const struct world *world, const struct world_worker *worker)
{
	double share = 1;

	if (world->shared)
		share = (double)worker->share * world->n_workers / CB_SHARES;
	return CB_MAX(worker->demand * share * world->load_factor * (1 + world->drift), 0.0);
}

/* What receiving takes of a CPU: a quarter stays where the packets come in, at CPU 0. */
static double softirq_on(const struct world *world, uint32_t cpu)
{
	struct cb_cpuset at = cb_cpuset_empty(&world->rps) ? cb_cpuset_of(0) : world->rps;
	double share = cb_cpuset_has(&at, cpu) ? 0.75 / cb_cpuset_count(&at) : 0;

	share = world->softirq_ratio * (share + (cpu == 0 ? 0.25 : 0));
	for (uint32_t i = 0; i < world->n_irqs; i++)
		share += world->irq[i].cpu == (int32_t)cpu ? world->irq[i].softirq_ratio : 0;
	return share;
}

/* The scheduler: pinned ones first, then each floating one to the emptiest CPU of its mask. */
static void schedule(struct world *world, double *load)
{
	for (uint32_t cpu = 0; cpu < world->n_cpus; cpu++)
		load[cpu] = world->batch[cpu] + softirq_on(world, cpu);
	for (int floating = 0; floating <= 1; floating++) {
		for (uint32_t i = 0; i < world->n_workers; i++) {
			struct world_worker *worker = &world->worker[i];
			int32_t best = -1;

			if (!worker->alive || (cb_cpuset_count(&worker->mask) > 1) != floating)
				continue;
			CB_CPUSET_FOREACH(cpu, &worker->mask)
				if (cb_cpuset_has(&world->topology->online, cpu) &&
				    (best < 0 || load[cpu] < load[best]))
					best = (int32_t)cpu;
			assert_true(best >= 0);
			worker->cpu = best;
			load[best] += demand_of(world, worker);
		}
	}
}

static bool placed(const struct world *world)
{
	for (uint32_t i = 0; i < world->n_workers; i++)
		if (!cb_cpuset_equal(&world->worker[i].mask, &world->worker[i].original))
			return true;
	return false;
}

static void run_workers(struct world *world, const double *load)
{
	double served = 0;

	for (uint32_t i = 0; i < world->n_workers; i++) {
		struct world_worker *worker = &world->worker[i];
		double demand = demand_of(world, worker), got;

		if (!worker->alive)
			continue;
		got = load[worker->cpu] > 1 ? demand / load[worker->cpu] : demand;
		worker->cpu_nsec += (uint64_t)(got * 1e9);
		worker->wait_nsec += (uint64_t)((demand - got) * 1e9);
		served += got * world->efficiency[worker->cpu];
	}
	served *= PACKETS_PER_CPU_SEC * (1 + world->noise_ratio * uniform(world));
	if (placed(world))
		served *= 1 + world->effect_ratio;
	world->packets += (uint64_t)served;
}

static void fill_snapshot(struct world *world, const double *load)
{
	struct cb_snapshot *snapshot = &world->snapshot;

	snapshot->time_usec = world->now_usec;
	snapshot->topology_generation = world->topology->generation;
	snapshot->user_hz = HZ;
	snapshot->n_cpus = world->n_cpus;
	snapshot->n_workers = 0;
	snapshot->n_irqs = world->n_irqs;
	snapshot->n_groups = 1;
	snapshot->ctxt += 1000;
	snapshot->intr_total += 500;
	for (uint32_t cpu = 0; cpu < world->n_cpus; cpu++) {
		uint64_t busy = (uint64_t)(CB_MIN(load[cpu], 1.0) * HZ + 0.5), softirq;

		softirq = CB_MIN((uint64_t)(softirq_on(world, cpu) * HZ + 0.5), busy);
		world->ticks[cpu][CB_TIME_USER] += busy - softirq;
		world->ticks[cpu][CB_TIME_SOFTIRQ] += softirq;
		world->ticks[cpu][CB_TIME_IDLE] += HZ - busy;
		snapshot->cpu[cpu] = (struct cb_cpu_sample){ .present = CB_CPU_HAS_TIMES };
		if (world->softirq_ratio > 0 || world->n_irqs > 0) {
			snapshot->cpu[cpu].present |= CB_CPU_HAS_SOFTIRQS;
			world->softirqs[cpu] += softirq * 100;
			snapshot->cpu[cpu].softirqs[CB_SOFTIRQ_NET_RX] = world->softirqs[cpu];
		}
		memcpy(snapshot->cpu[cpu].time_ticks, world->ticks[cpu], sizeof(world->ticks[cpu]));
	}
	for (uint32_t i = 0; i < world->n_irqs; i++) {
		world->irq[i].count += (uint64_t)(world->irq[i].softirq_ratio * 10000);
		snapshot->irq[i] = (struct cb_irq_sample){ .irq = WORLD_IRQ_FIRST + i,
							   .effective_cpu = world->irq[i].cpu,
							   .count = world->irq[i].count };
	}
	for (uint32_t i = 0; i < world->n_workers; i++) {
		const struct world_worker *worker = &world->worker[i];

		if (!worker->alive)
			continue;
		snapshot->worker[snapshot->n_workers++] = (struct cb_worker_sample){
			.key = i + 1,
			.present = CB_WORKER_HAS_CPU | CB_WORKER_HAS_WAIT | CB_WORKER_HAS_THREADS |
				   CB_WORKER_HAS_LAST_CPU | CB_WORKER_HAS_MASK,
			.cpu_nsec = worker->cpu_nsec,
			.wait_nsec = worker->wait_nsec,
			.n_threads = 1,
			.last_cpu = worker->cpu,
			.mask = worker->mask,
		};
	}
	snapshot->group[0] = (struct cb_group_sample){ .key = 1,
						       .present = CB_GROUP_HAS_PACKETS,
						       .packets = world->packets };
}

void world_tick(struct world *world)
{
	struct cb_input input = { .kind = CB_INPUT_SNAPSHOT, .snapshot = &world->snapshot };
	double load[WORLD_CPUS];

	world->now_usec += CB_USEC_PER_SEC;
	world->drift =
		world->drift_rho * world->drift +
		sqrt(1 - world->drift_rho * world->drift_rho) * world->drift_ratio * normal(world);
	schedule(world, load);
	run_workers(world, load);
	fill_snapshot(world, load);
	if (world->shape)
		world->shape(world, &world->snapshot);
	input.now_usec = world->now_usec;
	world_feed(world, &input);
}

void world_ticks(struct world *world, uint32_t n)
{
	while (n--)
		world_tick(world);
}

void world_until_applied(struct world *world, uint32_t at_most)
{
	for (uint32_t i = 0; i < at_most && world->n_applies == 0; i++)
		world_tick(world);
}

void world_irqs(struct world *world)
{
	struct cb_irqs *irqs = calloc(1, sizeof(*irqs) + WORLD_IRQS * sizeof(irqs->irq[0]));
	struct cb_input input = { .kind = CB_INPUT_IRQS,
				  .now_usec = world->now_usec,
				  .irqs = irqs };

	assert_non_null(irqs);
	irqs->generation = 1;
	irqs->n = world->n_irqs;
	for (uint32_t i = 0; i < world->n_irqs; i++) {
		struct cb_irq_info *info = &irqs->irq[i];

		*info = (struct cb_irq_info){
			.irq = WORLD_IRQ_FIRST + i,
			.class = CB_IRQ_NETWORK,
			.writable = true,
			.node = -1,
			.queue = (int32_t)i,
			.queue_dir = world->irq[i].dir,
			.affinity = cb_cpuset_of((unsigned int)world->irq[i].cpu),
		};
		snprintf(info->ifname, sizeof(info->ifname), "eth0");
		snprintf(info->actions, sizeof(info->actions), "eth0-%u", i);
	}
	world_feed(world, &input);
	free(irqs);
}

static void add_tx(struct world *world, struct cb_queues *queues)
{
	for (uint32_t i = 0; i < world->n_irqs; i++) {
		struct cb_queue_info *info = &queues->queue[queues->n++];

		*info = (struct cb_queue_info){ .ifindex = WORLD_ETH,
						.queue = i,
						.dir = CB_QUEUE_TX,
						.device = true,
						.ifname = "eth0",
						.cpus = world->irq[i].xps };
		info->placed = !cb_cpuset_equal(&world->irq[i].xps, &world->irq[i].xps_original);
		if (info->placed)
			snprintf(info->group, sizeof(info->group), "web");
	}
}

void world_queues(struct world *world)
{
	struct cb_queues *queues =
		calloc(1, sizeof(*queues) + (1 + WORLD_IRQS) * sizeof(queues->queue[0]));
	struct cb_input input = { .kind = CB_INPUT_QUEUES,
				  .now_usec = world->now_usec,
				  .queues = queues };

	assert_non_null(queues);
	queues->n = 1;
	queues->has_table = world->has_flows;
	queues->queue[0] = (struct cb_queue_info){
		.ifindex = WORLD_IFINDEX, .dir = CB_QUEUE_RX, .ifname = "veth0", .cpus = world->rps
	};
	queues->queue[0].placed = !cb_cpuset_equal(&world->rps, &world->rps_original);
	if (queues->queue[0].placed)
		snprintf(queues->queue[0].group, sizeof(queues->queue[0].group), "web");
	add_tx(world, queues);
	world_feed(world, &input);
	free(queues);
}

const struct cb_finding *world_finding(const struct world *world, enum cb_finding_kind kind)
{
	for (uint32_t i = 0; i < cb_engine_n_findings(world->engine); i++)
		if (cb_engine_finding(world->engine, i)->kind == kind)
			return cb_engine_finding(world->engine, i);
	return NULL;
}

bool world_confirmed(const struct world *world, enum cb_finding_kind kind)
{
	const struct cb_finding *finding = world_finding(world, kind);

	return finding && finding->confirmed;
}

const char *world_sentence(const struct world *world, enum cb_finding_kind kind)
{
	static char text[256];

	assert_non_null(world_finding(world, kind));
	return cb_engine_finding_sentence(world->engine, world_finding(world, kind), text,
					  sizeof(text));
}

bool world_refused(const struct world *world, enum cb_item_kind kind, enum cb_reject reason)
{
	for (uint32_t i = 0; i < cb_engine_n_refusals(world->engine); i++)
		if (cb_engine_refusal(world->engine, i)->reason == reason &&
		    cb_engine_refusal(world->engine, i)->item.kind == kind)
			return true;
	return false;
}

uint32_t world_n_told(const struct world *world)
{
	return world->n_notices[CB_NOTICE_FINDING_BEGAN] +
	       world->n_notices[CB_NOTICE_FINDING_ENDED];
}
