/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The pieces of a tick, each with the descriptors it keeps. A piece is set up by cb_host_prepare()
 * or cb_host_watch(), read by cb_collect() without opening or allocating anything, and may be
 * absent: a NULL piece reads as absent.
 */

#include "host_internal.h"

/*
 * collect.c: what cb_host_open() and cb_host_close() need; done() also takes down every other
 * piece.
 */
int cb_collector_init(struct cb_host *host) _must_check_;
void cb_collector_done(struct cb_host *host);

/* --- perf.c: context switches per CPU --- */

/* Count on the CPUs of @cpus. NULL where perf events are not to be had. */
struct cb_perf *cb_perf_new(const struct cb_cpuset *cpus);
struct cb_perf *cb_perf_free(struct cb_perf *perf);
/* Fill ctxsw of the CPUs that are this tick's turn; @demand NULL: of any. Returns how many were read. */
uint32_t cb_perf_collect(struct cb_perf *perf, const struct cb_demand *demand,
			 struct cb_snapshot *snapshot);

/* --- irq_watch.c: where interrupts land, and who has changed their masks --- */

struct cb_irq_watch *cb_irq_watch_new(struct cb_host *host, const struct cb_irqs *irqs,
				      uint64_t now_usec) _must_check_;
struct cb_irq_watch *cb_irq_watch_free(struct cb_irq_watch *watch);
void cb_irq_watch_memory(const struct cb_irq_watch *watch,
			 void (*fn)(const void *block, size_t size, void *userdata),
			 void *userdata);
bool cb_irq_watch_fits(const struct cb_irq_watch *watch, const struct cb_irqs *irqs);
/* True when the set of interrupt numbers is that of @irqs. */
bool cb_irq_watch_same_set(const struct cb_irq_watch *watch, const struct cb_irqs *irqs);
/* Fill irq[].irq, all that is not counted by /proc/stat. */
void cb_irq_watch_fill(const struct cb_irq_watch *watch, struct cb_snapshot *snapshot);
/*
 * Re-read those whose turn it is; changed masks go to @events. True when something was read or
 * nothing had to be.
 */
bool cb_irq_watch_collect(struct cb_irq_watch *watch, struct cb_host *host, uint64_t now_usec,
			  struct cb_snapshot *snapshot, struct cb_collect_events *events);

/* --- nic_watch.c: packets that the interfaces of interrupts have received --- */

/* Opens what it reads. Returns NULL without memory. */
struct cb_nic_watch *cb_nic_watch_new(struct cb_host *host, const struct cb_irqs *irqs)
	_must_check_;
struct cb_nic_watch *cb_nic_watch_free(struct cb_nic_watch *watch);
/* Fill irq[].device_packets. True when something was read or nothing had to be. */
bool cb_nic_watch_collect(struct cb_nic_watch *watch, struct cb_host *host,
			  struct cb_snapshot *snapshot);
/* Not this time: what the last one has left in the snapshot goes. */
void cb_nic_watch_skip(struct cb_nic_watch *watch, struct cb_snapshot *snapshot);

/* --- netlink.c: what every netlink socket here has in common --- */

/*
 * One datagram, without waiting; only those of the kernel, since any privileged process may send to a netlink socket, and such
 * are passed over. Returns its length, or a negative errno: -EAGAIN for none, -ENOBUFS when some were lost.
 */
ssize_t cb_netlink_recv(int fd, void *buf, size_t size);
/*
 * Take all that is there and throw it away. A dump that was given up goes on as long as it is read, and until then the kernel
 * refuses the next one (EBUSY), or has no room for it.
 */
void cb_netlink_drain(int fd, void *buf, size_t size);

/* --- netlink_taskstats.c --- */

/* Returns NULL where the family is missing or not allowed. */
struct cb_taskstats_conn *cb_taskstats_conn_new(void);
struct cb_taskstats_conn *cb_taskstats_conn_free(struct cb_taskstats_conn *conn);
#define CB_TASKSTATS_BATCH 32u
struct cb_taskstats_answer {
	int32_t pid; /* in */
	bool thread; /* in: pid is that of a thread, which is asked for alone */
	int r;	     /* 0, or a negative errno: -ESRCH, -EAGAIN when no answer came */
	struct cb_taskstats stats;
};
/* One request and one answer for each of @n <= CB_TASKSTATS_BATCH processes; never waits. */
void cb_taskstats_conn_get(struct cb_taskstats_conn *conn, struct cb_taskstats_answer *answers,
			   size_t n);

