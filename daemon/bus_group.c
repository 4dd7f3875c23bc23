/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * /org/cpubalance1/group/NAME, org.cpubalance1.Group. The object's properties and the row of ListGroups() are one table
 * of fields over one struct; only where a figure is unknown do they differ: a row leaves it out, a property, which
 * has to have a value, is NaN or the highest number.
 */
#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus.h"
#include "bus_rows.h"

/* What is shown of a group. */
struct facts {
	const char *name, *mode, *packets, *steering, *steered, *steer_reason, *pid_file, *source,
		*note, *path;
	char *path_owned;
	char allowed[CB_CPULIST_MAX];
	const char *allowed_cpus;
	char selector_text[CB_SELECTOR_TEXT_MAX * 2], note_text[256];
	const char *selector;
	uint32_t workers, changed, queues, backlog, backlog_max, moves_hour;
	uint64_t cooldown_left_usec, queued_bytes, queued_max_bytes;
	double cpu, wait_per_sec, packets_per_sec, drops_per_sec, skew, metric;
};

#define UNKNOWN_U32 UINT32_MAX
#define UNKNOWN_U64 UINT64_MAX

enum when {
	ALWAYS,
	KNOWN, /* when it is not NaN or UNKNOWN_* */
};

static const struct field {
	const char *name;
	char type;
	size_t offset;
	enum when when;
} fields[] = {
	{ "Name", 's', offsetof(struct facts, name), ALWAYS },
	{ "Mode", 's', offsetof(struct facts, mode), ALWAYS },
	{ "Workers", 'u', offsetof(struct facts, workers), ALWAYS },
	{ "Changed", 'u', offsetof(struct facts, changed), ALWAYS },
	{ "AllowedCPUs", 's', offsetof(struct facts, allowed_cpus), ALWAYS },
	{ "Steering", 's', offsetof(struct facts, steering), ALWAYS },
	{ "Steered", 's', offsetof(struct facts, steered), ALWAYS },
	{ "SteeringReason", 's', offsetof(struct facts, steer_reason), ALWAYS },
	{ "PacketSteering", 's', offsetof(struct facts, packets), ALWAYS },
	{ "QueuesSteered", 'u', offsetof(struct facts, queues), ALWAYS },
	{ "CPUTime", 'd', offsetof(struct facts, cpu), KNOWN },
	{ "WaitPerSec", 'd', offsetof(struct facts, wait_per_sec), KNOWN },
	{ "PacketsPerSec", 'd', offsetof(struct facts, packets_per_sec), KNOWN },
	{ "Backlog", 'u', offsetof(struct facts, backlog), KNOWN },
	{ "BacklogMax", 'u', offsetof(struct facts, backlog_max), KNOWN },
	{ "QueuedBytes", 't', offsetof(struct facts, queued_bytes), KNOWN },
	{ "QueuedMaxBytes", 't', offsetof(struct facts, queued_max_bytes), KNOWN },
	{ "DropsPerSec", 'd', offsetof(struct facts, drops_per_sec), KNOWN },
	{ "Skew", 'd', offsetof(struct facts, skew), KNOWN },
	{ "ServiceMetric", 'd', offsetof(struct facts, metric), KNOWN },
	{ "MovesThisHour", 'u', offsetof(struct facts, moves_hour), KNOWN },
	{ "CooldownLeftUSec", 't', offsetof(struct facts, cooldown_left_usec), ALWAYS },
	{ "PIDFile", 's', offsetof(struct facts, pid_file), ALWAYS },
	{ "Selector", 's', offsetof(struct facts, selector), ALWAYS },
	{ "Source", 's', offsetof(struct facts, source), ALWAYS },
	{ "Note", 's', offsetof(struct facts, note), ALWAYS },
	{ "Path", 'o', offsetof(struct facts, path), ALWAYS },
};

char *cb_bus_group_path(const char *name)
{
	char *path = NULL;

	return sd_bus_path_encode(CB_BUS_GROUP_PREFIX, name, &path) < 0 ? NULL : path;
}

