/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * How good, how calm and how quick the planner is: every instance of a directory (*.txt) or of its own set, without a
 * budget and with the weights of SMT and locality off, judged by arithmetic of its own.
 *
 *     bench_planner [--noise SIGMA] [--budget STEPS [--gain RATIO]] [--match TEXT] [--quiet] [--repeat N] [--seed N] [DIR | FILE...]
 *
 * `ratio` is the hottest CPU over a lower bound, `again` the moves when the planner is run once more on its own result, `usec` the
 * least CPU time of some runs. In the last line `geo` is the geometric mean of the ratios, `moved` the mean share of the items that moved, and
 * `usec` the slowest instance. The line before it has the slowest of the same with the weights that a daemon plans with: the whole placement,
 * and plans within a budget that relieve the hottest CPU.
 *
 * With --noise the loads of every window are the true ones times a lognormal factor, and a plan may be made in each; see noise().
 */
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cpubalance/noise.h"
#include "instance.h"

#define INSTANCES_MAX 4096u

struct bench {
	double sigma_ratio; /* noise, 0: none */
	uint32_t budget;    /* steps of a plan, 0: whole placements */
	double min_gain_ratio;
	const char *match; /* only instances with that in their names */
	bool quiet;
	uint32_t repeat;
	uint64_t seed;
	uint32_t n;
	double ratio[INSTANCES_MAX];
	double log_sum, moved_sum, max_usec, max_rest_usec;
	double max_weighed_usec, max_plan_usec; /* with the weights of a daemon */
	double weighed_log_sum, planned_log_sum;
	double ratio_sum, true_sum; /* with noise */
	uint64_t again, violations, moves, items;
	struct {
		char name[96];
		uint32_t moves;
	} each[INSTANCES_MAX];
};

static struct instance instance;
static struct instance_problem ip;
static int32_t place[INSTANCE_ITEMS], place_again[INSTANCE_ITEMS];

static double now_usec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* CPU time, and the least of some runs: what else runs on the machine only makes it longer. */
static uint32_t timed_place(const struct bench *bench, int32_t *ret_cpu, double *ret_usec)
{
	uint32_t moves = 0;

	*ret_usec = HUGE_VAL;
	for (uint32_t i = 0; i < bench->repeat; i++) {
		double start_usec = now_usec(), usec;

		moves = cb_planner_place(&ip.problem, ret_cpu);
		usec = now_usec() - start_usec;
		*ret_usec = CB_MIN(*ret_usec, usec);
	}
	return moves;
}

/* What the daemon does: with weights, and plans within a budget for the hottest CPU. From the start of the instance. */
static void timed_plans(struct bench *bench, double *ret_weighed_usec, double *ret_plan_usec)
{
	static const uint32_t budget[] = { 2, 4, CB_STEPS_MAX };
	static struct cb_planner_result result;
	struct cb_planner_problem *problem = &ip.problem;
	double usec, ratio;

	problem->weights = CB_PLANNER_WEIGHTS;
	timed_place(bench, place, ret_weighed_usec);
	*ret_plan_usec = 0;
	ratio = instance_hottest_felt_ratio(&instance, place, problem->weights.smt_ratio);
	bench->weighed_log_sum += log(ratio);
	problem->hot_cpu = instance_hottest_cpu(&instance);
	problem->min_gain_ratio = 0.05;
	problem->min_item_ratio = 0.02;
	for (uint32_t i = 0; i < CB_ARRAY_SIZE(budget); i++) {
		usec = HUGE_VAL;
		problem->max_steps = budget[i];
		for (uint32_t j = 0; j < bench->repeat; j++) {
			double start_usec = now_usec();

			cb_planner_run(problem, &result);
			usec = CB_MIN(usec, now_usec() - start_usec);
		}
		*ret_plan_usec = CB_MAX(*ret_plan_usec, usec);
		bench->planned_log_sum +=
			log(result.hottest_after_ratio / result.hottest_before_ratio);
	}
	bench->max_weighed_usec = CB_MAX(bench->max_weighed_usec, *ret_weighed_usec);
	bench->max_plan_usec = CB_MAX(bench->max_plan_usec, *ret_plan_usec);
	problem->weights = (struct cb_planner_weights){ 0 };
	problem->min_item_ratio = 0;
}

