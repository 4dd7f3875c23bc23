/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The two writers that ship: real and dry. Nothing is decided here: one operation is one system call or one file. Only
 * apply.c and its neighbours call them.
 */
#include "writer.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "host_internal.h"
#include "journal_internal.h"
#include "steer.h"

#define NO_CPU		     (CB_CPUS_MAX - 1) /* stands for none, in what is pretended */
#define CHILDREN_MAX	     4096u
#define STATUS_BYTES_MAX     32768u /* two lists and two masks of CB_CPUS_MAX CPUs, and the rest */
#define SMALL_FILE_BYTES_MAX 16384u

struct real_writer {
	struct cb_writer writer;
	struct cb_host *host;
};

static struct cb_host *host_of(struct cb_writer *writer)
{
	return ((struct real_writer *)writer)->host;
}

/* --- real: reading --- */

/* A file of a process that is gone: ENOENT when it is opened, ESRCH when it is read. */
static int gone(ssize_t r)
{
	return r == -ENOENT ? -ESRCH : (int)r;
}

static int real_process_list(struct cb_writer *writer, int32_t **ret_tgids, size_t *ret_n)
{
	return cb_host_list_numbers(host_of(writer), CB_PATH_PROC_DIR, "", ret_tgids, ret_n);
}

static int real_task_list(struct cb_writer *writer, int32_t tgid, int32_t **ret_tids, size_t *ret_n)
{
	char path[CB_PATH_PID_MAX];

	snprintf(path, sizeof(path), CB_FMT_PID_TASK_DIR, tgid);
	return gone(cb_host_list_numbers(host_of(writer), path, "", ret_tids, ret_n));
}

static int real_children(struct cb_writer *writer, int32_t tgid, int32_t **ret_tgids, size_t *ret_n)
{
	int32_t *tgids = calloc(CHILDREN_MAX, sizeof(*tgids));
	int r;

	if (!tgids)
		return -ENOMEM;
	r = cb_host_children(host_of(writer), tgid, tgids, CHILDREN_MAX, ret_n);
	if (r < 0) {
		free(tgids);
		return r;
	}
	*ret_tgids = tgids;
	return 0;
}

static int real_task_stat(struct cb_writer *writer, int32_t tgid, int32_t tid,
			  struct cb_task_stat *ret)
{
	char path[CB_PATH_PID_MAX], buf[2048];
	ssize_t len;

	snprintf(path, sizeof(path), CB_FMT_TASK_STAT, tgid, tid);
	len = cb_host_read_file(host_of(writer), path, buf, sizeof(buf));
	return len < 0 ? gone(len) : cb_task_stat_parse(buf, (size_t)len, ret);
}

/*
 * Not sched_getaffinity(): that hides CPUs which are offline now, and an original without them would be less than what
 * the thread had.
 */
static int real_task_get(struct cb_writer *writer, int32_t tgid, int32_t tid, struct cb_cpuset *ret)
{
	char path[CB_PATH_PID_MAX], buf[STATUS_BYTES_MAX];
	struct cb_task_status status;
	ssize_t len;
	int r;

	snprintf(path, sizeof(path), CB_FMT_TASK_STATUS, tgid, tid);
	len = cb_host_read_file(host_of(writer), path, buf, sizeof(buf));
	if (len < 0)
		return gone(len);
	r = cb_task_status_parse(buf, (size_t)len, &status);
	if (r == 0)
		*ret = status.allowed;
	return r;
}

static int real_cpuset(struct cb_writer *writer, int32_t tgid, struct cb_cpuset *ret)
{
	struct cb_worker_identity identity;
	int r = cb_host_identify(host_of(writer), tgid, &identity, NULL);

	if (r < 0)
		return r;
	if (!identity.cpuset_is_known)
		return -ENODATA;
	*ret = identity.cpuset;
	return 0;
}

static int real_cgroup_id(struct cb_writer *writer, int32_t tgid, uint64_t *ret)
{
	char path[CB_PATH_PID_MAX], buf[SMALL_FILE_BYTES_MAX];
	ssize_t len;

	snprintf(path, sizeof(path), CB_FMT_PID_CGROUP, tgid);
	len = cb_host_read_file(host_of(writer), path, buf, sizeof(buf));
	if (len < 0)
		return gone(len);
	*ret = cb_hash_bytes(CB_HASH_START, buf, (size_t)len);
	return 0;
}

