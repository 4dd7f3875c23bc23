/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Heirs: threads and processes that have our mask because who made them had it. Each gets a journal entry of its own, with the
 * original of its creator, so that its end does not depend on the creator's life.
 *
 * Three ways to find them, by strength of evidence:
 *   forks    the proc connector tells every fork in order; a chain of forks from a journaled process is followed even when
 *            its middle has ended before we look
 *   walk     the threads and the living descendants of journaled processes
 *   search   all processes: those whose parents lead to a journaled process, and orphans in the same cgroups
 * All of them ask the same at the end: younger than the placement, and exactly our mask. An heir with another mask has
 * set its own, and is none.
 *
 * An orphan is a process whose parent is the first process, or is in other cgroups: a reaper. A parent in the same cgroups
 * is taken for its creator, which was not placed, so the mask is the process's own. Without the connector a successor whose
 * creator ended within one tick, below a reaper of its own cgroup (in a container, say), is not found; we rather leave a
 * mask than touch a stranger.
 */
#include "apply_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fault.h"
#include "host_internal.h"
#include "journal_internal.h"

#define PF_KTHREAD    UINT32_C(0x00200000) /* include/linux/sched.h */
#define KIN_SLOTS_MIN 64u
#define KIN_MAX \
	65536u /* processes followed between two settlings; beyond that a search finds them */
#define WALK_MAX 4096u /* descendants of one process in a walk */

/* A process by number alone, as forks tell it, and whose heir it would be. */
struct kin {
	int32_t tgid; /* 0: empty slot, -1: removed */
	int32_t from_tgid;
	uint64_t from_start_ticks;
};

struct cb_heirs {
	struct kin *kin;	  /* open addressing by tgid */
	uint32_t n_slots, n_used; /* a power of two; removed ones count as used */
	int32_t *touched;	  /* to be looked at when settling */
	uint32_t n_touched, cap_touched;
	uint64_t generation; /* of the journal that kin[] was made from */
	bool batch;	     /* forks have come since the last settling */
	bool lost;	     /* some could not be followed: search */
	bool no_conn;	     /* the connector is not to be had */
};

struct cb_heirs *cb_heirs_free(struct cb_heirs *heirs)
{
	if (!heirs)
		return NULL;
	free(heirs->kin);
	free(heirs->touched);
	free(heirs);
	return NULL;
}

static struct cb_heirs *heirs_of(struct cb_writer *writer)
{
	if (!writer->heirs)
		writer->heirs = calloc(1, sizeof(*writer->heirs));
	return writer->heirs;
}

/* --- adopting --- */

bool cb_heirs_mask_is_ours(const struct cb_journal_entry *from, const struct cb_cpuset *mask)
{
	/* `was`: forked just before the process was placed for the second time. */
	return cb_cpuset_equal(mask, &from->set) ||
	       (!cb_cpuset_empty(&from->was) && cb_cpuset_equal(mask, &from->was) &&
		!cb_cpuset_equal(mask, &from->original));
}

/*
 * Threads that were being made when their creators were placed, or restored, and came to light after the last walk with the mask
 * of before. They have to follow their process, or all that they make would stay behind too. The entry of the
 * process says what their original is; entries of their own come afterwards, if at all, since to record one may take
 * longer than it lives. Returns how many were written.
 */
static int follow(struct cb_writer *writer, struct cb_journal *journal,
		  const struct cb_journal_entry *from, const int32_t *tids, size_t n)
{
	struct cb_cpuset where, mask;
	int written = 0;

	if (n < 2 || writer->ops->task_get(writer, from->tgid, from->tgid, &where) < 0 ||
	    (!cb_cpuset_equal(&where, &from->set) && !cb_cpuset_equal(&where, &from->original)))
		return 0;
	for (size_t i = 0; i < n; i++) {
		struct cb_task_stat stat;

		if (writer->ops->task_stat(writer, from->tgid, tids[i], &stat) < 0 ||
		    !cb_stat_lives(&stat) || stat.start_ticks < from->placed_ticks ||
		    cb_journal_find_task(journal, tids[i], stat.start_ticks) ||
		    writer->ops->task_get(writer, from->tgid, tids[i], &mask) < 0 ||
		    cb_cpuset_equal(&mask, &where))
			continue;
		if (!cb_cpuset_equal(&mask, &from->set) && !cb_cpuset_equal(&mask, &from->was) &&
		    !cb_cpuset_equal(&mask, &from->original))
			continue;
		CB_FAULT_POINT("task-follow");
		written += writer->ops->task_set(writer, tids[i], &where) == 0;
	}
	return written;
}

