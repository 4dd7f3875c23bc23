/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The journal's file. Its first line is "cpubalance-journal VERSION BOOT-ID"; every other line is a record.
 *
 * What may be found in its place, and what becomes of it:
 *   nothing                       a new file
 *   a torn end                    cut off: its knob was never turned
 *   damage in the middle          the valid records are kept; the file as it was is linked to journal.set-aside.N
 *   another version, boot, no header, not a plain file of ours
 *                                 renamed to journal.set-aside.N; masks of another boot mean nothing in this one
 */
#include "journal_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cpubalance/journal.h"
#include "cpubalance/scan.h"
#include "fault.h"
#include "host_internal.h"

#define NAME		   "journal"
#define NAME_NEW	   "journal.new"
#define MAGIC		   "cpubalance-journal"
#define SET_ASIDE_MAX	   1000u
#define SET_ASIDE_NAME_MAX 40u
/* A journal with all entries, each with long masks, not compacted for long, is smaller. */
#define FILE_BYTES_MAX	 (INT64_C(1) << 30)
#define NEW_BUFFER_BYTES (UINT32_C(64) * 1024)

#define OPEN_FLAGS	     (O_RDWR | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
#define OPEN_READ_ONLY_FLAGS (O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)

struct cb_journal_file {
	int dir_fd; /* holds the lock */
	int fd;	    /* the journal, -1 before it is made */
	int new_fd; /* its successor while that is written */
	off_t size; /* end of the last whole record */
	bool torn;  /* something may stand behind it */
	bool read_only; /* opened so, since the file system is: what it says can be put back all the same */
	char dir[256];
	char boot_id[64];
	char *buffer; /* of the successor */
	size_t buffered;
};

/* --- opening --- */

static int check_dir(struct cb_journal_file *file, struct cb_err *err)
{
	struct stat st;

	if (fstat(file->dir_fd, &st) < 0)
		return cb_err_set(err, -errno, "%s: %m", file->dir);
	if (st.st_uid != geteuid() && st.st_uid != 0)
		return cb_err_set(err, -EPERM, "%s belongs to user %u", file->dir, st.st_uid);
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		return cb_err_set(err, -EPERM, "%s can be written by others (mode %04o)", file->dir,
				  st.st_mode & 07777u);
	if (flock(file->dir_fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno == EWOULDBLOCK)
			return cb_err_set(err, -EBUSY, "%s is in use by another cpubalanced",
					  file->dir);
		return cb_err_set(err, -errno, "%s: cannot lock: %m", file->dir);
	}
	return 0;
}

int cb_journal_file_open(const char *run_dir, const char *boot_id, struct cb_journal_file **ret,
			 struct cb_err *err)
{
	struct cb_journal_file *file;
	int r;

	if (strlen(run_dir) >= sizeof(file->dir) || strlen(boot_id) >= sizeof(file->boot_id) ||
	    !boot_id[0])
		return cb_err_set(err, -EINVAL, "no valid directory or boot id for the journal");
	file = calloc(1, sizeof(*file));
	if (!file)
		return cb_err_set(err, -ENOMEM, "no memory for the journal");
	file->fd = file->new_fd = -1;
	snprintf(file->dir, sizeof(file->dir), "%s", run_dir);
	snprintf(file->boot_id, sizeof(file->boot_id), "%s", boot_id);
	if (mkdir(run_dir, 0700) < 0 && errno != EEXIST)
		r = cb_err_set(err, -errno, "%s: cannot make the directory: %m", run_dir);
	else
		r = 0;
	file->dir_fd = open(run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (r == 0 && file->dir_fd < 0)
		r = cb_err_set(err, -errno, "%s: %m", run_dir);
	if (r == 0)
		r = check_dir(file, err);
	if (r < 0) {
		cb_journal_file_close(file);
		return r;
	}
	*ret = file;
	return 0;
}

struct cb_journal_file *cb_journal_file_close(struct cb_journal_file *file)
{
	if (!file)
		return NULL;
	cb_closep(&file->new_fd);
	cb_closep(&file->fd);
	cb_closep(&file->dir_fd);
	free(file->buffer);
	free(file);
	return NULL;
}

/* --- setting aside --- */

/* Rename, or with @keep link, the journal to the first free journal.set-aside.N. */
static int set_aside(struct cb_journal_file *file, bool keep, const char *why, struct cb_err *news,
		     struct cb_err *err)
{
	char name[SET_ASIDE_NAME_MAX];
	int r = -1;

