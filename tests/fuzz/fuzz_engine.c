/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A machine that does whatever the input says: loads, hotplug, workers and interrupts that come and go, orders, answers of the host, and
 * inputs that break the contract. Two engines eat the same stream and have to decide the same. Whatever is decided, the targets of
 * a plan of their own are online and allowed, there are no more of them than the policy says, and one plan is in flight at a time.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpubalance/engine.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(condition)           \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)

#define CPUS	8u
#define WORKERS 6u
#define IRQS	4u
#define TICKS	100u /* of a CPU, a second */

struct stream {
	const uint8_t *data;
	size_t left;
	struct cb_engine *engine[2];
	struct cb_decision decision[2];
	struct cb_policy policy;
	struct cb_topology *topology;
	struct cb_snapshot snapshot;
	uint64_t now_usec, ticks[CPUS][_CB_TIME_MAX], softirqs[CPUS], irq_count[IRQS];
	uint8_t load[CPUS], irq_load[CPUS]; /* ticks of a second */
	uint64_t cpu_nsec[WORKERS], wait_nsec[WORKERS], packets;
	struct cb_cpuset mask[WORKERS];
	int32_t irq_cpu[IRQS];
	uint32_t n_workers_ever;
};

static uint8_t take(struct stream *s)
{
	if (s->left == 0)
		return 0;
	s->left--;
	return *s->data++;
}

static struct cb_cpuset take_set(struct stream *s)
{
	struct cb_cpuset set = CB_CPUSET_EMPTY;

	set.word[0] = take(s);
	return set;
}

/* --- what is promised --- */

static void check_same(const struct cb_decision *a, const struct cb_decision *b)
{
	MUST(a->action == b->action && a->plan_id == b->plan_id && a->result == b->result &&
	     a->n_steps == b->n_steps && a->n_notices == b->n_notices &&
	     strcmp(a->answer, b->answer) == 0);
	for (uint32_t i = 0; i < a->n_steps; i++)
		MUST(a->step[i].item.kind == b->step[i].item.kind &&
		     a->step[i].item.key == b->step[i].item.key &&
		     cb_cpuset_equal(&a->step[i].to, &b->step[i].to));
	for (uint32_t i = 0; i < a->n_notices; i++)
		MUST(strcmp(a->notice[i].sentence, b->notice[i].sentence) == 0);
}

static void check_target(const struct stream *s, const struct cb_step *step)
{
	struct cb_cpuset online = cb_cpuset_and(&step->to, &s->topology->online);
	struct cb_worker_view view;

	if (step->item.kind == CB_ITEM_RPS && step->op == CB_OP_SET)
		MUST(!cb_cpuset_empty(&step->to) &&
		     cb_cpuset_subset(&step->to, &s->topology->online) &&
		     (s->policy.use_isolated ||
		      !cb_cpuset_intersects(&step->to, &s->topology->isolated)));
	if (step->item.kind != CB_ITEM_WORKER && step->item.kind != CB_ITEM_IRQ)
		return; /* about connections, not about a place */
	MUST(!cb_cpuset_empty(&online));
	if (step->item.kind == CB_ITEM_IRQ) {
		MUST(cb_cpuset_count(&step->to) == 1);
		return;
	}
	MUST(cb_engine_worker_by_key(s->engine[0], step->item.key, &view));
	MUST(cb_cpuset_subset(&step->to, &view.allowed));
}

static void check(const struct stream *s)
{
	const struct cb_decision *decision = &s->decision[0];
	const struct cb_plan *plan = cb_engine_plan(s->engine[0]);
	uint32_t n_moves = 0;

	check_same(&s->decision[0], &s->decision[1]);
	MUST(decision->n_steps <= CB_STEPS_MAX && decision->n_notices <= CB_NOTICES_MAX);
	for (uint32_t i = 0; i < cb_engine_n_refusals(s->engine[0]); i++)
		MUST(isfinite(cb_engine_refusal(s->engine[0], i)->gain_ratio));
	if (decision->action != CB_ACTION_APPLY)
		return;
	MUST(plan && plan->id == decision->plan_id && decision->n_steps > 0);
	if (plan->origin != CB_ORIGIN_AUTO || plan->state != CB_PLAN_APPLYING)
		return;
	for (uint32_t i = 0; i < decision->n_steps; i++)
		n_moves += !cb_item_is_queue(decision->step[i].item.kind);
	MUST(n_moves <= CB_MAX(s->policy.plan_steps, s->policy.plan_steps_trusted));
	for (uint32_t i = 0; i < decision->n_steps; i++)
		check_target(s, &decision->step[i]);
}

