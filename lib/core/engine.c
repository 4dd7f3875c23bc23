/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The engine's door: one input in, one decision out. What an input means is in engine_rates.c (snapshot), detector.c and findings.c (findings),
 * engine_plan.c (the life of a plan), engine_events.c and engine_commands.c.
 */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine_internal.h"

struct cb_engine *cb_engine_new(uint32_t first_plan_id)
{
	struct cb_engine *engine = calloc(1, sizeof(*engine));

	if (!engine)
		return NULL;
	engine->next_plan_id = first_plan_id ? first_plan_id : 1;
	return engine;
}

struct cb_engine *cb_engine_free(struct cb_engine *engine)
{
	if (!engine)
		return NULL;
	for (uint32_t i = 0; i < engine->n_groups; i++)
		free(engine->group[i]);
	cb_topology_unref(engine->topology);
	free(engine->irqs);
	free(engine->irq);
	free(engine->queues);
	free(engine->queue);
	free(engine->active_irq);
	free(engine->cpu);
	free(engine->floor_ratio);
	free(engine->capacity_ratio);
	free(engine->rate_scratch);
	cb_planner_scratch_free(engine->scratch);
	free(engine->worker);
	free(engine->vacant);
	free(engine);
	return NULL;
}

void engine_notice(struct cb_decision *decision, enum cb_notice_kind kind,
		   const struct cb_notice *notice, const char *fmt, ...)
{
	struct cb_notice *to;
	va_list ap;

	if (decision->n_notices >= CB_NOTICES_MAX) {
		decision->notices_lost++;
		return;
	}
	to = &decision->notice[decision->n_notices++];
	*to = *notice;
	to->kind = kind;
	va_start(ap, fmt);
	vsnprintf(to->sentence, sizeof(to->sentence), fmt, ap);
	va_end(ap);
}

struct group_state *engine_group(const struct cb_engine *engine, uint32_t key)
{
	for (uint32_t i = 0; i < engine->n_groups; i++)
		if (engine->group[i]->key == key)
			return engine->group[i];
	return NULL;
}

struct worker_state *engine_worker(const struct cb_engine *engine, uint32_t key)
{
	for (uint32_t i = 0; i < engine->n_workers; i++)
		if (engine->worker[i].key == key)
			return &engine->worker[i];
	return NULL;
}

struct irq_state *engine_irq_state(const struct cb_engine *engine, uint32_t irq)
{
	const struct cb_irq_info *info = engine->irqs ? cb_irqs_find(engine->irqs, irq) : NULL;

	return info ? &engine->irq[info - engine->irqs->irq] : NULL;
}

int32_t engine_item_cpu(const struct cb_engine *engine, struct cb_item_ref item)
{
	const struct worker_state *worker;
	const struct irq_state *irq;

	if (cb_item_is_queue(item.kind))
		return -1;
	if (item.kind == CB_ITEM_IRQ) {
		irq = engine_irq_state(engine, item.key);
		return irq ? irq->effective_cpu : -1;
	}
	worker = engine_worker(engine, item.key);
	return worker ? worker->cpu_attributed : -1;
}

enum cb_mode engine_mode(const struct cb_engine *engine, const struct group_state *group)
{
	enum cb_mode mode = group && group->policy.has_mode ? group->policy.mode :
							      engine->policy.mode;

	/* the machine-wide word is the upper limit of what a group may ask for */
	mode = CB_MAX(mode, engine->policy.mode);
	return engine->totals.canary ? CB_MAX(mode, CB_MODE_ADVISE) : mode;
}

bool engine_group_names(const struct group_state *group, const char *ifname, bool hardware)
{
	const char *p = group->policy.interfaces;
	size_t len = strlen(ifname);

	while (*p) {
		size_t word = strcspn(p, " \t,");

		if ((word == 1 && *p == '*' && hardware) ||
		    (word == len && memcmp(p, ifname, len) == 0))
			return true;
		p += word;
		p += strspn(p, " \t,");
	}
	return false;
}

static bool feeds_by_interface(const struct group_state *group, const struct cb_irq_info *info)
{
	return info->class == CB_IRQ_NETWORK && info->ifname[0] &&
	       engine_group_names(group, info->ifname, true);
}

