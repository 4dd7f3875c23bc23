/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Which finding gets the next plan, when none is in flight; what may not be done now becomes refusals.
 */

#include "engine_internal.h"

/* What would be done, but may not be now: every step becomes a refusal. */
static void refuse_steps(struct cb_engine *engine, const struct cb_plan *plan,
			 enum cb_reject reason)
{
	for (uint32_t i = 0; i < plan->n_steps && engine->n_refusals < CB_REFUSALS_MAX; i++) {
		const struct cb_step *step = &plan->step[i];
		int32_t cpu = engine_item_cpu(engine, step->item);

		engine->refusal[engine->n_refusals++] = (struct cb_refusal){
			.item = step->item,
			/* which may be a hotter one than the one that the plan is for */
			.cpu = cpu >= 0 ? cpu : plan->hot_cpu,
			.reason = reason,
			.best_cpu = engine_coolest_of(engine, &step->to),
			.gain_ratio = plan->hottest_before_ratio - plan->hottest_after_ratio,
			.load_ratio = step->load_ratio,
		};
	}
}

/* What has no room in a plan because of the hour's budget is refused for that. */
static void blame_budget(struct cb_engine *engine, uint32_t max_steps)
{
	if (!engine_budget_binds(engine, max_steps))
		return;
	for (uint32_t i = 0; i < engine->result.n_refusals; i++)
		if (engine->result.refusal[i].reason == CB_REJECT_PLAN_FULL)
			engine->result.refusal[i].reason = CB_REJECT_BUDGET;
}

/* Findings that are planned for in one tick, hottest first; more wait for theirs. */
#define CONSIDERED_MAX 8u

/* How hot a CPU is explains itself with refusals, whether anything can be done or not; of a concentration only the interrupts may move. */
bool engine_plannable(const struct cb_engine *engine, const struct cb_finding *finding)
{
	switch (finding->kind) {
	case CB_FINDING_HOT_CPU:
	case CB_FINDING_SATURATED:
	case CB_FINDING_WORKER_BOUND:
		return true;
	case CB_FINDING_SOFTIRQ_CONCENTRATION: /* a hot CPU is planned for as such */
		return !engine->cpu[finding->cpu].hot;
	case CB_FINDING_WORKER_GONE:
	case CB_FINDING_WORKER_STUCK:
	case CB_FINDING_BACKLOG:
	case CB_FINDING_CONNECTION_SKEW:
	case CB_FINDING_CONTEXT_SWITCH_STORM:
	case CB_FINDING_STOLEN:
	case _CB_FINDING_MAX:
	case _CB_FINDING_INVALID:
		break;
	}
	return false;
}

/* Packets first, since what they cost is in the way of every worker there; then connections, where no move helps as much. */
static void steer_instead(struct cb_engine *engine, const struct cb_finding *finding,
			  struct group_state *group, struct cb_plan *plan)
{
	struct cb_plan other;

	if (engine_packets_for(engine, finding, group, plan, true, &other) == CB_REJECT_NONE) {
		refuse_steps(engine, plan, CB_REJECT_PACKETS);
		*plan = other;
	} else if ((plan->n_steps == 0 || engine_steer_first(engine, finding)) &&
		   engine_steer_for(engine, finding, group, &other) == CB_REJECT_NONE) {
		refuse_steps(engine, plan, CB_REJECT_STEERED);
		*plan = other;
	}
}

/* What is about a group and no CPU: no move mends that, but who has too much may be given less. */
static bool may_be_steered(const struct cb_finding *finding)
{
	return finding->kind == CB_FINDING_BACKLOG || finding->kind == CB_FINDING_CONNECTION_SKEW;
}

static void propose(struct cb_engine *engine, const struct cb_plan *plan,
		    const struct group_state *group, enum cb_reject gate,
		    struct cb_decision *decision)
{
	if (plan->n_steps == 0)
		return;
	if (gate == CB_REJECT_NONE)
		engine_plan_begin(engine, plan, engine_mode(engine, group) == CB_MODE_ADVISE,
				  engine->now_usec, decision);
	else
		refuse_steps(engine, plan, gate);
}

void engine_consider(struct cb_engine *engine, struct cb_decision *decision)
{
	uint32_t n_considered = 0;

	engine->n_refusals = 0;
	for (uint32_t i = 0;
	     i < engine->n_findings && n_considered < CONSIDERED_MAX && !engine->flight.active;
	     i++) {
		const struct cb_finding *finding = cb_engine_finding(engine, i);
		struct group_state *group = engine_group_of_finding(engine, finding);
		struct cb_plan plan;
		enum cb_reject gate;
		uint32_t max_steps;

		if (!group || (!engine_plannable(engine, finding) && !may_be_steered(finding)))
			continue;
		n_considered++;
		gate = engine_gate(engine, group, finding, &max_steps);
		if (may_be_steered(finding)) {
			(void)engine_steer_for(engine, finding, group, &plan);
			propose(engine, &plan, group, gate, decision);
			continue;
		}
		engine_plan_for(engine, finding, group, max_steps, &plan);
		blame_budget(engine, max_steps);
		engine_keep_refusals(engine);
		steer_instead(engine, finding, group, &plan);
		propose(engine, &plan, group, gate, decision);
	}
	engine_account_refusals(engine);
}
