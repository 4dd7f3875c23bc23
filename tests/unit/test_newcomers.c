/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* First places of workers and interrupts that come. */
#include "cpubalance/engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "world.h"

#define OLD 77u /* a start long ago */

static void leave(struct world *world, uint32_t index)
{
	struct cb_event event = { .kind = CB_EVENT_WORKER_GONE, .worker_key = index + 1 };

	world->worker[index].alive = false;
	world_event(world, &event);
}

static uint32_t come_now(struct world *world, unsigned int cpu, double demand)
{
	return world_add_worker(world, 1, cpu, demand, world->now_usec / 10000);
}

static uint32_t moves_hour(const struct world *world)
{
	struct cb_group_view view;

	cb_engine_group(world->engine, 0, &view);
	return view.moves_hour;
}

static void set_group(struct world *world, const char *allowed, enum cb_placement placement)
{
	struct cb_event event = { .kind = CB_EVENT_GROUP_ADDED, .group_key = 1 };

	strcpy(event.group.name, "web");
	strcpy(event.group.interfaces, "eth0");
	event.group.placement = placement;
	if (allowed) {
		event.group.has_allowed = true;
		assert_int_equal(cb_cpuset_parse_list(allowed, strlen(allowed),
						      &event.group.allowed_cpus),
				 0);
	}
	world_event(world, &event);
}

/* --- another's place --- */

/* Two workers on CPU 0, one of which was moved, and that was kept. Returns it. */
static uint32_t begin_kept(struct world *world)
{
	world_init(world, 4, 2);
	world->worker[0].demand = world->worker[1].demand = 0.8;
	world->noise_ratio = 0.02;
	world_ticks(world, 120);
	assert_int_equal(world->n_applies, 1);
	assert_int_equal(world->last_verdict, CB_VERDICT_KEPT);
	return cb_cpuset_count(&world->worker[0].mask) == 1 ? 1 : 0;
}

static void who_comes_back_gets_the_place(void **state)
{
	struct world world;
	uint32_t moved, next;

	(void)state;
	moved = begin_kept(&world);
	leave(&world, moved);
	world_ticks(&world, 2);
	next = come_now(&world, 0, 0.8);
	world_ticks(&world, 2);
	assert_int_equal(world.n_applies, 2);
	assert_int_equal(cb_cpuset_count(&world.worker[next].mask), 4);
	assert_non_null(strstr(world.last_sentence, "as it was kept before"));
	assert_int_equal(moves_hour(&world), 1);
	assert_int_equal(cb_engine_last_plan(world.engine)->unjudged, true);
	/* it is an ordinary placement from then on, and there is nothing more to do */
	world_ticks(&world, 300);
	assert_int_equal(world.n_applies, 2);
	world_done(&world);
}

static void only_as_far_as_it_is_allowed(void **state)
{
	struct world world;
	uint32_t moved, next;

	(void)state;
	moved = begin_kept(&world);
	leave(&world, moved);
	set_group(&world, "0-1", CB_PLACEMENT_AUTO);
	next = come_now(&world, 0, 0.8);
	world_ticks(&world, 2);
	assert_int_equal(cb_cpuset_count(&world.worker[next].mask), 2);
	assert_true(cb_cpuset_has(&world.worker[next].mask, 1));
	world_done(&world);
}

static void another_pin_is_another_decision(void **state)
{
	struct world world;
	uint32_t moved;

	(void)state;
	moved = begin_kept(&world);
	leave(&world, moved);
	come_now(&world, 2, 0.8);
	world_ticks(&world, 60);
	assert_int_equal(world.n_applies, 1);
	world_done(&world);
}

static void who_dies_young_hands_nothing_on(void **state)
{
	struct world world;
	uint32_t moved, next;

	(void)state;
	moved = begin_kept(&world);
	leave(&world, moved);
	next = come_now(&world, 0, 0.1);
	world_ticks(&world, 3);
	assert_int_equal(world.n_applies, 2);
	for (uint32_t i = 0; i < 5; i++) {
		leave(&world, next);
		next = come_now(&world, 0, 0.1);
		world_ticks(&world, 2);
	}
	assert_int_equal(world.n_applies, 2);
	world_done(&world);
}

static void what_is_rolled_back_is_nobodys_place(void **state)
{
	struct cb_command command = { .kind = CB_COMMAND_ROLLBACK };
	struct world world;
	uint32_t moved;

	(void)state;
	moved = begin_kept(&world);
	leave(&world, moved);
	assert_int_equal(world_command(&world, &command).result, 0);
	come_now(&world, 0, 0.05);
	world_ticks(&world, 60);
	assert_int_equal(cb_cpuset_count(&world.worker[world.n_workers - 1].mask), 1);
	world_done(&world);
}

static void nothing_while_paused_or_observed(void **state)
{
	struct cb_command pause = { .kind = CB_COMMAND_PAUSE };
	struct cb_command observe = { .kind = CB_COMMAND_MODE, .mode = CB_MODE_OBSERVE };

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct world world;
		uint32_t moved = begin_kept(&world);

		leave(&world, moved);
		world_command(&world, i ? &observe : &pause);
		come_now(&world, 0, 0.8);
		world_ticks(&world, 60);
		assert_int_equal(world.n_applies, 1);
		world_done(&world);
	}
}

