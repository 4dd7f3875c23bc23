#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# test_verdict.sh - verdicts on real processes under real load: a move that hurts is undone soon and left alone; a load
# that stops, steps at another moment, or drifts is not judged. Moves are an administrator's, so that each case has one at a known
# moment: it goes through the same door. Nothing is asserted of seconds; ticks of the daemon are counted.
# shellcheck disable=SC2119 # functions that are called without their arguments
set -u

cd "${CB_SRC:-$(dirname "$0")/../..}" || exit 1
# shellcheck source=tests/testlib/pinned.bash
. tests/testlib/pinned.bash

CASES=(
	"a_move_that_hurts_is_undone_within_40_ticks_and_left_alone"
	"a_load_that_stops_is_void"
	"a_load_that_steps_at_another_moment_is_void"
	"a_load_that_drifts_is_void"
	"other_programs_that_end_with_the_move_make_it_void"
)
TICKS_MAX=40

ticks() { ctl metrics | awk '$1 == "cpubalance_ticks_total" { print $2 }'; }
ticked() { [ "$(ticks)" -ge "$1" ]; }
ticks_more() { loop_try 60 ticked $(($(ticks) + $1)); }

# serve OPTION... - the daemon, and two workers on CPU A
serve() { idle_workers "$@" && daemon && must quietly ctl register web "${w[@]}" --allowed-cpus="$loop_a,$loop_b"; }

# order PID - to CPU B; the number of its plan is in $plan
order() {
	must loop_try 10 has_name "$1" && must quietly ctl move "$(name_of "$1")" "$loop_b" || return 1
	must loop_try 20 loop_all_on "$loop_b" "$1" || return 1
	plan=$(plan_now)
}
has_any_verdict() { [ -n "$(verdict_of "$1")" ]; }

# judged WANTED - what the plan has come to
judged() {
	must loop_try 60 has_any_verdict "$plan" || return 1
	say "plan $plan: $(sentence_of "$plan")"
	must has_verdict "$plan" "$1"
}

quarantined() { [ -n "$(json_in "$(json_row "$(ctl --json workers | json_flat)" "" "PID=$1")" QuarantineLeftUSec)" ]; }

# The clients fill CPU B: there, a worker takes from them what it gives. Where other programs disturb that so much that nothing can be
# said, it is tried again; that it has helped is never said.
a_move_that_hurts_is_undone_within_40_ticks_and_left_alone() {
	local plan before last try
	policy 10 24
	printf '[Detect]\nHotNoHarmSec=1s\n' >>"$loop_dir/test.conf"
	serve --burn-usec 20 || return 1
	loop_load web --port 8080 --cpus "$loop_b" --connections 64 --burn-usec 22 --seconds 200
	for try in 1 2 3; do
		ticks_more 16 || return 1
		order "${w[0]}" || return 1
		before=$(ticks)
		must loop_try 60 has_any_verdict "$plan" || return 1
		say "try $try: plan $plan after $(($(ticks) - before)) ticks: $(sentence_of "$plan")"
		has_verdict "$plan" rolled_back && break
		! has_verdict "$plan" kept || { say "failed: a move that hurts was kept"; return 1; }
		quietly ctl rollback "$plan" # what cannot be judged stays, by order
		[ $try = 3 ] && { skip="other programs disturb the load too much here"; return 0; }
	done
	must [ $(($(ticks) - before)) -le $((TICKS_MAX + 4)) ] && must back "${w[@]}" && must lists_none && must quarantined "${w[0]}" || return 1
	# The daemon by itself: nothing is done with what was just undone, hot as it may be.
	last=$(json_of "$(ctl --json status | json_flat)" Manager.LastPlanId)
	ticks_more 60 && must quarantined "${w[0]}" && must loop_all_on "$loop_a" "${w[0]}" || return 1
	say "plans meanwhile: $last -> $(json_of "$(ctl --json status | json_flat)" Manager.LastPlanId)"
}

a_load_that_stops_is_void() {
	local plan load
	policy 10 20
	serve --burn-usec 20 || return 1
	loop_load web --port 8080 --cpus "$loop_b" --connections 16 --rate 1000 --seconds 100
	load=$loop_pid
	ticks_more 16 && order "${w[0]}" || return 1
	loop_stop "$load"
	judged void
}

a_load_that_steps_at_another_moment_is_void() {
	local plan
	policy 20 20
	serve --burn-usec 20 || return 1
	loop_load web --port 8080 --cpus "$loop_b" --connections 16 --rate 600 --seconds 100
	ticks_more 26 && order "${w[0]}" && ticks_more 12 || return 1
	loop_load step --port 8080 --cpus "$loop_b" --connections 16 --rate 1800 --seconds 60
	judged void
}

# One more client every second or so, before the move and after it.
a_load_that_drifts_is_void() {
	local plan climber
	policy 16 16
	serve --burn-usec 20 || return 1
	loop_load web --port 8080 --cpus "$loop_b" --connections 8 --rate 400 --seconds 100
	climb &
	climber=$!
	ticks_more 24 && order "${w[0]}" && judged void
	local rc=$?
	kill "$climber" 2>/dev/null
	wait "$climber" 2>/dev/null
	return $rc
}
climb() {
	local i
	trap 'kill "${loop_pids[@]}" 2>/dev/null; exit' TERM
	loop_pids=()
	for ((i = 0; i < 40; i++)); do
		loop_load "climb$i" --port 8080 --cpus "$loop_b" --connections 2 --rate 120 --seconds 60
		sleep 0.8 &
		wait $!
	done
}

# A batch job has half of both CPUs and ends when the worker comes to CPU B: whatever is served more, nobody knows by whose doing.
other_programs_that_end_with_the_move_make_it_void() {
	local plan job
	policy 10 10
	serve --burn-usec 100 || return 1
	loop_load web --port 8080 --cpus "$loop_b" --connections 16 --seconds 100
	loop_run "$loop_tools/burn" --cpus "$loop_a,$loop_b" --duty 50 --seconds 100 >/dev/null
	job=$loop_pid
	ticks_more 16 && order "${w[0]}" || return 1
	loop_stop "$job"
	judged void && must grep -q "other programs left" <<<"$(sentence_of "$plan")"
}

cases_main "$0" "$@"
