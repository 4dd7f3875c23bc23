/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The life of a plan. One is in flight at a time:
 *
 *   PROPOSED -> BASELINE -> APPLYING -> SETTLING -> VERIFYING -> (UNDOING ->) DONE
 *
 * PROPOSED (advise) waits for the operator. BASELINE collects windows to compare with: the windows that triggered a plan are no evidence, since peaks
 * fade by themselves. An operator's move was triggered by no peak and may use the windows already there. The steps of
 * our own plans are computed anew when the baseline is full. A plan that is not shown to help is undone; an operator's, only when it
 * is shown to hurt.
 */

#include <stdio.h>
#include <string.h>

#include "engine_internal.h"

bool engine_plan_applied(const struct cb_engine *engine)
{
	enum cb_plan_state state = engine->flight.plan.state;

	return engine->flight.active && state != CB_PLAN_PROPOSED && state != CB_PLAN_BASELINE;
}

const char *engine_plan_steps_text(const struct cb_engine *engine, const struct cb_plan *plan,
				   char *buf, size_t size)
{
	size_t at = 0;

	buf[0] = 0;
	for (uint32_t i = 0; i < plan->n_steps && at + 1 < size; i++) {
		char name[64], from[40], to[40];
		int n;

		cb_engine_item_name(engine, plan->step[i].item, name, sizeof(name));
		n = snprintf(buf + at, size - at, "%s%s%s %s -> %s", i ? ", " : "", name,
			     plan->step[i].item.kind == CB_ITEM_SHARE ||
					     plan->step[i].item.kind == CB_ITEM_RFS ?
				     "" :
				     " CPU",
			     cb_step_show(&plan->step[i], false, from, sizeof(from)),
			     cb_step_show(&plan->step[i], true, to, sizeof(to)));
		at += n > 0 ? (size_t)n : 0;
	}
	return buf;
}

void engine_plan_blank(const struct cb_engine *engine, const struct group_state *group,
		       enum cb_origin origin, struct cb_plan *ret)
{
	*ret = (struct cb_plan){ .origin = origin,
				 .group_key = group->key,
				 .hot_cpu = -1,
				 .made_usec = engine->now_usec };
	memcpy(ret->group, group->policy.name, sizeof(ret->group));
}

void engine_plan_enter(struct cb_engine *engine, enum cb_plan_state state, uint64_t next_usec)
{
	engine->flight.plan.state = state;
	engine->flight.plan.next_usec = next_usec;
}

static uint64_t windows_ahead(const struct cb_engine *engine, uint32_t n)
{
	return engine->now_usec + n * engine->policy.sample_interval_usec;
}

void engine_plan_tell(struct cb_engine *engine, enum cb_notice_kind kind,
		      struct cb_decision *decision)
{
	const struct cb_plan *plan = &engine->flight.plan;
	struct cb_notice notice = {
		.finding = plan->finding.kind,
		.cpu = plan->hot_cpu,
		.plan_id = plan->id,
		.verdict = plan->judgement.verdict,
	};
	char steps[120];

	engine_plan_steps_text(engine, plan, steps, sizeof(steps));
	if (kind == CB_NOTICE_PLAN_ENDED)
		engine_notice(decision, kind, &notice, "#%u %s: %s, %s", plan->id, steps,
			      cb_verdict_name(plan->judgement.verdict), plan->judgement.sentence);
	else if (plan->hot_cpu < 0)
		engine_notice(decision, kind, &notice, "#%u %s", plan->id, steps);
	else
		engine_notice(decision, kind, &notice,
			      "#%u %s: expected load of CPU %d %.0f %% -> %.0f %%", plan->id, steps,
			      plan->hot_cpu, 100 * plan->hottest_before_ratio,
			      100 * plan->hottest_after_ratio);
}

/* Where a plan of this id is kept, or the slot of the oldest. */
static struct done *done_slot(struct cb_engine *engine, uint32_t id)
{
	for (uint32_t i = 0; i < CB_MIN(engine->n_done, PLANS_KEPT); i++)
		if (engine->done[i].plan.id == id)
			return &engine->done[i];
	return &engine->done[engine->n_done++ % PLANS_KEPT];
}

