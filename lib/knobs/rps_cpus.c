/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Receive packet steering: the CPUs that handle what a receive queue brings, each flow always on the same of them. With an empty mask
 * the CPU that took the interrupt, or that sent what a virtual interface receives, does it all itself.
 */
#include "knobs.h"

const struct cb_knob cb_knob_rps_cpus = {
	.name = "rps_cpus",
	.item = CB_ITEM_RPS,
	.what = "CPUs that handle what a receive queue brings, queues/rx-N/rps_cpus of an interface",
	.classify = cb_queue_classify,
	.shell = cb_queue_no_shell,
	.queue_file = "rps_cpus",
	.queue_dir = CB_QUEUE_RX,
};
