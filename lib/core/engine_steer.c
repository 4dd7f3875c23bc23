/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Steering: where the new connections of a group go. A plan of it has one step for each worker and is proved or undone as any
 * other; undone is always the kernel's hash, and what had been kept before is put in place again after that.
 *
 * Shares follow the speed of each worker: of the time that it wants a CPU, the part in which it has one. A batch job on its
 * CPU halves that, whoever started it; an idle neighbour leaves it at one. An accept queue that fills takes up to half of that away. Workers that are equally fast and unequally busy
 * have unequal connections: then shares go against what they use. No step changes a share by more than STEP_MAX, so
 * that shares follow slowly, and none but a drained worker gets less than LEAST of an even one.
 *
 * What is in place names sockets and processes. When these change the host takes it away, and it comes again by slot, without a new
 * proof: a worker that took another's place does the same work.
 */
#include <stdio.h>
#include <string.h>

#include "cpubalance/scan.h"
#include "engine_internal.h"

#define STEP_MAX     2.0   /* a share grows or shrinks by this at most in one plan */
#define LEAST	     0.125 /* of an even share */
#define WORTH	     0.15  /* relative change of one share that is worth a plan */
#define SKEWED	     1.25  /* the busiest worker over the mean */
#define BUSY_MIN     0.05  /* CPUs that a worker wants at least, for its speed to be known */
#define FULL_MOST    0.5   /* of its accept queue in use: more does not count */
#define OTHERS_RATIO 0.25  /* of a hot CPU, by what no plan can move: steering goes first */
#define AGAIN_USEC   (3 * CB_USEC_PER_SEC) /* workers come and go one by one */
#define RETRY_USEC   (5 * CB_USEC_PER_SEC)
#define RETRIES_MAX  24u
#define EVEN_USEC    (60 * CB_USEC_PER_SEC)

/* The workers of a group in the order of their slots. Returns how many, UINT32_MAX when a plan cannot hold them. */
static uint32_t workers_of(struct cb_engine *engine, const struct group_state *group,
			   struct worker_state *ret[CB_STEPS_MAX])
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < engine->n_workers; i++) {
		if (engine->worker[i].group_key != group->key)
			continue;
		if (n == CB_STEPS_MAX)
			return UINT32_MAX;
		ret[n++] = &engine->worker[i];
	}
	return n;
}

static enum cb_reject countable(struct worker_state *const *worker, uint32_t n)
{
	for (uint32_t i = 0; n != UINT32_MAX && i < n; i++)
		if (worker[i]->tid != 0)
			return CB_REJECT_THREADS;
	return n == UINT32_MAX ? CB_REJECT_TOO_MANY : n < 2 ? CB_REJECT_ALONE : CB_REJECT_NONE;
}

/* --- shares --- */

/* Whole shares in these proportions; who has any weight gets at least one. */
static void round_shares(const double *weight, uint32_t n, uint32_t *ret)
{
	double sum = 0, carry = 0;

	for (uint32_t i = 0; i < n; i++)
		sum += weight[i];
	for (uint32_t i = 0; i < n; i++) {
		double exact = sum > 0 ? weight[i] / sum * CB_SHARES + carry : 0;

		ret[i] = exact > 0 ? (uint32_t)(exact + 0.5) : 0;
		if (weight[i] > 0 && ret[i] == 0)
			ret[i] = 1;
		carry = weight[i] > 0 ? exact - ret[i] : carry;
	}
}

static double share_now(const struct group_state *group, const struct worker_state *worker,
			uint32_t n)
{
	if (group->steer.is == CB_STEERING_WEIGHTED && worker->share > 0)
		return worker->share;
	return (double)CB_SHARES / n;
}

static double demand(const struct worker_state *worker)
{
	return worker->cpu.smooth + worker->wait_per_sec.smooth;
}

static double mean_demand(struct worker_state *const *worker, uint32_t n)
{
	double sum = 0;

	for (uint32_t i = 0; i < n; i++)
		sum += demand(worker[i]);
	return sum / n;
}

