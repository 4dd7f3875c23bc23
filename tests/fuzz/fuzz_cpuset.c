/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Both text formats of a CPU set: whatever is accepted is written as a list that reads back to the same set, and shown in
 * any room without leaving it.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cpubalance/cpuset.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct cb_cpuset *set)
{
	char list[CB_CPULIST_MAX], shown[32];
	struct cb_cpuset back;
	int len = cb_cpuset_format_list(set, list, sizeof(list));

	if (len < 0 || (size_t)len != strlen(list))
		abort();
	if (cb_cpuset_parse_list(list, (size_t)len, &back) != 0 || !cb_cpuset_equal(set, &back))
		abort();
	for (size_t room = 1; room <= sizeof(shown); room++)
		if (strlen(cb_cpuset_show(set, shown, room)) >= room)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cb_cpuset set;

	if (cb_cpuset_parse_list((const char *)data, size, &set) == 0)
		check(&set);
	if (cb_cpuset_parse_mask((const char *)data, size, &set) == 0)
		check(&set);
	return 0;
}