static void quality(struct bench *bench)
{
	double usec, again_usec, ratio, weighed_usec, plan_usec;
	uint32_t moves, again;

	timed_plans(bench, &weighed_usec, &plan_usec);
	moves = timed_place(bench, place, &usec);
	ratio = (double)instance_hottest(&instance, place) /
		(double)CB_MAX(instance_bound(&instance), 1);
	for (uint32_t i = 0; i < instance.n_items; i++)
		ip.item[i].cpu = place[i];
	again = timed_place(bench, place_again, &again_usec);
	if (!bench->quiet)
		printf("%-44s ratio %.4f moved %u of %u usec %.0f again %u usec %.0f weighed %.0f plan %.0f\n",
		       instance.name, ratio, moves, instance.n_items, usec, again, again_usec,
		       weighed_usec, plan_usec);
	snprintf(bench->each[bench->n].name, sizeof(bench->each[0].name), "%s", instance.name);
	bench->each[bench->n].moves = moves;
	bench->ratio[bench->n++] = ratio;
	bench->log_sum += log(ratio);
	bench->moved_sum += (double)moves / CB_MAX(instance.n_items, 1u);
	bench->moves += moves;
	bench->items += instance.n_items;
	bench->again += again;
	bench->violations += instance_violations(&instance, place);
	bench->max_usec = CB_MAX(bench->max_usec, usec);
	/* where it ends well, nothing is hot when it is run again */
	if (ratio <= 1.016)
		bench->max_rest_usec = CB_MAX(bench->max_rest_usec, again_usec);
}

/* --- noise --- */

/* Windows that loads are smoothed over, of which the noise is known before the first plan, and that are counted. */
#define SMOOTH_WINDOWS	3
#define WARM_WINDOWS	10
#define COUNTED_WINDOWS 80

/* What a caller knows: smoothed loads of items, noise of CPUs. */
struct caller {
	double smooth[INSTANCE_ITEMS];
	struct cb_noise noise[INSTANCE_CPUS];
};

/* Loads of this window: the true ones times a lognormal factor of mean 1. */
static void draw_window(const struct bench *bench, uint64_t *seed, struct instance *shown)
{
	double sigma = bench->sigma_ratio;

	for (uint32_t i = 0; i < instance.n_items; i++)
		shown->item[i].load =
			(int64_t)((double)instance.item[i].load *
				  exp(sigma * instance_normal(seed) - sigma * sigma / 2));
}

/* The caller sees the window, and has an opinion of the noise. */
static void watch(struct caller *caller, const struct instance *shown, const int32_t *cpu)
{
	double measured[INSTANCE_CPUS] = { 0 }, expected[INSTANCE_CPUS] = { 0 };
	double noise_square = 0, load_square = 0;

	for (uint32_t i = 0; i < instance.n_items; i++) {
		double load = (double)shown->item[i].load / 1e6;

		measured[cpu[i]] += load;
		expected[cpu[i]] += caller->smooth[i];
		caller->smooth[i] += (load - caller->smooth[i]) / (1 + SMOOTH_WINDOWS);
		ip.item[i].load_ratio = caller->smooth[i];
		ip.item[i].cpu = cpu[i];
	}
	for (uint32_t i = 0; i < instance.n_cpus; i++) {
		cb_noise_update(&caller->noise[i], measured[i], expected[i]);
		noise_square += caller->noise[i].square;
		load_square += expected[i] * expected[i];
	}
	ip.problem.hysteresis_ratio = cb_noise_hysteresis_ratio(noise_square, load_square,
								instance.n_cpus, 1, SMOOTH_WINDOWS);
}

/*
 * How calm: from the start of the instance, a while to get to know the loads, a plan that mends the start, and then windows in
 * each of which a plan may be made. Judged after the plan by the loads of that window (`ratio`) and by the true ones (`true`).
 */
