/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The life of cpubalanced around its bus: what it tells the service manager, a stop against a restart, registrations that
 * outlive it, a bus that is not there, goes away and comes back, plans as objects, traces, and exit codes.
 */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon.h"

#define NAME "org.cpubalance1"
#define PATH "/org/cpubalance1"

static struct daemon daemon_;
static pid_t sleeper;

static int setup(void **state)
{
	(void)state;
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("INVOCATION_ID");
	daemon_init(&daemon_);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	end_process(&sleeper);
	daemon_done(&daemon_);
	return 0;
}

static const char *file_in(const char *name)
{
	static char path[160];

	snprintf(path, sizeof(path), "%s/%s", daemon_.dir, name);
	return path;
}

static bool exists(const char *name)
{
	return access(file_in(name), F_OK) == 0;
}

/* --- the service manager --- */

static int notify_fd = -1;
static char notified[65536];

static void listen_for_notifications(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	notified[0] = '\0';
	notify_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_true(notify_fd >= 0);
	snprintf(address.sun_path, sizeof(address.sun_path), "%.100s", file_in("notify"));
	assert_int_equal(bind(notify_fd, (struct sockaddr *)&address, sizeof(address)), 0);
	setenv("NOTIFY_SOCKET", address.sun_path, 1);
}

static bool was_notified(void *userdata)
{
	size_t len = strlen(notified);
	ssize_t n;

	while ((n = recv(notify_fd, notified + len, sizeof(notified) - len - 2, 0)) > 0) {
		len += (size_t)n;
		notified[len++] = '\n';
		notified[len] = '\0';
	}
	return strstr(notified, (const char *)userdata) != NULL;
}

static void expect_notified(const char *text)
{
	wait_until(text, was_notified, (void *)(uintptr_t)text);
}

static void test_notifications(void **state)
{
	(void)state;
	listen_for_notifications();
	setenv("WATCHDOG_USEC", "300000", 1);
	daemon_start(&daemon_, NULL);
	expect_notified("READY=1");
	expect_notified("STATUS=auto: ");
	expect_notified("WATCHDOG=1");
	assert_null(strstr(notified, "RELOADING=1"));
	kill(daemon_.pid, SIGHUP);
	expect_notified("RELOADING=1");
	notified[0] = '\0';
	expect_notified("WATCHDOG=1");
	assert_int_equal(daemon_stop(&daemon_), 0);
	expect_notified("STOPPING=1");
	close(notify_fd);
}

/* What org.freedesktop.systemd1 answers on the private bus: the job of our unit. */
static const char *job_type;

static int get_unit(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	(void)userdata;
	(void)error;
	return sd_bus_reply_method_return(message, "o", "/org/freedesktop/systemd1/unit/us");
}

static int get_job(sd_bus *bus, const char *path, const char *interface, const char *property,
		   sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	(void)bus;
	(void)path;
	(void)interface;
	(void)property;
	(void)userdata;
	(void)error;
	return sd_bus_message_append(reply, "(uo)", job_type ? 7 : 0,
				     job_type ? "/org/freedesktop/systemd1/job/7" : "/");
}

static int get_job_type(sd_bus *bus, const char *path, const char *interface, const char *property,
			sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	(void)bus;
	(void)path;
	(void)interface;
	(void)property;
	(void)userdata;
	(void)error;
	return sd_bus_message_append(reply, "s", job_type);
}

static const sd_bus_vtable manager_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD("GetUnitByPID", "u", "o", get_unit, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};
static const sd_bus_vtable unit_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("Job", "(uo)", get_job, 0, 0),
	SD_BUS_VTABLE_END,
};
static const sd_bus_vtable job_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_PROPERTY("JobType", "s", get_job_type, 0, 0),
	SD_BUS_VTABLE_END,
};

static sd_bus *be_systemd(void)
{
	sd_bus *bus = NULL;

	assert_true(sd_bus_new(&bus) >= 0);
	assert_true(sd_bus_set_address(bus, daemon_.bus_address) >= 0);
	assert_true(sd_bus_set_bus_client(bus, 1) >= 0);
	assert_true(sd_bus_start(bus) >= 0);
	assert_true(sd_bus_add_object_vtable(bus, NULL, "/org/freedesktop/systemd1",
					     "org.freedesktop.systemd1.Manager", manager_vtable,
					     &daemon_) >= 0);
	assert_true(sd_bus_add_object_vtable(bus, NULL, "/org/freedesktop/systemd1/unit/us",
					     "org.freedesktop.systemd1.Unit", unit_vtable,
					     &daemon_) >= 0);
	assert_true(sd_bus_add_object_vtable(bus, NULL, "/org/freedesktop/systemd1/job/7",
					     "org.freedesktop.systemd1.Job", job_vtable,
					     &daemon_) >= 0);
	assert_true(sd_bus_request_name(bus, "org.freedesktop.systemd1", 0) >= 0);
	return bus;
}

