/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who a process is: its start time, name and user, the mask it has and what its cpuset allows it.
 * And whose children are whose.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collect.h"
#include "cpubalance/scan.h"

#define PF_KTHREAD	0x00200000u /* include/linux/sched.h */
#define CGROUP_PATH_MAX 4096u

/* --- cpuset --- */

/* Where the cgroup hierarchies are mounted, relative to the root; "" where they are not. */
struct mounts {
	char v1[CB_PATH_MAX]; /* the one with the cpuset controller */
	char v2[CB_PATH_MAX];
};

/* One line of mountinfo: "36 35 98:0 /root /mount/point options - type source super,options" */
static void take_mount(const struct cb_scan *line, struct mounts *ret)
{
	struct cb_scan s = *line;
	const char *word[5], *type, *super;
	size_t len[5], type_len, super_len;

	for (size_t i = 0; i < CB_ARRAY_SIZE(word); i++) {
		cb_scan_blanks(&s);
		if (!cb_scan_token(&s, &word[i], &len[i]))
			return;
	}
	do {
		cb_scan_blanks(&s);
		if (!cb_scan_token(&s, &type, &type_len))
			return;
	} while (type_len != 1 || *type != '-');
	cb_scan_blanks(&s);
	if (!cb_scan_token(&s, &type, &type_len) || len[4] >= CB_PATH_MAX)
		return;
	cb_scan_blanks(&s);
	if (!cb_scan_token(&s, &super, &super_len))
		return; /* the source */
	cb_scan_blanks(&s);
	if (!cb_scan_token(&s, &super, &super_len))
		super_len = 0;
	if (type_len == strlen("cgroup2") && memcmp(type, "cgroup2", type_len) == 0)
		snprintf(ret->v2, sizeof(ret->v2), "%.*s", (int)len[4], word[4]);
	else if (type_len == strlen("cgroup") && memcmp(type, "cgroup", type_len) == 0 &&
		 super_len > 0 && memmem(super, super_len, "cpuset", strlen("cpuset")))
		snprintf(ret->v1, sizeof(ret->v1), "%.*s", (int)len[4], word[4]);
}

static void find_mounts(struct cb_host *host, struct mounts *ret)
{
	struct cb_scan s, line;
	ssize_t len = cb_host_read_big(host, CB_PATH_OWN_MOUNTS);

	*ret = (struct mounts){ 0 };
	if (len < 0) {
		/* A captured tree has no process of ours. */
		strcpy(ret->v1, CB_PATH_CGROUP_DIR "/cpuset");
		strcpy(ret->v2, CB_PATH_CGROUP_DIR);
		return;
	}
	s = CB_SCAN(host->buf, (size_t)len);
	while (cb_scan_line(&s, &line))
		take_mount(&line, ret);
}

/* The nearest directory at or above @path that says what is allowed. @path is cut short. */
static int read_effective(struct cb_host *host, const char *mount, char *path, const char *file,
			  struct cb_cpuset *ret)
{
	char full[CB_PATH_MAX + CGROUP_PATH_MAX + 64];

	/* Outside of what our own cgroup namespace shows. */
	if (strncmp(path, "/..", 3) == 0)
		return -ENOENT;
	for (;;) {
		char *slash = strrchr(path, '/');
		ssize_t len;

		snprintf(full, sizeof(full), "%s%s/%s", mount, path, file);
		len = cb_host_read_big(host, full);
		if (len >= 0) {
			int r = cb_sysfs_cpulist_parse(host->buf, (size_t)len, ret);

			return r < 0 ? r : cb_cpuset_empty(ret) ? -ENOENT : 0;
		}
		if (!slash)
			return -ENOENT;
		*slash = 0;
	}
}

static bool read_cpuset(struct cb_host *host, const char *cgroups, size_t len,
			struct cb_cpuset *ret)
{
	char v1[CGROUP_PATH_MAX], v2[CGROUP_PATH_MAX];
	struct mounts mounts;
	bool has_v1, has_v2;

	has_v1 = cb_cgroup_parse(cgroups, len, "cpuset", v1, sizeof(v1)) == 0;
	has_v2 = cb_cgroup_parse(cgroups, len, NULL, v2, sizeof(v2)) == 0;
	find_mounts(host, &mounts);
	/*
	 * The controller is in one hierarchy only; in version 1, "effective_" where mounted as type
	 * cpuset.
	 */
	if (has_v1 && mounts.v1[0])
		return read_effective(host, mounts.v1, v1, "cpuset.effective_cpus", ret) == 0;
	return has_v2 && mounts.v2[0] &&
	       read_effective(host, mounts.v2, v2, "cpuset.cpus.effective", ret) == 0;
}

