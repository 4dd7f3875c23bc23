#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# test_vm.sh [KERNEL...] - vm.sh in the emulated guest, on each kernel (default 6.1 and 6.12), all at the same time: a guest
# uses one CPU of this machine. The load of the case that needs some comes from this side of the cable.
# CASES="NAME..." runs these only, for who works on one; the_service_starts has to be among them.
set -u
# shellcheck source=tests/rig/stage.bash
. "$(dirname "$0")/stage.bash"

[ $# -gt 0 ] || set -- 6.1 6.12

rig_images vm root disk qemu "$@"
rig_job vm.sh
printf %s "${CASES:-}" >"$job/cases"

# Requests to port 8080, as fast as they are answered, whenever somebody listens there.
load='while :; do '$CB_BUILD'/tests/tools/httpload --address 192.0.2.11 --port 8080 --connections 8 --seconds 600
	sleep 1; done'

pids=()
# shellcheck disable=SC2317 # by the trap
stop() { kill "${pids[@]}" 2>/dev/null; }
trap 'stop; exit 1' INT TERM
for kernel; do
	rig_run $rig/run_vm.sh --kernel "$kernel" --append 'isolcpus=13 nohz_full=15' --peer "$load" \
		"$images" "$job" >"$job.$kernel" 2>&1 &
	pids+=($!)
done
rc=0
for pid in "${pids[@]}"; do
	wait "$pid" || rc=1
done
for kernel; do
	cat "$job.$kernel"
	rm "$job.$kernel"
done
exit $rc
