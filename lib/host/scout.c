/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The scout finds the workers of groups that are named by what they serve. The sockets of a group are those of a dump that
 * its selector matches; its workers are the processes that serve one of them and that the rest of the selector names.
 *
 * A tick dumps the sockets of each namespace at hand into arrays that are there already, and hears of forks. That is all
 * when nothing has changed. A new process is looked at in the tick that hears of it and in the next one, when it has had time to
 * set up; one that has inherited a socket and does not serve it yet a few times more, ever later. Everybody is looked at when sockets that matter came
 * or went, when forks were lost, and once a minute, for what no news tells: a descriptor that was handed over, another cgroup, another
 * name. That takes as many ticks as it takes, each with a budget, and the youngest come first: who opens a socket has mostly just begun.
 *
 * Sockets of other network namespaces are looked at for groups that name processes: a port alone means ours.
 */
#include "scout.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "journal_internal.h"

#define RESCAN_USEC (60 * CB_USEC_PER_SEC)
#define SETTLE_USEC (2 * CB_USEC_PER_SEC) /* a guess has to hold that long */
#define BUDGET_USEC (4 * CB_USEC_PER_MSEC)
#define LOOKS_LEAST 16u /* a tick, where all CPUs are so busy that one look takes the budget */
#define LOOKS	    2u	/* at a new process */
#define SPAN_MAX    64u /* ticks: longest wait before one more look at who does not serve yet */
#define LISTED_MAX  65536u

/* --- groups --- */

uint32_t cb_scout_group_index(const struct cb_scout *scout, uint32_t key)
{
	for (uint32_t i = 0; i < scout->n_groups; i++)
		if (scout->group[i].key == key)
			return i;
	return scout->n_groups;
}

void cb_scout_free(struct cb_host *host)
{
	struct cb_scout *scout = host->scout;

	if (!scout)
		return;
	for (uint32_t i = 0; i < scout->n_spaces; i++)
		cb_scout_space_done(&scout->space[i]);
	cb_closep(&scout->proc_fd);
	free(scout->listed);
	free(scout->known);
	free(scout->todo);
	free(scout);
	host->scout = NULL;
}

static struct cb_scout *scout_new(struct cb_host *host)
{
	struct cb_scout *scout = calloc(1, sizeof(*scout));

	if (!scout)
		return NULL;
	scout->proc_fd = -1;
	if (!cb_scout_space_add(host, scout, cb_netns_of(host, getpid()), -1)) {
		free(scout);
		return NULL;
	}
	return scout;
}

/* What bits of groups stand for has changed: every socket is judged anew, everybody is looked at. */
static void regroup(struct cb_scout *scout)
{
	scout->listens = scout->named = scout->udp = 0;
	for (uint32_t i = 0; i < scout->n_groups; i++) {
		const struct cb_selector *selector = &scout->group[i].selector;
		uint64_t bit = UINT64_C(1) << i;

		if (cb_selector_names_processes(selector))
			scout->named |= bit;
		for (uint32_t j = 0; j < selector->n_listen; j++)
			if (selector->listen[j].protocol == CB_PROTOCOL_UDP)
				scout->udp |= bit;
		if (!scout->group[i].checks)
			scout->listens |= bit;
	}
	for (uint32_t i = 0; i < scout->n_spaces; i++)
		scout->space[i].stale = true;
	scout->n_maybe = scout->n_before = 0;
	scout->rescan = true;
}

void cb_scout_forget(struct cb_host *host, uint32_t group_key)
{
	struct cb_scout *scout = host->scout;
	uint32_t index = scout ? cb_scout_group_index(scout, group_key) : 0;

	if (!scout || index == scout->n_groups)
		return;
	scout->n_groups--;
	memmove(&scout->group[index], &scout->group[index + 1],
		(scout->n_groups - index) * sizeof(scout->group[0]));
	if (scout->n_groups == 0)
		cb_scout_free(host);
	else
		regroup(scout);
}

