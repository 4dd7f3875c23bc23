/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Connecting, calling, and errors; see client.h. */

#include "client.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <string.h>

#include "message_json.h"

#define OUR_ERROR "org.cpubalance1.Error."
#define BUS_ERROR "org.freedesktop.DBus.Error."

static const struct {
	const char *name;
	int code;
} exit_codes[] = {
	{ BUS_ERROR "ServiceUnknown", CB_EXIT_NO_DAEMON },
	{ BUS_ERROR "NameHasNoOwner", CB_EXIT_NO_DAEMON },
	{ BUS_ERROR "AccessDenied", CB_EXIT_NOT_PERMITTED },
	{ BUS_ERROR "AuthFailed", CB_EXIT_NOT_PERMITTED },
	{ BUS_ERROR "InteractiveAuthorizationRequired", CB_EXIT_NOT_PERMITTED },
	{ BUS_ERROR "InvalidArgs", CB_EXIT_USAGE },
	{ OUR_ERROR "InvalidArgument", CB_EXIT_USAGE },
	{ OUR_ERROR "NoSuchGroup", CB_EXIT_UNKNOWN },
	{ OUR_ERROR "NoSuchWorker", CB_EXIT_UNKNOWN },
	{ OUR_ERROR "NoSuchPlan", CB_EXIT_UNKNOWN },
	{ OUR_ERROR "Busy", CB_EXIT_REFUSED },
	{ OUR_ERROR "Refused", CB_EXIT_REFUSED },
	{ OUR_ERROR "Limit", CB_EXIT_REFUSED },
};

int cb_client_exit_code(const char *error_name)
{
	for (size_t i = 0; i < CB_ARRAY_SIZE(exit_codes); i++)
		if (strcmp(exit_codes[i].name, error_name) == 0)
			return exit_codes[i].code;
	return CB_EXIT_FAILED;
}

static bool is_address(const struct cb_ctl *ctl)
{
	return strcmp(ctl->bus_name, "system") != 0 && strcmp(ctl->bus_name, "session") != 0;
}

static int open_address(const char *address, sd_bus **ret_bus)
{
	sd_bus *bus = NULL;
	int r;

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
	*ret_bus = bus;
	return 0;
}

static int open_failed(const struct cb_ctl *ctl, int r)
{
	if (ctl->remote && r == -EINVAL)
		return cb_ctl_fail(ctl, CB_EXIT_USAGE, "'%s' is not the name of a %s",
				   ctl->bus_name,
				   ctl->remote == CB_REMOTE_HOST ? "host" : "container");
	if (ctl->remote)
		return cb_ctl_fail(ctl, CB_EXIT_NO_DAEMON,
				   "the system bus of %s cannot be reached: %s", ctl->bus_name,
				   strerror(-r));
	switch (-r) {
	case EINVAL:
	case ENOMEDIUM: /* no address in the environment, or none that is understood */
		if (strcmp(ctl->bus_name, "session") == 0)
			return cb_ctl_fail(
				ctl, CB_EXIT_NO_DAEMON,
				"there is no session bus: DBUS_SESSION_BUS_ADDRESS is not set, or not valid");
		return cb_ctl_fail(
			ctl, CB_EXIT_USAGE,
			"--bus=%s: expected system, session or an address such as unix:path=/run/bus",
			ctl->bus_name);
	case EACCES:
	case EPERM:
		return cb_ctl_fail(ctl, CB_EXIT_NOT_PERMITTED,
				   "not permitted to connect to the bus (--bus=%s): %s",
				   ctl->bus_name, strerror(-r));
	case ENOENT:
	case ECONNREFUSED:
	case ECONNRESET:
	case EHOSTUNREACH:
		return cb_ctl_fail(
			ctl, CB_EXIT_NO_DAEMON,
			"cpubalanced cannot be reached: there is no message bus (--bus=%s): %s",
			ctl->bus_name, strerror(-r));
	default:
		return cb_ctl_fail(ctl, CB_EXIT_FAILED, "cannot connect to the bus (--bus=%s): %s",
				   ctl->bus_name, strerror(-r));
	}
}

int cb_client_open(struct cb_ctl *ctl)
{
	int r;

	if (ctl->bus)
		return CB_EXIT_OK;
	if (ctl->remote == CB_REMOTE_HOST)
		r = sd_bus_open_system_remote(&ctl->bus, ctl->bus_name);
	else if (ctl->remote == CB_REMOTE_MACHINE)
		r = sd_bus_open_system_machine(&ctl->bus, ctl->bus_name);
	else if (is_address(ctl) && !strchr(ctl->bus_name, ':'))
		r = -EINVAL; /* sd-bus would take it for an address where nobody answers */
	else if (is_address(ctl))
		r = open_address(ctl->bus_name, &ctl->bus);
	else if (strcmp(ctl->bus_name, "session") == 0)
		r = sd_bus_open_user(&ctl->bus);
	else
		r = sd_bus_open_system(&ctl->bus);
	return r < 0 ? open_failed(ctl, r) : CB_EXIT_OK;
}

void cb_client_close(struct cb_ctl *ctl)
{
	ctl->bus = sd_bus_flush_close_unref(ctl->bus);
}

int cb_client_broken(const struct cb_ctl *ctl, const char *what, int r)
{
	return cb_ctl_fail(ctl, CB_EXIT_FAILED, "%s: %s", what, strerror(-r));
}

