/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "giant_model.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BACKGROUND 0.03 /* user time of each CPU that is nobody's */

struct giant giant;

/* --- sets of CPUs ----------------------------------------------------------------------------------- */

bool giant_has(const struct giant_set *set, uint32_t cpu)
{
	return set->word[cpu / 64] >> cpu % 64 & 1;
}

void giant_add(struct giant_set *set, uint32_t cpu)
{
	set->word[cpu / 64] |= UINT64_C(1) << cpu % 64;
}

void giant_print_list(struct genfs_text *text, const struct giant_set *set)
{
	const char *comma = "";

	for (uint32_t cpu = 0; cpu < giant.n_ids; cpu++) {
		uint32_t end = cpu;

		if (!giant_has(set, cpu))
			continue;
		while (end + 1 < giant.n_ids && giant_has(set, end + 1))
			end++;
		genfs_printf(text, end > cpu ? "%s%u-%u" : "%s%u", comma, cpu, end);
		comma = ",";
		cpu = end;
	}
	genfs_printf(text, "\n");
}

void giant_print_mask(struct genfs_text *text, const struct giant_set *set)
{
	for (uint32_t i = (giant.n_ids + 31) / 32; i-- > 0;)
		genfs_printf(text, "%08x%s", (uint32_t)(set->word[i / 2] >> i % 2 * 32),
			     i ? "," : "\n");
}

/* "0-3,8" and a newline. Returns 0, -EINVAL, or -ERANGE for a CPU beyond the last. */
int giant_parse_list(const char *at, struct giant_set *ret)
{
	*ret = (struct giant_set){ 0 };
	while (*at && *at != '\n') {
		char *end;
		unsigned long first = strtoul(at, &end, 10), last = first;

		if (end == at)
			return -EINVAL;
		if (*end == '-')
			last = strtoul(end + 1, &end, 10);
		if (last < first || (*end && *end != ',' && *end != '\n'))
			return -EINVAL;
		if (last >= giant.n_ids)
			return -ERANGE;
		for (; first <= last; first++)
			giant_add(ret, (uint32_t)first);
		at = end + (*end == ',');
	}
	return 0;
}

/* Words of 32 bits in hex, the highest first. */
int giant_parse_mask(const char *at, struct giant_set *ret)
{
	*ret = (struct giant_set){ 0 };
	for (; *at && *at != '\n'; at++) {
		const char *digit = strchr("0123456789abcdef", *at | 0x20);

		if (*at == ',')
			continue;
		if (!digit || ret->word[GIANT_CPUS_MAX / 64 - 1] >> 60)
			return -EINVAL;
		for (uint32_t i = GIANT_CPUS_MAX / 64; i-- > 0;)
			ret->word[i] = ret->word[i] << 4 | (i ? ret->word[i - 1] >> 60 : 0);
		ret->word[0] |=
			(uint64_t)(strchr("0123456789abcdef", *at | 0x20) - "0123456789abcdef");
	}
	return 0;
}

/* The CPU of @set that is online and has the least of something. -1 when none is online, -2 when all are full. */
static int least(const struct giant_set *set, bool by_vectors)
{
	int best = -1;

	for (uint32_t cpu = 0; cpu < giant.n_ids; cpu++) {
		const struct giant_cpu *c = &giant.cpu[cpu], *b = &giant.cpu[best < 0 ? 0 : best];

		if (!c->online || !giant_has(set, cpu))
			continue;
		if (by_vectors && c->n_vectors >= giant.n_vectors) {
			best = best == -1 ? -2 : best;
			continue;
		}
		if (best < 0 ||
		    (by_vectors ? c->n_vectors < b->n_vectors :
				  c->irq_load + c->work_load < b->irq_load + b->work_load))
			best = (int)cpu;
	}
	return best;
}

/* --- the load model --------------------------------------------------------------------------------- */

static void move_worker(struct giant_worker *worker)
{
	const struct giant_cpu *now = &giant.cpu[worker->cpu];
	int best = least(&worker->mask, false);

	/* As a kernel, it stays unless another CPU is clearly better. */
	if (best >= 0 &&
	    (!now->online || !giant_has(&worker->mask, worker->cpu) ||
	     giant.cpu[best].irq_load + giant.cpu[best].work_load + worker->want + 0.1 <
		     now->irq_load + now->work_load))
		worker->cpu = (uint32_t)best;
}

