/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The generic netlink family "netdev" (net/core/netdev-genl.c): which interrupt serves which queue of an interface, where the driver
 * says so, and how many packets each queue has moved, where it counts them. Nothing depends on it: without it names decide
 * which queue an interrupt is, and counts of interrupts how they share a CPU's time.
 *
 * Three times in a row without an answer, and the family is given up until the next inventory asks for it again.
 */
#include <errno.h>
#include <linux/genetlink.h>
#include <net/if.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "collect.h"

/* include/uapi/linux/netdev.h */
#define CMD_QUEUE_GET	  10u
#define CMD_NAPI_GET	  11u
#define CMD_QSTATS_GET	  12u
#define ATTR_QSTATS_SCOPE 4u
#define SCOPE_QUEUE	  1u
#define BUF_BYTES	  32768u
#define READS_MAX	  4096u
#define NAPIS_MAX	  4096u
#define QUEUES_MAX	  8192u
/* Drivers count under locks or by reading the device, and shares of a CPU need no more. */
#define EVERY_USEC   (4 * CB_USEC_PER_SEC)
#define FAILURES_MAX 3u
#define GENL_BYTES   ((int)NLMSG_ALIGN(sizeof(struct genlmsghdr)))

struct request {
	struct nlmsghdr header;
	struct genlmsghdr genl;
	struct nlattr attr;
	uint32_t scope;
};

/* One queue and the interrupt that serves it. */
struct served {
	uint32_t ifindex, queue, irq;
	bool tx;
	uint32_t seq; /* of the dump that has told its packets last */
};

struct cb_netdev_conn {
	struct nl_sock *sock;
	int fd;
	uint16_t family;
	uint32_t seq, port;
	uint32_t n_failures;
	uint32_t n_served;
	struct served *served; /* ascending ifindex, tx, queue */
	/* while an inventory is made */
	struct cb_irqs *irqs;
	uint32_t n_napis;
	struct cb_netdev_napi *napi;
	/* while statistics are read */
	struct cb_snapshot *snapshot;
	uint32_t n_counted; /* in the snapshot of the last tick */
	uint64_t next_usec;
	bool works;  /* the last time */
	bool unread; /* a dump has not been read to its end */
	_Alignas(NLMSG_ALIGNTO) char buf[BUF_BYTES];
};

struct cb_netdev_conn *cb_netdev_conn_free(struct cb_netdev_conn *conn)
{
	if (!conn)
		return NULL;
	if (conn->sock)
		nl_socket_free(conn->sock);
	free(conn->served);
	free(conn->napi);
	free(conn);
	return NULL;
}

struct cb_netdev_conn *cb_netdev_conn_new(void)
{
	struct cb_netdev_conn *conn = calloc(1, sizeof(*conn));
	int family;

	if (!conn)
		return NULL;
	conn->sock = nl_socket_alloc();
	if (!conn->sock || genl_connect(conn->sock) < 0)
		return cb_netdev_conn_free(conn);
	family = genl_ctrl_resolve(conn->sock, "netdev");
	if (family < 0 || nl_socket_set_nonblocking(conn->sock) < 0)
		return cb_netdev_conn_free(conn);
	conn->family = (uint16_t)family;
	conn->fd = nl_socket_get_fd(conn->sock);
	conn->port = nl_socket_get_local_port(conn->sock);
	return conn;
}

/* --- dumps --- */

typedef void (*payload_fn)(struct cb_netdev_conn *conn, const void *payload, size_t len);

static int send_request(struct cb_netdev_conn *conn, uint8_t command)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct request request = {
		.header = {
			.nlmsg_len = sizeof(request),
			.nlmsg_type = conn->family,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
			.nlmsg_seq = ++conn->seq,
			.nlmsg_pid = conn->port,
		},
		.genl = { .cmd = command, .version = 1 },
		.attr = { .nla_len = sizeof(request.attr) + sizeof(request.scope), .nla_type = ATTR_QSTATS_SCOPE },
		.scope = SCOPE_QUEUE,
	};
	ssize_t sent;

	/* The scope belongs to statistics alone. */
	if (command != CMD_QSTATS_GET)
		request.header.nlmsg_len = offsetof(struct request, attr);
	do
		sent = sendto(conn->fd, &request, request.header.nlmsg_len, 0, (void *)&kernel,
			      sizeof(kernel));
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

