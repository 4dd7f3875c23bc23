/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * proc/PID/net/snmp: the counters of a process's network namespace (net/ipv4/proc.c). Each protocol has a line of names and
 * a line of values below it; new names appear in the middle. Its TCP counters hold IPv6 connections too, its UDP counters
 * do not.
 */
#include "cpubalance/sources.h"

#include "parse.h"

enum {
	TCP_IN = 1 << 0,
	TCP_OUT = 1 << 1,
	UDP_IN = 1 << 2,
	UDP_OUT = 1 << 3,
	ALL = (1 << 4) - 1,
};

static const struct counter {
	const char *prefix, *name;
	unsigned int bit;
} counters[] = {
	{ "Tcp:", "InSegs", TCP_IN },
	{ "Tcp:", "OutSegs", TCP_OUT },
	{ "Udp:", "InDatagrams", UDP_IN },
	{ "Udp:", "OutDatagrams", UDP_OUT },
};

static unsigned int find_counter(const char *prefix, const char *name, size_t len)
{
	for (size_t i = 0; i < CB_ARRAY_SIZE(counters); i++)
		if (strcmp(counters[i].prefix, prefix) == 0 && strlen(counters[i].name) == len &&
		    memcmp(counters[i].name, name, len) == 0)
			return counters[i].bit;
	return 0;
}

/* Walk a line of names and its line of values in step. Both begin with @prefix. */
static int add_counters(const char *prefix, struct cb_scan names, struct cb_scan values,
			unsigned int *seen, uint64_t *packets)
{
	const char *name, *skipped;
	size_t len, skipped_len;

	if (!cb_scan_word(&names, prefix) || !cb_scan_word(&values, prefix))
		return -EBADMSG;
	for (;;) {
		unsigned int bit;
		uint64_t value;
		int r;

		cb_scan_blanks(&names);
		if (!cb_scan_token(&names, &name, &len))
			return 0;
		bit = find_counter(prefix, name, len);
		if (!bit) { /* MaxConn is -1 */
			cb_scan_blanks(&values);
			if (!cb_scan_token(&values, &skipped, &skipped_len))
				return -EBADMSG;
			continue;
		}
		if (*seen & bit)
			return -EBADMSG;
		*seen |= bit;
		r = scan_number(&values, UINT64_MAX, &value);
		if (r < 0)
			return r;
		if (__builtin_add_overflow(*packets, value, packets))
			return -ERANGE;
	}
}

int cb_snmp_parse(const char *buf, size_t len, uint64_t *ret_packets)
{
	struct cb_scan s = CB_SCAN(buf, len), names, values;
	unsigned int seen = 0;
	uint64_t packets = 0;

	if (!sealed(buf, len))
		return -EBADMSG;
	while (cb_scan_line(&s, &names)) {
		const char *prefix = NULL;
		int r;

		for (size_t i = 0; i < CB_ARRAY_SIZE(counters); i++) {
			struct cb_scan ahead = names;

			if (cb_scan_word(&ahead, counters[i].prefix))
				prefix = counters[i].prefix;
		}
		if (!prefix)
			continue;
		if (!cb_scan_line(&s, &values))
			return -EBADMSG;
		r = add_counters(prefix, names, values, &seen, &packets);
		if (r < 0)
			return r;
	}
	if (seen != ALL)
		return -EBADMSG;
	*ret_packets = packets;
	return 0;
}