static void noise(struct bench *bench)
{
	static struct instance shown;
	static struct caller caller;
	uint64_t seed = bench->seed * 1000003;
	double ratio = 0, true_ratio = 0, hysteresis = 0,
	       bound = (double)CB_MAX(instance_bound(&instance), 1);
	uint32_t moves = 0, mended = 0;

	shown = instance;
	memset(&caller, 0, sizeof(caller));
	draw_window(bench, &seed, &shown);
	for (uint32_t i = 0; i < instance.n_items; i++) {
		place[i] = instance.item[i].start;
		caller.smooth[i] = (double)shown.item[i].load / 1e6;
	}
	for (int window = 1 - WARM_WINDOWS; window <= COUNTED_WINDOWS; window++) {
		uint32_t now;

		draw_window(bench, &seed, &shown);
		watch(&caller, &shown, place);
		if (window < 0)
			continue;
		now = cb_planner_place(&ip.problem, place_again);
		memcpy(place, place_again, sizeof(place));
		bench->violations += instance_violations(&instance, place);
		if (window == 0) {
			mended = now;
			continue;
		}
		moves += now;
		hysteresis += ip.problem.hysteresis_ratio / COUNTED_WINDOWS;
		ratio += (double)instance_hottest(&shown, place) /
			 (double)CB_MAX(instance_bound(&shown), 1);
		true_ratio += (double)instance_hottest(&instance, place) / bound;
	}
	ratio /= COUNTED_WINDOWS;
	true_ratio /= COUNTED_WINDOWS;
	if (!bench->quiet)
		printf("%-44s ratio %.4f true %.4f moves %.3f a window, %u to mend the start, hysteresis %.3f\n",
		       instance.name, ratio, true_ratio, (double)moves / COUNTED_WINDOWS, mended,
		       hysteresis);
	bench->ratio[bench->n++] = ratio;
	bench->ratio_sum += ratio;
	bench->true_sum += true_ratio;
	bench->moves += moves;
}

/* --- plan after plan --- */

/* Findings that a daemon plans for before it gives up. */
#define HOTTEST_MAX 8

/* The hottest CPU but those of @not. */
static int32_t next_hottest(const int32_t *cpu, const int32_t * not, uint32_t n_not)
{
	int64_t load[INSTANCE_CPUS] = { 0 };
	int32_t hottest = -1;

	for (uint32_t i = 0; i < instance.n_items; i++)
		load[cpu[i]] += instance.item[i].load;
	for (uint32_t i = 0; i < n_not; i++)
		load[not [i]] = -1;
	for (uint32_t i = 0; i < instance.n_cpus; i++)
		if (load[i] >= 0 && (hottest < 0 || load[i] > load[hottest]))
			hottest = (int32_t)i;
	return hottest;
}

/* One plan for the hottest CPU that can be helped, carried out. Returns its steps. */
static uint32_t next_plan(int32_t *cpu)
{
	static struct cb_planner_result result;
	int32_t tried[HOTTEST_MAX];

	for (uint32_t i = 0; i < HOTTEST_MAX; i++) {
		ip.problem.hot_cpu = tried[i] = next_hottest(cpu, tried, i);
		if (tried[i] < 0)
			return 0;
		cb_planner_run(&ip.problem, &result);
		for (uint32_t j = 0; j < result.n_steps; j++)
			cpu[result.step[j].item.key - 1] =
				(int32_t)cb_cpuset_first(&result.step[j].to);
		if (result.n_steps)
			return result.n_steps;
	}
	return 0;
}

