/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The engine: pure, eats one ordered stream of inputs and answers each with a decision. The same stream gives the same
 * decisions to the byte. It keeps the rates, the findings, the one plan in flight, verdicts, quarantine and budgets.
 *
 * Order of a tick: SNAPSHOT (decision: perhaps CB_ACTION_APPLY) -> the host applies -> one OUTCOME with all steps'
 * results. Events and commands come in between; POLICY and TOPOLOGY before the first SNAPSHOT.
 */

#include "cpubalance/irqs.h"
#include "cpubalance/plan.h"
#include "cpubalance/policy.h"
#include "cpubalance/queues.h"
#include "cpubalance/rate.h"
#include "cpubalance/snapshot.h"
#include "cpubalance/topology.h"

enum cb_input_kind {
	CB_INPUT_POLICY,
	CB_INPUT_TOPOLOGY,
	CB_INPUT_IRQS,
	CB_INPUT_SNAPSHOT,
	CB_INPUT_EVENT,
	CB_INPUT_COMMAND,
	CB_INPUT_OUTCOME,
	CB_INPUT_QUEUES, /* where a group has PacketSteering= */
	_CB_INPUT_MAX,
	_CB_INPUT_INVALID = -22,
};
const char *cb_input_kind_name(enum cb_input_kind kind);

enum cb_event_kind {
	CB_EVENT_GROUP_ADDED,    /* group, or a change of its settings */
	CB_EVENT_GROUP_REMOVED,  /* group_key */
	CB_EVENT_WORKER_ADDED,   /* worker */
	CB_EVENT_WORKER_GONE,    /* worker_key; present: it lives, and was only taken out of its group */
	CB_EVENT_WORKER_FOREIGN, /* worker_key: its mask is not what we set; mask is what it is */
	CB_EVENT_WORKER_CPUSET,  /* worker_key: mask is what its cpuset allows from now on */
	CB_EVENT_IRQ_FOREIGN,    /* irq, mask */
	CB_EVENT_IRQ_IMMOVABLE,  /* irq: a write was refused for good */
	CB_EVENT_IRQBALANCE,     /* present: whether irqbalance runs, and interrupts are left to it */
	CB_EVENT_STEER_LOST,     /* group_key: its sockets are not those that were steered; they have the kernel's hash again */
	CB_EVENT_STRANDED,       /* worker_key, or 0 and irq: all CPUs of its placement went offline; its original is back */
	_CB_EVENT_MAX,
	_CB_EVENT_INVALID = -22,
};
const char *cb_event_kind_name(enum cb_event_kind kind);

#define CB_COMM_MAX 16u /* TASK_COMM_LEN */

struct cb_worker_added {
	uint32_t key; /* > 0, never used before */
	uint32_t group_key;
	int32_t pid;
	int32_t tid;          /* the thread of it that is a worker by itself; 0: the whole process */
	uint64_t start_ticks; /* of the process or thread: field 22 of its stat, clock ticks since boot */
	char comm[CB_COMM_MAX];
	struct cb_cpuset cpuset; /* what its cpuset allows; full where there is none */
	bool placed;             /* the journal holds an original for it: a restart adopted it */
	struct cb_cpuset original; /* of the main thread; its present mask when not placed */
};

struct cb_event {
	enum cb_event_kind kind;
	uint32_t group_key;
	struct cb_group_policy group;
	struct cb_worker_added worker;
	uint32_t worker_key;
	uint32_t irq;
	bool present;
	struct cb_cpuset mask;
};

