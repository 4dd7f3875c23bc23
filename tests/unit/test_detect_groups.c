/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Findings about groups and workers, in virtual time: connections on one worker, queues that are not emptied, workers that accept
 * nothing, workers that end with a successor and without.
 */
#include "cpubalance/engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "world.h"

/* What the workers' sockets and descriptors are like, beside what the world knows of them. */
static struct {
	bool shared;	/* one socket for all: nobody has a queue of his own */
	bool no_fds;	/* before Linux 6.2 */
	bool no_listen; /* netlink cannot be had */
	bool datagrams; /* of UDP: what waits is bytes */
	uint32_t fds[WORLD_WORKERS], backlog[WORLD_WORKERS];
	bool closed[WORLD_WORKERS]; /* it has closed its socket */
	char state[WORLD_WORKERS];
	uint64_t system_ticks[WORLD_WORKERS];
	bool computes[WORLD_WORKERS]; /* without a system call */
} plant;

#define BACKLOG_MAX 511u

static void shape_datagrams(struct cb_worker_sample *worker, struct cb_group_sample *group,
			    uint32_t kib)
{
	group->present |= CB_GROUP_HAS_DATAGRAMS;
	group->queued_bytes += kib * 1024;
	group->queued_max_bytes += plant.shared ? 0 : BACKLOG_MAX * 1024;
	if (plant.shared)
		return;
	worker->present |= CB_WORKER_HAS_DATAGRAMS;
	worker->queued_bytes = kib * 1024;
	worker->queued_max_bytes = BACKLOG_MAX * 1024;
}

static void shape_worker(struct cb_worker_sample *worker, struct cb_group_sample *group)
{
	uint32_t index = worker->key - 1;

	if (!plant.no_fds) {
		worker->present |= CB_WORKER_HAS_FDS;
		worker->n_fds = plant.fds[index];
	}
	worker->present |= CB_WORKER_HAS_STATE;
	worker->state = plant.state[index] ? plant.state[index] : 'S';
	plant.system_ticks[index] += plant.computes[index] || worker->state == 'T' ? 0 : 5;
	worker->system_ticks = plant.system_ticks[index];
	if (plant.no_listen || plant.closed[index])
		return;
	if (plant.datagrams) {
		shape_datagrams(worker, group, plant.backlog[index]);
		return;
	}
	group->present |= CB_GROUP_HAS_LISTEN;
	group->backlog += plant.backlog[index];
	group->backlog_max += plant.shared ? 0 : BACKLOG_MAX;
	if (plant.shared)
		return;
	worker->present |= CB_WORKER_HAS_LISTEN;
	worker->n_listeners = 1;
	worker->backlog = plant.backlog[index];
	worker->backlog_max = BACKLOG_MAX;
}

static void shape(struct world *world, struct cb_snapshot *snapshot)
{
	struct cb_group_sample *group = &snapshot->group[0];

	(void)world;
	group->backlog = group->backlog_max = 0;
	group->queued_bytes = group->queued_max_bytes = 0;
	for (uint32_t i = 0; i < snapshot->n_workers; i++)
		shape_worker(&snapshot->worker[i], group);
	if (plant.shared && plant.datagrams)
		group->queued_max_bytes = BACKLOG_MAX * 1024;
	else if (plant.shared)
		group->backlog_max = BACKLOG_MAX;
}

static void begin(struct world *world, uint32_t n_workers)
{
	memset(&plant, 0, sizeof(plant));
	world_init(world, 8, n_workers);
	world->shape = shape;
	for (uint32_t i = 0; i < n_workers; i++) {
		world->worker[i].demand = 0.2;
		world->worker[i].mask = world->worker[i].original = cb_cpuset_of(i % 8);
		plant.fds[i] = 30;
	}
}

