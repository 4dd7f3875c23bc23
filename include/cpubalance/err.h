/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * One line of explanation that travels beside a negative errno: which file, line, option or field, and what range
 * is accepted. The library never logs; whoever ends an error's journey prints err->msg once.
 */

#include "cpubalance/macro.h"

#define CB_ERR_MSG_MAX 256

struct cb_err {
	char msg[CB_ERR_MSG_MAX]; /* "" when nothing was said; never contains a newline */
};

/* Store a message and return @r unchanged, so that `return cb_err_set(err, -EINVAL, "...")` reads well. @err may be NULL. */
int cb_err_set(struct cb_err *err, int r, const char *fmt, ...) _printf_(3, 4);

/* Put @fmt (e.g. "FILE:LINE: ") in front of what is there. @err may be NULL. Returns @r. */
int cb_err_prefix(struct cb_err *err, int r, const char *fmt, ...) _printf_(3, 4);
