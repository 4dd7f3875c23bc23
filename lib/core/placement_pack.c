/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Packing: every CPU above a level gives up its fewest items (of those sets the one with the smallest load that this finds),
 * then these are placed one by one. The CPUs are kept in the order of the room that they have.
 *
 * Whatever its base is, a CPU may be as hot as that makes it: then it just gets nothing.
 */
#include "placement.h"

#include <math.h>

/* What placing an item costs, in units of effort. */
#define PLACE_EFFORT 40
/* Of the smallest item, the share that is left over on a CPU on average, at the very least. */
#define LEAST_WASTE 0.03
/* The least that making room costs. */
#define EVICTION_EFFORT 200
/* A chosen item is replaced by a smaller one: the last few that were chosen, and how far that looks. */
#define SHRINK_ITEMS 8u
#define SHRINK_REACH 32u
/* CPUs that are looked at for one with the same last-level cache. */
#define LOOKS_MAX 4u
/* CPUs that are asked to make room, and how many items one would have to give away at most. */
#define ASKED_MAX   24u
#define EVICTED_MAX 12u

/* --- room --- */

/* What may come to @cpu before it, or a sibling that feels it, is at its limit. */
static double room_of(const struct cb_planner_scratch *p, unsigned int cpu)
{
	double room = p->limit[cpu] - p->felt[cpu];

	for (unsigned int other = p->sibling[cpu]; other != cpu; other = p->sibling[other])
		room = CB_MIN(room, (p->limit[other] - p->felt[other]) / p->smt_ratio);
	return room;
}

static void reorder_core(struct cb_planner_scratch *p, unsigned int cpu)
{
	unsigned int other = cpu;

	do {
		placement_reorder(p, other, room_of(p, other));
		other = p->sibling[other];
	} while (other != cpu);
}

static void order_by_room(struct cb_planner_scratch *p)
{
	for (uint32_t i = 0; i < p->n_cpus; i++)
		p->value[p->cpu[i]] = room_of(p, p->cpu[i]);
	placement_order(p);
}

/* --- what has to go --- */

static void set_limits(struct cb_planner_scratch *p, double level)
{
	for (uint32_t i = 0; i < p->n_cpus; i++) {
		unsigned int cpu = p->cpu[i];
		double stays = p->base[cpu];

		for (unsigned int other = p->sibling[cpu]; other != cpu; other = p->sibling[other])
			stays += p->smt_ratio * p->base[other];
		p->limit[cpu] = CB_MAX(level / p->inverse[cpu], stays);
	}
}

/* The first item that @cpu may choose: not its largest, if that is to be kept and the others are enough. */
static uint16_t first_to_go(struct cb_planner_scratch *p, unsigned int cpu, double excess,
			    unsigned int pack)
{
	uint16_t first = p->head[cpu];
	double others = 0;

	if (p->w[first] <= p->limit[cpu] / 2)
		return first;
	for (uint16_t i = p->next[first]; i != NOWHERE && others < excess - LOAD_EPSILON;
	     i = p->next[i])
		others += p->w[i];
	if (others < excess - LOAD_EPSILON)
		return first;
	p->keepable = true;
	return pack & PACK_KEEP ? p->next[first] : first;
}

/*
 * Which items of @cpu to give up so that it loses @excess: marked by at[] = NOWHERE. The largest are the fewest; then the
 * last is replaced by the smallest that is enough, and those before it by smaller ones as far as there is slack.
 */
static void choose(struct cb_planner_scratch *p, unsigned int cpu, double excess, unsigned int pack)
{
	uint16_t chosen[SHRINK_ITEMS], first = first_to_go(p, cpu, excess, pack);
	uint32_t n = 0;
	double got = 0;

	for (uint16_t i = first; i != NOWHERE && got < excess - LOAD_EPSILON; i = p->next[i]) {
		p->at[i] = NOWHERE;
		got += p->w[i];
		chosen[n++ % SHRINK_ITEMS] = i;
	}
	for (uint32_t back = 1; back <= CB_MIN(n, SHRINK_ITEMS) && got > excess; back++) {
		uint16_t i = chosen[(n - back) % SHRINK_ITEMS], smaller = i;
		double least = p->w[i] - (got - excess) - LOAD_EPSILON;
		uint32_t reach = 0;

		for (uint16_t j = p->next[i]; j != NOWHERE && p->w[j] >= least; j = p->next[j]) {
			if (back > 1 && reach++ == SHRINK_REACH)
				break;
			if (p->at[j] != NOWHERE)
				smaller = j;
		}
		got += p->w[smaller] - p->w[i];
		p->at[i] = (uint16_t)cpu;
		p->at[smaller] = NOWHERE;
	}
}

