/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The kernel does not vouch for a path with ".." in it while anything is renamed on the machine (openat2(2): EAGAIN). The
 * links of sysfs have them, and a compiler in the next session renames all the time.
 */
#include "cpubalance/host.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/host/host_internal.h"
#include "tree.h"

#define OPENS 20000

static pid_t rename_forever(const struct tree *tree)
{
	char a[256], b[256];
	pid_t pid;

	snprintf(a, sizeof(a), "%s/a", tree->root);
	snprintf(b, sizeof(b), "%s/b", tree->root);
	pid = fork();
	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;)
		if (rename(a, b) < 0 || rename(b, a) < 0)
			_exit(1);
}

static void links_are_followed_while_files_are_renamed(void **state)
{
	struct tree tree = { .root = "" };
	struct cb_host *host;
	unsigned int failed = 0;
	pid_t pid;

	(void)state;
	tree_init(&tree);
	tree_mkdir(&tree, "proc");
	tree_write(&tree, "a", "");
	tree_write(&tree, "sys/devices/card/numa_node", "0\n");
	tree_link(&tree, "sys/class/net/eth0/device", "../../../devices/card");
	host = tree_open(&tree);
	pid = rename_forever(&tree);
	assert_true(pid > 0);
	for (unsigned int i = 0; i < OPENS; i++) {
		int fd = cb_host_openat(host, CB_PATH_NET_DIR "/eth0/device/numa_node", O_PATH);

		failed += fd < 0;
		if (fd >= 0)
			close(fd);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_int_equal(failed, 0);
	tree_done(&tree);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(links_are_followed_while_files_are_renamed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