/* Beyond the interrupts of interfaces each has one group, the first, so that it has one settings and one release. */
bool engine_group_feeds(const struct cb_engine *engine, const struct group_state *group,
			const struct cb_irq_info *info)
{
	const char *scope = engine->policy.manage_interrupts;

	if (feeds_by_interface(group, info))
		return true;
	if (!cb_irq_scope_is_wide(scope) || !cb_irq_scope_has(scope, info))
		return false;
	for (uint32_t i = 0; i < engine->n_groups; i++)
		if (feeds_by_interface(engine->group[i], info))
			return false;
	return engine->n_groups > 0 && group == engine->group[0];
}

static int take_topology(struct cb_engine *engine, struct cb_topology *topology,
			 struct cb_decision *decision)
{
	uint32_t n = topology->n_cpu_ids;
	struct cpu_state *cpu = calloc(n, sizeof(*cpu));
	double *floor_ratio = calloc(n, sizeof(*floor_ratio));
	double *capacity_ratio = calloc(n, sizeof(*capacity_ratio));
	double *rate_scratch = calloc(n, sizeof(*rate_scratch));
	struct cb_planner_scratch *scratch = cb_planner_scratch_new(n, ENGINE_ITEMS_MAX);

	if (!cpu || !floor_ratio || !capacity_ratio || !rate_scratch || !scratch) {
		free(cpu);
		free(floor_ratio);
		free(capacity_ratio);
		free(rate_scratch);
		cb_planner_scratch_free(scratch);
		return -ENOMEM;
	}
	engine_findings_drop_cpus(engine, decision);
	free(engine->cpu);
	free(engine->floor_ratio);
	free(engine->capacity_ratio);
	free(engine->rate_scratch);
	cb_planner_scratch_free(engine->scratch);
	engine->cpu = cpu;
	engine->floor_ratio = floor_ratio;
	engine->capacity_ratio = capacity_ratio;
	engine->rate_scratch = rate_scratch;
	engine->scratch = scratch;
	/* nothing is patched: counters of another set of CPUs are no base for a rate */
	if (engine->topology)
		for (uint32_t i = 0; i < engine->n_groups; i++)
			engine_part(
				engine, engine->group[i],
				"the CPUs changed or the machine was suspended, so nothing can be compared");
	engine->totals.quiet_until_usec = engine->now_usec + engine->policy.quiet_start_usec;
	engine->has_snapshot = false;
	engine->n_findings = 0;
	cb_topology_unref(engine->topology);
	engine->topology = cb_topology_ref(topology);
	engine->uneven = false;
	for (uint32_t i = 0; i < n; i++) {
		cpu[i].given_ratio = 1;
		engine->uneven = engine->uneven || topology->cpu[i].capacity != CB_CAPACITY_FULL;
	}
	engine->housekeeping = cb_topology_housekeeping(topology);
	return 0;
}

/* Each interrupt knows the first of its interface, where sums over the interface are kept. */
static void link_interfaces(struct irq_state *state, const struct cb_irqs *irqs)
{
	for (uint32_t i = 0; i < irqs->n; i++) {
		const char *ifname = irqs->irq[i].ifname;

		state[i].first = i;
		for (uint32_t j = i; j-- > 0 && ifname[0];) {
			if (strcmp(ifname, irqs->irq[j].ifname) != 0)
				continue;
			state[i].first = state[j].first;
			break;
		}
	}
}

/* Whether interrupts of that interface have been there before. */
static bool knows_interface(const struct cb_engine *engine, const char *ifname)
{
	for (uint32_t i = 0; engine->irqs && ifname[0] && i < engine->irqs->n; i++)
		if (strcmp(engine->irqs->irq[i].ifname, ifname) == 0)
			return true;
	return false;
}

static int take_irqs(struct cb_engine *engine, const struct cb_irqs *irqs)
{
	size_t size = sizeof(*irqs) + irqs->n * sizeof(irqs->irq[0]);
	struct cb_irqs *copy;
	struct irq_state *state;
	uint32_t *active;

	if (irqs->n > CB_IRQS_MAX)
		return -EINVAL;
	copy = malloc(size);
	state = calloc(irqs->n ? irqs->n : 1, sizeof(*state));
	active = calloc(irqs->n ? irqs->n : 1, sizeof(*active));
	if (!copy || !state || !active) {
		free(copy);
		free(state);
		free(active);
		return -ENOMEM;
	}
	memcpy(copy, irqs, size);
	for (uint32_t i = 0; i < irqs->n; i++) {
		const struct cb_irq_info *now = &irqs->irq[i];
		const struct irq_state *old = engine_irq_state(engine, now->irq);
		const struct cb_irq_info *before = old ? cb_irqs_find(engine->irqs, now->irq) :
							 NULL;

		/* the same number can come back as another interrupt */
		if (before && before->hwirq == now->hwirq &&
		    strcmp(before->actions, now->actions) == 0) {
			state[i] = *old;
		} else {
			state[i] = (struct irq_state){ .effective_cpu = -1 };
			if (knows_interface(engine, now->ifname)) {
				state[i].new_usec = engine->now_usec;
				engine_newcomers_came(engine);
			}
		}
		state[i].irq = now->irq;
		state[i].placed = now->placed;
		state[i].immovable |= now->immovable || !now->writable;
	}
	link_interfaces(state, copy);
	free(engine->irqs);
	free(engine->irq);
	free(engine->active_irq);
	engine->irqs = copy;
	engine->irq = state;
	engine->active_irq = active;
	engine->n_active_irqs = 0;
	return 0;
}

