/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The policy's sections [Group NAME]: options that each have a meaning of their own, so there is no table of them. As in
 * policy.c, what is refused leaves the policy as it was.
 */
#include <errno.h>
#include <string.h>

#include "cpubalance/irqs.h"
#include "cpubalance/scan.h"
#include "policy_internal.h"

static int parse_placement(const char *text, enum cb_placement *ret)
{
	for (int placement = 0; placement < _CB_PLACEMENT_MAX; placement++)
		if (strcmp(cb_placement_name((enum cb_placement)placement), text) == 0) {
			*ret = (enum cb_placement)placement;
			return 0;
		}
	return -EINVAL;
}

static int parse_granularity(const char *text, enum cb_granularity *ret)
{
	for (int granularity = 0; granularity < _CB_GRANULARITY_MAX; granularity++)
		if (strcmp(cb_granularity_name((enum cb_granularity)granularity), text) == 0) {
			*ret = (enum cb_granularity)granularity;
			return 0;
		}
	return -EINVAL;
}

static int parse_steering(const char *text, enum cb_steering *ret)
{
	enum cb_steering steering = cb_steering_from_name(text);

	if (steering == _CB_STEERING_INVALID)
		return -EINVAL;
	*ret = steering;
	return 0;
}

static int parse_packets(const char *text, enum cb_packets *ret)
{
	enum cb_packets packets = cb_packets_from_name(text);

	if (packets == _CB_PACKETS_INVALID)
		return -EINVAL;
	*ret = packets;
	return 0;
}

