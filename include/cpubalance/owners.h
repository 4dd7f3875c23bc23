/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Other owners of what we set, as far as they can be seen from outside; for people, and for the one consequence that the engine
 * draws: it leaves interrupts to irqbalance.
 */

#include <stdbool.h>

struct cb_host;

enum cb_owner_id {
	CB_OWNER_IRQBALANCE,
	CB_OWNER_TUNED,
	CB_OWNER_KUBELET,
	CB_OWNER_UDEV, /* policies of .link files */
	_CB_OWNER_MAX,
};

struct cb_owner {
	const char *name;
	bool present;
	char owns[320];	       /* what it sets */
	char consequence[160]; /* what that means for us */
};

/* Reads a few files; not for every tick. */
void cb_host_owners(struct cb_host *host, struct cb_owner ret[_CB_OWNER_MAX]);
/* The process of one has come or gone since then, as far as cb_host_irqbalance_runs() has seen. */
bool cb_host_owners_changed(const struct cb_host *host);
