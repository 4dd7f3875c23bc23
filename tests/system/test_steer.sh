#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# test_steer.sh - the connections of real, unmodified servers are steered: shares, drains and lanes, every way back to the
# kernel's hash, reloads under load, and what is refused. Servers and daemon are in a network namespace of their own. Counts
# are of connections; no figure of time is asserted.
# shellcheck disable=SC2119 # functions that are called without their arguments
set -u

cd "${CB_SRC:-$(dirname "$0")/../..}" || exit 1
# shellcheck source=tests/testlib/pinned.bash
. tests/testlib/pinned.bash

CASES=(
	"shares_are_given_and_a_worker_is_drained"
	"connections_of_a_cpu_go_to_its_worker"
	"an_address_of_ipv6"
	"a_stop_gives_the_hash_back"
	"a_start_after_a_crash_gives_the_hash_back"
	"restore_after_a_crash_gives_the_hash_back"
	"unregistering_gives_the_hash_back"
	"nginx_reloads_under_load"
	"haproxy_reloads_under_load"
	"what_cannot_be_steered_is_refused_with_the_reason"
	"without_the_right_it_says_so"
)

have() {
	command -v "$1" >/dev/null 2>&1 && return
	skip="no $1 here"
	return 1
}

# --- the daemon, in the namespace where its servers are ---------------------------------------------------

steer_daemon() {
	policy 6 6
	loop_net_run "$@" "$CB_BUILD/cpubalanced" --bus="$CB_BUS_ADDRESS" --config="$loop_dir/test.conf" \
		--run-dir="$loop_dir/run" --state-dir="$loop_dir/state" 2>>"$loop_dir/daemon.log"
	loop_daemon=$loop_pid
	must loop_try 20 loop_daemon_up && must loop_alive "$loop_daemon"
}

rows() { json_rows "$(ctl --json workers | json_flat)" ""; }
share_of() { json_in "$(json_row "$(ctl --json workers | json_flat)" "" "PID=$1")" Share; }
has_share() { [ "$(share_of "$1")" = "$2" ]; }
any_share() { rows | grep -q Share=; }
no_share() { ! any_share; }
group_says() { json_in "$(json_row "$(ctl --json groups | json_flat)" "" Name=web)" "$1"; }
group_is() { [ "$(group_says "$1")" = "$2" ]; }
n_workers() { [ "$(rows | grep -c PID=)" = "$1" ]; }

# --- servers and clients --------------------------------------------------------------------------------

children() { pgrep -P "$1" | sort -n; }
n_children() { [ "$(pgrep -P "$1" | wc -l)" = "$2" ]; }

# start_nginx WORKERS LISTEN [LINE] - it answers with the pid of the worker; $master is its master
start_nginx() {
	mkdir -p "$loop_dir/nginx"
	cat >"$loop_dir/nginx.conf" <<-END
		daemon off;
		worker_processes $1;
		${3:-}
		pid $loop_dir/nginx/pid;
		error_log $loop_dir/nginx/error.log;
		events { worker_connections 512; }
		http {
			access_log off;
			client_body_temp_path $loop_dir/nginx/a; proxy_temp_path $loop_dir/nginx/b;
			fastcgi_temp_path $loop_dir/nginx/c; uwsgi_temp_path $loop_dir/nginx/d; scgi_temp_path $loop_dir/nginx/e;
			server { listen $2 reuseport; return 200 "\$pid\n"; }
		}
	END
	loop_net_run nginx -p "$loop_dir/nginx" -c "$loop_dir/nginx.conf" 2>>"$loop_dir/nginx.log"
	master=$loop_pid
	must loop_try 10 n_children "$master" "$1" && must loop_try 10 answers
}
answers() { nsenter --net --target "$loop_net" "$loop_tools/whoserves" "${target[@]}" --count 1 | grep -q ^served; }

# connect COUNT OPTION... - who served is in $loop_dir/served
connect() {
	local count=$1
	shift
	nsenter --net --target "$loop_net" "$loop_tools/whoserves" "${target[@]}" --count "$count" "$@" >"$loop_dir/served"
}
served_by() { awk -v who="$1" '$1 == "served" && $2 == who { print $3; found = 1 } END { if (!found) print 0 }' "$loop_dir/served"; }
n_failed() { awk '$1 == "failed" { n += $2 } END { print n + 0 }' "$@"; }

# about PID COUNT - within 5 %
about() {
	local n
	n=$(served_by "$1")
	[ $((n * 100)) -ge $(($2 * 95)) ] && [ $((n * 100)) -le $(($2 * 105)) ] && return
	say "worker $1 served $n, expected $2 within 5 %"
	return 1
}
served() { [ "$(served_by "$1")" = "$2" ] || { say "worker $1 served $(served_by "$1"), not $2"; return 1; }; }

