/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * giant: a machine of many CPUs that does not exist. Its /proc and /sys are generated while they are read. A load model
 * moves the counters: interrupts arrive at heavy-tailed rates on the CPU where their smp_affinity has put them and cost
 * softirq time there, workers want a share of a CPU each and get what is left. A write to an affinity
 * file is taken or refused as a kernel does it, and an interrupt moves with its next occurrence.
 *
 * The command that it runs sees the machine below a directory, for --sysroot=, or with --cover in the place of the real
 * one. All of that is in a mount namespace of its own, which ends with the command.
 */

#include "genfs.h"
#include "giant_files.h"
#include "giant_model.h"
#include "tool.h"

#include <errno.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static struct giant_options options = {
	.n_cpus = 256,
	.n_nodes = 4,
	.n_threads = 2,
	.n_nics = 4,
	.n_queues = 32,
	.n_disks = 4,
	.load_percent = 10,
	.want_percent = 50,
	.isolated = "",
	.worker_cpus = "0",
};
static int covers;

static const struct number_option {
	const char *name;
	uint32_t min, max, *value;
} numbers[] = {
	{ "cpus", 1, 1024, &options.n_cpus },	   { "nodes", 1, 64, &options.n_nodes },
	{ "threads", 1, 2, &options.n_threads },   { "holes", 0, 1000, &options.hole },
	{ "slow", 0, 100, &options.slow_percent }, { "nics", 0, 64, &options.n_nics },
	{ "queues", 1, 256, &options.n_queues },   { "start", 0, 1024, &options.n_start },
	{ "disks", 0, 64, &options.n_disks },	   { "vectors", 1, 1000, &giant.n_vectors },
	{ "load", 0, 90, &options.load_percent },  { "workers", 0, 1024, &giant.n_workers },
	{ "want", 1, 100, &options.want_percent }, { "step", 0, 60000, &options.step_msec },
};
#define N_NUMBERS (sizeof(numbers) / sizeof(numbers[0]))

static void usage(void)
{
	puts("Usage: giant [OPTION...] DIR COMMAND [ARGUMENT...]\n"
	     "Run a command that sees a generated machine's /proc and /sys below the directory DIR. Needs root.\n\n"
	     "  --cpus N            CPUs, 1 to 1024 (256)\n"
	     "  --nodes N           NUMA nodes, 1 to 64 (4)\n"
	     "  --threads N         of a core, 1 or 2 (2)\n"
	     "  --holes N           every Nth CPU number does not exist, 0: none (0)\n"
	     "  --slow PERCENT      share of the cores that have less than half the capacity (0)\n"
	     "  --isolated LIST     isolated and nohz_full CPUs\n"
	     "  --nics N            network cards, 0 to 64 (4), ...\n"
	     "  --queues N          ... with so many interrupts each, 1 to 256 (32)\n"
	     "  --start N           all of which start on the first N CPUs, 0: anywhere (0)\n"
	     "  --disks N           disks with a managed interrupt for each node, 0 to 64 (4)\n"
	     "  --vectors N         interrupts that a CPU can take, 1 to 1000 (200)\n"
	     "  --load PERCENT      of all CPUs' time that all interrupts take, 0 to 90 (10)\n"
	     "  --workers N         processes named web with pids from 1001, 0 to 1024 (0), ...\n"
	     "  --want PERCENT      ... that want this share of a CPU each (50) ...\n"
	     "  --worker-cpus LIST  ... and may use these (0)\n"
	     "  --step MSEC         time passes with each read of /proc/stat, 0: by the clock (0)\n"
	     "  --cover             the command also sees it in the place of the real /proc and /sys\n"
	     "  --help              show this text");
}

static void parse_options(int argc, char **argv)
{
	struct option known[N_NUMBERS + 5] = {
		[N_NUMBERS] = { "isolated", required_argument, NULL, 'i' },
		{ "worker-cpus", required_argument, NULL, 'w' },
		{ "cover", no_argument, &covers, 1 },
		{ "help", no_argument, NULL, 'h' },
	};
	int c, index = 0;

	for (size_t i = 0; i < N_NUMBERS; i++)
		known[i] = (struct option){ numbers[i].name, required_argument, NULL, 'n' };
	giant.n_vectors = 200;
	while ((c = getopt_long(argc, argv, "+", known, &index)) >= 0) {
		const struct number_option *n = &numbers[index];

		if (c == '?')
			exit(EXIT_FAILURE);
		if (c == 'n')
			*n->value = (uint32_t)tool_parse_number(n->name, optarg, n->min, n->max);
		else if (c == 'i')
			options.isolated = optarg;
		else if (c == 'w')
			options.worker_cpus = optarg;
		else if (c == 'h') {
			usage();
			exit(EXIT_SUCCESS);
		}
	}
	if (argc - optind < 2)
		tool_die("a directory and a command are needed; see giant --help");
	if (options.n_cpus % (options.n_threads * options.n_nodes))
		tool_die("--cpus has to be a multiple of --nodes times --threads");
}

/* What a daemon reads of the real machine, covered by ours. Of /proc/PID nothing is: processes stay real. */
static void cover(const char *dir)
{
	static const char *const paths[] = { "proc/stat",  "proc/softirqs",  "proc/interrupts",
					     "proc/irq",   "sys/kernel/irq", "sys/class/net",
					     "sys/devices" };

	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		char from[4096], to[64];

		snprintf(from, sizeof(from), "%s/%s", dir, paths[i]);
		snprintf(to, sizeof(to), "/%s", paths[i]);
		if (mount(from, to, NULL, MS_BIND, NULL) < 0)
			tool_die("cannot cover %s: %s", to, strerror(errno));
	}
}

static int run(char **argv)
{
	pid_t child = fork();
	int status;

	if (child < 0)
		tool_die("cannot fork: %s", strerror(errno));
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGTERM);
		execvp(argv[0], argv);
		tool_die("cannot run %s: %s", argv[0], strerror(errno));
	}
	/* An interrupt from the terminal is the command's business, and its end ours. */
	signal(SIGINT, SIG_IGN);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int argc, char **argv)
{
	pid_t server;
	int fd, rc;

	parse_options(argc, argv);
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		tool_die("cannot have mounts of its own: %s", strerror(errno));
	fd = genfs_mount(argv[optind]);
	server = fork();
	if (server < 0)
		tool_die("cannot fork: %s", strerror(errno));
	if (server == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		signal(SIGINT, SIG_IGN);
		giant_make(genfs_new(), &options);
		genfs_serve(fd);
		return EXIT_SUCCESS;
	}
	close(fd);
	if (covers)
		cover(argv[optind]);
	rc = run(argv + optind + 1);
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	return rc;
}
