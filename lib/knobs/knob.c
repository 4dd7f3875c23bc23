/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The table of knobs, made from knobs.def. Pure: a knob is described here and turned by lib/host/apply.c alone.
 */
#include "cpubalance/knob.h"

#include <string.h>

#include "knobs.h"

static const struct cb_knob *const knobs[] = {
#define CB_KNOB_ROW(id, name, item, what) [CB_KNOB_##id] = &cb_knob_##name,
#include "cpubalance/knobs.def"
#undef CB_KNOB_ROW
};

/* The descriptor of @id, NULL for a value that is no knob. Static storage. */
const struct cb_knob *cb_knob_get(enum cb_knob_id id)
{
	if ((int)id < 0 || (size_t)id >= CB_ARRAY_SIZE(knobs))
		return NULL;
	return knobs[id];
}

/* The knob of that journal name, _CB_KNOB_INVALID when there is none. */
enum cb_knob_id cb_knob_from_name(const char *name)
{
	for (size_t i = 0; i < CB_ARRAY_SIZE(knobs); i++)
		if (strcmp(knobs[i]->name, name) == 0)
			return (enum cb_knob_id)i;
	return _CB_KNOB_INVALID;
}
