/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What came of the steps that were handed over: what is in place now, what failed and why, and where that leads the
 * plan. The only place where the engine learns that something was written.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "engine_internal.h"

static bool was_placed(const struct cb_engine *engine, const struct cb_plan *plan,
		       struct cb_item_ref item)
{
	const struct worker_state *worker;
	const struct irq_state *irq;

	if (item.kind == CB_ITEM_WORKER) {
		worker = engine_worker(engine, item.key);
		return worker && worker->placed;
	}
	/* undone is the kernel's hash, whatever was in place before; a lane goes back to where it was */
	if (cb_item_steers(item.kind)) {
		worker = engine_worker(engine, item.key);
		return item.kind == CB_ITEM_LISTENER && !engine_plan_steers(plan) && worker &&
		       worker->incoming_cpu >= 0;
	}
	if (cb_item_is_queue(item.kind))
		return engine_packets_placed(engine, item);
	irq = engine_irq_state(engine, item.key);
	return irq && irq->placed;
}

static void mark_placed(struct cb_engine *engine, const struct cb_step *step, bool placed)
{
	struct worker_state *worker;
	struct irq_state *irq;

	if (cb_item_steers(step->item.kind)) {
		engine_steer_written(engine, step, placed);
	} else if (cb_item_is_queue(step->item.kind)) {
		engine_packets_written(engine, step, placed);
	} else if (step->item.kind == CB_ITEM_WORKER) {
		worker = engine_worker(engine, step->item.key);
		if (!worker)
			return;
		worker->placed = placed;
		worker->set = step->to;
		worker->has_set = worker->foreign = worker->foreign_told = false;
	} else {
		irq = engine_irq_state(engine, step->item.key);
		if (!irq)
			return;
		irq->placed = placed;
		irq->foreign = false;
		engine->irqs->irq[irq - engine->irq].affinity = step->to;
	}
}

static void note_error(struct cb_engine *engine, const struct cb_step *step)
{
	struct irq_state *irq =
		step->item.kind == CB_ITEM_IRQ ? engine_irq_state(engine, step->item.key) : NULL;
	struct worker_state *worker =
		step->item.kind == CB_ITEM_WORKER ? engine_worker(engine, step->item.key) : NULL;

	engine->totals.n_write_errors[step->item.kind][step->error_class]++;
	if (cb_item_steers(step->item.kind))
		engine_steer_refused(engine, step);
	if (cb_item_is_queue(step->item.kind))
		engine_packets_refused(engine, step);
	if (irq && step->error_class == CB_ERROR_PERMANENT)
		irq->immovable = true;
	if (step->error_class != CB_ERROR_FOREIGN)
		return;
	engine->totals.n_foreign[step->item.kind]++;
	if (irq)
		irq->foreign = true;
	if (worker)
		worker->foreign = worker->foreign_told = true;
}

static const char *why_failed(const struct cb_plan *plan)
{
	for (uint32_t i = 0; i < plan->n_steps; i++)
		if (plan->step[i].reject != CB_REJECT_NONE)
			return cb_reject_sentence(plan->step[i].reject);
	return "a step could not be written";
}

static const char *why_unjudged(const struct cb_plan *plan)
{
	if (plan->origin == CB_ORIGIN_OPERATOR)
		return "as ordered, not judged";
	if (engine_plan_is_packets(plan))
		return "as it was before";
	if (plan->step[0].op == CB_OP_RESTORE)
		return "back to the kernel's hash";
	if (plan->step[0].item.kind == CB_ITEM_LISTENER && !cb_cpuset_empty(&plan->step[0].from))
		return "its lanes follow its workers";
	/* a newcomer that is led away from a hot CPU, see engine_newcomers.c */
	if (plan->hot_cpu >= 0)
		return "a first place, not judged: there is nothing to compare it with";
	return "as it was kept before";
}

static void applied(struct cb_engine *engine, const struct cb_outcome *outcome,
		    struct cb_decision *decision)
{
	struct flight *flight = &engine->flight;
	struct group_state *group = engine_group(engine, flight->plan.group_key);
	uint32_t n_written = 0, n_failed = 0;

