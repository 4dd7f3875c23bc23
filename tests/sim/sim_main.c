/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs scenarios and prints one line for each: what was measured, the worst of all seeds by measure, and whether every bound of the
 * file held for every seed.
 *
 *     sim [--seed N] [--seeds N] [--policy NAME] [--compare] [--json] [--trace] [--record FILE] [FILE|DIR...]
 */
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <json-c/json.h>

#include "sim.h"

#define FILES_MAX   256u
#define SEEDS_MAX   10000u
#define DEFAULT_DIR "tests/sim/scenarios"

struct options {
	uint64_t seed;
	uint32_t n_seeds;
	enum sim_policy policy;
	bool compare, json, trace, one_policy;
	const char *record;
};

/* A scenario's runs, all seeds. */
struct tally {
	uint32_t n_seeds, n_failed_seeds;
	double sum[_SCENARIO_MEASURE_MAX], worst[_SCENARIO_MEASURE_MAX];
	double hottest_sum;
	bool failed[SCENARIO_EXPECTS_MAX];
	uint64_t failed_seed[SCENARIO_EXPECTS_MAX];
	double failed_value[SCENARIO_EXPECTS_MAX];
};

struct main {
	struct options options;
	bool tty;
	struct json_object *json;
	uint32_t n_scenarios, n_failed;
	uint64_t n_windows;
};

/* More of it is worse. */
static bool more_is_worse(enum scenario_measure measure)
{
	return measure != SCENARIO_SERVED && measure != SCENARIO_KEPT;
}

static void add(struct tally *tally, const struct scenario *scenario, uint64_t seed,
		const struct sim_result *result)
{
	bool failed = false;

	for (int i = 0; i < _SCENARIO_MEASURE_MAX; i++) {
		double value = result->value[i], *worst = &tally->worst[i];

		tally->sum[i] += value;
		if (tally->n_seeds == 0 ||
		    (more_is_worse((enum scenario_measure)i) ? value > *worst : value < *worst))
			*worst = value;
	}
	tally->n_seeds++;
	tally->hottest_sum += result->hottest;
	for (uint32_t i = 0; i < scenario->n_expects; i++) {
		if (sim_holds(&scenario->expect[i], result))
			continue;
		failed = true;
		if (tally->failed[i])
			continue;
		tally->failed[i] = true;
		tally->failed_seed[i] = seed;
		tally->failed_value[i] = result->value[scenario->expect[i].measure];
	}
	tally->n_failed_seeds += failed;
}

static bool passed(const struct tally *tally)
{
	return tally->n_failed_seeds == 0;
}

/* --- showing --- */

static const char *value_text(enum scenario_measure measure, double value, char *buf, size_t size)
{
	if (scenario_measure_is_relative(measure))
		snprintf(buf, size, "%+.1f%%", value * 100);
	else if (scenario_measure_is_ratio(measure))
		snprintf(buf, size, "%.1f%%", value * 100);
	else
		snprintf(buf, size, "%.0f", value);
	return buf;
}

static void print_head(const char *first)
{
	printf("%-22s %5s", first, "seeds");
	for (int i = 0; i < _SCENARIO_MEASURE_MAX; i++)
		printf(" %8s", scenario_measure_name((enum scenario_measure)i));
	printf("\n");
}

static void print_row(const char *name, uint32_t n_seeds, const double *value)
{
	char text[32];

	printf("%-22s %5u", name, n_seeds);
	for (int i = 0; i < _SCENARIO_MEASURE_MAX; i++)
		printf(" %8s", value_text((enum scenario_measure)i, value[i], text, sizeof(text)));
}

