/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Opening a machine, and the few ways in which files are read. Every path is resolved inside the
 * root, so that a link in a fixture tree cannot lead to the machine that runs the test. A machine
 * whose root is not "/" is "not live": no system call about a process or a CPU is made then, only
 * files are read.
 */
#include "cpubalance/host.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "collect.h"
#include "cpubalance/clock.h"
#include "host_internal.h"
#include "hotplug.h"
#include "irqbalance.h"
#include "writer.h"

/*
 * The clock tick of every architecture's /proc since 2.6 (USER_HZ); a tree that is not live cannot
 * be asked.
 */
#define USER_HZ 100u
/* Enough for the small reads before the first cb_host_prepare(). */
#define BUF_FIRST 65536u
/*
 * A file that is bigger than this is not what we take it for: the biggest known /proc/interrupts
 * has 13.4 MB.
 */
#define BUF_MAX (64u * 1024u * 1024u)

/* Races with renames elsewhere that are lost before the path is walked by hand; more than three in a row were not seen. */
#define RACES_MAX 32u

void cb_closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void cb_closedirp(DIR **dir)
{
	if (*dir)
		closedir(*dir);
	*dir = NULL;
}

void cb_freep(void *pointer)
{
	void *memory;

	memcpy(&memory, pointer, sizeof(memory));
	free(memory);
}

int cb_host_openat(struct cb_host *host, const char *path, int flags)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned int)(flags | O_CLOEXEC),
		.resolve = RESOLVE_IN_ROOT,
	};
	long fd;

	/* Any rename on the machine meanwhile, and a path with ".." on its way is not vouched for: once more then. */
	for (unsigned int tries = 0; !host->no_openat2 && tries < RACES_MAX; tries++) {
		fd = syscall(SYS_openat2, host->root_fd, path, &how, sizeof(how));
		if (fd >= 0 || (errno != ENOSYS && errno != EAGAIN))
			return fd < 0 ? -errno : (int)fd;
		host->no_openat2 = errno == ENOSYS;
	}
	if (!host->live)
		return cb_resolve_openat(host->root_fd, path, flags);
	while (*path == '/')
		path++;
	fd = openat(host->root_fd, *path ? path : ".", flags | O_CLOEXEC);
	return fd < 0 ? -errno : (int)fd;
}

