/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * First places. A worker that is started again is pinned by its service where its predecessor was pinned; a new one, or a new interrupt
 * of an interface, lands wherever it lands. To wait until that shows as a hot CPU, and then for a baseline, would cost a minute or two of
 * what was known before.
 *
 *  - Who comes back to where a worker was that had been given another place gets that place, as soon as it has been seen. It was
 *    kept by a verdict, and who takes another's place does the same work.
 *  - Who comes to a CPU that is hot with it, by what the others of its group want, gets the widest mask that it may have or, where it
 *    has to be one CPU, the coolest. In Mode=auto only, AGAIN_USEC after it came, so that who has just gone is not counted there.
 *
 * Neither is judged: there is no time before with the same workers that the time after could be compared with. What it is worth shows like
 * everything else: a CPU that gets hot by it is planned for, and that is judged. Neither is a move of the hour's budget; who dies
 * young hands nothing on, and of the second kind there is one plan per CooldownSec= and group, so that a crash loop is not followed.
 */

#include <stdlib.h>

#include "engine_internal.h"

/* So long after it came somebody is a newcomer. */
#define NEW_USEC (60 * CB_USEC_PER_SEC)
/* Workers come and go one by one, and rates need some windows. */
#define AGAIN_USEC (3 * CB_USEC_PER_SEC)

void engine_newcomers_came(struct cb_engine *engine)
{
	engine->new_until_usec = engine->now_usec + NEW_USEC;
}

/* --- places of those who have gone --- */

static bool on_trial(const struct cb_engine *engine, uint32_t worker_key)
{
	const struct flight *flight = &engine->flight;

	for (uint32_t i = 0; i < flight->plan.n_steps && engine_plan_applied(engine); i++)
		if (flight->plan.step[i].item.kind == CB_ITEM_WORKER &&
		    flight->plan.step[i].item.key == worker_key)
			return true;
	return false;
}

void engine_newcomers_went(struct cb_engine *engine, const struct worker_state *worker)
{
	if (!worker->placed || !worker->has_set || worker->foreign ||
	    on_trial(engine, worker->key) ||
	    engine->now_usec - worker->added_usec < engine->policy.cooldown_usec)
		return;
	/* without memory, who comes waits for a finding like everybody */
	if (!engine->vacant)
		engine->vacant = calloc(VACANT_KEPT, sizeof(*engine->vacant));
	if (!engine->vacant)
		return;
	engine->vacant[engine->n_vacant++ % VACANT_KEPT] = (struct vacant){
		.group_key = worker->group_key,
		.slot = worker->slot,
		.gone_usec = engine->now_usec,
		.original = worker->original,
		.set = worker->set,
	};
}

void engine_newcomers_forget(struct cb_engine *engine, uint32_t group_key)
{
	for (uint32_t i = 0; i < CB_MIN(engine->n_vacant, VACANT_KEPT); i++)
		if (engine->vacant[i].group_key == group_key)
			engine->vacant[i].group_key = 0;
}

/* The place that a worker may take over: its slot's, else that of anybody who was pinned as it is. */
static struct vacant *vacant_for(struct cb_engine *engine, const struct worker_state *worker)
{
	struct vacant *any = NULL;

	for (uint32_t i = 0; i < CB_MIN(engine->n_vacant, VACANT_KEPT); i++) {
		struct vacant *vacant = &engine->vacant[i];

		if (vacant->group_key != worker->group_key ||
		    engine->now_usec - vacant->gone_usec > engine->policy.gone_forget_usec ||
		    !cb_cpuset_equal(&vacant->original, &worker->original))
			continue;
		if (vacant->slot == worker->slot)
			return vacant;
		any = vacant;
	}
	return any;
}

/* --- who is new --- */

static bool is_new(const struct cb_engine *engine, const struct worker_state *worker)
{
	return !worker->settled && !worker->placed && !worker->foreign &&
	       engine->now_usec - worker->added_usec < NEW_USEC &&
	       (worker->last.present & CB_WORKER_HAS_MASK) && worker->cpu_attributed >= 0;
}

static bool is_new_irq(const struct cb_engine *engine, const struct irq_state *state)
{
	return state->new_usec != 0 && engine->now_usec - state->new_usec < NEW_USEC;
}

