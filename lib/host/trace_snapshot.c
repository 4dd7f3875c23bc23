/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Snapshots and topologies in a trace: the inputs that are made of rows. A row is an array of numbers without keys; a
 * row with a presence mask holds only the columns that the mask names, so that an absent one cannot be read as zero.
 */
#include <errno.h>
#include <stdlib.h>

#include "trace_codec.h"
#include "trace_json.h"

#define FIELD(type, k, member, kind_)                                         \
	{                                                                     \
		.key = (k), .kind = (kind_), .offset = offsetof(type, member) \
	}
#define SNAPSHOT(k, member, kind_) FIELD(struct cb_snapshot, k, member, kind_)
#define TOPOLOGY(k, member, kind_) FIELD(struct cb_topology, k, member, kind_)

static const struct cb_trace_field snapshot_fields[] = {
	SNAPSHOT("time", time_usec, CB_TRACE_U64),
	SNAPSHOT("generation", topology_generation, CB_TRACE_U32),
	SNAPSHOT("valid", valid, CB_TRACE_U32),
	SNAPSHOT("user_hz", user_hz, CB_TRACE_U32),
	SNAPSHOT("ctxt", ctxt, CB_TRACE_U64),
	SNAPSHOT("intr", intr_total, CB_TRACE_U64),
	SNAPSHOT("running", procs_running, CB_TRACE_U32),
	SNAPSHOT("blocked", procs_blocked, CB_TRACE_U32),
};

static const struct cb_trace_field topology_fields[] = {
	TOPOLOGY("generation", generation, CB_TRACE_U32),
	TOPOLOGY("n_cpu_ids", n_cpu_ids, CB_TRACE_U32),
	TOPOLOGY("n_online", n_online, CB_TRACE_U32),
	TOPOLOGY("possible", possible, CB_TRACE_CPUSET),
	TOPOLOGY("online", online, CB_TRACE_CPUSET),
	TOPOLOGY("isolated", isolated, CB_TRACE_CPUSET),
	TOPOLOGY("nohz_full", nohz_full, CB_TRACE_CPUSET),
};

/* --- writing a snapshot --- */

static void put_cpu(struct cb_trace_out *out, const struct cb_cpu_sample *cpu)
{
	cb_trace_open(out, NULL, '[');
	cb_trace_u64(out, NULL, cpu->present);
	for (int i = 0; (cpu->present & CB_CPU_HAS_TIMES) && i < _CB_TIME_MAX; i++)
		cb_trace_u64(out, NULL, cpu->time_ticks[i]);
	for (int i = 0; (cpu->present & CB_CPU_HAS_SOFTIRQS) && i < _CB_SOFTIRQ_MAX; i++)
		cb_trace_u64(out, NULL, cpu->softirqs[i]);
	if (cpu->present & CB_CPU_HAS_CTXSW)
		cb_trace_u64(out, NULL, cpu->ctxsw);
	if (cpu->present & CB_CPU_HAS_SOFTNET) {
		cb_trace_u64(out, NULL, cpu->softnet_processed);
		cb_trace_u64(out, NULL, cpu->softnet_dropped);
	}
	cb_trace_close_bracket(out, ']');
}

static void put_irq(struct cb_trace_out *out, const struct cb_irq_sample *irq)
{
	cb_trace_open(out, NULL, '[');
	cb_trace_u64(out, NULL, irq->irq);
	cb_trace_i64(out, NULL, irq->effective_cpu);
	cb_trace_u64(out, NULL, irq->count);
	cb_trace_u64(out, NULL, irq->present);
	if (irq->present & CB_IRQ_HAS_PACKETS)
		cb_trace_u64(out, NULL, irq->packets);
	if (irq->present & CB_IRQ_HAS_DEVICE_PACKETS)
		cb_trace_u64(out, NULL, irq->device_packets);
	cb_trace_close_bracket(out, ']');
}

