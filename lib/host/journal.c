/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The journal of originals: the entries in memory and their file. A record is on disk before the entry is in memory, and
 * the entry is in memory before the knob is turned. See journal.h for the rules, journal_line.c for one record.
 *
 * Invariants: entry[0..n) are packed; slot[] is an open-addressing table of index + 1 into them, at most half full; the
 * file ends behind the last whole record, at `size`; a failed append is cut off again before anything else is written.
 * The directory is locked (flock) as long as it is open, so the lock outlives the renaming of the file.
 */
#include "cpubalance/journal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fault.h"
#include "journal_bans.h"
#include "journal_file.h"
#include "journal_internal.h"
#include "journal_trial.h"

#define SLOTS_MIN 64u
/* Compaction when more than this many records, and more than four of five, are of no use any more. */
#define SLACK_RECORDS 256u

struct cb_journal {
	struct cb_journal_file *file; /* NULL: in memory only */
	struct cb_journal_entry *entry;
	uint32_t n, cap;
	uint32_t n_tasks, n_steered, n_pending;
	uint32_t *slot;
	uint32_t n_slots; /* a power of two */
	uint64_t generation;
	uint64_t n_records;	/* in the file */
	uint32_t trial_plan_id; /* see journal_trial.h */
	struct cb_bans bans;	/* see journal_bans.h */
	bool healthy;
	char state[CB_ERR_MSG_MAX];
	char line[CB_JOURNAL_LINE_MAX];
};

uint64_t cb_hash_bytes(uint64_t hash, const void *bytes, size_t len)
{
	const unsigned char *p = bytes;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ p[i]) * UINT64_C(0x100000001b3);
	return hash ? hash : 1;
}

/* --- the table of identities --- */

static bool is_task(const struct cb_journal_entry *e)
{
	return e->knob == CB_KNOB_TASK_AFFINITY;
}

static uint64_t hash_identity(const struct cb_journal_entry *e)
{
	uint64_t hash = CB_HASH_START;

	if (is_task(e)) {
		hash = cb_hash_bytes(hash, &e->tid, sizeof(e->tid));
		return cb_hash_bytes(hash, &e->start_ticks, sizeof(e->start_ticks));
	}
	if (e->knob == CB_KNOB_INCOMING_CPU)
		return cb_hash_bytes(hash, &e->cookie, sizeof(e->cookie));
	if (e->knob == CB_KNOB_REUSEPORT_WEIGHTS)
		return cb_hash_bytes(hash, &e->local.port, sizeof(e->local.port));
	if (cb_entry_is_queue(e)) {
		hash = cb_hash_bytes(hash, &e->interface, sizeof(e->interface));
		return cb_hash_bytes(hash, &e->queue, sizeof(e->queue));
	}
	hash = cb_hash_bytes(hash, &e->irq, sizeof(e->irq));
	hash = cb_hash_bytes(hash, &e->hwirq, sizeof(e->hwirq));
	return cb_hash_bytes(hash, e->actions, strnlen(e->actions, sizeof(e->actions)));
}

static bool same_identity(const struct cb_journal_entry *a, const struct cb_journal_entry *b)
{
	if (a->knob != b->knob)
		return false;
	if (is_task(a))
		return a->tid == b->tid && a->start_ticks == b->start_ticks;
	if (a->knob == CB_KNOB_INCOMING_CPU)
		return a->cookie == b->cookie;
	if (a->knob == CB_KNOB_REUSEPORT_WEIGHTS)
		return a->netns == b->netns && a->interface == b->interface &&
		       memcmp(&a->local, &b->local, sizeof(a->local)) == 0;
	if (cb_entry_is_queue(a))
		return a->interface == b->interface && a->queue == b->queue;
	return a->irq == b->irq && a->hwirq == b->hwirq && strcmp(a->actions, b->actions) == 0;
}

/* The slot that holds the identity of @e, or the empty one where it would go. */
static uint32_t find_slot(const struct cb_journal *journal, const struct cb_journal_entry *e)
{
	uint32_t mask = journal->n_slots - 1, i = (uint32_t)hash_identity(e) & mask;

	while (journal->slot[i] != 0 && !same_identity(&journal->entry[journal->slot[i] - 1], e))
		i = (i + 1) & mask;
	return i;
}

static const struct cb_journal_entry *find(const struct cb_journal *journal,
					   const struct cb_journal_entry *e)
{
	uint32_t index = journal->n_slots ? journal->slot[find_slot(journal, e)] : 0;

	return index ? &journal->entry[index - 1] : NULL;
}

