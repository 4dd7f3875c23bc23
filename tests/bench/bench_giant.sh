#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# bench_giant.sh - a machine of 1,024 CPUs and 4,000 interrupts that does not exist (tests/tools/giant), in the place of this one: a
# tick of the daemon against a scan of irqbalance, by the CPU time of their processes; a machine of half the size, since the cost
# may grow with CPUs plus interrupts and not faster; and the memory of the daemon after its history has filled.
set -u
BUILD=$(cd "${BUILD:-build}" && pwd)
export BUILD
cd "$(dirname "$0")/../.." || exit 1
PATH=${CB_PRIVATE:-$BUILD/private}/bin:$PATH
SECONDS_MEASURED=${BENCH_SECONDS:-12}

# What is measured is in a mount namespace in which a copy of the generated files covers /proc and /sys: plain files in memory, since
# a file system in user space costs whoever reads it far more than a kernel's. The real /proc is at $dir/proc.
on() {
	unshare --mount sh -c 'mount --bind /proc "$1/proc" && mount -t tmpfs tmpfs "$1/copy" && shift && exec "$@"' sh "$dir" \
		"$BUILD/tests/tools/giant" --nodes 8 --queues 64 "$@"
}
cover() {
	local path
	cp -a "$dir/machine/." "$dir/copy/" 2>/dev/null
	for path in proc/stat proc/softirqs proc/interrupts proc/irq sys/kernel/irq sys/class/net sys/devices; do
		mount --bind "$dir/copy/$path" "/$path" || exit 1
	done
}
cpu_nsec() { cat "$dir/proc/$1"/task/*/schedstat 2>/dev/null | awk '{ n += $1 } END { print n + 0 }'; }
rss_kb() { awk '$1 == "VmRSS:" { print $2 }' "$dir/proc/$1/status"; }

# spent PID SECONDS - CPU time of a second, in us
spent() {
	local before
	before=$(cpu_nsec "$1")
	sleep "$2"
	echo $((($(cpu_nsec "$1") - before) / 1000 / $2))
}

# daemon - its tick, once a second: $tick, $rss
daemon() {
	local pid
	mkdir -p "$dir/run" "$dir/state"
	printf '[Manager]\nSampleIntervalSec=1s\n' >"$dir/conf"
	"$BUILD/cpubalanced" --bus none --config "$dir/conf" --run-dir "$dir/run" --state-dir "$dir/state" >"$dir/log" 2>&1 &
	pid=$!
	sleep 10
	tick=$(spent $pid "$SECONDS_MEASURED")
	rss=$(rss_kb $pid)
	kill $pid
	wait $pid
	rm -rf "$dir/run"
}
# irqbalance - a scan of it, every two seconds: $scan
irqbalance() {
	local pid
	command irqbalance --foreground --interval=2 >"$dir/irqbalance.log" 2>&1 &
	pid=$!
	sleep 10
	scan=$(($(spent $pid "$SECONDS_MEASURED") * 2))
	kill $pid
	wait $pid 2>/dev/null
}
# As many ended plans as the daemon remembers.
history() {
	mkdir -p "$dir/state"
	awk -v n=256 -f tests/bench/history.awk >"$dir/state/history.jsonl"
}

case ${1:-} in
half)
	dir=$2
	cover
	daemon
	echo "$tick" >"$dir/half"
	exit
	;;
whole)
	dir=$2
	cover
	history
	daemon
	echo "bench tick_1024x4000 $tick usec"
	echo "bench rss_1024x4000 $rss kB bar<=12288"
	[ -s "$dir/half" ] && awk -v a="$tick" -v b="$(cat "$dir/half")" \
		'BEGIN { printf "bench tick_1024x4000_over_512x2000 %.2f ratio bar<=2.5\n", a / b }'
	command -v irqbalance >/dev/null || { echo "skip: no irqbalance"; exit 0; }
	irqbalance
	[ "$scan" -gt 0 ] || { echo "skip: irqbalance did not scan: $(tail -n 1 "$dir/irqbalance.log")"; exit 0; }
	echo "bench irqbalance_scan_1024x4000 $scan usec"
	awk -v a="$tick" -v b="$scan" 'BEGIN { printf "bench tick_over_irqbalance_1024x4000 %.4f ratio bar<=0.05\n", a / b }'
	exit
	;;
esac

[ "$(id -u)" = 0 ] || { echo "skip: root is needed, to mount a file system"; exit 0; }
unshare --mount sh -c 'exec 3<>/dev/fuse' 2>/dev/null || { echo "skip: no /dev/fuse here, or no mount namespace"; exit 0; }
dir=$(mktemp -d "${TMPDIR:-/tmp}/cpubalance-giant.XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
mkdir "$dir/machine" "$dir/proc" "$dir/copy"
on --cpus 512 --nics 31 --disks 2 "$dir/machine" "$PWD/$0" half "$dir"
on --cpus 1024 --nics 62 --disks 4 "$dir/machine" "$PWD/$0" whole "$dir"
