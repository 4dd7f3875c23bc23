#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# effect.sh - `make bench-effect`: what the balancer is worth, against what one would have without it. Cases:
#
#   move    both workers are pinned to one CPU of two
#   steer   one worker per CPU, and a batch job on the CPU of the first; a connection for each request
#
# Variants: start, as found; default, what the kernel does unpinned, or its hash; hand, what somebody who knows would do; move, both
# workers away from the batch job; cpubalanced, by itself and kept by its own verdict. Rounds of all variants are interleaved, medians
# are printed: "effect CASE VARIANT REQ_PER_SEC P99_MSEC". In a network namespace of its own, with everything put back.
#
# CB_EFFECT_ROUNDS (3), CB_EFFECT_SECONDS (4): rounds, and seconds of each measurement.
set -u

CB_SRC=${CB_SRC:-$(cd "$(dirname "$0")/../.." && pwd)}
CB_BUILD=${CB_BUILD:-$CB_SRC/build}
export CB_SRC CB_BUILD
cd "$CB_SRC" || exit 1
# shellcheck source=tests/testlib/loop.bash
. tests/testlib/loop.bash
# shellcheck source=tests/testlib/cases.bash
. tests/testlib/cases.bash

ROUNDS=${CB_EFFECT_ROUNDS:-3}
SECONDS_EACH=${CB_EFFECT_SECONDS:-4}

# Windows as many as in real life, but shorter ones.
effect_policy() {
	policy 10 30
	sed -i 's/^RollbacksPerHour=.*/RollbacksPerHour=100/; s/^MovesPerHour=.*/MovesPerHour=100/' "$loop_dir/test.conf"
}

# measure CASE VARIANT OPTION... - a line of requests/s and p99 in milliseconds
measure() {
	local name=$1.$2 rps p99
	shift 2
	loop_load "$name" --port 8080 --cpus "$loop_b" --seconds "$SECONDS_EACH" "$@"
	wait "$loop_pid"
	rps=$(loop_figure rps "$(grep '^total' "$loop_dir/$name.load")")
	p99=$(loop_figure p99_usec "$(grep '^total' "$loop_dir/$name.load")")
	echo "${rps:-0} ${p99:-0}" >>"$loop_dir/effect.$name"
}

median() { sort -n | awk '{ v[NR] = $1 } END { print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'; }
result() {
	local file=$loop_dir/effect.$1.$2
	[ -s "$file" ] || return 0
	printf 'effect %s %s %.0f %.1f\n' "$1" "$2" "$(awk '{ print $1 }' "$file" | median)" \
		"$(awk '{ print $2 / 1000 }' "$file" | median)"
}
rps_of() { awk '{ print $1 }' "$loop_dir/effect.$1.$2" | median; }

pin() { taskset -a -c -p "$2" "$1" >/dev/null; }
pin_each() { pin "${w[0]}" "$1" && pin "${w[1]}" "$2"; }

# by_itself CASE OPTION... - the daemon under load until a plan of its own is kept; then measured; then it ends
by_itself() {
	local case=$1 load kept=
	shift
	rm -rf "$loop_dir/state" "$loop_dir/run"
	daemon && quietly ctl register web "${w[@]}" "${register[@]}" || return 1
	loop_load warm --port 8080 --cpus "$loop_b" --seconds 300 "$@"
	load=$loop_pid
	loop_try 90 any_kept || { say "no plan was kept"; ctl history; }
	loop_stop "$load"
	[ -z "$kept" ] || measure "$case" cpubalanced "$@"
	loop_daemon_stop
}

case_move() {
	local register=()
	effect_policy
	loop_rpserv web --port 8080 --workers 2 --burn-usec 205 && mapfile -t w <"$loop_dir/web.pid" || return 1
	for ((r = 0; r < ROUNDS; r++)); do
		pin_each "$loop_a" "$loop_a" && measure move start
		pin_each "$loop_a,$loop_b" "$loop_a,$loop_b" && measure move default
		pin_each "$loop_a" "$loop_b" && measure move hand
		pin_each "$loop_a" "$loop_a" && by_itself move
	done
	clear_stage
}

case_steer() {
	local register=(--steering weighted) load=(--new-connection-each --connections 32)
	effect_policy
	loop_rpserv web --port 8080 --workers 2 --burn-usec 400 && mapfile -t w <"$loop_dir/web.pid" || return 1
	loop_run "$loop_tools/burn" --cpus "$loop_a" --seconds 3600 >/dev/null
	pin_each "$loop_a" "$loop_b"
	for ((r = 0; r < ROUNDS; r++)); do
		measure steer default "${load[@]}"
		pin_each "$loop_b" "$loop_b" && measure steer move "${load[@]}"
		pin_each "$loop_a" "$loop_b"
		daemon && quietly ctl register web "${w[@]}" "${register[@]}" && loop_try 10 has_name "${w[0]}" &&
			quietly ctl steer web 1:2 && loop_try 30 shares_stand && measure steer hand "${load[@]}"
		loop_daemon_stop
		by_itself steer "${load[@]}"
	done
	clear_stage
}
shares_stand() { ctl --json workers | json_flat | grep -q 'Share='; }

inside() {
	trap 'trap "" INT TERM HUP; loop_end' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	loop_begin && loop_net_start || exit 1
	: >"$loop_dir/daemon.log"
	echo "# $(uname -r), $(nproc) CPUs, $(awk -F ': ' '/^model name/ { print $2; exit }' /proc/cpuinfo); median of $ROUNDS rounds of $SECONDS_EACH s"
	for one in ${1:-move steer}; do
		"case_$one" || { sed 's/^/# /' "$loop_dir/daemon.log"; exit 1; }
		for variant in start default hand move cpubalanced; do
			result "$one" "$variant"
		done
	done
	[ -s "$loop_dir/effect.steer.cpubalanced" ] || exit 0
	awk -v hash="$(rps_of steer default)" -v ours="$(rps_of steer cpubalanced)" \
		'BEGIN { printf "# steer: %.2f x the kernel'"'"'s hash\n", ours / hash; exit ours < 1.15 * hash }'
}

if [ "${1:-}" = --inside ]; then
	inside "${2:-}"
	exit
fi
[ "$(id -u)" = 0 ] || { echo "bench-effect needs root" >&2; exit 1; }
loop_pick_cpus || { echo "only one CPU may be used here: nothing to balance"; exit 0; }
export loop_a loop_b
loop_session "$0" --inside "${1:-}"
