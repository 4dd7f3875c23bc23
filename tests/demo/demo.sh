#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# demo.sh - `sudo make demo`: cpubalanced on real workers under real load, in three acts.
#
#   1  two workers pinned on one core: found, moved, verified, kept
#   2  a move ordered by an operator that does harm: verified, rolled back
#   3  the load of act 2 left alone: saturated, nothing is moved
#
# On stage act 3 comes before act 2: it needs the untouched load, which act 2 then disturbs.
# Everything is private (message bus, network namespace, files) and is gone at the end, also after Ctrl-C.
# Exits 0 only when all three acts came out right; and where there is one CPU, so nothing to balance.
#
# CB_DEMO_SERVER=rpserv|nginx chooses the workers of act 1; by default nginx where it can be had.
set -u

CB_SRC=${CB_SRC:-$(cd "$(dirname "$0")/../.." && pwd)}
CB_BUILD=${CB_BUILD:-$CB_SRC/build}
export CB_SRC CB_BUILD
cd "$CB_SRC" || exit 1
# shellcheck source=tests/testlib/loop.bash
. tests/testlib/loop.bash

PORT=8080
CONNECTIONS=64
WANTED=1.6 # act 1: so many times the throughput

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
	bold=$'\e[1m' dim=$'\e[2m' green=$'\e[32m' red=$'\e[31m' plain=$'\e[0m'
else
	bold='' dim='' green='' red='' plain=''
fi

# --- what the reader sees --------------------------------------------------------------------------

heading() { printf '\n%s=== %s%s\n\n' "$bold" "$*" "$plain"; }
say() { printf '%s\n' "$@" | fold -s -w 98; }

# show VERB... - a command of the tool as one would type it, and its real output
show() {
	printf '\n%s$ cpubalctl %s%s\n' "$bold" "$*" "$plain"
	ctl "$@"
	local rc=$?
	[ $rc = 0 ] || printf '%s(exit status %d)%s\n' "$red" $rc "$plain"
	return $rc
}

# on CPULIST - run this shell there, and what it starts
on() { taskset -c -p "$1" "$BASHPID" >/dev/null; }

# wait_for SECONDS "what" CMD... - one dot a second until CMD succeeds. Who looks runs beside the clients: on the CPU of
# the workers it would disturb what is measured, and the daemon would have to measure for longer.
wait_for() {
	local limit=$1 what=$2 began=$SECONDS dotted=$SECONDS rc=0
	shift 2
	on "$loop_b"
	printf '%s  %s %s' "$dim" "$(date +%T)" "$what "
	while :; do
		look
		"$@" && break
		if [ $((SECONDS - began)) -ge "$limit" ]; then
			rc=1
			break
		fi
		while [ "$dotted" -lt "$SECONDS" ]; do
			printf .
			dotted=$((dotted + 1))
		done
		sleep 0.5
	done
	on "$allowed"
	printf ' %d s%s\n' $((SECONDS - began)) "$plain"
	[ $rc = 0 ] || say "  This did not happen within $limit s."
	return $rc
}

# figures LINE - "4190 req/s, p99 31.5 ms" of a phase of the generator
figures() {
	printf '%.0f req/s, p99 %.1f ms' "$(loop_figure rps "$1")" \
		"$(awk -v x="$(loop_figure p99_usec "$1")" 'BEGIN { print x / 1000 }')"
}

ratio() { awk -v a="$(loop_figure rps "$1")" -v b="$(loop_figure rps "$2")" 'BEGIN { printf "%.2f", (a > 0 ? b / a : 0) }'; }
at_least() { awk -v x="$1" -v y="$2" 'BEGIN { exit !(x >= y) }'; }

# result ACT WORD TEXT - a line for the table at the end
results=()
failed=0
result() {
	local color=$green
	[ "$2" = PASS ] || { color=$red failed=1; }
	results+=("$(printf '  act %s   %s%s%s   %s' "$1" "$color" "$2" "$plain" "$3")")
	printf '\n%s%s%s: %s\n' "$color" "$2" "$plain" "$3"
}

