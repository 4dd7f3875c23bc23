/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Groups and their workers. A group comes from the configuration or from a registration over the bus; the configuration
 * wins where both name the same. A worker is a process by pid and start time, watched by a pidfd; when it ends it is
 * forgotten at once, and a PIDFile= is listed again. Keys are never used twice.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "bus.h"
#include "cpubalance/scan.h"
#include "log.h"
#include "manager.h"

/* --- finding --- */

struct cb_registration *cb_manager_group_find(const struct cb_manager *m, const char *name)
{
	for (uint32_t i = 0; i < m->n_registrations; i++)
		if (strcmp(m->registration[i]->policy.name, name) == 0)
			return m->registration[i];
	return NULL;
}

struct cb_registration *cb_manager_group_by_key(const struct cb_manager *m, uint32_t key)
{
	for (uint32_t i = 0; i < m->n_registrations; i++)
		if (m->registration[i]->key == key)
			return m->registration[i];
	return NULL;
}

bool cb_manager_group_view(const struct cb_manager *m, uint32_t key, struct cb_group_view *ret)
{
	for (uint32_t i = 0; i < cb_engine_n_groups(m->engine); i++) {
		cb_engine_group(m->engine, i, ret);
		if (ret->key == key)
			return true;
	}
	return false;
}

struct cb_member *cb_manager_worker_by_key(const struct cb_manager *m, uint32_t key)
{
	for (uint32_t i = 0; i < m->n_members; i++)
		if (m->member[i]->key == key)
			return m->member[i];
	return NULL;
}

struct cb_member *cb_manager_worker_by_pid(const struct cb_manager *m, int32_t pid)
{
	for (uint32_t i = 0; i < m->n_members; i++)
		if (m->member[i]->pid == pid)
			return m->member[i];
	return NULL;
}

uint32_t cb_manager_worker_find(const struct cb_manager *m, const char *name)
{
	struct cb_scan s = CB_SCAN(name, strlen(name));
	const char *slash = strrchr(name, '/');
	struct cb_worker_view view;
	struct cb_member *member;
	uint32_t number;

	if (slash)
		s.p = slash + 1;
	if (!cb_scan_u32(&s, &number) || !cb_scan_done(&s))
		return 0;
	if (!slash) {
		for (uint32_t i = 0; i < m->n_members; i++)
			if (m->member[i]->tid != 0 && (uint32_t)m->member[i]->tid == number)
				return m->member[i]->key;
		member = number <= INT32_MAX ? cb_manager_worker_by_pid(m, (int32_t)number) : NULL;
		return member ? member->key : 0;
	}
	for (uint32_t i = 0; i < cb_engine_n_workers(m->engine); i++) {
		cb_engine_worker(m->engine, i, &view);
		if (view.slot == number && strlen(view.group) == (size_t)(slash - name) &&
		    strncmp(view.group, name, (size_t)(slash - name)) == 0)
			return view.key;
	}
	return 0;
}

/* --- groups --- */

static void feed_group(struct cb_manager *m, const struct cb_registration *registration)
{
	struct cb_event event = { .kind = CB_EVENT_GROUP_ADDED,
				  .group_key = registration->key,
				  .group = registration->policy };

	if (!m->journal_healthy) {
		event.group.has_mode = true;
		event.group.mode = CB_MODE_OBSERVE;
	}
	m->queues_usec = 0; /* they may be wanted from now on */
	cb_manager_feed_event(m, &event);
}

void cb_manager_groups_refeed(struct cb_manager *m)
{
	for (uint32_t i = 0; i < m->n_registrations; i++)
		feed_group(m, m->registration[i]);
}

static struct cb_registration *group_new(struct cb_manager *m, const struct cb_group_policy *policy)
{
	struct cb_registration *registration = calloc(1, sizeof(*registration));

	if (!registration)
		return NULL;
	registration->manager = m;
	registration->key = ++m->last_group_key;
	registration->policy = *policy;
	registration->told_mode = _CB_MODE_INVALID;
	m->registration[m->n_registrations++] = registration;
	return registration;
}

