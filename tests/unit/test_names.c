/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Each value of each enum has a word of its own, of the characters that the bus, metrics and traces can carry. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cpubalance/engine.h"

typedef const char *(*name_fn)(int value);

/* @alphabet: the characters that may stand in a word, "" for any. */
static void check_names(const char *function, name_fn name_of, int max, const char *alphabet)
{
	for (int i = 0; i < max; i++) {
		const char *name = name_of(i);

		if (strcmp(name, "?") == 0 || !*name)
			fail_msg("%s(%d) has no word", function, i);
		if (*alphabet && name[strspn(name, alphabet)])
			fail_msg("%s(%d): \"%s\"", function, i, name);
		for (int other = 0; other < i; other++)
			if (strcmp(name, name_of(other)) == 0)
				fail_msg("%s(%d) is %d's too", function, i, other);
	}
	assert_string_equal(name_of(max), "?");
	assert_string_equal(name_of(-22), "?");
	assert_string_equal(name_of(INT32_MAX), "?");
	assert_string_equal(name_of(INT32_MIN), "?");
}

/* Each function by its enum's type, behind one type of function. */
#define NAMED(function, type)                           \
	static const char *function##_of_int(int value) \
	{                                               \
		return function((enum type)value);      \
	}
NAMED(cb_finding_kind_name, cb_finding_kind)
NAMED(cb_finding_meaning, cb_finding_kind)
NAMED(cb_finding_remedy, cb_finding_kind)
NAMED(cb_finding_role_name, cb_finding_role)
NAMED(cb_reject_name, cb_reject)
NAMED(cb_reject_sentence, cb_reject)
NAMED(cb_item_kind_name, cb_item_kind)
NAMED(cb_step_state_name, cb_step_state)
NAMED(cb_error_class_name, cb_error_class)
NAMED(cb_origin_name, cb_origin)
NAMED(cb_plan_state_name, cb_plan_state)
NAMED(cb_verdict_name, cb_verdict)
NAMED(cb_input_kind_name, cb_input_kind)
NAMED(cb_event_kind_name, cb_event_kind)
NAMED(cb_command_kind_name, cb_command_kind)
NAMED(cb_action_name, cb_action)
NAMED(cb_notice_kind_name, cb_notice_kind)
NAMED(cb_heat_name, cb_heat)
NAMED(cb_source_name, cb_source)
NAMED(cb_source_where, cb_source)
NAMED(cb_source_gives, cb_source)
NAMED(cb_softirq_name, cb_softirq)
NAMED(cb_mode_name, cb_mode)
NAMED(cb_detail_name, cb_detail)
NAMED(cb_placement_name, cb_placement)
NAMED(cb_granularity_name, cb_granularity)
NAMED(cb_queue_dir_name, cb_queue_dir)