static bool has_ended(void *userdata)
{
	sd_bus *bus = userdata;
	siginfo_t info = { .si_pid = 0 };

	while (sd_bus_process(bus, NULL) > 0)
		;
	return waitid(P_PID, (id_t)daemon_.pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
	       info.si_pid == daemon_.pid;
}

/* Stop the daemon while its unit has a job of this type, NULL for none. Returns what it noted. */
static const char *stop_with_job(const char *type)
{
	static char note[32];
	FILE *file;
	sd_bus *bus;

	setenv("INVOCATION_ID", "0123456789abcdef0123456789abcdef", 1);
	setenv("DBUS_SYSTEM_BUS_ADDRESS", daemon_.bus_address, 1);
	job_type = type;
	daemon_start(&daemon_, NULL);
	assert_false(exists("run/ending"));
	bus = be_systemd();
	kill(daemon_.pid, SIGTERM);
	wait_until("it has ended", has_ended, bus);
	assert_int_equal(daemon_wait(&daemon_), 0);
	sd_bus_flush_close_unref(bus);
	file = fopen(file_in("run/ending"), "re");
	assert_non_null(file);
	note[fread(note, 1, sizeof(note) - 1, file)] = '\0';
	fclose(file);
	return note;
}

static void test_stop_and_restart(void **state)
{
	(void)state;
	assert_string_equal(stop_with_job("stop"), "restore\n");
	assert_string_equal(stop_with_job("restart"), "keep\n");
	assert_string_equal(stop_with_job(NULL), "restore\n");
}

/* Nobody to ask: a stop. */
static void test_stop_without_systemd(void **state)
{
	(void)state;
	setenv("INVOCATION_ID", "0123456789abcdef0123456789abcdef", 1);
	setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus", 1);
	daemon_start(&daemon_, NULL);
	assert_int_equal(daemon_stop(&daemon_), 0);
	assert_true(daemon_log_has(&daemon_, "originals are put back"));
}

/* --- registrations outlive the daemon --- */

static void test_registrations_are_kept(void **state)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	pid_t gone = start_sleeper();

	(void)state;
	sleeper = start_sleeper();
	daemon_config(&daemon_, "Mode=observe\n");
	daemon_start(&daemon_, NULL);
	assert_int_equal(daemon_register(&daemon_, "web", (pid_t[]){ sleeper, gone }, 2, &error),
			 0);
	assert_int_equal(daemon_call(&daemon_, "Register", &error, NULL, "saha{sv}", "set", 0, 2,
				     "AllowedCPUs", "s", "0", "Mode", "s", "observe"),
			 0);
	daemon_kill(&daemon_);
	end_process(&gone);
	daemon_start(&daemon_, NULL);
	assert_int_equal(daemon_get_u32(&daemon_, "Groups"), 2);
	assert_int_equal(daemon_get_u32(&daemon_, "Workers"), 1);
	assert_int_equal(daemon_call(&daemon_, "Unregister", &error, NULL, "s", "web"), 0);
	daemon_kill(&daemon_);
	daemon_start(&daemon_, NULL);
	assert_int_equal(daemon_get_u32(&daemon_, "Groups"), 1);
}

/* --- no bus --- */

static bool log_has(void *userdata)
{
	return daemon_log_has(&daemon_, userdata);
}

static bool has_textfile(void *userdata)
{
	(void)userdata;
	return exists("m.prom");
}

static void test_without_a_bus(void **state)
{
	static const char *const addresses[] = { "none", "unix:path=/nonexistent/bus" };
	char conf[256];

	(void)state;
	snprintf(conf, sizeof(conf), "MetricsTextfile=%s\n", file_in("m.prom"));
	daemon_config(&daemon_, conf);
	for (size_t i = 0; i < CB_ARRAY_SIZE(addresses); i++) {
		daemon_.bus_address = addresses[i];
		daemon_spawn(&daemon_, NULL);
		wait_until("there is a textfile", has_textfile, NULL);
		assert_int_equal(daemon_stop(&daemon_), 0);
		/* nobody shall read the figures of a daemon that is gone */
		assert_false(exists("m.prom"));
	}
	assert_true(daemon_log_has(&daemon_, "Failed to connect to the bus"));
}

