/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Real processes, real masks, one real interrupt: placed by cb_apply(), put back by a release, a restart or the offline
 * restore. The test forks its own workers; all that they leave ends when their pipe does. Every mask of anything else
 * is as before at the end.
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

static struct cb_cpuset cpu(unsigned int number)
{
	return cb_cpuset_of(number);
}

/* --- masks as the kernel tells them --- */

static struct cb_cpuset mask_of(pid_t tid)
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

static void set_mask(pid_t tid, const struct cb_cpuset *mask)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CB_CPUSET_FOREACH(i, mask)
		CPU_SET(i, &set);
	assert_int_equal(sched_setaffinity(tid, sizeof(set), &set), 0);
}

static void assert_mask(pid_t tid, struct cb_cpuset mask)
{
	struct cb_cpuset is = mask_of(tid);
	char shown[64], wanted[64];

	if (!cb_cpuset_equal(&is, &mask))
		fail_msg("%d has %s, not %s", tid, cb_cpuset_show(&is, shown, sizeof(shown)),
			 cb_cpuset_show(&mask, wanted, sizeof(wanted)));
}

/* Threads of @pid with another mask. */
static unsigned int count_others(pid_t pid, struct cb_cpuset mask)
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

static void feed(struct setting *s, const struct cb_input *input)
{
	static struct cb_decision decision;

	assert_int_equal(cb_engine_feed(s->engine, input, &decision), 0);
}

static void feed_event(struct setting *s, const struct cb_event *event)
{
	const struct cb_input input = { .kind = CB_INPUT_EVENT, .now_usec = 1, .event = event };

	feed(s, &input);
}

static void open_engine(struct setting *s)
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

static void reopen(struct setting *s, bool no_netlink, bool dry_run)
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

static int begin(void **state)
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

static bool gone(int32_t pid)
{
	return kill(pid, 0) < 0 && errno == ESRCH;
}

static int end(void **state)
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

static bool ready(void)
{
	if (!why_not)
		return true;
	print_message("skip: %s\n", why_not);
	skip();
	return false;
}

/* --- what the worker does --- */

static void tell(struct setting *s, int32_t number)
{
	if (write(s->news[1], &number, sizeof(number)) != sizeof(number))
		_exit(9);
}

static int32_t hear(struct setting *s)
{
	struct pollfd pfd = { .fd = s->news[0], .events = POLLIN };
	int32_t number = 0;

	if (poll(&pfd, 1, 60000) != 1)
		fail_msg("nothing is told");
	assert_int_equal(read(s->news[0], &number, sizeof(number)), sizeof(number));
	return number;
}

/* A pid that somebody tells, to be waited for at the end. */
static int32_t hear_pid(struct setting *s)
{
	int32_t pid = hear(s);

	assert_true(s->n_followed < CHILDREN_MAX);
	s->followed[s->n_followed++] = pid;
	return pid;
}

static _Noreturn void wait_for_the_end(struct setting *s)
{
	char c;

	close(s->life[1]);
	while (read(s->life[0], &c, 1) > 0)
		;
	_exit(0);
}

/* Start a worker with mask `both`; it says its pid when it is ready. */
static pid_t start(struct setting *s, void (*work)(struct setting *s))
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

static void register_worker(struct setting *s, pid_t pid)
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

static struct cb_step apply(struct setting *s, enum cb_item_kind kind, uint32_t key, enum cb_op op,
			    const struct cb_cpuset *to)
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

static void place(struct setting *s, unsigned int number)
{
	const struct cb_cpuset to = cpu(number);
	const struct cb_step step = apply(s, CB_ITEM_WORKER, 1, CB_OP_SET, &to);

	if (step.state != CB_STEP_DONE)
		fail_msg("%s: %s, %s", cb_step_state_name(step.state),
			 cb_error_class_name(step.error_class), strerror(step.errnum));
}

/* A second of the daemon. */
static void tick(struct setting *s)
{
	cb_heirs_update(s->host, s->journal);
	cb_release_pending(s->host, s->journal);
}

static struct cb_outcome release(struct setting *s)
{
	static struct cb_outcome outcome;

	cb_release(s->host, s->journal, "test", &outcome);
	assert_int_equal(outcome.n_failed, 0);
	return outcome;
}

