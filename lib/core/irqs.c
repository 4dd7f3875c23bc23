/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Look-up in the inventory of interrupts, which is ascending by number. */
#include "cpubalance/irqs.h"

const struct cb_irq_info *cb_irqs_find(const struct cb_irqs *irqs, uint32_t irq)
{
	uint32_t low = 0, high = irqs ? irqs->n : 0;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (irqs->irq[middle].irq == irq)
			return &irqs->irq[middle];
		if (irqs->irq[middle].irq < irq)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}
