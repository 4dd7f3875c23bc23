/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cpubalanced on a private bus: its properties and listings, registration, who may do what, reload, signals, groups and
 * plans as objects. Nothing is moved here: the groups are observed.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon.h"

#define NAME  "org.cpubalance1"
#define PATH  "/org/cpubalance1"
#define ERROR "org.cpubalance1.Error."

static struct daemon daemon_;
static pid_t sleeper[3];

static int setup(void **state)
{
	(void)state;
	daemon_init(&daemon_);
	daemon_config(&daemon_, "Mode=observe\n");
	daemon_start(&daemon_, NULL);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (size_t i = 0; i < CB_ARRAY_SIZE(sleeper); i++)
		end_process(&sleeper[i]);
	daemon_done(&daemon_);
	return 0;
}

/* --- reading --- */

static const struct {
	const char *name, *type;
} properties[] = {
#define TYPE_STRING				      "s"
#define TYPE_U32				      "u"
#define TYPE_I32				      "i"
#define TYPE_U64				      "t"
#define TYPE_DOUBLE				      "d"
#define TYPE_BOOL				      "b"
#define CB_REPORT_ROW(type, field, Name, emits, help) { #Name, TYPE_##type },
#include "cpubalance/report.def"
#undef CB_REPORT_ROW
};

static void test_properties(void **state)
{
	(void)state;
	for (size_t i = 0; i < CB_ARRAY_SIZE(properties); i++) {
		sd_bus_error error = SD_BUS_ERROR_NULL;
		sd_bus_message *reply = NULL;

		if (sd_bus_get_property(daemon_.bus, NAME, PATH, NAME ".Manager",
					properties[i].name, &error, &reply, properties[i].type) < 0)
			fail_msg("%s: %s", properties[i].name, error.message);
		sd_bus_message_unref(reply);
	}
}

static void test_property_values(void **state)
{
	char *text;

	(void)state;
	text = daemon_get_string(&daemon_, "Version");
	assert_string_equal(text, CB_VERSION);
	free(text);
	text = daemon_get_string(&daemon_, "Mode");
	assert_string_equal(text, "observe");
	free(text);
	text = daemon_get_string(&daemon_, "Journal");
	assert_string_equal(text, "ok");
	free(text);
	assert_int_equal(daemon_get_u32(&daemon_, "CPUs"), sysconf(_SC_NPROCESSORS_ONLN));
	assert_int_equal(daemon_get_u32(&daemon_, "Groups"), 0);
}

/* Rows of an aa{sv}. */
static unsigned int count_rows(sd_bus_message *reply)
{
	unsigned int n = 0;

	assert_true(sd_bus_message_enter_container(reply, 'a', "a{sv}") >= 0);
	while (sd_bus_message_skip(reply, "a{sv}") > 0 && sd_bus_message_at_end(reply, 0) == 0)
		n++;
	return n + 1;
}

static bool is_empty(sd_bus_message *reply)
{
	assert_true(sd_bus_message_enter_container(reply, 'a', NULL) >= 0);
	return sd_bus_message_at_end(reply, 0) > 0;
}

/* The value of @key in a row that is about to be read; consumes the row. NULL when absent. */
static const char *row_string(sd_bus_message *reply, const char *key)
{
	const char *value = NULL, *name, *contents;
	char type;

	assert_true(sd_bus_message_enter_container(reply, 'a', "{sv}") >= 0);
	while (sd_bus_message_enter_container(reply, 'e', "sv") > 0) {
		assert_true(sd_bus_message_read(reply, "s", &name) >= 0);
		assert_true(sd_bus_message_peek_type(reply, &type, &contents) > 0);
		if (strcmp(name, key) == 0 && strcmp(contents, "s") == 0)
			assert_true(sd_bus_message_read(reply, "v", "s", &value) >= 0);
		else
			assert_true(sd_bus_message_skip(reply, "v") >= 0);
		assert_true(sd_bus_message_exit_container(reply) >= 0);
	}
	assert_true(sd_bus_message_exit_container(reply) >= 0);
	return value;
}

