/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The inventory of queues of network interfaces, from /sys/class/net, and one of them by itself. What sysfs shows is the network
 * namespace that it was mounted in, which is that of the service. A transmit queue of a device that has no other answers
 * ENOENT when its mask is read: there is nothing to choose, so it is not listed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collect.h"
#include "cpubalance/knob.h"

#define PATH_MAX_QUEUE 128u

struct list {
	struct cb_host *host;
	struct cb_queues *queues;
	uint32_t cap;
};

static int read_number(struct cb_host *host, const char *ifname, const char *name, int64_t *ret)
{
	char path[PATH_MAX_QUEUE], buf[64];
	ssize_t len;

	snprintf(path, sizeof(path), CB_PATH_NET_DIR "/%.15s/%s", ifname, name);
	len = cb_host_read_file(host, path, buf, sizeof(buf));
	return len < 0 ? (int)len : cb_sysfs_i64_parse(buf, (size_t)len, ret);
}

static int ifindex_of(struct cb_host *host, const char *ifname, uint32_t *ret)
{
	int64_t value;
	int r = read_number(host, ifname, "ifindex", &value);

	if (r < 0)
		return r;
	if (value <= 0 || value >= CB_QUEUE_IFINDICES)
		return -ERANGE;
	*ret = (uint32_t)value;
	return 0;
}

static bool has_device(struct cb_host *host, const char *ifname)
{
	_cleanup_close_ int fd = -1;
	char path[PATH_MAX_QUEUE];

	snprintf(path, sizeof(path), CB_PATH_NET_DIR "/%.15s/device", ifname);
	fd = cb_host_openat(host, path, O_PATH | O_DIRECTORY);
	return fd >= 0;
}

int cb_host_queue_get(struct cb_host *host, const struct cb_knob *knob, const char *ifname,
		      uint32_t queue, struct cb_queue_value *ret)
{
	char path[PATH_MAX_QUEUE], text[CB_QUEUE_TEXT_MAX];
	int r = cb_knob_queue_path(knob, ifname, queue, path, sizeof(path));
	ssize_t len = r < 0 ? r : cb_host_read_file(host, path, text, sizeof(text));

	return len < 0 ? (int)len : cb_knob_queue_parse(knob, text, (size_t)len, ret);
}

/* --- one by itself --- */

static int is_name(const struct dirent *entry)
{
	/* bonding_masters is a file here, names of interfaces are short */
	return entry->d_name[0] != '.' && strlen(entry->d_name) < CB_IFNAME_MAX;
}