/*
 * Started a moment ago, and not only registered: by its start, in ticks since boot. Where the machine has slept since, it looks
 * younger than it is.
 */
static bool is_young(const struct cb_engine *engine, const struct worker_state *worker)
{
	uint64_t start_usec;

	if (worker->start_ticks == 0 || engine->user_hz == 0)
		return false;
	start_usec = worker->start_ticks * (CB_USEC_PER_SEC / engine->user_hz);
	return start_usec + NEW_USEC >= worker->added_usec;
}

static void add_step(struct cb_plan *plan, struct cb_item_ref item, const struct cb_cpuset *from,
		     const struct cb_cpuset *to, double load_ratio)
{
	plan->step[plan->n_steps++] = (struct cb_step){
		.item = item,
		.op = CB_OP_SET,
		.from = *from,
		.to = *to,
		.load_ratio = load_ratio,
	};
}

/* --- to where the predecessor was --- */

static void take_over(struct cb_engine *engine, struct group_state *group, struct cb_plan *ret)
{
	for (uint32_t i = 0; i < engine->n_workers && ret->n_steps < CB_STEPS_MAX; i++) {
		struct worker_state *worker = &engine->worker[i];
		struct cb_cpuset allowed, to;
		struct vacant *vacant;

		if (worker->group_key != group->key || !is_new(engine, worker))
			continue;
		vacant = vacant_for(engine, worker);
		if (!vacant)
			continue;
		allowed = engine_allowed(engine, worker);
		to = cb_cpuset_and(&vacant->set, &allowed);
		vacant->group_key = 0;
		if (cb_cpuset_empty(&to) || cb_cpuset_equal(&to, &worker->last.mask))
			continue;
		worker->settled = true;
		add_step(ret, (struct cb_item_ref){ CB_ITEM_WORKER, worker->key },
			 &worker->last.mask, &to,
			 engine_wanted(worker) *
				 engine_speed(engine, (uint32_t)worker->cpu_attributed));
	}
}

/* --- away from a hot CPU --- */

/*
 * As engine_wanted(), but not cut to what its CPU was busy: that is smoothed, and lags behind where somebody has just come to share the
 * CPU.
 */
static double wants(const struct worker_state *worker)
{
	double most =
		worker->last.present & CB_WORKER_HAS_THREADS ? (double)worker->last.n_threads : 1.0;
	double load = worker->cpu.smooth;

	if (worker->present & CB_WORKER_HAS_WAIT)
		load += worker->wait_per_sec.smooth;
	return CB_MIN(load, most);
}

/* Loads without newcomers, in engine->floor_ratio, and of each core, in engine->rate_scratch. */
static void sum_loads(struct cb_engine *engine)
{
	double *load = engine->floor_ratio, *core = engine->rate_scratch;
	uint32_t n = engine->topology->n_cpu_ids;

	/* what is nobody's: with what the last second said too, so that who has just gone is not part of it */
	for (uint32_t i = 0; i < n; i++) {
		const struct cpu_state *cpu = &engine->cpu[i];

		load[i] = CB_MIN(cpu->busy.raw, cpu->busy.smooth) - cpu->irqs_ratio;
		core[i] = 0;
	}
	for (uint32_t i = 0; i < engine->n_workers; i++)
		if (engine->worker[i].cpu_attributed >= 0)
			load[engine->worker[i].cpu_attributed] -= engine->worker[i].cpu.raw;
	for (uint32_t i = 0; i < n; i++)
		load[i] = CB_MAX(load[i], 0.0) + engine->cpu[i].irqs_ratio;
	for (uint32_t i = 0; i < engine->n_workers; i++) {
		const struct worker_state *worker = &engine->worker[i];

		if (worker->cpu_attributed >= 0 && !is_new(engine, worker))
			load[worker->cpu_attributed] += wants(worker);
	}
	for (uint32_t i = 0; i < n; i++) {
		load[i] *= engine_speed(engine, i);
		if (cb_cpuset_has(&engine->topology->online, i))
			core[engine_core(engine, i)] += load[i];
	}
}

static void add_load(struct cb_engine *engine, uint32_t cpu, double work)
{
	engine->floor_ratio[cpu] += work;
	engine->rate_scratch[engine_core(engine, cpu)] += work;
}

