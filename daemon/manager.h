/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The manager: the state of the running daemon and its loop. It owns the host, the journal, the engine and the groups, feeds
 * the engine one ordered stream of inputs and does what the engine decides. Everything that changes the machine or the
 * engine goes through cb_manager_feed(). Single-threaded, on one sd-event loop.
 *
 * manager.c: life, tick and feed; manager_groups.c: groups and workers; manager_pidfile.c: PIDFile=;
 * manager_gauge.c: ServiceMetric=; manager_select.c: Listen=, Unit=, Cgroup=, Process=; manager_threads.c: Granularity=;
 * manager_queues.c: PacketSteering=; manager_owners.c: who else sets what we set; manager_cost.c: what it costs and where it runs itself;
 * manager_saved.c: registrations that outlive a restart; manager_notice.c: what is told to the world; manager_report.c:
 * what is shown.
 */

#include <sys/stat.h>

#include <systemd/sd-event.h>

#include "cpubalance/engine.h"
#include "cpubalance/host.h"
#include "cpubalance/journal.h"
#include "cpubalance/owners.h"
#include "cpubalance/report.h"
#include "cpubalance/trace.h"
#include "history.h"

struct cb_config_origins;
struct cb_manager;
struct cb_metrics;
struct cb_server;

/* Strings belong to the caller and outlive the manager. */
struct cb_manager_options {
	const char *bus;     /* "system", "session", "none" or an address */
	const char *config;  /* file */
	bool config_given;   /* by the operator: has to exist */
	const char *sysroot; /* NULL: "/" */
	const char *run_dir, *state_dir;
	const char *record; /* NULL: no trace */
	bool dry_run;
};

/* A live worker. */
struct cb_member {
	struct cb_manager *manager;
	uint32_t key;
	struct cb_registration *registration;
	int32_t pid;
	int32_t tid;		 /* the one thread of it that is the worker, 0: the whole process */
	uint64_t start_ticks;	 /* of the thread, or process */
	struct cb_cpuset cpuset; /* what it allows, when last read */
	uint32_t uid;
	char unit[CB_SELECTOR_TEXT_MAX]; /* that it belongs to, "" none */
	sd_event_source *exit; /* of the process; NULL where the host has no descriptor for it */
	bool found;	       /* by a selector */
	bool guess;	       /* it holds a socket of the group, but was not seen to serve it */
	uint32_t n_loops;      /* epoll descriptors that watch the group's sockets */
};

/* A process whose threads are workers, of which some have not been seen waiting for clients yet. */
struct cb_unseen {
	uint32_t group_key;
	int32_t pid;
	uint64_t start_ticks;
	uint32_t n_tries;
};

/* What is known about a PIDFile=; see manager_pidfile.c. */
struct cb_pidfile {
	bool seen; /* the fields below are set */
	dev_t device;
	ino_t inode;
	struct timespec changed;
	off_t size;
	uint64_t checked_usec; /* stat() */
	uint64_t listed_usec;  /* children */
	bool relist;	       /* list again now: a worker has ended */
	uint32_t n_pids;
	int32_t single_pid; /* the one pid in it, 0 when there are none or several */
};

/* Where the numbers of ServiceMetric= come from; see manager_gauge.c. */
struct cb_gauge {
	sd_event_source *source; /* NULL: not connected; it owns the descriptor */
	char asked[CB_PATH_MAX]; /* what was asked for */
	uint64_t interval_usec;	 /* and how often */
	uint64_t next_usec;	 /* when to try again */
	char line[192];		 /* that is not whole yet */
	size_t len;
	bool has;
	double value;
	uint64_t at_usec; /* when it came */
	char note[160];	  /* why there is no number, "" */
};

/* A group. */
struct cb_registration {
	struct cb_manager *manager;
	uint32_t key;
	bool from_config; /* else registered over the bus */
	struct cb_group_policy policy;
	struct cb_pidfile pidfile;
	struct cb_gauge gauge;
	char note[200]; /* why it has no workers, or what was wrong last; "" for nothing */
	/* what PropertiesChanged has told */
	uint32_t told_workers, told_changed;
	enum cb_mode told_mode;
};

/* What a command gave: the engine's answer, and what the host made of a release. */
struct cb_answer {
	int result; /* 0 or a negative errno */
	uint32_t plan_id;
	char text[256]; /* one line for the operator */
	uint32_t n_restored, n_pending, n_gone, n_foreign, n_failed;
};

