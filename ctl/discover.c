/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* discover, connections: the reuseport groups of the machine, and who serves them. */

#include "client.h"
#include "json.h"
#include "render.h"
#include "table.h"

/* Pids named in a table; more are counted. */
#define PIDS_MAX 8u

static bool show_where(struct json_object *row, const struct cb_style *style, struct cb_buf *buf)
{
	uint64_t netns;

	(void)style;
	if (cb_json_true(row, "OwnNamespace") || !cb_json_u64(row, "NetworkNamespace", &netns))
		return false;
	cb_buf_add(buf, "net:[%llu]", (unsigned long long)netns);
	return true;
}

static bool show_count(struct json_object *row, const struct cb_style *style, struct cb_buf *buf)
{
	(void)style;
	cb_buf_add(buf, "%zu", cb_json_length(cb_json_array(row, "Workers")));
	return true;
}

static bool show_connections(struct json_object *row, const struct cb_style *style,
			     struct cb_buf *buf)
{
	struct json_object *workers = cb_json_array(row, "Workers");
	uint64_t sum = 0, n;
	bool known = false;

	(void)style;
	for (size_t i = 0; i < cb_json_length(workers); i++)
		if (cb_json_u64(json_object_array_get_idx(workers, i), "Connections", &n)) {
			known = true;
			sum += n;
		}
	if (known)
		cb_buf_add(buf, "%llu", (unsigned long long)sum);
	return known;
}

/* "nginx 101 102 103", "haproxy 77 (4 threads)", "python3 55?" */
static bool show_workers(struct json_object *row, const struct cb_style *style, struct cb_buf *buf)
{
	struct json_object *workers = cb_json_array(row, "Workers");
	size_t n = cb_json_length(workers);
	const char *comm = n > 0 ? cb_json_text(json_object_array_get_idx(workers, 0), "Comm") :
				   NULL;
	uint64_t unserved = 0;

	(void)style;
	if (comm)
		cb_buf_add(buf, "%s", comm);
	for (size_t i = 0; i < CB_MIN(n, (size_t)PIDS_MAX); i++) {
		struct json_object *worker = json_object_array_get_idx(workers, i);
		uint64_t pid, loops;

		if (!cb_json_u64(worker, "PID", &pid))
			continue;
		cb_buf_add(buf, " %llu%s", (unsigned long long)pid,
			   cb_json_true(worker, "Guess") ? "?" : "");
		if (cb_json_u64(worker, "Loops", &loops) && loops > 1)
			cb_buf_add(buf, " (%llu threads)", (unsigned long long)loops);
	}
	if (n > PIDS_MAX)
		cb_buf_add(buf, " and %zu more", n - PIDS_MAX);
	(void)cb_json_u64(row, "SocketsUnserved", &unserved);
	if (unserved)
		cb_buf_join(buf, "; ", "%llu sockets without one", (unsigned long long)unserved);
	return buf->length > 0;
}

void cb_render_discover(FILE *out, const struct cb_style *style, struct json_object *rows)
{
	static const struct cb_column columns[] = {
		{ .title = "LISTEN", .cell = CB_CELL_TEXT, .key = "Listen", .min_cols = 12 },
		{ .title = "WHERE", .show = show_where, .optional = true, .drop = 3 },
		{ .title = "GROUP", .cell = CB_CELL_TEXT, .key = "Group", .optional = true },
		{ .title = "SOCKETS", .cell = CB_CELL_NUMBER, .key = "Sockets" },
		{ .title = "WORKERS", .show = show_count, .right = true },
		{ .title = "CONNS", .show = show_connections, .right = true },
		{ .title = "SKEW", .cell = CB_CELL_RATIO, .key = "Skew", .drop = 1 },
		{ .title = "BACKLOG", .show = cb_show_backlog, .right = true, .drop = 2 },
		{ .title = "DROPS", .cell = CB_CELL_NUMBER, .key = "Drops", .drop = 4 },
		{ .title = "SERVED BY", .show = show_workers, .min_cols = 16 },
	};
	struct json_object *groups = cb_must(json_object_new_array());

	for (size_t i = 0; i < cb_json_length(rows); i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);

		if (!cb_json_text(row, "Note"))
			json_object_array_add(groups, json_object_get(row));
	}
	cb_table_print(out, style, columns, CB_ARRAY_SIZE(columns), groups, 0,
		       "no two sockets wait at the same address and port");
	json_object_put(groups);
	for (size_t i = 0; i < cb_json_length(rows); i++) {
		const char *note = cb_json_text(json_object_array_get_idx(rows, i), "Note");

		if (note)
			cb_sentence(out, style, CB_COLOR_DIM, "%s", note);
	}
}

static int run(struct cb_ctl *ctl, const struct cb_args *args)
{
	(void)args;
	return cb_show_list(ctl, "Discover", cb_render_discover);
}

const struct cb_verb cb_verb_discover = {
	.name = "discover",
	.arguments = "",
	.summary = "services that several workers share, registered or not",
	.details =
		"Every group of SO_REUSEPORT sockets of the machine, in other network namespaces too: "
		"those that wait at one address and port. SKEW is the most connections of a worker over "
		"the mean. A pid with ? holds a socket that nobody is seen to serve: a guess.",
	.example = "cpubalctl discover",
	.run = run,
};

static uint64_t connections_of(struct json_object *row)
{
	uint64_t n = 0;

	(void)cb_json_u64(row, "Connections", &n);
	return n;
}

static void render_connections(FILE *out, const struct cb_style *style, struct json_object *rows)
{
	static const struct cb_column columns[] = {
		{ .title = "PID", .cell = CB_CELL_NUMBER, .key = "PID" },
		{ .title = "SOCKETS", .cell = CB_CELL_NUMBER, .key = "Sockets" },
		{ .title = "CONNS", .cell = CB_CELL_NUMBER, .key = "Connections" },
	};
	size_t n = cb_json_length(rows);
	uint64_t sum = 0, most = 0;

	cb_table_print(out, style, columns, CB_ARRAY_SIZE(columns), rows, 0,
		       "the group has no worker");
	for (size_t i = 0; i < n; i++) {
		uint64_t count = connections_of(json_object_array_get_idx(rows, i));

		sum += count;
		most = CB_MAX(most, count);
	}
	if (n > 1 && sum > 0)
		cb_sentence(out, style, CB_COLOR_DIM,
			    "%llu connections; the most is %.2f times the mean",
			    (unsigned long long)sum, (double)most * (double)n / (double)sum);
}

static int run_connections(struct cb_ctl *ctl, const struct cb_args *args)
{
	struct json_object *json = NULL;
	int code = cb_check_group(ctl, args->word[0]);

	if (code == CB_EXIT_OK)
		code = cb_client_call_json(ctl, "ListConnections", CB_CALL_LONG_USEC, &json, "s",
					   args->word[0]);
	return code == CB_EXIT_OK ? cb_show(ctl, json, render_connections) : code;
}

const struct cb_verb cb_verb_connections = {
	.name = "connections",
	.arguments = "GROUP",
	.summary = "open connections of each worker, counted one by one",
	.details =
		"Established TCP connections that came in at the ports that the group's workers serve, "
		"counted now: exact where `groups` estimates by open descriptors. Threads share "
		"those of their process.",
	.example = "cpubalctl connections nginx",
	.min_words = 1,
	.max_words = 1,
	.run = run_connections,
};
