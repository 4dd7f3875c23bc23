/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A hold is the read end of a pipe: it hangs up when the last copy of the client's end is closed, which the kernel does
 * for a client that dies. Nothing is ever read from it.
 */
#include "hold.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "log.h"

struct hold {
	struct cb_holds *holds;
	sd_event_source *source; /* owns the descriptor; NULL: this one is free */
	char who[64];
};

struct cb_holds {
	struct cb_manager *manager;
	struct hold hold[CB_HOLDS_MAX];
	uint32_t n;
	bool paused;	     /* by the operator */
	uint64_t until_usec; /* 0: until resumed */
	char text[256];
};

struct cb_holds *cb_holds_new(struct cb_manager *m)
{
	struct cb_holds *holds = calloc(1, sizeof(*holds));

	if (holds)
		holds->manager = m;
	return holds;
}

struct cb_holds *cb_holds_free(struct cb_holds *holds)
{
	if (!holds)
		return NULL;
	for (size_t i = 0; i < CB_HOLDS_MAX; i++)
		sd_event_source_disable_unref(holds->hold[i].source);
	free(holds);
	return NULL;
}

uint32_t cb_holds_count(const struct cb_holds *holds)
{
	return holds->n;
}

/* What the operator has said, as it is before the first hold. */
static void remember(struct cb_holds *holds)
{
	struct cb_manager *m = holds->manager;

	cb_manager_report(m);
	holds->paused = m->report.paused;
	holds->until_usec =
		m->report.paused_left_usec > 0 ? cb_manager_now(m) + m->report.paused_left_usec : 0;
}

/* The last hold has ended: the operator's word again. */
static void give_back(struct cb_holds *holds)
{
	struct cb_command command = { .kind = CB_COMMAND_RESUME };
	uint64_t now_usec = cb_manager_now(holds->manager);
	struct cb_answer answer;

	if (holds->paused && (holds->until_usec == 0 || holds->until_usec > now_usec)) {
		command.kind = CB_COMMAND_PAUSE;
		command.span_usec = holds->until_usec ? holds->until_usec - now_usec : 0;
	}
	if (cb_manager_command(holds->manager, &command, &answer) < 0)
		cb_log(LOG_ERR, "Failed to go on after the last hold: %s", answer.text);
	cb_manager_report(holds->manager);
}

static int on_hang_up(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	struct hold *hold = userdata;
	struct cb_holds *holds = hold->holds;

	(void)source;
	(void)fd;
	(void)events;
	cb_log(LOG_NOTICE, "Hold of %s has ended", hold->who);
	hold->source = sd_event_source_disable_unref(hold->source);
	holds->n--;
	if (holds->n == 0)
		give_back(holds);
	return 0;
}

static struct hold *find_free(struct cb_holds *holds)
{
	for (size_t i = 0; i < CB_HOLDS_MAX; i++)
		if (!holds->hold[i].source)
			return &holds->hold[i];
	return NULL;
}

static int pause_engine(struct cb_holds *holds, struct cb_answer *ret)
{
	const struct cb_command command = { .kind = CB_COMMAND_PAUSE };

	remember(holds);
	return cb_manager_command(holds->manager, &command, ret);
}

int cb_holds_take(struct cb_holds *holds, const char *who, int *ret, struct cb_answer *ret_answer)
{
	struct hold *hold = find_free(holds);
	int fds[2], r;

	*ret_answer = (struct cb_answer){ .text = "" };
	if (!hold)
		return -E2BIG;
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	r = holds->n == 0 ? pause_engine(holds, ret_answer) : 0;
	if (r >= 0)
		r = sd_event_add_io(holds->manager->event, &hold->source, fds[0], EPOLLHUP,
				    on_hang_up, hold);
	if (r < 0) {
		close(fds[0]);
		close(fds[1]);
		return r;
	}
	sd_event_source_set_io_fd_own(hold->source, 1);
	hold->holds = holds;
	snprintf(hold->who, sizeof(hold->who), "%s", who);
	holds->n++;
	cb_manager_report(holds->manager);
	cb_log(LOG_NOTICE, "Hold of %s: nothing is moved until it ends", who);
	*ret = fds[1];
	return 0;
}

bool cb_holds_pause(struct cb_holds *holds, uint64_t span_usec)
{
	if (holds->n == 0)
		return false;
	holds->paused = true;
	holds->until_usec = span_usec ? cb_manager_now(holds->manager) + span_usec : 0;
	return true;
}

bool cb_holds_resume(struct cb_holds *holds)
{
	if (holds->n == 0)
		return false;
	holds->paused = false;
	return true;
}

const char *cb_holds_who(struct cb_holds *holds)
{
	size_t len = 0;

	holds->text[0] = '\0';
	for (size_t i = 0; i < CB_HOLDS_MAX; i++)
		if (holds->hold[i].source && len < sizeof(holds->text))
			len += (size_t)snprintf(holds->text + len, sizeof(holds->text) - len,
						"%s%s", len ? ", " : "", holds->hold[i].who);
	return holds->text;
}