/* What a daemon does over the hours: small plans, each from where the one before it has led to, until none is worth it. */
static void small_plans(struct bench *bench)
{
	double bound = (double)CB_MAX(instance_bound(&instance), 1), ratio;
	uint32_t moved = 0, steps, plans = 0, moves = 0;

	for (uint32_t i = 0; i < instance.n_items; i++)
		place[i] = instance.item[i].start;
	ip.problem.max_steps = bench->budget;
	ip.problem.min_gain_ratio = bench->min_gain_ratio;
	while ((steps = next_plan(place)) > 0 && plans < 4 * instance.n_items) {
		moves += steps;
		plans++;
		for (uint32_t i = 0; i < instance.n_items; i++)
			ip.item[i].cpu = place[i];
	}
	for (uint32_t i = 0; i < instance.n_items; i++)
		moved += place[i] != instance.item[i].start;
	ratio = (double)instance_hottest(&instance, place) / bound;
	if (!bench->quiet)
		printf("%-44s ratio %.4f moved %u of %u by %u moves in %u plans\n", instance.name,
		       ratio, moved, instance.n_items, moves, plans);
	bench->ratio[bench->n++] = ratio;
	bench->log_sum += log(ratio);
	bench->moved_sum += (double)moved / CB_MAX(instance.n_items, 1u);
	bench->moves += moves;
	bench->items += moved;
	bench->again += plans;
	bench->violations += instance_violations(&instance, place);
}

static bool run_instance(struct bench *bench)
{
	if (bench->match && !strstr(instance.name, bench->match))
		return true;
	if (bench->n == INSTANCES_MAX) {
		fprintf(stderr, "more than %u instances\n", INSTANCES_MAX);
		return false;
	}
	if (!instance_problem_init(&ip, &instance)) {
		fprintf(stderr, "%s: %s\n", instance.name, strerror(ENOMEM));
		return false;
	}
	if (bench->sigma_ratio > 0)
		noise(bench);
	else if (bench->budget)
		small_plans(bench);
	else
		quality(bench);
	instance_problem_done(&ip);
	return true;
}

/* --- which instances --- */

static int is_instance(const struct dirent *entry)
{
	const char *dot = strrchr(entry->d_name, '.');

	return dot && strcmp(dot, ".txt") == 0;
}

static bool run_path(struct bench *bench, const char *path)
{
	struct dirent **entry;
	int n = scandir(path, &entry, is_instance, alphasort);
	bool good = true;

	if (n < 0 && errno == ENOTDIR)
		return instance_read(&instance, path) && run_instance(bench);
	if (n < 0) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return false;
	}
	for (int i = 0; i < n; i++) {
		char file[4096];

		snprintf(file, sizeof(file), "%s/%s", path, entry[i]->d_name);
		good = good && instance_read(&instance, file) && run_instance(bench);
		free(entry[i]);
	}
	free(entry);
	return good;
}

static bool run_own_set(struct bench *bench)
{
	static const struct {
		uint32_t n_cpus, n_nodes, n_items;
	} size[] = { { 4, 1, 12 },   { 8, 1, 24 },     { 16, 2, 64 },
		     { 64, 2, 192 }, { 256, 8, 1280 }, { 1024, 16, 5000 } };
	static const double utilisation[] = { 0.3, 0.6, 0.85 };

	for (uint32_t s = 0; s < CB_ARRAY_SIZE(size); s++)
		for (enum instance_shape shape = 0; shape < _SHAPE_MAX; shape++)
			for (enum instance_start start = 0; start < _START_MAX; start++)
				for (uint32_t u = 0; u < CB_ARRAY_SIZE(utilisation); u++) {
					struct instance_params params = {
						.n_cpus = size[s].n_cpus,
						.n_nodes = size[s].n_nodes,
						.n_items = size[s].n_items,
						.shape = shape,
						.start = start,
						.utilisation_ratio = utilisation[u],
						.pinned = start != START_DRIFT &&
							  size[s].n_nodes > 1,
						.seed = bench->seed,
					};

					instance_make(&instance, &params);
					if (!run_instance(bench))
						return false;
				}
	return true;
}

/* --- what others make of the same instances --- */

/* Columns of BASELINE.csv that are compared: hottest CPUs at the start, by others, and moves. */
enum {
	LOWER_BOUND,
	AT_START,
	LONGEST_FIRST,
	IRQBALANCE,
	REFERENCE,
	REFERENCE_MOVES,
	LEAST_MOVES,
	COLUMNS
};

/* Cut @line at its commas; @ret[max]. */
static uint32_t split(char *line, char **ret, uint32_t max)
{
	uint32_t n = 0;

	for (char *field; n < max && (field = strsep(&line, ",\r\n"));)
		ret[n++] = field;
	return n;
}

