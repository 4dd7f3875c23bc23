/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Holds: a client that has one keeps the machine from being changed until it closes its descriptor or ends. A deployment
 * or a benchmark takes one instead of a pause that somebody has to take back. While there is a hold the engine is paused;
 * a pause of the operator's, from before or from meanwhile, outlives it.
 */

#include "manager.h"

#define CB_HOLDS_MAX 16u

struct cb_holds;

struct cb_holds *cb_holds_new(struct cb_manager *m);
struct cb_holds *cb_holds_free(
	struct cb_holds *holds); /* NULL is fine; returns NULL. Feeds nothing. */

uint32_t cb_holds_count(const struct cb_holds *holds);
/* Take one. @ret: the client's end, the caller closes it. -E2BIG beyond CB_HOLDS_MAX, with @ret_answer set else. */
int cb_holds_take(struct cb_holds *holds, const char *who, int *ret, struct cb_answer *ret_answer)
	_must_check_;

/*
 * The operator pauses (0: until resumed) or resumes. True when there is a hold: then it is only remembered, the engine is
 * paused already and stays so.
 */
bool cb_holds_pause(struct cb_holds *holds, uint64_t span_usec);
bool cb_holds_resume(struct cb_holds *holds);
/* "cpubalctl, make (2 holds)", for people. */
const char *cb_holds_who(struct cb_holds *holds);
