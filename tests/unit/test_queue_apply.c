/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Packet steering on a machine that is a table: the journal first, everything back, what others have set is left alone. */
#include "apply_test.h"

static struct cb_step place_queue(struct setting *s, enum cb_item_kind kind, const char *to,
				  uint32_t flows)
{
	struct cb_change change = change_of(s);
	struct cb_queue_id queue = { .ifindex = 4, .queue = 1 };
	struct cb_step step = { .item = { kind, cb_queue_key(4, 1) },
				.to = cpus(to),
				.share_to = flows };

	cb_place_queue(&change, &queue, "web", 5, &step);
	return step;
}

static void a_mask_is_set_and_put_back(void **state)
{
	struct machine_queue *q;
	struct cb_change change;
	struct setting s;

	(void)state;
	begin(&s);
	q = machine_add_queue(&s.machine, CB_KNOB_RPS_CPUS, "eth0", 4, 1, "3", 0);
	assert_step(place_queue(&s, CB_ITEM_RPS, "1-2", 0), CB_STEP_DONE, CB_ERROR_NONE);
	assert_mask(q->value.cpus, "1-2");
	assert_int_equal(cb_journal_count(s.journal), 1);
	assert_mask(cb_journal_at(s.journal, 0)->original, "3");
	assert_string_equal(cb_journal_at(s.journal, 0)->group, "web");
	/* once more, and the original stays what it was */
	assert_step(place_queue(&s, CB_ITEM_RPS, "", 0), CB_STEP_DONE, CB_ERROR_NONE);
	assert_true(cb_cpuset_empty(&q->value.cpus));
	assert_mask(cb_journal_at(s.journal, 0)->original, "3");
	/* the interface has got another name */
	snprintf(q->ifname, sizeof(q->ifname), "lan0");
	change = release(&s, "other");
	assert_int_equal(change.n_restored, 0);
	change = release(&s, "web");
	assert_int_equal(change.n_restored, 1);
	assert_mask(q->value.cpus, "3");
	assert_int_equal(cb_journal_count(s.journal), 0);
	end(&s);
}

static void flows_are_set_and_put_back(void **state)
{
	struct machine_queue *q, *table;
	struct cb_change change;
	struct cb_step step = { .item = { CB_ITEM_RFS, 0 }, .share_to = 32768 };
	const struct cb_queue_id machine = { .ifindex = 0 };
	struct setting s;

	(void)state;
	begin(&s);
	q = machine_add_queue(&s.machine, CB_KNOB_RPS_FLOWS, "eth0", 4, 1, "", 256);
	table = machine_add_queue(&s.machine, CB_KNOB_RPS_FLOWS, "", 0, 0, "", 0);
	assert_step(place_queue(&s, CB_ITEM_RFS, "", 4096), CB_STEP_DONE, CB_ERROR_NONE);
	change = change_of(&s);
	cb_place_queue(&change, &machine, "web", 5, &step);
	assert_step(step, CB_STEP_DONE, CB_ERROR_NONE);
	assert_int_equal(q->value.flows, 4096);
	assert_int_equal(table->value.flows, 32768);
	assert_int_equal(cb_journal_count(s.journal), 2);
	change = release(&s, "web");
	assert_int_equal(change.n_restored, 2);
	assert_int_equal(q->value.flows, 256);
	assert_int_equal(table->value.flows, 0);
	end(&s);
}

static void by_itself_what_we_want_is_not_ours(void **state)
{
	struct setting s;

	(void)state;
	begin(&s);
	machine_add_queue(&s.machine, CB_KNOB_XPS_CPUS, "eth0", 4, 1, "2", 0);
	assert_step(place_queue(&s, CB_ITEM_XPS, "2", 0), CB_STEP_DONE, CB_ERROR_NONE);
	assert_int_equal(s.machine.n_calls[OP_QUEUE_SET], 0);
	assert_int_equal(cb_journal_count(s.journal), 0);
	/* and what is back where it was is nobody's any more */
	assert_step(place_queue(&s, CB_ITEM_XPS, "3", 0), CB_STEP_DONE, CB_ERROR_NONE);
	assert_step(place_queue(&s, CB_ITEM_XPS, "2", 0), CB_STEP_DONE, CB_ERROR_NONE);
	assert_int_equal(cb_journal_count(s.journal), 0);
	end(&s);
}