/* Take what was chosen out of the list of @cpu. */
static void give_up(struct cb_planner_scratch *p, unsigned int cpu)
{
	uint16_t *link = &p->head[cpu];
	double gone = 0;

	while (*link != NOWHERE) {
		uint16_t i = *link;

		if (p->at[i] != NOWHERE) {
			link = &p->next[i];
			continue;
		}
		gone += p->w[i];
		*link = p->next[i];
	}
	placement_add(p, cpu, -gone);
}

static void shed(struct cb_planner_scratch *p, unsigned int pack)
{
	for (uint32_t i = 0; i < p->n_cpus; i++) {
		unsigned int cpu = p->cpu[i], other = cpu;
		double share = 1;

		/* first its own items, then those of its siblings, which it feels in part */
		do {
			double excess = (p->felt[cpu] - p->limit[cpu]) / share;

			if (excess > LOAD_EPSILON && p->head[other] != NOWHERE) {
				choose(p, other, excess, pack);
				give_up(p, other);
			}
			other = p->sibling[other];
			share = p->smt_ratio;
		} while (other != cpu);
	}
}

/* --- where to --- */

/* The best place found so far: least waste, or most room, either with a penalty for the way. */
struct place {
	uint16_t cpu;
	double value;
};

struct search {
	const struct cb_planner_scratch *p;
	uint32_t rank;
	const struct zone *home; /* where the item is, NULL nowhere */
	double way;		 /* penalty for another node */
	uint32_t looks;		 /* left for a nearer place */
	struct place best;
};

static struct search search_for(const struct cb_planner_scratch *p, uint32_t rank, double level,
				double worst)
{
	uint16_t from = p->from[rank];

	return (struct search){
		.p = p,
		.rank = rank,
		.home = from == NOWHERE ? NULL : &p->zone[p->zone_of[from]],
		.way = from == NOWHERE ? 0 : p->problem->weights.locality_ratio * level,
		.looks = LOOKS_MAX,
		.best = { NOWHERE, worst },
	};
}

/* The penalty for @cpu. @ret_least: it is not worth to look for a CPU of the zone that has a smaller one. */
static double penalty(struct search *s, const struct zone *zone, unsigned int cpu, bool *ret_least)
{
	double distance = 1;

	if (s->way > 0 && zone == s->home)
		distance = placement_distance(s->p, s->p->from[s->rank], cpu);
	*ret_least = s->way <= 0 || zone != s->home || distance <= 0 || s->looks == 0;
	s->looks -= s->looks > 0;
	return s->way * distance;
}

static void find_tight_in(struct search *s, const struct zone *zone)
{
	const struct cb_planner_scratch *p = s->p;
	/* keys are less exact than loads */
	double w = p->w[s->rank] - LOAD_EPSILON, from = w * (1 - 1e-6);
	double least = zone == s->home ? 0 : s->way;
	uint32_t i = placement_first_slot(zone, placement_slot_key(from, 0));

	for (bool done = false; i < zone->n && !done; i++) {
		unsigned int cpu = (uint32_t)zone->slot[i];
		double waste = p->value[cpu] - w;

		if (waste + least >= s->best.value)
			break;
		if (waste < 0 || !placement_allowed(p, s->rank, cpu))
			continue;
		waste += penalty(s, zone, cpu, &done);
		if (waste < s->best.value)
			s->best = (struct place){ (uint16_t)cpu, waste };
	}
}

static void find_even_in(struct search *s, const struct zone *zone)
{
	const struct cb_planner_scratch *p = s->p;
	double least = zone == s->home ? 0 : s->way;
	uint32_t i = zone->n;

	for (bool done = false; i-- > 0 && !done;) {
		unsigned int cpu = (uint32_t)zone->slot[i];
		double room = p->value[cpu];

		if (room - least <= s->best.value)
			break;
		if (!placement_allowed(p, s->rank, cpu))
			continue;
		room -= penalty(s, zone, cpu, &done);
		if (room > s->best.value)
			s->best = (struct place){ (uint16_t)cpu, room };
	}
}

/* In all zones that the item may use, its own first. */
static uint16_t find_in_zones(struct search *s,
			      void (*find)(struct search *s, const struct zone *zone))
{
	const struct cb_planner_scratch *p = s->p;
	uint64_t zones = placement_zones(p, s->rank);

	if (s->home && s->way > 0)
		find(s, s->home);
	for (uint32_t i = placement_next_zone(p, zones, 0); i < p->n_zones;
	     i = placement_next_zone(p, zones, i + 1))
		if (s->way <= 0 || &p->zone[i] != s->home)
			find(s, &p->zone[i]);
	return s->best.cpu;
}