static pid_t start_bus(const char *socket)
{
	FILE *file = fopen(file_in("bus.conf"), "we");
	pid_t pid;

	assert_non_null(file);
	fprintf(file,
		"<busconfig><listen>unix:path=%s</listen><auth>EXTERNAL</auth>"
		"<policy context=\"default\"><allow user=\"*\"/><allow own=\"*\"/>"
		"<allow send_destination=\"*\"/><allow receive_sender=\"*\"/>"
		"</policy></busconfig>\n",
		socket);
	fclose(file);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		char config[200];

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (!freopen("/dev/null", "we", stderr))
			_exit(127);
		snprintf(config, sizeof(config), "--config-file=%s", file_in("bus.conf"));
		execlp("dbus-daemon", "dbus-daemon", config, "--nofork", "--nopidfile",
		       (char *)NULL);
		_exit(127);
	}
	return pid;
}

static void test_bus_that_goes_and_comes(void **state)
{
	char address[128], socket[100];
	pid_t bus;

	(void)state;
	snprintf(socket, sizeof(socket), "%s/bus", daemon_.dir);
	snprintf(address, sizeof(address), "unix:path=%s", socket);
	daemon_.bus_address = address;
	daemon_spawn(&daemon_, NULL);
	wait_until("the daemon misses its bus", log_has,
		   (void *)(uintptr_t) "Failed to connect to the bus");
	bus = start_bus(socket);
	wait_until("it connects", log_has, (void *)(uintptr_t) "Connected to the bus");
	end_process(&bus);
	wait_until("it notices the loss", log_has,
		   (void *)(uintptr_t) "Failed to stay connected to the bus");
	unlink(socket);
	bus = start_bus(socket);
	daemon_.bus = NULL;
	wait_until("it connects again", log_has, (void *)(uintptr_t) "Connected to the bus");
	assert_int_equal(daemon_stop(&daemon_), 0);
	end_process(&bus);
}

/* --- plans as objects --- */

static bool in_history(void *userdata)
{
	sd_bus_message *reply = NULL;
	bool found;

	(void)userdata;
	assert_int_equal(daemon_call(&daemon_, "ListHistory", NULL, &reply, "t", UINT64_C(0)), 0);
	assert_true(sd_bus_message_enter_container(reply, 'a', "a{sv}") >= 0);
	found = sd_bus_message_at_end(reply, 0) == 0;
	sd_bus_message_unref(reply);
	return found;
}

static char *plan_text(const char *plan, const char *property)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	char *value = NULL;

	if (sd_bus_get_property_string(daemon_.bus, NAME, plan, NAME ".Plan", property, &error,
				       &value) < 0)
		fail_msg("%s %s: %s", plan, property, error.message);
	return value;
}

/* Taken back before it was applied: nothing is ever written. */
static void test_plan_object(void **state)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus_message *reply = NULL;
	uint32_t plan = 0;
	char *text;

	(void)state;
	sleeper = start_sleeper();
	daemon_config(&daemon_, "[Verify]\nVerifyWindows=60\nVerifyWindowsMax=60\n");
	daemon_start(&daemon_, NULL);
	assert_int_equal(daemon_register(&daemon_, "web", &sleeper, 1, &error), 0);
	/* it is known after the next sample */
	for (unsigned int i = 0;
	     daemon_call(&daemon_, "Move", &error, &reply, "ss", "web/0", "0") < 0; i++) {
		if (i > 500)
			fail_msg("%s", error.message);
		sd_bus_error_free(&error);
		usleep(20000);
	}
	assert_true(sd_bus_message_read(reply, "u", &plan) >= 0);
	sd_bus_message_unref(reply);
	if (plan == 0) {
		/* one CPU is all this machine has: it is there already */
		print_message("skip: one CPU, nowhere to move to\n");
		skip();
	}
	assert_int_equal(plan, 1);
	assert_int_equal(daemon_get_u32(&daemon_, "PlanId"), 1);
	text = plan_text(PATH "/plan/1", "Origin");
	assert_string_equal(text, "operator");
	free(text);
	text = plan_text(PATH "/plan/1", "Verdict");
	assert_string_equal(text, "none");
	free(text);
	assert_int_equal(daemon_call(&daemon_, "Rollback", &error, NULL, "u", 1), 0);
	wait_until("it is in the history", in_history, NULL);
	text = plan_text(PATH "/plan/1", "Verdict");
	assert_string_equal(text, "withdrawn");
	free(text);
	text = plan_text(PATH "/plan/1", "State");
	assert_string_equal(text, "done");
	free(text);
	/* plan numbers go on */
	assert_int_equal(daemon_stop(&daemon_), 0);
	daemon_start(&daemon_, NULL);
	assert_true(in_history(NULL));
	assert_int_equal(daemon_get_u32(&daemon_, "LastPlanId"), 1);
}

