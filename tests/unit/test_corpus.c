/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Captures of real machines, which are not part of the project: where CB_CORPUS names a folder with interrupts/, softirqs/
 * and stat/, every file in it (.bz2 through bzcat) must be read, and the sums must be those of a second, plain reader
 * below that shares nothing with the parsers.
 */
#include "sources_test.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>

#define CPUS 2048u

static const char *corpus;

/* Words of a line, counted and summed in the plainest way. */
static uint64_t plain_sum(const char *line, const char *end, unsigned int max, unsigned int *ret_n)
{
	uint64_t sum = 0;

	for (*ret_n = 0; *ret_n < max; (*ret_n)++) {
		uint64_t value = 0;
		const char *p;

		while (line < end && isspace((unsigned char)*line))
			line++;
		for (p = line; p < end && isdigit((unsigned char)*p); p++)
			value = value * 10 + (uint64_t)(*p - '0');
		if (p == line || (p < end && !isspace((unsigned char)*p)))
			break;
		sum += value;
		line = p;
	}
	return sum;
}

static const char *line_end(const struct text *text, const char *line)
{
	while (line < text->buf + text->len && *line != '\n')
		line++;
	return line;
}

/* The sum of the first @max numbers behind @name at a line's beginning; UINT64_MAX when there is no such line. */
static uint64_t plain_row(const struct text *text, const char *name, unsigned int skip,
			  unsigned int max)
{
	size_t len = strlen(name);

	for (const char *line = text->buf; line < text->buf + text->len;
	     line = line_end(text, line) + 1) {
		const char *p = line, *end = line_end(text, line);
		unsigned int n;

		while (p < end && isspace((unsigned char)*p))
			p++;
		if ((size_t)(end - p) >= len && memcmp(p, name, len) == 0)
			return plain_sum(p + len, end, max, &n) -
			       (skip ? plain_sum(p + len, end, skip, &n) : 0);
	}
	return UINT64_MAX;
}

struct interrupts_check {
	const struct text *text;
	unsigned int n_rows, n_irqs;
	uint32_t n_columns;
};

static int check_interrupt(const struct cb_interrupts_row *row, const uint64_t *per_cpu,
			   uint32_t n_cpus, const uint32_t *cpu_ids, void *userdata)
{
	struct interrupts_check *check = userdata;
	uint64_t sum = 0;
	char name[32];

	assert_true(n_cpus == 0 || cpu_ids[n_cpus - 1] >= n_cpus - 1);
	for (uint32_t i = 0; i < n_cpus; i++)
		sum += per_cpu[i];
	if (n_cpus > 0)
		assert_int_equal(sum, row->total);
	/* A search through the whole file for each row: not in one of thousands of long rows. */
	if (check->text->len < 1 << 20) {
		snprintf(name, sizeof(name), "%s:", row->name);
		assert_int_equal(row->total, plain_row(check->text, name, 0, n_cpus ? n_cpus : 1));
	}
	check->n_rows++;
	check->n_irqs += row->irq >= 0;
	check->n_columns = CB_MAX(check->n_columns, n_cpus);
	return 0;
}

static void check_interrupts(const char *file, const struct text *text)
{
	struct interrupts_check check = { .text = text };
	static uint64_t per_cpu[CPUS];
	static uint32_t cpu_ids[CPUS];
	unsigned int lines = 0;
	int r = cb_interrupts_parse(text->buf, text->len, per_cpu, cpu_ids, CPUS, check_interrupt,
				    &check);

	if (r != 0)
		fail_msg("%s: %d", file, r);
	for (const char *line = text->buf; line < text->buf + text->len;
	     line = line_end(text, line) + 1)
		lines += memchr(line, ':', (size_t)(line_end(text, line) - line)) != NULL;
	assert_int_equal(check.n_rows, lines);
	printf("# %s: %u rows, %u interrupts, %u columns\n", file, check.n_rows, check.n_irqs,
	       check.n_columns);
}

static void check_softirqs(const char *file, const struct text *text)
{
	AUTO_SNAPSHOT snapshot;
	unsigned int n_cpus = 0;
	int r;

	snapshot_make(&snapshot, CPUS, 0);
	r = cb_softirqs_parse(text->buf, text->len, &snapshot);
	if (r != 0)
		fail_msg("%s: %d", file, r);
	for (uint32_t i = 0; i < CPUS; i++)
		n_cpus += snapshot.cpu[i].present == CB_CPU_HAS_SOFTIRQS;
	assert_true(n_cpus > 0);
	for (enum cb_softirq kind = 0; kind < _CB_SOFTIRQ_MAX; kind++) {
		uint64_t sum = 0, expected;
		char name[32];

		for (uint32_t i = 0; i < CPUS; i++)
			sum += snapshot.cpu[i].softirqs[kind];
		snprintf(name, sizeof(name), "%s:", cb_softirq_name(kind));
		expected = plain_row(text, name, 0, CPUS);
		if (expected == UINT64_MAX && kind == CB_SOFTIRQ_IRQ_POLL)
			expected = plain_row(text, "BLOCK_IOPOLL:", 0, CPUS);
		assert_int_equal(sum, expected);
	}
	printf("# %s: %u CPUs\n", file, n_cpus);
}