static double speed(const struct cb_engine *engine, const struct worker_state *worker)
{
	double wants = demand(worker), steal = 0;

	if (worker->cpu_attributed >= 0 &&
	    (uint32_t)worker->cpu_attributed < engine->topology->n_cpu_ids)
		steal = engine->cpu[worker->cpu_attributed].steal.smooth;
	if (!(worker->present & CB_WORKER_HAS_WAIT) || wants < BUSY_MIN)
		return 1 - steal;
	return worker->cpu.smooth / wants * (1 - steal);
}

/* What it may be given: a queue that fills says that it does not keep up, whatever CPU time it gets. */
static double headroom(const struct cb_engine *engine, const struct worker_state *worker)
{
	double full = worker->queue.usec ? CB_MIN(worker->queue.full.smooth, FULL_MOST) : 0;

	return speed(engine, worker) * (1 - full);
}

static double mean_use(struct worker_state *const *worker, uint32_t n)
{
	double sum = 0;

	for (uint32_t i = 0; i < n; i++)
		sum += worker[i]->cpu.smooth;
	return sum / n;
}

/* Shares that the headroom asks for, one plan's step away from what they are. False: they are about right as they are. */
static bool want_shares(const struct cb_engine *engine, const struct group_state *group,
			struct worker_state *const *worker, uint32_t n, uint32_t *ret)
{
	double weight[CB_STEPS_MAX], now[CB_STEPS_MAX], mean = mean_use(worker, n);
	double even = (double)CB_SHARES / n, sum = 0, busiest = 0, slowest = 1, fastest = 0;
	bool differs = false;

	for (uint32_t i = 0; i < n; i++) {
		now[i] = share_now(group, worker[i], n);
		weight[i] = headroom(engine, worker[i]);
		sum += weight[i];
		slowest = CB_MIN(slowest, weight[i]);
		fastest = CB_MAX(fastest, weight[i]);
		busiest = CB_MAX(busiest, worker[i]->cpu.smooth);
	}
	for (uint32_t i = 0; i < n; i++)
		weight[i] = sum > 0 ? weight[i] / sum * CB_SHARES : even;
	/* equally fast, unequally busy */
	if (fastest < slowest * (1 + WORTH) && mean > BUSY_MIN && busiest > SKEWED * mean)
		for (uint32_t i = 0; i < n; i++)
			weight[i] = now[i] * mean / CB_MAX(worker[i]->cpu.smooth, mean / 4);
	for (uint32_t i = 0; i < n; i++) {
		weight[i] = CB_MAX(CB_MIN(weight[i], now[i] * STEP_MAX), now[i] / STEP_MAX);
		weight[i] = worker[i]->drained ? 0 : CB_MAX(weight[i], even * LEAST);
		differs = differs || (!worker[i]->drained && (weight[i] > now[i] * (1 + WORTH) ||
							      weight[i] * (1 + WORTH) < now[i]));
	}
	round_shares(weight, n, ret);
	return differs;
}

/* --- plans --- */

static void share_steps(const struct group_state *group, struct worker_state *const *worker,
			uint32_t n, const uint32_t *share, struct cb_plan *ret)
{
	ret->n_steps = n;
	for (uint32_t i = 0; i < n; i++)
		ret->step[i] = (struct cb_step){
			.item = { CB_ITEM_SHARE, worker[i]->key },
			.op = CB_OP_SET,
			.load_ratio = worker[i]->cpu_share_ratio,
			.share_from = (uint32_t)share_now(group, worker[i], n),
			.share_to = share[i],
		};
	for (uint32_t i = 0; i < n; i++)
		if (group->steer.is == CB_STEERING_WEIGHTED)
			ret->step[i].share_from = worker[i]->share;
}

static struct cb_cpuset cpu_or_none(int32_t cpu)
{
	return cpu >= 0 ? cb_cpuset_of((unsigned int)cpu) : CB_CPUSET_EMPTY;
}

static enum cb_reject lane_steps(struct worker_state *const *worker, uint32_t n,
				 struct cb_plan *ret)
{
	struct cb_cpuset taken = CB_CPUSET_EMPTY;