# by_hash PID... - nobody is left out any more; the hash of 400 connections is never that uneven by itself
by_hash() {
	local pid
	connect 400 || return 1
	for pid; do
		[ "$(served_by "$pid")" -ge 40 ] || { say "worker $pid served only $(served_by "$pid")"; return 1; }
	done
}

target=(--port 8443)

# An order has to be given again while some plan of the daemon's own is being tried.
steer() { loop_try 60 quietly ctl steer web "$1" && loop_try 30 any_share; }

# start GROUP OPTION...: nginx with two workers, the first of which is as good as left out
steered() {
	have nginx || return 1
	start_nginx 2 127.0.0.1:8443 && mapfile -t w < <(children "$master") && steer_daemon &&
		must quietly ctl register web "${w[@]}" --steering weighted && must steer 1:999 &&
		connect 400 && [ "$(served_by "${w[0]}")" -le 4 ]
}

# --- cases ------------------------------------------------------------------------------------------------

shares_are_given_and_a_worker_is_drained() {
	have nginx || return 0
	start_nginx 4 127.0.0.1:8443 && mapfile -t w < <(children "$master") && steer_daemon &&
		must quietly ctl register web "${w[@]}" --steering weighted && must steer 1:2:3:4 || return 1
	connect 10000 && must about "${w[0]}" 1000 && must about "${w[1]}" 2000 && must about "${w[2]}" 3000 &&
		must about "${w[3]}" 4000 || return 1
	must loop_try 60 quietly ctl drain web 1 && connect 4000 && must served "${w[1]}" 0 &&
		must about "${w[3]}" 2000 || return 1
	must quietly ctl undrain web/1 && connect 4000 && must about "${w[1]}" 800
}

connections_of_a_cpu_go_to_its_worker() {
	have nginx || return 0
	start_nginx 2 127.0.0.1:8443 && mapfile -t w < <(children "$master") || return 1
	must quietly taskset -a -c -p "$loop_a" "${w[0]}" && must quietly taskset -a -c -p "$loop_a" "${w[1]}" || return 1
	steer_daemon && must quietly ctl register web "${w[@]}" --steering local || return 1
	# Two on one CPU would get uneven shares.
	must loop_try 20 shared_cpu || return 1
	must quietly taskset -a -c -p "$loop_b" "${w[1]}" &&
		must loop_try 60 ctl_steers_local && must loop_try 30 group_is Steered local || return 1
	connect 2000 --cpus "$loop_a" && must served "${w[0]}" 2000 || return 1
	connect 2000 --cpus "$loop_b" && must served "${w[1]}" 2000 || return 1
	must quietly ctl release --all && by_hash "${w[@]}" && must lists_none
}
shared_cpu() { ! ctl steer web local >"$loop_dir/out" 2>&1 && grep -q SHARED_CPU "$loop_dir/out"; }
ctl_steers_local() { ctl steer web local >"$loop_dir/out" 2>&1; }

an_address_of_ipv6() {
	have nginx || return 0
	[ -e /proc/net/if_inet6 ] || { skip="no IPv6 here"; return 0; }
	local target=(--address ::1 --port 8443)
	start_nginx 2 '[::1]:8443' && mapfile -t w < <(children "$master") && steer_daemon &&
		must quietly ctl register web "${w[@]}" --steering weighted && must steer 1:3 || return 1
	connect 4000 && must about "${w[0]}" 1000 && must about "${w[1]}" 3000 &&
		must quietly ctl release --all && by_hash "${w[@]}"
}

a_stop_gives_the_hash_back() {
	steered || { [ -n "$skip" ]; return; }
	must loop_daemon_stop && by_hash "${w[@]}"
}

a_start_after_a_crash_gives_the_hash_back() {
	steered || { [ -n "$skip" ]; return; }
	kill_daemon
	connect 400 && [ "$(served_by "${w[0]}")" -le 4 ] && steer_daemon && by_hash "${w[@]}" && must lists_none
}

restore_after_a_crash_gives_the_hash_back() {
	steered || { [ -n "$skip" ]; return; }
	kill_daemon
	must restore && by_hash "${w[@]}"
}

unregistering_gives_the_hash_back() {
	steered || { [ -n "$skip" ]; return; }
	must quietly ctl unregister web && by_hash "${w[@]}" && must lists_none
}

