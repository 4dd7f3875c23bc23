/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The host on machines made of files: nothing leads out of the root, files are read whole, and
 * processes are who they are.
 */
#include "cpubalance/host.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/host/host_internal.h"
#include "tree.h"

#define FULL_STAT                                                                 \
	"cpu  1 2 3 4\ncpu0 1 2 3 4\ncpu1 1 2 3 4\nintr 0\nctxt 1\nprocesses 1\n" \
	"procs_running 1\nprocs_blocked 0\n"

static int setup(void **state)
{
	struct tree *tree = calloc(1, sizeof(*tree));

	if (!tree)
		return -1;
	tree_init(tree);
	tree_mkdir(tree, "proc");
	*state = tree;
	return 0;
}

static int teardown(void **state)
{
	tree_done(*state);
	free(*state);
	return 0;
}

static void assert_set(const struct cb_cpuset *set, const char *expected)
{
	char buf[CB_CPULIST_MAX];

	assert_true(cb_cpuset_format_list(set, buf, sizeof(buf)) >= 0);
	assert_string_equal(buf, expected);
}

/* --- open --- */

static void opens_a_tree(void **state)
{
	struct tree *tree = *state;
	struct cb_host *host;

	tree_write(tree, "proc/sys/kernel/random/boot_id",
		   "0b5d7c1e-1111-2222-3333-444455556666\n");
	tree_write(tree, "proc/sys/kernel/osrelease", "6.1.0-18-amd64\n");
	tree_write(tree, "proc/stat", FULL_STAT);
	host = tree_open(tree);
	assert_false(host->live);
	assert_false(host->netlink);
	assert_string_equal(cb_host_boot_id(host), "0b5d7c1e-1111-2222-3333-444455556666");
	assert_string_equal(cb_host_kernel(host), "6.1.0-18-amd64");
	assert_int_equal(cb_host_sources(host), 1u << CB_SOURCE_STAT);
	assert_true(cb_host_now_usec(host) > 0);
	assert_true(cb_host_realtime_usec(host) > cb_host_now_usec(host));
}

static void opens_a_poor_tree(void **state)
{
	struct cb_host *host = tree_open(*state);

	assert_string_equal(cb_host_boot_id(host), "unknown");
	assert_string_equal(cb_host_kernel(host), "unknown");
	assert_int_equal(cb_host_sources(host), 0);
}

static void names_the_missing_root(void **state)
{
	const struct cb_host_options options = { .sysroot = "/nonexistent/root" };
	struct cb_host *host = NULL;
	struct cb_err err = { 0 };

	(void)state;
	assert_int_equal(cb_host_open(&options, &host, &err), -ENOENT);
	assert_null(host);
	assert_non_null(strstr(err.msg, "/nonexistent/root"));
	assert_null(cb_host_close(NULL));
}

/* --- paths and files --- */

static int resolve(struct cb_host *host, const char *path, int flags, bool by_hand)
{
	return by_hand ? cb_resolve_openat(host->root_fd, path, flags) :
			 cb_host_openat(host, path, flags);
}

/* The text behind a path, or the errno as "-2". */
static const char *text_of(struct cb_host *host, const char *path, bool by_hand)
{
	static char buf[64];
	int fd = resolve(host, path, O_RDONLY, by_hand);
	ssize_t len;

	if (fd < 0) {
		snprintf(buf, sizeof(buf), "%d", fd);
		return buf;
	}
	len = cb_host_pread_all(fd, buf, sizeof(buf));
	close(fd);
	if (len < 0)
		snprintf(buf, sizeof(buf), "read %zd", len);
	return buf;
}

static void stays_inside(void **state)
{
	struct tree *tree = *state;
	struct cb_host *host;

	tree_write(tree, "etc/hostname", "inside");
	tree_write(tree, "sys/devices/a/b/file", "deep");
	tree_link(tree, "abs", "/etc/hostname");
	tree_link(tree, "up", "../../../../etc/hostname");
	tree_link(tree, "sys/class/net/eth0", "../../devices/a/b");
	tree_link(tree, "sys/devices/a/b/device", "../../../devices/a");
	tree_link(tree, "loop", "loop");
	host = tree_open(tree);
	for (int by_hand = 0; by_hand <= 1; by_hand++) {
		assert_string_equal(text_of(host, "etc/hostname", by_hand), "inside");
		assert_string_equal(text_of(host, "/etc/hostname", by_hand), "inside");
		assert_string_equal(text_of(host, "abs", by_hand), "inside");
		assert_string_equal(text_of(host, "up", by_hand), "inside");
		assert_string_equal(text_of(host, "../../etc/hostname", by_hand), "inside");
		assert_string_equal(text_of(host, "sys/class/net/eth0/file", by_hand), "deep");
		assert_string_equal(text_of(host, "sys/class/net/eth0/device/b/file", by_hand),
				    "deep");
		assert_string_equal(text_of(host, "sys//devices/./a/../a/b/file", by_hand), "deep");
		assert_string_equal(text_of(host, "etc/passwd", by_hand), "-2");
		assert_string_equal(text_of(host, "etc/hostname/x", by_hand), "-20");
		assert_string_equal(text_of(host, "loop", by_hand), "-40");
	}
	/* Where openat2() is missing, the host comes to the same by itself. */
	host->no_openat2 = true;
	assert_string_equal(text_of(host, "up", false), "inside");
}

