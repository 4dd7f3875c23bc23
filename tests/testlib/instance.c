/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "instance.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOAD_ONE 1000000 /* one CPU */

/* --- chance --- */

static uint64_t random_bits(uint64_t *seed) /* splitmix64 */
{
	uint64_t z = *seed += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

double instance_uniform(uint64_t *seed)
{
	return (double)(random_bits(seed) >> 11) / (double)(UINT64_C(1) << 53);
}

double instance_normal(uint64_t *seed)
{
	double u = 1 - instance_uniform(seed), v = instance_uniform(seed);

	return sqrt(-2 * log(u)) * cos(2 * M_PI * v);
}

/* --- reading --- */

static bool complain(const char *path, unsigned int line, const char *what)
{
	fprintf(stderr, "%s:%u: %s\n", path, line, what);
	return false;
}

static bool take_cpu(struct instance *instance, const char *text)
{
	unsigned int id;
	int node, llc, core;

	if (sscanf(text, "%u %d %d %d", &id, &node, &llc, &core) != 4 || id >= instance->n_cpus ||
	    node < 0 || (uint32_t)node >= INSTANCE_NODES || core < 0 ||
	    (uint32_t)core >= instance->n_cpus)
		return false;
	instance->cpu[id] = (struct cb_cpu_place){ .node = node,
						   .package = node,
						   .llc = llc,
						   .core = core,
						   .capacity = CB_CAPACITY_FULL };
	cb_cpuset_set(&instance->all, id);
	cb_cpuset_set(&instance->node[node], id);
	instance->n_nodes = CB_MAX(instance->n_nodes, (uint32_t)node + 1);
	return true;
}

static bool take_item(struct instance *instance, const char *text)
{
	unsigned int id;
	char kind[16];
	int64_t load;
	int node, start;

	if (sscanf(text, "%u %15s %" SCNd64 " %d %d", &id, kind, &load, &node, &start) != 5 ||
	    id >= instance->n_items || load < 0 || node < -1 || node >= (int)instance->n_nodes ||
	    start < 0 || (uint32_t)start >= instance->n_cpus)
		return false;
	instance->item[id] = (struct instance_item){ load, node, start, strcmp(kind, "irq") == 0 };
	return true;
}

static bool take_line(struct instance *instance, const char *text)
{
	char word[16];
	int at = 0;

	if (sscanf(text, " %15s%n", word, &at) != 1)
		return true; /* empty */
	if (strcmp(word, "cpus") == 0)
		return sscanf(text + at, "%u", &instance->n_cpus) == 1 &&
		       instance->n_cpus <= INSTANCE_CPUS;
	if (strcmp(word, "items") == 0)
		return sscanf(text + at, "%u", &instance->n_items) == 1 &&
		       instance->n_items <= INSTANCE_ITEMS;
	if (strcmp(word, "cpu") == 0)
		return take_cpu(instance, text + at);
	return strcmp(word, "item") == 0 && take_item(instance, text + at);
}

bool instance_read(struct instance *instance, const char *path)
{
	const char *slash = strrchr(path, '/');
	FILE *file = fopen(path, "re");
	unsigned int n = 0;
	char line[256];
	bool good = true;

	memset(instance, 0, sizeof(*instance));
	snprintf(instance->name, sizeof(instance->name), "%s", slash ? slash + 1 : path);
	if (!file)
		return complain(path, 0, strerror(errno));
	while (good && fgets(line, sizeof(line), file)) {
		n++;
		good = take_line(instance, line);
	}
	fclose(file);
	if (!good)
		return complain(path, n,
				"not understood, or more CPUs, nodes or items than this can hold");
	return cb_cpuset_count(&instance->all) == instance->n_cpus ||
	       complain(path, n, "not every CPU has its line");
}

/* --- making --- */

static double draw(enum instance_shape shape, uint32_t i, uint64_t *seed)
{
	double u = 1 - instance_uniform(seed);

	switch (shape) {
	case SHAPE_UNIFORM:
		return 0.5 + u;
	case SHAPE_LOGNORM:
		return exp(instance_normal(seed));
	case SHAPE_PARETO:
		return pow(u, -1 / 1.3);
	case SHAPE_ZIPF:
		return 1.0 / (i + 1);
	case SHAPE_ELEPHANTS:
		return i % 12 == 0 ? 10 + 10 * u : 0.5 + u;
	case SHAPE_SPARSE:
		return i % 4 == 0 ? 1 + 4 * u : 0;
	case _SHAPE_MAX:
		break;
	}
	return 0;
}

/* Loads that sum up to the wanted utilisation, none above 0.9 of a CPU: what is cut off goes to the others. */
static void draw_loads(struct instance *instance, const struct instance_params *params,
		       uint64_t *seed)
{
	static double load[INSTANCE_ITEMS];
	double wanted = params->utilisation_ratio * params->n_cpus;

	for (uint32_t i = 0; i < instance->n_items; i++)
		load[i] = draw(params->shape, i, seed);
	for (int round = 0; round < 8; round++) {
		double sum = 0;

		for (uint32_t i = 0; i < instance->n_items; i++)
			sum += load[i];
		for (uint32_t i = 0; i < instance->n_items; i++)
			load[i] = CB_MIN(load[i] * wanted / sum, 0.9);
	}
	for (uint32_t i = 0; i < instance->n_items; i++)
		instance->item[i].load = (int64_t)(load[i] * LOAD_ONE);
}

static void make_cpus(struct instance *instance, const struct instance_params *params)
{
	uint32_t per_node = params->n_cpus / params->n_nodes;

	instance->n_cpus = params->n_cpus;
	instance->n_nodes = params->n_nodes;
	for (uint32_t i = 0; i < params->n_cpus; i++) {
		uint32_t half = i < params->n_cpus / 2 ? i : i - params->n_cpus / 2, node;

		/* siblings are half of the numbers apart, as on most machines */
		node = CB_MIN(half / CB_MAX(per_node / 2, 1u), params->n_nodes - 1);
		instance->cpu[i] = (struct cb_cpu_place){
			.node = (int32_t)node,
			.package = (int32_t)node,
			.llc = (int32_t)(half / 8 * 8),
			.core = (int32_t)half,
			.capacity = CB_CAPACITY_FULL,
		};
		cb_cpuset_set(&instance->all, i);
		cb_cpuset_set(&instance->node[node], i);
	}
}

static int32_t coolest(const struct instance *instance, const int64_t *load, int32_t node)
{
	int32_t best = -1;

	for (uint32_t cpu = 0; cpu < instance->n_cpus; cpu++)
		if ((node < 0 || instance->cpu[cpu].node == node) &&
		    (best < 0 || load[cpu] < load[best]))
			best = (int32_t)cpu;
	return best;
}

static void make_starts(struct instance *instance, enum instance_start start, uint64_t *seed)
{
	int64_t load[INSTANCE_CPUS] = { 0 };

	for (uint32_t i = 0; i < instance->n_items; i++) {
		struct instance_item *item = &instance->item[i];
		int32_t node = item->node >= 0 ? item->node :
						 (int32_t)(random_bits(seed) % instance->n_nodes);
		uint32_t hot = (uint32_t)(random_bits(seed) % 3),
			 cpu = cb_cpuset_first(&instance->node[node]);

		if (start == START_RANDOM)
			hot = (uint32_t)(random_bits(seed) %
					 cb_cpuset_count(&instance->node[node]));
		while (hot--) {
			uint32_t next = cb_cpuset_next(&instance->node[node], cpu + 1);

			cpu = next < instance->n_cpus ? next : cpu;
		}
		item->start = start == START_DRIFT ? coolest(instance, load, item->node) :
						     (int32_t)cpu;
		load[item->start] += item->load;
		if (start == START_DRIFT && random_bits(seed) % 4 == 0) {
			double drifted = (double)item->load * exp(0.7 * instance_normal(seed));

			item->load = (int64_t)CB_MIN(drifted, 0.9 * LOAD_ONE);
		}
	}
}

void instance_make(struct instance *instance, const struct instance_params *params)
{
	static const char *const shapes[_SHAPE_MAX] = { "uniform", "lognorm",	"pareto",
							"zipf",	   "elephants", "sparse" };
	static const char *const starts[_START_MAX] = { "hot", "drift", "random" };
	uint64_t seed = params->seed;

	memset(instance, 0, sizeof(*instance));
	snprintf(instance->name, sizeof(instance->name), "c%un%u-%s-u%.0f-%s-%s-s%" PRIu64,
		 params->n_cpus, params->n_nodes, shapes[params->shape],
		 params->utilisation_ratio * 100, starts[params->start],
		 params->pinned ? "pin" : "free", params->seed);
	make_cpus(instance, params);
	instance->n_items = params->n_items;
	draw_loads(instance, params, &seed);
	for (uint32_t i = 0; i < instance->n_items; i++) {
		bool pinned = params->pinned && i % 3 != 2;

		instance->item[i].irq = i % 3 != 2;
		instance->item[i].node = pinned ? (int32_t)(random_bits(&seed) % params->n_nodes) :
						  -1;
	}
	make_starts(instance, params->start, &seed);
}

/* --- judging --- */

static int descending(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x < y) - (x > y);
}