static int irq_file(struct cb_writer *writer, const char *dir, uint32_t irq, const char *name,
		    char *buf, size_t size)
{
	char path[64];
	ssize_t len;

	snprintf(path, sizeof(path), "%s/%u/%s", dir, irq, name);
	len = cb_host_read_file(host_of(writer), path, buf, size);
	return (int)len;
}

static int real_irq_identity(struct cb_writer *writer, uint32_t irq, uint64_t *ret_hwirq,
			     char ret_actions[CB_IRQ_NAME_MAX])
{
	char buf[SMALL_FILE_BYTES_MAX];
	int64_t hwirq = 0;
	int len = irq_file(writer, CB_PATH_IRQ_DIR, irq, "smp_affinity_list", buf, sizeof(buf));

	if (len < 0)
		return len;
	/* Both are missing where the kernel has no sysfs view of interrupts: the number alone is the identity then. */
	len = irq_file(writer, CB_PATH_SYS_IRQ_DIR, irq, "hwirq", buf, sizeof(buf));
	if (len < 0 || cb_sysfs_i64_parse(buf, (size_t)len, &hwirq) < 0)
		hwirq = 0;
	len = irq_file(writer, CB_PATH_SYS_IRQ_DIR, irq, "actions", buf, sizeof(buf));
	if (len < 0)
		ret_actions[0] = 0;
	else
		cb_sysfs_text_parse(buf, (size_t)len, ret_actions, CB_IRQ_NAME_MAX);
	*ret_hwirq = (uint64_t)hwirq;
	return 0;
}

static int irq_mask(struct cb_writer *writer, uint32_t irq, const char *name, struct cb_cpuset *ret)
{
	char buf[CB_CPULIST_MAX + 2];
	int len = irq_file(writer, CB_PATH_IRQ_DIR, irq, name, buf, sizeof(buf));

	return len < 0 ? len : cb_cpuset_parse_list(buf, (size_t)len, ret);
}

static int real_irq_get(struct cb_writer *writer, uint32_t irq, struct cb_cpuset *ret)
{
	return irq_mask(writer, irq, "smp_affinity_list", ret);
}

/* An interrupt that has not been started yet, or an architecture that does not tell, has an empty list or no file. */
static int real_irq_effective(struct cb_writer *writer, uint32_t irq, struct cb_cpuset *ret)
{
	struct cb_cpuset set;
	int r = irq_mask(writer, irq, "effective_affinity_list", &set);

	if (r < 0 || cb_cpuset_empty(&set))
		return -ENODATA;
	*ret = set;
	return 0;
}

static int real_irq_hint(struct cb_writer *writer, uint32_t irq, struct cb_cpuset *ret)
{
	char buf[CB_CPULIST_MAX + 2];
	int len = irq_file(writer, CB_PATH_IRQ_DIR, irq, "affinity_hint", buf, sizeof(buf));
	struct cb_cpuset set;

	if (len < 0 || cb_cpuset_parse_mask(buf, (size_t)len, &set) < 0 || cb_cpuset_empty(&set))
		return -ENODATA;
	*ret = set;
	return 0;
}

static int real_online(struct cb_writer *writer, struct cb_cpuset *ret)
{
	char buf[CB_CPULIST_MAX + 2];
	ssize_t len = cb_host_read_file(host_of(writer), CB_PATH_CPU_ONLINE, buf, sizeof(buf));

	return len < 0 ? (int)len : cb_sysfs_cpulist_parse(buf, (size_t)len, ret);
}

static uint64_t real_ticks_per_sec(struct cb_writer *writer)
{
	uint32_t hz = host_of(writer)->user_hz;

	return hz ? hz : 100;
}

/* The kernel counts start times on the clock that runs through a suspend. */
static uint64_t real_now_ticks(struct cb_writer *writer)
{
	uint64_t hz = real_ticks_per_sec(writer);
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * hz + (uint64_t)t.tv_nsec * hz / UINT64_C(1000000000);
}

static void real_sleep_msec(struct cb_writer *writer, uint32_t msec)
{
	struct timespec t = { .tv_sec = msec / 1000, .tv_nsec = (long)(msec % 1000) * 1000000 };

	(void)writer;
	while (nanosleep(&t, &t) < 0 && errno == EINTR)
		;
}

/* --- real: writing --- */

static int real_task_set(struct cb_writer *writer, int32_t tid, const struct cb_cpuset *mask)
{
	const unsigned int bits = 8 * sizeof(unsigned long);
	unsigned long words[CB_CPUS_MAX / (8 * sizeof(unsigned long))] = { 0 };

	(void)writer;
	CB_CPUSET_FOREACH(cpu, mask)
		words[cpu / bits] |= 1ul << (cpu % bits);
	return syscall(SYS_sched_setaffinity, tid, sizeof(words), words) < 0 ? -errno : 0;
}