static void directories_by_hand(void **state)
{
	struct tree *tree = *state;
	struct cb_host *host = tree_open(tree);
	int fd = cb_resolve_openat(host->root_fd, "proc/..", O_RDONLY | O_DIRECTORY);

	assert_true(fd >= 0);
	close(fd);
	fd = cb_resolve_openat(host->root_fd, "", O_PATH);
	assert_true(fd >= 0);
	close(fd);
	tree_link(tree, "link", "proc");
	assert_int_equal(cb_resolve_openat(host->root_fd, "link", O_RDONLY | O_NOFOLLOW), -ELOOP);
}

static void reads_whole_files(void **state)
{
	struct tree *tree = *state;
	struct cb_host *host = tree_open(tree);
	char *big = malloc(300000), buf[8];

	assert_non_null(big);
	memset(big, 'x', 300000);
	tree_write(tree, "seven", "1234567");
	tree_write(tree, "eight", "12345678");
	tree_write(tree, "empty", "");
	tree_write_bytes(tree, "big", big, 300000);
	free(big);
	assert_int_equal(cb_host_read_file(host, "seven", buf, sizeof(buf)), 7);
	assert_string_equal(buf, "1234567");
	assert_int_equal(cb_host_read_file(host, "eight", buf, sizeof(buf)), -E2BIG);
	assert_int_equal(cb_host_read_file(host, "empty", buf, sizeof(buf)), 0);
	assert_string_equal(buf, "");
	assert_int_equal(cb_host_read_file(host, "none", buf, sizeof(buf)), -ENOENT);
	assert_int_equal(cb_host_read_file(host, "seven", buf, 0), -E2BIG);
	assert_int_equal(cb_host_read_big(host, "big"), 300000);
	assert_true(host->buf_size > 300000);
	assert_int_equal(host->buf[300000], 0);
}

static void lists_numbers(void **state)
{
	struct tree *tree = *state;
	struct cb_host *host = tree_open(tree);
	int32_t *numbers, number;
	size_t n;

	tree_mkdir(tree, "d/cpu10");
	tree_mkdir(tree, "d/cpu9");
	tree_mkdir(tree, "d/cpu");
	tree_mkdir(tree, "d/cpufreq");
	tree_mkdir(tree, "d/cpu1x");
	tree_mkdir(tree, "d/7");
	assert_int_equal(cb_host_list_numbers(host, "d", "cpu", &numbers, &n), 0);
	assert_int_equal(n, 2);
	assert_int_equal(numbers[0], 9);
	assert_int_equal(numbers[1], 10);
	free(numbers);
	assert_int_equal(cb_host_list_numbers(host, "none", "", &numbers, &n), -ENOENT);
	assert_int_equal(cb_number_of("2147483647", "", &number), 0);
	assert_int_equal(number, INT32_MAX);
	assert_int_equal(cb_number_of("2147483648", "", &number), -ERANGE);
	assert_int_equal(cb_number_of("-1", "", &number), -EINVAL);
	assert_int_equal(cb_number_of("", "", &number), -EINVAL);
}

/* --- who a process is --- */

static const struct tree_task nginx = {
	.pid = 100,
	.tid = 100,
	.ppid = 1,
	.comm = "nginx: (worker)",
	.start_ticks = 4711,
	.mask = "0-3,6",
};

static void identifies(void **state)
{
	struct tree *tree = *state;
	struct cb_worker_identity identity;
	struct cb_host *host;

	tree_task(tree, &nginx);
	tree_write(tree, "proc/100/cgroup", "0::/system.slice/nginx.service\n");
	tree_write(tree, "sys/fs/cgroup/system.slice/cpuset.cpus.effective", "0-5\n");
	host = tree_open(tree);
	assert_int_equal(cb_host_identify(host, 100, &identity, NULL), 0);
	assert_int_equal(identity.pid, 100);
	assert_int_equal(identity.start_ticks, 4711);
	assert_string_equal(identity.comm, "nginx: (worker)");
	assert_int_equal(identity.uid, 33);
	assert_set(&identity.mask, "0-3,6");
	assert_true(identity.cpuset_is_known);
	assert_set(&identity.cpuset, "0-5"); /* its own has no controller: the parent's counts */
}

