/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the tool takes in: command lines, points in time, messages of the bus, and errors by their names. */
#include "ctl/ctl.h"

#include <errno.h>
#include <json-c/json.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "ctl/client.h"
#include "ctl/json.h"
#include "ctl/message_json.h"
#include "ctl/render.h"
#include "ctl/steer.c" /* for its inside */

static const struct cb_flag flags[] = {
	{ "--shell", NULL, "a flag" },
	{ "--since", "TIME", "a value" },
	{ NULL, NULL, NULL },
};

static const struct cb_verb verb = {
	.name = "verb",
	.arguments = "ONE [TWO]",
	.summary = "a verb",
	.details = "Details.",
	.example = "cpubalctl verb 1",
	.flags = flags,
	.min_words = 1,
	.max_words = 2,
};

/* Parse a line of words; at most 8. Errors go to standard error, as they should. */
static int parse_line(struct cb_ctl *ctl, struct cb_args *args, const char *line)
{
	static char text[256];
	static char *words[8];
	char *save = NULL;
	int n = 0;

	*ctl = (struct cb_ctl){
		.bus_name = "system", .verb = "verb", .out = stderr, .style = { .color = true }
	};
	snprintf(text, sizeof(text), "%s", line);
	for (char *word = strtok_r(text, " ", &save); word && n < 8;
	     word = strtok_r(NULL, " ", &save))
		words[n++] = word;
	return cb_args_parse(ctl, &verb, n, words, args);
}

static void lines(void **state)
{
	struct cb_args args;
	struct cb_ctl ctl;

	(void)state;
	assert_int_equal(
		parse_line(&ctl, &args, "one --json --since 2h --no-color two --bus=session"), -1);
	assert_true(ctl.json);
	assert_false(ctl.style.color);
	assert_string_equal(ctl.bus_name, "session");
	assert_int_equal(args.n, 2);
	assert_string_equal(args.word[0], "one");
	assert_string_equal(args.word[1], "two");
	assert_string_equal(args.flag[1], "2h");
	assert_null(args.flag[0]);
	assert_int_equal(parse_line(&ctl, &args, "--shell --since=a=b -- --one"), -1);
	assert_string_equal(args.flag[0], "");
	assert_string_equal(args.flag[1], "a=b");
	assert_int_equal(args.n, 1);
	assert_string_equal(args.word[0], "--one");
	assert_int_equal(parse_line(&ctl, &args, "--bus unix:path=/x -"), -1);
	assert_string_equal(ctl.bus_name, "unix:path=/x");
	assert_string_equal(args.word[0], "-");
	assert_int_equal(parse_line(&ctl, &args, "--frob --help"), CB_EXIT_USAGE);
	assert_int_equal(parse_line(&ctl, &args, "--help --frob"), CB_EXIT_OK);
}

static void bad_lines(void **state)
{
	static const char *const bad[] = {
		"",
		"one two three",
		"one --shel",
		"one --shell=1",
		"one --since",
		"one --since=",
		"one --bus",
		"one --bus=",
		"one -x",
	};
	struct cb_args args;
	struct cb_ctl ctl;

	(void)state;
	for (size_t i = 0; i < CB_ARRAY_SIZE(bad); i++)
		assert_int_equal(parse_line(&ctl, &args, bad[i]), CB_EXIT_USAGE);
}