	for (uint32_t i = 0; i < n; i++) {
		unsigned int cpu = cb_cpuset_first(&worker[i]->last.mask);

		if (cb_cpuset_count(&worker[i]->last.mask) != 1)
			return CB_REJECT_NOT_PINNED;
		if (cb_cpuset_has(&taken, cpu))
			return CB_REJECT_SHARED_CPU;
		cb_cpuset_set(&taken, cpu);
		ret->step[i] = (struct cb_step){
			.item = { CB_ITEM_LISTENER, worker[i]->key },
			.op = CB_OP_SET,
			.from = cpu_or_none(worker[i]->incoming_cpu),
			.to = cb_cpuset_of(cpu),
			.load_ratio = worker[i]->cpu_share_ratio,
		};
	}
	ret->n_steps = n;
	return CB_REJECT_NONE;
}

/* Back to the kernel's hash. */
static void restore_steps(struct cb_engine *engine, const struct group_state *group,
			  struct cb_plan *ret)
{
	struct worker_state *worker[CB_STEPS_MAX];
	uint32_t n = workers_of(engine, group, worker);
	bool lanes = group->steer.is == CB_STEERING_LOCAL;

	ret->n_steps = n == UINT32_MAX ? 0 : n;
	for (uint32_t i = 0; i < ret->n_steps; i++)
		ret->step[i] = (struct cb_step){
			.item = { lanes ? CB_ITEM_LISTENER : CB_ITEM_SHARE, worker[i]->key },
			.op = CB_OP_RESTORE,
			.from = lanes ? cpu_or_none(worker[i]->incoming_cpu) : CB_CPUSET_EMPTY,
			.share_from = worker[i]->share,
		};
}

bool engine_steer_first(const struct cb_engine *engine, const struct cb_finding *finding)
{
	const struct cpu_state *cpu = finding->cpu >= 0 ? &engine->cpu[finding->cpu] : NULL;

	return !cpu || cpu->busy.smooth - cpu->workers_ratio - cpu->irqs_ratio >= OTHERS_RATIO;
}

enum cb_reject engine_steer_for(struct cb_engine *engine, const struct cb_finding *finding,
				struct group_state *group, struct cb_plan *ret)
{
	struct worker_state *worker[CB_STEPS_MAX];
	uint32_t share[CB_STEPS_MAX], n = workers_of(engine, group, worker);
	enum cb_reject reject = countable(worker, n);

	engine_plan_blank(engine, group, CB_ORIGIN_AUTO, ret);
	if (group->policy.steering != CB_STEERING_WEIGHTED)
		return CB_REJECT_NOT_STEERED;
	if (reject != CB_REJECT_NONE)
		return reject;
	if (group->steer.ordered)
		return CB_REJECT_ORDERED;
	if (group->steer.again_usec != 0)
		return CB_REJECT_QUIET; /* what was kept comes again first */
	if (mean_demand(worker, n) < BUSY_MIN)
		return CB_REJECT_TOO_SMALL;
	if (group->steer.quarantine.until_usec > engine->now_usec)
		return group->steer.reject != CB_REJECT_NONE ? group->steer.reject :
							       CB_REJECT_QUARANTINE;
	if (!want_shares(engine, group, worker, n, share))
		return CB_REJECT_EVEN;
	ret->has_finding = true;
	ret->finding = *finding;
	ret->hot_cpu = finding->cpu;
	share_steps(group, worker, n, share, ret);
	/* what its workers there want, in proportion to what they will be given */
	for (uint32_t i = 0; i < n; i++) {
		if (worker[i]->cpu_attributed != finding->cpu)
			continue;
		ret->hottest_before_ratio += demand(worker[i]);
		ret->hottest_after_ratio += demand(worker[i]) * ret->step[i].share_to /
					    CB_MAX(ret->step[i].share_from, 1u);
	}
	return CB_REJECT_NONE;
}

/* --- what needs no finding --- */

static bool may(const struct cb_engine *engine, const struct group_state *group)
{
	const struct cb_finding always = { .confirmed = true };
	uint32_t max_steps;

	return engine_gate(engine, group, &always, &max_steps) == CB_REJECT_NONE;
}

