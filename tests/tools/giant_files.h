/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The files of the machine in giant_model.h, and what it consists of. */

#include "genfs.h"

#include <stdbool.h>
#include <stdint.h>

struct giant_options {
	uint32_t n_cpus, n_nodes, n_threads; /* CPUs in all, threads of a core */
	uint32_t hole; /* every so manieth CPU number does not exist; 0 none */
	uint32_t n_nics, n_queues, n_disks;
	uint32_t n_start;   /* all interrupts of network cards start on so many CPUs; 0 anywhere */
	uint32_t step_msec; /* time that each read of /proc/stat takes; 0 by the clock */
	uint32_t load_percent; /* of all CPUs, that all interrupts want */
	uint32_t want_percent; /* of a CPU, that a worker wants */
	uint32_t slow_percent; /* of the cores, that have less than half the capacity */
	const char *isolated, *worker_cpus;
};

/** Make the machine and its files. giant.n_workers and giant.n_vectors are set before. */
void giant_make(struct genfs_node *root, const struct giant_options *options);
