/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * News of forks by the proc connector (drivers/connector/cn_proc.c), over libnl. It tells the forks of the whole machine, so it is open only
 * while there is somebody to follow; since Linux 6.6 the kernel sends us nothing but forks.
 *
 * The kernel answers a subscription at once, and not at all where it ignores it: outside the first pid and user
 * namespace on older kernels, and a filter that it does not know.
 */
#include "writer.h"

#include <errno.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define BUFFER_BYTES (1 << 20) /* some 13,000 forks between two ticks */
#define ANSWER_MSEC  50
#define DRAINS_MAX   65536u

/* struct proc_input of Linux 6.6, which older headers lack. */
struct listen_filtered {
	uint32_t op;
	uint32_t events;
};

struct cb_proc_conn {
	struct nl_sock *sock;
	bool answered;
	int answer; /* errno of the kernel's answer */
	void (*fork)(const struct cb_fork *fork, void *userdata);
	void *userdata;
};

static int receive(struct nl_msg *message, void *userdata)
{
	struct cb_proc_conn *conn = userdata;
	struct nlmsghdr *header = nlmsg_hdr(message);
	struct cb_proc_event event;

	/* Anybody privileged may send to a netlink socket. */
	if (nlmsg_get_src(message)->nl_pid != 0 ||
	    cb_proc_event_parse(nlmsg_data(header), (size_t)nlmsg_datalen(header), &event) < 0)
		return NL_SKIP;
	if (event.kind == CB_PROC_ANSWER) {
		conn->answered = true;
		conn->answer = event.answer;
	} else if (event.kind == CB_PROC_FORK && conn->fork) {
		struct cb_fork fork = {
			.parent_tgid = event.parent_tgid,
			.child_tid = event.child_tid,
			.child_tgid = event.child_tgid,
		};

		conn->fork(&fork, conn->userdata);
	}
	return NL_OK;
}

static int subscribe(struct cb_proc_conn *conn, uint32_t op, bool filtered)
{
	struct listen_filtered input = { .op = op, .events = PROC_EVENT_FORK };
	struct cn_msg cn = { .id = { .idx = CN_IDX_PROC, .val = CN_VAL_PROC } };
	struct nl_msg *message = nlmsg_alloc_simple(NLMSG_DONE, 0);
	int r = -NLE_NOMEM;

	if (!message)
		return -ENOMEM;
	cn.len = filtered ? sizeof(input) : sizeof(input.op);
	if (nlmsg_append(message, &cn, sizeof(cn), 0) == 0 &&
	    nlmsg_append(message, &input, cn.len, NLMSG_ALIGNTO) == 0)
		r = nl_send_auto(conn->sock, message);
	nlmsg_free(message);
	if (r == -NLE_PERM)
		return -EPERM;
	return r < 0 ? -EOPNOTSUPP : 0;
}

static int listen_and_hear(struct cb_proc_conn *conn, bool filtered)
{
	struct pollfd pfd = { .fd = nl_socket_get_fd(conn->sock), .events = POLLIN };
	int r = subscribe(conn, PROC_CN_MCAST_LISTEN, filtered);

	for (int i = 0; r == 0 && !conn->answered && i < ANSWER_MSEC; i++) {
		(void)nl_recvmsgs_default(conn->sock);
		if (!conn->answered)
			(void)poll(&pfd, 1, 1);
	}
	if (r < 0)
		return r;
	if (!conn->answered)
		return -EOPNOTSUPP;
	return conn->answer ? -conn->answer : 0;
}

int cb_proc_conn_open(struct cb_proc_conn **ret)
{
	struct cb_proc_conn *conn = calloc(1, sizeof(*conn));
	int r;

	if (!conn)
		return -ENOMEM;
	conn->sock = nl_socket_alloc();
	if (!conn->sock) {
		free(conn);
		return -ENOMEM;
	}
	nl_socket_disable_seq_check(conn->sock);
	nl_socket_modify_cb(conn->sock, NL_CB_VALID, NL_CB_CUSTOM, receive, conn);
	nl_socket_modify_cb(conn->sock, NL_CB_FINISH, NL_CB_CUSTOM, receive, conn);
	nl_join_groups(conn->sock, CN_IDX_PROC);
	r = nl_connect(conn->sock, NETLINK_CONNECTOR);
	if (r == 0)
		r = nl_socket_set_nonblocking(conn->sock);
	if (r < 0) {
		cb_proc_conn_free(conn);
		return r == -NLE_PERM ? -EPERM : -EOPNOTSUPP;
	}
	(void)nl_socket_set_buffer_size(conn->sock, BUFFER_BYTES, 0);
	r = listen_and_hear(conn, true);
	if (r == -EOPNOTSUPP || r == -EINVAL) {
		conn->answered = false;
		r = listen_and_hear(conn, false);
	}
	if (r < 0) {
		cb_proc_conn_free(conn);
		return r;
	}
	*ret = conn;
	return 0;
}

struct cb_proc_conn *cb_proc_conn_free(struct cb_proc_conn *conn)
{
	if (!conn)
		return NULL;
	/* Older kernels count listeners by these messages, not by sockets. */
	if (conn->answered && conn->answer == 0)
		(void)subscribe(conn, PROC_CN_MCAST_IGNORE, false);
	nl_socket_free(conn->sock);
	free(conn);
	return NULL;
}

int cb_proc_conn_drain(struct cb_proc_conn *conn,
		       void (*fork)(const struct cb_fork *fork, void *userdata), void *userdata)
{
	bool lost = false;
	int r = 0;

	conn->fork = fork;
	conn->userdata = userdata;
	for (unsigned int i = 0; i < DRAINS_MAX; i++) {
		r = nl_recvmsgs_default(conn->sock);
		/* libnl says NOMEM for ENOBUFS; what is queued behind the gap is still there. */
		if (r == -NLE_NOMEM)
			lost = true;
		else if (r < 0)
			break;
	}
	conn->fork = NULL;
	if (r < 0 && r != -NLE_AGAIN && r != -NLE_NOMEM)
		return -EIO;
	return lost || r >= 0 ? -ENOBUFS : 0;
}
