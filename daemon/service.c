/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A stop of the service puts every original back; a restart keeps the placements and the next daemon adopts them. The
 * service manager does not tell a process which of both it is living through, but a running daemon can ask: the job of its
 * own unit is "restart" for the whole of a restart's first half (systemd: job_type_table in src/core/job.c). After a
 * crash nobody has asked, and SERVICE_RESULT= in the environment of ExecStopPost= says what happened (systemd.exec(5)).
 */
#include "service.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <systemd/sd-bus.h>
#include <systemd/sd-daemon.h>

#include "bus.h"
#include "cpubalance/scan.h"
#include "log.h"

#define NOTE_ENDING	 "ending"
#define NOTE_CRASHES	 "crashes"
#define ASK_TIMEOUT_USEC (2 * CB_USEC_PER_SEC)
/* So many crashes in so short a time, and the next start is not waited for. */
#define CRASHES_MAX	   3u
#define CRASHES_WITHIN_SEC 60u

/* --- notifications --- */

void cb_service_status(struct cb_manager *m)
{
	static char told[sizeof(m->status)];

	if (strcmp(told, m->status) == 0)
		return;
	memcpy(told, m->status, sizeof(told));
	sd_notifyf(0, "STATUS=%s", m->status);
}

void cb_service_ready(struct cb_manager *m)
{
	if (m->ready || m->n_samples == 0 || !cb_server_settled(m->server))
		return;
	m->ready = true;
	sd_notify(0, "READY=1");
	cb_service_status(m);
}

void cb_service_reloading(const struct cb_manager *m)
{
	sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, cb_manager_now(m));
}

void cb_service_reloaded(void)
{
	sd_notify(0, "READY=1");
}

void cb_service_stopping(void)
{
	sd_notify(0, "STOPPING=1\nSTATUS=putting originals back");
}

/* --- watchdog --- */

static uint64_t watchdog_usec; /* how often */

/* A loop that turns is not enough: the tick has to have run lately too. */
static int on_watchdog(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct cb_manager *m = userdata;
	uint64_t patience = 2 * m->policy->sample_interval_usec * CB_MAX(m->tick_every, 1u) +
			    watchdog_usec;

	if (m->last_tick_usec == 0 || cb_manager_now(m) - m->last_tick_usec < patience)
		sd_notify(0, "WATCHDOG=1");
	sd_event_source_set_time(source, usec + watchdog_usec);
	return sd_event_source_set_enabled(source, SD_EVENT_ON);
}

int cb_service_watchdog_start(struct cb_manager *m)
{
	uint64_t limit_usec = 0;

	if (sd_watchdog_enabled(0, &limit_usec) <= 0 || limit_usec == 0)
		return 0;
	watchdog_usec = CB_MAX(limit_usec / 3, UINT64_C(1000));
	return sd_event_add_time(m->event, &m->watchdog_source, CLOCK_MONOTONIC, cb_manager_now(m),
				 watchdog_usec / 10, on_watchdog, m);
}

/* --- stop or restart --- */

static void bus_closep(sd_bus **bus)
{
	sd_bus_close_unref(*bus);
}

static void message_unrefp(sd_bus_message **message)
{
	sd_bus_message_unref(*message);
}

static void freep(char **p)
{
	free(*p);
}

#define SYSTEMD "org.freedesktop.systemd1"

static int queued_job(sd_bus *bus, char **ret_type)
{
	_cleanup_(message_unrefp) sd_bus_message *unit = NULL, *job = NULL;
	const char *path;
	uint32_t id;
	int r;

	r = sd_bus_call_method(bus, SYSTEMD, "/org/freedesktop/systemd1", SYSTEMD ".Manager",
			       "GetUnitByPID", NULL, &unit, "u", (uint32_t)getpid());
	if (r < 0)
		return r;
	r = sd_bus_message_read(unit, "o", &path);
	if (r < 0)
		return r;
	r = sd_bus_get_property(bus, SYSTEMD, path, SYSTEMD ".Unit", "Job", NULL, &job, "(uo)");
	if (r < 0)
		return r;
	r = sd_bus_message_read(job, "(uo)", &id, &path);
	if (r < 0)
		return r;
	if (id == 0)
		return -ENOENT;
	return sd_bus_get_property_string(bus, SYSTEMD, path, SYSTEMD ".Job", "JobType", NULL,
					  ret_type);
}

bool cb_service_restart_queued(void)
{
	_cleanup_(bus_closep) sd_bus *bus = NULL;
	_cleanup_(freep) char *type = NULL;
	int r;

	if (!getenv("INVOCATION_ID")) /* not started by a service manager */
		return false;
	r = sd_bus_open_system(&bus);
	if (r >= 0)
		r = sd_bus_set_method_call_timeout(bus, ASK_TIMEOUT_USEC);
	if (r >= 0)
		r = queued_job(bus, &type);
	if (r < 0 && r != -ENOENT)
		cb_log(LOG_WARNING,
		       "Failed to ask the service manager whether this is a restart (%s): "
		       "taken for a stop",
		       strerror(-r));
	return r >= 0 && (strcmp(type, "restart") == 0 || strcmp(type, "try-restart") == 0);
}

