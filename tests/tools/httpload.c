/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * httpload: an HTTP/1.1 load generator of one thread. Closed loop: each connection sends its next
 * request when the last one was answered. Open loop (--rate): requests have fixed times; the first
 * idle connection takes each, and its latency counts from the time it was meant to be sent, so that
 * a stalled server cannot hide the requests that it kept from being sent.
 *
 * SIGUSR1 ends a phase, prints its figures and begins the next, so that one run measures before and
 * after a change. Latencies go to a histogram of fixed size;
 * nothing is allocated while the load runs.
 *
 * Responses need a Content-Length. An error is an answer other than 2xx or 3xx, a connection that
 * failed or ended under a request, or no answer in time; the connection is then made anew.
 */

#include "tool.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_CONNECTIONS 4096
#define MAX_EVENTS	256
#define HEAD_BYTES	4096
#define SWEEP_NSEC	(20 * TOOL_NSEC_PER_MSEC) /* reconnects, timeouts, flags */

struct options {
	struct sockaddr_in address;
	unsigned int connections;
	uint64_t seconds;
	uint64_t timeout_seconds;
	uint64_t interval_seconds; /* 0: no interval lines */
	uint64_t rate_per_sec;	   /* 0: closed loop */
	uint64_t burn_usec;
	cpu_set_t cpus; /* empty: leave the mask as it is */
	bool connect_each;
	bool json;
	const char *path;
};

enum state {
	STATE_DOWN, /* no socket; the next sweep connects */
	STATE_CONNECTING,
	STATE_IDLE, /* open loop: in the ring of idle connections */
	STATE_HEAD, /* request sent, head of the answer not complete */
	STATE_BODY,
};

struct connection {
	int fd;
	enum state state;
	uint64_t since_nsec; /* of the connect, or of the latency of the request */
	uint64_t sent_nsec;  /* for the timeout */
	uint64_t body_left;
	unsigned int head_len;
	bool server_closes;
	bool failed; /* the answer under way is an error */
	char head[HEAD_BYTES];
};

/* One measurement: an interval, a phase or the whole run. */
struct figures {
	uint64_t start_nsec;
	uint64_t start_cpu_nsec;
	uint64_t errors;
	struct tool_histogram latency; /* nanoseconds, of all answered requests */
};

static struct options options;
static struct connection connections[MAX_CONNECTIONS];
static struct figures current, interval, phase, total; /* current is added to the others */
static unsigned int idle[MAX_CONNECTIONS]; /* ring, so that all connections take their turn */
static unsigned int idle_first, idle_count;
static uint64_t open_start_nsec, open_sent; /* open loop: requests taken so far */
static uint64_t burn_iterations;
static unsigned int phase_index = 1;
static char request[1024];
static size_t request_len;
static int epoll_fd;
static bool error_shown;
static volatile sig_atomic_t mark_wanted, stop_wanted;

/*
 * Figures
 */

static void figures_start(struct figures *ret_figures, uint64_t now)
{
	memset(ret_figures, 0, sizeof(*ret_figures));
	ret_figures->start_nsec = now;
	ret_figures->start_cpu_nsec = tool_thread_cpu_nsec();
}

static void figures_add(struct figures *to, const struct figures *from)
{
	to->errors += from->errors;
	tool_histogram_merge(&to->latency, &from->latency);
}

static void fold_current(uint64_t now)
{
	figures_add(&interval, &current);
	figures_add(&phase, &current);
	figures_add(&total, &current);
	figures_start(&current, now);
}

