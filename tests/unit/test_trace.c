/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Lines of a trace: each kind of input to a line, back, and to the same line, with extremes in every field; what is
 * refused and how it is named; equal decisions give equal bytes.
 */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/trace_inputs.h"

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

static void queues(void **state)
{
	static union {
		struct cb_queues queues;
		uint8_t room[sizeof(struct cb_queues) + 2 * sizeof(struct cb_queue_info)];
	} u = { .queues = { .generation = 3,
			    .has_table = true,
			    .table = 32768,
			    .table_placed = true,
			    .table_group = "web",
			    .n = 2 } };
	struct cb_input input = { .kind = CB_INPUT_QUEUES, .queues = &u.queues };
	struct cb_trace_record record;
	struct cb_err err;
	char *line;

	(void)state;
	for (uint32_t i = 0; i < 2; i++)
		u.queues.queue[i] = (struct cb_queue_info){ .ifindex = 4,
							    .queue = i,
							    .dir = CB_QUEUE_RX,
							    .ifname = "eth0",
							    .device = true,
							    .cpus = cb_cpuset_of(i),
							    .flows = 4096,
							    .placed = true,
							    .flows_placed = true,
							    .group = "web" };
	round_trip(&input, &record);
	assert_int_equal(record.input.queues->table, 32768);
	assert_int_equal(record.input.queues->queue[1].flows, 4096);
	assert_string_equal(record.input.queues->queue[1].group, "web");
	assert_memory_equal(&record.input.queues->queue[1].cpus, &u.queues.queue[1].cpus,
			    sizeof(struct cb_cpuset));
	cb_trace_record_done(&record);
	/* they are found by search */
	u.queues.queue[1].queue = 0;
	line = cb_trace_input_line(&input);
	assert_int_equal(parse(line, &record, &err), -EBADMSG);
	assert_string_equal(err.msg, "queues[1]: not ascending");
	free(line);
	u.queues.queue[1].dir = CB_QUEUE_BOTH;
	line = cb_trace_input_line(&input);
	assert_int_equal(parse(line, &record, &err), -EBADMSG);
	free(line);
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
	for (uint32_t bits = 0; bits < 1u << 10; bits++) {
		snapshot.worker[1].present = bits;
		snapshot.cpu[1].present = bits & 15;
		snapshot.group[1].present = bits & 15;
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
		"14 fields, of which 13 are known");
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
	refused(&s, "[0,-1,0,0]", "[4294967295,-1,0,0]", "irqs[1]: not ascending");
	refused(&s, "[0,-1,0,0]", "[0,-2147483649,0,0]",
		"irqs[0].effective_cpu: -2147483649 is not in -2147483648 to 2147483647");
	refused(&s, "\"valid\":8191", "\"valid\":16383",
		"valid: 0x3fff has bits of unknown sources");
	refused(&s, "\"groups\":[", "\"groups\":7,\"x\":[", "groups: int, array expected");
	refused(&t, "\"n_cpu_ids\":4096", "\"n_cpu_ids\":4097",
		"n_cpu_ids: 4097 is not in 0 to 4096");
	refused(&t, "\"n_cpu_ids\":4096", "\"n_cpu_ids\":4095",
		"cpus: 4096 elements, 4095 to 4095 expected");
	refused(&t, "\"n_online\":2048", "\"n_online\":1", "n_online: 1, but 2048 CPUs are online");
	refused(&t, "[-1,-1,-1,1,1024,-1]", "[-1,-1,-1,4096,1024,-1]", "cpus[1]: out of range");
	refused(&t, "[-1,-1,-1,1,1024,-1]", "[-1,-1,-1,1,0,-1]", "cpus[1]: out of range");
	refused(&t, "[-1,-1,-1,1,1024,-1]", "[-1,-1,-1,1,1024,4096]", "cpus[1]: out of range");
	refused(&t, "[0,1,255]", "[0,64,255]", "distances[0].to: 64 is not in 0 to 63");
	refused(&t, "[0,1,255]", "[0,1,256]", "distances[0].distance: 256 is not in 0 to 255");
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
	ret->notice[0].worker_key = 4;
	ret->notice[0].group_key = 2;
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
		"\"load_ratio\":1.0,\"share_from\":0,\"share_to\":0,\"state\":\"done\",\"errno\":1,"
		"\"error\":\"transient\",\"reject\":\"NONE\"}],"
		"\"notices\":[{\"notice\":\"plan_ended\",\"finding\":\"SATURATED\",\"cpu\":-1,"
		"\"worker_key\":4,\"group_key\":2,\"plan\":12,"
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, fill, empty)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(policies),	    TEST(topologies), TEST(interrupts),	    TEST(snapshots),
		TEST(queues),	    TEST(presence),   TEST(events),	    TEST(commands),
		TEST(outcomes),	    TEST(doubles),    TEST(refuses_fields), TEST(refuses_rows),
		TEST(refuses_text), TEST(decisions),
	};

	return cmocka_run_group_tests_name("trace", tests, NULL, NULL);
}
