# shellcheck shell=bash disable=SC2154
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# servers.bash - what the system tests of discovery share on top of cases.bash: the daemon in a network namespace where nothing else
# listens, real servers, and what is said of them.

# shellcheck source=tests/testlib/cases.bash
. tests/testlib/cases.bash

stage_needs() { have ss && have python3; }
show_stage() {
	[ -z "$loop_daemon" ] || { ctl groups; ctl workers; ctl discover; }
	cat "$loop_dir/out" 2>/dev/null
}
clear_more() { daemon_options=(); }

# --- the daemon and what it says ------------------------------------------------------------------------

configuration() {
	printf '[Manager]\nMode=%s\nSampleIntervalSec=250ms\n%s\n' "${2:-observe}" "${1:-}" >"$loop_dir/test.conf"
}

# daemon [PROGRAM...] - in the namespace, where nothing else listens; run by PROGRAM, with the options in daemon_options
daemon_options=()
# shellcheck disable=SC2119,SC2120 # options are for who sources this
daemon() {
	loop_net_run "$@" "$CB_BUILD/cpubalanced" --bus="$CB_BUS_ADDRESS" --config="$loop_dir/test.conf" \
		--run-dir="$loop_dir/run" --state-dir="$loop_dir/state" ${daemon_options[@]+"${daemon_options[@]}"} 2>>"$loop_dir/daemon.log"
	loop_daemon=$loop_pid
	must loop_try 20 loop_daemon_up && must loop_alive "$loop_daemon"
}

# fresh [CONFIGURATION [MODE]]
# shellcheck disable=SC2119
fresh() { configuration "$@" && daemon; }

# pids_of GROUP - as registered, sorted
pids_of() {
	json_rows "$(ctl --json workers "$1" | json_flat)" "" | while IFS= read -r row; do json_in "$row" PID; done |
		sort -n | paste -sd' '
}
are_workers() { [ "$(pids_of "$1")" = "$2" ]; }
note_of() { json_in "$(json_row "$(ctl --json groups | json_flat)" "" "Name=$1")" Note; }
notes() { note_of "$1" | grep -q -- "$2"; }

# served LISTEN KEY - of discover
served() { json_in "$(json_row "$(ctl --json discover | json_flat)" "" "Listen=$1")" "$2"; }
# discovered LISTEN - pids, sorted
discovered() {
	local flat row
	flat=$(ctl --json discover | json_flat)
	row=$(awk -v want=".Listen=$1" 'substr($0, index($0, ".")) == want { sub(/\..*/, ""); print; exit }' <<<"$flat")
	[ -n "$row" ] || return 1
	awk -v prefix="$row.Workers." 'index($0, prefix) == 1 && /\.PID=/ { sub(/.*=/, ""); print }' <<<"$flat" |
		sort -n | paste -sd' '
}
discovers() { [ "$(discovered "$1")" = "$2" ]; }

# --- servers --------------------------------------------------------------------------------------------

children() { pgrep -P "$1" | sort -n | paste -sd' '; }
n_children() { [ "$(pgrep -P "$1" | wc -l)" = "$2" ]; }
listening() { [ "$(nsenter --net --target "${3:-$loop_net}" ss -Hltn "sport = :$1" | wc -l)" = "$2" ]; }

# start_nginx PORT [on] - four workers, a socket each; $master is their master. With "on" it is nobody's child: only
# then does it replace its program.
start_nginx() {
	mkdir -p "$loop_dir/nginx"
	cat >"$loop_dir/nginx.conf" <<-END
		daemon ${2:-off};
		worker_processes 4;
		pid $loop_dir/nginx/pid;
		error_log $loop_dir/nginx/error.log;
		events { worker_connections 256; }
		http {
			access_log off;
			client_body_temp_path $loop_dir/nginx/a; proxy_temp_path $loop_dir/nginx/b;
			fastcgi_temp_path $loop_dir/nginx/c; uwsgi_temp_path $loop_dir/nginx/d; scgi_temp_path $loop_dir/nginx/e;
			server { listen 127.0.0.1:$1 reuseport; return 200 "hello\n"; }
		}
	END
	loop_net_run nginx -p "$loop_dir/nginx" -c "$loop_dir/nginx.conf" 2>>"$loop_dir/nginx.log"
	master=$loop_pid
	if [ "${2:-off}" = on ]; then
		must loop_try 10 test -s "$loop_dir/nginx/pid" || return 1
		master=$(cat "$loop_dir/nginx/pid")
		loop_pids+=("$master")
	fi
	must loop_try 10 n_children "$master" 4 && must loop_try 10 listening "$1" 4
}

# Whether none of these is a worker of nginx any more, and one of them
is_replaced() { n_children "$master" 4 && ! children "$master" | tr ' ' '\n' | grep -qxF -- "$(tr ' ' '\n' <<<"$1")"; }
is_replaced_by_4() { n_children "$master" 4 && [ "$(children "$master")" != "$1" ]; }

start_python() {
	loop_net_run tests/tools/pyserver.py "$1" "$2" "$3"
	parent=$loop_pid
	must loop_try 10 n_children "$parent" "$2"
	[ "$3" = udp ] || must loop_try 10 listening "$1" "$2"
}