static double level_with(const struct cb_engine *engine, uint32_t cpu, double work)
{
	double own = engine->floor_ratio[cpu];

	return engine_level(engine, cpu, own + work,
			    CB_MAX(engine->rate_scratch[engine_core(engine, cpu)] - own, 0.0));
}

/* The coolest CPU of a set with that work on it, near @home rather than far; -1 none. @ret_level: how full it would be. */
static int32_t coolest_with(const struct cb_engine *engine, const struct cb_cpuset *set,
			    double work, int32_t home, double *ret_level)
{
	double least = 0;
	int32_t best = -1;

	CB_CPUSET_FOREACH(cpu, set) {
		double level, felt;

		if (cpu >= engine->topology->n_cpu_ids)
			break;
		if (!cb_cpuset_has(&engine->topology->online, cpu))
			continue;
		felt = level = level_with(engine, cpu, work);
		if (home >= 0)
			felt *= 1 + CB_PLANNER_WEIGHTS.locality_ratio *
					    cb_topology_distance_ratio(engine->topology,
								       (unsigned int)home, cpu);
		if (best >= 0 && felt >= least)
			continue;
		least = felt;
		best = (int32_t)cpu;
		*ret_level = level;
	}
	return best;
}

/* Somebody who wants @work and may run on @mask now: where to, when it is hot there and cool elsewhere; -1 it stays. */
static int32_t better_place(const struct cb_engine *engine, const struct cb_cpuset *mask,
			    const struct cb_cpuset *target, double work, int32_t home,
			    struct cb_plan *plan)
{
	double here = 0, there = 0;
	int32_t best = coolest_with(engine, target, work, home, &there);

	if (work < engine->policy.min_item_ratio || best < 0 ||
	    coolest_with(engine, mask, work, home, &here) < 0 ||
	    here < engine->policy.hot_on_ratio || there >= engine->policy.hot_off_ratio ||
	    here - there < engine->policy.cooler_by_ratio)
		return -1;
	if (plan->n_steps == 0) {
		plan->hot_cpu = home;
		plan->hottest_before_ratio = here;
		plan->hottest_after_ratio = level_with(engine, (uint32_t)home, 0);
	}
	return best;
}

/* What the group's other workers want on average; 0 where there are none that are known. */
static double usual_work(const struct cb_engine *engine, const struct group_state *group)
{
	double sum = 0;
	uint32_t n = 0;

	for (uint32_t i = 0; i < engine->n_workers; i++) {
		const struct worker_state *worker = &engine->worker[i];

		if (worker->group_key != group->key || is_new(engine, worker) ||
		    worker->cpu_attributed < 0 || !(worker->present & CB_WORKER_HAS_CPU))
			continue;
		sum += wants(worker) * engine_speed(engine, (uint32_t)worker->cpu_attributed);
		n++;
	}
	return n ? sum / n : 0;
}

static void place_worker(struct cb_engine *engine, const struct group_state *group,
			 struct worker_state *worker, double work, struct cb_plan *ret)
{
	struct cb_cpuset allowed, target = engine_target(engine, worker, &allowed), to;
	int32_t home = worker->cpu_attributed, best = -1;

	/* a lane does not leave its interrupt behind; it is counted, since others may go */
	if (!engine_in_lane(group, worker) && !cb_cpuset_empty(&target) &&
	    !cb_cpuset_equal(&target, &worker->last.mask))
		best = better_place(engine, &worker->last.mask, &target, work, home, ret);
	add_load(engine, (uint32_t)(best >= 0 ? best : home), work);
	if (best < 0)
		return;
	to = group->policy.placement == CB_PLACEMENT_CORE && !engine_floats(worker) ?
		     cb_cpuset_of((unsigned int)best) :
		     target;
	add_step(ret, (struct cb_item_ref){ CB_ITEM_WORKER, worker->key }, &worker->last.mask, &to,
		 work);
}