/*
 * What was kept, in proportion, for the workers that are there now: each its own by its slot; a worker in a new slot gets what one that
 * has gone had, and an even share where there is none left.
 */
static void inherit(struct steer_state *steer, struct worker_state *const *worker, uint32_t n,
		    double *ret)
{
	bool taken[CB_STEPS_MAX] = { false };

	for (uint32_t i = 0; i < n; i++) {
		ret[i] = 0;
		for (uint32_t k = 0; k < steer->n_kept; k++)
			if (steer->kept_slot[k] == worker[i]->slot && !taken[k]) {
				taken[k] = true;
				ret[i] = steer->kept_share[k];
			}
	}
	for (uint32_t i = 0; i < n; i++)
		for (uint32_t k = 0; k < steer->n_kept && ret[i] <= 0; k++)
			if (!taken[k]) {
				taken[k] = true;
				ret[i] = steer->kept_share[k];
				steer->kept_slot[k] = worker[i]->slot;
			}
	for (uint32_t i = 0; i < n; i++)
		ret[i] = ret[i] > 0 ? ret[i] : (double)CB_SHARES / n;
}

static void again(struct cb_engine *engine, struct group_state *group, struct cb_plan *ret)
{
	struct worker_state *worker[CB_STEPS_MAX];
	uint32_t share[CB_STEPS_MAX], n = workers_of(engine, group, worker);
	double weight[CB_STEPS_MAX];

	engine_plan_blank(engine, group, CB_ORIGIN_AUTO, ret);
	ret->unjudged = true;
	if (countable(worker, n) != CB_REJECT_NONE)
		return;
	if (group->steer.kept == CB_STEERING_LOCAL) {
		if (lane_steps(worker, n, ret) != CB_REJECT_NONE)
			ret->n_steps = 0;
		return;
	}
	inherit(&group->steer, worker, n, weight);
	for (uint32_t i = 0; i < n; i++)
		weight[i] = worker[i]->drained ? 0 : weight[i];
	round_shares(weight, n, share);
	share_steps(group, worker, n, share, ret);
}

/* Shares for which there has been no reason for a while: the kernel's own are as good. */
static bool is_over(struct cb_engine *engine, struct group_state *group)
{
	struct worker_state *worker[CB_STEPS_MAX];
	uint32_t n = workers_of(engine, group, worker);
	double least = 1e9, most = 0;

	if (group->steer.is != CB_STEERING_WEIGHTED || group->steer.ordered ||
	    countable(worker, n) != CB_REJECT_NONE)
		return false;
	for (uint32_t i = 0; i < n; i++) {
		if (worker[i]->drained)
			return false;
		least = CB_MIN(least, headroom(engine, worker[i]));
		most = CB_MAX(most, headroom(engine, worker[i]));
	}
	if (mean_demand(worker, n) < BUSY_MIN || most > least * (1 + WORTH)) {
		group->steer.even_since_usec = 0;
		return false;
	}
	if (group->steer.even_since_usec == 0)
		group->steer.even_since_usec = engine->now_usec;
	return engine->now_usec - group->steer.even_since_usec >= EVEN_USEC;
}

/* Lanes whose workers were moved alone: their sockets go after them, or are anybody's where that cannot be. */
static bool follow_workers(struct cb_engine *engine, struct group_state *group, struct cb_plan *ret)
{
	struct steer_state *steer = &group->steer;
	struct worker_state *worker[CB_STEPS_MAX];
	uint32_t n = workers_of(engine, group, worker);
	bool astray = false;

	for (uint32_t i = 0; n != UINT32_MAX && i < n; i++)
		astray = astray || (worker[i]->incoming_cpu >= 0 &&
				    worker[i]->last.present & CB_WORKER_HAS_MASK &&
				    (cb_cpuset_count(&worker[i]->last.mask) != 1 ||
				     !cb_cpuset_has(&worker[i]->last.mask,
						    (unsigned int)worker[i]->incoming_cpu)));
	if (!astray || steer->astray_usec == 0)
		steer->astray_usec = astray ? engine->now_usec : 0;
	if (!astray || engine->now_usec - steer->astray_usec < AGAIN_USEC)
		return false;
	steer->astray_usec = 0;
	engine_plan_blank(engine, group, CB_ORIGIN_AUTO, ret);
	ret->unjudged = true;
	/* what was refused when it was written is not tried again and again */
	if (steer->reject == CB_REJECT_NONE || steer->quarantine.until_usec <= engine->now_usec)
		steer->reject = lane_steps(worker, n, ret);
	if (steer->reject != CB_REJECT_NONE)
		restore_steps(engine, group, ret);
	return ret->n_steps > 0;
}