static void print_failures(const struct scenario *scenario, const struct tally *tally)
{
	char is[32], bound[32];

	for (uint32_t i = 0; i < scenario->n_expects; i++) {
		const struct scenario_expect *expect = &scenario->expect[i];

		if (!tally->failed[i])
			continue;
		value_text(expect->measure, tally->failed_value[i], is, sizeof(is));
		value_text(expect->measure, expect->value, bound, sizeof(bound));
		printf("    %s is %s with --seed %llu, expected %s %s\n",
		       scenario_measure_name(expect->measure), is,
		       (unsigned long long)tally->failed_seed[i],
		       expect->at_most ? "<=" : ">=", bound);
	}
}

static struct json_object *values_json(const double *value, double scale)
{
	struct json_object *object = json_object_new_object();

	for (int i = 0; i < _SCENARIO_MEASURE_MAX; i++) {
		char key[32];

		snprintf(key, sizeof(key), "%s%s", scenario_measure_name((enum scenario_measure)i),
			 scenario_measure_is_ratio((enum scenario_measure)i) ? "_ratio" : "");
		json_object_object_add(object, key, json_object_new_double(value[i] * scale));
	}
	return object;
}

static void add_json(struct main *m, const struct scenario *scenario, enum sim_policy policy,
		     const struct tally *tally)
{
	struct json_object *row = json_object_new_object(), *bounds = json_object_new_array();

	json_object_object_add(row, "scenario", json_object_new_string(scenario->name));
	json_object_object_add(row, "about", json_object_new_string(scenario->about));
	json_object_object_add(row, "policy", json_object_new_string(sim_policy_name(policy)));
	json_object_object_add(row, "seeds", json_object_new_int64(tally->n_seeds));
	json_object_object_add(row, "worst", values_json(tally->worst, 1));
	json_object_object_add(row, "mean", values_json(tally->sum, 1.0 / tally->n_seeds));
	for (uint32_t i = 0; i < scenario->n_expects; i++) {
		const struct scenario_expect *expect = &scenario->expect[i];
		struct json_object *bound = json_object_new_object();

		json_object_object_add(
			bound, "measure",
			json_object_new_string(scenario_measure_name(expect->measure)));
		json_object_object_add(bound, expect->at_most ? "at_most" : "at_least",
				       json_object_new_double(expect->value));
		json_object_object_add(bound, "holds", json_object_new_boolean(!tally->failed[i]));
		json_object_array_add(bounds, bound);
	}
	if (!m->options.compare && !m->options.one_policy) {
		json_object_object_add(row, "bounds", bounds);
		json_object_object_add(row, "passed", json_object_new_boolean(passed(tally)));
	} else {
		json_object_put(bounds);
	}
	json_object_array_add(m->json, row);
}

/* On a terminal, what a long run is at. */
static void progress(const struct main *m, const struct scenario *scenario, uint32_t i)
{
	if (m->tty)
		fprintf(stderr, "\r%-22s seed %u of %u\033[K\r", scenario->name, i + 1,
			m->options.n_seeds);
}

/* --- running --- */

/* All seeds under one policy. False, with a message, when a run could not be made. */
static bool run_seeds(struct main *m, const struct scenario *scenario, enum sim_policy policy,
		      struct tally *ret)
{
	struct cb_err err = { .msg = "" };

	*ret = (struct tally){ 0 };
	for (uint32_t i = 0; i < m->options.n_seeds; i++) {
		struct sim_params params = { .scenario = scenario,
					     .seed = m->options.seed + i,
					     .policy = policy };
		struct sim_params bare = params;
		struct sim_result result, unmanaged;
		int r;

		bare.policy = SIM_UNMANAGED;
		params.windows = m->options.trace ? stdout : NULL;
		params.record = i == 0 ? m->options.record : NULL;
		progress(m, scenario, i);
		r = sim_run(&params, &result, &err);
		if (r == 0)
			r = sim_run(&bare, &unmanaged, &err);
		if (r < 0) {
			fprintf(stderr, "sim: %s\n", err.msg);
			return false;
		}
		sim_compare(&result, &unmanaged);
		m->n_windows += result.n_windows;
		add(ret, scenario, params.seed, &result);
	}
	if (m->tty)
		fprintf(stderr, "\r\033[K");
	return true;
}

