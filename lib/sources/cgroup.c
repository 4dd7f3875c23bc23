/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * proc/PID/cgroup: where a process sits in each cgroup hierarchy, "ID:CONTROLLER,CONTROLLER:PATH" a line
 * (kernel/cgroup/cgroup.c proc_cgroup_show()). Version 2 is the line "0::PATH". The path is handed on byte for byte: it
 * is opened, not shown. No cgroup's name holds a newline.
 */
#include "cpubalance/sources.h"

#include "parse.h"

struct cgroup_line {
	const char *controllers, *path;
	size_t controllers_len, path_len;
	bool v2;
};

static int split(const struct cb_scan *line, struct cgroup_line *ret)
{
	struct cb_scan s = *line;
	const char *colon;
	uint64_t id;

	if (!cb_scan_u64(&s, &id) || !cb_scan_char(&s, ':'))
		return -EBADMSG;
	colon = s.p < s.end ? memchr(s.p, ':', (size_t)(s.end - s.p)) : NULL;
	if (!colon)
		return -EBADMSG;
	ret->controllers = s.p;
	ret->controllers_len = (size_t)(colon - s.p);
	ret->path = colon + 1;
	ret->path_len = (size_t)(s.end - ret->path);
	ret->v2 = id == 0 && ret->controllers_len == 0;
	if (ret->path_len == 0 || ret->path[0] != '/' || memchr(ret->path, '\0', ret->path_len))
		return -EBADMSG;
	return 0;
}

/* Whether @controller is one of the names between commas. */
static bool has_controller(const struct cgroup_line *line, const char *controller)
{
	const char *p = line->controllers, *end = p + line->controllers_len;
	size_t len = strlen(controller);

	while (p < end) {
		const char *comma = memchr(p, ',', (size_t)(end - p));
		const char *stop = comma ? comma : end;

		if ((size_t)(stop - p) == len && memcmp(p, controller, len) == 0)
			return true;
		p = stop + (stop < end);
	}
	return false;
}

int cb_cgroup_parse(const char *buf, size_t len, const char *controller, char *ret, size_t size)
{
	struct cb_scan s = CB_SCAN(buf, len), text;
	struct cgroup_line found = { 0 };

	if (!sealed(buf, len))
		return -EBADMSG;
	while (cb_scan_line(&s, &text)) {
		struct cgroup_line line;
		int r = split(&text, &line);

		if (r < 0)
			return r;
		if (controller ? !has_controller(&line, controller) : !line.v2)
			continue;
		if (found.path)
			return -EBADMSG;
		found = line;
	}
	if (!found.path)
		return -ENOENT;
	if (found.path_len >= size)
		return -E2BIG;
	memcpy(ret, found.path, found.path_len);
	ret[found.path_len] = '\0';
	return 0;
}

int cb_cgroup_each(const char *buf, size_t len,
		   int (*fn)(const char *path, size_t len, void *userdata), void *userdata)
{
	struct cb_scan s = CB_SCAN(buf, len), text;
	int r = sealed(buf, len) ? 0 : -EBADMSG;

	while (r == 0 && cb_scan_line(&s, &text)) {
		struct cgroup_line line;

		r = split(&text, &line);
		if (r == 0)
			r = fn(line.path, line.path_len, userdata);
	}
	return r;
}
