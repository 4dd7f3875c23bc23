/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * JOURNAL_STREAM= holds the device and inode of the stream that the service manager has connected; only when stderr
 * is still that stream does a native record reach the same reader as a printed line would.
 */
#include "log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <systemd/sd-journal.h>

#include "cpubalance/plan.h"

#define LOG_FIELDS_MAX 18u
#define LOG_FIELD_SIZE 1024u

static bool to_journal;
static int level = LOG_INFO;

static bool journal_is_connected(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	char own[64];
	struct stat st;

	if (!stream || fstat(STDERR_FILENO, &st) < 0)
		return false;
	snprintf(own, sizeof(own), "%ju:%ju", (uintmax_t)st.st_dev, (uintmax_t)st.st_ino);
	return strcmp(own, stream) == 0;
}

void cb_log_init(void)
{
	level = getenv("CPUBALANCED_DEBUG") ? LOG_DEBUG : LOG_INFO;
	to_journal = journal_is_connected();
}

void cb_log_set_level(int priority)
{
	level = priority;
}

int cb_log_level(void)
{
	return level;
}

int cb_log_set_target(const char *target)
{
	if (strcmp(target, "auto") == 0)
		to_journal = journal_is_connected();
	else if (strcmp(target, "journal") == 0 || strcmp(target, "console") == 0)
		to_journal = strcmp(target, "journal") == 0;
	else
		return -EINVAL;
	return 0;
}

const char *cb_log_target(void)
{
	return to_journal ? "journal" : "console";
}

struct record {
	char text[LOG_FIELDS_MAX][LOG_FIELD_SIZE];
	struct iovec iov[LOG_FIELDS_MAX];
	int n;
};

static void _printf_(2, 3) record_add(struct record *record, const char *fmt, ...)
{
	char *text = record->text[record->n];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, LOG_FIELD_SIZE, fmt, ap);
	va_end(ap);
	record->iov[record->n++] = (struct iovec){ .iov_base = text, .iov_len = strlen(text) };
}

static void add_judgement(struct record *record, const struct cb_judgement *judged)
{
	if (judged->measure && judged->measure[0]) {
		record_add(record, "MEASURE=%s", judged->measure);
		record_add(record, "EFFECT=%.4f", judged->effect_ratio);
		record_add(record, "P_VALUE=%.4f", judged->p_value);
	}
	record_add(record, "WINDOWS_BEFORE=%" PRIu32, judged->n_before);
	record_add(record, "WINDOWS_AFTER=%" PRIu32, judged->n_after);
	if (judged->n_before == 0 || judged->n_after == 0)
		return;
	record_add(record, "SERVED_EFFECT=%.4f", judged->served_effect_ratio);
	record_add(record, "SERVED_P_VALUE=%.4f", judged->served_p_value);
	record_add(record, "WAIT_BEFORE=%.4f", judged->wait_before_ratio);
	record_add(record, "WAIT_AFTER=%.4f", judged->wait_after_ratio);
}

static bool send_to_journal(int priority, const struct cb_log_fields *fields, const char *message)
{
	struct record record = { .n = 0 };

	record_add(&record, "MESSAGE=%s", message);
	record_add(&record, "PRIORITY=%d", priority);
	record_add(&record, "SYSLOG_IDENTIFIER=cpubalanced");
	if (fields->cpu >= 0)
		record_add(&record, "CPU=%d", fields->cpu);
	if (fields->plan_id > 0)
		record_add(&record, "PLAN=%" PRIu32, fields->plan_id);
	if (fields->finding)
		record_add(&record, "FINDING=%s", fields->finding);
	if (fields->verdict)
		record_add(&record, "VERDICT=%s", fields->verdict);
	if (fields->group && fields->group[0])
		record_add(&record, "GROUP=%s", fields->group);
	if (fields->worker)
		record_add(&record, "WORKER=%s", fields->worker);
	if (fields->judgement)
		add_judgement(&record, fields->judgement);
	return sd_journal_sendv(record.iov, record.n) >= 0;
}

void cb_log_with(int priority, const struct cb_log_fields *fields, const char *fmt, ...)
{
	char message[LOG_FIELD_SIZE - sizeof("MESSAGE=")];
	va_list ap;

	if (priority > level)
		return;
	va_start(ap, fmt);
	vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	if (to_journal && send_to_journal(priority, fields, message))
		return;
	fprintf(stderr, "cpubalanced: %s\n", message);
}
