/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who else sets what we set. The engine leaves interrupts to irqbalance; of the others people are told, once when they
 * appear and once when they go. Whoever it is, a mask that is not what we set is left alone before every write.
 */
#include "log.h"
#include "manager.h"

#include <stdio.h>
#include <string.h>

#define EVERY_USEC   (10 * CB_USEC_PER_SEC)
#define FILES_USEC   (60 * CB_USEC_PER_SEC) /* their settings, which say what they set */
#define CPUSETS_EACH 32u		    /* workers that are looked at each time */

/* One more than can be banned: so many are too many. */
#define IRQS_MAX 129u

static void tell_engine(struct cb_manager *m)
{
	bool left = m->irqbalance && !m->shared;
	struct cb_event event;

	if (left == m->irqbalance_told)
		return;
	m->irqbalance_told = left;
	cb_log(LOG_NOTICE, "%s",
	       left	     ? "irqbalance runs: interrupts are left to it" :
	       m->irqbalance ? "irqbalance leaves the interrupts alone that may be moved here" :
			       "irqbalance has ended: interrupts may be moved");
	event = (struct cb_event){ .kind = CB_EVENT_IRQBALANCE, .present = left };
	cb_manager_feed_event(m, &event);
}

void cb_manager_cpuset(struct cb_manager *m, struct cb_member *member)
{
	struct cb_event event = { .kind = CB_EVENT_WORKER_CPUSET, .worker_key = member->key };
	struct cb_worker_identity identity;
	char cpus[64];
	int r = member->tid != 0 ? cb_host_identify_thread(m->host, member->pid, member->tid,
							   &identity, NULL) :
				   cb_host_identify(m->host, member->pid, &identity, NULL);

	if (r < 0 || identity.start_ticks != member->start_ticks ||
	    cb_cpuset_equal(&identity.cpuset, &member->cpuset))
		return;
	member->cpuset = event.mask = identity.cpuset;
	cb_log(LOG_INFO, "Group %s: the cpuset of pid %d allows CPUs %s now",
	       member->registration->policy.name, member->pid,
	       cb_cpuset_show(&identity.cpuset, cpus, sizeof(cpus)));
	cb_manager_feed_event(m, &event);
}

/* In turn, since no news tell of a cpuset that was made wider. */
static void watch_cpusets(struct cb_manager *m)
{
	for (uint32_t i = 0; i < CPUSETS_EACH && i < m->n_members; i++) {
		m->cpuset_next = (m->cpuset_next + 1) % m->n_members;
		cb_manager_cpuset(m, m->member[m->cpuset_next]);
	}
}

/* --- coordination with irqbalance --- */

/* Placed by us, or it could be: not a reason of its own against it. */
static bool is_ours(const struct cb_manager *m, const struct cb_irq_view *view, bool paused)
{
	struct cb_group_view group;

	if (view->foreign || view->info->immovable)
		return false;
	if (view->placed)
		return true;
	if (paused || (view->reject != CB_REJECT_NONE && view->reject != CB_REJECT_IRQBALANCE &&
		       view->reject != CB_REJECT_QUARANTINE))
		return false;
	return view->group_key != 0 && cb_manager_group_view(m, view->group_key, &group) &&
	       group.mode != CB_MODE_OBSERVE;
}

static uint32_t list_ours(const struct cb_manager *m, uint32_t *ret)
{
	struct cb_totals totals;
	struct cb_irq_view view;
	uint32_t n = 0;

	if (!m->policy->coordinate_irqbalance || !m->irqbalance || !m->journal_healthy)
		return 0;
	cb_engine_totals(m->engine, &totals);
	for (uint32_t i = 0; i < cb_engine_n_irqs(m->engine) && n < IRQS_MAX; i++) {
		cb_engine_irq(m->engine, i, &view);
		if (is_ours(m, &view, totals.paused))
			ret[n++] = view.irq;
	}
	return n;
}

