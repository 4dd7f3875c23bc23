/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who a process is: its start time, name and user, the mask it has and what its cpuset allows it.
 * And whose children are whose, and whether irqbalance and other owners run.
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
/* Names of old processes that one call looks at, after the first call: none of them takes another name but by exec(). */
#define COMMS_OLD_MAX 96u
/* Looks of which one is at old ones too, and numbers of young ones that are tried without listing any. */
#define ROUND_EVERY	6u
#define YOUNG_TRIED_MAX 48
/* Processes that are listed without an allocation. */
#define FEW_MAX 2048u

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

/* --- other owners, by the names of their processes --- */

static const char *const process_names[_CB_PROCESS_MAX] = {
	[CB_PROCESS_IRQBALANCE] = "irqbalance\n",
	[CB_PROCESS_TUNED] = "tuned\n",
	[CB_PROCESS_KUBELET] = "kubelet\n",
};

/* CB_FMT_PID_COMM: so often that printf() is felt. */
static void comm_path(int32_t pid, char ret[CB_PATH_PID_MAX])
{
	char digits[16], *p = ret;
	size_t n = 0;

	for (; pid > 0; pid /= 10)
		digits[n++] = (char)('0' + pid % 10);
	p = stpcpy(p, CB_PATH_PROC_DIR "/");
	while (n > 0)
		*p++ = digits[--n];
	strcpy(p, "/comm");
}

/* Which of them process @pid is, _CB_PROCESS_MAX for none. */
static enum cb_process which_process(struct cb_host *host, int32_t pid)
{
	enum cb_process which = CB_PROCESS_IRQBALANCE;
	char path[CB_PATH_PID_MAX], comm[32];

	comm_path(pid, path);
	if (cb_host_read_file(host, path, comm, sizeof(comm)) <= 0)
		return _CB_PROCESS_MAX;
	while (which < _CB_PROCESS_MAX && strcmp(comm, process_names[which]) != 0)
		which++;
	return which;
}

bool cb_host_process_runs(struct cb_host *host, enum cb_process which)
{
	return host->owner_pid[which] > 0 && which_process(host, host->owner_pid[which]) == which;
}

/* Threads have numbers and names of their own, though no list of processes shows them. */
static bool is_thread(struct cb_host *host, int32_t pid)
{
	struct cb_task_status status;
	char path[CB_PATH_PID_MAX];
	ssize_t len;

	snprintf(path, sizeof(path), CB_FMT_PID_STATUS, pid);
	len = cb_host_read_big(host, path);
	return len >= 0 && cb_task_status_parse(host->buf, (size_t)len, &status) == 0 &&
	       status.tgid != pid;
}

static void look_at(struct cb_host *host, int32_t pid)
{
	enum cb_process which = which_process(host, pid);

	if (which < _CB_PROCESS_MAX && !is_thread(host, pid))
		host->owner_pid[which] = pid;
}

/* The youngest process, the last field of proc/loadavg; 0 when that cannot be known. */
static int32_t youngest_pid(struct cb_host *host)
{
	char buf[128];
	ssize_t len = cb_host_read_file(host, CB_PATH_LOADAVG, buf, sizeof(buf));
	const char *blank = len > 0 ? strrchr(buf, ' ') : NULL;
	struct cb_scan s;
	uint32_t pid;

	if (!blank)
		return 0;
	s = CB_SCAN(blank + 1, strlen(blank + 1));
	return cb_scan_u32(&s, &pid) && pid <= INT32_MAX ? (int32_t)pid : 0;
}

/* Numbers are given out upwards and begin anew at the top. */
static bool is_younger(int32_t pid, int32_t than, int32_t until)
{
	return than <= until ? pid > than && pid <= until : pid > than || pid <= until;
}

/* Ascending, as the kernel lists them; of a captured tree anything may be expected. -E2BIG: more than a few. */
static int list_few(struct cb_host *host, int32_t ret[FEW_MAX], size_t *ret_n)
{
	_cleanup_close_ int fd = cb_host_openat(host, CB_PATH_PROC_DIR, O_RDONLY | O_DIRECTORY);
	int r = fd < 0 || !host->live ? -E2BIG : cb_dir_numbers(fd, ret, FEW_MAX, ret_n);

	return r == 0 && *ret_n == FEW_MAX ? -E2BIG : r;
}

/* All of them, or those that are younger than @since, and on a round some of the others in turn. */
static void look_through(struct cb_host *host, bool everywhere, bool round, int32_t since,
			 int32_t until)
{
	_cleanup_free_ int32_t *many = NULL;
	int32_t few[FEW_MAX], *pids = few;
	size_t n = 0, at = 0;

	if (list_few(host, few, &n) < 0) {
		if (cb_host_list_numbers(host, CB_PATH_PROC_DIR, "", &many, &n) < 0)
			return;
		pids = many;
	}
	if (n == 0)
		return;
	for (size_t i = 0; i < n; i++)
		if (everywhere || is_younger(pids[i], since, until))
			look_at(host, pids[i]);
	if (!everywhere && !round)
		return;
	while (at < n && pids[at] < host->comm_next)
		at++;
	for (size_t i = 0; !everywhere && i < CB_MIN(n, COMMS_OLD_MAX); i++, at++) {
		at = at >= n ? 0 : at;
		look_at(host, pids[at]);
	}
	host->comm_next = at < n ? pids[at] : 0;
}

/*
 * Look for all of them: everywhere at first, when one has just gone, and where nobody knows who is young. Else at those that have come
 * between the last two looks and are still there: a process has its parent's name for a moment, and most do not live
 * long. They are tried by their numbers where these are few; to list the processes is for where they are many, and for
 * every ROUND_EVERY-th time, when some of the old ones have their turn.
 */
static void find_processes(struct cb_host *host, bool everywhere)
{
	int32_t since = host->pid_before, until = host->pid_last;
	bool round = ++host->n_looks % ROUND_EVERY == 0;

	host->pid_before = host->pid_last;
	host->pid_last = youngest_pid(host);
	everywhere = everywhere || since == 0 || until == 0;
	if (everywhere || round || until < since || until - since > YOUNG_TRIED_MAX) {
		look_through(host, everywhere, round, since, until);
		return;
	}
	for (int32_t pid = since + 1; pid <= until; pid++)
		look_at(host, pid);
}

bool cb_host_irqbalance_runs(struct cb_host *host)
{
	bool everywhere = host->comm_next < 0;

	for (int i = 0; i < _CB_PROCESS_MAX; i++)
		if (host->owner_pid[i] > 0 && !cb_host_process_runs(host, (enum cb_process)i)) {
			host->owner_pid[i] = 0;
			everywhere = true;
		}
	find_processes(host, everywhere);
	return host->owner_pid[CB_PROCESS_IRQBALANCE] > 0;
}
