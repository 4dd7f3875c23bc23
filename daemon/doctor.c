/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "doctor.h"

#include <errno.h>
#include <json-c/json.h>
#include <linux/capability.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <systemd/sd-bus.h>

#include "bus.h"
#include "config.h"

enum grade {
	OK,
	NOTE,	 /* works, but less of it; nobody has to act */
	PROBLEM, /* it cannot do its work, or not as configured */
};

struct doctor {
	const struct cb_options *options;
	struct json_object *list; /* with --json */
	unsigned int n_problems, n_notes;
};

/* @remedy is NULL where there is nothing to do. */
static void _printf_(5, 6) say(struct doctor *doctor, enum grade grade, const char *check,
			       const char *remedy, const char *fmt, ...)
{
	static const char *const names[] = { "OK", "NOTE", "PROBLEM" };
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	doctor->n_problems += grade == PROBLEM;
	doctor->n_notes += grade == NOTE;
	if (doctor->list) {
		struct json_object *row = json_object_new_object();

		json_object_object_add(row, "Result", json_object_new_string(names[grade]));
		json_object_object_add(row, "Check", json_object_new_string(check));
		json_object_object_add(row, "Finding", json_object_new_string(text));
		if (remedy)
			json_object_object_add(row, "Remedy", json_object_new_string(remedy));
		json_object_array_add(doctor->list, row);
		return;
	}
	printf("%-8s %-13s %s\n", names[grade], check, text);
	if (remedy)
		printf("%-22s -> %s\n", "", remedy);
}

/* --- the machine --- */

/* What makes up for a missing source, or how to get it. */
static const char *source_remedy(enum cb_source source)
{
	switch (source) {
	case CB_SOURCE_STAT:
		return "mount /proc: without it nothing is measured";
	case CB_SOURCE_TASKSTATS:
		return "a kernel with CONFIG_TASKSTATS, and CAP_NET_ADMIN in the first network namespace; until then "
		       "/proc is read, which is coarser";
	case CB_SOURCE_TASK_PROC:
		return NULL; /* stands in for taskstats */
	case CB_SOURCE_CTXSW:
		return "CAP_PERFMON and SystemCallFilter=perf_event_open; only a display lacks it";
	case CB_SOURCE_FD_COUNT:
		return "Linux 6.2 or later; connection skew is not shown until then";
	case CB_SOURCE_IRQ_AFFINITY:
		return "a kernel with CONFIG_GENERIC_IRQ_EFFECTIVE_AFF_MASK; the requested mask is taken instead";
	case CB_SOURCE_LISTEN:
		return "load inet_diag and tcp_diag (modprobe tcp_diag), and CAP_NET_ADMIN";
	case CB_SOURCE_QUEUES:
		return "Linux 6.9 or later, and a driver that counts packets by queue; counts of interrupts are taken "
		       "instead";
	case CB_SOURCE_SOFTIRQS:
	case CB_SOURCE_SOFTNET:
	case CB_SOURCE_TASK_STAT:
	case CB_SOURCE_SNMP:
	case CB_SOURCE_NIC_PACKETS:
	case _CB_SOURCE_MAX:
		break;
	}
	return "read access to the file; a container may hide it";
}

static void check_sources(struct doctor *doctor, struct cb_host *host)
{
	uint32_t there = cb_host_sources(host);
	unsigned int n = 0;

	for (int i = 0; i < _CB_SOURCE_MAX; i++) {
		enum cb_source source = (enum cb_source)i;

		if (there >> i & 1) {
			n++;
			continue;
		}
		if (source == CB_SOURCE_TASK_PROC && there >> CB_SOURCE_TASKSTATS & 1)
			continue; /* not needed */
		say(doctor, source == CB_SOURCE_STAT ? PROBLEM : NOTE, "signal",
		    source_remedy(source), "%s (%s) is missing: no %s", cb_source_name(source),
		    cb_source_where(source), cb_source_gives(source));
	}
	say(doctor, OK, "signals", NULL, "%u of %d are there on Linux %s", n, _CB_SOURCE_MAX,
	    cb_host_kernel(host));
}

