#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# test_findings.sh - what goes wrong with real workers is found, named and, once it is over, forgotten: a worker that is stopped,
# one that is killed, connections on one worker, a storm of context switches. And what is in order is not found.
set -u

cd "${CB_SRC:-$(dirname "$0")/../..}" || exit 1
# shellcheck source=tests/testlib/pinned.bash
. tests/testlib/pinned.bash

CASES=(
	"a_stopped_worker_is_stuck_until_it_goes_on"
	"the_trace_of_that_replays_to_the_same_findings"
	"a_killed_worker_is_gone"
	"a_reload_with_successors_is_in_order"
	"connections_on_one_worker_are_a_skew"
	"tasks_that_wake_each_other_are_a_storm"
)
cases_sharing=1

# --- steps ------------------------------------------------------------------------------------------

# Everything that is found counts after a second or two. Nothing is planned: these cases are about what is seen.
watchful() {
	cat >"$loop_dir/test.conf" <<-END
		[Manager]
		Mode=observe
		SampleIntervalSec=250ms
		[Detect]
		SmoothSec=1s
		BacklogOn=1%
		BacklogOff=0.5%
		BacklogSec=1s
		SkewSec=1s
		StuckSec=2s
		GoneSec=2s
		StormOn=3000
		StormOff=1500
		StormFactor=2
		StormUsualSec=1min
		StormSec=1s
	END
	# in the namespace, where nothing else listens
	loop_net_run nice -n -10 "$CB_BUILD/cpubalanced" --bus="$CB_BUS_ADDRESS" --config="$loop_dir/test.conf" \
		--run-dir="$loop_dir/run" --state-dir="$loop_dir/state" "$@" 2>>"$loop_dir/daemon.log"
	loop_daemon=$loop_pid
	must loop_try 20 loop_daemon_up && must loop_alive "$loop_daemon"
}

findings() { ctl --json status | json_flat; }
found() { row=$(json_row "$(findings)" Findings "Kind=$1" Confirmed=true "${@:2}"); }
over() { ! json_row "$(findings)" Findings "Kind=$1" >/dev/null; }
name_is() { [ "$(json_in "$row" Worker)" = "$(name_of "$1")" ] || { say "failed: $(json_in "$row" Worker) is not pid $1"; return 1; }; }
told() { grep -q "$1: .*" "$loop_dir/daemon.log"; }
never() { ! grep "$1:" "$loop_dir/daemon.log" || { say "failed: a finding that is none"; return 1; }; }
explains() { ctl explain "$1" 2>/dev/null | grep -q "$2"; }

# Two workers, as a group that is found by what it serves.
serving() {
	must loop_rpserv web --port 8080 --workers 2 --cpus "$loop_a" || return 1
	mapfile -t w <"$loop_dir/web.pid"
	watchful "$@" && must quietly ctl register web --listen tcp:8080 && must loop_try 10 have_queues 2
}

# have_queues N - so many workers are seen to serve a queue of their own
have_queues() { [ "$(json_rows "$(ctl --json workers | json_flat)" "" | grep -c Backlog=)" = "$1" ]; }

# --- cases ------------------------------------------------------------------------------------------

is_named_stuck() {
	must loop_try 30 found WORKER_STUCK && must name_is "$1" && must [ "$(json_in "$row" Stopped)" = true ] &&
		must loop_try 20 found BACKLOG && must name_is "$1" && must told WORKER_STUCK &&
		must loop_try 10 explains "$loop_a" "WORKER_STUCK"
}

# The clients' connections gather in the queue of the worker that does not run.
a_stopped_worker_is_stuck_until_it_goes_on() {
	local rc
	serving --record="$loop_dir/trace" || return 1
	loop_load web --port 8080 --cpus "$loop_b" --connections 200 --seconds 120 --new-connection-each
	must loop_try 10 loop_alive "$loop_pid" && never WORKER_STUCK || return 1
	kill -STOP "${w[1]}"
	is_named_stuck "${w[1]}"
	rc=$?
	kill -CONT "${w[1]}"
	[ "$rc" = 0 ] && must loop_try 20 over WORKER_STUCK && must loop_try 30 over BACKLOG && must told "Over: WORKER_STUCK" &&
		must quietly ctl metrics && must grep -q 'cpubalance_findings{kind="WORKER_STUCK"} 0' "$loop_dir/out"
}

