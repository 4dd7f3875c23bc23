/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the fuzz targets of lib/sources share: the prototype, the promise that is checked, a snapshot. */

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cpubalance/sources.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)           \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)

/* Success or one of the errors that sources.h names. */
static inline void must_be_result(int r)
{
	MUST(r == 0 || r == -EBADMSG || r == -ERANGE || r == -E2BIG);
}

#define FUZZ_CPUS 8u
#define FUZZ_IRQS 64u

/* Static arrays, so that a target needs no clean-up: eight CPUs, every other interrupt number. */
static inline struct cb_snapshot *fuzz_snapshot(void)
{
	static struct cb_cpu_sample cpu[FUZZ_CPUS];
	static struct cb_irq_sample irq[FUZZ_IRQS];
	static struct cb_snapshot snapshot;

	memset(cpu, 0, sizeof(cpu));
	for (uint32_t i = 0; i < FUZZ_IRQS; i++)
		irq[i] = (struct cb_irq_sample){ .irq = i * 2, .effective_cpu = -1 };
	snapshot = (struct cb_snapshot){
		.n_cpus = FUZZ_CPUS,
		.cap_cpus = FUZZ_CPUS,
		.cpu = cpu,
		.n_irqs = FUZZ_IRQS,
		.cap_irqs = FUZZ_IRQS,
		.irq = irq,
	};
	return &snapshot;
}

/* How many CPUs have the source's presence bit. */
static inline unsigned int fuzz_present(const struct cb_snapshot *snapshot, uint32_t bit)
{
	unsigned int n = 0;

	for (uint32_t i = 0; i < snapshot->n_cpus; i++)
		n += (snapshot->cpu[i].present & bit) != 0;
	return n;
}
