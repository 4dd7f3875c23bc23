/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The host: the only I/O of the library. Everything under /proc and /sys is opened relative to one root directory fd
 * (openat2(RESOLVE_IN_ROOT)), so that a fixture tree is a machine. Files of the steady tick are kept open. No
 * systemd types here.
 */

#include "cpubalance/engine.h"
#include "cpubalance/err.h"
#include "cpubalance/journal.h"
#include "cpubalance/queues.h"
#include "cpubalance/selector.h"
#include "cpubalance/sources.h"

struct cb_host;

struct cb_host_options {
	const char *sysroot; /* NULL: "/" */
	bool dry_run;        /* the writer only pretends: everything is planned, journaled in memory and "done" */
	bool no_netlink;     /* do not use netlink or perf: fall-backs only; implied by a sysroot other than "/" */
};

int cb_host_open(const struct cb_host_options *options, struct cb_host **ret, struct cb_err *err) _must_check_;
struct cb_host *cb_host_close(struct cb_host *host); /* NULL is fine; returns NULL */

uint64_t cb_host_now_usec(const struct cb_host *host);      /* CLOCK_MONOTONIC */
uint64_t cb_host_realtime_usec(const struct cb_host *host); /* CLOCK_REALTIME */
const char *cb_host_boot_id(const struct cb_host *host);
const char *cb_host_kernel(const struct cb_host *host);     /* release */
uint32_t cb_host_sources(const struct cb_host *host);       /* bit per enum cb_source that this machine can give */

/* --- topology.c, irq.c: inventories, built when they change --- */

/* Reads the topology anew; generation = @generation. Caller owns the reference. */
int cb_host_topology(struct cb_host *host, uint32_t generation, struct cb_topology **ret, struct cb_err *err) _must_check_;
/*
 * Queues of all network interfaces but the loopback, for whoever steers packets. Whose they are and what we have changed is for
 * the caller to fill in. The caller frees it. Returns 0 or a negative errno.
 */
int cb_host_queues(struct cb_host *host, uint32_t generation, struct cb_queues **ret) _must_check_;
/* What the queue's knob of that entry is now. 0 or a negative errno, -ENOENT: gone. */
int cb_host_queue_now(struct cb_host *host, const struct cb_journal_entry *entry, struct cb_queue_value *ret)
	_must_check_;
/* Reads /proc/irq, names, devices of network interfaces. Caller frees with free(). */
int cb_host_irqs(struct cb_host *host, uint32_t generation, struct cb_irqs **ret, struct cb_err *err) _must_check_;

/* --- collect.c: the tick --- */

/* Make the arrays and kept descriptors fit; called after the topology, the interrupts or the workers have changed. */
int cb_host_prepare(struct cb_host *host, const struct cb_topology *topology, const struct cb_irqs *irqs,
		    struct cb_snapshot *snapshot, struct cb_err *err) _must_check_;

#define CB_COLLECT_TOPOLOGY (1u << 0) /* the set of online CPUs is not the topology's: build a new one; snapshot unusable */
#define CB_COLLECT_IRQS (1u << 1)     /* an unknown interrupt has fired: build a new inventory */

struct cb_collect_events {
	uint32_t changed; /* CB_COLLECT_* */
	uint32_t n_gone;
	uint32_t gone[CB_WORKERS_MAX]; /* keys of workers that are dead */
	uint32_t n_irq_masks; /* interrupts whose affinity is not what the inventory or the journal said; rotating re-read */
	struct { uint32_t irq; struct cb_cpuset mask; } irq_mask[16];
	uint32_t n_worker_masks; /* placed workers with a thread whose mask is neither ours nor its original's; rotating re-read */
	struct { uint32_t key; struct cb_cpuset mask; } worker_mask[16];
};

/* The blocks of memory that a tick touches, for whoever locks them; those of workers are left out. */
void cb_host_memory(const struct cb_host *host, void (*fn)(const void *block, size_t size, void *userdata),
		    void *userdata);

