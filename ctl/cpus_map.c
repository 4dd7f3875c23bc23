/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The machine in a few lines: one for each last-level cache, with the cores, threads and clusters below it. */

#include <json-c/json.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cpubalance/cpuset.h"
#include "json.h"
#include "render.h"
#include "table.h"

/* Lines of a folded map. */
#define FOLDED_MAX 6u

/* CPUs of one node, package and last-level cache, or several of these that are alike. */
struct part {
	int64_t package, llc;	/* -1 unknown, or not all of them the same */
	struct cb_cpuset nodes; /* their numbers, none where that is not known */
	uint32_t n_llcs, n_cores, n_clusters, n_hot;
	double capacity_ratio; /* of the weakest */
	struct cb_cpuset cpus;
};

static struct part *part_of(struct part *parts, size_t *n, struct json_object *cpu)
{
	int64_t node = cb_json_int_or(cpu, "Node", -1);
	struct part part = {
		.package = cb_json_int_or(cpu, "Package", -1),
		.llc = cb_json_int_or(cpu, "LLC", -1),
		.capacity_ratio = 1,
		.n_llcs = 1,
	};

	if (node >= 0 && node < (int64_t)CB_CPUS_MAX)
		cb_cpuset_set(&part.nodes, (unsigned int)node);
	for (size_t i = 0; i < *n; i++)
		if (cb_cpuset_equal(&parts[i].nodes, &part.nodes) &&
		    parts[i].package == part.package && parts[i].llc == part.llc)
			return &parts[i];
	parts[*n] = part;
	return &parts[(*n)++];
}

static void add_cpu(struct part *part, struct json_object *cpu)
{
	const char *heat = cb_json_text_or(cpu, "Heat", "");
	int64_t id = cb_json_int_or(cpu, "CPU", -1);
	double capacity = 1;

	if (id < 0 || id >= (int64_t)CB_CPUS_MAX)
		return;
	cb_cpuset_set(&part->cpus, (unsigned int)id);
	/* a core and a cluster have the number of their lowest CPU */
	part->n_cores += cb_json_int_or(cpu, "Core", -1) == id;
	part->n_clusters += cb_json_int_or(cpu, "Cluster", -1) == id;
	part->n_hot += strcmp(heat, "hot") == 0;
	if (cb_json_number(cpu, "Capacity", &capacity))
		part->capacity_ratio = CB_MIN(part->capacity_ratio, capacity);
}

/* As if each were the other but for the numbers. */
static bool is_like(const struct part *a, const struct part *b, int level)
{
	if (level > 1)
		return true;
	return a->n_cores / a->n_llcs == b->n_cores / b->n_llcs &&
	       a->n_clusters / a->n_llcs == b->n_clusters / b->n_llcs &&
	       cb_cpuset_count(&a->cpus) / a->n_llcs == cb_cpuset_count(&b->cpus) / b->n_llcs &&
	       fabs(a->capacity_ratio - b->capacity_ratio) < 0.005 &&
	       (level > 0 || cb_cpuset_equal(&a->nodes, &b->nodes));
}

static void merge(struct part *part, const struct part *other)
{
	part->nodes = cb_cpuset_or(&part->nodes, &other->nodes);
	part->package = part->package == other->package ? part->package : -1;
	part->llc = -1;
	part->n_llcs += other->n_llcs;
	part->n_cores += other->n_cores;
	part->n_clusters += other->n_clusters;
	part->n_hot += other->n_hot;
	part->capacity_ratio = CB_MIN(part->capacity_ratio, other->capacity_ratio);
	part->cpus = cb_cpuset_or(&part->cpus, &other->cpus);
}

/* Those of a node that are alike; where that is not few enough, those of all nodes; else all. Returns how many are left. */
static size_t fold_parts(struct part *parts, size_t n)
{
	for (int level = 0; level < 3 && n > FOLDED_MAX; level++) {
		size_t left = 0;

		for (size_t i = 0; i < n; i++) {
			size_t at = 0;

			while (at < left && !is_like(&parts[at], &parts[i], level))
				at++;
			if (at < left)
				merge(&parts[at], &parts[i]);
			else
				parts[left++] = parts[i];
		}
		n = left;
	}
	return n;
}

