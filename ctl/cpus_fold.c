/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A large machine on one screen: the hottest CPUs one by one, all others as one line for each node and state, with the means of their
 * figures.
 */

#include <json-c/json.h>

#include <stdlib.h>
#include <string.h>

#include "cpubalance/cpuset.h"
#include "json.h"
#include "render.h"
#include "table.h"

/* With the headings, the map and what is said below, they fit 24 lines. */
#define ALONE_MAX  5u
#define FOLDED_MAX 7u
/* A machine of so many CPUs needs no folding. */
#define SMALL 16u
/* Beyond this, a list of CPUs is cut. */
#define LIST_COLS 26u

static const char *const heats[] = { "hot", "warm", "cool", "offline", "-" };
#define N_HEATS CB_ARRAY_SIZE(heats)

static const char *const means[] = {
	"Busy",	 "User",    "System",	  "IRQ",   "SoftIRQ",
	"Steal", "Workers", "Interrupts", "Other", "ContextSwitchesPerSec"
};
#define N_MEANS CB_ARRAY_SIZE(means)

/* CPUs of one state, and of one node where that is told apart. */
struct fold {
	size_t heat;
	int64_t node;
	uint32_t n;
	struct cb_cpuset cpus;
	double sum[N_MEANS];
	uint32_t known[N_MEANS];
};

static size_t heat_of(struct json_object *cpu)
{
	const char *heat = cb_json_text_or(cpu, "Heat", "-");

	if (cb_json_get(cpu, "Online") && !cb_json_true(cpu, "Online"))
		heat = "offline";
	for (size_t i = 0; i < N_HEATS; i++)
		if (strcmp(heats[i], heat) == 0)
			return i;
	return N_HEATS - 1;
}

static double busy_of(struct json_object *cpu)
{
	double busy = 0;

	cb_json_number(cpu, "Busy", &busy);
	return busy;
}

/* What is hot first, the busiest of it first; else by number. */
static int by_urgency(const void *a, const void *b)
{
	struct json_object *x = *(struct json_object *const *)a,
			   *y = *(struct json_object *const *)b;
	bool hot_x = heat_of(x) == 0, hot_y = heat_of(y) == 0;

	if (hot_x != hot_y)
		return hot_x ? -1 : 1;
	if (hot_x && busy_of(x) != busy_of(y))
		return busy_of(x) > busy_of(y) ? -1 : 1;
	return cb_by_cpu_number(a, b);
}

static struct fold *fold_of(struct fold *folds, size_t *n, size_t heat, int64_t node)
{
	size_t at = 0;

	while (at < *n &&
	       (folds[at].heat < heat || (folds[at].heat == heat && folds[at].node < node)))
		at++;
	if (at < *n && folds[at].heat == heat && folds[at].node == node)
		return &folds[at];
	memmove(&folds[at + 1], &folds[at], (*n - at) * sizeof(*folds));
	folds[at] = (struct fold){ .heat = heat, .node = node };
	(*n)++;
	return &folds[at];
}

static void add_cpu(struct fold *fold, struct json_object *cpu)
{
	int64_t id = cb_json_int_or(cpu, "CPU", -1);

	fold->n++;
	if (id >= 0 && id < (int64_t)CB_CPUS_MAX)
		cb_cpuset_set(&fold->cpus, (unsigned int)id);
	for (size_t i = 0; i < N_MEANS; i++) {
		double value;

		if (!cb_json_number(cpu, means[i], &value))
			continue;
		fold->sum[i] += value;
		fold->known[i]++;
	}
}

const char *cb_show_few_cpus(const struct cb_cpuset *cpus, char *buf, size_t size)
{
	char list[CB_CPULIST_MAX];
	size_t len, cut = LIST_COLS;

	cb_cpuset_show(cpus, list, sizeof(list));
	len = strlen(list);
	if (len > LIST_COLS) {
		while (cut > 1 && list[cut] != ',')
			cut--;
		len = cut;
	}
	snprintf(buf, size, "%.*s%s", (int)len, list, list[len] ? ",..." : "");
	return buf;
}

static struct json_object *row_of(const struct fold *fold)
{
	struct json_object *row = cb_must(json_object_new_object());
	char list[LIST_COLS + 8];

