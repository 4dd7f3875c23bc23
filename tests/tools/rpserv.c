/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * rpserv: an HTTP/1.1 keep-alive server of N processes, each with a listening socket of its own in
 * one SO_REUSEPORT group, as nginx with "listen ... reuseport" is. It answers every request with
 * "worker INDEX" after a fixed amount of CPU work.
 *
 * The parent only starts the workers, keeps the pid file true and ends them; it has no socket. The
 * workers die with it, however it dies.
 *
 * To be a process tree that a daemon must follow, a worker obeys three signals:
 *   SIGUSR1  it executes itself anew: same pid, same sockets and connections
 *   SIGUSR2  it forks a successor, which keeps all sockets and connections, and exits
 *   SIGHUP   it starts one more (idle) thread
 * None of them loses a request: the descriptors, the epoll instance among them, simply stay open.
 *
 * Signals only set flags, looked at between two rounds of events. The wait for events ends after
 * FLAG_WAIT_MSEC at the latest, so a signal that came just before the wait is not lost. (The
 * signal mask of epoll_pwait() would not do: a busy worker always has events, and pending signals
 * would then never be let in.)
 */

#include "tool.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_WORKERS    256
#define MAX_THREADS    256
#define MAX_FILES      65536
#define MAX_EVENTS     64
#define MAX_ACCEPTS    64 /* per round, so that a flood of connections starves no request */
#define FLAG_WAIT_MSEC 100
#define STOP_MSEC      2000 /* then the workers are killed */
#define THREAD_STACK   (64 * 1024)

struct options {
	struct sockaddr_in address;
	unsigned int workers;
	unsigned int threads;
	uint64_t burn_usec;
	uint64_t seconds;
	cpu_set_t cpus; /* empty: leave the mask as it is */
	const char *pid_file;
};

/* All that a worker is; what survives an exec is in its --resume argument. */
struct worker {
	unsigned int index;
	int listen_fd;
	int epoll_fd;
	int report_fd;
	unsigned int threads;
	uint64_t iterations; /* of tool_spin() for one request */
	pid_t parent;
	char response[128];
	size_t response_len;
	unsigned char matched[MAX_FILES]; /* by fd: bytes of the empty line seen so far */
};

/* A worker tells the parent which process serves an index from now on. */
struct report {
	unsigned int index;
	pid_t pid;
};

struct parent {
	const struct options *options;
	unsigned int reported;
	unsigned int alive;
	pid_t pids[MAX_WORKERS]; /* 0: not there */
	int report_fd;
	int signal_fd;
};

static volatile sig_atomic_t exec_wanted, fork_wanted, thread_wanted;
static char program_path[PATH_MAX];
static struct worker worker;

/*
 * The worker
 */

static void on_signal(int number)
{
	if (number == SIGTERM || number == SIGINT)
		_exit(EXIT_SUCCESS);
	if (number == SIGUSR1)
		exec_wanted = 1;
	if (number == SIGUSR2)
		fork_wanted = 1;
	if (number == SIGHUP)
		thread_wanted = 1;
}

static void catch_signals(void)
{
	static const int numbers[] = {SIGTERM, SIGINT, SIGUSR1, SIGUSR2, SIGHUP};
	struct sigaction action = {.sa_handler = on_signal};
	sigset_t none;

	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		sigaction(numbers[i], &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void block_signals(sigset_t *ret_before)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, ret_before);
}

static void *idle_thread(void *argument)
{
	for (;;)
		pause();
	return argument;
}

/* An idle thread takes no signals: those are for the thread that serves. */
static void start_thread(void)
{
	pthread_attr_t attributes;
	pthread_t thread;
	sigset_t before;
	int r;

	block_signals(&before);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, THREAD_STACK);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	r = pthread_create(&thread, &attributes, idle_thread, NULL);
	pthread_attr_destroy(&attributes);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r != 0)
		tool_warn("worker %u: cannot start a thread: %s", worker.index, strerror(r));
}

static void report_pid(pid_t pid)
{
	struct report report = {.index = worker.index, .pid = pid};

	if (write(worker.report_fd, &report, sizeof(report)) != (ssize_t)sizeof(report))
		tool_die("worker %u: cannot report to the parent: %m", worker.index);
}

/* Die with the parent; end at once when it is dead already. */
static void follow_parent(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != worker.parent)
		_exit(EXIT_FAILURE);
}

