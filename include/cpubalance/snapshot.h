/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What one tick has read: raw counters plus a presence bit per source. Absent is never zero. Arrays are sized when the
 * topology or the set of interrupts or workers changes, never in a steady tick. The engine copies what it keeps.
 */

#include "cpubalance/topology.h"

enum cb_source {
#define CB_SOURCE_ROW(id, name, what, gives) CB_SOURCE_##id,
#include "cpubalance/sources.def"
#undef CB_SOURCE_ROW
	_CB_SOURCE_MAX,
};

const char *cb_source_name(enum cb_source source);
const char *cb_source_where(enum cb_source source);
const char *cb_source_gives(enum cb_source source);

/* Columns of a cpu line in /proc/stat, in the kernel's order (fs/proc/stat.c show_stat()); unit: ticks of 1/USER_HZ s. */
enum cb_cpu_time {
	CB_TIME_USER, /* includes guest */
	CB_TIME_NICE, /* includes guest_nice */
	CB_TIME_SYSTEM,
	CB_TIME_IDLE,
	CB_TIME_IOWAIT, /* may go backwards */
	CB_TIME_IRQ,
	CB_TIME_SOFTIRQ,
	CB_TIME_STEAL,
	CB_TIME_GUEST,
	CB_TIME_GUEST_NICE,
	_CB_TIME_MAX,
};

/* Rows of /proc/softirqs in the kernel's order (include/linux/interrupt.h). */
enum cb_softirq {
	CB_SOFTIRQ_HI,
	CB_SOFTIRQ_TIMER,
	CB_SOFTIRQ_NET_TX,
	CB_SOFTIRQ_NET_RX,
	CB_SOFTIRQ_BLOCK,
	CB_SOFTIRQ_IRQ_POLL,
	CB_SOFTIRQ_TASKLET,
	CB_SOFTIRQ_SCHED,
	CB_SOFTIRQ_HRTIMER,
	CB_SOFTIRQ_RCU,
	_CB_SOFTIRQ_MAX,
};

const char *cb_softirq_name(enum cb_softirq softirq); /* "NET_RX" */

/* Presence bits of one CPU's row. */
#define CB_CPU_HAS_TIMES (1u << 0)
#define CB_CPU_HAS_SOFTIRQS (1u << 1)
#define CB_CPU_HAS_CTXSW (1u << 2)
#define CB_CPU_HAS_SOFTNET (1u << 3)

struct cb_cpu_sample {
	uint32_t present; /* CB_CPU_HAS_* */
	uint64_t time_ticks[_CB_TIME_MAX];
	uint64_t softirqs[_CB_SOFTIRQ_MAX];
	uint64_t ctxsw;
	uint64_t softnet_processed; /* packets handed to the network stack on this CPU, loopback too */
	uint64_t softnet_dropped;
};

/* Presence bits of an interrupt: whose packets are counted. */
#define CB_IRQ_HAS_PACKETS (1u << 0)	    /* packets; read every few seconds only */
#define CB_IRQ_HAS_DEVICE_PACKETS (1u << 1) /* device_packets */

struct cb_irq_sample {
	uint32_t irq;
	int32_t effective_cpu; /* where it lands, -1 unknown */
	uint64_t count;        /* total over all CPUs since boot */
	uint32_t present;      /* CB_IRQ_HAS_* */
	uint64_t packets;      /* of the queues that it serves, since the interface was set up */
	uint64_t device_packets; /* received by its whole interface */
};

#define CB_WORKER_HAS_CPU (1u << 0)      /* cpu_nsec */
#define CB_WORKER_HAS_WAIT (1u << 1)     /* wait_nsec */
#define CB_WORKER_HAS_SWITCHES (1u << 2) /* vol_switches, invol_switches */
#define CB_WORKER_HAS_THREADS (1u << 3)
#define CB_WORKER_HAS_LAST_CPU (1u << 4)
#define CB_WORKER_HAS_MASK (1u << 5)
#define CB_WORKER_HAS_FDS (1u << 6)
#define CB_WORKER_HAS_LISTEN (1u << 7)   /* n_listeners, backlog, backlog_max, drops */
#define CB_WORKER_HAS_STATE (1u << 8)    /* state, system_ticks */
#define CB_WORKER_HAS_DATAGRAMS (1u << 9) /* queued_bytes, queued_max_bytes, lost */

