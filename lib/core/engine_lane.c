/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Lanes. With Steering=local in place a worker, its listening socket and the interrupt that brings the connections which the kernel gives
 * that socket are one lane: they are on one CPU, and a plan that moved one of them alone would have the connections accepted elsewhere than
 * where their packets arrive. So the planner is given a lane as one item, a worker with the load of both, and its step gets steps of the
 * interrupt and of the socket for company. It counts as one move.
 *
 * A lane goes to a CPU that has none of its group, since the kernel shares connections out unevenly between two sockets of one CPU. It stays
 * where an interrupt of it may not be moved, or brings the connections of another group's lane too, or where there is none: packets of a
 * virtual interface arrive where they are sent. Where several interrupts bring much to one CPU, the biggest stays with the worker and the
 * others may go to CPUs with lanes.
 *
 * Who is moved alone all the same, by an order or by somebody else, takes its socket along (engine_steer.c), and the order's answer says so.
 */
#include <string.h>

#include "engine_internal.h"

/* An interrupt with less load than this brings next to nothing. */
#define BRINGS_RATIO 0.005
/* So many may go with one worker; and so many lanes, so that all steps fit into a plan. */
#define LANE_IRQS_MAX 4u

struct lane {
	uint32_t n; /* interrupts that bring packets there; irq[] has the first LANE_IRQS_MAX */
	uint32_t irq[LANE_IRQS_MAX];
	uint32_t n_big,
		biggest; /* those that matter for themselves; index of the one with most load */
	double load_ratio;
	bool whole; /* it can go as one */
};

static bool is_lane(const struct worker_state *worker)
{
	return worker->incoming_cpu >= 0 && worker->cpu_attributed == worker->incoming_cpu &&
	       worker->last.present & CB_WORKER_HAS_MASK &&
	       cb_cpuset_count(&worker->last.mask) == 1 &&
	       cb_cpuset_has(&worker->last.mask, (unsigned int)worker->incoming_cpu);
}

bool engine_in_lane(const struct group_state *group, const struct worker_state *worker)
{
	return group && group->steer.is == CB_STEERING_LOCAL && worker->group_key == group->key &&
	       is_lane(worker);
}

/* Does that interrupt bring what the group's socket on its CPU is given? */
static bool brings(const struct cb_engine *engine, const struct group_state *group, uint32_t index)
{
	const struct cb_irq_info *info = &engine->irqs->irq[index];

	return info->class == CB_IRQ_NETWORK && info->queue_dir != CB_QUEUE_TX &&
	       engine->irq[index].load_ratio >= BRINGS_RATIO &&
	       engine_group_feeds(engine, group, info);
}

static const struct worker_state *lane_at(const struct cb_engine *engine,
					  const struct group_state *group, int32_t cpu)
{
	if (group->steer.is != CB_STEERING_LOCAL)
		return NULL;
	for (uint32_t i = 0; i < engine->n_workers; i++)
		if (engine->worker[i].incoming_cpu == cpu &&
		    engine_in_lane(group, &engine->worker[i]))
			return &engine->worker[i];
	return NULL;
}

/* Does it bring the connections of another group's lane as well? To go with one lane it would have to leave the other. */
static bool is_shared(const struct cb_engine *engine, const struct group_state *group, int32_t cpu,
		      uint32_t index)
{
	for (uint32_t i = 0; i < engine->n_groups; i++)
		if (engine->group[i] != group && lane_at(engine, engine->group[i], cpu) &&
		    brings(engine, engine->group[i], index))
			return true;
	return false;
}

static void look_at(const struct cb_engine *engine, const struct group_state *group, int32_t cpu,
		    struct lane *ret)
{
	*ret = (struct lane){ .whole = true };
	for (uint32_t i = 0; engine->irqs && i < engine->irqs->n; i++) {
		const struct irq_state *state = &engine->irq[i];

		if (state->effective_cpu != cpu || !brings(engine, group, i))
			continue;
		if (engine_irq_reject(engine, state, true) != CB_REJECT_NONE ||
		    is_shared(engine, group, cpu, i))
			ret->whole = false;
		if (ret->n == 0 || state->load_ratio > engine->irq[ret->biggest].load_ratio)
			ret->biggest = i;
		ret->n_big += state->load_ratio >= engine->policy.min_item_ratio;
		ret->load_ratio += state->load_ratio;
		if (ret->n < LANE_IRQS_MAX)
			ret->irq[ret->n] = i;
		ret->n++;
	}
	ret->whole = ret->whole && ret->n > 0 && ret->n <= LANE_IRQS_MAX && ret->n_big <= 1;
}

