/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Traces as files: a recorded run replays to the same decisions, a changed one is found, a broken one is refused with
 * its line, and one that was cut off ends where it was cut.
 */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/trace_inputs.h"

static char directory[] = "/tmp/test_trace.XXXXXX", path[64];

static int make_directory(void **state)
{
	if (!mkdtemp(directory))
		return -1;
	snprintf(path, sizeof(path), "%s/trace", directory);
	return fill(state);
}

static int remove_directory(void **state)
{
	unlink(path);
	rmdir(directory);
	memset(directory + strlen(directory) - 6, 'X', 6);
	return empty(state);
}

/* A short life: what comes first, a few snapshots, an event that the engine refuses, a command. */
static void record_run(void)
{
	struct cb_engine *engine = cb_engine_new(7);
	struct cb_trace_writer *writer = NULL;
	struct cb_err err = { "" };
	struct cb_input inputs[] = {
		{ .kind = CB_INPUT_POLICY, .policy = &policy },
		{ .kind = CB_INPUT_TOPOLOGY, .topology = topology },
		{ .kind = CB_INPUT_IRQS, .irqs = irqs },
		{ .kind = CB_INPUT_SNAPSHOT, .snapshot = &snapshot },
		{ .kind = CB_INPUT_EVENT, .event = &event },
		{ .kind = CB_INPUT_SNAPSHOT, .snapshot = &snapshot },
		{ .kind = CB_INPUT_COMMAND, .command = &command },
	};

	cb_policy_init(&policy);
	topology->generation = snapshot.topology_generation = 1;
	event.kind = CB_EVENT_WORKER_GONE;
	command.kind = CB_COMMAND_APPLY;
	assert_non_null(engine);
	assert_int_equal(cb_trace_create(path, 7, &writer, &err), 0);
	for (size_t i = 0; i < CB_ARRAY_SIZE(inputs); i++) {
		int r;

		inputs[i].now_usec = snapshot.time_usec = (i + 1) * CB_USEC_PER_SEC;
		assert_int_equal(cb_trace_input(writer, &inputs[i]), 0);
		r = cb_engine_feed(engine, &inputs[i], &decision);
		assert_true(r == 0 || r == -EINVAL);
		assert_int_equal(cb_trace_decision(writer, &decision), 0);
	}
	assert_null(cb_trace_close(writer));
	cb_engine_free(engine);
}

static void replays(void **state)
{
	struct cb_replay_result result = { 0 };
	struct cb_err err = { "" };
	char *text = NULL;
	size_t size = 0, n_lines = 0;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	record_run();
	assert_non_null(out);
	if (cb_trace_replay(path, out, &result, &err) < 0)
		fail_msg("%s", err.msg);
	fclose(out);
	assert_int_equal(result.n_inputs, 7);
	assert_int_equal(result.n_decisions, 7);
	assert_int_equal(result.n_differing, 0);
	assert_int_equal(result.first_differing_line, 0);
	for (size_t i = 0; i < size; i++)
		n_lines += text[i] == '\n';
	assert_int_equal(n_lines, 7);
	free(text);
}

/* The recorded trace as one string, which the caller frees. */
static char *recorded(void)
{
	FILE *file;
	char *text;
	size_t len;

	record_run();
	file = fopen(path, "r");
	assert_non_null(file);
	text = calloc(1, 1 << 20);
	assert_non_null(text);
	len = fread(text, 1, (1 << 20) - 1, file);
	assert_true(len > 0);
	fclose(file);
	return text;
}

static int replay_text(const char *text, struct cb_replay_result *ret, struct cb_err *err)
{
	FILE *in = fmemopen((void *)(uintptr_t)(*text ? text : "\n"), strlen(text) + !*text, "r");
	int r;

	assert_non_null(in);
	r = cb_trace_replay_stream(in, "FILE", NULL, ret, err);
	fclose(in);
	return r;
}

