/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The CPU affinity of an interrupt: smp_affinity_list below its directory in /proc/irq; effective_affinity_list tells
 * where it really lands, which changes with its next occurrence only. One write() a change: the file takes no offset,
 * and a buffered stream would hide the error until it is closed.
 */
#include <errno.h>
#include <stdio.h>

#include "knobs.h"

/*
 * kernel/irq/proc.c, write_irq_affinity(): an interrupt that the kernel manages answers EIO, on newer kernels EPERM (its
 * file is read-only there: EACCES for who lacks CAP_DAC_OVERRIDE). EINVAL is a mask without an online CPU. ENOSPC comes
 * from the vector allocator of the architecture: the target CPU has no vector left. ERANGE is a CPU that this kernel cannot have.
 */
static enum cb_error_class classify(int errnum)
{
	switch (errnum) {
	case 0:
		return CB_ERROR_NONE;
	case ENOENT:
	case ESRCH:
		return CB_ERROR_GONE;
	case ENOSPC:
		return CB_ERROR_CAPACITY;
	case EIO:
	case EPERM:
	case EACCES:
	case EROFS:
		return CB_ERROR_PERMANENT;
	default:
		return CB_ERROR_TRANSIENT;
	}
}

/* @key: the interrupt's number. */
static int shell(uint32_t key, const struct cb_cpuset *mask, char *buf, size_t size)
{
	char list[CB_CPULIST_MAX];
	int n, r = cb_cpuset_format_list(mask, list, sizeof(list));

	if (r < 0)
		return r;
	n = snprintf(buf, size, "echo %s >/proc/irq/%u/smp_affinity_list", list, key);
	return n < 0 || (size_t)n >= size ? -ENOSPC : n;
}

const struct cb_knob cb_knob_irq_affinity = {
	.name = "irq_affinity",
	.item = CB_ITEM_IRQ,
	.what = "CPU affinity of an interrupt, /proc/irq/N/smp_affinity_list",
	.classify = classify,
	.shell = shell,
};
