/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The configuration: what is read, in which order, that a fault anywhere changes nothing, and that each message names
 * its file and line.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/config.h"
#include "tree.h"

static struct cb_policy policy; /* too big for a stack */

static int parse(const char *text, struct cb_err *err)
{
	cb_policy_init(&policy);
	err->msg[0] = '\0';
	return cb_config_parse(text, strlen(text), "conf", &policy, err);
}

static void test_values(void **state)
{
	struct cb_err err;

	(void)state;
	assert_int_equal(parse("# comment\n"
			       "[Manager]\n"
			       "Mode=advise\n"
			       "SampleIntervalSec = 500ms ; inline comment\n"
			       "\n"
			       "[Detect]\n"
			       "HotOn=90%\n"
			       "[Group web]\n"
			       "PIDFile=/run/nginx.pid\n"
			       "AllowedCPUs=0-3\n"
			       "Mode=observe",
			       &err),
			 0);
	assert_int_equal(policy.mode, CB_MODE_ADVISE);
	assert_int_equal(policy.sample_interval_usec, 500000);
	assert_true(policy.hot_on_ratio > 0.899 && policy.hot_on_ratio < 0.901);
	assert_int_equal(policy.n_groups, 1);
	assert_string_equal(policy.group[0].name, "web");
	assert_string_equal(policy.group[0].pid_file, "/run/nginx.pid");
	assert_int_equal(cb_cpuset_count(&policy.group[0].allowed_cpus), 4);
	assert_true(policy.group[0].has_mode);
	assert_int_equal(policy.group[0].mode, CB_MODE_OBSERVE);
}

/* libinih would take the second for more of the first. */
static void test_indented_lines_are_lines(void **state)
{
	struct cb_err err;

	(void)state;
	assert_int_equal(parse("[Manager]\n  Mode=advise\n\tSampleIntervalSec=2s\n", &err), 0);
	assert_int_equal(policy.mode, CB_MODE_ADVISE);
	assert_int_equal(policy.sample_interval_usec, 2000000);
}

static void test_windows_line_ends(void **state)
{
	struct cb_err err;

	(void)state;
	assert_int_equal(parse("[Manager]\r\nMode=observe\r\n", &err), 0);
	assert_int_equal(policy.mode, CB_MODE_OBSERVE);
}

static void expect_error(const char *text, const char *where)
{
	struct cb_err err;

	assert_true(parse(text, &err) < 0);
	if (strncmp(err.msg, where, strlen(where)) != 0)
		fail_msg("\"%s\" does not begin with \"%s\"", err.msg, where);
}

static void test_errors_name_file_and_line(void **state)
{
	struct cb_err err;
	char text[512];

	(void)state;
	expect_error("[Manager]\nMode=fast\n", "conf:2: ");
	expect_error("[Manager]\n\n\nSampleIntervalSec=0s\n", "conf:4: ");
	expect_error("[Manager]\nNoSuchOption=1\n", "conf:2: ");
	expect_error("[Nowhere]\nMode=auto\n", "conf:2: ");
	expect_error("Mode=auto\n", "conf:1: ");
	expect_error("[Manager]\nthis is no option\n", "conf:2: ");
	expect_error("[Manager\nMode=auto\n", "conf:1: ");
	expect_error("[Group ../x]\nMode=auto\n", "conf:2: ");
	/* the first error is the one that is told */
	expect_error("[Manager]\nMode=fast\nNoSuchOption=1\n", "conf:2: ");
	assert_true(parse("[Manager]\nNoSuchOption=1\n", &err) < 0);
	assert_non_null(strstr(err.msg, "NoSuchOption"));
	/* what libinih would shorten in silence */
	snprintf(text, sizeof(text), "[Manager]\nMetricsTextfile=/%0300d\n", 0);
	expect_error(text, "conf:2: ");
	snprintf(text, sizeof(text), "[Group %060d]\nMode=auto\n", 0);
	expect_error(text, "conf:1: ");
	snprintf(text, sizeof(text), "[Manager]\n%060d=1\n", 0);
	expect_error(text, "conf:2: ");
}

