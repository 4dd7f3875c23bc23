/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From the engine's state to a planner problem and back to a plan: which items there are, what they want, where they may go and,
 * where they may not move at all, why.
 */

#include <string.h>

#include "engine_internal.h"

/* An interrupt on the hot CPU with less load than this is not worth a line of explanation. */
#define IRQ_NAMED_RATIO 0.005

struct group_state *engine_group_of_finding(const struct cb_engine *engine,
					    const struct cb_finding *finding)
{
	return finding->group_key ? engine_group(engine, finding->group_key) : NULL;
}

/*
 * What a worker wants, not what it got: on a full CPU its run-queue wait is time it would have used. At most one CPU per thread,
 * and what was attributed for one whose wait is unknown.
 */
double engine_wanted(const struct worker_state *worker)
{
	double load = worker->cpu_share_ratio;
	double most =
		worker->last.present & CB_WORKER_HAS_THREADS ? (double)worker->last.n_threads : 1.0;

	if (worker->present & CB_WORKER_HAS_WAIT)
		load += CB_MIN(worker->wait_per_sec.smooth, CB_MAX(most - load, 0.0));
	return load;
}

static bool in_quarantine(const struct cb_engine *engine, const struct quarantine *quarantine)
{
	return quarantine->until_usec > engine->now_usec;
}

struct cb_cpuset engine_target(const struct cb_engine *engine, const struct worker_state *worker,
			       struct cb_cpuset *ret_allowed)
{
	struct cb_cpuset target = *ret_allowed = engine_allowed(engine, worker);
	int32_t node;

	if (engine->policy.cross_node || worker->cpu_attributed < 0)
		return target;
	node = engine->topology->cpu[worker->cpu_attributed].node;
	if (node < 0)
		return target;
	CB_CPUSET_FOREACH(cpu, ret_allowed)
		if (cpu < engine->topology->n_cpu_ids && engine->topology->cpu[cpu].node != node)
			cb_cpuset_clear(&target, cpu);
	return target;
}

/* Why a worker cannot be given any other CPU than its own; NONE when it can. */
static enum cb_reject place_reject(const struct cb_engine *engine,
				   const struct worker_state *worker,
				   const struct cb_cpuset *target, const struct cb_cpuset *allowed)
{
	struct cb_cpuset here = worker->cpu_attributed >= 0 ?
					cb_cpuset_of((unsigned int)worker->cpu_attributed) :
					CB_CPUSET_EMPTY;
	struct cb_cpuset online = cb_cpuset_and(&worker->cpuset, &engine->topology->online);

	if (!cb_cpuset_empty(target) && !cb_cpuset_subset(target, &here))
		return CB_REJECT_NONE;
	if (cb_cpuset_empty(&online))
		return CB_REJECT_OFFLINE;
	if (!cb_cpuset_subset(allowed, &here))
		return CB_REJECT_OTHER_NODE;
	if (cb_cpuset_count(&online) > cb_cpuset_count(allowed) && !engine->policy.use_isolated &&
	    cb_cpuset_intersects(&online, &engine->topology->isolated))
		return CB_REJECT_ISOLATED;
	return CB_REJECT_OUTSIDE_CPUSET;
}

/* A copy of @set that items may point to; equal sets share one. */
static const struct cb_cpuset *keep_target(struct cb_engine *engine, const struct cb_cpuset *set)
{
	for (uint32_t i = engine->n_targets; i-- > 0;)
		if (cb_cpuset_equal(&engine->target[i], set))
			return &engine->target[i];
	engine->target[engine->n_targets] = *set;
	return &engine->target[engine->n_targets++];
}

/* What was moved to a single CPU may not go straight back. */
static void bar_return(const struct cb_engine *engine, const struct cb_planner_item *item,
		       struct cb_cpuset *target)
{
	int32_t barred = item->single ? engine_left_bars(engine, item->ref) : -1;

	if (barred >= 0)
		cb_cpuset_clear(target, (unsigned int)barred);
}

static double worker_item(struct cb_engine *engine, const struct worker_state *worker,
			  const struct group_state *group, struct cb_planner_item *ret)
{
	double lane_ratio;
	struct cb_cpuset allowed, target = engine_target(engine, worker, &allowed);

	*ret = (struct cb_planner_item){
		.ref = { CB_ITEM_WORKER, worker->key },
		.load_ratio = engine_wanted(worker) *
			      engine_speed(engine, (uint32_t)worker->cpu_attributed),
		.cpu = worker->cpu_attributed,
		.mask = &worker->last.mask,
		.single = group->policy.placement == CB_PLACEMENT_CORE && !engine_floats(worker),
	};
	ret->reject = place_reject(engine, worker, &target, &allowed);
	/* the widest mask that mends: among CPUs that are no better the scheduler might leave it where it is */
	if (engine_fills_cpu(engine, worker)) {
		allowed = engine_faster_places(engine, worker);
		if (!cb_cpuset_empty(&allowed))
			target = allowed;
	}
	lane_ratio = engine_lane_join(engine, group, worker, ret, &target) *
		     engine_speed(engine, (uint32_t)worker->cpu_attributed);
	ret->load_ratio += lane_ratio;
	bar_return(engine, ret, &target);
	ret->target = keep_target(engine, &target);
	if (worker->foreign)
		ret->reject = CB_REJECT_FOREIGN;
	else if (in_quarantine(engine, &worker->quarantine))
		ret->reject = CB_REJECT_QUARANTINE;
	return lane_ratio;
}

