/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz_sources.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint32_t cpu = UINT32_MAX;
	bool online = false;
	int r = cb_uevent_parse((const char *)data, size, &cpu, &online);

	MUST(r == 0 ? cpu == UINT32_MAX : r == 1 && cpu < CB_CPUS_MAX);
	return 0;
}
