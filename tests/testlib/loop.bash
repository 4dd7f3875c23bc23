# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# loop.bash - what the demonstration, the soak and the system tests of the whole loop share: a session of
# raised weight, two CPUs, a network namespace, real workers, the daemon on a private bus, and the tool's JSON.
#
# To be sourced by a bash script in the source directory; the programs are in $CB_BUILD. Everything it starts
# is in a list and ends with loop_end, which belongs into the script's EXIT trap. All of it dies with
# the script even when that is killed (PR_SET_PDEATHSIG), and the daemon then puts its changes back.

CB_SRC=${CB_SRC:-$PWD}
CB_BUILD=${CB_BUILD:-$CB_SRC/build}
export CB_SRC CB_BUILD

loop_tools=$CB_BUILD/tests/tools
loop_pids=()
loop_dir=   # scratch, gone at the end
loop_net=   # pid of the process that holds the network namespace
loop_daemon=

# --- the session -----------------------------------------------------------------------------------

# loop_session CMD... - run CMD on a private bus in a session of its own, and return its status.
# Where the kernel weighs whole sessions (autogroup), that one weighs more than a compiler next door:
# otherwise the kernel may leave both workers on one CPU though they may use two (tests/tools/README.md).
# A terminal's interrupt does not reach another session, so it is passed on, and CMD can clean up.
loop_session() {
	local pid rc
	# shellcheck disable=SC2016 # expanded by that shell
	setsid sh -c '[ -w /proc/self/autogroup ] && echo -20 2>/dev/null >/proc/self/autogroup
		exec "$@"' sh tools/private-bus "$@" &
	pid=$!
	# shellcheck disable=SC2064 # this pid
	trap "kill -TERM $pid 2>/dev/null" INT TERM HUP
	while :; do
		wait "$pid"
		rc=$?
		kill -0 "$pid" 2>/dev/null || break
	done
	trap - INT TERM HUP
	return $rc
}

# loop_begin - in the session: the scratch directory.
loop_begin() {
	loop_dir=$(mktemp -d "${TMPDIR:-/tmp}/cpubalance-loop.XXXXXX") || return 1
	chmod 755 "$loop_dir" # nginx's workers are another user
}

loop_alive() { kill -0 "$1" 2>/dev/null && [ "$(ps -o stat= -p "$1" | cut -c1)" != Z ]; }

# loop_run PROGRAM... - in the background, tied to us; its pid is in $loop_pid.
loop_run() {
	setpriv --pdeathsig TERM "$@" &
	loop_pid=$!
	loop_pids+=("$loop_pid")
}

# loop_stop PID - end one of ours: ask, wait up to 10 s, insist. Returns its exit status.
loop_stop() {
	local i left=()
	kill -TERM "$1" 2>/dev/null
	for ((i = 0; i < 100; i++)); do
		loop_alive "$1" || break
		sleep 0.1
	done
	kill -KILL "$1" 2>/dev/null
	for i in "${loop_pids[@]}"; do
		[ "$i" = "$1" ] || left+=("$i")
	done
	loop_pids=(${left[@]+"${left[@]}"})
	wait "$1" 2>/dev/null
}

