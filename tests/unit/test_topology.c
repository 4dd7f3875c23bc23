/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Topology, the room of a snapshot, and the inventory of interrupts: their limits and their questions. */
#include "cpubalance/topology.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cpubalance/irqs.h"
#include "cpubalance/snapshot.h"

static void assert_set(struct cb_cpuset set, const char *expected)
{
	char buf[CB_CPULIST_MAX];

	assert_true(cb_cpuset_format_list(&set, buf, sizeof(buf)) >= 0);
	assert_string_equal(buf, expected);
}

static void unplaced(void **state)
{
	struct cb_topology *topology = cb_topology_new(8);

	(void)state;
	assert_non_null(topology);
	assert_int_equal(topology->n_ref, 1);
	assert_int_equal(topology->generation, 1);
	assert_int_equal(topology->n_cpu_ids, 8);
	assert_int_equal(topology->n_online, 0);
	assert_true(cb_cpuset_empty(&topology->online));
	for (int32_t cpu = 0; cpu < 8; cpu++) {
		assert_int_equal(topology->cpu[cpu].node, -1);
		assert_int_equal(topology->cpu[cpu].package, -1);
		assert_int_equal(topology->cpu[cpu].llc, -1);
		assert_int_equal(topology->cpu[cpu].core, cpu);
		assert_int_equal(topology->cpu[cpu].capacity, CB_CAPACITY_FULL);
	}
	assert_null(cb_topology_unref(topology));
}

static void size_limits(void **state)
{
	struct cb_topology *topology = cb_topology_new(CB_CPUS_MAX);

	(void)state;
	assert_non_null(topology);
	assert_int_equal(topology->cpu[CB_CPUS_MAX - 1].core, CB_CPUS_MAX - 1);
	cb_topology_unref(topology);
	assert_null(cb_topology_new(CB_CPUS_MAX + 1));
	assert_null(cb_topology_new(UINT32_MAX));
	topology = cb_topology_new(0);
	assert_non_null(topology);
	cb_topology_unref(topology);
}

static void references(void **state)
{
	struct cb_topology *topology = cb_topology_new(1);

	(void)state;
	assert_ptr_equal(cb_topology_ref(topology), topology);
	assert_int_equal(topology->n_ref, 2);
	assert_null(cb_topology_unref(topology));
	assert_int_equal(topology->n_ref, 1);
	assert_null(cb_topology_unref(topology));
	assert_null(cb_topology_unref(NULL));
	assert_null(cb_topology_ref(NULL));
}

static void questions(void **state)
{
	struct cb_topology *topology = cb_topology_new(8);

	(void)state;
	assert_non_null(topology);
	cb_cpuset_set_range(&topology->online, 0, 6);
	/* Siblings are n and n + 4; CPU 7 is offline. */
	for (int32_t cpu = 0; cpu < 8; cpu++)
		topology->cpu[cpu].core = cpu % 4;
	cb_cpuset_set(&topology->isolated, 1);
	cb_cpuset_set(&topology->nohz_full, 2);
	assert_set(cb_topology_housekeeping(topology), "0,3-6");
	assert_set(cb_topology_siblings(topology, 0), "4");
	assert_set(cb_topology_siblings(topology, 6), "2");
	assert_set(cb_topology_siblings(topology, 3), "");
	assert_set(cb_topology_siblings(topology, 7), "3");
	assert_set(cb_topology_siblings(topology, 8), "");
	cb_topology_unref(topology);
}

