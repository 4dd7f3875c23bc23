/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The plant: a machine in virtual time. Flows are hashed to the queues of an interface and to the workers of a group; the packets of a
 * queue cost softirq time where its interrupt lands; what arrives is work for the worker; the scheduler gives each task a CPU inside
 * its mask and shares the CPU; a busy sibling, a small core, the hypervisor and a far cache make work slower. The plant
 * knows no engine: it is told masks and shows counters. docs/SIMULATION.md has the equations and their limits.
 *
 * Chance is a hash of (seed, what, who, when), so that two runs of one seed meet the same loads whatever is done about them.
 *
 *     plant.c         life, workers, events
 *     plant_flow.c    flows
 *     plant_step.c    one step of the machine
 *     plant_sched.c   which CPU a task runs on
 */

#include "cpubalance/snapshot.h"
#include "scenario.h"

#define PLANT_STEPS 4u /* of a window of one second */
#define PLANT_NONE  UINT32_MAX

enum plant_chance { /* what a random number is for */
		    CHANCE_FLOW_SIZE,
		    CHANCE_FLOW_QUEUE,
		    CHANCE_FLOW_WORKER,
		    CHANCE_CHURN,
		    CHANCE_DRIFT,
		    CHANCE_NOISE,
		    CHANCE_ARRIVAL,
		    CHANCE_WAKE,
		    CHANCE_WAKE_WHERE,
		    CHANCE_RESPAWN,
		    CHANCE_STEAL,
};

struct plant_cpu {
	bool online;
	double capacity_ratio, steal_level;
	double speed; /* what a second here gets done, of a second on a whole full core */
	double load;  /* what wants to run here, in CPUs */
	double softirq, busy, steal; /* shares of the last step; busy has softirq, not steal */
	double delivered;	     /* share of the packets here that softirq has time for */
	uint32_t first;		     /* task, by plant_task.next */
	double seconds[_CB_TIME_MAX], n_softirqs, n_switches, n_dropped; /* since the beginning */
	double window_busy; /* share of the last window in which it was wanted: busy, or stolen */
};

struct plant_task {
	bool worker, alive;
	uint32_t group, slot;		 /* of a worker; of a batch job its number and the copy's */
	uint32_t key;			 /* of a worker: unique, from 1 */
	uint64_t start_ticks, back_usec; /* back: when it is there again, 0 it is not to be */
	struct cb_cpuset mask, original;
	int32_t cpu, home_node;
	uint32_t weight, next;
	double work, requests; /* arriving a second: CPU-seconds on a whole core; number */
	double noise;	       /* factor of work, in this window */
	double backlog;	       /* work that waits */
	double want, got;      /* shares of its CPU */
	double served_per_sec; /* requests, in the last step */
	double flow_size;      /* sum of its flows' */
	uint32_t n_flows;
	double cpu_sec, wait_sec, n_vol, n_invol; /* of this life */
	double all_wait_sec;			  /* of all lives of this slot */
};

struct plant_queue {
	uint32_t nic, irq;
	bool alive;
	struct cb_cpuset mask, original;
	int32_t cpu;
	double packets_per_sec, n_interrupts, n_packets;
};

struct plant_flow {
	bool alive, elephant;
	uint32_t group, generation;
	double size;	      /* of the group's rate */
	uint32_t queue, task; /* PLANT_NONE: local; no worker alive */
	uint64_t until_usec;  /* 0: for ever */
};

/* The flows of one queue to one worker, together. */
struct plant_cell {
	uint32_t group, queue, task; /* as of a flow */
	double size;
};

struct plant_group {
	uint32_t first_task, first_queue, n_queues; /* n_queues: that flows are hashed to now */
	double drift, churn;			    /* churn: flows that are due, below 1 */
	double factor, factor_from, factor_to;	    /* of the rate, and the ramp that it is on */
	uint64_t ramp_usec, ramp_for_usec;
	double n_served, n_lost; /* requests since the beginning */
};

struct plant {
	const struct scenario *scenario;
	uint64_t seed, start_usec, now_usec;
	uint32_t n_steps, n_windows; /* done */
	uint32_t n_cpus, n_tasks, n_workers, n_queues, n_flows, n_happened, next_key;
	struct cb_topology *topology;	       /* replaced when CPUs come or go */
	bool topology_changed, queues_changed; /* in this window */
	struct plant_cpu *cpu;
	struct plant_task *task; /* workers first, by group and slot */
	struct plant_queue *queue;
	struct plant_flow *flow;
	bool cells_stale;	    /* a flow has changed since they were made */
	uint32_t n_cells, *cell_of; /* [(n_queues + 1) * (n_workers + n_groups)] */
	struct plant_cell *cell;
	struct plant_group group[SCENARIO_GROUPS_MAX];
	/* workers that went or came in this window, as task numbers; a task may do both */
	uint32_t n_gone, n_come, *gone_key, *come;
	struct cb_cpuset seen; /* scratch */
};

/* @scenario has to live as long. Returns NULL without memory. */
struct plant *plant_new(const struct scenario *scenario, uint64_t seed) _must_check_;
struct plant *plant_free(struct plant *plant);
/* What is due happens, then one second passes. */
void plant_window(struct plant *plant);

/* A mask is set as the kernel would: what is offline has no effect. False: no CPU of it is online. */
bool plant_set_task(struct plant *plant, uint32_t task, const struct cb_cpuset *mask);
bool plant_set_queue(struct plant *plant, uint32_t queue, const struct cb_cpuset *mask);

double plant_uniform(const struct plant *plant, enum plant_chance chance, uint64_t who,
		     uint64_t when); /* 0..1 */
double plant_normal(const struct plant *plant, enum plant_chance chance, uint64_t who,
		    uint64_t when);
uint64_t plant_elapsed_usec(const struct plant *plant);
/* Requests a second that the clients of the group want now. */
double plant_rate(const struct plant *plant, uint32_t group);

/* for plant*.c */
uint32_t plant_pick_worker(const struct plant *plant, uint32_t group,
			   double chance); /* PLANT_NONE: none alive */
uint32_t plant_pick_queue(const struct plant *plant, uint32_t group, double chance);
void plant_hash_flow(struct plant *plant, uint32_t flow);
void plant_begin_flow(struct plant *plant, uint32_t flow);
void plant_churn(struct plant *plant, uint32_t group);
void plant_make_cells(struct plant *plant);
void plant_step(struct plant *plant, double dt);
void plant_schedule(struct plant *plant);
