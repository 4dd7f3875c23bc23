/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Groups that are named by what they serve: Listen=, Unit=, Cgroup= and Process=. The host looks for them; here
 * they become workers, and what stands in the way becomes words. With a PIDFile=, or pids in a registration, those are the candidates
 * and the selector says which of them fit. A worker that no longer fits stays one until it ends, as with PIDFile=: a server
 * that is being replaced still carries load while it drains.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "log.h"
#include "manager.h"

static uint32_t count_workers(const struct cb_manager *m,
			      const struct cb_registration *registration)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < m->n_members; i++)
		n += m->member[i]->registration == registration;
	return n;
}

static void tell_found(const struct cb_member *member)
{
	struct cb_log_fields fields = CB_LOG_NO_FIELDS;
	char text[CB_SELECTOR_TEXT_MAX];

	fields.group = member->registration->policy.name;
	cb_log_with(LOG_INFO, &fields, "Group %s: found %s %d by %s%s", fields.group,
		    member->tid != 0 ? "the threads of" : "worker", member->pid,
		    cb_selector_format(&member->registration->policy.selector, text, sizeof(text)),
		    member->guess ? ", a guess" : "");
}

/* Seen again at each look, said once. */
static void note_refusal(struct cb_registration *registration, const char *text)
{
	struct cb_log_fields fields = CB_LOG_NO_FIELDS;

	if (strncmp(registration->note, text, sizeof(registration->note) - 1) == 0)
		return;
	snprintf(registration->note, sizeof(registration->note), "%.*s",
		 (int)sizeof(registration->note) - 1, text);
	fields.group = registration->policy.name;
	cb_log_with(LOG_NOTICE, &fields, "Group %s: %s", fields.group, text);
}

static void found(uint32_t group_key, int32_t pid, bool guess, uint32_t n_loops, void *userdata)
{
	struct cb_manager *m = userdata;
	struct cb_registration *registration = cb_manager_group_by_key(m, group_key);
	struct cb_err err = { .msg = "" };
	struct cb_member *member;
	int r;

	if (!registration)
		return;
	r = cb_manager_process_add(m, registration, pid, -1, &err);
	if (r < 0 && r != -ESRCH) /* one that has just ended is no news */
		note_refusal(registration, err.msg);
	member = r == 0 ? cb_manager_worker_by_pid(m, pid) : NULL;
	if (!member)
		return;
	for (uint32_t i = 0; i < m->n_members; i++) {
		if (m->member[i]->pid != pid)
			continue;
		m->member[i]->found = true;
		m->member[i]->guess = guess;
		m->member[i]->n_loops = n_loops;
	}
	tell_found(member);
}

int cb_manager_select(struct cb_manager *m, struct cb_registration *registration,
		      struct cb_err *err)
{
	const struct cb_group_policy *policy = &registration->policy;
	int r;

	if (policy->granularity == CB_GRANULARITY_THREAD && cb_selector_empty(&policy->selector))
		return cb_err_set(err, -EINVAL,
				  "group %s: Granularity=thread needs Listen=, Unit=, Cgroup= or "
				  "Process=",
				  policy->name);
	r = cb_scout_set(m->host, registration->key, &policy->selector, policy->pid_file[0] != 0);

	if (r < 0)
		return cb_err_set(err, r, "group %s: cannot look for its workers: %s", policy->name,
				  strerror(-r));
	registration->note[0] = 0;
	return 0;
}

/* --- words --- */

/* The most telling of its workers: a guess, or one that serves with several threads. */
static void note_members(const struct cb_manager *m, const struct cb_registration *registration,
			 char *buf, size_t size)
{
	for (uint32_t i = 0; i < m->n_members; i++) {
		const struct cb_member *member = m->member[i];

		if (member->registration != registration)
			continue;
		if (member->guess)
			snprintf(
				buf, size,
				"pid %d holds the socket alone and was not seen to serve it: a guess",
				member->pid);
		else if (member->n_loops > 1 && member->tid == 0 && !buf[0])
			snprintf(buf, size,
				 "pid %d serves with %u threads: handled as one floating process",
				 member->pid, member->n_loops);
	}
}

