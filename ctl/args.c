/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Command lines: options before, between and after the words of a verb, "--" ends them, and each
 * mistake gets one line that names the argument and what would have been accepted.
 */

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "cpubalance/cpuset.h"
#include "cpubalance/policy.h"
#include "cpubalance/scan.h"
#include "ctl.h"

int cb_ctl_fail(const struct cb_ctl *ctl, int code, const char *format, ...)
{
	char *message = NULL, *clean;
	va_list args;
	int length;

	va_start(args, format);
	length = vasprintf(&message, format, args);
	va_end(args);
	if (length < 0)
		cb_must(NULL);
	clean = cb_text_clean(&ctl->style, message);
	fflush(stdout); /* what was said before comes before */
	fprintf(stderr, "cpubalctl: %s%s%s\n", ctl->verb, *ctl->verb ? ": " : "", clean);
	free(clean);
	free(message);
	return code;
}

/* Which bus; the last one given holds. */
static const struct {
	const char *name, *letter, *wants;
	enum cb_remote remote;
} where_options[] = {
	{ "--bus", NULL, "system, session or the address of a bus", CB_REMOTE_NONE },
	{ "--host", "-H", "a host: [USER@]HOST[:PORT]", CB_REMOTE_HOST },
	{ "--machine", "-M", "the name of a container", CB_REMOTE_MACHINE },
};

/* NAME=VALUE, NAME VALUE, or -XVALUE. Returns whether it is @name; *@ret_value is NULL when there is none. */
static int match_value(const char *name, int argc, char **argv, int *index, const char **ret_value)
{
	const char *word = argv[*index];
	size_t length = strlen(name);

	if (strncmp(word, name, length) != 0)
		return 0;
	if (!word[length]) {
		*ret_value = *index + 1 < argc ? argv[++*index] : NULL;
		return 1;
	}
	if (word[1] != '-') {
		*ret_value = word + length;
		return 1;
	}
	*ret_value = word + length + 1;
	return word[length] == '=';
}

/* @rest is what follows "--watch". */
static int take_watch(struct cb_ctl *ctl, const char *rest)
{
	int code = CB_EXIT_OK;

	ctl->watch_usec = 2 * CB_USEC_PER_SEC;
	if (*rest)
		code = cb_check_span(ctl, "--watch", rest + 1, &ctl->watch_usec);
	if (code == CB_EXIT_OK && ctl->watch_usec < CB_USEC_PER_SEC / 10)
		code = cb_ctl_fail(ctl, CB_EXIT_USAGE, "--watch: no more often than every 100ms");
	return code == CB_EXIT_OK ? 1 : -code;
}

int cb_args_global(struct cb_ctl *ctl, int argc, char **argv, int *index)
{
	const char *word = argv[*index];

	if (strcmp(word, "--json") == 0) {
		ctl->json = true;
		return 1;
	}
	if (strcmp(word, "--no-color") == 0) {
		ctl->style.color = false;
		return 1;
	}
	if (strcmp(word, "--no-ask-password") == 0) {
		ctl->no_ask = true;
		return 1;
	}
	if (strcmp(word, "--watch") == 0 || strncmp(word, "--watch=", 8) == 0)
		return take_watch(ctl, word + strlen("--watch"));
	for (size_t i = 0; i < CB_ARRAY_SIZE(where_options); i++) {
		const char *value;
		int r = match_value(where_options[i].name, argc, argv, index, &value);

		if (r == 0 && where_options[i].letter)
			r = match_value(where_options[i].letter, argc, argv, index, &value);
		if (r == 0)
			continue;
		if (!value || !*value)
			return -cb_ctl_fail(ctl, CB_EXIT_USAGE, "%s= needs %s",
					    where_options[i].name, where_options[i].wants);
		ctl->bus_name = value;
		ctl->remote = where_options[i].remote;
		return 1;
	}
	return 0;
}

/* The place of an option in the verb's table, or -1. @ret_value is what follows '=', or NULL. */
static int find_flag(const struct cb_verb *verb, const char *word, const char **ret_value)
{
	size_t length = strcspn(word, "=");

	for (int i = 0; verb->flags && verb->flags[i].name; i++) {
		if (strlen(verb->flags[i].name) != length ||
		    strncmp(verb->flags[i].name, word, length) != 0)
			continue;
		*ret_value = word[length] ? word + length + 1 : NULL;
		return i;
	}
	return -1;
}

/*
 * Parse the option at argv[*index], not a global one. Returns 0 or an exit code after its message.
 */
static int parse_flag(struct cb_ctl *ctl, const struct cb_verb *verb, int argc, char **argv,
		      int *index, struct cb_args *args)
{
	const char *value = NULL;
	int i = find_flag(verb, argv[*index], &value);

	if (i < 0)
		return cb_ctl_fail(ctl, CB_EXIT_USAGE,
				   "no such option: %s (cpubalctl %s --help lists them)",
				   argv[*index], verb->name);
	if (!verb->flags[i].value) {
		if (value)
			return cb_ctl_fail(ctl, CB_EXIT_USAGE, "%s takes no value",
					   verb->flags[i].name);
		args->flag[i] = "";
		return 0;
	}
	if (!value && *index + 1 < argc)
		value = argv[++*index];
	if (!value || !*value)
		return cb_ctl_fail(ctl, CB_EXIT_USAGE, "%s needs a value: %s=%s",
				   verb->flags[i].name, verb->flags[i].name, verb->flags[i].value);
	args->flag[i] = value;
	return 0;
}

