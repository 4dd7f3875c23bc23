/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Who may change what. Root may. Anybody else is asked about at polkit, with an action for each kind of change
 * (org.cpubalance1.policy). The answer comes later, and the world may be another by then: the call is not continued but
 * handled again from its beginning, so that everything is read and validated anew, and only then is the answer used.
 * A caller that leaves the bus takes its question back. Without polkit only root changes anything.
 */

#include <sys/types.h>

#include <systemd/sd-bus.h>

#include "manager.h"

enum cb_access {
	CB_ACCESS_OWN,	   /* where the caller's own processes run */
	CB_ACCESS_OTHERS,  /* where processes of others run, and their interrupts */
	CB_ACCESS_MACHINE, /* the balancer as a whole */
	_CB_ACCESS_MAX,
};

struct cb_asking;

struct cb_asking *cb_asking_new(void);
struct cb_asking *cb_asking_free(struct cb_asking *asking); /* NULL is fine; returns NULL */
/* The connection goes: no question is answered any more. */
void cb_asking_drop(struct cb_asking *asking);
/* Once per tick: forget answers that nobody came back for. */
void cb_asking_tick(struct cb_asking *asking, uint64_t now_usec);

/*
 * May the sender of @call do this? 0: yes, go on. 1: it is being asked; return 1 from the handler, which is called again
 * with the same message. A negative errno: no, with @error set.
 */
int cb_access_check(struct cb_manager *m, sd_bus_message *call, enum cb_access access,
		    sd_bus_error *error) _must_check_;

/* Who asks, UINT32_MAX when that cannot be known: for what is shown to the owner alone. */
uint32_t cb_access_viewer(sd_bus_message *call);

/* --- what kind of change it is --- */

/* Of a group and its workers; NULL is every group, so the machine. */
enum cb_access cb_access_to_group(sd_bus_message *call, const struct cb_registration *registration);
/* Of one worker, 0 none. */
enum cb_access cb_access_to_worker(const struct cb_manager *m, sd_bus_message *call, uint32_t key);
/*
 * Adding the processes of @n pidfds to a group that exists or not, with settings (NULL none). CB_ACCESS_OWN is given on the
 * condition that the group becomes one with Interfaces=none: interrupts are everybody's. Never for root, who may do more.
 */
enum cb_access cb_access_to_register(sd_bus_message *call,
				     const struct cb_registration *registration, const int *fds,
				     size_t n, const struct cb_group_policy *settings);
