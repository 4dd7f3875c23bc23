/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * `cpubalanced --restore`: everything back from the journal alone, after a daemon that has stopped, crashed or been
 * removed. It has no later tick to finish what waits, so it waits itself, for a bounded time.
 */
#include "apply_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "host_internal.h"
#include "journal_internal.h"

#define WAIT_MSEC      2000u /* for the next occurrence of interrupts */
#define WAIT_STEP_MSEC 50u

static void restore_pending(struct cb_change *change, bool now)
{
	const struct cb_select select = { .pending = true };

	change->n_pending = 0;
	cb_restore_selected(change, &select, now);
}

/* Interrupts that have not gone home in time get their mask nevertheless; say where they still land. Returns how many. */
static uint32_t finish(struct cb_change *change)
{
	uint32_t waiting;

	for (uint32_t msec = 0; cb_journal_n_pending(change->journal) > 0 && msec < WAIT_MSEC;
	     msec += WAIT_STEP_MSEC) {
		change->writer->ops->sleep_msec(change->writer, WAIT_STEP_MSEC);
		restore_pending(change, false);
	}
	waiting = change->n_pending;
	for (uint32_t i = 0; i < cb_journal_count(change->journal); i++) {
		const struct cb_journal_entry *e = cb_journal_at(change->journal, i);
		struct cb_cpuset effective;
		char what[96];

		if (!e->pending || e->knob != CB_KNOB_IRQ_AFFINITY ||
		    change->writer->ops->irq_effective(change->writer, e->irq, &effective) < 0)
			continue;
		snprintf(what, sizeof(what),
			 "its mask is back, but it lands on CPU %u until it occurs and is moved",
			 cb_cpuset_first(&effective));
		cb_change_say(change, e, what);
	}
	if (cb_journal_n_pending(change->journal) > 0)
		restore_pending(change, true);
	return waiting;
}

int cb_restore_offline(struct cb_host *host, const char *run_dir,
		       void (*say)(const char *line, void *userdata), void *userdata,
		       struct cb_restore_result *ret, struct cb_err *err)
{
	struct cb_change change = { .writer = host->writer, .say = say, .userdata = userdata };
	struct cb_select select = { .group = NULL };
	char path[512];
	struct stat st;
	uint32_t waiting;
	int r;

	snprintf(path, sizeof(path), "%s/journal", run_dir);
	if (lstat(path, &st) < 0 && (errno == ENOENT || errno == ENOTDIR)) {
		*ret = (struct cb_restore_result){ .n_restored = 0 };
		return 0;
	}
	r = cb_journal_open(run_dir, cb_host_boot_id(host), &change.journal, err);
	if (r < 0)
		return r;
	if (say && strcmp(cb_journal_state(change.journal), "ok") != 0)
		say(cb_journal_state(change.journal), userdata);
	cb_restore_selected(&change, &select, false);
	waiting = finish(&change);
	*ret = (struct cb_restore_result){
		.n_restored = change.n_restored,
		.n_pending = waiting,
		.n_gone = change.n_gone,
		.n_foreign = change.n_foreign,
		.n_failed = change.n_failed,
	};
	if (!cb_irqbalance_end(host, change.journal, CB_IRQBALANCE_END_MSEC) && say)
		say("irqbalance does not answer: some interrupts stay banned there until it is started again",
		    userdata);
	cb_journal_close(change.journal);
	return 0;
}
