/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Who else on this machine sets what we set: irqbalance, tuned, a kubelet that gives out CPUs, policies of udev for network
 * interfaces. Found by processes and by the files in which they keep their settings; nothing is asked of them, nothing is
 * changed. What each consequence says is done elsewhere: by the engine for irqbalance, by comparing before every write for all.
 */
#include "cpubalance/owners.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "host_internal.h"

#define TEXT_MAX  16384u /* of a file of settings; what is behind that is not looked at */
#define LINKS_MAX 256u	 /* files of one directory */

#define PATH_TUNED_PROFILE "etc/tuned/active_profile"
#define PATH_KUBELET_STATE "var/lib/kubelet/cpu_manager_state"

static void _printf_(3, 4) say(char *buf, size_t size, const char *fmt, ...)
{
	size_t len = strlen(buf);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(buf + len, size - len, fmt, ap);
	va_end(ap);
}

/* The beginning of a file, NUL behind it. False when there is none. */
static bool read_text(struct cb_host *host, const char *path, char text[TEXT_MAX])
{
	_cleanup_close_ int fd = cb_host_openat(host, path, O_RDONLY);
	ssize_t len = fd < 0 ? -1 : cb_host_pread_once(fd, text, TEXT_MAX);

	return len >= 0;
}

/* Printable characters up to the end of the line or @stop; @ret_size > 0. */
static void take_word(const char *from, char stop, char *ret, size_t ret_size)
{
	size_t n = 0;

	while (n + 1 < ret_size && (unsigned char)from[n] >= ' ' && from[n] != 0x7f &&
	       from[n] != stop)
		n++;
	memcpy(ret, from, n);
	ret[n] = '\0';
}

/* --- irqbalance --- */

static void look_irqbalance(struct cb_host *host, struct cb_owner *owner)
{
	owner->present = cb_host_process_runs(host, CB_PROCESS_IRQBALANCE);
	say(owner->owns, sizeof(owner->owns), "the masks of all interrupts");
	say(owner->consequence, sizeof(owner->consequence),
	    "no interrupt is moved while it runs; workers are");
}

/* --- tuned --- */

static const char *const tuned_keys[] = { "isolated_cores", "default_irq_smp_affinity",
					  "irq_smp_affinity", "ps_whitelist", "banned_cpus" };

static void look_profile(struct cb_host *host, const char *profile, struct cb_owner *owner)
{
	static const char *const dirs[] = { "etc/tuned", "etc/tuned/profiles", "usr/lib/tuned",
					    "usr/lib/tuned/profiles" };
	char path[256], text[TEXT_MAX];
	bool found = false;

	for (size_t i = 0; i < CB_ARRAY_SIZE(dirs) && !found; i++) {
		snprintf(path, sizeof(path), "%s/%s/tuned.conf", dirs[i], profile);
		found = read_text(host, path, text);
	}
	for (size_t i = 0; found && i < CB_ARRAY_SIZE(tuned_keys); i++)
		if (strstr(text, tuned_keys[i]))
			say(owner->owns, sizeof(owner->owns), ", %s", tuned_keys[i]);
}

static void look_tuned(struct cb_host *host, struct cb_owner *owner)
{
	char text[TEXT_MAX], profile[64] = "";

	owner->present = cb_host_process_runs(host, CB_PROCESS_TUNED);
	if (read_text(host, PATH_TUNED_PROFILE, text))
		take_word(text, ' ', profile, sizeof(profile));
	say(owner->owns, sizeof(owner->owns), "what its profile sets (%s)",
	    profile[0] ? profile : "unknown");
	if (profile[0] && !strchr(profile, '/') && profile[0] != '.')
		look_profile(host, profile, owner);
	say(owner->consequence, sizeof(owner->consequence),
	    "isolated CPUs are left alone; a mask that it sets after us is left to it");
}

/* --- kubelet --- */

