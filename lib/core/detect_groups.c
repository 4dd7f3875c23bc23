/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Findings about groups and their workers: connections that pile up on one worker, a queue that is not emptied, a worker that
 * accepts nothing, workers that are gone. What a worker has waiting is known where it alone serves its socket; where
 * workers share one, the group is blamed as a whole. Workers are ordered by group, so one pass over both is enough.
 *
 * Nothing here is mended by a move: these findings inform.
 */

#include <string.h>

#include "engine_internal.h"

/* A worker that takes less than this much CPU time in a second accepts nothing: one connection costs some ten microseconds. */
#define IDLE_RATIO 0.001
/* A worker that computes and makes no system call: at least this much of a CPU. */
#define SPIN_RATIO 0.5
/* How long a newcomer counts as the successor of a worker that was there before it. */
#define SUCCESSOR_USEC (UINT64_C(3600) * CB_USEC_PER_SEC)
/* Workers that come within so many samples after the first are of the same start, not the successors of one another. */
#define SAME_START_SAMPLES 2u
/* Snapshots without a listener that make a worker one that has stopped serving: one may be torn. */
#define DRAINED_TICKS 2u

/* The workers of one group, and what the finding is to name. */
struct group_view {
	struct group_state *group;
	uint32_t first, n; /* of engine->worker[] */
	uint32_t n_listen; /* workers with sockets of their own */
	uint32_t own_backlog, own_max;
	uint64_t own_queued, own_queued_max; /* bytes, of UDP sockets */
};

static const struct worker_state *worker_at(const struct cb_engine *engine,
					    const struct group_view *view, uint32_t i)
{
	return &engine->worker[view->first + i];
}

static bool has(const struct worker_state *worker, uint32_t bit)
{
	return (worker->last.present & bit) != 0;
}

static const char *name(const struct cb_engine *engine, uint32_t key, char *buf, size_t size)
{
	struct cb_item_ref item = { CB_ITEM_WORKER, key };

	return cb_engine_item_name(engine, item, buf, size);
}

static bool waits_too_long(const struct cb_engine *engine, const struct worker_state *worker)
{
	return worker->wait_per_sec.smooth * (double)CB_USEC_PER_SEC >
	       (double)engine->policy.harm_wait_usec;
}

/* --- CONNECTION_SKEW --- */

/*
 * By open descriptors, of workers that serve sockets of their own where there are such: others hold descriptors for other
 * purposes. What a worker has open besides makes the skew look smaller, never bigger. Returns who has most, NULL
 * where there are fewer than two to compare.
 */
static const struct worker_state *most_connected(const struct cb_engine *engine,
						 const struct group_view *view, double *ret_others)
{
	const struct worker_state *most = NULL;
	uint64_t sum = 0;
	uint32_t n = 0;

	for (uint32_t i = 0; i < view->n; i++) {
		const struct worker_state *worker = worker_at(engine, view, i);

		if (!has(worker, CB_WORKER_HAS_FDS) ||
		    (view->n_listen && !has(worker, CB_WORKER_HAS_LISTEN)))
			continue;
		sum += worker->last.n_fds;
		n++;
		if (!most || worker->last.n_fds > most->last.n_fds)
			most = worker;
	}
	if (n < 2)
		return NULL;
	*ret_others = (double)(sum - most->last.n_fds) / (n - 1);
	return most;
}

static void detect_skew(struct cb_engine *engine, const struct group_view *view,
			struct cb_decision *decision)
{
	const struct cb_policy *policy = &engine->policy;
	struct finding_state *state = &view->group->skew;
	double others = 0, most = 0, skew;
	const struct worker_state *worker =
		view->group->has_listen ? most_connected(engine, view, &others) : NULL;
	struct cb_finding finding;

