/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The trace: each kind of input to a line, back, and to the same line, with extremes in every field; what is refused and
 * how it is named; equal decisions give equal bytes; a recorded run replays to the same decisions.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/host/trace_codec.h"

/* --- inputs with something in every field --- */

static struct cb_policy policy;
static struct cb_topology *topology;
static struct cb_irqs *irqs;
static struct cb_snapshot snapshot;
static struct cb_event event;
static struct cb_command command;
static struct cb_outcome outcome;
static struct cb_decision decision;

static void fill_group(struct cb_group_policy *group)
{
	memset(group->name, 'g', sizeof(group->name) - 1);
	group->has_mode = true;
	group->mode = CB_MODE_OBSERVE;
	group->placement = CB_PLACEMENT_CORE;
	group->has_allowed = true;
	cb_cpuset_set_range(&group->allowed_cpus, 0, CB_CPUS_MAX - 1);
	strcpy(group->pid_file, "/run/\"quoted\"\\\x01\x7f\xc3\xa4\xff");
	memset(group->interfaces, 'i', sizeof(group->interfaces) - 1);
}

static void fill_policy(void)
{
	cb_policy_init(&policy);
	policy.mode = CB_MODE_ADVISE;
	policy.hot_on_ratio = nextafter(1.0, 0.0);
	policy.hot_off_ratio = 1.0 / 3.0;
	policy.warm_ratio = 0.1 + 0.2; /* not 0.3 */
	policy.cross_node = true;
	strcpy(policy.metrics_textfile, "/a b\tc");
	policy.n_groups = CB_GROUPS_MAX;
	for (uint32_t i = 0; i < CB_GROUPS_MAX; i++)
		fill_group(&policy.group[i]);
}

static void fill_topology(void)
{
	topology = cb_topology_new(CB_CPUS_MAX);
	assert_non_null(topology);
	topology->generation = UINT32_MAX;
	cb_cpuset_set_range(&topology->possible, 0, CB_CPUS_MAX - 1);
	for (unsigned int cpu = 0; cpu < CB_CPUS_MAX; cpu += 2)
		cb_cpuset_set(&topology->online, cpu);
	topology->n_online = cb_cpuset_count(&topology->online);
	cb_cpuset_set(&topology->isolated, 5);
	cb_cpuset_set(&topology->nohz_full, CB_CPUS_MAX - 1);
	topology->cpu[0] =
		(struct cb_cpu_place){ INT32_MAX, INT32_MAX, CB_CPUS_MAX - 1, CB_CPUS_MAX - 1, 1 };
}

static void fill_irqs(void)
{
	irqs = calloc(1, sizeof(*irqs) + 2 * sizeof(irqs->irq[0]));
	assert_non_null(irqs);
	irqs->generation = UINT32_MAX;
	irqs->n = 2;
	irqs->irq[0].affinity = cb_cpuset_of(3);
	irqs->irq[1] = (struct cb_irq_info){
		.irq = UINT32_MAX,
		.class = CB_IRQ_NETWORK,
		.writable = true,
		.immovable = true,
		.node = INT32_MIN,
		.hwirq = UINT64_MAX,
		.actions = "virtio2-input.0",
		.ifname = "fifteen-letters",
		.placed = true,
	};
}

