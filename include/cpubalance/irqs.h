/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The inventory of interrupts: who they are and whether they can be moved. Rebuilt (higher generation) when the set
 * changes; what changes every second is in the snapshot instead.
 */

#include "cpubalance/cpuset.h"
#include "cpubalance/macro.h"

#define CB_IRQ_NAME_MAX 64u
#define CB_IFNAME_MAX 16u /* IFNAMSIZ */

enum cb_irq_class {
	CB_IRQ_OTHER,
	CB_IRQ_NETWORK, /* of a network interface's device */
	_CB_IRQ_CLASS_MAX,
};

/* Which way a queue of a network interface goes. */
enum cb_queue_dir {
	CB_QUEUE_NONE, /* no queue, or one whose direction is not known */
	CB_QUEUE_RX,
	CB_QUEUE_TX,
	CB_QUEUE_BOTH,
	_CB_QUEUE_DIR_MAX,
	_CB_QUEUE_DIR_INVALID = -22,
};
const char *cb_queue_dir_name(enum cb_queue_dir dir); /* "rx" */

struct cb_irq_info {
	uint32_t irq;
	enum cb_irq_class class;
	bool writable;  /* smp_affinity has a write bit, and it is none that the kernel is known to manage by itself */
	bool immovable; /* a write was refused for good (EIO, EPERM) */
	int32_t node;   /* NUMA node of the device, -1 unknown */
	uint64_t hwirq; /* /sys/kernel/irq/N/hwirq; 0 unknown */
	char actions[CB_IRQ_NAME_MAX];  /* "virtio2-input.0" */
	char ifname[CB_IFNAME_MAX];     /* interface it serves, "" for none or unknown */
	int32_t queue;                  /* of that interface, by the kernel or by its name; -1 none or unknown */
	enum cb_queue_dir queue_dir;
	struct cb_cpuset affinity;      /* smp_affinity_list when last read */
	bool placed;                    /* we have changed it: the journal holds its original */
};

struct cb_irqs {
	uint32_t generation;
	uint32_t n;
	struct cb_irq_info irq[]; /* ascending irq */
};

/* NULL when there is no such interrupt. */
const struct cb_irq_info *cb_irqs_find(const struct cb_irqs *irqs, uint32_t irq);

/*
 * ManageInterrupts=: "feeding", "network", "all", "none", or a list of numbers such as "40-47,51"; "yes" and the like are feeding,
 * "no" is none. @ret, of @size bytes, is what cb_irq_scope_has() takes. Returns 0, -EINVAL, or -ERANGE when it is too long.
 */
int cb_irq_scope_parse(const char *text, char *ret, size_t size) _must_check_;
/* Whether the scope leaves this interrupt to us; of "feeding", whether a group is fed by it is for the caller to know. */
bool cb_irq_scope_has(const char *scope, const struct cb_irq_info *info);
/* It reaches beyond the interrupts of a group's interfaces. */
bool cb_irq_scope_is_wide(const char *scope);
