/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz_sources.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cb_snapshot *snapshot = fuzz_snapshot();
	int r = cb_softirqs_parse((const char *)data, size, snapshot);

	must_be_result(r);
	MUST(r == 0 || fuzz_present(snapshot, CB_CPU_HAS_SOFTIRQS) == 0);
	return 0;
}
