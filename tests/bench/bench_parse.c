/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What reading /proc/interrupts of a big machine costs once it is in memory: as a ratio to a copy of the same bytes, medians of
 * interleaved rounds; and, with --once under callgrind (tests/bench/bench_count.sh), in instructions.
 *
 *   bench_parse              generated machines
 *   bench_parse FILE         a capture (tests/bench/bench_capture.sh)
 *   bench_parse --once NAME  one parse of that one; prints its size in bytes
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "cpubalance/sources.h"

#define ROUNDS	 31
#define CPUS_MAX 2048u

struct text {
	char *buf;
	size_t len, size;
};

static uint64_t per_cpu[CPUS_MAX];
static uint32_t cpu_ids[CPUS_MAX];

/* A linear congruence: the same machine each time, whatever the C library. */
static uint32_t dice(void)
{
	static uint64_t state = 1;

	state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(state >> 33);
}

static void _printf_(2, 3) add(struct text *text, const char *fmt, ...)
{
	va_list ap;

	if (text->size - text->len < 128) {
		text->size = text->size * 2 + 4096;
		text->buf = bench_must(realloc(text->buf, text->size));
	}
	va_start(ap, fmt);
	text->len += (size_t)vsnprintf(text->buf + text->len, text->size - text->len, fmt, ap);
	va_end(ap);
}

/* As the kernel writes it. @per_mille of the counts are not 0; those have one to nine digits. */
static struct text generate(unsigned int n_cpus, unsigned int n_irqs, unsigned int per_mille)
{
	struct text text = { 0 };

	add(&text, "           ");
	for (unsigned int cpu = 0; cpu < n_cpus; cpu++)
		add(&text, "CPU%-8u", cpu);
	add(&text, "\n");
	for (unsigned int irq = 0; irq < n_irqs; irq++) {
		add(&text, "%4u:", irq);
		for (unsigned int cpu = 0; cpu < n_cpus; cpu++) {
			unsigned int count = 0;

			if (dice() % 1000 < per_mille) {
				count = dice() % 900000000 + 1;
				for (unsigned int cut = dice() % 9; cut > 0 && count >= 10; cut--)
					count /= 10;
			}
			add(&text, " %10u", count);
		}
		add(&text, "  IR-PCI-MSI %u-edge      nvme%uq%u\n", irq * 512, irq / 128,
		    irq % 128);
	}
	return text;
}

static int count_row(const struct cb_interrupts_row *row, const uint64_t *counts, uint32_t n_cpus,
		     const uint32_t *ids, void *userdata)
{
	uint64_t *sum = userdata;

	(void)counts;
	(void)n_cpus;
	(void)ids;
	*sum += row->total;
	return 0;
}

/* Not inlined: callgrind counts what is inside of it. */
static uint64_t __attribute__((noinline)) bench_parse_once(const struct text *text)
{
	uint64_t sum = 0;

	if (cb_interrupts_parse(text->buf, text->len, per_cpu, cpu_ids, CPUS_MAX, count_row, &sum) <
	    0)
		bench_die("the parser refuses the text");
	return sum;
}

static void measure(const char *name, const struct text *text, double bar)
{
	double parse[ROUNDS], copy[ROUNDS], ratio[ROUNDS];
	char *to = bench_must(malloc(text->len));
	char what[64];

	memset(to, 1, text->len);
	for (int i = 0; i < ROUNDS; i++) {
		double begin = bench_now_usec();

		memcpy(to, text->buf, text->len);
		__asm__ volatile("" : : "r"(to) : "memory");
		copy[i] = bench_now_usec() - begin;
		begin = bench_now_usec();
		bench_parse_once(text);
		parse[i] = bench_now_usec() - begin;
		ratio[i] = parse[i] / copy[i];
	}
	free(to);
	snprintf(what, sizeof(what), "parse_%s", name);
	bench_show(what, bench_median(parse, ROUNDS), "usec", 0);
	snprintf(what, sizeof(what), "memcpy_%s", name);
	bench_show(what, bench_median(copy, ROUNDS), "usec", 0);
	snprintf(what, sizeof(what), "parse_over_memcpy_%s", name);
	bench_show(what, bench_median(ratio, ROUNDS), "ratio", bar);
}

static struct text read_file(const char *path)
{
	FILE *file = fopen(path, "re");
	struct text text = { .size = 1 << 24 };
	size_t n;

	if (!file)
		bench_die("cannot open the capture");
	text.buf = bench_must(malloc(text.size));
	while ((n = fread(text.buf + text.len, 1, text.size - text.len, file)) > 0) {
		text.len += n;
		if (text.len == text.size)
			text.buf = bench_must(realloc(text.buf, text.size *= 2));
	}
	fclose(file);
	return text;
}

static const struct {
	const char *name;
	unsigned int n_cpus, n_irqs, per_mille;
	double bar; /* of the ratio to memcpy */
} machines[] = {
	/* As big and as empty as the biggest capture that we have seen. */
	{ "1152cpu", 1152, 1057, 4, 2 },
	{ "sparse", 256, 1000, 4, 0 },
	{ "dense", 256, 1000, 1000, 0 },
};

static void measure_file(const char *path)
{
	struct text text = read_file(path);

	measure("capture", &text, 2);
	free(text.buf);
}

int main(int argc, char **argv)
{
	bool once = argc == 3 && strcmp(argv[1], "--once") == 0;

	if (argc == 2) {
		measure_file(argv[1]);
		return 0;
	}
	for (size_t i = 0; i < CB_ARRAY_SIZE(machines); i++) {
		struct text text;

		if (once && strcmp(argv[2], machines[i].name) != 0)
			continue;
		text = generate(machines[i].n_cpus, machines[i].n_irqs, machines[i].per_mille);
		if (once) {
			bench_parse_once(&text);
			printf("%zu\n", text.len);
		} else {
			measure(machines[i].name, &text, machines[i].bar);
		}
		free(text.buf);
	}
	return 0;
}
