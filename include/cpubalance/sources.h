/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The parsers of lib/sources: one file per signal = where it lives (a path below the root directory, without a leading
 * slash) + parse(buf, len). Pure: no I/O, no state, no allocation; they tolerate unknown trailing fields and rows, reject
 * overflow and duplicates, and leave outputs untouched on failure unless said otherwise. All return 0 or a negative
 * errno: -EBADMSG malformed, -ERANGE a number too big for us, -E2BIG more rows than there is room for.
 *
 * The files that the kernel writes as lines are taken whole: without the last newline they are cut short, and -EBADMSG.
 * Those that fill a snapshot write into it as they go: after a failure no CPU has the source's presence bit, and what the
 * bit stands for is undefined.
 */

#include "cpubalance/irqs.h"
#include "cpubalance/selector.h"
#include "cpubalance/snapshot.h"

/* --- stat.c: proc/stat --- */
#define CB_PATH_STAT "proc/stat"
/*
 * Fills cpu[] (by CPU number; rows that are absent keep present without CB_CPU_HAS_TIMES), ctxt, intr_total, procs_*, and the
 * counts of snapshot->irq[] (already holding the interrupt numbers, ascending) from the intr line.
 * @ret_online: the CPUs that have a row, those beyond n_cpus too, which are not filled in.
 * @ret_irq_news: an interrupt with a count that is not in irq[] was seen.
 */
int cb_stat_parse(const char *buf, size_t len, struct cb_snapshot *snapshot, struct cb_cpuset *ret_online,
		  bool *ret_irq_news) _must_check_;

/* --- softirqs.c: proc/softirqs --- */
#define CB_PATH_SOFTIRQS "proc/softirqs"
/* Header columns give the CPU numbers (possible CPUs); unknown rows are passed over, missing rows are 0. */
int cb_softirqs_parse(const char *buf, size_t len, struct cb_snapshot *snapshot) _must_check_;

/* --- packets that an interface has received, one number; sysfs.c reads it --- */
#define CB_FMT_NIC_PACKETS "sys/class/net/%s/statistics/rx_packets"

/* --- softnet.c: proc/net/softnet_stat --- */
#define CB_PATH_SOFTNET "proc/net/softnet_stat"
/* Hex columns; CPU number in column 13 where present, else rows are the CPUs of @online in order, one each. */
int cb_softnet_parse(const char *buf, size_t len, const struct cb_cpuset *online, struct cb_snapshot *snapshot) _must_check_;

/* --- interrupts.c: proc/interrupts, read on request only --- */
#define CB_PATH_INTERRUPTS "proc/interrupts"
struct cb_interrupts_row {
	char name[16];   /* "38", "LOC" */
	int32_t irq;     /* -1 for the architecture's own rows */
	uint64_t total;  /* over all CPUs */
	/* an interrupt's actions, "virtio2-input.0"; an architecture row's meaning, "Local timer interrupts"; "" for none; shortened */
	char actions[CB_IRQ_NAME_MAX];
};
typedef int (*cb_interrupts_fn)(const struct cb_interrupts_row *row, const uint64_t *per_cpu, uint32_t n_cpus,
				const uint32_t *cpu_ids, void *userdata);
/*
 * Calls @fn for every row; a non-zero answer ends the parse and is returned. @per_cpu and @cpu_ids are scratch of @cap
 * entries each, provided by the caller: the columns in the order of the header line. A row that has one count for the
 * whole machine ("ERR:") is handed over with @n_cpus 0 and its total.
 */
int cb_interrupts_parse(const char *buf, size_t len, uint64_t *per_cpu, uint32_t *cpu_ids, uint32_t cap,
			cb_interrupts_fn fn, void *userdata) _must_check_;

/* --- task.c: proc/PID/stat, proc/PID/task/TID/{schedstat,status} --- */
struct cb_task_stat {
	int32_t pid;
	char comm[16];
	char state;      /* 'R', 'S', 'Z', ... */
	int32_t ppid;
	uint64_t utime_ticks, stime_ticks;
	uint32_t n_threads;
	uint64_t start_ticks; /* since boot */
	int32_t last_cpu;
	uint32_t flags; /* PF_*: PF_KTHREAD 0x00200000, PF_NO_SETAFFINITY 0x04000000 */
};
int cb_task_stat_parse(const char *buf, size_t len, struct cb_task_stat *ret) _must_check_; /* comm may hold ')' and blanks */
struct cb_schedstat {
	uint64_t cpu_nsec, wait_nsec, timeslices;
};
int cb_schedstat_parse(const char *buf, size_t len, struct cb_schedstat *ret) _must_check_;
struct cb_task_status {
	int32_t tgid, ppid;
	uint32_t uid; /* real */
	uint32_t n_threads;
	uint64_t vol_switches, invol_switches;
	struct cb_cpuset allowed; /* Cpus_allowed_list */
};
int cb_task_status_parse(const char *buf, size_t len, struct cb_task_status *ret) _must_check_;