/* Empty slot @hole, and move up what stands behind it only because of it. */
static void empty_slot(struct cb_journal *journal, uint32_t hole)
{
	uint32_t mask = journal->n_slots - 1, i = hole;

	for (;;) {
		uint32_t home;

		i = (i + 1) & mask;
		if (journal->slot[i] == 0)
			break;
		home = (uint32_t)hash_identity(&journal->entry[journal->slot[i] - 1]) & mask;
		if (((i - home) & mask) >= ((i - hole) & mask)) {
			journal->slot[hole] = journal->slot[i];
			hole = i;
		}
	}
	journal->slot[hole] = 0;
}

/* Room for one more entry, in both arrays. */
static int reserve(struct cb_journal *journal)
{
	uint32_t n_slots = CB_MAX(journal->n_slots, SLOTS_MIN);

	if (journal->n == journal->cap) {
		uint32_t cap = CB_MAX(journal->cap * 2, 16u);
		void *p = reallocarray(journal->entry, cap, sizeof(*journal->entry));

		if (!p)
			return -ENOMEM;
		journal->entry = p;
		journal->cap = cap;
	}
	while (n_slots < (journal->n + 1) * 2)
		n_slots *= 2;
	if (n_slots != journal->n_slots) {
		uint32_t *slot = calloc(n_slots, sizeof(*slot));

		if (!slot)
			return -ENOMEM;
		free(journal->slot);
		journal->slot = slot;
		journal->n_slots = n_slots;
		for (uint32_t i = 0; i < journal->n; i++)
			slot[find_slot(journal, &journal->entry[i])] = i + 1;
	}
	return 0;
}

/* Into memory; there is room. */
static void insert(struct cb_journal *journal, const struct cb_journal_entry *entry)
{
	uint32_t i = find_slot(journal, entry);

	if (journal->slot[i] == 0) {
		journal->slot[i] = ++journal->n;
		journal->n_tasks += is_task(entry);
		journal->n_steered += cb_entry_steers(entry);
	} else {
		journal->n_pending -= journal->entry[journal->slot[i] - 1].pending;
	}
	journal->n_pending += entry->pending;
	/* @entry may be the very one that is replaced. */
	memmove(&journal->entry[journal->slot[i] - 1], entry, sizeof(*entry));
	journal->generation++;
}

/* Out of memory: the last entry takes the place of the one that goes. */
static void forget(struct cb_journal *journal, const struct cb_journal_entry *identity)
{
	uint32_t i = find_slot(journal, identity), index = journal->slot[i];

	if (index == 0)
		return;
	journal->n_tasks -= is_task(identity);
	journal->n_steered -= cb_entry_steers(identity);
	journal->n_pending -= journal->entry[index - 1].pending;
	empty_slot(journal, i);
	if (index != journal->n) {
		uint32_t last = find_slot(journal, &journal->entry[journal->n - 1]);

		journal->entry[index - 1] = journal->entry[journal->n - 1];
		journal->slot[last] = index;
	}
	journal->n--;
	journal->generation++;
}

/* --- loading --- */

/* One record of the file; the sink of cb_journal_file_load(). */
static int load_line(const char *line, size_t len, void *userdata, struct cb_err *err)
{
	struct cb_journal *journal = userdata;
	struct cb_journal_entry e;
	bool drop;
	int r = cb_journal_trial_parse(line, len, &journal->trial_plan_id);

	if (r < 0)
		return cb_err_set(err, r, "no valid record of a plan on trial");
	if (r == 0) {
		r = cb_journal_bans_parse(line, len, &journal->bans);
		if (r < 0)
			return cb_err_set(err, r, "no valid record of bans");
	}
	if (r > 0) {
		journal->n_records++;
		return 0;
	}
	r = cb_journal_line_parse(line, len, &e, &drop, err);
	if (r < 0)
		return r;
	journal->n_records++;
	if (drop) {
		if (find(journal, &e))
			forget(journal, &e);
		return 0;
	}
	if (!find(journal, &e) && journal->n >= CB_JOURNAL_ENTRIES_MAX)
		return cb_err_set(err, -EBADMSG, "more than %u entries", CB_JOURNAL_ENTRIES_MAX);
	r = reserve(journal);
	if (r == 0)
		insert(journal, &e);
	return r;
}

static void say(struct cb_journal *journal, bool healthy, const char *sentence)
{
	journal->healthy = healthy;
	snprintf(journal->state, sizeof(journal->state), "%s", sentence);
}

