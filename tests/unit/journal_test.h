/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the tests of the journal share: entries to write and to compare. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "lib/host/journal_internal.h"

static inline struct cb_journal_entry task(int32_t tid, unsigned int original, unsigned int set)
{
	struct cb_journal_entry e = {
		.knob = CB_KNOB_TASK_AFFINITY,
		.tid = tid,
		.tgid = tid - tid % 4,
		.start_ticks = 1000 + (uint64_t)tid,
		.tgid_start_ticks = 900,
		.placed_ticks = 2000,
		.cgroup_id = UINT64_C(0xfedcba9876543210),
		.original_effective_cpu = -1,
		.plan_id = 12,
		.group = "nginx",
		.original = cb_cpuset_of(original),
		.set = cb_cpuset_of(set),
	};

	return e;
}

static inline struct cb_journal_entry irq(uint32_t number)
{
	struct cb_journal_entry e = {
		.knob = CB_KNOB_IRQ_AFFINITY,
		.irq = number,
		.hwirq = 1,
		.actions = "virtio2 input.0,100%",
		.original_effective_cpu = 1,
		.original = cb_cpuset_of(0),
		.set = cb_cpuset_of(5),
	};

	cb_cpuset_set_range(&e.original, 0, 7);
	return e;
}

static inline struct cb_journal_entry queue(enum cb_knob_id knob, uint32_t number)
{
	struct cb_journal_entry e = {
		.knob = knob,
		.original_effective_cpu = -1,
		.interface = 12,
		.queue = number,
		.ifname = "eth 0%",
		.plan_id = 9,
		.group = "web",
	};

	if (knob == CB_KNOB_RPS_FLOWS) {
		e.flows.set = 4096;
		e.flows.was = 128;
	} else {
		e.set = cb_cpuset_of(7);
	}
	return e;
}

static inline void assert_same(const struct cb_journal_entry *a, const struct cb_journal_entry *b)
{
	assert_int_equal(a->knob, b->knob);
	assert_int_equal(a->tid, b->tid);
	assert_int_equal(a->tgid, b->tgid);
	assert_true(a->start_ticks == b->start_ticks);
	assert_true(a->tgid_start_ticks == b->tgid_start_ticks);
	assert_true(a->alone == b->alone);
	assert_true(a->heir == b->heir);
	assert_int_equal(a->root_tgid, b->root_tgid);
	assert_true(a->root_start_ticks == b->root_start_ticks);
	assert_true(a->placed_ticks == b->placed_ticks);
	assert_true(a->cgroup_id == b->cgroup_id);
	assert_int_equal(a->irq, b->irq);
	assert_true(a->hwirq == b->hwirq);
	assert_string_equal(a->actions, b->actions);
	assert_int_equal(a->original_effective_cpu, b->original_effective_cpu);
	assert_string_equal(a->group, b->group);
	assert_int_equal(a->plan_id, b->plan_id);
	assert_true(cb_cpuset_equal(&a->original, &b->original));
	assert_true(cb_cpuset_equal(&a->set, &b->set));
	assert_true(cb_cpuset_equal(&a->was, &b->was));
	assert_true(a->pending == b->pending);
	assert_int_equal(a->interface, b->interface);
	assert_int_equal(a->queue, b->queue);
	assert_string_equal(a->ifname, b->ifname);
	assert_int_equal(a->flows.original, b->flows.original);
	assert_int_equal(a->flows.set, b->flows.set);
	assert_int_equal(a->flows.was, b->flows.was);
}
