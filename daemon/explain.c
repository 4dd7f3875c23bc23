/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `cpubalctl explain`: what a CPU does, who does it, where each of them could go, and what will happen. Workers and interrupts
 * are known to the engine; the other tasks are looked at only for this, twice, one sampling interval apart, so the answer
 * comes later. A call that waits holds its message and two lists of tasks, and there are never more than a few.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bus.h"
#include "bus_rows.h"

#define OTHERS_MAX 8u
/* A task with less than this share of the CPU is not worth a line. */
#define OTHERS_MIN_RATIO 0.005
/* The first listing is compared with one that is at least this old. */
#define INTERVAL_MIN_USEC (500 * CB_USEC_PER_MSEC)

struct cb_explain {
	struct cb_server *server;
	sd_event_source *timer;
	sd_bus_message *call;
	uint32_t cpu;
	struct cb_tasks before, after;
};

static struct cb_explain *explain_free(struct cb_explain *request)
{
	if (!request)
		return NULL;
	for (uint32_t i = 0; i < CB_BUS_EXPLAINS_MAX; i++)
		if (request->server->explain[i] == request)
			request->server->explain[i] = NULL;
	sd_event_source_disable_unref(request->timer);
	cb_tasks_done(&request->before);
	cb_tasks_done(&request->after);
	sd_bus_message_unref(request->call);
	free(request);
	return NULL;
}

/* --- where a thing could go --- */

struct outlook {
	char best[64];
	double gain_ratio;
	bool has_gain;
	const char *decision;
	enum cb_reject reason;
	char text[224]; /* in place of the reason's own sentence */
};

/* What a plan made now would find out about those on the CPU, where no plan has looked at them. */
struct looked {
	uint32_t n;
	struct cb_refusal refusal[CB_REFUSALS_MAX];
};

static const struct cb_refusal *refusal_of(const struct cb_manager *m, const struct looked *looked,
					   struct cb_item_ref item)
{
	const struct cb_refusal *refusal;

	for (uint32_t i = 0; i < cb_engine_n_refusals(m->engine); i++) {
		refusal = cb_engine_refusal(m->engine, i);
		if (cb_item_equal(refusal->item, item))
			return refusal;
	}
	for (uint32_t i = 0; i < looked->n; i++) {
		refusal = &looked->refusal[i];
		if (cb_item_equal(refusal->item, item))
			return refusal;
	}
	return NULL;
}

static void outlook_step(struct outlook *ret, const struct cb_plan *plan,
			 const struct cb_step *step, bool preview)
{
	bool done = step->state == CB_STEP_DONE || step->state == CB_STEP_PENDING;
	const char *lane = cb_plan_in_lane(plan, step) ?
				   ", as one lane with what brings and takes its connections" :
				   "";

	cb_step_show(step, true, ret->best, sizeof(ret->best));
	ret->has_gain = true;
	ret->gain_ratio = plan->hottest_before_ratio - plan->hottest_after_ratio;
	ret->decision = done ? "MOVED" : "-";
	if (preview)
		snprintf(ret->text, sizeof(ret->text), "a plan made now would %s CPU %s%s",
			 cb_item_is_queue(step->item.kind) ? "have its packets handled on" :
							     "move it to",
			 ret->best, lane);
	else
		snprintf(ret->text, sizeof(ret->text), "plan #%u %s CPU %s%s", plan->id,
			 cb_item_is_queue(step->item.kind) ?
				 (done ? "has its packets handled on" :
					 "would have its packets handled on") :
				 (done ? "moved it to" : "would move it to"),
			 ret->best, lane);
}

static void outlook_of(const struct cb_manager *m, const struct looked *looked,
		       const struct cb_plan *plan, bool preview, struct cb_item_ref item,
		       bool placed, struct outlook *ret)
{
	const struct cb_step *step = cb_plan_step_of(plan, item);
	const struct cb_refusal *refusal = refusal_of(m, looked, item);

	*ret = (struct outlook){ .decision = placed ? "MOVED" : "-" };
	if (step) {
		outlook_step(ret, plan, step, preview);
		return;
	}
	if (refusal) {
		ret->decision = placed ? "MOVED" : "NO";
		ret->reason = refusal->reason;
		if (refusal->best_cpu >= 0) {
			snprintf(ret->best, sizeof(ret->best), "%d", refusal->best_cpu);
			ret->has_gain = true;
			ret->gain_ratio = refusal->gain_ratio;
		}
		return;
	}
	if (placed)
		snprintf(ret->text, sizeof(ret->text), "an earlier plan put it here");
	else
		snprintf(ret->text, sizeof(ret->text), "no plan has looked at it");
}

