#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# test_others.sh - programs of other people beside a running daemon: nginx and HAProxy that replace themselves under
# their placement, and irqbalance, which moves interrupts too. Servers and irqbalance come from their packages, unpacked
# privately. irqbalance runs for seconds; every interrupt gets back the mask that it had. In a mount namespace of its own.
# shellcheck disable=SC2119 # functions that are called without their arguments
set -u

cd "${CB_SRC:-$(dirname "$0")/../..}" || exit 1
# shellcheck source=tests/testlib/pinned.bash
. tests/testlib/pinned.bash

CASES=(
	"nginx_upgraded_under_its_placement_ends_with_the_originals"
	"haproxy_reloaded_under_its_placement_ends_with_the_originals"
	"irqbalance_keeps_the_interrupts"
	"irqbalance_that_comes_and_goes_is_noticed"
	"coordination_bans_what_may_be_moved_and_gives_it_back"
	"coordination_outlives_a_restart_of_either_side"
	"coordination_is_undone_after_a_crash"
)

# --- servers ------------------------------------------------------------------------------------------------

# all_of COMM - the processes of that name in the namespace of this test
all_of() {
	local pid net
	net=$(readlink "/proc/$loop_net/ns/net")
	for pid in $(pgrep -x "$1"); do
		[ "$(readlink "/proc/$pid/ns/net")" = "$net" ] && echo "$pid"
	done
}
at_least() { [ "$(all_of "$1" | wc -l)" -ge "$2" ]; }
no_plan() { [ "$(plan_now)" = 0 ]; }

# place_all COMM - every process of the server, one plan after the other
place_all() {
	local pid
	for pid in $(all_of "$1"); do
		must loop_try 60 no_plan && place "$pid" || return 1
	done
	must loop_try 60 no_plan
}
# shellcheck disable=SC2046 # pids
all_back() { loop_all_on "$loop_a" $(all_of "$1"); }
# shellcheck disable=SC2046 # pids
some_placed() { loop_masks $(all_of "$1") | grep -q " $loop_b\$"; }
gone() { ! kill -0 "$1" 2>/dev/null; }

start_nginx() {
	local dir=$loop_dir/nginx
	mkdir -p "$dir/tmp"
	cat >"$dir/nginx.conf" <<-END
		daemon on;
		user root;
		worker_processes 2;
		pid $dir/nginx.pid;
		error_log $dir/error.log;
		events { worker_connections 64; }
		http {
			access_log off;
			client_body_temp_path $dir/tmp;
			proxy_temp_path $dir/tmp;
			fastcgi_temp_path $dir/tmp;
			uwsgi_temp_path $dir/tmp;
			scgi_temp_path $dir/tmp;
			server { listen 127.0.0.1:8090 reuseport; return 200; }
		}
	END
	rm -f "$dir/nginx.pid"
	loop_net_run taskset -c "$loop_a" nginx -p "$dir" -c "$dir/nginx.conf" 2>>"$dir/error.log"
	loop_try 10 test -s "$dir/nginx.pid" && loop_try 10 at_least nginx 3 && loop_pids+=("$(cat "$dir/nginx.pid")")
}

# It takes the signal for a new binary only once it has left its parent, so it runs as a daemon, which we end by its number.
# The old master starts the new binary, which starts new workers; then the old ones go.
nginx_upgraded_under_its_placement_ends_with_the_originals() {
	local old dir=$loop_dir/nginx
	command -v nginx >/dev/null || { skip="no nginx"; return 0; }
	policy 6 6
	# The master too: it is what the new one inherits from.
	# shellcheck disable=SC2046 # pids
	must start_nginx && daemon && must quietly ctl register web $(all_of nginx) && place_all nginx || return 1
	old=$(cat "$dir/nginx.pid")
	kill -USR2 "$old"
	must loop_try 15 at_least nginx 6 && must loop_try 10 test -s "$dir/nginx.pid" || return 1
	loop_pids+=("$(cat "$dir/nginx.pid")")
	kill -QUIT "$old"
	must loop_try 15 gone "$old" && must loop_try 15 at_least nginx 3 && must some_placed nginx &&
		must quietly ctl release --all --pause && must loop_try 10 all_back nginx && must loop_try 10 lists_none
	local rc=$?
	kill -TERM "$(cat "$dir/nginx.pid")" 2>/dev/null
	return $rc
}

