/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * PIDFile=: one pid a line. With a single pid in it that process is a master and its direct children are the workers
 * (nginx, for one); a process without children is the worker itself. The file is looked at every other second and read
 * when it is another or has changed; children are listed every five seconds and at once when a worker has ended, so that
 * one that was started in its place gets in. A worker that is no longer named stays one until it ends: a server that
 * is being replaced still carries load while it drains.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cpubalance/sources.h"
#include "log.h"
#include "manager.h"

#define CHECK_EVERY_USEC (2 * CB_USEC_PER_SEC)
#define LIST_EVERY_USEC	 (5 * CB_USEC_PER_SEC)
#define FILE_MAX	 65536u

/* One thread, one group at a time. */
static int32_t pids[CB_WORKERS_MAX];

static void _printf_(2, 3) note(struct cb_registration *registration, const char *fmt, ...)
{
	struct cb_log_fields fields = CB_LOG_NO_FIELDS;
	char text[sizeof(registration->note)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (strcmp(text, registration->note) == 0)
		return;
	memcpy(registration->note, text, sizeof(text));
	fields.group = registration->policy.name;
	cb_log_with(LOG_NOTICE, &fields, "Group %s: %s", fields.group, text);
}

static bool changed(const struct cb_pidfile *pidfile, const struct stat *st)
{
	return !pidfile->seen || pidfile->device != st->st_dev || pidfile->inode != st->st_ino ||
	       pidfile->size != st->st_size || pidfile->changed.tv_sec != st->st_ctim.tv_sec ||
	       pidfile->changed.tv_nsec != st->st_ctim.tv_nsec;
}

/* Opened without blocking: the operator may have named a fifo. */
static ssize_t read_file(const char *path, char *buf, size_t size, struct stat *ret_st)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	ssize_t n;

	if (fd < 0)
		return -errno;
	if (fstat(fd, ret_st) < 0)
		n = -errno;
	else if (!S_ISREG(ret_st->st_mode))
		n = -EINVAL;
	else if (ret_st->st_size >= (off_t)size)
		n = -EFBIG;
	else if ((n = read(fd, buf, size)) < 0)
		n = -errno;
	close(fd);
	return n;
}

static void add_workers(struct cb_registration *registration, size_t n)
{
	uint32_t n_added = 0;

	for (size_t i = 0; i < n; i++) {
		struct cb_err err = { .msg = "" };
		int r = cb_manager_select_check(registration->manager, registration, pids[i], &err);

		if (r >= 0)
			r = cb_manager_process_add(registration->manager, registration, pids[i], -1,
						   &err);

		if (r == 0)
			n_added++;
		else if (r < 0 && r != -ESRCH) /* one that has just ended is no news */
			note(registration, "%s", err.msg);
	}
	if (n_added > 0) {
		struct cb_log_fields fields = CB_LOG_NO_FIELDS;

		fields.group = registration->policy.name;
		cb_log_with(LOG_INFO, &fields, "Group %s: %u new workers from %s", fields.group,
			    n_added, registration->policy.pid_file);
	}
}

/* A master that was taken for a worker before it had children, and was not moved since, is one no longer. */
static void drop_master(struct cb_registration *registration, int32_t pid)
{
	struct cb_manager *m = registration->manager;
	struct cb_member *member = cb_manager_worker_by_pid(m, pid);

	if (member && member->registration == registration &&
	    !(m->journal && cb_journal_find_task(m->journal, pid, member->start_ticks)))
		cb_manager_worker_dropped(m, member);
}

static void list_single(struct cb_registration *registration)
{
	struct cb_manager *m = registration->manager;
	int32_t master = registration->pidfile.single_pid;
	size_t n = 0;
	int r = cb_host_children(m->host, master, pids, CB_ARRAY_SIZE(pids), &n);

	registration->pidfile.listed_usec = cb_manager_now(m);
	registration->pidfile.relist = false;
	if (r == -ESRCH) {
		note(registration, "%s names pid %d, which does not run",
		     registration->policy.pid_file, master);
		return;
	}
	if (r < 0) {
		note(registration, "cannot list the children of pid %d: %s", master, strerror(-r));
		return;
	}
	if (n > 0) {
		drop_master(registration, master);
	} else {
		pids[0] = master;
		n = 1;
	}
	add_workers(registration, n);
}

static void read_again(struct cb_registration *registration)
{
	struct cb_pidfile *pidfile = &registration->pidfile;
	const char *path = registration->policy.pid_file;
	char buf[FILE_MAX];
	uint32_t line = 0;
	struct stat st;
	size_t n = 0;
	ssize_t len = read_file(path, buf, sizeof(buf), &st);
	int r;

	if (len < 0) {
		note(registration, "cannot read %s: %s", path, strerror((int)-len));
		return;
	}
	*pidfile = (struct cb_pidfile){
		.seen = true,
		.device = st.st_dev,
		.inode = st.st_ino,
		.changed = st.st_ctim,
		.size = st.st_size,
		.checked_usec = pidfile->checked_usec,
	};
	r = cb_pidfile_parse(buf, (size_t)len, pids, CB_ARRAY_SIZE(pids), &n, &line);
	if (r == -E2BIG)
		note(registration, "%s names more than %u pids", path, CB_WORKERS_MAX);
	else if (r < 0)
		note(registration, "%s:%" PRIu32 ": not a pid", path, line);
	if (r < 0)
		return;
	pidfile->n_pids = (uint32_t)n;
	if (n == 0)
		note(registration, "%s is empty", path);
	if (n == 1) {
		pidfile->single_pid = pids[0];
		list_single(registration);
	} else {
		add_workers(registration, n);
	}
}

static void check(struct cb_registration *registration, uint64_t now_usec)
{
	struct cb_pidfile *pidfile = &registration->pidfile;
	const char *path = registration->policy.pid_file;
	struct stat st;

	if (pidfile->checked_usec == 0 || now_usec - pidfile->checked_usec >= CHECK_EVERY_USEC) {
		pidfile->checked_usec = now_usec;
		if (stat(path, &st) < 0) {
			pidfile->seen = false;
			pidfile->single_pid = 0;
			note(registration, "%s: %s", path, strerror(errno));
			return;
		}
		if (changed(pidfile, &st)) {
			read_again(registration);
			return;
		}
	}
	if (pidfile->single_pid != 0 &&
	    (pidfile->relist || now_usec - pidfile->listed_usec >= LIST_EVERY_USEC))
		list_single(registration);
}

void cb_manager_pidfile_now(struct cb_registration *registration)
{
	registration->pidfile.checked_usec = 0;
	check(registration, cb_manager_now(registration->manager));
}

void cb_manager_pidfiles(struct cb_manager *m)
{
	uint64_t now_usec = m->tick_begin_usec;

	for (uint32_t i = 0; i < m->n_registrations; i++)
		if (m->registration[i]->policy.pid_file[0])
			check(m->registration[i], now_usec);
}
