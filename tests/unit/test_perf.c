/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Context switches of other CPUs: how many are interrupted for them. */

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "../../lib/host/collect.h"
#include "../../lib/host/host_internal.h"

#define TICKS 64

/* The first two CPUs that we may use; we run on the first one then. */
static bool pin(unsigned int ret_cpu[static 2])
{
	unsigned int n = 0;
	cpu_set_t may, one;

	if (sched_getaffinity(0, sizeof(may), &may) < 0)
		return false;
	for (unsigned int cpu = 0; cpu < CPU_SETSIZE && n < 2; cpu++)
		if (CPU_ISSET(cpu, &may))
			ret_cpu[n++] = cpu;
	if (n < 2)
		return false;
	CPU_ZERO(&one);
	CPU_SET(ret_cpu[0], &one);
	return sched_setaffinity(0, sizeof(one), &one) == 0;
}

/* One that is near being hot, and others whose turn comes: together no more than one in a tick. */
static void test_whose_turn_comes_takes_the_place_of_one_that_is_near(void **state)
{
	static struct cb_snapshot snapshot;
	static struct cb_cpu_sample cpus[CPU_SETSIZE];
	struct cb_demand demand = { .detail = true };
	struct cb_host host = { .live = true };
	struct cb_cpuset both;
	unsigned int cpu[2] = { 0 }, n_seen = 0;

	(void)state;
	if (!pin(cpu)) {
		puts("skip: two CPUs are needed");
		skip();
	}
	both = cb_cpuset_of(cpu[0]);
	cb_cpuset_set(&both, cpu[1]);
	host.perf = cb_perf_new(&both);
	if (!host.perf) {
		puts("skip: perf events are not to be had");
		skip();
	}
	snapshot.cpu = cpus;
	snapshot.n_cpus = CPU_SETSIZE;
	cb_cpuset_set(&demand.near, cpu[1]);
	cb_cpuset_set(&demand.busy, cpu[1]);
	for (unsigned int i = 0; i < TICKS; i++) {
		cpus[cpu[0]].present = cpus[cpu[1]].present = 0;
		assert_true(cb_perf_collect(host.perf, &demand, &snapshot) > 0);
		n_seen += !!(cpus[cpu[1]].present & CB_CPU_HAS_CTXSW);
		assert_true(cpus[cpu[0]].present & CB_CPU_HAS_CTXSW);
	}
	assert_int_equal(n_seen, TICKS);
	assert_int_equal(cb_host_cross_cpu_reads(&host), TICKS);
	cb_perf_free(host.perf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whose_turn_comes_takes_the_place_of_one_that_is_near),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