/* --- net.c: proc/PID/net/snmp --- */
/* TCP segments in and out, UDP datagrams in and out, summed; rows are found by their header line. */
int cb_snmp_parse(const char *buf, size_t len, uint64_t *ret_packets) _must_check_;

/* --- sysfs.c: small sysfs and proc files --- */
#define CB_PATH_CPU_ONLINE "sys/devices/system/cpu/online"
#define CB_PATH_CPU_POSSIBLE "sys/devices/system/cpu/possible"
#define CB_PATH_CPU_ISOLATED "sys/devices/system/cpu/isolated"
#define CB_PATH_CPUSET_ISOLATED "sys/fs/cgroup/cpuset.cpus.isolated"
#define CB_PATH_CPU_NOHZ_FULL "sys/devices/system/cpu/nohz_full"
#define CB_PATH_CPU_DIR "sys/devices/system/cpu" /* cpuN/topology/{thread_siblings_list,core_cpus_list,physical_package_id}, cpuN/cpu_capacity, cpuN/cache/indexI/{level,shared_cpu_list} */
#define CB_PATH_NODE_DIR "sys/devices/system/node" /* nodeN/cpulist */
#define CB_PATH_IRQ_DIR "proc/irq" /* N/{smp_affinity_list,effective_affinity_list} */
#define CB_PATH_SYS_IRQ_DIR "sys/kernel/irq" /* N/{actions,hwirq} */
#define CB_PATH_NET_DIR "sys/class/net" /* IF/device -> .../msi_irqs */
#define CB_PATH_PROC_DIR "proc"
#define CB_PATH_BOOT_ID "proc/sys/kernel/random/boot_id"
#define CB_PATH_BOOT_ID_OF_INIT "/proc/1/root/" CB_PATH_BOOT_ID /* absolute: a link that openat2() does not follow below a root */
#define CB_PATH_OSRELEASE "proc/sys/kernel/osrelease"
/* The distances of a node: decimal numbers, blanks between them. @ret[max] holds the first ones; beyond UINT32_MAX is -ERANGE. */
int cb_sysfs_distances_parse(const char *buf, size_t len, uint32_t *ret, size_t max, size_t *ret_n)
	_must_check_;
/*
 * sys/kernel/irq/N/per_cpu_count: one number for each possible CPU, commas between them. @ret[n_cpus], by CPU number; 0 where
 * there is none. Writes to it on failure too.
 */
int cb_sysfs_counts_parse(const char *buf, size_t len, const struct cb_cpuset *possible,
			  uint64_t *ret, uint32_t n_cpus) _must_check_;
int cb_sysfs_i64_parse(const char *buf, size_t len, int64_t *ret) _must_check_; /* one decimal number, a newline, a NUL */
/* One line of text without its newline; control characters become '?'; shortened to @size. Returns its length. */
size_t cb_sysfs_text_parse(const char *buf, size_t len, char *ret, size_t size);
/* "nohz_full" may read "(null)": the empty set. */
int cb_sysfs_cpulist_parse(const char *buf, size_t len, struct cb_cpuset *ret) _must_check_;

/* --- cgroup.c: proc/PID/cgroup --- */
/* The path in the cgroup-2 hierarchy ("0::") or, with @controller, in that v1 hierarchy. -ENOENT when there is none, -E2BIG beyond @size. */
int cb_cgroup_parse(const char *buf, size_t len, const char *controller, char *ret, size_t size) _must_check_;

/* --- gauge.c: what the command of ServiceMetric= has printed --- */
/* Returns 0; -EBADMSG for what is not one decimal number, -ERANGE for one that is too big or too small. */
int cb_gauge_parse(const char *buf, size_t len, double *ret) _must_check_;

/* --- irqbalance.c: which interrupts irqbalance leaves alone --- */
/* Each once, in its order. Returns 0, -EBADMSG, or -E2BIG for more than @cap. @ret_irqs is undefined on failure. */
int cb_irqbalance_parse(const char *buf, size_t len, uint32_t *ret_irqs, size_t cap, size_t *ret_n) _must_check_;

/* --- uevent.c: CPUs that go offline and come back, in the kernel's own words --- */
int cb_uevent_parse(const char *buf, size_t len, uint32_t *ret_cpu, bool *ret_online) _must_check_; /* 1: it is about a CPU, 0: it is not */

/* --- pidfile.c: PIDFile= --- */
/*
 * One pid a line, blanks and # comments allowed; an empty file is no pids. Returns 0; -EBADMSG for no pid or one that came before; -E2BIG for more than
 * @cap; the line is in @ret_line then. @ret_pids is undefined on failure.
 */
int cb_pidfile_parse(const char *buf, size_t len, int32_t *ret_pids, size_t cap, size_t *ret_n, uint32_t *ret_line) _must_check_;

