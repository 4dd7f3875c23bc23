/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Payloads of the generic netlink family "netdev" (include/uapi/linux/netdev.h, since Linux 6.3; queues 6.8, statistics 6.9) and of
 * RTM_NEWLINK. The numbers are carried here, since the headers of a machine may be older than its kernel. A driver that
 * does not say something leaves the attribute out.
 */
#include <errno.h>
#include <limits.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <string.h>

#include "cpubalance/sources.h"

enum { NAPI_IFINDEX = 1, NAPI_ID, NAPI_IRQ, NAPI_MAX = NAPI_IRQ };
enum { QUEUE_ID = 1, QUEUE_IFINDEX, QUEUE_TYPE, QUEUE_NAPI, QUEUE_MAX = QUEUE_NAPI };
enum {
	QSTATS_IFINDEX = 1,
	QSTATS_TYPE,
	QSTATS_QUEUE,
	QSTATS_RX_PACKETS = 8,
	QSTATS_TX_PACKETS = 10,
	QSTATS_MAX = QSTATS_TX_PACKETS,
};
#define TYPE_TX 1u

static int parse(const void *payload, size_t len, struct nlattr **attrs, int max)
{
	/* nla_parse() takes what it does not write as non-const. */
	return len > INT_MAX || nla_parse(attrs, max, (struct nlattr *)(uintptr_t)payload, (int)len,
					  NULL) < 0 ?
		       -1 :
		       0;
}

static bool take_u32(const struct nlattr *attr, uint32_t *ret)
{
	if (!attr || nla_len(attr) < (int)sizeof(*ret))
		return false;
	memcpy(ret, nla_data(attr), sizeof(*ret));
	return true;
}

/* The kernel writes these as short as they go: four bytes or eight. */
static bool take_u64(const struct nlattr *attr, uint64_t *ret)
{
	uint32_t low;

	if (attr && nla_len(attr) >= (int)sizeof(*ret)) {
		memcpy(ret, nla_data(attr), sizeof(*ret));
		return true;
	}
	if (!take_u32(attr, &low))
		return false;
	*ret = low;
	return true;
}

int cb_netdev_napi_parse(const void *payload, size_t len, struct cb_netdev_napi *ret)
{
	struct nlattr *attrs[NAPI_MAX + 1] = { NULL };
	struct cb_netdev_napi napi = { 0 };

	if (parse(payload, len, attrs, NAPI_MAX) < 0 ||
	    !take_u32(attrs[NAPI_IFINDEX], &napi.ifindex) || !take_u32(attrs[NAPI_ID], &napi.id))
		return -EBADMSG;
	napi.has_irq = take_u32(attrs[NAPI_IRQ], &napi.irq);
	*ret = napi;
	return 0;
}

int cb_netdev_queue_parse(const void *payload, size_t len, struct cb_netdev_queue *ret)
{
	struct nlattr *attrs[QUEUE_MAX + 1] = { NULL };
	struct cb_netdev_queue queue = { 0 };
	uint32_t type;

	if (parse(payload, len, attrs, QUEUE_MAX) < 0 || !take_u32(attrs[QUEUE_ID], &queue.queue) ||
	    !take_u32(attrs[QUEUE_IFINDEX], &queue.ifindex) || !take_u32(attrs[QUEUE_TYPE], &type))
		return -EBADMSG;
	queue.tx = type == TYPE_TX;
	queue.has_napi = take_u32(attrs[QUEUE_NAPI], &queue.napi);
	*ret = queue;
	return 0;
}

int cb_netdev_qstats_parse(const void *payload, size_t len, struct cb_netdev_qstats *ret)
{
	struct nlattr *attrs[QSTATS_MAX + 1] = { NULL };
	struct cb_netdev_qstats stats = { 0 };
	uint32_t type;

	if (parse(payload, len, attrs, QSTATS_MAX) < 0 ||
	    !take_u32(attrs[QSTATS_IFINDEX], &stats.ifindex) ||
	    !take_u32(attrs[QSTATS_QUEUE], &stats.queue) || !take_u32(attrs[QSTATS_TYPE], &type))
		return -EBADMSG;
	stats.tx = type == TYPE_TX;
	stats.has_packets =
		take_u64(attrs[stats.tx ? QSTATS_TX_PACKETS : QSTATS_RX_PACKETS], &stats.packets);
	*ret = stats;
	return 0;
}

int cb_link_parse(const void *payload, size_t len, struct cb_link *ret)
{
	const size_t head_len = NLMSG_ALIGN(sizeof(struct ifinfomsg));
	struct nlattr *attrs[IFLA_IFNAME + 1] = { NULL }, *name;
	struct cb_link link = { 0 };
	struct ifinfomsg info;

	if (len < sizeof(info))
		return -EBADMSG;
	memcpy(&info, payload, sizeof(info));
	if (info.ifi_index <= 0 ||
	    (len > head_len &&
	     parse((const char *)payload + head_len, len - head_len, attrs, IFLA_IFNAME) < 0))
		return -EBADMSG;
	link.ifindex = (uint32_t)info.ifi_index;
	link.up = info.ifi_flags & IFF_UP;
	name = attrs[IFLA_IFNAME];
	if (name)
		cb_sysfs_text_parse(nla_data(name), strnlen(nla_data(name), (size_t)nla_len(name)),
				    link.name, sizeof(link.name));
	*ret = link;
	return 0;
}
