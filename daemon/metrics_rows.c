/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What each row of metrics.def shows, in its order. Rates are those of the last interval, not smoothed: the reader of a
 * time series smooths by itself.
 */
#include "metrics_rows.h"

#include <inttypes.h>
#include <stdlib.h>

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

static double seconds(uint64_t usec)
{
	return (double)usec / (double)CB_USEC_PER_SEC;
}

METRIC(LATE)
{
	cb_metric_value(metrics, seconds(m->late_usec), NULL, NULL);
}

METRIC(TICK_CPU)
{
	cb_metric_value(metrics, seconds(m->tick_cpu_usec), NULL, NULL);
}

METRIC(OWN_CPU)
{
	cb_metric_value(metrics, seconds(m->own_cpu_usec), NULL, NULL);
}

METRIC(TICK_EVERY)
{
	cb_metric_count(metrics, m->tick_every, NULL, NULL);
}

METRIC(CROSS_CPU_READS)
{
	cb_metric_count(metrics, m->n_cross_cpu_reads, NULL, NULL);
}

METRIC(SOURCE)
{
	for (int source = 0; source < _CB_SOURCE_MAX; source++)
		cb_metric_count(metrics, m->sources_working >> source & 1,
				cb_source_name((enum cb_source)source), NULL);
}

/* --- the machine --- */

