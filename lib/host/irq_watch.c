/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where interrupts land and whether somebody has changed their masks. A tick reads those whose turn it is: one that we
 * have placed each time, one of a network interface every few seconds, all within ALL_USEC. Descriptors are kept: of
 * where it lands for the first KEEP_MAX interrupts, those we have placed first, then those of network interfaces, then
 * the others; of the mask, which matters less, for the first KEEP_MASK_MAX. The kernel holds a page for each of them.
 * What is beyond that is opened in its turn. Of a mask only fingerprints are remembered: of the set, and of the text that said so,
 * which need not be parsed again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collect.h"
#include "cpubalance/scan.h"

#define KEEP_MAX      4096u
#define KEEP_MASK_MAX 1024u
#define ALL_USEC      (10 * CB_USEC_PER_SEC)
#define NETWORK_USEC  (4 * CB_USEC_PER_SEC)
/* Interrupts a tick reads, unless more are needed to be round within ALL_USEC. */
#define READS_MAX    64u
#define PATH_MAX_IRQ 64u

struct kept {
	uint32_t index; /* in row[] */
	int effective_fd, affinity_fd;
	bool opens;	      /* beyond what is kept: effective_fd is opened in its turn */
	uint64_t period_usec; /* 0: each tick */
	uint64_t next_usec;   /* its turn */
	uint64_t mask;	      /* fingerprint of the one last seen */
	uint64_t text;	      /* fingerprint of what was read then; 0: nothing yet */
};

struct irq_row {
	uint32_t irq;
	int32_t effective_cpu;
	bool placed;
};

struct cb_irq_watch {
	uint32_t generation;
	uint32_t n;
	uint32_t n_kept;
	uint32_t cursor;
	uint64_t last_usec;
	struct kept *kept;
	struct irq_row row[];
};

static int open_list(struct cb_host *host, uint32_t irq, const char *file)
{
	char path[PATH_MAX_IRQ];

	snprintf(path, sizeof(path), CB_PATH_IRQ_DIR "/%u/%s", irq, file);
	return cb_host_openat(host, path, O_RDONLY);
}

/* The one CPU of a set; of several, as some controllers say, none is known. */
static int32_t only_cpu(const struct cb_cpuset *set)
{
	unsigned int first = cb_cpuset_first(set);

	return first < CB_CPUS_MAX && cb_cpuset_next(set, first + 1) == CB_CPUS_MAX ?
		       (int32_t)first :
		       -1;
}

/* FNV-1a. */
#define FNV_FIRST	      UINT64_C(0xcbf29ce484222325)
#define FNV_NEXT(hash, value) (((hash) ^ (value)) * UINT64_C(0x100000001b3))

static uint64_t fingerprint(const struct cb_cpuset *set)
{
	uint64_t hash = FNV_FIRST;

	for (uint32_t i = 0; i < CB_CPUSET_WORDS; i++)
		hash = FNV_NEXT(hash, set->word[i]);
	return hash;
}

static uint64_t fingerprint_text(const char *text, size_t len)
{
	uint64_t hash = FNV_FIRST;

	for (size_t i = 0; i < len; i++)
		hash = FNV_NEXT(hash, (unsigned char)text[i]);
	return hash ? hash : 1;
}

/* One number and a newline, as it nearly always is, without a set. */
static bool take_cpu(const char *text, size_t len, int32_t *ret)
{
	struct cb_scan s = CB_SCAN(text, len);
	uint32_t cpu;

	if (!cb_scan_u32(&s, &cpu) || cpu >= CB_CPUS_MAX || !cb_scan_char(&s, '\n') ||
	    !cb_scan_done(&s))
		return false;
	*ret = (int32_t)cpu;
	return true;
}

static int read_effective(struct cb_host *host, int fd, int32_t *ret)
{
	ssize_t len = cb_host_pread_once(fd, host->buf, host->buf_size);
	struct cb_cpuset set;
	int r;

	if (len < 0)
		return (int)len;
	if (take_cpu(host->buf, (size_t)len, ret))
		return 0;
	r = cb_sysfs_cpulist_parse(host->buf, (size_t)len, &set);
	if (r == 0)
		*ret = only_cpu(&set);
	return r;
}

/* What decides who is kept; lower is kept first. */
static unsigned int rank(const struct cb_irq_info *info)
{
	return info->placed ? 0 : info->class == CB_IRQ_NETWORK ? 1 : 2;
}

