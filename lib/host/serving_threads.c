/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which thread serves a socket. The threads of a process share its descriptors, so what tells is where each of them waits:
 * in an epoll descriptor that nobody else waits in, as with HAProxy and Envoy, or in accept(). The kernel shows the call of a
 * thread only while it sleeps.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "serving.h"

#define PAIRS_MAX   4096u /* of an epoll descriptor and a socket */
#define THREADS_MAX 1024u
#define LOOKS_MAX   5u
#define LOOK_USEC   400u /* between two of them */

struct pair {
	int32_t epoll_fd;
	uint32_t index;
	bool seen; /* a thread waits in it; in the first pair of the descriptor */
};

struct look {
	struct cb_host *host;
	int32_t pid;
	uint32_t n_pairs;
	struct pair *pair; /* those of one descriptor are neighbours */
	struct cb_holdings holdings;
	void (*fn)(int32_t tid, uint32_t index, void *userdata);
	void *userdata;
};

static void watched(int32_t epoll_fd, uint32_t index, void *userdata)
{
	struct look *look = userdata;

	if (look->n_pairs < PAIRS_MAX)
		look->pair[look->n_pairs++] = (struct pair){ .epoll_fd = epoll_fd, .index = index };
}

static bool is_epoll_wait(int64_t number)
{
	static const long calls[] = {
#ifdef SYS_epoll_wait
		SYS_epoll_wait,
#endif
		SYS_epoll_pwait,
#ifdef SYS_epoll_pwait2
		SYS_epoll_pwait2,
#endif
	};

	for (size_t i = 0; i < CB_ARRAY_SIZE(calls); i++)
		if (number == calls[i])
			return true;
	return false;
}

static bool tell_loop(struct look *look, int32_t tid, uint64_t epoll_fd)
{
	struct pair *first = NULL;

	for (uint32_t i = 0; i < look->n_pairs; i++) {
		struct pair *pair = &look->pair[i];

		if ((uint64_t)pair->epoll_fd != epoll_fd)
			continue;
		first = first ? first : pair;
		look->fn(tid, pair->index, look->userdata);
	}
	if (first)
		first->seen = true;
	return first != NULL;
}

static bool tell_call(struct look *look, int32_t tid, uint64_t fd)
{
	for (uint32_t i = 0; i < look->holdings.n; i++) {
		if ((uint64_t)look->holdings.held[i].fd != fd)
			continue;
		look->fn(tid, look->holdings.held[i].index, look->userdata);
		return true;
	}
	return false;
}

/* True when it is known what the thread waits for. */
static bool look_at_thread(struct look *look, int32_t tid)
{
	char path[CB_PATH_PID_MAX], text[256];
	int64_t number;
	uint64_t first;
	ssize_t len;

	snprintf(path, sizeof(path), CB_FMT_TASK_SYSCALL, look->pid, tid);
	len = cb_host_read_file(look->host, path, text, sizeof(text));
	if (len < 0 || cb_syscall_parse(text, (size_t)len, &number, &first) < 0)
		return false;
	if (is_epoll_wait(number))
		return tell_loop(look, tid, first);
	return cb_call_waits(number) && tell_call(look, tid, first);
}

static uint32_t count_loops(const struct look *look, bool unseen)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < look->n_pairs; i++) {
		const struct pair *pair = &look->pair[i];

		if (i > 0 && pair->epoll_fd == look->pair[i - 1].epoll_fd)
			continue;
		n += !unseen || !pair->seen;
	}
	return n;
}

static void look_at_threads(struct look *look, int32_t *tids, size_t n)
{
	for (unsigned int i = 0; i < LOOKS_MAX; i++) {
		size_t n_left = 0;

		if (i > 0)
			usleep(LOOK_USEC);
		for (size_t j = 0; j < n; j++)
			if (!look_at_thread(look, tids[j]))
				tids[n_left++] = tids[j];
		n = n_left;
		if (n == 0 || (look->n_pairs > 0 && count_loops(look, true) == 0))
			return;
	}
}

int cb_serving_threads(struct cb_host *host, int32_t pid, const struct cb_wanted *wanted,
		       uint32_t n, void (*fn)(int32_t tid, uint32_t index, void *userdata),
		       void *userdata, uint32_t *ret_n_loops, uint32_t *ret_n_unseen)
{
	_cleanup_free_ struct look *look = calloc(1, sizeof(*look));
	_cleanup_free_ struct pair *pair = calloc(PAIRS_MAX, sizeof(*pair));
	const struct cb_holdings_hooks hooks = { .watched = watched, .userdata = look };
	_cleanup_free_ int32_t *tids = NULL;
	char path[CB_PATH_PID_MAX];
	size_t n_tids = 0;
	int r;

	if (!look || !pair)
		return -ENOMEM;
	*look = (struct look){ .host = host, .pid = pid, .fn = fn, .userdata = userdata };
	look->pair = pair;
	r = cb_holdings_read(host, pid, wanted, n, &hooks, &look->holdings);
	if (r < 0)
		return r;
	snprintf(path, sizeof(path), CB_FMT_PID_TASK_DIR, pid);
	if (look->holdings.n > 0 && cb_host_list_numbers(host, path, "", &tids, &n_tids) < 0)
		return -ESRCH;
	look_at_threads(look, tids, CB_MIN(n_tids, (size_t)THREADS_MAX));
	*ret_n_loops = count_loops(look, false);
	*ret_n_unseen = count_loops(look, true);
	return 0;
}
