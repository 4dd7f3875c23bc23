/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What belongs to a group as a whole: the packets of its workers' network namespaces and its
 * listening sockets. Namespaces are shared, between workers and between groups, so each is read
 * once. Their descriptors hold them: they go on working when the worker they were opened through
 * has ended, and are closed with the last one that was in there.
 *
 * A listening socket is the group's when one of its workers has it open. That is found by reading
 * the links of the worker's descriptors when it is registered, again whenever the set of listening
 * sockets of its namespace has changed, and now and then for sockets that were handed over. Inodes
 * of sockets are unique on the machine. Who of those that have it open waits for clients there is looked up when
 * a worker's sockets have changed: a queue that one worker alone serves is that worker's too.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "serving.h"

/*
 * Descriptors of a worker whose links are read: servers open their listeners first, so these have
 * low numbers.
 */
#define LINKS_FIRST_MAX 4096u
#define LINKS_TICK_MAX	1024u
/* How often one more worker has its sockets looked up though nothing seems to have changed. */
#define ROTATE_USEC (10 * CB_USEC_PER_SEC)
#define SOCKET_LINK "socket:["
/* Looks at a worker that seems to serve nothing: servers take over a socket a moment after they have opened it. */
#define LOOKS_MAX 3u

struct cb_netns {
	struct cb_netns *next;
	dev_t dev;
	ino_t ino;
	uint32_t n_watches;
	uint64_t groups; /* bit per index of a group with a worker here */
	int snmp_fd;
	bool has_packets; /* packets is of an earlier read */
	uint64_t packets;
	bool read; /* in this tick */
	struct cb_diag *diag;
	bool dumped;	   /* listener[] is of this tick and complete */
	bool datagrams;	   /* with the UDP sockets that groups name */
	uint64_t set_hash; /* of the inodes, whatever their order */
	uint32_t n, cap;
	struct cb_listener *listener;
};
_Static_assert(CB_GROUPS_MAX <= 64, "groups are bits of an uint64_t");

uint32_t cb_group_index(const struct cb_watch_table *table, uint32_t key)
{
	for (uint32_t i = 0; i < table->n_groups; i++)
		if (table->group[i].key == key)
			return i;
	return table->n_groups;
}

/* --- namespaces --- */

/* Where the identity cannot be read (a captured tree), each group has one namespace of its own. */
static void identify(struct cb_host *host, const struct cb_watch *watch, dev_t *ret_dev,
		     ino_t *ret_ino)
{
	_cleanup_close_ int fd = -1;
	char path[CB_PATH_PID_MAX];
	struct stat st;

	*ret_dev = 0;
	*ret_ino = watch->group_key;
	if (!host->live)
		return;
	snprintf(path, sizeof(path), CB_FMT_PID_NS_DIR, watch->pid);
	fd = cb_host_openat(host, path, O_PATH | O_DIRECTORY);
	if (fd >= 0 && fstatat(fd, "net", &st, 0) == 0) {
		*ret_dev = st.st_dev;
		*ret_ino = st.st_ino;
	}
}

static bool is_own(struct cb_host *host, const struct cb_netns *netns)
{
	struct stat st;

	/* A link to a kernel object, which only a plain call follows; live machines only. */
	return host->live && fstatat(host->root_fd, CB_PATH_OWN_NETNS, &st, 0) == 0 &&
	       st.st_dev == netns->dev && st.st_ino == netns->ino;
}

static void open_snmp(struct cb_host *host, struct cb_netns *netns, int32_t pid)
{
	char path[CB_PATH_PID_MAX];

	snprintf(path, sizeof(path), CB_FMT_PID_SNMP, pid);
	netns->snmp_fd = cb_host_openat(host, path, O_RDONLY);
}

static struct cb_netns *netns_new(struct cb_host *host, const struct cb_watch *watch, dev_t dev,
				  ino_t ino)
{
	struct cb_netns *netns = calloc(1, sizeof(*netns));
	bool own;

	if (!netns)
		return NULL;
	netns->dev = dev;
	netns->ino = ino;
	open_snmp(host, netns, watch->pid);
	own = is_own(host, netns);
	if (host->netlink && (own || watch->pidfd >= 0) &&
	    cb_diag_new(host, own ? -1 : watch->pidfd, &netns->diag) < 0)
		netns->diag = NULL;
	return netns;
}

