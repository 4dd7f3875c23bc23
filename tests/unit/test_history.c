/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The history: a line reads back as it was written, bad lines are passed over and counted, the ring keeps the newest, the
 * file is rotated, and plan numbers go on where they ended.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "daemon/history.h"
#include "tree.h"

static struct cb_history_step steps[CB_STEPS_MAX];

static struct cb_history_entry example(uint32_t plan_id, uint32_t n_steps)
{
	struct cb_history_entry entry = {
		.plan_id = plan_id,
		.at_usec = UINT64_C(1700000000123456) + plan_id,
		.origin = CB_ORIGIN_OPERATOR,
		.verdict = CB_VERDICT_ROLLED_BACK,
		.group = "web",
		.finding = "CPU 3 is 96 % busy",
		.sentence = "\"quoted\" and\nmore \\ than that",
		.measure = "served work",
		.effect_ratio = -0.0625,
		.p_value = 0.003,
		.wait_before_ratio = 0.25,
		.wait_after_ratio = 0.5,
		.n_before = 10,
		.n_after = 30,
		.foreign = true,
		.hottest_before_ratio = 0.96,
		.hottest_after_ratio = 0.7,
		.n_steps = n_steps,
		.step = steps,
	};

	for (uint32_t i = 0; i < n_steps; i++) {
		steps[i] = (struct cb_history_step){ .kind = CB_ITEM_IRQ,
						     .state = CB_STEP_PENDING,
						     .load_ratio = 0.125,
						     .from = "0-1",
						     .to = "1" };
		snprintf(steps[i].name, sizeof(steps[i].name), "eth0-rx-%u", i);
	}
	return entry;
}

/* Field by field: there is padding between them. */
#define SAME_NUMBER(field) assert_true(a->field == b->field)
#define SAME_TEXT(field)   assert_string_equal(a->field, b->field)
static void assert_same(const struct cb_history_entry *a, const struct cb_history_entry *b)
{
	SAME_NUMBER(plan_id);
	SAME_NUMBER(at_usec);
	SAME_NUMBER(origin);
	SAME_NUMBER(verdict);
	SAME_TEXT(group);
	SAME_TEXT(finding);
	SAME_TEXT(sentence);
	SAME_TEXT(measure);
	SAME_NUMBER(effect_ratio);
	SAME_NUMBER(p_value);
	SAME_NUMBER(wait_before_ratio);
	SAME_NUMBER(wait_after_ratio);
	SAME_NUMBER(n_before);
	SAME_NUMBER(n_after);
	SAME_NUMBER(foreign);
	SAME_NUMBER(hottest_before_ratio);
	SAME_NUMBER(hottest_after_ratio);
	SAME_NUMBER(n_steps);
	for (uint32_t i = 0; i < a->n_steps; i++) {
		SAME_NUMBER(step[i].kind);
		SAME_NUMBER(step[i].state);
		SAME_NUMBER(step[i].load_ratio);
		SAME_TEXT(step[i].name);
		SAME_TEXT(step[i].from);
		SAME_TEXT(step[i].to);
	}
}

static void test_line_round_trip(void **state)
{
	struct cb_history_entry entry = example(7, CB_STEPS_MAX), back;
	char *line = cb_history_line_format(&entry);

	(void)state;
	assert_non_null(line);
	assert_null(strchr(line, '\n'));
	memset(&back, 0, sizeof(back));
	assert_int_equal(cb_history_line_parse(line, strlen(line), &back), 0);
	assert_same(&entry, &back);
	free(back.step);
	free(line);
}

static void test_bad_lines(void **state)
{
	static const char *const bad[] = {
		"",
		"{",
		"[]",
		"17",
		"{}",
		"{\"plan\":0}",
		"{\"plan\":-1}",
		"{\"plan\":\"1\"}",
		"{\"plan\":4294967296}",
		"{\"plan\":1,\"verdict\":\"perhaps\"}",
		"{\"plan\":1,\"steps\":[1]}",
		"{\"plan\":1,\"steps\":{}}",
		"{\"plan\":1,\"group\":7}",
		"{\"plan\":1} {\"plan\":2}",
		"{\"plan\":1,\"steps\":[{\"kind\":\"gpu\"}]}",
		"[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]",
	};
	struct cb_history_entry entry;

	(void)state;
	for (size_t i = 0; i < CB_ARRAY_SIZE(bad); i++)
		if (cb_history_line_parse(bad[i], strlen(bad[i]), &entry) != -EBADMSG)
			fail_msg("accepted: %s", bad[i]);
	/* newer writers may say more, older ones less */
	assert_int_equal(cb_history_line_parse("{\"plan\":1,\"news\":[1]}", 21, &entry), 0);
	assert_int_equal(entry.plan_id, 1);
	free(entry.step);
}

static const char *dir_in(const struct tree *tree)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/state", tree->root);
	return path;
}

static struct cb_history *open_history(const char *dir)
{
	struct cb_history *history = NULL;
	struct cb_err err = { .msg = "" };

	if (cb_history_open(dir, CB_HISTORY_PLANS, &history, &err) < 0)
		fail_msg("%s", err.msg);
	return history;
}

