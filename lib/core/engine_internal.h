/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The engine's inside, shared by lib/core/engine*.c and detector.c and by nobody else.
 * Arrays indexed by CPU number are sized when a topology comes, workers and interrupts when they appear; a snapshot
 * allocates nothing.
 */

#include "cpubalance/engine.h"
#include "cpubalance/noise.h"
#include "cpubalance/planner.h"
#include "cpubalance/verifier.h"

#define USEC_PER_HOUR (UINT64_C(3600) * CB_USEC_PER_SEC)
#define FINDINGS_MAX  512u
#define PLANS_KEPT    16u
/* Windows remembered per group: the most that a verdict looks at before the move, and some. */
#define WINDOWS_KEPT (CB_WINDOWS_MAX + 4u)
/* Largest MovesPerHour=. */
#define MOVES_KEPT 1000u
/* Largest RollbacksPerHour=, plus the one that is too many. */
#define ROLLBACKS_KEPT 101u

/* Places of workers that have gone. */
#define VACANT_KEPT 128u

/* Items of one plan: every worker there can be, and as many interrupts. */
#define ENGINE_ITEMS_MAX (2u * CB_WORKERS_MAX)

/* The life of one condition about one subject: it holds, it is told of once confirmed, it ends. */
struct finding_state {
	bool holds;
	bool told; /* its beginning was noticed */
	enum cb_finding_kind kind;
	int32_t cpu; /* of what was told */
	uint32_t worker_key, group_key;
	uint64_t since_usec;
};

struct cpu_state {
	struct cb_cpu_sample
		last; /* what the rates are computed against; last.present says of what there is any */
	uint64_t last_usec;
	uint64_t softirqs_usec, softnet_usec, ctxsw_usec; /* of last; may be read less often */
	uint32_t present;				  /* CB_CPU_HAS_* with a rate */
	struct cb_rate busy, user, system, irq, softirq, steal, guest;
	struct cb_rate
		taken; /* share of its time that is wanted: busy, and what of it the hypervisor kept to itself */
	double given_ratio;    /* of what is wanted, what it gives: 1 where nothing is stolen */
	struct cb_noise noise; /* of taken, while no plan is under way */
	struct cb_rate ctxsw_per_sec, softnet_per_sec, softnet_dropped_per_sec;
	struct cb_rate softirqs_per_sec[_CB_SOFTIRQ_MAX];
	double workers_ratio, irqs_ratio, irq_rate_sum;
	double irq_counted_sum, irq_packets_sum; /* of interrupts whose drivers count packets */
	double nic_packets_sum;			 /* that the interrupts here brought, per second */
	bool hot;				 /* latched: on at HotOn, off at HotOff */
	uint64_t hot_since_usec;
	bool has_harm; /* somebody suffers here while it is hot, since when */
	uint64_t harm_since_usec;
	struct finding_state heat; /* HOT_CPU, SATURATED or WORKER_BOUND */
	struct finding_state storm;
	double usual_per_sec;	  /* context switches, its own recent level */
	uint64_t usual_usec;	  /* reading that it has learned last, 0 none */
	uint64_t ctxsw_span_usec; /* between the last two readings */
	uint64_t usual_seen_usec;
	uint32_t first_worker; /* of those attributed to it, NO_WORKER none */
	float others[WINDOWS_KEPT]; /* what programs that are no workers had of it, a ring as those of groups */
};

struct quarantine {
	uint64_t until_usec, span_usec;
};

/* Where a single item was moved away from, and how things were then: without a difference it does not go back. */
struct left {
	bool known;
	int32_t from, to;
	double item_ratio; /* what it wanted */
	double from_ratio; /* what others had on the CPU that it left */
	double to_ratio;   /* and on the one that it came to */
};

/* Where a worker was that has gone, for who comes in its stead. */
struct vacant {
	uint32_t group_key, slot; /* group_key 0: taken */
	uint64_t gone_usec;
	struct cb_cpuset original, set;
};

#define NO_WORKER UINT32_MAX

/* How full accept queues, or those of UDP sockets, are, smoothed: a burst is no backlog. */
struct queue {
	struct cb_rate full;
	uint64_t usec; /* of the last sample, 0 none */
};

