/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the names of interrupts say, as common drivers write them. */
#include "sources_test.h"

static void queues(void **state)
{
	static const struct {
		const char *name;
		int32_t queue;
		enum cb_queue_dir dir;
		bool managed;
	} names[] = {
		{ "virtio2-input.0", 0, CB_QUEUE_RX, false },
		{ "virtio2-output.11", 11, CB_QUEUE_TX, false },
		{ "virtio2-config", -1, CB_QUEUE_NONE, false },
		{ "virtio1-req.0", -1, CB_QUEUE_NONE, true },
		{ "eth0-TxRx-3", 3, CB_QUEUE_BOTH, false },
		{ "i40e-eth0-TxRx-31", 31, CB_QUEUE_BOTH, false },
		{ "ice-enp1s0f0-TxRx-0", 0, CB_QUEUE_BOTH, false },
		{ "iavf-ens5-TxRx-7", 7, CB_QUEUE_BOTH, false },
		{ "i40e-0000:01:00.0:misc", -1, CB_QUEUE_NONE, false },
		{ "eth0-rx-1", 1, CB_QUEUE_RX, false },
		{ "eth0-tx-0", 0, CB_QUEUE_TX, false },
		{ "eth0", -1, CB_QUEUE_NONE, false },
		{ "mlx5_comp3@pci:0000:3b:00.0", 3, CB_QUEUE_BOTH, false },
		{ "mlx5_async0@pci:0000:3b:00.0", -1, CB_QUEUE_NONE, false },
		{ "mlx4-12@0000:03:00.0", 12, CB_QUEUE_NONE, false },
		{ "mlx4-async@pci:0000:03:00.0", -1, CB_QUEUE_NONE, false },
		{ "eth0-Tx-Rx-5", 5, CB_QUEUE_BOTH, false },
		{ "ena-mgmnt@pci:0000:00:05.0", -1, CB_QUEUE_NONE, false },
		{ "gve-ntfy-blk4@pci:0000:00:04.0", 4, CB_QUEUE_NONE, false },
		{ "eth0-ntfy-block.2", 2, CB_QUEUE_NONE, false },
		{ "gve-mgmnt@pci:0000:00:04.0", -1, CB_QUEUE_NONE, false },
		{ "mana_q6@pci:7870:00:00.0", 6, CB_QUEUE_BOTH, false },
		{ "mana_hwc@pci:7870:00:00.0", -1, CB_QUEUE_NONE, false },
		{ "ens3f0np0-TxRx-2", 2, CB_QUEUE_BOTH, false },
		{ "eth2-fp-1", 1, CB_QUEUE_BOTH, false },
		{ "eth0-txrx-1", 1, CB_QUEUE_BOTH, false },
		{ "ens192-rxtx-3", 3, CB_QUEUE_BOTH, false },
		{ "enp1s0f4 (queue 3)", 3, CB_QUEUE_BOTH, false },
		{ "end0:rx-0", 0, CB_QUEUE_RX, false },
		{ "enp1s0-8", 8, CB_QUEUE_NONE, false },
		{ "virtio0-input.2, other-rx-9", 2, CB_QUEUE_RX, false },
		{ "nvme0q3", -1, CB_QUEUE_NONE, true },
		{ "nvme0q0", -1, CB_QUEUE_NONE, false },
		{ "hv_vmbus", -1, CB_QUEUE_NONE, false },
		{ "eth0-rx-99999999999", -1, CB_QUEUE_NONE, false },
		{ "", -1, CB_QUEUE_NONE, false },
		{ ",@", -1, CB_QUEUE_NONE, false },
	};

	(void)state;
	for (size_t i = 0; i < CB_ARRAY_SIZE(names); i++) {
		struct cb_irq_queue got;

		cb_irq_name_parse(names[i].name, &got);
		if (got.queue != names[i].queue || got.dir != names[i].dir ||
		    got.managed != names[i].managed)
			fail_msg("%s: %d %s %d", names[i].name, got.queue,
				 cb_queue_dir_name(got.dir), got.managed);
	}
}

static void whose(void **state)
{
	(void)state;
	assert_true(cb_irq_name_has("eth0-TxRx-0", "eth0"));
	assert_true(cb_irq_name_has("ice-eth0-TxRx-0", "eth0"));
	assert_true(cb_irq_name_has("eth0", "eth0"));
	assert_true(cb_irq_name_has("mlx5_comp0@pci:0000:3b:00.0", "0000:3b:00.0"));
	assert_true(cb_irq_name_has("eth01, eth0", "eth0"));
	assert_false(cb_irq_name_has("eth01-rx-0", "eth0"));
	assert_false(cb_irq_name_has("veth0-rx-0", "eth0"));
	assert_false(cb_irq_name_has("virtio12-input.0", "virtio1"));
	assert_false(cb_irq_name_has("anything", ""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(queues),
		cmocka_unit_test(whose),
	};

	return cmocka_run_group_tests_name("names of interrupts", tests, NULL, NULL);
}
