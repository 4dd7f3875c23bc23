/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a steady tick asks of the kernel and of the allocator, on a machine made of files: reads of what is open, and nothing else. And
 * that what nobody needs is not read.
 */
#include "calls.h"

#include "cpubalance/host.h"
#include "tree.h"

#define TICKS 20u
#define IRQS  8u

struct machine {
	struct tree tree;
	struct cb_topology *topology;
	struct cb_irqs *irqs;
	struct cb_engine *engine;
	struct cb_snapshot snapshot;
	struct cb_collect_events events;
	struct cb_decision decision;
	struct cb_demand demand;
	uint64_t now_usec;
};

static void feed(struct machine *m, struct cb_input input)
{
	input.now_usec = m->now_usec;
	assert_int_equal(cb_engine_feed(m->engine, &input, &m->decision), 0);
}

static void write_files(struct tree *tree)
{
	char path[64];

	tree_write(tree, "sys/devices/system/cpu/possible", "0-1\n");
	tree_write(tree, "sys/devices/system/cpu/online", "0-1\n");
	tree_write(tree, "proc/stat",
		   "cpu  0 0 0 0\ncpu0 10 1 20 300 4 5 6 7 8 9\ncpu1 11 1 21 301 4 5 6 7 8 9\n"
		   "intr 900 0 100 0 300\nctxt 5000\nbtime 1\nprocesses 7\nprocs_running 2\n"
		   "procs_blocked 1\nsoftirq 0\n");
	tree_write(tree, "proc/softirqs",
		   "          CPU0       CPU1\n      HI:          1          2\n"
		   "  NET_RX:         70         80\n");
	tree_write(tree, "proc/net/softnet_stat",
		   "05 02 0 0 0 0 0 0 0 0 0 0 00000000\n05 0a 0 0 0 0 0 0 0 0 0 0 00000001\n");
	for (unsigned int irq = 1; irq <= IRQS; irq++) {
		snprintf(path, sizeof(path), "proc/irq/%u/smp_affinity_list", irq);
		tree_write(tree, path, "0-1\n");
		snprintf(path, sizeof(path), "proc/irq/%u/effective_affinity_list", irq);
		tree_write(tree, path, "1\n");
	}
}

static int setup(void **state)
{
	struct machine *m = calloc(1, sizeof(*m));
	struct cb_policy policy;
	struct cb_err err = { 0 };

	if (!m)
		return -1;
	tree_init(&m->tree);
	write_files(&m->tree);
	tree_open(&m->tree);
	if (cb_host_topology(m->tree.host, 1, &m->topology, &err) < 0 ||
	    cb_host_irqs(m->tree.host, 1, &m->irqs, &err) < 0 ||
	    cb_host_prepare(m->tree.host, m->topology, m->irqs, &m->snapshot, &err) < 0)
		fail_msg("%s", err.msg);
	m->now_usec = cb_host_now_usec(m->tree.host);
	m->engine = cb_engine_new(1);
	cb_policy_init(&policy);
	feed(m, (struct cb_input){ .kind = CB_INPUT_POLICY, .policy = &policy });
	feed(m, (struct cb_input){ .kind = CB_INPUT_TOPOLOGY, .topology = m->topology });
	feed(m, (struct cb_input){ .kind = CB_INPUT_IRQS, .irqs = m->irqs });
	*state = m;
	return 0;
}

static int teardown(void **state)
{
	struct machine *m = *state;

	cb_snapshot_done(&m->snapshot);
	cb_engine_free(m->engine);
	cb_topology_unref(m->topology);
	free(m->irqs);
	tree_done(&m->tree);
	free(m);
	return 0;
}

/* Virtual time for the engine: a tick a second, whatever the clock says. */
static void tick(void *userdata)
{
	struct machine *m = userdata;

	assert_int_equal(cb_collect(m->tree.host, &m->snapshot, &m->events), 0);
	m->now_usec += CB_USEC_PER_SEC;
	m->snapshot.time_usec = m->now_usec;
	feed(m, (struct cb_input){ .kind = CB_INPUT_SNAPSHOT, .snapshot = &m->snapshot });
	cb_engine_demand(m->engine, m->demand.detail, &m->demand);
	cb_host_demand(m->tree.host, &m->demand);
}

static void only_reads(void **state)
{
	struct machine *m = *state;
	struct calls calls;

	if (!calls_possible())
		skip();
	m->demand.detail = true;
	calls_count(tick, m, TICKS, &calls);
	calls_print(&calls);
	assert_int_equal(calls.n_allocations, 0);
	assert_int_equal(calls_of(&calls, SYS_pread64), calls.n);
	/* stat and softirqs at once, softnet to its end; two files of an interrupt, when it is its turn. */
	assert_true(calls.n >= 4 * TICKS && calls.n <= (4 + 2 * IRQS) * TICKS);
}

static void nobody_needs_it(void **state)
{
	struct machine *m = *state;
	struct calls calls;

	if (!calls_possible())
		skip();
	m->demand.detail = false;
	calls_count(tick, m, TICKS, &calls);
	calls_print(&calls);
	assert_int_equal(calls.n_allocations, 0);
	assert_int_equal(calls_of(&calls, SYS_pread64), calls.n);
	/* One read a tick; the first of them were read just before, and it takes longer than this test until they are due again. */
	assert_true(calls.n >= TICKS && calls.n <= TICKS + 6 + 2 * IRQS);
}

/* Not read is not missing, and the age says when it was. */
static void has_an_age(void **state)
{
	struct machine *m = *state;
	struct cb_host *host = m->tree.host;

	assert_true(cb_host_source_age_usec(host, CB_SOURCE_SOFTIRQS, m->now_usec) == UINT64_MAX);
	tick(m);
	tick(m);
	assert_false(m->snapshot.valid & 1u << CB_SOURCE_SOFTIRQS);
	assert_true(m->snapshot.valid & 1u << CB_SOURCE_STAT);
	assert_true(cb_host_sources_working(host) & 1u << CB_SOURCE_SOFTIRQS);
	assert_int_equal(cb_host_source_age_usec(host, CB_SOURCE_STAT, m->now_usec + 7) -
				 cb_host_source_age_usec(host, CB_SOURCE_STAT, m->now_usec),
			 7);
	m->demand.detail = true;
	cb_host_demand(host, &m->demand);
	tick(m);
	assert_true(m->snapshot.valid & 1u << CB_SOURCE_SOFTIRQS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(only_reads, setup, teardown),
		cmocka_unit_test_setup_teardown(nobody_needs_it, setup, teardown),
		cmocka_unit_test_setup_teardown(has_an_age, setup, teardown),
	};

	return cmocka_run_group_tests_name("steady", tests, NULL, NULL);
}
