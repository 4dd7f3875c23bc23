/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Steering the connections of a group, and putting that back. All steps of one kind are done together, since a program is one
 * for all sockets of an address.
 *
 * What SO_INCOMING_CPU was can be read, so it comes back exactly; whether there was a program before ours cannot, so a
 * group is steered only by the operator's word, and where a program shows among the descriptors of its workers, or a
 * socket is in somebody else's array, not at all.
 */
#include "apply_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fault.h"
#include "host_internal.h"
#include "journal_internal.h"
#include "steer.h"

static enum cb_knob_id knob_of(enum cb_item_kind kind)
{
	return kind == CB_ITEM_LISTENER ? CB_KNOB_INCOMING_CPU : CB_KNOB_REUSEPORT_WEIGHTS;
}

static void fail_all(struct cb_step *steps, uint32_t n, int errnum, enum cb_reject reject)
{
	const struct cb_knob *knob = cb_knob_get(knob_of(steps[0].item.kind));

	for (uint32_t i = 0; i < n; i++) {
		steps[i].errnum = errnum;
		steps[i].reject = reject;
		steps[i].error_class = errnum ? knob->classify(errnum) : CB_ERROR_PERMANENT;
		steps[i].state = steps[i].error_class == CB_ERROR_GONE ? CB_STEP_GONE :
									 CB_STEP_FAILED;
	}
}

static int32_t cpu_of(const struct cb_cpuset *set)
{
	return cb_cpuset_empty(set) ? -1 : (int32_t)cb_cpuset_first(set);
}

static struct cb_cpuset set_of(int32_t cpu)
{
	return cpu < 0 ? CB_CPUSET_EMPTY : cb_cpuset_of((unsigned int)cpu);
}

/* --- the CPU of a socket --- */

/* What we have set it to, now or before. */
static bool is_ours(const struct cb_journal_entry *entry, const struct cb_cpuset *present)
{
	return cb_cpuset_equal(present, &entry->set) || cb_cpuset_equal(present, &entry->was);
}

/* The socket of an entry and its CPU. */
static int find_socket(struct cb_writer *writer, const struct cb_journal_entry *entry,
		       struct cb_steer_socket *ret, struct cb_cpuset *ret_present)
{
	int32_t cpu;
	int r = writer->ops->socket_find(writer, entry, ret);

	if (r == 0)
		r = writer->ops->socket_get_cpu(writer, ret, &cpu);
	if (r == 0)
		*ret_present = set_of(cpu);
	return r;
}

/* The entry as it has to be before the write. 1: somebody else has set it. */
static int make_entry(struct cb_change *change, const struct cb_steer_set *set,
		      const struct cb_steer_socket *socket, const struct cb_target *target,
		      struct cb_journal_entry *ret)
{
	struct cb_journal_entry next = { .knob = CB_KNOB_INCOMING_CPU, .cookie = socket->cookie };
	const struct cb_journal_entry *e = cb_journal_find(change->journal, &next);
	struct cb_cpuset present;
	int32_t cpu;
	int r = change->writer->ops->socket_get_cpu(change->writer, socket, &cpu);

	if (r < 0)
		return r;
	present = set_of(cpu);
	if (e) {
		next = *e;
		if (!cb_cpuset_equal(&present, &e->original) && !is_ours(e, &present))
			return 1;
		next.was = present;
	} else {
		next.original = present;
	}
	next.tgid = socket->tgid;
	next.inode = socket->inode;
	next.netns = set->netns;
	next.set = set_of(set->worker[socket->worker].cpu);
	next.plan_id = target->plan_id;
	strncpy(next.group, target->group, sizeof(next.group) - 1);
	*ret = next;
	return 0;
}

static int set_cpu(struct cb_writer *writer, const struct cb_steer_socket *socket, int32_t cpu)
{
	int32_t got;
	int r;

	CB_FAULT_POINT("socket-cpu");
	r = writer->ops->socket_set_cpu(writer, socket, cpu);
	CB_FAULT_POINT("socket-cpu-done");
	if (r == 0)
		r = writer->ops->socket_get_cpu(writer, socket, &got);
	if (r < 0)
		return r;
	return got == cpu ? 0 : 1;
}

/* Two sockets of one CPU at one address would not be found evenly: the scan takes the first from where the hash begins. */
static bool lanes_are_clear(const struct cb_steer_set *set)
{
	for (uint32_t i = 0; i < set->n; i++)
		for (uint32_t k = 0; k < i; k++)
			if (set->socket[i].place == set->socket[k].place &&
			    set->worker[set->socket[i].worker].cpu ==
				    set->worker[set->socket[k].worker].cpu)
				return false;
	return true;
}

