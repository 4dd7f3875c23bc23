/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fuzz_sources.h"

static int on_inode(uint64_t inode, void *userdata)
{
	uint64_t *sum = userdata;

	*sum += inode;
	return 0;
}

static int on_path(const char *path, size_t len, void *userdata)
{
	size_t *n = userdata;

	MUST(len > 0 && path[0] == '/');
	++*n;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int64_t number = -7;
	uint64_t first = 0, sum = 0;
	size_t n = 0;
	int r = cb_syscall_parse((const char *)data, size, &number, &first);

	MUST(r == 0 || r == -EBADMSG || r == -ENODATA);
	MUST(r == 0 ? number >= 0 : number == -7);
	MUST(cb_epoll_parse((const char *)data, size, on_inode, &sum) == 0);
	r = cb_cgroup_each((const char *)data, size, on_path, &n);
	MUST(r == 0 || r == -EBADMSG);
	return 0;
}