/* A worker at its last look: what it is compared with to see whether it accepts. */
struct accepting {
	bool looked; /* with connections waiting for it */
	uint32_t backlog, n_fds;
	uint64_t system_ticks;
};

struct worker_state {
	uint32_t key, group_key, slot;
	int32_t pid, tid; /* tid 0: the whole process */
	uint64_t start_ticks;
	char comm[CB_COMM_MAX];
	struct cb_worker_sample last;
	uint64_t last_usec;
	uint32_t present; /* CB_WORKER_HAS_*; for counters: a rate is there */
	struct cb_rate cpu, wait_per_sec, vol_per_sec, invol_per_sec;
	struct cb_rate drops_per_sec; /* at the listeners that it alone serves */
	bool has_drops;
	uint32_t next_on_cpu; /* index of the next worker attributed to the same CPU, NO_WORKER none */
	double cpu_share_ratio; /* of cpu.smooth after clamping to what its CPU was busy */
	int32_t cpu_attributed;
	struct finding_state stuck;
	struct queue queue; /* of its own */
	struct accepting accepting;
	uint64_t added_usec;
	bool was_hot; /* on the hot CPU of the plan in flight when that was carried out */
	bool settled; /* a first place has been given or was not needed */
	bool spare;   /* came while nobody was missing: the next that goes has it for a successor */
	bool has_listened;			/* alone, at a socket */
	uint32_t drained_ticks;			/* snapshots since it closed them all */
	struct cb_cpuset cpuset, original, set; /* set: what we wrote last, while placed */
	bool placed, foreign, foreign_told;
	bool has_set; /* set has been seen on the worker */
	struct quarantine quarantine;
	uint32_t share; /* in place, of CB_SHARES; 0 none */
	bool drained;
	int32_t incoming_cpu; /* in place, -1 none */
	struct left left;
};

struct irq_state {
	uint64_t new_usec; /* since when an interface that was there has it, until it has been looked at; 0 */
	uint32_t irq;
	uint64_t last_count, last_packets;
	bool has_last, placed, foreign, immovable;
	bool has_packets;      /* packets_per_sec is a rate */
	uint64_t packets_usec; /* of last_packets; 0 none */
	struct cb_rate per_sec, packets_per_sec;
	uint64_t last_device_packets;
	bool has_device_packets;      /* last_device_packets is not too old */
	uint64_t device_packets_usec; /* of it */
	struct cb_rate device_packets_per_sec;
	double brought_per_sec; /* packets that it brought, as well as that is known */
	uint32_t first;		/* index of the first interrupt of its interface */
	double device_rate_sum; /* of the first: interrupts per second of all of the interface */
	bool by_packets;	/* load_ratio is by packets, not by counts */
	int32_t effective_cpu;
	double weight; /* its part of the CPU's time, in interrupts per second */
	double load_ratio;
	struct quarantine quarantine;
	struct left left;
};

struct queue_state {
	bool foreign; /* somebody else has set it */
	bool refused; /* a write was refused for good */
	struct quarantine quarantine;
};

struct window {
	uint64_t time_usec;
	bool clean;	    /* nothing but the load can have changed the figures */
	double cpu_per_sec; /* of the group's workers, as a control for others */
	struct cb_window w;
};

/* What is done with a group's new connections. */
struct steer_state {
	enum cb_steering is;   /* in place */
	enum cb_steering kept; /* by a verdict or the operator: back to it after each disturbance */
	uint32_t n_kept;
	uint32_t kept_share[CB_STEPS_MAX],
		kept_slot[CB_STEPS_MAX]; /* of the workers that it was kept for */
	uint64_t again_usec;		 /* when to put it in place anew, 0 never */
	uint32_t n_again;		 /* tries in a row */
	bool ordered;			 /* by an operator: nothing is changed by itself */
	bool given_up;		  /* what was kept could not be had again: the hash is next */
	uint64_t even_since_usec; /* shares for which there is no reason any more */
	uint64_t astray_usec; /* since when a worker is not where its socket's connections arrive, 0 */
	enum cb_reject reject; /* why it was refused last */
	struct quarantine quarantine;
};

