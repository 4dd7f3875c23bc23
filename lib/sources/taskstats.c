/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The answer to TASKSTATS_CMD_GET: one struct taskstats inside an attribute that says whose it is (kernel/taskstats.c). The
 * kernel's structure grows at its end and is longer than the one we were compiled with, or shorter on an old kernel:
 * only what is used is read, where it stands.
 */
#include "cpubalance/sources.h"

#include <limits.h>
#include <linux/taskstats.h>
#include <netlink/attr.h>

#include "parse.h"

/*
 * Version 15 alone has the largest and the least delay right behind each of the first three totals, and so moved what
 * follows; version 16 put them at the end.
 */
#define VERSION_MOVED	    15u
#define VERSION_MOVED_BYTES (3u * 2u * sizeof(uint64_t))

static uint64_t field(const char *stats, size_t offset)
{
	uint64_t value;

	memcpy(&value, stats + offset, sizeof(value));
	return value;
}

static int parse_stats(const char *stats, size_t len, struct cb_taskstats *ret)
{
	size_t moved = 0;
	uint16_t version;

	if (len < sizeof(version))
		return -EBADMSG;
	memcpy(&version, stats, sizeof(version));
	if (version == VERSION_MOVED)
		moved = VERSION_MOVED_BYTES;
	if (len < offsetof(struct taskstats, nivcsw) + sizeof(uint64_t) + moved)
		return -EBADMSG;
	*ret = (struct cb_taskstats){
		.cpu_nsec = field(stats, offsetof(struct taskstats, cpu_run_virtual_total) + moved),
		.wait_nsec = field(stats, offsetof(struct taskstats, cpu_delay_total)),
		.vol_switches = field(stats, offsetof(struct taskstats, nvcsw) + moved),
		.invol_switches = field(stats, offsetof(struct taskstats, nivcsw) + moved),
	};
	memcpy(ret->comm, stats + offsetof(struct taskstats, ac_comm) + moved,
	       sizeof(ret->comm) - 1);
	return 0;
}

int cb_taskstats_parse(const void *payload, size_t len, struct cb_taskstats *ret)
{
	struct nlattr *outer[TASKSTATS_TYPE_MAX + 1], *inner[TASKSTATS_TYPE_MAX + 1], *owner,
		*stats;

	/* nla_parse() takes what it does not write as non-const. */
	if (len > INT_MAX || nla_parse(outer, TASKSTATS_TYPE_MAX,
				       (struct nlattr *)(uintptr_t)payload, (int)len, NULL) < 0)
		return -EBADMSG;
	owner = outer[TASKSTATS_TYPE_AGGR_TGID] ? outer[TASKSTATS_TYPE_AGGR_TGID] :
						  outer[TASKSTATS_TYPE_AGGR_PID];
	if (!owner ||
	    nla_parse(inner, TASKSTATS_TYPE_MAX, nla_data(owner), nla_len(owner), NULL) < 0)
		return -EBADMSG;
	stats = inner[TASKSTATS_TYPE_STATS];
	if (!stats)
		return -EBADMSG;
	return parse_stats(nla_data(stats), (size_t)nla_len(stats), ret);
}
