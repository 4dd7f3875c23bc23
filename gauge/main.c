/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cpubalanced-gauge: runs the commands of ServiceMetric= and fetches its URLs, so that the daemon, which is root, need not run anybody's
 * programs, open a network connection, or wait. An unprivileged user, a socket that only root can reach, a process for each client;
 * whatever a command does is bounded (runner.c). It refuses to run as root.
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <systemd/sd-daemon.h>

#include "runner.h"

#define EXIT_USAGE     2
#define CLIENTS_MAX    64u /* as many as there can be groups */
#define LISTEN_BACKLOG 64

static volatile sig_atomic_t n_clients, ending;

static void on_signal(int number)
{
	int saved = errno;

	if (number != SIGCHLD)
		ending = 1;
	while (n_clients > 0 && waitpid(-1, NULL, WNOHANG) > 0)
		n_clients--;
	errno = saved;
}

static void help(void)
{
	printf("cpubalanced-gauge - runs what ServiceMetric= says, for cpubalanced, as a user without privileges\n\n"
	       "Usage: cpubalanced-gauge [OPTION...]\n\n"
	       "  --listen=PATH  make the socket at PATH; else it is the service manager's\n"
	       "  --version      print the version\n"
	       "  --help         print this\n\n"
	       "See cpubalanced-gauge(8).\n");
}

/* -1 with a word to the user. */
static int listen_at(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	mode_t mask;

	if (strlen(path) >= sizeof(address.sun_path)) {
		fprintf(stderr, "cpubalanced-gauge: --listen=%s is longer than %zu bytes\n", path,
			sizeof(address.sun_path) - 1);
		return -1;
	}
	memcpy(address.sun_path, path, strlen(path) + 1);
	unlink(path);
	mask = umask(0177);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(fd, LISTEN_BACKLOG) < 0) {
		fprintf(stderr, "cpubalanced-gauge: cannot listen at %s: %s\n", path,
			strerror(errno));
		return -1;
	}
	umask(mask);
	return fd;
}

static int handed_over(void)
{
	int n = sd_listen_fds(1);

	if (n == 1 && sd_is_socket_unix(SD_LISTEN_FDS_START, SOCK_STREAM, 1, NULL, 0) > 0)
		return SD_LISTEN_FDS_START;
	fprintf(stderr,
		"cpubalanced-gauge: one listening unix socket is wanted from the service manager, or --listen=PATH\n");
	return -1;
}

/* Who may have commands run: root, and who we are. */
static bool may_ask(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == 0 &&
	       (peer.uid == 0 || peer.uid == geteuid());
}

static void accept_one(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	pid_t pid;

	if (fd < 0)
		return;
	if (n_clients >= (sig_atomic_t)CLIENTS_MAX || !may_ask(fd)) {
		close(fd);
		return;
	}
	pid = fork();
	if (pid == 0) {
		sigset_t none;

		prctl(PR_SET_PDEATHSIG, SIGTERM);
		signal(SIGTERM, SIG_DFL);
		signal(SIGINT, SIG_DFL);
		signal(SIGCHLD, SIG_DFL);
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		close(listener);
		_exit(cb_gauge_serve(fd));
	}
	n_clients += pid > 0;
	close(fd);
}

static void serve(int listener)
{
	const struct sigaction action = { .sa_handler = on_signal };
	struct pollfd pollfd = { .fd = listener, .events = POLLIN };
	sigset_t blocked, before;

	/* Signals come while it waits, and only then: none is missed, and n_clients is ours. */
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	sigaddset(&blocked, SIGINT);
	sigaddset(&blocked, SIGCHLD);
	sigprocmask(SIG_BLOCK, &blocked, &before);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGCHLD, &action, NULL);
	sd_notify(0, "READY=1");
	while (!ending)
		if (ppoll(&pollfd, 1, NULL, &before) > 0)
			accept_one(listener);
	sd_notify(0, "STOPPING=1");
}

static int parse(int argc, char **argv, const char **ret_path)
{
	static const struct option options[] = { { "listen", required_argument, NULL, 'l' },
						 { "version", no_argument, NULL, 'v' },
						 { "help", no_argument, NULL, 'h' },
						 { NULL, 0, NULL, 0 } };
	int id;

	while ((id = getopt_long(argc, argv, "", options, NULL)) >= 0)
		switch (id) {
		case 'l':
			*ret_path = optarg;
			break;
		case 'v':
			puts("cpubalanced-gauge " CB_VERSION);
			return EXIT_SUCCESS;
		case 'h':
			help();
			return EXIT_SUCCESS;
		default:
			return EXIT_USAGE;
		}
	if (optind < argc) {
		fprintf(stderr, "cpubalanced-gauge: no arguments are wanted\n");
		return EXIT_USAGE;
	}
	if (geteuid() == 0) {
		fprintf(stderr,
			"cpubalanced-gauge: it runs other people's programs, and so not as root "
			"(cpubalanced-gauge.service; by hand: setpriv --reuid=nobody --clear-groups)\n");
		return EXIT_USAGE;
	}
	return -1;
}

int main(int argc, char **argv)
{
	const char *path = NULL;
	int listener, code = parse(argc, argv, &path);

	if (code >= 0)
		return code;
	listener = path ? listen_at(path) : handed_over();
	if (listener < 0)
		return path ? EXIT_FAILURE : EXIT_USAGE;
	serve(listener);
	if (path)
		unlink(path);
	return EXIT_SUCCESS;
}
