/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * burn: a stand-in for a batch job. One thread on each CPU of a list uses that CPU for a share of
 * each 10 ms period, for a bounded time. The share is CPU time: a thread that was kept from its CPU
 * makes up for it within the period, and drops what it could not use of it.
 */

#include "tool.h"

#include <getopt.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PERIOD_NSEC (10 * TOOL_NSEC_PER_MSEC)
#define CHUNK_USEC  50 /* how finely the share is kept */
#define MAX_THREADS 256

struct burn {
	cpu_set_t cpus;
	uint64_t duty_percent;
	uint64_t end_nsec;
	uint64_t chunk_iterations;
};

struct burn_thread {
	const struct burn *burn;
	pthread_t thread;
	int cpu;
};

static void sleep_until(uint64_t nsec)
{
	struct timespec at = {
		.tv_sec = (time_t)(nsec / TOOL_NSEC_PER_SEC),
		.tv_nsec = (long)(nsec % TOOL_NSEC_PER_SEC),
	};

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL);
}

static void *burn_run(void *argument)
{
	const struct burn_thread *self = argument;
	const struct burn *burn = self->burn;
	uint64_t share_nsec = PERIOD_NSEC * burn->duty_percent / 100;
	uint64_t period_end = tool_now_nsec();
	cpu_set_t cpu;

	CPU_ZERO(&cpu);
	CPU_SET((size_t)self->cpu, &cpu);
	tool_pin(&cpu);
	while (tool_now_nsec() < burn->end_nsec) {
		uint64_t start = tool_thread_cpu_nsec();

		period_end = tool_now_nsec() + PERIOD_NSEC;
		while (tool_thread_cpu_nsec() - start < share_nsec && tool_now_nsec() < period_end)
			tool_spin(burn->chunk_iterations);
		if (burn->duty_percent < 100)
			sleep_until(period_end < burn->end_nsec ? period_end : burn->end_nsec);
	}
	return NULL;
}

static void usage(void)
{
	puts("Usage: burn --cpus LIST [--duty PERCENT] [--seconds N]\n"
	     "Use each CPU of a list for a share of the time, as a batch job would. Prints its pid.\n\n"
	     "  --cpus LIST     CPUs to use, one thread each, such as 0-3,8\n"
	     "  --duty PERCENT  share of each 10 ms period, 1 to 100 (100)\n"
	     "  --seconds N     end after N seconds, 1 to 3600 (10)\n"
	     "  --help          show this text");
}

static void parse_options(int argc, char **argv, struct burn *ret_burn, uint64_t *ret_seconds)
{
	static const struct option options[] = {
		{"cpus", required_argument, NULL, 'c'},
		{"duty", required_argument, NULL, 'd'},
		{"seconds", required_argument, NULL, 's'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0)
		switch (c) {
		case 'c':
			tool_parse_cpus("cpus", optarg, &ret_burn->cpus);
			break;
		case 'd':
			ret_burn->duty_percent = tool_parse_number("duty", optarg, 1, 100);
			break;
		case 's':
			*ret_seconds = tool_parse_number("seconds", optarg, 1, 3600);
			break;
		case 'h':
			usage();
			exit(EXIT_SUCCESS);
		default:
			exit(EXIT_FAILURE);
		}
	if (optind < argc)
		tool_die("unexpected argument \"%s\"", argv[optind]);
	if (CPU_COUNT(&ret_burn->cpus) == 0)
		tool_die("--cpus is needed");
	if (CPU_COUNT(&ret_burn->cpus) > MAX_THREADS)
		tool_die("--cpus: at most %d CPUs", MAX_THREADS);
}

int main(int argc, char **argv)
{
	static struct burn_thread threads[MAX_THREADS];
	struct burn burn = {.duty_percent = 100};
	unsigned int count = 0;
	uint64_t seconds = 10;

	parse_options(argc, argv, &burn, &seconds);
	burn.chunk_iterations = tool_iterations(tool_calibrate(), CHUNK_USEC);
	burn.end_nsec = tool_now_nsec() + seconds * TOOL_NSEC_PER_SEC;
	printf("%d\n", (int)getpid());
	fflush(stdout);
	for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		int r;

		if (!CPU_ISSET((size_t)cpu, &burn.cpus))
			continue;
		threads[count] = (struct burn_thread){.burn = &burn, .cpu = cpu};
		r = pthread_create(&threads[count].thread, NULL, burn_run, &threads[count]);
		if (r != 0)
			tool_die("cannot start a thread: %s", strerror(r));
		count++;
	}
	while (count > 0)
		pthread_join(threads[--count].thread, NULL);
	return EXIT_SUCCESS;
}
