/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What /proc says of a process or a thread: PID/stat, PID/task/TID/schedstat and status (fs/proc/array.c, fs/proc/base.c).
 * Read for each worker; schedstat and status in each tick only where taskstats is missing.
 */
#include "cpubalance/sources.h"

#include "parse.h"

/* Field numbers of stat as proc(5) counts them. */
enum {
	FIELD_STATE = 3,
	FIELD_PPID = 4,
	FIELD_FLAGS = 9,
	FIELD_UTIME = 14,
	FIELD_STIME = 15,
	FIELD_THREADS = 20,
	FIELD_START = 22,
	FIELD_CPU = 39,
};

static int take_field(struct cb_scan *s, unsigned int field, struct cb_task_stat *stat)
{
	const char *token;
	size_t len;
	uint64_t value;
	int r = 0;

	switch (field) {
	case FIELD_PPID:
		r = scan_number(s, INT32_MAX, &value);
		stat->ppid = r < 0 ? 0 : (int32_t)value;
		break;
	case FIELD_FLAGS:
		r = scan_number(s, UINT32_MAX, &value);
		stat->flags = r < 0 ? 0 : (uint32_t)value;
		break;
	case FIELD_UTIME:
		r = scan_number(s, UINT64_MAX, &stat->utime_ticks);
		break;
	case FIELD_STIME:
		r = scan_number(s, UINT64_MAX, &stat->stime_ticks);
		break;
	case FIELD_THREADS:
		r = scan_number(s, UINT32_MAX, &value);
		stat->n_threads = r < 0 ? 0 : (uint32_t)value;
		break;
	case FIELD_START:
		r = scan_number(s, UINT64_MAX, &stat->start_ticks);
		break;
	case FIELD_CPU:
		r = scan_number(s, CB_CPUS_MAX - 1, &value);
		stat->last_cpu = r < 0 ? 0 : (int32_t)value;
		break;
	default: /* a field that is not ours, -1 among them */
		cb_scan_blanks(s);
		r = cb_scan_token(s, &token, &len) ? 0 : -EBADMSG;
	}
	return r;
}

int cb_task_stat_parse(const char *buf, size_t len, struct cb_task_stat *ret)
{
	/* A process names itself as it likes, with ')' and newlines; only numbers follow, so the last ')' ends the name. */
	const char *close = len > 0 ? memrchr(buf, ')', len) : NULL;
	struct cb_scan s = CB_SCAN(buf, len);
	struct cb_task_stat stat = { 0 };
	uint64_t pid;
	int r;

	r = scan_number(&s, INT32_MAX, &pid);
	if (r < 0)
		return r;
	stat.pid = (int32_t)pid;
	if (!cb_scan_word(&s, " (") || !close || close < s.p)
		return -EBADMSG;
	cb_text_copy(s.p, (size_t)(close - s.p), stat.comm, sizeof(stat.comm));

	s.p = close + 1;
	if (!cb_scan_char(&s, ' ') || s.end - s.p < 2 || is_space(s.p[0]) || s.p[1] != ' ')
		return -EBADMSG;
	stat.state = *s.p++;
	for (unsigned int field = FIELD_PPID; field <= FIELD_CPU; field++) {
		r = take_field(&s, field, &stat);
		if (r < 0)
			return r;
	}
	if (cb_scan_done(&s)) /* cut short, perhaps within the last number */
		return -EBADMSG;
	*ret = stat;
	return 0;
}

int cb_schedstat_parse(const char *buf, size_t len, struct cb_schedstat *ret)
{
	struct cb_scan s = CB_SCAN(buf, len);
	struct cb_schedstat schedstat;
	int r;

	if (!sealed(buf, len))
		return -EBADMSG;
	r = scan_number(&s, UINT64_MAX, &schedstat.cpu_nsec);
	if (r == 0)
		r = scan_number(&s, UINT64_MAX, &schedstat.wait_nsec);
	if (r == 0)
		r = scan_number(&s, UINT64_MAX, &schedstat.timeslices);
	if (r < 0)
		return r;
	*ret = schedstat;
	return 0;
}

