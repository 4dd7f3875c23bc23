/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The crash matrix: a plan over a real worker with three threads and a real interrupt is placed, judged, changed by a second
 * plan and put back by a process that dies of SIGKILL at each boundary of each write, one after the other (lib/host/fault.h).
 * Whatever it left is then put back by the daemon that is shipped: by its offline restore, or by a start, which undoes what
 * nobody has judged and adopts the rest, and a stop. Every thread and the interrupt end with their originals, each time.
 *
 * The process that dies is this program, built with the fault points: test_crash --life.
 */
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "child.h"
#include "lib/host/apply_internal.h"
#include "lib/host/host_internal.h"
#include "lib/host/journal_internal.h"
#include "mortal.h"

#define TIMES_MAX   40u /* deaths at one boundary */
#define WAIT_USEC   20000u
#define THREADS_MAX 3u
#define CHURN \
	400u /* records that are of no use: more than the journal stands without being written anew */

/* --- the life that is cut short; nothing in it is checked, only its traces are --- */

struct life {
	struct cb_host *host;
	struct cb_journal *journal;
	struct cb_engine *engine;
	pid_t pid;
	uint32_t irq; /* 0 none */
	struct cb_cpuset a, b;
};

static struct cb_decision decision;
static struct cb_outcome outcome;

static bool feed(struct life *life, struct cb_input *input)
{
	input->now_usec = 1;
	return cb_engine_feed(life->engine, input, &decision) == 0;
}

static bool feed_event(struct life *life, const struct cb_event *event)
{
	struct cb_input input = { .kind = CB_INPUT_EVENT, .event = event };

	return feed(life, &input);
}

static bool introduce(struct life *life)
{
	static struct cb_policy policy;
	struct cb_topology *topology = NULL;
	struct cb_input input = { .kind = CB_INPUT_POLICY, .policy = &policy };
	struct cb_event event = { .kind = CB_EVENT_GROUP_ADDED,
				  .group_key = 1,
				  .group = { .name = "crash" } };
	struct cb_worker_identity identity;
	bool done;

	life->engine = cb_engine_new(1);
	cb_policy_init(&policy);
	if (!life->engine || !feed(life, &input) ||
	    cb_host_topology(life->host, 1, &topology, NULL) < 0)
		return false;
	input = (struct cb_input){ .kind = CB_INPUT_TOPOLOGY, .topology = topology };
	done = feed(life, &input) && feed_event(life, &event) &&
	       cb_host_identify(life->host, life->pid, &identity, NULL) == 0;
	cb_topology_unref(topology);
	if (!done)
		return false;
	event = (struct cb_event){ .kind = CB_EVENT_WORKER_ADDED };
	event.worker = (struct cb_worker_added){ .key = 1,
						 .group_key = 1,
						 .pid = life->pid,
						 .start_ticks = identity.start_ticks,
						 .cpuset = identity.cpuset,
						 .original = identity.mask };
	return feed_event(life, &event);
}

static void apply(struct life *life, uint32_t plan_id, enum cb_op op, const struct cb_cpuset *to)
{
	decision = (struct cb_decision){ .action = CB_ACTION_APPLY, .plan_id = plan_id };
	decision.step[decision.n_steps++] = (struct cb_step){
		.item = { .kind = CB_ITEM_WORKER, .key = 1 }, .op = op, .to = *to
	};
	if (life->irq != 0)
		decision.step[decision.n_steps++] = (struct cb_step){
			.item = { .kind = CB_ITEM_IRQ, .key = life->irq }, .op = op, .to = *to
		};
	cb_apply(life->host, life->journal, life->engine, &decision, &outcome);
	if (outcome.n_failed > 0)
		fprintf(stderr, "plan %u: %u failed\n", plan_id, outcome.n_failed);
}

static void churn(struct life *life)
{
	for (unsigned int i = 0; i < CHURN && cb_journal_count(life->journal) > 0; i++)
		if (cb_journal_put(life->journal, cb_journal_at(life->journal, 0), NULL) < 0)
			return;
}

