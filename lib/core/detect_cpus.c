/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Findings about CPUs that are not about how busy they are: who does the receiving work of the network, who switches tasks
 * far more often than usual, and what the hypervisor takes. What is absent on a CPU is no evidence about it: a condition that
 * cannot be seen does not begin, and one that holds ends.
 */

#include "engine_internal.h"

/* --- SOFTIRQ_CONCENTRATION --- */

/* The CPU with most NET_RX, and its share of all; false where a CPU's counters are absent or nothing was received. */
static bool most_net_rx(const struct cb_engine *engine, uint32_t *ret_cpu, double *ret_share_ratio)
{
	double sum = 0, most = -1;
	uint32_t n = 0;

	ENGINE_FOREACH_CPU(id, &engine->topology->online, engine) {
		double rate;

		if (!(engine->cpu[id].present & CB_CPU_HAS_SOFTIRQS))
			return false;
		rate = engine->cpu[id].softirqs_per_sec[CB_SOFTIRQ_NET_RX].smooth;
		sum += rate;
		n++;
		if (rate > most) {
			most = rate;
			*ret_cpu = id;
		}
	}
	if (n < 2 || sum <= 0)
		return false;
	*ret_share_ratio = most / sum;
	return true;
}

static double softirq_ratio(const struct cpu_state *cpu)
{
	return cpu->softirq.smooth + cpu->irq.smooth;
}

static void fill_concentration(struct cb_engine *engine, uint32_t id, double share_ratio,
			       struct cb_finding *ret)
{
	const struct cpu_state *cpu = &engine->cpu[id];

	*ret = (struct cb_finding){
		.kind = CB_FINDING_SOFTIRQ_CONCENTRATION,
		.cpu = (int32_t)id,
		.confirm_usec = engine->policy.softirq_usec,
		.known = CB_KNOWS(BUSY) | CB_KNOWS(LIMIT) | CB_KNOWS(NET_RX_SHARE) |
			 CB_KNOWS(NET_RX) | CB_KNOWS(SOFTIRQ),
		.busy_ratio = cpu->taken.smooth,
		.limit_ratio = engine->policy.net_rx_on_ratio,
		.net_rx_share_ratio = share_ratio,
		.net_rx_per_sec = cpu->softirqs_per_sec[CB_SOFTIRQ_NET_RX].smooth,
		.softirq_ratio = softirq_ratio(cpu),
	};
	engine_finding_surroundings(engine, ret);
}

static void detect_concentration(struct cb_engine *engine, struct cb_decision *decision)
{
	const struct cb_policy *policy = &engine->policy;
	struct finding_state *state = &engine->concentration;
	double share_ratio = 0, limit_share, limit_softirq;
	struct cb_finding finding;
	bool same, known;
	uint32_t id = 0;

	known = most_net_rx(engine, &id, &share_ratio);
	same = known && state->holds && engine->concentration_cpu == id;
	if (known && !same)
		engine_finding_end(
			state, decision,
			"SOFTIRQ_CONCENTRATION on CPU %u ended: CPU %u does most of the receiving work now",
			engine->concentration_cpu, id);
	if (!known) {
		engine_finding_end(
			state, decision,
			"SOFTIRQ_CONCENTRATION on CPU %u ended: nothing is known of who receives",
			engine->concentration_cpu);
		return;
	}
	limit_share = same ? policy->net_rx_off_ratio : policy->net_rx_on_ratio;
	limit_softirq = same ? policy->softirq_off_ratio : policy->softirq_on_ratio;
	if (share_ratio < limit_share || !(engine->cpu[id].present & CB_CPU_HAS_TIMES) ||
	    softirq_ratio(&engine->cpu[id]) < limit_softirq) {
		engine_finding_end(
			state, decision,
			"SOFTIRQ_CONCENTRATION on CPU %u ended: it does %.0f %% of the receiving work, in %.0f %% of its time",
			id, share_ratio * 100, softirq_ratio(&engine->cpu[id]) * 100);
		return;
	}
	engine->concentration_cpu = id;
	fill_concentration(engine, id, share_ratio, &finding);
	engine_finding_hold(engine, state, &finding, decision);
}

/* --- CONTEXT_SWITCH_STORM --- */

