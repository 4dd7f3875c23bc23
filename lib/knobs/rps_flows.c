/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Receive flow steering: a flow that is read on one CPU is handled on that CPU, for as many flows of a queue as rps_flow_cnt says, and as
 * long as the machine has a table of readers (net.core.rps_sock_flow_entries, which only the first network namespace shows).
 */
#include "knobs.h"

const struct cb_knob cb_knob_rps_flows = {
	.name = "rps_flows",
	.item = CB_ITEM_RFS,
	.what = "flows that a receive queue keeps near their readers, queues/rx-N/rps_flow_cnt and net.core.rps_sock_flow_entries",
	.classify = cb_queue_classify,
	.shell = cb_queue_no_shell,
	.queue_file = "rps_flow_cnt",
	.queue_dir = CB_QUEUE_RX,
};