int cb_scout_set(struct cb_host *host, uint32_t group_key, const struct cb_selector *selector,
		 bool checks)
{
	struct cb_scout *scout = host->scout;
	uint32_t index;

	if (!host->live)
		return 0; /* a captured tree has no sockets */
	if (cb_selector_empty(selector)) {
		cb_scout_forget(host, group_key);
		return 0;
	}
	if (!scout)
		scout = host->scout = scout_new(host);
	if (!scout)
		return -ENOMEM;
	index = cb_scout_group_index(scout, group_key);
	if (index == CB_GROUPS_MAX)
		return -E2BIG;
	if (index < scout->n_groups && scout->group[index].checks == checks &&
	    memcmp(&scout->group[index].selector, selector, sizeof(*selector)) == 0)
		return 0;
	scout->group[index] = (struct cb_scout_group){ .key = group_key,
						       .selector = *selector,
						       .checks = checks };
	scout->n_groups = CB_MAX(scout->n_groups, index + 1);
	regroup(scout);
	return 0;
}

/* --- one process --- */

static bool is_watched(const struct cb_host *host, uint32_t group_key, int32_t pid)
{
	const struct cb_watch_table *table = host->watch;

	for (uint32_t i = 0; table && i < table->n; i++)
		if (table->watch[i]->pid == pid && table->watch[i]->group_key == group_key)
			return true;
	return false;
}

static void maybe(struct cb_scout *scout, int32_t pid, uint64_t groups, uint32_t inode)
{
	if (scout->n_maybe < CB_SCOUT_MAYBE_MAX)
		scout->maybe[scout->n_maybe++] =
			(struct cb_scout_maybe){ .pid = pid, .inode = inode, .groups = groups };
}

/* What the process has of the namespace's sockets, by groups. */
static int read_holdings(struct cb_host *host, struct cb_scout_space *space, int32_t pid,
			 uint64_t mask, struct cb_scout_look *ret)
{
	struct cb_scout *scout = host->scout;
	struct cb_holdings *holdings = &scout->holdings;
	int r = cb_holdings_read(host, pid, space->wanted, space->n, NULL, holdings);

	if (r < 0)
		return r;
	for (uint32_t i = 0; i < holdings->n; i++) {
		struct cb_scout_socket *socket =
			&space->socket[space->wanted[holdings->held[i].index].tag];
		uint64_t groups = socket->groups & mask;

		ret->holds |= groups;
		if (holdings->held[i].serves) {
			socket->served |= groups != 0;
			ret->serves |= groups;
		}
	}
	for (uint32_t i = 0; i < holdings->n; i++) {
		const struct cb_scout_socket *socket =
			&space->socket[space->wanted[holdings->held[i].index].tag];

		if (socket->groups & ret->holds & ~ret->serves && !socket->served)
			maybe(scout, pid, socket->groups & ret->holds & ~ret->serves,
			      socket->inode);
	}
	ret->n_loops = holdings->n_loops;
	return 0;
}

int cb_scout_look(struct cb_host *host, int32_t pid, uint64_t mask, struct cb_scout_look *ret)
{
	struct cb_scout *scout = host->scout;
	struct cb_scout_space *space;
	ino_t netns;
	int r;

	*ret = (struct cb_scout_look){ .names = 0 };
	if (pid <= 1 || pid == getpid())
		return 0; /* a service manager holds sockets for others */
	r = cb_scout_names(host, pid, mask, &ret->names);
	if (r < 0 || ret->names == 0)
		return r;
	netns = cb_netns_of(host, pid);
	if (netns == 0)
		return errno == ENOENT || errno == ESRCH ? -ESRCH : -errno;
	if (netns != scout->space[0].netns)
		ret->names &= scout->named;
	if (ret->names == 0)
		return 0;
	space = cb_scout_space_of(host, scout, netns, pid);
	return space ? read_holdings(host, space, pid, ret->names, ret) : -EPERM;
}

