/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The census: every reuseport group of the machine, whoever it belongs to. The kernel does not say which sockets are one
 * group, but only sockets with SO_REUSEPORT can wait at the same place: so the groups are the listening sockets (of UDP, those
 * without a peer) that share network namespace, protocol, address, port and interface. Namespaces are found through the
 * processes in them; those that no process is in any more are not seen.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "serving.h"

#define SPACES_MAX	256u
#define SOCKETS_MAX	65536u
#define CONNECTIONS_MAX 1048576u

struct space {
	ino_t netns;
	bool failed;
};

struct waiting {	/* a socket that clients are waited for at */
	uint32_t space; /* index; 0 is ours */
	struct cb_socket socket;
	uint32_t group; /* index, or UINT32_MAX */
	bool served;
};

struct counting {
	struct cb_host *host;
	struct cb_census *census;
	uint32_t n_spaces, n, cap, n_wanted, cap_wanted, n_unreadable;
	struct space space[SPACES_MAX];
	struct waiting *waiting;
	struct cb_wanted *wanted;
	uint32_t at;		 /* index of the namespace that is being read */
	uint32_t *n_connections; /* of the process at hand, by group */
	struct cb_holdings holdings;
	bool single; /* groups of one socket too */
	int r;	     /* out of memory */
};

struct cb_census *cb_census_free(struct cb_census *census)
{
	if (!census)
		return NULL;
	free(census->group);
	free(census->worker);
	free(census->note);
	free(census);
	return NULL;
}

static struct cb_census *census_new(void)
{
	struct cb_census *census = calloc(1, sizeof(*census));

	if (!census)
		return NULL;
	census->group = calloc(CB_CENSUS_GROUPS_MAX, sizeof(*census->group));
	census->worker = calloc(CB_CENSUS_WORKERS_MAX, sizeof(*census->worker));
	census->note = calloc(CB_CENSUS_NOTES_MAX, sizeof(*census->note));
	return census->group && census->worker && census->note ? census : cb_census_free(census);
}

static void _printf_(2, 3) note(struct cb_census *census, const char *format, ...)
{
	va_list ap;

	if (census->n_notes == CB_CENSUS_NOTES_MAX)
		return;
	va_start(ap, format);
	vsnprintf(census->note[census->n_notes++], sizeof(census->note[0]), format, ap);
	va_end(ap);
}

/* --- sockets --- */

static void take_waiting(const struct cb_socket *socket, void *userdata)
{
	struct counting *c = userdata;

	if (socket->local.port == 0 || socket->queue.inode == 0 || c->n == SOCKETS_MAX)
		return;
	if (c->n == c->cap) {
		uint32_t cap = c->cap ? c->cap * 2 : 256;
		struct waiting *grown = reallocarray(c->waiting, cap, sizeof(*grown));

		if (!grown) {
			c->r = -ENOMEM;
			return;
		}
		c->waiting = grown;
		c->cap = cap;
	}
	c->waiting[c->n++] = (struct waiting){ .space = c->at, .socket = *socket };
}

static void want(struct counting *c, uint32_t inode, uint32_t tag)
{
	if (c->n_wanted == c->cap_wanted) {
		uint32_t cap = c->cap_wanted ? c->cap_wanted * 2 : 256;
		struct cb_wanted *grown = reallocarray(c->wanted, cap, sizeof(*grown));

		if (!grown) {
			c->r = -ENOMEM;
			return;
		}
		c->wanted = grown;
		c->cap_wanted = cap;
	}
	c->wanted[c->n_wanted++] = (struct cb_wanted){ .inode = inode, .tag = tag };
}

static bool is_wildcard(const struct cb_listen *local)
{
	static const uint8_t zero[16];

	return memcmp(local->address, zero, sizeof(zero)) == 0;
}

/* The group that a connection came in by; one bound to the address goes before one for all. */
static void take_connection(const struct cb_socket *socket, void *userdata)
{
	struct counting *c = userdata;
	uint32_t best = UINT32_MAX;

	if (socket->queue.inode == 0 || c->n_wanted >= CONNECTIONS_MAX)
		return;
	for (uint32_t i = 0; i < c->census->n_groups; i++) {
		const struct cb_census_group *group = &c->census->group[i];

		if (group->netns != c->space[c->at].netns ||
		    group->local.protocol != CB_PROTOCOL_TCP ||
		    group->local.port != socket->local.port)
			continue;
		if (cb_listen_matches(&group->local, &socket->local))
			best = i;
		else if (best == UINT32_MAX && is_wildcard(&group->local))
			best = i;
	}
	if (best != UINT32_MAX)
		want(c, socket->queue.inode, CB_WANTED_COUNT | best);
}

