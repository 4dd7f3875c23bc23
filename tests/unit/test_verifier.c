/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The verdict: what is kept, undone, void, and how often noise alone is taken for an effect. */
#include "cpubalance/verifier.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static uint32_t random_state = 1;

static double uniform(void) /* 0..1 */
{
	random_state = random_state * 1664525u + 1013904223u;
	return (double)(random_state >> 8) / (double)(1u << 24);
}

static double normal(void) /* Irwin-Hall with 12 terms */
{
	double sum = -6;

	for (int i = 0; i < 12; i++)
		sum += uniform();
	return sum;
}

struct series {
	struct cb_window before[CB_WINDOWS_MAX], after[CB_WINDOWS_MAX];
	uint32_t n_before, n_after;
};

static void fill(struct cb_window *window, uint32_t n, double served, double wait, double sigma)
{
	for (uint32_t i = 0; i < n; i++)
		window[i] = (struct cb_window){
			.has_served = true,
			.has_wait = true,
			.served_per_sec = served * (1 + sigma * normal()),
			.wait_ratio = wait * (1 + sigma * normal()),
		};
}

static struct series make(double served_before, double served_after, double wait_before, double wait_after, double sigma)
{
	struct series s = { .n_before = 10, .n_after = 10 };

	fill(s.before, s.n_before, served_before, wait_before, sigma);
	fill(s.after, s.n_after, served_after, wait_after, sigma);
	return s;
}

static struct cb_judgement judge(const struct series *s, bool final)
{
	struct cb_verifier_params params = { .alpha_ratio = 0.05, .min_effect_ratio = 0.03, .final = final, .seed = 3 };
	struct cb_judgement judgement;

	cb_verifier_judge(s->before, s->n_before, s->after, s->n_after, &params, &judgement);
	return judgement;
}

static void more_work_is_kept(void **state)
{
	struct series s = make(4000, 7800, 1, 0.2, 0.05);
	struct cb_judgement judgement = judge(&s, false);

	(void)state;
	assert_int_equal(judgement.verdict, CB_VERDICT_KEPT);
	assert_string_equal(judgement.measure, "served work");
	assert_true(judgement.effect_ratio > 0.8 && judgement.effect_ratio < 1.1);
	assert_true(judgement.p_value <= 1.0 / 252 + 1e-12);
	assert_int_equal(judgement.n_before, 10);
}

/* The trap: less work done, and less waiting for it. Served work has the first word. */
static void less_work_is_undone_although_waiting_falls(void **state)
{
	struct series s = make(31000, 22500, 0.65, 0.33, 0.03);
	struct cb_judgement judgement = judge(&s, false);

	(void)state;
	assert_int_equal(judgement.verdict, CB_VERDICT_ROLLED_BACK);
	assert_string_equal(judgement.measure, "served work");
	assert_true(judgement.effect_ratio < -0.2);
}

static void less_waiting_for_the_same_work_is_kept(void **state)
{
	struct series s = make(1500, 1500, 0.6, 0.2, 0.02);

	(void)state;
	assert_int_equal(judge(&s, false).verdict, CB_VERDICT_KEPT);
	assert_string_equal(judge(&s, false).measure, "run-queue wait");
	s = make(1500, 1500, 0.2, 0.6, 0.02);
	assert_int_equal(judge(&s, false).verdict, CB_VERDICT_ROLLED_BACK);
}

static void no_effect_is_looked_at_twice(void **state)
{
	struct series s = make(1500, 1500, 0.2, 0.2, 0.03);

	(void)state;
	assert_int_equal(judge(&s, false).verdict, CB_VERDICT_NONE);
	assert_int_equal(judge(&s, true).verdict, CB_VERDICT_INCONCLUSIVE);
}

static void a_tiny_effect_is_not_worth_keeping(void **state)
{
	struct series s = make(1500, 1515, 0.2, 0.2, 0.0005);

	(void)state;
	assert_int_equal(judge(&s, true).verdict, CB_VERDICT_INCONCLUSIVE);
}

