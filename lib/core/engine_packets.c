/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Packet steering: which CPUs handle what an interface receives (RPS), and by which queue a CPU sends (XPS). A CPU that is hot by softirqs
 * whose interrupt cannot be moved, or is the only one of its interface, is relieved by giving the packets of its receive queues to
 * cool CPUs. Transmit queues follow their interrupts: a plan that moves one has steps for the queues too. All of it is proved or undone
 * as any other plan; undone is what was there before.
 *
 * How much is spent on packets is known of a CPU, not of a queue without an interrupt of its own. So all queues whose packets are
 * handled on the hot CPU get the same set, and what a virtual interface receives is counted there only where most of the receiving is done.
 */
#include <string.h>

#include "cpubalance/packets.h"
#include "engine_internal.h"

#define RX_SHARE_RATIO \
	0.5 /* of all NET_RX softirqs: what nobody else knows the place of is received there */
#define RX_MIN_PER_SEC 50.0
#define FLOWS_TABLE \
	32768u /* Documentation/networking/scaling.rst: a moderate number of flows; the queues share it */
#define FLOWS_MIN 256u

static bool allows(enum cb_packets policy, enum cb_item_kind kind)
{
	enum cb_packets wanted = kind == CB_ITEM_XPS ? CB_PACKETS_XPS : CB_PACKETS_RPS;

	return policy == CB_PACKETS_BOTH || policy == wanted;
}

static bool is_fed_by(const struct group_state *group, const struct cb_queue_info *info)
{
	return engine_group_names(group, info->ifname, info->device);
}

/* --- queues and their interrupts --- */

static bool serves(const struct cb_irq_info *irq, enum cb_queue_dir dir)
{
	return irq->queue_dir == dir || irq->queue_dir == CB_QUEUE_BOTH;
}

/* By number and direction, or the only one that the interface has. Index in irqs, -1 unknown. */
static int64_t irq_of(const struct cb_engine *engine, const struct cb_queue_info *info)
{
	int64_t only = -1;
	uint32_t n = 0;

	for (uint32_t i = 0; engine->irqs && i < engine->irqs->n; i++) {
		const struct cb_irq_info *irq = &engine->irqs->irq[i];

		if (irq->class != CB_IRQ_NETWORK || strcmp(irq->ifname, info->ifname) != 0)
			continue;
		if (irq->queue >= 0 && (uint32_t)irq->queue == info->queue &&
		    serves(irq, info->dir))
			return i;
		n++;
		only = i;
	}
	return n == 1 ? only : -1;
}

static double rx_rate(const struct cb_engine *engine, unsigned int cpu)
{
	return engine->cpu[cpu].softirqs_per_sec[CB_SOFTIRQ_NET_RX].smooth;
}

static bool receives_most(const struct cb_engine *engine, unsigned int cpu)
{
	double sum = 0;

	CB_CPUSET_FOREACH(other, &engine->topology->online)
		if (other < engine->topology->n_cpu_ids)
			sum += rx_rate(engine, other);
	return rx_rate(engine, cpu) >= RX_MIN_PER_SEC &&
	       rx_rate(engine, cpu) >= RX_SHARE_RATIO * sum;
}

/* Are the packets of that receive queue handled on @cpu? @ret_load: how much that is there, where its interrupt tells. */
static bool lands_on(const struct cb_engine *engine, const struct cb_queue_info *info,
		     unsigned int cpu, double *ret_load)
{
	int64_t irq;

	*ret_load = engine->cpu[cpu].softirq.smooth;
	if (!cb_cpuset_empty(&info->cpus))
		return cb_cpuset_has(&info->cpus, cpu) && rx_rate(engine, cpu) >= RX_MIN_PER_SEC;
	irq = irq_of(engine, info);
	if (irq < 0)
		return !info->device && receives_most(engine, cpu);
	*ret_load = CB_MIN(*ret_load, engine->irq[irq].load_ratio);
	return engine->irq[irq].effective_cpu == (int32_t)cpu;
}

