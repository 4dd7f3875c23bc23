/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* proc/interrupts: columns, the many forms of what stands behind them, and rows of the architecture's own. */
#include "sources_test.h"

#include <errno.h>

#define COLUMNS 8u

struct row {
	struct cb_interrupts_row row;
	uint32_t n_cpus;
	uint64_t per_cpu[COLUMNS];
	uint32_t cpu_ids[COLUMNS];
};

struct rows {
	unsigned int n, stop_at;
	struct row row[32];
};

static int add_row(const struct cb_interrupts_row *row, const uint64_t *per_cpu, uint32_t n_cpus,
		   const uint32_t *cpu_ids, void *userdata)
{
	struct rows *rows = userdata;
	struct row *r = &rows->row[rows->n++];

	assert_true(rows->n < CB_ARRAY_SIZE(rows->row) && n_cpus <= COLUMNS);
	r->row = *row;
	r->n_cpus = n_cpus;
	memcpy(r->per_cpu, per_cpu, n_cpus * sizeof(*per_cpu));
	memcpy(r->cpu_ids, cpu_ids, n_cpus * sizeof(*cpu_ids));
	return rows->n == rows->stop_at ? 7 : 0;
}

static int parse(struct text text, uint32_t cap, struct rows *rows)
{
	uint64_t per_cpu[COLUMNS];
	uint32_t cpu_ids[COLUMNS];

	return cb_interrupts_parse(text.buf, text.len, per_cpu, cpu_ids, cap, add_row, rows);
}

static void check_row(const struct rows *rows, const char *name, int32_t irq, uint64_t total,
		      uint32_t n_cpus, const char *actions)
{
	for (unsigned int i = 0; i < rows->n; i++) {
		const struct row *r = &rows->row[i];

		if (strcmp(r->row.name, name) != 0)
			continue;
		assert_int_equal(r->row.irq, irq);
		assert_int_equal(r->row.total, total);
		assert_int_equal(r->n_cpus, n_cpus);
		assert_string_equal(r->row.actions, actions);
		return;
	}
	fail_msg("no row %s", name);
}

static void x86(void **state)
{
	AUTO_TEXT text = text_of_file(FIXTURES "interrupts-2cpu");
	struct rows rows = { 0 };

	(void)state;
	assert_int_equal(parse(text, COLUMNS, &rows), 0);
	assert_int_equal(rows.n, 10);
	check_row(&rows, "24", 24, 1, 2, "ACPI:Ged");
	check_row(&rows, "36", 36, 105589, 2, "virtio1-req.0");
	check_row(&rows, "39", 39, 1003, 2, "virtio2-output.0");
	check_row(&rows, "LOC", -1, 78148, 2, "Local timer interrupts");
	check_row(&rows, "ERR", -1, 3, 0, "");
	check_row(&rows, "PIN", -1, 0, 2, "Posted-interrupt notification event");
	assert_int_equal(rows.row[3].per_cpu[0], 0);
	assert_int_equal(rows.row[3].per_cpu[1], 1540);
}

static void other_forms(void **state)
{
	AUTO_TEXT text = text_of_file(FIXTURES "interrupts-forms");
	struct rows rows = { 0 };

	(void)state;
	assert_int_equal(parse(text, 3, &rows), 0);
	assert_int_equal(rows.n, 15);
	assert_int_equal(rows.row[0].cpu_ids[1], 2);
	check_row(&rows, "EXT", -1, 89, 3, "");
	check_row(&rows, "3", 3, 107, 3, "mlx5_comp0@pci:0001:00:00.0");
	check_row(&rows, "9", 9, 0, 3, "acpi, other device");
	check_row(&rows, "10", 10, UINT64_C(9898840065), 3, "arch_timer");
	check_row(&rows, "11", 11, 0, 3,
		  "timer with a name that is much longer than there is room for it");
	check_row(&rows, "57", 57, 5, 3, "ena-mgmnt@pci:0000:00:05.0");
	check_row(&rows, "58", 58, 1, 3, "");
	check_row(&rows, "59", 59, 1, 3, "");
	check_row(&rows, "60", 60, 2, 3, "xenbus");
	check_row(&rows, "61", 61, 0, 3, "");
	check_row(&rows, "62", 62, 0, 3, "");
	check_row(&rows, "63", 63, 0, 3, "");
	check_row(&rows, "IPI0", -1, UINT64_C(5613019869), 3, "Rescheduling interrupts");
	check_row(&rows, "Err", -1, 0, 0, "");
}

