/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Ticks of machines made of files: what is absent is absent, what changes is reported once, sums do
 * not fall. Files are changed in place, since the collector keeps them open.
 */
#include "cpubalance/host.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/host/collect.h"
#include "tree.h"

struct machine {
	struct tree tree;
	struct cb_topology *topology;
	struct cb_irqs *irqs;
	struct cb_snapshot snapshot;
	struct cb_collect_events events;
};

static const uint32_t all_files = 1u << CB_SOURCE_STAT | 1u << CB_SOURCE_SOFTIRQS |
				  1u << CB_SOURCE_SOFTNET | 1u << CB_SOURCE_IRQ_AFFINITY;

static void write_stat(struct machine *m, const char *cpus, const char *intr)
{
	tree_printf(
		&m->tree, "proc/stat",
		"cpu  0 0 0 0\n%sintr 900 %s\nctxt 5000\nbtime 1\nprocesses 7\nprocs_running 2\n"
		"procs_blocked 1\nsoftirq 0\n",
		cpus, intr);
}

#define TWO_CPUS "cpu0 10 1 20 300 4 5 6 7 8 9\ncpu1 11 1 21 301 4 5 6 7 8 9\n"
#define ONE_CPU	 "cpu0 10 1 20 300 4 5 6 7 8 9\n"

