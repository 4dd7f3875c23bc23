/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Discover(): every reuseport group of the machine, registered or not; ListConnections(): the exact counts of a group's
 * workers. Everybody may ask, and it costs more than a tick: the same answer serves for a while, the longer the more it cost.
 */
#include <arpa/inet.h>
#include <stdio.h>

#include "bus.h"
#include "bus_rows.h"

#define LIMIT_USEC (1 * CB_USEC_PER_SEC)
#define AGE_USEC   (1 * CB_USEC_PER_SEC)
#define AGE_COSTS  20u /* times what it cost: no more than a twentieth of the time */

static const char *address_of(const struct cb_listen *local, char *buf, size_t size)
{
	const char *text = inet_ntop(local->family == CB_ADDRESS_V6 ? AF_INET6 : AF_INET,
				     local->address, buf, (socklen_t)size);

	return text ? text : "";
}

static void row_of_worker(struct cb_rows *rows, const struct cb_manager *m,
			  const struct cb_census_group *group,
			  const struct cb_census_worker *worker)
{
	const struct cb_member *member = cb_manager_worker_by_pid(m, worker->pid);

	cb_row_open(rows);
	cb_row_i32(rows, "PID", worker->pid);
	cb_row_string(rows, "Comm", worker->comm);
	cb_row_u32(rows, "Sockets", worker->n_sockets);
	cb_row_u32(rows, "Threads", worker->n_threads);
	cb_row_u32(rows, "Loops", worker->n_loops);
	if (group->local.protocol == CB_PROTOCOL_TCP)
		cb_row_u32(rows, "Connections", worker->n_connections);
	cb_row_bool(rows, "Guess", worker->guess);
	if (member)
		cb_row_string(rows, "Group", member->registration->policy.name);
	cb_row_close(rows);
}

/* The name under which its workers are registered; NULL for none, or several. */
static const char *registered_as(const struct cb_manager *m, const struct cb_census *census,
				 const struct cb_census_group *group)
{
	const struct cb_registration *found = NULL;

	for (uint32_t i = 0; i < group->n_workers; i++) {
		const struct cb_member *member =
			cb_manager_worker_by_pid(m, census->worker[group->first_worker + i].pid);

		if (!member || (found && member->registration != found))
			return NULL;
		found = member->registration;
	}
	return found ? found->policy.name : NULL;
}

static void row_of_group(struct cb_rows *rows, const struct cb_manager *m,
			 const struct cb_census *census, const struct cb_census_group *group)
{
	char address[INET6_ADDRSTRLEN], listen[CB_LISTEN_TEXT_MAX];

	cb_row_open(rows);
	cb_row_string(rows, "Listen", cb_listen_format(&group->local, listen, sizeof(listen)));
	cb_row_string(rows, "Protocol", cb_protocol_name(group->local.protocol));
	cb_row_string(rows, "Address", address_of(&group->local, address, sizeof(address)));
	cb_row_u32(rows, "Port", group->local.port);
	cb_row_u64(rows, "NetworkNamespace", group->netns);
	cb_row_bool(rows, "OwnNamespace", group->own);
	cb_row_u32(rows, "Sockets", group->n_sockets);
	cb_row_u32(rows, "SocketsUnserved", group->n_unserved);
	if (group->local.protocol == CB_PROTOCOL_TCP) {
		cb_row_u32(rows, "Backlog", group->backlog);
		cb_row_u32(rows, "BacklogMax", group->backlog_max);
	} else {
		cb_row_u64(rows, "QueuedBytes", group->queued_bytes);
		cb_row_u64(rows, "QueuedMaxBytes", group->queued_max_bytes);
	}
	cb_row_u64(rows, "Drops", group->drops);
	if (group->skew_ratio > 0)
		cb_row_double(rows, "Skew", group->skew_ratio);
	cb_row_string(rows, "Group", registered_as(m, census, group));
	cb_row_list_open(rows, "Workers");
	for (uint32_t i = 0; i < group->n_workers; i++)
		row_of_worker(rows, m, group, &census->worker[group->first_worker + i]);
	cb_row_list_close(rows);
	cb_row_close(rows);
}

