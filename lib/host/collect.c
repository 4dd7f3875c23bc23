/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One tick: every signal into one snapshot. Files are kept open and read with one pread() each
 * where the kernel gives them as one record; nothing is opened or allocated unless something has
 * changed: a file that outgrew the buffer, threads that came, listening sockets that came. Every
 * mask that is not what it was at the last look is reported, also when it was we who set it:
 * whoever holds the journal knows that.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collect.h"

/*
 * The buffer is made this much bigger than what the biggest file has now, since counters get
 * longer.
 */
#define HEADROOM 4u
#define BUF_MIN	 65536u
/* An interrupt that no inventory ever shows is asked for again only this often. */
#define IRQ_NEWS_USEC (60 * CB_USEC_PER_SEC)

struct cb_collector {
	int stat_fd, softirqs_fd, softnet_fd;
	uint32_t topology_generation;
	uint32_t n_cpus;
	struct cb_cpuset online;
	struct cb_cpuset counted; /* CPUs that perf was asked for */
	bool prepared;
	bool perf_failed; /* do not try again with each preparation */
	bool irq_news;	  /* reported since the set of interrupts last changed */
	uint64_t irq_news_usec;
};

/* --- what this machine can give --- */

static bool readable(struct cb_host *host, const char *path)
{
	return cb_host_read_big(host, path) > 0;
}

static bool exists(struct cb_host *host, const char *path)
{
	_cleanup_close_ int fd = cb_host_openat(host, path, O_PATH);

	return fd >= 0;
}

static bool fds_counted(struct cb_host *host)
{
	_cleanup_close_ int fd = cb_host_openat(host, CB_PATH_OWN_FD_DIR, O_PATH | O_DIRECTORY);
	struct stat st;

	return host->live && fd >= 0 && fstat(fd, &st) == 0 && st.st_size > 0;
}

static bool listeners_dumped(struct cb_host *host)
{
	struct cb_diag *diag;

	if (!host->netlink || cb_diag_new(host, -1, &diag) < 0)
		return false;
	cb_diag_free(diag);
	return true;
}

/*
 * A captured tree has no process of ours to try it with: its signals of processes are found while
 * collecting.
 */
static void probe(struct cb_host *host)
{
	const struct {
		enum cb_source source;
		bool there;
	} probes[] = {
		{ CB_SOURCE_STAT, readable(host, CB_PATH_STAT) },
		{ CB_SOURCE_SOFTIRQS, readable(host, CB_PATH_SOFTIRQS) },
		{ CB_SOURCE_SOFTNET, readable(host, CB_PATH_SOFTNET) },
		{ CB_SOURCE_IRQ_AFFINITY, exists(host, CB_PATH_IRQ_DIR) },
		{ CB_SOURCE_TASKSTATS, host->taskstats != NULL },
		{ CB_SOURCE_TASK_PROC, host->live && readable(host, CB_PATH_OWN_SCHEDSTAT) },
		{ CB_SOURCE_TASK_STAT, host->live },
		{ CB_SOURCE_FD_COUNT, fds_counted(host) },
		{ CB_SOURCE_SNMP, host->live && readable(host, CB_PATH_OWN_SNMP) },
		{ CB_SOURCE_LISTEN, listeners_dumped(host) },
		{ CB_SOURCE_QUEUES, host->netdev != NULL },
	};

	for (size_t i = 0; i < CB_ARRAY_SIZE(probes); i++)
		if (probes[i].there)
			host->sources |= 1u << probes[i].source;
}

int cb_collector_init(struct cb_host *host)
{
	struct cb_collector *collector = calloc(1, sizeof(*collector));

	if (!collector)
		return -ENOMEM;
	collector->stat_fd = collector->softirqs_fd = collector->softnet_fd = -1;
	host->collector = collector;
	if (host->netlink) {
		host->taskstats = cb_taskstats_conn_new();
		host->netdev = cb_netdev_conn_new();
		host->link = cb_link_conn_new();
	}
	probe(host);
	return 0;
}

void cb_collector_done(struct cb_host *host)
{
	struct cb_collector *collector = host->collector;

	host->watch = cb_watch_table_free(host, host->watch);
	host->irq_watch = cb_irq_watch_free(host->irq_watch);
	host->perf = cb_perf_free(host->perf);
	host->taskstats = cb_taskstats_conn_free(host->taskstats);
	host->netdev = cb_netdev_conn_free(host->netdev);
	host->link = cb_link_conn_free(host->link);
	if (!collector)
		return;
	cb_closep(&collector->stat_fd);
	cb_closep(&collector->softirqs_fd);
	cb_closep(&collector->softnet_fd);
	free(collector);
	host->collector = NULL;
}