	for (uint32_t i = 1; i <= SET_ASIDE_MAX; i++) {
		snprintf(name, sizeof(name), NAME ".set-aside.%u", i);
		r = keep ? linkat(file->dir_fd, NAME, file->dir_fd, name, 0) :
			   renameat2(file->dir_fd, NAME, file->dir_fd, name, RENAME_NOREPLACE);
		if (r == 0 || errno != EEXIST)
			break;
	}
	if (r < 0)
		return cb_err_set(err, -errno, "%s/" NAME ": %s, and it cannot be set aside: %m",
				  file->dir, why);
	cb_err_set(news, 0, "%s/" NAME " %s; it is kept as %s", file->dir, why, name);
	return 0;
}

/* --- loading --- */

/* 0 and the descriptor, 1: there is none, 2: it is nothing that we could have written, or a negative errno. */
static int open_existing(struct cb_journal_file *file, int *ret_fd, struct cb_err *err)
{
	struct stat st;
	int fd = openat(file->dir_fd, NAME, OPEN_FLAGS);

	if (fd < 0 && errno == EROFS) {
		fd = openat(file->dir_fd, NAME, OPEN_READ_ONLY_FLAGS);
		file->read_only = fd >= 0;
	}
	if (fd < 0) {
		if (errno == ENOENT)
			return 1;
		if (errno == ELOOP || errno == EISDIR || errno == ENXIO)
			return 2;
		return cb_err_set(err, -errno, "%s/" NAME ": cannot open: %m", file->dir);
	}
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
	    (st.st_uid != geteuid() && st.st_uid != 0) || (st.st_mode & (S_IWGRP | S_IWOTH)) ||
	    st.st_size > FILE_BYTES_MAX) {
		close(fd);
		return 2;
	}
	*ret_fd = fd;
	return 0;
}

static int read_whole(int fd, char **ret, size_t *ret_len)
{
	struct stat st;
	char *text;
	size_t len = 0;

	if (fstat(fd, &st) < 0)
		return -errno;
	text = malloc((size_t)st.st_size + 1);
	if (!text)
		return -ENOMEM;
	while (len < (size_t)st.st_size) {
		ssize_t n = pread(fd, text + len, (size_t)st.st_size - len, (off_t)len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			int r = -errno;

			free(text);
			return r;
		}
		if (n == 0)
			break;
		len += (size_t)n;
	}
	*ret = text;
	*ret_len = len;
	return 0;
}

/* What is wrong with the first line, NULL when nothing is. */
static const char *check_header(const struct cb_journal_file *file, struct cb_scan line)
{
	const char *boot_id;
	uint32_t version;
	size_t len;

	if (!cb_scan_word(&line, MAGIC " ") || !cb_scan_u32(&line, &version))
		return "is no journal";
	if (version != CB_JOURNAL_VERSION)
		return "is of another version";
	if (!cb_scan_char(&line, ' ') || !cb_scan_token(&line, &boot_id, &len) ||
	    !cb_scan_done(&line))
		return "is no journal";
	if (len != strlen(file->boot_id) || memcmp(boot_id, file->boot_id, len) != 0)
		return "is of another boot";
	return NULL;
}

/* All records of @s; counts damaged ones, and says where the last good record before a torn end ends. */
static int load_records(struct cb_scan *s, cb_journal_line_fn fn, void *userdata, uint32_t *ret_bad,
			const char **ret_end, struct cb_err *ret_why)
{
	const char *end = s->p; /* of the last good record */
	uint32_t bad = 0, bad_before_end = 0;

	while (!cb_scan_done(s)) {
		const char *newline = memchr(s->p, '\n', (size_t)(s->end - s->p));
		struct cb_err why = { "" };
		int r = -EBADMSG;

		if (newline)
			r = fn(s->p, (size_t)(newline - s->p), userdata, &why);
		if (r < 0 && r != -EBADMSG) {
			*ret_why = why;
			return r;
		}
		if (r < 0) {
			bad++;
			if (!ret_why->msg[0])
				*ret_why = why;
		}
		s->p = newline ? newline + 1 : s->end;
		if (r == 0) {
			end = s->p;
			bad_before_end = bad;
		}
	}
	/* A crash while appending leaves one unfinished record at the end; more than that is damage. */
	*ret_bad = bad - bad_before_end > 1 ? bad : bad_before_end;
	*ret_end = end;
	return 0;
}