static void netns_free(struct cb_netns *netns)
{
	cb_closep(&netns->snmp_fd);
	cb_diag_free(netns->diag);
	free(netns->listener);
	free(netns);
}

int cb_netns_join(struct cb_host *host, struct cb_watch *watch)
{
	struct cb_watch_table *table = host->watch;
	struct cb_netns *netns;
	dev_t dev;
	ino_t ino;

	identify(host, watch, &dev, &ino);
	for (netns = table->netns; netns; netns = netns->next)
		if (netns->dev == dev && netns->ino == ino)
			break;
	if (!netns) {
		netns = netns_new(host, watch, dev, ino);
		if (!netns)
			return -ENOMEM;
		netns->next = table->netns;
		table->netns = netns;
	}
	netns->n_watches++;
	watch->netns = netns;
	table->dirty = true;
	return 0;
}

void cb_netns_leave(struct cb_host *host, struct cb_watch *watch)
{
	struct cb_netns *netns = watch->netns;

	watch->netns = NULL;
	if (!netns || --netns->n_watches > 0)
		return;
	for (struct cb_netns **link = &host->watch->netns; *link; link = &(*link)->next) {
		if (*link != netns)
			continue;
		*link = netns->next;
		break;
	}
	netns_free(netns);
}

/* --- listening sockets --- */

static void add_socket(struct cb_netns *netns, const struct cb_listener *listener)
{
	if (netns->n == netns->cap) {
		uint32_t cap = netns->cap ? netns->cap * 2 : 64;
		struct cb_listener *grown =
			reallocarray(netns->listener, cap, sizeof(*netns->listener));

		if (!grown)
			return;
		netns->listener = grown;
		netns->cap = cap;
	}
	netns->listener[netns->n++] = *listener;
	/* Any mixing will do: equal sets have equal sums, and others hardly ever. */
	netns->set_hash += (listener->inode + UINT64_C(1)) * UINT64_C(0x9e3779b97f4a7c15);
}

static void add_listener(const struct cb_socket *socket, void *userdata)
{
	if (socket->listens)
		add_socket(userdata, &socket->queue);
}

struct named {
	const struct cb_host *host;
	struct cb_netns *netns;
};

static void add_datagrams(const struct cb_socket *socket, void *userdata)
{
	struct named *named = userdata;

	if (cb_scout_names_datagrams(named->host, socket))
		add_socket(named->netns, &socket->queue);
}

/*
 * Its listening sockets, and of UDP those that groups name: a server has sockets for questions of its own, too. A kernel
 * that does not list those of UDP says nothing of them. True when the set is not that of the last dump.
 */
static bool dump(const struct cb_host *host, struct cb_netns *netns)
{
	struct named named = { .host = host, .netns = netns };
	uint64_t before = netns->set_hash;

	netns->dumped = netns->datagrams = false;
	if (!netns->diag)
		return false;
	netns->n = 0;
	netns->set_hash = 0;
	if (cb_diag_dump(netns->diag, CB_DIAG_LISTENERS, add_listener, netns) < 0) {
		netns->set_hash = before;
		return false;
	}
	netns->dumped = true;
	if (cb_scout_names_datagrams(host, NULL))
		netns->datagrams =
			cb_diag_dump(netns->diag, CB_DIAG_DATAGRAMS, add_datagrams, &named) == 0;
	return netns->set_hash != before;
}

uint64_t cb_group_sockets_print(const struct cb_watch_table *table)
{
	uint64_t print = 0;

	for (const struct cb_netns *netns = table ? table->netns : NULL; netns; netns = netns->next)
		print += netns->set_hash ^ netns->ino;
	return print;
}

static bool is_listening(const struct cb_netns *netns, uint32_t inode)
{
	for (uint32_t i = 0; i < netns->n; i++)
		if (netns->listener[i].inode == inode)
			return true;
	return false;
}

bool cb_socket_inode(int dir_fd, int32_t number, uint32_t *ret)
{
	const size_t skip = strlen(SOCKET_LINK);
	char name[16], link[64];
	uint64_t inode = 0;
	ssize_t len;

	snprintf(name, sizeof(name), "%d", number);
	len = readlinkat(dir_fd, name, link, sizeof(link));
	if (len <= (ssize_t)skip || len == (ssize_t)sizeof(link) ||
	    memcmp(link, SOCKET_LINK, skip) != 0 || link[len - 1] != ']')
		return false;
	for (ssize_t i = (ssize_t)skip; i < len - 1; i++) {
		if (link[i] < '0' || link[i] > '9')
			return false;
		inode = inode * 10 + (uint64_t)(link[i] - '0');
	}
	*ret = (uint32_t)inode; /* sock_diag has 32 bits of it */
	return true;
}

