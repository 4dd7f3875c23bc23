/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Small vocabulary shared by every part: compiler attributes, scope cleanup, array size.
 * Nothing here allocates or does I/O.
 */

#include <stddef.h>
#include <stdint.h>

#define _must_check_ __attribute__((warn_unused_result))
#define _printf_(a, b) __attribute__((format(printf, a, b)))
#define _cleanup_(f) __attribute__((cleanup(f)))
#define _unused_ __attribute__((unused))

#define CB_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define CB_MIN(a, b) ((a) < (b) ? (a) : (b))
#define CB_MAX(a, b) ((a) > (b) ? (a) : (b))

/* Hand a pointer over: yields the old value and leaves NULL, so that a cleanup does nothing. */
#define cb_steal_ptr(p)                   \
	({                                \
		__typeof__(p) _stolen = (p); \
		(p) = NULL;               \
		_stolen;                  \
	})

#define CB_USEC_PER_SEC UINT64_C(1000000)
#define CB_USEC_PER_MSEC UINT64_C(1000)
#define CB_NSEC_PER_USEC UINT64_C(1000)
