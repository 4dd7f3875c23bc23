/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The rows of plans: their steps, what was refused, what they came to, and what of them is still on the machine.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus_rows.h"
#include "cpubalance/knob.h"

/* A shell command that turns @knob by hand. */
static void shell(struct cb_rows *rows, enum cb_knob_id id, uint32_t key,
		  const struct cb_cpuset *mask)
{
	const struct cb_knob *knob = cb_knob_get(id);
	char text[CB_CPULIST_MAX + 128];

	if (knob && knob->shell && knob->shell(key, mask, text, sizeof(text)) >= 0)
		cb_row_string(rows, "Shell", text);
}

/* --- history --- */

static void judgement(struct cb_rows *rows, const char *measure, double effect, double p_value)
{
	if (!measure || !measure[0])
		return;
	cb_row_string(rows, "Measure", measure);
	cb_row_double(rows, "Effect", effect);
	cb_row_double(rows, "PValue", p_value);
}

static void windows(struct cb_rows *rows, uint32_t n_before, uint32_t n_after, double before,
		    double after)
{
	cb_row_u32(rows, "WindowsBefore", n_before);
	cb_row_u32(rows, "WindowsAfter", n_after);
	if (n_before > 0)
		cb_row_double(rows, "WaitBefore", before);
	if (n_after > 0)
		cb_row_double(rows, "WaitAfter", after);
}

static void metric(struct cb_rows *rows, double before, double after)
{
	cb_row_double(rows, "MetricBefore", before);
	cb_row_double(rows, "MetricAfter", after);
}

static void served(struct cb_rows *rows, uint32_t n_before, uint32_t n_after, double effect,
		   double p_value)
{
	if (n_before == 0 || n_after == 0)
		return;
	cb_row_double(rows, "ServedEffect", effect);
	cb_row_double(rows, "ServedPValue", p_value);
}

void cb_rows_ended_steps(struct cb_rows *rows, const struct cb_history_entry *entry)
{
	for (uint32_t i = 0; i < entry->n_steps; i++) {
		const struct cb_history_step *step = &entry->step[i];

		cb_row_open(rows);
		cb_row_string(rows, "Kind", cb_item_kind_name(step->kind));
		cb_row_string(rows, "Name", step->name);
		cb_row_string(rows, "From", step->from);
		cb_row_string(rows, "To", step->to);
		cb_row_double(rows, "Load", step->load_ratio);
		cb_row_string(rows, "State", cb_step_state_name(step->state));
		cb_row_close(rows);
	}
}

void cb_rows_history(struct cb_rows *rows, const struct cb_history_entry *entry)
{
	cb_row_u32(rows, "Plan", entry->plan_id);
	cb_row_u64(rows, "At", entry->at_usec);
	cb_row_string(rows, "Origin", cb_origin_name(entry->origin));
	if (entry->group[0])
		cb_row_string(rows, "Group", entry->group);
	if (entry->finding[0])
		cb_row_string(rows, "Finding", entry->finding);
	cb_row_list_open(rows, "Steps");
	cb_rows_ended_steps(rows, entry);
	cb_row_list_close(rows);
	cb_row_string(rows, "Verdict", cb_verdict_name(entry->verdict));
	cb_row_string(rows, "Sentence", entry->sentence);
	judgement(rows, entry->measure, entry->effect_ratio, entry->p_value);
	windows(rows, entry->n_before, entry->n_after, entry->wait_before_ratio,
		entry->wait_after_ratio);
	served(rows, entry->n_before, entry->n_after, entry->served_effect_ratio,
	       entry->served_p_value);
	if (entry->has_metric)
		metric(rows, entry->metric_before, entry->metric_after);
	cb_row_bool(rows, "Foreign", entry->foreign);
}

void cb_rows_foreign(struct cb_rows *rows, const struct cb_history_entry *entry)
{
	cb_row_u64(rows, "At", entry->at_usec);
	cb_row_string(rows, "Sentence", entry->sentence);
}