/* One thread of process @process. Returns 1 when it was adopted, 0 when not, or a negative errno of the journal. */
static int adopt_thread(struct cb_writer *writer, struct cb_journal *journal,
			const struct cb_task_stat *process, int32_t tid,
			const struct cb_journal_entry *from)
{
	struct cb_journal_entry e = *from;
	struct cb_task_stat stat;
	bool other;
	int r = writer->ops->task_stat(writer, process->pid, tid, &stat);

	if (r < 0 || !cb_stat_lives(&stat) || stat.start_ticks < from->placed_ticks ||
	    cb_journal_find_task(journal, tid, stat.start_ticks))
		return 0;
	if (writer->ops->task_get(writer, process->pid, tid, &e.set) < 0 ||
	    !cb_heirs_mask_is_ours(from, &e.set))
		return 0;
	e.was = CB_CPUSET_EMPTY;
	e.tid = tid;
	e.start_ticks = stat.start_ticks;
	other = process->pid != from->tgid || process->start_ticks != from->tgid_start_ticks;
	if (other || from->alone) {
		e.heir = true;
		e.root_tgid = from->heir ? from->root_tgid : from->tid;
		e.root_start_ticks = from->heir ? from->root_start_ticks : from->start_ticks;
	}
	if (other) {
		e.alone = false;
		e.tgid = process->pid;
		e.tgid_start_ticks = process->start_ticks;
		if (writer->ops->cgroup_id(writer, process->pid, &e.cgroup_id) < 0)
			e.cgroup_id = 0;
	}
	r = cb_journal_put(journal, &e, NULL);
	return r < 0 ? r : 1;
}

int cb_heirs_adopt(struct cb_writer *writer, struct cb_journal *journal, int32_t tgid,
		   const struct cb_journal_entry *from)
{
	const struct cb_journal_entry parent = *from; /* a put may move it */
	struct cb_task_stat process;
	int32_t *tids = NULL;
	int r, adopted = 0;
	size_t n = 0;

	if (writer->ops->task_stat(writer, tgid, tgid, &process) < 0 ||
	    (process.flags & PF_KTHREAD) || process.start_ticks < parent.tgid_start_ticks ||
	    writer->ops->task_list(writer, tgid, &tids, &n) < 0)
		return 0;
	if (!parent.alone && tgid == parent.tgid && process.start_ticks == parent.tgid_start_ticks)
		adopted += follow(writer, journal, &parent, tids, n);
	for (size_t i = 0; i < n; i++) {
		r = adopt_thread(writer, journal, &process, tids[i], &parent);
		if (r < 0) {
			adopted = r;
			break;
		}
		adopted += r;
	}
	free(tids);
	return adopted;
}

/* --- walk --- */

/* Children, their children and so on; those that are journaled themselves have their own turn. */
static int walk_descendants(struct cb_writer *writer, struct cb_journal *journal,
			    const struct cb_journal_entry *from)
{
	int32_t *todo = calloc(WALK_MAX, sizeof(*todo));
	uint32_t n_todo = 0, seen = 0;
	int adopted = 0, r = 0;

	if (!todo)
		return -ENOMEM;
	todo[n_todo++] = from->tgid;
	while (n_todo > 0 && r >= 0) {
		int32_t *children = NULL;
		size_t n = 0;

		if (writer->ops->children(writer, todo[--n_todo], &children, &n) < 0)
			continue;
		for (size_t i = 0; i < n && r >= 0 && seen < WALK_MAX; i++) {
			struct cb_task_stat stat;

			if (writer->ops->task_stat(writer, children[i], children[i], &stat) < 0 ||
			    cb_journal_find_task(journal, children[i], stat.start_ticks))
				continue;
			r = cb_heirs_adopt(writer, journal, children[i], from);
			adopted += r > 0 ? r : 0;
			seen++;
			if (n_todo < WALK_MAX && r == 0)
				todo[n_todo++] = children[i];
		}
		free(children);
	}
	free(todo);
	return r < 0 ? r : adopted;
}

int cb_heirs_walk(struct cb_writer *writer, struct cb_journal *journal)
{
	int adopted = 0;

	/* The journal grows meanwhile, at its end: who is adopted here has a turn too. */
	for (uint32_t i = 0; i < cb_journal_count(journal); i++) {
		struct cb_journal_entry e = *cb_journal_at(journal, i);
		int r;

		if (!cb_entry_stands(&e) || cb_task_lives(writer, &e) != 1)
			continue;
		r = cb_heirs_adopt(writer, journal, e.tgid, &e);
		if (r < 0)
			return r;
		adopted += r;
		r = walk_descendants(writer, journal, &e);
		if (r < 0)
			return r;
		adopted += r;
	}
	return adopted;
}

