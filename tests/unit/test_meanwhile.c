/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What happens to a machine while something is placed on it and put back: at each single operation of the writer, processes and
 * threads end, others begin, interrupts vanish, CPUs go offline and come back. After each, the invariant: every mask is the
 * true one or the one that the journal says, and once the dust has settled a release makes all of them the true ones.
 */
#include "apply_test.h"

enum mishap {
	PROCESS_ENDS,
	THREAD_ENDS,
	THREAD_BEGINS,
	PROCESS_FORKS,
	INTERRUPT_VANISHES,
	TARGET_GOES_OFFLINE,
	ALL_BUT_ONE_GO_OFFLINE,
	TARGET_GOES_AND_COMES,
	_MISHAP_MAX,
};
static const char *const mishap_names[_MISHAP_MAX] = {
	"the process ends",	  "a thread ends",
	"a thread begins",	  "the process forks",
	"the interrupt vanishes", "the target goes offline",
	"one CPU alone is left",  "the target goes offline and comes back",
};

struct scene {
	struct setting s;
	enum mishap mishap;
	uint32_t at, seen; /* operations */
};

static void set_online(struct machine *machine, const char *list)
{
	machine->online = cpus(list);
}

static void happen(struct scene *scene)
{
	struct setting *s = &scene->s;

	switch (scene->mishap) {
	case PROCESS_ENDS:
		machine_exit_process(&s->machine, s->main->tgid);
		break;
	case THREAD_ENDS:
		machine_exit(&s->machine, s->second);
		break;
	case THREAD_BEGINS:
		machine_clone(&s->machine, s->second);
		break;
	case PROCESS_FORKS:
		/* of a thread with the original of its process: the kernel does not tell which thread has forked */
		machine_fork(&s->machine, s->second);
		break;
	case INTERRUPT_VANISHES:
		s->irq->gone = true;
		break;
	case TARGET_GOES_OFFLINE:
	case TARGET_GOES_AND_COMES:
		set_online(&s->machine, "0-2,4-7");
		break;
	case ALL_BUT_ONE_GO_OFFLINE:
		set_online(&s->machine, "7");
		break;
	case _MISHAP_MAX:
		break;
	}
}

static void on_operation(struct machine *machine, enum machine_op op, uint32_t call)
{
	struct scene *scene = machine->userdata;

	(void)op;
	(void)call;
	scene->seen++;
	if (scene->seen == scene->at)
		happen(scene);
	else if (scene->seen == scene->at + 3 && scene->mishap == TARGET_GOES_AND_COMES)
		set_online(machine, "0-7");
}

/* Does the journal say so of this thread? What we have set, what we had set before, cut by what is online. */
static bool journal_says(const struct scene *scene, const struct machine_thread *t)
{
	const struct cb_journal_entry *e =
		cb_journal_find_task(scene->s.journal, t->tid, t->start_ticks);

	return e && (cb_cpuset_equal(&t->mask, &e->set) || cb_cpuset_equal(&t->mask, &e->was) ||
		     cb_cpuset_equal(&t->mask, &e->original));
}

/* A child that nobody has told us of yet has its mask from a thread that the journal knows. */
static bool inherited(const struct scene *scene, const struct machine_thread *t)
{
	for (uint32_t i = 0; i < cb_journal_count(scene->s.journal); i++) {
		const struct cb_journal_entry *e = cb_journal_at(scene->s.journal, i);

		if (e->knob == CB_KNOB_TASK_AFFINITY && t->start_ticks >= e->placed_ticks &&
		    (cb_cpuset_equal(&t->mask, &e->set) || cb_cpuset_equal(&t->mask, &e->was)))
			return true;
	}
	return false;
}

static void check_invariant(struct scene *scene, const char *when)
{
	struct setting *s = &scene->s;
	const struct cb_journal_entry *e;

	for (size_t i = 0; i < MACHINE_THREADS; i++) {
		const struct machine_thread *t = &s->machine.thread[i];

		if (t->tid != 0 && !machine_is_dead(&s->machine, t) &&
		    !cb_cpuset_equal(&t->mask, &t->truth) && !journal_says(scene, t) &&
		    !inherited(scene, t))
			fail_msg("%s, %s at operation %u: nobody remembers thread %d", when,
				 mishap_names[scene->mishap], scene->at, t->tid);
	}
	if (s->irq->gone || cb_cpuset_equal(&s->irq->mask, &s->irq->original))
		return;
	e = cb_journal_find_irq(s->journal, s->irq->irq, s->irq->hwirq, s->irq->actions);
	if (!e)
		fail_msg("%s, %s at operation %u: nobody remembers the interrupt", when,
			 mishap_names[scene->mishap], scene->at);
}

static bool lives(const struct setting *s)
{
	return !machine_is_dead((struct machine *)(uintptr_t)&s->machine, s->main);
}

/* Place, place again, put back, each under the eyes of the invariant; then everything is online again, and all is made good. */
static bool play(enum mishap mishap, uint32_t at)
{
	static struct scene scene;
	struct setting *s = &scene.s;
	bool happened;

	memset(&scene, 0, sizeof(scene));
	begin(s);
	scene.mishap = mishap;
	scene.at = at;
	s->machine.userdata = &scene;
	s->machine.before = on_operation;
	place(s, s->main, "3");
	check_invariant(&scene, "placing");
	place_irq(s, "3");
	check_invariant(&scene, "placing an interrupt");
	machine_fire(s->irq);
	machine_tick(&s->machine, 10);
	if (lives(s))
		place(s, s->main, "3-4");
	check_invariant(&scene, "placing again");
	release(s, NULL);
	check_invariant(&scene, "putting back");
	happened = scene.seen >= at;
	machine_no_script(&s->machine);
	set_online(&s->machine, "0-7");
	for (unsigned int i = 0; i < 6 && cb_journal_count(s->journal) > 0; i++) {
		machine_tick(&s->machine, 10);
		release(s, NULL);
		machine_fire(s->irq);
		release_pending(s);
	}
	if (cb_journal_count(s->journal) != 0)
		fail_msg("%s at operation %u: %u entries are left", mishap_names[mishap], at,
			 cb_journal_count(s->journal));
	if (s->irq->gone)
		s->irq->irq = 0; /* what is not there has no mask */
	machine_assert_true(&s->machine);
	end(s);
	return happened;
}

static void at_every_operation(enum mishap mishap)
{
	uint32_t at = 1;

	while (play(mishap, at))
		at++;
	print_message("%s: at each of %u operations\n", mishap_names[mishap], at - 1);
	assert_true(at > 20);
}

static void processes_and_threads_end(void **state)
{
	(void)state;
	at_every_operation(PROCESS_ENDS);
	at_every_operation(THREAD_ENDS);
}

static void threads_and_processes_begin(void **state)
{
	(void)state;
	at_every_operation(THREAD_BEGINS);
	at_every_operation(PROCESS_FORKS);
}

static void interrupts_vanish(void **state)
{
	(void)state;
	at_every_operation(INTERRUPT_VANISHES);
}

static void cpus_go_offline(void **state)
{
	(void)state;
	at_every_operation(TARGET_GOES_OFFLINE);
	at_every_operation(ALL_BUT_ONE_GO_OFFLINE);
	at_every_operation(TARGET_GOES_AND_COMES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(processes_and_threads_end),
		cmocka_unit_test(threads_and_processes_begin),
		cmocka_unit_test(interrupts_vanish),
		cmocka_unit_test(cpus_go_offline),
	};

	return cmocka_run_group_tests_name("meanwhile", tests, NULL, NULL);
}
