/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the operator decided: one plain struct, generated from policy.def, with every value inside its bounds. The
 * configuration is parsed into a fresh struct and swapped whole, or the old one stays. Pure: the file is read elsewhere.
 */

#include <stddef.h>
#include <string.h>

#include "cpubalance/cpuset.h"
#include "cpubalance/err.h"
#include "cpubalance/selector.h"
#include "cpubalance/snapshot.h"

enum cb_mode {
	CB_MODE_AUTO,
	CB_MODE_ADVISE,
	CB_MODE_OBSERVE,
	_CB_MODE_MAX,
	_CB_MODE_INVALID = -22,
};

enum cb_detail {
	CB_DETAIL_SUMMARY,
	CB_DETAIL_CPU,
	CB_DETAIL_FULL,
	_CB_DETAIL_MAX,
	_CB_DETAIL_INVALID = -22,
};

enum cb_placement {
	CB_PLACEMENT_AUTO, /* widest mask that mends */
	CB_PLACEMENT_CORE, /* one CPU each */
	_CB_PLACEMENT_MAX,
	_CB_PLACEMENT_INVALID = -22,
};

/* What is one worker of a group that a selector finds. */
enum cb_granularity {
	CB_GRANULARITY_AUTO,    /* a thread where several threads of a process each wait for clients by themselves, else a process */
	CB_GRANULARITY_PROCESS, /* all threads of a process together */
	CB_GRANULARITY_THREAD,  /* each thread that waits for clients */
	_CB_GRANULARITY_MAX,
	_CB_GRANULARITY_INVALID = -22,
};

/* What may be done with the new connections of a group. */
enum cb_steering {
	CB_STEERING_NONE,
	CB_STEERING_LOCAL,    /* accepted where their packets arrive */
	CB_STEERING_WEIGHTED, /* shared out by what headroom each worker has */
	_CB_STEERING_MAX,
	_CB_STEERING_INVALID = -22,
};

/* What may be done with the packets of a group's interfaces. */
enum cb_packets {
	CB_PACKETS_NONE,
	CB_PACKETS_RPS,  /* received packets are handled on cool CPUs */
	CB_PACKETS_XPS,  /* transmit queues follow their interrupts */
	CB_PACKETS_BOTH,
	_CB_PACKETS_MAX,
	_CB_PACKETS_INVALID = -22,
};

const char *cb_mode_name(enum cb_mode mode);
enum cb_mode cb_mode_from_name(const char *name); /* _CB_MODE_INVALID when unknown */
const char *cb_detail_name(enum cb_detail detail);
const char *cb_placement_name(enum cb_placement placement);
const char *cb_granularity_name(enum cb_granularity granularity);
const char *cb_steering_name(enum cb_steering steering);
enum cb_steering cb_steering_from_name(const char *name); /* _CB_STEERING_INVALID when unknown */
const char *cb_packets_name(enum cb_packets packets);
enum cb_packets cb_packets_from_name(const char *name); /* _CB_PACKETS_INVALID when unknown */

/* A group's name: 1 to 63 of [A-Za-z0-9_.-], starting with a letter or digit. */
#define CB_NAME_MAX 64u
bool cb_name_valid(const char *name);

#define CB_PATH_MAX 256u

/* One [Group NAME] section, or one registration over the bus. */
struct cb_group_policy {
	char name[CB_NAME_MAX];
	bool has_mode; /* else the manager's */
	enum cb_mode mode;
	enum cb_placement placement;  /* Placement=auto|core */
	enum cb_steering steering;    /* Steering=none|local|weighted */
	enum cb_packets packets;      /* PacketSteering=none|rps|xps|both */
	bool has_allowed;             /* AllowedCPUs= */
	struct cb_cpuset allowed_cpus;
	char pid_file[CB_PATH_MAX];   /* PIDFile=, "" for none: one pid per line; with a single pid its children too */
	/*
	 * Interfaces=: blank-separated names whose interrupts feed the group, "*" for every one, "none". Empty: decided by the
	 * daemon before the engine sees it, "*" where the workers live in the host's network namespace, else "none".
	 */
	char interfaces[CB_PATH_MAX];
	/*
	 * ServiceMetric=: a command or a URL that gives the number which the operator judges the service by, "" for none, and
	 * ServiceMetricBetter=: whether less of it is better. From the configuration alone; nothing to the engine, and in no trace.
	 */
	char service_metric[CB_PATH_MAX];
	bool metric_falls;
	/* Listen=, Unit=, Cgroup=, Process=, Granularity=: for whoever finds the workers. Nothing to the engine, and in no trace. */
	struct cb_selector selector;
	enum cb_granularity granularity;
};

#define CB_POLICY_TYPE_SPAN uint64_t
#define CB_POLICY_TYPE_PCT double
#define CB_POLICY_TYPE_COUNT uint32_t
#define CB_POLICY_TYPE_BOOL bool
#define CB_POLICY_TYPE_MODE enum cb_mode
#define CB_POLICY_TYPE_DETAIL enum cb_detail
typedef char cb_policy_path_t[CB_PATH_MAX]; /* an array type cannot be written in front of a name */
#define CB_POLICY_TYPE_PATH cb_policy_path_t
#define CB_POLICY_TYPE_SCOPE cb_policy_path_t /* as cb_irq_scope_parse() made it */

struct cb_policy {
#define CB_POLICY_SECTION(name)
#define CB_POLICY_ROW(type, field, Name, def, min, max, help) CB_POLICY_TYPE_##type field;
#include "cpubalance/policy.def"
#undef CB_POLICY_ROW
#undef CB_POLICY_SECTION
	uint32_t n_groups;
	struct cb_group_policy group[CB_GROUPS_MAX];
};

/* For documentation, --check-config and `config`: one row of policy.def as text. */
struct cb_option {
	const char *section, *name, *type, *def, *min, *max, *help;
};
extern const struct cb_option cb_options[];
extern const size_t cb_n_options;

void cb_policy_init(struct cb_policy *policy); /* every default, no group */
/* What @from says; entries behind its last group are left as they are, since a policy is big and groups are few. */
static inline void cb_policy_copy(struct cb_policy *to, const struct cb_policy *from)
{
	memcpy(to, from,
	       offsetof(struct cb_policy, group) + from->n_groups * sizeof(from->group[0]));
}

/*
 * Set one option from text. @section is "Manager", "Detect", "Plan", "Verify" or "Group NAME" (which adds the group when it is new).
 * Returns 0, or -EINVAL (bad value), -ERANGE (out of bounds), -ENOENT (no such section or option), -E2BIG (too many
 * groups) with a message naming the option and the accepted range; @policy is unchanged then.
 */
int cb_policy_set(struct cb_policy *policy, const char *section, const char *name, const char *value,
		  struct cb_err *err) _must_check_;

/* Relations between options (HotOff < HotOn, VerifyWindows <= VerifyWindowsMax, ...), and the bounds of a policy that was not set from text.
 * Returns 0 or -EINVAL with a message. */
int cb_policy_check(const struct cb_policy *policy, struct cb_err *err) _must_check_;

/* The value of an option as it would be written in the configuration. Returns its length, -ENOENT, -ENOSPC. */
int cb_policy_format(const struct cb_policy *policy, const char *name, char *buf, size_t size);

/* "1min 30s", "250ms", "5s", bare number = seconds; units us ms s min h d. Returns 0, -EINVAL, -ERANGE. */
int cb_span_parse(const char *text, uint64_t *ret_usec) _must_check_;
const char *cb_span_format(uint64_t usec, char *buf, size_t size); /* returns @buf: "5s", "1min 30s" */