enum cb_reject engine_irq_reject(const struct cb_engine *engine, const struct irq_state *state,
				 bool feeds)
{
	if (!feeds || !cb_irq_scope_has(engine->policy.manage_interrupts,
					&engine->irqs->irq[state - engine->irq]))
		return CB_REJECT_NOT_FEEDING;
	if (engine->irqbalance)
		return CB_REJECT_IRQBALANCE;
	if (state->immovable)
		return CB_REJECT_MANAGED_IRQ;
	if (state->foreign)
		return CB_REJECT_FOREIGN;
	return in_quarantine(engine, &state->quarantine) ? CB_REJECT_QUARANTINE : CB_REJECT_NONE;
}

struct cb_cpuset engine_irq_allowed(const struct cb_engine *engine, const struct group_state *group)
{
	struct cb_cpuset allowed = *engine_usable(engine);

	if (group->policy.has_allowed)
		allowed = cb_cpuset_and(&allowed, &group->policy.allowed_cpus);
	return allowed;
}

static void irq_item(struct cb_engine *engine, uint32_t index, const struct group_state *group,
		     struct cb_planner_item *ret)
{
	const struct cb_irq_info *info = &engine->irqs->irq[index];
	const struct irq_state *state = &engine->irq[index];
	struct cb_cpuset target = engine_irq_allowed(engine, group);

	*ret = (struct cb_planner_item){
		.ref = { CB_ITEM_IRQ, info->irq },
		.load_ratio =
			state->load_ratio * engine_speed(engine, (uint32_t)state->effective_cpu),
		.cpu = state->effective_cpu,
		.mask = &info->affinity,
		.single = true,
		.reject = engine_irq_reject(engine, state, engine_group_feeds(engine, group, info)),
	};
	engine_lane_irq(engine, group, index, ret, &target);
	bar_return(engine, ret, &target);
	ret->target = keep_target(engine, &target);
}

/* Loads that are no item's, and what each CPU can give: its capacity less what the hypervisor takes. */
static void fill_cpus(struct cb_engine *engine, const struct cb_planner_problem *problem)
{
	for (uint32_t i = 0; i < engine->topology->n_cpu_ids; i++) {
		engine->floor_ratio[i] = engine->cpu[i].busy.smooth * engine_speed(engine, i);
		engine->capacity_ratio[i] = engine_capacity(engine, i);
	}
	for (uint32_t i = 0; i < problem->n_items; i++) {
		const struct cb_planner_item *item = &problem->item[i];
		double used = item->load_ratio;

		if (item->cpu < 0)
			continue;
		if (item->ref.kind == CB_ITEM_WORKER)
			used = engine_worker(engine, item->ref.key)->cpu_share_ratio *
				       engine_speed(engine, (uint32_t)item->cpu) +
			       engine->lane_ratio[i];
		engine->floor_ratio[item->cpu] = CB_MAX(engine->floor_ratio[item->cpu] - used, 0.0);
	}
}

/* What the loads vary by from window to window, see noise.h. */
double engine_hysteresis(const struct cb_engine *engine)
{
	double noise_square = 0, load_square = 0;
	uint32_t n = 0;

	ENGINE_FOREACH_CPU(cpu, &engine->topology->online, engine) {
		const struct cpu_state *state = &engine->cpu[cpu];

		noise_square += state->noise.square;
		load_square += state->taken.smooth * state->taken.smooth;
		n++;
	}
	return cb_noise_hysteresis_ratio(noise_square, load_square, n,
					 engine->policy.sample_interval_usec,
					 engine->policy.smooth_usec);
}

/* What is counted on no CPU, or on one that is gone, is no item: the kernel has it somewhere else already. */
static bool is_online(const struct cb_engine *engine, int32_t cpu)
{
	return cpu >= 0 && (uint32_t)cpu < engine->topology->n_cpu_ids &&
	       cb_cpuset_has(&engine->topology->online, (unsigned int)cpu);
}

static uint32_t fill_items(struct cb_engine *engine, const struct group_state *group,
			   int32_t hot_cpu)
{
	uint32_t n = 0;

	engine->n_targets = 0;
	for (uint32_t i = 0; i < engine->n_workers && n < ENGINE_ITEMS_MAX; i++) {
		const struct worker_state *worker = &engine->worker[i];

		if (worker->group_key != group->key || !is_online(engine, worker->cpu_attributed))
			continue;
		engine->lane_ratio[n] = worker_item(engine, worker, group, &engine->item[n]);
		n++;
	}
	/* interrupts of no importance are left out; on the hot CPU, only those that nobody would ask about */
	for (uint32_t i = 0; engine->irqs && i < engine->irqs->n && n < ENGINE_ITEMS_MAX; i++) {
		const struct irq_state *state = &engine->irq[i];
		double least = state->effective_cpu == hot_cpu ? IRQ_NAMED_RATIO :
								 engine->policy.min_item_ratio;

		if (!is_online(engine, state->effective_cpu))
			continue;
		if (state->load_ratio >= least && state->load_ratio > 0)
			irq_item(engine, i, group, &engine->item[n++]);
	}
	return n;
}

