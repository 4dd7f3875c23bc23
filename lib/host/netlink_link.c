/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * News of network interfaces by rtnetlink (RTNLGRP_LINK). A driver requests its interrupts anew when an interface is taken up or gets
 * another number of queues, and the kernel gives new ones the default mask. The kernel tells of every change of a link; what it
 * was does not matter here, only that the interrupts have to be looked at. News that were lost say the same.
 */
#include <errno.h>
#include <linux/rtnetlink.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "collect.h"

#define BUF_BYTES 32768u
#define READS_MAX 256u

struct cb_link_conn {
	struct nl_sock *sock;
	int fd;
	_Alignas(NLMSG_ALIGNTO) char buf[BUF_BYTES];
};

struct cb_link_conn *cb_link_conn_free(struct cb_link_conn *conn)
{
	if (conn && conn->sock)
		nl_socket_free(conn->sock);
	free(conn);
	return NULL;
}

struct cb_link_conn *cb_link_conn_new(void)
{
	struct cb_link_conn *conn = calloc(1, sizeof(*conn));

	if (!conn)
		return NULL;
	conn->sock = nl_socket_alloc();
	if (!conn->sock || nl_connect(conn->sock, NETLINK_ROUTE) < 0 ||
	    nl_socket_add_membership(conn->sock, RTNLGRP_LINK) < 0 ||
	    nl_socket_set_nonblocking(conn->sock) < 0)
		return cb_link_conn_free(conn);
	conn->fd = nl_socket_get_fd(conn->sock);
	return conn;
}

static bool has_news(struct cb_link_conn *conn, int len)
{
	struct nlmsghdr *header = (void *)conn->buf;
	bool news = false;

	for (; nlmsg_ok(header, len); header = nlmsg_next(header, &len)) {
		struct cb_link link;

		if ((header->nlmsg_type == RTM_NEWLINK || header->nlmsg_type == RTM_DELLINK) &&
		    cb_link_parse(nlmsg_data(header), (size_t)nlmsg_datalen(header), &link) == 0)
			news = true;
	}
	return news;
}

bool cb_link_conn_news(struct cb_link_conn *conn)
{
	bool news = false;

	for (unsigned int i = 0; conn && i < READS_MAX; i++) {
		ssize_t len = cb_netlink_recv(conn->fd, conn->buf, sizeof(conn->buf));

		if (len == -ENOBUFS)
			news = true;
		else if (len < 0)
			break;
		else
			news |= has_news(conn, (int)len);
	}
	return news;
}

bool cb_host_links_changed(struct cb_host *host)
{
	if (!cb_link_conn_news(host->link))
		return false;
	host->links_usec = cb_host_now_usec(host);
	return true;
}
