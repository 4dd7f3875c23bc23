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
/* How often those signals are read that nobody needs now. */
#define LAZY_USEC (5 * CB_USEC_PER_SEC)

/* Signals that only people and findings look at. */
enum lazy {
	LAZY_SOFTIRQS,
	LAZY_SOFTNET,
	LAZY_CTXSW,
	LAZY_NIC,
	_LAZY_MAX,
};

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
	uint64_t lazy_usec[_LAZY_MAX]; /* due then, also when nobody needs it */
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
		{ CB_SOURCE_NIC_PACKETS, exists(host, CB_PATH_NET_DIR) },
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
	host->nic_watch = cb_nic_watch_free(host->nic_watch);
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
	struct cb_nic_watch *nics;

	if (cb_irq_watch_fits(host->irq_watch, irqs))
		return 0;
	if (!cb_irq_watch_same_set(host->irq_watch, irqs))
		collector->irq_news = false;
	watch = cb_irq_watch_new(host, irqs, cb_host_now_usec(host));
	nics = cb_nic_watch_new(host, irqs);
	if (!watch || !nics) {
		cb_irq_watch_free(watch);
		cb_nic_watch_free(nics);
		return -ENOMEM;
	}
	cb_irq_watch_free(host->irq_watch);
	cb_nic_watch_free(host->nic_watch);
	host->irq_watch = watch;
	host->nic_watch = nics;
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

/* Those that are due together are read in different ticks. */
static bool is_due(struct cb_host *host, enum lazy signal, uint64_t now_usec)
{
	uint64_t *due_usec = &host->collector->lazy_usec[signal];

	if (host->demanded && !host->demand.detail && now_usec < *due_usec)
		return false;
	*due_usec = now_usec + LAZY_USEC - signal * LAZY_USEC / _LAZY_MAX / 2;
	return true;
}

/* Returns the sources that were asked. */
static uint32_t collect_cpus(struct cb_host *host, const struct cb_cpuset *online,
			     uint64_t now_usec, struct cb_snapshot *snapshot)
{
	struct cb_collector *collector = host->collector;
	uint32_t asked = 0;
	ssize_t len;

	if (is_due(host, LAZY_SOFTIRQS, now_usec)) {
		len = collector->softirqs_fd < 0 ? -EBADF : read_kept(host, collector->softirqs_fd);
		if (len >= 0 && cb_softirqs_parse(host->buf, (size_t)len, snapshot) == 0)
			snapshot->valid |= 1u << CB_SOURCE_SOFTIRQS;
		asked |= 1u << CB_SOURCE_SOFTIRQS;
	}
	if (is_due(host, LAZY_SOFTNET, now_usec)) {
		/* One record for each CPU: a page at a time. */
		len = collector->softnet_fd < 0 ? -EBADF :
						  cb_host_read_big_fd(host, collector->softnet_fd);
		if (len >= 0 && cb_softnet_parse(host->buf, (size_t)len, online, snapshot) == 0)
			snapshot->valid |= 1u << CB_SOURCE_SOFTNET;
		asked |= 1u << CB_SOURCE_SOFTNET;
	}
	if (is_due(host, LAZY_CTXSW, now_usec)) {
		uint32_t n = cb_perf_collect(host->perf, host->demanded ? &host->demand : NULL,
					     snapshot);

		/* Nobody was worth asking: that is no failure. */
		if (n > 0)
			snapshot->valid |= 1u << CB_SOURCE_CTXSW;
		if (n > 0 || !host->perf)
			asked |= 1u << CB_SOURCE_CTXSW;
	}
	return asked;
}

/* A machine whose interfaces have no interrupts lacks nothing; one without interfaces has no such signal. */
static uint32_t collect_nics(struct cb_host *host, uint64_t now_usec, struct cb_snapshot *snapshot)
{
	if (!(host->sources & 1u << CB_SOURCE_NIC_PACKETS))
		return 1u << CB_SOURCE_NIC_PACKETS;
	if (!is_due(host, LAZY_NIC, now_usec)) {
		cb_nic_watch_skip(host->nic_watch, snapshot);
		return 0;
	}
	if (cb_nic_watch_collect(host->nic_watch, host, snapshot))
		snapshot->valid |= 1u << CB_SOURCE_NIC_PACKETS;
	return 1u << CB_SOURCE_NIC_PACKETS;
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

void cb_host_demand(struct cb_host *host, const struct cb_demand *demand)
{
	host->demand = *demand;
	host->demanded = true;
}

void cb_host_memory(const struct cb_host *host,
		    void (*fn)(const void *block, size_t size, void *userdata), void *userdata)
{
	fn(host, sizeof(*host), userdata);
	fn(host->collector, sizeof(*host->collector), userdata);
	fn(host->buf, host->buf_size, userdata);
	cb_irq_watch_memory(host->irq_watch, fn, userdata);
}

uint64_t cb_host_source_age_usec(const struct cb_host *host, enum cb_source source,
				 uint64_t now_usec)
{
	uint64_t usec = host->source_usec[source];

	return usec == 0 ? UINT64_MAX : now_usec > usec ? now_usec - usec : 0;
}

uint32_t cb_host_sources_working(const struct cb_host *host)
{
	return host->working;
}

static void account_sources(struct cb_host *host, const struct cb_snapshot *snapshot,
			    uint32_t asked)
{
	host->sources |= snapshot->valid;
	host->working = (host->working & ~asked) | snapshot->valid;
	for (int i = 0; i < _CB_SOURCE_MAX; i++)
		if (snapshot->valid >> i & 1)
			host->source_usec[i] = snapshot->time_usec;
}

int cb_collect(struct cb_host *host, struct cb_snapshot *snapshot, struct cb_collect_events *ret)
{
	const uint32_t lazy = 1u << CB_SOURCE_SOFTIRQS | 1u << CB_SOURCE_SOFTNET |
			      1u << CB_SOURCE_CTXSW | 1u << CB_SOURCE_NIC_PACKETS;
	uint64_t begin_usec = cb_host_now_usec(host);
	struct cb_cpuset online;
	uint32_t asked;
	int r;

	if (!fits(host, snapshot))
		return -EINVAL;
	begin(host, snapshot, ret);
	r = collect_stat(host, begin_usec, snapshot, ret, &online);
	if (r < 0 || ret->changed & CB_COLLECT_TOPOLOGY)
		return r;
	asked = ~lazy | collect_cpus(host, &online, begin_usec, snapshot);
	drop_offline(&online, snapshot);
	if (cb_irq_watch_collect(host->irq_watch, host, begin_usec, snapshot, ret))
		snapshot->valid |= 1u << CB_SOURCE_IRQ_AFFINITY;
	if (cb_netdev_conn_collect(host->netdev, begin_usec, snapshot))
		snapshot->valid |= 1u << CB_SOURCE_QUEUES;
	asked |= collect_nics(host, begin_usec, snapshot);
	cb_watch_collect(host, begin_usec, snapshot, ret);
	cb_group_collect(host, begin_usec, snapshot);
	snapshot->time_usec = begin_usec + (cb_host_now_usec(host) - begin_usec) / 2;
	account_sources(host, snapshot, asked);
	return 0;
}
