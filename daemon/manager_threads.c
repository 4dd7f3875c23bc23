/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Granularity=: what one worker of a process is. Where several of its threads wait for clients, each in an epoll
 * descriptor of its own (HAProxy, Envoy) or in accept(), each of them is a worker. Where they share one descriptor, or a
 * runtime moves its work between them (Go), all are one: nothing can be said about one of them that would hold.
 *
 * A thread shows where it waits only while it does. A process whose threads have not all been seen is looked at again in
 * the next ticks; one that never shows any is taken as a whole.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "log.h"
#include "manager.h"

#define THREADS_MAX 1024u
#define TRIES_MAX   20u

static bool has_member(const struct cb_manager *m, uint32_t group_key, int32_t pid)
{
	for (uint32_t i = 0; i < m->n_members; i++)
		if (m->member[i]->pid == pid && m->member[i]->registration->key == group_key)
			return true;
	return false;
}

static void remember_unseen(struct cb_manager *m, const struct cb_unseen *unseen)
{
	for (uint32_t i = 0; i < m->n_unseen; i++)
		if (m->unseen[i].pid == unseen->pid && m->unseen[i].group_key == unseen->group_key)
			return;
	/* Without room those that were seen are all there is. */
	if (m->n_unseen < CB_ARRAY_SIZE(m->unseen))
		m->unseen[m->n_unseen++] = *unseen;
}

/* Is each thread of it a worker? The threads that were seen are in @ret_tids. */
static bool look(struct cb_manager *m, const struct cb_registration *registration, int32_t pid,
		 int32_t ret_tids[static THREADS_MAX], size_t *ret_n, uint32_t *ret_n_unseen)
{
	enum cb_granularity granularity = registration->policy.granularity;
	uint32_t n_loops;

	*ret_n = 0;
	*ret_n_unseen = 0;
	if (granularity == CB_GRANULARITY_PROCESS ||
	    cb_selector_empty(&registration->policy.selector) ||
	    cb_scout_threads(m->host, registration->key, pid, ret_tids, THREADS_MAX, ret_n,
			     &n_loops, ret_n_unseen) < 0)
		return false;
	return n_loops > 1 || (granularity == CB_GRANULARITY_THREAD && n_loops == 0 && *ret_n > 1);
}

static int add_threads(struct cb_manager *m, struct cb_registration *registration,
		       const struct cb_worker_identity *process, const int32_t *tids, size_t n,
		       struct cb_err *err)
{
	int r = 1;

	for (size_t i = 0; i < n && r >= 0; i++) {
		int added =
			cb_manager_worker_add(m, registration, process->pid, tids[i], 0, -1, err);

		if (added == 0)
			r = 0;
		else if (added < 0 && added != -ESRCH)
			r = added;
	}
	return r;
}

int cb_manager_process_add(struct cb_manager *m, struct cb_registration *registration, int32_t pid,
			   int pidfd, struct cb_err *err)
{
	struct cb_worker_identity process;
	struct cb_unseen unseen = { .group_key = registration->key, .pid = pid };
	int32_t tids[THREADS_MAX];
	uint32_t n_unseen;
	size_t n;
	int r;

	if (cb_host_identify(m->host, pid, &process, NULL) < 0 ||
	    !look(m, registration, pid, tids, &n, &n_unseen))
		return cb_manager_worker_add(m, registration, pid, 0, 0, pidfd, err);
	if (pidfd >= 0)
		close(pidfd); /* each thread is watched by a descriptor of its own */
	unseen.start_ticks = process.start_ticks;
	if (n_unseen > 0)
		remember_unseen(m, &unseen);
	r = add_threads(m, registration, &process, tids, n, err);
	return n == 0 ? 0 : r;
}

void cb_manager_thread_gone(struct cb_manager *m, const struct cb_member *member)
{
	struct cb_unseen unseen = { .group_key = member->registration->key, .pid = member->pid };
	struct cb_worker_identity process;

	/* Another thread may take over. */
	if (cb_host_identify(m->host, member->pid, &process, NULL) < 0)
		return;
	unseen.start_ticks = process.start_ticks;
	remember_unseen(m, &unseen);
}

/* One of them once more. True: that was all that there is to see. */
static bool look_again(struct cb_manager *m, struct cb_unseen *unseen)
{
	struct cb_registration *registration = cb_manager_group_by_key(m, unseen->group_key);
	struct cb_worker_identity process;
	struct cb_err err = { .msg = "" };
	int32_t tids[THREADS_MAX];
	uint32_t n_unseen;
	size_t n;

	if (!registration || cb_host_identify(m->host, unseen->pid, &process, NULL) < 0 ||
	    process.start_ticks != unseen->start_ticks)
		return true;
	if (look(m, registration, unseen->pid, tids, &n, &n_unseen))
		(void)add_threads(m, registration, &process, tids, n, &err);
	if (n_unseen > 0 && ++unseen->n_tries < TRIES_MAX)
		return false;
	if (!has_member(m, unseen->group_key, unseen->pid) &&
	    cb_manager_worker_add(m, registration, unseen->pid, 0, 0, -1, &err) < 0)
		cb_log(LOG_NOTICE, "Group %s: %s", registration->policy.name, err.msg);
	return true;
}

void cb_manager_threads(struct cb_manager *m)
{
	struct cb_unseen first;

	if (m->n_unseen == 0)
		return;
	/* One a tick, in turn: each costs some milliseconds. */
	first = m->unseen[0];
	memmove(&m->unseen[0], &m->unseen[1], --m->n_unseen * sizeof(first));
	if (!look_again(m, &first))
		remember_unseen(m, &first);
}
