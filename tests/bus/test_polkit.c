/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Authorisation of callers that are not root: cpubalanced and a stand-in for polkit on a private bus. The stand-in answers
 * as it is told, later if it is told so, and remembers what it was asked.
 */
#include <errno.h>
#include <poll.h>
#include <pwd.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon.h"

#define NAME	    "org.cpubalance1"
#define PATH	    "/org/cpubalance1"
#define POLKIT	    "org.freedesktop.PolicyKit1"
#define POLKIT_PATH "/org/freedesktop/PolicyKit1/Authority"
#define CONTROL	    "org.cpubalance1.Test"

static struct daemon daemon_;
static pid_t polkit;
static pid_t sleeper;

/* --- the stand-in for polkit, a process of its own --- */

static char mode[16] = "yes";
static char asked[4096];
static sd_bus_message *held[16];
static size_t n_held;

static int answer(sd_bus_message *call, const char *how)
{
	return sd_bus_reply_method_return(call, "(bba{ss})", strcmp(how, "yes") == 0,
					  strcmp(how, "challenge") == 0, 0);
}

static int method_check(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	const char *kind, *key, *sender, *action, *detail, *verb, *id;
	uint32_t flags;
	size_t len = strlen(asked);

	(void)userdata;
	(void)error;
	if (sd_bus_message_read(call, "(sa{sv})sa{ss}us", &kind, 1, &key, "s", &sender, &action, 1,
				&detail, &verb, &flags, &id) < 0)
		return -EINVAL;
	snprintf(asked + len, sizeof(asked) - len, "%s %s %u %s\n", strrchr(action, '.') + 1, verb,
		 flags, strcmp(kind, "system-bus-name") == 0 && sender[0] == ':' ? "name" : "?");
	if (strcmp(mode, "hold") != 0)
		return answer(call, mode);
	held[n_held++] = sd_bus_message_ref(call);
	return 1;
}

static int method_cancel(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	(void)userdata;
	(void)error;
	strcat(asked, "cancelled\n");
	return sd_bus_reply_method_return(call, NULL);
}

static int method_tell(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	const char *how;

	(void)userdata;
	(void)error;
	if (sd_bus_message_read(call, "s", &how) < 0)
		return -EINVAL;
	snprintf(mode, sizeof(mode), "%s", how);
	if (strcmp(mode, "hold") != 0)
		while (n_held > 0) {
			answer(held[--n_held], mode);
			sd_bus_message_unref(held[n_held]);
		}
	return sd_bus_reply_method_return(call, NULL);
}

static int method_asked(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	(void)userdata;
	(void)error;
	return sd_bus_reply_method_return(call, "s", asked);
}

static int method_forget(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	(void)userdata;
	(void)error;
	asked[0] = '\0';
	return sd_bus_reply_method_return(call, NULL);
}

