/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Placing one interrupt, and putting it back.
 *
 * A write changes what is allowed; where the interrupt lands changes with its next occurrence. So a step whose
 * effective CPU is not in the target yet is pending, not failed. And a wider mask alone moves nothing back: a restore first
 * writes the CPU on which the interrupt landed originally, waits for one occurrence, then writes the original mask. While
 * it waits the entry is `pending`, and the mask may be either what we set or that one CPU, whichever side of a crash the
 * write was on. The wait is bounded; at its end the original mask is written all the same.
 */
#include "apply_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fault.h"
#include "journal_internal.h"

/* Is @present a mask that this interrupt can have by our doing? */
static bool is_ours(const struct cb_journal_entry *entry, const struct cb_cpuset *present)
{
	struct cb_cpuset home;

	if (cb_cpuset_equal(present, &entry->set))
		return true;
	if (!cb_cpuset_empty(&entry->was) && cb_cpuset_equal(present, &entry->was))
		return true;
	if (!entry->pending || entry->original_effective_cpu < 0)
		return false;
	home = cb_cpuset_of((unsigned int)entry->original_effective_cpu);
	return cb_cpuset_equal(present, &home);
}

static void step_failed(struct cb_step *step, int errnum, enum cb_error_class error_class)
{
	step->state = error_class == CB_ERROR_GONE ? CB_STEP_GONE : CB_STEP_FAILED;
	step->errnum = errnum;
	step->error_class = error_class;
}

static void step_failed_errno(struct cb_step *step, int errnum)
{
	step_failed(step, errnum, cb_knob_get(CB_KNOB_IRQ_AFFINITY)->classify(errnum));
}

/* The entry as it has to be before the write. Returns 0 or a negative errno; 1: somebody else has changed the mask. */
static int make_entry(struct cb_change *change, uint32_t irq, const struct cb_cpuset *present,
		      struct cb_journal_entry *ret, bool *ret_known)
{
	struct cb_writer *writer = change->writer;
	struct cb_journal_entry next = { .knob = CB_KNOB_IRQ_AFFINITY,
					 .irq = irq,
					 .original_effective_cpu = -1 };
	const struct cb_journal_entry *e;
	struct cb_cpuset effective;
	int r = writer->ops->irq_identity(writer, irq, &next.hwirq, next.actions);

	if (r < 0)
		return r;
	e = cb_journal_find_irq(change->journal, irq, next.hwirq, next.actions);
	*ret_known = e;
	if (e) {
		if (!cb_cpuset_equal(present, &e->original) && !is_ours(e, present))
			return 1;
		next = *e;
		/* What it may show if we die before the write: usually what was set, after half a restore the one CPU. */
		next.was = cb_cpuset_equal(present, &e->original) ? CB_CPUSET_EMPTY : *present;
		next.pending = false;
	} else {
		next.original = *present;
		if (writer->ops->irq_effective(writer, irq, &effective) == 0)
			next.original_effective_cpu = (int32_t)cb_cpuset_first(&effective);
	}
	*ret = next;
	return 0;
}

/* Write and read back. Returns 0, a negative errno, or 1 when something else stands there. */
static int write_irq(struct cb_writer *writer, uint32_t irq, const struct cb_cpuset *mask)
{
	struct cb_cpuset got;
	int r;

	CB_FAULT_POINT("irq-set");
	r = writer->ops->irq_set(writer, irq, mask);
	CB_FAULT_POINT("irq-set-done");
	if (r == 0)
		r = writer->ops->irq_get(writer, irq, &got);
	if (r < 0)
		return r;
	return cb_cpuset_equal(&got, mask) ? 0 : 1;
}

/* Does the interrupt land within @mask? Yes where that cannot be known. */
static bool lands_in(struct cb_writer *writer, uint32_t irq, const struct cb_cpuset *mask)
{
	struct cb_cpuset effective;

	return writer->ops->irq_effective(writer, irq, &effective) < 0 ||
	       cb_cpuset_subset(&effective, mask);
}

/* After a write that failed: the journal as it was, unless the mask has changed all the same. */
static void take_back(struct cb_change *change, const struct cb_journal_entry *next,
		      const struct cb_journal_entry *before, const struct cb_cpuset *present)
{
	struct cb_cpuset now;

	if (change->writer->ops->irq_get(change->writer, next->irq, &now) < 0 ||
	    !cb_cpuset_equal(&now, present))
		return;
	/* When the disk refuses the earlier entry, this one covers it: `was` is what the mask is. */
	if (!before)
		cb_journal_forget(change->journal, next);
	else if (cb_journal_put(change->journal, before, NULL) < 0)
		return;
}

