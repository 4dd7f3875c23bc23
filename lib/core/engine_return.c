/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Never from A to B to A without new evidence. What a plan moved to a single CPU remembers where it was, and how much it and the
 * others on both CPUs had; it may go back only when one of these has changed by more than the smallest gain that a plan is made for, and
 * by more than loads vary by themselves. A mask needs no memory: once it is the widest, nothing else is planned for it.
 */

#include <math.h>

#include "engine_internal.h"

/* The item's memory, where it is and what it wants of that CPU; NULL when it is gone. */
static struct left *left_of(const struct cb_engine *engine, struct cb_item_ref item,
			    int32_t *ret_cpu, double *ret_ratio)
{
	struct worker_state *worker;
	struct irq_state *irq;

	if (item.kind == CB_ITEM_WORKER) {
		worker = engine_worker(engine, item.key);
		if (!worker)
			return NULL;
		*ret_cpu = worker->cpu_attributed;
		*ret_ratio = engine_wanted(worker);
		return &worker->left;
	}
	irq = item.kind == CB_ITEM_IRQ ? engine_irq_state(engine, item.key) : NULL;
	if (!irq)
		return NULL; /* gone, or it is not about a place */
	*ret_cpu = irq->effective_cpu;
	*ret_ratio = irq->load_ratio;
	return &irq->left;
}

static bool known_cpu(const struct cb_engine *engine, int32_t cpu)
{
	return engine->topology && cpu >= 0 && (uint32_t)cpu < engine->topology->n_cpu_ids;
}

static double taken(const struct cb_engine *engine, int32_t cpu)
{
	return engine->cpu[cpu].taken.smooth;
}

void engine_left_note(struct cb_engine *engine, const struct cb_step *step)
{
	double ratio;
	int32_t from, to = (int32_t)cb_cpuset_first(&step->to);
	struct left *left = left_of(engine, step->item, &from, &ratio);

	if (!left)
		return;
	left->known = false;
	if (cb_cpuset_count(&step->to) != 1 || from == to || !known_cpu(engine, from) ||
	    !known_cpu(engine, to))
		return;
	*left = (struct left){
		.known = true,
		.from = from,
		.to = to,
		.item_ratio = ratio * engine_speed(engine, (uint32_t)from),
		.from_ratio = CB_MAX(taken(engine, from) - ratio, 0.0),
		.to_ratio = taken(engine, to),
	};
}

void engine_left_forget(struct cb_engine *engine, struct cb_item_ref item)
{
	double ratio;
	int32_t cpu;
	struct left *left = left_of(engine, item, &cpu, &ratio);

	if (left)
		left->known = false;
}

int32_t engine_left_bars(const struct cb_engine *engine, struct cb_item_ref item)
{
	double ratio, moved, others, margin;
	int32_t cpu;
	const struct left *left = left_of(engine, item, &cpu, &ratio);

	if (!left || !left->known || cpu != left->to || !known_cpu(engine, left->from) ||
	    !known_cpu(engine, cpu))
		return -1;
	margin = CB_MAX(engine->policy.min_gain_ratio, engine_hysteresis(engine));
	moved = ratio * engine_speed(engine, (uint32_t)cpu);
	others = CB_MAX(taken(engine, cpu) - ratio, 0.0);
	if (fabs(moved - left->item_ratio) > margin || others > left->to_ratio + margin ||
	    taken(engine, left->from) < left->from_ratio - margin)
		return -1;
	return left->from;
}

void engine_left_explain(struct cb_engine *engine)
{
	for (uint32_t i = 0; i < engine->result.n_refusals; i++) {
		struct cb_refusal *refusal = &engine->result.refusal[i];
		int32_t barred = engine_left_bars(engine, refusal->item);
		double gain;

		if (barred < 0 || (refusal->reason != CB_REJECT_NO_GAIN &&
				   refusal->reason != CB_REJECT_OUTSIDE_CPUSET))
			continue;
		gain = CB_MIN(taken(engine, refusal->cpu) - taken(engine, barred) -
				      refusal->load_ratio,
			      refusal->load_ratio);
		if (gain < engine->policy.min_gain_ratio)
			continue;
		refusal->reason = CB_REJECT_RETURN;
		refusal->best_cpu = barred;
		refusal->gain_ratio = gain;
	}
}
