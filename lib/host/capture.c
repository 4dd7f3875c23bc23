/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A machine as a directory: the files of /proc and /sys that are read about it, copied so that the copy can be looked at
 * with --sysroot. Processes are left out, and so is everything else that says whose machine it is: what is copied are
 * counters, CPU sets, the names of interrupts and of interfaces with a device, and the kernel's release; the boot id is
 * replaced. A link to a device is made anew, and of the device and what is above it only what tells its interrupts.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host_internal.h"

/* As far up as the inventory of interrupts looks. */
#define DEVICE_LEVELS_MAX 8u
#define CACHES_MAX	  16u
#define PATH_BYTES	  512u
#define NO_BOOT_ID	  "00000000-0000-0000-0000-000000000000\n"

struct capture {
	struct cb_host *host;
	int out_fd;
	uint32_t n_files;
	int r; /* the first thing that went wrong with the copy */
};

/* --- writing --- */

/* The directories of @path's last component. */
static void make_parents(struct capture *capture, const char *path)
{
	char dir[PATH_BYTES];

	for (const char *p = strchr(path, '/'); p; p = strchr(p + 1, '/')) {
		snprintf(dir, sizeof(dir), "%.*s", (int)(p - path), path);
		if (mkdirat(capture->out_fd, dir, 0755) < 0 && errno != EEXIST && !capture->r)
			capture->r = -errno;
	}
}