static void test_listings(void **state)
{
	sd_bus_message *reply;

	(void)state;
	reply = daemon_ask(&daemon_, "ListCPUs", "");
	assert_true(count_rows(reply) >= (unsigned int)sysconf(_SC_NPROCESSORS_ONLN));
	sd_bus_message_unref(reply);
	reply = daemon_ask(&daemon_, "ListSources", "");
	assert_true(count_rows(reply) > 5);
	sd_bus_message_unref(reply);
	reply = daemon_ask(&daemon_, "ListIRQs", "");
	sd_bus_message_unref(reply);
	/* Every machine has the architecture's own rows. */
	reply = daemon_ask(&daemon_, "CountIRQs", "b", true);
	assert_true(count_rows(reply) > 0);
	sd_bus_message_unref(reply);
	reply = daemon_ask(&daemon_, "CountIRQs", "b", false);
	sd_bus_message_unref(reply);
	reply = daemon_ask(&daemon_, "ListFindings", "");
	sd_bus_message_unref(reply);
	reply = daemon_ask(&daemon_, "ListChanges", "");
	assert_true(is_empty(reply));
	sd_bus_message_unref(reply);
	reply = daemon_ask(&daemon_, "ListHistory", "t", UINT64_C(0));
	assert_true(is_empty(reply));
	sd_bus_message_unref(reply);
	reply = daemon_ask(&daemon_, "ListGroups", "");
	assert_true(is_empty(reply));
	sd_bus_message_unref(reply);
	reply = daemon_ask(&daemon_, "GetPlan", "");
	assert_string_equal(sd_bus_message_get_signature(reply, 1), "a{sv}");
	sd_bus_message_unref(reply);
}

static void test_metrics(void **state)
{
	sd_bus_message *reply = daemon_ask(&daemon_, "GetMetrics", "");
	const char *text;

	(void)state;
	assert_true(sd_bus_message_read(reply, "s", &text) >= 0);
	assert_non_null(strstr(text, "\ncpubalance_up 1\n"));
	assert_non_null(strstr(text, "\ncpubalance_mode{mode=\"observe\"} 1\n"));
	sd_bus_message_unref(reply);
}

static void test_explain(void **state)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus_message *reply = daemon_ask(&daemon_, "Explain", "i", -1);

	(void)state;
	assert_non_null(row_string(reply, "Next"));
	sd_bus_message_unref(reply);
	assert_true(daemon_call(&daemon_, "Explain", &error, NULL, "i", 100000) < 0);
	assert_true(sd_bus_error_has_name(&error, ERROR "InvalidArgument"));
	sd_bus_error_free(&error);
}

/* --- registration --- */

static void expect(const char *name, int r, sd_bus_error *error)
{
	assert_true(r < 0);
	if (!sd_bus_error_has_name(error, name))
		fail_msg("%s, not %s: %s", error->name, name, error->message);
	if (!error->message || strchr(error->message, '\n') || strlen(error->message) < 5)
		fail_msg("%s: no clear line: %s", name, error->message);
	sd_bus_error_free(error);
}

