/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The topology from sysfs. Which CPUs are online is what /proc/stat has rows for, because that is
 * what every tick compares with; sysfs is asked only where a tree has no such file. Offline CPUs
 * have no topology directory, old kernels have masks where new ones have lists, machines without
 * NUMA may have no node directory: each of them leaves its field unknown and is no error.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host_internal.h"

#define PATH_MAX_CPU 128u
/* Cache directories of one CPU: the most seen is six (split first level, one each above). */
#define CACHES_MAX 16u

struct builder {
	struct cb_host *host;
	struct cb_cpuset present; /* CPUs with a directory */
	int32_t *nodes;
	size_t n_nodes;
};

static int read_set(struct cb_host *host, const char *path, bool mask, struct cb_cpuset *ret)
{
	ssize_t len = cb_host_read_big(host, path);

	if (len < 0)
		return (int)len;
	/*
	 * Old kernels count the NUL in, and copies of their files may have grown another newline
	 * behind it.
	 */
	while (len > 0 && (host->buf[len - 1] == '\0' || host->buf[len - 1] == '\n'))
		len--;
	return mask ? cb_cpuset_parse_mask(host->buf, (size_t)len, ret) :
		      cb_sysfs_cpulist_parse(host->buf, (size_t)len, ret);
}

static int read_i64(struct cb_host *host, const char *path, int64_t *ret)
{
	char buf[64];
	ssize_t len = cb_host_read_file(host, path, buf, sizeof(buf));

	return len < 0 ? (int)len : cb_sysfs_i64_parse(buf, (size_t)len, ret);
}

/* A file of one CPU; @file relative to its directory. */
static int read_cpu_set(struct cb_host *host, unsigned int cpu, const char *file, bool mask,
			struct cb_cpuset *ret)
{
	char path[PATH_MAX_CPU];

	snprintf(path, sizeof(path), CB_PATH_CPU_DIR "/cpu%u/%s", cpu, file);
	return read_set(host, path, mask, ret);
}

static int read_cpu_i64(struct cb_host *host, unsigned int cpu, const char *file, int64_t *ret)
{
	char path[PATH_MAX_CPU];

	snprintf(path, sizeof(path), CB_PATH_CPU_DIR "/cpu%u/%s", cpu, file);
	return read_i64(host, path, ret);
}

static int list_cpu_dirs(struct builder *b)
{
	_cleanup_free_ int32_t *cpus = NULL;
	size_t n;
	int r = cb_host_list_numbers(b->host, CB_PATH_CPU_DIR, "cpu", &cpus, &n);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++)
		if ((uint32_t)cpus[i] < CB_CPUS_MAX)
			cb_cpuset_set(&b->present, (unsigned int)cpus[i]);
	return cb_cpuset_empty(&b->present) ? -ENOENT : 0;
}

/* The CPUs that have a row in /proc/stat. */
static int online_by_stat(struct cb_host *host, struct cb_cpuset *ret)
{
	struct cb_snapshot snapshot = { 0 }; /* no room for anything: only who is online is asked */
	ssize_t len = cb_host_read_big(host, CB_PATH_STAT);
	bool news;

	return len < 0 ? (int)len : cb_stat_parse(host->buf, (size_t)len, &snapshot, ret, &news);
}

/* Each CPU's own file "online"; the boot CPU often has none, and is online. */
static void online_by_dirs(struct builder *b, struct cb_cpuset *ret)
{
	CB_CPUSET_FOREACH(cpu, &b->present) {
		int64_t online = 1;

		if (read_cpu_i64(b->host, cpu, "online", &online) < 0 || online != 0)
			cb_cpuset_set(ret, cpu);
	}
}