static const sd_bus_vtable authority[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD("CheckAuthorization", "(sa{sv})sa{ss}us", "(bba{ss})", method_check,
		      SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("CancelCheckAuthorization", "s", "", method_cancel,
		      SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};
static const sd_bus_vtable control[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD("Tell", "s", "", method_tell, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("Asked", "", "s", method_asked, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_METHOD("Forget", "", "", method_forget, SD_BUS_VTABLE_UNPRIVILEGED),
	SD_BUS_VTABLE_END,
};

static sd_bus *connect_bus(void)
{
	sd_bus *bus = NULL;

	if (sd_bus_new(&bus) < 0 || sd_bus_set_address(bus, getenv("CB_BUS_ADDRESS")) < 0 ||
	    sd_bus_set_bus_client(bus, 1) < 0 || sd_bus_start(bus) < 0)
		_exit(99);
	return bus;
}

static void run_polkit(void)
{
	sd_bus *bus = connect_bus();

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (sd_bus_add_object_vtable(bus, NULL, POLKIT_PATH, POLKIT ".Authority", authority, NULL) <
		    0 ||
	    sd_bus_add_object_vtable(bus, NULL, POLKIT_PATH, CONTROL, control, NULL) < 0 ||
	    sd_bus_request_name(bus, POLKIT, 0) < 0)
		_exit(98);
	for (;;)
		if (sd_bus_process(bus, NULL) == 0)
			sd_bus_wait(bus, UINT64_MAX);
}

static bool polkit_there(void *userdata)
{
	(void)userdata;
	return sd_bus_call_method(daemon_.bus, POLKIT, POLKIT_PATH, CONTROL, "Forget", NULL, NULL,
				  "") >= 0;
}

static void start_polkit(const char *how)
{
	polkit = fork();
	assert_true(polkit >= 0);
	if (polkit == 0)
		run_polkit();
	wait_until("the stand-in for polkit is there", polkit_there, NULL);
	assert_true(sd_bus_call_method(daemon_.bus, POLKIT, POLKIT_PATH, CONTROL, "Tell", NULL,
				       NULL, "s", how) >= 0);
}

static void tell(const char *how)
{
	assert_true(sd_bus_call_method(daemon_.bus, POLKIT, POLKIT_PATH, CONTROL, "Tell", NULL,
				       NULL, "s", how) >= 0);
}

/* What it was asked, since it was started; the caller frees it. */
static char *was_asked(void)
{
	sd_bus_message *reply = NULL;
	const char *text;
	char *copy;

	assert_true(sd_bus_call_method(daemon_.bus, POLKIT, POLKIT_PATH, CONTROL, "Asked", NULL,
				       &reply, "") >= 0);
	assert_true(sd_bus_message_read(reply, "s", &text) >= 0);
	copy = strdup(text);
	sd_bus_message_unref(reply);
	return copy;
}

static bool has_asked(void *text)
{
	char *all = was_asked();
	bool has = strstr(all, text) != NULL;

	free(all);
	return has;
}

static void assert_asked(const char *wanted)
{
	char *all = was_asked();

	assert_string_equal(all, wanted);
	free(all);
}

/* --- a caller that is not root, a process of its own --- */

enum outcome {
	DONE,
	DENIED,
	CHALLENGED,
	LIMITED,
	NO_GROUP,
	OTHER,
};

static enum outcome outcome_of(int r, const sd_bus_error *error)
{
	static const struct {
		const char *name;
		enum outcome outcome;
	} names[] = {
		{ "org.freedesktop.DBus.Error.AccessDenied", DENIED },
		{ "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired", CHALLENGED },
		{ NAME ".Error.Limit", LIMITED },
		{ NAME ".Error.NoSuchGroup", NO_GROUP },
	};

	if (r >= 0)
		return DONE;
	for (size_t i = 0; i < CB_ARRAY_SIZE(names); i++)
		if (sd_bus_error_has_name(error, names[i].name))
			return names[i].outcome;
	fprintf(stderr, "%s: %s\n", error->name, error->message);
	return OTHER;
}

struct request {
	const char *method;
	const char *group;	/* Register, SetMode */
	pid_t pid;		/* Register; 0: of a child of the caller's */
	const char *interfaces; /* Register */
	bool interactive;
	unsigned int times; /* all at once; 0 is 1 */
};

static sd_bus_message *build(sd_bus *bus, const struct request *request)
{
	sd_bus_message *call = NULL;
	pid_t pid = request->pid;
	int fd;

	sd_bus_message_new_method_call(bus, &call, NAME, PATH, NAME ".Manager", request->method);
	sd_bus_message_set_allow_interactive_authorization(call, request->interactive);
	if (strcmp(request->method, "Pause") == 0) {
		sd_bus_message_append(call, "t", UINT64_C(0));
	} else if (strcmp(request->method, "SetMode") == 0) {
		sd_bus_message_append(call, "ss", request->group, "observe");
	} else if (strcmp(request->method, "Register") == 0) {
		if (pid == 0) {
			pid = fork();
			if (pid == 0) {
				prctl(PR_SET_PDEATHSIG, SIGKILL);
				pause();
				_exit(0);
			}
		}
		fd = (int)syscall(SYS_pidfd_open, pid, 0);
		sd_bus_message_append(call, "sah", request->group, 1, fd);
		if (request->interfaces)
			sd_bus_message_append(call, "a{sv}", 1, "Interfaces", "s",
					      request->interfaces);
		else
			sd_bus_message_append(call, "a{sv}", 0);
		close(fd);
	}
	return call;
}

static enum outcome last_outcome;
static unsigned int n_answers;

static int on_reply(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
	const sd_bus_error *error = sd_bus_message_get_error(reply);
	enum outcome outcome = outcome_of(error ? -EIO : 0, error);

	(void)userdata;
	(void)ret_error;
	n_answers++;
	/* Of several, the one that is unlike the others is wanted. */
	if (n_answers == 1 || outcome == LIMITED)
		last_outcome = outcome;
	return 0;
}

/* As nobody; with @answer_fd, the process stays afterwards so that its processes do. */
static void run_caller(const struct request *request, int answer_fd)
{
	unsigned int times = CB_MAX(request->times, 1u);
	struct passwd *nobody = getpwnam("nobody");
	sd_bus *bus;
	char outcome;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!nobody || setresgid(nobody->pw_gid, nobody->pw_gid, nobody->pw_gid) < 0 ||
	    setresuid(nobody->pw_uid, nobody->pw_uid, nobody->pw_uid) < 0)
		_exit(97);
	bus = connect_bus();
	for (unsigned int i = 0; i < times; i++) {
		sd_bus_message *call = build(bus, request);

		if (sd_bus_call_async(bus, NULL, call, on_reply, NULL, 20 * CB_USEC_PER_SEC) < 0)
			_exit(96);
		sd_bus_message_unref(call);
	}
	while (n_answers < (times > 1 ? 1 : times))
		if (sd_bus_process(bus, NULL) == 0)
			sd_bus_wait(bus, UINT64_MAX);
	outcome = (char)last_outcome;
	if (write(answer_fd, &outcome, 1) != 1)
		_exit(95);
	pause();
	_exit(0);
}

struct caller {
	pid_t pid;
	int fd;
};

static struct caller begin(const struct request *request)
{
	struct caller caller;
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	caller.fd = fds[0];
	caller.pid = fork();
	assert_true(caller.pid >= 0);
	if (caller.pid == 0) {
		close(fds[0]);
		run_caller(request, fds[1]);
	}
	close(fds[1]);
	return caller;
}

static enum outcome await(const struct caller *caller)
{
	struct pollfd poll_fd = { .fd = caller->fd, .events = POLLIN };
	char outcome;

	assert_int_equal(poll(&poll_fd, 1, 30000), 1);
	assert_int_equal(read(caller->fd, &outcome, 1), 1);
	return (enum outcome)outcome;
}

static void end(struct caller *caller)
{
	end_process(&caller->pid);
	close(caller->fd);
}

static enum outcome request_now(const struct request *request)
{
	struct caller caller = begin(request);
	enum outcome outcome = await(&caller);

	end(&caller);
	return outcome;
}

/* --- cases --- */

static int setup(void **state)
{
	(void)state;
	daemon_init(&daemon_);
	daemon_config(&daemon_, "Mode=observe\n");
	daemon_start(&daemon_, NULL);
	sleeper = start_sleeper();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	end_process(&sleeper);
	end_process(&polkit);
	daemon_done(&daemon_);
	return 0;
}

static void test_without_polkit(void **state)
{
	(void)state;
	assert_int_equal(request_now(&(struct request){ .method = "Pause" }), DENIED);
	assert_int_equal(daemon_call(&daemon_, "Pause", NULL, NULL, "t", UINT64_C(0)), 0);
}

static void test_answers(void **state)
{
	(void)state;
	start_polkit("no");
	assert_int_equal(request_now(&(struct request){ .method = "Pause" }), DENIED);
	tell("challenge");
	assert_int_equal(request_now(&(struct request){ .method = "Pause" }), CHALLENGED);
	tell("yes");
	assert_int_equal(request_now(&(struct request){ .method = "Pause", .interactive = true }),
			 DONE);
	assert_asked(
		"manage-machine Pause 0 name\nmanage-machine Pause 0 name\nmanage-machine Pause 1 name\n");
}

static void test_root_is_not_asked(void **state)
{
	(void)state;
	start_polkit("no");
	assert_int_equal(daemon_call(&daemon_, "Pause", NULL, NULL, "t", UINT64_C(0)), 0);
	assert_asked("");
}

static void test_kinds(void **state)
{
	struct caller caller;

	(void)state;
	start_polkit("yes");
	assert_int_equal(request_now(&(struct request){ "Register", "a", sleeper, NULL, false, 0 }),
			 DONE);
	caller = begin(&(struct request){ .method = "Register", .group = "b" });
	assert_int_equal(await(&caller), DONE);
	assert_int_equal(request_now(&(struct request){
				 .method = "Register", .group = "c", .interfaces = "lo" }),
			 DONE);
	assert_int_equal(request_now(&(struct request){ .method = "SetMode", .group = "a" }), DONE);
	assert_int_equal(request_now(&(struct request){ .method = "SetMode", .group = "b" }), DONE);
	assert_int_equal(request_now(&(struct request){ .method = "SetMode", .group = "" }), DONE);
	assert_asked(
		"manage-others Register 0 name\nmanage-own Register 0 name\nmanage-others Register 0 name\n"
		"manage-others SetMode 0 name\nmanage-own SetMode 0 name\nmanage-machine SetMode 0 name\n");
	end(&caller);
}

/* The group is another by the time of the answer: that is asked again, and then refused for what is there. */
static void test_revalidates(void **state)
{
	struct caller owner, caller;

	(void)state;
	start_polkit("yes");
	owner = begin(&(struct request){ .method = "Register", .group = "web" });
	assert_int_equal(await(&owner), DONE);
	tell("hold");
	caller = begin(&(struct request){ .method = "SetMode", .group = "web" });
	wait_until("polkit is asked", has_asked, (void *)(uintptr_t) "manage-own SetMode");
	/* nobody else waits for it */
	assert_int_equal(daemon_call(&daemon_, "Unregister", NULL, NULL, "s", "web"), 0);
	tell("yes");
	assert_int_equal(await(&caller), NO_GROUP);
	assert_asked(
		"manage-own Register 0 name\nmanage-own SetMode 0 name\nmanage-others SetMode 0 name\n");
	end(&caller);
	end(&owner);
}

static void test_caller_vanishes(void **state)
{
	struct caller caller;
	char *paused;

	(void)state;
	start_polkit("hold");
	caller = begin(&(struct request){ .method = "Pause" });
	wait_until("polkit is asked", has_asked, (void *)(uintptr_t) "manage-machine Pause");
	end(&caller);
	wait_until("the question is taken back", has_asked, (void *)(uintptr_t) "cancelled");
	tell("yes");
	/* a call that comes after it finds the manager as it was */
	paused = daemon_get_string(&daemon_, "State");
	assert_string_not_equal(paused, "paused");
	free(paused);
}

static void test_too_many(void **state)
{
	(void)state;
	start_polkit("hold");
	assert_int_equal(request_now(&(struct request){ .method = "Pause", .times = 5 }), LIMITED);
}

static int skip_unless_root(void **state)
{
	(void)state;
	if (geteuid() == 0)
		return 0;
	puts("1..0 # SKIP needs root, to become somebody else");
	exit(0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		CASE(test_without_polkit), CASE(test_answers),	   CASE(test_root_is_not_asked),
		CASE(test_kinds),	   CASE(test_revalidates), CASE(test_caller_vanishes),
		CASE(test_too_many),
	};

	(void)argc;
	daemon_need_bus(argv);
	return cmocka_run_group_tests_name("polkit", tests, skip_unless_root, NULL);
}