static void take_policy(struct cb_engine *engine, const struct cb_policy *policy)
{
	bool first = !engine->has_policy;

	cb_policy_copy(&engine->policy, policy);
	engine->has_policy = true;
	if (!first)
		return;
	engine->started_usec = engine->now_usec;
	engine->totals.quiet_until_usec = engine->now_usec + policy->quiet_start_usec;
}

static void count_hour(struct cb_engine *engine)
{
	struct cb_totals *t = &engine->totals;

	t->rollbacks_hour = engine_rollbacks_hour(engine);
	t->moves_hour = 0;
	for (uint32_t i = 0; i < engine->n_groups; i++)
		t->moves_hour = CB_MAX(t->moves_hour, engine_moves_hour(engine, engine->group[i]));
	t->n_quarantined = 0;
	for (uint32_t i = 0; i < engine->n_workers; i++)
		t->n_quarantined += engine->worker[i].quarantine.until_usec > engine->now_usec;
	for (uint32_t i = 0; engine->irqs && i < engine->irqs->n; i++)
		t->n_quarantined += engine->irq[i].quarantine.until_usec > engine->now_usec;
}

static int take_snapshot(struct cb_engine *engine, const struct cb_snapshot *snapshot,
			 struct cb_decision *decision)
{
	uint64_t dt_usec = engine->has_snapshot ? snapshot->time_usec - engine->snapshot_usec : 0;
	int r = engine_snapshot_check(engine, snapshot);

	if (r < 0)
		return r;
	if (engine->totals.paused && engine->totals.paused_until_usec &&
	    engine->now_usec >= engine->totals.paused_until_usec)
		engine->totals.paused = false;
	engine->user_hz = snapshot->user_hz;
	engine_rates(engine, snapshot);
	engine_attribute(engine);
	if (dt_usec)
		engine_windows(engine, snapshot, dt_usec);
	engine_detect(engine, decision);
	engine_plan_tick(engine, decision);
	count_hour(engine);
	return 0;
}

/* All but the arrays, whose n_* say that they are empty: a tick must not clear 50 KB to say "nothing". */
static void begin_decision(struct cb_decision *decision, uint64_t now_usec)
{
	decision->now_usec = now_usec;
	decision->action = CB_ACTION_NONE;
	decision->plan_id = decision->group_key = decision->answer_plan_id = 0;
	decision->n_steps = decision->n_notices = decision->notices_lost = 0;
	decision->result = 0;
	decision->answer[0] = 0;
}

int cb_engine_feed(struct cb_engine *engine, const struct cb_input *input, struct cb_decision *ret)
{
	begin_decision(ret, input->now_usec);
	if (input->now_usec < engine->now_usec)
		return -EINVAL;
	engine->now_usec = input->now_usec;
	if (!engine->has_policy && input->kind != CB_INPUT_POLICY)
		return -EINVAL;
	switch (input->kind) {
	case CB_INPUT_POLICY:
		take_policy(engine, input->policy);
		return 0;
	case CB_INPUT_TOPOLOGY:
		return take_topology(engine, input->topology, ret);
	case CB_INPUT_IRQS:
		return take_irqs(engine, input->irqs);
	case CB_INPUT_SNAPSHOT:
		return take_snapshot(engine, input->snapshot, ret);
	case CB_INPUT_EVENT:
		return engine_event(engine, input->event, ret);
	case CB_INPUT_COMMAND:
		engine_command(engine, input->command, ret);
		return 0;
	case CB_INPUT_QUEUES:
		return engine_take_queues(engine, input->queues, ret);
	case CB_INPUT_OUTCOME:
		engine_plan_outcome(engine, input->outcome, ret);
		return 0;
	case _CB_INPUT_MAX:
	case _CB_INPUT_INVALID:
		break;
	}
	return -EINVAL;
}
