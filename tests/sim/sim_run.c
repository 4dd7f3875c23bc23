/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Shares of CPUs are looked at as the daemon's defaults do: smoothed over three seconds, hot from 80 %. */
#define SMOOTH_WEIGHT 0.25
#define HOT	      0.8
/* The end of a run that says where the hottest CPU ends, and how far from there counts as there. */
#define END_WINDOWS 60u
#define END_CLOSE   0.05
/* The hottest CPU is averaged over this many windows before it is asked whether it stays: one peak is no relapse. */
#define CALM_WINDOWS 10u

struct watch {
	double *smooth; /* [n_cpus] */
	double *hottest; /* [windows] smoothed share of the hottest CPU that carries something of ours */
	uint32_t n, n_hot;
	double served, wait_sec, hottest_sum; /* at `from`, and the sum since */
	uint32_t n_since;
};

const char *sim_policy_name(enum sim_policy policy)
{
	static const char *const names[_SIM_POLICY_MAX] = { "unmanaged", "irqbalance",
							    "cpubalanced", "both" };

	return names[policy];
}

/* --- who writes masks --- */

static void count_move(struct sim *sim, struct sim_item *item, const struct cb_cpuset *from,
		       const struct cb_cpuset *to, bool restore)
{
	if (cb_cpuset_equal(from, to))
		return;
	sim->n_moves++;
	if (!restore && item->moved && cb_cpuset_equal(&item->before, to))
		sim->n_returns++;
	item->moved = !restore;
	item->before = *from;
}

bool sim_set_task(struct sim *sim, uint32_t task, const struct cb_cpuset *mask, bool restore)
{
	struct cb_cpuset from = sim->plant->task[task].mask;

	if (!plant_set_task(sim->plant, task, mask))
		return false;
	count_move(sim, &sim->task_item[task], &from, mask, restore);
	return true;
}

bool sim_set_queue(struct sim *sim, uint32_t queue, const struct cb_cpuset *mask, bool restore)
{
	struct cb_cpuset from = sim->plant->queue[queue].mask;

	if (!plant_set_queue(sim->plant, queue, mask))
		return false;
	count_move(sim, &sim->queue_item[queue], &from, mask, restore);
	return true;
}

/* --- watching --- */

static bool carries(const struct plant *plant, uint32_t cpu)
{
	for (uint32_t i = plant->cpu[cpu].first; i != PLANT_NONE; i = plant->task[i].next)
		if (plant->task[i].worker)
			return true;
	return plant->cpu[cpu].softirq > 0.01;
}

static void sums(const struct plant *plant, double *ret_served, double *ret_wait_sec)
{
	*ret_served = *ret_wait_sec = 0;
	for (uint32_t i = 0; i < plant->scenario->n_groups; i++)
		*ret_served += plant->group[i].n_served;
	for (uint32_t i = 0; i < plant->n_workers; i++)
		*ret_wait_sec += plant->task[i].all_wait_sec;
}

static void watch_window(struct watch *watch, const struct sim *sim)
{
	const struct plant *plant = sim->plant;
	bool since = plant_elapsed_usec(plant) > plant->scenario->from_usec;
	double hottest = 0;

	for (uint32_t i = 0; i < plant->n_cpus; i++) {
		if (watch->n == 0)
			watch->smooth[i] = plant->cpu[i].window_busy;
		watch->smooth[i] += SMOOTH_WEIGHT * (plant->cpu[i].window_busy - watch->smooth[i]);
		if (plant->cpu[i].online && carries(plant, i))
			hottest = CB_MAX(hottest, watch->smooth[i]);
	}
	watch->hottest[watch->n++] = hottest;
	if (!since) {
		sums(plant, &watch->served, &watch->wait_sec);
		return;
	}
	watch->n_since++;
	watch->hottest_sum += hottest;
	watch->n_hot += hottest >= HOT;
}

static double mean(const double *x, uint32_t n)
{
	double sum = 0;

	for (uint32_t i = 0; i < n; i++)
		sum += x[i];
	return n ? sum / n : 0;
}

/* The first window from which on the hottest CPU is where it ends, or below HotOn. */
static double converged_after(const struct watch *watch)
{
	uint32_t first = watch->n - watch->n_since, n = CB_MIN(watch->n_since, END_WINDOWS);
	double end = mean(watch->hottest + watch->n - n, n);

	for (uint32_t i = watch->n; i-- > first;) {
		uint32_t back = CB_MIN(i - first + 1, CALM_WINDOWS);

		if (mean(watch->hottest + i + 1 - back, back) > CB_MAX(HOT, end + END_CLOSE))
			return i - first + 1;
	}
	return 0;
}

