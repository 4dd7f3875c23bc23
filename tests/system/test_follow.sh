#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# test_follow.sh - groups are followed: new workers within two ticks, counted in what the daemon has recorded, with the kernel's news of
# forks and without them; cgroups of both versions; what waits at UDP sockets; ten thousand connections; and clear words where rights are
# missing. Real servers, in a network namespace of their own.
set -u

cd "${CB_SRC:-$(dirname "$0")/../..}" || exit 1
# shellcheck source=tests/testlib/servers.bash
. tests/testlib/servers.bash

CASES=(
	"new_workers_of_nginx_within_two_ticks"
	"a_respawned_worker_within_two_ticks"
	"without_the_connector_within_two_ticks"
	"who_serves_late_is_found_soon"
	"a_cgroup_of_version_2"
	"a_cgroup_of_version_1"
	"a_cgroup_that_nobody_is_in"
	"datagrams_that_wait"
	"ten_thousand_connections"
	"a_daemon_that_may_not_look"
	"a_daemon_that_is_nobody"
	"a_tool_that_is_nobody"
)

# --- ticks ----------------------------------------------------------------------------------------------

# fresh_recorded - at the interval of a default configuration, with a trace
fresh_recorded() {
	daemon_options=("--record=$loop_dir/trace")
	rm -f "$loop_dir/trace"
	printf '[Manager]\nMode=observe\n' >"$loop_dir/test.conf"
	daemon "$@"
}

