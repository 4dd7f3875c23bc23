/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a steady tick costs for each registered worker: 64 processes of 8 threads that share one port by SO_REUSEPORT, with 10,000 open
 * connections. The CPU time of a tick with them less that of one without, back to back, medians of interleaved rounds. And whether
 * the table of connections that is made on demand has each of them. In a network namespace of its own; needs root.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cpubalance/host.h"

#define WORKERS	    64
#define THREADS	    8
#define CONNECTIONS 10000
#define PORT	    8000
#define ROUNDS	    40
#define TICKS	    10
#define LIMIT_SEC   30

static pid_t worker[WORKERS];
static int client[CONNECTIONS];

static void die(const char *what)
{
	fprintf(stderr, "bench_workers: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now_usec(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static struct sockaddr_in here(void)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
				     .sin_port = htons(PORT),
				     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

/* --- the servers --- */

static void *sleep_on(void *unused)
{
	for (;;)
		pause();
	return unused;
}

static void serve(int ready)
{
	struct epoll_event event = { .events = EPOLLIN };
	struct sockaddr_in address = here();
	int one = 1, listener = socket(AF_INET, SOCK_STREAM, 0), loop = epoll_create1(0);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (setsockopt(listener, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) < 0 ||
	    bind(listener, (void *)&address, sizeof(address)) < 0 || listen(listener, 1024) < 0 ||
	    epoll_ctl(loop, EPOLL_CTL_ADD, listener, &event) < 0)
		die("cannot listen");
	for (int i = 1; i < THREADS; i++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, sleep_on, NULL) != 0)
			die("cannot start a thread");
	}
	if (write(ready, "r", 1) != 1)
		die("cannot tell that all is ready");
	while (epoll_wait(loop, &event, 1, -1) >= 0 || errno == EINTR)
		if (accept(listener, NULL, NULL) < 0 && errno != EINTR)
			die("cannot accept");
}

static void start_workers(void)
{
	int ready[2];
	char c;

	if (pipe(ready) < 0)
		die("pipe");
	for (int i = 0; i < WORKERS; i++) {
		worker[i] = fork();
		if (worker[i] < 0)
			die("fork");
		if (worker[i] == 0) {
			serve(ready[1]);
			_exit(0);
		}
	}
	for (int i = 0; i < WORKERS; i++)
		if (read(ready[0], &c, 1) != 1)
			die("a worker has ended");
	close(ready[0]);
	close(ready[1]);
}

static void connect_all(void)
{
	struct sockaddr_in address = here();

	for (int i = 0; i < CONNECTIONS; i++) {
		client[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (client[i] < 0 || connect(client[i], (void *)&address, sizeof(address)) < 0)
			die("cannot connect");
	}
}

static bool enter_namespace(void)
{
	struct rlimit files = { .rlim_cur = CONNECTIONS + 4096, .rlim_max = CONNECTIONS + 4096 };
	struct ifreq up = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd;

	if (unshare(CLONE_NEWNET) < 0)
		return false;
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &up) < 0)
		die("cannot set lo up");
	close(fd);
	return setrlimit(RLIMIT_NOFILE, &files) == 0;
}

/* --- the daemon's part --- */

struct machine {
	struct cb_host *host;
	struct cb_topology *topology;
	struct cb_irqs *irqs;
	struct cb_engine *engine;
	struct cb_snapshot snapshot;
	struct cb_collect_events events;
	struct cb_decision decision;
};

static void feed(struct machine *m, struct cb_input input)
{
	input.now_usec = cb_host_now_usec(m->host);
	if (cb_engine_feed(m->engine, &input, &m->decision) < 0)
		die("the engine refused an input");
}

static void watch_all(struct machine *m)
{
	struct cb_event group = { .kind = CB_EVENT_GROUP_ADDED, .group_key = 1 };
	struct cb_err err = { .msg = "" };

	strcpy(group.group.name, "bench");
	feed(m, (struct cb_input){ .kind = CB_INPUT_EVENT, .event = &group });
	for (uint32_t i = 0; i < WORKERS; i++) {
		struct cb_event added = { .kind = CB_EVENT_WORKER_ADDED };
		struct cb_worker_identity identity;

		if (cb_host_identify(m->host, worker[i], &identity, &err) < 0 ||
		    cb_host_watch(m->host, i + 1, 1, &identity, -1, NULL, &err) < 0)
			die(err.msg);
		added.worker = (struct cb_worker_added){ .key = i + 1,
							 .group_key = 1,
							 .pid = worker[i],
							 .start_ticks = identity.start_ticks,
							 .cpuset = identity.cpuset,
							 .original = identity.mask };
		feed(m, (struct cb_input){ .kind = CB_INPUT_EVENT, .event = &added });
	}
}