void engine_plan_end(struct cb_engine *engine, enum cb_verdict verdict,
		     struct cb_decision *decision)
{
	struct flight *flight = &engine->flight;
	struct group_state *group = engine_group(engine, flight->plan.group_key);
	struct done *done;

	flight->plan.judgement.verdict = verdict;
	flight->plan.done_usec = engine->now_usec;
	engine_plan_enter(engine, CB_PLAN_DONE, 0);
	engine_plan_tell(engine, CB_NOTICE_PLAN_ENDED, decision);
	engine_account_end(engine, &flight->plan, flight->veto, decision);
	engine_steer_ended(engine, &flight->plan);
	if (group)
		engine_disturb(engine, group);
	done = done_slot(engine, flight->plan.id);
	*done = (struct done){ .plan = flight->plan, .n_before = flight->n_before };
	memcpy(done->was_placed, flight->was_placed, sizeof(done->was_placed));
	memcpy(done->before, flight->before, flight->n_before * sizeof(done->before[0]));
	flight->active = false;
}

/* --- writing --- */

static void hand_over(struct cb_engine *engine, struct cb_decision *decision)
{
	struct flight *flight = &engine->flight;

	decision->action = CB_ACTION_APPLY;
	decision->plan_id = flight->plan.id;
	decision->group_key = flight->plan.group_key;
	decision->n_steps = flight->plan.n_steps;
	memcpy(decision->step, flight->plan.step,
	       flight->plan.n_steps * sizeof(flight->plan.step[0]));
	engine_plan_enter(engine, CB_PLAN_APPLYING, 0);
}

/* The socket of a lane when there are none any more: to send it back would steer what somebody has switched off. */
static bool is_over(const struct cb_engine *engine, const struct cb_plan *plan,
		    const struct cb_step *step)
{
	const struct group_state *group = engine_group(engine, plan->group_key);

	return step->item.kind == CB_ITEM_LISTENER && !engine_plan_steers(plan) &&
	       (!group || group->steer.is != CB_STEERING_LOCAL);
}

void engine_plan_undo(struct cb_engine *engine, enum cb_verdict verdict, const char *why,
		      struct cb_decision *decision)
{
	struct flight *flight = &engine->flight;
	uint32_t n = 0;

	if (why)
		snprintf(flight->plan.judgement.sentence, sizeof(flight->plan.judgement.sentence),
			 "%s", why);
	flight->undo_verdict = verdict;
	for (uint32_t i = flight->plan.n_steps; i-- > 0;) {
		struct cb_step *step = &flight->plan.step[i];

		if (step->state != CB_STEP_DONE && step->state != CB_STEP_PENDING)
			continue;
		if (is_over(engine, &flight->plan, step)) {
			step->state = CB_STEP_UNDONE;
			continue;
		}
		decision->step[n] = *step;
		decision->step[n].op = flight->was_placed[i] ? CB_OP_SET : CB_OP_RESTORE;
		decision->step[n].from = step->to;
		decision->step[n].to = step->from;
		decision->step[n].share_from = step->share_to;
		decision->step[n].share_to = step->share_from;
		decision->step[n].state = CB_STEP_PLANNED;
		n++;
	}
	if (n == 0) {
		engine_plan_end(engine, verdict, decision);
		return;
	}
	decision->action = CB_ACTION_APPLY;
	decision->plan_id = flight->plan.id;
	decision->group_key = flight->plan.group_key;
	decision->n_steps = n;
	engine_plan_enter(engine, CB_PLAN_UNDOING, 0);
}

const struct cb_step *cb_plan_step_of(const struct cb_plan *plan, struct cb_item_ref item)
{
	for (uint32_t i = 0; plan && i < plan->n_steps; i++)
		if (cb_item_equal(plan->step[i].item, item))
			return &plan->step[i];
	return NULL;
}

bool engine_plan_stands(const struct cb_plan *plan)
{
	return plan->n_steps && plan->applied_usec && plan->step[0].state != CB_STEP_UNDONE;
}