static void figures_print(const struct figures *figures, const char *kind, unsigned int index,
			  uint64_t now)
{
	const struct tool_histogram *latency = &figures->latency;
	double seconds = (double)(now - figures->start_nsec) / (double)TOOL_NSEC_PER_SEC;
	double cpu = (double)(tool_thread_cpu_nsec() - figures->start_cpu_nsec);
	const char *format = "%s %u rps %.1f p50_usec %.0f p99_usec %.0f max_usec %.0f errors %llu "
			     "seconds %.3f cpu_ratio %.3f\n";

	if (options.json)
		format = "{\"kind\":\"%s\",\"index\":%u,\"rps\":%.1f,\"p50_usec\":%.0f,"
			 "\"p99_usec\":%.0f,\"max_usec\":%.0f,\"errors\":%llu,"
			 "\"seconds\":%.3f,\"cpu_ratio\":%.3f}\n";
	if (seconds <= 0)
		seconds = 1e-9;
/* Both formats are above, with the same arguments. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	printf(format, kind, index, (double)latency->total / seconds,
	       (double)tool_histogram_quantile(latency, 5000) / 1000,
	       (double)tool_histogram_quantile(latency, 9900) / 1000, (double)latency->max / 1000,
	       (unsigned long long)figures->errors, seconds,
	       cpu / ((double)TOOL_NSEC_PER_SEC * seconds));
#pragma GCC diagnostic pop
	fflush(stdout);
}

/*
 * Connections
 */

static void connection_drop(struct connection *c)
{
	struct linger reset = { .l_onoff = 1, .l_linger = 0 };

	if (c->fd >= 0) {
		/* A reset leaves no TIME_WAIT behind, so that the ports last. */
		setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		close(c->fd);
	}
	c->fd = -1;
	c->state = STATE_DOWN;
}

static void connection_error(struct connection *c, const char *what)
{
	current.errors++;
	if (!error_shown)
		tool_warn("first error: %s", what);
	error_shown = true;
	connection_drop(c);
}

static void connection_open(struct connection *c)
{
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c };
	int one = 1;

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0) {
		connection_error(c, strerror(errno));
		return;
	}
	c->state = STATE_CONNECTING;
	c->since_nsec = c->sent_nsec = tool_now_nsec();
	if (setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0 ||
	    (connect(c->fd, (const struct sockaddr *)&options.address, sizeof(options.address)) <
		     0 &&
	     errno != EINPROGRESS) ||
	    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &event) < 0)
		connection_error(c, strerror(errno));
}

static void connection_send(struct connection *c, uint64_t since_nsec, uint64_t now)
{
	c->state = STATE_HEAD;
	c->head_len = 0;
	c->failed = c->server_closes = false;
	c->since_nsec = since_nsec;
	c->sent_nsec = now;
	/* An empty send buffer takes so short a request whole. */
	if (send(c->fd, request, request_len, MSG_NOSIGNAL) != (ssize_t)request_len)
		connection_error(c, strerror(errno));
}

/* The connection may send: at once in a closed loop, when its turn comes in an open one. */
static void connection_ready(struct connection *c, uint64_t now)
{
	if (options.rate_per_sec == 0) {
		/* The connect is part of the latency where each request has its own. */
		connection_send(c, options.connect_each ? c->since_nsec : now, now);
		return;
	}
	c->state = STATE_IDLE;
	idle[(idle_first + idle_count++) % MAX_CONNECTIONS] = (unsigned int)(c - connections);
}

static void connection_answered(struct connection *c)
{
	uint64_t now = tool_now_nsec();

	if (c->failed) {
		connection_error(c, "the status is not 2xx or 3xx");
		return;
	}
	tool_histogram_add(&current.latency, now - c->since_nsec);
	if (burn_iterations > 0) {
		tool_spin(burn_iterations);
		now = tool_now_nsec();
	}
	if (options.connect_each || c->server_closes) {
		connection_drop(c);
		connection_open(c);
		return;
	}
	connection_ready(c, now);
}