# --- what the daemon says ---------------------------------------------------------------------------

state=
look() { state=$(ctl --json status 2>/dev/null | json_flat); }

plan_state() { json_of "$state" Plan.State; }
plan_id() { json_of "$state" Manager.PlanId; }
last_plan() { json_of "$state" Manager.LastPlanId; }
confirmed() { json_row "$state" Findings "Kind=$1" "CPU=$loop_a" "Group=$2" Confirmed=true >/dev/null; }
plan_made() { [ "$(plan_id)" != 0 ]; }
plan_ended() { [ "$(last_plan)" = "$1" ]; }
plan_moved() { plan_ended "$1" || [[ $(plan_state) =~ ^(settling|verifying|undoing)$ ]]; }
plan_verifying() { plan_ended "$1" || [[ $(plan_state) =~ ^(verifying|undoing)$ ]]; }
sampled() { json_row "$state" Workers "Group=$1" >/dev/null && [ -n "$(json_in "$(json_row "$state" Workers "Group=$1")" CPUTime)" ]; }

# --- set-up -----------------------------------------------------------------------------------------

stop_all() {
	trap '' INT TERM HUP
	loop_end
}

start_nginx() {
	local bit dir=$loop_dir/nginx
	bit=1$(printf '%*s' "$loop_a" '' | tr ' ' 0)
	mkdir -p "$dir"
	# The regular expression is a bad one on purpose: it tries 2^n ways, so a path costs CPU time.
	cat >"$dir/nginx.conf" <<-END
		daemon off;
		worker_processes 2;
		worker_cpu_affinity $bit $bit;
		pid $dir/nginx.pid;
		error_log $dir/error.log;
		events { worker_connections 1024; }
		http {
			access_log off;
			keepalive_requests 1000000000;
			client_body_temp_path $dir/body;
			proxy_temp_path $dir/proxy;
			fastcgi_temp_path $dir/fastcgi;
			uwsgi_temp_path $dir/uwsgi;
			scgi_temp_path $dir/scgi;
			server {
				listen 127.0.0.1:$PORT reuseport backlog=511;
				location / {
					if (\$uri ~ "^/(a|aa)+\$") { return 404; }
					return 200 "ok\n";
				}
			}
		}
	END
	loop_net_run nginx -p "$dir" -c "$dir/nginx.conf" 2>>"$dir/error.log"
	server=$loop_pid
	loop_try 5 test -s "$dir/nginx.pid" || return 1
	loop_try 5 nginx_workers
}

nginx_workers() {
	mapfile -t workers < <(ps -o pid= --ppid "$server" | tr -d ' ')
	[ "${#workers[@]}" = 2 ]
}

# Whether one request of nginx costs as much as the act needs: 120 to 1000 us on this machine.
nginx_fits() {
	local rps
	loop_load try --port $PORT --path "$PATH_1" --cpus "$loop_b" --connections 1 --seconds 1
	loop_try 5 grep -q '^total' "$loop_dir/try.load"
	rps=$(loop_figure rps "$(cat "$loop_dir/try.load")")
	at_least "${rps:-0}" 1000 && at_least 8000 "${rps:-0}"
}

# The workers of act 1; sets server, workers, server_name, register (arguments), PATH_1
PATH_1=/aaaaaaaaaaaaaaaaab
start_web() {
	case ${CB_DEMO_SERVER:-nginx} in
	nginx)
		if command -v nginx >/dev/null 2>&1; then
			if start_nginx && nginx_fits; then
				server_name="nginx with a wrong worker_cpu_affinity"
				register=(--pid-file="$loop_dir/nginx/nginx.pid")
				return 0
			fi
			say "(nginx cannot be used here; the demonstration's own server stands in)"
			loop_stop "$server"
			server=
		fi
		;;
	esac
	PATH_1=/
	loop_rpserv web --port $PORT --workers 2 --burn-usec 205 --cpus "$loop_a" || return 1
	server=$loop_pid
	mapfile -t workers <"$loop_dir/web.pid"
	server_name="a small HTTP server, started with a wrong --cpus"
	register=("${workers[@]}")
}

