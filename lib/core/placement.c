/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The problem in its searchable form, a solution and its loads, and CPUs in the order of a value. Built anew for every plan, in
 * time that grows with the numbers of CPUs and items only: sets of CPUs are compared once for each item, by hash.
 */
#include "placement.h"

#include <stdlib.h>

/* --- memory --- */

struct cb_planner_scratch *cb_planner_scratch_free(struct cb_planner_scratch *scratch)
{
	if (!scratch)
		return NULL;
	free(scratch->zone);
	free(scratch->stuck);
	free(scratch->cpu);
	free(scratch->base);
	free(scratch->w);
	free(scratch->home);
	free(scratch->index);
	free(scratch->class);
	free(scratch->key);
	free(scratch);
	return NULL;
}

/* Arrays of one type share an allocation; the first of them owns it. */
static bool allocate(struct cb_planner_scratch *p, size_t cpus, size_t items)
{
	size_t most = CB_MAX(cpus, items);

	p->zone = calloc(cpus, sizeof(*p->zone));
	p->stuck = calloc(cpus, sizeof(*p->stuck));
	p->cpu = calloc(4 * cpus, sizeof(*p->cpu));
	p->base = calloc(6 * cpus, sizeof(*p->base));
	p->w = calloc(3 * items + 2, sizeof(*p->w));
	p->home = calloc(7 * items, sizeof(*p->home));
	p->index = calloc(items + p->hash_size, sizeof(*p->index));
	p->class = calloc(items, sizeof(*p->class));
	p->key = calloc(2 * most + cpus + items, sizeof(*p->key));
	if (!p->zone || !p->stuck || !p->cpu || !p->base || !p->w || !p->home || !p->index ||
	    !p->class || !p->key)
		return false;
	p->zone_of = p->cpu + cpus;
	p->sibling = p->zone_of + cpus;
	p->head = p->sibling + cpus;
	p->load = p->base + cpus;
	p->felt = p->load + cpus;
	p->inverse = p->felt + cpus;
	p->value = p->inverse + cpus;
	p->limit = p->value + cpus;
	p->sum = p->w + items;
	p->sum_of_class = p->sum + items + 1;
	p->at = p->home + items;
	p->next = p->at + items;
	p->class_of = p->next + items;
	p->from = p->class_of + items;
	p->best = p->from + items;
	p->best_packed = p->best + items;
	p->hash = p->index + items;
	p->key2 = p->key + most;
	p->zone[0].slot = p->key2 + most;
	p->pool = p->zone[0].slot + cpus;
	return true;
}

struct cb_planner_scratch *cb_planner_scratch_new(uint32_t n_cpu_ids, uint32_t n_items)
{
	struct cb_planner_scratch *p;

	if (n_cpu_ids > CB_CPUS_MAX || n_items > CB_PLANNER_ITEMS_MAX)
		return NULL;
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->cap_cpus = n_cpu_ids;
	p->cap_items = n_items;
	for (p->hash_size = 64; p->hash_size < 2 * n_items;)
		p->hash_size *= 2;
	if (!allocate(p, CB_MAX(n_cpu_ids, 1u), CB_MAX(n_items, 1u)))
		return cb_planner_scratch_free(p);
	return p;
}

/* --- order --- */

/* Radix sort, eight bits at a time; digits that are the same in all keys cost nothing. */
void placement_sort(uint64_t *key, uint64_t *other, uint32_t n)
{
	uint32_t count[4][256] = { 0 };
	uint64_t *from = key, *to = other;

	for (uint32_t i = 0; i < n; i++)
		for (unsigned int digit = 0; digit < 4; digit++)
			count[digit][from[i] >> (32 + 8 * digit) & 255]++;
	for (unsigned int digit = 0; digit < 4; digit++) {
		unsigned int shift = 32 + 8 * digit;
		uint64_t *swap = from;
		uint32_t sum = 0;

		if (n == 0 || count[digit][from[0] >> shift & 255] == n)
			continue;
		for (uint32_t i = 0; i < 256; i++) {
			uint32_t here = count[digit][i];

			count[digit][i] = sum;
			sum += here;
		}
		for (uint32_t i = 0; i < n; i++)
			to[count[digit][from[i] >> shift & 255]++] = from[i];
		from = to;
		to = swap;
	}
	if (from != key)
		memcpy(key, from, n * sizeof(*key));
}

/* Without branches, which could not be predicted. */
uint32_t placement_first_slot(const struct zone *zone, uint64_t key)
{
	const uint64_t *low = zone->slot;

	for (uint32_t n = zone->n; n > 1;) {
		uint32_t half = n / 2;

		low += low[half - 1] < key ? half : 0;
		n -= half;
	}
	return (uint32_t)(low - zone->slot) + (*low < key);
}