/* --- forks --- */

static struct kin *find_kin(const struct cb_heirs *heirs, int32_t tgid)
{
	uint32_t mask = heirs->n_slots - 1, i = (uint32_t)tgid * UINT32_C(2654435769);

	if (heirs->n_slots == 0)
		return NULL;
	for (i &= mask; heirs->kin[i].tgid != 0; i = (i + 1) & mask)
		if (heirs->kin[i].tgid == tgid)
			return &heirs->kin[i];
	return NULL;
}

static int resize_kin(struct cb_heirs *heirs, uint32_t n_slots)
{
	struct kin *old = heirs->kin;
	uint32_t n_old = heirs->n_slots;
	struct kin *kin = calloc(n_slots, sizeof(*kin));

	if (!kin)
		return -ENOMEM;
	heirs->kin = kin;
	heirs->n_slots = n_slots;
	heirs->n_used = 0;
	for (uint32_t j = 0; j < n_old; j++) {
		uint32_t i = (uint32_t)old[j].tgid * UINT32_C(2654435769) & (n_slots - 1);

		if (old[j].tgid <= 0)
			continue;
		while (kin[i].tgid != 0)
			i = (i + 1) & (n_slots - 1);
		kin[i] = old[j];
		heirs->n_used++;
	}
	free(old);
	return 0;
}

static int add_kin(struct cb_heirs *heirs, int32_t tgid, int32_t from_tgid,
		   uint64_t from_start_ticks)
{
	struct kin *k = find_kin(heirs, tgid);
	uint32_t i;

	if (!k) {
		if ((heirs->n_used + 1) * 2 > heirs->n_slots &&
		    resize_kin(heirs, CB_MAX(heirs->n_slots * 2, KIN_SLOTS_MIN)) < 0)
			return -ENOMEM;
		i = (uint32_t)tgid * UINT32_C(2654435769) & (heirs->n_slots - 1);
		while (heirs->kin[i].tgid != 0)
			i = (i + 1) & (heirs->n_slots - 1);
		k = &heirs->kin[i];
		heirs->n_used++;
	}
	*k = (struct kin){ .tgid = tgid,
			   .from_tgid = from_tgid,
			   .from_start_ticks = from_start_ticks };
	return 0;
}

/* The journaled processes, by number. Of two with the same number the younger one is the one that can fork. */
static int read_kin(struct cb_heirs *heirs, struct cb_journal *journal)
{
	if (heirs->n_slots > 0)
		memset(heirs->kin, 0, heirs->n_slots * sizeof(*heirs->kin));
	heirs->n_used = 0;
	for (uint32_t i = 0; i < cb_journal_count(journal); i++) {
		const struct cb_journal_entry *e = cb_journal_at(journal, i);
		const struct kin *k = cb_entry_stands(e) ? find_kin(heirs, e->tgid) : NULL;

		if (!cb_entry_stands(e) || (k && k->from_start_ticks > e->tgid_start_ticks))
			continue;
		if (add_kin(heirs, e->tgid, e->tgid, e->tgid_start_ticks) < 0)
			return -ENOMEM;
	}
	heirs->generation = cb_journal_generation(journal);
	return 0;
}

static void touch(struct cb_heirs *heirs, int32_t tgid)
{
	if (heirs->n_touched > 0 && heirs->touched[heirs->n_touched - 1] == tgid)
		return;
	if (heirs->n_touched == heirs->cap_touched) {
		uint32_t cap = CB_MAX(heirs->cap_touched * 2, 64u);
		int32_t *touched =
			cap > KIN_MAX ? NULL : reallocarray(heirs->touched, cap, sizeof(*touched));

		if (!touched) {
			heirs->lost = true;
			return;
		}
		heirs->touched = touched;
		heirs->cap_touched = cap;
	}
	heirs->touched[heirs->n_touched++] = tgid;
}

