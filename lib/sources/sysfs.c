/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The small files of sysfs, proc/irq and proc/sys: one number, one line of text, one set of CPUs. Some kernels end a mask with
 * a NUL of their own, some files have no newline.
 */
#include "cpubalance/sources.h"

#include "parse.h"

/* What follows the value: blanks, a newline, NULs. */
static bool is_end(const struct cb_scan *s)
{
	for (const char *p = s->p; p < s->end; p++)
		if (!is_space(*p) && *p != '\0')
			return false;
	return true;
}

int cb_sysfs_i64_parse(const char *buf, size_t len, int64_t *ret)
{
	struct cb_scan s = CB_SCAN(buf, len), digits;
	int64_t value;

	cb_scan_blanks(&s);
	digits = s;
	cb_scan_char(&digits, '-');
	if (cb_scan_done(&digits) || !is_digit(*digits.p))
		return -EBADMSG;
	if (!cb_scan_i64(&s, &value))
		return -ERANGE;
	if (!is_end(&s))
		return -EBADMSG;
	*ret = value;
	return 0;
}

int cb_sysfs_distances_parse(const char *buf, size_t len, uint32_t *ret, size_t max, size_t *ret_n)
{
	struct cb_scan s = CB_SCAN(buf, len);
	size_t n = 0;

	for (cb_scan_blanks(&s); !is_end(&s); cb_scan_blanks(&s)) {
		uint32_t value;

		if (!is_digit(*s.p))
			return -EBADMSG;
		if (!cb_scan_u32(&s, &value))
			return -ERANGE;
		if (n < max)
			ret[n++] = value;
	}
	*ret_n = n;
	return n > 0 ? 0 : -EBADMSG;
}

int cb_sysfs_counts_parse(const char *buf, size_t len, const struct cb_cpuset *possible,
			  uint64_t *ret, uint32_t n_cpus)
{
	struct cb_scan s = CB_SCAN(buf, len);
	unsigned int cpu = cb_cpuset_first(possible);

	memset(ret, 0, n_cpus * sizeof(ret[0]));
	do {
		uint64_t count;

		if (cb_scan_done(&s) || !is_digit(*s.p) || cpu >= CB_CPUS_MAX)
			return -EBADMSG;
		if (!cb_scan_u64(&s, &count))
			return -ERANGE;
		if (cpu < n_cpus)
			ret[cpu] = count;
		cpu = cb_cpuset_next(possible, cpu + 1);
	} while (cb_scan_char(&s, ','));
	return is_end(&s) ? 0 : -EBADMSG;
}

size_t cb_sysfs_text_parse(const char *buf, size_t len, char *ret, size_t size)
{
	const char *newline = len > 0 ? memchr(buf, '\n', len) : NULL;
	size_t n = newline ? (size_t)(newline - buf) : len;

	return cb_text_copy(buf, strnlen(buf, n), ret, size);
}

int cb_sysfs_cpulist_parse(const char *buf, size_t len, struct cb_cpuset *ret)
{
	struct cb_scan s = CB_SCAN(buf, len);

	/* nohz_full where the kernel can but was not asked to (drivers/base/cpu.c prints a mask that was never made). */
	cb_scan_blanks(&s);
	if (cb_scan_word(&s, "(null)") && is_end(&s)) {
		*ret = CB_CPUSET_EMPTY;
		return 0;
	}
	return bad_message(cb_cpuset_parse_list(buf, len, ret));
}