static void check_cpus(struct doctor *doctor, const struct cb_topology *topology)
{
	struct cb_cpuset usable = cb_topology_housekeeping(topology);
	unsigned int n = cb_cpuset_count(&usable);

	if (topology->n_online < 2)
		say(doctor, PROBLEM, "CPUs", "none: there has to be somewhere to move to",
		    "%u CPU is online", topology->n_online);
	else if (n < 2)
		say(doctor, PROBLEM, "CPUs", "AllowedCPUs= of a group may name isolated CPUs",
		    "%u of %u CPUs are not isolated", n, topology->n_online);
	else if (n < topology->n_online)
		say(doctor, NOTE, "CPUs", "AllowedCPUs= of a group may name isolated CPUs",
		    "%u of %u CPUs; the others are isolated and left alone", n, topology->n_online);
	else
		say(doctor, OK, "CPUs", NULL, "%u online", n);
}

static bool may_write(const struct doctor *doctor, const struct cb_irq_info *irq)
{
	const char *root = doctor->options->manager.sysroot;
	char path[600];

	snprintf(path, sizeof(path), "%.500s/" CB_PATH_IRQ_DIR "/%u/smp_affinity_list",
		 root ? root : "", irq->irq);
	return access(path, W_OK) == 0;
}

static void check_irqs(struct doctor *doctor, const struct cb_irqs *irqs)
{
	const struct cb_irq_info *movable = NULL;
	bool root = geteuid() == 0;
	unsigned int n = 0;

	for (uint32_t i = 0; i < irqs->n; i++) {
		if (!irqs->irq[i].writable || irqs->irq[i].immovable)
			continue;
		movable = &irqs->irq[i];
		n++;
	}
	if (!movable)
		say(doctor, NOTE, "interrupts",
		    "none: the kernel manages them, or the machine has none of its own; workers are moved all the same",
		    "none of %u can be moved", irqs->n);
	else if (!may_write(doctor, movable))
		say(doctor, root ? PROBLEM : NOTE, "interrupts",
		    root ? "outside of a container, and without ProtectKernelTunables= in a drop-in of the unit" :
			   "run this as root",
		    "the affinity of interrupt %u cannot be written: %s", movable->irq,
		    strerror(errno));
	else
		say(doctor, OK, "interrupts", NULL, "%u of %u can be moved", n, irqs->n);
}

static void check_owners(struct doctor *doctor, struct cb_host *host)
{
	struct cb_owner owner[_CB_OWNER_MAX];
	bool irqbalance = cb_host_irqbalance_runs(host);

	cb_host_owners(host, owner);
	for (int i = 0; i < _CB_OWNER_MAX; i++)
		if (owner[i].present && i != CB_OWNER_IRQBALANCE)
			say(doctor, NOTE, owner[i].name, owner[i].consequence, "sets %s",
			    owner[i].owns);
	if (irqbalance)
		say(doctor, NOTE, "irqbalance",
		    "to have interrupts moved with their workers: systemctl disable --now irqbalance, or CoordinateIrqbalance=yes",
		    "it runs, and interrupts are left to it");
	else
		say(doctor, OK, "irqbalance", NULL, "does not run; interrupts may be moved");
}

/* What is only known once everything was opened as for a tick. */
static void check_host(struct doctor *doctor, struct cb_host *host)
{
	struct cb_snapshot snapshot = { .valid = 0 };
	struct cb_topology *topology = NULL;
	struct cb_irqs *irqs = NULL;
	struct cb_err err = { .msg = "" };
	int r = cb_host_topology(host, 1, &topology, &err);

	if (r >= 0)
		r = cb_host_irqs(host, 1, &irqs, &err);
	if (r >= 0)
		r = cb_host_prepare(host, topology, irqs, &snapshot, &err);
	if (r < 0) {
		say(doctor, PROBLEM, "machine", "mount /proc and /sys", "%s", err.msg);
	} else {
		check_cpus(doctor, topology);
		check_sources(doctor, host);
		check_irqs(doctor, irqs);
	}
	cb_snapshot_done(&snapshot);
	cb_topology_unref(topology);
	free(irqs);
}

