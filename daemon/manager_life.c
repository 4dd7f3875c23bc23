/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How a manager begins, takes over a new configuration, and ends. Order of a start: the journal first, since it says
 * whether another daemon runs; then what the engine needs to know before the first snapshot; then the groups, which adopts
 * what an earlier daemon has placed; the bus last, when there is something to show.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "bus.h"
#include "config.h"
#include "log.h"
#include "manager.h"
#include "metrics.h"
#include "service.h"
#include "textfile.h"

/* How long a stop waits for interrupts that move only with their next occurrence. */
#define STOP_WAIT_USEC (2 * CB_USEC_PER_SEC)
#define STOP_STEP_NSEC 50000000L

struct cb_manager *cb_manager_new(void)
{
	struct cb_manager *m = calloc(1, sizeof(*m));

	if (!m)
		return NULL;
	m->policy = calloc(1, sizeof(*m->policy));
	m->origins = calloc(1, sizeof(*m->origins));
	m->effective = calloc(1, sizeof(*m->effective));
	m->collected = calloc(1, sizeof(*m->collected));
	m->decision = calloc(1, sizeof(*m->decision));
	m->outcome = calloc(1, sizeof(*m->outcome));
	m->metrics = cb_metrics_new();
	if (!m->policy || !m->origins || !m->effective || !m->collected || !m->decision ||
	    !m->outcome || !m->metrics)
		return cb_manager_free(m);
	return m;
}

struct cb_manager *cb_manager_free(struct cb_manager *m)
{
	if (!m)
		return NULL;
	sd_event_source_disable_unref(m->tick_source);
	sd_event_source_disable_unref(m->watchdog_source);
	cb_server_free(m->server);
	for (uint32_t i = 0; i < m->n_members; i++) {
		sd_event_source_disable_unref(m->member[i]->exit);
		free(m->member[i]);
	}
	for (uint32_t i = 0; i < m->n_registrations; i++) {
		cb_manager_gauge_close(m->registration[i]);
		free(m->registration[i]);
	}
	cb_metrics_free(m->metrics);
	cb_trace_close(m->trace);
	cb_engine_free(m->engine);
	cb_history_close(m->history);
	cb_history_close(m->others);
	cb_journal_close(m->journal);
	cb_snapshot_done(&m->snapshot);
	cb_topology_unref(m->topology);
	cb_host_close(m->host);
	free(m->irqs);
	free(m->policy);
	if (m->origins)
		cb_config_origins_done(m->origins);
	free(m->origins);
	free(m->effective);
	free(m->collected);
	free(m->decision);
	free(m->outcome);
	free(m);
	return NULL;
}

/* --- start --- */

bool cb_manager_is_live(const struct cb_manager *m)
{
	const char *sysroot = m->options.sysroot;

	return !m->options.dry_run && (!sysroot || strcmp(sysroot, "/") == 0);
}

int cb_manager_open_journal(struct cb_manager *m, struct cb_journal **ret, struct cb_err *err)
{
	const char *dir = cb_manager_is_live(m) ? m->options.run_dir : NULL;

	if (dir && mkdir(dir, 0755) < 0 && errno != EEXIST)
		return cb_err_set(err, -errno, "%s: %s", dir, strerror(errno));
	return cb_journal_open(dir, cb_host_boot_id(m->host), ret, err);
}

/* Without a journal nothing is moved, but everything can be seen. Only another daemon ends the start. */
static int open_journal(struct cb_manager *m, struct cb_err *err)
{
	int r = cb_manager_open_journal(m, &m->journal, err);

	if (r == -EBUSY)
		return r;
	if (r < 0) {
		snprintf(m->journal_error, sizeof(m->journal_error), "%s", err->msg);
		cb_log(LOG_ERR, "Nothing will be moved, since originals cannot be recorded: %s",
		       err->msg);
		err->msg[0] = '\0';
		return 0;
	}
	if (strcmp(cb_journal_state(m->journal), "ok") != 0)
		cb_log(LOG_WARNING, "Journal of originals: %s", cb_journal_state(m->journal));
	return 0;
}

/* Steering does not outlive who looks after it, whether that ended well or not. */
static void detach_steering(struct cb_manager *m)
{
	struct cb_outcome *outcome = m->outcome;

	if (!m->journal)
		return;
	cb_steer_detach(m->host, m->journal, outcome);
	if (outcome->n_restored + outcome->n_gone + outcome->n_foreign + outcome->n_failed > 0)
		cb_log(outcome->n_failed > 0 ? LOG_ERR : LOG_NOTICE,
		       "Connections have the kernel's hash again: %u put back, %u gone, %u changed "
		       "by somebody else, %u failed",
		       outcome->n_restored, outcome->n_gone, outcome->n_foreign, outcome->n_failed);
}

