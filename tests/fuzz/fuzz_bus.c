/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The arguments of every call, from anybody: a daemon in this process, on a machine made of a few files, at the other end of a pair
 * of sockets. An input is a list of calls: a byte that chooses one, then its arguments as its signature says. Each is
 * answered, or is being answered for a sampling interval; an error has a name and one line.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <systemd/sd-bus.h>
#include <systemd/sd-id128.h>

#include "daemon/bus.h"
#include "daemon/log.h"
#include "daemon/manager.h"

#define CALLS_MAX  32u
#define STRING_MAX 300u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct {
	const char *interface, *member, *arguments;
} methods[] = {
	{ CB_BUS_MANAGER, "Register", "sah{}" },
	{ CB_BUS_MANAGER, "Unregister", "s" },
	{ CB_BUS_MANAGER, "Apply", "u" },
	{ CB_BUS_MANAGER, "Move", "ss" },
	{ CB_BUS_MANAGER, "Rollback", "u" },
	{ CB_BUS_MANAGER, "Veto", "u" },
	{ CB_BUS_MANAGER, "Release", "sb" },
	{ CB_BUS_MANAGER, "Pause", "t" },
	{ CB_BUS_MANAGER, "Resume", "" },
	{ CB_BUS_MANAGER, "SetMode", "ss" },
	{ CB_BUS_MANAGER, "ListWorkers", "s" },
	{ CB_BUS_MANAGER, "ListGroups", "" },
	{ CB_BUS_MANAGER, "ListHistory", "t" },
	{ CB_BUS_MANAGER, "Explain", "i" },
	{ CB_BUS_MANAGER, "GetMetricsFile", "s" },
	{ CB_BUS_MANAGER, "GetPlan", "" },
	{ CB_BUS_MANAGER, "ListChanges", "" },
	{ CB_BUS_MANAGER, "Hold", "" },
	{ CB_BUS_MANAGER, "ListCPUs", "s" }, /* which has none */
	{ CB_BUS_MANAGER, "Register", "sst" },
	{ "org.freedesktop.DBus.Properties", "Get", "ss" },
	{ "org.freedesktop.DBus.Properties", "Set", "ssv" },
	{ CB_BUS_MANAGER, "", "s" }, /* no such method; the argument is its name */
};

struct input {
	const uint8_t *p, *end;
};

static struct cb_manager *manager;
static sd_event *event;
static sd_bus *client;
static struct cb_server *server;
static char root[] = "/tmp/fuzz-bus.XXXXXX";

static void must(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "not so: %s\n", what);
	abort();
}

/* --- the machine and the daemon --- */

static void write_file(const char *path, const char *text)
{
	char full[256];
	FILE *file;

	snprintf(full, sizeof(full), "%s/%s", root, path);
	for (char *slash = strchr(full + strlen(root) + 1, '/'); slash;
	     slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		(void)!mkdir(full, 0700);
		*slash = '/';
	}
	file = fopen(full, "we");
	must(file && fputs(text, file) >= 0 && fclose(file) == 0, "the machine can be written");
}

static void remove_root(void)
{
	char command[64];

	cb_manager_free(manager);
	sd_bus_flush_close_unref(client);
	sd_event_unref(event);
	snprintf(command, sizeof(command), "rm -rf %s", root);
	(void)!system(command);
}

static void start_manager(void)
{
	static struct cb_policy policy;
	struct cb_manager_options options = { .bus = "none",
					      .config = "/nonexistent",
					      .sysroot = root,
					      .run_dir = "/nonexistent",
					      .state_dir = "/nonexistent" };
	struct cb_err err = { .msg = "" };

	must(mkdtemp(root) != NULL, "a directory can be made");
	atexit(remove_root);
	write_file("proc/stat",
		   "cpu  1 0 0 1 0 0 0 0 0 0\ncpu0 1 0 0 1 0 0 0 0 0 0\ncpu1 1 0 0 1 0 0 0 0 0 0\n"
		   "intr 0\nctxt 1\nbtime 1\nprocesses 1\nprocs_running 1\nprocs_blocked 0\n");
	write_file("proc/sys/kernel/random/boot_id", "6f8a1c6e-0a9e-4c53-9f5c-0b3b6f5c1d11\n");
	write_file("proc/sys/kernel/osrelease", "6.1.0\n");
	write_file("sys/devices/system/cpu/online", "0-1\n");
	write_file("sys/devices/system/cpu/possible", "0-1\n");
	cb_policy_init(&policy);
	cb_log_set_level(LOG_EMERG - 1);
	manager = cb_manager_new();
	must(manager && sd_event_new(&event) >= 0, "there is memory");
	if (cb_manager_start(manager, &options, &policy, event, &err) < 0) {
		fprintf(stderr, "%s\n", err.msg);
		abort();
	}
	server = manager->server;
}

static void connect_both(void)
{
	sd_id128_t id;
	int pair[2];

	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0 &&
		     sd_id128_randomize(&id) >= 0 && sd_bus_new(&server->bus) >= 0 &&
		     sd_bus_set_fd(server->bus, pair[0], pair[0]) >= 0 &&
		     sd_bus_set_server(server->bus, 1, id) >= 0 &&
		     sd_bus_negotiate_fds(server->bus, 1) >= 0 && sd_bus_start(server->bus) >= 0,
	     "a server");
	must(cb_bus_manager_add(server) >= 0 && cb_bus_verbs_add(server) >= 0 &&
		     cb_bus_config_add(server) >= 0 && cb_bus_log_add(server) >= 0 &&
		     cb_bus_group_add(server) >= 0 && cb_bus_plan_add(server) >= 0,
	     "its objects");
	must(sd_bus_new(&client) >= 0 && sd_bus_set_fd(client, pair[1], pair[1]) >= 0 &&
		     sd_bus_negotiate_fds(client, 1) >= 0 && sd_bus_start(client) >= 0,
	     "a client");
}

