/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The search for heirs among all processes; heirs.c says what the evidence is. Costs a look at every process, so it is
 * made when something was missed, when a journaled process has gone, and before a release.
 */
#include "apply_internal.h"

#include <errno.h>
#include <stdlib.h>

#include "journal_internal.h"

#define PF_KTHREAD    UINT32_C(0x00200000) /* include/linux/sched.h */
#define ANCESTORS_MAX 64u
#define SEARCHES_MAX  4u

struct process {
	int32_t tgid, ppid;
	uint64_t start_ticks;
	bool kernel;
};

/* A journaled process as an orphan could know it: by mask and cgroups. */
struct mark {
	uint64_t key;
	uint32_t index; /* in the journal */
};

struct search {
	struct cb_writer *writer;
	struct cb_journal *journal;
	struct process *process; /* ascending tgid */
	size_t n_processes;
	struct mark *mark; /* ascending key */
	size_t n_marks;
	uint64_t oldest_ticks; /* no heir is older */
};

static int compare_marks(const void *a, const void *b)
{
	const struct mark *x = a, *y = b;

	return (x->key > y->key) - (x->key < y->key);
}

static uint64_t mark_key(const struct cb_cpuset *mask, uint64_t cgroup_id)
{
	return cb_hash_bytes(cb_hash_bytes(CB_HASH_START, mask, sizeof(*mask)), &cgroup_id,
			     sizeof(cgroup_id));
}

/* Two for each journaled process: what we set, and what we had set before. */
static int make_marks(struct search *search)
{
	uint32_t n = cb_journal_count(search->journal);

	search->oldest_ticks = UINT64_MAX;
	search->mark = reallocarray(NULL, CB_MAX(n, 1u), 2 * sizeof(*search->mark));
	if (!search->mark)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		const struct cb_journal_entry *e = cb_journal_at(search->journal, i);

		if (!cb_entry_stands(e))
			continue;
		search->oldest_ticks = CB_MIN(search->oldest_ticks, e->placed_ticks);
		if (e->cgroup_id == 0)
			continue;
		search->mark[search->n_marks++] =
			(struct mark){ .key = mark_key(&e->set, e->cgroup_id), .index = i };
		if (!cb_cpuset_empty(&e->was))
			search->mark[search->n_marks++] =
				(struct mark){ .key = mark_key(&e->was, e->cgroup_id), .index = i };
	}
	qsort(search->mark, search->n_marks, sizeof(*search->mark), compare_marks);
	return 0;
}

static int list_processes(struct search *search)
{
	struct cb_writer *writer = search->writer;
	int32_t *tgids = NULL;
	size_t n = 0;
	int r = writer->ops->process_list(writer, &tgids, &n);

	if (r < 0)
		return r;
	search->process = calloc(CB_MAX(n, (size_t)1), sizeof(*search->process));
	if (!search->process) {
		free(tgids);
		return -ENOMEM;
	}
	for (size_t i = 0; i < n; i++) {
		struct cb_task_stat stat;

		if (writer->ops->task_stat(writer, tgids[i], tgids[i], &stat) < 0)
			continue;
		search->process[search->n_processes++] = (struct process){
			.tgid = tgids[i],
			.ppid = stat.ppid,
			.start_ticks = stat.start_ticks,
			.kernel = stat.flags & PF_KTHREAD,
		};
	}
	free(tgids);
	return 0;
}

static const struct process *find_process(const struct search *search, int32_t tgid)
{
	size_t low = 0, high = search->n_processes;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (search->process[middle].tgid < tgid)
			low = middle + 1;
		else
			high = middle;
	}
	return low < search->n_processes && search->process[low].tgid == tgid ?
		       &search->process[low] :
		       NULL;
}

/* The journaled process that the parents of @process lead to. */
static const struct cb_journal_entry *find_ancestor(const struct search *search,
						    const struct process *process)
{
	for (unsigned int i = 0; i < ANCESTORS_MAX && process; i++) {
		const struct cb_journal_entry *e;

		process = find_process(search, process->ppid);
		e = process ? cb_journal_find_task(search->journal, process->tgid,
						   process->start_ticks) :
			      NULL;
		if (e)
			return e;
	}
	return NULL;
}

