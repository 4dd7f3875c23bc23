/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The topology of machines made of files. Where CB_CORPUS names a folder with captures of real
 * machines, each is rebuilt by the mktree.py in there and compared with what lscpu(1) says of the
 * same tree, and lstopo(1) where it is installed.
 */
#include "cpubalance/host.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tree.h"

#define CPU  "sys/devices/system/cpu/"
#define NODE "sys/devices/system/node/"

static int setup(void **state)
{
	struct tree *tree = calloc(1, sizeof(*tree));

	if (!tree)
		return -1;
	tree_init(tree);
	*state = tree;
	return 0;
}

static int teardown(void **state)
{
	tree_done(*state);
	free(*state);
	return 0;
}

static void cpu_file(struct tree *tree, unsigned int cpu, const char *file, const char *text)
{
	char path[128];

	snprintf(path, sizeof(path), CPU "cpu%u/%s", cpu, file);
	tree_write(tree, path, text);
}

static void write_stat(struct tree *tree, const unsigned int *cpus, size_t n)
{
	char text[4096] = "cpu  1 2 3 4\n";

	for (size_t i = 0; i < n; i++)
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "cpu%u 1 2 3 4\n",
			 cpus[i]);
	tree_printf(tree, "proc/stat",
		    "%sintr 0\nctxt 1\nprocesses 1\nprocs_running 1\nprocs_blocked 0\n", text);
}

static struct cb_topology *build(struct tree *tree)
{
	struct cb_topology *topology;
	struct cb_err err = { 0 };

