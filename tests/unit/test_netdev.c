/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Packets of queues by generic netlink in bad times, with a kernel that says what it is told: answers that are cut short, come twice, or not
 * at all, a family that is gone. Either all queues are counted, or none and nothing of before stays.
 */
#include <sys/socket.h>

#include "lib/host/collect.h"

static ssize_t fake_sendto(int fd, const void *buf, size_t len, int flags, const void *to,
			   socklen_t to_len);
static ssize_t fake_recv(int fd, void *buf, size_t size);
static void fake_drain(int fd, void *buf, size_t size);
#define sendto		 fake_sendto
#define cb_netlink_recv	 fake_recv
#define cb_netlink_drain fake_drain
#include "lib/host/netlink_netdev.c" /* for its inside */

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define FAMILY 22u
#define SECOND CB_USEC_PER_SEC

/* --- the kernel --- */

static struct {
	int send_errno;	   /* what a request ends with, 0: it is taken */
	ssize_t recv_last; /* what comes after the datagram */
	bool given;
	size_t len; /* of the datagram, 0 none */
	_Alignas(NLMSG_ALIGNTO) char bytes[4096];
	uint32_t seq; /* of the last request */
	unsigned int n_requests, n_drains;
} kernel;

static ssize_t fake_sendto(int fd, const void *buf, size_t len, int flags, const void *to,
			   socklen_t to_len)
{
	struct nlmsghdr header;

	(void)fd;
	(void)flags;
	(void)to;
	(void)to_len;
	memcpy(&header, buf, sizeof(header));
	kernel.seq = header.nlmsg_seq;
	kernel.n_requests++;
	kernel.given = false;
	errno = kernel.send_errno;
	return kernel.send_errno ? -1 : (ssize_t)len;
}

static ssize_t fake_recv(int fd, void *buf, size_t size)
{
	(void)fd;
	if (kernel.given || kernel.len == 0)
		return kernel.recv_last;
	kernel.given = true;
	assert_true(kernel.len <= size);
	memcpy(buf, kernel.bytes, kernel.len);
	/* Numbered as it was asked for. */
	for (size_t at = 0; at + sizeof(struct nlmsghdr) <= kernel.len;) {
		struct nlmsghdr header;

		memcpy(&header, kernel.bytes + at, sizeof(header));
		header.nlmsg_seq += kernel.seq;
		memcpy((char *)buf + at, &header, sizeof(header));
		at += NLMSG_ALIGN(header.nlmsg_len);
	}
	return (ssize_t)kernel.len;
}

static void fake_drain(int fd, void *buf, size_t size)
{
	(void)fd;
	(void)buf;
	(void)size;
	kernel.n_drains++;
}

/* --- what it says --- */

static void put(uint16_t type, int32_t seq_off, const void *payload, size_t len)
{
	struct nlmsghdr header = { .nlmsg_len = (uint32_t)(NLMSG_HDRLEN + len),
				   .nlmsg_type = type,
				   .nlmsg_seq = (uint32_t)seq_off };

	memcpy(kernel.bytes + kernel.len, &header, sizeof(header));
	memcpy(kernel.bytes + kernel.len + NLMSG_HDRLEN, payload, len);
	kernel.len += NLMSG_ALIGN(NLMSG_HDRLEN + len);
}

static void put_stats(uint32_t queue, uint32_t packets)
{
	struct {
		struct genlmsghdr genl;
		struct {
			struct nlattr head;
			uint32_t value;
		} attr[4];
	} message = { .genl = { .cmd = CMD_QSTATS_GET } };
	/* ifindex, type (rx), queue, packets received */
	const uint16_t types[] = { 1, 2, 3, 8 };
	const uint32_t values[] = { 4, 0, queue, packets };

	for (size_t i = 0; i < CB_ARRAY_SIZE(types); i++) {
		message.attr[i].head = (struct nlattr){ .nla_len = 8, .nla_type = types[i] };
		message.attr[i].value = values[i];
	}
	put(FAMILY, 0, &message, sizeof(message));
}

static void put_done(void)
{
	const int none = 0;

	put(NLMSG_DONE, 0, &none, sizeof(none));
}

static void put_error(int error)
{
	const struct nlmsgerr message = { .error = error };

	put(NLMSG_ERROR, 0, &message, sizeof(message));
}

/* Two queues, complete. */
static void says_all(void)
{
	kernel.len = 0;
	put_stats(0, 1000);
	put_stats(1, 2000);
	put_done();
}

/* --- who listens --- */

static struct cb_netdev_conn *conn;
static struct cb_irq_sample irqs[2];
static struct cb_snapshot snapshot;
static uint64_t now_usec;