/*
 * From the next tick on, read what this asks for; before the first call, everything in every tick. What is not asked for is read every
 * few seconds, and absent from the snapshots in between.
 */
void cb_host_demand(struct cb_host *host, const struct cb_demand *demand);
/* Since the source was last read, UINT64_MAX when it never was. */
uint64_t cb_host_source_age_usec(const struct cb_host *host, enum cb_source source, uint64_t now_usec);
/* Bit per source that gave something when it was last tried. */
uint32_t cb_host_sources_working(const struct cb_host *host);
/* How often another CPU was interrupted to read its context switches, since the host was opened. */
uint64_t cb_host_cross_cpu_reads(const struct cb_host *host);

/*
 * All reads of one tick into @snapshot (prepared). Allocates nothing and opens nothing when nothing has changed. Absent
 * sources are absent in snapshot->valid. Returns 0 or a negative errno when not even CPU times can be had.
 */
int cb_collect(struct cb_host *host, struct cb_snapshot *snapshot, struct cb_collect_events *ret) _must_check_;

/* --- worker.c: what is watched --- */

struct cb_worker_identity {
	int32_t pid;
	int32_t tid; /* a thread of it, 0: the whole process; what follows is of the thread then */
	uint64_t start_ticks;
	char comm[CB_COMM_MAX];
	uint32_t uid;
	struct cb_cpuset mask;   /* of the main thread, now */
	struct cb_cpuset cpuset; /* what its cpuset allows (v2 cpuset.cpus.effective, v1 effective_cpus); full when unknown */
	uint64_t cpuset_is_known;
	char unit[CB_SELECTOR_TEXT_MAX]; /* service of the system that it belongs to, "" none */
};
/* -ESRCH no such process; -EPERM a kernel thread. */
int cb_host_identify(struct cb_host *host, int32_t pid, struct cb_worker_identity *ret, struct cb_err *err) _must_check_;
/* One thread of a process, by itself. */
int cb_host_identify_thread(struct cb_host *host, int32_t pid, int32_t tid, struct cb_worker_identity *ret,
			    struct cb_err *err) _must_check_;
/*
 * The command line of a process, for the user @viewer: root, or the owner of proc/PID, which is root itself where the process
 * may not be looked at. Returns the length, 0 when it has none; -ESRCH, -EACCES.
 */
ssize_t cb_host_command_line(struct cb_host *host, int32_t pid, uint32_t viewer, char *ret, size_t size) _must_check_;
/* Direct children of @pid, ascending. Returns 0, -ESRCH, -E2BIG. */
int cb_host_children(struct cb_host *host, int32_t pid, int32_t *ret_pids, size_t cap, size_t *ret_n) _must_check_;

/*
 * Start to sample a worker: opens its kept descriptors, reads its listening sockets' inodes. @pidfd is taken over (closed by unwatch; on
 * failure it stays the caller's), -1: opened here. @ret_pidfd (may be NULL) is the host's descriptor, readable when the process has ended.
 */
int cb_host_watch(struct cb_host *host, uint32_t key, uint32_t group_key, const struct cb_worker_identity *identity,
		  int pidfd, int *ret_pidfd, struct cb_err *err) _must_check_;
void cb_host_unwatch(struct cb_host *host, uint32_t key);

/* --- apply.c: the only writer --- */

/*
 * Do the steps of @decision (CB_ACTION_APPLY): for each thread of a worker, or the interrupt: journal its original, check that nobody else has
 * changed it since, write, read back. Threads are walked until a walk finds nothing to do. A step that fails stops nothing: its state says so.
 */
void cb_apply(struct cb_host *host, struct cb_journal *journal, const struct cb_engine *engine,
	      const struct cb_decision *decision, struct cb_outcome *ret);

/*
 * The plan is over: kept, or undone. From its first write until then the journal says that it is on trial, and
 * cb_undo_unjudged() of a daemon that finds it so puts the originals of all that it has placed back.
 */
