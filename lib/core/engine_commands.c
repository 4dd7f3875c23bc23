/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an operator orders. Each command answers with 0 or an errno and one line; a move, a rollback and an apply are ordinary
 * plans and go through the same door as our own.
 */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "engine_internal.h"

static void answer(struct cb_decision *decision, int result, const char *fmt, ...) _printf_(3, 4);

static void answer(struct cb_decision *decision, int result, const char *fmt, ...)
{
	va_list ap;

	decision->result = result;
	va_start(ap, fmt);
	vsnprintf(decision->answer, sizeof(decision->answer), fmt, ap);
	va_end(ap);
}

static void apply(struct cb_engine *engine, const struct cb_command *command,
		  struct cb_decision *decision)
{
	struct flight *flight = &engine->flight;

	if (!flight->active) {
		answer(decision, -ENOENT, "no plan is proposed");
		return;
	}
	if (command->plan_id && command->plan_id != flight->plan.id) {
		answer(decision, -ENOENT, "plan %u is not proposed, plan %u is", command->plan_id,
		       flight->plan.id);
		return;
	}
	decision->answer_plan_id = flight->plan.id;
	if (flight->plan.state != CB_PLAN_PROPOSED) {
		answer(decision, -EBUSY, "plan %u is %s already", flight->plan.id,
		       cb_plan_state_name(flight->plan.state));
		return;
	}
	flight->plan.state = CB_PLAN_BASELINE;
	engine_plan_advance(engine, decision);
	answer(decision, 0, "plan %u: %s", flight->plan.id,
	       decision->action == CB_ACTION_APPLY ? "applied" :
						     cb_plan_state_name(flight->plan.state));
}

enum cb_reject engine_mask_reject(const struct cb_engine *engine, const struct group_state *group,
				  const struct cb_cpuset *cpuset, const struct cb_cpuset *mask)
{
	if (!cb_cpuset_subset(mask, &engine->topology->online))
		return CB_REJECT_OFFLINE;
	if ((cpuset && !cb_cpuset_subset(mask, cpuset)) ||
	    (group->policy.has_allowed && !cb_cpuset_subset(mask, &group->policy.allowed_cpus)))
		return CB_REJECT_OUTSIDE_CPUSET;
	if (!cb_cpuset_subset(mask, engine_usable(engine)))
		return CB_REJECT_ISOLATED;
	return CB_REJECT_NONE;
}

/* Put an order into flight; one of our own that waits gives way. False: something is in flight, and the answer says so. */
static bool make_way(struct cb_engine *engine, const char *what, struct cb_decision *decision)
{
	struct flight *flight = &engine->flight;

	if (engine_plan_applied(engine)) {
		decision->answer_plan_id = flight->plan.id;
		answer(decision, -EBUSY, "plan %u is %s: wait for its verdict or roll it back",
		       flight->plan.id, cb_plan_state_name(flight->plan.state));
		return false;
	}
	if (flight->active) {
		snprintf(flight->plan.judgement.sentence, sizeof(flight->plan.judgement.sentence),
			 "replaced by an operator's %s", what);
		engine_plan_end(engine, CB_VERDICT_WITHDRAWN, decision);
	}
	return true;
}

/* What its CPU will have to do without the worker, and without what goes with it. */
static void expect(const struct cb_engine *engine, const struct worker_state *worker,
		   struct cb_plan *plan)
{
	if (worker->cpu_attributed < 0)
		return;
	plan->hottest_before_ratio = plan->hottest_after_ratio =
		engine->cpu[worker->cpu_attributed].busy.smooth;
	for (uint32_t i = 0; i < plan->n_steps; i++)
		if (!cb_item_is_queue(plan->step[i].item.kind) &&
		    !cb_cpuset_has(&plan->step[i].to, (unsigned int)worker->cpu_attributed))
			plan->hottest_after_ratio -= plan->step[i].load_ratio;
	plan->hottest_after_ratio = CB_MAX(plan->hottest_after_ratio, 0.0);
}

