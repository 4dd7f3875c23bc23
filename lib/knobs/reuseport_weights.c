/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Shares of new connections between the sockets of one address: a program of type SK_REUSEPORT that is attached to one of
 * them and decides for all (SO_ATTACH_REUSEPORT_EBPF). It goes on deciding when whoever attached it has ended, and no call reads
 * back what is attached; so it is in the journal before it is attached, and taken away at every end and every start.
 */
#include <errno.h>

#include "knobs.h"

/* EBUSY: a socket is in another array, so somebody else chooses. EPERM: no CAP_BPF or CAP_NET_ADMIN, or bpf(2) is filtered. */
static enum cb_error_class classify(int errnum)
{
	switch (errnum) {
	case 0:
		return CB_ERROR_NONE;
	case ESRCH:
	case ENOENT:
	case ESTALE:
		return CB_ERROR_GONE;
	case EBUSY:
	case EPERM:
	case EACCES:
	case ENOSYS:
	case EINVAL: /* a kernel without this type of program or map */
		return CB_ERROR_PERMANENT;
	default:
		return CB_ERROR_TRANSIENT;
	}
}

/* No command of a shell reaches a socket of another process. */
static int shell(uint32_t key, const struct cb_cpuset *mask, char *buf, size_t size)
{
	(void)key;
	(void)mask;
	if (size == 0)
		return -ENOSPC;
	buf[0] = 0;
	return 0;
}

const struct cb_knob cb_knob_reuseport_weights = {
	.name = "reuseport_weights",
	.item = CB_ITEM_SHARE,
	.what = "shares of new connections, a program of SO_ATTACH_REUSEPORT_EBPF",
	.classify = classify,
	.shell = shell,
};