/* --- a plan --- */

static uint32_t shell_key(const struct cb_manager *m, struct cb_item_ref item)
{
	struct cb_worker_view view;

	if (item.kind == CB_ITEM_IRQ)
		return item.key;
	if (!cb_engine_worker_by_key(m->engine, item.key, &view))
		return 0;
	return (uint32_t)(view.tid != 0 ? view.tid : view.pid);
}

static bool is_thread(const struct cb_manager *m, struct cb_item_ref item)
{
	struct cb_worker_view view;

	return cb_engine_worker_by_key(m->engine, item.key, &view) && view.tid != 0;
}

/* As the knob says it, but for the one thread. */
static void shell_of_thread(struct cb_rows *rows, uint32_t tid, const struct cb_cpuset *mask)
{
	char list[CB_CPULIST_MAX], text[CB_CPULIST_MAX + 64];

	if (cb_cpuset_format_list(mask, list, sizeof(list)) < 0)
		return;
	snprintf(text, sizeof(text), "taskset -c -p %s %u", list, tid);
	cb_row_string(rows, "Shell", text);
}

static void shell_of_queue(struct cb_rows *rows, const struct cb_manager *m,
			   const struct cb_step *step)
{
	bool tx = step->item.kind == CB_ITEM_XPS;
	const struct cb_knob *knob = cb_knob_get(tx ? CB_KNOB_XPS_CPUS :
						 step->item.kind == CB_ITEM_RFS ?
						      CB_KNOB_RPS_FLOWS :
						      CB_KNOB_RPS_CPUS);
	const struct cb_queue_info *info = cb_queues_find(
		cb_engine_queues(m->engine), tx ? CB_QUEUE_TX : CB_QUEUE_RX, step->item.key);
	struct cb_queue_value to = { .cpus = step->to, .flows = step->share_to };
	char text[CB_QUEUE_TEXT_MAX + 128];

	if ((info || step->item.key == 0) && step->op == CB_OP_SET &&
	    cb_knob_queue_shell(knob, info ? info->ifname : "", info ? info->queue : 0, &to, text,
				sizeof(text)) >= 0)
		cb_row_string(rows, "Shell", text);
}

static void plan_step(struct cb_rows *rows, const struct cb_manager *m, const struct cb_step *step)
{
	uint32_t key = shell_key(m, step->item);
	char text[256], shown[48];

	cb_row_string(rows, "Kind", cb_item_kind_name(step->item.kind));
	cb_row_string(rows, "Name", cb_engine_item_name(m->engine, step->item, text, sizeof(text)));
	if (step->item.kind == CB_ITEM_IRQ)
		cb_row_u32(rows, "IRQ", key);
	if (cb_item_steers(step->item.kind) || cb_item_is_queue(step->item.kind)) {
		cb_row_string(rows, "From", cb_step_show(step, false, shown, sizeof(shown)));
		cb_row_string(rows, "To", cb_step_show(step, true, shown, sizeof(shown)));
	} else {
		cb_row_cpus(rows, "From", &step->from);
		cb_row_cpus(rows, "To", &step->to);
	}
	cb_row_double(rows, "Load", step->load_ratio);
	cb_row_string(rows, "State", cb_step_state_name(step->state));
	if (step->errnum > 0) {
		snprintf(text, sizeof(text), "%s (%s)", strerror(step->errnum),
			 cb_error_class_name(step->error_class));
		cb_row_string(rows, "Error", text);
	} else if (step->error_class != CB_ERROR_NONE) {
		cb_row_string(rows, "Error", cb_error_class_name(step->error_class));
	}
	if (step->reject != CB_REJECT_NONE)
		cb_row_reason(rows, step->reject);
	if (cb_item_steers(step->item.kind))
		return; /* no command of a shell does that */
	if (cb_item_is_queue(step->item.kind)) {
		shell_of_queue(rows, m, step);
		return;
	}
	if (step->item.kind == CB_ITEM_IRQ)
		shell(rows, CB_KNOB_IRQ_AFFINITY, key, &step->to);
	else if (is_thread(m, step->item))
		shell_of_thread(rows, key, &step->to);
	else if (key != 0)
		shell(rows, CB_KNOB_TASK_AFFINITY, key, &step->to);
}