static int find_online(struct builder *b, struct cb_cpuset *ret, struct cb_err *err)
{
	int r = online_by_stat(b->host, ret);

	if (r == -ENOENT && read_set(b->host, CB_PATH_CPU_ONLINE, false, ret) < 0)
		online_by_dirs(b, ret);
	else if (r < 0 && r != -ENOENT)
		return cb_err_set(err, r, "cannot read the CPUs of %s: %s", CB_PATH_STAT,
				  strerror(-r));
	if (cb_cpuset_empty(ret))
		return cb_err_set(err, -ENODATA, "no CPU is online by %s and %s", CB_PATH_STAT,
				  CB_PATH_CPU_ONLINE);
	return 0;
}

static void place_nodes(struct builder *b, struct cb_topology *topology)
{
	for (size_t i = 0; i < b->n_nodes; i++) {
		struct cb_cpuset cpus;
		char path[PATH_MAX_CPU];

		snprintf(path, sizeof(path), CB_PATH_NODE_DIR "/node%d/cpulist", b->nodes[i]);
		if (read_set(b->host, path, false, &cpus) < 0) {
			snprintf(path, sizeof(path), CB_PATH_NODE_DIR "/node%d/cpumap",
				 b->nodes[i]);
			if (read_set(b->host, path, true, &cpus) < 0)
				continue;
		}
		CB_CPUSET_FOREACH(cpu, &cpus) {
			if (cpu >= topology->n_cpu_ids)
				break;
			topology->cpu[cpu].node = b->nodes[i];
		}
	}
}

/* How far a node is to each one that is online, in the order of their numbers. */
static void read_distances(struct builder *b, struct cb_topology *topology)
{
	for (size_t i = 0; i < b->n_nodes; i++) {
		uint32_t distance[CB_DISTANCE_NODES];
		char path[PATH_MAX_CPU];
		ssize_t len;
		size_t n;

		snprintf(path, sizeof(path), CB_PATH_NODE_DIR "/node%d/distance", b->nodes[i]);
		len = cb_host_read_big(b->host, path);
		if (len < 0 || cb_sysfs_distances_parse(b->host->buf, (size_t)len, distance,
							CB_DISTANCE_NODES, &n) < 0)
			continue;
		for (size_t j = 0; j < CB_MIN(n, b->n_nodes); j++)
			cb_topology_set_distance(topology, b->nodes[i], b->nodes[j], distance[j]);
	}
}

/* Hardware threads of the CPU's core: core_cpus* since 5.3, thread_siblings* before and still. */
static bool read_core(struct cb_host *host, unsigned int cpu, struct cb_cpuset *ret)
{
	return read_cpu_set(host, cpu, "topology/core_cpus_list", false, ret) == 0 ||
	       read_cpu_set(host, cpu, "topology/thread_siblings_list", false, ret) == 0 ||
	       read_cpu_set(host, cpu, "topology/core_cpus", true, ret) == 0 ||
	       read_cpu_set(host, cpu, "topology/thread_siblings", true, ret) == 0;
}

/* Who shares the CPU's highest-level cache that holds data. */
static bool read_llc(struct cb_host *host, unsigned int cpu, struct cb_cpuset *ret)
{
	int64_t highest = 0;
	unsigned int index = 0;
	char file[64];

	for (unsigned int i = 0; i < CACHES_MAX; i++) {
		int64_t level;

		snprintf(file, sizeof(file), "cache/index%u/level", i);
		if (read_cpu_i64(host, cpu, file, &level) < 0)
			break;
		/* Of two on one level the first holds data, the second instructions. */
		if (level > highest) {
			highest = level;
			index = i;
		}
	}
	if (highest == 0)
		return false;
	snprintf(file, sizeof(file), "cache/index%u/shared_cpu_list", index);
	if (read_cpu_set(host, cpu, file, false, ret) == 0)
		return true;
	snprintf(file, sizeof(file), "cache/index%u/shared_cpu_map", index);
	return read_cpu_set(host, cpu, file, true, ret) == 0;
}

static void place_llc(struct cb_host *host, struct cb_topology *topology, unsigned int cpu)
{
	struct cb_cpuset set;

	/* Sharing is mutual: who was named by an earlier CPU needs no look of its own. */
	if (topology->cpu[cpu].llc >= 0 || !read_llc(host, cpu, &set) || !cb_cpuset_has(&set, cpu))
		return;
	CB_CPUSET_FOREACH(other, &set) {
		if (other >= topology->n_cpu_ids)
			break;
		topology->cpu[other].llc = (int32_t)cb_cpuset_first(&set);
	}
}

