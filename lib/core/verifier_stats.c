/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How two sides of windows are compared: a permutation test of blocks.
 *
 * Successive windows resemble each other, so fewer of them count than there are. Blocks of two take up the nearest part only. So a
 * difference has to pass a second gate: Z_FIRST or Z_FINAL standard errors, computed with the lag-1 autocorrelation r of the windows about their own
 * side's mean (corrected for short series: Marriott and Pope, Biometrika 41, 1954): the variance of a mean of n windows of an
 * AR(1) series is (1 + r) / (1 - r) times that of n independent ones.
 */
#include "verifier_stats.h"

#include <math.h>

#define BLOCK		    2u /* windows per block */
#define BLOCKS_MAX	    (CB_WINDOWS_MAX / BLOCK)
#define EXACT_MAX	    20000u /* arrangements that are enumerated; beyond, as many are drawn */
#define AUTOCORRELATION_MAX 0.9
#define Z_FIRST		    3.1 /* of the first look, whose few windows tell little about their own memory */
#define Z_FINAL		    2.5

double verifier_served(const struct cb_window *window)
{
	return window->served_per_sec;
}

double verifier_metric(const struct cb_window *window)
{
	return window->metric;
}

double verifier_wait(const struct cb_window *window)
{
	return window->wait_ratio;
}

double verifier_hot_wait(const struct cb_window *window)
{
	return window->hot_wait_ratio;
}

double verifier_hot_cpu(const struct cb_window *window)
{
	return window->hot_cpu_per_sec;
}

double verifier_control(const struct cb_window *window)
{
	return window->control_per_sec;
}

double verifier_heat(const struct cb_window *window)
{
	return window->heat_ratio;
}

double verifier_others(const struct cb_window *window)
{
	return window->others_per_sec;
}

double verifier_elsewhere(const struct cb_window *window)
{
	return window->elsewhere_per_sec;
}

double verifier_cpu(const struct cb_window *window)
{
	return window->cpu_per_sec;
}

double verifier_drops(const struct cb_window *window)
{
	return window->drops_per_sec;
}

double verifier_mean(const struct cb_window *window, uint32_t n, verifier_measure measure)
{
	double sum = 0;

	for (uint32_t i = 0; i < n; i++)
		sum += measure(&window[i]);
	return n ? sum / n : 0;
}

bool verifier_has(const struct cb_window *window, uint32_t n, verifier_measure measure)
{
	for (uint32_t i = 0; i < n; i++) {
		bool has = measure == verifier_wait	? window[i].has_wait :
			   measure == verifier_hot_wait ? window[i].has_hot :
			   measure == verifier_control	? window[i].has_control :
			   measure == verifier_others || measure == verifier_elsewhere ?
							 window[i].has_others :
			   measure == verifier_metric ? window[i].has_metric :
			   measure == verifier_heat   ? window[i].has_heat :
							window[i].has_served;

		if (!has)
			return false;
	}
	return n > 0;
}

/* Means of consecutive blocks of BLOCK windows; a rest that fills no block is left out. Returns their number. */
static uint32_t blocks_of(const struct cb_window *window, uint32_t n, verifier_measure measure,
			  double *ret)
{
	uint32_t n_blocks = CB_MIN(n / BLOCK, BLOCKS_MAX);

	for (uint32_t i = 0; i < n_blocks; i++)
		ret[i] = verifier_mean(&window[i * BLOCK], BLOCK, measure);
	return n_blocks;
}

/* C(n, k), or @limit + 1 when it is more. */
static uint64_t arrangements(uint32_t n, uint32_t k, uint64_t limit)
{
	uint64_t c = 1;

	for (uint32_t i = 1; i <= k; i++) {
		c = c * (n - k + i) / i;
		if (c > limit)
			return limit + 1;
	}
	return c;
}

struct counts {
	uint64_t n, n_up,
		n_down; /* arrangements; those at least as high, and as low, as what was seen */
};

/* Sums that differ by rounding only are ties. */
static void count_sum(struct counts *counts, double sum, double seen)
{
	double slack = 1e-9 * fabs(seen) + 1e-300;

	counts->n++;
	counts->n_up += sum >= seen - slack;
	counts->n_down += sum <= seen + slack;
}

/* Sum of squares of one side about its mean; adds the products of neighbours to @products. */
static double squares_of(const struct cb_window *window, uint32_t n, verifier_measure measure,
			 double *products)
{
	double mean = verifier_mean(window, n, measure), last = 0, squares = 0;

	for (uint32_t i = 0; i < n; i++) {
		double x = measure(&window[i]) - mean;

		squares += x * x;
		*products += i ? x * last : 0;
		last = x;
	}
	return squares;
}

