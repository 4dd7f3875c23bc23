/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Placing the threads of one process, or one of them alone, and putting one thread back.
 *
 * Affinity belongs to a thread and is inherited by the threads it makes, so a process is walked until a walk finds
 * nothing to do. The first walk only looks and journals: all originals are on the disk before the first mask is
 * written. A thread that has appeared since with a mask that was ours has inherited it; its original is that of the process.
 *
 * Foreign masks. A thread of the journal may show what we set, what we had set before, or its original; anything else
 * was set by the worker itself or by somebody else. Then the whole step fails, and nothing is written to any thread of
 * that process: it is one decision of somebody who knows more, and half a worker here and half there helps nobody.
 *
 * A step is all or nothing. Every change to the journal and to a mask is noted, and after a failure undone in reverse.
 */
#include "apply_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fault.h"
#include "journal_internal.h"

#define PF_NO_SETAFFINITY UINT32_C(0x04000000) /* include/linux/sched.h */

/* One thing that was done, to be undone. */
struct deed {
	bool write;		       /* a mask; else a journal entry */
	bool replaced;		       /* there was an entry before */
	struct cb_cpuset mask;	       /* before the write */
	struct cb_journal_entry entry; /* the identity, and what was there when replaced */
};

struct walk {
	struct cb_change *change;
	const struct cb_target *target;
	struct cb_cpuset want;
	uint64_t now_ticks, cgroup_id, tgid_start_ticks;
	bool fresh;			/* no thread of this process has been placed before */
	struct cb_journal_entry before; /* of the process, when not fresh */
	struct deed *deed;
	size_t n_deeds, cap_deeds;
	int errnum;
	enum cb_error_class error_class;
};

int cb_task_lives(struct cb_writer *writer, const struct cb_journal_entry *entry)
{
	struct cb_task_stat stat;
	int r = writer->ops->task_stat(writer, entry->tgid, entry->tid, &stat);

	if (r < 0)
		return r == -ESRCH ? 0 : r;
	return stat.start_ticks == entry->start_ticks && cb_stat_lives(&stat);
}

bool cb_task_is_ours(struct cb_writer *writer, const struct cb_journal_entry *entry,
		     const struct cb_cpuset *present)
{
	struct cb_cpuset allowed;

	if (cb_cpuset_equal(present, &entry->set))
		return true;
	if (!cb_cpuset_empty(&entry->was) && cb_cpuset_equal(present, &entry->was))
		return true;
	/* A cpuset that was made narrower cuts masks by itself, and gives them back when it is made wider. */
	if (!cb_cpuset_subset(present, &entry->set) ||
	    writer->ops->cpuset(writer, entry->tgid, &allowed) < 0)
		return false;
	allowed = cb_cpuset_and(&allowed, &entry->set);
	return cb_cpuset_equal(present, &allowed);
}

/* --- placing --- */

static int fail(struct walk *walk, int errnum, enum cb_error_class error_class)
{
	walk->errnum = errnum;
	walk->error_class = error_class;
	return -1;
}

static int fail_errno(struct walk *walk, int errnum)
{
	return fail(walk, errnum, cb_knob_get(CB_KNOB_TASK_AFFINITY)->classify(errnum));
}

static struct deed *new_deed(struct walk *walk)
{
	if (walk->n_deeds == walk->cap_deeds) {
		size_t cap = CB_MAX(walk->cap_deeds * 2, (size_t)8);
		struct deed *p = reallocarray(walk->deed, cap, sizeof(*p));

		if (!p)
			return NULL;
		walk->deed = p;
		walk->cap_deeds = cap;
	}
	return &walk->deed[walk->n_deeds];
}

static int32_t main_tid(const struct cb_target *target)
{
	return target->tid ? target->tid : target->tgid;
}

/* The entry of the process itself, which stands for what a new thread inherits; or of the one thread. */
static const struct cb_journal_entry *main_entry(const struct walk *walk)
{
	return cb_journal_find_task(walk->change->journal, main_tid(walk->target),
				    walk->target->start_ticks);
}

