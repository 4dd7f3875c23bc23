/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Mending: as long as the hottest CPU is above what is enough, find the best exchange between it and one of the coolest: one item for
 * nothing, for one, for two, or two for one. An exchange is good when the hotter of both cores becomes cooler; every move away from
 * where an item was at the beginning of the round has its price, so that among about equal ones the smallest is taken.
 */
#include "placement.h"

#include <math.h>

/* CPUs looked at as partners of the hottest one, and items of each. */
#define PARTNERS_MAX  32u
#define PARTNER_ITEMS 16u
/* What a move costs, as a share of the level. */
#define MOVE_COST 0.01
/* Moves back home make an exchange cheaper: that of so many at most is taken into account. */
#define HOME_MOVES 2
/* The hotter of both has to become cooler by this share. */
#define LEAST_FALL 5e-4
/* What finding the hottest CPU and carrying out an exchange cost, in units of effort. */
#define EXCHANGE_EFFORT 100

struct mend {
	struct cb_planner_scratch *p;
	double enough, hottest;
	double move_cost;   /* what a move costs, as a share of what is enough */
	double least_cost;  /* of the moves of an exchange, at least */
	const uint16_t *to; /* by rank, NOWHERE: it may not move any more; NULL: all may */
	unsigned int hot;
	uint32_t n_items, n_partners;
	uint16_t item[PARTNER_ITEMS]; /* of the hottest CPU */
	uint16_t partner[PARTNERS_MAX];
	struct placement_exchange best;
	double least, most; /* load that an exchange with the partner at hand has to carry over */
};

/* The items of @cpu; of too many, the largest, and of the others a few and the smallest. */
static uint32_t list_items(const struct mend *m, unsigned int cpu, uint16_t *ret)
{
	const struct cb_planner_scratch *p = m->p;
	uint32_t n = 0;

	for (uint16_t i = p->head[cpu]; i != NOWHERE; i = p->next[i]) {
		if (m->to && m->to[i] == NOWHERE)
			continue;
		ret[CB_MIN(n, PARTNER_ITEMS - 1)] = i;
		n++;
	}
	return CB_MIN(n, PARTNER_ITEMS);
}

/* The highest effective load of both cores when @load goes from the hottest CPU to @partner. */
static double level_after(const struct mend *m, unsigned int partner, double load)
{
	const struct cb_planner_scratch *p = m->p;
	double level = CB_MAX((p->felt[m->hot] - load) * p->inverse[m->hot],
			      (p->felt[partner] + load) * p->inverse[partner]);

	if (p->smt_ratio <= 0)
		return level;
	for (unsigned int cpu = p->sibling[partner]; cpu != partner; cpu = p->sibling[cpu]) {
		if (cpu ==
		    m->hot) { /* of one core: each feels a part of what the other gains or loses */
			load *= 1 - p->smt_ratio;
			return CB_MAX((p->felt[m->hot] - load) * p->inverse[m->hot],
				      (p->felt[partner] + load) * p->inverse[partner]);
		}
		level = CB_MAX(level, (p->felt[cpu] + p->smt_ratio * load) * p->inverse[cpu]);
	}
	return level;
}

/* What it costs that @rank goes to @cpu, in moves: one more of the round, one less, or neither; and the way. */
static double cost_of_move(const struct mend *m, uint16_t rank, unsigned int cpu)
{
	const struct cb_planner_scratch *p = m->p;
	double cost, locality = p->problem->weights.locality_ratio;
	unsigned int home;

	if (rank == NOWHERE)
		return 0;
	home = p->from[rank];
	cost = m->move_cost * ((p->at[rank] == p->from[rank]) - (p->from[rank] == cpu));
	if (locality > 0)
		cost += locality * (placement_distance(p, home, cpu) -
				    placement_distance(p, home, p->at[rank]));
	return cost;
}

/*
 * From now on only exchanges with @partner that could be better than the best one. False: none can.
 */
static bool narrow(struct mend *m, uint16_t partner)
{
	const struct cb_planner_scratch *p = m->p;
	double level = CB_MIN(m->best.cost - m->least_cost, m->hottest * (1 - LEAST_FALL));

	m->least = CB_MAX((m->hottest - level) / p->inverse[m->hot], LOAD_EPSILON);
	m->most = level / p->inverse[partner] - p->felt[partner];
	return m->least < m->most || p->smt_ratio > 0;
}

