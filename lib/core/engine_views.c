/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What reports, metrics and explain show of the engine. Reads only, but for cb_engine_preview() and cb_engine_outlook(), which run
 * the planner.
 */

#include <stdio.h>
#include <string.h>

#include "engine_internal.h"

static enum cb_heat heat_of(const struct cb_engine *engine, const struct cpu_state *state)
{
	return state->hot					? CB_HEAT_HOT :
	       state->taken.smooth >= engine->policy.warm_ratio ? CB_HEAT_WARM :
								  CB_HEAT_COOL;
}

bool cb_engine_cpu(const struct cb_engine *engine, uint32_t cpu, struct cb_cpu_view *ret)
{
	const struct cpu_state *state;

	if (!engine->topology || cpu >= engine->topology->n_cpu_ids ||
	    !cb_cpuset_has(&engine->topology->possible, cpu))
		return false;
	state = &engine->cpu[cpu];
	*ret = (struct cb_cpu_view){
		.cpu = cpu,
		.online = cb_cpuset_has(&engine->topology->online, cpu),
		.present = state->present,
		.hot_since_usec = state->hot ? state->hot_since_usec : 0,
		.busy = state->busy,
		.user = state->user,
		.system = state->system,
		.irq = state->irq,
		.softirq = state->softirq,
		.steal = state->steal,
		.guest = state->guest,
		.ctxsw_per_sec = state->ctxsw_per_sec,
		.softnet_dropped_per_sec = state->softnet_dropped_per_sec,
		.workers_ratio = state->workers_ratio,
		.irqs_ratio = state->irqs_ratio,
		.other_ratio =
			CB_MAX(state->busy.smooth - state->workers_ratio - state->irqs_ratio, 0.0),
	};
	memcpy(ret->softirqs_per_sec, state->softirqs_per_sec, sizeof(ret->softirqs_per_sec));
	ret->heat = heat_of(engine, state);
	return true;
}

enum cb_heat cb_engine_cpu_heat(const struct cb_engine *engine, uint32_t cpu)
{
	if (!engine->topology || cpu >= engine->topology->n_cpu_ids ||
	    !cb_cpuset_has(&engine->topology->online, cpu))
		return _CB_HEAT_INVALID;
	return heat_of(engine, &engine->cpu[cpu]);
}

const struct cb_rate *cb_engine_cpu_rate(const struct cb_engine *engine, uint32_t cpu,
					 enum cb_cpu_rate which)
{
	const struct cpu_state *state;

	if (!engine->topology || cpu >= engine->topology->n_cpu_ids)
		return NULL;
	state = &engine->cpu[cpu];
	switch (which) {
	case CB_CPU_RATE_BUSY:
		return state->present & CB_CPU_HAS_TIMES ? &state->busy : NULL;
	case CB_CPU_RATE_SOFTIRQ:
		return state->present & CB_CPU_HAS_TIMES ? &state->softirq : NULL;
	case CB_CPU_RATE_STEAL:
		return state->present & CB_CPU_HAS_TIMES ? &state->steal : NULL;
	case CB_CPU_RATE_CTXSW:
		return state->present & CB_CPU_HAS_CTXSW ? &state->ctxsw_per_sec : NULL;
	case CB_CPU_RATE_SOFTIRQS:
		return state->present & CB_CPU_HAS_SOFTIRQS ? state->softirqs_per_sec : NULL;
	}
	return NULL;
}

void cb_engine_own_cpus(const struct cb_engine *engine, const struct cb_cpuset *may,
			struct cb_cpuset *ret)
{
	struct cb_cpuset cool;

	*ret = CB_CPUSET_EMPTY;
	if (!engine->topology)
		return;
	*ret = cool = cb_cpuset_and(&engine->housekeeping, may);
	CB_CPUSET_FOREACH(cpu, ret)
		if (cb_engine_cpu_heat(engine, cpu) == CB_HEAT_HOT)
			cb_cpuset_clear(&cool, cpu);
	if (!cb_cpuset_empty(&cool))
		*ret = cool;
}

void cb_engine_memory(const struct cb_engine *engine,
		      void (*fn)(const void *block, size_t size, void *userdata), void *userdata)
{
	uint32_t n_cpus = engine->topology ? engine->topology->n_cpu_ids : 0;

	fn(engine, sizeof(*engine), userdata);
	if (engine->cpu)
		fn(engine->cpu, n_cpus * sizeof(engine->cpu[0]), userdata);
	if (engine->irq) {
		fn(engine->irq, engine->irqs->n * sizeof(engine->irq[0]), userdata);
		fn(engine->active_irq, engine->irqs->n * sizeof(engine->active_irq[0]), userdata);
	}
	if (engine->worker)
		fn(engine->worker, engine->cap_workers * sizeof(engine->worker[0]), userdata);
	for (uint32_t i = 0; i < engine->n_groups; i++)
		fn(engine->group[i], sizeof(*engine->group[i]), userdata);
}