static bool run_scenario(struct main *m, const struct scenario *scenario)
{
	struct tally tally;

	if (!run_seeds(m, scenario, m->options.policy, &tally))
		return false;
	m->n_scenarios++;
	if (m->options.json) {
		add_json(m, scenario, m->options.policy, &tally);
	} else {
		print_row(scenario->name, tally.n_seeds, tally.worst);
		printf("  %s\n", m->options.one_policy ? "" : passed(&tally) ? "PASS" : "FAIL");
	}
	if (m->options.one_policy)
		return true;
	m->n_failed += !passed(&tally);
	if (!m->options.json)
		print_failures(scenario, &tally);
	fflush(stdout);
	return true;
}

/* Means, since the question is what to expect. */
static bool compare_scenario(struct main *m, const struct scenario *scenario)
{
	m->n_scenarios++;
	for (enum sim_policy policy = SIM_UNMANAGED; policy < _SIM_POLICY_MAX; policy++) {
		struct tally tally;

		if (!run_seeds(m, scenario, policy, &tally))
			return false;
		if (m->options.json) {
			add_json(m, scenario, policy, &tally);
			continue;
		}
		if (policy == SIM_UNMANAGED)
			printf("%s\n", scenario->name);
		printf("  %-12s hottest %5.1f%%  hot %5.1f%%  served %+6.1f%%  wait %+6.1f%%  moves %5.1f  returns %4.1f  undone %3.1f\n",
		       sim_policy_name(policy), tally.hottest_sum / tally.n_seeds * 100,
		       tally.sum[SCENARIO_HOT] / tally.n_seeds * 100,
		       tally.sum[SCENARIO_SERVED] / tally.n_seeds * 100,
		       tally.sum[SCENARIO_WAIT] / tally.n_seeds * 100,
		       tally.sum[SCENARIO_MOVES] / tally.n_seeds,
		       tally.sum[SCENARIO_RETURNS] / tally.n_seeds,
		       tally.sum[SCENARIO_UNDONE] / tally.n_seeds);
		fflush(stdout);
	}
	return true;
}

static bool run_file(struct main *m, const char *path)
{
	static struct scenario scenario;
	struct cb_err err = { .msg = "" };

	if (scenario_read(path, &scenario, &err) < 0) {
		fprintf(stderr, "sim: %s\n", err.msg);
		return false;
	}
	return m->options.compare ? compare_scenario(m, &scenario) : run_scenario(m, &scenario);
}

static int is_scenario(const struct dirent *entry)
{
	const char *dot = strrchr(entry->d_name, '.');

	return dot && strcmp(dot, ".scenario") == 0;
}

static bool run_path(struct main *m, const char *path)
{
	struct dirent **entry;
	int n = scandir(path, &entry, is_scenario, alphasort);
	bool good = true;

	if (n < 0 && errno == ENOTDIR)
		return run_file(m, path);
	if (n <= 0) {
		fprintf(stderr, "sim: %s: %s\n", path,
			n < 0 ? strerror(errno) : "no *.scenario in it");
		return false;
	}
	for (int i = 0; i < n; i++) {
		char file[4096];

		snprintf(file, sizeof(file), "%s/%s", path, entry[i]->d_name);
		good = good && run_file(m, file);
		free(entry[i]);
	}
	free(entry);
	return good;
}

/* --- options --- */

static bool take_number(const char *name, const char *text, uint64_t min, uint64_t max,
			uint64_t *ret)
{
	char *end;
	unsigned long long value;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || *end || end == text || text[0] == '-' || value < min || value > max) {
		fprintf(stderr, "sim: --%s %s: not a number from %llu to %llu\n", name, text,
			(unsigned long long)min, (unsigned long long)max);
		return false;
	}
	*ret = value;
	return true;
}

