/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Its protocol (sock_handle() in irqbalance.c of irqbalance 1.4 to 1.9): one message of less than 500 bytes for each connection, from
 * root. "setup" is answered with the interrupts that it leaves alone; "settings ban irqs 38 39" replaces them all, without
 * an answer, and has it look at everything anew. So its list is read, what we want is added to what is others', the journal is
 * told what of the union is ours, the union is sent, and the list is read again. To end, ours are left out and the same is done.
 *
 * Whoever asks has to stay for the answer, however long it takes: irqbalance does not expect that nobody reads it, and would be ended by
 * SIGPIPE. So a connection with a question is never closed before it was answered, unless we are killed just then.
 *
 * Bans end with the process. A list that somebody else has replaced meanwhile is left as it is: two who set the same list in turns would
 * have every interrupt placed anew each time. Then interrupts are irqbalance's again, as without coordination.
 */
#include "irqbalance.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "fault.h"
#include "host_internal.h"
#include "writer.h"

#define SOCKET_DIR  "/run/irqbalance"
#define MESSAGE_MAX 480u
/* It sleeps for its interval, ten seconds by default, when it has looked at everything anew. */
#define PATIENCE_USEC (60 * CB_USEC_PER_SEC)
#define AGAIN_USEC    (60 * CB_USEC_PER_SEC)
#define CHECK_USEC    (600 * CB_USEC_PER_SEC)
#define FAREWELL_MSEC 15000
#define END_STEP_MSEC 20u

/* --- sets of interrupts, ascending --- */

static bool has(const struct cb_bans *set, uint32_t irq)
{
	for (uint32_t i = 0; i < set->n && set->irq[i] <= irq; i++)
		if (set->irq[i] == irq)
			return true;
	return false;
}

/* False when there is no more room. */
static bool add(struct cb_bans *set, uint32_t irq)
{
	uint32_t at = set->n;

	if (has(set, irq))
		return true;
	if (set->n == CB_BANS_MAX)
		return false;
	for (; at > 0 && set->irq[at - 1] > irq; at--)
		set->irq[at] = set->irq[at - 1];
	set->irq[at] = irq;
	set->n++;
	return true;
}

static bool add_all(struct cb_bans *set, const struct cb_bans *other)
{
	bool fits = true;

	for (uint32_t i = 0; i < other->n; i++)
		fits = add(set, other->irq[i]) && fits;
	return fits;
}

/* Those of @set that are in @other, or (@in false) that are not. */
static struct cb_bans pick(const struct cb_bans *set, const struct cb_bans *other, bool in)
{
	struct cb_bans ret = { .n = 0 };

	for (uint32_t i = 0; i < set->n; i++)
		if (has(other, set->irq[i]) == in)
			ret.irq[ret.n++] = set->irq[i];
	return ret;
}

static bool contains(const struct cb_bans *set, const struct cb_bans *other)
{
	return pick(other, set, false).n == 0;
}

static bool same(const struct cb_bans *a, const struct cb_bans *b)
{
	return a->n == b->n && contains(a, b);
}

/* --- the connection --- */

static void hang_up(struct cb_irqbalance *ib)
{
	cb_closep(&ib->fd);
	ib->phase = CB_IRQBALANCE_IDLE;
}

/* Give up for now. */
static void give_up(struct cb_irqbalance *ib, uint64_t now_usec, const char *why)
{
	hang_up(ib);
	ib->seen = (struct cb_bans){ .n = 0 };
	ib->next_usec = now_usec + AGAIN_USEC;
	snprintf(ib->why, sizeof(ib->why), "%s", why);
}

/* For all we know it leaves nothing alone any more; but see above. */
static void no_answer(struct cb_irqbalance *ib)
{
	ib->seen = (struct cb_bans){ .n = 0 };
	snprintf(ib->why, sizeof(ib->why), "it does not answer");
}

static void say(struct cb_irqbalance *ib, uint64_t now_usec, enum cb_irqbalance_phase phase,
		const char *message)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t len = strlen(message);
	char why[160];

	cb_closep(&ib->fd);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/irqbalance%d.sock", ib->dir,
		 ib->pid);
	ib->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (ib->fd < 0 || connect(ib->fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    send(ib->fd, message, len, MSG_NOSIGNAL) != (ssize_t)len) {
		snprintf(why, sizeof(why), "its socket %s cannot be used: %s", address.sun_path,
			 strerror(errno));
		give_up(ib, now_usec, why);
		return;
	}
	ib->phase = phase;
	ib->since_usec = now_usec;
	ib->len = 0;
}

/* 1: it has said all, 0: not yet, negative errno. */
static int hear(struct cb_irqbalance *ib)
{
	for (;;) {
		ssize_t n = recv(ib->fd, ib->answer + ib->len, sizeof(ib->answer) - ib->len, 0);

		if (n == 0)
			return 1;
		if (n < 0)
			return errno == EAGAIN || errno == EINTR ? 0 : -errno;
		ib->len += (size_t)n;
		if (ib->len == sizeof(ib->answer))
			return -EMSGSIZE;
	}
}

