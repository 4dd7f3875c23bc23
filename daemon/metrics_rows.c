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

/* Walks the online CPUs for which @present was read. */
struct each_cpu {
	const struct cb_manager *m;
	uint32_t present;
	unsigned int from;
	struct cb_cpu_view view;
	char label[16];
};

static bool next_cpu(struct each_cpu *each)
{
	const struct cb_topology *topology = cb_engine_topology(each->m->engine);

	while (topology) {
		unsigned int cpu = cb_cpuset_next(&topology->online, each->from);

		if (cpu >= CB_CPUS_MAX)
			break;
		each->from = cpu + 1;
		if (!cb_engine_cpu(each->m->engine, cpu, &each->view) ||
		    !(each->view.present & each->present))
			continue;
		snprintf(each->label, sizeof(each->label), "%u", cpu);
		return true;
	}
	return false;
}

METRIC(CPU_BUSY)
{
	struct each_cpu each = { .m = m, .present = CB_CPU_HAS_TIMES };

	while (next_cpu(&each))
		cb_metric_value(metrics, each.view.busy.raw, each.label, NULL);
}

METRIC(CPU_SOFTIRQ)
{
	struct each_cpu each = { .m = m, .present = CB_CPU_HAS_TIMES };

	while (next_cpu(&each))
		cb_metric_value(metrics, each.view.softirq.raw, each.label, NULL);
}

METRIC(CPU_STEAL)
{
	struct each_cpu each = { .m = m, .present = CB_CPU_HAS_TIMES };

	while (next_cpu(&each))
		cb_metric_value(metrics, each.view.steal.raw, each.label, NULL);
}

METRIC(CPU_CTXSW)
{
	struct each_cpu each = { .m = m, .present = CB_CPU_HAS_CTXSW };

	while (next_cpu(&each))
		cb_metric_value(metrics, each.view.ctxsw_per_sec.raw, each.label, NULL);
}

METRIC(CPU_SOFTIRQS)
{
	struct each_cpu each = { .m = m, .present = CB_CPU_HAS_SOFTIRQS };

	while (next_cpu(&each))
		for (int i = 0; i < _CB_SOFTIRQ_MAX; i++)
			cb_metric_value(metrics, each.view.softirqs_per_sec[i].raw, each.label,
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

static bool next_group(const struct cb_manager *m, uint32_t *index, struct cb_group_view *ret)
{
	if (*index >= cb_engine_n_groups(m->engine))
		return false;
	cb_engine_group(m->engine, (*index)++, ret);
	return true;
}

METRIC(GROUP_WORKERS)
{
	struct cb_group_view view;

	for (uint32_t i = 0; next_group(m, &i, &view);)
		cb_metric_count(metrics, view.n_workers, view.policy->name, NULL);
}

METRIC(GROUP_CPU)
{
	struct cb_group_view view;

	for (uint32_t i = 0; next_group(m, &i, &view);)
		cb_metric_value(metrics, view.cpu.raw, view.policy->name, NULL);
}

METRIC(GROUP_DELAY)
{
	struct cb_group_view view;

	for (uint32_t i = 0; next_group(m, &i, &view);)
		cb_metric_value(metrics, view.wait_per_sec.raw, view.policy->name, NULL);
}

METRIC(GROUP_PACKETS)
{
	struct cb_group_view view;

	for (uint32_t i = 0; next_group(m, &i, &view);)
		if (view.has_packets)
			cb_metric_value(metrics, view.packets_per_sec.raw, view.policy->name, NULL);
}

METRIC(GROUP_BACKLOG)
{
	struct cb_group_view view;

	for (uint32_t i = 0; next_group(m, &i, &view);)
		if (view.has_listen)
			cb_metric_count(metrics, view.backlog, view.policy->name, NULL);
}

METRIC(GROUP_BACKLOG_MAX)
{
	struct cb_group_view view;

	for (uint32_t i = 0; next_group(m, &i, &view);)
		if (view.has_listen)
			cb_metric_count(metrics, view.backlog_max, view.policy->name, NULL);
}

METRIC(GROUP_SKEW)
{
	struct cb_group_view view;

	for (uint32_t i = 0; next_group(m, &i, &view);)
		if (view.has_fds && view.skew_ratio > 0)
			cb_metric_value(metrics, view.skew_ratio, view.policy->name, NULL);
}

struct each_worker {
	const struct cb_manager *m;
	uint32_t present, from;
	struct cb_worker_view view;
	char label[16];
};

static bool next_worker(struct each_worker *each)
{
	while (each->from < cb_engine_n_workers(each->m->engine)) {
		cb_engine_worker(each->m->engine, each->from++, &each->view);
		if (!(each->view.present & each->present))
			continue;
		snprintf(each->label, sizeof(each->label), "%u", each->view.slot);
		return true;
	}
	return false;
}

METRIC(WORKER_CPU)
{
	struct each_worker each = { .m = m, .present = CB_WORKER_HAS_CPU };

	while (next_worker(&each))
		cb_metric_value(metrics, each.view.cpu.raw, each.view.group, each.label);
}

METRIC(WORKER_DELAY)
{
	struct each_worker each = { .m = m, .present = CB_WORKER_HAS_WAIT };

	while (next_worker(&each))
		cb_metric_value(metrics, each.view.wait_per_sec.raw, each.view.group, each.label);
}

METRIC(WORKER_BACKLOG)
{
	struct each_worker each = { .m = m, .present = CB_WORKER_HAS_LISTEN };

	while (next_worker(&each))
		cb_metric_count(metrics, each.view.backlog, each.view.group, each.label);
}

METRIC(WORKER_FDS)
{
	struct each_worker each = { .m = m, .present = CB_WORKER_HAS_FDS };

	while (next_worker(&each))
		cb_metric_count(metrics, each.view.n_fds, each.view.group, each.label);
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
