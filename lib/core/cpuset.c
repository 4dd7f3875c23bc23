/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sets of CPU numbers, worked on a 64-bit word at a time. A machine uses the first few words; the empty tail costs one
 * test a word.
 */
#include "cpubalance/cpuset.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cpubalance/scan.h"

#define WORD_BITS 64u

static uint64_t bit(unsigned int cpu)
{
	return UINT64_C(1) << (cpu % WORD_BITS);
}

void cb_cpuset_set(struct cb_cpuset *set, unsigned int cpu)
{
	assert(cpu < CB_CPUS_MAX);
	set->word[cpu / WORD_BITS] |= bit(cpu);
}

void cb_cpuset_clear(struct cb_cpuset *set, unsigned int cpu)
{
	if (cpu < CB_CPUS_MAX)
		set->word[cpu / WORD_BITS] &= ~bit(cpu);
}

void cb_cpuset_set_range(struct cb_cpuset *set, unsigned int first, unsigned int last)
{
	unsigned int first_word = first / WORD_BITS, last_word = last / WORD_BITS;

	assert(first <= last && last < CB_CPUS_MAX);
	for (unsigned int i = first_word; i <= last_word; i++) {
		uint64_t word = UINT64_MAX;

		if (i == first_word)
			word &= UINT64_MAX << (first % WORD_BITS);
		if (i == last_word)
			word &= UINT64_MAX >> (WORD_BITS - 1 - last % WORD_BITS);
		set->word[i] |= word;
	}
}

unsigned int cb_cpuset_count(const struct cb_cpuset *set)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < CB_CPUSET_WORDS; i++)
		if (set->word[i])
			n += (unsigned int)__builtin_popcountll(set->word[i]);
	return n;
}

bool cb_cpuset_empty(const struct cb_cpuset *set)
{
	for (unsigned int i = 0; i < CB_CPUSET_WORDS; i++)
		if (set->word[i])
			return false;
	return true;
}

bool cb_cpuset_equal(const struct cb_cpuset *a, const struct cb_cpuset *b)
{
	return memcmp(a->word, b->word, sizeof(a->word)) == 0;
}

bool cb_cpuset_subset(const struct cb_cpuset *inner, const struct cb_cpuset *outer)
{
	for (unsigned int i = 0; i < CB_CPUSET_WORDS; i++)
		if (inner->word[i] & ~outer->word[i])
			return false;
	return true;
}

bool cb_cpuset_intersects(const struct cb_cpuset *a, const struct cb_cpuset *b)
{
	for (unsigned int i = 0; i < CB_CPUSET_WORDS; i++)
		if (a->word[i] & b->word[i])
			return true;
	return false;
}

struct cb_cpuset cb_cpuset_and(const struct cb_cpuset *a, const struct cb_cpuset *b)
{
	struct cb_cpuset set;

	for (unsigned int i = 0; i < CB_CPUSET_WORDS; i++)
		set.word[i] = a->word[i] & b->word[i];
	return set;
}

struct cb_cpuset cb_cpuset_or(const struct cb_cpuset *a, const struct cb_cpuset *b)
{
	struct cb_cpuset set;

	for (unsigned int i = 0; i < CB_CPUSET_WORDS; i++)
		set.word[i] = a->word[i] | b->word[i];
	return set;
}

struct cb_cpuset cb_cpuset_andnot(const struct cb_cpuset *a, const struct cb_cpuset *b)
{
	struct cb_cpuset set;

	for (unsigned int i = 0; i < CB_CPUSET_WORDS; i++)
		set.word[i] = a->word[i] & ~b->word[i];
	return set;
}

struct cb_cpuset cb_cpuset_of(unsigned int cpu)
{
	struct cb_cpuset set = CB_CPUSET_EMPTY;

	cb_cpuset_set(&set, cpu);
	return set;
}

static bool none_in_eight(const uint64_t *word)
{
	return (word[0] | word[1] | word[2] | word[3] | word[4] | word[5] | word[6] | word[7]) == 0;
}

unsigned int cb_cpuset_next(const struct cb_cpuset *set, unsigned int from)
{
	unsigned int i = from / WORD_BITS;
	uint64_t word;

	if (from >= CB_CPUS_MAX)
		return CB_CPUS_MAX;
	word = set->word[i] & (UINT64_MAX << (from % WORD_BITS));
	while (!word) {
		i++;
		/* Most of a set is empty: eight words in one step. */
		while (i % 8 == 0 && i < CB_CPUSET_WORDS && none_in_eight(&set->word[i]))
			i += 8;
		if (i == CB_CPUSET_WORDS)
			return CB_CPUS_MAX;
		word = set->word[i];
	}
	return i * WORD_BITS + (unsigned int)__builtin_ctzll(word);
}

/* First CPU >= @from that is not a member, or CB_CPUS_MAX. */
static unsigned int next_hole(const struct cb_cpuset *set, unsigned int from)
{
	unsigned int i = from / WORD_BITS;
	uint64_t word;

	if (from >= CB_CPUS_MAX)
		return CB_CPUS_MAX;
	word = ~set->word[i] & (UINT64_MAX << (from % WORD_BITS));
	while (!word) {
		if (++i == CB_CPUSET_WORDS)
			return CB_CPUS_MAX;
		word = ~set->word[i];
	}
	return i * WORD_BITS + (unsigned int)__builtin_ctzll(word);
}