/* The fullest CPU that has room, or NOWHERE. */
static uint16_t find_tight(const struct cb_planner_scratch *p, uint32_t rank, double level)
{
	struct search s = search_for(p, rank, level, HUGE_VAL);

	return find_in_zones(&s, find_tight_in);
}

/* The emptiest CPU, whether it has room or not. */
static uint16_t find_even(const struct cb_planner_scratch *p, uint32_t rank, double level)
{
	struct search s = search_for(p, rank, level, -HUGE_VAL);

	return find_in_zones(&s, find_even_in);
}

/* --- the pool --- */

static uint64_t pool_key(const struct cb_planner_scratch *p, uint32_t rank, unsigned int pack)
{
	return pack & PACK_CONSTRAINED ? (uint64_t)p->class[p->class_of[rank]].order << 32 | rank :
					 rank;
}

/* Those without a place, by rank. */
static void fill_pool(struct cb_planner_scratch *p, unsigned int pack)
{
	p->n_pool = 0;
	p->pool_load = 0;
	for (uint32_t rank = 0; rank < p->n; rank++) {
		if (p->at[rank] != NOWHERE)
			continue;
		p->pool[p->n_pool++] = pool_key(p, rank, pack);
		p->pool_load += p->w[rank];
	}
}

/* Give back what has to make way; all before @done are placed, and their room is used. Returns the new @done. */
static uint32_t give_back(struct cb_planner_scratch *p, uint32_t done, uint64_t key)
{
	uint32_t at;

	if (done == 0) {
		for (at = p->n_pool++; at > 0 && p->pool[at - 1] > key; at--)
			p->pool[at] = p->pool[at - 1];
		p->pool[at] = key;
		return 0;
	}
	for (at = done--; at < p->n_pool && p->pool[at] < key; at++)
		p->pool[at - 1] = p->pool[at];
	p->pool[at - 1] = key;
	p->effort -= at - done;
	return done;
}

/* Only what comes later in the pool makes way, so that there is an end to it. */
static bool gives_way(const struct cb_planner_scratch *p, uint32_t weaker, uint32_t rank,
		      unsigned int pack)
{
	uint32_t order = 0, other = 0;

	if (pack & PACK_CONSTRAINED) {
		order = p->class[p->class_of[rank]].order;
		other = p->class[p->class_of[weaker]].order;
	}
	return other > order || (other == order && p->w[weaker] < p->w[rank] - LOAD_EPSILON);
}

struct eviction {
	uint16_t cpu;
	uint16_t first; /* the one that leaves, or of several the first */
	uint32_t n;
	double load;
};

/* What @cpu would have to give away for @rank, if that is less than @best: the smallest item that is enough, or the fewest. */
static void ask(struct cb_planner_scratch *p, uint32_t rank, unsigned int cpu, unsigned int pack,
		struct eviction *best)
{
	double needed = p->w[rank] - p->value[cpu] - LOAD_EPSILON, load = 0;
	uint16_t single = NOWHERE, j;
	uint32_t n = 0;

	for (j = p->head[cpu]; j != NOWHERE && p->w[j] >= needed; j = p->next[j]) {
		p->effort--;
		if (gives_way(p, j, rank, pack))
			single = j;
	}
	if (single != NOWHERE) {
		if (best->n > 1 || p->w[single] < best->load)
			*best = (struct eviction){ (uint16_t)cpu, single, 1, p->w[single] };
		return;
	}
	for (j = p->head[cpu]; j != NOWHERE && load < needed && n < best->n; j = p->next[j]) {
		p->effort--;
		if (!gives_way(p, j, rank, pack))
			continue;
		load += p->w[j];
		n++;
	}
	if (load >= needed && (n < best->n || load < best->load))
		*best = (struct eviction){ (uint16_t)cpu, p->head[cpu], n, load };
}

/* Ask the CPUs with the most room, of all zones in turn. */
static struct eviction cheapest_eviction(struct cb_planner_scratch *p, uint32_t rank,
					 unsigned int pack)
{
	struct eviction best = { NOWHERE, NOWHERE, EVICTED_MAX + 1, HUGE_VAL };
	uint64_t zones = placement_zones(p, rank);
	uint32_t asked = 0;
	bool more = true;

	for (uint32_t depth = 1; more && asked < ASKED_MAX; depth++) {
		more = false;
		for (uint32_t i = placement_next_zone(p, zones, 0); i < p->n_zones;
		     i = placement_next_zone(p, zones, i + 1)) {
			const struct zone *zone = &p->zone[i];
			unsigned int cpu;

			if (depth > zone->n)
				continue;
			more = true;
			p->effort--;
			cpu = (uint32_t)zone->slot[zone->n - depth];
			if (!placement_allowed(p, rank, cpu))
				continue;
			ask(p, rank, cpu, pack, &best);
			asked++;
		}
	}
	return best;
}