static void put_worker(struct cb_trace_out *out, const struct cb_worker_sample *worker)
{
	cb_trace_open(out, NULL, '[');
	cb_trace_u64(out, NULL, worker->key);
	cb_trace_u64(out, NULL, worker->present);
	if (worker->present & CB_WORKER_HAS_CPU)
		cb_trace_u64(out, NULL, worker->cpu_nsec);
	if (worker->present & CB_WORKER_HAS_WAIT)
		cb_trace_u64(out, NULL, worker->wait_nsec);
	if (worker->present & CB_WORKER_HAS_SWITCHES) {
		cb_trace_u64(out, NULL, worker->vol_switches);
		cb_trace_u64(out, NULL, worker->invol_switches);
	}
	if (worker->present & CB_WORKER_HAS_THREADS)
		cb_trace_u64(out, NULL, worker->n_threads);
	if (worker->present & CB_WORKER_HAS_LAST_CPU)
		cb_trace_i64(out, NULL, worker->last_cpu);
	if (worker->present & CB_WORKER_HAS_FDS)
		cb_trace_u64(out, NULL, worker->n_fds);
	if (worker->present & CB_WORKER_HAS_LISTEN) {
		cb_trace_u64(out, NULL, worker->n_listeners);
		cb_trace_u64(out, NULL, worker->backlog);
		cb_trace_u64(out, NULL, worker->backlog_max);
		cb_trace_u64(out, NULL, worker->drops);
	}
	if (worker->present & CB_WORKER_HAS_DATAGRAMS) {
		cb_trace_u64(out, NULL, worker->queued_bytes);
		cb_trace_u64(out, NULL, worker->queued_max_bytes);
		cb_trace_u64(out, NULL, worker->lost);
	}
	if (worker->present & CB_WORKER_HAS_STATE) {
		cb_trace_u64(out, NULL, (unsigned char)worker->state);
		cb_trace_u64(out, NULL, worker->system_ticks);
	}
	if (worker->present & CB_WORKER_HAS_MASK)
		cb_trace_cpuset(out, NULL, &worker->mask);
	cb_trace_close_bracket(out, ']');
}

static void put_group(struct cb_trace_out *out, const struct cb_group_sample *group)
{
	cb_trace_open(out, NULL, '[');
	cb_trace_u64(out, NULL, group->key);
	cb_trace_u64(out, NULL, group->present);
	if (group->present & CB_GROUP_HAS_PACKETS)
		cb_trace_u64(out, NULL, group->packets);
	if (group->present & CB_GROUP_HAS_LISTEN) {
		cb_trace_u64(out, NULL, group->backlog);
		cb_trace_u64(out, NULL, group->backlog_max);
		cb_trace_u64(out, NULL, group->drops);
	}
	if (group->present & CB_GROUP_HAS_DATAGRAMS) {
		cb_trace_u64(out, NULL, group->queued_bytes);
		cb_trace_u64(out, NULL, group->queued_max_bytes);
		cb_trace_u64(out, NULL, group->lost);
	}
	if (group->present & CB_GROUP_HAS_METRIC) {
		cb_trace_double(out, NULL, group->metric);
		cb_trace_u64(out, NULL, group->metric_falls);
	}
	cb_trace_close_bracket(out, ']');
}

void cb_trace_put_snapshot(struct cb_trace_out *out, const struct cb_snapshot *snapshot)
{
	cb_trace_encode(out, snapshot_fields, CB_ARRAY_SIZE(snapshot_fields), snapshot);
	cb_trace_open(out, "cpus", '[');
	for (uint32_t i = 0; i < snapshot->n_cpus; i++)
		put_cpu(out, &snapshot->cpu[i]);
	cb_trace_close_bracket(out, ']');
	cb_trace_open(out, "irqs", '[');
	for (uint32_t i = 0; i < snapshot->n_irqs; i++)
		put_irq(out, &snapshot->irq[i]);
	cb_trace_close_bracket(out, ']');
	cb_trace_open(out, "workers", '[');
	for (uint32_t i = 0; i < snapshot->n_workers; i++)
		put_worker(out, &snapshot->worker[i]);
	cb_trace_close_bracket(out, ']');
	cb_trace_open(out, "groups", '[');
	for (uint32_t i = 0; i < snapshot->n_groups; i++)
		put_group(out, &snapshot->group[i]);
	cb_trace_close_bracket(out, ']');
}

/* --- reading a snapshot --- */

/* One row, read from left to right; the first thing that is wrong stays in r. */
struct row {
	struct json_object *array;
	size_t at;
	int r;
	struct cb_err *err;
};

