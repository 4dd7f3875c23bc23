/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz_sources.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cb_listener listener;

	MUST_BE_RESULT(cb_sockdiag_parse(data, size, &listener));
	return 0;
}