/* The file anew, with what is valid alone. */
static int compact(struct cb_journal *journal, struct cb_err *err)
{
	char trial[CB_JOURNAL_TRIAL_MAX], bans[CB_JOURNAL_BANS_MAX];
	int r = cb_journal_file_begin(journal->file, err);

	if (r == 0 && journal->trial_plan_id != 0)
		r = cb_journal_file_add(
			journal->file, trial,
			(size_t)cb_journal_trial_format(journal->trial_plan_id, trial), err);
	if (r == 0 && journal->bans.n > 0)
		r = cb_journal_file_add(journal->file, bans,
					(size_t)cb_journal_bans_format(&journal->bans, bans), err);
	for (uint32_t i = 0; r == 0 && i < journal->n; i++) {
		int len = cb_journal_line_format(&journal->entry[i], false, journal->line,
						 sizeof(journal->line));

		r = len < 0 ? len :
			      cb_journal_file_add(journal->file, journal->line, (size_t)len, err);
	}
	r = cb_journal_file_end(journal->file, r, err);
	if (r == 0)
		journal->n_records =
			journal->n + (journal->trial_plan_id != 0) + (journal->bans.n > 0);
	return r;
}

int cb_journal_open(const char *run_dir, const char *boot_id, struct cb_journal **ret,
		    struct cb_err *err)
{
	struct cb_journal *journal = calloc(1, sizeof(*journal));
	bool rewrite = false;
	int r;

	if (!journal || reserve(journal) < 0) {
		cb_journal_close(journal);
		return cb_err_set(err, -ENOMEM, "no memory for the journal");
	}
	say(journal, true, "ok");
	if (run_dir) {
		struct cb_err news = { "" };

		r = cb_journal_file_open(run_dir, boot_id, &journal->file, err);
		if (r == 0)
			r = cb_journal_file_load(journal->file, load_line, journal, &rewrite, &news,
						 err);
		if (r == 0 && rewrite)
			r = compact(journal, err);
		if (r < 0) {
			cb_journal_close(journal);
			return r;
		}
		if (news.msg[0])
			say(journal, !cb_journal_file_read_only(journal->file), news.msg);
	}
	*ret = journal;
	return 0;
}

struct cb_journal *cb_journal_close(struct cb_journal *journal)
{
	if (!journal)
		return NULL;
	cb_journal_file_close(journal->file);
	free(journal->entry);
	free(journal->slot);
	free(journal);
	return NULL;
}

/* --- changing --- */

/* One record onto the disk. */
static int append_line(struct cb_journal *journal, const char *line, size_t len, struct cb_err *err)
{
	struct cb_err why = { "" };
	int r = cb_journal_file_append(journal->file, line, len, &why);

	if (r < 0) {
		say(journal, false, why.msg);
		return cb_err_set(err, r, "%s", why.msg);
	}
	journal->n_records++;
	if (!journal->healthy)
		say(journal, true, "ok");
	return 0;
}

static int append(struct cb_journal *journal, const struct cb_journal_entry *entry, bool drop,
		  struct cb_err *err)
{
	int r;

	if (!journal->file)
		return 0;
	r = cb_journal_line_format(entry, drop, journal->line, sizeof(journal->line));
	if (r < 0)
		return cb_err_set(err, r, "a journal record does not fit into %u bytes",
				  CB_JOURNAL_LINE_MAX);
	return append_line(journal, journal->line, (size_t)r, err);
}

/* Best effort: the file is right as it is, only longer than it has to be. */
static void compact_when_due(struct cb_journal *journal)
{
	struct cb_err why = { "" };

	if (journal->file && journal->n_records > SLACK_RECORDS + (uint64_t)journal->n * 5 &&
	    compact(journal, &why) < 0)
		say(journal, false, why.msg);
}

int cb_journal_put(struct cb_journal *journal, const struct cb_journal_entry *entry,
		   struct cb_err *err)
{
	struct cb_journal_entry copy =
		*entry; /* @entry may be one of ours, which reserve() moves */
	int r;