	if (!tree->host)
		tree_open(tree);
	if (cb_host_topology(tree->host, 5, &topology, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(topology->generation, 5);
	return topology;
}

static void assert_set(const struct cb_cpuset *set, const char *expected)
{
	char buf[CB_CPULIST_MAX];

	assert_true(cb_cpuset_format_list(set, buf, sizeof(buf)) >= 0);
	assert_string_equal(buf, expected);
}

/*
 * Two packages, two nodes, four cores with two threads each; CPU 5 is offline and has no topology.
 */
static void two_sockets(void **state)
{
	static const char *const core[] = { "0,4\n", "1\n", "2,6\n", "3,7\n",
					    "0,4\n", "",    "2,6\n", "3,7\n" };
	static const unsigned int online[] = { 0, 1, 2, 3, 4, 6, 7 };
	struct tree *tree = *state;
	struct cb_topology *topology;

	tree_write(tree, CPU "possible", "0-7\n");
	tree_write(tree, CPU "online", "0-4,6-7\n");
	tree_write(tree, CPU "isolated", "7\n");
	tree_write(tree, CPU "nohz_full", "(null)\n");
	tree_write(tree, NODE "node0/cpulist", "0-1,4\n");
	tree_write(tree, NODE "node2/cpulist", "2-3,6-7\n");
	tree_write(tree, NODE "node3/cpulist", "\n");
	write_stat(tree, online, CB_ARRAY_SIZE(online));
	cpu_file(tree, 5, "online", "0\n");
	for (size_t i = 0; i < CB_ARRAY_SIZE(online); i++) {
		bool second = online[i] == 2 || online[i] == 3 || online[i] >= 6;

		cpu_file(tree, online[i], "topology/core_cpus_list", core[online[i]]);
		cpu_file(tree, online[i], "topology/thread_siblings_list",
			 "0-7\n"); /* the newer name counts */
		cpu_file(tree, online[i], "topology/physical_package_id", second ? "1\n" : "0\n");
		cpu_file(tree, online[i], "cache/index0/level", "1\n");
		cpu_file(tree, online[i], "cache/index0/shared_cpu_list", core[online[i]]);
		cpu_file(tree, online[i], "cache/index3/level", "4\n"); /* behind a gap: not seen */
		cpu_file(tree, online[i], "cache/index1/level", "3\n");
		cpu_file(tree, online[i], "cache/index1/shared_cpu_list",
			 second ? "2-3,6-7\n" : "0-1,4\n");
	}
	cpu_file(tree, 3, "cpu_capacity", "446\n");
	cpu_file(tree, 7, "cpu_capacity", "0\n");
	topology = build(tree);
	assert_int_equal(topology->n_cpu_ids, 8);
	assert_int_equal(topology->n_online, 7);
	assert_set(&topology->possible, "0-7");
	assert_set(&topology->online, "0-4,6-7");
	assert_set(&topology->isolated, "7");
	assert_set(&topology->nohz_full, "");
	assert_int_equal(topology->cpu[4].core, 0);
	assert_int_equal(topology->cpu[4].node, 0);
	assert_int_equal(topology->cpu[4].package, 0);
	assert_int_equal(topology->cpu[4].llc, 0);
	assert_int_equal(topology->cpu[6].core, 2);
	assert_int_equal(topology->cpu[6].node, 2);
	assert_int_equal(topology->cpu[6].package, 1);
	assert_int_equal(topology->cpu[6].llc, 2);
	assert_int_equal(topology->cpu[3].capacity, 446);
	assert_int_equal(topology->cpu[7].capacity, CB_CAPACITY_FULL);
	assert_int_equal(topology->cpu[5].core, 5);
	assert_int_equal(topology->cpu[5].node, -1);
	assert_int_equal(topology->cpu[5].llc, -1);
	cb_topology_unref(topology);
}

/*
 * Old kernels: masks, no lists, no list of possible CPUs, no node directory, no /proc/stat in the
 * capture.
 */
static void masks_only(void **state)
{
	struct tree *tree = *state;
	struct cb_topology *topology;

	for (unsigned int cpu = 0; cpu < 4; cpu++) {
		cpu_file(tree, cpu, "topology/thread_siblings",
			 cpu < 2 ? "00000003\n" : "0000000c\n");
		cpu_file(tree, cpu, "topology/physical_package_id", "-1\n");
		cpu_file(tree, cpu, "cache/index0/level", "2\n");
		cpu_file(tree, cpu, "cache/index0/shared_cpu_map", "0000000f\n");
	}
	cpu_file(tree, 3, "online", "0\n");
	tree_write(tree, CPU "cpufreq/boost", "1\n");
	topology = build(tree);
	assert_int_equal(topology->n_cpu_ids, 4);
	assert_set(&topology->possible, "0-3");
	assert_set(&topology->online, "0-2");
	assert_int_equal(topology->cpu[1].core, 0);
	assert_int_equal(topology->cpu[2].core, 2);
	assert_int_equal(topology->cpu[2].llc, 0);
	assert_int_equal(topology->cpu[2].package, -1);
	assert_int_equal(topology->cpu[2].node, -1);
	cb_topology_unref(topology);
}

static void trailing_nul(void **state)
{
	static const char online[] = "0,2\n"; /* with its NUL */
	struct tree *tree = *state;
	struct cb_topology *topology;

	tree_write_bytes(tree, CPU "possible", "0-3\n\0", 5);
	tree_write_bytes(tree, CPU "online", online, sizeof(online));
	topology = build(tree);
	assert_int_equal(topology->n_cpu_ids, 4);
	assert_set(&topology->online, "0,2");
	assert_int_equal(topology->cpu[2].core, 2);
	cb_topology_unref(topology);
}

/* Rows of /proc/stat are what each tick compares with, whatever else is said. */
static void stat_decides_who_is_online(void **state)
{
	static const unsigned int online[] = { 0, 9 };
	struct tree *tree = *state;
	struct cb_topology *topology;

	tree_write(tree, CPU "possible", "0-3\n");
	tree_write(tree, CPU "online", "0-3\n");
	write_stat(tree, online, CB_ARRAY_SIZE(online));
	topology = build(tree);
	assert_set(&topology->online, "0,9");
	assert_int_equal(topology->n_cpu_ids, 10);
	cb_topology_unref(topology);
}

/* Six threads on two fast cores and two clusters of two small ones; nobody knows a capacity. */
static void a_hybrid_by_its_frequencies(void **state)
{
	static const char *const core[] = { "0-1", "0-1", "2-3", "2-3", "4", "5", "6", "7" };
	static const char *const cluster[] = { "0-1", "0-1", "2-3", "2-3",
					       "4-5", "4-5", "6-7", "6-7" };
	struct tree *tree = *state;
	struct cb_topology *topology;

	tree_write(tree, CPU "online", "0-7\n");
	for (unsigned int cpu = 0; cpu < 8; cpu++) {
		cpu_file(tree, cpu, "topology/core_cpus_list", core[cpu]);
		cpu_file(tree, cpu, "topology/cluster_cpus_list", cluster[cpu]);
		cpu_file(tree, cpu, "cache/index0/level", "3\n");
		cpu_file(tree, cpu, "cache/index0/shared_cpu_list", "0-7\n");
		if (cpu != 7)
			cpu_file(tree, cpu, "cpufreq/cpuinfo_max_freq",
				 cpu < 4 ? "4800000\n" : "3600000\n");
	}
	topology = build(tree);
	assert_int_equal(topology->cpu[0].capacity, CB_CAPACITY_FULL);
	assert_int_equal(topology->cpu[5].capacity, CB_CAPACITY_FULL * 3 / 4);
	assert_int_equal(topology->cpu[7].capacity, CB_CAPACITY_FULL); /* does not say */
	/* a cluster that is a core alone is none */
	assert_int_equal(topology->cpu[2].cluster, -1);
	assert_int_equal(topology->cpu[5].cluster, 4);
	assert_int_equal(topology->cpu[6].cluster, 6);
	assert_true(cb_topology_distance_ratio(topology, 4, 5) <= 0);
	assert_true(cb_topology_distance_ratio(topology, 4, 6) > 0.2);
	cb_topology_unref(topology);
	/* what the kernel knows counts more */
	cpu_file(tree, 4, "cpu_capacity", "500\n");
	topology = build(tree);
	assert_int_equal(topology->cpu[4].capacity, 500);
	assert_int_equal(topology->cpu[5].capacity, CB_CAPACITY_FULL);
	cb_topology_unref(topology);
}

/* Nodes 0, 2, 3 have CPUs, 5 has memory alone and is the farthest of all. */
static void distances_of_nodes(void **state)
{
	struct tree *tree = *state;
	struct cb_topology *topology;

	tree_write(tree, CPU "online", "0-5\n");
	for (unsigned int cpu = 0; cpu < 6; cpu++)
		cpu_file(tree, cpu, "topology/physical_package_id", cpu < 4 ? "0\n" : "1\n");
	tree_write(tree, NODE "node0/cpulist", "0-1\n");
	tree_write(tree, NODE "node2/cpulist", "2-3\n");
	tree_write(tree, NODE "node3/cpulist", "4-5\n");
	tree_write(tree, NODE "node5/cpulist", "\n");
	tree_write(tree, NODE "node0/distance", "10 12 32 80\n");
	tree_write(tree, NODE "node2/distance", "12 10 32 80\n");
	tree_write(tree, NODE "node3/distance", "32 32 x\n");
	topology = build(tree);
	assert_int_equal(topology->distance[0][2], 12);
	assert_int_equal(topology->distance[2][3], 32);
	assert_int_equal(topology->distance[0][5], 80);
	assert_int_equal(topology->distance[3][0], 0);
	assert_int_equal(topology->farthest, 32);
	assert_true(cb_topology_distance_ratio(topology, 0, 2) < 0.56);
	assert_true(cb_topology_distance_ratio(topology, 0, 4) >= 1);
	assert_true(cb_topology_distance_ratio(topology, 4, 0) >= 1); /* unknown */
	assert_true(cb_topology_distance_ratio(topology, 1, 1) <= 0);
	cb_topology_unref(topology);
}

/* Firmware that gives both packages one number. */
static void packages_of_one_number(void **state)
{
	struct tree *tree = *state;
	struct cb_topology *topology;

	tree_write(tree, CPU "online", "0-3\n");
	for (unsigned int cpu = 0; cpu < 4; cpu++) {
		cpu_file(tree, cpu, "topology/physical_package_id", "7\n");
		cpu_file(tree, cpu, "topology/core_siblings_list", cpu % 2 ? "1,3\n" : "0,2\n");
	}
	topology = build(tree);
	assert_int_equal(topology->cpu[2].package, 0);
	assert_int_equal(topology->cpu[3].package, 1);
	cb_topology_unref(topology);
	cpu_file(tree, 2, "topology/core_siblings_list", "");
	topology = build(tree);
	assert_int_equal(topology->cpu[3].package, 7);
	cb_topology_unref(topology);
}

/* Files that are empty, or say what others deny: every field is what can be believed, or unknown. */
static void empty_and_contradictory_files(void **state)
{
	struct tree *tree = *state;
	struct cb_topology *topology;

	tree_write(tree, CPU "possible", "0-3\n");
	tree_write(tree, CPU "online", "0-3\n");
	tree_write(tree, CPU "isolated", "");
	tree_write(tree, NODE "node0/cpulist", "");
	tree_write(tree, NODE "node1/cpulist", "0-9\n"); /* more than there are */
	tree_write(tree, NODE "node1/distance", "");
	cpu_file(tree, 0, "topology/core_cpus_list", "1\n"); /* of somebody else */
	cpu_file(tree, 1, "topology/core_cpus_list", "");
	cpu_file(tree, 2, "topology/physical_package_id", "");
	cpu_file(tree, 2, "topology/cluster_cpus_list", "0-1\n");
	cpu_file(tree, 3, "topology/physical_package_id", "99999999999\n");
	cpu_file(tree, 0, "cache/index0/level", "3\n");
	cpu_file(tree, 0, "cache/index0/shared_cpu_list", "2-3\n"); /* without itself */
	cpu_file(tree, 1, "cache/index0/level", "");
	cpu_file(tree, 1, "cpu_capacity", "5000\n");
	cpu_file(tree, 2, "cpufreq/cpuinfo_max_freq", "0\n");
	topology = build(tree);
	assert_set(&topology->online, "0-3");
	for (int cpu = 0; cpu < 4; cpu++) {
		const struct cb_cpu_place *place = &topology->cpu[cpu];

		assert_int_equal(place->core, cpu);
		assert_int_equal(place->node, 1);
		assert_int_equal(place->package, -1);
		assert_int_equal(place->llc, -1);
		assert_int_equal(place->cluster, -1);
		assert_int_equal(place->capacity, CB_CAPACITY_FULL);
	}
	cb_topology_unref(topology);
}

static void nothing_there(void **state)
{
	struct cb_topology *topology = NULL;
	struct tree *tree = *state;
	struct cb_err err = { 0 };

	tree_open(tree);
	assert_int_equal(cb_host_topology(tree->host, 1, &topology, &err), -ENODATA);
	assert_non_null(strstr(err.msg, "possible"));
	tree_write(tree, CPU "possible", "0-4096\n");
	assert_int_equal(cb_host_topology(tree->host, 1, &topology, &err), -ERANGE);
	assert_non_null(strstr(err.msg, "4095"));
	tree_write(tree, CPU "possible", "0-1\n");
	tree_write(tree, "proc/stat", "cpu  1 2 3\ncpu0 x\n");
	assert_int_equal(cb_host_topology(tree->host, 1, &topology, &err), -EBADMSG);
	assert_non_null(strstr(err.msg, "proc/stat"));
	assert_null(topology);
}

/* --- captures of real machines --- */

struct lscpu_row {
	int cpu, node, socket, core; /* -1 not said */
	bool online;
};
static struct lscpu_row row[CB_CPUS_MAX];

static int number_or_none(char **p)
{
	char *end;
	long value = isdigit((unsigned char)**p) ? strtol(*p, &end, 10) : -1;

	if (value < 0)
		end = *p + strcspn(*p, ",\n");
	*p = *end == ',' ? end + 1 : end;
	return (int)value;
}

/* Rows of lscpu -p=cpu,node,socket,core,online; 0 when it cannot read the tree. */
static size_t run_lscpu(const struct tree *tree)
{
	char command[512], line[256];
	size_t n = 0;
	FILE *f;

	snprintf(command, sizeof(command),
		 "lscpu --all --sysroot '%s' -p=cpu,node,socket,core,online 2>/dev/null",
		 tree->root);
	f = popen(command, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		char *p = line;

		if (line[0] == '#' || n == CB_CPUS_MAX)
			continue;
		row[n].cpu = number_or_none(&p);
		row[n].node = number_or_none(&p);
		row[n].socket = number_or_none(&p);
		row[n].core = number_or_none(&p);
		row[n].online = *p == 'Y';
		n += row[n].cpu >= 0; /* of some machines it prints empty rows */
	}
	return pclose(f) == 0 ? n : 0;
}

/* lscpu numbers sockets and cores as it finds them: what has to agree is who shares one. */
static void compare_with_lscpu(const char *name, const struct cb_topology *topology, size_t n)
{
	unsigned int n_online = 0;

	for (size_t i = 0; i < n; i++) {
		const struct cb_cpu_place *a = &topology->cpu[row[i].cpu];

		if ((uint32_t)row[i].cpu >= topology->n_cpu_ids)
			fail_msg("%s: no CPU %d", name, row[i].cpu);
		if (cb_cpuset_has(&topology->online, (unsigned int)row[i].cpu) != row[i].online)
			fail_msg("%s: CPU %d online", name, row[i].cpu);
		if (!row[i].online)
			continue;
		n_online++;
		if (row[i].node >= 0 && a->node != row[i].node)
			fail_msg("%s: CPU %d node %d, lscpu %d", name, row[i].cpu, a->node,
				 row[i].node);
		for (size_t j = 0; j < i; j++) {
			const struct cb_cpu_place *b = &topology->cpu[row[j].cpu];

			if (!row[j].online)
				continue;
			if (row[i].core >= 0 &&
			    (a->core == b->core) != (row[i].core == row[j].core))
				fail_msg("%s: CPU %d and %d: one core?", name, row[i].cpu,
					 row[j].cpu);
			/* One capture was made to contradict itself: its masks, by which lscpu goes, deny its lists and numbers. */
			if (a->package >= 0 && row[i].socket >= 0 &&
			    !strstr(name, "pci-conflicts") &&
			    (a->package == b->package) != (row[i].socket == row[j].socket))
				fail_msg("%s: CPU %d and %d: one package?", name, row[i].cpu,
					 row[j].cpu);
		}
	}
	assert_int_equal(n_online, topology->n_online);
}

/* Sets of CPUs that lstopo prints for one kind of object; 0 where it is not installed or knows none. */
static size_t run_lstopo(const struct tree *tree, const char *kind, struct cb_cpuset *ret,
			 size_t max)
{
	char command[512], line[2048];
	size_t n = 0;
	FILE *f;

	snprintf(command, sizeof(command),
		 "HWLOC_FSROOT='%s' HWLOC_THISSYSTEM=0 HWLOC_COMPONENTS=linux,stop "
		 "lstopo-no-graphics --of console --only %s --cpuset 2>/dev/null",
		 tree->root, kind);
	f = popen(command, "r");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f) && n < max) {
		char mask[2048] = "", *p = strstr(line, "cpuset=");
		size_t len = 0;

		/* 0x0000ffff,0xffffffff; a gap between commas is a word of zeros */
		for (p = p ? p + 7 : line + strlen(line); *p && *p != '\n'; p++) {
			if (p[0] == '0' && p[1] == 'x') {
				p++;
				continue;
			}
			if (*p == ',' && (len == 0 || mask[len - 1] == ','))
				len += (size_t)snprintf(mask + len, sizeof(mask) - len, "00000000");
			mask[len++] = *p;
			mask[len] = '\0';
		}
		if (len > 0 && cb_cpuset_parse_mask(mask, len, &ret[n]) == 0)
			n++;
	}
	pclose(f);
	return n;
}

