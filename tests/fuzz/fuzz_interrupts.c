/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz_sources.h"

#define COLUMNS 16u

static int check_row(const struct cb_interrupts_row *row, const uint64_t *per_cpu, uint32_t n_cpus,
		     const uint32_t *cpu_ids, void *userdata)
{
	int32_t *last_irq = userdata;
	uint64_t total = 0;

	MUST(n_cpus <= COLUMNS && row->irq >= -1 && (row->irq < 0 || row->irq > *last_irq));
	MUST(strlen(row->name) < sizeof(row->name) && strlen(row->actions) < sizeof(row->actions));
	for (uint32_t i = 0; i < n_cpus; i++) {
		MUST(cpu_ids[i] < CB_CPUS_MAX);
		total += per_cpu[i];
	}
	MUST(n_cpus == 0 || total == row->total);
	if (row->irq >= 0)
		*last_irq = row->irq;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t per_cpu[COLUMNS];
	uint32_t cpu_ids[COLUMNS];
	int32_t last_irq = -1;

	must_be_result(cb_interrupts_parse((const char *)data, size, per_cpu, cpu_ids, COLUMNS,
					   check_row, &last_irq));
	return 0;
}
