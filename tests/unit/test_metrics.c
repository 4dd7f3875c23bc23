/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The Prometheus text: well-formed line by line, one header for each metric, names and labels as the table says, the
 * three levels of detail, values of a machine in virtual time; the textfile is replaced and follows nothing.
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

#include "daemon/manager.h"
#include "daemon/metrics.h"
#include "daemon/textfile.h"
#include "tree.h"
#include "world.h"

static struct world world;
static struct cb_manager manager;

static int setup(void **state)
{
	(void)state;
	world_init(&world, 4, 3);
	world_ticks(&world, 5);
	memset(&manager, 0, sizeof(manager));
	manager.engine = world.engine;
	manager.policy = &world.policy;
	manager.effective = &world.policy;
	manager.topology = world.topology;
	manager.snapshot = world.snapshot;
	manager.n_samples = manager.n_ticks = 5;
	manager.tick_usec = 1500;
	manager.report.kernel = "6.1 \"test\"\\x\n";
	manager.journal_healthy = true;
	manager.metrics = cb_metrics_new();
	return manager.metrics ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	cb_metrics_free(manager.metrics);
	world_done(&world);
	return 0;
}

static const char *render(enum cb_detail detail)
{
	const char *text;

	world.policy.metrics_detail = detail;
	text = cb_metrics_render(manager.metrics, &manager);
	assert_non_null(text);
	return text;
}

/* The line that begins with @sample and a blank; "" when there is none. */
static const char *value_of(const char *text, const char *sample)
{
	static char value[64];
	size_t len = strlen(sample);

	value[0] = '\0';
	for (const char *p = text; p && *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL)
		if (strncmp(p, sample, len) == 0 && p[len] == ' ') {
			snprintf(value, sizeof(value), "%.*s", (int)strcspn(p + len + 1, "\n"),
				 p + len + 1);
			break;
		}
	return value;
}

static bool is_name(const char *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!strchr("abcdefghijklmnopqrstuvwxyz_0123456789", p[i]))
			return false;
	return len > 0;
}

/* name{label="value",...} number, with escapes; or name number. */
static void check_sample(const char *line, const char *family)
{
	size_t n = strcspn(line, "{ \n");
	const char *p = line + n;
	char *end;

	if (!is_name(line, n) || strlen(family) != n || strncmp(line, family, n) != 0)
		fail_msg("a sample of another family than %s: %.80s", family, line);
	while (*p == '{' || *p == ',') {
		n = strcspn(++p, "=");
		assert_true(is_name(p, n));
		p += n + 1;
		assert_int_equal(*p++, '"');
		while (*p != '"') {
			assert_true(*p != '\n' && *p != '\0');
			p += *p == '\\' ? 2 : 1;
		}
		p++;
	}
	p += *p == '}';
	assert_int_equal(*p++, ' ');
	strtod(p, &end);
	assert_true(end > p && *end == '\n');
}

static void check_format(const char *text)
{
	char family[128] = "", seen[16384] = "";
	size_t n_families = 0;

	for (const char *p = text; *p; p = strchr(p, '\n') + 1) {
		assert_non_null(strchr(p, '\n'));
		if (strncmp(p, "# HELP ", 7) == 0) {
			char key[160];

			snprintf(family, sizeof(family), "%.*s", (int)strcspn(p + 7, " "), p + 7);
			snprintf(key, sizeof(key), " %s ", family);
			assert_null(strstr(seen, key)); /* one header each */
			strncat(seen, key, sizeof(seen) - strlen(seen) - 1);
			n_families++;
		} else if (strncmp(p, "# TYPE ", 7) == 0) {
			bool counter = strstr(family, "_total") != NULL;

			assert_int_equal(strncmp(p + 7, family, strlen(family)), 0);
			assert_int_equal(strncmp(p + 8 + strlen(family),
						 counter ? "counter\n" : "gauge\n",
						 counter ? 8 : 6),
					 0);
		} else {
			check_sample(p, family);
		}
	}
	assert_true(n_families > 20);
}

static void test_format(void **state)
{
	(void)state;
	for (int detail = 0; detail < _CB_DETAIL_MAX; detail++)
		check_format(render((enum cb_detail)detail));
}

static void test_detail(void **state)
{
	const char *text;

	(void)state;
	text = render(CB_DETAIL_SUMMARY);
	assert_null(strstr(text, "cpubalance_cpu_"));
	assert_null(strstr(text, "cpubalance_worker_"));
	text = render(CB_DETAIL_CPU);
	assert_non_null(strstr(text, "cpubalance_cpu_busy_ratio{cpu=\"3\"}"));
	assert_null(strstr(text, "cpubalance_worker_"));
	text = render(CB_DETAIL_FULL);
	assert_non_null(strstr(text, "cpubalance_worker_cpu_ratio{group=\"web\",worker=\"2\"}"));
}

