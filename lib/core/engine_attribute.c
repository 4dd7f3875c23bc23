/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who loads which CPU. A CPU's interrupt and softirq time is shared out among the interrupts that land there: by their counts,
 * and those of network interfaces by the packets they brought. Workers get what they used.
 *
 * Invariant: the loads attributed to the items of a CPU never exceed what it was busy.
 */

#include "engine_internal.h"

/*
 * By counts, an interrupt is charged at most this much CPU time per occurrence: a NAPI poll handles at most 64 packets of a few
 * microseconds each (net/core/dev.c, NAPI_POLL_WEIGHT). Without the bound a quiet interrupt would be charged with a loopback flood.
 */
#define IRQ_COST_MAX_SEC 300e-6

/* A pinned worker is on its CPU, another where it was last seen. */
static int32_t worker_cpu(const struct cb_engine *engine, const struct worker_state *worker)
{
	int32_t cpu = -1;

	if ((worker->last.present & CB_WORKER_HAS_MASK) && cb_cpuset_count(&worker->last.mask) == 1)
		cpu = (int32_t)cb_cpuset_first(&worker->last.mask);
	else if (worker->last.present & CB_WORKER_HAS_LAST_CPU)
		cpu = worker->last.last_cpu;
	return cpu >= 0 && (uint32_t)cpu < engine->topology->n_cpu_ids ? cpu : -1;
}

static struct cpu_state *cpu_of_irq(const struct cb_engine *engine, const struct irq_state *irq)
{
	if (irq->effective_cpu < 0 || (uint32_t)irq->effective_cpu >= engine->topology->n_cpu_ids)
		return NULL;
	return &engine->cpu[irq->effective_cpu];
}

static double irq_time(const struct cpu_state *cpu)
{
	return cpu->irq.smooth + cpu->softirq.smooth;
}

/* Those that fire, or whose interface has packets: all others have no part in anything, and they are the most. */
#define FOREACH_ACTIVE(irq, engine)                                                         \
	for (uint32_t at = 0; at < (engine)->n_active_irqs; at++)                           \
		for (struct irq_state *irq = &(engine)->irq[(engine)->active_irq[at]]; irq; \
		     irq = NULL)

/*
 * What the interrupts of one CPU whose drivers count packets of each queue have by their counts is shared anew among them by
 * packets: one interrupt may fetch one packet or dozens. And what of its interface fired at all.
 */
static void list_active(struct cb_engine *engine)
{
	engine->n_active_irqs = 0;
	for (uint32_t i = 0; i < engine->irqs->n; i++) {
		struct irq_state *irq = &engine->irq[i];
		struct cpu_state *cpu;

		irq->device_rate_sum = 0;
		if (!(irq->per_sec.smooth > 0 || irq->has_packets || irq->has_device_packets)) {
			irq->weight = irq->load_ratio = irq->brought_per_sec = 0;
			irq->by_packets = false;
			continue;
		}
		engine->active_irq[engine->n_active_irqs++] = i;
		engine->irq[irq->first].device_rate_sum += irq->per_sec.smooth;
		cpu = irq->has_packets ? cpu_of_irq(engine, irq) : NULL;
		if (cpu) {
			cpu->irq_counted_sum += irq->per_sec.smooth;
			cpu->irq_packets_sum += irq->packets_per_sec.smooth;
		}
	}
}

/* The packets that it brought: its driver knows them, or what its interface received is shared among its interrupts as they fired. */
static double brought(const struct cb_engine *engine, const struct irq_state *irq)
{
	double rate_sum = engine->irq[irq->first].device_rate_sum;

	if (irq->has_packets)
		return irq->packets_per_sec.smooth;
	if (irq->has_device_packets && rate_sum > 0)
		return irq->device_packets_per_sec.smooth * irq->per_sec.smooth / rate_sum;
	return 0;
}

static void weigh(struct cb_engine *engine)
{
	FOREACH_ACTIVE(irq, engine) {
		struct cpu_state *cpu = cpu_of_irq(engine, irq);

		irq->weight = irq->per_sec.smooth;
		irq->brought_per_sec = brought(engine, irq);
		irq->by_packets = cpu && irq->has_packets && cpu->irq_packets_sum > 0;
		if (irq->by_packets)
			irq->weight = cpu->irq_counted_sum * irq->packets_per_sec.smooth /
				      cpu->irq_packets_sum;
		if (!cpu)
			continue;
		cpu->irq_rate_sum += irq->weight;
		cpu->nic_packets_sum += irq->brought_per_sec;
	}
}

static double load_by_counts(const struct cpu_state *cpu, const struct irq_state *irq)
{
	double load;

	if (cpu->irq_rate_sum <= 0)
		return 0;
	load = irq_time(cpu) * irq->weight / cpu->irq_rate_sum;
	return CB_MIN(load, irq->weight * IRQ_COST_MAX_SEC);
}