void cb_rows_steps(struct cb_rows *rows, const struct cb_manager *m, const struct cb_plan *plan)
{
	for (uint32_t i = 0; i < plan->n_steps; i++) {
		cb_row_open(rows);
		plan_step(rows, m, &plan->step[i]);
		cb_row_close(rows);
	}
}

void cb_rows_refusals(struct cb_rows *rows, const struct cb_manager *m)
{
	cb_row_list_open(rows, "Refusals");
	for (uint32_t i = 0; i < cb_engine_n_refusals(m->engine); i++) {
		const struct cb_refusal *refusal = cb_engine_refusal(m->engine, i);
		char name[128];

		cb_row_open(rows);
		cb_row_string(rows, "Kind", cb_item_kind_name(refusal->item.kind));
		cb_row_string(rows, "Name",
			      cb_engine_item_name(m->engine, refusal->item, name, sizeof(name)));
		cb_row_index(rows, "CPU", refusal->cpu);
		cb_row_reason(rows, refusal->reason);
		if (refusal->best_cpu >= 0) {
			cb_row_i32(rows, "BestCPU", refusal->best_cpu);
			cb_row_double(rows, "Gain", refusal->gain_ratio);
		}
		cb_row_double(rows, "Load", refusal->load_ratio);
		cb_row_close(rows);
	}
	cb_row_list_close(rows);
}

void cb_rows_plan(struct cb_rows *rows, const struct cb_manager *m, const struct cb_plan *plan,
		  bool preview)
{
	const struct cb_judgement *judged = &plan->judgement;
	uint64_t now_usec = cb_manager_now(m);
	char text[256];

	cb_row_u32(rows, "Id", preview ? 0 : plan->id);
	cb_row_bool(rows, "Preview", preview);
	cb_row_string(rows, "State", cb_plan_state_name(plan->state));
	cb_row_string(rows, "Origin", cb_origin_name(plan->origin));
	if (plan->group[0])
		cb_row_string(rows, "Group", plan->group);
	if (plan->has_finding)
		cb_row_string(rows, "Finding",
			      cb_engine_finding_sentence(m->engine, &plan->finding, text,
							 sizeof(text)));
	if (plan->hot_cpu >= 0) {
		cb_row_i32(rows, "HotCPU", plan->hot_cpu);
		cb_row_double(rows, "HottestBefore", plan->hottest_before_ratio);
		cb_row_double(rows, "HottestAfter", plan->hottest_after_ratio);
	}
	if (plan->next_usec > now_usec)
		cb_row_u64(rows, "LeftUSec", plan->next_usec - now_usec);
	if (judged->verdict != CB_VERDICT_NONE) {
		cb_row_string(rows, "Verdict", cb_verdict_name(judged->verdict));
		cb_row_string(rows, "Sentence", judged->sentence);
		judgement(rows, judged->measure, judged->effect_ratio, judged->p_value);
		windows(rows, judged->n_before, judged->n_after, judged->wait_before_ratio,
			judged->wait_after_ratio);
		served(rows, judged->n_before, judged->n_after, judged->served_effect_ratio,
		       judged->served_p_value);
		if (judged->has_metric)
			metric(rows, judged->metric_before, judged->metric_after);
	}
	cb_row_list_open(rows, "Steps");
	cb_rows_steps(rows, m, plan);
	cb_row_list_close(rows);
	cb_rows_refusals(rows, m);
}

/* --- what is changed on the machine --- */

struct now {
	bool known;
	struct cb_cpuset mask;
};