/* --- arguments --- */

static uint8_t take_byte(struct input *input)
{
	return input->p < input->end ? *input->p++ : 0;
}

static uint64_t take_number(struct input *input, size_t bytes)
{
	uint64_t number = 0;

	while (bytes-- > 0)
		number = number << 8 | take_byte(input);
	return number;
}

/* What may be in a string of the bus: no NUL, no broken UTF-8. */
static const char *take_string(struct input *input, char buf[STRING_MAX])
{
	size_t len = take_byte(input), n = 0;

	for (; n < len && n + 1 < STRING_MAX && input->p < input->end; n++) {
		uint8_t byte = *input->p++;

		buf[n] = (char)(byte == 0 || byte > 0x7f ? '?' : byte);
	}
	buf[n] = '\0';
	return buf;
}

static int append_options(sd_bus_message *call, struct input *input)
{
	static const char *const names[] = { "Mode",	   "AllowedCPUs",  "Placement", "PIDFile",
					     "Interfaces", "Listen",	   "Unit",	"Cgroup",
					     "Process",	   "ServiceMetric" };
	char name[STRING_MAX], value[STRING_MAX];
	unsigned int n = take_byte(input) % 80;
	int r = sd_bus_message_open_container(call, 'a', "{sv}");

	for (unsigned int i = 0; i < n && r >= 0 && input->p < input->end; i++) {
		uint8_t which = take_byte(input);
		const char *key = which < CB_ARRAY_SIZE(names) ? names[which] :
								 take_string(input, name);

		r = which == 0xff ? sd_bus_message_append(call, "{sv}", key, "u", (uint32_t)which) :
				    sd_bus_message_append(call, "{sv}", key, "s",
							  take_string(input, value));
	}
	return r < 0 ? r : sd_bus_message_close_container(call);
}

static int append_fds(sd_bus_message *call, struct input *input)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	unsigned int n = take_byte(input) % 4;
	int r = sd_bus_message_open_container(call, 'a', "h");

	for (unsigned int i = 0; i < n && r >= 0; i++)
		r = sd_bus_message_append(call, "h", null);
	close(null);
	return r < 0 ? r : sd_bus_message_close_container(call);
}

static int append(sd_bus_message *call, const char *arguments, struct input *input)
{
	char text[STRING_MAX];
	int r = 0;

	for (const char *type = arguments; *type && r >= 0; type++)
		switch (*type) {
		case 's':
			r = sd_bus_message_append(call, "s", take_string(input, text));
			break;
		case 'v':
			r = sd_bus_message_append(call, "v", "s", take_string(input, text));
			break;
		case 'u':
			r = sd_bus_message_append(call, "u", (uint32_t)take_number(input, 4));
			break;
		case 'i':
			r = sd_bus_message_append(call, "i", (int32_t)take_number(input, 4));
			break;
		case 't':
			r = sd_bus_message_append(call, "t", take_number(input, 8));
			break;
		case 'b':
			r = sd_bus_message_append(call, "b", take_byte(input) & 1);
			break;
		case 'a':
			r = append_fds(call, input);
			type++;
			break;
		case '{':
			r = append_options(call, input);
			type++;
			break;
		default:
			abort();
		}
	return r;
}

/* --- a call --- */

static bool answered;

static int on_answer(sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	const sd_bus_error *failure = sd_bus_message_get_error(reply);

	(void)userdata;
	(void)error;
	answered = true;
	/* Those of sd-bus itself repeat names as they came. */
	if (failure && failure->name &&
	    strncmp(failure->name, CB_BUS_ERROR(""), strlen(CB_BUS_ERROR(""))) == 0)
		must(failure->message && !strchr(failure->message, '\n'),
		     "our errors have one line");
	must(!failure || failure->name, "an error has a name");
	return 0;
}

static void converse(void)
{
	for (unsigned int idle = 0, rounds = 0; idle < 3 && rounds < 10000; rounds++) {
		int a = sd_bus_process(client, NULL), b = sd_bus_process(server->bus, NULL);

		must(a >= 0 && b >= 0, "the connection holds");
		idle = a > 0 || b > 0 ? 0 : idle + 1;
	}
}

static void call(struct input *input)
{
	uint8_t which = take_byte(input) % CB_ARRAY_SIZE(methods);
	const char *member = methods[which].member;
	sd_bus_message *message = NULL;

	if (!member[0])
		member = "NoSuchMethod";
	must(sd_bus_message_new_method_call(client, &message, NULL, CB_BUS_PATH,
					    methods[which].interface, member) >= 0,
	     "a call");
	if (append(message, methods[which].arguments, input) >= 0) {
		answered = false;
		must(sd_bus_call_async(client, NULL, message, on_answer, NULL, 0) >= 0,
		     "it is sent");
		converse();
		must(answered || strcmp(member, "Explain") == 0, "it is answered");
	}
	sd_bus_message_unref(message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = { .p = data, .end = data + size };

	if (!manager) {
		start_manager();
		connect_both();
		converse();
	}
	for (unsigned int i = 0; i < CALLS_MAX && input.p < input.end; i++)
		call(&input);
	/* The next input finds the same daemon. */
	for (uint32_t i = manager->n_registrations; i-- > 0;)
		cb_manager_group_remove(manager, manager->registration[i]);
	converse();
	return 0;
}
