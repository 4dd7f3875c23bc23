/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A process that speaks irqbalance's protocol at DIR/irqbalancePID.sock, with what it has in memory where the test sees it. It moves
 * nothing. A failure ends the test.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/host/journal_bans.h"

struct other_irqbalance {
	char dir[64];
	uint32_t n, irq[CB_BANS_MAX]; /* what it leaves alone */
	uint32_t n_settings;	      /* how often it was told */
	bool silent;		      /* asleep */
};

struct other_irqbalance *other_new(const char *dir);
void other_free(struct other_irqbalance *other);
/* Returns its pid once it listens; @comm is what the process is called, NULL for as the test. */
pid_t other_start(struct other_irqbalance *other, const char *comm);
void other_end(struct other_irqbalance *other,
	       pid_t pid); /* kills it, and takes its socket away; 0 is fine */
void other_bans(struct other_irqbalance *other, uint32_t a, uint32_t b); /* 0: none */
/* Whether it leaves alone just these, in whatever order. */
bool other_has(const struct other_irqbalance *other, uint32_t n, const uint32_t *irq);
