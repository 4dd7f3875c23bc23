/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * proc/net/softnet_stat: packets that a CPU handed to the network stack, and that its backlog queue dropped
 * (net/core/net-procfs.c softnet_seq_show()). Read each tick. One row of hex columns for each online CPU, without a header; how many columns there are depends on the kernel.
 */
#include "cpubalance/sources.h"

#include "parse.h"

/* Columns, counted from 0. Old kernels have 9 to 11, without the CPU's number; newer ones append columns behind it. */
#define COLUMN_PROCESSED 0u
#define COLUMN_DROPPED	 1u
#define COLUMN_CPU	 12u

struct softnet_row {
	uint32_t n_columns;    /* COLUMN_CPU + 1 when there are more */
	uint64_t processed, dropped, cpu; /* cpu: only with COLUMN_CPU */
};

static int take_hex(const char **pos, uint64_t *ret)
{
	const char *p = *pos;
	uint64_t value = 0;

	for (;; p++) {
		unsigned int c = (unsigned char)*p, digit = c - '0';

		if (digit > 9) {
			digit = (c | 0x20) - 'a';
			if (digit > 5)
				break;
			digit += 10;
		}
		if (value >> 60)
			return -ERANGE;
		value = value << 4 | digit;
	}
	if (p == *pos || !is_delimiter(*p))
		return -EBADMSG;
	*pos = p;
	*ret = value;
	return 0;
}

/* Most columns are a blank and eight zeros. */
static bool is_zero(const char *p, const char *end)
{
	return end - p > 9 && load64(p) == load64(" 0000000") && p[8] == '0' && is_delimiter(p[9]);
}

static int parse_row(const char **pos, const char *end, struct softnet_row *ret)
{
	uint64_t processed = 0, dropped = 0, cpu = 0;
	const char *p = *pos;
	uint32_t n = 0;

	for (; n <= COLUMN_CPU; n++) {
		uint64_t value = 0;

		if (is_zero(p, end)) {
			p += 9;
		} else {
			int r;

			p = skip_blanks(p);
			if (*p == '\n')
				break;
			r = take_hex(&p, &value);
			if (r < 0)
				return r;
		}
		if (n == COLUMN_PROCESSED)
			processed = value;
		else if (n == COLUMN_DROPPED)
			dropped = value;
		else
			cpu = value; /* the last column is the one that stays */
	}
	*pos = p;
	*ret = (struct softnet_row){
		.n_columns = n, .processed = processed, .dropped = dropped, .cpu = cpu
	};
	return n > COLUMN_DROPPED ? 0 : -EBADMSG;
}

static int parse_rows(const char *p, const char *end, const struct cb_cpuset *online,
		      struct cb_snapshot *snapshot)
{
	uint64_t next_cpu = 0; /* rows ascend: a CPU below has been there already */
	bool numbered = false;

	for (const char *start = p; p < end; p = next_line(p, end)) {
		bool first = p == start;
		struct softnet_row row;
		int r = parse_row(&p, end, &row);

		if (r < 0)
			return r;
		if (first)
			numbered = row.n_columns > COLUMN_CPU;
		else if (numbered != (row.n_columns > COLUMN_CPU))
			return -EBADMSG;
		if (!numbered)
			row.cpu = cb_cpuset_next(online, (unsigned int)next_cpu);
		if (row.cpu >= CB_CPUS_MAX)
			return numbered ? -ERANGE : -EBADMSG;
		if (row.cpu < next_cpu)
			return -EBADMSG;
		next_cpu = row.cpu + 1;
		if (row.cpu >= snapshot->n_cpus)
			continue;
		snapshot->cpu[row.cpu].softnet_processed = row.processed;
		snapshot->cpu[row.cpu].softnet_dropped = row.dropped;
		snapshot->cpu[row.cpu].present |= CB_CPU_HAS_SOFTNET;
	}
	/* A row is missing, and without numbers nobody knows whose. */
	if (!numbered && cb_cpuset_next(online, (unsigned int)next_cpu) < CB_CPUS_MAX)
		return -EBADMSG;
	return 0;
}

static void forget(struct cb_snapshot *snapshot)
{
	for (uint32_t i = 0; i < snapshot->n_cpus; i++)
		snapshot->cpu[i].present &= ~CB_CPU_HAS_SOFTNET;
}

int cb_softnet_parse(const char *buf, size_t len, const struct cb_cpuset *online,
		     struct cb_snapshot *snapshot)
{
	int r;

	forget(snapshot);
	if (!sealed(buf, len))
		return -EBADMSG;
	r = parse_rows(buf, buf + len, online, snapshot);
	if (r < 0)
		forget(snapshot);
	return r;
}
