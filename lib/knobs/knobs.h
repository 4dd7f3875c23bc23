/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The descriptors behind cb_knob_get(), one for each row of knobs.def, each in lib/knobs/<name>.c. A row without its
 * descriptor is a link error.
 */

#include "cpubalance/knob.h"

#define CB_KNOB_ROW(id, name, item, what) extern const struct cb_knob cb_knob_##name;
#include "cpubalance/knobs.def"
#undef CB_KNOB_ROW

/* queue_files.c: what the knobs of queues of network interfaces share */
enum cb_error_class cb_queue_classify(int errnum);
int cb_queue_no_shell(uint32_t key, const struct cb_cpuset *mask, char *buf, size_t size);
