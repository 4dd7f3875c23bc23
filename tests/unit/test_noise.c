/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Noise: what is learnt from errors of forecasts, and how far apart CPUs have to be then. */
#include "cpubalance/noise.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void the_mean_square_of_errors(void **state)
{
	struct cb_noise noise = { 0 };

	(void)state;
	cb_noise_update(&noise, 0.6, 0.5);
	assert_true(fabs(noise.square - 0.01) < 1e-12);
	cb_noise_update(&noise, 0.5, 0.5);
	assert_true(fabs(noise.square - 0.005) < 1e-12);
	for (uint32_t i = 0; i < 200; i++)
		cb_noise_update(&noise, 0.4, 0.5);
	assert_int_equal(noise.n_windows, CB_NOISE_WINDOWS);
	assert_true(fabs(noise.square - 0.01) < 1e-5);
	for (uint32_t i = 0; i < 200; i++)
		cb_noise_update(&noise, 0.5, 0.5);
	assert_true(noise.square < 1e-5);
}

static void more_noise_and_more_cpus_need_more_distance(void **state)
{
	double few = cb_noise_hysteresis_ratio(0.04, 4, 4, 1, 3);
	double loud = cb_noise_hysteresis_ratio(0.16, 4, 4, 1, 3);
	double many = cb_noise_hysteresis_ratio(0.64, 64, 64, 1, 3);

	(void)state;
	/* 10 % of a window; smoothed, 3.5 %; of four CPUs, the hottest by 5.9 %: half of it */
	assert_true(few > 0.029 && few < 0.030);
	assert_true(fabs(loud - 2 * few) < 1e-12);
	assert_true(many > 1.7 * few);
	/* what is smoothed less varies more */
	assert_true(cb_noise_hysteresis_ratio(0.04, 4, 4, 1, 0) > 1.9 * few);
}

static void nothing_known_is_no_distance(void **state)
{
	(void)state;
	assert_true(cb_noise_hysteresis_ratio(0, 4, 4, 1, 3) <= 0);
	assert_true(cb_noise_hysteresis_ratio(1, 0, 4, 1, 3) <= 0);
	assert_true(cb_noise_hysteresis_ratio(1, 1, 1, 1, 3) <= 0);
	assert_true(cb_noise_hysteresis_ratio(1, 1, 0, 1, 3) <= 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_mean_square_of_errors),
		cmocka_unit_test(more_noise_and_more_cpus_need_more_distance),
		cmocka_unit_test(nothing_known_is_no_distance),
	};

	return cmocka_run_group_tests_name("noise", tests, NULL, NULL);
}