/* A plan for this group now, if there is one. */
static bool next_plan(struct cb_engine *engine, struct group_state *group, struct cb_plan *ret)
{
	struct steer_state *steer = &group->steer;
	struct worker_state *worker[CB_STEPS_MAX];
	uint32_t n;

	if (steer->is != CB_STEERING_NONE &&
	    (steer->is != group->policy.steering || steer->given_up)) {
		engine_plan_blank(engine, group, CB_ORIGIN_AUTO, ret);
		ret->unjudged = true;
		restore_steps(engine, group, ret);
		return ret->n_steps > 0;
	}
	if (engine_mode(engine, group) == CB_MODE_OBSERVE || engine->totals.paused)
		return false;
	if (steer->again_usec != 0) {
		if (engine->now_usec < steer->again_usec || steer->kept == CB_STEERING_NONE)
			return false;
		steer->again_usec = 0;
		again(engine, group, ret);
		return ret->n_steps > 0;
	}
	if (steer->is == CB_STEERING_LOCAL && follow_workers(engine, group, ret))
		return true;
	if (!may(engine, group))
		return false;
	engine_plan_blank(engine, group, CB_ORIGIN_AUTO, ret);
	if (is_over(engine, group)) {
		ret->unjudged = true;
		restore_steps(engine, group, ret);
		return ret->n_steps > 0;
	}
	n = workers_of(engine, group, worker);
	if (group->policy.steering != CB_STEERING_LOCAL || steer->ordered ||
	    steer->is != CB_STEERING_NONE || steer->quarantine.until_usec > engine->now_usec ||
	    group->cpu.smooth < BUSY_MIN)
		return false;
	steer->reject = countable(worker, n);
	if (steer->reject == CB_REJECT_NONE)
		steer->reject = lane_steps(worker, n, ret);
	return steer->reject == CB_REJECT_NONE;
}

void engine_steer_tick(struct cb_engine *engine, struct cb_decision *decision)
{
	struct cb_plan plan;

	for (uint32_t i = 0; i < engine->n_groups && !engine->flight.active; i++) {
		struct group_state *group = engine->group[i];

		if (!next_plan(engine, group, &plan))
			continue;
		engine_plan_begin(engine, &plan,
				  !plan.unjudged && engine_mode(engine, group) == CB_MODE_ADVISE,
				  engine->now_usec, decision);
	}
}

/* --- what became of it --- */

void engine_steer_written(struct cb_engine *engine, const struct cb_step *step, bool placed)
{
	struct worker_state *worker = engine_worker(engine, step->item.key);
	struct group_state *group = worker ? engine_group(engine, worker->group_key) : NULL;

	if (!group)
		return;
	if (step->item.kind == CB_ITEM_SHARE) {
		worker->share = placed ? step->share_to : 0;
		group->steer.is = placed ? CB_STEERING_WEIGHTED : CB_STEERING_NONE;
	} else {
		worker->incoming_cpu = placed ? (int32_t)cb_cpuset_first(&step->to) : -1;
		group->steer.is = placed ? CB_STEERING_LOCAL : CB_STEERING_NONE;
	}
	group->steer.even_since_usec = 0;
}

void engine_steer_refused(struct cb_engine *engine, const struct cb_step *step)
{
	const struct worker_state *worker = engine_worker(engine, step->item.key);
	struct group_state *group = worker ? engine_group(engine, worker->group_key) : NULL;

	if (group && step->reject != CB_REJECT_NONE)
		group->steer.reject = step->reject;
}

