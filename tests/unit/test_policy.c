/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The policy: defaults, bounds and relations of every row, groups, messages, and text that reads back to the same value. */
#include "cpubalance/policy.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct cb_policy policy;

static int fresh(void **state)
{
	(void)state;
	cb_policy_init(&policy);
	return 0;
}

/* Set, and look that a refusal changes nothing and explains itself. */
static int set(const char *section, const char *name, const char *value)
{
	static struct cb_policy before;
	struct cb_err err = { "" };
	int r;

	before = policy;
	r = cb_policy_set(&policy, section, name, value, &err);
	if (r < 0) {
		assert_memory_equal(&policy, &before, sizeof(policy));
		assert_true(err.msg[0]);
	} else {
		assert_string_equal(err.msg, "");
	}
	return r;
}

static void assert_message(const char *section, const char *name, const char *value,
			   const char *expected)
{
	struct cb_err err = { "" };

	assert_true(cb_policy_set(&policy, section, name, value, &err) < 0);
	assert_string_equal(err.msg, expected);
}

static void assert_formatted(const char *name, const char *expected)
{
	char buf[CB_PATH_MAX];

	assert_int_equal(cb_policy_format(&policy, name, buf, sizeof(buf)), (int)strlen(expected));
	assert_string_equal(buf, expected);
}

static void defaults(void **state)
{
	(void)state;
	assert_int_equal(policy.mode, CB_MODE_AUTO);
	assert_int_equal(policy.sample_interval_usec, CB_USEC_PER_SEC);
	assert_string_equal(policy.metrics_textfile, "");
	assert_int_equal(policy.metrics_detail, CB_DETAIL_CPU);
	assert_true(policy.hot_on_ratio >= 0.8 && policy.hot_on_ratio <= 0.8);
	assert_int_equal(policy.harm_wait_usec, 50000);
	assert_int_equal(policy.plan_steps, 2);
	assert_string_equal(policy.manage_interrupts, "feeding");
	assert_false(policy.use_isolated);
	assert_int_equal(policy.quarantine_max_usec, 3600 * CB_USEC_PER_SEC);
	assert_int_equal(policy.n_groups, 0);
	assert_int_equal(cb_policy_check(&policy, NULL), 0);
}

/* Each row: in a section, with help, at its bounds accepted, and just the text of its default gives the default. */
static void every_row(void **state)
{
	(void)state;
	assert_true(cb_n_options > 20);
	for (size_t i = 0; i < cb_n_options; i++) {
		const struct cb_option *option = &cb_options[i];

		assert_true(option->section[0] && option->name[0] && option->type[0] &&
			    option->help[0]);
		assert_int_equal(set(option->section, option->name, option->def), 0);
		assert_int_equal(!option->min[0], !option->max[0]);
		if (option->min[0]) {
			assert_int_equal(set(option->section, option->name, option->min), 0);
			assert_int_equal(set(option->section, option->name, option->max), 0);
			assert_int_equal(set(option->section, option->name, "999999999"), -ERANGE);
			assert_int_equal(set(option->section, option->name, "-1"), -EINVAL);
			assert_int_equal(set(option->section, option->name, ""), -EINVAL);
		}
		assert_int_equal(set(option->section, option->name, "certainly not\n"), -EINVAL);
	}
	assert_string_equal(cb_options[0].section, "Manager");
	assert_string_equal(cb_options[cb_n_options - 1].section, "Verify");
}

static void every_row_reads_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < cb_n_options; i++) {
		const char *const texts[] = { cb_options[i].def, cb_options[i].min,
					      cb_options[i].max };

		for (size_t j = 0; j < CB_ARRAY_SIZE(texts); j++) {
			static struct cb_policy again;
			char buf[CB_PATH_MAX];

			if (j > 0 && !texts[j][0])
				continue;
			cb_policy_init(&policy);
			assert_int_equal(set(cb_options[i].section, cb_options[i].name, texts[j]),
					 0);
			assert_true(cb_policy_format(&policy, cb_options[i].name, buf,
						     sizeof(buf)) >= 0);
			again = policy;
			assert_int_equal(set(cb_options[i].section, cb_options[i].name, buf), 0);
			assert_memory_equal(&again, &policy, sizeof(policy));
		}
	}
}

