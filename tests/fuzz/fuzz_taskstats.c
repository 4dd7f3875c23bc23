/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz_sources.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cb_taskstats taskstats;

	must_be_result(cb_taskstats_parse(data, size, &taskstats));
	return 0;
}