static void row_outlook(struct cb_rows *rows, const struct outlook *outlook)
{
	if (outlook->best[0])
		cb_row_string(rows, "Best", outlook->best);
	if (outlook->has_gain)
		cb_row_double(rows, "Gain", outlook->gain_ratio);
	cb_row_string(rows, "Decision", outlook->decision);
	cb_row_reason(rows, outlook->reason);
	if (outlook->reason == CB_REJECT_NONE && outlook->text[0])
		cb_row_string(rows, "ReasonText", outlook->text);
}

/* --- who runs there --- */

static void row_workers(struct cb_rows *rows, const struct cb_manager *m,
			const struct looked *looked, uint32_t cpu, const struct cb_plan *plan,
			bool preview)
{
	struct cb_worker_view view;
	struct outlook outlook;
	char name[128];

	for (uint32_t i = 0; i < cb_engine_n_workers(m->engine); i++) {
		struct cb_item_ref item = { .kind = CB_ITEM_WORKER };

		cb_engine_worker(m->engine, i, &view);
		if (view.cpu_attributed != (int32_t)cpu)
			continue;
		item.key = view.key;
		outlook_of(m, looked, plan, preview, item, view.placed, &outlook);
		if (view.foreign)
			outlook.reason = CB_REJECT_FOREIGN;
		cb_row_open(rows);
		cb_row_string(rows, "Kind", "worker");
		cb_row_string(rows, "Name",
			      cb_engine_item_name(m->engine, item, name, sizeof(name)));
		if (view.present & CB_WORKER_HAS_CPU)
			cb_row_double(rows, "Load", view.cpu.smooth);
		if (view.present & CB_WORKER_HAS_WAIT)
			cb_row_double(rows, "WaitPerSec", view.wait_per_sec.smooth);
		cb_rows_waiting(rows, &view);
		row_outlook(rows, &outlook);
		cb_row_close(rows);
	}
}

static void row_irqs(struct cb_rows *rows, const struct cb_manager *m, const struct looked *looked,
		     uint32_t cpu, const struct cb_plan *plan, bool preview)
{
	struct cb_irq_view view;
	struct outlook outlook;
	char name[128];

	for (uint32_t i = 0; i < cb_engine_n_irqs(m->engine); i++) {
		struct cb_item_ref item = { .kind = CB_ITEM_IRQ };

		cb_engine_irq(m->engine, i, &view);
		if (view.effective_cpu != (int32_t)cpu || view.per_sec.smooth <= 0)
			continue;
		item.key = view.irq;
		outlook_of(m, looked, plan, preview, item, view.placed, &outlook);
		if (outlook.reason == CB_REJECT_NONE && view.reject != CB_REJECT_NONE) {
			outlook.decision = "NO";
			outlook.reason = view.reject;
		}
		cb_row_open(rows);
		cb_row_string(rows, "Kind", "irq");
		cb_row_string(rows, "Name",
			      cb_engine_item_name(m->engine, item, name, sizeof(name)));
		cb_row_double(rows, "Load", view.load_ratio);
		row_outlook(rows, &outlook);
		cb_row_close(rows);
	}
}

