/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The methods that change something. Each reads its arguments, validates, authorises (access.h), asks the manager, and
 * answers; whether the engine agrees is the engine's business, and its sentence is the answer's message.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "access.h"
#include "bus.h"
#include "hold.h"
#include "log.h"
#include "pidfd.h"

#define PIDFDS_MAX  CB_WORKERS_MAX
#define OPTIONS_MAX 64u

/* The bus error for a negative errno; @missing: the name for -ENOENT. */
static int refuse(sd_bus_error *error, int r, const char *missing, const char *text)
{
	const char *name;

	switch (-r) {
	case ENOENT:
	case ESRCH:
		name = missing;
		break;
	case EINVAL:
	case ERANGE:
		name = CB_BUS_ERROR("InvalidArgument");
		break;
	case EBUSY:
	case EAGAIN:
		name = CB_BUS_ERROR("Busy");
		break;
	case E2BIG:
		name = CB_BUS_ERROR("Limit");
		break;
	case ENOMEM:
		return r;
	default:
		name = CB_BUS_ERROR("Refused");
		break;
	}
	return sd_bus_error_set(error, name, text && text[0] ? text : strerror(-r));
}

/* Feed a command; on failure @error is set. */
static int command(struct cb_manager *m, const struct cb_command *command, const char *missing,
		   struct cb_answer *ret, sd_bus_error *error)
{
	int r = cb_manager_command(m, command, ret);

	cb_manager_report(m);
	return r < 0 ? refuse(error, r, missing, ret->text) : 0;
}

/* Moves need a journal. */
static int movable(const struct cb_manager *m, sd_bus_error *error)
{
	const char *why;

	if (cb_manager_can_move(m, &why))
		return 0;
	return cb_bus_error(error, CB_BUS_ERROR("Refused"),
			    "nothing is moved while originals cannot be recorded: %s", why);
}

/* "" is group 0, which means all. */
static int group_key(const struct cb_manager *m, const char *name, uint32_t *ret,
		     sd_bus_error *error)
{
	const struct cb_registration *registration = NULL;

	if (name[0]) {
		registration = cb_manager_group_find(m, name);
		if (!registration)
			return cb_bus_error(error, CB_BUS_ERROR("NoSuchGroup"), "no group %s",
					    name);
	}
	*ret = registration ? registration->key : 0;
	return 0;
}

/* A verb on one group, or with "" on all. */
static int may_group(struct cb_manager *m, sd_bus_message *call, const char *name,
		     sd_bus_error *error)
{
	const struct cb_registration *registration = name[0] ? cb_manager_group_find(m, name) :
							       NULL;
	enum cb_access access = name[0] && !registration ? CB_ACCESS_OTHERS :
							   cb_access_to_group(call, registration);

	return cb_access_check(m, call, access, error);
}

/* --- registration --- */

static int read_options(sd_bus_message *call, const char *name, struct cb_policy *scratch,
			sd_bus_error *error)
{
	char section[CB_NAME_MAX + 16];
	struct cb_err err = { .msg = "" };
	const char *key, *value;
	unsigned int n = 0;
	int r = sd_bus_message_enter_container(call, 'a', "{sv}");

	snprintf(section, sizeof(section), "Group %s", name);
	while (r >= 0 && (r = sd_bus_message_enter_container(call, 'e', "sv")) > 0) {
		if (n++ == OPTIONS_MAX)
			return cb_bus_error(error, CB_BUS_ERROR("Limit"),
					    "more than %u options in one call", OPTIONS_MAX);
		r = sd_bus_message_read(call, "s", &key);
		if (r >= 0)
			r = sd_bus_message_read(call, "v", "s", &value);
		if (r == -ENXIO)
			return cb_bus_error(error, CB_BUS_ERROR("InvalidArgument"),
					    "%s: a string is wanted", key);
		if (r < 0)
			return r;
		r = cb_policy_set(scratch, section, key, value, &err);
		if (r < 0)
			return refuse(error, r, CB_BUS_ERROR("InvalidArgument"), err.msg);
		if (strncmp(key, "ServiceMetric", strlen("ServiceMetric")) == 0)
			return cb_bus_error(
				error, CB_BUS_ERROR("InvalidArgument"),
				"%s= says what is run, and so only in the configuration", key);
		r = sd_bus_message_exit_container(call);
	}
	return r < 0 ? r : sd_bus_message_exit_container(call);
}