/*
 * Only what a verdict has kept is adopted. A plan that was being tried when the daemon died is undone, and the history says so;
 * after a stop there is none.
 */
static void undo_unjudged(struct cb_manager *m)
{
	struct cb_outcome *outcome = m->outcome;
	struct cb_history_entry entry = { .at_usec = cb_host_realtime_usec(m->host),
					  .verdict = CB_VERDICT_ROLLED_BACK };
	struct cb_err err = { .msg = "" };

	if (!m->journal)
		return;
	entry.plan_id = cb_undo_unjudged(m->host, m->journal, outcome);
	if (entry.plan_id != 0) {
		snprintf(entry.sentence, sizeof(entry.sentence),
			 "the daemon ended before the verdict: %u originals put back, %u failed",
			 outcome->n_restored + outcome->n_pending, outcome->n_failed);
		cb_log(outcome->n_failed > 0 ? LOG_ERR : LOG_WARNING, "Plan #%u undone: %s",
		       entry.plan_id, entry.sentence);
		if (cb_history_add(m->history, &entry, &err) < 0)
			cb_log(LOG_WARNING, "Failed to write the history: %s", err.msg);
	}
	if (cb_journal_count(m->journal) > 0)
		cb_log(LOG_NOTICE, "Adopting %u originals that an earlier daemon has recorded",
		       cb_journal_count(m->journal));
}

/* No number is used twice, not even when the history is lost and the journal is not. */
static uint32_t first_plan_id(const struct cb_manager *m)
{
	uint32_t last = cb_history_last_plan_id(m->history);

	for (uint32_t i = 0; m->journal && i < cb_journal_count(m->journal); i++)
		last = CB_MAX(last, cb_journal_at(m->journal, i)->plan_id);
	return last + 1;
}

static int open_history(struct cb_manager *m, const char *name, struct cb_history **ret,
			struct cb_err *err)
{
	const char *dir = cb_manager_is_live(m) ? m->options.state_dir : NULL;
	int r = cb_history_open(dir, name, ret, err);

	if (!*ret)
		return r;
	if (r < 0)
		cb_log(LOG_WARNING, "The history will not outlive the daemon: %s", err->msg);
	if (cb_history_bad_lines(*ret) > 0)
		cb_log(LOG_WARNING, "Passed over %" PRIu64 " bad lines of %s.jsonl",
		       cb_history_bad_lines(*ret), name);
	err->msg[0] = '\0';
	return 0;
}

static int open_engine(struct cb_manager *m, struct cb_err *err)
{
	uint32_t first = first_plan_id(m);
	int r = 0;

	m->engine = cb_engine_new(first);
	if (!m->engine)
		return cb_err_set(err, -ENOMEM, "out of memory");
	if (m->options.record)
		r = cb_trace_create(m->options.record, first, &m->trace, err);
	if (r >= 0)
		r = cb_manager_feed_policy(m);
	if (r >= 0)
		r = cb_manager_feed_topology(m, err);
	if (r >= 0)
		r = cb_manager_feed_irqs(m, err);
	return r;
}

static int arm_tick(struct cb_manager *m)
{
	int r;

	m->tick_due_usec = cb_manager_now(m);
	r = sd_event_add_time(m->event, &m->tick_source, CLOCK_MONOTONIC, m->tick_due_usec,
			      10 * CB_USEC_PER_MSEC, cb_manager_on_tick, m);
	/* Before any client, however many there are. */
	if (r >= 0)
		r = sd_event_source_set_priority(m->tick_source, SD_EVENT_PRIORITY_IMPORTANT);
	if (r >= 0)
		r = cb_service_watchdog_start(m);
	return r;
}