static void without_load_nothing_is_said(void **state)
{
	struct series s = make(0, 0, 0, 0, 0);

	(void)state;
	assert_int_equal(judge(&s, false).verdict, CB_VERDICT_VOID);
	s = make(1000, 1000, 0.1, 0.1, 0.02);
	for (uint32_t i = 4; i < s.n_after; i++)
		s.after[i].served_per_sec = 0;
	assert_int_equal(judge(&s, false).verdict, CB_VERDICT_VOID);
	assert_non_null(strstr(judge(&s, false).sentence, "the load ended"));
}

static void a_step_at_another_moment_is_void(void **state)
{
	struct series s = make(1000, 1500, 0.1, 0.1, 0.01);

	(void)state;
	for (uint32_t i = 4; i < s.n_before; i++)
		s.before[i].served_per_sec = 1500;
	assert_int_equal(judge(&s, false).verdict, CB_VERDICT_VOID);
	s = make(1000, 1000, 0.1, 0.1, 0.01);
	for (uint32_t i = 5; i < s.n_after; i++)
		s.after[i].served_per_sec = 1500;
	assert_int_equal(judge(&s, false).verdict, CB_VERDICT_VOID);
}

static void a_drift_is_void(void **state)
{
	struct series s = make(1000, 1000, 0.1, 0.1, 0.005);

	(void)state;
	for (uint32_t i = 0; i < 10; i++) {
		s.before[i].served_per_sec *= 1 + 0.03 * i;
		s.after[i].served_per_sec *= 1.39 + 0.03 * i;
	}
	assert_int_equal(judge(&s, false).verdict, CB_VERDICT_VOID);
	assert_non_null(strstr(judge(&s, false).sentence, "drifted"));
}

/* A load that grows makes nobody wait less, and one that shrinks nobody wait longer: then it was the move. */
static void a_wait_against_the_drift_is_judged(void **state)
{
	struct series s = make(1000, 1000, 0.6, 0.1, 0.005);

	(void)state;
	for (uint32_t i = 0; i < 10; i++) {
		s.before[i].served_per_sec *= 1 + 0.003 * i;
		s.after[i].served_per_sec *= 1.039 + 0.003 * i;
	}
	assert_int_equal(judge(&s, false).verdict, CB_VERDICT_KEPT);
	assert_string_equal(judge(&s, false).measure, "run-queue wait");
	/* the same wait with a load that shrinks may be the load's doing */
	for (uint32_t i = 0; i < 10; i++) {
		s.before[i].served_per_sec = 1000 * (1 - 0.003 * i);
		s.after[i].served_per_sec = 1000 * (0.961 - 0.003 * i);
	}
	assert_int_equal(judge(&s, false).verdict, CB_VERDICT_VOID);
	assert_non_null(strstr(judge(&s, false).sentence, "drifted"));
	for (uint32_t i = 0; i < 10; i++) {
		double wait = s.before[i].wait_ratio;

		s.before[i].wait_ratio = s.after[i].wait_ratio;
		s.after[i].wait_ratio = wait;
	}
	assert_int_equal(judge(&s, false).verdict, CB_VERDICT_ROLLED_BACK);
	/* and no work is no work */
	for (uint32_t i = 0; i < 10; i++)
		s.after[i].served_per_sec = 0;
	assert_int_equal(judge(&s, false).verdict, CB_VERDICT_VOID);
}

static void on_the_hot_cpu(struct cb_window *window, uint32_t n, double wait, double cpu)
{
	for (uint32_t i = 0; i < n; i++) {
		window[i].has_hot = true;
		window[i].hot_wait_ratio = wait * (1 + 0.05 * normal());
		window[i].hot_cpu_per_sec = cpu * (1 + 0.01 * normal());
	}
}