static void fill_view(struct facts *ret, const struct cb_registration *registration,
		      const struct cb_group_view *view)
{
	uint64_t now_usec = cb_manager_now(registration->manager);

	ret->mode = cb_mode_name(view->mode);
	ret->steered = cb_steering_name(view->steered);
	if (view->steer_reject != CB_REJECT_NONE)
		ret->steer_reason = cb_reject_sentence(view->steer_reject);
	ret->workers = view->n_workers;
	ret->changed = view->n_placed;
	ret->queues = view->n_queues_placed;
	ret->cpu = view->cpu.smooth;
	ret->wait_per_sec = view->wait_per_sec.smooth;
	if (view->has_packets)
		ret->packets_per_sec = view->packets_per_sec.smooth;
	if (view->has_listen) {
		ret->backlog = view->backlog;
		ret->backlog_max = view->backlog_max;
	}
	if (view->has_datagrams) {
		ret->queued_bytes = view->queued_bytes;
		ret->queued_max_bytes = view->queued_max_bytes;
	}
	if (view->has_listen || view->has_datagrams)
		ret->drops_per_sec = view->drops_per_sec.smooth;
	if (view->has_fds && view->skew_ratio > 0)
		ret->skew = view->skew_ratio;
	if (view->has_metric)
		ret->metric = view->metric;
	ret->moves_hour = view->moves_hour;
	if (view->cooldown_until_usec > now_usec)
		ret->cooldown_left_usec = view->cooldown_until_usec - now_usec;
}

static const char *note_of(const struct cb_registration *registration, struct facts *facts)
{
	const struct cb_group_policy *policy = &registration->policy;

	if (registration->note[0])
		return registration->note;
	if (registration->gauge.note[0]) {
		snprintf(facts->note_text, sizeof(facts->note_text), "no ServiceMetric=: %s",
			 registration->gauge.note);
		return facts->note_text;
	}
	if (!cb_selector_empty(&policy->selector))
		return cb_manager_select_note(registration->manager, registration, facts->note_text,
					      sizeof(facts->note_text));
	if (facts->workers > 0)
		return "";
	return policy->pid_file[0] ?
		       "no worker yet" :
		       "no worker: register its pids, or set Listen=, Unit= or PIDFile=";
}

static void facts_done(struct facts *facts)
{
	free(facts->path_owned);
}

static void fill(struct facts *ret, const struct cb_registration *registration)
{
	const struct cb_group_policy *policy = &registration->policy;
	struct cb_group_view view;

	*ret = (struct facts){ .name = policy->name,
			       .mode = "",
			       .steering = cb_steering_name(policy->steering),
			       .packets = cb_packets_name(policy->packets),
			       .steered = cb_steering_name(CB_STEERING_NONE),
			       .steer_reason = "",
			       .pid_file = policy->pid_file,
			       .source = registration->from_config ? "config" : "bus",
			       .path_owned = cb_bus_group_path(policy->name),
			       .backlog = UNKNOWN_U32,
			       .backlog_max = UNKNOWN_U32,
			       .queued_bytes = UNKNOWN_U64,
			       .queued_max_bytes = UNKNOWN_U64,
			       .moves_hour = UNKNOWN_U32,
			       .cpu = (double)NAN,
			       .wait_per_sec = (double)NAN,
			       .packets_per_sec = (double)NAN,
			       .drops_per_sec = (double)NAN,
			       .skew = (double)NAN,
			       .metric = (double)NAN };
	ret->path = ret->path_owned ? ret->path_owned : CB_BUS_PATH;
	ret->allowed_cpus = ret->allowed;
	if (policy->has_allowed)
		cb_cpuset_format_list(&policy->allowed_cpus, ret->allowed, sizeof(ret->allowed));
	if (cb_manager_group_view(registration->manager, registration->key, &view))
		fill_view(ret, registration, &view);
	ret->selector = cb_selector_format(&policy->selector, ret->selector_text,
					   sizeof(ret->selector_text));
	ret->note = note_of(registration, ret);
}