void cb_place_irq(struct cb_change *change, const char *group, uint32_t plan_id,
		  struct cb_step *step)
{
	struct cb_writer *writer = change->writer;
	struct cb_journal_entry next, before;
	struct cb_cpuset want = step->to, set, present;
	uint32_t irq = step->item.key;
	bool known = false;
	int r;

	if (writer->ops->online(writer, &set) == 0)
		want = cb_cpuset_and(&want, &set);
	if (cb_cpuset_empty(&want)) {
		step_failed_errno(step, EINVAL);
		return;
	}
	r = writer->ops->irq_get(writer, irq, &present);
	if (r == 0)
		r = make_entry(change, irq, &present, &next, &known);
	if (r != 0) {
		if (r > 0)
			step_failed(step, 0, CB_ERROR_FOREIGN);
		else
			step_failed_errno(step, -r);
		return;
	}
	step->errnum = 0;
	step->error_class = CB_ERROR_NONE;
	if (cb_cpuset_equal(&present, &want)) {
		step->state = lands_in(writer, irq, &want) ? CB_STEP_DONE : CB_STEP_PENDING;
		if (!known)
			return; /* by itself what we want: nothing to write, nothing to remember */
	}
	if (known)
		before = *cb_journal_find_irq(change->journal, irq, next.hwirq, next.actions);
	next.set = want;
	next.plan_id = plan_id;
	snprintf(next.group, sizeof(next.group), "%s", group);
	r = cb_journal_put(change->journal, &next, NULL);
	if (r < 0) {
		step_failed(step, -r, CB_ERROR_TRANSIENT); /* unrecorded means unwritten */
		return;
	}
	if (!cb_cpuset_equal(&present, &want))
		r = write_irq(writer, irq, &want);
	if (r != 0) {
		take_back(change, &next, known ? &before : NULL, &present);
		if (r > 0)
			step_failed(step, 0, CB_ERROR_FOREIGN);
		else
			step_failed_errno(step, -r);
		return;
	}
	step->state = lands_in(writer, irq, &want) ? CB_STEP_DONE : CB_STEP_PENDING;
	if (cb_cpuset_equal(&want, &next.original))
		cb_journal_forget(change->journal, &next);
}

/* --- putting back --- */

/*
 * Send the interrupt home before its mask is widened. True: it has to be waited for. Anything that goes wrong here is
 * no reason not to write the original mask.
 */
static bool send_home(struct cb_change *change, const struct cb_journal_entry *entry,
		      const struct cb_cpuset *present)
{
	struct cb_writer *writer = change->writer;
	struct cb_cpuset home, online, effective;

	if (entry->original_effective_cpu < 0)
		return false;
	home = cb_cpuset_of((unsigned int)entry->original_effective_cpu);
	if (!cb_cpuset_subset(&home, &entry->original) ||
	    writer->ops->online(writer, &online) < 0 || !cb_cpuset_subset(&home, &online))
		return false;
	if (writer->ops->irq_effective(writer, entry->irq, &effective) < 0 ||
	    cb_cpuset_equal(&effective, &home))
		return false;
	if (!entry->pending) {
		struct cb_journal_entry next = *entry;

		next.pending = true;
		if (cb_journal_put(change->journal, &next, NULL) < 0)
			return false;
	}
	if (!cb_cpuset_equal(present, &home) && write_irq(writer, entry->irq, &home) != 0)
		return false;
	return !lands_in(writer, entry->irq, &home);
}

static bool restore_failed(struct cb_change *change, const struct cb_journal_entry *entry,
			   int errnum)
{
	change->n_failed++;
	change->errnum = errnum;
	change->error_class = cb_knob_get(CB_KNOB_IRQ_AFFINITY)->classify(errnum);
	cb_change_say(change, entry, strerror(errnum));
	return false;
}

static bool restore_foreign(struct cb_change *change, const struct cb_journal_entry *entry)
{
	change->n_foreign++;
	cb_change_say(change, entry, "somebody else has set its mask since; left alone");
	return true;
}

