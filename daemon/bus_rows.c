/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The builder, and the rows of CPUs, interrupts, workers and findings.
 */
#include "bus_rows.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* --- the builder --- */

static void open_container(struct cb_rows *rows, char type, const char *contents)
{
	if (rows->r >= 0)
		rows->r = sd_bus_message_open_container(rows->message, type, contents);
}

static void close_container(struct cb_rows *rows)
{
	if (rows->r >= 0)
		rows->r = sd_bus_message_close_container(rows->message);
}

void cb_list_open(struct cb_rows *rows)
{
	open_container(rows, 'a', "a{sv}");
}

void cb_list_close(struct cb_rows *rows)
{
	close_container(rows);
}

void cb_row_open(struct cb_rows *rows)
{
	open_container(rows, 'a', "{sv}");
}

void cb_row_close(struct cb_rows *rows)
{
	close_container(rows);
}

static void key_open(struct cb_rows *rows, const char *key, const char *type)
{
	open_container(rows, 'e', "sv");
	if (rows->r >= 0)
		rows->r = sd_bus_message_append_basic(rows->message, 's', key);
	open_container(rows, 'v', type);
}

static void key_close(struct cb_rows *rows)
{
	close_container(rows);
	close_container(rows);
}

void cb_row_list_open(struct cb_rows *rows, const char *key)
{
	key_open(rows, key, "aa{sv}");
	cb_list_open(rows);
}

void cb_row_list_close(struct cb_rows *rows)
{
	cb_list_close(rows);
	key_close(rows);
}

void cb_row_basic(struct cb_rows *rows, const char *key, char type, const void *value)
{
	key_open(rows, key, (const char[]){ type, '\0' });
	if (rows->r >= 0)
		rows->r = sd_bus_message_append_basic(rows->message, type, value);
	key_close(rows);
}

void cb_row_string(struct cb_rows *rows, const char *key, const char *value)
{
	if (value)
		cb_row_basic(rows, key, 's', value);
}

void cb_row_u32(struct cb_rows *rows, const char *key, uint32_t value)
{
	cb_row_basic(rows, key, 'u', &value);
}

void cb_row_i32(struct cb_rows *rows, const char *key, int32_t value)
{
	cb_row_basic(rows, key, 'i', &value);
}

void cb_row_u64(struct cb_rows *rows, const char *key, uint64_t value)
{
	cb_row_basic(rows, key, 't', &value);
}

void cb_row_double(struct cb_rows *rows, const char *key, double value)
{
	if (isfinite(value))
		cb_row_basic(rows, key, 'd', &value);
}

void cb_row_bool(struct cb_rows *rows, const char *key, bool value)
{
	int wide = value;

	cb_row_basic(rows, key, 'b', &wide);
}

void cb_row_cpus(struct cb_rows *rows, const char *key, const struct cb_cpuset *value)
{
	char list[CB_CPULIST_MAX];

	if (cb_cpuset_format_list(value, list, sizeof(list)) >= 0)
		cb_row_string(rows, key, list);
}

void cb_row_rate(struct cb_rows *rows, const char *key, const struct cb_rate *value)
{
	char raw[64];

	snprintf(raw, sizeof(raw), "%sRaw", key);
	cb_row_double(rows, key, value->smooth);
	cb_row_double(rows, raw, value->raw);
}

void cb_row_index(struct cb_rows *rows, const char *key, int32_t value)
{
	if (value >= 0)
		cb_row_i32(rows, key, value);
}

void cb_row_reason(struct cb_rows *rows, enum cb_reject reason)
{
	if (reason == CB_REJECT_NONE)
		return;
	cb_row_string(rows, "Reason", cb_reject_name(reason));
	cb_row_string(rows, "ReasonText", cb_reject_sentence(reason));
}

/* --- CPUs --- */

void cb_rows_cpu_split(struct cb_rows *rows, const struct cb_cpu_view *view)
{
	if (!(view->present & CB_CPU_HAS_TIMES))
		return;
	cb_row_rate(rows, "Busy", &view->busy);
	cb_row_double(rows, "User", view->user.smooth);
	cb_row_double(rows, "System", view->system.smooth);
	cb_row_double(rows, "IRQ", view->irq.smooth);
	cb_row_double(rows, "SoftIRQ", view->softirq.smooth);
	cb_row_double(rows, "Steal", view->steal.smooth);
	cb_row_double(rows, "Guest", view->guest.smooth);
	cb_row_double(rows, "Workers", view->workers_ratio);
	cb_row_double(rows, "Interrupts", view->irqs_ratio);
	cb_row_double(rows, "Other", view->other_ratio);
}

static void softirqs(struct cb_rows *rows, const struct cb_cpu_view *view)
{
	key_open(rows, "SoftIRQsPerSec", "a{sd}");
	open_container(rows, 'a', "{sd}");
	for (int i = 0; i < _CB_SOFTIRQ_MAX && rows->r >= 0; i++)
		rows->r = sd_bus_message_append(rows->message, "{sd}",
						cb_softirq_name((enum cb_softirq)i),
						view->softirqs_per_sec[i].smooth);
	close_container(rows);
	key_close(rows);
}

