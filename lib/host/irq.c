/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The inventory of interrupts: /proc/irq for the numbers and masks, /sys/kernel/irq for names and
 * hardware numbers, and /sys/class/net for whose they are. An interface's device, or the nearest
 * directory above it that says so, lists its interrupts in msi_irqs; a PCI device without that list
 * has one old-style interrupt in its file irq. The search ends at the first PCI device, since the
 * bridge above it has interrupts of its own. Drivers on other buses are known by the name of the
 * action alone: that of the interface ("eth0-TxRx-0") or of the device ("virtio2-input.0"). Which queue
 * an interrupt serves is told by the kernel where the driver lets it (netlink_netdev.c), else by that name.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "collect.h"

#define PATH_MAX_IRQ 128u
/* Directories looked at above a device: virtio on PCI needs one, USB behind hubs some more. */
#define DEVICE_LEVELS_MAX 8u

struct inventory {
	struct cb_host *host;
	struct cb_irqs *irqs;
};

static void read_names(struct cb_host *host, struct cb_irq_info *info)
{
	char path[PATH_MAX_IRQ], buf[512];
	ssize_t len;
	int64_t value;

	snprintf(path, sizeof(path), CB_PATH_SYS_IRQ_DIR "/%u/actions", info->irq);
	len = cb_host_read_file(host, path, buf, sizeof(buf));
	if (len > 0)
		cb_sysfs_text_parse(buf, (size_t)len, info->actions, sizeof(info->actions));
	snprintf(path, sizeof(path), CB_PATH_SYS_IRQ_DIR "/%u/hwirq", info->irq);
	len = cb_host_read_file(host, path, buf, sizeof(buf));
	if (len > 0 && cb_sysfs_i64_parse(buf, (size_t)len, &value) == 0 && value >= 0)
		info->hwirq = (uint64_t)value;
	snprintf(path, sizeof(path), CB_PATH_IRQ_DIR "/%u/node", info->irq);
	len = cb_host_read_file(host, path, buf, sizeof(buf));
	if (len > 0 && cb_sysfs_i64_parse(buf, (size_t)len, &value) == 0 && value >= 0 &&
	    value <= INT32_MAX)
		info->node = (int32_t)value;
}

static void read_irq(struct cb_host *host, uint32_t irq, struct cb_irq_info *ret)
{
	_cleanup_close_ int fd = -1;
	struct cb_irq_queue queue;
	char path[PATH_MAX_IRQ];
	struct stat st;
	ssize_t len;

	*ret = (struct cb_irq_info){ .irq = irq, .node = -1, .queue = -1 };
	snprintf(path, sizeof(path), CB_PATH_IRQ_DIR "/%u/smp_affinity_list", irq);
	fd = cb_host_openat(host, path, O_RDONLY);
	if (fd >= 0) {
		ret->writable = fstat(fd, &st) == 0 && (st.st_mode & 0222);
		len = cb_host_read_big_fd(host, fd);
		if (len < 0 || cb_sysfs_cpulist_parse(host->buf, (size_t)len, &ret->affinity) < 0)
			ret->affinity = CB_CPUSET_EMPTY;
	}
	read_names(host, ret);
	cb_irq_name_parse(ret->actions, &queue);
	ret->writable &= !queue.managed;
	ret->queue = queue.queue;
	ret->queue_dir = queue.dir;
}

/* --- network interfaces --- */

/* What is known about the device of one interface. */
struct netdev {
	char ifname[CB_IFNAME_MAX];
	/* Last component of where its link "device" leads: "virtio2", "0000:03:00.0". */
	char device[CB_IRQ_NAME_MAX];
	int32_t node;
};

static struct cb_irq_info *find(struct inventory *inventory, uint32_t irq)
{
	/* The inventory is ours and not yet shared. */
	return (struct cb_irq_info *)cb_irqs_find(inventory->irqs, irq);
}

static void claim(struct cb_irq_info *info, const struct netdev *netdev)
{
	info->class = CB_IRQ_NETWORK;
	memcpy(info->ifname, netdev->ifname, sizeof(info->ifname));
	/* The device knows where it is; what the interrupt says of that is often nothing. */
	if (netdev->node >= 0)
		info->node = netdev->node;
}

static void claim_number(struct inventory *inventory, uint32_t irq, const struct netdev *netdev)
{
	struct cb_irq_info *info = find(inventory, irq);

	/*
	 * Interfaces that share a device share its interrupts; the names decide later, else the
	 * first keeps it.
	 */
	if (info && info->class == CB_IRQ_OTHER)
		claim(info, netdev);
}

static int read_i64_at(int dir_fd, const char *name, int64_t *ret)
{
	_cleanup_close_ int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	char buf[64];
	ssize_t len;

	if (fd < 0)
		return -errno;
	len = cb_host_pread_all(fd, buf, sizeof(buf));
	return len < 0 ? (int)len : cb_sysfs_i64_parse(buf, (size_t)len, ret);
}