/* The descriptors stay the message's; each worker gets a copy. */
static int read_pidfds(sd_bus_message *call, int *ret_fds, size_t *ret_n, sd_bus_error *error)
{
	int fd, r = sd_bus_message_enter_container(call, 'a', "h");

	*ret_n = 0;
	while (r >= 0 && (r = sd_bus_message_read_basic(call, 'h', &fd)) > 0) {
		if (*ret_n == PIDFDS_MAX)
			return cb_bus_error(error, CB_BUS_ERROR("Limit"),
					    "more than %u workers in one call", PIDFDS_MAX);
		ret_fds[(*ret_n)++] = fd;
	}
	return r < 0 ? r : sd_bus_message_exit_container(call);
}

static int add_pidfd(struct cb_registration *registration, int fd, sd_bus_error *error)
{
	struct cb_err err = { .msg = "" };
	int32_t pid;
	int copy, r = cb_pidfd_pid(fd, &pid, &err);

	if (r < 0)
		return refuse(error, r, CB_BUS_ERROR("NoSuchWorker"), err.msg);
	r = cb_manager_select_check(registration->manager, registration, pid, &err);
	if (r < 0)
		return refuse(error, r, CB_BUS_ERROR("NoSuchWorker"), err.msg);
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (copy < 0)
		return -errno;
	r = cb_manager_process_add(registration->manager, registration, pid, copy, &err);
	return r < 0 ? refuse(error, r, CB_BUS_ERROR("NoSuchWorker"), err.msg) : 0;
}

/*
 * All or nothing where it can be: a group that this call has made goes again when a worker is refused or none is
 * found, and one that was there gets its settings back. Options are settings of the group; without any, an existing
 * group keeps its own.
 */
static int do_register(struct cb_manager *m, const struct cb_policy *scratch, const char *name,
		       const int *fds, size_t n, sd_bus_error *error)
{
	struct cb_registration *registration = cb_manager_group_find(m, name);
	struct cb_group_policy bare = { .has_mode = false }, before;
	bool fresh = !registration, changes = scratch->n_groups > 0;
	struct cb_err err = { .msg = "" };
	int r = 0;

	if (!fresh)
		before = registration->policy;
	if (!fresh && registration->from_config && changes)
		return cb_bus_error(error, CB_BUS_ERROR("Refused"),
				    "the settings of group %s are in the configuration file", name);
	snprintf(bare.name, sizeof(bare.name), "%s", name);
	if (fresh || changes)
		r = cb_manager_group_set(m, changes ? &scratch->group[0] : &bare, false,
					 &registration, &err);
	if (r < 0)
		return refuse(error, r, CB_BUS_ERROR("InvalidArgument"), err.msg);
	for (size_t i = 0; i < n && r >= 0; i++)
		r = add_pidfd(registration, fds[i], error);
	if (r >= 0 && n == 0 && changes && !cb_selector_empty(&registration->policy.selector)) {
		r = cb_manager_select_now(m, registration, &err);
		if (r < 0)
			refuse(error, r, CB_BUS_ERROR("NoSuchWorker"), err.msg);
	}
	if (r < 0 && fresh)
		cb_manager_group_remove(m, registration);
	else if (r < 0 && changes &&
		 cb_manager_group_set(m, &before, false, &registration, NULL) < 0)
		cb_log(LOG_ERR, "Failed to give group %s its settings back", name);
	cb_manager_saved_write(m);
	return r;
}

/* For a group of the caller's own no interrupts are moved. */
static int may_register(struct cb_manager *m, sd_bus_message *call, const char *name,
			struct cb_policy *scratch, const int *fds, size_t n, sd_bus_error *error)
{
	const struct cb_registration *registration = cb_manager_group_find(m, name);
	const struct cb_group_policy *settings = scratch->n_groups > 0 ? &scratch->group[0] : NULL;
	enum cb_access access = cb_access_to_register(call, registration, fds, n, settings);
	char section[CB_NAME_MAX + 16];
	struct cb_err err = { .msg = "" };
	int r = cb_access_check(m, call, access, error);

	if (r != 0 || access != CB_ACCESS_OWN || (registration && !settings))
		return r;
	snprintf(section, sizeof(section), "Group %s", name);
	r = cb_policy_set(scratch, section, "Interfaces", "none", &err);
	return r < 0 ? refuse(error, r, CB_BUS_ERROR("InvalidArgument"), err.msg) : 0;
}

