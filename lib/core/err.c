/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One line of explanation beside a negative errno. What it quotes may come from anywhere, so control characters (a
 * newline above all) are replaced: the line goes to a journal and a terminal.
 */
#include "cpubalance/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void make_one_line(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
}

int cb_err_set(struct cb_err *err, int r, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return r;
	va_start(ap, fmt);
	if (vsnprintf(err->msg, sizeof(err->msg), fmt, ap) < 0)
		err->msg[0] = 0;
	va_end(ap);
	make_one_line(err->msg);
	return r;
}

int cb_err_prefix(struct cb_err *err, int r, const char *fmt, ...)
{
	char before[CB_ERR_MSG_MAX];
	size_t len;
	va_list ap;

	if (!err)
		return r;
	va_start(ap, fmt);
	if (vsnprintf(before, sizeof(before), fmt, ap) < 0)
		before[0] = 0;
	va_end(ap);
	make_one_line(before);
	len = strnlen(before, sizeof(before) - 1);
	/* What becomes too long loses its tail, never the place that stands in front. */
	memmove(err->msg + len, err->msg, sizeof(err->msg) - len);
	memcpy(err->msg, before, len);
	err->msg[sizeof(err->msg) - 1] = 0;
	return r;
}