struct group_state {
	uint32_t key;
	struct cb_group_policy policy;
	uint32_t n_workers;
	struct cb_group_sample last;
	uint64_t last_usec;
	bool has_packets, has_listen, has_datagrams;
	bool served_packets; /* served work is counted in packets, otherwise in CPU time */
	struct cb_rate packets_per_sec, drops_per_sec;
	uint32_t backlog, backlog_max;
	struct cb_rate cpu, wait_per_sec;
	struct finding_state skew, backlogged, gone;
	struct queue queue;   /* that its workers share */
	uint32_t lagging_key; /* BACKLOG: the worker whose queue it is, 0 that one */
	struct {
		uint32_t n_missing; /* workers that have ended without a successor */
		uint32_t key, slot; /* the last of them */
		int32_t pid;
	} lost;
	uint64_t oldest_usec; /* when its first worker came */
	uint64_t placed_usec; /* when it was given first places last, 0 never */
	uint64_t cooldown_until_usec, quiet_until_usec;
	struct quarantine futile; /* of moves where nobody suffers */
	uint64_t disturbed_usec;  /* last time that something but the load changed */
	uint64_t parted_usec;	  /* what is before and what is after cannot be compared */
	const char *parted_why;	  /* a sentence; not owned */
	bool beside;	    /* shares CPUs with what the plan in flight moves: no control for it */
	uint32_t n_windows; /* ever; the ring holds the last WINDOWS_KEPT */
	struct window window[WINDOWS_KEPT];
	uint32_t n_moves; /* ever; ring of the last MOVES_KEPT */
	uint64_t move_usec[MOVES_KEPT];
	struct steer_state steer;
	bool packets_ordered; /* by an operator: nothing is steered by itself */
};

/* The plan in flight, with what the public view has no use for. */
struct flight {
	bool active;
	struct cb_plan plan;
	uint64_t baseline_from_usec; /* windows that end later than this are evidence of before */
	bool was_placed[CB_STEPS_MAX];
	enum cb_verdict undo_verdict; /* what the plan becomes when its undoing is done */
	bool extended;
	bool headroom; /* a cooler CPU is what it is for, see verifier.h */
	bool veto; /* the operator wants none of this: its items go into the longest quarantine */
	struct cb_cpuset elsewhere; /* CPUs that nothing is put on; empty: that is not known */
	uint32_t n_before, n_after;
	struct cb_window before[CB_WINDOWS_MAX], after[CB_WINDOWS_MAX];
};

/* A plan that has ended, with what a late look or a rollback needs. */
struct done {
	struct cb_plan plan;
	bool was_placed[CB_STEPS_MAX];
	uint32_t n_late; /* late looks made */
	uint32_t n_before;
	struct cb_window before[CB_WINDOWS_MAX];
};

struct cb_engine {
	uint64_t now_usec;
	struct cb_policy policy;
	bool has_policy;
	struct cb_topology *topology;
	struct cb_cpuset housekeeping; /* of the topology */
	struct cb_irqs *irqs;
	struct irq_state *irq;	   /* [irqs->n] */
	struct cb_queues *queues;  /* NULL where nobody asks for packet steering */
	struct queue_state *queue; /* [queues->n] */
	bool table_placed;	   /* net.core.rps_sock_flow_entries */
	char table_group[CB_NAME_MAX];
	uint32_t *active_irq; /* [irqs->n]; the first n_active_irqs are indices of those that fire */
	uint32_t n_active_irqs;
	struct cpu_state *cpu;		      /* [topology->n_cpu_ids] */
	double *floor_ratio, *capacity_ratio; /* [n_cpu_ids], for the planner */
	double *rate_scratch;		      /* [n_cpu_ids], for the detectors */
	bool uneven;			      /* CPUs of different capacity */
	struct cb_planner_scratch *scratch;
	uint32_t n_workers, cap_workers;
	struct worker_state *worker; /* ordered by group, then slot */
	uint32_t n_groups;
	struct group_state *group[CB_GROUPS_MAX]; /* in order of registration */

	uint64_t new_until_usec; /* there may be newcomers */
	uint32_t n_vacant;	 /* ever; ring */
	struct vacant *vacant;	 /* [VACANT_KEPT], NULL as long as there was none */

	bool has_snapshot;
	uint32_t n_windows; /* ever, as each group has */
	uint64_t snapshot_usec;
	uint32_t user_hz; /* of the last snapshot */
	uint64_t ctxt, intr_total;
	struct cb_totals totals;

