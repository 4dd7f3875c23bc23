/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A knob is a thing that can be turned: lib/knobs describes each one (path or system call, format, what each errno means) and
 * writes nothing. lib/host/apply.c is the only writer.
 */

#include "cpubalance/irqs.h"
#include "cpubalance/plan.h"

enum cb_knob_id {
#define CB_KNOB_ROW(id, name, item, what) CB_KNOB_##id,
#include "cpubalance/knobs.def"
#undef CB_KNOB_ROW
	_CB_KNOB_MAX,
	_CB_KNOB_INVALID = -22,
};

struct cb_knob {
	const char *name;         /* in the journal: "task_affinity" */
	enum cb_item_kind item;
	const char *what;         /* for people */
	/* class of a positive errno of the write */
	enum cb_error_class (*classify)(int errnum);
	/*
	 * a shell command that sets it by hand, for `plan --shell` and `changes --shell`; returns length or -ENOSPC. Of what belongs to a
	 * queue the key is its number, and there is none: see cb_knob_queue_shell().
	 */
	int (*shell)(uint32_t key, const struct cb_cpuset *mask, char *buf, size_t size);
	/* of a queue: the file below its directory, and which way the queue goes; else NULL */
	const char *queue_file;
	enum cb_queue_dir queue_dir;
};

/* What a file of a queue holds: CPUs, or a number of flows. */
struct cb_queue_value {
	struct cb_cpuset cpus;
	uint32_t flows;
};

/* --- lib/knobs/queue_files.c: what the three knobs of queues share --- */

/* Where the knob of that queue is, below the root; @ifname "": of the machine, RPS_FLOWS alone. Returns its length or -ENOSPC. */
int cb_knob_queue_path(const struct cb_knob *knob, const char *ifname, uint32_t queue, char *buf, size_t size);
/* Text of the file -> value, 0 or a negative errno; value -> text, its length or -ENOSPC. Both for @knob's kind of file. */
int cb_knob_queue_parse(const struct cb_knob *knob, const char *buf, size_t len, struct cb_queue_value *ret)
	_must_check_;
int cb_knob_queue_format(const struct cb_knob *knob, const struct cb_queue_value *value, char *buf, size_t size);
int cb_knob_queue_shell(const struct cb_knob *knob, const char *ifname, uint32_t queue,
			const struct cb_queue_value *value, char *buf, size_t size);
bool cb_knob_queue_equal(const struct cb_knob *knob, const struct cb_queue_value *a, const struct cb_queue_value *b);
/* Room for the text of any value: eight digits and a comma for each 32 CPUs. */
#define CB_QUEUE_TEXT_MAX (CB_CPUS_MAX / 32u * 9u + 2u)

const struct cb_knob *cb_knob_get(enum cb_knob_id id);
enum cb_knob_id cb_knob_from_name(const char *name);
