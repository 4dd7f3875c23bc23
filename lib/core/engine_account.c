/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What was done and how it ended: moves per hour, quarantine with doubling, the canary, and the gate that all this
 * makes for the next plan.
 */

#include <string.h>

#include "engine_internal.h"

/* Of QuarantineSec=, doubled each time: with the default of a quarter of an hour that is three futile plans in the first hour at most. */
#define FUTILE_QUARANTINES 3u
/* Of QuarantineMaxSec=: a working day. */
#define FUTILE_MAX 8u

static uint32_t within_hour(const struct cb_engine *engine, const uint64_t *ring, uint32_t size,
			    uint32_t n)
{
	uint32_t count = 0;

	for (uint32_t back = 1; back <= CB_MIN(n, size); back++) {
		if (engine->now_usec - ring[(n - back) % size] >= USEC_PER_HOUR)
			break;
		count++;
	}
	return count;
}

uint32_t engine_moves_hour(const struct cb_engine *engine, const struct group_state *group)
{
	return within_hour(engine, group->move_usec, MOVES_KEPT, group->n_moves);
}

uint32_t engine_rollbacks_hour(const struct cb_engine *engine)
{
	return within_hour(engine, engine->rollback_usec, ROLLBACKS_KEPT, engine->n_rollbacks);
}

void engine_account_move(struct cb_engine *engine, struct group_state *group,
			 const struct cb_step *step)
{
	engine->totals.n_moves[step->item.kind]++;
	if (group)
		group->move_usec[group->n_moves++ % MOVES_KEPT] = engine->now_usec;
}

static struct quarantine *quarantine_of(struct cb_engine *engine, struct cb_item_ref item)
{
	struct worker_state *worker;
	struct group_state *group;
	struct irq_state *irq;

	if (cb_item_steers(item.kind)) {
		worker = engine_worker(engine, item.key);
		group = worker ? engine_group(engine, worker->group_key) : NULL;
		return group ? &group->steer.quarantine : NULL;
	}

	if (cb_item_is_queue(item.kind)) {
		struct queue_state *queue = engine_queue_state(engine, item);

		return queue && item.kind != CB_ITEM_RFS ? &queue->quarantine : NULL;
	}
	if (item.kind == CB_ITEM_WORKER) {
		worker = engine_worker(engine, item.key);
		return worker ? &worker->quarantine : NULL;
	}
	irq = engine_irq_state(engine, item.key);
	return irq ? &irq->quarantine : NULL;
}

/* A move that did not help puts its items into quarantine, twice as long each time; one that did clears their record. */
static void account_items(struct cb_engine *engine, const struct cb_plan *plan, bool veto)
{
	enum cb_verdict verdict = plan->judgement.verdict;

	for (uint32_t i = 0; i < plan->n_steps; i++) {
		struct quarantine *quarantine = quarantine_of(engine, plan->step[i].item);

		if (!quarantine)
			continue;
		/* workers that are steered together have one record */
		if (i > 0 && cb_item_steers(plan->step[i].item.kind))
			continue;
		if (veto) {
			quarantine->span_usec = engine->policy.quarantine_max_usec;
			quarantine->until_usec = engine->now_usec + quarantine->span_usec;
		} else if (verdict == CB_VERDICT_KEPT) {
			*quarantine = (struct quarantine){ 0 };
		} else if (verdict == CB_VERDICT_ROLLED_BACK ||
			   verdict == CB_VERDICT_INCONCLUSIVE) {
			quarantine->span_usec = quarantine->span_usec ?
							quarantine->span_usec * 2 :
							engine->policy.quarantine_usec;
			quarantine->span_usec =
				CB_MIN(quarantine->span_usec, engine->policy.quarantine_max_usec);
			quarantine->until_usec = engine->now_usec + quarantine->span_usec;
		}
	}
}

/* A lane whose socket could not be moved is asked again later, not with the next plan. */
static void account_lanes(struct cb_engine *engine, const struct cb_plan *plan)
{
	for (uint32_t i = 0; !engine_plan_steers(plan) && i < plan->n_steps; i++) {
		const struct cb_step *step = &plan->step[i];
		struct worker_state *worker = step->item.kind == CB_ITEM_LISTENER ?
						      engine_worker(engine, step->item.key) :
						      NULL;

		if (worker && step->state == CB_STEP_FAILED)
			worker->quarantine.until_usec =
				CB_MAX(worker->quarantine.until_usec,
				       engine->now_usec + engine->policy.quarantine_usec);
	}
}

/*
 * Where nobody suffers there is hardly anything by which a move could be shown to help. When it was not, the heat of this group's CPUs
 * is left alone for a while, twice as long each time: else every item would get its turn, each of them would be moved and put back,
 * and the rollbacks would soon be too many for a plan that is needed.
 */