static struct json_object *next(struct row *row, const char *what)
{
	if (row->r == 0 && row->at >= json_object_array_length(row->array))
		row->r = cb_err_set(row->err, -EBADMSG, "%s: missing", what);
	return row->r == 0 ? json_object_array_get_idx(row->array, row->at++) : NULL;
}

static uint64_t row_number(struct row *row, const char *what, uint64_t max)
{
	struct json_object *value = next(row, what);
	uint64_t number = 0;

	if (row->r == 0)
		row->r = cb_trace_read_u64(value, what, max, &number, row->err);
	return number;
}

static uint64_t row_u64(struct row *row, const char *what)
{
	return row_number(row, what, UINT64_MAX);
}

static uint32_t row_u32(struct row *row, const char *what)
{
	return (uint32_t)row_number(row, what, UINT32_MAX);
}

static int32_t row_i32(struct row *row, const char *what)
{
	struct json_object *value = next(row, what);
	int32_t number = 0;

	if (row->r == 0)
		row->r = cb_trace_read_i32(value, what, &number, row->err);
	return number;
}

static double row_double(struct row *row, const char *what)
{
	struct json_object *value = next(row, what);
	double number = 0;

	if (row->r == 0)
		row->r = cb_trace_read_double(value, what, &number, row->err);
	return number;
}

static void get_cpu(struct row *row, void *entry)
{
	struct cb_cpu_sample *cpu = entry;
	const uint32_t known = CB_CPU_HAS_TIMES | CB_CPU_HAS_SOFTIRQS | CB_CPU_HAS_CTXSW |
			       CB_CPU_HAS_SOFTNET;

	cpu->present = (uint32_t)row_number(row, "present", known);
	for (int i = 0; (cpu->present & CB_CPU_HAS_TIMES) && i < _CB_TIME_MAX; i++)
		cpu->time_ticks[i] = row_u64(row, "time_ticks");
	for (int i = 0; (cpu->present & CB_CPU_HAS_SOFTIRQS) && i < _CB_SOFTIRQ_MAX; i++)
		cpu->softirqs[i] = row_u64(row, "softirqs");
	if (cpu->present & CB_CPU_HAS_CTXSW)
		cpu->ctxsw = row_u64(row, "ctxsw");
	if (cpu->present & CB_CPU_HAS_SOFTNET) {
		cpu->softnet_processed = row_u64(row, "softnet_processed");
		cpu->softnet_dropped = row_u64(row, "softnet_dropped");
	}
}

static void get_irq(struct row *row, void *entry)
{
	struct cb_irq_sample *irq = entry;

	irq->irq = row_u32(row, "irq");
	irq->effective_cpu = row_i32(row, "effective_cpu");
	irq->count = row_u64(row, "count");
	irq->present = (uint32_t)row_number(row, "present",
					    CB_IRQ_HAS_PACKETS | CB_IRQ_HAS_DEVICE_PACKETS);
	if (irq->present & CB_IRQ_HAS_PACKETS)
		irq->packets = row_u64(row, "packets");
	if (irq->present & CB_IRQ_HAS_DEVICE_PACKETS)
		irq->device_packets = row_u64(row, "device_packets");
}

