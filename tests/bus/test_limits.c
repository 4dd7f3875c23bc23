/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Limits on clients: what is refused with org.cpubalance1.Error.Limit, and that a flood of one client costs neither the ticks nor
 * the other clients anything. And the listing of other owners, as the bus shows it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cpubalance/policy.h"
#include "daemon.h"

#define NAME  "org.cpubalance1"
#define PATH  "/org/cpubalance1"
#define LIMIT NAME ".Error.Limit"

static struct daemon daemon_;

static int setup(void **state)
{
	(void)state;
	daemon_init(&daemon_);
	daemon_start(&daemon_, NULL);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	daemon_done(&daemon_);
	return 0;
}

static sd_bus *another_client(void)
{
	sd_bus *bus = NULL;

	assert_true(sd_bus_new(&bus) >= 0);
	assert_true(sd_bus_set_address(bus, daemon_.bus_address) >= 0);
	assert_true(sd_bus_set_bus_client(bus, 1) >= 0);
	assert_true(sd_bus_start(bus) >= 0);
	return bus;
}

static int call(sd_bus *bus, const char *method, sd_bus_error *error)
{
	return sd_bus_call_method(bus, NAME, PATH, NAME ".Manager", method, error, NULL, "");
}

/* --- a flood --- */

static unsigned int n_answered, n_refused, n_other;

static int on_reply(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	(void)userdata;
	(void)error;
	if (!sd_bus_message_is_method_error(reply, NULL))
		n_answered++;
	else if (sd_bus_message_is_method_error(reply, LIMIT))
		n_refused++;
	else
		n_other++;
	return 0;
}

static bool has_ticked(void *userdata)
{
	static uint64_t first;
	uint64_t *ticks = userdata, age = 0;

	/* the age of the data begins anew with each sample */
	if (sd_bus_get_property_trivial(daemon_.bus, NAME, PATH, NAME ".Manager", "DataAgeUSec",
					NULL, 't', &age) < 0)
		return false;
	if (age < first)
		(*ticks)++;
	first = age;
	return *ticks >= 2;
}

static void until_answered(sd_bus *bus, unsigned int calls)
{
	while (n_answered + n_refused + n_other < calls)
		if (sd_bus_process(bus, NULL) == 0)
			assert_true(sd_bus_wait(bus, 20 * 1000000) >= 0);
}

static void a_flood_is_refused_and_nobody_else_minds(void **state)
{
	static const unsigned int calls = 5000;
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus *flooder = another_client(), *other = another_client();
	uint64_t ticks = 0;

	(void)state;
	for (unsigned int i = 0; i < calls; i++) {
		assert_true(sd_bus_call_method_async(flooder, NULL, NAME, PATH, NAME ".Manager",
						     "ListCPUs", on_reply, NULL, "") >= 0);
		/* the bus itself has a limit of calls that are not answered yet */
		if (i % 100 == 99)
			until_answered(flooder, i + 1);
		if (i % 1000 == 0 && call(other, "ListCPUs", &error) < 0)
			fail_msg("another client, after %u calls: %s", i, error.message);
	}
	until_answered(flooder, calls);
	print_message("%u calls at once: %u answered, %u refused\n", calls, n_answered, n_refused);
	assert_int_equal(n_other, 0);
	assert_true(n_answered >= 200);
	assert_true(n_refused > calls / 2);
	if (call(other, "ListCPUs", &error) < 0)
		fail_msg("another client, at the end: %s", error.message);
	wait_until("it goes on sampling", has_ticked, &ticks);
	sd_bus_flush_close_unref(flooder);
	sd_bus_flush_close_unref(other);
}

static bool may_call_again(void *userdata)
{
	return call(userdata, "ListGroups", NULL) >= 0;
}

static void who_was_refused_may_call_again(void **state)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus *bus = another_client();
	unsigned int n = 0;

	(void)state;
	while (call(bus, "ListGroups", &error) >= 0)
		if (++n > 100000)
			skip(); /* a machine so slow that nobody can call too often */
	assert_true(sd_bus_error_has_name(&error, LIMIT));
	assert_non_null(strstr(error.message, "calls a second"));
	sd_bus_error_free(&error);
	wait_until("it may call again", may_call_again, bus);
	sd_bus_flush_close_unref(bus);
}

