/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The daemon is started with fork and exec, its output collected in a file. Whoever fails here ends the whole program by
 * a failed assertion of cmocka; the private bus and the sleepers die with their parent.
 */
#include "daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define BUS_NAME       "org.cpubalance1"
#define BUS_PATH       "/org/cpubalance1"
#define INTERFACE      "org.cpubalance1.Manager"
#define WAIT_STEP_USEC 20000u
#define WAIT_STEPS     1500u /* half a minute: only ever reached by a failure */

static const char *build_dir(void)
{
	const char *dir = getenv("CB_BUILD");

	return dir ? dir : "build";
}

static const char *source_dir(void)
{
	const char *dir = getenv("CB_SRC");

	return dir ? dir : ".";
}

void daemon_need_bus(char **argv)
{
	char wrapper[4096], dir[] = "/tmp/cpubalance-bustest.XXXXXX";
	int status = 0;
	pid_t pid;

	if (getenv("CB_BUS_ADDRESS"))
		return;
	/* not below TMPDIR, which is the caller's alone: another user has to reach the bus too */
	if (!mkdtemp(dir) || chmod(dir, 0755) < 0)
		exit(EXIT_FAILURE);
	snprintf(wrapper, sizeof(wrapper), "%s/tools/private-bus", source_dir());
	pid = fork();
	if (pid == 0) {
		setenv("TMPDIR", dir, 1);
		execl(wrapper, wrapper, argv[0], (char *)NULL);
		perror(wrapper);
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	rmdir(dir);
	exit(pid > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILURE);
}

/* --- processes --- */

void wait_until(const char *what, bool (*condition)(void *userdata), void *userdata)
{
	for (unsigned int i = 0; i < WAIT_STEPS; i++) {
		if (condition(userdata))
			return;
		usleep(WAIT_STEP_USEC);
	}
	fail_msg("waited too long until %s", what);
}

pid_t start_sleeper(void)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execlp("sleep", "sleep", "600", (char *)NULL);
		_exit(127);
	}
	return pid;
}

void end_process(pid_t *pid)
{
	if (*pid > 0) {
		kill(*pid, SIGKILL);
		waitpid(*pid, NULL, 0);
	}
	*pid = 0;
}

static int status_of(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* --- life --- */

void daemon_init(struct daemon *daemon)
{
	*daemon = (struct daemon){ .bus_address = getenv("CB_BUS_ADDRESS") };
	snprintf(daemon->dir, sizeof(daemon->dir), "/tmp/cpubalance-daemon.XXXXXX");
	assert_non_null(mkdtemp(daemon->dir));
	daemon_config(daemon, "");
}

static void remove_dir(const char *dir)
{
	pid_t pid = fork();

	if (pid == 0) {
		execlp("rm", "rm", "-rf", "--", dir, (char *)NULL);
		_exit(127);
	}
	waitpid(pid, NULL, 0);
}

void daemon_done(struct daemon *daemon)
{
	if (daemon->pid > 0)
		assert_int_equal(daemon_stop(daemon), 0);
	sd_bus_flush_close_unref(daemon->bus);
	remove_dir(daemon->dir);
}

void daemon_config(struct daemon *daemon, const char *text)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/test.conf", daemon->dir);
	file = fopen(path, "we");
	assert_non_null(file);
	fprintf(file, "[Manager]\nSampleIntervalSec=250ms\n%s", text);
	assert_int_equal(fclose(file), 0);
}

static void exec_daemon(const struct daemon *daemon, const char *const *arguments, bool dirs)
{
	char binary[4096], log[128], bus[256], config[128], run[128], state[128];
	const char *argv[32];
	size_t n = 0;
	int fd;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(log, sizeof(log), "%s/log", daemon->dir);
	fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
	dup2(fd, STDERR_FILENO);
	dup2(fd, STDOUT_FILENO);
	snprintf(binary, sizeof(binary), "%s/cpubalanced", build_dir());
	snprintf(bus, sizeof(bus), "--bus=%s", daemon->bus_address);
	snprintf(config, sizeof(config), "--config=%s/test.conf", daemon->dir);
	snprintf(run, sizeof(run), "--run-dir=%s/run", daemon->dir);
	snprintf(state, sizeof(state), "--state-dir=%s/state", daemon->dir);
	argv[n++] = binary;
	if (dirs) {
		argv[n++] = bus;
		argv[n++] = config;
		argv[n++] = run;
		argv[n++] = state;
	}
	while (arguments && *arguments && n < CB_ARRAY_SIZE(argv) - 1)
		argv[n++] = *arguments++;
	argv[n] = NULL;
	execv(binary, (char *const *)(uintptr_t)argv);
	perror(binary);
	_exit(127);
}

void daemon_spawn(struct daemon *daemon, const char *const *arguments)
{
	daemon->pid = fork();
	assert_true(daemon->pid >= 0);
	if (daemon->pid == 0)
		exec_daemon(daemon, arguments, true);
}

int daemon_run(const struct daemon *daemon, const char *const *arguments)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		exec_daemon(daemon, arguments, false);
	return status_of(pid);
}