# --- act 1 ------------------------------------------------------------------------------------------

act_1() {
	local before='' after='' verdict times word=FAIL
	heading "ACT 1: a bad pin, found and mended"
	start_web || { say "The server does not start."; cat "$loop_dir"/nginx/error.log 2>/dev/null; result 1 FAIL "no server"; return; }
	say "$server_name keeps both of its SO_REUSEPORT workers (pids ${workers[*]}) on CPU $loop_a. CPU $loop_b has little to do." \
		"$CONNECTIONS clients ask as fast as they are answered. The daemon is told that these workers are its business:"
	masks=$(loop_masks "${workers[@]}")
	loop_load web --port $PORT --path "$PATH_1" --cpus "$loop_b" --connections $CONNECTIONS --seconds 240
	load=$loop_pid
	show register web "${register[@]}" --allowed-cpus="$loop_a,$loop_b" || { result 1 FAIL "not registered"; return; }
	wait_for 10 "the daemon takes its first samples" sampled web
	show status
	say "" "A CPU is hot at 80 % (HotOn=). It has to last 5 s where workers wait for it (HotHarmSec=):"
	follow_plan
	if [ "$verdict" != kept ] && [ "$verdict" != none ]; then
		# Seen only where other programs come and go meanwhile.
		say "" "The daemon tries again when its finding still stands, after a while (CooldownSec=30s):"
		follow_plan
	fi
	show status
	[ "$verdict" != none ] || { show explain "$loop_a"; result 1 FAIL "no plan"; return; }
	times=$(ratio "$before" "$after")
	say "" "The clients saw   before  $(figures "$before")" "                  after   $(figures "$after")   (x $times)"
	show unregister web
	loop_try 10 same_masks "$masks" && say "Every thread has its original CPUs again: $loop_a."
	if [ "$verdict" = kept ] && at_least "$times" $WANTED && same_masks "$masks"; then
		word=PASS
	fi
	result 1 $word "$(figures "$before") -> $(figures "$after"), x $times (wanted $WANTED), $verdict"
}

# A plan of the daemon's own, from the finding to the verdict: sets verdict ("none" without a plan), before, after.
follow_plan() {
	local plan
	verdict=none
	wait_for 50 "waiting for the finding" plan_made || return
	plan=$(plan_id)
	loop_phase "$load" web
	show plan
	say "" "Before it moves anything, the daemon measures for 10 to 12 s what it will compare with (VerifyWindows=)."
	wait_for 40 "measuring before the move" plan_moved "$plan"
	loop_phase "$load" web
	before=$loop_line
	if ! plan_ended "$plan"; then
		show changes
		say "" "One core is no longer all they have. Is that any better? 3 s to settle, then 10 to 12 s of measuring:"
		wait_for 20 "settling" plan_verifying "$plan"
		loop_phase "$load" web
		wait_for 60 "measuring after the move" plan_ended "$plan"
		loop_phase "$load" web
	fi
	after=$loop_line
	verdict=$(json_of "$state" Manager.LastVerdict)
	show history
}

# end_act GROUP - whatever came of it: release, then end the load, then the servers
end_act() {
	ctl unregister "$1" >/dev/null 2>&1
	if [ -n "$masks" ] && ! loop_try 5 same_masks "$masks"; then
		failed=1
		say "${red}Some masks are not the originals.$plain"
	fi
	[ -z "$load" ] || loop_stop "$load"
	[ -z "$server" ] || loop_stop "$server"
	load='' server='' masks='' workers=()
}

