/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the parsers of the big, often read /proc files share. They want no test of the buffer's end for each byte, so they
 * begin with sealed(): the last byte is a newline. It is neither a digit nor a blank, so a loop over digits or blanks that
 * starts inside the buffer stops at it at the latest. A buffer that is cut short (a read with too little room) is not
 * sealed, which is how a number that lost its last digits is found. Runs of zeros, 99 % of a big machine's interrupt
 * counts, are compared sixteen at a time.
 *
 * The lower half is for small text files, on top of cb_scan. Everything answers 0 or a negative errno as sources.h says.
 */

#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "cpubalance/cpuset.h"
#include "cpubalance/scan.h"

static inline bool sealed(const char *buf, size_t len)
{
	return len > 0 && buf[len - 1] == '\n';
}

/* The tables have no tabs, and a second comparison for each byte is felt. */
static inline bool is_blank(char c)
{
	return c == ' ';
}

static inline bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Where a number or a word may end. */
static inline bool is_delimiter(char c)
{
	return c == ' ' || c == '\n';
}

static inline uint64_t load64(const char *p)
{
	uint64_t word;

	memcpy(&word, p, sizeof(word));
	return word;
}

static inline uint32_t load32(const char *p)
{
	uint32_t word;

	memcpy(&word, p, sizeof(word));
	return word;
}

static inline const char *skip_blanks(const char *p)
{
	while (is_blank(*p))
		p++;
	return p;
}

/* The same where many are expected, as in front of a right-aligned number. */
static inline const char *skip_padding(const char *p, const char *end)
{
	while (end - p > 8 && load64(p) == load64("        "))
		p += 8;
	if (end - p > 4 && load32(p) == load32("    "))
		p += 4;
	return skip_blanks(p);
}

/* The character after this line's newline. @p is before @end. */
static inline const char *next_line(const char *p, const char *end)
{
	const char *newline = *p == '\n' ? p : memchr(p, '\n', (size_t)(end - p));

	return newline ? newline + 1 : end;
}

/* Whether @word, a string literal, stands at @p. */
#define STANDS_AT(p, end, word) \
	((size_t)((end) - (p)) >= sizeof(word) - 1 && memcmp((p), (word), sizeof(word) - 1) == 0)

/* Digits in the bytes of @eight, the first in the lowest one, as a number: pairs, fours and then all are put together. */
static inline uint64_t eight_digits(uint64_t eight)
{
	eight = eight * (10 * 256 + 1) >> 8 & UINT64_C(0x00ff00ff00ff00ff);
	eight = eight * (100 * 65536 + 1) >> 16 & UINT64_C(0x0000ffff0000ffff);
	return eight * (UINT64_C(10000) << 32 | 1) >> 32;
}

/* A decimal number that a delimiter ends. @pos stays where it was on failure. */
static inline int take_u64(const char **pos, uint64_t *ret)
{
	const char *p = *pos;
	uint64_t value = 0;
	unsigned int digit;

	for (; (digit = (unsigned int)(unsigned char)*p - '0') <= 9; p++)
		value = value * 10 + digit;
	if (p == *pos || !is_delimiter(*p))
		return -EBADMSG;
	if (p - *pos >= 20) { /* 19 digits always fit; count again, carefully */
		value = 0;
		for (const char *q = *pos; q < p; q++)
			if (__builtin_mul_overflow(value, UINT64_C(10), &value) ||
			    __builtin_add_overflow(value, (uint64_t)(*q - '0'), &value))
				return -ERANGE;
	}
	*pos = p;
	*ret = value;
	return 0;
}

/* The same of a number that has two digits or more, as a rule: up to seven of them at once. */
static inline int take_long(const char **pos, const char *end, uint64_t *ret)
{
	const char *p = *pos;
	uint64_t eight, other;
	unsigned int n;

	if (end - p < 8)
		return take_u64(pos, ret);
	eight = le64toh(load64(p)) ^ UINT64_C(0x3030303030303030);
	/* The first byte that is no digit has its highest bit set here; nothing is carried out of a digit. */
	other = ((eight + UINT64_C(0x7676767676767676)) | eight) & UINT64_C(0x8080808080808080);
	if (other == 0)
		return take_u64(pos, ret);
	n = (unsigned int)__builtin_ctzll(other) / 8;
	if (n == 0 || !is_delimiter(p[n]))
		return -EBADMSG;
	*pos = p + n;
	*ret = eight_digits(eight << (64 - 8 * n));
	return 0;
}