/* --- traces --- */

static void test_record_and_replay(void **state)
{
	char record[160], replay[160];
	FILE *file;

	(void)state;
	snprintf(record, sizeof(record), "--record=%s/trace", daemon_.dir);
	snprintf(replay, sizeof(replay), "--replay=%s/trace", daemon_.dir);
	daemon_start(&daemon_, (const char *const[]){ record, NULL });
	assert_int_equal(daemon_stop(&daemon_), 0);
	assert_int_equal(daemon_run(&daemon_, (const char *const[]){ replay, NULL }), 0);
	assert_true(daemon_log_has(&daemon_, " 0 differ"));
	/* and one that is not what it was */
	file = fopen(file_in("trace"), "ae");
	assert_non_null(file);
	fputs("nonsense\n", file);
	fclose(file);
	assert_int_equal(daemon_run(&daemon_, (const char *const[]){ replay, NULL }), 1);
}

/* --- no journal --- */

/* Where originals cannot be recorded everything can be seen, and nothing is moved. */
static void test_without_a_journal(void **state)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	char *text;

	(void)state;
	sleeper = start_sleeper();
	daemon_start(&daemon_, (const char *const[]){ "--run-dir=/proc/none", NULL });
	text = daemon_get_string(&daemon_, "Mode");
	assert_string_equal(text, "observe");
	free(text);
	text = daemon_get_string(&daemon_, "Journal");
	assert_non_null(strstr(text, "/proc/none"));
	free(text);
	assert_int_equal(daemon_register(&daemon_, "web", &sleeper, 1, &error), 0);
	assert_true(daemon_call(&daemon_, "Move", &error, NULL, "ss", "web/0", "0") < 0);
	assert_true(sd_bus_error_has_name(&error, "org.cpubalance1.Error.Refused"));
	assert_non_null(strstr(error.message, "originals cannot be recorded"));
	sd_bus_error_free(&error);
	assert_true(daemon_call(&daemon_, "SetMode", &error, NULL, "ss", "", "auto") < 0);
	sd_bus_error_free(&error);
	assert_int_equal(daemon_stop(&daemon_), 0);
}

/* --- the command line --- */

static int run(const char *argument, const char *more)
{
	return daemon_run(&daemon_, (const char *const[]){ argument, more, NULL });
}

static void test_exit_codes(void **state)
{
	char config[160], run_dir[160];

	(void)state;
	snprintf(config, sizeof(config), "--config=%s/test.conf", daemon_.dir);
	snprintf(run_dir, sizeof(run_dir), "--run-dir=%s/run", daemon_.dir);
	assert_int_equal(run("--help", NULL), 0);
	assert_int_equal(run("--version", NULL), 0);
	assert_int_equal(run("--print-config", NULL), 0);
	assert_int_equal(run("--print-metrics-doc", NULL), 0);
	assert_int_equal(run("--no-such-option", NULL), 2);
	assert_int_equal(run("word", NULL), 2);
	assert_int_equal(run("--unless-restarting", NULL), 2);
	assert_int_equal(run("--restore", "--check-config"), 2);
	assert_int_equal(run("--check-config", config), 0);
	daemon_config(&daemon_, "Mode=fast\n");
	assert_int_equal(run("--check-config", config), 3);
	assert_true(daemon_log_has(&daemon_, "test.conf:3: "));
	assert_int_equal(run("--check-config", "--config=/nonexistent"), 3);
	assert_int_equal(run("--replay=/nonexistent", NULL), 1);
	/* nothing was ever placed */
	assert_int_equal(run("--restore", run_dir), 0);
}

static void test_one_daemon_for_a_run_directory(void **state)
{
	struct daemon second;

	(void)state;
	daemon_start(&daemon_, NULL);
	second = daemon_;
	daemon_spawn(&second, NULL);
	assert_int_equal(daemon_wait(&second), 4);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		CASE(test_notifications),
		CASE(test_stop_and_restart),
		CASE(test_stop_without_systemd),
		CASE(test_registrations_are_kept),
		CASE(test_without_a_bus),
		CASE(test_bus_that_goes_and_comes),
		CASE(test_plan_object),
		CASE(test_record_and_replay),
		CASE(test_without_a_journal),
		CASE(test_exit_codes),
		CASE(test_one_daemon_for_a_run_directory),
	};

	(void)argc;
	daemon_need_bus(argv);
	return cmocka_run_group_tests_name("life", tests, NULL, NULL);
}