# With -W a reload is the master that executes itself anew and starts its successor's workers with -sf.
haproxy_reloaded_under_its_placement_ends_with_the_originals() {
	local dir=$loop_dir/haproxy master before
	command -v haproxy >/dev/null || { skip="no haproxy"; return 0; }
	mkdir -p "$dir"
	cat >"$dir/haproxy.cfg" <<-END
		global
			nbthread 2
		defaults
			mode http
			timeout client 5s
			timeout server 5s
			timeout connect 5s
		frontend web
			bind 127.0.0.1:8091
			http-request return status 200
	END
	policy 6 6
	loop_net_run taskset -c "$loop_a" haproxy -W -f "$dir/haproxy.cfg" -p "$dir/haproxy.pid" 2>"$dir/log"
	master=$loop_pid
	# shellcheck disable=SC2046 # pids
	must loop_try 10 at_least haproxy 2 && daemon && must quietly ctl register web $(all_of haproxy) &&
		place_all haproxy || return 1
	before=$(all_of haproxy | grep -vx "$master")
	kill -USR2 "$master"
	must loop_try 20 gone "$before" && must loop_try 10 at_least haproxy 2 && must some_placed haproxy &&
		must quietly ctl release --all --pause && must loop_try 10 all_back haproxy && must loop_try 10 lists_none
}

# --- irqbalance -------------------------------------------------------------------------------------------

irq_masks() { grep -H . /proc/irq/[0-9]*/smp_affinity_list; }
# What it has changed goes back; managed interrupts refuse, and were not changed.
put_irqs_back() {
	local line
	while read -r line; do
		[ "$(cat "${line%%:*}")" = "${line#*:}" ] || echo "${line#*:}" >"${line%%:*}"
	done <<<"$1" 2>/dev/null
}

# Its socket is in /run, which is ours in this mount namespace. Arguments are its own.
start_irqbalance() {
	mountpoint -q /run || mount -t tmpfs -o mode=755 tmpfs /run || return 1
	mkdir -p /run/irqbalance
	loop_run timeout 120 irqbalance --foreground --interval=1 "$@" >"$loop_dir/irqbalance.log" 2>&1
	irqbalance=$loop_pid
	loop_try 5 loop_alive "$irqbalance"
}
owner() { json_of "$(ctl --json status | json_flat)" Manager.InterruptsOwner; }
owned_by() { [ "$(owner)" = "$1" ]; }
listed_owner() {
	busctl --address="$CB_BUS_ADDRESS" --json=short call org.cpubalance1 /org/cpubalance1 org.cpubalance1.Manager ListOwners |
		grep -o '"Name":{"type":"s","data":"irqbalance"},"Present":{"type":"b","data":[a-z]*}' | grep -q "$1}\$"
}
our_irqs() { json_rows "$(changes)" "" | grep -c 'Kind=irq'; }
movable_irq() { json_row "$(ctl --json irqs | json_flat)" "" Movable=true >/dev/null; }

with_irqbalance() {
	local before rc
	command -v irqbalance >/dev/null || { skip="no irqbalance"; return 0; }
	pgrep -x irqbalance >/dev/null && { skip="irqbalance runs here"; return 0; }
	[ -n "${CB_OTHERS_UNSHARED:-}" ] || { skip="no mount namespace can be made here"; return 0; }
	before=$(irq_masks)
	"$1"
	rc=$?
	[ -n "$irqbalance" ] && loop_stop "$irqbalance"
	put_irqs_back "$before"
	[ "$(irq_masks)" = "$before" ] || { say "not every interrupt has its mask back"; return 1; }
	return $rc
}

# From the beginning: it is seen at the start, and though a group wants its interfaces' interrupts none is for us.
irqbalance_keeps_the_interrupts() { with_irqbalance beside_irqbalance; }
beside_irqbalance() {
	policy 6 6
	must start_irqbalance && idle_workers && daemon && must quietly ctl register web "${w[@]}" --interfaces='*' &&
		must loop_try 15 owned_by irqbalance && must loop_try 5 listed_owner true || return 1
	ctl status | grep -q "irqbalance moves interrupts" || { say "status does not say it"; return 1; }
	! movable_irq || { say "an interrupt may be moved"; return 1; }
	place "${w[0]}" && must [ "$(our_irqs)" = 0 ] && must loop_alive "$irqbalance" && must quietly ctl release --all &&
		must back "${w[@]}"
}