static int real_irq_set(struct cb_writer *writer, uint32_t irq, const struct cb_cpuset *mask)
{
	_cleanup_close_ int fd = -1;
	char path[64], list[CB_CPULIST_MAX];
	int len = cb_cpuset_format_list(mask, list, sizeof(list));
	ssize_t n;

	if (len < 0)
		return len;
	snprintf(path, sizeof(path), CB_PATH_IRQ_DIR "/%u/smp_affinity_list", irq);
	fd = cb_host_openat(host_of(writer), path, O_WRONLY);
	if (fd < 0)
		return fd;
	n = write(fd, list, (size_t)len);
	if (n < 0)
		return -errno;
	return n == len ? 0 : -EMSGSIZE;
}

/* --- real: steering --- */

static int real_steer_resolve(struct cb_writer *writer, struct cb_steer_set *set,
			      enum cb_reject *ret_why)
{
	/* pids of a captured tree are nobody here */
	if (!host_of(writer)->live) {
		*ret_why = CB_REJECT_ALONE;
		return 1;
	}
	return cb_steer_resolve(host_of(writer), set, ret_why);
}

static bool real_heeds_cpu(struct cb_writer *writer)
{
	int r;

	if (writer->heeds == CB_HEEDS_UNKNOWN) {
		r = cb_steer_cpu_heeded();
		/* what could not be tried may be the next time */
		if (r >= 0)
			writer->heeds = r > 0 ? CB_HEEDS_YES : CB_HEEDS_NO;
	}
	return writer->heeds == CB_HEEDS_YES;
}

static int real_socket_find(struct cb_writer *writer, const struct cb_journal_entry *entry,
			    struct cb_steer_socket *ret)
{
	return cb_steer_find(host_of(writer), entry, ret);
}

static int real_socket_get_cpu(struct cb_writer *writer, const struct cb_steer_socket *socket,
			       int32_t *ret)
{
	(void)writer;
	return cb_steer_get_cpu(socket, ret);
}

static int real_socket_set_cpu(struct cb_writer *writer, const struct cb_steer_socket *socket,
			       int32_t cpu)
{
	(void)writer;
	return cb_steer_set_cpu(socket, cpu);
}

static int real_shares_set(struct cb_writer *writer, const struct cb_steer_set *set, uint32_t place,
			   enum cb_reject *ret_why)
{
	return cb_steer_share(host_of(writer), &writer->steer, set, place, ret_why);
}

static int real_shares_clear(struct cb_writer *writer, const struct cb_journal_entry *entry)
{
	return cb_steer_unshare(host_of(writer), &writer->steer, entry);
}

static int real_steer_same(struct cb_writer *writer, const struct cb_journal_entry *entry)
{
	return cb_steer_same(host_of(writer), &writer->steer, entry);
}

/* --- real: queues of network interfaces --- */

static int real_queue_find(struct cb_writer *writer, struct cb_queue_id *queue)
{
	return cb_host_queue_find(host_of(writer), queue->ifindex, queue->ifname);
}

static int real_queue_get(struct cb_writer *writer, const struct cb_knob *knob,
			  const struct cb_queue_id *queue, struct cb_queue_value *ret)
{
	return cb_host_queue_get(host_of(writer), knob, queue->ifname, queue->queue, ret);
}

static int real_queue_set(struct cb_writer *writer, const struct cb_knob *knob,
			  const struct cb_queue_id *queue, const struct cb_queue_value *value)
{
	_cleanup_close_ int fd = -1;
	char path[128], text[CB_QUEUE_TEXT_MAX];
	int len = cb_knob_queue_format(knob, value, text, sizeof(text));
	ssize_t n;

	if (len >= 0 &&
	    cb_knob_queue_path(knob, queue->ifname, queue->queue, path, sizeof(path)) < 0)
		len = -ENOSPC;
	if (len < 0)
		return len;
	fd = cb_host_openat(host_of(writer), path, O_WRONLY);
	if (fd < 0)
		return fd;
	n = write(fd, text, (size_t)len);
	if (n < 0)
		return -errno;
	return n == len ? 0 : -EMSGSIZE;
}

