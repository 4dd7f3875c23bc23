/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Every scenario of tests/sim/scenarios under the real engine: each bound holds for each of some seeds. `make sim SEEDS=20` runs
 * more of them. And what the simulator itself has to keep: the same seed gives the same run, a trace replays, CPUs do no more than
 * they can, a mask is never left.
 */
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "sim.h"

#define DIR_NAME	   "tests/sim/scenarios"
#define SCENARIO_FILES_MAX 128
/* CPUs times windows that one scenario may cost here; a run of the largest one is more than that. */
#define BUDGET 500000u
#define SEEDS  5u

static struct scenario scenario;

static void parse(const char *text)
{
	struct cb_err err = { .msg = "" };

	if (scenario_parse(text, strlen(text), "t.scenario", &scenario, &err) < 0)
		fail_msg("%s", err.msg);
}

static void run(const struct sim_params *params, struct sim_result *ret)
{
	struct cb_err err = { .msg = "" };

	if (sim_run(params, ret, &err) < 0)
		fail_msg("%s", err.msg);
}

/* --- scenarios --- */

static void check_bounds(uint64_t seed, const struct sim_result *result)
{
	for (uint32_t i = 0; i < scenario.n_expects; i++) {
		const struct scenario_expect *expect = &scenario.expect[i];

		if (!sim_holds(expect, result))
			fail_msg("%s: %s is %g with seed %llu, expected %s %g", scenario.name,
				 scenario_measure_name(expect->measure),
				 result->value[expect->measure], (unsigned long long)seed,
				 expect->at_most ? "at most" : "at least", expect->value);
	}
}

static void scenario_holds(void **state)
{
	struct cb_err err = { .msg = "" };
	uint64_t cost;

	if (scenario_read(*state, &scenario, &err) < 0)
		fail_msg("%s", err.msg);
	assert_true(scenario.about[0]);
	assert_true(scenario.n_expects > 0);
	cost = scenario.run_usec / CB_USEC_PER_SEC * scenario.machine.n_cpus;
	for (uint64_t seed = 1; seed == 1 || (seed <= SEEDS && seed * cost <= BUDGET); seed++) {
		struct sim_params params = { .scenario = &scenario,
					     .seed = seed,
					     .policy = SIM_DAEMON };
		struct sim_result result, unmanaged;

		run(&params, &result);
		if (sim_needs_unmanaged(&scenario)) {
			params.policy = SIM_UNMANAGED;
			run(&params, &unmanaged);
			sim_compare(&result, &unmanaged);
		}
		check_bounds(seed, &result);
	}
}

/* --- the simulator itself --- */

#define SMALL                                                                  \
	"run 5min\n"                                                           \
	"machine cpus=8 smt=2 llc=4 nodes=2\n"                                 \
	"nic eth0 queues=4 irq=40 cpus=0-3\n"                                  \
	"group web workers=6 cpus=0-1 nic=eth0 rate=50000 noise=5% drift=5%\n" \
	"group db workers=4 cpus=all place=float rate=20000 churn=2%\n"        \
	"batch job cpus=2-3 count=2 demand=50% noise=20% at=1min for=2min\n"   \
	"at 1min steal cpus=4 share=30%\n"                                     \
	"at 2min offline cpus=1,5\n"                                           \
	"at 150s respawn web count=2 down=3s\n"                                \
	"at 3min online cpus=1\n"                                              \
	"at 200s queues eth0 count=2\n"                                        \
	"at 210s elephant db share=30% for=20s\n"

static void the_same_seed_is_the_same_run(void **state)
{
	struct sim_params params = { .scenario = &scenario, .seed = 7 };
	struct sim_result a, b;

	(void)state;
	parse(SMALL);
	for (params.policy = 0; params.policy < _SIM_POLICY_MAX; params.policy++) {
		run(&params, &a);
		run(&params, &b);
		assert_memory_equal(&a, &b, sizeof(a));
	}
	params.policy = SIM_UNMANAGED;
	run(&params, &a);
	params.seed = 8;
	run(&params, &b);
	assert_true(a.served != b.served);
}

static void a_trace_replays(void **state)
{
	char path[] = "/tmp/cpubalance-sim.XXXXXX";
	struct sim_params params = {
		.scenario = &scenario, .seed = 1, .policy = SIM_DAEMON, .record = path
	};
	struct cb_replay_result replay;
	struct sim_result result;
	struct cb_err err = { .msg = "" };
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	unlink(path);
	parse(SMALL);
	run(&params, &result);
	assert_int_equal(cb_trace_replay(path, NULL, &replay, &err), 0);
	unlink(path);
	assert_true(replay.n_inputs >= result.n_windows);
	assert_int_equal(replay.n_differing, 0);
}