static void look_kubelet(struct cb_host *host, struct cb_owner *owner)
{
	static const char policy_key[] = "\"policyName\":\"", set_key[] = "\"defaultCpuSet\":\"";
	char text[TEXT_MAX], policy[32] = "", shared[128] = "";
	const char *at;

	if (read_text(host, PATH_KUBELET_STATE, text)) {
		at = strstr(text, policy_key);
		if (at)
			take_word(at + strlen(policy_key), '"', policy, sizeof(policy));
		at = strstr(text, set_key);
		if (at)
			take_word(at + strlen(set_key), '"', shared, sizeof(shared));
	}
	owner->present = strcmp(policy, "static") == 0 ||
			 (!policy[0] && cb_host_process_runs(host, CB_PROCESS_KUBELET));
	if (strcmp(policy, "static") == 0)
		say(owner->owns, sizeof(owner->owns),
		    "the cpusets of pods; CPUs %s are shared, the others are given to containers",
		    shared[0] ? shared : "unknown");
	else
		say(owner->owns, sizeof(owner->owns), "the cpusets of pods, policy %s",
		    policy[0] ? policy : "unknown");
	say(owner->consequence, sizeof(owner->consequence),
	    "a worker is placed only inside of its cpuset, read before every write");
}

/* --- udev --- */

static void look_links(struct cb_host *host, const char *dir, struct cb_owner *owner)
{
	static const char *const keys[] = { "\nReceivePacketSteering", "\nIRQAffinity" };
	_cleanup_closedir_ DIR *files = NULL;
	struct dirent *entry;
	unsigned int n = 0;

	if (cb_host_opendir(host, dir, &files) < 0)
		return;
	while ((entry = readdir(files)) && n++ < LINKS_MAX) {
		char path[320], text[TEXT_MAX];
		size_t len = strlen(entry->d_name);

		if (len < 6 || strcmp(entry->d_name + len - 5, ".link") != 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
		if (!read_text(host, path, text))
			continue;
		for (size_t i = 0; i < CB_ARRAY_SIZE(keys); i++)
			if (strstr(text, keys[i])) {
				say(owner->owns, sizeof(owner->owns), "%s%s= (%.80s)",
				    owner->present ? ", " : "", keys[i] + 1, entry->d_name);
				owner->present = true;
			}
	}
}

static void look_udev(struct cb_host *host, struct cb_owner *owner)
{
	static const char *const dirs[] = { "etc/systemd/network", "run/systemd/network",
					    "usr/local/lib/systemd/network",
					    "usr/lib/systemd/network" };

	for (size_t i = 0; i < CB_ARRAY_SIZE(dirs); i++)
		look_links(host, dirs[i], owner);
	if (!owner->present)
		say(owner->owns, sizeof(owner->owns), "nothing that we set");
	say(owner->consequence, sizeof(owner->consequence),
	    "set when an interface appears; an interrupt that it sets after us is left to it");
}

/* --- all --- */

void cb_host_owners(struct cb_host *host, struct cb_owner ret[_CB_OWNER_MAX])
{
	static const struct {
		const char *name;
		void (*look)(struct cb_host *host, struct cb_owner *owner);
	} owners[_CB_OWNER_MAX] = {
		[CB_OWNER_IRQBALANCE] = { "irqbalance", look_irqbalance },
		[CB_OWNER_TUNED] = { "tuned", look_tuned },
		[CB_OWNER_KUBELET] = { "kubelet", look_kubelet },
		[CB_OWNER_UDEV] = { "udev", look_udev },
	};

	for (int i = 0; i < _CB_OWNER_MAX; i++) {
		ret[i] = (struct cb_owner){ .name = owners[i].name };
		owners[i].look(host, &ret[i]);
	}
	memcpy(host->owner_read, host->owner_pid, sizeof(host->owner_read));
}

bool cb_host_owners_changed(const struct cb_host *host)
{
	return memcmp(host->owner_read, host->owner_pid, sizeof(host->owner_read)) != 0;
}