static void test_values(void **state)
{
	const char *text = render(CB_DETAIL_CPU);

	(void)state;
	assert_string_equal(value_of(text, "cpubalance_up"), "1");
	assert_string_equal(value_of(text, "cpubalance_tick_duration_seconds"), "0.0015");
	assert_string_equal(value_of(text, "cpubalance_ticks_total"), "5");
	assert_string_equal(value_of(text, "cpubalance_mode{mode=\"auto\"}"), "1");
	assert_string_equal(value_of(text, "cpubalance_mode{mode=\"observe\"}"), "0");
	assert_string_equal(value_of(text, "cpubalance_group_workers{group=\"web\"}"), "3");
	assert_string_equal(value_of(text, "cpubalance_journal_healthy"), "1");
	assert_string_equal(value_of(text, "cpubalance_plans_total{verdict=\"kept\"}"), "0");
	/* escaped, and never a reason for "nothing" */
	assert_string_equal(value_of(text, "cpubalance_build_info{version=\"" CB_VERSION
					   "\",kernel=\"6.1 \\\"test\\\"\\\\x\\n\"}"),
			    "1");
	assert_null(strstr(text, "reason=\"NONE\""));
	assert_null(strstr(text, "verdict=\"none\""));
}

/* Three workers of half a CPU each on CPU 0: one CPU is busy, three are not. */
static void test_cpu_values(void **state)
{
	const char *text = render(CB_DETAIL_CPU);

	(void)state;
	assert_true(strtod(value_of(text, "cpubalance_cpu_busy_ratio{cpu=\"0\"}"), NULL) > 0.9);
	assert_true(strtod(value_of(text, "cpubalance_cpu_busy_ratio{cpu=\"1\"}"), NULL) < 0.1);
	/* the machine in virtual time has no perf events: absent, not zero */
	assert_null(strstr(text, "cpubalance_cpu_context_switches_per_second"));
}

/* Once more than the buffer it begins with, and the same text each time. */
static void test_buffer_is_kept(void **state)
{
	char *first = strdup(render(CB_DETAIL_FULL));
	const char *second = render(CB_DETAIL_FULL);

	(void)state;
	assert_non_null(first);
	assert_string_equal(first, second);
	free(first);
}

static void test_doc_names_all(void **state)
{
	char *text = NULL;
	size_t size = 0;
	FILE *file = open_memstream(&text, &size);

	(void)state;
	assert_non_null(file);
	cb_metrics_print_doc(file);
	assert_int_equal(fclose(file), 0);
	assert_non_null(strstr(text, "| `cpubalance_ticks_total` | counter | - | `summary` |"));
	assert_non_null(
		strstr(text, "| `cpubalance_write_errors_total` | counter | `kind`, `class` |"));
	free(text);
}

/* --- the textfile --- */

static void read_back(const char *path, char *buf, size_t size)
{
	FILE *file = fopen(path, "re");
	size_t n;

	assert_non_null(file);
	n = fread(buf, 1, size - 1, file);
	buf[n] = '\0';
	fclose(file);
}

static void test_textfile(void **state)
{
	struct cb_err err = { .msg = "" };
	char path[300], victim[300], link[300], buf[64];
	struct tree tree;
	struct stat st;

	(void)state;
	tree_init(&tree);
	tree_write(&tree, "victim", "precious");
	snprintf(path, sizeof(path), "%s/a.prom", tree.root);
	snprintf(victim, sizeof(victim), "%s/victim", tree.root);
	snprintf(link, sizeof(link), "%s/.a.prom.tmp", tree.root);
	/* who owns the directory must not lead root's pen elsewhere */
	assert_int_equal(symlink(victim, link), 0);
	assert_int_equal(symlink(victim, path), 0);
	assert_int_equal(cb_textfile_write(path, "one\n", &err), 0);
	read_back(victim, buf, sizeof(buf));
	assert_string_equal(buf, "precious");
	assert_int_equal(lstat(path, &st), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(st.st_mode & 0777, 0644);
	assert_int_equal(cb_textfile_write(path, "two\n", &err), 0);
	read_back(path, buf, sizeof(buf));
	assert_string_equal(buf, "two\n");
	assert_true(lstat(link, &st) < 0);
	cb_textfile_remove(path);
	assert_true(lstat(path, &st) < 0);
	cb_textfile_remove("");
	assert_int_equal(cb_textfile_write("relative.prom", "x", &err), -EINVAL);
	snprintf(path, sizeof(path), "%s/none/a.prom", tree.root);
	assert_int_equal(cb_textfile_write(path, "x", &err), -ENOENT);
	assert_non_null(strstr(err.msg, "a.prom: "));
	tree_done(&tree);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_format, setup, teardown),
		cmocka_unit_test_setup_teardown(test_detail, setup, teardown),
		cmocka_unit_test_setup_teardown(test_values, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cpu_values, setup, teardown),
		cmocka_unit_test_setup_teardown(test_buffer_is_kept, setup, teardown),
		cmocka_unit_test(test_doc_names_all),
		cmocka_unit_test(test_textfile),
	};

	return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
