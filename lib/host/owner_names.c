/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whether irqbalance and other owners run, by the names of processes. All are looked at first, and when one of the owners has gone; then
 * only those that have come since, and some of the old ones in turn, for any may execute another program.
 *
 * /proc lists processes by ascending numbers, and where an entry stands is said by the number alone: so a listing can begin
 * at a place that was kept, also when whose place it was has ended. What begins elsewhere by mistake is mended by the turns.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "collect.h"
#include "cpubalance/scan.h"

/* The first look cannot know who is young, and looks at so many of the youngest again. */
#define JUST_BORN 64
/* Old processes that one call looks at. */
#define OLD_EACH 16u
/* What has room for about so many: the kernel makes an inode for each that it lists. */
#define OLD_BYTES     512u
#define LISTING_BYTES 4096u

static const char *const process_names[_CB_PROCESS_MAX] = {
	[CB_PROCESS_IRQBALANCE] = "irqbalance",
	[CB_PROCESS_TUNED] = "tuned",
	[CB_PROCESS_KUBELET] = "kubelet",
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

/* Which of them is called so, _CB_PROCESS_MAX for none. */
static enum cb_process which_name(const char *comm)
{
	enum cb_process which = CB_PROCESS_IRQBALANCE;

	while (which < _CB_PROCESS_MAX && strcmp(comm, process_names[which]) != 0)
		which++;
	return which;
}

static enum cb_process which_process(struct cb_host *host, int32_t pid)
{
	char path[CB_PATH_PID_MAX], comm[32];
	ssize_t len;

	comm_path(pid, path);
	len = cb_host_read_file(host, path, comm, sizeof(comm));
	if (len <= 0 || comm[len - 1] != '\n')
		return _CB_PROCESS_MAX;
	comm[len - 1] = '\0';
	return which_name(comm);
}

bool cb_host_process_runs(struct cb_host *host, enum cb_process which)
{
	return host->owner_pid[which] > 0 && which_process(host, host->owner_pid[which]) == which;
}

/* Those that a look has come to, until they are enough to be asked for together: that takes a third of what opening a file does. */
#define BATCH \
	8u /* each answer has a place of its own in memory, which is not to be touched for this alone */
struct batch {
	uint32_t n;
	struct cb_taskstats_answer answer[BATCH];
};

static void look_at(struct cb_host *host, struct batch *batch)
{
	if (host->taskstats && batch->n > 0)
		cb_taskstats_conn_get(host->taskstats, batch->answer, batch->n);
	for (uint32_t i = 0; i < batch->n; i++) {
		const struct cb_taskstats_answer *answer = &batch->answer[i];
		enum cb_process which;

		if (host->taskstats && answer->r == -ESRCH)
			continue;
		/* No answer, or one that does not say. */
		which = host->taskstats && answer->r == 0 && answer->stats.comm[0] ?
				which_name(answer->stats.comm) :
				which_process(host, answer->pid);
		if (which < _CB_PROCESS_MAX)
			host->owner_pid[which] = answer->pid;
	}
	batch->n = 0;
}

static void add(struct cb_host *host, struct batch *batch, int32_t pid)
{
	struct cb_taskstats_answer *answer = &batch->answer[batch->n++];

	answer->pid = pid;
	answer->thread = true;
	if (batch->n == BATCH)
		look_at(host, batch);
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

/* --- listings that begin anywhere --- */

struct listing {
	int fd;
	off_t at; /* of what comes next */
	size_t size;
	ssize_t len, next;
	_Alignas(struct dirent64) char buf[LISTING_BYTES];
};

static void begin(struct listing *l, int fd, off_t at, size_t size)
{
	l->fd = fd;
	l->at = at;
	l->size = size;
	l->next = 0;
	l->len = lseek(fd, at, SEEK_SET) < 0 ? -1 : 0;
}

/* The next process and where it stands; 0 behind the last one. */
static int32_t next_process(struct listing *l, off_t *ret_at)
{
	while (l->len >= 0) {
		const struct dirent64 *entry;
		int32_t pid;

		if (l->next == l->len) {
			l->next = 0;
			l->len = getdents64(l->fd, l->buf, l->size);
			if (l->len <= 0)
				break;
		}
		entry = (const void *)(l->buf + l->next);
		l->next += entry->d_reclen;
		*ret_at = l->at;
		l->at = entry->d_off;
		if (cb_number_of(entry->d_name, "", &pid) >= 0 && pid > 0)
			return pid;
	}
	l->len = -1;
	return 0;
}

/* All of them; those that are younger than @until once more in the next look. */
static void look_everywhere(struct cb_host *host, struct batch *batch, int fd, int32_t until)
{
	struct listing l;
	off_t at;
	int32_t pid;

	host->first_at = 0;
	begin(&l, fd, 0, sizeof(l.buf));
	while ((pid = next_process(&l, &at)) > 0) {
		if (host->first_at == 0)
			host->first_at = host->young_at = at;
		if (pid <= until)
			host->young_at = at;
		add(host, batch, pid);
	}
}

static void look_at_younger(struct cb_host *host, struct batch *batch, int fd, int32_t since,
			    int32_t until)
{
	struct listing l;
	off_t at;
	int32_t pid;

	begin(&l, fd, host->young_at, sizeof(l.buf));
	while ((pid = next_process(&l, &at)) > 0 && pid <= until) {
		host->young_at = at;
		if (pid > since)
			add(host, batch, pid);
	}
}

static void look_at_old(struct cb_host *host, struct batch *batch, int fd)
{
	struct listing l;
	int32_t pid = 1;
	off_t at;

	begin(&l, fd, CB_MAX(host->old_at, host->first_at), OLD_BYTES);
	for (uint32_t i = 0; i < OLD_EACH && (pid = next_process(&l, &at)) > 0; i++)
		add(host, batch, pid);
	host->old_at = pid > 0 ? l.at : 0;
}

/* A captured tree is small, and its directories are listed in any order. */
static void look_at_files(struct cb_host *host, struct batch *batch)
{
	_cleanup_free_ int32_t *pids = NULL;
	size_t n;

	if (cb_host_list_numbers(host, CB_PATH_PROC_DIR, "", &pids, &n) < 0)
		return;
	for (size_t i = 0; i < n; i++)
		add(host, batch, pids[i]);
}

/*
 * Those that have come between the last two looks and are still there: a process has its parent's name for a moment, and most do
 * not live long. Numbers are given out upwards and begin anew at the top. Everywhere where nobody knows who is young.
 */
static void find_processes(struct cb_host *host, struct batch *batch, bool everywhere)
{
	_cleanup_close_ int fd = cb_host_openat(host, CB_PATH_PROC_DIR, O_RDONLY | O_DIRECTORY);
	int32_t since = host->pid_before, until = host->pid_last;

	if (fd < 0 || !host->live) {
		look_at_files(host, batch);
		return;
	}
	host->pid_before = until;
	host->pid_last = youngest_pid(host);
	if (until == 0 && host->pid_last > 0)
		host->pid_before = CB_MAX(host->pid_last - JUST_BORN, 1);
	if (everywhere || until == 0) {
		look_everywhere(host, batch, fd, host->pid_before);
		return;
	}
	if (until < since) {
		look_at_younger(host, batch, fd, since, INT32_MAX);
		host->young_at = host->first_at;
		since = 0;
	}
	look_at_younger(host, batch, fd, since, until);
	look_at_old(host, batch, fd);
}

bool cb_host_irqbalance_runs(struct cb_host *host)
{
	struct batch batch;
	bool everywhere = false;

	for (int i = 0; i < _CB_PROCESS_MAX; i++)
		if (host->owner_pid[i] > 0 && !cb_host_process_runs(host, (enum cb_process)i)) {
			host->owner_pid[i] = 0;
			everywhere = true;
		}
	batch.n = 0;
	find_processes(host, &batch, everywhere);
	look_at(host, &batch);
	return host->owner_pid[CB_PROCESS_IRQBALANCE] > 0;
}
