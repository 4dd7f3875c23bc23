/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The loop of the manager. A tick is: what still waits to be put back, heirs, PIDFile=, all reads, events, the
 * snapshot, whatever the engine decides, and then the report that everybody looks at. Invariants: the journal knows an
 * original before anything is turned, since only cb_apply() and cb_release() write; the engine's inputs are recorded in
 * the order in which it got them; while the journal cannot record originals the engine only observes.
 */
#include "manager.h"

#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus.h"
#include "cpubalance/clock.h"
#include "log.h"
#include "metrics.h"
#include "service.h"
#include "textfile.h"

#define JOURNAL_EVERY_USEC  (30 * CB_USEC_PER_SEC)
#define TEXTFILE_EVERY_USEC (5 * CB_USEC_PER_SEC)
/* An interrupt that fires and is in no inventory must not cost an inventory each tick. */
#define IRQS_EVERY_USEC (5 * CB_USEC_PER_SEC)
/* Nor must an interface that flaps. */
#define LINKS_EVERY_USEC (1 * CB_USEC_PER_SEC)
/* Who has asked will ask again: for so long every signal is read in every tick. */
#define WATCHED_USEC (3 * CB_USEC_PER_SEC)

uint64_t cb_manager_now(const struct cb_manager *m)
{
	return cb_host_now_usec(m->host);
}

/* --- feeding --- */

static void record(struct cb_manager *m, const struct cb_input *input,
		   const struct cb_decision *decision)
{
	int r;

	if (!m->trace)
		return;
	r = input ? cb_trace_input(m->trace, input) : cb_trace_decision(m->trace, decision);
	if (r >= 0)
		return;
	cb_log(LOG_ERR, "Failed to write the trace %s, which ends here: %s", m->options.record,
	       strerror(-r));
	m->trace = cb_trace_close(m->trace);
}

static void act(struct cb_manager *m, const struct cb_decision *decision)
{
	const struct cb_registration *group;
	struct cb_outcome *outcome = m->outcome;

	*outcome = (struct cb_outcome){ .plan_id = decision->plan_id };
	if (!m->journal)
		return;
	cb_heirs_update(m->host, m->journal);
	if (decision->action == CB_ACTION_APPLY) {
		cb_apply(m->host, m->journal, m->engine, decision, outcome);
		return;
	}
	group = cb_manager_group_by_key(m, decision->group_key);
	if (decision->group_key != 0 && !group)
		return; /* NULL would mean all */
	cb_release(m->host, m->journal, group ? group->policy.name : NULL, outcome);
	m->n_restore_failed += outcome->n_failed;
	m->n_unrestored = outcome->n_failed;
	m->n_pending = outcome->n_pending;
	if (m->answer) {
		m->answer->n_restored += outcome->n_restored;
		m->answer->n_pending += outcome->n_pending;
		m->answer->n_gone += outcome->n_gone;
		m->answer->n_foreign += outcome->n_foreign;
		m->answer->n_failed += outcome->n_failed;
	}
}

static int feed_one(struct cb_manager *m, struct cb_input *input)
{
	int r;

	input->now_usec = cb_manager_now(m);
	record(m, input, NULL);
	r = cb_engine_feed(m->engine, input, m->decision);
	record(m, NULL, m->decision);
	if (r < 0 && !m->feed_failed[input->kind])
		cb_log(LOG_ERR, "The engine refused an input (%s): %s",
		       cb_input_kind_name(input->kind), strerror(-r));
	m->feed_failed[input->kind] = r < 0;
	for (uint32_t i = 0; r >= 0 && i < m->decision->n_notices; i++)
		cb_manager_notice(m, &m->decision->notice[i]);
	return r;
}

/* An interrupt whose write was refused for good is not tried again, in this inventory and the next ones. */
static void learn_immovable(struct cb_manager *m)
{
	const struct cb_outcome outcome = *m->outcome;

	for (uint32_t i = 0; i < outcome.n_steps; i++) {
		const struct cb_step *step = &outcome.step[i];
		struct cb_event event = { .kind = CB_EVENT_IRQ_IMMOVABLE, .irq = step->item.key };

		if (step->item.kind != CB_ITEM_IRQ || step->error_class != CB_ERROR_PERMANENT)
			continue;
		for (uint32_t k = 0; k < m->irqs->n; k++)
			if (m->irqs->irq[k].irq == event.irq)
				m->irqs->irq[k].immovable = true;
		cb_manager_feed_event(m, &event);
	}
}

