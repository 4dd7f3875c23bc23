/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs what a client asked for, again and again. A run has five seconds and 4 KiB; then its process group is killed. It is given
 * nothing: no input, no terminal, no descriptor of ours. The first line that it writes to its standard error says why it failed.
 */
#include "runner.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cpubalance/scan.h"
#include "cpubalance/sources.h"

#define ASK_TIMEOUT_USEC  (5 * CB_USEC_PER_SEC)
#define INTERVAL_USEC_MAX (3600 * CB_USEC_PER_SEC)
#define COMPLAINT_MAX	  128u

struct request {
	uint64_t interval_usec;
	char command[CB_GAUGE_REQUEST_MAX];
};

/* A stream of the command's. */
struct stream {
	int fd;
	size_t len, size;
	char *buf;
	bool over; /* it wrote more than there is room for */
};

struct run {
	pid_t pid;
	struct stream output, complaint;
	char output_buf[CB_GAUGE_OUTPUT_MAX], complaint_buf[COMPLAINT_MAX];
	bool late;
	int status; /* of waitpid() */
};

static uint64_t now_usec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * CB_USEC_PER_SEC + (uint64_t)now.tv_nsec / 1000;
}

static int msec_until(uint64_t until_usec)
{
	uint64_t now = now_usec();

	return until_usec > now ? (int)((until_usec - now + 999) / 1000) : 0;
}

/* --- the request --- */

static int parse_request(const char *line, size_t len, struct request *ret)
{
	struct cb_scan s = CB_SCAN(line, len);

	if (memchr(line, '\0', len) || !cb_scan_u64(&s, &ret->interval_usec) ||
	    ret->interval_usec < CB_USEC_PER_SEC / 10 || ret->interval_usec > INTERVAL_USEC_MAX ||
	    !cb_scan_char(&s, ' ') || cb_scan_done(&s))
		return -EBADMSG;
	memcpy(ret->command, s.p, (size_t)(s.end - s.p));
	ret->command[s.end - s.p] = '\0';
	return 0;
}

static int read_request(int fd, struct request *ret)
{
	uint64_t until_usec = now_usec() + ASK_TIMEOUT_USEC;
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };
	char line[CB_GAUGE_REQUEST_MAX];
	size_t len = 0;

	while (len < sizeof(line)) {
		const char *end;
		ssize_t n;

		if (poll(&pollfd, 1, msec_until(until_usec)) <= 0)
			return -ETIMEDOUT;
		n = read(fd, line + len, sizeof(line) - len);
		if (n <= 0)
			return -EPIPE;
		len += (size_t)n;
		end = memchr(line, '\n', len);
		if (end)
			return parse_request(line, (size_t)(end - line), ret);
	}
	return -EMSGSIZE;
}

/* --- one run --- */

static bool is_url(const char *command)
{
	return strncmp(command, "http://", 7) == 0 || strncmp(command, "https://", 8) == 0;
}

static void limit(int resource, rlim_t value)
{
	setrlimit((__rlimit_resource_t)resource, &(struct rlimit){ value, value });
}

/* In the child. */
static _Noreturn void become(const char *command, int output_fd, int complaint_fd)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	sigset_t none;

	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	signal(SIGCHLD, SIG_DFL);
	limit(RLIMIT_CORE, 0);
	limit(RLIMIT_CPU, CB_GAUGE_TIMEOUT_USEC / CB_USEC_PER_SEC + 1);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(output_fd, STDOUT_FILENO) < 0 ||
	    dup2(complaint_fd, STDERR_FILENO) < 0)
		_exit(127);
	if (is_url(command))
		execlp("curl", "curl", "--silent", "--show-error", "--fail", "--location",
		       "--max-redirs", "3", "--max-time", "5", "--max-filesize", "4096", "--proto",
		       "=http,https", "--", command, (char *)NULL);
	else
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	dprintf(STDERR_FILENO, "cannot run %s: %s\n", is_url(command) ? "curl" : "/bin/sh",
		strerror(errno));
	_exit(127);
}

static int start(const char *command, struct run *run)
{
	int output[2] = { -1, -1 }, complaint[2] = { -1, -1 }, r = 0;

	if (pipe2(output, O_CLOEXEC) < 0 || pipe2(complaint, O_CLOEXEC) < 0)
		r = -errno;
	run->pid = r < 0 ? -1 : fork();
	if (r == 0 && run->pid < 0)
		r = -errno;
	if (run->pid == 0)
		become(command, output[1], complaint[1]);
	close(output[1]);
	close(complaint[1]);
	if (r < 0) {
		close(output[0]);
		close(complaint[0]);
		return r;
	}
	setpgid(run->pid, run->pid); /* whoever is first */
	run->output = (struct stream){ .fd = output[0],
				       .size = sizeof(run->output_buf),
				       .buf = run->output_buf };
	run->complaint = (struct stream){ .fd = complaint[0],
					  .size = sizeof(run->complaint_buf),
					  .buf = run->complaint_buf };
	return 0;
}

