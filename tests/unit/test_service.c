/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * After the main process has ended: do its placements stay? By the note that it left, else by what the service manager
 * says in the environment of ExecStopPost= (systemd.exec(5)).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/service.h"
#include "tree.h"

static struct tree tree;

static int setup(void **state)
{
	(void)state;
	unsetenv("SERVICE_RESULT");
	unsetenv("EXIT_CODE");
	unsetenv("EXIT_STATUS");
	tree_init(&tree);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	tree_done(&tree);
	return 0;
}

static void ended(const char *result, const char *code, const char *status)
{
	setenv("SERVICE_RESULT", result, 1);
	setenv("EXIT_CODE", code, 1);
	setenv("EXIT_STATUS", status, 1);
}

static bool stay(void)
{
	const char *why = NULL;
	bool ret = cb_service_placements_stay(tree.root, &why);

	assert_non_null(why);
	return ret;
}

static void test_by_hand(void **state)
{
	(void)state;
	assert_false(stay());
}

static void test_stop(void **state)
{
	(void)state;
	cb_service_note_ending(tree.root, false);
	ended("success", "exited", "0");
	assert_false(stay());
	/* a stop that took too long and ended in SIGKILL is a stop */
	ended("timeout", "killed", "KILL");
	assert_false(stay());
	ended("signal", "killed", "KILL");
	assert_false(stay());
}

static void test_restart(void **state)
{
	(void)state;
	cb_service_note_ending(tree.root, true);
	ended("success", "exited", "0");
	assert_true(stay());
	cb_service_note_clear(tree.root);
	assert_false(stay());
}

static void test_crash(void **state)
{
	(void)state;
	ended("signal", "killed", "SEGV");
	assert_true(stay());
	ended("exit-code", "exited", "1");
	assert_true(stay());
}

/* A wrong command line or configuration, or a second daemon: nothing was taken over, and nothing is given back. */
static void test_no_start(void **state)
{
	static const char *const codes[] = { "2", "3", "4" };

	(void)state;
	for (size_t i = 0; i < CB_ARRAY_SIZE(codes); i++) {
		ended("exit-code", "exited", codes[i]);
		cb_service_note_clear(tree.root);
		assert_true(stay());
		cb_service_note_ending(tree.root, true);
		assert_true(stay());
		/* what a stop could not put back is tried again */
		cb_service_note_ending(tree.root, false);
		assert_false(stay());
	}
	cb_service_note_clear(tree.root);
	ended("exit-code", "exited", "5");
	assert_false(stay());
	ended("exit-code", "exited", "23");
	assert_false(stay());
}

static void test_crash_loop(void **state)
{
	(void)state;
	ended("watchdog", "dumped", "ABRT");
	assert_true(stay());
	assert_true(stay());
	assert_false(stay());
}

/* A run directory that is not there is no reason to keep anything. */
static void test_no_directory(void **state)
{
	const char *why;

	(void)state;
	ended("success", "exited", "0");
	assert_false(cb_service_placements_stay("/nonexistent/run", &why));
	cb_service_note_ending("/nonexistent/run", true);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_by_hand),	 CASE(test_stop),     CASE(test_restart),
		CASE(test_crash),	 CASE(test_no_start), CASE(test_crash_loop),
		CASE(test_no_directory),
	};

	return cmocka_run_group_tests_name("service", tests, NULL, NULL);
}
