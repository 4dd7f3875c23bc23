/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The crash matrix of coordination with irqbalance: a process that has interrupts left alone, other ones, and none any more, dies at
 * each boundary of the records and of the messages, as plans do in test_crash. Whatever it left is then ended by the daemon that is
 * shipped: by its offline restore, or by a start and a stop. irqbalance leaves alone what it left alone before, each time; and one that
 * was started anew meanwhile is told nothing. A process that speaks its protocol stands for it, in a /run of its own.
 *
 * The process that dies is this program, built with the fault points: test_crash_bans --life.
 */
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "cpubalance/host.h"
#include "lib/host/host_internal.h"
#include "lib/host/journal_bans.h"
#include "mortal.h"
#include "other_irqbalance.h"

#define TIMES_MAX 40u	/* deaths at one boundary */
#define TICKS_MAX 5000u /* of 2 ms: far more than an exchange takes */
#define TICK_USEC 2000u
/* Records that are of no use: more than the journal stands without being written anew. */
#define CHURN 400u
/* What others have it leave alone, one of which we would, too. */
#define THEIRS ((const uint32_t[]){ 7, 39 })

/* --- the life that is cut short --- */

static struct cb_host *host;
static struct cb_journal *journal;

static bool held(const uint32_t *irq, uint32_t n)
{
	const char *why = "";

	for (unsigned int i = 0; i < TICKS_MAX; i++) {
		bool all = cb_irqbalance_tick(host, journal, irq, n, &why);

		if (n > 0 ? all : cb_journal_bans(journal)->n == 0)
			return true;
		usleep(TICK_USEC);
	}
	fprintf(stderr, "not held: %s\n", why);
	return false;
}

static bool churn(void)
{
	for (unsigned int i = 0; i < CHURN; i++) {
		const struct cb_bans same = *cb_journal_bans(journal);

		if (cb_journal_set_bans(journal, &same, NULL) < 0)
			return false;
	}
	return true;
}

/* DIR */
static int live(char **arg)
{
	const struct cb_host_options options = { .sysroot = NULL };
	struct cb_err err = { "" };
	bool lived;

	if (cb_host_open(&options, &host, &err) < 0 ||
	    cb_journal_open(arg[0], cb_host_boot_id(host), &journal, &err) < 0 ||
	    !cb_host_irqbalance_runs(host)) {
		fprintf(stderr, "no life: %s\n", err.msg);
		return 1;
	}
	lived = held((const uint32_t[]){ 38, 39, 41 }, 3) && churn() &&
		held((const uint32_t[]){ 40, 41 }, 2) && held(NULL, 0);
	cb_journal_close(journal);
	cb_host_close(host);
	return lived ? 0 : 1;
}

/* --- the setting --- */

static const char *why_not;
static struct mortal m;
static struct other_irqbalance *other;
static pid_t other_pid;
static unsigned int n_deaths;

/* Sockets of irqbalance are in /run; here, in one that nobody else has. */
static bool own_run(void)
{
	return unshare(CLONE_NEWNS) == 0 &&
	       mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 &&
	       mount("tmpfs", "/run", "tmpfs", 0, "mode=755") == 0 &&
	       mkdir("/run/irqbalance", 0755) == 0;
}

static int begin(void **state)
{
	const struct cb_host_options options = { .sysroot = NULL };

	(void)state;
	why_not = mortal_find(&m, "test_crash_bans");
	if (why_not)
		return 0;
	assert_int_equal(cb_host_open(&options, &host, NULL), 0);
	if (cb_host_irqbalance_runs(host))
		why_not = "irqbalance runs here";
	else if (!own_run())
		why_not = "no mount namespace can be made here";
	host = cb_host_close(host);
	if (!why_not)
		other = other_new("/run/irqbalance");
	return 0;
}

static int end(void **state)
{
	(void)state;
	if (other) {
		other_end(other, other_pid);
		other_free(other);
	}
	return 0;
}

static void other_anew(void)
{
	other_end(other, other_pid);
	other_bans(other, THEIRS[0], THEIRS[1]);
	other->n_settings = 0;
	other_pid = other_start(other, "irqbalance");
}

/* --- the matrix --- */

static void assert_theirs(const char *how, const char *point, unsigned int times)
{
	if (!other_has(other, 2, THEIRS))
		fail_msg("%s:%u, then %s: %u interrupts are left alone: %s", point, times, how,
			 other->n, mortal_said(&m));
}

static void end_it(const char *point, unsigned int times)
{
	pid_t pid;

	switch (times % 3) {
	case 0:
		pid = mortal_daemon(&m);
		kill(pid, SIGTERM);
		assert_int_equal(mortal_status(pid), 0);
		assert_theirs("a start and a stop", point, times);
		break;
	case 1:
		assert_int_equal(mortal_restore(&m), 0);
		assert_null(strstr(mortal_said(&m), "does not answer"));
		assert_theirs("--restore", point, times);
		break;
	default:
		other_anew();
		assert_int_equal(mortal_restore(&m), 0);
		assert_theirs("another irqbalance and --restore", point, times);
		assert_int_equal(other->n_settings, 0);
	}
}

/* Of the hundreds of records in the middle, which are all the same, not each. */
static unsigned int next_time(unsigned int times)
{
	return times == 6 ? CHURN : times + 1;
}

static void die_everywhere(const char *point)
{
	unsigned int n = 0;
	bool died = true;

	for (unsigned int times = 1; n < TIMES_MAX && died; times = next_time(times), n++) {
		mortal_begin(&m);
		other_anew();
		died = mortal_dies_at(&m, (const char *const[]){ "--life", m.dir, NULL }, point,
				      times);
		n_deaths += died;
		if (died)
			end_it(point, times);
		else
			assert_theirs("nothing", point, times);
		mortal_end(&m);
	}
	if (n <= 1)
		fail_msg("%s: never reached", point);
	assert_false(died);
}

static void killed_at_every_boundary(void **state)
{
	static const char *const points[] = {
		"journal-bans",	       "journal-bans-done", "journal-torn",	   "journal-rename",
		"journal-rename-done", "irqbalance-set",    "irqbalance-set-done",
	};

	(void)state;
	if (why_not) {
		print_message("skip: %s\n", why_not);
		skip();
	}
	for (size_t i = 0; i < CB_ARRAY_SIZE(points); i++)
		die_everywhere(points[i]);
	print_message("%u deaths of a coordination; 0 interrupts stayed banned\n", n_deaths);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(killed_at_every_boundary),
	};

	if (argc == 3 && strcmp(argv[1], "--life") == 0)
		return live(argv + 2);
	return cmocka_run_group_tests_name("crash_bans", tests, begin, end);
}
