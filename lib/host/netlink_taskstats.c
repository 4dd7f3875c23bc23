/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * taskstats by process over generic netlink: one request sums all threads, those that have exited
 * too (kernel/taskstats.c fill_stats_for_tgid()). The kernel answers inside sendmsg(), so that a
 * batch of requests is one sendmsg() and its answers one recvmmsg(), and nothing ever has to be
 * waited for: what is not there after the send is lost. libnl connects the socket and finds the
 * family; the tick uses the descriptor itself, because nl_recvmsgs() allocates.
 */
#include <errno.h>
#include <linux/genetlink.h>
#include <linux/taskstats.h>
#include <netlink/attr.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "collect.h"

/* An answer of Linux 6.18 has 588 bytes, and the struct only grows. */
#define ANSWER_BYTES 2048u
/*
 * Answers wait in the socket until recvmmsg(): room for a batch, by what the kernel counts for one
 * (the skb's true size).
 */
#define RECEIVE_BYTES (256 * 1024)

#define GENL_BYTES ((int)GENL_HDRLEN)
#define ATTR_BYTES (sizeof(struct nlattr) + sizeof(uint32_t))

struct request {
	struct nlmsghdr header;
	struct genlmsghdr genl;
	struct nlattr attr;
	uint32_t pid;
};
_Static_assert(sizeof(struct request) ==
		       sizeof(struct nlmsghdr) + sizeof(struct genlmsghdr) + ATTR_BYTES,
	       "no padding");

struct cb_taskstats_conn {
	struct nl_sock *sock;
	int fd;
	uint16_t family;
	uint32_t port;
	uint32_t seq; /* of the first request of the batch */
	struct request request[CB_TASKSTATS_BATCH];
	struct sockaddr_nl from[CB_TASKSTATS_BATCH];
	struct mmsghdr message[CB_TASKSTATS_BATCH];
	struct iovec iov[CB_TASKSTATS_BATCH];
	_Alignas(NLMSG_ALIGNTO) char answer[CB_TASKSTATS_BATCH][ANSWER_BYTES];
};

static int connect_family(struct cb_taskstats_conn *conn)
{
	int r;

	conn->sock = nl_socket_alloc();
	if (!conn->sock)
		return -ENOMEM;
	if (genl_connect(conn->sock) < 0)
		return -EIO;
	r = genl_ctrl_resolve(conn->sock, TASKSTATS_GENL_NAME);
	if (r < 0)
		return -ENOENT;
	conn->family = (uint16_t)r;
	(void)nl_socket_set_buffer_size(conn->sock, RECEIVE_BYTES, 0);
	if (nl_socket_set_nonblocking(conn->sock) < 0)
		return -EIO;
	conn->fd = nl_socket_get_fd(conn->sock);
	conn->port = nl_socket_get_local_port(conn->sock);
	return 0;
}

static void prepare_batch(struct cb_taskstats_conn *conn)
{
	for (size_t i = 0; i < CB_TASKSTATS_BATCH; i++) {
		conn->request[i] = (struct request){
			.header = {
				.nlmsg_len = sizeof(struct request),
				.nlmsg_type = conn->family,
				.nlmsg_flags = NLM_F_REQUEST,
				.nlmsg_pid = conn->port,
			},
			.genl = {
				.cmd = TASKSTATS_CMD_GET,
				.version = TASKSTATS_GENL_VERSION,
			},
			.attr = {
				.nla_len = ATTR_BYTES,
			},
		};
		conn->iov[i] = (struct iovec){
			.iov_base = conn->answer[i],
			.iov_len = ANSWER_BYTES,
		};
		conn->message[i].msg_hdr = (struct msghdr){
			.msg_name = &conn->from[i],
			.msg_namelen = sizeof(conn->from[i]),
			.msg_iov = &conn->iov[i],
			.msg_iovlen = 1,
		};
	}
}

struct cb_taskstats_conn *cb_taskstats_conn_new(void)
{
	struct cb_taskstats_conn *conn = calloc(1, sizeof(*conn));
	struct cb_taskstats_answer self = { .pid = getpid() };

