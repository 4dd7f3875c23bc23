/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whose sockets are whose. The kernel tells who waits at which address and who has which socket, but not which sockets are one
 * group: only sockets with SO_REUSEPORT can share an address, so those that do are one. A master and all workers may have every
 * listener; whose a socket is tells who serves it (serving.c).
 */
#include "steer.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define WAITING_MAX 16384u
#define NOBODY	    UINT32_MAX

#ifndef SO_COOKIE
#define SO_COOKIE 57
#endif

/* A socket that waits in the workers' namespace. */
struct waiting {
	struct cb_steer_place place;
	uint32_t inode;
	int32_t fd;
	uint32_t worker; /* who serves it, NOBODY */
	uint32_t holder; /* the only worker that has it though nobody is seen to serve it, NOBODY */
	uint32_t n_serve, n_hold;
};

struct resolve {
	struct cb_host *host;
	struct cb_steer_set *set;
	uint32_t n, cap;
	struct waiting *waiting;
	struct cb_wanted *wanted;
	struct cb_holdings *holdings;
	enum cb_reject why; /* the last reason for which an address was passed over */
	bool out_of_memory;
};

/* --- descriptors --- */

int cb_steer_dup(const struct cb_steer_socket *socket)
{
	struct stat st;
	int fd, error, pidfd = (int)syscall(SYS_pidfd_open, socket->tgid, 0);

	if (pidfd < 0)
		return -errno;
	fd = (int)syscall(SYS_pidfd_getfd, pidfd, socket->fd, 0);
	error = errno;
	close(pidfd);
	if (fd < 0)
		return error == EBADF ? -ESTALE : -error;
	/* sock_diag has 32 bits of an inode */
	if (fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode) && (uint32_t)st.st_ino == socket->inode)
		return fd;
	close(fd);
	return -ESTALE;
}

static int get_cookie(const struct cb_steer_socket *socket, uint64_t *ret)
{
	_cleanup_close_ int fd = cb_steer_dup(socket);
	socklen_t len = sizeof(*ret);

	if (fd < 0)
		return fd;
	return getsockopt(fd, SOL_SOCKET, SO_COOKIE, ret, &len) < 0 ? -errno : 0;
}

int cb_steer_get_cpu(const struct cb_steer_socket *socket, int32_t *ret)
{
	_cleanup_close_ int fd = cb_steer_dup(socket);
	socklen_t len = sizeof(*ret);

	if (fd < 0)
		return fd;
	return getsockopt(fd, SOL_SOCKET, SO_INCOMING_CPU, ret, &len) < 0 ? -errno : 0;
}

int cb_steer_set_cpu(const struct cb_steer_socket *socket, int32_t cpu)
{
	_cleanup_close_ int fd = cb_steer_dup(socket);

	if (fd < 0)
		return fd;
	return setsockopt(fd, SOL_SOCKET, SO_INCOMING_CPU, &cpu, sizeof(cpu)) < 0 ? -errno : 0;
}

/* --- who waits where --- */

static void take_waiting(const struct cb_socket *socket, void *userdata)
{
	struct resolve *resolve = userdata;
	struct waiting *grown;

	if (socket->queue.inode == 0 || socket->local.port == 0 || resolve->n == WAITING_MAX)
		return;
	if (resolve->n == resolve->cap) {
		uint32_t cap = resolve->cap ? resolve->cap * 2 : 64;

		grown = reallocarray(resolve->waiting, cap, sizeof(*grown));
		if (!grown) {
			resolve->out_of_memory = true;
			return;
		}
		resolve->waiting = grown;
		resolve->cap = cap;
	}
	resolve->waiting[resolve->n++] = (struct waiting){
		.place = { .local = socket->local, .interface = socket->interface },
		.inode = socket->queue.inode,
		.fd = -1,
		.worker = NOBODY,
		.holder = NOBODY,
	};
}

/* A view of the namespace @netns through a process that is in it. */
static int open_diag(struct cb_host *host, uint64_t netns, int32_t tgid, struct cb_diag **ret)
{
	_cleanup_close_ int pidfd = -1;

	if (netns == cb_netns_of(host, getpid()))
		return cb_diag_new(host, -1, ret);
	pidfd = (int)syscall(SYS_pidfd_open, tgid, 0);
	return pidfd < 0 ? -errno : cb_diag_new(host, pidfd, ret);
}

