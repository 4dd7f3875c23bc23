/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A machine that is a table: threads with masks that are inherited, interrupts that move with their next occurrence, and
 * a writer to change it with. Every operation can be made to fail, or can be told to do something first, at its n-th call. It
 * needs no allocation, so that it can live in memory shared with a child that dies in the middle of something.
 *
 * Each thread carries the mask that it would have had without us (`truth`): what it was born with in that other
 * world, or has set itself.
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpubalance/cpuset.h"
#include "lib/host/host_internal.h"
#include "lib/host/writer.h"

#define MACHINE_THREADS 256u
#define MACHINE_IRQS	8u

enum machine_op {
	OP_TASK_LIST,
	OP_TASK_STAT,
	OP_TASK_GET,
	OP_TASK_SET,
	OP_IRQ_IDENTITY,
	OP_IRQ_GET,
	OP_IRQ_SET,
	OP_IRQ_EFFECTIVE,
	OP_STEER_RESOLVE,
	OP_SOCKET_GET,
	OP_SOCKET_SET,
	OP_SHARES_SET,
	OP_SHARES_CLEAR,
	OP_QUEUE_FIND,
	OP_QUEUE_GET,
	OP_QUEUE_SET,
	_OP_MAX,
};

struct machine_thread {
	int32_t tid, tgid, ppid; /* tid 0: free */
	uint64_t start_ticks;
	char state;
	uint32_t flags;
	struct cb_cpuset mask, truth;
	struct cb_cpuset cpuset; /* empty: all */
	uint64_t cgroup_id;
	bool asleep;	/* see machine_offline() */
	bool unrelated; /* free for a test's use */
};

struct machine_irq {
	uint32_t irq;
	uint64_t hwirq;
	char actions[CB_IRQ_NAME_MAX];
	struct cb_cpuset mask, original;
	struct cb_cpuset hint; /* empty: its driver says nothing */
	int32_t effective;     /* -1: the kernel does not tell */
	bool gone;
};

/* A listening socket of one process, at one of two addresses. */
struct machine_socket {
	uint64_t cookie; /* 0: free */
	int32_t tgid;
	uint16_t port;
	int32_t cpu, original;
	uint32_t share; /* in the program of its address */
};

#define MACHINE_SOCKETS 8u

/* One file of a queue of a network interface; interface 0 is the machine's. */
struct machine_queue {
	enum cb_knob_id knob;
	uint32_t ifindex, queue;
	char ifname[CB_IFNAME_MAX];
	struct cb_queue_value value, original;
	bool there;
};

#define MACHINE_QUEUES 8u

struct machine {
	struct cb_writer writer;
	struct machine_thread thread[MACHINE_THREADS];
	struct machine_irq irq[MACHINE_IRQS];
	struct machine_socket socket[MACHINE_SOCKETS];
	struct machine_queue queue[MACHINE_QUEUES];
	struct cb_cpuset dropped; /* CPUs that the kernel drops from masks of queues without a word */
	bool attached;		  /* a program decides between the sockets */
	enum cb_reject unsteerable; /* why they are not to be resolved */
	bool ignores_cpu;	    /* of sockets, as kernels before 6.2 */
	struct cb_cpuset online;
	uint64_t now_ticks;
	int32_t next_tid;
	bool reuse_tids; /* take the lowest free number */

	/* the script: the n-th call (from 1) of an operation fails, without having done anything, or comes after something */
	uint32_t n_calls[_OP_MAX];
	enum machine_op fail_op;
	uint32_t fail_call, fail_calls; /* first, and how many in a row; 0 none */
	int fail_errnum;
	uint32_t n_failed; /* how often that happened */
	void (*before)(struct machine *machine, enum machine_op op, uint32_t call);
	void (*after)(struct machine *machine, enum machine_op op, uint32_t call);
	void *userdata;
};

/* 8 CPUs online, nobody there. */
void machine_init(struct machine *machine);
void machine_done(
	struct machine *machine); /* frees what the code under test has remembered in the writer */
void machine_no_script(struct machine *machine);

/* All return NULL or 0 when there is no room. A new process of nobody's, with that mask; it has cgroup 1. */
struct machine_thread *machine_spawn(struct machine *machine, const struct cb_cpuset *mask);
struct machine_thread *machine_find(struct machine *machine, int32_t tid);
/* What `creator` can do: a child process, a thread. They inherit masks. */
struct machine_thread *machine_fork(struct machine *machine, struct machine_thread *creator);
struct machine_thread *machine_clone(struct machine *machine, struct machine_thread *creator);
/* It sets its mask itself. */
void machine_pin(struct machine_thread *thread, const struct cb_cpuset *mask);
/* One thread ends; the last one takes its process along, and process 1 gets the children. */
void machine_exit(struct machine *machine, struct machine_thread *thread);
void machine_exit_process(struct machine *machine, int32_t tgid);
bool machine_is_dead(struct machine *machine,
		     const struct machine_thread *thread); /* a zombie alone */
/* A CPU goes and comes, and the kernel does what it does with masks that have no CPU left. A thread that sleeps keeps its mask. */
void machine_offline(struct machine *machine, unsigned int cpu);
void machine_online(struct machine *machine, unsigned int cpu);
void machine_tick(struct machine *machine, uint64_t ticks);

struct machine_irq *machine_add_irq(struct machine *machine, uint32_t irq, const char *actions,
				    const struct cb_cpuset *mask, int32_t effective);
struct machine_irq *machine_find_irq(struct machine *machine, uint32_t irq);
void machine_fire(struct machine_irq *irq); /* it occurs: now it lands where it may */

/* A socket with SO_REUSEPORT at @port that this process serves; @cpu is its SO_INCOMING_CPU, -1 none. */
struct machine_socket *machine_add_socket(struct machine *machine, int32_t tgid, uint16_t port,
					  int32_t cpu);

/* The file of @knob of a queue, holding CPUs ("" none), or that many flows. */
struct machine_queue *machine_add_queue(struct machine *machine, enum cb_knob_id knob,
					const char *ifname, uint32_t ifindex, uint32_t queue,
					const char *list, uint32_t flows);

/* Fails the test when somebody does not have the mask that it had without us. */
void machine_assert_true(struct machine *machine);

/* "0-3,7" as a set. */
static inline struct cb_cpuset cpus(const char *list)
{
	struct cb_cpuset set;

	if (cb_cpuset_parse_list(list, strlen(list), &set) < 0) {
		fprintf(stderr, "not a list of CPUs: %s\n", list);
		abort();
	}
	return set;
}