static void test_register(void **state)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	sd_bus_message *reply;
	char *mode = NULL;

	(void)state;
	for (size_t i = 0; i < CB_ARRAY_SIZE(sleeper); i++)
		sleeper[i] = start_sleeper();
	assert_int_equal(daemon_register(&daemon_, "web", sleeper, 2, &error), 0);
	assert_int_equal(daemon_get_u32(&daemon_, "Groups"), 1);
	assert_int_equal(daemon_get_u32(&daemon_, "Workers"), 2);
	/* more of them, and one that is there already */
	assert_int_equal(daemon_register(&daemon_, "web", &sleeper[1], 2, &error), 0);
	assert_int_equal(daemon_get_u32(&daemon_, "Workers"), 3);
	/* a process has one group */
	expect(ERROR "Refused", daemon_register(&daemon_, "other", sleeper, 1, &error), &error);
	assert_int_equal(daemon_get_u32(&daemon_, "Groups"), 1);
	reply = daemon_ask(&daemon_, "ListWorkers", "s", "web");
	assert_int_equal(count_rows(reply), 3);
	sd_bus_message_unref(reply);
	assert_true(sd_bus_get_property_string(daemon_.bus, NAME, PATH "/group/web", NAME ".Group",
					       "Mode", &error, &mode) >= 0);
	assert_string_equal(mode, "observe");
	free(mode);
	sd_bus_message_unref(daemon_ask(&daemon_, "Unregister", "s", "web"));
	assert_int_equal(daemon_get_u32(&daemon_, "Groups"), 0);
	assert_int_equal(daemon_get_u32(&daemon_, "Workers"), 0);
	assert_true(sd_bus_get_property_string(daemon_.bus, NAME, PATH "/group/web", NAME ".Group",
					       "Mode", &error, &mode) < 0);
	sd_bus_error_free(&error);
}

static void test_register_refusals(void **state)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;

	(void)state;
	expect(ERROR "InvalidArgument", daemon_register(&daemon_, "../x", NULL, 0, &error), &error);
	expect(ERROR "InvalidArgument", daemon_register(&daemon_, "", NULL, 0, &error), &error);
	/* standard input is a descriptor, but no process */
	expect(ERROR "Refused",
	       daemon_call(&daemon_, "Register", &error, NULL, "saha{sv}", "web", 1, STDIN_FILENO,
			   0),
	       &error);
	expect(ERROR "InvalidArgument",
	       daemon_call(&daemon_, "Register", &error, NULL, "saha{sv}", "web", 0, 1,
			   "AllowedCPUs", "s", "3-1"),
	       &error);
	expect(ERROR "InvalidArgument",
	       daemon_call(&daemon_, "Register", &error, NULL, "saha{sv}", "web", 0, 1, "NoSuch",
			   "s", "1"),
	       &error);
	expect(ERROR "InvalidArgument",
	       daemon_call(&daemon_, "Register", &error, NULL, "saha{sv}", "web", 0, 1, "Mode", "u",
			   1),
	       &error);
	assert_int_equal(daemon_get_u32(&daemon_, "Groups"), 0);
	expect(ERROR "NoSuchGroup", daemon_call(&daemon_, "Unregister", &error, NULL, "s", "web"),
	       &error);
	expect(ERROR "NoSuchGroup", daemon_call(&daemon_, "Release", &error, NULL, "sb", "web", 0),
	       &error);
	expect(ERROR "NoSuchWorker",
	       daemon_call(&daemon_, "Move", &error, NULL, "ss", "web/0", "0"), &error);
	expect(ERROR "InvalidArgument",
	       daemon_call(&daemon_, "Move", &error, NULL, "ss", "web/0", "zero"), &error);
	expect(ERROR "NoSuchPlan", daemon_call(&daemon_, "Apply", &error, NULL, "u", 0), &error);
	expect(ERROR "NoSuchPlan", daemon_call(&daemon_, "Rollback", &error, NULL, "u", 7), &error);
	expect(ERROR "InvalidArgument",
	       daemon_call(&daemon_, "SetMode", &error, NULL, "ss", "", "fast"), &error);
}

/* As many groups as there may be, and one more. */
static void test_group_limit(void **state)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	char name[16];

	(void)state;
	for (unsigned int i = 0; i < 64; i++) {
		snprintf(name, sizeof(name), "g%u", i);
		assert_int_equal(daemon_register(&daemon_, name, NULL, 0, &error), 0);
	}
	expect(ERROR "Limit", daemon_register(&daemon_, "more", NULL, 0, &error), &error);
}

