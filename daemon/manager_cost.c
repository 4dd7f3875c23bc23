/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the daemon itself costs, and how it stays able to act on a machine that is full: a tick that costs more CPU time
 * than TickBudget= allows comes less often; what a tick touches stays in memory; the daemon runs on housekeeping CPUs that
 * are not hot. Its raised priority is the unit's (Nice=). All of it is done as far as it is allowed and missed without a word
 * where it is not.
 */
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "log.h"
#include "manager.h"
#include "metrics.h"

/* Intervals from one tick to the next, at most. */
#define EVERY_MAX 8u
/* The cost that decides is an average of about so many ticks: one dear tick changes nothing. */
#define COST_TICKS 4u
/* More often again only when that leaves so much of the budget. */
#define ROOM_RATIO	 0.8
#define PLACE_EVERY_USEC (10 * CB_USEC_PER_SEC)

uint64_t cb_manager_cpu_usec(void)
{
	struct timespec t;

	if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) < 0)
		return 0;
	return (uint64_t)t.tv_sec * CB_USEC_PER_SEC + (uint64_t)t.tv_nsec / CB_NSEC_PER_USEC;
}

/* As it was after the last tick, where nothing worth a system call has been done since. */
uint64_t cb_manager_idle_cpu_usec(const struct cb_manager *m)
{
	return m->n_ticks == 0 || m->client_usec >= m->last_tick_usec ? cb_manager_cpu_usec() :
									m->own_cpu_usec;
}

/* --- the budget --- */

uint32_t cb_tick_every(uint32_t every, double cost_usec, double interval_usec, double budget_ratio)
{
	while (every < EVERY_MAX && cost_usec > budget_ratio * interval_usec * every)
		every *= 2;
	while (every > 1 && cost_usec < ROOM_RATIO * budget_ratio * interval_usec * every / 2)
		every /= 2;
	return every;
}

void cb_manager_cost(struct cb_manager *m, uint64_t begin_cpu_usec)
{
	uint32_t every = CB_MAX(m->tick_every, 1u);
	double interval_usec = (double)m->policy->sample_interval_usec;

	m->own_cpu_usec = cb_manager_cpu_usec();
	m->tick_cpu_usec = m->own_cpu_usec - CB_MIN(begin_cpu_usec, m->own_cpu_usec);
	/* The first ticks make inventories. */
	if (m->n_ticks > 3)
		m->tick_cost_usec += ((double)m->tick_cpu_usec - m->tick_cost_usec) / COST_TICKS;
	m->tick_every = cb_tick_every(every, m->tick_cost_usec, interval_usec,
				      m->policy->tick_budget_ratio);
	if (m->tick_every == every)
		return;
	if (m->tick_every == 1)
		cb_log(LOG_NOTICE,
		       "A tick costs %.1f ms of CPU time: samples are taken every interval again",
		       m->tick_cost_usec / 1e3);
	else
		cb_log(LOG_WARNING,
		       "A tick costs %.1f ms of CPU time, TickBudget= allows %.1f ms: a sample is taken every %" PRIu32
		       " intervals",
		       m->tick_cost_usec / 1e3, m->policy->tick_budget_ratio * interval_usec / 1e3,
		       m->tick_every);
}

/* --- where it runs --- */

static void to_set(const cpu_set_t *from, struct cb_cpuset *ret)
{
	*ret = CB_CPUSET_EMPTY;
	for (unsigned int cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, from))
			cb_cpuset_set(ret, cpu);
}

static void from_set(const struct cb_cpuset *from, cpu_set_t *ret)
{
	CPU_ZERO(ret);
	CB_CPUSET_FOREACH(cpu, from)
		if (cpu < CPU_SETSIZE)
			CPU_SET(cpu, ret);
}

/* What we were started with is the limit: whoever set it meant it. */
void cb_manager_own_place(struct cb_manager *m)
{
	uint64_t now_usec = m->tick_begin_usec;
	struct cb_cpuset wanted;
	cpu_set_t set;

	if (!cb_manager_is_live(m) ||
	    (m->place_usec != 0 && now_usec - m->place_usec < PLACE_EVERY_USEC))
		return;
	if (m->place_usec == 0) {
		if (sched_getaffinity(0, sizeof(set), &set) < 0)
			return; /* more CPUs than the mask of the C library has: left to the kernel */
		to_set(&set, &m->own_may);
		m->own_cpus = m->own_may;
	}
	m->place_usec = now_usec;
	cb_engine_own_cpus(m->engine, &m->own_may, &wanted);
	if (cb_cpuset_empty(&wanted) || cb_cpuset_equal(&wanted, &m->own_cpus))
		return;
	from_set(&wanted, &set);
	if (sched_setaffinity(0, sizeof(set), &set) >= 0)
		m->own_cpus = wanted;
}

/* --- memory --- */

/* Pages as they come into use, without making them do so. Best effort: RLIMIT_MEMLOCK may be small. */
static void lock_block(const void *block, size_t size, void *userdata)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = (uintptr_t)block & ~(page - 1);

	(void)userdata;
	if (block && size > 0)
		(void)mlock2((const void *)begin, (uintptr_t)block + size - begin, MLOCK_ONFAULT);
}

void cb_manager_lock_memory(const struct cb_manager *m)
{
	const struct cb_snapshot *snapshot = &m->snapshot;

	if (!cb_manager_is_live(m))
		return;
	lock_block(m, sizeof(*m), NULL);
	lock_block(m->collected, sizeof(*m->collected), NULL);
	lock_block(m->decision, sizeof(*m->decision), NULL);
	lock_block(m->outcome, sizeof(*m->outcome), NULL);
	lock_block(snapshot->cpu, snapshot->cap_cpus * sizeof(*snapshot->cpu), NULL);
	lock_block(snapshot->irq, snapshot->cap_irqs * sizeof(*snapshot->irq), NULL);
	lock_block(snapshot->worker, snapshot->cap_workers * sizeof(*snapshot->worker), NULL);
	lock_block(snapshot->group, snapshot->cap_groups * sizeof(*snapshot->group), NULL);
	cb_host_memory(m->host, lock_block, NULL);
	cb_engine_memory(m->engine, lock_block, NULL);
}
