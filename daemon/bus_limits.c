/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How often one client may call: a bucket for each connection, refilled steadily. Who is over it gets an error at once, before
 * anything is read or asked on its behalf. The tick comes before the bus in the loop, so that a flood that is refused costs
 * it nothing; this keeps the flood from costing the other clients.
 */
#include "bus.h"

#include <stdio.h>
#include <string.h>

/* Drop what a client has saved since it called last into its bucket. */
static void refill(struct cb_client_bucket *bucket, uint64_t now_usec)
{
	uint64_t saved =
		(now_usec - bucket->refilled_usec) * CB_BUS_CALLS_PER_SEC / CB_USEC_PER_SEC;

	if (saved == 0)
		return;
	bucket->calls = (uint32_t)CB_MIN(bucket->calls + saved, (uint64_t)CB_BUS_CALLS_BURST);
	bucket->refilled_usec = now_usec;
}

/* The bucket of @sender; that of the client who has been silent longest when there is none. */
static struct cb_client_bucket *bucket_of(struct cb_server *server, const char *sender,
					  uint64_t now_usec)
{
	struct cb_client_bucket *oldest = &server->client[0];

	for (size_t i = 0; i < CB_ARRAY_SIZE(server->client); i++) {
		struct cb_client_bucket *bucket = &server->client[i];

		if (strcmp(bucket->sender, sender) == 0)
			return bucket;
		if (bucket->called_usec < oldest->called_usec)
			oldest = bucket;
	}
	*oldest =
		(struct cb_client_bucket){ .calls = CB_BUS_CALLS_BURST, .refilled_usec = now_usec };
	snprintf(oldest->sender, sizeof(oldest->sender), "%s", sender);
	return oldest;
}

bool cb_bus_may_call(struct cb_server *server, const char *sender, uint64_t now_usec)
{
	struct cb_client_bucket *bucket = bucket_of(server, sender, now_usec);

	refill(bucket, now_usec);
	bucket->called_usec = now_usec;
	if (bucket->calls == 0) {
		server->n_refused++;
		return false;
	}
	bucket->calls--;
	return true;
}
