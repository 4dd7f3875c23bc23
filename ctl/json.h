/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Reading of the JSON that the daemon's answers have become. A key that is absent, null, of another
 * type or, for text, empty is unknown; no renderer may take it for 0.
 */

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "cpubalance/macro.h"

/* All borrow from @object, which may be NULL. */
struct json_object *cb_json_get(struct json_object *object, const char *key); /* NULL when absent */
const char *cb_json_text(struct json_object *object,
			 const char *key); /* NULL when absent or empty */
const char *cb_json_text_or(struct json_object *object, const char *key, const char *otherwise);
bool cb_json_number(struct json_object *object, const char *key, double *ret);
bool cb_json_u64(struct json_object *object, const char *key,
		 uint64_t *ret); /* false for a negative number too */
bool cb_json_int(struct json_object *object, const char *key, int64_t *ret);
int64_t cb_json_int_or(struct json_object *object, const char *key, int64_t otherwise);
bool cb_json_true(struct json_object *object, const char *key); /* false when absent */
struct json_object *cb_json_array(struct json_object *object,
				  const char *key); /* NULL when absent */
size_t cb_json_length(struct json_object *array);   /* 0 for NULL */
/* How many of the first @n objects of @array have the text of @object under @key; none is like none. */
size_t cb_json_alike(struct json_object *array, size_t n, struct json_object *object,
		     const char *key);

/* Indented JSON and a newline. */
void cb_json_print(FILE *out, struct json_object *object);
