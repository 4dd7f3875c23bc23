#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# test_loop.sh - the whole loop on real processes: daemon, tool, private bus, real workers, real masks.
# Whatever happens to the daemon and to the workers, every thread ends with its true original mask.
# No figure of time or throughput is asserted; everything is waited for with a limit.
set -u

cd "${CB_SRC:-$(dirname "$0")/../..}" || exit 1
# shellcheck source=tests/testlib/pinned.bash
. tests/testlib/pinned.bash

CASES=(
	"a_hot_core_is_found_mended_and_kept"
	"the_trace_of_that_replays_to_the_same_decisions"
	"rollback_undoes_a_kept_plan"
	"an_ordered_move_is_undone_by_rollback"
	"release_puts_back"
	"unregister_puts_back"
	"a_stop_puts_back"
	"restore_after_kill_puts_back"
	"a_restart_adopts_and_release_puts_back"
	"who_comes_in_anothers_stead_gets_its_place"
	"a_start_after_a_crash_undoes_what_nobody_has_judged"
	"workers_that_change_shape_end_with_the_original_on_release"
	"workers_that_change_shape_end_with_the_original_on_restore"
	"somebody_elses_mask_is_left_alone"
	"nothing_registered_nothing_written"
	"nothing_is_left"
)

# --- cases: the loop --------------------------------------------------------------------------------

# One run for three cases, and the only one with load. Another load may make a verdict void or
# inconclusive; then the finding stands, and a later plan has to be kept. Where other programs keep CPU B
# full all the time, SATURATED and no move is the right answer; then there is nothing to see here, which is said.
a_hot_core_is_found_mended_and_kept() {
	policy 10 30
	idle_workers --burn-usec 205 && daemon --record="$loop_dir/trace" &&
		must quietly ctl register web "${w[@]}" --allowed-cpus="$loop_a,$loop_b" || return 1
	loop_load web --port 8080 --cpus "$loop_b" --connections 64 --seconds 120
	if ! loop_try 80 any_kept; then
		nothing_to_gain && { skip="other programs fill CPU $loop_b: saturated, and nothing was moved"; return 0; }
		say "failed: no plan was kept"
		return 1
	fi
	must lists_change && ! loop_all_on "$loop_a" "${w[@]}"
}
nothing_to_gain() {
	local now
	now=$(ctl --json status | json_flat)
	json_row "$now" Findings Kind=SATURATED "CPU=$loop_a" Confirmed=true >/dev/null && lists_none &&
		loop_all_on "$loop_a" "${w[@]}"
}

rollback_undoes_a_kept_plan() {
	[ -n "$kept" ] || { skip="no plan was kept before"; return 0; }
	must quietly ctl pause && must quietly ctl rollback "$kept" && must back "${w[@]}" && must loop_try 10 lists_none
}

the_trace_of_that_replays_to_the_same_decisions() {
	# The daemon still writes: a copy of what is there, without a line that is half written.
	sed '$d' "$loop_dir/trace" >"$loop_dir/trace.copy"
	[ -z "$kept" ] || must grep -q '"out":"apply"' "$loop_dir/trace.copy" || return 1
	must quietly "$CB_BUILD/cpubalanced" --replay="$loop_dir/trace.copy"
}

an_ordered_move_is_undone_by_rollback() {
	local plan
	fresh && place "${w[0]}" || return 1
	plan=$(plan_now)
	[ "$plan" != 0 ] || plan=$(json_of "$(ctl --json status | json_flat)" Manager.LastPlanId)
	must loop_all_on "$loop_a" "${w[1]}" && must quietly ctl rollback "$plan" && must back "${w[@]}" &&
		must loop_try 10 has_verdict "$plan" rolled_back && must lists_none
}

# --- cases: every way out ----------------------------------------------------------------------------

release_puts_back() {
	fresh && place "${w[0]}" && must lists_change && must quietly ctl release --all --pause &&
		must back "${w[@]}" && must lists_none
}

unregister_puts_back() {
	fresh && place "${w[1]}" && must quietly ctl unregister web && must back "${w[@]}" && must lists_none
}

a_stop_puts_back() {
	fresh && place "${w[0]}" && must loop_daemon_stop && must back "${w[@]}"
}

restore_after_kill_puts_back() {
	fresh && place "${w[0]}" || return 1
	kill_daemon
	must loop_all_on "$loop_b" "${w[0]}" && must restore && must back "${w[@]}"
}

no_plan() { [ "$(plan_now)" = 0 ]; }

# What an operator has ordered stays without a gain, once that was looked at.
a_restart_adopts_and_release_puts_back() {
	fresh && place "${w[0]}" && must loop_try 40 no_plan && must loop_all_on "$loop_b" "${w[0]}" || return 1
	kill_daemon
	daemon && must loop_try 10 lists_change && must loop_try 10 has_name "${w[0]}" &&
		must loop_all_on "$loop_b" "${w[0]}" && must quietly ctl release --all && must back "${w[@]}" && must lists_none
}