/* What headline, state and status were written of; all 0: they were not. */
struct cb_said {
	const char *mode, *plan_state;
	uint64_t left_sec;
	uint32_t n_cpus, n_hot, n_findings, n_workers, plan_id, tick_every;
	bool starting, paused, canary, misconfigured;
};

struct cb_manager {
	struct cb_manager_options options;
	sd_event *event;
	sd_event_source *tick_source, *watchdog_source;

	struct cb_host *host;
	struct cb_journal *journal; /* NULL: cannot be used, see journal_error */
	char journal_error[CB_ERR_MSG_MAX];
	bool journal_healthy; /* as the engine was told */
	uint64_t journal_probe_usec;
	struct cb_engine *engine;
	struct cb_trace_writer *trace; /* NULL: not recording */
	struct cb_history *history;    /* plans that ended */
	struct cb_history *others;     /* masks that somebody else has set */
	struct cb_server *server;
	struct cb_metrics *metrics;

	struct cb_policy *policy;	   /* as configured */
	struct cb_config_origins *origins; /* of its values */
	struct cb_policy
		*effective; /* as the engine has it: observe only while the journal is unhealthy */
	struct cb_topology *topology;
	struct cb_irqs *irqs;
	uint64_t irqs_usec;   /* when the inventory was built */
	uint64_t queues_usec; /* when queues were looked at, 0: now */
	uint32_t queues_generation;
	bool links_changed; /* an interface, or which CPUs there are, since then */
	struct cb_snapshot snapshot;
	struct cb_collect_events *collected;
	struct cb_decision *decision;
	struct cb_outcome *outcome;
	struct cb_answer *answer; /* of the command that is being fed, else NULL */
	bool prepare_needed;	  /* topology, interrupts or workers have changed */

	struct cb_registration *registration[CB_GROUPS_MAX];
	uint32_t n_registrations;
	struct cb_member *member[CB_WORKERS_MAX];
	uint32_t n_members;
	uint32_t last_group_key, last_worker_key;
	struct cb_unseen unseen[64];
	uint32_t n_unseen;
	bool saved_dirty; /* RUN_DIR/groups is to be written */

	uint64_t tick_due_usec, tick_usec,
		sample_usec;	  /* next due; duration of the last; time of the last sample */
	uint64_t tick_begin_usec; /* when the present one began: what is due in it */
	uint64_t last_tick_usec;  /* when the last one ended */
	uint64_t client_usec;	  /* when somebody asked last, 0 never */
	uint64_t late_usec;	  /* how late the last tick began */
	uint64_t tick_cpu_usec, own_cpu_usec; /* CPU time of the last tick; of the process */
	double tick_cost_usec;		      /* the first, smoothed */
	uint32_t tick_every;		      /* intervals from one tick to the next */
	uint32_t sources_working;	      /* as cb_host_sources_working() */
	uint64_t n_cross_cpu_reads;
	uint64_t place_usec; /* when we looked where we run, 0 never */
	struct cb_cpuset own_may,
		own_cpus; /* where we may run, by whoever started us; where we do */
	uint64_t n_ticks, n_samples, n_overruns;
	uint64_t irqbalance_usec; /* when it was looked for */
	uint64_t owners_usec;	  /* when the settings of others were read */
	bool irqbalance, shared;  /* it runs; and leaves those interrupts alone that we may move */
	bool irqbalance_told;	  /* as the engine was told: interrupts are left to it */
	char unshared[160];	  /* why not, though it was asked to */
	uint32_t cpuset_next;	  /* index of the worker whose cpuset is read next */
	bool owner_seen[_CB_OWNER_MAX]; /* when they were last looked at */
	uint64_t suspended_usec;	/* since boot, at the last tick */
	uint64_t textfile_usec;
	bool textfile_failed, sample_failed, feed_failed[_CB_INPUT_MAX];
	uint32_t n_pending;	   /* restores that still wait */
	uint32_t n_unrestored;	   /* of the last release: failed */
	uint64_t n_restore_failed; /* since start */

	bool ready, stopping;
	int exit_code;
	char config_error[CB_ERR_MSG_MAX];
	struct cb_report report;
	struct cb_said said;
	uint32_t missing_have; /* what missing was written for */
	char headline[256], missing[256], last_sentence[320], status[320];
};

/* Open the host, journal, history, engine and bus, register the groups, arm the tick. Returns 0, or a negative errno
 * with a message; cb_manager_free() is to be called in either case. -EBUSY: another daemon owns RUN_DIR. */
