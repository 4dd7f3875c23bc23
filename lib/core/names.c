/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The words for our enums, as they stand in the configuration, on the bus, in metrics and in traces. A value that is out
 * of range is "?"; a value without a word would be too, and the unit test looks for one.
 */
#include <stdio.h>
#include <string.h>

#include "cpubalance/engine.h"

static const char *name_of(const char *const *names, size_t n, int value)
{
	if (value < 0 || (size_t)value >= n || !names[value])
		return "?";
	return names[value];
}

#define NAME_OF(names, value) name_of(names, CB_ARRAY_SIZE(names), (int)(value))

/* --- finding.h --- */

const char *cb_finding_kind_name(enum cb_finding_kind kind)
{
	static const char *const names[_CB_FINDING_MAX] = {
#define CB_FINDING_ROW(id, subject, role, meaning, remedy) [CB_FINDING_##id] = #id,
#include "cpubalance/finding.def"
#undef CB_FINDING_ROW
	};

	return NAME_OF(names, kind);
}

const char *cb_finding_meaning(enum cb_finding_kind kind)
{
	static const char *const meanings[_CB_FINDING_MAX] = {
#define CB_FINDING_ROW(id, subject, role, meaning, remedy) [CB_FINDING_##id] = meaning,
#include "cpubalance/finding.def"
#undef CB_FINDING_ROW
	};

	return NAME_OF(meanings, kind);
}

const char *cb_finding_remedy(enum cb_finding_kind kind)
{
	static const char *const remedies[_CB_FINDING_MAX] = {
#define CB_FINDING_ROW(id, subject, role, meaning, remedy) [CB_FINDING_##id] = remedy,
#include "cpubalance/finding.def"
#undef CB_FINDING_ROW
	};

	return NAME_OF(remedies, kind);
}

enum cb_finding_subject cb_finding_subject(enum cb_finding_kind kind)
{
	static const enum cb_finding_subject subjects[_CB_FINDING_MAX] = {
#define CB_FINDING_ROW(id, subject, role, meaning, remedy) [CB_FINDING_##id] = CB_SUBJECT_##subject,
#include "cpubalance/finding.def"
#undef CB_FINDING_ROW
	};

	return (int)kind >= 0 && kind < _CB_FINDING_MAX ? subjects[kind] : _CB_SUBJECT_INVALID;
}

enum cb_finding_role cb_finding_role(enum cb_finding_kind kind)
{
	static const enum cb_finding_role roles[_CB_FINDING_MAX] = {
#define CB_FINDING_ROW(id, subject, role, meaning, remedy) [CB_FINDING_##id] = CB_ROLE_##role,
#include "cpubalance/finding.def"
#undef CB_FINDING_ROW
	};

	return (int)kind >= 0 && kind < _CB_FINDING_MAX ? roles[kind] : _CB_ROLE_INVALID;
}

const char *cb_finding_role_name(enum cb_finding_role role)
{
	static const char *const names[_CB_ROLE_MAX] = {
		[CB_ROLE_PLANS] = "plans",
		[CB_ROLE_INFORMS] = "informs",
	};

	return NAME_OF(names, role);
}

const char *cb_reject_name(enum cb_reject reject)
{
	static const char *const names[_CB_REJECT_MAX] = {
#define CB_REJECT_ROW(id, sentence) [CB_REJECT_##id] = #id,
#include "cpubalance/reject.def"
#undef CB_REJECT_ROW
	};

	return NAME_OF(names, reject);
}

const char *cb_reject_sentence(enum cb_reject reject)
{
	static const char *const sentences[_CB_REJECT_MAX] = {
#define CB_REJECT_ROW(id, sentence) [CB_REJECT_##id] = sentence,
#include "cpubalance/reject.def"
#undef CB_REJECT_ROW
	};

	return NAME_OF(sentences, reject);
}

/* --- plan.h --- */

const char *cb_item_kind_name(enum cb_item_kind kind)
{
	static const char *const names[_CB_ITEM_MAX] = {
		[CB_ITEM_WORKER] = "worker", [CB_ITEM_IRQ] = "irq", [CB_ITEM_LISTENER] = "listener",
		[CB_ITEM_SHARE] = "share",   [CB_ITEM_RPS] = "rps", [CB_ITEM_RFS] = "rfs",
		[CB_ITEM_XPS] = "xps",
	};

	return NAME_OF(names, kind);
}

