/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "other_irqbalance.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/host/irqbalance.h"

static void answer_setup(const struct other_irqbalance *other, int fd)
{
	char text[CB_IRQBALANCE_ANSWER_MAX];
	size_t len = (size_t)snprintf(text, sizeof(text), "SLEEP 10 ");

	for (uint32_t i = 0; i < other->n; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len,
					"IRQ %u LOAD 0 DIFF 0 CLASS 0 ", other->irq[i]);
	len += (size_t)snprintf(text + len, sizeof(text) - len, "BANNED 00000000");
	(void)!write(fd, text, len);
}

static void take_settings(struct other_irqbalance *other, char *list)
{
	other->n = 0;
	other->n_settings++;
	for (char *save, *word = strtok_r(list, " ", &save); word && strcmp(word, "NONE") != 0;
	     word = strtok_r(NULL, " ", &save))
		other->irq[other->n++] = (uint32_t)atoi(word);
}

static void socket_path(const struct other_irqbalance *other, pid_t pid, char path[128])
{
	snprintf(path, 128, "%s/irqbalance%d.sock", other->dir, pid);
}

static _Noreturn void be_irqbalance(struct other_irqbalance *other)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_STREAM, 0), fd;
	char message[500], path[128];
	ssize_t n;

	signal(SIGPIPE, SIG_IGN); /* who asks may have died */
	/* There under its name only once it listens. */
	socket_path(other, getpid(), path);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/new.sock", other->dir);
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(listener, 1) < 0 || rename(address.sun_path, path) < 0)
		_exit(1);
	while ((fd = accept(listener, NULL, NULL)) >= 0) {
		while (other->silent)
			usleep(2000);
		n = recv(fd, message, sizeof(message) - 1, 0);
		message[n > 0 ? n : 0] = '\0';
		if (strcmp(message, "setup") == 0)
			answer_setup(other, fd);
		else if (strncmp(message, "settings ban irqs ", 18) == 0)
			take_settings(other, message + 18);
		close(fd);
	}
	_exit(0);
}

struct other_irqbalance *other_new(const char *dir)
{
	struct other_irqbalance *other = mmap(NULL, sizeof(*other), PROT_READ | PROT_WRITE,
					      MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	assert_true(other != MAP_FAILED);
	snprintf(other->dir, sizeof(other->dir), "%s", dir);
	return other;
}

void other_free(struct other_irqbalance *other)
{
	munmap(other, sizeof(*other));
}

pid_t other_start(struct other_irqbalance *other, const char *comm)
{
	char path[128];
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (comm)
			prctl(PR_SET_NAME, comm);
		be_irqbalance(other);
	}
	socket_path(other, pid, path);
	while (access(path, F_OK) < 0)
		usleep(1000);
	return pid;
}

void other_end(struct other_irqbalance *other, pid_t pid)
{
	char path[128];

	if (pid <= 0)
		return;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	socket_path(other, pid, path);
	unlink(path);
}

void other_bans(struct other_irqbalance *other, uint32_t a, uint32_t b)
{
	other->irq[0] = a;
	other->irq[1] = b;
	other->n = (a != 0 ? 1u : 0) + (b != 0 ? 1u : 0);
}

bool other_has(const struct other_irqbalance *other, uint32_t n, const uint32_t *irq)
{
	for (uint32_t i = 0; i < n; i++) {
		bool there = false;

		for (uint32_t k = 0; k < other->n; k++)
			there = there || other->irq[k] == irq[i];
		if (!there)
			return false;
	}
	return other->n == n;
}
