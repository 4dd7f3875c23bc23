/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ring and its file. Writing is a single write() of a whole line with O_APPEND, so that a crash can at most tear
 * the last line, which the next reader passes over. Not flushed to the disk: losing the last verdicts in a power
 * failure is cheaper than waiting for a disk in the tick.
 */
#include "history.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LINE_LEN_MAX (64u * 1024u)

struct cb_history {
	struct cb_history_entry ring[CB_HISTORY_MAX];
	uint32_t first, n;
	uint32_t last_plan_id;
	uint64_t n_bad;
	int dir_fd, fd; /* -1: in memory only */
	char file_name[32], old_name[32];
	uint64_t size;
	bool torn; /* the file does not end in a newline */
};

static void ring_put(struct cb_history *history, const struct cb_history_entry *entry)
{
	uint32_t at;

	if (history->n == CB_HISTORY_MAX) {
		at = history->first;
		free(history->ring[at].step);
		history->first = (history->first + 1) % CB_HISTORY_MAX;
	} else {
		at = (history->first + history->n++) % CB_HISTORY_MAX;
	}
	history->ring[at] = *entry;
	history->last_plan_id = CB_MAX(history->last_plan_id, entry->plan_id);
}

static void load_line(struct cb_history *history, const char *line, size_t len)
{
	struct cb_history_entry entry;

	if (len == 0)
		return;
	if (len > LINE_LEN_MAX || cb_history_line_parse(line, len, &entry) < 0)
		history->n_bad++;
	else
		ring_put(history, &entry);
}

/* The newest CB_HISTORY_FILE_MAX bytes of a file that something else has let grow are enough. */
static int load_file(struct cb_history *history, const char *name)
{
	int fd = openat(history->dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat st;
	ssize_t n;
	char *buf;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(fd);
		return -EINVAL;
	}
	buf = malloc(CB_HISTORY_FILE_MAX);
	if (!buf) {
		close(fd);
		return -ENOMEM;
	}
	n = pread(fd, buf, CB_HISTORY_FILE_MAX,
		  st.st_size > (off_t)CB_HISTORY_FILE_MAX ?
			  st.st_size - (off_t)CB_HISTORY_FILE_MAX :
			  0);
	close(fd);
	for (const char *p = buf, *end = buf + CB_MAX(n, 0); p < end;) {
		const char *newline = memchr(p, '\n', (size_t)(end - p));

		load_line(history, p, (size_t)((newline ? newline : end) - p));
		p = newline ? newline + 1 : end;
	}
	history->torn = n > 0 && buf[n - 1] != '\n';
	free(buf);
	return n < 0 ? -EIO : 0;
}

static int open_file(struct cb_history *history)
{
	struct stat st;

	history->fd = openat(history->dir_fd, history->file_name,
			     O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
			     0644);
	if (history->fd < 0)
		return -errno;
	if (fstat(history->fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		close(history->fd);
		history->fd = -1;
		return -EINVAL;
	}
	history->size = (uint64_t)st.st_size;
	return 0;
}

int cb_history_open(const char *state_dir, const char *name, struct cb_history **ret,
		    struct cb_err *err)
{
	struct cb_history *history = calloc(1, sizeof(*history));
	int r;

	*ret = history;
	if (!history)
		return cb_err_set(err, -ENOMEM, "history: out of memory");
	history->fd = history->dir_fd = -1;
	snprintf(history->file_name, sizeof(history->file_name), "%s.jsonl", name);
	snprintf(history->old_name, sizeof(history->old_name), "%s.jsonl.1", name);
	if (!state_dir)
		return 0;
	if (mkdir(state_dir, 0755) < 0 && errno != EEXIST)
		return cb_err_set(err, -errno, "%s: %s", state_dir, strerror(errno));
	history->dir_fd = open(state_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (history->dir_fd < 0)
		return cb_err_set(err, -errno, "%s: %s", state_dir, strerror(errno));
	r = load_file(history, history->old_name);
	if (r >= 0)
		r = load_file(history, history->file_name);
	if (r >= 0)
		r = open_file(history);
	return r < 0 ? cb_err_set(err, r, "%s/%s: %s", state_dir, history->file_name,
				  strerror(-r)) :
		       0;
}

struct cb_history *cb_history_close(struct cb_history *history)
{
	if (!history)
		return NULL;
	for (uint32_t i = 0; i < history->n; i++)
		free(history->ring[(history->first + i) % CB_HISTORY_MAX].step);
	if (history->fd >= 0)
		close(history->fd);
	if (history->dir_fd >= 0)
		close(history->dir_fd);
	free(history);
	return NULL;
}

static int rotate(struct cb_history *history)
{
	close(history->fd);
	history->fd = -1;
	if (renameat(history->dir_fd, history->file_name, history->dir_fd, history->old_name) < 0)
		return -errno;
	history->torn = false;
	return open_file(history);
}

/* @line has room for its newline in place of its NUL. */
static int append(struct cb_history *history, char *line)
{
	size_t len = strlen(line);
	ssize_t n;
	int r;

	if (history->fd < 0)
		return history->dir_fd < 0 ? 0 : -EBADF;
	if (history->size + len + 1 > CB_HISTORY_FILE_MAX) {
		r = rotate(history);
		if (r < 0)
			return r;
	}
	if (history->torn && write(history->fd, "\n", 1) == 1)
		history->torn = false;
	line[len] = '\n';
	n = write(history->fd, line, len + 1);
	line[len] = '\0';
	if (n > 0)
		history->size += (uint64_t)n;
	if (n == (ssize_t)len + 1)
		return 0;
	history->torn = history->torn || n > 0;
	return n < 0 ? -errno : -ENOSPC;
}

int cb_history_add(struct cb_history *history, const struct cb_history_entry *entry,
		   struct cb_err *err)
{
	struct cb_history_entry copy = *entry;
	char *line;
	int r;

	copy.step = calloc(CB_MAX(entry->n_steps, 1u), sizeof(*copy.step));
	if (!copy.step)
		return cb_err_set(err, -ENOMEM, "history: out of memory");
	if (entry->n_steps > 0)
		memcpy(copy.step, entry->step, entry->n_steps * sizeof(*copy.step));
	ring_put(history, &copy);
	line = cb_history_line_format(entry);
	r = line ? append(history, line) : -ENOMEM;
	free(line);
	return r < 0 ? cb_err_set(err, r, "%s: %s", history->file_name, strerror(-r)) : 0;
}

uint32_t cb_history_count(const struct cb_history *history)
{
	return history->n;
}

const struct cb_history_entry *cb_history_at(const struct cb_history *history, uint32_t index)
{
	return &history->ring[(history->first + index) % CB_HISTORY_MAX];
}

uint32_t cb_history_last_plan_id(const struct cb_history *history)
{
	return history->last_plan_id;
}

uint64_t cb_history_bad_lines(const struct cb_history *history)
{
	return history->n_bad;
}
