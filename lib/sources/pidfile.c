/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The file that PIDFile= names. Other programs and people write it: one process a line, blanks, empty lines and # comments
 * as one likes, the last newline optional.
 */
#include "cpubalance/sources.h"

#include "parse.h"

/* include/linux/threads.h, PID_MAX_LIMIT: no process has this number or a higher one. */
#define PID_LIMIT (UINT32_C(4) * 1024 * 1024)

static bool is_listed(const int32_t *pids, size_t n, int32_t pid)
{
	for (size_t i = 0; i < n; i++)
		if (pids[i] == pid)
			return true;
	return false;
}

/* The rest of a line holds nothing: blanks, the carriage return of another system's editor, a comment. */
static bool is_rest(struct cb_scan line)
{
	cb_scan_blanks(&line);
	cb_scan_char(&line, '\r');
	return cb_scan_done(&line) || *line.p == '#';
}

int cb_pidfile_parse(const char *buf, size_t len, int32_t *ret_pids, size_t cap, size_t *ret_n,
		     uint32_t *ret_line)
{
	struct cb_scan s = CB_SCAN(buf, len), line;
	size_t n = 0;

	*ret_line = 0;
	while (cb_scan_line(&s, &line)) {
		uint32_t pid;

		(*ret_line)++;
		if (is_rest(line))
			continue;
		cb_scan_blanks(&line);
		if (!cb_scan_u32(&line, &pid) || pid == 0 || pid >= PID_LIMIT || !is_rest(line))
			return -EBADMSG;
		if (is_listed(ret_pids, n, (int32_t)pid))
			return -EBADMSG;
		if (n == cap)
			return -E2BIG;
		ret_pids[n++] = (int32_t)pid;
	}
	*ret_n = n;
	return 0;
}
