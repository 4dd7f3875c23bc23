/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The order of the questions, and why:
 *  1. Was there work to judge by? If the load ended, nothing can be said: VOID.
 *  2. Did the load change by itself, at another moment than ours or as a steady drift? Then the comparison is void.
 *  3. Did what was not touched change as much? Then it was not us: VOID.
 *     But a load that grows makes nobody wait less, and one that shrinks nobody wait longer: where the run-queue wait went against the load, it
 *     decides all the same.
 *  4. Drops that were not there before: a guardrail, ROLLED_BACK.
 *  5. Served work, then run-queue wait, each tested one-sided in both directions. Where the operator gives a number of his own
 *     (ServiceMetric=) and every window has it, that number stands in the place of served work, here and in question 2.
 *
 *  6. Headroom, for a move of interrupts alone and at the last look: an interrupt has no memory to leave behind, and nobody stands in line where
 *     softirqs come first, so on a CPU that is nearly full of them nothing shows until packets are lost. KEPT where the busiest CPU
 *     concerned is cooler, the wait is not longer, and a loss of the smallest effect of served work can be excluded.
 *
 * The level of the whole verdict is shared out over two looks and two measures (Bonferroni), see level_of().
 *
 * Successive windows resemble each other, so fewer of them count than there are. Blocks of two take up the nearest part only. So a
 * difference has to pass a second gate: Z_FIRST or Z_FINAL standard errors, computed with the lag-1 autocorrelation r of the windows about their own
 * side's mean (corrected for short series: Marriott and Pope, Biometrika 41, 1954): the variance of a mean of n windows of an
 * AR(1) series is (1 + r) / (1 - r) times that of n independent ones.
 */

#include <math.h>
#include <stdio.h>

#include "cpubalance/verifier.h"

#define BLOCK		  2u /* windows per block */
#define BLOCKS_MAX	  (CB_WINDOWS_MAX / BLOCK)
#define EXACT_MAX	  20000u /* arrangements that are enumerated; beyond, as many are drawn */
#define WORK_SHARE	  0.1	 /* less served than this share of before is no work to judge by */
#define WAIT_EFFECT_RATIO 0.1  /* smallest relative change of the run-queue wait that counts ... */
#define WAIT_EFFECT_MIN	  0.02 /* ... and smallest absolute one, seconds per CPU-second */
#define ENOUGH_SHARE \
	0.3 /* a baseline is long enough when its mean is known to this share of the smallest effect */
#define AUTOCORRELATION_MAX 0.9
#define Z_FIRST		    3.1 /* of the first look, whose few windows tell little about their own memory */
#define Z_FINAL		    2.5
#define Z_LOSS		    1.645 /* one-sided 5 %, of a loss that is to be excluded */
#define COOLER_MIN	    0.1	  /* of a CPU: what headroom has to grow by */

typedef double (*measure_fn)(const struct cb_window *window);

static double measure_served(const struct cb_window *window)
{
	return window->served_per_sec;
}

static double measure_metric(const struct cb_window *window)
{
	return window->metric;
}

static double measure_wait(const struct cb_window *window)
{
	return window->wait_ratio;
}

static double measure_long_wait(const struct cb_window *window)
{
	return window->long_wait_ratio;
}

static double measure_control(const struct cb_window *window)
{
	return window->control_per_sec;
}

static double measure_heat(const struct cb_window *window)
{
	return window->heat_ratio;
}

static double measure_drops(const struct cb_window *window)
{
	return window->drops_per_sec;
}

static double mean_of(const struct cb_window *window, uint32_t n, measure_fn measure)
{
	double sum = 0;

	for (uint32_t i = 0; i < n; i++)
		sum += measure(&window[i]);
	return n ? sum / n : 0;
}

static bool all_have(const struct cb_window *window, uint32_t n, measure_fn measure)
{
	for (uint32_t i = 0; i < n; i++) {
		bool has = measure == measure_wait || measure == measure_long_wait ?
				   window[i].has_wait :
			   measure == measure_control ? window[i].has_control :
			   measure == measure_metric  ? window[i].has_metric :
			   measure == measure_heat    ? window[i].has_heat :
							window[i].has_served;

		if (!has)
			return false;
	}
	return n > 0;
}

