/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The search behind the planner: a problem in a form that is quick to search, and solutions of it.
 *
 *     placement.c        the problem, ranks and classes; a solution and its loads; CPUs in order
 *     placement_bound.c  how low the hottest CPU could be at best
 *     placement_pack.c   bring every CPU below a level with few moves
 *     placement_mend.c   exchanges between the hottest CPU and cool ones
 *     placement_trim.c   take back moves that are not needed
 *     placement_solve.c  the strategy made of these
 *
 * Items are numbered by rank: 0 has the largest load. An item belongs to a class: those that may use the same CPUs. Only items
 * that may move are known here; the load of others is part of the base of their CPU. Arrays by CPU number have n_cpu_ids entries.
 * Nothing allocates but cb_planner_scratch_new().
 */

#include <string.h>

#include "cpubalance/planner.h"

#define NOWHERE UINT16_MAX
/* Loads that differ by less are equal: far below what can be measured, far above the error of a sum. */
#define LOAD_EPSILON 1e-9

struct item_class {
	const struct cb_cpuset *set;
	uint32_t n_cpus; /* online ones */
	uint32_t order;	 /* 0: those with the fewest CPUs to choose from */
	uint64_t zones;	 /* bit z % 64 is set when it may use CPUs of zone z */
};

/* The CPUs of a NUMA node, so that a class that is bound to it need not look at others. */
struct zone {
	int32_t node;
	uint32_t n;
	uint64_t *slot; /* [n] keys in ascending order: a value and its CPU, see placement_slot_key() */
};

struct cb_planner_scratch {
	uint32_t cap_cpus, cap_items;
	const struct cb_planner_problem *problem;
	double smt_ratio; /* 0 also where there are no siblings */
	int64_t effort; /* left for this round, in small steps of a few nanoseconds: the cost of a plan is bounded */

	uint32_t n_cpus, n_words; /* online CPUs; words of a set that can have members */
	uint16_t *cpu;		  /* [n_cpus] their numbers, ascending */
	uint16_t *zone_of;	  /* by CPU number, as all down to limit: */
	uint16_t *sibling; /* ring of the online CPUs of a core; itself where it is alone or where siblings do not count */
	uint16_t *head;	  /* list of the items there, by rank */
	uint8_t *stuck;	  /* for a plan within a budget: it cannot be helped */
	double *base;	  /* load that stays */
	double *load;	  /* base and items */
	double *felt;	  /* load and the share of the siblings' */
	double *inverse;  /* of the capacity */
	double *value;	  /* that the slots are ordered by */
	double *limit;	  /* of felt, while packing */
	double strongest; /* the largest capacity */

	uint32_t n;	/* items, by rank: */
	double *w;	/* load */
	uint16_t *home; /* where it is in the problem, or NOWHERE */
	uint16_t *at;	/* where it is in the present solution, or NOWHERE */
	uint16_t *next; /* on the same CPU */
	uint16_t *class_of;
	uint32_t *index;      /* in the problem */
	double *sum;	      /* [n + 1] sums of w: of the first i */
	double *sum_of_class; /* [n + 1] the same for the items of a class, while looking for a bound */

	uint32_t n_classes;
	struct item_class *class;
	uint32_t *hash; /* [hash_size] of class + 1, 0 free */
	uint32_t hash_size;

	uint32_t n_zones;
	struct zone *zone;
	uint32_t n_pool;
	uint64_t *pool; /* items without a place, in the order in which they get one */
	double pool_load;
	double shed_load; /* the whole pool of the last packing without PACK_KEEP */
	bool keepable;	  /* PACK_KEEP makes a difference at the level of the last packing */
	bool hopeless;	  /* that level cannot be reached by any way that sheds the same items */
	uint16_t *from;	  /* [n] the solution that a round starts from */
	uint16_t *best;	  /* [n] the best one so far */
	uint16_t *best_packed; /* [n] the same of one level */
	uint64_t *key, *key2;  /* [most of CPUs and items] for sorting */
};

/* --- placement.c --- */

/* Take over the problem: the CPUs. False when it is larger than the scratch. */
bool placement_begin(struct cb_planner_scratch *p, const struct cb_planner_problem *problem);
/* Whether a glance shows that no CPU can be made cooler by that share; false may mean that it takes more than a glance. */
bool placement_at_rest(struct cb_planner_scratch *p, double enough);
/* Ranks, classes, loads; every item is at home. */
void placement_rank(struct cb_planner_scratch *p);
bool placement_may_move(const struct cb_planner_problem *problem,
			const struct cb_planner_item *item);
/* Set all items to their places in @at and compute the loads anew. */
void placement_load(struct cb_planner_scratch *p, const uint16_t *at);
void placement_attach(struct cb_planner_scratch *p, uint32_t rank, uint16_t cpu); /* from nowhere */
void placement_detach(struct cb_planner_scratch *p, uint32_t rank);
/* Highest effective load of a CPU that has something to give away, or whose siblings have. */
double placement_hottest(const struct cb_planner_scratch *p);
uint32_t placement_moves(const struct cb_planner_scratch *p, const uint16_t *from,
			 const uint16_t *to);