static bool unit_in(const char *cgroups, size_t len, const char *hierarchy,
		    char ret[CB_SELECTOR_TEXT_MAX])
{
	char path[CGROUP_PATH_MAX];

	return cb_cgroup_parse(cgroups, len, hierarchy, path, sizeof(path)) == 0 &&
	       cb_selector_unit_of_path(path, ret) == 0;
}

/* The service manager has the unified hierarchy, or in version 1 one of its own; the other is not there, or empty. */
static void read_unit(const char *cgroups, size_t len, char ret[CB_SELECTOR_TEXT_MAX])
{
	if (!unit_in(cgroups, len, NULL, ret) && !unit_in(cgroups, len, "name=systemd", ret))
		ret[0] = '\0';
}

static void read_cgroups(struct cb_host *host, int32_t pid, struct cb_worker_identity *ret)
{
	char path[CB_PATH_PID_MAX], text[CGROUP_PATH_MAX * 2];
	ssize_t len;

	snprintf(path, sizeof(path), CB_FMT_PID_CGROUP, pid);
	len = cb_host_read_file(host, path, text, sizeof(text));
	if (len < 0)
		return;
	ret->cpuset_is_known = read_cpuset(host, text, (size_t)len, &ret->cpuset);
	read_unit(text, (size_t)len, ret->unit);
}

/* --- identity --- */

/* @tid 0: of the process. */
static int read_identity(struct cb_host *host, int32_t pid, int32_t tid,
			 struct cb_task_stat *ret_stat, struct cb_task_status *ret_status)
{
	char path[CB_PATH_PID_MAX];
	ssize_t len;
	int r;

	if (tid != 0)
		snprintf(path, sizeof(path), CB_FMT_TASK_STATUS, pid, tid);
	else
		snprintf(path, sizeof(path), CB_FMT_PID_STATUS, pid);
	len = cb_host_read_big(host, path);
	r = len < 0 ? (int)len : cb_task_status_parse(host->buf, (size_t)len, ret_status);
	if (r < 0)
		return r;
	if (tid != 0)
		snprintf(path, sizeof(path), CB_FMT_TASK_STAT, pid, tid);
	else
		snprintf(path, sizeof(path), CB_FMT_PID_STAT, pid);
	len = cb_host_read_big(host, path);
	return len < 0 ? (int)len : cb_task_stat_parse(host->buf, (size_t)len, ret_stat);
}

static int identify(struct cb_host *host, int32_t pid, int32_t tid, struct cb_worker_identity *ret,
		    struct cb_err *err)
{
	struct cb_worker_identity identity = { .pid = pid, .tid = tid };
	struct cb_task_status status;
	struct cb_task_stat stat;
	int r = pid > 0 && tid >= 0 ? read_identity(host, pid, tid, &stat, &status) : -ESRCH;

	if ((r == -ENOENT || r == -ESRCH) && tid != 0)
		return cb_err_set(err, -ESRCH, "process %d has no thread %d", pid, tid);
	if (r == -ENOENT || r == -ESRCH)
		return cb_err_set(err, -ESRCH, "no process %d", pid);
	if (r < 0)
		return cb_err_set(err, r, "cannot read process %d: %s", pid, strerror(-r));
	if (status.tgid != pid)
		return cb_err_set(err, -ESRCH, "%d is a thread of process %d, not a process", pid,
				  status.tgid);
	if (stat.flags & PF_KTHREAD)
		return cb_err_set(err, -EPERM, "process %d (%s) is a kernel thread", pid,
				  stat.comm);
	if ((stat.state == 'Z' || stat.state == 'X') && (tid != 0 || stat.n_threads <= 1))
		return cb_err_set(err, -ESRCH, "process %d (%s) has ended", pid, stat.comm);
	identity.start_ticks = stat.start_ticks;
	identity.uid = status.uid;
	snprintf(identity.comm, sizeof(identity.comm), "%s", stat.comm);
	if (cb_thread_mask(host, pid, tid != 0 ? tid : pid, &identity.mask) < 0)
		identity.mask = status.allowed;
	read_cgroups(host, pid, &identity);
	if (!identity.cpuset_is_known)
		cb_cpuset_set_range(&identity.cpuset, 0, CB_CPUS_MAX - 1);
	*ret = identity;
	return 0;
}

int cb_host_identify(struct cb_host *host, int32_t pid, struct cb_worker_identity *ret,
		     struct cb_err *err)
{
	return identify(host, pid, 0, ret, err);
}