static int method_register(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	static struct cb_policy scratch; /* too big for the stack of a handler */
	static int fds[PIDFDS_MAX];
	struct cb_manager *m = userdata;
	const char *name;
	size_t n;
	int r = sd_bus_message_read(call, "s", &name);

	if (r < 0)
		return r;
	if (strlen(name) >= CB_NAME_MAX)
		return cb_bus_error(error, CB_BUS_ERROR("Limit"),
				    "a group's name has at most %u characters, not %zu",
				    CB_NAME_MAX - 1, strlen(name));
	if (!cb_name_valid(name))
		return sd_bus_error_set(
			error, CB_BUS_ERROR("InvalidArgument"),
			"a group's name is 1 to 63 of [A-Za-z0-9_.-] and begins with a "
			"letter or digit");
	scratch.n_groups = 0;
	if ((r = read_pidfds(call, fds, &n, error)) < 0 ||
	    (r = read_options(call, name, &scratch, error)) < 0 ||
	    (r = may_register(m, call, name, &scratch, fds, n, error)) != 0 ||
	    (r = do_register(m, &scratch, name, fds, n, error)) < 0)
		return r;
	cb_manager_report(m);
	return cb_bus_reply_group(call, name);
}

static int method_unregister(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	struct cb_manager *m = userdata;
	struct cb_registration *registration;
	const char *name;
	int r = sd_bus_message_read(call, "s", &name);

	if (r < 0 || (r = may_group(m, call, name, error)) != 0)
		return r;
	registration = cb_manager_group_find(m, name);
	if (!registration)
		return cb_bus_error(error, CB_BUS_ERROR("NoSuchGroup"), "no group %s", name);
	if (registration->from_config)
		return cb_bus_error(error, CB_BUS_ERROR("Refused"),
				    "group %s is in the configuration file: remove it there and "
				    "reload",
				    name);
	cb_manager_group_remove(m, registration);
	cb_manager_saved_write(m);
	cb_manager_report(m);
	return sd_bus_reply_method_return(call, NULL);
}

/* --- plans --- */

static int method_apply(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	struct cb_command apply = { .kind = CB_COMMAND_APPLY };
	struct cb_answer answer;
	int r = sd_bus_message_read(call, "u", &apply.plan_id);

	if (r < 0 || (r = cb_access_check(userdata, call, CB_ACCESS_OTHERS, error)) != 0 ||
	    (r = movable(userdata, error)) < 0 ||
	    (r = command(userdata, &apply, CB_BUS_ERROR("NoSuchPlan"), &answer, error)) < 0)
		return r;
	return sd_bus_reply_method_return(call, "u", answer.plan_id);
}

static int method_move(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	struct cb_command move = { .kind = CB_COMMAND_MOVE };
	struct cb_answer answer;
	const char *worker, *cpus;
	int r = sd_bus_message_read(call, "ss", &worker, &cpus);

	if (r < 0)
		return r;
	if (cb_cpuset_parse_list(cpus, strlen(cpus), &move.mask) < 0 || cb_cpuset_empty(&move.mask))
		return cb_bus_error(error, CB_BUS_ERROR("InvalidArgument"),
				    "\"%.64s\" is no list of CPUs such as 0-3,8", cpus);
	move.worker_key = cb_manager_worker_find(userdata, worker);
	r = cb_access_check(userdata, call, cb_access_to_worker(userdata, call, move.worker_key),
			    error);
	if (r != 0 || (r = movable(userdata, error)) < 0)
		return r;
	if (move.worker_key == 0)
		return cb_bus_error(error, CB_BUS_ERROR("NoSuchWorker"),
				    "no registered worker %.64s", worker);
	r = command(userdata, &move, CB_BUS_ERROR("NoSuchWorker"), &answer, error);
	return r < 0 ? r : sd_bus_reply_method_return(call, "u", answer.plan_id);
}

/* "none", "local", "weighted", or shares. Whether they are any is the engine's business, which knows the workers. */
static int method_steer(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	struct cb_command steer = { .kind = CB_COMMAND_STEER };
	struct cb_answer answer;
	const char *group, *how;
	int r = sd_bus_message_read(call, "ss", &group, &how);

	if (r < 0)
		return r;
	steer.steering = cb_steering_from_name(how);
	if (steer.steering == _CB_STEERING_INVALID) {
		steer.steering = CB_STEERING_WEIGHTED;
		if (!how[0] || strlen(how) >= sizeof(steer.shares) ||
		    how[strspn(how, "0123456789:")] != 0)
			return cb_bus_error(
				error, CB_BUS_ERROR("InvalidArgument"),
				"\"%.64s\" is not none, local, weighted or shares such as 1:2:3",
				how);
		memcpy(steer.shares, how, strlen(how));
	}
	if (!group[0])
		return sd_bus_error_set(error, CB_BUS_ERROR("NoSuchGroup"), "name a group");
	if ((r = may_group(userdata, call, group, error)) != 0 ||
	    (r = movable(userdata, error)) < 0 ||
	    (r = group_key(userdata, group, &steer.group_key, error)) < 0 ||
	    (r = command(userdata, &steer, CB_BUS_ERROR("NoSuchGroup"), &answer, error)) < 0)
		return r;
	return sd_bus_reply_method_return(call, "u", answer.plan_id);
}

