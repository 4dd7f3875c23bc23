/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the files that write to the machine may ask of the journal besides journal.h.
 */

#include "cpubalance/journal.h"

/* CRC-32 (IEEE 802.3) of @len bytes. */
uint32_t cb_journal_crc(const char *buf, size_t len);

/*
 * Forget an entry whose knob is back already. When the disk refuses, the entry stays, and the next look at it finds the
 * original in place and forgets it then: nothing to tell anybody but cb_journal_state().
 */
void cb_journal_forget(struct cb_journal *journal, const struct cb_journal_entry *identity);

/* The entry of a knob that steers connections. */
static inline bool cb_entry_steers(const struct cb_journal_entry *entry)
{
	return cb_item_steers(cb_knob_get(entry->knob)->item);
}

/* The entry of a queue of a network interface. */
static inline bool cb_entry_is_queue(const struct cb_journal_entry *entry)
{
	return cb_item_is_queue(cb_knob_get(entry->knob)->item);
}

/* Entries of threads, of all entries. */
uint32_t cb_journal_n_tasks(const struct cb_journal *journal);
/* Entries of what steers connections. */
uint32_t cb_journal_n_steered(const struct cb_journal *journal);
/* Entries that are restored and wait for something. */
uint32_t cb_journal_n_pending(const struct cb_journal *journal);
/* Grows with every put and drop: who keeps an index of the journal sees whether it is stale. */
uint64_t cb_journal_generation(const struct cb_journal *journal);

/* A number for each text, FNV-1a with 64 bits; never 0. */
uint64_t cb_hash_bytes(uint64_t hash, const void *bytes, size_t len);
#define CB_HASH_START UINT64_C(0xcbf29ce484222325)
