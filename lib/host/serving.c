/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who serves a socket. A process that holds one may only keep it for its children, as nginx's master does; what tells is an
 * epoll descriptor of the process that watches it, or a thread of it that waits for connections or datagrams in a system
 * call. A process that asks with poll() or select() shows neither: then who holds it alone is a guess, which is
 * the caller's to make.
 */
#include "serving.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Threads whose calls are looked at: servers that wait in accept() have few, or all of them do. */
#define CALLERS_MAX 64u
#define EPOLL_LINK  "anon_inode:[eventpoll]"
/* Descriptors of a process that are looked at. */
#define DESCRIPTORS_MAX 65536u

struct look {
	struct cb_host *host;
	int32_t pid;
	const struct cb_wanted *wanted;
	uint32_t n_wanted;
	const struct cb_holdings_hooks *hooks; /* may be NULL */
	struct cb_holdings *ret;
	int32_t epoll_fd; /* at hand */
	bool watches;	  /* it watches one of them */
};

static int compare_wanted(const void *a, const void *b)
{
	const struct cb_wanted *x = a, *y = b;

	return (x->inode > y->inode) - (x->inode < y->inode);
}

void cb_wanted_sort(struct cb_wanted *wanted, uint32_t n)
{
	if (n > 1)
		qsort(wanted, n, sizeof(*wanted), compare_wanted);
}

uint32_t cb_wanted_find(const struct cb_wanted *wanted, uint32_t n, uint32_t inode)
{
	uint32_t low = 0, high = n;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (wanted[middle].inode < inode)
			low = middle + 1;
		else
			high = middle;
	}
	return low < n && wanted[low].inode == inode ? low : n;
}

ino_t cb_netns_of(struct cb_host *host, int32_t pid)
{
	_cleanup_close_ int fd = -1;
	char path[CB_PATH_PID_MAX];
	struct stat st;

	snprintf(path, sizeof(path), CB_FMT_PID_NS_DIR, pid);
	fd = cb_host_openat(host, path, O_PATH | O_DIRECTORY);
	if (fd < 0) {
		errno = -fd;
		return 0;
	}
	return fstatat(fd, "net", &st, 0) == 0 ? st.st_ino : 0;
}

static int mark_watched(uint64_t inode, void *userdata)
{
	struct look *look = userdata;
	/* sock_diag has 32 bits of an inode */
	uint32_t index = cb_wanted_find(look->wanted, look->n_wanted, (uint32_t)inode);
	bool found = false;

	for (uint32_t i = 0; index < look->n_wanted && i < look->ret->n; i++)
		if (look->ret->held[i].index == index)
			found = look->ret->held[i].serves = true;
	look->watches |= found;
	if (found && look->hooks && look->hooks->watched)
		look->hooks->watched(look->epoll_fd, index, look->hooks->userdata);
	return 0;
}

static void look_at_epoll(struct look *look, int32_t fd)
{
	char path[CB_PATH_PID_MAX];
	ssize_t len;

	snprintf(path, sizeof(path), CB_FMT_PID_FDINFO, look->pid, fd);
	len = cb_host_read_big(look->host, path);
	if (len < 0)
		return;
	look->watches = false;
	look->epoll_fd = fd;
	if (cb_epoll_parse(look->host->buf, (size_t)len, mark_watched, look) == 0)
		look->ret->n_loops += look->watches;
}

static bool is_epoll(int dir_fd, int32_t number)
{
	char name[16], link[sizeof(EPOLL_LINK)];
	ssize_t len;

	snprintf(name, sizeof(name), "%d", number);
	len = readlinkat(dir_fd, name, link, sizeof(link));
	return len == (ssize_t)strlen(EPOLL_LINK) && memcmp(link, EPOLL_LINK, (size_t)len) == 0;
}

bool cb_call_waits(int64_t number)
{
	static const long calls[] = { SYS_accept,  SYS_accept4,	 SYS_recvfrom,
				      SYS_recvmsg, SYS_recvmmsg, SYS_read };

	for (size_t i = 0; i < CB_ARRAY_SIZE(calls); i++)
		if (number == calls[i])
			return true;
	return false;
}

