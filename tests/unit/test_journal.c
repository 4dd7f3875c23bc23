/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The journal: the table of identities, the file and all that can be found in its place. */
#include "cpubalance/journal.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "journal_test.h"

#define BOOT "6f8a1c6e-0a9e-4c53-9f5c-0b3b6f5c1d11"

static char dir[256];

static int make_dir(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	snprintf(dir, sizeof(dir), "%s/journal.XXXXXX", tmp ? tmp : "/tmp");
	return mkdtemp(dir) ? 0 : -1;
}

static char *path_of(const char *name)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static int remove_dir(void **state)
{
	(void)state;
	(void)unlink(path_of("journal"));
	(void)unlink(path_of("journal.new"));
	(void)rmdir(path_of("journal"));
	for (unsigned int i = 1; i < 20; i++) {
		char name[40];

		snprintf(name, sizeof(name), "journal.set-aside.%u", i);
		(void)unlink(path_of(name));
		(void)rmdir(path_of(name));
	}
	return rmdir(dir);
}

static struct cb_journal *open_ok(void)
{
	struct cb_journal *journal = NULL;
	struct cb_err err = { "" };
	int r = cb_journal_open(dir, BOOT, &journal, &err);

	if (r < 0)
		fail_msg("%s", err.msg);
	return journal;
}

static void put_ok(struct cb_journal *journal, const struct cb_journal_entry *e)
{
	struct cb_err err = { "" };

	if (cb_journal_put(journal, e, &err) < 0)
		fail_msg("%s", err.msg);
}

static size_t read_file(const char *name, char *buf, size_t size)
{
	int fd = open(path_of(name), O_RDONLY | O_CLOEXEC);
	ssize_t n;

	assert_true(fd >= 0);
	n = read(fd, buf, size);
	close(fd);
	assert_true(n >= 0 && (size_t)n < size);
	buf[n] = 0;
	return (size_t)n;
}

static void write_file(const char *name, const char *buf, size_t len)
{
	int fd = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_true(write(fd, buf, len) == (ssize_t)len);
	close(fd);
}

static bool there(const char *name)
{
	struct stat st;

	return lstat(path_of(name), &st) == 0;
}

/* --- the table --- */

static void put_find_replace_drop(void **state)
{
	struct cb_journal *journal = NULL;
	struct cb_journal_entry a = task(812, 3, 7), b = irq(38), other = irq(38);

	(void)state;
	assert_int_equal(cb_journal_open(NULL, BOOT, &journal, NULL), 0);
	put_ok(journal, &a);
	put_ok(journal, &b);
	snprintf(other.actions, sizeof(other.actions), "eth0");
	assert_int_equal(cb_journal_count(journal), 2);
	assert_int_equal(cb_journal_n_tasks(journal), 1);
	assert_same(cb_journal_find_task(journal, 812, 1812), &a);
	assert_null(cb_journal_find_task(journal, 812, 1813));
	assert_null(cb_journal_find_task(journal, 813, 1812));
	assert_same(cb_journal_find_irq(journal, 38, 1, b.actions), &b);
	assert_null(cb_journal_find_irq(journal, 38, 2, b.actions));
	assert_null(cb_journal_find_irq(journal, 38, 1, "eth0"));
	assert_int_equal(cb_journal_drop(journal, &other, NULL), -ENOENT);
	b.pending = true;
	put_ok(journal, &b);
	assert_int_equal(cb_journal_count(journal), 2);
	assert_int_equal(cb_journal_n_pending(journal), 1);
	b.set = CB_CPUSET_EMPTY;
	assert_int_equal(cb_journal_put(journal, &b, NULL), -EINVAL);
	assert_int_equal(cb_journal_drop(journal, cb_journal_at(journal, 0), NULL), 0);
	assert_int_equal(cb_journal_count(journal), 1);
	assert_int_equal(cb_journal_n_tasks(journal), 0);
	assert_int_equal(cb_journal_drop(journal, cb_journal_at(journal, 0), NULL), 0);
	assert_int_equal(cb_journal_n_pending(journal), 0);
	assert_null(cb_journal_at(journal, 0));
	assert_string_equal(cb_journal_state(journal), "ok");
	assert_null(cb_journal_close(journal));
	assert_null(cb_journal_close(NULL));
}

