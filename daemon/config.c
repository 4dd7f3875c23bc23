/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libinih splits lines; every value is checked by cb_policy_set(). The library shortens lines and section names that
 * are too long for it, takes an indented line for the continuation of the one before, and reads a ';' after a blank as
 * a comment. The reader below, which hands it the lines, refuses the first two and takes indentation away, so that
 * nothing is misread in silence; and it counts lines, which the library does not tell its handler everywhere.
 */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ini.h>

#include "config_files.h"

/* Compiled into libinih: MAX_SECTION and MAX_NAME are 50 bytes with the NUL (ini.c). */
#define INIH_NAME_MAX 49u

struct reading {
	const char *p, *end;
	const char *name;
	unsigned int line;
	struct cb_policy *policy;
	struct cb_err *err;
	struct cb_config_origins *origins; /* NULL: nobody wants to know */
	int r;				   /* the first error */
};

void cb_config_origins_done(struct cb_config_origins *origins)
{
	free(origins->origin);
	*origins = (struct cb_config_origins){ .n = 0 };
}

const struct cb_config_origin *cb_config_origin_find(const struct cb_config_origins *origins,
						     const char *section, const char *name)
{
	for (size_t i = 0; i < origins->n; i++)
		if (strcmp(origins->origin[i].section, section) == 0 &&
		    strcmp(origins->origin[i].name, name) == 0)
			return &origins->origin[i];
	return NULL;
}

/* Said again, an option keeps its place. */
static void note_origin(struct reading *reading, const char *section, const char *name,
			const char *value)
{
	struct cb_config_origins *origins = reading->origins;
	struct cb_config_origin *origin;

	if (!origins)
		return;
	origin =
		(struct cb_config_origin *)(uintptr_t)cb_config_origin_find(origins, section, name);
	if (!origin) {
		if (origins->n == CB_CONFIG_ORIGINS_MAX) {
			origins->cut = true;
			return;
		}
		origin = &origins->origin[origins->n++];
	}
	snprintf(origin->section, sizeof(origin->section), "%s", section);
	snprintf(origin->name, sizeof(origin->name), "%s", name);
	snprintf(origin->value, sizeof(origin->value), "%s", value);
	snprintf(origin->from, sizeof(origin->from), "%.260s:%u", reading->name, reading->line);
}

static void _printf_(3, 4) fail(struct reading *reading, int r, const char *fmt, ...)
{
	char msg[CB_ERR_MSG_MAX];
	va_list ap;

	if (reading->r < 0)
		return;
	va_start(ap, fmt);
	vsnprintf(msg, sizeof(msg), fmt, ap);
	va_end(ap);
	reading->r = cb_err_set(reading->err, r, "%s:%u: %s", reading->name, reading->line, msg);
}

static void check_line(struct reading *reading, const char *line, size_t len, size_t room)
{
	if (memchr(line, '\0', len))
		fail(reading, -EINVAL, "the line contains a NUL character");
	if (len + 2 > room)
		fail(reading, -EINVAL, "the line is longer than %zu characters", room - 2);
	if (len > 0 && line[0] == '[') {
		const char *close = memchr(line, ']', len);

		if (!close)
			fail(reading, -EINVAL, "the section's name has no closing ]");
		else if ((size_t)(close - line) - 1 > INIH_NAME_MAX)
			fail(reading, -EINVAL, "the section's name is longer than %u characters",
			     INIH_NAME_MAX);
	}
}

/* One line for libinih, without indentation. An offending line is passed on as an empty one. */
static char *next_line(char *buf, int size, void *stream)
{
	struct reading *reading = stream;
	const char *line = reading->p, *end;
	size_t len, room = size > 0 ? (size_t)size : 0;

	if (line >= reading->end || room < 2 || reading->r < 0)
		return NULL;
	end = memchr(line, '\n', (size_t)(reading->end - line));
	reading->p = end ? end + 1 : reading->end;
	if (!end)
		end = reading->end;
	reading->line++;
	while (line < end && isblank((unsigned char)*line))
		line++;
	len = (size_t)(end - line);
	check_line(reading, line, len, room);
	if (reading->r < 0)
		len = 0;
	memcpy(buf, line, len);
	memcpy(buf + len, "\n", 2);
	return buf;
}