	uint32_t n_findings;
	struct cb_finding finding[FINDINGS_MAX];
	uint16_t finding_order[FINDINGS_MAX]; /* of finding[], what matters most first */
	struct finding_state concentration, stolen;
	uint32_t concentration_cpu; /* while that holds */

	struct flight flight;
	uint32_t next_plan_id;
	uint32_t n_done; /* ever; ring */
	struct done done[PLANS_KEPT];
	uint32_t n_rollbacks; /* ever; ring */
	uint64_t rollback_usec[ROLLBACKS_KEPT];
	bool irqbalance;
	uint64_t started_usec;
	bool releasing; /* a release was handed to the host; releasing_group: 0 all */
	uint32_t releasing_group;

	struct cb_planner_item item[ENGINE_ITEMS_MAX];
	uint32_t n_targets;
	struct cb_cpuset target[ENGINE_ITEMS_MAX]; /* that items point to */
	double lane_ratio[ENGINE_ITEMS_MAX]; /* of an item's load, what its lane's interrupts have */
	struct cb_planner_result result;
	struct cb_plan outlook; /* of cb_engine_outlook(), too big for a stack */
	uint32_t n_refusals;
	struct cb_refusal refusal[CB_REFUSALS_MAX];
	uint32_t refusals_told; /* fingerprint of the refusals last counted */
};

/* engine.c */
void engine_notice(struct cb_decision *decision, enum cb_notice_kind kind,
		   const struct cb_notice *notice, const char *fmt, ...) _printf_(4, 5);
struct group_state *engine_group(const struct cb_engine *engine, uint32_t key);
struct worker_state *engine_worker(const struct cb_engine *engine, uint32_t key);
struct irq_state *engine_irq_state(const struct cb_engine *engine, uint32_t irq);
/* The CPU that an item's load is on: a worker's also for its sockets; -1 unknown, gone, or of a queue. */
int32_t engine_item_cpu(const struct cb_engine *engine, struct cb_item_ref item);
enum cb_mode engine_mode(const struct cb_engine *engine, const struct group_state *group);
/* Whether Interfaces= has it. All interfaces (*) are those of hardware; a virtual one is the group's when it is named. */
bool engine_group_names(const struct group_state *group, const char *ifname, bool hardware);
bool engine_group_feeds(const struct cb_engine *engine, const struct group_state *group,
			const struct cb_irq_info *info);

/*
 * A process with several threads: a runtime that moves its work between them (Go, the JVM), or a worker with helpers. On a
 * single CPU they would wait for each other, so it gets a mask of several or none.
 */
static inline bool engine_floats(const struct worker_state *worker)
{
	return worker->tid == 0 && worker->last.present & CB_WORKER_HAS_THREADS &&
	       worker->last.n_threads > 1;
}

/*
 * Can the worker have this mask by our doing? The kernel cuts what we set by its cpuset, and gives all of that where nothing is
 * left.
 */
static inline bool engine_mask_is_ours(const struct cb_engine *engine,
				       const struct worker_state *worker,
				       const struct cb_cpuset *mask)
{
	struct cb_cpuset allowed = cb_cpuset_and(&worker->cpuset, &engine->topology->online);
	struct cb_cpuset is = cb_cpuset_and(mask, &engine->topology->online);
	struct cb_cpuset ours = cb_cpuset_and(&worker->set, &allowed);

	return cb_cpuset_equal(&is, cb_cpuset_empty(&ours) ? &allowed : &ours);
}

/* The CPUs of a set that there can be, without a look at the rest of the set, which is long and empty. */
#define ENGINE_FOREACH_CPU(id, set, engine)                             \
	for (uint32_t id = 0; id < (engine)->topology->n_cpu_ids; id++) \
		if (cb_cpuset_has((set), id))

/* The CPUs that may be used at all. */
static inline const struct cb_cpuset *engine_usable(const struct cb_engine *engine)
{
	return engine->policy.use_isolated ? &engine->topology->online : &engine->housekeeping;
}

/*
 * Of a second on the strongest kind of CPU that the machine has, how much a second on this one gets done: loads of different CPUs are
 * compared in that.
 */
static inline double engine_speed(const struct cb_engine *engine, uint32_t cpu)
{
	return (double)engine->topology->cpu[cpu].capacity / CB_CAPACITY_FULL;
}