void placement_reorder(struct cb_planner_scratch *p, unsigned int cpu, double value)
{
	const struct zone *zone = &p->zone[p->zone_of[cpu]];
	uint64_t *slot = zone->slot, key = placement_slot_key(value, cpu);
	uint32_t from = placement_first_slot(zone, placement_slot_key(p->value[cpu], cpu));
	uint32_t to = placement_first_slot(zone, key);

	p->value[cpu] = value;
	if (to > from) {
		to--;
		memmove(slot + from, slot + from + 1, (to - from) * sizeof(*slot));
	} else {
		memmove(slot + to + 1, slot + to, (from - to) * sizeof(*slot));
	}
	slot[to] = key;
}

void placement_order(struct cb_planner_scratch *p)
{
	for (uint32_t i = 0; i < p->n_cpus; i++)
		p->key2[i] = placement_slot_key(p->value[p->cpu[i]], p->cpu[i]);
	placement_sort(p->key2, p->key, p->n_cpus);
	for (uint32_t i = 0; i < p->n_zones; i++)
		p->zone[i].n = 0;
	for (uint32_t i = 0; i < p->n_cpus; i++) {
		struct zone *zone = &p->zone[p->zone_of[(uint32_t)p->key2[i]]];

		zone->slot[zone->n++] = p->key2[i];
	}
}

void placement_order_by_load(struct cb_planner_scratch *p)
{
	for (uint32_t i = 0; i < p->n_cpus; i++)
		p->value[p->cpu[i]] = placement_effective(p, p->cpu[i]);
	placement_order(p);
}

void placement_reorder_core(struct cb_planner_scratch *p, unsigned int cpu)
{
	unsigned int other = cpu;

	do {
		placement_reorder(p, other, placement_effective(p, other));
		other = p->sibling[other];
	} while (other != cpu);
}

/* --- the problem --- */

static void init_cpus(struct cb_planner_scratch *p)
{
	const struct cb_topology *topology = p->problem->topology;
	uint32_t n_ids = topology->n_cpu_ids;

	p->n_cpus = 0;
	p->n_words = (n_ids + 63) / 64;
	p->smt_ratio = p->strongest = 0;
	for (uint32_t cpu = 0; cpu < n_ids; cpu++) {
		p->sibling[cpu] = (uint16_t)cpu;
		p->head[cpu] = NOWHERE; /* below: the last CPU seen of the core with this number */
		p->base[cpu] = p->problem->floor_ratio[cpu];
		p->inverse[cpu] = 1 / p->problem->capacity_ratio[cpu];
	}
	CB_CPUSET_FOREACH(cpu, &topology->online) {
		uint32_t core = cpu < n_ids ? (uint32_t)topology->cpu[cpu].core : n_ids;

		if (cpu >= n_ids)
			break;
		p->cpu[p->n_cpus++] = (uint16_t)cpu;
		p->strongest = CB_MAX(p->strongest, p->problem->capacity_ratio[cpu]);
		if (p->problem->weights.smt_ratio <= 0 || core >= n_ids)
			continue;
		if (p->head[core] != NOWHERE) {
			p->sibling[cpu] = p->sibling[p->head[core]];
			p->sibling[p->head[core]] = (uint16_t)cpu;
			p->smt_ratio = p->problem->weights.smt_ratio;
		}
		p->head[core] = (uint16_t)cpu;
	}
}

/* One zone for each node that has CPUs online. */
static void init_zones(struct cb_planner_scratch *p)
{
	uint64_t *slot = p->zone[0].slot;

	p->n_zones = 0;
	for (uint32_t i = 0; i < p->n_cpus; i++) {
		int32_t node = p->problem->topology->cpu[p->cpu[i]].node;
		uint32_t zone = 0;

		while (zone < p->n_zones && p->zone[zone].node != node)
			zone++;
		if (zone == p->n_zones) {
			p->zone[zone].node = node;
			p->zone[zone].n = 0;
			p->n_zones++;
		}
		p->zone[zone].n++;
		p->zone_of[p->cpu[i]] = (uint16_t)zone;
	}
	for (uint32_t zone = 0; zone < p->n_zones; zone++) {
		p->zone[zone].slot = slot;
		slot += p->zone[zone].n;
	}
}

static uint32_t online_count(const struct cb_planner_scratch *p, const struct cb_cpuset *set)
{
	const struct cb_cpuset *online = &p->problem->topology->online;
	uint32_t count = 0;

	for (uint32_t i = 0; i < p->n_words; i++)
		count += (uint32_t)__builtin_popcountll(set->word[i] & online->word[i]);
	return count;
}

