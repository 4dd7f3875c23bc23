/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the whole daemon asks of the kernel while nobody asks anything of it and nothing is registered: it is traced, and its system
 * calls are counted from one sleep to the next. A tick is one wake-up; now and then one looks at what nobody needs in each.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon.h"

#define SLEEPS	   40u
#define CALLS_MAX  1024u
#define NR_MAX	   512
#define UNSEEN_SEC 4 /* who has asked is looked after for three seconds more */
/* A tick without a look at who else is there: the clock, news of links and of hotplug, some files, the next alarm. */
#define MEAN_MAX  14u
#define QUIET_MAX 12u
/* Others are looked for every ten seconds, and what is open meanwhile is closed again. */
#define OPENING_MAX 3u

/* Between two sleeps. */
struct round {
	uint32_t n, n_opens, n_reads;
};

struct watched {
	struct round round[SLEEPS];
	uint32_t n_of[NR_MAX];
};

static bool is_sleep(uint64_t nr)
{
#ifdef SYS_epoll_wait
	if (nr == SYS_epoll_wait)
		return true;
#endif
	return nr == SYS_epoll_pwait || nr == SYS_epoll_pwait2;
}

static bool is_open(uint64_t nr)
{
#ifdef SYS_open
	if (nr == SYS_open)
		return true;
#endif
	return nr == SYS_openat || nr == SYS_openat2;
}

/* On to the next system call; a signal is passed on. */
static uint64_t next_call(pid_t pid)
{
	int status, pass_on = 0;

	for (;;) {
		struct __ptrace_syscall_info info;

		assert_true(ptrace(PTRACE_SYSCALL, pid, NULL, pass_on) == 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSTOPPED(status));
		if (WSTOPSIG(status) != (SIGTRAP | 0x80)) {
			pass_on = status >> 16 ? 0 : WSTOPSIG(status);
			continue;
		}
		pass_on = 0;
		if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info) <= 0)
			fail_msg("ptrace: %s", strerror(errno));
		if (info.op == PTRACE_SYSCALL_INFO_ENTRY)
			return info.entry.nr;
	}
}

static void watch(pid_t pid, struct watched *ret)
{
	int status;

	if (ptrace(PTRACE_SEIZE, pid, NULL, PTRACE_O_TRACESYSGOOD) < 0 ||
	    ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) < 0) {
		print_message("skip: ptrace: %s\n", strerror(errno));
		skip();
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	for (uint32_t i = 0; i < CALLS_MAX && !is_sleep(next_call(pid)); i++)
		;
	for (uint32_t sleeps = 0; sleeps < SLEEPS;) {
		struct round *round = &ret->round[sleeps];
		uint64_t nr = next_call(pid);

		if (is_sleep(nr)) {
			sleeps++;
			continue;
		}
		round->n++;
		round->n_opens += is_open(nr);
		round->n_reads += nr == SYS_pread64;
		if (nr < NR_MAX)
			ret->n_of[nr]++;
		assert_true(round->n < CALLS_MAX);
	}
	/* Its sleep is broken off, which it takes for one that has ended. */
	assert_true(ptrace(PTRACE_DETACH, pid, NULL, 0) == 0);
}

static void asks_for_little(void **state)
{
	static struct watched watched;
	uint32_t n = 0, n_quiet = 0, n_opening = 0;
	struct daemon daemon;

	(void)state;
	daemon_init(&daemon);
	daemon_start(&daemon, NULL);
	sleep(UNSEEN_SEC);
	watch(daemon.pid, &watched);
	for (uint32_t i = 0; i < SLEEPS; i++) {
		const struct round *round = &watched.round[i];

		assert_true(round->n_reads >= 1);
		if (round->n_opens > 0)
			n_opening++;
		else
			n += round->n;
		n_quiet += round->n <= QUIET_MAX;
	}
	for (uint32_t nr = 0; nr < NR_MAX; nr++)
		if (watched.n_of[nr])
			print_message("# %u x system call %u\n", watched.n_of[nr], nr);
	print_message(
		"# %u of %u ticks open something; %u system calls in the others, %u ticks with %u at most\n",
		n_opening, SLEEPS, n, n_quiet, QUIET_MAX);
	assert_true(n_opening <= OPENING_MAX);
	assert_true(n_quiet >= SLEEPS / 2);
	assert_true(n <= MEAN_MAX * (SLEEPS - n_opening));
	daemon_done(&daemon);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(asks_for_little) };

	(void)argc;
	daemon_need_bus(argv);
	return cmocka_run_group_tests_name("idle", tests, NULL, NULL);
}