static int on_option(void *user, const char *section, const char *name, const char *value)
{
	struct reading *reading = user;
	struct cb_err err = { .msg = "" };
	int r;

	if (reading->r < 0)
		return 0;
	if (strlen(name) >= INIH_NAME_MAX)
		fail(reading, -ENOENT, "the option's name is too long");
	if (section[0] == '\0')
		fail(reading, -ENOENT, "%s= stands before the first [section]", name);
	if (reading->r < 0)
		return 0;
	r = cb_policy_set(reading->policy, section, name, value, &err);
	if (r < 0)
		fail(reading, r, "%s", err.msg[0] ? err.msg : strerror(-r));
	else
		note_origin(reading, section, name, value);
	return r >= 0;
}

static int parse(const char *buf, size_t len, const char *name, struct cb_policy *policy,
		 struct cb_config_origins *origins, struct cb_err *err)
{
	struct reading reading = { .p = buf,
				   .end = buf + len,
				   .name = name,
				   .policy = policy,
				   .origins = origins,
				   .err = err };
	int r = ini_parse_stream(next_line, &reading, on_option, &reading);

	if (reading.r < 0)
		return reading.r;
	if (r == -2)
		return cb_err_set(err, -ENOMEM, "%s: out of memory", name);
	if (r != 0)
		return cb_err_set(err, -EINVAL, "%s:%d: neither [section] nor Name=value", name, r);
	return 0;
}

int cb_config_parse(const char *buf, size_t len, const char *name, struct cb_policy *policy,
		    struct cb_err *err)
{
	return parse(buf, len, name, policy, NULL, err);
}

static void freep(char **p)
{
	free(*p);
}