/* True for one that holds what it does not serve: its parent's, or its own in a moment. */
static bool look(struct cb_host *host, int32_t pid, cb_scout_fn fn, void *userdata)
{
	struct cb_scout *scout = host->scout;
	struct cb_scout_look found;
	int r = cb_scout_look(host, pid, scout->listens, &found);

	if (r == -EACCES || r == -EPERM)
		scout->n_unreadable++;
	if (r < 0)
		return false;
	for (uint32_t i = 0; i < scout->n_groups; i++) {
		uint64_t bit = UINT64_C(1) << i;

		scout->group[i].counting.n_candidates += (found.names & bit) != 0;
		scout->group[i].counting.n_holders += (found.holds & bit) != 0;
		scout->group[i].counting.n_found += (found.serves & bit) != 0;
		if (found.serves & bit && !is_watched(host, scout->group[i].key, pid))
			fn(scout->group[i].key, pid, false, found.n_loops, userdata);
	}
	return found.holds & ~found.serves;
}

/* --- guesses --- */

static int32_t parent_of(struct cb_host *host, int32_t pid)
{
	struct cb_task_stat stat;
	char path[CB_PATH_PID_MAX], text[1024];
	ssize_t len;

	snprintf(path, sizeof(path), CB_FMT_PID_STAT, pid);
	len = cb_host_read_file(host, path, text, sizeof(text));
	return len >= 0 && cb_task_stat_parse(text, (size_t)len, &stat) == 0 ? stat.ppid : 0;
}

static bool is_served(const struct cb_scout *scout, uint32_t inode)
{
	for (uint32_t i = 0; i < scout->n_spaces; i++) {
		const struct cb_scout_space *space = &scout->space[i];
		uint32_t index = cb_wanted_find(space->wanted, space->n, inode);

		if (index < space->n)
			return space->socket[space->wanted[index].tag].served;
	}
	return true; /* closed meanwhile */
}

/* Who holds it for a child is a master. */
static bool is_parent(const struct cb_scout *scout, const struct cb_scout_maybe *maybe)
{
	for (uint32_t i = 0; i < scout->n_maybe; i++)
		if (scout->maybe[i].inode == maybe->inode && scout->maybe[i].parent == maybe->pid)
			return true;
	return false;
}

static bool was_before(const struct cb_scout *scout, const struct cb_scout_maybe *maybe)
{
	for (uint32_t i = 0; i < scout->n_before; i++)
		if (scout->before[i].pid == maybe->pid && scout->before[i].inode == maybe->inode)
			return true;
	return false;
}

static void take_guess(struct cb_host *host, const struct cb_scout_maybe *candidate, cb_scout_fn fn,
		       void *userdata)
{
	struct cb_scout *scout = host->scout;

	for (uint32_t i = 0; i < scout->n_groups; i++) {
		if (!(candidate->groups >> i & 1))
			continue;
		scout->group[i].counting.n_found++;
		if (!is_watched(host, scout->group[i].key, candidate->pid))
			fn(scout->group[i].key, candidate->pid, true, 0, userdata);
	}
}

/* After a look at everybody: holders of sockets that nobody is seen to serve. @now: do not wait for a second look. */
static void settle(struct cb_host *host, bool now, cb_scout_fn fn, void *userdata)
{
	struct cb_scout *scout = host->scout;

	scout->rescan_usec = cb_host_now_usec(host) + RESCAN_USEC;
	for (uint32_t i = 0; i < scout->n_maybe; i++)
		scout->maybe[i].parent = parent_of(host, scout->maybe[i].pid);
	for (uint32_t i = 0; i < scout->n_maybe; i++) {
		const struct cb_scout_maybe *candidate = &scout->maybe[i];

		if (is_served(scout, candidate->inode) || is_parent(scout, candidate))
			continue;
		if (!now && !was_before(scout, candidate)) {
			scout->rescan_usec = cb_host_now_usec(host) + SETTLE_USEC;
			continue;
		}
		take_guess(host, candidate, fn, userdata);
	}
	memcpy(scout->before, scout->maybe, sizeof(scout->before));
	scout->n_before = scout->n_maybe;
	for (uint32_t i = 0; i < scout->n_groups; i++) {
		scout->group[i].state = scout->group[i].counting;
		scout->group[i].state.n_unreadable = scout->n_unreadable;
	}
}

