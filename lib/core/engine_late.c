/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Late looks: what was kept is looked at again 1 and 10 minutes later. The load is another one by then, so only harm that more load does not
 * explain counts: workers that wait longer for a CPU than before the move without serving more, or new drops. Then the plan is
 * undone after all.
 */

#include <stdio.h>

#include "engine_internal.h"

static const uint64_t late_usec[] = { 60 * CB_USEC_PER_SEC, 600 * CB_USEC_PER_SEC };

/* A look that finds no undisturbed windows for this long after it is due is given up. */
#define PATIENCE_USEC (60 * CB_USEC_PER_SEC)

/* A later plan that stands has moved it on: undoing this one would take it out of that one's place. */
static bool moved_on(const struct cb_engine *engine, const struct cb_plan *plan,
		     struct cb_item_ref item)
{
	for (uint32_t i = 0; i < CB_MIN(engine->n_done, PLANS_KEPT); i++) {
		const struct cb_plan *later = &engine->done[i].plan;
		const struct cb_step *step = cb_plan_step_of(later, item);

		if (later->id > plan->id && engine_plan_stands(later) && step &&
		    (step->state == CB_STEP_DONE || step->state == CB_STEP_PENDING))
			return true;
	}
	return false;
}

/* Everything that the plan moved is still where it was put. */
static bool untouched(const struct cb_engine *engine, const struct cb_plan *plan)
{
	for (uint32_t i = 0; i < plan->n_steps; i++) {
		const struct cb_step *step = &plan->step[i];
		const struct worker_state *worker;
		const struct irq_state *irq;

		if (moved_on(engine, plan, step->item))
			return false;
		if (cb_item_steers(step->item.kind)) {
			const struct group_state *group = engine_group(engine, plan->group_key);

			worker = engine_worker(engine, step->item.key);
			if (!worker || !group || group->steer.is == CB_STEERING_NONE)
				return false;
			if (step->item.kind == CB_ITEM_SHARE && worker->share != step->share_to)
				return false;
		} else if (cb_item_is_queue(step->item.kind)) {
			if (!engine_packets_stand(engine, step))
				return false;
		} else if (step->item.kind == CB_ITEM_WORKER) {
			worker = engine_worker(engine, step->item.key);
			if (!worker || !worker->placed || worker->foreign)
				return false;
		} else {
			irq = engine_irq_state(engine, step->item.key);
			if (!irq || !irq->placed || irq->foreign)
				return false;
		}
	}
	return true;
}

/* The windows of before tell of another machine, or of another time. */
static bool parted(const struct cb_engine *engine, const struct done *done)
{
	const struct group_state *group = engine_group(engine, done->plan.group_key);

	return group && group->parted_usec > done->plan.applied_usec;
}

/* True when there was enough to look at. */
static bool look(struct cb_engine *engine, struct done *done, struct cb_judgement *ret)
{
	const struct group_state *group = engine_group(engine, done->plan.group_key);
	struct cb_window after[CB_WINDOWS_MAX];
	struct cb_verifier_params params = {
		.alpha_ratio = engine->policy.verify_alpha_ratio,
		.min_effect_ratio = engine->policy.min_effect_ratio,
		.final = true,
		.late = true,
		.seed = done->plan.id,
	};
	uint32_t n;

	if (!group)
		return false;
	n = engine_windows_since(engine, group, done->plan.done_usec, engine->policy.verify_windows,
				 after);
	if (n < engine->policy.verify_windows)
		return false;
	cb_verifier_judge(done->before, done->n_before, after, n, &params, ret);
	return true;
}

void engine_late_looks(struct cb_engine *engine, struct cb_decision *decision)
{
	for (uint32_t i = 0; i < CB_MIN(engine->n_done, PLANS_KEPT); i++) {
		struct done *done = &engine->done[i];
		struct cb_judgement judgement;
		uint64_t due_usec;
		char why[256];

		if (done->plan.judgement.verdict != CB_VERDICT_KEPT || done->plan.unjudged ||
		    done->n_late >= CB_ARRAY_SIZE(late_usec) || !engine_plan_stands(&done->plan))
			continue;
		due_usec = done->plan.done_usec + late_usec[done->n_late];
		if (engine->now_usec < due_usec)
			continue;
		if (!untouched(engine, &done->plan) || parted(engine, done)) {
			done->n_late = CB_ARRAY_SIZE(late_usec);
			continue;
		}
		if (!look(engine, done, &judgement)) {
			done->n_late += engine->now_usec >= due_usec + PATIENCE_USEC;
			continue;
		}
		done->n_late++;
		if (judgement.verdict != CB_VERDICT_ROLLED_BACK)
			continue;
		snprintf(why, sizeof(why), "kept at first, but %llu min later: %s",
			 (unsigned long long)(late_usec[done->n_late - 1] / (60 * CB_USEC_PER_SEC)),
			 judgement.sentence);
		engine_plan_revert(engine, done, false, why, decision);
		return;
	}
}
