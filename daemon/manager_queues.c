/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The queues of network interfaces, for groups with PacketSteering=: read again now and then, since no news tell of who else has set
 * one, and at once when interfaces have changed or something was written. Where no group asks for it nothing is read.
 */
#include "log.h"
#include "manager.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EVERY_USEC (10 * CB_USEC_PER_SEC)

static bool wanted(const struct cb_manager *m)
{
	for (uint32_t i = 0; i < m->n_registrations; i++)
		if (m->registration[i]->policy.packets != CB_PACKETS_NONE)
			return true;
	for (uint32_t i = 0; m->journal && i < cb_journal_count(m->journal); i++)
		if (cb_item_is_queue(cb_knob_get(cb_journal_at(m->journal, i)->knob)->item))
			return true;
	return false;
}

static const struct cb_journal_entry *entry_of(const struct cb_manager *m, enum cb_knob_id knob,
					       const struct cb_queue_info *info)
{
	struct cb_journal_entry identity = { .knob = knob };

	if (info) {
		identity.interface = info->ifindex;
		identity.queue = info->queue;
	}
	return m->journal ? cb_journal_find(m->journal, &identity) : NULL;
}

/* What the inventory cannot know: what is ours, and for whom. */
static void mark(const struct cb_manager *m, struct cb_queues *queues)
{
	const struct cb_journal_entry *mask, *flows = entry_of(m, CB_KNOB_RPS_FLOWS, NULL);

	queues->table_placed = flows;
	if (flows)
		snprintf(queues->table_group, sizeof(queues->table_group), "%s", flows->group);
	for (uint32_t i = 0; i < queues->n; i++) {
		struct cb_queue_info *info = &queues->queue[i];
		bool rx = info->dir == CB_QUEUE_RX;

		mask = entry_of(m, rx ? CB_KNOB_RPS_CPUS : CB_KNOB_XPS_CPUS, info);
		flows = rx ? entry_of(m, CB_KNOB_RPS_FLOWS, info) : NULL;
		info->placed = mask;
		info->flows_placed = flows;
		if (mask || flows)
			snprintf(info->group, sizeof(info->group), "%s",
				 mask ? mask->group : flows->group);
	}
}

void cb_manager_queues_watch(struct cb_manager *m)
{
	struct cb_input input = { .kind = CB_INPUT_QUEUES };
	uint64_t now_usec = cb_manager_now(m);
	struct cb_queues *queues;
	int r;

	if (m->queues_usec != 0 && m->irqs_usec <= m->queues_usec &&
	    now_usec - m->queues_usec < EVERY_USEC)
		return;
	m->queues_usec = now_usec;
	if (!wanted(m))
		return;
	r = cb_host_queues(m->host, ++m->queues_generation, &queues);
	if (r < 0) {
		cb_log(LOG_ERR, "Failed to look for queues of network interfaces: %s",
		       strerror(-r));
		return;
	}
	mark(m, queues);
	input.queues = queues;
	cb_manager_feed(m, &input);
	free(queues);
}

void cb_manager_queues_written(struct cb_manager *m, const struct cb_outcome *outcome)
{
	for (uint32_t i = 0; i < outcome->n_steps; i++)
		if (cb_item_is_queue(outcome->step[i].item.kind))
			m->queues_usec = 0;
}
