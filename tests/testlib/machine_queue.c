/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine_queue.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static struct machine_queue *find_queue(struct machine *machine, enum cb_knob_id knob,
					const struct cb_queue_id *id)
{
	for (size_t i = 0; i < MACHINE_QUEUES; i++) {
		struct machine_queue *q = &machine->queue[i];

		if (q->there && q->ifindex == id->ifindex && q->queue == id->queue &&
		    q->knob == knob && strcmp(q->ifname, id->ifname) == 0)
			return q;
	}
	return NULL;
}

int machine_queue_find(struct cb_writer *writer, struct cb_queue_id *queue)
{
	struct machine *machine = (struct machine *)writer;
	int r = machine_enter(machine, OP_QUEUE_FIND);
	bool found = false;

	for (size_t i = 0; r == 0 && i < MACHINE_QUEUES && !found; i++)
		if (machine->queue[i].there && machine->queue[i].ifindex == queue->ifindex) {
			memcpy(queue->ifname, machine->queue[i].ifname, sizeof(queue->ifname));
			found = true;
		}
	return machine_leave(machine, OP_QUEUE_FIND, r < 0 ? r : found ? 0 : -ENOENT);
}

int machine_queue_get(struct cb_writer *writer, const struct cb_knob *knob,
		      const struct cb_queue_id *queue, struct cb_queue_value *ret)
{
	struct machine *machine = (struct machine *)writer;
	int r = machine_enter(machine, OP_QUEUE_GET);
	struct machine_queue *q = find_queue(machine, cb_knob_from_name(knob->name), queue);

	if (r == 0 && !q)
		r = -ENOENT;
	if (r == 0)
		*ret = q->value;
	return machine_leave(machine, OP_QUEUE_GET, r);
}

int machine_queue_set(struct cb_writer *writer, const struct cb_knob *knob,
		      const struct cb_queue_id *queue, const struct cb_queue_value *value)
{
	struct machine *machine = (struct machine *)writer;
	int r = machine_enter(machine, OP_QUEUE_SET);
	struct machine_queue *q = find_queue(machine, cb_knob_from_name(knob->name), queue);

	if (r == 0 && !q)
		r = -ENOENT;
	if (r == 0) {
		q->value = *value;
		q->value.cpus = cb_cpuset_andnot(&value->cpus, &machine->dropped);
	}
	return machine_leave(machine, OP_QUEUE_SET, r);
}

struct machine_queue *machine_add_queue(struct machine *machine, enum cb_knob_id knob,
					const char *ifname, uint32_t ifindex, uint32_t queue,
					const char *list, uint32_t flows)
{
	for (size_t i = 0; i < MACHINE_QUEUES; i++) {
		struct machine_queue *q = &machine->queue[i];

		if (q->there)
			continue;
		*q = (struct machine_queue){ .knob = knob,
					     .ifindex = ifindex,
					     .queue = queue,
					     .there = true,
					     .value = { .cpus = cpus(list), .flows = flows } };
		snprintf(q->ifname, sizeof(q->ifname), "%s", ifname);
		q->original = q->value;
		return q;
	}
	return NULL;
}