void cb_apply_ended(struct cb_journal *journal, uint32_t plan_id);
/* At a start, before anything is adopted. Returns the plan that nobody has judged, 0 when there is none; @ret counts as of a release. */
uint32_t cb_undo_unjudged(struct cb_host *host, struct cb_journal *journal, struct cb_outcome *ret);

/*
 * Put back the originals of the group @name (NULL: all), heirs included; what somebody else has changed since is left alone and forgotten, and
 * counted. Interrupts that move only with their next occurrence stay in the journal as pending; call again later (cb_release_pending()).
 */
void cb_release(struct cb_host *host, struct cb_journal *journal, const char *group, struct cb_outcome *ret);
/* Finish pending restores and drop entries whose owners are gone; cheap when there are none; once per tick. Returns how many still wait. */
uint32_t cb_release_pending(struct cb_host *host, struct cb_journal *journal);

/*
 * Take all steering of connections away: it does not outlive the daemon that looks after it. At a start, and at an end that keeps the
 * placements. @ret counts as of a release.
 */
void cb_steer_detach(struct cb_host *host, struct cb_journal *journal, struct cb_outcome *ret);
/*
 * Can connections be steered from here, with the rights that this process has? @ret_shares: 0 or a negative errno of loading the
 * program; @ret_cpu: 1, 0 when this kernel does not heed the CPU of a socket, or a negative errno. Nothing is attached.
 */
void cb_steer_try(int *ret_shares, int *ret_cpu);
/* Groups that cb_release_pending() has found to have other sockets than were steered, and that have the kernel's hash again. Each once. */
uint32_t cb_steer_lost(struct cb_host *host, char ret[][CB_NAME_MAX], uint32_t cap);

/*
 * Follow children of placed tasks (proc connector where there, else a bounded scan of their process trees): each heir gets a
 * journal entry with its parent's original. Once per tick and before a release. Does nothing when the journal holds no task.
 */
void cb_heirs_update(struct cb_host *host, struct cb_journal *journal);

/* The whole of `cpubalanced --restore`: no bus, no engine. One line per entry that could not be restored through @say. */
struct cb_restore_result {
	/* entries; n_pending: of n_restored, interrupts that land elsewhere until they occur, since that was not worth waiting for */
	uint32_t n_restored, n_pending, n_gone, n_foreign, n_failed;
};
int cb_restore_offline(struct cb_host *host, const char *run_dir, void (*say)(const char *line, void *userdata),
		       void *userdata, struct cb_restore_result *ret, struct cb_err *err) _must_check_;

/* --- capture.c: a machine as a directory --- */

/*
 * Copy what is read of /proc and /sys about this machine, and nothing about its processes, below the new directory @dir, which is then good for
 * --sysroot. Returns 0, or a negative errno: -EEXIST when @dir is there already.
 */
int cb_host_capture(struct cb_host *host, const char *dir, uint32_t *ret_n_files, struct cb_err *err) _must_check_;

/* --- tasks.c: who runs on a CPU, read on request --- */

#define CB_TASKS_MAX 16384u
struct cb_task_use {
	int32_t pid, tid;
	char comm[CB_COMM_MAX];
	int32_t last_cpu;
	uint64_t start_ticks;
	uint64_t cpu_nsec; /* utime + stime so far */
	bool kernel;
};
struct cb_tasks {
	uint64_t time_usec;
	uint32_t n, cap; /* at most CB_TASKS_MAX threads are looked at */
	struct cb_task_use *task; /* ascending tid */
};
/* All threads whose last CPU is @cpu (-1: any). Reuse @tasks to take a later sample. */
int cb_host_tasks(struct cb_host *host, int32_t cpu, struct cb_tasks *tasks) _must_check_;
void cb_tasks_done(struct cb_tasks *tasks);

/* Whether a network interface has come, gone or changed since the last call; its interrupts may have been requested anew then. */
bool cb_host_links_changed(struct cb_host *host);
/*
 * After that, with a new inventory: what we set, once more, on interrupts that have a default mask again, under their old numbers and
 * names or new ones; @irqs learns their masks. Returns how many.
 */
