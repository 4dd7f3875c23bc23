/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The command line of cpubalanced.
 */

#include "manager.h"

enum cb_verb {
	CB_VERB_RUN,
	CB_VERB_REPLAY,
	CB_VERB_RESTORE,
	CB_VERB_CHECK_CONFIG,
	CB_VERB_DOCTOR,
	CB_VERB_CAPTURE,
	CB_VERB_PRINT_CONFIG,
	CB_VERB_PRINT_METRICS_DOC,
	CB_VERB_VERSION,
	CB_VERB_HELP,
};

/* Exit codes, also in cpubalanced(8). */
enum cb_exit {
	CB_EXIT_OK = 0,
	CB_EXIT_FAILED =
		1, /* could not start or go on; --restore left something; --replay found a difference */
	CB_EXIT_USAGE = 2,   /* the command line is wrong */
	CB_EXIT_CONFIG = 3,  /* the configuration is wrong */
	CB_EXIT_RUNNING = 4, /* another daemon owns the journal */
};

struct cb_options {
	enum cb_verb verb;
	struct cb_manager_options manager;
	const char *replay;
	const char *capture;
	bool unless_restarting;
	bool json; /* with --doctor */
};

/* Returns 0, or -EINVAL after a line to stderr that says what is wrong. */
int cb_options_parse(int argc, char **argv, struct cb_options *ret) _must_check_;
void cb_options_help(void);