/* --- netlink_diag.c: sockets of a network namespace --- */

enum cb_diag_what {
	CB_DIAG_LISTENERS,   /* TCP */
	CB_DIAG_DATAGRAMS,   /* UDP without a peer */
	CB_DIAG_CONNECTIONS, /* TCP, established; without queues */
};

/*
 * A socket in the network namespace of the process behind @pidfd, or in our own with -1. Returns 0
 * or a negative errno; ends the program when our own namespace cannot be entered again, since
 * everything after that would look at the wrong one.
 */
int cb_diag_new(struct cb_host *host, int pidfd, struct cb_diag **ret) _must_check_;
struct cb_diag *cb_diag_free(struct cb_diag *diag);
typedef void (*cb_diag_fn)(const struct cb_socket *socket, void *userdata);
/* IPv4, then IPv6. Returns 0 when the dump was complete. Never waits, allocates nothing. */
int cb_diag_dump(struct cb_diag *diag, enum cb_diag_what what, cb_diag_fn fn, void *userdata)
	_must_check_;

/* --- netlink_netdev.c: queues of network interfaces --- */

/* NULL where the family is missing. */
struct cb_netdev_conn *cb_netdev_conn_new(void);
struct cb_netdev_conn *cb_netdev_conn_free(struct cb_netdev_conn *conn);
/* Fill queues, and interfaces that are not known yet, of @irqs, and remember which queue is whose. @conn may be NULL. */
void cb_netdev_conn_map(struct cb_netdev_conn *conn, struct cb_irqs *irqs);
/* Too many ticks without an answer: to be opened anew. */
bool cb_netdev_conn_failed(const struct cb_netdev_conn *conn);
/* Every few seconds fill packets of irq[], where the drivers count them. True when some were. Allocates nothing. */
bool cb_netdev_conn_collect(struct cb_netdev_conn *conn, uint64_t now_usec,
			    struct cb_snapshot *snapshot);

/* --- netlink_link.c: news of network interfaces --- */

struct cb_link_conn *cb_link_conn_new(void); /* NULL where they cannot be had */
struct cb_link_conn *cb_link_conn_free(struct cb_link_conn *conn);
/* Whether one has come, gone or changed since the last call, or may have. Never waits; @conn may be NULL. */
bool cb_link_conn_news(struct cb_link_conn *conn);

/* --- threads.c: the threads of one process, by /proc --- */

/*
 * The most threads that are summed one by one; of a process with more only its total CPU time is
 * known.
 */
#define CB_THREADS_MAX 256u
struct cb_threads {
	int dir_fd;	   /* proc/PID/task */
	bool coarse;	   /* too many threads, or no schedstat here */
	uint32_t n_walked; /* threads that the process had at the last walk */
	uint32_t n, cap;
	struct cb_thread *thread;
	struct cb_taskstats exited; /* sums of the threads that are gone */
};
/* The sums over all threads. Returns what is in @ret: CB_WORKER_HAS_*, 0 for nothing. */
uint32_t cb_threads_collect(struct cb_threads *threads, struct cb_host *host, int32_t pid,
			    uint32_t n_threads, struct cb_taskstats *ret);
void cb_threads_done(struct cb_threads *threads);
/* The mask of one thread: by system call on a live machine, else from its file. */
int cb_thread_mask(struct cb_host *host, int32_t pid, int32_t tid, struct cb_cpuset *ret)
	_must_check_;
/* The first mask of a thread that is not @mask. -ENOENT when all are @mask. */
int cb_threads_odd_mask(struct cb_threads *threads, struct cb_host *host, int32_t pid,
			const struct cb_cpuset *mask, struct cb_cpuset *ret) _must_check_;
/*
 * Plain numbers in a kept directory descriptor, in its order; at most @cap. Allocates nothing.
 * Returns 0 or a negative errno.
 */
int cb_dir_numbers(int dir_fd, int32_t *ret, size_t cap, size_t *ret_n) _must_check_;

/* --- worker.c, group.c: what is watched --- */

struct cb_netns;

#define CB_LISTENERS_MAX 256u /* of one worker */
struct cb_own_listener {
	uint32_t inode;
	bool serves; /* it was seen to wait for clients there; a master only holds them */
};