/* --- notes in RUN_DIR --- */

static int open_run_dir(const char *run_dir)
{
	return open(run_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/* Whole file or nothing; @text "" removes it. */
static void note_write(const char *run_dir, const char *name, const char *text)
{
	int dir = open_run_dir(run_dir), fd;
	size_t len = strlen(text);
	bool done = false;

	if (dir < 0)
		return;
	unlinkat(dir, name, 0);
	if (len > 0) {
		fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd >= 0) {
			done = write(fd, text, len) == (ssize_t)len;
			close(fd);
		}
		if (!done)
			unlinkat(dir, name, 0);
	}
	close(dir);
}

/* Returns the length, 0 when there is none. */
static size_t note_read(const char *run_dir, const char *name, char *buf, size_t size)
{
	int dir = open_run_dir(run_dir), fd;
	ssize_t n = 0;

	buf[0] = '\0';
	if (dir < 0)
		return 0;
	fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd >= 0) {
		n = read(fd, buf, size - 1);
		close(fd);
	}
	close(dir);
	n = CB_MAX(n, 0);
	buf[n] = '\0';
	return (size_t)n;
}

void cb_service_note_ending(const char *run_dir, bool keep)
{
	note_write(run_dir, NOTE_ENDING, keep ? "keep\n" : "restore\n");
}

void cb_service_note_clear(const char *run_dir)
{
	note_write(run_dir, NOTE_ENDING, "");
}

/* Count this crash; times are seconds since boot, one a line. */
static uint32_t count_crash(const char *run_dir)
{
	char old[512], text[640];
	struct timespec now;
	uint32_t n = 1;
	int len;

	clock_gettime(CLOCK_BOOTTIME, &now);
	note_read(run_dir, NOTE_CRASHES, old, sizeof(old));
	len = snprintf(text, sizeof(text), "%jd\n", (intmax_t)now.tv_sec);
	for (char *save, *line = strtok_r(old, "\n", &save); line && n < 16;
	     line = strtok_r(NULL, "\n", &save)) {
		struct cb_scan s = CB_SCAN(line, strlen(line));
		uint64_t at;

		if (!cb_scan_u64(&s, &at) || at > (uint64_t)now.tv_sec ||
		    (uint64_t)now.tv_sec - at > CRASHES_WITHIN_SEC)
			continue;
		len += snprintf(text + len, sizeof(text) - (size_t)len, "%" PRIu64 "\n", at);
		n++;
	}
	note_write(run_dir, NOTE_CRASHES, text);
	return n;
}

/* Its command line or its configuration was wrong, or another one runs: it has come to nothing, and changed nothing. */
static bool never_began(void)
{
	const char *result = getenv("SERVICE_RESULT");
	const char *code = getenv("EXIT_CODE"), *status = getenv("EXIT_STATUS");

	return result && strcmp(result, "exit-code") == 0 && code && strcmp(code, "exited") == 0 &&
	       status && strlen(status) == 1 && strchr("234", status[0]);
}

/* Results after which Restart=on-failure starts the service again, and which are no error that starting cannot mend. */
static bool crashed(void)
{
	const char *result = getenv("SERVICE_RESULT");
	const char *code = getenv("EXIT_CODE"), *status = getenv("EXIT_STATUS");

	if (!result)
		return false;
	if (strcmp(result, "exit-code") == 0)
		return code && strcmp(code, "exited") == 0 && status && strcmp(status, "1") == 0;
	return strcmp(result, "signal") == 0 || strcmp(result, "core-dump") == 0 ||
	       strcmp(result, "watchdog") == 0 || strcmp(result, "oom-kill") == 0;
}

bool cb_service_placements_stay(const char *run_dir, const char **ret_why)
{
	char note[16];

	note_read(run_dir, NOTE_ENDING, note, sizeof(note));
	if (strcmp(note, "restore\n") != 0 && never_began()) {
		*ret_why =
			"the service could not start, for the reason above; they are taken over when it can, and "
			"cpubalanced --restore ends them";
		return true;
	}
	if (strcmp(note, "keep\n") == 0) {
		*ret_why = "the service is being restarted";
		return true;
	}
	if (note[0] || !crashed()) {
		*ret_why = "the service has stopped";
		return false;
	}
	if (count_crash(run_dir) >= CRASHES_MAX) {
		*ret_why = "the service has crashed too often";
		return false;
	}
	*ret_why = "the service has crashed and will be started again";
	return true;
}