static void put(struct capture *capture, const char *path, const char *text, size_t len,
		mode_t mode)
{
	_cleanup_close_ int fd = -1;
	size_t done = 0;

	make_parents(capture, path);
	fd = openat(capture->out_fd, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0 && errno == EEXIST)
		return; /* above two devices: copied with the first */
	while (fd >= 0 && done < len) {
		ssize_t n = write(fd, text + done, len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		done += (size_t)n;
	}
	/* Whether an interrupt's mask may be written shows in its mode. */
	if ((fd < 0 || done < len || fchmod(fd, mode) < 0) && !capture->r)
		capture->r = -errno;
	capture->n_files++;
}

/* What cannot be read here cannot be read there either. */
static void copy(struct capture *capture, const char *path)
{
	_cleanup_close_ int fd = cb_host_openat(capture->host, path, O_RDONLY);
	struct stat st;
	ssize_t len;

	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return;
	len = cb_host_read_big_fd(capture->host, fd);
	if (len >= 0)
		put(capture, path, capture->host->buf, (size_t)len, st.st_mode & 0777);
}

/* DIR/PREFIXn/FILE for every n and each of @files. */
static void copy_numbered(struct capture *capture, const char *dir, const char *prefix,
			  const char *const *files)
{
	_cleanup_free_ int32_t *numbers = NULL;
	size_t n = 0;

	if (cb_host_list_numbers(capture->host, dir, prefix, &numbers, &n) < 0)
		return;
	for (size_t i = 0; i < n; i++)
		for (const char *const *file = files; *file; file++) {
			char path[PATH_BYTES];

			snprintf(path, sizeof(path), "%s/%s%d/%s", dir, prefix, numbers[i], *file);
			copy(capture, path);
		}
}

/* --- interfaces --- */

/* @link as seen from the directory @dir, without "." and "..". False for one that leads out or does not fit. */
static bool join(const char *dir, const char *link, char ret[static PATH_BYTES])
{
	size_t len = strlen(dir);

	if (*link == '/')
		len = 0;
	if (len >= PATH_BYTES)
		return false;
	memcpy(ret, dir, len);
	while (*link) {
		size_t part = strcspn(link, "/");

		if (part == 2 && memcmp(link, "..", 2) == 0) {
			if (len == 0)
				return false;
			while (len > 0 && ret[--len] != '/')
				;
		} else if (part > 0 && !(part == 1 && *link == '.')) {
			if (len + part + 2 > PATH_BYTES)
				return false;
			if (len > 0)
				ret[len++] = '/';
			memcpy(ret + len, link, part);
			len += part;
		}
		link += part + (link[part] == '/');
	}
	ret[len] = 0;
	return len > 0;
}

/* Where the link @path leads; @path itself when it is none. */
static bool follow(struct capture *capture, const char *path, char ret[static PATH_BYTES])
{
	_cleanup_close_ int fd = cb_host_openat(capture->host, path, O_PATH | O_NOFOLLOW);
	char target[PATH_BYTES], dir[PATH_BYTES];
	ssize_t len = fd < 0 ? -1 : readlinkat(fd, "", target, sizeof(target) - 1);

	if (fd < 0 || len == (ssize_t)sizeof(target) - 1)
		return false;
	if (len < 0)
		return join("", path, ret);
	target[len] = 0;
	snprintf(dir, sizeof(dir), "%.*s", (int)(strrchr(path, '/') - path), path);
	return join(dir, target, ret);
}

static bool copy_device_level(struct capture *capture, const char *device)
{
	_cleanup_free_ int32_t *irqs = NULL;
	char path[PATH_BYTES + 32];
	size_t n = 0;

	snprintf(path, sizeof(path), "%s/numa_node", device);
	copy(capture, path);
	snprintf(path, sizeof(path), "%s/msi_irqs", device);
	if (cb_host_list_numbers(capture->host, path, "", &irqs, &n) == 0) {
		for (size_t i = 0; i < n; i++) {
			snprintf(path, sizeof(path), "%s/msi_irqs/%d", device, irqs[i]);
			copy(capture, path);
		}
		return true;
	}
	snprintf(path, sizeof(path), "%s/irq", device);
	copy(capture, path);
	return faccessat(capture->out_fd, path, F_OK, 0) == 0;
}

/* Two interfaces may share a device: what is there is there. */
static void copy_device(struct capture *capture, const char *device)
{
	char path[PATH_BYTES];
	struct stat st;

	if (fstatat(capture->out_fd, device, &st, 0) == 0 ||
	    (size_t)snprintf(path, sizeof(path), "%s/.", device) >= sizeof(path))
		return;
	make_parents(capture, path);
	strcpy(path, device);
	for (unsigned int level = 0; level < DEVICE_LEVELS_MAX; level++) {
		char *slash = strrchr(path, '/');

		if (copy_device_level(capture, path) || !slash)
			return;
		*slash = 0;
	}
}

static void copy_interface(struct capture *capture, const char *ifname)
{
	char path[PATH_BYTES], dir[PATH_BYTES], link[PATH_BYTES], device[PATH_BYTES],
		target[PATH_BYTES + 16];

	snprintf(path, sizeof(path), CB_PATH_NET_DIR "/%.64s", ifname);
	if (!follow(capture, path, dir))
		return;
	if ((size_t)snprintf(link, sizeof(link), "%s/device", dir) >= sizeof(link) ||
	    !follow(capture, link, device))
		return; /* without a device: its name is somebody's own */
	copy_device(capture, device);
	snprintf(link, sizeof(link), "%.400s/device", path);
	make_parents(capture, link);
	snprintf(target, sizeof(target), "../../../../%s", device);
	if (symlinkat(target, capture->out_fd, link) < 0 && !capture->r)
		capture->r = -errno;
}

static void copy_interfaces(struct capture *capture)
{
	_cleanup_closedir_ DIR *dir = NULL;
	struct dirent *entry;

	if (cb_host_opendir(capture->host, CB_PATH_NET_DIR, &dir) < 0)
		return;
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			copy_interface(capture, entry->d_name);
}

/* --- all of it --- */

static void copy_caches(struct capture *capture)
{
	for (unsigned int i = 0; i < CACHES_MAX; i++) {
		char level[64], cpus[64];
		const char *const files[] = { level, cpus, NULL };

		snprintf(level, sizeof(level), "cache/index%u/level", i);
		snprintf(cpus, sizeof(cpus), "cache/index%u/shared_cpu_list", i);
		copy_numbered(capture, CB_PATH_CPU_DIR, "cpu", files);
	}
}

static void copy_all(struct capture *capture)
{
	static const char *const machine[] = {
		CB_PATH_STAT,	      CB_PATH_SOFTIRQS,	    CB_PATH_SOFTNET,
		CB_PATH_INTERRUPTS,   CB_PATH_OSRELEASE,    CB_PATH_CPU_ONLINE,
		CB_PATH_CPU_POSSIBLE, CB_PATH_CPU_ISOLATED, CB_PATH_CPU_NOHZ_FULL,
	};
	static const char *const cpu[] = { "online",
					   "cpu_capacity",
					   "cpufreq/cpuinfo_max_freq",
					   "topology/cluster_cpus_list",
					   "topology/physical_package_id",
					   "topology/core_siblings_list",
					   "topology/core_cpus_list",
					   "topology/thread_siblings_list",
					   NULL };
	static const char *const node[] = { "cpulist", "distance", NULL };
	static const char *const irq[] = { "smp_affinity_list", "effective_affinity_list", "node",
					   NULL };
	static const char *const irq_name[] = { "actions", "hwirq", NULL };

	for (size_t i = 0; i < CB_ARRAY_SIZE(machine); i++)
		copy(capture, machine[i]);
	put(capture, CB_PATH_BOOT_ID, NO_BOOT_ID, strlen(NO_BOOT_ID), 0444);
	copy_numbered(capture, CB_PATH_CPU_DIR, "cpu", cpu);
	copy_caches(capture);
	copy_numbered(capture, CB_PATH_NODE_DIR, "node", node);
	copy_numbered(capture, CB_PATH_IRQ_DIR, "", irq);
	copy_numbered(capture, CB_PATH_SYS_IRQ_DIR, "", irq_name);
	copy_interfaces(capture);
}

int cb_host_capture(struct cb_host *host, const char *dir, uint32_t *ret_n_files,
		    struct cb_err *err)
{
	struct capture capture = { .host = host, .out_fd = -1 };
	_cleanup_close_ int fd = -1;

	if (mkdir(dir, 0755) < 0)
		return cb_err_set(err, -errno, "cannot make the directory %s: %s", dir,
				  strerror(errno));
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return cb_err_set(err, -errno, "cannot open %s: %s", dir, strerror(errno));
	capture.out_fd = fd;
	copy_all(&capture);
	if (capture.r < 0)
		return cb_err_set(err, capture.r, "cannot write below %s: %s", dir,
				  strerror(-capture.r));
	*ret_n_files = capture.n_files;
	return 0;
}
