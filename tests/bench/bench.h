/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the benchmarks share. A figure is one line, "bench NAME VALUE UNIT", with " bar<=X" where it has to keep to one;
 * tools/run-benches sums them up.
 */

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cpubalance/macro.h"

static inline _Noreturn void bench_die(const char *why)
{
	fprintf(stderr, "bench: %s\n", why);
	exit(1);
}

static inline void *bench_must(void *pointer)
{
	if (!pointer)
		bench_die("not enough memory");
	return pointer;
}

/* CPU time of this thread: what is measured is done by it alone, and waiting for a CPU that others have is not what it costs. */
static inline double bench_now_usec(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static inline int bench_compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Sorts them. */
static inline double bench_median(double *values, size_t n)
{
	qsort(values, n, sizeof(*values), bench_compare);
	return values[n / 2];
}

/* @bar 0: none. */
static inline void bench_show(const char *name, double value, const char *unit, double bar)
{
	printf("bench %s %.*f %s", name, value < 10 ? 2 : value < 1000 ? 1 : 0, value, unit);
	if (bar > 0)
		printf(" bar<=%g", bar);
	printf("\n");
	fflush(stdout);
}