/* The same of a second by the clock, of which the hypervisor may give a part to others. */
static inline double engine_capacity(const struct cb_engine *engine, uint32_t cpu)
{
	return CB_MAX(engine_speed(engine, cpu) * engine->cpu[cpu].given_ratio, 0.05);
}

/* The number that the threads of a core have in common. */
static inline uint32_t engine_core(const struct cb_engine *engine, uint32_t cpu)
{
	uint32_t core = (uint32_t)engine->topology->cpu[cpu].core;

	return core < engine->topology->n_cpu_ids ? core : cpu;
}

/* How full a CPU is with that work on it and @beside on the other threads of its core: the planner's model. */
static inline double engine_level(const struct cb_engine *engine, uint32_t cpu, double work,
				  double beside)
{
	return (work + CB_PLANNER_WEIGHTS.smt_ratio * beside) / engine_capacity(engine, cpu);
}

/* engine_rates.c: snapshot -> rates, attribution, windows */
int engine_snapshot_check(const struct cb_engine *engine, const struct cb_snapshot *snapshot);
void engine_rates(struct cb_engine *engine, const struct cb_snapshot *snapshot);
/* engine_attribute.c: rates -> who loads which CPU */
void engine_attribute(struct cb_engine *engine);

/* engine_windows.c: what a verdict is made of */
void engine_windows(struct cb_engine *engine, const struct cb_snapshot *snapshot, uint64_t dt_usec);
uint32_t engine_windows_since(const struct cb_engine *engine, const struct group_state *group,
			      uint64_t from_usec, uint32_t max, struct cb_window *ret);
/* Before a plan is applied: which groups are no control for it. */
void engine_windows_beside(struct cb_engine *engine, const struct cb_plan *plan);
void engine_disturb(struct cb_engine *engine, struct group_state *group);
void engine_part(struct cb_engine *engine, struct group_state *group, const char *why);

/* findings.c: what findings of all kinds have in common */
/*
 * The condition of @finding holds, whose kind, subject and figures are set: its time is counted, it is told of once it has
 * lasted for confirm_usec, and listed.
 */
void engine_finding_hold(struct cb_engine *engine, struct finding_state *state,
			 struct cb_finding *finding, struct cb_decision *decision);
/* It does not hold any more, and how it looks now. Nothing happens when it did not hold. */
void engine_finding_end(struct finding_state *state, struct cb_decision *decision, const char *fmt,
			...) _printf_(3, 4);
/* Put the list of this tick in order. */
void engine_findings_sort(struct cb_engine *engine);
/* What is about CPUs ends with the set of CPUs. */
void engine_findings_drop_cpus(struct cb_engine *engine, struct cb_decision *decision);

/* detector.c */
void engine_detect(struct cb_engine *engine, struct cb_decision *decision);
/* Of a CPU's finding: where its load could go, who suffers, whose interrupts are there. */
void engine_finding_surroundings(const struct cb_engine *engine, struct cb_finding *finding);
/* The load of each core, by its number, in engine->rate_scratch: as it is now, for engine_faster_places(). */
void engine_sum_cores(struct cb_engine *engine);
/* A worker of one thread that has its CPU nearly for itself. */
bool engine_fills_cpu(const struct cb_engine *engine, const struct worker_state *worker);
/* CPUs that would be felt as less full by it than its own, by as much as a plan is made for. After engine_sum_cores(). */
struct cb_cpuset engine_faster_places(const struct cb_engine *engine,
				      const struct worker_state *worker);
/* CPUs that the worker may be put on by all rules but budgets: online, cpuset, AllowedCPUs=, isolation. */
struct cb_cpuset engine_allowed(const struct cb_engine *engine, const struct worker_state *worker);
/* Likewise an interrupt that feeds the group, and the packets that it brings. */
struct cb_cpuset engine_irq_allowed(const struct cb_engine *engine,
				    const struct group_state *group);

/* detect_cpus.c */
void engine_detect_cpus(struct cb_engine *engine, struct cb_decision *decision);

/* detect_groups.c */
void engine_detect_groups(struct cb_engine *engine, struct cb_decision *decision);
/* A worker joins, before it counts. */
void engine_worker_came(struct cb_engine *engine, struct group_state *group,
			struct worker_state *worker);
