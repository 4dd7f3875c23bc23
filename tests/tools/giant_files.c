/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "giant_files.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "giant_model.h"
#include "tool.h"

#define IRQ_FIRST    32u
#define USER_HZ	     100.0
#define PID_FIRST    1001u
#define CORES_IN_LLC 8u

static const struct giant_options *options;
static uint64_t last_nsec;

/* Time goes on when /proc/stat is read, which every look at the machine begins with. */
static void pass_time(void)
{
	uint64_t now = tool_now_nsec();

	if (options->step_msec)
		giant_advance(options->step_msec / 1e3);
	else if (now - last_nsec >= TOOL_NSEC_PER_MSEC)
		giant_advance((double)(now - last_nsec) / 1e9);
	last_nsec = now;
}

/* --- files in /proc --------------------------------------------------------------------------------- */

static void print_times(struct genfs_text *text, const struct giant_cpu *cpu)
{
	genfs_printf(text, " %.0f 0 %.0f %.0f 0 0 %.0f 0 0 0\n", cpu->user * USER_HZ,
		     cpu->system * USER_HZ, cpu->idle * USER_HZ, cpu->softirq * USER_HZ);
}

static void read_stat(struct genfs_text *text, void *object, uint32_t index)
{
	struct giant_cpu all = { 0 };
	uint64_t total = 0;

	(void)object, (void)index;
	pass_time();
	for (uint32_t i = 0; i < giant.n_ids; i++) {
		all.user += giant.cpu[i].user;
		all.system += giant.cpu[i].system;
		all.idle += giant.cpu[i].idle;
		all.softirq += giant.cpu[i].softirq;
	}
	genfs_printf(text, "cpu ");
	print_times(text, &all);
	for (uint32_t i = 0; i < giant.n_ids; i++)
		if (giant.cpu[i].online) {
			genfs_printf(text, "cpu%u", i);
			print_times(text, &giant.cpu[i]);
		}
	for (uint32_t i = 0; i < giant.n_irqs; i++)
		total += giant.irq[i].total;
	genfs_printf(text, "intr %ju", (uintmax_t)total);
	for (uint32_t i = 0; i < IRQ_FIRST; i++)
		genfs_printf(text, " 0");
	for (uint32_t i = 0; i < giant.n_irqs; i++) {
		genfs_printf(text, " ");
		genfs_number(text, giant.irq[i].total);
	}
	genfs_printf(
		text,
		"\nctxt %.0f\nbtime 1700000000\nprocesses 5000\nprocs_running 1\nprocs_blocked 0\n"
		"softirq 0 0 0 0 0 0 0 0 0 0 0\n",
		giant.ctxt);
}

static uint64_t softirqs_of(const struct giant_cpu *cpu, uint32_t kind)
{
	return kind == 1 || kind == 7 ? (uint64_t)(giant.seconds * 100) :
	       kind == 3	      ? (uint64_t)cpu->net_rx :
	       kind == 4	      ? (uint64_t)cpu->block :
					0;
}

static void read_softirqs(struct genfs_text *text, void *object, uint32_t index)
{
	static const char *const kinds[] = { "HI",	 "TIMER",   "NET_TX", "NET_RX",	 "BLOCK",
					     "IRQ_POLL", "TASKLET", "SCHED",  "HRTIMER", "RCU" };

	(void)object, (void)index;
	genfs_printf(text, "                    ");
	for (uint32_t cpu = 0; cpu < giant.n_ids; cpu++)
		if (giant.cpu[cpu].exists)
			genfs_printf(text, "CPU%-8u", cpu);
	for (uint32_t kind = 0; kind < sizeof(kinds) / sizeof(kinds[0]); kind++) {
		genfs_printf(text, "\n%12s:", kinds[kind]);
		for (uint32_t cpu = 0; cpu < giant.n_ids; cpu++)
			if (giant.cpu[cpu].exists)
				genfs_printf(text, " %10ju",
					     (uintmax_t)softirqs_of(&giant.cpu[cpu], kind));
	}
	genfs_printf(text, "\n");
}

