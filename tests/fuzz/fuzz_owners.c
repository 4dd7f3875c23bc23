/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The files in which other owners keep their settings, each with the same content: what is said of them is always there, printable,
 * and one line.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cpubalance/host.h"
#include "cpubalance/owners.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char root[] = "/tmp/fuzz-owners.XXXXXX";
static struct cb_host *host;

static void write_file(const char *path, const void *data, size_t size)
{
	char full[256];
	FILE *file;

	snprintf(full, sizeof(full), "%s/%s", root, path);
	for (char *slash = strchr(full + sizeof(root), '/'); slash;
	     slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		(void)!mkdir(full, 0700);
		*slash = '/';
	}
	file = fopen(full, "we");
	if (!file || fwrite(data, 1, size, file) != size || fclose(file) != 0)
		abort();
}

static void write_text(const char *path, const char *text)
{
	write_file(path, text, strlen(text));
}

static void finish(void)
{
	char command[64];

	cb_host_close(host);
	snprintf(command, sizeof(command), "rm -rf %s", root);
	(void)!system(command);
}

static void start(void)
{
	struct cb_host_options options = { .sysroot = root };
	struct cb_err err = { .msg = "" };

	if (!mkdtemp(root))
		abort();
	atexit(finish);
	write_text("proc/stat", "cpu  1 0 0 1 0 0 0 0 0 0\ncpu0 1 0 0 1 0 0 0 0 0 0\n");
	write_text("proc/sys/kernel/random/boot_id", "6f8a1c6e-0a9e-4c53-9f5c-0b3b6f5c1d11\n");
	write_text("proc/sys/kernel/osrelease", "6.1.0\n");
	write_text("proc/10/comm", "kubelet\n");
	write_text("proc/11/comm", "tuned\n");
	if (cb_host_open(&options, &host, &err) < 0) {
		fprintf(stderr, "%s\n", err.msg);
		abort();
	}
	(void)cb_host_irqbalance_runs(host);
}

static void check_text(const char *text)
{
	if (!text[0])
		abort();
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const files[] = { "etc/tuned/active_profile",
					     "etc/tuned/latency/tuned.conf",
					     "var/lib/kubelet/cpu_manager_state",
					     "etc/systemd/network/10-eth.link" };
	struct cb_owner owner[_CB_OWNER_MAX];

	if (!host)
		start();
	for (size_t i = 0; i < CB_ARRAY_SIZE(files); i++)
		write_file(files[i], data, size);
	cb_host_owners(host, owner);
	for (int i = 0; i < _CB_OWNER_MAX; i++) {
		check_text(owner[i].name);
		check_text(owner[i].owns);
		check_text(owner[i].consequence);
	}
	return 0;
}