/* Two of sixteen workers stood in line: of all waits that is little. */
static void the_relief_of_a_few_is_seen(void **state)
{
	struct series s = make(1500, 1500, 0.06, 0.055, 0.02);

	(void)state;
	s.n_after = 30;
	fill(s.after, s.n_after, 1500, 0.055, 0.02);
	assert_int_equal(judge(&s, true).verdict, CB_VERDICT_INCONCLUSIVE);
	on_the_hot_cpu(s.before, s.n_before, 0.4, 0.9);
	on_the_hot_cpu(s.after, s.n_after, 0.05, 0.9);
	assert_int_equal(judge(&s, true).verdict, CB_VERDICT_KEPT);
	assert_non_null(strstr(judge(&s, true).measure, "hot CPU"));
	assert_int_equal(judge(&s, false).verdict, CB_VERDICT_NONE);
	/* they wait less because they have less to do */
	on_the_hot_cpu(s.after, s.n_after, 0.05, 0.8);
	assert_int_equal(judge(&s, true).verdict, CB_VERDICT_INCONCLUSIVE);
	/* and others wait instead */
	on_the_hot_cpu(s.after, s.n_after, 0.05, 0.9);
	for (uint32_t i = 0; i < s.n_after; i++)
		s.after[i].wait_ratio = 0.063;
	assert_int_equal(judge(&s, true).verdict, CB_VERDICT_INCONCLUSIVE);
}

static struct cb_judgement judge_headroom(struct series *s, double heat_before, double heat_after,
					  bool final)
{
	struct cb_verifier_params params = { .alpha_ratio = 0.05,
					     .min_effect_ratio = 0.03,
					     .final = final,
					     .headroom = true,
					     .seed = 3 };
	struct cb_judgement judgement;

	s->n_after = 30;
	fill(s->after, s->n_after, s->after[0].served_per_sec > 1 ? 1500 : 0, 0.01, 0.02);
	for (uint32_t i = 0; i < s->n_before; i++) {
		s->before[i].has_heat = true;
		s->before[i].heat_ratio = heat_before * (1 + 0.01 * normal());
	}
	for (uint32_t i = 0; i < s->n_after; i++) {
		s->after[i].has_heat = true;
		s->after[i].heat_ratio = heat_after * (1 + 0.01 * normal());
	}
	cb_verifier_judge(s->before, s->n_before, s->after, s->n_after, &params, &judgement);
	return judgement;
}

static void headroom_is_kept_where_nothing_is_worse(void **state)
{
	struct series s = make(1500, 1500, 0.01, 0.01, 0.02);

	(void)state;
	assert_int_equal(judge_headroom(&s, 0.9, 0.6, true).verdict, CB_VERDICT_KEPT);
	assert_string_equal(judge_headroom(&s, 0.9, 0.6, true).measure, "busiest CPU");
	assert_int_equal(judge_headroom(&s, 0.9, 0.6, false).verdict, CB_VERDICT_NONE);
	assert_int_equal(judge_headroom(&s, 0.9, 0.85, true).verdict, CB_VERDICT_INCONCLUSIVE);
	assert_int_equal(judge_headroom(&s, 0.6, 0.9, true).verdict, CB_VERDICT_INCONCLUSIVE);
	/* workers that were moved have to be shown to be better off */
	judge_headroom(&s, 0.9, 0.6, true);
	assert_int_equal(judge(&s, true).verdict, CB_VERDICT_INCONCLUSIVE);
	/* a loss of 3 % cannot be excluded */
	s = make(1500, 1500, 0.01, 0.01, 0.3);
	assert_int_equal(judge_headroom(&s, 0.9, 0.6, true).verdict, CB_VERDICT_INCONCLUSIVE);
	/* the same work, and the waits are longer */
	s = make(1500, 1500, 0.01, 0.01, 0.02);
	judge_headroom(&s, 0.9, 0.6, true);
	for (uint32_t i = 0; i < s.n_before; i++)
		s.before[i].wait_ratio = 0;
	for (uint32_t i = 0; i < s.n_after; i++)
		s.after[i].wait_ratio = 0.05;
	s.after[0].wait_ratio = 2; /* so much noise that it cannot be shown */
	{
		struct cb_verifier_params params = { .alpha_ratio = 0.05,
						     .min_effect_ratio = 0.03,
						     .final = true,
						     .headroom = true,
						     .seed = 3 };
		struct cb_judgement judgement;

		cb_verifier_judge(s.before, s.n_before, s.after, s.n_after, &params, &judgement);
		assert_int_equal(judgement.verdict, CB_VERDICT_INCONCLUSIVE);
	}
}