static void percentages(void **state)
{
	static const struct {
		const char *text;
		double ratio;
		const char *back;
	} good[] = {
		{ "80%", 0.8, "80%" },
		{ "80", 0.8, "80%" },
		{ "80.5%", 0.805, "80.5%" },
		{ " 80 % ", 0.8, "80%" },
		{ "10.25", 0.1025, "10.25%" },
		{ "100%", 1.0, "100%" },
		{ "33.333333%", 0.33333333, "33.333333%" },
		{ "10%", 0.1, "10%" },
	};
	static const char *const bad[] = { "0.8x", "80%%",	  "80.%", ".8", "%",
					   "80 5", "80.1234567%", "8e1",  "1/2" };

	(void)state;
	for (size_t i = 0; i < CB_ARRAY_SIZE(good); i++) {
		assert_int_equal(set("Detect", "HotOn", good[i].text), 0);
		assert_true(policy.hot_on_ratio >= good[i].ratio &&
			    policy.hot_on_ratio <= good[i].ratio);
		assert_formatted("HotOn", good[i].back);
	}
	for (size_t i = 0; i < CB_ARRAY_SIZE(bad); i++)
		assert_int_equal(set("Detect", "HotOn", bad[i]), -EINVAL);
	/* A percentage, not a ratio: this is less than one percent. */
	assert_int_equal(set("Detect", "HotOn", "0.8"), -ERANGE);
	assert_int_equal(set("Detect", "HotOn", "99999999999999999999999"), -ERANGE);
}

static void random_percentages_read_back(void **state)
{
	(void)state;
	srand(1);
	for (int i = 0; i < 5000; i++) {
		char text[32], buf[CB_PATH_MAX];
		double ratio;

		snprintf(text, sizeof(text), "%d.%0*d%%", 10 + rand() % 90, 1 + i % 6, rand() % 10);
		assert_int_equal(set("Detect", "HotOn", text), 0);
		ratio = policy.hot_on_ratio;
		assert_true(cb_policy_format(&policy, "HotOn", buf, sizeof(buf)) > 0);
		assert_int_equal(set("Detect", "HotOn", buf), 0);
		assert_memory_equal(&ratio, &policy.hot_on_ratio, sizeof(ratio));
	}
}

static void booleans(void **state)
{
	static const char *const yes[] = { "yes", "1", "y", "true", "t", "on", "YES", "On" };
	static const char *const no[] = { "no", "0", "n", "false", "f", "off", "FALSE" };

	(void)state;
	for (size_t i = 0; i < CB_ARRAY_SIZE(yes); i++) {
		assert_int_equal(set("Plan", "CrossNode", yes[i]), 0);
		assert_true(policy.cross_node);
		assert_formatted("CrossNode", "yes");
	}
	for (size_t i = 0; i < CB_ARRAY_SIZE(no); i++) {
		assert_int_equal(set("Plan", "CrossNode", no[i]), 0);
		assert_false(policy.cross_node);
	}
	assert_int_equal(set("Plan", "CrossNode", ""), -EINVAL);
	assert_int_equal(set("Plan", "CrossNode", "2"), -EINVAL);
}

static void counts(void **state)
{
	(void)state;
	assert_int_equal(set("Plan", "PlanSteps", " 32 "), 0);
	assert_int_equal(policy.plan_steps, 32);
	assert_formatted("PlanSteps", "32");
	assert_int_equal(set("Plan", "PlanSteps", "33"), -ERANGE);
	assert_int_equal(set("Plan", "PlanSteps", "0"), -ERANGE);
	assert_int_equal(set("Plan", "PlanSteps", "4294967297"), -ERANGE);
	assert_int_equal(set("Plan", "PlanSteps", "2.5"), -EINVAL);
	assert_int_equal(set("Plan", "PlanSteps", "0x2"), -EINVAL);
}

static void paths(void **state)
{
	char path[CB_PATH_MAX + 1] = "/";

	(void)state;
	memset(path + 1, 'p', CB_PATH_MAX - 2);
	assert_int_equal(set("Manager", "MetricsTextfile", path), 0); /* 255 bytes */
	assert_string_equal(policy.metrics_textfile, path);
	path[CB_PATH_MAX - 1] = 'p';
	assert_int_equal(set("Manager", "MetricsTextfile", path), -ERANGE);
	assert_int_equal(set("Manager", "MetricsTextfile", "relative"), -EINVAL);
	assert_int_equal(set("Manager", "MetricsTextfile", "/a\nb"), -EINVAL);
	assert_int_equal(set("Manager", "MetricsTextfile", ""), 0);
	assert_formatted("MetricsTextfile", "");
}

