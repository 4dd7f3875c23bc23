/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The one door through which a decision reaches the machine. Each step is done or is not, and says so; one that fails
 * stops no other. What a step of each kind does is in apply_task.c, apply_irq.c and release.c.
 */
#include "apply_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cpubalance/host.h"
#include "host_internal.h"
#include "journal_internal.h"
#include "journal_trial.h"

struct apply {
	struct cb_host *host;
	struct cb_journal *journal;
	const struct cb_engine *engine;
	const struct cb_decision *decision;
	struct cb_outcome *ret;
	int errnum; /* that keeps the plan from being on trial: nothing may be placed */
};

static void set_gone(struct cb_step *step)
{
	step->state = CB_STEP_GONE;
	step->errnum = ESRCH;
	step->error_class = CB_ERROR_GONE;
}

/* What became of the entries of one restored item, as the state of its step. Nothing journaled: it is where it was. */
static void judge_restore(struct cb_step *step, const struct cb_change *change)
{
	step->errnum = 0;
	step->error_class = CB_ERROR_NONE;
	if (change->n_failed > 0) {
		step->state = CB_STEP_FAILED;
		step->errnum = change->errnum;
		step->error_class = change->error_class;
	} else if (change->n_pending > 0) {
		step->state = CB_STEP_PENDING;
	} else if (change->n_restored == 0 && change->n_foreign > 0) {
		step->state = CB_STEP_FAILED;
		step->error_class = CB_ERROR_FOREIGN;
	} else if (change->n_restored == 0 && change->n_gone > 0) {
		set_gone(step);
	} else {
		step->state = CB_STEP_DONE;
	}
}

static void restore(struct apply *apply, const struct cb_select *select, struct cb_step *step)
{
	struct cb_change change = { .writer = apply->host->writer, .journal = apply->journal };

	cb_restore_selected(&change, select, false);
	judge_restore(step, &change);
	apply->ret->n_restored += change.n_restored;
	apply->ret->n_pending += change.n_pending;
	apply->ret->n_gone += change.n_gone;
	apply->ret->n_foreign += change.n_foreign;
	apply->ret->n_failed += change.n_failed;
}

/* Unrecorded means unwritten: a plan that could not be put on trial would look like one that was kept. */
static bool refused(const struct apply *apply, struct cb_step *step)
{
	if (apply->errnum == 0)
		return false;
	step->state = CB_STEP_FAILED;
	step->errnum = apply->errnum;
	step->error_class = CB_ERROR_TRANSIENT;
	return true;
}

static void do_worker(struct apply *apply, struct cb_step *step)
{
	struct cb_change change = { .writer = apply->host->writer, .journal = apply->journal };
	struct cb_worker_view worker;
	struct cb_target target = { .plan_id = apply->decision->plan_id };
	struct cb_select select = { .lineage = &target };

	if (!apply->engine || !cb_engine_worker_by_key(apply->engine, step->item.key, &worker)) {
		set_gone(step);
		return;
	}
	target.tgid = worker.pid;
	target.tid = worker.tid;
	target.start_ticks = worker.start_ticks;
	target.group = worker.group ? worker.group : "";
	if (step->op == CB_OP_RESTORE) {
		restore(apply, &select, step);
		return;
	}
	if (refused(apply, step))
		return;
	cb_heirs_listen(apply->host);
	cb_place_process(&change, &target, step);
}

static void do_irq(struct apply *apply, struct cb_step *step)
{
	struct cb_change change = { .writer = apply->host->writer, .journal = apply->journal };
	const struct cb_plan *plan = apply->engine ? cb_engine_plan(apply->engine) : NULL;
	struct cb_select select = { .irq = &step->item.key };

	if (step->op == CB_OP_RESTORE)
		restore(apply, &select, step);
	else if (!refused(apply, step))
		cb_place_irq(&change,
			     plan && plan->id == apply->decision->plan_id ? plan->group : "",
			     apply->decision->plan_id, step);
}

/* A queue by its key, which the engine knows the interface of; what is gone from its inventory is gone. */
static void do_queue(struct apply *apply, struct cb_step *step)
{
	struct cb_change change = { .writer = apply->host->writer, .journal = apply->journal };
	enum cb_knob_id knob = step->item.kind == CB_ITEM_RPS ? CB_KNOB_RPS_CPUS :
			       step->item.kind == CB_ITEM_XPS ? CB_KNOB_XPS_CPUS :
								CB_KNOB_RPS_FLOWS;
	const struct cb_plan *plan = apply->engine ? cb_engine_plan(apply->engine) : NULL;
	struct cb_queue_id queue = { .ifindex = step->item.key / CB_QUEUE_NUMBERS,
				     .queue = step->item.key % CB_QUEUE_NUMBERS };
	struct cb_select select = { .knob = &knob, .queue = &queue };

	if (step->op == CB_OP_RESTORE)
		restore(apply, &select, step);
	else if (!refused(apply, step))
		cb_place_queue(&change, &queue,
			       plan && plan->id == apply->decision->plan_id ? plan->group : "",
			       apply->decision->plan_id, step);
}

