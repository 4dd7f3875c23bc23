/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What a stretch of code asks of the kernel and of the allocator. It runs in a child that this process traces, so that nothing but
 * ptrace(2) is needed, and no privilege. The child stops at each system call; two of a kind that nobody else makes mark where counting
 * begins and ends. Allocations are counted by taking the place of the C library's functions, which are called underneath: that is
 * why this is a header, for the one program that includes it, and not in the library of all tests.
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
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define CALLS_KINDS_MAX 64u

struct calls {
	uint32_t n; /* system calls in all */
	uint32_t n_kinds;
	struct {
		long nr;
		uint32_t n;
	} kind[CALLS_KINDS_MAX];
	uint32_t n_allocations; /* malloc(), calloc(), realloc(), free() and what is made of them */
};

/* Harmless, and made by nothing that is counted here. */
#define MARK SYS_getpgrp_or_sid
#ifdef SYS_getpgrp
#define SYS_getpgrp_or_sid SYS_getpgrp
#else
#define SYS_getpgrp_or_sid SYS_getsid
#endif

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
static uint32_t n_allocations;
#else
#define SANITIZED false
static volatile uint32_t n_allocations;

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *block, size_t size);
extern void __libc_free(void *block);

void *malloc(size_t size)
{
	n_allocations++;
	return __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
	n_allocations++;
	return __libc_calloc(n, size);
}

void *realloc(void *block, size_t size)
{
	n_allocations++;
	return __libc_realloc(block, size);
}

void free(void *block)
{
	n_allocations += block != NULL;
	__libc_free(block);
}
#endif

/* False, with a line that says why, where this cannot be done. */
static bool calls_possible(void)
{
	const char *preloaded = getenv("LD_PRELOAD");

	if (SANITIZED || (preloaded && strstr(preloaded, "vgpreload"))) {
		print_message("skip: a sanitizer or valgrind makes calls of its own\n");
		return false;
	}
	return true;
}

static _Noreturn void run_child(void (*fn)(void *userdata), void *userdata, uint32_t n_times,
				uint32_t *ret_allocations)
{
	uint32_t before;

	fn(userdata);
	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
		_exit(2);
	raise(SIGSTOP);
	before = n_allocations;
	syscall(MARK, 0);
	for (uint32_t i = 0; i < n_times; i++)
		fn(userdata);
	syscall(MARK, 0);
	*ret_allocations = n_allocations - before;
	_exit(0);
}

static void count(struct calls *calls, long nr)
{
	uint32_t i = 0;

	while (i < calls->n_kinds && calls->kind[i].nr != nr)
		i++;
	assert_true(i < CALLS_KINDS_MAX);
	if (i == calls->n_kinds) {
		calls->kind[calls->n_kinds++].nr = nr;
		calls->kind[i].n = 0;
	}
	calls->kind[i].n++;
	calls->n++;
}

/* Until the child ends. Returns its status. */
static int follow(pid_t pid, struct calls *calls)
{
	bool counting = false;
	int status, pass_on = 0;

	for (;;) {
		struct __ptrace_syscall_info info;

		if (ptrace(PTRACE_SYSCALL, pid, NULL, pass_on) < 0)
			fail_msg("ptrace: %s", strerror(errno));
		if (waitpid(pid, &status, 0) != pid || WIFEXITED(status) || WIFSIGNALED(status))
			return status;
		pass_on = WSTOPSIG(status) == (SIGTRAP | 0x80) ? 0 : WSTOPSIG(status);
		if (pass_on)
			continue;
		if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info) <= 0)
			fail_msg("ptrace: %s", strerror(errno));
		if (info.op != PTRACE_SYSCALL_INFO_ENTRY)
			continue;
		if (info.entry.nr == MARK)
			counting = !counting;
		else if (counting)
			count(calls, (long)info.entry.nr);
	}
}

/* Run @fn once for nothing and then, counted, @n_times. */
static void calls_count(void (*fn)(void *userdata), void *userdata, uint32_t n_times,
			struct calls *ret)
{
	uint32_t *allocations = mmap(NULL, sizeof(*allocations), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status;
	pid_t pid;

	assert_true(allocations != MAP_FAILED);
	memset(ret, 0, sizeof(*ret));
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		run_child(fn, userdata, n_times, allocations);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSTOPPED(status));
	assert_true(ptrace(PTRACE_SETOPTIONS, pid, NULL,
			   PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL) == 0);
	status = follow(pid, ret);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	ret->n_allocations = *allocations;
	munmap(allocations, sizeof(*allocations));
}

static uint32_t calls_of(const struct calls *calls, long nr)
{
	for (uint32_t i = 0; i < calls->n_kinds; i++)
		if (calls->kind[i].nr == nr)
			return calls->kind[i].n;
	return 0;
}

/* One line for each kind: "# 20 x system call 17". */
static void calls_print(const struct calls *calls)
{
	for (uint32_t i = 0; i < calls->n_kinds; i++)
		print_message("# %u x system call %ld\n", calls->kind[i].n, calls->kind[i].nr);
	print_message("# %u system calls, %u allocations\n", calls->n, calls->n_allocations);
}
