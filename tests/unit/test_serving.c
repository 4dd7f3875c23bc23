/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What an epoll descriptor watches, in which call a thread waits, and every path of proc/PID/cgroup. */
#include "sources_test.h"

#include <errno.h>

#define EPOLL                                                                         \
	"pos:\t0\nflags:\t02\nmnt_id:\t16\nino:\t1057\n"                              \
	"tfd:        5 events:       19 data: 7f2c8c4a4010  pos:0 ino:3bbfe sdev:9\n" \
	"tfd:       12 events:     2019 data:                c  pos:0 ino:ffffffff sdev:9\n"

struct list {
	size_t n;
	uint64_t inode[4];
	int answer;
};

static int keep(uint64_t inode, void *userdata)
{
	struct list *list = userdata;

	assert_true(list->n < CB_ARRAY_SIZE(list->inode));
	list->inode[list->n++] = inode;
	return list->answer;
}

static void epoll(void **state)
{
	struct list list = { 0 };

	(void)state;
	assert_int_equal(cb_epoll_parse(EPOLL, strlen(EPOLL), keep, &list), 0);
	assert_int_equal(list.n, 2);
	assert_int_equal(list.inode[0], 0x3bbfe);
	assert_int_equal(list.inode[1], 0xffffffff);
	list = (struct list){ .answer = 7 };
	assert_int_equal(cb_epoll_parse(EPOLL, strlen(EPOLL), keep, &list), 7);
	assert_int_equal(list.n, 1);
}

static void epoll_damaged(void **state)
{
	static const char *const texts[] = { "",
					     "tfd:",
					     "tfd: 5 events: 19",
					     "tfd: ino:\n",
					     "tfd: ino:xyz\n",
					     "ino:1057\n",
					     "tfd: 5 ino:fffffffffffffffff\n" };

	(void)state;
	for (size_t i = 0; i < CB_ARRAY_SIZE(texts); i++) {
		AUTO_TEXT text = text_of(texts[i], strlen(texts[i]));
		struct list list = { 0 };

		assert_int_equal(cb_epoll_parse(text.buf, text.len, keep, &list), 0);
		assert_int_equal(list.n, 0);
	}
	for (size_t len = 0; len < strlen(EPOLL); len++) {
		AUTO_TEXT text = text_of(EPOLL, len);
		struct list list = { 0 };

		assert_int_equal(cb_epoll_parse(text.buf, text.len, keep, &list), 0);
	}
}

static int syscall_of(const char *line, int64_t *ret_number, uint64_t *ret_first)
{
	AUTO_TEXT text = text_of(line, strlen(line));

	return cb_syscall_parse(text.buf, text.len, ret_number, ret_first);
}

static void calls(void **state)
{
	int64_t number = 5;
	uint64_t first = 6;

	(void)state;
	assert_int_equal(syscall_of("running\n", &number, &first), -ENODATA);
	assert_int_equal(syscall_of("-1 0x7ffd 0x7f\n", &number, &first), -ENODATA);
	assert_int_equal(syscall_of("", &number, &first), -EBADMSG);
	assert_int_equal(syscall_of("43\n", &number, &first), -EBADMSG);
	assert_int_equal(syscall_of("43 3\n", &number, &first), -EBADMSG);
	assert_int_equal(number, 5);
	assert_int_equal(first, 6);
	assert_int_equal(syscall_of("288 0x3 0x7ffc9f9a 0x7ffc 0x80000 0x0 0x0 0x7ffc 0x7f\n",
				    &number, &first),
			 0);
	assert_int_equal(number, 288);
	assert_int_equal(first, 3);
}

static int count(const char *path, size_t len, void *userdata)
{
	uint32_t *n = userdata;

	assert_true(len > 0 && path[0] == '/');
	return ++*n == 3 ? 9 : 0;
}

static void cgroups(void **state)
{
	static const char two[] = "1:name=systemd:/a/b.service\n0::/\n", bad[] = "0::/a\nnothing\n";
	static const char three[] = "2:cpu:/\n1:name=systemd:/a\n0::/b\n";
	uint32_t n = 0;

	(void)state;
	assert_int_equal(cb_cgroup_each(two, strlen(two), count, &n), 0);
	assert_int_equal(n, 2);
	n = 0;
	assert_int_equal(cb_cgroup_each(three, strlen(three), count, &n), 9);
	n = 0;
	assert_int_equal(cb_cgroup_each(bad, strlen(bad), count, &n), -EBADMSG);
	assert_int_equal(cb_cgroup_each(two, strlen(two) - 1, count, &n), -EBADMSG);
	assert_int_equal(cb_cgroup_each("", 0, count, &n), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(epoll),
		cmocka_unit_test(epoll_damaged),
		cmocka_unit_test(calls),
		cmocka_unit_test(cgroups),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