static void release_all(struct setting *s, uint32_t n)
{
	assert_int_equal(release(s).n_restored, n);
	/* A process with late offspring is looked at until there is none. */
	for (unsigned int i = 0; i < 20 && cb_journal_count(s->journal) > 0; i++)
		tick(s);
	assert_int_equal(cb_journal_count(s->journal), 0);
}

/* --- threads --- */

static void *wait_in_thread(void *userdata)
{
	struct setting *s = userdata;
	char c;

	tell(s, (int32_t)syscall(SYS_gettid));
	while (read(s->life[0], &c, 1) > 0)
		;
	return NULL;
}

static void work_three_threads(struct setting *s)
{
	pthread_t thread;

	for (int i = 0; i < 2; i++)
		if (pthread_create(&thread, NULL, wait_in_thread, s) != 0)
			_exit(9);
	wait_for_the_end(s);
}

static void threads_with_originals_of_their_own(void **state)
{
	struct setting *s = *state;
	struct cb_cpuset a, b;
	int32_t first, second;
	pid_t pid;

	if (!ready())
		return;
	a = cpu(s->a);
	b = cpu(s->b);
	pid = start(s, work_three_threads);
	first = hear(s);
	second = hear(s);
	set_mask(pid, &s->both);
	set_mask(first, &a);
	set_mask(second, &b);
	register_worker(s, pid);
	place(s, s->b);
	assert_int_equal(count_others(pid, b), 0);
	place(s, s->a);
	assert_int_equal(count_others(pid, a), 0);
	/* One of them is at its original now: it may have been forgotten already. */
	assert_true(release(s).n_restored >= 2);
	assert_int_equal(cb_journal_count(s->journal), 0);
	assert_mask(pid, s->both);
	assert_mask(first, a);
	assert_mask(second, b);
	/* By a plan that is undone, the same. */
	place(s, s->a);
	assert_int_equal(apply(s, CB_ITEM_WORKER, 1, CB_OP_RESTORE, &a).state, CB_STEP_DONE);
	assert_int_equal(cb_journal_count(s->journal), 0);
	assert_mask(pid, s->both);
	assert_mask(second, b);
}

static void *breed(void *userdata)
{
	struct setting *s = userdata;
	struct pollfd pfd = { .fd = s->life[0], .events = POLLIN };
	pthread_attr_t attr;
	pthread_t thread;

	/* Until the end, or until there is no memory for another. */
	if (poll(&pfd, 1, 1) != 0)
		return NULL;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_create(&thread, &attr, breed, s);
	pthread_attr_destroy(&attr);
	return NULL;
}

static void work_breed(struct setting *s)
{
	pthread_t thread;

	for (int i = 0; i < 4; i++)
		pthread_create(&thread, NULL, breed, s);
	tell(s, getpid());
	wait_for_the_end(s);
}

static void threads_that_come_and_go(void **state)
{
	struct setting *s = *state;
	pid_t pid;

	if (!ready())
		return;
	pid = start(s, work_breed);
	hear(s);
	/* Its threads had been made before it got its mask. */
	for (int i = 0; i < 100 && count_others(pid, s->both) > 0; i++)
		poll(NULL, 0, 5);
	register_worker(s, pid);
	for (unsigned int i = 0; i < 20; i++) {
		struct cb_cpuset to = cpu(i % 2 ? s->a : s->b);

		place(s, i % 2 ? s->a : s->b);
		/* A thread that was being made just then follows with the next tick. */
		for (unsigned int n = 0; n < 200 && count_others(pid, to) > 0; n++) {
			poll(NULL, 0, 5);
			tick(s);
		}
		assert_int_equal(count_others(pid, to), 0);
	}
	release(s);
	for (unsigned int n = 0; n < 200 && cb_journal_count(s->journal) > 0; n++) {
		poll(NULL, 0, 5);
		tick(s);
	}
	assert_int_equal(cb_journal_count(s->journal), 0);
	assert_int_equal(count_others(pid, s->both), 0);
}

/* --- offspring --- */

/* Fork; the child waits, and its pid is told. */
static pid_t fork_waiting(struct setting *s)
{
	pid_t child = fork();

	if (child == 0) {
		tell(s, getpid());
		wait_for_the_end(s);
	}
	return child;
}

