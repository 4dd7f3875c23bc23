/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Findings: for each hot CPU exactly one of
 *   WORKER_BOUND  one single-threaded worker fills it alone, and no other CPU would be faster for it: no move can help,
 *   SATURATED     no CPU that its workers may use is below HotOff: there is nowhere to go,
 *   HOT_CPU       anything else: worth a plan.
 * A CPU gets hot at HotOn and stays so until HotOff. What counts is how much of its time is wanted: what the hypervisor took while there was
 * work is not idle time. A finding is confirmed when its kind has lasted HotHarmSec where somebody
 * suffers, HotNoHarmSec where nobody does yet.
 */

#include <math.h>

#include "engine_internal.h"

struct cb_cpuset engine_allowed(const struct cb_engine *engine, const struct worker_state *worker)
{
	const struct group_state *group = engine_group(engine, worker->group_key);
	struct cb_cpuset allowed = cb_cpuset_and(engine_usable(engine), &worker->cpuset);

	if (group && group->policy.has_allowed)
		allowed = cb_cpuset_and(&allowed, &group->policy.allowed_cpus);
	return allowed;
}

/* What is the same for all CPUs whose workers may use the same set: looked at once for each run of such CPUs. */
struct neighbours {
	const struct cb_cpuset *of; /* that set, or the engine's own; NULL: nothing was looked at */
	struct cb_cpuset set;
	double demand_ratio;	/* what runs and waits there, in CPUs of full capacity */
	double supply_ratio;	/* what they can give, likewise */
	int32_t coolest_cpu[2]; /* -1 none */
	double coolest_ratio[2];
	uint32_t n_spare; /* housekeeping CPUs outside of the set that are below HotOff */
};

/*
 * Where the load of this CPU could go, and itself: what its workers may use, or any housekeeping CPU when it has none. Returns @room, or
 * the engine's own set where that is it.
 */
static const struct cb_cpuset *eligible_from(const struct cb_engine *engine, uint32_t cpu,
					     struct cb_cpuset *room)
{
	uint32_t i = engine->cpu[cpu].first_worker;

	if (i == NO_WORKER && cb_cpuset_has(&engine->housekeeping, cpu))
		return &engine->housekeeping;
	*room = i == NO_WORKER ? engine->housekeeping : CB_CPUSET_EMPTY;
	for (; i != NO_WORKER; i = engine->worker[i].next_on_cpu) {
		struct cb_cpuset allowed = engine_allowed(engine, &engine->worker[i]);

		*room = cb_cpuset_or(room, &allowed);
	}
	cb_cpuset_set(room, cpu);
	return room;
}

/* What a CPU and those who wait for it want; what others wait is not known. */
static double demand_on(const struct cb_engine *engine, uint32_t cpu)
{
	double demand = engine->cpu[cpu].busy.smooth;

	for (uint32_t i = engine->cpu[cpu].first_worker; i != NO_WORKER;
	     i = engine->worker[i].next_on_cpu)
		demand += engine_wanted(&engine->worker[i]) - engine->worker[i].cpu_share_ratio;
	return demand * engine_speed(engine, cpu);
}

static void note_cool(struct neighbours *next, uint32_t cpu, double taken_ratio)
{
	int at = 2;

	while (at > 0 &&
	       (next->coolest_cpu[at - 1] < 0 || taken_ratio < next->coolest_ratio[at - 1]))
		at--;
	if (at == 2)
		return;
	if (at == 0) {
		next->coolest_cpu[1] = next->coolest_cpu[0];
		next->coolest_ratio[1] = next->coolest_ratio[0];
	}
	next->coolest_cpu[at] = (int32_t)cpu;
	next->coolest_ratio[at] = taken_ratio;
}

/* Of the set at @ret->of. */
static void look_around(const struct cb_engine *engine, struct neighbours *ret)
{
	const struct cb_cpuset *set = ret->of, *spare = &engine->housekeeping;

	ret->n_spare = 0;
	ret->demand_ratio = ret->supply_ratio = 0;
	ret->coolest_ratio[0] = ret->coolest_ratio[1] = 0;
	ret->coolest_cpu[0] = ret->coolest_cpu[1] = -1;
	ENGINE_FOREACH_CPU(cpu, set, engine) {
		if (!(engine->cpu[cpu].present & CB_CPU_HAS_TIMES))
			continue;
		ret->demand_ratio += demand_on(engine, cpu);
		ret->supply_ratio += engine_capacity(engine, cpu);
		note_cool(ret, cpu, engine->cpu[cpu].taken.smooth);
	}
	if (set == spare)
		return;
	ENGINE_FOREACH_CPU(cpu, spare, engine) {
		if (!cb_cpuset_has(set, cpu) && (engine->cpu[cpu].present & CB_CPU_HAS_TIMES) &&
		    engine->cpu[cpu].taken.smooth < engine->policy.hot_off_ratio)
			ret->n_spare++;
	}
}