enum cb_command_kind {
	CB_COMMAND_APPLY,    /* plan_id, 0: the proposed one */
	CB_COMMAND_MOVE,     /* worker_key, mask */
	CB_COMMAND_ROLLBACK, /* plan_id, 0: the plan in flight, else the last one that was kept */
	CB_COMMAND_RELEASE,  /* group_key, 0: all; present: pause too */
	CB_COMMAND_PAUSE,    /* span_usec, 0: without end */
	CB_COMMAND_RESUME,
	CB_COMMAND_MODE, /* mode, group_key 0: the manager's; also ends the canary */
	CB_COMMAND_STEER, /* group_key, steering; shares "1:2:3:4" by slot, "" to have them from the headroom */
	CB_COMMAND_DRAIN, /* worker_key; present: drain, else undrain */
	CB_COMMAND_PACKETS, /* group_key, packets; RPS: mask. NONE: all back, and nothing by itself; present: by itself again */
	CB_COMMAND_VETO, /* plan_id: rolled back as above, and its items left alone for QuarantineMaxSec= */
	_CB_COMMAND_MAX,
	_CB_COMMAND_INVALID = -22,
};
const char *cb_command_kind_name(enum cb_command_kind kind);

#define CB_SHARES_TEXT_MAX 256u

struct cb_command {
	enum cb_command_kind kind;
	uint32_t plan_id;
	uint32_t worker_key;
	uint32_t group_key;
	uint64_t span_usec;
	enum cb_mode mode;
	bool present;
	struct cb_cpuset mask;
	enum cb_steering steering;
	enum cb_packets packets;
	char shares[CB_SHARES_TEXT_MAX];
};

/* The results of one CB_ACTION_APPLY or CB_ACTION_RELEASE, steps in the same order. */
struct cb_outcome {
	uint32_t plan_id; /* 0 for a release */
	uint32_t n_steps;
	struct cb_step step[CB_STEPS_MAX]; /* state, errnum, error_class are the host's */
	/* a release: counts of journal entries (threads, heirs, interrupts) */
	uint32_t n_restored, n_pending, n_gone, n_foreign, n_failed;
};

struct cb_input {
	enum cb_input_kind kind;
	uint64_t now_usec; /* CLOCK_MONOTONIC; never decreases */
	union {
		const struct cb_policy *policy;
		struct cb_topology *topology; /* the engine takes a reference */
		const struct cb_irqs *irqs;   /* copied */
		const struct cb_snapshot *snapshot;
		const struct cb_event *event;
		const struct cb_command *command;
		const struct cb_outcome *outcome;
		const struct cb_queues *queues; /* copied */
	};
};

enum cb_action {
	CB_ACTION_NONE,
	CB_ACTION_APPLY,   /* hand step[] to cb_apply(), then feed the OUTCOME */
	CB_ACTION_RELEASE, /* hand group_key (0: all) to cb_release(), then feed the OUTCOME */
	_CB_ACTION_MAX,
	_CB_ACTION_INVALID = -22,
};
const char *cb_action_name(enum cb_action action);

enum cb_notice_kind {
	CB_NOTICE_FINDING_BEGAN, /* confirmed */
	CB_NOTICE_FINDING_ENDED,
	CB_NOTICE_PLAN_PROPOSED,
	CB_NOTICE_PLAN_APPLIED,
	CB_NOTICE_PLAN_ENDED, /* with its verdict */
	CB_NOTICE_CANARY,
	CB_NOTICE_FOREIGN,
	_CB_NOTICE_MAX,
	_CB_NOTICE_INVALID = -22,
};
const char *cb_notice_kind_name(enum cb_notice_kind kind);

/* Something to tell the world (journal, D-Bus signal); part of the decision and so of a replay. */
struct cb_notice {
	enum cb_notice_kind kind;
	enum cb_finding_kind finding; /* FINDING_* */
	int32_t cpu;                  /* -1 none */
	uint32_t worker_key;          /* FINDING_*: 0 none */
	uint32_t group_key;           /* FINDING_*: 0 none */
	uint32_t plan_id;             /* 0 none */
	enum cb_verdict verdict;
	char sentence[256];
};
#define CB_NOTICES_MAX 32u