static int place_cpus(struct cb_change *change, const struct cb_steer_set *set,
		      const struct cb_target *target, enum cb_reject *ret_why)
{
	if (!lanes_are_clear(set)) {
		*ret_why = CB_REJECT_SHARED_CPU;
		return 1;
	}
	for (uint32_t i = 0; i < set->n; i++) {
		const struct cb_steer_socket *socket = &set->socket[i];
		struct cb_journal_entry entry;
		int r = make_entry(change, set, socket, target, &entry);

		if (r == 0)
			r = cb_journal_put(change->journal, &entry, NULL);
		if (r == 0)
			r = set_cpu(change->writer, socket, set->worker[socket->worker].cpu);
		if (r != 0) {
			*ret_why = r > 0 ? CB_REJECT_FOREIGN : *ret_why;
			return r;
		}
	}
	return 0;
}

/* --- one lane of several --- */

static bool is_one_of(const struct cb_target *workers, uint32_t n, int32_t tgid)
{
	for (uint32_t i = 0; i < n; i++)
		if (workers[i].tgid == tgid)
			return true;
	return false;
}

static const struct cb_journal_entry *lane_entry(const struct cb_journal *journal, uint32_t index,
						 const char *group)
{
	const struct cb_journal_entry *e = cb_journal_at(journal, index);

	return e->knob == CB_KNOB_INCOMING_CPU && strcmp(e->group, group) == 0 ? e : NULL;
}

/* A socket of a lane to its worker's new CPU, known by the journal: the others are no outsiders. 1: refused, with the reason. */
static int move_socket(struct cb_change *change, const struct cb_journal_entry *entry,
		       const struct cb_cpuset *to, uint64_t plan_id, enum cb_reject *ret_why)
{
	struct cb_journal_entry next = *entry;
	struct cb_steer_socket socket;
	struct cb_cpuset present;
	int r = find_socket(change->writer, entry, &socket, &present);

	if (r < 0)
		return r;
	if (!is_ours(entry, &present)) {
		*ret_why = CB_REJECT_FOREIGN;
		return 1;
	}
	next.was = present;
	next.set = *to;
	next.plan_id = (uint32_t)plan_id;
	r = cb_journal_put(change->journal, &next, NULL);
	return r == 0 ? set_cpu(change->writer, &socket, cpu_of(to)) : r;
}

/* Sockets that a step has moved in vain: where they came from. */
static void move_back(struct cb_change *change, const struct cb_target *worker,
		      const struct cb_step *step)
{
	enum cb_reject why;

	for (uint32_t i = 0; i < cb_journal_count(change->journal); i++) {
		const struct cb_journal_entry *e = lane_entry(change->journal, i, worker->group);
		struct cb_cpuset was;

		if (!e || e->tgid != worker->tgid || !cb_cpuset_equal(&e->set, &step->to))
			continue;
		was = e->was;
		(void)!move_socket(change, e, &was, worker->plan_id, &why);
	}
}

/* Has a lane that stays, or another one of these, the CPU of a step? */
static bool any_taken(const struct cb_journal *journal, const struct cb_target *workers,
		      const struct cb_step *steps, uint32_t n)
{
	for (uint32_t k = 0; k < n; k++) {
		for (uint32_t j = 0; j < k; j++)
			if (cb_cpuset_equal(&steps[j].to, &steps[k].to))
				return true;
		for (uint32_t i = 0; i < cb_journal_count(journal); i++) {
			const struct cb_journal_entry *e = lane_entry(journal, i, workers[0].group);

			if (e && !is_one_of(workers, n, e->tgid) &&
			    cb_cpuset_equal(&e->set, &steps[k].to))
				return true;
		}
	}
	return false;
}

/* The sockets of one of these workers; -ESRCH when it has none any more. */
static int move_lane(struct cb_change *change, const struct cb_target *worker,
		     const struct cb_step *step, enum cb_reject *ret_why)
{
	uint32_t n_moved = 0;

	for (uint32_t i = 0; i < cb_journal_count(change->journal); i++) {
		const struct cb_journal_entry *e = lane_entry(change->journal, i, worker->group);
		int r;

		if (!e || e->tgid != worker->tgid)
			continue;
		r = move_socket(change, e, &step->to, worker->plan_id, ret_why);
		if (r > 0 && *ret_why == CB_REJECT_NONE)
			*ret_why = CB_REJECT_FOREIGN; /* it reads back as something else */
		if (r != 0)
			return r;
		n_moved++;
	}
	return n_moved > 0 ? 0 : -ESRCH;
}

