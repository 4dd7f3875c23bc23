/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * RUN_DIR/groups: what was registered over the bus, so that a restart does not forget it. A JSON object a line: first the
 * boot it belongs to, then a group each with its settings and its workers. A worker is taken back only when pid and
 * start time are still the same process. The file is written anew and renamed; a torn or foreign one is passed over.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <json-c/json.h>

#include "log.h"
#include "manager.h"

#define FILE_NAME "groups"
#define TEMPORARY "groups.new"
#define FILE_MAX  (8u * 1024u * 1024u)

/* --- writing --- */

static void add_option(json_object *object, const char *name, const char *value)
{
	if (value[0])
		json_object_object_add(object, name, json_object_new_string(value));
}

static void add_selector(json_object *object, const struct cb_selector *selector)
{
	char list[CB_LISTEN_MAX * CB_LISTEN_TEXT_MAX] = "", text[CB_LISTEN_TEXT_MAX];

	for (uint32_t i = 0; i < selector->n_listen; i++) {
		size_t len = strlen(list);

		snprintf(list + len, sizeof(list) - len, "%s%s", i > 0 ? " " : "",
			 cb_listen_format(&selector->listen[i], text, sizeof(text)));
	}
	add_option(object, "Listen", list);
	add_option(object, "Unit", selector->unit);
	add_option(object, "Cgroup", selector->cgroup);
	add_option(object, "Process", selector->process);
}

static json_object *format_options(const struct cb_group_policy *policy)
{
	json_object *object = json_object_new_object();
	char cpus[CB_CPULIST_MAX];

	if (policy->has_mode)
		add_option(object, "Mode", cb_mode_name(policy->mode));
	add_option(object, "Placement", cb_placement_name(policy->placement));
	add_option(object, "Granularity", cb_granularity_name(policy->granularity));
	add_option(object, "Steering", cb_steering_name(policy->steering));
	add_option(object, "PacketSteering", cb_packets_name(policy->packets));
	if (policy->has_allowed &&
	    cb_cpuset_format_list(&policy->allowed_cpus, cpus, sizeof(cpus)) > 0)
		add_option(object, "AllowedCPUs", cpus);
	add_option(object, "PIDFile", policy->pid_file);
	add_option(object, "Interfaces", policy->interfaces);
	add_selector(object, &policy->selector);
	return object;
}

static json_object *format_group(const struct cb_manager *m,
				 const struct cb_registration *registration)
{
	json_object *object = json_object_new_object(), *workers = json_object_new_array();

	add_option(object, "name", registration->policy.name);
	json_object_object_add(object, "options", format_options(&registration->policy));
	for (uint32_t i = 0; i < m->n_members; i++) {
		const struct cb_member *member = m->member[i];
		json_object *worker;

		if (member->registration != registration)
			continue;
		worker = json_object_new_object();
		json_object_object_add(worker, "pid", json_object_new_int(member->pid));
		if (member->tid != 0)
			json_object_object_add(worker, "tid", json_object_new_int(member->tid));
		json_object_object_add(worker, "start",
				       json_object_new_uint64(member->start_ticks));
		json_object_array_add(workers, worker);
	}
	json_object_object_add(object, "workers", workers);
	return object;
}

static bool print_line(FILE *file, json_object *object)
{
	const char *text = json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN);
	bool done = text && fprintf(file, "%s\n", text) > 0;

	json_object_put(object);
	return done;
}

static bool print_groups(const struct cb_manager *m, FILE *file)
{
	json_object *head = json_object_new_object();
	bool done;

	json_object_object_add(head, "groups", json_object_new_int(1));
	add_option(head, "boot", cb_host_boot_id(m->host));
	done = print_line(file, head);
	for (uint32_t i = 0; done && i < m->n_registrations; i++)
		if (!m->registration[i]->from_config)
			done = print_line(file, format_group(m, m->registration[i]));
	return done;
}