#define CHECK_NAMES(function, max, alphabet) \
	check_names(#function, function##_of_int, max, alphabet)
#define LOWER "abcdefghijklmnopqrstuvwxyz_"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ_"

static void findings(void **state)
{
	(void)state;
	CHECK_NAMES(cb_finding_kind_name, _CB_FINDING_MAX, UPPER);
	CHECK_NAMES(cb_finding_meaning, _CB_FINDING_MAX, "");
	CHECK_NAMES(cb_finding_remedy, _CB_FINDING_MAX, "");
	CHECK_NAMES(cb_finding_role_name, _CB_ROLE_MAX, LOWER);
	CHECK_NAMES(cb_reject_name, _CB_REJECT_MAX, UPPER);
	CHECK_NAMES(cb_reject_sentence, _CB_REJECT_MAX, "");
	assert_string_equal(cb_finding_kind_name(CB_FINDING_HOT_CPU), "HOT_CPU");
	assert_string_equal(cb_reject_name(CB_REJECT_MANAGED_IRQ), "MANAGED_IRQ");
	assert_int_equal(cb_finding_role(CB_FINDING_HOT_CPU), CB_ROLE_PLANS);
	assert_int_equal(cb_finding_role(CB_FINDING_SATURATED), CB_ROLE_INFORMS);
	assert_int_equal(cb_finding_role(_CB_FINDING_MAX), _CB_ROLE_INVALID);
	assert_int_equal(cb_finding_subject(CB_FINDING_WORKER_BOUND), CB_SUBJECT_CPU);
	assert_int_equal(cb_finding_subject(_CB_FINDING_INVALID), _CB_SUBJECT_INVALID);
}

static void plans(void **state)
{
	(void)state;
	CHECK_NAMES(cb_item_kind_name, _CB_ITEM_MAX, LOWER);
	CHECK_NAMES(cb_step_state_name, _CB_STEP_STATE_MAX, LOWER);
	CHECK_NAMES(cb_error_class_name, _CB_ERROR_CLASS_MAX, LOWER);
	CHECK_NAMES(cb_origin_name, _CB_ORIGIN_MAX, LOWER);
	CHECK_NAMES(cb_plan_state_name, _CB_PLAN_STATE_MAX, LOWER);
	CHECK_NAMES(cb_verdict_name, _CB_VERDICT_MAX, LOWER);
	assert_string_equal(cb_verdict_name(CB_VERDICT_ROLLED_BACK), "rolled_back");
}

static void engine(void **state)
{
	(void)state;
	CHECK_NAMES(cb_input_kind_name, _CB_INPUT_MAX, LOWER);
	CHECK_NAMES(cb_event_kind_name, _CB_EVENT_MAX, LOWER);
	CHECK_NAMES(cb_command_kind_name, _CB_COMMAND_MAX, LOWER);
	CHECK_NAMES(cb_action_name, _CB_ACTION_MAX, LOWER);
	CHECK_NAMES(cb_notice_kind_name, _CB_NOTICE_MAX, LOWER);
	CHECK_NAMES(cb_heat_name, _CB_HEAT_MAX, LOWER);
}

static void snapshots(void **state)
{
	(void)state;
	CHECK_NAMES(cb_source_name, _CB_SOURCE_MAX, LOWER "-");
	CHECK_NAMES(cb_source_where, _CB_SOURCE_MAX, "");
	CHECK_NAMES(cb_source_gives, _CB_SOURCE_MAX, "");
	CHECK_NAMES(cb_softirq_name, _CB_SOFTIRQ_MAX, UPPER);
	assert_string_equal(cb_softirq_name(CB_SOFTIRQ_NET_RX), "NET_RX");
}

static void policy(void **state)
{
	(void)state;
	CHECK_NAMES(cb_mode_name, _CB_MODE_MAX, LOWER);
	CHECK_NAMES(cb_detail_name, _CB_DETAIL_MAX, LOWER);
	CHECK_NAMES(cb_placement_name, _CB_PLACEMENT_MAX, LOWER);
	CHECK_NAMES(cb_granularity_name, _CB_GRANULARITY_MAX, LOWER);
	CHECK_NAMES(cb_queue_dir_name, _CB_QUEUE_DIR_MAX, LOWER);
	for (int mode = 0; mode < _CB_MODE_MAX; mode++)
		assert_int_equal(cb_mode_from_name(cb_mode_name((enum cb_mode)mode)), mode);
	assert_int_equal(cb_mode_from_name("Auto"), _CB_MODE_INVALID);
	assert_int_equal(cb_mode_from_name("?"), _CB_MODE_INVALID);
	assert_int_equal(cb_mode_from_name(""), _CB_MODE_INVALID);
	assert_int_equal(cb_mode_from_name(NULL), _CB_MODE_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(findings),  cmocka_unit_test(plans),  cmocka_unit_test(engine),
		cmocka_unit_test(snapshots), cmocka_unit_test(policy),
	};

	return cmocka_run_group_tests_name("names", tests, NULL, NULL);
}
