/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How low the hottest CPU could be at best: what all could take were it a fluid, the largest item, and pigeonholes (of k + 1 items two share
 * one of k CPUs), for all items together and for each class on the CPUs that it may use. Packing starts from this level: the
 * nearer it is, the fewer levels are tried in vain.
 */
#include "placement.h"

#include <math.h>

/* With more classes than this, none is looked at alone: the bound is a bound without them. */
#define CLASSES_MAX 32u
/* Halvings of the interval that a level is looked for in: enough for six digits. */
#define HALVINGS 24
/* A bound that is lower than this means that there are only giants; levels are multiples of the bound, so it has to be something. */
#define LEAST_LEVEL 0.01

/* The items and CPUs that a bound is made for. */
struct part {
	const struct cb_cpuset *set; /* NULL: all online CPUs */
	uint32_t n_cpus, n_items;
	const double *sum; /* [n_items + 1] of their loads, largest first */
	double capacity;   /* of the strongest CPU */
	double base;	   /* sum over the CPUs */
	double supply;	   /* what all can give at level 1 */
};

static bool in_part(const struct part *part, unsigned int cpu)
{
	return !part->set || (part->set->word[cpu >> 6] >> (cpu & 63) & 1);
}

/* Share of its capacity that a CPU can give where all of its core that belong to the part are equally loaded. */
static double share_of(const struct cb_planner_scratch *p, const struct part *part,
		       unsigned int cpu)
{
	double felt = 1;

	for (unsigned int other = p->sibling[cpu]; other != cpu; other = p->sibling[other])
		if (in_part(part, other))
			felt += p->smt_ratio;
	return 1 / felt;
}

/* Sums up the CPUs. p->value[] gets what each can give at level 1. */
static void survey(struct cb_planner_scratch *p, struct part *part)
{
	part->capacity = part->base = part->supply = 0;
	part->n_cpus = 0;
	for (uint32_t i = 0; i < p->n_cpus; i++) {
		unsigned int cpu = p->cpu[i];

		if (!in_part(part, cpu))
			continue;
		p->value[cpu] = share_of(p, part, cpu) / p->inverse[cpu];
		part->n_cpus++;
		part->capacity = CB_MAX(part->capacity, 1 / p->inverse[cpu]);
		part->base += p->base[cpu];
		part->supply += p->value[cpu];
	}
}

static double supply_at(const struct cb_planner_scratch *p, const struct part *part, double level)
{
	double supply = 0;

	for (uint32_t i = 0; i < p->n_cpus; i++) {
		unsigned int cpu = p->cpu[i];
		double gives = p->value[cpu] * level - p->base[cpu];

		if (gives > 0 && in_part(part, cpu))
			supply += gives;
	}
	return supply;
}

static double fluid(const struct cb_planner_scratch *p, const struct part *part)
{
	double low = 0, high = (part->sum[part->n_items] + part->base) / part->supply;

	if (part->base <= 0)
		return high;
	/* at this level the whole load fits even if one CPU had all of the base */
	for (int i = 0; i < HALVINGS; i++) {
		double middle = (low + high) / 2;

		if (supply_at(p, part, middle) < part->sum[part->n_items])
			low = middle;
		else
			high = middle;
	}
	return low;
}

/* Of the largest j * k + 1 items, j + 1 share one of k CPUs: at best the smallest of them. */
static double pigeonholes(const struct part *part)
{
	double bound = 0;

	for (uint32_t j = 1, last = part->n_cpus; last < part->n_items; j++, last += part->n_cpus) {
		double least = (part->sum[last + 1] - part->sum[last - j]) / part->capacity;

		bound = CB_MAX(bound, least);
	}
	return bound;
}

/* The level that the largest item makes wherever it goes. */
static double largest_item(const struct cb_planner_scratch *p, const struct part *part)
{
	double least = HUGE_VAL, w = part->sum[1] - part->sum[0];

	for (uint32_t i = 0; i < p->n_cpus; i++) {
		unsigned int cpu = p->cpu[i];

		if (in_part(part, cpu))
			least = CB_MIN(least, (p->base[cpu] + w) * p->inverse[cpu]);
	}
	return least;
}

static double bound_of(struct cb_planner_scratch *p, struct part *part)
{
	double bound;

	survey(p, part);
	if (part->n_cpus == 0 || part->n_items == 0)
		return 0;
	bound = fluid(p, part);
	bound = CB_MAX(bound, pigeonholes(part));
	return CB_MAX(bound, largest_item(p, part));
}

static double bound_of_class(struct cb_planner_scratch *p, uint32_t class)
{
	struct part part = { .set = p->class[class].set, .sum = p->sum_of_class };

	p->sum_of_class[0] = 0;
	for (uint32_t rank = 0; rank < p->n; rank++) {
		if (p->class_of[rank] != class)
			continue;
		p->sum_of_class[part.n_items + 1] = p->sum_of_class[part.n_items] + p->w[rank];
		part.n_items++;
	}
	return bound_of(p, &part);
}

double placement_bound(struct cb_planner_scratch *p)
{
	struct part all = { .n_items = p->n, .sum = p->sum };
	double bound = CB_MAX(bound_of(p, &all), LEAST_LEVEL);

	for (uint32_t class = 0; class < p->n_classes && p->n_classes <= CLASSES_MAX; class ++)
		if (p->class[class].n_cpus < p->n_cpus)
			bound = CB_MAX(bound, bound_of_class(p, class));
	return bound;
}