/* A CPU that was idle for nearly all of an interval has switched little, and is not woken to say so. */
#define IDLE_RATIO 0.1

void cb_engine_demand(const struct cb_engine *engine, bool watched, struct cb_demand *ret)
{
	uint32_t n = engine->topology ? engine->topology->n_cpu_ids : 0;

	ret->near = ret->busy = CB_CPUSET_EMPTY;
	ret->detail = watched || engine->flight.active;
	for (uint32_t id = 0; id < n; id++) {
		const struct cpu_state *cpu = &engine->cpu[id];

		if (!(cpu->present & CB_CPU_HAS_TIMES))
			continue;
		if (cpu->hot || cpu->taken.smooth >= engine->policy.warm_ratio)
			cb_cpuset_set(&ret->near, id);
		else if (cpu->busy.raw >= IDLE_RATIO && cb_cpuset_has(&engine->housekeeping, id))
			cb_cpuset_set(&ret->busy, id); /* others are asked for nothing */
	}
	/* Without a group nothing can be done about it, and who is to be told can wait some seconds. */
	if (engine->n_groups > 0)
		ret->detail = ret->detail || engine->n_findings > 0 || !cb_cpuset_empty(&ret->near);
}

uint32_t cb_engine_n_workers(const struct cb_engine *engine)
{
	return engine->n_workers;
}

void cb_engine_worker(const struct cb_engine *engine, uint32_t index, struct cb_worker_view *ret)
{
	const struct worker_state *worker = &engine->worker[index];
	const struct group_state *group = engine_group(engine, worker->group_key);

	*ret = (struct cb_worker_view){
		.key = worker->key,
		.group_key = worker->group_key,
		.slot = worker->slot,
		.group = group ? group->policy.name : "",
		.comm = worker->comm,
		.pid = worker->pid,
		.tid = worker->tid,
		.floats = engine_floats(worker),
		.start_ticks = worker->start_ticks,
		.present = worker->present,
		.cpu = worker->cpu,
		.wait_per_sec = worker->wait_per_sec,
		.vol_per_sec = worker->vol_per_sec,
		.invol_per_sec = worker->invol_per_sec,
		.n_threads = worker->last.n_threads,
		.n_fds = worker->last.n_fds,
		.n_listeners = worker->last.n_listeners,
		.backlog = worker->last.backlog,
		.backlog_max = worker->last.backlog_max,
		.queued_bytes = worker->last.queued_bytes,
		.queued_max_bytes = worker->last.queued_max_bytes,
		.drops_per_sec = worker->drops_per_sec,
		.last_cpu = worker->last.last_cpu,
		.cpu_attributed = worker->cpu_attributed,
		.mask = worker->last.mask,
		.original = worker->original,
		.placed = worker->placed,
		.foreign = worker->foreign,
		.share = worker->share,
		.drained = worker->drained,
		.incoming_cpu = worker->incoming_cpu,
		.quarantine_until_usec = worker->quarantine.until_usec > engine->now_usec ?
						 worker->quarantine.until_usec :
						 0,
	};
	if (engine->topology)
		ret->allowed = engine_allowed(engine, worker);
}

void cb_engine_worker_use(const struct cb_engine *engine, uint32_t index, struct cb_worker_use *ret)
{
	const struct worker_state *worker = &engine->worker[index];
	const struct group_state *group = engine_group(engine, worker->group_key);

	*ret = (struct cb_worker_use){
		.group = group ? group->policy.name : "",
		.slot = worker->slot,
		.present = worker->present,
		.cpu_per_sec = worker->cpu.raw,
		.wait_per_sec = worker->wait_per_sec.raw,
		.backlog = worker->last.backlog,
		.n_fds = worker->last.n_fds,
		.queued_bytes = worker->last.queued_bytes,
	};
}

void cb_engine_irq_use(const struct cb_engine *engine, uint32_t index, struct cb_irq_use *ret)
{
	const struct irq_state *state = &engine->irq[index];

	*ret = (struct cb_irq_use){
		.irq = engine->irqs->irq[index].irq,
		.actions = engine->irqs->irq[index].actions,
		.placed = state->placed,
		.per_sec = state->per_sec.raw,
		.load_ratio = state->load_ratio,
	};
}

bool cb_engine_worker_by_key(const struct cb_engine *engine, uint32_t key,
			     struct cb_worker_view *ret)
{
	const struct worker_state *worker = engine_worker(engine, key);