static void read_interrupts(struct genfs_text *text, void *object, uint32_t index)
{
	(void)object, (void)index;
	genfs_printf(text, "           ");
	for (uint32_t cpu = 0; cpu < giant.n_ids; cpu++)
		if (giant.cpu[cpu].online)
			genfs_printf(text, "CPU%-8u", cpu);
	for (uint32_t i = 0; i < giant.n_irqs; i++) {
		genfs_printf(text, "\n%4u:", i + IRQ_FIRST);
		for (uint32_t cpu = 0; cpu < giant.n_ids; cpu++)
			if (giant.cpu[cpu].online) {
				genfs_printf(text, " ");
				genfs_number(text, giant.irq[i].count[cpu]);
			}
		genfs_printf(text, "  PCI-MSI %u-edge      %s", i, giant.irq[i].name);
	}
	genfs_printf(text, "\n");
}

static void read_softnet(struct genfs_text *text, void *object, uint32_t index)
{
	(void)object, (void)index;
	for (uint32_t cpu = 0; cpu < giant.n_ids; cpu++)
		if (giant.cpu[cpu].online)
			genfs_printf(
				text,
				"%08x 00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000 "
				"00000000 00000000 00000000 %08x 00000000 00000000\n",
				(uint32_t)(uint64_t)giant.cpu[cpu].net_rx, cpu);
}

/* --- interrupts ------------------------------------------------------------------------------------- */

static void read_mask(struct genfs_text *text, void *object, uint32_t list)
{
	const struct giant_irq *irq = object;

	(list ? giant_print_list : giant_print_mask)(text, &irq->mask);
}

static void read_effective(struct genfs_text *text, void *object, uint32_t list)
{
	const struct giant_irq *irq = object;
	struct giant_set set = { 0 };

	giant_add(&set, irq->cpu);
	(list ? giant_print_list : giant_print_mask)(text, &set);
}

static int write_mask(const char *data, size_t len, void *object, uint32_t list)
{
	struct giant_set set;
	int r = (list ? giant_parse_list : giant_parse_mask)(data, &set);

	(void)len;
	return r < 0 ? r : giant_irq_set(object, &set);
}

static void read_count(struct genfs_text *text, void *object, uint32_t index)
{
	const struct giant_irq *irq = object;
	const char *comma = "";

	(void)index;
	for (uint32_t cpu = 0; cpu < giant.n_ids; cpu++)
		if (giant.cpu[cpu].exists) {
			genfs_printf(text, "%s", comma);
			genfs_number(text, irq->count[cpu]);
			comma = ",";
		}
	genfs_printf(text, "\n");
}

static void irq_files(struct genfs_node *root, uint32_t index, uint32_t node)
{
	struct giant_irq *irq = &giant.irq[index];
	struct genfs_node *dir;
	mode_t mode = irq->managed ? 0444 : 0644;
	char path[64];

	snprintf(path, sizeof(path), "proc/irq/%u", index + IRQ_FIRST);
	dir = genfs_dir(root, path);
	genfs_file(dir, "smp_affinity", mode, read_mask, write_mask, irq, 0);
	genfs_file(dir, "smp_affinity_list", mode, read_mask, write_mask, irq, 1);
	genfs_file(dir, "effective_affinity", 0444, read_effective, NULL, irq, 0);
	genfs_file(dir, "effective_affinity_list", 0444, read_effective, NULL, irq, 1);
	genfs_text(dir, "node", "%u\n", node);
	snprintf(path, sizeof(path), "sys/kernel/irq/%u", index + IRQ_FIRST);
	dir = genfs_dir(root, path);
	genfs_text(dir, "actions", "%s\n", irq->name);
	genfs_text(dir, "hwirq", "%u\n", 0x10000 + index);
	genfs_file(dir, "per_cpu_count", 0444, read_count, NULL, irq, 0);
}

static struct giant_irq *new_irq(void)
{
	struct giant_irq *irq = &giant.irq[giant.n_irqs++];

