/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The inventory of queues of network interfaces as the engine knows it: what is set there by our doing, what somebody else has set, and
 * what was refused for good.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine_internal.h"

struct cb_queue_info *engine_queue(const struct cb_engine *engine, struct cb_item_ref item)
{
	enum cb_queue_dir dir = item.kind == CB_ITEM_XPS ? CB_QUEUE_TX : CB_QUEUE_RX;

	/* the inventory is ours */
	return (struct cb_queue_info *)cb_queues_find(engine->queues, dir, item.key);
}

struct queue_state *engine_queue_state(const struct cb_engine *engine, struct cb_item_ref item)
{
	const struct cb_queue_info *info = engine_queue(engine, item);

	return info ? &engine->queue[info - engine->queues->queue] : NULL;
}

/* --- what became of it --- */

void engine_packets_written(struct cb_engine *engine, const struct cb_step *step, bool placed)
{
	const char *group = placed ? engine->flight.plan.group : "";
	struct cb_queue_info *info = engine_queue(engine, step->item);

	if (step->item.kind == CB_ITEM_RFS && step->item.key == 0 && engine->queues) {
		engine->table_placed = placed;
		snprintf(engine->table_group, sizeof(engine->table_group), "%s", group);
		engine->queues->table = step->share_to;
	}
	if (!info)
		return;
	if (step->item.kind == CB_ITEM_RFS) {
		info->flows_placed = placed;
		info->flows = step->share_to;
	} else {
		info->placed = placed;
		info->cpus = step->to;
		engine->queue[info - engine->queues->queue].foreign = false;
	}
	if (placed || (!info->placed && !info->flows_placed))
		snprintf(info->group, sizeof(info->group), "%s", group);
}

bool engine_packets_placed(const struct cb_engine *engine, struct cb_item_ref item)
{
	const struct cb_queue_info *info = engine_queue(engine, item);

	if (item.kind == CB_ITEM_RFS && item.key == 0)
		return engine->table_placed;
	return info && (item.kind == CB_ITEM_RFS ? info->flows_placed : info->placed);
}

void engine_packets_refused(struct cb_engine *engine, const struct cb_step *step)
{
	struct queue_state *state = engine_queue_state(engine, step->item);

	if (!state)
		return;
	state->foreign = state->foreign || step->error_class == CB_ERROR_FOREIGN;
	state->refused = state->refused || step->error_class == CB_ERROR_PERMANENT;
}

bool engine_packets_stand(const struct cb_engine *engine, const struct cb_step *step)
{
	const struct cb_queue_info *info = engine_queue(engine, step->item);

	if (!engine_packets_placed(engine, step->item))
		return false;
	if (step->item.kind == CB_ITEM_RFS)
		return !info || info->flows == step->share_to;
	return info && cb_cpuset_equal(&info->cpus, &step->to) &&
	       !engine->queue[info - engine->queues->queue].foreign;
}

void engine_packets_released(struct cb_engine *engine, const struct group_state *group)
{
	for (uint32_t i = 0; engine->queues && i < engine->queues->n; i++) {
		struct cb_queue_info *info = &engine->queues->queue[i];

		if (group && strcmp(info->group, group->policy.name) != 0)
			continue;
		info->placed = info->flows_placed = false;
		info->group[0] = 0;
	}
	if (!group || strcmp(engine->table_group, group->policy.name) == 0)
		engine->table_placed = false;
}

/* --- the inventory --- */

static void look_for_foreign(struct cb_engine *engine, const struct cb_queue_info *before,
			     const struct cb_queue_info *now, struct queue_state *state,
			     struct cb_decision *decision)
{
	struct cb_notice notice = { .cpu = -1 };
	char name[64], mask[40];
	enum cb_item_kind kind = now->dir == CB_QUEUE_TX ? CB_ITEM_XPS : CB_ITEM_RPS;

	if (!before->placed || !now->placed || state->foreign ||
	    cb_cpuset_equal(&before->cpus, &now->cpus))
		return;
	state->foreign = true;
	engine->totals.n_foreign[kind]++;
	engine_notice(decision, CB_NOTICE_FOREIGN, &notice,
		      "%s was set to CPU %s by somebody else: left alone",
		      cb_item_queue_name(kind, now->ifname, now->queue, name, sizeof(name)),
		      cb_cpuset_show(&now->cpus, mask, sizeof(mask)));
}

int engine_take_queues(struct cb_engine *engine, const struct cb_queues *queues,
		       struct cb_decision *decision)
{
	size_t size = sizeof(*queues) + queues->n * sizeof(queues->queue[0]);
	struct cb_queues *copy;
	struct queue_state *state;

	if (queues->n > CB_QUEUES_MAX)
		return -EINVAL;
	copy = malloc(size);
	state = calloc(queues->n ? queues->n : 1, sizeof(*state));
	if (!copy || !state) {
		free(copy);
		free(state);
		return -ENOMEM;
	}
	memcpy(copy, queues, size);
	for (uint32_t i = 0; i < queues->n; i++) {
		const struct cb_queue_info *now = &queues->queue[i];
		const struct cb_queue_info *before = cb_queues_find(
			engine->queues, now->dir, cb_queue_key(now->ifindex, now->queue));

		if (!before)
			continue;
		state[i] = engine->queue[before - engine->queues->queue];
		look_for_foreign(engine, before, now, &state[i], decision);
	}
	free(engine->queues);
	free(engine->queue);
	engine->queues = copy;
	engine->queue = state;
	engine->table_placed = copy->table_placed;
	memcpy(engine->table_group, copy->table_group, sizeof(engine->table_group));
	return 0;
}
