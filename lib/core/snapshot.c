/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Room for a snapshot. Reserving sets no n_cpus, n_irqs, ...: whoever fills the arrays does. An array that had to grow
 * is new and all zero, and the number of its entries is 0.
 */
#include "cpubalance/snapshot.h"

#include <errno.h>
#include <stdlib.h>

/* A new zeroed array when @n entries do not fit in @cap, else NULL with *ret_failed untouched. */
static void *grown(uint32_t n, uint32_t cap, size_t size, bool *ret_failed)
{
	void *array;

	if (n <= cap)
		return NULL;
	array = calloc(n, size);
	if (!array)
		*ret_failed = true;
	return array;
}

#define ADOPT(snapshot, array, grown_array, n, entries, cap) \
	do {                                                 \
		if (!(grown_array))                          \
			break;                               \
		free((snapshot)->array);                     \
		(snapshot)->array = (grown_array);           \
		(snapshot)->entries = 0;                     \
		(snapshot)->cap = (n);                       \
	} while (0)

int cb_snapshot_reserve(struct cb_snapshot *snapshot, uint32_t n_cpus, uint32_t n_irqs,
			uint32_t n_workers, uint32_t n_groups)
{
	struct cb_cpu_sample *cpu;
	struct cb_irq_sample *irq;
	struct cb_worker_sample *worker;
	struct cb_group_sample *group;
	bool failed = false;

	if (n_cpus > CB_CPUS_MAX || n_irqs > CB_IRQS_MAX || n_workers > CB_WORKERS_MAX ||
	    n_groups > CB_GROUPS_MAX)
		return -E2BIG;
	cpu = grown(n_cpus, snapshot->cap_cpus, sizeof(*cpu), &failed);
	irq = grown(n_irqs, snapshot->cap_irqs, sizeof(*irq), &failed);
	worker = grown(n_workers, snapshot->cap_workers, sizeof(*worker), &failed);
	group = grown(n_groups, snapshot->cap_groups, sizeof(*group), &failed);
	if (failed) {
		free(cpu);
		free(irq);
		free(worker);
		free(group);
		return -ENOMEM;
	}
	ADOPT(snapshot, cpu, cpu, n_cpus, n_cpus, cap_cpus);
	ADOPT(snapshot, irq, irq, n_irqs, n_irqs, cap_irqs);
	ADOPT(snapshot, worker, worker, n_workers, n_workers, cap_workers);
	ADOPT(snapshot, group, group, n_groups, n_groups, cap_groups);
	return 0;
}

void cb_snapshot_done(struct cb_snapshot *snapshot)
{
	if (!snapshot)
		return;
	free(snapshot->cpu);
	free(snapshot->irq);
	free(snapshot->worker);
	free(snapshot->group);
	*snapshot = (struct cb_snapshot){ 0 };
}