static struct now task_now(struct cb_manager *m, const struct cb_journal_entry *entry)
{
	struct cb_worker_identity identity;
	struct now ret = { .known = false };

	if (cb_host_identify_thread(m->host, entry->tgid, entry->tid, &identity, NULL) >= 0 &&
	    identity.start_ticks == entry->start_ticks)
		ret = (struct now){ .known = true, .mask = identity.mask };
	return ret;
}

static struct now irq_now(const struct cb_irqs *irqs, const struct cb_journal_entry *entry)
{
	const struct cb_irq_info *info = irqs ? cb_irqs_find(irqs, entry->irq) : NULL;

	return info ? (struct now){ .known = true, .mask = info->affinity } :
		      (struct now){ .known = false };
}

static const char *state_of(const struct cb_journal_entry *entry, const struct now *now)
{
	if (entry->pending)
		return "pending";
	if (now->known && !cb_cpuset_equal(&now->mask, &entry->set) &&
	    !cb_cpuset_equal(&now->mask, &entry->original))
		return "foreign";
	return entry->heir ? "heir" : "changed";
}

/* The worker that is the entry's process, or its thread. */
static const struct cb_member *worker_of(const struct cb_manager *m,
					 const struct cb_journal_entry *entry)
{
	for (uint32_t i = 0; i < m->n_members; i++) {
		const struct cb_member *member = m->member[i];

		if (member->pid == entry->tgid &&
		    (member->tid != 0 ? member->tid == entry->tid &&
						member->start_ticks == entry->start_ticks :
					member->start_ticks == entry->tgid_start_ticks))
			return member;
	}
	return NULL;
}

static void task_name(const struct cb_manager *m, const struct cb_journal_entry *entry, char *buf,
		      size_t size)
{
	const struct cb_member *member = worker_of(m, entry);
	struct cb_item_ref item = { .kind = CB_ITEM_WORKER };
	char name[CB_NAME_MAX + 16];

	if (member) {
		item.key = member->key;
		cb_engine_item_name(m->engine, item, name, sizeof(name));
	} else {
		snprintf(name, sizeof(name), "pid %d", entry->tgid);
	}
	if (entry->tid == entry->tgid || (member && member->tid == entry->tid))
		snprintf(buf, size, "%s", name);
	else
		snprintf(buf, size, "%s thread %d", name, entry->tid);
}

/* A socket, or all of an address: whose they are is the group. */
static void steered(struct cb_rows *rows, const struct cb_journal_entry *entry)
{
	bool one = entry->knob == CB_KNOB_INCOMING_CPU;
	char name[128];

	if (one)
		snprintf(name, sizeof(name), "socket %u of pid %d", entry->inode, entry->tgid);
	else
		cb_listen_format(&entry->local, name, sizeof(name));
	cb_row_string(rows, "Kind", cb_item_kind_name(cb_knob_get(entry->knob)->item));
	cb_row_string(rows, "Name", name);
	if (one) {
		cb_row_cpus(rows, "Was", &entry->original);
		cb_row_cpus(rows, "Set", &entry->set);
	} else {
		cb_row_string(rows, "Was", "hash");
		cb_row_string(rows, "Set", "shares");
	}
	cb_row_u32(rows, "Plan", entry->plan_id);
	cb_row_string(rows, "Group", entry->group);
	cb_row_string(rows, "State", "changed");
}

/* A value of a queue's file: CPUs, "" for none, or a number of flows. */
static void queue_value(struct cb_rows *rows, const char *key, const struct cb_knob *knob,
			const struct cb_queue_value *value)
{
	char number[16];

	snprintf(number, sizeof(number), "%u", value->flows);
	if (knob->item == CB_ITEM_RFS)
		cb_row_string(rows, key, number);
	else
		cb_row_cpus(rows, key, &value->cpus);
}

