/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Other owners are found by the names of processes, wherever in the list of processes they stand: a young one by the second look
 * after it came, an old one that executes another program when its turn comes, and one that is gone is missed at once. By
 * the name of an owner that nobody runs beside the tests.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/host/host_internal.h"

/* Looks until every process that there is has had its turn, with room for many. */
#define LOOKS_MAX 4096u

static struct cb_host *host;
static pid_t child;

static int setup(void **state)
{
	struct cb_host_options options = { 0 };

	(void)state;
	child = 0;
	return cb_host_open(&options, &host, NULL);
}

static int teardown(void **state)
{
	(void)state;
	if (child > 0) {
		kill(child, SIGKILL);
		waitpid(child, NULL, 0);
	}
	host = cb_host_close(host);
	return 0;
}

static int32_t look(void)
{
	(void)cb_host_irqbalance_runs(host);
	return host->owner_pid[CB_PROCESS_KUBELET];
}

static void rename_when_told(int unused)
{
	(void)unused;
	prctl(PR_SET_NAME, "kubelet");
}

/* A process that is called so, or will be when it gets a signal. */
static void start(bool at_once)
{
	int ready[2];
	char c;

	assert_int_equal(pipe(ready), 0);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGUSR1, rename_when_told);
		if (at_once)
			rename_when_told(0);
		if (write(ready[1], "r", 1) == 1)
			for (;;)
				pause();
		_exit(1);
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	close(ready[0]);
	close(ready[1]);
}

/* What is true of those that are not ours makes no sense of these cases. */
#define NEEDS_NOBODY()                                     \
	do {                                               \
		if (look() != 0) {                         \
			print_message("skip: one runs\n"); \
			skip();                            \
		}                                          \
	} while (0)

static void finds_a_young_one(void **state)
{
	(void)state;
	NEEDS_NOBODY();
	assert_int_equal(look(), 0);
	assert_int_equal(look(), 0);
	start(true);
	(void)look();
	assert_int_equal(look(), child);
	assert_int_equal(look(), child);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	child = 0;
	assert_int_equal(look(), 0);
}

static void finds_an_old_one_in_turn(void **state)
{
	unsigned int n = 0;

	(void)state;
	NEEDS_NOBODY();
	start(false);
	for (int i = 0; i < 4; i++)
		assert_int_equal(look(), 0);
	kill(child, SIGUSR1);
	while (look() == 0)
		assert_true(++n < LOOKS_MAX);
	assert_int_equal(look(), child);
}

/* As if numbers had begun anew: what is said to be youngest is below what was. */
static void finds_one_when_numbers_begin_anew(void **state)
{
	(void)state;
	NEEDS_NOBODY();
	assert_int_equal(look(), 0);
	start(true);
	host->pid_before = INT32_MAX - 1;
	host->pid_last = child;
	assert_int_equal(look(), child);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(finds_a_young_one),
		TEST(finds_an_old_one_in_turn),
		TEST(finds_one_when_numbers_begin_anew),
	};

	return cmocka_run_group_tests_name("owner_names", tests, NULL, NULL);
}
