/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The trace's files: the recorder and the replay. Each line is one write(), so what a crash leaves ends between two
 * lines or, at worst, inside the last one. A recorder that could not write a line is broken for good: a trace with a gap
 * would replay to something else. The replay reads line by line and holds one line and the engine, no more.
 */
#include "cpubalance/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "trace_codec.h"

struct cb_trace_writer {
	int fd;
	int broken; /* negative errno of the line that could not be written */
};

/* --- recording --- */

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

/* Writes and frees @line; NULL is a line for which there was no memory. */
static int write_line(struct cb_trace_writer *writer, char *line)
{
	size_t len;

	if (!line) {
		writer->broken = -ENOMEM;
		return -ENOMEM;
	}
	/* The newline takes the place of the NUL, so that it is one write. */
	len = strlen(line);
	line[len] = '\n';
	writer->broken = write_all(writer->fd, line, len + 1);
	free(line);
	return writer->broken;
}

int cb_trace_create(const char *path, uint32_t first_plan_id, struct cb_trace_writer **ret,
		    struct cb_err *err)
{
	struct cb_trace_writer *writer = calloc(1, sizeof(*writer));
	int r;

	if (!writer)
		return -ENOMEM;
	writer->fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0600);
	if (writer->fd < 0) {
		r = cb_err_set(err, -errno, "cannot create the trace %s: %s", path,
			       strerror(errno));
		cb_trace_close(writer);
		return r;
	}
	r = write_line(writer, cb_trace_header_line(first_plan_id));
	if (r < 0) {
		cb_trace_close(writer);
		return cb_err_set(err, r, "cannot write the trace %s: %s", path, strerror(-r));
	}
	*ret = writer;
	return 0;
}

int cb_trace_input(struct cb_trace_writer *writer, const struct cb_input *input)
{
	return writer->broken ? writer->broken : write_line(writer, cb_trace_input_line(input));
}

int cb_trace_decision(struct cb_trace_writer *writer, const struct cb_decision *decision)
{
	return writer->broken ? writer->broken :
				write_line(writer, cb_trace_decision_line(decision));
}

struct cb_trace_writer *cb_trace_close(struct cb_trace_writer *writer)
{
	if (writer && writer->fd >= 0)
		close(writer->fd);
	free(writer);
	return NULL;
}

/* --- replaying --- */

struct replay {
	struct cb_engine *engine;
	struct cb_decision decision;
	char *expected; /* the decision that the last input gave, NULL when a recorded one was compared with it */
	FILE *out;
	uint64_t line;
	struct cb_replay_result result;
};

/*
 * The next line without its newline into @buf, which grows. Returns 1, 0 at the end, or a negative errno (-E2BIG: beyond
 * CB_TRACE_LINE_MAX). @ret_whole: whether a newline stood behind it.
 */
static int read_line(FILE *in, char **buf, size_t *cap, size_t *ret_len, bool *ret_whole)
{
	size_t len = 0;
	int c;

	while ((c = getc_unlocked(in)) != EOF && c != '\n') {
		if (len == CB_TRACE_LINE_MAX)
			return -E2BIG;
		if (len == *cap) {
			size_t bigger = CB_MAX(*cap * 2, (size_t)4096);
			char *grown = realloc(*buf, bigger);

			if (!grown)
				return -ENOMEM;
			*buf = grown;
			*cap = bigger;
		}
		(*buf)[len++] = (char)c;
	}
	if (ferror(in))
		return errno > 0 ? -errno : -EIO;
	*ret_len = len;
	*ret_whole = c == '\n';
	return c == '\n' || len > 0;
}

static int replay_input(struct replay *replay, const struct cb_input *input)
{
	int r = cb_engine_feed(replay->engine, input, &replay->decision);

	/* -EINVAL is an input that the engine refused then, too; its decision is to be the same. */
	if (r < 0 && r != -EINVAL)
		return r;
	free(replay->expected);
	replay->expected = cb_trace_decision_line(&replay->decision);
	if (!replay->expected)
		return -ENOMEM;
	replay->result.n_inputs++;
	if (replay->out && fprintf(replay->out, "%s\n", replay->expected) < 0)
		return -EIO;
	return 0;
}

