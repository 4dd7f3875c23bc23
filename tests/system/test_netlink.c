/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Netlink as it is in bad times: strangers that send to our sockets, more news than fit, a family that is gone. In a network
 * namespace of its own. What takes datagrams apart is tried here too, message by message.
 */
#include "lib/host/netlink_diag.c" /* for its inside */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static unsigned int n_seen;

static void count(const struct cb_socket *socket, void *userdata)
{
	(void)userdata;
	n_seen += socket->listens;
}

static bool alone; /* in a network namespace of our own */

static int setup(void **state)
{
	(void)state;
	alone = geteuid() == 0 && unshare(CLONE_NEWNET) == 0;
	return 0;
}

#define NEEDS_NAMESPACE()                                                        \
	do {                                                                     \
		if (!alone) {                                                    \
			printf("skip: no network namespace can be made here\n"); \
			skip();                                                  \
		}                                                                \
	} while (0)

static int listen_somewhere(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(listen(fd, 3), 0);
	return fd;
}

/* --- one datagram --- */

struct datagram {
	size_t len;
	_Alignas(NLMSG_ALIGNTO) char bytes[4096];
};

static void put(struct datagram *d, uint16_t type, uint32_t seq, const void *payload, size_t len)
{
	struct nlmsghdr header = { .nlmsg_len = (uint32_t)(NLMSG_HDRLEN + len),
				   .nlmsg_type = type,
				   .nlmsg_seq = seq };

	memcpy(d->bytes + d->len, &header, sizeof(header));
	memcpy(d->bytes + d->len + NLMSG_HDRLEN, payload, len);
	d->len += NLMSG_ALIGN(NLMSG_HDRLEN + len);
}

static int take(struct cb_diag *diag, const struct datagram *d, size_t len)
{
	n_seen = 0;
	memcpy(diag->buf, d->bytes, len);
	return take_buffer(diag, (int)len, count, NULL);
}

static void datagrams_of_any_kind(void **state)
{
	const struct inet_diag_msg socket = { .idiag_family = AF_INET,
					      .idiag_state = STATE_LISTEN };
	const struct nlmsgerr error = { .error = -ENOENT }, none = { .error = 0 };
	struct cb_diag *diag = calloc(1, sizeof(*diag));
	struct datagram d = { 0 };

	(void)state;
	assert_non_null(diag);
	diag->seq = 7;
	put(&d, SOCK_DIAG_BY_FAMILY, 7, &socket, sizeof(socket));
	put(&d, SOCK_DIAG_BY_FAMILY, 7, &socket, sizeof(socket)); /* twice is twice */
	put(&d, SOCK_DIAG_BY_FAMILY, 6, &socket, sizeof(socket)); /* of an earlier dump */
	put(&d, SOCK_DIAG_BY_FAMILY, 7, &socket, 10);		  /* cut short */
	put(&d, NLMSG_DONE, 7, &error, sizeof(int));
	put(&d, SOCK_DIAG_BY_FAMILY, 7, &socket, sizeof(socket)); /* behind the end */
	assert_int_equal(take(diag, &d, d.len), 1);
	assert_int_equal(n_seen, 2);
	/* Whatever is missing at the end: no message is taken that is not whole, and the dump goes on. */
	for (size_t len = 0; len < 2 * NLMSG_ALIGN(NLMSG_HDRLEN + sizeof(socket)); len++) {
		assert_int_equal(take(diag, &d, len), 0);
		assert_true(n_seen <= len / NLMSG_ALIGN(NLMSG_HDRLEN + sizeof(socket)));
	}
	d.len = 0;
	put(&d, NLMSG_ERROR, 7, &error, sizeof(error));
	assert_int_equal(take(diag, &d, d.len), -ENOENT);
	d.len = 0;
	put(&d, NLMSG_ERROR, 7, &none, sizeof(none));
	assert_int_equal(take(diag, &d, d.len), -EBADMSG);
	d.len = 0;
	put(&d, NLMSG_ERROR, 7, &error, 2);
	assert_int_equal(take(diag, &d, d.len), -EBADMSG);
	/* Lengths that lie. */
	for (uint32_t lie = 0; lie < 40; lie++) {
		d.len = 0;
		put(&d, SOCK_DIAG_BY_FAMILY, 7, &socket, sizeof(socket));
		memcpy(d.bytes, lie < 20 ? &lie : &(uint32_t){ UINT32_MAX - lie }, sizeof(lie));
		assert_true(take(diag, &d, d.len) <= 0);
	}
	free(diag);
}

