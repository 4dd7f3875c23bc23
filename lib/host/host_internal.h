/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the files of lib/host share. Everything is opened relative to root_fd, never following a
 * link out of it; each signal with kept descriptors lives in a struct of its own behind a pointer
 * here, NULL where this machine lacks it. One thread only: the daemon's.
 */

#include <dirent.h>
#include <sys/types.h>

#include "cpubalance/host.h"

struct cb_writer;
struct cb_proc_conn;
struct cb_perf;
struct cb_irq_watch;
struct cb_nic_watch;
struct cb_watch_table;
struct cb_taskstats_conn;
struct cb_diag;
struct cb_collector;
struct cb_scout;

/* Processes that set what we set. */
enum cb_process {
	CB_PROCESS_IRQBALANCE,
	CB_PROCESS_TUNED,
	CB_PROCESS_KUBELET,
	_CB_PROCESS_MAX,
};

struct cb_host {
	int root_fd;  /* O_PATH of the root directory */
	bool dry_run; /* the writer only pretends */
	bool live; /* the root is "/": system calls on processes and CPUs mean what the files say */
	bool netlink; /* netlink and perf may be used; implies live */
	bool no_openat2;
	struct cb_writer *writer; /* writer.c */
	struct cb_proc_conn
		*proc_conn; /* netlink_proc.c; NULL until needed, or where not to be had */

	uint32_t user_hz;
	uint32_t sources; /* bit per enum cb_source that has been seen to work */
	uint32_t working; /* the same, that gave something when it was last tried */
	uint64_t source_usec[_CB_SOURCE_MAX]; /* when it last gave something, 0 never */
	bool demanded;			      /* demand holds, else everything is wanted */
	struct cb_demand demand;
	char boot_id[40];
	char kernel[65];

	/*
	 * For reads; grown by inventories, cb_host_prepare(), and a tick only when a file outgrew
	 * it.
	 */
	char *buf;
	size_t buf_size;

	struct cb_collector *collector;
	struct cb_perf *perf;
	struct cb_irq_watch *irq_watch;
	struct cb_nic_watch *nic_watch; /* of the same inventory */
	struct cb_watch_table *watch;
	struct cb_taskstats_conn *taskstats;
	struct cb_netdev_conn *netdev; /* NULL where the kernel has no such family */
	struct cb_link_conn *link;     /* NULL where news of interfaces are not to be had */
	uint64_t links_usec;	       /* the last of them; 0 none */
	struct cb_diag *diag;
	struct cb_scout *scout;		     /* scout.c; NULL while nobody is to be found */
	int32_t owner_pid[_CB_PROCESS_MAX];  /* last seen, 0 none */
	int32_t owner_read[_CB_PROCESS_MAX]; /* the same, when cb_host_owners() was asked last */
	struct cb_hotplug *hotplug;	     /* NULL where there is nothing to write to */
	struct cb_irqbalance *irqbalance;    /* NULL: nobody has asked for coordination */
	int32_t pid_before,
		pid_last; /* youngest process of the look before the last, and of the last; 0 unknown */
	off_t first_at, young_at, old_at; /* where in /proc to look for them: owner_names.c */
};

/*
 * Paths below the root of one process or thread: one %d, or two (process, thread). Room for any of
 * them:
 */
#define CB_PATH_PID_MAX	      64u
#define CB_FMT_PID_FILE	      "proc/%d/%s" /* any of them */
#define CB_FMT_PID_DIR	      "proc/%d"
#define CB_FMT_PID_STAT	      "proc/%d/stat"
#define CB_FMT_PID_STATUS     "proc/%d/status"
#define CB_FMT_PID_COMM	      "proc/%d/comm"
#define CB_FMT_PID_CGROUP     "proc/%d/cgroup"
#define CB_FMT_PID_FD_DIR     "proc/%d/fd"
#define CB_FMT_PID_NS_DIR     "proc/%d/ns"
#define CB_FMT_PID_FDINFO     "proc/%d/fdinfo/%d"
#define CB_FMT_TASK_SYSCALL   "proc/%d/task/%d/syscall"
#define CB_PATH_LOADAVG	      "proc/loadavg"
#define CB_PATH_OWN_NETNS     "proc/self/ns/net"
#define CB_PATH_OWN_FD_DIR    "proc/self/fd"
#define CB_PATH_OWN_SCHEDSTAT "proc/self/schedstat"
#define CB_PATH_OWN_SNMP      "proc/self/net/snmp"
#define CB_PATH_OWN_MOUNTS    "proc/self/mountinfo"
#define CB_PATH_CGROUP_DIR    "sys/fs/cgroup"
#define CB_FMT_PID_SNMP	      "proc/%d/net/snmp"
#define CB_FMT_PID_TASK_DIR   "proc/%d/task"
#define CB_FMT_PID_CHILDREN   "proc/%d/task/%d/children"
#define CB_FMT_TASK_STAT      "proc/%d/task/%d/stat"
#define CB_FMT_TASK_STATUS    "proc/%d/task/%d/status"
#define CB_FMT_TASK_SCHEDSTAT "proc/%d/task/%d/schedstat"