static void check_plant(const struct plant *plant)
{
	double work[SCENARIO_CPUS_MAX] = { 0 };

	for (uint32_t i = 0; i < plant->n_tasks; i++) {
		const struct plant_task *task = &plant->task[i];
		const struct plant_cpu *cpu = &plant->cpu[task->cpu];

		if (!task->alive)
			continue;
		assert_true(cpu->online);
		assert_true(cb_cpuset_has(&task->mask, (unsigned int)task->cpu));
		assert_true(task->got <= task->want + 1e-9 && task->want <= 1);
		work[task->cpu] += task->got;
	}
	for (uint32_t i = 0; i < plant->n_cpus; i++) {
		const struct plant_cpu *cpu = &plant->cpu[i];
		double all = 0;

		assert_true(fabs(cpu->busy - (cpu->online ? work[i] + cpu->softirq : 0)) < 1e-9);
		assert_true(cpu->busy + cpu->steal <= 1 + 1e-9);
		for (int t = 0; t <= CB_TIME_STEAL; t++)
			all += cpu->seconds[t];
		assert_true(all <= plant->n_windows + 1e-6);
	}
	for (uint32_t i = 0; i < plant->n_queues; i++)
		assert_true(!plant->queue[i].alive || plant->cpu[plant->queue[i].cpu].online);
}

static void the_machine_does_what_it_can_and_no_more(void **state)
{
	struct plant *plant;

	(void)state;
	parse(SMALL);
	plant = plant_new(&scenario, 3);
	assert_non_null(plant);
	for (uint32_t i = 0; i < 300; i++) {
		plant_window(plant);
		check_plant(plant);
	}
	assert_int_equal(cb_cpuset_count(&plant->topology->online), 7);
	plant_free(plant);
}

/* Nothing waits, so that all that is wanted is served: 10,000 a second of 50 us are half a CPU. */
static void an_easy_load_is_served(void **state)
{
	struct plant *plant;

	(void)state;
	parse("run 1min\nmachine cpus=2\ngroup web workers=2 cpus=0-1 rate=10000 work=50\n");
	plant = plant_new(&scenario, 1);
	assert_non_null(plant);
	for (uint32_t i = 0; i < 60; i++)
		plant_window(plant);
	assert_true(fabs(plant->group[0].n_served / 600000 - 1) < 0.01);
	assert_true(plant->group[0].n_lost == 0);
	assert_true(fabs(plant->task[0].cpu_sec + plant->task[1].cpu_sec - 30) < 0.5);
	plant_free(plant);
}

/* A sibling, a small core and the hypervisor each take what docs/SIMULATION.md says of a CPU that is full. */
static void what_slows_a_cpu(void **state)
{
	static const struct {
		const char *machine;
		double served;
	} slow[] = {
		{ "machine cpus=2\n", 1 },
		{ "machine cpus=2 smt=2\n", 0.65 },
		{ "machine cpus=2\ncapacity cpus=0-1 value=512\n", 0.5 },
		{ "machine cpus=2\nat 0 steal cpus=0-1 share=30%\n", 0.7 },
	};

	(void)state;
	for (size_t i = 0; i < CB_ARRAY_SIZE(slow); i++) {
		char text[256];
		struct plant *plant;

		snprintf(text, sizeof(text),
			 "run 1min\n%sgroup web workers=2 cpus=0-1 rate=20000 work=50 "
			 "load=closed\n",
			 slow[i].machine);
		if (strstr(text,
			   "at 0")) /* an event has to come after what it is about, not before the group */
			snprintf(
				text, sizeof(text),
				"run 1min\nmachine cpus=2\ngroup web workers=2 cpus=0-1 "
				"rate=20000 work=50 load=closed\nat 0 steal cpus=0-1 share=30%%\n");
		parse(text);
		plant = plant_new(&scenario, 1);
		assert_non_null(plant);
		for (uint32_t j = 0; j < 60; j++)
			plant_window(plant);
		assert_true(fabs(plant->group[0].n_served / (60 * 40000 * slow[i].served) - 1) <
			    0.02);
		plant_free(plant);
	}
}

/* --- the parser --- */

static void refuses(const char *text, const char *message)
{
	struct cb_err err = { .msg = "" };

	assert_int_equal(scenario_parse(text, strlen(text), "dir/x.scenario", &scenario, &err),
			 -EINVAL);
	assert_string_equal(err.msg, message);
}

#define GOOD  "run 1min\nmachine cpus=4\n"
#define GROUP "group web workers=1 cpus=0 rate=1\n"