/* DIR PID IRQ A B: place on B, judge, place on A, undo that; then place on B and release. */
static int live(char **arg)
{
	const struct cb_host_options options = { .sysroot = NULL };
	struct life life = { .pid = atoi(arg[1]), .irq = (uint32_t)atoi(arg[2]) };
	struct cb_err err = { "" };

	life.a = cb_cpuset_of((unsigned int)atoi(arg[3]));
	life.b = cb_cpuset_of((unsigned int)atoi(arg[4]));
	if (cb_host_open(&options, &life.host, &err) < 0 ||
	    cb_journal_open(arg[0], cb_host_boot_id(life.host), &life.journal, &err) < 0 ||
	    !introduce(&life)) {
		fprintf(stderr, "no life: %s\n", err.msg);
		return 1;
	}
	apply(&life, 3, CB_OP_SET, &life.b);
	cb_apply_ended(life.journal, 3);
	churn(&life);
	apply(&life, 4, CB_OP_SET, &life.a);
	apply(&life, 4, CB_OP_RESTORE, &life.a);
	cb_apply_ended(life.journal, 4);
	apply(&life, 5, CB_OP_SET, &life.b);
	cb_release(life.host, life.journal, NULL, &outcome);
	while (cb_release_pending(life.host, life.journal) > 0)
		usleep(WAIT_USEC);
	cb_apply_ended(life.journal, 5);
	cb_engine_free(life.engine);
	cb_journal_close(life.journal);
	cb_host_close(life.host);
	return 0;
}

/* --- the setting --- */

static const char *why_not;
static struct mortal m;
static struct cb_host *host;
static struct child *worker;
static int32_t tid[THREADS_MAX];
static struct cb_cpuset original[THREADS_MAX];
static unsigned int n_threads, cpu_a, cpu_b;
static uint32_t irq;
static struct cb_cpuset irq_original;
static unsigned int n_deaths, n_unjudged, n_adopted;

static struct cb_cpuset mask_of(pid_t thread)
{
	struct cb_cpuset ret = CB_CPUSET_EMPTY;
	cpu_set_t set;

	CPU_ZERO(&set);
	if (sched_getaffinity(thread, sizeof(set), &set) == 0)
		for (unsigned int i = 0; i < CPU_SETSIZE; i++)
			if (CPU_ISSET(i, &set))
				cb_cpuset_set(&ret, i);
	return ret;
}

static void list_threads(void)
{
	char path[64];
	struct dirent *entry;
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", worker->pid);
	tasks = opendir(path);
	assert_non_null(tasks);
	n_threads = 0;
	while ((entry = readdir(tasks)) && n_threads < THREADS_MAX)
		if (atoi(entry->d_name) > 0)
			tid[n_threads++] = atoi(entry->d_name);
	closedir(tasks);
	assert_int_equal(n_threads, THREADS_MAX);
}

/* One that may be moved and that no traffic needs: of a console, or of a device's settings. */
static bool harmless(const struct cb_irq_info *info)
{
	size_t len = strlen(info->actions);

	return info->writable && cb_cpuset_has(&info->affinity, cpu_a) &&
	       cb_cpuset_has(&info->affinity, cpu_b) &&
	       (strncmp(info->actions, "ttyS", 4) == 0 ||
		(len > 7 && strcmp(info->actions + len - 7, "-config") == 0) ||
		(len > 6 && strcmp(info->actions + len - 6, "-event") == 0));
}

static void pick_irq(void)
{
	struct cb_irqs *irqs = NULL;

	if (cb_host_irqbalance_runs(host) || cb_host_irqs(host, 1, &irqs, NULL) < 0)
		return;
	for (uint32_t i = 0; i < irqs->n && irq == 0; i++)
		if (harmless(&irqs->irq[i])) {
			irq = irqs->irq[i].irq;
			irq_original = irqs->irq[i].affinity;
		}
	free(irqs);
}

