/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The CPU affinity of a thread: sched_setaffinity(2), sched_getaffinity(2), Cpus_allowed_list in its status file.
 *
 * A mask is inherited by new threads and by children, through exec too. The kernel drops CPUs that do not exist or that the
 * cpuset does not allow without a word, so a mask is always read back. A zombie accepts any mask.
 */
#include <errno.h>
#include <stdio.h>

#include "knobs.h"

/*
 * kernel/sched/syscalls.c, __sched_setaffinity(): EINVAL is a mask without one CPU that is online and in the cpuset, and
 * a thread with PF_NO_SETAFFINITY; the second is told by the thread's flags before anything is written, so what is left
 * may pass. EPERM is a missing CAP_SYS_NICE, which no waiting brings back.
 */
static enum cb_error_class classify(int errnum)
{
	switch (errnum) {
	case 0:
		return CB_ERROR_NONE;
	case ESRCH:
	case ENOENT:
		return CB_ERROR_GONE;
	case EPERM:
	case EACCES:
	case ENOSYS:
		return CB_ERROR_PERMANENT;
	default:
		return CB_ERROR_TRANSIENT;
	}
}

/* @key: the process id; all its threads, as cb_apply() does. */
static int shell(uint32_t key, const struct cb_cpuset *mask, char *buf, size_t size)
{
	char list[CB_CPULIST_MAX];
	int n, r = cb_cpuset_format_list(mask, list, sizeof(list));

	if (r < 0)
		return r;
	n = snprintf(buf, size, "taskset -a -c -p %s %u", list, key);
	return n < 0 || (size_t)n >= size ? -ENOSPC : n;
}

const struct cb_knob cb_knob_task_affinity = {
	.name = "task_affinity",
	.item = CB_ITEM_WORKER,
	.what = "CPU affinity of a thread, sched_setaffinity(2)",
	.classify = classify,
	.shell = shell,
};