static void get_worker(struct row *row, void *entry)
{
	struct cb_worker_sample *worker = entry;
	const uint32_t known = CB_WORKER_HAS_CPU | CB_WORKER_HAS_WAIT | CB_WORKER_HAS_SWITCHES |
			       CB_WORKER_HAS_THREADS | CB_WORKER_HAS_LAST_CPU | CB_WORKER_HAS_MASK |
			       CB_WORKER_HAS_FDS | CB_WORKER_HAS_LISTEN | CB_WORKER_HAS_STATE |
			       CB_WORKER_HAS_DATAGRAMS;

	worker->key = row_u32(row, "key");
	worker->present = (uint32_t)row_number(row, "present", known);
	if (worker->present & CB_WORKER_HAS_CPU)
		worker->cpu_nsec = row_u64(row, "cpu_nsec");
	if (worker->present & CB_WORKER_HAS_WAIT)
		worker->wait_nsec = row_u64(row, "wait_nsec");
	if (worker->present & CB_WORKER_HAS_SWITCHES) {
		worker->vol_switches = row_u64(row, "vol_switches");
		worker->invol_switches = row_u64(row, "invol_switches");
	}
	if (worker->present & CB_WORKER_HAS_THREADS)
		worker->n_threads = row_u32(row, "n_threads");
	if (worker->present & CB_WORKER_HAS_LAST_CPU)
		worker->last_cpu = row_i32(row, "last_cpu");
	if (worker->present & CB_WORKER_HAS_FDS)
		worker->n_fds = row_u32(row, "n_fds");
	if (worker->present & CB_WORKER_HAS_LISTEN) {
		worker->n_listeners = row_u32(row, "n_listeners");
		worker->backlog = row_u32(row, "backlog");
		worker->backlog_max = row_u32(row, "backlog_max");
		worker->drops = row_u64(row, "drops");
	}
	if (worker->present & CB_WORKER_HAS_DATAGRAMS) {
		worker->queued_bytes = row_u64(row, "queued_bytes");
		worker->queued_max_bytes = row_u64(row, "queued_max_bytes");
		worker->lost = row_u64(row, "lost");
	}
	if (worker->present & CB_WORKER_HAS_STATE) {
		worker->state = (char)row_number(row, "state", 127);
		worker->system_ticks = row_u64(row, "system_ticks");
	}
	if (worker->present & CB_WORKER_HAS_MASK) {
		struct json_object *value = next(row, "mask");

		if (row->r == 0)
			row->r = cb_trace_read_cpuset(value, "mask", &worker->mask, row->err);
	}
}

static void get_group(struct row *row, void *entry)
{
	struct cb_group_sample *group = entry;

	group->key = row_u32(row, "key");
	group->present = (uint32_t)row_number(row, "present",
					      CB_GROUP_HAS_PACKETS | CB_GROUP_HAS_LISTEN |
						      CB_GROUP_HAS_METRIC | CB_GROUP_HAS_DATAGRAMS);
	if (group->present & CB_GROUP_HAS_PACKETS)
		group->packets = row_u64(row, "packets");
	if (group->present & CB_GROUP_HAS_LISTEN) {
		group->backlog = row_u32(row, "backlog");
		group->backlog_max = row_u32(row, "backlog_max");
		group->drops = row_u64(row, "drops");
	}
	if (group->present & CB_GROUP_HAS_DATAGRAMS) {
		group->queued_bytes = row_u64(row, "queued_bytes");
		group->queued_max_bytes = row_u64(row, "queued_max_bytes");
		group->lost = row_u64(row, "lost");
	}
	if (group->present & CB_GROUP_HAS_METRIC) {
		group->metric = row_double(row, "metric");
		group->metric_falls = row_number(row, "metric_falls", 1);
	}
}

/* All rows of an array into @entries, which are zero and of @size bytes each. */
static int get_rows(struct json_object *array, const char *key,
		    void (*get)(struct row *row, void *entry), void *entries, size_t size,
		    struct cb_err *err)
{
	for (size_t i = 0; i < json_object_array_length(array); i++) {
		struct row row = { .array = json_object_array_get_idx(array, i), .err = err };

		if (!json_object_is_type(row.array, json_type_array))
			row.r = cb_err_set(err, -EBADMSG, "array expected");
		else
			get(&row, (char *)entries + i * size);
		if (row.r == 0 && row.at != json_object_array_length(row.array))
			row.r = cb_err_set(err, -EBADMSG, "%zu columns, %zu expected",
					   json_object_array_length(row.array), row.at);
		if (row.r < 0)
			return cb_err_prefix(err, row.r, "%s[%zu].", key, i);
	}
	return 0;
}

static int check_snapshot(const struct cb_snapshot *snapshot, struct cb_err *err)
{
	if (snapshot->valid >> _CB_SOURCE_MAX)
		return cb_err_set(err, -EBADMSG, "valid: %#x has bits of unknown sources",
				  snapshot->valid);
	for (uint32_t i = 1; i < snapshot->n_irqs; i++)
		if (snapshot->irq[i].irq <= snapshot->irq[i - 1].irq)
			return cb_err_set(err, -EBADMSG, "irqs[%u]: not ascending", i);
	return 0;
}

