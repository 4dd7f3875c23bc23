/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cpubalctl: asks and tells cpubalanced over the bus. Here are the global options and the table of
 * verbs; each verb describes itself in a file of its own.
 */

#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "client.h"
#include "cpubalance/scan.h"
#include "ctl.h"

static const struct cb_verb *const verbs[] = {
	&cb_verb_status,     &cb_verb_findings, &cb_verb_explain,     &cb_verb_cpus,
	&cb_verb_irqs,	     &cb_verb_groups,	&cb_verb_workers,     &cb_verb_changes,
	&cb_verb_plan,	     &cb_verb_history,	&cb_verb_sources,     &cb_verb_register,
	&cb_verb_unregister, &cb_verb_apply,	&cb_verb_move,	      &cb_verb_rollback,
	&cb_verb_release,    &cb_verb_pause,	&cb_verb_resume,      &cb_verb_mode,
	&cb_verb_reload,     &cb_verb_metrics,	&cb_verb_monitor,     &cb_verb_run,
	&cb_verb_hold,	     &cb_verb_config,	&cb_verb_doctor,      &cb_verb_veto,
	&cb_verb_capture,    &cb_verb_discover, &cb_verb_steer,	      &cb_verb_packets,
	&cb_verb_drain,	     &cb_verb_undrain,	&cb_verb_connections,
};

static void print_help(void)
{
	fputs("Usage: cpubalctl [OPTION...] COMMAND [ARGUMENT...]\n\n"
	      "Show and control cpubalanced, the CPU balancer for servers of many workers.\n\n"
	      "Commands:\n",
	      stdout);
	for (size_t i = 0; i < CB_ARRAY_SIZE(verbs); i++)
		printf("  %-10s %-22s %s\n", verbs[i]->name, verbs[i]->arguments,
		       verbs[i]->summary);
	fputs("\nOptions:\n"
	      "  --bus=BUS     system (the default), session, or the address of a bus\n"
	      "  -H, --host=[USER@]HOST[:PORT]\n"
	      "                the system bus of another machine, over ssh\n"
	      "  -M, --machine=CONTAINER\n"
	      "                the system bus of a local container\n"
	      "  --watch[=SPAN]\n"
	      "                show it anew every two seconds or SPAN, until interrupted\n"
	      "  --json        print the daemon's answer as JSON\n"
	      "  --no-color    no colors, whatever the terminal\n"
	      "  --no-ask-password\n"
	      "                fail instead of asking for a password\n"
	      "  --help        this text; after a command, the help of that command\n"
	      "  --version     the version of the tool\n"
	      "\nExit codes:\n"
	      "  0 done   1 failed   2 usage   3 cpubalanced is not running   4 not permitted\n"
	      "  5 no such group, worker, plan or process   6 refused, with the reason\n",
	      stdout);
}

/* The terminal's width; $COLUMNS wins; 0 where the output goes elsewhere. */
static unsigned int terminal_width(void)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size;
	struct cb_scan scan = CB_SCAN(columns ? columns : "", columns ? strlen(columns) : 0);
	uint32_t value;

	if (cb_scan_u32(&scan, &value) && cb_scan_done(&scan) && value >= 20 && value <= 10000)
		return value;
	if (!isatty(STDOUT_FILENO))
		return 0;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col < 20)
		return 80;
	return size.ws_col;
}

static void init_style(struct cb_style *style)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
	struct timespec now = { 0 };

	clock_gettime(CLOCK_REALTIME, &now);
	style->width_cols = terminal_width();
	style->color = isatty(STDOUT_FILENO) && !(no_color && *no_color) && term &&
		       strcmp(term, "dumb") != 0;
	style->utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	style->now_usec =
		(uint64_t)now.tv_sec * CB_USEC_PER_SEC + (uint64_t)now.tv_nsec / CB_NSEC_PER_USEC;
}

