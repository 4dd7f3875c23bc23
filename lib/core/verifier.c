/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The order of the questions, and why:
 *  1. Was there work to judge by? If the load ended, nothing can be said: VOID.
 *  2. Did the load change by itself, at another moment than ours or as a steady drift? Then the comparison is void.
 *  3. Did what was not touched change as much? Then it was not us: VOID.
 *     But a load that grows makes nobody wait less, and one that shrinks nobody wait longer: where the run-queue wait went against the load, it
 *     decides all the same.
 *     And where it helped while programs that are no workers left the CPUs, with enough time to do half of it, nobody knows who has. Not
 *     the other way round: a move that hurts may make room for others.
 *  4. Drops that were not there before: a guardrail, ROLLED_BACK.
 *  5. Served work, then run-queue wait, each tested one-sided in both directions. Where the operator gives a number of his own
 *     (ServiceMetric=) and every window has it, that number stands in the place of served work, here and in question 2.
 *  6. Headroom, for a move of interrupts alone and at the last look: an interrupt has no memory to leave behind, and nobody stands in line where
 *     softirqs come first, so on a CPU that is nearly full of them nothing shows until packets are lost. KEPT where the busiest CPU
 *     concerned is cooler, the wait is not longer, and a loss of the smallest effect of served work can be excluded.
 *
 * The level of the whole verdict is shared out over two looks and two measures (Bonferroni), see level_of().
 */

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "verifier_stats.h"

#define WORK_SHARE	  0.1  /* less served than this share of before is no work to judge by */
#define WAIT_EFFECT_RATIO 0.1  /* smallest relative change of the run-queue wait that counts ... */
#define WAIT_EFFECT_MIN	  0.02 /* ... and smallest absolute one, seconds per CPU-second */
#define ENOUGH_SHARE \
	0.3 /* a baseline is long enough when its mean is known to this share of the smallest effect */
#define Z_LOSS	   1.645 /* one-sided 5 %, of a loss that is to be excluded */
#define COOLER_MIN 0.1	 /* of a CPU: what headroom has to grow by */
/* Beyond this growth a percentage is no number for people; beyond the second one there was next to nothing before. */
#define MANYFOLD     10.0
#define FROM_NOTHING 1000.0
#define CHANGE_MAX   40u
/* What a verdict can rest on besides served work. */
#define WAIT	 "run-queue wait"
#define HOT_WAIT "run-queue wait of those on the hot CPU"
#define HEAT	 "busiest CPU"

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
static verifier_measure decisive(const struct cb_window *before, uint32_t n_before,
				 const struct cb_window *after, uint32_t n_after)
{
	return verifier_has(before, n_before, verifier_metric) &&
			       (n_after == 0 || verifier_has(after, n_after, verifier_metric)) &&
			       verifier_mean(before, n_before, verifier_metric) > 0 ?
		       verifier_metric :
		       verifier_served;
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
	double served_before = verifier_mean(before, n_before, verifier_served);

	if (served_before <= 0 || idle_windows(after, n_after, served_before) * 5 > n_after * 2) {
		snprintf(ret->sentence, sizeof(ret->sentence), "%s: there was no work to judge by",
			 served_before <= 0 ? "no load before the move" : "the load ended");
		return true;
	}
	return false;
}

/* Question 3: groups that were not touched. */
static bool changed_too(const struct cb_window *before, uint32_t n_before,
			const struct cb_window *after, uint32_t n_after,
			const struct cb_verifier_params *params, struct cb_judgement *ret)
{
	double effect = relative(verifier_mean(before, n_before, verifier_served),
				 verifier_mean(after, n_after, verifier_served));
	struct verifier_test control;
	double elsewhere;

	verifier_test(before, n_before, after, n_after, verifier_control, params, &control);
	elsewhere = relative(control.before, control.after);
	if (!control.made || fabs(elsewhere) < params->min_effect_ratio ||
	    elsewhere * effect <= 0 || fabs(elsewhere) < 0.5 * fabs(effect))
		return false;
	snprintf(ret->sentence, sizeof(ret->sentence),
		 "what was not touched changed as well, by %+.0f %%", elsewhere * 100);
	return true;
}