int cb_manager_feed(struct cb_manager *m, struct cb_input *input)
{
	int r = feed_one(m, input);

	if (m->answer) {
		m->answer->result = r < 0 ? r : m->decision->result;
		m->answer->plan_id = m->decision->answer_plan_id;
		memcpy(m->answer->text, m->decision->answer, sizeof(m->answer->text));
	}
	while (r >= 0 && m->decision->action != CB_ACTION_NONE) {
		struct cb_input outcome = { .kind = CB_INPUT_OUTCOME, .outcome = m->outcome };
		bool applied = m->decision->action == CB_ACTION_APPLY;

		act(m, m->decision);
		r = feed_one(m, &outcome);
		cb_manager_queues_written(m, m->outcome);
		if (applied && m->decision->action == CB_ACTION_NONE)
			learn_immovable(m);
	}
	return r;
}

int cb_manager_feed_event(struct cb_manager *m, const struct cb_event *event)
{
	struct cb_input input = { .kind = CB_INPUT_EVENT, .event = event };
	struct cb_answer *answer = m->answer;
	int r;

	m->answer = NULL; /* an event inside a command is not its answer */
	r = cb_manager_feed(m, &input);
	m->answer = answer;
	return r;
}

int cb_manager_command(struct cb_manager *m, const struct cb_command *command,
		       struct cb_answer *ret)
{
	struct cb_input input = { .kind = CB_INPUT_COMMAND, .command = command };

	*ret = (struct cb_answer){ .result = 0 };
	m->answer = ret;
	cb_manager_feed(m, &input);
	m->answer = NULL;
	if (ret->result < 0 && !ret->text[0])
		snprintf(ret->text, sizeof(ret->text), "%s: %s",
			 cb_command_kind_name(command->kind), strerror(-ret->result));
	return ret->result;
}

/* --- policy, topology, interrupts --- */

bool cb_manager_can_move(const struct cb_manager *m, const char **ret_why)
{
	if (m->journal && cb_journal_healthy(m->journal))
		return true;
	*ret_why = m->journal ? cb_journal_state(m->journal) : m->journal_error;
	return false;
}

int cb_manager_feed_policy(struct cb_manager *m)
{
	struct cb_input input = { .kind = CB_INPUT_POLICY, .policy = m->effective };
	const char *why;

	cb_policy_copy(m->effective, m->policy);
	m->journal_healthy = cb_manager_can_move(m, &why);
	if (!m->journal_healthy)
		m->effective->mode = CB_MODE_OBSERVE;
	return cb_manager_feed(m, &input);
}

/*
 * Nothing is moved while the journal is unhealthy, so nothing is written to it that would show that it works again:
 * write what is there once more, or open it anew where nothing is.
 */
static void probe_journal(struct cb_manager *m)
{
	struct cb_err err = { .msg = "" };
	struct cb_journal *fresh = NULL;
	uint64_t now_usec = m->tick_begin_usec;

	if (now_usec - m->journal_probe_usec < JOURNAL_EVERY_USEC)
		return;
	m->journal_probe_usec = now_usec;
	if (m->journal && cb_journal_healthy(m->journal))
		return;
	if (m->journal && cb_journal_count(m->journal) > 0) {
		if (cb_journal_put(m->journal, cb_journal_at(m->journal, 0), &err) < 0)
			cb_log(LOG_DEBUG, "The journal still fails: %s", err.msg);
		return;
	}
	m->journal = cb_journal_close(m->journal); /* it holds the lock */
	if (cb_manager_open_journal(m, &fresh, &err) < 0)
		snprintf(m->journal_error, sizeof(m->journal_error), "%s", err.msg);
	m->journal = fresh;
}

static void watch_journal(struct cb_manager *m)
{
	const char *why = "";
	bool healthy;

	probe_journal(m);
	healthy = cb_manager_can_move(m, &why);

	if (healthy == m->journal_healthy)
		return;
	if (healthy)
		cb_log(LOG_NOTICE, "The journal of originals works again");
	else
		cb_log(LOG_ERR, "Nothing is moved while originals cannot be recorded: %s", why);
	cb_manager_feed_policy(m);
	cb_manager_groups_refeed(m);
}

int cb_manager_feed_topology(struct cb_manager *m, struct cb_err *err)
{
	uint32_t generation = m->topology ? m->topology->generation + 1 : 1;
	struct cb_input input = { .kind = CB_INPUT_TOPOLOGY };
	struct cb_topology *topology;
	int r = cb_host_topology(m->host, generation, &topology, err);

	if (r < 0)
		return r;
	cb_topology_unref(m->topology);
	m->topology = input.topology = topology;
	m->prepare_needed = true;
	return cb_manager_feed(m, &input);
}

