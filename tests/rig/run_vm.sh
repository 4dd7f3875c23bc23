#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# run_vm.sh [OPTION]... IMAGES JOB - boot a Debian guest of 16 CPUs under software emulation, run JOB/main in it as
# root, print its output, and exit with its status.
#
#   --kernel 6.1|6.12    which kernel (default 6.12)
#   --append WORDS       more of the kernel's command line, such as isolcpus=14-15
#   --peer COMMAND       run by a shell at the other end of the guest's network cable, from the boot on
#
# The guest: 2 sockets x 2 dies x 2 cores x 2 threads, a NUMA node and a last-level cache for each die, 2 GiB, a
# virtio NIC of 8 queues (eth0, 192.0.2.10) with two interrupts each, a disk of 4 queues, whose interrupts are
# managed. Its disk is a layer over the image that is thrown away. The other end of the cable is 192.0.2.1 in a
# network namespace that lives as long as this process.
#
# The guest's clock counts its instructions, 32 ns for each: what is loaded here makes a run longer, and changes nothing that
# the guest sees; when all its CPUs are idle, its clock goes on to the next timer at once. A slower guest would have less to
# do in a second of its own, a faster one would take more of ours for it.
#
# A guest that does not boot within 240 s is tried once more, and that is said. Exit status 124: the time of
# RIG_SECONDS (default 1400) ran out; 125: the machine failed, its console is shown.
# shellcheck disable=SC2317 # some functions are called by name only
set -u

if [ "${RIG_PRIVATE:-}" != 1 ]; then
	RIG_PRIVATE=1 exec unshare --net -- "$0" "$@"
fi

kernel=6.12 append='' peer=
while :; do
	case ${1:-} in
	--kernel) kernel=$2 ;;
	--append) append=$2 ;;
	--peer) peer=$2 ;;
	*) break ;;
	esac
	shift 2
done
images=$1 job=$2
limit=${RIG_SECONDS:-1400}
BOOT_LIMIT=240
CPUS=16 NODES=4 QUEUES=8

work=$(mktemp -d "${TMPDIR:-/tmp}/cpubalance-vm.XXXXXX") || exit 125
qemu='' peer_pid=
finish() {
	[ -n "$qemu" ] && kill -KILL "$qemu" 2>/dev/null
	[ -n "$peer_pid" ] && kill -- "-$peer_pid" 2>/dev/null
	rm -rf "$work"
}
trap finish EXIT
trap 'exit 125' INT TERM HUP

# --- the machine ------------------------------------------------------------------------------------

ip link set lo up &&
	ip tuntap add rig0 mode tap multi_queue vnet_hdr &&
	ip addr add 192.0.2.1/24 dev rig0 &&
	ip link set rig0 up || exit 125
tar -cf "$work/job" -C "$job" . || exit 125

# The time-stamp counter is the guest's clock in nanoseconds, and a jiffy is 4 ms: no calibration of every CPU.
cmdline="console=ttyS0 panic=-1 loglevel=5 mitigations=off audit=0 nowatchdog no_timer_check tsc=reliable lpj=4000000
	rcupdate.rcu_cpu_stall_suppress=1 random.trust_cpu=1 cryptomgr.notests=1 net.ifnames=0 8250.nr_uarts=2
	systemd.show_status=0"

# One host thread for all CPUs: with more the emulation races with a kernel that patches its own code. An Intel CPU, since only
# those show their topology, but without the leaf that tells of dies, which stops the emulator 10.0; the last-level caches
# are those of the dies all the same. Without cmpxchg16b, whose flags the emulation got wrong.
# shellcheck disable=SC2054 # commas belong to the words
machine=(-nodefaults -no-user-config -display none -no-reboot -machine q35,hpet=off -accel tcg,thread=single
	-icount "shift=5,sleep=off" -rtc clock=vm
	-cpu max,vendor=GenuineIntel,la57=off,cx16=off,level=13 -m 2048
	-smp "$CPUS,sockets=2,dies=2,cores=2,threads=2")
per_node=$((CPUS / NODES))
for ((n = 0; n < NODES; n++)); do
	machine+=(-object "memory-backend-ram,id=m$n,size=$((2048 / NODES))M"
		-numa "node,nodeid=$n,memdev=m$n,cpus=$((n * per_node))-$(((n + 1) * per_node - 1))")
done
machine+=(-drive "file=$images/root.ext4,if=none,id=root,format=raw,snapshot=on"
	-device "virtio-blk-pci,drive=root,serial=rig-root,num-queues=4"
	-drive "file=$work/job,if=none,id=job,format=raw,read-only=on"
	-device "virtio-blk-pci,drive=job,serial=rig-job,num-queues=1"
	-netdev "tap,id=net,ifname=rig0,script=no,downscript=no,queues=$QUEUES"
	-device "virtio-net-pci,netdev=net,mq=on,vectors=$((2 * QUEUES + 2)),mac=52:54:00:00:00:10,romfile="
	-kernel "$images/$kernel/vmlinux" -initrd "$images/$kernel/initrd"
	-append "$(tr -s '\n\t' '  ' <<<"$cmdline") $append"
	-serial "file:$work/console" -serial "file:$work/out")

# --- one run ----------------------------------------------------------------------------------------

# wait_for SECONDS CMD... - while the guest runs; 1 when CMD did not succeed within the time
wait_for() {
	local until=$((SECONDS + $1))
	shift
	until "$@"; do
		[ "$SECONDS" -lt "$until" ] && kill -0 "$qemu" 2>/dev/null || return 1
		sleep 0.1
	done
}
is_up() { grep -qs '^# rig: up' "$work/out"; }
is_off() { ! kill -0 "$qemu" 2>/dev/null; }

show_console() {
	echo "run_vm.sh: $1; its console ends:" >&2
	tail -n 40 "$work/console" >&2
}

start() {
	: >"$work/out"
	"$images/qemu/run" "${machine[@]}" </dev/null &
	qemu=$!
	wait_for $BOOT_LIMIT is_up && return
	kill -KILL "$qemu" 2>/dev/null
	wait "$qemu" 2>/dev/null
	qemu=
	return 1
}

if [ -n "$peer" ]; then
	setsid sh -c "$peer" </dev/null >"$work/peer" 2>&1 &
	peer_pid=$!
fi
if ! start; then
	show_console "the guest did not boot within $BOOT_LIMIT s, trying once more"
	echo "# note: the first boot of the guest failed, this is the second"
	start || { show_console "the guest did not boot within $BOOT_LIMIT s"; exit 125; }
fi
wait_for "$limit" is_off
timed_out=$?
kill -KILL "$qemu" 2>/dev/null
wait "$qemu" 2>/dev/null
qemu=

tr -d '\r' <"$work/out" | sed '/^rig: exit [0-9]*$/d'
status=$(tr -d '\r' <"$work/out" | sed -n 's/^rig: exit \([0-9]*\)$/\1/p')
if [ -z "$status" ]; then
	[ $timed_out = 0 ] && status=125 why='the guest went off without a word' || status=124 why="no end after $limit s"
	show_console "$why"
fi
exit "$status"