static int compare_names(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int list_names(struct cb_host *host, struct dirent ***ret)
{
	_cleanup_close_ int fd = cb_host_openat(host, CB_PATH_NET_DIR, O_RDONLY | O_DIRECTORY);
	int n = fd < 0 ? fd : scandirat(fd, ".", ret, is_name, compare_names);

	return n < 0 && fd >= 0 ? -errno : n;
}

int cb_host_queue_find(struct cb_host *host, uint32_t ifindex, char ifname[CB_IFNAME_MAX])
{
	struct dirent **names;
	bool found = false;
	uint32_t is;
	int n;

	if (ifindex == 0 || (ifindex_of(host, ifname, &is) == 0 && is == ifindex))
		return 0;
	n = list_names(host, &names);
	for (int i = 0; i < n; i++) {
		if (!found && ifindex_of(host, names[i]->d_name, &is) == 0 && is == ifindex) {
			found = true;
			memcpy(ifname, names[i]->d_name, strlen(names[i]->d_name) + 1);
		}
		free(names[i]);
	}
	if (n >= 0)
		free(names);
	return n < 0 ? n : found ? 0 : -ENOENT;
}

/* --- all --- */

static struct cb_queue_info *add(struct list *list)
{
	if (list->queues->n == list->cap) {
		uint32_t cap = CB_MIN(CB_MAX(list->cap * 2, 16u), CB_QUEUES_MAX);
		struct cb_queues *queues;

		if (cap == list->cap)
			return NULL;
		queues = realloc(list->queues, sizeof(*queues) + cap * sizeof(queues->queue[0]));
		if (!queues)
			return NULL;
		list->queues = queues;
		list->cap = cap;
	}
	return &list->queues->queue[list->queues->n++];
}

/* Queues of one direction of an interface, which may be gone by now: then it has none. */
static int add_queues(struct list *list, const char *ifname, uint32_t ifindex,
		      enum cb_queue_dir dir)
{
	const struct cb_knob *knob =
		cb_knob_get(dir == CB_QUEUE_RX ? CB_KNOB_RPS_CPUS : CB_KNOB_XPS_CPUS);
	_cleanup_free_ int32_t *numbers = NULL;
	bool device = has_device(list->host, ifname);
	char path[PATH_MAX_QUEUE];
	size_t n = 0;

	snprintf(path, sizeof(path), CB_PATH_NET_DIR "/%.15s/queues", ifname);
	if (cb_host_list_numbers(list->host, path, dir == CB_QUEUE_RX ? "rx-" : "tx-", &numbers,
				 &n) < 0)
		return 0;
	for (size_t i = 0; i < n && numbers[i] < (int32_t)CB_QUEUE_NUMBERS; i++) {
		struct cb_queue_value value, flows = { .flows = 0 };
		uint32_t queue = (uint32_t)numbers[i];
		struct cb_queue_info *info;

		if (cb_host_queue_get(list->host, knob, ifname, queue, &value) < 0)
			continue;
		if (dir == CB_QUEUE_RX &&
		    cb_host_queue_get(list->host, cb_knob_get(CB_KNOB_RPS_FLOWS), ifname, queue,
				      &flows) < 0)
			flows.flows = 0;
		info = add(list);
		if (!info)
			return list->queues->n == CB_QUEUES_MAX ? 0 : -ENOMEM;
		*info = (struct cb_queue_info){ .ifindex = ifindex,
						.queue = queue,
						.dir = dir,
						.device = device,
						.cpus = value.cpus,
						.flows = flows.flows };
		snprintf(info->ifname, sizeof(info->ifname), "%.15s", ifname);
	}
	return 0;
}

static int compare_queues(const void *a, const void *b)
{
	const struct cb_queue_info *x = a, *y = b;

	if (x->dir != y->dir)
		return x->dir < y->dir ? -1 : 1;
	if (x->ifindex != y->ifindex)
		return x->ifindex < y->ifindex ? -1 : 1;
	return x->queue < y->queue ? -1 : x->queue > y->queue;
}

static int add_interface(struct list *list, const char *ifname)
{
	uint32_t ifindex;
	int r;

	if (strcmp(ifname, "lo") == 0 || ifindex_of(list->host, ifname, &ifindex) < 0)
		return 0;
	r = add_queues(list, ifname, ifindex, CB_QUEUE_RX);
	return r < 0 ? r : add_queues(list, ifname, ifindex, CB_QUEUE_TX);
}

int cb_host_queues(struct cb_host *host, uint32_t generation, struct cb_queues **ret)
{
	struct list list = { .host = host, .queues = calloc(1, sizeof(*list.queues)) };
	struct cb_queue_value value;
	struct dirent **names;
	int n, r = 0;

	if (!list.queues)
		return -ENOMEM;
	list.queues->generation = generation;
	n = list_names(host, &names);
	for (int i = 0; i < n; i++) {
		if (r == 0)
			r = add_interface(&list, names[i]->d_name);
		free(names[i]);
	}
	if (n >= 0)
		free(names);
	if (r < 0) {
		free(list.queues);
		return r;
	}
	list.queues->has_table =
		cb_host_queue_get(host, cb_knob_get(CB_KNOB_RPS_FLOWS), "", 0, &value) == 0;
	list.queues->table = list.queues->has_table ? value.flows : 0;
	qsort(list.queues->queue, list.queues->n, sizeof(list.queues->queue[0]), compare_queues);
	*ret = list.queues;
	return 0;
}