/* "none", "auto", "rps" with a list of CPUs, "xps", "both" with one. */
static int method_steer_packets(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	struct cb_command packets = { .kind = CB_COMMAND_PACKETS };
	struct cb_answer answer;
	const char *group, *how, *cpus;
	int r = sd_bus_message_read(call, "sss", &group, &how, &cpus);
	bool masked;

	if (r < 0)
		return r;
	packets.present = strcmp(how, "auto") == 0;
	packets.packets = packets.present ? CB_PACKETS_NONE : cb_packets_from_name(how);
	if (packets.packets == _CB_PACKETS_INVALID)
		return cb_bus_error(error, CB_BUS_ERROR("InvalidArgument"),
				    "\"%.64s\" is not none, auto, rps, xps or both", how);
	masked = packets.packets == CB_PACKETS_RPS || packets.packets == CB_PACKETS_BOTH;
	if (masked != (cpus[0] != 0) ||
	    (masked && (cb_cpuset_parse_list(cpus, strlen(cpus), &packets.mask) < 0 ||
			cb_cpuset_empty(&packets.mask))))
		return cb_bus_error(error, CB_BUS_ERROR("InvalidArgument"),
				    masked ? "\"%.64s\" is no list of CPUs such as 0-3,8" :
					     "\"%.64s\": CPUs belong to rps and both",
				    cpus);
	if (!group[0])
		return sd_bus_error_set(error, CB_BUS_ERROR("NoSuchGroup"), "name a group");
	if ((r = may_group(userdata, call, group, error)) != 0 ||
	    (r = movable(userdata, error)) < 0 ||
	    (r = group_key(userdata, group, &packets.group_key, error)) < 0 ||
	    (r = command(userdata, &packets, CB_BUS_ERROR("NoSuchGroup"), &answer, error)) < 0)
		return r;
	return sd_bus_reply_method_return(call, "u", answer.plan_id);
}

/* A plan that was carried out at once and could not be. */
static int plan_failed(const struct cb_manager *m, uint32_t plan_id, sd_bus_error *error)
{
	const struct cb_plan *last = cb_engine_last_plan(m->engine);

	if (!last || last->id != plan_id || last->judgement.verdict != CB_VERDICT_FAILED)
		return 0;
	return cb_bus_error(error, CB_BUS_ERROR("Refused"), "plan %u: %s", plan_id,
			    last->judgement.sentence);
}

static int method_drain(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	struct cb_command drain = { .kind = CB_COMMAND_DRAIN };
	struct cb_answer answer;
	const char *worker;
	int wanted, r = sd_bus_message_read(call, "sb", &worker, &wanted);

	if (r < 0)
		return r;
	drain.present = wanted;
	drain.worker_key = cb_manager_worker_find(userdata, worker);
	if ((r = cb_access_check(userdata, call, CB_ACCESS_OTHERS, error)) != 0 ||
	    (r = movable(userdata, error)) < 0)
		return r;
	if (drain.worker_key == 0)
		return cb_bus_error(error, CB_BUS_ERROR("NoSuchWorker"),
				    "no registered worker %.64s", worker);
	r = command(userdata, &drain, CB_BUS_ERROR("NoSuchWorker"), &answer, error);
	if (r < 0)
		return r;
	/* done at once, or not at all: what is not in place is no drain */
	r = plan_failed(userdata, answer.plan_id, error);
	return r < 0 ? r : sd_bus_reply_method_return(call, "u", answer.plan_id);
}