/* --- receiving --- */

static struct cb_step *add_step(struct cb_plan *plan, enum cb_item_kind kind,
				const struct cb_queue_info *info)
{
	struct cb_step *step;

	if (plan->n_steps == CB_STEPS_MAX)
		return NULL;
	step = &plan->step[plan->n_steps++];
	*step = (struct cb_step){ .op = CB_OP_SET, .item = { .kind = kind } };
	if (info)
		step->item.key = cb_queue_key(info->ifindex, info->queue);
	return step;
}

static void add_mask(struct cb_plan *plan, enum cb_item_kind kind, const struct cb_queue_info *info,
		     const struct cb_cpuset *to, double load_ratio)
{
	struct cb_step *step = cb_cpuset_equal(&info->cpus, to) ? NULL : add_step(plan, kind, info);

	if (!step)
		return;
	step->from = info->cpus;
	step->to = *to;
	step->load_ratio = load_ratio;
}

/* What stops this queue by itself; NONE when nothing does. */
static enum cb_reject queue_reject(const struct cb_engine *engine, const struct cb_queue_info *info)
{
	const struct queue_state *state = &engine->queue[info - engine->queues->queue];

	if (state->foreign)
		return CB_REJECT_FOREIGN;
	if (state->refused)
		return CB_REJECT_NO_RIGHT;
	return state->quarantine.until_usec > engine->now_usec ? CB_REJECT_QUARANTINE :
								 CB_REJECT_NONE;
}

/* The step of @plan that moves that interrupt of engine->irqs; NULL none. */
static const struct cb_step *step_of_irq(const struct cb_engine *engine, const struct cb_plan *plan,
					 int64_t irq)
{
	for (uint32_t i = 0; i < plan->n_steps; i++)
		if (plan->step[i].item.kind == CB_ITEM_IRQ &&
		    plan->step[i].item.key == engine->irqs->irq[irq].irq)
			return &plan->step[i];
	return NULL;
}

/* A plan that moves the interrupt of one of several queues: what is received goes along, and nothing is handed from CPU to CPU. */
static bool is_moved(const struct cb_engine *engine, const struct cb_queue_info *info,
		     const struct cb_plan *moves)
{
	int64_t irq = moves && moves->n_steps ? irq_of(engine, info) : -1;

	return irq >= 0 && cb_queues_count(engine->queues, info->ifindex, CB_QUEUE_RX) >= 2 &&
	       step_of_irq(engine, moves, irq);
}

static enum cb_reject rps_reject(const struct cb_engine *engine, const struct group_state *group,
				 const struct cb_queue_info *info, const struct cb_plan *moves)
{
	struct cb_cpuset may = engine_irq_allowed(engine, group);
	enum cb_reject reject = queue_reject(engine, info);

	if (reject != CB_REJECT_NONE)
		return reject;
	if (cb_queues_count(engine->queues, info->ifindex, CB_QUEUE_RX) >= cb_cpuset_count(&may))
		return CB_REJECT_QUEUES_ENOUGH;
	return is_moved(engine, info, moves) ? CB_REJECT_MOVE_FIRST : CB_REJECT_NONE;
}

/* What each CPU has to do, into floor_ratio[]: workers count with what they wait for. */
static void fill_loads(struct cb_engine *engine)
{
	for (uint32_t i = 0; i < engine->topology->n_cpu_ids; i++)
		engine->floor_ratio[i] = engine->cpu[i].busy.smooth;
	for (uint32_t i = 0; i < engine->n_workers; i++) {
		const struct worker_state *worker = &engine->worker[i];

		if (worker->cpu_attributed >= 0)
			engine->floor_ratio[worker->cpu_attributed] +=
				engine_wanted(worker) - worker->cpu_share_ratio;
	}
}

