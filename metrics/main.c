/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cpubalanced-metrics: serves the daemon's figures over HTTP, so that the daemon, which is root, need not. One thread, a
 * listening socket that the service manager hands over, GET and HEAD of /metrics and nothing else. Whatever a client
 * does is bounded: connections, their memory, how long one may take from its first byte to its last, and
 * how often the daemon is asked.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <microhttpd.h>
#include <systemd/sd-daemon.h>

#include "fetch.h"

#define CONNECTIONS_MAX	  32u
#define CONNECTION_MEMORY (16u * 1024u)
#define IDLE_SEC	  5u
#define REQUEST_USEC	  UINT64_C(10000000) /* all of it */
#define SWEEP_MSEC	  500
#define LISTEN_BACKLOG	  64
#define EXIT_USAGE	  2
#define TYPE_TEXT	  "text/plain; version=0.0.4; charset=utf-8"
#define TYPE_OPENMETRICS  "application/openmetrics-text; version=1.0.0; charset=utf-8"

/* A connection since when; MHD's own limit is on silence, and a byte now and then breaks it. */
struct seat {
	int fd; /* -1: free */
	uint64_t since_usec;
};

struct server {
	struct cb_fetcher fetcher;
	struct seat seat[CONNECTIONS_MAX + 1];
};

static volatile sig_atomic_t ending;

static void on_signal(int number)
{
	(void)number;
	ending = 1;
}

static uint64_t now_usec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* --- connections --- */

static void on_connection(void *userdata, struct MHD_Connection *connection, void **context,
			  enum MHD_ConnectionNotificationCode code)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct server *server = userdata;
	int from = code == MHD_CONNECTION_NOTIFY_STARTED ? -1 : info ? info->connect_fd : -1;
	int to = code == MHD_CONNECTION_NOTIFY_STARTED && info ? info->connect_fd : -1;

	(void)context;
	for (size_t i = 0; i < sizeof(server->seat) / sizeof(server->seat[0]); i++) {
		if (server->seat[i].fd != from)
			continue;
		server->seat[i] = (struct seat){ .fd = to, .since_usec = now_usec() };
		return;
	}
}

/* End what takes too long: MHD sees the end of the connection and gives its place up. */
static void sweep(struct server *server)
{
	uint64_t now = now_usec();

	for (size_t i = 0; i < sizeof(server->seat) / sizeof(server->seat[0]); i++)
		if (server->seat[i].fd >= 0 && now - server->seat[i].since_usec > REQUEST_USEC)
			shutdown(server->seat[i].fd, SHUT_RDWR);
}

/* --- requests --- */

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned int status,
			      const char *type, const char *allow, const char *text, size_t len)
{
	struct MHD_Response *response = MHD_create_response_from_buffer(
		len, (void *)(uintptr_t)text, MHD_RESPMEM_MUST_COPY);
	enum MHD_Result r;

	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, "Content-Type", type);
	MHD_add_response_header(response, "Connection", "close");
	MHD_add_response_header(response, "Cache-Control", "no-store");
	MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	if (allow)
		MHD_add_response_header(response, "Allow", allow);
	r = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return r;
}

static enum MHD_Result say(struct MHD_Connection *connection, unsigned int status,
			   const char *allow, const char *text)
{
	return answer(connection, status, "text/plain; charset=utf-8", allow, text, strlen(text));
}

