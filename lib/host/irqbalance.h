/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Coordination with a running irqbalance, for who has opted in: the interrupts that we manage are banned there, by its socket, merged
 * with what was banned before, and taken out again when we are done. It may be asleep for ten seconds and more between two
 * answers, so everything is asked now and read later: nothing here waits, but cb_irqbalance_end().
 */

#include "cpubalance/host.h"
#include "journal_bans.h"

enum cb_irqbalance_phase {
	CB_IRQBALANCE_IDLE,
	CB_IRQBALANCE_ASKING,	/* which are banned? */
	CB_IRQBALANCE_TELLING,	/* these are from here on */
	CB_IRQBALANCE_CHECKING, /* which are banned now? */
};

/* Longest answer that is read: 128 interrupts with long figures, and its own words. */
#define CB_IRQBALANCE_ANSWER_MAX 16384u

struct cb_irqbalance {
	char dir[64]; /* of its socket */
	enum cb_irqbalance_phase phase;
	int fd;
	int pidfd;
	int32_t pid; /* the one that the rest is about, 0 none */
	uint64_t start_ticks;
	uint64_t since_usec; /* when it was asked */
	uint64_t next_usec;  /* when to ask again */
	struct cb_bans want; /* what was wanted when it was asked last */
	struct cb_bans ours; /* what of that is not banned by others anyway */
	struct cb_bans seen; /* banned when it was read last and all was well */
	bool yielded;	     /* somebody else sets its list: no more of us */
	char why[160];	     /* what stands in the way, "" for nothing */
	size_t len;
	char answer[CB_IRQBALANCE_ANSWER_MAX];
};

struct cb_irqbalance *cb_irqbalance_free(struct cb_irqbalance *ib); /* NULL is fine; returns NULL */
