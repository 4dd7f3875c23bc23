/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What `cpus` prints, of two CPUs to thousands. */
#include "ctl_test.h"

static void cpus_of_two(void **state)
{
	(void)state;
	expect(cb_render_cpus,
	       "[{\"CPU\":1,\"Online\":false},{\"CPU\":0,\"Online\":true,\"Heat\":\"warm\",\"Busy\":0.5,\"Node\":-1,"
	       "\"Steal\":0}]",
	       100,
	       "CPU  NODE  HEAT     BUSY%  USER%  SYS%  IRQ%  SOFT%  STEAL%  CTXSW/s  WORK%  IRQS%  OTHER%\n"
	       "  0     -  warm      50.0      -     -     -      -     0.0        -      -      -       -\n"
	       "  1     -  offline      -      -     -     -      -       -        -      -      -       -\n");
}

/* Two threads of a fast core, two small ones in a cluster, one on another node, one offline. */
static void cpus_as_a_map(void **state)
{
	struct json_object *cpus = parse(
		"[{\"CPU\":0,\"Online\":true,\"Heat\":\"hot\",\"Node\":0,\"Package\":0,\"LLC\":0,\"Core\":0},"
		"{\"CPU\":1,\"Online\":true,\"Node\":0,\"Package\":0,\"LLC\":0,\"Core\":0},"
		"{\"CPU\":2,\"Online\":true,\"Node\":0,\"Package\":0,\"LLC\":2,\"Cluster\":2,\"Core\":2,\"Capacity\":0.5},"
		"{\"CPU\":3,\"Online\":true,\"Node\":0,\"Package\":0,\"LLC\":2,\"Cluster\":2,\"Core\":3,\"Capacity\":0.5},"
		"{\"CPU\":4,\"Online\":true,\"Node\":1,\"Package\":1,\"LLC\":4,\"Core\":4},"
		"{\"CPU\":5,\"Online\":false,\"Core\":5}]");
	char *text = shown(cb_render_cpus, cpus, 80), *map = strstr(text, "\n\n");

	(void)state;
	assert_non_null(map);
	assert_in_range(widest_line(map), 10, 80);
	assert_string_equal(map + 2,
			    "NODE  PACKAGE  LLC  CORES  THREADS  CLUSTERS  CAPACITY%  HOT  CPUS\n"
			    "   0        0    0      1        2         0          -    1  0-1\n"
			    "   0        0    2      2        1         1       50.0    0  2-3\n"
			    "   1        1    4      1        1         0          -    0  4\n");
	free(text);
	json_object_put(cpus);
}

static void cpus_of_192(void **state)
{
	struct json_object *cpus = machine(192, 2);
	char *text = shown(cb_render_all_cpus, cpus, 80);

	(void)state;
	assert_int_equal(count_lines(text), 194); /* the heading, and what had no room */
	assert_in_range(widest_line(text), 70, 80);
	assert_non_null(strstr(text, "\n  0     0  cool   30.0"));
	assert_true(strstr(text, "\n  9 ") < strstr(text, "\n 10 "));
	assert_non_null(strstr(text, "\n191     2  cool"));
	assert_non_null(strstr(text, "(no room for OTHER%; --json has all)\n"));
	free(text);
	json_object_put(cpus);
}

static void place(struct json_object *cpu, const char *key, unsigned int value)
{
	json_object_object_add(cpu, key, json_object_new_int((int)value));
}

/* Caches of 16 CPUs, cores of two threads. */
static void place_all(struct json_object *cpus)
{
	for (size_t i = 0; i < json_object_array_length(cpus); i++) {
		struct json_object *cpu = json_object_array_get_idx(cpus, i);
		int64_t id = -1;

		cb_json_int(cpu, "CPU", &id);
		place(cpu, "Package", (unsigned int)id / 128);
		place(cpu, "LLC", (unsigned int)id / 16 * 16);
		place(cpu, "Core", (unsigned int)id / 2 * 2);
	}
}