/* One pread(), or read() to the end: files of many records give about a page at a time. */
static ssize_t read_to_end(int fd, char *buf, size_t size)
{
	size_t len = 0;

	while (len < size) {
		ssize_t n = pread(fd, buf + len, size - len, (off_t)len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return (ssize_t)len;
		len += (size_t)n;
	}
	return -E2BIG;
}

ssize_t cb_host_pread_all(int fd, char *buf, size_t size)
{
	ssize_t len;

	if (size == 0)
		return -E2BIG;
	len = read_to_end(fd, buf, size);
	if (len >= 0)
		buf[len] = 0;
	return len;
}

ssize_t cb_host_pread_once(int fd, char *buf, size_t size)
{
	ssize_t len;

	if (size == 0)
		return -E2BIG;
	do
		len = pread(fd, buf, size, 0);
	while (len < 0 && errno == EINTR);
	if (len < 0)
		return -errno;
	if ((size_t)len == size)
		return -E2BIG;
	buf[len] = 0;
	return len;
}

ssize_t cb_host_read_file(struct cb_host *host, const char *path, char *buf, size_t size)
{
	_cleanup_close_ int fd = cb_host_openat(host, path, O_RDONLY);

	return fd < 0 ? fd : cb_host_pread_all(fd, buf, size);
}

int cb_host_grow(struct cb_host *host, size_t size)
{
	char *buf;

	if (size <= host->buf_size)
		return 0;
	if (size > BUF_MAX)
		return -E2BIG;
	buf = realloc(host->buf, size);
	if (!buf)
		return -ENOMEM;
	host->buf = buf;
	host->buf_size = size;
	return 0;
}

ssize_t cb_host_read_big_fd(struct cb_host *host, int fd)
{
	for (;;) {
		ssize_t len = cb_host_pread_all(fd, host->buf, host->buf_size);
		int r;

		if (len != -E2BIG)
			return len;
		r = cb_host_grow(host, host->buf_size * 2);
		if (r < 0)
			return r;
	}
}

ssize_t cb_host_read_big(struct cb_host *host, const char *path)
{
	_cleanup_close_ int fd = cb_host_openat(host, path, O_RDONLY);

	return fd < 0 ? fd : cb_host_read_big_fd(host, fd);
}

int cb_host_opendir(struct cb_host *host, const char *path, DIR **ret)
{
	int fd = cb_host_openat(host, path, O_RDONLY | O_DIRECTORY);
	DIR *dir;

	if (fd < 0)
		return fd;
	dir = fdopendir(fd);
	if (!dir) {
		int r = -errno;

		close(fd);
		return r;
	}
	*ret = dir;
	return 0;
}

int cb_number_of(const char *name, const char *prefix, int32_t *ret)
{
	size_t skip = strlen(prefix);
	int64_t n = 0;

	if (strncmp(name, prefix, skip) != 0 || !name[skip])
		return -EINVAL;
	for (const char *p = name + skip; *p; p++) {
		if (*p < '0' || *p > '9')
			return -EINVAL;
		n = n * 10 + (*p - '0');
		if (n > INT32_MAX)
			return -ERANGE;
	}
	*ret = (int32_t)n;
	return 0;
}

static int compare_numbers(const void *a, const void *b)
{
	int32_t x, y;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return (x > y) - (x < y);
}

int cb_host_list_numbers(struct cb_host *host, const char *dir, const char *prefix,
			 int32_t **ret_numbers, size_t *ret_n)
{
	_cleanup_closedir_ DIR *stream = NULL;
	_cleanup_free_ int32_t *numbers = NULL;
	size_t n = 0, cap = 0;
	struct dirent *entry;
	int r = cb_host_opendir(host, dir, &stream);

	if (r < 0)
		return r;
	while (errno = 0, (entry = readdir(stream))) {
		int32_t number;

		if (cb_number_of(entry->d_name, prefix, &number) < 0)
			continue;
		if (n == cap) {
			size_t more = cap ? cap * 2 : 64;
			int32_t *grown = reallocarray(numbers, more, sizeof(*numbers));

			if (!grown)
				return -ENOMEM;
			numbers = grown;
			cap = more;
		}
		numbers[n++] = number;
	}
	if (errno)
		return -errno;
	if (n > 0)
		qsort(numbers, n, sizeof(*numbers), compare_numbers);
	*ret_numbers = cb_steal_ptr(numbers);
	*ret_n = n;
	return 0;
}

/* --- life --- */

static bool is_live_root(int fd)
{
	struct stat root, given;

	return stat("/", &root) == 0 && fstat(fd, &given) == 0 && root.st_dev == given.st_dev &&
	       root.st_ino == given.st_ino;
}

/*
 * A worker takes three descriptors, an interrupt two, a CPU one: the usual soft limit of 1024 is
 * soon reached.
 */
static void raise_fd_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/* One line of text; "unknown" where a captured tree lacks the file. */
static int read_text(struct cb_host *host, const char *path, char *ret, size_t size,
		     struct cb_err *err)
{
	char buf[256];
	ssize_t len = cb_host_read_file(host, path, buf, sizeof(buf));

	if (len < 0 && host->live)
		return cb_err_set(err, (int)len, "cannot read %s: %s", path, strerror((int)-len));
	if (len < 0)
		len = (ssize_t)strlen(strcpy(buf, "unknown"));
	cb_sysfs_text_parse(buf, (size_t)len, ret, size);
	return 0;
}

static int open_root(struct cb_host *host, const char *sysroot, struct cb_err *err)
{
	const char *root = sysroot && *sysroot ? sysroot : "/";
	int fd;

	host->root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (host->root_fd < 0)
		return cb_err_set(err, -errno, "cannot open the root directory %s: %s", root,
				  strerror(errno));
	host->live = is_live_root(host->root_fd);
	fd = cb_host_openat(host, CB_PATH_PROC_DIR, O_PATH | O_DIRECTORY);
	if (fd < 0 && host->live)
		return cb_err_set(err, fd, "cannot open the directory proc below %s: %s", root,
				  strerror(-fd));
	if (fd >= 0)
		close(fd);
	return 0;
}

/*
 * The id as the first process sees it. In a container another one is mounted over the kernel's, and is not there in a /proc
 * that a service has for itself (ProtectProc=): by its own view a service would take the journal of one that was started by
 * hand for another boot's, and the other way round.
 */
static int read_boot_id(struct cb_host *host, struct cb_err *err)
{
	_cleanup_close_ int fd =
		host->live ? open(CB_PATH_BOOT_ID_OF_INIT, O_RDONLY | O_CLOEXEC | O_NOCTTY) : -1;
	ssize_t len = fd < 0 ? -1 : cb_host_pread_all(fd, host->boot_id, sizeof(host->boot_id));

	if (len > 1) {
		host->boot_id[strcspn(host->boot_id, "\n")] = '\0';
		return 0;
	}
	return read_text(host, CB_PATH_BOOT_ID, host->boot_id, sizeof(host->boot_id), err);
}

static int host_init(struct cb_host *host, const struct cb_host_options *options,
		     struct cb_err *err)
{
	long hz;
	int r = open_root(host, options->sysroot, err);

	if (r < 0)
		return r;
	host->dry_run = options->dry_run;
	host->netlink = host->live && !options->no_netlink;
	hz = host->live ? sysconf(_SC_CLK_TCK) : 0;
	host->user_hz = hz > 0 ? (uint32_t)hz : USER_HZ;
	raise_fd_limit();
	r = cb_host_grow(host, BUF_FIRST);
	if (r < 0)
		return cb_err_set(err, r, "not enough memory");
	r = read_boot_id(host, err);
	if (r < 0)
		return r;
	r = read_text(host, CB_PATH_OSRELEASE, host->kernel, sizeof(host->kernel), err);
	if (r < 0)
		return r;
	r = cb_collector_init(host);
	if (r < 0)
		return cb_err_set(err, r, "not enough memory");
	host->writer = cb_writer_new(host);
	host->hotplug = calloc(1, sizeof(*host->hotplug));
	if (!host->writer || !host->hotplug)
		return cb_err_set(err, -ENOMEM, "not enough memory");
	return 0;
}

int cb_host_open(const struct cb_host_options *options, struct cb_host **ret, struct cb_err *err)
{
	struct cb_host *host = calloc(1, sizeof(*host));
	int r;

	if (!host)
		return cb_err_set(err, -ENOMEM, "not enough memory");
	host->root_fd = -1;
	r = host_init(host, options, err);
	if (r < 0) {
		cb_host_close(host);
		return r;
	}
	*ret = host;
	return 0;
}

struct cb_host *cb_host_close(struct cb_host *host)
{
	if (!host)
		return NULL;
	cb_scout_free(host);
	cb_collector_done(host);
	cb_proc_conn_free(host->proc_conn);
	cb_irqbalance_free(host->irqbalance);
	cb_hotplug_done(host->hotplug);
	free(host->hotplug);
	cb_writer_free(host->writer);
	cb_closep(&host->root_fd);
	free(host->buf);
	free(host);
	return NULL;
}

static uint64_t clock_usec(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (uint64_t)ts.tv_sec * CB_USEC_PER_SEC + (uint64_t)ts.tv_nsec / CB_NSEC_PER_USEC;
}

uint64_t cb_host_now_usec(const struct cb_host *host)
{
	(void)host;
	return clock_usec(CLOCK_MONOTONIC);
}

uint64_t cb_host_realtime_usec(const struct cb_host *host)
{
	(void)host;
	return clock_usec(CLOCK_REALTIME);
}

uint64_t cb_host_suspended_usec(const struct cb_host *host)
{
	uint64_t monotonic_usec = clock_usec(CLOCK_MONOTONIC);

	(void)host;
	return clock_usec(CLOCK_BOOTTIME) - monotonic_usec;
}

const char *cb_host_boot_id(const struct cb_host *host)
{
	return host->boot_id;
}

const char *cb_host_kernel(const struct cb_host *host)
{
	return host->kernel;
}

uint32_t cb_host_sources(const struct cb_host *host)
{
	return host->sources;
}
