/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether a process is one that Unit=, Cgroup= and Process= name. Cgroups are compared by the paths that the process itself
 * shows, in whichever hierarchy: the unified one, or those of version 1. Each file is read when the first group asks for it.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "scout.h"

struct names {
	struct cb_host *host;
	int32_t pid;
	bool has_comm, has_exe, has_cgroup;
	char comm[32], exe[CB_SELECTOR_TEXT_MAX + 16];
	char cgroup[8192];
	size_t cgroup_len;
	int r; /* a file that could not be read */
};

struct path_query {
	const struct cb_selector *selector;
	bool unit, below;
};

static int match_path(const char *path, size_t len, void *userdata)
{
	struct path_query *query = userdata;

	query->unit |= query->selector->unit[0] &&
		       cb_selector_path_in_unit(path, len, query->selector->unit);
	query->below |= query->selector->cgroup[0] &&
			cb_selector_path_below(path, len, query->selector->cgroup);
	return 0;
}

static bool cgroups_fit(struct names *names, const struct cb_selector *selector)
{
	struct path_query query = { .selector = selector };
	char path[CB_PATH_PID_MAX];
	ssize_t len;

	if (!selector->unit[0] && !selector->cgroup[0])
		return true;
	if (!names->has_cgroup) {
		names->has_cgroup = true;
		snprintf(path, sizeof(path), CB_FMT_PID_CGROUP, names->pid);
		len = cb_host_read_file(names->host, path, names->cgroup, sizeof(names->cgroup));
		if (len < 0)
			names->r = (int)len;
		names->cgroup_len = len < 0 ? 0 : (size_t)len;
	}
	if (cb_cgroup_each(names->cgroup, names->cgroup_len, match_path, &query) < 0)
		return false;
	return (!selector->unit[0] || query.unit) && (!selector->cgroup[0] || query.below);
}

static void read_comm(struct names *names)
{
	char path[CB_PATH_PID_MAX];
	ssize_t len;

	names->has_comm = true;
	snprintf(path, sizeof(path), CB_FMT_PID_COMM, names->pid);
	len = cb_host_read_file(names->host, path, names->comm, sizeof(names->comm));
	if (len > 0 && names->comm[len - 1] == '\n')
		names->comm[len - 1] = 0;
	if (len < 0)
		names->comm[0] = 0;
}

static void read_exe(struct names *names)
{
	_cleanup_close_ int fd = -1;
	char path[CB_PATH_PID_MAX];
	ssize_t len = -1;

	names->has_exe = true;
	snprintf(path, sizeof(path), CB_FMT_PID_DIR, names->pid);
	fd = cb_host_openat(names->host, path, O_PATH | O_DIRECTORY);
	if (fd >= 0)
		len = readlinkat(fd, "exe", names->exe, sizeof(names->exe) - 1);
	names->exe[len < 0 ? 0 : len] = 0;
	/* What a program that was replaced under the process is called. */
	if (len > 10 && strcmp(names->exe + len - 10, " (deleted)") == 0)
		names->exe[len - 10] = 0;
}

static bool program_fits(struct names *names, const char *process)
{
	const char *last;

	if (!process[0])
		return true;
	if (process[0] != '/') {
		if (!names->has_comm)
			read_comm(names);
		if (strcmp(names->comm, process) == 0)
			return true;
	}
	if (!names->has_exe)
		read_exe(names);
	last = strrchr(names->exe, '/');
	return strcmp(names->exe, process) == 0 || (last && strcmp(last + 1, process) == 0);
}

int cb_scout_names(struct cb_host *host, int32_t pid, uint64_t mask, uint64_t *ret)
{
	const struct cb_scout *scout = host->scout;
	struct names names = { .host = host, .pid = pid };
	uint64_t fits = mask & ~scout->named;

	for (uint32_t i = 0; i < scout->n_groups; i++) {
		const struct cb_selector *selector = &scout->group[i].selector;
		uint64_t bit = UINT64_C(1) << i;

		if (mask & scout->named & bit && program_fits(&names, selector->process) &&
		    cgroups_fit(&names, selector))
			fits |= bit;
	}
	if (fits == 0 && (names.r == -EACCES || names.r == -EPERM))
		return names.r;
	*ret = fits;
	return 0;
}