/* --- what is said --- */

static int parse_list(struct cb_irqbalance *ib, struct cb_bans *ret)
{
	uint32_t irq[CB_BANS_MAX];
	size_t n;
	int r = cb_irqbalance_parse(ib->answer, ib->len, irq, CB_ARRAY_SIZE(irq), &n);

	*ret = (struct cb_bans){ .n = 0 };
	for (size_t i = 0; r == 0 && i < n; i++)
		(void)add(ret, irq[i]);
	return r;
}

/* False when it does not fit into one message. */
static bool ban_message(const struct cb_bans *bans, char message[MESSAGE_MAX])
{
	size_t len = (size_t)snprintf(message, MESSAGE_MAX, "settings ban irqs %s",
				      bans->n == 0 ? "NONE" : "");

	for (uint32_t i = 0; i < bans->n && len < MESSAGE_MAX; i++)
		len += (size_t)snprintf(message + len, MESSAGE_MAX - len, "%u ", bans->irq[i]);
	return len < MESSAGE_MAX;
}

static int remember(struct cb_irqbalance *ib, struct cb_journal *journal,
		    const struct cb_bans *bans)
{
	struct cb_bans next = *bans;

	if (same(&next, cb_journal_bans(journal)))
		return 0;
	next.pid = next.n > 0 ? ib->pid : 0;
	next.start_ticks = next.n > 0 ? ib->start_ticks : 0;
	return cb_journal_set_bans(journal, &next, NULL);
}

/* All is as it should be: what we want is in @present. */
static void settle(struct cb_irqbalance *ib, struct cb_journal *journal, uint64_t now_usec,
		   const struct cb_bans *present)
{
	if (remember(ib, journal, &ib->ours) < 0) {
		give_up(ib, now_usec, "the journal cannot record its bans");
		return;
	}
	hang_up(ib);
	ib->seen = *present;
	ib->next_usec = now_usec + CHECK_USEC;
	ib->why[0] = '\0';
}

/* Its list is known: what is it to become? */
static void on_list(struct cb_irqbalance *ib, struct cb_journal *journal, uint64_t now_usec,
		    const struct cb_bans *present)
{
	const struct cb_bans recorded = *cb_journal_bans(journal);
	struct cb_bans others = pick(present, &recorded, false), next = others, covered;
	char message[MESSAGE_MAX];

	if (ib->seen.n > 0 && !contains(present, &recorded)) {
		ib->yielded = true;
		(void)remember(ib, journal, &(struct cb_bans){ .n = 0 });
		give_up(ib, now_usec, "somebody else has replaced its bans");
		return;
	}
	ib->ours = pick(&ib->want, &others, false);
	if (!add_all(&next, &ib->want) || !ban_message(&next, message)) {
		give_up(ib, now_usec, "there are more interrupts than its socket takes");
		return;
	}
	if (same(&next, present)) {
		settle(ib, journal, now_usec, present);
		return;
	}
	/* What may be ours there from here on, whichever side of the message we die on. */
	covered = pick(&recorded, present, true);
	(void)add_all(&covered, &ib->ours);
	if (remember(ib, journal, &covered) < 0) {
		give_up(ib, now_usec, "the journal cannot record its bans");
		return;
	}
	CB_FAULT_POINT("irqbalance-set");
	say(ib, now_usec, CB_IRQBALANCE_TELLING, message);
	CB_FAULT_POINT("irqbalance-set-done");
}

static void on_answer(struct cb_irqbalance *ib, struct cb_journal *journal, uint64_t now_usec)
{
	enum cb_irqbalance_phase phase = ib->phase;
	struct cb_bans present;

	if (phase == CB_IRQBALANCE_TELLING) {
		say(ib, now_usec, CB_IRQBALANCE_CHECKING, "setup");
		return;
	}
	if (parse_list(ib, &present) < 0)
		give_up(ib, now_usec, "its answer is not understood");
	else if (phase == CB_IRQBALANCE_ASKING)
		on_list(ib, journal, now_usec, &present);
	else if (contains(&present, &ib->want))
		settle(ib, journal, now_usec, &present);
	else
		give_up(ib, now_usec, "it does not keep the bans");
}

/* --- which irqbalance --- */

static bool ended(const struct cb_irqbalance *ib)
{
	struct pollfd pollfd = { .fd = ib->pidfd, .events = POLLIN };

	return ib->pidfd < 0 || poll(&pollfd, 1, 0) > 0;
}

static void forget_instance(struct cb_irqbalance *ib)
{
	hang_up(ib);
	cb_closep(&ib->pidfd);
	ib->pid = 0;
	ib->seen = ib->want = (struct cb_bans){ .n = 0 };
	ib->next_usec = 0;
	ib->yielded = false;
	ib->why[0] = '\0';
}

