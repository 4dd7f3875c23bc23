/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What more than one verb prints. */

#include "render.h"

#include <json-c/json.h>

#include "client.h"
#include "json.h"

int cb_show(struct cb_ctl *ctl, struct json_object *json, cb_render_t render)
{
	if (ctl->json)
		cb_json_print(ctl->out, json);
	else
		render(ctl->out, &ctl->style, json);
	json_object_put(json);
	return CB_EXIT_OK;
}

int cb_show_list(struct cb_ctl *ctl, const char *member, cb_render_t render)
{
	struct json_object *json = NULL;
	int code = cb_client_call_json(ctl, member, CB_CALL_USEC, &json, "");

	return code == CB_EXIT_OK ? cb_show(ctl, json, render) : code;
}

int cb_show_permanent(struct cb_ctl *ctl, const char *key, struct json_object *rows)
{
	struct json_object *answers = cb_must(json_object_new_object()), *workers = NULL;
	int code;

	json_object_object_add(answers, key, rows);
	code = cb_client_call_json(ctl, "ListWorkers", CB_CALL_USEC, &workers, "s", "");
	if (code != CB_EXIT_OK) {
		json_object_put(answers);
		return code;
	}
	json_object_object_add(answers, "Workers", workers);
	return cb_show(ctl, answers, cb_render_permanent);
}

void cb_show_steps(struct cb_buf *buf, struct json_object *steps, size_t max)
{
	size_t n = cb_json_length(steps);

	for (size_t i = 0; i < n && i < max; i++) {
		struct json_object *step = json_object_array_get_idx(steps, i);

		cb_buf_join(buf, i ? ", " : "", "%s %s -> %s", cb_json_text_or(step, "Name", "-"),
			    cb_json_text_or(step, "From", "-"), cb_json_text_or(step, "To", "-"));
	}
	if (n > max)
		cb_buf_add(buf, ", %zu more", n - max);
}

bool cb_show_backlog(struct json_object *row, const struct cb_style *style, struct cb_buf *buf)
{
	uint64_t waiting, max;

	(void)style;
	if (cb_json_u64(row, "Backlog", &waiting)) {
		cb_buf_add(buf, "%llu", (unsigned long long)waiting);
		if (cb_json_u64(row, "BacklogMax", &max))
			cb_buf_add(buf, "/%llu", (unsigned long long)max);
	}
	if (cb_json_u64(row, "QueuedBytes", &waiting) && cb_json_u64(row, "QueuedMaxBytes", &max))
		cb_buf_join(buf, ", ", "%llu/%llu KiB", (unsigned long long)waiting / 1024,
			    (unsigned long long)max / 1024);
	return buf->length > 0;
}

void cb_show_shell(FILE *out, const struct cb_style *style, struct json_object *rows)
{
	for (size_t i = 0; i < cb_json_length(rows); i++) {
		struct json_object *row = json_object_array_get_idx(rows, i);
		const char *name = cb_json_text_or(row, "Name", "-"),
			   *shell = cb_json_text(row, "Shell");

		if (shell && cb_text_is_plain(shell))
			fprintf(out, "%s\n", shell);
		else
			/* the width is of a terminal; a comment has to stay one line */
			cb_sentence(out, &(struct cb_style){ .utf8 = style->utf8 }, CB_COLOR_NONE,
				    "# %s: there is no command for this", name);
	}
}