/* What a drained worker had before is what it gets when that is over. */
static void remember(struct cb_engine *engine, struct group_state *group,
		     const struct cb_plan *plan)
{
	struct steer_state *steer = &group->steer;
	uint32_t n = 0;

	steer->kept = plan->step[0].item.kind == CB_ITEM_SHARE ? CB_STEERING_WEIGHTED :
								 CB_STEERING_LOCAL;
	steer->reject = CB_REJECT_NONE;
	steer->n_again = 0;
	for (uint32_t i = 0; i < plan->n_steps; i++) {
		const struct worker_state *worker = engine_worker(engine, plan->step[i].item.key);

		if (worker && worker->drained)
			continue;
		steer->kept_slot[n] = worker ? worker->slot : UINT32_MAX;
		steer->kept_share[n++] = plan->step[i].share_to;
	}
	steer->n_kept = n;
}

static bool in_place(const struct cb_plan *plan)
{
	for (uint32_t i = 0; i < plan->n_steps; i++)
		if (plan->step[i].state == CB_STEP_DONE)
			return true;
	return false;
}

/* An order that could not be carried out leaves nobody drained. */
static void take_drain_back(struct cb_engine *engine, const struct cb_plan *plan)
{
	for (uint32_t i = 0;
	     plan->origin == CB_ORIGIN_OPERATOR && plan->unjudged && i < plan->n_steps; i++) {
		struct worker_state *worker = engine_worker(engine, plan->step[i].item.key);

		if (worker && worker->share == 0)
			worker->drained = false;
	}
}

void engine_steer_ended(struct cb_engine *engine, const struct cb_plan *plan)
{
	struct group_state *group = engine_group(engine, plan->group_key);
	struct steer_state *steer;

	if (!group || !engine_plan_steers(plan))
		return;
	steer = &group->steer;
	if (plan->step[0].op == CB_OP_RESTORE) {
		steer->kept = CB_STEERING_NONE;
		steer->given_up = false;
		return;
	}
	if (in_place(plan)) {
		/* a drain is the operator's alone: what had been kept is what comes after it */
		if (!plan->unjudged)
			remember(engine, group, plan);
		else
			steer->n_again = 0;
		return;
	}
	take_drain_back(engine, plan);
	/* an order is not over because the workers changed while it was looked at */
	if (plan->origin == CB_ORIGIN_OPERATOR && !plan->unjudged &&
	    plan->judgement.verdict == CB_VERDICT_VOID &&
	    group->policy.steering != CB_STEERING_NONE) {
		remember(engine, group, plan);
		engine_steer_workers_changed(engine, group);
		return;
	}
	if (plan->judgement.verdict == CB_VERDICT_FAILED && steer->reject != CB_REJECT_NONE)
		steer->quarantine.until_usec = engine->now_usec + engine->policy.quarantine_usec;
	if (steer->kept == CB_STEERING_NONE || plan->judgement.verdict == CB_VERDICT_WITHDRAWN)
		return;
	/* sockets of workers that are on their way out: a little later */
	if (++steer->n_again <= RETRIES_MAX) {
		steer->again_usec = engine->now_usec + RETRY_USEC;
		return;
	}
	/* half of it may be in place, for workers of before */
	steer->kept = CB_STEERING_NONE;
	steer->given_up = true;
}

void engine_steer_forget(struct cb_engine *engine, struct group_state *group)
{
	group->steer = (struct steer_state){ .quarantine = group->steer.quarantine };
	for (uint32_t i = 0; i < engine->n_workers; i++)
		if (engine->worker[i].group_key == group->key) {
			engine->worker[i].share = 0;
			engine->worker[i].drained = false;
			engine->worker[i].incoming_cpu = -1;
		}
}

void engine_steer_workers_changed(struct cb_engine *engine, struct group_state *group)
{
	if (group->steer.kept == CB_STEERING_NONE)
		return;
	group->steer.again_usec = engine->now_usec + AGAIN_USEC;
	group->steer.n_again = 0;
}

void engine_steer_lost(struct cb_engine *engine, struct group_state *group)
{
	group->steer.is = CB_STEERING_NONE;
	for (uint32_t i = 0; i < engine->n_workers; i++)
		if (engine->worker[i].group_key == group->key) {
			engine->worker[i].share = 0;
			engine->worker[i].incoming_cpu = -1;
		}
	engine_disturb(engine, group);
	engine_steer_workers_changed(engine, group);
}