static void fill_snapshot(void)
{
	assert_int_equal(cb_snapshot_reserve(&snapshot, 3, 2, 2, 2), 0);
	snapshot.time_usec = UINT64_MAX;
	snapshot.topology_generation = UINT32_MAX;
	snapshot.valid = (1u << _CB_SOURCE_MAX) - 1;
	snapshot.user_hz = 100;
	snapshot.ctxt = UINT64_MAX;
	snapshot.intr_total = UINT64_MAX - 1;
	snapshot.procs_running = UINT32_MAX;
	snapshot.procs_blocked = 7;
	snapshot.n_cpus = 3;
	snapshot.n_irqs = 2;
	snapshot.n_workers = 2;
	snapshot.n_groups = 2;
	snapshot.cpu[1].present = CB_CPU_HAS_TIMES | CB_CPU_HAS_SOFTIRQS | CB_CPU_HAS_CTXSW |
				  CB_CPU_HAS_SOFTNET;
	for (int i = 0; i < _CB_TIME_MAX; i++)
		snapshot.cpu[1].time_ticks[i] = UINT64_MAX - (uint64_t)i;
	for (int i = 0; i < _CB_SOFTIRQ_MAX; i++)
		snapshot.cpu[1].softirqs[i] = (uint64_t)i;
	snapshot.cpu[1].ctxsw = UINT64_C(1) << 63;
	snapshot.cpu[1].softnet_dropped = 3;
	snapshot.cpu[2].present = CB_CPU_HAS_CTXSW;
	snapshot.cpu[2].ctxsw = 9;
	snapshot.irq[0] = (struct cb_irq_sample){ 0, -1, 0 };
	snapshot.irq[1] = (struct cb_irq_sample){ UINT32_MAX, INT32_MAX, UINT64_MAX };
	snapshot.worker[0].key = 1;
	snapshot.worker[1] = (struct cb_worker_sample){
		.key = UINT32_MAX,
		.present = (1u << 7) - 1,
		.cpu_nsec = UINT64_MAX,
		.wait_nsec = 1,
		.vol_switches = 2,
		.invol_switches = 3,
		.n_threads = UINT32_MAX,
		.last_cpu = -1,
		.n_fds = 4,
		.mask = cb_cpuset_of(CB_CPUS_MAX - 1),
	};
	snapshot.group[0].key = 1;
	snapshot.group[1] = (struct cb_group_sample){ 2, 3, UINT64_MAX, 1, UINT32_MAX, UINT64_MAX };
}

static void fill_steps(struct cb_step *steps)
{
	for (uint32_t i = 0; i < CB_STEPS_MAX; i++)
		steps[i] = (struct cb_step){
			.item = { i % 2 ? CB_ITEM_IRQ : CB_ITEM_WORKER, UINT32_MAX - i },
			.op = i % 2 ? CB_OP_RESTORE : CB_OP_SET,
			.from = cb_cpuset_of(i),
			.to = cb_cpuset_of(CB_CPUS_MAX - 1 - i),
			.load_ratio = i ? 1.0 / i : -0.0,
			.state = (enum cb_step_state)(i % _CB_STEP_STATE_MAX),
			.errnum = (int)i,
			.error_class = (enum cb_error_class)(i % _CB_ERROR_CLASS_MAX),
		};
}

static int fill(void **state)
{
	(void)state;
	fill_policy();
	fill_topology();
	fill_irqs();
	fill_snapshot();
	fill_group(&event.group);
	event.worker = (struct cb_worker_added){
		.key = UINT32_MAX,
		.group_key = 1,
		.pid = INT32_MAX,
		.start_ticks = UINT64_MAX,
		.comm = "fifteen\"letter\\",
		.cpuset = cb_cpuset_of(0),
		.placed = true,
		.original = cb_cpuset_of(4095),
	};
	event.group_key = 3;
	event.worker_key = 4;
	event.irq = UINT32_MAX;
	event.present = true;
	event.mask = cb_cpuset_of(9);
	command = (struct cb_command){ .plan_id = UINT32_MAX,
				       .worker_key = 2,
				       .group_key = 3,
				       .span_usec = UINT64_MAX,
				       .mode = CB_MODE_OBSERVE,
				       .present = true,
				       .mask = cb_cpuset_of(8) };
	outcome = (struct cb_outcome){ .plan_id = 5,
				       .n_steps = CB_STEPS_MAX,
				       .n_restored = 1,
				       .n_pending = 2,
				       .n_gone = 3,
				       .n_foreign = UINT32_MAX,
				       .n_failed = 4 };
	fill_steps(outcome.step);
	return 0;
}

static int empty(void **state)
{
	(void)state;
	topology = cb_topology_unref(topology);
	free(irqs);
	irqs = NULL;
	cb_snapshot_done(&snapshot);
	return 0;
}

/* --- round trips --- */

static int parse(const char *line, struct cb_trace_record *ret, struct cb_err *err)
{
	/* A block of its own size: reading beyond the line is seen by a sanitizer. */
	size_t len = strlen(line);
	char *copy = malloc(len ? len : 1);
	int r;

	assert_non_null(copy);
	memcpy(copy, line, len);
	r = cb_trace_line_parse(copy, len, ret, err);
	free(copy);
	return r;
}