/* As in netlink_diag.c: 1 at the end, 0 to go on, or a negative errno. */
static int take_buffer(struct cb_netdev_conn *conn, int len, payload_fn fn)
{
	struct nlmsghdr *header = (void *)conn->buf;

	for (; nlmsg_ok(header, len); header = nlmsg_next(header, &len)) {
		if (header->nlmsg_seq != conn->seq)
			continue; /* of a dump that was given up */
		if (header->nlmsg_type == NLMSG_DONE)
			return 1;
		if (header->nlmsg_type == NLMSG_ERROR) {
			const struct nlmsgerr *error = nlmsg_data(header);

			return nlmsg_datalen(header) >= (int)sizeof(*error) && error->error < 0 ?
				       error->error :
				       -EBADMSG;
		}
		if (header->nlmsg_type == conn->family && nlmsg_datalen(header) > GENL_BYTES)
			fn(conn, (const char *)nlmsg_data(header) + GENL_BYTES,
			   (size_t)(nlmsg_datalen(header) - GENL_BYTES));
	}
	return 0;
}

/* Dumps arrive as they are read, so reading never has to wait. Returns 0 when it was complete. */
static int dump(struct cb_netdev_conn *conn, uint8_t command, payload_fn fn)
{
	int r;

	if (conn->unread)
		cb_netlink_drain(conn->fd, conn->buf, sizeof(conn->buf));
	conn->unread = true;
	r = send_request(conn, command);
	for (unsigned int i = 0; r == 0 && i < READS_MAX; i++) {
		ssize_t len = cb_netlink_recv(conn->fd, conn->buf, sizeof(conn->buf));

		if (len < 0)
			return (int)len;
		r = take_buffer(conn, (int)len, fn);
	}
	conn->unread = r != 1;
	return r == 1 ? 0 : r < 0 ? r : -E2BIG;
}

/* --- which interrupt serves which queue --- */

static int compare_served(const void *a, const void *b)
{
	const struct served *x = a, *y = b;

	if (x->ifindex != y->ifindex)
		return x->ifindex < y->ifindex ? -1 : 1;
	if (x->tx != y->tx)
		return x->tx ? 1 : -1;
	return (x->queue > y->queue) - (x->queue < y->queue);
}

static void add_served(struct cb_netdev_conn *conn, uint32_t ifindex, bool tx, uint32_t queue,
		       uint32_t irq)
{
	if (conn->n_served < QUEUES_MAX)
		conn->served[conn->n_served++] =
			(struct served){ .ifindex = ifindex, .queue = queue, .irq = irq, .tx = tx };
}

static void take_napi(struct cb_netdev_conn *conn, const void *payload, size_t len)
{
	struct cb_netdev_napi napi;

	if (conn->n_napis < NAPIS_MAX && cb_netdev_napi_parse(payload, len, &napi) == 0 &&
	    napi.has_irq)
		conn->napi[conn->n_napis++] = napi;
}

static void take_queue(struct cb_netdev_conn *conn, const void *payload, size_t len)
{
	struct cb_netdev_queue queue;
	struct cb_irq_info *info;
	uint32_t i = 0;

	if (cb_netdev_queue_parse(payload, len, &queue) < 0 || !queue.has_napi)
		return;
	while (i < conn->n_napis &&
	       (conn->napi[i].ifindex != queue.ifindex || conn->napi[i].id != queue.napi))
		i++;
	if (i == conn->n_napis)
		return;
	/* The inventory is ours and not yet shared. */
	info = (struct cb_irq_info *)cb_irqs_find(conn->irqs, conn->napi[i].irq);
	if (!info)
		return;
	add_served(conn, queue.ifindex, queue.tx, queue.queue, info->irq);
	if (info->class != CB_IRQ_NETWORK || !info->ifname[0]) {
		char name[IF_NAMESIZE];

		info->class = CB_IRQ_NETWORK;
		if (if_indextoname(queue.ifindex, name))
			snprintf(info->ifname, sizeof(info->ifname), "%s", name);
	}
	if (info->queue != (int32_t)queue.queue || info->queue_dir == CB_QUEUE_NONE) {
		info->queue = (int32_t)queue.queue;
		info->queue_dir = queue.tx ? CB_QUEUE_TX : CB_QUEUE_RX;
	} else if (info->queue_dir != (queue.tx ? CB_QUEUE_TX : CB_QUEUE_RX)) {
		info->queue_dir = CB_QUEUE_BOTH;
	}
}

