/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Reading of json-c objects with "absent is not zero", and printing them. */

#include "json.h"

#include <stdio.h>
#include <string.h>

struct json_object *cb_json_get(struct json_object *object, const char *key)
{
	struct json_object *value = NULL;

	if (!json_object_is_type(object, json_type_object))
		return NULL;
	return json_object_object_get_ex(object, key, &value) ? value : NULL;
}

const char *cb_json_text(struct json_object *object, const char *key)
{
	struct json_object *value = cb_json_get(object, key);

	if (!json_object_is_type(value, json_type_string) || json_object_get_string_len(value) == 0)
		return NULL;
	return json_object_get_string(value);
}

const char *cb_json_text_or(struct json_object *object, const char *key, const char *otherwise)
{
	const char *text = cb_json_text(object, key);

	return text ? text : otherwise;
}

bool cb_json_number(struct json_object *object, const char *key, double *ret)
{
	struct json_object *value = cb_json_get(object, key);

	if (!json_object_is_type(value, json_type_double) &&
	    !json_object_is_type(value, json_type_int))
		return false;
	*ret = json_object_get_double(value);
	return true;
}

bool cb_json_u64(struct json_object *object, const char *key, uint64_t *ret)
{
	struct json_object *value = cb_json_get(object, key);

	if (!json_object_is_type(value, json_type_int) || json_object_get_int64(value) < 0)
		return false;
	*ret = json_object_get_uint64(value);
	return true;
}

bool cb_json_int(struct json_object *object, const char *key, int64_t *ret)
{
	struct json_object *value = cb_json_get(object, key);

	if (!json_object_is_type(value, json_type_int))
		return false;
	*ret = json_object_get_int64(value);
	return true;
}

int64_t cb_json_int_or(struct json_object *object, const char *key, int64_t otherwise)
{
	int64_t number;

	return cb_json_int(object, key, &number) ? number : otherwise;
}

bool cb_json_true(struct json_object *object, const char *key)
{
	struct json_object *value = cb_json_get(object, key);

	return json_object_is_type(value, json_type_boolean) && json_object_get_boolean(value);
}

struct json_object *cb_json_array(struct json_object *object, const char *key)
{
	struct json_object *value = cb_json_get(object, key);

	return json_object_is_type(value, json_type_array) ? value : NULL;
}

size_t cb_json_length(struct json_object *array)
{
	return json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;
}

size_t cb_json_alike(struct json_object *array, size_t n, struct json_object *object,
		     const char *key)
{
	const char *text = cb_json_text_or(object, key, "");
	size_t n_alike = 0;

	for (size_t i = 0; i < n; i++)
		n_alike += strcmp(cb_json_text_or(json_object_array_get_idx(array, i), key, ""),
				  text) == 0;
	return n_alike;
}

void cb_json_print(FILE *out, struct json_object *object)
{
	fprintf(out, "%s\n",
		json_object_to_json_string_ext(object, JSON_C_TO_STRING_PRETTY |
							       JSON_C_TO_STRING_SPACED |
							       JSON_C_TO_STRING_NOSLASHESCAPE));
}