static void messages(void **state)
{
	(void)state;
	assert_message("Detect", "HotOn", "120%", "HotOn=: \"120%\" is not in 10% to 100%");
	assert_message("Detect", "HotOn", "hot",
		       "HotOn=: \"hot\" is not a percentage such as 80%, 10% to 100%");
	assert_message("Manager", "SampleIntervalSec", "1ms",
		       "SampleIntervalSec=: \"1ms\" is not in 250ms to 1min");
	assert_message("Manager", "Mode", "on", "Mode=: \"on\" is not auto, advise or observe");
	assert_message("Plan", "HotOn", "80%", "HotOn= belongs to [Detect], not to [Plan]");
	assert_message("Plan", "Hot", "80%", "[Plan] has no option Hot=");
	assert_message("plan", "PlanSteps", "1",
		       "there is no section [plan] (Manager, Detect, Plan, Verify, Group NAME)");
	assert_message("Group web", "AllowedCPUs", "3-1",
		       "AllowedCPUs=: \"3-1\" is not a list of CPUs such as 0-3,8, below 4096");
	assert_int_equal(cb_policy_set(&policy, "Detect", "HotOn", "x", NULL), -EINVAL);
}

static void relations(void **state)
{
	static const struct {
		const char *section, *name, *value, *message;
	} cases[] = {
		{ "Detect", "HotOff", "80%", "HotOff= (80%) has to be less than HotOn= (80%)" },
		{ "Detect", "WarmOn", "81%", "WarmOn= (81%) has to be at most HotOn= (80%)" },
		{ "Detect", "CoolerBy", "90%", "CoolerBy= (90%) has to be at most HotOn= (80%)" },
		{ "Detect", "HotHarmSec", "31s",
		  "HotHarmSec= (31s) has to be at most HotNoHarmSec= (30s)" },
		{ "Plan", "PlanSteps", "5",
		  "PlanSteps= (5) has to be at most PlanStepsTrusted= (4)" },
		{ "Verify", "VerifyWindows", "31",
		  "VerifyWindows= (31) has to be at most VerifyWindowsMax= (30)" },
		{ "Verify", "QuarantineMaxSec", "90",
		  "QuarantineSec= (5min) has to be at most QuarantineMaxSec= (1min 30s)" },
	};

	(void)state;
	for (size_t i = 0; i < CB_ARRAY_SIZE(cases); i++) {
		struct cb_err err = { "" };

		cb_policy_init(&policy);
		assert_int_equal(set(cases[i].section, cases[i].name, cases[i].value), 0);
		assert_int_equal(cb_policy_check(&policy, &err), -EINVAL);
		assert_string_equal(err.msg, cases[i].message);
		assert_int_equal(cb_policy_check(&policy, NULL), -EINVAL);
	}
}

static void groups(void **state)
{
	const struct cb_group_policy *web = &policy.group[0], *db = &policy.group[1];

	(void)state;
	assert_int_equal(set("Plan", "ManageInterrupts", "no"), 0);
	assert_string_equal(policy.manage_interrupts, "none");
	assert_int_equal(set("Plan", "ManageInterrupts", "Yes"), 0);
	assert_string_equal(policy.manage_interrupts, "feeding");
	assert_int_equal(set("Plan", "ManageInterrupts", "40-47,51"), 0);
	assert_string_equal(policy.manage_interrupts, "40-47,51");
	assert_int_equal(set("Plan", "ManageInterrupts", "40-"), -EINVAL);
	assert_int_equal(set("Plan", "ManageInterrupts", "some"), -EINVAL);
	assert_int_equal(set("Group web", "Listen", "tcp:443 udp:[::]:53"), 0);
	assert_int_equal(set("Group web", "Unit", "nginx.service"), 0);
	assert_int_equal(set("Group web", "Cgroup", "/a"), 0);
	assert_int_equal(set("Group web", "Process", "nginx"), 0);
	assert_int_equal(set("Group web", "Listen", "443"), -EINVAL);
	assert_int_equal(set("Group web", "Unit", "nginx"), -EINVAL);
	assert_int_equal(set("Group web", "Cgroup", "a"), -EINVAL);
	assert_int_equal(set("Group web", "Process", "a/b"), -EINVAL);
	assert_int_equal(set("Group web", "PIDFile", "/run/web.pid"), 0);
	assert_int_equal(set("Group  db-1", "Placement", "core"), 0);
	assert_int_equal(set("Group  db-1", "Granularity", "thread"), 0);
	assert_int_equal(set("Group web", "Mode", "advise"), 0);
	assert_int_equal(set("Group web", "AllowedCPUs", "0-3,8"), 0);
	assert_int_equal(set("Group web", "Interfaces", " eth0\teth1 "), 0);
	assert_int_equal(policy.n_groups, 2);
	assert_string_equal(web->name, "web");
	assert_string_equal(web->pid_file, "/run/web.pid");
	assert_true(web->has_mode && web->mode == CB_MODE_ADVISE);
	assert_true(web->has_allowed && cb_cpuset_count(&web->allowed_cpus) == 5);
	assert_string_equal(web->interfaces, "eth0 eth1");
	assert_string_equal(db->name, "db-1");
	assert_int_equal(db->placement, CB_PLACEMENT_CORE);
	assert_int_equal(db->granularity, CB_GRANULARITY_THREAD);
	assert_false(db->has_mode || db->has_allowed);
	/* Empty takes it back. */
	assert_int_equal(set("Group web", "AllowedCPUs", ""), 0);
	assert_int_equal(set("Group web", "Mode", ""), 0);
	assert_int_equal(set("Group web", "Interfaces", ""), 0);
	assert_false(web->has_mode || web->has_allowed || web->interfaces[0]);
	/* A refusal adds no group. */
	assert_int_equal(set("Group new", "Mode", "never"), -EINVAL);
	assert_int_equal(set("Group new", "Nice", "1"), -ENOENT);
	assert_int_equal(set("Group new", "PIDFile", "web.pid"), -EINVAL);
	assert_int_equal(set("Group new", "Placement", "node"), -EINVAL);
	assert_int_equal(set("Group new", "Granularity", "fiber"), -EINVAL);
	assert_int_equal(set("Group new", "AllowedCPUs", "4096"), -ERANGE);
	assert_int_equal(set("Group new", "Interfaces", "a/b"), -EINVAL);
	assert_int_equal(set("Group new", "Interfaces", "sixteen-bytes-xx"), -EINVAL);
	assert_int_equal(set("Group new", "Interfaces", ".."), -EINVAL);
	assert_int_equal(set("Group new", "Interfaces", "eth0\neth1"), -EINVAL);
	assert_int_equal(policy.n_groups, 2);
}

