/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the verbs print, as functions of JSON alone, so that a test needs no bus. All take the
 * daemon's answer as message_json made it, and borrow it.
 */

#include "text.h"

struct cb_cpuset;
struct cb_ctl;
struct json_object;

typedef void (*cb_render_t)(FILE *out, const struct cb_style *style, struct json_object *json);

/*
 * Print the answer: as JSON when that was asked for, else through @render. Puts @json. Returns
 * CB_EXIT_OK.
 */
int cb_show(struct cb_ctl *ctl, struct json_object *json, cb_render_t render);

/* Ask for a listing without arguments and show it. */
int cb_show_list(struct cb_ctl *ctl, const char *member, cb_render_t render);

/* What --permanent of plan and changes shows: @rows of the verb, which it puts, under @key, with those of the workers. */
int cb_show_permanent(struct cb_ctl *ctl, const char *key, struct json_object *rows);

/*
 * @status: an object with Manager, CPUs, Workers, Interrupts, Findings, Plan, and perhaps LastPlan.
 */
void cb_render_status(FILE *out, const struct cb_style *style, struct json_object *status);
void cb_render_findings(FILE *out, const struct cb_style *style, struct json_object *findings);
void cb_show_finding(FILE *out, const struct cb_style *style,
		     struct json_object *finding); /* one of them */
void cb_render_cpus(FILE *out, const struct cb_style *style,
		    struct json_object *cpus); /* on one screen */
void cb_render_all_cpus(FILE *out, const struct cb_style *style, struct json_object *cpus);
/*
 * The same CPUs by node, package and last-level cache; nothing where that is not known. @fold: those that are alike in one line, so that it
 * takes a few lines at most.
 */
void cb_render_cpus_map(FILE *out, const struct cb_style *style, struct json_object *cpus,
			bool fold);
/* For json_object_array_sort(). */
int cb_by_cpu_number(const void *a, const void *b);
/* A list of CPUs, cut where it is long. Returns @buf. */
const char *cb_show_few_cpus(const struct cb_cpuset *cpus, char *buf, size_t size);
void cb_render_irqs(FILE *out, const struct cb_style *style,
		    struct json_object *irqs); /* busy or changed ones */
void cb_render_all_irqs(FILE *out, const struct cb_style *style, struct json_object *irqs);
void cb_render_irq_counts(FILE *out, const struct cb_style *style, struct json_object *irqs);
void cb_render_groups(FILE *out, const struct cb_style *style, struct json_object *groups);
void cb_render_workers(FILE *out, const struct cb_style *style, struct json_object *workers);
void cb_render_discover(FILE *out, const struct cb_style *style, struct json_object *rows);
void cb_render_sources(FILE *out, const struct cb_style *style, struct json_object *sources);
void cb_render_changes(FILE *out, const struct cb_style *style, struct json_object *changes);
void cb_render_changes_shell(FILE *out, const struct cb_style *style, struct json_object *changes);
void cb_render_plan(FILE *out, const struct cb_style *style, struct json_object *plan);
void cb_render_plan_shell(FILE *out, const struct cb_style *style, struct json_object *plan);
/*
 * @answers: an object with Workers (of ListWorkers), and Steps (of GetPlan: what would be) or Changes (of ListChanges: what
 * is). Lines for the configuration of other programs.
 */
void cb_render_permanent(FILE *out, const struct cb_style *style, struct json_object *answers);
void cb_render_history(FILE *out, const struct cb_style *style, struct json_object *history);
void cb_render_foreign(FILE *out, const struct cb_style *style, struct json_object *writes);
void cb_render_explain(FILE *out, const struct cb_style *style, struct json_object *explained);

/*
 * "nginx/9 40 -> 44-47, nginx/3 0 -> 4, 2 more" of a plan's Steps; nothing is added where there are
 * none.
 */
void cb_show_steps(struct cb_buf *buf, struct json_object *steps, size_t max);

/* What waits at the sockets of a row, "3/511" connections, "12/208 KiB" of datagrams; a column's show. */
bool cb_show_backlog(struct json_object *row, const struct cb_style *style, struct cb_buf *buf);

/*
 * The Shell commands of @rows, one a line; one that a shell might take for something else becomes a
 * comment.
 */
void cb_show_shell(FILE *out, const struct cb_style *style, struct json_object *rows);

/*
 * A point in time for --since: a span back from now ("2h", "30min"), RFC 3339
 * ("2025-03-01T02:41:07Z", "2025-03-01 02:41" in local time, "2025-03-01"), or seconds since 1970.
 * Returns 0 or -EINVAL; -ERANGE for a span beyond 1970.
 */
int cb_since_parse(const char *text, uint64_t now_usec, uint64_t *ret_usec) _must_check_;