	if (worker)
		most = worker->last.n_fds;
	skew = others > 0 ? most / others : 0;
	if (!worker || skew < (state->holds ? policy->skew_off_ratio : policy->skew_on_ratio) ||
	    most - others < (double)policy->skew_connections / (state->holds ? 2 : 1)) {
		engine_finding_end(state, decision,
				   "CONNECTION_SKEW of %s ended: at most %.0f connections at a "
				   "worker, %.0f on average at the others",
				   view->group->policy.name, most, others);
		return;
	}
	finding = (struct cb_finding){
		.kind = CB_FINDING_CONNECTION_SKEW,
		.cpu = -1,
		.worker_key = worker->key,
		.group_key = view->group->key,
		.confirm_usec = policy->skew_usec,
		.harm = waits_too_long(engine, worker),
		.known = CB_KNOWS(CONNECTIONS) | CB_KNOWS(OTHER_CONNECTIONS) | CB_KNOWS(SKEW) |
			 CB_KNOWS(LIMIT),
		.connections = worker->last.n_fds,
		.other_connections = others,
		.skew_ratio = skew,
		.limit_ratio = policy->skew_on_ratio,
	};
	engine_finding_hold(engine, state, &finding, decision);
}

/* --- BACKLOG --- */

/* What waits at some sockets, where there is a limit to it: connections, bytes of datagrams, or both. */
struct waiting {
	bool connects, datagrams;
	uint64_t backlog, backlog_max, queued, queued_max;
};

static struct waiting waiting_for(const struct worker_state *worker)
{
	return (struct waiting){ .connects = has(worker, CB_WORKER_HAS_LISTEN) &&
					     worker->last.backlog_max > 0,
				 .datagrams = has(worker, CB_WORKER_HAS_DATAGRAMS) &&
					      worker->last.queued_max_bytes > 0,
				 .backlog = worker->last.backlog,
				 .backlog_max = worker->last.backlog_max,
				 .queued = worker->last.queued_bytes,
				 .queued_max = worker->last.queued_max_bytes };
}

/* What the workers have of their own is no part of what they share. */
static struct waiting waiting_shared(const struct group_view *view)
{
	const struct group_state *group = view->group;
	const struct cb_group_sample *last = &group->last;
	struct waiting ret = {
		.backlog = group->backlog - CB_MIN(group->backlog, view->own_backlog),
		.backlog_max = group->backlog_max - CB_MIN(group->backlog_max, view->own_max),
		.queued = last->queued_bytes - CB_MIN(last->queued_bytes, view->own_queued),
		.queued_max = last->queued_max_bytes -
			      CB_MIN(last->queued_max_bytes, view->own_queued_max),
	};

	ret.connects = group->has_listen && ret.backlog_max > 0;
	ret.datagrams = group->has_datagrams && ret.queued_max > 0;
	return ret;
}

static double connects_ratio(const struct waiting *waiting)
{
	return waiting->connects ? (double)waiting->backlog / (double)waiting->backlog_max : 0;
}

static double datagrams_ratio(const struct waiting *waiting)
{
	return waiting->datagrams ? (double)waiting->queued / (double)waiting->queued_max : 0;
}

/* The fuller of the two is what counts. */
static void take_queue(const struct cb_engine *engine, struct queue *queue,
		       const struct waiting *waiting)
{
	if (!waiting->connects && !waiting->datagrams) {
		*queue = (struct queue){ .usec = 0 };
		return;
	}
	if (queue->usec)
		cb_rate_update(&queue->full,
			       CB_MAX(connects_ratio(waiting), datagrams_ratio(waiting)),
			       engine->snapshot_usec - queue->usec, engine->policy.smooth_usec, 0);
	queue->usec = engine->snapshot_usec;
}

/*
 * The worker with the fullest queue of its own, NULL where every queue is shared. One that lags is stayed with: of many
 * that have bursts in turns one is always at it, and none of them lags.
 */
