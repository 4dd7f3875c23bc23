/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Manager.ListConfig(): each option with the value in force and where it comes from. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bus.h"
#include "bus_rows.h"
#include "config.h"

static bool is_group(const char *section)
{
	return strncmp(section, "Group", 5) == 0;
}

static void add_option(struct cb_rows *rows, const struct cb_manager *m,
		       const struct cb_option *option)
{
	const struct cb_config_origin *origin =
		cb_config_origin_find(m->origins, option->section, option->name);
	const char *from = origin ? origin->from : "default";
	char value[CB_PATH_MAX];

	if (cb_policy_format(m->policy, option->name, value, sizeof(value)) < 0)
		return;
	if (strcmp(option->name, "Mode") == 0 && strcmp(value, m->report.mode) != 0) {
		snprintf(value, sizeof(value), "%s", m->report.mode);
		from = "SetMode()";
	}
	cb_row_open(rows);
	cb_row_string(rows, "Section", option->section);
	cb_row_string(rows, "Name", option->name);
	cb_row_string(rows, "Value", value);
	cb_row_string(rows, "Default", option->def);
	cb_row_string(rows, "From", from);
	cb_row_string(rows, "Min", option->min[0] ? option->min : NULL);
	cb_row_string(rows, "Max", option->max[0] ? option->max : NULL);
	cb_row_string(rows, "Help", option->help);
	cb_row_close(rows);
}

static int method_list_config(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	struct cb_manager *m = userdata;
	struct cb_rows rows = { .r = 0 };
	int r = sd_bus_message_new_method_return(call, &rows.message);

	(void)error;
	if (r < 0)
		return r;
	cb_manager_report(m);
	cb_list_open(&rows);
	for (size_t i = 0; i < cb_n_options; i++)
		if (!is_group(cb_options[i].section))
			add_option(&rows, m, &cb_options[i]);
	for (size_t i = 0; i < m->origins->n; i++) {
		const struct cb_config_origin *origin = &m->origins->origin[i];

		if (!is_group(origin->section))
			continue;
		cb_row_open(&rows);
		cb_row_string(&rows, "Section", origin->section);
		cb_row_string(&rows, "Name", origin->name);
		cb_row_string(&rows, "Value", origin->value);
		cb_row_string(&rows, "From", origin->from);
		cb_row_close(&rows);
	}
	cb_list_close(&rows);
	r = rows.r;
	if (r >= 0)
		r = sd_bus_send(NULL, rows.message, NULL);
	sd_bus_message_unref(rows.message);
	return r < 0 ? r : 1;
}

static const sd_bus_vtable config_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD_WITH_ARGS("ListConfig", SD_BUS_NO_ARGS, SD_BUS_RESULT("aa{sv}", options),
				method_list_config, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};

int cb_bus_config_add(struct cb_server *server)
{
	return sd_bus_add_object_vtable(server->bus, NULL, CB_BUS_PATH, CB_BUS_MANAGER,
					config_vtable, server->manager);
}
