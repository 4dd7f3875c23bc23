/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An hour of virtual time with all that comes and goes in it: plans and verdicts, workers that are replaced, CPUs that go offline, reloads,
 * a journal that is written anew, a history, metrics. Once everything has had its turn nothing grows, neither memory nor descriptors.
 *
 * What is allocated is counted block by block, in the place of the C library's functions, which are called underneath. mallinfo2() will not do: blocks that
 * the library keeps for the next one of their size (tcache, 7 of each of 64 sizes) are in use by its account, and lines of JSON have ever new sizes.
 */
#include <dirent.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cpubalance/journal.h"
#include "daemon/history.h"
#include "daemon/manager.h"
#include "daemon/metrics.h"
#include "world.h"

#define SECONDS	     3600u
#define WARM_SECONDS 900u
#define WORKERS	     4u
/* A block may be up to 24 bytes bigger than was asked for, another time not: so much for each of those that live. */
#define SLACK_BYTES 24u

static struct world world;
static struct cb_manager manager;
static struct cb_journal *journal;
static struct cb_history *history;
static char dir[64];

static unsigned int n_fds(void)
{
	DIR *entries = opendir("/dev/fd");
	unsigned int n = 0;

	while (entries && readdir(entries))
		n++;
	if (entries)
		closedir(entries);
	return n;
}

static size_t live_bytes,
	n_live; /* 0 under a sanitizer, which has an allocator of its own, and finds leaks by itself */

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *block, size_t size);
extern void __libc_free(void *block);

static void *begins(void *block)
{
	live_bytes += block ? malloc_usable_size(block) : 0;
	n_live += block != NULL;
	return block;
}

static void ends(void *block)
{
	live_bytes -= block ? malloc_usable_size(block) : 0;
	n_live -= block != NULL;
}

void *malloc(size_t size)
{
	return begins(__libc_malloc(size));
}

void *calloc(size_t n, size_t size)
{
	return begins(__libc_calloc(n, size));
}

void *realloc(void *block, size_t size)
{
	size_t before = block ? malloc_usable_size(block) : 0;
	void *ret = __libc_realloc(block, size);

	/* Without memory the block stays; without a size it is gone. */
	if (!ret && size > 0)
		return NULL;
	live_bytes -= before;
	n_live -= block != NULL;
	return begins(ret);
}

void free(void *block)
{
	ends(block);
	__libc_free(block);
}
#endif

static void replace_worker(uint32_t index)
{
	struct cb_event gone = { .kind = CB_EVENT_WORKER_GONE, .worker_key = index + 1 };
	struct cb_event added = { .kind = CB_EVENT_WORKER_ADDED };

	world_event(&world, &gone);
	world.worker[index].mask = world.worker[index].original = cb_cpuset_of(0);
	added.worker = (struct cb_worker_added){ .key = index + 1,
						 .group_key = 1,
						 .pid = (int32_t)(1000 + index),
						 .start_ticks = world.now_usec,
						 .original = cb_cpuset_of(0) };
	cb_cpuset_set_range(&added.worker.cpuset, 0, WORLD_CPUS - 1);
	world_event(&world, &added);
}

static void new_topology(void)
{
	struct cb_input input = { .kind = CB_INPUT_TOPOLOGY, .now_usec = world.now_usec };

	world.topology->generation++;
	input.topology = world.topology;
	world_feed(&world, &input);
}

/* What the daemon writes down about a plan. */
static void write_down(uint32_t second)
{
	struct cb_history_step step = { .kind = CB_ITEM_WORKER, .name = "web/0" };
	struct cb_history_entry entry = { .plan_id = second + 1, .n_steps = 1, .step = &step };
	struct cb_journal_entry record = { .knob = CB_KNOB_TASK_AFFINITY,
					   .tid = (int32_t)(1 + second % 50),
					   .tgid = (int32_t)(1 + second % 50),
					   .start_ticks = 1,
					   .tgid_start_ticks = 1,
					   .original = cb_cpuset_of(0),
					   .set = cb_cpuset_of(1) };

	assert_int_equal(cb_history_add(history, &entry, NULL), 0);
	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(cb_journal_put(journal, &record, NULL), 0);
	if (second % 3 == 0)
		assert_int_equal(cb_journal_drop(journal, &record, NULL), 0);
}

static void one_second(uint32_t second)
{
	world_tick(&world);
	write_down(second);
	manager.snapshot = world.snapshot;
	assert_non_null(cb_metrics_render(manager.metrics, &manager));
	if (second % 45 == 44)
		replace_worker(second / 45 % WORKERS);
	if (second % 300 == 299)
		new_topology();
	if (second % 600 == 500)
		world_policy(&world);
	world.effect_ratio = second / 400 % 2 ? 0.2 : -0.2;
}

static void begin(void)
{
	const char *tmp = getenv("TMPDIR");

	snprintf(dir, sizeof(dir), "%.40s/hour.XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(dir));
	assert_int_equal(cb_journal_open(dir, "b", &journal, NULL), 0);
	assert_int_equal(cb_history_open(dir, CB_HISTORY_PLANS, &history, NULL), 0);
	world_init(&world, 4, WORKERS);
	world.drift_rho = 0.7;
	world.drift_ratio = 0.1;
	world.noise_ratio = 0.03;
	world.policy.moves_per_hour = 1000;
	world.policy.rollbacks_per_hour = 100;
	world.policy.quarantine_usec = 10 * CB_USEC_PER_SEC;
	world.policy.quarantine_max_usec = 20 * CB_USEC_PER_SEC;
	world.policy.cooldown_usec = CB_USEC_PER_SEC;
	world_policy(&world);
	manager = (struct cb_manager){ .engine = world.engine,
				       .policy = &world.policy,
				       .effective = &world.policy,
				       .topology = world.topology,
				       .journal = journal,
				       .n_samples = 5,
				       .n_ticks = 5,
				       .journal_healthy = true,
				       .metrics = cb_metrics_new() };
	assert_non_null(manager.metrics);
}

static void remove_file(const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	unlink(path);
}

static void finish(void)
{
	cb_metrics_free(manager.metrics);
	world_done(&world);
	cb_journal_close(journal);
	cb_history_close(history);
	remove_file("journal");
	remove_file("history.jsonl");
	remove_file("history.jsonl.1");
	assert_int_equal(rmdir(dir), 0);
}

static void nothing_grows(void **state)
{
	size_t bytes = 0, bytes_max = 0, blocks = 0, blocks_max = 0;
	unsigned int fds = 0;

	(void)state;
	begin();
	for (uint32_t second = 0; second < SECONDS; second++) {
		one_second(second);
		if (second < WARM_SECONDS) {
			bytes = CB_MAX(bytes, live_bytes);
			blocks = CB_MAX(blocks, n_live);
		} else {
			bytes_max = CB_MAX(bytes_max, live_bytes);
			blocks_max = CB_MAX(blocks_max, n_live);
		}
		if (second == WARM_SECONDS)
			fds = n_fds();
	}
	print_message(
		"# an hour of virtual time: %u plans applied; at most %zu bytes in %zu blocks in the first %u s, "
		"%zu in %zu later; %u descriptors, then %u\n",
		world.n_applies, bytes, blocks, WARM_SECONDS, bytes_max, blocks_max, fds, n_fds());
	assert_true(world.n_applies > 10);
	assert_true(blocks_max <= blocks);
	assert_true(bytes_max <= bytes + SLACK_BYTES * blocks);
	assert_int_equal(n_fds(), fds);
	finish();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_grows),
	};

	return cmocka_run_group_tests_name("hour", tests, NULL, NULL);
}
