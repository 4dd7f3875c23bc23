/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Rows for listings: a{sv} with a key for each thing that is known. The builder remembers its first error, so that a row is
 * written without a check on every line; cb_rows.r is looked at once at the end.
 */

#include <systemd/sd-bus.h>

#include "manager.h"

struct cb_rows {
	sd_bus_message *message;
	int r; /* the first error */
};

/* aa{sv} */
void cb_list_open(struct cb_rows *rows);
void cb_list_close(struct cb_rows *rows);
/* a{sv} */
void cb_row_open(struct cb_rows *rows);
void cb_row_close(struct cb_rows *rows);
/* a key whose value is an aa{sv} */
void cb_row_list_open(struct cb_rows *rows, const char *key);
void cb_row_list_close(struct cb_rows *rows);

void cb_row_string(struct cb_rows *rows, const char *key, const char *value); /* NULL: left out */
/* @type: a basic type; @value as sd_bus_message_append_basic() wants it. */
void cb_row_basic(struct cb_rows *rows, const char *key, char type, const void *value);
void cb_row_u32(struct cb_rows *rows, const char *key, uint32_t value);
void cb_row_i32(struct cb_rows *rows, const char *key, int32_t value);
void cb_row_u64(struct cb_rows *rows, const char *key, uint64_t value);
void cb_row_double(struct cb_rows *rows, const char *key, double value);
void cb_row_bool(struct cb_rows *rows, const char *key, bool value);
void cb_row_cpus(struct cb_rows *rows, const char *key, const struct cb_cpuset *value);
/* Name and NameRaw. */
void cb_row_rate(struct cb_rows *rows, const char *key, const struct cb_rate *value);
/* Only when it is not negative. */
void cb_row_index(struct cb_rows *rows, const char *key, int32_t value);
/* Reason and ReasonText; nothing for NONE. */
void cb_row_reason(struct cb_rows *rows, enum cb_reject reason);

/* The rows of one thing each, without the brackets. */
void cb_rows_cpu_split(struct cb_rows *rows, const struct cb_cpu_view *view);
void cb_rows_cpu(struct cb_rows *rows, const struct cb_manager *m, const struct cb_cpu_view *view);
void cb_rows_irq(struct cb_rows *rows, const struct cb_manager *m, const struct cb_irq_view *view);
/* @viewer: the user who asks, whom command lines are shown by. */
void cb_rows_worker(struct cb_rows *rows, const struct cb_manager *m,
		    const struct cb_worker_view *view, uint32_t viewer);
/* What waits at the sockets that the worker alone serves. */
void cb_rows_waiting(struct cb_rows *rows, const struct cb_worker_view *view);
/* In bus_group.c: the fields of the Group interface. */
void cb_rows_group(struct cb_rows *rows, const struct cb_registration *registration);
void cb_rows_finding(struct cb_rows *rows, const struct cb_manager *m,
		     const struct cb_finding *finding);
void cb_rows_history(struct cb_rows *rows, const struct cb_history_entry *entry);
void cb_rows_foreign(struct cb_rows *rows, const struct cb_history_entry *entry);
void cb_rows_plan(struct cb_rows *rows, const struct cb_manager *m, const struct cb_plan *plan,
		  bool preview);
void cb_rows_steps(struct cb_rows *rows, const struct cb_manager *m, const struct cb_plan *plan);
void cb_rows_ended_steps(struct cb_rows *rows, const struct cb_history_entry *entry);
void cb_rows_refusals(struct cb_rows *rows, const struct cb_manager *m);
/* Every entry of the journal, brackets included; reads where each of them is now. */
void cb_rows_changes(struct cb_rows *rows, struct cb_manager *m);
