/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz_sources.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char name[CB_IRQ_NAME_MAX], who[CB_IFNAME_MAX];
	struct cb_irq_queue queue;
	size_t half = size / 2;

	cb_sysfs_text_parse((const char *)data, half, name, sizeof(name));
	cb_sysfs_text_parse((const char *)data + half, size - half, who, sizeof(who));
	cb_irq_name_parse(name, &queue);
	MUST(queue.queue >= -1 && queue.queue < 1000000);
	MUST(queue.dir == CB_QUEUE_NONE || queue.queue >= 0);
	MUST(!cb_irq_name_has(name, who) || strstr(name, who));
	return 0;
}