static void errors_say_where_and_what(void **state)
{
	(void)state;
	refuses("", "dir/x.scenario:0: a scenario needs run, machine and a group");
	refuses("fly\n", "dir/x.scenario:1: \"fly\" is none of about, run, from, machine, "
			 "capacity, isolated, offline, nic, group, batch, at, policy, expect");
	refuses("run 1s\n", "dir/x.scenario:1: run: run=1s: not a time from 10s to 172800s");
	refuses("isolated cpus=0\n", "dir/x.scenario:1: isolated: \"machine\" has to come first");
	refuses("machine cpus=0\n",
		"dir/x.scenario:1: machine: cpus=0: not a whole number from 1 to 1024");
	refuses("machine cpus=4 cpus=4\n", "dir/x.scenario:1: machine: cpus= comes twice");
	refuses("machine cpus=6 smt=2 llc=4\n",
		"dir/x.scenario:1: machine: llc=4 is no divisor of a node's 6 CPUs in whole cores");
	refuses(GOOD "machine cpus=4\n", "dir/x.scenario:3: machine: there is one already");
	refuses(GOOD "group web workers=1 cpus=0-9 rate=1\n",
		"dir/x.scenario:3: group: cpus=0-9: not a list of CPUs from 0 to 3");
	refuses(GOOD "group web workers=1 cpus=0\n", "dir/x.scenario:3: group: rate= is missing");
	refuses(GOOD "group web workers=1 cpus=0 rate=1 nic=eth0\n",
		"dir/x.scenario:3: group: nic=eth0: there is no such nic before this line");
	refuses(GOOD "group web workers=1 cpus=0 rate=1 place=nowhere\n",
		"dir/x.scenario:3: group: place=nowhere: neither pinned nor float");
	refuses(GOOD GROUP "at 1s explode\n",
		"dir/x.scenario:4: at: \"explode\" is none of rate, elephant, respawn, repin, "
		"queues, offline, online, steal");
	refuses(GOOD GROUP "at 1s rate db times=2\n",
		"dir/x.scenario:4: at: there is no group db before this line");
	refuses(GOOD GROUP "at 1s offline cpus=all\n",
		"dir/x.scenario:4: at: one CPU has to stay online");
	refuses(GOOD GROUP "expect hot <= 20\n",
		"dir/x.scenario:4: expect: 20: hot is in percent, such as 20%");
	refuses(GOOD GROUP "expect moves <= 3%\n",
		"dir/x.scenario:4: expect: 3%: moves is a number, not percent");
	refuses(GOOD GROUP "policy Plan PlanSteps=99\n",
		"dir/x.scenario:4: policy: PlanSteps=: \"99\" is not in 1 to 32");
	refuses(GOOD GROUP "from 2min\n",
		"dir/x.scenario:4: \"from\" is not before the end of the run");
}

static void events_are_in_order(void **state)
{
	(void)state;
	parse("# a comment\nrun 1min # another\nmachine cpus=4\n" GROUP
	      "at 20s rate web times=2\nat 10s offline cpus=3\nat 20s online cpus=3\n");
	assert_string_equal(scenario.name, "t");
	assert_int_equal(scenario.n_events, 3);
	assert_int_equal(scenario.event[0].happening, SCENARIO_OFFLINE);
	assert_int_equal(scenario.event[1].happening, SCENARIO_RATE);
	assert_int_equal(scenario.event[2].happening, SCENARIO_ONLINE);
}

/* --- all of them --- */

static struct CMUnitTest tests[SCENARIO_FILES_MAX] = {
	cmocka_unit_test(errors_say_where_and_what),
	cmocka_unit_test(events_are_in_order),
	cmocka_unit_test(an_easy_load_is_served),
	cmocka_unit_test(what_slows_a_cpu),
	cmocka_unit_test(the_machine_does_what_it_can_and_no_more),
	cmocka_unit_test(the_same_seed_is_the_same_run),
	cmocka_unit_test(a_trace_replays),
};

static int is_scenario(const struct dirent *entry)
{
	const char *dot = strrchr(entry->d_name, '.');

	return dot && strcmp(dot, ".scenario") == 0;
}

int main(void)
{
	struct dirent **entry;
	int n = scandir(DIR_NAME, &entry, is_scenario, alphasort);
	size_t n_tests = 0;

	while (tests[n_tests].test_func)
		n_tests++;
	if (n <= 0 || (size_t)n + n_tests > SCENARIO_FILES_MAX) {
		fprintf(stderr, "%s: %s\n", DIR_NAME,
			n < 0 ? strerror(errno) : "not 1 to 121 scenarios");
		return EXIT_FAILURE;
	}
	for (int i = 0; i < n; i++, n_tests++) {
		char *path;

		if (asprintf(&path, DIR_NAME "/%s", entry[i]->d_name) < 0)
			return EXIT_FAILURE;
		tests[n_tests] = (struct CMUnitTest){ .name = entry[i]->d_name,
						      .test_func = scenario_holds,
						      .initial_state = path };
	}
	return _cmocka_run_group_tests("sim", tests, n_tests, NULL, NULL);
}