static int load_text(struct cb_journal_file *file, const char *text, size_t len,
		     cb_journal_line_fn fn, void *userdata, bool *ret_rewrite, struct cb_err *news,
		     struct cb_err *err)
{
	struct cb_scan s = CB_SCAN(text, len);
	const char *newline = memchr(text, '\n', len), *why, *end;
	struct cb_err damage = { "" };
	uint32_t bad;
	int r;

	why = newline ? check_header(file, CB_SCAN(text, (size_t)(newline - text))) :
			"is no journal";
	if (why) {
		*ret_rewrite = true;
		return len == 0 ? 0 : set_aside(file, false, why, news, err);
	}
	s.p = newline + 1;
	r = load_records(&s, fn, userdata, &bad, &end, &damage);
	if (r < 0)
		return cb_err_set(err, r, "%s/" NAME ": cannot load: %s", file->dir, damage.msg);
	file->size = end - text;
	if (file->read_only) {
		/* Nothing can be set aside or cut off now; an append has to cut first, once there can be one. */
		file->torn = end < s.end;
		cb_err_set(news, 0, "%s/" NAME ": %s", file->dir, strerror(EROFS));
		return 0;
	}
	if (bad > 0) {
		char said[160];

		snprintf(said, sizeof(said), "has %u damaged records (the first: %.80s)", bad,
			 damage.msg);
		*ret_rewrite = true;
		return set_aside(file, true, said, news, err);
	}
	if (end < s.end) {
		if (ftruncate(file->fd, file->size) < 0 || fdatasync(file->fd) < 0)
			return cb_err_set(err, -errno,
					  "%s/" NAME ": cannot cut off a torn record: %m",
					  file->dir);
		cb_err_set(news, 0, "the last record of %s/" NAME " was torn and is cut off",
			   file->dir);
	}
	return 0;
}

int cb_journal_file_load(struct cb_journal_file *file, cb_journal_line_fn fn, void *userdata,
			 bool *ret_rewrite, struct cb_err *news, struct cb_err *err)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	int r = open_existing(file, &file->fd, err);

	*ret_rewrite = r > 0;
	if (r == 2)
		return set_aside(file, false, "is not a plain file of ours", news, err);
	if (r != 0)
		return r < 0 ? r : 0;
	r = read_whole(file->fd, &text, &len);
	if (r < 0) {
		errno = -r;
		return cb_err_set(err, r, "%s/" NAME ": cannot read: %m", file->dir);
	}
	return load_text(file, text, len, fn, userdata, ret_rewrite, news, err);
}

/* --- appending --- */

static int write_all(int fd, const char *buf, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, buf, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		buf += n;
		len -= (size_t)n;
	}
	return 0;
}

/* The file system may be writable by now; what was read has to be what is there still. */
static int open_for_writing(struct cb_journal_file *file)
{
	int fd = openat(file->dir_fd, NAME, OPEN_FLAGS);
	struct stat old, now;

	if (fd < 0)
		return -errno;
	if (fstat(file->fd, &old) < 0 || fstat(fd, &now) < 0 || old.st_ino != now.st_ino ||
	    old.st_dev != now.st_dev) {
		close(fd);
		return -ESTALE;
	}
	cb_closep(&file->fd);
	file->fd = fd;
	file->read_only = false;
	return 0;
}

bool cb_journal_file_read_only(const struct cb_journal_file *file)
{
	return file->read_only;
}

/* Cut off what a failed append may have left. */
static int mend(struct cb_journal_file *file)
{
	int r = file->read_only ? open_for_writing(file) : 0;

	if (r < 0 || !file->torn)
		return r;
	if (ftruncate(file->fd, file->size) < 0)
		return -errno;
	file->torn = false;
	return 0;
}

