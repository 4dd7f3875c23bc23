/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Events: groups and workers that come and go, and what others do to the knobs that we turn.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine_internal.h"

static int add_group(struct cb_engine *engine, const struct cb_event *event,
		     struct cb_decision *decision)
{
	struct group_state *group = engine_group(engine, event->group_key);

	if (event->group_key == 0)
		return -EINVAL;
	if (group) {
		group->policy = event->group;
		engine_steer_policy(engine, group, decision);
		return 0;
	}
	if (engine->n_groups == CB_GROUPS_MAX)
		return -E2BIG;
	group = calloc(1, sizeof(*group));
	if (!group)
		return -ENOMEM;
	group->key = event->group_key;
	group->policy = event->group;
	engine->group[engine->n_groups++] = group;
	return 0;
}

/* The group's workers changed: what was measured before is no base for what comes after. */
static void workers_changed(struct cb_engine *engine, struct group_state *group, uint32_t gone_key,
			    struct cb_decision *decision)
{
	engine_disturb(engine, group);
	engine_steer_workers_changed(engine, group);
	engine_plan_disturbed(engine, group->key, gone_key, decision);
}

static void remove_worker_at(struct cb_engine *engine, uint32_t index)
{
	engine->n_workers--;
	memmove(&engine->worker[index], &engine->worker[index + 1],
		(engine->n_workers - index) * sizeof(engine->worker[0]));
}

static int remove_group(struct cb_engine *engine, uint32_t key, struct cb_decision *decision)
{
	struct group_state *group = engine_group(engine, key);

	if (!group)
		return -EINVAL;
	workers_changed(engine, group, 0, decision);
	engine_newcomers_forget(engine, key);
	for (uint32_t i = engine->n_workers; i-- > 0;)
		if (engine->worker[i].group_key == key) {
			engine_worker_went(engine, group, &engine->worker[i], true, decision);
			remove_worker_at(engine, i);
		}
	engine_group_findings_end(group, decision);
	for (uint32_t i = 0; i < engine->n_groups; i++) {
		if (engine->group[i] != group)
			continue;
		engine->n_groups--;
		memmove(&engine->group[i], &engine->group[i + 1],
			(engine->n_groups - i) * sizeof(engine->group[0]));
	}
	free(group);
	return 0;
}

/* The lowest slot that is free in the group: a respawned worker gets its predecessor's. */
static uint32_t free_slot(const struct cb_engine *engine, uint32_t group_key)
{
	uint32_t slot = 0;

	/* workers of a group are ordered by slot */
	for (uint32_t i = 0; i < engine->n_workers; i++)
		if (engine->worker[i].group_key == group_key && engine->worker[i].slot == slot)
			slot++;
	return slot;
}

static uint32_t group_rank(const struct cb_engine *engine, uint32_t key)
{
	uint32_t rank = 0;

	while (rank < engine->n_groups && engine->group[rank]->key != key)
		rank++;
	return rank;
}

/* Where the worker belongs in the order by group (of registration), then slot. */
static uint32_t insert_at(const struct cb_engine *engine, uint32_t group_key, uint32_t slot)
{
	uint32_t rank = group_rank(engine, group_key), i = 0;

	for (; i < engine->n_workers; i++) {
		uint32_t other = group_rank(engine, engine->worker[i].group_key);

		if (other > rank || (other == rank && engine->worker[i].slot > slot))
			break;
	}
	return i;
}

static int grow_workers(struct cb_engine *engine)
{
	uint32_t cap = engine->cap_workers ? engine->cap_workers * 2 : 16;
	struct worker_state *worker;

	if (engine->n_workers < engine->cap_workers)
		return 0;
	if (engine->n_workers >= CB_WORKERS_MAX)
		return -E2BIG;
	cap = CB_MIN(cap, CB_WORKERS_MAX);
	worker = realloc(engine->worker, cap * sizeof(*worker));
	if (!worker)
		return -ENOMEM;
	engine->worker = worker;
	engine->cap_workers = cap;
	return 0;
}

