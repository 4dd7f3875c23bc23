/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Real threads and one real interrupt: placed by cb_apply(), put back by a plan that is undone or by a release. */
#include "affinity_test.h"

/* --- threads --- */

static void *wait_in_thread(void *userdata)
{
	struct setting *s = userdata;
	char c;

	tell(s, (int32_t)syscall(SYS_gettid));
	while (read(s->life[0], &c, 1) > 0)
		;
	return NULL;
}

static void work_three_threads(struct setting *s)
{
	pthread_t thread;

	for (int i = 0; i < 2; i++)
		if (pthread_create(&thread, NULL, wait_in_thread, s) != 0)
			_exit(9);
	wait_for_the_end(s);
}

static void threads_with_originals_of_their_own(void **state)
{
	struct setting *s = *state;
	struct cb_cpuset a, b;
	int32_t first, second;
	pid_t pid;

	if (!ready())
		return;
	a = cpu(s->a);
	b = cpu(s->b);
	pid = start(s, work_three_threads);
	first = hear(s);
	second = hear(s);
	set_mask(pid, &s->both);
	set_mask(first, &a);
	set_mask(second, &b);
	register_worker(s, pid);
	place(s, s->b);
	assert_int_equal(count_others(pid, b), 0);
	place(s, s->a);
	assert_int_equal(count_others(pid, a), 0);
	/* One of them is at its original now: it may have been forgotten already. */
	assert_true(release(s).n_restored >= 2);
	assert_int_equal(cb_journal_count(s->journal), 0);
	assert_mask(pid, s->both);
	assert_mask(first, a);
	assert_mask(second, b);
	/* By a plan that is undone, the same. */
	place(s, s->a);
	assert_int_equal(apply(s, CB_ITEM_WORKER, 1, CB_OP_RESTORE, &a).state, CB_STEP_DONE);
	assert_int_equal(cb_journal_count(s->journal), 0);
	assert_mask(pid, s->both);
	assert_mask(second, b);
}

static void *breed(void *userdata)
{
	struct setting *s = userdata;
	struct pollfd pfd = { .fd = s->life[0], .events = POLLIN };
	pthread_attr_t attr;
	pthread_t thread;

	/* Until the end, or until there is no memory for another. */
	if (poll(&pfd, 1, 1) != 0)
		return NULL;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_create(&thread, &attr, breed, s);
	pthread_attr_destroy(&attr);
	return NULL;
}

static void work_breed(struct setting *s)
{
	pthread_t thread;

	for (int i = 0; i < 4; i++)
		pthread_create(&thread, NULL, breed, s);
	tell(s, getpid());
	wait_for_the_end(s);
}

static void threads_that_come_and_go(void **state)
{
	struct setting *s = *state;
	pid_t pid;

	if (!ready())
		return;
	pid = start(s, work_breed);
	hear(s);
	/* Its threads had been made before it got its mask. */
	for (int i = 0; i < 100 && count_others(pid, s->both) > 0; i++)
		poll(NULL, 0, 5);
	register_worker(s, pid);
	for (unsigned int i = 0; i < 20; i++) {
		struct cb_cpuset to = cpu(i % 2 ? s->a : s->b);

		place(s, i % 2 ? s->a : s->b);
		/* A thread that was being made just then follows with the next tick. */
		for (unsigned int n = 0; n < 200 && count_others(pid, to) > 0; n++) {
			poll(NULL, 0, 5);
			tick(s);
		}
		assert_int_equal(count_others(pid, to), 0);
	}
	release(s);
	for (unsigned int n = 0; n < 200 && cb_journal_count(s->journal) > 0; n++) {
		poll(NULL, 0, 5);
		tick(s);
	}
	assert_int_equal(cb_journal_count(s->journal), 0);
	assert_int_equal(count_others(pid, s->both), 0);
}

/* --- what is left alone --- */

static void work_wait(struct setting *s)
{
	tell(s, getpid());
	wait_for_the_end(s);
}