static void what_changed_everywhere_was_not_us(void **state)
{
	struct series s = make(1000, 1300, 0.1, 0.1, 0.01);

	(void)state;
	for (uint32_t i = 0; i < 10; i++) {
		s.before[i].has_control = s.after[i].has_control = true;
		s.before[i].control_per_sec = 1;
		s.after[i].control_per_sec = 1.3;
	}
	assert_int_equal(judge(&s, false).verdict, CB_VERDICT_VOID);
	for (uint32_t i = 0; i < 10; i++)
		s.after[i].control_per_sec = 1.01;
	assert_int_equal(judge(&s, false).verdict, CB_VERDICT_KEPT);
}

static void set_others(struct series *s, double before, double after)
{
	for (uint32_t i = 0; i < 10; i++) {
		s->before[i].has_others = s->after[i].has_others = true;
		s->before[i].cpu_per_sec = s->after[i].cpu_per_sec = 1;
		s->before[i].others_per_sec = before * (1 + 0.05 * normal());
		s->after[i].others_per_sec = after * (1 + 0.05 * normal());
		s->before[i].elsewhere_per_sec = s->before[i].others_per_sec / 2;
		s->after[i].elsewhere_per_sec = s->after[i].others_per_sec / 2;
	}
}

/* A build next door that ends in the same moment: there was a third of a CPU to be had, whoever moved where. */
static void what_other_programs_left_was_not_us(void **state)
{
	struct series s = make(1000, 1200, 0.1, 0.1, 0.01);

	(void)state;
	set_others(&s, 0.9, 0.6);
	assert_int_equal(judge(&s, false).verdict, CB_VERDICT_VOID);
	assert_non_null(strstr(judge(&s, false).sentence, "other programs left"));
	/* not enough for half of the effect */
	set_others(&s, 0.9, 0.85);
	assert_int_equal(judge(&s, false).verdict, CB_VERDICT_KEPT);
	/* they gave way on the CPU that something was put on, and on no other */
	set_others(&s, 0.9, 0.6);
	for (uint32_t i = 0; i < 10; i++)
		s.after[i].elsewhere_per_sec = s.before[i].elsewhere_per_sec;
	assert_int_equal(judge(&s, false).verdict, CB_VERDICT_KEPT);
	/* who generates the load has more to do when more is served */
	set_others(&s, 0.5, 0.6);
	assert_int_equal(judge(&s, false).verdict, CB_VERDICT_KEPT);
	set_others(&s, 0.9, 0.6);
	s.before[3].has_others = false; /* not known throughout */
	assert_int_equal(judge(&s, false).verdict, CB_VERDICT_KEPT);
	/* a move that hurts makes room for others: no excuse */
	s = make(1000, 800, 0.1, 0.1, 0.01);
	set_others(&s, 0.6, 0.9);
	assert_int_equal(judge(&s, false).verdict, CB_VERDICT_ROLLED_BACK);
	set_others(&s, 0.9, 0.6);
	assert_int_equal(judge(&s, false).verdict, CB_VERDICT_ROLLED_BACK);
}

static void new_drops_are_a_guardrail(void **state)
{
	struct series s = make(1000, 1300, 0.1, 0.1, 0.01);

	(void)state;
	for (uint32_t i = 0; i < 10; i++)
		s.after[i].drops_per_sec = 20 + i;
	assert_int_equal(judge(&s, false).verdict, CB_VERDICT_ROLLED_BACK);
	assert_string_equal(judge(&s, false).measure, "dropped connections");
}

