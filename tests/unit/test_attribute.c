/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Whose the interrupt and softirq time of a CPU is: by counts, by packets where a driver polls, never more than there was. A small
 * machine of two CPUs; eth0 has an interrupt on each, a disk has one on CPU 0.
 */
#include "cpubalance/engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TICKS 40u

struct machine {
	struct cb_engine *engine;
	struct cb_decision *decision;
	struct cb_snapshot snapshot;
	double irq_per_sec[3];	     /* eth0-0, eth0-1, disk */
	double packets_per_sec;	     /* received by eth0 */
	double processed_per_sec[2]; /* by the network stack of each CPU */
	uint64_t softirq_percent;    /* of CPU 0 */
	bool counts_packets;
};

static void feed(struct machine *m, struct cb_input *input)
{
	input->now_usec = m->snapshot.time_usec;
	assert_int_equal(cb_engine_feed(m->engine, input, m->decision), 0);
}

static void feed_irqs(struct machine *m)
{
	static const struct {
		const char *actions, *ifname;
	} rows[] = { { "eth0-0", "eth0" }, { "eth0-1", "eth0" }, { "disk", "" } };
	struct cb_input input = { .kind = CB_INPUT_IRQS };
	struct cb_irqs *irqs = calloc(1, sizeof(*irqs) + 3 * sizeof(irqs->irq[0]));

	assert_non_null(irqs);
	irqs->generation = 1;
	irqs->n = 3;
	for (uint32_t i = 0; i < 3; i++) {
		irqs->irq[i].irq = 40 + i;
		irqs->irq[i].class = rows[i].ifname[0] ? CB_IRQ_NETWORK : CB_IRQ_OTHER;
		irqs->irq[i].writable = true;
		strcpy(irqs->irq[i].actions, rows[i].actions);
		strcpy(irqs->irq[i].ifname, rows[i].ifname);
	}
	input.irqs = irqs;
	feed(m, &input);
	free(irqs);
}

static void init(struct machine *m)
{
	struct cb_input input = { .kind = CB_INPUT_POLICY };
	struct cb_policy policy;

	*m = (struct machine){ .snapshot.time_usec = CB_USEC_PER_SEC, .counts_packets = true };
	m->engine = cb_engine_new(1);
	assert_non_null(m->engine);
	m->decision = calloc(1, sizeof(*m->decision));
	assert_non_null(m->decision);
	cb_policy_init(&policy);
	input.policy = &policy;
	feed(m, &input);
	input = (struct cb_input){ .kind = CB_INPUT_TOPOLOGY, .topology = cb_topology_new(2) };
	assert_non_null(input.topology);
	cb_cpuset_set_range(&input.topology->possible, 0, 1);
	input.topology->online = input.topology->possible;
	input.topology->n_online = 2;
	input.topology->generation = 1;
	feed(m, &input);
	cb_topology_unref(input.topology);
	feed_irqs(m);
	assert_int_equal(cb_snapshot_reserve(&m->snapshot, 2, 3, 0, 0), 0);
	m->snapshot.n_cpus = 2;
	m->snapshot.n_irqs = 3;
	m->snapshot.topology_generation = 1;
	m->snapshot.user_hz = 100;
	m->snapshot.valid = 1u << CB_SOURCE_STAT;
}

static void done(struct machine *m)
{
	cb_snapshot_done(&m->snapshot);
	cb_engine_free(m->engine);
	free(m->decision);
}

/* A second passes. */
static void tick(struct machine *m)
{
	struct cb_input input = { .kind = CB_INPUT_SNAPSHOT, .snapshot = &m->snapshot };

	m->snapshot.time_usec += CB_USEC_PER_SEC;
	for (uint32_t cpu = 0; cpu < 2; cpu++) {
		struct cb_cpu_sample *sample = &m->snapshot.cpu[cpu];
		uint64_t softirq = cpu == 0 ? m->softirq_percent : 1;

		sample->present = CB_CPU_HAS_TIMES | CB_CPU_HAS_SOFTNET;
		sample->time_ticks[CB_TIME_SOFTIRQ] += softirq;
		sample->time_ticks[CB_TIME_IDLE] += 100 - softirq;
		sample->softnet_processed += (uint64_t)m->processed_per_sec[cpu];
	}
	for (uint32_t i = 0; i < 3; i++) {
		struct cb_irq_sample *sample = &m->snapshot.irq[i];

		sample->irq = 40 + i;
		sample->effective_cpu = i == 1;
		sample->count += (uint64_t)m->irq_per_sec[i];
		sample->present = i < 2 && m->counts_packets ? CB_IRQ_HAS_DEVICE_PACKETS : 0;
		sample->device_packets += (uint64_t)m->packets_per_sec;
	}
	feed(m, &input);
}

