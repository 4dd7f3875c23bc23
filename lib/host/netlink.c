/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include "collect.h"

/* Of strangers that are passed over in one call. */
#define STRANGERS_MAX 64u
/* Ends a dump that does not end. */
#define DRAINS_MAX 16384u

ssize_t cb_netlink_recv(int fd, void *buf, size_t size)
{
	for (unsigned int i = 0; i < STRANGERS_MAX;) {
		struct sockaddr_nl from = { .nl_pid = 0 };
		struct iovec iov = { .iov_base = buf, .iov_len = size };
		struct msghdr message = {
			.msg_name = &from,
			.msg_namelen = sizeof(from),
			.msg_iov = &iov,
			.msg_iovlen = 1,
		};
		ssize_t len = recvmsg(fd, &message, MSG_DONTWAIT);

		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0)
			return -errno;
		/* What did not fit cannot be taken apart. */
		if (from.nl_pid == 0 && !(message.msg_flags & MSG_TRUNC))
			return len;
		i++;
	}
	return -EAGAIN;
}

void cb_netlink_drain(int fd, void *buf, size_t size)
{
	for (unsigned int i = 0; i < DRAINS_MAX; i++) {
		ssize_t len = cb_netlink_recv(fd, buf, size);

		if (len < 0 && len != -ENOBUFS)
			return;
	}
}
