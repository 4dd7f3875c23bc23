/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One record of the journal from anywhere. Two inputs of each: the line as it is, and with the right checksum in front, so that the
 * fields behind it are reached. What is accepted can be written again, and reads the same.
 */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/host/journal_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void parse(const char *line, size_t len)
{
	static char again[CB_JOURNAL_LINE_MAX];
	struct cb_journal_entry entry, second;
	struct cb_err err = { "" };
	bool drop, second_drop;
	int n;

	memset(&entry, 0, sizeof(entry));
	memset(&second, 0, sizeof(second));
	if (cb_journal_line_parse(line, len, &entry, &drop, &err) < 0) {
		assert(err.msg[0]);
		return;
	}
	n = cb_journal_line_format(&entry, drop, again, sizeof(again));
	assert(n > 0);
	assert(cb_journal_line_parse(again, (size_t)n, &second, &second_drop, NULL) == 0);
	assert(drop == second_drop);
	assert(cb_cpuset_equal(&entry.original, &second.original) &&
	       cb_cpuset_equal(&entry.set, &second.set) &&
	       cb_cpuset_equal(&entry.was, &second.was));
	assert(entry.knob == second.knob && entry.tid == second.tid && entry.tgid == second.tgid &&
	       entry.start_ticks == second.start_ticks &&
	       entry.tgid_start_ticks == second.tgid_start_ticks && entry.irq == second.irq &&
	       entry.hwirq == second.hwirq && entry.pending == second.pending);
	assert(strcmp(entry.actions, second.actions) == 0 &&
	       strcmp(entry.group, second.group) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char crc[10];
	char *line;

	parse((const char *)data, size);
	line = malloc(size + 9);
	if (!line)
		return 0;
	snprintf(crc, sizeof(crc), "%08x ", cb_journal_crc((const char *)data, size));
	memcpy(line, crc, 9);
	if (size > 0)
		memcpy(line + 9, data, size);
	parse(line, size + 9);
	free(line);
	return 0;
}