static void find_coolest(const struct cb_engine *engine, struct neighbours *next,
			 struct cb_finding *finding)
{
	struct cb_cpuset room;
	const struct cb_cpuset *set = eligible_from(engine, (uint32_t)finding->cpu, &room);
	int at;

	if (!next->of || (set != next->of && !cb_cpuset_equal(set, next->of))) {
		if (set == &room)
			next->set = room;
		next->of = set == &room ? &next->set : set;
		look_around(engine, next);
	}
	at = next->coolest_cpu[0] == finding->cpu ? 1 : 0;
	if (next->coolest_cpu[at] < 0)
		return;
	finding->known |= CB_KNOWS(COOLEST_CPU) | CB_KNOWS(COOLEST_BUSY);
	finding->coolest_cpu = next->coolest_cpu[at];
	finding->coolest_ratio = next->coolest_ratio[at];
}

/* Connections or packets dropped per second: more than now and then one. */
#define DROPS_HARM 0.5
/* A smaller share of a CPU that is stolen is not worth a word. */
#define STEAL_NAMED 0.02

/* How full @cpu is, as the planner sees it, with a worker on it that wants @wanted and uses @used on @home now. */
static double level_with(const struct cb_engine *engine, uint32_t cpu, uint32_t home, double used,
			 double wanted)
{
	double own = engine->cpu[cpu].busy.smooth * engine_speed(engine, cpu);
	uint32_t core = engine_core(engine, cpu);
	double beside = engine->rate_scratch[core] - own;

	if (cpu == home)
		own -= used;
	else if (core == engine_core(engine, home))
		beside -= used;
	return engine_level(engine, cpu, CB_MAX(own, 0.0) + wanted, CB_MAX(beside, 0.0));
}

/* What its CPU gives of the time that is wanted there: where the hypervisor takes half of it, who has the other half fills it. */
static double given(const struct cb_engine *engine, const struct worker_state *worker)
{
	return worker->cpu_attributed >= 0 ? engine->cpu[worker->cpu_attributed].given_ratio : 1;
}

bool engine_fills_cpu(const struct cb_engine *engine, const struct worker_state *worker)
{
	const struct group_state *group = engine_group(engine, worker->group_key);
	double least = engine->policy.worker_bound_ratio * given(engine, worker);
	double packets = 0; /* in its time too, but for others to do */

	if (!(worker->last.present & CB_WORKER_HAS_THREADS) || worker->last.n_threads != 1)
		return false;
	/* most end here: what packets take is a look at every queue */
	if (worker->cpu_share_ratio < least)
		return false;
	if (group && worker->cpu_attributed >= 0)
		packets = engine_packets_ratio(engine, group, (uint32_t)worker->cpu_attributed);
	return worker->cpu_share_ratio - packets >= least;
}

struct cb_cpuset engine_faster_places(const struct cb_engine *engine,
				      const struct worker_state *worker)
{
	struct cb_cpuset allowed, target = engine_target(engine, worker, &allowed), ret;
	uint32_t home = (uint32_t)worker->cpu_attributed;
	double used = worker->cpu_share_ratio * engine_speed(engine, home);
	double wanted = engine_wanted(worker) * engine_speed(engine, home);
	double here = level_with(engine, home, home, used, wanted);
	double least = CB_MAX(engine->policy.min_gain_ratio,
			      engine_hysteresis(engine) * CB_MIN(here, 1.0));

	ret = target;
	CB_CPUSET_FOREACH(cpu, &target)
		if (cpu == home || cpu >= engine->topology->n_cpu_ids ||
		    engine->cpu[cpu].taken.smooth >= engine->policy.hot_off_ratio ||
		    level_with(engine, cpu, home, used, wanted) + least > here)
			cb_cpuset_clear(&ret, cpu);
	return ret;
}

/*
 * A worker that fills its CPU alone is bound by it, unless there is a better one for it: a faster core, one whose other thread is idle,
 * or one that nobody steals from. What floats already is the scheduler's.
 */
static bool is_bound(const struct cb_engine *engine, const struct worker_state *worker)
{
	const struct group_state *group = engine_group(engine, worker->group_key);
	struct cb_cpuset faster = engine_faster_places(engine, worker), allowed;

	if (cb_cpuset_empty(&faster))
		return true;
	allowed = engine_target(engine, worker, &allowed);
	return cb_cpuset_equal(&worker->last.mask, &allowed) &&
	       group->policy.placement != CB_PLACEMENT_CORE;
}