/* On a byte: a successor, then the end. */
static void work_successor(struct setting *s)
{
	char c;

	tell(s, getpid());
	if (read(s->life[0], &c, 1) == 1)
		fork_waiting(s);
	_exit(0);
}

static void poke(struct setting *s)
{
	assert_int_equal(write(s->life[1], "x", 1), 1);
}

static void reap(struct setting *s)
{
	assert_int_equal(waitpid(s->child, NULL, 0), s->child);
	s->child = 0;
}

static void successor(struct setting *s)
{
	int32_t next;
	pid_t pid = start(s, work_successor);

	hear(s);
	register_worker(s, pid);
	place(s, s->a);
	tick(s);
	poke(s);
	next = hear_pid(s);
	reap(s);
	assert_mask(next, cpu(s->a));
	tick(s);
	tick(s);
	assert_int_equal(cb_journal_count(s->journal), 1);
	assert_int_equal(cb_journal_at(s->journal, 0)->tid, next);
	release_all(s, 1);
	assert_mask(next, s->both);
}

static void worker_forks_its_successor_and_ends(void **state)
{
	struct setting *s = *state;

	if (!ready())
		return;
	successor(s);
	assert_true(!s->host->proc_conn || cb_journal_count(s->journal) == 0);
}

static void the_same_without_netlink(void **state)
{
	struct setting *s = *state;

	if (!ready())
		return;
	reopen(s, true, false);
	successor(s);
	assert_null(s->host->proc_conn);
}

static void work_fork_twice(struct setting *s)
{
	char c;

	tell(s, getpid());
	if (read(s->life[0], &c, 1) != 1)
		_exit(0);
	if (fork() == 0) {
		fork_waiting(s);
		_exit(0);
	}
	wait(NULL);
	tell(s, getpid());
	wait_for_the_end(s);
}

static void fork_twice(struct setting *s)
{
	int32_t grandchild;
	pid_t pid = start(s, work_fork_twice);

	hear(s);
	register_worker(s, pid);
	place(s, s->a);
	tick(s);
	poke(s);
	grandchild = hear_pid(s);
	if (grandchild == pid) /* said first that the middle has ended */
		grandchild = hear_pid(s);
	else
		hear(s);
	tick(s);
	release_all(s, 2);
	assert_mask(pid, s->both);
	assert_mask(grandchild, s->both);
}

static void daemon_forks_twice(void **state)
{
	if (ready())
		fork_twice(*state);
}

static void daemon_forks_twice_without_netlink(void **state)
{
	if (!ready())
		return;
	reopen(*state, true, false);
	fork_twice(*state);
}

/* On a byte: itself anew, by exec; on another: a helper, by fork and exec. */
static void exec_self(struct setting *s)
{
	char life[16], news[16];

	fcntl(s->life[0], F_SETFD, 0);
	fcntl(s->news[1], F_SETFD, 0);
	snprintf(life, sizeof(life), "%d", s->life[0]);
	snprintf(news, sizeof(news), "%d", s->news[1]);
	execl("/proc/self/exe", "test_affinity", "--work", life, news, (char *)NULL);
	_exit(9);
}

static void work_exec(struct setting *s)
{
	char c;

	tell(s, getpid());
	if (read(s->life[0], &c, 1) == 1)
		exec_self(s);
	_exit(0);
}

/* What the program does after exec: says so; on a byte makes a helper, which is it again. */
static int work_after_exec(int life, int news)
{
	struct setting s = { .life = { life, -1 }, .news = { -1, news } };
	char c;

	tell(&s, getpid());
	if (read(life, &c, 1) == 1 && fork() == 0)
		exec_self(&s);
	while (read(life, &c, 1) > 0)
		;
	return 0;
}

static void worker_that_execs_itself(void **state)
{
	struct setting *s = *state;
	int32_t helper;
	pid_t pid;

	if (!ready())
		return;
	pid = start(s, work_exec);
	hear(s);
	register_worker(s, pid);
	place(s, s->a);
	tick(s);
	poke(s);
	assert_int_equal(hear(s), pid);
	assert_mask(pid, cpu(s->a));
	tick(s);
	assert_int_equal(cb_journal_count(s->journal), 1);
	/* The same process still, it can be placed again, and has a helper. */
	place(s, s->b);
	poke(s);
	helper = hear_pid(s);
	assert_mask(helper, cpu(s->b));
	tick(s);
	assert_int_equal(cb_journal_count(s->journal), 2);
	release_all(s, 2);
	assert_mask(pid, s->both);
	assert_mask(helper, s->both);
}

