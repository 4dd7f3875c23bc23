/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a scrape costs the daemon: the text of a machine of 256 CPUs and 1,000 interrupts with 64 workers, by time for each series, by
 * size, and by whether the buffer moves once it is big enough.
 */
#include <string.h>

#include "bench.h"
#include "daemon/manager.h"
#include "daemon/metrics.h"
#include "daemon/metrics_rows.h"

#define CPUS	256u
#define IRQS	1000u
#define WORKERS 64u
#define ROUNDS	101

static struct cb_manager manager;
static struct cb_policy policy;
static struct cb_decision decision;
static uint64_t now_usec = 1000 * CB_USEC_PER_SEC;

static void feed(struct cb_input input)
{
	input.now_usec = now_usec;
	if (cb_engine_feed(manager.engine, &input, &decision) < 0)
		bench_die(cb_input_kind_name(input.kind));
}

static void feed_event(const struct cb_event *event)
{
	feed((struct cb_input){ .kind = CB_INPUT_EVENT, .event = event });
}

static void make_machine(void)
{
	struct cb_topology *topology = bench_must(cb_topology_new(CPUS));
	struct cb_irqs *irqs = bench_must(calloc(1, sizeof(*irqs) + IRQS * sizeof(irqs->irq[0])));

	cb_cpuset_set_range(&topology->possible, 0, CPUS - 1);
	topology->online = topology->possible;
	topology->n_online = CPUS;
	irqs->n = IRQS;
	for (uint32_t i = 0; i < IRQS; i++) {
		irqs->irq[i].irq = i + 24;
		snprintf(irqs->irq[i].actions, sizeof(irqs->irq[i].actions), "eth%u-TxRx-%u",
			 i / 64, i % 64);
	}
	manager.topology = topology;
	manager.irqs = irqs;
	feed((struct cb_input){ .kind = CB_INPUT_TOPOLOGY, .topology = topology });
	feed((struct cb_input){ .kind = CB_INPUT_IRQS, .irqs = irqs });
}

static void make_workers(void)
{
	struct cb_event event = { .kind = CB_EVENT_GROUP_ADDED,
				  .group_key = 1,
				  .group = { .name = "web" } };

	feed_event(&event);
	for (uint32_t i = 1; i <= WORKERS; i++) {
		event = (struct cb_event){ .kind = CB_EVENT_WORKER_ADDED,
					   .worker = {
						   .key = i, .group_key = 1, .pid = (int32_t)i } };
		feed_event(&event);
	}
}

static void fill_cpu(struct cb_cpu_sample *cpu, uint32_t number, uint32_t tick)
{
	cpu->present = CB_CPU_HAS_TIMES | CB_CPU_HAS_SOFTIRQS | CB_CPU_HAS_CTXSW;
	cpu->time_ticks[CB_TIME_USER] = (uint64_t)tick * (number % 60);
	cpu->time_ticks[CB_TIME_SOFTIRQ] = (uint64_t)tick * (number % 7);
	cpu->time_ticks[CB_TIME_IDLE] = (uint64_t)tick * (100 - number % 60 - number % 7);
	cpu->ctxsw = (uint64_t)tick * (1000 + 37 * number);
	for (int i = 0; i < _CB_SOFTIRQ_MAX; i++)
		cpu->softirqs[i] = (uint64_t)tick * number;
}

static void pass_second(uint32_t tick)
{
	struct cb_snapshot *s = &manager.snapshot;

	now_usec += CB_USEC_PER_SEC;
	s->time_usec = now_usec;
	s->topology_generation = manager.topology->generation;
	s->user_hz = 100;
	s->n_cpus = CPUS;
	s->n_irqs = IRQS;
	s->n_workers = WORKERS;
	for (uint32_t i = 0; i < CPUS; i++)
		fill_cpu(&s->cpu[i], i, tick);
	for (uint32_t i = 0; i < IRQS; i++)
		s->irq[i] = (struct cb_irq_sample){ .irq = i + 24,
						    .effective_cpu = (int32_t)(i % CPUS),
						    .count = (uint64_t)tick * (i * 7919 % IRQS) };
	for (uint32_t i = 0; i < WORKERS; i++)
		s->worker[i] = (struct cb_worker_sample){
			.key = i + 1,
			.present = CB_WORKER_HAS_CPU | CB_WORKER_HAS_WAIT,
			.cpu_nsec = (uint64_t)tick * 7000000 * i,
			.wait_nsec = (uint64_t)tick * 9000 * i,
		};
	feed((struct cb_input){ .kind = CB_INPUT_SNAPSHOT, .snapshot = s });
}

static void setup(void)
{
	cb_policy_init(&policy);
	manager.policy = manager.effective = &policy;
	manager.report.kernel = "6.1";
	manager.engine = bench_must(cb_engine_new(1));
	manager.metrics = bench_must(cb_metrics_new());
	feed((struct cb_input){ .kind = CB_INPUT_POLICY, .policy = &policy });
	make_machine();
	make_workers();
	if (cb_snapshot_reserve(&manager.snapshot, CPUS, IRQS, WORKERS, 1) < 0)
		bench_die("not enough memory");
	for (uint32_t tick = 1; tick <= 5; tick++)
		pass_second(tick);
	manager.n_samples = manager.n_ticks = 5;
}

static unsigned int count_series(const char *text)
{
	unsigned int n = 0;

	for (const char *p = text; *p; p = strchr(p, '\n') + 1)
		n += *p != '#';
	return n;
}

static void measure(enum cb_detail detail, double bar_bytes)
{
	static double spent[ROUNDS];
	const char *text, *was;
	unsigned int n_series;
	char name[64];

	policy.metrics_detail = detail;
	was = cb_metrics_render(manager.metrics, &manager);
	n_series = count_series(bench_must((void *)was));
	for (int i = 0; i < ROUNDS; i++) {
		double begin = bench_now_usec();

		text = cb_metrics_render(manager.metrics, &manager);
		spent[i] = (bench_now_usec() - begin) * 1000 / n_series;
		if (text != was)
			bench_die("the buffer moves");
	}
	snprintf(name, sizeof(name), "metrics_%s_series", cb_detail_name(detail));
	bench_show(name, n_series, "series", 0);
	snprintf(name, sizeof(name), "metrics_%s_size", cb_detail_name(detail));
	bench_show(name, (double)strlen(text), "bytes", bar_bytes);
	snprintf(name, sizeof(name), "metrics_%s_series_time", cb_detail_name(detail));
	/* Of the quiet rounds: what others do to the caches meanwhile is not ours. */
	bench_median(spent, ROUNDS);
	bench_show(name, spent[ROUNDS / 4], "nsec", 60);
}

int main(void)
{
	setup();
	measure(CB_DETAIL_CPU, 100e3);
	measure(CB_DETAIL_FULL, 0);
	cb_metrics_free(manager.metrics);
	cb_snapshot_done(&manager.snapshot);
	cb_engine_free(manager.engine);
	cb_topology_unref(manager.topology);
	free(manager.irqs);
	return 0;
}