static void check_stat(const char *file, const struct text *text)
{
	AUTO_SNAPSHOT snapshot;
	struct cb_cpuset online;
	uint64_t irqs = 0;
	bool news;
	int r;

	snapshot_make(&snapshot, CPUS, CB_IRQS_MAX);
	r = cb_stat_parse(text->buf, text->len, &snapshot, &online, &news);
	if (r != 0)
		fail_msg("%s: %d", file, r);
	for (uint32_t i = 0; i < CPUS; i++) {
		uint64_t sum = 0;
		char name[32];

		snprintf(name, sizeof(name), "cpu%u ", i);
		for (unsigned int k = 0; k < _CB_TIME_MAX; k++)
			sum += snapshot.cpu[i].time_ticks[k];
		assert_int_equal(cb_cpuset_has(&online, i),
				 snapshot.cpu[i].present == CB_CPU_HAS_TIMES);
		assert_int_equal(snapshot.cpu[i].present ? sum : UINT64_MAX,
				 plain_row(text, name, 0, _CB_TIME_MAX));
	}
	for (uint32_t i = 0; i < snapshot.n_irqs; i++)
		irqs += snapshot.irq[i].count;
	assert_int_equal(snapshot.intr_total, plain_row(text, "intr ", 0, 1));
	/* What is beyond CB_IRQS_MAX is told, not summed. */
	assert_true(irqs == plain_row(text, "intr ", 1, UINT32_MAX) || news);
	assert_int_equal(irqs, plain_row(text, "intr ", 1, CB_IRQS_MAX + 1));
	assert_int_equal(snapshot.ctxt, plain_row(text, "ctxt ", 0, 1));
	assert_int_equal(snapshot.procs_running, plain_row(text, "procs_running ", 0, 1));
	printf("# %s: %u CPUs, %" PRIu64 " of %" PRIu64 " interrupts have a number\n", file,
	       cb_cpuset_count(&online), irqs, snapshot.intr_total);
}

static struct text read_capture(const char *path)
{
	size_t len = strlen(path);
	char command[4200];
	struct text text;
	FILE *pipe;

	if (len < 4 || strcmp(path + len - 4, ".bz2") != 0)
		return text_of_file(path);
	assert_null(strchr(path, '\''));
	snprintf(command, sizeof(command), "bzcat '%s'", path);
	pipe = popen(command, "re");
	assert_non_null(pipe);
	text = text_of_stream(pipe);
	if (pclose(pipe) != 0) {
		printf("# passed over, bzcat cannot read it: %s\n", path);
		text_done(&text);
		return (struct text){ 0 };
	}
	return text;
}

static void check_folder(const char *name, void (*check)(const char *file, const struct text *text))
{
	unsigned int n_files = 0;
	char path[4096];
	struct dirent *entry;
	DIR *dir;

	if (!corpus) {
		printf("skip: CB_CORPUS names no folder of captures\n");
		skip();
		return;
	}
	snprintf(path, sizeof(path), "%s/%s", corpus, name);
	dir = opendir(path);
	if (!dir)
		fail_msg("cannot open %s: %s", path, strerror(errno));
	while ((entry = readdir(dir))) {
		struct text text;

		if (entry->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s/%s", corpus, name, entry->d_name);
		text = read_capture(path);
		if (!text.buf)
			continue;
		check(entry->d_name, &text);
		text_done(&text);
		n_files++;
	}
	closedir(dir);
	assert_true(n_files > 0);
}

static void interrupts(void **state)
{
	(void)state;
	check_folder("interrupts", check_interrupts);
}

static void softirqs(void **state)
{
	(void)state;
	check_folder("softirqs", check_softirqs);
}

static void stat_files(void **state)
{
	(void)state;
	check_folder("stat", check_stat);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(interrupts),
		cmocka_unit_test(softirqs),
		cmocka_unit_test(stat_files),
	};

	corpus = getenv("CB_CORPUS");
	if (corpus && !*corpus)
		corpus = NULL;
	return cmocka_run_group_tests_name("corpus", tests, NULL, NULL);
}
