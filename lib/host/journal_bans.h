/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Interrupts that we have made irqbalance leave alone: which, and which irqbalance, since its bans end with it. In the journal
 * before it is told, so that whoever comes after a crash can take back what is ours and nothing else. One record replaces the other;
 * "none" is the record that there are none.
 */

#include "cpubalance/journal.h"

/* As many as fit into one message of irqbalance's, see irqbalance.c. */
#define CB_BANS_MAX 128u

struct cb_bans {
	int32_t pid; /* of that irqbalance */
	uint64_t start_ticks;
	uint32_t n;		   /* 0: none, and no irqbalance concerned */
	uint32_t irq[CB_BANS_MAX]; /* ascending */
};

const struct cb_bans *cb_journal_bans(const struct cb_journal *journal);
/* On disk when it returns 0. Nothing changes on failure. */
int cb_journal_set_bans(struct cb_journal *journal, const struct cb_bans *bans, struct cb_err *err)
	_must_check_;

/* Longest line of cb_journal_bans_format(), with its NUL. */
#define CB_JOURNAL_BANS_MAX (80u + 11u * CB_BANS_MAX)
/* One line without its newline. 1: it is such a record, 0: another, -EBADMSG. */
int cb_journal_bans_parse(const char *line, size_t len, struct cb_bans *ret) _must_check_;
/* Returns the length. */
int cb_journal_bans_format(const struct cb_bans *bans, char buf[CB_JOURNAL_BANS_MAX]);