/* CPUs with a lane of the group, but @but. */
static struct cb_cpuset lanes_of(const struct cb_engine *engine, const struct group_state *group,
				 int32_t but)
{
	struct cb_cpuset ret = CB_CPUSET_EMPTY;

	for (uint32_t i = 0; i < engine->n_workers; i++)
		if (engine->worker[i].group_key == group->key &&
		    engine->worker[i].incoming_cpu >= 0 && engine->worker[i].incoming_cpu != but)
			cb_cpuset_set(&ret, (unsigned int)engine->worker[i].incoming_cpu);
	return ret;
}

/* --- as items of a plan --- */

double engine_lane_join(const struct cb_engine *engine, const struct group_state *group,
			const struct worker_state *worker, struct cb_planner_item *item,
			struct cb_cpuset *target)
{
	struct cb_cpuset others, may;
	bool had_any;
	struct lane lane;

	if (!engine_in_lane(group, worker))
		return 0;
	look_at(engine, group, worker->incoming_cpu, &lane);
	item->single = true;
	if (!lane.whole) {
		if (item->reject == CB_REJECT_NONE)
			item->reject = CB_REJECT_LANE_FIXED;
		return 0;
	}
	others = lanes_of(engine, group, worker->incoming_cpu);
	may = engine_irq_allowed(engine, group);
	*target = cb_cpuset_and(target, &may);
	may = cb_cpuset_of((unsigned int)worker->incoming_cpu);
	had_any = !cb_cpuset_subset(target, &may);
	*target = cb_cpuset_andnot(target, &others);
	if (had_any && cb_cpuset_subset(target, &may) && item->reject == CB_REJECT_NONE)
		item->reject = CB_REJECT_LANE_TAKEN;
	return lane.load_ratio;
}

void engine_lane_irq(const struct cb_engine *engine, const struct group_state *group,
		     uint32_t index, struct cb_planner_item *item, struct cb_cpuset *target)
{
	const struct irq_state *state = &engine->irq[index];
	struct cb_cpuset others;
	struct lane lane;

	for (uint32_t i = 0; i < engine->n_groups; i++) {
		const struct group_state *owner = engine->group[i];

		if (!lane_at(engine, owner, state->effective_cpu) || !brings(engine, owner, index))
			continue;
		look_at(engine, owner, state->effective_cpu, &lane);
		if (owner == group && lane.whole)
			item->load_ratio = 0; /* the worker has it */
		if (owner == group && lane.n_big > 1 && lane.biggest != index &&
		    state->load_ratio >= engine->policy.min_item_ratio) {
			others = lanes_of(engine, owner, state->effective_cpu);
			*target = cb_cpuset_and(target, &others);
			continue;
		}
		if (item->reject == CB_REJECT_NONE)
			item->reject = CB_REJECT_LANE;
	}
}

bool engine_lane_keeps(const struct cb_engine *engine, uint32_t index)
{
	for (uint32_t i = 0; i < engine->n_groups; i++)
		if (lane_at(engine, engine->group[i], engine->irq[index].effective_cpu) &&
		    brings(engine, engine->group[i], index))
			return true;
	return false;
}

/* The worker whose lane the step leads somewhere else, NULL: none. */
static const struct worker_state *lane_of(const struct cb_engine *engine,
					  const struct group_state *group,
					  const struct cb_step *step)
{
	const struct worker_state *worker =
		step->item.kind == CB_ITEM_WORKER ? engine_worker(engine, step->item.key) : NULL;

	return worker && engine_in_lane(group, worker) ? worker : NULL;
}

uint32_t engine_lane_clash(const struct cb_engine *engine, const struct group_state *group,
			   const struct cb_step *step, uint32_t n)
{
	struct cb_cpuset taken = CB_CPUSET_EMPTY;

	for (uint32_t i = 0; i < n; i++) {
		if (!lane_of(engine, group, &step[i]))
			continue;
		if (cb_cpuset_intersects(&taken, &step[i].to))
			return i;
		taken = cb_cpuset_or(&taken, &step[i].to);
	}
	return n;
}

/* --- as steps --- */

static bool may_go(const struct cb_engine *engine, const struct group_state *group,
		   const struct worker_state *worker, const struct cb_cpuset *to,
		   struct lane *ret_lane)
{
	struct cb_cpuset taken = lanes_of(engine, group, worker->incoming_cpu);
	struct cb_cpuset may = engine_irq_allowed(engine, group);

