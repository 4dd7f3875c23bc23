/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Asking polkit; see access.h. A question keeps its call alive; when the answer is there, the call is put back among the
 * messages to be read, and its handler, once it has validated everything again, finds the answer by the message. What it
 * asks for may be more by then than what was answered (a process of somebody else's has joined the group): that is
 * asked again.
 */
#include "access.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bus.h"
#include "pidfd.h"

#define POLKIT		 "org.freedesktop.PolicyKit1"
#define POLKIT_PATH	 "/org/freedesktop/PolicyKit1/Authority"
#define POLKIT_INTERFACE "org.freedesktop.PolicyKit1.Authority"
#define BUS_ERROR(name)	 "org.freedesktop.DBus.Error." name

#define ASKING_MAX	      16u
#define ASKING_PER_CALLER_MAX 4u
/* Long enough to find and type a password; the agent has no limit of its own. */
#define ASK_INTERACTIVE_USEC (300 * CB_USEC_PER_SEC)
#define ASK_USEC	     (25 * CB_USEC_PER_SEC)
/* An answered call is handled within the same turn of the loop, or it was refused before it came to ask. */
#define ANSWER_KEPT_USEC (10 * CB_USEC_PER_SEC)

static const struct {
	const char *id;
	const char *what; /* of a refusal */
} actions[] = {
	[CB_ACCESS_OWN] = { "org.cpubalance1.manage-own", "for your own processes" },
	[CB_ACCESS_OTHERS] = { "org.cpubalance1.manage-others", "for processes of others" },
	[CB_ACCESS_MACHINE] = { "org.cpubalance1.manage-machine", "for the machine" },
};

enum answer {
	ANSWER_NONE, /* not yet */
	ANSWER_YES,
	ANSWER_NO,
	ANSWER_CHALLENGE, /* only with a password, and the caller cannot be asked for it */
	ANSWER_ABSENT,	  /* there is no polkit */
	ANSWER_ERROR,
};

struct question {
	struct cb_asking *asking;
	sd_bus_message *call; /* NULL: this one is free */
	sd_bus_slot *slot;
	sd_bus_track *track;
	enum cb_access access;
	enum answer answer;
	uint64_t id; /* of the cancellation */
	uint64_t answered_usec;
	char text[160]; /* of ANSWER_ERROR */
};

struct cb_asking {
	struct question question[ASKING_MAX];
	uint64_t last_id;
	uint64_t now_usec; /* of the last tick */
};

struct cb_asking *cb_asking_new(void)
{
	return calloc(1, sizeof(struct cb_asking));
}

static void forget(struct question *question)
{
	sd_bus_slot_unref(question->slot);
	sd_bus_track_unref(question->track);
	sd_bus_message_unref(question->call);
	*question = (struct question){ .call = NULL };
}

void cb_asking_drop(struct cb_asking *asking)
{
	for (size_t i = 0; i < ASKING_MAX; i++)
		forget(&asking->question[i]);
}

struct cb_asking *cb_asking_free(struct cb_asking *asking)
{
	if (asking)
		cb_asking_drop(asking);
	free(asking);
	return NULL;
}

void cb_asking_tick(struct cb_asking *asking, uint64_t now_usec)
{
	asking->now_usec = now_usec;
	for (size_t i = 0; i < ASKING_MAX; i++) {
		struct question *question = &asking->question[i];

		if (question->call && question->answer != ANSWER_NONE &&
		    now_usec - question->answered_usec > ANSWER_KEPT_USEC)
			forget(question);
	}
}

/* --- asking --- */

static void cancellation_id(const struct question *question, char *buf, size_t size)
{
	snprintf(buf, size, "cpubalanced-%" PRIu64, question->id);
}

/* The caller is gone: the password dialog need not stay. */
static int on_caller_gone(sd_bus_track *track, void *userdata)
{
	struct question *question = userdata;
	char id[48];

	(void)track;
	cancellation_id(question, id, sizeof(id));
	if (question->answer == ANSWER_NONE)
		sd_bus_call_method_async(sd_bus_message_get_bus(question->call), NULL, POLKIT,
					 POLKIT_PATH, POLKIT_INTERFACE, "CancelCheckAuthorization",
					 NULL, NULL, "s", id);
	forget(question);
	return 0;
}

static enum answer read_answer(struct question *question, sd_bus_message *reply)
{
	const sd_bus_error *error = sd_bus_message_get_error(reply);
	int authorised, challenge;

	if (error) {
		if (sd_bus_error_has_names(error, BUS_ERROR("ServiceUnknown"),
					   BUS_ERROR("NameHasNoOwner"),
					   BUS_ERROR("Spawn.ServiceNotFound")))
			return ANSWER_ABSENT;
		snprintf(question->text, sizeof(question->text), "%s",
			 error->message ? error->message : error->name);
		return ANSWER_ERROR;
	}
	if (sd_bus_message_enter_container(reply, 'r', "bba{ss}") < 0 ||
	    sd_bus_message_read(reply, "bb", &authorised, &challenge) < 0) {
		snprintf(question->text, sizeof(question->text), "the answer cannot be read");
		return ANSWER_ERROR;
	}
	if (authorised)
		return ANSWER_YES;
	return challenge ? ANSWER_CHALLENGE : ANSWER_NO;
}

static int on_answer(sd_bus_message *reply, void *userdata, sd_bus_error *ret_error)
{
	struct question *question = userdata;
	int r;

	(void)ret_error;
	question->answer = read_answer(question, reply);
	question->answered_usec = question->asking->now_usec;
	r = sd_bus_message_rewind(question->call, 1);
	if (r >= 0)
		r = sd_bus_enqueue_for_read(sd_bus_message_get_bus(question->call), question->call);
	if (r < 0) {
		sd_bus_reply_method_errno(question->call, r, NULL);
		forget(question);
	}
	return 1;
}

static int send_question(struct question *question)
{
	sd_bus *bus = sd_bus_message_get_bus(question->call);
	bool interactive = sd_bus_message_get_allow_interactive_authorization(question->call) > 0;
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *ask = NULL;
	char id[48];
	int r = sd_bus_message_new_method_call(bus, &ask, POLKIT, POLKIT_PATH, POLKIT_INTERFACE,
					       "CheckAuthorization");

	cancellation_id(question, id, sizeof(id));
	if (r >= 0)
		r = sd_bus_message_append(ask, "(sa{sv})sa{ss}us", "system-bus-name", 1, "name",
					  "s", sd_bus_message_get_sender(question->call),
					  actions[question->access].id, 1, "verb",
					  sd_bus_message_get_member(question->call),
					  interactive ? 1u : 0u, id);
	if (r >= 0)
		r = sd_bus_call_async(bus, &question->slot, ask, on_answer, question,
				      interactive ? ASK_INTERACTIVE_USEC : ASK_USEC);
	return r;
}

static int ask(struct cb_asking *asking, sd_bus_message *call, enum cb_access access,
	       sd_bus_error *error)
{
	const char *sender = sd_bus_message_get_sender(call);
	struct question *question = NULL;
	unsigned int n = 0;
	int r;

	for (size_t i = 0; i < ASKING_MAX; i++) {
		struct question *other = &asking->question[i];

		if (!other->call)
			question = other;
		else if (strcmp(sd_bus_message_get_sender(other->call), sender) == 0)
			n++;
	}
	if (!question || n >= ASKING_PER_CALLER_MAX)
		return sd_bus_error_set(error, CB_BUS_ERROR("Limit"),
					"too many calls wait for an authorization already");
	*question = (struct question){ .asking = asking,
				       .call = sd_bus_message_ref(call),
				       .access = access,
				       .id = ++asking->last_id };
	r = sd_bus_track_new(sd_bus_message_get_bus(call), &question->track, on_caller_gone,
			     question);
	if (r >= 0)
		r = sd_bus_track_add_sender(question->track, call);
	if (r >= 0)
		r = send_question(question);
	if (r < 0)
		forget(question);
	return r < 0 ? r : 1;
}

/* --- checking --- */

static int deny(sd_bus_message *call, enum cb_access access, enum answer answer, const char *text,
		sd_bus_error *error)
{
	const char *verb = sd_bus_message_get_member(call), *what = actions[access].what;

	switch (answer) {
	case ANSWER_CHALLENGE:
		return cb_bus_error(error, BUS_ERROR("InteractiveAuthorizationRequired"),
				    "%s %s needs authentication (action %s)", verb, what,
				    actions[access].id);
	case ANSWER_ABSENT:
		return cb_bus_error(error, CB_BUS_ACCESS_DENIED,
				    "only root may call %s: polkit is not installed", verb);
	case ANSWER_ERROR:
		return cb_bus_error(error, CB_BUS_ACCESS_DENIED,
				    "only root may call %s: polkit says: %s", verb, text);
	case ANSWER_NO:
	case ANSWER_NONE:
	case ANSWER_YES:
		break;
	}
	return cb_bus_error(error, CB_BUS_ACCESS_DENIED, "%s %s is not allowed to you (action %s)",
			    verb, what, actions[access].id);
}

static int sender_uid(sd_bus_message *call, uid_t *ret)
{
	_cleanup_(sd_bus_creds_unrefp) sd_bus_creds *creds = NULL;
	int r = sd_bus_query_sender_creds(call, SD_BUS_CREDS_EUID, &creds);

	return r < 0 ? r : sd_bus_creds_get_euid(creds, ret);
}

uint32_t cb_access_viewer(sd_bus_message *call)
{
	uid_t uid;

	return sender_uid(call, &uid) < 0 ? UINT32_MAX : uid;
}

int cb_access_check(struct cb_manager *m, sd_bus_message *call, enum cb_access access,
		    sd_bus_error *error)
{
	struct cb_asking *asking = m->server->asking;
	struct question *question = NULL;
	uid_t uid = (uid_t)-1;
	int r = sender_uid(call, &uid);

	if (r < 0)
		return cb_bus_error(error, CB_BUS_ACCESS_DENIED, "who calls %s cannot be found out",
				    sd_bus_message_get_member(call));
	if (uid == 0)
		return 0;
	for (size_t i = 0; i < ASKING_MAX; i++)
		if (asking->question[i].call == call)
			question = &asking->question[i];
	if (question && question->access == access) {
		r = question->answer == ANSWER_YES ?
			    0 :
			    deny(call, access, question->answer, question->text, error);
		forget(question);
		return r;
	}
	if (question)
		forget(question);
	return ask(asking, call, access, error);
}

/* --- what kind of change it is --- */

/* All of its user ids are @uid: a program that has become somebody else is not its starter's to place. */
static bool owns(uid_t uid, int32_t pid)
{
	_cleanup_(sd_bus_creds_unrefp) sd_bus_creds *creds = NULL;
	uid_t effective, real, saved;

	return sd_bus_creds_new_from_pid(&creds, pid,
					 SD_BUS_CREDS_UID | SD_BUS_CREDS_EUID |
						 SD_BUS_CREDS_SUID) >= 0 &&
	       sd_bus_creds_get_uid(creds, &real) >= 0 &&
	       sd_bus_creds_get_euid(creds, &effective) >= 0 &&
	       sd_bus_creds_get_suid(creds, &saved) >= 0 && real == uid && effective == uid &&
	       saved == uid;
}

/* Every worker is the caller's. */
static bool owns_group(uid_t uid, const struct cb_registration *registration)
{
	const struct cb_manager *m = registration->manager;
	unsigned int n = 0;

	/* Nothing else can be moved for it: neither who comes to be in a file or is found, nor interrupts. */
	if (registration->from_config || registration->policy.steering != CB_STEERING_NONE ||
	    registration->policy.packets != CB_PACKETS_NONE || registration->policy.pid_file[0] ||
	    !cb_selector_empty(&registration->policy.selector) ||
	    strcmp(registration->policy.interfaces, "none") != 0)
		return false;
	for (uint32_t i = 0; i < m->n_members; i++) {
		if (m->member[i]->registration != registration)
			continue;
		if (!owns(uid, m->member[i]->pid))
			return false;
		n++;
	}
	return n > 0;
}

enum cb_access cb_access_to_group(sd_bus_message *call, const struct cb_registration *registration)
{
	uid_t uid;

	if (!registration)
		return CB_ACCESS_MACHINE;
	if (sender_uid(call, &uid) >= 0 && owns_group(uid, registration))
		return CB_ACCESS_OWN;
	return CB_ACCESS_OTHERS;
}

enum cb_access cb_access_to_worker(const struct cb_manager *m, sd_bus_message *call, uint32_t key)
{
	const struct cb_member *member = cb_manager_worker_by_key(m, key);
	uid_t uid;

	if (member && sender_uid(call, &uid) >= 0 && owns(uid, member->pid))
		return CB_ACCESS_OWN;
	return CB_ACCESS_OTHERS;
}

enum cb_access cb_access_to_register(sd_bus_message *call,
				     const struct cb_registration *registration, const int *fds,
				     size_t n, const struct cb_group_policy *settings)
{
	uid_t uid;

	if (sender_uid(call, &uid) < 0 || uid == 0 ||
	    (registration && !owns_group(uid, registration)))
		return CB_ACCESS_OTHERS;
	if (settings &&
	    (settings->steering != CB_STEERING_NONE || settings->packets != CB_PACKETS_NONE ||
	     settings->pid_file[0] || !cb_selector_empty(&settings->selector) ||
	     (settings->interfaces[0] && strcmp(settings->interfaces, "none") != 0)))
		return CB_ACCESS_OTHERS;
	for (size_t i = 0; i < n; i++) {
		struct cb_err err;
		int32_t pid, again;

		/* Asked twice: what was looked at in between is this process and not its number's next. */
		if (cb_pidfd_pid(fds[i], &pid, &err) < 0 || !owns(uid, pid) ||
		    cb_pidfd_pid(fds[i], &again, &err) < 0)
			return CB_ACCESS_OTHERS;
	}
	return CB_ACCESS_OWN;
}