static int begin(void **state)
{
	const struct cb_host_options options = { .sysroot = NULL };
	struct cb_cpuset both = mask_of(0), one;
	cpu_set_t set;

	(void)state;
	cpu_a = cb_cpuset_first(&both);
	cpu_b = cb_cpuset_next(&both, cpu_a + 1);
	why_not = mortal_find(&m, "test_crash");
	if (!why_not && cpu_b >= CB_CPUS_MAX)
		why_not = "needs two CPUs";
	if (why_not)
		return 0;
	assert_int_equal(cb_host_open(&options, &host, NULL), 0);
	worker = child_new();
	child_do(worker, "tt");
	list_threads();
	one = cb_cpuset_of(cpu_a);
	CPU_ZERO(&set);
	CPU_SET(cpu_a, &set);
	assert_int_equal(sched_setaffinity(tid[1], sizeof(set), &set), 0);
	for (unsigned int i = 0; i < n_threads; i++)
		original[i] = mask_of(tid[i]);
	assert_true(cb_cpuset_equal(&original[1], &one));
	pick_irq();
	return 0;
}

static int end(void **state)
{
	struct cb_cpuset now;

	(void)state;
	if (why_not)
		return 0;
	/* Only after a failure is there anything to do. */
	if (irq != 0 && host->writer->ops->irq_get(host->writer, irq, &now) == 0 &&
	    !cb_cpuset_equal(&now, &irq_original))
		assert_int_equal(host->writer->ops->irq_set(host->writer, irq, &irq_original), 0);
	child_end_all();
	host = cb_host_close(host);
	return 0;
}

/* As mortal_dies_at(), of a plan. */
static bool die_at(const char *point, unsigned int times)
{
	char pid[16], number[16], a[16], b[16];

	snprintf(pid, sizeof(pid), "%d", worker->pid);
	snprintf(number, sizeof(number), "%u", irq);
	snprintf(a, sizeof(a), "%u", cpu_a);
	snprintf(b, sizeof(b), "%u", cpu_b);
	return mortal_dies_at(&m, (const char *const[]){ "--life", m.dir, pid, number, a, b, NULL },
			      point, times);
}

/* --- looking --- */

static bool originals(void)
{
	struct cb_cpuset now;

	for (unsigned int i = 0; i < n_threads; i++) {
		now = mask_of(tid[i]);
		if (!cb_cpuset_equal(&now, &original[i]))
			return false;
	}
	return irq == 0 || (host->writer->ops->irq_get(host->writer, irq, &now) == 0 &&
			    cb_cpuset_equal(&now, &irq_original));
}

static void assert_originals(const char *how, const char *point, unsigned int times)
{
	if (!originals())
		fail_msg("%s:%u, then %s: not everything is as it was: %s", point, times, how,
			 mortal_said(&m));
}

/* The last plan on trial by the records of the file that are whole. */
static uint32_t on_trial(void)
{
	char path[160], *line = NULL;
	size_t size = 0;
	uint32_t plan = 0;
	ssize_t len;
	FILE *file;

	snprintf(path, sizeof(path), "%s/journal", m.dir);
	file = fopen(path, "re");
	if (!file)
		return 0;
	while ((len = getline(&line, &size, file)) > 0)
		if (len > 20 && line[len - 1] == '\n' && strncmp(line + 9, "trial plan=", 11) == 0)
			plan = (uint32_t)atoi(line + 20);
	free(line);
	fclose(file);
	return plan;
}

static void restore_offline(const char *point, unsigned int times)
{
	int status = mortal_restore(&m);

	if (status != 0)
		fail_msg("%s:%u: --restore ended with %d: %s", point, times, status,
			 mortal_said(&m));
	assert_originals("--restore", point, times);
}