	if (!conn)
		return NULL;
	if (connect_family(conn) < 0)
		return cb_taskstats_conn_free(conn);
	prepare_batch(conn);
	/* To ask takes a privilege that to connect does not. */
	cb_taskstats_conn_get(conn, &self, 1);
	return self.r == 0 ? conn : cb_taskstats_conn_free(conn);
}

struct cb_taskstats_conn *cb_taskstats_conn_free(struct cb_taskstats_conn *conn)
{
	if (conn && conn->sock)
		nl_socket_free(conn->sock);
	free(conn);
	return NULL;
}

static int send_batch(struct cb_taskstats_conn *conn, const struct cb_taskstats_answer *answers,
		      size_t n)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct iovec iov = { .iov_base = conn->request, .iov_len = n * sizeof(conn->request[0]) };
	struct msghdr message = {
		.msg_name = &kernel,
		.msg_namelen = sizeof(kernel),
		.msg_iov = &iov,
		.msg_iovlen = 1,
	};
	ssize_t sent;

	conn->seq += CB_TASKSTATS_BATCH;
	for (size_t i = 0; i < n; i++) {
		conn->request[i].header.nlmsg_seq = conn->seq + (uint32_t)i;
		conn->request[i].attr.nla_type = answers[i].thread ? TASKSTATS_CMD_ATTR_PID :
								     TASKSTATS_CMD_ATTR_TGID;
		conn->request[i].pid = (uint32_t)answers[i].pid;
	}
	do
		sent = sendmsg(conn->fd, &message, 0);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

/* One message; what is not an answer to this batch is passed over. Returns 1 when it was one. */
static unsigned int take_message(struct cb_taskstats_conn *conn, struct nlmsghdr *header,
				 struct cb_taskstats_answer *answers, size_t n)
{
	uint32_t index = header->nlmsg_seq - conn->seq;

	if (index >= n || answers[index].r != -EAGAIN)
		return 0;
	if (header->nlmsg_type == NLMSG_ERROR) {
		const struct nlmsgerr *error = nlmsg_data(header);

		answers[index].r = nlmsg_datalen(header) >= (int)sizeof(*error) && error->error ?
					   error->error :
					   -EBADMSG;
		return 1;
	}
	if (header->nlmsg_type != conn->family || nlmsg_datalen(header) < GENL_BYTES) {
		answers[index].r = -EBADMSG;
		return 1;
	}
	answers[index].r = cb_taskstats_parse((const char *)nlmsg_data(header) + GENL_BYTES,
					      (size_t)(nlmsg_datalen(header) - GENL_BYTES),
					      &answers[index].stats);
	return 1;
}

void cb_taskstats_conn_get(struct cb_taskstats_conn *conn, struct cb_taskstats_answer *answers,
			   size_t n)
{
	size_t n_taken = 0;
	int r = send_batch(conn, answers, n);

	for (size_t i = 0; i < n; i++)
		answers[i].r = r < 0 ? r : -EAGAIN;
	/*
	 * Leftovers of an earlier batch may come first; there is an end to them, for the socket
	 * holds only so many.
	 */
	for (unsigned int round = 0; r == 0 && n_taken < n && round < 16; round++) {
		int got = recvmmsg(conn->fd, conn->message, (unsigned int)CB_TASKSTATS_BATCH,
				   MSG_DONTWAIT, NULL);

		/* ENOBUFS says that answers were lost; others may be there. */
		if (got < 0 && (errno == EINTR || errno == ENOBUFS))
			continue;
		if (got <= 0)
			break;
		for (int i = 0; i < got; i++) {
			struct nlmsghdr *header = (void *)conn->answer[i];
			int len = (int)conn->message[i].msg_len;

			/* of a stranger, or cut short */
			if (conn->from[i].nl_pid != 0 ||
			    conn->message[i].msg_hdr.msg_flags & MSG_TRUNC)
				continue;
			for (; nlmsg_ok(header, len); header = nlmsg_next(header, &len))
				n_taken += take_message(conn, header, answers, n);
		}
	}
}
