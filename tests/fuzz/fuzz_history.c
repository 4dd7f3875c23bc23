/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A line of history.jsonl: what is accepted is written as a line that reads back as the same entry.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/history.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct cb_history_entry *entry)
{
	struct cb_history_entry back;
	char *line = cb_history_line_format(entry);

	if (!line)
		abort();
	if (cb_history_line_parse(line, strlen(line), &back) < 0)
		abort();
	if (back.plan_id != entry->plan_id || back.at_usec != entry->at_usec ||
	    back.verdict != entry->verdict || back.n_steps != entry->n_steps ||
	    strcmp(back.sentence, entry->sentence) != 0)
		abort();
	free(back.step);
	free(line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cb_history_entry entry;

	if (cb_history_line_parse((const char *)data, size, &entry) < 0)
		return 0;
	check(&entry);
	free(entry.step);
	return 0;
}