/*
 * Has a thread that is not in the journal its mask from us, by way of its creator? In the first walk nothing has been
 * written yet: it can only be what was set before.
 */
static bool inherited(const struct walk *walk, uint64_t start_ticks,
		      const struct cb_cpuset *present, bool first)
{
	const struct cb_journal_entry *main = first ? &walk->before : main_entry(walk);

	if (!main || (first && walk->fresh) || start_ticks < main->placed_ticks)
		return false;
	return cb_cpuset_equal(present, &main->set) || cb_cpuset_equal(present, &main->was);
}

/*
 * The entry of a thread that has none. False: it has what we want by itself, there is nothing to remember. One that is
 * young enough to be taken for an heir later is remembered all the same, with its mask as its original.
 */
static bool make_entry(const struct walk *walk, const struct cb_task_stat *stat,
		       const struct cb_cpuset *present, bool first, struct cb_journal_entry *ret)
{
	const struct cb_journal_entry *main = main_entry(walk);
	bool heir = inherited(walk, stat->start_ticks, present, first);

	if (!heir && !(first && walk->fresh) && (!main || stat->start_ticks < main->placed_ticks) &&
	    cb_cpuset_equal(present, &walk->want))
		return false;
	*ret = (struct cb_journal_entry){
		.knob = CB_KNOB_TASK_AFFINITY,
		.tid = stat->pid,
		.tgid = walk->target->tgid,
		.start_ticks = stat->start_ticks,
		.tgid_start_ticks = walk->tgid_start_ticks,
		.alone = walk->target->tid != 0,
		.original_effective_cpu = -1,
		.placed_ticks = main ? main->placed_ticks : walk->now_ticks,
		.cgroup_id = walk->cgroup_id,
		.original = heir ? main->original : *present,
	};
	if (main) {
		ret->heir = main->heir;
		ret->root_tgid = main->root_tgid;
		ret->root_start_ticks = main->root_start_ticks;
	}
	if (heir && !cb_cpuset_equal(present, &walk->want))
		ret->was = *present;
	return true;
}

/* Journal @next in the place of @before (NULL: nothing), and note that. Unrecorded means unwritten. */
static int put_entry(struct walk *walk, const struct cb_journal_entry *before,
		     const struct cb_journal_entry *next)
{
	struct deed *deed = new_deed(walk);
	int r;

	if (!deed)
		return fail_errno(walk, ENOMEM);
	*deed = (struct deed){ .replaced = before, .entry = before ? *before : *next };
	r = cb_journal_put(walk->change->journal, next, NULL);
	if (r < 0)
		return fail(walk, -r, CB_ERROR_TRANSIENT);
	walk->n_deeds++;
	return 0;
}

/* Have on the disk what the thread had and what it is about to get. */
static int journal_thread(struct walk *walk, const struct cb_task_stat *stat,
			  const struct cb_cpuset *present, bool first)
{
	struct cb_journal *journal = walk->change->journal;
	const struct cb_journal_entry *e =
		cb_journal_find_task(journal, stat->pid, stat->start_ticks);
	struct cb_journal_entry next;

	if (e) {
		if (!cb_cpuset_equal(present, &e->original) &&
		    !cb_task_is_ours(walk->change->writer, e, present))
			return fail(walk, 0, CB_ERROR_FOREIGN);
		if (cb_cpuset_equal(&e->set, &walk->want) && !e->pending)
			return 0;
		next = *e;
		/* What a crash, or a child that is made right now, would show. */
		next.was = cb_cpuset_equal(present, &e->original) ? e->set : *present;
	} else if (!make_entry(walk, stat, present, first, &next)) {
		return 0;
	}
	next.set = walk->want;
	next.pending = false;
	next.plan_id = walk->target->plan_id;
	snprintf(next.group, sizeof(next.group), "%s", walk->target->group);

	return put_entry(walk, e, &next);
}

