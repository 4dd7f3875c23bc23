/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * whoserves: opens connections one after the other, asks each for a page, and counts who answered, by the last word of the
 * answer: a server is set up to answer with its pid or its number. Prints a line "served WHO COUNT" for each, and one
 * "failed COUNT" with the connections that were refused, reset or closed without an answer.
 *
 * A connection is ended with a reset, so that tens of thousands of them leave no port waiting.
 */

#include "tool.h"

#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define MAX_SERVERS 256
#define WORD_MAX    32

struct options {
	struct sockaddr_storage address;
	socklen_t address_len;
	uint64_t count, pause_usec;
};

static struct {
	char who[WORD_MAX];
	uint64_t count;
} served[MAX_SERVERS];
static size_t n_served;

static void count_one(const char *who)
{
	size_t i = 0;

	while (i < n_served && strcmp(served[i].who, who) != 0)
		i++;
	if (i == MAX_SERVERS)
		tool_die("more than %d different answers", MAX_SERVERS);
	if (i == n_served)
		snprintf(served[n_served++].who, WORD_MAX, "%s", who);
	served[i].count++;
}

/* The last word of what is there. */
static void last_word(char *text, char ret[WORD_MAX])
{
	char *save = NULL;

	ret[0] = 0;
	for (char *word = strtok_r(text, " \r\n", &save); word;
	     word = strtok_r(NULL, " \r\n", &save))
		snprintf(ret, WORD_MAX, "%s", word);
}

/* Headers and the body are in one segment with such servers; a body that is late is waited for. */
static bool whole(const char *text)
{
	const char *body = strstr(text, "\r\n\r\n");

	return body && strchr(body + 4, '\n');
}

static bool ask(const struct options *options, char ret[WORD_MAX])
{
	static const char request[] = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";
	const struct linger reset = { .l_onoff = 1 };
	const struct timeval patience = { .tv_sec = 5 };
	int fd = socket(options->address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char text[4096];
	size_t len = 0;
	bool good = false;

	if (fd < 0)
		tool_die("cannot make a socket: %s", strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (connect(fd, (const struct sockaddr *)&options->address, options->address_len) == 0 &&
	    send(fd, request, sizeof(request) - 1, MSG_NOSIGNAL) == (ssize_t)sizeof(request) - 1) {
		while (!good && len < sizeof(text) - 1) {
			ssize_t n = recv(fd, text + len, sizeof(text) - 1 - len, 0);

			if (n <= 0)
				break;
			len += (size_t)n;
			text[len] = 0;
			good = whole(text);
		}
	}
	close(fd);
	if (good)
		last_word(text, ret);
	return good;
}

static void usage(void)
{
	puts("Usage: whoserves --port PORT [OPTION]...\n"
	     "Open connections one after the other and count who answers.\n\n"
	     "  --address ADDR  IPv4 or IPv6 address (127.0.0.1)\n"
	     "  --port PORT     1 to 65535\n"
	     "  --count N       connections, 1 to 1000000 (1000)\n"
	     "  --pause N       microseconds between them, 0 to 1000000 (0)\n"
	     "  --cpus LIST     CPUs to run on\n"
	     "  --help          show this text");
}

static void set_address(struct options *options, const char *text, uint64_t port)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)&options->address;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&options->address;

	if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons((uint16_t)port);
		options->address_len = sizeof(*v4);
	} else if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons((uint16_t)port);
		options->address_len = sizeof(*v6);
	} else {
		tool_die("--address \"%s\" is no address", text);
	}
}

static void parse_options(int argc, char **argv, struct options *ret)
{
	static const struct option options[] = {
		{ "address", required_argument, NULL, 'a' },
		{ "port", required_argument, NULL, 'p' },
		{ "count", required_argument, NULL, 'n' },
		{ "pause", required_argument, NULL, 'w' },
		{ "cpus", required_argument, NULL, 'c' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	const char *address = "127.0.0.1";
	uint64_t port = 0;
	cpu_set_t cpus;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) >= 0)
		switch (c) {
		case 'a':
			address = optarg;
			break;
		case 'p':
			port = tool_parse_number("port", optarg, 1, 65535);
			break;
		case 'n':
			ret->count = tool_parse_number("count", optarg, 1, 1000000);
			break;
		case 'w':
			ret->pause_usec = tool_parse_number("pause", optarg, 0, 1000000);
			break;
		case 'c':
			tool_parse_cpus("cpus", optarg, &cpus);
			tool_pin(&cpus);
			break;
		case 'h':
			usage();
			exit(EXIT_SUCCESS);
		default:
			exit(EXIT_FAILURE);
		}
	if (optind < argc)
		tool_die("unexpected argument \"%s\"", argv[optind]);
	if (port == 0)
		tool_die("--port is needed");
	set_address(ret, address, port);
}

int main(int argc, char **argv)
{
	struct options options = { .count = 1000 };
	uint64_t n_failed = 0;

	parse_options(argc, argv, &options);
	for (uint64_t i = 0; i < options.count; i++) {
		char who[WORD_MAX];

		if (ask(&options, who))
			count_one(who);
		else
			n_failed++;
		if (options.pause_usec > 0)
			usleep((useconds_t)options.pause_usec);
	}
	for (size_t i = 0; i < n_served; i++)
		printf("served %s %llu\n", served[i].who, (unsigned long long)served[i].count);
	printf("failed %llu\n", (unsigned long long)n_failed);
	return EXIT_SUCCESS;
}