/* A percentage of next to nothing has ten digits and tells nobody anything. */
static void growth_is_told_in_words(void **state)
{
	static const struct {
		double before, after;
		const char *sentence;
	} cases[] = {
		{ 1000, 1870, "served work +87 % (p " },
		{ 1000, 9900, "served work +890 % (p " },
		{ 100, 3700, "served work times 37 (p " },
		{ 1e-5, 680, "served work up from almost nothing (p " },
	};
	struct cb_judgement judgement;
	struct series s;

	(void)state;
	for (size_t i = 0; i < CB_ARRAY_SIZE(cases); i++) {
		s = make(cases[i].before, cases[i].after, 0.1, 0.1, 0);
		judgement = judge(&s, false);
		assert_int_equal(judgement.verdict, CB_VERDICT_KEPT);
		assert_memory_equal(judgement.sentence, cases[i].sentence,
				    strlen(cases[i].sentence));
		assert_true(isfinite(judgement.effect_ratio));
	}
	s = make(1000, 1300, 0.1, 0.1, 0.01);
	for (uint32_t i = 0; i < 10; i++)
		s.after[i].drops_per_sec = 20;
	assert_non_null(strstr(judge(&s, false).sentence, "dropped connections up from none (p "));
	s = make(1000, 1000, 0, 0.4, 0);
	assert_non_null(strstr(judge(&s, false).sentence, "run-queue wait up from none (p "));
	s = make(1e-7, 1e-7, 0.1, 0.1, 0);
	s.after[5].served_per_sec = 6500; /* no evidence, but told */
	assert_non_null(strstr(judge(&s, true).sentence, "up from almost nothing"));
	assert_null(strchr(judge(&s, true).sentence, '%'));
}

static void set_metric(struct series *s, double before, double after)
{
	for (uint32_t i = 0; i < s->n_before; i++) {
		s->before[i].has_metric = true;
		s->before[i].metric = before * (1 + 0.01 * normal());
	}
	for (uint32_t i = 0; i < s->n_after; i++) {
		s->after[i].has_metric = true;
		s->after[i].metric = after * (1 + 0.01 * normal());
	}
}

static struct cb_judgement judge_falling(const struct series *s)
{
	struct cb_verifier_params params = { .alpha_ratio = 0.05,
					     .min_effect_ratio = 0.03,
					     .metric_falls = true,
					     .seed = 3 };
	struct cb_judgement judgement;

	cb_verifier_judge(s->before, s->n_before, s->after, s->n_after, &params, &judgement);
	return judgement;
}

/* The operator knows better what his service is for than who counts packets. */
static void the_operators_number_has_the_first_word(void **state)
{
	struct series s = make(1000, 1300, 0.1, 0.1, 0.01);
	struct cb_judgement judgement;

	(void)state;
	set_metric(&s, 500, 400);
	judgement = judge(&s, false);
	assert_int_equal(judgement.verdict, CB_VERDICT_ROLLED_BACK);
	assert_string_equal(judgement.measure, "service metric");
	assert_true(judgement.effect_ratio < -0.15 && judgement.served_effect_ratio > 0.25);
	assert_true(judgement.has_metric && judgement.metric_before > judgement.metric_after);
	set_metric(&s, 500, 600);
	assert_int_equal(judge(&s, false).verdict, CB_VERDICT_KEPT);
	/* a latency */
	assert_int_equal(judge_falling(&s).verdict, CB_VERDICT_ROLLED_BACK);
	set_metric(&s, 500, 400);
	judgement = judge_falling(&s);
	assert_int_equal(judgement.verdict, CB_VERDICT_KEPT);
	assert_true(judgement.effect_ratio < -0.15);
}

static void without_the_operators_number_served_work_decides(void **state)
{
	struct series s = make(1000, 1300, 0.1, 0.1, 0.01);

	(void)state;
	set_metric(&s, 500, 400);
	s.after[3].has_metric = false;
	assert_int_equal(judge(&s, false).verdict, CB_VERDICT_KEPT);
	assert_string_equal(judge(&s, false).measure, "served work");
	assert_false(judge(&s, false).has_metric);
	/* no percentage can be told of these */
	set_metric(&s, 0, 400);
	assert_string_equal(judge(&s, false).measure, "served work");
	set_metric(&s, -5, 400);
	assert_string_equal(judge(&s, false).measure, "served work");
}

static void the_operators_number_may_be_void_too(void **state)
{
	struct series s = make(1000, 1000, 0.1, 0.1, 0.01);

	(void)state;
	set_metric(&s, 500, 500);
	for (uint32_t i = 5; i < s.n_after; i++)
		s.after[i].metric = 800;
	assert_int_equal(judge(&s, false).verdict, CB_VERDICT_VOID);
	set_metric(&s, 500, 750);
	for (uint32_t i = 0; i < s.n_after; i++)
		s.after[i].served_per_sec = 0;
	assert_int_equal(judge(&s, false).verdict, CB_VERDICT_VOID);
	assert_non_null(strstr(judge(&s, false).sentence, "the load ended"));
}