# The worker ends, and its service starts another one, pinned as that was at first.
who_comes_in_anothers_stead_gets_its_place() {
	fresh && place "${w[0]}" && must loop_try 40 no_plan && must loop_all_on "$loop_b" "${w[0]}" || return 1
	kill -KILL "${w[0]}"
	loop_run taskset -c "$loop_a" sleep 600
	must loop_try 10 loop_all_on "$loop_a" "$loop_pid" && must quietly ctl register web "$loop_pid" &&
		must loop_try 15 loop_all_on "$loop_b" "$loop_pid" && must loop_all_on "$loop_a" "${w[1]}" &&
		must lists_change && must quietly ctl release --all && must back "$loop_pid" "${w[1]}" && must lists_none
}

# The daemon dies while the plan waits for its verdict: the next one finds it on trial.
a_start_after_a_crash_undoes_what_nobody_has_judged() {
	local plan
	policy 24 24
	idle_workers && daemon && must quietly ctl register web "${w[@]}" && place "${w[0]}" || return 1
	plan=$(plan_now)
	kill_daemon
	must loop_all_on "$loop_b" "${w[0]}" && daemon && must back "${w[@]}" && must lists_none &&
		must has_verdict "$plan" rolled_back
}

# --- cases: real process trees --------------------------------------------------------------------------

executed_anew() { tr '\0' ' ' <"/proc/$1/cmdline" | grep -q -- --resume; }
has_threads() { [ "$(find "/proc/$1/task" -mindepth 1 -maxdepth 1 | wc -l)" = "$2" ]; }
other_first_pid() { read -r heir <"$loop_dir/web.pid" && [ "$heir" != "$1" ] && kill -0 "$heir" 2>/dev/null; }

# After the placement, worker 0 executes itself anew, starts a thread and forks its successor; worker 1 starts a thread.
change_shape() {
	fresh && place "${w[0]}" || return 1
	kill -USR1 "${w[0]}"
	must loop_try 10 executed_anew "${w[0]}" || return 1
	kill -HUP "${w[0]}" "${w[1]}"
	must loop_try 10 has_threads "${w[0]}" 2 && must loop_try 10 has_threads "${w[1]}" 2 || return 1
	kill -USR2 "${w[0]}"
	must loop_try 10 other_first_pid "${w[0]}" && must loop_try 10 has_threads "$heir" 2 &&
		must loop_all_on "$loop_b" "$heir"
}

workers_that_change_shape_end_with_the_original_on_release() {
	change_shape && must quietly ctl release --all && must back "$heir" "${w[1]}" && must loop_try 10 lists_none
}

# The journal has to know the successor: the daemon writes that down at its next tick. One that dies before, just
# when a worker has forked and ended, leaves no proof of whose child that orphan is, and strangers are not touched.
workers_that_change_shape_end_with_the_original_on_restore() {
	change_shape && must loop_try 10 lists_heir || return 1
	kill_daemon
	must restore && must back "$heir" "${w[1]}"
}

# --- cases: restraint -----------------------------------------------------------------------------------

lists_heir() { json_row "$(changes)" "" "TID=$heir" >/dev/null; }

is_foreign() { [ "$(json_in "$(json_row "$(ctl --json workers | json_flat)" "" "PID=$1")" Foreign)" = true ]; }

somebody_elses_mask_is_left_alone() {
	fresh && place "${w[0]}" || return 1
	quietly taskset -a -c -p "$loop_a,$loop_b" "${w[0]}"
	must loop_try 10 is_foreign "${w[0]}" && must loop_daemon_stop &&
		must loop_all_on "$(taskset_list)" "${w[0]}"
}
# How the kernel writes a mask of A and B
# shellcheck disable=SC2016 # awk expands it
taskset_list() { taskset -c "$loop_a,$loop_b" awk '/^Cpus_allowed_list:/ { print $2 }' /proc/self/status; }

nothing_registered_nothing_written() {
	policy 6 6
	idle_workers && daemon && must loop_try 10 sampled && must quietly ctl status && must lists_none &&
		must loop_all_on "$loop_a" "${w[@]}" && must loop_daemon_stop && must loop_all_on "$loop_a" "${w[@]}" &&
		must no_records
}
sampled() { [ "$(json_of "$(ctl --json status | json_flat)" Manager.TickUSec)" != 0 ]; }
no_records() { ! grep -q tid= "$loop_dir/run/journal" 2>/dev/null; }

# A stop after everything was put back leaves a journal without entries: an offline restore has nothing to do.
nothing_is_left() {
	fresh && place "${w[0]}" && must quietly ctl release --all && must back "${w[@]}" && must loop_daemon_stop &&
		must restore && must loop_all_on "$loop_a" "${w[@]}"
}

# The first three share one run of the loop.
cases_sharing=2
kept='' heir=''
cases_main "$0" "$@"