bool cb_item_steers(enum cb_item_kind kind)
{
	return kind == CB_ITEM_LISTENER || kind == CB_ITEM_SHARE;
}

bool cb_item_is_queue(enum cb_item_kind kind)
{
	return kind == CB_ITEM_RPS || kind == CB_ITEM_RFS || kind == CB_ITEM_XPS;
}

const char *cb_item_queue_name(enum cb_item_kind kind, const char *ifname, uint32_t queue,
			       char *buf, size_t size)
{
	if (!ifname[0])
		snprintf(buf, size, "net.core.rps_sock_flow_entries");
	else
		snprintf(buf, size, "%s/%s-%u%s", ifname, kind == CB_ITEM_XPS ? "tx" : "rx", queue,
			 kind == CB_ITEM_RFS ? " flows" : "");
	return buf;
}

const char *cb_step_show(const struct cb_step *step, bool to, char *buf, size_t size)
{
	const struct cb_cpuset *cpus = to ? &step->to : &step->from;
	uint32_t share = to ? step->share_to : step->share_from;

	if (step->item.kind == CB_ITEM_SHARE && (to ? step->op == CB_OP_SET : share > 0))
		snprintf(buf, size, "%u.%u %%", share * 100 / CB_SHARES,
			 share * 1000 / CB_SHARES % 10);
	else if (step->item.kind == CB_ITEM_RFS)
		snprintf(buf, size, "%u", share);
	else if (step->item.kind != CB_ITEM_WORKER && step->item.kind != CB_ITEM_IRQ &&
		 cb_cpuset_empty(cpus))
		snprintf(buf, size, "-");
	else
		cb_cpuset_show(cpus, buf, size);
	return buf;
}

const char *cb_step_state_name(enum cb_step_state state)
{
	static const char *const names[_CB_STEP_STATE_MAX] = {
		[CB_STEP_PLANNED] = "planned", [CB_STEP_DONE] = "done",
		[CB_STEP_PENDING] = "pending", [CB_STEP_FAILED] = "failed",
		[CB_STEP_UNDONE] = "undone",   [CB_STEP_GONE] = "gone",
	};

	return NAME_OF(names, state);
}

const char *cb_error_class_name(enum cb_error_class error_class)
{
	static const char *const names[_CB_ERROR_CLASS_MAX] = {
		[CB_ERROR_NONE] = "none",	  [CB_ERROR_TRANSIENT] = "transient",
		[CB_ERROR_CAPACITY] = "capacity", [CB_ERROR_PERMANENT] = "permanent",
		[CB_ERROR_GONE] = "gone",	  [CB_ERROR_FOREIGN] = "foreign",
	};

	return NAME_OF(names, error_class);
}

const char *cb_origin_name(enum cb_origin origin)
{
	static const char *const names[_CB_ORIGIN_MAX] = {
		[CB_ORIGIN_AUTO] = "auto",
		[CB_ORIGIN_OPERATOR] = "operator",
	};

	return NAME_OF(names, origin);
}

const char *cb_plan_state_name(enum cb_plan_state state)
{
	static const char *const names[_CB_PLAN_STATE_MAX] = {
		[CB_PLAN_PROPOSED] = "proposed",   [CB_PLAN_BASELINE] = "baseline",
		[CB_PLAN_APPLYING] = "applying",   [CB_PLAN_SETTLING] = "settling",
		[CB_PLAN_VERIFYING] = "verifying", [CB_PLAN_UNDOING] = "undoing",
		[CB_PLAN_DONE] = "done",
	};

	return NAME_OF(names, state);
}

const char *cb_verdict_name(enum cb_verdict verdict)
{
	static const char *const names[_CB_VERDICT_MAX] = {
		[CB_VERDICT_NONE] = "none",
		[CB_VERDICT_KEPT] = "kept",
		[CB_VERDICT_ROLLED_BACK] = "rolled_back",
		[CB_VERDICT_INCONCLUSIVE] = "inconclusive",
		[CB_VERDICT_VOID] = "void",
		[CB_VERDICT_WITHDRAWN] = "withdrawn",
		[CB_VERDICT_FAILED] = "failed",
	};

	return NAME_OF(names, verdict);
}

/* --- engine.h --- */