static void queue_changed(struct cb_rows *rows, const struct cb_manager *m,
			  const struct cb_journal_entry *entry)
{
	const struct cb_knob *knob = cb_knob_get(entry->knob);
	struct cb_queue_value was = { .cpus = entry->original, .flows = entry->flows.original };
	struct cb_queue_value set = { .cpus = entry->set, .flows = entry->flows.set }, is;
	bool known = cb_host_queue_now(m->host, entry, &is) == 0;
	char text[CB_QUEUE_TEXT_MAX + 128];

	cb_row_string(rows, "Kind", cb_item_kind_name(knob->item));
	cb_item_queue_name(knob->item, entry->ifname, entry->queue, text, sizeof(text));
	cb_row_string(rows, "Name", text);
	queue_value(rows, "Was", knob, &was);
	if (known)
		queue_value(rows, "Is", knob, &is);
	queue_value(rows, "Set", knob, &set);
	cb_row_u32(rows, "Plan", entry->plan_id);
	if (entry->group[0])
		cb_row_string(rows, "Group", entry->group);
	cb_row_string(rows, "State",
		      known && !cb_knob_queue_equal(knob, &is, &set) &&
				      !cb_knob_queue_equal(knob, &is, &was) ?
			      "foreign" :
			      "changed");
	if (cb_knob_queue_shell(knob, entry->ifname, entry->queue, &was, text, sizeof(text)) >= 0)
		cb_row_string(rows, "Shell", text);
}

static void change(struct cb_rows *rows, struct cb_manager *m, const struct cb_journal_entry *entry,
		   const struct cb_irqs *irqs)
{
	bool irq = entry->knob == CB_KNOB_IRQ_AFFINITY;
	struct now now = { .known = false };
	char name[128];

	if (cb_item_steers(cb_knob_get(entry->knob)->item)) {
		steered(rows, entry);
		return;
	}
	if (cb_item_is_queue(cb_knob_get(entry->knob)->item)) {
		queue_changed(rows, m, entry);
		return;
	}
	now = irq ? irq_now(irqs, entry) : task_now(m, entry);
	cb_row_string(rows, "Kind", cb_item_kind_name(irq ? CB_ITEM_IRQ : CB_ITEM_WORKER));
	if (irq) {
		struct cb_item_ref item = { .kind = CB_ITEM_IRQ, .key = entry->irq };

		cb_engine_item_name(m->engine, item, name, sizeof(name));
		cb_row_u32(rows, "IRQ", entry->irq);
	} else {
		task_name(m, entry, name, sizeof(name));
		cb_row_i32(rows, "TID", entry->tid);
	}
	cb_row_string(rows, "Name", name);
	cb_row_cpus(rows, "Was", &entry->original);
	if (now.known)
		cb_row_cpus(rows, "Is", &now.mask);
	cb_row_cpus(rows, "Set", &entry->set);
	cb_row_u32(rows, "Plan", entry->plan_id);
	if (entry->group[0])
		cb_row_string(rows, "Group", entry->group);
	cb_row_string(rows, "State", state_of(entry, &now));
	shell(rows, entry->knob, irq ? entry->irq : (uint32_t)entry->tid, &entry->original);
}

void cb_rows_changes(struct cb_rows *rows, struct cb_manager *m)
{
	uint32_t n = m->journal ? cb_journal_count(m->journal) : 0;
	struct cb_irqs *irqs = NULL;
	bool any_irq = false;

	for (uint32_t i = 0; i < n; i++)
		any_irq = any_irq || cb_journal_at(m->journal, i)->knob == CB_KNOB_IRQ_AFFINITY;
	if (any_irq && cb_host_irqs(m->host, m->irqs->generation, &irqs, NULL) < 0)
		irqs = NULL;
	cb_list_open(rows);
	for (uint32_t i = 0; i < n && rows->r >= 0; i++) {
		cb_row_open(rows);
		change(rows, m, cb_journal_at(m->journal, i), irqs);
		cb_row_close(rows);
	}
	cb_list_close(rows);
	free(irqs);
}