/* A worker leaves, while it still counts. @lives: it was taken out of its group and has not ended. */
void engine_worker_went(struct cb_engine *engine, struct group_state *group,
			struct worker_state *worker, bool lives, struct cb_decision *decision);
void engine_group_findings_end(struct group_state *group, struct cb_decision *decision);

/* engine_problem.c: engine state -> planner problem */
void engine_plan_for(struct cb_engine *engine, const struct cb_finding *finding,
		     struct group_state *group, uint32_t max_steps, struct cb_plan *ret);
/* What a worker wants, not what it got: seconds of its CPU per second. */
double engine_wanted(const struct worker_state *worker);
/* The widest mask that a worker may have: of what it is allowed (@ret_allowed), its own node unless it may cross. */
struct cb_cpuset engine_target(const struct cb_engine *engine, const struct worker_state *worker,
			       struct cb_cpuset *ret_allowed);
/* Why an interrupt may not be moved; @feeds: it feeds a group that may. */
enum cb_reject engine_irq_reject(const struct cb_engine *engine, const struct irq_state *state,
				 bool feeds);
/* Add what the planner refused just now to what explain shows. */
void engine_keep_refusals(struct cb_engine *engine);
struct group_state *engine_group_of_finding(const struct cb_engine *engine,
					    const struct cb_finding *finding);

/* The coolest online CPU of a set; -1 none. */
int32_t engine_coolest_of(const struct cb_engine *engine, const struct cb_cpuset *set);
/* What the loads vary by from window to window, see noise.h. */
double engine_hysteresis(const struct cb_engine *engine);

/* engine_return.c: not from A to B to A without new evidence */
/* A step has been written: remember what it left. Before the state of the item changes. */
void engine_left_note(struct cb_engine *engine, const struct cb_step *step);
void engine_left_forget(struct cb_engine *engine, struct cb_item_ref item); /* it is undone */
/* The CPU that the item may not go back to; -1 none. */
int32_t engine_left_bars(const struct cb_engine *engine, struct cb_item_ref item);
/* Refusals of the last plan for which only that CPU would have been better. */
void engine_left_explain(struct cb_engine *engine);

/* engine_plan.c: the life of a plan */
void engine_plan_tick(struct cb_engine *engine, struct cb_decision *decision);
/* A plan for the group without steps. */
void engine_plan_blank(const struct cb_engine *engine, const struct group_state *group,
		       enum cb_origin origin, struct cb_plan *ret);
/* The plan in flight goes on to @state; @next_usec: when something is to be expected of it, 0 unknown. */
void engine_plan_enter(struct cb_engine *engine, enum cb_plan_state state, uint64_t next_usec);
void engine_plan_tell(struct cb_engine *engine, enum cb_notice_kind kind,
		      struct cb_decision *decision);
/* Put @plan in flight: proposed, or collecting what to compare with from windows that end after @baseline_from_usec. */
void engine_plan_begin(struct cb_engine *engine, const struct cb_plan *plan, bool propose,
		       uint64_t baseline_from_usec, struct cb_decision *decision);
/* From proposed or from collecting, as far as it goes now. */
void engine_plan_advance(struct cb_engine *engine, struct cb_decision *decision);
void engine_plan_end(struct cb_engine *engine, enum cb_verdict verdict,
		     struct cb_decision *decision);
/* Undo what is written, then end with @verdict; ends at once when nothing is. */
void engine_plan_undo(struct cb_engine *engine, enum cb_verdict verdict, const char *why,
		      struct cb_decision *decision);
/* The group's workers changed: what was collected is no evidence any more. @worker_key: one that is gone, 0 none. */
void engine_plan_disturbed(struct cb_engine *engine, uint32_t group_key, uint32_t worker_key,
			   struct cb_decision *decision);
/* Put a plan that has ended back into flight and undo what of it stands. */
void engine_plan_revert(struct cb_engine *engine, const struct done *done, bool veto,
			const char *why, struct cb_decision *decision);
bool engine_plan_stands(const struct cb_plan *plan);	  /* some of what it wrote is still there */
bool engine_plan_applied(const struct cb_engine *engine); /* something of it may be written */
const char *engine_plan_steps_text(const struct cb_engine *engine, const struct cb_plan *plan,
				   char *buf, size_t size);

