/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Windows: what each group got done in each interval, kept in a ring, so that a move can be compared with what was before it.
 * A window is clean when nothing but the load can have changed it: no worker came or went, no mask was written, and it is one
 * interval long. A verdict never looks across one that is not.
 */

#include <string.h>

#include "engine_internal.h"

/* Groups with less CPU time than this say nothing about the load of the machine. */
#define CONTROL_MIN_RATIO 0.05

#define HAS_DROPS (CB_GROUP_HAS_LISTEN | CB_GROUP_HAS_DATAGRAMS)

/* A sampler that was starved, stopped or suspended: what happened meanwhile is in one window that says nothing of any second. */
#define GAP_USEC CB_USEC_PER_SEC

void engine_disturb(struct cb_engine *engine, struct group_state *group)
{
	group->disturbed_usec = engine->now_usec;
}

/* A disturbance that no verdict may look across, even if all windows of its own side are clean. */
void engine_part(struct cb_engine *engine, struct group_state *group, const char *why)
{
	engine_disturb(engine, group);
	group->parted_usec = engine->now_usec;
	group->parted_why = why;
}

/* After a gap as long as a comparison takes the load may be any other; after a shorter one, only its window is left out. */
static void note_gap(struct cb_engine *engine, struct group_state *group, uint64_t dt_usec)
{
	const struct cb_policy *policy = &engine->policy;

	if (dt_usec <= 2 * policy->sample_interval_usec + GAP_USEC)
		return;
	if (dt_usec > policy->verify_windows * policy->sample_interval_usec)
		engine_part(engine, group,
			    "nothing was measured for a while, so nothing can be compared");
	else
		engine_disturb(engine, group);
}

static const struct cb_group_sample *sample_of(const struct cb_snapshot *snapshot, uint32_t key)
{
	for (uint32_t i = 0; i < snapshot->n_groups; i++)
		if (snapshot->group[i].key == key)
			return &snapshot->group[i];
	return NULL;
}

/* The group's own counters; returns what of them has a growth over this interval. */
static uint32_t group_rates(struct group_state *group, const struct cb_group_sample *now,
			    uint64_t now_usec, uint64_t tau_usec, uint64_t *ret_packets,
			    uint64_t *ret_drops)
{
	uint32_t both = now ? now->present & group->last.present : 0;
	uint64_t dt_usec = now_usec - group->last_usec;
	bool served;

	if (group->last_usec == 0 || dt_usec == 0)
		both = 0;
	if (both & CB_GROUP_HAS_PACKETS) {
		*ret_packets = cb_counter_delta(now->packets, group->last.packets);
		cb_rate_update(&group->packets_per_sec,
			       (double)*ret_packets * 1e6 / (double)dt_usec, dt_usec, tau_usec,
			       !group->has_packets);
	}
	if (both & CB_GROUP_HAS_LISTEN)
		*ret_drops += cb_counter_delta(now->drops, group->last.drops);
	if (both & CB_GROUP_HAS_DATAGRAMS)
		*ret_drops += cb_counter_delta(now->lost, group->last.lost);
	if (both & HAS_DROPS)
		cb_rate_update(&group->drops_per_sec, (double)*ret_drops * 1e6 / (double)dt_usec,
			       dt_usec, tau_usec, !group->has_listen && !group->has_datagrams);
	group->has_packets = both & CB_GROUP_HAS_PACKETS;
	/* where there has never been one, the work comes another way: no packets are then no lack of work */
	served = group->has_packets && (group->served_packets || *ret_packets > 0);
	/* served work is counted in another unit from here on: windows on both sides cannot be compared */
	if (group->served_packets != served)
		group->disturbed_usec = now_usec;
	if (now && (now->present ^ group->last.present) & CB_GROUP_HAS_METRIC)
		group->disturbed_usec = now_usec;
	group->served_packets = served;
	group->has_listen = both & CB_GROUP_HAS_LISTEN;
	group->has_datagrams = both & CB_GROUP_HAS_DATAGRAMS;
	if (now) {
		group->backlog = now->backlog;
		group->backlog_max = now->backlog_max;
		group->last = *now;
	} else {
		group->last.present = 0;
	}
	group->last_usec = now_usec;
	return both;
}

/* CPU time of the group's workers: where CPUs differ, as much as it would have taken on the strongest. */
static double work_of(const struct cb_engine *engine, const struct group_state *group)
{
	double work = 0;

	if (!engine->uneven)
		return group->cpu.raw;
	for (uint32_t i = 0; i < engine->n_workers; i++) {
		const struct worker_state *worker = &engine->worker[i];

		if (worker->group_key == group->key)
			work += worker->cpu.raw *
				(worker->cpu_attributed < 0 ?
					 1 :
					 engine_speed(engine, (uint32_t)worker->cpu_attributed));
	}
	return work;
}

