/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* A line of RUN_DIR/groups: what is accepted is one group with a valid name, inside all bounds. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "daemon/manager.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct cb_policy policy;
	struct cb_err err = { .msg = "" };
	char *line = malloc(size + 1);
	json_object *object;

	if (!line)
		return 0;
	if (size > 0)
		memcpy(line, data, size);
	line[size] = '\0';
	object = json_tokener_parse(line);
	if (json_object_is_type(object, json_type_object) &&
	    cb_saved_group_parse(object, &policy, &err) == 0 &&
	    (policy.n_groups != 1 || !cb_name_valid(policy.group[0].name)))
		abort();
	json_object_put(object);
	free(line);
	return 0;
}
