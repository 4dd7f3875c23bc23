/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* One message of the proc connector (drivers/connector/cn_proc.c): a fork, or the kernel's answer to a subscription. */
#include <errno.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <stddef.h>
#include <string.h>

#include "cpubalance/sources.h"

int cb_proc_event_parse(const void *payload, size_t len, struct cb_proc_event *ret)
{
	struct proc_event event = { .what = PROC_EVENT_NONE };
	struct cb_proc_event parsed = { .kind = CB_PROC_OTHER };
	struct cn_msg cn;

	if (len < sizeof(cn))
		return -EBADMSG;
	memcpy(&cn, payload, sizeof(cn));
	len -= sizeof(cn);
	if (cn.id.idx != CN_IDX_PROC || cn.id.val != CN_VAL_PROC ||
	    len < offsetof(struct proc_event, event_data) + sizeof(event.event_data.fork))
		return -EBADMSG;
	/* Not aligned for its 64-bit members where it is. */
	memcpy(&event, (const char *)payload + sizeof(cn), CB_MIN(len, sizeof(event)));
	if (event.what == PROC_EVENT_NONE) {
		parsed.kind = CB_PROC_ANSWER;
		parsed.answer = (int)event.event_data.ack.err;
	} else if (event.what == PROC_EVENT_FORK) {
		parsed.kind = CB_PROC_FORK;
		parsed.parent_tgid = event.event_data.fork.parent_tgid;
		parsed.child_tid = event.event_data.fork.child_pid;
		parsed.child_tgid = event.event_data.fork.child_tgid;
	}
	*ret = parsed;
	return 0;
}