static void test_nul_is_refused(void **state)
{
	static const char text[] = "[Manager]\nMode=auto\0\n";
	struct cb_err err = { .msg = "" };

	(void)state;
	cb_policy_init(&policy);
	assert_int_equal(cb_config_parse(text, sizeof(text) - 1, "conf", &policy, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "conf:2: "));
}

/* As many groups as there may be, and one more. */
static void test_group_limit(void **state)
{
	size_t size = (CB_GROUPS_MAX + 1) * 64, len = 0;
	char *text = malloc(size);
	struct cb_err err;

	(void)state;
	assert_non_null(text);
	for (unsigned int i = 0; i < CB_GROUPS_MAX; i++)
		len += (size_t)snprintf(text + len, size - len, "[Group g%u]\nMode=auto\n", i);
	assert_int_equal(parse(text, &err), 0);
	assert_int_equal(policy.n_groups, CB_GROUPS_MAX);
	snprintf(text + len, size - len, "[Group more]\nMode=auto\n");
	assert_int_equal(parse(text, &err), -E2BIG);
	free(text);
}

/* --- files --- */

static const char *path_in(const struct tree *tree, const char *name)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/%s", tree->root, name);
	return path;
}

static void test_dropins_override_in_order(void **state)
{
	struct cb_err err = { .msg = "" };
	struct tree tree;

	(void)state;
	tree_init(&tree);
	tree_write(&tree, "c.conf", "[Manager]\nMode=auto\nSampleIntervalSec=2s\n");
	tree_write(&tree, "c.conf.d/20-b.conf", "[Manager]\nMode=observe\n");
	tree_write(&tree, "c.conf.d/10-a.conf", "[Manager]\nMode=advise\nSampleIntervalSec=3s\n");
	tree_write(&tree, "c.conf.d/30-c.conf.bak", "[Manager]\nMode=wrong\n");
	tree_write(&tree, "c.conf.d/.hidden.conf", "[Manager]\nMode=wrong\n");
	assert_int_equal(cb_config_load(path_in(&tree, "c.conf"), false, &policy, &err), 0);
	assert_int_equal(policy.mode, CB_MODE_OBSERVE);
	assert_int_equal(policy.sample_interval_usec, 3000000);
	tree_done(&tree);
}

static const char *from(const struct cb_config_origins *origins, const char *section,
			const char *name)
{
	const struct cb_config_origin *origin = cb_config_origin_find(origins, section, name);

	assert_non_null(origin);
	return strrchr(origin->from, '/') + 1;
}