/* Facts are plain bytes to the table. */
static const void *field_of(const struct facts *facts, const struct field *field)
{
	return (const char *)facts + field->offset;
}

static bool known(const struct facts *facts, const struct field *field)
{
	const void *value = field_of(facts, field);
	uint64_t big;
	uint32_t number;
	double figure;

	if (field->when == ALWAYS)
		return true;
	if (field->type == 't') {
		memcpy(&big, value, sizeof(big));
		return big != UNKNOWN_U64;
	}
	if (field->type == 'd') {
		memcpy(&figure, value, sizeof(figure));
		return !isnan(figure);
	}
	memcpy(&number, value, sizeof(number));
	return number != UNKNOWN_U32;
}

/* What sd_bus_message_append_basic() wants: the address of a number, but the text itself. */
static const void *basic_of(const struct facts *facts, const struct field *field)
{
	const void *value = field_of(facts, field);
	const char *text;

	if (field->type != 's' && field->type != 'o')
		return value;
	memcpy(&text, value, sizeof(text));
	return text;
}

void cb_rows_group(struct cb_rows *rows, const struct cb_registration *registration)
{
	struct facts facts;

	fill(&facts, registration);
	for (size_t i = 0; i < CB_ARRAY_SIZE(fields); i++)
		if (known(&facts, &fields[i]))
			cb_row_basic(rows, fields[i].name, fields[i].type,
				     basic_of(&facts, &fields[i]));
	facts_done(&facts);
}

static int get_property(sd_bus *bus, const char *path, const char *interface, const char *property,
			sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	const struct cb_registration *registration = userdata;
	struct facts facts;
	int r = 0;

	(void)bus;
	(void)path;
	(void)interface;
	(void)error;
	fill(&facts, registration);
	for (size_t i = 0; i < CB_ARRAY_SIZE(fields); i++)
		if (strcmp(fields[i].name, property) == 0)
			r = sd_bus_message_append_basic(reply, fields[i].type,
							basic_of(&facts, &fields[i]));
	facts_done(&facts);
	return r;
}

#define PROPERTY(name, type, flags) SD_BUS_PROPERTY(name, type, get_property, 0, flags)
#define EMITS			    SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE
static const sd_bus_vtable vtable[] = { SD_BUS_VTABLE_START(0),
					PROPERTY("Name", "s", SD_BUS_VTABLE_PROPERTY_CONST),
					PROPERTY("Mode", "s", EMITS),
					PROPERTY("Workers", "u", EMITS),
					PROPERTY("Changed", "u", EMITS),
					PROPERTY("AllowedCPUs", "s", 0),
					PROPERTY("Steering", "s", 0),
					PROPERTY("Steered", "s", 0),
					PROPERTY("SteeringReason", "s", 0),
					PROPERTY("PacketSteering", "s", 0),
					PROPERTY("QueuesSteered", "u", 0),
					PROPERTY("CPUTime", "d", 0),
					PROPERTY("WaitPerSec", "d", 0),
					PROPERTY("PacketsPerSec", "d", 0),
					PROPERTY("Backlog", "u", 0),
					PROPERTY("BacklogMax", "u", 0),
					PROPERTY("QueuedBytes", "t", 0),
					PROPERTY("QueuedMaxBytes", "t", 0),
					PROPERTY("DropsPerSec", "d", 0),
					PROPERTY("Skew", "d", 0),
					PROPERTY("ServiceMetric", "d", 0),
					PROPERTY("MovesThisHour", "u", 0),
					PROPERTY("CooldownLeftUSec", "t", 0),
					PROPERTY("PIDFile", "s", 0),
					PROPERTY("Selector", "s", 0),
					PROPERTY("Source", "s", 0),
					PROPERTY("Note", "s", 0),
					PROPERTY("Path", "o", SD_BUS_VTABLE_PROPERTY_CONST),
					SD_BUS_VTABLE_END };

