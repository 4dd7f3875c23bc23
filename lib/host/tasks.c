/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who runs on a CPU, for people who ask: every thread's stat, once. Two samples some time apart
 * give the shares. Costs about ten microseconds a thread, so it is never part of a tick.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "host_internal.h"

#define PF_KTHREAD 0x00200000u /* include/linux/sched.h */
#define STAT_BYTES 1024u

struct task_scan {
	struct cb_host *host;
	struct cb_tasks *tasks;
	int32_t cpu;
	uint32_t n_seen;
};

static int append(struct task_scan *scan, int32_t pid, const struct cb_task_stat *stat)
{
	struct cb_tasks *tasks = scan->tasks;
	struct cb_task_use *use;

	if (tasks->n == tasks->cap) {
		uint32_t cap = tasks->cap ? CB_MIN(tasks->cap * 2, CB_TASKS_MAX) : 256;
		struct cb_task_use *grown = reallocarray(tasks->task, cap, sizeof(*tasks->task));

		if (!grown)
			return -ENOMEM;
		tasks->task = grown;
		tasks->cap = cap;
	}
	use = &tasks->task[tasks->n++];
	*use = (struct cb_task_use){
		.pid = pid,
		.tid = stat->pid,
		.last_cpu = stat->last_cpu,
		.start_ticks = stat->start_ticks,
		.cpu_nsec = (stat->utime_ticks + stat->stime_ticks) *
			    (UINT64_C(1000000000) / scan->host->user_hz),
		.kernel = (stat->flags & PF_KTHREAD) != 0,
	};
	snprintf(use->comm, sizeof(use->comm), "%s", stat->comm);
	return 0;
}

/* A thread that ends meanwhile is no error. */
static int look_at(struct task_scan *scan, int dir_fd, int32_t pid, int32_t tid)
{
	_cleanup_close_ int fd = -1;
	struct cb_task_stat stat;
	char name[32], buf[STAT_BYTES];
	ssize_t len;

	snprintf(name, sizeof(name), "%d/stat", tid);
	fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == EMFILE || errno == ENFILE ? -errno : 0;
	len = cb_host_pread_once(fd, buf, sizeof(buf));
	if (len < 0 || cb_task_stat_parse(buf, (size_t)len, &stat) < 0)
		return 0;
	if (stat.state == 'Z' || stat.state == 'X' ||
	    (scan->cpu >= 0 && stat.last_cpu != scan->cpu))
		return 0;
	return append(scan, pid, &stat);
}

static int look_at_process(struct task_scan *scan, int32_t pid)
{
	_cleanup_closedir_ DIR *dir = NULL;
	char path[CB_PATH_PID_MAX];
	struct dirent *entry;

	snprintf(path, sizeof(path), CB_FMT_PID_TASK_DIR, pid);
	if (cb_host_opendir(scan->host, path, &dir) < 0)
		return 0;
	while (scan->n_seen < CB_TASKS_MAX && (entry = readdir(dir))) {
		int32_t tid;
		int r;

		if (cb_number_of(entry->d_name, "", &tid) < 0)
			continue;
		scan->n_seen++;
		r = look_at(scan, dirfd(dir), pid, tid);
		if (r < 0)
			return r;
	}
	return 0;
}

static int compare_tids(const void *a, const void *b)
{
	const struct cb_task_use *x = a, *y = b;

	return (x->tid > y->tid) - (x->tid < y->tid);
}

int cb_host_tasks(struct cb_host *host, int32_t cpu, struct cb_tasks *tasks)
{
	_cleanup_free_ int32_t *pids = NULL;
	struct task_scan scan = { .host = host, .tasks = tasks, .cpu = cpu };
	size_t n_pids;
	int r = cb_host_list_numbers(host, CB_PATH_PROC_DIR, "", &pids, &n_pids);

	if (r < 0)
		return r;
	tasks->n = 0;
	tasks->time_usec = cb_host_now_usec(host);
	for (size_t i = 0; i < n_pids && scan.n_seen < CB_TASKS_MAX; i++) {
		r = look_at_process(&scan, pids[i]);
		if (r < 0)
			return r;
	}
	if (tasks->n > 0)
		qsort(tasks->task, tasks->n, sizeof(*tasks->task), compare_tids);
	return 0;
}

void cb_tasks_done(struct cb_tasks *tasks)
{
	free(tasks->task);
	*tasks = (struct cb_tasks){ 0 };
}
