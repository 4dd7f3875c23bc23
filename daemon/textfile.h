/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A file for node_exporter's textfile collector. Readers see the old text or the new, never half of one. The directory
 * may belong to another user, so nothing in it is followed or trusted.
 */

#include "cpubalance/err.h"

/* Replace @path, an absolute path. Returns 0, or a negative errno with a message. NULL @text is -ENOMEM. */
int cb_textfile_write(const char *path, const char *text, struct cb_err *err) _must_check_;

/* So that nobody reads figures of a daemon that no longer runs. "" is nothing. */
void cb_textfile_remove(const char *path);
