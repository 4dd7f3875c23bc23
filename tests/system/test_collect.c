/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The collector on the machine that runs the test: its own children are the workers. They stand
 * still while they are looked at, so that two ways of reading them have to agree to the nanosecond.
 * Nothing is left behind: children die with the test, network namespaces with the children
 * (child.h).
 */
#include "cpubalance/host.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "child.h"
#include "lib/host/collect.h"

#define TICKS_MAX 100

struct machine {
	struct cb_host *host;
	struct cb_topology *topology;
	struct cb_irqs *irqs;
	struct cb_snapshot snapshot;
	struct cb_collect_events events;
};

/* --- the machine --- */

static bool root_or_skip(void)
{
	if (geteuid() == 0)
		return true;
	print_message("skip: not root\n");
	return false;
}
#define NEEDS_ROOT()                 \
	do {                         \
		if (!root_or_skip()) \
			skip();      \
	} while (0)

static int setup(void **state)
{
	struct machine *m = calloc(1, sizeof(*m));

	*state = m;
	return m ? 0 : -1;
}

static void close_machine(struct machine *m)
{
	cb_snapshot_done(&m->snapshot);
	m->topology = cb_topology_unref(m->topology);
	free(m->irqs);
	m->irqs = NULL;
	m->host = cb_host_close(m->host);
}

static int teardown(void **state)
{
	struct machine *m = *state;

	child_end_all();
	close_machine(m);
	free(m);
	return 0;
}

static void open_machine(struct machine *m, bool no_netlink)
{
	struct cb_host_options options = { .no_netlink = no_netlink };
	struct cb_err err = { 0 };

	if (cb_host_open(&options, &m->host, &err) < 0 ||
	    cb_host_topology(m->host, 1, &m->topology, &err) < 0 ||
	    cb_host_irqs(m->host, 1, &m->irqs, &err) < 0)
		fail_msg("%s", err.msg);
}

static int watch(struct machine *m, uint32_t key, uint32_t group, pid_t pid)
{
	struct cb_worker_identity identity;
	struct cb_err err = { 0 };
	int pidfd = -1;

	if (cb_host_identify(m->host, pid, &identity, &err) < 0 ||
	    cb_host_watch(m->host, key, group, &identity, -1, &pidfd, &err) < 0)
		fail_msg("%s", err.msg);
	return pidfd;
}