static int32_t core_of(const struct cb_cpu_place *place)
{
	return place->core;
}
static int32_t package_of(const struct cb_cpu_place *place)
{
	return place->package;
}
static int32_t node_of(const struct cb_cpu_place *place)
{
	return place->node;
}
static int32_t llc_of(const struct cb_cpu_place *place)
{
	return place->llc;
}

/* CPUs of one set share what @of says, and those of two sets do not; where it is unknown (-1), nothing is claimed. */
static void compare_sets(const char *name, const char *kind, const struct cb_topology *topology,
			 const struct cb_cpuset *set, size_t n,
			 int32_t (*of)(const struct cb_cpu_place *place))
{
	int32_t seen[CB_CPUS_MAX];
	size_t n_seen = 0;

	for (size_t i = 0; i < n; i++) {
		int32_t here = -2;

		CB_CPUSET_FOREACH(cpu, &set[i]) {
			if (!cb_cpuset_has(&topology->online, cpu))
				continue;
			if (here == -2)
				here = of(&topology->cpu[cpu]);
			if (of(&topology->cpu[cpu]) != here)
				fail_msg("%s: CPU %u: not of one %s with its like", name, cpu,
					 kind);
		}
		for (size_t j = 0; j < n_seen && here >= 0; j++)
			if (seen[j] == here)
				fail_msg("%s: two of %s have one number, %d", name, kind, here);
		if (here >= 0)
			seen[n_seen++] = here;
	}
}