/* A CPU's own level is judged by after this part of its time constant. */
#define USUAL_PART 10u
/* A CPU whose last reading is older than this is idle: it is not woken to be asked. */
#define STALE_USEC    (15 * CB_USEC_PER_SEC)
#define STALE_SAMPLES 10u

/*
 * The recent level: an average over what has been seen, until that is as long as the time constant, and an exponential one
 * from then on. It goes on while there is a storm: a level that lasts becomes the usual one.
 */
static void learn(struct cpu_state *cpu, uint64_t tau_usec)
{
	uint64_t dt_usec =
		cpu->ctxsw_span_usec; /* long where it was idle, and that is what is learned then */

	if (!(cpu->present & CB_CPU_HAS_CTXSW) || cpu->ctxsw_usec == cpu->usual_usec)
		return;
	if (cpu->usual_usec == 0) {
		cpu->usual_usec = cpu->ctxsw_usec;
		cpu->usual_per_sec = cpu->ctxsw_per_sec.raw;
		cpu->usual_seen_usec = dt_usec;
		return;
	}
	cpu->usual_usec = cpu->ctxsw_usec;
	cpu->usual_per_sec += (double)dt_usec /
			      (double)(dt_usec + CB_MIN(cpu->usual_seen_usec, tau_usec)) *
			      (cpu->ctxsw_per_sec.raw - cpu->usual_per_sec);
	cpu->usual_seen_usec += dt_usec;
}

/* The lower median of @v, whose order is lost: selection in linear time. */
static double median(double *v, uint32_t n)
{
	uint32_t low = 0, high = n - 1, middle = (n - 1) / 2;

	while (low < high) {
		double pivot = v[low + (high - low) / 2], swap;
		uint32_t i = low, j = high;

		for (;;) {
			while (v[i] < pivot)
				i++;
			while (v[j] > pivot)
				j--;
			if (i >= j)
				break;
			swap = v[i];
			v[i++] = v[j];
			v[j--] = swap;
		}
		if (middle <= j)
			high = j;
		else
			low = j + 1;
	}
	return v[middle];
}

static bool is_fresh(const struct cb_engine *engine, const struct cpu_state *cpu)
{
	return (cpu->present & CB_CPU_HAS_CTXSW) &&
	       engine->snapshot_usec - cpu->ctxsw_usec <=
		       CB_MAX(STALE_USEC, STALE_SAMPLES * engine->policy.sample_interval_usec);
}

struct peers_level {
	bool asked, known;
	bool idle; /* the median CPU is: nobody has counted, and it is little */
	double per_sec;
};

/*
 * What CPUs switch, by the median of all; not known with fewer than two of them. An idle CPU is not woken to be asked: it
 * comes before all that were. Only looked for where a CPU stands out.
 */
static void look_at_peers(struct cb_engine *engine, struct peers_level *ret)
{
	uint32_t n = 0;
	double middle;

	ret->asked = true;
	ENGINE_FOREACH_CPU(id, &engine->topology->online, engine) {
		const struct cpu_state *cpu = &engine->cpu[id];

		if (is_fresh(engine, cpu))
			engine->rate_scratch[n++] = cpu->ctxsw_per_sec.smooth;
		else if (cpu->last.present &
			 CB_CPU_HAS_CTXSW) /* has been counted: it is only idle */
			engine->rate_scratch[n++] = -1;
	}
	if (n < 2)
		return;
	middle = median(engine->rate_scratch, n);
	ret->known = true;
	ret->idle = middle < 0;
	ret->per_sec = CB_MAX(middle, 0.0);
}

/* The worker that switches most on the CPU, when that is half of all or more. */
static void blame(const struct cb_engine *engine, struct cb_finding *finding)
{
	const struct cpu_state *cpu = &engine->cpu[finding->cpu];
	double most = finding->switches_per_sec / 2;

	for (uint32_t i = cpu->first_worker; i != NO_WORKER; i = engine->worker[i].next_on_cpu) {
		const struct worker_state *worker = &engine->worker[i];
		double rate = worker->vol_per_sec.smooth + worker->invol_per_sec.smooth;

		if (!(worker->present & CB_WORKER_HAS_SWITCHES) || rate < most)
			continue;
		most = finding->of_worker_per_sec = rate;
		finding->known |= CB_KNOWS(OF_WORKER);
		finding->worker_key = worker->key;
		finding->group_key = worker->group_key;
	}
}