static int add_worker(struct cb_engine *engine, const struct cb_worker_added *added,
		      struct cb_decision *decision)
{
	struct group_state *group = engine_group(engine, added->group_key);
	struct worker_state *worker;
	uint32_t slot, index;
	int r;

	if (!group || added->key == 0 || engine_worker(engine, added->key))
		return -EINVAL;
	r = grow_workers(engine);
	if (r < 0)
		return r;
	slot = free_slot(engine, added->group_key);
	index = insert_at(engine, added->group_key, slot);
	worker = &engine->worker[index];
	memmove(worker + 1, worker, (engine->n_workers - index) * sizeof(*worker));
	engine->n_workers++;
	*worker = (struct worker_state){
		.key = added->key,
		.group_key = added->group_key,
		.slot = slot,
		.pid = added->pid,
		.tid = added->tid,
		.start_ticks = added->start_ticks,
		.cpu_attributed = -1,
		.incoming_cpu = -1,
		.cpuset = added->cpuset,
		.original = added->original,
		.placed = added->placed,
	};
	memcpy(worker->comm, added->comm, sizeof(worker->comm));
	worker->comm[sizeof(worker->comm) - 1] = 0;
	/* what the journal's last daemon wrote is not known here: the first look is taken for it */
	memset(&worker->set, 0xff, sizeof(worker->set));
	engine_worker_came(engine, group, worker);
	engine_newcomers_came(engine);
	group->n_workers++;
	group->quiet_until_usec = engine->now_usec + engine->policy.quiet_start_usec;
	workers_changed(engine, group, 0, decision);
	return 0;
}

static int remove_worker(struct cb_engine *engine, uint32_t key, bool lives,
			 struct cb_decision *decision)
{
	struct worker_state *worker = engine_worker(engine, key);
	struct group_state *group = worker ? engine_group(engine, worker->group_key) : NULL;

	if (!group)
		return -EINVAL;
	if (!lives)
		engine_newcomers_went(engine, worker);
	workers_changed(engine, group, key, decision);
	engine_worker_went(engine, group, worker, lives, decision);
	group->quiet_until_usec = engine->now_usec + engine->policy.quiet_start_usec;
	group->n_workers--;
	remove_worker_at(engine, (uint32_t)(worker - engine->worker));
	return 0;
}

static int irq_foreign(struct cb_engine *engine, const struct cb_event *event,
		       struct cb_decision *decision)
{
	struct irq_state *irq = engine_irq_state(engine, event->irq);
	struct cb_item_ref item = { CB_ITEM_IRQ, event->irq };
	struct cb_irq_info *info;
	struct cb_notice notice = { .cpu = -1 };
	char name[96], mask[40];

	if (!irq)
		return -EINVAL;
	info = &engine->irqs->irq[irq - engine->irq];
	/* our own write, read back by the rotation */
	if (cb_cpuset_equal(&info->affinity, &event->mask))
		return 0;
	info->affinity = event->mask;
	if (!irq->placed || irq->foreign)
		return 0;
	irq->foreign = true;
	engine->totals.n_foreign[CB_ITEM_IRQ]++;
	notice.cpu = irq->effective_cpu;
	engine_notice(decision, CB_NOTICE_FOREIGN, &notice,
		      "%s was set to CPU %s by somebody else: left alone",
		      cb_engine_item_name(engine, item, name, sizeof(name)),
		      cb_cpuset_show(&event->mask, mask, sizeof(mask)));
	return 0;
}

static int worker_foreign(struct cb_engine *engine, const struct cb_event *event)
{
	struct worker_state *worker = engine_worker(engine, event->worker_key);

	if (!worker)
		return -EINVAL;
	if (!worker->placed || !worker->has_set || !engine->topology)
		return 0;
	if (!engine_mask_is_ours(engine, worker, &event->mask))
		worker->foreign = true; /* told with the next tick */
	return 0;
}

/* Where it may run has changed: what was measured before says nothing about what comes. */
static int worker_cpuset(struct cb_engine *engine, const struct cb_event *event,
			 struct cb_decision *decision)
{
	struct worker_state *worker = engine_worker(engine, event->worker_key);
	struct group_state *group = worker ? engine_group(engine, worker->group_key) : NULL;

