/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz_sources.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int32_t pids[8];
	size_t n = 0;
	uint32_t line;
	int r = cb_pidfile_parse((const char *)data, size, pids, CB_ARRAY_SIZE(pids), &n, &line);

	must_be_result(r);
	MUST(n <= CB_ARRAY_SIZE(pids) && (r == 0 || line > 0));
	for (size_t i = 0; i < n; i++)
		MUST(pids[i] > 0);
	return 0;
}