/* A start undoes what nobody has judged and leaves what was kept; a stop puts back everything. */
static void start_and_stop(const char *point, unsigned int times)
{
	struct cb_cpuset before[THREADS_MAX], now;
	uint32_t plan = on_trial();
	pid_t pid;

	for (unsigned int i = 0; i < n_threads; i++)
		before[i] = mask_of(tid[i]);
	pid = mortal_daemon(&m);
	for (unsigned int i = 0; i < n_threads; i++) {
		now = mask_of(tid[i]);
		if (!cb_cpuset_equal(&now, plan != 0 ? &original[i] : &before[i]))
			fail_msg("%s:%u: the start has not %s plan %u: %s", point, times,
				 plan != 0 ? "undone" : "left alone what was kept before", plan,
				 mortal_said(&m));
	}
	n_unjudged += plan != 0;
	n_adopted += plan == 0;
	kill(pid, SIGTERM);
	assert_int_equal(mortal_status(pid), 0);
	assert_originals("a start and a stop", point, times);
}

/* --- the matrix --- */

static const char *const points[] = {
	"journal-trial",       "journal-trial-done", "journal-put",	  "journal-put-done",
	"journal-torn",	       "journal-drop",	     "journal-drop-done", "journal-rename",
	"journal-rename-done", "task-set",	     "task-set-done",	  "task-restore",
	"task-restore-done",
};
static const char *const irq_points[] = { "irq-set", "irq-set-done" };

/* Of the hundreds of records in the middle, which are all the same, not each. */
static unsigned int next_time(unsigned int times)
{
	return times < 12 ? times + 1 : times == 12 ? CHURN + 6 : times + 1;
}

static void die_everywhere(const char *point)
{
	unsigned int n = 0;

	for (unsigned int times = 1; n < TIMES_MAX; times = next_time(times), n++) {
		bool died;

		mortal_begin(&m);
		died = die_at(point, times);
		n_deaths += died;
		if (!died)
			assert_originals("nothing", point, times);
		else if (times % 3 == 1)
			start_and_stop(point, times);
		else
			restore_offline(point, times);
		mortal_end(&m);
		if (!died)
			break;
	}
	if (n == 0)
		fail_msg("%s: never reached", point);
}

static void killed_at_every_boundary(void **state)
{
	(void)state;
	if (why_not) {
		print_message("skip: %s\n", why_not);
		skip();
	}
	for (size_t i = 0; i < CB_ARRAY_SIZE(points); i++)
		die_everywhere(points[i]);
	print_message("%u deaths of a plan, %u starts undid a plan that nobody had judged, "
		      "%u adopted; 0 originals lost\n",
		      n_deaths, n_unjudged, n_adopted);
}

static void killed_around_writes_of_an_interrupt(void **state)
{
	(void)state;
	if (why_not || irq == 0) {
		print_message("skip: %s\n", why_not ? why_not : "no harmless movable interrupt");
		skip();
	}
	for (size_t i = 0; i < CB_ARRAY_SIZE(irq_points); i++)
		die_everywhere(irq_points[i]);
}

/* What can be told to kill itself is not shipped. */
static void no_fault_points_in_the_daemon(void **state)
{
	static const char word[] = "CB_FAULT";
	struct stat st;
	char *text;
	int fd;

	(void)state;
	(void)mortal_find(&m, "test_crash");
	fd = open(m.daemon, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	text = malloc((size_t)st.st_size);
	assert_non_null(text);
	assert_int_equal(read(fd, text, (size_t)st.st_size), st.st_size);
	close(fd);
	assert_null(memmem(text, (size_t)st.st_size, word, strlen(word)));
	free(text);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_fault_points_in_the_daemon),
		cmocka_unit_test(killed_at_every_boundary),
		cmocka_unit_test(killed_around_writes_of_an_interrupt),
	};

	if (argc == 7 && strcmp(argv[1], "--life") == 0)
		return live(argv + 2);
	return cmocka_run_group_tests_name("crash", tests, begin, end);
}