/* Questions 2 and 3: did the load change by itself? */
static bool load_changed(const struct cb_window *before, uint32_t n_before,
			 const struct cb_window *after, uint32_t n_after,
			 const struct cb_verifier_params *params, struct cb_judgement *ret)
{
	verifier_measure measure = decisive(before, n_before, after, n_after);
	double x[2 * CB_WINDOWS_MAX],
		served_before = verifier_mean(before, n_before, verifier_served);
	double value_before = verifier_mean(before, n_before, measure);
	double step = verifier_mean(after, n_after, measure) - value_before;
	uint32_t idle = idle_windows(after, n_after, served_before), n = 0;

	for (uint32_t i = 0; i < n_before; i++)
		x[n++] = measure(&before[i]);
	for (uint32_t i = 0; i < n_after; i++)
		x[n++] = measure(&after[i]);
	if (fabs(step) >= params->min_effect_ratio * value_before || idle) {
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
	return changed_too(before, n_before, after, n_after, params, ret);
}

/*
 * The share of the level that one look at one measure may spend; the shares sum to 1. Served work is the better measure, and the
 * last look the better look.
 */
static double level_of(const struct cb_verifier_params *params, verifier_measure measure)
{
	double share = measure == verifier_wait	    ? 0.1 :
		       measure == verifier_hot_wait ? (params->final ? 0.1 : 0) :
						      (params->final ? 0.5 : 0.2);

	return params->alpha_ratio * share;
}

bool cb_verifier_enough(const struct cb_window *before, uint32_t n, uint32_t n_min, uint32_t n_max,
			const struct cb_verifier_params *params)
{
	verifier_measure measure = decisive(before, n, NULL, 0);
	double mean = verifier_mean(before, n, measure);

	if (n < n_min)
		return false;
	if (n >= n_max || mean <= 0)
		return true;
	return sqrt(verifier_variance(before, n, NULL, 0, measure)) <=
	       ENOUGH_SHARE * params->min_effect_ratio * mean;
}

/* The change that a test has seen, in words that mean something however little there was before. */
static const char *change_of(const struct verifier_test *test, int decimals, char buf[CHANGE_MAX])
{
	if (test->after <= MANYFOLD * test->before || test->after <= 0)
		snprintf(buf, CHANGE_MAX, "%+.*f %%", decimals,
			 relative(test->before, test->after) * 100);
	else if (test->after <= FROM_NOTHING * test->before)
		snprintf(buf, CHANGE_MAX, "times %.0f", test->after / test->before);
	else
		snprintf(buf, CHANGE_MAX, "up from %s",
			 test->before > 0 ? "almost nothing" : "none");
	return buf;
}

static void decide(struct cb_judgement *ret, enum cb_verdict verdict, const char *measure,
		   const struct verifier_test *test, double p)
{
	char change[CHANGE_MAX];

	ret->verdict = verdict;
	ret->measure = measure;
	ret->effect_ratio = relative(test->before, test->after);
	ret->p_value = p;
	snprintf(ret->sentence, sizeof(ret->sentence), "%s %s (p %.3f)", measure,
		 change_of(test, 0, change), p);
}

/* The smallest change of a run-queue wait that counts. */
static double least_change(const struct verifier_test *wait)
{
	return CB_MAX(WAIT_EFFECT_MIN, WAIT_EFFECT_RATIO * wait->before);
}

/* Question 5, second measure: only where the first one is not worse by itself. */
static void judge_wait(const struct verifier_test *wait, double gain,
		       const struct cb_verifier_params *params, double level,
		       struct cb_judgement *ret)
{
	double change = wait->after - wait->before;

	if (!wait->made || fabs(change) < least_change(wait))
		return;
	if (change < 0 && wait->p_down <= level && gain > -params->min_effect_ratio)
		decide(ret, CB_VERDICT_KEPT, WAIT, wait, wait->p_down);
	else if (change > 0 && wait->p_up <= level && gain < params->min_effect_ratio)
		decide(ret, CB_VERDICT_ROLLED_BACK, WAIT, wait, wait->p_up);
}

/*
 * The same, of those whom the finding is about: where two of many workers stood in line, their relief is lost in the mean of all. Only ever in
 * favour, at the last look, where they get no less done and the mean of all is not longer.
 */
static void judge_hot_wait(const struct cb_window *before, uint32_t n_before,
			   const struct cb_window *after, uint32_t n_after,
			   const struct verifier_test *wait, double gain,
			   const struct cb_verifier_params *params, struct cb_judgement *ret)
{
	double used = verifier_mean(before, n_before, verifier_hot_cpu);
	struct verifier_test hot;

	verifier_test(before, n_before, after, n_after, verifier_hot_wait, params, &hot);
	if (!params->final || !hot.made || !wait->made || wait->after > wait->before ||
	    hot.before - hot.after < least_change(&hot) ||
	    hot.p_down > level_of(params, verifier_hot_wait) || gain <= -params->min_effect_ratio ||
	    verifier_mean(after, n_after, verifier_hot_cpu) < used * (1 - params->min_effect_ratio))
		return;
	decide(ret, CB_VERDICT_KEPT, HOT_WAIT, &hot, hot.p_down);
}

/* Is it longer by what counts, shown or not? */
static bool is_longer(const struct verifier_test *wait)
{
	return wait->made && wait->after - wait->before >= least_change(wait);
}

/* Question 6. */
static void judge_headroom(const struct verifier_test *heat, const struct verifier_test *first,
			   bool falls, const struct verifier_test *wait,
			   const struct cb_verifier_params *params, struct cb_judgement *ret)
{
	double gain = (first->after - first->before) * (falls ? -1 : 1);

	if (!params->headroom || !params->final || !heat->made || !first->made ||
	    heat->before - heat->after < COOLER_MIN ||
	    heat->p_down > level_of(params, verifier_wait) || is_longer(wait) ||
	    gain - Z_LOSS * first->error <= -params->min_effect_ratio * first->before)
		return;
	decide(ret, CB_VERDICT_KEPT, HEAT, heat, heat->p_down);
}

/*
 * The load has changed by itself, which makes the comparison void: but for a wait, or a CPU, that went against it, which the load cannot
 * have done.
 */
static void judge_against_load(const struct verifier_test *served, const struct verifier_test *wait,
			       const struct verifier_test *heat,
			       const struct cb_verifier_params *params, struct cb_judgement *ret)
{
	double load = relative(served->before, served->after);
	struct cb_judgement judged = *ret;

	judge_wait(wait, load, params, level_of(params, verifier_wait), &judged);
	if (judged.verdict == CB_VERDICT_NONE)
		judge_headroom(heat, served, false, wait, params, &judged);
	/* headroom is a question of the last look */
	if (judged.verdict == CB_VERDICT_NONE && params->headroom && !params->final && load > 0)
		return;
	if ((judged.verdict == CB_VERDICT_KEPT && load > 0) ||
	    (judged.verdict == CB_VERDICT_ROLLED_BACK && load < 0))
		*ret = judged;
	else
		ret->verdict = CB_VERDICT_VOID;
}

/* Question 5, first measure: @test is of what is better when there is more, unless @falls. */
static void judge_first(const struct verifier_test *test, const char *measure, bool falls,
			const struct cb_verifier_params *params, double level,
			struct cb_judgement *ret)
{
	double effect = relative(test->before, test->after), gain = falls ? -effect : effect;
	double p_better = falls ? test->p_down : test->p_up;
	double p_worse = falls ? test->p_up : test->p_down;

	if (!test->made)
		return;
	if (gain >= params->min_effect_ratio && p_better <= level)
		decide(ret, CB_VERDICT_KEPT, measure, test, p_better);
	else if (gain <= -params->min_effect_ratio && p_worse <= level)
		decide(ret, CB_VERDICT_ROLLED_BACK, measure, test, p_worse);
}

/* The figures of all measures, whichever of them will decide. */
static void fill_figures(const struct verifier_test *served, const struct verifier_test *wait,
			 const struct verifier_test *metric, struct cb_judgement *ret)
{
	ret->served_effect_ratio = relative(served->before, served->after);
	ret->served_p_value = CB_MIN(served->p_up, served->p_down);
	ret->wait_before_ratio = wait->before;
	ret->wait_after_ratio = wait->after;
	ret->has_metric = metric->made;
	ret->metric_before = metric->before;
	ret->metric_after = metric->after;
}

static void say_nothing_shown(const struct verifier_test *first, const char *measure, bool falls,
			      const struct verifier_test *wait, struct cb_judgement *ret)
{
	char change[CHANGE_MAX];

	snprintf(ret->sentence, sizeof(ret->sentence),
		 "not shown to help: %s %s (p %.2f), wait %.2f to %.2f s/CPU-s", measure,
		 change_of(first, 1, change), falls ? first->p_down : first->p_up, wait->before,
		 wait->after);
}

/* CPU-seconds per second that what it is to be kept for is worth. */
static double worth_of(const struct cb_window *before, uint32_t n_before,
		       const struct cb_window *after, uint32_t n_after,
		       const struct cb_judgement *judgement)
{
	double cpu = verifier_mean(before, n_before, verifier_cpu);

	if (strcmp(judgement->measure, WAIT) == 0 || strcmp(judgement->measure, HOT_WAIT) == 0)
		return cpu * judgement->wait_before_ratio -
		       verifier_mean(after, n_after, verifier_cpu) * judgement->wait_after_ratio;
	if (strcmp(judgement->measure, HEAT) == 0)
		return verifier_mean(before, n_before, verifier_heat) -
		       verifier_mean(after, n_after, verifier_heat);
	return cpu * fabs(judgement->effect_ratio);
}

/*
 * It has helped, or programs that are no workers have left the CPUs in the same moment, with enough time to do half of it: nobody
 * knows who has. Those that only gave way to what was moved have left none of the CPUs that nothing was put on; those that only went elsewhere
 * have not left at all.
 */
static bool others_left(const struct cb_window *before, uint32_t n_before,
			const struct cb_window *after, uint32_t n_after,
			const struct cb_verifier_params *params, struct cb_judgement *ret)
{
	double worth = worth_of(before, n_before, after, n_after, ret);
	struct verifier_test others, elsewhere;

	verifier_test(before, n_before, after, n_after, verifier_others, params, &others);
	verifier_test(before, n_before, after, n_after, verifier_elsewhere, params, &elsewhere);
	if (worth <= 0 || !others.made || !elsewhere.made || others.p_down > params->alpha_ratio ||
	    elsewhere.p_down > params->alpha_ratio || others.before - others.after < 0.5 * worth ||
	    elsewhere.before - elsewhere.after < 0.25 * worth)
		return false;
	snprintf(ret->sentence, sizeof(ret->sentence),
		 "other programs left as well: they used %.1f CPUs before, %.1f after",
		 others.before, others.after);
	return true;
}

void cb_verifier_judge(const struct cb_window *before, uint32_t n_before,
		       const struct cb_window *after, uint32_t n_after,
		       const struct cb_verifier_params *params, struct cb_judgement *ret)
{
	double level = level_of(params, verifier_served), gain;
	struct verifier_test served, wait, drops, heat, metric = { .p_up = 1, .p_down = 1 };
	const struct verifier_test *first = &served;
	const char *measure = "served work";
	bool changed = false, falls = false;

	n_before = CB_MIN(n_before, CB_WINDOWS_MAX);
	n_after = CB_MIN(n_after, CB_WINDOWS_MAX);
	*ret = (struct cb_judgement){ .measure = "",
				      .p_value = 1,
				      .served_p_value = 1,
				      .n_before = n_before,
				      .n_after = n_after };
	verifier_test(before, n_before, after, n_after, verifier_served, params, &served);
	verifier_test(before, n_before, after, n_after, verifier_wait, params, &wait);
	verifier_test(before, n_before, after, n_after, verifier_drops, params, &drops);
	verifier_test(before, n_before, after, n_after, verifier_heat, params, &heat);
	/* Later, the load is another one: there served work tells of it, and no number of the operator's is compared. */
	if (!params->late && n_after > 0 &&
	    decisive(before, n_before, after, n_after) == verifier_metric) {
		verifier_test(before, n_before, after, n_after, verifier_metric, params, &metric);
		first = &metric;
		measure = "service metric";
		falls = params->metric_falls;
	}
	fill_figures(&served, &wait, &metric, ret);
	gain = relative(first->before, first->after);
	if (falls)
		gain = -gain;

	if (!params->late && has_no_work(before, n_before, after, n_after, ret))
		ret->verdict = CB_VERDICT_VOID;
	else if (!params->late && load_changed(before, n_before, after, n_after, params, ret))
		changed = true;
	else if (drops.made && drops.after > drops.before + 1 && drops.p_up <= level)
		decide(ret, CB_VERDICT_ROLLED_BACK, "dropped connections", &drops, drops.p_up);
	else if (!params->late)
		judge_first(first, measure, falls, params, level, ret);
	if (changed)
		judge_against_load(&served, &wait, &heat, params, ret);
	if (changed && ret->verdict == CB_VERDICT_NONE)
		return;
	if (ret->verdict == CB_VERDICT_NONE)
		judge_wait(&wait, gain, params, level_of(params, verifier_wait), ret);
	if (ret->verdict == CB_VERDICT_NONE && !params->late)
		judge_hot_wait(before, n_before, after, n_after, &wait, gain, params, ret);
	if (ret->verdict == CB_VERDICT_NONE && !params->late)
		judge_headroom(&heat, first, falls, &wait, params, ret);
	if (ret->verdict == CB_VERDICT_KEPT && !params->late &&
	    others_left(before, n_before, after, n_after, params, ret))
		ret->verdict = CB_VERDICT_VOID;
	if (ret->verdict != CB_VERDICT_NONE)
		return;
	say_nothing_shown(first, measure, falls, &wait, ret);
	if (params->final)
		ret->verdict = CB_VERDICT_INCONCLUSIVE;
}