static void feed(struct stream *s, struct cb_input *input)
{
	int r[2];

	input->now_usec = s->now_usec;
	for (int i = 0; i < 2; i++)
		r[i] = cb_engine_feed(s->engine[i], input, &s->decision[i]);
	MUST(r[0] == r[1]);
	check(s);
}

/* --- the host --- */

static void obey(struct stream *s)
{
	for (int depth = 0; depth < 8 && s->decision[0].action != CB_ACTION_NONE; depth++) {
		static struct cb_outcome outcome;
		struct cb_input input = { .kind = CB_INPUT_OUTCOME, .outcome = &outcome };
		const struct cb_decision *decision = &s->decision[0];
		uint8_t how = take(s);

		if (how == 255)
			return; /* the answer never comes, or after other things */
		outcome = (struct cb_outcome){ .plan_id = decision->action == CB_ACTION_RELEASE ?
								  0 :
								  decision->plan_id,
					       .n_steps = decision->n_steps };
		for (uint32_t i = 0; i < decision->n_steps; i++) {
			struct cb_step *step = &outcome.step[i];
			bool fails = how & 64 && (take(s) & 1);

			*step = decision->step[i];
			step->state = fails ? CB_STEP_FAILED : CB_STEP_DONE;
			step->error_class =
				fails ? (enum cb_error_class)(take(s) % _CB_ERROR_CLASS_MAX) :
					CB_ERROR_NONE;
			if (step->item.kind == CB_ITEM_WORKER && !fails)
				s->mask[step->item.key % WORKERS] = step->to;
			if (step->item.kind == CB_ITEM_IRQ && !fails && step->item.key < IRQS)
				s->irq_cpu[step->item.key] = (int32_t)cb_cpuset_first(&step->to);
		}
		feed(s, &input);
	}
}

/* --- the machine --- */

static void new_topology(struct stream *s)
{
	struct cb_input input = { .kind = CB_INPUT_TOPOLOGY };
	uint32_t generation = s->topology ? s->topology->generation + 1 : 1;
	uint8_t shape = take(s);

	cb_topology_unref(s->topology);
	s->topology = cb_topology_new(CPUS);
	MUST(s->topology);
	s->topology->generation = generation;
	cb_cpuset_set_range(&s->topology->possible, 0, CPUS - 1);
	s->topology->online = take_set(s);
	if (cb_cpuset_empty(&s->topology->online))
		s->topology->online = s->topology->possible;
	s->topology->n_online = cb_cpuset_count(&s->topology->online);
	if (shape & 1)
		s->topology->isolated = take_set(s);
	for (uint32_t i = 0; i < CPUS; i++) {
		struct cb_cpu_place *place = &s->topology->cpu[i];

		place->core = (int32_t)(shape & 2 ? i / 2 * 2 : i);
		place->llc = (int32_t)(i / 4 * 4);
		place->node = place->package = shape & 4 ? (int32_t)(i / 4) : 0;
		place->capacity = shape & 8 && i >= 4 ? 300 : CB_CAPACITY_FULL;
	}
	cb_topology_set_distance(s->topology, 0, 1, 10 + shape);
	input.topology = s->topology;
	feed(s, &input);
}

static void new_irqs(struct stream *s)
{
	static union {
		struct cb_irqs irqs;
		uint8_t room[sizeof(struct cb_irqs) + IRQS * sizeof(struct cb_irq_info)];
	} u;
	struct cb_input input = { .kind = CB_INPUT_IRQS, .irqs = &u.irqs };

	memset(&u, 0, sizeof(u));
	u.irqs.generation = 1 + take(s);
	for (u.irqs.n = 0; u.irqs.n < take(s) % (IRQS + 1); u.irqs.n++)
		u.irqs.irq[u.irqs.n] = (struct cb_irq_info){
			.irq = u.irqs.n,
			.class = CB_IRQ_NETWORK,
			.writable = true,
			.node = -1,
			.ifname = "eth0",
			.queue = (int32_t)u.irqs.n,
			.affinity = s->topology->online,
		};
	feed(s, &input);
}

/* Two receive queues and two transmit queues of the interface, set as the input says. */
static void new_queues(struct stream *s)
{
	static union {
		struct cb_queues queues;
		uint8_t room[sizeof(struct cb_queues) + 4 * sizeof(struct cb_queue_info)];
	} u;
	struct cb_input input = { .kind = CB_INPUT_QUEUES, .queues = &u.queues };
	uint8_t flags = take(s);

	memset(&u, 0, sizeof(u));
	u.queues.has_table = flags & 1;
	u.queues.n = flags % 5;
	for (uint32_t i = 0; i < u.queues.n; i++) {
		u.queues.queue[i] = (struct cb_queue_info){
			.ifindex = 2,
			.queue = i % 2,
			.dir = i < 2 ? CB_QUEUE_RX : CB_QUEUE_TX,
			.ifname = "eth0",
			.device = flags & 16,
			.cpus = take_set(s),
			.placed = flags & 32,
		};
		snprintf(u.queues.queue[i].group, sizeof(u.queues.queue[i].group), "%s",
			 flags & 32 ? "g1" : "");
	}
	feed(s, &input);
	obey(s);
}