/* --- namespaces --- */

static int open_space(struct counting *c, int32_t pid, struct cb_diag **ret)
{
	int pidfd = -1, r;

	if (pid > 0) {
		pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
		if (pidfd < 0)
			return -errno;
	}
	r = cb_diag_new(c->host, pidfd, ret);
	if (pidfd >= 0)
		close(pidfd);
	return r;
}

static void read_space(struct counting *c, int32_t pid, bool connections)
{
	struct cb_diag *diag = NULL;
	int r = open_space(c, pid, &diag);

	if (r == 0 && connections)
		r = cb_diag_dump(diag, CB_DIAG_CONNECTIONS, take_connection, c);
	else if (r == 0) {
		r = cb_diag_dump(diag, CB_DIAG_LISTENERS, take_waiting, c);
		if (r == 0 && cb_diag_dump(diag, CB_DIAG_DATAGRAMS, take_waiting, c) < 0)
			note(c->census, "UDP sockets cannot be listed: the kernel lacks UDP_DIAG");
	}
	cb_diag_free(diag);
	if (r == 0 || r == -ESRCH)
		return;
	c->space[c->at].failed = true;
	if (pid < 0)
		note(c->census, "sockets cannot be listed: %s", strerror(-r));
	else
		note(c->census, "the network namespace of pid %d cannot be entered: %s%s", pid,
		     strerror(-r), r == -EPERM ? " (CAP_SYS_ADMIN is missing)" : "");
}

/* Each namespace is read through the first process that is in it. */
static void read_spaces(struct counting *c, const int32_t *pids, size_t n, bool connections)
{
	struct space seen[SPACES_MAX];
	uint32_t n_seen = 0;

	c->at = 0;
	if (!connections) {
		c->space[c->n_spaces++] = (struct space){ .netns = cb_netns_of(c->host, getpid()) };
	}
	read_space(c, -1, connections);
	seen[n_seen++] = c->space[0];
	for (size_t i = 0; i < n; i++) {
		ino_t netns = cb_netns_of(c->host, pids[i]);
		uint32_t j = 0;

		while (j < n_seen && seen[j].netns != netns)
			j++;
		if (netns == 0 || j < n_seen || n_seen == SPACES_MAX)
			continue;
		for (j = 0; j < c->n_spaces && c->space[j].netns != netns;)
			j++;
		if (j == c->n_spaces && (connections || c->n_spaces == SPACES_MAX))
			continue; /* new since the sockets were read */
		if (j == c->n_spaces)
			c->space[c->n_spaces++] = (struct space){ .netns = netns };
		seen[n_seen++] = c->space[j];
		c->at = j;
		if (!c->space[j].failed)
			read_space(c, pids[i], connections);
	}
}

/* --- groups --- */

static int compare_waiting(const void *a, const void *b)
{
	const struct waiting *x = a, *y = b;
	int r;

	if (x->space != y->space)
		return x->space < y->space ? -1 : 1;
	if (x->socket.local.protocol != y->socket.local.protocol)
		return x->socket.local.protocol < y->socket.local.protocol ? -1 : 1;
	if (x->socket.local.port != y->socket.local.port)
		return x->socket.local.port < y->socket.local.port ? -1 : 1;
	if (x->socket.local.family != y->socket.local.family)
		return x->socket.local.family < y->socket.local.family ? -1 : 1;
	r = memcmp(x->socket.local.address, y->socket.local.address,
		   sizeof(x->socket.local.address));
	if (r != 0)
		return r;
	return (x->socket.interface > y->socket.interface) -
	       (x->socket.interface < y->socket.interface);
}

static void add_group(struct counting *c, struct waiting *first, uint32_t n)
{
	struct cb_census_group *group;

	if (c->census->n_groups == CB_CENSUS_GROUPS_MAX)
		return;
	group = &c->census->group[c->census->n_groups];
	*group = (struct cb_census_group){ .netns = c->space[first->space].netns,
					   .own = first->space == 0,
					   .local = first->socket.local,
					   .interface = first->socket.interface,
					   .n_sockets = n };
	for (uint32_t i = 0; i < n; i++) {
		const struct cb_listener *queue = &first[i].socket.queue;

		first[i].group = c->census->n_groups;
		if (first[i].socket.listens) {
			group->backlog += queue->backlog;
			group->backlog_max += queue->backlog_max;
		} else if (queue->datagrams) {
			group->queued_bytes += queue->backlog;
			group->queued_max_bytes += queue->backlog_max;
		}
		group->drops += queue->has_drops ? queue->drops : 0;
		want(c, queue->inode, (uint32_t)(first - c->waiting) + i);
	}
	c->census->n_groups++;
}