/* Reads the lines of a complete head of @len bytes; false when it cannot be understood. */
static bool parse_head(struct connection *c, size_t len)
{
	const char *line = c->head, *end = c->head + len;
	bool length_known = false;

	if (len < 13 || memcmp(line, "HTTP/1.1 ", 9) != 0)
		return false;
	c->failed = line[9] != '2' && line[9] != '3';
	while ((line = memchr(line, '\n', (size_t)(end - line))) && ++line < end) {
		if (end - line > 15 && strncasecmp(line, "Content-Length:", 15) == 0) {
			c->body_left = 0;
			for (line += 15; *line == ' '; line++)
				;
			length_known = *line >= '0' && *line <= '9';
			for (; *line >= '0' && *line <= '9' && c->body_left < 1ULL << 40; line++)
				c->body_left = c->body_left * 10 + (uint64_t)(*line - '0');
		} else if (end - line > 17 && strncasecmp(line, "Connection: close", 17) == 0) {
			c->server_closes = true;
		}
	}
	return length_known;
}

/* Takes @n more bytes of the answer, which are in c->head while the head is not complete. */
static void connection_take(struct connection *c, size_t n)
{
	if (c->state == STATE_HEAD) {
		char *end;
		size_t len;

		c->head_len += (unsigned int)n;
		end = memmem(c->head, c->head_len, "\r\n\r\n", 4);
		if (!end) {
			if (c->head_len == HEAD_BYTES)
				connection_error(c, "the head of an answer is too long");
			return;
		}
		len = (size_t)(end - c->head) + 4;
		if (!parse_head(c, len)) {
			connection_error(c, "an answer is not HTTP/1.1 with a Content-Length");
			return;
		}
		n = c->head_len - len;
		c->state = STATE_BODY;
	}
	if (n > c->body_left) {
		connection_error(c, "an answer is longer than its Content-Length");
		return;
	}
	c->body_left -= n;
	if (c->body_left == 0)
		connection_answered(c);
}

/* Edge-triggered: read until a read is short. */
static void connection_read(struct connection *c)
{
	static char body[65536];

	while (c->state == STATE_HEAD || c->state == STATE_BODY) {
		bool in_head = c->state == STATE_HEAD;
		size_t room = in_head ? HEAD_BYTES - c->head_len : sizeof(body);
		ssize_t n = recv(c->fd, in_head ? c->head + c->head_len : body, room, 0);

		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			connection_error(c, n < 0 ? strerror(errno) : "the server hung up");
			return;
		}
		connection_take(c, (size_t)n);
		if ((size_t)n < room)
			return;
	}
}