static uint64_t period(const struct cb_irq_info *info)
{
	switch (rank(info)) {
	case 0:
		return 0;
	case 1:
		return NETWORK_USEC;
	default:
		return ALL_USEC;
	}
}

static void keep(struct cb_irq_watch *watch, struct cb_host *host, const struct cb_irqs *irqs,
		 uint32_t index)
{
	const struct cb_irq_info *info = &irqs->irq[index];
	struct kept *kept = &watch->kept[watch->n_kept];
	int32_t *cpu = &watch->row[index].effective_cpu;

	*kept = (struct kept){
		.index = index,
		.effective_fd = open_list(host, info->irq, "effective_affinity_list"),
		.affinity_fd = -1,
		.period_usec = period(info),
		.mask = fingerprint(&info->affinity),
	};
	if (kept->effective_fd >= 0 && read_effective(host, kept->effective_fd, cpu) < 0)
		cb_closep(&kept->effective_fd);
	/* Not every architecture has the file; a mask of one CPU says as much. */
	if (kept->effective_fd < 0)
		*cpu = only_cpu(&info->affinity);
	if (kept->effective_fd < 0 || watch->n_kept < KEEP_MASK_MAX)
		kept->affinity_fd = open_list(host, info->irq, "smp_affinity_list");
	if (kept->effective_fd < 0 && kept->affinity_fd < 0)
		return;
	kept->opens = watch->n_kept >= KEEP_MAX;
	if (kept->opens) {
		cb_closep(&kept->effective_fd);
		cb_closep(&kept->affinity_fd);
	}
	watch->n_kept++;
}

static void fill_watch(struct cb_irq_watch *watch, struct cb_host *host, const struct cb_irqs *irqs)
{
	for (uint32_t i = 0; i < irqs->n; i++)
		watch->row[i] = (struct irq_row){
			.irq = irqs->irq[i].irq,
			.effective_cpu = -1,
			.placed = irqs->irq[i].placed,
		};
	for (unsigned int wanted = 0; wanted <= 2; wanted++)
		for (uint32_t i = 0; i < irqs->n; i++) {
			if (rank(&irqs->irq[i]) == wanted)
				keep(watch, host, irqs, i);
		}
}

struct cb_irq_watch *cb_irq_watch_new(struct cb_host *host, const struct cb_irqs *irqs,
				      uint64_t now_usec)
{
	struct cb_irq_watch *watch = calloc(1, sizeof(*watch) + irqs->n * sizeof(watch->row[0]));

	if (!watch)
		return NULL;
	watch->kept = calloc(CB_MAX(irqs->n, 1u), sizeof(*watch->kept));
	if (!watch->kept)
		return cb_irq_watch_free(watch);
	watch->generation = irqs->generation;
	watch->n = irqs->n;
	watch->last_usec = now_usec;
	fill_watch(watch, host, irqs);
	/* All were read just now: spread the next turns over the period. */
	for (uint32_t i = 0; i < watch->n_kept; i++)
		watch->kept[i].next_usec =
			now_usec + watch->kept[i].period_usec * (i + 1) / watch->n_kept;
	return watch;
}

struct cb_irq_watch *cb_irq_watch_free(struct cb_irq_watch *watch)
{
	if (!watch)
		return NULL;
	for (uint32_t i = 0; i < watch->n_kept; i++) {
		cb_closep(&watch->kept[i].effective_fd);
		cb_closep(&watch->kept[i].affinity_fd);
	}
	free(watch->kept);
	free(watch);
	return NULL;
}

void cb_irq_watch_memory(const struct cb_irq_watch *watch,
			 void (*fn)(const void *block, size_t size, void *userdata), void *userdata)
{
	if (!watch)
		return;
	fn(watch, sizeof(*watch) + watch->n * sizeof(watch->row[0]), userdata);
	fn(watch->kept, watch->n_kept * sizeof(watch->kept[0]), userdata);
}

bool cb_irq_watch_same_set(const struct cb_irq_watch *watch, const struct cb_irqs *irqs)
{
	if (!watch || watch->n != irqs->n)
		return false;
	for (uint32_t i = 0; i < irqs->n; i++)
		if (watch->row[i].irq != irqs->irq[i].irq)
			return false;
	return true;
}

