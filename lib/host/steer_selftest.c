/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Does this kernel heed SO_INCOMING_CPU between sockets that share a port? It does since Linux 6.2, and where that was
 * taken back into an older one: so it is tried, not read off a version. Two listeners on the loopback, at a port of the
 * kernel's choice, for a moment: what comes from our CPU has to be at the one that was told so.
 */
#include "steer.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROUNDS	  12 /* each would be right by chance one time in two */
#define WAIT_MSEC 200

static int listener(struct sockaddr_in *address)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), one = 1;
	socklen_t len = sizeof(*address);

	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)) == 0 &&
	    bind(fd, (struct sockaddr *)address, len) == 0 &&
	    getsockname(fd, (struct sockaddr *)address, &len) == 0 && listen(fd, ROUNDS) == 0)
		return fd;
	one = errno;
	close(fd);
	return -one;
}

static bool told(int fd, int cpu)
{
	return setsockopt(fd, SOL_SOCKET, SO_INCOMING_CPU, &cpu, sizeof(cpu)) == 0;
}

/* One connection. 1: at @want; 0: at the other; negative: it did not come. */
static int try_once(const struct sockaddr_in *address, int want, int other)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct pollfd pollfds[] = { { .fd = want, .events = POLLIN },
				    { .fd = other, .events = POLLIN } };
	_cleanup_close_ int taken = -1;

	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 &&
	    errno != EINPROGRESS)
		return -errno;
	if (poll(pollfds, CB_ARRAY_SIZE(pollfds), WAIT_MSEC) <= 0)
		return -ETIMEDOUT;
	taken = accept4(pollfds[0].revents ? want : other, NULL, NULL, SOCK_CLOEXEC);
	return taken < 0 ? -errno : pollfds[0].revents != 0;
}

int cb_steer_cpu_heeded(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	_cleanup_close_ int first = listener(&address);
	_cleanup_close_ int second = first < 0 ? first : listener(&address);
	int tries = 0;

	if (second < 0)
		return second;
	/* the second one, which the kernel without the rule would find half of the time */
	for (int right = 0; right < ROUNDS && tries < 4 * ROUNDS; tries++) {
		int cpu = sched_getcpu(), r;

		if (cpu < 0 || !told(second, cpu) || !told(first, -1))
			return -EOPNOTSUPP;
		r = try_once(&address, second, first);
		if (r < 0)
			return r;
		if (sched_getcpu() != cpu)
			continue; /* moved meanwhile: it says nothing */
		if (r == 0)
			return 0;
		right++;
	}
	return tries < 4 * ROUNDS;
}
