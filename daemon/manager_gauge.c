/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ServiceMetric=: the number that the operator judges a group by. The daemon is root, so it runs no command and opens no connection to
 * anybody's server: cpubalanced-gauge(8) does, as a user without privileges, and writes a line for each number to a unix
 * socket. Here the lines are read as they come, between ticks; a tick takes the last number and waits for nothing.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cpubalance/sources.h"
#include "log.h"
#include "manager.h"

#define RETRY_USEC (10 * CB_USEC_PER_SEC)
/* A command may take five seconds; a number is the present one until the next could have come. */
#define FRESH_USEC(interval_usec) (6 * CB_USEC_PER_SEC + 2 * (interval_usec))

/* Say what has changed; the group's note shows it as long as it lasts. */
static void note(struct cb_registration *registration, const char *why)
{
	struct cb_gauge *gauge = &registration->gauge;
	struct cb_log_fields fields = CB_LOG_NO_FIELDS;

	if (strncmp(gauge->note, why, sizeof(gauge->note) - 1) == 0)
		return;
	snprintf(gauge->note, sizeof(gauge->note), "%s", why);
	fields.group = registration->policy.name;
	if (why[0])
		cb_log_with(LOG_WARNING, &fields, "No ServiceMetric= of group %s: %s", fields.group,
			    why);
	else
		cb_log_with(LOG_INFO, &fields, "ServiceMetric= of group %s is read", fields.group);
}

void cb_manager_gauge_close(struct cb_registration *registration)
{
	struct cb_gauge *gauge = &registration->gauge;

	gauge->source = sd_event_source_disable_unref(gauge->source);
	gauge->len = 0;
	gauge->has = false;
	gauge->note[0] = '\0';
}

/* One answer, without its newline. A number that does not come is no news before it is old. */
static void take_line(struct cb_registration *registration, const char *line, size_t len)
{
	struct cb_gauge *gauge = &registration->gauge;
	double value;

	if (len > 2 && line[0] == '+' && line[1] == ' ' &&
	    cb_gauge_parse(line + 2, len - 2, &value) == 0) {
		gauge->value = value;
		gauge->at_usec = cb_manager_now(registration->manager);
		gauge->has = true;
		note(registration, "");
	} else if (len > 2 && line[0] == '!' && line[1] == ' ') {
		char why[sizeof(gauge->note)];

		snprintf(why, sizeof(why), "%.*s", (int)(len - 2), line + 2);
		note(registration, why);
	} else {
		note(registration, "its answer is not understood");
	}
}

static void take_lines(struct cb_registration *registration)
{
	struct cb_gauge *gauge = &registration->gauge;
	const char *end;

	while ((end = memchr(gauge->line, '\n', gauge->len))) {
		size_t len = (size_t)(end - gauge->line);

		take_line(registration, gauge->line, len);
		gauge->len -= len + 1;
		memmove(gauge->line, end + 1, gauge->len);
	}
	if (gauge->len == sizeof(gauge->line))
		gauge->len = 0; /* no line of ours is so long */
}

static void lost(struct cb_registration *registration, const char *why)
{
	cb_manager_gauge_close(registration);
	registration->gauge.next_usec = cb_manager_now(registration->manager) + RETRY_USEC;
	note(registration, why);
}

static int on_line(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct cb_registration *registration = userdata;
	struct cb_gauge *gauge = &registration->gauge;
	ssize_t n = read(fd, gauge->line + gauge->len, sizeof(gauge->line) - gauge->len);

	(void)source;
	(void)revents;
	if (n > 0) {
		gauge->len += (size_t)n;
		take_lines(registration);
	} else if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		lost(registration, "cpubalanced-gauge has ended the connection");
	}
	return 0;
}

/* A unix socket answers at once, or never: nothing is waited for. */
static int ask(struct cb_registration *registration, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct cb_gauge *gauge = &registration->gauge;
	char request[CB_PATH_MAX + 32];
	int fd, len, r = 0;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path));
	len = snprintf(request, sizeof(request), "%" PRIu64 " %s\n", gauge->interval_usec,
		       gauge->asked);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    send(fd, request, (size_t)len, MSG_NOSIGNAL) != len)
		r = -errno;
	if (r == 0)
		r = sd_event_add_io(registration->manager->event, &gauge->source, fd, EPOLLIN,
				    on_line, registration);
	if (r < 0) {
		close(fd);
		return r;
	}
	return sd_event_source_set_io_fd_own(gauge->source, true);
}

static bool wanted(const struct cb_registration *registration)
{
	const struct cb_manager *m = registration->manager;

	return registration->from_config && registration->policy.service_metric[0] &&
	       !m->options.sysroot && m->policy->gauge_socket[0];
}

static void attend(struct cb_registration *registration)
{
	struct cb_manager *m = registration->manager;
	struct cb_gauge *gauge = &registration->gauge;
	bool want = wanted(registration);
	char why[CB_PATH_MAX + 64];
	int r;

	if (gauge->source && (!want || gauge->interval_usec != m->policy->sample_interval_usec ||
			      strcmp(gauge->asked, registration->policy.service_metric) != 0)) {
		cb_manager_gauge_close(registration);
		gauge->next_usec = 0;
	}
	if (!want || gauge->source || cb_manager_now(m) < gauge->next_usec)
		return;
	memcpy(gauge->asked, registration->policy.service_metric, sizeof(gauge->asked));
	gauge->interval_usec = m->policy->sample_interval_usec;
	r = ask(registration, m->policy->gauge_socket);
	if (r >= 0)
		return;
	snprintf(why, sizeof(why), "cpubalanced-gauge is not there (%s: %s)",
		 m->policy->gauge_socket, strerror(-r));
	lost(registration, why);
}

void cb_manager_gauges(struct cb_manager *m)
{
	for (uint32_t i = 0; i < m->n_registrations; i++)
		attend(m->registration[i]);
}

void cb_manager_gauges_fill(struct cb_manager *m)
{
	uint64_t now_usec = m->tick_begin_usec;

	for (uint32_t i = 0; i < m->snapshot.n_groups; i++) {
		struct cb_group_sample *sample = &m->snapshot.group[i];
		const struct cb_registration *registration =
			cb_manager_group_by_key(m, sample->key);
		const struct cb_gauge *gauge = registration ? &registration->gauge : NULL;

		if (!gauge || !gauge->has ||
		    now_usec - gauge->at_usec > FRESH_USEC(gauge->interval_usec))
			continue;
		sample->present |= CB_GROUP_HAS_METRIC;
		sample->metric = gauge->value;
		sample->metric_falls = registration->policy.metric_falls;
	}
}