static uint32_t next_random(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

/* --- CONNECTION_SKEW --- */

static void connections_on_one_worker_are_a_skew(void **state)
{
	struct world world;

	(void)state;
	begin(&world, 4);
	world_ticks(&world, 10);
	plant.fds[2] = 830;
	world_ticks(&world, 30);
	assert_non_null(world_finding(&world, CB_FINDING_CONNECTION_SKEW));
	assert_false(world_confirmed(&world, CB_FINDING_CONNECTION_SKEW));
	world_ticks(&world, 40);
	assert_true(world_confirmed(&world, CB_FINDING_CONNECTION_SKEW));
	assert_int_equal(world_finding(&world, CB_FINDING_CONNECTION_SKEW)->worker_key, 3);
	assert_int_equal(world_finding(&world, CB_FINDING_CONNECTION_SKEW)->group_key, 1);
	assert_int_equal(world.last_finding.worker_key, 3);
	assert_non_null(
		strstr(world_sentence(&world, CB_FINDING_CONNECTION_SKEW), "web/2 has 830"));
	/* 160 %: between the two thresholds */
	for (uint32_t i = 0; i < 4; i++)
		plant.fds[i] = i == 2 ? 480 : 300;
	world_ticks(&world, 60);
	assert_true(world_confirmed(&world, CB_FINDING_CONNECTION_SKEW));
	plant.fds[2] = 320;
	world_ticks(&world, 5);
	assert_null(world_finding(&world, CB_FINDING_CONNECTION_SKEW));
	assert_int_equal(world_n_told(&world), 2);
	world_done(&world);
}

static void two_workers_can_be_skewed_too(void **state)
{
	struct world world;

	(void)state;
	begin(&world, 2);
	plant.fds[0] = 400;
	plant.fds[1] = 150;
	world_ticks(&world, 70);
	assert_true(world_confirmed(&world, CB_FINDING_CONNECTION_SKEW));
	world_done(&world);
}

/* Few connections spread unevenly by chance, and a worker that holds files is no worker with connections. */
static void few_connections_and_single_workers_are_no_skew(void **state)
{
	struct world world;

	(void)state;
	begin(&world, 4);
	plant.fds[1] = 100; /* 70 more than the others */
	world_ticks(&world, 200);
	assert_int_equal(world_n_told(&world), 0);
	world_done(&world);

	begin(&world, 1);
	plant.fds[0] = 5000;
	world_ticks(&world, 200);
	assert_int_equal(world_n_told(&world), 0);
	world_done(&world);

	begin(&world, 3);
	plant.fds[1] = 5000;
	plant.closed[1] = true;
	world_ticks(&world, 200);
	assert_int_equal(world_n_told(&world), 0);
	world_done(&world);
}

static void without_descriptor_counts_there_is_no_skew(void **state)
{
	struct world world;

	(void)state;
	begin(&world, 4);
	plant.no_fds = true;
	plant.fds[2] = 830;
	world_ticks(&world, 200);
	assert_null(world_finding(&world, CB_FINDING_CONNECTION_SKEW));
	world_done(&world);
}

/* --- BACKLOG --- */

static void the_worker_that_lags_is_named(void **state)
{
	struct world world;

	(void)state;
	begin(&world, 4);
	for (uint32_t i = 0; i < 30; i++) {
		plant.backlog[1] = 200 + 40 * (i % 3); /* it goes up and down: it does accept */
		plant.backlog[0] = plant.backlog[2] = plant.backlog[3] = i % 4;
		world_tick(&world);
	}
	assert_true(world_confirmed(&world, CB_FINDING_BACKLOG));
	assert_int_equal(world_finding(&world, CB_FINDING_BACKLOG)->worker_key, 2);
	assert_int_equal(world_finding(&world, CB_FINDING_BACKLOG)->backlog_max, BACKLOG_MAX);
	assert_true(world_finding(&world, CB_FINDING_BACKLOG)->other_backlog < 5);
	assert_non_null(strstr(world_sentence(&world, CB_FINDING_BACKLOG), "wait for web/1"));
	assert_null(world_finding(&world, CB_FINDING_WORKER_STUCK));
	plant.backlog[1] = 80; /* 16 %: BacklogOff=10% */
	world_ticks(&world, 10);
	assert_true(world_confirmed(&world, CB_FINDING_BACKLOG));
	plant.backlog[1] = 0;
	world_ticks(&world, 2);
	assert_null(world_finding(&world, CB_FINDING_BACKLOG));
	assert_int_equal(world_n_told(&world), 2);
	world_done(&world);
}

static void a_shared_socket_is_nobodys(void **state)
{
	struct world world;

	(void)state;
	begin(&world, 4);
	plant.shared = true;
	plant.backlog[0] = 300;
	world_ticks(&world, 10);
	assert_true(world_confirmed(&world, CB_FINDING_BACKLOG));
	assert_int_equal(world_finding(&world, CB_FINDING_BACKLOG)->worker_key, 0);
	assert_int_equal(world_finding(&world, CB_FINDING_BACKLOG)->backlog, 300);
	assert_non_null(strstr(world_sentence(&world, CB_FINDING_BACKLOG), "workers of web share"));
	assert_null(world_finding(&world, CB_FINDING_WORKER_STUCK));
	world_done(&world);
}

static void datagrams_wait_too(void **state)
{
	struct world world;

	(void)state;
	begin(&world, 4);
	plant.datagrams = true;
	plant.backlog[1] = 300;
	plant.backlog[3] = 2;
	world_ticks(&world, 10);
	assert_true(world_confirmed(&world, CB_FINDING_BACKLOG));
	assert_int_equal(world_finding(&world, CB_FINDING_BACKLOG)->worker_key, 2);
	assert_int_equal(world_finding(&world, CB_FINDING_BACKLOG)->queued_bytes, 300 * 1024);
	assert_int_equal(world_finding(&world, CB_FINDING_BACKLOG)->queued_max_bytes, BACKLOG_MAX * 1024);
	assert_int_equal(world_finding(&world, CB_FINDING_BACKLOG)->known & CB_KNOWS(BACKLOG), 0);
	assert_non_null(strstr(world_sentence(&world, CB_FINDING_BACKLOG),
			       "datagrams fill 300 of 511 KiB of what may wait for web/1"));
	plant.backlog[1] = 0;
	world_tick(&world);
	/* read up to the last one just now */
	assert_non_null(strstr(world_sentence(&world, CB_FINDING_BACKLOG), "datagrams fill 0 of"));
	world_ticks(&world, 14);
	assert_null(world_finding(&world, CB_FINDING_BACKLOG));
	/* one socket for all */
	plant.shared = true;
	plant.backlog[0] = 300;
	world_ticks(&world, 15);
	assert_true(world_confirmed(&world, CB_FINDING_BACKLOG));
	assert_int_equal(world_finding(&world, CB_FINDING_BACKLOG)->worker_key, 0);
	assert_non_null(strstr(world_sentence(&world, CB_FINDING_BACKLOG), "workers of web"));
	world_done(&world);
}

/* A burst fills a queue and is gone with the next sample; then it is the next worker's turn. */
static void bursts_are_no_backlog(void **state)
{
	struct world world;

	(void)state;
	begin(&world, 4);
	for (uint32_t i = 0; i < 300; i++) {
		plant.backlog[i % 4] = i % 3 == 0 ? 400 : 0;
		world_tick(&world);
		plant.backlog[i % 4] = 0;
	}
	assert_int_equal(world_n_told(&world), 0);
	world_done(&world);
}

/* --- WORKER_STUCK --- */

static void stop(struct world *world, uint32_t index, bool stopped)
{
	plant.state[index] = stopped ? 'T' : 'S';
	world->worker[index].demand = stopped ? 0 : 0.2;
}

static void a_stopped_worker_is_stuck_until_it_goes_on(void **state)
{
	struct world world;

	(void)state;
	begin(&world, 4);
	world_ticks(&world, 10);
	stop(&world, 2, true);
	for (uint32_t i = 0; i < 12;
	     i++) { /* a closed loop: the queue grows until all clients wait */
		plant.backlog[2] = CB_MIN(10 + 10 * i, 40u);
		world_tick(&world);
	}
	assert_true(world_confirmed(&world, CB_FINDING_WORKER_STUCK));
	assert_int_equal(world_finding(&world, CB_FINDING_WORKER_STUCK)->worker_key, 3);
	assert_true(world_finding(&world, CB_FINDING_WORKER_STUCK)->harm);
	assert_non_null(
		strstr(world_sentence(&world, CB_FINDING_WORKER_STUCK), "web/2 accepts nothing"));
	assert_non_null(strstr(world_sentence(&world, CB_FINDING_WORKER_STUCK), "SIGCONT"));
	stop(&world, 2, false);
	plant.backlog[2] = 3;
	world_tick(&world);
	assert_null(world_finding(&world, CB_FINDING_WORKER_STUCK));
	assert_int_equal(world_n_told(&world), 2);
	world_done(&world);
}

static void a_worker_that_only_computes_is_stuck(void **state)
{
	struct world world;

	(void)state;
	begin(&world, 2);
	world.worker[1].demand = 0.85;
	plant.computes[1] = true;
	plant.backlog[1] = 20;
	world_ticks(&world, 15);
	assert_true(world_confirmed(&world, CB_FINDING_WORKER_STUCK));
	assert_non_null(strstr(world_sentence(&world, CB_FINDING_WORKER_STUCK), "it computes"));
	world_done(&world);
}

/* A slow worker whose queue is always full: from outside it looks the same each second, but for its system calls. */
static void a_slow_worker_with_a_full_queue_is_not_stuck(void **state)
{
	struct world world;

	(void)state;
	begin(&world, 2);
	world.worker[1].demand = 0.85;
	plant.backlog[1] = BACKLOG_MAX + 1;
	world_ticks(&world, 100);
	assert_null(world_finding(&world, CB_FINDING_WORKER_STUCK));
	assert_true(world_confirmed(&world, CB_FINDING_BACKLOG));
	world_done(&world);
}

static void one_accept_proves_it_lives(void **state)
{
	struct world world;

	(void)state;
	begin(&world, 2);
	world.worker[1].demand = 0.0005; /* hardly any */
	plant.backlog[1] = 5;
	for (uint32_t i = 0; i < 100;
	     i++) { /* one descriptor more each eight seconds, in the place of one that was closed */
		plant.fds[1] = 30 + (i % 8 == 0);
		world_tick(&world);
	}
	assert_int_equal(world_n_told(&world), 0);
	world_done(&world);
}

static void an_idle_worker_without_a_queue_is_not_stuck(void **state)
{
	struct world world;

	(void)state;
	begin(&world, 4);
	for (uint32_t i = 0; i < 4; i++)
		world.worker[i].demand = 0;
	world_ticks(&world, 300);
	assert_int_equal(world_n_told(&world), 0);
	world_done(&world);
}

static void without_queues_nothing_is_said(void **state)
{
	struct world world;

	(void)state;
	begin(&world, 4);
	plant.no_listen = true;
	plant.backlog[2] = 400;
	plant.fds[1] = 2000;
	stop(&world, 2, true);
	world_ticks(&world, 300);
	assert_int_equal(world_n_told(&world), 0);
	world_done(&world);
}

/* --- WORKER_GONE --- */

static void end_worker(struct world *world, uint32_t index, bool lives)
{
	struct cb_event event = { .kind = CB_EVENT_WORKER_GONE,
				  .worker_key = index + 1,
				  .present = lives };

	world->worker[index].alive = false;
	world_event(world, &event);
}

/* A newcomer with a key of its own. */
static void start_worker(struct world *world)
{
	struct cb_event event = { .kind = CB_EVENT_WORKER_ADDED,
				  .worker = { .key = world->n_workers + 1,
					      .group_key = 1,
					      .pid = 2000,
					      .start_ticks = 99,
					      .comm = "worker" } };
	struct world_worker *worker = &world->worker[world->n_workers];

	*worker = (struct world_worker){ .alive = true,
					 .demand = 0.2,
					 .mask = cb_cpuset_of(world->n_workers % 8) };
	plant.fds[world->n_workers] = 30;
	worker->original = worker->mask;
	memset(&event.worker.cpuset, 0xff, sizeof(event.worker.cpuset));
	event.worker.original = worker->mask;
	assert_int_equal(
		cb_snapshot_reserve(&world->snapshot, world->n_cpus, 0, ++world->n_workers, 1), 0);
	world_event(world, &event);
}

static void a_worker_without_a_successor_is_gone(void **state)
{
	struct world world;

	(void)state;
	begin(&world, 4);
	world_ticks(&world, 30);
	end_worker(&world, 1, false);
	world_ticks(&world, 5);
	assert_false(world_confirmed(&world, CB_FINDING_WORKER_GONE));
	world_ticks(&world, 10);
	assert_true(world_confirmed(&world, CB_FINDING_WORKER_GONE));
	assert_int_equal(world_finding(&world, CB_FINDING_WORKER_GONE)->missing, 1);
	assert_int_equal(world_finding(&world, CB_FINDING_WORKER_GONE)->workers, 3);
	assert_non_null(strstr(world_sentence(&world, CB_FINDING_WORKER_GONE), "web/1 (pid 1001)"));
	start_worker(&world);
	world_tick(&world);
	assert_null(world_finding(&world, CB_FINDING_WORKER_GONE));
	assert_int_equal(world_n_told(&world), 2);
	world_done(&world);
}

static void a_respawn_in_time_is_no_finding(void **state)
{
	struct world world;

	(void)state;
	begin(&world, 4);
	world_ticks(&world, 30);
	for (uint32_t i = 0; i < 10;
	     i++) { /* one after another, some seconds apart, as a pool recycles its workers */
		end_worker(&world, i, false);
		world_ticks(&world, 3);
		start_worker(&world);
		world_ticks(&world, 4);
	}
	assert_int_equal(world_n_told(&world), 0);
	world_done(&world);
}

/* nginx after HUP: the new ones first, then the old ones as their connections end, sooner or later. */
static void a_reload_is_no_finding(void **state)
{
	struct world world;

	(void)state;
	for (uint32_t lag_sec = 1; lag_sec < 3000; lag_sec = lag_sec * 7 + 1) {
		begin(&world, 4);
		plant.shared = true;
		world_ticks(&world, 30);
		for (uint32_t i = 0; i < 4; i++)
			start_worker(&world);
		for (uint32_t i = 0; i < 4; i++) {
			world_ticks(&world, lag_sec / 4 + 1);
			end_worker(&world, i, false);
		}
		world_ticks(&world, 60);
		assert_int_equal(world_n_told(&world), 0);
		/* all successors are spent: whoever goes now is missing */
		end_worker(&world, 5, false);
		world_ticks(&world, 15);
		assert_true(world_confirmed(&world, CB_FINDING_WORKER_GONE));
		world_done(&world);
	}
}

/* It has closed its socket first: it was told to end. */
static void a_worker_that_drains_is_no_finding(void **state)
{
	struct world world;

	(void)state;
	begin(&world, 4);
	world_ticks(&world, 30);
	plant.closed[1] = true;
	world_ticks(&world, 8000);
	end_worker(&world, 1, false);
	world_ticks(&world, 30);
	assert_int_equal(world_n_told(&world), 0);
	world_done(&world);
}

static void a_worker_that_is_taken_out_is_no_finding(void **state)
{
	struct world world;

	(void)state;
	begin(&world, 4);
	world_ticks(&world, 30);
	end_worker(&world, 1, true);
	world_ticks(&world, 30);
	assert_int_equal(world_n_told(&world), 0);
	world_done(&world);
}

static void all_at_once_is_one_finding_and_is_forgotten(void **state)
{
	struct world world;

	(void)state;
	begin(&world, 4);
	world_ticks(&world, 30);
	for (uint32_t i = 0; i < 4; i++)
		end_worker(&world, i, false);
	world_ticks(&world, 15);
	assert_int_equal(cb_engine_n_findings(world.engine), 1);
	assert_int_equal(world_finding(&world, CB_FINDING_WORKER_GONE)->missing, 4);
	assert_true(world_finding(&world, CB_FINDING_WORKER_GONE)->harm);
	assert_non_null(
		strstr(world_sentence(&world, CB_FINDING_WORKER_GONE), "4 workers are gone"));
	world_ticks(&world, 900); /* GoneForgetSec=15min */
	assert_null(world_finding(&world, CB_FINDING_WORKER_GONE));
	assert_int_equal(world_n_told(&world), 2);
	world_done(&world);
}

static void the_end_of_a_group_ends_its_findings(void **state)
{
	struct world world;
	struct cb_event removed = { .kind = CB_EVENT_GROUP_REMOVED, .group_key = 1 };

	(void)state;
	begin(&world, 4);
	plant.fds[2] = 900;
	plant.backlog[3] = 300;
	world_ticks(&world, 30);
	stop(&world, 3, true);
	end_worker(&world, 1, false);
	world_ticks(&world, 80);
	assert_int_equal(cb_engine_n_findings(world.engine), 4);
	assert_int_equal(world.n_notices[CB_NOTICE_FINDING_BEGAN], 4);
	world_event(&world, &removed);
	assert_int_equal(world.n_notices[CB_NOTICE_FINDING_ENDED], 4);
	world_done(&world);
}

/* --- all of them --- */

/* Two hours of a service that has nothing wrong with it: uneven by chance, bursts, now and then a worker that is recycled. */
static void a_calm_service_shows_nothing(void **state)
{
	struct world world;
	uint32_t seed = 5, n_started = 0;

	(void)state;
	begin(&world, 8);
	for (uint32_t second = 0; second < 7200; second++) {
		for (uint32_t i = 0; i < 8 + n_started; i++) {
			plant.fds[i] = 60 + next_random(&seed) % 60;
			plant.backlog[i] = next_random(&seed) % 200 ? next_random(&seed) % 30 : 300;
			world.worker[i].demand = (double)(next_random(&seed) % 60) / 100;
		}
		if (second % 1000 == 999) {
			end_worker(&world, n_started++, false);
			start_worker(&world);
		}
		world_tick(&world);
	}
	assert_int_equal(world_n_told(&world), 0);
	world_done(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(connections_on_one_worker_are_a_skew),
		cmocka_unit_test(two_workers_can_be_skewed_too),
		cmocka_unit_test(few_connections_and_single_workers_are_no_skew),
		cmocka_unit_test(without_descriptor_counts_there_is_no_skew),
		cmocka_unit_test(the_worker_that_lags_is_named),
		cmocka_unit_test(a_shared_socket_is_nobodys),
		cmocka_unit_test(datagrams_wait_too),
		cmocka_unit_test(bursts_are_no_backlog),
		cmocka_unit_test(a_stopped_worker_is_stuck_until_it_goes_on),
		cmocka_unit_test(a_worker_that_only_computes_is_stuck),
		cmocka_unit_test(a_slow_worker_with_a_full_queue_is_not_stuck),
		cmocka_unit_test(one_accept_proves_it_lives),
		cmocka_unit_test(an_idle_worker_without_a_queue_is_not_stuck),
		cmocka_unit_test(without_queues_nothing_is_said),
		cmocka_unit_test(a_worker_without_a_successor_is_gone),
		cmocka_unit_test(a_respawn_in_time_is_no_finding),
		cmocka_unit_test(a_reload_is_no_finding),
		cmocka_unit_test(a_worker_that_drains_is_no_finding),
		cmocka_unit_test(a_worker_that_is_taken_out_is_no_finding),
		cmocka_unit_test(all_at_once_is_one_finding_and_is_forgotten),
		cmocka_unit_test(the_end_of_a_group_ends_its_findings),
		cmocka_unit_test(a_calm_service_shows_nothing),
	};

	return cmocka_run_group_tests_name("detect_groups", tests, NULL, NULL);
}
