/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What is wrong, with its evidence and since when; and why something was not done. Every plan names its finding and every
 * refusal its reason.
 */

#include "cpubalance/macro.h"
#include <stdbool.h>

enum cb_finding_kind {
	CB_FINDING_HOT_CPU,      /* busy above HotOn while a CPU that its workers may use is below HotOff */
	CB_FINDING_SATURATED,    /* busy above HotOn, and no CPU that its workers may use is below HotOff */
	CB_FINDING_WORKER_BOUND, /* one single-threaded worker fills its CPU: no move can help it */
	_CB_FINDING_MAX,
	_CB_FINDING_INVALID = -22,
};

const char *cb_finding_kind_name(enum cb_finding_kind kind); /* "HOT_CPU" */

enum cb_reject {
#define CB_REJECT_ROW(id, sentence) CB_REJECT_##id,
#include "cpubalance/reject.def"
#undef CB_REJECT_ROW
	_CB_REJECT_MAX,
	_CB_REJECT_INVALID = -22,
};

const char *cb_reject_name(enum cb_reject reject);     /* "MANAGED_IRQ" */
const char *cb_reject_sentence(enum cb_reject reject); /* for people */

struct cb_finding {
	enum cb_finding_kind kind;
	int32_t cpu;           /* the CPU it is about, -1 none */
	uint32_t worker_key;   /* WORKER_BOUND: the worker, else 0 */
	uint32_t group_key;    /* of the workers that suffer, 0 none */
	uint64_t since_usec;   /* when the condition began */
	bool confirmed;        /* has lasted as long as the policy asks */
	bool harm;             /* somebody suffers: wait, backlog or drops */
	double busy_ratio;     /* smoothed busy share of the CPU (WORKER_BOUND: of the worker) */
	double limit_ratio;    /* the threshold it is above */
	int32_t coolest_cpu;   /* coolest eligible CPU, -1 none */
	double coolest_ratio;
	double wait_per_sec;   /* run-queue wait of its workers, seconds per second */
};