/* --- everybody --- */

static bool begin_scan(struct cb_host *host)
{
	struct cb_scout *scout = host->scout;

	free(scout->todo);
	scout->todo = NULL;
	scout->n_todo = scout->at = 0;
	scout->n_maybe = scout->n_unreadable = 0;
	for (uint32_t i = 0; i < scout->n_groups; i++)
		scout->group[i].counting = (struct cb_scout_state){ 0 };
	cb_scout_spaces_drop(host, scout);
	scout->rescan = false;
	scout->scanning =
		cb_host_list_numbers(host, CB_PATH_PROC_DIR, "", &scout->todo, &scout->n_todo) == 0;
	if (!scout->scanning)
		scout->rescan_usec = cb_host_now_usec(host) + SETTLE_USEC;
	return scout->scanning;
}

/* @until_usec 0: to the end. */
static void scan(struct cb_host *host, uint64_t until_usec, cb_scout_fn fn, void *userdata)
{
	struct cb_scout *scout = host->scout;
	size_t least = scout->at + LOOKS_LEAST;

	while (scout->at < scout->n_todo) {
		(void)look(host, scout->todo[scout->n_todo - ++scout->at], fn, userdata);
		if (until_usec != 0 && scout->at >= least && cb_host_now_usec(host) >= until_usec)
			break;
	}
	if (scout->at < scout->n_todo)
		return;
	scout->scanning = false;
	settle(host, until_usec == 0, fn, userdata);
}

void cb_scout_all(struct cb_host *host, cb_scout_fn fn, void *userdata)
{
	struct cb_scout *scout = host->scout;

	if (!scout)
		return;
	cb_scout_spaces_dump(scout);
	if (begin_scan(host))
		scan(host, 0, fn, userdata);
}

/* --- new processes --- */

static void add_fresh(struct cb_scout *scout, int32_t pid)
{
	if (scout->n_fresh == CB_SCOUT_FRESH_MAX) {
		scout->rescan = true;
		return;
	}
	scout->fresh[scout->n_fresh++] = (struct cb_scout_fresh){ .pid = pid, .looks = LOOKS };
}

void cb_scout_fork(struct cb_host *host, const struct cb_fork *fork)
{
	if (host->scout && fork->child_tid == fork->child_tgid)
		add_fresh(host->scout, fork->child_tgid);
}

void cb_scout_lost(struct cb_host *host)
{
	if (host->scout)
		host->scout->rescan = true;
}

static void forked(const struct cb_fork *fork, void *userdata)
{
	cb_scout_fork(userdata, fork);
}

/* Without the connector: the processes that were not there in the tick before. */
static void list_new(struct cb_host *host)
{
	struct cb_scout *scout = host->scout;
	int32_t *swap;
	size_t n = 0;

	if (scout->proc_fd < 0) {
		scout->proc_fd = cb_host_openat(host, CB_PATH_PROC_DIR, O_RDONLY | O_DIRECTORY);
		scout->listed = calloc(LISTED_MAX, sizeof(*scout->listed));
		scout->known = calloc(LISTED_MAX, sizeof(*scout->known));
	}
	if (scout->proc_fd < 0 || !scout->listed || !scout->known ||
	    cb_dir_numbers(scout->proc_fd, scout->listed, LISTED_MAX, &n) < 0)
		return;
	/* The kernel lists them in ascending order. */
	for (size_t i = 0, j = 0; i < n; i++) {
		while (j < scout->n_known && scout->known[j] < scout->listed[i])
			j++;
		if (scout->n_known > 0 &&
		    (j == scout->n_known || scout->known[j] != scout->listed[i]))
			add_fresh(scout, scout->listed[i]);
	}
	swap = scout->known;
	scout->known = scout->listed;
	scout->listed = swap;
	scout->n_known = n;
}