/* The sockets of these workers alone: of all or of none. */
static int move_lanes(struct cb_change *change, const struct cb_target *workers,
		      const struct cb_step *steps, uint32_t n, enum cb_reject *ret_why)
{
	if (any_taken(change->journal, workers, steps, n)) {
		*ret_why = CB_REJECT_SHARED_CPU;
		return 1;
	}
	for (uint32_t k = 0; k < n; k++) {
		int r = move_lane(change, &workers[k], &steps[k], ret_why);

		for (uint32_t j = 0; r != 0 && j <= k; j++)
			move_back(change, &workers[j], &steps[j]);
		if (r != 0)
			return r;
	}
	return 0;
}

/* --- shares --- */

static int place_shares(struct cb_change *change, const struct cb_steer_set *set,
			const struct cb_target *target, enum cb_reject *ret_why)
{
	for (uint32_t i = 0; i < set->n_places; i++) {
		struct cb_journal_entry entry = {
			.knob = CB_KNOB_REUSEPORT_WEIGHTS,
			.netns = set->netns,
			.local = set->place[i].local,
			.interface = set->place[i].interface,
			.tgid = set->worker[0].tgid,
			.plan_id = target->plan_id,
		};
		int r;

		strncpy(entry.group, target->group, sizeof(entry.group) - 1);
		r = cb_journal_put(change->journal, &entry, NULL);
		if (r < 0)
			return r;
		CB_FAULT_POINT("shares");
		r = change->writer->ops->shares_set(change->writer, set, i, ret_why);
		CB_FAULT_POINT("shares-done");
		if (r != 0)
			return r;
	}
	return 0;
}

/* --- the steps of a plan --- */

static int fill_set(struct cb_change *change, const struct cb_target *workers,
		    const struct cb_step *steps, uint32_t n, struct cb_steer_set *set)
{
	set->n_workers = n;
	for (uint32_t i = 0; i < n; i++) {
		struct cb_task_stat stat;
		int r = change->writer->ops->task_stat(change->writer, workers[i].tgid,
						       workers[i].tgid, &stat);

		if (r == 0 && stat.start_ticks != workers[i].start_ticks)
			r = -ESRCH;
		if (r < 0)
			return r;
		set->worker[i] = (struct cb_steer_worker){
			.tgid = workers[i].tgid,
			.start_ticks = workers[i].start_ticks,
			.share = steps[i].share_to,
			.cpu = cpu_of(&steps[i].to),
		};
	}
	return 0;
}

static void lose(struct cb_writer *writer, const char *group)
{
	for (uint32_t i = 0; i < writer->n_lost; i++)
		if (strcmp(writer->lost[i], group) == 0)
			return;
	if (writer->n_lost < CB_ARRAY_SIZE(writer->lost))
		snprintf(writer->lost[writer->n_lost++], sizeof(writer->lost[0]), "%s", group);
}

/* Nothing half: what this group has of that knob is put back. Whoever decides hears of it where that was in place before. */
static void take_back(struct cb_change *change, const char *group, enum cb_knob_id knob,
		      bool was_steered)
{
	struct cb_change quiet = { .writer = change->writer, .journal = change->journal };
	struct cb_select select = { .group = group, .knob = &knob };

	cb_restore_selected(&quiet, &select, true);
	if (was_steered)
		lose(change->writer, group);
}

static bool is_steered(const struct cb_journal *journal, const char *group)
{
	for (uint32_t i = 0; i < cb_journal_count(journal); i++) {
		const struct cb_journal_entry *e = cb_journal_at(journal, i);

		if (cb_entry_steers(e) && strcmp(e->group, group) == 0)
			return true;
	}
	return false;
}

void cb_place_steering(struct cb_change *change, const struct cb_target *workers,
		       struct cb_step *steps, uint32_t n, bool part)
{
	struct cb_steer_set *set = calloc(1, sizeof(*set));
	enum cb_item_kind kind = steps[0].item.kind;
	enum cb_reject why = CB_REJECT_NONE;
	bool was_steered = is_steered(change->journal, workers[0].group);
	bool some = kind == CB_ITEM_LISTENER && part;
	int r = set ? fill_set(change, workers, steps, n, set) : -ENOMEM;

