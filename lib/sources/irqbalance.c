/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What irqbalance answers to "setup" on its socket (sock_handle() in its irqbalance.c), one line without an end:
 *
 *     SLEEP 10 IRQ 38 LOAD 0 DIFF 0 CLASS 0 IRQ 39 LOAD 0 DIFF 0 CLASS 0 BANNED 00000000
 *
 * Each IRQ is one that it was told to leave alone, on its command line or by this socket; BANNED is a mask of CPUs.
 */
#include "cpubalance/sources.h"

#include "parse.h"

static bool take_number(struct cb_scan *s, const char *word, uint64_t *ret)
{
	cb_scan_blanks(s);
	if (!cb_scan_word(s, word))
		return false;
	cb_scan_blanks(s);
	return cb_scan_u64(s, ret);
}

static bool is_listed(const uint32_t *irqs, size_t n, uint32_t irq)
{
	for (size_t i = 0; i < n; i++)
		if (irqs[i] == irq)
			return true;
	return false;
}

int cb_irqbalance_parse(const char *buf, size_t len, uint32_t *ret_irqs, size_t cap, size_t *ret_n)
{
	struct cb_scan s = CB_SCAN(buf, len);
	uint64_t number, ignored;
	size_t n = 0;

	if (!take_number(&s, "SLEEP ", &ignored))
		return -EBADMSG;
	while (take_number(&s, "IRQ ", &number)) {
		if (number > UINT32_MAX || !take_number(&s, "LOAD ", &ignored) ||
		    !take_number(&s, "DIFF ", &ignored) || !take_number(&s, "CLASS ", &ignored))
			return -EBADMSG;
		if (is_listed(ret_irqs, n, (uint32_t)number))
			continue;
		if (n == cap)
			return -E2BIG;
		ret_irqs[n++] = (uint32_t)number;
	}
	cb_scan_blanks(&s);
	if (!cb_scan_word(&s, "BANNED "))
		return -EBADMSG; /* cut off somewhere */
	*ret_n = n;
	return 0;
}