/* The one that runs. Steady: one poll() of its descriptor. */
static void find_instance(struct cb_host *host, struct cb_irqbalance *ib)
{
	int32_t pid = host->owner_pid[CB_PROCESS_IRQBALANCE];
	struct cb_worker_identity identity;

	if (ib->pid != 0 && (ib->pid != pid || ended(ib)))
		forget_instance(ib);
	if (ib->pid != 0 || pid <= 0 || !cb_host_process_runs(host, CB_PROCESS_IRQBALANCE))
		return;
	ib->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (ib->pidfd < 0 || cb_host_identify(host, pid, &identity, NULL) < 0) {
		cb_closep(&ib->pidfd);
		return;
	}
	ib->pid = pid;
	ib->start_ticks = identity.start_ticks;
}

static struct cb_irqbalance *state_of(struct cb_host *host)
{
	struct cb_irqbalance *ib = host->irqbalance;

	if (ib)
		return ib;
	ib = host->irqbalance = calloc(1, sizeof(*ib));
	if (!ib)
		return NULL;
	ib->fd = ib->pidfd = -1;
	snprintf(ib->dir, sizeof(ib->dir), "%s", SOCKET_DIR);
	return ib;
}

struct cb_irqbalance *cb_irqbalance_free(struct cb_irqbalance *ib)
{
	struct pollfd pollfd = { .events = POLLIN };

	if (!ib)
		return NULL;
	pollfd.fd = ib->fd;
	if (ib->phase == CB_IRQBALANCE_ASKING || ib->phase == CB_IRQBALANCE_CHECKING)
		(void)poll(&pollfd, 1, FAREWELL_MSEC);
	cb_closep(&ib->fd);
	cb_closep(&ib->pidfd);
	free(ib);
	return NULL;
}

/* --- from outside --- */

/* Bans of another irqbalance have ended with it. */
static void drop_stale(const struct cb_host *host, const struct cb_irqbalance *ib,
		       struct cb_journal *journal)
{
	const struct cb_bans *bans = cb_journal_bans(journal);
	int r = 0;

	/* It runs, and could not be looked at just now. */
	if (ib->pid == 0 && host->owner_pid[CB_PROCESS_IRQBALANCE] > 0)
		return;
	if (bans->n > 0 && (bans->pid != ib->pid || bans->start_ticks != ib->start_ticks))
		r = cb_journal_set_bans(journal, &(struct cb_bans){ .n = 0 }, NULL);
	(void)r; /* the next tick tries again */
}

static void go_on(struct cb_irqbalance *ib, struct cb_journal *journal, uint64_t now_usec,
		  const struct cb_bans *want)
{
	int r;

	if (want->n == 0)
		ib->yielded = false; /* whoever opts in anew may try anew */
	if (ib->phase == CB_IRQBALANCE_IDLE) {
		bool news = !same(want, &ib->want);

		if ((want->n == 0 && cb_journal_bans(journal)->n == 0) ||
		    (!news && now_usec < ib->next_usec) || ib->yielded)
			return;
		ib->want = *want;
		say(ib, now_usec, CB_IRQBALANCE_ASKING, "setup");
		return;
	}
	r = hear(ib);
	if (r < 0)
		give_up(ib, now_usec, strerror(-r));
	else if (r > 0)
		on_answer(ib, journal, now_usec);
	else if (now_usec - ib->since_usec > PATIENCE_USEC)
		no_answer(ib);
}

bool cb_irqbalance_tick(struct cb_host *host, struct cb_journal *journal, const uint32_t *irqs,
			uint32_t n, const char **ret_why)
{
	struct cb_irqbalance *ib;
	struct cb_bans want;
	bool fits = true;

	*ret_why = "";
	/* Whoever has not opted in pays nothing. */
	if (n == 0 && cb_journal_bans(journal)->n == 0 && !host->irqbalance)
		return false;
	ib = state_of(host);
	if (!ib || !host->live)
		return false;
	want = (struct cb_bans){ .n = 0 };
	for (uint32_t i = 0; i < n && fits; i++)
		fits = irqs[i] == 0 || add(&want, irqs[i]); /* it cannot be told of interrupt 0 */
	if (!fits)
		want.n = 0;
	find_instance(host, ib);
	drop_stale(host, ib, journal);
	if (ib->pid == 0)
		return false;
	go_on(ib, journal, cb_host_now_usec(host), &want);
	*ret_why = fits ? ib->why : "there are more interrupts than its socket takes";
	return want.n > 0 && contains(&ib->seen, &want);
}

bool cb_irqbalance_end(struct cb_host *host, struct cb_journal *journal, uint32_t wait_msec)
{
	const char *why;

	if (cb_journal_bans(journal)->n == 0)
		return true;
	(void)cb_host_irqbalance_runs(host);
	for (uint32_t msec = 0; msec <= wait_msec; msec += END_STEP_MSEC) {
		(void)cb_irqbalance_tick(host, journal, NULL, 0, &why);
		if (cb_journal_bans(journal)->n == 0)
			return true;
		if (host->irqbalance && host->irqbalance->phase == CB_IRQBALANCE_IDLE)
			host->irqbalance->next_usec = 0;
		host->writer->ops->sleep_msec(host->writer, END_STEP_MSEC);
	}
	return false;
}
