#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# bench_count.sh - user instructions, which are the same on a busy machine, counted by callgrind: of a tick of the whole daemon on
# this machine, and of the parser of /proc/interrupts for each byte.
set -u
BUILD=${BUILD:-build}
command -v valgrind >/dev/null || { echo "skip: no valgrind: no instructions are counted"; exit 0; }
dir=$(mktemp -d "${TMPDIR:-/tmp}/cpubalance-count.XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
printf '[Manager]\nSampleIntervalSec=250ms\n' >"$dir/conf"

# counted FUNCTION SECONDS PROGRAM... - instructions inside of the function, in all its calls together: $n; how many calls: $calls.
# The program is asked to end after so many seconds.
counted() {
	local function=$1 seconds=$2
	shift 2
	timeout -s TERM "$seconds" valgrind --tool=callgrind "--toggle-collect=$function*" --callgrind-out-file="$dir/out" "$@" >"$dir/stdout" 2>"$dir/stderr"
	n=$(awk '/^(summary|totals):/ { n = $2 } END { print n + 0 }' "$dir/out")
	# A name stands where its number does for the first time.
	calls=$(awk -v f="$function" '/^c?fn=\(/ { id = $1; sub(/^c?fn=/, "", id); if (index($2, f) == 1) wanted[id] = 1 }
		/^cfn=/ { hit = id in wanted }
		/^calls=/ { if (hit) { sub(/calls=/, ""); n += $1 } hit = 0 }
		END { print n + 0 }' "$dir/out")
	[ "$n" -gt 0 ] || { echo "bench_count: nothing was counted in $function" >&2; tail -n 3 "$dir/stderr" >&2; exit 1; }
}

# daemon SECONDS
daemon() {
	mkdir -p "$dir/run$1" "$dir/state$1"
	counted cb_manager_on_tick "$1" "$BUILD/cpubalanced" --bus none --config "$dir/conf" --run-dir "$dir/run$1" \
		--state-dir "$dir/state$1"
}

# What two runs of different length differ by: what only the first ticks do is in both of them.
if [ "$(id -u)" = 0 ]; then
	daemon 12
	few=$n few_calls=$calls
	daemon 30
	cpus=$(getconf _NPROCESSORS_ONLN)
	[ "$calls" -gt "$few_calls" ] || { echo "bench_count: the daemon did not tick" >&2; exit 1; }
	echo "bench tick_instructions_${cpus}_cpus $(((n - few) / (calls - few_calls))) instructions$([ "$cpus" = 2 ] && echo ' bar<=15000')"
else
	echo "skip: the daemon's tick needs root"
fi

# bytes NAME BAR
bytes() {
	counted bench_parse_once 100 "$BUILD/tests/bench/bench_parse" --once "$1"
	awk -v n="$n" -v name="$1" -v bar="$2" '{ printf "bench parse_instructions_%s %.2f per_byte bar<=%s\n", name, n / $1, bar }' "$dir/stdout"
}
bytes sparse 0.75
bytes dense 3
