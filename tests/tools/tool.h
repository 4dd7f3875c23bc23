/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the load tools of the tests share: one-line errors, option parsing with bounds, clocks, CPU
 * lists, a calibrated busy loop and a histogram. The tools are stand-ins for servers, clients and batch jobs;
 * they link nothing of the daemon, so that a fault in it cannot hide itself in a measurement.
 *
 * Errors of the user or of the system end the program with one line on standard error and status 1.
 */

#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define TOOL_NSEC_PER_USEC 1000ULL
#define TOOL_NSEC_PER_MSEC 1000000ULL
#define TOOL_NSEC_PER_SEC  1000000000ULL

/** Print "PROGRAM: MESSAGE" on standard error and exit with status 1. */
__attribute__((__noreturn__, __format__(__printf__, 1, 2))) void tool_die(const char *format, ...);

/** Print "PROGRAM: MESSAGE" on standard error. */
__attribute__((__format__(__printf__, 1, 2))) void tool_warn(const char *format, ...);

/**
 * Parse a decimal number, digits only.
 * @option: name of the option, for the error line
 * @min, @max: accepted range, inclusive; anything else ends the program with an error naming it
 */
uint64_t tool_parse_number(const char *option, const char *text, uint64_t min, uint64_t max);

/**
 * Parse a CPU list such as "0-3,8" and check that at least one of its CPUs may be used.
 * CPUs that do not exist end the program, since the kernel would drop them silently.
 */
void tool_parse_cpus(const char *option, const char *text, cpu_set_t *ret_cpus);

/** Pin the calling thread (and the threads and processes that it will create) to @cpus. */
void tool_pin(const cpu_set_t *cpus);

/** Monotonic time in nanoseconds. */
uint64_t tool_now_nsec(void);

/** CPU time of the calling thread in nanoseconds. */
uint64_t tool_thread_cpu_nsec(void);

/**
 * Measure the speed of tool_spin() by the CPU time of the calling thread, for about 20 ms.
 * Returns iterations per millisecond, never 0. The best of several runs counts: a disturbance only
 * ever makes a run slower.
 */
uint64_t tool_calibrate(void);

/**
 * Do a fixed amount of work. Since it counts iterations and not time, a program that is preempted
 * or that shares its core does not do less of it.
 */
void tool_spin(uint64_t iterations);

/** Iterations that take @usec microseconds, for a speed from tool_calibrate(). */
uint64_t tool_iterations(uint64_t per_msec, uint64_t usec);

#define TOOL_HISTOGRAM_BUCKETS 1920 /* 32 for each power of two, and values below 32 as they are */

/* Log-linear: buckets are 3 % apart over the whole range of 64 bits. All zeroes is an empty one. */
struct tool_histogram {
	uint64_t total;
	uint64_t max;
	uint64_t counts[TOOL_HISTOGRAM_BUCKETS];
};

void tool_histogram_add(struct tool_histogram *histogram, uint64_t value);

/** Add all values of @from to @to. */
void tool_histogram_merge(struct tool_histogram *to, const struct tool_histogram *from);

/** The value that @permyriad of 10000 values do not exceed, rounded up by at most 3 %; 0 if empty. */
uint64_t tool_histogram_quantile(const struct tool_histogram *histogram, unsigned int permyriad);

/**
 * Replace the file at @path by the pids that are above 0, one a line. Readers see the old or the new
 * file, never a part. A failure is a warning.
 */
void tool_write_pids(const char *path, const pid_t *pids, size_t count);

/** Allow as many open files as the hard limit does, at most @wanted. */
void tool_raise_files(uint64_t wanted);
