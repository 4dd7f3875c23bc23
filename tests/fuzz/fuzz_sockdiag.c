/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz_sources.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cb_listener listener;

	must_be_result(cb_sockdiag_parse(data, size, &listener));
	return 0;
}