/* False: the interrupt that brings its connections stays where it is. */
static bool begin_move(struct cb_engine *engine, const struct worker_state *worker,
		       const struct cb_cpuset *mask, struct cb_decision *decision)
{
	const struct group_state *group = engine_group(engine, worker->group_key);
	struct cb_plan plan;
	bool whole;

	engine_plan_blank(engine, group, CB_ORIGIN_OPERATOR, &plan);
	plan.hot_cpu = worker->cpu_attributed;
	plan.n_steps = 1;
	plan.step[0] = (struct cb_step){
		.item = { CB_ITEM_WORKER, worker->key },
		.op = CB_OP_SET,
		.from = worker->last.mask,
		.to = *mask,
		.load_ratio = worker->cpu_share_ratio,
	};
	whole = engine_lane_follow(engine, group, &plan);
	engine_packets_follow(engine, group, &plan);
	expect(engine, worker, &plan);
	engine_plan_begin(engine, &plan, false, 0, decision);
	return whole;
}

static void move(struct cb_engine *engine, const struct cb_command *command,
		 struct cb_decision *decision)
{
	struct worker_state *worker = engine_worker(engine, command->worker_key);
	struct flight *flight = &engine->flight;
	enum cb_reject reject;
	char mask[64];
	bool whole;

	if (!worker || !engine->topology) {
		answer(decision, -ENOENT, "no such worker");
		return;
	}
	if (cb_cpuset_empty(&command->mask)) {
		answer(decision, -EINVAL, "the CPU list is empty");
		return;
	}
	cb_cpuset_show(&command->mask, mask, sizeof(mask));
	reject = engine_mask_reject(engine, engine_group(engine, worker->group_key),
				    &worker->cpuset, &command->mask);
	if (reject != CB_REJECT_NONE) {
		answer(decision, -EPERM, "CPU %s: %s (%s)", mask,
		       reject == CB_REJECT_OFFLINE  ? "not all of them are online" :
		       reject == CB_REJECT_ISOLATED ? "isolated CPUs are not used (UseIsolated=)" :
						      "outside its cpuset or AllowedCPUs=",
		       cb_reject_name(reject));
		return;
	}
	if (cb_cpuset_equal(&command->mask, &worker->last.mask)) {
		answer(decision, 0, "it may run on CPU %s already", mask);
		return;
	}
	if (!make_way(engine, "move", decision))
		return;
	whole = begin_move(engine, worker, &command->mask, decision);
	decision->answer_plan_id = flight->plan.id;
	answer(decision, 0,
	       decision->action == CB_ACTION_APPLY ?
		       "plan %u: moving to CPU %s%s" :
		       "plan %u: measuring first, then moving to CPU %s%s",
	       flight->plan.id, mask,
	       whole ? "" : ", alone: its connections' packets go on arriving where it was");
}

static bool is_refused(enum cb_reject reject, struct cb_decision *decision)
{
	if (reject == CB_REJECT_NONE)
		return false;
	answer(decision, -EPERM, "%s (%s)", cb_reject_sentence(reject), cb_reject_name(reject));
	return true;
}

static void begin_order(struct cb_engine *engine, const struct cb_plan *plan,
			struct cb_decision *decision)
{
	engine_plan_begin(engine, plan, false, 0, decision);
	decision->answer_plan_id = engine->flight.plan.id;
	answer(decision, 0,
	       decision->action == CB_ACTION_APPLY ? "plan %u: steering" :
						     "plan %u: measuring first, then steering",
	       engine->flight.plan.id);
}

static void steer(struct cb_engine *engine, const struct cb_command *command,
		  struct cb_decision *decision)
{
	struct group_state *group = engine_group(engine, command->group_key);
	enum cb_reject reject;
	struct cb_plan plan;
	bool ordered;

	if (!group || !engine->topology) {
		answer(decision, -ENOENT, "no such group");
		return;
	}
	if (command->steering < 0 || command->steering >= _CB_STEERING_MAX) {
		answer(decision, -EINVAL, "none, local, weighted, or shares such as 1:2:3");
		return;
	}
	ordered = group->steer.ordered;
	reject = engine_steer_order(engine, group, command, &plan);
	if (reject == _CB_REJECT_INVALID) {
		answer(decision, -EINVAL,
		       "shares are a number from 1 to %u for each of its %u workers, such as 1:2:3",
		       CB_SHARES, group->n_workers);
		return;
	}
	if (is_refused(reject, decision))
		return;
	if (command->steering == CB_STEERING_NONE && group->steer.is == CB_STEERING_NONE) {
		group->steer.kept = CB_STEERING_NONE;
		answer(decision, 0, "its connections have the kernel's hash already");
		return;
	}
	if (make_way(engine, "steering", decision))
		begin_order(engine, &plan, decision);
	else
		group->steer.ordered = ordered;
}