static bool is_up(void *userdata)
{
	struct daemon *daemon = userdata;
	char *state = NULL;
	bool up;

	if (waitpid(daemon->pid, NULL, WNOHANG) == daemon->pid) {
		char *log = daemon_log(daemon);

		daemon->pid = 0;
		fail_msg("cpubalanced ended at once: %s", log);
	}
	up = sd_bus_get_property_string(daemon->bus, BUS_NAME, BUS_PATH, INTERFACE, "State", NULL,
					&state) >= 0 &&
	     strcmp(state, "starting") != 0;
	free(state);
	return up;
}

void daemon_start(struct daemon *daemon, const char *const *arguments)
{
	if (!daemon->bus) {
		assert_true(sd_bus_new(&daemon->bus) >= 0);
		assert_true(sd_bus_set_address(daemon->bus, daemon->bus_address) >= 0);
		assert_true(sd_bus_set_bus_client(daemon->bus, 1) >= 0);
		assert_true(sd_bus_start(daemon->bus) >= 0);
	}
	daemon_spawn(daemon, arguments);
	wait_until("cpubalanced is up", is_up, daemon);
}

int daemon_wait(struct daemon *daemon)
{
	int status = status_of(daemon->pid);

	daemon->pid = 0;
	return status;
}

int daemon_stop(struct daemon *daemon)
{
	kill(daemon->pid, SIGTERM);
	return daemon_wait(daemon);
}

void daemon_kill(struct daemon *daemon)
{
	end_process(&daemon->pid);
}

char *daemon_log(const struct daemon *daemon)
{
	size_t size = 1u << 20;
	char *text = calloc(1, size), path[128];
	FILE *file;

	assert_non_null(text);
	snprintf(path, sizeof(path), "%s/log", daemon->dir);
	file = fopen(path, "re");
	if (file) {
		text[fread(text, 1, size - 1, file)] = '\0';
		fclose(file);
	}
	return text;
}

bool daemon_log_has(const struct daemon *daemon, const char *text)
{
	char *log = daemon_log(daemon);
	bool has = strstr(log, text) != NULL;

	free(log);
	return has;
}

/* --- calls --- */

int daemon_call(struct daemon *daemon, const char *method, sd_bus_error *error,
		sd_bus_message **ret, const char *types, ...)
{
	va_list ap;
	int r;

	va_start(ap, types);
	r = sd_bus_call_methodv(daemon->bus, BUS_NAME, BUS_PATH, INTERFACE, method, error, ret,
				types, ap);
	va_end(ap);
	return r < 0 ? r : 0;
}

sd_bus_message *daemon_ask(struct daemon *daemon, const char *method, const char *types, ...)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus_message *reply = NULL;
	va_list ap;
	int r;

	va_start(ap, types);
	r = sd_bus_call_methodv(daemon->bus, BUS_NAME, BUS_PATH, INTERFACE, method, &error, &reply,
				types, ap);
	va_end(ap);
	if (r < 0)
		fail_msg("%s: %s", method, error.message);
	return reply;
}

bool daemon_get_bool(struct daemon *daemon, const char *property)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	int value = -1;

	if (sd_bus_get_property_trivial(daemon->bus, BUS_NAME, BUS_PATH, INTERFACE, property,
					&error, 'b', &value) < 0)
		fail_msg("%s: %s", property, error.message);
	return value;
}

char *daemon_get_string(struct daemon *daemon, const char *property)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	char *value = NULL;

	if (sd_bus_get_property_string(daemon->bus, BUS_NAME, BUS_PATH, INTERFACE, property, &error,
				       &value) < 0)
		fail_msg("%s: %s", property, error.message);
	return value;
}

uint32_t daemon_get_u32(struct daemon *daemon, const char *property)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	uint32_t value = 0;

	if (sd_bus_get_property_trivial(daemon->bus, BUS_NAME, BUS_PATH, INTERFACE, property,
					&error, 'u', &value) < 0)
		fail_msg("%s: %s", property, error.message);
	return value;
}

int daemon_register(struct daemon *daemon, const char *group, const pid_t *pids, size_t n,
		    sd_bus_error *error)
{
	sd_bus_message *call = NULL;
	int r;

	assert_true(sd_bus_message_new_method_call(daemon->bus, &call, BUS_NAME, BUS_PATH,
						   INTERFACE, "Register") >= 0);
	assert_true(sd_bus_message_append(call, "s", group) >= 0);
	assert_true(sd_bus_message_open_container(call, 'a', "h") >= 0);
	for (size_t i = 0; i < n; i++) {
		int fd = (int)syscall(SYS_pidfd_open, pids[i], 0);

		assert_true(fd >= 0);
		assert_true(sd_bus_message_append(call, "h", fd) >= 0);
		close(fd);
	}
	assert_true(sd_bus_message_close_container(call) >= 0);
	assert_true(sd_bus_message_append(call, "a{sv}", 0) >= 0);
	r = sd_bus_call(daemon->bus, call, 0, error, NULL);
	sd_bus_message_unref(call);
	return r < 0 ? r : 0;
}