static void fill_cpus(struct stream *s)
{
	for (uint32_t i = 0; i < CPUS; i++) {
		uint64_t busy = CB_MIN(s->load[i], TICKS),
			 irq = CB_MIN(s->irq_load[i], TICKS - busy);

		s->ticks[i][CB_TIME_USER] += busy;
		s->ticks[i][CB_TIME_SOFTIRQ] += irq;
		s->ticks[i][CB_TIME_IDLE] += TICKS - busy - irq;
		s->softirqs[i] += irq * 100;
		s->snapshot.cpu[i] = (struct cb_cpu_sample){ 0 };
		if (!cb_cpuset_has(&s->topology->online, i))
			continue;
		s->snapshot.cpu[i].present = CB_CPU_HAS_TIMES | CB_CPU_HAS_SOFTIRQS;
		memcpy(s->snapshot.cpu[i].time_ticks, s->ticks[i], sizeof(s->ticks[i]));
		s->snapshot.cpu[i].softirqs[CB_SOFTIRQ_NET_RX] = s->softirqs[i];
	}
}

static void fill_workers(struct stream *s)
{
	s->snapshot.n_workers = 0;
	for (uint32_t i = 0; i < WORKERS; i++) {
		struct cb_worker_sample *worker = &s->snapshot.worker[s->snapshot.n_workers];
		uint8_t used = take(s);
		uint32_t cpu = cb_cpuset_first(&s->mask[i]);

		s->cpu_nsec[i] += used * UINT64_C(4000000);
		s->wait_nsec[i] += (used & 15) * UINT64_C(40000000);
		if (used == 255 || i + 1 > s->n_workers_ever)
			continue;
		*worker = (struct cb_worker_sample){
			.key = s->n_workers_ever - i,
			.present = CB_WORKER_HAS_CPU | CB_WORKER_HAS_WAIT | CB_WORKER_HAS_THREADS |
				   CB_WORKER_HAS_LAST_CPU | CB_WORKER_HAS_MASK,
			.cpu_nsec = s->cpu_nsec[i],
			.wait_nsec = s->wait_nsec[i],
			.n_threads = 1 + (used >> 7),
			.last_cpu = cpu < CPUS ? (int32_t)cpu : 0,
			.mask = s->mask[i],
		};
		s->snapshot.n_workers++;
	}
}

static void tick(struct stream *s)
{
	struct cb_input input = { .kind = CB_INPUT_SNAPSHOT, .snapshot = &s->snapshot };
	uint8_t cpu = take(s);

	s->load[cpu % CPUS] = take(s) % (TICKS + 1);
	s->irq_load[(cpu >> 4) % CPUS] = take(s) % (TICKS + 1);
	s->now_usec += CB_USEC_PER_SEC;
	s->snapshot.time_usec = s->now_usec;
	s->snapshot.topology_generation = s->topology->generation - (cpu == 255);
	s->snapshot.user_hz = TICKS;
	s->snapshot.n_cpus = CPUS;
	fill_cpus(s);
	fill_workers(s);
	s->snapshot.n_irqs = IRQS;
	for (uint32_t i = 0; i < IRQS; i++) {
		s->irq_count[i] += take(s) * UINT64_C(40);
		s->snapshot.irq[i] = (struct cb_irq_sample){ .irq = i,
							     .effective_cpu = s->irq_cpu[i],
							     .count = s->irq_count[i] };
	}
	s->packets += take(s) * UINT64_C(100);
	s->snapshot.n_groups = 1;
	s->snapshot.group[0] = (struct cb_group_sample){ .key = 1,
							 .present = CB_GROUP_HAS_PACKETS,
							 .packets = s->packets };
	feed(s, &input);
	obey(s);
}