/* Factor on the variance of a mean, for sides of @n windows on average; 1 where there is no memory. */
static double inflation_of(double squares, double products, double n)
{
	double r;

	if (squares <= 0 || n <= 4)
		return 1;
	r = (n * products / squares + 1) / (n - 3);
	r = CB_MIN(CB_MAX(r, 0.0), AUTOCORRELATION_MAX);
	return (1 + r) / (1 - r);
}

/* Variance of the difference of the means of two sides (or of the mean of one, with @n_after 0). */
double verifier_variance(const struct cb_window *before, uint32_t n_before,
			 const struct cb_window *after, uint32_t n_after, verifier_measure measure)
{
	double products = 0, squares = squares_of(before, n_before, measure, &products);
	uint32_t sides = 1 + (n_after > 0), n = n_before + n_after;
	double shares = n_before ? 1.0 / n_before : 0;

	if (n_after) {
		squares += squares_of(after, n_after, measure, &products);
		shares += 1.0 / n_after;
	}
	if (n <= sides)
		return 0;
	return squares / (n - sides) * shares * inflation_of(squares, products, (double)n / sides);
}

static void enumerate(const double *value, uint32_t n, uint32_t k, double seen,
		      struct counts *counts)
{
	uint32_t pick[2 * BLOCKS_MAX] = { 0 };

	for (uint32_t i = 0; i < k; i++)
		pick[i] = i;
	for (;;) {
		double sum = 0;
		uint32_t i = k;

		for (uint32_t j = 0; j < k; j++)
			sum += value[pick[j]];
		count_sum(counts, sum, seen);
		while (i > 0 && pick[i - 1] == n - k + i - 1)
			i--;
		if (i == 0)
			return;
		pick[i - 1]++;
		for (uint32_t j = i; j < k; j++)
			pick[j] = pick[j - 1] + 1;
	}
}

/* Marsaglia, "Xorshift RNGs" (2003), the 32-bit triple 13, 17, 5. */
static uint32_t next_random(uint32_t *state)
{
	uint32_t x = *state;

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	*state = x;
	return x;
}

static void draw(double *value, uint32_t n, uint32_t k, double seen, uint32_t seed,
		 struct counts *counts)
{
	uint32_t state = seed * 2654435761u + 1u;

	/* the arrangement that was seen is one of them: a p-value is never 0 */
	count_sum(counts, seen, seen);
	state = state ? state : 1u;
	for (uint32_t round = 0; round < EXACT_MAX; round++) {
		double sum = 0;

		for (uint32_t i = 0; i < k; i++) {
			uint32_t j = i + next_random(&state) % (n - i);
			double swap = value[i];

			value[i] = value[j];
			value[j] = swap;
			sum += value[i];
		}
		count_sum(counts, sum, seen);
	}
}

void verifier_test(const struct cb_window *before, uint32_t n_before, const struct cb_window *after,
		   uint32_t n_after, verifier_measure measure,
		   const struct cb_verifier_params *params, struct verifier_test *ret)
{
	double value[2 * BLOCKS_MAX], seen = 0;
	struct counts counts = { 0 };
	uint32_t a, b;

	*ret = (struct verifier_test){ .p_up = 1, .p_down = 1 };
	if (!verifier_has(before, n_before, measure) || !verifier_has(after, n_after, measure))
		return;
	ret->before = verifier_mean(before, n_before, measure);
	ret->after = verifier_mean(after, n_after, measure);
	a = blocks_of(after, n_after, measure, value);
	for (uint32_t i = 0; i < a; i++)
		seen += value[i];
	b = blocks_of(before, n_before, measure, value + a);
	if (a == 0 || b == 0)
		return;
	if (arrangements(a + b, a, EXACT_MAX) <= EXACT_MAX)
		enumerate(value, a + b, a, seen, &counts);
	else
		draw(value, a + b, a, seen, params->seed, &counts);
	ret->made = true;
	ret->p_up = (double)counts.n_up / (double)counts.n;
	ret->p_down = (double)counts.n_down / (double)counts.n;
	/* p-values of what does not stand out of the noise are no evidence */
	ret->error = sqrt(verifier_variance(before, n_before, after, n_after, measure));
	if (fabs(ret->after - ret->before) < (params->final ? Z_FINAL : Z_FIRST) * ret->error)
		ret->p_up = ret->p_down = CB_MAX(0.5, CB_MIN(ret->p_up, ret->p_down));
}