static void setup(struct machine *m, bool workers)
{
	struct cb_host_options options = { 0 };
	struct cb_policy policy;
	struct cb_err err = { .msg = "" };

	m->engine = cb_engine_new(1);
	if (!m->engine || cb_host_open(&options, &m->host, &err) < 0 ||
	    cb_host_topology(m->host, 1, &m->topology, &err) < 0 ||
	    cb_host_irqs(m->host, 1, &m->irqs, &err) < 0)
		die(err.msg);
	cb_policy_init(&policy);
	policy.mode = CB_MODE_OBSERVE;
	feed(m, (struct cb_input){ .kind = CB_INPUT_POLICY, .policy = &policy });
	feed(m, (struct cb_input){ .kind = CB_INPUT_TOPOLOGY, .topology = m->topology });
	feed(m, (struct cb_input){ .kind = CB_INPUT_IRQS, .irqs = m->irqs });
	if (workers)
		watch_all(m);
	if (cb_host_prepare(m->host, m->topology, m->irqs, &m->snapshot, &err) < 0)
		die(err.msg);
}

static void done(struct machine *m)
{
	cb_snapshot_done(&m->snapshot);
	free(m->irqs);
	m->topology = cb_topology_unref(m->topology);
	m->engine = cb_engine_free(m->engine);
	m->host = cb_host_close(m->host);
}

/* CPU time, which other load on the machine does not add to. */
static double cpu_usec(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static double time_ticks(struct machine *m)
{
	double start = cpu_usec();

	for (int i = 0; i < TICKS; i++) {
		if (cb_collect(m->host, &m->snapshot, &m->events) < 0)
			die("nothing could be read");
		feed(m, (struct cb_input){ .kind = CB_INPUT_SNAPSHOT, .snapshot = &m->snapshot });
	}
	return (cpu_usec() - start) / TICKS;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values)
{
	qsort(values, ROUNDS, sizeof(*values), compare);
	return values[ROUNDS / 2];
}

/* The connections in the table, once all are accepted; and what it cost. */
static uint32_t count_connections(struct machine *m, double *ret_msec)
{
	double until = now_usec() + LIMIT_SEC * 1e6, start;
	uint32_t n = 0;

	do {
		struct cb_err err = { .msg = "" };
		struct cb_census *census;

		start = now_usec();
		n = 0;
		if (cb_host_census(m->host, false, LIMIT_SEC * CB_USEC_PER_SEC, &census, &err) < 0)
			die(err.msg);
		*ret_msec = (now_usec() - start) / 1e3;
		for (uint32_t i = 0; i < census->n_workers; i++)
			n += census->worker[i].n_connections;
		cb_census_free(census);
	} while (n != CONNECTIONS && now_usec() < until);
	return n;
}

int main(void)
{
	static struct machine with, without;
	static double each[ROUNDS];
	double msec;
	uint32_t n;

	if (geteuid() != 0 || !enter_namespace()) {
		printf("skip: no network namespace with room for %d connections\n", CONNECTIONS);
		return 0;
	}
	start_workers();
	connect_all();
	setup(&with, true);
	setup(&without, false);
	n = count_connections(&with, &msec);
	for (int i = 0; i < ROUNDS; i++)
		each[i] = (time_ticks(&with) - time_ticks(&without)) / WORKERS;
	printf("bench tick_per_worker %.2f usec bar<=12\n", median(each));
	printf("bench connections_counted %u count\n", n);
	printf("bench connections_table %.1f msec\n", msec);
	done(&with);
	done(&without);
	for (int i = 0; i < WORKERS; i++) {
		kill(worker[i], SIGKILL);
		waitpid(worker[i], NULL, 0);
	}
	if (n == CONNECTIONS)
		return 0;
	fprintf(stderr, "bench_workers: %u connections in the table, %d are open\n", n,
		CONNECTIONS);
	return 1;
}
