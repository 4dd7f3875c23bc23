/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The journal's records of bans and of the plan on trial: as they are, and with the right checksum in front. What is accepted is written
 * as a line that reads the same, and is no record of the other kind.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/host/journal_bans.h"
#include "lib/host/journal_internal.h"
#include "lib/host/journal_trial.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_bans(const struct cb_bans *bans)
{
	char again[CB_JOURNAL_BANS_MAX];
	struct cb_bans second;
	int len = cb_journal_bans_format(bans, again);

	if (len <= 0 || (size_t)len >= sizeof(again) ||
	    cb_journal_bans_parse(again, (size_t)len, &second) != 1 || bans->n != second.n ||
	    bans->pid != second.pid || bans->start_ticks != second.start_ticks ||
	    memcmp(bans->irq, second.irq, bans->n * sizeof(bans->irq[0])) != 0)
		abort();
	for (uint32_t i = 1; i < bans->n; i++)
		if (bans->irq[i] <= bans->irq[i - 1])
			abort();
}

static void parse(const char *line, size_t len)
{
	struct cb_bans bans;
	uint32_t plan_id = 0;
	int r = cb_journal_bans_parse(line, len, &bans);

	if (r == 1)
		check_bans(&bans);
	if (cb_journal_trial_parse(line, len, &plan_id) == 1 && r != 0)
		abort();
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
