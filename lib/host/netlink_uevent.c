/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * News of CPUs that go offline and come back, in their order, from the kernel's own events, over libnl. They are text, not netlink
 * messages, so the socket is read directly. There are events about anything that is plugged or made, so a filter in the kernel
 * would be nice to have; a few microseconds for each are cheap enough.
 */
#include "hotplug.h"

#include <errno.h>
#include <linux/netlink.h>
#include <netlink/netlink.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "cpubalance/sources.h"

#define KERNEL_GROUP 1 /* 2 is udev's */
#define BUFFER_BYTES (256 * 1024)
#define EVENT_MAX    8192u /* UEVENT_BUFFER_SIZE is 2048, and the header */

struct cb_uevent_conn {
	struct nl_sock *sock;
	char buf[EVENT_MAX];
};

int cb_uevent_conn_open(struct cb_uevent_conn **ret)
{
	struct cb_uevent_conn *conn = calloc(1, sizeof(*conn));
	int r;

	if (!conn)
		return -ENOMEM;
	conn->sock = nl_socket_alloc();
	if (!conn->sock) {
		free(conn);
		return -ENOMEM;
	}
	nl_join_groups(conn->sock, KERNEL_GROUP);
	r = nl_connect(conn->sock, NETLINK_KOBJECT_UEVENT);
	if (r == 0)
		r = nl_socket_set_nonblocking(conn->sock);
	if (r < 0) {
		cb_uevent_conn_free(conn);
		return r == -NLE_PERM ? -EPERM : -EOPNOTSUPP;
	}
	(void)nl_socket_set_buffer_size(conn->sock, BUFFER_BYTES, 0);
	*ret = conn;
	return 0;
}

struct cb_uevent_conn *cb_uevent_conn_free(struct cb_uevent_conn *conn)
{
	if (!conn)
		return NULL;
	nl_socket_free(conn->sock);
	free(conn);
	return NULL;
}

int cb_uevent_conn_next(struct cb_uevent_conn *conn, uint32_t *ret_cpu, bool *ret_online)
{
	struct sockaddr_nl from = { .nl_family = AF_NETLINK };

	for (;;) {
		socklen_t size = sizeof(from);
		ssize_t len = recvfrom(nl_socket_get_fd(conn->sock), conn->buf, sizeof(conn->buf),
				       MSG_DONTWAIT, (struct sockaddr *)&from, &size);

		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0)
			return errno == EAGAIN ? 0 : -errno;
		/* from the kernel alone; anybody may send who has the capability */
		if (from.nl_pid == 0 &&
		    cb_uevent_parse(conn->buf, (size_t)len, ret_cpu, ret_online) == 1)
			return 1;
	}
}
