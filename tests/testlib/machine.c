/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine.h"

#include "lib/host/steer.h"
#include "machine_queue.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define PF_NO_SETAFFINITY UINT32_C(0x04000000)

static struct machine *machine_of(struct cb_writer *writer)
{
	return (struct machine *)writer;
}

/* --- life --- */

struct machine_thread *machine_find(struct machine *machine, int32_t tid)
{
	for (size_t i = 0; i < MACHINE_THREADS; i++)
		if (tid > 0 && machine->thread[i].tid == tid)
			return &machine->thread[i];
	return NULL;
}

static int32_t lowest_tid(struct machine *machine)
{
	int32_t tid = 2;

	while (machine_find(machine, tid))
		tid++;
	return tid;
}

static struct machine_thread *new_thread(struct machine *machine)
{
	for (size_t i = 0; i < MACHINE_THREADS; i++) {
		struct machine_thread *t = &machine->thread[i];

		if (t->tid != 0)
			continue;
		memset(t, 0, sizeof(*t));
		t->tid = machine->reuse_tids ? lowest_tid(machine) : machine->next_tid++;
		t->start_ticks = machine->now_ticks;
		t->state = 'S';
		return t;
	}
	return NULL;
}

struct machine_thread *machine_spawn(struct machine *machine, const struct cb_cpuset *mask)
{
	struct machine_thread *t = new_thread(machine);

	if (!t)
		return NULL;
	t->tgid = t->tid;
	t->ppid = 1;
	t->mask = t->truth = *mask;
	t->cgroup_id = 1;
	return t;
}

static void inherit(struct machine_thread *t, const struct machine_thread *creator)
{
	t->mask = creator->mask;
	t->truth = creator->truth;
	t->cpuset = creator->cpuset;
	t->cgroup_id = creator->cgroup_id;
	t->unrelated = creator->unrelated;
}

struct machine_thread *machine_fork(struct machine *machine, struct machine_thread *creator)
{
	struct machine_thread *t = new_thread(machine);

	if (!t)
		return NULL;
	t->tgid = t->tid;
	t->ppid = creator->tgid;
	inherit(t, creator);
	return t;
}

struct machine_thread *machine_clone(struct machine *machine, struct machine_thread *creator)
{
	struct machine_thread *t = new_thread(machine);

	if (!t)
		return NULL;
	t->tgid = creator->tgid;
	t->ppid = creator->ppid;
	inherit(t, creator);
	return t;
}

void machine_pin(struct machine_thread *thread, const struct cb_cpuset *mask)
{
	thread->mask = thread->truth = *mask;
}

static uint32_t count_threads(struct machine *machine, int32_t tgid)
{
	uint32_t n = 0;

	for (size_t i = 0; i < MACHINE_THREADS; i++)
		n += machine->thread[i].tid != 0 && machine->thread[i].tgid == tgid;
	return n;
}

void machine_exit_process(struct machine *machine, int32_t tgid)
{
	for (size_t i = 0; i < MACHINE_THREADS; i++) {
		struct machine_thread *t = &machine->thread[i];

		if (t->tgid == tgid)
			memset(t, 0, sizeof(*t));
		if (t->ppid == tgid)
			t->ppid = 1;
	}
}

void machine_exit(struct machine *machine, struct machine_thread *thread)
{
	if (count_threads(machine, thread->tgid) == 1)
		machine_exit_process(machine, thread->tgid);
	else if (thread->tid == thread->tgid)
		thread->state = 'Z';
	else
		memset(thread, 0, sizeof(*thread));
}

bool machine_is_dead(struct machine *machine, const struct machine_thread *thread)
{
	return thread->state == 'Z' && count_threads(machine, thread->tgid) == 1;
}

void machine_tick(struct machine *machine, uint64_t ticks)
{
	machine->now_ticks += ticks;
}

struct machine_irq *machine_find_irq(struct machine *machine, uint32_t irq)
{
	for (size_t i = 0; i < MACHINE_IRQS; i++)
		if (machine->irq[i].irq == irq && !machine->irq[i].gone)
			return &machine->irq[i];
	return NULL;
}

struct machine_irq *machine_add_irq(struct machine *machine, uint32_t irq, const char *actions,
				    const struct cb_cpuset *mask, int32_t effective)
{
	for (size_t i = 0; i < MACHINE_IRQS; i++) {
		struct machine_irq *q = &machine->irq[i];

		if (q->irq != 0)
			continue;
		*q = (struct machine_irq){
			.irq = irq,
			.hwirq = irq + 1000,
			.mask = *mask,
			.original = *mask,
			.effective = effective,
		};
		snprintf(q->actions, sizeof(q->actions), "%s", actions);
		return q;
	}
	return NULL;
}

