/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Real process trees: what inherits a mask from a placed worker ends with the true original. */
#include "affinity_test.h"

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

static void successor(struct setting *s)
{
	int32_t next;
	pid_t pid = start(s, work_successor);

	hear(s);
	register_worker(s, pid);
	place(s, s->a);
	tick(s);
	print_message("proc connector: %s\n", s->host->proc_conn ? "yes" : "no");
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
	/* Closed as soon as there is nobody to follow. */
	tick(s);
	assert_null(s->host->proc_conn);
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
	execl("/proc/self/exe", "test_offspring", "--work", life, news, (char *)NULL);
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

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(worker_forks_its_successor_and_ends),
		TEST(the_same_without_netlink),
		TEST(daemon_forks_twice),
		TEST(daemon_forks_twice_without_netlink),
		TEST(worker_that_execs_itself),
		TEST(short_lived_helpers_leave_nothing),
		TEST(a_restart_keeps_and_adopts),
		TEST(offline_restore),
	};

	if (argc == 4 && strcmp(argv[1], "--work") == 0)
		return work_after_exec(atoi(argv[2]), atoi(argv[3]));
	return cmocka_run_group_tests_name("offspring", tests, NULL, NULL);
}
