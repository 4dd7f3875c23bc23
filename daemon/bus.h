/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The daemon's side of the message bus: org.cpubalance1. Connecting, and connecting again after the bus has gone, is in
 * bus.c; the objects are in bus_manager.c (properties and reading), bus_verbs.c (changing), bus_group.c and bus_plan.c; what
 * they show in bus_rows.c. Without a bus the daemon works all the same.
 */

#include <systemd/sd-bus.h>

#include "manager.h"

#define CB_BUS_NAME	    "org.cpubalance1"
#define CB_BUS_PATH	    "/org/cpubalance1"
#define CB_BUS_GROUP_PREFIX "/org/cpubalance1/group"
#define CB_BUS_PLAN_PREFIX  "/org/cpubalance1/plan"
#define CB_BUS_MANAGER	    "org.cpubalance1.Manager"
#define CB_BUS_GROUP	    "org.cpubalance1.Group"
#define CB_BUS_PLAN	    "org.cpubalance1.Plan"
#define CB_BUS_ERROR(name)  "org.cpubalance1.Error." name
/* As sd_bus_error_setf(), with words of clients in it: what is none of ASCII's letters and signs becomes a question mark. */
int cb_bus_error(sd_bus_error *error, const char *name, const char *format, ...) _printf_(3, 4);
#define CB_BUS_ACCESS_DENIED "org.freedesktop.DBus.Error.AccessDenied"

/* Plans that ended and still have an object. */
#define CB_BUS_PLANS_MAX 16u
/* Requests that are being answered over a sampling interval. */
#define CB_BUS_EXPLAINS_MAX 4u

enum cb_report_row {
#define CB_REPORT_ROW(type, field, Name, emits, help) CB_REPORT_ROW_##field,
#include "cpubalance/report.def"
#undef CB_REPORT_ROW
	_CB_REPORT_ROW_MAX,
};

struct cb_asking;
/* Calls of one connection: so many at once, and so many a second for ever. The tool makes less than ten for one picture. */
#define CB_BUS_CALLS_BURST   200u
#define CB_BUS_CALLS_PER_SEC 50u
/* Connections whose calls are counted; of more, who has been silent longest is forgotten. */
#define CB_BUS_CLIENTS_MAX 64u
/* Connections have names like ":1.42". */
#define CB_BUS_SENDER_MAX 32u

struct cb_client_bucket {
	char sender[CB_BUS_SENDER_MAX]; /* "" nobody */
	uint32_t calls;			/* it may make now */
	uint64_t refilled_usec, called_usec;
};

struct cb_explain;
struct cb_holds;

struct cb_server {
	struct cb_manager *manager;
	sd_bus *bus; /* NULL while there is none */
	sd_event_source *retry;
	uint64_t backoff_usec;
	bool settled;	/* the name is ours, or the first attempt to get it has failed */
	bool owned;	/* the name is ours */
	bool lost_said; /* the present failure was logged */
	struct cb_explain *explain[CB_BUS_EXPLAINS_MAX]; /* being answered, NULL free */
	struct cb_asking *asking; /* who waits for an authorisation; access.h */
	struct cb_holds *holds;
	struct cb_client_bucket client[CB_BUS_CLIENTS_MAX];
	uint64_t n_refused;	  /* calls, by cb_bus_may_call() */
	struct cb_census *census; /* last answer of Discover(), NULL before the first */
	uint64_t census_until_usec;
	struct cb_census *counts; /* the same with single sockets too, of ListConnections() */
	uint64_t counts_until_usec;
	uint64_t table_next_usec; /* /proc/interrupts is not read before */
	uint64_t report_usec;	  /* when the report was filled for a reader */
	/* what PropertiesChanged and InterfacesAdded have told */
	uint64_t told[_CB_REPORT_ROW_MAX];
	uint32_t told_plan_id;
	enum cb_plan_state told_plan_state;
	uint32_t told_ended; /* last plan that ended */
};

/* --- bus.c --- */

/* Never fails for want of a bus, only for want of memory. */
int cb_server_start(struct cb_manager *m, struct cb_server **ret) _must_check_;
struct cb_server *cb_server_free(struct cb_server *server); /* NULL is fine; returns NULL */
bool cb_server_settled(const struct cb_server *server);

/* Once per tick: connect again when the bus has gone, tell what has changed. */
void cb_server_tick(struct cb_server *server);

/* --- tell the bus something now; nothing happens without one --- */

/* @group, @worker: names, "" none. */
void cb_server_finding(struct cb_server *server, bool began, const struct cb_notice *notice,
		       const char *group, const char *worker);
void cb_server_plan(struct cb_server *server, const char *signal, const struct cb_notice *notice);
void cb_server_group_added(struct cb_server *server, const struct cb_registration *registration);
void cb_server_group_removed(struct cb_server *server, const struct cb_registration *registration);

/* --- the objects; each adds itself to a fresh connection and says what has changed --- */

/*
 * Open "system", "session" or the bus at an address. Returns 0 with a connection that the caller unrefs, or a negative errno with
 * *ret untouched.
 */
int cb_bus_open(const char *address, sd_bus **ret) _must_check_;
int cb_bus_manager_add(struct cb_server *server) _must_check_;
int cb_bus_verbs_add(struct cb_server *server) _must_check_;
int cb_bus_log_add(struct cb_server *server) _must_check_;
int cb_bus_config_add(struct cb_server *server) _must_check_;
int cb_bus_group_add(struct cb_server *server) _must_check_;
int cb_bus_plan_add(struct cb_server *server) _must_check_;
void cb_bus_manager_changed(struct cb_server *server);
void cb_bus_group_changed(struct cb_server *server);
void cb_bus_plan_changed(struct cb_server *server);

/* The object path of a group; free() it. NULL without memory. */
char *cb_bus_group_path(const char *name);
int cb_bus_reply_group(sd_bus_message *call, const char *name);

/* --- bus_limits.c --- */

/* Count a call of @sender. False: it has made too many. */
bool cb_bus_may_call(struct cb_server *server, const char *sender, uint64_t now_usec);

/* --- bus_discover.c --- */

/* The handler of Discover(). */
int cb_bus_discover(sd_bus_message *call, void *userdata, sd_bus_error *error);
int cb_bus_connections(sd_bus_message *call, void *userdata, sd_bus_error *error);

/* --- bus_counts.c --- */

int cb_bus_count_irqs(sd_bus_message *call, void *userdata, sd_bus_error *error);

/* --- explain.c --- */

/* Answer `Explain` after one sampling interval. 1: will be answered; or a negative errno with @error set. */
int cb_explain_start(struct cb_server *server, sd_bus_message *message, int32_t cpu,
		     sd_bus_error *error) _must_check_;
void cb_explain_cancel(struct cb_server *server); /* all of them, unanswered */