void engine_plan_revert(struct cb_engine *engine, const struct done *done, bool veto,
			const char *why, struct cb_decision *decision)
{
	struct group_state *group = engine_group(engine, done->plan.group_key);
	struct flight *flight = &engine->flight;

	*flight = (struct flight){
		.active = true, .plan = done->plan, .veto = veto, .n_before = done->n_before
	};
	memcpy(flight->was_placed, done->was_placed, sizeof(flight->was_placed));
	memcpy(flight->before, done->before, done->n_before * sizeof(done->before[0]));
	engine_newcomers_forget(engine, done->plan.group_key);
	if (group && engine_plan_steers(&done->plan))
		group->steer.kept = CB_STEERING_NONE;
	engine_plan_undo(engine, CB_VERDICT_ROLLED_BACK, why, decision);
}

/* --- before the move --- */

/* Interrupts alone are moved, and they are most of what makes that CPU hot: there is nobody whose waits could tell. */
static bool is_for_headroom(const struct cb_engine *engine, const struct cb_plan *plan)
{
	uint32_t hot = (uint32_t)plan->hot_cpu;
	const struct cpu_state *cpu = hot < engine->topology->n_cpu_ids ? &engine->cpu[hot] : NULL;

	for (uint32_t i = 0; i < plan->n_steps; i++)
		if (plan->step[i].item.kind != CB_ITEM_IRQ)
			return false;
	return plan->n_steps > 0 && cpu && cpu->irqs_ratio >= 0.5 * cpu->taken.smooth;
}

/* The finding that a plan was made for, as it is now; NULL when it is over. */
static const struct cb_finding *finding_now(const struct cb_engine *engine,
					    const struct cb_plan *plan)
{
	for (uint32_t i = 0; i < engine->n_findings; i++)
		if (engine->finding[i].cpu == plan->hot_cpu &&
		    (plan->hot_cpu >= 0 || engine->finding[i].group_key == plan->group_key) &&
		    (engine->finding[i].kind == plan->finding.kind || engine_plan_steers(plan) ||
		     engine_plan_is_packets(plan)))
			return &engine->finding[i];
	return NULL;
}

/* Without what follows an interrupt or a worker. */
static uint32_t n_moves(const struct cb_plan *plan)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < plan->n_steps; i++)
		n += !engine_plan_goes_along(plan, &plan->step[i]);
	return n;
}

/* Compute the steps of one of our own plans anew; false when there is nothing left to do. */
static bool refresh(struct cb_engine *engine, const struct cb_finding *finding)
{
	struct cb_plan *plan = &engine->flight.plan, fresh;
	struct group_state *group = engine_group(engine, plan->group_key);

	if (!group)
		return false;
	if (engine_plan_steers(plan))
		engine_steer_for(engine, finding, group, &fresh);
	else if (engine_plan_is_packets(plan))
		engine_packets_for(engine, finding, group, NULL, false, &fresh);
	else
		engine_plan_for(engine, finding, group, n_moves(plan), &fresh);
	if (fresh.n_steps == 0)
		return false;
	plan->n_steps = fresh.n_steps;
	memcpy(plan->step, fresh.step, sizeof(plan->step));
	plan->hottest_before_ratio = fresh.hottest_before_ratio;
	plan->hottest_after_ratio = fresh.hottest_after_ratio;
	return true;
}

static void withdraw(struct cb_engine *engine, const char *why, struct cb_decision *decision)
{
	struct cb_judgement *judgement = &engine->flight.plan.judgement;

	snprintf(judgement->sentence, sizeof(judgement->sentence), "%s", why);
	engine_plan_end(engine, CB_VERDICT_WITHDRAWN, decision);
}

