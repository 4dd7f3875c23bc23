/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The inventory of interrupts on machines made of files: what each serves, by its device or by its
 * name, and what can be moved.
 */
#include "cpubalance/host.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tree.h"

#define PCI "sys/devices/pci0000:00/"

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

static void add_irq(struct tree *tree, unsigned int irq, const char *mask, const char *actions)
{
	char path[128];

	snprintf(path, sizeof(path), "proc/irq/%u/smp_affinity_list", irq);
	tree_write(tree, path, mask);
	snprintf(path, sizeof(path), "proc/irq/%u/node", irq);
	tree_write(tree, path, "-1\n");
	snprintf(path, sizeof(path), "sys/kernel/irq/%u/actions", irq);
	tree_printf(tree, path, "%s\n", actions);
	snprintf(path, sizeof(path), "sys/kernel/irq/%u/hwirq", irq);
	tree_printf(tree, path, "%u\n", irq * 10);
}

static void add_msi(struct tree *tree, const char *device, unsigned int first, unsigned int last)
{
	char path[256];

	for (unsigned int irq = first; irq <= last; irq++) {
		snprintf(path, sizeof(path), "%s/msi_irqs/%u", device, irq);
		tree_write(tree, path, "msix\n");
	}
}

/*
 * sys/class/net/IF is a link to the interface's directory below @device, and "device" in there
 * leads back.
 */
static void add_interface(struct tree *tree, const char *ifname, const char *device)
{
	const char *last = strrchr(device, '/');
	char path[256], target[256];

	snprintf(path, sizeof(path), "sys/class/net/%s", ifname);
	snprintf(target, sizeof(target), "../../../%s/net/%s", device, ifname);
	tree_link(tree, path, target);
	snprintf(path, sizeof(path), "%s/net/%s/device", device, ifname);
	snprintf(target, sizeof(target), "../../../%s", last ? last + 1 : device);
	tree_link(tree, path, target);
}

static struct cb_irqs *read_irqs(struct tree *tree)
{
	struct cb_irqs *irqs;
	struct cb_err err = { 0 };