static void work_many_children(struct setting *s)
{
	char c;

	tell(s, getpid());
	if (read(s->life[0], &c, 1) != 1)
		_exit(0);
	for (int i = 0; i < 500; i++) {
		pid_t child = fork();

		if (child == 0)
			_exit(0);
		waitpid(child, NULL, 0);
	}
	tell(s, getpid());
	wait_for_the_end(s);
}

static void short_lived_helpers_leave_nothing(void **state)
{
	struct setting *s = *state;
	pid_t pid;

	if (!ready())
		return;
	pid = start(s, work_many_children);
	hear(s);
	register_worker(s, pid);
	place(s, s->a);
	poke(s);
	hear(s);
	tick(s);
	assert_int_equal(cb_journal_count(s->journal), 1);
	release_all(s, 1);
	assert_mask(pid, s->both);
}

/* --- what is left alone --- */

static void work_wait(struct setting *s)
{
	tell(s, getpid());
	wait_for_the_end(s);
}

static void worker_that_pins_itself(void **state)
{
	struct setting *s = *state;
	struct cb_cpuset b;
	pid_t pid;

	if (!ready())
		return;
	b = cpu(s->b);
	pid = start(s, work_wait);
	hear(s);
	register_worker(s, pid);
	place(s, s->a);
	set_mask(pid, &b);
	assert_int_equal(apply(s, CB_ITEM_WORKER, 1, CB_OP_RESTORE, &s->both).error_class,
			 CB_ERROR_FOREIGN);
	assert_mask(pid, b);
	assert_int_equal(cb_journal_count(s->journal), 0);
	/* From here on that is its original. */
	place(s, s->a);
	release_all(s, 1);
	assert_mask(pid, b);
}

static void worker_that_is_gone(void **state)
{
	struct setting *s = *state;
	struct cb_cpuset a;
	pid_t pid;

	if (!ready())
		return;
	a = cpu(s->a);
	pid = start(s, work_wait);
	hear(s);
	register_worker(s, pid);
	place(s, s->a);
	kill(pid, SIGKILL);
	/* Dead and not waited for: a zombie takes any mask, and is gone all the same. */
	for (int i = 0; i < 1000; i++) {
		siginfo_t info = { .si_pid = 0 };

		if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
		    info.si_pid == pid)
			break;
		poll(NULL, 0, 5);
	}
	assert_int_equal(apply(s, CB_ITEM_WORKER, 1, CB_OP_SET, &a).state, CB_STEP_GONE);
	reap(s);
	assert_int_equal(apply(s, CB_ITEM_WORKER, 1, CB_OP_SET, &a).state, CB_STEP_GONE);
	tick(s);
	assert_int_equal(cb_journal_count(s->journal), 0);
}

static void dry_run_touches_nothing(void **state)
{
	struct setting *s = *state;
	pid_t pid;

	if (!ready())
		return;
	reopen(s, false, true);
	pid = start(s, work_wait);
	hear(s);
	register_worker(s, pid);
	place(s, s->a);
	assert_mask(pid, s->both);
	assert_int_equal(cb_journal_count(s->journal), 1);
	place(s, s->b);
	tick(s);
	release_all(s, 1);
	assert_mask(pid, s->both);
}

