/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What is watched: a table of workers by key, each with the descriptors that its samples are read
 * from. A worker's descriptors belong to its process: they give ESRCH when it has ended, whatever
 * its number is used for then. taskstats come first: of who has not run since it was looked at nothing else is read but its
 * mask, which others may set.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "collect.h"

/* How often the masks of a worker's other threads are compared with the main thread's. */
#define WALK_USEC (10 * CB_USEC_PER_SEC)
/* Ticks without an answer after which taskstats is given up for /proc. */
#define FAILURES_MAX 3u

/* --- table --- */

/* Index of @key, or of the first greater one. */
static uint32_t watch_index(const struct cb_watch_table *table, uint32_t key)
{
	uint32_t low = 0, high = table->n;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (table->watch[middle]->key < key)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct cb_watch *find_watch(const struct cb_watch_table *table, uint32_t key)
{
	uint32_t index = table ? watch_index(table, key) : 0;

	return table && index < table->n && table->watch[index]->key == key ? table->watch[index] :
									      NULL;
}

static int group_join(struct cb_watch_table *table, uint32_t key)
{
	uint32_t index = 0;

	while (index < table->n_groups && table->group[index].key < key)
		index++;
	if (index == table->n_groups || table->group[index].key != key) {
		if (table->n_groups == CB_GROUPS_MAX)
			return -E2BIG;
		memmove(&table->group[index + 1], &table->group[index],
			(table->n_groups - index) * sizeof(table->group[0]));
		table->group[index] = (struct cb_watch_group){ .key = key };
		table->n_groups++;
	}
	table->group[index].n_workers++;
	table->dirty = true;
	return 0;
}

static void group_leave(struct cb_watch_table *table, uint32_t key)
{
	uint32_t index = cb_group_index(table, key);

	table->dirty = true;
	if (index == table->n_groups || --table->group[index].n_workers > 0)
		return;
	table->n_groups--;
	memmove(&table->group[index], &table->group[index + 1],
		(table->n_groups - index) * sizeof(table->group[0]));
}

static struct cb_watch *watch_free(struct cb_host *host, struct cb_watch *watch)
{
	if (!watch)
		return NULL;
	cb_netns_leave(host, watch);
	cb_threads_done(&watch->threads);
	cb_closep(&watch->pidfd);
	cb_closep(&watch->stat_fd);
	cb_closep(&watch->fd_dir);
	free(watch->listener);
	free(watch);
	return NULL;
}

struct cb_watch_table *cb_watch_table_free(struct cb_host *host, struct cb_watch_table *table)
{
	if (!table)
		return NULL;
	for (uint32_t i = 0; i < table->n; i++)
		watch_free(host, table->watch[i]);
	free(table->ref);
	free(table);
	return NULL;
}

/* --- start and end --- */

static int open_of(struct cb_host *host, int32_t pid, const char *file, int flags)
{
	char path[CB_PATH_PID_MAX];

	snprintf(path, sizeof(path), CB_FMT_PID_FILE, pid, file);
	return cb_host_openat(host, path, flags);
}

/*
 * 1 when the process behind the kept stat is no more, 0 when it lives, negative errno when that
 * cannot be read.
 */
static int read_stat(struct cb_host *host, const struct cb_watch *watch, struct cb_task_stat *ret)
{
	ssize_t len = cb_host_pread_once(watch->stat_fd, host->buf, host->buf_size);
	int r;

	if (len < 0)
		return len == -ESRCH || len == -ENOENT ? 1 : (int)len;
	r = cb_task_stat_parse(host->buf, (size_t)len, ret);
	if (r < 0)
		return r;
	if (ret->start_ticks != watch->start_ticks)
		return 1;
	if ((ret->state == 'Z' || ret->state == 'X') && watch->tid != 0)
		return 1;
	if (ret->state == 'Z' || ret->state == 'X') {
		/*
		 * The main thread may end before the others: the process lives then, and only its
		 * pidfd knows.
		 */
		struct pollfd ended = { .fd = watch->pidfd, .events = POLLIN };

		return watch->pidfd < 0 || poll(&ended, 1, 0) != 0;
	}
	return 0;
}

static int open_watch(struct cb_host *host, struct cb_watch *watch)
{
	struct cb_task_stat stat;
	char file[32];
	int r;

	snprintf(file, sizeof(file), "task/%d/stat", watch->tid);
	watch->stat_fd = open_of(host, watch->pid, watch->tid != 0 ? file : "stat", O_RDONLY);
	if (watch->stat_fd < 0)
		return watch->stat_fd == -ENOENT ? -ESRCH : watch->stat_fd;
	if (host->live && watch->pidfd < 0) {
		watch->pidfd = (int)syscall(SYS_pidfd_open, watch->pid, 0);
		if (watch->pidfd < 0 && errno == ESRCH)
			return -ESRCH;
	}
	/* Last: a number that was used again since it was identified has another start time. */
	r = read_stat(host, watch, &stat);
	if (r != 0)
		return r > 0 ? -ESRCH : r;
	watch->fd_dir = open_of(host, watch->pid, "fd", O_RDONLY | O_DIRECTORY);
	watch->fd_lists = watch->fd_dir >= 0;
	if (watch->fd_dir < 0)
		watch->fd_dir = open_of(host, watch->pid, "fd", O_PATH | O_DIRECTORY);
	if (watch->tid == 0)
		watch->threads.dir_fd = open_of(host, watch->pid, "task", O_RDONLY | O_DIRECTORY);
	return cb_netns_join(host, watch);
}

static struct cb_watch *watch_new(uint32_t key, uint32_t group_key,
				  const struct cb_worker_identity *identity)
{
	struct cb_watch *watch = calloc(1, sizeof(*watch));

	if (!watch)
		return NULL;
	*watch = (struct cb_watch){
		.key = key,
		.group_key = group_key,
		.pid = identity->pid,
		.tid = identity->tid,
		.start_ticks = identity->start_ticks,
		.pidfd = -1,
		.stat_fd = -1,
		.fd_dir = -1,
		.mask = identity->mask,
		.threads.dir_fd = -1,
	};
	return watch;
}

static int table_ready(struct cb_host *host)
{
	if (!host->watch)
		host->watch = calloc(1, sizeof(*host->watch));
	return host->watch ? 0 : -ENOMEM;
}

/* @pidfd stays the caller's on failure. */
static int start_watch(struct cb_host *host, struct cb_watch *watch, int pidfd, struct cb_err *err)
{
	struct cb_watch_table *table = host->watch;
	uint32_t index = watch_index(table, watch->key);
	int r;

	if (index < table->n && table->watch[index]->key == watch->key)
		return cb_err_set(err, -EEXIST, "worker %u is watched already", watch->key);
	if (table->n == CB_WORKERS_MAX)
		return cb_err_set(err, -E2BIG, "more than %u workers", CB_WORKERS_MAX);
	watch->pidfd = pidfd;
	r = open_watch(host, watch);
	if (r == 0)
		r = group_join(table, watch->group_key);
	if (r < 0) {
		if (pidfd >= 0)
			watch->pidfd = -1;
		if (r == -E2BIG)
			return cb_err_set(err, r, "more than %u groups", CB_GROUPS_MAX);
		return cb_err_set(err, r, "cannot watch process %d: %s", watch->pid, strerror(-r));
	}
	memmove(&table->watch[index + 1], &table->watch[index],
		(table->n - index) * sizeof(table->watch[0]));
	table->watch[index] = watch;
	table->n++;
	cb_netns_scan(host, watch);
	return 0;
}

int cb_host_watch(struct cb_host *host, uint32_t key, uint32_t group_key,
		  const struct cb_worker_identity *identity, int pidfd, int *ret_pidfd,
		  struct cb_err *err)
{
	struct cb_watch *watch;
	int r = table_ready(host);

	if (r < 0)
		return cb_err_set(err, r, "not enough memory");
	watch = watch_new(key, group_key, identity);
	if (!watch)
		return cb_err_set(err, -ENOMEM, "not enough memory");
	r = start_watch(host, watch, pidfd, err);
	if (r < 0) {
		watch_free(host, watch);
		return r;
	}
	if (ret_pidfd)
		*ret_pidfd = watch->pidfd;
	return 0;
}

void cb_host_unwatch(struct cb_host *host, uint32_t key)
{
	struct cb_watch_table *table = host->watch;
	struct cb_watch *watch = find_watch(table, key);
	uint32_t index;

	if (!watch)
		return;
	index = watch_index(table, key);
	table->n--;
	memmove(&table->watch[index], &table->watch[index + 1],
		(table->n - index) * sizeof(table->watch[0]));
	group_leave(table, watch->group_key);
	watch_free(host, watch);
}

/* --- the tick --- */

static void report_mask(struct cb_watch *watch, const struct cb_cpuset *mask,
			struct cb_cpuset *last, struct cb_collect_events *events)
{
	uint32_t n = events->n_worker_masks;

	if (cb_cpuset_equal(mask, last))
		return;
	/* An empty mask says that all threads are as the main thread again: no news of its own. */
	if (!cb_cpuset_empty(mask)) {
		if (n == CB_ARRAY_SIZE(events->worker_mask))
			return; /* news at the next look too */
		events->worker_mask[n].key = watch->key;
		events->worker_mask[n].mask = *mask;
		events->n_worker_masks++;
	}
	*last = *mask;
}

static void collect_masks(struct cb_host *host, struct cb_watch *watch, uint64_t now_usec,
			  struct cb_worker_sample *sample, struct cb_collect_events *events)
{
	struct cb_cpuset odd = CB_CPUSET_EMPTY;
	int r;

	if (cb_thread_mask(host, watch->pid, watch->tid != 0 ? watch->tid : watch->pid,
			   &sample->mask) < 0)
		return;
	sample->present |= CB_WORKER_HAS_MASK;
	report_mask(watch, &sample->mask, &watch->mask, events);
	if (watch->tid != 0 || now_usec < watch->walk_usec)
		return;
	watch->walk_usec = now_usec + WALK_USEC;
	if (sample->n_threads <= 1)
		return;
	r = cb_threads_odd_mask(&watch->threads, host, watch->pid, &sample->mask, &odd);
	if (r == 0 || r == -ENOENT)
		report_mask(watch, &odd, &watch->odd_mask, events);
}

static void collect_fds(struct cb_host *host, const struct cb_watch *watch,
			struct cb_worker_sample *sample)
{
	struct stat st;

	/*
	 * Before 6.2 the size is 0; a live process with no descriptor at all serves nobody. Threads
	 * share them all, so they are none's in particular.
	 */
	if (!host->live || watch->tid != 0 || watch->fd_dir < 0 || fstat(watch->fd_dir, &st) < 0 ||
	    st.st_size <= 0)
		return;
	sample->n_fds = (uint32_t)CB_MIN(st.st_size, (off_t)UINT32_MAX);
	sample->present |= CB_WORKER_HAS_FDS;
}

/* By /proc, where taskstats is not to be had. */
static void collect_cpu(struct cb_host *host, struct cb_watch *watch,
			const struct cb_task_stat *stat, struct cb_worker_sample *sample)
{
	struct cb_taskstats sum = { 0 };
	uint32_t got = 0;

	if (watch->tid == 0)
		got = cb_threads_collect(&watch->threads, host, watch->pid, stat->n_threads, &sum);
	if (got) {
		sample->cpu_nsec = sum.cpu_nsec;
		sample->wait_nsec = sum.wait_nsec;
		sample->vol_switches = sum.vol_switches;
		sample->invol_switches = sum.invol_switches;
	} else {
		sample->cpu_nsec = (stat->utime_ticks + stat->stime_ticks) *
				   (UINT64_C(1000000000) / host->user_hz);
		got = CB_WORKER_HAS_CPU;
	}
	sample->present |= got;
}

/* No thread of it has run since it was looked at: where it is, what it does and what it has open is as it was. */
static bool stands_still(const struct cb_watch *watch, const struct cb_worker_sample *sample)
{
	const struct cb_watch_sample *last = &watch->last;

	return watch->seen && sample->present & CB_WORKER_HAS_CPU &&
	       sample->cpu_nsec == last->cpu_nsec && sample->wait_nsec == last->wait_nsec &&
	       sample->vol_switches == last->vol_switches &&
	       sample->invol_switches == last->invol_switches;
}

static void remember(struct cb_watch *watch, const struct cb_worker_sample *sample)
{
	watch->seen = sample->present & CB_WORKER_HAS_CPU;
	watch->last = (struct cb_watch_sample){
		.present = sample->present & (CB_WORKER_HAS_THREADS | CB_WORKER_HAS_LAST_CPU |
					      CB_WORKER_HAS_STATE | CB_WORKER_HAS_FDS),
		.n_threads = sample->n_threads,
		.n_fds = sample->n_fds,
		.last_cpu = sample->last_cpu,
		.state = sample->state,
		.system_ticks = sample->system_ticks,
		.cpu_nsec = sample->cpu_nsec,
		.wait_nsec = sample->wait_nsec,
		.vol_switches = sample->vol_switches,
		.invol_switches = sample->invol_switches,
	};
}

static void recall(const struct cb_watch *watch, struct cb_worker_sample *sample)
{
	const struct cb_watch_sample *last = &watch->last;

	sample->present |= last->present;
	sample->n_threads = last->n_threads;
	sample->n_fds = last->n_fds;
	sample->last_cpu = last->last_cpu;
	sample->state = last->state;
	sample->system_ticks = last->system_ticks;
}

/* False when it has ended, or cannot be looked at now. */
static bool look(struct cb_host *host, struct cb_watch *watch, struct cb_worker_sample *sample,
		 struct cb_collect_events *events)
{
	struct cb_task_stat stat;
	int r = read_stat(host, watch, &stat);

	watch->gone = r > 0;
	if (r > 0)
		events->gone[events->n_gone++] = watch->key;
	if (r != 0)
		return false;
	sample->n_threads = watch->tid != 0 ? 1 : stat.n_threads;
	sample->last_cpu = stat.last_cpu;
	sample->state = stat.state;
	sample->system_ticks = stat.stime_ticks;
	sample->present |= CB_WORKER_HAS_THREADS | CB_WORKER_HAS_LAST_CPU | CB_WORKER_HAS_STATE;
	collect_fds(host, watch, sample);
	if (!host->taskstats)
		collect_cpu(host, watch, &stat, sample);
	return true;
}

/* taskstats have been asked already, where they are to be had. */
static uint32_t collect_worker(struct cb_host *host, struct cb_watch *watch, uint64_t now_usec,
			       struct cb_worker_sample *sample, struct cb_collect_events *events)
{
	if (host->taskstats && stands_still(watch, sample)) {
		recall(watch, sample);
	} else if (look(host, watch, sample, events)) {
		remember(watch, sample);
	} else {
		watch->seen = false;
		sample->present = 0;
		return 0;
	}
	collect_masks(host, watch, now_usec, sample, events);
	return sample->present;
}

/* The workers from @first on, as many as fit in a batch. Returns how many answered; *ret_next: the next to ask for. */
static uint32_t collect_batch(struct cb_host *host, uint32_t first, struct cb_snapshot *snapshot,
			      uint32_t *ret_next)
{
	struct cb_watch_table *table = host->watch;
	struct cb_taskstats_answer answers[CB_TASKSTATS_BATCH];
	uint32_t n = CB_MIN(table->n - first, CB_TASKSTATS_BATCH), n_answers = 0;

	for (uint32_t i = 0; i < n; i++) {
		const struct cb_watch *watch = table->watch[first + i];

		answers[i] = (struct cb_taskstats_answer){
			.pid = watch->tid != 0 ? watch->tid : watch->pid,
			.thread = watch->tid != 0,
		};
	}
	*ret_next = first + n;
	cb_taskstats_conn_get(host->taskstats, answers, n);
	for (uint32_t i = 0; i < n; i++) {
		struct cb_worker_sample *sample = &snapshot->worker[first + i];

		if (answers[i].r < 0)
			continue;
		n_answers++;
		sample->cpu_nsec = answers[i].stats.cpu_nsec;
		sample->wait_nsec = answers[i].stats.wait_nsec;
		sample->vol_switches = answers[i].stats.vol_switches;
		sample->invol_switches = answers[i].stats.invol_switches;
		sample->present |= CB_WORKER_HAS_CPU | CB_WORKER_HAS_WAIT | CB_WORKER_HAS_SWITCHES;
	}
	return n_answers;
}

/* The counters of the two differ by the threads that have exited: once it has failed for good, never back. */
static void account_taskstats(struct cb_host *host, uint32_t n_alive, uint32_t n_answers)
{
	struct cb_watch_table *table = host->watch;

	if (n_answers > 0 || n_alive == 0)
		table->failures = 0;
	else if (++table->failures == FAILURES_MAX)
		host->taskstats = cb_taskstats_conn_free(host->taskstats);
}

void cb_watch_collect(struct cb_host *host, uint64_t now_usec, struct cb_snapshot *snapshot,
		      struct cb_collect_events *events)
{
	struct cb_watch_table *table = host->watch;
	uint32_t n_alive = 0, n_answers = 0, seen = 0;

	snapshot->n_workers = table ? table->n : 0;
	if (snapshot->n_workers == 0)
		return;
	for (uint32_t i = 0; i < table->n; i++) {
		snapshot->worker[i].key = table->watch[i]->key;
		snapshot->worker[i].present = 0;
	}
	for (uint32_t i = 0; host->taskstats && i < table->n;)
		n_answers += collect_batch(host, i, snapshot, &i);
	for (uint32_t i = 0; i < table->n; i++) {
		uint32_t present = collect_worker(host, table->watch[i], now_usec,
						  &snapshot->worker[i], events);

		seen |= present;
		n_alive += present != 0;
	}
	if (n_answers > 0 && n_alive > 0)
		snapshot->valid |= 1u << CB_SOURCE_TASKSTATS;
	if (seen & CB_WORKER_HAS_THREADS)
		snapshot->valid |= 1u << CB_SOURCE_TASK_STAT;
	if (!host->taskstats && seen & CB_WORKER_HAS_CPU)
		snapshot->valid |= 1u << CB_SOURCE_TASK_PROC;
	if (seen & CB_WORKER_HAS_FDS)
		snapshot->valid |= 1u << CB_SOURCE_FD_COUNT;
	if (host->taskstats)
		account_taskstats(host, n_alive, n_answers);
}