int cb_manager_start(struct cb_manager *m, const struct cb_manager_options *options,
		     const struct cb_policy *policy, sd_event *event, struct cb_err *err)
{
	struct cb_host_options host = { .sysroot = options->sysroot, .dry_run = options->dry_run };
	int r;

	m->options = *options;
	m->event = event;
	cb_policy_copy(m->policy, policy);
	r = cb_host_open(&host, &m->host, err);
	if (r >= 0)
		r = open_journal(m, err);
	if (r >= 0)
		r = open_history(m, CB_HISTORY_PLANS, &m->history, err);
	if (r >= 0)
		r = open_history(m, CB_HISTORY_FOREIGN, &m->others, err);
	if (r >= 0) {
		detach_steering(m);
		undo_unjudged(m);
	}
	if (r >= 0)
		r = open_engine(m, err);
	if (r < 0)
		return r;
	if (cb_manager_is_live(m))
		cb_service_note_clear(m->options.run_dir);
	cb_manager_groups_configure(m);
	cb_manager_saved_load(m);
	cb_manager_report(m);
	r = cb_server_start(m, &m->server);
	if (r >= 0)
		r = arm_tick(m);
	return r < 0 ? cb_err_set(err, r, "cannot start: %s", strerror(-r)) : 0;
}

/* --- reload --- */

int cb_manager_reload(struct cb_manager *m, struct cb_err *err)
{
	struct cb_policy *fresh = malloc(sizeof(*fresh));
	struct cb_config_origins origins;
	int r;

	if (!fresh)
		return cb_err_set(err, -ENOMEM, "out of memory");
	cb_service_reloading(m);
	r = cb_config_load_traced(m->options.config, !m->options.config_given, fresh, &origins,
				  err);
	if (r < 0) {
		cb_log(LOG_ERR, "Failed to reload the configuration, the old one stays: %s",
		       err->msg);
		snprintf(m->config_error, sizeof(m->config_error), "%s", err->msg);
	} else {
		m->config_error[0] = '\0';
		cb_config_origins_done(m->origins);
		*m->origins = origins;
		if (strcmp(m->policy->metrics_textfile, fresh->metrics_textfile) != 0)
			cb_textfile_remove(m->policy->metrics_textfile);
		m->textfile_usec = 0;
		cb_policy_copy(m->policy, fresh);
		cb_manager_feed_policy(m);
		cb_manager_groups_configure(m);
		m->tick_due_usec = CB_MIN(m->tick_due_usec,
					  cb_manager_now(m) + m->policy->sample_interval_usec);
		sd_event_source_set_time(m->tick_source, m->tick_due_usec);
		cb_log(LOG_NOTICE, "Configuration reloaded");
	}
	free(fresh);
	cb_manager_report(m);
	cb_service_reloaded();
	return r;
}

/* --- stop --- */

static void restore_all(struct cb_manager *m)
{
	struct cb_command command = { .kind = CB_COMMAND_RELEASE };
	uint64_t until_usec = cb_manager_now(m) + STOP_WAIT_USEC;
	const struct timespec step = { .tv_nsec = STOP_STEP_NSEC };
	struct cb_answer answer;

	if (!m->journal || cb_journal_count(m->journal) == 0)
		return;
	cb_manager_command(m, &command, &answer);
	while ((m->n_pending = cb_release_pending(m->host, m->journal)) > 0 &&
	       cb_manager_now(m) < until_usec)
		nanosleep(&step, NULL);
	cb_log(answer.n_failed > 0 || m->n_pending > 0 ? LOG_WARNING : LOG_NOTICE,
	       "Put back %u originals; %u were gone, %u changed by somebody else, %u failed, "
	       "%u wait for their next interrupt",
	       answer.n_restored, answer.n_gone, answer.n_foreign, answer.n_failed, m->n_pending);
}

/* It may sleep for ten seconds before it hears us. */
static void end_coordination(struct cb_manager *m)
{
	if (m->journal && !cb_irqbalance_end(m->host, m->journal, CB_IRQBALANCE_END_MSEC))
		cb_log(LOG_WARNING, "irqbalance does not answer: some interrupts stay banned there "
				    "until it is started again, or `cpubalanced --restore`");
}

void cb_manager_stop(struct cb_manager *m, bool keep)
{
	struct cb_command rollback = { .kind = CB_COMMAND_ROLLBACK };
	const struct cb_plan *plan = m->engine ? cb_engine_plan(m->engine) : NULL;
	struct cb_answer answer;

	if (m->stopping)
		return;
	m->stopping = true;
	if (cb_manager_is_live(m))
		cb_service_note_ending(m->options.run_dir, keep);
	cb_service_stopping();
	cb_textfile_remove(m->policy->metrics_textfile);
	if (!keep) {
		restore_all(m);
		end_coordination(m);
	} else if (plan && plan->applied_usec != 0) {
		/* Only what a verdict has kept outlives the daemon that could have judged it. */
		rollback.plan_id = plan->id;
		cb_manager_command(m, &rollback, &answer);
	}
	if (keep)
		detach_steering(m);
	cb_manager_saved_write(m);
}