irqbalance_that_comes_and_goes_is_noticed() { with_irqbalance between_irqbalances; }
between_irqbalances() {
	fresh && must owned_by cpubalanced && place "${w[0]}" && must start_irqbalance && must loop_try 30 owned_by irqbalance &&
		must [ "$(our_irqs)" = 0 ] || return 1
	loop_stop "$irqbalance"
	irqbalance=
	must loop_try 30 owned_by cpubalanced && must listed_owner false && must loop_all_on "$loop_b" "${w[0]}" &&
		must quietly ctl release --all && must back "${w[@]}"
}

# --- coordination -----------------------------------------------------------------------------------------

# What it leaves alone, ascending.
banned() {
	/usr/bin/python3 - <<-'END'
		import glob, socket
		for path in glob.glob("/run/irqbalance/irqbalance*.sock"):
		    s = socket.socket(socket.AF_UNIX)
		    s.settimeout(20)
		    try:
		        s.connect(path)
		    except OSError:
		        continue
		    s.sendall(b"setup")
		    text = b""
		    while True:
		        part = s.recv(65536)
		        if not part:
		            break
		        text += part
		    words = text.split()
		    print(*sorted(int(words[i + 1]) for i in range(len(words)) if words[i] == b"IRQ"))
	END
}
banned_are() { [ "$(banned)" = "$1" ]; }
movable_irqs() { json_rows "$(ctl --json irqs | json_flat)" "" | while IFS= read -r row; do [ "$(json_in "$row" Movable)" = true ] && json_in "$row" IRQ; done | sort -n | paste -sd ' '; }
union() { printf '%s\n' "$@" | sort -nu | paste -sd ' '; }

coordinating() {
	policy 6 6
	printf '[Plan]\nCoordinateIrqbalance=yes\n' >>"$loop_dir/test.conf"
	must start_irqbalance --banirq=9 && idle_workers && daemon && must quietly ctl register web "${w[@]}" --interfaces='*' &&
		must loop_try 60 owned_by shared || return 1
	ours=$(movable_irqs)
	[ -n "$ours" ] || { skip="no interrupt can be moved here"; return 1; }
	# shellcheck disable=SC2086 # numbers
	all=$(union 9 $ours)
}

coordination_bans_what_may_be_moved_and_gives_it_back() { with_coordination give_and_take; }
with_coordination() {
	local ours='' all=''
	[ -x /usr/bin/python3 ] || { skip="no python3"; return 0; }
	with_irqbalance "$1" || [ -n "$skip" ]
}

# Nobody plays ping-pong: what stands on an interrupt of ours stays, though irqbalance looks at everything each second.
give_and_take() {
	local irq file to i
	coordinating && must banned_are "$all" && say "banned: $all" || return 1
	ctl status | grep -q "irqbalance moves the other interrupts" || { say "status does not say it"; return 1; }
	irq=${ours%% *} file=/proc/irq/${ours%% *}/smp_affinity_list
	for to in "$loop_a" "$loop_b"; do
		echo "$to" >"$file" || return 1
		for ((i = 0; i < 5; i++)); do
			sleep 1
			must [ "$(cat "$file")" = "$to" ] || return 1
		done
	done
	must banned_are "$all" && must loop_alive "$irqbalance" && must quietly ctl release --all && must loop_daemon_stop &&
		must banned_are 9 && must loop_alive "$irqbalance" && say "interrupt $irq stood where it was put"
}

coordination_outlives_a_restart_of_either_side() { with_coordination restarts; }
restarts() {
	coordinating || return 1
	kill_daemon
	must banned_are "$all" && daemon && must loop_try 60 owned_by shared && must banned_are "$all" || return 1
	loop_stop "$irqbalance"
	must loop_try 30 owned_by cpubalanced && must start_irqbalance --banirq=9 && must loop_try 60 owned_by shared &&
		must banned_are "$all" && must loop_daemon_stop && must banned_are 9
}

coordination_is_undone_after_a_crash() { with_coordination crash; }
crash() {
	coordinating || return 1
	kill_daemon
	must banned_are "$all" && must restore && must banned_are 9 && must loop_alive "$irqbalance"
}

# --- run --------------------------------------------------------------------------------------------------

irqbalance=
if [ "${1:-}" != --inside ] && [ -z "${CB_OTHERS_UNSHARED:-}" ] && unshare --mount true 2>/dev/null; then
	CB_OTHERS_UNSHARED=yes exec unshare --mount --propagation private "$0" "$@"
fi
cases_main "$0" "$@"
