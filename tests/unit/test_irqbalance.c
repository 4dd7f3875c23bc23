/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Coordination with irqbalance, with a process that speaks its protocol: bans are merged and given back, whatever happens in
 * between; nothing waits; and with somebody else who sets the same list there is no to and fro.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "cpubalance/sources.h"
#include "lib/host/host_internal.h"
#include "lib/host/irqbalance.h"

#define BOOT  "6f8a1c6e-0a9e-4c53-9f5c-0b3b6f5c1d11"
#define TICKS 2000u /* of 5 ms: far more than an exchange takes */

/* What the other process has in memory, where both see it. */
struct other {
	uint32_t n, irq[CB_BANS_MAX];
	uint32_t n_settings;
	bool silent;
};

struct setting {
	char dir[64];
	struct other *other;
	pid_t pid;
	struct cb_host host;
	struct cb_journal *journal;
};

static struct setting s;

/* --- the other process --- */

static void answer_setup(int fd)
{
	char text[CB_IRQBALANCE_ANSWER_MAX];
	size_t len = (size_t)snprintf(text, sizeof(text), "SLEEP 10 ");

	for (uint32_t i = 0; i < s.other->n; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
					"IRQ %u LOAD 0 DIFF 0 CLASS 0 ", s.other->irq[i]);
	len += (size_t)snprintf(text + len, sizeof(text) - len, "BANNED 00000000");
	(void)!write(fd, text, len);
}

static void take_settings(char *list)
{
	s.other->n = 0;
	s.other->n_settings++;
	for (char *save, *word = strtok_r(list, " ", &save); word && strcmp(word, "NONE") != 0;
	     word = strtok_r(NULL, " ", &save))
		s.other->irq[s.other->n++] = (uint32_t)atoi(word);
}

static _Noreturn void be_irqbalance(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM, 0), fd;
	char message[500], path[128];
	ssize_t n;

	/* There under its name only once it listens. */
	snprintf(path, sizeof(path), "%s/irqbalance%d.sock", s.dir, getpid());
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/new.sock", s.dir);
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(listener, 1) < 0 || rename(address.sun_path, path) < 0)
		_exit(1);
	while ((fd = accept(listener, NULL, NULL)) >= 0) {
		while (s.other->silent)
			usleep(2000);
		n = recv(fd, message, sizeof(message) - 1, 0);
		message[n > 0 ? n : 0] = '\0';
		if (strcmp(message, "setup") == 0)
			answer_setup(fd);
		else if (strncmp(message, "settings ban irqs ", 18) == 0)
			take_settings(message + 18);
		close(fd);
	}
	_exit(0);
}

static void start_other(void)
{
	char path[128];

	s.pid = fork();
	assert_true(s.pid >= 0);
	if (s.pid == 0)
		be_irqbalance();
	snprintf(path, sizeof(path), "%s/irqbalance%d.sock", s.dir, s.pid);
	while (access(path, F_OK) < 0)
		usleep(1000);
}

/* Known to the host, as after a look at all processes. */
static void introduce(void)
{
	struct cb_irqbalance *ib = calloc(1, sizeof(*ib));

	assert_non_null(ib);
	cb_irqbalance_free(s.host.irqbalance);
	snprintf(ib->dir, sizeof(ib->dir), "%s", s.dir);
	ib->fd = -1;
	ib->pidfd = (int)syscall(SYS_pidfd_open, s.pid, 0);
	ib->pid = s.host.owner_pid[CB_PROCESS_IRQBALANCE] = s.pid;
	ib->start_ticks = 4711;
	s.host.irqbalance = ib;
}

static int setup(void **state)
{
	(void)state;
	memset(&s, 0, sizeof(s));
	snprintf(s.dir, sizeof(s.dir), "/tmp/irqbalance.XXXXXX");
	assert_non_null(mkdtemp(s.dir));
	s.other = mmap(NULL, sizeof(*s.other), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		       -1, 0);
	assert_true(s.other != MAP_FAILED);
	s.host.live = true;
	assert_int_equal(cb_journal_open(NULL, BOOT, &s.journal, NULL), 0);
	start_other();
	introduce();
	return 0;
}

static void end_other(void)
{
	kill(s.pid, SIGKILL);
	waitpid(s.pid, NULL, 0);
}

static int teardown(void **state)
{
	char path[128];

	(void)state;
	end_other();
	snprintf(path, sizeof(path), "%s/irqbalance%d.sock", s.dir, s.pid);
	unlink(path);
	rmdir(s.dir);
	s.host.irqbalance = cb_irqbalance_free(s.host.irqbalance);
	cb_journal_close(s.journal);
	munmap(s.other, sizeof(*s.other));
	return 0;
}

/* --- steps --- */

static void others_ban(uint32_t a, uint32_t b)
{
	s.other->irq[0] = a;
	s.other->irq[1] = b;
	s.other->n = (a != 0 ? 1u : 0) + (b != 0 ? 1u : 0);
}