static bool no_worker(void *userdata)
{
	(void)userdata;
	return daemon_get_u32(&daemon_, "Workers") == 0;
}

static void test_worker_that_ends(void **state)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;

	(void)state;
	sleeper[0] = start_sleeper();
	assert_int_equal(daemon_register(&daemon_, "web", sleeper, 1, &error), 0);
	assert_int_equal(daemon_get_u32(&daemon_, "Workers"), 1);
	end_process(&sleeper[0]);
	wait_until("the worker is forgotten", no_worker, NULL);
}

/* --- who may --- */

/* The status of a child that runs @check as nobody on a connection of its own. */
static int as_nobody(bool (*check)(sd_bus *bus))
{
	pid_t pid = fork();
	int status = 0;

	assert_true(pid >= 0);
	if (pid == 0) {
		sd_bus *bus = NULL;

		if (setresgid(65534, 65534, 65534) < 0 || setresuid(65534, 65534, 65534) < 0 ||
		    sd_bus_new(&bus) < 0 || sd_bus_set_address(bus, daemon_.bus_address) < 0 ||
		    sd_bus_set_bus_client(bus, 1) < 0 || sd_bus_start(bus) < 0)
			_exit(2);
		_exit(check(bus) ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static bool may_read(sd_bus *bus)
{
	static const char *const methods[] = { "ListCPUs",     "ListIRQs",    "ListGroups",
					       "ListFindings", "ListChanges", "ListSources",
					       "GetPlan",      "GetMetrics" };
	char *text = NULL;

	for (size_t i = 0; i < CB_ARRAY_SIZE(methods); i++)
		if (sd_bus_call_method(bus, NAME, PATH, NAME ".Manager", methods[i], NULL, NULL,
				       "") < 0)
			return false;
	return sd_bus_get_property_string(bus, NAME, PATH, NAME ".Manager", "State", NULL, &text) >=
	       0;
}

static bool is_denied(sd_bus *bus, const char *method, const char *types, ...)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	bool denied;
	va_list ap;

	va_start(ap, types);
	denied = sd_bus_call_methodv(bus, NAME, PATH, NAME ".Manager", method, &error, NULL, types,
				     ap) < 0 &&
		 sd_bus_error_has_name(&error, "org.freedesktop.DBus.Error.AccessDenied");
	va_end(ap);
	if (!denied)
		fprintf(stderr, "# %s: %s\n", method, error.name ? error.name : "allowed");
	return denied;
}

static bool may_not_write(sd_bus *bus)
{
	const bool denied[] = {
		is_denied(bus, "Register", "saha{sv}", "web", 0, 0),
		is_denied(bus, "Unregister", "s", "web"),
		is_denied(bus, "Apply", "u", 0),
		is_denied(bus, "Move", "ss", "web/0", "0"),
		is_denied(bus, "Rollback", "u", 0),
		is_denied(bus, "Release", "sb", "", 0),
		is_denied(bus, "Pause", "t", UINT64_C(0)),
		is_denied(bus, "Resume", ""),
		is_denied(bus, "SetMode", "ss", "", "auto"),
		is_denied(bus, "Reload", ""),
	};

	for (size_t i = 0; i < CB_ARRAY_SIZE(denied); i++)
		if (!denied[i])
			return false;
	return true;
}

static void test_permissions(void **state)
{
	(void)state;
	if (geteuid() != 0) {
		print_message("skip: only root can become another user\n");
		skip();
	}
	assert_int_equal(as_nobody(may_read), 0);
	assert_int_equal(as_nobody(may_not_write), 0);
	assert_int_equal(daemon_get_u32(&daemon_, "Groups"), 0);
}

/* --- commands --- */

static void test_pause_and_mode(void **state)
{
	char *mode;

	(void)state;
	sd_bus_message_unref(daemon_ask(&daemon_, "Pause", "t", UINT64_C(0)));
	assert_true(daemon_get_bool(&daemon_, "Paused"));
	sd_bus_message_unref(daemon_ask(&daemon_, "Resume", ""));
	assert_false(daemon_get_bool(&daemon_, "Paused"));
	sd_bus_message_unref(daemon_ask(&daemon_, "SetMode", "ss", "", "advise"));
	mode = daemon_get_string(&daemon_, "Mode");
	assert_string_equal(mode, "advise");
	free(mode);
}

static void test_reload(void **state)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	char *text;

	(void)state;
	daemon_config(&daemon_, "Mode=advise\n[Group conf]\nMode=observe\n");
	sd_bus_message_unref(daemon_ask(&daemon_, "Reload", ""));
	text = daemon_get_string(&daemon_, "Mode");
	assert_string_equal(text, "advise");
	free(text);
	assert_int_equal(daemon_get_u32(&daemon_, "Groups"), 1);
	/* what is in the file is changed in the file */
	expect(ERROR "Refused", daemon_call(&daemon_, "Unregister", &error, NULL, "s", "conf"),
	       &error);
	/* a fault in the last line: nothing of it holds */
	daemon_config(&daemon_, "Mode=observe\n[Detect]\nHotOn=300%\n");
	assert_true(daemon_call(&daemon_, "Reload", &error, NULL, "") < 0);
	assert_non_null(strstr(error.message, "test.conf:5: "));
	expect(ERROR "InvalidArgument", -1, &error);
	text = daemon_get_string(&daemon_, "ConfigError");
	assert_non_null(strstr(text, "test.conf:5: "));
	free(text);
	text = daemon_get_string(&daemon_, "Mode");
	assert_string_equal(text, "advise");
	free(text);
	assert_int_equal(daemon_get_u32(&daemon_, "Groups"), 1);
	/* and mended again; the group is gone from it */
	daemon_config(&daemon_, "Mode=observe\n");
	sd_bus_message_unref(daemon_ask(&daemon_, "Reload", ""));
	text = daemon_get_string(&daemon_, "ConfigError");
	assert_string_equal(text, "");
	free(text);
	assert_int_equal(daemon_get_u32(&daemon_, "Groups"), 0);
}

/* --- signals --- */

struct seen {
	unsigned int added, removed, changed;
};

static int on_added(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	struct seen *seen = userdata;
	const char *path;

	(void)error;
	if (sd_bus_message_read(message, "o", &path) >= 0 && strcmp(path, PATH "/group/web") == 0)
		seen->added++;
	return 0;
}

static int on_removed(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	struct seen *seen = userdata;
	const char *path;

	(void)error;
	if (sd_bus_message_read(message, "o", &path) >= 0 && strcmp(path, PATH "/group/web") == 0)
		seen->removed++;
	return 0;
}

static int on_changed(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	struct seen *seen = userdata;

	(void)message;
	(void)error;
	seen->changed++;
	return 0;
}

static bool all_seen(void *userdata)
{
	struct seen *seen = userdata;

	while (sd_bus_process(daemon_.bus, NULL) > 0)
		;
	return seen->added == 1 && seen->removed == 1 && seen->changed > 0;
}

static void test_signals(void **state)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	struct seen seen = { .added = 0 };

	(void)state;
	assert_true(sd_bus_match_signal(daemon_.bus, NULL, NAME, PATH,
					"org.freedesktop.DBus.ObjectManager", "InterfacesAdded",
					on_added, &seen) >= 0);
	assert_true(sd_bus_match_signal(daemon_.bus, NULL, NAME, PATH,
					"org.freedesktop.DBus.ObjectManager", "InterfacesRemoved",
					on_removed, &seen) >= 0);
	assert_true(sd_bus_match_signal(daemon_.bus, NULL, NAME, PATH,
					"org.freedesktop.DBus.Properties", "PropertiesChanged",
					on_changed, &seen) >= 0);
	assert_int_equal(daemon_register(&daemon_, "web", NULL, 0, &error), 0);
	sd_bus_message_unref(daemon_ask(&daemon_, "Unregister", "s", "web"));
	daemon_config(&daemon_, "Mode=advise\n");
	sd_bus_message_unref(daemon_ask(&daemon_, "Reload", ""));
	wait_until("the signals have come", all_seen, &seen);
}