void engine_plan_advance(struct cb_engine *engine, struct cb_decision *decision)
{
	struct flight *flight = &engine->flight;
	struct group_state *group = engine_group(engine, flight->plan.group_key);
	const struct cb_finding *finding = finding_now(engine, &flight->plan);
	uint32_t least = engine->policy.verify_windows, most = engine->policy.verify_windows_max;
	struct cb_verifier_params params = { .min_effect_ratio = engine->policy.min_effect_ratio };

	if (flight->plan.unjudged) {
		hand_over(engine, decision);
		return;
	}
	if (flight->plan.origin == CB_ORIGIN_AUTO && flight->plan.has_finding && !finding) {
		withdraw(engine, "the finding ended before the move", decision);
		return;
	}
	if (flight->plan.state == CB_PLAN_PROPOSED || !group)
		return;
	flight->n_before = engine_windows_since(engine, group, flight->baseline_from_usec, most,
						flight->before);
	if (!cb_verifier_enough(flight->before, flight->n_before, least, most, &params)) {
		engine_plan_enter(engine, CB_PLAN_BASELINE,
				  windows_ahead(engine, (flight->n_before < least ? least : most) -
								flight->n_before));
		return;
	}
	if (flight->plan.origin == CB_ORIGIN_AUTO && flight->plan.has_finding &&
	    !refresh(engine, finding)) {
		withdraw(engine, "no move is worth it any more", decision);
		return;
	}
	flight->headroom = is_for_headroom(engine, &flight->plan);
	/* the steps are known only now, and with them who is not touched by them */
	engine_windows_beside(engine, &flight->plan);
	flight->n_before = engine_windows_since(engine, group, flight->baseline_from_usec, most,
						flight->before);
	hand_over(engine, decision);
}

void engine_plan_begin(struct cb_engine *engine, const struct cb_plan *plan, bool propose,
		       uint64_t baseline_from_usec, struct cb_decision *decision)
{
	struct flight *flight = &engine->flight;

	*flight = (struct flight){ .active = true,
				   .plan = *plan,
				   .baseline_from_usec = baseline_from_usec };
	flight->plan.id = engine->next_plan_id++;
	flight->plan.judgement.measure = "";
	engine_plan_enter(engine, propose ? CB_PLAN_PROPOSED : CB_PLAN_BASELINE, 0);
	engine_plan_tell(engine, CB_NOTICE_PLAN_PROPOSED, decision);
	engine_plan_advance(engine, decision);
}

/* --- after the move --- */

/* A move that is not shown to help is undone; what an operator ordered, only when it is shown to hurt. */
static void conclude(struct cb_engine *engine, struct cb_decision *decision)
{
	struct flight *flight = &engine->flight;
	enum cb_verdict verdict = flight->plan.judgement.verdict;
	bool stays = verdict == CB_VERDICT_KEPT || (flight->plan.origin == CB_ORIGIN_OPERATOR &&
						    verdict != CB_VERDICT_ROLLED_BACK);

	if (stays)
		engine_plan_end(engine, verdict, decision);
	else
		engine_plan_undo(engine, verdict, NULL, decision);
}

static void verify(struct cb_engine *engine, struct cb_decision *decision)
{
	struct flight *flight = &engine->flight;
	struct group_state *group = engine_group(engine, flight->plan.group_key);
	uint32_t needed = flight->extended ? engine->policy.verify_windows_max :
					     engine->policy.verify_windows;
	struct cb_verifier_params params = {
		.alpha_ratio = engine->policy.verify_alpha_ratio,
		.min_effect_ratio = engine->policy.min_effect_ratio,
		.final = flight->extended ||
			 engine->policy.verify_windows_max <= engine->policy.verify_windows,
		.metric_falls = group && group->last.metric_falls,
		.headroom = flight->headroom,
		.seed = flight->plan.id,
	};

	if (!group) {
		engine_plan_undo(engine, CB_VERDICT_VOID, "its group is gone", decision);
		return;
	}
	if (group->parted_usec > flight->plan.applied_usec) {
		flight->plan.judgement.verdict = CB_VERDICT_VOID;
		snprintf(flight->plan.judgement.sentence, sizeof(flight->plan.judgement.sentence),
			 "%s", group->parted_why);
		conclude(engine, decision);
		return;
	}
	flight->n_after = engine_windows_since(
		engine, group, flight->plan.applied_usec + engine->policy.settle_usec, needed,
		flight->after);
	if (flight->n_after < needed) {
		flight->plan.next_usec = windows_ahead(engine, needed - flight->n_after);
		return;
	}
	cb_verifier_judge(flight->before, flight->n_before, flight->after, flight->n_after, &params,
			  &flight->plan.judgement);
	if (flight->plan.judgement.verdict != CB_VERDICT_NONE) {
		conclude(engine, decision);
		return;
	}
	flight->extended = true;
	flight->plan.next_usec = windows_ahead(engine, engine->policy.verify_windows_max - needed);
}

