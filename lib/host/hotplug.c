/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "hotplug.h"

#include "host_internal.h"
#include "journal_internal.h"

static bool is_stranded(const struct cb_journal_entry *e, const struct cb_cpuset *online)
{
	return !cb_entry_steers(e) && !cb_entry_is_queue(e) &&
	       !cb_cpuset_intersects(&e->set, online);
}

static int present_mask(struct cb_writer *writer, const struct cb_journal_entry *e,
			struct cb_cpuset *ret)
{
	return e->knob == CB_KNOB_TASK_AFFINITY ?
		       writer->ops->task_get(writer, e->tgid, e->tid, ret) :
		       writer->ops->irq_get(writer, e->irq, ret);
}

static int lives(struct cb_writer *writer, const struct cb_journal_entry *e)
{
	return e->knob == CB_KNOB_TASK_AFFINITY ? cb_task_lives(writer, e) :
						  cb_irq_lives(writer, e);
}

/*
 * 1: it has lost its placement. What the kernel has given instead is put into the entry, as something that it can have by our doing; so a
 * restore, now or after a crash, knows it. 0: nothing has changed for it, as for who sleeps while its CPUs are away for a moment.
 */
static int learn(struct cb_change *change, uint32_t index, const struct cb_cpuset *online_now)
{
	struct cb_journal_entry e = *cb_journal_at(change->journal, index);
	struct cb_cpuset present;

	if (lives(change->writer, &e) != 1 || present_mask(change->writer, &e, &present) < 0)
		return 0;
	if (cb_cpuset_equal(&present, &e.set) && !is_stranded(&e, online_now))
		return 0;
	if (cb_cpuset_equal(&present, &e.set) || cb_cpuset_equal(&present, &e.original) ||
	    cb_cpuset_equal(&present, &e.was))
		return 1;
	e.was = present;
	return cb_journal_put(change->journal, &e, NULL) < 0 ? 0 : 1;
}

static struct cb_stranded owner_of(const struct cb_journal_entry *e)
{
	if (e->knob != CB_KNOB_TASK_AFFINITY)
		return (struct cb_stranded){ .irq = e->irq };
	return (struct cb_stranded){ .tgid = e->tgid,
				     .tid = e->alone ? e->tid : 0,
				     .start_ticks = e->alone ? e->start_ticks :
							       e->tgid_start_ticks };
}

static bool same_owner(const struct cb_stranded *a, const struct cb_stranded *b)
{
	return a->tgid == b->tgid && a->tid == b->tid && a->irq == b->irq &&
	       a->start_ticks == b->start_ticks;
}

/* Each owner once. Without room for it the engine finds it foreign, and a release or a rollback restores it all the same. */
static void remember(struct cb_hotplug *hotplug, const struct cb_journal_entry *e)
{
	struct cb_stranded owner = owner_of(e);

	for (uint32_t i = 0; i < hotplug->n; i++)
		if (same_owner(&hotplug->stranded[i], &owner))
			return;
	if (hotplug->n < CB_STRANDED_MAX)
		hotplug->stranded[hotplug->n++] = owner;
}

void cb_hotplug_strand(struct cb_hotplug *hotplug, struct cb_change *change,
		       const struct cb_cpuset *online)
{
	uint32_t n = cb_journal_count(change->journal), first = hotplug->n;
	struct cb_cpuset now;

	if (change->writer->ops->online(change->writer, &now) < 0)
		return;
	for (uint32_t i = 0; i < n; i++) {
		const struct cb_journal_entry *e = cb_journal_at(change->journal, i);

		if (is_stranded(e, online) && learn(change, i, &now) == 1)
			remember(hotplug, cb_journal_at(change->journal, i));
	}
	for (uint32_t i = first; i < hotplug->n; i++) {
		struct cb_target process = { .tgid = hotplug->stranded[i].tgid,
					     .tid = hotplug->stranded[i].tid,
					     .start_ticks = hotplug->stranded[i].start_ticks };
		struct cb_select select = { .lineage = process.tgid ? &process : NULL,
					    .irq = process.tgid ? NULL :
								  &hotplug->stranded[i].irq };

		cb_restore_selected(change, &select, false);
	}
}

/* --- the host's --- */

static void hear(struct cb_hotplug *hotplug, struct cb_change *change)
{
	bool online;
	uint32_t cpu;
	int r;

	while ((r = cb_uevent_conn_next(hotplug->conn, &cpu, &online)) > 0) {
		hotplug->news = true;
		if (online) {
			cb_cpuset_set(&hotplug->online, cpu);
			continue;
		}
		cb_cpuset_clear(&hotplug->online, cpu);
		cb_hotplug_strand(hotplug, change, &hotplug->online);
	}
	if (r < 0)
		hotplug->conn = cb_uevent_conn_free(hotplug->conn);
}

void cb_hotplug_update(struct cb_host *host, struct cb_journal *journal)
{
	struct cb_hotplug *hotplug = host->hotplug;
	struct cb_change change = { .writer = host->writer, .journal = journal, .host = host };
	struct cb_cpuset online;

	if (!hotplug || host->writer->ops->pretends)
		return;
	if (!hotplug->tried && host->netlink) {
		/* From here on nothing is missed. */
		hotplug->tried = true;
		if (cb_uevent_conn_open(&hotplug->conn) < 0)
			hotplug->conn = NULL;
		(void)host->writer->ops->online(host->writer, &hotplug->online);
	}
	if (hotplug->conn)
		hear(hotplug, &change);
	if (hotplug->conn || cb_journal_count(journal) == 0 ||
	    host->writer->ops->online(host->writer, &online) < 0)
		return;
	if (!cb_cpuset_equal(&online, &hotplug->online)) {
		hotplug->news = true;
		cb_hotplug_strand(hotplug, &change, &online);
	}
	hotplug->online = online;
}

bool cb_host_cpus_changed(struct cb_host *host)
{
	struct cb_hotplug *hotplug = host->hotplug;
	bool news = hotplug && hotplug->news;

	if (news)
		hotplug->news = false;
	return news;
}

bool cb_host_stranded(struct cb_host *host, struct cb_stranded *ret)
{
	struct cb_hotplug *hotplug = host->hotplug;

	if (!hotplug || hotplug->n == 0)
		return false;
	*ret = hotplug->stranded[--hotplug->n];
	return true;
}

void cb_hotplug_done(struct cb_hotplug *hotplug)
{
	if (hotplug)
		hotplug->conn = cb_uevent_conn_free(hotplug->conn);
}
