/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The configuration: cpubalanced.conf, then the drop-ins in the order of their names (config_files.h), each overriding
 * what came before. Parsed into a fresh policy: either all of it is right, or nothing changes.
 */

#include "cpubalance/policy.h"

#include <stdio.h>

#define CB_CONFIG_DEFAULT  "/etc/cpubalanced/cpubalanced.conf"
#define CB_CONFIG_SIZE_MAX (1024u * 1024u)

/*
 * Read @path and its drop-ins into @ret. With @optional a missing @path is no error: every
 * default holds then; drop-ins are read all the same. Returns 0, or a negative errno with a message that begins with
 * FILE:LINE: (or FILE: where no line is to blame); @ret is untouched then.
 */
int cb_config_load(const char *path, bool optional, struct cb_policy *ret, struct cb_err *err)
	_must_check_;

/* Where an option got its value. */
struct cb_config_origin {
	char section[80], name[50];
	char value[256]; /* as it is written there */
	char from[280];	 /* FILE:LINE */
};

#define CB_CONFIG_ORIGINS_MAX 2048u

/* The last word on each option that a file sets; others have their defaults. */
struct cb_config_origins {
	struct cb_config_origin *origin;
	size_t n;
	bool cut; /* there were more */
};

void cb_config_origins_done(struct cb_config_origins *origins);
/* NULL: no file sets it. */
const struct cb_config_origin *cb_config_origin_find(const struct cb_config_origins *origins,
						     const char *section, const char *name);

/* The same as cb_config_load(), with @ret_origins, which the caller has to be done with. Untouched on failure. */
int cb_config_load_traced(const char *path, bool optional, struct cb_policy *ret,
			  struct cb_config_origins *ret_origins, struct cb_err *err) _must_check_;

/*
 * The pure half: apply the text of one file, called @name in messages, to @policy, which is left half changed on failure.
 * The relations between options are not checked here (cb_policy_check()).
 */
int cb_config_parse(const char *buf, size_t len, const char *name, struct cb_policy *policy,
		    struct cb_err *err) _must_check_;

/* Write the example configuration: every option as a comment with its default, its range and what it does. */
void cb_config_print(FILE *out);
