/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One socket of a SOCK_DIAG_BY_FAMILY dump of listeners (net/ipv4/inet_diag.c): how many connections wait to be accepted, how
 * many may, and how many were dropped at this one since it was opened. Of UDP: how many bytes wait to be read, as the kernel counts
 * them for the limit that is SO_RCVBUF.
 */
#include "cpubalance/sources.h"

#include <arpa/inet.h>
#include <limits.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netlink/attr.h>

#include "parse.h"

/* include/net/tcp_states.h, TCP_LISTEN. In another state the two queues are bytes, not connections. */
#define STATE_LISTEN 10u

static void take_address(const struct inet_diag_msg *msg, struct cb_listen *ret)
{
	ret->family = msg->idiag_family == AF_INET6 ? CB_ADDRESS_V6 : CB_ADDRESS_V4;
	memcpy(ret->address, msg->id.idiag_src, ret->family == CB_ADDRESS_V6 ? 16 : 4);
	ret->port = ntohs(msg->id.idiag_sport);
}

int cb_socket_parse(const void *payload, size_t len, enum cb_protocol protocol,
		    struct cb_socket *ret)
{
	struct nlattr *attrs[INET_DIAG_MAX + 1] = { NULL }, *meminfo;
	const size_t head_len = NLMSG_ALIGN(sizeof(struct inet_diag_msg));
	struct inet_diag_msg msg;
	struct cb_socket socket = { .local = { .protocol = protocol } };

	if (len < sizeof(msg) || len > INT_MAX)
		return -EBADMSG;
	memcpy(&msg, payload, sizeof(msg));
	if (msg.idiag_family != AF_INET && msg.idiag_family != AF_INET6)
		return -EBADMSG;
	if (len > head_len &&
	    nla_parse(attrs, INET_DIAG_MAX, (struct nlattr *)((uintptr_t)payload + head_len),
		      (int)(len - head_len), NULL) < 0)
		return -EBADMSG;
	take_address(&msg, &socket.local);
	socket.interface = msg.id.idiag_if;
	socket.listens = msg.idiag_state == STATE_LISTEN;
	socket.queue = (struct cb_listener){
		.inode = msg.idiag_inode,
		.datagrams = protocol == CB_PROTOCOL_UDP,
		.backlog = msg.idiag_rqueue,
		.backlog_max = protocol == CB_PROTOCOL_UDP ? 0 : msg.idiag_wqueue,
	};
	meminfo = attrs[INET_DIAG_SKMEMINFO];
	if (meminfo && socket.queue.datagrams &&
	    (size_t)nla_len(meminfo) >= (SK_MEMINFO_RCVBUF + 1) * sizeof(uint32_t))
		memcpy(&socket.queue.backlog_max,
		       (const char *)nla_data(meminfo) + SK_MEMINFO_RCVBUF * sizeof(uint32_t),
		       sizeof(socket.queue.backlog_max));
	if (meminfo && (size_t)nla_len(meminfo) >= (SK_MEMINFO_DROPS + 1) * sizeof(uint32_t)) {
		memcpy(&socket.queue.drops,
		       (const char *)nla_data(meminfo) + SK_MEMINFO_DROPS * sizeof(uint32_t),
		       sizeof(socket.queue.drops));
		socket.queue.has_drops = true;
	}
	*ret = socket;
	return 0;
}

int cb_sockdiag_parse(const void *payload, size_t len, struct cb_listener *ret)
{
	struct cb_socket socket;
	int r = cb_socket_parse(payload, len, CB_PROTOCOL_TCP, &socket);

	if (r == 0 && !socket.listens)
		r = -EBADMSG;
	if (r == 0)
		*ret = socket.queue;
	return r;
}