# How busy CPU B is with other programs, in percent of the last second.
others_percent() {
	local a b
	a=$(grep "^cpu$loop_b " /proc/stat)
	sleep 1
	b=$(grep "^cpu$loop_b " /proc/stat)
	awk -v a="$a" -v b="$b" 'BEGIN {
		split(a, x, " "); split(b, y, " ")
		for (i = 2; i <= 9; i++) { d = y[i] - x[i]; all += d; if (i != 5 && i != 6) busy += d }
		printf "%d", (all > 0 ? 100 * busy / all : 0) }'
}

# The demonstration needs a CPU with nothing to do. One that other programs fill is no better place, and the daemon
# would be right to leave everything where it is.
wait_for_calm() {
	local percent i
	for ((i = 0; i < 20; i++)); do
		percent=$(others_percent)
		if [ "$percent" -le 40 ]; then
			[ "$i" = 0 ] || say ""
			return
		fi
		[ "$i" -gt 0 ] || printf 'CPU %s is %s %% busy with other programs. Waiting until it calms down, at most 20 s ' "$loop_b" "$percent"
		printf .
	done
	say " it does not." "What follows may not come out right: CPU $loop_b is no better place while others fill it."
}

same_masks() { [ "$(loop_masks "${workers[@]}")" = "$1" ]; }

# --- acts 3 and 2 -----------------------------------------------------------------------------------

# nothing_moved MASKS PLAN - no plan made since, and everything as it was
nothing_moved() { same_masks "$1" && [ "$(plan_id)" = 0 ] && [ "$(last_plan)" = "$2" ]; }

watched() { [ $((SECONDS - $1)) -ge 8 ] || ! nothing_moved "$masks" "$last"; }

act_3() {
	local word=FAIL
	heading "ACT 3: no better place, so nothing is moved"
	loop_rpserv api --port $PORT --workers 2 --burn-usec 20 --cpus "$loop_a" || { result 3 FAIL "no server"; return 1; }
	server=$loop_pid
	mapfile -t workers <"$loop_dir/api.pid"
	loop_load api --port $PORT --cpus "$loop_b" --connections $CONNECTIONS --burn-usec 22 --seconds 240
	load=$loop_pid
	masks=$(loop_masks "${workers[@]}")
	say "(Act 3 comes before act 2, because act 2 disturbs the same load.)" \
		"Other workers (pids ${workers[*]}), again both on CPU $loop_a. But now the clients fill CPU $loop_b: it is no better place."
	show register api "${workers[@]}" --allowed-cpus="$loop_a,$loop_b" || { result 3 FAIL "not registered"; return 1; }
	last=$(last_plan)
	if ! wait_for 45 "waiting for the finding" confirmed SATURATED api; then
		show status
		result 3 FAIL "not found saturated"
		return 1
	fi
	loop_phase "$load" api
	show explain "$loop_a"
	say ""
	wait_for 20 "watching that nothing is moved" watched $SECONDS
	loop_phase "$load" api
	quiet=$loop_line
	if nothing_moved "$masks" "$last" && confirmed SATURATED api; then
		word=PASS
	fi
	result 3 $word "$(figures "$quiet"), saturated, $([ $word = PASS ] && echo "no move" || echo "not left alone")"
}

act_2() {
	local verdict during after word=FAIL back=no name
	heading "ACT 2: an operator knows better, and does not"
	name=$(json_in "$(json_row "$state" Workers Group=api)" Name)
	say "Under the same load an operator puts one worker where the clients are. An order is obeyed, but it goes through the same door as the daemon's own plans: measured before, journaled, measured after, judged."
	order_move || { result 2 FAIL "the move was refused"; return; }
	if [ "$verdict" != rolled_back ]; then
		# Seen only where other programs come and go meanwhile. What an operator ordered stays then.
		say "" "That could not be judged, so the order stands. Back, and once more:"
		show rollback "$(last_plan)"
		wait_for 12 "measuring what to compare with" seconds_since $SECONDS 11
		order_move || { result 2 FAIL "the move was refused"; return; }
	fi
	loop_try 5 same_masks "$masks" && back=yes
	say ""
	wait_for 5 "three more seconds of load" seconds_since $SECONDS 3
	loop_phase "$load" api
	after=$loop_line
	show changes
	show status
	say "" "The clients saw   before  $(figures "$quiet")" \
		"                  moved   $(figures "$during")   (x $(ratio "$quiet" "$during"))" \
		"                  undone  $(figures "$after")   (x $(ratio "$quiet" "$after"))"
	if [ "$verdict" = rolled_back ] && [ $back = yes ]; then
		word=PASS
	fi
	result 2 $word "$(figures "$quiet") -> $(figures "$during"), x $(ratio "$quiet" "$during"), $verdict, masks $([ $back = yes ] && echo "as before" || echo "NOT as before")"
}

