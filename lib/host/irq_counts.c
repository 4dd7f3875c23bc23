/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * On which CPUs interrupts were handled so far. Nothing that is decided needs it: where an interrupt lands now says more, and
 * costs less. It is for people, so it is read when somebody asks: one file for each interrupt that matters, or the whole table.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "host_internal.h"

/* Where the table is expected to fit; twice as much is tried when it does not. */
#define TABLE_FIRST	(1u << 20)
#define TABLE_MAX	(1u << 26)
#define PATH_MAX_COUNTS 64u

int cb_host_irq_counts(struct cb_host *host, uint32_t irq, const struct cb_topology *topology,
		       uint64_t *ret)
{
	char path[PATH_MAX_COUNTS];
	ssize_t len;

	snprintf(path, sizeof(path), CB_PATH_SYS_IRQ_DIR "/%u/per_cpu_count", irq);
	len = cb_host_read_big(host, path);
	return len < 0 ? (int)len :
			 cb_sysfs_counts_parse(host->buf, (size_t)len, &topology->possible, ret,
					       topology->n_cpu_ids);
}

static int read_table(int fd, char **ret, size_t *ret_len)
{
	for (size_t size = TABLE_FIRST; size <= TABLE_MAX; size *= 2) {
		_cleanup_free_ char *text = malloc(size);
		ssize_t len;

		if (!text)
			return -ENOMEM;
		len = cb_host_pread_all(fd, text, size);
		if (len == -E2BIG)
			continue;
		if (len < 0)
			return (int)len;
		*ret = cb_steal_ptr(text);
		*ret_len = (size_t)len;
		return 0;
	}
	return -E2BIG;
}

int cb_host_interrupts(struct cb_host *host, const struct cb_topology *topology,
		       cb_interrupts_fn fn, void *userdata)
{
	_cleanup_close_ int fd = cb_host_openat(host, CB_PATH_INTERRUPTS, O_RDONLY);
	_cleanup_free_ uint64_t *per_cpu = NULL;
	_cleanup_free_ uint32_t *cpu_ids = NULL;
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	int r;

	if (fd < 0)
		return fd;
	per_cpu = calloc(topology->n_cpu_ids, sizeof(*per_cpu));
	cpu_ids = calloc(topology->n_cpu_ids, sizeof(*cpu_ids));
	if (!per_cpu || !cpu_ids)
		return -ENOMEM;
	r = read_table(fd, &text, &len);
	return r < 0 ? r :
		       cb_interrupts_parse(text, len, per_cpu, cpu_ids, topology->n_cpu_ids, fn,
					   userdata);
}
