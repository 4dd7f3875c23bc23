/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Transmit packet steering: the CPUs that send by a transmit queue, best those near the CPU which takes that queue's interrupt. A CPU that is
 * in no queue's mask uses the queue that the hash of the flow gives.
 */
#include "knobs.h"

const struct cb_knob cb_knob_xps_cpus = {
	.name = "xps_cpus",
	.item = CB_ITEM_XPS,
	.what = "CPUs that send by a transmit queue, queues/tx-N/xps_cpus of an interface",
	.classify = cb_queue_classify,
	.shell = cb_queue_no_shell,
	.queue_file = "xps_cpus",
	.queue_dir = CB_QUEUE_TX,
};
