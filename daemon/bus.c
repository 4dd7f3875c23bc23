/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The connection. Nothing here waits for the bus: the name is asked for in a call that is answered later, and a bus that
 * cannot be had, or goes away, is tried again after 1 s, 2 s, ... 1 min. Everything about a connection is
 * dropped with it; the next one gets every object anew.
 */
#include "bus.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "access.h"
#include "hold.h"
#include "log.h"
#include "service.h"

#define BACKOFF_FIRST_USEC CB_USEC_PER_SEC
#define BACKOFF_MAX_USEC   (60 * CB_USEC_PER_SEC)
/* Of our own calls: the name, and who a sender is. Questions to polkit have limits of their own. */
#define CALL_TIMEOUT_USEC (5 * CB_USEC_PER_SEC)

static void try_connect(struct cb_server *server);

static bool wanted(const struct cb_server *server)
{
	return strcmp(server->manager->options.bus, "none") != 0;
}

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct cb_server *server = userdata;

	(void)source;
	(void)usec;
	server->retry = sd_event_source_disable_unref(server->retry);
	try_connect(server);
	return 0;
}

/* Give the connection up and try again later. */
static void fail(struct cb_server *server, const char *what, int r)
{
	if (!server->lost_said)
		cb_log(LOG_WARNING, "Failed to %s (--bus=%s): %s; balancing goes on without", what,
		       server->manager->options.bus, strerror(-r));
	server->lost_said = true;
	server->settled = true;
	server->owned = false;
	cb_asking_drop(server->asking);
	if (server->bus) {
		sd_bus_detach_event(server->bus);
		sd_bus_close(server->bus);
		server->bus = sd_bus_unref(server->bus);
	}
	if (server->retry)
		return;
	server->backoff_usec =
		CB_MIN(CB_MAX(server->backoff_usec * 2, BACKOFF_FIRST_USEC), BACKOFF_MAX_USEC);
	sd_event_add_time_relative(server->manager->event, &server->retry, CLOCK_MONOTONIC,
				   server->backoff_usec, 0, on_retry, server);
}

static int on_name(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	struct cb_server *server = userdata;
	const sd_bus_error *refused = sd_bus_message_get_error(reply);
	uint32_t result = 0;

	(void)error;
	if (refused) {
		cb_log(LOG_WARNING, "The bus refuses the name %s: %s", CB_BUS_NAME,
		       refused->message ? refused->message : refused->name);
		server->lost_said = true;
		fail(server, "get the name " CB_BUS_NAME, -EACCES);
		return 0;
	}
	sd_bus_message_read(reply, "u", &result);
	if (result != 1 && result != 4) { /* neither the primary owner nor already the owner */
		fail(server, "get the name " CB_BUS_NAME ", which somebody else has", -EEXIST);
		return 0;
	}
	if (server->lost_said)
		cb_log(LOG_NOTICE, "Connected to the bus (--bus=%s)", server->manager->options.bus);
	server->settled = server->owned = true;
	server->lost_said = false;
	server->backoff_usec = 0;
	cb_service_ready(server->manager);
	return 0;
}

/* Whoever calls too often is told so; and before a reader gets properties, which may be a whole tick old. */
static int on_message(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	struct cb_server *server = userdata;
	uint64_t now_usec = cb_manager_now(server->manager);
	const char *sender = sd_bus_message_get_sender(message);

	if (sd_bus_message_is_method_call(message, NULL, NULL) > 0)
		server->manager->client_usec = now_usec;
	if (sender && sd_bus_message_is_method_call(message, NULL, NULL) > 0 &&
	    !cb_bus_may_call(server, sender, now_usec))
		return cb_bus_error(error, CB_BUS_ERROR("Limit"),
				    "more than %u calls a second of one connection",
				    CB_BUS_CALLS_PER_SEC);
	if (sd_bus_message_is_method_call(message, "org.freedesktop.DBus.Properties", NULL) > 0 &&
	    now_usec - server->report_usec > 20 * CB_USEC_PER_MSEC) {
		server->report_usec = now_usec;
		cb_manager_report(server->manager);
	}
	return 0;
}