/* True when lstopo is there and knows the machine. */
static bool compare_with_lstopo(const char *name, const struct tree *tree,
				const struct cb_topology *topology)
{
	static const char *const caches[] = { "l5cache", "l4cache", "l3cache", "l2cache",
					      "l1cache" };
	static struct cb_cpuset set[CB_CPUS_MAX];
	size_t n = run_lstopo(tree, "core", set, CB_CPUS_MAX);
	bool known = n > 0;

	compare_sets(name, "core", topology, set, n, core_of);
	n = run_lstopo(tree, "package", set, CB_CPUS_MAX);
	known = known || n > 0;
	compare_sets(name, "package", topology, set, n, package_of);
	n = run_lstopo(tree, "numanode", set, CB_CPUS_MAX);
	/* nodes of memory alone and of a device are shown with the CPUs near to them */
	for (size_t i = 0; i < n; i++)
		for (size_t j = i + 1; j < n; j++)
			if (cb_cpuset_intersects(&set[i], &set[j]))
				n = 0;
	compare_sets(name, "node", topology, set, n, node_of);
	for (size_t i = 0; i < CB_ARRAY_SIZE(caches); i++) {
		n = run_lstopo(tree, caches[i], set, CB_CPUS_MAX);
		if (n == 0)
			continue;
		compare_sets(name, "last-level cache", topology, set, n, llc_of);
		break;
	}
	return known;
}