static void packets(struct cb_engine *engine, const struct cb_command *command,
		    struct cb_decision *decision)
{
	struct group_state *group = engine_group(engine, command->group_key);
	enum cb_reject reject;
	struct cb_plan plan;

	if (!group || !engine->topology) {
		answer(decision, -ENOENT, "no such group");
		return;
	}
	if (command->packets < 0 || command->packets >= _CB_PACKETS_MAX) {
		answer(decision, -EINVAL, "none, auto, rps with CPUs, xps or both");
		return;
	}
	reject = engine_packets_order(engine, group, command, &plan);
	if (is_refused(reject, decision))
		return;
	if (plan.n_steps && !make_way(engine, "packet steering", decision))
		return;
	group->packets_ordered = command->packets != CB_PACKETS_NONE || !command->present;
	if (plan.n_steps)
		begin_order(engine, &plan, decision);
	else
		answer(decision, 0,
		       command->present ? "steered by what the CPUs have to do" :
					  "nothing of its packets is steered");
}

static void drain(struct cb_engine *engine, const struct cb_command *command,
		  struct cb_decision *decision)
{
	struct worker_state *worker = engine_worker(engine, command->worker_key);
	enum cb_reject reject;
	struct cb_plan plan;

	if (!worker || !engine->topology) {
		answer(decision, -ENOENT, "no such worker");
		return;
	}
	if (worker->drained == command->present) {
		answer(decision, 0,
		       command->present ? "it is drained already" : "it is not drained");
		return;
	}
	if (!make_way(engine, "drain", decision))
		return;
	reject = engine_drain_order(engine, worker, command->present, &plan);
	if (is_refused(reject, decision))
		return;
	begin_order(engine, &plan, decision);
}

/* The plan to roll back when none is in flight: the one asked for, or the last that stands. */
static const struct done *standing(const struct cb_engine *engine, uint32_t id)
{
	const struct done *found = NULL;

	for (uint32_t i = 0; i < CB_MIN(engine->n_done, PLANS_KEPT); i++) {
		const struct done *done = &engine->done[i];

		if (!engine_plan_stands(&done->plan) || (id && done->plan.id != id))
			continue;
		if (!found || done->plan.id > found->plan.id)
			found = done;
	}
	return found;
}

/* Rollback and veto: the plan in flight, or one that has ended and stands. */
static void roll_back(struct cb_engine *engine, const struct cb_command *command,
		      struct cb_decision *decision)
{
	bool veto = command->kind == CB_COMMAND_VETO;
	const char *why = veto ? "vetoed by the operator" : "by the operator's word";
	struct flight *flight = &engine->flight;
	const struct done *done;

	if (flight->active && (command->plan_id == 0 || command->plan_id == flight->plan.id)) {
		decision->answer_plan_id = flight->plan.id;
		flight->veto = veto;
		answer(decision, 0, "plan %u: rolled back", flight->plan.id);
		engine_plan_undo(engine,
				 engine_plan_applied(engine) ? CB_VERDICT_ROLLED_BACK :
							       CB_VERDICT_WITHDRAWN,
				 why, decision);
		return;
	}
	done = standing(engine, command->plan_id);
	if (!done) {
		if (command->plan_id)
			answer(decision, -ENOENT, "plan %u is not known, or nothing of it stands",
			       command->plan_id);
		else
			answer(decision, -ENOENT, "no plan stands that could be rolled back");
		return;
	}
	if (flight->active && engine_plan_applied(engine)) {
		answer(decision, -EBUSY, "plan %u is in flight: roll that back first",
		       flight->plan.id);
		return;
	}
	decision->answer_plan_id = done->plan.id;
	answer(decision, 0, "plan %u: rolled back", done->plan.id);
	if (flight->active)
		engine_plan_undo(engine, CB_VERDICT_WITHDRAWN, "another plan was rolled back",
				 decision);
	engine_plan_revert(engine, done, veto, why, decision);
}