static void worker_that_pins_itself(void **state)
{
	struct setting *s = *state;
	struct cb_cpuset b;
	pid_t pid;

	if (!ready())
		return;
	b = cpu(s->b);
	pid = start(s, work_wait);
	hear(s);
	register_worker(s, pid);
	place(s, s->a);
	set_mask(pid, &b);
	assert_int_equal(apply(s, CB_ITEM_WORKER, 1, CB_OP_RESTORE, &s->both).error_class,
			 CB_ERROR_FOREIGN);
	assert_mask(pid, b);
	assert_int_equal(cb_journal_count(s->journal), 0);
	/* From here on that is its original. */
	place(s, s->a);
	release_all(s, 1);
	assert_mask(pid, b);
}

static void worker_that_is_gone(void **state)
{
	struct setting *s = *state;
	struct cb_cpuset a;
	pid_t pid;

	if (!ready())
		return;
	a = cpu(s->a);
	pid = start(s, work_wait);
	hear(s);
	register_worker(s, pid);
	place(s, s->a);
	kill(pid, SIGKILL);
	/* Dead and not waited for: a zombie takes any mask, and is gone all the same. */
	for (int i = 0; i < 1000; i++) {
		siginfo_t info = { .si_pid = 0 };

		if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
		    info.si_pid == pid)
			break;
		poll(NULL, 0, 5);
	}
	assert_int_equal(apply(s, CB_ITEM_WORKER, 1, CB_OP_SET, &a).state, CB_STEP_GONE);
	reap(s);
	assert_int_equal(apply(s, CB_ITEM_WORKER, 1, CB_OP_SET, &a).state, CB_STEP_GONE);
	tick(s);
	assert_int_equal(cb_journal_count(s->journal), 0);
}

static void dry_run_touches_nothing(void **state)
{
	struct setting *s = *state;
	pid_t pid;

	if (!ready())
		return;
	reopen(s, false, true);
	pid = start(s, work_wait);
	hear(s);
	register_worker(s, pid);
	place(s, s->a);
	assert_mask(pid, s->both);
	assert_int_equal(cb_journal_count(s->journal), 1);
	place(s, s->b);
	tick(s);
	release_all(s, 1);
	assert_mask(pid, s->both);
}

/* A kernel thread that is bound to its CPU: refused, nothing written, nothing remembered. */
static void bound_kernel_thread(void **state)
{
	struct setting *s = *state;
	struct cb_change change = { 0 };
	struct cb_target target = { .group = "test" };
	struct cb_task_stat stat;
	struct cb_step step = { .item = { .kind = CB_ITEM_WORKER } };
	int32_t *pids = NULL;
	size_t n = 0;

	if (!ready())
		return;
	change.writer = s->host->writer;
	change.journal = s->journal;
	step.to = cpu(s->b);
	assert_int_equal(change.writer->ops->process_list(change.writer, &pids, &n), 0);
	for (size_t i = 0; i < n; i++) {
		char name[32];

		snprintf(name, sizeof(name), "ksoftirqd/%u", s->a);
		if (change.writer->ops->task_stat(change.writer, pids[i], pids[i], &stat) < 0 ||
		    strcmp(stat.comm, name) != 0)
			continue;
		target.tgid = pids[i];
		target.start_ticks = stat.start_ticks;
	}
	free(pids);
	if (target.tgid == 0) {
		print_message("skip: kernel threads are not to be seen here\n");
		skip();
	}
	cb_place_process(&change, &target, &step);
	assert_int_equal(step.state, CB_STEP_FAILED);
	assert_int_equal(step.error_class, CB_ERROR_PERMANENT);
	assert_int_equal(step.errnum, EINVAL);
	assert_int_equal(cb_journal_count(s->journal), 0);
	assert_mask(target.tgid, cpu(s->a));
}

/* --- interrupts --- */

/* One that may be moved over both CPUs, and that no traffic needs: of a console or of a device's settings. */
static bool harmless(const struct cb_irq_info *irq)
{
	size_t len = strlen(irq->actions);

	return irq->writable && cb_cpuset_count(&irq->affinity) > 1 &&
	       (strncmp(irq->actions, "ttyS", 4) == 0 ||
		(len > 7 && (strcmp(irq->actions + len - 7, "-config") == 0)) ||
		(len > 6 && strcmp(irq->actions + len - 6, "-event") == 0));
}

static struct cb_irqs *inventory(struct setting *s)
{
	struct cb_irqs *irqs = NULL;
	struct cb_err err = { "" };