static void replay_differs(void **state)
{
	struct cb_replay_result result = { 0 };
	struct cb_err err = { "" };
	char *text = recorded(), *at = strstr(text, "\"notices_lost\":0");

	(void)state;
	assert_non_null(at);
	at[strlen("\"notices_lost\":")] = '1';
	assert_int_equal(replay_text(text, &result, &err), 0);
	assert_int_equal(result.n_differing, 1);
	assert_int_equal(result.first_differing_line, 3);
	free(text);
}

static void replay_refuses(void **state)
{
	struct cb_replay_result result = { .n_inputs = 99 };
	struct cb_err err = { "" };
	char *text = recorded(), *second = strchr(text, '\n') + 1,
	     *third = strchr(second, '\n') + 1;
	char *at;

	(void)state;
	assert_int_equal(replay_text(second, &result, &err), -EBADMSG);
	assert_string_equal(err.msg, "FILE:1: trace: the first line, and only it, is the header");
	/* Two decisions in a row: the second input's line is cut out. */
	memmove(second, third, strlen(third) + 1);
	assert_int_equal(replay_text(text, &result, &err), -EBADMSG);
	assert_string_equal(err.msg, "FILE:2: out: a decision without an input before it");
	free(text);

	text = recorded();
	at = strstr(text, "\"in\":\"topology\"");
	assert_non_null(at);
	memcpy(at, "\"in\":\"typology\"", strlen("\"in\":\"typology\""));
	assert_int_equal(replay_text(text, &result, &err), -EBADMSG);
	assert_string_equal(err.msg, "FILE:4: in: unknown \"typology\"");
	free(text);
	assert_int_equal(replay_text("", &result, &err), -EBADMSG);
	assert_string_equal(err.msg, "FILE:1: an empty line");
	assert_int_equal(result.n_inputs, 99);
	assert_int_equal(cb_trace_replay("/nowhere/trace", NULL, &result, &err), -ENOENT);
	assert_string_equal(err.msg,
			    "cannot open the trace /nowhere/trace: No such file or directory");
}

/* A recorder that was stopped inside a line: the trace ends before it. Inside the file it is an error. */
static void replay_of_a_torn_trace(void **state)
{
	struct cb_replay_result result = { 0 };
	struct cb_err err = { "" };
	char *text = recorded(), *last;

	(void)state;
	text[strlen(text) - 1] = 0; /* only the newline is missing */
	assert_int_equal(replay_text(text, &result, &err), 0);
	assert_int_equal(result.n_decisions, 7);
	text[strlen(text) - 10] = 0;
	assert_int_equal(replay_text(text, &result, &err), 0);
	assert_int_equal(result.n_inputs, 7);
	assert_int_equal(result.n_decisions, 6);
	last = strrchr(text, '\n');
	last[-10] = '\n';
	assert_int_equal(replay_text(text, &result, &err), -EBADMSG);
	free(text);
	assert_int_equal(replay_text("{\"trace\":1", &result, &err), -EBADMSG);
}

static void recorder_fails(void **state)
{
	struct cb_trace_writer *writer = NULL;
	struct cb_err err = { "" };

	(void)state;
	assert_int_equal(cb_trace_create("/nowhere/trace", 1, &writer, &err), -ENOENT);
	assert_string_equal(err.msg,
			    "cannot create the trace /nowhere/trace: No such file or directory");
	if (access("/dev/full", W_OK) == 0) {
		assert_int_equal(cb_trace_create("/dev/full", 1, &writer, &err), -ENOSPC);
		assert_string_equal(err.msg,
				    "cannot write the trace /dev/full: No space left on device");
	}
	assert_null(writer);
	assert_null(cb_trace_close(NULL));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_directory, remove_directory)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(replays),	      TEST(replay_differs),
		TEST(replay_refuses), TEST(replay_of_a_torn_trace),
		TEST(recorder_fails),
	};

	return cmocka_run_group_tests_name("trace_replay", tests, NULL, NULL);
}
