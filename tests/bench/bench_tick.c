/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a steady tick costs on this machine, back to back: all reads, parsing, detection. As a ratio to the floor, which is the same files
 * and events read through kept descriptors in the same run and nothing else; and to the floor that reads /proc/interrupts too, as other
 * monitors do. Medians of interleaved rounds, since machines are noisy.
 */
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "cpubalance/host.h"

#define ROUNDS 40
#define TICKS  50

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

static double now_usec(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void feed(struct machine *m, struct cb_input input)
{
	input.now_usec = cb_host_now_usec(m->host);
	if (cb_engine_feed(m->engine, &input, &m->decision) < 0) {
		fprintf(stderr, "bench_tick: the engine refused an input (%s)\n",
			cb_input_kind_name(input.kind));
		exit(1);
	}
}

static void setup(struct machine *m)
{
	struct cb_host_options options = { 0 };
	struct cb_policy policy;
	struct cb_err err = { 0 };

	m->engine = cb_engine_new(1);
	if (!m->engine || cb_host_open(&options, &m->host, &err) < 0 ||
	    cb_host_topology(m->host, 1, &m->topology, &err) < 0 ||
	    cb_host_irqs(m->host, 1, &m->irqs, &err) < 0 ||
	    cb_host_prepare(m->host, m->topology, m->irqs, &m->snapshot, &err) < 0) {
		fprintf(stderr, "bench_tick: %s\n", err.msg);
		exit(1);
	}
	cb_policy_init(&policy);
	feed(m, (struct cb_input){ .kind = CB_INPUT_POLICY, .policy = &policy });
	feed(m, (struct cb_input){ .kind = CB_INPUT_TOPOLOGY, .topology = m->topology });
	feed(m, (struct cb_input){ .kind = CB_INPUT_IRQS, .irqs = m->irqs });
}

static double time_ticks(struct machine *m)
{
	double start = now_usec();

	for (int i = 0; i < TICKS; i++) {
		if (cb_collect(m->host, &m->snapshot, &m->events) < 0) {
			fprintf(stderr, "bench_tick: nothing could be read\n");
			exit(1);
		}
		feed(m, (struct cb_input){ .kind = CB_INPUT_SNAPSHOT, .snapshot = &m->snapshot });
	}
	return (now_usec() - start) / TICKS;
}

/* Read each to its end, as a reader without parser would. */
static double time_files(const int *fds, size_t n, const int *events, size_t n_events, char *buf,
			 size_t size)
{
	double start = now_usec();

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
	return (now_usec() - start) / TICKS;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values)
{
	qsort(values, ROUNDS, sizeof(*values), compare);
	return values[ROUNDS / 2];
}

int main(void)
{
	static struct machine m;
	static double tick[ROUNDS], base[ROUNDS], full[ROUNDS], ratio[ROUNDS], ratio_full[ROUNDS];
	int fds[CB_ARRAY_SIZE(floor_files) + 1];
	int events[64];
	size_t size = 4 << 20, n_events;
	char *buf = malloc(size);

	if (!buf)
		return 1;
	for (size_t i = 0; i < CB_ARRAY_SIZE(floor_files); i++)
		fds[i] = open(floor_files[i], O_RDONLY | O_CLOEXEC);
	fds[CB_ARRAY_SIZE(floor_files)] = open(INTERRUPTS, O_RDONLY | O_CLOEXEC);
	setup(&m);
	n_events = open_events(events, CB_ARRAY_SIZE(events), m.topology->n_cpu_ids);
	for (int i = 0; i < ROUNDS; i++) {
		tick[i] = time_ticks(&m);
		base[i] = time_files(fds, CB_ARRAY_SIZE(floor_files), events, n_events, buf, size);
		full[i] = time_files(fds, CB_ARRAY_SIZE(fds), events, n_events, buf, size);
		ratio[i] = tick[i] / base[i];
		ratio_full[i] = tick[i] / full[i];
	}
	printf("bench tick %.1f usec\n", median(tick));
	printf("bench floor %.1f usec\n", median(base));
	printf("bench floor_with_interrupts %.1f usec\n", median(full));
	printf("bench tick_over_floor %.2f ratio bar<=1.3\n", median(ratio));
	printf("bench tick_over_floor_with_interrupts %.2f ratio bar<=0.6\n", median(ratio_full));
	for (size_t i = 0; i < CB_ARRAY_SIZE(fds); i++)
		close(fds[i]);
	for (size_t i = 0; i < n_events; i++)
		close(events[i]);
	free(buf);
	cb_snapshot_done(&m.snapshot);
	free(m.irqs);
	m.topology = cb_topology_unref(m.topology);
	m.engine = cb_engine_free(m.engine);
	m.host = cb_host_close(m.host);
	return 0;
}