/* --- preparation --- */

/* Open once, and make room for what is in there now, and more. Absent files stay -1. */
static int keep_file(struct cb_host *host, const char *path, int *fd)
{
	ssize_t len;

	if (*fd < 0)
		*fd = cb_host_openat(host, path, O_RDONLY);
	if (*fd < 0)
		return *fd == -ENOENT ? 0 : *fd;
	len = cb_host_read_big_fd(host, *fd);
	if (len < 0)
		return (int)len;
	return cb_host_grow(host, CB_MAX(BUF_MIN, (size_t)len * HEADROOM));
}

static void prepare_perf(struct cb_host *host, const struct cb_topology *topology)
{
	struct cb_collector *collector = host->collector;
	struct cb_cpuset cpus = cb_topology_housekeeping(topology);

	if (!host->netlink || collector->perf_failed ||
	    (host->perf && cb_cpuset_equal(&cpus, &collector->counted)))
		return;
	cb_perf_free(host->perf);
	host->perf = cb_perf_new(&cpus);
	collector->counted = cpus;
	collector->perf_failed = !host->perf;
	if (host->perf)
		host->sources |= 1u << CB_SOURCE_CTXSW;
}

static int prepare_irqs(struct cb_host *host, const struct cb_irqs *irqs)
{
	struct cb_collector *collector = host->collector;
	struct cb_irq_watch *watch;

	if (cb_irq_watch_fits(host->irq_watch, irqs))
		return 0;
	if (!cb_irq_watch_same_set(host->irq_watch, irqs))
		collector->irq_news = false;
	watch = cb_irq_watch_new(host, irqs, cb_host_now_usec(host));
	if (!watch)
		return -ENOMEM;
	cb_irq_watch_free(host->irq_watch);
	host->irq_watch = watch;
	return 0;
}

static int reserve(struct cb_host *host, const struct cb_topology *topology,
		   const struct cb_irqs *irqs, struct cb_snapshot *snapshot)
{
	const struct cb_watch_table *table = host->watch;

	return cb_snapshot_reserve(snapshot, topology->n_cpu_ids, irqs->n, table ? table->n : 0,
				   table ? table->n_groups : 0);
}

int cb_host_prepare(struct cb_host *host, const struct cb_topology *topology,
		    const struct cb_irqs *irqs, struct cb_snapshot *snapshot, struct cb_err *err)
{
	struct cb_collector *collector = host->collector;
	int r = keep_file(host, CB_PATH_STAT, &collector->stat_fd);

	if (r == 0 && collector->stat_fd < 0)
		r = -ENOENT;
	if (r < 0)
		return cb_err_set(err, r, "cannot read %s: %s", CB_PATH_STAT, strerror(-r));
	/* The others may be missing, or unreadable: absent then. */
	if (keep_file(host, CB_PATH_SOFTIRQS, &collector->softirqs_fd) < 0)
		cb_closep(&collector->softirqs_fd);
	if (keep_file(host, CB_PATH_SOFTNET, &collector->softnet_fd) < 0)
		cb_closep(&collector->softnet_fd);
	prepare_perf(host, topology);
	r = prepare_irqs(host, irqs);
	if (r == 0)
		r = reserve(host, topology, irqs, snapshot);
	if (r < 0)
		return cb_err_set(err, r, "cannot make room for %u CPUs and %u interrupts: %s",
				  topology->n_cpu_ids, irqs->n, strerror(-r));
	collector->topology_generation = topology->generation;
	collector->n_cpus = topology->n_cpu_ids;
	collector->online = topology->online;
	cb_irq_watch_fill(host->irq_watch, snapshot);
	collector->prepared = true;
	return 0;
}

/* --- the tick --- */

static void begin(struct cb_host *host, struct cb_snapshot *snapshot, struct cb_collect_events *ret)
{
	struct cb_collector *collector = host->collector;

	ret->changed = 0;
	ret->n_gone = 0;
	ret->n_irq_masks = 0;
	ret->n_worker_masks = 0;
	snapshot->topology_generation = collector->topology_generation;
	snapshot->valid = 0;
	snapshot->user_hz = host->user_hz;
	snapshot->n_cpus = collector->n_cpus;
	snapshot->n_workers = 0;
	snapshot->n_groups = 0;
	for (uint32_t cpu = 0; cpu < snapshot->n_cpus; cpu++)
		snapshot->cpu[cpu].present = 0;
}