/* Many puts and drops in no order against a plain table. */
static void table_agrees_with_a_plain_one(void **state)
{
	static bool in[512];
	struct cb_journal *journal = NULL;
	uint32_t seed = 1, n = 0;

	(void)state;
	memset(in, 0, sizeof(in));
	assert_int_equal(cb_journal_open(NULL, BOOT, &journal, NULL), 0);
	for (unsigned int i = 0; i < 20000; i++) {
		struct cb_journal_entry e;
		uint32_t k;

		seed = seed * 1103515245u + 12345u;
		k = (seed >> 8) % CB_ARRAY_SIZE(in);
		e = task((int32_t)k + 1, 1, 2);
		if (seed >> 31) {
			n += !in[k];
			put_ok(journal, &e);
			in[k] = true;
		} else {
			assert_int_equal(cb_journal_drop(journal, &e, NULL), in[k] ? 0 : -ENOENT);
			n -= in[k];
			in[k] = false;
		}
		assert_int_equal(cb_journal_count(journal), n);
	}
	for (uint32_t k = 0; k < CB_ARRAY_SIZE(in); k++)
		assert_true(in[k] == !!cb_journal_find_task(journal, (int32_t)k + 1, 1001 + k));
	cb_journal_close(journal);
}

static void limit(void **state)
{
	struct cb_journal *journal = NULL;
	struct cb_err err = { "" };
	struct cb_journal_entry e;

	(void)state;
	assert_int_equal(cb_journal_open(NULL, BOOT, &journal, NULL), 0);
	for (uint32_t i = 0; i < CB_JOURNAL_ENTRIES_MAX; i++) {
		e = task((int32_t)i + 1, 1, 2);
		assert_int_equal(cb_journal_put(journal, &e, NULL), 0);
	}
	put_ok(journal, &e); /* replacing needs no room */
	e = task(INT32_MAX, 1, 2);
	assert_int_equal(cb_journal_put(journal, &e, &err), -E2BIG);
	assert_non_null(strstr(err.msg, "65536"));
	while (cb_journal_count(journal) > 0)
		assert_int_equal(cb_journal_drop(journal, cb_journal_at(journal, 0), NULL), 0);
	cb_journal_close(journal);
}

/* --- the file --- */