static void coordinate(struct cb_manager *m)
{
	uint32_t irq[IRQS_MAX], n;
	const char *why = "";

	m->shared = false;
	if (!m->journal || !cb_manager_is_live(m))
		return;
	n = list_ours(m, irq);
	m->shared = cb_irqbalance_tick(m->host, m->journal, irq, n, &why);
	if (strncmp(m->unshared, why, sizeof(m->unshared) - 1) == 0)
		return;
	snprintf(m->unshared, sizeof(m->unshared), "%s", why);
	if (why[0])
		cb_log(LOG_WARNING,
		       "No coordination with irqbalance, interrupts are left to it: %s", why);
}

void cb_manager_owner_irqbalance(const struct cb_manager *m, struct cb_owner *owner)
{
	if (!owner->present || !m->policy->coordinate_irqbalance)
		return;
	if (m->shared)
		snprintf(
			owner->consequence, sizeof(owner->consequence),
			"interrupts that may be moved here are banned there, the others are its own");
	else
		snprintf(owner->consequence, sizeof(owner->consequence),
			 "no interrupt is moved: %.110s",
			 m->unshared[0] ? m->unshared :
					  "it has not been asked to leave any alone yet");
}

static void tell_of_others(struct cb_manager *m)
{
	struct cb_owner owner[_CB_OWNER_MAX];

	cb_host_owners(m->host, owner);
	for (int i = 0; i < _CB_OWNER_MAX; i++) {
		if (owner[i].present == m->owner_seen[i])
			continue;
		m->owner_seen[i] = owner[i].present;
		if (i == CB_OWNER_IRQBALANCE)
			continue; /* said by tell_engine() */
		if (owner[i].present)
			cb_log(LOG_NOTICE, "%s sets %s: %s", owner[i].name, owner[i].owns,
			       owner[i].consequence);
		else
			cb_log(LOG_NOTICE, "%s is gone", owner[i].name);
	}
}

void cb_manager_owners_watch(struct cb_manager *m)
{
	uint64_t now_usec = m->tick_begin_usec;
	bool due = m->irqbalance_usec == 0 || now_usec - m->irqbalance_usec >= EVERY_USEC;

	if (due)
		m->irqbalance = cb_host_irqbalance_runs(m->host);
	coordinate(m);
	tell_engine(m);
	if (!due)
		return;
	m->irqbalance_usec = now_usec;
	watch_cpusets(m);
	if (!cb_host_owners_changed(m->host) && now_usec - m->owners_usec < FILES_USEC &&
	    m->owners_usec != 0)
		return;
	m->owners_usec = now_usec;
	tell_of_others(m);
}

void cb_manager_owner_cpusets(const struct cb_manager *m, struct cb_owner *ret)
{
	uint32_t n = CB_MIN(m->n_members, CB_OWNERS_WORKERS_MAX), n_narrow = 0, n_known = 0;
	char cpus[64] = "";

	*ret = (struct cb_owner){ .name = "cpusets" };
	for (uint32_t i = 0; i < n; i++) {
		struct cb_worker_identity identity;

		if (cb_host_identify(m->host, m->member[i]->pid, &identity, NULL) < 0 ||
		    !identity.cpuset_is_known)
			continue;
		n_known++;
		if (cb_cpuset_subset(&m->topology->online, &identity.cpuset))
			continue;
		if (n_narrow++ == 0)
			cb_cpuset_show(&identity.cpuset, cpus, sizeof(cpus));
	}
	ret->present = n_narrow > 0;
	if (n_narrow > 0)
		snprintf(ret->owns, sizeof(ret->owns),
			 "where %u of %u workers may run; the first: CPUs %s", n_narrow, n_known,
			 cpus);
	else
		snprintf(ret->owns, sizeof(ret->owns), "no limit on any of %u workers", n_known);
	snprintf(ret->consequence, sizeof(ret->consequence),
		 "a worker is placed only inside of its cpuset, read before every write");
}
