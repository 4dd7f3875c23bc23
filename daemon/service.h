/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the daemon and the service manager tell each other: readiness, status, watchdog, and whether a stop is the first
 * half of a restart. The last is needed twice: by the daemon at SIGTERM, and by `cpubalanced --restore
 * --unless-restarting` in ExecStopPost=, which runs after it and has no bus. RUN_DIR/ending carries the answer between
 * them.
 */

#include "manager.h"

/* Tell STATUS= when @status differs from what was told last; READY=1 with it when @ready is true for the first time. */
void cb_service_status(struct cb_manager *m);
void cb_service_ready(
	struct cb_manager *m); /* READY=1, once, when a sample was taken and the bus is settled */
void cb_service_reloading(const struct cb_manager *m);
void cb_service_reloaded(void);
void cb_service_stopping(void);

/* Send WATCHDOG=1 while the tick is alive. Returns 0 also when no watchdog is wanted. */
int cb_service_watchdog_start(struct cb_manager *m) _must_check_;

/*
 * At SIGTERM: does the service manager stop us in order to start us again? Asks it over the system bus, at most 2 s. False
 * when there is none, or it does not answer.
 */
bool cb_service_restart_queued(void);

/* Note in RUN_DIR/ending how the running daemon ends: kept or restored. Removed at the next start. */
void cb_service_note_ending(const char *run_dir, bool keep);
void cb_service_note_clear(const char *run_dir);

/*
 * In ExecStopPost=: shall the placements stay? True after a stop that kept them; after a start that came to nothing (exit
 * codes 2 to 4), since a wrong configuration is no order to move anything; and after a crash, since a restart follows,
 * unless it is the third within a minute. @ret_why is a sentence for the log.
 */
bool cb_service_placements_stay(const char *run_dir, const char **ret_why);
