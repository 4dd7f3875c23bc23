/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The files of queues of network interfaces: whatever is accepted is written as something that reads back as the same. */
#include <stdint.h>
#include <stdlib.h>

#include "cpubalance/knob.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum cb_knob_id ids[] = { CB_KNOB_RPS_CPUS, CB_KNOB_RPS_FLOWS,
					       CB_KNOB_XPS_CPUS };
	char text[CB_QUEUE_TEXT_MAX];

	for (size_t i = 0; i < CB_ARRAY_SIZE(ids); i++) {
		const struct cb_knob *knob = cb_knob_get(ids[i]);
		struct cb_queue_value value, again;
		int len;

		if (cb_knob_queue_parse(knob, (const char *)data, size, &value) < 0)
			continue;
		len = cb_knob_queue_format(knob, &value, text, sizeof(text));
		if (len <= 0 || cb_knob_queue_parse(knob, text, (size_t)len, &again) < 0 ||
		    !cb_knob_queue_equal(knob, &value, &again))
			abort();
	}
	return 0;
}
