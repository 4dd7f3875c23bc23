/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who serves a socket. To hold a descriptor says little: a master and all its workers may hold every listener. An epoll
 * descriptor tells what it watches (fs/eventpoll.c ep_show_fdinfo()), by the inode of the file, which stays right when the
 * number of the descriptor has been used again; and a thread that waits in a system call tells which (fs/proc/base.c
 * proc_pid_syscall()).
 */
#include "cpubalance/sources.h"

#include "parse.h"

/* "tfd:        5 events:       19 data: 7f...  pos:0 ino:3bbfe sdev:9": the inode is in hex. */
static bool watched_inode(struct cb_scan line, uint64_t *ret)
{
	const char *word;
	size_t len;

	if (!cb_scan_word(&line, "tfd:"))
		return false;
	for (;;) {
		cb_scan_blanks(&line);
		if (cb_scan_word(&line, "ino:"))
			return cb_scan_hex64(&line, ret);
		if (!cb_scan_token(&line, &word, &len))
			return false;
	}
}

int cb_epoll_parse(const char *buf, size_t len, int (*fn)(uint64_t inode, void *userdata),
		   void *userdata)
{
	struct cb_scan s = CB_SCAN(buf, len), line;
	uint64_t inode;
	int r = 0;

	while (r == 0 && cb_scan_line(&s, &line))
		if (watched_inode(line, &inode))
			r = fn(inode, userdata);
	return r;
}

int cb_syscall_parse(const char *buf, size_t len, int64_t *ret_number, uint64_t *ret_first)
{
	struct cb_scan s = CB_SCAN(buf, len);
	int64_t number;
	uint64_t first;

	if (cb_scan_word(&s, "running"))
		return -ENODATA;
	if (!cb_scan_i64(&s, &number))
		return -EBADMSG;
	if (number < 0)
		return -ENODATA; /* blocked, but not in a call */
	cb_scan_blanks(&s);
	if (!cb_scan_word(&s, "0x") || !cb_scan_hex64(&s, &first))
		return -EBADMSG;
	*ret_number = number;
	*ret_first = first;
	return 0;
}