/* Nothing can mend these: every item on the CPU stays for that reason. */
static void reject_all(struct cb_engine *engine, uint32_t n_items, enum cb_reject reject)
{
	for (uint32_t i = 0; i < n_items; i++)
		if (engine->item[i].reject == CB_REJECT_NONE)
			engine->item[i].reject = reject;
}

/* A CPU that receives much and is not hot has no need to be rid of its workers. */
static void reject_workers(struct cb_engine *engine, uint32_t n_items)
{
	for (uint32_t i = 0; i < n_items; i++)
		if (engine->item[i].ref.kind == CB_ITEM_WORKER &&
		    engine->item[i].reject == CB_REJECT_NONE)
			engine->item[i].reject = CB_REJECT_NOT_HOT;
}

/* The planner may fill a free CPU with as many lanes as fit: then a plan that ends before the second of them, its loads expected anew. */
static void run_planner(struct cb_engine *engine, const struct group_state *group,
			struct cb_planner_problem *problem)
{
	struct cb_planner_result *result = &engine->result;
	uint32_t clash;

	do {
		cb_planner_run(problem, result);
		clash = engine_lane_clash(engine, group, result->step, result->n_steps);
		problem->max_steps = clash;
	} while (clash < result->n_steps);
}

void engine_plan_for(struct cb_engine *engine, const struct cb_finding *finding,
		     struct group_state *group, uint32_t max_steps, struct cb_plan *ret)
{
	struct cb_planner_problem problem = {
		.topology = engine->topology,
		.floor_ratio = engine->floor_ratio,
		.capacity_ratio = engine->capacity_ratio,
		.scratch = engine->scratch,
		.item = engine->item,
		.weights = CB_PLANNER_WEIGHTS,
		.hysteresis_ratio = engine_hysteresis(engine),
		.hot_cpu = finding->cpu,
		.max_steps = max_steps,
		.min_gain_ratio = engine->policy.min_gain_ratio,
		.min_item_ratio = engine->policy.min_item_ratio,
	};

	if (group->steer.is == CB_STEERING_LOCAL)
		problem.max_steps = CB_MIN(problem.max_steps, ENGINE_LANES_MAX);
	engine_sum_cores(engine);
	problem.n_items = fill_items(engine, group, finding->cpu);
	fill_cpus(engine, &problem);
	if (finding->kind == CB_FINDING_SATURATED)
		reject_all(engine, problem.n_items, CB_REJECT_SATURATED);
	else if (finding->kind == CB_FINDING_WORKER_BOUND)
		reject_all(engine, problem.n_items, CB_REJECT_WORKER_BOUND);
	else if (!(finding->known & CB_KNOWS(COOLEST_CPU)) ||
		 finding->busy_ratio - finding->coolest_ratio < engine->policy.cooler_by_ratio)
		reject_all(engine, problem.n_items, CB_REJECT_NO_GAIN);
	else if (finding->kind == CB_FINDING_SOFTIRQ_CONCENTRATION)
		reject_workers(engine, problem.n_items);
	run_planner(engine, group, &problem);
	engine_left_explain(engine);

	engine_plan_blank(engine, group, CB_ORIGIN_AUTO, ret);
	ret->has_finding = true;
	ret->finding = *finding;
	ret->n_steps = engine->result.n_steps;
	ret->hot_cpu = finding->cpu;
	ret->hottest_before_ratio = engine->result.hottest_before_ratio;
	ret->hottest_after_ratio = engine->result.hottest_after_ratio;
	memcpy(ret->step, engine->result.step, ret->n_steps * sizeof(ret->step[0]));
	(void)engine_lane_follow(engine, group, ret);
	engine_packets_follow(engine, group, ret);
}

void engine_keep_refusals(struct cb_engine *engine)
{
	uint32_t n = CB_MIN(engine->result.n_refusals, CB_REFUSALS_MAX - engine->n_refusals);

	memcpy(engine->refusal + engine->n_refusals, engine->result.refusal,
	       n * sizeof(engine->refusal[0]));
	engine->n_refusals += n;
}

int32_t engine_coolest_of(const struct cb_engine *engine, const struct cb_cpuset *set)
{
	int32_t coolest = -1;

	ENGINE_FOREACH_CPU(cpu, set, engine) {
		if (!cb_cpuset_has(&engine->topology->online, cpu))
			continue;
		if (coolest < 0 ||
		    engine->cpu[cpu].taken.smooth < engine->cpu[coolest].taken.smooth)
			coolest = (int32_t)cpu;
	}
	return coolest;
}