/* --- PIDFile= --- */

static void write_pids(const char *name, const pid_t *pids, size_t n)
{
	char path[128], temporary[140];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", daemon_.dir, name);
	snprintf(temporary, sizeof(temporary), "%s.new", path);
	file = fopen(temporary, "we");
	assert_non_null(file);
	for (size_t i = 0; i < n; i++)
		fprintf(file, "%d\n", pids[i]);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(rename(temporary, path), 0);
}

static bool has_workers(void *userdata)
{
	return daemon_get_u32(&daemon_, "Workers") == *(uint32_t *)userdata;
}

static void expect_workers(uint32_t n)
{
	wait_until("the workers are found", has_workers, &n);
}

static void test_pidfile(void **state)
{
	char conf[256];
	pid_t self = getpid();

	(void)state;
	snprintf(conf, sizeof(conf), "Mode=observe\n[Group web]\nPIDFile=%s/web.pid\n",
		 daemon_.dir);
	daemon_config(&daemon_, conf);
	sd_bus_message_unref(daemon_ask(&daemon_, "Reload", ""));
	expect_workers(0);
	sleeper[0] = start_sleeper();
	sleeper[1] = start_sleeper();
	write_pids("web.pid", sleeper, 2);
	expect_workers(2);
	/* a new worker takes the place of one that ended */
	end_process(&sleeper[1]);
	sleeper[2] = start_sleeper();
	sleeper[1] = sleeper[2];
	sleeper[2] = 0;
	write_pids("web.pid", sleeper, 2);
	expect_workers(2);
	end_process(&sleeper[0]);
	end_process(&sleeper[1]);
	expect_workers(0);
	/* the test is the master of the daemon and two sleepers; the daemon does not count itself */
	sleeper[0] = start_sleeper();
	sleeper[1] = start_sleeper();
	write_pids("web.pid", &self, 1);
	expect_workers(2);
	sleeper[2] = start_sleeper();
	expect_workers(3);
}