static void closep(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

/* The whole file, up to CB_CONFIG_SIZE_MAX. A directory or device in its place must not block or be read. */
static int read_file(const char *path, char **ret, size_t *ret_len)
{
	_cleanup_(closep) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	_cleanup_(freep) char *buf = NULL;
	size_t len = 0, size;
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	if (st.st_size > (off_t)CB_CONFIG_SIZE_MAX)
		return -EFBIG;
	size = (size_t)st.st_size + 1;
	buf = malloc(size);
	if (!buf)
		return -ENOMEM;
	while (len < size) {
		ssize_t n = read(fd, buf + len, size - len);

		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	*ret = cb_steal_ptr(buf);
	*ret_len = len;
	return 0;
}

static int load_file(const char *path, bool optional, struct cb_policy *policy,
		     struct cb_config_origins *origins, struct cb_err *err)
{
	_cleanup_(freep) char *buf = NULL;
	size_t len = 0;
	int r = read_file(path, &buf, &len);

	if (r == -ENOENT && optional)
		return 0;
	if (r < 0)
		return cb_err_set(err, r, "%s: %s", path, strerror(-r));
	return parse(buf, len, path, policy, origins, err);
}

/* A link to /dev/null: nothing is to be read under this name. */
static bool hides(const char *path)
{
	char target[16];
	ssize_t len = readlink(path, target, sizeof(target));

	return len == 9 && memcmp(target, "/dev/null", 9) == 0;
}

static void policy_freep(struct cb_policy **p)
{
	free(*p);
}

static int load_files(const struct cb_config_files *files, bool optional, struct cb_policy *policy,
		      struct cb_config_origins *origins, struct cb_err *err)
{
	int r = 0;

	for (size_t i = 0; i < files->n && r >= 0; i++) {
		const struct cb_config_file *file = &files->file[i];

		/* A drop-in may have gone since it was listed, or hide one of a package. */
		if (!file->dropin || !hides(file->path))
			r = load_file(file->path, file->dropin || optional, policy, origins, err);
	}
	return r;
}

int cb_config_load_traced(const char *path, bool optional, struct cb_policy *ret,
			  struct cb_config_origins *ret_origins, struct cb_err *err)
{
	_cleanup_(policy_freep) struct cb_policy *policy = malloc(sizeof(*policy));
	_cleanup_(cb_config_files_done) struct cb_config_files files = { .n = 0 };
	_cleanup_(cb_config_origins_done) struct cb_config_origins origins = { .n = 0 };
	int r;

	origins.origin = calloc(CB_CONFIG_ORIGINS_MAX, sizeof(*origins.origin));
	if (!policy || !origins.origin)
		return cb_err_set(err, -ENOMEM, "%s: out of memory", path);
	cb_policy_init(policy);
	r = cb_config_files(path, &files, err);
	if (r >= 0)
		r = load_files(&files, optional, policy, &origins, err);
	if (r < 0)
		return r;
	r = cb_policy_check(policy, err);
	if (r < 0)
		return cb_err_prefix(err, r, "%s: ", path);
	cb_policy_copy(ret, policy);
	*ret_origins = origins;
	origins = (struct cb_config_origins){ .n = 0 };
	return 0;
}

int cb_config_load(const char *path, bool optional, struct cb_policy *ret, struct cb_err *err)
{
	_cleanup_(cb_config_origins_done) struct cb_config_origins origins = { .n = 0 };

	return cb_config_load_traced(path, optional, ret, &origins, err);
}

static void print_range(FILE *out, const struct cb_option *option)
{
	if (option->min[0] && option->max[0])
		fprintf(out, " From %s to %s.", option->min, option->max);
}

void cb_config_print(FILE *out)
{
	const char *section = "";

	fputs("# cpubalanced.conf - see cpubalanced.conf(5). What is commented out shows the default.\n"
	      "# Files in cpubalanced.conf.d/*.conf beside this one override it, in the order of their names; so do those in\n"
	      "# /run/cpubalanced and /usr/lib/cpubalanced. `cpubalctl config` shows each value and where it comes from.\n"
	      "# `cpubalanced --check-config` reads it all and says what is wrong; `cpubalctl reload` takes it over.\n",
	      out);
	for (size_t i = 0; i < cb_n_options; i++) {
		const struct cb_option *option = &cb_options[i];

		if (strcmp(section, option->section) != 0) {
			if (strncmp(option->section, "Group", 5) == 0)
				continue;
			section = option->section;
			fprintf(out, "\n[%s]\n", section);
		}
		fprintf(out, "# %s", option->help);
		print_range(out, option);
		fprintf(out, "\n#%s=%s\n", option->name, option->def);
	}
	fputs("\n# One section for each group of SO_REUSEPORT workers, here one called \"web\".\n"
	      "#[Group web]\n"
	      "# What its workers serve: up to 8 of tcp:443, udp:[::]:53, tcp:10.0.0.1:8080, separated by blanks.\n"
	      "#Listen=tcp:443\n"
	      "# The unit or the cgroup that they are in, their program; of what is set, all has to hold.\n"
	      "#Unit=nginx.service\n"
	      "#Cgroup=/system.slice/nginx.service\n"
	      "#Process=nginx\n"
	      "# File with the workers' pids, one a line; with a single pid in it, that process's children are the workers.\n"
	      "#PIDFile=/run/nginx.pid\n"
	      "# auto, advise or observe; without it, the manager's Mode= holds.\n"
	      "#Mode=auto\n"
	      "# CPUs that the workers may be put on, for example 0-7,16-23; without it, all but isolated ones.\n"
	      "#AllowedCPUs=\n"
	      "# auto: the widest set of CPUs that mends; core: one CPU each.\n"
	      "#Placement=auto\n"
	      "# What one worker is: process, thread (that serves in a loop of its own), or auto.\n"
	      "#Granularity=auto\n"
	      "# none; local: connections are accepted on the CPU their packets come in on; weighted: new ones by headroom.\n"
	      "#Steering=none\n"
	      "# none; rps: received packets are handled on cool CPUs; xps: transmit queues follow their interrupts; both.\n"
	      "#PacketSteering=none\n"
	      "# Network interfaces whose interrupts feed the group, separated by blanks.\n"
	      "#Interfaces=\n"
	      "# A command, or a URL, that gives a number by which moves of this group are judged: see cpubalanced-gauge(8).\n"
	      "#ServiceMetric=\n"
	      "# higher or lower: which way that number is better.\n"
	      "#ServiceMetricBetter=higher\n",
	      out);
}
