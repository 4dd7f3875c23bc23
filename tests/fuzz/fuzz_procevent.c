/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz_sources.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cb_proc_event event;

	must_be_result(cb_proc_event_parse(data, size, &event));
	return 0;
}
