/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The figures, fetched from the daemon over the bus. Nobody can make it ask the daemon more often than every FETCH_USEC. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <systemd/sd-bus.h>

enum cb_format {
	CB_FORMAT_TEXT,	       /* Prometheus text 0.0.4 */
	CB_FORMAT_OPENMETRICS, /* 1.0.0 */
	_CB_FORMAT_MAX,
};

#define CB_FETCH_USEC	   UINT64_C(500000)
#define CB_FETCH_SIZE_MAX  (64u * 1024u * 1024u)
#define CB_FETCH_WAIT_USEC UINT64_C(2000000)

struct cb_text {
	char *data;
	size_t len;
	uint64_t fetched_usec; /* 0: never */
	int r;		       /* of the last time: 0 or a negative errno */
};

struct cb_fetcher {
	const char *address; /* "system" or an address */
	sd_bus *bus;	     /* NULL while there is none */
	struct cb_text text[_CB_FORMAT_MAX];
};

/* Valid until the next call. Returns 0, or a negative errno with nothing to show. */
int cb_fetch(struct cb_fetcher *fetcher, enum cb_format format, const char **ret, size_t *ret_len);
void cb_fetcher_done(struct cb_fetcher *fetcher);

/*
 * What an Accept header asks for: OpenMetrics where it has it with a weight of more than 0 and no less than that of text,
 * else text. NULL is any.
 */
enum cb_format cb_accept(const char *accept);