/* The kernel has cut the mask by a cpuset: what is possible for one thread is what we want for all. */
static int narrow(struct walk *walk, const struct cb_task_stat *stat, const struct cb_cpuset *got)
{
	const struct cb_journal_entry *e =
		cb_journal_find_task(walk->change->journal, stat->pid, stat->start_ticks);
	struct cb_journal_entry next;

	walk->want = *got;
	if (!e)
		return 1;
	next = *e;
	next.set = *got;
	return put_entry(walk, e, &next) < 0 ? -1 : 1;
}

/* Returns 1 when the mask was written, 0 when the thread has gone. */
static int write_thread(struct walk *walk, const struct cb_task_stat *stat,
			const struct cb_cpuset *present)
{
	struct cb_writer *writer = walk->change->writer;
	struct deed *deed = new_deed(walk);
	struct cb_cpuset got;
	int r;

	if (!deed)
		return fail_errno(walk, ENOMEM);
	*deed = (struct deed){ .write = true, .mask = *present };
	deed->entry.tid = stat->pid;
	deed->entry.tgid = walk->target->tgid;
	deed->entry.start_ticks = stat->start_ticks;
	r = cb_task_lives(writer, &deed->entry);
	if (r <= 0)
		return r < 0 ? fail_errno(walk, -r) : 0;
	CB_FAULT_POINT("task-set");
	r = writer->ops->task_set(writer, stat->pid, &walk->want);
	CB_FAULT_POINT("task-set-done");
	if (r < 0)
		return r == -ESRCH ? 0 : fail_errno(walk, -r);
	walk->n_deeds++;
	/* The same thread still, so it was the one that was written; then what it has really got. */
	r = cb_task_lives(writer, &deed->entry);
	if (r > 0)
		r = writer->ops->task_get(writer, walk->target->tgid, stat->pid, &got);
	else if (r == 0)
		r = -ESRCH;
	if (r < 0)
		return r == -ESRCH ? 0 : fail_errno(walk, -r);
	if (cb_cpuset_empty(&got) || !cb_cpuset_subset(&got, &walk->want))
		return fail(walk, 0, CB_ERROR_FOREIGN);
	return cb_cpuset_equal(&got, &walk->want) ? 1 : narrow(walk, stat, &got);
}

/*
 * Is this one of the threads that its process has made since it was placed? Such a thread has its original from the process, whose
 * entry says all that there is to say: it is recorded already, as an heir will be that turns up after a crash. To
 * record each anew before it is written would lose a race against a process that makes one every millisecond.
 */
static bool is_recorded(const struct walk *walk, const struct cb_task_stat *stat,
			const struct cb_cpuset *present)
{
	const struct cb_journal_entry *main = main_entry(walk);

	return main && stat->start_ticks >= main->placed_ticks &&
	       cb_cpuset_equal(&main->set, &walk->want) &&
	       !cb_journal_find_task(walk->change->journal, stat->pid, stat->start_ticks) &&
	       (cb_cpuset_equal(present, &main->set) || cb_cpuset_equal(present, &main->was) ||
		cb_cpuset_equal(present, &main->original));
}

/* One thread in one walk. Returns 1 when its mask was written, 0 when not, -1 after a failure. */
static int visit(struct walk *walk, int32_t tid, bool first)
{
	struct cb_writer *writer = walk->change->writer;
	struct cb_task_stat stat;
	struct cb_cpuset present;
	int r = writer->ops->task_stat(writer, walk->target->tgid, tid, &stat);

	if (r == 0 && cb_stat_lives(&stat))
		r = writer->ops->task_get(writer, walk->target->tgid, tid, &present);
	if (r == -ESRCH || (r == 0 && !cb_stat_lives(&stat)))
		return 0;
	if (r < 0)
		return fail_errno(walk, -r);
	if (stat.flags & PF_NO_SETAFFINITY)
		return fail(walk, EINVAL, CB_ERROR_PERMANENT);
	if (first || !is_recorded(walk, &stat, &present))
		r = journal_thread(walk, &stat, &present, first);
	if (r < 0 || first || cb_cpuset_equal(&present, &walk->want))
		return r;
	return write_thread(walk, &stat, &present);
}