/* --- text --- */

/* What both formats may be surrounded by. */
static struct cb_scan trimmed(const char *buf, size_t len)
{
	struct cb_scan s;

	if (len > 0 && buf[len - 1] == 0)
		len--;
	if (len > 0 && buf[len - 1] == '\n')
		len--;
	while (len > 0 && (buf[len - 1] == ' ' || buf[len - 1] == '\t'))
		len--;
	s = CB_SCAN(buf, len);
	cb_scan_blanks(&s);
	return s;
}

static bool at_digit(const struct cb_scan *s)
{
	return !cb_scan_done(s) && *s->p >= '0' && *s->p <= '9';
}

static int scan_cpu(struct cb_scan *s, unsigned int *ret)
{
	uint64_t cpu;

	if (!at_digit(s))
		return -EINVAL;
	/* It begins with a digit: what is no number is one that overflows. */
	if (!cb_scan_u64(s, &cpu) || cpu >= CB_CPUS_MAX)
		return -ERANGE;
	*ret = (unsigned int)cpu;
	return 0;
}

int cb_cpuset_parse_list(const char *buf, size_t len, struct cb_cpuset *ret)
{
	struct cb_cpuset set = CB_CPUSET_EMPTY;
	struct cb_scan s = trimmed(buf, len);
	int r;

	if (!cb_scan_done(&s)) {
		do {
			unsigned int first, last;

			r = scan_cpu(&s, &first);
			if (r < 0)
				return r;
			last = first;
			if (cb_scan_char(&s, '-')) {
				r = scan_cpu(&s, &last);
				if (r < 0)
					return r;
			}
			if (last < first)
				return -EINVAL;
			cb_cpuset_set_range(&set, first, last);
		} while (cb_scan_char(&s, ','));
		if (!cb_scan_done(&s))
			return -EINVAL;
	}
	*ret = set;
	return 0;
}

int cb_cpuset_parse_mask(const char *buf, size_t len, struct cb_cpuset *ret)
{
	struct cb_cpuset set = CB_CPUSET_EMPTY;
	struct cb_scan s = trimmed(buf, len);
	size_t n_below = 0; /* 32-bit words that follow the present one */
	bool first = true;

	for (const char *p = s.p; p < s.end; p++)
		n_below += *p == ',';
	for (;; first = false, n_below--) {
		const char *start = s.p;
		uint64_t value;

		/* The kernel pads all words but the first to eight digits (lib/vsprintf.c, bitmap_string()). */
		if (!cb_scan_hex64(&s, &value) || s.p - start > 8 || (!first && s.p - start != 8))
			return -EINVAL;
		if (n_below < CB_CPUS_MAX / 32)
			set.word[n_below / 2] |= value << (n_below % 2 * 32);
		else if (value)
			return -ERANGE;
		if (!cb_scan_char(&s, ','))
			break;
	}
	if (!cb_scan_done(&s))
		return -EINVAL;
	*ret = set;
	return 0;
}

/* One range with its comma, as in the list format. Returns its length. */
static size_t format_range(char *buf, size_t size, bool first, unsigned int low, unsigned int high)
{
	int n = low == high ? snprintf(buf, size, "%s%u", first ? "" : ",", low) :
			      snprintf(buf, size, "%s%u-%u", first ? "" : ",", low, high);

	assert(n > 0 && (size_t)n < size);
	return (size_t)n;
}

int cb_cpuset_format_list(const struct cb_cpuset *set, char *buf, size_t size)
{
	size_t len = 0;

	if (size == 0)
		return -ENOSPC;
	for (unsigned int low = cb_cpuset_first(set); low < CB_CPUS_MAX;) {
		unsigned int hole = next_hole(set, low);
		char range[32];
		size_t n = format_range(range, sizeof(range), len == 0, low, hole - 1);

		if (len + n >= size) {
			buf[0] = 0;
			return -ENOSPC;
		}
		memcpy(buf + len, range, n);
		len += n;
		low = cb_cpuset_next(set, hole);
	}
	buf[len] = 0;
	return (int)len;
}

const char *cb_cpuset_show(const struct cb_cpuset *set, char *buf, size_t size)
{
	static const char more[] = ",...";
	size_t len = 0;

	if (size == 0 || cb_cpuset_format_list(set, buf, size) >= 0)
		return buf;
	for (unsigned int low = cb_cpuset_first(set); low < CB_CPUS_MAX;) {
		unsigned int hole = next_hole(set, low);
		char range[32];
		size_t n = format_range(range, sizeof(range), len == 0, low, hole - 1);

		if (len + n + strlen(more) >= size)
			break;
		memcpy(buf + len, range, n);
		len += n;
		low = cb_cpuset_next(set, hole);
	}
	snprintf(buf + len, size - len, "%s", len ? more : more + 1);
	return buf;
}
