/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* News of network interfaces, also when more come than fit. In a network namespace of its own. */
#include "lib/host/netlink_link.c" /* for its socket */

#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmocka.h>

static void link_up(const char *name, bool up)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = { .ifr_flags = up ? IFF_UP : 0 };

	snprintf(request.ifr_name, sizeof(request.ifr_name), "%s", name);
	assert_true(fd >= 0);
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &request), 0);
	close(fd);
}

static void news_of_links(void **state)
{
	struct cb_link_conn *conn;
	int size = 1;

	(void)state;
	if (geteuid() != 0 || unshare(CLONE_NEWNET) < 0) {
		printf("skip: no network namespace can be made here\n");
		skip();
	}
	conn = cb_link_conn_new();
	assert_non_null(conn);
	assert_false(cb_link_conn_news(conn));
	link_up("lo", true);
	assert_true(cb_link_conn_news(conn));
	assert_false(cb_link_conn_news(conn));
	/* More than fits: what was lost is news too, and then all is as before. */
	(void)setsockopt(conn->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	for (unsigned int i = 0; i < 200; i++)
		link_up("lo", i % 2);
	assert_true(cb_link_conn_news(conn));
	assert_false(cb_link_conn_news(conn));
	link_up("lo", true);
	link_up("lo", false);
	assert_true(cb_link_conn_news(conn));
	cb_link_conn_free(conn);
	assert_false(cb_link_conn_news(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(news_of_links),
	};

	return cmocka_run_group_tests_name("links", tests, NULL, NULL);
}