/* Input to line to input to the same line. The record is the caller's. */
static void round_trip(const struct cb_input *input, struct cb_trace_record *ret)
{
	struct cb_err err = { "" };
	char *line = cb_trace_input_line(input), *again;
	int r;

	assert_non_null(line);
	assert_null(strchr(line, '\n'));
	*ret = (struct cb_trace_record){ 0 };
	r = parse(line, ret, &err);
	if (r < 0)
		fail_msg("%s: %s", err.msg, line);
	assert_int_equal(ret->line, CB_TRACE_LINE_INPUT);
	assert_int_equal(ret->input.kind, input->kind);
	assert_true(ret->input.now_usec == input->now_usec);
	again = cb_trace_input_line(&ret->input);
	assert_string_equal(line, again);
	free(line);
	free(again);
}

static void policies(void **state)
{
	struct cb_input input = { .kind = CB_INPUT_POLICY,
				  .now_usec = UINT64_MAX,
				  .policy = &policy };
	struct cb_trace_record record;

	(void)state;
	round_trip(&input, &record);
	assert_memory_equal(record.input.policy, &policy, sizeof(policy));
	cb_trace_record_done(&record);
	cb_policy_init(&policy);
	round_trip(&input, &record);
	assert_memory_equal(record.input.policy, &policy, sizeof(policy));
	cb_trace_record_done(&record);
}

static void topologies(void **state)
{
	struct cb_input input = { .kind = CB_INPUT_TOPOLOGY, .topology = topology };
	struct cb_trace_record record;

	(void)state;
	round_trip(&input, &record);
	assert_int_equal(record.input.topology->n_ref, 1);
	assert_memory_equal(record.input.topology, topology,
			    sizeof(*topology) + CB_CPUS_MAX * sizeof(topology->cpu[0]));
	cb_trace_record_done(&record);
	input.topology = cb_topology_new(0);
	round_trip(&input, &record);
	cb_trace_record_done(&record);
	cb_topology_unref(input.topology);
}

static void interrupts(void **state)
{
	struct cb_input input = { .kind = CB_INPUT_IRQS, .irqs = irqs };
	struct cb_trace_record record;

	(void)state;
	round_trip(&input, &record);
	/* Field by field: there is padding. That the same line came back says the rest. */
	assert_int_equal(record.input.irqs->n, 2);
	assert_true(record.input.irqs->irq[1].irq == UINT32_MAX);
	assert_true(record.input.irqs->irq[1].hwirq == UINT64_MAX);
	assert_int_equal(record.input.irqs->irq[1].node, INT32_MIN);
	assert_string_equal(record.input.irqs->irq[1].actions, "virtio2-input.0");
	assert_memory_equal(&record.input.irqs->irq[0].affinity, &irqs->irq[0].affinity,
			    sizeof(struct cb_cpuset));
	cb_trace_record_done(&record);
	irqs->n = 0;
	round_trip(&input, &record);
	cb_trace_record_done(&record);
}

static void snapshots(void **state)
{
	struct cb_input input = { .kind = CB_INPUT_SNAPSHOT, .snapshot = &snapshot };
	struct cb_trace_record record;

	(void)state;
	round_trip(&input, &record);
	assert_memory_equal(record.input.snapshot->cpu, snapshot.cpu, 3 * sizeof(snapshot.cpu[0]));
	assert_memory_equal(record.input.snapshot->irq, snapshot.irq, 2 * sizeof(snapshot.irq[0]));
	assert_true(record.input.snapshot->worker[1].cpu_nsec == UINT64_MAX);
	assert_int_equal(record.input.snapshot->worker[1].last_cpu, -1);
	assert_int_equal(record.input.snapshot->worker[1].n_fds, 4);
	assert_true(cb_cpuset_has(&record.input.snapshot->worker[1].mask, CB_CPUS_MAX - 1));
	assert_memory_equal(record.input.snapshot->group, snapshot.group,
			    2 * sizeof(snapshot.group[0]));
	cb_trace_record_done(&record);
	/* What is absent is not written. */
	snapshot.cpu[0].ctxsw = 1234567;
	round_trip(&input, &record);
	assert_int_equal(record.input.snapshot->cpu[0].ctxsw, 0);
	cb_trace_record_done(&record);
	snapshot.n_cpus = snapshot.n_irqs = snapshot.n_workers = snapshot.n_groups = 0;
	round_trip(&input, &record);
	cb_trace_record_done(&record);
}