/* By the journal: heirs of a worker that has ended are the group's too. */
static bool anything_placed(const struct cb_manager *m, const char *name)
{
	for (uint32_t i = 0; m->journal && i < cb_journal_count(m->journal); i++)
		if (strcmp(cb_journal_at(m->journal, i)->group, name) == 0)
			return true;
	return false;
}

static void release_group(struct cb_manager *m, const struct cb_registration *registration)
{
	struct cb_command command = { .kind = CB_COMMAND_RELEASE, .group_key = registration->key };
	struct cb_log_fields fields = CB_LOG_NO_FIELDS;
	struct cb_answer answer;

	if (!anything_placed(m, registration->policy.name))
		return;
	fields.group = registration->policy.name;
	if (cb_manager_command(m, &command, &answer) < 0)
		cb_log_with(LOG_ERR, &fields, "Failed to release group %s: %s", fields.group,
			    answer.text);
	else
		cb_log_with(LOG_NOTICE, &fields,
			    "Group %s released: %u originals put back, %u failed", fields.group,
			    answer.n_restored, answer.n_failed);
}

/* What a worker is has changed: all are released and forgotten. Returns how many processes they were, with their pids. */
static uint32_t drop_members(struct cb_manager *m, const struct cb_registration *registration,
			     int32_t ret_pids[static CB_WORKERS_MAX])
{
	uint32_t n = 0;

	release_group(m, registration);
	for (uint32_t i = m->n_members; i-- > 0;) {
		struct cb_member *member = m->member[i];

		if (member->registration != registration)
			continue;
		if (n == 0 || ret_pids[n - 1] != member->pid)
			ret_pids[n++] = member->pid;
		cb_manager_worker_dropped(m, member);
	}
	return n;
}

int cb_manager_group_set(struct cb_manager *m, const struct cb_group_policy *policy,
			 bool from_config, struct cb_registration **ret, struct cb_err *err)
{
	struct cb_registration *registration = cb_manager_group_find(m, policy->name);
	static int32_t pids[CB_WORKERS_MAX]; /* too big for a stack */
	bool fresh = !registration, regrain;
	uint32_t n_pids = 0;
	int r;

	if (fresh && m->n_registrations >= CB_GROUPS_MAX)
		return cb_err_set(err, -E2BIG, "there are %u groups already, which is the limit",
				  CB_GROUPS_MAX);
	if (fresh)
		registration = group_new(m, policy);
	if (!registration)
		return cb_err_set(err, -ENOMEM, "out of memory");
	if (!fresh && strcmp(registration->policy.pid_file, policy->pid_file) != 0)
		registration->pidfile = (struct cb_pidfile){ .seen = false };
	if (!from_config || !registration->from_config)
		m->saved_dirty = true;
	regrain = !fresh && registration->policy.granularity != policy->granularity;
	if (regrain)
		n_pids = drop_members(m, registration, pids);
	registration->policy = *policy;
	registration->from_config = from_config;
	feed_group(m, registration);
	if (fresh)
		cb_server_group_added(m->server, registration);
	*ret = registration;
	r = cb_manager_select(m, registration, err);
	for (uint32_t i = 0; r >= 0 && i < n_pids; i++) {
		struct cb_err lost = { .msg = "" };

		if (cb_manager_process_add(m, registration, pids[i], -1, &lost) < 0)
			cb_log(LOG_WARNING, "Group %s: lost pid %d: %s", policy->name, pids[i],
			       lost.msg);
	}
	return r;
}

void cb_manager_group_remove(struct cb_manager *m, struct cb_registration *registration)
{
	struct cb_event event = { .kind = CB_EVENT_GROUP_REMOVED, .group_key = registration->key };

	release_group(m, registration);
	for (uint32_t i = m->n_members; i-- > 0;)
		if (m->member[i]->registration == registration)
			cb_manager_worker_dropped(m, m->member[i]);
	cb_manager_feed_event(m, &event);
	cb_server_group_removed(m->server, registration);
	cb_scout_forget(m->host, registration->key);
	cb_manager_gauge_close(registration);
	if (!registration->from_config)
		m->saved_dirty = true;
	for (uint32_t i = 0; i < m->n_registrations; i++)
		if (m->registration[i] == registration)
			m->registration[i] = m->registration[--m->n_registrations];
	free(registration);
}