static void place_workers(struct cb_engine *engine, struct group_state *group, struct cb_plan *ret)
{
	double work = usual_work(engine, group);

	for (uint32_t i = 0; i < engine->n_workers && ret->n_steps < CB_STEPS_MAX; i++) {
		struct worker_state *worker = &engine->worker[i];

		if (worker->group_key != group->key || !is_new(engine, worker) ||
		    engine->now_usec - worker->added_usec < AGAIN_USEC)
			continue;
		/* a group that starts is no newcomer, nor is one who was there before it was registered */
		if (is_young(engine, worker) &&
		    worker->added_usec - group->oldest_usec >= engine->policy.quiet_start_usec)
			place_worker(engine, group, worker, work, ret);
		worker->settled = true;
	}
}

/* What the interface's other interrupts cost on average, or what this one does where that is more. */
static double irq_work(const struct cb_engine *engine, uint32_t index)
{
	const struct irq_state *state = &engine->irq[index];
	double sum = 0, own = 0;
	uint32_t n = 0;

	for (uint32_t i = 0; i < engine->irqs->n; i++) {
		double work;

		if (engine->irq[i].first != state->first || engine->irq[i].effective_cpu < 0)
			continue;
		work = engine->irq[i].load_ratio *
		       engine_speed(engine, (uint32_t)engine->irq[i].effective_cpu);
		if (i == index)
			own = work;
		else
			sum += work;
		n += i != index;
	}
	return CB_MAX(own, n ? sum / n : 0);
}

static void place_irqs(struct cb_engine *engine, struct group_state *group, struct cb_plan *ret)
{
	struct cb_cpuset target = engine_irq_allowed(engine, group);

	for (uint32_t i = 0; engine->irqs && i < engine->irqs->n && ret->n_steps < CB_STEPS_MAX;
	     i++) {
		const struct cb_irq_info *info = &engine->irqs->irq[i];
		struct irq_state *state = &engine->irq[i];
		struct cb_cpuset here;
		double own, work;
		int32_t best;

		if (!is_new_irq(engine, state) || engine->now_usec - state->new_usec < AGAIN_USEC ||
		    state->effective_cpu < 0 || !engine_group_feeds(engine, group, info))
			continue;
		state->new_usec = 0;
		if (state->placed || engine_lane_keeps(engine, i) ||
		    engine_irq_reject(engine, state, true) != CB_REJECT_NONE)
			continue;
		here = cb_cpuset_of((unsigned int)state->effective_cpu);
		own = state->load_ratio * engine_speed(engine, (uint32_t)state->effective_cpu);
		work = irq_work(engine, i);
		add_load(engine, (uint32_t)state->effective_cpu, -own);
		best = better_place(engine, &here, &target, work, state->effective_cpu, ret);
		add_load(engine, (uint32_t)(best >= 0 ? best : state->effective_cpu), work);
		if (best < 0 || best == state->effective_cpu)
			continue;
		here = cb_cpuset_of((unsigned int)best);
		add_step(ret, (struct cb_item_ref){ CB_ITEM_IRQ, info->irq }, &info->affinity,
			 &here, work);
	}
}

static void place_new(struct cb_engine *engine, struct group_state *group, struct cb_plan *ret)
{
	if (engine_mode(engine, group) != CB_MODE_AUTO ||
	    engine->now_usec < engine->totals.quiet_until_usec ||
	    (group->placed_usec != 0 &&
	     engine->now_usec - group->placed_usec < engine->policy.cooldown_usec))
		return;
	sum_loads(engine);
	place_workers(engine, group, ret);
	place_irqs(engine, group, ret);
	if (ret->n_steps)
		group->placed_usec = engine->now_usec;
}

void engine_newcomers(struct cb_engine *engine, struct cb_decision *decision)
{
	struct cb_plan plan;

	if (engine->now_usec >= engine->new_until_usec)
		return;
	for (uint32_t i = 0; i < engine->n_groups && !engine->flight.active; i++) {
		struct group_state *group = engine->group[i];

		if (engine_mode(engine, group) == CB_MODE_OBSERVE || engine->totals.paused)
			continue;
		engine_plan_blank(engine, group, CB_ORIGIN_AUTO, &plan);
		plan.unjudged = true;
		take_over(engine, group, &plan);
		if (plan.n_steps == 0)
			place_new(engine, group, &plan);
		if (plan.n_steps)
			engine_plan_begin(engine, &plan, false, engine->now_usec, decision);
	}
}
