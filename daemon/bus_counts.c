/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * CountIRQs: how often each interrupt was handled on each CPU since boot. Those that matter are read one by one; all of them, with the
 * architecture's own, are a file of megabytes on a big machine. So that no client can have the daemon read all day, the
 * file is not read again before a multiple of the time has gone by that it took.
 */
#include "bus.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "bus_rows.h"

/* Interrupts that are read one by one, those that are changed or feed a group first. */
#define EACH_MAX 256u
/* Of the others, those that fire as often. */
#define MATTERS_PER_SEC 1.0
/* The part of all time that may go into reading the whole file, is one in so many. */
#define WHOLE_ONE_IN 20u

static void add_row(struct cb_rows *rows, int32_t irq, const char *name, uint64_t total,
		    const uint64_t *count, const uint32_t *cpu_ids, uint32_t n)
{
	cb_row_open(rows);
	if (irq >= 0)
		cb_row_u32(rows, "IRQ", (uint32_t)irq);
	cb_row_string(rows, "Name", name);
	cb_row_u64(rows, "Total", total);
	cb_row_list_open(rows, "CPUs");
	for (uint32_t i = 0; i < n; i++) {
		if (count[i] == 0)
			continue;
		cb_row_open(rows);
		cb_row_u32(rows, "CPU", cpu_ids ? cpu_ids[i] : i);
		cb_row_u64(rows, "Count", count[i]);
		cb_row_close(rows);
	}
	cb_row_list_close(rows);
	cb_row_close(rows);
}

/* --- those that matter --- */

static bool is_chosen(const struct cb_irq_view *view)
{
	return view->placed || view->group_key != 0;
}

static bool add_counted(struct cb_rows *rows, struct cb_manager *m, const struct cb_irq_view *view,
			uint64_t *count)
{
	uint64_t total = 0;

	/* It may have gone since the inventory was made. */
	if (cb_host_irq_counts(m->host, view->irq, m->topology, count) < 0)
		return false;
	for (uint32_t cpu = 0; cpu < m->topology->n_cpu_ids; cpu++)
		total += count[cpu];
	add_row(rows, (int32_t)view->irq, view->info ? view->info->actions : "", total, count, NULL,
		m->topology->n_cpu_ids);
	return true;
}

static void add_those_that_matter(struct cb_rows *rows, struct cb_manager *m, uint64_t *count)
{
	uint32_t n = 0;

	for (int chosen = 1; chosen >= 0; chosen--)
		for (uint32_t i = 0; i < cb_engine_n_irqs(m->engine) && n < EACH_MAX; i++) {
			struct cb_irq_view view;

			cb_engine_irq(m->engine, i, &view);
			if (is_chosen(&view) != chosen ||
			    (!chosen && view.per_sec.smooth < MATTERS_PER_SEC))
				continue;
			n += add_counted(rows, m, &view, count);
		}
}

/* --- all of them --- */

static int add_of_table(const struct cb_interrupts_row *row, const uint64_t *per_cpu,
			uint32_t n_cpus, const uint32_t *cpu_ids, void *userdata)
{
	struct cb_rows *rows = userdata;
	char name[sizeof(row->name) + sizeof(row->actions) + 2];

	if (row->irq >= 0)
		snprintf(name, sizeof(name), "%s", row->actions);
	else if (row->actions[0])
		snprintf(name, sizeof(name), "%s: %s", row->name, row->actions);
	else
		snprintf(name, sizeof(name), "%s", row->name);
	add_row(rows, row->irq, name, row->total, per_cpu, cpu_ids, n_cpus);
	return 0;
}

static int add_all(struct cb_rows *rows, struct cb_manager *m, sd_bus_error *error)
{
	struct cb_server *server = m->server;
	uint64_t begin_usec = cb_manager_now(m);
	int r;

	if (begin_usec < server->table_next_usec)
		return cb_bus_error(error, CB_BUS_ERROR("Limit"),
					 "all interrupts were counted just now, which is dear");
	r = cb_host_interrupts(m->host, m->topology, add_of_table, rows);
	server->table_next_usec =
		cb_manager_now(m) + WHOLE_ONE_IN * (cb_manager_now(m) - begin_usec);
	return r < 0 ? sd_bus_error_set_errnof(error, r, "cannot read %s", CB_PATH_INTERRUPTS) : 0;
}

int cb_bus_count_irqs(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	struct cb_rows rows = { .r = 0 };
	struct cb_manager *m = userdata;
	uint64_t *count;
	int all, r = sd_bus_message_read(call, "b", &all);

	if (r < 0)
		return r;
	count = calloc(m->topology->n_cpu_ids, sizeof(*count));
	if (!count)
		return -ENOMEM;
	r = sd_bus_message_new_method_return(call, &rows.message);
	if (r >= 0) {
		cb_list_open(&rows);
		if (all)
			r = add_all(&rows, m, error);
		else
			add_those_that_matter(&rows, m, count);
		cb_list_close(&rows);
	}
	if (r >= 0)
		r = rows.r;
	if (r >= 0)
		r = sd_bus_send(NULL, rows.message, NULL);
	sd_bus_message_unref(rows.message);
	free(count);
	return r < 0 ? r : 1;
}
