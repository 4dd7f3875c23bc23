/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Look-up in the inventory of interrupts, which is ascending by number; and which of them may be moved. */
#include "cpubalance/irqs.h"

#include <errno.h>
#include <string.h>

#include "cpubalance/scan.h"

const struct cb_irq_info *cb_irqs_find(const struct cb_irqs *irqs, uint32_t irq)
{
	uint32_t low = 0, high = irqs ? irqs->n : 0;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (irqs->irq[middle].irq == irq)
			return &irqs->irq[middle];
		if (irqs->irq[middle].irq < irq)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

/* --- which of them are ours to move --- */

static bool is_word(const char *text, const char *const *words)
{
	for (; *words; words++)
		if (strcasecmp(text, *words) == 0)
			return true;
	return false;
}

/* "40-47" or "51" at the cursor. */
static bool scan_range(struct cb_scan *s, uint32_t *ret_first, uint32_t *ret_last)
{
	uint32_t first, last;

	if (!cb_scan_u32(s, &first))
		return false;
	last = first;
	if (cb_scan_char(s, '-') && !cb_scan_u32(s, &last))
		return false;
	*ret_first = first;
	*ret_last = last;
	return first <= last;
}

int cb_irq_scope_parse(const char *text, char *ret, size_t size)
{
	static const char *const feeding[] = { "feeding", "yes", "1", "y", "true", "t", "on", NULL };
	static const char *const none[] = { "none", "no", "0", "n", "false", "f", "off", NULL };
	static const char *const wide[] = { "network", "all", NULL };
	struct cb_scan s = CB_SCAN(text, strlen(text));
	uint32_t first, last;

	if (is_word(text, feeding))
		text = feeding[0];
	else if (is_word(text, none))
		text = none[0];
	else if (is_word(text, wide))
		text = strcasecmp(text, wide[0]) == 0 ? wide[0] : wide[1];
	else
		do
			if (!scan_range(&s, &first, &last))
				return -EINVAL;
		while (cb_scan_char(&s, ','));
	if (text[0] >= '0' && text[0] <= '9' && !cb_scan_done(&s))
		return -EINVAL;
	if (strlen(text) >= size)
		return -ERANGE;
	memcpy(ret, text, strlen(text) + 1);
	return 0;
}

bool cb_irq_scope_is_wide(const char *scope)
{
	return strcmp(scope, "feeding") != 0 && strcmp(scope, "none") != 0;
}

bool cb_irq_scope_has(const char *scope, const struct cb_irq_info *info)
{
	struct cb_scan s = CB_SCAN(scope, strlen(scope));
	uint32_t first, last;

	if (strcmp(scope, "feeding") == 0 || strcmp(scope, "all") == 0)
		return true;
	if (strcmp(scope, "network") == 0)
		return info->class == CB_IRQ_NETWORK;
	while (scan_range(&s, &first, &last)) {
		if (info->irq >= first && info->irq <= last)
			return true;
		if (!cb_scan_char(&s, ','))
			break;
	}
	return false;
}
