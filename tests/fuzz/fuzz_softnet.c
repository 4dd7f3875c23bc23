/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz_sources.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cb_snapshot *snapshot = fuzz_snapshot();
	struct cb_cpuset online = cb_cpuset_of(1);
	int r;

	cb_cpuset_set(&online, 3);
	r = cb_softnet_parse((const char *)data, size, &online, snapshot);
	must_be_result(r);
	MUST(r == 0 || fuzz_present(snapshot, CB_CPU_HAS_SOFTNET) == 0);
	return 0;
}