void engine_steer_policy(struct cb_engine *engine, struct group_state *group,
			 struct cb_decision *decision)
{
	struct flight *flight = &engine->flight;

	if (group->policy.steering == group->steer.is ||
	    (group->steer.is == CB_STEERING_NONE && group->steer.kept == CB_STEERING_NONE))
		return;
	/* what is in place goes with the next tick that may */
	group->steer.kept = CB_STEERING_NONE;
	if (flight->active && flight->plan.group_key == group->key &&
	    engine_plan_has_sockets(&flight->plan) &&
	    (flight->plan.state == CB_PLAN_SETTLING || flight->plan.state == CB_PLAN_VERIFYING))
		engine_plan_undo(engine, CB_VERDICT_VOID, "Steering= was changed", decision);
}

/* --- orders --- */

/* "1:2:3:4", a number for each worker. */
static bool parse_shares(const char *text, uint32_t n, double *ret)
{
	struct cb_scan s = CB_SCAN(text, strlen(text));
	double sum = 0;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t number;

		if ((i > 0 && !cb_scan_char(&s, ':')) || !cb_scan_u32(&s, &number) || number < 1 ||
		    number > CB_SHARES)
			return false;
		ret[i] = number;
		sum += number;
	}
	return cb_scan_done(&s) && sum > 0;
}

enum cb_reject engine_steer_order(struct cb_engine *engine, struct group_state *group,
				  const struct cb_command *command, struct cb_plan *ret)
{
	struct worker_state *worker[CB_STEPS_MAX];
	uint32_t share[CB_STEPS_MAX], n = workers_of(engine, group, worker);
	double weight[CB_STEPS_MAX];
	enum cb_reject reject = countable(worker, n);

	engine_plan_blank(engine, group, CB_ORIGIN_OPERATOR, ret);
	if (command->steering == CB_STEERING_NONE) {
		group->steer.ordered = true;
		ret->unjudged = true;
		restore_steps(engine, group, ret);
		return CB_REJECT_NONE;
	}
	if (group->policy.steering != command->steering)
		return CB_REJECT_NOT_STEERED;
	if (reject != CB_REJECT_NONE)
		return reject;
	if (command->steering == CB_STEERING_LOCAL)
		return lane_steps(worker, n, ret);
	if (!command->shares[0]) {
		group->steer.ordered = false;
		if (!want_shares(engine, group, worker, n, share))
			return CB_REJECT_EVEN;
	} else {
		if (!parse_shares(command->shares, n, weight))
			return _CB_REJECT_INVALID;
		for (uint32_t i = 0; i < n; i++)
			weight[i] = worker[i]->drained ? 0 : weight[i];
		round_shares(weight, n, share);
	}
	group->steer.ordered = command->shares[0] != 0;
	share_steps(group, worker, n, share, ret);
	return CB_REJECT_NONE;
}

enum cb_reject engine_drain_order(struct cb_engine *engine, struct worker_state *worker, bool drain,
				  struct cb_plan *ret)
{
	struct group_state *group = engine_group(engine, worker->group_key);
	struct worker_state *all[CB_STEPS_MAX];
	uint32_t n = workers_of(engine, group, all), n_left = 0;
	enum cb_reject reject = countable(all, n);

	if (group->policy.steering != CB_STEERING_WEIGHTED)
		return CB_REJECT_NOT_STEERED;
	if (reject != CB_REJECT_NONE)
		return reject;
	for (uint32_t i = 0; i < n; i++)
		n_left += all[i] != worker && !all[i]->drained;
	if (drain && n_left == 0)
		return CB_REJECT_ALONE;
	worker->drained = drain;
	again(engine, group, ret);
	ret->origin = CB_ORIGIN_OPERATOR;
	/* the last drain is over, and nothing had been kept before the first */
	if (!drain && n_left == n - 1 && group->steer.kept == CB_STEERING_NONE)
		restore_steps(engine, group, ret);
	return CB_REJECT_NONE;
}