int cb_bus_open(const char *address, sd_bus **ret)
{
	sd_bus *bus = NULL;
	int r;

	if (strcmp(address, "system") == 0)
		return sd_bus_open_system(ret);
	if (strcmp(address, "session") == 0)
		return sd_bus_open_user(ret);
	r = sd_bus_new(&bus);
	if (r >= 0)
		r = sd_bus_set_address(bus, address);
	if (r >= 0)
		r = sd_bus_set_bus_client(bus, 1);
	if (r >= 0)
		r = sd_bus_start(bus);
	if (r < 0) {
		sd_bus_unref(bus);
		return r;
	}
	*ret = bus;
	return 0;
}

static int add_objects(struct cb_server *server)
{
	int r = sd_bus_add_object_manager(server->bus, NULL, CB_BUS_PATH);

	if (r >= 0)
		r = sd_bus_add_filter(server->bus, NULL, on_message, server);
	if (r >= 0)
		r = cb_bus_manager_add(server);
	if (r >= 0)
		r = cb_bus_verbs_add(server);
	if (r >= 0)
		r = cb_bus_config_add(server);
	if (r >= 0)
		r = cb_bus_log_add(server);
	if (r >= 0)
		r = cb_bus_group_add(server);
	if (r >= 0)
		r = cb_bus_plan_add(server);
	return r;
}

static void try_connect(struct cb_server *server)
{
	int r = cb_bus_open(server->manager->options.bus, &server->bus);

	if (r >= 0)
		r = sd_bus_set_method_call_timeout(server->bus, CALL_TIMEOUT_USEC);
	if (r >= 0)
		r = sd_bus_attach_event(server->bus, server->manager->event, 0);
	if (r >= 0)
		r = add_objects(server);
	if (r >= 0)
		r = sd_bus_request_name_async(server->bus, NULL, CB_BUS_NAME, 0, on_name, server);
	if (r < 0)
		fail(server, "connect to the bus", r);
}

int cb_server_start(struct cb_manager *m, struct cb_server **ret)
{
	struct cb_server *server = calloc(1, sizeof(*server));

	if (!server)
		return -ENOMEM;
	server->asking = cb_asking_new();
	server->holds = cb_holds_new(m);
	if (!server->asking || !server->holds) {
		cb_server_free(server);
		return -ENOMEM;
	}
	server->manager = m;
	/* What ended before is no news. */
	if (cb_history_count(m->history) > 0)
		server->told_ended =
			cb_history_at(m->history, cb_history_count(m->history) - 1)->plan_id;
	server->told_plan_id = server->told_ended;
	*ret = server;
	if (wanted(server))
		try_connect(server);
	else
		server->settled = true;
	return 0;
}

struct cb_server *cb_server_free(struct cb_server *server)
{
	if (!server)
		return NULL;
	sd_event_source_disable_unref(server->retry);
	cb_explain_cancel(server);
	cb_asking_free(server->asking);
	cb_holds_free(server->holds);
	cb_census_free(server->census);
	cb_census_free(server->counts);
	if (server->bus)
		sd_bus_detach_event(server->bus);
	sd_bus_flush_close_unref(server->bus);
	free(server);
	return NULL;
}

int cb_bus_error(sd_bus_error *error, const char *name, const char *format, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	/* a newline would forge a line of a log, and half of a letter that was cut is refused by the bus */
	for (char *p = text; *p; p++)
		if (*p < ' ' || *p > '~')
			*p = '?';
	return sd_bus_error_set(error, name, text);
}

bool cb_server_settled(const struct cb_server *server)
{
	return !server || server->settled;
}

void cb_server_tick(struct cb_server *server)
{
	if (!server)
		return;
	if (server->bus && sd_bus_is_open(server->bus) <= 0)
		fail(server, "stay connected to the bus", -ECONNRESET);
	cb_asking_tick(server->asking, server->manager->tick_begin_usec);
	if (!server->owned)
		return;
	cb_bus_manager_changed(server);
	cb_bus_group_changed(server);
	cb_bus_plan_changed(server);
}