static int list_threads(const struct walk *walk, int32_t **ret, size_t *ret_n)
{
	struct cb_writer *writer = walk->change->writer;

	if (walk->target->tid == 0)
		return writer->ops->task_list(writer, walk->target->tgid, ret, ret_n);
	*ret = malloc(sizeof(**ret));
	if (!*ret)
		return -ENOMEM;
	**ret = walk->target->tid;
	*ret_n = 1;
	return 0;
}

/* 0 when all threads have the mask; -1, and why is in @walk. */
static int walk_threads(struct walk *walk)
{
	for (unsigned int pass = 0; pass <= CB_WALKS_MAX; pass++) {
		int32_t *tids = NULL;
		int r, written = 0;
		size_t n = 0;

		r = list_threads(walk, &tids, &n);
		if (r < 0)
			return fail_errno(walk, -r);
		for (size_t i = 0; r >= 0 && i < n; i++) {
			r = visit(walk, tids[i], pass == 0);
			written += r > 0;
		}
		free(tids);
		if (r < 0)
			return r;
		if (pass > 0 && written == 0)
			return 0;
	}
	return fail_errno(walk, EAGAIN);
}

/* Undo the deeds, the last first. */
static void undo(struct walk *walk)
{
	struct cb_writer *writer = walk->change->writer;
	bool stuck = false;

	while (walk->n_deeds > 0) {
		const struct deed *deed = &walk->deed[--walk->n_deeds];

		if (deed->write) {
			CB_FAULT_POINT("task-undo");
			if (cb_task_lives(writer, &deed->entry) != 0)
				stuck |= writer->ops->task_set(writer, deed->entry.tid,
							       &deed->mask) < 0;
		} else if (stuck) {
			/* The entries stay as they are: with `was` they cover both masks. A release tries again. */
			continue;
		} else if (deed->replaced) {
			stuck |= cb_journal_put(walk->change->journal, &deed->entry, NULL) < 0;
		} else {
			stuck |= cb_journal_drop(walk->change->journal, &deed->entry, NULL) < 0;
		}
	}
}

/* Threads that are back at their original need no entry any more, unless they could be taken for heirs without it. */
static void forget_originals(struct walk *walk)
{
	const struct cb_journal_entry *main = main_entry(walk);
	bool whole = !main || cb_cpuset_equal(&main->set, &main->original);

	for (size_t i = 0; i < walk->n_deeds; i++) {
		const struct cb_journal_entry *id = &walk->deed[i].entry, *e;

		if (walk->deed[i].write)
			continue;
		e = cb_journal_find_task(walk->change->journal, id->tid, id->start_ticks);
		if (e && cb_cpuset_equal(&e->set, &e->original) &&
		    (whole || e->start_ticks < e->placed_ticks))
			cb_journal_forget(walk->change->journal, e);
	}
}

static bool target_lives(struct cb_writer *writer, const struct cb_target *target)
{
	struct cb_task_stat stat;

	return writer->ops->task_stat(writer, target->tgid, main_tid(target), &stat) == 0 &&
	       stat.start_ticks == target->start_ticks && cb_stat_lives(&stat);
}

/* What the entries say of the process as a whole. False: it is gone. */
static bool read_process(struct walk *walk)
{
	struct cb_writer *writer = walk->change->writer;
	struct cb_task_stat stat;

	if (writer->ops->task_stat(writer, walk->target->tgid, walk->target->tgid, &stat) < 0)
		return false;
	walk->tgid_start_ticks = stat.start_ticks;
	if (writer->ops->cgroup_id(writer, walk->target->tgid, &walk->cgroup_id) < 0)
		walk->cgroup_id = 0;
	return target_lives(writer, walk->target);
}

