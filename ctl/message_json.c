/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sd-bus message -> json-c, by the message's own signature. The depth is bounded by the bus's own
 * limit (64 containers), so recursion is safe.
 */

#include "message_json.h"

#include <errno.h>
#include <json-c/json.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-bus.h>

static int read_value(sd_bus_message *message, struct json_object **ret_json);

/*
 * The shortest text that reads back as the same number; always with a point or an exponent, so that
 * a type stays a type.
 */
static struct json_object *number(double value)
{
	char text[40];

	if (!isfinite(value))
		return NULL;
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(text, sizeof(text), "%.*g", digits, value);
		if (strtod(text, NULL) == value)
			break;
	}
	if (!strpbrk(text, ".eE"))
		strcat(text, ".0");
	return json_object_new_double_s(value, text);
}

union basic {
	uint8_t y;
	int b; /* sd-bus reads a boolean into an int */
	int16_t n;
	uint16_t q;
	int32_t i;
	uint32_t u;
	int64_t x;
	uint64_t t;
	double d;
	const char *s;
	int h;
};

static int read_basic(sd_bus_message *message, char type, struct json_object **ret_json)
{
	struct json_object *json = NULL;
	union basic value = { .t = 0 };
	int r;

	r = sd_bus_message_read_basic(message, type, &value);
	if (r < 0)
		return r;
	switch (type) {
	case SD_BUS_TYPE_BYTE:
		json = json_object_new_int(value.y);
		break;
	case SD_BUS_TYPE_BOOLEAN:
		json = json_object_new_boolean(value.b);
		break;
	case SD_BUS_TYPE_INT16:
		json = json_object_new_int(value.n);
		break;
	case SD_BUS_TYPE_UINT16:
		json = json_object_new_int(value.q);
		break;
	case SD_BUS_TYPE_INT32:
		json = json_object_new_int(value.i);
		break;
	case SD_BUS_TYPE_UINT32:
		json = json_object_new_int64(value.u);
		break;
	case SD_BUS_TYPE_INT64:
		json = json_object_new_int64(value.x);
		break;
	case SD_BUS_TYPE_UINT64:
		json = json_object_new_uint64(value.t);
		break;
	case SD_BUS_TYPE_DOUBLE:
		json = number(value.d);
		if (!json && !isfinite(value.d)) {
			*ret_json = NULL;
			return 0;
		}
		break;
	case SD_BUS_TYPE_STRING:
	case SD_BUS_TYPE_OBJECT_PATH:
	case SD_BUS_TYPE_SIGNATURE:
		json = json_object_new_string(value.s);
		break;
	case SD_BUS_TYPE_UNIX_FD:
		json = json_object_new_int(value.h);
		break;
	default:
		return -EOPNOTSUPP;
	}
	if (!json)
		return -ENOMEM;
	*ret_json = json;
	return 0;
}

/* Add the rest of the open container to @array. */
static int read_items(sd_bus_message *message, struct json_object *array)
{
	for (;;) {
		struct json_object *item = NULL;
		int r = sd_bus_message_at_end(message, false);

		if (r != 0)
			return r < 0 ? r : 0;
		r = read_value(message, &item);
		if (r < 0)
			return r;
		if (json_object_array_add(array, item) < 0) {
			json_object_put(item);
			return -ENOMEM;
		}
	}
}

/* The pairs of the open dictionary; a key that is not text becomes its JSON text. */
static int read_pairs(sd_bus_message *message, struct json_object *object)
{
	for (;;) {
		struct json_object *key = NULL, *value = NULL;
		const char *entry = NULL;
		char kind = 0;
		int r = sd_bus_message_peek_type(message, &kind, &entry);

		if (r <= 0)
			return r;
		r = sd_bus_message_enter_container(message, kind, entry);
		if (r >= 0)
			r = read_value(message, &key);
		if (r >= 0)
			r = read_value(message, &value);
		if (r >= 0)
			r = sd_bus_message_exit_container(message);
		if (r >= 0) {
			const char *name = key ? json_object_get_string(key) : "null";

			if (name && json_object_object_add(object, name, value) >= 0)
				value = NULL;
			else
				r = -ENOMEM;
		}
		json_object_put(key);
		json_object_put(value);
		if (r < 0)
			return r;
	}
}

static int read_container(sd_bus_message *message, char type, const char *contents,
			  struct json_object **ret_json)
{
	bool pairs = type == SD_BUS_TYPE_ARRAY && contents[0] == SD_BUS_TYPE_DICT_ENTRY_BEGIN;
	struct json_object *json = NULL;
	int r;

	r = sd_bus_message_enter_container(message, type, contents);
	if (r < 0)
		return r;
	if (type == SD_BUS_TYPE_VARIANT) {
		r = read_value(message, &json);
	} else {
		json = pairs ? json_object_new_object() : json_object_new_array();
		if (!json)
			return -ENOMEM;
		r = pairs ? read_pairs(message, json) : read_items(message, json);
	}
	if (r >= 0)
		r = sd_bus_message_exit_container(message);
	if (r < 0) {
		json_object_put(json);
		return r;
	}
	*ret_json = json;
	return 0;
}

static int read_value(sd_bus_message *message, struct json_object **ret_json)
{
	const char *contents = NULL;
	char type = 0;
	int r;

	r = sd_bus_message_peek_type(message, &type, &contents);
	if (r < 0)
		return r;
	if (r == 0)
		return -EBADMSG;
	if (type == SD_BUS_TYPE_ARRAY || type == SD_BUS_TYPE_VARIANT || type == SD_BUS_TYPE_STRUCT)
		return read_container(message, type, contents, ret_json);
	return read_basic(message, type, ret_json);
}

int cb_message_to_json(sd_bus_message *message, struct json_object **ret_json)
{
	struct json_object *all, *only = NULL;
	int r;

	all = json_object_new_array();
	if (!all)
		return -ENOMEM;
	r = read_items(message, all);
	if (r < 0) {
		json_object_put(all);
		return r;
	}
	if (json_object_array_length(all) > 1) {
		*ret_json = all;
		return 0;
	}
	if (json_object_array_length(all) == 1)
		only = json_object_get(json_object_array_get_idx(all, 0));
	json_object_put(all);
	*ret_json = only;
	return 0;
}
