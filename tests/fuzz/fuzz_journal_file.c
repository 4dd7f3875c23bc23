/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The journal's file as it may be found: whatever is in it, a journal can be opened there and takes records, which the next one
 * finds; what was not whole is beside it, under another name, and said. An input that begins with a header's first word
 * gets the header of this version and boot in its place, so that records are reached.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/host/journal_internal.h"

#define BOOT "6f8a1c6e-0a9e-4c53-9f5c-0b3b6f5c1d11"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char dir[] = "/tmp/fuzz-journal.XXXXXX";
static int dir_fd = -1;

static void must(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "not so: %s\n", what);
	abort();
}

static void empty_dir(void)
{
	DIR *entries = fdopendir(openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	struct dirent *entry;

	while (entries && (entry = readdir(entries)))
		unlinkat(dir_fd, entry->d_name, 0);
	if (entries)
		closedir(entries);
}

static void finish(void)
{
	empty_dir();
	rmdir(dir);
}

static void write_journal(const uint8_t *data, size_t size)
{
	static const char word[] = "cpubalance-journal", head[] = "cpubalance-journal 1 " BOOT "\n";
	int fd = openat(dir_fd, "journal", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	const uint8_t *end = memchr(data, '\n', size);

	must(fd >= 0, "the journal can be written");
	if (end && (size_t)(end - data) >= strlen(word) && memcmp(data, word, strlen(word)) == 0) {
		must(write(fd, head, strlen(head)) == (ssize_t)strlen(head), "its header");
		size -= (size_t)(end + 1 - data);
		data = end + 1;
	}
	must(write(fd, data, size) == (ssize_t)size, "its content");
	close(fd);
}

static struct cb_journal *open_journal(void)
{
	struct cb_journal *journal = NULL;
	struct cb_err err = { "" };

	if (cb_journal_open(dir, BOOT, &journal, &err) < 0) {
		fprintf(stderr, "%s\n", err.msg);
		abort();
	}
	must(cb_journal_state(journal)[0] && !strchr(cb_journal_state(journal), '\n'),
	     "it says how it is");
	return journal;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cb_journal_entry entry = { .knob = CB_KNOB_IRQ_AFFINITY,
					  .irq = 38,
					  .original_effective_cpu = -1,
					  .original = cb_cpuset_of(0),
					  .set = cb_cpuset_of(1) };
	struct cb_journal *journal;
	uint32_t n;

	if (dir_fd < 0) {
		must(mkdtemp(dir) != NULL, "a directory can be made");
		dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		atexit(finish);
	}
	write_journal(data, size);
	journal = open_journal();
	must(cb_journal_put(journal, &entry, NULL) == 0, "it takes records");
	n = cb_journal_count(journal);
	cb_journal_close(journal);
	journal = open_journal();
	must(cb_journal_count(journal) == n && cb_journal_find_irq(journal, 38, 0, ""),
	     "nothing is lost");
	must(strcmp(cb_journal_state(journal), "ok") == 0, "it is whole again");
	cb_journal_close(journal);
	empty_dir();
	return 0;
}
