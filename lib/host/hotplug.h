/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What becomes of a placement whose CPUs have all gone offline. The kernel lets the thread or the interrupt go wherever it likes then, by
 * a mask of its own, and does not take that back when the CPUs are there again. That mask is nobody's wish: the placement
 * has ended, and its original is put back. Without news in their order, a CPU that was away between two looks would leave a mask that
 * looks like somebody else's, and the original would be lost.
 */

#include "apply_internal.h"

struct cb_uevent_conn;

/* -EOPNOTSUPP, -EPERM or what else stands in the way. Caller frees. */
int cb_uevent_conn_open(struct cb_uevent_conn **ret) _must_check_;
struct cb_uevent_conn *cb_uevent_conn_free(
	struct cb_uevent_conn *conn); /* NULL is fine; returns NULL */
/* 1 and one piece of news; 0: no more by now; negative: some were lost (-ENOBUFS), or useless by now. */
int cb_uevent_conn_next(struct cb_uevent_conn *conn, uint32_t *ret_cpu, bool *ret_online)
	_must_check_;

struct cb_hotplug {
	struct cb_uevent_conn *conn; /* NULL: there is none here, the online CPUs are looked at */
	bool tried;
	bool news; /* that nobody has asked for yet */
	struct cb_cpuset online; /* as of the last news; empty before the first */
	uint32_t n;
	struct cb_stranded stranded[CB_STRANDED_MAX]; /* that nobody was told of yet */
};

/* CPUs have gone, and @online were left just then: end the placements that had none but those. Owners go to @hotplug. */
void cb_hotplug_strand(struct cb_hotplug *hotplug, struct cb_change *change,
		       const struct cb_cpuset *online);
void cb_hotplug_done(struct cb_hotplug *hotplug);