/*
 * A driver that polls takes no interrupts meanwhile: the busier a queue, the less its counts say. So a network interrupt is charged
 * with the share of its CPU's packets that it brought, where that is more.
 */
static double load_by_packets(const struct cpu_state *cpu, const struct irq_state *irq)
{
	if (!(cpu->present & CB_CPU_HAS_SOFTNET) || irq->brought_per_sec <= 0)
		return 0;
	return irq_time(cpu) * irq->brought_per_sec /
	       CB_MAX(cpu->softnet_per_sec.smooth, cpu->nic_packets_sum);
}

static void charge(struct cb_engine *engine)
{
	FOREACH_ACTIVE(irq, engine) {
		struct cpu_state *cpu = cpu_of_irq(engine, irq);
		double by_packets;

		irq->load_ratio = 0;
		if (!cpu)
			continue;
		irq->load_ratio = load_by_counts(cpu, irq);
		by_packets = load_by_packets(cpu, irq);
		if (by_packets > irq->load_ratio) {
			irq->load_ratio = by_packets;
			irq->by_packets = true;
		}
		cpu->irqs_ratio += irq->load_ratio;
	}
}

static void attribute_irqs(struct cb_engine *engine)
{
	bool too_much = false;

	if (!engine->irqs)
		return;
	list_active(engine);
	weigh(engine);
	charge(engine);
	for (uint32_t i = 0; i < engine->topology->n_cpu_ids; i++)
		too_much |= engine->cpu[i].irqs_ratio > irq_time(&engine->cpu[i]);
	if (!too_much)
		return;
	/* counts and packets may both claim the same time */
	FOREACH_ACTIVE(irq, engine) {
		const struct cpu_state *cpu = cpu_of_irq(engine, irq);

		if (cpu && cpu->irqs_ratio > irq_time(cpu))
			irq->load_ratio *= irq_time(cpu) / cpu->irqs_ratio;
	}
	for (uint32_t i = 0; i < engine->topology->n_cpu_ids; i++)
		engine->cpu[i].irqs_ratio =
			CB_MIN(engine->cpu[i].irqs_ratio, irq_time(&engine->cpu[i]));
}

/* The workers of each CPU as a list, in their order. */
static void link_workers(struct cb_engine *engine)
{
	for (uint32_t i = 0; i < engine->topology->n_cpu_ids; i++)
		engine->cpu[i].first_worker = NO_WORKER;
	for (uint32_t i = engine->n_workers; i-- > 0;) {
		struct worker_state *worker = &engine->worker[i];

		worker->next_on_cpu = NO_WORKER;
		if (worker->cpu_attributed < 0)
			continue;
		worker->next_on_cpu = engine->cpu[worker->cpu_attributed].first_worker;
		engine->cpu[worker->cpu_attributed].first_worker = i;
	}
}

void engine_attribute(struct cb_engine *engine)
{
	for (uint32_t i = 0; i < engine->topology->n_cpu_ids; i++) {
		struct cpu_state *cpu = &engine->cpu[i];

		cpu->workers_ratio = cpu->irqs_ratio = 0;
		cpu->irq_rate_sum = cpu->irq_counted_sum = 0;
		cpu->irq_packets_sum = cpu->nic_packets_sum = 0;
	}
	attribute_irqs(engine);
	for (uint32_t i = 0; i < engine->n_workers; i++) {
		struct worker_state *worker = &engine->worker[i];

		worker->cpu_attributed = worker_cpu(engine, worker);
		worker->cpu_share_ratio = CB_MIN(worker->cpu.smooth, 1.0);
		if (worker->cpu_attributed >= 0)
			engine->cpu[worker->cpu_attributed].workers_ratio +=
				worker->cpu_share_ratio;
	}
	link_workers(engine);
	/* the clocks of the sources differ: never charge the workers with more than the CPU was busy */
	for (uint32_t i = 0; i < engine->n_workers; i++) {
		struct worker_state *worker = &engine->worker[i];
		const struct cpu_state *cpu;
		double room;

		if (worker->cpu_attributed < 0)
			continue;
		cpu = &engine->cpu[worker->cpu_attributed];
		room = CB_MAX(cpu->busy.smooth - cpu->irqs_ratio, 0.0);
		if (cpu->workers_ratio > room && cpu->workers_ratio > 0)
			worker->cpu_share_ratio *= room / cpu->workers_ratio;
	}
	for (uint32_t i = 0; i < engine->topology->n_cpu_ids; i++) {
		struct cpu_state *cpu = &engine->cpu[i];

		cpu->irqs_ratio = CB_MIN(cpu->irqs_ratio, cpu->busy.smooth);
		cpu->workers_ratio = CB_MIN(cpu->workers_ratio, cpu->busy.smooth - cpu->irqs_ratio);
	}
}