static void survives_a_restart(void **state)
{
	struct cb_journal_entry a = task(812, 3, 7), b = irq(38), c = task(9, 1, 2);
	struct cb_journal *journal = open_ok();
	struct stat st;

	(void)state;
	assert_int_equal(cb_journal_count(journal), 0);
	put_ok(journal, &a);
	put_ok(journal, &b);
	put_ok(journal, &c);
	a.set = cb_cpuset_of(0);
	put_ok(journal, &a);
	assert_int_equal(cb_journal_drop(journal, &c, NULL), 0);
	cb_journal_close(journal);

	assert_int_equal(stat(path_of("journal"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	journal = open_ok();
	assert_string_equal(cb_journal_state(journal), "ok");
	assert_true(cb_journal_healthy(journal));
	assert_int_equal(cb_journal_count(journal), 2);
	assert_same(cb_journal_find_task(journal, 812, 1812), &a);
	assert_same(cb_journal_find_irq(journal, 38, 1, b.actions), &b);
	cb_journal_close(journal);
	assert_false(there("journal.new"));
	assert_false(there("journal.set-aside.1"));
}

static void makes_its_directory(void **state)
{
	struct cb_journal *journal = NULL;
	struct cb_err err = { "" };
	char below[300], missing[300];
	struct stat st;

	(void)state;
	snprintf(below, sizeof(below), "%s/below", dir);
	snprintf(missing, sizeof(missing), "%s/missing/below", dir);
	assert_int_equal(cb_journal_open(below, BOOT, &journal, NULL), 0);
	cb_journal_close(journal);
	assert_int_equal(stat(below, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(cb_journal_open(missing, BOOT, &journal, &err), -ENOENT);
	assert_non_null(strstr(err.msg, missing));

	assert_int_equal(chmod(below, 0777), 0);
	assert_int_equal(cb_journal_open(below, BOOT, &journal, &err), -EPERM);
	assert_non_null(strstr(err.msg, "written by others"));
	strcat(below, "/journal");
	assert_int_equal(unlink(below), 0);
	*strrchr(below, '/') = 0;
	assert_int_equal(rmdir(below), 0);
}

static void one_at_a_time(void **state)
{
	struct cb_journal *journal = open_ok(), *second = NULL;
	struct cb_err err = { "" };

	(void)state;
	assert_int_equal(cb_journal_open(dir, BOOT, &second, &err), -EBUSY);
	assert_non_null(strstr(err.msg, "in use"));
	assert_null(second);
	cb_journal_close(journal);
	cb_journal_close(open_ok());
}

/* What a crash in the middle of an append leaves: any beginning of the last record. */
static void torn_ends(void **state)
{
	static char text[8192], left[8192];
	struct cb_journal_entry a = task(812, 3, 7), b = irq(38);
	struct cb_journal *journal = open_ok();
	size_t len, first;

	(void)state;
	put_ok(journal, &a);
	cb_journal_close(journal);
	first = read_file("journal", text, sizeof(text));
	journal = open_ok();
	put_ok(journal, &b);
	cb_journal_close(journal);
	len = read_file("journal", text, sizeof(text));
	assert_true(len > first + 20);
	for (size_t cut = first + 1; cut < len; cut++) {
		write_file("journal", text, cut);
		journal = open_ok();
		assert_int_equal(cb_journal_count(journal), 1);
		assert_true(cb_journal_healthy(journal));
		assert_non_null(strstr(cb_journal_state(journal), "torn"));
		put_ok(journal, &b);
		cb_journal_close(journal);
		assert_int_equal(read_file("journal", left, sizeof(left)), len);
		assert_memory_equal(left, text, len);
	}
	assert_false(there("journal.set-aside.1"));
}

/* One wrong byte anywhere in the first of two records: the second is kept, and so is the file as it was. */
static void damage_in_the_middle(void **state)
{
	static char text[8192], hurt[8192], aside[8192];
	struct cb_journal_entry a = task(812, 3, 7), b = irq(38);
	struct cb_journal *journal = open_ok();
	size_t header, first, len;

	(void)state;
	cb_journal_close(journal);
	header = read_file("journal", text, sizeof(text));
	journal = open_ok();
	put_ok(journal, &a);
	cb_journal_close(journal);
	first = read_file("journal", text, sizeof(text));
	journal = open_ok();
	put_ok(journal, &b);
	cb_journal_close(journal);
	len = read_file("journal", text, sizeof(text));
	for (size_t i = header; i < first - 1; i += 3) {
		memcpy(hurt, text, len);
		hurt[i] ^= 1;
		write_file("journal", hurt, len);
		journal = open_ok();
		if (cb_journal_count(journal) != 1)
			fail_msg("byte %zu: %u entries", i, cb_journal_count(journal));
		assert_same(cb_journal_at(journal, 0), &b);
		assert_non_null(strstr(cb_journal_state(journal), "damaged"));
		assert_non_null(strstr(cb_journal_state(journal), "journal.set-aside.1"));
		cb_journal_close(journal);
		assert_int_equal(read_file("journal.set-aside.1", aside, sizeof(aside)), len);
		assert_memory_equal(aside, hurt, len);
		assert_int_equal(unlink(path_of("journal.set-aside.1")), 0);
		journal = open_ok();
		assert_string_equal(cb_journal_state(journal), "ok");
		assert_int_equal(cb_journal_count(journal), 1);
		cb_journal_close(journal);
	}
}

static void expect_aside(const char *why, unsigned int n)
{
	struct cb_journal *journal = open_ok();
	char name[40];

	assert_int_equal(cb_journal_count(journal), 0);
	assert_true(cb_journal_healthy(journal));
	snprintf(name, sizeof(name), "journal.set-aside.%u", n);
	if (!strstr(cb_journal_state(journal), why) || !strstr(cb_journal_state(journal), name))
		fail_msg("\"%s\" and %s are not in \"%s\"", why, name, cb_journal_state(journal));
	assert_true(there(name));
	cb_journal_close(journal);
}

static void set_aside(void **state)
{
	static char text[8192];
	struct cb_journal_entry a = task(812, 3, 7);
	struct cb_journal *journal = open_ok();

	(void)state;
	put_ok(journal, &a);
	cb_journal_close(journal);
	read_file("journal", text, sizeof(text));

	memcpy(strstr(text, BOOT), "00000000", 8);
	write_file("journal", text, strlen(text));
	expect_aside("of another boot", 1);
	write_file("journal", "cpubalance-journal 2 " BOOT "\n", 58);
	expect_aside("of another version", 2);
	write_file("journal", "garbage", 7);
	expect_aside("is no journal", 3);
	write_file("journal", "\n\n\n", 3);
	expect_aside("is no journal", 4);
	assert_int_equal(unlink(path_of("journal")), 0);
	assert_int_equal(mkdir(path_of("journal"), 0700), 0);
	expect_aside("not a plain file", 5);
	assert_int_equal(unlink(path_of("journal")), 0);
	assert_int_equal(symlink("/etc/passwd", path_of("journal")), 0);
	expect_aside("not a plain file", 6);
	assert_int_equal(chmod(path_of("journal"), 0622), 0);
	expect_aside("not a plain file", 7);
	assert_int_equal(unlink(path_of("journal")), 0);
	assert_int_equal(mkfifo(path_of("journal"), 0600), 0);
	expect_aside("not a plain file", 8);
	/* An empty file holds nothing to keep. */
	write_file("journal", "", 0);
	journal = open_ok();
	assert_string_equal(cb_journal_state(journal), "ok");
	cb_journal_close(journal);
}

static void full_disk(void **state)
{
	struct cb_journal_entry a = task(812, 3, 7), b = irq(38);
	struct cb_journal *journal = open_ok();
	struct rlimit before, limited;
	struct cb_err err = { "" };
	struct stat st, after;

	(void)state;
	put_ok(journal, &a);
	assert_int_equal(stat(path_of("journal"), &st), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	limited = before;
	signal(SIGXFSZ, SIG_IGN);
	for (rlim_t room = 0; room < 60; room += 10) {
		limited.rlim_cur = (rlim_t)st.st_size + room;
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &limited), 0);
		assert_int_equal(cb_journal_put(journal, &b, &err), -EFBIG);
		assert_non_null(strstr(err.msg, "cannot write"));
		assert_false(cb_journal_healthy(journal));
		assert_string_equal(cb_journal_state(journal), err.msg);
		assert_int_equal(cb_journal_count(journal), 1);
		assert_int_equal(cb_journal_drop(journal, &a, NULL), -EFBIG);
		assert_int_equal(cb_journal_count(journal), 1);
		assert_int_equal(stat(path_of("journal"), &after), 0);
		assert_int_equal(after.st_size, st.st_size);
	}
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	put_ok(journal, &b);
	assert_true(cb_journal_healthy(journal));
	assert_string_equal(cb_journal_state(journal), "ok");
	cb_journal_close(journal);
	journal = open_ok();
	assert_int_equal(cb_journal_count(journal), 2);
	cb_journal_close(journal);
}

static void does_not_grow(void **state)
{
	struct cb_journal *journal = open_ok();
	struct stat st;
	off_t largest = 0;

	(void)state;
	for (unsigned int i = 0; i < 1500; i++) {
		struct cb_journal_entry e = task((int32_t)(i % 8) + 1, i % 16, (i + 1) % 16);

		put_ok(journal, &e);
		if (i % 3 == 0)
			assert_int_equal(cb_journal_drop(journal, &e, NULL), 0);
		assert_int_equal(stat(path_of("journal"), &st), 0);
		largest = CB_MAX(largest, st.st_size);
	}
	assert_true(largest < 300 * 200);
	assert_true(cb_journal_healthy(journal));
	cb_journal_close(journal);
	assert_false(there("journal.new"));
}

/* Killed at any time, the journal has every entry of a put that had returned, and opens without complaint. */
static void killed_at_any_time(void **state)
{
	(void)state;
	for (unsigned int round = 0; round < 6; round++) {
		struct cb_journal *journal;
		uint32_t told = 0, k;
		int fds[2], status;
		pid_t child;

		assert_int_equal(pipe(fds), 0);
		child = fork();
		assert_true(child >= 0);
		if (child == 0) {
			if (cb_journal_open(dir, BOOT, &journal, NULL) < 0)
				_exit(1);
			for (k = 1;; k++) {
				struct cb_journal_entry e = task(7, k % 8, (k + 1) % 8);

				e.plan_id = k;
				if (cb_journal_put(journal, &e, NULL) < 0 ||
				    write(fds[1], &k, sizeof(k)) != sizeof(k))
					_exit(1);
			}
		}
		close(fds[1]);
		/* At least so many records later, wherever it is then: in an append or in the middle of a compaction. */
		while (told < 200 + round * 37 && read(fds[0], &k, sizeof(k)) == sizeof(k))
			told = k;
		kill(child, SIGKILL);
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_true(WIFSIGNALED(status));
		while (read(fds[0], &k, sizeof(k)) == sizeof(k))
			told = k;
		close(fds[0]);
		journal = open_ok();
		assert_int_equal(cb_journal_count(journal), 1);
		assert_true(cb_journal_at(journal, 0)->plan_id >= told);
		cb_journal_close(journal);
		assert_false(there("journal.set-aside.1"));
	}
}

#define FILE_TEST(f) cmocka_unit_test_setup_teardown(f, make_dir, remove_dir)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(put_find_replace_drop),
		cmocka_unit_test(table_agrees_with_a_plain_one),
		cmocka_unit_test(limit),
		FILE_TEST(survives_a_restart),
		FILE_TEST(makes_its_directory),
		FILE_TEST(one_at_a_time),
		FILE_TEST(torn_ends),
		FILE_TEST(damage_in_the_middle),
		FILE_TEST(set_aside),
		FILE_TEST(full_disk),
		FILE_TEST(does_not_grow),
		FILE_TEST(killed_at_any_time),
	};

	return cmocka_run_group_tests_name("journal", tests, NULL, NULL);
}
