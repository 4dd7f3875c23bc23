/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A plan: a small joint move of workers and interrupts, with the load expected before and after, and its life from proposal
 * to verdict. An operator's move, a rollback and a release go through the same door.
 */

#include "cpubalance/cpuset.h"
#include "cpubalance/finding.h"
#include "cpubalance/policy.h"

enum cb_item_kind {
	CB_ITEM_WORKER, /* key: the worker's number */
	CB_ITEM_IRQ,    /* key: the interrupt's number */
	CB_ITEM_LISTENER, /* key: the worker's number; the CPU whose connections its listening sockets are given first */
	CB_ITEM_SHARE,    /* key: the worker's number; how much of its group's new connections it is given */
	CB_ITEM_RPS,      /* key: cb_queue_key() of a receive queue; the CPUs that handle what it brings */
	CB_ITEM_RFS,      /* key: of a receive queue, 0 the table of the machine; how many flows stay near their readers */
	CB_ITEM_XPS,      /* key: of a transmit queue; the CPUs that send by it */
	_CB_ITEM_MAX,
	_CB_ITEM_INVALID = -22,
};
const char *cb_item_kind_name(enum cb_item_kind kind); /* "worker", "irq", "listener", "share", "rps", "rfs", "xps" */
/* A listener or a share: nothing is moved, new connections are steered. */
bool cb_item_steers(enum cb_item_kind kind);
/* Of a queue of a network interface: packets are steered. */
bool cb_item_is_queue(enum cb_item_kind kind);
/* "eth0/rx-3", of RFS "eth0/rx-3 flows", or the name of the machine's table with an empty @ifname. Returns @buf. */
const char *cb_item_queue_name(enum cb_item_kind kind, const char *ifname, uint32_t queue, char *buf, size_t size);

struct cb_item_ref {
	enum cb_item_kind kind;
	uint32_t key;
};

static inline bool cb_item_equal(struct cb_item_ref a, struct cb_item_ref b)
{
	return a.kind == b.kind && a.key == b.key;
}

enum cb_step_state {
	CB_STEP_PLANNED,
	CB_STEP_DONE,    /* written and read back */
	CB_STEP_PENDING, /* an interrupt: written, moves with its next occurrence */
	CB_STEP_FAILED,  /* see errnum and class */
	CB_STEP_UNDONE,
	CB_STEP_GONE,    /* the worker or interrupt is no more */
	_CB_STEP_STATE_MAX,
	_CB_STEP_STATE_INVALID = -22,
};
const char *cb_step_state_name(enum cb_step_state state);

/* What an errno of a knob means, see enum in knob.h for the mapping. */
enum cb_error_class {
	CB_ERROR_NONE,
	CB_ERROR_TRANSIENT,
	CB_ERROR_CAPACITY,  /* vectors exhausted */
	CB_ERROR_PERMANENT, /* managed interrupt, PF_NO_SETAFFINITY */
	CB_ERROR_GONE,      /* ESRCH, ENOENT */
	CB_ERROR_FOREIGN,   /* not an errno: somebody else has changed it since our last write */
	_CB_ERROR_CLASS_MAX,
	_CB_ERROR_CLASS_INVALID = -22,
};
const char *cb_error_class_name(enum cb_error_class error_class);

enum cb_op {
	CB_OP_SET,     /* to step->to */
	CB_OP_RESTORE, /* every thread and heir, or the interrupt, to its journaled original; step->to is for show */
	_CB_OP_MAX,
	_CB_OP_INVALID = -22,
};

struct cb_step {
	struct cb_item_ref item;
	enum cb_op op;
	struct cb_cpuset from, to;
	double load_ratio; /* CPU-seconds per second that move */
	uint32_t share_from, share_to; /* of a share: of CB_SHARES, 0 none; of RFS: flows */
	enum cb_step_state state;
	int errnum; /* > 0 after a failure */
	enum cb_error_class error_class;
	enum cb_reject reject; /* why it was refused where no errno says it, else NONE */
};

/* The shares of a group's workers add up to this. */
#define CB_SHARES 1000u

/* Where the step leads, or comes from with !@to: a list of CPUs, a share in percent, a number of flows, "-" for none. Returns @buf. */
const char *cb_step_show(const struct cb_step *step, bool to, char *buf, size_t size);