/* cb_topology_distance_ratio(), and 0 from NOWHERE. */
double placement_distance(const struct cb_planner_scratch *p, unsigned int home, unsigned int cpu);
/* Sort by the upper 32 bits, ascending and stable; @n keys, @other has room for as many. */
void placement_sort(uint64_t *key, uint64_t *other, uint32_t n);

/* The CPUs of each zone in the order of p->value[]: all anew; one that has a new value; the first that is not below @key. */
void placement_order(struct cb_planner_scratch *p);
void placement_reorder(struct cb_planner_scratch *p, unsigned int cpu, double value);
uint32_t placement_first_slot(const struct zone *zone, uint64_t key);
/* The same with effective loads for values. */
void placement_order_by_load(struct cb_planner_scratch *p);
void placement_reorder_core(struct cb_planner_scratch *p, unsigned int cpu);

/* --- the others --- */

/* A level that the hottest CPU cannot be brought below. */
double placement_bound(struct cb_planner_scratch *p);

/* Ways to pack; each bit is a choice. */
enum {
	PACK_CONSTRAINED =
		1,     /* items with the fewest CPUs to choose from first; else the largest first */
	PACK_KEEP = 2, /* a CPU that holds a large item gives away the others */
	PACK_TIGHT =
		4, /* to the fullest CPU that has room, smaller items make way; else to the emptiest */
	PACK_ANYWAY =
		8, /* without PACK_TIGHT: to the emptiest also where that is above the level */
};
/* From p->from, bring every CPU below @level, with few moves. True: the present solution is one; with PACK_ANYWAY it is always complete. */
bool placement_pack(struct cb_planner_scratch *p, double level, unsigned int pack);

/* From the present solution, exchanges with the hottest CPU until it is at @enough, or cannot be helped, or effort is used up. */
void placement_mend(struct cb_planner_scratch *p, double enough);

/* Items that one CPU gives to another and takes from it: ranks, NOWHERE none. Never two for two. */
struct placement_exchange {
	uint16_t give[2], take[2];
	uint16_t partner;
	double cost;
};
#define EXCHANGE_MOVES_MAX 3u

/*
 * The best exchange between @hot and one of the coolest CPUs, of at most @at_most moves; each has its price in multiples of @enough, below
 * which a level counts as that. @to, by rank: NOWHERE may not move. CPUs have to be in the order of their loads. False: none makes the
 * hotter of both cooler.
 */
bool placement_exchange(struct cb_planner_scratch *p, unsigned int hot, double enough,
			double move_cost, uint32_t at_most, const uint16_t *to,
			struct placement_exchange *ret);

/*
 * From the present solution, take back moves since p->from as long as no CPU gets above @level, or above what it has where that is more. Returns
 * how many exchanges that took.
 */
uint32_t placement_trim(struct cb_planner_scratch *p, double level);

/* From home to the best solution that is found. */
void placement_solve(struct cb_planner_scratch *p);
/* Where an item that has no place yet makes the coolest CPU. */
uint16_t placement_first_place(const struct cb_planner_scratch *p, uint32_t rank);

/* --- small ones --- */

static inline bool placement_allowed(const struct cb_planner_scratch *p, uint32_t rank,
				     unsigned int cpu)
{
	return p->class[p->class_of[rank]].set->word[cpu >> 6] >> (cpu & 63) & 1;
}

/* The first zone from @zone on that a class with these zones may use CPUs of; n_zones where there is none. */
static inline uint32_t placement_next_zone(const struct cb_planner_scratch *p, uint64_t zones,
					   uint32_t zone)
{
	while (zone < p->n_zones) {
		uint64_t ahead = zones >> (zone & 63);

		if (ahead & 1)
			return zone;
		zone += ahead ? (uint32_t)__builtin_ctzll(ahead) : 64 - (zone & 63);
	}
	return p->n_zones;
}

static inline uint64_t placement_zones(const struct cb_planner_scratch *p, uint32_t rank)
{
	return p->class[p->class_of[rank]].zones;
}

static inline double placement_effective(const struct cb_planner_scratch *p, unsigned int cpu)
{
	return p->felt[cpu] * p->inverse[cpu];
}

static inline void placement_add(struct cb_planner_scratch *p, unsigned int cpu, double load)
{
	p->load[cpu] += load;
	p->felt[cpu] += load;
	for (unsigned int other = p->sibling[cpu]; other != cpu; other = p->sibling[other])
		p->felt[other] += p->smt_ratio * load;
}

/* The order of floats that are not negative is that of their bits. */
static inline uint32_t placement_float_bits(double x)
{
	float f = (float)x;
	uint32_t bits;

	memcpy(&bits, &f, sizeof(bits));
	return bits;
}

static inline uint64_t placement_slot_key(double value, unsigned int cpu)
{
	return (uint64_t)placement_float_bits(CB_MAX(value, 0.0)) << 32 | cpu;
}