/* Queues whose packets are handled there: they are in a plan or were refused, else nothing is to be said of them. */
static void row_queues(struct cb_rows *rows, const struct cb_manager *m, uint32_t cpu,
		       const struct cb_plan *plan, bool preview)
{
	struct outlook outlook;
	char name[128];

	for (uint32_t i = 0; plan && plan->hot_cpu == (int32_t)cpu && i < plan->n_steps; i++) {
		const struct cb_step *step = &plan->step[i];

		if (!cb_item_is_queue(step->item.kind))
			continue;
		outlook = (struct outlook){ .decision = "-" };
		outlook_step(&outlook, plan, step, preview);
		cb_row_open(rows);
		cb_row_string(rows, "Kind", cb_item_kind_name(step->item.kind));
		cb_row_string(rows, "Name",
			      cb_engine_item_name(m->engine, step->item, name, sizeof(name)));
		cb_row_double(rows, "Load", step->load_ratio);
		row_outlook(rows, &outlook);
		cb_row_close(rows);
	}
	for (uint32_t i = 0; i < cb_engine_n_refusals(m->engine); i++) {
		const struct cb_refusal *refusal = cb_engine_refusal(m->engine, i);

		if (!cb_item_is_queue(refusal->item.kind) || refusal->cpu != (int32_t)cpu ||
		    cb_plan_step_of(plan, refusal->item))
			continue;
		outlook = (struct outlook){ .decision = "NO", .reason = refusal->reason };
		if (refusal->best_cpu >= 0)
			snprintf(outlook.best, sizeof(outlook.best), "%d", refusal->best_cpu);
		cb_row_open(rows);
		cb_row_string(rows, "Kind", cb_item_kind_name(refusal->item.kind));
		cb_row_string(rows, "Name",
			      cb_engine_item_name(m->engine, refusal->item, name, sizeof(name)));
		cb_row_double(rows, "Load", refusal->load_ratio);
		row_outlook(rows, &outlook);
		cb_row_close(rows);
	}
}

struct other {
	const struct cb_task_use *task;
	double load_ratio;
};

