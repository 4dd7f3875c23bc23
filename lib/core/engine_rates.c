/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * From counters to rates. Who loads which CPU is engine_attribute.c's.
 *
 * Invariants: a rate needs two samples of the same thing, a counter that falls counts as no growth, what is absent leaves
 * the rate absent (present bit), never zero.
 */

#include <errno.h>
#include <string.h>

#include "engine_internal.h"

/* Packets of queues are read every few seconds; older than this they say nothing. */
#define PACKETS_AGE_USEC (30 * CB_USEC_PER_SEC)

int engine_snapshot_check(const struct cb_engine *engine, const struct cb_snapshot *snapshot)
{
	if (!engine->topology || snapshot->topology_generation != engine->topology->generation)
		return -EINVAL;
	if (snapshot->n_cpus > engine->topology->n_cpu_ids ||
	    snapshot->n_workers > CB_WORKERS_MAX || snapshot->user_hz == 0)
		return -EINVAL;
	return engine->has_snapshot && snapshot->time_usec <= engine->snapshot_usec ? -EINVAL : 0;
}

static double per_sec(uint64_t now, uint64_t before, uint64_t dt_usec)
{
	return (double)cb_counter_delta(now, before) * (double)CB_USEC_PER_SEC / (double)dt_usec;
}

/*
 * How much of its time is wanted, and what of that it gives. A CPU that is idle is not stolen from and says nothing: so each second counts
 * by how much it was wanted, and what was learned stays.
 */
static void wanted_rates(struct cpu_state *cpu, double busy, double steal, uint64_t dt_usec,
			 uint64_t tau_usec, int first)
{
	double wanted = busy + steal, weight = (double)dt_usec / (double)(dt_usec + tau_usec);

	cb_rate_update(&cpu->taken, wanted, dt_usec, tau_usec, first);
	if (first)
		cpu->given_ratio = 1 - steal;
	else if (wanted > 0)
		cpu->given_ratio += weight * wanted * (busy / wanted - cpu->given_ratio);
}

/*
 * Shares of the CPU over the interval. The whole is the sum of the ticks, not the clock: an idle tickless CPU accounts late, and a
 * share of a sum is at most 1. A guest's time is inside user; idle and iowait are idle; steal is nobody's work here.
 * @quiet: no plan of ours is at work, so that what varies does so by itself.
 */
static void cpu_time_rates(struct cpu_state *cpu, const struct cb_cpu_sample *now, uint64_t dt_usec,
			   uint64_t tau_usec, bool quiet)
{
	uint64_t d[_CB_TIME_MAX], all = 0, user, guest;
	int first = !(cpu->present & CB_CPU_HAS_TIMES);
	double whole;

	for (int i = 0; i < _CB_TIME_MAX; i++)
		d[i] = cb_counter_delta(now->time_ticks[i], cpu->last.time_ticks[i]);
	for (int i = 0; i <= CB_TIME_STEAL; i++)
		all += d[i];
	if (all == 0)
		return;
	whole = (double)all;
	guest = d[CB_TIME_GUEST] + d[CB_TIME_GUEST_NICE];
	user = cb_counter_delta(d[CB_TIME_USER] + d[CB_TIME_NICE], guest);
	cb_rate_update(&cpu->user, (double)user / whole, dt_usec, tau_usec, first);
	cb_rate_update(&cpu->guest, (double)guest / whole, dt_usec, tau_usec, first);
	cb_rate_update(&cpu->system, (double)d[CB_TIME_SYSTEM] / whole, dt_usec, tau_usec, first);
	cb_rate_update(&cpu->irq, (double)d[CB_TIME_IRQ] / whole, dt_usec, tau_usec, first);
	cb_rate_update(&cpu->softirq, (double)d[CB_TIME_SOFTIRQ] / whole, dt_usec, tau_usec, first);
	cb_rate_update(&cpu->steal, (double)d[CB_TIME_STEAL] / whole, dt_usec, tau_usec, first);
	all -= d[CB_TIME_IDLE] + d[CB_TIME_IOWAIT] + d[CB_TIME_STEAL];
	if (!first && quiet)
		cb_noise_update(&cpu->noise, (double)(all + d[CB_TIME_STEAL]) / whole,
				cpu->taken.smooth);
	cb_rate_update(&cpu->busy, (double)all / whole, dt_usec, tau_usec, first);
	wanted_rates(cpu, (double)all / whole, (double)d[CB_TIME_STEAL] / whole, dt_usec, tau_usec,
		     first);
	cpu->present |= CB_CPU_HAS_TIMES;
}