static void add(struct cb_history *history, uint32_t plan_id, uint32_t n_steps)
{
	struct cb_history_entry entry = example(plan_id, n_steps);

	assert_int_equal(cb_history_add(history, &entry, NULL), 0);
}

static void test_outlives_the_daemon(void **state)
{
	struct cb_history_entry entry = example(2, 3);
	struct cb_history *history;
	struct tree tree;

	(void)state;
	tree_init(&tree);
	history = open_history(dir_in(&tree));
	assert_int_equal(cb_history_count(history), 0);
	assert_int_equal(cb_history_last_plan_id(history), 0);
	add(history, 1, 1);
	add(history, 2, 3);
	cb_history_close(history);
	history = open_history(dir_in(&tree));
	assert_int_equal(cb_history_count(history), 2);
	assert_int_equal(cb_history_last_plan_id(history), 2);
	assert_int_equal(cb_history_at(history, 0)->plan_id, 1);
	entry = example(2, 3);
	assert_same(&entry, cb_history_at(history, 1));
	cb_history_close(history);
	tree_done(&tree);
}

/* A crash tears at most the last line, and what comes after it is not lost with it. */
static void test_torn_and_foreign_lines(void **state)
{
	struct cb_history *history;
	struct tree tree;

	(void)state;
	tree_init(&tree);
	tree_write(&tree, "state/history.jsonl",
		   "{\"plan\":1}\nnonsense\n\n{\"plan\":5}\n{\"plan\":6,\"ver");
	history = open_history(dir_in(&tree));
	assert_int_equal(cb_history_count(history), 2);
	assert_int_equal(cb_history_bad_lines(history), 2);
	assert_int_equal(cb_history_last_plan_id(history), 5);
	add(history, 6, 1);
	cb_history_close(history);
	history = open_history(dir_in(&tree));
	assert_int_equal(cb_history_count(history), 3);
	assert_int_equal(cb_history_last_plan_id(history), 6);
	cb_history_close(history);
	tree_done(&tree);
}

static void test_ring_keeps_the_newest(void **state)
{
	struct cb_history *history = open_history(NULL);

	(void)state;
	for (uint32_t i = 1; i <= CB_HISTORY_MAX + 10; i++)
		add(history, i, 1);
	assert_int_equal(cb_history_count(history), CB_HISTORY_MAX);
	assert_int_equal(cb_history_at(history, 0)->plan_id, 11);
	assert_int_equal(cb_history_at(history, CB_HISTORY_MAX - 1)->plan_id, CB_HISTORY_MAX + 10);
	cb_history_close(history);
}

static void test_rotation(void **state)
{
	struct cb_history *history;
	struct tree tree;
	struct stat st;
	char path[600];
	uint32_t n = 0;

	(void)state;
	tree_init(&tree);
	history = open_history(dir_in(&tree));
	snprintf(path, sizeof(path), "%s/history.jsonl.1", dir_in(&tree));
	while (stat(path, &st) < 0 && n < 10000)
		add(history, ++n, CB_STEPS_MAX);
	assert_true(n < 10000);
	assert_true(st.st_size <= (off_t)CB_HISTORY_FILE_MAX);
	cb_history_close(history);
	history = open_history(dir_in(&tree));
	assert_int_equal(cb_history_bad_lines(history), 0);
	assert_int_equal(cb_history_count(history), CB_HISTORY_MAX);
	assert_int_equal(cb_history_last_plan_id(history), n);
	cb_history_close(history);
	tree_done(&tree);
}

static void test_no_directory(void **state)
{
	struct cb_history *history = NULL;
	struct cb_err err = { .msg = "" };
	struct tree tree;

	(void)state;
	tree_init(&tree);
	tree_write(&tree, "state", "a file");
	assert_true(cb_history_open(dir_in(&tree), CB_HISTORY_PLANS, &history, &err) < 0);
	assert_true(err.msg[0]);
	assert_non_null(history); /* in memory all the same */
	add(history, 1, 1);
	assert_int_equal(cb_history_count(history), 1);
	cb_history_close(history);
	tree_done(&tree);
}

/* Without a number of a plan only what somebody else has set. */
static void test_no_plan(void **state)
{
	static const char plan[] = "{\"plan\":0,\"at\":5,\"origin\":\"auto\",\"verdict\":\"kept\"}";
	struct cb_history_entry entry = { .at_usec = 5,
					  .foreign = true,
					  .sentence = "web/0 was set" },
				read;
	char *line = cb_history_line_format(&entry);

	(void)state;
	assert_non_null(line);
	assert_int_equal(cb_history_line_parse(line, strlen(line), &read), 0);
	assert_int_equal(read.plan_id, 0);
	assert_true(read.foreign);
	assert_string_equal(read.sentence, entry.sentence);
	free(read.step);
	free(line);
	assert_int_equal(cb_history_line_parse(plan, strlen(plan), &read), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_line_round_trip),
		cmocka_unit_test(test_bad_lines),
		cmocka_unit_test(test_outlives_the_daemon),
		cmocka_unit_test(test_torn_and_foreign_lines),
		cmocka_unit_test(test_no_plan),
		cmocka_unit_test(test_ring_keeps_the_newest),
		cmocka_unit_test(test_rotation),
		cmocka_unit_test(test_no_directory),
	};

	return cmocka_run_group_tests_name("history", tests, NULL, NULL);
}
