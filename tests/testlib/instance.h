/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A placement problem as data: CPUs on nodes, items with loads, some bound to a node, and where they are at first. Read from a file
 * or made from a seed; and an opinion on a solution that shares no code with the planner. Loads are integers here, in millionths
 * of one CPU, so that the score of a solution is exact.
 *
 *     cpus N
 *     cpu ID NODE LLC CORE
 *     items N
 *     item ID irq|worker LOAD NODE START_CPU      NODE -1: free
 */

#include "cpubalance/planner.h"

#define INSTANCE_CPUS  1024u
#define INSTANCE_NODES 16u
#define INSTANCE_ITEMS 5120u

struct instance_item {
	int64_t load;
	int32_t node; /* -1 free */
	int32_t start;
	bool irq;
};

struct instance {
	char name[96];
	uint32_t n_cpus, n_items, n_nodes;
	struct cb_cpu_place cpu[INSTANCE_CPUS];
	struct instance_item item[INSTANCE_ITEMS];
	struct cb_cpuset all, node[INSTANCE_NODES];
};

enum instance_shape {
	SHAPE_UNIFORM,
	SHAPE_LOGNORM,
	SHAPE_PARETO,
	SHAPE_ZIPF,
	SHAPE_ELEPHANTS,
	SHAPE_SPARSE,
	_SHAPE_MAX
};
enum instance_start {
	START_HOT,   /* everything on a few CPUs of its node */
	START_DRIFT, /* once balanced, then the loads have changed */
	START_RANDOM,
	_START_MAX,
};

struct instance_params {
	uint32_t n_cpus, n_nodes, n_items;
	enum instance_shape shape;
	enum instance_start start;
	double utilisation_ratio;
	bool pinned; /* a part of the items is bound to a node */
	uint64_t seed;
};

/* False, with one line on stderr, when it cannot be read or breaks the format. */
bool instance_read(struct instance *instance, const char *path) _must_check_;
void instance_make(struct instance *instance, const struct instance_params *params);

/* A level that no assignment gets below: mean, largest item and pigeonholes, for all and for the items of each node. */
int64_t instance_bound(const struct instance *instance);
/* The highest load of a CPU; @cpu[n_items]. */
int64_t instance_hottest(const struct instance *instance, const int32_t *cpu);
/* The same as a multiple of a bound, where a CPU feels a share of what its siblings have; all cores are alike. */
double instance_hottest_felt_ratio(const struct instance *instance, const int32_t *cpu,
				   double smt_ratio);
/* The hottest CPU of the start. */
int32_t instance_hottest_cpu(const struct instance *instance);
/* Items that are on no CPU, or not on their node. */
uint32_t instance_violations(const struct instance *instance, const int32_t *cpu);

/* A random number in 0..1 (1 excluded), and one of the standard normal distribution. */
double instance_uniform(uint64_t *seed);
double instance_normal(uint64_t *seed);

/* The instance as a problem: weights 0, no floor, capacity 1. The instance and the loaded problem must live as long. */
struct instance_problem {
	struct cb_topology *topology;
	double floor_ratio[INSTANCE_CPUS], capacity_ratio[INSTANCE_CPUS];
	struct cb_planner_item item[INSTANCE_ITEMS];
	struct cb_planner_problem problem;
};
bool instance_problem_init(struct instance_problem *ip, const struct instance *instance)
	_must_check_;
void instance_problem_done(struct instance_problem *ip);