/* Who suffers here, and by how much; and whether one worker is all there is. */
static void look_at_workers(const struct cb_engine *engine, struct cb_finding *finding,
			    uint32_t *ret_bound_key)
{
	const struct cb_policy *policy = &engine->policy;
	double limit_per_sec = (double)policy->harm_wait_usec / (double)CB_USEC_PER_SEC, worst = -1;

	*ret_bound_key = 0;
	for (uint32_t i = engine->cpu[finding->cpu].first_worker; i != NO_WORKER;
	     i = engine->worker[i].next_on_cpu) {
		const struct worker_state *worker = &engine->worker[i];
		const struct group_state *group = engine_group(engine, worker->group_key);

		if (!group)
			continue;
		finding->wait_per_sec += worker->wait_per_sec.smooth;
		if (worker->present & CB_WORKER_HAS_WAIT)
			finding->known |= CB_KNOWS(WAIT);
		if (worker->wait_per_sec.smooth > limit_per_sec ||
		    group->drops_per_sec.smooth > DROPS_HARM ||
		    (group->backlog_max &&
		     group->backlog >= policy->harm_backlog_ratio * group->backlog_max) ||
		    (group->has_datagrams && group->last.queued_max_bytes &&
		     (double)group->last.queued_bytes >=
			     policy->harm_backlog_ratio * (double)group->last.queued_max_bytes))
			finding->harm = true;
		/* the group that suffers or, with nobody suffering, works most here is the one to plan for */
		if (worker->wait_per_sec.smooth + worker->cpu_share_ratio > worst) {
			worst = worker->wait_per_sec.smooth + worker->cpu_share_ratio;
			finding->group_key = group->key;
		}
		if (engine_fills_cpu(engine, worker))
			*ret_bound_key = worker->key;
	}
}

/* A CPU without workers may be hot by interrupts: the group that most of them feed is the one to plan for. */
static void look_at_interrupts(const struct cb_engine *engine, struct cb_finding *finding)
{
	double most = 0;

	for (uint32_t i = 0; i < engine->n_groups; i++) {
		double load =
			engine_packets_ratio(engine, engine->group[i], (uint32_t)finding->cpu);

		for (uint32_t j = 0; engine->irqs && j < engine->irqs->n; j++)
			if (engine->irq[j].effective_cpu == finding->cpu &&
			    engine_group_feeds(engine, engine->group[i], &engine->irqs->irq[j]))
				load += engine->irq[j].load_ratio;
		if (load > most) {
			most = load;
			finding->group_key = engine->group[i]->key;
		}
	}
}

static void latch(struct cb_engine *engine, struct cpu_state *cpu)
{
	double taken = cpu->taken.smooth;

	if (!cpu->hot)
		cpu->has_harm = false;
	if (!(cpu->present & CB_CPU_HAS_TIMES)) {
		cpu->hot = false;
	} else if (!cpu->hot && taken >= engine->policy.hot_on_ratio) {
		cpu->hot = true;
		cpu->hot_since_usec = engine->now_usec;
	} else if (cpu->hot && taken < engine->policy.hot_off_ratio) {
		cpu->hot = false;
	}
}

/* What a CPU is can change while it is hot: that is the end of one finding and the beginning of another. */
static void end_heat(struct cpu_state *cpu, uint32_t id, enum cb_finding_kind next,
		     struct cb_decision *decision)
{
	engine_finding_end(&cpu->heat, decision, "%s on CPU %u ended: it looks like %s now",
			   cb_finding_kind_name(cpu->heat.kind), id, cb_finding_kind_name(next));
}

static void end_cooled(struct cpu_state *cpu, uint32_t id, struct cb_decision *decision)
{
	engine_finding_end(&cpu->heat, decision, "%s on CPU %u ended: it is %.0f %% busy",
			   cb_finding_kind_name(cpu->heat.kind), id, cpu->taken.smooth * 100);
}

static void surroundings(const struct cb_engine *engine, struct neighbours *next,
			 struct cb_finding *finding, uint32_t *ret_bound_key)
{
	const struct cpu_state *cpu = &engine->cpu[finding->cpu];

	find_coolest(engine, next, finding);
	look_at_workers(engine, finding, ret_bound_key);
	if (!finding->group_key)
		look_at_interrupts(engine, finding);
	/* packets that it had no time for */
	if (finding->group_key && (cpu->present & CB_CPU_HAS_SOFTNET) &&
	    cpu->softnet_dropped_per_sec.smooth > DROPS_HARM)
		finding->harm = true;
}