static void group_limits(void **state)
{
	char section[32], interfaces[20 * 16 + 1] = "";

	(void)state;
	for (unsigned int i = 0; i < CB_GROUPS_MAX; i++) {
		snprintf(section, sizeof(section), "Group g%u", i);
		assert_int_equal(set(section, "Mode", "auto"), 0);
	}
	assert_int_equal(set("Group more", "Mode", "auto"), -E2BIG);
	assert_int_equal(set("Group g0", "Mode", "advise"), 0);
	for (size_t i = 0; i < 17; i++)
		strcat(interfaces, "fifteen-letters ");
	assert_int_equal(set("Group g0", "Interfaces", interfaces), -ERANGE);
	interfaces[16 * 16] = 0;
	assert_int_equal(set("Group g0", "Interfaces", interfaces), 0); /* 255 bytes */
}

static void group_names(void **state)
{
	static const char *const bad[] = { "", ".a", "-a", "_a", "a b", "a/b", "\xc3\xa4", "a\n" };
	char name[CB_NAME_MAX + 1];

	(void)state;
	assert_true(cb_name_valid("a"));
	assert_true(cb_name_valid("9Web_site.example-1"));
	for (size_t i = 0; i < CB_ARRAY_SIZE(bad); i++) {
		char section[32];

		assert_false(cb_name_valid(bad[i]));
		snprintf(section, sizeof(section), "Group %s", bad[i]);
		assert_int_equal(set(section, "Mode", "auto"), -EINVAL);
	}
	memset(name, 'n', sizeof(name));
	name[CB_NAME_MAX] = 0;
	assert_false(cb_name_valid(name));
	name[CB_NAME_MAX - 1] = 0;
	assert_true(cb_name_valid(name));
}

static void format_errors(void **state)
{
	char buf[4];

	(void)state;
	assert_int_equal(cb_policy_format(&policy, "Nothing", buf, sizeof(buf)), -ENOENT);
	assert_int_equal(cb_policy_format(&policy, "HotOn", buf, 3), -ENOSPC);
	assert_int_equal(cb_policy_format(&policy, "HotOn", buf, 4), 3);
	assert_string_equal(buf, "80%");
}

#define TEST(name) cmocka_unit_test_setup(name, fresh)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(defaults),
		TEST(every_row),
		TEST(every_row_reads_back),
		TEST(percentages),
		TEST(booleans),
		TEST(counts),
		TEST(paths),
		TEST(messages),
		TEST(relations),
		TEST(groups),
		TEST(group_limits),
		TEST(group_names),
		TEST(format_errors),
		TEST(random_percentages_read_back),
	};

	return cmocka_run_group_tests_name("policy", tests, NULL, NULL);
}
