/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* release, pause, resume, mode, reload: what an operator tells the daemon. */

#include <json-c/json.h>
#include <stdarg.h>

#include "client.h"
#include "json.h"

/* Confirm a call that answers nothing. */
static int done(struct cb_ctl *ctl, const char *format, ...) _printf_(2, 3);
static int done(struct cb_ctl *ctl, const char *format, ...)
{
	va_list args;

	if (ctl->json) {
		fputs("null\n", ctl->out);
		return CB_EXIT_OK;
	}
	va_start(args, format);
	vfprintf(ctl->out, format, args);
	va_end(args);
	return CB_EXIT_OK;
}

enum { FLAG_ALL, FLAG_PAUSE };
static const struct cb_flag release_flags[] = {
	[FLAG_ALL] = { "--all", NULL, "every group, and every interrupt" },
	[FLAG_PAUSE] = { "--pause", NULL, "and pause, or the daemon may soon move them again" },
	{ NULL, NULL, NULL },
};

static int check_release(const struct cb_ctl *ctl, const struct cb_args *args)
{
	if (args->n == 0 && !args->flag[FLAG_ALL])
		return cb_ctl_fail(ctl, CB_EXIT_USAGE, "name a GROUP, or say --all");
	if (args->n && args->flag[FLAG_ALL])
		return cb_ctl_fail(ctl, CB_EXIT_USAGE, "either a GROUP or --all, not both");
	return args->n ? cb_check_group(ctl, args->word[0]) : CB_EXIT_OK;
}

static int show_release(struct cb_ctl *ctl, const uint32_t *n, bool paused)
{
	static const char *const keys[] = { "Restored", "Pending", "Gone", "Foreign", "Failed" };

	if (ctl->json) {
		struct json_object *json = cb_must(json_object_new_object());

		for (size_t i = 0; i < CB_ARRAY_SIZE(keys); i++)
			json_object_object_add(json, keys[i], json_object_new_int64(n[i]));
		cb_json_print(ctl->out, json);
		json_object_put(json);
	} else {
		fprintf(ctl->out, "restored %u", n[0]);
		if (n[1])
			fprintf(ctl->out, ", pending %u (interrupts, with their next occurrence)",
				n[1]);
		if (n[2])
			fprintf(ctl->out, ", gone %u", n[2]);
		if (n[3])
			fprintf(ctl->out, ", foreign %u (left as somebody else has set them)",
				n[3]);
		if (n[4])
			fprintf(ctl->out, ", failed %u", n[4]);
		fputs(paused ? "; paused until cpubalctl resume\n" : "\n", ctl->out);
	}
	if (n[4])
		return cb_ctl_fail(ctl, CB_EXIT_FAILED,
				   "%u could not be put back: cpubalctl changes lists them", n[4]);
	return CB_EXIT_OK;
}

static int run_release(struct cb_ctl *ctl, const struct cb_args *args)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	int r, code = check_release(ctl, args), pause = args->flag[FLAG_PAUSE] != NULL;
	uint32_t n[5];

	if (code == CB_EXIT_OK)
		code = cb_client_call(ctl, "Release", CB_CALL_LONG_USEC, &reply, "sb",
				      args->n ? args->word[0] : "", pause);
	if (code != CB_EXIT_OK)
		return code;
	r = sd_bus_message_read(reply, "uuuuu", &n[0], &n[1], &n[2], &n[3], &n[4]);
	if (r < 0)
		return cb_client_broken(ctl, "cannot read the answer of cpubalanced", r);
	return show_release(ctl, n, pause);
}

const struct cb_verb cb_verb_release = {
	.name = "release",
	.arguments = "[GROUP]",
	.summary = "put the originals of a group, or of --all, back",
	.details = "What somebody else has set since is left as it is.",
	.example = "cpubalctl release --all --pause",
	.flags = release_flags,
	.max_words = 1,
	.changes = true,
	.run = run_release,
};

enum { FLAG_FOR };
static const struct cb_flag pause_flags[] = {
	[FLAG_FOR] = { "--for", "SPAN",
		       "end by itself after this time, such as 10min or 1h 30min" },
	{ NULL, NULL, NULL },
};

static int run_pause(struct cb_ctl *ctl, const struct cb_args *args)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	const char *span = args->flag[FLAG_FOR];
	uint64_t usec = 0;
	char text[48];
	int code = span ? cb_check_span(ctl, "--for", span, &usec) : CB_EXIT_OK;

	if (code == CB_EXIT_OK && span && usec == 0)
		code = cb_ctl_fail(ctl, CB_EXIT_USAGE, "--for '%s': no time at all is no pause",
				   span);
	if (code == CB_EXIT_OK)
		code = cb_client_call(ctl, "Pause", CB_CALL_USEC, &reply, "t", usec);
	if (code != CB_EXIT_OK)
		return code;
	if (span)
		return done(ctl, "paused for %s\n", cb_show_span(usec, text, sizeof(text)));
	return done(ctl, "paused until cpubalctl resume\n");
}

const struct cb_verb cb_verb_pause = {
	.name = "pause",
	.arguments = "",
	.summary = "move nothing, until resume or for a while; what is moved stays",
	.example = "cpubalctl pause --for=30min",
	.flags = pause_flags,
	.changes = true,
	.run = run_pause,
};

static int run_resume(struct cb_ctl *ctl, const struct cb_args *args)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	int code = cb_client_call(ctl, "Resume", CB_CALL_USEC, &reply, "");

	(void)args;
	return code == CB_EXIT_OK ? done(ctl, "resumed\n") : code;
}

const struct cb_verb cb_verb_resume = {
	.name = "resume",
	.arguments = "",
	.summary = "end a pause",
	.example = "cpubalctl resume",
	.changes = true,
	.run = run_resume,
};

static int run_mode(struct cb_ctl *ctl, const struct cb_args *args)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	const char *group = args->n == 2 ? args->word[0] : "", *mode = args->word[args->n - 1];
	int code = args->n == 2 ? cb_check_group(ctl, group) : CB_EXIT_OK;

	if (code == CB_EXIT_OK)
		code = cb_check_mode(ctl, mode);
	if (code == CB_EXIT_OK)
		code = cb_client_call(ctl, "SetMode", CB_CALL_USEC, &reply, "ss", group, mode);
	return code == CB_EXIT_OK ?
		       done(ctl, "%s is in mode %s\n", *group ? group : "cpubalanced", mode) :
		       code;
}

const struct cb_verb cb_verb_mode = {
	.name = "mode",
	.arguments = "[GROUP] MODE",
	.summary = "auto, advise or observe, for a group or for all",
	.details = "auto: plans are done and verified. advise: they wait for cpubalctl "
		   "apply. observe: none is made. Without a group it is the daemon's "
		   "mode, until it starts again; it also ends a stop after too many "
		   "rollbacks.",
	.example = "cpubalctl mode nginx advise",
	.min_words = 1,
	.max_words = 2,
	.changes = true,
	.run = run_mode,
};

static int run_reload(struct cb_ctl *ctl, const struct cb_args *args)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	int code = cb_client_call(ctl, "Reload", CB_CALL_USEC, &reply, "");

	(void)args;
	return code == CB_EXIT_OK ? done(ctl, "the configuration is read anew\n") : code;
}

const struct cb_verb cb_verb_reload = {
	.name = "reload",
	.arguments = "",
	.summary = "read the configuration anew, all of it or, with an error, nothing",
	.example = "cpubalctl reload",
	.changes = true,
	.run = run_reload,
};