static void move_workers(void)
{
	for (uint32_t cpu = 0; cpu < giant.n_ids; cpu++)
		giant.cpu[cpu].work_load = 0;
	for (uint32_t i = 0; i < giant.n_workers; i++)
		giant.cpu[giant.worker[i].cpu].work_load += giant.worker[i].want;
	for (uint32_t i = 0; i < giant.n_workers; i++) {
		giant.cpu[giant.worker[i].cpu].work_load -= giant.worker[i].want;
		move_worker(&giant.worker[i]);
		giant.cpu[giant.worker[i].cpu].work_load += giant.worker[i].want;
	}
}

/* An interrupt whose CPUs are all gone may go anywhere, and keeps that mask. */
static void move_irq(struct giant_irq *irq)
{
	if (!giant.cpu[irq->next_cpu].online && !irq->managed) {
		int cpu = least(&irq->mask, true);

		if (cpu < 0) {
			for (uint32_t i = 0; i < giant.n_ids; i++)
				if (giant.cpu[i].online)
					giant_add(&irq->mask, i);
			cpu = least(&irq->mask, true);
		}
		irq->next_cpu = cpu < 0 ? irq->next_cpu : (uint32_t)cpu;
	}
	if (irq->per_sec > 0)
		irq->cpu = irq->next_cpu;
}

static void count_irq(struct giant_irq *irq, double dt_sec)
{
	struct giant_cpu *cpu = &giant.cpu[irq->cpu];
	uint64_t n;

	if (!cpu->online)
		return; /* a managed one sleeps with its last CPU */
	irq->part += irq->per_sec * dt_sec / fmax(1, cpu->irq_load);
	n = (uint64_t)irq->part;
	irq->part -= (double)n;
	irq->total += n;
	irq->count[irq->cpu] += n;
	*(irq->network ? &cpu->net_rx : &cpu->block) += (double)n;
	giant.ctxt += (double)n * 0.5;
}

static void run_cpu(struct giant_cpu *cpu, double dt_sec)
{
	double softirq = fmin(1, cpu->irq_load), left = 1 - softirq;
	double work = fmin(left, cpu->work_load + BACKGROUND);

	cpu->softirq += softirq * dt_sec;
	cpu->user += work * 0.8 * dt_sec;
	cpu->system += work * 0.2 * dt_sec;
	cpu->idle += (left - work) * dt_sec;
	giant.ctxt += 100 * dt_sec;
}

void giant_advance(double dt_sec)
{
	giant.seconds += dt_sec;
	for (uint32_t cpu = 0; cpu < giant.n_ids; cpu++)
		giant.cpu[cpu].irq_load = 0;
	for (uint32_t i = 0; i < giant.n_irqs; i++) {
		move_irq(&giant.irq[i]);
		giant.cpu[giant.irq[i].cpu].irq_load += giant.irq[i].per_sec * GIANT_IRQ_COST_SEC;
	}
	move_workers();
	for (uint32_t i = 0; i < giant.n_irqs; i++)
		count_irq(&giant.irq[i], dt_sec);
	for (uint32_t cpu = 0; cpu < giant.n_ids; cpu++)
		if (giant.cpu[cpu].online)
			run_cpu(&giant.cpu[cpu], dt_sec);
	for (uint32_t i = 0; i < giant.n_workers; i++) {
		const struct giant_cpu *cpu = &giant.cpu[giant.worker[i].cpu];
		double left = fmax(0, 1 - cpu->irq_load);
		double got = giant.worker[i].want * fmin(1, left / fmax(cpu->work_load, 1e-9));

		giant.worker[i].cpu_sec += got * dt_sec;
		giant.worker[i].wait_sec += (giant.worker[i].want - got) * dt_sec;
	}
}

/* --- interrupts ------------------------------------------------------------------------------------- */

void giant_irq_settle(struct giant_irq *irq)
{
	int cpu = least(&irq->mask, true);

	irq->cpu = irq->next_cpu = cpu < 0 ? 0 : (uint32_t)cpu;
	giant.cpu[irq->cpu].n_vectors++;
}

int giant_irq_set(struct giant_irq *irq, const struct giant_set *mask)
{
	int cpu = least(mask, true);

	if (irq->managed)
		return -EPERM;
	if (cpu == -1)
		return -EINVAL;
	if (!giant_has(mask, irq->next_cpu) || !giant.cpu[irq->next_cpu].online) {
		if (cpu == -2)
			return -ENOSPC;
		giant.cpu[irq->next_cpu].n_vectors--;
		giant.cpu[cpu].n_vectors++;
		irq->next_cpu = (uint32_t)cpu;
	}
	irq->mask = *mask;
	return 0;
}
