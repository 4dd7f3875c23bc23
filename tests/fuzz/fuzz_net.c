/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz_sources.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint64_t packets = 0;
	int r = cb_snmp_parse((const char *)data, size, &packets);

	must_be_result(r);
	MUST(r == 0 || packets == 0);
	return 0;
}