	irq->count = calloc(giant.n_ids, sizeof(irq->count[0]));
	if (!irq->count)
		tool_die("out of memory");
	return irq;
}

/* A queue's interrupt may go anywhere; all of them start on the first --start CPUs, if that is given. */
static void make_nic(struct genfs_node *root, uint32_t nic)
{
	struct genfs_node *device;
	char path[96], target[96];

	snprintf(path, sizeof(path), "sys/devices/pci0000:00/0000:%02x:00.0", nic + 1);
	snprintf(target, sizeof(target), "../../../devices/pci0000:00/0000:%02x:00.0", nic + 1);
	device = genfs_dir(root, path);
	genfs_text(device, "numa_node", "%u\n", nic % options->n_nodes);
	snprintf(path, sizeof(path), "sys/class/net/eth%u", nic);
	genfs_link(genfs_dir(root, path), "device", target);
	for (uint32_t queue = 0; queue < options->n_queues; queue++) {
		struct giant_irq *irq = new_irq();

		snprintf(irq->name, sizeof(irq->name), "eth%u-TxRx-%u", nic, queue);
		irq->network = true;
		/* heavy-tailed, and the same each time */
		irq->per_sec = 1 / pow((double)(queue * options->n_nics + nic + 1), 0.8);
		for (uint32_t cpu = 0; cpu < (options->n_start ? options->n_start : giant.n_ids);
		     cpu++)
			if (giant.cpu[cpu].exists)
				giant_add(&irq->mask, cpu);
		giant_irq_settle(irq);
		snprintf(path, sizeof(path), "%u", giant.n_irqs - 1 + IRQ_FIRST);
		genfs_text(genfs_dir(device, "msi_irqs"), path, "msix\n");
		irq_files(root, giant.n_irqs - 1, nic % options->n_nodes);
	}
}

/* One managed queue for each node: the kernel has placed it, and nobody else may. */
static void make_disk(struct genfs_node *root, uint32_t disk)
{
	for (uint32_t node = 0; node < options->n_nodes; node++) {
		struct giant_irq *irq = new_irq();

		snprintf(irq->name, sizeof(irq->name), "nvme%uq%u", disk, node + 1);
		irq->managed = true;
		irq->per_sec = 0.05;
		for (uint32_t cpu = 0; cpu < giant.n_ids; cpu++)
			if (giant.cpu[cpu].exists && giant.cpu[cpu].node == node)
				giant_add(&irq->mask, cpu);
		giant_irq_settle(irq);
		irq_files(root, giant.n_irqs - 1, node);
	}
}

static void make_irqs(struct genfs_node *root)
{
	double sum = 0, want = options->load_percent / 100.0 * options->n_cpus / GIANT_IRQ_COST_SEC;

	giant.irq = calloc(options->n_nics * options->n_queues +
				   options->n_disks * options->n_nodes + 1,
			   sizeof(giant.irq[0]));
	if (!giant.irq)
		tool_die("out of memory");
	genfs_dir(root, "sys/class/net/lo");
	for (uint32_t nic = 0; nic < options->n_nics; nic++)
		make_nic(root, nic);
	for (uint32_t disk = 0; disk < options->n_disks; disk++)
		make_disk(root, disk);
	for (uint32_t i = 0; i < giant.n_irqs; i++)
		sum += giant.irq[i].per_sec;
	for (uint32_t i = 0; i < giant.n_irqs; i++) /* none above half a CPU */
		giant.irq[i].per_sec =
			fmin(giant.irq[i].per_sec * want / sum, 0.5 / GIANT_IRQ_COST_SEC);
}

/* --- CPUs ------------------------------------------------------------------------------------------- */

static bool in_set(const char *what, const struct giant_cpu *a, const struct giant_cpu *b)
{
	return b->exists && (*what == 'c' ? a->core == b->core :
			     *what == 'l' ? a->llc == b->llc :
			     *what == 'n' ? a->node == b->node :
			     *what == 'o' ? b->online :
					    true);
}