static enum MHD_Result metrics(struct server *server, struct MHD_Connection *connection)
{
	enum cb_format format =
		cb_accept(MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Accept"));
	const char *text;
	size_t len;
	int r = cb_fetch(&server->fetcher, format, &text, &len);

	if (r < 0) {
		char why[200];

		/* What is left when the bus has hung up on who it could not look up. */
		snprintf(
			why, sizeof(why), "cpubalanced does not answer: %s\n",
			r == -ENOTCONN ?
				"the message bus hangs up; does it know the user cpubalance-metrics?" :
				strerror(-r));
		return say(connection, MHD_HTTP_SERVICE_UNAVAILABLE, NULL, why);
	}
	return answer(connection, MHD_HTTP_OK,
		      format == CB_FORMAT_OPENMETRICS ? TYPE_OPENMETRICS : TYPE_TEXT, NULL, text,
		      len);
}

static enum MHD_Result on_request(void *userdata, struct MHD_Connection *connection,
				  const char *url, const char *method, const char *version,
				  const char *upload, size_t *upload_len, void **context)
{
	static int seen;

	(void)version;
	(void)upload;
	/* Called with the head first, then with what is uploaded; only who has been read to the end is answered. */
	if (!*context) {
		*context = &seen;
		return MHD_YES;
	}
	if (*upload_len > 0) {
		*upload_len = 0;
		return MHD_YES;
	}
	if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
		return say(connection, MHD_HTTP_METHOD_NOT_ALLOWED, "GET, HEAD", "GET or HEAD\n");
	if (strcmp(url, "/metrics") == 0)
		return metrics(userdata, connection);
	if (strcmp(url, "/") == 0)
		return say(connection, MHD_HTTP_OK, NULL, "cpubalance: /metrics\n");
	return say(connection, MHD_HTTP_NOT_FOUND, NULL, "/metrics is all there is\n");
}

/* MHD's words about clients that misbehave would let them fill the log. */
static void no_log(void *userdata, const char *format, va_list args)
{
	(void)userdata;
	(void)format;
	(void)args;
}

static int serve(struct server *server, int fd)
{
	struct MHD_Daemon *http = MHD_start_daemon(
		MHD_USE_EPOLL | MHD_USE_ERROR_LOG, 0, NULL, NULL, on_request, server,
		MHD_OPTION_EXTERNAL_LOGGER, no_log, NULL, MHD_OPTION_LISTEN_SOCKET, fd,
		MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
		IDLE_SEC, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
		MHD_OPTION_NOTIFY_CONNECTION, on_connection, server, MHD_OPTION_END);

	if (!http) {
		fprintf(stderr, "cpubalanced-metrics: cannot serve HTTP on the socket\n");
		return EXIT_FAILURE;
	}
	sd_notify(0, "READY=1");
	while (!ending) {
		if (MHD_run_wait(http, SWEEP_MSEC) != MHD_YES)
			break;
		sweep(server);
	}
	MHD_stop_daemon(http);
	return ending ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* The socket of the service manager's. */
static int take_socket(void)
{
	int n = sd_listen_fds(1);

	if (n == 1 && sd_is_socket(SD_LISTEN_FDS_START, AF_UNSPEC, SOCK_STREAM, 1) > 0) {
		/* Whatever the unit says: more clients than are served wait, and not too many. */
		listen(SD_LISTEN_FDS_START, LISTEN_BACKLOG);
		return SD_LISTEN_FDS_START;
	}
	fprintf(stderr,
		"cpubalanced-metrics: one listening socket is wanted from the service manager "
		"(cpubalanced-metrics.socket; by hand: systemd-socket-activate -l 127.0.0.1:9788)\n");
	return -EINVAL;
}

static void help(void)
{
	printf("cpubalanced-metrics - the figures of cpubalanced over HTTP, on a socket of the service manager's\n\n"
	       "Usage: cpubalanced-metrics [OPTION...]\n\n"
	       "  --bus=BUS   system (default), or an address such as unix:path=/run/bus\n"
	       "  --version   print the version\n"
	       "  --help      print this\n\n"
	       "See cpubalanced-metrics(8).\n");
}

static int parse(int argc, char **argv, struct server *server)
{
	static const struct option options[] = { { "bus", required_argument, NULL, 'b' },
						 { "version", no_argument, NULL, 'v' },
						 { "help", no_argument, NULL, 'h' },
						 { NULL, 0, NULL, 0 } };
	int id;

	while ((id = getopt_long(argc, argv, "", options, NULL)) >= 0)
		switch (id) {
		case 'b':
			server->fetcher.address = optarg;
			break;
		case 'v':
			puts("cpubalanced-metrics " CB_VERSION);
			return EXIT_SUCCESS;
		case 'h':
			help();
			return EXIT_SUCCESS;
		default:
			return EXIT_USAGE;
		}
	if (optind < argc) {
		fprintf(stderr, "cpubalanced-metrics: no arguments are wanted\n");
		return EXIT_USAGE;
	}
	return -1;
}

int main(int argc, char **argv)
{
	static struct server server = { .fetcher = { .address = "system" } };
	const struct sigaction action = { .sa_handler = on_signal };
	int fd, code = parse(argc, argv, &server);

	if (code >= 0)
		return code;
	for (size_t i = 0; i < sizeof(server.seat) / sizeof(server.seat[0]); i++)
		server.seat[i].fd = -1;
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	fd = take_socket();
	if (fd < 0)
		return EXIT_USAGE;
	code = serve(&server, fd);
	cb_fetcher_done(&server.fetcher);
	return code;
}
