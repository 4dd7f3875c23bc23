/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The number is in the descriptor's own fdinfo: "Pid:" is -1 when the process has ended and 0 when it has no number in the
 * namespace of the reader (kernel/pid.c, pidfd_show_fdinfo()). PIDFD_GET_INFO is younger than the kernels we run on.
 */
#include "pidfd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cpubalance/scan.h"
#include "cpubalance/sources.h"

static ssize_t read_fdinfo(int fd, char *buf, size_t size)
{
	char path[64];
	ssize_t n;
	int info;

	snprintf(path, sizeof(path), "/" CB_PATH_PROC_DIR "/self/fdinfo/%d", fd);
	info = open(path, O_RDONLY | O_CLOEXEC);
	if (info < 0)
		return -errno;
	n = read(info, buf, size);
	close(info);
	return n;
}

int cb_pidfd_pid(int fd, int32_t *ret, struct cb_err *err)
{
	char buf[1024];
	ssize_t len = read_fdinfo(fd, buf, sizeof(buf));
	struct cb_scan s = CB_SCAN(buf, len > 0 ? (size_t)len : 0), line;
	int64_t pid;

	while (cb_scan_line(&s, &line)) {
		if (!cb_scan_word(&line, "Pid:"))
			continue;
		cb_scan_blanks(&line);
		if (!cb_scan_i64(&line, &pid))
			break;
		if (pid < 0)
			return cb_err_set(err, -ESRCH, "a worker has ended");
		if (pid == 0 || pid > INT32_MAX)
			return cb_err_set(err, -EXDEV, "a worker has no pid in this namespace");
		*ret = (int32_t)pid;
		return 0;
	}
	return cb_err_set(err, -EBADF, "a descriptor is not a pidfd");
}