struct cb_decision {
	uint64_t now_usec;
	enum cb_action action;
	uint32_t plan_id;
	uint32_t group_key; /* RELEASE */
	uint32_t n_steps;
	struct cb_step step[CB_STEPS_MAX];
	/*
	 * The answer to a command: 0, -ENOENT (no such plan, worker or group), -EBUSY (a plan is in flight), -EINVAL (bad
	 * argument) or -EPERM (refused by a rule), with one line for the operator, and the plan it made or touched.
	 */
	int result;
	char answer[256];
	uint32_t answer_plan_id;
	uint32_t n_notices;
	uint32_t notices_lost; /* beyond CB_NOTICES_MAX */
	struct cb_notice notice[CB_NOTICES_MAX];
};

struct cb_engine;

/* @first_plan_id: 1, or one more than the history's last. */
struct cb_engine *cb_engine_new(uint32_t first_plan_id) _must_check_;
struct cb_engine *cb_engine_free(struct cb_engine *engine); /* NULL is fine; returns NULL */

/*
 * Feed one input. @ret is always set, its arrays up to their n_*. Returns 0, -ENOMEM, or -EINVAL for an input that breaks the contract
 * above (time going backwards, unknown keys, snapshot of another topology generation): it is ignored then.
 */
int cb_engine_feed(struct cb_engine *engine, const struct cb_input *input, struct cb_decision *ret) _must_check_;

/* --- views: what reports, metrics and explain show; all valid until the next feed --- */

enum cb_heat {
	CB_HEAT_COOL,
	CB_HEAT_WARM,
	CB_HEAT_HOT,
	_CB_HEAT_MAX,
	_CB_HEAT_INVALID = -22,
};
const char *cb_heat_name(enum cb_heat heat);

struct cb_cpu_view {
	uint32_t cpu;
	bool online;
	uint32_t present; /* CB_CPU_HAS_*; rates need two samples */
	enum cb_heat heat;
	uint64_t hot_since_usec; /* 0 not hot */
	struct cb_rate busy;     /* 0..1, without idle, iowait and steal */
	struct cb_rate user, system, irq, softirq, steal, guest; /* shares of the CPU; user without guest */
	struct cb_rate ctxsw_per_sec;
	struct cb_rate softirqs_per_sec[_CB_SOFTIRQ_MAX];
	struct cb_rate softnet_dropped_per_sec;
	double workers_ratio; /* smoothed load of the workers attributed to it */
	double irqs_ratio;    /* of the interrupts that land on it */
	double other_ratio;   /* the rest of busy */
};

struct cb_worker_view {
	uint32_t key, group_key, slot; /* slot: stable small number in the group, "nginx/3" */
	const char *group;
	const char *comm;
	int32_t pid;
	int32_t tid; /* 0: the whole process */
	bool floats; /* a process with several threads, which share what it may use: it is never given a single CPU */
	uint64_t start_ticks;
	uint32_t present; /* CB_WORKER_HAS_* */
	struct cb_rate cpu;          /* CPU-seconds per second */
	struct cb_rate wait_per_sec; /* run-queue wait, seconds per second */
	struct cb_rate vol_per_sec, invol_per_sec;
	uint32_t n_threads, n_fds;
	/* CB_WORKER_HAS_LISTEN: of the listening sockets that it alone serves */
	uint32_t n_listeners, backlog, backlog_max;
	struct cb_rate drops_per_sec; /* and datagrams lost */
	uint64_t queued_bytes, queued_max_bytes; /* CB_WORKER_HAS_DATAGRAMS: of UDP sockets that it alone serves */
	int32_t last_cpu;
	int32_t cpu_attributed; /* the CPU its load is counted on, -1 unknown */
	struct cb_cpuset mask, original;
	struct cb_cpuset allowed; /* where it may be put */
	bool placed;   /* differs from its original by our doing */
	bool foreign;  /* somebody else has changed it after us: we keep off */
	uint32_t share;       /* of CB_SHARES, of its group's new connections; 0 where they are not shared out */
	bool drained;         /* it gets no new connections by the operator's word */
	int32_t incoming_cpu; /* whose connections its sockets are given first, -1 none */
	uint64_t quarantine_until_usec; /* 0 none */
};