static int64_t bound_of(int64_t *load, uint32_t n, uint32_t k)
{
	int64_t sum = 0, bound;

	if (n == 0 || k == 0)
		return 0;
	qsort(load, n, sizeof(*load), descending);
	for (uint32_t i = 0; i < n; i++)
		sum += load[i];
	bound = CB_MAX((sum + k - 1) / k, load[0]);
	for (uint32_t j = 1; j * k < n; j++) {
		int64_t smallest = 0;

		for (uint32_t i = 0; i <= j; i++)
			smallest += load[j * k - i];
		bound = CB_MAX(bound, smallest);
	}
	return bound;
}

int64_t instance_bound(const struct instance *instance)
{
	static int64_t load[INSTANCE_ITEMS];
	int64_t bound;

	for (uint32_t i = 0; i < instance->n_items; i++)
		load[i] = instance->item[i].load;
	bound = bound_of(load, instance->n_items, instance->n_cpus);
	for (uint32_t node = 0; instance->n_nodes > 1 && node < instance->n_nodes; node++) {
		uint32_t n = 0;
		int64_t of_node;

		for (uint32_t i = 0; i < instance->n_items; i++)
			if (instance->item[i].node == (int32_t)node)
				load[n++] = instance->item[i].load;
		of_node = bound_of(load, n, cb_cpuset_count(&instance->node[node]));
		bound = CB_MAX(bound, of_node);
	}
	return bound;
}