/* The workers that are on that CPU, and after the move those who were. */
static void note_hot_workers(const struct cb_engine *engine, const struct group_state *group,
			     struct cb_window *window)
{
	bool applied = engine_plan_applied(engine);
	double wait = 0;

	for (uint32_t i = 0; i < engine->n_workers; i++) {
		const struct worker_state *worker = &engine->worker[i];

		if (worker->group_key != group->key ||
		    !(applied ? worker->was_hot :
				worker->cpu_attributed == engine->flight.plan.hot_cpu))
			continue;
		wait += worker->wait_per_sec.raw;
		window->hot_cpu_per_sec += worker->cpu.raw;
	}
	window->has_hot = window->hot_cpu_per_sec > 0.001;
	window->hot_wait_ratio = window->has_hot ? wait / window->hot_cpu_per_sec : 0;
}

/* How full the hot CPU of the plan in flight is, or a single one that something was put on where that is more. */
static void note_heat(const struct cb_engine *engine, const struct group_state *group,
		      struct cb_window *window)
{
	const struct cb_plan *plan = &engine->flight.plan;
	uint32_t n = engine->topology->n_cpu_ids;

	if (!engine->flight.active || plan->group_key != group->key || plan->hot_cpu < 0 ||
	    (uint32_t)plan->hot_cpu >= n)
		return;
	note_hot_workers(engine, group, window);
	window->has_heat = true;
	window->heat_ratio = engine->cpu[plan->hot_cpu].taken.raw;
	for (uint32_t i = 0; i < plan->n_steps && engine_plan_applied(engine); i++) {
		unsigned int cpu = cb_cpuset_first(&plan->step[i].to);

		if (cpu < n && cb_cpuset_count(&plan->step[i].to) == 1)
			window->heat_ratio = CB_MAX(window->heat_ratio, engine->cpu[cpu].taken.raw);
	}
}

/*
 * What programs that are no workers had of all CPUs in this interval, and, in a ring, of each; false where that is not known. A worker that
 * floats is counted on the CPU that it was seen on last. What the hypervisor took is not theirs: it takes from a CPU that is wanted, so that to
 * leave such a CPU ends it, by the plan's own doing.
 */
static bool others_rate(struct cb_engine *engine, double *ret)
{
	double sum = 0;

	CB_CPUSET_FOREACH(i, &engine->topology->online) {
		struct cpu_state *cpu = &engine->cpu[i];
		double others = cpu->busy.raw - cpu->irq.raw - cpu->softirq.raw;

		if (!(cpu->present & CB_CPU_HAS_TIMES))
			return false;
		sum += others;
		for (uint32_t k = cpu->first_worker; k != NO_WORKER;
		     k = engine->worker[k].next_on_cpu)
			others -= engine->worker[k].cpu.raw;
		cpu->others[engine->n_windows % WINDOWS_KEPT] = (float)CB_MAX(others, 0.0);
	}
	for (uint32_t i = 0; i < engine->n_workers; i++)
		sum -= engine->worker[i].cpu.raw;
	*ret = CB_MAX(sum, 0.0);
	return true;
}

void engine_windows(struct cb_engine *engine, const struct cb_snapshot *snapshot, uint64_t dt_usec)
{
	double others = 0;
	bool has_others = others_rate(engine, &others);

	for (uint32_t i = 0; i < engine->n_groups; i++) {
		struct group_state *group = engine->group[i];
		struct window *window = &group->window[group->n_windows % WINDOWS_KEPT];
		uint64_t packets = 0, drops = 0;
		double work = work_of(engine, group);
		uint32_t has = group_rates(group, sample_of(snapshot, group->key),
					   snapshot->time_usec, engine->policy.smooth_usec,
					   &packets, &drops);

		note_gap(engine, group, dt_usec);
		*window = (struct window){ .time_usec = snapshot->time_usec, .cpu_per_sec = work };
		window->clean = group->n_workers > 0 &&
				group->disturbed_usec + dt_usec < snapshot->time_usec;
		window->w.has_others = has_others;
		window->w.others_per_sec = others;
		window->w.cpu_per_sec = group->cpu.raw;
		window->w.has_served = true;
		window->w.served_per_sec = group->served_packets ? group->packets_per_sec.raw :
								   work;
		window->w.has_wait = group->cpu.raw > 0.001;
		window->w.wait_ratio =
			window->w.has_wait ? group->wait_per_sec.raw / group->cpu.raw : 0;
		window->w.has_metric = group->last.present & CB_GROUP_HAS_METRIC;
		window->w.metric = window->w.has_metric ? group->last.metric : 0;
		window->w.drops_per_sec = has & HAS_DROPS ? group->drops_per_sec.raw : 0;
		note_heat(engine, group, &window->w);
		group->n_windows++;
	}
	engine->n_windows++;
}