void cb_rows_cpu(struct cb_rows *rows, const struct cb_manager *m, const struct cb_cpu_view *view)
{
	const struct cb_topology *topology = m->topology;
	const struct cb_cpu_place *place = &topology->cpu[view->cpu];
	bool isolated = cb_cpuset_has(&topology->isolated, view->cpu) ||
			cb_cpuset_has(&topology->nohz_full, view->cpu);

	cb_row_u32(rows, "CPU", view->cpu);
	cb_row_bool(rows, "Online", view->online);
	if (view->online && view->present & CB_CPU_HAS_TIMES) {
		cb_row_string(rows, "Heat", cb_heat_name(view->heat));
		if (view->heat == CB_HEAT_HOT && view->hot_since_usec != 0)
			cb_row_u64(rows, "HotForUSec", cb_manager_now(m) - view->hot_since_usec);
	}
	cb_rows_cpu_split(rows, view);
	if (view->present & CB_CPU_HAS_CTXSW)
		cb_row_rate(rows, "ContextSwitchesPerSec", &view->ctxsw_per_sec);
	if (view->present & CB_CPU_HAS_SOFTIRQS)
		softirqs(rows, view);
	cb_row_index(rows, "Node", place->node);
	cb_row_index(rows, "Package", place->package);
	cb_row_index(rows, "LLC", place->llc);
	cb_row_index(rows, "Cluster", place->cluster);
	cb_row_index(rows, "Core", place->core);
	if (place->capacity != CB_CAPACITY_FULL)
		cb_row_double(rows, "Capacity", (double)place->capacity / CB_CAPACITY_FULL);
	cb_row_bool(rows, "Isolated", isolated);
}

/* --- interrupts --- */

void cb_rows_irq(struct cb_rows *rows, const struct cb_manager *m, const struct cb_irq_view *view)
{
	const struct cb_registration *group =
		view->group_key ? cb_manager_group_by_key(m, view->group_key) : NULL;

	cb_row_u32(rows, "IRQ", view->irq);
	if (view->info) {
		cb_row_string(rows, "Name", view->info->actions);
		if (view->info->ifname[0])
			cb_row_string(rows, "Interface", view->info->ifname);
		cb_row_cpus(rows, "Affinity", &view->info->affinity);
		cb_row_index(rows, "Node", view->info->node);
		cb_row_index(rows, "Queue", view->info->queue);
		if (view->info->queue_dir != CB_QUEUE_NONE)
			cb_row_string(rows, "QueueKind", cb_queue_dir_name(view->info->queue_dir));
	}
	if (view->has_packets)
		cb_row_double(rows, "PacketsPerSec", view->packets_per_sec.smooth);
	cb_row_rate(rows, "PerSec", &view->per_sec);
	cb_row_index(rows, "CPU", view->effective_cpu);
	cb_row_double(rows, "Load", view->load_ratio);
	cb_row_string(rows, "LoadBy", view->by_packets ? "packets" : "interrupts");
	if (group)
		cb_row_string(rows, "Group", group->policy.name);
	cb_row_bool(rows, "Movable", view->reject == CB_REJECT_NONE);
	cb_row_reason(rows, view->reject);
	cb_row_bool(rows, "Changed", view->placed);
}

/* --- workers --- */

void cb_rows_waiting(struct cb_rows *rows, const struct cb_worker_view *view)
{
	if (view->present & CB_WORKER_HAS_LISTEN) {
		cb_row_u32(rows, "Backlog", view->backlog);
		cb_row_u32(rows, "BacklogMax", view->backlog_max);
	}
	if (view->present & CB_WORKER_HAS_DATAGRAMS) {
		cb_row_u64(rows, "QueuedBytes", view->queued_bytes);
		cb_row_u64(rows, "QueuedMaxBytes", view->queued_max_bytes);
	}
}

static void worker_figures(struct cb_rows *rows, const struct cb_worker_view *view)
{
	if (view->present & CB_WORKER_HAS_CPU)
		cb_row_rate(rows, "CPUTime", &view->cpu);
	if (view->present & CB_WORKER_HAS_WAIT)
		cb_row_rate(rows, "WaitPerSec", &view->wait_per_sec);
	if (view->present & CB_WORKER_HAS_SWITCHES) {
		cb_row_double(rows, "VoluntaryPerSec", view->vol_per_sec.smooth);
		cb_row_double(rows, "InvoluntaryPerSec", view->invol_per_sec.smooth);
	}
	if (view->present & CB_WORKER_HAS_THREADS)
		cb_row_u32(rows, "Threads", view->n_threads);
	if (view->present & CB_WORKER_HAS_FDS)
		cb_row_u32(rows, "FDs", view->n_fds);
	if (view->present & CB_WORKER_HAS_LISTEN)
		cb_row_u32(rows, "Listeners", view->n_listeners);
	cb_rows_waiting(rows, view);
	if (view->present & (CB_WORKER_HAS_LISTEN | CB_WORKER_HAS_DATAGRAMS))
		cb_row_double(rows, "DropsPerSec", view->drops_per_sec.smooth);
	if (view->present & CB_WORKER_HAS_LAST_CPU)
		cb_row_index(rows, "LastCPU", view->last_cpu);
}