static bool is_reaper(struct search *search, int32_t tgid, uint64_t cgroup_id_of_child)
{
	uint64_t id;

	if (tgid <= 1 || !find_process(search, tgid))
		return true;
	return search->writer->ops->cgroup_id(search->writer, tgid, &id) == 0 &&
	       id != cgroup_id_of_child;
}

/* The journaled process whose orphan @process is by its mask, cgroups and age. The dead come first, then the latest. */
static const struct cb_journal_entry *find_lost_parent(struct search *search,
						       const struct process *process)
{
	struct cb_writer *writer = search->writer;
	const struct cb_journal_entry *best = NULL;
	bool best_lives = false;
	struct cb_cpuset mask;
	uint64_t cgroup_id, key;
	size_t low = 0, high = search->n_marks;

	if (writer->ops->cgroup_id(writer, process->tgid, &cgroup_id) < 0 ||
	    !is_reaper(search, process->ppid, cgroup_id) ||
	    writer->ops->task_get(writer, process->tgid, process->tgid, &mask) < 0)
		return NULL;
	key = mark_key(&mask, cgroup_id);
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (search->mark[middle].key < key)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < search->n_marks && search->mark[low].key == key; low++) {
		const struct cb_journal_entry *e =
			cb_journal_at(search->journal, search->mark[low].index);
		const struct process *owner = find_process(search, e->tgid);
		bool lives = owner && owner->start_ticks == e->tgid_start_ticks;

		if (process->start_ticks < e->placed_ticks || !cb_heirs_mask_is_ours(e, &mask) ||
		    e->cgroup_id != cgroup_id)
			continue;
		if (!best || (best_lives && !lives) ||
		    (best_lives == lives && e->placed_ticks > best->placed_ticks)) {
			best = e;
			best_lives = lives;
		}
	}
	return best;
}

/* Of threads that were placed alone: their process has no entry that would lead to them. */
static int adopt_of_threads(struct search *search)
{
	for (uint32_t i = 0; i < cb_journal_count(search->journal); i++)
		if (cb_journal_at(search->journal, i)->alone)
			return cb_heirs_walk(search->writer, search->journal);
	return 0;
}

/* One look at everything. Returns how many were adopted, or a negative errno. */
static int search_once(struct search *search)
{
	int adopted = 0, r = make_marks(search);

	if (r == 0)
		r = list_processes(search);
	for (size_t i = 0; r >= 0 && i < search->n_processes; i++) {
		const struct process *p = &search->process[i];
		const struct cb_journal_entry *from;

		if (p->kernel || p->start_ticks < search->oldest_ticks) {
			/* too old to be an heir, but its new threads may be */
			from = cb_journal_find_task(search->journal, p->tgid, p->start_ticks);
		} else {
			from = cb_journal_find_task(search->journal, p->tgid, p->start_ticks);
			if (!from)
				from = find_ancestor(search, p);
			if (!from)
				from = find_lost_parent(search, p);
		}
		r = from ? cb_heirs_adopt(search->writer, search->journal, p->tgid, from) : 0;
		adopted += r > 0 ? r : 0;
	}
	if (r >= 0) {
		r = adopt_of_threads(search);
		adopted += r > 0 ? r : 0;
	}
	free(search->process);
	free(search->mark);
	return r < 0 ? r : adopted;
}

int cb_heirs_search(struct cb_writer *writer, struct cb_journal *journal)
{
	int adopted = 0, r = 1;

	if (cb_journal_n_tasks(journal) == 0)
		return 0;
	/* Until nothing is new: an heir that we have not met yet may fork while we look. */
	for (unsigned int i = 0; i < SEARCHES_MAX && r > 0; i++) {
		struct search search = { .writer = writer, .journal = journal };

		r = search_once(&search);
		if (r < 0)
			return r;
		adopted += r;
	}
	return adopted;
}
