/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What is wrong, with its evidence and since when; and why something was not done. Every plan names its finding and every
 * refusal its reason. The kinds, their roles and their figures are rows of finding.def.
 */

#include "cpubalance/macro.h"
#include <stdbool.h>

enum cb_finding_kind {
#define CB_FINDING_ROW(id, subject, role, meaning, remedy) CB_FINDING_##id,
#include "cpubalance/finding.def"
#undef CB_FINDING_ROW
	_CB_FINDING_MAX,
	_CB_FINDING_INVALID = -22,
};

/* What a kind is about: there is at most one finding of the kind for each. */
enum cb_finding_subject {
	CB_SUBJECT_MACHINE,
	CB_SUBJECT_CPU,
	CB_SUBJECT_GROUP,
	CB_SUBJECT_WORKER,
	_CB_SUBJECT_MAX,
	_CB_SUBJECT_INVALID = -22,
};

enum cb_finding_role {
	CB_ROLE_PLANS,   /* a plan may follow */
	CB_ROLE_INFORMS, /* nothing is done about it; the remedy is the operator's */
	_CB_ROLE_MAX,
	_CB_ROLE_INVALID = -22,
};

const char *cb_finding_kind_name(enum cb_finding_kind kind);          /* "HOT_CPU" */
const char *cb_finding_meaning(enum cb_finding_kind kind);            /* a clause, for people */
const char *cb_finding_remedy(enum cb_finding_kind kind);             /* a sentence, for people */
enum cb_finding_subject cb_finding_subject(enum cb_finding_kind kind); /* _INVALID for a kind out of range */
enum cb_finding_role cb_finding_role(enum cb_finding_kind kind);       /* likewise */
const char *cb_finding_role_name(enum cb_finding_role role);          /* "plans", "informs" */

enum cb_figure {
#define CB_FIGURE_ROW(id, type, field, key) CB_FIGURE_##id,
#include "cpubalance/finding.def"
#undef CB_FIGURE_ROW
	_CB_FIGURE_MAX,
};
_Static_assert(_CB_FIGURE_MAX <= 32, "figures are bits of cb_finding.known");
#define CB_KNOWS(figure) (1u << CB_FIGURE_##figure)

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
	uint32_t worker_key;   /* the worker it is about or that stands out, 0 none */
	uint32_t group_key;    /* the group it is about, or of the workers that suffer; 0 none */
	uint64_t since_usec;   /* when the condition began */
	uint64_t confirm_usec; /* how long it has to last to count */
	bool confirmed;        /* it has */
	bool harm;             /* somebody suffers: wait, backlog or drops */
	uint32_t known;        /* bit per enum cb_figure; a field without its bit means nothing */
#define CB_FIELD_RATIO double
#define CB_FIELD_RATE  double
#define CB_FIELD_COUNT uint32_t
#define CB_FIELD_CPU   int32_t
#define CB_FIELD_FLAG  bool
#define CB_FIGURE_ROW(id, type, field, key) CB_FIELD_##type field;
#include "cpubalance/finding.def"
#undef CB_FIGURE_ROW
#undef CB_FIELD_RATIO
#undef CB_FIELD_RATE
#undef CB_FIELD_COUNT
#undef CB_FIELD_CPU
#undef CB_FIELD_FLAG
};