/* True of every machine. */
static void check_invariants(const struct cb_topology *topology)
{
	assert_true(topology->n_online > 0);
	assert_true(cb_cpuset_subset(&topology->online, &topology->possible));
	CB_CPUSET_FOREACH(cpu, &topology->online) {
		const struct cb_cpu_place *place = &topology->cpu[cpu];

		assert_in_range(place->capacity, 1, CB_CAPACITY_FULL);
		assert_true(place->core >= 0 && place->core <= (int32_t)cpu);
		assert_int_equal(topology->cpu[place->core].core, place->core);
		assert_true(place->llc < 0 || place->llc <= (int32_t)cpu);
		/* threads of one core share what is nearest to memory */
		assert_int_equal(topology->cpu[place->core].llc, place->llc);
	}
}

/* Adds to the counts of those that lscpu and lstopo know. */
static void check_capture(const char *corpus, const char *name, unsigned int *n_lscpu,
			  unsigned int *n_lstopo)
{
	struct tree tree;
	struct cb_topology *topology;
	char command[1024];
	size_t n;

	tree_init(&tree);
	snprintf(command, sizeof(command), "python3 '%s/mktree.py' '%s/topology/%s' '%s'", corpus,
		 corpus, name, tree.root);
	if (system(command) != 0)
		fail_msg("%s", command);
	topology = build(&tree);
	check_invariants(topology);
	/* lscpu does without everything but this file, of which it wants one processor. */
	tree_write(&tree, "proc/cpuinfo", "processor\t: 0\nvendor_id\t: any\n");
	snprintf(command, sizeof(command),
		 "cd '%s/proc' && test -e cpuinfo.arch && cp cpuinfo.arch cpuinfo", tree.root);
	(void)!system(command);
	n = run_lscpu(&tree);
	if (n > 0)
		compare_with_lscpu(name, topology, n);
	*n_lscpu += n > 0;
	*n_lstopo += compare_with_lstopo(name, &tree, topology);
	cb_topology_unref(topology);
	tree_done(&tree);
}