enum status_line {
	STATUS_TGID,
	STATUS_PPID,
	STATUS_UID,
	STATUS_THREADS,
	STATUS_ALLOWED,
	STATUS_VOLUNTARY,
	STATUS_INVOLUNTARY,
	_STATUS_MAX,
};

static const struct {
	const char *name;
	uint64_t max;
} status_lines[_STATUS_MAX] = {
	[STATUS_TGID] = { "Tgid:", INT32_MAX },
	[STATUS_PPID] = { "PPid:", INT32_MAX },
	[STATUS_UID] = { "Uid:", UINT32_MAX },
	[STATUS_THREADS] = { "Threads:", UINT32_MAX },
	[STATUS_ALLOWED] = { "Cpus_allowed_list:", 0 },
	[STATUS_VOLUNTARY] = { "voluntary_ctxt_switches:", UINT64_MAX },
	[STATUS_INVOLUNTARY] = { "nonvoluntary_ctxt_switches:", UINT64_MAX },
};

static enum status_line find_status_line(struct cb_scan *line)
{
	for (enum status_line i = 0; i < _STATUS_MAX; i++)
		if (cb_scan_word(line, status_lines[i].name))
			return i;
	return _STATUS_MAX;
}

static int take_status_line(struct cb_scan *line, enum status_line what,
			    struct cb_task_status *status)
{
	uint64_t value = 0;
	int r;

	if (what == STATUS_ALLOWED) {
		cb_scan_blanks(line);
		return bad_message(cb_cpuset_parse_list(line->p, (size_t)(line->end - line->p),
							&status->allowed));
	}
	r = scan_number(line, status_lines[what].max, &value);
	if (r < 0)
		return r;
	switch (what) {
	case STATUS_TGID:
		status->tgid = (int32_t)value;
		break;
	case STATUS_PPID:
		status->ppid = (int32_t)value;
		break;
	case STATUS_UID: /* real, effective, saved, file system: the first */
		status->uid = (uint32_t)value;
		break;
	case STATUS_THREADS:
		status->n_threads = (uint32_t)value;
		break;
	case STATUS_VOLUNTARY:
		status->vol_switches = value;
		break;
	case STATUS_INVOLUNTARY:
		status->invol_switches = value;
		break;
	case STATUS_ALLOWED:
	case _STATUS_MAX:
		break;
	}
	return 0;
}

int cb_task_status_parse(const char *buf, size_t len, struct cb_task_status *ret)
{
	struct cb_scan s = CB_SCAN(buf, len), line;
	struct cb_task_status status = { 0 };
	unsigned int seen = 0;

	if (!sealed(buf, len))
		return -EBADMSG;
	while (cb_scan_line(&s, &line)) {
		enum status_line what = find_status_line(&line);
		int r;

		if (what == _STATUS_MAX)
			continue;
		if (seen & 1u << what)
			return -EBADMSG;
		seen |= 1u << what;
		r = take_status_line(&line, what, &status);
		if (r < 0)
			return r;
	}
	if (seen != (1u << _STATUS_MAX) - 1)
		return -EBADMSG;
	*ret = status;
	return 0;
}

size_t cb_cmdline_parse(const char *buf, size_t len, char *ret, size_t size)
{
	size_t out = 0;

	while (len > 0 && buf[len - 1] == '\0')
		len--;
	if (size > 0)
		ret[0] = '\0';
	for (size_t i = 0, part; i < len && out + 1 < size; i += part + 1) {
		const char *end = memchr(buf + i, '\0', len - i);

		part = end ? (size_t)(end - (buf + i)) : len - i;
		if (i > 0)
			ret[out++] = ' ';
		out += cb_text_copy(buf + i, part, ret + out, size - out);
	}
	return out;
}