#define STEERING_DROP_IN                                                             \
	"the drop-in steering.conf, below share/cpubalance of the installation, in " \
	"/etc/systemd/system/cpubalanced.service.d/"

/* The rights are of who runs this; those of the service are in check_daemon(). */
static void check_steering(struct doctor *doctor)
{
	int shares, cpu;

	cb_steer_try(&shares, &cpu);
	if (shares < 0)
		say(doctor, NOTE, "steering",
		    geteuid() == 0 ?
			    "Linux 4.19 or later, CAP_BPF and CAP_NET_ADMIN; for the service " STEERING_DROP_IN :
			    "run this as root",
		    "Steering=weighted cannot be had: %s", strerror(-shares));
	if (cpu < 0)
		say(doctor, NOTE, "steering", "for the service " STEERING_DROP_IN,
		    "whether the kernel heeds the CPU of a socket cannot be tried: %s",
		    strerror(-cpu));
	else if (cpu == 0)
		say(doctor, NOTE, "steering", "Linux 6.2 or later for Steering=local",
		    "this kernel does not heed the CPU of sockets that share a port");
	if (shares == 0 && cpu > 0)
		say(doctor, OK, "steering", NULL, "new connections can be steered here");
}

static void check_machine(struct doctor *doctor)
{
	const struct cb_host_options host_options = { .sysroot = doctor->options->manager.sysroot };
	struct cb_err err = { .msg = "" };
	struct cb_host *host = NULL;

	if (geteuid() != 0)
		say(doctor, NOTE, "rights", "run this as root to see what the daemon sees",
		    "not root: what is missing below may be there for the daemon");
	if (cb_host_open(&host_options, &host, &err) < 0) {
		say(doctor, PROBLEM, "machine", NULL, "%s", err.msg);
		return;
	}
	check_host(doctor, host);
	check_owners(doctor, host);
	if (!host_options.sysroot || strcmp(host_options.sysroot, "/") == 0)
		check_steering(doctor);
	cb_host_close(host);
}

/* --- the installation --- */

static void check_config(struct doctor *doctor)
{
	const struct cb_manager_options *options = &doctor->options->manager;
	struct cb_policy *policy = malloc(sizeof(*policy));
	struct cb_err err = { .msg = "out of memory" };

	if (!policy || cb_config_load(options->config, !options->config_given, policy, &err) < 0)
		say(doctor, PROBLEM, "configuration",
		    "correct the line; the ranges are in cpubalanced.conf(5)", "%s", err.msg);
	else if (policy->n_groups == 0)
		say(doctor, OK, "configuration", NULL, "no group in it: they come over the bus");
	else
		say(doctor, OK, "configuration", NULL, "%u groups", policy->n_groups);
	free(policy);
}

static void check_journal(struct doctor *doctor)
{
	const char *dir = doctor->options->manager.run_dir;
	struct stat st;

	if (stat(dir, &st) < 0)
		say(doctor, errno == ENOENT ? OK : NOTE, "journal", NULL, "%s: %s", dir,
		    errno == ENOENT ? "is made by the first start" : strerror(errno));
	else if (!S_ISDIR(st.st_mode) || st.st_uid != 0 || (st.st_mode & (S_IWGRP | S_IWOTH)))
		say(doctor, PROBLEM, "journal",
		    "a directory that root owns and nobody else may write to",
		    "%s is not safe to record originals in: nothing is moved", dir);
	else
		say(doctor, OK, "journal", NULL, "%s", dir);
}

static char *get(sd_bus *bus, const char *property)
{
	char *value = NULL;

	if (sd_bus_get_property_string(bus, CB_BUS_NAME, CB_BUS_PATH, CB_BUS_MANAGER, property,
				       NULL, &value) < 0)
		return strdup("");
	return value;
}

/* Has the running daemon what takes a socket from another process and loads a program? True where that cannot be known. */
static bool may_steer(sd_bus *bus)
{
	_cleanup_(sd_bus_creds_unrefp) sd_bus_creds *creds = NULL;
	int bpf, ptrace;

	if (sd_bus_get_name_creds(bus, CB_BUS_NAME,
				  SD_BUS_CREDS_EFFECTIVE_CAPS | SD_BUS_CREDS_AUGMENT, &creds) < 0)
		return true;
	bpf = sd_bus_creds_has_effective_cap(creds, CAP_BPF);
	ptrace = sd_bus_creds_has_effective_cap(creds, CAP_SYS_PTRACE);
	return bpf != 0 && ptrace != 0;
}