static void accept_ready(void)
{
	for (unsigned int i = 0; i < MAX_ACCEPTS; i++) {
		struct epoll_event event = {.events = EPOLLIN};
		int fd = accept4(worker.listen_fd, NULL, NULL, SOCK_NONBLOCK);

		if (fd < 0)
			return; /* nobody waits any more, or out of files: the client sees it */
		event.data.fd = fd;
		if (fd >= MAX_FILES || epoll_ctl(worker.epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0) {
			close(fd);
			continue;
		}
		worker.matched[fd] = 0;
	}
}

/* A response is far smaller than a socket buffer; a client that does not read them is dropped. */
static void serve_ready(int fd)
{
	char buffer[4096];
	ssize_t n = read(fd, buffer, sizeof(buffer));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	for (ssize_t i = 0; i < n; i++) {
		unsigned int matched = worker.matched[fd];

		if (buffer[i] == "\r\n\r\n"[matched])
			matched++;
		else
			matched = buffer[i] == '\r';
		if (matched == 4) {
			matched = 0;
			tool_spin(worker.iterations);
			if (write(fd, worker.response, worker.response_len) !=
			    (ssize_t)worker.response_len)
				n = 0;
		}
		worker.matched[fd] = (unsigned char)matched;
	}
	if (n <= 0)
		close(fd);
}

/* Returns only when that failed; then the worker goes on as it is. */
static void execute_anew(void)
{
	char state[128];
	char *arguments[] = {program_path, (char *)"--resume", state, NULL};
	sigset_t before;

	snprintf(state, sizeof(state), "%u:%d:%d:%d:%u:%llu:%d", worker.index, worker.listen_fd,
		 worker.epoll_fd, worker.report_fd, worker.threads,
		 (unsigned long long)worker.iterations, (int)worker.parent);
	/* Blocked until the new program has its handlers: a second signal must not kill it. */
	block_signals(&before);
	execv(program_path, arguments);
	tool_warn("worker %u: cannot execute %s: %m", worker.index, program_path);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/*
 * The old process reports its successor before it exits, so that the parent never takes its end
 * for the loss of a worker. The successor waits for that end, since the epoll instance is shared;
 * then it is a child of the parent, which is a subreaper.
 */
static void fork_successor(void)
{
	pid_t old = getpid(), pid;
	sigset_t before;

	block_signals(&before); /* not to end between the fork and the report */
	pid = fork();
	if (pid > 0) {
		report_pid(pid);
		_exit(EXIT_SUCCESS);
	}
	if (pid < 0) {
		tool_warn("worker %u: cannot fork: %m", worker.index);
		pthread_sigmask(SIG_SETMASK, &before, NULL);
		return;
	}
	while (getppid() == old)
		usleep(500);
	follow_parent();
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	for (unsigned int i = 0; i < worker.threads; i++)
		start_thread();
}

static void obey_flags(void)
{
	if (thread_wanted) {
		thread_wanted = 0;
		if (worker.threads < MAX_THREADS) {
			worker.threads++;
			start_thread();
		}
	}
	if (exec_wanted) {
		exec_wanted = 0;
		execute_anew();
	}
	if (fork_wanted) {
		fork_wanted = 0;
		fork_successor();
	}
}

__attribute__((__noreturn__)) static void worker_serve(void)
{
	struct epoll_event events[MAX_EVENTS];
	char body[32];
	int body_len;

	body_len = snprintf(body, sizeof(body), "worker %u\n", worker.index);
	worker.response_len = (size_t)snprintf(worker.response, sizeof(worker.response),
					       "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s",
					       body_len, body);
	for (unsigned int i = 0; i < worker.threads; i++)
		start_thread();
	for (;;) {
		int n = epoll_wait(worker.epoll_fd, events, MAX_EVENTS, FLAG_WAIT_MSEC);

		if (n < 0 && errno != EINTR)
			tool_die("worker %u: cannot wait for events: %m", worker.index);
		for (int i = 0; i < n; i++) {
			if (events[i].data.fd == worker.listen_fd)
				accept_ready();
			else
				serve_ready(events[i].data.fd);
		}
		obey_flags();
	}
}

static int open_listener(const struct sockaddr_in *address)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;

	if (fd < 0)
		tool_die("cannot make a socket: %m");
	/* Accepted sockets inherit TCP_NODELAY. */
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) < 0 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0)
		tool_die("cannot set the options of a socket: %m");
	if (bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ||
	    listen(fd, 1024) < 0)
		tool_die("cannot listen on port %u: %m", ntohs(address->sin_port));
	return fd;
}

__attribute__((__noreturn__)) static void worker_run(const struct options *options)
{
	struct epoll_event event = {.events = EPOLLIN};

	follow_parent();
	if (CPU_COUNT(&options->cpus) > 0)
		tool_pin(&options->cpus);
	worker.listen_fd = open_listener(&options->address);
	worker.epoll_fd = epoll_create1(0);
	event.data.fd = worker.listen_fd;
	if (worker.epoll_fd < 0 ||
	    epoll_ctl(worker.epoll_fd, EPOLL_CTL_ADD, worker.listen_fd, &event) < 0)
		tool_die("worker %u: cannot set up epoll: %m", worker.index);
	catch_signals();
	report_pid(getpid());
	worker_serve();
}

