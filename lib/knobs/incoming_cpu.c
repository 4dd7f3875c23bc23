/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The CPU whose connections a listening socket is given first: SO_INCOMING_CPU, on a duplicate of the socket
 * (pidfd_getfd(2)). Between sockets that share a port it is heeded since Linux 6.2; where no socket has the CPU that a packet came in
 * on, the kernel's hash decides. -1 undoes it, and it can be read, so what it was is known. A program that is attached
 * takes precedence.
 */
#include <errno.h>

#include "knobs.h"

/* ESTALE: the descriptor is another socket by now. EPERM: pidfd_getfd() without CAP_SYS_PTRACE, or its call filtered. */
static enum cb_error_class classify(int errnum)
{
	switch (errnum) {
	case 0:
		return CB_ERROR_NONE;
	case ESRCH:
	case ENOENT:
	case ESTALE:
		return CB_ERROR_GONE;
	case EPERM:
	case EACCES:
	case ENOSYS:
	case ENOPROTOOPT:
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

const struct cb_knob cb_knob_incoming_cpu = {
	.name = "incoming_cpu",
	.item = CB_ITEM_LISTENER,
	.what = "CPU whose connections a listening socket is given first, SO_INCOMING_CPU",
	.classify = classify,
	.shell = shell,
};