/* What the inventory cannot know: what was refused before, and what the journal holds. */
static void mark_irqs(const struct cb_manager *m, struct cb_irqs *irqs)
{
	for (uint32_t i = 0; i < irqs->n; i++) {
		struct cb_irq_info *info = &irqs->irq[i];
		const struct cb_irq_info *old = m->irqs ? cb_irqs_find(m->irqs, info->irq) : NULL;

		info->immovable = old && old->immovable && old->hwirq == info->hwirq &&
				  strcmp(old->actions, info->actions) == 0;
		info->placed = m->journal && cb_journal_find_irq(m->journal, info->irq, info->hwirq,
								 info->actions);
	}
}

/* Interrupts that a driver has requested anew, or spread anew, have lost what we set. */
static void apply_again(struct cb_manager *m, struct cb_irqs *irqs)
{
	uint32_t n;

	if (!m->links_changed || !m->journal || !m->journal_healthy || m->options.dry_run)
		return;
	m->links_changed = false;
	n = cb_irqs_again(m->host, m->journal, irqs);
	if (n > 0)
		cb_log(LOG_NOTICE,
		       "%u interrupts that their driver had set up anew are placed again", n);
}

/* Each is asked, so that no news is left for later. */
static void watch_news(struct cb_manager *m)
{
	m->links_changed |= cb_host_links_changed(m->host);
	m->links_changed |= cb_host_cpus_changed(m->host);
}

/* Before anything is forgotten for good. */
static void watch_links(struct cb_manager *m)
{
	struct cb_err err = { .msg = "" };
	int r;

	watch_news(m);
	if (!m->links_changed || cb_manager_now(m) - m->irqs_usec < LINKS_EVERY_USEC)
		return;
	r = cb_manager_feed_irqs(m, &err);
	m->links_changed = false;
	if (r < 0)
		cb_log(LOG_ERR, "Failed to look for interrupts: %s",
		       err.msg[0] ? err.msg : strerror(-r));
}

int cb_manager_feed_irqs(struct cb_manager *m, struct cb_err *err)
{
	uint32_t generation = m->irqs ? m->irqs->generation + 1 : 1;
	struct cb_input input = { .kind = CB_INPUT_IRQS };
	struct cb_irqs *irqs;
	int r = cb_host_irqs(m->host, generation, &irqs, err);

	if (r < 0)
		return r;
	apply_again(m, irqs);
	mark_irqs(m, irqs);
	free(m->irqs);
	m->irqs = irqs;
	m->irqs_usec = cb_manager_now(m);
	m->prepare_needed = true;
	input.irqs = irqs;
	return cb_manager_feed(m, &input);
}

static int prepare(struct cb_manager *m, struct cb_err *err)
{
	int r;

	if (!m->prepare_needed)
		return 0;
	r = cb_host_prepare(m->host, m->topology, m->irqs, &m->snapshot, err);
	if (r < 0)
		return r;
	m->prepare_needed = false;
	/* What inventories needed goes back, before what stays is locked. */
	malloc_trim(0);
	cb_manager_lock_memory(m);
	return 0;
}

/* --- the tick --- */

static void feed_gone(struct cb_manager *m)
{
	for (uint32_t i = 0; i < m->collected->n_gone; i++) {
		struct cb_member *member = cb_manager_worker_by_key(m, m->collected->gone[i]);

		if (member)
			cb_manager_worker_gone(m, member);
	}
}

static bool is_stranded(const struct cb_member *member, const struct cb_stranded *stranded)
{
	return member->pid == stranded->tgid && member->tid == stranded->tid &&
	       member->start_ticks == stranded->start_ticks;
}

/* Before anybody can take what the kernel did with their masks for somebody's wish. */
static void feed_stranded(struct cb_manager *m)
{
	struct cb_stranded stranded;

	while (cb_host_stranded(m->host, &stranded)) {
		struct cb_event event = { .kind = CB_EVENT_STRANDED, .irq = stranded.irq };

		for (uint32_t i = 0; i < m->n_members && event.worker_key == 0; i++)
			if (is_stranded(m->member[i], &stranded))
				event.worker_key = m->member[i]->key;
		/* An heir is no worker. */
		if (event.worker_key != 0 || stranded.tgid == 0)
			cb_manager_feed_event(m, &event);
	}
}

