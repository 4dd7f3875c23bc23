/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Written beside its place under a name that the collector passes over (it reads *.prom), made anew with O_EXCL so
 * that a link which somebody has put there is not followed, then renamed.
 */
#include "textfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int write_all(int fd, const char *text)
{
	size_t len = strlen(text);

	while (len > 0) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno != EINTR)
			return -errno;
		text += CB_MAX(n, 0);
		len -= (size_t)CB_MAX(n, 0);
	}
	return 0;
}

static int replace_at(int dir, const char *name, const char *text)
{
	char temporary[256 + 16];
	int fd, r;

	if (strlen(name) > 255)
		return -ENAMETOOLONG;
	snprintf(temporary, sizeof(temporary), ".%s.tmp", name);
	if (unlinkat(dir, temporary, 0) < 0 && errno != ENOENT)
		return -errno;
	fd = openat(dir, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return -errno;
	r = write_all(fd, text);
	if (r >= 0 && fchmod(fd, 0644) < 0)
		r = -errno;
	if (close(fd) < 0 && r >= 0)
		r = -errno;
	if (r >= 0 && renameat(dir, temporary, dir, name) < 0)
		r = -errno;
	if (r < 0)
		unlinkat(dir, temporary, 0);
	return r;
}

/* The directory's descriptor and the name in it. */
static int open_parent(const char *path, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	char dir[4096];
	int fd;

	if (!slash || slash[1] == '\0' || (size_t)(slash - path) >= sizeof(dir))
		return -EINVAL;
	memcpy(dir, path, (size_t)(slash - path));
	dir[slash - path] = '\0';
	fd = open(slash == path ? "/" : dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret_name = slash + 1;
	return fd;
}

int cb_textfile_write(const char *path, const char *text, struct cb_err *err)
{
	const char *name;
	int dir, r;

	if (!text)
		return cb_err_set(err, -ENOMEM, "%s: out of memory", path);
	dir = open_parent(path, &name);
	if (dir < 0)
		return cb_err_set(err, dir, "%s: %s", path, strerror(-dir));
	r = replace_at(dir, name, text);
	close(dir);
	return r < 0 ? cb_err_set(err, r, "%s: %s", path, strerror(-r)) : 0;
}

void cb_textfile_remove(const char *path)
{
	const char *name;
	int dir;

	if (!path[0])
		return;
	dir = open_parent(path, &name);
	if (dir < 0)
		return;
	unlinkat(dir, name, 0);
	close(dir);
}