int cb_host_identify_thread(struct cb_host *host, int32_t pid, int32_t tid,
			    struct cb_worker_identity *ret, struct cb_err *err)
{
	return tid > 0 ? identify(host, pid, tid, ret, err) :
			 cb_err_set(err, -ESRCH, "%d is no thread", tid);
}

/* Through one descriptor, so that owner and text are of the same process whatever becomes of its number. */
ssize_t cb_host_command_line(struct cb_host *host, int32_t pid, uint32_t viewer, char *ret,
			     size_t size)
{
	_cleanup_close_ int dir = -1, fd = -1;
	char path[CB_PATH_PID_MAX], text[4096];
	struct stat st;
	ssize_t len;

	snprintf(path, sizeof(path), CB_FMT_PID_DIR, pid);
	dir = cb_host_openat(host, path, O_PATH | O_DIRECTORY);
	if (dir < 0)
		return dir == -ENOENT ? -ESRCH : dir;
	if (fstat(dir, &st) < 0)
		return -errno;
	if (viewer != 0 && viewer != st.st_uid)
		return -EACCES;
	fd = openat(dir, "cmdline", O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	len = cb_host_pread_once(fd, text, sizeof(text));
	if (len == -E2BIG) /* its beginning is what is shown */
		len = sizeof(text);
	return len < 0 ? len : (ssize_t)cb_cmdline_parse(text, (size_t)len, ret, size);
}

/* --- children --- */

struct children {
	int32_t *pid;
	size_t n, cap;
};

static int add_child(struct children *children, int32_t pid)
{
	if (children->n == children->cap)
		return -E2BIG;
	children->pid[children->n++] = pid;
	return 0;
}

/*
 * The children that one thread has made. -ENOENT when the kernel has no such file, or the thread is
 * gone.
 */
static int children_of_thread(struct cb_host *host, int32_t pid, int32_t tid,
			      struct children *children)
{
	char path[CB_PATH_PID_MAX];
	struct cb_scan s;
	uint32_t child;
	ssize_t len;
	int r = 0;

	snprintf(path, sizeof(path), CB_FMT_PID_CHILDREN, pid, tid);
	len = cb_host_read_big(host, path);
	if (len < 0)
		return (int)len;
	s = CB_SCAN(host->buf, (size_t)len);
	while (r == 0 && (cb_scan_blanks(&s), cb_scan_u32(&s, &child)))
		r = child > INT32_MAX ? -ERANGE : add_child(children, (int32_t)child);
	return r;
}

/* Without CONFIG_PROC_CHILDREN: every process says who its parent is. */
static int children_by_parent(struct cb_host *host, int32_t pid, struct children *children)
{
	_cleanup_free_ int32_t *pids = NULL;
	size_t n;
	int r = cb_host_list_numbers(host, CB_PATH_PROC_DIR, "", &pids, &n);

	for (size_t i = 0; r == 0 && i < n; i++) {
		struct cb_task_stat stat;
		char path[CB_PATH_PID_MAX];
		ssize_t len;

		snprintf(path, sizeof(path), CB_FMT_PID_STAT, pids[i]);
		len = cb_host_read_big(host, path);
		if (len >= 0 && cb_task_stat_parse(host->buf, (size_t)len, &stat) == 0 &&
		    stat.ppid == pid)
			r = add_child(children, pids[i]);
	}
	return r;
}

static int compare_pids(const void *a, const void *b)
{
	int32_t x, y;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return (x > y) - (x < y);
}

int cb_host_children(struct cb_host *host, int32_t pid, int32_t *ret_pids, size_t cap,
		     size_t *ret_n)
{
	struct children children = { .pid = ret_pids, .cap = cap };
	_cleanup_free_ int32_t *tids = NULL;
	char path[CB_PATH_PID_MAX];
	bool listed = false;
	size_t n;
	int r;

	snprintf(path, sizeof(path), CB_FMT_PID_TASK_DIR, pid);
	r = pid > 0 ? cb_host_list_numbers(host, path, "", &tids, &n) : -ENOENT;
	if (r < 0)
		return r == -ENOENT ? -ESRCH : r;
	for (size_t i = 0; i < n; i++) {
		r = children_of_thread(host, pid, tids[i], &children);
		if (r < 0 && r != -ENOENT && r != -ESRCH)
			return r;
		listed |= r == 0;
	}
	if (!listed) {
		r = children_by_parent(host, pid, &children);
		if (r < 0)
			return r;
	}
	qsort(ret_pids, children.n, sizeof(*ret_pids), compare_pids);
	*ret_n = children.n;
	return 0;
}