__attribute__((__noreturn__)) static void worker_resume(const char *state)
{
	unsigned long long iterations;
	int parent;

	/* Written by execute_anew(), not by a user. */
	if (sscanf(state, "%u:%d:%d:%d:%u:%llu:%d", &worker.index, &worker.listen_fd,
		   &worker.epoll_fd, &worker.report_fd, &worker.threads, &iterations, &parent) != 7)
		tool_die("--resume is for a worker that executes itself");
	worker.iterations = iterations;
	worker.parent = (pid_t)parent;
	follow_parent();
	catch_signals();
	worker_serve();
}

/*
 * The parent
 */

static void write_pid_file(const struct parent *parent)
{
	if (parent->options->pid_file)
		tool_write_pids(parent->options->pid_file, parent->pids, parent->options->workers);
}

static void read_reports(struct parent *parent)
{
	struct report report;
	bool changed = false;

	while (read(parent->report_fd, &report, sizeof(report)) == (ssize_t)sizeof(report)) {
		if (report.index >= parent->options->workers)
			continue;
		parent->pids[report.index] = report.pid;
		parent->reported++;
		changed = true;
	}
	if (changed && parent->reported >= parent->options->workers)
		write_pid_file(parent);
}

/* Reports come before the end of the process that sent them, so read them in between. */
static void reap_children(struct parent *parent)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		read_reports(parent);
		for (unsigned int i = 0; i < parent->options->workers; i++) {
			if (parent->pids[i] != pid)
				continue;
			parent->pids[i] = 0;
			parent->alive--;
			tool_warn("worker %u (pid %d) ended: %s %d", i, (int)pid,
				  WIFSIGNALED(status) ? "signal" : "status",
				  WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
			write_pid_file(parent);
		}
	}
}

/* A successor may be born while we end: go on until there is no child left. */
static void stop_workers(struct parent *parent)
{
	uint64_t end_nsec = tool_now_nsec() + STOP_MSEC * TOOL_NSEC_PER_MSEC;
	int number = SIGTERM;

	for (;;) {
		pid_t pid = waitpid(-1, NULL, WNOHANG);

		if (pid < 0)
			break;
		read_reports(parent);
		for (unsigned int i = 0; i < parent->options->workers; i++) {
			if (pid > 0 && parent->pids[i] == pid)
				parent->pids[i] = 0;
			else if (pid == 0 && parent->pids[i] > 0)
				kill(parent->pids[i], number);
		}
		/* One that never was reported dies of our own end. */
		if (tool_now_nsec() > end_nsec + STOP_MSEC * TOOL_NSEC_PER_MSEC)
			break;
		if (tool_now_nsec() > end_nsec)
			number = SIGKILL;
		if (pid == 0)
			usleep(1000);
	}
	if (parent->options->pid_file)
		unlink(parent->options->pid_file);
}

static int parent_run(struct parent *parent)
{
	uint64_t end_nsec = tool_now_nsec() + parent->options->seconds * TOOL_NSEC_PER_SEC;

	for (;;) {
		struct pollfd fds[] = {
			{.fd = parent->report_fd, .events = POLLIN},
			{.fd = parent->signal_fd, .events = POLLIN},
		};
		uint64_t now = tool_now_nsec();
		struct signalfd_siginfo signal;

		if (now >= end_nsec)
			break;
		poll(fds, 2, (int)((end_nsec - now) / TOOL_NSEC_PER_MSEC) + 1);
		read_reports(parent);
		if (read(parent->signal_fd, &signal, sizeof(signal)) != (ssize_t)sizeof(signal))
			continue;
		if (signal.ssi_signo == SIGTERM || signal.ssi_signo == SIGINT)
			break;
		reap_children(parent);
		if (parent->alive == 0 || (parent->alive < parent->options->workers &&
					   parent->reported < parent->options->workers)) {
			stop_workers(parent);
			tool_die(parent->alive == 0 ? "no worker is left" :
						      "not all workers could start");
		}
	}
	stop_workers(parent);
	return EXIT_SUCCESS;
}

