/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A set of CPU numbers, fixed size, no allocation. By const pointer in, by value in structs. CPU numbers may have holes.
 * The list format is the kernel's ("0-3,8,10-11"; Documentation/admin-guide/cputopology.rst, bitmap_parselist()), the
 * mask format the comma-separated 32-bit hex words of /proc/irq/N/smp_affinity.
 */

#include <stdbool.h>

#include "cpubalance/macro.h"

/* Highest CPU number + 1 we can hold. x86 kernels allow NR_CPUS up to 8192; the largest machines sold have 1,920. */
#define CB_CPUS_MAX	4096u
#define CB_CPUSET_WORDS (CB_CPUS_MAX / 64u)
/* Room for the list format of any set: the worst case is pairs with one hole between them, 10 bytes ("1000-1001,") for three CPUs. */
#define CB_CPULIST_MAX (CB_CPUS_MAX / 3u * 10u + 11u)

struct cb_cpuset {
	uint64_t word[CB_CPUSET_WORDS];
};

#define CB_CPUSET_EMPTY ((struct cb_cpuset){ .word = { 0 } })

void cb_cpuset_set(struct cb_cpuset *set, unsigned int cpu);
void cb_cpuset_clear(struct cb_cpuset *set, unsigned int cpu);
static inline bool cb_cpuset_has(const struct cb_cpuset *set, unsigned int cpu) /* false beyond CB_CPUS_MAX */
{
	return cpu < CB_CPUS_MAX && set->word[cpu / 64] >> (cpu % 64) & 1;
}
void cb_cpuset_set_range(struct cb_cpuset *set, unsigned int first,
			 unsigned int last); /* inclusive */

unsigned int cb_cpuset_count(const struct cb_cpuset *set);
bool cb_cpuset_empty(const struct cb_cpuset *set);
bool cb_cpuset_equal(const struct cb_cpuset *a, const struct cb_cpuset *b);
bool cb_cpuset_subset(const struct cb_cpuset *inner, const struct cb_cpuset *outer);
bool cb_cpuset_intersects(const struct cb_cpuset *a, const struct cb_cpuset *b);

struct cb_cpuset cb_cpuset_and(const struct cb_cpuset *a, const struct cb_cpuset *b);
struct cb_cpuset cb_cpuset_or(const struct cb_cpuset *a, const struct cb_cpuset *b);
struct cb_cpuset cb_cpuset_andnot(const struct cb_cpuset *a, const struct cb_cpuset *b);
struct cb_cpuset cb_cpuset_of(unsigned int cpu); /* the set of one */

/* First member >= @from, or CB_CPUS_MAX when there is none. */
unsigned int cb_cpuset_next(const struct cb_cpuset *set, unsigned int from);
#define cb_cpuset_first(set) cb_cpuset_next((set), 0)
#define CB_CPUSET_FOREACH(cpu, set)                                          \
	for (unsigned int cpu = cb_cpuset_next((set), 0); cpu < CB_CPUS_MAX; \
	     cpu = cb_cpuset_next((set), cpu + 1))

/*
 * Parse the list format; surrounding blanks, one newline and a trailing NUL are accepted, "" is the empty set.
 * Returns 0, -EINVAL (malformed: a reversed range, garbage), -ERANGE (a CPU >= CB_CPUS_MAX). @ret untouched on failure.
 */
int cb_cpuset_parse_list(const char *buf, size_t len, struct cb_cpuset *ret) _must_check_;

/* Parse the hex mask format ("00000000,0000000f"). Same errors. */
int cb_cpuset_parse_mask(const char *buf, size_t len, struct cb_cpuset *ret) _must_check_;

/* Write the list format and a NUL. Returns its length, or -ENOSPC when @size is too small (buf[0] = 0 then, if size > 0). */
int cb_cpuset_format_list(const struct cb_cpuset *set, char *buf, size_t size);

/* Like cb_cpuset_format_list(), but shortens with "..." instead of failing; for people's eyes only. Returns @buf. */
const char *cb_cpuset_show(const struct cb_cpuset *set, char *buf, size_t size);
