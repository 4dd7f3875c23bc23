#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# test_discover.sh - real, unmodified servers, found by their port alone: nginx, HAProxy, Python in several ways. The daemon
# and the servers are in a network namespace of their own, so that ports are free; another one stands for a container.
# No figure of time is asserted; everything is waited for with a limit.
set -u

cd "${CB_SRC:-$(dirname "$0")/../..}" || exit 1
# shellcheck source=tests/testlib/servers.bash
. tests/testlib/servers.bash

CASES=(
	"nginx_by_its_port_and_after_a_reload"
	"nginx_by_its_pid_file_and_port"
	"nginx_replaced_by_a_new_program"
	"haproxy_thread_by_thread"
	"haproxy_as_one_floating_process"
	"haproxy_after_a_reload"
	"python_with_epoll_and_a_worker_replaced"
	"python_that_blocks_in_accept"
	"python_that_polls_is_a_guess"
	"udp_by_its_port"
	"a_process_by_name_and_cgroup"
	"another_network_namespace"
	"connections_are_counted_as_they_are"
	"without_the_connector"
	"what_matches_nothing_is_refused"
	"two_groups_that_claim_a_worker"
	"a_group_in_the_configuration_waits_for_its_server"
	"a_registration_outlives_the_daemon"
	"a_go_server"
)

# --- nginx ----------------------------------------------------------------------------------------------

nginx_by_its_port_and_after_a_reload() {
	have nginx || return 0
	local before after
	start_nginx 8443 && fresh || return 1
	before=$(children "$master")
	must loop_try 10 discovers tcp:127.0.0.1:8443 "$before" &&
		must quietly ctl register web --listen tcp:8443 && must are_workers web "$before" && load_nginx || return 1
	kill -HUP "$master"
	must loop_try 10 is_replaced "$before" || return 1
	after=$(children "$master")
	must loop_try 10 are_workers web "$after" && must loop_try 10 discovers tcp:127.0.0.1:8443 "$after" || return 1
	# A worker that crashes is replaced.
	kill -KILL "${after%% *}"
	must loop_try 10 is_replaced_by_4 "$after" && must loop_try 10 are_workers web "$(children "$master")" &&
		must loop_alive "$load"
}
# Under load, a reload leaves old workers behind that finish what they have.
load_nginx() {
	loop_load nginx --port 8443 --connections 16 --seconds 120
	load=$loop_pid
	must loop_try 10 is_answered
}
is_answered() { [ "$(nsenter --net --target "$loop_net" ss -Htn state established 'sport = :8443' | wc -l)" -ge 16 ]; }

nginx_by_its_pid_file_and_port() {
	have nginx || return 0
	start_nginx 8443 && fresh || return 1
	must quietly ctl register web --pid-file "$loop_dir/nginx/pid" --listen tcp:8443 &&
		must are_workers web "$(children "$master")" || return 1
	! ctl register other --pid-file "$loop_dir/nginx/pid" --listen tcp:8444 >"$loop_dir/out" 2>&1 || return 1
}

# USR2: a new master with new workers, that inherit the sockets; then the old ones are told to go.
nginx_replaced_by_a_new_program() {
	have nginx || return 0
	local old new
	start_nginx 8443 on && fresh || return 1
	must quietly ctl register web --listen tcp:8443 && load_nginx || return 1
	old=$(children "$master")
	kill -USR2 "$master"
	must loop_try 10 new_master || return 1
	new=$(cat "$loop_dir/nginx/pid")
	loop_pids+=("$new")
	must loop_try 10 n_children "$new" 4 || return 1
	must loop_try 10 are_workers web "$(echo "$old $(children "$new")" | tr ' ' '\n' | sort -n | paste -sd' ')" || return 1
	kill -QUIT "$master"
	must loop_try 20 are_workers web "$(children "$new")" && must loop_alive "$load"
}
new_master() { [ "$(cat "$loop_dir/nginx/pid" 2>/dev/null)" != "$master" ] && [ -s "$loop_dir/nginx/pid" ]; }

# --- HAProxy --------------------------------------------------------------------------------------------

start_haproxy() {
	cat >"$loop_dir/haproxy.cfg" <<-END
		global
			nbthread 4
			stats socket $loop_dir/haproxy.sock mode 600 level admin expose-fd listeners
		defaults
			mode http
			timeout client 10s
			timeout connect 1s
			timeout server 10s
		frontend web
			bind 127.0.0.1:8444 shards by-thread
			http-request return status 200
	END
	loop_net_run haproxy -db -f "$loop_dir/haproxy.cfg" "$@" >>"$loop_dir/haproxy.log" 2>&1
	haproxy=$loop_pid
}