static void identifies_with_version_1(void **state)
{
	struct tree *tree = *state;
	struct cb_worker_identity identity;
	struct cb_host *host;

	tree_task(tree, &nginx);
	tree_write(tree, "proc/100/cgroup", "4:cpu,cpuset:/web\n2:memory:/\n0::/other\n");
	tree_write(tree, "proc/self/mountinfo",
		   "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
		   "32 31 0:29 / /sys/fs/cgroup/mem rw - cgroup cgroup rw,memory\n"
		   "34 31 0:31 / /sys/fs/cgroup/sets rw shared:9 - cgroup cgroup rw,cpu,cpuset\n"
		   "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
	tree_write(tree, "sys/fs/cgroup/sets/web/cpuset.effective_cpus", "2\n");
	tree_write(tree, "sys/fs/cgroup/unified/cpuset.cpus.effective", "0-7\n");
	host = tree_open(tree);
	assert_int_equal(cb_host_identify(host, 100, &identity, NULL), 0);
	assert_true(identity.cpuset_is_known);
	assert_set(&identity.cpuset, "2");
}

static void cpuset_unknown(void **state)
{
	static const char *const cgroups[] = { NULL, "0::/../outside\n", "0::/x\n", "garbage\n" };
	struct tree *tree = *state;
	struct cb_worker_identity identity;
	struct cb_host *host;

	tree_task(tree, &nginx);
	host = tree_open(tree);
	for (size_t i = 0; i < CB_ARRAY_SIZE(cgroups); i++) {
		if (cgroups[i])
			tree_write(tree, "proc/100/cgroup", cgroups[i]);
		assert_int_equal(cb_host_identify(host, 100, &identity, NULL), 0);
		assert_false(identity.cpuset_is_known);
		assert_int_equal(cb_cpuset_count(&identity.cpuset), CB_CPUS_MAX);
	}
}

static void refuses_who_is_no_worker(void **state)
{
	struct tree *tree = *state;
	struct tree_task task = nginx;
	struct cb_worker_identity identity = { .pid = -7 };
	struct cb_err err = { 0 };
	struct cb_host *host;

	task.flags = 0x00200000u;
	tree_task(tree, &task);
	task = (struct tree_task){ .pid = 101, .tid = 101, .comm = "dead", .state = 'Z' };
	tree_task(tree, &task);
	tree_write(tree, "proc/103/stat", "103 (torn\n");
	tree_write(tree, "proc/103/status", "Name:\ttorn\n");
	host = tree_open(tree);
	assert_int_equal(cb_host_identify(host, 100, &identity, &err), -EPERM);
	assert_non_null(strstr(err.msg, "kernel thread"));
	assert_int_equal(cb_host_identify(host, 101, &identity, &err), -ESRCH);
	assert_non_null(strstr(err.msg, "has ended"));
	assert_int_equal(cb_host_identify(host, 102, &identity, &err), -ESRCH);
	assert_non_null(strstr(err.msg, "no process 102"));
	assert_int_equal(cb_host_identify(host, 0, &identity, &err), -ESRCH);
	assert_int_equal(cb_host_identify(host, -1, &identity, &err), -ESRCH);
	assert_int_equal(cb_host_identify(host, 103, &identity, &err), -EBADMSG);
	/* A thread has a directory below proc too. */
	tree_write(tree, "proc/104/stat",
		   "104 (x) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 2 0 9 "
		   "0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 17 0 0 0\n");
	tree_write(tree, "proc/104/status",
		   "Name:\tx\nTgid:\t99\nPPid:\t1\nUid:\t0\t0\t0\t0\nThreads:\t2\n"
		   "Cpus_allowed_list:\t0\n"
		   "voluntary_ctxt_switches:\t1\nnonvoluntary_ctxt_switches:\t1\n");
	assert_int_equal(cb_host_identify(host, 104, &identity, &err), -ESRCH);
	assert_non_null(strstr(err.msg, "thread of process 99"));
	assert_int_equal(identity.pid, -7);
}

static void finds_children(void **state)
{
	struct tree *tree = *state;
	int32_t pids[4];
	struct cb_host *host;
	size_t n = 99;

	tree_task(tree, &nginx);
	tree_write(tree, "proc/100/task/100/children", "210 209 ");
	tree_write(tree, "proc/100/task/105/children", "301 ");
	host = tree_open(tree);
	assert_int_equal(cb_host_children(host, 100, pids, 4, &n), 0);
	assert_int_equal(n, 3);
	assert_int_equal(pids[0], 209);
	assert_int_equal(pids[1], 210);
	assert_int_equal(pids[2], 301);
	assert_int_equal(cb_host_children(host, 100, pids, 3, &n), 0);
	assert_int_equal(cb_host_children(host, 100, pids, 2, &n), -E2BIG);
	assert_int_equal(cb_host_children(host, 999, pids, 4, &n), -ESRCH);
	assert_int_equal(cb_host_children(host, -1, pids, 4, &n), -ESRCH);
}

static void finds_children_by_parent(void **state)
{
	struct tree *tree = *state;
	struct tree_task child = { .pid = 300, .tid = 300, .ppid = 100, .comm = "c" };
	int32_t pids[4];
	struct cb_host *host;
	size_t n;

	tree_task(tree, &nginx);
	tree_task(tree, &child);
	child.pid = child.tid = 200;
	tree_task(tree, &child);
	host = tree_open(tree);
	assert_int_equal(cb_host_children(host, 100, pids, 4, &n), 0);
	assert_int_equal(n, 2);
	assert_int_equal(pids[0], 200);
	assert_int_equal(pids[1], 300);
	assert_int_equal(cb_host_children(host, 200, pids, 4, &n), 0);
	assert_int_equal(n, 0);
}

/* --- who runs on a CPU --- */

static void lists_tasks_of_a_cpu(void **state)
{
	struct tree *tree = *state;
	struct tree_task task = {
		.pid = 50, .tid = 52, .comm = "b", .last_cpu = 3, .utime_ticks = 150
	};
	struct cb_tasks tasks = { 0 };
	struct cb_host *host;

	tree_task(tree, &task);
	task.tid = 50;
	task.stime_ticks = 50;
	tree_task(tree, &task);
	task = (struct tree_task){
		.pid = 9, .tid = 9, .comm = "ksoftirqd/3", .last_cpu = 3, .flags = 0x00200040u
	};
	tree_task(tree, &task);
	task = (struct tree_task){ .pid = 60, .tid = 60, .comm = "other", .last_cpu = 1 };
	tree_task(tree, &task);
	host = tree_open(tree);
	assert_int_equal(cb_host_tasks(host, 3, &tasks), 0);
	assert_int_equal(tasks.n, 3);
	assert_int_equal(tasks.task[0].tid, 9);
	assert_true(tasks.task[0].kernel);
	assert_int_equal(tasks.task[1].tid, 50);
	assert_int_equal(tasks.task[1].cpu_nsec, UINT64_C(2000000000));
	assert_int_equal(tasks.task[2].tid, 52);
	assert_int_equal(tasks.task[2].pid, 50);
	assert_false(tasks.task[2].kernel);
	assert_int_equal(cb_host_tasks(host, -1, &tasks), 0);
	assert_int_equal(tasks.n, 4);
	cb_tasks_done(&tasks);
	assert_null(tasks.task);
}

static void finds_irqbalance(void **state)
{
	struct tree *tree = *state;
	struct cb_host *host;

	tree_write(tree, "proc/1/comm", "init\n");
	tree_write(tree, "proc/70/comm", "irqbalance-ui\n");
	host = tree_open(tree);
	assert_false(cb_host_irqbalance_runs(host));
	tree_write(tree, "proc/80/comm", "irqbalance\n");
	assert_true(cb_host_irqbalance_runs(host));
	assert_int_equal(host->owner_pid[CB_PROCESS_IRQBALANCE], 80);
	assert_true(cb_host_irqbalance_runs(host));
	tree_remove(tree, "proc/80");
	assert_false(cb_host_irqbalance_runs(host));
	tree_write(tree, "proc/75/comm", "irqbalance\n");
	assert_true(cb_host_irqbalance_runs(host));
}

/* A call looks at a part of many processes, and a few calls at all. */
static void finds_irqbalance_in_a_crowd(void **state)
{
	struct tree *tree = *state;
	struct cb_host *host;
	unsigned int calls = 0;

	for (int pid = 1; pid <= 2500; pid++) {
		char path[64];

		snprintf(path, sizeof(path), "proc/%d", pid);
		tree_mkdir(tree, path);
	}
	host = tree_open(tree);
	assert_false(cb_host_irqbalance_runs(host));
	tree_write(tree, "proc/2400/comm", "irqbalance\n");
	while (!cb_host_irqbalance_runs(host))
		assert_true(++calls < 3);
	assert_true(cb_host_irqbalance_runs(host));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(opens_a_tree),
		TEST(opens_a_poor_tree),
		cmocka_unit_test(names_the_missing_root),
		TEST(stays_inside),
		TEST(directories_by_hand),
		TEST(reads_whole_files),
		TEST(lists_numbers),
		TEST(identifies),
		TEST(identifies_with_version_1),
		TEST(cpuset_unknown),
		TEST(refuses_who_is_no_worker),
		TEST(finds_children),
		TEST(finds_children_by_parent),
		TEST(lists_tasks_of_a_cpu),
		TEST(finds_irqbalance),
		TEST(finds_irqbalance_in_a_crowd),
	};

	return cmocka_run_group_tests_name("host", tests, NULL, NULL);
}
