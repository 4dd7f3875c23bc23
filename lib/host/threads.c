/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The threads of one process. Where taskstats is missing, each thread's schedstat and status are
 * read through kept descriptors, and the directory is walked again only when the number of threads
 * has changed or one of them is gone. What a thread had when it was last read stays in the sum
 * after it has exited, so that sums never fall.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "collect.h"

/* Threads whose masks are compared; of a process with more, the first ones. */
#define MASKS_MAX     1024u
#define LISTING_BYTES 8192u

struct cb_thread {
	int32_t tid;
	int schedstat_fd, status_fd;
	bool alive; /* seen by the present walk */
	struct cb_taskstats last;
};

int cb_dir_numbers(int dir_fd, int32_t *ret, size_t cap, size_t *ret_n)
{
	_Alignas(struct dirent64) char listing[LISTING_BYTES];
	size_t n = 0;

	if (lseek(dir_fd, 0, SEEK_SET) < 0)
		return -errno;
	for (;;) {
		ssize_t len = getdents64(dir_fd, listing, sizeof(listing));

		if (len < 0)
			return -errno;
		if (len == 0)
			break;
		for (ssize_t at = 0; at < len;) {
			const struct dirent64 *entry = (const void *)(listing + at);
			int32_t number;

			at += entry->d_reclen;
			if (cb_number_of(entry->d_name, "", &number) < 0)
				continue;
			if (n == cap) {
				*ret_n = n;
				return 0;
			}
			ret[n++] = number;
		}
	}
	*ret_n = n;
	return 0;
}

/* --- masks --- */

static int mask_from_file(struct cb_host *host, int32_t pid, int32_t tid, struct cb_cpuset *ret)
{
	struct cb_task_status status;
	char path[CB_PATH_PID_MAX];
	ssize_t len;
	int r;

	snprintf(path, sizeof(path), CB_FMT_TASK_STATUS, pid, tid);
	len = cb_host_read_big(host, path);
	if (len == -ENOENT && pid == tid) {
		snprintf(path, sizeof(path), CB_FMT_PID_STATUS, pid);
		len = cb_host_read_big(host, path);
	}
	if (len < 0)
		return len == -ENOENT ? -ESRCH : (int)len;
	r = cb_task_status_parse(host->buf, (size_t)len, &status);
	if (r == 0)
		*ret = status.allowed;
	return r;
}

int cb_thread_mask(struct cb_host *host, int32_t pid, int32_t tid, struct cb_cpuset *ret)
{
	long len;

	if (!host->live)
		return mask_from_file(host, pid, tid, ret);
	/* The call itself, not the C library's: that one clears and knows only sets of 1,024. */
	len = syscall(SYS_sched_getaffinity, tid, sizeof(ret->word), ret->word);
	if (len < 0)
		return -errno;
	memset((char *)ret->word + len, 0, sizeof(ret->word) - (size_t)len);
	return 0;
}

int cb_threads_odd_mask(struct cb_threads *threads, struct cb_host *host, int32_t pid,
			const struct cb_cpuset *mask, struct cb_cpuset *ret)
{
	int32_t tids[MASKS_MAX];
	size_t n;
	int r = threads->dir_fd < 0 ? -EBADF : cb_dir_numbers(threads->dir_fd, tids, MASKS_MAX, &n);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		struct cb_cpuset other;

		if (cb_thread_mask(host, pid, tids[i], &other) == 0 &&
		    !cb_cpuset_equal(&other, mask)) {
			*ret = other;
			return 0;
		}
	}
	return -ENOENT;
}

/* --- sums --- */

static void add(struct cb_taskstats *sum, const struct cb_taskstats *more)
{
	sum->cpu_nsec += more->cpu_nsec;
	sum->wait_nsec += more->wait_nsec;
	sum->vol_switches += more->vol_switches;
	sum->invol_switches += more->invol_switches;
}

static int read_thread(struct cb_thread *thread, struct cb_host *host)
{
	struct cb_schedstat schedstat;
	struct cb_task_status status;
	ssize_t len = cb_host_pread_once(thread->schedstat_fd, host->buf, host->buf_size);
	int r = len < 0 ? (int)len : cb_schedstat_parse(host->buf, (size_t)len, &schedstat);

	if (r < 0)
		return r;
	len = cb_host_pread_once(thread->status_fd, host->buf, host->buf_size);
	r = len < 0 ? (int)len : cb_task_status_parse(host->buf, (size_t)len, &status);
	if (r < 0)
		return r;
	thread->last = (struct cb_taskstats){
		.cpu_nsec = schedstat.cpu_nsec,
		.wait_nsec = schedstat.wait_nsec,
		.vol_switches = status.vol_switches,
		.invol_switches = status.invol_switches,
	};
	return 0;
}