static int find(sd_bus *bus, const char *path, const char *interface, void *userdata,
		void **ret_found, sd_bus_error *error)
{
	struct cb_server *server = userdata;
	struct cb_registration *registration;
	char *name = NULL;
	int r = sd_bus_path_decode(path, CB_BUS_GROUP_PREFIX, &name);

	(void)bus;
	(void)interface;
	(void)error;
	if (r <= 0)
		return r;
	registration = cb_manager_group_find(server->manager, name);
	free(name);
	*ret_found = registration;
	return registration ? 1 : 0;
}

static int enumerate(sd_bus *bus, const char *prefix, void *userdata, char ***ret_nodes,
		     sd_bus_error *error)
{
	const struct cb_manager *m = ((struct cb_server *)userdata)->manager;
	char **nodes = calloc(m->n_registrations + 1, sizeof(*nodes));

	(void)bus;
	(void)prefix;
	(void)error;
	if (!nodes)
		return -ENOMEM;
	for (uint32_t i = 0, n = 0; i < m->n_registrations; i++) {
		nodes[n] = cb_bus_group_path(m->registration[i]->policy.name);
		if (nodes[n])
			n++;
	}
	*ret_nodes = nodes;
	return 1;
}

int cb_bus_group_add(struct cb_server *server)
{
	int r = sd_bus_add_fallback_vtable(server->bus, NULL, CB_BUS_GROUP_PREFIX, CB_BUS_GROUP,
					   vtable, find, server);

	if (r >= 0)
		r = sd_bus_add_node_enumerator(server->bus, NULL, CB_BUS_GROUP_PREFIX, enumerate,
					       server);
	return r;
}

int cb_bus_reply_group(sd_bus_message *call, const char *name)
{
	char *path = cb_bus_group_path(name);
	int r = path ? sd_bus_reply_method_return(call, "o", path) : -ENOMEM;

	free(path);
	return r;
}

/* --- what has changed --- */

static void tell_group(struct cb_server *server, struct cb_registration *registration)
{
	struct cb_group_view view;
	char *changed[4], *path;
	size_t n = 0;

	if (!cb_manager_group_view(server->manager, registration->key, &view))
		return;
	if (registration->told_workers != view.n_workers)
		changed[n++] = (char *)(uintptr_t) "Workers";
	if (registration->told_changed != view.n_placed)
		changed[n++] = (char *)(uintptr_t) "Changed";
	if (registration->told_mode != view.mode)
		changed[n++] = (char *)(uintptr_t) "Mode";
	if (n == 0)
		return;
	changed[n] = NULL;
	registration->told_workers = view.n_workers;
	registration->told_changed = view.n_placed;
	registration->told_mode = view.mode;
	path = cb_bus_group_path(registration->policy.name);
	if (path)
		sd_bus_emit_properties_changed_strv(server->bus, path, CB_BUS_GROUP, changed);
	free(path);
}

void cb_bus_group_changed(struct cb_server *server)
{
	struct cb_manager *m = server->manager;

	for (uint32_t i = 0; i < m->n_registrations; i++)
		tell_group(server, m->registration[i]);
}

/* Both while the group can still, or already, be found. */
static void tell_object(struct cb_server *server, const struct cb_registration *registration,
			int (*emit)(sd_bus *bus, const char *path))
{
	char *path;

	if (!server || !server->owned)
		return;
	path = cb_bus_group_path(registration->policy.name);
	if (path)
		emit(server->bus, path);
	free(path);
}

void cb_server_group_added(struct cb_server *server, const struct cb_registration *registration)
{
	tell_object(server, registration, sd_bus_emit_object_added);
}

void cb_server_group_removed(struct cb_server *server, const struct cb_registration *registration)
{
	tell_object(server, registration, sd_bus_emit_object_removed);
}