/*
 * These are not in every snapshot: each has its own base, and a rate over the time since then.
 * Returns that time, 0 when there is no rate to be had.
 */
static uint64_t counter_dt(const struct cpu_state *cpu, const struct cb_cpu_sample *now,
			   uint64_t now_usec, uint32_t bit, uint64_t last_usec)
{
	return now->present & cpu->last.present & bit && now_usec > last_usec ?
		       now_usec - last_usec :
		       0;
}

static void cpu_counter_rates(struct cpu_state *cpu, const struct cb_cpu_sample *now,
			      uint64_t now_usec, uint64_t tau_usec)
{
	uint64_t dt_usec = counter_dt(cpu, now, now_usec, CB_CPU_HAS_SOFTIRQS, cpu->softirqs_usec);

	if (dt_usec) {
		int first = !(cpu->present & CB_CPU_HAS_SOFTIRQS);

		for (int i = 0; i < _CB_SOFTIRQ_MAX; i++)
			cb_rate_update(&cpu->softirqs_per_sec[i],
				       per_sec(now->softirqs[i], cpu->last.softirqs[i], dt_usec),
				       dt_usec, tau_usec, first);
		cpu->present |= CB_CPU_HAS_SOFTIRQS;
	}
	dt_usec = counter_dt(cpu, now, now_usec, CB_CPU_HAS_SOFTNET, cpu->softnet_usec);
	if (dt_usec) {
		cb_rate_update(&cpu->softnet_per_sec,
			       per_sec(now->softnet_processed, cpu->last.softnet_processed,
				       dt_usec),
			       dt_usec, tau_usec, !(cpu->present & CB_CPU_HAS_SOFTNET));
		cb_rate_update(&cpu->softnet_dropped_per_sec,
			       per_sec(now->softnet_dropped, cpu->last.softnet_dropped, dt_usec),
			       dt_usec, tau_usec, !(cpu->present & CB_CPU_HAS_SOFTNET));
		cpu->present |= CB_CPU_HAS_SOFTNET;
	}
	dt_usec = counter_dt(cpu, now, now_usec, CB_CPU_HAS_CTXSW, cpu->ctxsw_usec);
	if (dt_usec) {
		cpu->ctxsw_span_usec = dt_usec;
		cb_rate_update(&cpu->ctxsw_per_sec, per_sec(now->ctxsw, cpu->last.ctxsw, dt_usec),
			       dt_usec, tau_usec, !(cpu->present & CB_CPU_HAS_CTXSW));
		cpu->present |= CB_CPU_HAS_CTXSW;
	}
}

/* Remember the sample; a counter that was not read this time keeps its older base. */
static void cpu_remember(struct cpu_state *cpu, const struct cb_cpu_sample *now, uint64_t now_usec)
{
	struct cb_cpu_sample *last = &cpu->last;

	memcpy(last->time_ticks, now->time_ticks, sizeof(last->time_ticks));
	last->present = (last->present & ~CB_CPU_HAS_TIMES) | now->present;
	cpu->last_usec = now_usec;
	if (now->present & CB_CPU_HAS_SOFTIRQS) {
		memcpy(last->softirqs, now->softirqs, sizeof(last->softirqs));
		cpu->softirqs_usec = now_usec;
	}
	if (now->present & CB_CPU_HAS_SOFTNET) {
		last->softnet_processed = now->softnet_processed;
		last->softnet_dropped = now->softnet_dropped;
		cpu->softnet_usec = now_usec;
	}
	if (now->present & CB_CPU_HAS_CTXSW) {
		last->ctxsw = now->ctxsw;
		cpu->ctxsw_usec = now_usec;
	}
}

static void rate_cpus(struct cb_engine *engine, const struct cb_snapshot *snapshot)
{
	for (uint32_t i = 0; i < snapshot->n_cpus; i++) {
		struct cpu_state *cpu = &engine->cpu[i];
		const struct cb_cpu_sample *now = &snapshot->cpu[i];
		uint64_t dt_usec = snapshot->time_usec - cpu->last_usec;

		if (cpu->last_usec && dt_usec) {
			if (now->present & cpu->last.present & CB_CPU_HAS_TIMES)
				cpu_time_rates(cpu, now, dt_usec, engine->policy.smooth_usec,
					       !engine_plan_applied(engine));
			cpu_counter_rates(cpu, now, snapshot->time_usec,
					  engine->policy.smooth_usec);
		}
		cpu_remember(cpu, now, snapshot->time_usec);
	}
}