static const struct worker_state *fullest(const struct cb_engine *engine,
					  const struct group_view *view)
{
	const struct worker_state *ret = NULL;

	for (uint32_t i = 0; i < view->n; i++) {
		const struct worker_state *worker = worker_at(engine, view, i);

		if (view->group->backlogged.holds && worker->key == view->group->lagging_key)
			return worker;
		if (worker->queue.usec &&
		    (!ret || worker->queue.full.smooth > ret->queue.full.smooth))
			ret = worker;
	}
	return ret;
}

static void fill_backlog(struct cb_engine *engine, const struct group_view *view,
			 const struct worker_state *worker, const struct waiting *waiting,
			 struct cb_finding *ret)
{
	const struct group_state *group = view->group;

	*ret = (struct cb_finding){
		.kind = CB_FINDING_BACKLOG,
		.cpu = -1,
		.group_key = group->key,
		.worker_key = worker ? worker->key : 0,
		.confirm_usec = engine->policy.backlog_usec,
		.harm = true,
		.known = CB_KNOWS(LIMIT) | CB_KNOWS(DROPS),
		.limit_ratio = engine->policy.backlog_on_ratio,
		.drops_per_sec = worker ? worker->drops_per_sec.smooth :
					  group->drops_per_sec.smooth,
	};
	/* a queue that is empty for a moment is still one of datagrams */
	if (waiting->datagrams &&
	    (!waiting->connects || datagrams_ratio(waiting) > connects_ratio(waiting))) {
		ret->known |= CB_KNOWS(QUEUED) | CB_KNOWS(QUEUED_MAX);
		ret->queued_bytes = (uint32_t)CB_MIN(waiting->queued, (uint64_t)UINT32_MAX);
		ret->queued_max_bytes = (uint32_t)CB_MIN(waiting->queued_max, (uint64_t)UINT32_MAX);
		return;
	}
	ret->known |= CB_KNOWS(BACKLOG) | CB_KNOWS(BACKLOG_MAX);
	ret->backlog = (uint32_t)waiting->backlog;
	ret->backlog_max = (uint32_t)waiting->backlog_max;
	if (!worker || view->n_listen < 2)
		return;
	ret->known |= CB_KNOWS(OTHER_BACKLOG);
	ret->other_backlog =
		(double)(view->own_backlog - worker->last.backlog) / (view->n_listen - 1);
}

static void detect_backlog(struct cb_engine *engine, const struct group_view *view,
			   struct cb_decision *decision)
{
	struct group_state *group = view->group;
	struct finding_state *state = &group->backlogged;
	const struct worker_state *worker = fullest(engine, view);
	struct waiting waiting = waiting_shared(view);
	double full = worker ? worker->queue.full.smooth : 0;
	struct cb_finding finding;

	take_queue(engine, &group->queue, &waiting);
	if (state->holds ? group->lagging_key == 0 : group->queue.full.smooth > full) {
		full = group->queue.full.smooth;
		worker = NULL;
	}
	if (state->holds && worker && worker->key != group->lagging_key)
		full = 0; /* that one is gone, and with it its queue */
	if (full <= 0 || full < (state->holds ? engine->policy.backlog_off_ratio :
						engine->policy.backlog_on_ratio)) {
		engine_finding_end(state, decision,
				   "BACKLOG of %s ended: that queue is at %.0f %% of its limit",
				   group->policy.name, full * 100);
		return;
	}
	group->lagging_key = worker ? worker->key : 0;
	if (worker)
		waiting = waiting_for(worker);
	fill_backlog(engine, view, worker, &waiting, &finding);
	engine_finding_hold(engine, state, &finding, decision);
}

/* --- WORKER_STUCK --- */

/* What there is to see of a worker that accepts: its queue gets shorter, or it has one descriptor more. */
static bool accepted(const struct worker_state *worker)
{
	const struct accepting *then = &worker->accepting;

	return worker->last.backlog < then->backlog ||
	       (has(worker, CB_WORKER_HAS_FDS) && worker->last.n_fds > then->n_fds);
}