const char *cb_input_kind_name(enum cb_input_kind kind)
{
	static const char *const names[_CB_INPUT_MAX] = {
		[CB_INPUT_POLICY] = "policy",	[CB_INPUT_TOPOLOGY] = "topology",
		[CB_INPUT_IRQS] = "irqs",	[CB_INPUT_SNAPSHOT] = "snapshot",
		[CB_INPUT_EVENT] = "event",	[CB_INPUT_COMMAND] = "command",
		[CB_INPUT_OUTCOME] = "outcome", [CB_INPUT_QUEUES] = "queues",
	};

	return NAME_OF(names, kind);
}

const char *cb_event_kind_name(enum cb_event_kind kind)
{
	static const char *const names[_CB_EVENT_MAX] = {
		[CB_EVENT_GROUP_ADDED] = "group_added",
		[CB_EVENT_GROUP_REMOVED] = "group_removed",
		[CB_EVENT_WORKER_ADDED] = "worker_added",
		[CB_EVENT_WORKER_GONE] = "worker_gone",
		[CB_EVENT_WORKER_FOREIGN] = "worker_foreign",
		[CB_EVENT_WORKER_CPUSET] = "worker_cpuset",
		[CB_EVENT_IRQ_FOREIGN] = "irq_foreign",
		[CB_EVENT_IRQ_IMMOVABLE] = "irq_immovable",
		[CB_EVENT_IRQBALANCE] = "irqbalance",
		[CB_EVENT_STEER_LOST] = "steer_lost",
		[CB_EVENT_STRANDED] = "stranded",
	};

	return NAME_OF(names, kind);
}

const char *cb_command_kind_name(enum cb_command_kind kind)
{
	static const char *const names[_CB_COMMAND_MAX] = {
		[CB_COMMAND_APPLY] = "apply",	    [CB_COMMAND_MOVE] = "move",
		[CB_COMMAND_ROLLBACK] = "rollback", [CB_COMMAND_RELEASE] = "release",
		[CB_COMMAND_PAUSE] = "pause",	    [CB_COMMAND_RESUME] = "resume",
		[CB_COMMAND_MODE] = "mode",	    [CB_COMMAND_VETO] = "veto",
		[CB_COMMAND_STEER] = "steer",	    [CB_COMMAND_DRAIN] = "drain",
		[CB_COMMAND_PACKETS] = "packets",
	};

	return NAME_OF(names, kind);
}

const char *cb_action_name(enum cb_action action)
{
	static const char *const names[_CB_ACTION_MAX] = {
		[CB_ACTION_NONE] = "none",
		[CB_ACTION_APPLY] = "apply",
		[CB_ACTION_RELEASE] = "release",
	};

	return NAME_OF(names, action);
}

const char *cb_notice_kind_name(enum cb_notice_kind kind)
{
	static const char *const names[_CB_NOTICE_MAX] = {
		[CB_NOTICE_FINDING_BEGAN] = "finding_began",
		[CB_NOTICE_FINDING_ENDED] = "finding_ended",
		[CB_NOTICE_PLAN_PROPOSED] = "plan_proposed",
		[CB_NOTICE_PLAN_APPLIED] = "plan_applied",
		[CB_NOTICE_PLAN_ENDED] = "plan_ended",
		[CB_NOTICE_CANARY] = "canary",
		[CB_NOTICE_FOREIGN] = "foreign",
	};

	return NAME_OF(names, kind);
}

const char *cb_heat_name(enum cb_heat heat)
{
	static const char *const names[_CB_HEAT_MAX] = {
		[CB_HEAT_COOL] = "cool",
		[CB_HEAT_WARM] = "warm",
		[CB_HEAT_HOT] = "hot",
	};

	return NAME_OF(names, heat);
}

/* --- snapshot.h --- */

const char *cb_source_name(enum cb_source source)
{
	static const char *const names[_CB_SOURCE_MAX] = {
#define CB_SOURCE_ROW(id, name, what, gives) [CB_SOURCE_##id] = name,
#include "cpubalance/sources.def"
#undef CB_SOURCE_ROW
	};

	return NAME_OF(names, source);
}

const char *cb_source_where(enum cb_source source)
{
	static const char *const places[_CB_SOURCE_MAX] = {
#define CB_SOURCE_ROW(id, name, what, gives) [CB_SOURCE_##id] = what,
#include "cpubalance/sources.def"
#undef CB_SOURCE_ROW
	};

	return NAME_OF(places, source);
}

const char *cb_source_gives(enum cb_source source)
{
	static const char *const given[_CB_SOURCE_MAX] = {
#define CB_SOURCE_ROW(id, name, what, gives) [CB_SOURCE_##id] = gives,
#include "cpubalance/sources.def"
#undef CB_SOURCE_ROW
	};

	return NAME_OF(given, source);
}

