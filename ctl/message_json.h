/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Any message of the bus as JSON, by its own types: dictionaries become objects, arrays and structs
 * arrays, variants what is in them. Nothing is known here about who says what.
 */

struct json_object;
struct sd_bus_message;

/*
 * The body of @message: nothing becomes null, one argument itself, several an array. Reads from
 * where the message is; rewind it to start at its beginning. A number that JSON cannot say
 * (infinite, not a number) becomes null. Returns 0 and @ret_json (the caller puts it), or a
 * negative errno of sd-bus, -EOPNOTSUPP for an unknown type, -ENOMEM.
 */
int cb_message_to_json(struct sd_bus_message *message, struct json_object **ret_json);
