/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cpubalanced: the command line's verbs, and the life of the daemon around its event loop.
 */
#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <systemd/sd-event.h>

#include "config.h"
#include "doctor.h"
#include "log.h"
#include "manager.h"
#include "metrics.h"
#include "options.h"
#include "service.h"

/* --- offline --- */

static int replay(const struct cb_options *options)
{
	struct cb_replay_result result;
	struct cb_err err = { .msg = "" };
	int r = cb_trace_replay(options->replay, stdout, &result, &err);

	if (r < 0 || fflush(stdout) != 0) {
		fprintf(stderr, "cpubalanced: cannot replay %s: %s\n", options->replay,
			err.msg[0] ? err.msg : strerror(r < 0 ? -r : errno));
		return CB_EXIT_FAILED;
	}
	fprintf(stderr, "%" PRIu64 " inputs, %" PRIu64 " decisions, %" PRIu64 " differ\n",
		result.n_inputs, result.n_decisions, result.n_differing);
	if (result.n_differing == 0)
		return CB_EXIT_OK;
	fprintf(stderr, "cpubalanced: the first that differs is on line %" PRIu64 " of %s\n",
		result.first_differing_line, options->replay);
	return CB_EXIT_FAILED;
}

static void say(const char *line, void *userdata)
{
	(void)userdata;
	cb_log(LOG_WARNING, "%s", line);
}

static int restore(const struct cb_options *options)
{
	const struct cb_host_options host_options = { .sysroot = options->manager.sysroot,
						      .dry_run = options->manager.dry_run };
	struct cb_restore_result result = { .n_restored = 0 };
	struct cb_err err = { .msg = "" };
	struct cb_host *host = NULL;
	const char *why;
	int r;

	if (options->unless_restarting) {
		if (cb_service_placements_stay(options->manager.run_dir, &why)) {
			cb_log(LOG_NOTICE, "Placements stay: %s", why);
			return CB_EXIT_OK;
		}
		cb_log(LOG_INFO, "Putting originals back: %s", why);
	}
	r = cb_host_open(&host_options, &host, &err);
	if (r >= 0)
		r = cb_restore_offline(host, options->manager.run_dir, say, NULL, &result, &err);
	cb_host_close(host);
	if (r < 0) {
		cb_log(LOG_ERR, "Failed to restore: %s", err.msg[0] ? err.msg : strerror(-r));
		return r == -EBUSY ? CB_EXIT_RUNNING : CB_EXIT_FAILED;
	}
	cb_log(LOG_NOTICE,
	       "Put back %u originals; %u were gone, %u changed by somebody else, %u failed, "
	       "%u wait for their next interrupt",
	       result.n_restored, result.n_gone, result.n_foreign, result.n_failed,
	       result.n_pending);
	return result.n_failed > 0 ? CB_EXIT_FAILED : CB_EXIT_OK;
}

static int capture(const struct cb_options *options)
{
	struct cb_host_options host_options = { .sysroot = options->manager.sysroot,
						.dry_run = true,
						.no_netlink = true };
	struct cb_err err = { .msg = "" };
	struct cb_host *host = NULL;
	uint32_t n_files;
	int r = cb_host_open(&host_options, &host, &err);

	if (r >= 0)
		r = cb_host_capture(host, options->capture, &n_files, &err);
	cb_host_close(host);
	if (r < 0) {
		cb_log(LOG_ERR, "Failed to capture: %s", err.msg);
		return CB_EXIT_FAILED;
	}
	printf("%s: %u files; look at it with cpubalanced --sysroot %s\n", options->capture,
	       n_files, options->capture);
	return CB_EXIT_OK;
}

static int load_config(const struct cb_options *options, struct cb_policy *ret,
		       struct cb_config_origins *ret_origins)
{
	struct cb_err err = { .msg = "" };
	int r = cb_config_load_traced(options->manager.config, !options->manager.config_given, ret,
				      ret_origins, &err);

	if (r >= 0)
		return CB_EXIT_OK;
	cb_log(LOG_ERR, "%s", err.msg);
	return r == -ENOMEM ? CB_EXIT_FAILED : CB_EXIT_CONFIG;
}

static int check_config(const struct cb_options *options, struct cb_policy *policy)
{
	struct cb_config_origins origins = { .n = 0 };
	int r = load_config(options, policy, &origins);

	if (r == CB_EXIT_OK)
		printf("%s: ok, %u groups\n", options->manager.config, policy->n_groups);
	cb_config_origins_done(&origins);
	return r;
}

/* --- the daemon --- */