# under_load RELOAD - 20,000 connections by four clients while the server reloads three times; failures are in $failed
under_load() {
	local i clients=()
	for i in 1 2 3 4; do
		loop_net_run "$loop_tools/whoserves" "${target[@]}" --count 5000 --pause 200 >"$loop_dir/client$i"
		clients+=("$loop_pid")
	done
	for i in 1 2 3; do
		sleep 0.5
		"$1" || return 1
	done
	for i in "${clients[@]}"; do
		wait "$i"
	done
	failed=$(n_failed "$loop_dir"/client?)
}

# Both under the same load; the number of resets that a reload costs by itself varies a little.
no_worse() {
	say "failed of 20,000: $1 with the kernel's hash, $2 steered"
	[ "$2" -le $(($1 + 2)) ]
}

nginx_hup() { kill -HUP "$master"; }
nginx_reloads_under_load() {
	have nginx || return 0
	local failed plain
	start_nginx 2 127.0.0.1:8443 && steer_daemon &&
		must quietly ctl register web --listen tcp:8443 --steering weighted || return 1
	under_load nginx_hup || return 1
	plain=$failed
	must loop_try 20 n_workers 2 && must steer 1:3 && under_load nginx_hup && must no_worse "$plain" "$failed" || return 1
	shares_are_right 1000 3000
}

# shares_are_right FEW MANY - after a reload, of the workers that there are now: one has few of 4,000 connections, the other
# many, as the daemon says. Who of the new processes gets which slot is chance.
shares_are_right() {
	local few many
	must loop_try 30 n_workers 2 && must loop_try 60 any_share || return 1
	read -r few many < <(rows | while IFS= read -r row; do echo "$(json_in "$row" Share) $(json_in "$row" PID)"; done |
		sort -n | awk '{ printf "%s ", $2 }')
	connect 4000 && must about "$few" "$1" && must about "$many" "$2"
}

start_haproxy() { # NUMBER [OLDPID]
	loop_net_run haproxy -db -f "$loop_dir/haproxy.cfg" ${2:+-sf "$2"} 2>>"$loop_dir/haproxy.log"
	proxy[$1]=$loop_pid
}
haproxy_sf() {
	start_haproxy 0 "${proxy[0]}"
	sleep 1
}
haproxy_reloads_under_load() {
	have haproxy || return 0
	local failed plain proxy=()
	cat >"$loop_dir/haproxy.cfg" <<-END
		global
			nbthread 1
			hard-stop-after 1s
		defaults
			mode http
			timeout client 5s
			timeout connect 5s
			timeout server 5s
		frontend web
			bind 127.0.0.1:8443
			http-request return status 200 content-type text/plain lf-string "%pid\n"
	END
	start_haproxy 0 && start_haproxy 1 && must loop_try 10 answers && steer_daemon &&
		must quietly ctl register web --listen tcp:8443 --steering weighted && must loop_try 20 n_workers 2 || return 1
	under_load haproxy_sf || return 1
	plain=$failed
	must loop_try 30 n_workers 2 && must steer 1:3 && under_load haproxy_sf && must no_worse "$plain" "$failed" || return 1
	shares_are_right 1000 3000
}

what_cannot_be_steered_is_refused_with_the_reason() {
	# datagrams, and one socket for all
	loop_net_run tests/tools/pyserver.py 8053 2 udp
	must loop_try 10 n_children "$loop_pid" 2 && mapfile -t w < <(children "$loop_pid") && steer_daemon &&
		must quietly ctl register web "${w[@]}" --steering weighted && must loop_try 60 refuses_drain "datagrams" &&
		must quietly ctl unregister web || return 1
	# a worker of it that is not in the group
	have nginx || return 0
	start_nginx 3 127.0.0.1:8443 && mapfile -t w < <(children "$master") &&
		must quietly ctl register web "${w[@]:0:2}" --steering weighted &&
		must loop_try 60 refuses_drain "belongs to none of its workers" && must lists_none || return 1
	# not by its settings
	must quietly ctl unregister web && must quietly ctl register web "${w[@]}" &&
		must refuses_drain "Steering="
}
refuses_drain() { ! ctl drain web 0 >"$loop_dir/out" 2>&1 && grep -q "$1" "$loop_dir/out"; }

without_the_right_it_says_so() {
	have nginx || return 0
	start_nginx 2 127.0.0.1:8443 && mapfile -t w < <(children "$master") || return 1
	# root, but without the capabilities that take a socket from another process and load a program
	steer_daemon setpriv --bounding-set -sys_ptrace,-bpf,-sys_admin --inh-caps -sys_ptrace,-bpf,-sys_admin || return 1
	must quietly ctl register web "${w[@]}" --steering weighted && must loop_try 60 refuses_drain "lacks the right" &&
		by_hash "${w[@]}"
}

cases_main "$0" "$@"