enum cb_origin {
	CB_ORIGIN_AUTO,
	CB_ORIGIN_OPERATOR,
	_CB_ORIGIN_MAX,
	_CB_ORIGIN_INVALID = -22,
};
const char *cb_origin_name(enum cb_origin origin);

enum cb_plan_state {
	CB_PLAN_PROPOSED, /* advise: waits for `apply` */
	CB_PLAN_BASELINE, /* collecting windows to compare with, before the move */
	CB_PLAN_APPLYING, /* steps handed to the host, outcome awaited */
	CB_PLAN_SETTLING,
	CB_PLAN_VERIFYING,
	CB_PLAN_UNDOING, /* restore steps handed to the host */
	CB_PLAN_DONE,    /* verdict says how */
	_CB_PLAN_STATE_MAX,
	_CB_PLAN_STATE_INVALID = -22,
};
const char *cb_plan_state_name(enum cb_plan_state state);

enum cb_verdict {
	CB_VERDICT_NONE, /* not yet */
	CB_VERDICT_KEPT,
	CB_VERDICT_ROLLED_BACK,  /* shown to hurt, or the operator said so; undone */
	CB_VERDICT_INCONCLUSIVE, /* not shown to help; undone */
	CB_VERDICT_VOID,         /* cannot be judged: load changed by itself or ended; undone */
	CB_VERDICT_WITHDRAWN,    /* never applied: the reason went away, or was replaced */
	CB_VERDICT_FAILED,       /* a step could not be written; what was written is undone */
	_CB_VERDICT_MAX,
	_CB_VERDICT_INVALID = -22,
};
const char *cb_verdict_name(enum cb_verdict verdict); /* "kept", "rolled_back", ... */

/* The figures that decided. Ratios are relative changes, after against before: 0.06 is 6 % more. */
struct cb_judgement {
	enum cb_verdict verdict;
	const char *measure;       /* static string: "served work", "run-queue wait", "" */
	double effect_ratio;       /* of the deciding measure */
	double p_value;            /* one-sided, of the permutation test; 1 where none was made */
	double served_effect_ratio;
	double served_p_value;
	bool has_metric;            /* the operator's number was there in every window; the means of both sides */
	double metric_before, metric_after;
	double wait_before_ratio;  /* run-queue wait per CPU-second */
	double wait_after_ratio;
	uint32_t n_before, n_after; /* windows used */
	char sentence[192];        /* why, for people */
};

/* Largest PlanSteps=. */
#define CB_STEPS_MAX 32u

struct cb_plan {
	uint32_t id; /* 1, 2, ... over the life of the daemon and, by the history, beyond */
	enum cb_origin origin;
	enum cb_plan_state state;
	uint32_t group_key;       /* group of the first worker, 0 none */
	char group[CB_NAME_MAX];
	bool unjudged; /* nothing to prove: a drain, or what was kept, for workers that took others' places */
	bool has_finding;
	struct cb_finding finding; /* as it was when the plan was made */
	uint32_t n_steps;
	struct cb_step step[CB_STEPS_MAX];
	int32_t hot_cpu;            /* hottest CPU concerned, -1 none */
	double hottest_before_ratio; /* expected load of the hottest CPU concerned */
	double hottest_after_ratio;
	uint64_t made_usec, applied_usec, done_usec; /* monotonic, 0 not yet */
	uint64_t next_usec;         /* when the present state is expected to end, 0 unknown */
	struct cb_judgement judgement;
};

/* The step of an item, of which a plan has one at most; NULL: none, or no plan. */
const struct cb_step *cb_plan_step_of(const struct cb_plan *plan, struct cb_item_ref item);
/* Is the step part of a lane: a worker, its listener and its interrupt that go together (Steering=local)? */
bool cb_plan_in_lane(const struct cb_plan *plan, const struct cb_step *step);

/* A candidate that was looked at and not moved. */
struct cb_refusal {
	struct cb_item_ref item;
	int32_t cpu;        /* where it is */
	enum cb_reject reason;
	int32_t best_cpu;   /* the best place it could have, -1 none */
	double gain_ratio;  /* expected fall of the hottest CPU's load there */
	double load_ratio;
};
#define CB_REFUSALS_MAX 128u