static void close_thread(struct cb_thread *thread)
{
	cb_closep(&thread->schedstat_fd);
	cb_closep(&thread->status_fd);
}

static struct cb_thread *find_thread(struct cb_threads *threads, int32_t tid)
{
	for (uint32_t i = 0; i < threads->n; i++)
		if (threads->thread[i].tid == tid)
			return &threads->thread[i];
	return NULL;
}

/*
 * Returns 0 also when the thread has ended meanwhile; -ENOENT when there is no schedstat in this
 * kernel.
 */
static int add_thread(struct cb_threads *threads, struct cb_host *host, int32_t pid, int32_t tid)
{
	struct cb_thread thread = { .tid = tid, .alive = true };
	char path[CB_PATH_PID_MAX];

	if (threads->n == threads->cap) {
		uint32_t cap = threads->cap ? threads->cap * 2 : 8;
		struct cb_thread *grown =
			reallocarray(threads->thread, cap, sizeof(*threads->thread));

		if (!grown)
			return -ENOMEM;
		threads->thread = grown;
		threads->cap = cap;
	}
	snprintf(path, sizeof(path), CB_FMT_TASK_STATUS, pid, tid);
	thread.status_fd = cb_host_openat(host, path, O_RDONLY);
	if (thread.status_fd < 0)
		return thread.status_fd == -ENOENT ? 0 : thread.status_fd;
	snprintf(path, sizeof(path), CB_FMT_TASK_SCHEDSTAT, pid, tid);
	thread.schedstat_fd = cb_host_openat(host, path, O_RDONLY);
	if (thread.schedstat_fd < 0) {
		int r = thread.schedstat_fd;

		/* The thread may have ended between the two. */
		if (cb_host_pread_once(thread.status_fd, host->buf, host->buf_size) < 0)
			r = 0;
		close_thread(&thread);
		return r;
	}
	threads->thread[threads->n++] = thread;
	return 0;
}

static void drop_dead(struct cb_threads *threads)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < threads->n; i++) {
		struct cb_thread *thread = &threads->thread[i];

		if (thread->alive) {
			threads->thread[n++] = *thread;
			continue;
		}
		add(&threads->exited, &thread->last);
		close_thread(thread);
	}
	threads->n = n;
}

static int walk(struct cb_threads *threads, struct cb_host *host, int32_t pid)
{
	int32_t tids[CB_THREADS_MAX + 1];
	size_t n;
	int r = threads->dir_fd < 0 ? -ENOENT :
				      cb_dir_numbers(threads->dir_fd, tids, CB_THREADS_MAX + 1, &n);

	if (r < 0)
		return r;
	if (n > CB_THREADS_MAX)
		return -E2BIG;
	for (uint32_t i = 0; i < threads->n; i++)
		threads->thread[i].alive = false;
	for (size_t i = 0; i < n; i++) {
		struct cb_thread *thread = find_thread(threads, tids[i]);

		if (thread)
			thread->alive = true;
		else if ((r = add_thread(threads, host, pid, tids[i])) < 0)
			return r;
	}
	drop_dead(threads);
	return threads->n > 0 ? 0 : -ESRCH;
}

static void close_threads(struct cb_threads *threads)
{
	for (uint32_t i = 0; i < threads->n; i++)
		close_thread(&threads->thread[i]);
	threads->n = 0;
}

uint32_t cb_threads_collect(struct cb_threads *threads, struct cb_host *host, int32_t pid,
			    uint32_t n_threads, struct cb_taskstats *ret)
{
	struct cb_taskstats sum;
	bool lost = false;

	if (threads->coarse)
		return 0;
	if (n_threads != threads->n_walked || threads->n == 0) {
		int r = walk(threads, host, pid);

		if (r == -ESRCH)
			return 0;
		if (r < 0) {
			/* For good: a sum that is whole one second and not the next would jump. */
			threads->coarse = true;
			close_threads(threads);
			return 0;
		}
		threads->n_walked = n_threads;
	}
	sum = threads->exited;
	for (uint32_t i = 0; i < threads->n; i++) {
		lost |= read_thread(&threads->thread[i], host) < 0;
		add(&sum, &threads->thread[i].last);
	}
	if (lost)
		threads->n_walked = 0; /* walk again in the next tick */
	*ret = sum;
	return CB_WORKER_HAS_CPU | CB_WORKER_HAS_WAIT | CB_WORKER_HAS_SWITCHES;
}

void cb_threads_done(struct cb_threads *threads)
{
	close_threads(threads);
	free(threads->thread);
	threads->thread = NULL;
	threads->cap = 0;
	cb_closep(&threads->dir_fd);
}
