/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The plans that ended, and the masks that somebody else has set: of each the last CB_HISTORY_MAX in memory, and one JSON
 * object a line in STATE_DIR/history.jsonl and STATE_DIR/foreign.jsonl, so that they, and the numbers of plans, outlive the
 * daemon. A file is moved to NAME.jsonl.1 before it grows beyond CB_HISTORY_FILE_MAX. A line that cannot be read is passed
 * over and counted.
 */

#include "cpubalance/err.h"
#include "cpubalance/plan.h"

#define CB_HISTORY_MAX	    256u
#define CB_HISTORY_FILE_MAX (1024u * 1024u)

struct cb_history_step {
	enum cb_item_kind kind;
	enum cb_step_state state;
	char name[80];
	char from[48], to[48]; /* CPU lists, shortened for people */
	double load_ratio;
};

struct cb_history_entry {
	uint32_t plan_id; /* 0: no plan, but what somebody else has set; then there are at_usec, sentence and foreign */
	uint64_t at_usec; /* CLOCK_REALTIME at its end */
	enum cb_origin origin;
	enum cb_verdict verdict;
	char group[CB_NAME_MAX];
	char finding[256];  /* sentence, "" none */
	char sentence[192]; /* of the judgement */
	char measure[32];   /* that decided, "" none: then effect and p value mean nothing */
	double effect_ratio, p_value;
	double served_effect_ratio, served_p_value; /* of served work, whatever decided */
	bool has_metric;			    /* ServiceMetric= was there throughout */
	double metric_before, metric_after;	    /* its means */
	double wait_before_ratio, wait_after_ratio; /* mean something when there are windows */
	uint32_t n_before, n_after;		    /* windows */
	bool foreign;				    /* somebody else changed one of its items */
	double hottest_before_ratio, hottest_after_ratio;
	uint32_t n_steps;
	struct cb_history_step *step; /* owned by the history; in cb_history_add() the caller's */
};

struct cb_history;

#define CB_HISTORY_PLANS   "history"
#define CB_HISTORY_FOREIGN "foreign"

/*
 * Read what is there under @name, one of the two above. @state_dir is created when it is missing. Returns 0; or a
 * negative errno and a message when the file cannot be read or written: *@ret is usable all the same then, in memory
 * only. NULL @state_dir: in memory only. *@ret is NULL only without memory (-ENOMEM).
 */
int cb_history_open(const char *state_dir, const char *name, struct cb_history **ret,
		    struct cb_err *err) _must_check_;
struct cb_history *cb_history_close(struct cb_history *history); /* NULL is fine; returns NULL */

/* Append a copy of @entry. Returns 0, -ENOMEM, or a negative errno when it is in memory but not in the file. */
int cb_history_add(struct cb_history *history, const struct cb_history_entry *entry,
		   struct cb_err *err) _must_check_;

uint32_t cb_history_count(const struct cb_history *history);
const struct cb_history_entry *cb_history_at(const struct cb_history *history,
					     uint32_t index);	    /* 0: the oldest */
uint32_t cb_history_last_plan_id(const struct cb_history *history); /* highest seen, 0 none */
uint64_t cb_history_bad_lines(const struct cb_history *history);    /* passed over while reading */

/* One line without its newline <-> entry. parse: 0, -EBADMSG, -ENOMEM; the caller frees ret->step. format: free() it. */
int cb_history_line_parse(const char *line, size_t len, struct cb_history_entry *ret) _must_check_;
char *cb_history_line_format(const struct cb_history_entry *entry) _must_check_;
