# shellcheck shell=bash disable=SC2119,SC2120,SC2154
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# pinned.bash - on top of cases.bash: two workers that are pinned to CPU A, a daemon that does in seconds what takes minutes otherwise,
# and what is seen of them. The workers' pids are in ${w[0]} and ${w[1]}.

# shellcheck source=tests/testlib/cases.bash
. tests/testlib/cases.bash

w=()

stage_needs() {
	skip="only one CPU may be used here"
	loop_pick_cpus && export loop_a loop_b
}
show_stage() { [ -z "$loop_daemon" ] || { ctl status; ctl plan; ctl history; ctl changes; }; }

# policy WINDOWS MAX - a configuration that does in seconds what the default does in a minute
policy() {
	cat >"$loop_dir/test.conf" <<-END
		[Manager]
		SampleIntervalSec=250ms
		[Detect]
		HotHarmSec=1s
		SmoothSec=1s
		[Plan]
		QuietStartSec=0s
		CooldownSec=2s
		MovesPerHour=100
		[Verify]
		SettleSec=500ms
		VerifyWindows=$1
		VerifyWindowsMax=$2
		RollbacksPerHour=100
	END
}

daemon() { must loop_daemon_start "$loop_dir/test.conf" "$@"; }

# Two workers on CPU A, registered as group web; their pids are ${w[0]} and ${w[1]}.
idle_workers() {
	must loop_rpserv web --port 8080 --workers 2 --cpus "$loop_a" "$@" || return 1
	mapfile -t w <"$loop_dir/web.pid"
	must loop_all_on "$loop_a" "${w[@]}"
}

# fresh [WINDOWS]
fresh() {
	policy "${1:-6}" "${1:-6}"
	idle_workers && daemon && must quietly ctl register web "${w[@]}"
}

# name_of PID - "web/0"
name_of() { json_in "$(json_row "$(ctl --json workers | json_flat)" "" "PID=$1")" Name; }

# place PID - an operator moves this worker to CPU B; returns once it is there
place() {
	must loop_try 10 has_name "$1" && must quietly ctl move "$(name_of "$1")" "$loop_b" &&
		must loop_try 15 loop_all_on "$loop_b" "$1"
}
has_name() { [ -n "$(name_of "$1")" ]; }

changes() { ctl --json changes | json_flat; }
n_changes() { json_rows "$(changes)" "" | grep -c Name=; }
lists_change() { [ "$(n_changes)" -gt 0 ]; }
lists_none() { [ "$(n_changes)" = 0 ]; }

verdict_of() { json_in "$(json_row "$(ctl --json history | json_flat)" "" "Plan=$1")" Verdict; }
sentence_of() { json_in "$(json_row "$(ctl --json history | json_flat)" "" "Plan=$1")" Sentence; }
has_verdict() { [ "$(verdict_of "$1")" = "$2" ]; }
any_kept() { kept=$(json_in "$(json_row "$(ctl --json history | json_flat)" "" Verdict=kept)" Plan) && [ -n "$kept" ]; }
plan_now() { json_of "$(ctl --json status | json_flat)" Manager.PlanId; }

# back PID... - all threads have the original mask again
back() {
	loop_try 10 loop_all_on "$loop_a" "$@" && return
	say "still not on CPU $loop_a: $(loop_masks "$@" | tr '\n' ';')"
	return 1
}

kill_daemon() {
	kill -KILL "$loop_daemon"
	wait "$loop_daemon" 2>/dev/null
	loop_daemon=
}

restore() { "$CB_BUILD/cpubalanced" --restore --run-dir="$loop_dir/run" 2>&1 | sed "s/^/#   /"; return "${PIPESTATUS[0]}"; }