/* A counter of a worker: its rate when both samples have it. */
static void worker_rate(struct worker_state *worker, const struct cb_worker_sample *now,
			uint32_t bit, struct cb_rate *rate, uint64_t now_value, uint64_t before,
			double unit, uint64_t dt_usec, uint64_t tau_usec)
{
	if (!(now->present & worker->last.present & bit))
		return;
	cb_rate_update(rate, per_sec(now_value, before, dt_usec) * unit, dt_usec, tau_usec,
		       !(worker->present & bit));
}

/* Connections and datagrams for which there was no room at the sockets that are its own. */
static void drop_rate(struct worker_state *worker, const struct cb_worker_sample *now,
		      uint64_t dt_usec, uint64_t tau_usec)
{
	const struct cb_worker_sample *last = &worker->last;
	uint32_t both = now->present & last->present;
	double rate = 0;

	if (!(both & (CB_WORKER_HAS_LISTEN | CB_WORKER_HAS_DATAGRAMS)))
		return;
	if (both & CB_WORKER_HAS_LISTEN)
		rate += per_sec(now->drops, last->drops, dt_usec);
	if (both & CB_WORKER_HAS_DATAGRAMS)
		rate += per_sec(now->lost, last->lost, dt_usec);
	cb_rate_update(&worker->drops_per_sec, rate, dt_usec, tau_usec, !worker->has_drops);
	worker->has_drops = true;
}

static void rate_worker(struct cb_engine *engine, struct worker_state *worker,
			const struct cb_worker_sample *now, uint64_t now_usec)
{
	uint64_t dt_usec = now_usec - worker->last_usec, tau_usec = engine->policy.smooth_usec;
	const uint32_t counters = CB_WORKER_HAS_CPU | CB_WORKER_HAS_WAIT | CB_WORKER_HAS_SWITCHES;

	if (worker->last_usec && dt_usec) {
		const struct cb_worker_sample *last = &worker->last;

		worker_rate(worker, now, CB_WORKER_HAS_CPU, &worker->cpu, now->cpu_nsec,
			    last->cpu_nsec, 1e-9, dt_usec, tau_usec);
		worker_rate(worker, now, CB_WORKER_HAS_WAIT, &worker->wait_per_sec, now->wait_nsec,
			    last->wait_nsec, 1e-9, dt_usec, tau_usec);
		worker_rate(worker, now, CB_WORKER_HAS_SWITCHES, &worker->vol_per_sec,
			    now->vol_switches, last->vol_switches, 1, dt_usec, tau_usec);
		worker_rate(worker, now, CB_WORKER_HAS_SWITCHES, &worker->invol_per_sec,
			    now->invol_switches, last->invol_switches, 1, dt_usec, tau_usec);
		worker->present |= now->present & last->present & counters;
		drop_rate(worker, now, dt_usec, tau_usec);
	}
	worker->present = (worker->present & (now->present | ~counters) & counters) |
			  (now->present & ~counters);
	if (worker->placed && (now->present & CB_WORKER_HAS_MASK)) {
		/* the kernel drops what the cpuset or hotplug has taken away: the first look says what became of our mask */
		if (!worker->has_set && cb_cpuset_subset(&now->mask, &worker->set))
			worker->set = now->mask;
		else if (!worker->foreign && !engine_mask_is_ours(engine, worker, &now->mask))
			worker->foreign = true;
		worker->has_set = true;
	}
	worker->last = *now;
	worker->last_usec = now_usec;
}

static void rate_workers(struct cb_engine *engine, const struct cb_snapshot *snapshot)
{
	for (uint32_t i = 0; i < snapshot->n_workers; i++) {
		struct worker_state *worker = engine_worker(engine, snapshot->worker[i].key);

		if (worker)
			rate_worker(engine, worker, &snapshot->worker[i], snapshot->time_usec);
	}
	for (uint32_t i = 0; i < engine->n_groups; i++) {
		struct group_state *group = engine->group[i];

		group->cpu = group->wait_per_sec = (struct cb_rate){ 0 };
		for (uint32_t j = 0; j < engine->n_workers; j++) {
			const struct worker_state *worker = &engine->worker[j];

			if (worker->group_key != group->key)
				continue;
			group->cpu.raw += worker->cpu.raw;
			group->cpu.smooth += worker->cpu.smooth;
			group->wait_per_sec.raw += worker->wait_per_sec.raw;
			group->wait_per_sec.smooth += worker->wait_per_sec.smooth;
		}
	}
}