# within MOST PID... - in so many ticks at most each of these has become a worker
within() {
	local most=$1 pid ticks
	shift
	tests/tools/pickup.py "$loop_dir/trace" "$@" >"$loop_dir/ticks"
	while read -r pid ticks; do
		say "pid $pid: $ticks ticks"
		if [ "$ticks" = never ] || [ "$ticks" -gt "$most" ]; then
			say "failed: more than $most"
			return 1
		fi
	done <"$loop_dir/ticks"
	[ "$(wc -l <"$loop_dir/ticks")" = $# ]
}

# shellcheck disable=SC2046 # pids
new_workers_of_nginx_within_two_ticks() {
	have nginx || return 0
	local before
	start_nginx 8443 && fresh_recorded && must quietly ctl register web --listen tcp:8443 || return 1
	before=$(children "$master")
	kill -HUP "$master"
	must loop_try 10 is_replaced "$before" && must loop_try 20 are_workers web "$(children "$master")" &&
		within 2 $(children "$master") || return 1
	before=$(children "$master")
	kill -KILL "${before%% *}"
	must loop_try 10 is_replaced_by_4 "$before" && must loop_try 20 are_workers web "$(children "$master")" &&
		within 2 $(children "$master")
}

# shellcheck disable=SC2046 # pids
a_respawned_worker_within_two_ticks() {
	start_python 8445 3 epoll && fresh_recorded && must quietly ctl register py --listen tcp:8445 || return 1
	replace_one && must loop_try 20 are_workers py "$(children "$parent")" && within 2 $(children "$parent")
}
replace_one() {
	before=$(children "$parent")
	kill -USR1 "$parent"
	must loop_try 10 is_another
}
is_another() { [ "$(children "$parent")" != "$before" ] && n_children "$parent" "$(wc -w <<<"$before")"; }

# In a namespace of pids the kernel tells of no forks: who was not there in the tick before is new.
# shellcheck disable=SC2046 # pids
without_the_connector_within_two_ticks() {
	# shellcheck disable=SC2016 # expanded by that shell
	fresh_recorded unshare --pid --fork --kill-child --mount-proc sh -c 'tests/tools/pyserver.py 8445 2 epoll & exec "$@"' sh &&
		must loop_try 10 listening 8445 2 && must loop_try 10 quietly ctl register py --listen tcp:8445 || return 1
	# The parent is the daemon's child there.
	parent=$(pgrep -P "$(pgrep -P "$loop_daemon")")
	replace_one && must loop_try 20 have_workers py 2 && within 2 $(children "$parent")
}
have_workers() { [ "$(pids_of "$1" | wc -w)" = "$2" ]; }

# It holds the socket from its first moment on and serves it after three seconds: looked at ever less often, but not only once a minute.
who_serves_late_is_found_soon() {
	loop_net_run tests/tools/pyserver.py 8445 2 late
	parent=$loop_pid
	must loop_try 10 n_children "$parent" 2 && fresh_recorded && must loop_try 10 quietly ctl register py --listen tcp:8445 || return 1
	must loop_try 20 are_workers py "$(children "$parent")" && replace_one || return 1
	must loop_try 30 are_workers py "$(children "$parent")" && within 9 "$(newest "$(children "$parent")")"
}
newest() { tr ' ' '\n' <<<"$1" | sort -n | tail -n 1; }

# --- cgroups --------------------------------------------------------------------------------------------

# cgroup_root TYPE OPTION - where such a hierarchy is mounted
cgroup_root() {
	awk -v type="$1" -v option="$2" '$3 == type && (option == "" || index("," $4 ",", "," option ",")) { print $2; exit }' /proc/mounts
}

# In a cgroup by its name; who is elsewhere is not meant, though it serves the same port.
# shellcheck disable=SC2086 # pids
in_cgroup() {
	local root=$1 name=cpubalance-test-$$ pids one rc
	[ -n "$root" ] || { skip="no such hierarchy is mounted here"; return 0; }
	mkdir "$root/$name" 2>/dev/null || { skip="no cgroup can be made in $root"; return 0; }
	mkdir "$root/$name-other"
	follow_cgroup "$root" "$name"
	rc=$?
	for pids in "$parent" $(children "$parent"); do
		echo "$pids" >"$root/cgroup.procs" 2>/dev/null
	done
	loop_stop_all "$loop_net"
	loop_daemon=
	loop_try 10 rmdir "$root/$name" 2>/dev/null && rmdir "$root/$name-other" || rc=1
	return $rc
}
follow_cgroup() {
	local root=$1 name=$2 one other
	start_python 8445 3 epoll || return 1
	read -r one other _ <<<"$(children "$parent")"
	echo "$one" >"$root/$name/cgroup.procs" && echo "$other" >"$root/$name-other/cgroup.procs" || return 1
	fresh && must quietly ctl register one --cgroup "/$name" && must are_workers one "$one" &&
		must quietly ctl register both --cgroup "/$name-other" --listen tcp:8445 && must are_workers both "$other" || return 1
	# Who is born there is of it.
	must quietly ctl unregister both && must quietly ctl unregister one || return 1
	echo "$parent" >"$root/$name/cgroup.procs"
	must quietly ctl register one --cgroup "/$name" && replace_one && must loop_try 10 are_workers one "$(in_it "$root/$name")"
}
# in_it DIR - the servers there, not their parent
in_it() { grep -vx "$parent" "$1/cgroup.procs" | sort -n | paste -sd' '; }

a_cgroup_of_version_2() { in_cgroup "$(cgroup_root cgroup2 '')"; }
# One that accounts and limits nothing, where there is a choice.
a_cgroup_of_version_1() {
	local root
	root=$(cgroup_root cgroup name=systemd)
	in_cgroup "${root:-$(cgroup_root cgroup pids)}"
}

a_cgroup_that_nobody_is_in() {
	local code
	fresh "$(printf '[Group waits]\nCgroup=/cpubalance-nobody\n')" || return 1
	must loop_try 10 notes waits "no process is Cgroup=/cpubalance-nobody" || return 1
	ctl register none --cgroup /cpubalance-nobody >"$loop_dir/out" 2>&1
	code=$?
	must [ $code = 5 ] && must grep -q "no process is Cgroup=/cpubalance-nobody" "$loop_dir/out"
}

# --- UDP ------------------------------------------------------------------------------------------------

# send N - datagrams from as many ports, so that every socket gets some
send() {
	nsenter --net --target "$loop_net" python3 -c '
import socket, sys
for _ in range(int(sys.argv[1])):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.sendto(b"x" * 200, ("127.0.0.1", 8448))' "$1"
}
# queue_of PID KEY
queue_of() { json_in "$(json_row "$(ctl --json workers dns | json_flat)" "" "PID=$1")" "$2"; }
group_of() { json_in "$(json_row "$(ctl --json groups | json_flat)" "" Name=dns)" "$1"; }
# What the kernel shows of the socket that this process has
ss_queue_of() { nsenter --net --target "$loop_net" ss -Hunap 'sport = :8448' | grep "pid=$1," | awk '{ print $2 }'; }
queue_agrees() { [ -n "$(ss_queue_of "$1")" ] && [ "$(queue_of "$1" QueuedBytes)" = "$(ss_queue_of "$1")" ]; }
above() { [ "$(queue_of "$1" QueuedBytes)" -gt 0 ] 2>/dev/null; }
empty() { [ "$(queue_of "$1" QueuedBytes)" = 0 ]; }
lags() { json_row "$(ctl --json status | json_flat)" Findings Kind=BACKLOG Confirmed=true "Worker=$1" >"$loop_dir/row"; }
not_lagging() { ! json_row "$(ctl --json status | json_flat)" Findings Kind=BACKLOG >/dev/null; }
drops() { ctl metrics | awk '/^cpubalance_group_drops_per_second{group="dns"}/ && $2 > 0 { found = 1 } END { exit !found }'; }

# One of two workers is stopped: what is sent to it waits, and what does not fit is lost.
datagrams_that_wait() {
	local a b
	start_python 8448 2 udp && fresh "$(printf 'MetricsDetail=full\n[Detect]\nBacklogOn=20%%\nBacklogOff=10%%\nBacklogSec=1s\nSmoothSec=1s\n')" &&
		must quietly ctl register dns --listen udp:8448 || return 1
	read -r a b <<<"$(children "$parent")"
	must loop_try 10 empty "$a" && must loop_try 10 empty "$b" || return 1
	kill -STOP "$b"
	send 200
	must loop_try 10 above "$b" && must loop_try 10 queue_agrees "$b" && must empty "$a" &&
		must [ "$(group_of QueuedBytes)" = "$(ss_queue_of "$b")" ] &&
		must [ "$(group_of QueuedMaxBytes)" -ge $(($(queue_of "$b" QueuedMaxBytes) * 2)) ] || return 1
	ctl explain "$(queue_of "$b" CPU)" >"$loop_dir/out" && must grep -q '[1-9][0-9]*/[1-9][0-9]* KiB' "$loop_dir/out" || return 1
	ctl groups >"$loop_dir/out" && must grep -q KiB "$loop_dir/out" && ctl metrics >"$loop_dir/out" &&
		must grep -q '^cpubalance_worker_udp_queue_bytes{group="dns",worker="[01]"} [1-9]' "$loop_dir/out" &&
		must grep -q '^cpubalance_group_udp_queue_bytes{group="dns"} [1-9]' "$loop_dir/out" || return 1
	must loop_try 10 lags "$(json_in "$(json_row "$(ctl --json workers dns | json_flat)" "" "PID=$b")" Name)" &&
		must grep -q "datagrams fill" "$loop_dir/row" || return 1
	send 4000 &
	must loop_try 20 drops
	local rc=$?
	wait $!
	kill -CONT "$b"
	[ $rc = 0 ] && must loop_try 10 empty "$b" && must loop_try 20 not_lagging
}

# --- many connections -------------------------------------------------------------------------------------

# What each worker has accepted, by its own word, and by the daemon's
counts_of_servers() {
	: >"$loop_dir/counts"
	# shellcheck disable=SC2046 # pids
	kill -USR2 $(children "$parent")
	loop_try 5 told 4 && sort -n "$loop_dir/counts"
}
told() { [ "$(wc -l <"$loop_dir/counts")" = "$1" ]; }
counts_of_daemon() {
	ctl --json connections py | json_flat | awk -F= '/\.PID=/ { pid = $2 } /\.Connections=/ { print pid, $2 }' | sort -n
}
same_counts() {
	local servers
	servers=$(counts_of_servers)
	[ "$(awk '{ sum += $2 } END { print sum }' <<<"$servers")" = "$1" ] && [ "$(counts_of_daemon)" = "$servers" ]
}

ten_thousand_connections() {
	[ "$(ulimit -Hn)" = unlimited ] || [ "$(ulimit -Hn)" -ge 12000 ] || { skip="at most $(ulimit -Hn) descriptors here"; return 0; }
	ulimit -n 12000
	loop_net_run tests/tools/pyserver.py 8445 4 epoll >>"$loop_dir/counts"
	parent=$loop_pid
	must loop_try 10 listening 8445 4 && fresh && must quietly ctl register py --listen tcp:8445 || return 1
	loop_net_run python3 -c '
import socket, time
kept = [socket.create_connection(("127.0.0.1", 8445)) for _ in range(10000)]
print("connected", flush=True)
time.sleep(600)' >"$loop_dir/clients"
	must loop_try 60 grep -q connected "$loop_dir/clients" && must loop_try 20 same_counts 10000 && counts_of_daemon | sed 's/^/# /'
}

# --- rights -----------------------------------------------------------------------------------------------

# refused_for_rights - a registration by what is served ends with words that name the right; and so does a group that waits
refused_for_rights() {
	local code
	ctl register py --listen tcp:8445 >"$loop_dir/out" 2>&1
	code=$?
	must [ $code != 0 ] && must grep -q "CAP_SYS_PTRACE is missing" "$loop_dir/out" &&
		must loop_try 10 notes waits "CAP_SYS_PTRACE is missing" || return 1
	ctl groups >"$loop_dir/out" 2>&1
	must grep -q "CAP_SYS_PTRACE" "$loop_dir/out" && ctl discover >"$loop_dir/out" 2>&1 &&
		must grep -q "CAP_SYS_PTRACE" "$loop_dir/out"
}
waiting() { configuration "$(printf '[Group waits]\nListen=tcp:8445\n')"; }

a_daemon_that_may_not_look() {
	start_python 8445 2 epoll && waiting && daemon setpriv --bounding-set -sys_ptrace || return 1
	refused_for_rights
}

a_daemon_that_is_nobody() {
	start_python 8445 2 epoll && waiting || return 1
	mkdir -p "$loop_dir/run" "$loop_dir/state" && chown nobody "$loop_dir/run" "$loop_dir/state" && chmod 700 "$loop_dir/run" || return 1
	daemon setpriv --reuid nobody --regid nogroup --clear-groups || return 1
	refused_for_rights
}

a_tool_that_is_nobody() {
	local code
	start_python 8445 2 epoll && fresh || return 1
	setpriv --reuid nobody --regid nogroup --clear-groups "$CB_BUILD/cpubalctl" --bus="$CB_BUS_ADDRESS" \
		register py --listen tcp:8445 >"$loop_dir/out" 2>&1
	code=$?
	must [ $code = 4 ] && must test -s "$loop_dir/out" && must [ -z "$(json_row "$(ctl --json groups | json_flat)" "" Name=py)" ]
}

# --- run ------------------------------------------------------------------------------------------------

# Somebody else has to get to the bus and to the files: what the runner of tests gives is root's alone.
export TMPDIR=/tmp
cases_main "$0" "$@"
