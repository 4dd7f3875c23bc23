/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The verdict as the whole engine makes it: autocorrelated load whose peaks trigger the plans, many seeds, virtual time. How often is a
 * move kept that does nothing, and how often one that helps or hurts by a tenth?
 */
#include "cpubalance/engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "world.h"

#define RUNS 500u

/* Load of memory 0.7 per second (a correlation time of 3 s) and 4 %, and 3 % of noise in what is counted. */
static enum cb_verdict one_life(uint32_t seed, double effect_ratio)
{
	struct world world;
	enum cb_verdict verdict = CB_VERDICT_NONE;

	world_init(&world, 2, 2);
	world.seed = seed;
	world.policy.hot_idle_usec =
		5 * CB_USEC_PER_SEC; /* nobody waits here, a peak has to trigger by itself */
	world_policy(&world);
	world.worker[0].demand = world.worker[1].demand = 0.385; /* hot in peaks only */
	world.drift_rho = 0.7;
	world.drift_ratio = 0.04;
	world.noise_ratio = 0.05; /* uniform: a standard deviation of 3 % */
	world.effect_ratio = effect_ratio;
	for (uint32_t tick = 0; tick < 3000 && verdict == CB_VERDICT_NONE; tick++) {
		world_tick(&world);
		if (world.last_verdict != CB_VERDICT_WITHDRAWN)
			verdict = world.last_verdict;
	}
	world_done(&world);
	return verdict;
}

static const struct {
	double effect_ratio;
	const char *wanted;
} effects[] = {
	{ 0.0, "at most 5 % kept" },
	{ 0.1, "at least 90 % kept" },
	{ -0.1, "at least 99 % undone" },
};

struct tally {
	uint32_t n[_CB_VERDICT_MAX], judged;
};

static struct tally lives(double effect_ratio)
{
	struct tally tally = { .judged = 0 };

	for (uint32_t seed = 1; seed <= RUNS; seed++)
		tally.n[one_life(seed * 7919, effect_ratio)]++;
	for (int i = CB_VERDICT_NONE + 1; i < _CB_VERDICT_MAX; i++)
		tally.judged += tally.n[i];
	return tally;
}

static void print_row(double effect_ratio, const struct tally *tally, const char *wanted)
{
	print_message("%+11.0f %% %8u %8u %12u %13u %6u   %s\n", effect_ratio * 100, tally->judged,
		      tally->n[CB_VERDICT_KEPT], tally->n[CB_VERDICT_ROLLED_BACK],
		      tally->n[CB_VERDICT_INCONCLUSIVE], tally->n[CB_VERDICT_VOID], wanted);
}

/* For people: `make bench-verdicts`. */
static int print_table(void)
{
	print_message(
		"  true effect   judged     kept  rolled back  inconclusive   void   wanted\n");
	for (size_t i = 0; i < CB_ARRAY_SIZE(effects); i++) {
		struct tally tally = lives(effects[i].effect_ratio);

		print_row(effects[i].effect_ratio, &tally, effects[i].wanted);
	}
	print_message(
		"All but what is kept is undone. Plans that were withdrawn before the move are not counted.\n");
	return 0;
}

static struct tally tried(size_t i)
{
	struct tally tally = lives(effects[i].effect_ratio);

	print_row(effects[i].effect_ratio, &tally, effects[i].wanted);
	assert_true(tally.judged >= RUNS * 9 / 10);
	return tally;
}

static void what_does_nothing_is_seldom_kept(void **state)
{
	struct tally tally = tried(0);

	(void)state;
	assert_true(tally.n[CB_VERDICT_KEPT] * 20 <= tally.judged);
}

static void what_helps_by_a_tenth_is_kept(void **state)
{
	struct tally tally = tried(1);

	(void)state;
	assert_true(tally.n[CB_VERDICT_KEPT] * 10 >= tally.judged * 9);
}

static void what_hurts_by_a_tenth_is_undone(void **state)
{
	struct tally tally = tried(2);

	(void)state;
	assert_true(tally.n[CB_VERDICT_KEPT] * 100 <= tally.judged);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_does_nothing_is_seldom_kept),
		cmocka_unit_test(what_helps_by_a_tenth_is_kept),
		cmocka_unit_test(what_hurts_by_a_tenth_is_undone),
	};

	if (argc == 2 && strcmp(argv[1], "--table") == 0)
		return print_table();
	return cmocka_run_group_tests_name("verdicts", tests, NULL, NULL);
}
