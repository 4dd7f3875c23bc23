/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Options from text: the input is lines, three of them make section, name and value. A refusal changes nothing and
 * explains itself in one line; what was accepted is written as text that reads back to the same policy.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cpubalance/policy.h"
#include "cpubalance/scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct cb_policy policy, before;

static void set(const char *section, const char *name, const char *value)
{
	struct cb_err err = { "" };

	before = policy;
	if (cb_policy_set(&policy, section, name, value, &err) == 0)
		return;
	if (memcmp(&policy, &before, sizeof(policy)) != 0 || !err.msg[0] || strchr(err.msg, '\n'))
		abort();
}

static void check(void)
{
	struct cb_err err = { "" };

	if (cb_policy_check(&policy, &err) < 0 && !err.msg[0])
		abort();
	before = policy;
	for (size_t i = 0; i < cb_n_options; i++) {
		char text[CB_PATH_MAX];

		if (cb_policy_format(&policy, cb_options[i].name, text, sizeof(text)) < 0 ||
		    cb_policy_set(&policy, cb_options[i].section, cb_options[i].name, text, NULL) <
			    0)
			abort();
	}
	if (memcmp(&policy, &before, sizeof(policy)) != 0)
		abort();
	for (uint32_t i = 0; i < policy.n_groups; i++)
		if (!cb_name_valid(policy.group[i].name))
			abort();
}

static char *line_of(struct cb_scan *s)
{
	struct cb_scan line;

	return cb_scan_line(s, &line) ? strndup(line.p, (size_t)(line.end - line.p)) : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cb_scan s = CB_SCAN((const char *)data, size);

	cb_policy_init(&policy);
	while (!cb_scan_done(&s)) {
		char *section = line_of(&s), *name = line_of(&s), *value = line_of(&s);

		if (section && name && value)
			set(section, name, value);
		free(section);
		free(name);
		free(value);
	}
	check();
	return 0;
}