static const struct cb_task_use *task_before(const struct cb_tasks *tasks, int32_t tid)
{
	for (uint32_t low = 0, high = tasks->n; low < high;) {
		uint32_t middle = low + (high - low) / 2;

		if (tasks->task[middle].tid == tid)
			return &tasks->task[middle];
		if (tasks->task[middle].tid < tid)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

/* Keep the biggest, biggest first. */
static void keep(struct other *others, uint32_t *n, struct other fresh)
{
	uint32_t at = *n;

	while (at > 0 && others[at - 1].load_ratio < fresh.load_ratio)
		at--;
	if (at >= OTHERS_MAX)
		return;
	if (*n < OTHERS_MAX)
		(*n)++;
	memmove(&others[at + 1], &others[at], (*n - 1 - at) * sizeof(*others));
	others[at] = fresh;
}

static uint32_t top_others(const struct cb_explain *request, struct other *ret)
{
	const struct cb_manager *m = request->server->manager;
	uint64_t span_usec = request->after.time_usec - request->before.time_usec;
	uint32_t n = 0;

	for (uint32_t i = 0; span_usec > 0 && i < request->after.n; i++) {
		const struct cb_task_use *now = &request->after.task[i];
		const struct cb_task_use *old = task_before(&request->before, now->tid);
		struct other other = { .task = now };

		if (cb_manager_worker_by_pid(m, now->pid))
			continue; /* has its own row */
		/* one that is new here may have gathered its time elsewhere */
		if (!old || old->start_ticks != now->start_ticks)
			continue;
		other.load_ratio = (double)cb_counter_delta(now->cpu_nsec, old->cpu_nsec) /
				   (double)(span_usec * CB_NSEC_PER_USEC);
		if (other.load_ratio >= OTHERS_MIN_RATIO)
			keep(ret, &n, other);
	}
	return n;
}

static void row_others(struct cb_rows *rows, const struct cb_explain *request)
{
	struct other others[OTHERS_MAX];
	uint32_t n = top_others(request, others);

	for (uint32_t i = 0; i < n; i++) {
		const struct cb_task_use *task = others[i].task;
		char name[64];

		snprintf(name, sizeof(name), "%s (%d)", task->comm, task->tid);
		cb_row_open(rows);
		cb_row_string(rows, "Kind", task->kernel ? "kernel" : "task");
		cb_row_string(rows, "Name", name);
		cb_row_double(rows, "Load", others[i].load_ratio);
		cb_row_string(rows, "Decision", "NO");
		cb_row_reason(rows, CB_REJECT_NOT_REGISTERED);
		cb_row_close(rows);
	}
}

/* --- sentences --- */

/* How the time of the CPU's interrupts was shared out among them. */
static const char *interrupts_by(const struct cb_manager *m, uint32_t cpu)
{
	bool packets = false, counts = false;
	struct cb_irq_view view;

	for (uint32_t i = 0; i < cb_engine_n_irqs(m->engine); i++) {
		cb_engine_irq(m->engine, i, &view);
		if (view.effective_cpu != (int32_t)cpu || view.load_ratio <= 0)
			continue;
		packets = packets || view.by_packets;
		counts = counts || !view.by_packets;
	}
	return packets && counts ? "packets and counts" :
	       packets		 ? "their packets" :
				   "their counts";
}

/* Workers that may run elsewhere too are counted where they were last seen. */
static void confidence(const struct cb_manager *m, const struct cb_cpu_view *cpu, char *buf,
		       size_t size)
{
	double known = cpu->workers_ratio + cpu->irqs_ratio, floating = 0;
	struct cb_worker_view view;

	for (uint32_t i = 0; i < cb_engine_n_workers(m->engine); i++) {
		cb_engine_worker(m->engine, i, &view);
		if (view.cpu_attributed == (int32_t)cpu->cpu && view.present & CB_WORKER_HAS_MASK &&
		    cb_cpuset_count(&view.mask) > 1)
			floating += view.cpu.smooth;
	}
	if (!(cpu->present & CB_CPU_HAS_TIMES) || cpu->busy.smooth < 0.01) {
		snprintf(buf, size, "nothing to attribute: the CPU is idle");
		return;
	}
	snprintf(
		buf, size,
		"%s: workers and interrupts make up %.0f of %.0f points; %.0f of them from workers that may "
		"run on other CPUs too; interrupts by %s",
		floating > known / 2		 ? "low" :
		known > cpu->busy.smooth * 2 / 3 ? "high" :
						   "medium",
		known * 100, cpu->busy.smooth * 100, floating * 100, interrupts_by(m, cpu->cpu));
}

static void next_of_plan(const struct cb_manager *m, const struct cb_plan *plan, char *buf,
			 size_t size)
{
	uint64_t left = cb_seconds_left(plan->next_usec, cb_manager_now(m));

	switch (plan->state) {
	case CB_PLAN_PROPOSED:
		snprintf(buf, size, "plan #%u waits for `cpubalctl apply`", plan->id);
		break;
	case CB_PLAN_BASELINE:
		snprintf(buf, size,
			 "plan #%u measures how things are, %" PRIu64 " s left, then moves",
			 plan->id, left);
		break;
	case CB_PLAN_APPLYING:
	case CB_PLAN_SETTLING:
		snprintf(buf, size,
			 "plan #%u has moved; what follows is watched from in %" PRIu64 " s on",
			 plan->id, left);
		break;
	case CB_PLAN_VERIFYING:
		snprintf(buf, size,
			 "plan #%u is being verified; its verdict comes in %" PRIu64 " s or later",
			 plan->id, left);
		break;
	case CB_PLAN_UNDOING:
		snprintf(buf, size, "plan #%u is being undone", plan->id);
		break;
	case CB_PLAN_DONE:
	case _CB_PLAN_STATE_MAX:
	case _CB_PLAN_STATE_INVALID:
		snprintf(buf, size, "nothing");
		break;
	}
}

/* The finding that the CPU is explained by: what it is that makes it hot, else what a plan may follow. */
static const struct cb_finding *finding_of(const struct cb_manager *m, uint32_t cpu)
{
	const struct cb_finding *ret = NULL;

	for (uint32_t i = 0; i < cb_engine_n_findings(m->engine); i++) {
		const struct cb_finding *finding = cb_engine_finding(m->engine, i);

		if (finding->cpu != (int32_t)cpu)
			continue;
		if (finding->kind == CB_FINDING_HOT_CPU || finding->kind == CB_FINDING_SATURATED ||
		    finding->kind == CB_FINDING_WORKER_BOUND)
			return finding;
		if (!ret && cb_finding_role(finding->kind) == CB_ROLE_PLANS)
			ret = finding;
	}
	return ret;
}

/* Of the CPU, of a worker on it, or of all CPUs. */
static bool concerns(const struct cb_manager *m, const struct cb_finding *finding, uint32_t cpu)
{
	struct cb_worker_view worker;

	if (finding->cpu == (int32_t)cpu || cb_finding_subject(finding->kind) == CB_SUBJECT_MACHINE)
		return true;
	return finding->worker_key &&
	       cb_engine_worker_by_key(m->engine, finding->worker_key, &worker) &&
	       worker.cpu_attributed == (int32_t)cpu;
}

/* What else is found there than @first. Returns how many. */
static uint32_t row_findings(struct cb_rows *rows, const struct cb_manager *m, uint32_t cpu,
			     const struct cb_finding *first)
{
	uint32_t n = 0;

	cb_row_list_open(rows, "Findings");
	for (uint32_t i = 0; i < cb_engine_n_findings(m->engine); i++) {
		const struct cb_finding *finding = cb_engine_finding(m->engine, i);

		if (finding == first || !concerns(m, finding, cpu))
			continue;
		cb_row_open(rows);
		cb_rows_finding(rows, m, finding);
		cb_row_close(rows);
		n++;
	}
	cb_row_list_close(rows);
	return n;
}

static void next(const struct cb_manager *m, const struct cb_finding *finding, uint32_t n_others,
		 char *buf, size_t size)
{
	const struct cb_plan *plan = cb_engine_plan(m->engine);
	uint64_t now_usec = cb_manager_now(m);
	struct cb_totals totals;
	const char *why;

	cb_engine_totals(m->engine, &totals);
	if (plan) {
		next_of_plan(m, plan, buf, size);
	} else if (!cb_manager_can_move(m, &why)) {
		snprintf(buf, size, "nothing: originals cannot be recorded (%s)", why);
	} else if (totals.paused) {
		snprintf(buf, size, "nothing: balancing is paused (cpubalctl resume)");
	} else if (!finding && n_others > 0) {
		snprintf(buf, size, "nothing: no move mends what is found here");
	} else if (!finding) {
		snprintf(buf, size, "nothing: there is no finding about this CPU");
	} else if (cb_finding_role(finding->kind) == CB_ROLE_INFORMS) {
		snprintf(buf, size, "nothing: no move can help. %s",
			 cb_finding_remedy(finding->kind));
	} else if (!finding->confirmed) {
		snprintf(buf, size, "confirmed in %" PRIu64 " s if it lasts",
			 cb_seconds_left(finding->since_usec + finding->confirm_usec, now_usec));
	} else if (totals.quiet_until_usec > now_usec) {
		snprintf(buf, size, "no plan for another %" PRIu64 " s (QuietStartSec=)",
			 cb_seconds_left(totals.quiet_until_usec, now_usec));
	} else {
		snprintf(buf, size,
			 "looked at again with each sample; the rows say what is in the way");
	}
}

static void sentence(const struct cb_manager *m, const struct cb_cpu_view *cpu,
		     const struct cb_finding *finding, char *buf, size_t size)
{
	if (finding)
		cb_engine_finding_sentence(m->engine, finding, buf, size);
	else if (!(cpu->present & CB_CPU_HAS_TIMES))
		snprintf(buf, size, "CPU %u: no figures yet", cpu->cpu);
	else if (cpu->steal.smooth < 0.02)
		snprintf(buf, size, "CPU %u is %s: %.0f %% busy", cpu->cpu, cb_heat_name(cpu->heat),
			 cpu->busy.smooth * 100);
	else
		snprintf(buf, size, "CPU %u is %s: %.0f %% busy, and the hypervisor takes %.0f %%",
			 cpu->cpu, cb_heat_name(cpu->heat), cpu->busy.smooth * 100,
			 cpu->steal.smooth * 100);
}

/* --- the answer --- */

static void fill(struct cb_rows *rows, const struct cb_explain *request,
		 const struct cb_cpu_view *cpu)
{
	static struct cb_plan preview; /* too big for the stack, as is */
	static struct looked looked;
	struct cb_manager *m = request->server->manager;
	const struct cb_finding *finding = finding_of(m, request->cpu);
	const struct cb_plan *plan = cb_engine_plan(m->engine);
	bool previewed = !plan;
	uint32_t n_others;
	char text[256];

	if (previewed)
		cb_engine_preview(m->engine, &preview);
	looked.n = cb_engine_outlook(m->engine, cpu->cpu, looked.refusal, CB_REFUSALS_MAX);
	cb_row_open(rows);
	cb_row_u32(rows, "CPU", cpu->cpu);
	sentence(m, cpu, finding, text, sizeof(text));
	cb_row_string(rows, "Sentence", text);
	n_others = row_findings(rows, m, cpu->cpu, finding);
	if (cpu->present & CB_CPU_HAS_TIMES)
		cb_row_string(rows, "Heat", cb_heat_name(cpu->heat));
	cb_rows_cpu_split(rows, cpu);
	cb_row_list_open(rows, "Rows");
	row_workers(rows, m, &looked, cpu->cpu, plan ? plan : &preview, previewed);
	row_irqs(rows, m, &looked, cpu->cpu, plan ? plan : &preview, previewed);
	row_queues(rows, m, cpu->cpu, plan ? plan : &preview, previewed);
	row_others(rows, request);
	cb_row_list_close(rows);
	confidence(m, cpu, text, sizeof(text));
	cb_row_string(rows, "Confidence", text);
	next(m, finding, n_others, text, sizeof(text));
	cb_row_string(rows, "Next", text);
	cb_row_close(rows);
}

static int answer(struct cb_explain *request)
{
	struct cb_manager *m = request->server->manager;
	struct cb_cpu_view cpu;
	struct cb_rows rows = { .r = 0 };

	if (!cb_engine_cpu(m->engine, request->cpu, &cpu))
		return sd_bus_reply_method_errorf(request->call, CB_BUS_ERROR("InvalidArgument"),
						  "there is no CPU %u any more", request->cpu);
	if (cb_host_tasks(m->host, (int32_t)request->cpu, &request->after) < 0)
		request->after.n = 0;
	rows.r = sd_bus_message_new_method_return(request->call, &rows.message);
	if (rows.r < 0)
		return rows.r;
	fill(&rows, request, &cpu);
	if (rows.r >= 0)
		rows.r = sd_bus_send(NULL, rows.message, NULL);
	sd_bus_message_unref(rows.message);
	if (rows.r < 0)
		sd_bus_reply_method_errno(request->call, rows.r, NULL);
	return rows.r;
}

static int on_time(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct cb_explain *request = userdata;

	(void)source;
	(void)usec;
	answer(request);
	explain_free(request);
	return 0;
}

static int32_t hottest(const struct cb_manager *m)
{
	struct cb_cpu_view view;
	double busiest = -1;
	int32_t ret = -1;

	CB_CPUSET_FOREACH(cpu, &m->topology->online) {
		if (!cb_engine_cpu(m->engine, cpu, &view) ||
		    view.busy.smooth + view.steal.smooth <= busiest)
			continue;
		busiest = view.busy.smooth + view.steal.smooth;
		ret = (int32_t)cpu;
	}
	return ret;
}

int cb_explain_start(struct cb_server *server, sd_bus_message *message, int32_t cpu,
		     sd_bus_error *error)
{
	struct cb_manager *m = server->manager;
	uint64_t wait_usec = CB_MAX(m->policy->sample_interval_usec, INTERVAL_MIN_USEC);
	struct cb_explain *request;
	uint32_t slot = 0;
	int r;

	if (cpu < 0)
		cpu = hottest(m);
	if (cpu < 0 || !cb_cpuset_has(&m->topology->online, (unsigned int)cpu))
		return cb_bus_error(error, CB_BUS_ERROR("InvalidArgument"), "CPU %d is not online",
				    cpu);
	while (slot < CB_BUS_EXPLAINS_MAX && server->explain[slot])
		slot++;
	if (slot == CB_BUS_EXPLAINS_MAX)
		return cb_bus_error(error, CB_BUS_ERROR("Busy"),
				    "%u explanations are being worked out, ask again in a second",
				    slot);
	request = calloc(1, sizeof(*request));
	if (!request)
		return -ENOMEM;
	server->explain[slot] = request;
	*request = (struct cb_explain){ .server = server,
					.call = sd_bus_message_ref(message),
					.cpu = (uint32_t)cpu };
	r = cb_host_tasks(m->host, cpu, &request->before);
	if (r >= 0)
		r = sd_event_add_time_relative(m->event, &request->timer, CLOCK_MONOTONIC,
					       CB_MIN(wait_usec, 5 * CB_USEC_PER_SEC), 0, on_time,
					       request);
	if (r < 0) {
		explain_free(request);
		return r;
	}
	return 1;
}

void cb_explain_cancel(struct cb_server *server)
{
	for (uint32_t i = 0; i < CB_BUS_EXPLAINS_MAX; i++)
		explain_free(server->explain[i]);
}