/* Every combination of presence bits. */
static void presence(void **state)
{
	struct cb_input input = { .kind = CB_INPUT_SNAPSHOT, .snapshot = &snapshot };
	struct cb_trace_record record;

	(void)state;
	for (uint32_t bits = 0; bits < 1u << 7; bits++) {
		snapshot.worker[1].present = bits;
		snapshot.cpu[1].present = bits & 15;
		snapshot.group[1].present = bits & 3;
		round_trip(&input, &record);
		assert_int_equal(record.input.snapshot->worker[1].present, bits);
		cb_trace_record_done(&record);
	}
}

static void events(void **state)
{
	struct cb_input input = { .kind = CB_INPUT_EVENT, .event = &event };
	struct cb_trace_record record;

	(void)state;
	for (int kind = 0; kind < _CB_EVENT_MAX; kind++) {
		event.kind = (enum cb_event_kind)kind;
		round_trip(&input, &record);
		assert_memory_equal(&record.input.event->group, &event.group, sizeof(event.group));
		assert_memory_equal(&record.input.event->mask, &event.mask, sizeof(event.mask));
		assert_string_equal(record.input.event->worker.comm, event.worker.comm);
		cb_trace_record_done(&record);
	}
}

static void commands(void **state)
{
	struct cb_input input = { .kind = CB_INPUT_COMMAND, .command = &command };
	struct cb_trace_record record;

	(void)state;
	for (int kind = 0; kind < _CB_COMMAND_MAX; kind++) {
		command.kind = (enum cb_command_kind)kind;
		round_trip(&input, &record);
		assert_true(record.input.command->span_usec == UINT64_MAX);
		cb_trace_record_done(&record);
	}
}

static void outcomes(void **state)
{
	struct cb_input input = { .kind = CB_INPUT_OUTCOME, .outcome = &outcome };
	struct cb_trace_record record;

	(void)state;
	round_trip(&input, &record);
	for (uint32_t i = 0; i < CB_STEPS_MAX; i++)
		assert_memory_equal(&record.input.outcome->step[i].load_ratio,
				    &outcome.step[i].load_ratio, sizeof(double));
	cb_trace_record_done(&record);
	outcome.n_steps = 0;
	round_trip(&input, &record);
	cb_trace_record_done(&record);
}

static void doubles(void **state)
{
	static const double values[] = {
		0.0,
		-0.0,
		1.0,
		0.1,
		1e300,
		5e-324,
		2.2250738585072014e-308,
		123456789012345678.0,
		1.0 / 3.0,
	};
	struct cb_input input = { .kind = CB_INPUT_OUTCOME, .outcome = &outcome };

	(void)state;
	outcome.n_steps = 1;
	for (size_t i = 0; i < CB_ARRAY_SIZE(values); i++) {
		struct cb_trace_record record;

		outcome.step[0].load_ratio = values[i];
		round_trip(&input, &record);
		assert_memory_equal(&record.input.outcome->step[0].load_ratio, &values[i],
				    sizeof(double));
		cb_trace_record_done(&record);
	}
}

/* --- refusals --- */

/* A good line of the kind with @from replaced by @to is refused with @message. */
static void refused(const struct cb_input *input, const char *from, const char *to,
		    const char *message)
{
	struct cb_trace_record record = { 0 };
	struct cb_err err = { "" };
	char *line = cb_trace_input_line(input), *at, *bad;
	int r;

	assert_non_null(line);
	at = strstr(line, from);
	if (!at)
		fail_msg("no %s in %s", from, line);
	assert_true(asprintf(&bad, "%.*s%s%s", (int)(at - line), line, to, at + strlen(from)) > 0);
	r = parse(bad, &record, &err);
	if (r != -EBADMSG)
		fail_msg("%d for %s", r, bad);
	assert_string_equal(err.msg, message);
	assert_null(record.storage);
	free(line);
	free(bad);
}