static int start_call(struct cb_ctl *ctl, const char *path, const char *interface,
		      const char *member, sd_bus_message **ret_call)
{
	sd_bus_message *call = NULL;
	int r, code;

	code = cb_client_open(ctl);
	if (code != CB_EXIT_OK)
		return code;
	r = sd_bus_message_new_method_call(ctl->bus, &call, CB_BUS_NAME, path, interface, member);
	if (r >= 0)
		r = sd_bus_message_set_auto_start(call, 0);
	if (r >= 0)
		r = sd_bus_message_set_allow_interactive_authorization(call, !ctl->no_ask);
	if (r < 0) {
		sd_bus_message_unref(call);
		return cb_client_broken(ctl, "cannot make a call", r);
	}
	*ret_call = call;
	return CB_EXIT_OK;
}

int cb_client_method(struct cb_ctl *ctl, const char *member, sd_bus_message **ret_call)
{
	return start_call(ctl, CB_BUS_PATH, CB_BUS_MANAGER, member, ret_call);
}

static int call_failed(const struct cb_ctl *ctl, int r, const sd_bus_error *error)
{
	const char *name = error->name ? error->name : "", *message = error->message;
	int code = cb_client_exit_code(name);

	if (code == CB_EXIT_NO_DAEMON) {
		struct cb_ctl plain = *ctl; /* which verb it was makes no difference */

		plain.verb = "";
		return cb_ctl_fail(
			&plain, code,
			"cpubalanced is not running (start it with: systemctl start cpubalanced)");
	}
	if (code == CB_EXIT_NOT_PERMITTED)
		return cb_ctl_fail(ctl, code, "not permitted: %s", message ? message : name);
	if (ctl->remote && (r == -ECONNRESET || r == -ENOTCONN || r == -EPIPE))
		return cb_ctl_fail(ctl, CB_EXIT_NO_DAEMON, "the system bus of %s cannot be reached",
				   ctl->bus_name);
	if (strcmp(name, BUS_ERROR "NoReply") == 0 || strcmp(name, BUS_ERROR "Timeout") == 0 ||
	    r == -ETIMEDOUT)
		return cb_ctl_fail(ctl, code, "cpubalanced does not answer, or has just stopped");
	if (strcmp(name, BUS_ERROR "UnknownMethod") == 0 ||
	    strcmp(name, BUS_ERROR "UnknownInterface") == 0 ||
	    strcmp(name, BUS_ERROR "UnknownObject") == 0 ||
	    strcmp(name, BUS_ERROR "InvalidSignature") == 0)
		return cb_ctl_fail(
			ctl, code,
			"cpubalanced does not know this: it is of another version than cpubalctl %s (%s)",
			CB_VERSION, message ? message : name);
	return cb_ctl_fail(ctl, code, "%s", message && *message ? message : strerror(-r));
}

static int send_call(struct cb_ctl *ctl, sd_bus_message *call, uint64_t timeout_usec, bool quiet,
		     sd_bus_message **ret_reply)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	int r, code = CB_EXIT_FAILED;

	if (ctl->changes && !ctl->no_ask)
		timeout_usec = CB_MAX(timeout_usec, CB_CALL_ASKED_USEC);
	r = sd_bus_call(ctl->bus, call, timeout_usec, &error, ret_reply);
	if (r >= 0)
		return CB_EXIT_OK;
	if (!quiet)
		code = call_failed(ctl, r, &error);
	sd_bus_error_free(&error);
	return code;
}

int cb_client_send(struct cb_ctl *ctl, sd_bus_message *call, uint64_t timeout_usec,
		   sd_bus_message **ret_reply)
{
	return send_call(ctl, call, timeout_usec, false, ret_reply);
}

static int callv(struct cb_ctl *ctl, const char *member, uint64_t timeout_usec,
		 sd_bus_message **ret_reply, const char *types, va_list args)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
	int r, code;

	code = cb_client_method(ctl, member, &call);
	if (code != CB_EXIT_OK)
		return code;
	if (*types) {
		r = sd_bus_message_appendv(call, types, args);
		if (r < 0)
			return cb_client_broken(ctl, "cannot say this on the bus", r);
	}
	return cb_client_send(ctl, call, timeout_usec, ret_reply);
}

int cb_client_call(struct cb_ctl *ctl, const char *member, uint64_t timeout_usec,
		   sd_bus_message **ret_reply, const char *types, ...)
{
	va_list args;
	int code;

	va_start(args, types);
	code = callv(ctl, member, timeout_usec, ret_reply, types, args);
	va_end(args);
	return code;
}

static int to_json(const struct cb_ctl *ctl, sd_bus_message *reply, bool quiet,
		   struct json_object **ret_json)
{
	int r = cb_message_to_json(reply, ret_json);

	if (r >= 0)
		return CB_EXIT_OK;
	return quiet ? CB_EXIT_FAILED :
		       cb_client_broken(ctl, "cannot read the answer of cpubalanced", r);
}

int cb_client_call_json(struct cb_ctl *ctl, const char *member, uint64_t timeout_usec,
			struct json_object **ret_json, const char *types, ...)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	va_list args;
	int code;

	va_start(args, types);
	code = callv(ctl, member, timeout_usec, &reply, types, args);
	va_end(args);
	if (code != CB_EXIT_OK)
		return code;
	return to_json(ctl, reply, false, ret_json);
}

int cb_client_get_all(struct cb_ctl *ctl, const char *path, const char *interface, bool quiet,
		      struct json_object **ret_json)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL, *reply = NULL;
	int r, code;

	code = start_call(ctl, path, "org.freedesktop.DBus.Properties", "GetAll", &call);
	if (code != CB_EXIT_OK)
		return code;
	r = sd_bus_message_append(call, "s", interface);
	if (r < 0)
		return cb_client_broken(ctl, "cannot say this on the bus", r);
	code = send_call(ctl, call, CB_CALL_USEC, quiet, &reply);
	if (code != CB_EXIT_OK)
		return code;
	return to_json(ctl, reply, quiet, ret_json);
}