static int dump(struct resolve *resolve, int32_t tgid, enum cb_diag_what what)
{
	struct cb_diag *diag;
	int r = open_diag(resolve->host, resolve->set->netns, tgid, &diag);

	if (r < 0)
		return r;
	r = cb_diag_dump(diag, what, take_waiting, resolve);
	cb_diag_free(diag);
	return resolve->out_of_memory ? -ENOMEM : r;
}

static int make_wanted(struct resolve *resolve)
{
	free(resolve->wanted);
	resolve->wanted = calloc(CB_MAX(resolve->n, 1u), sizeof(*resolve->wanted));
	if (!resolve->wanted)
		return -ENOMEM;
	for (uint32_t i = 0; i < resolve->n; i++)
		resolve->wanted[i] =
			(struct cb_wanted){ .inode = resolve->waiting[i].inode, .tag = i };
	cb_wanted_sort(resolve->wanted, resolve->n);
	return 0;
}

/* --- who serves what --- */

static int look_at_worker(struct resolve *resolve, uint32_t index)
{
	struct cb_holdings *holdings = resolve->holdings;
	int r = cb_holdings_read(resolve->host, resolve->set->worker[index].tgid, resolve->wanted,
				 resolve->n, NULL, holdings);

	if (r < 0)
		return r;
	for (uint32_t i = 0; i < holdings->n; i++) {
		const struct cb_held *held = &holdings->held[i];
		struct waiting *waiting = &resolve->waiting[resolve->wanted[held->index].tag];

		waiting->n_hold++;
		if (waiting->holder == NOBODY && waiting->n_serve == 0)
			waiting->fd = held->fd;
		waiting->holder = index;
		if (!held->serves)
			continue;
		if (waiting->worker != index)
			waiting->n_serve++;
		waiting->worker = index;
		waiting->fd = held->fd;
	}
	return 0;
}

static bool same_place(const struct cb_steer_place *a, const struct cb_steer_place *b)
{
	return a->interface == b->interface && memcmp(&a->local, &b->local, sizeof(a->local)) == 0;
}

/* Who has it alone and is seen at nothing else serves it, by poll() or select() perhaps. */
static void guess(struct waiting *waiting)
{
	if (waiting->n_serve == 0 && waiting->n_hold == 1) {
		waiting->worker = waiting->holder;
		waiting->n_serve = 1;
	}
}

/* May the sockets at this address be told apart, each one worker's? */
static enum cb_reject judge_place(const struct resolve *resolve, const struct cb_steer_place *place)
{
	uint32_t n = 0, n_unserved = 0, first = NOBODY;
	bool several = false;

	for (uint32_t i = 0; i < resolve->n; i++) {
		const struct waiting *waiting = &resolve->waiting[i];

		if (!same_place(&waiting->place, place))
			continue;
		n++;
		if (waiting->n_serve > 1)
			return CB_REJECT_SHARED_SOCKET;
		if (waiting->worker == NOBODY) {
			n_unserved++;
			continue;
		}
		several = several || (first != NOBODY && first != waiting->worker);
		first = waiting->worker;
	}
	/* held by all of them, as a master's children do, and served by none */
	if (n_unserved > 0)
		return first == NOBODY ? CB_REJECT_SHARED_SOCKET : CB_REJECT_OUTSIDER;
	return n < 2 || !several ? CB_REJECT_ALONE : CB_REJECT_NONE;
}

static int add_place(struct resolve *resolve, const struct cb_steer_place *place)
{
	struct cb_steer_set *set = resolve->set;

	if (set->n_places == CB_STEER_PLACES_MAX)
		return -E2BIG;
	for (uint32_t i = 0; i < resolve->n; i++) {
		const struct waiting *waiting = &resolve->waiting[i];
		struct cb_steer_socket *socket = &set->socket[set->n];
		int r;

		if (!same_place(&waiting->place, place))
			continue;
		if (set->n == CB_STEER_SOCKETS_MAX)
			return -E2BIG;
		*socket = (struct cb_steer_socket){
			.tgid = set->worker[waiting->worker].tgid,
			.fd = waiting->fd,
			.inode = waiting->inode,
			.place = set->n_places,
			.worker = waiting->worker,
		};
		r = get_cookie(socket, &socket->cookie);
		if (r < 0)
			return r;
		set->worker[waiting->worker].n++;
		set->n++;
	}
	set->place[set->n_places++] = *place;
	return 0;
}

