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
#define CPUSETS_EACH 32u /* workers that are looked at each time */

static void tell_engine(struct cb_manager *m, bool present)
{
	struct cb_event event = { .kind = CB_EVENT_IRQBALANCE, .present = present };

	if (present == m->irqbalance)
		return;
	m->irqbalance = present;
	cb_log(LOG_NOTICE, present ? "irqbalance runs: interrupts are left to it" :
				     "irqbalance has ended: interrupts may be moved");
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

void cb_manager_owners_watch(struct cb_manager *m)
{
	struct cb_owner owner[_CB_OWNER_MAX];
	uint64_t now_usec = cb_manager_now(m);

	if (m->irqbalance_usec != 0 && now_usec - m->irqbalance_usec < EVERY_USEC)
		return;
	m->irqbalance_usec = now_usec;
	watch_cpusets(m);
	tell_engine(m, cb_host_irqbalance_runs(m->host));
	cb_host_owners(m->host, owner);
	for (int i = 0; i < _CB_OWNER_MAX; i++) {
		if (owner[i].present == m->owner_seen[i])
			continue;
		m->owner_seen[i] = owner[i].present;
		if (i == CB_OWNER_IRQBALANCE)
			continue; /* said above */
		if (owner[i].present)
			cb_log(LOG_NOTICE, "%s sets %s: %s", owner[i].name, owner[i].owns,
			       owner[i].consequence);
		else
			cb_log(LOG_NOTICE, "%s is gone", owner[i].name);
	}
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