	if (cb_host_irqs(s->host, 1, &irqs, &err) < 0)
		fail_msg("%s", err.msg);
	return irqs;
}

static void one_movable_interrupt(void **state)
{
	struct setting *s = *state;
	const struct cb_irq_info *irq = NULL;
	struct cb_writer *writer;
	struct cb_cpuset original, effective, mask, to;
	struct cb_irqs *irqs;
	struct cb_step step;
	uint32_t number = 0;

	if (!ready())
		return;
	writer = s->host->writer;
	irqs = inventory(s);
	for (uint32_t i = 0; i < irqs->n && !irq; i++)
		if (harmless(&irqs->irq[i]))
			irq = &irqs->irq[i];
	if (irq)
		number = irq->irq;
	free(irqs);
	if (!irq || cb_host_irqbalance_runs(s->host)) {
		print_message("skip: %s\n",
			      irq ? "irqbalance runs" : "no harmless movable interrupt");
		skip();
	}
	assert_int_equal(writer->ops->irq_get(writer, number, &original), 0);
	to = cpu(writer->ops->irq_effective(writer, number, &effective) == 0 &&
				 cb_cpuset_has(&effective, s->a) ?
			 s->b :
			 s->a);
	step = apply(s, CB_ITEM_IRQ, number, CB_OP_SET, &to);
	assert_true(step.state == CB_STEP_PENDING || step.state == CB_STEP_DONE);
	assert_int_equal(writer->ops->irq_get(writer, number, &mask), 0);
	assert_true(cb_cpuset_equal(&mask, &to));
	assert_int_equal(cb_journal_count(s->journal), 1);
	step = apply(s, CB_ITEM_IRQ, number, CB_OP_RESTORE, &original);
	assert_true(step.state == CB_STEP_PENDING || step.state == CB_STEP_DONE);
	if (step.state == CB_STEP_PENDING) {
		struct cb_restore_result result;

		/* It had moved: it goes home with its next occurrence, or gets its mask without. */
		s->journal = cb_journal_close(s->journal);
		assert_int_equal(cb_restore_offline(s->host, s->dir, say, NULL, &result, NULL), 0);
		assert_int_equal(result.n_restored, 1);
		reopen(s, false, false);
	}
	assert_int_equal(cb_journal_count(s->journal), 0);
	writer = s->host->writer;
	assert_int_equal(writer->ops->irq_get(writer, number, &mask), 0);
	assert_true(cb_cpuset_equal(&mask, &original));
}

/* Refused for good, and the journal forgets it: nothing has changed. */
static void one_managed_interrupt(void **state)
{
	struct setting *s = *state;
	struct cb_cpuset before, after, to;
	struct cb_irqs *irqs;
	struct cb_step step;
	uint32_t number = 0;
	bool found = false;

	if (!ready())
		return;
	irqs = inventory(s);
	for (uint32_t i = 0; i < irqs->n && !found; i++) {
		found = !irqs->irq[i].writable;
		number = irqs->irq[i].irq;
	}
	free(irqs);
	if (!found) {
		print_message("skip: no interrupt whose mask is read-only\n");
		skip();
	}
	to = cpu(s->a);
	assert_int_equal(s->host->writer->ops->irq_get(s->host->writer, number, &before), 0);
	if (cb_cpuset_equal(&before, &to))
		to = cpu(s->b);
	step = apply(s, CB_ITEM_IRQ, number, CB_OP_SET, &to);
	assert_int_equal(step.state, CB_STEP_FAILED);
	assert_int_equal(step.error_class, CB_ERROR_PERMANENT);
	assert_true(step.errnum == EPERM || step.errnum == EIO || step.errnum == EACCES);
	assert_int_equal(cb_journal_count(s->journal), 0);
	assert_int_equal(s->host->writer->ops->irq_get(s->host->writer, number, &after), 0);
	assert_true(cb_cpuset_equal(&before, &after));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(threads_with_originals_of_their_own),
		TEST(threads_that_come_and_go),
		TEST(worker_that_pins_itself),
		TEST(worker_that_is_gone),
		TEST(dry_run_touches_nothing),
		TEST(bound_kernel_thread),
		TEST(one_movable_interrupt),
		TEST(one_managed_interrupt),
	};

	return cmocka_run_group_tests_name("affinity", tests, NULL, NULL);
}