static enum cb_reject choose(struct cb_engine *engine, const struct group_state *group,
			     unsigned int cpu, double softirq_ratio, struct cb_rps_choice *ret)
{
	struct cb_rps_problem problem = {
		.topology = engine->topology,
		.may = engine_irq_allowed(engine, group),
		.load_ratio = engine->floor_ratio,
		.cpu = cpu,
		.softirq_ratio = softirq_ratio,
		.cooler_by_ratio = engine->policy.cooler_by_ratio,
		.min_gain_ratio = engine->policy.min_gain_ratio,
		.min_item_ratio = engine->policy.min_item_ratio,
		.cross_node = engine->policy.cross_node,
	};

	if (!engine->policy.use_isolated)
		problem.isolated =
			cb_cpuset_andnot(&engine->topology->online, &engine->housekeeping);
	fill_loads(engine);
	return cb_rps_choose(&problem, ret);
}

static void refuse(struct cb_engine *engine, const struct cb_queue_info *info, unsigned int cpu,
		   double load_ratio, enum cb_reject reason, const struct cb_rps_choice *choice)
{
	if (engine->n_refusals == CB_REFUSALS_MAX)
		return;
	engine->refusal[engine->n_refusals++] = (struct cb_refusal){
		.item = { CB_ITEM_RPS, cb_queue_key(info->ifindex, info->queue) },
		.cpu = (int32_t)cpu,
		.reason = reason,
		.best_cpu = choice ? choice->best_cpu : -1,
		.gain_ratio = choice ? choice->before_ratio - choice->after_ratio : 0,
		.load_ratio = load_ratio,
	};
}

/*
 * Flows are kept where they are read only where that is never the CPU which has too much to do already, and where there is a choice. The
 * masks are no limit to that: a flow goes where its reader is.
 */
static void add_flows(struct cb_engine *engine, const struct group_state *group, unsigned int cpu,
		      const struct cb_cpuset *cpus, struct cb_plan *plan)
{
	uint32_t n_queues = plan->n_steps, each;
	struct cb_step *step;

	if (!engine->queues->has_table || n_queues == 0 || 2 * n_queues >= CB_STEPS_MAX ||
	    cb_cpuset_count(cpus) < 2 || cb_cpuset_has(cpus, cpu))
		return;
	for (uint32_t i = 0; i < engine->n_workers; i++)
		if (engine->worker[i].group_key == group->key &&
		    (engine->worker[i].cpu_attributed < 0 ||
		     !cb_cpuset_has(cpus, (unsigned int)engine->worker[i].cpu_attributed)))
			return;
	for (each = FLOWS_TABLE; each / 2 * n_queues >= FLOWS_TABLE && each > FLOWS_MIN;)
		each /= 2;
	for (uint32_t i = 0; i < n_queues; i++) {
		const struct cb_queue_info *info = engine_queue(engine, plan->step[i].item);

		if (!info || info->flows >= each)
			continue;
		step = add_step(plan, CB_ITEM_RFS, info);
		if (step) {
			step->share_from = info->flows;
			step->share_to = each;
		}
	}
	if (plan->n_steps == n_queues || engine->queues->table != 0)
		return;
	step = add_step(plan, CB_ITEM_RFS, NULL);
	if (step)
		step->share_to = FLOWS_TABLE;
}

/* The queues of the group whose packets are handled on that CPU, as steps to nowhere yet; those that are stopped are refused. */
static enum cb_reject list_queues(struct cb_engine *engine, const struct group_state *group,
				  unsigned int cpu, const struct cb_plan *moves, bool tell,
				  struct cb_plan *ret, double *ret_load)
{
	enum cb_reject why = CB_REJECT_NO_QUEUE;