# threads_of GROUP - the threads that are workers, sorted
threads_of() {
	json_rows "$(ctl --json workers "$1" | json_flat)" "" | while IFS= read -r row; do json_in "$row" TID; done |
		sort -n | paste -sd' '
}
tids_of() { find "/proc/$1/task" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort -n | paste -sd' '; }
serve_with_threads() { [ "$(threads_of "$1")" = "$(tids_of "$2")" ]; }
mask_of() { taskset -cp "$1" | sed 's/.*: //'; }
# as_many GROUP N - workers that each serve sockets of their own
as_many() { [ "$(ctl --json workers "$1" | json_flat | grep -c '\.Listeners=1$')" = "$2" ]; }

# Each thread has an epoll descriptor of its own, with the socket of its shard: each is a worker.
haproxy_thread_by_thread() {
	have haproxy || return 0
	local one other cpu
	start_haproxy && must loop_try 10 listening 8444 4 && fresh '' auto || return 1
	must loop_try 10 discovers tcp:127.0.0.1:8444 "$haproxy" && must [ "$(served tcp:127.0.0.1:8444 Sockets)" = 4 ] &&
		must quietly ctl register proxy --listen tcp:8444 && must loop_try 10 serve_with_threads proxy "$haproxy" &&
		must [ "$(wc -w <<<"$(threads_of proxy)")" = 4 ] && must loop_try 20 as_many proxy 4 || return 1
	# One thread is moved, the others stay.
	one=$(threads_of proxy | cut -d' ' -f2)
	other=$(threads_of proxy | cut -d' ' -f3)
	cpu=$(mask_of "$one" | sed 's/.*[,-]//')
	[ "$cpu" = "$(mask_of "$one")" ] && return # one CPU: nowhere to go
	must quietly ctl move "$one" "$cpu" && must loop_try 20 has_mask "$one" "$cpu" &&
		must [ "$(mask_of "$other")" != "$cpu" ] && must quietly ctl release --all &&
		must loop_try 10 has_mask "$one" "$(mask_of "$other")"
}
has_mask() { [ "$(mask_of "$1")" = "$2" ]; }

haproxy_as_one_floating_process() {
	have haproxy || return 0
	start_haproxy && must loop_try 10 listening 8444 4 && fresh || return 1
	must quietly ctl register proxy --listen tcp:8444 --granularity process && must are_workers proxy "$haproxy" &&
		must notes proxy "serves with 4 threads" || return 1
	# What a worker is can be changed.
	must quietly ctl register proxy --listen tcp:8444 --granularity thread &&
		must loop_try 10 serve_with_threads proxy "$haproxy" || return 1
	! ctl register bare --granularity thread "$haproxy" >"$loop_dir/out" 2>&1 || return 1
}

haproxy_after_a_reload() {
	have haproxy || return 0
	local old
	start_haproxy && must loop_try 10 listening 8444 4 && fresh &&
		must loop_try 10 discovers tcp:127.0.0.1:8444 "$haproxy" &&
		must quietly ctl register proxy --listen tcp:8444 &&
		must loop_try 10 serve_with_threads proxy "$haproxy" || return 1
	loop_load haproxy --port 8444 --connections 16 --seconds 120 --new-connection-each
	load=$loop_pid
	old=$haproxy
	start_haproxy -sf "$old"
	must loop_try 20 ended "$old" && must loop_try 10 serve_with_threads proxy "$haproxy" &&
		must loop_try 10 discovers tcp:127.0.0.1:8444 "$haproxy" && must loop_alive "$load"
}
ended() { ! loop_alive "$1"; }

# --- Python ---------------------------------------------------------------------------------------------

python_with_epoll_and_a_worker_replaced() {
	start_python 8445 3 epoll && fresh || return 1
	must loop_try 10 discovers tcp:127.0.0.1:8445 "$(children "$parent")" &&
		must quietly ctl register py --listen tcp:127.0.0.1:8445 && must are_workers py "$(children "$parent")" || return 1
	kill -USR1 "$parent"
	sleep 0.2
	must loop_try 10 n_children "$parent" 3 && must loop_try 10 are_workers py "$(children "$parent")"
}

python_that_blocks_in_accept() {
	start_python 8446 2 accept && fresh && must quietly ctl register py --listen tcp:8446 &&
		must are_workers py "$(children "$parent")" && must [ -z "$(note_of py)" ]
}