/* What is hot has lines of its own, all else a line for each node or state; the same for what is hot beyond that. */
static void a_large_machine_on_one_screen(void **state)
{
	static const unsigned int sizes[] = { 17, 64, 192, 1024, 4096 };
	static const unsigned int hot[] = { 0, 2, 9, 17 };

	(void)state;
	for (size_t i = 0; i < CB_ARRAY_SIZE(sizes); i++)
		for (size_t j = 0; j < CB_ARRAY_SIZE(hot); j++) {
			struct json_object *cpus = machine(sizes[i], hot[j]);
			char *text;

			place_all(cpus);
			text = shown(cb_render_cpus, cpus, 80);
			assert_in_range(count_lines(text), 5, 24);
			assert_in_range(widest_line(text), 50, 80);
			assert_non_null(strstr(text, "cpubalctl cpus --all shows each\n"));
			free(text);
			json_object_put(cpus);
		}
}

static void who_is_hot_has_a_line(void **state)
{
	struct json_object *cpus = machine(1024, 7);
	char *text;

	(void)state;
	place_all(cpus);
	text = shown(cb_render_cpus, cpus, 0);
	/* the hottest five; two more, which are of one node; and the sixteen nodes as one */
	assert_string_equal(
		text,
		"   N  NODE  HEAT  BUSY%  USER%  SYS%  SOFT%  CTXSW/s  WORK%  IRQS%  CPUS\n"
		"   1     0  hot    96.0   31.0  12.0   10.0     123k   40.0   10.0  3\n"
		"   1     0  hot    96.0   31.0  12.0   10.0     123k   40.0   10.0  4\n"
		"   1     0  hot    96.0   31.0  12.0   10.0     123k   40.0   10.0  5\n"
		"   1     0  hot    95.9   31.0  12.0   10.0     123k   40.0   10.0  6\n"
		"   1     0  hot    95.9   31.0  12.0   10.0     123k   40.0   10.0  7\n"
		"   2     -  hot    95.9   31.0  12.0   10.0     123k   40.0   10.0  8-9\n"
		"1017     -  cool   30.0   31.0  12.0   10.0     123k   40.0   10.0  0-2,10-1023\n"
		"\n"
		"NODES  PACKAGE  LLCS  CORES  THREADS  HOT  CPUS\n"
		"   16        -    64    512        2    7  0-1023\n"
		"means where a line is of several: cpubalctl cpus --all shows each\n");
	free(text);
	json_object_put(cpus);
}

/* Without nodes, as of a kernel that knows none, none are counted; of each node that there is, one. */
static void nodes_of_a_folded_map(void **state)
{
	struct json_object *cpus = machine(128, 0);
	char *text;

	(void)state;
	place_all(cpus);
	for (size_t i = 0; i < 128; i++) {
		struct json_object *cpu = json_object_array_get_idx(cpus, i);
		int64_t id = cb_json_int_or(cpu, "CPU", -1);

		/* of each cache another number of CPUs has no sibling, so that no two caches are alike */
		if (id % 16 < id / 16 * 2)
			place(cpu, "Core", (unsigned int)id);
	}
	text = shown(cb_render_cpus, cpus, 0);
	assert_non_null(strstr(text, "NODES  PACKAGE  LLCS  CORES  THREADS  CPUS\n"
				     "    2        0     8 "));
	free(text);
	for (size_t i = 0; i < 128; i++)
		json_object_object_del(json_object_array_get_idx(cpus, i), "Node");
	text = shown(cb_render_cpus, cpus, 0);
	assert_non_null(strstr(text, "NODE  PACKAGE  LLCS  CORES  THREADS  CPUS\n"
				     "   -        0     8 "));
	free(text);
	json_object_put(cpus);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cpus_of_two),
		cmocka_unit_test(cpus_as_a_map),
		cmocka_unit_test(cpus_of_192),
		cmocka_unit_test(a_large_machine_on_one_screen),
		cmocka_unit_test(who_is_hot_has_a_line),
		cmocka_unit_test(nodes_of_a_folded_map),
	};

	return cmocka_run_group_tests_name("ctl_cpus", tests, NULL, NULL);
}