/* Rollback and Veto: of a plan by its number. */
static int undo_plan(sd_bus_message *call, void *userdata, enum cb_command_kind kind,
		     sd_bus_error *error)
{
	struct cb_command undo = { .kind = kind };
	struct cb_answer answer;
	int r = sd_bus_message_read(call, "u", &undo.plan_id);

	if (r < 0 || (r = cb_access_check(userdata, call, CB_ACCESS_OTHERS, error)) != 0 ||
	    (r = command(userdata, &undo, CB_BUS_ERROR("NoSuchPlan"), &answer, error)) < 0)
		return r;
	return sd_bus_reply_method_return(call, "u", answer.plan_id);
}

static int method_rollback(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	return undo_plan(call, userdata, CB_COMMAND_ROLLBACK, error);
}

static int method_veto(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	return undo_plan(call, userdata, CB_COMMAND_VETO, error);
}

static int method_release(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	struct cb_command release = { .kind = CB_COMMAND_RELEASE };
	struct cb_answer answer;
	const char *group;
	int pause, r = sd_bus_message_read(call, "sb", &group, &pause);

	if (r < 0 || (r = may_group(userdata, call, group, error)) != 0 ||
	    (r = group_key(userdata, group, &release.group_key, error)) < 0)
		return r;
	release.present = pause;
	if (pause)
		cb_holds_pause(((struct cb_manager *)userdata)->server->holds, 0);
	r = command(userdata, &release, CB_BUS_ERROR("NoSuchGroup"), &answer, error);
	if (r < 0)
		return r;
	return sd_bus_reply_method_return(call, "uuuuu", answer.n_restored, answer.n_pending,
					  answer.n_gone, answer.n_foreign, answer.n_failed);
}

/* --- the manager --- */

static int method_pause(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	struct cb_manager *m = userdata;
	struct cb_command pause = { .kind = CB_COMMAND_PAUSE };
	struct cb_answer answer;
	int r = sd_bus_message_read(call, "t", &pause.span_usec);

	if (r < 0 || (r = cb_access_check(m, call, CB_ACCESS_MACHINE, error)) != 0)
		return r;
	if (!cb_holds_pause(m->server->holds, pause.span_usec) &&
	    (r = command(m, &pause, CB_BUS_ERROR("Refused"), &answer, error)) < 0)
		return r;
	return sd_bus_reply_method_return(call, NULL);
}

static int method_resume(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	struct cb_manager *m = userdata;
	struct cb_command resume = { .kind = CB_COMMAND_RESUME };
	struct cb_answer answer;
	int r = cb_access_check(m, call, CB_ACCESS_MACHINE, error);

	if (r != 0)
		return r;
	if (cb_holds_resume(m->server->holds))
		return cb_bus_error(error, CB_BUS_ERROR("Busy"),
				    "the pause is over, but still held by %s",
				    cb_holds_who(m->server->holds));
	r = command(m, &resume, CB_BUS_ERROR("Refused"), &answer, error);
	return r < 0 ? r : sd_bus_reply_method_return(call, NULL);
}