void engine_plan_disturbed(struct cb_engine *engine, uint32_t group_key, uint32_t worker_key,
			   struct cb_decision *decision)
{
	struct flight *flight = &engine->flight;

	if (!flight->active || flight->plan.group_key != group_key)
		return;
	for (uint32_t i = 0; worker_key && i < flight->plan.n_steps; i++)
		if (flight->plan.step[i].item.kind == CB_ITEM_WORKER &&
		    flight->plan.step[i].item.key == worker_key)
			flight->plan.step[i].state = CB_STEP_GONE;
	if (!engine_plan_applied(engine))
		withdraw(engine, "the group's workers changed before the move", decision);
	else if (flight->plan.state == CB_PLAN_SETTLING || flight->plan.state == CB_PLAN_VERIFYING)
		engine_plan_undo(engine, CB_VERDICT_VOID,
				 "the group's workers changed, so nothing can be compared",
				 decision);
}

/* --- the tick --- */

/* Tell of workers that somebody else has re-pinned; a plan that touches one cannot be judged any more. */
static void look_for_foreign(struct cb_engine *engine, struct cb_decision *decision)
{
	struct flight *flight = &engine->flight;

	for (uint32_t i = 0; i < engine->n_workers; i++) {
		struct worker_state *worker = &engine->worker[i];
		struct cb_item_ref item = { CB_ITEM_WORKER, worker->key };
		struct cb_notice notice = { .cpu = worker->cpu_attributed };
		char name[64], mask[40];

		if (!worker->foreign || worker->foreign_told)
			continue;
		/* In passing only: a CPU of it was just coming back, and its mask was read before the CPUs were. */
		if (worker->has_set && engine_mask_is_ours(engine, worker, &worker->last.mask)) {
			worker->foreign = false;
			continue;
		}
		worker->foreign_told = true;
		engine->totals.n_foreign[CB_ITEM_WORKER]++;
		engine_notice(decision, CB_NOTICE_FOREIGN, &notice,
			      "%s was set to CPU %s by somebody else: left alone",
			      cb_engine_item_name(engine, item, name, sizeof(name)),
			      cb_cpuset_show(&worker->last.mask, mask, sizeof(mask)));
		for (uint32_t j = 0; j < flight->plan.n_steps && flight->active; j++)
			if (flight->plan.step[j].item.kind == CB_ITEM_WORKER &&
			    flight->plan.step[j].item.key == worker->key &&
			    (flight->plan.state == CB_PLAN_SETTLING ||
			     flight->plan.state == CB_PLAN_VERIFYING))
				engine_plan_undo(engine, CB_VERDICT_VOID,
						 "somebody else changed what was moved", decision);
	}
}

void engine_plan_tick(struct cb_engine *engine, struct cb_decision *decision)
{
	struct flight *flight = &engine->flight;

	look_for_foreign(engine, decision);
	if (!flight->active)
		engine_late_looks(engine, decision);
	if (decision->action != CB_ACTION_NONE)
		return;
	if (!flight->active)
		engine_newcomers(engine, decision);
	if (decision->action != CB_ACTION_NONE)
		return;
	if (!flight->active)
		engine_steer_tick(engine, decision);
	if (decision->action != CB_ACTION_NONE)
		return;
	if (!flight->active)
		engine_packets_tick(engine, decision);
	if (decision->action != CB_ACTION_NONE)
		return;
	if (!flight->active)
		engine_consider(engine, decision);
	else if (!engine_plan_applied(engine))
		engine_plan_advance(engine, decision);
	else if (flight->plan.state == CB_PLAN_SETTLING &&
		 engine->now_usec >= flight->plan.applied_usec + engine->policy.settle_usec)
		engine_plan_enter(engine, CB_PLAN_VERIFYING,
				  windows_ahead(engine, engine->policy.verify_windows));
	else if (flight->plan.state == CB_PLAN_VERIFYING)
		verify(engine, decision);
}