void machine_fire(struct machine_irq *irq)
{
	if (irq->effective >= 0 && !cb_cpuset_has(&irq->mask, (unsigned int)irq->effective))
		irq->effective = (int32_t)cb_cpuset_first(&irq->mask);
}

/* kernel/sched/core.c, select_fallback_rq(); kernel/irq/cpuhotplug.c, migrate_one_irq() */
void machine_offline(struct machine *machine, unsigned int cpu)
{
	cb_cpuset_clear(&machine->online, cpu);
	for (size_t i = 0; i < MACHINE_THREADS; i++) {
		struct machine_thread *t = &machine->thread[i];

		if (t->tid == 0 || t->asleep || cb_cpuset_intersects(&t->mask, &machine->online))
			continue;
		t->mask = t->cpuset;
		if (cb_cpuset_empty(&t->mask))
			cb_cpuset_set_range(&t->mask, 0, 7);
	}
	for (size_t i = 0; i < MACHINE_IRQS; i++) {
		struct machine_irq *q = &machine->irq[i];

		if (q->irq != 0 && !cb_cpuset_intersects(&q->mask, &machine->online))
			q->mask = machine->online;
	}
}

void machine_online(struct machine *machine, unsigned int cpu)
{
	cb_cpuset_set(&machine->online, cpu);
}

/* --- the writer --- */

/* In front of each operation. 0, or what it is to fail with. */
int machine_enter(struct machine *machine, enum machine_op op)
{
	uint32_t call = ++machine->n_calls[op];

	if (machine->before)
		machine->before(machine, op, call);
	if (machine->fail_calls > 0 && machine->fail_op == op && call >= machine->fail_call &&
	    call - machine->fail_call < machine->fail_calls) {
		machine->n_failed++;
		return -machine->fail_errnum;
	}
	return 0;
}

int machine_leave(struct machine *machine, enum machine_op op, int r)
{
	if (machine->after)
		machine->after(machine, op, machine->n_calls[op]);
	return r;
}

