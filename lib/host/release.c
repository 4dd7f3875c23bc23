/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Putting originals back: of a group, of a process with its heirs, of one interrupt, of everything.
 *
 * While originals are written, a thread that has not got its own back yet may make another; that one has inherited our mask.
 * So the entries stay until a search for heirs finds nothing new, and only then are they forgotten: they are the
 * evidence of that search.
 */
#include "apply_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collect.h"
#include "journal_internal.h"
#include "steer.h"

/* Owners that are looked at in one call: a few system calls each, so that a tick stays cheap with a full journal. */
#define OWNERS_PER_CALL 64u
/* How long the interrupts of an interface may be away. */
#define LINK_USEC (30 * CB_USEC_PER_SEC)
/* Between the last original that was written and the look whether that was all. */
#define REST_MSEC 5u
/* An interrupt that has not occurred for so long gets its mask back without having been sent home. */
#define WAIT_MAX_SEC 30u

void cb_change_say(const struct cb_change *change, const struct cb_journal_entry *e,
		   const char *what)
{
	const char *group = e->group[0] ? e->group : "no group";
	char line[256], local[CB_LISTEN_TEXT_MAX];

	if (!change->say)
		return;
	if (e->knob == CB_KNOB_TASK_AFFINITY)
		snprintf(line, sizeof(line), "thread %d of process %d (%s): %s", e->tid, e->tgid,
			 group, what);
	else if (e->knob == CB_KNOB_INCOMING_CPU)
		snprintf(line, sizeof(line), "socket %u of process %d (%s): %s", e->inode, e->tgid,
			 group, what);
	else if (e->knob == CB_KNOB_REUSEPORT_WEIGHTS)
		snprintf(line, sizeof(line), "sockets at %s (%s): %s",
			 cb_listen_format(&e->local, local, sizeof(local)), group, what);
	else if (cb_entry_is_queue(e))
		snprintf(line, sizeof(line), "%s of %s queue %u (%s): %s",
			 cb_knob_get(e->knob)->queue_file, e->ifname[0] ? e->ifname : "the machine",
			 e->queue, group, what);
	else
		snprintf(line, sizeof(line), "interrupt %u (%s): %s", e->irq, e->actions, what);
	change->say(line, change->userdata);
}

static bool same_lineage(const struct cb_journal_entry *e, const struct cb_target *t)
{
	if (t->tid != 0)
		return (e->tid == t->tid && e->start_ticks == t->start_ticks) ||
		       (e->heir && e->root_tgid == t->tid && e->root_start_ticks == t->start_ticks);
	return (e->tgid == t->tgid && e->tgid_start_ticks == t->start_ticks) ||
	       (e->heir && e->root_tgid == t->tgid && e->root_start_ticks == t->start_ticks);
}

static bool selected(const struct cb_select *select, const struct cb_journal_entry *e)
{
	bool task = e->knob == CB_KNOB_TASK_AFFINITY, irq = e->knob == CB_KNOB_IRQ_AFFINITY;

	if ((task && select->no_tasks) || (irq && select->no_irqs))
		return false;
	if ((select->steering && !cb_entry_steers(e)) || (select->knob && e->knob != *select->knob))
		return false;
	if (select->queue && (!cb_entry_is_queue(e) || e->interface != select->queue->ifindex ||
			      e->queue != select->queue->queue))
		return false;
	if (select->group && strcmp(select->group, e->group) != 0)
		return false;
	if (select->lineage && (!task || !same_lineage(e, select->lineage)))
		return false;
	if (select->pending && !e->pending)
		return false;
	return !select->irq || (irq && e->irq == *select->irq);
}

static bool restore_one(struct cb_change *change, const struct cb_journal_entry *entry, bool now)
{
	struct cb_journal_entry e = *entry; /* the journal may move it */

	if (cb_entry_steers(&e))
		return cb_restore_steering(change, &e);
	if (cb_entry_is_queue(&e))
		return cb_restore_queue(change, &e);
	return e.knob == CB_KNOB_TASK_AFFINITY ? cb_restore_task(change, &e) :
						 cb_restore_irq(change, &e, now);
}

static bool takes_tasks(const struct cb_select *select)
{
	return !select->no_tasks && !select->irq && !select->knob && !select->steering;
}

/* Heirs that nobody has told us of yet. */
static int find_heirs(struct cb_change *change, const struct cb_select *select)
{
	if (!takes_tasks(select) || change->writer->ops->pretends ||
	    !cb_journal_n_tasks(change->journal))
		return 0;
	return select->lineage || select->pending ?
		       cb_heirs_walk(change->writer, change->journal) :
		       cb_heirs_search(change->writer, change->journal);
}

