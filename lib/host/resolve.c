/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * openat2(RESOLVE_IN_ROOT) by hand, one component at a time, for where that call is not to be had:
 * an old seccomp filter, an emulator. Only captured trees come here; on a live machine the root is
 * "/", and plain openat() does the same.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host_internal.h"

#define LINKS_MAX 40u /* as the kernel's MAXSYMLINKS */
#define REST_MAX  4096u

struct resolver {
	int root_fd;
	int dir_fd; /* where we are */
	unsigned int n_links;
	char rest[REST_MAX]; /* what is still to be walked */
};

static int enter(struct resolver *r, int fd)
{
	if (fd < 0)
		return -errno;
	close(r->dir_fd);
	r->dir_fd = fd;
	return 0;
}

static int enter_root(struct resolver *r)
{
	return enter(r, fcntl(r->root_fd, F_DUPFD_CLOEXEC, 0));
}

static int enter_parent(struct resolver *r)
{
	struct stat here, root;

	if (fstat(r->dir_fd, &here) < 0 || fstat(r->root_fd, &root) < 0)
		return -errno;
	if (here.st_dev == root.st_dev && here.st_ino == root.st_ino)
		return 0; /* above the root is the root */
	return enter(r, openat(r->dir_fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC));
}

/* Put the target of a link in front of the rest. */
static int follow(struct resolver *r, const char *name)
{
	char joined[REST_MAX * 2 + 2], target[REST_MAX];
	ssize_t len = readlinkat(r->dir_fd, name, target, sizeof(target) - 1);

	if (len < 0)
		return -errno;
	if (++r->n_links > LINKS_MAX)
		return -ELOOP;
	target[len] = 0;
	snprintf(joined, sizeof(joined), "%s/%s", target, r->rest);
	if (strlen(joined) >= sizeof(r->rest))
		return -ENAMETOOLONG;
	strcpy(r->rest, joined);
	return target[0] == '/' ? enter_root(r) : 0;
}

/* Take the next component into @name. False when nothing is left. */
static bool next_name(struct resolver *r, char name[static NAME_MAX + 1])
{
	const char *p = r->rest + strspn(r->rest, "/");
	size_t len = strcspn(p, "/");

	if (len == 0 || len > NAME_MAX)
		return false;
	memcpy(name, p, len);
	name[len] = 0;
	p += len;
	p += strspn(p, "/");
	memmove(r->rest, p, strlen(p) + 1);
	return true;
}

/*
 * Returns a descriptor at the end of the path, -EAGAIN when there is more to walk, or another
 * negative errno.
 */
static int step(struct resolver *r, const char *name, int flags)
{
	struct stat st;
	int e;

	if (strcmp(name, ".") == 0)
		return -EAGAIN;
	if (strcmp(name, "..") == 0) {
		e = enter_parent(r);
		return e < 0 ? e : -EAGAIN;
	}
	if (fstatat(r->dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (S_ISLNK(st.st_mode) && (r->rest[0] || !(flags & O_NOFOLLOW))) {
		e = follow(r, name);
		return e < 0 ? e : -EAGAIN;
	}
	if (r->rest[0]) {
		e = enter(r,
			  openat(r->dir_fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
		return e < 0 ? e : -EAGAIN;
	}
	e = openat(r->dir_fd, name, flags | O_NOFOLLOW | O_CLOEXEC);
	return e < 0 ? -errno : e;
}

int cb_resolve_openat(int root_fd, const char *path, int flags)
{
	struct resolver r = { .root_fd = root_fd };
	_cleanup_close_ int dir_fd = -1; /* closes what r.dir_fd ends as */
	char name[NAME_MAX + 1];
	int fd = -EAGAIN;

	if (strlen(path) >= sizeof(r.rest))
		return -ENAMETOOLONG;
	strcpy(r.rest, path);
	r.dir_fd = fcntl(root_fd, F_DUPFD_CLOEXEC, 0);
	if (r.dir_fd < 0)
		return -errno;
	while (fd == -EAGAIN && next_name(&r, name))
		fd = step(&r, name, flags);
	dir_fd = r.dir_fd;
	/* The path ended with "." or "..", or was empty. */
	if (fd == -EAGAIN) {
		fd = openat(r.dir_fd, ".", flags | O_CLOEXEC);
		if (fd < 0)
			fd = -errno;
	}
	return fd;
}