static bool tick(const uint32_t *irq, uint32_t n, const char **ret_why)
{
	return cb_irqbalance_tick(&s.host, s.journal, irq, n, ret_why);
}

/* Until all are held. */
static void hold(const uint32_t *irq, uint32_t n)
{
	const char *why = "";

	for (uint32_t i = 0; i < TICKS; i++) {
		if (tick(irq, n, &why))
			return;
		usleep(5000);
	}
	fail_msg("not held: %s", why);
}

/* Until the journal says that none is ours. */
static void let_go(void)
{
	const char *why = "";

	for (uint32_t i = 0; i < TICKS && cb_journal_bans(s.journal)->n > 0; i++) {
		assert_false(tick(NULL, 0, &why));
		usleep(5000);
	}
	assert_int_equal(cb_journal_bans(s.journal)->n, 0);
}

static void some_ticks(const uint32_t *irq, uint32_t n)
{
	const char *why;

	for (uint32_t i = 0; i < 40; i++) {
		s.host.irqbalance->next_usec = 0; /* as if much time had passed */
		(void)tick(irq, n, &why);
		usleep(2000);
	}
}

static void assert_banned(uint32_t n, const uint32_t *irq)
{
	assert_int_equal(s.other->n, n);
	for (uint32_t i = 0; i < n; i++) {
		bool there = false;

		for (uint32_t k = 0; k < s.other->n; k++)
			there = there || s.other->irq[k] == irq[i];
		assert_true(there);
	}
}
#define BANNED(...)                                                           \
	assert_banned(sizeof((uint32_t[]){ __VA_ARGS__ }) / sizeof(uint32_t), \
		      (uint32_t[]){ __VA_ARGS__ })

static const uint32_t ours[] = { 38, 39 };

/* --- cases --- */

static void bans_are_merged_and_given_back(void **state)
{
	(void)state;
	others_ban(7, 0);
	hold(ours, 2);
	BANNED(7, 38, 39);
	assert_int_equal(cb_journal_bans(s.journal)->n, 2);
	assert_int_equal(cb_journal_bans(s.journal)->pid, s.pid);
	assert_int_equal(s.other->n_settings, 1);
	let_go();
	BANNED(7);
	assert_int_equal(s.other->n_settings, 2);
}

static void nothing_is_said_twice(void **state)
{
	(void)state;
	hold(ours, 2);
	some_ticks(ours, 2);
	hold(ours, 2);
	assert_int_equal(s.other->n_settings, 1); /* each time it would place everything anew */
	hold(ours, 1);
	some_ticks(ours, 1);
	BANNED(38);
	assert_int_equal(cb_journal_bans(s.journal)->n, 1);
	let_go();
	assert_int_equal(s.other->n, 0);
}

static void what_others_ban_is_not_ours(void **state)
{
	(void)state;
	others_ban(38, 7);
	hold(ours, 2);
	assert_int_equal(cb_journal_bans(s.journal)->n, 1);
	assert_int_equal(cb_journal_bans(s.journal)->irq[0], 39);
	let_go();
	BANNED(7, 38);
}

/* Bans end with who was told. */
static void an_irqbalance_that_ends_takes_them_along(void **state)
{
	const char *why;

	(void)state;
	hold(ours, 2);
	end_other();
	s.host.owner_pid[CB_PROCESS_IRQBALANCE] = 0;
	assert_false(tick(ours, 2, &why));
	assert_int_equal(cb_journal_bans(s.journal)->n, 0);
}

static void a_crash_before_the_message_leaves_nothing(void **state)
{
	struct cb_bans bans = { .pid = s.pid, .start_ticks = 4711, .n = 2, .irq = { 38, 39 } };

	(void)state;
	others_ban(7, 0);
	assert_int_equal(cb_journal_set_bans(s.journal, &bans, NULL), 0);
	let_go();
	BANNED(7);
	assert_int_equal(s.other->n_settings, 0);
}

static void a_crash_after_the_message_leaves_nothing(void **state)
{
	(void)state;
	others_ban(7, 0);
	hold(ours, 2);
	introduce(); /* all that was known is lost but the journal */
	let_go();
	BANNED(7);
}

static void a_restart_adopts_them(void **state)
{
	(void)state;
	others_ban(7, 0);
	hold(ours, 2);
	introduce();
	hold(ours, 2);
	assert_int_equal(s.other->n_settings, 1);
	let_go();
	BANNED(7);
}

static void two_who_set_the_list_do_not_fight(void **state)
{
	const char *why;

	(void)state;
	hold(ours, 2);
	others_ban(5, 0);
	some_ticks(ours, 2);
	assert_false(tick(ours, 2, &why));
	assert_non_null(strstr(why, "somebody else"));
	BANNED(5);
	assert_int_equal(s.other->n_settings, 1);
	assert_int_equal(cb_journal_bans(s.journal)->n, 0);
}

