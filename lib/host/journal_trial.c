/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The record of the plan on trial, "1f0c9a3e trial plan=5" with the same checksum in front as any record of the journal,
 * and what is done about such a plan by a daemon that finds it: nobody is left who could judge it, so it is undone.
 */
#include "journal_trial.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "apply_internal.h"
#include "cpubalance/scan.h"
#include "host_internal.h"
#include "journal_internal.h"

/* --- the record --- */

int cb_journal_trial_parse(const char *line, size_t len, uint32_t *ret_plan_id)
{
	struct cb_scan s = CB_SCAN(line, len);
	const char *body;
	uint32_t plan_id;
	uint64_t crc;

	if (!cb_scan_hex64(&s, &crc) || s.p != line + 8 || !cb_scan_char(&s, ' '))
		return 0;
	body = s.p;
	if (!cb_scan_word(&s, "trial "))
		return 0;
	if (crc != cb_journal_crc(body, (size_t)(s.end - body)) || !cb_scan_word(&s, "plan=") ||
	    !cb_scan_u32(&s, &plan_id) || !cb_scan_done(&s))
		return -EBADMSG;
	*ret_plan_id = plan_id;
	return 1;
}

int cb_journal_trial_format(uint32_t plan_id, char buf[CB_JOURNAL_TRIAL_MAX])
{
	char body[CB_JOURNAL_TRIAL_MAX - 9];
	int len = snprintf(body, sizeof(body), "trial plan=%u", plan_id);

	return snprintf(buf, CB_JOURNAL_TRIAL_MAX, "%08x %s", cb_journal_crc(body, (size_t)len),
			body);
}

void cb_apply_ended(struct cb_journal *journal, uint32_t plan_id)
{
	int r = 0;

	/* A disk that refuses: the next daemon undoes what it need not, which is safe. cb_journal_state() says so. */
	if (plan_id != 0 && cb_journal_trial(journal) == plan_id)
		r = cb_journal_set_trial(journal, 0, NULL);
	(void)r;
}

/* --- undoing it --- */

struct owner {
	struct cb_target process; /* or the one thread; tgid 0: an interrupt, or a queue */
	uint32_t irq;
	bool is_queue;
	enum cb_knob_id knob;
	struct cb_queue_id queue;
};

static struct cb_target target_of(const struct cb_journal_entry *e)
{
	if (e->knob != CB_KNOB_TASK_AFFINITY)
		return (struct cb_target){ .tgid = 0 };
	return (struct cb_target){
		.tgid = e->tgid,
		.tid = e->alone ? e->tid : 0,
		.start_ticks = e->alone ? e->start_ticks : e->tgid_start_ticks,
	};
}

static struct owner owner_of(const struct cb_journal_entry *e)
{
	return (struct owner){ .process = target_of(e),
			       .irq = e->irq,
			       .is_queue = cb_entry_is_queue(e),
			       .knob = e->knob,
			       .queue = { .ifindex = e->interface, .queue = e->queue } };
}

static bool known(const struct owner *owner, uint32_t n, const struct cb_journal_entry *e)
{
	const struct cb_target target = target_of(e);

	/* each queue has an entry of its own for each knob */
	for (uint32_t i = 0; i < n && !cb_entry_is_queue(e); i++)
		if (!owner[i].is_queue && owner[i].process.tgid == target.tgid &&
		    owner[i].process.tid == target.tid &&
		    owner[i].process.start_ticks == target.start_ticks &&
		    (target.tgid != 0 || owner[i].irq == e->irq))
			return true;
	return false;
}

/* Whose entries that plan has set last, each once. Returns how many. */
static uint32_t list_owners(const struct cb_journal *journal, uint32_t plan_id, struct owner *ret)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < cb_journal_count(journal); i++) {
		const struct cb_journal_entry *e = cb_journal_at(journal, i);

		if (e->plan_id != plan_id || cb_entry_steers(e) || known(ret, n, e))
			continue;
		ret[n++] = owner_of(e);
	}
	return n;
}

uint32_t cb_undo_unjudged(struct cb_host *host, struct cb_journal *journal, struct cb_outcome *ret)
{
	struct cb_change change = { .writer = host->writer, .journal = journal };
	uint32_t plan_id = cb_journal_trial(journal), n;
	struct owner *owner;

	*ret = (struct cb_outcome){ .plan_id = plan_id };
	if (plan_id == 0)
		return 0;
	owner = calloc(CB_MAX(cb_journal_count(journal), 1u), sizeof(*owner));
	if (!owner) {
		ret->n_failed = 1;
		return plan_id;
	}
	cb_heirs_update(host, journal);
	n = list_owners(journal, plan_id, owner);
	for (uint32_t i = 0; i < n; i++) {
		struct cb_select select = { .group = NULL };

		if (owner[i].is_queue) {
			select.knob = &owner[i].knob;
			select.queue = &owner[i].queue;
		} else if (owner[i].process.tgid != 0)
			select.lineage = &owner[i].process;
		else
			select.irq = &owner[i].irq;
		cb_restore_selected(&change, &select, false);
	}
	free(owner);
	ret->n_restored = change.n_restored;
	ret->n_pending = change.n_pending;
	ret->n_gone = change.n_gone;
	ret->n_foreign = change.n_foreign;
	ret->n_failed = change.n_failed;
	/* What has failed stays in the journal, and on trial: the next start tries again, a release too. */
	if (change.n_failed == 0)
		cb_apply_ended(journal, plan_id);
	return plan_id;
}