/* What of the target there is: online, and in its cpuset as far as that is known. */
static struct cb_cpuset possible_part(struct cb_writer *writer, int32_t tgid,
				      const struct cb_cpuset *to)
{
	struct cb_cpuset want = *to, set;

	if (writer->ops->online(writer, &set) == 0)
		want = cb_cpuset_and(&want, &set);
	if (writer->ops->cpuset(writer, tgid, &set) == 0)
		want = cb_cpuset_and(&want, &set);
	return want;
}

void cb_place_process(struct cb_change *change, const struct cb_target *target,
		      struct cb_step *step)
{
	struct cb_writer *writer = change->writer;
	struct walk walk = { .change = change, .target = target };
	const struct cb_journal_entry *main;
	int r = 0;

	walk.now_ticks = writer->ops->now_ticks(writer);
	walk.want = possible_part(writer, target->tgid, &step->to);
	main = main_entry(&walk);
	walk.fresh = !main;
	if (main)
		walk.before = *main;
	if (!read_process(&walk))
		r = fail_errno(&walk, ESRCH);
	else if (cb_cpuset_empty(&walk.want))
		r = fail_errno(&walk, EINVAL);
	if (r == 0)
		r = walk_threads(&walk);
	if (r == 0 && !target_lives(writer, target))
		r = fail_errno(&walk, ESRCH);
	if (r == 0)
		forget_originals(&walk);
	else if (walk.error_class != CB_ERROR_GONE)
		undo(&walk);
	free(walk.deed);
	step->state = r == 0				? CB_STEP_DONE :
		      walk.error_class == CB_ERROR_GONE ? CB_STEP_GONE :
							  CB_STEP_FAILED;
	step->errnum = walk.errnum;
	step->error_class = walk.error_class;
}

/* --- putting back --- */

static bool restore_failed(struct cb_change *change, const struct cb_journal_entry *entry,
			   int errnum)
{
	change->n_failed++;
	change->errnum = errnum;
	change->error_class = cb_knob_get(CB_KNOB_TASK_AFFINITY)->classify(errnum);
	cb_change_say(change, entry, strerror(errnum));
	return false;
}

bool cb_restore_task(struct cb_change *change, const struct cb_journal_entry *entry)
{
	struct cb_writer *writer = change->writer;
	bool first =
		!entry->pending; /* else it was restored and counted before, and is looked at once more */
	struct cb_cpuset present, got;
	int r = cb_task_lives(writer, entry);

	if (r > 0)
		r = writer->ops->task_get(writer, entry->tgid, entry->tid, &present);
	else if (r == 0)
		r = -ESRCH;
	if (r == 0 && !cb_cpuset_equal(&present, &entry->original)) {
		if (!cb_task_is_ours(writer, entry, &present)) {
			if (first)
				cb_change_say(change, entry,
					      "somebody else has set its mask since; left alone");
			change->n_foreign += first;
			return true;
		}
		CB_FAULT_POINT("task-restore");
		r = writer->ops->task_set(writer, entry->tid, &entry->original);
		CB_FAULT_POINT("task-restore-done");
		first = true;
		change->n_late += r == 0 && entry->start_ticks > entry->placed_ticks;
		if (r == 0)
			r = writer->ops->task_get(writer, entry->tgid, entry->tid, &got);
		/* A cpuset may have left less of the original than it was: that is not ours to widen. */
		if (r == 0 && (cb_cpuset_empty(&got) || !cb_cpuset_subset(&got, &entry->original)))
			r = -EAGAIN;
	}
	if (r == 0 && cb_task_lives(writer, entry) == 0)
		r = -ESRCH;
	if (r < 0 && r != -ESRCH)
		return restore_failed(change, entry, -r);
	change->n_gone += first && r == -ESRCH;
	change->n_restored += first && r == 0;
	return true;
}
