/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A small machine in virtual time that drives a real engine through its real inputs and obeys its decisions: CPUs, a scheduler
 * that floats workers inside their masks, pinned batch jobs, one group of workers with a closed or an open load.
 */

#include "cpubalance/engine.h"

#define WORLD_CPUS    8u
#define WORLD_WORKERS 16u
#define WORLD_IRQS    4u

struct world_worker {
	bool alive;
	double demand; /* CPU-seconds wanted per second, at most 1 */
	struct cb_cpuset mask, original;
	uint64_t cpu_nsec, wait_nsec;
	int32_t cpu;	/* where it ran last */
	uint32_t share; /* of CB_SHARES, while the group's connections are shared out */
	int32_t incoming_cpu;
};

/* An interrupt of eth0, number 40 + index, queue index; its queue's transmit side is used by the CPUs of @xps. */
struct world_irq {
	int32_t cpu, original;
	double softirq_ratio; /* of its CPU's time */
	enum cb_queue_dir dir;
	struct cb_cpuset xps, xps_original;
	uint64_t count;
};

struct world {
	struct cb_engine *engine;
	struct cb_policy policy;
	struct cb_topology *topology;
	struct cb_snapshot snapshot;
	uint64_t now_usec;
	uint32_t n_cpus, n_workers, n_irqs;
	struct world_worker worker[WORLD_WORKERS];
	struct world_irq irq[WORLD_IRQS];
	double batch[WORLD_CPUS];      /* load of others, pinned */
	double efficiency[WORLD_CPUS]; /* packets per CPU-second of a worker there, relative */
	double load_factor;	       /* scales every demand */
	double noise_ratio;	       /* of served work, uniform +- */
	double drift_rho,
		drift_ratio; /* autocorrelated load: AR(1) with this memory per second and standard deviation */
	double drift;	     /* its present value */
	double effect_ratio; /* of any placement on served work, beyond what the CPUs explain */
	uint64_t packets, ticks[WORLD_CPUS][_CB_TIME_MAX];
	uint32_t seed;
	void (*shape)(struct world *world,
		      struct cb_snapshot *snapshot); /* the last word about a snapshot, NULL none */
	int fail_errno;				     /* next writes fail so, 0: they work */
	enum cb_error_class fail_class;
	bool shared; /* the shares hold */
	enum cb_reject refuse_steering;
	double softirq_ratio; /* CPU-seconds per second that receiving takes, at CPU 0 while nothing else is said */
	struct cb_cpuset rps, rps_original;
	bool has_flows; /* there is a table of readers of flows */
	uint32_t flows; /* of what was written last, 0 put back */
	uint64_t softirqs[WORLD_CPUS];
	/* seen */
	uint32_t n_applies, n_releases;
	struct cb_decision last; /* of the last feed */
	uint32_t n_notices[_CB_NOTICE_MAX];
	enum cb_verdict last_verdict;
	char last_sentence[256];
	struct cb_notice last_finding; /* that began or ended */
};

/* Policy with defaults but no quiet start; all of @n_workers pinned to CPU 0, demand 0.5 each, group key 1 named "web". */
void world_init(struct world *world, uint32_t n_cpus, uint32_t n_workers);
void world_done(struct world *world);
/* Feed, obey (write masks, answer with outcomes) until nothing is to be done. Returns the first decision. */
struct cb_decision world_feed(struct world *world, const struct cb_input *input);
struct cb_decision world_command(struct world *world, const struct cb_command *command);
void world_event(struct world *world, const struct cb_event *event);
void world_tick(struct world *world); /* one second */
void world_ticks(struct world *world, uint32_t n);
/* Ticks until something is written. */
void world_until_applied(struct world *world, uint32_t at_most);
/* One more worker of a group, pinned to @cpu. Returns its index; its key is one more. */
uint32_t world_add_worker(struct world *world, uint32_t group_key, unsigned int cpu, double demand,
			  uint64_t start_ticks);
/* world_init() with four CPUs: worker i and the interrupt of queue i of eth0 on CPU i, @n of them. */
void world_init_queues(struct world *world, uint32_t n);
/* The inventory of world->irq[], when world->n_irqs or what is not their CPU has changed. Has to be called before the first tick with them. */
void world_irqs(struct world *world);
/* The inventory of one virtual interface, veth0 with a receive queue, and of eth0's transmit queues, as it is now. */
void world_queues(struct world *world);
#define WORLD_IFINDEX 4u
#define WORLD_ETH     5u
void world_policy(struct world *world); /* feed world->policy again */
void world_topology(struct world *world);

/* The first finding of a kind, NULL none; whether it counts; what is said of it, which has to be there (static storage). */
const struct cb_finding *world_finding(const struct world *world, enum cb_finding_kind kind);
bool world_confirmed(const struct world *world, enum cb_finding_kind kind);
const char *world_sentence(const struct world *world, enum cb_finding_kind kind);
/* Is an item of that kind refused so? */
bool world_refused(const struct world *world, enum cb_item_kind kind, enum cb_reject reason);
/* Findings that were told to begin or to end, so far. */
uint32_t world_n_told(const struct world *world);
