/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * /org/cpubalance1, org.cpubalance1.Manager: the properties, which are the rows of report.def, the signals, and the
 * methods that only read. Everybody may call these.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "access.h"
#include "bus.h"
#include "bus_rows.h"
#include "metrics.h"

/* --- properties --- */

/* A bool is one byte and the bus's is an int, so that it cannot be read by its offset as the others are. */
static int get_bool(sd_bus *bus, const char *path, const char *interface, const char *property,
		    sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
	const bool *value = userdata;

	(void)bus;
	(void)path;
	(void)interface;
	(void)property;
	(void)error;
	return sd_bus_message_append(reply, "b", (int)*value);
}

#define SIGNATURE_STRING "s"
#define SIGNATURE_U32	 "u"
#define SIGNATURE_I32	 "i"
#define SIGNATURE_U64	 "t"
#define SIGNATURE_DOUBLE "d"
#define SIGNATURE_BOOL	 "b"
#define GETTER_STRING	 NULL
#define GETTER_U32	 NULL
#define GETTER_I32	 NULL
#define GETTER_U64	 NULL
#define GETTER_DOUBLE	 NULL
#define GETTER_BOOL	 get_bool
#define FLAGS_0		 0
#define FLAGS_1		 SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE

/* clang-format off */
static const sd_bus_vtable property_vtable[] = {
	SD_BUS_VTABLE_START(0),
#define CB_REPORT_ROW(type, field, Name, emits, help)                                              \
	SD_BUS_PROPERTY(#Name, SIGNATURE_##type, GETTER_##type, offsetof(struct cb_report, field), \
			FLAGS_##emits),
#include "cpubalance/report.def"
#undef CB_REPORT_ROW
	SD_BUS_VTABLE_END
};
/* clang-format on */

/* FNV-1a (64 bit, draft-eastlake-fnv): enough to see that a value has changed without keeping it. */
static uint64_t fingerprint(const void *data, size_t len)
{
	const unsigned char *p = data;
	uint64_t hash = UINT64_C(14695981039346656037);

	while (len-- > 0)
		hash = (hash ^ *p++) * UINT64_C(1099511628211);
	return hash;
}

static uint64_t fingerprint_string(const char *value)
{
	return value ? fingerprint(value, strlen(value)) : 0;
}

#define PRINT_STRING(value) fingerprint_string(value)
#define PRINT_U32(value)    fingerprint(&(value), sizeof(value))
#define PRINT_I32(value)    fingerprint(&(value), sizeof(value))
#define PRINT_U64(value)    fingerprint(&(value), sizeof(value))
#define PRINT_DOUBLE(value) fingerprint(&(value), sizeof(value))
#define PRINT_BOOL(value)   fingerprint(&(value), sizeof(value))

void cb_bus_manager_changed(struct cb_server *server)
{
	const struct cb_report *report = &server->manager->report;
	char *changed[_CB_REPORT_ROW_MAX + 1];
	size_t n = 0;
	uint64_t now;

#define CB_REPORT_ROW(type, field, Name, emits, help)      \
	now = emits ? PRINT_##type(report->field) : 0;     \
	if (server->told[CB_REPORT_ROW_##field] != now) {  \
		server->told[CB_REPORT_ROW_##field] = now; \
		changed[n++] = (char *)(uintptr_t) #Name;  \
	}
#include "cpubalance/report.def"
#undef CB_REPORT_ROW
	changed[n] = NULL;
	if (n > 0)
		sd_bus_emit_properties_changed_strv(server->bus, CB_BUS_PATH, CB_BUS_MANAGER,
						    changed);
}

/* --- listings --- */

/* A reply that is being filled with rows. */
static int begin(sd_bus_message *call, struct cb_rows *rows)
{
	*rows = (struct cb_rows){ .r = 0 };
	rows->r = sd_bus_message_new_method_return(call, &rows->message);
	return rows->r;
}

static int finish(struct cb_rows *rows)
{
	int r = rows->r;

	if (r >= 0)
		r = sd_bus_send(NULL, rows->message, NULL);
	sd_bus_message_unref(rows->message);
	return r < 0 ? r : 1;
}

static int method_list_cpus(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	const struct cb_manager *m = userdata;
	struct cb_cpu_view view;
	struct cb_rows rows;

	(void)error;
	if (begin(call, &rows) < 0)
		return rows.r;
	cb_list_open(&rows);
	CB_CPUSET_FOREACH(cpu, &m->topology->possible) {
		if (!cb_engine_cpu(m->engine, cpu, &view))
			continue;
		cb_row_open(&rows);
		cb_rows_cpu(&rows, m, &view);
		cb_row_close(&rows);
	}
	cb_list_close(&rows);
	return finish(&rows);
}

static int method_list_irqs(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	const struct cb_manager *m = userdata;
	struct cb_irq_view view;
	struct cb_rows rows;

	(void)error;
	if (begin(call, &rows) < 0)
		return rows.r;
	cb_list_open(&rows);
	for (uint32_t i = 0; i < cb_engine_n_irqs(m->engine); i++) {
		cb_engine_irq(m->engine, i, &view);
		cb_row_open(&rows);
		cb_rows_irq(&rows, m, &view);
		cb_row_close(&rows);
	}
	cb_list_close(&rows);
	return finish(&rows);
}

static int method_list_workers(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	const struct cb_manager *m = userdata;
	struct cb_worker_view view;
	struct cb_rows rows;
	const char *group;
	uint32_t viewer;
	int r = sd_bus_message_read(call, "s", &group);

	if (r < 0)
		return r;
	if (group[0] && !cb_manager_group_find(m, group))
		return cb_bus_error(error, CB_BUS_ERROR("NoSuchGroup"), "no group %s", group);
	if (begin(call, &rows) < 0)
		return rows.r;
	viewer = cb_access_viewer(call);
	cb_list_open(&rows);
	for (uint32_t i = 0; i < cb_engine_n_workers(m->engine); i++) {
		cb_engine_worker(m->engine, i, &view);
		if (group[0] && strcmp(view.group, group) != 0)
			continue;
		cb_row_open(&rows);
		cb_rows_worker(&rows, m, &view, viewer);
		cb_row_close(&rows);
	}
	cb_list_close(&rows);
	return finish(&rows);
}

static int method_list_groups(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	const struct cb_manager *m = userdata;
	struct cb_rows rows;

	(void)error;
	if (begin(call, &rows) < 0)
		return rows.r;
	cb_list_open(&rows);
	for (uint32_t i = 0; i < m->n_registrations; i++) {
		cb_row_open(&rows);
		cb_rows_group(&rows, m->registration[i]);
		cb_row_close(&rows);
	}
	cb_list_close(&rows);
	return finish(&rows);
}

static int method_list_findings(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	const struct cb_manager *m = userdata;
	struct cb_rows rows;

	(void)error;
	if (begin(call, &rows) < 0)
		return rows.r;
	cb_list_open(&rows);
	for (uint32_t i = 0; i < cb_engine_n_findings(m->engine); i++) {
		cb_row_open(&rows);
		cb_rows_finding(&rows, m, cb_engine_finding(m->engine, i));
		cb_row_close(&rows);
	}
	cb_list_close(&rows);
	return finish(&rows);
}

static int method_list_changes(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	struct cb_rows rows;

	(void)error;
	if (begin(call, &rows) < 0)
		return rows.r;
	cb_rows_changes(&rows, userdata);
	return finish(&rows);
}

/* Of @history what ended, or was seen, at or after the time that was asked for. */
static int list_history(sd_bus_message *call, const struct cb_history *history,
			void (*row)(struct cb_rows *rows, const struct cb_history_entry *entry))
{
	struct cb_rows rows;
	uint64_t since_usec;
	int r = sd_bus_message_read(call, "t", &since_usec);

	if (r < 0)
		return r;
	if (begin(call, &rows) < 0)
		return rows.r;
	cb_list_open(&rows);
	for (uint32_t i = 0; i < cb_history_count(history); i++) {
		const struct cb_history_entry *entry = cb_history_at(history, i);

		if (entry->at_usec < since_usec)
			continue;
		cb_row_open(&rows);
		row(&rows, entry);
		cb_row_close(&rows);
	}
	cb_list_close(&rows);
	return finish(&rows);
}

static int method_list_history(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	const struct cb_manager *m = userdata;

	(void)error;
	return list_history(call, m->history, cb_rows_history);
}

static int method_list_foreign(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	const struct cb_manager *m = userdata;

	(void)error;
	return list_history(call, m->others, cb_rows_foreign);
}

static int method_get_plan(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	static struct cb_plan preview; /* too big for the stack of a handler */
	struct cb_manager *m = userdata;
	const struct cb_plan *plan = cb_engine_plan(m->engine);
	struct cb_rows rows;

	(void)error;
	if (begin(call, &rows) < 0)
		return rows.r;
	if (!plan)
		cb_engine_preview(m->engine, &preview);
	cb_row_open(&rows);
	cb_rows_plan(&rows, m, plan ? plan : &preview, !plan);
	cb_row_close(&rows);
	return finish(&rows);
}

static int method_get_metrics(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	const struct cb_manager *m = userdata;
	const char *text = cb_metrics_render(m->metrics, m);

	(void)error;
	return text ? sd_bus_reply_method_return(call, "s", text) : -ENOMEM;
}

static int write_memfd(const char *text, int *ret)
{
	size_t len = strlen(text);
	int fd = memfd_create("cpubalanced-metrics", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return -errno;
	while (len > 0) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			goto failed;
		text += n;
		len -= (size_t)n;
	}
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
		goto failed;
	*ret = fd;
	return 0;
failed:
	close(fd);
	return -EIO;
}

/* The same as a sealed file in memory: the size of a message is no limit to it. */
static int method_get_metrics_file(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	const struct cb_manager *m = userdata;
	const char *format, *text;
	int fd = -1, r = sd_bus_message_read(call, "s", &format);

	if (r < 0)
		return r;
	if (strcmp(format, "text") == 0)
		text = cb_metrics_render(m->metrics, m);
	else if (strcmp(format, "openmetrics") == 0)
		text = cb_metrics_render_openmetrics(m->metrics, m);
	else
		return cb_bus_error(error, CB_BUS_ERROR("InvalidArgument"),
				    "\"%.64s\" is no format: text or openmetrics", format);
	r = text ? write_memfd(text, &fd) : -ENOMEM;
	if (r < 0)
		return r;
	r = sd_bus_reply_method_return(call, "h", fd);
	close(fd);
	return r;
}

static int method_list_sources(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	const struct cb_manager *m = userdata;
	uint32_t available = cb_host_sources(m->host);
	uint64_t now_usec = cb_manager_now(m);
	struct cb_rows rows;

	(void)error;
	if (begin(call, &rows) < 0)
		return rows.r;
	cb_list_open(&rows);
	for (int i = 0; i < _CB_SOURCE_MAX; i++) {
		uint64_t age_usec;

		cb_row_open(&rows);
		cb_row_string(&rows, "Name", cb_source_name((enum cb_source)i));
		cb_row_string(&rows, "Where", cb_source_where((enum cb_source)i));
		cb_row_string(&rows, "Gives", cb_source_gives((enum cb_source)i));
		cb_row_bool(&rows, "Available", available >> i & 1);
		cb_row_bool(&rows, "InLastTick", m->snapshot.valid >> i & 1);
		age_usec = cb_host_source_age_usec(m->host, (enum cb_source)i, now_usec);
		if (age_usec != UINT64_MAX)
			cb_row_u64(&rows, "AgeUSec", age_usec);
		cb_row_close(&rows);
	}
	cb_list_close(&rows);
	return finish(&rows);
}

static void row_owner(struct cb_rows *rows, const struct cb_owner *owner)
{
	cb_row_open(rows);
	cb_row_string(rows, "Name", owner->name);
	cb_row_bool(rows, "Present", owner->present);
	cb_row_string(rows, "Owns", owner->owns);
	cb_row_string(rows, "Consequence", owner->consequence);
	cb_row_close(rows);
}

static int method_list_owners(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	const struct cb_manager *m = userdata;
	struct cb_owner owner[_CB_OWNER_MAX], cpusets;
	struct cb_rows rows;

	(void)error;
	if (begin(call, &rows) < 0)
		return rows.r;
	cb_host_owners(m->host, owner);
	cb_manager_owner_irqbalance(m, &owner[CB_OWNER_IRQBALANCE]);
	cb_manager_owner_cpusets(m, &cpusets);
	cb_list_open(&rows);
	for (int i = 0; i < _CB_OWNER_MAX; i++)
		row_owner(&rows, &owner[i]);
	row_owner(&rows, &cpusets);
	cb_list_close(&rows);
	return finish(&rows);
}

static int method_explain(sd_bus_message *call, void *userdata, sd_bus_error *error)
{
	struct cb_manager *m = userdata;
	int32_t cpu;
	int r = sd_bus_message_read(call, "i", &cpu);

	return r < 0 ? r : cb_explain_start(m->server, call, cpu, error);
}

#define READ SD_BUS_VTABLE_UNPRIVILEGED
static const sd_bus_vtable read_vtable[] = {
	SD_BUS_VTABLE_START(0),
	SD_BUS_METHOD_WITH_ARGS("ListCPUs", SD_BUS_NO_ARGS, SD_BUS_RESULT("aa{sv}", cpus),
				method_list_cpus, READ),
	SD_BUS_METHOD_WITH_ARGS("ListIRQs", SD_BUS_NO_ARGS, SD_BUS_RESULT("aa{sv}", irqs),
				method_list_irqs, READ),
	SD_BUS_METHOD_WITH_ARGS("CountIRQs", SD_BUS_ARGS("b", all), SD_BUS_RESULT("aa{sv}", irqs),
				cb_bus_count_irqs, READ),
	SD_BUS_METHOD_WITH_ARGS("ListWorkers", SD_BUS_ARGS("s", group),
				SD_BUS_RESULT("aa{sv}", workers), method_list_workers, READ),
	SD_BUS_METHOD_WITH_ARGS("ListGroups", SD_BUS_NO_ARGS, SD_BUS_RESULT("aa{sv}", groups),
				method_list_groups, READ),
	SD_BUS_METHOD_WITH_ARGS("ListFindings", SD_BUS_NO_ARGS, SD_BUS_RESULT("aa{sv}", findings),
				method_list_findings, READ),
	SD_BUS_METHOD_WITH_ARGS("ListChanges", SD_BUS_NO_ARGS, SD_BUS_RESULT("aa{sv}", changes),
				method_list_changes, READ),
	SD_BUS_METHOD_WITH_ARGS("ListHistory", SD_BUS_ARGS("t", since_usec),
				SD_BUS_RESULT("aa{sv}", plans), method_list_history, READ),
	SD_BUS_METHOD_WITH_ARGS("ListForeign", SD_BUS_ARGS("t", since_usec),
				SD_BUS_RESULT("aa{sv}", writes), method_list_foreign, READ),
	SD_BUS_METHOD_WITH_ARGS("ListSources", SD_BUS_NO_ARGS, SD_BUS_RESULT("aa{sv}", sources),
				method_list_sources, READ),
	SD_BUS_METHOD_WITH_ARGS("ListOwners", SD_BUS_NO_ARGS, SD_BUS_RESULT("aa{sv}", owners),
				method_list_owners, READ),
	SD_BUS_METHOD_WITH_ARGS("Discover", SD_BUS_NO_ARGS, SD_BUS_RESULT("aa{sv}", groups),
				cb_bus_discover, READ),
	SD_BUS_METHOD_WITH_ARGS("ListConnections", SD_BUS_ARGS("s", group),
				SD_BUS_RESULT("aa{sv}", workers), cb_bus_connections, READ),
	SD_BUS_METHOD_WITH_ARGS("GetPlan", SD_BUS_NO_ARGS, SD_BUS_RESULT("a{sv}", plan),
				method_get_plan, READ),
	SD_BUS_METHOD_WITH_ARGS("Explain", SD_BUS_ARGS("i", cpu),
				SD_BUS_RESULT("a{sv}", explanation), method_explain, READ),
	SD_BUS_METHOD_WITH_ARGS("GetMetrics", SD_BUS_NO_ARGS, SD_BUS_RESULT("s", text),
				method_get_metrics, READ),
	SD_BUS_METHOD_WITH_ARGS("GetMetricsFile", SD_BUS_ARGS("s", format),
				SD_BUS_RESULT("h", file), method_get_metrics_file, READ),
	SD_BUS_SIGNAL_WITH_ARGS(
		"FindingBegan",
		SD_BUS_ARGS("s", kind, "i", cpu, "s", group, "s", worker, "s", sentence), 0),
	SD_BUS_SIGNAL_WITH_ARGS(
		"FindingEnded",
		SD_BUS_ARGS("s", kind, "i", cpu, "s", group, "s", worker, "s", sentence), 0),
	SD_BUS_SIGNAL_WITH_ARGS("PlanProposed", SD_BUS_ARGS("u", id, "s", sentence), 0),
	SD_BUS_SIGNAL_WITH_ARGS("PlanApplied", SD_BUS_ARGS("u", id, "s", sentence), 0),
	SD_BUS_SIGNAL_WITH_ARGS("PlanEnded", SD_BUS_ARGS("u", id, "s", verdict, "s", sentence), 0),
	SD_BUS_VTABLE_END
};

/* --- signals --- */

void cb_server_finding(struct cb_server *server, bool began, const struct cb_notice *notice,
		       const char *group, const char *worker)
{
	if (server && server->owned)
		sd_bus_emit_signal(server->bus, CB_BUS_PATH, CB_BUS_MANAGER,
				   began ? "FindingBegan" : "FindingEnded", "sisss",
				   cb_finding_kind_name(notice->finding), notice->cpu, group,
				   worker, notice->sentence);
}

void cb_server_plan(struct cb_server *server, const char *signal, const struct cb_notice *notice)
{
	if (!server || !server->owned)
		return;
	if (notice->kind == CB_NOTICE_PLAN_ENDED)
		sd_bus_emit_signal(server->bus, CB_BUS_PATH, CB_BUS_MANAGER, signal, "uss",
				   notice->plan_id, cb_verdict_name(notice->verdict),
				   notice->sentence);
	else
		sd_bus_emit_signal(server->bus, CB_BUS_PATH, CB_BUS_MANAGER, signal, "us",
				   notice->plan_id, notice->sentence);
}

int cb_bus_manager_add(struct cb_server *server)
{
	int r = sd_bus_add_object_vtable(server->bus, NULL, CB_BUS_PATH, CB_BUS_MANAGER,
					 property_vtable, &server->manager->report);

	if (r >= 0)
		r = sd_bus_add_object_vtable(server->bus, NULL, CB_BUS_PATH, CB_BUS_MANAGER,
					     read_vtable, server->manager);
	return r;
}