static void test_pidfile_that_is_wrong(void **state)
{
	sd_bus_message *reply;
	const char *note;
	char conf[256];

	(void)state;
	snprintf(conf, sizeof(conf), "Mode=observe\n[Group web]\nPIDFile=%s/none.pid\n",
		 daemon_.dir);
	daemon_config(&daemon_, conf);
	sd_bus_message_unref(daemon_ask(&daemon_, "Reload", ""));
	for (unsigned int i = 0;; i++) {
		reply = daemon_ask(&daemon_, "ListGroups", "");
		assert_true(sd_bus_message_enter_container(reply, 'a', "a{sv}") >= 0);
		note = row_string(reply, "Note");
		if (note && strstr(note, "none.pid: No such file"))
			break;
		assert_true(i < 1000);
		usleep(20000);
		sd_bus_message_unref(reply);
	}
	sd_bus_message_unref(reply);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		CASE(test_properties),
		CASE(test_property_values),
		CASE(test_listings),
		CASE(test_metrics),
		CASE(test_explain),
		CASE(test_register),
		CASE(test_register_refusals),
		CASE(test_group_limit),
		CASE(test_worker_that_ends),
		CASE(test_permissions),
		CASE(test_pause_and_mode),
		CASE(test_reload),
		CASE(test_signals),
		CASE(test_pidfile),
		CASE(test_pidfile_that_is_wrong),
	};

	(void)argc;
	daemon_need_bus(argv);
	return cmocka_run_group_tests_name("daemon", tests, NULL, NULL);
}