python_that_polls_is_a_guess() {
	start_python 8447 2 poll && fresh && must quietly ctl register py --listen tcp:8447 &&
		must are_workers py "$(children "$parent")" && must notes py "a guess" &&
		must loop_try 10 discovers tcp:127.0.0.1:8447 "$(children "$parent")"
}

udp_by_its_port() {
	start_python 8448 2 udp && fresh || return 1
	must loop_try 10 discovers udp:127.0.0.1:8448 "$(children "$parent")" &&
		must quietly ctl register dns --listen udp:127.0.0.1:8448 && must are_workers dns "$(children "$parent")"
}

a_process_by_name_and_cgroup() {
	start_python 8445 2 epoll && fresh || return 1
	local path
	path=$(head -n 1 "/proc/$parent/cgroup" | cut -d: -f3-)
	must quietly ctl register byname --process pyserver.py && must are_workers byname "$(children "$parent")" &&
		must quietly ctl unregister byname || return 1
	# All that is said has to hold.
	! ctl register none --process nobody --listen tcp:8445 >"$loop_dir/out" 2>&1 || return 1
	[ "$path" = / ] || must quietly ctl register bycgroup --cgroup "$path" --listen tcp:8445 || return 1
	[ "$path" = / ] || must are_workers bycgroup "$(children "$parent")"
}

# --- elsewhere ------------------------------------------------------------------------------------------

# A port alone means the daemon's own namespace; with a name it means the namespaces of those processes.
another_network_namespace() {
	local there row
	# shellcheck disable=SC2016 # expanded by that shell
	loop_run tests/tools/netns-run.sh sh -c 'exec tests/tools/pyserver.py 8450 2 epoll'
	there=$loop_pid
	must loop_try 10 n_children "$there" 2 && must loop_try 10 listening 8450 2 "$there" && fresh || return 1
	must loop_try 10 discovers tcp:127.0.0.1:8450 "$(children "$there")" &&
		must [ "$(served tcp:127.0.0.1:8450 OwnNamespace)" = false ] || return 1
	! ctl register far --listen tcp:8450 >"$loop_dir/out" 2>&1 || return 1
	must quietly ctl register far --listen tcp:8450 --process pyserver.py && must are_workers far "$(children "$there")"
}

# 40 connections are held; the table has as many, and of each worker what the kernel gave it.
connections_are_counted_as_they_are() {
	start_python 8445 3 epoll && fresh && must quietly ctl register py --listen tcp:8445 || return 1
	loop_net_run python3 -c '
import socket, time
kept = [socket.create_connection(("127.0.0.1", 8445)) for _ in range(40)]
print("connected", flush=True)
time.sleep(600)' >"$loop_dir/clients"
	must loop_try 10 grep -q connected "$loop_dir/clients" && must loop_try 10 sums_to 40 &&
		must loop_try 10 counts_agree 8445
}
sums_to() {
	[ "$(ctl --json discover | json_flat | awk -F= '/Connections=/ { sum += $2 } END { print sum }')" = "$1" ]
}
# "PID CONNECTIONS" a line, by ss and by the daemon
counts_of_ss() {
	nsenter --net --target "$loop_net" ss -Htnp state established "sport = :$1" | grep -o 'pid=[0-9]*' | sort | uniq -c |
		awk '{ sub(/pid=/, "", $2); print $2, $1 }' | sort -n
}
counts_of_daemon() {
	ctl --json connections py | json_flat | awk -F= '/\.PID=/ { pid = $2 } /\.Connections=/ { if ($2 > 0) print pid, $2 }' | sort -n
}
counts_agree() { [ "$(counts_of_ss "$1")" = "$(counts_of_daemon)" ] && [ -n "$(counts_of_daemon)" ]; }

# In a namespace of pids the kernel tells of no forks: new workers are found all the same.
without_the_connector() {
	local before
	configuration
	# shellcheck disable=SC2016 # expanded by that shell
	daemon unshare --pid --fork --kill-child --mount-proc sh -c 'tests/tools/pyserver.py 8445 2 epoll & exec "$@"' sh &&
		must loop_try 10 listening 8445 2 &&
		must loop_try 10 quietly ctl register py --listen tcp:8445 || return 1
	before=$(pids_of py)
	must [ "$(wc -w <<<"$before")" = 2 ] || return 1
	# The parent is the daemon's child there.
	kill -USR1 "$(pgrep -P "$(pgrep -P "$loop_daemon")")"
	must loop_try 10 one_is_new "$before"
}
one_is_new() { local now; now=$(pids_of py) && [ "$now" != "$1" ] && [ "$(wc -w <<<"$now")" = 2 ]; }

