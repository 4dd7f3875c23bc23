/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Other owners of what we set, on machines made of files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cpubalance/owners.h"
#include "tree.h"

static void base(struct tree *tree)
{
	tree_init(tree);
	tree_write(tree, "proc/sys/kernel/random/boot_id",
		   "6f8a1c6e-0a9e-4c53-9f5c-0b3b6f5c1d11\n");
	tree_write(tree, "proc/sys/kernel/osrelease", "6.1.0\n");
	tree_write(tree, "proc/stat", "cpu  1 0 0 1 0 0 0 0 0 0\ncpu0 1 0 0 1 0 0 0 0 0 0\n");
	tree_write(tree, "proc/1/comm", "init\n");
}

static void look(struct tree *tree, struct cb_owner owner[_CB_OWNER_MAX])
{
	(void)!cb_host_irqbalance_runs(tree->host); /* which looks for all processes */
	cb_host_owners(tree->host, owner);
	for (int i = 0; i < _CB_OWNER_MAX; i++) {
		assert_true(owner[i].name[0] && owner[i].owns[0] && owner[i].consequence[0]);
		print_message("%s: %s\n", owner[i].name, owner[i].owns);
	}
}

static void nobody(void **state)
{
	struct cb_owner owner[_CB_OWNER_MAX];
	struct tree tree;

	(void)state;
	base(&tree);
	tree_open(&tree);
	look(&tree, owner);
	for (int i = 0; i < _CB_OWNER_MAX; i++)
		assert_false(owner[i].present);
	tree_done(&tree);
}

static void everybody_comes_and_goes(void **state)
{
	struct cb_owner owner[_CB_OWNER_MAX];
	struct tree tree;

	(void)state;
	base(&tree);
	tree_open(&tree);
	look(&tree, owner);
	tree_write(&tree, "proc/10/comm", "irqbalance\n");
	tree_write(&tree, "proc/11/comm", "tuned\n");
	tree_write(&tree, "etc/tuned/active_profile", "latency\n");
	tree_write(&tree, "usr/lib/tuned/latency/tuned.conf",
		   "[scheduler]\nisolated_cores=2-3\n[irqbalance]\nbanned_cpus=2-3\n");
	tree_write(&tree, "var/lib/kubelet/cpu_manager_state",
		   "{\"policyName\":\"static\",\"defaultCpuSet\":\"0-1\",\"entries\":{}}");
	tree_write(&tree, "etc/systemd/network/10-rx.link",
		   "[Match]\nDriver=mlx5\n[Link]\nReceivePacketSteeringCPUMask=0-3\n");
	tree_write(&tree, "usr/lib/systemd/network/99-default.link", "[Link]\nNamePolicy=keep\n");
	look(&tree, owner);
	for (int i = 0; i < _CB_OWNER_MAX; i++)
		assert_true(owner[i].present);
	assert_non_null(strstr(owner[CB_OWNER_TUNED].owns, "latency"));
	assert_non_null(strstr(owner[CB_OWNER_TUNED].owns, "isolated_cores"));
	assert_non_null(strstr(owner[CB_OWNER_TUNED].owns, "banned_cpus"));
	assert_non_null(strstr(owner[CB_OWNER_KUBELET].owns, "CPUs 0-1 are shared"));
	assert_non_null(strstr(owner[CB_OWNER_UDEV].owns, "10-rx.link"));
	assert_null(strstr(owner[CB_OWNER_UDEV].owns, "99-default"));
	tree_remove(&tree, "proc/10");
	tree_remove(&tree, "proc/11");
	tree_remove(&tree, "var/lib/kubelet/cpu_manager_state");
	tree_remove(&tree, "etc/systemd/network/10-rx.link");
	look(&tree, owner);
	for (int i = 0; i < _CB_OWNER_MAX; i++)
		assert_false(owner[i].present);
	tree_done(&tree);
}

/* Files of others may hold anything. */
static void strange_files(void **state)
{
	static const char *const texts[] = { "",
					     "\n",
					     "../../etc/shadow\n",
					     "\"policyName\":\"",
					     "\"policyName\":\"static",
					     "a\001b\n" };
	struct cb_owner owner[_CB_OWNER_MAX];
	struct tree tree;
	char text[20000];

	(void)state;
	base(&tree);
	tree_open(&tree);
	for (size_t i = 0; i < CB_ARRAY_SIZE(texts); i++) {
		tree_write(&tree, "etc/tuned/active_profile", texts[i]);
		tree_write(&tree, "var/lib/kubelet/cpu_manager_state", texts[i]);
		tree_write(&tree, "etc/systemd/network/1.link", texts[i]);
		look(&tree, owner);
	}
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	tree_write(&tree, "etc/tuned/active_profile", text);
	tree_write(&tree, "etc/systemd/network/1.link", text);
	look(&tree, owner);
	tree_done(&tree);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody),
		cmocka_unit_test(everybody_comes_and_goes),
		cmocka_unit_test(strange_files),
	};

	return cmocka_run_group_tests_name("owners", tests, NULL, NULL);
}