/*
 * It cannot have accepted anything: it did not run, or ran without a single system call of its own. Between the two nobody can tell
 * from outside, so a slow worker with a full queue is BACKLOG and not this.
 */
static bool cannot_accept(const struct worker_state *worker)
{
	if (!(worker->present & CB_WORKER_HAS_CPU))
		return false;
	if (worker->cpu.raw < IDLE_RATIO)
		return true;
	return worker->cpu.raw >= SPIN_RATIO && has(worker, CB_WORKER_HAS_STATE) &&
	       worker->last.system_ticks == worker->accepting.system_ticks;
}

static void fill_stuck(struct cb_engine *engine, const struct worker_state *worker,
		       struct cb_finding *ret)
{
	*ret = (struct cb_finding){
		.kind = CB_FINDING_WORKER_STUCK,
		.cpu = worker->cpu_attributed,
		.worker_key = worker->key,
		.group_key = worker->group_key,
		.confirm_usec = engine->policy.stuck_usec,
		.harm = true,
		.known = CB_KNOWS(BACKLOG) | CB_KNOWS(BACKLOG_MAX) | CB_KNOWS(DROPS) |
			 CB_KNOWS(WORKER_CPU),
		.backlog = worker->last.backlog,
		.backlog_max = worker->last.backlog_max,
		.drops_per_sec = worker->drops_per_sec.smooth,
		.worker_cpu_ratio = worker->cpu.raw,
	};
	if (!has(worker, CB_WORKER_HAS_STATE))
		return;
	ret->known |= CB_KNOWS(STOPPED);
	ret->stopped = worker->last.state == 'T' || worker->last.state == 't';
}

static void detect_stuck(struct cb_engine *engine, struct worker_state *worker,
			 struct cb_decision *decision)
{
	struct accepting *then = &worker->accepting;
	bool queued = has(worker, CB_WORKER_HAS_LISTEN) && worker->last.backlog > 0;
	struct cb_finding finding;
	char buf[64];

	if (!queued || !then->looked || accepted(worker) || !cannot_accept(worker)) {
		engine_finding_end(&worker->stuck, decision,
				   "WORKER_STUCK of %s ended: %u connections wait to be accepted",
				   name(engine, worker->key, buf, sizeof(buf)),
				   queued ? worker->last.backlog : 0);
	} else {
		fill_stuck(engine, worker, &finding);
		engine_finding_hold(engine, &worker->stuck, &finding, decision);
	}
	*then = (struct accepting){
		.looked = queued,
		.backlog = worker->last.backlog,
		.n_fds = worker->last.n_fds,
		.system_ticks = worker->last.system_ticks,
	};
}

/* --- WORKER_GONE --- */

/* A worker that closes its sockets before it ends has been told to: after a reload, say. */
static void watch_drain(struct worker_state *worker)
{
	if (has(worker, CB_WORKER_HAS_LISTEN)) {
		worker->has_listened = true;
		worker->drained_ticks = 0;
	} else if (worker->has_listened && has(worker, CB_WORKER_HAS_CPU) &&
		   worker->drained_ticks < DRAINED_TICKS) {
		worker->drained_ticks++;
	}
}

/* Who has come after @gone and has not yet taken anybody's place. */
static struct worker_state *successor_of(struct cb_engine *engine, const struct worker_state *gone)
{
	for (uint32_t i = 0; i < engine->n_workers; i++) {
		struct worker_state *worker = &engine->worker[i];

		if (worker->group_key == gone->group_key && worker->spare &&
		    worker->added_usec > gone->added_usec &&
		    engine->now_usec - worker->added_usec <= SUCCESSOR_USEC)
			return worker;
	}
	return NULL;
}

void engine_worker_came(struct cb_engine *engine, struct group_state *group,
			struct worker_state *worker)
{
	worker->added_usec = engine->now_usec;
	if (group->lost.n_missing > 0)
		group->lost.n_missing--;
	else
		worker->spare = group->n_workers > 0 &&
				engine->now_usec - group->oldest_usec >
					SAME_START_SAMPLES * engine->policy.sample_interval_usec;
	if (group->n_workers == 0)
		group->oldest_usec = engine->now_usec;
}

