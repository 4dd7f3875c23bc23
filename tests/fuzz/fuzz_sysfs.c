/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz_sources.h"

/* A number, a line of text, a set of CPUs, distances of a node, counts of CPUs; each input is tried as all of them. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *buf = (const char *)data;
	struct cb_cpuset set;
	char text[16], again[16];
	struct cb_cpuset possible = CB_CPUSET_EMPTY;
	uint32_t distance[4];
	uint64_t count[8];
	int64_t number;
	size_t len, n = 0;

	must_be_result(cb_sysfs_i64_parse(buf, size, &number));
	must_be_result(cb_sysfs_cpulist_parse(buf, size, &set));
	must_be_result(cb_sysfs_distances_parse(buf, size, distance, 4, &n));
	MUST(n <= 4);
	cb_cpuset_set_range(&possible, 3, 12);
	must_be_result(cb_sysfs_counts_parse(buf, size, &possible, count, 8));
	len = cb_sysfs_text_parse(buf, size, text, sizeof(text));
	MUST(len == strlen(text) && len < sizeof(text));
	/* What is fit to be shown stays as it is. */
	MUST(cb_sysfs_text_parse(text, len, again, sizeof(again)) == len &&
	     strcmp(text, again) == 0);
	return 0;
}