int cb_trace_get_snapshot(struct json_object *object, struct cb_snapshot *ret, struct cb_err *err)
{
	static const struct {
		const char *key;
		size_t max;
	} arrays[] = {
		{ "cpus", CB_CPUS_MAX },
		{ "irqs", CB_IRQS_MAX },
		{ "workers", CB_WORKERS_MAX },
		{ "groups", CB_GROUPS_MAX },
	};
	struct json_object *rows[CB_ARRAY_SIZE(arrays)];
	size_t n[CB_ARRAY_SIZE(arrays)];
	int r = cb_trace_decode(object, snapshot_fields, CB_ARRAY_SIZE(snapshot_fields), ret, err);

	for (size_t i = 0; i < CB_ARRAY_SIZE(arrays) && r == 0; i++)
		r = cb_trace_array(object, arrays[i].key, 0, arrays[i].max, &rows[i], &n[i], err);
	if (r == 0) /* two fields are the line's own */
		r = cb_trace_no_more(
			object, 2 + CB_ARRAY_SIZE(snapshot_fields) + CB_ARRAY_SIZE(arrays), err);
	if (r == 0)
		r = cb_snapshot_reserve(ret, (uint32_t)n[0], (uint32_t)n[1], (uint32_t)n[2],
					(uint32_t)n[3]);
	if (r < 0)
		return r;
	ret->n_cpus = (uint32_t)n[0];
	ret->n_irqs = (uint32_t)n[1];
	ret->n_workers = (uint32_t)n[2];
	ret->n_groups = (uint32_t)n[3];
	r = get_rows(rows[0], "cpus", get_cpu, ret->cpu, sizeof(ret->cpu[0]), err);
	if (r == 0)
		r = get_rows(rows[1], "irqs", get_irq, ret->irq, sizeof(ret->irq[0]), err);
	if (r == 0)
		r = get_rows(rows[2], "workers", get_worker, ret->worker, sizeof(ret->worker[0]),
			     err);
	if (r == 0)
		r = get_rows(rows[3], "groups", get_group, ret->group, sizeof(ret->group[0]), err);
	return r == 0 ? check_snapshot(ret, err) : r;
}

/* --- a topology: one row per CPU --- */

/* From, to, distance, as far as known. */
static void put_distances(struct cb_trace_out *out, const struct cb_topology *topology)
{
	cb_trace_open(out, "distances", '[');
	for (uint32_t from = 0; from < CB_DISTANCE_NODES; from++) {
		for (uint32_t to = 0; to < CB_DISTANCE_NODES; to++) {
			if (topology->distance[from][to] == 0)
				continue;
			cb_trace_open(out, NULL, '[');
			cb_trace_u64(out, NULL, from);
			cb_trace_u64(out, NULL, to);
			cb_trace_u64(out, NULL, topology->distance[from][to]);
			cb_trace_close_bracket(out, ']');
		}
	}
	cb_trace_close_bracket(out, ']');
}

void cb_trace_put_topology(struct cb_trace_out *out, const struct cb_topology *topology)
{
	cb_trace_encode(out, topology_fields, CB_ARRAY_SIZE(topology_fields), topology);
	cb_trace_open(out, "cpus", '[');
	for (uint32_t i = 0; i < topology->n_cpu_ids; i++) {
		const struct cb_cpu_place *place = &topology->cpu[i];

		cb_trace_open(out, NULL, '[');
		cb_trace_i64(out, NULL, place->node);
		cb_trace_i64(out, NULL, place->package);
		cb_trace_i64(out, NULL, place->llc);
		cb_trace_i64(out, NULL, place->core);
		cb_trace_u64(out, NULL, place->capacity);
		cb_trace_i64(out, NULL, place->cluster);
		cb_trace_close_bracket(out, ']');
	}
	cb_trace_close_bracket(out, ']');
	put_distances(out, topology);
}

static void get_place(struct row *row, void *entry)
{
	struct cb_cpu_place *place = entry;

	place->node = row_i32(row, "node");
	place->package = row_i32(row, "package");
	place->llc = row_i32(row, "llc");
	place->core = row_i32(row, "core");
	place->capacity = row_u32(row, "capacity");
	place->cluster = row_i32(row, "cluster");
}

struct distance {
	uint32_t from, to, distance;
};

