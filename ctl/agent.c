/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * polkit's agent for terminals, beside this program for as long as it runs. It steps back where the session has an agent of
 * its own (--fallback). It says that it is ready by closing a pipe.
 */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ctl.h"

#define AGENT	     "pkttyagent"
#define READY_MS_MAX 5000

static void run_agent(int ready, pid_t parent)
{
	char pid[24], fd[24];

	/* The number is its own; it is read before the parent can be somebody else. */
	if (prctl(PR_SET_PDEATHSIG, SIGTERM) < 0 || getppid() != parent)
		_exit(1);
	snprintf(pid, sizeof(pid), "%d", (int)parent);
	snprintf(fd, sizeof(fd), "%d", ready);
	execlp(AGENT, AGENT, "--notify-fd", fd, "--fallback", "--process", pid, (char *)NULL);
	_exit(127);
}

void cb_agent_open(struct cb_ctl *ctl)
{
	struct pollfd ready = { .events = 0 };
	pid_t parent = getpid(), pid;
	int fds[2];

	if (ctl->no_ask || ctl->json || geteuid() == 0 || strcmp(ctl->bus_name, "system") != 0 ||
	    !isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
		return;
	if (pipe(fds) < 0)
		return;
	pid = fork();
	if (pid == 0) {
		close(fds[0]);
		run_agent(fds[1], parent);
	}
	close(fds[1]);
	ready.fd = fds[0];
	/* Without an answer the call goes out all the same, and is refused with its reason. */
	if (pid > 0)
		poll(&ready, 1, READY_MS_MAX);
	close(fds[0]);
	ctl->agent_pid = pid > 0 ? pid : 0;
}

void cb_agent_close(struct cb_ctl *ctl)
{
	if (ctl->agent_pid <= 0)
		return;
	kill(ctl->agent_pid, SIGTERM);
	kill(ctl->agent_pid, SIGCONT);
	while (waitpid(ctl->agent_pid, NULL, 0) < 0 && errno == EINTR)
		;
	ctl->agent_pid = 0;
}
