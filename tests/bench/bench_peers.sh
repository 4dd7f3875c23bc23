#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# bench_peers.sh - the daemon beside those that do part of its work, all at once on this machine, once a second: CPU time of the
# whole processes, as ratios. The peers come from their packages, unpacked privately; irqbalance sees masks that it cannot write, so
# that nothing on this machine changes. Then what the daemon keeps in memory and how often it wakes up, on a private bus.
set -u
BUILD=$(cd "${BUILD:-build}" && pwd)
export BUILD
cd "$(dirname "$0")/../.." || exit 1
[ "$(id -u)" = 0 ] || { echo "skip: root is needed, to see what a daemon sees"; exit 0; }
SECONDS_MEASURED=${BENCH_SECONDS:-30}

if [ "${1:-}" != --inside ]; then
	exec unshare --mount tools/private-bus "$0" --inside
fi
PATH=${CB_PRIVATE:-$BUILD/private}/bin:$PATH
mount --bind /proc/irq /proc/irq && mount -o remount,ro,bind /proc/irq || exit 1

dir=$(mktemp -d "${TMPDIR:-/tmp}/cpubalance-peers.XXXXXX") || exit 1
pids=()
end() {
	[ ${#pids[@]} = 0 ] || kill "${pids[@]}" 2>/dev/null
	wait
	rm -rf "$dir"
}
trap end EXIT
mkdir -p "$dir/run" "$dir/state"
printf '[Manager]\nSampleIntervalSec=1s\n' >"$dir/conf"

# begin NAME PROGRAM... - in the background, when it is there
begin() {
	local name=$1
	shift
	command -v "$1" >/dev/null || { echo "skip: no $name"; return; }
	setpriv --pdeathsig TERM "$@" >"$dir/$name.log" 2>&1 &
	pids+=($!)
	eval "$name=$!"
}
# The wrapper of a program that was unpacked executes it: the pid stays the same.
cpu_nsec() { cat /proc/"$1"/task/*/schedstat 2>/dev/null | awk '{ n += $1 } END { print n + 0 }'; }
status_of() { awk -v key="$2:" '$1 == key { print $2 }' "/proc/$1/status"; }

# shellcheck disable=SC2034 # by name
ours='' mpstat='' irqbalance='' exporter=''
begin ours "$BUILD/cpubalanced" --bus "$CB_BUS_ADDRESS" --config "$dir/conf" --run-dir "$dir/run" --state-dir "$dir/state"
begin mpstat mpstat -P ALL 1
if pgrep -x irqbalance >/dev/null; then
	echo "skip: irqbalance runs here already"
else
	begin irqbalance irqbalance --foreground --interval=1
fi
begin exporter prometheus-node-exporter --web.listen-address=127.0.0.1:19100
# All have begun, and nobody's first seconds count.
sleep 5

scrape() {
	exec 3<>/dev/tcp/127.0.0.1/19100 || return
	printf 'GET /metrics HTTP/1.0\r\n\r\n' >&3
	cat <&3 >"$dir/scrape"
	exec 3>&-
}
declare -A before
for name in ours mpstat irqbalance exporter; do
	[ -n "${!name}" ] && before[$name]=$(cpu_nsec "${!name}")
done
wakeups=$(status_of "$ours" voluntary_ctxt_switches)
for ((i = 0; i < SECONDS_MEASURED; i++)); do
	[ -n "$exporter" ] && scrape 2>/dev/null
	sleep 1
done
wakeups=$(($(status_of "$ours" voluntary_ctxt_switches) - wakeups))
declare -A spent
for name in ours mpstat irqbalance exporter; do
	[ -n "${!name}" ] || continue
	kill -0 "${!name}" 2>/dev/null || { echo "skip: $name has ended: $(tail -n 1 "$dir/$name.log")"; continue; }
	spent[$name]=$(($(cpu_nsec "${!name}") - before[$name]))
	awk -v name="$name" -v n="${spent[$name]}" -v s="$SECONDS_MEASURED" 'BEGIN { printf "bench cpu_%s %.1f usec_per_sec\n", name, n / 1e3 / s }'
done

# ratio NAME BAR - our CPU time over that one's
ratio() {
	[ -n "${spent[$1]:-}" ] && [ "${spent[$1]}" -gt 0 ] || return
	awk -v name="$1" -v a="${spent[ours]}" -v b="${spent[$1]}" -v bar="$2" \
		'BEGIN { printf "bench cpu_over_%s %.3f ratio%s\n", name, a / b, bar ? " bar<=" bar : "" }'
}
ratio irqbalance 0.5
ratio mpstat 0.7
ratio exporter ''
# A second more or less is in a measurement that begins and ends anywhere.
awk -v n="$wakeups" -v s="$SECONDS_MEASURED" 'BEGIN { printf "bench wakeups %.2f per_interval bar<=1.1\n", n / (s + 1) }'
cpus=$(getconf _NPROCESSORS_ONLN)
echo "bench rss_${cpus}_cpus $(status_of "$ours" VmRSS) kB$([ "$cpus" -le 2 ] && echo ' bar<=5120')"