static void get_distance(struct row *row, void *entry)
{
	struct distance *distance = entry;

	distance->from = (uint32_t)row_number(row, "from", CB_DISTANCE_NODES - 1);
	distance->to = (uint32_t)row_number(row, "to", CB_DISTANCE_NODES - 1);
	distance->distance = (uint32_t)row_number(row, "distance", UINT8_MAX);
}

static int get_distances(struct json_object *rows, size_t n, struct cb_topology *topology,
			 struct cb_err *err)
{
	struct distance *distance = n ? calloc(n, sizeof(*distance)) : NULL;
	int r;

	if (n == 0)
		return 0;
	if (!distance)
		return -ENOMEM;
	r = get_rows(rows, "distances", get_distance, distance, sizeof(*distance), err);
	for (size_t i = 0; i < n && r == 0; i++)
		cb_topology_set_distance(topology, (int32_t)distance[i].from,
					 (int32_t)distance[i].to, distance[i].distance);
	free(distance);
	return r;
}

/* What the engine indexes with has to be inside. */
static int check_topology(const struct cb_topology *topology, struct cb_err *err)
{
	const int32_t n = (int32_t)topology->n_cpu_ids;
	struct cb_cpuset all = CB_CPUSET_EMPTY;

	if (n > 0)
		cb_cpuset_set_range(&all, 0, topology->n_cpu_ids - 1);
	if (!cb_cpuset_subset(&topology->possible, &all) ||
	    !cb_cpuset_subset(&topology->online, &all))
		return cb_err_set(err, -EBADMSG, "online: CPUs at or above n_cpu_ids = %d", n);
	if (topology->n_online != cb_cpuset_count(&topology->online))
		return cb_err_set(err, -EBADMSG, "n_online: %u, but %u CPUs are online",
				  topology->n_online, cb_cpuset_count(&topology->online));
	for (int32_t i = 0; i < n; i++) {
		const struct cb_cpu_place *place = &topology->cpu[i];

		if (place->node < -1 || place->package < -1 || place->llc < -1 || place->llc >= n ||
		    place->cluster < -1 || place->cluster >= n || place->core < 0 ||
		    place->core >= n || place->capacity < 1 || place->capacity > CB_CAPACITY_FULL)
			return cb_err_set(err, -EBADMSG, "cpus[%d]: out of range", i);
	}
	return 0;
}

int cb_trace_get_topology(struct json_object *object, struct cb_topology **ret, struct cb_err *err)
{
	struct cb_topology scalars = { 0 }, *topology;
	struct json_object *rows, *distances;
	size_t n, n_distances;
	int r = cb_trace_decode(object, topology_fields, CB_ARRAY_SIZE(topology_fields), &scalars,
				err);

	if (r < 0)
		return r;
	if (scalars.n_cpu_ids > CB_CPUS_MAX)
		return cb_err_set(err, -EBADMSG, "n_cpu_ids: %u is not in 0 to %u",
				  scalars.n_cpu_ids, CB_CPUS_MAX);
	r = cb_trace_array(object, "cpus", scalars.n_cpu_ids, scalars.n_cpu_ids, &rows, &n, err);
	if (r == 0)
		r = cb_trace_array(object, "distances", 0, CB_DISTANCE_NODES * CB_DISTANCE_NODES,
				   &distances, &n_distances, err);
	if (r == 0) /* two fields are the line's own */
		r = cb_trace_no_more(object, 2 + CB_ARRAY_SIZE(topology_fields) + 2, err);
	if (r < 0)
		return r;
	topology = cb_topology_new(scalars.n_cpu_ids);
	if (!topology)
		return -ENOMEM;
	topology->generation = scalars.generation;
	topology->n_online = scalars.n_online;
	topology->possible = scalars.possible;
	topology->online = scalars.online;
	topology->isolated = scalars.isolated;
	topology->nohz_full = scalars.nohz_full;
	r = get_rows(rows, "cpus", get_place, topology->cpu, sizeof(topology->cpu[0]), err);
	if (r == 0)
		r = get_distances(distances, n_distances, topology, err);
	if (r == 0)
		r = check_topology(topology, err);
	if (r < 0) {
		cb_topology_unref(topology);
		return r;
	}
	*ret = topology;
	return 0;
}
