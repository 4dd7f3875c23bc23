/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The scalars of report.def, and the sentences in which an operator reads the daemon's state.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "manager.h"

uint64_t cb_seconds_left(uint64_t until_usec, uint64_t now_usec)
{
	return until_usec > now_usec ?
		       (until_usec - now_usec + CB_USEC_PER_SEC - 1) / CB_USEC_PER_SEC :
		       0;
}

static uint64_t left_usec(uint64_t until_usec, uint64_t now_usec)
{
	return until_usec > now_usec ? until_usec - now_usec : 0;
}

/* Append to a NUL-terminated buffer, with @separator between what is there and what comes. */
static void _printf_(4, 5)
	append(char *buf, size_t size, const char *separator, const char *fmt, ...)
{
	size_t len = strlen(buf);
	va_list ap;

	if (len > 0 && len + strlen(separator) < size) {
		strcpy(buf + len, separator);
		len += strlen(separator);
	}
	va_start(ap, fmt);
	vsnprintf(buf + len, size - len, fmt, ap);
	va_end(ap);
}

/* --- counting --- */

static void count_cpus(struct cb_manager *m)
{
	const struct cb_topology *topology = m->topology;
	struct cb_report *report = &m->report;
	uint32_t n[_CB_HEAT_MAX] = { 0 };

	for (uint32_t cpu = 0; cpu < topology->n_cpu_ids; cpu++) {
		enum cb_heat heat = cb_engine_cpu_heat(m->engine, cpu);

		if (heat >= 0 && heat < _CB_HEAT_MAX)
			n[heat]++;
	}
	report->n_cpus = topology->n_online;
	report->n_hot = n[CB_HEAT_HOT];
	report->n_warm = n[CB_HEAT_WARM];
	report->n_cool = n[CB_HEAT_COOL];
}

static void count_groups(struct cb_manager *m)
{
	struct cb_report *report = &m->report;
	struct cb_group_view view;

	report->n_groups = m->n_registrations;
	report->n_workers = m->n_members;
	report->wait_per_sec = report->drops_per_sec = 0;
	report->backlog = report->backlog_max = 0;
	for (uint32_t i = 0; i < cb_engine_n_groups(m->engine); i++) {
		cb_engine_group(m->engine, i, &view);
		report->wait_per_sec += view.wait_per_sec.smooth;
		if (!view.has_listen)
			continue;
		report->backlog += view.backlog;
		report->backlog_max += view.backlog_max;
		report->drops_per_sec += view.drops_per_sec.smooth;
	}
}

/* By the journal, which knows also what nobody has registered again. */
static void count_changes(struct cb_manager *m)
{
	m->report.changed_workers = m->report.changed_irqs = 0;
	for (uint32_t i = 0; m->journal && i < cb_journal_count(m->journal); i++) {
		const struct cb_journal_entry *entry = cb_journal_at(m->journal, i);

		if (entry->knob == CB_KNOB_IRQ_AFFINITY)
			m->report.changed_irqs++;
		else if (entry->knob == CB_KNOB_TASK_AFFINITY && entry->tid == entry->tgid &&
			 !entry->heir)
			m->report.changed_workers++;
	}
}

static void count_findings(struct cb_manager *m)
{
	m->report.n_findings = 0;
	for (uint32_t i = 0; i < cb_engine_n_findings(m->engine); i++)
		m->report.n_findings += cb_engine_finding(m->engine, i)->confirmed;
}

/* A source that the machine has is missing only when a worker is there and it was still not read. */
static void list_missing(struct cb_manager *m)
{
	uint32_t have = cb_host_sources(m->host);

	if (m->n_samples > 0 && m->n_members > 0)
		have &= m->sources_working;
	if (have & 1u << CB_SOURCE_TASKSTATS)
		have |= 1u << CB_SOURCE_TASK_PROC; /* its fall-back, not read then */
	have |= 1u << 31; /* no source's: never written is not the same as none there */
	if (m->missing_have == have)
		return; /* as it is written there */
	m->missing_have = have;
	m->missing[0] = '\0';
	for (int source = 0; source < _CB_SOURCE_MAX; source++)
		if (!(have & 1u << source))
			append(m->missing, sizeof(m->missing), ", ", "%s",
			       cb_source_name((enum cb_source)source));
}

