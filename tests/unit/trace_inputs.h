/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Inputs with something in every field, extremes where a field has them: for the tests of the trace. Include after
 * cmocka.h.
 */

#include "lib/host/trace_codec.h"

static struct cb_policy policy;
static struct cb_topology *topology;
static struct cb_irqs *irqs;
static struct cb_snapshot snapshot;
static struct cb_event event;
static struct cb_command command;
static struct cb_outcome outcome;
static struct cb_decision decision;

static void fill_group(struct cb_group_policy *group)
{
	memset(group->name, 'g', sizeof(group->name) - 1);
	group->has_mode = true;
	group->mode = CB_MODE_OBSERVE;
	group->placement = CB_PLACEMENT_CORE;
	group->has_allowed = true;
	cb_cpuset_set_range(&group->allowed_cpus, 0, CB_CPUS_MAX - 1);
	strcpy(group->pid_file, "/run/\"quoted\"\\\x01\x7f\xc3\xa4\xff");
	memset(group->interfaces, 'i', sizeof(group->interfaces) - 1);
}

static void fill_policy(void)
{
	cb_policy_init(&policy);
	policy.mode = CB_MODE_ADVISE;
	policy.hot_on_ratio = nextafter(1.0, 0.0);
	policy.hot_off_ratio = 1.0 / 3.0;
	policy.warm_ratio = 0.1 + 0.2; /* not 0.3 */
	policy.cross_node = true;
	strcpy(policy.metrics_textfile, "/a b\tc");
	policy.n_groups = CB_GROUPS_MAX;
	for (uint32_t i = 0; i < CB_GROUPS_MAX; i++)
		fill_group(&policy.group[i]);
}

static void fill_topology(void)
{
	topology = cb_topology_new(CB_CPUS_MAX);
	assert_non_null(topology);
	topology->generation = UINT32_MAX;
	cb_cpuset_set_range(&topology->possible, 0, CB_CPUS_MAX - 1);
	for (unsigned int cpu = 0; cpu < CB_CPUS_MAX; cpu += 2)
		cb_cpuset_set(&topology->online, cpu);
	topology->n_online = cb_cpuset_count(&topology->online);
	cb_cpuset_set(&topology->isolated, 5);
	cb_cpuset_set(&topology->nohz_full, CB_CPUS_MAX - 1);
	topology->cpu[0] = (struct cb_cpu_place){ .node = INT32_MAX,
						  .package = INT32_MAX,
						  .llc = CB_CPUS_MAX - 1,
						  .cluster = CB_CPUS_MAX - 1,
						  .core = CB_CPUS_MAX - 1,
						  .capacity = 1 };
	cb_topology_set_distance(topology, 0, 1, UINT8_MAX);
	cb_topology_set_distance(topology, CB_DISTANCE_NODES - 1, 0, CB_DISTANCE_LOCAL);
}

static void fill_irqs(void)
{
	irqs = calloc(1, sizeof(*irqs) + 2 * sizeof(irqs->irq[0]));
	assert_non_null(irqs);
	irqs->generation = UINT32_MAX;
	irqs->n = 2;
	irqs->irq[0].affinity = cb_cpuset_of(3);
	irqs->irq[1] = (struct cb_irq_info){
		.irq = UINT32_MAX,
		.class = CB_IRQ_NETWORK,
		.writable = true,
		.immovable = true,
		.node = INT32_MIN,
		.hwirq = UINT64_MAX,
		.actions = "virtio2-input.0",
		.ifname = "fifteen-letters",
		.queue = -1,
		.queue_dir = CB_QUEUE_BOTH,
		.placed = true,
	};
}

