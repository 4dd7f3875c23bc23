/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A configuration file from anybody: a refusal explains itself in one line that begins with the file's name; what is
 * accepted is inside the bounds, which cb_policy_set() sees to, and never has more groups than there is room for.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct cb_policy policy;
	struct cb_err err = { .msg = "" };
	int r;

	cb_policy_init(&policy);
	r = cb_config_parse((const char *)data, size, "fuzz.conf", &policy, &err);
	if (r < 0 && (strncmp(err.msg, "fuzz.conf:", 10) != 0 || strchr(err.msg, '\n')))
		abort();
	if (r == 0 && err.msg[0])
		abort();
	if (policy.n_groups > CB_GROUPS_MAX)
		abort();
	return 0;
}