static bool find_columns(char *header, uint32_t *ret)
{
	static const char *const names[COLUMNS] = { "lb_all",	     "start_all", "lpt_all",
						    "irqb_warm_all", "ref_all",	  "ref_all_moves",
						    "mig_lb_all" };
	char *field[32];
	uint32_t n = split(header, field, 32), found = 0;

	for (uint32_t c = 0; c < COLUMNS; c++)
		for (uint32_t i = 0; i < n; i++)
			if (strcmp(field[i], names[c]) == 0) {
				ret[c] = i;
				found++;
			}
	return found == COLUMNS;
}

/* Moves of an instance over the fewest that are known. */
struct times {
	uint32_t n, n_good, n_within; /* all; those at most 1.2; those at most 1 */
	double sum, worst;
	char worst_name[128];
};

static void count_times(const struct bench *bench, const char *name, double least,
			struct times *ret)
{
	size_t len = strlen(name);

	for (uint32_t i = 0; i < bench->n && least > 0; i++) {
		double times = bench->each[i].moves / least;

		/* an instance has the name of its file */
		if (strncmp(bench->each[i].name, name, len) != 0 ||
		    (bench->each[i].name[len] != 0 && bench->each[i].name[len] != '.'))
			continue;
		ret->n++;
		ret->n_good += times <= 1.2;
		ret->n_within += times <= 1;
		ret->sum += times;
		if (times <= ret->worst)
			continue;
		ret->worst = times;
		snprintf(ret->worst_name, sizeof(ret->worst_name), "%s, %u for %.0f", name,
			 bench->each[i].moves, least);
	}
}

/* DIR/BASELINE.csv, where there is one: what other rules reach there, and the fewest moves that are known. */
static void compare(const struct bench *bench, const char *dir)
{
	double log_sum[COLUMNS] = { 0 }, moves = 0, least = 0;
	struct times times = { 0 };
	char path[4096], line[1024], *field[32];
	uint32_t column[COLUMNS], n = 0;
	FILE *file;

	snprintf(path, sizeof(path), "%s/BASELINE.csv", dir);
	file = fopen(path, "re");
	if (!file)
		return;
	if (!fgets(line, sizeof(line), file) || !find_columns(line, column)) {
		fprintf(stderr, "%s: not the columns that are known\n", path);
		fclose(file);
		return;
	}
	while (fgets(line, sizeof(line), file)) {
		uint32_t fields = split(line, field, 32);
		double value[COLUMNS];

		for (int c = 0; c < COLUMNS; c++)
			value[c] = column[c] < fields ? atof(field[column[c]]) : 0;
		if (value[LOWER_BOUND] <= 0)
			continue;
		for (int c = AT_START; c <= REFERENCE; c++)
			log_sum[c] += log(value[c] / value[LOWER_BOUND]);
		moves += value[REFERENCE_MOVES];
		least += value[LEAST_MOVES];
		count_times(bench, field[0], value[LEAST_MOVES], &times);
		n++;
	}
	fclose(file);
	if (n != bench->n || least <= 0)
		return;
	printf("by %s: start %.4f, longest first %.4f, irqbalance's rule %.4f, reference %.4f of the bound; moves: at least %.0f, reference %.2f, here %.2f times as many\n",
	       path, exp(log_sum[AT_START] / n), exp(log_sum[LONGEST_FIRST] / n),
	       exp(log_sum[IRQBALANCE] / n), exp(log_sum[REFERENCE] / n), least, moves / least,
	       (double)bench->moves / least);
	if (times.n)
		printf("moves over the fewest, instance by instance: mean %.2f; at most 1.2 in %u and 1 in %u of %u; worst %.2f (%s)\n",
		       times.sum / times.n, times.n_good, times.n_within, times.n, times.worst,
		       times.worst_name);
}

