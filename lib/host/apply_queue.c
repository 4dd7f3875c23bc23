/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Steering packets: setting one file of a queue of a network interface, and putting it back. An interface is known by its number, which
 * no other gets while the machine runs, and found by the name that it has now. What stands there and is neither what it was nor
 * what we set is somebody else's.
 */
#include "apply_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fault.h"
#include "host_internal.h"
#include "journal_internal.h"

static enum cb_knob_id knob_of(enum cb_item_kind kind)
{
	return kind == CB_ITEM_RPS ? CB_KNOB_RPS_CPUS :
	       kind == CB_ITEM_XPS ? CB_KNOB_XPS_CPUS :
				     CB_KNOB_RPS_FLOWS;
}

static void failed(const struct cb_knob *knob, struct cb_step *step, int r)
{
	step->errnum = r < 0 ? -r : 0;
	step->error_class = r < 0 ? knob->classify(-r) : CB_ERROR_FOREIGN;
	step->state = step->error_class == CB_ERROR_GONE ? CB_STEP_GONE : CB_STEP_FAILED;
}

static struct cb_queue_value original_of(const struct cb_journal_entry *e)
{
	return (struct cb_queue_value){ .cpus = e->original, .flows = e->flows.original };
}

static bool is_ours(const struct cb_knob *knob, const struct cb_journal_entry *e,
		    const struct cb_queue_value *present)
{
	struct cb_queue_value set = { .cpus = e->set, .flows = e->flows.set };
	struct cb_queue_value was = { .cpus = e->was, .flows = e->flows.was };

	return cb_knob_queue_equal(knob, present, &set) || cb_knob_queue_equal(knob, present, &was);
}

/* The entry as it has to be before the write. 1: somebody else has set it. */
static int make_entry(struct cb_change *change, enum cb_knob_id id, const struct cb_queue_id *queue,
		      const struct cb_queue_value *present, struct cb_journal_entry *ret,
		      bool *ret_known)
{
	struct cb_journal_entry next = { .knob = id,
					 .interface = queue->ifindex,
					 .queue = queue->queue };
	const struct cb_journal_entry *e = cb_journal_find(change->journal, &next);
	struct cb_queue_value original;

	*ret_known = e;
	if (e) {
		original = original_of(e);
		if (!cb_knob_queue_equal(cb_knob_get(id), present, &original) &&
		    !is_ours(cb_knob_get(id), e, present))
			return 1;
		next = *e;
		next.was = present->cpus;
		next.flows.was = present->flows;
	} else {
		next.original = next.was = present->cpus;
		next.flows.original = next.flows.was = present->flows;
	}
	memcpy(next.ifname, queue->ifname, sizeof(next.ifname));
	*ret = next;
	return 0;
}

/* Write and read back. Returns 0, a negative errno, or 1 when something else stands there. */
static int write_queue(struct cb_writer *writer, const struct cb_knob *knob,
		       const struct cb_queue_id *queue, const struct cb_queue_value *value)
{
	struct cb_queue_value got;
	int r;

	CB_FAULT_POINT("queue-set");
	r = writer->ops->queue_set(writer, knob, queue, value);
	CB_FAULT_POINT("queue-set-done");
	if (r == 0)
		r = writer->ops->queue_get(writer, knob, queue, &got);
	if (r < 0)
		return r;
	return cb_knob_queue_equal(knob, &got, value) ? 0 : 1;
}

/* After a write that failed: what was there, and the journal as it was where that is certain. */
static void take_back(struct cb_change *change, const struct cb_knob *knob,
		      const struct cb_queue_id *queue, const struct cb_journal_entry *next,
		      const struct cb_journal_entry *before, const struct cb_queue_value *present)
{
	struct cb_queue_value now;
	struct cb_writer *writer = change->writer;

	if (writer->ops->queue_get(writer, knob, queue, &now) < 0)
		return;
	/* CPUs were dropped silently: half a mask is none that anybody has asked for */
	if (!cb_knob_queue_equal(knob, &now, present) &&
	    write_queue(writer, knob, queue, present) != 0)
		return;
	if (!before)
		cb_journal_forget(change->journal, next);
	else if (cb_journal_put(change->journal, before, NULL) < 0)
		return; /* this one covers it: `was` is what stands there */
}