static void connection_event(struct connection *c, uint32_t events)
{
	if (c->state == STATE_CONNECTING) {
		int error = 0;
		socklen_t len = sizeof(error);

		if (!(events & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
			return;
		getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &len);
		if (error != 0)
			connection_error(c, strerror(error));
		else
			connection_ready(c, tool_now_nsec());
		return;
	}
	/* An idle connection that ends is found out by its next request. */
	if (events & (EPOLLIN | EPOLLERR | EPOLLHUP))
		connection_read(c);
}

/*
 * The loop
 */

static void on_signal(int number)
{
	if (number == SIGUSR1)
		mark_wanted = 1;
	else
		stop_wanted = 1;
}

/* Reconnect what is down and give up what takes too long. */
static void sweep(uint64_t now)
{
	for (unsigned int i = 0; i < options.connections; i++) {
		struct connection *c = &connections[i];

		if (c->state == STATE_DOWN)
			connection_open(c);
		else if (c->state != STATE_IDLE && now > c->sent_nsec &&
			 now - c->sent_nsec > options.timeout_seconds * TOOL_NSEC_PER_SEC)
			connection_error(c, "no answer in time");
	}
}

static uint64_t next_due(void)
{
	return open_start_nsec + (uint64_t)((double)open_sent * (double)TOOL_NSEC_PER_SEC /
					    (double)options.rate_per_sec);
}

/* Open loop: send what is due, as long as there are idle connections. Returns the next time. */
static uint64_t send_due(uint64_t now)
{
	uint64_t due = next_due();

	while (due <= now && idle_count > 0) {
		struct connection *c = &connections[idle[idle_first]];

		idle_first = (idle_first + 1) % MAX_CONNECTIONS;
		idle_count--;
		connection_send(c, due, now);
		open_sent++;
		due = next_due();
	}
	return due;
}

static void wait_events(uint64_t until_nsec)
{
	static struct epoll_event events[MAX_EVENTS];
	uint64_t now = tool_now_nsec(), left = until_nsec > now ? until_nsec - now : 0;
	struct timespec timeout = { .tv_nsec = (long)(left < SWEEP_NSEC ? left : SWEEP_NSEC) };
	int n = epoll_pwait2(epoll_fd, events, MAX_EVENTS, &timeout, NULL);

	/* Before Linux 5.11 and under valgrind: poll through the last millisecond. */
	if (n < 0 && errno == ENOSYS)
		n = epoll_wait(epoll_fd, events, MAX_EVENTS,
			       (int)((uint64_t)timeout.tv_nsec / TOOL_NSEC_PER_MSEC));
	if (n < 0 && errno != EINTR)
		tool_die("cannot wait for events: %m");
	for (int i = 0; i < n; i++)
		connection_event(events[i].data.ptr, events[i].events);
}

static void close_phase(uint64_t now)
{
	fold_current(now);
	figures_print(&phase, "phase", phase_index++, now);
	figures_start(&phase, now);
}

static void run(void)
{
	uint64_t now = tool_now_nsec(), end = now + options.seconds * TOOL_NSEC_PER_SEC;
	uint64_t interval_nsec = options.interval_seconds * TOOL_NSEC_PER_SEC;
	uint64_t next_sweep = now, next_interval = now + interval_nsec;
	unsigned int interval_index = 1;

	open_start_nsec = now;
	figures_start(&current, now);
	interval = phase = total = current;
	while (now < end && !stop_wanted) {
		uint64_t until = next_sweep;

		if (now >= next_sweep) {
			sweep(now);
			until = next_sweep = now + SWEEP_NSEC;
		}
		if (mark_wanted) {
			mark_wanted = 0;
			close_phase(now);
		}
		if (interval_nsec > 0 && now >= next_interval) {
			fold_current(now);
			figures_print(&interval, "interval", interval_index++, now);
			figures_start(&interval, now);
			next_interval += interval_nsec;
		}
		if (options.rate_per_sec > 0) {
			uint64_t due = send_due(now);

			/* Without an idle connection only an event can change that. */
			if (idle_count > 0 && due < until)
				until = due;
		}
		wait_events(until < end ? until : end);
		now = tool_now_nsec();
	}
	if (phase_index > 1)
		close_phase(now);
	else
		fold_current(now);
	figures_print(&total, "total", 0, now);
}

static void usage(void)
{
	puts("Usage: httpload --port PORT [OPTION...]\n"
	     "Load an HTTP/1.1 server from one thread and print requests/s and latencies.\n\n"
	     "  --address ADDRESS      IPv4 address of the server (127.0.0.1)\n"
	     "  --port PORT            its port, 1 to 65535\n"
	     "  --path PATH            what to ask for (/)\n"
	     "  --connections N        connections, 1 to 4096 (64)\n"
	     "  --seconds N            end after N seconds, 1 to 86400 (10)\n"
	     "  --rate R               open loop of R requests/s, 1 to 10000000 (closed loop)\n"
	     "  --new-connection-each  a new connection for each request\n"
	     "  --burn-usec N          CPU time that each answer costs besides, 0 to 100000 (0)\n"
	     "  --timeout N            seconds after which a request is an error, 1 to 60 (5)\n"
	     "  --cpus LIST            run on these CPUs\n"
	     "  --interval N           a line of figures every N seconds, 1 to 3600 (none)\n"
	     "  --json                 print each line as a JSON object\n"
	     "  --help                 show this text\n\n"
	     "Lines: \"interval I ...\", \"phase I ...\" and last \"total 0 ...\", each with the same\n"
	     "pairs of name and value; cpu_ratio is the share of a CPU that httpload itself used.\n"
	     "SIGUSR1 ends a phase: it prints its line and begins the next. SIGINT and SIGTERM end\n"
	     "the run early. The exit status is 1 when no request was answered.");
}

static void set_number(int c, const char *text)
{
	struct options *o = &options;

	if (c == 'p')
		o->address.sin_port = htons((uint16_t)tool_parse_number("port", text, 1, 65535));
	else if (c == 'n')
		o->connections =
			(unsigned int)tool_parse_number("connections", text, 1, MAX_CONNECTIONS);
	else if (c == 's')
		o->seconds = tool_parse_number("seconds", text, 1, 86400);
	else if (c == 'r')
		o->rate_per_sec = tool_parse_number("rate", text, 1, 10000000);
	else if (c == 'b')
		o->burn_usec = tool_parse_number("burn-usec", text, 0, 100000);
	else if (c == 't')
		o->timeout_seconds = tool_parse_number("timeout", text, 1, 60);
	else if (c == 'i')
		o->interval_seconds = tool_parse_number("interval", text, 1, 3600);
}

static void parse_options(int argc, char **argv)
{
	static const struct option table[] = {
		{ "address", required_argument, NULL, 'a' },
		{ "port", required_argument, NULL, 'p' },
		{ "path", required_argument, NULL, 'u' },
		{ "connections", required_argument, NULL, 'n' },
		{ "seconds", required_argument, NULL, 's' },
		{ "rate", required_argument, NULL, 'r' },
		{ "new-connection-each", no_argument, NULL, 'e' },
		{ "burn-usec", required_argument, NULL, 'b' },
		{ "timeout", required_argument, NULL, 't' },
		{ "cpus", required_argument, NULL, 'c' },
		{ "interval", required_argument, NULL, 'i' },
		{ "json", no_argument, NULL, 'j' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "", table, NULL)) >= 0) {
		if (c == 'a' && inet_pton(AF_INET, optarg, &options.address.sin_addr) != 1)
			tool_die("--address: \"%s\" is not an IPv4 address", optarg);
		else if (c == 'u')
			options.path = optarg;
		else if (c == 'e')
			options.connect_each = true;
		else if (c == 'c')
			tool_parse_cpus("cpus", optarg, &options.cpus);
		else if (c == 'j')
			options.json = true;
		else if (c == 'h') {
			usage();
			exit(EXIT_SUCCESS);
		} else if (c == '?')
			exit(EXIT_FAILURE);
		else
			set_number(c, optarg);
	}
	if (optind < argc)
		tool_die("unexpected argument \"%s\"", argv[optind]);
	if (options.address.sin_port == 0)
		tool_die("--port is needed");
	if (options.connect_each && options.rate_per_sec > 0)
		tool_die("--new-connection-each needs a closed loop, so --rate cannot be given");
}

static void set_up(void)
{
	struct sigaction action = { .sa_handler = on_signal };
	int n;

	n = snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n",
		     options.path);
	if (n < 0 || (size_t)n >= sizeof(request) || options.path[0] != '/')
		tool_die("--path: not a path of at most %zu bytes", sizeof(request) - 64);
	request_len = (size_t)n;
	if (CPU_COUNT(&options.cpus) > 0)
		tool_pin(&options.cpus);
	if (options.burn_usec > 0)
		burn_iterations = tool_iterations(tool_calibrate(), options.burn_usec);
	tool_raise_files(MAX_CONNECTIONS + 64);
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0)
		tool_die("cannot set up epoll: %m");
	for (unsigned int i = 0; i < options.connections; i++)
		connections[i].fd = -1;
	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
}

int main(int argc, char **argv)
{
	options = (struct options){
		.address = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } },
		.connections = 64,
		.seconds = 10,
		.timeout_seconds = 5,
		.path = "/",
	};
	parse_options(argc, argv);
	set_up();
	run();
	if (total.latency.total == 0)
		tool_die("no request was answered");
	return EXIT_SUCCESS;
}