/* A column of a table as the kernel writes it: " %10u", eleven bytes for all numbers of up to ten digits. */
#define COLUMN_WIDTH 11

/*
 * Sixteen columns are eleven vectors of sixteen bytes, so that what is where in each vector is known. Plain vector types: the
 * compiler makes of them what the machine has.
 */
#define BLOCK	   16u
#define BLOCK_SIZE ((ptrdiff_t)BLOCK * COLUMN_WIDTH)
typedef uint8_t bytes16 __attribute__((vector_size(16)));
#define FOUR_TIMES(x) x, x, x, x
#ifdef __clang__
#define UNROLLED _Pragma("unroll")
#else
#define UNROLLED _Pragma("GCC unroll 16")
#endif

static inline bytes16 load_bytes(const void *p)
{
	bytes16 bytes;

	memcpy(&bytes, p, sizeof(bytes));
	return bytes;
}

static inline bool is_null(bytes16 bytes)
{
	uint64_t word[2];

	memcpy(word, &bytes, sizeof(word));
	return (word[0] | word[1]) == 0;
}

/* Are they all zero? Rows of a big machine are made of such blocks. What follows is for the caller to look at. */
static inline bool are_zeros(const char *p)
{
#define ZERO ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ', '0'
	static const uint8_t zeros[BLOCK_SIZE] __attribute__((aligned(16))) = {
		FOUR_TIMES(FOUR_TIMES(ZERO))
	};
	bytes16 differ = { 0 };

	UNROLLED
	for (ptrdiff_t i = 0; i < BLOCK_SIZE; i += (ptrdiff_t)sizeof(differ))
		differ |= load_bytes(p + i) ^ load_bytes(zeros + i);
	return is_null(differ);
}

/*
 * Are they columns at all? Nothing but blanks and digits, and a digit with a blank behind it at the end of each column and nowhere
 * else: that says that a number is there, has no gap, ends where the column does, and that the next column begins with a blank.
 * One byte behind the block is looked at.
 */
static inline bool are_columns(const char *p)
{
#define LAST 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff
	static const uint8_t ends[BLOCK_SIZE] __attribute__((aligned(16))) = {
		FOUR_TIMES(FOUR_TIMES(LAST))
	};
	bytes16 wrong = { 0 }, high = { 0 }, bits = ~wrong;

	if (!is_blank(*p))
		return false;
	UNROLLED
	for (ptrdiff_t i = 0; i < BLOCK_SIZE; i += (ptrdiff_t)sizeof(wrong)) {
		bytes16 text = load_bytes(p + i), blank = (bytes16)(text == ' ');
		bytes16 next_blank = (bytes16)(load_bytes(p + i + 1) == ' ');

		wrong |= (next_blank & ~blank) ^ load_bytes(ends + i);
		/* '0' to '9' are 0x30 to 0x39: two bits that all have, and 0x80 - '9' - 1 more keeps them below 0x80. */
		bits &= text | blank;
		high |= text | (text + 0x46);
	}
	return is_null(wrong | (~bits & 0x30) | (high & 0x80));
}

/* The digits before the last eight. */
static inline uint64_t high_digits(const char *p)
{
	return (uint64_t)(p[2] & 0xf) * 100000000 + (uint64_t)(p[1] & 0xf) * 1000000000;
}

/*
 * The numbers of two columns that are ones; returns their sum. The last eight digits of both at once: blanks are zeros then, and
 * pairs, fours and eights are put together, the first digit being in the lowest byte.
 */