static void find_groups(struct counting *c)
{
	uint32_t n;

	if (c->n > 1)
		qsort(c->waiting, c->n, sizeof(*c->waiting), compare_waiting);
	for (uint32_t i = 0; i < c->n; i += n) {
		for (n = 1;
		     i + n < c->n && compare_waiting(&c->waiting[i], &c->waiting[i + n]) == 0;)
			n++;
		c->waiting[i].group = UINT32_MAX;
		if (n > 1 || c->single)
			add_group(c, &c->waiting[i], n);
	}
	if (c->census->n_groups == CB_CENSUS_GROUPS_MAX)
		note(c->census, "there are more than %u groups: the rest is not shown",
		     CB_CENSUS_GROUPS_MAX);
}

/* --- processes --- */

static void count_connection(uint32_t index, void *userdata)
{
	struct counting *c = userdata;
	uint32_t tag = c->wanted[index].tag;

	if (tag & CB_WANTED_COUNT)
		c->n_connections[tag & ~CB_WANTED_COUNT]++;
}

static struct cb_census_worker *worker_of(struct counting *c, uint32_t first, uint32_t group,
					  int32_t pid)
{
	struct cb_census *census = c->census;
	struct cb_census_worker *worker;

	for (uint32_t i = first; i < census->n_workers; i++)
		if (census->worker[i].group == group)
			return &census->worker[i];
	if (census->n_workers == CB_CENSUS_WORKERS_MAX)
		return NULL;
	worker = &census->worker[census->n_workers++];
	*worker = (struct cb_census_worker){ .group = group, .pid = pid, .guess = true };
	return worker;
}

static void identify(struct counting *c, uint32_t first)
{
	struct cb_census *census = c->census;
	struct cb_task_stat stat = { .comm = "?" };
	char path[CB_PATH_PID_MAX], text[1024];
	ssize_t len;

	if (first == census->n_workers)
		return;
	snprintf(path, sizeof(path), CB_FMT_PID_STAT, census->worker[first].pid);
	len = cb_host_read_file(c->host, path, text, sizeof(text));
	if (len < 0 || cb_task_stat_parse(text, (size_t)len, &stat) < 0)
		stat = (struct cb_task_stat){ .comm = "?" };
	for (uint32_t i = first; i < census->n_workers; i++) {
		struct cb_census_worker *worker = &census->worker[i];

		memcpy(worker->comm, stat.comm, sizeof(worker->comm));
		worker->ppid = stat.ppid;
		worker->n_threads = stat.n_threads;
		worker->n_loops = c->holdings.n_loops;
		worker->n_connections = c->n_connections[worker->group];
	}
}

static void look_at(struct counting *c, int32_t pid)
{
	const struct cb_holdings_hooks hooks = { .count = count_connection, .userdata = c };
	struct cb_census *census = c->census;
	uint32_t first = census->n_workers;
	int r;

	memset(c->n_connections, 0, census->n_groups * sizeof(*c->n_connections));
	r = cb_holdings_read(c->host, pid, c->wanted, c->n_wanted, &hooks, &c->holdings);
	if (r == -EACCES || r == -EPERM)
		c->n_unreadable++;
	for (uint32_t i = 0; r == 0 && i < c->holdings.n; i++) {
		const struct cb_held *held = &c->holdings.held[i];
		struct waiting *waiting = &c->waiting[c->wanted[held->index].tag];
		struct cb_census_worker *worker = worker_of(c, first, waiting->group, pid);

		if (!worker)
			return;
		/* What it holds counts until it is seen to serve one. */
		if (held->serves && worker->guess)
			worker->n_sockets = 0;
		if (held->serves)
			worker->guess = false;
		worker->n_sockets += held->serves || worker->guess;
		waiting->served |= held->serves;
	}
	identify(c, first);
}