/* --- the sum --- */

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void sum_up(struct bench *bench)
{
	uint32_t p99 = CB_MAX((bench->n * 99 + 99) / 100, 1u) - 1;

	if (bench->sigma_ratio > 0) {
		printf("planner-noise: sigma=%.2f instances=%u windows=%d ratio=%.4f true=%.4f moves_per_window=%.3f violations=%llu\n",
		       bench->sigma_ratio, bench->n, COUNTED_WINDOWS, bench->ratio_sum / bench->n,
		       bench->true_sum / bench->n,
		       (double)bench->moves / bench->n / COUNTED_WINDOWS,
		       (unsigned long long)bench->violations);
		return;
	}
	qsort(bench->ratio, bench->n, sizeof(bench->ratio[0]), ascending);
	if (bench->budget) {
		printf("planner-budget: steps=%u gain=%.3f instances=%u geo=%.4f p99=%.4f worst=%.4f moved=%.4f moves_per_item=%.3f plans=%llu violations=%llu\n",
		       bench->budget, bench->min_gain_ratio, bench->n,
		       exp(bench->log_sum / bench->n), bench->ratio[p99],
		       bench->ratio[bench->n - 1], bench->moved_sum / bench->n,
		       (double)bench->moves / (double)CB_MAX(bench->items, 1u),
		       (unsigned long long)bench->again, (unsigned long long)bench->violations);
		return;
	}
	printf("%llu of %llu items moved; slowest where nothing is hot: %.0f usec; as a daemon weighs: geo %.4f, %.0f usec; a plan within a budget: %.4f of before, %.0f usec\n",
	       (unsigned long long)bench->moves, (unsigned long long)bench->items,
	       bench->max_rest_usec, exp(bench->weighed_log_sum / bench->n),
	       bench->max_weighed_usec, exp(bench->planned_log_sum / bench->n / 3),
	       bench->max_plan_usec);
	printf("planner: instances=%u geo=%.4f p99=%.4f worst=%.4f moved=%.4f again=%llu violations=%llu max_usec=%.0f\n",
	       bench->n, exp(bench->log_sum / bench->n), bench->ratio[p99],
	       bench->ratio[bench->n - 1], bench->moved_sum / bench->n,
	       (unsigned long long)bench->again, (unsigned long long)bench->violations,
	       bench->max_usec);
}

static bool take_options(struct bench *bench, int argc, char **argv)
{
	static const struct option options[] = {
		{ "budget", required_argument, NULL, 'b' },
		{ "gain", required_argument, NULL, 'g' },
		{ "match", required_argument, NULL, 'm' },
		{ "noise", required_argument, NULL, 'n' },
		{ "quiet", no_argument, NULL, 'q' },
		{ "repeat", required_argument, NULL, 'r' },
		{ "seed", required_argument, NULL, 's' },
		{ 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		if (c == 'n')
			bench->sigma_ratio = atof(optarg);
		else if (c == 'b')
			bench->budget =
				(uint32_t)CB_MIN(CB_MAX(atoi(optarg), 1), (int)CB_STEPS_MAX);
		else if (c == 'g')
			bench->min_gain_ratio = atof(optarg);
		else if (c == 'm')
			bench->match = optarg;
		else if (c == 'q')
			bench->quiet = true;
		else if (c == 'r')
			bench->repeat = (uint32_t)CB_MAX(atoi(optarg), 1);
		else if (c == 's')
			bench->seed = (uint64_t)atoll(optarg);
		else
			return false;
	}
	return true;
}

int main(int argc, char **argv)
{
	static struct bench bench = { .repeat = 5, .seed = 1, .min_gain_ratio = 0.05 };
	bool good = true;

	if (!take_options(&bench, argc, argv)) {
		fprintf(stderr,
			"usage: %s [--noise SIGMA] [--budget STEPS [--gain RATIO]] [--match TEXT] [--quiet] [--repeat N] [--seed N] [DIR | FILE...]\n",
			argv[0]);
		return 2;
	}
	for (int i = optind; i < argc && good; i++)
		good = run_path(&bench, argv[i]);
	if (optind == argc)
		good = run_own_set(&bench);
	if (!good || bench.n == 0)
		return 1;
	if (argc - optind == 1 && bench.sigma_ratio <= 0 && !bench.budget)
		compare(&bench, argv[optind]);
	sum_up(&bench);
	return bench.violations || bench.again;
}