/* A kernel thread that is bound to its CPU: refused, nothing written, nothing remembered. */
static void bound_kernel_thread(void **state)
{
	struct setting *s = *state;
	struct cb_change change = { 0 };
	struct cb_target target = { .group = "test" };
	struct cb_task_stat stat;
	struct cb_step step = { .item = { .kind = CB_ITEM_WORKER } };
	int32_t *pids = NULL;
	size_t n = 0;

	if (!ready())
		return;
	change.writer = s->host->writer;
	change.journal = s->journal;
	step.to = cpu(s->b);
	assert_int_equal(change.writer->ops->process_list(change.writer, &pids, &n), 0);
	for (size_t i = 0; i < n; i++) {
		char name[32];

		snprintf(name, sizeof(name), "ksoftirqd/%u", s->a);
		if (change.writer->ops->task_stat(change.writer, pids[i], pids[i], &stat) < 0 ||
		    strcmp(stat.comm, name) != 0)
			continue;
		target.tgid = pids[i];
		target.start_ticks = stat.start_ticks;
	}
	free(pids);
	if (target.tgid == 0) {
		print_message("skip: kernel threads are not to be seen here\n");
		skip();
	}
	cb_place_process(&change, &target, &step);
	assert_int_equal(step.state, CB_STEP_FAILED);
	assert_int_equal(step.error_class, CB_ERROR_PERMANENT);
	assert_int_equal(step.errnum, EINVAL);
	assert_int_equal(cb_journal_count(s->journal), 0);
	assert_mask(target.tgid, cpu(s->a));
}

/* --- restarts and the offline restore --- */

static void a_restart_keeps_and_adopts(void **state)
{
	struct setting *s = *state;
	int32_t next;
	pid_t pid;

	if (!ready())
		return;
	pid = start(s, work_successor);
	hear(s);
	register_worker(s, pid);
	place(s, s->a);
	tick(s);
	/* It forks its successor and ends while no daemon runs. */
	s->journal = cb_journal_close(s->journal);
	s->host = cb_host_close(s->host);
	poke(s);
	next = hear_pid(s);
	reap(s);
	reopen(s, false, false);
	assert_int_equal(cb_journal_count(s->journal), 1);
	tick(s);
	assert_int_equal(cb_journal_count(s->journal), 1);
	assert_int_equal(cb_journal_at(s->journal, 0)->tid, next);
	assert_mask(next, cpu(s->a));
	release_all(s, 1);
	assert_mask(next, s->both);
}

static void say(const char *line, void *userdata)
{
	(void)userdata;
	print_message("%s\n", line);
}

