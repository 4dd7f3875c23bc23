/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "tool.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

__attribute__((__format__(__printf__, 1, 0))) static void print_error(const char *format,
								      va_list args)
{
	char line[512];

	vsnprintf(line, sizeof(line), format, args);
	fprintf(stderr, "%s: %s\n", program_invocation_short_name, line);
}

void tool_die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print_error(format, args);
	va_end(args);
	exit(EXIT_FAILURE);
}

void tool_warn(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	print_error(format, args);
	va_end(args);
}

/* Reads digits at *text and moves it on; false without a digit or above UINT64_MAX. */
static bool read_digits(const char **text, uint64_t *ret_value)
{
	const char *at = *text;
	uint64_t value = 0;

	for (; *at >= '0' && *at <= '9'; at++)
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*at - '0'), &value))
			return false;
	if (at == *text)
		return false;
	*text = at;
	*ret_value = value;
	return true;
}

uint64_t tool_parse_number(const char *option, const char *text, uint64_t min, uint64_t max)
{
	const char *at = text;
	uint64_t value;

	if (!read_digits(&at, &value) || *at != '\0' || value < min || value > max)
		tool_die("--%s: \"%s\" is not a number from %llu to %llu", option, text,
			 (unsigned long long)min, (unsigned long long)max);
	return value;
}

void tool_parse_cpus(const char *option, const char *text, cpu_set_t *ret_cpus)
{
	const char *at = text;
	cpu_set_t cpus, before, got;

	CPU_ZERO(&cpus);
	do {
		uint64_t first, last;

		if (!read_digits(&at, &first))
			goto bad;
		last = first;
		if (*at == '-' && (at++, !read_digits(&at, &last)))
			goto bad;
		if (first > last || last >= CPU_SETSIZE)
			goto bad;
		for (uint64_t cpu = first; cpu <= last; cpu++)
			CPU_SET((size_t)cpu, &cpus);
	} while (*at++ == ',');
	at--;
	if (*at != '\0')
		goto bad;

	/* Only trying tells which of them exist and are allowed here; put the mask back. */
	if (sched_getaffinity(0, sizeof(before), &before) < 0)
		tool_die("cannot read the CPU mask: %m");
	if (sched_setaffinity(0, sizeof(cpus), &cpus) < 0 ||
	    sched_getaffinity(0, sizeof(got), &got) < 0 || !CPU_EQUAL(&got, &cpus))
		tool_die("--%s: \"%s\" has CPUs that are offline or outside this cpuset", option,
			 text);
	if (sched_setaffinity(0, sizeof(before), &before) < 0)
		tool_die("cannot put back the CPU mask: %m");
	*ret_cpus = cpus;
	return;
bad:
	tool_die("--%s: \"%s\" is not a CPU list such as 0-3,8 (CPUs 0 to %d)", option, text,
		 CPU_SETSIZE - 1);
}

void tool_pin(const cpu_set_t *cpus)
{
	if (sched_setaffinity(0, sizeof(*cpus), cpus) < 0)
		tool_die("cannot run on the CPUs asked for: %m");
}

static uint64_t read_clock(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * TOOL_NSEC_PER_SEC + (uint64_t)now.tv_nsec;
}

uint64_t tool_now_nsec(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

uint64_t tool_thread_cpu_nsec(void)
{
	return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

void tool_spin(uint64_t iterations)
{
	uint64_t value = 1;

	while (iterations-- > 0) {
		value = value * 6364136223846793005ULL + 1442695040888963407ULL;
		__asm__ volatile("" : "+r"(value));
	}
}

uint64_t tool_calibrate(void)
{
	uint64_t iterations = 1000, best = 1;
	unsigned int runs = 0;

	while (runs < 8) {
		uint64_t start = tool_thread_cpu_nsec(), spent;

		tool_spin(iterations);
		spent = tool_thread_cpu_nsec() - start;
		if (spent < 2 * TOOL_NSEC_PER_MSEC && iterations < 1ULL << 32) {
			iterations *= 2;
			continue;
		}
		if (spent > 0 && iterations * TOOL_NSEC_PER_MSEC / spent > best)
			best = iterations * TOOL_NSEC_PER_MSEC / spent;
		runs++;
	}
	return best;
}

uint64_t tool_iterations(uint64_t per_msec, uint64_t usec)
{
	return per_msec * usec / 1000;
}

void tool_write_pids(const char *path, const pid_t *pids, size_t count)
{
	char temporary[PATH_MAX];
	FILE *file;

	snprintf(temporary, sizeof(temporary), "%s.%d", path, (int)getpid());
	file = fopen(temporary, "we");
	if (!file) {
		tool_warn("cannot write %s: %m", temporary);
		return;
	}
	for (size_t i = 0; i < count; i++)
		if (pids[i] > 0)
			fprintf(file, "%d\n", (int)pids[i]);
	if (fclose(file) != 0 || rename(temporary, path) < 0) {
		tool_warn("cannot write %s: %m", path);
		unlink(temporary);
	}
}

#define STEP_BITS 5
#define STEPS	  (1U << STEP_BITS)

void tool_histogram_add(struct tool_histogram *histogram, uint64_t value)
{
	unsigned int bucket = (unsigned int)value;

	if (value >= STEPS) {
		unsigned int shift = 63U - (unsigned int)__builtin_clzll(value) - STEP_BITS;

		bucket = shift * STEPS + (unsigned int)(value >> shift);
	}
	histogram->counts[bucket]++;
	histogram->total++;
	if (value > histogram->max)
		histogram->max = value;
}

void tool_histogram_merge(struct tool_histogram *to, const struct tool_histogram *from)
{
	for (unsigned int i = 0; i < TOOL_HISTOGRAM_BUCKETS; i++)
		to->counts[i] += from->counts[i];
	to->total += from->total;
	if (from->max > to->max)
		to->max = from->max;
}

uint64_t tool_histogram_quantile(const struct tool_histogram *histogram, unsigned int permyriad)
{
	uint64_t wanted = (histogram->total * permyriad + 9999) / 10000, seen = 0, value = 0;

	for (unsigned int i = 0; i < TOOL_HISTOGRAM_BUCKETS && seen < wanted; i++) {
		unsigned int shift = i < 2 * STEPS ? 0 : i / STEPS - 1;

		seen += histogram->counts[i];
		value = ((i - (uint64_t)shift * STEPS + 1) << shift) - 1;
	}
	return value > histogram->max ? histogram->max : value;
}

void tool_raise_files(uint64_t wanted)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		tool_die("cannot read the limit of open files: %m");
	if (limit.rlim_cur >= wanted)
		return;
	limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		tool_die("cannot raise the limit of open files: %m");
}