static void release(struct cb_engine *engine, const struct cb_command *command,
		    struct cb_decision *decision)
{
	struct flight *flight = &engine->flight;

	if (command->group_key && !engine_group(engine, command->group_key)) {
		answer(decision, -ENOENT, "no such group");
		return;
	}
	if (flight->active &&
	    (command->group_key == 0 || command->group_key == flight->plan.group_key)) {
		snprintf(flight->plan.judgement.sentence, sizeof(flight->plan.judgement.sentence),
			 "released by the operator");
		for (uint32_t i = 0; i < flight->plan.n_steps; i++)
			if (flight->plan.step[i].state == CB_STEP_DONE ||
			    flight->plan.step[i].state == CB_STEP_PENDING)
				flight->plan.step[i].state = CB_STEP_UNDONE;
		engine_plan_end(engine, CB_VERDICT_WITHDRAWN, decision);
	}
	for (uint32_t i = 0; i < CB_MIN(engine->n_done, PLANS_KEPT); i++)
		for (uint32_t j = 0; j < engine->done[i].plan.n_steps; j++)
			if (command->group_key == 0 ||
			    command->group_key == engine->done[i].plan.group_key)
				engine->done[i].plan.step[j].state = CB_STEP_UNDONE;
	if (command->present) {
		engine->totals.paused = true;
		engine->totals.paused_until_usec = 0;
	}
	engine->releasing = true;
	engine->releasing_group = command->group_key;
	decision->action = CB_ACTION_RELEASE;
	decision->group_key = command->group_key;
}

static void set_mode(struct cb_engine *engine, const struct cb_command *command,
		     struct cb_decision *decision)
{
	struct group_state *group = engine_group(engine, command->group_key);

	if (command->mode < 0 || command->mode >= _CB_MODE_MAX) {
		answer(decision, -EINVAL, "the mode is not auto, advise or observe");
		return;
	}
	if (command->group_key && !group) {
		answer(decision, -ENOENT, "no such group");
		return;
	}
	if (group) {
		group->policy.has_mode = true;
		group->policy.mode = command->mode;
	} else {
		engine->policy.mode = command->mode;
	}
	engine->totals.canary = false;
	engine->n_rollbacks = 0;
	answer(decision, 0, "mode %s", cb_mode_name(command->mode));
}

static void pause_for(struct cb_engine *engine, uint64_t span_usec, struct cb_decision *decision)
{
	struct flight *flight = &engine->flight;

	engine->totals.paused = true;
	engine->totals.paused_until_usec = span_usec ? engine->now_usec + span_usec : 0;
	answer(decision, 0, "paused");
	/* what is written is still judged; what is not, is not begun */
	if (flight->active && !engine_plan_applied(engine) &&
	    flight->plan.origin == CB_ORIGIN_AUTO) {
		snprintf(flight->plan.judgement.sentence, sizeof(flight->plan.judgement.sentence),
			 "balancing was paused");
		engine_plan_end(engine, CB_VERDICT_WITHDRAWN, decision);
	}
}

void engine_command(struct cb_engine *engine, const struct cb_command *command,
		    struct cb_decision *decision)
{
	switch (command->kind) {
	case CB_COMMAND_APPLY:
		apply(engine, command, decision);
		return;
	case CB_COMMAND_MOVE:
		move(engine, command, decision);
		return;
	case CB_COMMAND_STEER:
		steer(engine, command, decision);
		return;
	case CB_COMMAND_PACKETS:
		packets(engine, command, decision);
		return;
	case CB_COMMAND_DRAIN:
		drain(engine, command, decision);
		return;
	case CB_COMMAND_ROLLBACK:
	case CB_COMMAND_VETO:
		roll_back(engine, command, decision);
		return;
	case CB_COMMAND_RELEASE:
		release(engine, command, decision);
		return;
	case CB_COMMAND_PAUSE:
		pause_for(engine, command->span_usec, decision);
		return;
	case CB_COMMAND_RESUME:
		engine->totals.paused = false;
		answer(decision, 0, "resumed");
		return;
	case CB_COMMAND_MODE:
		set_mode(engine, command, decision);
		return;
	case _CB_COMMAND_MAX:
	case _CB_COMMAND_INVALID:
		break;
	}
	answer(decision, -EINVAL, "unknown command");
}