/* --- plans --- */

static void fill_plan(struct cb_manager *m)
{
	const struct cb_plan *plan = cb_engine_plan(m->engine);
	struct cb_report *report = &m->report;

	report->plan_id = plan ? plan->id : 0;
	report->plan_state = plan ? cb_plan_state_name(plan->state) : "";
	report->plan_left_usec =
		plan && plan->next_usec ? left_usec(plan->next_usec, cb_manager_now(m)) : 0;
}

static void fill_last(struct cb_manager *m)
{
	struct cb_report *report = &m->report;
	const struct cb_history_entry *last;

	if (cb_history_count(m->history) == 0) {
		report->last_verdict = report->last_sentence = "";
		return;
	}
	last = cb_history_at(m->history, cb_history_count(m->history) - 1);
	if (report->last_plan_id == last->plan_id && report->last_usec == last->at_usec)
		return; /* as it is written there */
	m->last_sentence[0] = '\0';
	for (uint32_t i = 0; i < last->n_steps && i < 2; i++)
		append(m->last_sentence, sizeof(m->last_sentence), ", ", "%s  CPU %s -> %s",
		       last->step[i].name, last->step[i].from, last->step[i].to);
	if (last->n_steps > 2)
		append(m->last_sentence, sizeof(m->last_sentence), " ", "and %u more",
		       last->n_steps - 2);
	append(m->last_sentence, sizeof(m->last_sentence), ": ", "%s", last->sentence);
	report->last_plan_id = last->plan_id;
	report->last_verdict = cb_verdict_name(last->verdict);
	report->last_sentence = m->last_sentence;
	report->last_usec = last->at_usec;
}

static void fill_budget(struct cb_manager *m)
{
	struct cb_report *report = &m->report;
	struct cb_totals totals;

	cb_engine_totals(m->engine, &totals);
	report->moves_hour = totals.moves_hour;
	report->moves_hour_max = m->policy->moves_per_hour;
	report->rollbacks_hour = totals.rollbacks_hour;
	report->rollbacks_hour_max = m->policy->rollbacks_per_hour;
	report->canary = totals.canary;
	report->paused = totals.paused;
	report->paused_left_usec =
		totals.paused ? left_usec(totals.paused_until_usec, cb_manager_now(m)) : 0;
}

/* --- sentences --- */

static const char *plural(uint32_t n, const char *one, const char *many)
{
	return n == 1 ? one : many;
}

/* What keeps the daemon from its work. */
static void append_state(const struct cb_manager *m, char *buf, size_t size)
{
	const struct cb_report *report = &m->report;

	if (!m->journal_healthy)
		append(buf, size, "; ", "nothing is moved: %s", report->journal);
	if (report->config_error[0])
		append(buf, size, "; ", "the new configuration is wrong, the old one holds");
	if (report->paused)
		append(buf, size, "; ", "balancing is paused");
	if (m->tick_every > 1)
		append(buf, size, "; ", "over TickBudget=: a sample every %u intervals",
		       m->tick_every);
	if (report->canary)
		append(buf, size, "; ", "too many rollbacks: only advising");
}

static void write_headline(struct cb_manager *m)
{
	const struct cb_report *report = &m->report;
	char *buf = m->headline;
	const size_t size = sizeof(m->headline);

	buf[0] = '\0';
	append_state(m, buf, size);
	if (m->n_samples < 2) {
		append(buf, size, "; ", "starting: rates need two samples");
		return;
	}
	if (report->n_hot > 0)
		append(buf, size, "; ", "%u hot %s", report->n_hot,
		       plural(report->n_hot, "core", "cores"));
	if (report->n_findings > 0 && report->n_hot == 0)
		append(buf, size, "; ", "%u %s", report->n_findings,
		       plural(report->n_findings, "finding", "findings"));
	if (report->plan_id != 0)
		append(buf, size, "; ", "plan #%u %s", report->plan_id, report->plan_state);
	if (buf[0])
		return;
	if (report->n_workers == 0)
		append(buf, size, "; ", "nothing is registered: only watching");
	else
		append(buf, size, "; ", "nothing to mend");
}