static bool is_first(const struct resolve *resolve, uint32_t index)
{
	for (uint32_t i = 0; i < index; i++)
		if (same_place(&resolve->waiting[i].place, &resolve->waiting[index].place))
			return false;
	return true;
}

/* Addresses that matter to these workers. */
static int take_places(struct resolve *resolve)
{
	for (uint32_t i = 0; i < resolve->n; i++)
		guess(&resolve->waiting[i]);
	for (uint32_t i = 0; i < resolve->n; i++) {
		const struct waiting *waiting = &resolve->waiting[i];
		enum cb_reject why;
		int r;

		if (waiting->n_hold == 0 || !is_first(resolve, i))
			continue;
		why = judge_place(resolve, &waiting->place);
		if (why == CB_REJECT_NONE) {
			r = add_place(resolve, &waiting->place);
			if (r < 0)
				return r;
		} else if (resolve->why == CB_REJECT_NONE || why != CB_REJECT_ALONE) {
			resolve->why = why;
		}
	}
	return 0;
}

/* --- what else the workers have --- */

static bool has_bpf(struct cb_host *host, int32_t tgid)
{
	_cleanup_free_ int32_t *numbers = NULL;
	_cleanup_close_ int dir_fd = -1;
	char path[CB_PATH_PID_MAX], name[16], link[64];
	size_t n = 0;

	snprintf(path, sizeof(path), CB_FMT_PID_FD_DIR, tgid);
	dir_fd = cb_host_openat(host, path, O_RDONLY | O_DIRECTORY);
	numbers = calloc(WAITING_MAX, sizeof(*numbers));
	if (dir_fd < 0 || !numbers || cb_dir_numbers(dir_fd, numbers, WAITING_MAX, &n) < 0)
		return false;
	for (size_t i = 0; i < n; i++) {
		ssize_t len;

		snprintf(name, sizeof(name), "%d", numbers[i]);
		len = readlinkat(dir_fd, name, link, sizeof(link) - 1);
		if (len <= 0)
			continue;
		link[len] = 0;
		if (strcmp(link, "anon_inode:bpf-prog") == 0 ||
		    strcmp(link, "anon_inode:bpf-map") == 0)
			return true;
	}
	return false;
}

/* Do they serve datagrams? Asked only when they serve no connections that could be steered. */
static bool serves_datagrams(struct resolve *resolve)
{
	resolve->n = 0;
	if (dump(resolve, resolve->set->worker[0].tgid, CB_DIAG_DATAGRAMS) < 0 ||
	    make_wanted(resolve) < 0)
		return false;
	for (uint32_t i = 0; i < resolve->set->n_workers; i++)
		if (look_at_worker(resolve, i) == 0 && resolve->holdings->n > 0)
			return true;
	return false;
}

static enum cb_reject check_workers(struct cb_host *host, struct cb_steer_set *set)
{
	set->netns = cb_netns_of(host, set->worker[0].tgid);
	for (uint32_t i = 0; i < set->n_workers; i++) {
		if (cb_netns_of(host, set->worker[i].tgid) != set->netns)
			return CB_REJECT_OTHER_NETNS;
		if (has_bpf(host, set->worker[i].tgid))
			return CB_REJECT_OWN_PROGRAM;
		set->worker[i].n = 0;
	}
	return CB_REJECT_NONE;
}

static int resolve_all(struct resolve *resolve, enum cb_reject *ret_why)
{
	struct cb_steer_set *set = resolve->set;
	int r = dump(resolve, set->worker[0].tgid, CB_DIAG_LISTENERS);

	if (r == 0)
		r = make_wanted(resolve);
	for (uint32_t i = 0; r == 0 && i < set->n_workers; i++)
		r = look_at_worker(resolve, i);
	if (r == 0)
		r = take_places(resolve);
	if (r < 0 || set->n_places > 0)
		return r;
	*ret_why = resolve->why;
	if (resolve->why == CB_REJECT_NONE)
		*ret_why = serves_datagrams(resolve) ? CB_REJECT_DATAGRAMS : CB_REJECT_ALONE;
	return 1;
}

