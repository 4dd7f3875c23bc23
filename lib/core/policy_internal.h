/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What policy.c, which has the table of options, and policy_group.c, which has those of groups, share. */

#include "cpubalance/policy.h"

#define POLICY_WANTS_MODE "auto, advise or observe"
#define POLICY_WANTS_PATH "an absolute path of less than 256 bytes, or empty"

/* Both return 0, -EINVAL or -ERANGE. */
int policy_parse_mode(const char *text, enum cb_mode *ret);
int policy_parse_path(const char *text, char *ret);

/* One option of [Group @group_name], which is added when it is new. As cpubalance/policy.h, cb_policy_set(). */
int policy_set_group(struct cb_policy *policy, const char *group_name, const char *name,
		     const char *text, struct cb_err *err);
