/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The command line: one verb at most, and what it works with.
 */
#include "options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>

#include "config.h"

#define RUN_DIR_DEFAULT	  "/run/cpubalanced"
#define STATE_DIR_DEFAULT "/var/lib/cpubalanced"

enum option_id {
	OPTION_BUS = 256,
	OPTION_CONFIG,
	OPTION_SYSROOT,
	OPTION_RUN_DIR,
	OPTION_STATE_DIR,
	OPTION_DRY_RUN,
	OPTION_RECORD,
	OPTION_REPLAY,
	OPTION_RESTORE,
	OPTION_UNLESS_RESTARTING,
	OPTION_CHECK_CONFIG,
	OPTION_DOCTOR,
	OPTION_CAPTURE,
	OPTION_JSON,
	OPTION_PRINT_CONFIG,
	OPTION_PRINT_METRICS_DOC,
	OPTION_VERSION,
	OPTION_HELP,
};

static const struct option long_options[] = {
	{ "bus", required_argument, NULL, OPTION_BUS },
	{ "config", required_argument, NULL, OPTION_CONFIG },
	{ "sysroot", required_argument, NULL, OPTION_SYSROOT },
	{ "run-dir", required_argument, NULL, OPTION_RUN_DIR },
	{ "state-dir", required_argument, NULL, OPTION_STATE_DIR },
	{ "dry-run", no_argument, NULL, OPTION_DRY_RUN },
	{ "record", required_argument, NULL, OPTION_RECORD },
	{ "replay", required_argument, NULL, OPTION_REPLAY },
	{ "restore", no_argument, NULL, OPTION_RESTORE },
	{ "unless-restarting", no_argument, NULL, OPTION_UNLESS_RESTARTING },
	{ "check-config", no_argument, NULL, OPTION_CHECK_CONFIG },
	{ "doctor", no_argument, NULL, OPTION_DOCTOR },
	{ "capture", required_argument, NULL, OPTION_CAPTURE },
	{ "json", no_argument, NULL, OPTION_JSON },
	{ "print-config", no_argument, NULL, OPTION_PRINT_CONFIG },
	{ "print-metrics-doc", no_argument, NULL, OPTION_PRINT_METRICS_DOC },
	{ "version", no_argument, NULL, OPTION_VERSION },
	{ "help", no_argument, NULL, OPTION_HELP },
	{ NULL, 0, NULL, 0 },
};

void cb_options_help(void)
{
	printf("cpubalanced - find hot CPUs, move registered workers and their interrupts, prove that it helped\n\n"
	       "Usage: cpubalanced [OPTION...]\n\n"
	       "  --bus=BUS            system (default), session, none, or an address such as unix:path=/run/bus\n"
	       "  --config FILE        configuration (default " CB_CONFIG_DEFAULT
	       "), with its drop-ins\n"
	       "  --run-dir DIR        journal of originals (default " RUN_DIR_DEFAULT ")\n"
	       "  --state-dir DIR      history (default " STATE_DIR_DEFAULT ")\n"
	       "  --sysroot DIR        look at the machine whose /proc and /sys are below DIR\n"
	       "  --dry-run            decide and verify, but write nothing\n"
	       "  --record FILE        write every input and decision to FILE\n\n"
	       "  --replay FILE        decide again what was recorded, print each decision; exit 0 when all are equal\n"
	       "  --restore            put back every original that the journal knows, and exit\n"
	       "  --unless-restarting  with --restore, in ExecStopPost=: not when the service is about to start again\n"
	       "  --check-config       read the configuration, say what is wrong, and exit\n"
	       "  --doctor             say what this machine lets it do, what stands in the way, and the remedy; and exit\n"
	       "  --json               with --doctor: as JSON\n"
	       "  --capture DIR        copy what is read of /proc and /sys, without processes, to the new directory DIR, for --sysroot\n"
	       "  --print-config       print an example configuration with every option and its default\n"
	       "  --print-metrics-doc  print docs/METRICS.md\n"
	       "  --version            print the version\n"
	       "  --help               print this\n\n"
	       "Exit codes: 0 ok, 1 failed, 2 wrong usage, 3 wrong configuration, 4 another cpubalanced runs.\n"
	       "See cpubalanced(8) and cpubalanced.conf(5).\n");
}

static int usage(const char *text)
{
	fprintf(stderr, "cpubalanced: %s; see cpubalanced --help\n", text);
	return -EINVAL;
}

/* The verb of an option, CB_VERB_RUN when it is none. */
static enum cb_verb verb_of(int id)
{
	switch (id) {
	case OPTION_REPLAY:
		return CB_VERB_REPLAY;
	case OPTION_RESTORE:
		return CB_VERB_RESTORE;
	case OPTION_CHECK_CONFIG:
		return CB_VERB_CHECK_CONFIG;
	case OPTION_DOCTOR:
		return CB_VERB_DOCTOR;
	case OPTION_CAPTURE:
		return CB_VERB_CAPTURE;
	case OPTION_PRINT_CONFIG:
		return CB_VERB_PRINT_CONFIG;
	case OPTION_PRINT_METRICS_DOC:
		return CB_VERB_PRINT_METRICS_DOC;
	case OPTION_VERSION:
		return CB_VERB_VERSION;
	case OPTION_HELP:
		return CB_VERB_HELP;
	default:
		return CB_VERB_RUN;
	}
}

static void take(struct cb_options *options, int id, const char *value)
{
	switch (id) {
	case OPTION_BUS:
		options->manager.bus = value;
		break;
	case OPTION_CONFIG:
		options->manager.config = value;
		options->manager.config_given = true;
		break;
	case OPTION_SYSROOT:
		options->manager.sysroot = value;
		break;
	case OPTION_RUN_DIR:
		options->manager.run_dir = value;
		break;
	case OPTION_STATE_DIR:
		options->manager.state_dir = value;
		break;
	case OPTION_DRY_RUN:
		options->manager.dry_run = true;
		break;
	case OPTION_RECORD:
		options->manager.record = value;
		break;
	case OPTION_REPLAY:
		options->replay = value;
		break;
	case OPTION_CAPTURE:
		options->capture = value;
		break;
	case OPTION_UNLESS_RESTARTING:
		options->unless_restarting = true;
		break;
	case OPTION_JSON:
		options->json = true;
		break;
	default:
		break;
	}
}

int cb_options_parse(int argc, char **argv, struct cb_options *ret)
{
	struct cb_options options = {
		.manager = { .bus = "system",
			     .config = CB_CONFIG_DEFAULT,
			     .run_dir = RUN_DIR_DEFAULT,
			     .state_dir = STATE_DIR_DEFAULT },
	};
	int id;

	while ((id = getopt_long(argc, argv, "", long_options, NULL)) >= 0) {
		enum cb_verb verb = verb_of(id);

		if (id == '?') /* getopt has said what */
			return -EINVAL;
		if (verb != CB_VERB_RUN && options.verb != CB_VERB_RUN && options.verb != verb)
			return usage("one of --replay, --restore, --check-config, ... at a time");
		if (verb != CB_VERB_RUN)
			options.verb = verb;
		take(&options, id, optarg);
	}
	if (optind < argc)
		return usage("no arguments are wanted");
	if (options.unless_restarting && options.verb != CB_VERB_RESTORE)
		return usage("--unless-restarting goes with --restore");
	if (options.json && options.verb != CB_VERB_DOCTOR)
		return usage("--json goes with --doctor");
	*ret = options;
	return 0;
}
