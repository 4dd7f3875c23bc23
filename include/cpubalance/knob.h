/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A knob is a thing that can be turned: lib/knobs describes each one (path or system call, format, what each errno means) and
 * writes nothing. lib/host/apply.c is the only writer.
 */

#include "cpubalance/plan.h"

enum cb_knob_id {
#define CB_KNOB_ROW(id, name, item, what) CB_KNOB_##id,
#include "cpubalance/knobs.def"
#undef CB_KNOB_ROW
	_CB_KNOB_MAX,
	_CB_KNOB_INVALID = -22,
};

struct cb_knob {
	const char *name;         /* in the journal: "task_affinity" */
	enum cb_item_kind item;
	const char *what;         /* for people */
	/* class of a positive errno of the write */
	enum cb_error_class (*classify)(int errnum);
	/* a shell command that sets it by hand, for `plan --shell` and `changes --shell`; returns length or -ENOSPC */
	int (*shell)(uint32_t key, const struct cb_cpuset *mask, char *buf, size_t size);
};

const struct cb_knob *cb_knob_get(enum cb_knob_id id);
enum cb_knob_id cb_knob_from_name(const char *name);