/*
 * Rows as the kernel writes them, longer than the blocks that are read at once, against the plainest reader: zeros, counters near
 * 2^32, some that are wider than their column and push the rest of the row to the right, and CPUs that are not there the next time.
 */
#define WIDE 100u
static uint64_t wide_count(unsigned int irq, unsigned int cpu)
{
	switch ((irq * 31 + cpu * 7) % (irq < 4 ? 97 : 5)) {
	case 0:
		return UINT64_C(4294967295) - cpu;
	case 1:
		return cpu;
	case 2:
		return irq % 3 ? 999999999 + cpu : UINT64_C(12345678901) + cpu;
	default:
		return 0;
	}
}

static int check_wide(const struct cb_interrupts_row *row, const uint64_t *per_cpu, uint32_t n_cpus,
		      const uint32_t *cpu_ids, void *userdata)
{
	uint64_t sum = 0;
	unsigned int *n_rows = userdata;

	for (uint32_t i = 0; i < n_cpus; i++) {
		assert_int_equal(per_cpu[i], wide_count((unsigned int)row->irq, cpu_ids[i]));
		sum += per_cpu[i];
	}
	assert_int_equal(row->total, sum);
	assert_string_equal(row->actions, "eth0");
	(*n_rows)++;
	return 0;
}

static void wide_rows(void **state)
{
	static char buf[1 << 20];
	uint64_t per_cpu[WIDE];
	uint32_t cpu_ids[WIDE];

	(void)state;
	for (unsigned int missing = 0; missing < 3; missing++) {
		unsigned int n_rows = 0, n_cpus = 0;
		char *to = buf + sprintf(buf, "     ");

		for (unsigned int cpu = 0; cpu < WIDE; cpu++)
			if (missing == 0 || cpu % (missing * 9) != 1) {
				to += sprintf(to, "CPU%-8u", cpu);
				n_cpus++;
			}
		to += sprintf(to, "\n");
		for (unsigned int irq = 0; irq < 60; irq++) {
			to += sprintf(to, "%3u:", irq);
			for (unsigned int cpu = 0; cpu < WIDE; cpu++)
				if (missing == 0 || cpu % (missing * 9) != 1)
					to += sprintf(to, " %10llu",
						      (unsigned long long)wide_count(irq, cpu));
			to += sprintf(to, "  PCI-MSI %u-edge      eth0\n", irq);
		}
		assert_int_equal(cb_interrupts_parse(buf, (size_t)(to - buf), per_cpu, cpu_ids,
						     WIDE, check_wide, &n_rows),
				 0);
		assert_int_equal(n_rows, 60);
		assert_true(n_cpus > 80);
	}
}

/* One wrong byte anywhere in a long row: refused, or the row has another shape; never another number in its place. */
static int count_row(const struct cb_interrupts_row *row, const uint64_t *per_cpu, uint32_t n_cpus,
		     const uint32_t *cpu_ids, void *userdata)
{
	uint64_t *total = userdata;

	(void)per_cpu;
	(void)n_cpus;
	(void)cpu_ids;
	*total = row->total;
	return 0;
}