static void hear(struct cb_host *host, struct cb_journal *journal)
{
	struct cb_scout *scout = host->scout;

	if (!host->proc_conn && host->netlink && !scout->no_conn) {
		scout->no_conn = cb_proc_conn_open(&host->proc_conn) < 0;
		scout->rescan = true;
	}
	if (!host->proc_conn) {
		list_new(host);
		return;
	}
	/* With something to follow the heirs have just heard, and told us. */
	if (journal && cb_journal_n_tasks(journal) > 0)
		return;
	switch (cb_proc_conn_drain(host->proc_conn, forked, host)) {
	case 0:
		break;
	case -ENOBUFS:
		scout->rescan = true;
		break;
	default:
		host->proc_conn = cb_proc_conn_free(host->proc_conn);
		scout->no_conn = scout->rescan = true;
	}
}

/* Whether that was not the last look. */
static bool look_again(struct cb_host *host, struct cb_scout_fresh *fresh, cb_scout_fn fn,
		       void *userdata)
{
	bool holds = look(host, fresh->pid, fn, userdata);

	if (fresh->looks > 1) {
		fresh->looks--;
		return true;
	}
	fresh->span = fresh->span ? fresh->span * 2 : 1;
	/* One more, for it is decremented at once. */
	fresh->wait = fresh->span + 1;
	return holds && fresh->span <= SPAN_MAX;
}

static void look_at_fresh(struct cb_host *host, uint64_t until_usec, cb_scout_fn fn, void *userdata)
{
	struct cb_scout *scout = host->scout;
	uint32_t n_left = 0, i;

	for (i = 0; i < scout->n_fresh && (i < LOOKS_LEAST || cb_host_now_usec(host) < until_usec);
	     i++) {
		struct cb_scout_fresh *fresh = &scout->fresh[i];

		if (fresh->wait <= 1 && !look_again(host, fresh, fn, userdata))
			continue;
		fresh->wait -= fresh->wait > 1;
		scout->fresh[n_left++] = *fresh;
	}
	memmove(&scout->fresh[n_left], &scout->fresh[i],
		(scout->n_fresh - i) * sizeof(scout->fresh[0]));
	scout->n_fresh -= i - n_left;
}

void cb_scout_tick(struct cb_host *host, struct cb_journal *journal, cb_scout_fn fn, void *userdata)
{
	struct cb_scout *scout = host->scout;
	uint64_t now_usec;

	if (!scout)
		return;
	now_usec = cb_host_now_usec(host);
	hear(host, journal);
	if (cb_scout_spaces_dump(scout))
		scout->rescan = true;
	look_at_fresh(host, cb_host_now_usec(host) + BUDGET_USEC, fn, userdata);
	if (!scout->scanning && (scout->rescan || now_usec >= scout->rescan_usec) &&
	    !begin_scan(host))
		return;
	if (scout->scanning)
		scan(host, cb_host_now_usec(host) + BUDGET_USEC, fn, userdata);
}

/* --- answers --- */

int cb_scout_check(struct cb_host *host, uint32_t group_key, int32_t pid)
{
	struct cb_scout *scout = host->scout;
	uint32_t index = scout ? cb_scout_group_index(scout, group_key) : 0;
	struct cb_scout_look found;
	uint64_t bit;
	int r;

	if (!scout || index == scout->n_groups)
		return 1;
	bit = UINT64_C(1) << index;
	cb_scout_spaces_dump(scout);
	r = cb_scout_look(host, pid, bit, &found);
	return r < 0 ? r : (found.serves & bit) != 0 || (found.holds & bit) != 0;
}

bool cb_scout_state(struct cb_host *host, uint32_t group_key, struct cb_scout_state *ret)
{
	const struct cb_scout *scout = host->scout;
	uint32_t index = scout ? cb_scout_group_index(scout, group_key) : 0;

	if (!scout || index == scout->n_groups)
		return false;
	*ret = scout->group[index].state;
	ret->follows = host->proc_conn != NULL;
	for (uint32_t i = 0; i < scout->n_spaces; i++)
		for (uint32_t j = 0; j < scout->space[i].n; j++)
			ret->n_sockets += (scout->space[i].socket[j].groups >> index & 1) != 0;
	return true;
}