	if (!worker)
		return false;
	cb_engine_worker(engine, (uint32_t)(worker - engine->worker), ret);
	return true;
}

uint32_t cb_engine_n_irqs(const struct cb_engine *engine)
{
	return engine->irqs ? engine->irqs->n : 0;
}

void cb_engine_irq(const struct cb_engine *engine, uint32_t index, struct cb_irq_view *ret)
{
	const struct cb_irq_info *info = &engine->irqs->irq[index];
	const struct irq_state *state = &engine->irq[index];

	*ret = (struct cb_irq_view){
		.irq = info->irq,
		.info = info,
		.per_sec = state->per_sec,
		.effective_cpu = state->effective_cpu,
		.load_ratio = state->load_ratio,
		.has_packets = state->has_packets,
		.packets_per_sec = state->packets_per_sec,
		.by_packets = state->by_packets,
		.reject = CB_REJECT_NOT_FEEDING,
		.placed = state->placed,
		.foreign = state->foreign,
	};
	for (uint32_t i = 0; i < engine->n_groups && ret->group_key == 0; i++)
		if (engine_group_feeds(engine, engine->group[i], info))
			ret->group_key = engine->group[i]->key;
	ret->reject = engine_irq_reject(engine, state, ret->group_key != 0);
}

uint32_t cb_engine_n_groups(const struct cb_engine *engine)
{
	return engine->n_groups;
}

/* Most connections of a worker over the mean, by open descriptors; what a worker has open besides cancels out nearly. */
static double skew_of(const struct cb_engine *engine, const struct group_state *group)
{
	double sum = 0, most = 0;
	uint32_t n = 0;

	for (uint32_t i = 0; i < engine->n_workers; i++) {
		const struct worker_state *worker = &engine->worker[i];

		if (worker->group_key != group->key || !(worker->last.present & CB_WORKER_HAS_FDS))
			continue;
		sum += worker->last.n_fds;
		most = CB_MAX(most, (double)worker->last.n_fds);
		n++;
	}
	return n && sum > 0 ? most * n / sum : 0;
}

void cb_engine_group(const struct cb_engine *engine, uint32_t index, struct cb_group_view *ret)
{
	const struct group_state *group = engine->group[index];

	*ret = (struct cb_group_view){
		.key = group->key,
		.policy = &group->policy,
		.mode = engine_mode(engine, group),
		.n_workers = group->n_workers,
		.cpu = group->cpu,
		.wait_per_sec = group->wait_per_sec,
		.has_packets = group->has_packets,
		.has_listen = group->has_listen,
		.has_datagrams = group->has_datagrams,
		.has_metric = group->last.present & CB_GROUP_HAS_METRIC,
		.metric = group->last.metric,
		.packets_per_sec = group->packets_per_sec,
		.drops_per_sec = group->drops_per_sec,
		.backlog = group->backlog,
		.backlog_max = group->backlog_max,
		.queued_bytes = group->last.queued_bytes,
		.queued_max_bytes = group->last.queued_max_bytes,
		.skew_ratio = skew_of(engine, group),
		.moves_hour = engine_moves_hour(engine, group),
		.cooldown_until_usec = group->cooldown_until_usec > engine->now_usec ?
					       group->cooldown_until_usec :
					       0,
		.steered = group->steer.is,
		.steer_reject = group->steer.reject,
	};
	ret->has_fds = ret->skew_ratio > 0;
	for (uint32_t i = 0; i < engine->n_workers; i++)
		ret->n_placed += engine->worker[i].group_key == group->key &&
				 engine->worker[i].placed;
	for (uint32_t i = 0; engine->queues && i < engine->queues->n; i++)
		if (strcmp(engine->queues->queue[i].group, group->policy.name) == 0)
			ret->n_queues_placed += engine->queues->queue[i].placed;
}

uint32_t cb_engine_n_findings(const struct cb_engine *engine)
{
	return engine->n_findings;
}

const struct cb_finding *cb_engine_finding(const struct cb_engine *engine, uint32_t index)
{
	return &engine->finding[engine->finding_order[index]];
}

const struct cb_plan *cb_engine_plan(const struct cb_engine *engine)
{
	return engine->flight.active ? &engine->flight.plan : NULL;
}

const struct cb_plan *cb_engine_last_plan(const struct cb_engine *engine)
{
	const struct cb_plan *last = NULL;

	for (uint32_t i = 0; i < CB_MIN(engine->n_done, PLANS_KEPT); i++)
		if (!last || engine->done[i].plan.done_usec >= last->done_usec)
			last = &engine->done[i].plan;
	return last;
}

uint32_t cb_engine_n_refusals(const struct cb_engine *engine)
{
	return engine->n_refusals;
}