static void account_futile(const struct cb_engine *engine, struct group_state *group,
			   const struct cb_plan *plan)
{
	const struct cb_policy *policy = &engine->policy;
	enum cb_verdict verdict = plan->judgement.verdict;
	struct quarantine *futile = &group->futile;

	if (verdict == CB_VERDICT_KEPT)
		*futile = (struct quarantine){ 0 };
	if (plan->origin != CB_ORIGIN_AUTO || plan->finding.harm || verdict == CB_VERDICT_KEPT ||
	    verdict == CB_VERDICT_WITHDRAWN)
		return;
	futile->span_usec = futile->span_usec ? 2 * futile->span_usec :
						FUTILE_QUARANTINES * policy->quarantine_usec;
	futile->span_usec = CB_MIN(futile->span_usec, FUTILE_MAX * policy->quarantine_max_usec);
	futile->until_usec = engine->now_usec + futile->span_usec;
}

void engine_account_end(struct cb_engine *engine, const struct cb_plan *plan, bool veto,
			struct cb_decision *decision)
{
	enum cb_verdict verdict = plan->judgement.verdict;
	struct group_state *group = engine_group(engine, plan->group_key);
	struct cb_notice notice = { .cpu = -1, .plan_id = plan->id };

	engine->totals.n_plans[verdict]++;
	engine->totals.n_kept += verdict == CB_VERDICT_KEPT && !plan->unjudged;
	if (group && !plan->unjudged &&
	    (verdict != CB_VERDICT_WITHDRAWN ||
	     (plan->origin == CB_ORIGIN_AUTO && !plan->finding.harm)))
		group->cooldown_until_usec = engine->now_usec + engine->policy.cooldown_usec;
	if (group && !plan->unjudged)
		account_futile(engine, group, plan);
	account_items(engine, plan, veto);
	if (verdict == CB_VERDICT_FAILED)
		account_lanes(engine, plan);
	if (plan->origin != CB_ORIGIN_AUTO ||
	    (verdict != CB_VERDICT_ROLLED_BACK && verdict != CB_VERDICT_INCONCLUSIVE))
		return;
	engine->rollback_usec[engine->n_rollbacks++ % ROLLBACKS_KEPT] = engine->now_usec;
	if (engine->totals.canary ||
	    engine_rollbacks_hour(engine) <= engine->policy.rollbacks_per_hour)
		return;
	engine->totals.canary = true;
	engine_notice(decision, CB_NOTICE_CANARY, &notice,
		      "%u plans of the last hour did not help: only advising until a mode is set",
		      engine_rollbacks_hour(engine));
}

/* Counted when they are new, not at every tick that they hold. */
void engine_account_refusals(struct cb_engine *engine)
{
	uint32_t print = 2166136261u; /* FNV-1a, 32 bit */

	for (uint32_t i = 0; i < engine->n_refusals; i++) {
		const struct cb_refusal *refusal = &engine->refusal[i];
		uint32_t words[3] = { (uint32_t)refusal->item.kind, refusal->item.key,
				      (uint32_t)refusal->reason };

		for (uint32_t j = 0; j < CB_ARRAY_SIZE(words); j++)
			print = (print ^ words[j]) * 16777619u;
	}
	if (print == engine->refusals_told)
		return;
	engine->refusals_told = print;
	for (uint32_t i = 0; i < engine->n_refusals; i++)
		engine->totals.n_rejects[engine->refusal[i].reason]++;
}

/* Largest number of steps of a plan, whatever of the hour's budget is left. */
static uint32_t steps_of_plan(const struct cb_engine *engine)
{
	const struct cb_policy *policy = &engine->policy;
	uint32_t steps = policy->plan_steps;

	if (engine->totals.n_kept >= 3)
		steps = CB_MAX(steps, policy->plan_steps_trusted);
	return CB_MIN(steps, CB_STEPS_MAX);
}

bool engine_budget_binds(const struct cb_engine *engine, uint32_t max_steps)
{
	return max_steps < steps_of_plan(engine);
}

enum cb_reject engine_gate(const struct cb_engine *engine, const struct group_state *group,
			   const struct cb_finding *finding, uint32_t *ret_max_steps)
{
	const struct cb_policy *policy = &engine->policy;
	uint32_t spent = engine_moves_hour(engine, group);
	uint32_t left = policy->moves_per_hour > spent ? policy->moves_per_hour - spent : 0;

	*ret_max_steps = steps_of_plan(engine);
	if (engine_mode(engine, group) == CB_MODE_OBSERVE)
		return CB_REJECT_OBSERVE;
	if (engine->totals.paused)
		return CB_REJECT_PAUSED;
	if (!finding->confirmed)
		return CB_REJECT_NOT_CONFIRMED;
	if (engine->flight.active)
		return CB_REJECT_PLAN_IN_FLIGHT;
	if (engine->now_usec < CB_MAX(engine->totals.quiet_until_usec, group->quiet_until_usec))
		return CB_REJECT_QUIET;
	if (engine->now_usec < group->cooldown_until_usec)
		return CB_REJECT_COOLDOWN;
	if (!finding->harm && engine->now_usec < group->futile.until_usec)
		return CB_REJECT_QUARANTINE;
	if (left == 0)
		return CB_REJECT_BUDGET;
	*ret_max_steps = CB_MIN(*ret_max_steps, left);
	return CB_REJECT_NONE;
}
