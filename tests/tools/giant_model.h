/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The load model of a machine that does not exist: CPUs, interrupts that arrive on one of them each and cost softirq
 * time there, and workers that want a share of a CPU each. There is one machine in a program.
 */

#include "genfs.h"

#include <stdbool.h>
#include <stdint.h>

#define GIANT_CPUS_MAX	   2048u
#define GIANT_IRQ_COST_SEC 4e-6 /* softirq time of one interrupt */

struct giant_set {
	uint64_t word[GIANT_CPUS_MAX / 64];
};

struct giant_cpu {
	bool exists, online;
	uint32_t node, package, core, llc, capacity;
	double user, system, softirq, idle; /* seconds so far */
	double irq_load;		    /* seconds per second that its interrupts want */
	double work_load;		    /* the same of its workers */
	double net_rx, block;		    /* softirqs so far */
	uint32_t n_vectors;
};

struct giant_irq {
	char name[32];
	bool managed, network;
	struct giant_set mask;
	uint32_t cpu, next_cpu; /* where it lands, and where after its next occurrence */
	double per_sec, part;	/* part: what has come of the next one */
	uint64_t total;
	uint64_t *count; /* by CPU */
};

struct giant_worker {
	struct giant_set mask;
	uint32_t cpu;
	double want, cpu_sec, wait_sec;
};

struct giant {
	struct giant_cpu cpu[GIANT_CPUS_MAX]; /* by number; some do not exist */
	uint32_t n_ids;			      /* highest CPU number + 1 */
	uint32_t n_vectors;		      /* interrupts that a CPU can take */
	struct giant_irq *irq;
	uint32_t n_irqs;
	struct giant_worker *worker;
	uint32_t n_workers;
	double ctxt, seconds; /* so far */
};
extern struct giant giant;

bool giant_has(const struct giant_set *set, uint32_t cpu);
void giant_add(struct giant_set *set, uint32_t cpu);
/** "0-3,8" or words of hex, and a newline. */
void giant_print_list(struct genfs_text *text, const struct giant_set *set);
void giant_print_mask(struct genfs_text *text, const struct giant_set *set);
/** Returns 0, -EINVAL, or -ERANGE for a CPU beyond the last. */
int giant_parse_list(const char *at, struct giant_set *ret);
int giant_parse_mask(const char *at, struct giant_set *ret);

/** Put an interrupt on a CPU of its mask, at the start. */
void giant_irq_settle(struct giant_irq *irq);
/**
 * What a kernel does with a new mask: irq_select_affinity_usr() and the vector allocator of x86. Returns 0; -EPERM for a
 * managed interrupt, -EINVAL for no CPU that is online, -ENOSPC where none of them can take one more.
 */
int giant_irq_set(struct giant_irq *irq, const struct giant_set *mask);
/** @dt_sec seconds pass. */
void giant_advance(double dt_sec);
