/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a steady tick costs on this machine, back to back: all reads, parsing, detection. As a ratio to the floor, which is the same files
 * and events read through kept descriptors in the same run and nothing else; and to the floor that reads /proc/interrupts too, as other
 * monitors do. Then what workers add to it. Medians of interleaved rounds, since machines are noisy.
 */
#include <fcntl.h>
#include <linux/perf_event.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "cpubalance/host.h"

#define ROUNDS	   40
#define TICKS	   50
#define BUSY_TICKS 10
#define WORKERS	   64
#define THREADS	   8

static const char *const floor_files[] = { "/proc/stat", "/proc/softirqs",
					   "/proc/net/softnet_stat" };
#define INTERRUPTS "/proc/interrupts"

/* The software events that count context switches per CPU are descriptors like the others: each is read once a tick. */
static size_t open_events(int *ret_fds, size_t cap, uint32_t n_cpus)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_CONTEXT_SWITCHES,
	};
	size_t n = 0;

	for (uint32_t cpu = 0; cpu < n_cpus && n < cap; cpu++) {
		int fd = (int)syscall(SYS_perf_event_open, &attr, -1, (int)cpu, -1,
				      PERF_FLAG_FD_CLOEXEC);

		if (fd >= 0)
			ret_fds[n++] = fd;
	}
	return n;
}

struct machine {
	struct cb_host *host;
	struct cb_topology *topology;
	struct cb_irqs *irqs;
	struct cb_engine *engine;
	struct cb_snapshot snapshot;
	struct cb_collect_events events;
	struct cb_decision decision;
};

static void feed(struct machine *m, struct cb_input input)
{
	input.now_usec = cb_host_now_usec(m->host);
	if (cb_engine_feed(m->engine, &input, &m->decision) < 0)
		bench_die(cb_input_kind_name(input.kind));
}

static void prepare(struct machine *m)
{
	struct cb_err err = { 0 };

	if (cb_host_prepare(m->host, m->topology, m->irqs, &m->snapshot, &err) < 0)
		bench_die(err.msg);
}

static void setup(struct machine *m)
{
	struct cb_host_options options = { 0 };
	struct cb_policy policy;
	struct cb_err err = { 0 };

	m->engine = bench_must(cb_engine_new(1));
	if (cb_host_open(&options, &m->host, &err) < 0 ||
	    cb_host_topology(m->host, 1, &m->topology, &err) < 0 ||
	    cb_host_irqs(m->host, 1, &m->irqs, &err) < 0)
		bench_die(err.msg);
	prepare(m);
	cb_policy_init(&policy);
	feed(m, (struct cb_input){ .kind = CB_INPUT_POLICY, .policy = &policy });
	feed(m, (struct cb_input){ .kind = CB_INPUT_TOPOLOGY, .topology = m->topology });
	feed(m, (struct cb_input){ .kind = CB_INPUT_IRQS, .irqs = m->irqs });
}

static double time_some(struct machine *m, int n)
{
	double start = bench_now_usec();

	for (int i = 0; i < n; i++) {
		if (cb_collect(m->host, &m->snapshot, &m->events) < 0)
			bench_die("nothing could be read");
		feed(m, (struct cb_input){ .kind = CB_INPUT_SNAPSHOT, .snapshot = &m->snapshot });
	}
	return (bench_now_usec() - start) / n;
}

static double time_ticks(struct machine *m)
{
	return time_some(m, TICKS);
}

/* Read each to its end, as a reader without parser would. */
static double time_files(const int *fds, size_t n, const int *events, size_t n_events, char *buf,
			 size_t size)
{
	double start = bench_now_usec();

	for (int i = 0; i < TICKS; i++) {
		for (size_t f = 0; f < n; f++) {
			off_t at = 0;
			ssize_t r;

			while ((r = pread(fds[f], buf, size, at)) > 0)
				at += r;
		}
		for (size_t e = 0; e < n_events; e++) {
			ssize_t r = read(events[e], buf, sizeof(uint64_t));

			(void)r;
		}
	}
	return (bench_now_usec() - start) / TICKS;
}