static int compare_u32(const void *a, const void *b)
{
	uint32_t x, y;

	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return (x > y) - (x < y);
}

/* True when these are not the sockets that the worker had before. */
static bool take_listeners(struct cb_watch *watch, const uint32_t *found, uint32_t n)
{
	bool same = n == watch->n_listeners;

	for (uint32_t i = 0; same && i < n; i++)
		same = found[i] == watch->listener[i].inode;
	if (same)
		return false;
	if (n > watch->n_listeners) {
		struct cb_own_listener *grown = reallocarray(watch->listener, n, sizeof(*grown));

		if (!grown)
			return false;
		watch->listener = grown;
	}
	for (uint32_t i = 0; i < n; i++)
		watch->listener[i] = (struct cb_own_listener){ .inode = found[i] };
	watch->n_listeners = n;
	watch->looks = 0;
	return true;
}

static bool serves_any(const struct cb_watch *watch)
{
	for (uint32_t i = 0; i < watch->n_listeners; i++)
		if (watch->listener[i].serves)
			return true;
	return false;
}

static void mark_served(int32_t tid, uint32_t index, void *userdata)
{
	struct cb_watch *watch = userdata;

	if (tid == watch->tid)
		watch->listener[index].serves = true;
}

/* Which of its sockets the worker serves: when they have changed, and some times more when it seems to serve none. */
static void look_served(struct cb_host *host, struct cb_watch *watch)
{
	struct cb_wanted wanted[CB_LISTENERS_MAX];
	struct cb_holdings holdings;

	if (watch->n_listeners == 0 || watch->looks == LOOKS_MAX || serves_any(watch))
		return;
	watch->looks++;
	for (uint32_t i = 0; i < watch->n_listeners; i++)
		wanted[i] = (struct cb_wanted){ .inode = watch->listener[i].inode, .tag = i };
	if (watch->tid != 0) {
		uint32_t n_loops, n_unseen;

		if (cb_serving_threads(host, watch->pid, wanted, watch->n_listeners, mark_served,
				       watch, &n_loops, &n_unseen) == 0)
			host->watch->dirty |= serves_any(watch);
		return;
	}
	if (cb_holdings_read(host, watch->pid, wanted, watch->n_listeners, NULL, &holdings) < 0)
		return;
	for (uint32_t i = 0; i < holdings.n; i++)
		watch->listener[holdings.held[i].index].serves |= holdings.held[i].serves;
	host->watch->dirty |= holdings.serves;
}

/* Look up the worker's listening sockets; its namespace has just been dumped. */
static void scan(struct cb_host *host, struct cb_watch *watch, size_t max)
{
	int32_t number[LINKS_FIRST_MAX];
	uint32_t found[CB_LISTENERS_MAX], n_found = 0;
	size_t n;

	watch->scan = false;
	if (!watch->fd_lists || cb_dir_numbers(watch->fd_dir, number, max, &n) < 0)
		return;
	for (size_t i = 0; i < n && n_found < CB_LISTENERS_MAX; i++) {
		uint32_t inode;

		if (cb_socket_inode(watch->fd_dir, number[i], &inode) &&
		    is_listening(watch->netns, inode))
			found[n_found++] = inode;
	}
	qsort(found, n_found, sizeof(found[0]), compare_u32);
	host->watch->dirty |= take_listeners(watch, found, n_found);
	look_served(host, watch);
}

void cb_netns_scan(struct cb_host *host, struct cb_watch *watch)
{
	if (!watch->netns || !watch->netns->diag)
		return;
	dump(host, watch->netns);
	if (watch->netns->dumped)
		scan(host, watch, LINKS_FIRST_MAX);
	else
		watch->scan = true;
}

/* --- what a group has, made anew when a worker or its sockets have changed --- */

static int compare_refs(const void *a, const void *b)
{
	const struct cb_listener_ref *x = a, *y = b;

	if (x->inode != y->inode)
		return x->inode < y->inode ? -1 : 1;
	return (x->group > y->group) - (x->group < y->group);
}

