/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz_sources.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cb_snapshot *snapshot = fuzz_snapshot();
	struct cb_cpuset online = CB_CPUSET_EMPTY;
	bool news;
	int r = cb_stat_parse((const char *)data, size, snapshot, &online, &news);

	must_be_result(r);
	MUST(r < 0 ? cb_cpuset_empty(&online) : !cb_cpuset_empty(&online));
	MUST(fuzz_present(snapshot, CB_CPU_HAS_TIMES) <= cb_cpuset_count(&online));
	return 0;
}
