/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The journal of originals, /run/cpubalanced/journal: for each knob that we have turned, who it is, what it was and what
 * we set, written and flushed before the knob is turned. Text, one record a line, each with its own checksum; appended,
 * and compacted by an atomic rename. A record goes when its original is back or its owner and heirs are gone. Masks die at a
 * reboot, so the boot id is in the header and a journal of another boot is set aside.
 */

#include <sys/types.h>

#include "cpubalance/err.h"
#include "cpubalance/irqs.h"
#include "cpubalance/knob.h"

#define CB_JOURNAL_VERSION 1
#define CB_JOURNAL_ENTRIES_MAX 65536u

struct cb_journal_entry {
	enum cb_knob_id knob;
	/*
	 * identity: a thread by tid + start time, an interrupt by number + hwirq + actions, a socket by cookie, the sockets of one
	 * address by namespace + address + interface, a queue by interface + number
	 */
	int32_t tid, tgid;          /* TASK_AFFINITY */
	uint64_t start_ticks;       /* of the thread */
	uint64_t tgid_start_ticks;  /* of its process */
	bool alone;                 /* placed as a thread: the others of its process are no concern of this entry */
	bool heir;                  /* inherited our mask from its maker, whose original it has */
	int32_t root_tgid;          /* of an heir: the process (or thread) that was placed, whose offspring it is; else 0 */
	uint64_t root_start_ticks;
	uint64_t placed_ticks;      /* clock ticks since boot when its process was first placed: who is younger may be an heir */
	uint64_t cgroup_id;         /* hash of its process's cgroups then; 0 unknown. Evidence for heirs whose parent is gone */
	uint32_t irq;               /* IRQ_AFFINITY */
	uint64_t hwirq;
	char actions[CB_IRQ_NAME_MAX];
	int32_t original_effective_cpu; /* where the interrupt landed before, -1 unknown */
	uint64_t cookie;            /* INCOMING_CPU: of the socket; tgid is who served it when it was set */
	uint32_t inode;             /* of the socket */
	uint64_t netns;             /* INCOMING_CPU and REUSEPORT_WEIGHTS: inode of the network namespace */
	struct cb_listen local;     /* REUSEPORT_WEIGHTS: the address whose sockets have the program */
	uint32_t interface;         /* that they are bound to, 0 none; of a queue, whose it is, 0: RPS_FLOWS of the machine */
	uint32_t queue;             /* RPS_CPUS, RPS_FLOWS, XPS_CPUS */
	char ifname[CB_IFNAME_MAX]; /* as it was called when it was set */
	struct {
		uint32_t original, set, was;
	} flows;                    /* RPS_FLOWS, in place of the masks */
	char group[CB_NAME_MAX];    /* "" none */
	uint32_t plan_id;           /* that set it last */
	/* of INCOMING_CPU one CPU, or none; of a queue any, or none; of REUSEPORT_WEIGHTS nothing, since before there was no program */
	struct cb_cpuset original;
	struct cb_cpuset set;       /* what we set last */
	struct cb_cpuset was;       /* what we had set before that, empty for nothing: a crash between journal and write leaves it */
	bool pending;               /* restored, but: an interrupt has to occur, a process to show no more late offspring */
};

struct cb_journal;

/*
 * Open or create DIR/journal below @run_dir (mode 0700 / 0600), load what is valid. A torn last line is cut off; a file that is foreign,
 * garbage, of a newer version or another boot is renamed to journal.set-aside.N and named in journal_state(). With damage in the
 * middle, what is valid is kept and the file as it was is set aside too. @run_dir NULL: in memory only, for a dry run.
 * Returns 0 or a negative errno with a message (read-only, full, locked by another daemon: -EBUSY).
 */
int cb_journal_open(const char *run_dir, const char *boot_id, struct cb_journal **ret, struct cb_err *err) _must_check_;
struct cb_journal *cb_journal_close(struct cb_journal *journal); /* NULL is fine; returns NULL; keeps the file */

/* Insert or replace the entry of the same identity; on disk when it returns 0. Nothing changes on failure. */
int cb_journal_put(struct cb_journal *journal, const struct cb_journal_entry *entry, struct cb_err *err) _must_check_;
/* Forget the entry of that identity. -ENOENT when there is none. */
int cb_journal_drop(struct cb_journal *journal, const struct cb_journal_entry *identity, struct cb_err *err) _must_check_;

/* Entries in no particular order. Pointers are valid, and indices the same, until the next put or drop; a put only appends. */
uint32_t cb_journal_count(const struct cb_journal *journal);
const struct cb_journal_entry *cb_journal_at(const struct cb_journal *journal, uint32_t index);
const struct cb_journal_entry *cb_journal_find_task(const struct cb_journal *journal, int32_t tid, uint64_t start_ticks);
const struct cb_journal_entry *cb_journal_find_irq(const struct cb_journal *journal, uint32_t irq, uint64_t hwirq,
						   const char *actions);
const struct cb_journal_entry *cb_journal_find(const struct cb_journal *journal, const struct cb_journal_entry *identity);
/* "ok", or one sentence: what was set aside, or why writing fails. */
const char *cb_journal_state(const struct cb_journal *journal);
bool cb_journal_healthy(const struct cb_journal *journal);

/* Longest line that cb_journal_line_format() makes, with its NUL: three masks and the rest. */
#define CB_JOURNAL_LINE_MAX (3u * CB_CPULIST_MAX + 1024u)
/* The pure half, for tests and fuzzing: one line without its newline <-> entry. -EBADMSG, with a message naming the field. */
int cb_journal_line_parse(const char *line, size_t len, struct cb_journal_entry *ret, bool *ret_drop,
			  struct cb_err *err) _must_check_;
/* Returns the length, or -ENOSPC. @drop: a record that forgets the entry of that identity. */
int cb_journal_line_format(const struct cb_journal_entry *entry, bool drop, char *buf, size_t size);
