/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The queues of network interfaces of the machine that is a table: operations of its writer. */

#include "machine.h"

/* Count a call, and what the script says about it; both return what the operation is to return so far. */
int machine_enter(struct machine *machine, enum machine_op op);
int machine_leave(struct machine *machine, enum machine_op op, int r);

int machine_queue_find(struct cb_writer *writer, struct cb_queue_id *queue);
int machine_queue_get(struct cb_writer *writer, const struct cb_knob *knob,
		      const struct cb_queue_id *queue, struct cb_queue_value *ret);
int machine_queue_set(struct cb_writer *writer, const struct cb_knob *knob,
		      const struct cb_queue_id *queue, const struct cb_queue_value *value);
