/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * proc/softirqs: how often each kind of softirq ran on each CPU (fs/proc/softirqs.c). Read each tick. Its columns are the
 * possible CPUs, offline ones too; its counters are 32 bits wide.
 */
#include "cpubalance/sources.h"

#include "parse.h"

/* IRQ_POLL was called so before Linux 4.5. */
#define OLD_IRQ_POLL "BLOCK_IOPOLL"

struct softirqs_parse {
	const char *p, *end;
	struct cb_snapshot *snapshot;
	uint32_t n_columns;
	uint32_t cpu_ids[CB_CPUS_MAX];
};

static bool is_called(enum cb_softirq softirq, const char *name, size_t len)
{
	const char *ours = cb_softirq_name(softirq);

	return strncmp(ours, name, len) == 0 && ours[len] == '\0';
}

/* Rows come in the order of the enum, so that @expected mostly is the answer. _CB_SOFTIRQ_MAX for an unknown kind. */
static enum cb_softirq find_softirq(const char *name, size_t len, enum cb_softirq expected)
{
	if (expected < _CB_SOFTIRQ_MAX && is_called(expected, name, len))
		return expected;
	for (enum cb_softirq i = 0; i < _CB_SOFTIRQ_MAX; i++)
		if (is_called(i, name, len))
			return i;
	if (len == strlen(OLD_IRQ_POLL) && memcmp(name, OLD_IRQ_POLL, len) == 0)
		return CB_SOFTIRQ_IRQ_POLL;
	return _CB_SOFTIRQ_MAX;
}

static int parse_row(struct softirqs_parse *s, enum cb_softirq softirq)
{
	struct cb_snapshot *snapshot = s->snapshot;
	const char *p = s->p;

	for (uint32_t i = 0; i < s->n_columns; i++) {
		uint64_t count;
		int r = take_column(&p, s->end, &count);

		if (r < 0)
			return r;
		if (s->cpu_ids[i] < snapshot->n_cpus)
			snapshot->cpu[s->cpu_ids[i]].softirqs[softirq] = count;
	}
	s->p = p;
	return 0;
}

static int parse_rows(struct softirqs_parse *s)
{
	enum cb_softirq expected = 0;
	unsigned int seen = 0;

	for (; s->p < s->end; s->p = next_line(s->p, s->end)) {
		const char *name = skip_padding(s->p, s->end), *colon = name;
		enum cb_softirq softirq;
		int r;

		/* A NUL is no part of a name: is_called() relies on that. */
		while (*colon != ':' && (unsigned char)*colon > ' ')
			colon++;
		if (colon == name && *colon == '\n')
			continue;
		if (*colon != ':' || colon == name)
			return -EBADMSG;
		softirq = find_softirq(name, (size_t)(colon - name), expected);
		if (softirq == _CB_SOFTIRQ_MAX)
			continue;
		if (seen & 1u << softirq)
			return -EBADMSG;
		seen |= 1u << softirq;
		expected = softirq + 1;
		s->p = colon + 1;
		r = parse_row(s, softirq);
		if (r < 0)
			return r;
	}
	return seen ? 0 : -EBADMSG;
}

static void mark(struct softirqs_parse *s)
{
	for (uint32_t i = 0; i < s->n_columns; i++)
		if (s->cpu_ids[i] < s->snapshot->n_cpus)
			s->snapshot->cpu[s->cpu_ids[i]].present |= CB_CPU_HAS_SOFTIRQS;
}

int cb_softirqs_parse(const char *buf, size_t len, struct cb_snapshot *snapshot)
{
	struct softirqs_parse s; /* 16 KiB: not worth clearing for two CPUs */
	int r;

	s.p = buf;
	s.end = buf + len;
	s.snapshot = snapshot;
	for (uint32_t i = 0; i < snapshot->n_cpus; i++) {
		snapshot->cpu[i].present &= ~CB_CPU_HAS_SOFTIRQS;
		memset(snapshot->cpu[i].softirqs, 0, sizeof(snapshot->cpu[i].softirqs));
	}
	if (!sealed(buf, len))
		return -EBADMSG;
	r = take_cpu_header(&s.p, s.end, s.cpu_ids, CB_CPUS_MAX, &s.n_columns);
	if (r < 0)
		return r;
	r = parse_rows(&s);
	if (r < 0)
		return r;
	mark(&s);
	return 0;
}