void cb_place_queue(struct cb_change *change, const struct cb_queue_id *wanted, const char *group,
		    uint32_t plan_id, struct cb_step *step)
{
	enum cb_knob_id id = knob_of(step->item.kind);
	const struct cb_knob *knob = cb_knob_get(id);
	struct cb_writer *writer = change->writer;
	struct cb_queue_value present, want = { .cpus = step->to, .flows = step->share_to };
	struct cb_journal_entry next, before;
	struct cb_queue_id queue = *wanted;
	bool known = false;
	int r = queue.ifindex == 0 ? 0 : writer->ops->queue_find(writer, &queue);

	if (r == 0)
		r = writer->ops->queue_get(writer, knob, &queue, &present);
	if (r == 0)
		r = make_entry(change, id, &queue, &present, &next, &known);
	if (r == 0 && !known && cb_knob_queue_equal(knob, &present, &want)) {
		step->state = CB_STEP_DONE; /* by itself what we want: nothing to remember */
		return;
	}
	if (r == 0 && known)
		before = *cb_journal_find(change->journal, &next);
	if (r == 0) {
		next.set = want.cpus;
		next.flows.set = want.flows;
		next.plan_id = plan_id;
		snprintf(next.group, sizeof(next.group), "%s", group);
		r = cb_journal_put(change->journal, &next, NULL);
		if (r < 0) {
			failed(knob, step, r);
			step->error_class = CB_ERROR_TRANSIENT; /* unrecorded means unwritten */
			step->state = CB_STEP_FAILED;
			return;
		}
		if (!cb_knob_queue_equal(knob, &present, &want))
			r = write_queue(writer, knob, &queue, &want);
		if (r != 0)
			take_back(change, knob, &queue, &next, known ? &before : NULL, &present);
	}
	if (r != 0) {
		failed(knob, step, r);
		return;
	}
	step->state = CB_STEP_DONE;
	step->errnum = 0;
	step->error_class = CB_ERROR_NONE;
	present = original_of(&next);
	if (cb_knob_queue_equal(knob, &want, &present))
		cb_journal_forget(change->journal, &next);
}

/* --- putting back --- */

static struct cb_queue_id queue_of(const struct cb_journal_entry *e)
{
	struct cb_queue_id queue = { .ifindex = e->interface, .queue = e->queue };

	memcpy(queue.ifname, e->ifname, sizeof(queue.ifname));
	return queue;
}

int cb_queue_lives(struct cb_writer *writer, const struct cb_journal_entry *entry)
{
	struct cb_queue_id queue = queue_of(entry);
	int r = queue.ifindex == 0 ? 0 : writer->ops->queue_find(writer, &queue);

	return r == -ENOENT ? 0 : r < 0 ? r : 1;
}

int cb_host_queue_now(struct cb_host *host, const struct cb_journal_entry *entry,
		      struct cb_queue_value *ret)
{
	struct cb_writer *writer = host->writer;
	struct cb_queue_id queue = queue_of(entry);
	int r = queue.ifindex == 0 ? 0 : writer->ops->queue_find(writer, &queue);

	return r < 0 ? r : writer->ops->queue_get(writer, cb_knob_get(entry->knob), &queue, ret);
}

bool cb_restore_queue(struct cb_change *change, const struct cb_journal_entry *entry)
{
	const struct cb_knob *knob = cb_knob_get(entry->knob);
	struct cb_queue_value present, original = original_of(entry);
	struct cb_queue_id queue = queue_of(entry);
	int r = queue.ifindex == 0 ? 0 : change->writer->ops->queue_find(change->writer, &queue);

	if (r == 0)
		r = change->writer->ops->queue_get(change->writer, knob, &queue, &present);
	if (r == -ENOENT || r == -ENODEV) {
		change->n_gone++;
		return true;
	}
	if (r == 0 && !cb_knob_queue_equal(knob, &present, &original)) {
		if (!is_ours(knob, entry, &present))
			r = 1;
		else
			r = write_queue(change->writer, knob, &queue, &original);
	}
	if (r < 0) {
		change->n_failed++;
		change->errnum = -r;
		change->error_class = knob->classify(-r);
		cb_change_say(change, entry, strerror(-r));
		return false;
	}
	if (r > 0) {
		change->n_foreign++;
		cb_change_say(change, entry, "somebody else has set it since; left alone");
		return true;
	}
	change->n_restored++;
	return true;
}