	look_at(engine, group, worker->incoming_cpu, ret_lane);
	return ret_lane->whole && cb_cpuset_count(to) == 1 && cb_cpuset_subset(to, &may) &&
	       !cb_cpuset_intersects(to, &taken);
}

static void irq_steps(const struct cb_engine *engine, const struct lane *lane,
		      const struct cb_cpuset *to, struct cb_plan *plan)
{
	for (uint32_t i = 0; i < lane->n && plan->n_steps < CB_STEPS_MAX; i++) {
		const struct cb_irq_info *info = &engine->irqs->irq[lane->irq[i]];

		plan->step[plan->n_steps++] = (struct cb_step){
			.item = { CB_ITEM_IRQ, info->irq },
			.op = CB_OP_SET,
			.from = info->affinity,
			.to = *to,
			.load_ratio = engine->irq[lane->irq[i]].load_ratio,
		};
	}
}

/* What moves with its lane is not refused; what stays shows its own load, which the planner had with the worker's. */
static void tell(struct cb_engine *engine, const struct cb_plan *plan)
{
	struct cb_planner_result *result = &engine->result;
	uint32_t n = 0;

	for (uint32_t i = 0; i < result->n_refusals; i++) {
		struct cb_refusal *refusal = &result->refusal[i];
		const struct irq_state *irq = refusal->item.kind == CB_ITEM_IRQ ?
						      engine_irq_state(engine, refusal->item.key) :
						      NULL;

		if (cb_plan_step_of(plan, refusal->item))
			continue;
		if (irq && refusal->reason == CB_REJECT_LANE)
			refusal->load_ratio = irq->load_ratio;
		result->refusal[n++] = *refusal;
	}
	result->n_refusals = n;
}

/* Interrupts that are moved for themselves go before the workers, so that what comes after these is the lanes' (cb_plan_in_lane()). */
static void irqs_first(struct cb_plan *plan)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < plan->n_steps; i++) {
		struct cb_step step = plan->step[i];

		if (step.item.kind != CB_ITEM_IRQ)
			continue;
		memmove(&plan->step[n + 1], &plan->step[n], (i - n) * sizeof(step));
		plan->step[n++] = step;
	}
}

bool engine_lane_follow(struct cb_engine *engine, const struct group_state *group,
			struct cb_plan *plan)
{
	uint32_t n = plan->n_steps;
	bool whole = true;
	struct lane lane;

	if (group->steer.is != CB_STEERING_LOCAL)
		return true;
	irqs_first(plan);
	/* interrupts first, so that the sockets are one block at the end */
	for (int sockets = 0; sockets <= 1; sockets++)
		for (uint32_t i = 0; i < n && plan->n_steps < CB_STEPS_MAX; i++) {
			const struct worker_state *worker = lane_of(engine, group, &plan->step[i]);

			if (!worker)
				continue;
			if (!may_go(engine, group, worker, &plan->step[i].to, &lane)) {
				whole = false;
				continue;
			}
			if (!sockets) {
				irq_steps(engine, &lane, &plan->step[i].to, plan);
				continue;
			}
			plan->step[plan->n_steps++] = (struct cb_step){
				.item = { CB_ITEM_LISTENER, worker->key },
				.op = CB_OP_SET,
				.from = cb_cpuset_of((unsigned int)worker->incoming_cpu),
				.to = plan->step[i].to,
			};
		}
	tell(engine, plan);
	return whole;
}

/* Was it moved with a worker, and not for itself? Then it comes after the workers. */
static bool follows_worker(const struct cb_plan *plan, struct cb_item_ref irq)
{
	const struct cb_step *end = cb_plan_step_of(plan, irq);

	for (const struct cb_step *step = plan->step; end && step < end; step++)
		if (step->item.kind == CB_ITEM_WORKER)
			return true;
	return false;
}

bool cb_plan_in_lane(const struct cb_plan *plan, const struct cb_step *step)
{
	bool is_irq = step->item.kind == CB_ITEM_IRQ;

	if (plan->n_steps == 0 || cb_item_steers(plan->step[0].item.kind) ||
	    (is_irq && !follows_worker(plan, step->item)))
		return false;
	for (uint32_t i = 0; i < plan->n_steps; i++) {
		const struct cb_step *other = &plan->step[i];

		if (other->item.kind != CB_ITEM_LISTENER)
			continue;
		if (is_irq ? cb_cpuset_equal(&step->to, &other->to) :
			     step->item.key == other->item.key &&
				     (step->item.kind == CB_ITEM_WORKER ||
				      step->item.kind == CB_ITEM_LISTENER))
			return true;
	}
	return false;
}