/* A group whose workers share a CPU with what the plan takes away from or puts on a single one is changed by it as well. */
static bool is_beside(const struct cb_engine *engine, const struct group_state *group,
		      const struct cb_cpuset *cpus)
{
	for (uint32_t i = 0; i < engine->n_workers; i++) {
		const struct worker_state *worker = &engine->worker[i];

		if (worker->group_key == group->key && worker->cpu_attributed >= 0 &&
		    cb_cpuset_has(cpus, (unsigned int)worker->cpu_attributed))
			return true;
	}
	return false;
}

/* Whoever is put somewhere takes from the others there; what they have on the other CPUs is not the plan's doing. */
static void note_target(struct cb_cpuset *elsewhere, const struct cb_step *step, int32_t from)
{
	bool there = from >= 0 && cb_cpuset_has(elsewhere, (unsigned int)from);

	if (cb_item_steers(step->item.kind)) {
		*elsewhere = CB_CPUSET_EMPTY;
		return;
	}
	*elsewhere = cb_cpuset_andnot(elsewhere, &step->to);
	if (there && !cb_item_is_queue(step->item.kind))
		cb_cpuset_set(elsewhere, (unsigned int)from); /* it was there before */
}

void engine_windows_beside(struct cb_engine *engine, const struct cb_plan *plan)
{
	struct cb_cpuset cpus = CB_CPUSET_EMPTY, *elsewhere = &engine->flight.elsewhere;

	*elsewhere = engine->topology->online;

	for (uint32_t i = 0; i < plan->n_steps; i++) {
		const struct cb_step *step = &plan->step[i];
		int32_t from = engine_item_cpu(engine, step->item);

		if (cb_item_is_queue(step->item.kind)) {
			/* softirqs go before everything on all these CPUs */
			cpus = cb_cpuset_or(&cpus, &step->to);
			cpus = cb_cpuset_or(&cpus, &step->from);
			from = plan->hot_cpu;
		}
		note_target(elsewhere, step, from);
		if (from >= 0)
			cb_cpuset_set(&cpus, (unsigned int)from);
		if (cb_cpuset_count(&step->to) == 1)
			cpus = cb_cpuset_or(&cpus, &step->to);
	}
	for (uint32_t i = 0; i < engine->n_workers; i++)
		engine->worker[i].was_hot = engine->worker[i].cpu_attributed >= 0 &&
					    engine->worker[i].cpu_attributed == plan->hot_cpu;
	for (uint32_t i = 0; i < engine->n_groups; i++)
		engine->group[i]->beside = is_beside(engine, engine->group[i], &cpus);
}

/* CPU time that the other groups' workers used in the @back-th window from the last: load that the plan does not touch. */
static double control_of(const struct cb_engine *engine, const struct group_state *group,
			 uint32_t back)
{
	double sum = 0;

	for (uint32_t i = 0; i < engine->n_groups; i++) {
		const struct group_state *other = engine->group[i];

		if (other != group && !other->beside && back <= other->n_windows)
			sum += other->window[(other->n_windows - back) % WINDOWS_KEPT].cpu_per_sec;
	}
	return sum;
}

/* What others had of the CPUs that the plan in flight puts nothing on. */
static double elsewhere_of(const struct cb_engine *engine, uint32_t back)
{
	double sum = 0;

	CB_CPUSET_FOREACH(i, &engine->flight.elsewhere)
		if (i < engine->topology->n_cpu_ids)
			sum += (double)engine->cpu[i]
				       .others[(engine->n_windows - back) % WINDOWS_KEPT];
	return sum;
}

/* The last clean windows that end after @from_usec, oldest first, at most @max (<= CB_WINDOWS_MAX). */
uint32_t engine_windows_since(const struct cb_engine *engine, const struct group_state *group,
			      uint64_t from_usec, uint32_t max, struct cb_window *ret)
{
	uint32_t kept = CB_MIN(group->n_windows, WINDOWS_KEPT), n = 0;

	max = CB_MIN(max, CB_WINDOWS_MAX);
	for (uint32_t back = 1; back <= kept && n < max; back++) {
		const struct window *window =
			&group->window[(group->n_windows - back) % WINDOWS_KEPT];

		if (!window->clean || window->time_usec <= from_usec)
			break;
		n++;
	}
	for (uint32_t i = 0; i < n; i++) {
		ret[i] = group->window[(group->n_windows - n + i) % WINDOWS_KEPT].w;
		ret[i].control_per_sec = control_of(engine, group, n - i);
		ret[i].has_control = ret[i].control_per_sec >= CONTROL_MIN_RATIO;
		ret[i].has_others &= engine->flight.active &&
				     engine->flight.plan.group_key == group->key &&
				     !cb_cpuset_empty(&engine->flight.elsewhere);
		if (ret[i].has_others)
			ret[i].elsewhere_per_sec = elsewhere_of(engine, n - i);
	}
	return n;
}