/* Means of consecutive blocks of BLOCK windows; a rest that fills no block is left out. Returns their number. */
static uint32_t blocks_of(const struct cb_window *window, uint32_t n, measure_fn measure,
			  double *ret)
{
	uint32_t n_blocks = CB_MIN(n / BLOCK, BLOCKS_MAX);

	for (uint32_t i = 0; i < n_blocks; i++)
		ret[i] = mean_of(&window[i * BLOCK], BLOCK, measure);
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
	double slack = 1e-9 * (seen < 0 ? -seen : seen) + 1e-300;

	counts->n++;
	counts->n_up += sum >= seen - slack;
	counts->n_down += sum <= seen + slack;
}

/* Sum of squares of one side about its mean; adds the products of neighbours to @products. */
static double squares_of(const struct cb_window *window, uint32_t n, measure_fn measure,
			 double *products)
{
	double mean = mean_of(window, n, measure), last = 0, squares = 0;

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
static double variance_of(const struct cb_window *before, uint32_t n_before,
			  const struct cb_window *after, uint32_t n_after, measure_fn measure)
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
	uint32_t pick[2 * BLOCKS_MAX];

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

static double absolute(double x)
{
	return x < 0 ? -x : x;
}

struct test {
	bool made;
	double before, after;
	double error;	     /* standard, of the difference */
	double p_up, p_down; /* one-sided */
};

static void permutation_test(const struct cb_window *before, uint32_t n_before,
			     const struct cb_window *after, uint32_t n_after, measure_fn measure,
			     const struct cb_verifier_params *params, struct test *ret)
{
	double value[2 * BLOCKS_MAX], seen = 0;
	struct counts counts = { 0 };
	uint32_t a, b;

	*ret = (struct test){ .p_up = 1, .p_down = 1 };
	if (!all_have(before, n_before, measure) || !all_have(after, n_after, measure))
		return;
	ret->before = mean_of(before, n_before, measure);
	ret->after = mean_of(after, n_after, measure);
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
	ret->error = sqrt(variance_of(before, n_before, after, n_after, measure));
	if (absolute(ret->after - ret->before) < (params->final ? Z_FINAL : Z_FIRST) * ret->error)
		ret->p_up = ret->p_down = CB_MAX(0.5, CB_MIN(ret->p_up, ret->p_down));
}

static double relative(double before, double after)
{
	return before > 0 ? after / before - 1 : 0;
}

/* Sum of squares between the two sides of a split of x[0..n) at @k. */
static double split_squares(const double *x, uint32_t n, uint32_t k)
{
	double left = 0, right = 0, difference;

	for (uint32_t i = 0; i < n; i++)
		*(i < k ? &left : &right) += x[i];
	difference = right / (n - k) - left / k;
	return difference * difference * k * (n - k) / n;
}

static double total_squares(const double *x, uint32_t n)
{
	double mean = 0, sum = 0;

	for (uint32_t i = 0; i < n; i++)
		mean += x[i] / n;
	for (uint32_t i = 0; i < n; i++)
		sum += (x[i] - mean) * (x[i] - mean);
	return sum;
}

/*
 * Did served work jump at another moment than at the move? The best split of the whole series then lies more than two windows from
 * the boundary, explains two thirds of all variation, and clearly more than the boundary does.
 */
static bool changed_elsewhere(const double *x, uint32_t n, uint32_t boundary)
{
	double best = 0, at_boundary = split_squares(x, n, boundary), total = total_squares(x, n);
	uint32_t where = boundary;

	for (uint32_t k = 2; k + 2 <= n; k++) {
		double squares = split_squares(x, n, k);

		if (squares > best) {
			best = squares;
			where = k;
		}
	}
	return (where > boundary + 2 || where + 2 < boundary) && best > 0.65 * total &&
	       best > 1.5 * at_boundary;
}

static double half_step(const double *x, uint32_t n)
{
	double first = 0, second = 0;
	uint32_t half = n / 2;

	for (uint32_t i = 0; i < half; i++) {
		first += x[i];
		second += x[n - half + i];
	}
	return half ? (second - first) / half : 0;
}

/*
 * A steady drift looks like a step at the move, too. It differs from one in that both sides go on drifting: each half-to-half
 * difference has the sign of the step and at least a quarter of its size, together half of it, and they stand out of the noise within the halves.
 */
static bool drifts(const double *x, uint32_t n_before, uint32_t n_after, double step)
{
	double a = half_step(x, n_before), b = half_step(x + n_before, n_after);
	double squares, explained;

	if (n_before < 4 || n_after < 4)
		return false;
	squares = total_squares(x, n_before) + total_squares(x + n_before, n_after);
	explained = split_squares(x, n_before, n_before / 2) +
		    split_squares(x + n_before, n_after, n_after / 2);
	if (step < 0) {
		step = -step;
		a = -a;
		b = -b;
	}
	return a >= 0.25 * step && b >= 0.25 * step && a + b >= 0.5 * step &&
	       explained > 0.5 * squares && step > 0;
}

/* What the verdict rests on: the operator's number where there is one throughout, and its changes can be told in percent. */
static measure_fn decisive(const struct cb_window *before, uint32_t n_before,
			   const struct cb_window *after, uint32_t n_after)
{
	return all_have(before, n_before, measure_metric) &&
			       (n_after == 0 || all_have(after, n_after, measure_metric)) &&
			       mean_of(before, n_before, measure_metric) > 0 ?
		       measure_metric :
		       measure_served;
}

static uint32_t idle_windows(const struct cb_window *after, uint32_t n_after, double served_before)
{
	uint32_t idle = 0;

	for (uint32_t i = 0; i < n_after; i++)
		idle += after[i].served_per_sec < WORK_SHARE * served_before;
	return idle;
}

/* Question 1: was there work to judge by? */
static bool has_no_work(const struct cb_window *before, uint32_t n_before,
			const struct cb_window *after, uint32_t n_after, struct cb_judgement *ret)
{
	double served_before = mean_of(before, n_before, measure_served);

	if (served_before <= 0 || idle_windows(after, n_after, served_before) * 5 > n_after * 2) {
		snprintf(ret->sentence, sizeof(ret->sentence), "%s: there was no work to judge by",
			 served_before <= 0 ? "no load before the move" : "the load ended");
		return true;
	}
	return false;
}

/* Questions 2 and 3: did the load change by itself? */
static bool load_changed(const struct cb_window *before, uint32_t n_before,
			 const struct cb_window *after, uint32_t n_after,
			 const struct cb_verifier_params *params, struct cb_judgement *ret)
{
	measure_fn measure = decisive(before, n_before, after, n_after);
	double x[2 * CB_WINDOWS_MAX], served_before = mean_of(before, n_before, measure_served);
	double value_before = mean_of(before, n_before, measure);
	double step = mean_of(after, n_after, measure) - value_before;
	uint32_t idle = idle_windows(after, n_after, served_before), n = 0;
	struct test control;

	for (uint32_t i = 0; i < n_before; i++)
		x[n++] = measure(&before[i]);
	for (uint32_t i = 0; i < n_after; i++)
		x[n++] = measure(&after[i]);
	if (absolute(step) >= params->min_effect_ratio * value_before || idle) {
		if (changed_elsewhere(x, n, n_before)) {
			snprintf(ret->sentence, sizeof(ret->sentence),
				 "the load changed at another moment than the move");
			return true;
		}
		if (drifts(x, n_before, n_after, step)) {
			snprintf(ret->sentence, sizeof(ret->sentence),
				 "the load drifted before and after the move");
			return true;
		}
	}
	permutation_test(before, n_before, after, n_after, measure_control, params, &control);
	if (control.made && control.before > 0) {
		double effect = relative(served_before, mean_of(after, n_after, measure_served));
		double elsewhere = relative(control.before, control.after);

		if (absolute(elsewhere) >= params->min_effect_ratio && elsewhere * effect > 0 &&
		    absolute(elsewhere) >= 0.5 * absolute(effect)) {
			snprintf(ret->sentence, sizeof(ret->sentence),
				 "what was not touched changed as well, by %+.0f %%",
				 elsewhere * 100);
			return true;
		}
	}
	return false;
}

/*
 * The share of the level that one look at one measure may spend; the shares sum to 1. Served work is the better measure, and the
 * last look the better look.
 */
static double level_of(const struct cb_verifier_params *params, measure_fn measure)
{
	double share = measure == measure_wait	    ? 0.1 :
		       measure == measure_long_wait ? (params->final ? 0.1 : 0) :
						      (params->final ? 0.5 : 0.2);

	return params->alpha_ratio * share;
}

bool cb_verifier_enough(const struct cb_window *before, uint32_t n, uint32_t n_min, uint32_t n_max,
			const struct cb_verifier_params *params)
{
	measure_fn measure = decisive(before, n, NULL, 0);
	double mean = mean_of(before, n, measure);

	if (n < n_min)
		return false;
	if (n >= n_max || mean <= 0)
		return true;
	return sqrt(variance_of(before, n, NULL, 0, measure)) <=
	       ENOUGH_SHARE * params->min_effect_ratio * mean;
}

static void decide(struct cb_judgement *ret, enum cb_verdict verdict, const char *measure,
		   double effect, double p)
{
	ret->verdict = verdict;
	ret->measure = measure;
	ret->effect_ratio = effect;
	ret->p_value = p;
	snprintf(ret->sentence, sizeof(ret->sentence), "%s %+.0f %% (p %.3f)", measure,
		 effect * 100, p);
}

/* Question 5, second measure: only where the first one is not worse by itself. */
static void judge_wait(const struct test *wait, double gain,
		       const struct cb_verifier_params *params, double level,
		       struct cb_judgement *ret)
{
	double change = wait->after - wait->before;
	bool big = absolute(change) >= CB_MAX(WAIT_EFFECT_MIN, WAIT_EFFECT_RATIO * wait->before);

	if (!wait->made || !big)
		return;
	if (change < 0 && wait->p_down <= level && gain > -params->min_effect_ratio)
		decide(ret, CB_VERDICT_KEPT, "run-queue wait", relative(wait->before, wait->after),
		       wait->p_down);
	else if (change > 0 && wait->p_up <= level && gain < params->min_effect_ratio)
		decide(ret, CB_VERDICT_ROLLED_BACK, "run-queue wait",
		       relative(wait->before, wait->after), wait->p_up);
}

/*
 * The same, of those who wait: where a few of many workers stand in line, their relief is lost in the mean. Only ever in favour, where the
 * mean is not longer, and at the last look.
 */
static void judge_long_wait(const struct test *longest, const struct test *wait, double gain,
			    const struct cb_verifier_params *params, struct cb_judgement *ret)
{
	double change = longest->after - longest->before;

	if (!params->final || !longest->made || !wait->made || wait->after > wait->before ||
	    -change < CB_MAX(WAIT_EFFECT_MIN, WAIT_EFFECT_RATIO * longest->before) ||
	    longest->p_down > level_of(params, measure_long_wait) ||
	    gain <= -params->min_effect_ratio)
		return;
	decide(ret, CB_VERDICT_KEPT, "longest waits", relative(longest->before, longest->after),
	       longest->p_down);
}

/* Is it longer by what counts, shown or not? */
static bool is_longer(const struct test *wait)
{
	return wait->made && wait->after - wait->before >=
				     CB_MAX(WAIT_EFFECT_MIN, WAIT_EFFECT_RATIO * wait->before);
}

/* Question 6. */
static void judge_headroom(const struct test *heat, const struct test *first, bool falls,
			   const struct test *wait, const struct cb_verifier_params *params,
			   struct cb_judgement *ret)
{
	double gain = (first->after - first->before) * (falls ? -1 : 1);

	if (!params->headroom || !params->final || !heat->made || !first->made ||
	    heat->before - heat->after < COOLER_MIN ||
	    heat->p_down > level_of(params, measure_wait) || is_longer(wait) ||
	    gain - Z_LOSS * first->error <= -params->min_effect_ratio * first->before)
		return;
	decide(ret, CB_VERDICT_KEPT, "busiest CPU", relative(heat->before, heat->after),
	       heat->p_down);
}

/*
 * The load has changed by itself, which makes the comparison void: but for a wait that went against it, which the load cannot have
 * done.
 */
static void judge_against_load(const struct test *served, const struct test *wait,
			       const struct cb_verifier_params *params, struct cb_judgement *ret)
{
	double load = relative(served->before, served->after);
	struct cb_judgement judged = *ret;

	judge_wait(wait, load, params, level_of(params, measure_wait), &judged);
	if ((judged.verdict == CB_VERDICT_KEPT && load > 0) ||
	    (judged.verdict == CB_VERDICT_ROLLED_BACK && load < 0))
		*ret = judged;
	else
		ret->verdict = CB_VERDICT_VOID;
}

/* Question 5, first measure: @test is of what is better when there is more, unless @falls. */
static void judge_first(const struct test *test, const char *measure, bool falls,
			const struct cb_verifier_params *params, double level,
			struct cb_judgement *ret)
{
	double effect = relative(test->before, test->after), gain = falls ? -effect : effect;
	double p_better = falls ? test->p_down : test->p_up;
	double p_worse = falls ? test->p_up : test->p_down;

	if (!test->made)
		return;
	if (gain >= params->min_effect_ratio && p_better <= level)
		decide(ret, CB_VERDICT_KEPT, measure, effect, p_better);
	else if (gain <= -params->min_effect_ratio && p_worse <= level)
		decide(ret, CB_VERDICT_ROLLED_BACK, measure, effect, p_worse);
}

/* The figures of all measures, whichever of them will decide. */
static void fill_figures(const struct test *served, const struct test *wait,
			 const struct test *metric, struct cb_judgement *ret)
{
	ret->served_effect_ratio = relative(served->before, served->after);
	ret->served_p_value = CB_MIN(served->p_up, served->p_down);
	ret->wait_before_ratio = wait->before;
	ret->wait_after_ratio = wait->after;
	ret->has_metric = metric->made;
	ret->metric_before = metric->before;
	ret->metric_after = metric->after;
}

static void say_nothing_shown(const struct test *first, const char *measure, bool falls,
			      const struct test *wait, struct cb_judgement *ret)
{
	snprintf(ret->sentence, sizeof(ret->sentence),
		 "not shown to help: %s %+.1f %% (p %.2f), wait %.2f to %.2f s/CPU-s", measure,
		 relative(first->before, first->after) * 100, falls ? first->p_down : first->p_up,
		 wait->before, wait->after);
}

void cb_verifier_judge(const struct cb_window *before, uint32_t n_before,
		       const struct cb_window *after, uint32_t n_after,
		       const struct cb_verifier_params *params, struct cb_judgement *ret)
{
	double level = level_of(params, measure_served), gain;
	struct test served, wait, drops, heat, longest, metric = { .p_up = 1, .p_down = 1 };
	const struct test *first = &served;
	const char *measure = "served work";

	n_before = CB_MIN(n_before, CB_WINDOWS_MAX);
	n_after = CB_MIN(n_after, CB_WINDOWS_MAX);
	*ret = (struct cb_judgement){ .measure = "",
				      .p_value = 1,
				      .served_p_value = 1,
				      .n_before = n_before,
				      .n_after = n_after };
	permutation_test(before, n_before, after, n_after, measure_served, params, &served);
	permutation_test(before, n_before, after, n_after, measure_wait, params, &wait);
	permutation_test(before, n_before, after, n_after, measure_drops, params, &drops);
	permutation_test(before, n_before, after, n_after, measure_heat, params, &heat);
	permutation_test(before, n_before, after, n_after, measure_long_wait, params, &longest);
	/* Later, the load is another one: there served work tells of it, and no number of the operator's is compared. */
	if (!params->late && n_after > 0 &&
	    decisive(before, n_before, after, n_after) == measure_metric) {
		permutation_test(before, n_before, after, n_after, measure_metric, params, &metric);
		first = &metric;
		measure = "service metric";
	}
	fill_figures(&served, &wait, &metric, ret);
	gain = relative(first->before, first->after);
	if (first == &metric && params->metric_falls)
		gain = -gain;

	if (!params->late && has_no_work(before, n_before, after, n_after, ret))
		ret->verdict = CB_VERDICT_VOID;
	else if (!params->late && load_changed(before, n_before, after, n_after, params, ret))
		judge_against_load(&served, &wait, params, ret);
	else if (drops.made && drops.after > drops.before + 1 && drops.p_up <= level)
		decide(ret, CB_VERDICT_ROLLED_BACK, "dropped connections",
		       relative(drops.before, drops.after), drops.p_up);
	else if (!params->late)
		judge_first(first, measure, first == &metric && params->metric_falls, params, level,
			    ret);
	if (ret->verdict == CB_VERDICT_NONE)
		judge_wait(&wait, gain, params, level_of(params, measure_wait), ret);
	if (ret->verdict == CB_VERDICT_NONE && !params->late)
		judge_long_wait(&longest, &wait, gain, params, ret);
	if (ret->verdict == CB_VERDICT_NONE && !params->late)
		judge_headroom(&heat, first, first == &metric && params->metric_falls, &wait,
			       params, ret);
	if (ret->verdict != CB_VERDICT_NONE)
		return;
	say_nothing_shown(first, measure, first == &metric && params->metric_falls, &wait, ret);
	if (params->final)
		ret->verdict = CB_VERDICT_INCONCLUSIVE;
}