# loop_stop_all PID - end all of ours but this one (or ""), the youngest first: a generator goes before its server.
loop_stop_all() {
	local i pids
	pids=(${loop_pids[@]+"${loop_pids[@]}"})
	for ((i = ${#pids[@]} - 1; i >= 0; i--)); do
		[ "${pids[i]}" = "$1" ] || loop_stop "${pids[i]}"
	done
}

# loop_end - the daemon first, so that it puts back what it changed while the workers still live
loop_end() {
	[ -n "$loop_daemon" ] && loop_stop "$loop_daemon"
	loop_daemon=
	loop_stop_all ''
	loop_net=
	[ -n "$loop_dir" ] && rm -rf "$loop_dir"
	loop_dir=
}

# loop_try SECONDS CMD... - until CMD succeeds; 1 when it never did.
loop_try() {
	local until=$((SECONDS + $1 + 1))
	shift
	until "$@"; do
		[ "$SECONDS" -ge "$until" ] && return 1
		sleep 0.1
	done
}

# --- CPUs -------------------------------------------------------------------------------------------

# loop_expand LIST - "0-2,5" as "0 1 2 5"
loop_expand() {
	local part
	for part in ${1//,/ }; do
		seq -s ' ' "${part%-*}" "${part#*-}"
	done | tr '\n' ' '
}

# loop_allowed - the CPUs that we may use; a mask may name some that are offline.
loop_allowed() {
	local cpu out=
	for cpu in $(loop_expand "$(awk '/^Cpus_allowed_list:/ { print $2 }' /proc/self/status)"); do
		[ "$(cat "/sys/devices/system/cpu/cpu$cpu/online" 2>/dev/null)" = 0 ] || out+="$cpu "
	done
	echo "$out"
}

# loop_pick_cpus - $loop_a and $loop_b: of the CPUs that we may use the first, and the first that is another
# core of its node; failing that, any. 1 when there is one CPU only.
loop_pick_cpus() {
	local cpu cpus node core
	cpus=$(loop_allowed)
	loop_a=${cpus%% *} loop_b=
	core=/sys/devices/system/cpu/cpu$loop_a
	node=$(echo "$core"/node*)
	for cpu in ${cpus#* }; do
		[ -n "$loop_b" ] || loop_b=$cpu
		case " $(loop_expand "$(cat "$core/topology/thread_siblings_list" 2>/dev/null)") " in
		*" $cpu "*) continue ;;
		esac
		[ "${node##*/}" = 'node*' ] || [ -e "/sys/devices/system/cpu/cpu$cpu/${node##*/}" ] || continue
		loop_b=$cpu
		break
	done
	[ -n "$loop_b" ]
}

# loop_masks PID... - every thread of these processes, and the CPUs that it may use.
loop_masks() {
	local pid task
	for pid; do
		for task in "/proc/$pid/task"/*; do
			[ -r "$task/status" ] && echo "${task##*/} $(awk '/^Cpus_allowed_list:/ { print $2 }' "$task/status")"
		done
	done | sort -n
}

# loop_all_on LIST PID... - whether every thread of these may use exactly LIST
loop_all_on() {
	local want=$1 masks
	shift
	masks=$(loop_masks "$@" | awk '{ print $2 }' | sort -u)
	[ "$masks" = "$want" ]
}

# --- workers and load -------------------------------------------------------------------------------

loop_net_start() {
	# shellcheck disable=SC2016 # expanded by that shell
	loop_run tests/tools/netns-run.sh sh -c 'echo >"$1"; exec sleep 7200' sh "$loop_dir/net"
	loop_net=$loop_pid
	loop_try 10 test -e "$loop_dir/net" || { loop_net=; return 1; }
}

# loop_net_run PROGRAM... - as loop_run, in the namespace
loop_net_run() { loop_run nsenter --net --target "$loop_net" "$@"; }

# loop_rpserv NAME OPTION... - workers; $loop_pid is their parent. Their pids are in $loop_dir/NAME.pid.
loop_rpserv() {
	local file=$loop_dir/$1.pid
	shift
	loop_net_run "$loop_tools/rpserv" --pid-file "$file" "$@"
	loop_try 10 test -s "$file"
}

# loop_load NAME OPTION... - the generator; $loop_pid is it, its figures go to $loop_dir/NAME.load.
loop_load() {
	local file=$loop_dir/$1.load
	shift
	: >"$file"
	loop_net_run "$loop_tools/httpload" "$@" >"$file"
}

# loop_phase PID NAME - end a phase of the generator; its line is in $loop_line.
loop_phase() {
	local file=$loop_dir/$2.load n
	n=$(grep -c '^phase' "$file")
	kill -USR1 "$1" 2>/dev/null
	# shellcheck disable=SC2016 # expanded by that shell
	loop_try 5 sh -c '[ "$(grep -c ^phase "$1")" -gt "$2" ]' sh "$file" "$n"
	# shellcheck disable=SC2034 # for the caller
	loop_line=$(grep '^phase' "$file" | tail -n 1)
}

# loop_figure NAME LINE - "rps" of "phase 0 rps 4190.2 p50_usec ..."
loop_figure() { awk -v key="$1" '{ for (i = 1; i < NF; i++) if ($i == key) print $(i + 1) }' <<<"$2"; }

# --- the daemon and the tool --------------------------------------------------------------------------

ctl() { "$CB_BUILD/cpubalctl" --bus="$CB_BUS_ADDRESS" "$@"; }

loop_daemon_up() { ctl --json status >/dev/null 2>&1 || ! loop_alive "$loop_daemon"; }

# loop_daemon_start CONF OPTION... - on the private bus, its files in the scratch directory
loop_daemon_start() {
	local conf=$1
	shift
	loop_run nice -n -10 "$CB_BUILD/cpubalanced" --bus="$CB_BUS_ADDRESS" --config="$conf" \
		--run-dir="$loop_dir/run" --state-dir="$loop_dir/state" "$@" 2>>"$loop_dir/daemon.log"
	loop_daemon=$loop_pid
	loop_try 20 loop_daemon_up
	loop_alive "$loop_daemon"
}

# loop_daemon_stop - as a stop of the service does; returns its exit status.
loop_daemon_stop() {
	local pid=$loop_daemon
	loop_daemon=
	loop_stop "$pid"
}

# json_flat - JSON as cpubalctl prints it -> lines "Plan.Steps.0.Name=web/1"
json_flat() {
	awk '
	{
		line = $0
		sub(/^ +/, "", line)
		if (line ~ /^[]}],?$/) { depth--; next }
		key = ""
		if (match(line, /^"[^"]*": ?/)) {
			key = substr(line, 2, RLENGTH - 2)
			sub(/": ?$/, "", key)
			line = substr(line, RLENGTH + 1)
		} else if (depth > 0)
			key = index_at[depth]++ ""
		sub(/,$/, "", line)
		path = depth > 1 ? prefix[depth] "." key : key
		if (line ~ /^[[{]$/) {
			depth++
			prefix[depth] = path
			index_at[depth] = 0
			next
		}
		if (line ~ /^[[{] *[]}]$/) next
		if (line ~ /^"/) {
			line = substr(line, 2, length(line) - 2)
			gsub(/\\"/, "\"", line)
			gsub(/\\\\/, "\\", line)
		}
		print path "=" line
	}'
}

# json_of FLAT KEY - the value, empty when there is none
json_of() { awk -v key="$2=" 'index($0, key) == 1 { print substr($0, length(key) + 1); exit }' <<<"$1"; }

# json_rows FLAT ARRAY - each object of an array (of the whole with an empty name) as "<TAB>Key=value<TAB>..."
json_rows() {
	awk -v prefix="${2:+$2.}" '
	index($0, prefix) == 1 {
		rest = substr($0, length(prefix) + 1)
		dot = index(rest, ".")
		if (dot == 0 || substr(rest, 1, dot - 1) !~ /^[0-9]+$/) next
		i = substr(rest, 1, dot - 1) + 0
		row[i] = row[i] "\t" substr(rest, dot + 1)
		if (i >= n) n = i + 1
	}
	END { for (i = 0; i < n; i++) print row[i] "\t" }' <<<"$1"
}

# json_row FLAT ARRAY KEY=VALUE... - the last row that has all of these; 1 when there is none
json_row() {
	local flat=$1 array=$2 row want found=
	shift 2
	while IFS= read -r row; do
		for want; do
			[[ $row == *$'\t'"$want"$'\t'* ]] || continue 2
		done
		found=$row
	done < <(json_rows "$flat" "$array")
	[ -n "$found" ] && echo "$found"
}

# json_in ROW KEY
json_in() { tr '\t' '\n' <<<"$1" | awk -v key="$2=" 'index($0, key) == 1 { print substr($0, length(key) + 1); exit }'; }