static double most_room(const struct cb_planner_scratch *p)
{
	double most = 0;

	for (uint32_t i = 0; i < p->n_zones; i++)
		most = CB_MAX(most, p->value[(uint32_t)p->zone[i].slot[p->zone[i].n - 1]]);
	return most;
}

/*
 * Make room for @rank where that costs least; what has to leave goes back to the pool. Returns the CPU, or NOWHERE: each
 * exchange makes the load of the pool smaller by less than the most room there is, so that some of them are hopeless from the start.
 */
static uint16_t make_room(struct cb_planner_scratch *p, uint32_t rank, unsigned int pack,
			  uint32_t *done)
{
	struct eviction best;

	if (p->pool_load > most_room(p) * (double)(p->effort / EVICTION_EFFORT))
		return NOWHERE;
	best = cheapest_eviction(p, rank, pack);
	if (best.cpu == NOWHERE)
		return NOWHERE;
	for (uint16_t j = best.first, next; best.n > 0; j = next) {
		next = p->next[j];
		if (!gives_way(p, j, rank, pack))
			continue;
		p->pool_load += p->w[j];
		placement_detach(p, j);
		*done = give_back(p, *done, pool_key(p, j, pack));
		best.n--;
	}
	return best.cpu;
}

/* --- as a whole --- */

/* True unless that makes @cpu hotter than the level. Its limit becomes what it has then. */
static bool put(struct cb_planner_scratch *p, uint32_t rank, uint16_t cpu)
{
	bool fits;

	p->pool_load -= p->w[rank];
	placement_attach(p, rank, cpu);
	fits = room_of(p, cpu) >= -2 * LOAD_EPSILON;
	for (unsigned int other = cpu; !fits; other = p->sibling[other]) {
		p->limit[other] = CB_MAX(p->limit[other], p->felt[other]);
		if (p->sibling[other] == cpu)
			break;
	}
	reorder_core(p, cpu);
	return fits;
}

/*
 * Whether to try is in vain: what does not fit, and what is as good as sure not to, since every CPU will be left with a room that
 * none of the items fills.
 */
static bool hopeless(const struct cb_planner_scratch *p)
{
	double smallest, room = 0;

	if (p->n_pool == 0)
		return false;
	smallest = p->w[(uint32_t)p->pool[p->n_pool - 1]];
	for (uint32_t i = 0; i < p->n_cpus; i++) {
		unsigned int cpu = p->cpu[i];
		double felt = 1;

		/* what one of a core gets, the others feel */
		for (unsigned int other = p->sibling[cpu]; other != cpu; other = p->sibling[other])
			felt += p->smt_ratio;
		room += CB_MAX((p->limit[cpu] - p->felt[cpu]) / felt, 0.0);
	}
	return room - p->pool_load < LEAST_WASTE * smallest * p->n_cpus;
}

bool placement_pack(struct cb_planner_scratch *p, double level, unsigned int pack)
{
	bool tight = pack & PACK_TIGHT, below = true;

	p->keepable = p->hopeless = false;
	placement_load(p, p->from);
	set_limits(p, level);
	shed(p, pack);
	fill_pool(p, pack);
	p->effort -= p->n;
	if (!(pack & PACK_ANYWAY)) {
		/* the same items as without PACK_KEEP: there is nothing new to be tried */
		if (!(pack & PACK_KEEP))
			p->shed_load = p->pool_load;
		else if (fabs(p->pool_load - p->shed_load) < LOAD_EPSILON)
			p->keepable = false;
		p->hopeless = hopeless(p);
		if (p->hopeless || (pack & PACK_KEEP && !p->keepable))
			return false;
	}
	if (pack & PACK_CONSTRAINED)
		placement_sort(p->pool, p->key, p->n_pool);
	order_by_room(p);
	for (uint32_t done = 0; done < p->n_pool && (!tight || p->effort > 0);) {
		uint32_t rank = (uint32_t)p->pool[done++];
		uint16_t cpu = tight ? find_tight(p, rank, level) : find_even(p, rank, level);

		p->effort -= PLACE_EFFORT;
		if (cpu == NOWHERE)
			cpu = make_room(p, rank, pack, &done);
		if (cpu == NOWHERE)
			return false;
		below = put(p, rank, cpu) && below;
		if (!below && !(pack & PACK_ANYWAY))
			return false;
	}
	return below && (!tight || p->effort > 0);
}
