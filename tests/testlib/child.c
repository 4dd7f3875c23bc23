/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* See child.h. */
#include "child.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static struct child child[CHILDREN_MAX];
static size_t n_children;

static void burn(void)
{
	struct timespec ts;

	do
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	while (ts.tv_sec == 0 && ts.tv_nsec < 20000000);
}

static sem_t burnt;

static void *burn_and_wait(void *unused)
{
	(void)unused;
	burn();
	sem_post(&burnt);
	pause();
	return NULL;
}

static void *burn_and_end(void *unused)
{
	burn();
	return unused;
}

static int listener_fd = -1;

/* On loopback of a namespace that was just made; an address of its own each time. */
static void listen_here(unsigned int backlog, uint16_t port)
{
	struct ifreq up = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};

	listener_fd = socket(AF_INET, SOCK_STREAM, 0);
	if (listener_fd < 0 || ioctl(listener_fd, SIOCSIFFLAGS, &up) < 0 ||
	    bind(listener_fd, (void *)&address, sizeof(address)) < 0 ||
	    listen(listener_fd, (int)backlog) < 0)
		_exit(1);
}

/* As a server does: the descriptor watches, nobody asks it. */
static void watch_listener(void)
{
	struct epoll_event event = { .events = EPOLLIN };
	int fd = epoll_create1(0);

	if (fd < 0 || epoll_ctl(fd, EPOLL_CTL_ADD, listener_fd, &event) < 0)
		_exit(1);
}

static void connect_here(uint16_t port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || connect(fd, (void *)&address, sizeof(address)) < 0)
		_exit(1);
}

static void start_thread(void *(*function)(void *))
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, function, NULL) != 0)
		_exit(1);
	if (function == burn_and_end)
		pthread_join(thread, NULL);
	else
		sem_wait(&burnt);
}

/* A process that shares the sockets; it goes with its parent. */
static void fork_follower(void)
{
	pid_t parent = getpid();

	if (fork() != 0)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (getppid() == parent)
		pause();
	_exit(0);
}

static void obey(char command)
{
	switch (command) {
	case 'b':
		burn();
		break;
	case 't':
		start_thread(burn_and_wait);
		break;
	case 'e':
		start_thread(burn_and_end);
		break;
	case 'o':
		for (int i = 0; i < 100; i++)
			if (open("/dev/null", O_RDONLY) < 0)
				_exit(1);
		break;
	case 'n':
		if (unshare(CLONE_NEWNET) < 0)
			_exit(1);
		break;
	case 'l':
		listen_here(5, 8001);
		break;
	case 'm':
		listen_here(9, 8002);
		break;
	case 'w':
		watch_listener();
		break;
	case 'c':
		connect_here(8001);
		break;
	case 'f':
		fork_follower();
		break;
	case 'x': /* the main thread alone ends */
		pthread_exit(NULL);
	default:
		_exit(1);
	}
}

static void child_main(int from_parent, int to_parent)
{
	char command;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sem_init(&burnt, 0, 0);
	while (read(from_parent, &command, 1) == 1) {
		if (command == 'x' && write(to_parent, &command, 1) != 1)
			_exit(1);
		obey(command);
		if (write(to_parent, &command, 1) != 1)
			break;
	}
	_exit(0);
}

struct child *child_new(void)
{
	struct child *c = &child[n_children];
	int down[2], up[2];

	assert_true(n_children < CHILDREN_MAX);
	assert_int_equal(pipe2(down, O_CLOEXEC), 0);
	assert_int_equal(pipe2(up, O_CLOEXEC), 0);
	c->pid = fork();
	assert_true(c->pid >= 0);
	if (c->pid == 0) {
		close(down[1]);
		close(up[0]);
		child_main(down[0], up[1]);
	}
	close(down[0]);
	close(up[1]);
	c->to = down[1];
	c->from = up[0];
	n_children++;
	return c;
}

void child_do(struct child *c, const char *commands)
{
	char answer;

	for (; *commands; commands++) {
		assert_int_equal(write(c->to, commands, 1), 1);
		assert_int_equal(read(c->from, &answer, 1), 1);
		assert_int_equal(answer, *commands);
	}
}

void child_end(struct child *c)
{
	if (c->pid > 0) {
		kill(c->pid, SIGKILL);
		waitpid(c->pid, NULL, 0);
		close(c->to);
		close(c->from);
	}
	c->pid = 0;
}

void child_end_all(void)
{
	for (size_t i = 0; i < n_children; i++)
		child_end(&child[i]);
	n_children = 0;
}