	if (r == 0 && kind == CB_ITEM_LISTENER && !change->writer->ops->heeds_cpu(change->writer)) {
		why = CB_REJECT_OLD_KERNEL;
		r = 1;
	}
	if (r == 0 && some)
		r = move_lanes(change, workers, steps, n, &why);
	if (r == 0 && !some)
		r = change->writer->ops->steer_resolve(change->writer, set, &why);
	if (r == 0 && !some)
		r = kind == CB_ITEM_LISTENER ? place_cpus(change, set, &workers[0], &why) :
					       place_shares(change, set, &workers[0], &why);
	if (r != 0) {
		if (set && set->n_places > 0)
			take_back(change, workers[0].group, knob_of(kind), was_steered);
		fail_all(steps, n, r < 0 ? -r : 0, why);
	}
	for (uint32_t i = 0; r == 0 && i < n; i++) {
		steps[i].state = CB_STEP_DONE;
		steps[i].errnum = 0;
		steps[i].error_class = CB_ERROR_NONE;
	}
	free(set);
}

/* --- putting back --- */

static bool restore_failed(struct cb_change *change, const struct cb_journal_entry *entry,
			   int errnum)
{
	change->n_failed++;
	change->errnum = errnum;
	change->error_class = cb_knob_get(entry->knob)->classify(errnum);
	cb_change_say(change, entry, strerror(errnum));
	return false;
}

static bool restore_cpu(struct cb_change *change, const struct cb_journal_entry *entry)
{
	struct cb_steer_socket socket;
	struct cb_cpuset present;
	int r = find_socket(change->writer, entry, &socket, &present);

	if (r == -ENOENT || r == -ESRCH || r == -ESTALE) {
		change->n_gone++;
		return true;
	}
	if (r < 0)
		return restore_failed(change, entry, -r);
	if (!cb_cpuset_equal(&present, &entry->original)) {
		if (!is_ours(entry, &present)) {
			change->n_foreign++;
			cb_change_say(change, entry,
				      "somebody else has set its CPU since; left alone");
			return true;
		}
		r = set_cpu(change->writer, &socket, cpu_of(&entry->original));
	}
	if (r != 0)
		return restore_failed(change, entry, r < 0 ? -r : EIO);
	change->n_restored++;
	return true;
}

static bool restore_shares(struct cb_change *change, const struct cb_journal_entry *entry)
{
	int r = change->writer->ops->shares_clear(change->writer, entry);

	if (r == -ENOENT || r == -ESRCH) {
		change->n_gone++;
		return true;
	}
	if (r < 0)
		return restore_failed(change, entry, -r);
	change->n_restored++;
	return true;
}

bool cb_restore_steering(struct cb_change *change, const struct cb_journal_entry *entry)
{
	return entry->knob == CB_KNOB_INCOMING_CPU ? restore_cpu(change, entry) :
						     restore_shares(change, entry);
}

void cb_steer_detach(struct cb_host *host, struct cb_journal *journal, struct cb_outcome *ret)
{
	struct cb_change change = { .writer = host->writer, .journal = journal };
	struct cb_select select = { .steering = true };

	*ret = (struct cb_outcome){ .plan_id = 0 };
	if (cb_journal_n_steered(journal) == 0)
		return;
	cb_restore_selected(&change, &select, true);
	ret->n_restored = change.n_restored;
	ret->n_gone = change.n_gone;
	ret->n_foreign = change.n_foreign;
	ret->n_failed = change.n_failed;
}

/* --- once per tick --- */

/*
 * Sockets came or went somewhere. Where they are not those that we have steered any more, a program that names slots may mean
 * others: it goes at once, and whoever decides hears of it.
 */
void cb_steer_look(struct cb_change *change)
{
	struct cb_writer *writer = change->writer;

	for (uint32_t i = cb_journal_count(change->journal); i-- > 0;) {
		struct cb_journal_entry e = *cb_journal_at(change->journal, i);

		if (!cb_entry_steers(&e) || writer->ops->steer_same(writer, &e) != 0)
			continue;
		if (cb_restore_steering(change, &e))
			cb_journal_forget(change->journal, &e);
		lose(writer, e.group);
	}
}

uint32_t cb_steer_lost(struct cb_host *host, char ret[][CB_NAME_MAX], uint32_t cap)
{
	struct cb_writer *writer = host->writer;
	uint32_t n = CB_MIN(writer->n_lost, cap);

	memcpy(ret, writer->lost, n * sizeof(ret[0]));
	memmove(writer->lost, writer->lost + n, (writer->n_lost - n) * sizeof(writer->lost[0]));
	writer->n_lost -= n;
	return n;
}
