/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Where the daemon's words go: to the systemd journal with structured fields when stderr is connected to it, else as
 * one line to stderr. Whoever ends an error's journey logs it, once.
 */

#include <stdbool.h>
#include <syslog.h>

#include "cpubalance/macro.h"

struct cb_judgement;

/* Extra fields of a record; NULL, 0 or -1 leaves a field out. */
struct cb_log_fields {
	int cpu;	     /* CPU=, -1 none */
	uint32_t plan_id;    /* PLAN= */
	const char *finding; /* FINDING= */
	const char *verdict; /* VERDICT= */
	const char *group;   /* GROUP= */
	const char *worker;  /* WORKER= */
	/* MEASURE=, EFFECT=, P_VALUE=, where one decided; SERVED_EFFECT=, WAIT_BEFORE=, WAIT_AFTER=, WINDOWS_BEFORE=, WINDOWS_AFTER= */
	const struct cb_judgement *judgement;
};
#define CB_LOG_NO_FIELDS ((struct cb_log_fields){ .cpu = -1 })

/* Decide where records go; looks at JOURNAL_STREAM. Without it, records go to stderr. */
void cb_log_init(void);

/*
 * What is less important than the level is dropped: LOG_INFO at first, LOG_DEBUG with CPUBALANCED_DEBUG in the environment.
 * The target is "journal" or "console" (standard error).
 */
void cb_log_set_level(int priority);
int cb_log_level(void);
int cb_log_set_target(const char *target); /* also "auto", what the environment says; -EINVAL for another */
const char *cb_log_target(void);

/* @priority is LOG_EMERG ... LOG_DEBUG. */
void cb_log_with(int priority, const struct cb_log_fields *fields, const char *fmt, ...)
	_printf_(3, 4);
#define cb_log(priority, ...) cb_log_with((priority), &CB_LOG_NO_FIELDS, __VA_ARGS__)