static void refuses_fields(void **state)
{
	struct cb_input p = { .kind = CB_INPUT_POLICY, .policy = &policy };
	struct cb_input c = { .kind = CB_INPUT_COMMAND, .now_usec = 17, .command = &command };
	struct cb_input o = { .kind = CB_INPUT_OUTCOME, .outcome = &outcome };

	(void)state;
	cb_policy_init(&policy);
	policy.n_groups = 1;
	strcpy(policy.group[0].name, "web");
	refused(&c, "\"command\":\"apply\"", "\"command\":\"fly\"", "command: unknown \"fly\"");
	refused(&c, "\"plan\":4294967295", "\"plan\":4294967296",
		"plan: 4294967296 is not in 0 to 4294967295");
	refused(&c, "\"plan\":4294967295", "\"plan\":-1", "plan: -1 is not in 0 to 4294967295");
	refused(&c, "\"plan\":4294967295", "\"plan\":1.5", "plan: double, int expected");
	refused(&c, "\"plan\":4294967295", "\"plan\":\"1\"", "plan: string, int expected");
	refused(&c, "\"plan\":4294967295,", "", "plan: missing");
	refused(&c, "\"plan\":4294967295", "\"plan\":1,\"plan\":2", "a field is given twice");
	refused(&c, "\"plan\":4294967295", "\"plan\":1,\"plam\":2",
		"11 fields, of which 10 are known");
	refused(&c, "18446744073709551615", "18446744073709551616", "an integer beyond 64 bits");
	refused(&c, "\"present\":true", "\"present\":1", "present: int, boolean expected");
	refused(&c, "\"mask\":\"8\"", "\"mask\":\"4096\"",
		"mask: \"4096\" is not a list of CPUs below 4096");
	refused(&c, "\"mask\":\"8\"", "\"mask\":\"3-1\"",
		"mask: \"3-1\" is not a list of CPUs below 4096");
	refused(&c, "\"now\":17", "\"now\":null", "now: null, int expected");
	refused(&c, "\"in\":\"command\"", "\"in\":\"dance\"", "in: unknown \"dance\"");
	refused(&c, "\"in\":\"command\",", "", "in: missing");
	refused(&p, "\"hot_on_ratio\":0.80000000000000004", "\"hot_on_ratio\":1.0000001",
		"HotOn= is not in 10% to 100%");
	refused(&p, "\"hot_on_ratio\":0.80000000000000004", "\"hot_on_ratio\":NaN",
		"hot_on_ratio: not a finite number");
	refused(&p, "\"hot_on_ratio\":0.80000000000000004", "\"hot_on_ratio\":1e999",
		"hot_on_ratio: not a finite number");
	refused(&p, "\"hot_on_ratio\":0.80000000000000004", "\"hot_on_ratio\":0.5",
		"HotOff= (70%) has to be less than HotOn= (50%)");
	refused(&p, "\"verify_windows\":10", "\"verify_windows\":1000000",
		"VerifyWindows= is not in 6 to 60");
	refused(&p, "\"metrics_textfile\":\"\"", "\"metrics_textfile\":\"\\u0000\"",
		"metrics_textfile: longer than 255 bytes, or with a NUL inside");
	refused(&p, "\"name\":\"web\"", "\"name\":[]", "groups[0].name: array, string expected");
	refused(&o, "\"state\":\"planned\"", "\"state\":\"x\"", "steps[0].state: unknown \"x\"");
	refused(&o, "\"load_ratio\":-0.0", "\"load_ratio\":null",
		"steps[0].load_ratio: null, double expected");
}

static void refuses_rows(void **state)
{
	struct cb_input s = { .kind = CB_INPUT_SNAPSHOT, .snapshot = &snapshot };
	struct cb_input t = { .kind = CB_INPUT_TOPOLOGY, .topology = topology };
	struct cb_input i = { .kind = CB_INPUT_IRQS, .irqs = irqs };

	(void)state;
	refused(&s, "\"cpus\":[[0],", "\"cpus\":[[0,1],", "cpus[0].2 columns, 1 expected");
	refused(&s, "\"cpus\":[[0],", "\"cpus\":[[],", "cpus[0].present: missing");
	refused(&s, "\"cpus\":[[0],", "\"cpus\":[[16],", "cpus[0].present: 16 is not in 0 to 15");
	refused(&s, "\"cpus\":[[0],", "\"cpus\":[5,", "cpus[0].array expected");
	refused(&s, "\"cpus\":[[0],", "\"cpus\":[[4],", "cpus[0].ctxsw: missing");
	refused(&s, "[0,-1,0]", "[4294967295,-1,0]", "irqs[1]: not ascending");
	refused(&s, "[0,-1,0]", "[0,-2147483649,0]",
		"irqs[0].effective_cpu: -2147483649 is not in -2147483648 to 2147483647");
	refused(&s, "\"valid\":2047", "\"valid\":4095", "valid: 0xfff has bits of unknown sources");
	refused(&s, "\"groups\":[", "\"groups\":7,\"x\":[", "groups: int, array expected");
	refused(&t, "\"n_cpu_ids\":4096", "\"n_cpu_ids\":4097",
		"n_cpu_ids: 4097 is not in 0 to 4096");
	refused(&t, "\"n_cpu_ids\":4096", "\"n_cpu_ids\":4095",
		"cpus: 4096 elements, 4095 to 4095 expected");
	refused(&t, "\"n_online\":2048", "\"n_online\":1", "n_online: 1, but 2048 CPUs are online");
	refused(&t, "[-1,-1,-1,1,1024]", "[-1,-1,-1,4096,1024]", "cpus[1]: out of range");
	refused(&t, "[-1,-1,-1,1,1024]", "[-1,-1,-1,1,0]", "cpus[1]: out of range");
	refused(&i, "\"irq\":4294967295", "\"irq\":0", "irqs[1]: not ascending");
	refused(&i, "\"class\":\"network\"", "\"class\":\"x\"", "irqs[1].class: unknown \"x\"");
}

