/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The plan on trial: the one whose steps are being written, or wait for their verdict, or are being undone. There is at
 * most one. The journal has it on the disk before the first write of that plan and until the plan has ended, so that who
 * finds the journal after a crash can tell a placement that was judged from one that never was.
 */

#include "cpubalance/journal.h"

/* The plan on trial, 0 for none. */
uint32_t cb_journal_trial(const struct cb_journal *journal);
/* @plan_id 0: its plan has ended. On the disk when it returns 0; nothing changes on failure. */
int cb_journal_set_trial(struct cb_journal *journal, uint32_t plan_id, struct cb_err *err)
	_must_check_;

/* Longest line of cb_journal_trial_format(), with its NUL. */
#define CB_JOURNAL_TRIAL_MAX 32u
/* The pure half, one line without its newline: 1 when it is such a record, 0 when it is another kind, -EBADMSG. */
int cb_journal_trial_parse(const char *line, size_t len, uint32_t *ret_plan_id) _must_check_;
/* Returns the length. */
int cb_journal_trial_format(uint32_t plan_id, char buf[CB_JOURNAL_TRIAL_MAX]);