/* The numbers in msi_irqs. False when there is no such directory. */
static bool claim_msi(struct inventory *inventory, int device_fd, const struct netdev *netdev)
{
	int fd = openat(device_fd, "msi_irqs", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	_cleanup_closedir_ DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	int32_t irq;

	if (!dir) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	while ((entry = readdir(dir)))
		if (cb_number_of(entry->d_name, "", &irq) == 0)
			claim_number(inventory, (uint32_t)irq, netdev);
	return true;
}

/* One directory of the way up. True when the search ends here. */
static bool claim_device(struct inventory *inventory, int device_fd, struct netdev *netdev)
{
	int64_t value;

	if (netdev->node < 0 && read_i64_at(device_fd, "numa_node", &value) == 0 && value >= 0 &&
	    value <= INT32_MAX)
		netdev->node = (int32_t)value;
	if (claim_msi(inventory, device_fd, netdev))
		return true;
	if (read_i64_at(device_fd, "irq", &value) < 0)
		return false;
	if (value > 0 && value <= UINT32_MAX)
		claim_number(inventory, (uint32_t)value, netdev);
	return true;
}

static bool same_dir(int a, int b)
{
	struct stat x, y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev &&
	       x.st_ino == y.st_ino;
}

static void climb(struct inventory *inventory, int device_fd, struct netdev *netdev)
{
	_cleanup_close_ int fd = fcntl(device_fd, F_DUPFD_CLOEXEC, 0);

	for (unsigned int level = 0; fd >= 0 && level < DEVICE_LEVELS_MAX; level++) {
		int up;

		if (same_dir(fd, inventory->host->root_fd) || claim_device(inventory, fd, netdev))
			return;
		up = openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		close(fd);
		fd = up;
	}
}

/* The last component of the link's target; "" when it is no link. */
static void device_name(struct cb_host *host, const char *ifname, char *ret, size_t size)
{
	_cleanup_close_ int fd = -1;
	char path[PATH_MAX_IRQ], target[512];
	const char *last;
	ssize_t len;

	ret[0] = 0;
	snprintf(path, sizeof(path), CB_PATH_NET_DIR "/%.15s", ifname);
	fd = cb_host_openat(host, path, O_PATH | O_DIRECTORY);
	if (fd < 0)
		return;
	len = readlinkat(fd, "device", target, sizeof(target) - 1);
	if (len <= 0)
		return;
	target[len] = 0;
	last = strrchr(target, '/');
	last = last ? last + 1 : target;
	cb_sysfs_text_parse(last, strlen(last), ret, size);
}

static void claim_by_name(struct inventory *inventory, const struct netdev *netdev)
{
	for (uint32_t i = 0; i < inventory->irqs->n; i++) {
		struct cb_irq_info *info = &inventory->irqs->irq[i];

		if (cb_irq_name_has(info->actions, netdev->ifname) ||
		    (info->class == CB_IRQ_OTHER && netdev->device[0] &&
		     cb_irq_name_has(info->actions, netdev->device)))
			claim(info, netdev);
	}
}

static void add_interface(struct inventory *inventory, const char *ifname)
{
	struct netdev netdev = { .node = -1 };
	_cleanup_close_ int fd = -1;
	char path[PATH_MAX_IRQ];

	snprintf(path, sizeof(path), CB_PATH_NET_DIR "/%.15s/device", ifname);
	fd = cb_host_openat(inventory->host, path, O_PATH | O_DIRECTORY);
	if (fd < 0)
		return; /* virtual: no device, no interrupts */
	snprintf(netdev.ifname, sizeof(netdev.ifname), "%.15s", ifname);
	device_name(inventory->host, ifname, netdev.device, sizeof(netdev.device));
	climb(inventory, fd, &netdev);
	claim_by_name(inventory, &netdev);
}

static int compare_names(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_interface(const struct dirent *entry)
{
	/* bonding_masters is a file here, names of interfaces are short */
	return entry->d_name[0] != '.' && strlen(entry->d_name) < CB_IFNAME_MAX;
}

static void add_interfaces(struct inventory *inventory)
{
	_cleanup_close_ int fd =
		cb_host_openat(inventory->host, CB_PATH_NET_DIR, O_RDONLY | O_DIRECTORY);
	struct dirent **names;
	int n = fd < 0 ? -1 : scandirat(fd, ".", &names, is_interface, compare_names);

	for (int i = 0; i < n; i++) {
		add_interface(inventory, names[i]->d_name);
		free(names[i]);
	}
	if (n >= 0)
		free(names);
}

/* A number in the name of something that is no interface's is no queue of one. */
static void drop_other_queues(struct cb_irqs *irqs)
{
	for (uint32_t i = 0; i < irqs->n; i++)
		if (irqs->irq[i].class != CB_IRQ_NETWORK) {
			irqs->irq[i].queue = -1;
			irqs->irq[i].queue_dir = CB_QUEUE_NONE;
		}
}

int cb_host_irqs(struct cb_host *host, uint32_t generation, struct cb_irqs **ret,
		 struct cb_err *err)
{
	_cleanup_free_ int32_t *numbers = NULL;
	struct inventory inventory = { .host = host };
	size_t n = 0;
	int r = cb_host_list_numbers(host, CB_PATH_IRQ_DIR, "", &numbers, &n);

	if (r < 0 && r != -ENOENT)
		return cb_err_set(err, r, "cannot list %s: %s", CB_PATH_IRQ_DIR, strerror(-r));
	if (n > CB_IRQS_MAX)
		return cb_err_set(err, -E2BIG, "%s has %zu interrupts; this program knows %u",
				  CB_PATH_IRQ_DIR, n, CB_IRQS_MAX);
	inventory.irqs = calloc(1, sizeof(*inventory.irqs) + n * sizeof(inventory.irqs->irq[0]));
	if (!inventory.irqs)
		return cb_err_set(err, -ENOMEM, "not enough memory for %zu interrupts", n);
	inventory.irqs->generation = generation;
	inventory.irqs->n = (uint32_t)n;
	for (size_t i = 0; i < n; i++)
		read_irq(host, (uint32_t)numbers[i], &inventory.irqs->irq[i]);
	add_interfaces(&inventory);
	drop_other_queues(inventory.irqs);
	if (cb_netdev_conn_failed(host->netdev)) {
		cb_netdev_conn_free(host->netdev);
		host->netdev = cb_netdev_conn_new();
	}
	cb_netdev_conn_map(host->netdev, inventory.irqs);
	*ret = inventory.irqs;
	return 0;
}
