#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# soak.sh - `sudo make soak`: SOAK_SECONDS (1800) of a steady and balanced load, the daemon in `auto` with every
# default. Two registered workers, one on each of two CPUs, get 45 % of the requests that they could serve. There
# is nothing to mend, so there must be no plan and no write; and the daemon must not grow, neither in memory nor in
# descriptors. Before that an hour of virtual time, with all that can come and go in it (tests/unit/test_hour.c).
# One line a minute; exits 0 only when all of that holds.
set -u

CB_SRC=${CB_SRC:-$(cd "$(dirname "$0")/../.." && pwd)}
CB_BUILD=${CB_BUILD:-$CB_SRC/build}
SOAK_SECONDS=${SOAK_SECONDS:-1800}
export CB_SRC CB_BUILD SOAK_SECONDS
cd "$CB_SRC" || exit 1
# shellcheck source=tests/testlib/loop.bash
. tests/testlib/loop.bash

PORT=8080
CONNECTIONS=512    # many: the kernel spreads them by chance, and few would load the workers unevenly
LOAD_PERCENT=45
WARM_UP_SECONDS=120 # the daemon's buffers have their size by then
GROWTH_KIB=1024

rss_kib() { awk '/^VmRSS:/ { print $2 }' "/proc/$loop_daemon/status"; }
n_fds() { find "/proc/$loop_daemon/fd" -mindepth 1 -maxdepth 1 | wc -l; }
same_masks() { [ "$(loop_masks "${workers[@]}")" = "$masks" ]; }

problems=0
problem() {
	echo "  PROBLEM: $*"
	problems=$((problems + 1))
}

# What both workers together serve when asked as fast as they answer.
capacity() {
	loop_load full --port $PORT --cpus "$loop_a,$loop_b" --connections 64 --seconds 3
	loop_try 10 grep -q '^total' "$loop_dir/full.load"
	loop_figure rps "$(grep '^total' "$loop_dir/full.load")"
}

start() {
	loop_begin || return 1
	loop_net_start || { echo "soak: cannot make a network namespace" >&2; return 1; }
	loop_rpserv web --port $PORT --workers 2 --burn-usec 205 --seconds $((SOAK_SECONDS + 120)) || return 1
	mapfile -t workers <"$loop_dir/web.pid"
	taskset -a -c -p "$loop_a" "${workers[0]}" >/dev/null
	taskset -a -c -p "$loop_b" "${workers[1]}" >/dev/null
	masks=$(loop_masks "${workers[@]}")
	rate=$(awk -v full="$(capacity)" -v percent=$LOAD_PERCENT 'BEGIN { printf "%d", full * percent / 100 }')
	[ "$rate" -gt 0 ] || { echo "soak: the server does not answer" >&2; return 1; }
	: >"$loop_dir/soak.conf"
	if ! loop_daemon_start "$loop_dir/soak.conf"; then
		echo "soak: cpubalanced does not start:" >&2
		cat "$loop_dir/daemon.log" >&2
		return 1
	fi
	loop_load web --port $PORT --cpus "$loop_a,$loop_b" --connections $CONNECTIONS --rate "$rate" \
		--seconds $((SOAK_SECONDS + 60)) --interval 10
	ctl register web "${workers[@]}" --allowed-cpus="$loop_a,$loop_b" || return 1
}

busy() { awk -v x="$(json_in "$(json_row "$now" CPUs "CPU=$1")" Busy)" 'BEGIN { printf "%.0f", 100 * x }'; }

# One look: a line, and whether anything is wrong.
look() {
	local line plan last
	now=$(ctl --json status | json_flat)
	line=$(grep '^interval' "$loop_dir/web.load" | tail -n 1)
	plan=$(json_of "$now" Manager.PlanId) last=$(json_of "$now" Manager.LastPlanId)
	rss=$(rss_kib) fds=$(n_fds)
	printf '  %5d s   busy %3s %% %3s %%   %6s req/s   p99 %6s us   RSS %5s KiB   fds %3s   plans %s\n' \
		$((SECONDS - began)) "$(busy "$loop_a")" "$(busy "$loop_b")" "$(loop_figure rps "$line")" \
		"$(loop_figure p99_usec "$line")" "$rss" "$fds" "$last"
	[ "$plan$last" = 00 ] || problem "a plan was made"
	same_masks || problem "masks have changed"
	loop_alive "$loop_daemon" || problem "the daemon has ended"
}

judge() {
	[ -n "$first_rss" ] || return
	[ "$rss" -le $((first_rss + GROWTH_KIB)) ] || problem "RSS grew from $first_rss to $rss KiB"
	[ "$fds" -le "$first_fds" ] || problem "descriptors grew from $first_fds to $fds"
}

run() {
	local workers=() masks='' rate='' now='' rss='' fds='' first_rss='' first_fds='' began next rc
	trap 'trap "" INT TERM HUP; loop_end' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	start || return 1
	echo "soak: $SOAK_SECONDS s, workers ${workers[*]} on CPU $loop_a and CPU $loop_b, $rate req/s ($LOAD_PERCENT % of what they can), mode auto"
	began=$SECONDS next=$SECONDS
	while [ $((SECONDS - began)) -lt "$SOAK_SECONDS" ] && [ $problems = 0 ]; do
		next=$((next + 60))
		[ $next -le $((began + SOAK_SECONDS)) ] || next=$((began + SOAK_SECONDS))
		while [ $SECONDS -lt $next ]; do sleep 0.5; done
		look
		if [ -z "$first_rss" ] && [ $((SECONDS - began)) -ge $WARM_UP_SECONDS ]; then
			first_rss=$rss first_fds=$fds
		fi
	done
	judge
	[ $problems = 0 ] || { ctl status; ctl explain; ctl history; cat "$loop_dir/daemon.log"; }
	loop_daemon_stop
	rc=$?
	[ $rc = 0 ] || problem "cpubalanced ended with status $rc"
	same_masks || problem "masks are not the originals"
	if [ $problems = 0 ]; then
		echo "soak: PASS: no plan, no move${first_rss:+, RSS $first_rss -> $rss KiB, descriptors $first_fds -> $fds}"
	else
		echo "soak: FAIL: $problems problems"
	fi
	[ $problems = 0 ]
}

if [ "${1:-}" = --inside ]; then
	run
	exit
fi
case $SOAK_SECONDS in
'' | *[!0-9]*) echo "soak: SOAK_SECONDS=$SOAK_SECONDS is not a number of seconds" >&2; exit 2 ;;
esac
if [ "$(id -u)" != 0 ]; then
	echo "soak: needs root: sudo make soak" >&2
	exit 1
fi
if ! loop_pick_cpus; then
	echo "soak: this machine offers one CPU only: there is nothing to balance"
	exit 0
fi
echo "soak: first an hour of virtual time"
said=$("$CB_BUILD/tests/unit/test_hour" 2>&1) || { printf '%s\n' "$said" "soak: FAIL: something grows"; exit 1; }
sed -n 's/^# /  /p' <<<"$said"
export loop_a loop_b
loop_session "$0" --inside
