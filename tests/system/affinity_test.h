/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the tests on real processes share: a host, a journal and an engine with one registered worker, which the test forks
 * itself. All that it leaves ends when its pipe does. Every mask of anything else is as before at the end.
 */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/host/apply_internal.h"
#include "lib/host/host_internal.h"
#include "lib/host/journal_internal.h"

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

#define CHILDREN_MAX 16

struct setting {
	struct cb_host *host;
	struct cb_journal *journal;
	struct cb_engine *engine;
	char dir[256];
	unsigned int a, b; /* two CPUs that we may use */
	struct cb_cpuset both;
	int life[2]; /* what was forked ends when we close our end of it */
	int news[2]; /* pids from below */
	pid_t child;
	int32_t followed[CHILDREN_MAX]; /* grandchildren, to be waited for */
	unsigned int n_followed;
};

static const char *why_not;

static inline struct cb_cpuset cpu(unsigned int number)
{
	return cb_cpuset_of(number);
}

/* --- masks as the kernel tells them --- */

static inline struct cb_cpuset mask_of(pid_t tid)
{
	struct cb_cpuset ret = CB_CPUSET_EMPTY;
	cpu_set_t set;

	CPU_ZERO(&set);
	if (sched_getaffinity(tid, sizeof(set), &set) == 0)
		for (unsigned int i = 0; i < CPU_SETSIZE; i++)
			if (CPU_ISSET(i, &set))
				cb_cpuset_set(&ret, i);
	return ret;
}

static inline void set_mask(pid_t tid, const struct cb_cpuset *mask)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CB_CPUSET_FOREACH(i, mask)
		CPU_SET(i, &set);
	assert_int_equal(sched_setaffinity(tid, sizeof(set), &set), 0);
}

static inline void assert_mask(pid_t tid, struct cb_cpuset mask)
{
	struct cb_cpuset is = mask_of(tid);
	char shown[64], wanted[64];

	if (!cb_cpuset_equal(&is, &mask))
		fail_msg("%d has %s, not %s", tid, cb_cpuset_show(&is, shown, sizeof(shown)),
			 cb_cpuset_show(&mask, wanted, sizeof(wanted)));
}

/* Threads of @pid with another mask. */
static inline unsigned int count_others(pid_t pid, struct cb_cpuset mask)
{
	unsigned int n = 0;
	char path[64];
	struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	dir = opendir(path);
	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		struct cb_cpuset is = atoi(entry->d_name) > 0 ? mask_of(atoi(entry->d_name)) : mask;

		n += !cb_cpuset_empty(&is) && !cb_cpuset_equal(&is, &mask);
	}
	closedir(dir);
	return n;
}

/* --- the setting --- */

static inline void feed(struct setting *s, const struct cb_input *input)
{
	static struct cb_decision decision;

	assert_int_equal(cb_engine_feed(s->engine, input, &decision), 0);
}

static inline void feed_event(struct setting *s, const struct cb_event *event)
{
	const struct cb_input input = { .kind = CB_INPUT_EVENT, .now_usec = 1, .event = event };

	feed(s, &input);
}

static inline void open_engine(struct setting *s)
{
	static struct cb_policy policy;
	struct cb_topology *topology = NULL;
	struct cb_input input = { .kind = CB_INPUT_POLICY, .now_usec = 1, .policy = &policy };
	struct cb_event event = { .kind = CB_EVENT_GROUP_ADDED,
				  .group_key = 1,
				  .group = { .name = "test" } };

	s->engine = cb_engine_new(1);
	assert_non_null(s->engine);
	cb_policy_init(&policy);
	feed(s, &input);
	assert_int_equal(cb_host_topology(s->host, 1, &topology, NULL), 0);
	input = (struct cb_input){ .kind = CB_INPUT_TOPOLOGY, .now_usec = 1, .topology = topology };
	feed(s, &input);
	cb_topology_unref(topology);
	feed_event(s, &event);
}

static inline void reopen(struct setting *s, bool no_netlink, bool dry_run)
{
	const struct cb_host_options options = { .no_netlink = no_netlink, .dry_run = dry_run };
	struct cb_err err = { "" };

	s->journal = cb_journal_close(s->journal);
	s->host = cb_host_close(s->host);
	if (cb_host_open(&options, &s->host, &err) < 0)
		fail_msg("%s", err.msg);
	if (cb_journal_open(dry_run ? NULL : s->dir, cb_host_boot_id(s->host), &s->journal, &err) <
	    0)
		fail_msg("%s", err.msg);
}