static const struct cb_writer_ops real_ops = {
	.name = "real",
	.process_list = real_process_list,
	.task_list = real_task_list,
	.children = real_children,
	.task_stat = real_task_stat,
	.task_get = real_task_get,
	.task_set = real_task_set,
	.cpuset = real_cpuset,
	.cgroup_id = real_cgroup_id,
	.irq_identity = real_irq_identity,
	.irq_get = real_irq_get,
	.irq_set = real_irq_set,
	.irq_effective = real_irq_effective,
	.irq_hint = real_irq_hint,
	.steer_resolve = real_steer_resolve,
	.heeds_cpu = real_heeds_cpu,
	.socket_find = real_socket_find,
	.socket_get_cpu = real_socket_get_cpu,
	.socket_set_cpu = real_socket_set_cpu,
	.shares_set = real_shares_set,
	.shares_clear = real_shares_clear,
	.steer_same = real_steer_same,
	.queue_find = real_queue_find,
	.queue_get = real_queue_get,
	.queue_set = real_queue_set,
	.online = real_online,
	.now_ticks = real_now_ticks,
	.ticks_per_sec = real_ticks_per_sec,
	.sleep_msec = real_sleep_msec,
};

/* --- dry --- */

/* What was pretended of one thread, interrupt, socket or queue. */
struct pretended {
	enum cb_item_kind kind;
	int64_t number;
	uint64_t start_ticks; /* of the thread: its number may be another's later */
	struct cb_cpuset mask;
	uint32_t flows;
};

struct dry_writer {
	struct real_writer real;
	struct pretended *pretended;
	size_t n, cap;
};

/* A dry run is for people to look at: few masks, searched one after the other. */
static struct pretended *find_pretended(struct cb_writer *writer, enum cb_item_kind kind,
					int64_t number)
{
	struct dry_writer *dry = (struct dry_writer *)writer;

	for (size_t i = 0; i < dry->n; i++)
		if (dry->pretended[i].kind == kind && dry->pretended[i].number == number)
			return &dry->pretended[i];
	return NULL;
}

static int pretend(struct cb_writer *writer, enum cb_item_kind kind, int64_t number,
		   uint64_t start_ticks, const struct cb_cpuset *mask)
{
	struct dry_writer *dry = (struct dry_writer *)writer;
	struct pretended *p = find_pretended(writer, kind, number);

	if (cb_cpuset_empty(mask) && !cb_item_is_queue(kind))
		return -EINVAL;
	if (!p && dry->n == dry->cap) {
		size_t cap = CB_MAX(dry->cap * 2, (size_t)16);

		p = reallocarray(dry->pretended, cap, sizeof(*p));
		if (!p)
			return -ENOMEM;
		dry->pretended = p;
		dry->cap = cap;
		p = NULL;
	}
	if (!p)
		p = &dry->pretended[dry->n++];
	*p = (struct pretended){
		.kind = kind, .number = number, .start_ticks = start_ticks, .mask = *mask
	};
	return 0;
}

static int dry_task_get(struct cb_writer *writer, int32_t tgid, int32_t tid, struct cb_cpuset *ret)
{
	const struct pretended *p = find_pretended(writer, CB_ITEM_WORKER, tid);
	int r = real_task_get(writer, tgid, tid, ret);
	struct cb_task_stat stat;

	if (r < 0 || !p)
		return r;
	r = real_task_stat(writer, tgid, tid, &stat);
	if (r == 0 && stat.start_ticks == p->start_ticks)
		*ret = p->mask;
	return r;
}

static int dry_task_set(struct cb_writer *writer, int32_t tid, const struct cb_cpuset *mask)
{
	struct cb_task_stat stat;
	int r = real_task_stat(writer, tid, tid, &stat);

	return r < 0 ? r : pretend(writer, CB_ITEM_WORKER, tid, stat.start_ticks, mask);
}

static int dry_irq_get(struct cb_writer *writer, uint32_t irq, struct cb_cpuset *ret)
{
	const struct pretended *p = find_pretended(writer, CB_ITEM_IRQ, irq);
	int r = real_irq_get(writer, irq, ret);

	if (r == 0 && p)
		*ret = p->mask;
	return r;
}

static int dry_irq_set(struct cb_writer *writer, uint32_t irq, const struct cb_cpuset *mask)
{
	return pretend(writer, CB_ITEM_IRQ, irq, 0, mask);
}

/* A pretended interrupt lands on the first CPU of its mask at once. */
static int dry_irq_effective(struct cb_writer *writer, uint32_t irq, struct cb_cpuset *ret)
{
	const struct pretended *p = find_pretended(writer, CB_ITEM_IRQ, irq);
	struct cb_cpuset set;
	int r = real_irq_effective(writer, irq, &set);

	if (r < 0)
		return r;
	if (p && !cb_cpuset_intersects(&set, &p->mask))
		set = cb_cpuset_of(cb_cpuset_first(&p->mask));
	*ret = set;
	return 0;
}