/* They are read less often than all else; what has not been read for long is not known any more. */
static void rate_packets(struct irq_state *state, const struct cb_irq_sample *now,
			 uint64_t now_usec, uint64_t tau_usec)
{
	uint64_t dt_usec = now_usec - state->packets_usec;

	if (!(now->present & CB_IRQ_HAS_PACKETS)) {
		state->has_packets &= dt_usec < PACKETS_AGE_USEC;
		return;
	}
	if (state->packets_usec != 0 && dt_usec) {
		cb_rate_update(&state->packets_per_sec,
			       per_sec(now->packets, state->last_packets, dt_usec), dt_usec,
			       tau_usec, !state->has_packets);
		state->has_packets = true;
	}
	state->packets_usec = now_usec;
	state->last_packets = now->packets;
}

static void rate_device_packets(struct irq_state *state, const struct cb_irq_sample *now,
				uint64_t now_usec, uint64_t tau_usec)
{
	uint64_t dt_usec = now_usec - state->device_packets_usec;

	if (!(now->present & CB_IRQ_HAS_DEVICE_PACKETS)) {
		state->has_device_packets &= dt_usec < PACKETS_AGE_USEC;
		return;
	}
	if (state->has_device_packets && dt_usec)
		cb_rate_update(&state->device_packets_per_sec,
			       per_sec(now->device_packets, state->last_device_packets, dt_usec),
			       dt_usec, tau_usec, 0);
	state->has_device_packets = true;
	state->device_packets_usec = now_usec;
	state->last_device_packets = now->device_packets;
}

static void rate_irqs(struct cb_engine *engine, const struct cb_snapshot *snapshot,
		      uint64_t dt_usec)
{
	uint32_t at = 0;

	for (uint32_t i = 0; engine->irqs && i < engine->irqs->n; i++) {
		struct irq_state *state = &engine->irq[i];

		while (at < snapshot->n_irqs && snapshot->irq[at].irq < state->irq)
			at++;
		if (at == snapshot->n_irqs || snapshot->irq[at].irq != state->irq)
			continue;
		/* Most never fire, and nothing comes of nothing. */
		if (state->has_last && dt_usec &&
		    (snapshot->irq[at].count != state->last_count || state->per_sec.raw > 0 ||
		     state->per_sec.smooth > 0))
			cb_rate_update(&state->per_sec,
				       per_sec(snapshot->irq[at].count, state->last_count, dt_usec),
				       dt_usec, engine->policy.smooth_usec, 0);
		if (snapshot->irq[at].present & CB_IRQ_HAS_PACKETS || state->has_packets)
			rate_packets(state, &snapshot->irq[at], snapshot->time_usec,
				     engine->policy.smooth_usec);
		if (snapshot->irq[at].present & CB_IRQ_HAS_DEVICE_PACKETS ||
		    state->has_device_packets)
			rate_device_packets(state, &snapshot->irq[at], snapshot->time_usec,
					    engine->policy.smooth_usec);
		state->last_count = snapshot->irq[at].count;
		state->has_last = true;
		state->effective_cpu = snapshot->irq[at].effective_cpu;
	}
}

void engine_rates(struct cb_engine *engine, const struct cb_snapshot *snapshot)
{
	uint64_t dt_usec = engine->has_snapshot ? snapshot->time_usec - engine->snapshot_usec : 0;

	rate_cpus(engine, snapshot);
	rate_workers(engine, snapshot);
	rate_irqs(engine, snapshot, dt_usec);
	if (dt_usec) {
		int first = engine->totals.ctxt_per_sec.smooth == 0;

		cb_rate_update(&engine->totals.ctxt_per_sec,
			       per_sec(snapshot->ctxt, engine->ctxt, dt_usec), dt_usec,
			       engine->policy.smooth_usec, first);
		cb_rate_update(&engine->totals.intr_per_sec,
			       per_sec(snapshot->intr_total, engine->intr_total, dt_usec), dt_usec,
			       engine->policy.smooth_usec, first);
	}
	engine->totals.procs_running = snapshot->procs_running;
	engine->totals.procs_blocked = snapshot->procs_blocked;
	engine->ctxt = snapshot->ctxt;
	engine->intr_total = snapshot->intr_total;
	engine->snapshot_usec = snapshot->time_usec;
	engine->has_snapshot = true;
}