static void check_daemon(struct doctor *doctor, sd_bus *bus)
{
	char *version = get(bus, "Version"), *journal = get(bus, "Journal"),
	     *error = get(bus, "ConfigError"), *headline = get(bus, "Headline");

	if (!version || !journal || !error || !headline)
		say(doctor, PROBLEM, "daemon", NULL, "out of memory");
	else if (!version[0])
		say(doctor, PROBLEM, "daemon", "systemctl enable --now cpubalanced",
		    "cpubalanced does not run, or not on this bus");
	else if (strcmp(version, CB_VERSION) != 0)
		say(doctor, NOTE, "daemon", "systemctl restart cpubalanced (placements stay)",
		    "%s runs, %s is installed", version, CB_VERSION);
	else
		say(doctor, OK, "daemon", NULL, "%s runs: %s", version, headline);
	if (version && version[0] && !may_steer(bus))
		say(doctor, OK, "steering", NULL,
		    "the service lacks the rights for it; groups with Steering= need %s",
		    STEERING_DROP_IN);
	if (journal && journal[0] && strcmp(journal, "ok") != 0)
		say(doctor, PROBLEM, "originals",
		    "free space below /run; nothing is moved until it can be written",
		    "the daemon's journal: %s", journal);
	if (error && error[0])
		say(doctor, PROBLEM, "reload", "correct it, then: cpubalctl reload", "refused: %s",
		    error);
	free(version);
	free(journal);
	free(error);
	free(headline);
}

static void check_polkit(struct doctor *doctor, sd_bus *bus)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	const char *name;
	bool there = sd_bus_get_name_creds(bus, "org.freedesktop.PolicyKit1", 0, NULL) >= 0;

	if (!there &&
	    sd_bus_call_method(bus, "org.freedesktop.DBus", "/org/freedesktop/DBus",
			       "org.freedesktop.DBus", "ListActivatableNames", NULL, &reply,
			       "") >= 0 &&
	    sd_bus_message_enter_container(reply, 'a', "s") > 0)
		while (!there && sd_bus_message_read(reply, "s", &name) > 0)
			there = strcmp(name, "org.freedesktop.PolicyKit1") == 0;
	if (there)
		say(doctor, OK, "polkit", NULL, "who is not root can be allowed to change things");
	else
		say(doctor, NOTE, "polkit", "install polkitd where others than root are to",
		    "is not there: only root changes things");
}

static void check_bus(struct doctor *doctor)
{
	const char *address = doctor->options->manager.bus;
	sd_bus *bus = NULL;
	int r;

	if (strcmp(address, "none") == 0)
		return;
	r = cb_bus_open(address, &bus);
	if (r < 0) {
		say(doctor, PROBLEM, "bus",
		    "a system bus (dbus-daemon or dbus-broker); without one it balances, but nobody can talk to it",
		    "--bus=%s: %s", address, strerror(-r));
		return;
	}
	sd_bus_set_method_call_timeout(bus, 10 * CB_USEC_PER_SEC);
	check_daemon(doctor, bus);
	check_polkit(doctor, bus);
	sd_bus_flush_close_unref(bus);
}

int cb_doctor(const struct cb_options *options)
{
	struct doctor doctor = { .options = options };

	if (options->json)
		doctor.list = json_object_new_array();
	check_machine(&doctor);
	check_config(&doctor);
	check_journal(&doctor);
	check_bus(&doctor);
	if (doctor.list)
		puts(json_object_to_json_string_ext(
			doctor.list, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
	else
		printf("%u problem%s, %u note%s\n", doctor.n_problems,
		       doctor.n_problems == 1 ? "" : "s", doctor.n_notes,
		       doctor.n_notes == 1 ? "" : "s");
	json_object_put(doctor.list);
	return doctor.n_problems > 0 ? CB_EXIT_FAILED : CB_EXIT_OK;
}