# The order and its verdict: sets verdict and during.
order_move() {
	local plan
	show move "$name" "$loop_b" || return 1
	look
	plan=$(plan_id)
	wait_for 40 "moving" plan_moved "$plan"
	show changes
	say ""
	wait_for 20 "settling" plan_verifying "$plan"
	loop_phase "$load" api
	wait_for 60 "measuring after the move" plan_ended "$plan"
	loop_phase "$load" api
	during=$loop_line
	verdict=$(json_of "$state" Manager.LastVerdict)
	show history
}

seconds_since() { [ $((SECONDS - $1)) -ge "$2" ]; }

# --- the whole --------------------------------------------------------------------------------------

perform() {
	local load='' masks='' last='' quiet='' server='' workers=() server_name='' register=() rc allowed
	trap stop_all EXIT
	trap 'say "" "Interrupted: everything is put back."; exit 130' INT TERM HUP
	allowed=$(loop_allowed)
	allowed=${allowed% } allowed=${allowed// /,}
	loop_begin || return 1
	if ! loop_net_start; then
		say "demo: cannot make a network namespace (it needs CAP_SYS_ADMIN)." >&2
		return 1
	fi
	# A minute of quiet after a start is right for a service and too long here, and so are half minutes of measuring for
	# small effects where the load is noisy: those of the acts are large. All else is the default.
	printf '[Plan]\nQuietStartSec=1s\n[Verify]\nVerifyWindowsMax=12\n' >"$loop_dir/demo.conf"
	if ! loop_daemon_start "$loop_dir/demo.conf"; then
		say "demo: cpubalanced does not start:" >&2
		cat "$loop_dir/daemon.log" >&2
		return 1
	fi
	heading "cpubalance on $(nproc) CPUs, in three acts"
	say "cpubalanced runs with its defaults (but for QuietStartSec=1s and VerifyWindowsMax=12) on a message bus of its own; the workers and their load are in a network namespace of their own. Nothing is installed. CPU $loop_a belongs to the servers, CPU $loop_b to the clients. About 75 s."
	wait_for_calm
	act_1
	end_act web
	act_3 && act_2
	end_act api
	heading "The end"
	loop_daemon_stop
	rc=$?
	[ $rc = 0 ] || { failed=1; say "${red}cpubalanced ended with status $rc:$plain"; cat "$loop_dir/daemon.log"; }
	printf '%s\n' "${results[@]}" | sort
	[ "${#results[@]}" -eq 3 ] || failed=1
	say ""
	[ $failed = 0 ] || { say "What the daemon said:"; sed 's/^/  /' "$loop_dir/daemon.log"; say ""; }
	say "The daemon has stopped and every thread has its original CPUs. $([ $failed = 0 ] && echo "All three acts came out right" || echo "Not all came out right") ($SECONDS s)."
	return $failed
}

if [ "${1:-}" = --inside ]; then
	perform
	exit
fi
if [ "$(id -u)" != 0 ]; then
	echo "demo: moving other processes' threads and making a network namespace needs root: sudo make demo" >&2
	exit 1
fi
if ! loop_pick_cpus; then
	echo "demo: this machine offers one CPU only (CPU $loop_a): there is nothing to balance. That is no failure."
	exit 0
fi
export loop_a loop_b
loop_session "$0" --inside
