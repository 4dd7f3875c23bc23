#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# effect.sh - `make bench-effect`: what the balancer is worth, against what one would have without it. Cases:
#
#   move    both workers are pinned to one CPU of two
#   steer   one worker per CPU, and a batch job on the CPU of the first; a connection for each request
#   packet  one worker, and the packets of its interface are handled on the same CPU (RPS)
#
# Variants: start, as found; default, what the kernel does by itself: workers unpinned, no RPS; irqbalance, as found and with irqbalance
# running (Debian's); hand, what somebody who knows would do; cpubalanced, as found and with the daemon, which is measured after it has kept a
# plan of its own, or after 90 s as things are. Rounds of all variants are interleaved, none is left out, medians are printed:
# "effect CASE VARIANT REQ_PER_SEC P99_MSEC". In network namespaces of its own, with everything put back.
#
# CB_EFFECT_ROUNDS (3), CB_EFFECT_SECONDS (4): rounds, and seconds of each measurement.
# shellcheck disable=SC2119 # functions that are called without their arguments
set -u

cd "${CB_SRC:-$(dirname "$0")/../..}" || exit 1
# shellcheck source=tests/testlib/pinned.bash
. tests/testlib/pinned.bash
# shellcheck source=tests/testlib/veth.bash
. tests/testlib/veth.bash

ROUNDS=${CB_EFFECT_ROUNDS:-3}
SECONDS_EACH=${CB_EFFECT_SECONDS:-4}
VARIANTS="start default irqbalance hand cpubalanced"

# --- measuring ------------------------------------------------------------------------------------------

# load NAME SECONDS - the generator of the case, from where its clients are; options are in ${load[@]}
load() { loop_load "$1" --port 8080 --cpus "$loop_b" --seconds "$2" "${load[@]}"; }