static void snapshot_room(void **state)
{
	struct cb_snapshot snapshot = { 0 };
	struct cb_cpu_sample *cpu;

	(void)state;
	assert_int_equal(cb_snapshot_reserve(&snapshot, 4, 10, 0, 0), 0);
	assert_int_equal(snapshot.cap_cpus, 4);
	assert_int_equal(snapshot.cap_irqs, 10);
	assert_int_equal(snapshot.n_cpus, 0);
	assert_null(snapshot.worker);
	snapshot.n_cpus = 4;
	snapshot.cpu[3].ctxsw = 7;
	cpu = snapshot.cpu;
	/* There is room: nothing happens. */
	assert_int_equal(cb_snapshot_reserve(&snapshot, 2, 10, 0, 0), 0);
	assert_ptr_equal(snapshot.cpu, cpu);
	assert_int_equal(snapshot.n_cpus, 4);
	assert_int_equal(snapshot.cpu[3].ctxsw, 7);
	/* It grows: new and empty. */
	assert_int_equal(cb_snapshot_reserve(&snapshot, 8, 10, 1, 1), 0);
	assert_int_equal(snapshot.n_cpus, 0);
	assert_int_equal(snapshot.cpu[3].ctxsw, 0);
	assert_int_equal(snapshot.cap_workers, 1);
	cb_snapshot_done(&snapshot);
	assert_null(snapshot.cpu);
	assert_int_equal(snapshot.cap_cpus, 0);
	cb_snapshot_done(&snapshot);
	cb_snapshot_done(NULL);
}

static void snapshot_limits(void **state)
{
	struct cb_snapshot snapshot = { 0 };

	(void)state;
	assert_int_equal(cb_snapshot_reserve(&snapshot, CB_CPUS_MAX + 1, 0, 0, 0), -E2BIG);
	assert_int_equal(cb_snapshot_reserve(&snapshot, 0, CB_IRQS_MAX + 1, 0, 0), -E2BIG);
	assert_int_equal(cb_snapshot_reserve(&snapshot, 0, 0, CB_WORKERS_MAX + 1, 0), -E2BIG);
	assert_int_equal(cb_snapshot_reserve(&snapshot, 0, 0, 0, CB_GROUPS_MAX + 1), -E2BIG);
	assert_null(snapshot.cpu);
	assert_int_equal(cb_snapshot_reserve(&snapshot, CB_CPUS_MAX, CB_IRQS_MAX, CB_WORKERS_MAX,
					     CB_GROUPS_MAX),
			 0);
	snapshot.cpu[CB_CPUS_MAX - 1].present = 1;
	snapshot.irq[CB_IRQS_MAX - 1].irq = 1;
	snapshot.worker[CB_WORKERS_MAX - 1].key = 1;
	snapshot.group[CB_GROUPS_MAX - 1].key = 1;
	cb_snapshot_done(&snapshot);
}

static void counters(void **state)
{
	(void)state;
	assert_int_equal(cb_counter_delta(5, 3), 2);
	assert_int_equal(cb_counter_delta(3, 5), 0);
	assert_true(cb_counter_delta(UINT64_MAX, 0) == UINT64_MAX);
}

static void interrupts(void **state)
{
	struct cb_irqs *irqs = calloc(1, sizeof(*irqs) + 5 * sizeof(irqs->irq[0]));
	static const uint32_t numbers[] = { 0, 4, 5, 90, UINT32_MAX };

	(void)state;
	assert_non_null(irqs);
	assert_null(cb_irqs_find(NULL, 0));
	for (uint32_t n = 0; n <= CB_ARRAY_SIZE(numbers); n++) {
		irqs->n = n;
		for (uint32_t i = 0; i < n; i++)
			irqs->irq[i].irq = numbers[i];
		for (uint32_t i = 0; i < n; i++)
			assert_ptr_equal(cb_irqs_find(irqs, numbers[i]), &irqs->irq[i]);
		assert_null(cb_irqs_find(irqs, 3));
		assert_null(cb_irqs_find(irqs, 91));
	}
	free(irqs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unplaced),	 cmocka_unit_test(size_limits),
		cmocka_unit_test(references),	 cmocka_unit_test(questions),
		cmocka_unit_test(snapshot_room), cmocka_unit_test(snapshot_limits),
		cmocka_unit_test(counters),	 cmocka_unit_test(interrupts),
	};

	return cmocka_run_group_tests_name("topology", tests, NULL, NULL);
}