bool cb_irq_watch_fits(const struct cb_irq_watch *watch, const struct cb_irqs *irqs)
{
	if (!cb_irq_watch_same_set(watch, irqs) || watch->generation != irqs->generation)
		return false;
	for (uint32_t i = 0; i < irqs->n; i++)
		if (watch->row[i].placed != irqs->irq[i].placed)
			return false;
	return true;
}

void cb_irq_watch_fill(const struct cb_irq_watch *watch, struct cb_snapshot *snapshot)
{
	snapshot->n_irqs = watch->n;
	for (uint32_t i = 0; i < watch->n; i++)
		snapshot->irq[i] = (struct cb_irq_sample){
			.irq = watch->row[i].irq,
			.effective_cpu = watch->row[i].effective_cpu,
		};
}

static bool read_mask(struct cb_irq_watch *watch, struct cb_host *host, struct kept *kept,
		      struct cb_collect_events *events)
{
	ssize_t len = cb_host_pread_once(kept->affinity_fd, host->buf, host->buf_size);
	uint64_t text = len < 0 ? 0 : fingerprint_text(host->buf, (size_t)len);
	struct cb_cpuset mask;

	if (len < 0)
		return false;
	if (text == kept->text)
		return true; /* as it was */
	if (cb_sysfs_cpulist_parse(host->buf, (size_t)len, &mask) < 0)
		return false;
	if (kept->effective_fd < 0)
		watch->row[kept->index].effective_cpu = only_cpu(&mask);
	if (fingerprint(&mask) != kept->mask) {
		/* Without room the mask is still news at the next turn. */
		if (events->n_irq_masks == CB_ARRAY_SIZE(events->irq_mask))
			return true;
		events->irq_mask[events->n_irq_masks].irq = watch->row[kept->index].irq;
		events->irq_mask[events->n_irq_masks++].mask = mask;
		kept->mask = fingerprint(&mask);
	}
	kept->text = text;
	return true;
}

/*
 * @ret_lost: the interrupt is no more; the kernel answers EIO for files of entries that were
 * removed.
 */
static bool read_kept(struct cb_irq_watch *watch, struct cb_host *host, struct kept *kept,
		      struct cb_collect_events *events, bool *ret_lost)
{
	bool read = false;
	int r;

	if (kept->effective_fd >= 0) {
		r = read_effective(host, kept->effective_fd,
				   &watch->row[kept->index].effective_cpu);
		*ret_lost |= r == -EIO || r == -ENOENT;
		read = r == 0;
	}
	return (kept->affinity_fd >= 0 && read_mask(watch, host, kept, events)) || read;
}

/* How many a tick may read, so that all had their turn within ALL_USEC. */
static uint32_t reads_allowed(const struct cb_irq_watch *watch, uint64_t now_usec)
{
	uint64_t elapsed = CB_MIN(now_usec - watch->last_usec, ALL_USEC);
	uint64_t share = (watch->n_kept * elapsed + ALL_USEC - 1) / ALL_USEC;

	return CB_MAX(READS_MAX, (uint32_t)share);
}

bool cb_irq_watch_collect(struct cb_irq_watch *watch, struct cb_host *host, uint64_t now_usec,
			  struct cb_snapshot *snapshot, struct cb_collect_events *events)
{
	uint32_t allowed = reads_allowed(watch, now_usec), n_read = 0, n_tried = 0;
	bool lost = false;

	for (uint32_t i = 0; i < watch->n_kept && n_tried < allowed; i++) {
		struct kept *kept = &watch->kept[watch->cursor];

		if (++watch->cursor == watch->n_kept)
			watch->cursor = 0;
		if (now_usec < kept->next_usec)
			continue;
		kept->next_usec = now_usec + kept->period_usec;
		n_tried++;
		if (kept->opens)
			kept->effective_fd = open_list(host, watch->row[kept->index].irq,
						       "effective_affinity_list");
		n_read += read_kept(watch, host, kept, events, &lost);
		if (kept->index < snapshot->n_irqs)
			snapshot->irq[kept->index].effective_cpu =
				watch->row[kept->index].effective_cpu;
		if (kept->opens)
			cb_closep(&kept->effective_fd);
	}
	watch->last_usec = now_usec;
	if (lost)
		events->changed |= CB_COLLECT_IRQS;
	return watch->n_kept > 0 && (n_read > 0 || n_tried == 0);
}