/* One tick, made ready for; CPUs that came or went meanwhile are somebody else's doing. */
static void collect(struct machine *m)
{
	struct cb_err err = { 0 };

	if (cb_host_prepare(m->host, m->topology, m->irqs, &m->snapshot, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(cb_collect(m->host, &m->snapshot, &m->events), 0);
	assert_false(m->events.changed & CB_COLLECT_TOPOLOGY);
}

static bool has_source(const struct machine *m, enum cb_source source)
{
	if (cb_host_sources(m->host) & (1u << source))
		return true;
	print_message("skip: no %s here (%s)\n", cb_source_name(source), cb_source_where(source));
	return false;
}
#define NEEDS_SOURCE(m, source)                 \
	do {                                    \
		if (!has_source((m), (source))) \
			skip();                 \
	} while (0)

/* --- cases --- */

static void sees_the_machine(void **state)
{
	struct machine *m = *state;
	struct cb_cpu_sample before;
	unsigned int cpu;

	NEEDS_ROOT();
	open_machine(m, false);
	assert_int_equal(m->topology->n_online, sysconf(_SC_NPROCESSORS_ONLN));
	assert_true(strlen(cb_host_boot_id(m->host)) == 36);
	collect(m);
	assert_true(m->snapshot.valid & (1u << CB_SOURCE_STAT));
	assert_true(m->snapshot.valid & (1u << CB_SOURCE_SOFTIRQS));
	cpu = cb_cpuset_first(&m->topology->online);
	before = m->snapshot.cpu[cpu];
	assert_true(before.present & CB_CPU_HAS_TIMES);
	collect(m);
	assert_true(m->snapshot.cpu[cpu].time_ticks[CB_TIME_USER] >=
		    before.time_ticks[CB_TIME_USER]);
	for (uint32_t i = 0; i < m->snapshot.n_irqs; i++)
		assert_true(m->snapshot.irq[i].effective_cpu < (int32_t)m->topology->n_cpu_ids);
}

/* Each byte back and forth between two processes on one CPU is two switches of that CPU. */
static void counts_switches_per_cpu(void **state)
{
	struct machine *m = *state;
	struct cb_cpuset housekeeping;
	struct child *c;
	uint64_t before;
	unsigned int cpu;
	cpu_set_t set, was;

	NEEDS_ROOT();
	open_machine(m, false);
	collect(m);
	NEEDS_SOURCE(m, CB_SOURCE_CTXSW);
	housekeeping = cb_topology_housekeeping(m->topology);
	cpu = cb_cpuset_first(&housekeeping);
	assert_int_equal(sched_getaffinity(0, sizeof(was), &was), 0);
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	assert_int_equal(sched_setaffinity(0, sizeof(set), &set), 0);
	c = child_new(); /* inherits the mask */
	child_do(c, "o");
	collect(m);
	before = m->snapshot.cpu[cpu].ctxsw;
	child_do(c, "oooooooo");
	collect(m);
	assert_int_equal(sched_setaffinity(0, sizeof(was), &was), 0);
	assert_true(m->snapshot.cpu[cpu].present & CB_CPU_HAS_CTXSW);
	assert_true(m->snapshot.cpu[cpu].ctxsw >= before + 16);
}

static const uint32_t cpu_bits = CB_WORKER_HAS_CPU | CB_WORKER_HAS_WAIT | CB_WORKER_HAS_SWITCHES;

static bool same_work(const struct cb_worker_sample *a, const struct cb_worker_sample *b)
{
	return a->cpu_nsec == b->cpu_nsec && a->vol_switches == b->vol_switches &&
	       a->invol_switches == b->invol_switches;
}

/*
 * Two looks through one host with one through the other in between; again until the process stood
 * still.
 */
static bool stood_still(struct machine *m, struct machine *other)
{
	for (int i = 0; i < 1000; i++) {
		struct cb_worker_sample before;

		collect(m);
		before = m->snapshot.worker[0];
		collect(other);
		collect(m);
		if (same_work(&before, &m->snapshot.worker[0]))
			return true;
		usleep(1000);
	}
	return false;
}

/* taskstats and /proc, on a process with threads that all stand still. */
static void taskstats_and_proc_agree(void **state)
{
	struct machine *m = *state, files = { 0 };
	struct cb_worker_sample *a, *b;
	struct child *c;

	NEEDS_ROOT();
	open_machine(m, false);
	NEEDS_SOURCE(m, CB_SOURCE_TASKSTATS);
	open_machine(&files, true);
	assert_null(files.host->taskstats);
	c = child_new();
	child_do(c, "btt");
	watch(m, 1, 1, c->pid);
	watch(&files, 1, 1, c->pid);
	assert_true(stood_still(m, &files));
	a = &m->snapshot.worker[0];
	b = &files.snapshot.worker[0];
	assert_int_equal(a->present & cpu_bits, cpu_bits);
	assert_int_equal(b->present & cpu_bits, cpu_bits);
	assert_true(a->cpu_nsec >= 60000000);
	assert_int_equal(a->cpu_nsec, b->cpu_nsec);
	assert_int_equal(a->wait_nsec, b->wait_nsec);
	assert_int_equal(a->vol_switches, b->vol_switches);
	assert_int_equal(a->invol_switches, b->invol_switches);
	assert_int_equal(a->n_threads, 3);
	assert_int_equal(b->n_threads, 3);
	assert_in_range(a->last_cpu, 0, m->topology->n_cpu_ids - 1);
	assert_true(m->snapshot.valid & (1u << CB_SOURCE_TASKSTATS));
	assert_true(files.snapshot.valid & (1u << CB_SOURCE_TASK_PROC));
	close_machine(&files);
}

/* What a thread has used stays counted when it ends, either way. */
static void exited_threads_count(void **state)
{
	struct machine *m = *state;
	struct child *c;

	NEEDS_ROOT();
	for (int no_netlink = 0; no_netlink <= 1; no_netlink++) {
		uint64_t before;

		open_machine(m, no_netlink);
		c = child_new();
		watch(m, 1, 1, c->pid);
		collect(m);
		assert_true(m->snapshot.worker[0].present & CB_WORKER_HAS_CPU);
		before = m->snapshot.worker[0].cpu_nsec;
		child_do(c, "e");
		collect(m);
		assert_true(m->snapshot.worker[0].cpu_nsec >= before);
		/* /proc cannot know a thread that came and went between two looks. */
		if (m->host->taskstats)
			assert_true(m->snapshot.worker[0].cpu_nsec >= before + 20000000);
		close_machine(m);
	}
}

/* Far more workers than fit in one batch of requests. */
static void asks_in_batches(void **state)
{
	struct machine *m = *state;
	struct child *c;

	NEEDS_ROOT();
	open_machine(m, false);
	NEEDS_SOURCE(m, CB_SOURCE_TASKSTATS);
	c = child_new();
	child_do(c, "b");
	for (uint32_t key = 1; key <= 3 * CB_TASKSTATS_BATCH + 5; key++)
		watch(m, key, 1, c->pid);
	assert_true(stood_still(m, m));
	assert_int_equal(m->snapshot.n_workers, 3 * CB_TASKSTATS_BATCH + 5);
	for (uint32_t i = 0; i < m->snapshot.n_workers; i++) {
		assert_int_equal(m->snapshot.worker[i].present & cpu_bits, cpu_bits);
		assert_true(same_work(&m->snapshot.worker[i], &m->snapshot.worker[0]));
	}
}

/* Until the main thread is a zombie. */
static void wait_zombie(pid_t pid)
{
	char path[64], buf[512], *p;
	ssize_t len;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	for (int i = 0; i < 10000; i++) {
		fd = open(path, O_RDONLY | O_CLOEXEC);
		assert_true(fd >= 0);
		len = read(fd, buf, sizeof(buf) - 1);
		close(fd);
		assert_true(len > 0);
		buf[len] = 0;
		p = strrchr(buf, ')');
		assert_non_null(p);
		if (p[2] == 'Z')
			return;
		usleep(1000);
	}
	fail_msg("process %d is no zombie", pid);
}

/* A worker's main thread may leave before the others: a zombie, and not gone. */
static void knows_who_is_gone(void **state)
{
	struct machine *m = *state;
	struct child *c, *killed;
	struct pollfd ended = { .events = POLLIN };

	NEEDS_ROOT();
	open_machine(m, false);
	c = child_new();
	killed = child_new();
	watch(m, 1, 1, c->pid);
	ended.fd = watch(m, 2, 1, killed->pid);
	child_do(c, "tx");
	wait_zombie(c->pid);
	collect(m);
	assert_int_equal(m->events.n_gone, 0);
	assert_true(m->snapshot.worker[0].present & CB_WORKER_HAS_CPU);
	assert_int_equal(poll(&ended, 1, 0), 0);
	kill(killed->pid, SIGKILL);
	assert_int_equal(poll(&ended, 1, 10000), 1);
	collect(m); /* a zombie */
	assert_int_equal(m->events.n_gone, 1);
	assert_int_equal(m->events.gone[0], 2);
	child_end(killed);
	collect(m); /* nothing at all */
	assert_int_equal(m->events.n_gone, 1);
	assert_int_equal(m->snapshot.worker[1].present, 0);
	cb_host_unwatch(m->host, 2);
	collect(m);
	assert_int_equal(m->events.n_gone, 0);
}

static void sees_masks_change(void **state)
{
	struct machine *m = *state;
	struct cb_cpuset expected;
	struct child *c;
	unsigned int cpu;
	cpu_set_t set;

	NEEDS_ROOT();
	open_machine(m, false);
	cpu = cb_cpuset_first(&m->topology->online);
	expected = cb_cpuset_of(cpu);
	c = child_new();
	watch(m, 1, 1, c->pid);
	collect(m);
	assert_int_equal(m->events.n_worker_masks, 0);
	if (cb_cpuset_equal(&m->snapshot.worker[0].mask, &expected)) {
		print_message("skip: one CPU only\n");
		skip();
	}
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	assert_int_equal(sched_setaffinity(c->pid, sizeof(set), &set), 0);
	collect(m);
	assert_true(cb_cpuset_equal(&m->snapshot.worker[0].mask, &expected));
	assert_int_equal(m->events.n_worker_masks, 1);
	assert_int_equal(m->events.worker_mask[0].key, 1);
	assert_true(cb_cpuset_equal(&m->events.worker_mask[0].mask, &expected));
	collect(m);
	assert_int_equal(m->events.n_worker_masks, 0);
}

static void counts_descriptors(void **state)
{
	struct machine *m = *state;
	struct child *c;
	uint32_t before;

	NEEDS_ROOT();
	open_machine(m, false);
	NEEDS_SOURCE(m, CB_SOURCE_FD_COUNT);
	c = child_new();
	child_do(c, "o"); /* it has closed what it does not need by now */
	watch(m, 1, 1, c->pid);
	collect(m);
	before = m->snapshot.worker[0].n_fds;
	child_do(c, "o");
	collect(m);
	assert_int_equal(m->snapshot.worker[0].n_fds, before + 100);
}

static ino_t own_namespace(void)
{
	struct stat st;

	assert_int_equal(stat("/proc/self/ns/net", &st), 0);
	return st.st_ino;
}

/*
 * Two workers that share a listener in a namespace of their own, and one that opens its listener
 * only later.
 */
static void sees_queues_elsewhere(void **state)
{
	const ino_t own = own_namespace();
	const struct cb_group_sample *g;
	struct machine *m = *state;
	int32_t shares;
	struct child *c;
	uint64_t packets;
	size_t n;

	NEEDS_ROOT();
	open_machine(m, false);
	NEEDS_SOURCE(m, CB_SOURCE_LISTEN);
	c = child_new();
	child_do(c, "nlfw");
	assert_int_equal(cb_host_children(m->host, c->pid, &shares, 1, &n), 0);
	assert_int_equal(n, 1);
	watch(m, 1, 7, c->pid);
	watch(m, 2, 7, shares);
	assert_int_equal(own_namespace(), own);
	collect(m);
	g = &m->snapshot.group[0];
	assert_int_equal(g->key, 7);
	assert_int_equal(g->present, CB_GROUP_HAS_PACKETS | CB_GROUP_HAS_LISTEN);
	assert_int_equal(g->backlog, 0);
	assert_int_equal(g->backlog_max, 5);
	packets = g->packets;
	child_do(c, "cc");
	collect(m);
	assert_int_equal(g->backlog, 2);
	/* Both have it open; the queue is that one's which waits for clients there. */
	assert_true(m->snapshot.worker[0].present & CB_WORKER_HAS_LISTEN);
	assert_int_equal(m->snapshot.worker[0].n_listeners, 1);
	assert_int_equal(m->snapshot.worker[0].backlog, 2);
	assert_int_equal(m->snapshot.worker[0].backlog_max, 5);
	assert_false(m->snapshot.worker[1].present & CB_WORKER_HAS_LISTEN);
	assert_true(g->packets >= packets + 6); /* two handshakes */
	child_do(c, "m");
	collect(m); /* sees that something new listens, and looks up whose it is */
	collect(m);
	assert_int_equal(g->backlog_max, 14);
	/* Who alone has one open serves it, however it waits. */
	assert_int_equal(m->snapshot.worker[0].n_listeners, 2);
	assert_int_equal(m->snapshot.worker[0].backlog_max, 14);
	/* The namespace was entered through one worker and stays readable without it. */
	cb_host_unwatch(m->host, 1);
	child_end(c);
	collect(m);
	assert_int_equal(g->present & CB_GROUP_HAS_PACKETS, CB_GROUP_HAS_PACKETS);
	assert_int_equal(own_namespace(), own);
}

static void steady_ticks_take_nothing(void **state)
{
	struct machine *m = *state;
	struct mallinfo2 before, after;
	int fd_before, fd_after;

	NEEDS_ROOT();
	open_machine(m, false);
	for (uint32_t key = 1; key <= 3; key++) {
		struct child *c = child_new();

		child_do(c, "t");
		watch(m, key, 1, c->pid);
	}
	collect(m);
	assert_int_equal(cb_collect(m->host, &m->snapshot, &m->events), 0);
	fd_before = dup(0);
	before = mallinfo2();
	for (int i = 0; i < TICKS_MAX; i++)
		assert_int_equal(cb_collect(m->host, &m->snapshot, &m->events), 0);
	after = mallinfo2();
	fd_after = dup(0);
	assert_int_equal(fd_after, fd_before + 1);
	assert_int_equal(after.uordblks, before.uordblks);
	close(fd_before);
	close(fd_after);
}

static void *ask_own_tid(void *tid)
{
	*(pid_t *)tid = gettid();
	pause();
	return NULL;
}

static void identifies(void **state)
{
	struct cb_worker_identity identity;
	struct machine *m = *state;
	struct cb_err err = { 0 };
	struct child *c;
	pthread_t thread;
	volatile pid_t tid = 0;
	int32_t pids[64];
	bool found = false;
	size_t n;

	NEEDS_ROOT();
	open_machine(m, false);
	c = child_new();
	assert_int_equal(cb_host_identify(m->host, c->pid, &identity, &err), 0);
	assert_true(identity.start_ticks > 0);
	assert_int_equal(identity.uid, 0);
	assert_false(cb_cpuset_empty(&identity.mask));
	assert_true(cb_cpuset_subset(&identity.mask, &identity.cpuset) ||
		    !identity.cpuset_is_known);
	assert_int_equal(cb_host_children(m->host, getpid(), pids, 64, &n), 0);
	for (size_t i = 0; i < n; i++)
		found |= pids[i] == c->pid;
	assert_true(found);
	assert_int_equal(pthread_create(&thread, NULL, ask_own_tid, (void *)&tid), 0);
	while (!tid)
		sched_yield();
	assert_int_equal(cb_host_identify(m->host, tid, &identity, &err), -ESRCH);
	assert_non_null(strstr(err.msg, "is a thread"));
	pthread_cancel(thread);
	pthread_join(thread, NULL);
	/* kthreadd, unless this is a pid namespace of its own */
	if (cb_host_identify(m->host, 2, &identity, &err) == -EPERM)
		assert_non_null(strstr(err.msg, "kernel thread"));
	child_end(c);
	assert_int_equal(cb_host_identify(m->host, c->pid ? c->pid : INT32_MAX, &identity, &err),
			 -ESRCH);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(sees_the_machine),
		TEST(counts_switches_per_cpu),
		TEST(taskstats_and_proc_agree),
		TEST(exited_threads_count),
		TEST(asks_in_batches),
		TEST(knows_who_is_gone),
		TEST(sees_masks_change),
		TEST(counts_descriptors),
		TEST(sees_queues_elsewhere),
		TEST(steady_ticks_take_nothing),
		TEST(identifies),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("collect", tests, NULL, NULL);
}