/* Into the buffer; grown only when a file has outgrown it. */
static ssize_t read_kept(struct cb_host *host, int fd)
{
	ssize_t len = cb_host_pread_once(fd, host->buf, host->buf_size);

	return len == -E2BIG ? cb_host_read_big_fd(host, fd) : len;
}

/* A new interrupt is news once: some are counted that no directory ever shows. */
static bool report_irq_news(struct cb_collector *collector, uint64_t now_usec)
{
	if (collector->irq_news && now_usec < collector->irq_news_usec + IRQ_NEWS_USEC)
		return false;
	collector->irq_news = true;
	collector->irq_news_usec = now_usec;
	return true;
}

static int collect_stat(struct cb_host *host, uint64_t now_usec, struct cb_snapshot *snapshot,
			struct cb_collect_events *events, struct cb_cpuset *ret_online)
{
	struct cb_collector *collector = host->collector;
	ssize_t len = read_kept(host, collector->stat_fd);
	bool news = false;
	int r;

	if (len < 0)
		return (int)len;
	r = cb_stat_parse(host->buf, (size_t)len, snapshot, ret_online, &news);
	if (r < 0)
		return r;
	if (!cb_cpuset_equal(ret_online, &collector->online))
		events->changed |= CB_COLLECT_TOPOLOGY;
	if (news && report_irq_news(collector, now_usec))
		events->changed |= CB_COLLECT_IRQS;
	snapshot->valid |= 1u << CB_SOURCE_STAT;
	return 0;
}

static void collect_cpus(struct cb_host *host, const struct cb_cpuset *online,
			 struct cb_snapshot *snapshot)
{
	struct cb_collector *collector = host->collector;
	ssize_t len = collector->softirqs_fd < 0 ? -EBADF : read_kept(host, collector->softirqs_fd);

	if (len >= 0 && cb_softirqs_parse(host->buf, (size_t)len, snapshot) == 0)
		snapshot->valid |= 1u << CB_SOURCE_SOFTIRQS;
	/* One record for each CPU: a page at a time. */
	len = collector->softnet_fd < 0 ? -EBADF : cb_host_read_big_fd(host, collector->softnet_fd);
	if (len >= 0 && cb_softnet_parse(host->buf, (size_t)len, online, snapshot) == 0)
		snapshot->valid |= 1u << CB_SOURCE_SOFTNET;
	if (cb_perf_collect(host->perf, snapshot) > 0)
		snapshot->valid |= 1u << CB_SOURCE_CTXSW;
}

/*
 * Offline CPUs have columns in /proc/softirqs and rows of old counts elsewhere: they are absent
 * here.
 */
static void drop_offline(const struct cb_cpuset *online, struct cb_snapshot *snapshot)
{
	for (uint32_t cpu = 0; cpu < snapshot->n_cpus; cpu++)
		if (!cb_cpuset_has(online, cpu))
			snapshot->cpu[cpu].present = 0;
}

/* What was prepared has to fit what is there now. */
static bool fits(const struct cb_host *host, const struct cb_snapshot *snapshot)
{
	const struct cb_collector *collector = host->collector;
	const struct cb_watch_table *table = host->watch;

	return collector->prepared && snapshot->cap_cpus >= collector->n_cpus &&
	       (!table ||
		(snapshot->cap_workers >= table->n && snapshot->cap_groups >= table->n_groups));
}

int cb_collect(struct cb_host *host, struct cb_snapshot *snapshot, struct cb_collect_events *ret)
{
	uint64_t begin_usec = cb_host_now_usec(host);
	struct cb_cpuset online;
	int r;

	if (!fits(host, snapshot))
		return -EINVAL;
	begin(host, snapshot, ret);
	r = collect_stat(host, begin_usec, snapshot, ret, &online);
	if (r < 0 || ret->changed & CB_COLLECT_TOPOLOGY)
		return r;
	collect_cpus(host, &online, snapshot);
	drop_offline(&online, snapshot);
	if (cb_irq_watch_collect(host->irq_watch, host, begin_usec, snapshot, ret))
		snapshot->valid |= 1u << CB_SOURCE_IRQ_AFFINITY;
	if (cb_netdev_conn_collect(host->netdev, begin_usec, snapshot))
		snapshot->valid |= 1u << CB_SOURCE_QUEUES;
	cb_watch_collect(host, begin_usec, snapshot, ret);
	cb_group_collect(host, begin_usec, snapshot);
	host->sources |= snapshot->valid;
	snapshot->time_usec = begin_usec + (cb_host_now_usec(host) - begin_usec) / 2;
	return 0;
}
