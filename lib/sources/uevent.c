/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A kernel event about a CPU (lib/kobject_uevent.c): "offline@/devices/system/cpu/cpu5", a NUL, and pairs that say the same, which are not
 * needed. What comes from udev begins with "libudev" and is none.
 */
#include "cpubalance/sources.h"

#include <string.h>

#include "parse.h"

int cb_uevent_parse(const char *buf, size_t len, uint32_t *ret_cpu, bool *ret_online)
{
	const char *end = memchr(buf, '\0', len);
	struct cb_scan s = CB_SCAN(buf, end ? (size_t)(end - buf) : len);
	bool online = cb_scan_word(&s, "online@");
	uint32_t cpu;

	if (!online && !cb_scan_word(&s, "offline@"))
		return 0;
	if (!cb_scan_word(&s, "/devices/system/cpu/cpu") || !cb_scan_u32(&s, &cpu) ||
	    !cb_scan_done(&s) || cpu >= CB_CPUS_MAX)
		return 0;
	*ret_cpu = cpu;
	*ret_online = online;
	return 1;
}