static void add_int(struct json_object *row, const char *key, int64_t value)
{
	if (value >= 0)
		json_object_object_add(row, key, cb_must(json_object_new_int64(value)));
}

static struct json_object *row_of(const struct part *part, bool fold)
{
	struct json_object *row = cb_must(json_object_new_object());
	uint32_t n_nodes = cb_cpuset_count(&part->nodes);
	char list[CB_CPULIST_MAX];

	if (fold)
		cb_show_few_cpus(&part->cpus, list, sizeof(list));
	else
		cb_cpuset_show(&part->cpus, list, sizeof(list));

	if (n_nodes == 1)
		add_int(row, "Node", cb_cpuset_first(&part->nodes));
	add_int(row, "Package", part->package);
	add_int(row, "LLC", part->llc);
	add_int(row, "LLCs", part->n_llcs);
	if (n_nodes > 0)
		add_int(row, "Nodes", n_nodes);
	add_int(row, "Cores", part->n_cores);
	add_int(row, "Clusters", part->n_clusters);
	add_int(row, "Hot", part->n_hot);
	if (part->n_cores)
		add_int(row, "Threads", cb_cpuset_count(&part->cpus) / part->n_cores);
	if (part->capacity_ratio < 1)
		json_object_object_add(row, "Capacity",
				       cb_must(json_object_new_double(part->capacity_ratio)));
	json_object_object_add(row, "CPUs", cb_must(json_object_new_string(list)));
	return row;
}

void cb_render_cpus_map(FILE *out, const struct cb_style *style, struct json_object *cpus,
			bool fold)
{
	struct cb_column columns[] = {
		{ .title = "NODE", .cell = CB_CELL_CPU, .key = "Node" },
		{ .title = "PACKAGE", .cell = CB_CELL_CPU, .key = "Package", .drop = 3 },
		{ .title = "LLC", .cell = CB_CELL_CPU, .key = "LLC" },
		{ .title = "CORES", .cell = CB_CELL_NUMBER, .key = "Cores" },
		{ .title = "THREADS", .cell = CB_CELL_NUMBER, .key = "Threads", .drop = 2 },
		{ .title = "CLUSTERS",
		  .cell = CB_CELL_NUMBER,
		  .key = "Clusters",
		  .drop = 1,
		  .optional = true },
		{ .title = "CAPACITY%",
		  .cell = CB_CELL_PERCENT,
		  .key = "Capacity",
		  .drop = 4,
		  .optional = true },
		{ .title = "HOT", .cell = CB_CELL_NUMBER, .key = "Hot", .optional = true },
		{ .title = "CPUS", .cell = CB_CELL_TEXT, .key = "CPUs", .min_cols = 16 },
	};
	size_t n_cpus = cb_json_length(cpus), n = 0;
	struct part *parts = cb_must(calloc(n_cpus + 1, sizeof(*parts)));
	struct json_object *rows = cb_must(json_object_new_array());

	for (size_t i = 0; i < n_cpus; i++) {
		struct json_object *cpu = json_object_array_get_idx(cpus, i);

		if (cb_json_get(cpu, "Core") && cb_json_true(cpu, "Online"))
			add_cpu(part_of(parts, &n, cpu), cpu);
	}
	if (fold && n > FOLDED_MAX) {
		n = fold_parts(parts, n);
		for (size_t i = 0; i < n; i++)
			if (cb_cpuset_count(&parts[i].nodes) > 1)
				columns[0] = (struct cb_column){ .title = "NODES",
								 .cell = CB_CELL_NUMBER,
								 .key = "Nodes" };
		columns[2] = (struct cb_column){ .title = "LLCS",
						 .cell = CB_CELL_NUMBER,
						 .key = "LLCs" };
	}
	for (size_t i = 0; i < n; i++)
		json_object_array_add(rows, row_of(&parts[i], fold));
	if (n > 0) {
		fputc('\n', out);
		cb_table_print(out, style, columns, CB_ARRAY_SIZE(columns), rows, 0, NULL);
	}
	json_object_put(rows);
	free(parts);
}
