#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# test_vm.sh [KERNEL...] - vm.sh in the emulated guest, on each kernel (default 6.1 and 6.12), one after the other. The
# packets of the case that needs some come from this side of the cable.
set -u
# shellcheck source=tests/rig/stage.bash
. "$(dirname "$0")/stage.bash"

kernels=("${@:-6.1}")
[ $# -gt 0 ] || kernels=(6.1 6.12)

rig_images vm root disk "${kernels[@]}"
rig_job vm.sh
# Datagrams to a port where nobody listens, each from another port of this side: they spread over the queues.
# shellcheck disable=SC2016 # expanded there
load='exec bash -c "while :; do for i in {1..8}; do echo x >/dev/udp/192.0.2.11/9; done; sleep 0.02; done" 2>/dev/null'
rc=0
for kernel in "${kernels[@]}"; do
	rig_run $rig/run_vm.sh --kernel "$kernel" --append 'isolcpus=13 nohz_full=15' --peer "$load" "$images" "$job" || rc=1
done
exit $rc
