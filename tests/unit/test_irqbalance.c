/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Coordination with irqbalance, with a process that speaks its protocol: bans are merged and given back, whatever happens in
 * between; nothing waits; and with somebody else who sets the same list there is no to and fro.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "cpubalance/sources.h"
#include "lib/host/host_internal.h"
#include "lib/host/irqbalance.h"
#include "other_irqbalance.h"

#define BOOT  "6f8a1c6e-0a9e-4c53-9f5c-0b3b6f5c1d11"
#define TICKS 2000u /* of 5 ms: far more than an exchange takes */

struct setting {
	char dir[64];
	struct other_irqbalance *other;
	pid_t pid;
	struct cb_host host;
	struct cb_journal *journal;
};

static struct setting s;

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
	s.other = other_new(s.dir);
	s.host.live = true;
	assert_int_equal(cb_journal_open(NULL, BOOT, &s.journal, NULL), 0);
	s.pid = other_start(s.other, NULL);
	introduce();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	other_end(s.other, s.pid);
	rmdir(s.dir);
	s.host.irqbalance = cb_irqbalance_free(s.host.irqbalance);
	cb_journal_close(s.journal);
	other_free(s.other);
	return 0;
}

/* --- steps --- */

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

#define BANNED(...)                                                                            \
	assert_true(other_has(s.other, sizeof((uint32_t[]){ __VA_ARGS__ }) / sizeof(uint32_t), \
			      (uint32_t[]){ __VA_ARGS__ }))

static const uint32_t ours[] = { 38, 39 };

/* --- cases --- */

static void bans_are_merged_and_given_back(void **state)
{
	(void)state;
	other_bans(s.other, 7, 0);
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
	other_bans(s.other, 38, 7);
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
	other_end(s.other, s.pid);
	s.pid = 0;
	s.host.owner_pid[CB_PROCESS_IRQBALANCE] = 0;
	assert_false(tick(ours, 2, &why));
	assert_int_equal(cb_journal_bans(s.journal)->n, 0);
}

static void a_crash_before_the_message_leaves_nothing(void **state)
{
	struct cb_bans bans = { .pid = s.pid, .start_ticks = 4711, .n = 2, .irq = { 38, 39 } };

	(void)state;
	other_bans(s.other, 7, 0);
	assert_int_equal(cb_journal_set_bans(s.journal, &bans, NULL), 0);
	let_go();
	BANNED(7);
	assert_int_equal(s.other->n_settings, 0);
}

static void a_crash_after_the_message_leaves_nothing(void **state)
{
	(void)state;
	other_bans(s.other, 7, 0);
	hold(ours, 2);
	introduce(); /* all that was known is lost but the journal */
	let_go();
	BANNED(7);
}

static void a_restart_adopts_them(void **state)
{
	(void)state;
	other_bans(s.other, 7, 0);
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
	other_bans(s.other, 5, 0);
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
