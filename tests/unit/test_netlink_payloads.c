/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The payloads of taskstats and sock_diag answers, of kernels older and newer than the headers at hand. */
#include "sources_test.h"

#include <arpa/inet.h>
#include <errno.h>

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/taskstats.h>

struct message {
	size_t len;
	_Alignas(8) char bytes[2048];
};

static void put_raw(struct message *m, const void *data, size_t len)
{
	assert_true(m->len + NLMSG_ALIGN(len) <= sizeof(m->bytes));
	memcpy(m->bytes + m->len, data, len);
	m->len += NLMSG_ALIGN(len);
}

static void put_attr(struct message *m, unsigned int type, const void *data, size_t len)
{
	struct nlattr head = { .nla_len = (uint16_t)(sizeof(head) + len),
			       .nla_type = (uint16_t)type };

	put_raw(m, &head, sizeof(head));
	put_raw(m, data, len);
}

/* The answer for one thread group: the structure of @len bytes. */
static struct message taskstats_message(unsigned int aggregate, const void *stats, size_t len)
{
	struct message inner = { 0 }, outer = { 0 };

	put_attr(&inner, TASKSTATS_TYPE_TGID, &(uint32_t){ 4711 }, sizeof(uint32_t));
	put_attr(&inner, TASKSTATS_TYPE_NULL, "", 0);
	put_attr(&inner, TASKSTATS_TYPE_STATS, stats, len);
	put_attr(&outer, aggregate, inner.bytes, inner.len);
	return outer;
}

static int parse_taskstats(const struct message *m, size_t len, struct cb_taskstats *ret)
{
	AUTO_TEXT text = text_of(m->bytes, len);

	return cb_taskstats_parse(text.buf, text.len, ret);
}

static void put64(char *stats, size_t offset, uint64_t value)
{
	memcpy(stats + offset, &value, sizeof(value));
}

static void check_taskstats(const struct message *m)
{
	struct cb_taskstats got;

	assert_int_equal(parse_taskstats(m, m->len, &got), 0);
	assert_int_equal(got.cpu_nsec, 4447724);
	assert_int_equal(got.wait_nsec, 88);
	assert_int_equal(got.vol_switches, 1775);
	assert_int_equal(got.invol_switches, 9);
	assert_string_equal(got.comm, "irqbalance");
}

static void taskstats_versions(void **state)
{
	static const struct {
		uint16_t version;
		size_t len, moved;
	} versions[] = {
		{ 8, 328, 0 },			 /* ends before the fields that version 9 added */
		{ 14, 432, 0 }, { 15, 560, 48 }, /* the one that moved its fields */
		{ 16, 560, 0 }, { 99, 1024, 0 },
	};

	(void)state;
	for (size_t i = 0; i < CB_ARRAY_SIZE(versions); i++) {
		char stats[1024];
		struct message m;

		memset(stats, 0x55, sizeof(stats));
		memcpy(stats, &versions[i].version, sizeof(versions[i].version));
		put64(stats, offsetof(struct taskstats, cpu_delay_total), 88);
		put64(stats, offsetof(struct taskstats, cpu_run_virtual_total) + versions[i].moved,
		      4447724);
		put64(stats, offsetof(struct taskstats, nvcsw) + versions[i].moved, 1775);
		put64(stats, offsetof(struct taskstats, nivcsw) + versions[i].moved, 9);
		memcpy(stats + offsetof(struct taskstats, ac_comm) + versions[i].moved,
		       "irqbalance", sizeof("irqbalance"));
		m = taskstats_message(TASKSTATS_TYPE_AGGR_TGID, stats, versions[i].len);
		check_taskstats(&m);
		m = taskstats_message(TASKSTATS_TYPE_AGGR_PID, stats, versions[i].len);
		check_taskstats(&m);
	}
}

static void taskstats_damaged(void **state)
{
	char stats[560] = { 16 };
	struct message m = taskstats_message(TASKSTATS_TYPE_AGGR_TGID, stats, sizeof(stats));
	struct cb_taskstats got = { .cpu_nsec = 5 };

	(void)state;
	for (size_t len = 0; len < m.len; len++)
		assert_int_equal(parse_taskstats(&m, len, &got), -EBADMSG);
	for (size_t len = 0; len < offsetof(struct taskstats, nivcsw) + 8; len++) {
		m = taskstats_message(TASKSTATS_TYPE_AGGR_TGID, stats, len);
		assert_int_equal(parse_taskstats(&m, m.len, &got), -EBADMSG);
	}
	stats[0] = 15; /* long enough, were it not for the fields that moved */
	m = taskstats_message(TASKSTATS_TYPE_AGGR_TGID, stats,
			      offsetof(struct taskstats, nivcsw) + 8);
	assert_int_equal(parse_taskstats(&m, m.len, &got), -EBADMSG);
	m = taskstats_message(TASKSTATS_TYPE_STATS, stats, sizeof(stats));
	assert_int_equal(parse_taskstats(&m, m.len, &got), -EBADMSG);
	assert_int_equal(got.cpu_nsec, 5);
}

static struct message listener_message(uint8_t socket_state, const uint32_t *meminfo,
				       size_t n_meminfo)
{
	struct inet_diag_msg msg = {
		.idiag_family = 2,
		.idiag_state = socket_state,
		.idiag_rqueue = 6,
		.idiag_wqueue = 511,
		.idiag_inode = 123456,
	};
	struct message m = { 0 };

	put_raw(&m, &msg, sizeof(msg));
	put_attr(&m, INET_DIAG_SHUTDOWN, "", 1);
	if (meminfo)
		put_attr(&m, INET_DIAG_SKMEMINFO, meminfo, n_meminfo * sizeof(*meminfo));
	put_attr(&m, INET_DIAG_MAX + 20, "later", 5);
	return m;
}