static void what_others_have_set_is_left_alone(void **state)
{
	struct machine_queue *q;
	struct cb_change change;
	struct setting s;

	(void)state;
	begin(&s);
	q = machine_add_queue(&s.machine, CB_KNOB_RPS_CPUS, "eth0", 4, 1, "", 0);
	place_queue(&s, CB_ITEM_RPS, "1", 0);
	q->value.cpus = cpus("6");
	assert_step(place_queue(&s, CB_ITEM_RPS, "2", 0), CB_STEP_FAILED, CB_ERROR_FOREIGN);
	assert_mask(q->value.cpus, "6");
	change = release(&s, "web");
	assert_int_equal(change.n_foreign, 1);
	assert_mask(q->value.cpus, "6");
	assert_int_equal(cb_journal_count(s.journal), 0);
	end(&s);
}

static void what_fails_leaves_nothing(void **state)
{
	struct machine_queue *q;
	struct setting s;

	(void)state;
	begin(&s);
	assert_step(place_queue(&s, CB_ITEM_RPS, "1", 0), CB_STEP_GONE, CB_ERROR_GONE);
	q = machine_add_queue(&s.machine, CB_KNOB_RPS_CPUS, "eth0", 4, 1, "", 0);
	s.machine.fail_op = OP_QUEUE_SET;
	s.machine.fail_call = 1;
	s.machine.fail_calls = 1;
	s.machine.fail_errnum = EPERM;
	assert_step(place_queue(&s, CB_ITEM_RPS, "1", 0), CB_STEP_FAILED, CB_ERROR_PERMANENT);
	assert_int_equal(cb_journal_count(s.journal), 0);
	assert_true(cb_cpuset_empty(&q->value.cpus));
	/* the kernel drops a CPU of the mask without a word */
	machine_no_script(&s.machine);
	s.machine.dropped = cpus("2");
	assert_step(place_queue(&s, CB_ITEM_RPS, "1-2", 0), CB_STEP_FAILED, CB_ERROR_FOREIGN);
	assert_int_equal(cb_journal_count(s.journal), 0);
	assert_true(cb_cpuset_empty(&q->value.cpus));
	end(&s);
}

static void an_interface_that_is_gone_takes_its_entry_along(void **state)
{
	struct machine_queue *q;
	struct cb_change change;
	struct setting s;

	(void)state;
	begin(&s);
	q = machine_add_queue(&s.machine, CB_KNOB_RPS_CPUS, "eth0", 4, 1, "", 0);
	place_queue(&s, CB_ITEM_RPS, "1", 0);
	assert_int_equal(release_pending(&s), 0);
	assert_int_equal(cb_journal_count(s.journal), 1);
	q->there = false;
	release_pending(&s);
	assert_int_equal(cb_journal_count(s.journal), 0);
	q->there = true;
	place_queue(&s, CB_ITEM_RPS, "2", 0);
	q->there = false;
	change = release(&s, "web");
	assert_int_equal(change.n_gone, 1);
	assert_int_equal(cb_journal_count(s.journal), 0);
	end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_mask_is_set_and_put_back),
		cmocka_unit_test(flows_are_set_and_put_back),
		cmocka_unit_test(by_itself_what_we_want_is_not_ours),
		cmocka_unit_test(what_others_have_set_is_left_alone),
		cmocka_unit_test(what_fails_leaves_nothing),
		cmocka_unit_test(an_interface_that_is_gone_takes_its_entry_along),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
