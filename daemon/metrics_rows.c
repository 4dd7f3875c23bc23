/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What each row of metrics.def shows, in its order. Rates are those of the last interval, not smoothed: the reader of a
 * time series smooths by itself.
 */
#include "metrics_rows.h"

#include <inttypes.h>

#include "manager.h"

#define METRIC(id) void cb_metric_##id(struct cb_metrics *metrics, const struct cb_manager *m)
/* A row that does not need to look at the manager. */
#define METRIC_FIXED(id) \
	void cb_metric_##id(struct cb_metrics *metrics, const struct cb_manager *m _unused_)

static const char *number(uint32_t value, char buf[static 16])
{
	snprintf(buf, 16, "%" PRIu32, value);
	return buf;
}

static struct cb_totals totals(const struct cb_manager *m)
{
	struct cb_totals ret;

	cb_engine_totals(m->engine, &ret);
	return ret;
}

/* --- the daemon --- */

METRIC_FIXED(UP)
{
	cb_metric_count(metrics, 1, NULL, NULL);
}

METRIC(BUILD)
{
	cb_metric_count(metrics, 1, CB_VERSION, m->report.kernel ? m->report.kernel : "");
}

METRIC(MODE)
{
	for (int mode = 0; mode < _CB_MODE_MAX; mode++)
		cb_metric_count(metrics, cb_engine_policy(m->engine)->mode == (enum cb_mode)mode,
				cb_mode_name((enum cb_mode)mode), NULL);
}

METRIC(PAUSED)
{
	cb_metric_count(metrics, totals(m).paused, NULL, NULL);
}

METRIC(CANARY)
{
	cb_metric_count(metrics, totals(m).canary, NULL, NULL);
}

METRIC(TICK)
{
	cb_metric_value(metrics, (double)m->tick_usec / (double)CB_USEC_PER_SEC, NULL, NULL);
}

METRIC(TICKS)
{
	cb_metric_count(metrics, m->n_ticks, NULL, NULL);
}

METRIC(OVERRUNS)
{
	cb_metric_count(metrics, m->n_overruns, NULL, NULL);
}

METRIC(SOURCE)
{
	for (int source = 0; source < _CB_SOURCE_MAX; source++)
		cb_metric_count(metrics, m->snapshot.valid >> source & 1,
				cb_source_name((enum cb_source)source), NULL);
}

/* --- the machine --- */

METRIC(CPUS)
{
	const struct cb_topology *topology = cb_engine_topology(m->engine);
	uint64_t n[_CB_HEAT_MAX] = { 0 };
	struct cb_cpu_view view;

	if (!topology)
		return;
	CB_CPUSET_FOREACH(cpu, &topology->online)
		if (cb_engine_cpu(m->engine, cpu, &view) && view.heat < _CB_HEAT_MAX)
			n[view.heat]++;
	for (int heat = 0; heat < _CB_HEAT_MAX; heat++)
		cb_metric_count(metrics, n[heat], cb_heat_name((enum cb_heat)heat), NULL);
}

METRIC(CONTEXT_SW)
{
	if (m->n_samples > 1)
		cb_metric_value(metrics, totals(m).ctxt_per_sec.raw, NULL, NULL);
}

METRIC(INTERRUPTS)
{
	if (m->n_samples > 1)
		cb_metric_value(metrics, totals(m).intr_per_sec.raw, NULL, NULL);
}

METRIC(RUNNABLE)
{
	if (m->n_samples > 0)
		cb_metric_count(metrics, totals(m).procs_running, NULL, NULL);
}

/* A sample for each online CPU for which @present was read. */
#define FOREACH_CPU_VIEW(view, bit, label)                                                    \
	const struct cb_topology *topology = cb_engine_topology(m->engine);                   \
	struct cb_cpu_view view;                                                              \
	char label[16];                                                                       \
	if (topology)                                                                         \
		CB_CPUSET_FOREACH(cpu, &topology->online)                                     \
			if (cb_engine_cpu(m->engine, cpu, &view) && (view.present & (bit)) && \
			    number(cpu, label))

METRIC(CPU_BUSY)
{
	FOREACH_CPU_VIEW(view, CB_CPU_HAS_TIMES, label)
	cb_metric_value(metrics, view.busy.raw, label, NULL);
}

METRIC(CPU_SOFTIRQ)
{
	FOREACH_CPU_VIEW(view, CB_CPU_HAS_TIMES, label)
	cb_metric_value(metrics, view.softirq.raw, label, NULL);
}

METRIC(CPU_STEAL)
{
	FOREACH_CPU_VIEW(view, CB_CPU_HAS_TIMES, label)
	cb_metric_value(metrics, view.steal.raw, label, NULL);
}

METRIC(CPU_CTXSW)
{
	FOREACH_CPU_VIEW(view, CB_CPU_HAS_CTXSW, label)
	cb_metric_value(metrics, view.ctxsw_per_sec.raw, label, NULL);
}

METRIC(CPU_SOFTIRQS)
{
	FOREACH_CPU_VIEW(view, CB_CPU_HAS_SOFTIRQS, label)
	for (int i = 0; i < _CB_SOFTIRQ_MAX; i++)
		cb_metric_value(metrics, view.softirqs_per_sec[i].raw, label,
				cb_softirq_name((enum cb_softirq)i));
}

