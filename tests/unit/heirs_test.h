/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the tests of heirs share: a master and a worker on a machine that is a table, with and without news of forks.
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

/* What is known of forks. */
enum eyes { EYES_FORKS, EYES_WALK };

struct setting {
	struct machine machine;
	struct cb_journal *journal;
	enum eyes eyes;
	struct machine_thread *master, *worker; /* not registered, registered; both have 0-7 */
};

static inline void begin(struct setting *s, enum eyes eyes)
{
	const struct cb_cpuset all = cpus("0-7");

	memset(s, 0, sizeof(*s));
	machine_init(&s->machine);
	assert_int_equal(cb_journal_open(NULL, "b", &s->journal, NULL), 0);
	s->eyes = eyes;
	s->master = machine_spawn(&s->machine, &all);
	s->worker = machine_fork(&s->machine, s->master);
	machine_tick(&s->machine, 100);
}

static inline void end(struct setting *s)
{
	cb_journal_close(s->journal);
	machine_done(&s->machine);
}

static inline void hear(struct setting *s, const struct machine_thread *child)
{
	struct cb_fork news = { .parent_tgid = child->ppid,
				.child_tid = child->tid,
				.child_tgid = child->tgid };

	if (s->eyes == EYES_FORKS)
		cb_heirs_fork(&s->machine.writer, s->journal, &news);
}

static inline struct machine_thread *fork_of(struct setting *s, struct machine_thread *creator)
{
	struct machine_thread *child = machine_fork(&s->machine, creator);

	if (child)
		hear(s, child);
	return child;
}

static inline struct machine_thread *clone_of(struct setting *s, struct machine_thread *creator)
{
	struct machine_thread *thread = machine_clone(&s->machine, creator);

	if (thread)
		hear(s, thread);
	return thread;
}

/* What cb_heirs_update() does. */
static inline void update(struct setting *s)
{
	if (cb_journal_n_tasks(s->journal) == 0)
		return;
	if (s->eyes == EYES_FORKS)
		assert_true(cb_heirs_settle(&s->machine.writer, s->journal) >= 0);
	else
		assert_true(cb_heirs_walk(&s->machine.writer, s->journal) >= 0);
}

static inline void tick(struct setting *s)
{
	struct cb_host host = { .writer = &s->machine.writer };

	machine_tick(&s->machine, 100);
	update(s);
	/* dry_run keeps the host from looking for news by itself: there is no host behind this machine */
	cb_release_pending(&host, s->journal);
}

static inline struct cb_step place(struct setting *s, const struct machine_thread *thread,
				   bool alone, const char *group, const struct cb_cpuset *to)
{
	struct cb_change change = { .writer = &s->machine.writer, .journal = s->journal };
	struct cb_target target = {
		.tgid = thread->tgid,
		.tid = alone ? thread->tid : 0,
		.start_ticks = thread->start_ticks,
		.group = group,
		.plan_id = 1,
	};
	struct cb_step step = { .to = *to };

	update(s);
	if (s->eyes == EYES_WALK)
		assert_true(cb_heirs_search(&s->machine.writer, s->journal) >= 0);
	cb_place_process(&change, &target, &step);
	return step;
}

static inline void place_ok(struct setting *s, const struct machine_thread *process, const char *to)
{
	const struct cb_cpuset mask = cpus(to);

	assert_int_equal(place(s, process, false, "g", &mask).state, CB_STEP_DONE);
}

static inline void place_alone(struct setting *s, const struct machine_thread *thread,
			       const char *to)
{
	const struct cb_cpuset mask = cpus(to);

	assert_int_equal(place(s, thread, true, "g", &mask).state, CB_STEP_DONE);
}

static inline struct cb_change release(struct setting *s, const char *group)
{
	struct cb_change change = { .writer = &s->machine.writer, .journal = s->journal };
	struct cb_select select = { .group = group };

	update(s);
	cb_restore_selected(&change, &select, false);
	return change;
}

static inline const struct cb_journal_entry *entry_of(struct setting *s,
						      const struct machine_thread *t)
{
	return cb_journal_find_task(s->journal, t->tid, t->start_ticks);
}

static inline void release_all(struct setting *s, uint32_t n_restored)
{
	struct cb_change change = release(s, NULL);

	assert_int_equal(change.n_restored, n_restored);
	assert_int_equal(change.n_failed, 0);
	machine_assert_true(&s->machine);
	/* Processes that have had late offspring are looked at once more. */
	tick(s);
	assert_int_equal(cb_journal_count(s->journal), 0);
	machine_assert_true(&s->machine);
}

#define BOTH(eyes) for (enum eyes eyes = EYES_FORKS; eyes <= EYES_WALK; eyes++)