static void look_at_all(struct counting *c, const int32_t *pids, size_t n, uint64_t until_usec)
{
	for (size_t i = 0; i < n && c->census->n_groups > 0; i++) {
		look_at(c, pids[i]);
		if (cb_host_now_usec(c->host) >= until_usec && i + 1 < n) {
			note(c->census, "it took too long: %zu of %zu processes were looked at",
			     i + 1, n);
			break;
		}
	}
	if (c->n_unreadable > 0)
		note(c->census, "%u processes may not be looked at (CAP_SYS_PTRACE is missing)",
		     c->n_unreadable);
}

/* --- who stays --- */

static bool is_parent(const struct cb_census *census, const struct cb_census_worker *worker)
{
	for (uint32_t i = 0; i < census->n_workers; i++)
		if (census->worker[i].group == worker->group &&
		    census->worker[i].ppid == worker->pid)
			return true;
	return false;
}

static int compare_workers(const void *a, const void *b)
{
	const struct cb_census_worker *x = a, *y = b;

	if (x->group != y->group)
		return x->group < y->group ? -1 : 1;
	return (x->pid > y->pid) - (x->pid < y->pid);
}

static void judge(struct cb_census *census, struct cb_census_group *group)
{
	uint64_t sum = 0;
	uint32_t most = 0;

	for (uint32_t i = 0; i < group->n_workers; i++) {
		uint32_t n = census->worker[group->first_worker + i].n_connections;

		sum += n;
		most = CB_MAX(most, n);
	}
	if (group->n_workers > 1 && sum > 0)
		group->skew_ratio = (double)most * group->n_workers / (double)sum;
}

/* A holder that serves nothing stays only where nobody serves, and not for its children's sake. */
static void sift(struct counting *c)
{
	struct cb_census *census = c->census;
	_cleanup_free_ bool *keep = calloc(census->n_workers + 1, sizeof(*keep));
	uint32_t n = 0;

	for (uint32_t i = 0; i < c->n; i++)
		if (c->waiting[i].group != UINT32_MAX && !c->waiting[i].served)
			census->group[c->waiting[i].group].n_unserved++;
	for (uint32_t i = 0; keep && i < census->n_workers; i++) {
		const struct cb_census_worker *worker = &census->worker[i];

		keep[i] = !worker->guess || (census->group[worker->group].n_unserved ==
						     census->group[worker->group].n_sockets &&
					     !is_parent(census, worker));
	}
	for (uint32_t i = 0; i < census->n_workers; i++)
		if (!keep || keep[i])
			census->worker[n++] = census->worker[i];
	census->n_workers = n;
	if (n > 1)
		qsort(census->worker, n, sizeof(*census->worker), compare_workers);
	for (uint32_t i = n; i-- > 0;) {
		census->group[census->worker[i].group].first_worker = i;
		census->group[census->worker[i].group].n_workers++;
	}
	for (uint32_t i = 0; i < census->n_groups; i++)
		judge(census, &census->group[i]);
}

static void count_all(struct counting *c, const int32_t *pids, size_t n, uint64_t until_usec)
{
	read_spaces(c, pids, n, false);
	find_groups(c);
	c->n_connections = calloc(c->census->n_groups + 1, sizeof(*c->n_connections));
	if (!c->n_connections) {
		c->r = -ENOMEM;
		return;
	}
	if (c->census->n_groups > 0)
		read_spaces(c, pids, n, true);
	cb_wanted_sort(c->wanted, c->n_wanted);
	look_at_all(c, pids, n, until_usec);
	sift(c);
}

int cb_host_census(struct cb_host *host, bool single, uint64_t limit_usec, struct cb_census **ret,
		   struct cb_err *err)
{
	struct counting *c = calloc(1, sizeof(*c));
	_cleanup_free_ int32_t *pids = NULL;
	size_t n = 0;
	int r = c ? 0 : -ENOMEM;

	if (r == 0 && !host->netlink)
		r = -EOPNOTSUPP;
	if (r == 0)
		r = cb_host_list_numbers(host, CB_PATH_PROC_DIR, "", &pids, &n);
	if (r == 0) {
		c->host = host;
		c->single = single;
		c->census = census_new();
		c->r = c->census ? 0 : -ENOMEM;
		if (c->census)
			count_all(c, pids, n, cb_host_now_usec(host) + limit_usec);
		r = c->r;
	}
	if (r == 0)
		*ret = cb_steal_ptr(c->census);
	if (c) {
		cb_census_free(c->census);
		free(c->waiting);
		free(c->wanted);
		free(c->n_connections);
		free(c);
	}
	return r < 0 ? cb_err_set(err, r, "cannot look for groups: %s", strerror(-r)) : 0;
}