# measure CASE VARIANT - a line of requests/s and p99
measure() {
	local name=$1.$2 rps p99
	load "$name" "$SECONDS_EACH"
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
rps_of() { [ -s "$loop_dir/effect.$1.$2" ] && awk '{ print $1 }' "$loop_dir/effect.$1.$2" | median; }

pin() { taskset -a -c -p "$2" "$1" >/dev/null; }
pin_each() { pin "${w[0]}" "$1" && pin "${w[1]}" "$2"; }

# by_itself CASE - the daemon under load until a plan of its own is kept; then measured, kept or not; then it ends
by_itself() {
	local warm kept=
	rm -rf "$loop_dir/state" "$loop_dir/run"
	the_daemon && quietly ctl register web "${w[@]}" "${register[@]}" || return 1
	load warm 300
	warm=$loop_pid
	loop_try 90 any_kept || { say "$1: no plan was kept in this round"; ctl history | sed 's/^/# /'; }
	loop_stop "$warm"
	measure "$1" cpubalanced
	loop_daemon_stop
}
the_daemon() { daemon; }

# --- irqbalance -----------------------------------------------------------------------------------------

irq_masks() { grep -H . /proc/irq/[0-9]*/smp_affinity_list; }
put_irqs_back() {
	local line
	while read -r line; do
		[ "$(cat "${line%%:*}")" = "${line#*:}" ] || echo "${line#*:}" >"${line%%:*}"
	done <<<"$1" 2>/dev/null
}

# beside_irqbalance CASE - it has seen some seconds of the load when it is measured; every interrupt gets its mask back
beside_irqbalance() {
	local before warm irqbalance
	command -v irqbalance >/dev/null && [ -n "${CB_EFFECT_UNSHARED:-}" ] && ! pgrep -x irqbalance >/dev/null || return 0
	before=$(irq_masks)
	mkdir -p /run/irqbalance
	loop_run timeout 120 irqbalance --foreground --interval=1 >"$loop_dir/irqbalance.log" 2>&1
	irqbalance=$loop_pid
	load warm 300
	warm=$loop_pid
	sleep 4
	loop_stop "$warm"
	measure "$1" irqbalance
	loop_stop "$irqbalance"
	put_irqs_back "$before"
}

# --- cases ----------------------------------------------------------------------------------------------

case_move() {
	local register=() load=()
	veth_policy
	loop_rpserv web --port 8080 --seconds 3600 --workers 2 --burn-usec 205 && mapfile -t w <"$loop_dir/web.pid" || return 1
	for ((r = 0; r < ROUNDS; r++)); do
		pin_each "$loop_a" "$loop_a" && measure move start
		pin_each "$loop_a,$loop_b" "$loop_a,$loop_b" && measure move default
		pin_each "$loop_a" "$loop_a" && beside_irqbalance move
		pin_each "$loop_a" "$loop_b" && measure move hand
		pin_each "$loop_a" "$loop_a" && by_itself move || return 1
	done
}

case_steer() {
	local register=(--steering weighted) load=(--new-connection-each --connections 32)
	veth_policy
	loop_rpserv web --port 8080 --seconds 3600 --workers 2 --burn-usec 400 && mapfile -t w <"$loop_dir/web.pid" || return 1
	loop_run "$loop_tools/burn" --cpus "$loop_a" --seconds 3600 >/dev/null
	for ((r = 0; r < ROUNDS; r++)); do
		pin_each "$loop_a" "$loop_b" && measure steer start
		pin_each "$loop_a,$loop_b" "$loop_a,$loop_b" && measure steer default
		pin_each "$loop_a" "$loop_b" && beside_irqbalance steer
		rm -rf "$loop_dir/state" "$loop_dir/run"
		daemon && quietly ctl register web "${w[@]}" "${register[@]}" && loop_try 10 has_name "${w[0]}" &&
			quietly ctl steer web 1:2 && loop_try 30 shares_stand && measure steer hand
		loop_daemon_stop
		by_itself steer || return 1
	done
}
shares_stand() { ctl --json workers | json_flat | grep -q 'Share='; }

case_packet() {
	local register=(--packet-steering rps --interfaces veth0) load=()
	load() { veth_load "$1" --cpus "$loop_b" --connections 64 --seconds "$2"; }
	the_daemon() { veth_daemon; }
	veth_policy
	veth_start || { say "no veth here"; return 0; }
	loop_rpserv web --address "$veth_here" --port 8080 --seconds 3600 --workers 1 --cpus "$loop_a" --burn-usec 15 &&
		mapfile -t w <"$loop_dir/web.pid" || return 1
	for ((r = 0; r < ROUNDS; r++)); do
		queue rx-0/rps_cpus "$(mask_of "$loop_a")" && measure packet start
		queue rx-0/rps_cpus 0 && pin "${w[0]}" "$loop_a,$loop_b" && measure packet default
		pin "${w[0]}" "$loop_a" && queue rx-0/rps_cpus "$(mask_of "$loop_a")" && beside_irqbalance packet
		queue rx-0/rps_cpus "$(mask_of "$loop_b")" && measure packet hand
		queue rx-0/rps_cpus "$(mask_of "$loop_a")" && by_itself packet || return 1
	done
}

inside() {
	local failed=0
	trap 'trap "" INT TERM HUP; loop_end' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	[ -z "${CB_EFFECT_UNSHARED:-}" ] || mount -t tmpfs -o mode=755 tmpfs /run || exit 1
	loop_begin && loop_net_start || exit 1
	: >"$loop_dir/daemon.log"
	echo "# $(uname -r), $(nproc) CPUs, $(awk -F ': ' '/^model name/ { print $2; exit }' /proc/cpuinfo); median of $ROUNDS rounds of $SECONDS_EACH s"
	for one in ${1:-move steer packet}; do
		"case_$one" || { sed 's/^/# /' "$loop_dir/daemon.log"; exit 1; }
		for variant in $VARIANTS; do
			result "$one" "$variant"
		done
		clear_stage
	done
	# What it has to reach against what was found.
	while read -r one least; do
		[ -n "$(rps_of "$one" cpubalanced)" ] || continue
		awk -v name="$one" -v least="$least" -v start="$(rps_of "$one" start)" -v ours="$(rps_of "$one" cpubalanced)" \
			'BEGIN { printf "# %s: %.2f x as found, wanted %.2f\n", name, ours / start, least; exit ours < least * start }' ||
			failed=1
	done <<-END
		move 1.5
		steer 1.15
		packet 1.2
	END
	exit $failed
}

if [ "${1:-}" = --inside ]; then
	inside "${2:-}" # and exits
fi
[ "$(id -u)" = 0 ] || { echo "bench-effect needs root" >&2; exit 1; }
loop_pick_cpus || { echo "only one CPU may be used here: nothing to balance"; exit 0; }
export loop_a loop_b
# irqbalance wants its socket in /run, which becomes one of our own.
if [ -z "${CB_EFFECT_UNSHARED:-}" ] && unshare --mount true 2>/dev/null; then
	CB_EFFECT_UNSHARED=1 exec unshare --mount "$0" "$@"
fi
loop_session "$0" --inside "${1:-}"