struct cb_irq_view {
	uint32_t irq;
	const struct cb_irq_info *info;
	struct cb_rate per_sec;
	int32_t effective_cpu;
	double load_ratio;    /* share of its CPU's irq + softirq time */
	bool by_packets;      /* shared out by packets, not by interrupt counts */
	bool has_packets;     /* packets_per_sec: of its queues, where the driver counts them */
	struct cb_rate packets_per_sec;
	uint32_t group_key;   /* group it feeds, 0 none */
	enum cb_reject reject; /* why it may not be moved, NONE when it may */
	bool placed, foreign;
};

struct cb_group_view {
	uint32_t key;
	const struct cb_group_policy *policy;
	enum cb_mode mode; /* effective */
	uint32_t n_workers, n_placed;
	struct cb_rate cpu, wait_per_sec; /* sums over its workers */
	bool has_packets, has_listen, has_datagrams, has_fds, has_metric;
	double metric; /* ServiceMetric=, as it came last */
	struct cb_rate packets_per_sec, drops_per_sec;
	uint32_t backlog, backlog_max;
	uint64_t queued_bytes, queued_max_bytes; /* of UDP */
	double skew_ratio;      /* most connections of a worker over the mean, by fds; 1 is even; 0 unknown */
	uint32_t moves_hour;
	uint64_t cooldown_until_usec;
	enum cb_steering steered;      /* what is done with its new connections now */
	enum cb_reject steer_reject;   /* why they were not steered when that was tried last */
	uint32_t n_queues_placed;      /* files of queues of network interfaces that are set for it */
};

struct cb_totals {
	struct cb_rate ctxt_per_sec, intr_per_sec;
	uint32_t procs_running, procs_blocked;
	uint32_t n_plans[_CB_VERDICT_MAX]; /* ended, by verdict, since start */
	uint32_t n_moves[_CB_ITEM_MAX];    /* steps written, by kind */
	uint32_t n_rejects[_CB_REJECT_MAX]; /* refusals, by reason, counted when a plan is made */
	uint32_t n_write_errors[_CB_ITEM_MAX][_CB_ERROR_CLASS_MAX];
	uint32_t n_foreign[_CB_ITEM_MAX];
	uint32_t n_quarantined;
	uint32_t rollbacks_hour, moves_hour; /* moves_hour: of the group that made most */
	bool canary, paused;
	uint64_t paused_until_usec; /* 0: without end */
	uint64_t quiet_until_usec;
	uint32_t n_kept;
};

bool cb_engine_cpu(const struct cb_engine *engine, uint32_t cpu, struct cb_cpu_view *ret); /* false: no such CPU number */
uint32_t cb_engine_n_workers(const struct cb_engine *engine);
void cb_engine_worker(const struct cb_engine *engine, uint32_t index, struct cb_worker_view *ret); /* index < n_workers, by group and slot */
bool cb_engine_worker_by_key(const struct cb_engine *engine, uint32_t key, struct cb_worker_view *ret);
uint32_t cb_engine_n_irqs(const struct cb_engine *engine);
void cb_engine_irq(const struct cb_engine *engine, uint32_t index, struct cb_irq_view *ret);
uint32_t cb_engine_n_groups(const struct cb_engine *engine);
void cb_engine_group(const struct cb_engine *engine, uint32_t index, struct cb_group_view *ret);
uint32_t cb_engine_n_findings(const struct cb_engine *engine); /* confirmed and not; what matters most first: findings that plans follow, hottest first */
const struct cb_finding *cb_engine_finding(const struct cb_engine *engine, uint32_t index);
const struct cb_plan *cb_engine_plan(const struct cb_engine *engine);      /* proposed or in flight, NULL for none */
const struct cb_plan *cb_engine_last_plan(const struct cb_engine *engine); /* last that ended, NULL for none */
uint32_t cb_engine_n_refusals(const struct cb_engine *engine); /* of the last planning */
const struct cb_refusal *cb_engine_refusal(const struct cb_engine *engine, uint32_t index);
void cb_engine_totals(const struct cb_engine *engine, struct cb_totals *ret);
/* Queues that were fed, with what has been changed since; NULL none. */
const struct cb_queues *cb_engine_queues(const struct cb_engine *engine);
const struct cb_topology *cb_engine_topology(const struct cb_engine *engine);
const struct cb_policy *cb_engine_policy(const struct cb_engine *engine);
uint64_t cb_engine_now(const struct cb_engine *engine); /* of the last input */