/* engine_outcome.c: what came of what was written */
void engine_plan_outcome(struct cb_engine *engine, const struct cb_outcome *outcome,
			 struct cb_decision *decision);

/* engine_consider.c: which finding gets the next plan */
/* Whether the planner is asked about a finding. */
bool engine_plannable(const struct cb_engine *engine, const struct cb_finding *finding);
void engine_consider(struct cb_engine *engine, struct cb_decision *decision);

/* engine_steer.c: new connections of a group */
static inline bool engine_plan_steers(const struct cb_plan *plan)
{
	return plan->n_steps > 0 && cb_item_steers(plan->step[0].item.kind);
}
/* Does it touch sockets at all, be it with lanes that it moves? */
static inline bool engine_plan_has_sockets(const struct cb_plan *plan)
{
	for (uint32_t i = 0; i < plan->n_steps; i++)
		if (cb_item_steers(plan->step[i].item.kind))
			return true;
	return false;
}
/* Does the step only follow another: of a queue, or of a lane whose worker is moved? */
static inline bool engine_plan_goes_along(const struct cb_plan *plan, const struct cb_step *step)
{
	return cb_item_is_queue(step->item.kind) ||
	       (step->item.kind != CB_ITEM_WORKER && cb_plan_in_lane(plan, step));
}
/* Shares by headroom, for a finding; @ret->n_steps is 0 with the reason returned. */
enum cb_reject engine_steer_for(struct cb_engine *engine, const struct cb_finding *finding,
				struct group_state *group, struct cb_plan *ret);
/* Is what makes that CPU hot nothing that can be moved? Then steering goes before moving. */
bool engine_steer_first(const struct cb_engine *engine, const struct cb_finding *finding);
/* What needs no finding: lanes, what was kept for new workers, back to the hash. */
void engine_steer_tick(struct cb_engine *engine, struct cb_decision *decision);
/* Steps are written, put back or over: what is in place, and what stays. */
void engine_steer_written(struct cb_engine *engine, const struct cb_step *step, bool placed);
void engine_steer_ended(struct cb_engine *engine, const struct cb_plan *plan);
void engine_steer_refused(struct cb_engine *engine, const struct cb_step *step);
/* Nothing is steered any more, and nothing is to be again. */
void engine_steer_forget(struct cb_engine *engine, struct group_state *group);
void engine_steer_workers_changed(struct cb_engine *engine, struct group_state *group);
void engine_steer_lost(struct cb_engine *engine, struct group_state *group);
/* The settings have changed: what they do not allow any more is put back. */
void engine_steer_policy(struct cb_engine *engine, struct group_state *group,
			 struct cb_decision *decision);
/* The plan of an order. Returns NONE, or why not. */
enum cb_reject engine_steer_order(struct cb_engine *engine, struct group_state *group,
				  const struct cb_command *command, struct cb_plan *ret);
enum cb_reject engine_drain_order(struct cb_engine *engine, struct worker_state *worker, bool drain,
				  struct cb_plan *ret);

/* engine_lane.c: worker, socket and interrupt that go together (Steering=local) */
/* At most so many lanes in one plan. */
#define ENGINE_LANES_MAX 4u
bool engine_in_lane(const struct group_state *group, const struct worker_state *worker);
/* Make a worker's item one of its lane. Returns the load of the interrupts that go with it, none of it added yet. */
double engine_lane_join(const struct cb_engine *engine, const struct group_state *group,
			const struct worker_state *worker, struct cb_planner_item *item,
			struct cb_cpuset *target);
/* What an interrupt may do that a lane has; nothing changes for any other. */
void engine_lane_irq(const struct cb_engine *engine, const struct group_state *group,
		     uint32_t index, struct cb_planner_item *item, struct cb_cpuset *target);
bool engine_lane_keeps(const struct cb_engine *engine, uint32_t index); /* some lane has it */
/* The first step that leads a lane to where another step has led one already; @n: there is none. */
uint32_t engine_lane_clash(const struct cb_engine *engine, const struct group_state *group,
			   const struct cb_step *step, uint32_t n);
/* Steps for what goes with the workers that @plan moves. False: one of them leaves its lane. */
bool engine_lane_follow(struct cb_engine *engine, const struct group_state *group,
			struct cb_plan *plan);