	for (uint32_t i = 0; i < CB_MIN(outcome->n_steps, flight->plan.n_steps); i++) {
		struct cb_step *step = &flight->plan.step[i];

		step->state = outcome->step[i].state;
		step->errnum = outcome->step[i].errnum;
		step->error_class = outcome->step[i].error_class;
		step->reject = outcome->step[i].reject;
		if (step->state == CB_STEP_DONE || step->state == CB_STEP_PENDING) {
			n_written++;
			flight->was_placed[i] = was_placed(engine, &flight->plan, step->item);
			engine_left_note(engine, step);
			mark_placed(engine, step, step->op == CB_OP_SET);
			/* steering a group is one move, however many workers it has, or queues; so is a lane */
			if (n_written == 1 || (!cb_item_steers(step->item.kind) &&
					       !cb_item_is_queue(step->item.kind)))
				engine_account_move(engine,
						    flight->plan.origin == CB_ORIGIN_AUTO &&
								    !flight->plan.unjudged &&
								    !engine_plan_goes_along(
									    &flight->plan, step) ?
							    group :
							    NULL,
						    step);
		} else {
			n_failed += step->state == CB_STEP_FAILED;
			note_error(engine, step);
		}
	}
	flight->plan.applied_usec = engine->now_usec;
	if (group)
		engine_disturb(engine, group);
	if (n_failed || n_written == 0) {
		engine_plan_undo(engine, n_failed ? CB_VERDICT_FAILED : CB_VERDICT_VOID,
				 n_failed ? why_failed(&flight->plan) :
					    "what was to be moved is gone",
				 decision);
		return;
	}
	if (flight->plan.unjudged) {
		snprintf(flight->plan.judgement.sentence, sizeof(flight->plan.judgement.sentence),
			 "%s", why_unjudged(&flight->plan));
		engine_plan_tell(engine, CB_NOTICE_PLAN_APPLIED, decision);
		engine_plan_end(engine, CB_VERDICT_KEPT, decision);
		return;
	}
	engine_plan_enter(engine, CB_PLAN_SETTLING, engine->now_usec + engine->policy.settle_usec);
	engine_plan_tell(engine, CB_NOTICE_PLAN_APPLIED, decision);
}

static void undone(struct cb_engine *engine, const struct cb_outcome *outcome,
		   struct cb_decision *decision)
{
	struct flight *flight = &engine->flight;

	for (uint32_t i = 0; i < outcome->n_steps && i < CB_STEPS_MAX; i++) {
		const struct cb_step *back = &outcome->step[i];

		for (uint32_t j = 0; j < flight->plan.n_steps; j++) {
			struct cb_step *step = &flight->plan.step[j];

			if (!cb_item_equal(step->item, back->item))
				continue;
			if (back->state == CB_STEP_DONE || back->state == CB_STEP_PENDING ||
			    back->state == CB_STEP_UNDONE) {
				step->state = CB_STEP_UNDONE;
				mark_placed(engine, back, flight->was_placed[j]);
				engine_left_forget(engine, step->item);
			} else {
				step->state = back->state;
				step->errnum = back->errnum;
				step->error_class = back->error_class;
				note_error(engine, back);
			}
		}
	}
	engine_plan_end(engine, flight->undo_verdict, decision);
}

static void released(struct cb_engine *engine, const struct cb_outcome *outcome,
		     struct cb_decision *decision)
{
	for (uint32_t i = 0; i < engine->n_workers; i++) {
		struct worker_state *worker = &engine->worker[i];

		if (engine->releasing_group == 0 || engine->releasing_group == worker->group_key)
			worker->placed = worker->has_set = false;
	}
	for (uint32_t i = 0; engine->irqs && i < engine->irqs->n; i++) {
		const struct group_state *group = engine_group(engine, engine->releasing_group);

		if (engine->releasing_group == 0 ||
		    (group && engine_group_feeds(engine, group, &engine->irqs->irq[i])))
			engine->irq[i].placed = false;
	}
	engine_packets_released(engine, engine_group(engine, engine->releasing_group));
	for (uint32_t i = 0; i < engine->n_groups; i++) {
		struct group_state *group = engine->group[i];

		if (engine->releasing_group && engine->releasing_group != group->key)
			continue;
		engine_steer_forget(engine, group);
		engine_newcomers_forget(engine, group->key);
		group->cooldown_until_usec = engine->now_usec + engine->policy.cooldown_usec;
		engine_disturb(engine, group);
	}
	engine->releasing = false;
	decision->result = outcome->n_failed ? -EIO : 0;
	snprintf(decision->answer, sizeof(decision->answer),
		 "%u put back, %u pending, %u gone, %u left to others, %u failed",
		 outcome->n_restored, outcome->n_pending, outcome->n_gone, outcome->n_foreign,
		 outcome->n_failed);
}

void engine_plan_outcome(struct cb_engine *engine, const struct cb_outcome *outcome,
			 struct cb_decision *decision)
{
	struct flight *flight = &engine->flight;

	if (outcome->plan_id == 0) {
		if (engine->releasing)
			released(engine, outcome, decision);
		return;
	}
	if (!flight->active || outcome->plan_id != flight->plan.id)
		return;
	if (flight->plan.state == CB_PLAN_APPLYING)
		applied(engine, outcome, decision);
	else if (flight->plan.state == CB_PLAN_UNDOING)
		undone(engine, outcome, decision);
}