static int write_groups(const struct cb_manager *m)
{
	int dir = open(m->options.run_dir, O_PATH | O_DIRECTORY | O_CLOEXEC), fd, r = 0;
	FILE *file;

	if (dir < 0)
		return -errno;
	unlinkat(dir, TEMPORARY, 0);
	fd = openat(dir, TEMPORARY, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	file = fd < 0 ? NULL : fdopen(fd, "w");
	if (!file) {
		r = -errno;
		if (fd >= 0)
			close(fd);
		close(dir);
		return r;
	}
	if (!print_groups(m, file))
		r = -EIO;
	if (fclose(file) != 0 && r >= 0)
		r = -errno;
	if (r >= 0 && renameat(dir, TEMPORARY, dir, FILE_NAME) < 0)
		r = -errno;
	if (r < 0)
		unlinkat(dir, TEMPORARY, 0);
	close(dir);
	return r;
}

void cb_manager_saved_write(struct cb_manager *m)
{
	static bool failed;
	int r;

	if (!m->saved_dirty || !cb_manager_is_live(m))
		return;
	m->saved_dirty = false;
	r = write_groups(m);
	if (r < 0 && !failed)
		cb_log(LOG_WARNING, "Registrations will not outlive the daemon: %s/%s: %s",
		       m->options.run_dir, FILE_NAME, strerror(-r));
	failed = r < 0;
}

/* --- reading --- */

static const char *text_of(json_object *object, const char *name)
{
	json_object *value;

	if (!json_object_object_get_ex(object, name, &value) ||
	    !json_object_is_type(value, json_type_string))
		return NULL;
	return json_object_get_string(value);
}

/* Through the same door as the configuration, so that no value can be out of its bounds. */
int cb_saved_group_parse(json_object *object, struct cb_policy *scratch, struct cb_err *err)
{
	const char *name = text_of(object, "name");
	char section[CB_NAME_MAX + 16];
	json_object *options;

	if (!name || !cb_name_valid(name) ||
	    !json_object_object_get_ex(object, "options", &options) ||
	    !json_object_is_type(options, json_type_object))
		return cb_err_set(err, -EBADMSG, "no group");
	cb_policy_init(scratch);
	snprintf(section, sizeof(section), "Group %s", name);
	json_object_object_foreach(options, key, value)
	{
		int r = json_object_is_type(value, json_type_string) ?
				cb_policy_set(scratch, section, key, json_object_get_string(value),
					      err) :
				-EBADMSG;

		if (r < 0)
			return r;
	}
	return scratch->n_groups == 1 ? 0 : cb_err_set(err, -EBADMSG, "no options");
}

static uint32_t load_workers(struct cb_manager *m, struct cb_registration *registration,
			     json_object *object)
{
	json_object *workers, *pid, *tid, *start;
	uint32_t n = 0;

	if (!json_object_object_get_ex(object, "workers", &workers) ||
	    !json_object_is_type(workers, json_type_array))
		return 0;
	for (size_t i = 0; i < json_object_array_length(workers); i++) {
		json_object *worker = json_object_array_get_idx(workers, i);

		if (!json_object_is_type(worker, json_type_object) ||
		    !json_object_object_get_ex(worker, "pid", &pid) ||
		    !json_object_object_get_ex(worker, "start", &start) ||
		    json_object_get_int(pid) <= 0 || json_object_get_uint64(start) == 0)
			continue;
		/* a process has none, and json_object_get_int(NULL) is 0 */
		if (!json_object_object_get_ex(worker, "tid", &tid))
			tid = NULL;
		if (cb_manager_worker_add(m, registration, json_object_get_int(pid),
					  json_object_get_int(tid), json_object_get_uint64(start),
					  -1, NULL) == 0)
			n++;
	}
	return n;
}

static int load_group(struct cb_manager *m, json_object *object, struct cb_err *err)
{
	struct cb_registration *registration;
	struct cb_policy *scratch;
	uint32_t n;
	int r;

	scratch = malloc(sizeof(*scratch));
	if (!scratch)
		return -ENOMEM;
	r = cb_saved_group_parse(object, scratch, err);
	if (r >= 0 && !cb_manager_group_find(m, scratch->group[0].name)) {
		r = cb_manager_group_set(m, &scratch->group[0], false, &registration, err);
		if (r >= 0) {
			n = load_workers(m, registration, object);
			cb_log(LOG_NOTICE,
			       "Group %s, registered over the bus, is taken over with %u workers",
			       registration->policy.name, n);
		}
	}
	free(scratch);
	return r;
}

static bool is_head(const struct cb_manager *m, json_object *object)
{
	const char *boot = text_of(object, "boot");

	return boot && strcmp(boot, cb_host_boot_id(m->host)) == 0;
}

static void load_lines(struct cb_manager *m, FILE *file)
{
	char *line = NULL;
	size_t size = 0;
	bool head = false;
	ssize_t len;

	while ((len = getline(&line, &size, file)) > 0) {
		json_object *object = json_tokener_parse(line);
		struct cb_err err = { .msg = "" };

		if (!json_object_is_type(object, json_type_object))
			cb_log(LOG_WARNING, "Passed over a bad line of %s/%s", m->options.run_dir,
			       FILE_NAME);
		else if (!head)
			head = is_head(m, object);
		else if (load_group(m, object, &err) < 0)
			cb_log(LOG_WARNING, "Passed over a group of %s/%s: %s", m->options.run_dir,
			       FILE_NAME, err.msg);
		json_object_put(object);
		if (!head)
			break; /* of another boot: nobody in it lives */
	}
	free(line);
}

void cb_manager_saved_load(struct cb_manager *m)
{
	char path[4096];
	struct stat st;
	FILE *file;
	int fd;

	if (!cb_manager_is_live(m) || snprintf(path, sizeof(path), "%s/%s", m->options.run_dir,
					       FILE_NAME) >= (int)sizeof(path))
		return;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > (off_t)FILE_MAX ||
	    !(file = fdopen(fd, "r"))) {
		close(fd);
		return;
	}
	load_lines(m, file);
	fclose(file);
}