static inline int begin(void **state)
{
	static struct setting setting;
	struct setting *s = &setting;
	const char *tmp = getenv("TMPDIR");

	memset(s, 0, sizeof(*s));
	*state = s;
	s->both = mask_of(0);
	s->a = cb_cpuset_first(&s->both);
	s->b = cb_cpuset_next(&s->both, s->a + 1);
	why_not = geteuid() != 0 ? "needs root" : s->b >= CB_CPUS_MAX ? "needs two CPUs" : NULL;
	if (why_not)
		return 0;
	s->both = cpu(s->a);
	cb_cpuset_set(&s->both, s->b);
	snprintf(s->dir, sizeof(s->dir), "%s/affinity.XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(s->dir) || pipe2(s->life, O_CLOEXEC) < 0 || pipe2(s->news, O_CLOEXEC) < 0)
		return -1;
	reopen(s, false, false);
	open_engine(s);
	return 0;
}

static inline bool gone(int32_t pid)
{
	return kill(pid, 0) < 0 && errno == ESRCH;
}

static inline int end(void **state)
{
	struct setting *s = *state;
	char path[300];

	if (why_not)
		return 0;
	close(s->life[1]);
	if (s->child > 0) {
		kill(s->child, SIGKILL);
		waitpid(s->child, NULL, 0);
	}
	for (unsigned int i = 0; i < s->n_followed; i++)
		for (unsigned int n = 0; n < 1000 && !gone(s->followed[i]); n++)
			poll(NULL, 0, 5);
	close(s->life[0]);
	close(s->news[0]);
	close(s->news[1]);
	s->engine = cb_engine_free(s->engine);
	s->journal = cb_journal_close(s->journal);
	s->host = cb_host_close(s->host);
	snprintf(path, sizeof(path), "%s/journal", s->dir);
	unlink(path);
	return rmdir(s->dir);
}

static inline bool ready(void)
{
	if (!why_not)
		return true;
	print_message("skip: %s\n", why_not);
	skip();
	return false;
}

/* --- what the worker does --- */

static inline void tell(struct setting *s, int32_t number)
{
	if (write(s->news[1], &number, sizeof(number)) != sizeof(number))
		_exit(9);
}

static inline int32_t hear(struct setting *s)
{
	struct pollfd pfd = { .fd = s->news[0], .events = POLLIN };
	int32_t number = 0;

	if (poll(&pfd, 1, 60000) != 1)
		fail_msg("nothing is told");
	assert_int_equal(read(s->news[0], &number, sizeof(number)), sizeof(number));
	return number;
}

/* A pid that somebody tells, to be waited for at the end. */
static inline int32_t hear_pid(struct setting *s)
{
	int32_t pid = hear(s);

	assert_true(s->n_followed < CHILDREN_MAX);
	s->followed[s->n_followed++] = pid;
	return pid;
}

static inline _Noreturn void wait_for_the_end(struct setting *s)
{
	char c;

	close(s->life[1]);
	while (read(s->life[0], &c, 1) > 0)
		;
	_exit(0);
}

/* Start a worker with mask `both`; it says its pid when it is ready. */
static inline pid_t start(struct setting *s, void (*work)(struct setting *s))
{
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		close(s->life[1]);
		s->life[1] = -1;
		/* The journal is locked as long as anybody has it open. */
		s->journal = cb_journal_close(s->journal);
		work(s);
		_exit(0);
	}
	s->child = child;
	set_mask(child, &s->both);
	return child;
}

static inline void register_worker(struct setting *s, pid_t pid)
{
	struct cb_event event = { .kind = CB_EVENT_WORKER_ADDED };
	struct cb_worker_identity identity;
	struct cb_err err = { "" };

	if (cb_host_identify(s->host, pid, &identity, &err) < 0)
		fail_msg("%s", err.msg);
	event.worker = (struct cb_worker_added){
		.key = 1,
		.group_key = 1,
		.pid = pid,
		.start_ticks = identity.start_ticks,
		.cpuset = identity.cpuset,
		.original = identity.mask,
	};
	feed_event(s, &event);
}

static inline struct cb_step apply(struct setting *s, enum cb_item_kind kind, uint32_t key,
				   enum cb_op op, const struct cb_cpuset *to)
{
	static struct cb_decision decision;
	static struct cb_outcome outcome;

	decision = (struct cb_decision){ .action = CB_ACTION_APPLY, .plan_id = 3, .n_steps = 1 };
	decision.step[0] =
		(struct cb_step){ .item = { .kind = kind, .key = key }, .op = op, .to = *to };
	cb_apply(s->host, s->journal, s->engine, &decision, &outcome);
	assert_int_equal(outcome.plan_id, 3);
	assert_int_equal(outcome.n_steps, 1);
	return outcome.step[0];
}

static inline void place(struct setting *s, unsigned int number)
{
	const struct cb_cpuset to = cpu(number);
	const struct cb_step step = apply(s, CB_ITEM_WORKER, 1, CB_OP_SET, &to);

	if (step.state != CB_STEP_DONE)
		fail_msg("%s: %s, %s", cb_step_state_name(step.state),
			 cb_error_class_name(step.error_class), strerror(step.errnum));
}

/* A second of the daemon. */
static inline void tick(struct setting *s)
{
	cb_heirs_update(s->host, s->journal);
	cb_release_pending(s->host, s->journal);
}

static inline struct cb_outcome release(struct setting *s)
{
	static struct cb_outcome outcome;

	cb_release(s->host, s->journal, "test", &outcome);
	assert_int_equal(outcome.n_failed, 0);
	return outcome;
}

static inline void release_all(struct setting *s, uint32_t n)
{
	assert_int_equal(release(s).n_restored, n);
	/* A process with late offspring is looked at until there is none. */
	for (unsigned int i = 0; i < 20 && cb_journal_count(s->journal) > 0; i++)
		tick(s);
	assert_int_equal(cb_journal_count(s->journal), 0);
}

static inline void poke(struct setting *s)
{
	assert_int_equal(write(s->life[1], "x", 1), 1);
}

static inline void reap(struct setting *s)
{
	assert_int_equal(waitpid(s->child, NULL, 0), s->child);
	s->child = 0;
}

static inline void say(const char *line, void *userdata)
{
	(void)userdata;
	print_message("%s\n", line);
}
