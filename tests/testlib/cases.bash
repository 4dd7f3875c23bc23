# shellcheck shell=bash disable=SC2119,SC2120,SC2154
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# cases.bash - what the system tests in shell share on top of loop.bash: the steps of a case, and running CASES as TAP.
# A case is a function of that name; it says what went wrong, or sets $skip. The workers' pids are in ${w[0]} and ${w[1]}.

# The first cases, up to this number, leave everything running for the next one.
cases_sharing=${cases_sharing:-0}

# --- steps ------------------------------------------------------------------------------------------

say() { echo "# $*"; }

# must CMD... - a step of a case; says which one failed
must() {
	"$@" && return
	say "failed: $*"
	return 1
}

quietly() { "$@" >"$loop_dir/out" 2>&1 || { sed 's/^/#   /' "$loop_dir/out"; return 1; }; }

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

# clear_stage - after each case
clear_stage() {
	[ -n "$loop_daemon" ] && loop_daemon_stop
	loop_stop_all "$loop_net"
	# A case may have put a file system there, in a mount namespace of its own.
	mountpoint -q "$loop_dir/run" && umount -l "$loop_dir/run"
	rm -rf "$loop_dir/run" "$loop_dir/state" "$loop_dir"/*.pid
}

# --- run --------------------------------------------------------------------------------------------

run_cases() {
	local i name keep w=() skip
	trap 'trap "" INT TERM HUP; loop_end' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	loop_begin || exit 1
	if ! loop_net_start; then
		echo "1..0 # SKIP no network namespace can be made here"
		exit 0
	fi
	echo "1..${#CASES[@]}"
	for ((i = 0; i < ${#CASES[@]}; i++)); do
		name=${CASES[i]}
		: >"$loop_dir/daemon.log"
		keep=$([ "$i" -lt "$cases_sharing" ] && echo yes)
		skip=
		if "$name"; then
			echo "ok $((i + 1)) - $name${skip:+ # SKIP $skip}"
		else
			[ -n "$loop_daemon" ] && { ctl status; ctl plan; ctl history; ctl changes; } 2>&1 | sed 's/^/#   /'
			sed 's/^/# daemon: /' "$loop_dir/daemon.log"
			echo "not ok $((i + 1)) - $name"
		fi
		[ -n "$keep" ] || clear_stage
	done
}

# cases_main SCRIPT ARG... - the rest of a test script: SCRIPT again, on a private bus, with the cases named, or all of CASES.
cases_main() {
	local script=$1
	shift
	if [ "${1:-}" = --inside ]; then
		shift
		[ $# -eq 0 ] || CASES=("$@")
		run_cases
		exit
	fi
	if [ "$(id -u)" != 0 ]; then
		echo "1..0 # SKIP needs root, to move threads of other processes"
		exit 0
	fi
	if ! loop_pick_cpus; then
		echo "1..0 # SKIP only one CPU may be used here"
		exit 0
	fi
	export loop_a loop_b
	loop_session "$script" --inside "$@"
}