/* --- away from a hot CPU --- */

/* Three workers that want half a CPU each, on the CPUs 0 to 2 of four. */
static void begin_three(struct world *world)
{
	world_init(world, 4, 3);
	for (uint32_t i = 0; i < 3; i++)
		world->worker[i].mask = world->worker[i].original = cb_cpuset_of(i);
	world->policy.quiet_start_usec = 30 * CB_USEC_PER_SEC;
	world_policy(world);
	world_ticks(world, 60);
	assert_int_equal(world->n_applies, 0);
}

static void who_lands_on_a_busy_cpu_gets_a_wide_mask(void **state)
{
	struct world world;
	uint32_t next;

	(void)state;
	begin_three(&world);
	next = come_now(&world, 0, 0.5);
	world_ticks(&world, 4);
	assert_int_equal(world.n_applies, 1);
	assert_int_equal(cb_cpuset_count(&world.worker[next].mask), 4);
	assert_non_null(strstr(world.last_sentence, "a first place, not judged"));
	assert_int_equal(moves_hour(&world), 0);
	world_ticks(&world, 120);
	assert_int_equal(world.n_applies, 1);
	world_done(&world);
}

static void with_placement_core_it_gets_the_coolest(void **state)
{
	struct world world;
	uint32_t next;

	(void)state;
	begin_three(&world);
	set_group(&world, NULL, CB_PLACEMENT_CORE);
	next = come_now(&world, 1, 0.5);
	world_ticks(&world, 4);
	assert_true(
		cb_cpuset_equal(&world.worker[next].mask, &(struct cb_cpuset){ .word = { 8 } }));
	world_done(&world);
}

static void who_lands_well_stays(void **state)
{
	struct world world;

	(void)state;
	begin_three(&world);
	come_now(&world, 3, 0.5);
	world_ticks(&world, 120);
	assert_int_equal(world.n_applies, 0);
	world_done(&world);
}

/* Its predecessor's load is still in the smoothed figures of its CPU. */
static void who_comes_back_at_once_is_not_its_own_neighbour(void **state)
{
	struct world world;

	(void)state;
	begin_three(&world);
	leave(&world, 1);
	come_now(&world, 1, 0.5);
	world_ticks(&world, 120);
	assert_int_equal(world.n_applies, 0);
	world_done(&world);
}

static void two_at_once_do_not_go_to_the_same_cpu(void **state)
{
	struct world world;
	uint32_t a, b;

	(void)state;
	world_init(&world, 4, 2);
	for (uint32_t i = 0; i < 2; i++)
		world.worker[i].mask = world.worker[i].original = cb_cpuset_of(i);
	set_group(&world, NULL, CB_PLACEMENT_CORE);
	world.policy.quiet_start_usec = 30 * CB_USEC_PER_SEC;
	world_policy(&world);
	world_ticks(&world, 60);
	a = come_now(&world, 0, 0.5);
	b = come_now(&world, 1, 0.5);
	world_ticks(&world, 4);
	assert_int_equal(world.n_applies, 1);
	assert_int_equal(cb_cpuset_first(&world.worker[a].mask) +
				 cb_cpuset_first(&world.worker[b].mask),
			 2 + 3);
	world_done(&world);
}

static void only_in_auto_and_only_who_is_new(void **state)
{
	struct cb_command advise = { .kind = CB_COMMAND_MODE, .mode = CB_MODE_ADVISE };
	struct world world;

	(void)state;
	begin_three(&world);
	world_command(&world, &advise);
	come_now(&world, 0, 0.3);
	world_ticks(&world, 10);
	assert_int_equal(world.n_applies, 0);
	world_done(&world);
	/* it has run there for long, and was only registered now */
	begin_three(&world);
	world_add_worker(&world, 1, 0, 0.3, OLD);
	world_ticks(&world, 10);
	assert_int_equal(world.n_applies, 0);
	world_done(&world);
}

static void where_all_are_busy_it_stays(void **state)
{
	struct world world;

	(void)state;
	begin_three(&world);
	world.batch[3] = 0.6;
	world_ticks(&world, 20);
	come_now(&world, 0, 0.5);
	world_ticks(&world, 5);
	assert_int_equal(world.n_applies, 0);
	world_done(&world);
}

/* --- interrupts --- */

static uint32_t n_queues;
static uint64_t count, softirq_ticks;

/* Each queue takes 30 % of CPU 0, as softirq time. */
static void receive(struct world *world, struct cb_snapshot *snapshot)
{
	(void)world;
	count += 5000;
	softirq_ticks += 30 * n_queues;
	snapshot->n_irqs = n_queues;
	for (uint32_t i = 0; i < n_queues; i++)
		snapshot->irq[i] =
			(struct cb_irq_sample){ .irq = 40 + i, .effective_cpu = 0, .count = count };
	snapshot->cpu[0].time_ticks[CB_TIME_SOFTIRQ] = softirq_ticks;
	snapshot->cpu[0].time_ticks[CB_TIME_IDLE] -= softirq_ticks;
}

