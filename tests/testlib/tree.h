/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A machine made of files: a directory of its own below $TMPDIR, filled by a test and taken away
 * with everything in it. Paths are relative to it; directories come by themselves. A failure ends
 * the test.
 */

#include "cpubalance/host.h"

struct tree {
	char root[192];
	struct cb_host *host; /* opened by tree_open() */
};

void tree_init(struct tree *tree);
void tree_done(struct tree *tree); /* closes the host too */

/* Replaces what is there without a new inode: a descriptor that is kept sees it. */
void tree_write(struct tree *tree, const char *path, const char *text);
void tree_printf(struct tree *tree, const char *path, const char *fmt, ...) _printf_(3, 4);
void tree_write_bytes(struct tree *tree, const char *path, const void *bytes, size_t len);
void tree_mkdir(struct tree *tree, const char *path);
void tree_link(struct tree *tree, const char *path, const char *target);
void tree_chmod(struct tree *tree, const char *path, unsigned int mode);
void tree_remove(struct tree *tree, const char *path); /* a file or a whole directory */

struct cb_host *tree_open(struct tree *tree);

/*
 * proc/PID/{stat,status} and proc/PID/task/TID/{stat,status,schedstat} of one thread; the main one:
 * pid == tid.
 */
struct tree_task {
	int32_t pid, tid, ppid;
	const char *comm;
	char state;
	uint32_t flags, n_threads;
	uint64_t utime_ticks, stime_ticks, start_ticks;
	int32_t last_cpu;
	const char *mask;
	uint64_t cpu_nsec, wait_nsec, vol, invol;
};
void tree_task(struct tree *tree, const struct tree_task *task);
