/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Placements whose CPUs have all gone offline: what the kernel gives instead is taken for nobody's wish, the original comes back, and
 * who was not concerned is left alone.
 */
#include "apply_test.h"

#include "cpubalance/sources.h"
#include "lib/host/hotplug.h"

static struct cb_hotplug hotplug;

/* The news of one CPU that has gone, with what was online just then; it may be back by now. */
static struct cb_change strand(struct setting *s, const char *online)
{
	struct cb_change change = { .writer = &s->machine.writer, .journal = s->journal };
	struct cb_cpuset then = cpus(online);

	hotplug.n = 0;
	cb_hotplug_strand(&hotplug, &change, &then);
	return change;
}

static void the_last_cpu_goes(void **state)
{
	struct setting s;

	(void)state;
	begin(&s);
	place(&s, s.main, "3");
	machine_offline(&s.machine, 3);
	strand(&s, "0-2,4-7");
	assert_int_equal(hotplug.n, 1);
	assert_int_equal(hotplug.stranded[0].tgid, s.main->tgid);
	assert_int_equal(cb_journal_count(s.journal), 0);
	machine_assert_true(&s.machine);
	end(&s);
}

/* Away between two looks: without the news that mask would be somebody else's. */
static void the_last_cpu_goes_and_comes_back(void **state)
{
	struct setting s;

	(void)state;
	begin(&s);
	place(&s, s.main, "3");
	machine_offline(&s.machine, 3);
	machine_online(&s.machine, 3);
	strand(&s, "0-2,4-7");
	assert_int_equal(hotplug.n, 1);
	assert_int_equal(cb_journal_count(s.journal), 0);
	machine_assert_true(&s.machine);
	end(&s);
}

static void who_slept_meanwhile_stays_where_he_is(void **state)
{
	struct setting s;

	(void)state;
	begin(&s);
	place(&s, s.main, "3");
	s.main->asleep = s.second->asleep = s.third->asleep = true;
	machine_offline(&s.machine, 3);
	machine_online(&s.machine, 3);
	strand(&s, "0-2,4-7");
	assert_int_equal(hotplug.n, 0);
	assert_mask(s.main->mask, "3");
	machine_offline(&s.machine, 3);
	strand(&s, "0-2,4-7");
	assert_int_equal(hotplug.n, 1);
	machine_assert_true(&s.machine);
	end(&s);
}

static void an_interrupt_comes_back(void **state)
{
	struct setting s;

	(void)state;
	begin(&s);
	place_irq(&s, "3");
	machine_fire(s.irq);
	machine_offline(&s.machine, 3);
	machine_online(&s.machine, 3);
	strand(&s, "0-2,4-7");
	assert_int_equal(hotplug.n, 1);
	assert_int_equal(hotplug.stranded[0].irq, s.irq->irq);
	machine_fire(s.irq);
	release_pending(&s);
	assert_int_equal(cb_journal_count(s.journal), 0);
	machine_assert_true(&s.machine);
	end(&s);
}

static void one_of_two_cpus_is_no_matter(void **state)
{
	struct setting s;

	(void)state;
	begin(&s);
	place(&s, s.main, "3-4");
	machine_offline(&s.machine, 3);
	strand(&s, "0-2,4-7");
	assert_int_equal(hotplug.n, 0);
	assert_true(cb_journal_count(s.journal) > 0);
	machine_online(&s.machine, 3);
	release(&s, NULL);
	machine_assert_true(&s.machine);
	end(&s);
}

/* No CPU of his went: a mask that is not ours is his who set it. */
static void somebody_elses_mask_stays(void **state)
{
	struct cb_cpuset his = cpus("0-7");
	struct setting s;

	(void)state;
	begin(&s);
	place(&s, s.main, "3");
	machine_pin(s.main, &his);
	machine_pin(s.second, &his);
	machine_offline(&s.machine, 5);
	strand(&s, "0-4,6-7");
	assert_int_equal(hotplug.n, 0);
	release(&s, NULL);
	machine_assert_true(&s.machine);
	end(&s);
}

