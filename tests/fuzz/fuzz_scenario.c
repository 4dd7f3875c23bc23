/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The simulator's scenarios: what is refused is refused with one line that names the file, and what is accepted can be run.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "plant.h"

/* Machines up to this size are set going for a moment. */
#define CPUS_RUN 64u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct scenario scenario;
	struct cb_err err = { .msg = "" };
	struct plant *plant;
	int r = scenario_parse((const char *)data, size, "fuzz.scenario", &scenario, &err);

	if (r < 0 && (strncmp(err.msg, "fuzz.scenario:", 14) != 0 || strchr(err.msg, '\n')))
		abort();
	if (r < 0 || scenario.machine.n_cpus > CPUS_RUN)
		return 0;
	if (err.msg[0])
		abort();
	plant = plant_new(&scenario, 1);
	for (uint32_t i = 0; plant && i < 3; i++) {
		plant_window(plant);
		/* to the next thing that happens */
		if (plant->n_happened < scenario.n_events)
			plant->now_usec = CB_MAX(plant->now_usec,
						 plant->start_usec +
							 scenario.event[plant->n_happened].at_usec);
	}
	plant_free(plant);
	return 0;
}