static void write_softirqs(struct machine *m)
{
	static const char *const zero[] = { "TIMER",   "NET_TX", "BLOCK",   "IRQ_POLL",
					    "TASKLET", "SCHED",	 "HRTIMER", "RCU" };
	char text[1024] = "          CPU0       CPU1       CPU2\n"
			  "      HI:          1          2          9\n"
			  "  NET_RX:         70         80          9\n";

	for (size_t i = 0; i < CB_ARRAY_SIZE(zero); i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%8s: 0 0 0\n", zero[i]);
	tree_write(&m->tree, "proc/softirqs", text);
}

static void write_irq(struct machine *m, unsigned int irq, const char *mask, const char *effective)
{
	char path[128];

	snprintf(path, sizeof(path), "proc/irq/%u/smp_affinity_list", irq);
	tree_write(&m->tree, path, mask);
	if (!effective)
		return;
	snprintf(path, sizeof(path), "proc/irq/%u/effective_affinity_list", irq);
	tree_write(&m->tree, path, effective);
}

static int setup(void **state)
{
	struct machine *m = calloc(1, sizeof(*m));

	if (!m)
		return -1;
	tree_init(&m->tree);
	tree_write(&m->tree, "sys/devices/system/cpu/possible", "0-2\n");
	write_stat(m, TWO_CPUS, "0 100 0 300");
	*state = m;
	return 0;
}

static int teardown(void **state)
{
	struct machine *m = *state;

	cb_snapshot_done(&m->snapshot);
	cb_topology_unref(m->topology);
	free(m->irqs);
	tree_done(&m->tree);
	free(m);
	return 0;
}

static void prepare(struct machine *m)
{
	struct cb_err err = { 0 };

	if (!m->tree.host)
		tree_open(&m->tree);
	m->topology = cb_topology_unref(m->topology);
	free(m->irqs);
	m->irqs = NULL;
	if (cb_host_topology(m->tree.host, 1, &m->topology, &err) < 0 ||
	    cb_host_irqs(m->tree.host, 1, &m->irqs, &err) < 0 ||
	    cb_host_prepare(m->tree.host, m->topology, m->irqs, &m->snapshot, &err) < 0)
		fail_msg("%s", err.msg);
}

static void collect(struct machine *m)
{
	assert_int_equal(cb_collect(m->tree.host, &m->snapshot, &m->events), 0);
}

static void assert_set(const struct cb_cpuset *set, const char *expected)
{
	char buf[CB_CPULIST_MAX];

	assert_true(cb_cpuset_format_list(set, buf, sizeof(buf)) >= 0);
	assert_string_equal(buf, expected);
}

/* --- the machine --- */

static void whole_machine(void **state)
{
	struct machine *m = *state;
	const struct cb_snapshot *s = &m->snapshot;

	write_softirqs(m);
	tree_write(&m->tree, "proc/net/softnet_stat",
		   "05 02 0 0 0 0 0 0 0 0 0 0 00000000\n1b 0a 0 0 0 0 0 0 0 0 0 0 00000001\n");
	write_irq(m, 1, "0-1\n", "1\n");
	write_irq(m, 3, "0-1\n", "0\n");
	prepare(m);
	collect(m);
	assert_int_equal(s->valid, all_files);
	assert_int_equal(m->events.changed, 0);
	assert_int_equal(s->topology_generation, 1);
	assert_int_equal(s->user_hz, 100);
	assert_true(s->time_usec > 0);
	assert_int_equal(s->ctxt, 5000);
	assert_int_equal(s->intr_total, 900);
	assert_int_equal(s->procs_running, 2);
	assert_int_equal(s->procs_blocked, 1);
	assert_int_equal(s->n_cpus, 3);
	assert_int_equal(s->cpu[1].present,
			 CB_CPU_HAS_TIMES | CB_CPU_HAS_SOFTIRQS | CB_CPU_HAS_SOFTNET);
	assert_int_equal(s->cpu[1].time_ticks[CB_TIME_USER], 11);
	assert_int_equal(s->cpu[1].softirqs[CB_SOFTIRQ_NET_RX], 80);
	assert_int_equal(s->cpu[1].softnet_processed, 27);
	assert_int_equal(s->cpu[1].softnet_dropped, 10);
	assert_int_equal(s->cpu[2].present,
			 0); /* possible, not online: /proc/softirqs has a column */
	assert_int_equal(s->n_irqs, 2);
	assert_int_equal(s->irq[0].irq, 1);
	assert_int_equal(s->irq[0].count, 100);
	assert_int_equal(s->irq[0].effective_cpu, 1);
	assert_int_equal(s->irq[1].irq, 3);
	assert_int_equal(s->irq[1].count, 300);
	assert_int_equal(s->irq[1].effective_cpu, 0);
	assert_int_equal(s->n_workers, 0);
	assert_int_equal(s->n_groups, 0);
	assert_int_equal(cb_host_sources(m->tree.host), all_files);
}

/* The interface's packets are read for each of its interrupts; the others have none. */
static void packets_of_an_interface(void **state)
{
	struct machine *m = *state;

	write_irq(m, 1, "0-1\n", "1\n");
	write_irq(m, 3, "0-1\n", "0\n");
	tree_write(&m->tree, "sys/kernel/irq/3/actions", "eth0-rx-0\n");
	tree_write(&m->tree, "sys/class/net/eth0/device/msi_irqs/3", "msix\n");
	tree_write(&m->tree, "sys/class/net/eth0/statistics/rx_packets", "4711\n");
	prepare(m);
	collect(m);
	assert_true(m->snapshot.valid & 1u << CB_SOURCE_NIC_PACKETS);
	assert_int_equal(m->snapshot.irq[0].present, 0);
	assert_int_equal(m->snapshot.irq[1].present, CB_IRQ_HAS_DEVICE_PACKETS);
	assert_int_equal(m->snapshot.irq[1].device_packets, 4711);
	tree_write(&m->tree, "sys/class/net/eth0/statistics/rx_packets", "many\n");
	collect(m);
	assert_false(m->snapshot.valid & 1u << CB_SOURCE_NIC_PACKETS);
	assert_int_equal(m->snapshot.irq[1].present, 0);
}

static void absent_is_absent(void **state)
{
	struct machine *m = *state;

	tree_write(&m->tree, "proc/softirqs", "garbage\n");
	prepare(m);
	collect(m);
	assert_int_equal(m->snapshot.valid, 1u << CB_SOURCE_STAT);
	assert_int_equal(m->snapshot.cpu[0].present, CB_CPU_HAS_TIMES);
}

static void needs_cpu_times(void **state)
{
	struct machine *m = *state;
	struct cb_err err = { 0 };

	prepare(m);
	tree_write(&m->tree, "proc/stat", "nonsense\n");
	assert_int_equal(cb_collect(m->tree.host, &m->snapshot, &m->events), -EBADMSG);
	write_stat(m, TWO_CPUS, "0");
	collect(m);
	tree_remove(&m->tree, "proc/stat");
	cb_host_close(m->tree.host);
	tree_open(&m->tree);
	assert_int_equal(cb_collect(m->tree.host, &m->snapshot, &m->events),
			 -EINVAL); /* unprepared */
	assert_int_equal(cb_host_prepare(m->tree.host, m->topology, m->irqs, &m->snapshot, &err),
			 -ENOENT);
	assert_non_null(strstr(err.msg, "proc/stat"));
}

static void a_file_may_outgrow_the_buffer(void **state)
{
	static const char head[] = "cpu  0 0 0 0\n" TWO_CPUS "intr 9";
	static const char tail[] = "\nctxt 5\nprocesses 7\nprocs_running 2\nprocs_blocked 0\n";
	const size_t n_zeros = 200000;
	struct machine *m = *state;
	char *text = malloc(sizeof(head) + 2 * n_zeros + sizeof(tail)), *p = text;

	assert_non_null(text);
	prepare(m);
	p = stpcpy(p, head);
	for (size_t i = 0; i < n_zeros; i++)
		p = stpcpy(p, " 0");
	strcpy(p, tail);
	assert_true(strlen(text) > m->tree.host->buf_size);
	tree_write(&m->tree, "proc/stat", text);
	free(text);
	collect(m);
	assert_int_equal(m->snapshot.intr_total, 9);
	assert_int_equal(m->snapshot.ctxt, 5);
}

static void hotplug(void **state)
{
	struct machine *m = *state;

	prepare(m);
	collect(m);
	assert_int_equal(m->events.changed, CB_COLLECT_IRQS); /* 1 and 3 have no directory */
	write_stat(m, ONE_CPU, "0");
	collect(m);
	assert_true(m->events.changed & CB_COLLECT_TOPOLOGY);
	prepare(m);
	collect(m);
	assert_int_equal(m->events.changed, 0);
	assert_int_equal(m->snapshot.cpu[1].present, 0);
}

/* Some interrupts are counted that no directory ever shows: said once, not every second. */
static void a_new_interrupt_is_news_once(void **state)
{
	struct machine *m = *state;

	write_irq(m, 1, "0\n", "0\n");
	prepare(m);
	collect(m);
	assert_int_equal(m->events.changed, CB_COLLECT_IRQS);
	prepare(m);
	collect(m);
	assert_int_equal(m->events.changed, 0);
	write_irq(m, 3, "0\n", "0\n");
	prepare(m);
	collect(m);
	assert_int_equal(m->events.changed, 0);
	write_stat(m, TWO_CPUS, "0 100 0 300 1");
	collect(m);
	assert_int_equal(m->events.changed, CB_COLLECT_IRQS);
}

/* --- interrupts --- */

static void masks_of_placed_interrupts(void **state)
{
	struct machine *m = *state;
	struct cb_err err = { 0 };

	write_irq(m, 1, "0-1\n", "0\n");
	write_irq(m, 3, "0-1\n", "0\n");
	write_irq(m, 7, "1\n", NULL); /* not every architecture says where */
	prepare(m);
	m->irqs->irq[0].placed = true;
	assert_int_equal(cb_host_prepare(m->tree.host, m->topology, m->irqs, &m->snapshot, &err),
			 0);
	collect(m);
	assert_int_equal(m->events.n_irq_masks, 0);
	assert_int_equal(m->snapshot.irq[2].effective_cpu, 1);
	write_irq(m, 1, "1\n", "1\n");
	write_irq(m, 3, "1\n", "1\n");
	collect(m);
	/* The placed one is read in each tick, the other when its turn comes. */
	assert_int_equal(m->snapshot.irq[0].effective_cpu, 1);
	assert_int_equal(m->events.n_irq_masks, 1);
	assert_int_equal(m->events.irq_mask[0].irq, 1);
	assert_set(&m->events.irq_mask[0].mask, "1");
	collect(m);
	assert_int_equal(m->events.n_irq_masks, 0);
	/* The same in other words is no news. */
	write_irq(m, 1, "1-1\n", "1-1\n");
	collect(m);
	assert_int_equal(m->events.n_irq_masks, 0);
	assert_int_equal(m->snapshot.irq[0].effective_cpu, 1);
	/* Nor is what cannot be read; where it lands is what it was. */
	write_irq(m, 1, "all\n", "everywhere\n");
	collect(m);
	assert_int_equal(m->events.n_irq_masks, 0);
	assert_int_equal(m->snapshot.irq[0].effective_cpu, 1);
	write_irq(m, 1, "0\n", "0-1\n");
	collect(m);
	assert_int_equal(m->events.n_irq_masks, 1);
	assert_int_equal(m->snapshot.irq[0].effective_cpu, -1);
}

static void interrupts_take_turns(void **state)
{
	struct machine *m = *state;
	struct cb_irq_watch *watch;
	uint64_t now = 1000 * CB_USEC_PER_SEC;
	uint32_t n_news = 0;

	for (unsigned int irq = 10; irq < 110; irq++)
		write_irq(m, irq, "0-1\n", "0\n");
	prepare(m);
	watch = cb_irq_watch_new(m->tree.host, m->irqs, now);
	assert_non_null(watch);
	for (unsigned int irq = 10; irq < 110; irq++)
		write_irq(m, irq, "1\n", "1\n");
	for (unsigned int second = 0; second < 10; second++) {
		m->events.n_irq_masks = 0;
		now += CB_USEC_PER_SEC;
		cb_irq_watch_collect(watch, m->tree.host, now, &m->snapshot, &m->events);
		assert_in_range(m->events.n_irq_masks, 8, 12);
		n_news += m->events.n_irq_masks;
	}
	assert_int_equal(n_news, 100);
	for (uint32_t i = 0; i < 100; i++)
		assert_int_equal(m->snapshot.irq[i].effective_cpu, 1);
	/* More news than there is room for: the rest comes at the next turn. */
	for (unsigned int irq = 10; irq < 110; irq++)
		write_irq(m, irq, "0\n", "0\n");
	now += 60 * CB_USEC_PER_SEC;
	m->events.n_irq_masks = 0;
	cb_irq_watch_collect(watch, m->tree.host, now, &m->snapshot, &m->events);
	assert_int_equal(m->events.n_irq_masks, CB_ARRAY_SIZE(m->events.irq_mask));
	cb_irq_watch_free(watch);
}

/* --- workers --- */

static const struct tree_task worker_task = {
	.pid = 500,
	.tid = 500,
	.comm = "worker",
	.start_ticks = 77,
	.n_threads = 2,
	.utime_ticks = 30,
	.stime_ticks = 10,
	.last_cpu = 1,
	.mask = "0-1",
	.cpu_nsec = 1000,
	.wait_nsec = 10,
	.vol = 5,
	.invol = 1,
};

static void watch(struct machine *m, uint32_t key, uint32_t group, int32_t pid)
{
	struct cb_worker_identity identity;
	struct cb_err err = { 0 };
	int pidfd = 99;

	if (!m->tree.host)
		tree_open(&m->tree);
	if (cb_host_identify(m->tree.host, pid, &identity, &err) < 0 ||
	    cb_host_watch(m->tree.host, key, group, &identity, -1, &pidfd, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(pidfd, -1);
}

static void sums_threads(void **state)
{
	struct machine *m = *state;
	struct tree_task main_thread = worker_task, thread = worker_task;
	const struct cb_worker_sample *w;

	thread.tid = 501;
	thread.cpu_nsec = 200;
	tree_task(&m->tree, &main_thread);
	tree_task(&m->tree, &thread);
	watch(m, 1, 1, 500);
	prepare(m);
	collect(m);
	w = &m->snapshot.worker[0];
	assert_int_equal(m->snapshot.n_workers, 1);
	assert_int_equal(w->key, 1);
	assert_int_equal(w->present, CB_WORKER_HAS_CPU | CB_WORKER_HAS_WAIT |
					     CB_WORKER_HAS_SWITCHES | CB_WORKER_HAS_THREADS |
					     CB_WORKER_HAS_LAST_CPU | CB_WORKER_HAS_MASK |
					     CB_WORKER_HAS_STATE);
	assert_int_equal(w->cpu_nsec, 1200);
	assert_int_equal(w->wait_nsec, 20);
	assert_int_equal(w->vol_switches, 10);
	assert_int_equal(w->invol_switches, 2);
	assert_int_equal(w->n_threads, 2);
	assert_int_equal(w->last_cpu, 1);
	assert_set(&w->mask, "0-1");
	assert_true(m->snapshot.valid & (1u << CB_SOURCE_TASK_PROC));
	assert_false(m->snapshot.valid & (1u << CB_SOURCE_TASKSTATS));

	/* One more thread, and the second one ends: what it had stays counted. */
	tree_remove(&m->tree, "proc/500/task/501");
	thread.tid = 502;
	thread.cpu_nsec = 30;
	tree_task(&m->tree, &thread);
	thread.tid = 503;
	tree_task(&m->tree, &thread);
	main_thread.n_threads = 3;
	tree_task(&m->tree, &main_thread);
	collect(m);
	assert_int_equal(w->cpu_nsec, 1000 + 200 + 30 + 30);
	assert_int_equal(w->n_threads, 3);
	main_thread.n_threads = 1;
	tree_task(&m->tree, &main_thread);
	tree_remove(&m->tree, "proc/500/task/502");
	tree_remove(&m->tree, "proc/500/task/503");
	collect(m);
	assert_int_equal(w->cpu_nsec, 1260);
}

/*
 * Without schedstat only the process's CPU time is known, in ticks; and the same with too many
 * threads.
 */
static void coarse_cpu_time(void **state)
{
	struct machine *m = *state;
	struct tree_task task = worker_task;

	tree_task(&m->tree, &task);
	tree_remove(&m->tree, "proc/500/task/500/schedstat");
	task.pid = task.tid = 600;
	task.n_threads = CB_THREADS_MAX + 1;
	tree_task(&m->tree, &task);
	for (uint32_t i = 1; i <= CB_THREADS_MAX; i++) {
		char path[64];

		snprintf(path, sizeof(path), "proc/600/task/%u", 600 + i);
		tree_mkdir(&m->tree, path);
	}
	watch(m, 1, 1, 500);
	watch(m, 2, 1, 600);
	prepare(m);
	collect(m);
	for (uint32_t i = 0; i < 2; i++) {
		assert_true(m->snapshot.worker[i].present & CB_WORKER_HAS_CPU);
		assert_false(m->snapshot.worker[i].present &
			     (CB_WORKER_HAS_WAIT | CB_WORKER_HAS_SWITCHES));
		assert_int_equal(m->snapshot.worker[i].cpu_nsec, 400000000);
	}
}

static void reports_the_dead(void **state)
{
	struct machine *m = *state;
	struct tree_task task = worker_task;

	tree_task(&m->tree, &task);
	task.pid = task.tid = 600;
	tree_task(&m->tree, &task);
	watch(m, 3, 1, 500);
	watch(m, 8, 1, 600);
	prepare(m);
	collect(m);
	assert_int_equal(m->events.n_gone, 0);
	task.state = 'Z';
	tree_task(&m->tree, &task);
	collect(m);
	assert_int_equal(m->events.n_gone, 1);
	assert_int_equal(m->events.gone[0], 8);
	assert_int_equal(m->snapshot.n_workers, 2);
	assert_int_equal(m->snapshot.worker[1].key, 8);
	assert_int_equal(m->snapshot.worker[1].present, 0);
	/* The number is somebody else's now. */
	task = worker_task;
	task.start_ticks = 78;
	tree_task(&m->tree, &task);
	collect(m);
	assert_int_equal(m->events.n_gone, 2);
	cb_host_unwatch(m->tree.host, 8);
	cb_host_unwatch(m->tree.host, 8);
	cb_host_unwatch(m->tree.host, 3);
	collect(m);
	assert_int_equal(m->snapshot.n_workers, 0);
	assert_int_equal(m->snapshot.n_groups, 0);
}

static void reports_changed_masks(void **state)
{
	struct machine *m = *state;
	struct tree_task task = worker_task, thread = worker_task;

	thread.tid = 501;
	thread.mask = "1";
	tree_task(&m->tree, &task);
	tree_task(&m->tree, &thread);
	watch(m, 1, 1, 500);
	prepare(m);
	collect(m);
	/* A thread that differs from the main thread is news at the first look. */
	assert_int_equal(m->events.n_worker_masks, 1);
	assert_int_equal(m->events.worker_mask[0].key, 1);
	assert_set(&m->events.worker_mask[0].mask, "1");
	collect(m);
	assert_int_equal(m->events.n_worker_masks, 0);
	task.mask = "0";
	tree_task(&m->tree, &task);
	collect(m);
	assert_int_equal(m->events.n_worker_masks, 1);
	assert_set(&m->events.worker_mask[0].mask, "0");
	assert_set(&m->snapshot.worker[0].mask, "0");
	collect(m);
	assert_int_equal(m->events.n_worker_masks, 0);
}

static void watch_limits(void **state)
{
	struct machine *m = *state;
	struct cb_worker_identity identity;
	struct tree_task task = worker_task;
	struct cb_err err = { 0 };
	struct cb_host *host;

	tree_task(&m->tree, &task);
	host = tree_open(&m->tree);
	assert_int_equal(cb_host_identify(host, 500, &identity, &err), 0);
	for (uint32_t i = 0; i < CB_GROUPS_MAX; i++)
		assert_int_equal(cb_host_watch(host, i + 1, i + 1, &identity, -1, NULL, &err), 0);
	assert_int_equal(cb_host_watch(host, 5, 1, &identity, -1, NULL, &err), -EEXIST);
	assert_int_equal(cb_host_watch(host, 500, 500, &identity, -1, NULL, &err), -E2BIG);
	assert_non_null(strstr(err.msg, "64 groups"));
	cb_host_unwatch(host, 7);
	assert_int_equal(cb_host_watch(host, 7, 500, &identity, -1, NULL, &err), 0);
	prepare(m);
	collect(m);
	assert_int_equal(m->snapshot.n_groups, CB_GROUPS_MAX);
	for (uint32_t i = 1; i < CB_GROUPS_MAX; i++)
		assert_true(m->snapshot.group[i - 1].key < m->snapshot.group[i].key);
	/* One more than was prepared for. */
	assert_int_equal(cb_host_watch(host, 900, 1, &identity, -1, NULL, &err), 0);
	assert_int_equal(cb_collect(host, &m->snapshot, &m->events), -EINVAL);
	identity.start_ticks++;
	assert_int_equal(cb_host_watch(host, 901, 1, &identity, -1, NULL, &err), -ESRCH);
	identity.pid = 4;
	assert_int_equal(cb_host_watch(host, 901, 1, &identity, -1, NULL, &err), -ESRCH);
	assert_non_null(strstr(err.msg, "process 4"));
}

static void worker_limit(void **state)
{
	struct machine *m = *state;
	struct cb_worker_identity identity;
	struct tree_task task = worker_task;
	struct cb_err err = { 0 };
	struct cb_host *host;

	tree_task(&m->tree, &task);
	host = tree_open(&m->tree);
	assert_int_equal(cb_host_identify(host, 500, &identity, &err), 0);
	for (uint32_t i = CB_WORKERS_MAX; i > 0; i--) {
		int r = cb_host_watch(host, i, 1, &identity, -1, NULL, &err);

		if (r == -EMFILE) {
			print_message("skip: no descriptors for %u workers here\n", CB_WORKERS_MAX);
			skip();
		}
		assert_int_equal(r, 0);
	}
	assert_int_equal(cb_host_watch(host, 5000, 1, &identity, -1, NULL, &err), -E2BIG);
	assert_non_null(strstr(err.msg, "1024 workers"));
	for (uint32_t i = 1; i <= CB_WORKERS_MAX; i++)
		assert_int_equal(host->watch->watch[i - 1]->key, i);
}

/* --- groups --- */

static void write_snmp(struct machine *m, int pid, unsigned int in, unsigned int out)
{
	char path[64];

	snprintf(path, sizeof(path), "proc/%d/net/snmp", pid);
	tree_printf(&m->tree, path,
		    "Tcp: RtoAlgorithm InSegs OutSegs\nTcp: 1 %u %u\n"
		    "Udp: InDatagrams NoPorts InErrors OutDatagrams\nUdp: 0 0 0 0\n",
		    in, out);
}

static void packets_of_a_group(void **state)
{
	struct machine *m = *state;
	struct tree_task task = worker_task;

	tree_task(&m->tree, &task);
	write_snmp(m, 500, 1000, 500);
	task.pid = task.tid = 600;
	tree_task(&m->tree, &task);
	write_snmp(m, 600, 5, 5);
	task.pid = task.tid = 700;
	tree_task(&m->tree, &task);
	watch(m, 1, 10, 500);
	watch(m, 2, 20, 600);
	watch(m, 3, 30, 700);
	prepare(m);
	collect(m);
	assert_int_equal(m->snapshot.n_groups, 3);
	assert_int_equal(m->snapshot.group[0].key, 10);
	assert_int_equal(m->snapshot.group[0].present, CB_GROUP_HAS_PACKETS);
	assert_int_equal(m->snapshot.group[0].packets, 0);
	assert_int_equal(m->snapshot.group[2].present, 0); /* its file is missing */
	write_snmp(m, 500, 1100, 550);
	collect(m);
	assert_int_equal(m->snapshot.group[0].packets, 150);
	assert_int_equal(m->snapshot.group[1].packets, 0);
	write_snmp(m, 500, 3, 2); /* counters began anew */
	collect(m);
	assert_int_equal(m->snapshot.group[0].packets, 150);
	write_snmp(m, 500, 4, 2);
	collect(m);
	assert_int_equal(m->snapshot.group[0].packets, 151);
	tree_write(&m->tree, "proc/500/net/snmp", "");
	collect(m);
	assert_int_equal(m->snapshot.group[0].present, 0);
	cb_host_unwatch(m->tree.host, 1);
	collect(m);
	assert_int_equal(m->snapshot.n_groups, 2);
	assert_int_equal(m->snapshot.group[0].key, 20);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(whole_machine),
		TEST(packets_of_an_interface),
		TEST(absent_is_absent),
		TEST(needs_cpu_times),
		TEST(a_file_may_outgrow_the_buffer),
		TEST(hotplug),
		TEST(a_new_interrupt_is_news_once),
		TEST(masks_of_placed_interrupts),
		TEST(interrupts_take_turns),
		TEST(sums_threads),
		TEST(coarse_cpu_time),
		TEST(reports_the_dead),
		TEST(reports_changed_masks),
		TEST(watch_limits),
		TEST(worker_limit),
		TEST(packets_of_a_group),
	};

	return cmocka_run_group_tests_name("collect", tests, NULL, NULL);
}