static void feed_foreign(struct cb_manager *m)
{
	const struct cb_collect_events *collected = m->collected;

	/* A CPU that is coming back may have taken a mask along: before that is anybody's wish. */
	if (m->journal && collected->n_irq_masks + collected->n_worker_masks > 0) {
		cb_hotplug_update(m->host, m->journal);
		feed_stranded(m);
	}
	/* Those of an interface that is being set up anew, or spread over other CPUs, are looked at in the next tick, all at once. */
	if (collected->n_irq_masks > 0)
		watch_news(m);
	m->links_changed |= !!(collected->changed & CB_COLLECT_TOPOLOGY);
	for (uint32_t i = 0; i < collected->n_irq_masks && !m->links_changed; i++) {
		struct cb_event event = { .kind = CB_EVENT_IRQ_FOREIGN,
					  .irq = collected->irq_mask[i].irq,
					  .mask = collected->irq_mask[i].mask };

		/* Ours or not, it is what the listings have to show. */
		for (uint32_t k = 0; k < m->irqs->n; k++)
			if (m->irqs->irq[k].irq == event.irq)
				m->irqs->irq[k].affinity = event.mask;
		cb_manager_feed_event(m, &event);
	}
	for (uint32_t i = 0; i < collected->n_worker_masks; i++) {
		struct cb_event event = { .kind = CB_EVENT_WORKER_FOREIGN,
					  .worker_key = collected->worker_mask[i].key,
					  .mask = collected->worker_mask[i].mask };

		struct cb_member *member = cb_manager_worker_by_key(m, event.worker_key);

		if (!member)
			continue;
		cb_manager_cpuset(m, member); /* whose doing it may be */
		cb_manager_feed_event(m, &event);
	}
}

/*
 * The clock that counts stands still while the machine is suspended, but CPUs were taken out and put back and every peer has gone
 * on: what was before is no measure for what comes. A new topology, as after hotplug, says all that to the engine.
 */
static void watch_suspend(struct cb_manager *m)
{
	uint64_t suspended_usec = cb_host_suspended_usec(m->host), grown_usec;
	struct cb_err err = { .msg = "" };
	int r;

	grown_usec = suspended_usec - CB_MIN(m->suspended_usec, suspended_usec);
	m->suspended_usec = suspended_usec;
	if (m->n_ticks == 0 || grown_usec < CB_USEC_PER_SEC)
		return;
	cb_log(LOG_NOTICE, "The machine was suspended for %" PRIu64 " s: measuring starts anew",
	       (grown_usec + CB_USEC_PER_SEC / 2) / CB_USEC_PER_SEC);
	r = cb_manager_feed_topology(m, &err);
	if (r >= 0)
		r = cb_manager_feed_irqs(m, &err);
	if (r < 0)
		cb_log(LOG_ERR, "Failed to read the machine anew: %s",
		       err.msg[0] ? err.msg : strerror(-r));
}

/* A trace is there to be looked at: nothing is left out of it. */
static void ask_for_signals(struct cb_manager *m)
{
	struct cb_demand demand;
	bool watched = m->trace ||
		       (m->client_usec != 0 && cb_manager_now(m) - m->client_usec < WATCHED_USEC);

	cb_engine_demand(m->engine, watched, &demand);
	/* What is over its budget does not look closer. */
	demand.detail = demand.detail && m->tick_every <= 1;
	cb_host_demand(m->host, &demand);
	m->sources_working = cb_host_sources_working(m->host);
	m->n_cross_cpu_reads = cb_host_cross_cpu_reads(m->host);
}

/* Read, tell what happened, feed the snapshot. Returns 1 when there is none this time, which is no error. */
static int sample(struct cb_manager *m, struct cb_err *err)
{
	struct cb_input input = { .kind = CB_INPUT_SNAPSHOT, .snapshot = &m->snapshot };
	int r = prepare(m, err);

	if (r < 0)
		return r;
	r = cb_collect(m->host, &m->snapshot, m->collected);
	if (r < 0)
		return cb_err_set(err, r, "cannot read CPU times: %s", strerror(-r));
	cb_manager_gauges_fill(m);
	feed_foreign(m);
	if (m->collected->changed & CB_COLLECT_TOPOLOGY) {
		feed_gone(m);
		r = cb_manager_feed_topology(m, err);
		return r < 0 ? r : 1;
	}
	r = cb_manager_feed(m, &input);
	ask_for_signals(m);
	/* the snapshot still had them, and the engine knows its workers by the same keys */
	feed_gone(m);
	if (m->collected->changed & CB_COLLECT_IRQS &&
	    cb_manager_now(m) - m->irqs_usec >= IRQS_EVERY_USEC)
		r = cb_manager_feed_irqs(m, err);
	return r;
}