/* What cannot change while no thread of a worker runs, and what says that one did. */
struct cb_watch_sample {
	uint32_t present; /* CB_WORKER_HAS_* */
	uint32_t n_threads, n_fds;
	int32_t last_cpu;
	char state;
	uint64_t system_ticks;
	uint64_t cpu_nsec, wait_nsec, vol_switches, invol_switches;
};

struct cb_watch {
	uint32_t key, group_key;
	int32_t pid;
	int32_t tid; /* the one thread of it that is watched, 0: all of them */
	uint64_t start_ticks;
	int pidfd;     /* of the process, -1 where there is none */
	int stat_fd;   /* proc/PID/stat, or that of the thread */
	int fd_dir;    /* proc/PID/fd, -1 unknown */
	bool fd_lists; /* fd_dir may be listed, not only counted */
	bool gone;
	bool seen; /* last says what there is, and nothing of it is older than its last run */
	struct cb_watch_sample last;
	bool scan;		   /* its listening sockets are to be looked up again */
	uint64_t walk_usec;	   /* when the masks of its threads are compared next */
	struct cb_cpuset mask;	   /* of the main thread, last seen */
	struct cb_cpuset odd_mask; /* of another thread, last seen; empty: all as the main thread */
	struct cb_threads threads;
	struct cb_netns *netns;
	uint32_t n_listeners;
	struct cb_own_listener *listener; /* its listening sockets, ascending inode */
	uint32_t looks;			  /* at who serves them, since they changed */
};

#define CB_NOBODY UINT32_MAX
struct cb_listener_ref {
	uint32_t inode;
	uint32_t group;	 /* index */
	uint32_t worker; /* index of who alone serves it, or CB_NOBODY */
	bool serves;	 /* while they are collected */
};

struct cb_watch_group {
	uint32_t key;
	uint32_t n_workers;
	uint64_t packets; /* growth in all namespaces of its workers since they are watched */
};

struct cb_watch_table {
	uint32_t n;
	struct cb_watch *watch[CB_WORKERS_MAX]; /* ascending key */
	uint32_t n_groups;
	struct cb_watch_group group[CB_GROUPS_MAX]; /* ascending key */
	bool fallback;		/* taskstats was there and has failed for good */
	uint32_t failures;	/* ticks in a row without any answer of taskstats */
	struct cb_netns *netns; /* list */
	bool dirty;		/* what groups have of namespaces and listeners has changed */
	uint32_t rotate;	/* index of the worker whose sockets are looked up next */
	uint64_t rotate_usec;
	uint32_t n_refs, cap_refs;
	struct cb_listener_ref *ref; /* ascending inode, group */
};

struct cb_watch_table *cb_watch_table_free(struct cb_host *host, struct cb_watch_table *table);
/* worker[], and those that are gone or whose masks have changed. */
void cb_watch_collect(struct cb_host *host, uint64_t now_usec, struct cb_snapshot *snapshot,
		      struct cb_collect_events *events);

/*
 * Find or make the namespace of @watch. Returns 0 or -ENOMEM; a namespace that cannot be read is
 * absent, not an error.
 */
int cb_netns_join(struct cb_host *host, struct cb_watch *watch) _must_check_;
void cb_netns_leave(struct cb_host *host, struct cb_watch *watch);
/* Whether the Listen= of a group names this UDP socket; NULL: any at all. */
bool cb_scout_names_datagrams(const struct cb_host *host, const struct cb_socket *socket);
/* Look up the listening sockets of a new worker. */
void cb_netns_scan(struct cb_host *host, struct cb_watch *watch);
/* group[] */
void cb_group_collect(struct cb_host *host, uint64_t now_usec, struct cb_snapshot *snapshot);
uint32_t cb_group_index(const struct cb_watch_table *table,
			uint32_t key); /* n_groups when there is none */
/* A number for all sets of listening sockets that were dumped; another one when any has changed. @table may be NULL. */
uint64_t cb_group_sockets_print(const struct cb_watch_table *table);
/* The inode of a descriptor that is a socket, by its link in proc/PID/fd. */
bool cb_socket_inode(int dir_fd, int32_t number, uint32_t *ret);

/* --- scout.c --- */

void cb_scout_free(struct cb_host *host);
