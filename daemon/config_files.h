/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Which files make up the configuration, in the order in which they are read. The one at .../etc/cpubalanced/NAME has
 * two more places beside it, as other services have: .../usr/lib/cpubalanced for what a package brings and
 * .../run/cpubalanced for what is made at run time. Of a main file the first of etc, run, usr/lib is read. Of the drop-ins
 * NAME.d/ *.conf all are read in the order of their names, one of a name only, from the first of the same three; an
 * empty one, or a link to /dev/null, so hides one of a package. Any other path has its own NAME.d alone.
 */

#include <stdbool.h>
#include <stddef.h>

#include "cpubalance/err.h"

#define CB_CONFIG_FILES_MAX 256u
#define CB_CONFIG_PATH_SIZE 4400u

struct cb_config_file {
	char path[CB_CONFIG_PATH_SIZE];
	bool dropin;
};

struct cb_config_files {
	struct cb_config_file *file;
	size_t n;
};

/* The main file is listed also where it is not there. -E2BIG beyond the limit. cb_config_files_done() in any case. */
int cb_config_files(const char *path, struct cb_config_files *ret, struct cb_err *err) _must_check_;
void cb_config_files_done(struct cb_config_files *files);