static int replay_decision(struct replay *replay, const char *line, size_t len, struct cb_err *err)
{
	if (!replay->expected)
		return cb_err_set(err, -EBADMSG, "out: a decision without an input before it");
	replay->result.n_decisions++;
	if (strlen(replay->expected) != len || memcmp(replay->expected, line, len) != 0) {
		replay->result.n_differing++;
		if (replay->result.first_differing_line == 0)
			replay->result.first_differing_line = replay->line;
	}
	free(replay->expected);
	replay->expected = NULL;
	return 0;
}

static int replay_record(struct replay *replay, const struct cb_trace_record *record,
			 const char *line, size_t len, struct cb_err *err)
{
	if ((record->line == CB_TRACE_LINE_HEADER) != (replay->line == 1))
		return cb_err_set(err, -EBADMSG,
				  "trace: the first line, and only it, is the header");
	switch (record->line) {
	case CB_TRACE_LINE_HEADER:
		replay->engine = cb_engine_new(record->first_plan_id);
		return replay->engine ? 0 : -ENOMEM;
	case CB_TRACE_LINE_INPUT:
		return replay_input(replay, &record->input);
	case CB_TRACE_LINE_DECISION:
		return replay_decision(replay, line, len, err);
	}
	return -EBADMSG;
}

static int replay_lines(struct replay *replay, FILE *in, const char *name, struct cb_err *err)
{
	size_t cap = 0, len = 0;
	char *line = NULL;
	bool whole;
	int r;

	while ((r = read_line(in, &line, &cap, &len, &whole)) > 0) {
		struct cb_trace_record record = { 0 };

		replay->line++;
		r = cb_trace_line_parse(line, len, &record, err);
		if (r == -EAGAIN && !whole && replay->line > 1) {
			/* The recorder was stopped inside this line: the trace ends before it. */
			r = cb_err_set(err, 0, "%s", "");
			break;
		}
		if (r == -EAGAIN)
			r = -EBADMSG;
		if (r == 0)
			r = replay_record(replay, &record, line, len, err);
		cb_trace_record_done(&record);
		if (r < 0)
			break;
	}
	free(line);
	if (r == -E2BIG)
		r = cb_err_set(err, -EBADMSG, "%s:%llu: a line of more than %u bytes", name,
			       (unsigned long long)replay->line + 1, CB_TRACE_LINE_MAX);
	else if (r == -EBADMSG)
		r = cb_err_prefix(err, r, "%s:%llu: ", name, (unsigned long long)replay->line);
	else if (r < 0)
		r = cb_err_set(err, r, "%s:%llu: %s", name, (unsigned long long)replay->line,
			       strerror(-r));
	else if (replay->line == 0)
		r = cb_err_set(err, -EBADMSG, "%s: empty, not a trace", name);
	return r;
}

int cb_trace_replay_stream(FILE *in, const char *name, FILE *out, struct cb_replay_result *ret,
			   struct cb_err *err)
{
	struct replay *replay = calloc(1, sizeof(*replay));
	int r;

	if (!replay)
		return -ENOMEM;
	replay->out = out;
	r = replay_lines(replay, in, name, err);
	if (r == 0 && out && fflush(out) != 0)
		r = cb_err_set(err, -errno, "cannot write: %s", strerror(errno));
	if (r == 0)
		*ret = replay->result;
	cb_engine_free(replay->engine);
	free(replay->expected);
	free(replay);
	return r;
}

int cb_trace_replay(const char *path, FILE *out, struct cb_replay_result *ret, struct cb_err *err)
{
	FILE *in = fopen(path, "re");
	int r;

	if (!in)
		return cb_err_set(err, -errno, "cannot open the trace %s: %s", path,
				  strerror(errno));
	r = cb_trace_replay_stream(in, path, out, ret, err);
	fclose(in);
	return r;
}