	*ret_load = 0;
	for (uint32_t i = 0; engine->queues && i < engine->queues->n; i++) {
		const struct cb_queue_info *info = &engine->queues->queue[i];
		struct cb_step *step;
		double load;

		if (info->dir != CB_QUEUE_RX || !is_fed_by(group, info) ||
		    !lands_on(engine, info, cpu, &load))
			continue;
		why = rps_reject(engine, group, info, moves);
		if (why != CB_REJECT_NONE) {
			if (tell)
				refuse(engine, info, cpu, load, why, NULL);
			continue;
		}
		step = add_step(ret, CB_ITEM_RPS, info);
		if (!step)
			continue;
		step->load_ratio = load;
		*ret_load += load;
	}
	*ret_load = CB_MIN(*ret_load, engine->cpu[cpu].softirq.smooth);
	return ret->n_steps ? CB_REJECT_NONE : why;
}

enum cb_reject engine_packets_for(struct cb_engine *engine, const struct cb_finding *finding,
				  struct group_state *group, const struct cb_plan *moves, bool tell,
				  struct cb_plan *ret)
{
	unsigned int cpu = finding->cpu >= 0 ? (unsigned int)finding->cpu : 0;
	struct cb_rps_choice choice = { .best_cpu = -1 };
	struct cb_plan found;
	enum cb_reject reject;
	double load;

	engine_plan_blank(engine, group, CB_ORIGIN_AUTO, ret);
	if (!allows(group->policy.packets, CB_ITEM_RPS))
		return CB_REJECT_NOT_PACKETS;
	if (finding->kind != CB_FINDING_HOT_CPU &&
	    finding->kind != CB_FINDING_SOFTIRQ_CONCENTRATION)
		return CB_REJECT_SATURATED;
	if (finding->cpu < 0 || cpu >= engine->topology->n_cpu_ids)
		return CB_REJECT_NO_QUEUE;
	if (group->packets_ordered)
		return CB_REJECT_PACKETS_ORDERED;
	engine_plan_blank(engine, group, CB_ORIGIN_AUTO, &found);
	reject = list_queues(engine, group, cpu, moves, tell, &found, &load);
	if (reject == CB_REJECT_NONE && load < engine->policy.softirq_on_ratio)
		reject = CB_REJECT_LITTLE_SOFTIRQ;
	if (reject == CB_REJECT_NONE)
		reject = choose(engine, group, cpu, load, &choice);
	for (uint32_t i = 0; i < found.n_steps; i++) {
		const struct cb_queue_info *info = engine_queue(engine, found.step[i].item);

		if (reject == CB_REJECT_NONE)
			add_mask(ret, CB_ITEM_RPS, info, &choice.cpus, load / found.n_steps);
		else if (tell)
			refuse(engine, info, cpu, found.step[i].load_ratio, reject, &choice);
	}
	if (ret->n_steps == 0)
		return reject == CB_REJECT_NONE ? CB_REJECT_NO_GAIN : reject;
	add_flows(engine, group, cpu, &choice.cpus, ret);
	ret->has_finding = true;
	ret->finding = *finding;
	ret->hot_cpu = finding->cpu;
	ret->hottest_before_ratio = choice.before_ratio;
	ret->hottest_after_ratio = choice.after_ratio;
	return CB_REJECT_NONE;
}

double engine_packets_ratio(const struct cb_engine *engine, const struct group_state *group,
			    uint32_t cpu)
{
	double sum = 0, load;

	if (!allows(group->policy.packets, CB_ITEM_RPS))
		return 0;
	for (uint32_t i = 0; engine->queues && i < engine->queues->n; i++) {
		const struct cb_queue_info *info = &engine->queues->queue[i];

		if (info->dir == CB_QUEUE_RX && is_fed_by(group, info) &&
		    queue_reject(engine, info) == CB_REJECT_NONE &&
		    lands_on(engine, info, cpu, &load))
			sum += load;
	}
	return CB_MIN(sum, engine->cpu[cpu].softirq.smooth);
}

/* --- sending --- */

/* Where the interrupt will land when @plan is carried out. */
static int32_t irq_cpu_after(const struct cb_engine *engine, int64_t irq,
			     const struct cb_plan *plan)
{
	const struct cb_step *step = irq >= 0 ? step_of_irq(engine, plan, irq) : NULL;

	if (step)
		return (int32_t)cb_cpuset_first(&step->to);
	return irq >= 0 ? engine->irq[irq].effective_cpu : -1;
}