static void say_sample(struct cb_manager *m, int r, const struct cb_err *err)
{
	if (r == 0) {
		m->n_samples++;
		m->sample_usec = m->snapshot.time_usec;
	}
	if (r < 0 && !m->sample_failed)
		cb_log(LOG_ERR, "Failed to take a sample: %s",
		       err->msg[0] ? err->msg : strerror(-r));
	if (r == 0 && m->sample_failed)
		cb_log(LOG_NOTICE, "Samples can be taken again");
	m->sample_failed = r < 0;
}

static void write_textfile(struct cb_manager *m)
{
	struct cb_err err = { .msg = "" };
	uint64_t now_usec = m->tick_begin_usec;
	int r;

	if (!m->policy->metrics_textfile[0] || m->n_samples == 0 ||
	    (m->textfile_usec != 0 && now_usec - m->textfile_usec < TEXTFILE_EVERY_USEC))
		return;
	m->textfile_usec = now_usec;
	r = cb_textfile_write(m->policy->metrics_textfile, cb_metrics_render(m->metrics, m), &err);
	if (r < 0 && !m->textfile_failed)
		cb_log(LOG_ERR, "Failed to write MetricsTextfile=: %s", err.msg);
	m->textfile_failed = r < 0;
}

/* Groups whose sockets are not those that were steered any more, or could not be steered anew. */
static void feed_lost(struct cb_manager *m)
{
	static char names[CB_GROUPS_MAX][CB_NAME_MAX];
	uint32_t n = cb_steer_lost(m->host, names, CB_GROUPS_MAX);

	for (uint32_t i = 0; i < n; i++) {
		const struct cb_registration *group = cb_manager_group_find(m, names[i]);
		struct cb_event event = { .kind = CB_EVENT_STEER_LOST };

		if (!group)
			continue;
		cb_log(LOG_NOTICE,
		       "The connections of group %s are not steered: its sockets have changed or could not be set; the kernel's hash until they have settled",
		       names[i]);
		event.group_key = group->key;
		cb_manager_feed_event(m, &event);
	}
}

static void tick(struct cb_manager *m)
{
	struct cb_err err = { .msg = "" };
	uint64_t begin_cpu_usec = cb_manager_idle_cpu_usec(m);

	if (m->journal) {
		/* who has lost its CPUs is not placed on them again */
		cb_hotplug_update(m->host, m->journal);
		feed_stranded(m);
	}
	watch_links(m);
	if (m->journal) {
		m->n_pending = cb_release_pending(m->host, m->journal);
		feed_lost(m);
		cb_heirs_update(m->host, m->journal);
	}
	cb_manager_pidfiles(m);
	cb_manager_selected(m);
	cb_manager_gauges(m);
	watch_journal(m);
	cb_manager_owners_watch(m);
	cb_manager_queues_watch(m);
	watch_suspend(m);
	say_sample(m, sample(m, &err), &err);
	cb_manager_saved_write(m);
	cb_manager_own_place(m);
	m->n_ticks++;
	m->last_tick_usec = cb_manager_now(m);
	m->tick_usec = m->last_tick_usec - m->tick_begin_usec;
	cb_manager_report(m);
	cb_server_tick(m->server);
	write_textfile(m);
	cb_service_ready(m);
	cb_service_status(m);
	cb_manager_cost(m, begin_cpu_usec);
}

int cb_manager_on_tick(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct cb_manager *m = userdata;
	uint64_t interval_usec = m->policy->sample_interval_usec;
	uint64_t now_usec = cb_manager_now(m), missed;

	(void)usec;
	m->late_usec = now_usec - CB_MIN(m->tick_due_usec, now_usec);
	missed = m->late_usec / interval_usec;
	m->n_overruns += missed;
	m->tick_begin_usec = now_usec;
	tick(m);
	/* From the time it was due, not from now: no drift. What was missed is not made up for. */
	m->tick_due_usec += interval_usec * (missed + m->tick_every);
	sd_event_source_set_time(source, m->tick_due_usec);
	return sd_event_source_set_enabled(source, SD_EVENT_ON);
}