METRIC(CPUS)
{
	const struct cb_topology *topology = cb_engine_topology(m->engine);
	uint64_t n[_CB_HEAT_MAX] = { 0 };

	if (!topology)
		return;
	for (uint32_t cpu = 0; cpu < topology->n_cpu_ids; cpu++) {
		enum cb_heat heat = cb_engine_cpu_heat(m->engine, cpu);

		if (heat >= 0 && heat < _CB_HEAT_MAX)
			n[heat]++;
	}
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

/* As text: cheaper than printf(), in thousands of samples. */
static const char *label_of(uint32_t number, char buf[12])
{
	char *at = buf + 11;

	*at = '\0';
	do
		*--at = (char)('0' + number % 10);
	while (number /= 10);
	return at;
}

static void put_cpus(struct cb_metrics *metrics, const struct cb_manager *m, enum cb_cpu_rate which)
{
	const struct cb_topology *topology = cb_engine_topology(m->engine);

	for (uint32_t cpu = 0; topology && cpu < topology->n_cpu_ids; cpu++) {
		const struct cb_rate *rate = cb_engine_cpu_rate(m->engine, cpu, which);

		if (rate && cb_cpuset_has(&topology->online, cpu))
			cb_metric_numbered(metrics, rate->raw, cpu, NULL);
	}
}

METRIC(CPU_BUSY)
{
	put_cpus(metrics, m, CB_CPU_RATE_BUSY);
}

METRIC(CPU_SOFTIRQ)
{
	put_cpus(metrics, m, CB_CPU_RATE_SOFTIRQ);
}

METRIC(CPU_STEAL)
{
	put_cpus(metrics, m, CB_CPU_RATE_STEAL);
}

METRIC(CPU_CTXSW)
{
	put_cpus(metrics, m, CB_CPU_RATE_CTXSW);
}

METRIC(CPU_SOFTIRQS)
{
	const struct cb_topology *topology = cb_engine_topology(m->engine);

	for (uint32_t cpu = 0; topology && cpu < topology->n_cpu_ids; cpu++) {
		const struct cb_rate *rate =
			cb_engine_cpu_rate(m->engine, cpu, CB_CPU_RATE_SOFTIRQS);

		if (!rate || !cb_cpuset_has(&topology->online, cpu))
			continue;
		for (int i = 0; i < _CB_SOFTIRQ_MAX; i++)
			cb_metric_numbered(metrics, rate[i].raw, cpu,
					   cb_softirq_name((enum cb_softirq)i));
	}
}

/* --- interrupts: those that we have placed, and the busiest others --- */

struct busiest {
	uint32_t n, least; /* least: the place of the least busy */
	double per_sec[IRQ_BUSIEST_MAX];
	uint32_t index[IRQ_BUSIEST_MAX];
};

static void consider(struct busiest *busiest, uint32_t index, double per_sec)
{
	uint32_t at = busiest->n < IRQ_BUSIEST_MAX ? busiest->n++ : busiest->least;

	busiest->per_sec[at] = per_sec;
	busiest->index[at] = index;
	busiest->least = 0;
	for (uint32_t i = 1; i < busiest->n; i++)
		if (busiest->per_sec[i] < busiest->per_sec[busiest->least])
			busiest->least = i;
}

static int by_number(const void *a, const void *b)
{
	const struct cb_irq_use *x = a, *y = b;

	return (x->irq > y->irq) - (x->irq < y->irq);
}

void cb_metrics_choose_irqs(struct cb_metrics *metrics, const struct cb_manager *m)
{
	struct busiest busiest = { .n = 0 };
	struct cb_irq_use use;

	metrics->n_irqs = 0;
	for (uint32_t i = 0; i < cb_engine_n_irqs(m->engine); i++) {
		cb_engine_irq_use(m->engine, i, &use);
		if (use.placed && metrics->n_irqs < IRQ_SERIES_MAX)
			metrics->irq[metrics->n_irqs++] = use;
		else if (use.per_sec > 0 && (busiest.n < IRQ_BUSIEST_MAX ||
					     use.per_sec > busiest.per_sec[busiest.least]))
			consider(&busiest, i, use.per_sec);
	}
	for (uint32_t i = 0; i < busiest.n; i++)
		cb_engine_irq_use(m->engine, busiest.index[i], &metrics->irq[metrics->n_irqs++]);
	if (metrics->n_irqs > 1)
		qsort(metrics->irq, metrics->n_irqs, sizeof(metrics->irq[0]), by_number);
}

METRIC_FIXED(IRQ_RATE)
{
	for (uint32_t i = 0; i < metrics->n_irqs; i++)
		cb_metric_numbered(metrics, metrics->irq[i].per_sec, metrics->irq[i].irq,
				   metrics->irq[i].actions);
}

METRIC_FIXED(IRQ_LOAD)
{
	for (uint32_t i = 0; i < metrics->n_irqs; i++)
		cb_metric_numbered(metrics, metrics->irq[i].load_ratio, metrics->irq[i].irq,
				   metrics->irq[i].actions);
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

METRIC(GROUP_QUEUED)
{
	struct cb_group_view view;

	for (uint32_t i = 0; next_group(m, &i, &view);)
		if (view.has_datagrams)
			cb_metric_count(metrics, view.queued_bytes, view.policy->name, NULL);
}

METRIC(GROUP_QUEUED_MAX)
{
	struct cb_group_view view;

	for (uint32_t i = 0; next_group(m, &i, &view);)
		if (view.has_datagrams)
			cb_metric_count(metrics, view.queued_max_bytes, view.policy->name, NULL);
}

METRIC(GROUP_DROPS)
{
	struct cb_group_view view;

	for (uint32_t i = 0; next_group(m, &i, &view);)
		if (view.has_listen || view.has_datagrams)
			cb_metric_value(metrics, view.drops_per_sec.raw, view.policy->name, NULL);
}

METRIC(GROUP_SKEW)
{
	struct cb_group_view view;

	for (uint32_t i = 0; next_group(m, &i, &view);)
		if (view.has_fds && view.skew_ratio > 0)
			cb_metric_value(metrics, view.skew_ratio, view.policy->name, NULL);
}

METRIC(GROUP_METRIC)
{
	struct cb_group_view view;

	for (uint32_t i = 0; next_group(m, &i, &view);)
		if (view.has_metric)
			cb_metric_value(metrics, view.metric, view.policy->name, NULL);
}

/* Walks the first of the workers for which @present is there: so many that a big group does not flood whoever scrapes. */
struct each_worker {
	const struct cb_manager *m;
	uint32_t present, from;
	struct cb_worker_use use;
	char buf[12];
	const char *label;
};

static bool next_worker(struct each_worker *each)
{
	while (each->from < CB_MIN(cb_engine_n_workers(each->m->engine), WORKER_SERIES_MAX)) {
		cb_engine_worker_use(each->m->engine, each->from++, &each->use);
		if (!(each->use.present & each->present))
			continue;
		each->label = label_of(each->use.slot, each->buf);
		return true;
	}
	return false;
}

METRIC(WORKER_CPU)
{
	struct each_worker each = { .m = m, .present = CB_WORKER_HAS_CPU };

	while (next_worker(&each))
		cb_metric_value(metrics, each.use.cpu_per_sec, each.use.group, each.label);
}

METRIC(WORKER_DELAY)
{
	struct each_worker each = { .m = m, .present = CB_WORKER_HAS_WAIT };

	while (next_worker(&each))
		cb_metric_value(metrics, each.use.wait_per_sec, each.use.group, each.label);
}

METRIC(WORKER_BACKLOG)
{
	struct each_worker each = { .m = m, .present = CB_WORKER_HAS_LISTEN };

	while (next_worker(&each))
		cb_metric_count(metrics, each.use.backlog, each.use.group, each.label);
}

METRIC(WORKER_QUEUED)
{
	struct each_worker each = { .m = m, .present = CB_WORKER_HAS_DATAGRAMS };

	while (next_worker(&each))
		cb_metric_count(metrics, each.use.queued_bytes, each.use.group, each.label);
}

METRIC(WORKER_FDS)
{
	struct each_worker each = { .m = m, .present = CB_WORKER_HAS_FDS };

	while (next_worker(&each))
		cb_metric_count(metrics, each.use.n_fds, each.use.group, each.label);
}

METRIC(WORKERS_LEFT_OUT)
{
	uint32_t n = cb_engine_n_workers(m->engine);

	cb_metric_count(metrics, n - CB_MIN(n, WORKER_SERIES_MAX), NULL, NULL);
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
