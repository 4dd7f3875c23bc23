/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A cursor over a buffer: the one way in which our parsers read numbers and words. Never reads past @end, needs no NUL,
 * detects overflow, keeps no state elsewhere. Every function that returns bool advances only when it returns true.
 */

#include <stdbool.h>

#include "cpubalance/macro.h"

struct cb_scan {
	const char *p;
	const char *end;
};

#define CB_SCAN(buf, len) ((struct cb_scan){ .p = (buf), .end = (buf) + (len) })

static inline bool cb_scan_done(const struct cb_scan *s)
{
	return s->p >= s->end;
}

void cb_scan_blanks(struct cb_scan *s);                                  /* skip ' ' and '\t' */
bool cb_scan_char(struct cb_scan *s, char c);                           /* exactly this character */
bool cb_scan_word(struct cb_scan *s, const char *word);                 /* exactly these characters */
bool cb_scan_u64(struct cb_scan *s, uint64_t *ret);                     /* decimal; false on no digit or overflow */
bool cb_scan_u32(struct cb_scan *s, uint32_t *ret);
bool cb_scan_i64(struct cb_scan *s, int64_t *ret);                      /* optional '-' */
bool cb_scan_hex64(struct cb_scan *s, uint64_t *ret);                   /* without 0x */
bool cb_scan_line(struct cb_scan *s, struct cb_scan *ret_line);         /* next line without its newline; false at the end */
bool cb_scan_token(struct cb_scan *s, const char **ret, size_t *ret_len); /* run of non-blanks, non-newlines */