/* What time series show, without the rest of a view. */
struct cb_worker_use {
	const char *group;
	uint32_t slot, present; /* CB_WORKER_HAS_* with a rate */
	double cpu_per_sec, wait_per_sec; /* last interval */
	uint32_t backlog, n_fds;
	uint64_t queued_bytes;
};
struct cb_irq_use {
	uint32_t irq;
	const char *actions;
	bool placed;
	double per_sec, load_ratio; /* last interval; smoothed */
};
void cb_engine_worker_use(const struct cb_engine *engine, uint32_t index, struct cb_worker_use *ret);
void cb_engine_irq_use(const struct cb_engine *engine, uint32_t index, struct cb_irq_use *ret);
/* Rates of one CPU; NULL where @present, of CB_CPU_HAS_*, has none. Of the last input, valid until the next. */
enum cb_cpu_rate { CB_CPU_RATE_BUSY, CB_CPU_RATE_SOFTIRQ, CB_CPU_RATE_STEAL, CB_CPU_RATE_CTXSW, CB_CPU_RATE_SOFTIRQS };
const struct cb_rate *cb_engine_cpu_rate(const struct cb_engine *engine, uint32_t cpu, enum cb_cpu_rate which);
enum cb_heat cb_engine_cpu_heat(const struct cb_engine *engine, uint32_t cpu); /* _CB_HEAT_INVALID: not online */
/*
 * Where the daemon itself should run: on housekeeping CPUs of @may that are not hot; where there is none of those, on any
 * housekeeping CPU of @may; else empty: it stays where it is.
 */
void cb_engine_own_cpus(const struct cb_engine *engine, const struct cb_cpuset *may, struct cb_cpuset *ret);
/* The blocks of memory that a tick touches, for whoever locks them. */
void cb_engine_memory(const struct cb_engine *engine, void (*fn)(const void *block, size_t size, void *userdata),
		      void *userdata);

/* What the next snapshots are wanted for, by the loads of the last one. @watched: somebody looks at the details. */
void cb_engine_demand(const struct cb_engine *engine, bool watched, struct cb_demand *ret);

/* "nginx/3" or "eth0-rx-3 (irq 41)"; works for gone items too, then with the bare number. Returns @buf. */
const char *cb_engine_item_name(const struct cb_engine *engine, struct cb_item_ref item, char *buf, size_t size);
/* "CPU 3 is 96 % busy for 41 s, the coolest it could use is CPU 7 at 12 %; its workers wait 212 ms/s" Returns @buf. */
const char *cb_engine_finding_sentence(const struct cb_engine *engine, const struct cb_finding *finding, char *buf,
				       size_t size);
/* What a plan would do now, without doing it (for `plan` and `explain` when none is proposed). @ret->n_steps may be 0. */
void cb_engine_preview(struct cb_engine *engine, struct cb_plan *ret);
/*
 * Every worker and interrupt of a registered group on @cpu: its best place, what would be gained, and what stops it, NO_FINDING where
 * nothing else does. Fills at most @max of @ret and returns how many; runs the planner once for each group.
 */
uint32_t cb_engine_outlook(struct cb_engine *engine, uint32_t cpu, struct cb_refusal *ret, uint32_t max);