# --- words ----------------------------------------------------------------------------------------------

what_matches_nothing_is_refused() {
	fresh || return 1
	local code
	ctl register none --listen tcp:8999 >"$loop_dir/out" 2>&1
	code=$?
	must [ "$code" = 5 ] && must grep -q "nothing listens on tcp:8999" "$loop_dir/out" &&
		must [ -z "$(json_row "$(ctl --json groups | json_flat)" "" Name=none)" ] || return 1
	ctl register none --unit nobody.service >"$loop_dir/out" 2>&1
	must grep -q "no process is Unit=nobody.service" "$loop_dir/out" || return 1
	ctl register none --listen 443 >"$loop_dir/out" 2>&1
	must [ $? = 2 ] || return 1
	# A group that is there keeps what it had.
	start_python 8445 2 epoll && must quietly ctl register py --listen tcp:8445 || return 1
	! ctl register py --listen tcp:8999 --process nobody >"$loop_dir/out" 2>&1 || return 1
	must [ "$(json_in "$(json_row "$(ctl --json groups | json_flat)" "" Name=py)" Selector)" = tcp:8445 ]
}

two_groups_that_claim_a_worker() {
	start_python 8445 2 epoll && fresh "$(printf '[Group one]\nListen=tcp:8445\n[Group two]\nProcess=pyserver.py\n')" || return 1
	must loop_try 10 claimed && must loop_try 10 claim_is_told || return 1
	ctl register three --listen tcp:8445 >"$loop_dir/out" 2>&1
	must [ $? = 6 ] && must grep -q "is a worker of group" "$loop_dir/out"
}
claimed() { are_workers one "$(children "$parent")" || are_workers two "$(children "$parent")"; }
claim_is_told() { notes one "is a worker of group two" || notes two "is a worker of group one"; }

a_group_in_the_configuration_waits_for_its_server() {
	fresh "$(printf '[Group web]\nListen=tcp:8445\n')" && must loop_try 10 notes web "nothing listens on tcp:8445" &&
		start_python 8445 2 epoll && must loop_try 10 are_workers web "$(children "$parent")"
}

a_registration_outlives_the_daemon() {
	start_python 8445 2 epoll && fresh && must quietly ctl register py --listen tcp:8445 || return 1
	kill -KILL "$loop_daemon"
	wait "$loop_daemon" 2>/dev/null
	kill -USR1 "$parent"
	sleep 0.2
	must loop_try 10 n_children "$parent" 2 && daemon && must loop_try 10 are_workers py "$(children "$parent")"
}

# One epoll descriptor for all threads, and work that moves between them: a process that floats.
a_go_server() {
	have go || { skip="no go compiler here: tools/deps could not get one"; return 0; }
	cat >"$loop_dir/server.go" <<-'END'
		package main

		import ("context"; "net"; "syscall")

		func main() {
			c := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
				return raw.Control(func(fd uintptr) { syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, 15, 1) })
			}}
			l, err := c.Listen(context.Background(), "tcp", "127.0.0.1:8451")
			if err != nil { panic(err) }
			for {
				conn, err := l.Accept()
				if err != nil { panic(err) }
				go func() { conn.Read(make([]byte, 64)) }()
			}
		}
	END
	(cd "$loop_dir" && HOME=$loop_dir GOFLAGS=-mod=mod go build -o goserver server.go) >"$loop_dir/out" 2>&1 || return 1
	local a b
	loop_net_run "$loop_dir/goserver" && a=$loop_pid
	loop_net_run "$loop_dir/goserver" && b=$loop_pid
	must loop_try 10 listening 8451 2 && fresh && must loop_try 10 discovers tcp:127.0.0.1:8451 "$(sorted "$a" "$b")" &&
		must quietly ctl register go --listen tcp:8451 --placement core && must are_workers go "$(sorted "$a" "$b")" || return 1
	# The runtime has threads of its own from the start.
	must loop_try 10 both_float && must [ -z "$(threads_of go)" ] || return 1
	kill -KILL "$b"
	loop_net_run "$loop_dir/goserver" && b=$loop_pid
	must loop_try 10 are_workers go "$(sorted "$a" "$b")"
}
both_float() { [ "$(ctl --json workers go | json_flat | grep -c '\.Floats=true$')" = 2 ]; }
sorted() { printf '%s\n' "$@" | sort -n | paste -sd' '; }

# --- run ------------------------------------------------------------------------------------------------

cases_main "$0" "$@"