static void rows_of(struct cb_rows *rows, const struct cb_manager *m, const void *about)
{
	const struct cb_census *census = about;

	cb_list_open(rows);
	for (uint32_t i = 0; i < census->n_groups; i++)
		row_of_group(rows, m, census, &census->group[i]);
	for (uint32_t i = 0; i < census->n_notes; i++) {
		cb_row_open(rows);
		cb_row_string(rows, "Note", census->note[i]);
		cb_row_close(rows);
	}
	cb_list_close(rows);
}

/* @census, @until_usec: an answer and how long it may serve. */
static int refresh(struct cb_manager *m, bool single, struct cb_census **census,
		   uint64_t *until_usec, sd_bus_error *error)
{
	uint64_t now_usec = cb_manager_now(m);
	struct cb_err err = { .msg = "" };
	struct cb_census *fresh;
	int r;

	if (*census && now_usec < *until_usec)
		return 0;
	r = cb_host_census(m->host, single, LIMIT_USEC, &fresh, &err);
	if (r < 0)
		return sd_bus_error_set(error, CB_BUS_ERROR("Refused"), err.msg);
	cb_census_free(*census);
	*census = fresh;
	*until_usec = cb_manager_now(m);
	*until_usec += CB_MAX(AGE_USEC, (*until_usec - now_usec) * AGE_COSTS);
	return 0;
}

static int answer(sd_bus_message *call, struct cb_manager *m,
		  void (*fill)(struct cb_rows *rows, const struct cb_manager *m, const void *about),
		  const void *about)
{
	struct cb_rows rows = { .r = 0 };
	int r = sd_bus_message_new_method_return(call, &rows.message);

	if (r < 0)
		return r;
	fill(&rows, m, about);
	r = rows.r;
	if (r >= 0)
		r = sd_bus_send(NULL, rows.message, NULL);
	sd_bus_message_unref(rows.message);
	return r < 0 ? r : 1;
}

int cb_bus_discover(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	struct cb_manager *m = userdata;
	int r = refresh(m, false, &m->server->census, &m->server->census_until_usec, error);

	return r < 0 ? r : answer(call, m, rows_of, m->server->census);
}

/* --- connections of a group's workers --- */

static void row_of_counts(struct cb_rows *rows, const struct cb_census *census,
			  const struct cb_registration *registration, int32_t pid)
{
	uint32_t n = 0, n_sockets = 0;

	for (uint32_t i = 0; i < census->n_workers; i++) {
		const struct cb_census_worker *worker = &census->worker[i];

		if (worker->pid != pid ||
		    census->group[worker->group].local.protocol != CB_PROTOCOL_TCP)
			continue;
		n += worker->n_connections;
		n_sockets += worker->n_sockets;
	}
	cb_row_open(rows);
	cb_row_string(rows, "Group", registration->policy.name);
	cb_row_i32(rows, "PID", pid);
	cb_row_u32(rows, "Sockets", n_sockets);
	cb_row_u32(rows, "Connections", n);
	cb_row_close(rows);
}

/* Threads share the descriptors of their process, which has one row. */
static bool came_before(const struct cb_manager *m, uint32_t index)
{
	for (uint32_t i = 0; i < index; i++)
		if (m->member[i]->pid == m->member[index]->pid)
			return true;
	return false;
}

static void rows_of_counts(struct cb_rows *rows, const struct cb_manager *m, const void *about)
{
	const struct cb_registration *registration = about;
	const struct cb_census *census = m->server->counts;

	cb_list_open(rows);
	for (uint32_t i = 0; i < m->n_members; i++)
		if (m->member[i]->registration == registration && !came_before(m, i))
			row_of_counts(rows, census, registration, m->member[i]->pid);
	cb_list_close(rows);
}

int cb_bus_connections(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	struct cb_manager *m = userdata;
	const struct cb_registration *registration;
	const char *name;
	int r = sd_bus_message_read(call, "s", &name);

	if (r < 0)
		return r;
	registration = cb_manager_group_find(m, name);
	if (!registration)
		return cb_bus_error(error, CB_BUS_ERROR("NoSuchGroup"), "no group %s", name);
	r = refresh(m, true, &m->server->counts, &m->server->counts_until_usec, error);
	return r < 0 ? r : answer(call, m, rows_of_counts, registration);
}