static void refuses_text(void **state)
{
	static const char *const bad[] = {
		"",
		" ",
		"[]",
		"5",
		"null",
		"{} {}",
		"{}x",
		"{}",
		"{'in':'event'}",
		"{\"in\":5}",
		"{\"in\":\"event\",}",
		"\x01",
		"{\"a\":[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]}",
		"{\"trace\":2,\"version\":\"\",\"first_plan_id\":1}",
		"{\"trace\":1,\"first_plan_id\":1}",
		"{\"trace\":1,\"version\":\"\",\"first_plan_id\":1,\"x\":1}",
		"{\"out\":\"what\"}",
		"{\"out\":1}",
		"{\"in\":\"?\",\"now\":1}",
	};
	struct cb_trace_record record = { 0 };
	struct cb_input input = { .kind = CB_INPUT_SNAPSHOT, .snapshot = &snapshot };
	char *line = cb_trace_input_line(&input);

	(void)state;
	for (size_t i = 0; i < CB_ARRAY_SIZE(bad); i++) {
		struct cb_err err = { "" };
		int r = parse(bad[i], &record, &err);

		if ((r != -EBADMSG && r != -EAGAIN) || !err.msg[0])
			fail_msg("%d for %s", r, bad[i]);
	}
	/* Each prefix of a line ends too soon, and says so. */
	assert_non_null(line);
	for (size_t len = strlen(line) - 1; len > 0; len--) {
		struct cb_err err = { "" };

		line[len] = 0;
		assert_int_equal(parse(line, &record, &err), -EAGAIN);
	}
	free(line);
}

/* --- decisions --- */

static void fill_decision(struct cb_decision *ret, int garbage)
{
	memset(ret, garbage, sizeof(*ret));
	ret->now_usec = UINT64_MAX;
	ret->action = CB_ACTION_APPLY;
	ret->plan_id = 12;
	ret->group_key = 0;
	ret->n_steps = 1;
	ret->step[0] = outcome.step[1];
	ret->result = -EINVAL;
	strcpy(ret->answer, "no\n\"such\" plan");
	ret->answer_plan_id = 3;
	ret->n_notices = 1;
	ret->notices_lost = 2;
	ret->notice[0].kind = CB_NOTICE_PLAN_ENDED;
	ret->notice[0].finding = CB_FINDING_SATURATED;
	ret->notice[0].cpu = -1;
	ret->notice[0].plan_id = 12;
	ret->notice[0].verdict = CB_VERDICT_ROLLED_BACK;
	strcpy(ret->notice[0].sentence, "it hurt");
}

static void decisions(void **state)
{
	struct cb_trace_record record = { 0 };
	char *a, *b;

	(void)state;
	fill_decision(&decision, 0);
	a = cb_trace_decision_line(&decision);
	fill_decision(&decision, 0xff); /* the same but for what does not count */
	b = cb_trace_decision_line(&decision);
	assert_non_null(a);
	assert_non_null(b);
	assert_string_equal(a, b);
	assert_string_equal(
		a,
		"{\"out\":\"apply\",\"now\":18446744073709551615,\"plan\":12,\"group_key\":0,\"result\":-22,"
		"\"answer\":\"no\\u000a\\\"such\\\" plan\",\"answer_plan\":3,\"notices_lost\":2,"
		"\"steps\":[{\"item\":\"irq\",\"key\":4294967294,\"op\":\"restore\",\"from\":\"1\",\"to\":\"4094\","
		"\"load_ratio\":1.0,\"state\":\"done\",\"errno\":1,\"error\":\"transient\"}],"
		"\"notices\":[{\"notice\":\"plan_ended\",\"finding\":\"SATURATED\",\"cpu\":-1,\"plan\":12,"
		"\"verdict\":\"rolled_back\",\"sentence\":\"it hurt\"}]}");
	assert_int_equal(parse(a, &record, NULL), 0);
	assert_int_equal(record.line, CB_TRACE_LINE_DECISION);
	cb_trace_record_done(&record);
	decision.plan_id++;
	free(b);
	b = cb_trace_decision_line(&decision);
	assert_string_not_equal(a, b);
	free(a);
	free(b);
}

