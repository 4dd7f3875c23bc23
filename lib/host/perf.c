/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Context switches per CPU by a perf software event, which needs no hardware counters. To read the
 * count of another CPU the kernel interrupts that CPU (kernel/events/core.c perf_event_read()),
 * about 31 us and a wake-up each. So isolated CPUs are never asked, idle ones neither; those that are near being hot are
 * asked in each tick, the others that are busy in turns, ROUND_TICKS to a round, and one of the former is left out then. A CPU
 * that was not asked has no CB_CPU_HAS_CTXSW in this snapshot, and whoever makes rates has to divide by the time between two
 * readings of the same CPU. The CPU that we run on is asked for nothing, since that interrupts nobody.
 */
#include <errno.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "collect.h"

/* Asked in one tick at most. */
#define READS_MAX   64u
#define ROUND_TICKS 16u

struct perf_cpu {
	unsigned int cpu;
	int fd;
};

struct cb_perf {
	uint32_t n;
	uint32_t next_near, next_busy; /* whose turn it is */
	uint32_t turns;		       /* of busy ones that are due, in parts of ROUND_TICKS */
	bool left_out;		       /* in the last tick, one that is near */
	uint64_t n_crossed;
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

static bool read_cpu(struct cb_perf *perf, const struct perf_cpu *cpu, int own,
		     struct cb_snapshot *snapshot)
{
	uint64_t count;

	if (cpu->cpu >= snapshot->n_cpus)
		return false;
	perf->n_crossed += (int)cpu->cpu != own;
	if (read(cpu->fd, &count, sizeof(count)) != (ssize_t)sizeof(count))
		return false;
	snapshot->cpu[cpu->cpu].ctxsw = count;
	snapshot->cpu[cpu->cpu].present |= CB_CPU_HAS_CTXSW;
	return true;
}

/* The next of those that @wanted has (NULL: of all), at most @max, each once; not our own, which is read in each tick. */
static uint32_t read_turn(struct cb_perf *perf, uint32_t *next, const struct cb_cpuset *wanted,
			  uint32_t max, int own, struct cb_snapshot *snapshot)
{
	uint32_t n_read = 0, n_tried = 0;

	for (uint32_t i = 0; i < perf->n && n_tried < max; i++) {
		const struct perf_cpu *cpu = &perf->cpu[*next];

		*next = (*next + 1) % perf->n;
		if (wanted && ((int)cpu->cpu == own || !cb_cpuset_has(wanted, cpu->cpu)))
			continue;
		n_tried++;
		n_read += read_cpu(perf, cpu, own, snapshot);
	}
	return n_read;
}

static uint32_t read_own(struct cb_perf *perf, int own, struct cb_snapshot *snapshot)
{
	for (uint32_t i = 0; i < perf->n; i++)
		if ((int)perf->cpu[i].cpu == own)
			return read_cpu(perf, &perf->cpu[i], own, snapshot);
	return 0;
}

static uint32_t count_others(const struct cb_cpuset *cpus, int own)
{
	return cb_cpuset_count(cpus) - (own >= 0 && cb_cpuset_has(cpus, (unsigned int)own));
}

uint32_t cb_perf_collect(struct cb_perf *perf, const struct cb_demand *demand,
			 struct cb_snapshot *snapshot)
{
	uint32_t n_read, n_due, n_near;
	int own;

	if (!perf)
		return 0;
	own = sched_getcpu();
	if (!demand)
		return read_turn(perf, &perf->next_near, NULL, READS_MAX, own, snapshot);
	/* Each of them once in ROUND_TICKS, also where they are few. */
	perf->turns += count_others(&demand->busy, own);
	n_due = perf->turns / ROUND_TICKS;
	perf->turns %= ROUND_TICKS;
	/* Where few are busy that interrupts no more CPUs; but nobody is left out twice running. */
	n_near = CB_MIN(count_others(&demand->near, own), READS_MAX);
	perf->left_out = n_due > 0 && n_near > 0 && !perf->left_out;
	n_read = read_turn(perf, &perf->next_near, &demand->near, n_near - perf->left_out, own,
			   snapshot);
	n_read += read_turn(perf, &perf->next_busy, &demand->busy, CB_MIN(n_due, READS_MAX), own,
			    snapshot);
	return n_read + read_own(perf, own, snapshot);
}

uint64_t cb_host_cross_cpu_reads(const struct cb_host *host)
{
	return host->perf ? host->perf->n_crossed : 0;
}