void engine_finding_surroundings(const struct cb_engine *engine, struct cb_finding *finding)
{
	struct neighbours next;
	uint32_t bound_key;

	next.of = NULL;
	surroundings(engine, &next, finding, &bound_key);
}

/*
 * How many more CPUs of full capacity would do: as many as it takes to have all that runs and waits there below HotOff. At least one,
 * since all are above it now. What the operator may give without a bigger machine is the CPUs that are cool and not allowed.
 */
static void count_missing(const struct cb_engine *engine, const struct neighbours *next,
			  struct cb_finding *finding)
{
	double missing = next->demand_ratio / engine->policy.hot_off_ratio - next->supply_ratio;

	finding->known |= CB_KNOWS(MORE_CPUS) | CB_KNOWS(SPARE_CPUS);
	/* rounding of sums is no CPU */
	finding->more_cpus = (uint32_t)CB_MAX(ceil(missing - 1e-6), 1.0);
	finding->spare_cpus = next->n_spare;
}

/* A moment's wait is no suffering: on a CPU that is busy and noisy there is one now and then. */
static void latch_harm(const struct cb_engine *engine, struct cpu_state *cpu,
		       struct cb_finding *finding)
{
	if (!finding->harm || !cpu->has_harm)
		cpu->harm_since_usec = engine->now_usec;
	cpu->has_harm = finding->harm;
	finding->harm = cpu->has_harm &&
			engine->now_usec - cpu->harm_since_usec >= engine->policy.hot_harm_usec;
}

static void judge_cpu(const struct cb_engine *engine, uint32_t id, struct neighbours *next,
		      struct cb_finding *ret)
{
	struct cpu_state *cpu = &engine->cpu[id];
	uint32_t bound_key;

	*ret = (struct cb_finding){
		.kind = CB_FINDING_HOT_CPU,
		.cpu = (int32_t)id,
		.known = CB_KNOWS(BUSY) | CB_KNOWS(LIMIT),
		.busy_ratio = cpu->taken.smooth,
		.limit_ratio = engine->policy.hot_on_ratio,
	};
	if (cpu->steal.smooth >= STEAL_NAMED) {
		ret->known |= CB_KNOWS(STEAL);
		ret->steal_ratio = cpu->steal.smooth;
	}
	surroundings(engine, next, ret, &bound_key);
	latch_harm(engine, cpu, ret);
	if (bound_key && is_bound(engine, engine_worker(engine, bound_key))) {
		ret->kind = CB_FINDING_WORKER_BOUND;
		ret->worker_key = bound_key;
	} else if (!(ret->known & CB_KNOWS(COOLEST_CPU)) ||
		   ret->coolest_ratio >= engine->policy.hot_off_ratio) {
		ret->kind = CB_FINDING_SATURATED;
		count_missing(engine, next, ret);
	}
	ret->confirm_usec = ret->harm ? engine->policy.hot_harm_usec : engine->policy.hot_idle_usec;
}

void engine_sum_cores(struct cb_engine *engine)
{
	double *sum = engine->rate_scratch;

	for (uint32_t i = 0; i < engine->topology->n_cpu_ids; i++)
		sum[i] = 0;
	ENGINE_FOREACH_CPU(cpu, &engine->topology->online, engine) {
		sum[engine_core(engine, cpu)] +=
			engine->cpu[cpu].busy.smooth * engine_speed(engine, cpu);
	}
}

static void detect_heat(struct cb_engine *engine, struct cb_decision *decision)
{
	struct neighbours next; /* a set is too big to be cleared for nothing */
	bool summed = false;

	next.of = NULL;
	for (uint32_t id = 0; id < engine->topology->n_cpu_ids; id++) {
		struct cb_finding finding;
		struct cpu_state *cpu;

		if (!cb_cpuset_has(&engine->topology->online, id))
			continue;
		cpu = &engine->cpu[id];
		latch(engine, cpu);
		if (!cpu->hot) {
			end_cooled(cpu, id, decision);
			continue;
		}
		if (!summed)
			engine_sum_cores(engine);
		summed = true;
		judge_cpu(engine, id, &next, &finding);
		if (cpu->heat.kind != finding.kind)
			end_heat(cpu, id, finding.kind, decision);
		engine_finding_hold(engine, &cpu->heat, &finding, decision);
	}
}

void engine_detect(struct cb_engine *engine, struct cb_decision *decision)
{
	engine->n_findings = 0;
	detect_heat(engine, decision);
	engine_detect_cpus(engine, decision);
	engine_detect_groups(engine, decision);
	engine_findings_sort(engine);
}