static void try_exchange(struct mend *m, const struct placement_exchange *exchange, double load)
{
	double level = level_after(m, exchange->partner, load), cost = 0;

	if (level >= m->hottest * (1 - LEAST_FALL) ||
	    CB_MAX(level, m->enough) + m->least_cost >= m->best.cost)
		return;
	for (int i = 0; i < 2; i++)
		cost += cost_of_move(m, exchange->give[i], exchange->partner) +
			cost_of_move(m, exchange->take[i], m->hot);
	cost = CB_MAX(level, m->enough) + cost * m->enough;
	if (cost >= m->best.cost)
		return;
	m->best = *exchange;
	m->best.cost = cost;
	narrow(m, exchange->partner);
}

static bool carries_enough(const struct mend *m, double load)
{
	return load > m->least && load < m->most;
}

/* One for nothing. */
static void try_moves(struct mend *m, uint16_t partner)
{
	struct placement_exchange exchange = {
		{ NOWHERE, NOWHERE }, { NOWHERE, NOWHERE }, partner, 0
	};

	for (uint32_t i = 0; i < m->n_items; i++) {
		exchange.give[0] = m->item[i];
		if (carries_enough(m, m->p->w[m->item[i]]) &&
		    placement_allowed(m->p, m->item[i], partner))
			try_exchange(m, &exchange, m->p->w[m->item[i]]);
	}
	m->p->effort -= m->n_items;
}

/* One for one. */
static void try_swaps(struct mend *m, uint16_t partner)
{
	struct cb_planner_scratch *p = m->p;
	struct placement_exchange exchange = {
		{ NOWHERE, NOWHERE }, { NOWHERE, NOWHERE }, partner, 0
	};
	uint16_t item[PARTNER_ITEMS];
	uint32_t n = list_items(m, partner, item);

	for (uint32_t i = 0; i < m->n_items; i++) {
		if (!placement_allowed(p, m->item[i], partner))
			continue;
		exchange.give[0] = m->item[i];
		for (uint32_t j = 0; j < n; j++) {
			double load = p->w[m->item[i]] - p->w[item[j]];

			exchange.take[0] = item[j];
			if (carries_enough(m, load) && placement_allowed(p, item[j], m->hot))
				try_exchange(m, &exchange, load);
		}
	}
	p->effort -= m->n_items * (n + 1);
}

/* Items of the hottest CPU, and of a partner. */
struct side {
	const uint16_t *item;
	uint32_t n;
	unsigned int to;
};

/*
 * Two for one: with each @one only the pairs around the sum that would make both CPUs equal, found with two pointers, as items
 * are in descending order of load.
 */
static void try_pairs_of(struct mend *m, uint16_t partner, const struct side *one,
			 const struct side *two)
{
	struct cb_planner_scratch *p = m->p;
	bool gives_two = two->to == partner;
	double wanted = (m->hottest - placement_effective(p, partner)) /
			(p->inverse[m->hot] + p->inverse[partner]);

	for (uint32_t i = 0; i < one->n; i++) {
		uint16_t single = one->item[i];
		double sum = p->w[single] + (gives_two ? wanted : -wanted);
		uint32_t a = 0, b = two->n;

		if (!placement_allowed(p, single, one->to))
			continue;
		while (a + 1 < b) {
			uint16_t x = two->item[a], y = two->item[b - 1];
			double both = p->w[x] + p->w[y],
			       load = gives_two ? both - p->w[single] : p->w[single] - both;
			struct placement_exchange exchange = {
				{ single, NOWHERE }, { x, y }, partner, 0
			};

			if (gives_two)
				exchange = (struct placement_exchange){
					{ x, y }, { single, NOWHERE }, partner, 0
				};
			if (carries_enough(m, load) && placement_allowed(p, x, two->to) &&
			    placement_allowed(p, y, two->to))
				try_exchange(m, &exchange, load);
			if (both > sum)
				a++;
			else
				b--;
		}
	}
	p->effort -= one->n * two->n;
}

static void try_pairs(struct mend *m, uint16_t partner)
{
	uint16_t item[PARTNER_ITEMS];
	struct side given = { m->item, m->n_items, partner };
	struct side taken = { item, list_items(m, partner, item), m->hot };

	try_pairs_of(m, partner, &given, &taken);
	try_pairs_of(m, partner, &taken, &given);
}

