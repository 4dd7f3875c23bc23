/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What apply.c, release.c, heirs.c and restore.c share: placing and restoring one thread's process or one interrupt
 * through a writer and a journal. No engine, no host: tests drive these with a machine of their own.
 */

#include "cpubalance/host.h"
#include "cpubalance/journal.h"
#include "writer.h"

/* One round of changes, with what became of the journal entries concerned. Zero it and set the first two. */
struct cb_change {
	struct cb_writer *writer;
	struct cb_journal *journal;
	struct cb_host *host; /* for news of forks; NULL: there are none */
	void (*say)(const char *line,
		    void *userdata); /* one line for each entry that is not restored; may be NULL */
	void *userdata;
	uint32_t n_restored, n_pending, n_gone, n_foreign, n_failed;
	uint32_t n_late; /* threads with our mask that were made after their process was placed */
	int errnum;	 /* of the last failure */
	enum cb_error_class error_class;
};

/* A process that is to be placed, or one thread of it. */
struct cb_target {
	int32_t tgid;
	int32_t tid;	      /* 0: all threads */
	uint64_t start_ticks; /* of that thread, else of the process */
	const char *group;    /* "" none */
	uint32_t plan_id;
};

/* Number of walks over the threads of a process before we say that they do not come to rest. */
#define CB_WALKS_MAX 16u

/* The entry of a main thread stands for its process; that of a thread which was placed alone, for what it makes. */
static inline bool cb_entry_stands(const struct cb_journal_entry *entry)
{
	return entry->knob == CB_KNOB_TASK_AFFINITY && (entry->alone || entry->tid == entry->tgid);
}

/*
 * Is there anybody behind that stat? A main thread that has ended stays as a zombie while others work on; it takes a
 * mask as they do, and its entry is what stands for the process.
 */
static inline bool cb_stat_lives(const struct cb_task_stat *stat)
{
	return (stat->state != 'Z' || stat->n_threads > 1) && stat->state != 'X' &&
	       stat->state != 'x';
}

/* --- apply_task.c, apply_irq.c --- */

/* Do CB_OP_SET of @step; sets its state, errnum and error_class. */
void cb_place_process(struct cb_change *change, const struct cb_target *target,
		      struct cb_step *step);
void cb_place_irq(struct cb_change *change, const char *group, uint32_t plan_id,
		  struct cb_step *step);

void cb_place_queue(struct cb_change *change, const struct cb_queue_id *queue, const char *group,
		    uint32_t plan_id, struct cb_step *step);

/*
 * CB_OP_SET of all @n steps, of one kind that steers and of one group; workers[] are whose they are. All are done or none is, and then
 * the group has the kernel's hash. With @part the group has other workers, whose lanes stay as they are.
 */
void cb_place_steering(struct cb_change *change, const struct cb_target *workers,
		       struct cb_step *steps, uint32_t n, bool part);

/* Is @present a mask that this thread can have by our doing: what we set, cut by its cpuset perhaps, or set before? */
bool cb_task_is_ours(struct cb_writer *writer, const struct cb_journal_entry *entry,
		     const struct cb_cpuset *present);
/* 1 when the owner of @entry is there (a thread: the same start time, and not dead), 0 when it is gone, negative: unknown. */
int cb_task_lives(struct cb_writer *writer, const struct cb_journal_entry *entry);
int cb_irq_lives(struct cb_writer *writer, const struct cb_journal_entry *entry);

/*
 * After news of network interfaces: what we set, once more, on an interrupt that was requested anew and has a default mask
 * again; also on one that has taken its place, under another number or name, which gets an entry of its own. A mask that is neither
 * is somebody's. True: done.
 */
bool cb_irq_again(struct cb_change *change, const struct cb_journal_entry *entry,
		  const struct cb_irqs *irqs);

/* Put the original of one entry back and count it in @change. True: the entry has had its day. */
bool cb_restore_task(struct cb_change *change, const struct cb_journal_entry *entry);
/* The same of an interrupt; @now: do not wait for its next occurrence any more. */
bool cb_restore_irq(struct cb_change *change, const struct cb_journal_entry *entry, bool now);

/* Whether the interface of a queue is there: 1, 0, or a negative errno. */
int cb_queue_lives(struct cb_writer *writer, const struct cb_journal_entry *entry);
bool cb_restore_queue(struct cb_change *change, const struct cb_journal_entry *entry);

/* The same of what steers. */
bool cb_restore_steering(struct cb_change *change, const struct cb_journal_entry *entry);
/* Sockets came or went: put back what was steered and is not the same any more. */
void cb_steer_look(struct cb_change *change);

/* --- release.c --- */

/* Which entries: all that fit every condition. */
struct cb_select {
	const char *group;		 /* NULL: any */
	const struct cb_target *lineage; /* this process or thread, and its heirs; NULL: any */
	const uint32_t *irq;		 /* this interrupt; NULL: any */
	const enum cb_knob_id *knob;	 /* NULL: any */
	const struct cb_queue_id *queue; /* this queue, by its interface and number; NULL: any */
	bool no_tasks, no_irqs;
	bool steering; /* only what steers connections */
	bool pending;  /* only what is restored and waits */
};
/*
 * Restore and forget the selected entries and the heirs that turn up meanwhile. Where some have turned up, there may be one more that was being
 * made just then: the entries of the processes stay as pending until a later look finds none. Heirs of a pending entry are pending too.
 */
void cb_restore_selected(struct cb_change *change, const struct cb_select *select, bool now);
/* Write "thread 12 of process 10 (nginx): " or "interrupt 38 (eth0-rx): " and @what through change->say. */
void cb_change_say(const struct cb_change *change, const struct cb_journal_entry *entry,
		   const char *what);

/* --- heirs.c, heirs_search.c --- */

/* Has @mask come to a process from @from, a journaled one: what we set there, or had set before that? */
bool cb_heirs_mask_is_ours(const struct cb_journal_entry *from, const struct cb_cpuset *mask);
/* Journal all threads of a process that are heirs of @from; late ones of that process itself follow it. Returns how many, or a negative errno of the journal. */
int cb_heirs_adopt(struct cb_writer *writer, struct cb_journal *journal, int32_t tgid,
		   const struct cb_journal_entry *from);

/*
 * Look for heirs in all of /proc: offspring of journaled processes, and orphans with our mask that are younger than the placement and
 * in the same cgroups. Returns how many threads were adopted, or a negative errno when the journal does not take them.
 */
int cb_heirs_search(struct cb_writer *writer, struct cb_journal *journal);
/* The cheap variant: living journaled processes, their threads and descendants only. */
int cb_heirs_walk(struct cb_writer *writer, struct cb_journal *journal);
/* Listen to forks from here on where that is possible; before a process is placed for the first time. */
void cb_heirs_listen(struct cb_host *host);
/* News of forks, in their order, then one call of the second to adopt what is there. */
void cb_heirs_fork(struct cb_writer *writer, struct cb_journal *journal,
		   const struct cb_fork *fork);
int cb_heirs_settle(struct cb_writer *writer, struct cb_journal *journal);