static void read_cpus(struct genfs_text *text, void *object, uint32_t cpu)
{
	struct giant_set set = { 0 };

	for (uint32_t i = 0; i < giant.n_ids; i++)
		if (in_set(object, &giant.cpu[cpu], &giant.cpu[i]))
			giant_add(&set, i);
	giant_print_list(text, &set);
}

static void read_online(struct genfs_text *text, void *object, uint32_t cpu)
{
	(void)object;
	genfs_printf(text, "%d\n", giant.cpu[cpu].online);
}

static int write_online(const char *data, size_t len, void *object, uint32_t cpu)
{
	(void)object, (void)len;
	if (*data != '0' && *data != '1')
		return -EINVAL;
	giant.cpu[cpu].online = *data == '1';
	return 0;
}

static void cpu_files(struct genfs_node *root, uint32_t cpu)
{
	struct genfs_node *dir;
	char path[64];

	snprintf(path, sizeof(path), "sys/devices/system/cpu/cpu%u", cpu);
	dir = genfs_dir(root, path);
	if (cpu > 0)
		genfs_file(dir, "online", 0644, read_online, write_online, NULL, cpu);
	if (options->slow_percent > 0)
		genfs_text(dir, "cpu_capacity", "%u\n", giant.cpu[cpu].capacity);
	genfs_text(genfs_dir(dir, "topology"), "physical_package_id", "%u\n",
		   giant.cpu[cpu].package);
	genfs_file(genfs_dir(dir, "topology"), "core_cpus_list", 0444, read_cpus, NULL, "core",
		   cpu);
	for (uint32_t i = 0; i < 4; i++) { /* L1d, L1i, L2, L3 */
		static const uint32_t level[] = { 1, 1, 2, 3 };

		snprintf(path, sizeof(path), "cache/index%u", i);
		genfs_text(genfs_dir(dir, path), "level", "%u\n", level[i]);
		genfs_file(genfs_dir(dir, path), "shared_cpu_list", 0444, read_cpus, NULL,
			   i < 3 ? "core" : "llc", cpu);
	}
}

/* As firmware counts them: the first thread of each core, then the second ones; holes are left out on the way. */
static void make_cpus(struct genfs_node *root)
{
	struct genfs_node *dir = genfs_dir(root, "sys/devices/system/cpu");
	uint32_t n_cores = options->n_cpus / options->n_threads, made = 0;

	for (giant.n_ids = 0; made < options->n_cpus; giant.n_ids++) {
		struct giant_cpu *cpu = &giant.cpu[giant.n_ids];
		uint32_t core = made % n_cores;

		if (giant.n_ids == GIANT_CPUS_MAX)
			tool_die("at most %u CPU numbers", GIANT_CPUS_MAX);
		if (options->hole && giant.n_ids % options->hole == options->hole - 1)
			continue;
		*cpu = (struct giant_cpu){ .exists = true,
					   .online = true,
					   .core = core,
					   .capacity = 1024,
					   .node = core * options->n_nodes / n_cores,
					   .llc = core / CORES_IN_LLC };
		cpu->package = cpu->node / 2;
		if (core >= n_cores * (100 - options->slow_percent) / 100)
			cpu->capacity = 446;
		made++;
	}
	for (uint32_t i = 0; i < giant.n_ids; i++)
		if (giant.cpu[i].exists)
			cpu_files(root, i);
	genfs_file(dir, "online", 0444, read_cpus, NULL, "online", 0);
	genfs_file(dir, "possible", 0444, read_cpus, NULL, "possible", 0);
	genfs_text(dir, "isolated", "%s\n", options->isolated);
	genfs_text(dir, "nohz_full", "%s\n", options->isolated);
}

static void make_nodes(struct genfs_node *root)
{
	for (uint32_t node = 0; node < options->n_nodes; node++)
		for (uint32_t cpu = 0; cpu < giant.n_ids; cpu++) {
			char path[64];

			if (!giant.cpu[cpu].exists || giant.cpu[cpu].node != node)
				continue;
			snprintf(path, sizeof(path), "sys/devices/system/node/node%u", node);
			genfs_file(genfs_dir(root, path), "cpulist", 0444, read_cpus, NULL, "node",
				   cpu);
			break;
		}
}