/* The class of those that may use @set, new or known. */
static uint32_t class_of_set(struct cb_planner_scratch *p, const struct cb_cpuset *set)
{
	uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a, by words */
	uint32_t at;

	for (uint32_t i = 0; i < p->n_words; i++)
		hash = (hash ^ set->word[i]) * 0x100000001b3u;
	hash ^= hash >> 29;
	for (at = (uint32_t)hash & (p->hash_size - 1); p->hash[at];
	     at = (at + 1) & (p->hash_size - 1))
		if (memcmp(p->class[p->hash[at] - 1].set, set, p->n_words * sizeof(set->word[0])) ==
		    0)
			return p->hash[at] - 1;
	p->class[p->n_classes] = (struct item_class){ .set = set, .n_cpus = online_count(p, set) };
	p->hash[at] = ++p->n_classes;
	return p->n_classes - 1;
}

static bool is_online(const struct cb_planner_scratch *p, int32_t cpu)
{
	return cpu >= 0 && (uint32_t)cpu < p->problem->topology->n_cpu_ids &&
	       cb_cpuset_has(&p->problem->topology->online, (unsigned int)cpu);
}

bool placement_may_move(const struct cb_planner_problem *problem,
			const struct cb_planner_item *item)
{
	if (item->reject != CB_REJECT_NONE || !(item->load_ratio > 0) ||
	    item->load_ratio < problem->min_item_ratio)
		return false;
	/* the scheduler does already what a step could do */
	return item->single || !item->mask || !cb_cpuset_equal(item->mask, item->target);
}

/* Which items may move, and where to; the load of others stays where it is. Leaves keys to be sorted and classes in from[]. */
static void classify(struct cb_planner_scratch *p)
{
	const struct cb_cpuset *last_set = NULL;
	uint32_t last_class = 0;

	p->n = p->n_classes = 0;
	memset(p->hash, 0, p->hash_size * sizeof(*p->hash));
	for (uint32_t i = 0; i < p->problem->n_items; i++) {
		const struct cb_planner_item *item = &p->problem->item[i];

		if (placement_may_move(p->problem, item)) {
			if (item->target != last_set) {
				last_set = item->target;
				last_class = class_of_set(p, last_set);
			}
			if (p->class[last_class].n_cpus) {
				p->from[i] = (uint16_t)last_class;
				p->key[p->n++] =
					(uint64_t)~placement_float_bits(item->load_ratio) << 32 | i;
				continue;
			}
		}
		if (is_online(p, item->cpu))
			p->base[item->cpu] += item->load_ratio;
	}
}

static void init_ranks(struct cb_planner_scratch *p)
{
	placement_sort(p->key, p->key2, p->n);
	p->sum[0] = 0;
	for (uint32_t rank = 0; rank < p->n; rank++) {
		uint32_t i = (uint32_t)p->key[rank];
		const struct cb_planner_item *item = &p->problem->item[i];

		p->index[rank] = i;
		p->w[rank] = item->load_ratio;
		p->home[rank] = is_online(p, item->cpu) ? (uint16_t)item->cpu : NOWHERE;
		p->class_of[rank] = p->from[i];
		p->sum[rank + 1] = p->sum[rank] + item->load_ratio;
	}
}

/* Beyond this many classes, it would take longer to find out their zones than that saves. */
#define ZONED_CLASSES_MAX 64u

/* Order and zones of the classes. */
static void init_classes(struct cb_planner_scratch *p)
{
	uint32_t order = 0;

	for (uint32_t i = 0; i < p->n_classes; i++)
		p->key[i] = (uint64_t)p->class[i].n_cpus << 32 | i;
	placement_sort(p->key, p->key2, p->n_classes);
	for (uint32_t i = 0; i < p->n_classes; i++) {
		struct item_class *class = &p->class[(uint32_t)p->key[i]];

		order += i > 0 && p->key[i] >> 32 != p->key[i - 1] >> 32;
		class->order = order;
		class->zones = p->n_classes > ZONED_CLASSES_MAX || class->n_cpus == p->n_cpus ?
				       UINT64_MAX :
				       0;
		for (uint32_t j = 0; j < p->n_cpus && class->zones != UINT64_MAX; j++) {
			unsigned int cpu = p->cpu[j];

			if (class->set->word[cpu >> 6] >> (cpu & 63) & 1)
				class->zones |= UINT64_C(1) << (p->zone_of[cpu] & 63);
		}
	}
}

bool placement_begin(struct cb_planner_scratch *p, const struct cb_planner_problem *problem)
{
	if (problem->topology->n_cpu_ids > p->cap_cpus || problem->n_items > p->cap_items)
		return false;
	p->problem = problem;
	init_cpus(p);
	return true;
}

static void add_siblings(struct cb_planner_scratch *p)
{
	memcpy(p->felt, p->load, p->problem->topology->n_cpu_ids * sizeof(*p->felt));
	for (uint32_t i = 0; i < p->n_cpus && p->smt_ratio > 0; i++)
		for (unsigned int cpu = p->cpu[i], other = p->sibling[cpu]; other != cpu;
		     other = p->sibling[other])
			p->felt[cpu] += p->smt_ratio * p->load[other];
}