/* engine_newcomers.c: first places */
/* Somebody has come: for so long as he is new, ticks look at him. */
void engine_newcomers_came(struct cb_engine *engine);
/* A worker ends, while the plan in flight is still what it was. */
void engine_newcomers_went(struct cb_engine *engine, const struct worker_state *worker);
/* Nobody takes over a place of that group that is vacant now. */
void engine_newcomers_forget(struct cb_engine *engine, uint32_t group_key);
void engine_newcomers(struct cb_engine *engine, struct cb_decision *decision);

/* engine_queues.c, engine_packets.c: queues of network interfaces */
static inline bool engine_plan_is_packets(const struct cb_plan *plan)
{
	return plan->n_steps > 0 && cb_item_is_queue(plan->step[0].item.kind);
}
int engine_take_queues(struct cb_engine *engine, const struct cb_queues *queues,
		       struct cb_decision *decision);
/* NULL when there is none, or the item is the table of the machine. */
struct cb_queue_info *engine_queue(const struct cb_engine *engine, struct cb_item_ref item);
struct queue_state *engine_queue_state(const struct cb_engine *engine, struct cb_item_ref item);
/*
 * RPS for the finding's CPU; @ret->n_steps is 0 with the reason returned. @moves: what would be moved instead, @tell: what stops
 * queues goes into the refusals.
 */
enum cb_reject engine_packets_for(struct cb_engine *engine, const struct cb_finding *finding,
				  struct group_state *group, const struct cb_plan *moves, bool tell,
				  struct cb_plan *ret);
/* Of the CPU's time, what is spent on packets of the group that could be handled elsewhere. */
double engine_packets_ratio(const struct cb_engine *engine, const struct group_state *group,
			    uint32_t cpu);
/* XPS for the interrupts that @plan moves. */
void engine_packets_follow(struct cb_engine *engine, const struct group_state *group,
			   struct cb_plan *plan);
/* What the settings do not allow any more is put back. */
void engine_packets_tick(struct cb_engine *engine, struct cb_decision *decision);
void engine_packets_written(struct cb_engine *engine, const struct cb_step *step, bool placed);
void engine_packets_refused(struct cb_engine *engine, const struct cb_step *step);
/* The journal has its original; and it is as the step has left it. */
bool engine_packets_placed(const struct cb_engine *engine, struct cb_item_ref item);
bool engine_packets_stand(const struct cb_engine *engine, const struct cb_step *step);
/* @group NULL: of all. */
void engine_packets_released(struct cb_engine *engine, const struct group_state *group);
/* The plan of an order. Returns NONE, or why not. */
enum cb_reject engine_packets_order(struct cb_engine *engine, const struct group_state *group,
				    const struct cb_command *command, struct cb_plan *ret);

/* engine_late.c: kept plans are looked at again */
void engine_late_looks(struct cb_engine *engine, struct cb_decision *decision);

/* engine_account.c: budgets, quarantine, what has ended */
uint32_t engine_moves_hour(const struct cb_engine *engine, const struct group_state *group);
uint32_t engine_rollbacks_hour(const struct cb_engine *engine);
void engine_account_move(struct cb_engine *engine, struct group_state *group,
			 const struct cb_step *step);
void engine_account_end(struct cb_engine *engine, const struct cb_plan *plan, bool veto,
			struct cb_decision *decision);
void engine_account_refusals(struct cb_engine *engine);
/* Why a plan for this group may not be made now, NONE when it may. @ret_max_steps: how many steps it may have. */
enum cb_reject engine_gate(const struct cb_engine *engine, const struct group_state *group,
			   const struct cb_finding *finding, uint32_t *ret_max_steps);
/* Has a plan of so many steps fewer than it would have without the hour's budget? */
bool engine_budget_binds(const struct cb_engine *engine, uint32_t max_steps);

/* engine_events.c, engine_commands.c */
int engine_event(struct cb_engine *engine, const struct cb_event *event,
		 struct cb_decision *decision);
void engine_command(struct cb_engine *engine, const struct cb_command *command,
		    struct cb_decision *decision);
/* The rule that forbids @mask for the group, and for who may run on @cpuset only, NULL anywhere; NONE when it may be. */
enum cb_reject engine_mask_reject(const struct cb_engine *engine, const struct group_state *group,
				  const struct cb_cpuset *cpuset, const struct cb_cpuset *mask);