void cb_heirs_fork(struct cb_writer *writer, struct cb_journal *journal, const struct cb_fork *fork)
{
	struct cb_heirs *heirs = heirs_of(writer);
	struct kin *child, *parent;

	if (!heirs)
		return;
	if (heirs->generation != cb_journal_generation(journal)) {
		/* Whoever was followed is lost when the journal has changed since the first of these forks. */
		heirs->lost |= heirs->batch;
		if (read_kin(heirs, journal) < 0) {
			heirs->lost = true;
			return;
		}
	}
	heirs->batch = true;
	child = find_kin(heirs, fork->child_tgid);
	if (fork->child_tid != fork->child_tgid) {
		if (child)
			touch(heirs, fork->child_tgid);
		return;
	}
	/* A new process with a number that we know: whoever had it is dead. */
	if (child)
		child->tgid = -1;
	parent = find_kin(heirs, fork->parent_tgid);
	if (!parent)
		return;
	if (heirs->n_used >= KIN_MAX ||
	    add_kin(heirs, fork->child_tgid, parent->from_tgid, parent->from_start_ticks) < 0)
		heirs->lost = true;
	else
		touch(heirs, fork->child_tgid);
}

/* What @kin may have inherited from its process, or from the threads of it that were placed alone. */
static int adopt_kin(struct cb_writer *writer, struct cb_journal *journal, const struct kin *kin)
{
	const struct cb_journal_entry *from =
		cb_journal_find_task(journal, kin->from_tgid, kin->from_start_ticks);
	int adopted = 0;

	if (from && !from->alone)
		return cb_heirs_adopt(writer, journal, kin->tgid, from);
	for (uint32_t i = 0; i < cb_journal_count(journal); i++) {
		int r;

		from = cb_journal_at(journal, i);
		if (!cb_entry_stands(from) || from->tgid != kin->from_tgid ||
		    from->tgid_start_ticks != kin->from_start_ticks)
			continue;
		r = cb_heirs_adopt(writer, journal, kin->tgid, from);
		if (r < 0)
			return r;
		adopted += r;
	}
	return adopted;
}

int cb_heirs_settle(struct cb_writer *writer, struct cb_journal *journal)
{
	struct cb_heirs *heirs = heirs_of(writer);
	int adopted = 0, r = 0;

	if (!heirs)
		return -ENOMEM;
	for (uint32_t i = 0; i < heirs->n_touched && r >= 0; i++) {
		const struct kin *kin = find_kin(heirs, heirs->touched[i]);

		r = kin ? adopt_kin(writer, journal, kin) : 0;
		adopted += r > 0 ? r : 0;
	}
	/* Who was followed and is not in the journal now is dead, or has a mask of its own. */
	if (heirs->batch)
		heirs->generation = 0;
	heirs->n_touched = 0;
	heirs->batch = false;
	if (r >= 0 && heirs->lost) {
		heirs->lost = false;
		r = cb_heirs_search(writer, journal);
		adopted += r > 0 ? r : 0;
	}
	return r < 0 ? r : adopted;
}

/* --- once per tick --- */

struct sink {
	struct cb_host *host;
	struct cb_writer *writer;
	struct cb_journal *journal;
};

static void forked(const struct cb_fork *fork, void *userdata)
{
	struct sink *sink = userdata;

	cb_heirs_fork(sink->writer, sink->journal, fork);
	cb_scout_fork(sink->host, fork);
}

void cb_heirs_listen(struct cb_host *host)
{
	struct cb_heirs *heirs = heirs_of(host->writer);

	if (!heirs || host->writer->ops->pretends || !host->netlink || heirs->no_conn ||
	    host->proc_conn)
		return;
	heirs->no_conn = cb_proc_conn_open(&host->proc_conn) < 0;
	/* What was forked before has to be searched for; without news, a first time and when an owner has gone. */
	heirs->lost = true;
}

void cb_heirs_update(struct cb_host *host, struct cb_journal *journal)
{
	struct cb_writer *writer = host->writer;
	struct sink sink = { .host = host, .writer = writer, .journal = journal };
	struct cb_heirs *heirs;
	int r;

	if (writer->ops->pretends)
		return;
	heirs = heirs_of(writer);
	if (!heirs)
		return;
	if (cb_journal_n_tasks(journal) == 0) {
		if (!host->scout)
			host->proc_conn = cb_proc_conn_free(host->proc_conn);
		heirs->no_conn = false; /* ask again when there is something to follow */
		return;
	}
	cb_heirs_listen(host);
	if (host->proc_conn) {
		r = cb_proc_conn_drain(host->proc_conn, forked, &sink);
		if (r < 0)
			heirs->lost = true;
		if (r < 0)
			cb_scout_lost(host);
		if (r < 0 && r != -ENOBUFS) {
			host->proc_conn = cb_proc_conn_free(host->proc_conn);
			heirs->no_conn = true;
		}
		(void)cb_heirs_settle(writer, journal);
	} else {
		if (heirs->lost)
			(void)cb_heirs_settle(writer, journal);
		(void)cb_heirs_walk(writer, journal);
	}
}
