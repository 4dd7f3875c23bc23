/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What every verb of cpubalctl shares: the exit codes, the global options, and how a verb describes
 * itself. A verb is one constant: its help, its options and the limits of its arguments come from
 * there.
 */

#include "text.h"

struct sd_bus;

/* Part of the interface: cpubalctl(1) documents them, scripts rely on them. */
enum cb_exit {
	CB_EXIT_OK = 0,
	CB_EXIT_FAILED = 1,
	CB_EXIT_USAGE = 2,
	CB_EXIT_NO_DAEMON = 3,
	CB_EXIT_NOT_PERMITTED = 4,
	CB_EXIT_UNKNOWN = 5, /* no such group, worker, plan or process */
	CB_EXIT_REFUSED = 6,
};

enum cb_remote {
	CB_REMOTE_NONE,
	CB_REMOTE_HOST,	   /* -H: over ssh */
	CB_REMOTE_MACHINE, /* -M: a local container */
};

struct cb_ctl {
	const char *bus_name;  /* "system", "session" or an address */
	enum cb_remote remote; /* then bus_name is the host or the container */
	const char *verb;      /* for messages, "" before it is known */
	bool json;
	uint64_t watch_usec; /* --watch: between two times, 0 for once */
	bool no_ask;	     /* --no-ask-password */
	bool changes;	     /* the verb's: a call may wait for a password */
	int agent_pid;	     /* 0: none; agent.c */
	struct sd_bus *bus;  /* NULL until cb_client_open() */
	struct cb_style style;
	FILE *out;
};

struct cb_flag {
	const char *name;  /* with its dashes */
	const char *value; /* what it takes, NULL for nothing */
	const char *help;
};
#define CB_FLAGS_MAX 12u

struct cb_args {
	/* By their places in cb_verb.flags; "" where one takes nothing; NULL: not given. */
	const char *flag[CB_FLAGS_MAX];
	unsigned int n;
	char **word;
};

struct cb_verb {
	const char *name;
	const char *arguments;	     /* for the synopsis, "" for none */
	const char *summary;	     /* one line */
	const char *details;	     /* more for --help; NULL for none */
	const char *example;	     /* a command line, perhaps with a comment */
	const struct cb_flag *flags; /* up to CB_FLAGS_MAX, ends with a NULL name; NULL for none */
	unsigned int min_words, max_words;
	bool changes; /* it may need an authorisation */
	bool once;    /* is not for --watch */
	bool local;   /* is about processes here: not for -H and -M */
	int (*run)(struct cb_ctl *ctl, const struct cb_args *args); /* returns an enum cb_exit */
};

/* Print "cpubalctl: VERB: MESSAGE" on standard error, cleaned, and return @code. */
int cb_ctl_fail(const struct cb_ctl *ctl, int code, const char *format, ...) _printf_(3, 4);

/*
 * Parse the words after the verb; @argv[0] is the first. Global options are accepted here too.
 * Returns -1 when the verb is to be run, else the exit code. @args->word borrows from @argv, which
 * is put in order.
 */
int cb_args_parse(struct cb_ctl *ctl, const struct cb_verb *verb, int argc, char **argv,
		  struct cb_args *args);

/*
 * One global option at argv[*index]. Returns 1 when it was one (*index stands on its last word), 0
 * when not, else -(exit code) after a message.
 */
int cb_args_global(struct cb_ctl *ctl, int argc, char **argv, int *index);

/* Help of one verb: synopsis, options, exit codes, an example. */
void cb_args_help(FILE *out, const struct cb_style *style, const struct cb_verb *verb);

/*
 * Have somebody who can ask for a password on this terminal, while a call waits for it; nothing where there is no need, no
 * terminal or no such program. agent.c
 */
void cb_agent_open(struct cb_ctl *ctl);
void cb_agent_close(struct cb_ctl *ctl);

/*
 * Become the daemon's own program, with @argv. Returns only when it cannot be run, with the exit code. doctor.c
 */
int cb_ctl_run_daemon(struct cb_ctl *ctl, char **argv);

/* Checks of single arguments; each prints its message and returns CB_EXIT_USAGE, or CB_EXIT_OK. */
int cb_check_u32(const struct cb_ctl *ctl, const char *what, const char *text, uint32_t min,
		 uint32_t max, uint32_t *ret);
int cb_check_cpus(const struct cb_ctl *ctl, const char *what, const char *text);
int cb_check_group(const struct cb_ctl *ctl, const char *text);
int cb_check_mode(const struct cb_ctl *ctl, const char *text);
int cb_check_span(const struct cb_ctl *ctl, const char *what, const char *text, uint64_t *ret_usec);

extern const struct cb_verb cb_verb_status, cb_verb_cpus, cb_verb_irqs, cb_verb_groups,
	cb_verb_workers, cb_verb_sources, cb_verb_register, cb_verb_unregister, cb_verb_changes,
	cb_verb_plan, cb_verb_apply, cb_verb_move, cb_verb_rollback, cb_verb_veto, cb_verb_release,
	cb_verb_history, cb_verb_explain, cb_verb_pause, cb_verb_resume, cb_verb_mode,
	cb_verb_metrics, cb_verb_reload, cb_verb_monitor, cb_verb_run, cb_verb_hold, cb_verb_config,
	cb_verb_doctor, cb_verb_capture, cb_verb_discover, cb_verb_connections, cb_verb_steer,
	cb_verb_packets, cb_verb_drain, cb_verb_undrain, cb_verb_findings;