int64_t instance_hottest(const struct instance *instance, const int32_t *cpu)
{
	int64_t load[INSTANCE_CPUS] = { 0 }, hottest = 0;

	for (uint32_t i = 0; i < instance->n_items; i++)
		if (cpu[i] >= 0)
			load[cpu[i]] += instance->item[i].load;
	for (uint32_t i = 0; i < instance->n_cpus; i++)
		hottest = CB_MAX(hottest, load[i]);
	return hottest;
}

double instance_hottest_felt_ratio(const struct instance *instance, const int32_t *cpu,
				   double smt_ratio)
{
	int64_t load[INSTANCE_CPUS] = { 0 }, core[INSTANCE_CPUS] = { 0 }, sum = 0, biggest = 0;
	double hottest = 0, bound, felt = 1;
	uint32_t n_threads = 0;

	for (uint32_t i = 0; i < instance->n_items; i++) {
		if (cpu[i] < 0)
			continue;
		load[cpu[i]] += instance->item[i].load;
		core[instance->cpu[cpu[i]].core] += instance->item[i].load;
		sum += instance->item[i].load;
		biggest = CB_MAX(biggest, instance->item[i].load);
	}
	for (uint32_t i = 0; i < instance->n_cpus; i++) {
		double others = (double)(core[instance->cpu[i].core] - load[i]);

		hottest = CB_MAX(hottest, (double)load[i] + smt_ratio * others);
		n_threads += instance->cpu[i].core == instance->cpu[0].core;
	}
	felt += smt_ratio * (n_threads - 1);
	bound = CB_MAX(felt * (double)sum / instance->n_cpus, (double)biggest);
	return bound > 0 ? hottest / bound : 1;
}

int32_t instance_hottest_cpu(const struct instance *instance)
{
	int64_t load[INSTANCE_CPUS] = { 0 };
	int32_t hottest = 0;

	for (uint32_t i = 0; i < instance->n_items; i++)
		load[instance->item[i].start] += instance->item[i].load;
	for (uint32_t i = 0; i < instance->n_cpus; i++)
		if (load[i] > load[hottest])
			hottest = (int32_t)i;
	return hottest;
}

uint32_t instance_violations(const struct instance *instance, const int32_t *cpu)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < instance->n_items; i++) {
		const struct instance_item *item = &instance->item[i];

		n += cpu[i] < 0 || (uint32_t)cpu[i] >= instance->n_cpus ||
		     (item->node >= 0 && instance->cpu[cpu[i]].node != item->node);
	}
	return n;
}

/* --- as a problem --- */

bool instance_problem_init(struct instance_problem *ip, const struct instance *instance)
{
	memset(ip, 0, sizeof(*ip));
	ip->topology = cb_topology_new(instance->n_cpus);
	ip->problem.scratch = cb_planner_scratch_new(instance->n_cpus, instance->n_items);
	if (!ip->topology || !ip->problem.scratch) {
		instance_problem_done(ip);
		return false;
	}
	ip->topology->possible = ip->topology->online = instance->all;
	ip->topology->n_online = instance->n_cpus;
	for (uint32_t i = 0; i < instance->n_cpus; i++) {
		ip->topology->cpu[i] = instance->cpu[i];
		ip->capacity_ratio[i] = 1;
	}
	for (uint32_t i = 0; i < instance->n_items; i++) {
		const struct instance_item *item = &instance->item[i];

		ip->item[i] = (struct cb_planner_item){
			.ref = { item->irq ? CB_ITEM_IRQ : CB_ITEM_WORKER, i + 1 },
			.load_ratio = (double)item->load / LOAD_ONE,
			.cpu = item->start,
			.single = true,
			.mask = &instance->all,
			.target = item->node < 0 ? &instance->all : &instance->node[item->node],
		};
	}
	ip->problem.topology = ip->topology;
	ip->problem.floor_ratio = ip->floor_ratio;
	ip->problem.capacity_ratio = ip->capacity_ratio;
	ip->problem.item = ip->item;
	ip->problem.n_items = instance->n_items;
	return true;
}

void instance_problem_done(struct instance_problem *ip)
{
	ip->problem.scratch = cb_planner_scratch_free(ip->problem.scratch);
	ip->topology = cb_topology_unref(ip->topology);
}