int cb_journal_file_append(struct cb_journal_file *file, const char *line, size_t len,
			   struct cb_err *err)
{
	char record[CB_JOURNAL_LINE_MAX +
		    1]; /* one write(), so that a crash leaves a beginning of it at most */
	int r;

	if (len >= sizeof(record))
		return cb_err_set(err, -E2BIG, "%s/" NAME ": a record of %zu bytes", file->dir,
				  len);
	memcpy(record, line, len);
	record[len] = '\n';
	r = mend(file);
	if (r == 0) {
		file->torn = true;
		CB_FAULT_TORN("journal-torn", file->fd, record, len);
		r = write_all(file->fd, record, len + 1);
	}
	if (r == 0 && fdatasync(file->fd) < 0)
		r = -errno;
	if (r < 0) {
		(void)mend(file);
		errno = -r;
		return cb_err_set(err, r, "%s/" NAME ": cannot write: %m", file->dir);
	}
	file->torn = false;
	file->size += (off_t)len + 1;
	return 0;
}

/* --- replacing --- */

static int flush(struct cb_journal_file *file)
{
	int r = write_all(file->new_fd, file->buffer, file->buffered);

	file->buffered = 0;
	return r;
}

static int add(struct cb_journal_file *file, const char *line, size_t len)
{
	int r = 0;

	if (file->buffered + len + 1 > NEW_BUFFER_BYTES)
		r = flush(file);
	if (r < 0)
		return r;
	memcpy(file->buffer + file->buffered, line, len);
	file->buffer[file->buffered + len] = '\n';
	file->buffered += len + 1;
	return 0;
}

int cb_journal_file_begin(struct cb_journal_file *file, struct cb_err *err)
{
	char header[128];
	int n;

	if (!file->buffer)
		file->buffer = malloc(NEW_BUFFER_BYTES);
	if (!file->buffer)
		return cb_err_set(err, -ENOMEM, "no memory for the journal");
	/* One of a crash; the lock says that nobody is writing it. */
	if (unlinkat(file->dir_fd, NAME_NEW, 0) < 0 && errno != ENOENT)
		return cb_err_set(err, -errno, "%s/" NAME_NEW ": cannot remove: %m", file->dir);
	file->new_fd = openat(file->dir_fd, NAME_NEW,
			      O_RDWR | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0600);
	if (file->new_fd < 0)
		return cb_err_set(err, -errno, "%s/" NAME_NEW ": cannot make: %m", file->dir);
	file->buffered = 0;
	n = snprintf(header, sizeof(header), MAGIC " %d %s", CB_JOURNAL_VERSION, file->boot_id);
	return cb_journal_file_add(file, header, (size_t)n, err);
}

int cb_journal_file_add(struct cb_journal_file *file, const char *line, size_t len,
			struct cb_err *err)
{
	int r = len >= NEW_BUFFER_BYTES ? -E2BIG : add(file, line, len);

	if (r < 0) {
		errno = -r;
		return cb_err_set(err, r, "%s/" NAME_NEW ": cannot write: %m", file->dir);
	}
	return 0;
}

int cb_journal_file_end(struct cb_journal_file *file, int result, struct cb_err *err)
{
	struct stat st = { .st_size = 0 };

	if (file->new_fd < 0)
		return result;
	if (result == 0) {
		result = flush(file);
		if (result == 0 && (fdatasync(file->new_fd) < 0 || fstat(file->new_fd, &st) < 0))
			result = -errno;
		CB_FAULT_POINT("journal-rename");
		if (result == 0 && renameat(file->dir_fd, NAME_NEW, file->dir_fd, NAME) < 0)
			result = -errno;
		CB_FAULT_POINT("journal-rename-done");
		if (result < 0) {
			errno = -result;
			cb_err_set(err, result, "%s/" NAME_NEW ": cannot write: %m", file->dir);
		}
	}
	if (result < 0) {
		cb_closep(&file->new_fd);
		(void)unlinkat(file->dir_fd, NAME_NEW, 0);
		return result;
	}
	cb_closep(&file->fd);
	file->fd = file->new_fd;
	file->new_fd = -1;
	file->size = st.st_size;
	file->torn = false;
	if (fsync(file->dir_fd) < 0)
		return cb_err_set(err, -errno, "%s: %m", file->dir);
	return 0;
}