int cb_steer_resolve(struct cb_host *host, struct cb_steer_set *set, enum cb_reject *ret_why)
{
	struct resolve resolve = { .host = host, .set = set };
	int r = 1;

	set->n = set->n_places = 0;
	*ret_why = check_workers(host, set);
	if (*ret_why != CB_REJECT_NONE)
		return 1;
	resolve.holdings = calloc(1, sizeof(*resolve.holdings));
	if (resolve.holdings)
		r = resolve_all(&resolve, ret_why);
	else
		r = -ENOMEM;
	free(resolve.holdings);
	free(resolve.waiting);
	free(resolve.wanted);
	if (r != -EPERM && r != -EACCES && r != -ENOSYS)
		return r;
	*ret_why = CB_REJECT_NO_RIGHT;
	return 1;
}

/* --- again, by what the journal knows --- */

struct search {
	struct resolve resolve;
	const struct cb_journal_entry *entry;
	bool ready; /* resolve.wanted is made */
};

/* What is looked for: the one socket, or all that wait at the address. */
static int prepare(struct search *search, int32_t tgid)
{
	struct resolve *resolve = &search->resolve;
	const struct cb_journal_entry *e = search->entry;
	uint32_t n = 0;
	int r;

	if (e->knob == CB_KNOB_INCOMING_CPU) {
		const struct cb_socket one = { .local = { .port = 1 },
					       .queue = { .inode = e->inode } };

		take_waiting(&one, resolve);
		return resolve->n == 1 ? make_wanted(resolve) : -ENOMEM;
	}
	r = dump(resolve, tgid, CB_DIAG_LISTENERS);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i < resolve->n; i++) {
		const struct waiting *waiting = &resolve->waiting[i];

		if (waiting->place.interface == e->interface &&
		    memcmp(&waiting->place.local, &e->local, sizeof(e->local)) == 0)
			resolve->waiting[n++] = *waiting;
	}
	resolve->n = n;
	return n > 0 ? make_wanted(resolve) : -ENOENT;
}

/* 0 when @tgid has it; 1 when not. */
static int try_process(struct search *search, int32_t tgid, struct cb_steer_socket *ret)
{
	struct resolve *resolve = &search->resolve;
	struct cb_steer_socket socket = { .tgid = tgid };
	int r;

	if (tgid <= 0 || cb_netns_of(resolve->host, tgid) != search->entry->netns)
		return 1;
	if (!search->ready) {
		r = prepare(search, tgid);
		if (r < 0)
			return r == -ESRCH ? 1 : r;
		search->ready = true;
	}
	if (cb_holdings_read(resolve->host, tgid, resolve->wanted, resolve->n, NULL,
			     resolve->holdings) < 0 ||
	    resolve->holdings->n == 0)
		return 1;
	socket.fd = resolve->holdings->held[0].fd;
	socket.inode = resolve->wanted[resolve->holdings->held[0].index].inode;
	r = get_cookie(&socket, &socket.cookie);
	if (r < 0)
		return r == -ESRCH || r == -ESTALE ? 1 : r;
	if (search->entry->knob == CB_KNOB_INCOMING_CPU && socket.cookie != search->entry->cookie)
		return -ENOENT; /* the number was used again */
	*ret = socket;
	return 0;
}

int cb_steer_find(struct cb_host *host, const struct cb_journal_entry *entry,
		  struct cb_steer_socket *ret)
{
	struct cb_steer_set *set = calloc(1, sizeof(*set));
	struct search search = { .entry = entry, .resolve = { .host = host, .set = set } };
	_cleanup_free_ int32_t *tgids = NULL;
	size_t n = 0;
	int r = -ENOMEM;

	search.resolve.holdings = calloc(1, sizeof(*search.resolve.holdings));
	if (set && search.resolve.holdings) {
		set->netns = entry->netns;
		r = try_process(&search, entry->tgid, ret);
	}
	if (r == 1 && cb_host_list_numbers(host, CB_PATH_PROC_DIR, "", &tgids, &n) < 0)
		n = 0;
	for (size_t i = 0; r == 1 && i < n; i++)
		r = try_process(&search, tgids[i], ret);
	free(search.resolve.holdings);
	free(search.resolve.waiting);
	free(search.resolve.wanted);
	free(set);
	return r == 1 ? -ENOENT : r;
}