uint32_t cb_irqs_again(struct cb_host *host, struct cb_journal *journal, struct cb_irqs *irqs)
{
	struct cb_change change = { .writer = host->writer, .journal = journal };
	uint32_t n = 0;

	/* From the end: a put appends, and a drop moves the last entry, which has had its turn, into the gap. */
	for (uint32_t i = cb_journal_count(journal); i-- > 0;) {
		const struct cb_journal_entry *e = cb_journal_at(journal, i);

		if (e->knob == CB_KNOB_IRQ_AFFINITY)
			n += cb_irq_again(&change, e, irqs);
	}
	for (uint32_t i = 0; n > 0 && i < irqs->n; i++) {
		struct cb_irq_info *info = &irqs->irq[i];

		if (cb_journal_find_irq(journal, info->irq, info->hwirq, info->actions))
			(void)!host->writer->ops->irq_get(host->writer, info->irq, &info->affinity);
	}
	return n;
}

static bool joins(const struct cb_step *a, const struct cb_step *b)
{
	return a->item.kind == b->item.kind && a->op == b->op;
}

/* Steps [from, to) are of one kind that steers and of one group: done together, and put back together. */
/* Has the group of @worker others than these? */
static bool has_others(const struct cb_engine *engine, const struct cb_worker_view *worker,
		       const struct cb_step *steps, uint32_t n)
{
	for (uint32_t i = 0; i < cb_engine_n_workers(engine); i++) {
		struct cb_worker_view other;
		uint32_t k = 0;

		cb_engine_worker(engine, i, &other);
		while (k < n && steps[k].item.key != other.key)
			k++;
		if (k == n && other.group_key == worker->group_key)
			return true;
	}
	return false;
}

static void do_steering(struct apply *apply, uint32_t from, uint32_t to)
{
	struct cb_change change = { .writer = apply->host->writer, .journal = apply->journal };
	struct cb_step *steps = &apply->ret->step[from];
	enum cb_knob_id knob = steps->item.kind == CB_ITEM_LISTENER ? CB_KNOB_INCOMING_CPU :
								      CB_KNOB_REUSEPORT_WEIGHTS;
	struct cb_target workers[CB_STEPS_MAX];
	struct cb_select select = { .knob = &knob };
	struct cb_worker_view worker;
	bool part = false;

	for (uint32_t i = 0; i < to - from; i++) {
		if (!apply->engine ||
		    !cb_engine_worker_by_key(apply->engine, steps[i].item.key, &worker)) {
			/* to put back, one that is there is enough to know the group by */
			worker = (struct cb_worker_view){ .pid = 0 };
			set_gone(&steps[i]);
		}
		workers[i] = (struct cb_target){ .tgid = worker.pid,
						 .start_ticks = worker.start_ticks,
						 .group = worker.group ? worker.group : "",
						 .plan_id = apply->decision->plan_id };
		if (!worker.group)
			continue;
		if (!select.group)
			part = has_others(apply->engine, &worker, steps, to - from);
		select.group = worker.group;
	}
	if (steps->op == CB_OP_RESTORE && select.group) {
		restore(apply, &select, steps);
		for (uint32_t i = 1; i < to - from; i++) {
			steps[i].state = steps[0].state;
			steps[i].errnum = steps[0].errnum;
			steps[i].error_class = steps[0].error_class;
		}
	} else if (select.group) {
		for (uint32_t i = 0; i < to - from; i++)
			if (refused(apply, &steps[i]))
				return;
		cb_place_steering(&change, workers, steps, to - from, part);
	}
}

void cb_apply(struct cb_host *host, struct cb_journal *journal, const struct cb_engine *engine,
	      const struct cb_decision *decision, struct cb_outcome *ret)
{
	struct apply apply = {
		.host = host,
		.journal = journal,
		.engine = engine,
		.decision = decision,
		.ret = ret,
	};

	apply.errnum = -cb_journal_set_trial(journal, decision->plan_id, NULL);
	memset(ret, 0, sizeof(*ret));
	ret->plan_id = decision->plan_id;
	ret->n_steps = CB_MIN(decision->n_steps, CB_STEPS_MAX);
	/* Who was forked with our mask until now has to be known: its mask is about to be no longer the one we set. */
	cb_hotplug_update(host, journal);
	cb_heirs_update(host, journal);
	if (!host->proc_conn && !host->writer->ops->pretends)
		(void)cb_heirs_search(host->writer, journal);
	for (uint32_t i = 0; i < ret->n_steps; i++) {
		struct cb_step *step = &ret->step[i];

		*step = decision->step[i];
		if (cb_item_steers(step->item.kind)) {
			uint32_t first = i;

			while (i + 1 < ret->n_steps && joins(step, &decision->step[i + 1])) {
				i++;
				ret->step[i] = decision->step[i];
			}
			do_steering(&apply, first, i + 1);
			continue;
		}
		switch (step->item.kind) {
		case CB_ITEM_WORKER:
			do_worker(&apply, step);
			break;
		case CB_ITEM_IRQ:
			do_irq(&apply, step);
			break;
		case CB_ITEM_RPS:
		case CB_ITEM_RFS:
		case CB_ITEM_XPS:
			do_queue(&apply, step);
			break;
		case CB_ITEM_LISTENER:
		case CB_ITEM_SHARE:
		case _CB_ITEM_MAX:
		case _CB_ITEM_INVALID:
			step->state = CB_STEP_FAILED;
			step->errnum = EINVAL;
			step->error_class = CB_ERROR_PERMANENT;
			break;
		}
	}
}