static bool read_package(struct cb_host *host, unsigned int cpu, struct cb_cpuset *ret)
{
	return read_cpu_set(host, cpu, "topology/package_cpus_list", false, ret) == 0 ||
	       read_cpu_set(host, cpu, "topology/core_siblings_list", false, ret) == 0 ||
	       read_cpu_set(host, cpu, "topology/core_siblings", true, ret) == 0;
}

/*
 * Firmware may give one number to several packages. The sets of their CPUs are what the kernel goes by: where those say something
 * else, a package has the number of its lowest CPU.
 */
static void check_packages(struct cb_host *host, struct cb_topology *topology)
{
	int32_t lowest[CB_CPUS_MAX];
	bool agree = true;

	CB_CPUSET_FOREACH(cpu, &topology->online) {
		struct cb_cpuset set;

		if (!read_package(host, cpu, &set) || !cb_cpuset_has(&set, cpu))
			return;
		set = cb_cpuset_and(&set, &topology->online);
		lowest[cpu] = (int32_t)cb_cpuset_first(&set);
		CB_CPUSET_FOREACH(other, &topology->online) {
			bool one = topology->cpu[other].package == topology->cpu[cpu].package;

			agree = agree && one == cb_cpuset_has(&set, other);
		}
	}
	CB_CPUSET_FOREACH(cpu, &topology->online)
		if (!agree)
			topology->cpu[cpu].package = lowest[cpu];
}

/* Cores that share a cache or a bus below the last-level cache; of use only where that is more than one core. */
static void place_cluster(struct cb_host *host, struct cb_topology *topology, unsigned int cpu)
{
	struct cb_cpuset cluster;

	if (read_cpu_set(host, cpu, "topology/cluster_cpus_list", false, &cluster) < 0 ||
	    !cb_cpuset_has(&cluster, cpu))
		return;
	cluster = cb_cpuset_and(&cluster, &topology->online);
	CB_CPUSET_FOREACH(other, &cluster)
		if (other < topology->n_cpu_ids &&
		    topology->cpu[other].core != topology->cpu[cpu].core)
			topology->cpu[cpu].cluster = (int32_t)cb_cpuset_first(&cluster);
}

/*
 * Where the kernel knows no capacities, as on hybrid x86: in proportion to the highest frequencies. That leaves out how much one does per
 * cycle, so that it flatters the small cores.
 */
static void capacity_by_frequency(struct cb_host *host, struct cb_topology *topology)
{
	int64_t highest = 0, khz;

	CB_CPUSET_FOREACH(cpu, &topology->online)
		if (read_cpu_i64(host, cpu, "cpufreq/cpuinfo_max_freq", &khz) == 0 && khz > highest)
			highest = khz;
	CB_CPUSET_FOREACH(cpu, &topology->online) {
		if (read_cpu_i64(host, cpu, "cpufreq/cpuinfo_max_freq", &khz) < 0 || khz <= 0)
			continue;
		topology->cpu[cpu].capacity =
			(uint32_t)CB_MAX((double)khz * CB_CAPACITY_FULL / (double)highest, 1.0);
	}
}

/* False: it does not say. */
static bool read_capacity(struct cb_host *host, struct cb_topology *topology, unsigned int cpu)
{
	int64_t value;

	if (read_cpu_i64(host, cpu, "cpu_capacity", &value) < 0 || value < 1 ||
	    value > CB_CAPACITY_FULL)
		return false;
	topology->cpu[cpu].capacity = (uint32_t)value;
	return true;
}