static void checks(void **state)
{
	struct cb_ctl ctl = { .verb = "test" };
	uint64_t usec = 0;
	uint32_t value = 0;

	(void)state;
	assert_int_equal(cb_check_u32(&ctl, "CPU", "4095", 0, 4095, &value), CB_EXIT_OK);
	assert_int_equal(value, 4095);
	assert_int_equal(cb_check_u32(&ctl, "CPU", "4096", 0, 4095, &value), CB_EXIT_USAGE);
	assert_int_equal(cb_check_u32(&ctl, "CPU", "-1", 0, 4095, &value), CB_EXIT_USAGE);
	assert_int_equal(cb_check_u32(&ctl, "CPU", "1x", 0, 4095, &value), CB_EXIT_USAGE);
	assert_int_equal(cb_check_u32(&ctl, "CPU", "", 0, 4095, &value), CB_EXIT_USAGE);
	assert_int_equal(cb_check_cpus(&ctl, "CPULIST", "0-3,8"), CB_EXIT_OK);
	assert_int_equal(cb_check_cpus(&ctl, "CPULIST", "3-0"), CB_EXIT_USAGE);
	assert_int_equal(cb_check_cpus(&ctl, "CPULIST", ""), CB_EXIT_USAGE);
	assert_int_equal(cb_check_cpus(&ctl, "CPULIST", "4096"), CB_EXIT_USAGE);
	assert_int_equal(cb_check_group(&ctl, "nginx-1.2_x"), CB_EXIT_OK);
	assert_int_equal(cb_check_group(&ctl, "a/b"), CB_EXIT_USAGE);
	assert_int_equal(cb_check_mode(&ctl, "advise"), CB_EXIT_OK);
	assert_int_equal(cb_check_mode(&ctl, "Auto "), CB_EXIT_USAGE);
	assert_int_equal(cb_check_span(&ctl, "--for", "10min", &usec), CB_EXIT_OK);
	assert_true(usec == UINT64_C(600000000));
	assert_int_equal(cb_check_span(&ctl, "--for", "soon", &usec), CB_EXIT_USAGE);
}

static void since(void **state)
{
	static const uint64_t now = UINT64_C(1700000000) * CB_USEC_PER_SEC;
	static const struct {
		const char *text;
		uint64_t sec; /* 0: refused */
	} cases[] = {
		{ "2h", 1700000000 - 7200 },
		{ "1h 30min", 1700000000 - 5400 },
		{ "1600000000", 1600000000 },
		{ "2023-11-14T22:13:20Z", 1700000000 },
		{ "2023-11-14t22:13:20.25z", 1700000000 },
		{ "2023-11-15T00:13:20+02:00", 1700000000 },
		{ "2023-11-14T18:43:20-03:30", 1700000000 },
		{ "2023-11-14 22:13", 1699999980 },
		{ "2023-11-14", 1699920000 },
		{ "2023-02-30", 0 },
		{ "2023-13-01", 0 },
		{ "2023-11-14T25:00:00Z", 0 },
		{ "2023-11-14T22:13:20X", 0 },
		{ "2023-11-14T22:13:20+2:00", 0 },
		{ "2023-11-14T22", 0 },
		{ "2023-11-14T22:13:20.Z", 0 },
		{ "yesterday", 0 },
		{ "", 0 },
		{ "-5", 0 },
		{ "99999999999999999999", 0 },
		{ "18446744073709551615", 0 },
		{ "30000d", 0 },
	};

	(void)state;
	for (size_t i = 0; i < CB_ARRAY_SIZE(cases); i++) {
		uint64_t usec = 1;
		int r = cb_since_parse(cases[i].text, now, &usec);

		if ((r == 0) != (cases[i].sec != 0) ||
		    usec != (r == 0 ? cases[i].sec * CB_USEC_PER_SEC : 1))
			fail_msg("'%s': %d, %llu", cases[i].text, r, (unsigned long long)usec);
	}
}

/* A bus of two ends, so that messages can be made; nobody reads the other. */
static int make_bus(void **state)
{
	sd_bus *bus = NULL;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	assert_true(sd_bus_new(&bus) >= 0);
	assert_true(sd_bus_set_fd(bus, fds[0], fds[0]) >= 0);
	assert_true(sd_bus_start(bus) >= 0);
	*state = bus;
	assert_int_equal(close(fds[1]), 0);
	return 0;
}

static int free_bus(void **state)
{
	sd_bus_close_unref(*state);
	return 0;
}

