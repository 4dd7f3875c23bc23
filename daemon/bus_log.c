/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * org.freedesktop.LogControl1, for `systemctl service-log-level`. Reading is for everybody, setting for root: sd-bus asks
 * for the sender's privilege itself where a writable property is not marked as unprivileged.
 */
#include <errno.h>
#include <string.h>

#include "bus.h"
#include "log.h"

#define LOG_PATH      "/org/freedesktop/LogControl1"
#define LOG_INTERFACE "org.freedesktop.LogControl1"

static const char *const levels[] = {
	[LOG_EMERG] = "emerg", [LOG_ALERT] = "alert",	  [LOG_CRIT] = "crit",
	[LOG_ERR] = "err",     [LOG_WARNING] = "warning", [LOG_NOTICE] = "notice",
	[LOG_INFO] = "info",   [LOG_DEBUG] = "debug",
};

static int get(sd_bus *bus, const char *path, const char *interface, const char *property,
	       sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	const char *value = "cpubalanced";

	(void)bus;
	(void)path;
	(void)interface;
	(void)userdata;
	(void)error;
	if (strcmp(property, "LogLevel") == 0)
		value = levels[cb_log_level()];
	else if (strcmp(property, "LogTarget") == 0)
		value = cb_log_target();
	return sd_bus_message_append(reply, "s", value);
}

static int set_level(sd_bus *bus, const char *path, const char *interface, const char *property,
		     sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	const char *value;
	int r = sd_bus_message_read(message, "s", &value);

	(void)bus;
	(void)path;
	(void)interface;
	(void)property;
	(void)userdata;
	for (size_t i = 0; r >= 0 && i < CB_ARRAY_SIZE(levels); i++) {
		if (strcmp(levels[i], value) != 0)
			continue;
		cb_log_set_level((int)i);
		return 0;
	}
	return r < 0 ? r :
		       cb_bus_error(error, SD_BUS_ERROR_INVALID_ARGS,
					 "\"%.64s\" is no level: emerg ... debug", value);
}

static int set_target(sd_bus *bus, const char *path, const char *interface, const char *property,
		      sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	const char *value;
	int r = sd_bus_message_read(message, "s", &value);

	(void)bus;
	(void)path;
	(void)interface;
	(void)property;
	(void)userdata;
	if (r >= 0 && cb_log_set_target(value) < 0)
		return cb_bus_error(error, SD_BUS_ERROR_INVALID_ARGS,
					 "\"%.64s\" is no target: auto, journal or console", value);
	return r;
}

static const sd_bus_vtable log_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_WRITABLE_PROPERTY("LogLevel", "s", get, set_level, 0, 0),
	SD_BUS_WRITABLE_PROPERTY("LogTarget", "s", get, set_target, 0, 0),
	SD_BUS_PROPERTY("SyslogIdentifier", "s", get, 0, SD_BUS_VTABLE_PROPERTY_CONST),
	SD_BUS_VTABLE_END,
};

int cb_bus_log_add(struct cb_server *server)
{
	return sd_bus_add_object_vtable(server->bus, NULL, LOG_PATH, LOG_INTERFACE, log_vtable,
					server->manager);
}
