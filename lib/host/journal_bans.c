/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The record of the interrupts that irqbalance was told to leave alone, "1f0c9a3e bans pid=812 start=99123 irqs=38,39" or
 * "... bans none", with the same checksum in front as any record of the journal.
 */
#include "journal_bans.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cpubalance/scan.h"
#include "journal_internal.h"

static bool take_irqs(struct cb_scan *s, struct cb_bans *bans)
{
	do {
		uint32_t irq;

		if (bans->n == CB_BANS_MAX || !cb_scan_u32(s, &irq) ||
		    (bans->n > 0 && irq <= bans->irq[bans->n - 1]))
			return false;
		bans->irq[bans->n++] = irq;
	} while (cb_scan_char(s, ','));
	return cb_scan_done(s);
}

int cb_journal_bans_parse(const char *line, size_t len, struct cb_bans *ret)
{
	struct cb_scan s = CB_SCAN(line, len);
	struct cb_bans bans = { .n = 0 };
	const char *body;
	uint64_t crc, pid;

	if (!cb_scan_hex64(&s, &crc) || s.p != line + 8 || !cb_scan_char(&s, ' '))
		return 0;
	body = s.p;
	if (!cb_scan_word(&s, "bans "))
		return 0;
	if (crc != cb_journal_crc(body, (size_t)(s.end - body)))
		return -EBADMSG;
	if (!cb_scan_word(&s, "none")) {
		if (!cb_scan_word(&s, "pid=") || !cb_scan_u64(&s, &pid) || pid == 0 ||
		    pid > INT32_MAX || !cb_scan_word(&s, " start=") ||
		    !cb_scan_u64(&s, &bans.start_ticks) || !cb_scan_word(&s, " irqs=") ||
		    !take_irqs(&s, &bans))
			return -EBADMSG;
		bans.pid = (int32_t)pid;
	}
	if (!cb_scan_done(&s))
		return -EBADMSG;
	*ret = bans;
	return 1;
}

int cb_journal_bans_format(const struct cb_bans *bans, char buf[CB_JOURNAL_BANS_MAX])
{
	const size_t size = CB_JOURNAL_BANS_MAX;
	int len = 9;

	if (bans->n == 0)
		len += snprintf(buf + len, size - (size_t)len, "bans none");
	else
		len += snprintf(buf + len, size - (size_t)len,
				"bans pid=%" PRId32 " start=%" PRIu64 " irqs=", bans->pid,
				bans->start_ticks);
	for (uint32_t i = 0; i < bans->n; i++)
		len += snprintf(buf + len, size - (size_t)len, "%s%" PRIu32, i > 0 ? "," : "",
				bans->irq[i]);
	snprintf(buf, 9, "%08" PRIx32, cb_journal_crc(buf + 9, (size_t)len - 9));
	buf[8] = ' ';
	return len;
}