/* Take what is there. Of a complaint the beginning is enough; the rest is read and dropped. */
static void take(struct stream *stream)
{
	char rest[512];
	bool full = stream->len == stream->size;
	ssize_t n = read(stream->fd, full ? rest : stream->buf + stream->len,
			 full ? sizeof(rest) : stream->size - stream->len);

	if (n < 0 && errno == EINTR)
		return;
	if (n <= 0) {
		close(stream->fd);
		stream->fd = -1;
	} else if (full) {
		stream->over = true;
	} else {
		stream->len += (size_t)n;
	}
}

static void attend(struct run *run, uint64_t until_usec)
{
	while (run->output.fd >= 0 && !run->output.over) {
		struct pollfd pollfd[2] = { { .fd = run->output.fd, .events = POLLIN },
					    { .fd = run->complaint.fd, .events = POLLIN } };
		int n = poll(pollfd, 2, msec_until(until_usec));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			run->late = true;
			return;
		}
		if (pollfd[0].revents)
			take(&run->output);
		if (pollfd[1].revents)
			take(&run->complaint);
	}
}

/* Its output has ended, or its time; a command that goes on without output has had its say. */
static void finish(struct run *run, uint64_t until_usec)
{
	const struct timespec step = { .tv_nsec = 2000000 };
	pid_t pid = 0;

	while (!run->late && !run->output.over &&
	       (pid = waitpid(run->pid, &run->status, WNOHANG)) == 0) {
		if (now_usec() >= until_usec)
			run->late = true;
		else
			nanosleep(&step, NULL);
	}
	kill(-run->pid, SIGKILL); /* what it has left behind, too */
	if (pid == 0)
		waitpid(run->pid, &run->status, 0);
	while (run->complaint.fd >= 0 && run->complaint.len < run->complaint.size) {
		struct pollfd pollfd = { .fd = run->complaint.fd, .events = POLLIN };

		if (poll(&pollfd, 1, 0) <= 0)
			break;
		take(&run->complaint);
	}
	if (run->output.fd >= 0)
		close(run->output.fd);
	if (run->complaint.fd >= 0)
		close(run->complaint.fd);
}

/* --- the answer --- */

/* The first line of a text, without what a terminal or a reader of lines would take for something else. */
static int first_line(const char *text, size_t len)
{
	size_t n = 0;

	while (n < len && (unsigned char)text[n] >= ' ' && text[n] != 0x7f)
		n++;
	return (int)n;
}

static void judge(const struct run *run, char *ret, size_t size)
{
	const struct stream *output = &run->output, *complaint = &run->complaint;
	const int said = first_line(complaint->buf, complaint->len);
	double value;

	if (run->late)
		snprintf(ret, size, "! it took longer than %d s\n",
			 (int)(CB_GAUGE_TIMEOUT_USEC / CB_USEC_PER_SEC));
	else if (output->over)
		snprintf(ret, size, "! it printed more than %u bytes\n", CB_GAUGE_OUTPUT_MAX);
	else if (WIFSIGNALED(run->status))
		snprintf(ret, size, "! ended by signal %d\n", WTERMSIG(run->status));
	else if (WEXITSTATUS(run->status) != 0)
		snprintf(ret, size, "! exit status %d%s%.*s\n", WEXITSTATUS(run->status),
			 said > 0 ? ": " : "", CB_MIN(said, 100), complaint->buf);
	else if (cb_gauge_parse(output->buf, output->len, &value) < 0)
		snprintf(ret, size, "! no number: \"%.*s\"\n",
			 CB_MIN(first_line(output->buf, output->len), 60), output->buf);
	else
		snprintf(ret, size, "+ %.15g\n", value);
}

static void run_once(const char *command, char *ret, size_t size)
{
	static struct run run;
	uint64_t until_usec = now_usec() + CB_GAUGE_TIMEOUT_USEC;
	int r;

	run = (struct run){ .pid = -1 };
	r = start(command, &run);
	if (r < 0) {
		snprintf(ret, size, "! %s\n", strerror(-r));
		return;
	}
	attend(&run, until_usec);
	finish(&run, until_usec);
	judge(&run, ret, size);
}

/* Until it is time; false when the client has gone. It has nothing more to say: any word of it is the end, too. */
static bool wait_until(int fd, uint64_t until_usec)
{
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };
	int n;

	do
		n = poll(&pollfd, 1, msec_until(until_usec));
	while (n < 0 && errno == EINTR);
	return n == 0;
}

int cb_gauge_serve(int fd)
{
	struct request request;
	char answer[CB_GAUGE_ANSWER_MAX];
	uint64_t next_usec;

	if (read_request(fd, &request) < 0) {
		static const char refusal[] = "! no valid request\n";

		(void)!send(fd, refusal, sizeof(refusal) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
		return EXIT_FAILURE;
	}
	for (next_usec = now_usec(); wait_until(fd, next_usec);
	     next_usec = CB_MAX(next_usec + request.interval_usec, now_usec())) {
		run_once(request.command, answer, sizeof(answer));
		/* who does not read in time has no use for old numbers */
		if (send(fd, answer, strlen(answer), MSG_NOSIGNAL | MSG_DONTWAIT) < 0 &&
		    errno != EAGAIN)
			break;
	}
	return EXIT_SUCCESS;
}