/* Blank-separated names of network interfaces, stored with one blank between them. */
static int parse_interfaces(const char *text, char *ret)
{
	struct cb_scan s = CB_SCAN(text, strlen(text));
	char names[CB_PATH_MAX] = "";
	size_t used = 0, len;
	const char *name;

	for (cb_scan_blanks(&s); cb_scan_token(&s, &name, &len); cb_scan_blanks(&s)) {
		if (len >= CB_IFNAME_MAX)
			return -EINVAL;
		/* As the kernel sees it (net/core/dev.c, dev_valid_name()), and no control characters. */
		for (size_t i = 0; i < len; i++)
			if ((unsigned char)name[i] <= 0x20 || name[i] == 0x7f || name[i] == '/' ||
			    name[i] == ':')
				return -EINVAL;
		if (name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')))
			return -EINVAL;
		if (used + (used > 0) + len >= sizeof(names))
			return -ERANGE;
		if (used > 0)
			names[used++] = ' ';
		memcpy(names + used, name, len);
		used += len;
	}
	if (!cb_scan_done(&s))
		return -EINVAL;
	names[used] = 0;
	memcpy(ret, names, used + 1);
	return 0;
}

static bool is_name_start(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool cb_name_valid(const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len >= CB_NAME_MAX || !is_name_start(name[0]))
		return false;
	for (size_t i = 1; i < len; i++)
		if (!is_name_start(name[i]) && !strchr("_.-", name[i]))
			return false;
	return true;
}

/* Listen=, Unit=, Cgroup= and Process=. */
static int set_selector(struct cb_group_policy *group, const char *name, const char *text,
			struct cb_err *err)
{
	struct cb_selector *selector = &group->selector;
	const char *wants;
	int r;

	if (strcmp(name, "Listen") == 0) {
		wants = "up to 8 of tcp:443, udp:[::]:53, tcp:10.0.0.1:8080 with blanks between them";
		r = cb_listen_parse_list(text, selector->listen, &selector->n_listen);
	} else if (strcmp(name, "Unit") == 0) {
		wants = "the full name of a unit, such as nginx.service";
		r = cb_selector_parse_unit(text, selector->unit);
	} else if (strcmp(name, "Cgroup") == 0) {
		wants = "the path of a cgroup, such as /system.slice/nginx.service, less than 256 bytes";
		r = cb_selector_parse_cgroup(text, selector->cgroup);
	} else if (strcmp(name, "Granularity") == 0) {
		wants = "auto, process or thread";
		r = parse_granularity(text, &group->granularity);
	} else if (strcmp(name, "Process") == 0) {
		wants = "the name of a program, such as nginx, or its absolute path, less than 256 bytes";
		r = cb_selector_parse_process(text, selector->process);
	} else {
		return cb_err_set(
			err, -ENOENT,
			"[Group %s] has no option %.64s= (Mode, AllowedCPUs, Placement, Steering, PacketSteering, Listen, "
			"Unit, Cgroup, Process, Granularity, PIDFile, Interfaces, ServiceMetric, "
			"ServiceMetricBetter)",
			group->name, name);
	}
	return r < 0 ? cb_err_set(err, r, "%s=: \"%.64s\" is not %s", name, text, wants) : 0;
}

/* One line of text for somebody else to make sense of. */
static int parse_line(const char *text, char ret[CB_PATH_MAX])
{
	size_t len = strlen(text);

	if (len >= CB_PATH_MAX)
		return -ERANGE;
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return -EINVAL;
	memset(ret, 0, CB_PATH_MAX);
	memcpy(ret, text, len);
	return 0;
}

static int parse_better(const char *text, bool *ret_falls)
{
	bool falls = strcmp(text, "lower") == 0;

	if (!falls && strcmp(text, "higher") != 0)
		return -EINVAL;
	*ret_falls = falls;
	return 0;
}

static int set_group_option(struct cb_group_policy *group, const char *name, const char *text,
			    struct cb_err *err)
{
	const char *wants;
	int r;

	if (strcmp(name, "Mode") == 0) {
		wants = POLICY_WANTS_MODE;
		group->has_mode = text[0] != 0;
		r = group->has_mode ? policy_parse_mode(text, &group->mode) : 0;
	} else if (strcmp(name, "AllowedCPUs") == 0) {
		wants = "a list of CPUs such as 0-3,8, below 4096";
		group->allowed_cpus = CB_CPUSET_EMPTY;
		r = cb_cpuset_parse_list(text, strlen(text), &group->allowed_cpus);
		group->has_allowed = !cb_cpuset_empty(&group->allowed_cpus);
	} else if (strcmp(name, "Placement") == 0) {
		wants = "auto or core";
		r = parse_placement(text, &group->placement);
	} else if (strcmp(name, "Steering") == 0) {
		wants = "none, local or weighted";
		r = parse_steering(text, &group->steering);
	} else if (strcmp(name, "PacketSteering") == 0) {
		wants = "none, rps, xps or both";
		r = parse_packets(text, &group->packets);
	} else if (strcmp(name, "PIDFile") == 0) {
		wants = POLICY_WANTS_PATH;
		r = policy_parse_path(text, group->pid_file);
	} else if (strcmp(name, "Interfaces") == 0) {
		wants = "names of network interfaces with blanks between them, less than 256 bytes in all";
		r = parse_interfaces(text, group->interfaces);
	} else if (strcmp(name, "ServiceMetric") == 0) {
		wants = "a command or an http:// or https:// URL, one line of less than 256 bytes";
		r = parse_line(text, group->service_metric);
	} else if (strcmp(name, "ServiceMetricBetter") == 0) {
		wants = "higher or lower";
		r = parse_better(text, &group->metric_falls);
	} else {
		return set_selector(group, name, text, err);
	}
	if (r < 0)
		return cb_err_set(err, r, "%s=: \"%.64s\" is not %s", name, text, wants);
	return 0;
}

int policy_set_group(struct cb_policy *policy, const char *group_name, const char *name,
		     const char *text, struct cb_err *err)
{
	struct cb_group_policy group = { 0 };
	uint32_t i;
	int r;

	if (!cb_name_valid(group_name))
		return cb_err_set(
			err, -EINVAL,
			"[Group %.80s]: a name is 1 to 63 of A-Z a-z 0-9 _ . -, starting with a letter or digit",
			group_name);
	for (i = 0; i < policy->n_groups; i++)
		if (strcmp(policy->group[i].name, group_name) == 0)
			break;
	if (i == CB_GROUPS_MAX)
		return cb_err_set(err, -E2BIG, "[Group %s]: more than %u groups", group_name,
				  CB_GROUPS_MAX);
	if (i < policy->n_groups)
		group = policy->group[i];
	else
		memcpy(group.name, group_name, strlen(group_name) + 1);
	r = set_group_option(&group, name, text, err);
	if (r < 0)
		return r;
	policy->group[i] = group;
	policy->n_groups = CB_MAX(policy->n_groups, i + 1);
	return 0;
}
