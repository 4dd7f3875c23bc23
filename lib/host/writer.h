/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The writer: the one driver through which apply, release, heirs and restore see and change the machine. The real one uses
 * system calls and files below the root; the dry one reads the same and remembers what it pretends to have written;
 * tests have one whose machine is a table. All operations answer 0 or a negative errno, -ESRCH for a thread or process that is
 * gone and -ENOENT for an interrupt that is. Outputs are untouched on failure.
 */

#include "cpubalance/cpuset.h"
#include "cpubalance/irqs.h"
#include "cpubalance/journal.h"
#include "cpubalance/queues.h"
#include "cpubalance/sources.h"

struct cb_heirs;
struct cb_steer;
struct cb_steer_set;
struct cb_steer_socket;
struct cb_host;
struct cb_proc_conn;
struct cb_writer;

/* A queue of a network interface; all 0 and "": the table of the machine. */
struct cb_queue_id {
	uint32_t ifindex, queue;
	char ifname[CB_IFNAME_MAX];
};

struct cb_writer_ops {
	const char *name;
	bool pretends; /* nothing is inherited from what was only pretended */

	/* Numbers, ascending, that the caller frees. */
	int (*process_list)(struct cb_writer *writer, int32_t **ret_tgids, size_t *ret_n);
	int (*task_list)(struct cb_writer *writer, int32_t tgid, int32_t **ret_tids, size_t *ret_n);
	/* Direct children of all threads of @tgid. */
	int (*children)(struct cb_writer *writer, int32_t tgid, int32_t **ret_tgids, size_t *ret_n);

	int (*task_stat)(struct cb_writer *writer, int32_t tgid, int32_t tid,
			 struct cb_task_stat *ret);
	/* The whole mask of the thread, CPUs that are offline included. */
	int (*task_get)(struct cb_writer *writer, int32_t tgid, int32_t tid, struct cb_cpuset *ret);
	int (*task_set)(struct cb_writer *writer, int32_t tid, const struct cb_cpuset *mask);
	/* What the cpuset of the process allows; -ENODATA where that cannot be known. */
	int (*cpuset)(struct cb_writer *writer, int32_t tgid, struct cb_cpuset *ret);
	/* A number for the cgroups that the process is in, in all hierarchies. */
	int (*cgroup_id)(struct cb_writer *writer, int32_t tgid, uint64_t *ret);

	int (*irq_identity)(struct cb_writer *writer, uint32_t irq, uint64_t *ret_hwirq,
			    char ret_actions[CB_IRQ_NAME_MAX]);
	int (*irq_get)(struct cb_writer *writer, uint32_t irq, struct cb_cpuset *ret);
	int (*irq_set)(struct cb_writer *writer, uint32_t irq, const struct cb_cpuset *mask);
	/* Where it really lands; -ENODATA where that cannot be known. */
	int (*irq_effective)(struct cb_writer *writer, uint32_t irq, struct cb_cpuset *ret);
	/* Where its driver wants it; -ENODATA where it does not say. */
	int (*irq_hint)(struct cb_writer *writer, uint32_t irq, struct cb_cpuset *ret);

	/* Steering, see steer.h for what each returns. */
	int (*steer_resolve)(struct cb_writer *writer, struct cb_steer_set *set,
			     enum cb_reject *ret_why);
	bool (*heeds_cpu)(struct cb_writer *writer);
	int (*socket_find)(struct cb_writer *writer, const struct cb_journal_entry *entry,
			   struct cb_steer_socket *ret);
	/* -1: none. */
	int (*socket_get_cpu)(struct cb_writer *writer, const struct cb_steer_socket *socket,
			      int32_t *ret);
	int (*socket_set_cpu)(struct cb_writer *writer, const struct cb_steer_socket *socket,
			      int32_t cpu);
	int (*shares_set)(struct cb_writer *writer, const struct cb_steer_set *set, uint32_t place,
			  enum cb_reject *ret_why);
	int (*shares_clear)(struct cb_writer *writer, const struct cb_journal_entry *entry);
	int (*steer_same)(struct cb_writer *writer, const struct cb_journal_entry *entry);

	/* The interface's name now, whatever it was called before; -ENOENT when it is gone. Not for the table of the machine, ifindex 0. */
	int (*queue_find)(struct cb_writer *writer, struct cb_queue_id *queue);
	int (*queue_get)(struct cb_writer *writer, const struct cb_knob *knob,
			 const struct cb_queue_id *queue, struct cb_queue_value *ret);
	int (*queue_set)(struct cb_writer *writer, const struct cb_knob *knob,
			 const struct cb_queue_id *queue, const struct cb_queue_value *value);

	int (*online)(struct cb_writer *writer, struct cb_cpuset *ret);
	/* Time since boot in the unit of start times. */
	uint64_t (*now_ticks)(struct cb_writer *writer);
	uint64_t (*ticks_per_sec)(struct cb_writer *writer);
	void (*sleep_msec)(struct cb_writer *writer, uint32_t msec);
	/* The state of the writer itself. */
	void (*free)(struct cb_writer *writer);
};

/* Interrupts whose restore waits for their next occurrence, and since when. */
#define CB_WRITER_WAITS_MAX 64u
struct cb_writer_wait {
	uint32_t irq;
	uint64_t since_ticks;
};

enum cb_heeds {
	CB_HEEDS_UNKNOWN,
	CB_HEEDS_NO,
	CB_HEEDS_YES,
};

struct cb_writer {
	const struct cb_writer_ops *ops;
	struct cb_heirs *heirs; /* what heirs.c remembers between calls; NULL before the first */
	uint32_t n_waits;
	struct cb_writer_wait wait[CB_WRITER_WAITS_MAX];
	struct cb_steer *steer; /* what steer_bpf.c has attached; NULL before the first */
	enum cb_heeds heeds;	/* the outcome of the self-test */
	uint64_t sockets_print; /* of the listening sockets when steering was looked after last */
	uint32_t n_lost;
	char lost[CB_GROUPS_MAX][CB_NAME_MAX]; /* groups that were found not to be steered any more */
	uint32_t rotation; /* next journal entry that cb_release_pending() looks at */
};

/*
 * The writer of @host: the real one, or the dry one with a dry run and where the root is not "/": pids of a fixture
 * are not pids of this machine. NULL without memory.
 */
struct cb_writer *cb_writer_new(struct cb_host *host) _must_check_;
struct cb_writer *cb_writer_free(struct cb_writer *writer); /* NULL is fine; returns NULL */

/* --- heirs.c --- */

struct cb_heirs *cb_heirs_free(struct cb_heirs *heirs);

/* --- netlink_proc.c: news of forks --- */

/* One fork. A new thread: child_tid != child_tgid. parent_*: the real parent, which of a thread is its process's parent. */
struct cb_fork {
	int32_t parent_tgid;
	int32_t child_tid, child_tgid;
};

/* -EOPNOTSUPP, -EPERM or what else stands in the way. Caller frees. */
int cb_proc_conn_open(struct cb_proc_conn **ret) _must_check_;
struct cb_proc_conn *cb_proc_conn_free(struct cb_proc_conn *conn); /* NULL is fine; returns NULL */
/* Hand on every fork that is known by now. Returns 0, or -ENOBUFS when some were lost, or another negative errno: useless by now. */
int cb_proc_conn_drain(struct cb_proc_conn *conn,
		       void (*fork)(const struct cb_fork *fork, void *userdata), void *userdata)
	_must_check_;

/* --- scout.c: who else hears of forks --- */

void cb_scout_fork(struct cb_host *host, const struct cb_fork *fork);
void cb_scout_lost(struct cb_host *host); /* some were lost */