void engine_worker_went(struct cb_engine *engine, struct group_state *group,
			struct worker_state *worker, bool lives, struct cb_decision *decision)
{
	struct worker_state *successor;
	char buf[64];

	engine_finding_end(&worker->stuck, decision, "WORKER_STUCK of %s ended: it is gone",
			   name(engine, worker->key, buf, sizeof(buf)));
	if (lives || worker->drained_ticks >= DRAINED_TICKS)
		return;
	successor = successor_of(engine, worker);
	if (successor) {
		successor->spare = false;
		return;
	}
	group->lost.n_missing++;
	group->lost.key = worker->key;
	group->lost.slot = worker->slot;
	group->lost.pid = worker->pid;
}

static void detect_gone(struct cb_engine *engine, struct group_state *group,
			struct cb_decision *decision)
{
	struct finding_state *state = &group->gone;
	struct cb_finding finding;

	if (state->holds &&
	    engine->now_usec - state->since_usec >= engine->policy.gone_forget_usec) {
		engine_finding_end(
			state, decision,
			"WORKER_GONE of %s ended: that it has %u worker%s is taken for normal now",
			group->policy.name, group->n_workers, group->n_workers == 1 ? "" : "s");
		group->lost.n_missing = 0;
	}
	if (group->lost.n_missing == 0) {
		engine_finding_end(state, decision,
				   "WORKER_GONE of %s ended: others have taken the place, it has "
				   "%u worker%s",
				   group->policy.name, group->n_workers,
				   group->n_workers == 1 ? "" : "s");
		return;
	}
	finding = (struct cb_finding){
		.kind = CB_FINDING_WORKER_GONE,
		.cpu = -1,
		.worker_key = group->lost.key,
		.group_key = group->key,
		.confirm_usec = engine->policy.gone_usec,
		.harm = group->n_workers == 0,
		.known = CB_KNOWS(MISSING) | CB_KNOWS(WORKERS),
		.missing = group->lost.n_missing,
		.workers = group->n_workers,
	};
	engine_finding_hold(engine, state, &finding, decision);
}

/* --- the tick --- */

void engine_group_findings_end(struct group_state *group, struct cb_decision *decision)
{
	struct finding_state *states[] = { &group->skew, &group->backlogged, &group->gone };

	for (size_t i = 0; i < CB_ARRAY_SIZE(states); i++)
		engine_finding_end(states[i], decision, "%s of %s ended: the group is gone",
				   cb_finding_kind_name(states[i]->kind), group->policy.name);
}

void engine_detect_groups(struct cb_engine *engine, struct cb_decision *decision)
{
	uint32_t at = 0;

	for (uint32_t i = 0; i < engine->n_groups; i++) {
		struct group_view view = { .group = engine->group[i], .first = at };

		for (; at < engine->n_workers && engine->worker[at].group_key == view.group->key;
		     at++) {
			struct worker_state *worker = &engine->worker[at];
			struct waiting waiting;

			view.n++;
			if (has(worker, CB_WORKER_HAS_LISTEN)) {
				view.n_listen++;
				view.own_backlog += worker->last.backlog;
				view.own_max += worker->last.backlog_max;
			}
			if (has(worker, CB_WORKER_HAS_DATAGRAMS)) {
				view.own_queued += worker->last.queued_bytes;
				view.own_queued_max += worker->last.queued_max_bytes;
			}
			waiting = waiting_for(worker);
			take_queue(engine, &worker->queue, &waiting);
			watch_drain(worker);
			detect_stuck(engine, worker, decision);
		}
		detect_skew(engine, &view, decision);
		detect_backlog(engine, &view, decision);
		detect_gone(engine, view.group, decision);
	}
}
