/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * proc/interrupts: every interrupt's count on each online CPU, and whose it is (kernel/irq/proc.c show_interrupts(), then the
 * architecture's arch_show_interrupts(); s390 puts two of its own rows in front). Megabytes on a big machine, all but all of
 * them zeros: read when somebody asks, never in a tick.
 */
#include "cpubalance/sources.h"

#include "parse.h"

/* What is left of a line. */
struct words {
	const char *p, *end;
};

static size_t word_len(const struct words *w)
{
	const char *p = w->p;

	while (p < w->end && !is_blank(*p))
		p++;
	return (size_t)(p - w->p);
}

static void skip_word(struct words *w)
{
	w->p += word_len(w);
	while (w->p < w->end && is_blank(*w->p))
		w->p++;
}

static bool is_word(const struct words *w, const char *word)
{
	size_t len = strlen(word);

	return word_len(w) == len && memcmp(w->p, word, len) == 0;
}

/* A hardware number, perhaps with the flow handler's name: "65537", "2-edge". */
static bool is_hwirq(const struct words *w)
{
	const char *p = w->p;

	while (p < w->end && is_digit(*p))
		p++;
	return p > w->p && (p == w->end || is_blank(*p) || *p == '-');
}

/*
 * The words after the counts are: chip, hardware number (not always), "Level" or "Edge" (some architectures), "-" and the
 * flow handler's name (not always; old kernels glue it to the chip), and two blanks before the actions, if there are any.
 */
static void skip_chip(struct words *w)
{
	skip_word(w);
	if (is_hwirq(w))
		skip_word(w);
	if (w->p < w->end && (*w->p == 'L' || *w->p == 'E') &&
	    (is_word(w, "Level") || is_word(w, "Edge")))
		skip_word(w);
	if (w->p < w->end && *w->p == '-')
		skip_word(w);
}

static void copy_actions(const char *p, const char *end, struct cb_interrupts_row *row)
{
	struct words w = { .p = skip_blanks(p), .end = end };

	while (w.end > w.p && is_blank(w.end[-1]))
		w.end--;
	if (row->irq >= 0)
		skip_chip(&w);
	cb_text_copy(w.p, (size_t)(w.end - w.p), row->actions, sizeof(row->actions));
}

/*
 * Columns as the kernel writes them, in blocks of sixteen, as far as there are any; @per_cpu is all 0 before. Their sum cannot
 * overflow: each has ten digits at most. Returns where they end; behind zeros something may go on.
 */
static const char *take_blocks(const char *p, const char *end, uint64_t *per_cpu, uint32_t cap,
			       uint32_t *ret_n, uint64_t *ret_sum)
{
	uint32_t n = 0;
	uint64_t sum = 0;

	for (; cap - n >= BLOCK && end - p > BLOCK_SIZE; p += BLOCK_SIZE, n += BLOCK) {
		if (load64(p + 3) == load64("       0") && are_zeros(p))
			continue;
		if (!are_columns(p))
			break;
		UNROLLED
		for (uint32_t i = 0; i < BLOCK; i += 2)
			sum += two_values(p + i * COLUMN_WIDTH, &per_cpu[n + i]);
	}
	*ret_n = n;
	*ret_sum = sum;
	return p;
}

/* One column of any width, after blanks. */
static int take_any(const char **pos, const char *end, bool first, uint64_t *ret)
{
	/* No blank between colon and first count: arm64 pads its "IPI0:" rows to the count's width. */
	if (first && is_digit(**pos))
		return take_u64(pos, ret);
	return take_column(pos, end, ret);
}

/* The counts of one row; @ret_n: how many there are, at most @cap. */
static int take_counts(const char **pos, const char *end, uint64_t *per_cpu, uint32_t cap,
		       uint32_t *ret_n, uint64_t *ret_total)
{
	uint64_t total = 0;
	uint32_t n = 0;

	memset(per_cpu, 0, cap * sizeof(per_cpu[0]));
	while (n < cap) {
		uint32_t n_taken;
		uint64_t sum;
		int r;

		*pos = take_blocks(*pos, end, per_cpu + n, cap - n, &n_taken, &sum);
		n += n_taken;
		if (n_taken > 0 &&
		    !is_delimiter(**pos)) { /* the last goes on: once more, all of it */
			*pos -= COLUMN_WIDTH;
			sum -= per_cpu[--n];
			per_cpu[n] = 0;
		}
		if (__builtin_add_overflow(total, sum, &total))
			return -ERANGE;
		if (n == cap)
			break;
		/* One block's worth before the next try: columns that are wider stay so for a while. */
		for (uint32_t i = 0; i < BLOCK && n < cap; i++) {
			r = take_any(pos, end, n == 0, &per_cpu[n]);
			if (r == -EBADMSG)
				goto done; /* the description begins */
			if (r < 0)
				return r;
			if (__builtin_add_overflow(total, per_cpu[n++], &total))
				return -ERANGE;
		}
	}
done:
	*ret_n = n;
	*ret_total = total;
	return 0;
}

/* "  38:" or " LOC:". @pos ends after the colon. */
static int take_name(const char **pos, struct cb_interrupts_row *row)
{
	const char *name = skip_blanks(*pos), *p = name;
	bool number = true;

	for (; *p != ':'; p++) {
		if (is_delimiter(*p))
			return -EBADMSG;
		number = number && is_digit(*p);
	}
	if (p == name)
		return -EBADMSG;
	row->irq = -1;
	if (number) {
		uint64_t irq = 0;

		for (const char *q = name; q < p; q++) {
			irq = irq * 10 + (uint64_t)(*q - '0');
			if (irq > INT32_MAX)
				return -ERANGE;
		}
		row->irq = (int32_t)irq;
	}
	cb_text_copy(name, (size_t)(p - name), row->name, sizeof(row->name));
	*pos = p + 1;
	return 0;
}

int cb_interrupts_parse(const char *buf, size_t len, uint64_t *per_cpu, uint32_t *cpu_ids,
			uint32_t cap, cb_interrupts_fn fn, void *userdata)
{
	const char *p = buf, *end = buf + len;
	uint32_t n_columns;
	int32_t last_irq = -1;
	int r;

	if (!sealed(buf, len))
		return -EBADMSG;
	r = take_cpu_header(&p, end, cpu_ids, cap, &n_columns);
	if (r < 0)
		return r;
	while (p < end) {
		struct cb_interrupts_row row;
		const char *next;
		uint32_t n;

		if (*skip_blanks(p) == '\n') {
			p = next_line(p, end);
			continue;
		}
		r = take_name(&p, &row);
		if (r == 0)
			r = take_counts(&p, end, per_cpu, n_columns, &n, &row.total);
		if (r < 0)
			return r;
		/* The kernel numbers them upwards: a lower number is one that has been there. */
		if (row.irq >= 0 && (row.irq <= last_irq || n < n_columns))
			return -EBADMSG;
		if (row.irq >= 0)
			last_irq = row.irq;
		next = next_line(p, end);
		copy_actions(p, next - 1, &row);
		/* "ERR:  0" has one count for the whole machine, which is no CPU's. */
		r = fn(&row, per_cpu, n < n_columns ? 0 : n, cpu_ids, userdata);
		if (r != 0)
			return r;
		p = next;
	}
	return 0;
}