/* Steps that let the transmit queues of an interface follow their interrupts. All or none: a mask is one of a set of masks. */
static enum cb_reject spread(struct cb_engine *engine, uint32_t ifindex, struct cb_plan *plan)
{
	struct cb_cpuset mask[CB_STEPS_MAX];
	const struct cb_queue_info *queue[CB_STEPS_MAX];
	int32_t irq_cpu[CB_STEPS_MAX];
	uint32_t n = 0, n_steps = plan->n_steps, n_differ = 0;

	for (uint32_t i = 0; i < engine->queues->n; i++) {
		const struct cb_queue_info *info = &engine->queues->queue[i];
		enum cb_reject reject;

		if (info->dir != CB_QUEUE_TX || info->ifindex != ifindex)
			continue;
		reject = queue_reject(engine, info);
		if (reject != CB_REJECT_NONE)
			return reject;
		if (n == CB_STEPS_MAX)
			return CB_REJECT_TOO_MANY;
		queue[n] = info;
		irq_cpu[n++] = irq_cpu_after(engine, irq_of(engine, info), plan);
	}
	if (n < 2)
		return CB_REJECT_ONE_QUEUE;
	cb_xps_spread(engine->topology, &engine->topology->online, irq_cpu, n, mask);
	for (uint32_t i = 0; i < n; i++)
		n_differ += !cb_cpuset_equal(&queue[i]->cpus, &mask[i]);
	if (n_steps + n_differ > CB_STEPS_MAX)
		return CB_REJECT_TOO_MANY;
	for (uint32_t i = 0; i < n; i++)
		add_mask(plan, CB_ITEM_XPS, queue[i], &mask[i], 0);
	return n_differ ? CB_REJECT_NONE : CB_REJECT_NO_GAIN;
}

void engine_packets_follow(struct cb_engine *engine, const struct group_state *group,
			   struct cb_plan *plan)
{
	uint32_t n_moves = plan->n_steps, last = 0;

	if (!allows(group->policy.packets, CB_ITEM_XPS) || group->packets_ordered ||
	    !engine->queues)
		return;
	for (uint32_t i = 0; i < n_moves; i++) {
		const struct cb_irq_info *irq =
			plan->step[i].item.kind == CB_ITEM_IRQ && engine->irqs ?
				cb_irqs_find(engine->irqs, plan->step[i].item.key) :
				NULL;

		if (!irq || irq->queue < 0 || !serves(irq, CB_QUEUE_TX))
			continue;
		for (uint32_t k = 0; k < engine->queues->n; k++) {
			const struct cb_queue_info *info = &engine->queues->queue[k];

			/* all queues of an interface at once */
			if (info->dir != CB_QUEUE_TX || info->ifindex == last ||
			    strcmp(info->ifname, irq->ifname) != 0 || !is_fed_by(group, info))
				continue;
			last = info->ifindex;
			(void)spread(engine, last, plan);
			break;
		}
	}
}

/* --- back --- */

static void restore_step(struct cb_plan *plan, enum cb_item_kind kind,
			 const struct cb_queue_info *info)
{
	struct cb_step *step = add_step(plan, kind, info);

	if (!step)
		return;
	step->op = CB_OP_RESTORE;
	if (info && kind != CB_ITEM_RFS)
		step->from = info->cpus;
	else
		step->share_from = info ? info->flows : 0;
}

/* Steps for what has been placed for this group and is not allowed any more; of all of it with @all. */
static void restore_steps(const struct cb_engine *engine, const struct group_state *group, bool all,
			  struct cb_plan *plan)
{
	enum cb_packets policy = group->policy.packets;