/* The signals of the parent stay blocked over fork(): each worker lets its own in when ready. */
static int serve(const struct options *options)
{
	struct parent parent = {.options = options, .alive = options->workers};
	uint64_t per_msec = tool_calibrate();
	int pipe_fds[2];
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGCHLD);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	signal(SIGHUP, SIG_IGN);
	parent.signal_fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
	if (parent.signal_fd < 0 || pipe2(pipe_fds, O_NONBLOCK) < 0)
		tool_die("cannot make the descriptors of the parent: %m");
	parent.report_fd = pipe_fds[0];
	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
		tool_die("cannot become a subreaper: %m");

	worker.threads = options->threads;
	worker.iterations = tool_iterations(per_msec, options->burn_usec);
	worker.report_fd = pipe_fds[1];
	worker.parent = getpid();
	for (unsigned int i = 0; i < options->workers; i++) {
		parent.pids[i] = fork();
		if (parent.pids[i] < 0) {
			parent.pids[i] = 0;
			tool_warn("cannot fork: %m");
			stop_workers(&parent);
			return EXIT_FAILURE;
		}
		if (parent.pids[i] == 0) {
			close(parent.signal_fd);
			close(parent.report_fd);
			worker.index = i;
			worker_run(options);
		}
	}
	return parent_run(&parent);
}

static void usage(void)
{
	puts("Usage: rpserv --port PORT [OPTION...]\n"
	     "Serve HTTP/1.1 with several processes that share a port by SO_REUSEPORT.\n\n"
	     "  --address ADDRESS  IPv4 address to listen on (127.0.0.1)\n"
	     "  --port PORT        port to listen on, 1 to 65535\n"
	     "  --workers N        worker processes, 1 to 256 (2)\n"
	     "  --threads N        idle threads that each worker has besides, 0 to 256 (0)\n"
	     "  --burn-usec N      CPU time that a request costs besides, 0 to 1000000 (0)\n"
	     "  --cpus LIST        pin the workers to these CPUs at start\n"
	     "  --pid-file FILE    pids of the workers, one a line, there once all of them listen;\n"
	     "                     kept true when a worker forks its successor or ends\n"
	     "  --seconds N        end after N seconds, 1 to 86400 (300)\n"
	     "  --help             show this text\n\n"
	     "Signals to a worker: SIGUSR1 executes itself anew, SIGUSR2 forks its successor and\n"
	     "exits, SIGHUP starts one more thread. SIGTERM to the parent ends all of them.");
}

static void parse_options(int argc, char **argv, struct options *ret_options)
{
	static const struct option options[] = {
		{"address", required_argument, NULL, 'a'},
		{"port", required_argument, NULL, 'p'},
		{"workers", required_argument, NULL, 'w'},
		{"threads", required_argument, NULL, 't'},
		{"burn-usec", required_argument, NULL, 'b'},
		{"cpus", required_argument, NULL, 'c'},
		{"pid-file", required_argument, NULL, 'f'},
		{"seconds", required_argument, NULL, 's'},
		{"resume", required_argument, NULL, 'r'},
		{"help", no_argument, NULL, 'h'},
		{NULL, 0, NULL, 0},
	};
	struct options *o = ret_options;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0) {
		if (c == 'a' && inet_pton(AF_INET, optarg, &o->address.sin_addr) != 1)
			tool_die("--address: \"%s\" is not an IPv4 address", optarg);
		else if (c == 'p')
			o->address.sin_port =
				htons((uint16_t)tool_parse_number("port", optarg, 1, 65535));
		else if (c == 'w')
			o->workers =
				(unsigned int)tool_parse_number("workers", optarg, 1, MAX_WORKERS);
		else if (c == 't')
			o->threads =
				(unsigned int)tool_parse_number("threads", optarg, 0, MAX_THREADS);
		else if (c == 'b')
			o->burn_usec = tool_parse_number("burn-usec", optarg, 0, 1000000);
		else if (c == 'c')
			tool_parse_cpus("cpus", optarg, &o->cpus);
		else if (c == 'f')
			o->pid_file = optarg;
		else if (c == 's')
			o->seconds = tool_parse_number("seconds", optarg, 1, 86400);
		else if (c == 'r')
			worker_resume(optarg);
		else if (c == 'h') {
			usage();
			exit(EXIT_SUCCESS);
		} else if (c == '?')
			exit(EXIT_FAILURE);
	}
	if (optind < argc)
		tool_die("unexpected argument \"%s\"", argv[optind]);
	if (o->address.sin_port == 0)
		tool_die("--port is needed");
}

int main(int argc, char **argv)
{
	struct options options = {
		.address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}},
		.workers = 2,
		.seconds = 300,
	};
	ssize_t n = readlink("/proc/self/exe", program_path, sizeof(program_path) - 1);

	if (n < 0)
		tool_die("cannot read /proc/self/exe: %m");
	program_path[n] = '\0';
	tool_raise_files(MAX_FILES);
	parse_options(argc, argv, &options);
	return serve(&options);
}
