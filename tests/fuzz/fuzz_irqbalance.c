/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* irqbalance's answer to "setup": no number twice, never more than there is room for. */
#include "fuzz_sources.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint32_t irq[8];
	size_t n = 0;
	int r = cb_irqbalance_parse((const char *)data, size, irq, CB_ARRAY_SIZE(irq), &n);

	must_be_result(r);
	MUST(n <= CB_ARRAY_SIZE(irq));
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < i; k++)
			MUST(irq[i] != irq[k]);
	return 0;
}