static void note_none(const struct cb_selector *selector, const struct cb_scout_state *state,
		      char *buf, size_t size)
{
	char text[CB_SELECTOR_TEXT_MAX];

	cb_selector_format(selector, text, sizeof(text));
	if (cb_selector_names_processes(selector) && state->n_candidates == 0 &&
	    state->n_unreadable > 0)
		snprintf(buf, size,
			 "no worker: no process that may be looked at is %s; %u may not "
			 "(CAP_SYS_PTRACE is missing)",
			 text, state->n_unreadable);
	else if (cb_selector_names_processes(selector) && state->n_candidates == 0)
		snprintf(buf, size, "no worker: no process is %s", text);
	else if (state->n_sockets == 0)
		snprintf(buf, size, "no worker: nothing listens on %s", text);
	else if (state->n_unreadable > 0)
		snprintf(buf, size,
			 "no worker: %u sockets match %s, but %u processes may not be looked at "
			 "(CAP_SYS_PTRACE is missing)",
			 state->n_sockets, text, state->n_unreadable);
	else if (state->n_holders == 0)
		snprintf(buf, size, "no worker: no process at hand has a socket of %s", text);
	else
		snprintf(buf, size, "no worker: %u processes hold a socket of %s, none serves it",
			 state->n_holders, text);
}

const char *cb_manager_select_note(const struct cb_manager *m,
				   const struct cb_registration *registration, char *buf,
				   size_t size)
{
	const struct cb_group_policy *policy = &registration->policy;
	struct cb_scout_state state;

	buf[0] = 0;
	note_members(m, registration, buf, size);
	if (buf[0] || count_workers(m, registration) > 0)
		return buf;
	if (!cb_scout_state(m->host, registration->key, &state))
		return "";
	if (policy->pid_file[0])
		snprintf(buf, size, "no worker: none of %s fits the selector", policy->pid_file);
	else
		note_none(&policy->selector, &state, buf, size);
	return buf;
}

/* --- at once, and once per tick --- */

int cb_manager_select_now(struct cb_manager *m, struct cb_registration *registration,
			  struct cb_err *err)
{
	struct cb_scout_state state = { .n_found = 0 };
	char text[CB_ERR_MSG_MAX] = "";

	if (registration->policy.pid_file[0]) {
		cb_manager_pidfile_now(registration);
		state.n_found = count_workers(m, registration);
	} else {
		cb_scout_all(m->host, found, m);
		(void)cb_scout_state(m->host, registration->key, &state);
	}
	if (registration->note[0])
		return cb_err_set(err, -EEXIST, "%s", registration->note);
	if (state.n_found > 0)
		return 0;
	if (registration->policy.pid_file[0])
		cb_manager_select_note(m, registration, text, sizeof(text));
	else
		note_none(&registration->policy.selector, &state, text, sizeof(text));
	return cb_err_set(err, -ESRCH, "%s", text);
}

int cb_manager_select_check(struct cb_manager *m, struct cb_registration *registration, int32_t pid,
			    struct cb_err *err)
{
	char text[CB_SELECTOR_TEXT_MAX];
	const struct cb_member *member = cb_manager_worker_by_pid(m, pid);
	int r = member && member->registration == registration ?
			1 :
			cb_scout_check(m->host, registration->key, pid);

	if (r > 0)
		return 0;
	cb_selector_format(&registration->policy.selector, text, sizeof(text));
	if (r == 0)
		return cb_err_set(err, -EINVAL, "pid %d is not %s", pid, text);
	return cb_err_set(err, r, "cannot see whether pid %d is %s: %s", pid, text, strerror(-r));
}

void cb_manager_selected(struct cb_manager *m)
{
	cb_scout_tick(m->host, m->journal, found, m);
	cb_manager_threads(m);
}