/*
 * proc/PID/cmdline as one line for people, as cb_text_copy() shows text, with blanks between the arguments; "" for a process
 * that has none. What @size has no room for is left out. Returns the length written.
 */
size_t cb_cmdline_parse(const char *buf, size_t len, char *ret, size_t size);

/* --- taskstats.c, sockdiag.c: netlink payloads (nla_*() only; the sockets are in lib/host) --- */
struct cb_taskstats {
	uint64_t cpu_nsec, wait_nsec, vol_switches, invol_switches;
	char comm[16]; /* as it is in proc/PID/comm, without the newline; "" of whole processes */
};
/* @payload: the generic netlink attributes of a TASKSTATS_CMD_NEW message. */
int cb_taskstats_parse(const void *payload, size_t len, struct cb_taskstats *ret) _must_check_;

struct cb_listener {
	uint32_t inode;
	bool datagrams; /* of UDP: the backlog is bytes that wait to be read */
	uint32_t backlog, backlog_max;
	uint32_t drops;
	bool has_drops;
};
/* @payload: struct inet_diag_msg and its attributes. -EBADMSG for a socket that does not listen. */
int cb_sockdiag_parse(const void *payload, size_t len, struct cb_listener *ret) _must_check_;
/* One socket of a dump, in any state. */
struct cb_socket {
	struct cb_listen local; /* its protocol is the caller's, who asked for one; port 0: not bound */
	uint32_t interface;     /* bound to this one alone, 0 any */
	bool listens;           /* TCP; else the queues are not connections */
	struct cb_listener queue;
};
int cb_socket_parse(const void *payload, size_t len, enum cb_protocol protocol, struct cb_socket *ret) _must_check_;

/* --- procevent.c: a message of the proc connector; -EBADMSG for what is none --- */
struct cb_proc_event {
	enum { CB_PROC_OTHER, CB_PROC_ANSWER, CB_PROC_FORK } kind;
	int answer; /* CB_PROC_ANSWER: errno of a subscription, 0 for success */
	int32_t parent_tgid, child_tid, child_tgid;
};
int cb_proc_event_parse(const void *payload, size_t len, struct cb_proc_event *ret) _must_check_;

/* --- irqname.c: names that drivers give their interrupts --- */
struct cb_irq_queue {
	int32_t queue; /* -1: the name has none */
	enum cb_queue_dir dir;
	bool managed; /* its affinity is the kernel's own, whatever the file's mode says */
};
void cb_irq_name_parse(const char *actions, struct cb_irq_queue *ret);
/* Is @who (an interface, a device's address) a part of the name, with no letter or digit at either side? */
bool cb_irq_name_has(const char *actions, const char *who);

/* --- netdev.c: generic netlink attributes of the family netdev; -EBADMSG --- */
struct cb_netdev_napi {
	uint32_t ifindex, id, irq;
	bool has_irq;
};
struct cb_netdev_queue {
	uint32_t ifindex, queue, napi;
	bool tx, has_napi;
};
struct cb_netdev_qstats {
	uint32_t ifindex, queue;
	bool tx, has_packets;
	uint64_t packets; /* that it received, or sent */
};
int cb_netdev_napi_parse(const void *payload, size_t len, struct cb_netdev_napi *ret) _must_check_;
int cb_netdev_queue_parse(const void *payload, size_t len, struct cb_netdev_queue *ret) _must_check_;
int cb_netdev_qstats_parse(const void *payload, size_t len, struct cb_netdev_qstats *ret) _must_check_;

/* @payload: struct ifinfomsg of RTM_NEWLINK or RTM_DELLINK and its attributes. -EBADMSG. */
struct cb_link {
	uint32_t ifindex;
	bool up;
	char name[CB_IFNAME_MAX]; /* "" when it is not said */
};
int cb_link_parse(const void *payload, size_t len, struct cb_link *ret) _must_check_;

/* --- serving.c: proc/PID/fdinfo/FD of an epoll descriptor, proc/PID/task/TID/syscall --- */
/*
 * Inodes that an epoll descriptor watches, in the file's order; each line that begins with "tfd:" has one. @fn may end it with a
 * non-zero answer, which is returned. A file cut short is taken as far as it goes.
 */
int cb_epoll_parse(const char *buf, size_t len, int (*fn)(uint64_t inode, void *userdata), void *userdata) _must_check_;
/* "232 0xc 0x7f..." -> the call's number and first argument. -ENODATA for a thread that runs or is in no call. */
int cb_syscall_parse(const char *buf, size_t len, int64_t *ret_number, uint64_t *ret_first) _must_check_;
/*
 * Every path of proc/PID/cgroup, whatever the hierarchy; a non-zero answer of @fn ends it and is returned. -EBADMSG for a line
 * that is none.
 */
int cb_cgroup_each(const char *buf, size_t len, int (*fn)(const char *path, size_t len, void *userdata),
		   void *userdata) _must_check_;
