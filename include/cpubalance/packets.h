/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Where packets could be handled, as far as figures tell: the pure half of packet steering. Whether it may be done is the
 * engine's business.
 */

#include "cpubalance/plan.h"
#include "cpubalance/topology.h"

/*
 * What stays on the CPU that takes the interrupt when its packets are handled elsewhere: fetching them from the device, and telling
 * the other CPU.
 */
#define CB_RPS_STAYS_RATIO 0.25

struct cb_rps_problem {
	const struct cb_topology *topology;
	struct cb_cpuset may;	  /* CPUs that may be used: online, allowed, not isolated */
	struct cb_cpuset isolated; /* that are left out of @may for being isolated, to say so */
	const double *load_ratio; /* [n_cpu_ids] what each CPU has to do, more than 1 where work waits */
	unsigned int cpu;	  /* that handles the packets now */
	double softirq_ratio;	  /* of its time, what is spent on these packets */
	double cooler_by_ratio;	  /* another CPU has to be this much cooler */
	double min_gain_ratio;	  /* by which the hottest has to become cooler, expected */
	double min_item_ratio;	  /* by which each further CPU has to make it cooler */
	bool cross_node;
};

struct cb_rps_choice {
	struct cb_cpuset cpus; /* with the CPU itself where it has room */
	int32_t best_cpu;      /* the coolest of them, -1 none */
	double before_ratio, after_ratio; /* expected load of the hottest CPU concerned */
};

/*
 * NONE with the CPUs in @ret; NO_GAIN, OTHER_NODE, SIBLINGS, ISOLATED or OUTSIDE_CPUSET. SMT siblings of the CPU are no more capacity than
 * it is itself, and of another core one thread is enough.
 */
enum cb_reject cb_rps_choose(const struct cb_rps_problem *problem, struct cb_rps_choice *ret);

/*
 * Which CPUs send by which transmit queue: each by the one whose interrupt is nearest, as many by one as by the others where several are
 * as near. @irq_cpu[n]: where the interrupts of the queues land, -1 unknown. All CPUs of @cpus get one.
 */
void cb_xps_spread(const struct cb_topology *topology, const struct cb_cpuset *cpus,
		   const int32_t *irq_cpu, uint32_t n, struct cb_cpuset *ret);