/* --- sizes --- */

static int register_empty(const char *name, sd_bus_error *error)
{
	return daemon_call(&daemon_, "Register", error, NULL, "saha{sv}", name, 0, 0);
}

static void names_are_limited(void **state)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	char name[CB_NAME_MAX + 1];

	(void)state;
	memset(name, 'a', sizeof(name));
	name[CB_NAME_MAX] = '\0';
	assert_true(register_empty(name, &error) < 0);
	assert_true(sd_bus_error_has_name(&error, LIMIT));
	assert_non_null(strstr(error.message, "63"));
	sd_bus_error_free(&error);
	name[CB_NAME_MAX - 1] = '\0';
	if (register_empty(name, &error) < 0)
		fail_msg("%s", error.message);
}

static void groups_are_limited(void **state)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	char name[32];

	(void)state;
	for (unsigned int i = 0; i < CB_GROUPS_MAX; i++) {
		snprintf(name, sizeof(name), "group%u", i);
		if (register_empty(name, &error) < 0)
			fail_msg("%s: %s", name, error.message);
	}
	assert_true(register_empty("onemore", &error) < 0);
	assert_true(sd_bus_error_has_name(&error, LIMIT));
	sd_bus_error_free(&error);
	assert_int_equal(daemon_get_u32(&daemon_, "Groups"), CB_GROUPS_MAX);
}

static void options_are_limited(void **state)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus_message *message = NULL;

	(void)state;
	assert_true(sd_bus_message_new_method_call(daemon_.bus, &message, NAME, PATH,
						   NAME ".Manager", "Register") >= 0);
	assert_true(sd_bus_message_append(message, "sah", "web", 0) >= 0);
	assert_true(sd_bus_message_open_container(message, 'a', "{sv}") >= 0);
	for (unsigned int i = 0; i < 65; i++)
		assert_true(sd_bus_message_append(message, "{sv}", "Mode", "s", "observe") >= 0);
	assert_true(sd_bus_message_close_container(message) >= 0);
	assert_true(sd_bus_call(daemon_.bus, message, 0, &error, NULL) < 0);
	assert_true(sd_bus_error_has_name(&error, LIMIT));
	sd_bus_error_free(&error);
	sd_bus_message_unref(message);
}

/* --- other owners --- */

static void owners_are_listed(void **state)
{
	static const char *const names[] = { "irqbalance", "tuned", "kubelet", "udev", "cpusets" };
	sd_bus_message *reply = NULL;

	(void)state;
	assert_int_equal(daemon_call(&daemon_, "ListOwners", NULL, &reply, ""), 0);
	assert_true(sd_bus_message_enter_container(reply, 'a', "a{sv}") > 0);
	for (size_t i = 0; i < CB_ARRAY_SIZE(names); i++) {
		const char *key, *name;

		assert_true(sd_bus_message_enter_container(reply, 'a', "{sv}") > 0);
		assert_true(sd_bus_message_enter_container(reply, 'e', "sv") > 0);
		assert_true(sd_bus_message_read(reply, "s", &key) > 0);
		assert_string_equal(key, "Name");
		assert_true(sd_bus_message_read(reply, "v", "s", &name) > 0);
		assert_string_equal(name, names[i]);
		assert_true(sd_bus_message_exit_container(reply) >= 0);
		for (unsigned int k = 0; k < 3; k++)
			assert_true(sd_bus_message_skip(reply, "{sv}") >= 0);
		assert_true(sd_bus_message_exit_container(reply) >= 0);
	}
	assert_true(sd_bus_message_at_end(reply, 0) > 0);
	sd_bus_message_unref(reply);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		CASE(a_flood_is_refused_and_nobody_else_minds),
		CASE(who_was_refused_may_call_again),
		CASE(names_are_limited),
		CASE(groups_are_limited),
		CASE(options_are_limited),
		CASE(owners_are_listed),
	};

	(void)argc;
	daemon_need_bus(argv);
	return cmocka_run_group_tests_name("limits", tests, NULL, NULL);
}