/* By the names of interrupts, for interfaces of which the kernel has said nothing. */
static void serve_by_name(struct cb_netdev_conn *conn)
{
	uint32_t n_told = conn->n_served;

	for (uint32_t i = 0; i < conn->irqs->n; i++) {
		const struct cb_irq_info *info = &conn->irqs->irq[i];
		uint32_t ifindex, j = 0;

		if (info->class != CB_IRQ_NETWORK || info->queue < 0 ||
		    info->queue_dir == CB_QUEUE_NONE)
			continue;
		ifindex = if_nametoindex(info->ifname);
		while (j < n_told && conn->served[j].ifindex != ifindex)
			j++;
		if (ifindex == 0 || j < n_told)
			continue;
		if (info->queue_dir != CB_QUEUE_TX)
			add_served(conn, ifindex, false, (uint32_t)info->queue, info->irq);
		if (info->queue_dir != CB_QUEUE_RX)
			add_served(conn, ifindex, true, (uint32_t)info->queue, info->irq);
	}
}

void cb_netdev_conn_map(struct cb_netdev_conn *conn, struct cb_irqs *irqs)
{
	if (!conn)
		return;
	conn->n_served = conn->n_napis = conn->n_failures = 0;
	conn->works = false;
	conn->next_usec = 0;
	if (!conn->served)
		conn->served = calloc(QUEUES_MAX, sizeof(*conn->served));
	conn->napi = calloc(NAPIS_MAX, sizeof(*conn->napi));
	conn->irqs = irqs;
	/* A kernel that lacks a command answers EOPNOTSUPP: then names are all there is. */
	if (conn->served && conn->napi) {
		if (dump(conn, CMD_NAPI_GET, take_napi) == 0 && conn->n_napis > 0 &&
		    dump(conn, CMD_QUEUE_GET, take_queue) < 0)
			conn->n_served = 0;
		serve_by_name(conn);
		if (conn->n_served > 1)
			qsort(conn->served, conn->n_served, sizeof(*conn->served), compare_served);
	}
	conn->irqs = NULL;
	free(conn->napi);
	conn->napi = NULL;
}

/* --- packets, once per tick --- */

static void add_packets(struct cb_snapshot *snapshot, uint32_t irq, uint64_t packets)
{
	uint32_t low = 0, high = snapshot->n_irqs;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (snapshot->irq[middle].irq < irq)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == snapshot->n_irqs || snapshot->irq[low].irq != irq)
		return;
	snapshot->irq[low].packets += packets;
	snapshot->irq[low].present |= CB_IRQ_HAS_PACKETS;
}

static void take_stats(struct cb_netdev_conn *conn, const void *payload, size_t len)
{
	struct cb_netdev_qstats stats;
	struct served key = { 0 };
	struct served *served;

	if (cb_netdev_qstats_parse(payload, len, &stats) < 0 || !stats.has_packets)
		return;
	key.ifindex = stats.ifindex;
	key.tx = stats.tx;
	key.queue = stats.queue;
	served = bsearch(&key, conn->served, conn->n_served, sizeof(key), compare_served);
	if (!served || served->seq == conn->seq) /* told twice is no more */
		return;
	served->seq = conn->seq;
	add_packets(conn->snapshot, served->irq, stats.packets);
	conn->n_counted++;
}

bool cb_netdev_conn_failed(const struct cb_netdev_conn *conn)
{
	return conn && conn->n_failures == FAILURES_MAX;
}

static void clear(struct cb_snapshot *snapshot)
{
	for (uint32_t i = 0; i < snapshot->n_irqs; i++) {
		snapshot->irq[i].packets = 0;
		snapshot->irq[i].present &= ~CB_IRQ_HAS_PACKETS;
	}
}

bool cb_netdev_conn_collect(struct cb_netdev_conn *conn, uint64_t now_usec,
			    struct cb_snapshot *snapshot)
{
	int r;

	if (!conn)
		return false;
	if (conn->n_counted > 0)
		clear(snapshot);
	conn->n_counted = 0;
	if (conn->n_served == 0 || conn->n_failures == FAILURES_MAX)
		return false;
	if (now_usec < conn->next_usec)
		return conn->works;
	conn->next_usec = now_usec + EVERY_USEC;
	conn->snapshot = snapshot;
	r = dump(conn, CMD_QSTATS_GET, take_stats);
	conn->snapshot = NULL;
	conn->works = r == 0 && conn->n_counted > 0;
	if (conn->works) {
		conn->n_failures = 0;
		return true;
	}
	conn->n_failures++;
	/* A part of the counts is no count. */
	clear(snapshot);
	conn->n_counted = 0;
	return false;
}