int cb_irq_lives(struct cb_writer *writer, const struct cb_journal_entry *entry)
{
	char actions[CB_IRQ_NAME_MAX];
	uint64_t hwirq;
	int r = writer->ops->irq_identity(writer, entry->irq, &hwirq, actions);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	return hwirq == entry->hwirq && strcmp(actions, entry->actions) == 0;
}

bool cb_restore_irq(struct cb_change *change, const struct cb_journal_entry *entry, bool now)
{
	struct cb_writer *writer = change->writer;
	struct cb_journal_entry e = *entry; /* send_home() replaces the original */
	struct cb_cpuset present;
	int r;

	r = cb_irq_lives(writer, &e);
	if (r > 0)
		r = writer->ops->irq_get(writer, e.irq, &present);
	else if (r == 0)
		r = -ENOENT;
	if (r == -ENOENT) {
		change->n_gone++;
		return true;
	}
	if (r < 0)
		return restore_failed(change, &e, -r);
	if (!cb_cpuset_equal(&present, &e.original)) {
		if (!is_ours(&e, &present))
			return restore_foreign(change, &e);
		if (!now && send_home(change, &e, &present)) {
			change->n_pending++;
			return false;
		}
		r = write_irq(writer, e.irq, &e.original);
	}
	if (r > 0)
		return restore_foreign(change, &e);
	if (r < 0)
		return restore_failed(change, &e, -r);
	change->n_restored++;
	return true;
}

/* --- again --- */

/*
 * Has it a mask that nobody has chosen: what it had before us, every CPU there is, or what its driver gives each of its queues, with
 * irq_set_affinity_and_hint(), as it sets them up and, some of them, as CPUs come and go (drivers/net/virtio_net.c
 * virtnet_set_affinity())?
 */
static bool is_default(struct cb_writer *writer, const struct cb_journal_entry *entry,
		       uint32_t irq, const struct cb_cpuset *present)
{
	struct cb_cpuset online, hint;

	return cb_cpuset_equal(present, &entry->original) ||
	       (writer->ops->online(writer, &online) == 0 && cb_cpuset_subset(&online, present)) ||
	       (writer->ops->irq_hint(writer, irq, &hint) == 0 && cb_cpuset_equal(present, &hint));
}

/* The interrupt that has taken the place of one that is gone: the same one under a new name, or another with the same name. */
static bool find_successor(struct cb_change *change, const struct cb_journal_entry *entry,
			   const struct cb_irqs *irqs, struct cb_journal_entry *ret)
{
	for (uint32_t i = 0; i < irqs->n; i++) {
		const struct cb_irq_info *info = &irqs->irq[i];
		bool same = info->irq == entry->irq && info->hwirq == entry->hwirq;

		if (!info->actions[0] || (!same && strcmp(info->actions, entry->actions) != 0) ||
		    cb_journal_find_irq(change->journal, info->irq, info->hwirq, info->actions))
			continue;
		*ret = *entry;
		ret->irq = info->irq;
		ret->hwirq = info->hwirq;
		memcpy(ret->actions, info->actions, sizeof(ret->actions));
		ret->was = CB_CPUSET_EMPTY;
		return true;
	}
	return false;
}

bool cb_irq_again(struct cb_change *change, const struct cb_journal_entry *entry,
		  const struct cb_irqs *irqs)
{
	struct cb_writer *writer = change->writer;
	struct cb_journal_entry e = *entry, next = e; /* a put moves entries */
	int lives = cb_irq_lives(writer, &e);
	struct cb_cpuset present;

	if (e.pending || lives < 0 || (lives == 0 && !find_successor(change, &e, irqs, &next)) ||
	    writer->ops->irq_get(writer, next.irq, &present) < 0)
		return false;
	if (lives == 0) {
		if (!cb_cpuset_equal(&present, &e.set) && !is_default(writer, &e, next.irq, &present))
			return false; /* somebody has been quicker */
		if (!cb_cpuset_equal(&present, &e.set))
			next.original = present;
		if (cb_journal_put(change->journal, &next, NULL) < 0)
			return false;
		cb_journal_forget(change->journal, &e);
	}
	if (cb_cpuset_equal(&present, &next.set))
		return lives == 0;
	return is_default(writer, &next, next.irq, &present) &&
	       write_irq(writer, next.irq, &next.set) == 0;
}