static void set_queues(struct world *world, uint32_t n)
{
	struct cb_irqs *irqs = calloc(1, sizeof(*irqs) + n * sizeof(irqs->irq[0]));
	struct cb_input input = { .kind = CB_INPUT_IRQS, .irqs = irqs };

	assert_non_null(irqs);
	n_queues = n;
	irqs->generation = n;
	irqs->n = n;
	for (uint32_t i = 0; i < n; i++) {
		irqs->irq[i] = (struct cb_irq_info){ .irq = 40 + i,
						     .class = CB_IRQ_NETWORK,
						     .writable = true,
						     .node = -1,
						     .affinity = cb_cpuset_of(0) };
		strcpy(irqs->irq[i].ifname, "eth0");
		snprintf(irqs->irq[i].actions, sizeof(irqs->irq[i].actions), "eth0-rx-%u", i);
	}
	input.now_usec = world->now_usec;
	world_feed(world, &input);
	free(irqs);
}

static void begin_queues(struct world *world)
{
	world_init(world, 4, 1);
	softirq_ticks = 0;
	assert_int_equal(cb_snapshot_reserve(&world->snapshot, 4, 8, WORLD_WORKERS, 1), 0);
	world->worker[0].mask = world->worker[0].original = cb_cpuset_of(1);
	set_group(world, NULL, CB_PLACEMENT_AUTO);
	world->shape = receive;
	world->policy.hot_idle_usec = 600 * CB_USEC_PER_SEC;
	world_policy(world);
	set_queues(world, 1);
	world_ticks(world, 30);
	assert_int_equal(world->n_applies, 0);
}

static void a_new_interrupt_on_a_hot_cpu_is_led_away(void **state)
{
	const struct cb_plan *plan;
	struct world world;

	(void)state;
	begin_queues(&world);
	set_queues(&world, 3);
	world_ticks(&world, 5);
	assert_int_equal(world.n_applies, 1);
	plan = cb_engine_last_plan(world.engine);
	assert_true(plan->unjudged);
	for (uint32_t i = 0; i < plan->n_steps; i++) {
		assert_int_equal(plan->step[i].item.kind, CB_ITEM_IRQ);
		assert_in_range(plan->step[i].item.key, 41, 42);
		assert_in_range(cb_cpuset_first(&plan->step[i].to), 2, 3);
	}
	world_done(&world);
}

static void a_new_interrupt_that_may_not_be_moved_stays(void **state)
{
	struct cb_event irqbalance = { .kind = CB_EVENT_IRQBALANCE, .present = true };
	struct world world;

	(void)state;
	begin_queues(&world);
	world_event(&world, &irqbalance);
	set_queues(&world, 3);
	world_ticks(&world, 30);
	assert_int_equal(world.n_applies, 0);
	world_done(&world);
}

/* It was there all the time that nothing might be done: that somebody else comes now makes it no newcomer. */
static void an_interrupt_is_not_new_for_ever(void **state)
{
	struct cb_command mode = { .kind = CB_COMMAND_MODE, .mode = CB_MODE_OBSERVE };
	struct world world;

	(void)state;
	begin_queues(&world);
	world_command(&world, &mode);
	set_queues(&world, 3);
	world_ticks(&world, 100);
	mode.mode = CB_MODE_AUTO;
	world_command(&world, &mode);
	set_queues(&world, 3);
	come_now(&world, 3, 0.1);
	world_ticks(&world, 10);
	assert_int_equal(world.n_applies, 0);
	world_done(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_comes_back_gets_the_place),
		cmocka_unit_test(only_as_far_as_it_is_allowed),
		cmocka_unit_test(another_pin_is_another_decision),
		cmocka_unit_test(who_dies_young_hands_nothing_on),
		cmocka_unit_test(what_is_rolled_back_is_nobodys_place),
		cmocka_unit_test(nothing_while_paused_or_observed),
		cmocka_unit_test(who_lands_on_a_busy_cpu_gets_a_wide_mask),
		cmocka_unit_test(with_placement_core_it_gets_the_coolest),
		cmocka_unit_test(who_lands_well_stays),
		cmocka_unit_test(who_comes_back_at_once_is_not_its_own_neighbour),
		cmocka_unit_test(two_at_once_do_not_go_to_the_same_cpu),
		cmocka_unit_test(only_in_auto_and_only_who_is_new),
		cmocka_unit_test(where_all_are_busy_it_stays),
		cmocka_unit_test(a_new_interrupt_on_a_hot_cpu_is_led_away),
		cmocka_unit_test(a_new_interrupt_that_may_not_be_moved_stays),
		cmocka_unit_test(an_interrupt_is_not_new_for_ever),
	};

	return cmocka_run_group_tests_name("newcomers", tests, NULL, NULL);
}
