/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Interrupts that a driver requests anew: under the same number, under another name, under another number. */
#include "apply_test.h"

static struct cb_irqs *inventory;

static int again(struct setting *s)
{
	struct cb_host host = { .writer = &s->machine.writer };
	uint32_t n = 0;

	inventory->n = 0;
	for (uint32_t i = 0; i < MACHINE_IRQS; i++) {
		const struct machine_irq *irq = &s->machine.irq[i];

		if (irq->irq == 0 || irq->gone)
			continue;
		inventory->irq[inventory->n] = (struct cb_irq_info){ .irq = irq->irq,
								     .hwirq = irq->hwirq,
								     .affinity = irq->mask };
		memcpy(inventory->irq[inventory->n++].actions, irq->actions, sizeof(irq->actions));
	}
	n = cb_irqs_again(&host, s->journal, inventory);
	return (int)n;
}

static void reset_under_the_same_number(void **state)
{
	struct setting s;

	(void)state;
	begin(&s);
	assert_step(place_irq(&s, "3"), CB_STEP_PENDING, CB_ERROR_NONE);
	assert_int_equal(again(&s), 0); /* nothing has happened to it */
	s.irq->mask = cpus("0-7");
	assert_int_equal(again(&s), 1);
	assert_mask(s.irq->mask, "3");
	assert_mask(inventory->irq[0].affinity, "3");
	/* Somebody's own mask is left alone. */
	s.irq->mask = cpus("5");
	assert_int_equal(again(&s), 0);
	assert_mask(s.irq->mask, "5");
	s.irq->mask = cpus("3");
	release(&s, NULL);
	machine_fire(s.irq);
	release_pending(&s);
	assert_mask(s.irq->mask, "0-7");
	assert_int_equal(cb_journal_count(s.journal), 0);
	end(&s);
}

static void renamed(void **state)
{
	struct setting s;

	(void)state;
	begin(&s);
	place_irq(&s, "3");
	strcpy(s.irq->actions, "lan0-rx-0");
	assert_int_equal(again(&s), 1); /* its mask is ours still: the entry follows */
	assert_int_equal(cb_journal_count(s.journal), 1);
	assert_string_equal(cb_journal_at(s.journal, 0)->actions, "lan0-rx-0");
	assert_mask(cb_journal_at(s.journal, 0)->original, "0-7");
	strcpy(s.irq->actions, "wan0-rx-0");
	s.irq->mask = cpus("0-7");
	assert_int_equal(again(&s), 1);
	assert_mask(s.irq->mask, "3");
	end(&s);
}

static void under_another_number(void **state)
{
	const struct cb_cpuset narrow = cpus("0-3");
	struct machine_irq *other;
	struct setting s;

	(void)state;
	begin(&s);
	place_irq(&s, "3");
	s.irq->gone = true;
	assert_int_equal(again(&s), 0);
	assert_int_equal(cb_journal_count(s.journal), 1);
	/* Another interface's is none of ours. */
	machine_add_irq(&s.machine, 50, "eth1-rx-0", &s.irq->original, 0);
	assert_int_equal(again(&s), 0);
	/* One with a mask that somebody has chosen stays as it is. */
	other = machine_add_irq(&s.machine, 60, "eth0-rx-0", &narrow, 0);
	assert_int_equal(again(&s), 0);
	assert_mask(other->mask, "0-3");
	other->mask = other->original = cpus("0-7");
	assert_int_equal(again(&s), 1);
	assert_mask(other->mask, "3");
	assert_int_equal(cb_journal_count(s.journal), 1);
	assert_int_equal(cb_journal_at(s.journal, 0)->irq, 60);
	/* And it gets its own original back. */
	release(&s, NULL);
	machine_fire(other);
	release_pending(&s);
	assert_mask(other->mask, "0-7");
	end(&s);
}

/* A driver that spreads its queues over the CPUs, and does it again whenever one comes or goes. */
static void spread_by_its_driver(void **state)
{
	struct machine_irq *other;
	struct setting s;

	(void)state;
	begin(&s);
	place_irq(&s, "3");
	s.irq->mask = s.irq->hint = cpus("0-1");
	assert_int_equal(again(&s), 1);
	assert_mask(s.irq->mask, "3");
	s.irq->mask = cpus("0");
	assert_int_equal(again(&s), 0); /* not quite what it says */
	assert_mask(s.irq->mask, "0");
	s.irq->mask = cpus("3");
	s.irq->gone = true;
	other = machine_add_irq(&s.machine, 60, "eth0-rx-0", &s.irq->hint, 0);
	other->hint = other->mask;
	assert_int_equal(again(&s), 1);
	assert_mask(other->mask, "3");
	release(&s, NULL);
	machine_fire(other);
	release_pending(&s);
	assert_mask(other->mask, "0-1");
	end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reset_under_the_same_number),
		cmocka_unit_test(renamed),
		cmocka_unit_test(under_another_number),
		cmocka_unit_test(spread_by_its_driver),
	};
	int failed;

	inventory = calloc(1, sizeof(*inventory) + MACHINE_IRQS * sizeof(inventory->irq[0]));
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	free(inventory);
	return failed;
}