/* --- real sockets --- */

/* A stranger that knows our port and number answers before the kernel does. */
static void strangers_are_not_believed(void **state)
{
	const struct inet_diag_msg socket_msg = { .idiag_family = AF_INET,
						  .idiag_state = STATE_LISTEN };
	struct sockaddr_nl to = { .nl_family = AF_NETLINK };
	struct cb_host *host;
	struct cb_diag *diag;
	struct datagram d = { 0 };
	int stranger, listener;

	(void)state;
	NEEDS_NAMESPACE();
	assert_int_equal(cb_host_open(&(struct cb_host_options){ 0 }, &host, NULL), 0);
	listener = listen_somewhere();
	assert_int_equal(cb_diag_new(host, -1, &diag), 0);
	to.nl_pid = nl_socket_get_local_port(diag->sock);
	stranger = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	assert_true(stranger >= 0);
	for (uint32_t i = 1; i <= 4; i++)
		put(&d, SOCK_DIAG_BY_FAMILY, diag->seq + i, &socket_msg, sizeof(socket_msg));
	put(&d, NLMSG_DONE, diag->seq + 1, &to, sizeof(int));
	/* Where the kernel does not let it send, there is nothing to be afraid of. */
	(void)!sendto(stranger, d.bytes, d.len, 0, (void *)&to, sizeof(to));
	n_seen = 0;
	assert_int_equal(cb_diag_dump(diag, CB_DIAG_LISTENERS, count, NULL), 0);
	assert_int_equal(n_seen, 1);
	close(stranger);
	close(listener);
	cb_diag_free(diag);
	cb_host_close(host);
}

/* Every dump is whole or says that it is not, and before long one is whole. */
static void assert_recovers(struct cb_diag *diag)
{
	int r = -1;

	for (unsigned int i = 0; r < 0 && i < 5; i++) {
		n_seen = 0;
		r = cb_diag_dump(diag, CB_DIAG_LISTENERS, count, NULL);
	}
	assert_int_equal(r, 0);
	assert_int_equal(n_seen, 1);
}

static void lost_answers(void **state)
{
	struct cb_host *host;
	struct cb_diag *diag;
	int listener, size = 1;

	(void)state;
	NEEDS_NAMESPACE();
	assert_int_equal(cb_host_open(&(struct cb_host_options){ 0 }, &host, NULL), 0);
	listener = listen_somewhere();
	assert_int_equal(cb_diag_new(host, -1, &diag), 0);
	/* Requests whose answers nobody reads, so that they are in the way, or more than there is room for. */
	for (unsigned int n = 1; n <= 64; n *= 4) {
		for (unsigned int i = 0; i < n; i++)
			(void)!send_request(diag, AF_INET, CB_DIAG_LISTENERS);
		assert_recovers(diag);
	}
	(void)setsockopt(diag->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	for (unsigned int i = 0; i < 64; i++)
		(void)!send_request(diag, AF_INET, CB_DIAG_LISTENERS);
	assert_recovers(diag);
	close(listener);
	cb_diag_free(diag);
	cb_host_close(host);
}

static void a_host_without_netdev_queues(void **state)
{
	struct cb_snapshot snapshot = { 0 };
	struct cb_netdev_conn *conn = cb_netdev_conn_new();
	struct cb_irqs irqs = { 0 };

	(void)state;
	NEEDS_NAMESPACE();
	/* No interface with queues here: nothing is counted, and nothing has failed. */
	cb_netdev_conn_map(conn, &irqs);
	for (unsigned int i = 0; i < 5; i++)
		assert_false(
			cb_netdev_conn_collect(conn, UINT64_C(1000000000) * (i + 1), &snapshot));
	assert_false(cb_netdev_conn_failed(conn));
	cb_netdev_conn_free(conn);
	cb_netdev_conn_map(NULL, &irqs);
	assert_false(cb_netdev_conn_collect(NULL, 1, &snapshot));
	assert_false(cb_netdev_conn_failed(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(datagrams_of_any_kind),
		cmocka_unit_test(strangers_are_not_believed),
		cmocka_unit_test(lost_answers),
		cmocka_unit_test(a_host_without_netdev_queues),
	};

	return cmocka_run_group_tests_name("netlink", tests, setup, NULL);
}