static bool configured(const struct cb_policy *policy, const char *name)
{
	for (uint32_t i = 0; i < policy->n_groups; i++)
		if (strcmp(policy->group[i].name, name) == 0)
			return true;
	return false;
}

void cb_manager_groups_configure(struct cb_manager *m)
{
	struct cb_registration *registration;
	struct cb_err err = { .msg = "" };

	for (uint32_t i = m->n_registrations; i-- > 0;)
		if (m->registration[i]->from_config &&
		    !configured(m->policy, m->registration[i]->policy.name))
			cb_manager_group_remove(m, m->registration[i]);
	for (uint32_t i = 0; i < m->policy->n_groups; i++)
		if (cb_manager_group_set(m, &m->policy->group[i], true, &registration, &err) < 0)
			cb_log(LOG_ERR, "Failed to add group %s: %s", m->policy->group[i].name,
			       err.msg);
	cb_manager_groups_refeed(m);
}

/* --- workers --- */

static void member_forget(struct cb_manager *m, struct cb_member *member)
{
	for (uint32_t i = 0; i < m->n_members; i++)
		if (m->member[i] == member) {
			m->member[i] = m->member[--m->n_members];
			break;
		}
	sd_event_source_disable_unref(member->exit);
	free(member);
}

static void leave(struct cb_manager *m, struct cb_member *member, bool lives)
{
	struct cb_event event = { .kind = CB_EVENT_WORKER_GONE,
				  .worker_key = member->key,
				  .present = lives };

	if (member->tid != 0)
		cb_manager_thread_gone(m, member);
	member->registration->pidfile.relist = true;
	if (!member->registration->from_config)
		m->saved_dirty = true;
	/* The descriptor belongs to the host: first its event source goes, then it. */
	member_forget(m, member);
	cb_host_unwatch(m->host, event.worker_key);
	m->prepare_needed = true;
	cb_manager_feed_event(m, &event);
}

void cb_manager_worker_gone(struct cb_manager *m, struct cb_member *member)
{
	leave(m, member, false);
}

void cb_manager_worker_dropped(struct cb_manager *m, struct cb_member *member)
{
	leave(m, member, true);
}

static int on_exit_of(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct cb_member *member = userdata;

	(void)source;
	(void)fd;
	(void)revents;
	cb_manager_worker_gone(member->manager, member);
	return 0;
}

/* After the identity was read: still the process that the descriptor stands for? */
static bool ended(int pidfd)
{
	struct pollfd pollfd = { .fd = pidfd, .events = POLLIN };

	return pidfd >= 0 && poll(&pollfd, 1, 0) > 0;
}

static void feed_worker(struct cb_manager *m, const struct cb_member *member,
			const struct cb_worker_identity *identity)
{
	struct cb_event event = { .kind = CB_EVENT_WORKER_ADDED };
	const struct cb_journal_entry *entry = NULL;

	event.worker = (struct cb_worker_added){
		.key = member->key,
		.group_key = member->registration->key,
		.pid = member->pid,
		.tid = member->tid,
		.start_ticks = member->start_ticks,
		.cpuset = identity->cpuset,
		.original = identity->mask,
	};
	memcpy(event.worker.comm, identity->comm, sizeof(event.worker.comm));
	if (m->journal)
		entry = cb_journal_find_task(m->journal,
					     member->tid != 0 ? member->tid : member->pid,
					     member->start_ticks);
	if (entry) {
		event.worker.placed = true;
		event.worker.original = entry->original;
	}
	cb_manager_feed_event(m, &event);
}