	if (!group)
		return -EINVAL;
	if (cb_cpuset_equal(&worker->cpuset, &event->mask))
		return 0;
	worker->cpuset = event->mask;
	workers_changed(engine, group, 0, decision);
	return 0;
}

/* The plan in flight had put it there. */
static void strand_plan(struct cb_engine *engine, struct cb_item_ref item,
			struct cb_decision *decision)
{
	struct flight *flight = &engine->flight;
	bool concerned = false;

	for (uint32_t i = 0; i < flight->plan.n_steps && flight->active; i++) {
		struct cb_step *step = &flight->plan.step[i];

		if (step->item.kind != item.kind || step->item.key != item.key)
			continue;
		concerned = true;
		if (step->state == CB_STEP_DONE || step->state == CB_STEP_PENDING)
			step->state = CB_STEP_UNDONE;
	}
	if (concerned &&
	    (flight->plan.state == CB_PLAN_SETTLING || flight->plan.state == CB_PLAN_VERIFYING))
		engine_plan_undo(engine, CB_VERDICT_VOID,
				 "the CPUs that it went to are offline, so nothing can be compared",
				 decision);
}

/* A placement that was, and its end is nobody's doing. */
static int stranded(struct cb_engine *engine, const struct cb_event *event,
		    struct cb_decision *decision)
{
	struct cb_item_ref item = { event->worker_key ? CB_ITEM_WORKER : CB_ITEM_IRQ,
				    event->worker_key ? event->worker_key : event->irq };
	struct cb_notice notice = { .cpu = -1 };
	struct worker_state *worker;
	struct irq_state *irq;
	char name[96];

	if (item.kind == CB_ITEM_WORKER) {
		worker = engine_worker(engine, item.key);
		if (!worker)
			return -EINVAL;
		worker->placed = worker->has_set = worker->foreign = worker->foreign_told = false;
	} else {
		irq = engine_irq_state(engine, item.key);
		if (!irq)
			return -EINVAL;
		irq->placed = irq->foreign = false;
	}
	engine_notice(decision, CB_NOTICE_FOREIGN, &notice,
		      "The CPUs that %s was placed on went offline: it has its original mask",
		      cb_engine_item_name(engine, item, name, sizeof(name)));
	strand_plan(engine, item, decision);
	return 0;
}

int engine_event(struct cb_engine *engine, const struct cb_event *event,
		 struct cb_decision *decision)
{
	struct group_state *group;
	struct irq_state *irq;

	switch (event->kind) {
	case CB_EVENT_GROUP_ADDED:
		return add_group(engine, event, decision);
	case CB_EVENT_GROUP_REMOVED:
		return remove_group(engine, event->group_key, decision);
	case CB_EVENT_WORKER_ADDED:
		return add_worker(engine, &event->worker, decision);
	case CB_EVENT_WORKER_GONE:
		return remove_worker(engine, event->worker_key, event->present, decision);
	case CB_EVENT_WORKER_FOREIGN:
		return worker_foreign(engine, event);
	case CB_EVENT_WORKER_CPUSET:
		return worker_cpuset(engine, event, decision);
	case CB_EVENT_IRQ_FOREIGN:
		return irq_foreign(engine, event, decision);
	case CB_EVENT_IRQ_IMMOVABLE:
		irq = engine_irq_state(engine, event->irq);
		if (!irq)
			return -EINVAL;
		irq->immovable = true;
		return 0;
	case CB_EVENT_STEER_LOST:
		group = engine_group(engine, event->group_key);
		if (!group)
			return -EINVAL;
		engine_steer_lost(engine, group);
		if (engine->flight.active && engine_plan_has_sockets(&engine->flight.plan))
			engine_plan_disturbed(engine, group->key, 0, decision);
		return 0;
	case CB_EVENT_IRQBALANCE:
		engine->irqbalance = event->present;
		return 0;
	case CB_EVENT_STRANDED:
		return stranded(engine, event, decision);
	case _CB_EVENT_MAX:
	case _CB_EVENT_INVALID:
		break;
	}
	return -EINVAL;
}