static int on_end(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
	struct cb_manager *m = userdata;
	bool keep = info->ssi_signo == SIGTERM && cb_service_restart_queued();

	cb_log(LOG_NOTICE,
	       keep ? "Ending for a restart: placements stay" : "Ending: originals are put back");
	cb_manager_stop(m, keep);
	return sd_event_exit(sd_event_source_get_event(source), 0);
}

static int on_reload(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
	struct cb_err err = { .msg = "" };

	(void)source;
	(void)info;
	if (cb_manager_reload(userdata, &err) < 0)
		return 0; /* was logged, and is a property */
	return 0;
}

static int catch_signals(sd_event *event, struct cb_manager *m)
{
	static const int ends[] = { SIGTERM, SIGINT };
	sigset_t set;
	int r = 0;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < CB_ARRAY_SIZE(ends) && r >= 0; i++)
		r = sd_event_add_signal(event, NULL, ends[i], on_end, m);
	return r < 0 ? r : sd_event_add_signal(event, NULL, SIGHUP, on_reload, m);
}

static int run_with(const struct cb_options *options, const struct cb_policy *policy,
		    sd_event *event, struct cb_manager *m)
{
	struct cb_err err = { .msg = "" };
	int r = catch_signals(event, m);

	if (r >= 0)
		r = cb_manager_start(m, &options->manager, policy, event, &err);
	if (r >= 0)
		r = sd_event_loop(event);
	if (r >= 0)
		return CB_EXIT_OK;
	cb_log(LOG_ERR, "Failed to run: %s", err.msg[0] ? err.msg : strerror(-r));
	return r == -EBUSY ? CB_EXIT_RUNNING : CB_EXIT_FAILED;
}

static int run(const struct cb_options *options, const struct cb_policy *policy,
	       struct cb_config_origins *origins)
{
	struct cb_manager *m = cb_manager_new();
	sd_event *event = NULL;
	int r = sd_event_default(&event);

	if (!m || r < 0) {
		cb_log(LOG_ERR, "Failed to start: %s", strerror(r < 0 ? -r : ENOMEM));
		r = CB_EXIT_FAILED;
	} else {
		*m->origins = *origins;
		*origins = (struct cb_config_origins){ .n = 0 };
		r = run_with(options, policy, event, m);
	}
	cb_manager_free(m);
	sd_event_unref(event);
	return r;
}

static int with_policy(const struct cb_options *options)
{
	struct cb_policy *policy = malloc(sizeof(*policy));
	struct cb_config_origins origins = { .n = 0 };
	int r;

	if (!policy) {
		cb_log(LOG_ERR, "Out of memory");
		return CB_EXIT_FAILED;
	}
	if (options->verb == CB_VERB_CHECK_CONFIG) {
		r = check_config(options, policy);
	} else {
		r = load_config(options, policy, &origins);
		if (r == CB_EXIT_OK)
			r = run(options, policy, &origins);
		cb_config_origins_done(&origins);
	}
	free(policy);
	return r;
}

/*
 * Big blocks, most of whose pages nothing ever touches or that are soon freed again, each have a mapping of their own, and stay no hole
 * in the heap. Nothing in a tick allocates.
 */
static void keep_small(void)
{
	(void)mallopt(M_MMAP_THRESHOLD, 32 * 1024);
	(void)mallopt(M_TRIM_THRESHOLD, 64 * 1024);
}

static int do_verb(const struct cb_options *options)
{
	switch (options->verb) {
	case CB_VERB_RUN:
	case CB_VERB_CHECK_CONFIG:
		return with_policy(options);
	case CB_VERB_DOCTOR:
		return cb_doctor(options);
	case CB_VERB_CAPTURE:
		return capture(options);
	case CB_VERB_REPLAY:
		return replay(options);
	case CB_VERB_RESTORE:
		return restore(options);
	case CB_VERB_PRINT_CONFIG:
		cb_config_print(stdout);
		break;
	case CB_VERB_PRINT_METRICS_DOC:
		cb_metrics_print_doc(stdout);
		break;
	case CB_VERB_VERSION:
		printf("cpubalanced %s\n", CB_VERSION);
		break;
	case CB_VERB_HELP:
		cb_options_help();
		break;
	}
	return fflush(stdout) == 0 ? CB_EXIT_OK : CB_EXIT_FAILED;
}

int main(int argc, char **argv)
{
	struct cb_options options;

	keep_small();
	if (cb_options_parse(argc, argv, &options) < 0)
		return CB_EXIT_USAGE;
	cb_log_init();
	return do_verb(&options);
}
