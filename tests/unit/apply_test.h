/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the tests of apply share: one process with three threads and one interrupt on a machine that is a table.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/host/apply_internal.h"
#include "lib/host/journal_internal.h"
#include "machine.h"

#define BOOT "b"

struct setting {
	struct machine machine;
	struct cb_journal *journal;
	struct machine_thread *main, *second, *third; /* of one process, masks 0-7, 0-7, 2 */
	struct machine_irq *irq;		      /* 38, mask 0-7, lands on 0 */
};

static inline void begin(struct setting *s)
{
	const struct cb_cpuset all = cpus("0-7"), two = cpus("2");

	memset(s, 0, sizeof(*s));
	machine_init(&s->machine);
	assert_int_equal(cb_journal_open(NULL, BOOT, &s->journal, NULL), 0);
	s->main = machine_spawn(&s->machine, &all);
	s->second = machine_clone(&s->machine, s->main);
	s->third = machine_clone(&s->machine, s->main);
	machine_pin(s->third, &two);
	s->irq = machine_add_irq(&s->machine, 38, "eth0-rx-0", &all, 0);
	machine_tick(&s->machine, 100);
}

static inline void end(struct setting *s)
{
	cb_journal_close(s->journal);
	machine_done(&s->machine);
}

static inline struct cb_change change_of(struct setting *s)
{
	return (struct cb_change){ .writer = &s->machine.writer, .journal = s->journal };
}

static inline struct cb_step place(struct setting *s, const struct machine_thread *process,
				   const char *to)
{
	struct cb_change change = change_of(s);
	struct cb_target target = {
		.tgid = process->tgid,
		.start_ticks = process->start_ticks,
		.group = "nginx",
		.plan_id = 5,
	};
	struct cb_step step = { .item = { .kind = CB_ITEM_WORKER, .key = 1 }, .to = cpus(to) };

	cb_place_process(&change, &target, &step);
	return step;
}

static inline struct cb_step place_irq(struct setting *s, const char *to)
{
	struct cb_change change = change_of(s);
	struct cb_step step = { .item = { .kind = CB_ITEM_IRQ, .key = 38 }, .to = cpus(to) };

	cb_place_irq(&change, "nginx", 5, &step);
	return step;
}

static inline struct cb_change release(struct setting *s, const char *group)
{
	struct cb_change change = change_of(s);
	struct cb_select select = { .group = group };

	cb_restore_selected(&change, &select, false);
	return change;
}

static inline uint32_t release_pending(struct setting *s)
{
	struct cb_host host = { .writer = &s->machine.writer };

	return cb_release_pending(&host, s->journal);
}

#define assert_mask(set, list)                                                             \
	do {                                                                               \
		char _shown[64];                                                           \
		assert_string_equal(cb_cpuset_show(&(set), _shown, sizeof(_shown)), list); \
	} while (0)

#define assert_step(step, the_state, the_class)                             \
	do {                                                                \
		const struct cb_step _step = (step);                        \
		assert_string_equal(cb_step_state_name(_step.state),        \
				    cb_step_state_name(the_state));         \
		assert_string_equal(cb_error_class_name(_step.error_class), \
				    cb_error_class_name(the_class));        \
	} while (0)