static int dry_socket_get_cpu(struct cb_writer *writer, const struct cb_steer_socket *socket,
			      int32_t *ret)
{
	const struct pretended *p = find_pretended(writer, CB_ITEM_LISTENER, socket->inode);
	int r = cb_steer_get_cpu(socket, ret);

	if (r == 0 && p)
		*ret = cb_cpuset_has(&p->mask, NO_CPU) ? -1 : (int32_t)cb_cpuset_first(&p->mask);
	return r;
}

static int dry_socket_set_cpu(struct cb_writer *writer, const struct cb_steer_socket *socket,
			      int32_t cpu)
{
	struct cb_cpuset mask = cb_cpuset_of(cpu < 0 ? NO_CPU : (unsigned int)cpu);

	return pretend(writer, CB_ITEM_LISTENER, socket->inode, 0, &mask);
}

static int dry_shares_set(struct cb_writer *writer, const struct cb_steer_set *set, uint32_t place,
			  enum cb_reject *ret_why)
{
	(void)writer;
	(void)set;
	(void)place;
	(void)ret_why;
	return 0;
}

static int dry_shares_clear(struct cb_writer *writer, const struct cb_journal_entry *entry)
{
	(void)writer;
	(void)entry;
	return 0;
}

static int dry_steer_same(struct cb_writer *writer, const struct cb_journal_entry *entry)
{
	(void)writer;
	(void)entry;
	return 1;
}

static int dry_queue_get(struct cb_writer *writer, const struct cb_knob *knob,
			 const struct cb_queue_id *queue, struct cb_queue_value *ret)
{
	const struct pretended *p =
		find_pretended(writer, knob->item, cb_queue_key(queue->ifindex, queue->queue));
	int r = real_queue_get(writer, knob, queue, ret);

	if (r == 0 && p)
		*ret = (struct cb_queue_value){ .cpus = p->mask, .flows = p->flows };
	return r;
}

static int dry_queue_set(struct cb_writer *writer, const struct cb_knob *knob,
			 const struct cb_queue_id *queue, const struct cb_queue_value *value)
{
	int64_t number = cb_queue_key(queue->ifindex, queue->queue);
	int r = pretend(writer, knob->item, number, 0, &value->cpus);

	if (r == 0)
		find_pretended(writer, knob->item, number)->flows = value->flows;
	return r;
}

static void dry_free(struct cb_writer *writer)
{
	free(((struct dry_writer *)writer)->pretended);
}

static const struct cb_writer_ops dry_ops = {
	.name = "dry",
	.pretends = true,
	.process_list = real_process_list,
	.task_list = real_task_list,
	.children = real_children,
	.task_stat = real_task_stat,
	.task_get = dry_task_get,
	.task_set = dry_task_set,
	.cpuset = real_cpuset,
	.cgroup_id = real_cgroup_id,
	.irq_identity = real_irq_identity,
	.irq_get = dry_irq_get,
	.irq_set = dry_irq_set,
	.irq_effective = dry_irq_effective,
	.irq_hint = real_irq_hint,
	.steer_resolve = real_steer_resolve,
	.heeds_cpu = real_heeds_cpu,
	.socket_find = real_socket_find,
	.socket_get_cpu = dry_socket_get_cpu,
	.socket_set_cpu = dry_socket_set_cpu,
	.shares_set = dry_shares_set,
	.shares_clear = dry_shares_clear,
	.steer_same = dry_steer_same,
	.queue_find = real_queue_find,
	.queue_get = dry_queue_get,
	.queue_set = dry_queue_set,
	.online = real_online,
	.now_ticks = real_now_ticks,
	.ticks_per_sec = real_ticks_per_sec,
	.sleep_msec = real_sleep_msec,
	.free = dry_free,
};

struct cb_writer *cb_writer_new(struct cb_host *host)
{
	struct dry_writer *writer = calloc(1, sizeof(*writer));

	if (!writer)
		return NULL;
	writer->real.host = host;
	writer->real.writer.ops = host->dry_run || !host->live ? &dry_ops : &real_ops;
	return &writer->real.writer;
}

struct cb_writer *cb_writer_free(struct cb_writer *writer)
{
	if (!writer)
		return NULL;
	cb_heirs_free(writer->heirs);
	cb_steer_free(writer->steer);
	if (writer->ops->free)
		writer->ops->free(writer);
	free(writer);
	return NULL;
}
