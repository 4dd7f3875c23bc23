/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The tool's side of the bus: connect, call, and turn whatever goes wrong into one line and an exit
 * code. A call never starts the daemon. Every function that returns int returns an enum cb_exit and
 * has printed its message when that is not CB_EXIT_OK.
 */

#include <systemd/sd-bus.h>

#include "ctl.h"

struct json_object;

#define CB_BUS_NAME    "org.cpubalance1"
#define CB_BUS_PATH    "/org/cpubalance1"
#define CB_BUS_MANAGER "org.cpubalance1.Manager"
#define CB_BUS_PLAN    "org.cpubalance1.Plan"

/* Long enough for a daemon that is in the middle of a tick on a large machine. */
#define CB_CALL_USEC (25 * CB_USEC_PER_SEC)
/*
 * Explain answers after a sampling interval, which may be a minute; a release waits for interrupts.
 */
#define CB_CALL_LONG_USEC (120 * CB_USEC_PER_SEC)
/* Somebody may have to find a password; the daemon gives up a little earlier. */
#define CB_CALL_ASKED_USEC (330 * CB_USEC_PER_SEC)

/* The exit code for an error by its bus name. */
int cb_client_exit_code(const char *error_name);

/* Connect, once; does nothing when that is done. */
int cb_client_open(struct cb_ctl *ctl);
void cb_client_close(struct cb_ctl *ctl);

/* A call to be filled, of a method of the manager. */
int cb_client_method(struct cb_ctl *ctl, const char *member, sd_bus_message **ret_call);

/* Send @call and wait. The caller unrefs @ret_reply. */
int cb_client_send(struct cb_ctl *ctl, sd_bus_message *call, uint64_t timeout_usec,
		   sd_bus_message **ret_reply);

/*
 * Call a method of the manager with arguments as sd_bus_message_append() takes them; "" for none.
 */
int cb_client_call(struct cb_ctl *ctl, const char *member, uint64_t timeout_usec,
		   sd_bus_message **ret_reply, const char *types, ...);
/* The same, with the answer as JSON (the caller puts it). */
int cb_client_call_json(struct cb_ctl *ctl, const char *member, uint64_t timeout_usec,
			struct json_object **ret_json, const char *types, ...);

/* All properties of an interface. With @quiet nothing is printed when it fails. */
int cb_client_get_all(struct cb_ctl *ctl, const char *path, const char *interface, bool quiet,
		      struct json_object **ret_json);

/* For a message that could not be built or read: prints @what and the errno's text. */
int cb_client_broken(const struct cb_ctl *ctl, const char *what, int r);
