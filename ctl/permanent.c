/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What to write into the configuration of others, so that placements come back without the balancer: the directive of nginx,
 * a drop-in for the unit, a line for an interrupt. Printed only.
 */
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "cpubalance/cpuset.h"
#include "json.h"
#include "render.h"

struct worker {
	const char *group, *comm, *unit; /* unit: NULL when it belongs to no service */
	int64_t pid;
	struct cb_cpuset mask;
	bool changed;
};

struct workers {
	struct worker *worker;
	size_t n;
};

static bool read_cpus(const char *text, struct cb_cpuset *ret)
{
	return text && cb_cpuset_parse_list(text, strlen(text), ret) >= 0 && !cb_cpuset_empty(ret);
}

/* What is written into a file of another program has to be a word there. */
static const char *word(struct json_object *row, const char *key)
{
	const char *text = cb_json_text(row, key);

	return text && cb_text_is_plain(text) && !strpbrk(text, " \"'#;\\") ? text : NULL;
}

/* Where a step of a plan wants a worker. */
static bool planned(struct json_object *steps, const char *name, struct cb_cpuset *ret)
{
	for (size_t i = 0; i < cb_json_length(steps); i++) {
		struct json_object *step = json_object_array_get_idx(steps, i);

		if (strcmp(cb_json_text_or(step, "Kind", ""), "worker") == 0 &&
		    strcmp(cb_json_text_or(step, "Name", ""), name) == 0)
			return read_cpus(cb_json_text(step, "To"), ret);
	}
	return false;
}

/* nginx numbers its workers as it starts them. */
static int by_group_and_pid(const void *a, const void *b)
{
	const struct worker *x = a, *y = b;
	int r = strcmp(x->group, y->group);

	return r != 0 ? r : (x->pid > y->pid) - (x->pid < y->pid);
}

static struct workers read_workers(struct json_object *rows, struct json_object *steps)
{
	size_t n = cb_json_length(rows);
	struct workers all = { .worker = cb_must(calloc(n + 1, sizeof(*all.worker))) };

	for (size_t i = 0; i < n; i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);
		struct worker *worker = &all.worker[all.n];

		*worker = (struct worker){ .group = word(row, "Group"),
					   .comm = cb_json_text_or(row, "Comm", ""),
					   .unit = word(row, "Unit"),
					   .changed = cb_json_true(row, "Changed") };
		if (!worker->group || !cb_json_int(row, "PID", &worker->pid))
			continue;
		if (planned(steps, cb_json_text_or(row, "Name", ""), &worker->mask))
			worker->changed = true;
		else if (!read_cpus(cb_json_text(row, "Affinity"), &worker->mask))
			continue;
		all.n++;
	}
	qsort(all.worker, all.n, sizeof(*all.worker), by_group_and_pid);
	return all;
}

/* --- one group --- */

static struct cb_cpuset all_of(const struct worker *worker, size_t n, const char *unit)
{
	struct cb_cpuset all = CB_CPUSET_EMPTY;

	for (size_t i = 0; i < n; i++)
		if (!unit || (worker[i].unit && strcmp(worker[i].unit, unit) == 0))
			all = cb_cpuset_or(&all, &worker[i].mask);
	return all;
}

static bool all_are(const struct worker *worker, size_t n, const char *comm)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(worker[i].comm, comm) != 0)
			return false;
	return true;
}

/* Masks of nginx are digits, the last one CPU 0. */
static void show_nginx(FILE *out, const struct worker *worker, size_t n)
{
	struct cb_cpuset all = all_of(worker, n, NULL);
	unsigned int width = 0;

	CB_CPUSET_FOREACH(cpu, &all)
		width = cpu + 1;
	fprintf(out,
		"# nginx.conf, when these are all of its workers; the masks are in the order in which it starts them.\n"
		"worker_processes %zu;\nworker_cpu_affinity",
		n);
	for (size_t i = 0; i < n; i++) {
		fputc(' ', out);
		for (unsigned int cpu = width; cpu-- > 0;)
			fputc(cb_cpuset_has(&worker[i].mask, cpu) ? '1' : '0', out);
	}
	fprintf(out, ";\n\n");
}

static bool told_before(const struct worker *worker, size_t i)
{
	for (size_t j = 0; j < i; j++)
		if (worker[j].unit && strcmp(worker[j].unit, worker[i].unit) == 0)
			return true;
	return false;
}

static void show_units(FILE *out, const struct worker *worker, size_t n)
{
	char list[CB_CPULIST_MAX];
	size_t n_loose = 0;

	for (size_t i = 0; i < n; i++) {
		struct cb_cpuset cpus;

		n_loose += !worker[i].unit;
		if (!worker[i].unit || told_before(worker, i))
			continue;
		cpus = all_of(worker, n, worker[i].unit);
		if (cb_cpuset_format_list(&cpus, list, sizeof(list)) < 0)
			continue;
		fprintf(out,
			"# /etc/systemd/system/%s.d/50-cpus.conf, for all of its processes alike: what one worker may use, "
			"every one may.\n[Service]\nCPUAffinity=\nCPUAffinity=%s\n\n",
			worker[i].unit, list);
	}
	if (n_loose > 0)
		fprintf(out,
			"# %zu of %zu workers belong to no service of systemd: their CPUs are to be set where they are started.\n\n",
			n_loose, n);
}

static void show_group(FILE *out, const struct worker *worker, size_t n)
{
	fprintf(out, "# --- group %s ---\n", worker->group);
	if (all_are(worker, n, "nginx"))
		show_nginx(out, worker, n);
	show_units(out, worker, n);
}

static size_t show_groups(FILE *out, const struct workers *all)
{
	size_t shown = 0;

	for (size_t i = 0, n; i < all->n; i += n) {
		const struct worker *first = &all->worker[i];
		bool changed = false;

		for (n = 0; i + n < all->n && strcmp(first[n].group, first->group) == 0; n++)
			changed |= first[n].changed;
		if (!changed)
			continue;
		show_group(out, first, n);
		shown++;
	}
	return shown;
}

/* --- interrupts --- */

static size_t show_irqs(FILE *out, struct json_object *rows, const char *key)
{
	size_t shown = 0;

	for (size_t i = 0; i < cb_json_length(rows); i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);
		struct cb_cpuset cpus;
		int64_t irq;

		if (!cb_json_int(row, "IRQ", &irq) || !read_cpus(cb_json_text(row, key), &cpus))
			continue;
		if (shown++ == 0)
			fprintf(out,
				"# /etc/tmpfiles.d/cpus.conf; the number of an interrupt may be another after the next boot, "
				"and irqbalance overrides this.\n");
		fprintf(out, "w /proc/irq/%lld/smp_affinity_list - - - - %s\n", (long long)irq,
			cb_json_text(row, key));
	}
	return shown;
}

void cb_render_permanent(FILE *out, const struct cb_style *style, struct json_object *answers)
{
	struct json_object *steps = cb_json_array(answers, "Steps"),
			   *changes = cb_json_array(answers, "Changes");
	struct workers all = read_workers(cb_json_array(answers, "Workers"), steps);
	size_t shown = show_groups(out, &all);

	(void)style;
	shown += steps ? show_irqs(out, steps, "To") : show_irqs(out, changes, "Set");
	if (shown == 0)
		fprintf(out, "# %s\n",
			steps ? "nothing would be moved" :
				"nothing is changed: every mask is the original");
	free(all.worker);
}
