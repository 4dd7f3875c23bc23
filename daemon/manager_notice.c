/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the engine wants to be told goes to the log, to the bus and, when a plan has ended, into the history.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bus.h"
#include "log.h"
#include "manager.h"

/* --- history --- */

static void fill_step(const struct cb_manager *m, const struct cb_step *step,
		      struct cb_history_step *ret)
{
	*ret = (struct cb_history_step){
		.kind = step->item.kind,
		.state = step->state,
		.load_ratio = step->load_ratio,
	};
	cb_engine_item_name(m->engine, step->item, ret->name, sizeof(ret->name));
	cb_step_show(step, false, ret->from, sizeof(ret->from));
	cb_step_show(step, true, ret->to, sizeof(ret->to));
}

static void fill_judgement(const struct cb_judgement *judgement, struct cb_history_entry *ret)
{
	ret->verdict = judgement->verdict;
	snprintf(ret->sentence, sizeof(ret->sentence), "%s", judgement->sentence);
	snprintf(ret->measure, sizeof(ret->measure), "%s",
		 judgement->measure ? judgement->measure : "");
	ret->effect_ratio = judgement->effect_ratio;
	ret->p_value = judgement->p_value;
	ret->served_effect_ratio = judgement->served_effect_ratio;
	ret->served_p_value = judgement->served_p_value;
	ret->has_metric = judgement->has_metric;
	ret->metric_before = judgement->metric_before;
	ret->metric_after = judgement->metric_after;
	ret->wait_before_ratio = judgement->wait_before_ratio;
	ret->wait_after_ratio = judgement->wait_after_ratio;
	ret->n_before = judgement->n_before;
	ret->n_after = judgement->n_after;
}

/* The end of @plan on the clock on the wall. */
static uint64_t ended_at(const struct cb_manager *m, const struct cb_plan *plan)
{
	uint64_t age_usec = plan->done_usec != 0 ? cb_manager_now(m) - plan->done_usec : 0;

	return cb_host_realtime_usec(m->host) - age_usec;
}

/* A disk that is full is told of once. */
static void keep(struct cb_history *history, const struct cb_history_entry *entry)
{
	struct cb_err err = { .msg = "" };
	static bool failed;
	int r = cb_history_add(history, entry, &err);

	if (r < 0 && !failed)
		cb_log(LOG_WARNING, "Failed to write the history: %s", err.msg);
	failed = r < 0;
}

static void remember(struct cb_manager *m, const struct cb_plan *plan)
{
	struct cb_history_step step[CB_STEPS_MAX];
	struct cb_history_entry entry = {
		.plan_id = plan->id,
		.at_usec = ended_at(m, plan),
		.origin = plan->origin,
		.hottest_before_ratio = plan->hottest_before_ratio,
		.hottest_after_ratio = plan->hottest_after_ratio,
		.n_steps = plan->n_steps,
		.step = step,
	};

	memcpy(entry.group, plan->group, sizeof(entry.group));
	if (plan->has_finding)
		cb_engine_finding_sentence(m->engine, &plan->finding, entry.finding,
					   sizeof(entry.finding));
	for (uint32_t i = 0; i < plan->n_steps; i++) {
		fill_step(m, &plan->step[i], &step[i]);
		entry.foreign = entry.foreign || plan->step[i].error_class == CB_ERROR_FOREIGN;
	}
	fill_judgement(&plan->judgement, &entry);
	keep(m->history, &entry);
}

/* --- the kinds of notices --- */

static void tell_finding(struct cb_manager *m, const struct cb_notice *notice, bool began)
{
	const struct cb_registration *group =
		notice->group_key ? cb_manager_group_by_key(m, notice->group_key) : NULL;
	struct cb_item_ref item = { .kind = CB_ITEM_WORKER, .key = notice->worker_key };
	struct cb_log_fields fields = { .cpu = notice->cpu,
					.finding = cb_finding_kind_name(notice->finding),
					.group = group ? group->policy.name : NULL };
	char worker[96] = "";

	if (notice->worker_key) {
		cb_engine_item_name(m->engine, item, worker, sizeof(worker));
		fields.worker = worker;
	}
	cb_log_with(began ? LOG_NOTICE : LOG_INFO, &fields, "%s%s: %s",
		    began ? "" : "Over: ", fields.finding, notice->sentence);
	cb_server_finding(m->server, began, notice, fields.group ? fields.group : "", worker);
}

static void tell_ended(struct cb_manager *m, const struct cb_notice *notice)
{
	const struct cb_plan *last = cb_engine_last_plan(m->engine);
	struct cb_log_fields fields = { .cpu = -1,
					.plan_id = notice->plan_id,
					.verdict = cb_verdict_name(notice->verdict) };
	bool known = last && last->id == notice->plan_id;

	if (known) {
		fields.group = last->group;
		fields.judgement = &last->judgement;
	}
	/* the sentences of plans begin with their number */
	cb_log_with(LOG_NOTICE, &fields, "Plan ended: %s", notice->sentence);
	if (known)
		remember(m, last);
	if (m->journal)
		cb_apply_ended(m->journal, notice->plan_id);
	cb_server_plan(m->server, "PlanEnded", notice);
}

static void tell_plan(struct cb_manager *m, const struct cb_notice *notice, const char *what,
		      const char *signal)
{
	const struct cb_plan *plan = cb_engine_plan(m->engine);
	struct cb_log_fields fields = { .cpu = -1, .plan_id = notice->plan_id };

	if (plan && plan->id == notice->plan_id) {
		fields.group = plan->group;
		if (plan->has_finding)
			fields.finding = cb_finding_kind_name(plan->finding.kind);
	}
	cb_log_with(LOG_NOTICE, &fields, "Plan %s: %s", what, notice->sentence);
	cb_server_plan(m->server, signal, notice);
}

static void tell_foreign(struct cb_manager *m, const struct cb_notice *notice)
{
	struct cb_history_entry entry = { .at_usec = cb_host_realtime_usec(m->host),
					  .foreign = true };
	struct cb_log_fields fields = { .cpu = notice->cpu };

	/* the history has less room for a sentence than a notice */
	snprintf(entry.sentence, sizeof(entry.sentence), "%.*s",
		 (int)sizeof(entry.sentence) - 1, notice->sentence);
	cb_log_with(LOG_WARNING, &fields, "%s", notice->sentence);
	keep(m->others, &entry);
}

void cb_manager_notice(struct cb_manager *m, const struct cb_notice *notice)
{
	struct cb_log_fields fields = { .cpu = notice->cpu, .plan_id = notice->plan_id };

	switch (notice->kind) {
	case CB_NOTICE_FINDING_BEGAN:
	case CB_NOTICE_FINDING_ENDED:
		tell_finding(m, notice, notice->kind == CB_NOTICE_FINDING_BEGAN);
		break;
	case CB_NOTICE_PLAN_PROPOSED:
		tell_plan(m, notice, "proposed", "PlanProposed");
		break;
	case CB_NOTICE_PLAN_APPLIED:
		tell_plan(m, notice, "applied", "PlanApplied");
		break;
	case CB_NOTICE_PLAN_ENDED:
		tell_ended(m, notice);
		break;
	case CB_NOTICE_FOREIGN:
		tell_foreign(m, notice);
		break;
	case CB_NOTICE_CANARY:
		cb_log_with(LOG_WARNING, &fields, "%s", notice->sentence);
		break;
	case _CB_NOTICE_MAX:
	case _CB_NOTICE_INVALID:
		break;
	}
}