static void one_that_sleeps_holds_nobody_up(void **state)
{
	struct timespec before, after;
	const char *why = "";

	(void)state;
	s.other->silent = true;
	clock_gettime(CLOCK_MONOTONIC, &before);
	for (uint32_t i = 0; i < 100; i++)
		assert_false(tick(ours, 2, &why));
	clock_gettime(CLOCK_MONOTONIC, &after);
	print_message("100 ticks: %.1f ms\n",
		      (double)(after.tv_sec - before.tv_sec) * 1e3 +
			      (double)(after.tv_nsec - before.tv_nsec) / 1e6);
	assert_string_equal(why, "");
	s.host.irqbalance->since_usec = 0; /* long ago */
	assert_false(tick(ours, 2, &why));
	assert_string_equal(why, "it does not answer");
	s.other->silent = false;
	hold(ours, 2);
	BANNED(38, 39);
}

static void more_than_its_message_takes_is_refused(void **state)
{
	uint32_t many[CB_BANS_MAX + 1];
	const char *why;

	(void)state;
	for (uint32_t i = 0; i < CB_ARRAY_SIZE(many); i++)
		many[i] = 1000 + i;
	assert_false(tick(many, CB_ARRAY_SIZE(many), &why));
	assert_non_null(strstr(why, "more interrupts than"));
	/* these fit into the journal, but not into a message */
	some_ticks(many, CB_BANS_MAX);
	assert_false(tick(many, CB_BANS_MAX, &why));
	assert_non_null(strstr(why, "more interrupts than"));
	assert_int_equal(s.other->n_settings, 0);
	assert_int_equal(cb_journal_bans(s.journal)->n, 0);
}

static void without_a_wish_nobody_is_asked(void **state)
{
	const char *why;

	(void)state;
	s.host.irqbalance = cb_irqbalance_free(s.host.irqbalance);
	assert_false(tick(NULL, 0, &why));
	assert_null(s.host.irqbalance);
	assert_int_equal(s.other->n_settings, 0);
}

static void answers(void **state)
{
	static const struct {
		const char *text;
		int r;
		size_t n;
	} cases[] = {
		{ "SLEEP 10 BANNED 0", 0, 0 },
		{ "SLEEP 10 IRQ 38 LOAD 0 DIFF 0 CLASS 0 BANNED 00000000,0000000f", 0, 1 },
		{ "SLEEP 10 IRQ 38 LOAD 0 DIFF 0 CLASS 0 IRQ 38 LOAD 0 DIFF 0 CLASS 0 BANNED 0", 0,
		  1 },
		{ "", -EBADMSG, 0 },
		{ "SLEEP 10 ", -EBADMSG, 0 },
		{ "SLEEP 10 IRQ 38 LOAD 0", -EBADMSG, 0 },
		{ "SLEEP 10 IRQ 4294967296 LOAD 0 DIFF 0 CLASS 0 BANNED 0", -EBADMSG, 0 },
		{ "SLEEP 10 IRQ 1 LOAD 0 DIFF 0 CLASS 0 IRQ 2 LOAD 0 DIFF 0 CLASS 0 IRQ 3 LOAD 0 DIFF 0 "
		  "CLASS 0 BANNED 0",
		  -E2BIG, 0 },
	};

	(void)state;
	for (size_t i = 0; i < CB_ARRAY_SIZE(cases); i++) {
		uint32_t irq[2];
		size_t n = 0;

		assert_int_equal(cb_irqbalance_parse(cases[i].text, strlen(cases[i].text), irq,
						     CB_ARRAY_SIZE(irq), &n),
				 cases[i].r);
		assert_int_equal(n, cases[i].n);
	}
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* Not under Debian 12's valgrind, 3.19. */
static bool has_pidfd(void)
{
	int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);

	if (fd < 0)
		return errno != ENOSYS;
	close(fd);
	return true;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(bans_are_merged_and_given_back),
		CASE(nothing_is_said_twice),
		CASE(what_others_ban_is_not_ours),
		CASE(an_irqbalance_that_ends_takes_them_along),
		CASE(a_crash_before_the_message_leaves_nothing),
		CASE(a_crash_after_the_message_leaves_nothing),
		CASE(a_restart_adopts_them),
		CASE(two_who_set_the_list_do_not_fight),
		CASE(one_that_sleeps_holds_nobody_up),
		CASE(more_than_its_message_takes_is_refused),
		CASE(without_a_wish_nobody_is_asked),
		cmocka_unit_test(answers),
	};

	if (!has_pidfd()) {
		puts("1..0 # SKIP there is no pidfd_open here");
		return 0;
	}
	return cmocka_run_group_tests_name("irqbalance", tests, NULL, NULL);
}