static void bench_floor(struct machine *m)
{
	static double tick[ROUNDS], base[ROUNDS], full[ROUNDS], ratio[ROUNDS], ratio_full[ROUNDS];
	const size_t n = CB_ARRAY_SIZE(floor_files), size = 4 << 20;
	int fds[CB_ARRAY_SIZE(floor_files) + 1], events[64];
	char *buf = bench_must(malloc(size));
	size_t n_events = open_events(events, CB_ARRAY_SIZE(events), m->topology->n_cpu_ids);

	for (size_t i = 0; i < n; i++)
		fds[i] = open(floor_files[i], O_RDONLY | O_CLOEXEC);
	fds[n] = open(INTERRUPTS, O_RDONLY | O_CLOEXEC);
	for (int i = 0; i < ROUNDS; i++) {
		tick[i] = time_ticks(m);
		base[i] = time_files(fds, n, events, n_events, buf, size);
		full[i] = time_files(fds, n + 1, events, n_events, buf, size);
		ratio[i] = tick[i] / base[i];
		ratio_full[i] = tick[i] / full[i];
	}
	bench_show("tick", bench_median(tick, ROUNDS), "usec", 0);
	bench_show("floor", bench_median(base, ROUNDS), "usec", 0);
	bench_show("floor_with_interrupts", bench_median(full, ROUNDS), "usec", 0);
	bench_show("tick_over_floor", bench_median(ratio, ROUNDS), "ratio", 1.3);
	bench_show("tick_over_floor_with_interrupts", bench_median(ratio_full, ROUNDS), "ratio",
		   0.6);
	for (size_t i = 0; i <= n; i++)
		close(fds[i]);
	for (size_t i = 0; i < n_events; i++)
		close(events[i]);
	free(buf);
}

/* --- workers --- */

static void woken(int unused)
{
	(void)unused;
}

static void *sleep_for_ever(void *unused)
{
	(void)unused;
	for (;;)
		pause();
	return NULL;
}

/* Says that it is ready by closing @ready. */
static pid_t start_worker(int ready)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGUSR1, woken);
	for (int i = 1; i < THREADS; i++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, sleep_for_ever, NULL) != 0)
			_exit(1);
	}
	close(ready);
	sleep_for_ever(NULL);
	_exit(0);
}

static void watch(struct machine *m, uint32_t key, pid_t pid)
{
	struct cb_worker_identity identity;
	struct cb_err err = { 0 };

	if (cb_host_identify(m->host, pid, &identity, &err) < 0 ||
	    cb_host_watch(m->host, key, 1, &identity, -1, NULL, &err) < 0)
		bench_die(err.msg);
}

/* Every worker has run since the last tick, so that there is something to be read of each. */
static double time_busy_ticks(struct machine *m, const pid_t *pid)
{
	const struct timespec while_they_run = { .tv_nsec = 3000000 };
	double sum = 0;

	for (int i = 0; i < BUSY_TICKS; i++) {
		for (int worker = 0; worker < WORKERS; worker++)
			kill(pid[worker], SIGUSR1);
		nanosleep(&while_they_run, NULL);
		sum += time_some(m, 1);
	}
	return sum / BUSY_TICKS;
}

/* What a tick with the workers takes more than one without; and when all of them have run, or none. */
static void bench_workers(struct machine *m)
{
	static double with[ROUNDS], idle[ROUNDS], without[ROUNDS], without_idle[ROUNDS];
	pid_t pid[WORKERS];
	char byte;
	int ready[2];

	if (!(cb_host_sources(m->host) & 1u << CB_SOURCE_TASKSTATS)) {
		printf("skip: no taskstats here (root is needed): worker_tick is not measured\n");
		return;
	}
	if (pipe(ready) < 0)
		bench_die("no pipe");
	for (uint32_t i = 0; i < WORKERS; i++) {
		pid[i] = start_worker(ready[1]);
		if (pid[i] < 0)
			bench_die("cannot start a worker");
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 0)
		bench_die("a worker did not start");
	for (int i = 0; i < ROUNDS; i++) {
		without[i] = time_busy_ticks(m, pid);
		without_idle[i] = time_ticks(m);
	}
	for (uint32_t i = 0; i < WORKERS; i++)
		watch(m, i + 1, pid[i]);
	prepare(m);
	for (int i = 0; i < ROUNDS; i++) {
		with[i] = time_busy_ticks(m, pid);
		idle[i] = time_ticks(m);
	}
	for (uint32_t i = 0; i < WORKERS; i++) {
		cb_host_unwatch(m->host, i + 1);
		kill(pid[i], SIGKILL);
		waitpid(pid[i], NULL, 0);
	}
	close(ready[0]);
	bench_show("tick_of_64_workers", bench_median(with, ROUNDS), "usec", 0);
	bench_show("worker_tick_running",
		   (bench_median(with, ROUNDS) - bench_median(without, ROUNDS)) / WORKERS, "usec",
		   10);
	bench_show("worker_tick",
		   (bench_median(idle, ROUNDS) - bench_median(without_idle, ROUNDS)) / WORKERS,
		   "usec", 10);
}

int main(void)
{
	static struct machine m;

	setup(&m);
	bench_floor(&m);
	bench_workers(&m);
	cb_snapshot_done(&m.snapshot);
	free(m.irqs);
	m.topology = cb_topology_unref(m.topology);
	m.engine = cb_engine_free(m.engine);
	m.host = cb_host_close(m.host);
	return 0;
}