static int watch(struct cb_manager *m, struct cb_member *member,
		 const struct cb_worker_identity *identity, int pidfd, struct cb_err *err)
{
	int fd = -1;
	int r = cb_host_watch(m->host, member->key, member->registration->key, identity, pidfd, &fd,
			      err);

	if (r < 0)
		return r;
	if (fd >= 0)
		r = sd_event_add_io(m->event, &member->exit, fd, EPOLLIN, on_exit_of, member);
	if (r < 0) {
		cb_host_unwatch(m->host, member->key);
		return cb_err_set(err, r, "cannot watch pid %d: %s", member->pid, strerror(-r));
	}
	return 0;
}

static struct cb_member *member_new(struct cb_manager *m, struct cb_registration *registration,
				    const struct cb_worker_identity *identity)
{
	struct cb_member *member = calloc(1, sizeof(*member));

	if (!member)
		return NULL;
	member->manager = m;
	member->key = ++m->last_worker_key;
	member->registration = registration;
	member->pid = identity->pid;
	member->tid = identity->tid;
	member->start_ticks = identity->start_ticks;
	member->cpuset = identity->cpuset;
	member->uid = identity->uid;
	memcpy(member->unit, identity->unit, sizeof(member->unit));
	m->member[m->n_members++] = member;
	return member;
}

/* Who is a worker already and has the process, or the thread, or all of it when only a thread is asked for. */
static struct cb_member *find_same(const struct cb_manager *m,
				   const struct cb_worker_identity *identity)
{
	for (uint32_t i = 0; i < m->n_members; i++) {
		struct cb_member *member = m->member[i];

		if (member->pid == identity->pid &&
		    (member->tid == identity->tid || member->tid == 0 || identity->tid == 0))
			return member;
	}
	return NULL;
}

/* 1: a member of this group already. */
static int check_member(struct cb_manager *m, const struct cb_registration *registration,
			const struct cb_worker_identity *identity, struct cb_err *err)
{
	struct cb_member *old = find_same(m, identity);

	if (old && old->tid == identity->tid && old->start_ticks != identity->start_ticks) {
		cb_manager_worker_gone(m, old); /* the number was used again before we were told */
		old = NULL;
	}
	if (old && old->registration == registration)
		return 1;
	if (old)
		return cb_err_set(err, -EEXIST, "pid %d is a worker of group %s already",
				  identity->pid, old->registration->policy.name);
	if (m->n_members >= CB_WORKERS_MAX)
		return cb_err_set(err, -E2BIG, "there are %u workers already, which is the limit",
				  CB_WORKERS_MAX);
	if (identity->pid == getpid())
		return cb_err_set(err, -EINVAL, "pid %d is cpubalanced itself", identity->pid);
	return 0;
}

int cb_manager_worker_add(struct cb_manager *m, struct cb_registration *registration, int32_t pid,
			  int32_t tid, uint64_t start_ticks, int pidfd, struct cb_err *err)
{
	struct cb_worker_identity identity;
	struct cb_member *member = NULL;
	int r = tid != 0 ? cb_host_identify_thread(m->host, pid, tid, &identity, err) :
			   cb_host_identify(m->host, pid, &identity, err);

	if (r >= 0 && start_ticks != 0 && identity.start_ticks != start_ticks)
		r = cb_err_set(err, -ESRCH, "pid %d is another process by now", pid);
	if (r >= 0 && ended(pidfd))
		r = cb_err_set(err, -ESRCH, "pid %d has ended", pid);
	if (r >= 0)
		r = check_member(m, registration, &identity, err);
	if (r == 0) {
		member = member_new(m, registration, &identity);
		if (!member)
			r = cb_err_set(err, -ENOMEM, "out of memory");
	}
	if (!member) {
		if (pidfd >= 0)
			close(pidfd);
		return r;
	}
	r = watch(m, member, &identity, pidfd, err);
	if (r < 0) {
		member_forget(m, member);
		return r;
	}
	registration->note[0] = '\0';
	m->prepare_needed = true;
	if (!registration->from_config)
		m->saved_dirty = true;
	feed_worker(m, member, &identity);
	return 0;
}