const char *cb_softirq_name(enum cb_softirq softirq)
{
	static const char *const names[_CB_SOFTIRQ_MAX] = {
		[CB_SOFTIRQ_HI] = "HI",		  [CB_SOFTIRQ_TIMER] = "TIMER",
		[CB_SOFTIRQ_NET_TX] = "NET_TX",	  [CB_SOFTIRQ_NET_RX] = "NET_RX",
		[CB_SOFTIRQ_BLOCK] = "BLOCK",	  [CB_SOFTIRQ_IRQ_POLL] = "IRQ_POLL",
		[CB_SOFTIRQ_TASKLET] = "TASKLET", [CB_SOFTIRQ_SCHED] = "SCHED",
		[CB_SOFTIRQ_HRTIMER] = "HRTIMER", [CB_SOFTIRQ_RCU] = "RCU",
	};

	return NAME_OF(names, softirq);
}

/* --- policy.h --- */

const char *cb_mode_name(enum cb_mode mode)
{
	static const char *const names[_CB_MODE_MAX] = {
		[CB_MODE_AUTO] = "auto",
		[CB_MODE_ADVISE] = "advise",
		[CB_MODE_OBSERVE] = "observe",
	};

	return NAME_OF(names, mode);
}

enum cb_mode cb_mode_from_name(const char *name)
{
	for (int mode = 0; name && mode < _CB_MODE_MAX; mode++)
		if (strcmp(cb_mode_name((enum cb_mode)mode), name) == 0)
			return (enum cb_mode)mode;
	return _CB_MODE_INVALID;
}

const char *cb_detail_name(enum cb_detail detail)
{
	static const char *const names[_CB_DETAIL_MAX] = {
		[CB_DETAIL_SUMMARY] = "summary",
		[CB_DETAIL_CPU] = "cpu",
		[CB_DETAIL_FULL] = "full",
	};

	return NAME_OF(names, detail);
}

const char *cb_queue_dir_name(enum cb_queue_dir dir)
{
	static const char *const names[_CB_QUEUE_DIR_MAX] = {
		[CB_QUEUE_NONE] = "none",
		[CB_QUEUE_RX] = "rx",
		[CB_QUEUE_TX] = "tx",
		[CB_QUEUE_BOTH] = "both",
	};

	return NAME_OF(names, dir);
}

const char *cb_granularity_name(enum cb_granularity granularity)
{
	static const char *const names[_CB_GRANULARITY_MAX] = {
		[CB_GRANULARITY_AUTO] = "auto",
		[CB_GRANULARITY_PROCESS] = "process",
		[CB_GRANULARITY_THREAD] = "thread",
	};

	return NAME_OF(names, granularity);
}

const char *cb_steering_name(enum cb_steering steering)
{
	static const char *const names[_CB_STEERING_MAX] = {
		[CB_STEERING_NONE] = "none",
		[CB_STEERING_LOCAL] = "local",
		[CB_STEERING_WEIGHTED] = "weighted",
	};

	return NAME_OF(names, steering);
}

enum cb_steering cb_steering_from_name(const char *name)
{
	for (int steering = 0; steering < _CB_STEERING_MAX; steering++)
		if (strcmp(cb_steering_name((enum cb_steering)steering), name) == 0)
			return (enum cb_steering)steering;
	return _CB_STEERING_INVALID;
}

const char *cb_packets_name(enum cb_packets packets)
{
	static const char *const names[_CB_PACKETS_MAX] = {
		[CB_PACKETS_NONE] = "none",
		[CB_PACKETS_RPS] = "rps",
		[CB_PACKETS_XPS] = "xps",
		[CB_PACKETS_BOTH] = "both",
	};

	return NAME_OF(names, packets);
}

enum cb_packets cb_packets_from_name(const char *name)
{
	for (int packets = 0; packets < _CB_PACKETS_MAX; packets++)
		if (strcmp(cb_packets_name((enum cb_packets)packets), name) == 0)
			return (enum cb_packets)packets;
	return _CB_PACKETS_INVALID;
}

const char *cb_placement_name(enum cb_placement placement)
{
	static const char *const names[_CB_PLACEMENT_MAX] = {
		[CB_PLACEMENT_AUTO] = "auto",
		[CB_PLACEMENT_CORE] = "core",
	};

	return NAME_OF(names, placement);
}
