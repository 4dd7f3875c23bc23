/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The descriptions of what can be turned: every row has one, and each errno its meaning. */
#include "cpubalance/knob.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void every_row_has_its_description(void **state)
{
	(void)state;
	for (int id = 0; id < _CB_KNOB_MAX; id++) {
		const struct cb_knob *knob = cb_knob_get((enum cb_knob_id)id);

		assert_non_null(knob);
		assert_int_equal(cb_knob_from_name(knob->name), id);
		assert_non_null(knob->classify);
		assert_non_null(knob->shell);
		assert_true(strlen(knob->what) > 0);
		assert_int_equal(knob->classify(0), CB_ERROR_NONE);
	}
#define CB_KNOB_ROW(id, knob_name, knob_item, knob_what)                  \
	assert_string_equal(cb_knob_get(CB_KNOB_##id)->name, #knob_name); \
	assert_string_equal(cb_knob_get(CB_KNOB_##id)->what, knob_what);  \
	assert_int_equal(cb_knob_get(CB_KNOB_##id)->item, knob_item);
#include "cpubalance/knobs.def"
#undef CB_KNOB_ROW
	assert_null(cb_knob_get(_CB_KNOB_MAX));
	assert_null(cb_knob_get(_CB_KNOB_INVALID));
	assert_int_equal(cb_knob_from_name("task"), _CB_KNOB_INVALID);
	assert_int_equal(cb_knob_from_name(""), _CB_KNOB_INVALID);
}

static void errnos_of_a_thread(void **state)
{
	const struct cb_knob *knob = cb_knob_get(CB_KNOB_TASK_AFFINITY);

	(void)state;
	assert_int_equal(knob->classify(ESRCH), CB_ERROR_GONE);
	assert_int_equal(knob->classify(EINVAL), CB_ERROR_TRANSIENT);
	assert_int_equal(knob->classify(ENOMEM), CB_ERROR_TRANSIENT);
	assert_int_equal(knob->classify(EPERM), CB_ERROR_PERMANENT);
}

static void errnos_of_an_interrupt(void **state)
{
	const struct cb_knob *knob = cb_knob_get(CB_KNOB_IRQ_AFFINITY);

	(void)state;
	assert_int_equal(knob->classify(EIO), CB_ERROR_PERMANENT);
	assert_int_equal(knob->classify(EPERM), CB_ERROR_PERMANENT);
	assert_int_equal(knob->classify(EACCES), CB_ERROR_PERMANENT);
	assert_int_equal(knob->classify(ENOSPC), CB_ERROR_CAPACITY);
	assert_int_equal(knob->classify(ENOENT), CB_ERROR_GONE);
	assert_int_equal(knob->classify(EINVAL), CB_ERROR_TRANSIENT);
	assert_int_equal(knob->classify(ERANGE), CB_ERROR_TRANSIENT);
	assert_int_equal(knob->classify(EBUSY), CB_ERROR_TRANSIENT);
}

static void errnos_of_a_queue(void **state)
{
	static const enum cb_knob_id ids[] = { CB_KNOB_RPS_CPUS, CB_KNOB_RPS_FLOWS,
					       CB_KNOB_XPS_CPUS };

	(void)state;
	for (size_t i = 0; i < CB_ARRAY_SIZE(ids); i++) {
		const struct cb_knob *knob = cb_knob_get(ids[i]);

		assert_int_equal(knob->classify(ENOENT), CB_ERROR_GONE);
		assert_int_equal(knob->classify(ENODEV), CB_ERROR_GONE);
		assert_int_equal(knob->classify(EPERM), CB_ERROR_PERMANENT);
		assert_int_equal(knob->classify(EROFS), CB_ERROR_PERMANENT);
		assert_int_equal(knob->classify(EINVAL), CB_ERROR_TRANSIENT);
		assert_int_equal(knob->classify(EBUSY), CB_ERROR_TRANSIENT);
	}
}

static void there_and_back(enum cb_knob_id id, const char *text, const char *canonical)
{
	const struct cb_knob *knob = cb_knob_get(id);
	struct cb_queue_value value, again;
	char buf[CB_QUEUE_TEXT_MAX];
	int n;

	if (!canonical) {
		assert_true(cb_knob_queue_parse(knob, text, strlen(text), &value) < 0);
		return;
	}
	assert_int_equal(cb_knob_queue_parse(knob, text, strlen(text), &value), 0);
	n = cb_knob_queue_format(knob, &value, buf, sizeof(buf));
	assert_int_equal(n, strlen(canonical));
	assert_string_equal(buf, canonical);
	assert_int_equal(cb_knob_queue_parse(knob, buf, (size_t)n, &again), 0);
	assert_true(cb_knob_queue_equal(knob, &value, &again));
	for (size_t size = 0; size <= (size_t)n; size++)
		assert_int_equal(cb_knob_queue_format(knob, &value, buf, size), -ENOSPC);
}

static void files_of_a_queue(void **state)
{
	struct cb_queue_value value = { .cpus = cb_cpuset_of(CB_CPUS_MAX - 1), .flows = 4096 };
	const struct cb_knob *rps = cb_knob_get(CB_KNOB_RPS_CPUS);
	char buf[CB_QUEUE_TEXT_MAX], path[64];

	(void)state;
	there_and_back(CB_KNOB_RPS_CPUS, "00000000,0000000f\n", "f");
	there_and_back(CB_KNOB_RPS_CPUS, "0\n", "0");
	there_and_back(CB_KNOB_XPS_CPUS, "80000001,00000000", "80000001,00000000");
	there_and_back(CB_KNOB_RPS_CPUS, "1,00000000,00000002", "1,00000000,00000002");
	there_and_back(CB_KNOB_RPS_CPUS, "f,", NULL);
	there_and_back(CB_KNOB_RPS_CPUS, "0-3", NULL);
	there_and_back(CB_KNOB_RPS_FLOWS, "4096\n", "4096");
	there_and_back(CB_KNOB_RPS_FLOWS, "0", "0");
	there_and_back(CB_KNOB_RPS_FLOWS, "", NULL);
	there_and_back(CB_KNOB_RPS_FLOWS, "-1", NULL);
	there_and_back(CB_KNOB_RPS_FLOWS, "4294967296", NULL);
	there_and_back(CB_KNOB_RPS_FLOWS, "12 13", NULL);
	/* the longest there is */
	assert_int_equal(cb_knob_queue_format(rps, &value, buf, sizeof(buf)),
			 CB_QUEUE_TEXT_MAX - 3);
	assert_true(cb_knob_queue_path(rps, "eth0", 3, path, sizeof(path)) > 0);
	assert_string_equal(path, "sys/class/net/eth0/queues/rx-3/rps_cpus");
	assert_true(cb_knob_queue_path(cb_knob_get(CB_KNOB_XPS_CPUS), "eth0", 3, path,
				       sizeof(path)) > 0);
	assert_string_equal(path, "sys/class/net/eth0/queues/tx-3/xps_cpus");
	assert_true(cb_knob_queue_path(cb_knob_get(CB_KNOB_RPS_FLOWS), "", 0, path, sizeof(path)) >
		    0);
	assert_string_equal(path, "proc/sys/net/core/rps_sock_flow_entries");
	assert_int_equal(cb_knob_queue_path(rps, "eth0", 3, path, 20), -ENOSPC);
	value.cpus = cb_cpuset_of(5);
	assert_true(cb_knob_queue_shell(rps, "eth0", 3, &value, path, sizeof(path)) > 0);
	assert_string_equal(path, "echo 20 >/sys/class/net/eth0/queues/rx-3/rps_cpus");
}

static void shell_commands(void **state)
{
	struct cb_cpuset mask = CB_CPUSET_EMPTY;
	char buf[128];

	(void)state;
	cb_cpuset_set_range(&mask, 0, 3);
	cb_cpuset_set(&mask, 8);
	assert_true(cb_knob_get(CB_KNOB_TASK_AFFINITY)->shell(812, &mask, buf, sizeof(buf)) > 0);
	assert_string_equal(buf, "taskset -a -c -p 0-3,8 812");
	assert_true(cb_knob_get(CB_KNOB_IRQ_AFFINITY)->shell(38, &mask, buf, sizeof(buf)) > 0);
	assert_string_equal(buf, "echo 0-3,8 >/proc/irq/38/smp_affinity_list");
	assert_int_equal(cb_knob_get(CB_KNOB_TASK_AFFINITY)->shell(812, &mask, buf, 26), -ENOSPC);
	assert_int_equal(cb_knob_get(CB_KNOB_TASK_AFFINITY)->shell(812, &mask, buf, 27), 26);
	assert_int_equal(cb_knob_get(CB_KNOB_IRQ_AFFINITY)->shell(38, &mask, buf, 5), -ENOSPC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row_has_its_description),
		cmocka_unit_test(errnos_of_a_thread),
		cmocka_unit_test(errnos_of_an_interrupt),
		cmocka_unit_test(errnos_of_a_queue),
		cmocka_unit_test(files_of_a_queue),
		cmocka_unit_test(shell_commands),
	};

	return cmocka_run_group_tests_name("knobs", tests, NULL, NULL);
}