int cb_manager_start(struct cb_manager *m, const struct cb_manager_options *options,
		     const struct cb_policy *policy, sd_event *event, struct cb_err *err)
	_must_check_;
struct cb_manager *cb_manager_new(void);
struct cb_manager *cb_manager_free(struct cb_manager *m); /* NULL is fine; returns NULL */

/* -EBUSY: another daemon has it. */
int cb_manager_open_journal(struct cb_manager *m, struct cb_journal **ret, struct cb_err *err)
	_must_check_;

/* Stop: with @keep the placements stay for the next daemon, else every original is put back. */
void cb_manager_stop(struct cb_manager *m, bool keep);

/* False in a dry run and with another sysroot: nothing on this machine is written then, and nothing of it kept. */
bool cb_manager_is_live(const struct cb_manager *m);

/* Read the configuration again: all or nothing. Returns 0 or a negative errno with a message, kept for ConfigError too. */
int cb_manager_reload(struct cb_manager *m, struct cb_err *err) _must_check_;

/* --- manager.c --- */

uint64_t cb_manager_now(const struct cb_manager *m); /* CLOCK_MONOTONIC */

/* What the engine has to know before the first snapshot, and again when it changes. Negative errno with a message. */
int cb_manager_feed_policy(struct cb_manager *m);
int cb_manager_feed_topology(struct cb_manager *m, struct cb_err *err);
/* manager_queues.c: the queues of network interfaces, once per tick, and after something was written */
void cb_manager_queues_watch(struct cb_manager *m);
void cb_manager_queues_written(struct cb_manager *m, const struct cb_outcome *outcome);
int cb_manager_feed_irqs(struct cb_manager *m, struct cb_err *err);
int cb_manager_on_tick(sd_event_source *source, uint64_t usec, void *userdata);

/* Feed one input (its now_usec is set here), record it, do what is decided, tell the notices. 0 or a negative errno. */
int cb_manager_feed(struct cb_manager *m, struct cb_input *input);
int cb_manager_feed_event(struct cb_manager *m, const struct cb_event *event);
/* @ret is always set; its result is the engine's, or the error of the feed. Returns it. */
int cb_manager_command(struct cb_manager *m, const struct cb_command *command,
		       struct cb_answer *ret);
/* Whether moves are possible at all; if not, a sentence saying why. */
bool cb_manager_can_move(const struct cb_manager *m, const char **ret_why);

/* --- manager_groups.c --- */

/* Create the group or change its settings. -E2BIG beyond CB_GROUPS_MAX. */
int cb_manager_group_set(struct cb_manager *m, const struct cb_group_policy *policy,
			 bool from_config, struct cb_registration **ret, struct cb_err *err)
	_must_check_;
/* Put back its originals and forget it. @ret_answer (may be NULL): of the release. */
void cb_manager_group_remove(struct cb_manager *m, struct cb_registration *registration);
/* Make the groups of the configuration those of m->policy. */
void cb_manager_groups_configure(struct cb_manager *m);
/* Tell the engine the settings of every group again. */
void cb_manager_groups_refeed(struct cb_manager *m);
struct cb_registration *cb_manager_group_find(const struct cb_manager *m, const char *name);
struct cb_registration *cb_manager_group_by_key(const struct cb_manager *m, uint32_t key);
bool cb_manager_group_view(const struct cb_manager *m, uint32_t key, struct cb_group_view *ret);

/*
 * Begin to watch a process, or one thread of it (@tid not 0). @pidfd is taken over, -1 none; @start_ticks: what it has to be, 0
 * any. Returns 0 (1: it is a member of this group already), or a negative errno with a message.
 */
int cb_manager_worker_add(struct cb_manager *m, struct cb_registration *registration, int32_t pid,
			  int32_t tid, uint64_t start_ticks, int pidfd, struct cb_err *err)
	_must_check_;
void cb_manager_worker_gone(struct cb_manager *m, struct cb_member *member); /* it has ended */
void cb_manager_worker_dropped(
	struct cb_manager *m,
	struct cb_member *member); /* it lives, and is no worker of ours any more */
struct cb_member *cb_manager_worker_by_key(const struct cb_manager *m, uint32_t key);
struct cb_member *cb_manager_worker_by_pid(const struct cb_manager *m, int32_t pid);
/* "nginx/3" or a pid -> key, 0 when there is none. */
uint32_t cb_manager_worker_find(const struct cb_manager *m, const char *name);

/* --- manager_pidfile.c --- */