/* Options before the verb. Returns -1 with *@index on the verb, else the exit code. */
static int parse_global(struct cb_ctl *ctl, int argc, char **argv, int *index)
{
	for (; *index < argc && argv[*index][0] == '-'; (*index)++) {
		const char *word = argv[*index];
		int r;

		if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
			print_help();
			return CB_EXIT_OK;
		}
		if (strcmp(word, "--version") == 0) {
			puts("cpubalctl " CB_VERSION);
			return CB_EXIT_OK;
		}
		r = cb_args_global(ctl, argc, argv, index);
		if (r < 0)
			return -r;
		if (r == 0)
			return cb_ctl_fail(ctl, CB_EXIT_USAGE,
					   "no such option: %s (cpubalctl --help lists them)",
					   word);
	}
	if (*index == argc)
		return cb_ctl_fail(ctl, CB_EXIT_USAGE,
				   "say what to do (cpubalctl --help lists the commands)");
	return -1;
}

/* Again and again, on a cleared screen where it is one. Ends with an interrupt, or what went wrong. */
static int watch(struct cb_ctl *ctl, const struct cb_verb *verb, const struct cb_args *args)
{
	const struct timespec pause = { .tv_sec = (time_t)(ctl->watch_usec / CB_USEC_PER_SEC),
					.tv_nsec = (long)(ctl->watch_usec % CB_USEC_PER_SEC *
							  CB_NSEC_PER_USEC) };
	bool color = ctl->style.color, screen = isatty(STDOUT_FILENO);
	int code;

	for (;;) {
		if (screen)
			fputs("\033[H\033[J", ctl->out);
		code = verb->run(ctl, args);
		if (code != CB_EXIT_OK || fflush(ctl->out) != 0 || ferror(ctl->out))
			return code;
		nanosleep(&pause, NULL);
		if (!screen)
			fputc('\n', ctl->out);
		init_style(&ctl->style);
		ctl->style.color = color;
	}
}

static int run_verb(struct cb_ctl *ctl, const struct cb_verb *verb, const struct cb_args *args)
{
	if (ctl->watch_usec && (verb->changes || verb->once))
		return cb_ctl_fail(ctl, CB_EXIT_USAGE,
				   "--watch is for commands that show something");
	if (ctl->remote && verb->local)
		return cb_ctl_fail(
			ctl, CB_EXIT_USAGE,
			"this is about processes of the machine it runs on: log in there");
	ctl->changes = verb->changes;
	if (ctl->changes)
		cb_agent_open(ctl);
	return ctl->watch_usec ? watch(ctl, verb, args) : verb->run(ctl, args);
}

static int run(struct cb_ctl *ctl, int argc, char **argv)
{
	int index = 1, code = parse_global(ctl, argc, argv, &index);

	if (code >= 0)
		return code;
	for (size_t i = 0; i < CB_ARRAY_SIZE(verbs); i++) {
		struct cb_args args;

		if (strcmp(verbs[i]->name, argv[index]) != 0)
			continue;
		ctl->verb = verbs[i]->name;
		code = cb_args_parse(ctl, verbs[i], argc - index - 1, argv + index + 1, &args);
		if (code >= 0)
			return code;
		return run_verb(ctl, verbs[i], &args);
	}
	return cb_ctl_fail(ctl, CB_EXIT_USAGE, "no such command: %s (cpubalctl --help lists them)",
			   argv[index]);
}

int main(int argc, char **argv)
{
	struct cb_ctl ctl = { .bus_name = "system", .verb = "", .out = stdout };
	int code;

	setlocale(LC_CTYPE, ""); /* not LC_NUMERIC: figures are written with a point */
	init_style(&ctl.style);
	code = run(&ctl, argc, argv);
	cb_client_close(&ctl);
	cb_agent_close(&ctl);
	if ((fflush(stdout) != 0 || ferror(stdout)) && code == CB_EXIT_OK) {
		ctl.verb = "";
		code = cb_ctl_fail(&ctl, CB_EXIT_FAILED, "cannot write to standard output");
	}
	return code;
}
