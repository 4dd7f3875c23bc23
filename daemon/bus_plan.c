/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * /org/cpubalance1/plan/N, org.cpubalance1.Plan: the plan that is proposed or in flight, which the engine has, and the
 * last ones that ended, which the history has.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus.h"
#include "bus_rows.h"
#include "cpubalance/scan.h"

#define PATH_SIZE (sizeof(CB_BUS_PLAN_PREFIX) + 16)

/* Whatever a plan number stands for now; valid until the next feed. */
struct subject {
	const struct cb_plan *plan;	      /* not ended */
	const struct cb_history_entry *ended; /* or this */
};

static bool lookup(const struct cb_manager *m, uint32_t id, struct subject *ret)
{
	const struct cb_plan *plan = cb_engine_plan(m->engine);
	uint32_t n = cb_history_count(m->history);

	*ret = (struct subject){ .plan = plan && plan->id == id ? plan : NULL };
	for (uint32_t i = 0; !ret->plan && i < CB_MIN(n, CB_BUS_PLANS_MAX); i++) {
		ret->ended = cb_history_at(m->history, n - 1 - i);
		if (ret->ended->plan_id == id)
			return true;
	}
	return ret->plan != NULL;
}

static const char *plan_path(uint32_t id, char buf[static PATH_SIZE])
{
	snprintf(buf, PATH_SIZE, CB_BUS_PLAN_PREFIX "/%" PRIu32, id);
	return buf;
}

static bool id_of(const char *path, uint32_t *ret)
{
	struct cb_scan s = CB_SCAN(path, strlen(path));

	return cb_scan_word(&s, CB_BUS_PLAN_PREFIX "/") && !cb_scan_done(&s) && *s.p != '0' &&
	       cb_scan_u32(&s, ret) && cb_scan_done(&s);
}

/* --- properties --- */

static const char *text_of(const struct cb_manager *m, const struct subject *subject,
			   const char *property, char *buf, size_t size)
{
	const struct cb_plan *plan = subject->plan;
	const struct cb_history_entry *ended = subject->ended;

	if (strcmp(property, "State") == 0)
		return cb_plan_state_name(plan ? plan->state : CB_PLAN_DONE);
	if (strcmp(property, "Origin") == 0)
		return cb_origin_name(plan ? plan->origin : ended->origin);
	if (strcmp(property, "Group") == 0)
		return plan ? plan->group : ended->group;
	if (strcmp(property, "Verdict") == 0)
		return cb_verdict_name(plan ? plan->judgement.verdict : ended->verdict);
	if (strcmp(property, "Sentence") == 0)
		return plan ? plan->judgement.sentence : ended->sentence;
	if (!plan)
		return ended->finding;
	if (!plan->has_finding)
		return "";
	return cb_engine_finding_sentence(m->engine, &plan->finding, buf, size);
}

static int get_text(sd_bus *bus, const char *path, const char *interface, const char *property,
		    sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	const struct cb_server *server = userdata;
	struct subject subject;
	char buf[256];
	uint32_t id;

	(void)bus;
	(void)interface;
	(void)error;
	if (!id_of(path, &id) || !lookup(server->manager, id, &subject))
		return -ENOENT;
	return sd_bus_message_append(
		reply, "s", text_of(server->manager, &subject, property, buf, sizeof(buf)));
}

static int get_number(sd_bus *bus, const char *path, const char *interface, const char *property,
		      sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	const struct cb_server *server = userdata;
	struct subject subject;
	double before, after;
	uint32_t id;

	(void)bus;
	(void)interface;
	(void)error;
	if (!id_of(path, &id) || !lookup(server->manager, id, &subject))
		return -ENOENT;
	if (strcmp(property, "Id") == 0)
		return sd_bus_message_append(reply, "u", id);
	before = subject.plan ? subject.plan->hottest_before_ratio :
				subject.ended->hottest_before_ratio;
	after = subject.plan ? subject.plan->hottest_after_ratio :
			       subject.ended->hottest_after_ratio;
	return sd_bus_message_append(reply, "d",
				     strcmp(property, "HottestBefore") == 0 ? before : after);
}

static int get_steps(sd_bus *bus, const char *path, const char *interface, const char *property,
		     sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	const struct cb_server *server = userdata;
	struct cb_rows rows = { .message = reply };
	struct subject subject;
	uint32_t id;

	(void)bus;
	(void)interface;
	(void)property;
	(void)error;
	if (!id_of(path, &id) || !lookup(server->manager, id, &subject))
		return -ENOENT;
	cb_list_open(&rows);
	if (subject.plan)
		cb_rows_steps(&rows, server->manager, subject.plan);
	else
		cb_rows_ended_steps(&rows, subject.ended);
	cb_list_close(&rows);
	return rows.r;
}

