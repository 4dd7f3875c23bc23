/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Context switches per CPU by a perf software event, which needs no hardware counters. To read the
 * count of another CPU the kernel interrupts that CPU (kernel/events/core.c perf_event_read()),
 * about 31 us and a wake-up each, so isolated CPUs are never asked and no more than READS_MAX are
 * asked in one tick; on bigger machines the CPUs take turns. A CPU that was not asked has no
 * CB_CPU_HAS_CTXSW in this snapshot, and whoever makes rates has to divide by the time between two
 * readings of the same CPU.
 */
#include <errno.h>
#include <linux/perf_event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "collect.h"

#define READS_MAX 64u

struct perf_cpu {
	unsigned int cpu;
	int fd;
};

struct cb_perf {
	uint32_t n;
	uint32_t next; /* whose turn it is */
	struct perf_cpu cpu[];
};

static int open_event(unsigned int cpu)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_CONTEXT_SWITCHES,
	};

	return (int)syscall(SYS_perf_event_open, &attr, -1, (int)cpu, -1, PERF_FLAG_FD_CLOEXEC);
}

struct cb_perf *cb_perf_new(const struct cb_cpuset *cpus)
{
	struct cb_perf *perf =
		calloc(1, sizeof(*perf) + cb_cpuset_count(cpus) * sizeof(perf->cpu[0]));

	if (!perf)
		return NULL;
	CB_CPUSET_FOREACH(cpu, cpus) {
		int fd = open_event(cpu);

		if (fd >= 0)
			perf->cpu[perf->n++] = (struct perf_cpu){ .cpu = cpu, .fd = fd };
	}
	return perf->n > 0 ? perf : cb_perf_free(perf);
}

struct cb_perf *cb_perf_free(struct cb_perf *perf)
{
	for (uint32_t i = 0; perf && i < perf->n; i++)
		close(perf->cpu[i].fd);
	free(perf);
	return NULL;
}

uint32_t cb_perf_collect(struct cb_perf *perf, struct cb_snapshot *snapshot)
{
	uint32_t n_read = 0;

	for (uint32_t i = 0; perf && i < CB_MIN(perf->n, READS_MAX); i++) {
		const struct perf_cpu *cpu = &perf->cpu[perf->next];
		uint64_t count;

		perf->next = (perf->next + 1) % perf->n;
		if (cpu->cpu >= snapshot->n_cpus ||
		    read(cpu->fd, &count, sizeof(count)) != (ssize_t)sizeof(count))
			continue;
		snapshot->cpu[cpu->cpu].ctxsw = count;
		snapshot->cpu[cpu->cpu].present |= CB_CPU_HAS_CTXSW;
		n_read++;
	}
	return n_read;
}