	if (!tree->host)
		tree_open(tree);
	if (cb_host_irqs(tree->host, 3, &irqs, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(irqs->generation, 3);
	return irqs;
}

static void assert_irq(const struct cb_irqs *irqs, unsigned int irq, enum cb_irq_class class,
		       const char *ifname)
{
	const struct cb_irq_info *info = cb_irqs_find(irqs, irq);

	if (!info)
		fail_msg("no interrupt %u", irq);
	if (info->class != class || strcmp(info->ifname, ifname) != 0)
		fail_msg("interrupt %u: class %d of \"%s\"", irq, info->class, info->ifname);
}

static void none(void **state)
{
	struct cb_irqs *irqs = read_irqs(*state);

	assert_int_equal(irqs->n, 0);
	free(irqs);
}

static void reads_each(void **state)
{
	struct tree *tree = *state;
	const struct cb_irq_info *info;
	struct cb_irqs *irqs;

	add_irq(tree, 120, "0-3,8\n", "nvme0q0");
	add_irq(tree, 121, "0-3,8\n", "nvme0q1");
	add_irq(tree, 9, "0\n", "acpi");
	add_irq(tree, 36, "0-1\n", "virtio1-req.0");
	tree_chmod(tree, "proc/irq/36/smp_affinity_list", 0444);
	tree_write(tree, "proc/irq/120/node", "1\n");
	tree_write(tree, "proc/irq/default_smp_affinity", "f\n");
	tree_mkdir(tree, "proc/irq/77"); /* a descriptor without anything */
	irqs = read_irqs(tree);
	assert_int_equal(irqs->n, 5);
	assert_int_equal(irqs->irq[0].irq, 9);
	assert_int_equal(irqs->irq[3].irq, 120);
	info = cb_irqs_find(irqs, 120);
	assert_int_equal(info->node, 1);
	assert_int_equal(info->hwirq, 1200);
	assert_string_equal(info->actions, "nvme0q0");
	assert_int_equal(cb_cpuset_count(&info->affinity), 5);
	assert_true(info->writable);
	assert_int_equal(info->class, CB_IRQ_OTHER);
	assert_false(cb_irqs_find(irqs, 36)->writable);
	assert_false(cb_irqs_find(irqs, 121)->writable); /* managed, whatever the file's mode */
	info = cb_irqs_find(irqs, 77);
	assert_false(info->writable);
	assert_string_equal(info->actions, "");
	assert_int_equal(info->node, -1);
	free(irqs);
}

/*
 * The device is virtio's, its interrupts are those of the PCI device above; its name alone would do
 * as well.
 */
static void virtio(void **state)
{
	struct tree *tree = *state;
	struct cb_irqs *irqs;

	add_irq(tree, 37, "0-1\n", "virtio2-config");
	add_irq(tree, 38, "0-1\n", "virtio2-input.0");
	add_irq(tree, 39, "0-1\n", "virtio2-output.0");
	add_irq(tree, 40, "0-1\n", "virtio20-input.0");
	add_irq(tree, 41, "0-1\n", "virtio3");
	add_msi(tree, PCI "0000:00:02.0", 37, 39);
	tree_write(tree, PCI "0000:00:02.0/numa_node", "1\n");
	add_interface(tree, "eth0", PCI "0000:00:02.0/virtio2");
	add_interface(tree, "eth1", "sys/devices/platform/a.mmio/virtio3");
	tree_mkdir(tree, "sys/class/net/lo");
	tree_write(tree, "sys/class/net/bonding_masters", "\n");
	irqs = read_irqs(tree);
	assert_irq(irqs, 37, CB_IRQ_NETWORK, "eth0");
	assert_irq(irqs, 38, CB_IRQ_NETWORK, "eth0");
	assert_int_equal(cb_irqs_find(irqs, 38)->node, 1);
	assert_irq(irqs, 40, CB_IRQ_OTHER, "");
	assert_irq(irqs, 41, CB_IRQ_NETWORK, "eth1");
	free(irqs);
}

/* Firmware often says nothing of where a device is, and the interrupt something else: the device is believed, where it speaks. */
static void node_of_the_device(void **state)
{
	static const struct {
		const char *device, *irq;
		int32_t node;
	} cases[] = {
		{ "1\n", "1\n", 1 },  { "1\n", "0\n", 1 },    { "1\n", "-1\n", 1 },
		{ "-1\n", "0\n", 0 }, { "-1\n", "-1\n", -1 }, { "x\n", "0\n", 0 },
		{ NULL, "0\n", 0 },   { NULL, NULL, -1 },
	};
	struct tree *tree = *state;
	struct cb_irqs *irqs;

	add_irq(tree, 38, "0-1\n", "eth0-TxRx-0");
	add_msi(tree, PCI "0000:00:02.0", 38, 38);
	add_interface(tree, "eth0", PCI "0000:00:02.0");
	for (size_t i = 0; i < CB_ARRAY_SIZE(cases); i++) {
		tree_write(tree, PCI "0000:00:02.0/numa_node",
			   cases[i].device ? cases[i].device : "");
		tree_write(tree, "proc/irq/38/node", cases[i].irq ? cases[i].irq : "");
		if (!cases[i].device)
			tree_remove(tree, PCI "0000:00:02.0/numa_node");
		if (!cases[i].irq)
			tree_remove(tree, "proc/irq/38/node");
		irqs = read_irqs(tree);
		assert_irq(irqs, 38, CB_IRQ_NETWORK, "eth0");
		assert_int_equal(cb_irqs_find(irqs, 38)->node, cases[i].node);
		free(irqs);
	}
}

/*
 * Two ports on one PCI function: the names say which interrupt is whose; a bridge's interrupts are
 * nobody's.
 */
static void two_ports(void **state)
{
	struct tree *tree = *state;
	struct cb_irqs *irqs;

	add_irq(tree, 20, "0\n", "PCIe PME");
	add_irq(tree, 30, "0\n", "enp1s0-TxRx-0");
	add_irq(tree, 31, "0\n", "enp1s0d1-TxRx-0");
	add_irq(tree, 32, "0\n", "async@pci:0000:01:00.0");
	add_irq(tree, 33, "0\n", "i8042, enp2s0");
	add_irq(tree, 16, "0\n", "ehci_hcd:usb1");
	add_msi(tree, PCI "0000:00:01.0", 20, 20);
	tree_write(tree, PCI "0000:00:01.0/irq", "20\n");
	add_msi(tree, PCI "0000:00:01.0/0000:01:00.0", 30, 32);
	add_interface(tree, "enp1s0", PCI "0000:00:01.0/0000:01:00.0");
	tree_link(tree, PCI "0000:00:01.0/0000:01:00.0/net/enp1s0d1/device",
		  "../../../0000:01:00.0");
	tree_link(tree, "sys/class/net/enp1s0d1",
		  "../../../" PCI "0000:00:01.0/0000:01:00.0/net/enp1s0d1");
	/* No message interrupts: one old line, shared. */
	tree_write(tree, PCI "0000:00:01.0/0000:02:00.0/irq", "16\n");
	add_interface(tree, "enp2s0", PCI "0000:00:01.0/0000:02:00.0");
	irqs = read_irqs(tree);
	assert_irq(irqs, 20, CB_IRQ_OTHER, "");
	assert_irq(irqs, 30, CB_IRQ_NETWORK, "enp1s0");
	assert_irq(irqs, 31, CB_IRQ_NETWORK, "enp1s0d1");
	assert_irq(irqs, 32, CB_IRQ_NETWORK, "enp1s0");
	assert_irq(irqs, 33, CB_IRQ_NETWORK, "enp2s0");
	assert_irq(irqs, 16, CB_IRQ_NETWORK, "enp2s0");
	free(irqs);
}

/* A link that leads out of the tree leads nowhere, and a search upwards ends at the root. */
static void outside(void **state)
{
	struct tree *tree = *state;
	struct cb_irqs *irqs;

	add_irq(tree, 5, "0\n", "a");
	tree_link(tree, "sys/class/net/evil0", "../../../../../../../../../sys/class/net/eth0");
	tree_link(tree, "sys/class/net/evil1", "/sys/class/net");
	tree_link(tree, "sys/class/net/device", "..");
	irqs = read_irqs(tree);
	assert_irq(irqs, 5, CB_IRQ_OTHER, "");
	free(irqs);
}

static void scopes(void **state)
{
	static const struct {
		const char *scope;
		bool wide, network, other; /* a network interrupt 44, another 51 */
	} cases[] = {
		{ "feeding", false, true, true }, { "none", false, false, false },
		{ "network", true, true, false }, { "all", true, true, true },
		{ "40-47", true, true, false },	  { "1,51", true, false, true },
		{ "44,51", true, true, true },
	};
	static const char *const bad[] = { "",	 "some",       "1,",	"5-4",
					   "-1", "4294967296", "44 51", "all,44" };
	const struct cb_irq_info network = { .irq = 44, .class = CB_IRQ_NETWORK },
				 other = { .irq = 51 };
	char scope[16] = "kept";

	(void)state;
	for (size_t i = 0; i < CB_ARRAY_SIZE(bad); i++)
		assert_int_equal(cb_irq_scope_parse(bad[i], scope, sizeof(scope)), -EINVAL);
	assert_int_equal(cb_irq_scope_parse("40,41,42,43,44,45", scope, sizeof(scope)), -ERANGE);
	assert_string_equal(scope, "kept");
	for (size_t i = 0; i < CB_ARRAY_SIZE(cases); i++) {
		assert_int_equal(cb_irq_scope_parse(cases[i].scope, scope, sizeof(scope)), 0);
		assert_string_equal(scope, cases[i].scope);
		assert_int_equal(cb_irq_scope_is_wide(scope), cases[i].wide);
		assert_int_equal(cb_irq_scope_has(scope, &network), cases[i].network);
		assert_int_equal(cb_irq_scope_has(scope, &other), cases[i].other);
	}
	assert_int_equal(cb_irq_scope_parse("Yes", scope, sizeof(scope)), 0);
	assert_string_equal(scope, "feeding");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(none),	 TEST(reads_each), TEST(virtio), TEST(node_of_the_device),
		TEST(two_ports), TEST(outside),	   TEST(scopes),
	};

	return cmocka_run_group_tests_name("irqs", tests, NULL, NULL);
}