uint32_t cb_irqs_again(struct cb_host *host, struct cb_journal *journal, struct cb_irqs *irqs);

/* --- irq_counts.c: how often on each CPU, read on request --- */

/*
 * One interrupt, by its own file: @ret[topology->n_cpu_ids], by CPU number. Returns 0, or a negative errno: -ENOENT where there is no
 * such interrupt, or no such file.
 */
int cb_host_irq_counts(struct cb_host *host, uint32_t irq, const struct cb_topology *topology,
		       uint64_t *ret) _must_check_;
/*
 * Every row of proc/interrupts, those of the architecture too, as cb_interrupts_parse() hands them over. Megabytes on a big machine: it has a
 * buffer of its own, which goes when it is done. Returns 0, what @fn has returned, or a negative errno.
 */
int cb_host_interrupts(struct cb_host *host, const struct cb_topology *topology,
		       cb_interrupts_fn fn, void *userdata) _must_check_;

/* True when a process named irqbalance runs in this pid namespace. */
bool cb_host_irqbalance_runs(struct cb_host *host);

/* --- hotplug.c: placements whose CPUs have all gone offline --- */

struct cb_journal;
/* A process (@tgid > 0), one thread of it (@tid > 0), or an interrupt. */
struct cb_stranded {
	int32_t tgid, tid;
	uint64_t start_ticks; /* of the thread, else of the process */
	uint32_t irq;
};
#define CB_STRANDED_MAX 64u
/* Once per tick, and before anything is written: end such placements, by their originals. */
void cb_hotplug_update(struct cb_host *host, struct cb_journal *journal);
/* Whether CPUs have come or gone since the last call, as of the last update; drivers may have spread their interrupts anew then. */
bool cb_host_cpus_changed(struct cb_host *host);
/* One that has ended so, and was not told of yet; false: there is none. */
bool cb_host_stranded(struct cb_host *host, struct cb_stranded *ret);

/* --- irqbalance.c: coordination, for who has opted in --- */

/*
 * Once per tick: have the running irqbalance leave these interrupts alone (ascending; none: no longer). Never waits. True while all of them
 * are banned there; else @ret_why says what stands in the way, "" when it has just not come to that yet.
 */
bool cb_irqbalance_tick(struct cb_host *host, struct cb_journal *journal, const uint32_t *irqs, uint32_t n,
			const char **ret_why);
/* Take back what the journal says, and wait for that up to @wait_msec. False: something of it is left, and in the journal. */
bool cb_irqbalance_end(struct cb_host *host, struct cb_journal *journal, uint32_t wait_msec) _must_check_;
#define CB_IRQBALANCE_END_MSEC 15000u

/* --- scout.c: workers by what they serve --- */

/*
 * @guess: it holds a socket of the group and shows no sign of serving it, but nobody else does either. @n_loops: epoll
 * descriptors of it that watch such sockets, 0 when it waits in another way; more than one is a thread each.
 */
typedef void (*cb_scout_fn)(uint32_t group_key, int32_t pid, bool guess, uint32_t n_loops, void *userdata);

/*
 * Find workers of this group from now on; an empty selector: no longer. @checks: only cb_scout_check() asks, since
 * candidates come from elsewhere. A selector without addresses means every listening TCP socket. Returns 0, -ENOMEM, -E2BIG.
 */
int cb_scout_set(struct cb_host *host, uint32_t group_key, const struct cb_selector *selector, bool checks) _must_check_;
void cb_scout_forget(struct cb_host *host, uint32_t group_key);
/*
 * Once per tick, after cb_heirs_update(); @journal may be NULL. New processes are looked at in this tick and in the next, all
 * of them, a few milliseconds' worth a tick, when sockets of a group have come or gone, and once a minute. Tells of
 * processes that are not watched for that group yet. Opens nothing when nothing has changed.
 */
