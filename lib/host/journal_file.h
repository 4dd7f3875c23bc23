/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The file of the journal: its directory, lock, header, damage, appending and replacing. Knows lines, not what they say.
 */

#include "cpubalance/err.h"

#include <stdbool.h>

struct cb_journal_file;

/*
 * Lock @run_dir (made with mode 0700 when it is missing) for as long as the file is open. -EBUSY: somebody has it;
 * -EPERM: it belongs to, or can be written by, somebody else.
 */
int cb_journal_file_open(const char *run_dir, const char *boot_id, struct cb_journal_file **ret,
			 struct cb_err *err) _must_check_;
struct cb_journal_file *cb_journal_file_close(
	struct cb_journal_file *file); /* NULL is fine; returns NULL */

/* Answers 0, or -EBADMSG for a record that is not valid; anything else ends the load and is returned. */
typedef int (*cb_journal_line_fn)(const char *line, size_t len, void *userdata, struct cb_err *err);

/*
 * Hand every record of the file to @fn, oldest first. A torn end is cut off. A file that is not a journal of this version and boot is set aside.
 * @ret_rewrite: the file has to be written anew before the first append. @news: what there is to say, or "".
 */
int cb_journal_file_load(struct cb_journal_file *file, cb_journal_line_fn fn, void *userdata,
			 bool *ret_rewrite, struct cb_err *news, struct cb_err *err) _must_check_;

/* On a read-only file system what is there is loaded all the same; every append tries again to open it for writing. */
bool cb_journal_file_read_only(const struct cb_journal_file *file);

/* Add one record (without a newline) and have it on the disk. On failure the file is as it was. */
int cb_journal_file_append(struct cb_journal_file *file, const char *line, size_t len,
			   struct cb_err *err) _must_check_;

/* A new file in the place of the old: begin, add each record, end with the result so far (which it returns, after tidying up). */
int cb_journal_file_begin(struct cb_journal_file *file, struct cb_err *err) _must_check_;
int cb_journal_file_add(struct cb_journal_file *file, const char *line, size_t len,
			struct cb_err *err) _must_check_;
int cb_journal_file_end(struct cb_journal_file *file, int result, struct cb_err *err) _must_check_;