static sd_bus_message *new_message(void **state)
{
	sd_bus_message *message = NULL;

	assert_true(sd_bus_message_new_signal(*state, &message, "/x", "x.y", "Z") >= 0);
	return message;
}

static void expect_json(sd_bus_message *message, const char *expected)
{
	struct json_object *json = NULL;

	assert_true(sd_bus_message_seal(message, 1, 0) >= 0);
	assert_true(sd_bus_message_rewind(message, 1) >= 0);
	assert_int_equal(cb_message_to_json(message, &json), 0);
	assert_string_equal(json_object_to_json_string_ext(
				    json, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE),
			    expected);
	json_object_put(json);
	sd_bus_message_unref(message);
}

static void messages(void **state)
{
	sd_bus_message *m = new_message(state);

	expect_json(m, "null");
	m = new_message(state);
	assert_true(sd_bus_message_append(m, "u", 12u) >= 0);
	expect_json(m, "12");
	m = new_message(state);
	assert_true(sd_bus_message_append(m, "ybnqiuxt", 255, 1, -3, 65535, INT32_MIN, UINT32_MAX,
					  INT64_MIN, UINT64_MAX) >= 0);
	expect_json(
		m,
		"[255,true,-3,65535,-2147483648,4294967295,-9223372036854775808,18446744073709551615]");
	m = new_message(state);
	assert_true(sd_bus_message_append(m, "ddddd", 0.1, 1.0, 1e300, (double)NAN,
					  (double)INFINITY) >= 0);
	expect_json(m, "[0.1,1.0,1e+300,null,null]");
	m = new_message(state);
	assert_true(sd_bus_message_append(m, "sog", "a\"\x1b", "/o", "a{sv}") >= 0);
	expect_json(m, "[\"a\\\"\\u001b\",\"/o\",\"a{sv}\"]");
	m = new_message(state);
	assert_true(sd_bus_message_append(m, "aa{sv}", 2, 2, "CPU", "u", 3, "Rates", "a{sd}", 1,
					  "HI", 0.25, 0) >= 0);
	expect_json(m, "[{\"CPU\":3,\"Rates\":{\"HI\":0.25}},{}]");
	m = new_message(state);
	assert_true(sd_bus_message_append(m, "a(us)a{us}v", 1, 7, "x", 1, 5, "five", "as", 2, "a",
					  "b") >= 0);
	expect_json(m, "[[[7,\"x\"]],{\"5\":\"five\"},[\"a\",\"b\"]]");
}

/* The words that it names are those that the tool takes. */
static void what_is_said_of_a_plan(void **state)
{
	sd_bus_message *m = new_message(state);
	struct cb_ctl ctl = { .verb = "" };
	char *text = NULL;
	size_t size = 0;

	ctl.out = open_memstream(&text, &size);
	assert_non_null(ctl.out);
	assert_true(sd_bus_message_append(m, "u", 12u) >= 0);
	assert_true(sd_bus_message_seal(m, 1, 0) >= 0);
	assert_true(sd_bus_message_rewind(m, 1) >= 0);
	assert_int_equal(say(&ctl, m, "1:2", "web"), CB_EXIT_OK);
	fclose(ctl.out);
	assert_string_equal(text, "web: 1:2, plan 12: watch it with cpubalctl plan\n");
	assert_int_equal(cb_verb_plan.max_words, 0);
	free(text);
	sd_bus_message_unref(m);
}