static void offline_restore(void **state)
{
	struct setting *s = *state;
	struct cb_restore_result result;
	struct cb_err err = { "" };
	int32_t next;
	pid_t pid;

	if (!ready())
		return;
	pid = start(s, work_successor);
	hear(s);
	register_worker(s, pid);
	place(s, s->a);
	/* The daemon has it open. */
	assert_int_equal(cb_restore_offline(s->host, s->dir, say, NULL, &result, &err), -EBUSY);
	s->journal = cb_journal_close(s->journal);
	poke(s);
	next = hear_pid(s);
	reap(s);
	if (cb_restore_offline(s->host, s->dir, say, NULL, &result, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(result.n_restored, 1);
	assert_int_equal(result.n_gone, 1);
	assert_int_equal(result.n_failed + result.n_foreign + result.n_pending, 0);
	assert_mask(next, s->both);
	assert_int_equal(cb_restore_offline(s->host, s->dir, say, NULL, &result, &err), 0);
	assert_int_equal(result.n_restored + result.n_gone, 0);
}

/* --- interrupts --- */

/* One that may be moved over both CPUs, and that no traffic needs: of a console or of a device's settings. */
static bool harmless(const struct cb_irq_info *irq)
{
	size_t len = strlen(irq->actions);

	return irq->writable && cb_cpuset_count(&irq->affinity) > 1 &&
	       (strncmp(irq->actions, "ttyS", 4) == 0 ||
		(len > 7 && (strcmp(irq->actions + len - 7, "-config") == 0)) ||
		(len > 6 && strcmp(irq->actions + len - 6, "-event") == 0));
}

static struct cb_irqs *inventory(struct setting *s)
{
	struct cb_irqs *irqs = NULL;
	struct cb_err err = { "" };

	if (cb_host_irqs(s->host, 1, &irqs, &err) < 0)
		fail_msg("%s", err.msg);
	return irqs;
}

static void one_movable_interrupt(void **state)
{
	struct setting *s = *state;
	const struct cb_irq_info *irq = NULL;
	struct cb_writer *writer;
	struct cb_cpuset original, effective, mask, to;
	struct cb_irqs *irqs;
	struct cb_step step;
	uint32_t number = 0;

	if (!ready())
		return;
	writer = s->host->writer;
	irqs = inventory(s);
	for (uint32_t i = 0; i < irqs->n && !irq; i++)
		if (harmless(&irqs->irq[i]))
			irq = &irqs->irq[i];
	if (irq)
		number = irq->irq;
	free(irqs);
	if (!irq || cb_host_irqbalance_runs(s->host)) {
		print_message("skip: %s\n",
			      irq ? "irqbalance runs" : "no harmless movable interrupt");
		skip();
	}
	assert_int_equal(writer->ops->irq_get(writer, number, &original), 0);
	to = cpu(writer->ops->irq_effective(writer, number, &effective) == 0 &&
				 cb_cpuset_has(&effective, s->a) ?
			 s->b :
			 s->a);
	step = apply(s, CB_ITEM_IRQ, number, CB_OP_SET, &to);
	assert_true(step.state == CB_STEP_PENDING || step.state == CB_STEP_DONE);
	assert_int_equal(writer->ops->irq_get(writer, number, &mask), 0);
	assert_true(cb_cpuset_equal(&mask, &to));
	assert_int_equal(cb_journal_count(s->journal), 1);
	step = apply(s, CB_ITEM_IRQ, number, CB_OP_RESTORE, &original);
	assert_true(step.state == CB_STEP_PENDING || step.state == CB_STEP_DONE);
	if (step.state == CB_STEP_PENDING) {
		struct cb_restore_result result;

		/* It had moved: it goes home with its next occurrence, or gets its mask without. */
		s->journal = cb_journal_close(s->journal);
		assert_int_equal(cb_restore_offline(s->host, s->dir, say, NULL, &result, NULL), 0);
		assert_int_equal(result.n_restored, 1);
		reopen(s, false, false);
	}
	assert_int_equal(cb_journal_count(s->journal), 0);
	writer = s->host->writer;
	assert_int_equal(writer->ops->irq_get(writer, number, &mask), 0);
	assert_true(cb_cpuset_equal(&mask, &original));
}

/* Refused for good, and the journal forgets it: nothing has changed. */
static void one_managed_interrupt(void **state)
{
	struct setting *s = *state;
	struct cb_cpuset before, after, to;
	struct cb_irqs *irqs;
	struct cb_step step;
	uint32_t number = 0;
	bool found = false;

	if (!ready())
		return;
	irqs = inventory(s);
	for (uint32_t i = 0; i < irqs->n && !found; i++) {
		found = !irqs->irq[i].writable;
		number = irqs->irq[i].irq;
	}
	free(irqs);
	if (!found) {
		print_message("skip: no interrupt whose mask is read-only\n");
		skip();
	}
	to = cpu(s->a);
	assert_int_equal(s->host->writer->ops->irq_get(s->host->writer, number, &before), 0);
	if (cb_cpuset_equal(&before, &to))
		to = cpu(s->b);
	step = apply(s, CB_ITEM_IRQ, number, CB_OP_SET, &to);
	assert_int_equal(step.state, CB_STEP_FAILED);
	assert_int_equal(step.error_class, CB_ERROR_PERMANENT);
	assert_true(step.errnum == EPERM || step.errnum == EIO || step.errnum == EACCES);
	assert_int_equal(cb_journal_count(s->journal), 0);
	assert_int_equal(s->host->writer->ops->irq_get(s->host->writer, number, &after), 0);
	assert_true(cb_cpuset_equal(&before, &after));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(threads_with_originals_of_their_own),
		TEST(threads_that_come_and_go),
		TEST(worker_forks_its_successor_and_ends),
		TEST(the_same_without_netlink),
		TEST(daemon_forks_twice),
		TEST(daemon_forks_twice_without_netlink),
		TEST(worker_that_execs_itself),
		TEST(short_lived_helpers_leave_nothing),
		TEST(worker_that_pins_itself),
		TEST(worker_that_is_gone),
		TEST(dry_run_touches_nothing),
		TEST(bound_kernel_thread),
		TEST(a_restart_keeps_and_adopts),
		TEST(offline_restore),
		TEST(one_movable_interrupt),
		TEST(one_managed_interrupt),
	};

	if (argc == 4 && strcmp(argv[1], "--work") == 0)
		return work_after_exec(atoi(argv[2]), atoi(argv[3]));
	return cmocka_run_group_tests_name("affinity", tests, NULL, NULL);
}