static int reserve_refs(struct cb_watch_table *table)
{
	struct cb_listener_ref *grown;
	uint32_t n = 0;

	for (uint32_t i = 0; i < table->n; i++)
		n += table->watch[i]->n_listeners;
	if (n <= table->cap_refs)
		return 0;
	grown = reallocarray(table->ref, n, sizeof(*table->ref));
	if (!grown)
		return -ENOMEM;
	table->ref = grown;
	table->cap_refs = n;
	return 0;
}

/* Of the @n workers that have a socket open: the one that serves it, or holds it alone. */
static uint32_t only_server(const struct cb_listener_ref *ref, uint32_t n)
{
	uint32_t n_serve = 0, worker = CB_NOBODY;

	for (uint32_t i = 0; i < n; i++)
		if (ref[i].serves) {
			n_serve++;
			worker = ref[i].worker;
		}
	return n_serve == 1 ? worker : n_serve == 0 && n == 1 ? ref[0].worker : CB_NOBODY;
}

/* Workers that inherited one socket share it: a group has it once. */
static void build_refs(struct cb_watch_table *table)
{
	uint32_t n = 0, n_distinct = 0, n_same;

	for (uint32_t i = 0; i < table->n; i++) {
		const struct cb_watch *watch = table->watch[i];

		for (uint32_t j = 0; j < watch->n_listeners; j++)
			table->ref[n++] = (struct cb_listener_ref){
				.inode = watch->listener[j].inode,
				.group = cb_group_index(table, watch->group_key),
				.worker = i,
				.serves = watch->listener[j].serves,
			};
	}
	if (n > 0)
		qsort(table->ref, n, sizeof(*table->ref), compare_refs);
	for (uint32_t i = 0; i < n; i += n_same) {
		struct cb_listener_ref ref = table->ref[i];

		for (n_same = 1;
		     i + n_same < n && compare_refs(&table->ref[i + n_same], &ref) == 0;)
			n_same++;
		ref.worker = only_server(&table->ref[i], n_same);
		table->ref[n_distinct++] = ref;
	}
	table->n_refs = n_distinct;
}

static void refresh(struct cb_watch_table *table)
{
	if (!table->dirty)
		return;
	if (reserve_refs(table) < 0) {
		/* They may name groups by indices of before; once more in the next tick. */
		table->n_refs = 0;
		return;
	}
	for (struct cb_netns *netns = table->netns; netns; netns = netns->next)
		netns->groups = 0;
	for (uint32_t i = 0; i < table->n; i++) {
		struct cb_watch *watch = table->watch[i];

		if (watch->netns)
			watch->netns->groups |= UINT64_C(1)
						<< cb_group_index(table, watch->group_key);
	}
	build_refs(table);
	table->dirty = false;
}

/* --- the tick --- */

static void read_packets(struct cb_host *host, struct cb_netns *netns)
{
	struct cb_watch_table *table = host->watch;
	uint64_t packets, delta;
	ssize_t len = netns->snmp_fd < 0 ?
			      -EBADF :
			      cb_host_pread_once(netns->snmp_fd, host->buf, host->buf_size);

	netns->read = len >= 0 && cb_snmp_parse(host->buf, (size_t)len, &packets) == 0;
	if (!netns->read)
		return;
	delta = netns->has_packets ? cb_counter_delta(packets, netns->packets) : 0;
	netns->packets = packets;
	netns->has_packets = true;
	for (uint32_t i = 0; i < table->n_groups; i++)
		if (netns->groups & (UINT64_C(1) << i))
			table->group[i].packets += delta;
}

static void add_own_datagrams(const struct cb_listener *listener, struct cb_worker_sample *sample)
{
	if (!(sample->present & CB_WORKER_HAS_DATAGRAMS))
		sample->queued_bytes = sample->queued_max_bytes = sample->lost = 0;
	sample->present |= CB_WORKER_HAS_DATAGRAMS;
	sample->queued_bytes += listener->backlog;
	sample->queued_max_bytes += listener->backlog_max;
	sample->lost += listener->has_drops ? listener->drops : 0;
}

static void add_own_queue(const struct cb_listener *listener, struct cb_worker_sample *sample)
{
	if (sample->present == 0)
		return; /* gone */
	if (listener->datagrams) {
		add_own_datagrams(listener, sample);
		return;
	}
	if (!(sample->present & CB_WORKER_HAS_LISTEN)) {
		sample->n_listeners = sample->backlog = sample->backlog_max = 0;
		sample->drops = 0;
		sample->present |= CB_WORKER_HAS_LISTEN;
	}
	sample->n_listeners++;
	sample->backlog += listener->backlog;
	sample->backlog_max += listener->backlog_max;
	sample->drops += listener->has_drops ? listener->drops : 0;
}