static void conclude(const struct sim *sim, const struct watch *watch, struct sim_result *ret)
{
	struct cb_totals totals = { 0 };
	double served, wait_sec;

	if (sim->engine)
		sim_engine_totals(sim, &totals);
	sums(sim->plant, &served, &wait_sec);
	*ret = (struct sim_result){ .n_windows = watch->n };
	ret->served = served - watch->served;
	ret->wait_sec = wait_sec - watch->wait_sec;
	ret->hottest = watch->hottest_sum / CB_MAX(watch->n_since, 1u);
	ret->value[SCENARIO_CONVERGE] = converged_after(watch);
	ret->value[SCENARIO_MOVES] = sim->n_moves;
	ret->value[SCENARIO_RETURNS] = sim->n_returns;
	ret->value[SCENARIO_HOT] = (double)watch->n_hot / CB_MAX(watch->n_since, 1u);
	ret->value[SCENARIO_KEPT] = totals.n_plans[CB_VERDICT_KEPT];
	ret->value[SCENARIO_UNDONE] =
		totals.n_plans[CB_VERDICT_ROLLED_BACK] + totals.n_plans[CB_VERDICT_INCONCLUSIVE] +
		totals.n_plans[CB_VERDICT_VOID] + totals.n_plans[CB_VERDICT_FAILED];
}

void sim_compare(struct sim_result *result, const struct sim_result *unmanaged)
{
	result->value[SCENARIO_SERVED] =
		unmanaged->served > 0 ? result->served / unmanaged->served - 1 : 0;
	result->value[SCENARIO_WAIT] =
		unmanaged->wait_sec > 0 ? result->wait_sec / unmanaged->wait_sec - 1 : 0;
}

bool sim_needs_unmanaged(const struct scenario *scenario)
{
	for (uint32_t i = 0; i < scenario->n_expects; i++)
		if (scenario_measure_is_relative(scenario->expect[i].measure))
			return true;
	return false;
}

bool sim_holds(const struct scenario_expect *expect, const struct sim_result *result)
{
	double value = result->value[expect->measure];

	return expect->at_most ? value <= expect->value : value >= expect->value;
}

/* --- the run --- */

static void tell_window(const struct sim *sim, const struct watch *watch)
{
	FILE *to = sim->params->windows;
	const struct plant *plant = sim->plant;

	fprintf(to, "%6.0f s  hottest %3.0f %%  moves %u ", (double)plant_elapsed_usec(plant) / 1e6,
		watch->hottest[watch->n - 1] * 100, sim->n_moves);
	for (uint32_t i = 0; i < plant->scenario->n_groups; i++)
		fprintf(to, " %s wanted %.0f/s", plant->scenario->group[i].name,
			plant_rate(plant, i));
	fprintf(to, "  busy");
	for (uint32_t i = 0; i < CB_MIN(plant->n_cpus, 32u); i++)
		if (plant->cpu[i].online)
			fprintf(to, " %.0f", plant->cpu[i].window_busy * 100);
		else
			fprintf(to, " -");
	fprintf(to, "%s\n", plant->n_cpus > 32 ? " ..." : "");
}

static int run_windows(struct sim *sim, struct watch *watch, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		int r = 0;

		plant_window(sim->plant);
		watch_window(watch, sim);
		if (sim->irqbalance)
			sim_irqbalance_window(sim);
		if (sim->params->windows)
			tell_window(sim, watch);
		if (sim->engine)
			r = sim_engine_window(sim);
		if (r < 0)
			return r;
	}
	return 0;
}

static int start_policy(struct sim *sim, struct cb_err *err)
{
	enum sim_policy policy = sim->params->policy;
	int r = 0;

	if (policy == SIM_IRQBALANCE || policy == SIM_BOTH)
		r = sim_irqbalance_new(sim);
	if (r == 0 && (policy == SIM_DAEMON || policy == SIM_BOTH))
		r = sim_engine_new(sim, err);
	return r;
}

int sim_run(const struct sim_params *params, struct sim_result *ret, struct cb_err *err)
{
	uint32_t n = (uint32_t)(params->scenario->run_usec / CB_USEC_PER_SEC);
	struct sim sim = { .params = params, .plant = plant_new(params->scenario, params->seed) };
	struct watch watch = { 0 };
	int r = -ENOMEM;

	if (sim.plant) {
		sim.task_item = calloc(sim.plant->n_tasks, sizeof(*sim.task_item));
		sim.queue_item = calloc(sim.plant->n_queues + 1, sizeof(*sim.queue_item));
		watch.smooth = calloc(sim.plant->n_cpus, sizeof(*watch.smooth));
		watch.hottest = calloc(n, sizeof(*watch.hottest));
	}
	if (sim.task_item && sim.queue_item && watch.smooth && watch.hottest)
		r = start_policy(&sim, err);
	if (r == 0)
		r = run_windows(&sim, &watch, n);
	if (r == 0)
		conclude(&sim, &watch, ret);
	else if (err && !err->msg[0])
		cb_err_set(err, r, "%s: %s", params->scenario->name, strerror(-r));
	sim_engine_free(&sim);
	sim_irqbalance_free(&sim);
	free(sim.task_item);
	free(sim.queue_item);
	free(watch.smooth);
	free(watch.hottest);
	plant_free(sim.plant);
	return r;
}