static inline uint64_t two_values(const char *p, uint64_t ret[2])
{
	typedef uint64_t lanes64 __attribute__((vector_size(16)));
	typedef uint32_t lanes32 __attribute__((vector_size(16)));
	typedef uint16_t lanes16 __attribute__((vector_size(16)));
	const uint32_t hundred_one = 1u << 16 | 100;
	const char *q = p + COLUMN_WIDTH;
	lanes64 eights = { le64toh(load64(p + 3)), le64toh(load64(q + 3)) };
	lanes16 pairs = (lanes16)(eights & UINT64_C(0x0f0f0f0f0f0f0f0f)) * (10 * 256 + 1) >> 8;
	lanes32 fours = (lanes32)(pairs * (lanes16)(lanes32){ hundred_one, hundred_one, hundred_one,
							      hundred_one });
	uint64_t first, second;

	eights = (lanes64)((fours + (fours >> 16)) & 0xffff);
	first = (uint64_t)(uint32_t)eights[0] * 10000 + (eights[0] >> 32);
	second = (uint64_t)(uint32_t)eights[1] * 10000 + (eights[1] >> 32);
	if (!is_blank(p[2]))
		first += high_digits(p);
	if (!is_blank(q[2]))
		second += high_digits(q);
	ret[0] = first;
	ret[1] = second;
	return first + second;
}

/* The next column of a table: blanks and a number. */
static inline int take_column(const char **pos, const char *end, uint64_t *ret)
{
	const char *p = *pos;

	if (end - p > COLUMN_WIDTH && load64(p) == load64("        ") &&
	    load64(p + 3) == load64("       0") && is_delimiter(p[COLUMN_WIDTH])) {
		*pos = p + COLUMN_WIDTH;
		*ret = 0;
		return 0;
	}
	if (!is_blank(*p))
		return -EBADMSG;
	*pos = skip_padding(p, end);
	return take_u64(pos, ret);
}

/*
 * The header line "CPU0 CPU1 CPU3": at most @cap CPU numbers, ascending; @pos ends after its newline. -EBADMSG when it is
 * none, -ERANGE for a CPU that we cannot hold, -E2BIG. Writes to @ret_ids and @pos on failure too.
 */
static inline int take_cpu_header(const char **pos, const char *end, uint32_t *ret_ids,
				  uint32_t cap, uint32_t *ret_n)
{
	uint32_t n = 0;

	for (;;) {
		uint64_t id;
		int r;

		*pos = skip_padding(*pos, end);
		if (**pos == '\n')
			break;
		if (!STANDS_AT(*pos, end, "CPU"))
			return -EBADMSG;
		*pos += 3;
		r = take_u64(pos, &id);
		if (r < 0)
			return r;
		if (id >= CB_CPUS_MAX)
			return -ERANGE;
		if (n > 0 && id <= ret_ids[n - 1])
			return -EBADMSG;
		if (n == cap)
			return -E2BIG;
		ret_ids[n++] = (uint32_t)id;
	}
	(*pos)++;
	*ret_n = n;
	return n > 0 ? 0 : -EBADMSG;
}

/* --- small text files --- */

static inline bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n';
}

/* A number that a blank or the end of the line ends, after blanks. */
static inline int scan_number(struct cb_scan *s, uint64_t max, uint64_t *ret)
{
	uint64_t value;

	cb_scan_blanks(s);
	if (cb_scan_done(s) || !is_digit(*s->p))
		return -EBADMSG;
	if (!cb_scan_u64(s, &value) || value > max)
		return -ERANGE;
	if (!cb_scan_done(s) && !is_space(*s->p))
		return -EBADMSG;
	*ret = value;
	return 0;
}

/* Our parsers promise -EBADMSG where cb_cpuset_parse_list() says -EINVAL. */
static inline int bad_message(int r)
{
	return r == -EINVAL ? -EBADMSG : r;
}

/*
 * Copy text for people: control characters, and bytes that are not UTF-8, become '?' (a bus and a terminal would choke on
 * them, and anybody may name a process so), cut at a whole character when @size is too small. NUL-terminated unless
 * @size is 0. Returns the length written.
 */
size_t cb_text_copy(const char *buf, size_t len, char *ret, size_t size);