static bool is_storm(struct cb_engine *engine, const struct cpu_state *cpu,
		     struct peers_level *level)
{
	const struct cb_policy *policy = &engine->policy;
	bool on = cpu->storm.holds;
	double rate = cpu->ctxsw_per_sec.smooth;
	double factor = (double)policy->storm_factor / (on ? 2 : 1);

	if (!is_fresh(engine, cpu) ||
	    rate < (on ? policy->storm_off_per_sec : policy->storm_on_per_sec) ||
	    cpu->usual_seen_usec < policy->storm_usual_usec / USUAL_PART ||
	    rate < factor * cpu->usual_per_sec)
		return false;
	if (!level->asked)
		look_at_peers(engine, level);
	return level->known && rate >= factor * level->per_sec;
}

static void detect_storm(struct cb_engine *engine, uint32_t id, struct peers_level *level,
			 struct cb_decision *decision)
{
	struct cpu_state *cpu = &engine->cpu[id];
	bool storm = is_storm(engine, cpu, level);
	struct cb_finding finding;

	if (!storm) {
		engine_finding_end(
			&cpu->storm, decision,
			"CONTEXT_SWITCH_STORM on CPU %u ended: it switches %.0f times a second, usual is %.0f",
			id, cpu->ctxsw_per_sec.smooth, cpu->usual_per_sec);
	} else {
		finding = (struct cb_finding){
			.kind = CB_FINDING_CONTEXT_SWITCH_STORM,
			.cpu = (int32_t)id,
			.confirm_usec = engine->policy.storm_usec,
			.known = CB_KNOWS(BUSY) | CB_KNOWS(SWITCHES) | CB_KNOWS(USUAL) |
				 (level->idle ? 0 : CB_KNOWS(PEERS)),
			.busy_ratio = cpu->taken.smooth,
			.switches_per_sec = cpu->ctxsw_per_sec.smooth,
			.usual_per_sec = cpu->usual_per_sec,
			.peers_per_sec = level->per_sec,
		};
		blame(engine, &finding);
		engine_finding_hold(engine, &cpu->storm, &finding, decision);
	}
	learn(cpu, engine->policy.storm_usual_usec);
}

/* --- STOLEN --- */

static void detect_steal(struct cb_engine *engine, struct cb_decision *decision)
{
	const struct cb_policy *policy = &engine->policy;
	struct finding_state *state = &engine->stolen;
	struct cb_finding finding = {
		.kind = CB_FINDING_STOLEN,
		.cpu = -1,
		.confirm_usec = policy->steal_usec,
		.known = CB_KNOWS(LIMIT) | CB_KNOWS(STEAL) | CB_KNOWS(STEAL_SUM) |
			 CB_KNOWS(STOLEN_CPUS),
		.limit_ratio = policy->steal_on_ratio,
	};

	ENGINE_FOREACH_CPU(id, &engine->topology->online, engine) {
		double steal;

		if (!(engine->cpu[id].present & CB_CPU_HAS_TIMES))
			continue;
		steal = engine->cpu[id].steal.smooth;
		finding.steal_sum_ratio += steal;
		finding.stolen_cpus += steal >= policy->steal_off_ratio;
		if (finding.cpu >= 0 && steal <= finding.steal_ratio)
			continue;
		finding.cpu = (int32_t)id;
		finding.steal_ratio = steal;
	}
	if (finding.cpu < 0 ||
	    finding.steal_ratio < (state->holds ? policy->steal_off_ratio : policy->steal_on_ratio))
		engine_finding_end(state, decision,
				   "STOLEN ended: the hypervisor takes %.0f %% of a CPU at most",
				   finding.steal_ratio * 100);
	else
		engine_finding_hold(engine, state, &finding, decision);
}

void engine_detect_cpus(struct cb_engine *engine, struct cb_decision *decision)
{
	struct peers_level level = { .asked = false };

	detect_concentration(engine, decision);
	ENGINE_FOREACH_CPU(id, &engine->topology->online, engine) {
		detect_storm(engine, id, &level, decision);
	}
	detect_steal(engine, decision);
}