static struct cb_irq_view after_a_while(struct machine *m, uint32_t index)
{
	struct cb_irq_view view;

	for (uint32_t i = 0; i < TICKS; i++)
		tick(m);
	cb_engine_irq(m->engine, index, &view);
	return view;
}

/* 40 % of CPU 0 for 200 interrupts: a driver that polls. All packets there are its own. */
static void a_polling_driver_is_charged_by_packets(void **state)
{
	struct machine m;
	struct cb_irq_view view;

	(void)state;
	init(&m);
	m.softirq_percent = 40;
	m.irq_per_sec[0] = 200;
	m.packets_per_sec = m.processed_per_sec[0] = 100000;
	view = after_a_while(&m, 0);
	assert_true(view.by_packets);
	assert_true(view.load_ratio > 0.39 && view.load_ratio < 0.401);
	done(&m);
}

static void without_packets_counts_bound_the_charge(void **state)
{
	struct machine m;
	struct cb_irq_view view;

	(void)state;
	init(&m);
	m.softirq_percent = 40;
	m.irq_per_sec[0] = 200;
	m.counts_packets = false;
	view = after_a_while(&m, 0);
	assert_false(view.by_packets);
	assert_true(view.load_ratio > 0.05 && view.load_ratio < 0.061); /* 200 times 300 us */
	done(&m);
}

/* A loopback flood beside a trickle from outside: the interrupt gets the trickle's share. */
static void a_flood_on_loopback_is_not_the_interrupts(void **state)
{
	struct machine m;
	struct cb_irq_view view;

	(void)state;
	init(&m);
	m.softirq_percent = 80;
	m.irq_per_sec[0] = 10;
	m.packets_per_sec = 10;
	m.processed_per_sec[0] = 200000;
	view = after_a_while(&m, 0);
	assert_true(view.load_ratio < 0.004);
	done(&m);
}

/* Packets are shared out as the interface's interrupts fired, wherever they land. */
static void queues_share_by_their_counts(void **state)
{
	struct machine m;
	struct cb_irq_view view;

	(void)state;
	init(&m);
	m.softirq_percent = 40;
	m.irq_per_sec[0] = 100;
	m.irq_per_sec[1] = 300;
	m.packets_per_sec = 100000;
	m.processed_per_sec[0] = 50000; /* half of them come from elsewhere */
	m.processed_per_sec[1] = 75000;
	view = after_a_while(&m, 0);
	assert_true(view.by_packets);
	assert_true(view.load_ratio > 0.19 && view.load_ratio < 0.21);
	done(&m);
}

/* Whatever the counters say, the items of a CPU are not charged with more than its interrupt and softirq time. */
static void no_more_than_there_was(void **state)
{
	struct machine m;
	struct cb_irq_view nic, disk;

	(void)state;
	init(&m);
	m.softirq_percent = 30;
	m.irq_per_sec[0] = 5000;
	m.irq_per_sec[2] = 50000;
	m.packets_per_sec = 100000;
	m.processed_per_sec[0] = 1000;
	nic = after_a_while(&m, 0);
	cb_engine_irq(m.engine, 2, &disk);
	assert_true(nic.load_ratio + disk.load_ratio < 0.3001);
	assert_true(nic.load_ratio > 0.1 && disk.load_ratio > 0.1);
	done(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_polling_driver_is_charged_by_packets),
		cmocka_unit_test(without_packets_counts_bound_the_charge),
		cmocka_unit_test(a_flood_on_loopback_is_not_the_interrupts),
		cmocka_unit_test(queues_share_by_their_counts),
		cmocka_unit_test(no_more_than_there_was),
	};

	return cmocka_run_group_tests_name("attribute", tests, NULL, NULL);
}