	if (!find(journal, &copy) && journal->n >= CB_JOURNAL_ENTRIES_MAX)
		return cb_err_set(err, -E2BIG, "the journal has its largest number of entries, %u",
				  CB_JOURNAL_ENTRIES_MAX);
	if (!cb_entry_steers(&copy) && !cb_entry_is_queue(&copy) &&
	    (cb_cpuset_empty(&copy.original) || cb_cpuset_empty(&copy.set)))
		return cb_err_set(err, -EINVAL, "a journal entry cannot have an empty mask");
	r = reserve(journal);
	if (r < 0)
		return cb_err_set(err, r, "no memory for %u journal entries", journal->n + 1);
	CB_FAULT_POINT("journal-put");
	r = append(journal, &copy, false, err);
	if (r < 0)
		return r;
	CB_FAULT_POINT("journal-put-done");
	insert(journal, &copy);
	compact_when_due(journal);
	return 0;
}

int cb_journal_drop(struct cb_journal *journal, const struct cb_journal_entry *identity,
		    struct cb_err *err)
{
	struct cb_journal_entry copy = *identity;
	int r;

	if (!find(journal, &copy))
		return cb_err_set(err, -ENOENT, "the journal has no such entry");
	CB_FAULT_POINT("journal-drop");
	r = append(journal, &copy, true, err);
	if (r < 0)
		return r;
	CB_FAULT_POINT("journal-drop-done");
	forget(journal, &copy);
	compact_when_due(journal);
	return 0;
}

void cb_journal_forget(struct cb_journal *journal, const struct cb_journal_entry *identity)
{
	int r = cb_journal_drop(journal, identity, NULL);

	(void)r;
}

int cb_journal_set_trial(struct cb_journal *journal, uint32_t plan_id, struct cb_err *err)
{
	char line[CB_JOURNAL_TRIAL_MAX];
	int len = cb_journal_trial_format(plan_id, line), r = 0;

	if (plan_id == journal->trial_plan_id)
		return 0;
	CB_FAULT_POINT("journal-trial");
	if (journal->file)
		r = append_line(journal, line, (size_t)len, err);
	if (r < 0)
		return r;
	CB_FAULT_POINT("journal-trial-done");
	journal->trial_plan_id = plan_id;
	compact_when_due(journal);
	return 0;
}

int cb_journal_set_bans(struct cb_journal *journal, const struct cb_bans *bans, struct cb_err *err)
{
	char line[CB_JOURNAL_BANS_MAX];
	int len = cb_journal_bans_format(bans, line), r = 0;

	CB_FAULT_POINT("journal-bans");
	if (journal->file)
		r = append_line(journal, line, (size_t)len, err);
	if (r < 0)
		return r;
	CB_FAULT_POINT("journal-bans-done");
	journal->bans = *bans;
	compact_when_due(journal);
	return 0;
}

/* --- asking --- */

const struct cb_bans *cb_journal_bans(const struct cb_journal *journal)
{
	return &journal->bans;
}

uint32_t cb_journal_trial(const struct cb_journal *journal)
{
	return journal->trial_plan_id;
}

uint32_t cb_journal_count(const struct cb_journal *journal)
{
	return journal->n;
}

const struct cb_journal_entry *cb_journal_at(const struct cb_journal *journal, uint32_t index)
{
	return index < journal->n ? &journal->entry[index] : NULL;
}

const struct cb_journal_entry *cb_journal_find_task(const struct cb_journal *journal, int32_t tid,
						    uint64_t start_ticks)
{
	struct cb_journal_entry e = { .knob = CB_KNOB_TASK_AFFINITY };

	e.tid = tid;
	e.start_ticks = start_ticks;
	return find(journal, &e);
}

const struct cb_journal_entry *cb_journal_find_irq(const struct cb_journal *journal, uint32_t irq,
						   uint64_t hwirq, const char *actions)
{
	struct cb_journal_entry e = { .knob = CB_KNOB_IRQ_AFFINITY };

	e.irq = irq;
	e.hwirq = hwirq;
	snprintf(e.actions, sizeof(e.actions), "%s", actions);
	return find(journal, &e);
}

const struct cb_journal_entry *cb_journal_find(const struct cb_journal *journal,
					       const struct cb_journal_entry *identity)
{
	return find(journal, identity);
}

const char *cb_journal_state(const struct cb_journal *journal)
{
	return journal->state;
}

bool cb_journal_healthy(const struct cb_journal *journal)
{
	return journal->healthy;
}

uint32_t cb_journal_n_tasks(const struct cb_journal *journal)
{
	return journal->n_tasks;
}

uint32_t cb_journal_n_steered(const struct cb_journal *journal)
{
	return journal->n_steered;
}

uint32_t cb_journal_n_pending(const struct cb_journal *journal)
{
	return journal->n_pending;
}

uint64_t cb_journal_generation(const struct cb_journal *journal)
{
	return journal->generation;
}