void cb_manager_pidfiles(struct cb_manager *m);			   /* once per tick */
void cb_manager_pidfile_now(struct cb_registration *registration); /* read it at once */

/* --- manager_gauge.c --- */

/* Once per tick: connect to who runs the commands, or end that. Never waits. */
void cb_manager_gauges(struct cb_manager *m);
/* The last numbers, into the snapshot's groups. */
void cb_manager_gauges_fill(struct cb_manager *m);
void cb_manager_gauge_close(struct cb_registration *registration);

/* --- manager_select.c --- */

/* What the group's selector says holds from now on. Returns 0 or a negative errno with a message. */
int cb_manager_select(struct cb_manager *m, struct cb_registration *registration,
		      struct cb_err *err) _must_check_;
void cb_manager_selected(struct cb_manager *m); /* once per tick */
/* Look for the workers of this group at once. Returns 0, or why there are none: -ESRCH, -EEXIST when they are another's. */
int cb_manager_select_now(struct cb_manager *m, struct cb_registration *registration,
			  struct cb_err *err) _must_check_;
/* 0 when the process is what the group's selector says, -EINVAL with a message when not. */
int cb_manager_select_check(struct cb_manager *m, struct cb_registration *registration, int32_t pid,
			    struct cb_err *err) _must_check_;
/* Why it has the workers that it has; "" when there is nothing to say. Returns @buf. */
const char *cb_manager_select_note(const struct cb_manager *m,
				   const struct cb_registration *registration, char *buf,
				   size_t size);

/* --- manager_threads.c --- */

/*
 * Add what of a process is a worker of the group by its Granularity=: the process, or each of the threads that serve. @pidfd is
 * taken over, -1 none. Returns as cb_manager_worker_add().
 */
int cb_manager_process_add(struct cb_manager *m, struct cb_registration *registration, int32_t pid,
			   int pidfd, struct cb_err *err) _must_check_;
void cb_manager_thread_gone(struct cb_manager *m, const struct cb_member *member);
void cb_manager_threads(struct cb_manager *m); /* once per tick */

/* --- manager_saved.c --- */

void cb_manager_saved_write(struct cb_manager *m); /* when saved_dirty */
void cb_manager_saved_load(struct cb_manager *m);
/* One line of that file as the only group of @scratch. Returns 0 or a negative errno. */
struct json_object;
int cb_saved_group_parse(struct json_object *object, struct cb_policy *scratch, struct cb_err *err)
	_must_check_;

/* --- manager_owners.c --- */

/* Look who else sets what we set, every ten seconds, and what it says that it sets, every minute; the engine is told of irqbalance, the log of all. */
void cb_manager_owners_watch(struct cb_manager *m);
/* What coordination makes of irqbalance's row. */
void cb_manager_owner_irqbalance(const struct cb_manager *m, struct cb_owner *owner);
/* Workers whose cpuset is not the whole machine; at most CB_OWNERS_WORKERS_MAX are looked at. */
#define CB_OWNERS_WORKERS_MAX 64u
void cb_manager_owner_cpusets(const struct cb_manager *m, struct cb_owner *ret);

/* Read the worker's cpuset again, and tell the engine when it is another. */
void cb_manager_cpuset(struct cb_manager *m, struct cb_member *member);

/* --- manager_cost.c --- */

uint64_t cb_manager_cpu_usec(void);			       /* CPU time of this process so far */
uint64_t cb_manager_idle_cpu_usec(const struct cb_manager *m); /* the same, when a tick begins */
/*
 * At the end of a tick: what it cost, @begin_cpu_usec being the process's time when it began; how often ticks come from now on.
 */
void cb_manager_cost(struct cb_manager *m, uint64_t begin_cpu_usec);
/* Intervals to the next tick, 1 to 8: what keeps @cost_usec of a tick below the budget; @every: as it is now. */
uint32_t cb_tick_every(uint32_t every, double cost_usec, double interval_usec, double budget_ratio);
void cb_manager_own_place(struct cb_manager *m);	 /* once per tick */
void cb_manager_lock_memory(const struct cb_manager *m); /* when blocks have changed */

/* --- manager_notice.c --- */

void cb_manager_notice(struct cb_manager *m, const struct cb_notice *notice);

/* --- manager_report.c --- */

void cb_manager_report(struct cb_manager *m);
/* Seconds, rounded up, for people. */
uint64_t cb_seconds_left(uint64_t until_usec, uint64_t now_usec);