/* Entries [from, n) that are selected; @done gets a mark for each that may go. Puts append only, so indices stay. */
static void restore_range(struct cb_change *change, const struct cb_select *select, bool now,
			  uint32_t from, uint32_t n, bool *done)
{
	for (uint32_t i = from; i < n; i++) {
		const struct cb_journal_entry *e = cb_journal_at(change->journal, i);

		done[i] = selected(select, e) && restore_one(change, e, now);
	}
}

/* The entry of a process has to stay as long as it may have offspring that has not come to light. */
static void forget_or_keep(struct cb_change *change, const struct cb_journal_entry *entry,
			   bool keep)
{
	struct cb_journal_entry e = *entry;

	if (keep && cb_entry_stands(&e) && cb_task_lives(change->writer, &e) == 1) {
		e.pending = true;
		if (cb_journal_put(change->journal, &e, NULL) == 0)
			return;
	}
	cb_journal_forget(change->journal, &e);
}

void cb_restore_selected(struct cb_change *change, const struct cb_select *select, bool now)
{
	struct cb_journal *journal = change->journal;
	bool *done = NULL;
	uint32_t from = 0, n = 0, n_late = change->n_late;
	int found = 0;

	(void)find_heirs(change, select);
	for (unsigned int pass = 0;
	     pass < CB_WALKS_MAX && (cb_journal_count(journal) > from || found > 0); pass++) {
		bool *more;

		n = cb_journal_count(journal);
		more = reallocarray(done, n, sizeof(*done));
		if (!more) {
			change->n_failed++;
			change->errnum = ENOMEM;
			change->error_class = CB_ERROR_TRANSIENT;
			n = from;
			break;
		}
		done = more;
		restore_range(change, select, now, from, n, done);
		from = n;
		/* What was being made by a thread that had our mask comes to light a little later. */
		if (cb_journal_n_tasks(journal) > 0 && takes_tasks(select) &&
		    !change->writer->ops->pretends)
			change->writer->ops->sleep_msec(change->writer, REST_MSEC);
		found = find_heirs(change, select);
		change->n_late += found > 0 ? (uint32_t)found : 0;
	}
	/* From the end: a drop moves the last entry, which has had its turn, into the gap. */
	for (uint32_t i = n; i-- > 0;)
		if (done[i])
			forget_or_keep(change, cb_journal_at(journal, i),
				       !now && change->n_late > n_late);
	free(done);
}

void cb_release(struct cb_host *host, struct cb_journal *journal, const char *group,
		struct cb_outcome *ret)
{
	struct cb_change change = { .writer = host->writer, .journal = journal };
	struct cb_select select = { .group = group };

	*ret = (struct cb_outcome){ .plan_id = 0 };
	cb_hotplug_update(host, journal);
	cb_heirs_update(host, journal);
	cb_restore_selected(&change, &select, false);
	ret->n_restored = change.n_restored;
	ret->n_pending = change.n_pending;
	ret->n_gone = change.n_gone;
	ret->n_foreign = change.n_foreign;
	ret->n_failed = change.n_failed;
}

/* --- once per tick --- */

/* Has the restore of @irq waited long enough? The first question starts the clock. */
static bool waited(struct cb_writer *writer, uint32_t irq)
{
	uint64_t now = writer->ops->now_ticks(writer);
	uint32_t i = 0;

	while (i < writer->n_waits && writer->wait[i].irq != irq)
		i++;
	if (i == CB_WRITER_WAITS_MAX)
		return true;
	if (i == writer->n_waits)
		writer->wait[writer->n_waits++] =
			(struct cb_writer_wait){ .irq = irq, .since_ticks = now };
	return now - writer->wait[i].since_ticks >=
	       WAIT_MAX_SEC * writer->ops->ticks_per_sec(writer);
}

static void forget_wait(struct cb_writer *writer, uint32_t irq)
{
	for (uint32_t i = 0; i < writer->n_waits; i++)
		if (writer->wait[i].irq == irq)
			writer->wait[i] = writer->wait[--writer->n_waits];
}

/* Interrupts whose restore has begun. */
static void finish_interrupts(struct cb_change *change)
{
	for (uint32_t i = cb_journal_count(change->journal); i-- > 0;) {
		struct cb_journal_entry e = *cb_journal_at(change->journal, i);

		if (e.knob != CB_KNOB_IRQ_AFFINITY || !e.pending ||
		    !cb_restore_irq(change, &e, waited(change->writer, e.irq)))
			continue;
		forget_wait(change->writer, e.irq);
		cb_journal_forget(change->journal, &e);
	}
}

