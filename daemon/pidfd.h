/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Which process a pidfd stands for. */

#include "cpubalance/err.h"

/*
 * -EBADF: not a pidfd; -ESRCH: its process has ended; -EXDEV: of another pid namespace, where it has no number here. With a
 * message.
 */
int cb_pidfd_pid(int fd, int32_t *ret, struct cb_err *err) _must_check_;