void cb_scout_tick(struct cb_host *host, struct cb_journal *journal, cb_scout_fn fn, void *userdata);
/* Look at all processes now. */
void cb_scout_all(struct cb_host *host, cb_scout_fn fn, void *userdata);
/* 1: what the group's selector says holds for this process (guesses included); 0: not; or a negative errno. */
int cb_scout_check(struct cb_host *host, uint32_t group_key, int32_t pid) _must_check_;

/*
 * The threads of @pid that wait for clients at sockets of the group, each in its own epoll descriptor or in a call; at most @cap.
 * Looks for some milliseconds, since a thread shows where it waits only while it does. @ret_n_loops: epoll descriptors that watch
 * such sockets; @ret_n_unseen: of these, those that no thread was seen in. Returns 0, or -ENOENT (no such group), -ESRCH, -EPERM, -EACCES.
 */
int cb_scout_threads(struct cb_host *host, uint32_t group_key, int32_t pid, int32_t *ret_tids, size_t cap, size_t *ret_n,
		     uint32_t *ret_n_loops, uint32_t *ret_n_unseen) _must_check_;

/* Why a group has the workers that it has; of the last look at everything. */
struct cb_scout_state {
	uint32_t n_sockets;    /* that the selector names, in the namespaces that were looked at */
	uint32_t n_candidates; /* processes that the selector names, whatever they serve */
	uint32_t n_holders;    /* of these, that have such a socket */
	uint32_t n_found;      /* of these, that serve it, guesses included */
	uint32_t n_unreadable; /* processes, of any group, whose descriptors or namespace may not be read */
	bool follows;	       /* new processes are told at once (proc connector); else looked for in every tick */
};
/* False for a group without a selector. */
bool cb_scout_state(struct cb_host *host, uint32_t group_key, struct cb_scout_state *ret);

/* --- census.c: every reuseport group of the machine, read on request --- */

#define CB_CENSUS_GROUPS_MAX  1024u
#define CB_CENSUS_WORKERS_MAX 16384u
#define CB_CENSUS_NOTES_MAX   64u

/* Sockets of one network namespace that share protocol, address, port and interface: the kernel spreads clients over them. */
struct cb_census_group {
	uint64_t netns;
	bool own; /* our network namespace */
	struct cb_listen local;
	uint32_t interface; /* bound to this one alone, 0 any */
	uint32_t n_sockets;
	uint32_t n_unserved; /* that nobody was seen to serve */
	uint32_t backlog, backlog_max; /* TCP */
	uint64_t queued_bytes, queued_max_bytes; /* UDP */
	uint64_t drops;		       /* since they were opened */
	double skew_ratio; /* most connections of a worker over the mean, 0 with less than two workers or no connection */
	uint32_t first_worker, n_workers; /* of worker[] */
};

struct cb_census_worker {
	uint32_t group; /* index */
	int32_t pid;
	int32_t ppid;
	char comm[CB_COMM_MAX];
	uint32_t n_sockets;	/* that it serves; of a guess, that it holds */
	uint32_t n_loops;	/* epoll descriptors that watch them; more than one is a thread each */
	uint32_t n_threads;
	uint32_t n_connections; /* TCP, established */
	bool guess;		/* it holds sockets that nobody is seen to serve */
};

struct cb_census {
	uint32_t n_groups, n_workers, n_notes;
	struct cb_census_group *group;	 /* by namespace (ours first), protocol, port, address */
	struct cb_census_worker *worker; /* by group, pid */
	char (*note)[160];		 /* what could not be read, and why */
};

/*
 * @single: sockets that share their place with no other too. Reads the descriptors of all processes, which takes some milliseconds for
 * a thousand; gives up after @limit_usec and says so in a note. Returns 0, or a negative errno with a message. Caller frees with
 * cb_census_free().
 */
int cb_host_census(struct cb_host *host, bool single, uint64_t limit_usec, struct cb_census **ret, struct cb_err *err)
	_must_check_;
struct cb_census *cb_census_free(struct cb_census *census); /* NULL is fine; returns NULL */