static bool take_policy(struct options *o, const char *name)
{
	for (enum sim_policy policy = 0; policy < _SIM_POLICY_MAX; policy++)
		if (strcmp(sim_policy_name(policy), name) == 0) {
			o->policy = policy;
			o->one_policy = true;
			return true;
		}
	fprintf(stderr, "sim: --policy %s: none of unmanaged, irqbalance, cpubalanced, both\n",
		name);
	return false;
}

static void usage(FILE *to)
{
	fprintf(to,
		"usage: sim [OPTION...] [FILE|DIR...]     (default: " DEFAULT_DIR ")\n"
		"  --seed N        the first seed (1)\n"
		"  --seeds N       run each scenario with N seeds; shown is the worst by measure (1)\n"
		"  --compare       means under every policy, without bounds\n"
		"  --policy NAME   unmanaged, irqbalance, cpubalanced or both, without bounds\n"
		"  --trace         every window, finding and plan\n"
		"  --record FILE   the inputs and decisions of the first seed, for cpubalanced --replay; one scenario\n"
		"  --json          one array of objects\n");
}

static int take_options(struct options *o, int argc, char **argv)
{
	static const struct option options[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "seeds", required_argument, NULL, 'n' },
		{ "policy", required_argument, NULL, 'p' },
		{ "compare", no_argument, NULL, 'c' },
		{ "trace", no_argument, NULL, 't' },
		{ "record", required_argument, NULL, 'r' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	uint64_t n = 1;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		bool good = true;

		switch (c) {
		case 's':
			good = take_number("seed", optarg, 0, UINT32_MAX, &o->seed);
			break;
		case 'n':
			good = take_number("seeds", optarg, 1, SEEDS_MAX, &n);
			o->n_seeds = (uint32_t)n;
			break;
		case 'p':
			good = take_policy(o, optarg);
			break;
		case 'c':
			o->compare = true;
			break;
		case 't':
			o->trace = true;
			break;
		case 'r':
			o->record = optarg;
			break;
		case 'j':
			o->json = true;
			break;
		case 'h':
			usage(stdout);
			exit(EXIT_SUCCESS);
		default:
			usage(stderr);
			return -EINVAL;
		}
		if (!good)
			return -EINVAL;
	}
	return 0;
}

/* One file, since a trace is one run. */
static bool check_record(const struct options *o, int n, char **paths)
{
	struct stat st;

	if (!o->record)
		return true;
	if (n == 1 && (stat(paths[0], &st) < 0 || !S_ISDIR(st.st_mode)) && !o->compare &&
	    (o->policy == SIM_DAEMON || o->policy == SIM_BOTH))
		return true;
	fprintf(stderr, "sim: --record wants one scenario file, and the daemon in it\n");
	return false;
}

int main(int argc, char **argv)
{
	static struct main m = { .options = { .seed = 1, .n_seeds = 1, .policy = SIM_DAEMON } };
	bool good = true;

	if (take_options(&m.options, argc, argv) < 0 ||
	    !check_record(&m.options, argc - optind, argv + optind))
		return 2;
	m.tty = isatty(STDERR_FILENO) && !m.options.trace && !m.options.json;
	if (m.options.json)
		m.json = json_object_new_array();
	else if (!m.options.compare)
		print_head("scenario");
	if (optind == argc)
		good = run_path(&m, DEFAULT_DIR);
	for (int i = optind; i < argc && good; i++)
		good = run_path(&m, argv[i]);
	if (m.json) {
		printf("%s\n", json_object_to_json_string_ext(m.json, JSON_C_TO_STRING_PRETTY));
		json_object_put(m.json);
	} else if (good && !m.options.compare && !m.options.one_policy) {
		printf("%u scenarios, %u seeds each, %llu windows: %u passed, %u failed\n",
		       m.n_scenarios, m.options.n_seeds, (unsigned long long)m.n_windows,
		       m.n_scenarios - m.n_failed, m.n_failed);
	}
	return !good || m.n_failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
