/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The verdict as the whole engine makes it: autocorrelated load whose peaks trigger the plans, many seeds, virtual time. How often is a
 * move kept that does nothing, and how often one that helps or hurts by a tenth?
 */
#include "cpubalance/engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

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

static uint32_t lives(double effect_ratio, uint32_t *ret_n)
{
	uint32_t count[_CB_VERDICT_MAX] = { 0 };

	*ret_n = 0;
	for (uint32_t seed = 1; seed <= RUNS; seed++)
		count[one_life(seed * 7919, effect_ratio)]++;
	for (int i = CB_VERDICT_NONE + 1; i < _CB_VERDICT_MAX; i++)
		*ret_n += count[i];
	print_message("# true effect %+.0f %%: %u plans judged:", effect_ratio * 100, *ret_n);
	for (int i = CB_VERDICT_NONE + 1; i < _CB_VERDICT_MAX; i++)
		if (count[i])
			print_message(" %u %s", count[i], cb_verdict_name(i));
	print_message("\n");
	return count[CB_VERDICT_KEPT];
}

static void what_does_nothing_is_seldom_kept(void **state)
{
	uint32_t n, kept = lives(0, &n);

	(void)state;
	assert_true(n >= RUNS * 9 / 10);
	assert_true(kept * 20 <= n);
}

static void what_helps_by_a_tenth_is_kept(void **state)
{
	uint32_t n, kept = lives(0.1, &n);

	(void)state;
	assert_true(n >= RUNS * 9 / 10);
	assert_true(kept * 10 >= n * 9);
}

static void what_hurts_by_a_tenth_is_undone(void **state)
{
	uint32_t n, kept = lives(-0.1, &n);

	(void)state;
	assert_true(n >= RUNS * 9 / 10);
	assert_true(kept * 100 <= n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_does_nothing_is_seldom_kept),
		cmocka_unit_test(what_helps_by_a_tenth_is_kept),
		cmocka_unit_test(what_hurts_by_a_tenth_is_undone),
	};

	return cmocka_run_group_tests_name("verdicts", tests, NULL, NULL);
}
