/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Sockets of one network namespace by sock_diag (net/ipv4/inet_diag.c). A netlink
 * socket belongs to the namespace in which it was opened, so a worker's namespace is entered for
 * that moment and left again; its counters come through the same socket from then on. Dumps arrive
 * as they are read, so reading never has to wait. libnl opens the socket; the tick uses the
 * descriptor, because nl_recvmsgs() allocates.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "collect.h"

/*
 * The kernel fills at most this much for one recvmsg() of a dump (net/netlink/af_netlink.c: 32
 * KiB).
 */
#define DUMP_BYTES 32768u
/* Ends a dump that does not end: 16,384 buffers hold some two million listeners. */
#define READS_MAX 16384u
/* include/net/tcp_states.h; not in the headers for programs under a name that does not collide */
#define STATE_ESTABLISHED 1u
#define STATE_CLOSE	  7u /* of UDP: no peer */
#define STATE_LISTEN	  10u

struct request {
	struct nlmsghdr header;
	struct inet_diag_req_v2 diag;
};

struct cb_diag {
	struct nl_sock *sock;
	int fd;
	uint32_t seq;
	enum cb_protocol protocol; /* of the dump that is being read */
	bool unread;		   /* it has not been read to its end */
	_Alignas(NLMSG_ALIGNTO) char buf[DUMP_BYTES];
};

static int connect_here(struct cb_diag *diag)
{
	diag->sock = nl_socket_alloc();
	if (!diag->sock)
		return -ENOMEM;
	if (nl_connect(diag->sock, NETLINK_SOCK_DIAG) < 0)
		return -EPROTONOSUPPORT;
	if (nl_socket_set_nonblocking(diag->sock) < 0)
		return -EIO;
	diag->fd = nl_socket_get_fd(diag->sock);
	return 0;
}

static int connect_there(struct cb_host *host, int pidfd, struct cb_diag *diag)
{
	/*
	 * Not cb_host_openat(): this is a link to a kernel object, which a root forbids; live
	 * machines only.
	 */
	_cleanup_close_ int own = openat(host->root_fd, CB_PATH_OWN_NETNS, O_RDONLY | O_CLOEXEC);
	int r;

	if (own < 0)
		return -errno;
	if (setns(pidfd, CLONE_NEWNET) < 0)
		return -errno;
	r = connect_here(diag);
	if (setns(own, CLONE_NEWNET) < 0)
		abort();
	return r;
}

static void ignore(const struct cb_socket *socket, void *userdata)
{
	(void)socket;
	(void)userdata;
}

int cb_diag_new(struct cb_host *host, int pidfd, struct cb_diag **ret)
{
	struct cb_diag *diag = calloc(1, sizeof(*diag));
	int r;

	if (!diag)
		return -ENOMEM;
	r = pidfd < 0 ? connect_here(diag) : connect_there(host, pidfd, diag);
	if (r == 0)
		r = cb_diag_dump(diag, CB_DIAG_LISTENERS, ignore, NULL);
	if (r < 0) {
		cb_diag_free(diag);
		return r;
	}
	*ret = diag;
	return 0;
}

struct cb_diag *cb_diag_free(struct cb_diag *diag)
{
	if (diag && diag->sock)
		nl_socket_free(diag->sock);
	free(diag);
	return NULL;
}

static unsigned int state_of(enum cb_diag_what what)
{
	switch (what) {
	case CB_DIAG_LISTENERS:
		return STATE_LISTEN;
	case CB_DIAG_CONNECTIONS:
		return STATE_ESTABLISHED;
	case CB_DIAG_DATAGRAMS:
		break;
	}
	return STATE_CLOSE;
}

static int send_request(struct cb_diag *diag, uint8_t family, enum cb_diag_what what)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct request request = {
		.header = {
			.nlmsg_len = sizeof(request),
			.nlmsg_type = SOCK_DIAG_BY_FAMILY,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
			.nlmsg_seq = ++diag->seq,
		},
		.diag = {
			.sdiag_family = family,
			.sdiag_protocol = what == CB_DIAG_DATAGRAMS ? IPPROTO_UDP : IPPROTO_TCP,
			.idiag_ext = what == CB_DIAG_CONNECTIONS ?
					     0 :
					     1 << (INET_DIAG_SKMEMINFO - 1), /* drops */
			.idiag_states = 1u << state_of(what),
		},
	};
	ssize_t sent;

	do
		sent = sendto(diag->fd, &request, sizeof(request), 0, (void *)&kernel,
			      sizeof(kernel));
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

/* All messages of one buffer. Returns 1 at the end of the dump, 0 to go on, or a negative errno. */
static int take_buffer(struct cb_diag *diag, int len, cb_diag_fn fn, void *userdata)
{
	struct nlmsghdr *header = (void *)diag->buf;

	for (; nlmsg_ok(header, len); header = nlmsg_next(header, &len)) {
		struct cb_socket socket;

		if (header->nlmsg_seq != diag->seq)
			continue; /* of a dump that was given up */
		if (header->nlmsg_type == NLMSG_DONE)
			return 1;
		if (header->nlmsg_type == NLMSG_ERROR) {
			const struct nlmsgerr *error = nlmsg_data(header);

			return nlmsg_datalen(header) >= (int)sizeof(*error) && error->error < 0 ?
				       error->error :
				       -EBADMSG;
		}
		if (header->nlmsg_type == SOCK_DIAG_BY_FAMILY &&
		    cb_socket_parse(nlmsg_data(header), (size_t)nlmsg_datalen(header),
				    diag->protocol, &socket) == 0)
			fn(&socket, userdata);
	}
	return 0;
}

static int dump_family(struct cb_diag *diag, uint8_t family, enum cb_diag_what what, cb_diag_fn fn,
		       void *userdata)
{
	int r;

	if (diag->unread)
		cb_netlink_drain(diag->fd, diag->buf, sizeof(diag->buf));
	diag->unread = true;
	r = send_request(diag, family, what);
	for (unsigned int i = 0; r == 0 && i < READS_MAX; i++) {
		ssize_t len = cb_netlink_recv(diag->fd, diag->buf, sizeof(diag->buf));

		if (len < 0)
			return (int)len;
		r = take_buffer(diag, (int)len, fn, userdata);
	}
	diag->unread = r != 1;
	return r == 1 ? 0 : r < 0 ? r : -E2BIG;
}

int cb_diag_dump(struct cb_diag *diag, enum cb_diag_what what, cb_diag_fn fn, void *userdata)
{
	int r, r6;

	diag->protocol = what == CB_DIAG_DATAGRAMS ? CB_PROTOCOL_UDP : CB_PROTOCOL_TCP;
	r = dump_family(diag, AF_INET, what, fn, userdata);
	r6 = r < 0 ? r : dump_family(diag, AF_INET6, what, fn, userdata);
	/* A kernel without IPv6 has no such sockets. */
	return r6 == -ENOENT || r6 == -EINVAL || r6 == -EAFNOSUPPORT ? r : r6;
}
