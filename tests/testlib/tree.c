/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See tree.h. */
#include "tree.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void die(const char *what, const char *path)
{
	fprintf(stderr, "%s %s: %s\n", what, path, strerror(errno));
	abort();
}

void tree_init(struct tree *tree)
{
	const char *tmp = getenv("TMPDIR");

	*tree = (struct tree){ 0 };
	if (!tmp || strlen(tmp) > 150)
		tmp = "/tmp";
	snprintf(tree->root, sizeof(tree->root), "%s/cb-tree.XXXXXX", tmp);
	if (!mkdtemp(tree->root))
		die("mkdtemp", tree->root);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	if (remove(path) < 0)
		die("remove", path);
	return 0;
}

static void join(const struct tree *tree, const char *path, char *ret, size_t size)
{
	if (snprintf(ret, size, "%s/%s", tree->root, path) >= (int)size)
		abort();
}

void tree_remove(struct tree *tree, const char *path)
{
	char full[512];

	join(tree, path, full, sizeof(full));
	if (nftw(full, remove_one, 16, FTW_DEPTH | FTW_PHYS) < 0)
		die("remove", full);
}

void tree_done(struct tree *tree)
{
	tree->host = cb_host_close(tree->host);
	tree_remove(tree, "");
}

static void make_parents(char *full)
{
	for (char *p = strchr(full + 1, '/'); p; p = strchr(p + 1, '/')) {
		*p = 0;
		if (mkdir(full, 0755) < 0 && errno != EEXIST)
			die("mkdir", full);
		*p = '/';
	}
}

void tree_write_bytes(struct tree *tree, const char *path, const void *bytes, size_t len)
{
	char full[512];
	int fd;

	join(tree, path, full, sizeof(full));
	make_parents(full);
	fd = open(full, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		die("open", full);
	if (write(fd, bytes, len) != (ssize_t)len)
		die("write", full);
	close(fd);
}

void tree_write(struct tree *tree, const char *path, const char *text)
{
	tree_write_bytes(tree, path, text, strlen(text));
}

void tree_printf(struct tree *tree, const char *path, const char *fmt, ...)
{
	char text[8192];
	va_list ap;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (len < 0 || len >= (int)sizeof(text))
		abort();
	tree_write(tree, path, text);
}

void tree_mkdir(struct tree *tree, const char *path)
{
	char full[512];

	join(tree, path, full, sizeof(full));
	make_parents(full);
	if (mkdir(full, 0755) < 0 && errno != EEXIST)
		die("mkdir", full);
}

void tree_link(struct tree *tree, const char *path, const char *target)
{
	char full[512];

	join(tree, path, full, sizeof(full));
	make_parents(full);
	if (symlink(target, full) < 0)
		die("symlink", full);
}

void tree_chmod(struct tree *tree, const char *path, unsigned int mode)
{
	char full[512];

	join(tree, path, full, sizeof(full));
	if (chmod(full, mode) < 0)
		die("chmod", full);
}

struct cb_host *tree_open(struct tree *tree)
{
	const struct cb_host_options options = { .sysroot = tree->root };
	struct cb_err err = { 0 };

	if (cb_host_open(&options, &tree->host, &err) < 0) {
		fprintf(stderr, "%s\n", err.msg);
		abort();
	}
	return tree->host;
}

static void write_stat(struct tree *tree, const char *path, const struct tree_task *task)
{
	tree_printf(
		tree, path,
		"%d (%s) %c %d 1 1 0 -1 %u 0 0 0 0 %llu %llu 0 0 20 0 %u 0 %llu 0 0 "
		"18446744073709551615 0 0 0 0 0 0 0 0 0 0 0 0 17 %d 0 0 0 0 0 0 0 0 0 0 0 0 0\n",
		task->tid, task->comm, task->state ? task->state : 'S', task->ppid, task->flags,
		(unsigned long long)task->utime_ticks, (unsigned long long)task->stime_ticks,
		task->n_threads ? task->n_threads : 1, (unsigned long long)task->start_ticks,
		task->last_cpu);
}

static void write_status(struct tree *tree, const char *path, const struct tree_task *task)
{
	tree_printf(tree, path,
		    "Name:\t%s\nState:\t%c\nTgid:\t%d\nNgid:\t0\nPid:\t%d\nPPid:\t%d\n"
		    "Uid:\t33\t33\t33\t33\nThreads:\t%u\nCpus_allowed_list:\t%s\n"
		    "voluntary_ctxt_switches:\t%llu\nnonvoluntary_ctxt_switches:\t%llu\n",
		    task->comm, task->state ? task->state : 'S', task->pid, task->tid, task->ppid,
		    task->n_threads ? task->n_threads : 1, task->mask ? task->mask : "0",
		    (unsigned long long)task->vol, (unsigned long long)task->invol);
}

void tree_task(struct tree *tree, const struct tree_task *task)
{
	char path[128];

	snprintf(path, sizeof(path), "proc/%d/task/%d/stat", task->pid, task->tid);
	write_stat(tree, path, task);
	snprintf(path, sizeof(path), "proc/%d/task/%d/status", task->pid, task->tid);
	write_status(tree, path, task);
	snprintf(path, sizeof(path), "proc/%d/task/%d/schedstat", task->pid, task->tid);
	tree_printf(tree, path, "%llu %llu 7\n", (unsigned long long)task->cpu_nsec,
		    (unsigned long long)task->wait_nsec);
	if (task->pid != task->tid)
		return;
	snprintf(path, sizeof(path), "proc/%d/stat", task->pid);
	write_stat(tree, path, task);
	snprintf(path, sizeof(path), "proc/%d/status", task->pid);
	write_status(tree, path, task);
	snprintf(path, sizeof(path), "proc/%d/comm", task->pid);
	tree_printf(tree, path, "%s\n", task->comm);
}