/* All threads of a process that is gone. */
static void drop_process(struct cb_change *change, int32_t tgid, uint64_t start_ticks)
{
	for (uint32_t i = cb_journal_count(change->journal); i-- > 0;) {
		const struct cb_journal_entry *e = cb_journal_at(change->journal, i);

		if (e->knob == CB_KNOB_TASK_AFFINITY && e->tgid == tgid &&
		    e->tgid_start_ticks == start_ticks && cb_task_lives(change->writer, e) == 0)
			cb_journal_forget(change->journal, e);
	}
}

/* 1 when the process of this entry is there, 0 when it is gone, negative: unknown. */
static int process_lives(struct cb_writer *writer, const struct cb_journal_entry *e)
{
	struct cb_task_stat stat;
	int r = writer->ops->task_stat(writer, e->tgid, e->tgid, &stat);

	if (r < 0)
		return r == -ESRCH ? 0 : r;
	return stat.start_ticks == e->tgid_start_ticks && cb_stat_lives(&stat);
}

/* An interface that is being set up anew has no interrupts for a while; what they had is not forgotten so soon. */
static bool links_unsettled(const struct cb_host *host)
{
	return host && host->links_usec != 0 &&
	       cb_host_now_usec(host) - host->links_usec < LINK_USEC;
}

/*
 * Look after one owner. Before the last entry of a process goes, its heirs are looked for; they have entries of their own then.
 * @searched: that was done in this call.
 */
static void check_owner(struct cb_change *change, const struct cb_journal_entry *entry,
			bool *searched)
{
	struct cb_journal_entry e = *entry;
	bool task = e.knob == CB_KNOB_TASK_AFFINITY;

	if (cb_entry_steers(&e))
		return; /* by the sockets, see steer_changed() */
	if (cb_entry_is_queue(&e)) {
		if (cb_queue_lives(change->writer, &e) == 0 && !links_unsettled(change->host))
			cb_journal_forget(change->journal, &e);
		return;
	}
	if ((task ? cb_task_lives(change->writer, &e) : cb_irq_lives(change->writer, &e)) != 0)
		return;
	if (!task && links_unsettled(change->host))
		return;
	if (!task || (!e.alone && process_lives(change->writer, &e) != 0)) {
		/* A thread's children belong to its process, whose own entry stays. */
		if (!task || e.tid != e.tgid)
			cb_journal_forget(change->journal, &e);
		return;
	}
	if (!*searched && change->host)
		cb_heirs_update(change->host, change->journal);
	if (!*searched && !change->writer->ops->pretends &&
	    cb_heirs_search(change->writer, change->journal) < 0)
		return; /* what could not be adopted now may be the next time */
	*searched = true;
	if (e.alone)
		cb_journal_forget(change->journal, &e);
	else
		drop_process(change, e.tgid, e.tgid_start_ticks);
}

static void check_owners(struct cb_change *change)
{
	struct cb_writer *writer = change->writer;
	uint32_t n = CB_MIN(cb_journal_count(change->journal), OWNERS_PER_CALL);
	bool searched = false;

	for (uint32_t i = 0; i < n && cb_journal_count(change->journal) > 0; i++) {
		/* Downwards: what a drop moves into the gap is from the end, where this round began. */
		writer->rotation = CB_MIN(writer->rotation, cb_journal_count(change->journal));
		if (writer->rotation == 0)
			writer->rotation = cb_journal_count(change->journal);
		check_owner(change, cb_journal_at(change->journal, --writer->rotation), &searched);
	}
}

/* Has any set of listening sockets changed that the tick reads anyway, while something is steered? */
static bool steer_changed(struct cb_host *host, const struct cb_journal *journal)
{
	uint64_t print = cb_group_sockets_print(host->watch);
	bool changed = print != host->writer->sockets_print;

	host->writer->sockets_print = print;
	/* what is kept to look after it holds network namespaces */
	if (cb_journal_n_steered(journal) == 0 && host->writer->steer)
		host->writer->steer = cb_steer_free(host->writer->steer);
	return changed && cb_journal_n_steered(journal) > 0;
}

uint32_t cb_release_pending(struct cb_host *host, struct cb_journal *journal)
{
	struct cb_change change = { .writer = host->writer, .journal = journal, .host = host };
	const struct cb_select late = { .pending = true, .no_irqs = true };

	if (cb_journal_count(journal) == 0)
		return 0;
	if (steer_changed(host, journal))
		cb_steer_look(&change);
	check_owners(&change);
	if (cb_journal_n_pending(journal) == 0)
		return 0;
	finish_interrupts(&change);
	cb_restore_selected(&change, &late, false);
	return cb_journal_n_pending(journal);
}