static void captures(void **state)
{
	const char *corpus = getenv("CB_CORPUS");
	unsigned int n = 0, n_lscpu = 0, n_lstopo = 0;
	struct dirent *entry;
	char path[512];
	DIR *dir;

	(void)state;
	if (!corpus || !*corpus) {
		print_message("skip: CB_CORPUS names no folder of captured machines\n");
		skip();
	}
	snprintf(path, sizeof(path), "%s/topology", corpus);
	dir = opendir(path);
	if (!dir)
		fail_msg("cannot open %s", path);
	while ((entry = readdir(dir))) {
		if (!strstr(entry->d_name, ".flat"))
			continue;
		n++;
		check_capture(corpus, entry->d_name, &n_lscpu, &n_lstopo);
	}
	closedir(dir);
	print_message("%u machines, %u compared with lscpu, %u with lstopo\n", n, n_lscpu,
		      n_lstopo);
	assert_true(n > 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(two_sockets),
		TEST(masks_only),
		TEST(trailing_nul),
		TEST(stat_decides_who_is_online),
		TEST(a_hybrid_by_its_frequencies),
		TEST(distances_of_nodes),
		TEST(packages_of_one_number),
		TEST(empty_and_contradictory_files),
		TEST(nothing_there),
		cmocka_unit_test(captures),
	};

	return cmocka_run_group_tests_name("hosttopology", tests, NULL, NULL);
}