/* As other services have it: /etc before /run before /usr/lib, by name; and each value knows its line. */
static void test_three_places(void **state)
{
	struct cb_config_origins origins = { .n = 0 };
	struct cb_err err = { .msg = "" };
	struct tree tree;

	(void)state;
	tree_init(&tree);
	tree_write(&tree, "etc/cpubalanced/c.conf", "[Manager]\nMode=auto\nSampleIntervalSec=2s\n");
	tree_write(&tree, "usr/lib/cpubalanced/c.conf", "[Manager]\nMode=wrong\n");
	tree_write(&tree, "usr/lib/cpubalanced/c.conf.d/20-a.conf", "[Manager]\nMode=observe\n");
	tree_write(&tree, "usr/lib/cpubalanced/c.conf.d/30-b.conf", "[Manager]\nMode=wrong\n");
	tree_write(&tree, "usr/lib/cpubalanced/c.conf.d/40-c.conf", "[Manager]\nMode=wrong\n");
	tree_write(&tree, "run/cpubalanced/c.conf.d/30-b.conf", "\n[Manager]\nMode=advise\n");
	tree_write(&tree, "etc/cpubalanced/c.conf.d/10-d.conf",
		   "[Manager]\nSampleIntervalSec=3s\n[Group web]\nMode=auto\n");
	assert_int_equal(symlink("/dev/null", path_in(&tree, "etc/cpubalanced/c.conf.d/40-c.conf")),
			 0);
	if (cb_config_load_traced(path_in(&tree, "etc/cpubalanced/c.conf"), false, &policy,
				  &origins, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(policy.mode, CB_MODE_ADVISE);
	assert_int_equal(policy.sample_interval_usec, 3000000);
	assert_string_equal(from(&origins, "Manager", "Mode"), "30-b.conf:3");
	assert_string_equal(from(&origins, "Manager", "SampleIntervalSec"), "10-d.conf:2");
	assert_string_equal(from(&origins, "Group web", "Mode"), "10-d.conf:4");
	assert_null(cb_config_origin_find(&origins, "Manager", "MetricsDetail"));
	cb_config_origins_done(&origins);
	assert_int_equal(unlink(path_in(&tree, "etc/cpubalanced/c.conf")), 0);
	assert_true(cb_config_load(path_in(&tree, "etc/cpubalanced/c.conf"), false, &policy, &err) <
		    0);
	assert_non_null(strstr(err.msg, "usr/lib/cpubalanced/c.conf:2: "));
	tree_done(&tree);
}

static void test_all_or_nothing(void **state)
{
	struct cb_err err = { .msg = "" };
	struct tree tree;

	(void)state;
	tree_init(&tree);
	tree_write(&tree, "c.conf", "[Manager]\nMode=observe\n");
	tree_write(&tree, "c.conf.d/10.conf", "[Manager]\nSampleIntervalSec=never\n");
	cb_policy_init(&policy);
	assert_true(cb_config_load(path_in(&tree, "c.conf"), false, &policy, &err) < 0);
	assert_non_null(strstr(err.msg, "c.conf.d/10.conf:2: "));
	assert_int_equal(policy.mode, CB_MODE_AUTO);
	/* every value is fine, but not together */
	tree_write(&tree, "c.conf.d/10.conf", "[Detect]\nHotOn=60%\nHotOff=70%\n");
	assert_true(cb_config_load(path_in(&tree, "c.conf"), false, &policy, &err) < 0);
	assert_non_null(strstr(err.msg, "c.conf: "));
	assert_int_equal(policy.mode, CB_MODE_AUTO);
	tree_done(&tree);
}

static void test_missing_file(void **state)
{
	struct cb_err err = { .msg = "" };
	struct tree tree;

	(void)state;
	tree_init(&tree);
	assert_int_equal(cb_config_load(path_in(&tree, "none.conf"), false, &policy, &err),
			 -ENOENT);
	assert_non_null(strstr(err.msg, "none.conf: "));
	assert_int_equal(cb_config_load(path_in(&tree, "none.conf"), true, &policy, &err), 0);
	tree_mkdir(&tree, "dir.conf");
	assert_true(cb_config_load(path_in(&tree, "dir.conf"), true, &policy, &err) < 0);
	/* a fifo must not make the daemon wait */
	assert_int_equal(mkfifo(path_in(&tree, "fifo.conf"), 0600), 0);
	assert_int_equal(cb_config_load(path_in(&tree, "fifo.conf"), true, &policy, &err), -EINVAL);
	tree_done(&tree);
}

/* The example as printed, and with every option uncommented, is the default. */
static void test_example_is_the_default(void **state)
{
	static struct cb_policy defaults;
	char *text = NULL, *p;
	size_t size = 0, n = 0;
	FILE *file = open_memstream(&text, &size);
	struct cb_err err;

	(void)state;
	assert_non_null(file);
	cb_config_print(file);
	assert_int_equal(fclose(file), 0);
	cb_policy_init(&defaults);
	assert_int_equal(parse(text, &err), 0);
	assert_memory_equal(&policy, &defaults, offsetof(struct cb_policy, group));
	for (p = text; (p = strstr(p, "\n#")); p++)
		if (p[2] != ' ' && p[2] != '\n') {
			p[1] = ' ';
			n++;
		}
	assert_true(n > cb_n_options);
	assert_int_equal(parse(text, &err), 0);
	assert_int_equal(policy.n_groups, 1);
	assert_int_equal(policy.sample_interval_usec, defaults.sample_interval_usec);
	assert_int_equal(policy.rollbacks_per_hour, defaults.rollbacks_per_hour);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_indented_lines_are_lines),
		cmocka_unit_test(test_windows_line_ends),
		cmocka_unit_test(test_errors_name_file_and_line),
		cmocka_unit_test(test_nul_is_refused),
		cmocka_unit_test(test_group_limit),
		cmocka_unit_test(test_dropins_override_in_order),
		cmocka_unit_test(test_three_places),
		cmocka_unit_test(test_all_or_nothing),
		cmocka_unit_test(test_missing_file),
		cmocka_unit_test(test_example_is_the_default),
	};

	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