static const char *state_of(const struct cb_manager *m)
{
	const struct cb_report *report = &m->report;

	if (report->n_findings > 0 || report->n_hot > 0 || report->canary || !m->journal_healthy ||
	    report->config_error[0])
		return "attention";
	if (report->paused)
		return "paused";
	return m->n_samples < 2 ? "starting" : "ok";
}

/* For `systemctl status`: "auto: 192 CPUs, 1 hot; 96 workers; plan #12 verifying, 14 s left" */
static void write_status(struct cb_manager *m)
{
	const struct cb_report *report = &m->report;
	const size_t size = sizeof(m->status);

	snprintf(m->status, size, "%s: %u %s, %u hot", report->mode, report->n_cpus,
		 plural(report->n_cpus, "CPU", "CPUs"), report->n_hot);
	append_state(m, m->status, size);
	if (report->n_workers == 0)
		append(m->status, size, "; ", "nothing is registered");
	else
		append(m->status, size, "; ", "%u %s", report->n_workers,
		       plural(report->n_workers, "worker", "workers"));
	if (report->plan_id != 0)
		append(m->status, size, "; ", "plan #%u %s", report->plan_id, report->plan_state);
	if (report->plan_id != 0 && report->plan_left_usec > 0)
		append(m->status, size, ", ", "%" PRIu64 " s left",
		       cb_seconds_left(report->plan_left_usec, 0));
}

/*
 * What the sentences are made of. Most ticks have nothing new to say. @mode and @plan_state are constants, and what is wrong with the
 * journal is a text that may change.
 */
static bool has_news(struct cb_manager *m)
{
	const struct cb_report *report = &m->report;
	struct cb_said said;

	memset(&said, 0, sizeof(said)); /* padding too */
	said.mode = report->mode;
	said.plan_state = report->plan_state;
	said.left_sec = cb_seconds_left(report->plan_left_usec, 0);
	said.n_cpus = report->n_cpus;
	said.n_hot = report->n_hot;
	said.n_findings = report->n_findings;
	said.n_workers = report->n_workers;
	said.plan_id = report->plan_id;
	said.tick_every = m->tick_every;
	said.starting = m->n_samples < 2;
	said.paused = report->paused;
	said.canary = report->canary;
	said.misconfigured = report->config_error[0] != '\0';
	if (m->journal_healthy && memcmp(&said, &m->said, sizeof(said)) == 0)
		return false;
	m->said = said;
	m->said.n_cpus = m->journal_healthy ? said.n_cpus :
					      0; /* of no machine: news next time too */
	return true;
}

void cb_manager_report(struct cb_manager *m)
{
	struct cb_report *report = &m->report;
	const char *why = "ok";

	report->version = CB_VERSION;
	report->mode = cb_mode_name(cb_engine_policy(m->engine)->mode);
	report->kernel = cb_host_kernel(m->host);
	count_cpus(m);
	count_groups(m);
	count_changes(m);
	count_findings(m);
	list_missing(m);
	fill_plan(m);
	fill_last(m);
	fill_budget(m);
	report->tick_usec = m->tick_usec;
	report->overruns = m->n_overruns;
	report->tick_every = m->tick_every;
	report->late_usec = m->late_usec;
	report->data_age_usec = m->sample_usec != 0 ? cb_manager_now(m) - m->sample_usec : 0;
	if (cb_manager_can_move(m, &why) && m->journal)
		why = cb_journal_state(m->journal);
	report->journal = why;
	report->missing = m->missing;
	report->interrupts_owner = m->irqbalance ? (m->shared ? "shared" : "irqbalance") :
				   strcmp(m->policy->manage_interrupts, "none") != 0 ?
						   "cpubalanced" :
						   "none";
	report->config_error = m->config_error;
	report->headline = m->headline;
	if (!has_news(m))
		return;
	write_headline(m);
	report->state = state_of(m);
	write_status(m);
}