	for (uint32_t i = 0; i < engine->queues->n; i++) {
		const struct cb_queue_info *info = &engine->queues->queue[i];
		enum cb_item_kind kind = info->dir == CB_QUEUE_TX ? CB_ITEM_XPS : CB_ITEM_RPS;

		if (strcmp(info->group, group->policy.name) != 0 || (!all && allows(policy, kind)))
			continue;
		if (info->placed)
			restore_step(plan, kind, info);
		if (info->flows_placed)
			restore_step(plan, CB_ITEM_RFS, info);
	}
	if (engine->table_placed && strcmp(engine->table_group, group->policy.name) == 0 &&
	    (all || !allows(policy, CB_ITEM_RFS)))
		restore_step(plan, CB_ITEM_RFS, NULL);
}

void engine_packets_tick(struct cb_engine *engine, struct cb_decision *decision)
{
	struct cb_plan plan;

	for (uint32_t i = 0; engine->queues && i < engine->n_groups && !engine->flight.active;
	     i++) {
		struct group_state *group = engine->group[i];

		engine_plan_blank(engine, group, CB_ORIGIN_AUTO, &plan);
		plan.unjudged = true;
		restore_steps(engine, group, false, &plan);
		if (plan.n_steps)
			engine_plan_begin(engine, &plan, false, engine->now_usec, decision);
	}
}

/* --- orders --- */

/* Every receive queue of the group to these CPUs. */
static enum cb_reject order_rps(const struct cb_engine *engine, const struct group_state *group,
				const struct cb_command *command, struct cb_plan *ret)
{
	enum cb_reject why = engine_mask_reject(engine, group, NULL, &command->mask);
	bool any = false;

	for (uint32_t i = 0; why == CB_REJECT_NONE && i < engine->queues->n; i++) {
		const struct cb_queue_info *info = &engine->queues->queue[i];

		if (info->dir != CB_QUEUE_RX || !is_fed_by(group, info))
			continue;
		any = true;
		if (engine->queue[i].foreign)
			return CB_REJECT_FOREIGN;
		add_mask(ret, CB_ITEM_RPS, info, &command->mask, 0);
	}
	return why != CB_REJECT_NONE ? why :
	       any && !ret->n_steps  ? CB_REJECT_NO_GAIN :
	       any		     ? CB_REJECT_NONE :
				       CB_REJECT_NO_QUEUE;
}

static enum cb_reject order_xps(struct cb_engine *engine, const struct group_state *group,
				struct cb_plan *ret)
{
	enum cb_reject why = CB_REJECT_NO_QUEUE;
	uint32_t last = 0;

	for (uint32_t i = 0; i < engine->queues->n; i++) {
		const struct cb_queue_info *info = &engine->queues->queue[i];

		if (info->dir != CB_QUEUE_TX || info->ifindex == last || !is_fed_by(group, info))
			continue;
		last = info->ifindex;
		why = spread(engine, last, ret);
	}
	return ret->n_steps ? CB_REJECT_NONE : why;
}

enum cb_reject engine_packets_order(struct cb_engine *engine, const struct group_state *group,
				    const struct cb_command *command, struct cb_plan *ret)
{
	enum cb_reject why = CB_REJECT_NONE;

	engine_plan_blank(engine, group, CB_ORIGIN_OPERATOR, ret);
	if (command->packets == CB_PACKETS_NONE) {
		ret->unjudged = true;
		if (engine->queues && !command->present)
			restore_steps(engine, group, true, ret);
		return CB_REJECT_NONE;
	}
	if ((command->packets != CB_PACKETS_XPS && !allows(group->policy.packets, CB_ITEM_RPS)) ||
	    (command->packets != CB_PACKETS_RPS && !allows(group->policy.packets, CB_ITEM_XPS)))
		return CB_REJECT_NOT_PACKETS;
	if (!engine->queues)
		return CB_REJECT_NO_QUEUE;
	if (command->packets != CB_PACKETS_XPS)
		why = order_rps(engine, group, command, ret);
	if (why == CB_REJECT_NONE && command->packets != CB_PACKETS_RPS)
		why = order_xps(engine, group, ret);
	return why;
}
