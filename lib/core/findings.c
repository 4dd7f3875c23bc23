/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What findings of all kinds have in common. A detector decides whether a condition holds (its thresholds have hysteresis);
 * from there on it is the same for all: the time for which it has lasted confirms it, its beginning is told once, and its
 * end is told when the beginning was. Conditions that hold are listed anew in each tick, what matters most first.
 */

#include <stdarg.h>
#include <stdio.h>

#include "engine_internal.h"

static struct cb_notice notice_of(const struct finding_state *state)
{
	return (struct cb_notice){
		.finding = state->kind,
		.cpu = state->cpu,
		.worker_key = state->worker_key,
		.group_key = state->group_key,
	};
}

void engine_finding_hold(struct cb_engine *engine, struct finding_state *state,
			 struct cb_finding *finding, struct cb_decision *decision)
{
	struct cb_notice notice;
	char sentence[200];

	if (!state->holds)
		*state = (struct finding_state){ .holds = true, .since_usec = engine->now_usec };
	state->kind = finding->kind;
	finding->since_usec = state->since_usec;
	finding->confirmed = engine->now_usec - finding->since_usec >= finding->confirm_usec;
	if (finding->confirmed && !state->told) {
		state->told = true;
		state->cpu = finding->cpu;
		state->worker_key = finding->worker_key;
		state->group_key = finding->group_key;
		notice = notice_of(state);
		engine_notice(decision, CB_NOTICE_FINDING_BEGAN, &notice, "%s",
			      cb_engine_finding_sentence(engine, finding, sentence,
							 sizeof(sentence)));
	}
	if (engine->n_findings < FINDINGS_MAX)
		engine->finding[engine->n_findings++] = *finding;
}

void engine_finding_end(struct finding_state *state, struct cb_decision *decision, const char *fmt,
			...)
{
	struct cb_notice notice;
	char how[200];
	va_list ap;

	if (state->told) {
		va_start(ap, fmt);
		vsnprintf(how, sizeof(how), fmt, ap);
		va_end(ap);
		notice = notice_of(state);
		engine_notice(decision, CB_NOTICE_FINDING_ENDED, &notice, "%s", how);
	}
	state->holds = state->told = false;
}

/* --- order --- */

static bool before(const struct cb_finding *a, const struct cb_finding *b)
{
	enum cb_finding_role role_a = cb_finding_role(a->kind), role_b = cb_finding_role(b->kind);

	if (a->confirmed != b->confirmed)
		return a->confirmed;
	if (role_a != role_b)
		return role_a < role_b;
	if (a->kind != b->kind)
		return a->kind < b->kind;
	if ((a->known & b->known & CB_KNOWS(BUSY)) && a->busy_ratio != b->busy_ratio)
		return a->busy_ratio > b->busy_ratio;
	if (a->cpu != b->cpu)
		return a->cpu < b->cpu;
	if (a->group_key != b->group_key)
		return a->group_key < b->group_key;
	return a->worker_key < b->worker_key;
}

/* By insertion: qsort() allocates beyond a size, and there are seldom more than a few. */
void engine_findings_sort(struct cb_engine *engine)
{
	uint16_t *order = engine->finding_order;

	for (uint16_t i = 0; i < engine->n_findings; i++) {
		uint32_t at = i;

		for (; at > 0 && before(&engine->finding[i], &engine->finding[order[at - 1]]); at--)
			order[at] = order[at - 1];
		order[at] = i;
	}
}

static void drop(struct finding_state *state, struct cb_decision *decision)
{
	engine_finding_end(state, decision, "%s on CPU %d ended: the set of CPUs has changed",
			   cb_finding_kind_name(state->kind), state->cpu);
}

void engine_findings_drop_cpus(struct cb_engine *engine, struct cb_decision *decision)
{
	for (uint32_t i = 0; engine->topology && i < engine->topology->n_cpu_ids; i++) {
		drop(&engine->cpu[i].heat, decision);
		drop(&engine->cpu[i].storm, decision);
	}
	drop(&engine->concentration, decision);
	drop(&engine->stolen, decision);
}