the_trace_of_that_replays_to_the_same_findings() {
	# The daemon still writes: a copy of what is there, without a line that is half written.
	sed '$d' "$loop_dir/trace" >"$loop_dir/trace.copy"
	must grep -q '"finding":"WORKER_STUCK"' "$loop_dir/trace.copy" &&
		must quietly "$CB_BUILD/cpubalanced" --replay="$loop_dir/trace.copy"
}

a_killed_worker_is_gone() {
	local name
	serving || return 1
	name=$(name_of "${w[0]}")
	kill -KILL "${w[0]}"
	must loop_try 20 found WORKER_GONE Group=web && must [ "$(json_in "$row" Worker)" = "$name" ] &&
		must [ "$(json_in "$row" WorkersLeft)" = 1 ] || return 1
	# somebody comes in its place
	must loop_rpserv more --port 8080 --workers 1 --cpus "$loop_a" && must loop_try 20 over WORKER_GONE &&
		must told "Over: WORKER_GONE"
}

# The next generation is there before the first one goes.
a_reload_with_successors_is_in_order() {
	serving || return 1
	sleep 2 # who comes with the first is of the same start
	must loop_rpserv more --port 8080 --workers 2 --cpus "$loop_a" && must loop_try 20 have_queues 4 || return 1
	loop_stop "$(ps -o ppid= -p "${w[0]}" | tr -d ' ')"
	must loop_try 20 have_queues 2 || return 1
	sleep 4 # twice GoneSec=
	over WORKER_GONE && never WORKER_GONE
}

# Who comes first gets all connections, and they stay when another comes.
connections_on_one_worker_are_a_skew() {
	local load
	must loop_rpserv web --port 8080 --workers 1 --cpus "$loop_a" || return 1
	mapfile -t w <"$loop_dir/web.pid"
	watchful && must quietly ctl register web --listen tcp:8080 || return 1
	loop_load web --port 8080 --cpus "$loop_b" --connections 300 --seconds 120 --rate 300
	load=$loop_pid
	must loop_try 20 has_fds "${w[0]}" 250 && must loop_rpserv more --port 8080 --workers 1 --cpus "$loop_a" &&
		must loop_try 30 found CONNECTION_SKEW && must name_is "${w[0]}" || return 1
	loop_stop "$load"
	must loop_try 20 over CONNECTION_SKEW
}
has_fds() {
	local open=(/proc/"$1"/fd/*)
	[ ${#open[@]} -ge "$2" ]
}

switches_are_counted() { json_row "$(ctl --json cpus | json_flat)" "" "CPU=$loop_b" | grep -q ContextSwitches; }

# Two tasks on one CPU that wake each other in turns.
tasks_that_wake_each_other_are_a_storm() {
	watchful || return 1
	loop_try 10 switches_are_counted ||
		{ skip="context switches of a CPU cannot be counted here"; return 0; }
	sleep 8 # a tenth of StormUsualSec=, to learn what is usual
	loop_run python3 -c '
import os, sys
os.sched_setaffinity(0, {int(sys.argv[1])})
a, b = os.pipe(), os.pipe()
if os.fork() == 0: # ends with its parent
    os.close(a[1])
    os.close(b[0])
    while os.read(a[0], 1):
        os.write(b[1], b"x")
    os._exit(0)
os.close(a[0])
os.write(a[1], b"x")
while os.read(b[0], 1):
    os.write(a[1], b"x")' "$loop_b"
	must loop_try 60 found CONTEXT_SWITCH_STORM "CPU=$loop_b" && must told CONTEXT_SWITCH_STORM || return 1
	loop_stop "$loop_pid"
	must loop_try 30 over CONTEXT_SWITCH_STORM
}

cases_main "$0" "$@"