static int setup(void **state)
{
	(void)state;
	memset(&kernel, 0, sizeof(kernel));
	kernel.recv_last = -EAGAIN;
	conn = calloc(1, sizeof(*conn));
	assert_non_null(conn);
	conn->family = FAMILY;
	conn->fd = -1;
	conn->served = calloc(QUEUES_MAX, sizeof(*conn->served));
	assert_non_null(conn->served);
	add_served(conn, 4, false, 0, 38);
	add_served(conn, 4, false, 1, 39);
	irqs[0] = (struct cb_irq_sample){ .irq = 38 };
	irqs[1] = (struct cb_irq_sample){ .irq = 39 };
	snapshot = (struct cb_snapshot){ .n_irqs = 2, .irq = irqs };
	now_usec = 1000 * SECOND;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	conn = cb_netdev_conn_free(conn);
	return 0;
}

/* At the next turn of statistics. */
static bool collect(void)
{
	now_usec += 5 * SECOND;
	return cb_netdev_conn_collect(conn, now_usec, &snapshot);
}

static void assert_counted(void)
{
	assert_true(collect());
	assert_int_equal(irqs[0].packets, 1000);
	assert_int_equal(irqs[1].packets, 2000);
	assert_true(irqs[0].present & irqs[1].present & CB_IRQ_HAS_PACKETS);
}

static void assert_nothing(void)
{
	assert_false(collect());
	assert_int_equal((irqs[0].present | irqs[1].present) & CB_IRQ_HAS_PACKETS, 0);
	assert_int_equal(irqs[0].packets + irqs[1].packets, 0);
}

/* --- cases --- */

static void what_is_told_twice_counts_once(void **state)
{
	(void)state;
	put_stats(0, 1000);
	put_stats(0, 1000);
	put_stats(1, 2000);
	put_stats(0, 7);
	put_done();
	put_stats(1, 2000); /* behind the end */
	assert_counted();
	assert_counted(); /* and again in the next dump */
}

static void what_is_of_an_earlier_dump_is_not_counted(void **state)
{
	struct nlmsghdr header;

	(void)state;
	put_stats(0, 1);
	put_stats(1, 2);
	for (size_t at = 0; at < kernel.len; at += NLMSG_ALIGN(header.nlmsg_len)) {
		memcpy(&header, kernel.bytes + at, sizeof(header));
		header.nlmsg_seq = UINT32_MAX; /* one less than this one's */
		memcpy(kernel.bytes + at, &header, sizeof(header));
	}
	put_stats(0, 1000);
	put_stats(1, 2000);
	put_done();
	assert_counted();
}

/* Cut at every byte; and the next dump, after what is left of this one was thrown away, is whole. */
static void what_is_cut_short_is_nothing(void **state)
{
	size_t whole;

	(void)state;
	says_all();
	whole = kernel.len;
	for (size_t len = 0; len + NLMSG_ALIGN(NLMSG_HDRLEN + sizeof(int)) <= whole; len++) {
		unsigned int drains = kernel.n_drains;

		says_all();
		kernel.len = len;
		assert_nothing();
		says_all();
		assert_counted();
		assert_int_equal(kernel.n_drains, drains + 1);
	}
}

static void lost_answers_are_nothing(void **state)
{
	(void)state;
	assert_false(collect()); /* no answer at all */
	says_all();
	assert_counted();
	kernel.len = 0;
	put_stats(0, 1000);
	kernel.recv_last = -ENOBUFS;
	assert_nothing();
	kernel.recv_last = -EAGAIN;
	says_all();
	assert_counted();
}

/* Three times, and nobody asks any more until an inventory begins anew. */
static void a_family_that_is_gone_is_given_up(void **state)
{
	struct cb_irqs none = { 0 };
	unsigned int asked;

	(void)state;
	says_all();
	assert_counted();
	kernel.len = 0;
	put_error(-ENOENT);
	for (unsigned int i = 0; i < 3; i++) {
		assert_false(cb_netdev_conn_failed(conn));
		assert_nothing();
	}
	assert_true(cb_netdev_conn_failed(conn));
	asked = kernel.n_requests;
	says_all();
	assert_nothing();
	assert_int_equal(kernel.n_requests, asked);
	cb_netdev_conn_map(conn, &none);
	assert_false(cb_netdev_conn_failed(conn));
	assert_true(kernel.n_requests > asked);
}

static void a_socket_that_is_gone_is_given_up(void **state)
{
	(void)state;
	says_all();
	assert_counted();
	kernel.send_errno = ECONNREFUSED;
	for (unsigned int i = 0; i < 3; i++)
		assert_nothing();
	assert_true(cb_netdev_conn_failed(conn));
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(what_is_told_twice_counts_once),
		CASE(what_is_of_an_earlier_dump_is_not_counted),
		CASE(what_is_cut_short_is_nothing),
		CASE(lost_answers_are_nothing),
		CASE(a_family_that_is_gone_is_given_up),
		CASE(a_socket_that_is_gone_is_given_up),
	};

	return cmocka_run_group_tests_name("netdev", tests, NULL, NULL);
}
