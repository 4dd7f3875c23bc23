/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The files of a queue of a network interface, net/core/net-sysfs.c of the kernel: a set of CPUs as a mask of hexadecimal words, or a
 * decimal number. What is written is what can be read back: a number of flows is rounded up to a power of two by the kernel, so
 * only such are written; CPUs that the kernel isolates are dropped silently, so a mask is always read back.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cpubalance/scan.h"
#include "knobs.h"

#define TABLE "proc/sys/net/core/rps_sock_flow_entries"

/*
 * ENOENT: the interface or its queue is gone; of xps_cpus also a device with a single queue, which is none to choose. EPERM: without
 * CAP_NET_ADMIN of the interface's namespace; EROFS, EACCES: a service that may not write there. ERESTART is the kernel's lock,
 * EINVAL a mask of isolated CPUs alone.
 */
enum cb_error_class cb_queue_classify(int errnum)
{
	switch (errnum) {
	case 0:
		return CB_ERROR_NONE;
	case ENOENT:
	case ENODEV:
		return CB_ERROR_GONE;
	case EPERM:
	case EACCES:
	case EROFS:
	case EOPNOTSUPP:
		return CB_ERROR_PERMANENT;
	default:
		return CB_ERROR_TRANSIENT;
	}
}

int cb_queue_no_shell(uint32_t key, const struct cb_cpuset *mask, char *buf, size_t size)
{
	(void)key;
	(void)mask;
	if (size == 0)
		return -ENOSPC;
	buf[0] = 0;
	return 0;
}

int cb_knob_queue_path(const struct cb_knob *knob, const char *ifname, uint32_t queue, char *buf,
		       size_t size)
{
	int n = ifname[0] ? snprintf(buf, size, "sys/class/net/%.15s/queues/%s-%u/%s", ifname,
				     knob->queue_dir == CB_QUEUE_TX ? "tx" : "rx", queue,
				     knob->queue_file) :
			    snprintf(buf, size, "%s", TABLE);

	return n < 0 || (size_t)n >= size ? -ENOSPC : n;
}

static bool is_number(const struct cb_knob *knob)
{
	return knob->item == CB_ITEM_RFS;
}

int cb_knob_queue_parse(const struct cb_knob *knob, const char *buf, size_t len,
			struct cb_queue_value *ret)
{
	struct cb_scan s = CB_SCAN(buf, len);
	struct cb_queue_value value = { .flows = 0 };
	int r = 0;

	if (!is_number(knob)) {
		r = cb_cpuset_parse_mask(buf, len, &value.cpus);
	} else {
		cb_scan_blanks(&s);
		if (!cb_scan_u32(&s, &value.flows))
			return -EBADMSG;
		(void)cb_scan_char(&s, '\n');
		r = cb_scan_done(&s) ? 0 : -EBADMSG;
	}
	if (r < 0)
		return r == -ERANGE ? r : -EBADMSG;
	*ret = value;
	return 0;
}

/* The highest word first, without those in front that are empty; the kernel takes any number of words that it has CPUs for. */
static int format_mask(const struct cb_cpuset *set, char *buf, size_t size)
{
	bool any = false;
	size_t at = 0;

	for (uint32_t i = CB_CPUS_MAX / 32; i-- > 0;) {
		uint32_t word = (uint32_t)(set->word[i / 2] >> (i % 2 * 32));
		int n;

		if (word == 0 && !any && i > 0)
			continue;
		n = snprintf(buf + at, size - at, any ? ",%08x" : "%x", word);
		if (n < 0 || (size_t)n >= size - at)
			return -ENOSPC;
		any = true;
		at += (size_t)n;
	}
	return (int)at;
}

int cb_knob_queue_format(const struct cb_knob *knob, const struct cb_queue_value *value, char *buf,
			 size_t size)
{
	int n;

	if (size == 0)
		return -ENOSPC;
	if (!is_number(knob))
		return format_mask(&value->cpus, buf, size);
	n = snprintf(buf, size, "%u", value->flows);
	return n < 0 || (size_t)n >= size ? -ENOSPC : n;
}

int cb_knob_queue_shell(const struct cb_knob *knob, const char *ifname, uint32_t queue,
			const struct cb_queue_value *value, char *buf, size_t size)
{
	char text[CB_QUEUE_TEXT_MAX], path[128];
	int n = cb_knob_queue_format(knob, value, text, sizeof(text));

	if (n < 0 || cb_knob_queue_path(knob, ifname, queue, path, sizeof(path)) < 0)
		return -ENOSPC;
	n = snprintf(buf, size, "echo %s >/%s", text, path);
	return n < 0 || (size_t)n >= size ? -ENOSPC : n;
}

bool cb_knob_queue_equal(const struct cb_knob *knob, const struct cb_queue_value *a,
			 const struct cb_queue_value *b)
{
	return is_number(knob) ? a->flows == b->flows : cb_cpuset_equal(&a->cpus, &b->cpus);
}