static void add_queue(const struct cb_listener *listener, struct cb_group_sample *sample)
{
	uint64_t drops = listener->has_drops ? listener->drops : 0;

	if (listener->datagrams) {
		sample->queued_bytes += listener->backlog;
		sample->queued_max_bytes += listener->backlog_max;
		sample->lost += drops;
		sample->present |= CB_GROUP_HAS_DATAGRAMS;
		return;
	}
	sample->backlog += listener->backlog;
	sample->backlog_max += listener->backlog_max;
	sample->drops += drops;
	sample->present |= CB_GROUP_HAS_LISTEN;
}

static void add_queues(const struct cb_watch_table *table, const struct cb_listener *listener,
		       struct cb_snapshot *snapshot)
{
	uint32_t low = 0, high = table->n_refs;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (table->ref[middle].inode < listener->inode)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < table->n_refs && table->ref[low].inode == listener->inode; low++) {
		struct cb_group_sample *sample = &snapshot->group[table->ref[low].group];

		add_queue(listener, sample);
		if (table->ref[low].worker < snapshot->n_workers)
			add_own_queue(listener, &snapshot->worker[table->ref[low].worker]);
	}
}

/*
 * Look up again the sockets of one worker a tick, of those in whose namespace listeners came or
 * went.
 */
static void scan_one(struct cb_host *host, uint64_t now_usec)
{
	struct cb_watch_table *table = host->watch;

	if (now_usec >= table->rotate_usec && table->n > 0) {
		table->rotate_usec = now_usec + ROTATE_USEC;
		table->rotate = (table->rotate + 1) % table->n;
		table->watch[table->rotate]->scan = true;
	}
	for (uint32_t i = 0; i < table->n; i++) {
		struct cb_watch *watch = table->watch[i];

		if (!watch->scan || !watch->netns || !watch->netns->dumped)
			continue;
		scan(host, watch, LINKS_TICK_MAX);
		return;
	}
}

static void read_namespaces(struct cb_host *host, struct cb_snapshot *snapshot)
{
	struct cb_watch_table *table = host->watch;

	for (struct cb_netns *netns = table->netns; netns; netns = netns->next) {
		read_packets(host, netns);
		if (netns->read)
			snapshot->valid |= 1u << CB_SOURCE_SNMP;
		if (dump(host, netns))
			for (uint32_t i = 0; i < table->n; i++)
				table->watch[i]->scan |= table->watch[i]->netns == netns;
		if (netns->dumped)
			snapshot->valid |= 1u << CB_SOURCE_LISTEN;
	}
}

/* A sum that lacks one of its namespaces would jump: then rather none. */
static void drop_partial(const struct cb_watch_table *table, struct cb_snapshot *snapshot)
{
	for (const struct cb_netns *netns = table->netns; netns; netns = netns->next)
		for (uint32_t i = 0; i < table->n_groups; i++) {
			if (!(netns->groups & (UINT64_C(1) << i)))
				continue;
			if (!netns->read)
				snapshot->group[i].present &= ~CB_GROUP_HAS_PACKETS;
			if (netns->diag && !netns->dumped)
				snapshot->group[i].present &= ~CB_GROUP_HAS_LISTEN;
			if (netns->diag && !netns->datagrams)
				snapshot->group[i].present &= ~CB_GROUP_HAS_DATAGRAMS;
		}
}

void cb_group_collect(struct cb_host *host, uint64_t now_usec, struct cb_snapshot *snapshot)
{
	struct cb_watch_table *table = host->watch;

	snapshot->n_groups = table ? table->n_groups : 0;
	if (snapshot->n_groups == 0)
		return;
	refresh(table);
	read_namespaces(host, snapshot);
	scan_one(host, now_usec);
	refresh(table);
	for (uint32_t i = 0; i < table->n_groups; i++)
		snapshot->group[i] = (struct cb_group_sample){
			.key = table->group[i].key,
			.present = CB_GROUP_HAS_PACKETS,
			.packets = table->group[i].packets,
		};
	for (struct cb_netns *netns = table->netns; netns; netns = netns->next)
		for (uint32_t i = 0; netns->dumped && i < netns->n; i++)
			add_queues(table, &netns->listener[i], snapshot);
	drop_partial(table, snapshot);
}