static void fill_snapshot(void)
{
	assert_int_equal(cb_snapshot_reserve(&snapshot, 3, 2, 2, 2), 0);
	snapshot.time_usec = UINT64_MAX;
	snapshot.topology_generation = UINT32_MAX;
	snapshot.valid = (1u << _CB_SOURCE_MAX) - 1;
	snapshot.user_hz = 100;
	snapshot.ctxt = UINT64_MAX;
	snapshot.intr_total = UINT64_MAX - 1;
	snapshot.procs_running = UINT32_MAX;
	snapshot.procs_blocked = 7;
	snapshot.n_cpus = 3;
	snapshot.n_irqs = 2;
	snapshot.n_workers = 2;
	snapshot.n_groups = 2;
	snapshot.cpu[1].present = CB_CPU_HAS_TIMES | CB_CPU_HAS_SOFTIRQS | CB_CPU_HAS_CTXSW |
				  CB_CPU_HAS_SOFTNET;
	for (int i = 0; i < _CB_TIME_MAX; i++)
		snapshot.cpu[1].time_ticks[i] = UINT64_MAX - (uint64_t)i;
	for (int i = 0; i < _CB_SOFTIRQ_MAX; i++)
		snapshot.cpu[1].softirqs[i] = (uint64_t)i;
	snapshot.cpu[1].ctxsw = UINT64_C(1) << 63;
	snapshot.cpu[1].softnet_processed = UINT64_MAX;
	snapshot.cpu[1].softnet_dropped = 3;
	snapshot.cpu[2].present = CB_CPU_HAS_CTXSW;
	snapshot.cpu[2].ctxsw = 9;
	snapshot.irq[0] = (struct cb_irq_sample){ .effective_cpu = -1 };
	snapshot.irq[1] = (struct cb_irq_sample){
		.irq = UINT32_MAX,
		.effective_cpu = INT32_MAX,
		.count = UINT64_MAX,
		.present = CB_IRQ_HAS_PACKETS | CB_IRQ_HAS_DEVICE_PACKETS,
		.packets = UINT64_MAX,
		.device_packets = 7,
	};
	snapshot.worker[0].key = 1;
	snapshot.worker[1] = (struct cb_worker_sample){
		.key = UINT32_MAX,
		.present = (1u << 10) - 1,
		.cpu_nsec = UINT64_MAX,
		.wait_nsec = 1,
		.vol_switches = 2,
		.invol_switches = 3,
		.n_threads = UINT32_MAX,
		.last_cpu = -1,
		.n_fds = 4,
		.n_listeners = 5,
		.backlog = UINT32_MAX,
		.backlog_max = 6,
		.drops = UINT64_MAX,
		.queued_bytes = UINT64_MAX,
		.queued_max_bytes = 8,
		.lost = 9,
		.state = 'T',
		.system_ticks = 7,
		.mask = cb_cpuset_of(CB_CPUS_MAX - 1),
	};
	snapshot.group[0].key = 1;
	snapshot.group[1] = (struct cb_group_sample){
		.key = 2,
		.present = (1u << 4) - 1,
		.packets = UINT64_MAX,
		.backlog = 1,
		.backlog_max = UINT32_MAX,
		.drops = UINT64_MAX,
		.queued_bytes = 1,
		.queued_max_bytes = UINT64_MAX,
		.lost = 2,
		.metric = -1.5,
		.metric_falls = true,
	};
}

static void fill_steps(struct cb_step *steps)
{
	for (uint32_t i = 0; i < CB_STEPS_MAX; i++)
		steps[i] = (struct cb_step){
			.item = { i % 2 ? CB_ITEM_IRQ : CB_ITEM_WORKER, UINT32_MAX - i },
			.op = i % 2 ? CB_OP_RESTORE : CB_OP_SET,
			.from = cb_cpuset_of(i),
			.to = cb_cpuset_of(CB_CPUS_MAX - 1 - i),
			.load_ratio = i ? 1.0 / i : -0.0,
			.state = (enum cb_step_state)(i % _CB_STEP_STATE_MAX),
			.errnum = (int)i,
			.error_class = (enum cb_error_class)(i % _CB_ERROR_CLASS_MAX),
		};
}

static int fill(void **state)
{
	(void)state;
	fill_policy();
	fill_topology();
	fill_irqs();
	fill_snapshot();
	fill_group(&event.group);
	event.worker = (struct cb_worker_added){
		.key = UINT32_MAX,
		.group_key = 1,
		.pid = INT32_MAX,
		.tid = INT32_MAX - 1,
		.start_ticks = UINT64_MAX,
		.comm = "fifteen\"letter\\",
		.cpuset = cb_cpuset_of(0),
		.placed = true,
		.original = cb_cpuset_of(4095),
	};
	event.group_key = 3;
	event.worker_key = 4;
	event.irq = UINT32_MAX;
	event.present = true;
	event.mask = cb_cpuset_of(9);
	command = (struct cb_command){ .plan_id = UINT32_MAX,
				       .worker_key = 2,
				       .group_key = 3,
				       .span_usec = UINT64_MAX,
				       .mode = CB_MODE_OBSERVE,
				       .present = true,
				       .mask = cb_cpuset_of(8) };
	outcome = (struct cb_outcome){ .plan_id = 5,
				       .n_steps = CB_STEPS_MAX,
				       .n_restored = 1,
				       .n_pending = 2,
				       .n_gone = 3,
				       .n_foreign = UINT32_MAX,
				       .n_failed = 4 };
	fill_steps(outcome.step);
	return 0;
}

static int empty(void **state)
{
	(void)state;
	topology = cb_topology_unref(topology);
	free(irqs);
	irqs = NULL;
	cb_snapshot_done(&snapshot);
	return 0;
}