static int check_words(struct cb_ctl *ctl, const struct cb_verb *verb, const struct cb_args *args)
{
	if (args->n > verb->max_words)
		return cb_ctl_fail(ctl, CB_EXIT_USAGE,
				   "unexpected argument '%s'; usage: cpubalctl %s%s%s",
				   args->word[verb->max_words], verb->name,
				   *verb->arguments ? " " : "", verb->arguments);
	if (args->n < verb->min_words)
		return cb_ctl_fail(ctl, CB_EXIT_USAGE,
				   "an argument is missing; usage: cpubalctl %s %s", verb->name,
				   verb->arguments);
	return -1;
}

int cb_args_parse(struct cb_ctl *ctl, const struct cb_verb *verb, int argc, char **argv,
		  struct cb_args *args)
{
	bool options = true;
	int r;

	*args = (struct cb_args){ .word = argv };
	for (int i = 0; i < argc; i++) {
		if (!options || argv[i][0] != '-' || !argv[i][1]) {
			argv[args->n++] = argv[i];
			continue;
		}
		if (strcmp(argv[i], "--") == 0) {
			options = false;
			continue;
		}
		if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
			cb_args_help(ctl->out, &ctl->style, verb);
			return CB_EXIT_OK;
		}
		r = cb_args_global(ctl, argc, argv, &i);
		if (r < 0)
			return -r;
		if (r > 0)
			continue;
		r = parse_flag(ctl, verb, argc, argv, &i, args);
		if (r != 0)
			return r;
	}
	return check_words(ctl, verb, args);
}

void cb_args_help(FILE *out, const struct cb_style *style, const struct cb_verb *verb)
{
	struct cb_style plain = { .width_cols = style->width_cols ? style->width_cols : 80,
				  .utf8 = style->utf8 };

	fprintf(out, "Usage: cpubalctl %s%s%s%s\n\n%c%s.\n", verb->name,
		verb->flags ? " [OPTION...]" : "", *verb->arguments ? " " : "", verb->arguments,
		toupper((unsigned char)*verb->summary), verb->summary + 1);
	if (verb->details) {
		fputc('\n', out);
		cb_sentence(out, &plain, CB_COLOR_NONE, "%s", verb->details);
	}
	fputs("\nOptions:\n", out);
	for (size_t i = 0; verb->flags && verb->flags[i].name; i++) {
		char name[64];

		snprintf(name, sizeof(name), "%s%s%s", verb->flags[i].name,
			 verb->flags[i].value ? "=" : "",
			 verb->flags[i].value ? verb->flags[i].value : "");
		fprintf(out, "  %-22s %s\n", name, verb->flags[i].help);
	}
	fputs("  --json                 print the daemon's answer as JSON\n"
	      "  --bus=BUS              system (the default), session, or the address of a bus\n"
	      "  -H, --host=HOST        the system bus of another machine, over ssh\n"
	      "  -M, --machine=NAME     the system bus of a local container\n"
	      "  --watch[=SPAN]         show it anew every two seconds or SPAN\n"
	      "  --no-color             no colors, whatever the terminal\n"
	      "  --no-ask-password      fail instead of asking for a password\n"
	      "  --help                 this text\n"
	      "\nExit codes:\n"
	      "  0 done   1 failed   2 usage   3 cpubalanced is not running   4 not permitted\n"
	      "  5 no such group, worker, plan or process   6 refused, with the reason\n",
	      out);
	fprintf(out, "\nExample:\n  %s\n", verb->example);
}

int cb_check_u32(const struct cb_ctl *ctl, const char *what, const char *text, uint32_t min,
		 uint32_t max, uint32_t *ret)
{
	struct cb_scan scan = CB_SCAN(text, strlen(text));
	uint32_t value;

	if (!cb_scan_u32(&scan, &value) || !cb_scan_done(&scan) || value < min || value > max)
		return cb_ctl_fail(ctl, CB_EXIT_USAGE, "%s '%s' is not a number between %u and %u",
				   what, text, min, max);
	*ret = value;
	return CB_EXIT_OK;
}

int cb_check_cpus(const struct cb_ctl *ctl, const char *what, const char *text)
{
	struct cb_cpuset set;
	int r = cb_cpuset_parse_list(text, strlen(text), &set);

	if (r < 0 || cb_cpuset_empty(&set))
		return cb_ctl_fail(ctl, CB_EXIT_USAGE,
				   "%s '%s' is not a list of CPUs such as 0-3,8 (numbers 0 to %u)",
				   what, text, CB_CPUS_MAX - 1);
	return CB_EXIT_OK;
}

int cb_check_group(const struct cb_ctl *ctl, const char *text)
{
	if (cb_name_valid(text))
		return CB_EXIT_OK;
	return cb_ctl_fail(
		ctl, CB_EXIT_USAGE,
		"'%s' is not a group's name (1 to %u of A-Z a-z 0-9 _ . -, beginning with a letter or digit)",
		text, CB_NAME_MAX - 1);
}

int cb_check_mode(const struct cb_ctl *ctl, const char *text)
{
	if (cb_mode_from_name(text) != _CB_MODE_INVALID)
		return CB_EXIT_OK;
	return cb_ctl_fail(ctl, CB_EXIT_USAGE, "'%s' is not a mode: auto, advise or observe", text);
}

int cb_check_span(const struct cb_ctl *ctl, const char *what, const char *text, uint64_t *ret_usec)
{
	if (cb_span_parse(text, ret_usec) == 0)
		return CB_EXIT_OK;
	return cb_ctl_fail(ctl, CB_EXIT_USAGE,
			   "%s '%s' is not a time span such as 90s, 10min or 1h 30min", what, text);
}