static void wrong_bytes(void **state)
{
	static const char wrong[] = "!/:;@AaPp\x01\x1f\x7f\x80\xb0\xb5\xff";
	char buf[2048], *row;
	uint64_t per_cpu[32], total;
	uint32_t cpu_ids[32];
	char *to = buf + sprintf(buf, "     ");

	(void)state;
	for (unsigned int cpu = 0; cpu < 32; cpu++)
		to += sprintf(to, "CPU%-8u", cpu);
	row = to += sprintf(to, "\n");
	to += sprintf(to, "  1:");
	for (unsigned int cpu = 0; cpu < 32; cpu++)
		to += sprintf(to, " %10u", cpu % 3 ? cpu * 1000 : 0);
	to += sprintf(to, "  chip eth0\n");
	for (char *p = row + 4; p < row + 4 + 32 * 11; p++)
		for (size_t i = 0; i < sizeof(wrong) - 1; i++) {
			char was = *p;

			*p = wrong[i];
			assert_int_equal(cb_interrupts_parse(buf, (size_t)(to - buf), per_cpu,
							     cpu_ids, 32, count_row, &total),
					 -EBADMSG);
			*p = was;
		}
}

static void callback_ends_it(void **state)
{
	AUTO_TEXT text = text_of_file(FIXTURES "interrupts-2cpu");
	struct rows rows = { .stop_at = 2 };

	(void)state;
	assert_int_equal(parse(text, COLUMNS, &rows), 7);
	assert_int_equal(rows.n, 2);
	assert_int_equal(parse(text, 1, &rows), -E2BIG);
}

static void cut_short(void **state)
{
	AUTO_TEXT whole = text_of_file(FIXTURES "interrupts-forms");

	(void)state;
	for (size_t len = 0; len < whole.len; len++) {
		AUTO_TEXT part = text_of(whole.buf, len);
		struct rows rows = { 0 };

		assert_int_equal(parse(part, 3, &rows),
				 len > 0 && part.buf[len - 1] == '\n' ? 0 : -EBADMSG);
	}
}

static void no_file_of_the_kernel(void **state)
{
	static const struct {
		const char *text;
		int r;
	} cases[] = {
		{ "", -EBADMSG },
		{ "\n", -EBADMSG },
		{ "CPU1 CPU0\n", -EBADMSG },
		{ "CPU4096\n", -ERANGE },
		{ "CPU0 CPU1\n1: 1\n", -EBADMSG },
		{ "CPU0\n1: 1\n1: 1\n", -EBADMSG },
		{ "CPU0\n2: 1\n1: 1\n", -EBADMSG },
		{ "CPU0\n1 1\n", -EBADMSG },
		{ "CPU0\n: 1\n", -EBADMSG },
		{ "CPU0\n1:\n", -EBADMSG },
		{ "CPU0\n1: 1x\n", -EBADMSG },
		{ "CPU0\n2147483648: 1\n", -ERANGE },
		{ "CPU0\n99999999999999999999999999: 1\n", -ERANGE },
		{ "CPU0 CPU1\n1: 18446744073709551615 1\n", -ERANGE },
		{ "CPU0 CPU1\n1: 18446744073709551616 1\n", -ERANGE },
		{ "CPU0\n", 0 },
		{ "CPU0\n2147483647: 18446744073709551615 chip\n", 0 },
		{ "CPU0\nA-VERY-LONG-NAME-OF-A-ROW: what\n", 0 },
		{ "CPU0\nA:1\nB: 2 \n", 0 },
		{ "CPU0 CPU1\n1: 1 1 1 1 1\n", 0 },
	};

	(void)state;
	for (size_t i = 0; i < CB_ARRAY_SIZE(cases); i++) {
		AUTO_TEXT text = TEXT(cases[i].text);
		struct rows rows = { 0 };
		int r = parse(text, COLUMNS, &rows);

		if (r != cases[i].r)
			fail_msg("case %zu: %d, not %d: %s", i, r, cases[i].r, cases[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(x86),
		cmocka_unit_test(other_forms),
		cmocka_unit_test(wide_rows),
		cmocka_unit_test(wrong_bytes),
		cmocka_unit_test(callback_ends_it),
		cmocka_unit_test(cut_short),
		cmocka_unit_test(no_file_of_the_kernel),
	};

	return cmocka_run_group_tests_name("interrupts", tests, NULL, NULL);
}