const struct cb_refusal *cb_engine_refusal(const struct cb_engine *engine, uint32_t index)
{
	return &engine->refusal[index];
}

void cb_engine_totals(const struct cb_engine *engine, struct cb_totals *ret)
{
	*ret = engine->totals;
}

const struct cb_queues *cb_engine_queues(const struct cb_engine *engine)
{
	return engine->queues;
}

const struct cb_topology *cb_engine_topology(const struct cb_engine *engine)
{
	return engine->topology;
}

const struct cb_policy *cb_engine_policy(const struct cb_engine *engine)
{
	return &engine->policy;
}

uint64_t cb_engine_now(const struct cb_engine *engine)
{
	return engine->now_usec;
}

/* A worker that is missing keeps its name while that is a finding. */
static void gone_name(const struct cb_engine *engine, uint32_t key, char *buf, size_t size)
{
	for (uint32_t i = 0; i < engine->n_groups; i++) {
		const struct group_state *group = engine->group[i];

		if (group->lost.n_missing == 0 || group->lost.key != key)
			continue;
		snprintf(buf, size, "%s/%u", group->policy.name, group->lost.slot);
		return;
	}
	snprintf(buf, size, "worker %u (gone)", key);
}

const char *cb_engine_item_name(const struct cb_engine *engine, struct cb_item_ref item, char *buf,
				size_t size)
{
	const struct worker_state *worker;
	const struct group_state *group;
	const struct cb_irq_info *info;

	if (item.kind == CB_ITEM_WORKER || cb_item_steers(item.kind)) {
		worker = engine_worker(engine, item.key);
		group = worker ? engine_group(engine, worker->group_key) : NULL;
		if (group)
			snprintf(buf, size, "%s/%u%s", group->policy.name, worker->slot,
				 item.kind == CB_ITEM_SHARE    ? " share" :
				 item.kind == CB_ITEM_LISTENER ? " listener" :
								 "");
		else
			gone_name(engine, item.key, buf, size);
		return buf;
	}
	if (cb_item_is_queue(item.kind)) {
		const struct cb_queue_info *queue = engine_queue(engine, item);

		if (queue || item.key == 0)
			return cb_item_queue_name(item.kind, queue ? queue->ifname : "",
						  queue ? queue->queue : 0, buf, size);
		snprintf(buf, size, "queue %u (gone)", item.key);
		return buf;
	}
	info = engine->irqs ? cb_irqs_find(engine->irqs, item.key) : NULL;
	if (info && info->actions[0])
		snprintf(buf, size, "%s (irq %u)", info->actions, item.key);
	else
		snprintf(buf, size, "irq %u", item.key);
	return buf;
}

void cb_engine_preview(struct cb_engine *engine, struct cb_plan *ret)
{
	*ret = (struct cb_plan){ .hot_cpu = -1, .judgement.measure = "" };
	for (uint32_t i = 0; i < engine->n_findings; i++) {
		const struct cb_finding *finding = cb_engine_finding(engine, i);
		struct group_state *group = engine_group_of_finding(engine, finding);
		struct cb_plan other;
		uint32_t max_steps;

		if (!group || !engine_plannable(engine, finding))
			continue;
		(void)engine_gate(engine, group, finding, &max_steps);
		engine_plan_for(engine, finding, group, max_steps, ret);
		if (engine_packets_for(engine, finding, group, ret, false, &other) ==
		    CB_REJECT_NONE)
			*ret = other;
		ret->judgement.measure = "";
		if (ret->n_steps)
			return;
	}
}

uint32_t cb_engine_outlook(struct cb_engine *engine, uint32_t cpu, struct cb_refusal *ret,
			   uint32_t max)
{
	uint32_t n = 0;

	if (!engine->topology || cpu >= engine->topology->n_cpu_ids)
		return 0;
	for (uint32_t i = 0; i < engine->n_groups; i++) {
		struct cb_finding finding = {
			.kind = CB_FINDING_HOT_CPU,
			.cpu = (int32_t)cpu,
			.group_key = engine->group[i]->key,
			/* as if it were hot and others cool: how it really is is told by the gain */
			.known = CB_KNOWS(COOLEST_CPU),
			.busy_ratio = 1,
		};

		engine_plan_for(engine, &finding, engine->group[i], 0, &engine->outlook);
		for (uint32_t j = 0; j < engine->result.n_refusals && n < max; j++) {
			ret[n] = engine->result.refusal[j];
			if (ret[n].reason == CB_REJECT_NOT_FEEDING)
				continue; /* another group's, or nobody's */
			if (ret[n].reason == CB_REJECT_PLAN_FULL)
				ret[n].reason = CB_REJECT_NO_FINDING;
			n++;
		}
	}
	return n;
}