/* --- workers ---------------------------------------------------------------------------------------- */

static void read_task_stat(struct genfs_text *text, void *object, uint32_t pid)
{
	const struct giant_worker *worker = object;

	genfs_printf(
		text,
		"%u (web) S 1 %u %u 0 -1 4194560 0 0 0 0 %.0f 0 0 0 20 0 1 0 500 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 17 "
		"%u 0 0 0 0 0 0 0 0 0 0 0 0 0\n",
		pid, pid, pid, worker->cpu_sec * USER_HZ, worker->cpu);
}

static void read_task_status(struct genfs_text *text, void *object, uint32_t pid)
{
	const struct giant_worker *worker = object;

	genfs_printf(
		text,
		"Name:\tweb\nState:\tS (sleeping)\nTgid:\t%u\nPid:\t%u\nPPid:\t1\nUid:\t33\t33\t33\t33\n"
		"Threads:\t1\nCpus_allowed_list:\t",
		pid, pid);
	giant_print_list(text, &worker->mask);
	genfs_printf(text, "voluntary_ctxt_switches:\t%.0f\nnonvoluntary_ctxt_switches:\t%.0f\n",
		     worker->cpu_sec * 500, worker->wait_sec * 200);
}

static void read_schedstat(struct genfs_text *text, void *object, uint32_t pid)
{
	const struct giant_worker *worker = object;

	(void)pid;
	genfs_printf(text, "%.0f %.0f %.0f\n", worker->cpu_sec * 1e9, worker->wait_sec * 1e9,
		     worker->cpu_sec * 700);
}

static void make_workers(struct genfs_node *root)
{
	struct giant_set mask;

	if (giant_parse_list(options->worker_cpus, &mask) < 0)
		tool_die("--worker-cpus: no list of CPUs of this machine: %s",
			 options->worker_cpus);
	giant.worker = calloc(giant.n_workers + 1, sizeof(giant.worker[0]));
	if (!giant.worker)
		tool_die("out of memory");
	for (uint32_t i = 0; i < giant.n_workers; i++) {
		struct genfs_node *dir;
		uint32_t pid = PID_FIRST + i;
		char path[64];

		giant.worker[i] = (struct giant_worker){ .mask = mask,
							 .want = options->want_percent / 100.0 };
		for (uint32_t at = 0; at < 2; at++) {
			snprintf(path, sizeof(path), at ? "proc/%u/task/%u" : "proc/%u", pid, pid);
			dir = genfs_dir(root, path);
			genfs_file(dir, "stat", 0444, read_task_stat, NULL, &giant.worker[i], pid);
			genfs_file(dir, "status", 0444, read_task_status, NULL, &giant.worker[i],
				   pid);
			genfs_file(dir, "schedstat", 0444, read_schedstat, NULL, &giant.worker[i],
				   pid);
			genfs_text(dir, "comm", "web\n");
			genfs_text(dir, "cgroup", "0::/\n");
		}
	}
}

void giant_make(struct genfs_node *root, const struct giant_options *wanted)
{
	struct genfs_node *proc = genfs_dir(root, "proc");

	options = wanted;
	last_nsec = tool_now_nsec();
	genfs_text(genfs_dir(proc, "sys/kernel/random"), "boot_id",
		   "00000000-0000-4000-8000-0000000061a7\n");
	genfs_text(genfs_dir(proc, "sys/kernel"), "osrelease", "6.12.0-giant\n");
	genfs_file(proc, "stat", 0444, read_stat, NULL, NULL, 0);
	genfs_file(proc, "softirqs", 0444, read_softirqs, NULL, NULL, 0);
	genfs_file(proc, "interrupts", 0444, read_interrupts, NULL, NULL, 0);
	genfs_file(genfs_dir(proc, "net"), "softnet_stat", 0444, read_softnet, NULL, NULL, 0);
	make_cpus(root);
	make_nodes(root);
	make_irqs(root);
	make_workers(root);
}