static void event(struct stream *s)
{
	static struct cb_event e;
	struct cb_input input = { .kind = CB_INPUT_EVENT, .event = &e };
	uint8_t flags;

	memset(&e, 0, sizeof(e));
	e.kind = (enum cb_event_kind)(take(s) % _CB_EVENT_MAX);
	flags = take(s);
	e.group_key = e.worker.group_key = 1 + (flags & 1);
	snprintf(e.group.name, sizeof(e.group.name), "g%u", e.group_key);
	snprintf(e.group.interfaces, sizeof(e.group.interfaces), "%s", flags & 2 ? "*" : "none");
	e.group.placement = flags & 4 ? CB_PLACEMENT_CORE : CB_PLACEMENT_AUTO;
	e.group.has_allowed = flags & 8;
	e.group.allowed_cpus = e.mask = take_set(s);
	e.worker_key = take(s) % 32;
	e.group.packets = (enum cb_packets)(e.worker_key % _CB_PACKETS_MAX);
	e.irq = e.worker_key % (IRQS + 1);
	e.present = flags & 16;
	if (e.kind == CB_EVENT_WORKER_ADDED) {
		e.worker.key = ++s->n_workers_ever;
		e.worker.pid = (int32_t)(1000 + e.worker.key);
		e.worker.start_ticks = 1;
		memset(&e.worker.cpuset, 0xff, sizeof(e.worker.cpuset));
		if (flags & 32)
			e.worker.cpuset = e.mask;
		e.worker.original = s->mask[e.worker.key % WORKERS] = cb_cpuset_of(flags >> 6);
	}
	feed(s, &input);
	obey(s);
}

static void command(struct stream *s)
{
	struct cb_command c = { .kind = (enum cb_command_kind)(take(s) % _CB_COMMAND_MAX) };
	struct cb_input input = { .kind = CB_INPUT_COMMAND, .command = &c };
	uint8_t flags = take(s);

	c.plan_id = flags & 3;
	c.worker_key = flags >> 4;
	c.group_key = flags >> 2 & 3;
	c.span_usec = flags * CB_USEC_PER_SEC;
	c.mode = (enum cb_mode)(flags % _CB_MODE_MAX);
	c.packets = (enum cb_packets)(flags % _CB_PACKETS_MAX);
	c.present = flags & 8;
	c.mask = take_set(s);
	feed(s, &input);
	obey(s);
}

static void policy(struct stream *s)
{
	struct cb_input input = { .kind = CB_INPUT_POLICY, .policy = &s->policy };
	uint8_t flags = take(s);

	s->policy.quiet_start_usec = flags & 1 ? 0 : 5 * CB_USEC_PER_SEC;
	s->policy.cooldown_usec = flags & 2 ? 0 : 30 * CB_USEC_PER_SEC;
	s->policy.hot_idle_usec = s->policy.hot_harm_usec =
		(1 + (flags >> 2 & 3)) * CB_USEC_PER_SEC;
	s->policy.plan_steps = 1 + (flags >> 4 & 3);
	s->policy.moves_per_hour = 1000;
	s->policy.use_isolated = flags & 64;
	s->policy.cross_node = flags & 128;
	snprintf(s->policy.manage_interrupts, sizeof(s->policy.manage_interrupts), "%s",
		 flags & 16 ? "all" : "feeding");
	feed(s, &input);
}

static void run(struct stream *s)
{
	for (uint32_t i = 0; i < 2000 && s->left > 0; i++) {
		uint8_t what = take(s);

		if (what == 249)
			new_queues(s);
		else if (what == 250)
			policy(s);
		else if (what == 251)
			new_topology(s);
		else if (what == 252)
			new_irqs(s);
		else if (what >= 253)
			command(s);
		else if (what >= 235)
			event(s);
		else
			tick(s);
		if (what % 16 == 0) {
			static struct cb_refusal refusal[CB_REFUSALS_MAX];
			static struct cb_plan preview;

			/* asked of one of them alone: that must not change what is decided */
			cb_engine_preview(s->engine[0], &preview);
			(void)cb_engine_outlook(s->engine[0], what % CPUS, refusal,
						CB_REFUSALS_MAX);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct stream s;

	s = (struct stream){ .data = data, .left = size, .now_usec = 1000 * CB_USEC_PER_SEC };
	for (uint32_t i = 0; i < WORKERS; i++)
		s.mask[i] = cb_cpuset_of(0);
	for (int i = 0; i < 2; i++) {
		s.engine[i] = cb_engine_new(1);
		MUST(s.engine[i]);
	}
	MUST(cb_snapshot_reserve(&s.snapshot, CPUS, IRQS, WORKERS, 1) == 0);
	cb_policy_init(&s.policy);
	policy(&s);
	new_topology(&s);
	new_irqs(&s);
	run(&s);
	for (int i = 0; i < 2; i++)
		cb_engine_free(s.engine[i]);
	cb_snapshot_done(&s.snapshot);
	cb_topology_unref(s.topology);
	return 0;
}
