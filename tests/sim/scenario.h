/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A scenario: a machine, what runs on it, what happens to it, and what has to come of that. Read from text; docs/SIMULATION.md
 * describes the format. Pure: (buf, len) in, a plain struct out.
 */

#include "cpubalance/err.h"
#include "cpubalance/irqs.h"
#include "cpubalance/policy.h"

#define SCENARIO_NAME_MAX    32u /* longest name of a thing, with its NUL */
#define SCENARIO_ABOUT_MAX   160u
#define SCENARIO_CPUS_MAX    1024u
#define SCENARIO_NICS_MAX    4u
#define SCENARIO_QUEUES_MAX  512u /* of all interfaces */
#define SCENARIO_GROUPS_MAX  4u
#define SCENARIO_WORKERS_MAX 1024u /* of all groups */
#define SCENARIO_FLOWS_MAX   8192u /* of all groups */
#define SCENARIO_BATCHES_MAX 32u
#define SCENARIO_EVENTS_MAX  64u
#define SCENARIO_EXPECTS_MAX 16u

struct scenario_machine {
	uint32_t n_cpus, smt, n_nodes;
	uint32_t llc_cpus; /* CPUs that share a last-level cache; 0: those of a node */
	uint32_t capacity[SCENARIO_CPUS_MAX]; /* 1..1024 */
	struct cb_cpuset isolated, offline;   /* offline: at first */
};

struct scenario_nic {
	char name[SCENARIO_NAME_MAX];
	uint32_t n_queues, irq; /* the first; the others follow */
	int32_t node;		/* -1 unknown */
	double packet_usec;	/* softirq time of a packet */
	struct cb_cpuset cpus;	/* queue i has its interrupt on the i-th of them, in turns */
};

/* Where the items of a group or the copies of a job are at first. */
enum scenario_place {
	SCENARIO_PINNED, /* one CPU each, in turns */
	SCENARIO_FLOAT,	 /* all of them */
};

struct scenario_group {
	char name[SCENARIO_NAME_MAX], nic[SCENARIO_NAME_MAX]; /* nic "": local clients */
	uint32_t n_workers, n_flows;
	enum scenario_place place;
	struct cb_cpuset cpus, allowed; /* allowed: AllowedCPUs=, empty for none */
	double rate_per_sec;		/* requests wanted, of the whole group */
	double work_usec;   /* a worker's time for a request, on a whole core of capacity 1024 */
	double packets;	    /* of a request, in and out */
	double skew_ratio;  /* sigma of the lognormal sizes of flows */
	double noise_ratio; /* sigma of what a worker's requests cost, per window */
	double drift_ratio; /* standard deviation of the group's load, which forgets in drift_usec */
	uint64_t drift_usec;
	double churn_per_sec; /* share of the flows that end and are replaced */
	double memory_ratio; /* what work costs more when the worker is not on the node of its memory */
	double day_low_ratio; /* the day's lowest load, of its highest; 1: no day */
	uint64_t day_usec;    /* its length; it begins at its lowest */
	bool closed; /* clients that wait for an answer before they ask again: no worker ever lacks work */
};

struct scenario_batch {
	char name[SCENARIO_NAME_MAX];
	uint32_t count;
	enum scenario_place place;
	struct cb_cpuset cpus;
	double demand_ratio; /* CPU-seconds a second that each wants */
	double noise_ratio;
	uint32_t weight;	      /* of the scheduler; 1024 is nice 0 */
	uint64_t from_usec, for_usec; /* for: 0 until the end */
};

enum scenario_happening {
	SCENARIO_RATE, /* group, value: factor of its rate; within over_usec */
	SCENARIO_ELEPHANT, /* group, value: size of one more flow, of the group's rate; for_usec, 0 for ever */
	SCENARIO_RESPAWN, /* group, count: the first workers exit and come back over_usec later */
	SCENARIO_REPIN,	  /* group, count: worker's number; cpus: somebody else sets its mask */
	SCENARIO_QUEUES, /* nic, count: of queues from now on; the driver asks for its interrupts anew */
	SCENARIO_OFFLINE, /* cpus */
	SCENARIO_ONLINE,  /* cpus */
	SCENARIO_STEAL,	  /* cpus, value: share of the time that the hypervisor gives to others */
	_SCENARIO_HAPPENING_MAX,
};
const char *scenario_happening_name(enum scenario_happening happening);

struct scenario_event {
	enum scenario_happening happening;
	char name[SCENARIO_NAME_MAX]; /* of a group or an interface */
	uint64_t at_usec, over_usec, for_usec;
	uint32_t count;
	double value;
	struct cb_cpuset cpus;
};

enum scenario_measure {
	SCENARIO_CONVERGE, /* windows from `from` until the hottest CPU stays where it ends, or below HotOn */
	SCENARIO_MOVES,	  /* masks written, undoing included */
	SCENARIO_RETURNS, /* A -> B -> A that was no undoing */
	SCENARIO_HOT, /* share of the windows since `from` with a hot CPU that carries workers or their interrupts */
	SCENARIO_SERVED, /* requests served, against the unmanaged run of the same seed */
	SCENARIO_WAIT,	 /* run-queue wait, likewise */
	SCENARIO_KEPT,	 /* plans */
	SCENARIO_UNDONE, /* plans rolled back, inconclusive, void or failed */
	_SCENARIO_MEASURE_MAX,
};
const char *scenario_measure_name(enum scenario_measure measure);
bool scenario_measure_is_ratio(enum scenario_measure measure);	  /* shown in percent */
bool scenario_measure_is_relative(enum scenario_measure measure); /* to the unmanaged run */

struct scenario_expect {
	enum scenario_measure measure;
	bool at_most; /* else at least */
	double value;
};

struct scenario {
	char name[SCENARIO_NAME_MAX];
	char about[SCENARIO_ABOUT_MAX];
	uint64_t run_usec, from_usec; /* length; what is measured since a moment begins there */
	struct scenario_machine machine;
	uint32_t n_nics, n_groups, n_batches, n_events, n_expects;
	struct scenario_nic nic[SCENARIO_NICS_MAX];
	struct scenario_group group[SCENARIO_GROUPS_MAX];
	struct scenario_batch batch[SCENARIO_BATCHES_MAX];
	struct scenario_event event[SCENARIO_EVENTS_MAX]; /* by time */
	struct scenario_expect expect[SCENARIO_EXPECTS_MAX];
	struct cb_policy policy; /* defaults, and what the scenario changes */
};

/*
 * @path: for messages; the scenario is named after its last part without the suffix. Returns 0, or -EINVAL with one line that names
 * file, line, field and the range that would have been accepted. @ret is undefined on failure.
 */
int scenario_parse(const char *buf, size_t len, const char *path, struct scenario *ret,
		   struct cb_err *err) _must_check_;
/* Read the file at @path and parse it. Also -ENOENT and other errnos. */
int scenario_read(const char *path, struct scenario *ret, struct cb_err *err) _must_check_;