static void look_at_calls(struct look *look)
{
	_cleanup_free_ int32_t *tids = NULL;
	char path[CB_PATH_PID_MAX], text[256];
	size_t n;

	snprintf(path, sizeof(path), CB_FMT_PID_TASK_DIR, look->pid);
	if (cb_host_list_numbers(look->host, path, "", &tids, &n) < 0)
		return;
	for (size_t i = 0; i < CB_MIN(n, (size_t)CALLERS_MAX); i++) {
		int64_t number;
		uint64_t first;
		ssize_t len;

		snprintf(path, sizeof(path), CB_FMT_TASK_SYSCALL, look->pid, tids[i]);
		len = cb_host_read_file(look->host, path, text, sizeof(text));
		if (len < 0 || cb_syscall_parse(text, (size_t)len, &number, &first) < 0 ||
		    !cb_call_waits(number))
			continue;
		for (uint32_t j = 0; j < look->ret->n; j++)
			look->ret->held[j].serves |= (uint64_t)look->ret->held[j].fd == first;
	}
}

static void hold(struct look *look, uint32_t index, int32_t fd)
{
	if (look->hooks && look->hooks->count)
		look->hooks->count(index, look->hooks->userdata);
	if (!(look->wanted[index].tag & CB_WANTED_COUNT) && look->ret->n < CB_HELD_MAX)
		look->ret->held[look->ret->n++] = (struct cb_held){ .index = index, .fd = fd };
}

/* First the sockets, then what watches them. */
static void look_at_descriptors(struct look *look, int dir_fd, const int32_t *numbers, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		uint32_t inode, index;

		if (!cb_socket_inode(dir_fd, numbers[i], &inode))
			continue;
		index = cb_wanted_find(look->wanted, look->n_wanted, inode);
		if (index < look->n_wanted)
			hold(look, index, numbers[i]);
	}
	for (size_t i = 0; i < n && look->ret->n > 0; i++)
		if (is_epoll(dir_fd, numbers[i]))
			look_at_epoll(look, numbers[i]);
	if (look->ret->n > 0 && look->ret->n_loops == 0)
		look_at_calls(look);
	for (uint32_t i = 0; i < look->ret->n; i++)
		look->ret->serves |= look->ret->held[i].serves;
}

/* To list descriptors takes less than to see what they are: root without CAP_SYS_PTRACE may do the one and not the other. */
static bool may_look(int dir_fd, const int32_t *numbers, size_t n)
{
	char name[16], link[2];

	for (size_t i = 0; i < n; i++) {
		snprintf(name, sizeof(name), "%d", numbers[i]);
		if (readlinkat(dir_fd, name, link, sizeof(link)) >= 0)
			return true;
		if (errno != ENOENT) /* closed meanwhile */
			return errno != EACCES && errno != EPERM;
	}
	return true;
}

int cb_holdings_read(struct cb_host *host, int32_t pid, const struct cb_wanted *wanted, uint32_t n,
		     const struct cb_holdings_hooks *hooks, struct cb_holdings *ret)
{
	struct look look = {
		.host = host, .pid = pid, .wanted = wanted, .n_wanted = n, .hooks = hooks, .ret = ret
	};
	_cleanup_free_ int32_t *numbers = NULL;
	_cleanup_close_ int dir_fd = -1;
	char path[CB_PATH_PID_MAX];
	size_t n_numbers = 0;
	struct stat st;
	int r;

	ret->n = ret->n_loops = 0;
	ret->serves = false;
	snprintf(path, sizeof(path), CB_FMT_PID_FD_DIR, pid);
	dir_fd = cb_host_openat(host, path, O_RDONLY | O_DIRECTORY);
	if (dir_fd < 0)
		return dir_fd == -ENOENT ? -ESRCH : dir_fd;
	/* How many there are is its size since Linux 6.2; before, as many as there may be. */
	if (fstat(dir_fd, &st) < 0)
		return -errno;
	n_numbers = st.st_size > 0 ? CB_MIN((size_t)st.st_size + 64, (size_t)DESCRIPTORS_MAX) :
				     DESCRIPTORS_MAX;
	numbers = calloc(n_numbers, sizeof(*numbers));
	if (!numbers)
		return -ENOMEM;
	r = cb_dir_numbers(dir_fd, numbers, n_numbers, &n_numbers);
	if (r < 0)
		return r == -ENOENT ? -ESRCH : r;
	if (!may_look(dir_fd, numbers, n_numbers))
		return -EACCES;
	look_at_descriptors(&look, dir_fd, numbers, n_numbers);
	return 0;
}