/* --- files --- */

static char directory[] = "/tmp/test_trace.XXXXXX", path[64];

static int make_directory(void **state)
{
	if (!mkdtemp(directory))
		return -1;
	snprintf(path, sizeof(path), "%s/trace", directory);
	return fill(state);
}

static int remove_directory(void **state)
{
	unlink(path);
	rmdir(directory);
	memset(directory + strlen(directory) - 6, 'X', 6);
	return empty(state);
}

/* A short life: what comes first, a few snapshots, an event that the engine refuses, a command. */
static void record_run(void)
{
	struct cb_engine *engine = cb_engine_new(7);
	struct cb_trace_writer *writer = NULL;
	struct cb_err err = { "" };
	struct cb_input inputs[] = {
		{ .kind = CB_INPUT_POLICY, .policy = &policy },
		{ .kind = CB_INPUT_TOPOLOGY, .topology = topology },
		{ .kind = CB_INPUT_IRQS, .irqs = irqs },
		{ .kind = CB_INPUT_SNAPSHOT, .snapshot = &snapshot },
		{ .kind = CB_INPUT_EVENT, .event = &event },
		{ .kind = CB_INPUT_SNAPSHOT, .snapshot = &snapshot },
		{ .kind = CB_INPUT_COMMAND, .command = &command },
	};

	cb_policy_init(&policy);
	topology->generation = snapshot.topology_generation = 1;
	event.kind = CB_EVENT_WORKER_GONE;
	command.kind = CB_COMMAND_APPLY;
	assert_non_null(engine);
	assert_int_equal(cb_trace_create(path, 7, &writer, &err), 0);
	for (size_t i = 0; i < CB_ARRAY_SIZE(inputs); i++) {
		int r;

		inputs[i].now_usec = snapshot.time_usec = (i + 1) * CB_USEC_PER_SEC;
		assert_int_equal(cb_trace_input(writer, &inputs[i]), 0);
		r = cb_engine_feed(engine, &inputs[i], &decision);
		assert_true(r == 0 || r == -EINVAL);
		assert_int_equal(cb_trace_decision(writer, &decision), 0);
	}
	assert_null(cb_trace_close(writer));
	cb_engine_free(engine);
}

static void replays(void **state)
{
	struct cb_replay_result result = { 0 };
	struct cb_err err = { "" };
	char *text = NULL;
	size_t size = 0, n_lines = 0;
	FILE *out = open_memstream(&text, &size);

	(void)state;
	record_run();
	assert_non_null(out);
	if (cb_trace_replay(path, out, &result, &err) < 0)
		fail_msg("%s", err.msg);
	fclose(out);
	assert_int_equal(result.n_inputs, 7);
	assert_int_equal(result.n_decisions, 7);
	assert_int_equal(result.n_differing, 0);
	assert_int_equal(result.first_differing_line, 0);
	for (size_t i = 0; i < size; i++)
		n_lines += text[i] == '\n';
	assert_int_equal(n_lines, 7);
	free(text);
}

/* The recorded trace as one string, which the caller frees. */
static char *recorded(void)
{
	FILE *file;
	char *text;
	size_t len;

	record_run();
	file = fopen(path, "r");
	assert_non_null(file);
	text = calloc(1, 1 << 20);
	assert_non_null(text);
	len = fread(text, 1, (1 << 20) - 1, file);
	assert_true(len > 0);
	fclose(file);
	return text;
}

static int replay_text(const char *text, struct cb_replay_result *ret, struct cb_err *err)
{
	FILE *in = fmemopen((void *)(uintptr_t)(*text ? text : "\n"), strlen(text) + !*text, "r");
	int r;

	assert_non_null(in);
	r = cb_trace_replay_stream(in, "FILE", NULL, ret, err);
	fclose(in);
	return r;
}