/* Both looks as the engine makes them, over noise without effect: the share that is kept stays within the level. */
static void noise_is_seldom_kept(void **state)
{
	uint32_t kept = 0, rolled_back = 0, runs = 1000;

	(void)state;
	for (uint32_t i = 0; i < runs; i++) {
		struct series s = { .n_before = 10, .n_after = 30 };
		struct cb_judgement judgement;

		fill(s.before, 10, 1000, 0.3, 0.1);
		fill(s.after, 30, 1000, 0.3, 0.1);
		s.n_after = 10;
		judgement = judge(&s, false);
		s.n_after = 30;
		if (judgement.verdict == CB_VERDICT_NONE)
			judgement = judge(&s, true);
		kept += judgement.verdict == CB_VERDICT_KEPT;
		rolled_back += judgement.verdict == CB_VERDICT_ROLLED_BACK;
	}
	print_message("# of %u runs of noise alone %u kept, %u rolled back\n", runs, kept, rolled_back);
	assert_true(kept <= runs / 20);
	assert_true(rolled_back <= runs / 20);
}

static void a_true_effect_is_mostly_seen(void **state)
{
	uint32_t kept = 0, undone = 0, runs = 500;

	(void)state;
	for (uint32_t i = 0; i < runs; i++) {
		struct series better = make(1000, 1150, 0.3, 0.3, 0.05), worse = make(1000, 850, 0.3, 0.3, 0.05);

		kept += judge(&better, true).verdict == CB_VERDICT_KEPT;
		undone += judge(&worse, true).verdict != CB_VERDICT_KEPT;
	}
	print_message("# of %u runs +15 %%: %u kept; -15 %%: %u undone\n", runs, kept, undone);
	assert_true(kept >= runs * 9 / 10);
	assert_int_equal(undone, runs);
}

static void any_number_of_windows_is_survived(void **state)
{
	static struct series s;

	(void)state;
	fill(s.before, CB_WINDOWS_MAX, 1000, 0.3, 0.1);
	fill(s.after, CB_WINDOWS_MAX, 1100, 0.2, 0.1);
	for (uint32_t b = 0; b <= CB_WINDOWS_MAX; b += 1 + b / 4) {
		for (uint32_t a = 0; a <= CB_WINDOWS_MAX; a += 1 + a / 4) {
			struct cb_judgement judgement;

			s.n_before = b;
			s.n_after = a;
			judgement = judge(&s, true);
			assert_int_not_equal(judgement.verdict, CB_VERDICT_NONE);
			assert_true(judgement.p_value > 0 && judgement.p_value <= 1);
			assert_true(isfinite(judgement.effect_ratio));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(more_work_is_kept),
		cmocka_unit_test(less_work_is_undone_although_waiting_falls),
		cmocka_unit_test(less_waiting_for_the_same_work_is_kept),
		cmocka_unit_test(no_effect_is_looked_at_twice),
		cmocka_unit_test(a_tiny_effect_is_not_worth_keeping),
		cmocka_unit_test(without_load_nothing_is_said),
		cmocka_unit_test(a_step_at_another_moment_is_void),
		cmocka_unit_test(a_drift_is_void),
		cmocka_unit_test(a_wait_against_the_drift_is_judged),
		cmocka_unit_test(the_relief_of_a_few_is_seen),
		cmocka_unit_test(headroom_is_kept_where_nothing_is_worse),
		cmocka_unit_test(what_changed_everywhere_was_not_us),
		cmocka_unit_test(what_other_programs_left_was_not_us),
		cmocka_unit_test(new_drops_are_a_guardrail),
		cmocka_unit_test(growth_is_told_in_words),
		cmocka_unit_test(the_operators_number_has_the_first_word),
		cmocka_unit_test(without_the_operators_number_served_work_decides),
		cmocka_unit_test(the_operators_number_may_be_void_too),
		cmocka_unit_test(noise_is_seldom_kept),
		cmocka_unit_test(a_true_effect_is_mostly_seen),
		cmocka_unit_test(any_number_of_windows_is_survived),
	};

	return cmocka_run_group_tests_name("verifier", tests, NULL, NULL);
}