static int parse_listener(const struct message *m, size_t len, struct cb_listener *ret)
{
	AUTO_TEXT text = text_of(m->bytes, len);

	return cb_sockdiag_parse(text.buf, text.len, ret);
}

static void listener(void **state)
{
	const uint32_t meminfo[SK_MEMINFO_VARS + 2] = {
		[SK_MEMINFO_BACKLOG] = 99, [SK_MEMINFO_DROPS] = 4
	};
	struct message m = listener_message(10, meminfo, SK_MEMINFO_VARS);
	struct cb_listener got;

	(void)state;
	assert_int_equal(parse_listener(&m, m.len, &got), 0);
	assert_int_equal(got.inode, 123456);
	assert_int_equal(got.backlog, 6);
	assert_int_equal(got.backlog_max, 511);
	assert_true(got.has_drops);
	assert_int_equal(got.drops, 4);
	m = listener_message(10, meminfo,
			     CB_ARRAY_SIZE(meminfo)); /* a longer one of a later kernel */
	assert_int_equal(parse_listener(&m, m.len, &got), 0);
	assert_int_equal(got.drops, 4);
	m = listener_message(10, meminfo, SK_MEMINFO_DROPS); /* an old kernel's */
	assert_int_equal(parse_listener(&m, m.len, &got), 0);
	assert_false(got.has_drops);
	m = listener_message(10, NULL, 0);
	assert_int_equal(parse_listener(&m, m.len, &got), 0);
	assert_false(got.has_drops);
	assert_int_equal(parse_listener(&m, sizeof(struct inet_diag_msg), &got), 0);
	assert_int_equal(got.backlog, 6);
	got.inode = 5;
	for (size_t len = 0; len < sizeof(struct inet_diag_msg); len++)
		assert_int_equal(parse_listener(&m, len, &got), -EBADMSG);
	m = listener_message(1, meminfo, SK_MEMINFO_VARS); /* established */
	assert_int_equal(parse_listener(&m, m.len, &got), -EBADMSG);
	assert_int_equal(got.inode, 5);
}

/* Of UDP the queues are bytes, and what they are compared with is the receive buffer. */
static void datagrams(void **state)
{
	const uint32_t meminfo[SK_MEMINFO_VARS] = { [SK_MEMINFO_RCVBUF] = 212992,
						    [SK_MEMINFO_DROPS] = 7 };
	struct message m = listener_message(7, meminfo, SK_MEMINFO_VARS);
	struct cb_socket got;

	(void)state;
	assert_int_equal(cb_socket_parse(m.bytes, m.len, CB_PROTOCOL_UDP, &got), 0);
	assert_true(got.queue.datagrams);
	assert_int_equal(got.queue.backlog, 6);
	assert_int_equal(got.queue.backlog_max, 212992);
	assert_int_equal(got.queue.drops, 7);
	m = listener_message(7, meminfo, SK_MEMINFO_RCVBUF); /* it does not say */
	assert_int_equal(cb_socket_parse(m.bytes, m.len, CB_PROTOCOL_UDP, &got), 0);
	assert_int_equal(got.queue.backlog_max, 0);
	m = listener_message(10, meminfo, SK_MEMINFO_VARS);
	assert_int_equal(cb_socket_parse(m.bytes, m.len, CB_PROTOCOL_TCP, &got), 0);
	assert_false(got.queue.datagrams);
	assert_int_equal(got.queue.backlog_max, 511);
}

static void addresses(void **state)
{
	struct inet_diag_msg msg = { .idiag_family = 10, .idiag_state = 7, .idiag_inode = 9 };
	struct message m = { 0 };
	struct cb_socket got;

	(void)state;
	msg.id.idiag_sport = htons(53);
	msg.id.idiag_if = 3;
	((uint8_t *)msg.id.idiag_src)[15] = 1;
	put_raw(&m, &msg, sizeof(msg));
	assert_int_equal(cb_socket_parse(m.bytes, m.len, CB_PROTOCOL_UDP, &got), 0);
	assert_int_equal(got.local.protocol, CB_PROTOCOL_UDP);
	assert_int_equal(got.local.family, CB_ADDRESS_V6);
	assert_int_equal(got.local.port, 53);
	assert_int_equal(got.local.address[15], 1);
	assert_int_equal(got.interface, 3);
	assert_false(got.listens);
	msg.idiag_family = 2;
	m.len = 0;
	put_raw(&m, &msg, sizeof(msg));
	assert_int_equal(cb_socket_parse(m.bytes, m.len, CB_PROTOCOL_TCP, &got), 0);
	assert_int_equal(got.local.family, CB_ADDRESS_V4);
	assert_int_equal(got.local.address[15], 0); /* what is behind an IPv4 address is nothing */
	msg.idiag_family = 1;
	m.len = 0;
	put_raw(&m, &msg, sizeof(msg));
	assert_int_equal(cb_socket_parse(m.bytes, m.len, CB_PROTOCOL_TCP, &got), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(taskstats_versions),
		cmocka_unit_test(taskstats_damaged),
		cmocka_unit_test(listener),
		cmocka_unit_test(datagrams),
		cmocka_unit_test(addresses),
	};

	return cmocka_run_group_tests_name("netlink payloads", tests, NULL, NULL);
}
