/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the names that drivers give their interrupts say. There is no rule for them, so this is what common drivers write:
 *
 *     virtio      virtio2-input.0  virtio2-output.0       ena        eth0-Tx-Rx-3
 *     Intel       eth0-TxRx-3  i40e-eth0-TxRx-3           bnxt, hns  eth0-TxRx-3
 *                 ice-eth0-TxRx-3  eth0-rx-0  eth0-tx-0   bnx2x      eth0-fp-3
 *     Mellanox    mlx5_comp3@pci:0000:3b:00.0             tg3        eth0-txrx-1
 *     mana        mana_q3@pci:7870:00:00.0                vmxnet3    eth0-rxtx-3
 *     gve         gve-ntfy-blk3@pci:0000:00:04.0          cxgb4      eth0 (queue 3)
 *     stmmac      eth0:rx-0  eth0:tx-0                    mlx4       mlx4-3@0000:03:00.0
 *
 * Blocks of gve and event queues of mlx4 have numbers of their own, which are no queue's. The channels of hv_netvsc have no
 * interrupts: the hypervisor's one per CPU serves them, and nobody can move it.
 *
 * And which interrupts the kernel manages by itself. Recent kernels take the write bit from their files; 6.1 and 6.12 leave it, and
 * refuse the write with EIO.
 */
#include <ctype.h>
#include <string.h>

#include "cpubalance/sources.h"

#include "parse.h"

static const struct {
	const char *word;
	enum cb_queue_dir dir;
} words[] = {
	{ "tx-rx", CB_QUEUE_BOTH },	 { "rx-tx", CB_QUEUE_BOTH },	{ "txrx", CB_QUEUE_BOTH },
	{ "rxtx", CB_QUEUE_BOTH },	 { "input", CB_QUEUE_RX },	{ "output", CB_QUEUE_TX },
	{ "rx", CB_QUEUE_RX },		 { "tx", CB_QUEUE_TX },		{ "fp", CB_QUEUE_BOTH },
	{ "comp", CB_QUEUE_BOTH },	 { "q", CB_QUEUE_BOTH },	{ "queue", CB_QUEUE_BOTH },
	{ "ntfy-block", CB_QUEUE_NONE }, { "ntfy-blk", CB_QUEUE_NONE }, { "mlx4", CB_QUEUE_NONE },
};

static bool is_alnum(char c)
{
	return isalnum((unsigned char)c) != 0;
}

/* "-3", ".3", ":3", " 3" or "3", and nothing that would make it part of something else. */
static bool take_number(const char *p, const char *end, int32_t *ret)
{
	uint32_t number = 0;
	const char *first;

	p += p < end && strchr("-.: ", *p) != NULL;
	for (first = p; p < end && is_digit(*p) && p - first < 6; p++)
		number = number * 10 + (uint32_t)(*p - '0');
	if (p == first || (p < end && is_alnum(*p)))
		return false;
	*ret = (int32_t)number;
	return true;
}

static bool take_word(const char *p, const char *end, struct cb_irq_queue *ret)
{
	for (size_t i = 0; i < CB_ARRAY_SIZE(words); i++) {
		size_t len = strlen(words[i].word);

		if ((size_t)(end - p) > len && strncasecmp(p, words[i].word, len) == 0 &&
		    take_number(p + len, end, &ret->queue)) {
			ret->dir = words[i].dir;
			return true;
		}
	}
	return false;
}

/* "virtio1-req.0", and "nvme0q3", but for the controller's own queue 0. */
static bool is_managed(const char *p, const char *end)
{
	static const char *const virtio = "virtio", *const nvme = "nvme";
	int32_t queue;

	if ((size_t)(end - p) > strlen(virtio) && memcmp(p, virtio, strlen(virtio)) == 0) {
		for (p += strlen(virtio); p < end && is_digit(*p);)
			p++;
		return end - p > 5 && memcmp(p, "-req.", 5) == 0;
	}
	if ((size_t)(end - p) <= strlen(nvme) || memcmp(p, nvme, strlen(nvme)) != 0)
		return false;
	for (p += strlen(nvme); p < end && is_digit(*p);)
		p++;
	return p < end && *p == 'q' && take_number(p + 1, end, &queue) && queue > 0;
}

void cb_irq_name_parse(const char *actions, struct cb_irq_queue *ret)
{
	/* Of several that share it, the first; the address of a device has numbers too. */
	const char *end = actions + strcspn(actions, ",@");
	const char *last = NULL;

	*ret = (struct cb_irq_queue){ .queue = -1, .managed = is_managed(actions, end) };
	for (const char *p = actions; p < end; p++) {
		if ((p == actions || !is_alnum(p[-1])) && take_word(p, end, ret))
			return;
		last = *p == '-' ? p : last;
	}
	/* "eth0-3": a number behind the last dash says no more than that. */
	if (last && last + 1 + strspn(last + 1, "0123456789") == end)
		(void)take_number(last, end, &ret->queue);
}

bool cb_irq_name_has(const char *actions, const char *who)
{
	size_t len = strlen(who);

	for (const char *p = actions; len > 0 && (p = strstr(p, who)); p++)
		if ((p == actions || !is_alnum(p[-1])) && !is_alnum(p[len]))
			return true;
	return false;
}