#define EMITS SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE
static const sd_bus_vtable vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Id", "u", get_number, 0, SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_PROPERTY("State", "s", get_text, 0, EMITS),
	SD_BUS_PROPERTY("Origin", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_PROPERTY("Group", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_PROPERTY("Verdict", "s", get_text, 0, EMITS),
	SD_BUS_PROPERTY("Sentence", "s", get_text, 0, 0),
	SD_BUS_PROPERTY("Finding", "s", get_text, 0, SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_PROPERTY("HottestBefore", "d", get_number, 0, SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_PROPERTY("HottestAfter", "d", get_number, 0, SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_PROPERTY("Steps", "aa{sv}", get_steps, 0, 0),
	SD_BUS_VTABLE_END
};

static int find(sd_bus *bus, const char *path, const char *interface, void *userdata,
		void **ret_found, sd_bus_error *error)
{
	struct cb_server *server = userdata;
	struct subject subject;
	uint32_t id;

	(void)bus;
	(void)interface;
	(void)error;
	if (!id_of(path, &id) || !lookup(server->manager, id, &subject))
		return 0;
	*ret_found = server;
	return 1;
}

static int enumerate(sd_bus *bus, const char *prefix, void *userdata, char ***ret_nodes,
		     sd_bus_error *error)
{
	const struct cb_manager *m = ((struct cb_server *)userdata)->manager;
	const struct cb_plan *plan = cb_engine_plan(m->engine);
	uint32_t n = cb_history_count(m->history), n_nodes = 0;
	char **nodes = calloc(CB_BUS_PLANS_MAX + 2, sizeof(*nodes));
	char path[PATH_SIZE];

	(void)bus;
	(void)prefix;
	(void)error;
	if (!nodes)
		return -ENOMEM;
	if (plan)
		nodes[n_nodes++] = strdup(plan_path(plan->id, path));
	for (uint32_t i = 0; i < CB_MIN(n, CB_BUS_PLANS_MAX); i++) {
		uint32_t id = cb_history_at(m->history, n - 1 - i)->plan_id;

		nodes[n_nodes] = strdup(plan_path(id, path));
		if (nodes[n_nodes])
			n_nodes++;
	}
	*ret_nodes = nodes;
	return 1;
}

int cb_bus_plan_add(struct cb_server *server)
{
	int r = sd_bus_add_fallback_vtable(server->bus, NULL, CB_BUS_PLAN_PREFIX, CB_BUS_PLAN,
					   vtable, find, server);

	if (r >= 0)
		r = sd_bus_add_node_enumerator(server->bus, NULL, CB_BUS_PLAN_PREFIX, enumerate,
					       server);
	return r;
}

/* --- what has changed --- */

/* A plan that ended is still the same object, until CB_BUS_PLANS_MAX others have ended after it. */
static void tell_ended(struct cb_server *server)
{
	const struct cb_manager *m = server->manager;
	uint32_t n = cb_history_count(m->history);
	uint32_t newest = n > 0 ? cb_history_at(m->history, n - 1)->plan_id : 0;
	char path[PATH_SIZE];

	if (newest == server->told_ended)
		return;
	/* It may have come and gone within one tick. */
	if (newest > server->told_plan_id)
		sd_bus_emit_object_added(server->bus, plan_path(newest, path));
	else
		sd_bus_emit_properties_changed(server->bus, plan_path(newest, path), CB_BUS_PLAN,
					       "State", "Verdict", NULL);
	if (server->told_ended != 0 && n > CB_BUS_PLANS_MAX) {
		/* Gone from the list, so that the object is not found; the signal names its interface. */
		uint32_t id = cb_history_at(m->history, n - 1 - CB_BUS_PLANS_MAX)->plan_id;

		sd_bus_emit_interfaces_removed(server->bus, plan_path(id, path), CB_BUS_PLAN, NULL);
	}
	server->told_ended = newest;
}

void cb_bus_plan_changed(struct cb_server *server)
{
	const struct cb_plan *plan = cb_engine_plan(server->manager->engine);
	char path[PATH_SIZE];

	tell_ended(server);
	if (!plan)
		return;
	if (plan->id != server->told_plan_id)
		sd_bus_emit_object_added(server->bus, plan_path(plan->id, path));
	else if (plan->state != server->told_plan_state)
		sd_bus_emit_properties_changed(server->bus, plan_path(plan->id, path), CB_BUS_PLAN,
					       "State", NULL);
	server->told_plan_id = plan->id;
	server->told_plan_state = plan->state;
}
