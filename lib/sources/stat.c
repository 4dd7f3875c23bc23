/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * proc/stat: CPU times, context switches, and every interrupt's count (fs/proc/stat.c show_stat()). Read each tick. The
 * intr line has one field for every number below nr_irqs, thousands on a big machine and nearly all of them 0; its
 * field i + 1 is interrupt i.
 */
#include "cpubalance/sources.h"

#include "parse.h"

/* user, nice, system, idle; the other columns came one by one with later kernels. */
#define TIMES_MIN 4u

enum {
	SEEN_CPU = 1 << 0,
	SEEN_INTR = 1 << 1,
	SEEN_CTXT = 1 << 2,
	SEEN_RUNNING = 1 << 3,
	SEEN_BLOCKED = 1 << 4,
	SEEN_ALL = (1 << 5) - 1,
};

struct stat_parse {
	const char *p, *end;
	struct cb_snapshot *snapshot;
	struct cb_cpuset online;
	unsigned int seen;
	bool irq_news;
};

static int parse_times(struct stat_parse *s, uint64_t *ret_ticks)
{
	const char *p = s->p;
	unsigned int n = 0;

	for (; n < _CB_TIME_MAX; n++) {
		int r;

		p = skip_blanks(p);
		if (*p == '\n')
			break;
		r = take_long(&p, s->end, &ret_ticks[n]);
		if (r < 0)
			return r;
	}
	s->p = p;
	if (n < TIMES_MIN)
		return -EBADMSG;
	for (; n < _CB_TIME_MAX; n++)
		ret_ticks[n] = 0;
	return 0;
}

/* "cpu3 1 2 3 ...". The row "cpu", the sum of the others, is not used. */
static int parse_cpu(struct stat_parse *s)
{
	uint64_t unknown_cpu[_CB_TIME_MAX], cpu;
	int r;

	s->p += strlen("cpu");
	if (!is_digit(*s->p))
		return 0;
	r = take_u64(&s->p, &cpu);
	if (r < 0)
		return r;
	if (cpu >= CB_CPUS_MAX)
		return -ERANGE;
	if (cb_cpuset_has(&s->online, (unsigned int)cpu))
		return -EBADMSG;
	cb_cpuset_set(&s->online, (unsigned int)cpu);
	s->seen |= SEEN_CPU;
	if (cpu >= s->snapshot->n_cpus)
		return parse_times(s, unknown_cpu);
	r = parse_times(s, s->snapshot->cpu[cpu].time_ticks);
	if (r < 0)
		return r;
	s->snapshot->cpu[cpu].present |= CB_CPU_HAS_TIMES;
	return 0;
}

/* Pass over fields " 0", sixteen at a time. What follows is another field, blanks or the newline. */
static const char *skip_zeros(const char *start, const char *end)
{
	const uint64_t zeros = load64(" 0 0 0 0");
	const char *p = start;

	while (end - p > 32 && ((load64(p) ^ zeros) | (load64(p + 8) ^ zeros) |
				(load64(p + 16) ^ zeros) | (load64(p + 24) ^ zeros)) == 0)
		p += 32;
	while (end - p > 8 && load64(p) == zeros)
		p += 8;
	if (end - p > 4 && load32(p) == load32(" 0 0"))
		p += 4;
	if (p > start && !is_delimiter(*p))
		p -= 2; /* the last 0 begins a longer word */
	return p;
}

static int parse_intr(struct stat_parse *s)
{
	const char *p = skip_blanks(s->p);
	struct cb_snapshot *snapshot = s->snapshot;
	uint32_t irq = 0, next = 0;
	int r = take_u64(&p, &snapshot->intr_total);

	if (r < 0)
		return r;
	for (uint32_t i = 0; i < snapshot->n_irqs; i++)
		snapshot->irq[i].count = 0;
	for (;; irq++) {
		uint64_t count;

		if (p[0] == ' ' && p[1] == '0') {
			const char *start = p;

			p = skip_zeros(p, s->end);
			irq += (uint32_t)((p - start) / 2);
		}
		p = skip_blanks(p);
		if (*p == '\n')
			break;
		r = take_long(&p, s->end, &count);
		if (r < 0)
			return r;
		if (count == 0)
			continue;
		while (next < snapshot->n_irqs && snapshot->irq[next].irq < irq)
			next++;
		if (next < snapshot->n_irqs && snapshot->irq[next].irq == irq)
			snapshot->irq[next].count = count;
		else
			s->irq_news = true;
	}
	s->p = p;
	return 0;
}

static int parse_count(struct stat_parse *s, uint64_t max, uint64_t *ret)
{
	int r;

	s->p = skip_blanks(s->p);
	r = take_u64(&s->p, ret);
	return r < 0 ? r : *ret > max ? -ERANGE : 0;
}

static int parse_u32(struct stat_parse *s, uint32_t *ret)
{
	uint64_t value;
	int r = parse_count(s, UINT32_MAX, &value);

	if (r == 0)
		*ret = (uint32_t)value;
	return r;
}

/* Step over the line's name; a line that comes twice is no line of the kernel's. */
static bool begins(struct stat_parse *s, size_t name_len, unsigned int seen, int *ret)
{
	s->p += name_len;
	*ret = s->seen & seen ? -EBADMSG : 0;
	s->seen |= seen;
	return *ret == 0;
}

#define BEGINS(s, name, seen, ret) \
	(STANDS_AT((s)->p, (s)->end, name) && begins((s), sizeof(name) - 1, (seen), (ret)))

static int parse_line(struct stat_parse *s)
{
	int r = 0;

	switch (*s->p) {
	case 'c':
		if (STANDS_AT(s->p, s->end, "cpu"))
			return parse_cpu(s);
		if (BEGINS(s, "ctxt ", SEEN_CTXT, &r))
			return parse_count(s, UINT64_MAX, &s->snapshot->ctxt);
		break;
	case 'i':
		if (BEGINS(s, "intr ", SEEN_INTR, &r))
			return parse_intr(s);
		break;
	case 'p':
		if (BEGINS(s, "procs_running ", SEEN_RUNNING, &r))
			return parse_u32(s, &s->snapshot->procs_running);
		if (r == 0 && BEGINS(s, "procs_blocked ", SEEN_BLOCKED, &r))
			return parse_u32(s, &s->snapshot->procs_blocked);
		break;
	}
	return r;
}

static void forget(struct cb_snapshot *snapshot)
{
	for (uint32_t i = 0; i < snapshot->n_cpus; i++)
		snapshot->cpu[i].present &= ~CB_CPU_HAS_TIMES;
}

int cb_stat_parse(const char *buf, size_t len, struct cb_snapshot *snapshot,
		  struct cb_cpuset *ret_online, bool *ret_irq_news)
{
	struct stat_parse s = { .p = buf, .end = buf + len, .snapshot = snapshot };
	int r = sealed(buf, len) ? 0 : -EBADMSG;

	forget(snapshot);
	while (r == 0 && s.p < s.end) {
		r = parse_line(&s);
		s.p = next_line(s.p, s.end);
	}
	/* The kernel writes all of them: without one, the file was cut at the end of a line. */
	if (r == 0 && s.seen != SEEN_ALL)
		r = -EBADMSG;
	if (r < 0) {
		forget(snapshot);
		return r;
	}
	*ret_online = s.online;
	*ret_irq_news = s.irq_news;
	return 0;
}