static void place_cpu(struct cb_host *host, struct cb_topology *topology, unsigned int cpu)
{
	struct cb_cpu_place *place = &topology->cpu[cpu];
	struct cb_cpuset set;
	int64_t value;

	if (read_core(host, cpu, &set) && cb_cpuset_has(&set, cpu))
		place->core = (int32_t)cb_cpuset_first(&set);
	if (read_cpu_i64(host, cpu, "topology/physical_package_id", &value) == 0 && value >= 0 &&
	    value <= INT32_MAX)
		place->package = (int32_t)value;
	place_llc(host, topology, cpu);
}

static int find_possible(struct builder *b, struct cb_cpuset *ret, struct cb_err *err)
{
	int r = read_set(b->host, CB_PATH_CPU_POSSIBLE, false, ret);

	if (r == -ERANGE)
		return cb_err_set(err, r, "%s names a CPU above %u, the highest this program knows",
				  CB_PATH_CPU_POSSIBLE, CB_CPUS_MAX - 1);
	if (r < 0)
		*ret = b->present;
	if (cb_cpuset_empty(ret))
		return cb_err_set(err, -ENODATA, "neither %s nor %s/cpuN says which CPUs there are",
				  CB_PATH_CPU_POSSIBLE, CB_PATH_CPU_DIR);
	return 0;
}

static void place(struct builder *b, struct cb_topology *topology)
{
	bool has_capacity = false;

	place_nodes(b, topology);
	read_distances(b, topology);
	CB_CPUSET_FOREACH(cpu, &topology->online)
		place_cpu(b->host, topology, cpu);
	check_packages(b->host, topology);
	CB_CPUSET_FOREACH(cpu, &topology->online) {
		place_cluster(b->host, topology, cpu);
		has_capacity = read_capacity(b->host, topology, cpu) || has_capacity;
	}
	if (!has_capacity)
		capacity_by_frequency(b->host, topology);
}

static int build(struct builder *b, uint32_t generation, struct cb_topology **ret,
		 struct cb_err *err)
{
	struct cb_topology *topology;
	struct cb_cpuset possible = CB_CPUSET_EMPTY, online = CB_CPUSET_EMPTY, partitions;
	uint32_t n_cpu_ids = 0;
	int r = find_possible(b, &possible, err);

	if (r < 0)
		return r;
	r = find_online(b, &online, err);
	if (r < 0)
		return r;
	possible = cb_cpuset_or(&possible, &online); /* a tree may contradict itself */
	CB_CPUSET_FOREACH(cpu, &possible)
		n_cpu_ids = cpu + 1;
	topology = cb_topology_new(n_cpu_ids);
	if (!topology)
		return cb_err_set(err, -ENOMEM, "not enough memory for a topology");
	topology->generation = generation;
	topology->possible = possible;
	topology->online = online;
	topology->n_online = cb_cpuset_count(&online);
	if (read_set(b->host, CB_PATH_CPU_ISOLATED, false, &topology->isolated) < 0)
		topology->isolated = CB_CPUSET_EMPTY;
	/* Those of isolated partitions of cpusets, since Linux 6.7; the file above has isolcpus= alone. */
	if (read_set(b->host, CB_PATH_CPUSET_ISOLATED, false, &partitions) == 0)
		topology->isolated = cb_cpuset_or(&topology->isolated, &partitions);
	if (read_set(b->host, CB_PATH_CPU_NOHZ_FULL, false, &topology->nohz_full) < 0)
		topology->nohz_full = CB_CPUSET_EMPTY;
	place(b, topology);
	*ret = topology;
	return 0;
}

int cb_host_topology(struct cb_host *host, uint32_t generation, struct cb_topology **ret,
		     struct cb_err *err)
{
	_cleanup_free_ int32_t *nodes = NULL;
	struct builder b = { .host = host };

	if (list_cpu_dirs(&b) < 0)
		b.present = CB_CPUSET_EMPTY; /* the list of possible CPUs may do */
	if (cb_host_list_numbers(host, CB_PATH_NODE_DIR, "node", &nodes, &b.n_nodes) < 0)
		b.n_nodes = 0;
	b.nodes = nodes;
	return build(&b, generation, ret, err);
}