static void keys(void **state)
{
	struct json_object *json = json_tokener_parse(
		"{\"s\":\"x\",\"e\":\"\",\"n\":null,\"i\":-3,\"u\":18446744073709551615,\"d\":0.5,\"t\":true,\"a\":[1]}");
	uint64_t u64 = 7;
	int64_t i64 = 7;
	double d = 7;

	(void)state;
	assert_string_equal(cb_json_text(json, "s"), "x");
	assert_null(cb_json_text(json, "e"));
	assert_null(cb_json_text(json, "n"));
	assert_null(cb_json_text(json, "i"));
	assert_null(cb_json_text(NULL, "s"));
	assert_string_equal(cb_json_text_or(json, "absent", "-"), "-");
	assert_false(cb_json_number(json, "absent", &d));
	assert_false(cb_json_number(json, "s", &d));
	assert_false(cb_json_number(json, "t", &d));
	assert_false(cb_json_u64(json, "i", &u64));
	assert_true(cb_json_int(json, "i", &i64));
	assert_true(cb_json_u64(json, "u", &u64));
	assert_true(u64 == UINT64_MAX && i64 == -3);
	assert_true(cb_json_int_or(json, "i", 7) == -3 && cb_json_int_or(json, "s", 7) == 7);
	assert_true(cb_json_number(json, "d", &d));
	assert_true(cb_json_true(json, "t"));
	assert_false(cb_json_true(json, "i"));
	assert_int_equal(cb_json_length(cb_json_array(json, "a")), 1);
	assert_int_equal(cb_json_length(cb_json_array(json, "s")), 0);
	json_object_put(json);
}

static void rows_alike(void **state)
{
	struct json_object *rows =
		json_tokener_parse("[{\"k\":\"a\"},{\"k\":\"b\"},{},{\"k\":\"a\"},{\"k\":\"\"}]");
	struct json_object *a = json_object_array_get_idx(rows, 0),
			   *none = json_object_array_get_idx(rows, 2);

	(void)state;
	assert_int_equal(cb_json_alike(rows, 5, a, "k"), 2);
	assert_int_equal(cb_json_alike(rows, 3, a, "k"), 1);
	assert_int_equal(cb_json_alike(rows, 0, a, "k"), 0);
	assert_int_equal(cb_json_alike(rows, 5, none, "k"), 2);
	json_object_put(rows);
}

static void errors(void **state)
{
	(void)state;
	assert_int_equal(cb_client_exit_code("org.freedesktop.DBus.Error.ServiceUnknown"),
			 CB_EXIT_NO_DAEMON);
	assert_int_equal(cb_client_exit_code("org.freedesktop.DBus.Error.NameHasNoOwner"),
			 CB_EXIT_NO_DAEMON);
	assert_int_equal(cb_client_exit_code("org.freedesktop.DBus.Error.AccessDenied"),
			 CB_EXIT_NOT_PERMITTED);
	assert_int_equal(cb_client_exit_code("org.cpubalance1.Error.InvalidArgument"),
			 CB_EXIT_USAGE);
	assert_int_equal(cb_client_exit_code("org.cpubalance1.Error.NoSuchGroup"), CB_EXIT_UNKNOWN);
	assert_int_equal(cb_client_exit_code("org.cpubalance1.Error.NoSuchWorker"),
			 CB_EXIT_UNKNOWN);
	assert_int_equal(cb_client_exit_code("org.cpubalance1.Error.NoSuchPlan"), CB_EXIT_UNKNOWN);
	assert_int_equal(cb_client_exit_code("org.cpubalance1.Error.Busy"), CB_EXIT_REFUSED);
	assert_int_equal(cb_client_exit_code("org.cpubalance1.Error.Refused"), CB_EXIT_REFUSED);
	assert_int_equal(cb_client_exit_code("org.cpubalance1.Error.Limit"), CB_EXIT_REFUSED);
	assert_int_equal(cb_client_exit_code("org.freedesktop.DBus.Error.NoReply"), CB_EXIT_FAILED);
	assert_int_equal(cb_client_exit_code(""), CB_EXIT_FAILED);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines),
		cmocka_unit_test(bad_lines),
		cmocka_unit_test(checks),
		cmocka_unit_test(since),
		cmocka_unit_test_setup_teardown(messages, make_bus, free_bus),
		cmocka_unit_test_setup_teardown(what_is_said_of_a_plan, make_bus, free_bus),
		cmocka_unit_test(keys),
		cmocka_unit_test(rows_alike),
		cmocka_unit_test(errors),
	};

	setenv("TZ", "UTC", 1);
	tzset();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