static void replay_differs(void **state)
{
	struct cb_replay_result result = { 0 };
	struct cb_err err = { "" };
	char *text = recorded(), *at = strstr(text, "\"notices_lost\":0");

	(void)state;
	assert_non_null(at);
	at[strlen("\"notices_lost\":")] = '1';
	assert_int_equal(replay_text(text, &result, &err), 0);
	assert_int_equal(result.n_differing, 1);
	assert_int_equal(result.first_differing_line, 3);
	free(text);
}

static void replay_refuses(void **state)
{
	struct cb_replay_result result = { .n_inputs = 99 };
	struct cb_err err = { "" };
	char *text = recorded(), *second = strchr(text, '\n') + 1,
	     *third = strchr(second, '\n') + 1;
	char *at;

	(void)state;
	assert_int_equal(replay_text(second, &result, &err), -EBADMSG);
	assert_string_equal(err.msg, "FILE:1: trace: the first line, and only it, is the header");
	/* Two decisions in a row: the second input's line is cut out. */
	memmove(second, third, strlen(third) + 1);
	assert_int_equal(replay_text(text, &result, &err), -EBADMSG);
	assert_string_equal(err.msg, "FILE:2: out: a decision without an input before it");
	free(text);

	text = recorded();
	at = strstr(text, "\"in\":\"topology\"");
	assert_non_null(at);
	memcpy(at, "\"in\":\"typology\"", strlen("\"in\":\"typology\""));
	assert_int_equal(replay_text(text, &result, &err), -EBADMSG);
	assert_string_equal(err.msg, "FILE:4: in: unknown \"typology\"");
	free(text);
	assert_int_equal(replay_text("", &result, &err), -EBADMSG);
	assert_string_equal(err.msg, "FILE:1: an empty line");
	assert_int_equal(result.n_inputs, 99);
	assert_int_equal(cb_trace_replay("/nowhere/trace", NULL, &result, &err), -ENOENT);
	assert_string_equal(err.msg,
			    "cannot open the trace /nowhere/trace: No such file or directory");
}

/* A recorder that was stopped inside a line: the trace ends before it. Inside the file it is an error. */
static void replay_of_a_torn_trace(void **state)
{
	struct cb_replay_result result = { 0 };
	struct cb_err err = { "" };
	char *text = recorded(), *last;

	(void)state;
	text[strlen(text) - 1] = 0; /* only the newline is missing */
	assert_int_equal(replay_text(text, &result, &err), 0);
	assert_int_equal(result.n_decisions, 7);
	text[strlen(text) - 10] = 0;
	assert_int_equal(replay_text(text, &result, &err), 0);
	assert_int_equal(result.n_inputs, 7);
	assert_int_equal(result.n_decisions, 6);
	last = strrchr(text, '\n');
	last[-10] = '\n';
	assert_int_equal(replay_text(text, &result, &err), -EBADMSG);
	free(text);
	assert_int_equal(replay_text("{\"trace\":1", &result, &err), -EBADMSG);
}

static void recorder_fails(void **state)
{
	struct cb_trace_writer *writer = NULL;
	struct cb_err err = { "" };

	(void)state;
	assert_int_equal(cb_trace_create("/nowhere/trace", 1, &writer, &err), -ENOENT);
	assert_string_equal(err.msg,
			    "cannot create the trace /nowhere/trace: No such file or directory");
	if (access("/dev/full", W_OK) == 0) {
		assert_int_equal(cb_trace_create("/dev/full", 1, &writer, &err), -ENOSPC);
		assert_string_equal(err.msg,
				    "cannot write the trace /dev/full: No space left on device");
	}
	assert_null(writer);
	assert_null(cb_trace_close(NULL));
}

#define TEST(name)	cmocka_unit_test_setup_teardown(name, fill, empty)
#define FILE_TEST(name) cmocka_unit_test_setup_teardown(name, make_directory, remove_directory)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(policies),
		TEST(topologies),
		TEST(interrupts),
		TEST(snapshots),
		TEST(presence),
		TEST(events),
		TEST(commands),
		TEST(outcomes),
		TEST(doubles),
		TEST(refuses_fields),
		TEST(refuses_rows),
		TEST(refuses_text),
		TEST(decisions),
		FILE_TEST(replays),
		FILE_TEST(replay_differs),
		FILE_TEST(replay_refuses),
		FILE_TEST(replay_of_a_torn_trace),
		FILE_TEST(recorder_fails),
	};

	return cmocka_run_group_tests_name("trace", tests, NULL, NULL);
}