/* Its original cannot be had either: the journal keeps it until it can. */
static void an_original_that_is_offline_too_waits(void **state)
{
	struct cb_cpuset two = cpus("2");
	struct setting s;

	(void)state;
	begin(&s);
	machine_pin(s.main, &two);
	machine_pin(s.second, &two);
	place(&s, s.main, "3");
	machine_offline(&s.machine, 2);
	machine_offline(&s.machine, 3);
	assert_true(strand(&s, "0-1,4-7").n_failed > 0);
	assert_true(cb_journal_count(s.journal) > 0);
	machine_online(&s.machine, 2);
	release(&s, NULL);
	assert_int_equal(cb_journal_count(s.journal), 0);
	machine_assert_true(&s.machine);
	end(&s);
}

static void refuse_writes(struct machine *machine, enum machine_op op, uint32_t call)
{
	(void)call;
	if (op != OP_TASK_SET)
		return;
	machine->fail_op = OP_TASK_SET;
	machine->fail_call = machine->n_calls[OP_TASK_SET];
	machine->fail_calls = 1;
	machine->fail_errnum = EIO;
}

/* What was learned is on the disk before anything is written: whoever comes after a crash knows it. */
static void what_was_learned_outlives_a_failure(void **state)
{
	struct setting s;

	(void)state;
	begin(&s);
	place(&s, s.main, "3");
	machine_offline(&s.machine, 3);
	machine_online(&s.machine, 3);
	s.machine.before = refuse_writes;
	assert_true(strand(&s, "0-2,4-7").n_failed > 0);
	machine_no_script(&s.machine);
	release(&s, NULL);
	assert_int_equal(cb_journal_count(s.journal), 0);
	machine_assert_true(&s.machine);
	end(&s);
}

static void words_of_the_kernel(void **state)
{
	static const struct {
		const char *text;
		size_t len;
		int r;
		uint32_t cpu;
		bool online;
	} cases[] = {
#define TEXT(t) t, sizeof(t) - 1
		{ TEXT("offline@/devices/system/cpu/cpu5\0ACTION=offline\0SUBSYSTEM=cpu\0"), 1, 5,
		  false },
		{ TEXT("online@/devices/system/cpu/cpu15\0ACTION=online\0"), 1, 15, true },
		{ TEXT("online@/devices/system/cpu/cpu0"), 1, 0, true },
		{ TEXT("offline@/devices/system/cpu/cpu99999\0"), 0, 0, false },
		{ TEXT("offline@/devices/system/cpu/cpu5x\0"), 0, 0, false },
		{ TEXT("offline@/devices/system/cpu/cpu"), 0, 0, false },
		{ TEXT("offline@/devices/system/memory/memory5\0"), 0, 0, false },
		{ TEXT("change@/devices/system/cpu/cpu5\0"), 0, 0, false },
		{ TEXT("libudev\0\xfe\xed\xca\xfe"), 0, 0, false },
		{ TEXT(""), 0, 0, false },
#undef TEXT
	};

	(void)state;
	for (size_t i = 0; i < CB_ARRAY_SIZE(cases); i++) {
		uint32_t cpu = 0;
		bool online = false;

		assert_int_equal(cb_uevent_parse(cases[i].text, cases[i].len, &cpu, &online),
				 cases[i].r);
		assert_int_equal(cpu, cases[i].cpu);
		assert_int_equal(online, cases[i].online);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_last_cpu_goes),
		cmocka_unit_test(the_last_cpu_goes_and_comes_back),
		cmocka_unit_test(who_slept_meanwhile_stays_where_he_is),
		cmocka_unit_test(an_interrupt_comes_back),
		cmocka_unit_test(one_of_two_cpus_is_no_matter),
		cmocka_unit_test(somebody_elses_mask_stays),
		cmocka_unit_test(an_original_that_is_offline_too_waits),
		cmocka_unit_test(what_was_learned_outlives_a_failure),
		cmocka_unit_test(words_of_the_kernel),
	};

	return cmocka_run_group_tests_name("hotplug", tests, NULL, NULL);
}
