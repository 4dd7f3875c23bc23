/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A peer to compare with: interrupts alone, by the rule that irqbalance documents. Every ten seconds the softirq and interrupt time of each CPU
 * is shared out to its interrupts by their counts. A CPU that has more than the least loaded one, and more than one interrupt, gives
 * interrupts away, heaviest first, as long as this does not merely turn the imbalance round; each goes to the least loaded node (the
 * device's own where it has one), then cache, then CPU, and of equals to the one with fewest interrupts. At the start, and when CPUs
 * come or go, everything is placed anew. It sees neither workers nor what a move did.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "sim.h"

#define INTERVAL_WINDOWS 10u

struct irq_load {
	uint32_t queue;
	double load, count; /* count: at the last look */
	bool homeless;
};

struct sim_irqbalance {
	double *load, *seconds; /* [n_cpus] of the last interval; softirq time at the last look */
	uint32_t *n_irqs;	/* [n_cpus] */
	struct irq_load *irq;	/* [n_queues] */
	struct irq_load **order;
	uint32_t topology_generation;
};

/* --- what is --- */

static void measure(struct sim_irqbalance *ib, const struct plant *plant)
{
	for (uint32_t i = 0; i < plant->n_cpus; i++) {
		double seconds = plant->cpu[i].seconds[CB_TIME_SOFTIRQ];

		ib->load[i] = seconds - ib->seconds[i];
		ib->seconds[i] = seconds;
		ib->n_irqs[i] = 0;
	}
	for (uint32_t i = 0; i < plant->n_queues; i++)
		ib->n_irqs[plant->queue[i].cpu] += plant->queue[i].alive;
	for (uint32_t i = 0; i < plant->n_queues; i++) {
		double count = plant->queue[i].n_interrupts;

		ib->irq[i].load = count - ib->irq[i].count;
		ib->irq[i].count = count;
		ib->irq[i].queue = i;
		ib->irq[i].homeless = false;
	}
	for (uint32_t cpu = 0; cpu < plant->n_cpus; cpu++) {
		double counts = 0;

		for (uint32_t i = 0; i < plant->n_queues; i++)
			if (plant->queue[i].cpu == (int32_t)cpu && plant->queue[i].alive)
				counts += ib->irq[i].load;
		for (uint32_t i = 0; i < plant->n_queues && counts > 0; i++)
			if (plant->queue[i].cpu == (int32_t)cpu && plant->queue[i].alive)
				ib->irq[i].load *= ib->load[cpu] / counts;
	}
}

static int by_load(const void *a, const void *b)
{
	const struct irq_load *x = *(struct irq_load *const *)a, *y = *(struct irq_load *const *)b;

	if (x->load != y->load)
		return x->load > y->load ? -1 : 1;
	return x->queue < y->queue ? -1 : 1;
}

static void sort(struct sim_irqbalance *ib, const struct plant *plant)
{
	for (uint32_t i = 0; i < plant->n_queues; i++)
		ib->order[i] = &ib->irq[i];
	qsort(ib->order, plant->n_queues, sizeof(*ib->order), by_load);
}

/* --- who has to go --- */

static void take_from(struct sim_irqbalance *ib, const struct plant *plant, uint32_t cpu,
		      double least)
{
	double left = ib->load[cpu];

	for (uint32_t i = 0; i < plant->n_queues && ib->n_irqs[cpu] > 1; i++) {
		struct irq_load *irq = ib->order[i];

		if (plant->queue[irq->queue].cpu != (int32_t)cpu || !plant->queue[irq->queue].alive)
			continue;
		if (irq->load <= 1e-6 || least + irq->load >= left - irq->load)
			continue;
		left -= irq->load;
		least += irq->load;
		irq->homeless = true;
		ib->n_irqs[cpu]--;
	}
	ib->load[cpu] = left;
}

/* --- where to --- */

struct choice {
	double load;
	uint32_t n_irqs, n_cpus;
};

/* Mean load of the CPUs that share a value of the topology, and their interrupts. */
static struct choice weigh(const struct sim_irqbalance *ib, const struct plant *plant,
			   const struct cb_cpuset *cpus, int32_t node, int32_t llc)
{
	struct choice choice = { 0 };

	CB_CPUSET_FOREACH(cpu, cpus) {
		const struct cb_cpu_place *place = &plant->topology->cpu[cpu];

		if ((node >= 0 && place->node != node) || (llc >= 0 && place->llc != llc))
			continue;
		choice.load += ib->load[cpu];
		choice.n_irqs += ib->n_irqs[cpu];
		choice.n_cpus++;
	}
	if (choice.n_cpus)
		choice.load /= choice.n_cpus;
	return choice;
}

static bool better(const struct choice *a, const struct choice *b)
{
	if (b->n_cpus == 0)
		return true;
	if (a->load != b->load)
		return a->load < b->load;
	return a->n_irqs * b->n_cpus < b->n_irqs * a->n_cpus;
}

static int32_t choose_cpu(const struct sim_irqbalance *ib, const struct plant *plant, int32_t node)
{
	struct cb_cpuset cpus = cb_topology_housekeeping(plant->topology);
	struct choice best = { 0 };
	int32_t best_node = node, llc = -1, best_cpu = -1;

	if (node >= 0 && weigh(ib, plant, &cpus, node, -1).n_cpus == 0)
		node = best_node = -1;
	for (int32_t i = 0; node < 0 && i < (int32_t)plant->scenario->machine.n_nodes; i++) {
		struct choice choice = weigh(ib, plant, &cpus, i, -1);

		if (choice.n_cpus && better(&choice, &best)) {
			best = choice;
			best_node = i;
		}
	}
	best = (struct choice){ 0 };
	CB_CPUSET_FOREACH(cpu, &cpus) {
		const struct cb_cpu_place *place = &plant->topology->cpu[cpu];
		struct choice choice;

		if (place->node != best_node || place->llc == llc)
			continue;
		choice = weigh(ib, plant, &cpus, best_node, place->llc);
		if (better(&choice, &best)) {
			best = choice;
			llc = place->llc;
		}
	}
	best = (struct choice){ 0 };
	CB_CPUSET_FOREACH(cpu, &cpus) {
		struct choice choice = { ib->load[cpu], ib->n_irqs[cpu], 1 };

		if (plant->topology->cpu[cpu].llc == llc && better(&choice, &best)) {
			best = choice;
			best_cpu = (int32_t)cpu;
		}
	}
	return best_cpu;
}

static void place(struct sim *sim, struct irq_load *irq)
{
	struct sim_irqbalance *ib = sim->irqbalance;
	const struct plant_queue *queue = &sim->plant->queue[irq->queue];
	int32_t cpu = choose_cpu(ib, sim->plant, sim->plant->scenario->nic[queue->nic].node);
	struct cb_cpuset mask;

	if (cpu < 0)
		return;
	mask = cb_cpuset_of((unsigned int)cpu);
	ib->load[cpu] += irq->load;
	ib->n_irqs[cpu]++;
	sim_set_queue(sim, irq->queue, &mask, false);
}

static void place_all(struct sim *sim)
{
	struct sim_irqbalance *ib = sim->irqbalance;

	memset(ib->load, 0, sim->plant->n_cpus * sizeof(*ib->load));
	memset(ib->n_irqs, 0, sim->plant->n_cpus * sizeof(*ib->n_irqs));
	for (uint32_t i = 0; i < sim->plant->n_queues; i++)
		if (sim->plant->queue[ib->order[i]->queue].alive)
			place(sim, ib->order[i]);
	ib->topology_generation = sim->plant->topology->generation;
}

void sim_irqbalance_window(struct sim *sim)
{
	struct sim_irqbalance *ib = sim->irqbalance;
	const struct plant *plant = sim->plant;
	struct cb_cpuset cpus;
	double least = -1;

	if (plant->n_windows % INTERVAL_WINDOWS != 0)
		return;
	measure(ib, plant);
	sort(ib, plant);
	if (ib->topology_generation != plant->topology->generation) {
		place_all(sim);
		return;
	}
	cpus = cb_topology_housekeeping(plant->topology);
	CB_CPUSET_FOREACH(cpu, &cpus)
		if (least < 0 || ib->load[cpu] < least)
			least = ib->load[cpu];
	for (uint32_t cpu = 0; cpu < plant->n_cpus; cpu++)
		if (ib->load[cpu] > least)
			take_from(ib, plant, cpu, least);
	for (uint32_t i = 0; i < plant->n_queues; i++)
		if (ib->order[i]->homeless)
			place(sim, ib->order[i]);
}

int sim_irqbalance_new(struct sim *sim)
{
	const struct plant *plant = sim->plant;
	struct sim_irqbalance *ib = calloc(1, sizeof(*ib));

	if (!ib)
		return -ENOMEM;
	sim->irqbalance = ib;
	ib->load = calloc(plant->n_cpus, sizeof(*ib->load));
	ib->seconds = calloc(plant->n_cpus, sizeof(*ib->seconds));
	ib->n_irqs = calloc(plant->n_cpus, sizeof(*ib->n_irqs));
	ib->irq = calloc(plant->n_queues + 1, sizeof(*ib->irq));
	ib->order = calloc(plant->n_queues + 1, sizeof(*ib->order));
	return ib->load && ib->seconds && ib->n_irqs && ib->irq && ib->order ? 0 : -ENOMEM;
}

void sim_irqbalance_free(struct sim *sim)
{
	struct sim_irqbalance *ib = sim->irqbalance;

	if (!ib)
		return;
	free(ib->load);
	free(ib->seconds);
	free(ib->n_irqs);
	free(ib->irq);
	free(ib->order);
	free(ib);
	sim->irqbalance = NULL;
}