static int compare(const void *a, const void *b)
{
	const int32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Threads of @tgid (0: main threads of all), or children of @ppid. */
static int list(struct machine *machine, int32_t tgid, int32_t ppid, int32_t **ret, size_t *ret_n)
{
	int32_t *numbers = calloc(MACHINE_THREADS, sizeof(*numbers));
	size_t n = 0;

	if (!numbers)
		return -ENOMEM;
	for (size_t i = 0; i < MACHINE_THREADS; i++) {
		const struct machine_thread *t = &machine->thread[i];

		if (t->tid == 0 || (tgid != 0 ? t->tgid != tgid : t->tid != t->tgid))
			continue;
		if (ppid == 0 || t->ppid == ppid)
			numbers[n++] = t->tid;
	}
	qsort(numbers, n, sizeof(*numbers), compare);
	*ret = numbers;
	*ret_n = n;
	return 0;
}

static int op_process_list(struct cb_writer *writer, int32_t **ret, size_t *ret_n)
{
	return list(machine_of(writer), 0, 0, ret, ret_n);
}

static int op_task_list(struct cb_writer *writer, int32_t tgid, int32_t **ret, size_t *ret_n)
{
	struct machine *machine = machine_of(writer);
	int r = machine_enter(machine, OP_TASK_LIST);

	if (r == 0 && count_threads(machine, tgid) == 0)
		r = -ESRCH;
	if (r == 0)
		r = list(machine, tgid, 0, ret, ret_n);
	return machine_leave(machine, OP_TASK_LIST, r);
}

static int op_children(struct cb_writer *writer, int32_t tgid, int32_t **ret, size_t *ret_n)
{
	if (count_threads(machine_of(writer), tgid) == 0)
		return -ESRCH;
	return list(machine_of(writer), 0, tgid, ret, ret_n);
}

static struct machine_thread *find_in(struct machine *machine, int32_t tgid, int32_t tid)
{
	struct machine_thread *t = machine_find(machine, tid);

	return t && t->tgid == tgid ? t : NULL;
}

static int op_task_stat(struct cb_writer *writer, int32_t tgid, int32_t tid,
			struct cb_task_stat *ret)
{
	struct machine *machine = machine_of(writer);
	int r = machine_enter(machine, OP_TASK_STAT);
	const struct machine_thread *t = find_in(machine, tgid, tid);

	if (r == 0 && !t)
		r = -ESRCH;
	if (r == 0)
		*ret = (struct cb_task_stat){
			.pid = t->tid,
			.comm = "worker",
			.state = t->state,
			.ppid = t->ppid,
			.n_threads = count_threads(machine, tgid),
			.start_ticks = t->start_ticks,
			.flags = t->flags,
		};
	return machine_leave(machine, OP_TASK_STAT, r);
}

static int op_task_get(struct cb_writer *writer, int32_t tgid, int32_t tid, struct cb_cpuset *ret)
{
	struct machine *machine = machine_of(writer);
	int r = machine_enter(machine, OP_TASK_GET);
	const struct machine_thread *t = find_in(machine, tgid, tid);

	if (r == 0 && !t)
		r = -ESRCH;
	if (r == 0)
		*ret = t->mask;
	return machine_leave(machine, OP_TASK_GET, r);
}

static int op_task_set(struct cb_writer *writer, int32_t tid, const struct cb_cpuset *mask)
{
	struct machine *machine = machine_of(writer);
	int r = machine_enter(machine, OP_TASK_SET);
	struct machine_thread *t = machine_find(machine, tid);
	struct cb_cpuset real = *mask;

	if (r == 0 && !t)
		r = -ESRCH;
	if (r == 0 && !cb_cpuset_empty(&t->cpuset))
		real = cb_cpuset_and(&real, &t->cpuset);
	if (r == 0 &&
	    (!cb_cpuset_intersects(&real, &machine->online) || (t->flags & PF_NO_SETAFFINITY)))
		r = -EINVAL;
	if (r == 0)
		t->mask = real;
	return machine_leave(machine, OP_TASK_SET, r);
}

static int op_cpuset(struct cb_writer *writer, int32_t tgid, struct cb_cpuset *ret)
{
	const struct machine_thread *t = find_in(machine_of(writer), tgid, tgid);

	if (!t)
		return -ESRCH;
	if (cb_cpuset_empty(&t->cpuset))
		return -ENODATA;
	*ret = t->cpuset;
	return 0;
}

static int op_cgroup_id(struct cb_writer *writer, int32_t tgid, uint64_t *ret)
{
	const struct machine_thread *t = find_in(machine_of(writer), tgid, tgid);

	if (!t)
		return -ESRCH;
	*ret = t->cgroup_id;
	return 0;
}

static int op_irq_identity(struct cb_writer *writer, uint32_t irq, uint64_t *ret_hwirq,
			   char ret_actions[CB_IRQ_NAME_MAX])
{
	struct machine *machine = machine_of(writer);
	int r = machine_enter(machine, OP_IRQ_IDENTITY);
	const struct machine_irq *q = machine_find_irq(machine, irq);

	if (r == 0 && !q)
		r = -ENOENT;
	if (r == 0) {
		*ret_hwirq = q->hwirq;
		memcpy(ret_actions, q->actions, CB_IRQ_NAME_MAX);
	}
	return machine_leave(machine, OP_IRQ_IDENTITY, r);
}

static int op_irq_get(struct cb_writer *writer, uint32_t irq, struct cb_cpuset *ret)
{
	struct machine *machine = machine_of(writer);
	int r = machine_enter(machine, OP_IRQ_GET);
	const struct machine_irq *q = machine_find_irq(machine, irq);

	if (r == 0 && !q)
		r = -ENOENT;
	if (r == 0)
		*ret = q->mask;
	return machine_leave(machine, OP_IRQ_GET, r);
}

static int op_irq_set(struct cb_writer *writer, uint32_t irq, const struct cb_cpuset *mask)
{
	struct machine *machine = machine_of(writer);
	int r = machine_enter(machine, OP_IRQ_SET);
	struct machine_irq *q = machine_find_irq(machine, irq);

	if (r == 0 && !q)
		r = -ENOENT;
	if (r == 0 && !cb_cpuset_intersects(mask, &machine->online))
		r = -EINVAL;
	if (r == 0)
		q->mask = *mask;
	return machine_leave(machine, OP_IRQ_SET, r);
}

static int op_irq_effective(struct cb_writer *writer, uint32_t irq, struct cb_cpuset *ret)
{
	struct machine *machine = machine_of(writer);
	int r = machine_enter(machine, OP_IRQ_EFFECTIVE);
	const struct machine_irq *q = machine_find_irq(machine, irq);

	if (r == 0 && (!q || q->effective < 0))
		r = -ENODATA;
	if (r == 0)
		*ret = cb_cpuset_of((unsigned int)q->effective);
	return machine_leave(machine, OP_IRQ_EFFECTIVE, r);
}

static int op_irq_hint(struct cb_writer *writer, uint32_t irq, struct cb_cpuset *ret)
{
	const struct machine_irq *q = machine_find_irq(machine_of(writer), irq);

	if (!q || cb_cpuset_empty(&q->hint))
		return -ENODATA;
	*ret = q->hint;
	return 0;
}

static int op_online(struct cb_writer *writer, struct cb_cpuset *ret)
{
	*ret = machine_of(writer)->online;
	return 0;
}

static uint64_t op_now_ticks(struct cb_writer *writer)
{
	return machine_of(writer)->now_ticks;
}

static uint64_t op_ticks_per_sec(struct cb_writer *writer)
{
	(void)writer;
	return 100;
}

static void op_sleep_msec(struct cb_writer *writer, uint32_t msec)
{
	machine_tick(machine_of(writer), msec / 10);
}

/* --- steering --- */

struct machine_socket *machine_add_socket(struct machine *machine, int32_t tgid, uint16_t port,
					  int32_t cpu)
{
	for (size_t i = 0; i < MACHINE_SOCKETS; i++) {
		struct machine_socket *s = &machine->socket[i];

		if (s->cookie != 0)
			continue;
		*s = (struct machine_socket){
			.cookie = 500 + i, .tgid = tgid, .port = port, .cpu = cpu, .original = cpu
		};
		return s;
	}
	return NULL;
}

static struct machine_socket *find_socket(struct machine *machine, uint64_t cookie)
{
	for (size_t i = 0; i < MACHINE_SOCKETS; i++)
		if (cookie != 0 && machine->socket[i].cookie == cookie)
			return &machine->socket[i];
	return NULL;
}

static struct cb_listen local_of(uint16_t port)
{
	return (struct cb_listen){ .family = CB_ADDRESS_V4, .port = port };
}

static uint32_t place_of(struct cb_steer_set *set, uint16_t port)
{
	for (uint32_t i = 0; i < set->n_places; i++)
		if (set->place[i].local.port == port)
			return i;
	set->place[set->n_places].local = local_of(port);
	return set->n_places++;
}

static int op_steer_resolve(struct cb_writer *writer, struct cb_steer_set *set,
			    enum cb_reject *ret_why)
{
	struct machine *machine = machine_of(writer);
	int r = machine_enter(machine, OP_STEER_RESOLVE);

	set->n = set->n_places = 0;
	set->netns = 1;
	for (uint32_t w = 0; r == 0 && w < set->n_workers; w++)
		for (size_t i = 0; i < MACHINE_SOCKETS; i++) {
			const struct machine_socket *s = &machine->socket[i];

			if (s->cookie == 0 || s->tgid != set->worker[w].tgid)
				continue;
			set->socket[set->n++] = (struct cb_steer_socket){
				.tgid = s->tgid,
				.inode = (uint32_t)s->cookie,
				.cookie = s->cookie,
				.place = place_of(set, s->port),
				.worker = w,
			};
		}
	if (r == 0 && machine->unsteerable != CB_REJECT_NONE) {
		*ret_why = machine->unsteerable;
		r = 1;
	}
	return machine_leave(machine, OP_STEER_RESOLVE, r);
}

static bool op_heeds_cpu(struct cb_writer *writer)
{
	return !machine_of(writer)->ignores_cpu;
}

static int op_socket_find(struct cb_writer *writer, const struct cb_journal_entry *entry,
			  struct cb_steer_socket *ret)
{
	const struct machine_socket *s = find_socket(machine_of(writer), entry->cookie);

	if (!s)
		return -ENOENT;
	*ret = (struct cb_steer_socket){ .tgid = s->tgid, .cookie = s->cookie };
	return 0;
}

static int op_socket_get_cpu(struct cb_writer *writer, const struct cb_steer_socket *socket,
			     int32_t *ret)
{
	struct machine *machine = machine_of(writer);
	const struct machine_socket *s = find_socket(machine, socket->cookie);
	int r = machine_enter(machine, OP_SOCKET_GET);

	if (r == 0 && !s)
		r = -ESTALE;
	if (r == 0)
		*ret = s->cpu;
	return machine_leave(machine, OP_SOCKET_GET, r);
}

static int op_socket_set_cpu(struct cb_writer *writer, const struct cb_steer_socket *socket,
			     int32_t cpu)
{
	struct machine *machine = machine_of(writer);
	struct machine_socket *s = find_socket(machine, socket->cookie);
	int r = machine_enter(machine, OP_SOCKET_SET);

	if (r == 0 && !s)
		r = -ESTALE;
	if (r == 0)
		s->cpu = cpu;
	return machine_leave(machine, OP_SOCKET_SET, r);
}

static int op_shares_set(struct cb_writer *writer, const struct cb_steer_set *set, uint32_t place,
			 enum cb_reject *ret_why)
{
	struct machine *machine = machine_of(writer);
	int r = machine_enter(machine, OP_SHARES_SET);

	(void)ret_why;
	for (uint32_t i = 0; r == 0 && i < set->n; i++)
		if (set->socket[i].place == place) {
			find_socket(machine, set->socket[i].cookie)->share =
				set->worker[set->socket[i].worker].share;
			machine->attached = true;
		}
	return machine_leave(machine, OP_SHARES_SET, r);
}

static int op_shares_clear(struct cb_writer *writer, const struct cb_journal_entry *entry)
{
	struct machine *machine = machine_of(writer);
	int r = machine_enter(machine, OP_SHARES_CLEAR);
	bool any = false;

	for (size_t i = 0; i < MACHINE_SOCKETS; i++)
		any = any || (machine->socket[i].cookie != 0 &&
			      machine->socket[i].port == entry->local.port);
	if (r == 0 && !any)
		r = -ENOENT;
	if (r == 0)
		machine->attached = false;
	return machine_leave(machine, OP_SHARES_CLEAR, r);
}

/* A program is for the sockets that there were: the test closes one to make it another set. */
static int op_steer_same(struct cb_writer *writer, const struct cb_journal_entry *entry)
{
	struct machine *machine = machine_of(writer);

	if (entry->knob == CB_KNOB_INCOMING_CPU)
		return find_socket(machine, entry->cookie) != NULL;
	for (size_t i = 0; i < MACHINE_SOCKETS; i++)
		if (machine->socket[i].cookie != 0 &&
		    machine->socket[i].port == entry->local.port && machine->socket[i].share == 0)
			return 0;
	return 1;
}

static const struct cb_writer_ops ops = {
	.name = "machine",
	.process_list = op_process_list,
	.task_list = op_task_list,
	.children = op_children,
	.task_stat = op_task_stat,
	.task_get = op_task_get,
	.task_set = op_task_set,
	.cpuset = op_cpuset,
	.cgroup_id = op_cgroup_id,
	.irq_identity = op_irq_identity,
	.irq_get = op_irq_get,
	.irq_set = op_irq_set,
	.irq_effective = op_irq_effective,
	.irq_hint = op_irq_hint,
	.steer_resolve = op_steer_resolve,
	.heeds_cpu = op_heeds_cpu,
	.socket_find = op_socket_find,
	.socket_get_cpu = op_socket_get_cpu,
	.socket_set_cpu = op_socket_set_cpu,
	.shares_set = op_shares_set,
	.shares_clear = op_shares_clear,
	.steer_same = op_steer_same,
	.queue_find = machine_queue_find,
	.queue_get = machine_queue_get,
	.queue_set = machine_queue_set,
	.online = op_online,
	.now_ticks = op_now_ticks,
	.ticks_per_sec = op_ticks_per_sec,
	.sleep_msec = op_sleep_msec,
};

void machine_init(struct machine *machine)
{
	memset(machine, 0, sizeof(*machine));
	machine->writer.ops = &ops;
	cb_cpuset_set_range(&machine->online, 0, 7);
	machine->now_ticks = 100000;
	machine->next_tid = 100;
}

void machine_done(struct machine *machine)
{
	machine->writer.heirs = cb_heirs_free(machine->writer.heirs);
}

void machine_no_script(struct machine *machine)
{
	memset(machine->n_calls, 0, sizeof(machine->n_calls));
	machine->fail_calls = 0;
	machine->n_failed = 0;
	machine->before = NULL;
	machine->after = NULL;
}

void machine_assert_true(struct machine *machine)
{
	char is[64], should[64];

	for (size_t i = 0; i < MACHINE_THREADS; i++) {
		const struct machine_thread *t = &machine->thread[i];

		if (t->tid != 0 && !machine_is_dead(machine, t) &&
		    !cb_cpuset_equal(&t->mask, &t->truth))
			fail_msg("thread %d of %d has %s, by right %s", t->tid, t->tgid,
				 cb_cpuset_show(&t->mask, is, sizeof(is)),
				 cb_cpuset_show(&t->truth, should, sizeof(should)));
	}
	for (size_t i = 0; i < MACHINE_IRQS; i++) {
		const struct machine_irq *q = &machine->irq[i];

		if (q->irq != 0 && !cb_cpuset_equal(&q->mask, &q->original))
			fail_msg("interrupt %u has %s, by right %s", q->irq,
				 cb_cpuset_show(&q->mask, is, sizeof(is)),
				 cb_cpuset_show(&q->original, should, sizeof(should)));
	}
}