/* --- owner_names.c --- */

/* Whether that one runs, by what the last cb_host_irqbalance_runs() has found. */
bool cb_host_process_runs(struct cb_host *host, enum cb_process which);

/* --- queues.c: one queue of a network interface --- */

struct cb_knob;
struct cb_queue_value;

/* Its name now: @ifname where that is still its, else it is replaced. 0, -ENOENT: gone, or another negative errno. */
int cb_host_queue_find(struct cb_host *host, uint32_t ifindex, char ifname[CB_IFNAME_MAX])
	_must_check_;
/* @ifname "": the table of the machine. */
int cb_host_queue_get(struct cb_host *host, const struct cb_knob *knob, const char *ifname,
		      uint32_t queue, struct cb_queue_value *ret) _must_check_;

/* --- host.c --- */

/*
 * Open @path (no leading slash needed) below the root, with O_CLOEXEC. Returns a descriptor or a
 * negative errno.
 */
int cb_host_openat(struct cb_host *host, const char *path, int flags) _must_check_;

/* resolve.c: the same without openat2(); @root_fd's tree must not be changed meanwhile. */
int cb_resolve_openat(int root_fd, const char *path, int flags) _must_check_;

/*
 * Read a small file whole into @buf and put a NUL behind it. Returns its length, or a negative
 * errno; -E2BIG when @size bytes do not hold the text and the NUL.
 */
ssize_t cb_host_read_file(struct cb_host *host, const char *path, char *buf, size_t size)
	_must_check_;
/*
 * The same of a kept descriptor, from its beginning. -ESRCH may come from files of a process that
 * has ended.
 */
ssize_t cb_host_pread_all(int fd, char *buf, size_t size) _must_check_;
/*
 * With one pread(), for files that are one record: proc/stat, proc/softirqs, those of a process.
 * Same errors.
 */
ssize_t cb_host_pread_once(int fd, char *buf, size_t size) _must_check_;
/* Make host->buf hold @size bytes; its contents are kept. Returns 0, -ENOMEM or -E2BIG. */
int cb_host_grow(struct cb_host *host, size_t size) _must_check_;
/* The whole of a file of any size into host->buf, growing it. For inventories and prepare only. */
ssize_t cb_host_read_big(struct cb_host *host, const char *path) _must_check_;
ssize_t cb_host_read_big_fd(struct cb_host *host, int fd) _must_check_;

/* "cpu12" with the prefix "cpu" is 12. Returns 0, -EINVAL, -ERANGE beyond an int32_t. */
int cb_number_of(const char *name, const char *prefix, int32_t *ret) _must_check_;

/* Open a directory for readdir(). Returns 0 or a negative errno. */
int cb_host_opendir(struct cb_host *host, const char *path, DIR **ret) _must_check_;
/*
 * The entries of a directory whose name is @prefix and a decimal number ("" for plain numbers, as
 * in proc), ascending. Caller frees *@ret_numbers. Returns 0 or a negative errno.
 */
int cb_host_list_numbers(struct cb_host *host, const char *dir, const char *prefix,
			 int32_t **ret_numbers, size_t *ret_n) _must_check_;
void cb_closep(int *fd);
void cb_closedirp(DIR **dir);
#define _cleanup_close_	   _cleanup_(cb_closep)
#define _cleanup_closedir_ _cleanup_(cb_closedirp)
#define _cleanup_free_	   _cleanup_(cb_freep)
void cb_freep(void *pointer);