/* The load of every CPU, with that of all items. False: an item has no place, or one that is not online. */
static bool add_items(struct cb_planner_scratch *p)
{
	const struct cb_planner_problem *problem = p->problem;
	const struct cb_cpuset *online = &problem->topology->online;
	uint32_t n_ids = problem->topology->n_cpu_ids;
	double *load = p->load;

	memcpy(load, problem->floor_ratio, n_ids * sizeof(*load));
	for (uint32_t i = 0; i < problem->n_items; i++) {
		const struct cb_planner_item *item = &problem->item[i];

		if ((uint32_t)item->cpu >= n_ids)
			return false;
		load[item->cpu] += item->load_ratio;
	}
	for (uint32_t cpu = 0; cpu < n_ids; cpu++)
		if (load[cpu] > problem->floor_ratio[cpu] && !cb_cpuset_has(online, cpu))
			return false;
	return true;
}

bool placement_at_rest(struct cb_planner_scratch *p, double enough)
{
	const struct cb_planner_problem *problem = p->problem;
	double sum = 0, supply = 0, hottest = 0, biggest = 0;

	if (p->n_cpus == 0)
		return true;
	if (!add_items(p))
		return false;
	add_siblings(p);
	for (uint32_t i = 0; i < p->n_cpus; i++) {
		unsigned int cpu = p->cpu[i];

		sum += p->load[cpu];
		supply += problem->capacity_ratio[cpu];
		hottest = CB_MAX(hottest, placement_effective(p, cpu));
	}
	if (hottest * (1 - enough) <= sum / supply)
		return true;
	/* only the largest item that may move is in the way of less: looked for only where that matters */
	for (uint32_t i = 0; i < problem->n_items; i++)
		if (problem->item[i].reject == CB_REJECT_NONE)
			biggest = CB_MAX(biggest, problem->item[i].load_ratio);
	return hottest * (1 - enough) <= biggest / p->strongest;
}

void placement_rank(struct cb_planner_scratch *p)
{
	init_zones(p);
	classify(p);
	init_ranks(p);
	init_classes(p);
	placement_load(p, p->home);
}

double placement_distance(const struct cb_planner_scratch *p, unsigned int home, unsigned int cpu)
{
	return home == NOWHERE ? 0 : cb_topology_distance_ratio(p->problem->topology, home, cpu);
}

/* --- solutions --- */

void placement_attach(struct cb_planner_scratch *p, uint32_t rank, uint16_t cpu)
{
	uint16_t *link = &p->head[cpu];

	while (*link < rank) /* NOWHERE is larger than any rank */
		link = &p->next[*link];
	p->next[rank] = *link;
	*link = (uint16_t)rank;
	p->at[rank] = cpu;
	placement_add(p, cpu, p->w[rank]);
}

void placement_detach(struct cb_planner_scratch *p, uint32_t rank)
{
	uint16_t *link = &p->head[p->at[rank]];

	while (*link != rank)
		link = &p->next[*link];
	*link = p->next[rank];
	placement_add(p, p->at[rank], -p->w[rank]);
	p->at[rank] = NOWHERE;
}

void placement_load(struct cb_planner_scratch *p, const uint16_t *at)
{
	uint32_t n_ids = p->problem->topology->n_cpu_ids;

	memset(p->head, 0xff, n_ids * sizeof(*p->head));
	memcpy(p->load, p->base, n_ids * sizeof(*p->load));
	memcpy(p->at, at, p->n * sizeof(*p->at));
	for (uint32_t rank = p->n; rank-- > 0;) {
		uint16_t cpu = p->at[rank];

		if (cpu == NOWHERE)
			continue;
		p->next[rank] = p->head[cpu];
		p->head[cpu] = (uint16_t)rank;
		p->load[cpu] += p->w[rank];
	}
	add_siblings(p);
}

static bool has_items(const struct cb_planner_scratch *p, unsigned int cpu)
{
	bool has = p->head[cpu] != NOWHERE;

	for (unsigned int other = p->sibling[cpu]; other != cpu && !has; other = p->sibling[other])
		has = p->head[other] != NOWHERE;
	return has;
}

double placement_hottest(const struct cb_planner_scratch *p)
{
	double hottest = 0;

	for (uint32_t i = 0; i < p->n_cpus; i++) {
		double level = placement_effective(p, p->cpu[i]);

		if (level > hottest && has_items(p, p->cpu[i]))
			hottest = level;
	}
	return hottest;
}

uint32_t placement_moves(const struct cb_planner_scratch *p, const uint16_t *from,
			 const uint16_t *to)
{
	uint32_t moves = 0;

	for (uint32_t rank = 0; rank < p->n; rank++)
		moves += from[rank] != to[rank];
	return moves;
}