/* Only of a process of the viewer's own is proc asked, so that nobody makes us read all day. */
static void worker_words(struct cb_rows *rows, const struct cb_manager *m,
			 const struct cb_member *member, uint32_t viewer)
{
	char text[512];

	if (member->unit[0])
		cb_row_string(rows, "Unit", member->unit);
	if ((viewer == 0 || viewer == member->uid) &&
	    cb_host_command_line(m->host, member->pid, viewer, text, sizeof(text)) > 0)
		cb_row_string(rows, "CommandLine", text);
}

void cb_rows_worker(struct cb_rows *rows, const struct cb_manager *m,
		    const struct cb_worker_view *view, uint32_t viewer)
{
	const struct cb_member *member = cb_manager_worker_by_key(m, view->key);
	uint64_t now_usec = cb_manager_now(m);
	char name[CB_NAME_MAX + 16];

	snprintf(name, sizeof(name), "%s/%u", view->group, view->slot);
	cb_row_string(rows, "Name", name);
	cb_row_string(rows, "Group", view->group);
	cb_row_u32(rows, "Slot", view->slot);
	cb_row_i32(rows, "PID", view->pid);
	if (view->tid != 0)
		cb_row_i32(rows, "TID", view->tid);
	cb_row_bool(rows, "Floats", view->floats);
	cb_row_string(rows, "Comm", view->comm);
	worker_figures(rows, view);
	cb_row_index(rows, "CPU", view->cpu_attributed);
	if (view->present & CB_WORKER_HAS_MASK)
		cb_row_cpus(rows, "Affinity", &view->mask);
	cb_row_cpus(rows, "Original", &view->original);
	cb_row_cpus(rows, "Allowed", &view->allowed);
	cb_row_bool(rows, "Changed", view->placed);
	cb_row_bool(rows, "Foreign", view->foreign);
	if (view->share > 0 || view->drained)
		cb_row_double(rows, "Share", (double)view->share / CB_SHARES);
	if (view->drained)
		cb_row_bool(rows, "Drained", true);
	cb_row_index(rows, "IncomingCPU", view->incoming_cpu);
	if (member)
		worker_words(rows, m, member, viewer);
	if (member && member->found) {
		cb_row_bool(rows, "Guess", member->guess);
		cb_row_u32(rows, "Loops", member->n_loops);
	}
	if (view->quarantine_until_usec > now_usec)
		cb_row_u64(rows, "QuarantineLeftUSec", view->quarantine_until_usec - now_usec);
}

/* --- findings --- */

#define FIGURE_RATIO cb_row_double
#define FIGURE_RATE  cb_row_double
#define FIGURE_COUNT cb_row_u32
#define FIGURE_CPU   cb_row_i32
#define FIGURE_FLAG  cb_row_bool

/* The evidence, as far as it is known. */
static void figures(struct cb_rows *rows, const struct cb_finding *finding)
{
#define CB_FIGURE_ROW(id, type, field, key) \
	if (finding->known & CB_KNOWS(id))  \
		FIGURE_##type(rows, key, finding->field);
#include "cpubalance/finding.def"
#undef CB_FIGURE_ROW
}

void cb_rows_finding(struct cb_rows *rows, const struct cb_manager *m,
		     const struct cb_finding *finding)
{
	const struct cb_registration *group =
		finding->group_key ? cb_manager_group_by_key(m, finding->group_key) : NULL;
	uint64_t now_usec = cb_manager_now(m);
	char text[256];

	cb_row_string(rows, "Kind", cb_finding_kind_name(finding->kind));
	cb_row_index(rows, "CPU", finding->cpu);
	if (finding->worker_key != 0) {
		struct cb_item_ref item = { .kind = CB_ITEM_WORKER, .key = finding->worker_key };

		cb_row_string(rows, "Worker",
			      cb_engine_item_name(m->engine, item, text, sizeof(text)));
	}
	if (group)
		cb_row_string(rows, "Group", group->policy.name);
	cb_row_u64(rows, "SinceUSec",
		   now_usec > finding->since_usec ? now_usec - finding->since_usec : 0);
	cb_row_bool(rows, "Confirmed", finding->confirmed);
	if (!finding->confirmed)
		cb_row_u64(rows, "ConfirmedInUSec",
			   finding->since_usec + finding->confirm_usec > now_usec ?
				   finding->since_usec + finding->confirm_usec - now_usec :
				   0);
	cb_row_bool(rows, "Harm", finding->harm);
	figures(rows, finding);
	cb_row_string(rows, "Sentence",
		      cb_engine_finding_sentence(m->engine, finding, text, sizeof(text)));
	cb_row_string(rows, "Meaning", cb_finding_meaning(finding->kind));
	cb_row_string(rows, "Role", cb_finding_role_name(cb_finding_role(finding->kind)));
	cb_row_string(rows, "Remedy", cb_finding_remedy(finding->kind));
}
