/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz_sources.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* What is accepted is finite, agrees with the C library, and comes back when it is printed. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	double value = 0, back = 0, should;
	char text[64];
	int r = cb_gauge_parse((const char *)data, size, &value);

	must_be_result(r);
	if (r < 0)
		return 0;
	MUST(isfinite(value));
	snprintf(text, sizeof(text), "%.15g\n", value);
	MUST(cb_gauge_parse(text, strlen(text), &back) == 0);
	MUST(fabs(back - value) <= 1e-14 * fabs(value));
	if (size >= sizeof(text))
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	should = strtod(text, NULL);
	MUST(fabs(should - value) <= 1e-14 * fabs(should));
	return 0;
}
