/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Packets that network interfaces have received, for their interrupts. One descriptor is kept for each interface that has
 * interrupts, so each is read once, whatever the number of its queues, and only when it is wanted.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collect.h"

/* Interfaces with interrupts of their own: physical ones and their virtual functions. */
#define NICS_MAX 256u

struct nic {
	int fd;
	char ifname[CB_IFNAME_MAX];
	bool read; /* packets is of this tick */
	uint64_t packets;
};

struct cb_nic_watch {
	uint32_t n, n_irqs;
	bool filled; /* the snapshot has packets of the last tick */
	struct nic *nic;
	int32_t of_irq[]; /* index in nic[], -1 for none */
};

static int32_t find(const struct cb_nic_watch *watch, const char *ifname)
{
	for (uint32_t i = 0; i < watch->n; i++)
		if (strcmp(watch->nic[i].ifname, ifname) == 0)
			return (int32_t)i;
	return -1;
}

/* Its index, -1 where it cannot be read. One without the file is remembered all the same, as it has many interrupts. */
static int32_t add(struct cb_nic_watch *watch, struct cb_host *host, const char *ifname)
{
	char path[sizeof(CB_FMT_NIC_PACKETS) + CB_IFNAME_MAX];
	int32_t index = find(watch, ifname);
	struct nic *nic;

	if (index >= 0 || watch->n == NICS_MAX)
		return index;
	nic = &watch->nic[watch->n];
	snprintf(nic->ifname, sizeof(nic->ifname), "%s", ifname);
	snprintf(path, sizeof(path), CB_FMT_NIC_PACKETS, ifname);
	nic->fd = cb_host_openat(host, path, O_RDONLY);
	return (int32_t)watch->n++;
}

struct cb_nic_watch *cb_nic_watch_new(struct cb_host *host, const struct cb_irqs *irqs)
{
	struct cb_nic_watch *watch = calloc(1, sizeof(*watch) + irqs->n * sizeof(watch->of_irq[0]));

	if (!watch)
		return NULL;
	watch->nic = calloc(NICS_MAX, sizeof(*watch->nic));
	if (!watch->nic)
		return cb_nic_watch_free(watch);
	watch->n_irqs = irqs->n;
	for (uint32_t i = 0; i < irqs->n; i++)
		watch->of_irq[i] = irqs->irq[i].ifname[0] ? add(watch, host, irqs->irq[i].ifname) :
							    -1;
	return watch;
}

struct cb_nic_watch *cb_nic_watch_free(struct cb_nic_watch *watch)
{
	if (!watch)
		return NULL;
	for (uint32_t i = 0; i < watch->n; i++)
		cb_closep(&watch->nic[i].fd);
	free(watch->nic);
	free(watch);
	return NULL;
}

static void read_nic(struct cb_host *host, struct nic *nic)
{
	ssize_t len = nic->fd < 0 ? nic->fd :
				    cb_host_pread_once(nic->fd, host->buf, host->buf_size);
	int64_t packets;

	nic->read = len >= 0 && cb_sysfs_i64_parse(host->buf, (size_t)len, &packets) == 0;
	if (nic->read)
		nic->packets = (uint64_t)packets;
}

void cb_nic_watch_skip(struct cb_nic_watch *watch, struct cb_snapshot *snapshot)
{
	for (uint32_t i = 0; watch->filled && i < watch->n_irqs && i < snapshot->n_irqs; i++)
		snapshot->irq[i].present &= ~CB_IRQ_HAS_DEVICE_PACKETS;
	watch->filled = false;
}

bool cb_nic_watch_collect(struct cb_nic_watch *watch, struct cb_host *host,
			  struct cb_snapshot *snapshot)
{
	bool any = false;

	cb_nic_watch_skip(watch, snapshot);
	for (uint32_t i = 0; i < watch->n; i++) {
		read_nic(host, &watch->nic[i]);
		any = any || watch->nic[i].read;
	}
	for (uint32_t i = 0; any && i < watch->n_irqs && i < snapshot->n_irqs; i++) {
		const struct nic *nic = watch->of_irq[i] < 0 ? NULL : &watch->nic[watch->of_irq[i]];

		if (!nic || !nic->read)
			continue;
		snapshot->irq[i].present |= CB_IRQ_HAS_DEVICE_PACKETS;
		snapshot->irq[i].device_packets = nic->packets;
	}
	watch->filled = any;
	return any || watch->n == 0;
}