struct cb_worker_sample {
	uint32_t key; /* the worker's number, unique while the daemon runs; 0 is none */
	uint32_t present;
	uint64_t cpu_nsec;  /* all threads, exited ones too where taskstats is there */
	uint64_t wait_nsec; /* run-queue wait, all threads */
	uint64_t vol_switches;
	uint64_t invol_switches;
	uint32_t n_threads;
	int32_t last_cpu;
	uint32_t n_fds;
	/* Of the listening sockets that this worker alone serves; those that several share are the group's. */
	uint32_t n_listeners;
	uint32_t backlog;     /* connections waiting to be accepted, now */
	uint32_t backlog_max; /* what the sockets allow */
	uint64_t drops;       /* since they were opened */
	/* The same of its UDP sockets, at addresses that its group names. */
	uint64_t queued_bytes;     /* waiting to be read, now, as the kernel counts them */
	uint64_t queued_max_bytes; /* what SO_RCVBUF allows */
	uint64_t lost;             /* datagrams for which there was no room, since they were opened */
	char state;	       /* 'R', 'S', 'T', ... of the main thread */
	uint64_t system_ticks; /* in the kernel, of 1/USER_HZ s, all threads */
	struct cb_cpuset mask; /* of the main thread */
};

#define CB_GROUP_HAS_PACKETS (1u << 0) /* packets */
#define CB_GROUP_HAS_LISTEN (1u << 1)  /* backlog, backlog_max, drops */
#define CB_GROUP_HAS_METRIC (1u << 2)  /* metric, metric_falls */
#define CB_GROUP_HAS_DATAGRAMS (1u << 3) /* queued_bytes, queued_max_bytes, lost */

/* Counters that belong to a group as a whole: its network namespace's packets, its listening sockets. */
struct cb_group_sample {
	uint32_t key; /* the group's number; 0 is none */
	uint32_t present;
	uint64_t packets;     /* TCP segments and UDP datagrams, in and out, of the workers' network namespace */
	uint32_t backlog;     /* connections waiting to be accepted, now, all listeners of the group */
	uint32_t backlog_max; /* what the listeners allow, summed */
	uint64_t drops;       /* connections dropped at the group's listeners since they were opened */
	uint64_t queued_bytes, queued_max_bytes, lost; /* of its UDP sockets, as for a worker */
	double metric;        /* ServiceMetric=: the number that the operator's command printed last; finite */
	bool metric_falls;    /* less is better */
};

#define CB_WORKERS_MAX 1024u
#define CB_GROUPS_MAX 64u
#define CB_IRQS_MAX 16384u

struct cb_snapshot {
	uint64_t time_usec;           /* CLOCK_MONOTONIC at the middle of the reads */
	uint32_t topology_generation; /* of the topology that indexes cpu[] */
	uint32_t valid;               /* bit per enum cb_source: read in this tick */
	uint32_t user_hz;             /* ticks per second of time_ticks, sysconf(_SC_CLK_TCK) */

	uint64_t ctxt;       /* context switches since boot */
	uint64_t intr_total; /* interrupts since boot */
	uint32_t procs_running;
	uint32_t procs_blocked;

	uint32_t n_cpus; /* entries of cpu[], indexed by CPU number; offline ones have present = 0 */
	uint32_t n_irqs; /* ascending irq */
	uint32_t n_workers;
	uint32_t n_groups;
	uint32_t cap_cpus, cap_irqs, cap_workers, cap_groups; /* allocated */
	struct cb_cpu_sample *cpu;
	struct cb_irq_sample *irq;
	struct cb_worker_sample *worker;
	struct cb_group_sample *group;
};

/*
 * What the next snapshots are wanted for. What nobody needs now is read less often, and no CPU is interrupted for it. A CPU in
 * neither set is not asked for its context switches, which would wake it.
 */
struct cb_demand {
	bool detail;           /* somebody looks, or there is a group and a CPU near being hot: every signal in every tick */
	struct cb_cpuset near; /* CPUs that are hot or near it: asked in every tick */
	struct cb_cpuset busy; /* others that are not idle: asked in turn */
};

/* Make room; contents are lost. Returns 0, -ENOMEM, or -E2BIG beyond the limits above. Does nothing when there is room. */
int cb_snapshot_reserve(struct cb_snapshot *snapshot, uint32_t n_cpus, uint32_t n_irqs, uint32_t n_workers,
			uint32_t n_groups) _must_check_;
void cb_snapshot_done(struct cb_snapshot *snapshot);

/* Growth of a counter since @prev; a decrease means that it was reset, and counts as 0. */
static inline uint64_t cb_counter_delta(uint64_t now, uint64_t prev)
{
	return now >= prev ? now - prev : 0;
}