/* "make (pid 4711)" */
static void name_sender(sd_bus_message *call, char *buf, size_t size)
{
	_cleanup_(sd_bus_creds_unrefp) sd_bus_creds *creds = NULL;
	const char *comm = NULL;
	pid_t pid = 0;

	if (sd_bus_query_sender_creds(call, SD_BUS_CREDS_PID | SD_BUS_CREDS_COMM, &creds) >= 0) {
		sd_bus_creds_get_pid(creds, &pid);
		sd_bus_creds_get_comm(creds, &comm);
	}
	snprintf(buf, size, "%.16s (pid %d)", comm ? comm : sd_bus_message_get_sender(call),
		 (int)pid);
	for (char *c = buf; *c; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = '?';
}

static int method_hold(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	struct cb_manager *m = userdata;
	struct cb_answer answer;
	char who[64];
	int fd, r = cb_access_check(m, call, CB_ACCESS_MACHINE, error);

	if (r != 0)
		return r;
	name_sender(call, who, sizeof(who));
	r = cb_holds_take(m->server->holds, who, &fd, &answer);
	if (r == -E2BIG)
		return cb_bus_error(error, CB_BUS_ERROR("Limit"), "there are %u holds already",
				    CB_HOLDS_MAX);
	if (r < 0)
		return refuse(error, r, CB_BUS_ERROR("Refused"), answer.text);
	r = sd_bus_reply_method_return(call, "h", fd);
	close(fd);
	return r;
}

static int method_set_mode(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	struct cb_command set = { .kind = CB_COMMAND_MODE };
	struct cb_answer answer;
	const char *group, *mode;
	int r = sd_bus_message_read(call, "ss", &group, &mode);

	if (r < 0)
		return r;
	set.mode = cb_mode_from_name(mode);
	if (set.mode == _CB_MODE_INVALID)
		return cb_bus_error(error, CB_BUS_ERROR("InvalidArgument"),
				    "\"%.64s\" is no mode: auto, advise or observe", mode);
	if ((r = may_group(userdata, call, group, error)) != 0 ||
	    (set.mode != CB_MODE_OBSERVE && (r = movable(userdata, error)) < 0) ||
	    (r = group_key(userdata, group, &set.group_key, error)) < 0 ||
	    (r = command(userdata, &set, CB_BUS_ERROR("NoSuchGroup"), &answer, error)) < 0)
		return r;
	return sd_bus_reply_method_return(call, NULL);
}

static int method_reload(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	struct cb_err err = { .msg = "" };
	int r = cb_access_check(userdata, call, CB_ACCESS_MACHINE, error);

	if (r != 0)
		return r;
	r = cb_manager_reload(userdata, &err);
	if (r < 0)
		return sd_bus_error_set(error, CB_BUS_ERROR("InvalidArgument"), err.msg);
	return sd_bus_reply_method_return(call, NULL);
}

/* Everybody may ask; who may not is told so in a sentence, by cb_access_check(). */
#define WRITE SD_BUS_VTABLE_UNPRIVILEGED
static const sd_bus_vtable write_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD_WITH_ARGS("Register", SD_BUS_ARGS("s", name, "ah", pidfds, "a{sv}", options),
				SD_BUS_RESULT("o", group), method_register, WRITE),
	SD_BUS_METHOD_WITH_ARGS("Unregister", SD_BUS_ARGS("s", name), SD_BUS_NO_RESULT,
				method_unregister, WRITE),
	SD_BUS_METHOD_WITH_ARGS("Apply", SD_BUS_ARGS("u", plan), SD_BUS_RESULT("u", plan),
				method_apply, WRITE),
	SD_BUS_METHOD_WITH_ARGS("Move", SD_BUS_ARGS("s", worker, "s", cpulist),
				SD_BUS_RESULT("u", plan), method_move, WRITE),
	SD_BUS_METHOD_WITH_ARGS("Steer", SD_BUS_ARGS("s", group, "s", how),
				SD_BUS_RESULT("u", plan), method_steer, WRITE),
	SD_BUS_METHOD_WITH_ARGS("SteerPackets", SD_BUS_ARGS("s", group, "s", how, "s", cpulist),
				SD_BUS_RESULT("u", plan), method_steer_packets, WRITE),
	SD_BUS_METHOD_WITH_ARGS("Drain", SD_BUS_ARGS("s", worker, "b", drain),
				SD_BUS_RESULT("u", plan), method_drain, WRITE),
	SD_BUS_METHOD_WITH_ARGS("Rollback", SD_BUS_ARGS("u", plan), SD_BUS_RESULT("u", plan),
				method_rollback, WRITE),
	SD_BUS_METHOD_WITH_ARGS("Veto", SD_BUS_ARGS("u", plan), SD_BUS_RESULT("u", plan),
				method_veto, WRITE),
	SD_BUS_METHOD_WITH_ARGS("Release", SD_BUS_ARGS("s", group, "b", pause),
				SD_BUS_RESULT("u", restored, "u", pending, "u", gone, "u", foreign,
					      "u", failed),
				method_release, WRITE),
	SD_BUS_METHOD_WITH_ARGS("Pause", SD_BUS_ARGS("t", usec), SD_BUS_NO_RESULT, method_pause,
				WRITE),
	SD_BUS_METHOD_WITH_ARGS("Hold", SD_BUS_NO_ARGS, SD_BUS_RESULT("h", hold), method_hold,
				WRITE),
	SD_BUS_METHOD_WITH_ARGS("Resume", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_resume, WRITE),
	SD_BUS_METHOD_WITH_ARGS("SetMode", SD_BUS_ARGS("s", group, "s", mode), SD_BUS_NO_RESULT,
				method_set_mode, WRITE),
	SD_BUS_METHOD_WITH_ARGS("Reload", SD_BUS_NO_ARGS, SD_BUS_NO_RESULT, method_reload, WRITE),
	SD_BUS_VTABLE_END
};

int cb_bus_verbs_add(struct cb_server *server)
{
	return sd_bus_add_object_vtable(server->bus, NULL, CB_BUS_PATH, CB_BUS_MANAGER,
					write_vtable, server->manager);
}