static uint64_t zones_of_items(const struct mend *m)
{
	uint64_t zones = 0;

	for (uint32_t i = 0; i < m->n_items; i++)
		zones |= m->p->class[m->p->class_of[m->item[i]]].zones;
	return zones;
}

static bool is_partner(const struct mend *m, unsigned int cpu)
{
	if (cpu == m->hot)
		return false;
	for (uint32_t i = 0; i < m->n_items; i++)
		if (placement_allowed(m->p, m->item[i], cpu))
			return true;
	return false;
}

/* The coolest CPUs that could take one of the hottest one's items, from all zones in turn. */
static void find_partners(struct mend *m)
{
	struct cb_planner_scratch *p = m->p;
	uint64_t zones = zones_of_items(m);
	bool more = true;

	m->n_partners = 0;
	for (uint32_t depth = 0; more && m->n_partners < PARTNERS_MAX; depth++) {
		more = false;
		for (uint32_t i = 0; i < p->n_zones && m->n_partners < PARTNERS_MAX; i++) {
			unsigned int cpu;

			if (depth >= p->zone[i].n || !(zones >> (i & 63) & 1))
				continue;
			more = true;
			p->effort--;
			cpu = (uint32_t)p->zone[i].slot[depth];
			if (is_partner(m, cpu))
				m->partner[m->n_partners++] = (uint16_t)cpu;
		}
	}
}

/* Those with fewer moves first; one that is enough and needs fewer new ones than those to come ends the search. */
static bool find_exchange(struct mend *m, uint32_t at_most)
{
	static void (*const ways[])(struct mend * m, uint16_t partner) = { try_moves, try_swaps,
									   try_pairs };

	m->n_items = list_items(m, m->hot, m->item);
	m->best.cost = HUGE_VAL;
	find_partners(m);
	for (uint32_t way = 0; way < CB_MIN(at_most, CB_ARRAY_SIZE(ways)); way++) {
		double good = m->enough * (1 + m->move_cost * way);

		m->least_cost = m->enough * m->move_cost * (m->to ? way + 1.0 : -HOME_MOVES);

		for (uint32_t i = 0; i < m->n_partners && m->best.cost > good; i++)
			if (narrow(m, m->partner[i]))
				ways[way](m, m->partner[i]);
	}
	return m->best.cost < HUGE_VAL;
}

static void move_item(struct cb_planner_scratch *p, uint16_t rank, uint16_t cpu)
{
	if (rank == NOWHERE)
		return;
	placement_detach(p, rank);
	placement_attach(p, rank, cpu);
}

static void carry_out(struct mend *m)
{
	for (int i = 0; i < 2; i++) {
		move_item(m->p, m->best.give[i], m->best.partner);
		move_item(m->p, m->best.take[i], (uint16_t)m->hot);
	}
	placement_reorder_core(m->p, m->hot);
	placement_reorder_core(m->p, m->best.partner);
}

static bool find_hottest(struct mend *m)
{
	const struct cb_planner_scratch *p = m->p;

	m->hottest = m->enough;
	for (uint32_t i = 0; i < p->n_zones; i++) {
		const struct zone *zone = &p->zone[i];

		for (uint32_t j = zone->n; j-- > 0;) {
			unsigned int cpu = (uint32_t)zone->slot[j];
			double level = placement_effective(p, cpu);

			if (level <= m->hottest)
				break;
			if (p->head[cpu] == NOWHERE)
				continue;
			m->hottest = level;
			m->hot = cpu;
		}
	}
	return m->hottest > m->enough;
}

void placement_mend(struct cb_planner_scratch *p, double enough)
{
	struct mend m = { .p = p, .enough = enough, .move_cost = MOVE_COST };

	placement_order_by_load(p);
	p->effort -= 4 * (int64_t)p->n_cpus;
	while (p->effort > 0 && find_hottest(&m)) {
		p->effort -= EXCHANGE_EFFORT;
		if (!find_exchange(&m, EXCHANGE_MOVES_MAX))
			return;
		carry_out(&m);
	}
}

bool placement_exchange(struct cb_planner_scratch *p, unsigned int hot, double enough,
			double move_cost, uint32_t at_most, const uint16_t *to,
			struct placement_exchange *ret)
{
	struct mend m = {
		.p = p,
		.enough = enough,
		.move_cost = move_cost,
		.to = to,
		.hot = hot,
		.hottest = placement_effective(p, hot),
	};

	if (!find_exchange(&m, at_most))
		return false;
	*ret = m.best;
	return true;
}