	json_object_object_add(row, "Count", cb_must(json_object_new_int64(fold->n)));
	if (fold->node >= 0)
		json_object_object_add(row, "Node", cb_must(json_object_new_int64(fold->node)));
	json_object_object_add(row, "Heat", cb_must(json_object_new_string(heats[fold->heat])));
	for (size_t i = 0; i < N_MEANS; i++)
		if (fold->known[i])
			json_object_object_add(
				row, means[i],
				cb_must(json_object_new_double(fold->sum[i] / fold->known[i])));
	json_object_object_add(
		row, "CPUs",
		cb_must(json_object_new_string(cb_show_few_cpus(&fold->cpus, list, sizeof(list)))));
	return row;
}

static void add_row(struct json_object *rows, const struct fold *fold)
{
	json_object_array_add(rows, row_of(fold));
}

/* Those from @from on; by node too, unless that takes too many lines. */
static void fold_rest(struct json_object *cpus, size_t from, struct json_object *rows)
{
	size_t n_cpus = cb_json_length(cpus), n = 0;
	struct fold *folds = cb_must(calloc(n_cpus + 1, sizeof(*folds)));

	for (int nodes = 1; nodes >= 0; nodes--) {
		n = 0;
		for (size_t i = from; i < n_cpus; i++) {
			struct json_object *cpu = json_object_array_get_idx(cpus, i);

			add_cpu(fold_of(folds, &n, heat_of(cpu),
					nodes ? cb_json_int_or(cpu, "Node", -1) : -1),
				cpu);
		}
		if (n <= FOLDED_MAX)
			break;
	}
	for (size_t i = 0; i < n; i++)
		add_row(rows, &folds[i]);
	free(folds);
}

void cb_render_cpus(FILE *out, const struct cb_style *style, struct json_object *cpus)
{
	static const struct cb_column columns[] = {
		{ .title = "N", .cell = CB_CELL_NUMBER, .key = "Count" },
		{ .title = "NODE", .cell = CB_CELL_CPU, .key = "Node", .drop = 4 },
		{ .title = "HEAT", .cell = CB_CELL_STATE, .key = "Heat" },
		{ .title = "BUSY%", .cell = CB_CELL_PERCENT, .key = "Busy" },
		{ .title = "USER%", .cell = CB_CELL_PERCENT, .key = "User", .drop = 6 },
		{ .title = "SYS%", .cell = CB_CELL_PERCENT, .key = "System", .drop = 5 },
		{ .title = "SOFT%", .cell = CB_CELL_PERCENT, .key = "SoftIRQ" },
		{ .title = "STEAL%",
		  .cell = CB_CELL_PERCENT,
		  .key = "Steal",
		  .drop = 3,
		  .optional = true },
		{ .title = "CTXSW/s",
		  .cell = CB_CELL_RATE,
		  .key = "ContextSwitchesPerSec",
		  .drop = 7 },
		{ .title = "WORK%", .cell = CB_CELL_PERCENT, .key = "Workers" },
		{ .title = "IRQS%", .cell = CB_CELL_PERCENT, .key = "Interrupts", .drop = 2 },
		{ .title = "CPUS", .cell = CB_CELL_TEXT, .key = "CPUs" },
	};
	size_t n = cb_json_length(cpus), n_alone = 0;
	struct json_object *rows;

	if (n <= SMALL) {
		cb_render_all_cpus(out, style, cpus);
		return;
	}
	rows = cb_must(json_object_new_array());
	json_object_array_sort(cpus, by_urgency);
	while (n_alone < CB_MIN(n, ALONE_MAX)) {
		struct json_object *cpu = json_object_array_get_idx(cpus, n_alone);
		struct fold fold = { .heat = heat_of(cpu),
				     .node = cb_json_int_or(cpu, "Node", -1) };

		if (fold.heat != 0)
			break;
		add_cpu(&fold, cpu);
		add_row(rows, &fold);
		n_alone++;
	}
	fold_rest(cpus, n_alone, rows);
	cb_table_print(out, style, columns, CB_ARRAY_SIZE(columns), rows, 0, NULL);
	json_object_put(rows);
	json_object_array_sort(cpus, cb_by_cpu_number);
	cb_render_cpus_map(out, style, cpus, true);
	cb_sentence(out, style, CB_COLOR_DIM,
		    "means where a line is of several: cpubalctl cpus --all shows each");
}
