/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cpubalanced on a private bus: holds, which pause as long as a client keeps a descriptor, and the control of the log.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "daemon.h"

#define NAME  "org.cpubalance1"
#define PATH  "/org/cpubalance1"
#define ERROR "org.cpubalance1.Error."

static struct daemon daemon_;

static int setup(void **state)
{
	(void)state;
	daemon_init(&daemon_);
	daemon_config(&daemon_, "Mode=observe\n");
	daemon_start(&daemon_, NULL);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	daemon_done(&daemon_);
	return 0;
}

static bool daemon_has_said(void *text)
{
	return daemon_log_has(&daemon_, text);
}

static bool is_not_paused(void *userdata)
{
	(void)userdata;
	return !daemon_get_bool(&daemon_, "Paused");
}

static int hold(sd_bus_message **ret)
{
	int fd;

	*ret = daemon_ask(&daemon_, "Hold", "");
	assert_true(sd_bus_message_read(*ret, "h", &fd) >= 0);
	return fd;
}

static void test_hold(void **state)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus_message *first, *second;

	(void)state;
	hold(&first);
	assert_true(daemon_get_bool(&daemon_, "Paused"));
	hold(&second);
	sd_bus_message_unref(first); /* closes it */
	assert_true(daemon_call(&daemon_, "Resume", &error, NULL, "") < 0);
	assert_true(sd_bus_error_has_name(&error, ERROR "Busy"));
	sd_bus_error_free(&error);
	assert_true(daemon_get_bool(&daemon_, "Paused"));
	sd_bus_message_unref(second);
	wait_until("the last hold ends the pause", is_not_paused, NULL);
}

/* A pause of the operator's from before a hold is there after it; one taken back meanwhile is not. */
static void test_hold_and_pause(void **state)
{
	sd_bus_message *reply;

	(void)state;
	sd_bus_message_unref(daemon_ask(&daemon_, "Pause", "t", UINT64_C(0)));
	hold(&reply);
	sd_bus_message_unref(reply);
	wait_until("the hold is gone", daemon_has_said, (void *)(uintptr_t) "has ended");
	assert_true(daemon_get_bool(&daemon_, "Paused"));
	hold(&reply);
	assert_true(daemon_call(&daemon_, "Resume", NULL, NULL, "") < 0);
	sd_bus_message_unref(reply);
	wait_until("the last hold ends the pause", is_not_paused, NULL);
}

static void test_hold_limit(void **state)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus_message *reply[16];

	(void)state;
	for (size_t i = 0; i < CB_ARRAY_SIZE(reply); i++)
		hold(&reply[i]);
	assert_true(daemon_call(&daemon_, "Hold", &error, NULL, "") < 0);
	assert_true(sd_bus_error_has_name(&error, ERROR "Limit"));
	sd_bus_error_free(&error);
	for (size_t i = 0; i < CB_ARRAY_SIZE(reply); i++)
		sd_bus_message_unref(reply[i]);
	wait_until("the last hold ends the pause", is_not_paused, NULL);
}

static void test_log_control(void **state)
{
	static const char path[] = "/org/freedesktop/LogControl1",
			  name[] = "org.freedesktop.LogControl1";
	sd_bus_error error = SD_BUS_ERROR_NULL;
	char *value = NULL;

	(void)state;
	assert_true(sd_bus_get_property_string(daemon_.bus, NAME, path, name, "LogLevel", NULL,
					       &value) >= 0);
	assert_string_equal(value, "info");
	free(value);
	assert_true(sd_bus_set_property(daemon_.bus, NAME, path, name, "LogLevel", NULL, "s",
					"debug") >= 0);
	assert_true(sd_bus_get_property_string(daemon_.bus, NAME, path, name, "LogLevel", NULL,
					       &value) >= 0);
	assert_string_equal(value, "debug");
	free(value);
	assert_true(sd_bus_set_property(daemon_.bus, NAME, path, name, "LogLevel", &error, "s",
					"loud") < 0);
	sd_bus_error_free(&error);
	assert_true(sd_bus_get_property_string(daemon_.bus, NAME, path, name, "SyslogIdentifier",
					       NULL, &value) >= 0);
	assert_string_equal(value, "cpubalanced");
	free(value);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		CASE(test_hold),
		CASE(test_hold_and_pause),
		CASE(test_hold_limit),
		CASE(test_log_control),
	};

	(void)argc;
	daemon_need_bus(argv);
	return cmocka_run_group_tests_name("control", tests, NULL, NULL);
}
