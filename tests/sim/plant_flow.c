/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Flows: which queue and which worker each is hashed to, how large it is, when another one takes its place.
 */
#include <math.h>
#include <string.h>

#include "plant.h"

uint32_t plant_pick_worker(const struct plant *plant, uint32_t group, double chance)
{
	const struct scenario_group *sg = &plant->scenario->group[group];
	uint32_t first = plant->group[group].first_task, n = 0, which;

	for (uint32_t i = 0; i < sg->n_workers; i++)
		n += plant->task[first + i].alive;
	if (n == 0)
		return PLANT_NONE;
	which = (uint32_t)(chance * n);
	for (uint32_t i = 0;; i++)
		if (plant->task[first + i].alive && which-- == 0)
			return first + i;
}

uint32_t plant_pick_queue(const struct plant *plant, uint32_t group, double chance)
{
	const struct plant_group *g = &plant->group[group];

	return g->n_queues ? g->first_queue + (uint32_t)(chance * g->n_queues) : PLANT_NONE;
}

void plant_hash_flow(struct plant *plant, uint32_t index)
{
	struct plant_flow *flow = &plant->flow[index];

	plant->cells_stale = true;
	flow->queue =
		plant_pick_queue(plant, flow->group,
				 plant_uniform(plant, CHANCE_FLOW_QUEUE, index, flow->generation));
	flow->task = plant_pick_worker(plant, flow->group,
				       plant_uniform(plant, CHANCE_FLOW_WORKER, index,
						     flow->generation));
}

void plant_begin_flow(struct plant *plant, uint32_t index)
{
	struct plant_flow *flow = &plant->flow[index];
	const struct scenario_group *sg = &plant->scenario->group[flow->group];
	double sigma = sg->skew_ratio;

	flow->alive = true;
	flow->size = exp(sigma * plant_normal(plant, CHANCE_FLOW_SIZE, index, flow->generation) -
			 sigma * sigma / 2) /
		     sg->n_flows;
	plant_hash_flow(plant, index);
}

void plant_churn(struct plant *plant, uint32_t group)
{
	struct plant_group *g = &plant->group[group];
	const struct scenario_group *sg = &plant->scenario->group[group];
	uint32_t first = 0;

	for (uint32_t i = 0; i < group; i++)
		first += plant->scenario->group[i].n_flows;
	g->churn += sg->churn_per_sec * sg->n_flows;
	for (uint32_t i = 0; g->churn >= 1; i++) {
		double where = plant_uniform(plant, CHANCE_CHURN, group * SCENARIO_FLOWS_MAX + i,
					     plant->n_windows);
		uint32_t index = first + (uint32_t)(where * sg->n_flows);

		g->churn--;
		plant->flow[index].generation++;
		plant_begin_flow(plant, index);
	}
}

/* Flows that share queue and worker are one stream to the machine. */
void plant_make_cells(struct plant *plant)
{
	uint32_t width = plant->n_workers + plant->scenario->n_groups;

	memset(plant->cell_of, 0xff, (plant->n_queues + 1) * width * sizeof(*plant->cell_of));
	plant->n_cells = 0;
	for (uint32_t i = 0; i < plant->n_flows; i++) {
		const struct plant_flow *flow = &plant->flow[i];
		uint32_t row = flow->queue == PLANT_NONE ? plant->n_queues : flow->queue;
		uint32_t column = flow->task == PLANT_NONE ? plant->n_workers + flow->group :
							     flow->task;
		uint32_t *of = &plant->cell_of[row * width + column];

		if (!flow->alive)
			continue;
		if (*of == PLANT_NONE) {
			*of = plant->n_cells++;
			plant->cell[*of] =
				(struct plant_cell){ flow->group, flow->queue, flow->task, 0 };
		}
		plant->cell[*of].size += flow->size;
	}
	for (uint32_t i = 0; i < plant->n_workers; i++) {
		plant->task[i].flow_size = 0;
		plant->task[i].n_flows = 0;
	}
	for (uint32_t i = 0; i < plant->n_flows; i++) {
		const struct plant_flow *flow = &plant->flow[i];

		if (!flow->alive || flow->task == PLANT_NONE)
			continue;
		plant->task[flow->task].flow_size += flow->size;
		plant->task[flow->task].n_flows++;
	}
	plant->cells_stale = false;
}