METRIC(FINDINGS)
{
	uint64_t n[_CB_FINDING_MAX] = { 0 };

	for (uint32_t i = 0; i < cb_engine_n_findings(m->engine); i++) {
		const struct cb_finding *finding = cb_engine_finding(m->engine, i);

		if (finding->confirmed && finding->kind < _CB_FINDING_MAX)
			n[finding->kind]++;
	}
	for (int kind = 0; kind < _CB_FINDING_MAX; kind++)
		cb_metric_count(metrics, n[kind], cb_finding_kind_name((enum cb_finding_kind)kind),
				NULL);
}

/* --- groups --- */

#define FOREACH_GROUP_VIEW(view)                                     \
	struct cb_group_view view;                                   \
	for (uint32_t i = 0; i < cb_engine_n_groups(m->engine); i++) \
		if (cb_engine_group(m->engine, i, &view), true)

METRIC(GROUP_WORKERS)
{
	FOREACH_GROUP_VIEW(view)
	cb_metric_count(metrics, view.n_workers, view.policy->name, NULL);
}

METRIC(GROUP_CPU)
{
	FOREACH_GROUP_VIEW(view)
	cb_metric_value(metrics, view.cpu.raw, view.policy->name, NULL);
}

METRIC(GROUP_DELAY)
{
	FOREACH_GROUP_VIEW(view)
	cb_metric_value(metrics, view.wait_per_sec.raw, view.policy->name, NULL);
}

METRIC(GROUP_PACKETS)
{
	FOREACH_GROUP_VIEW(view)
	if (view.has_packets)
		cb_metric_value(metrics, view.packets_per_sec.raw, view.policy->name, NULL);
}

METRIC(GROUP_BACKLOG)
{
	FOREACH_GROUP_VIEW(view)
	if (view.has_listen)
		cb_metric_count(metrics, view.backlog, view.policy->name, NULL);
}

METRIC(GROUP_BACKLOG_MAX)
{
	FOREACH_GROUP_VIEW(view)
	if (view.has_listen)
		cb_metric_count(metrics, view.backlog_max, view.policy->name, NULL);
}

METRIC(GROUP_SKEW)
{
	FOREACH_GROUP_VIEW(view)
	if (view.has_fds && view.skew_ratio > 0)
		cb_metric_value(metrics, view.skew_ratio, view.policy->name, NULL);
}

#define FOREACH_WORKER_VIEW(view, bit, label)                         \
	struct cb_worker_view view;                                   \
	char label[16];                                               \
	for (uint32_t i = 0; i < cb_engine_n_workers(m->engine); i++) \
		if (cb_engine_worker(m->engine, i, &view),            \
		    (view.present & (bit)) && number(view.slot, label))

METRIC(WORKER_CPU)
{
	FOREACH_WORKER_VIEW(view, CB_WORKER_HAS_CPU, label)
	cb_metric_value(metrics, view.cpu.raw, view.group, label);
}

METRIC(WORKER_DELAY)
{
	FOREACH_WORKER_VIEW(view, CB_WORKER_HAS_WAIT, label)
	cb_metric_value(metrics, view.wait_per_sec.raw, view.group, label);
}

/* --- what was done --- */

METRIC(PLANS)
{
	const struct cb_totals all = totals(m);

	for (int i = CB_VERDICT_NONE + 1; i < _CB_VERDICT_MAX; i++)
		cb_metric_count(metrics, all.n_plans[i], cb_verdict_name((enum cb_verdict)i), NULL);
}

METRIC(MOVES)
{
	const struct cb_totals all = totals(m);

	for (int i = 0; i < _CB_ITEM_MAX; i++)
		cb_metric_count(metrics, all.n_moves[i], cb_item_kind_name((enum cb_item_kind)i),
				NULL);
}

METRIC(REFUSALS)
{
	const struct cb_totals all = totals(m);

	for (int i = CB_REJECT_NONE + 1; i < _CB_REJECT_MAX; i++)
		cb_metric_count(metrics, all.n_rejects[i], cb_reject_name((enum cb_reject)i), NULL);
}

METRIC(CHANGED)
{
	cb_metric_count(metrics, m->report.changed_workers, cb_item_kind_name(CB_ITEM_WORKER),
			NULL);
	cb_metric_count(metrics, m->report.changed_irqs, cb_item_kind_name(CB_ITEM_IRQ), NULL);
}

METRIC(QUARANTINED)
{
	cb_metric_count(metrics, totals(m).n_quarantined, NULL, NULL);
}

METRIC(WRITE_ERRORS)
{
	const struct cb_totals all = totals(m);

	for (int i = 0; i < _CB_ITEM_MAX; i++)
		for (int k = CB_ERROR_NONE + 1; k < _CB_ERROR_CLASS_MAX; k++)
			cb_metric_count(metrics, all.n_write_errors[i][k],
					cb_item_kind_name((enum cb_item_kind)i),
					cb_error_class_name((enum cb_error_class)k));
}

METRIC(FOREIGN)
{
	const struct cb_totals all = totals(m);

	for (int i = 0; i < _CB_ITEM_MAX; i++)
		cb_metric_count(metrics, all.n_foreign[i], cb_item_kind_name((enum cb_item_kind)i),
				NULL);
}

METRIC(RESTORE_FAILURES)
{
	cb_metric_count(metrics, m->n_restore_failed, NULL, NULL);
}

METRIC(UNRECOVERED)
{
	cb_metric_count(metrics, (uint64_t)m->n_pending + m->n_unrestored, NULL, NULL);
}

METRIC(JOURNAL)
{
	cb_metric_count(metrics, m->journal_healthy, NULL, NULL);
}
