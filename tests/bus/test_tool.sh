#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What cpubalctl has around its verbs, with a real cpubalanced on a bus of its own: the configuration and its origins, the
# doctor, run and hold, --watch, --host and --machine, and the completion of bash and of zsh.
set -u

cd "${CB_SRC:-$(dirname "$0")/../..}" || exit 1
CB_BUILD=${CB_BUILD:-$PWD/build}
export CB_SRC=$PWD CB_BUILD LC_ALL=C.UTF-8
unset COLUMNS NO_COLOR

[ "$(id -u)" = 0 ] || { echo "1..0 # SKIP needs root, to change something"; exit 0; }
[ -n "${CB_BUS_ADDRESS:-}" ] || exec tools/private-bus "$0"

dir=$(mktemp -d "${TMPDIR:-/tmp}/cpubalance-tool.XXXXXX") || exit 1
daemon=''
finish() {
	[ -n "$daemon" ] && kill "$daemon" 2>/dev/null && wait "$daemon" 2>/dev/null
	rm -rf "$dir"
}
trap finish EXIT

n=0 bad=0
ok() { n=$((n + 1)); echo "ok $n - $1"; }
not_ok() {
	n=$((n + 1)) bad=$((bad + 1))
	echo "not ok $n - $1"
	printf '%s\n' "${@:2}" | sed 's/^/#   /'
}
skip() { n=$((n + 1)); echo "ok $n - $1 # SKIP $2"; }

# run NAME STATUS PATTERN CMD... - its exit status, and a line of its output (both streams)
run() {
	local name=$1 status=$2 pattern=$3 out rc
	shift 3
	out=$("$@" 2>&1)
	rc=$?
	if [ "$rc" = "$status" ] && grep -qE -- "$pattern" <<<"$out"; then
		ok "$name"
	else
		not_ok "$name" "exit status $rc, expected $status; a line like: $pattern" "$out"
	fi
}

# same NAME WANTED IS
same() { if [ "$2" = "$3" ]; then ok "$1"; else not_ok "$1" "wanted: $2" "is: $3"; fi; }

mkdir -p "$dir/bin" "$dir/etc/cpubalanced/cpubalanced.conf.d" "$dir/usr/lib/cpubalanced/cpubalanced.conf.d"
conf=$dir/etc/cpubalanced/cpubalanced.conf
printf '[Manager]\nMode=advise\nSampleIntervalSec=250ms\n' >"$conf"
printf '[Detect]\nHotOn=91%%\n' >"$dir/usr/lib/cpubalanced/cpubalanced.conf.d/10-package.conf"
# The tool as a user calls it, on this bus.
printf '#!/bin/sh\nexec "%s/cpubalctl" --bus="%s" "$@"\n' "$CB_BUILD" "$CB_BUS_ADDRESS" >"$dir/bin/cpubalctl"
printf '#!/bin/sh\nexec "%s/cpubalanced" --config="%s" --run-dir="%s/run" "$@"\n' "$CB_BUILD" "$conf" "$dir" >"$dir/bin/cpubalanced"
chmod 755 "$dir/bin/"*
export PATH=$dir/bin:$PATH

start() {
	local i
	"$CB_BUILD/cpubalanced" --bus="$CB_BUS_ADDRESS" --config="$conf" --run-dir="$dir/run" --state-dir="$dir/state" \
		2>"$dir/log" &
	daemon=$!
	for ((i = 0; i < 300; i++)); do
		cpubalctl status >/dev/null 2>&1 && return
		sleep 0.1
	done
	echo "Bail out! the daemon does not answer: $(cat "$dir/log")"
	exit 1
}

restart_with() {
	kill "$daemon" && wait "$daemon"
	printf '%s\n' "$@" >"$dir/etc/cpubalanced/cpubalanced.conf.d/30-restart.conf"
	start
}

echo "1..35"
# --- doctor ---
run "doctor without a daemon: a problem, and what to do" 1 '^PROBLEM +daemon +cpubalanced does not run' cpubalctl doctor
start
run "doctor sees the daemon" 0 "^OK +daemon +[0-9.]+ runs" cpubalctl doctor
run "doctor sees the CPUs" 0 '^(OK|NOTE) +CPUs' cpubalctl doctor
same "each problem and each note but of what cannot be had has a remedy" "" "$(cpubalctl doctor | awk '
	/^(PROBLEM)/ { if (open) print open; open = $0; next } /^ +->/ { open = ""; next } { if (open) print open; open = "" }')"
run "doctor as JSON" 0 '"Result":"OK"' cpubalctl --json doctor
printf '[Detect]\nHotOn=soon\n' >"$dir/etc/cpubalanced/cpubalanced.conf.d/20-bad.conf"
run "doctor finds a wrong configuration" 1 '^PROBLEM +configuration +.*20-bad.conf:2: HotOn' cpubalctl doctor
rm "$dir/etc/cpubalanced/cpubalanced.conf.d/20-bad.conf"

# --- config ---
run "config shows what is set, and where" 0 "^Manager +Mode +advise +auto +.*/etc/cpubalanced/cpubalanced.conf:2\$" cpubalctl config
run "config shows a package's drop-in" 0 "^Detect +HotOn +91% .*/usr/lib/cpubalanced/cpubalanced.conf.d/10-package.conf:2\$" cpubalctl config
run "config --all shows defaults" 0 'default$' cpubalctl config --all
run "config as JSON has the bounds" 0 '"Min"' cpubalctl --json config
cpubalctl mode observe >/dev/null
run "config shows what was said over the bus" 0 '^Manager +Mode +observe .*SetMode' cpubalctl config

# --- run and hold ---
run "run needs a group" 2 'name the group' cpubalctl run -- true
run "run becomes the command" 7 'me' cpubalctl run --group=web -- sh -c 'echo me; exit 7'
same "run registers the process of the command" yes "$(cpubalctl run --group=web -- sh -c \
	'cpubalctl --json workers web | grep -q "\"PID\": *$$\b" && echo yes')"
run "run of nothing" 127 'No such file' cpubalctl run --group=web -- /nonexistent/program
run "hold keeps balancing paused" 0 'balancing is paused|^PAUSED' cpubalctl hold -- cpubalctl status
run "hold hands on the exit code" 9 '' cpubalctl hold -- sh -c 'exit 9'
held() { cpubalctl status | grep -qi 'paused'; }
for ((i = 0; i < 100; i++)); do held || break; sleep 0.1; done
if held; then not_ok "the hold ends with the command" "$(cpubalctl status)"; else ok "the hold ends with the command"; fi

restart_with '[Manager]' SampleIntervalSec=1min
run "a hold shows before there are rates" 0 '^PAUSED .*starting' cpubalctl hold -- cpubalctl status
restart_with

# --- for good ---
for_good() {
	local pid i
	cp "$(command -v sleep)" "$dir/nginx" # its name is what makes it a worker of nginx
	"$dir/nginx" 600 >/dev/null 2>&1 &
	pid=$!
	for ((i = 0; i < 300; i++)); do [ "$(cat "/proc/$pid/comm")" = nginx ] && break; sleep 0.1; done
	cpubalctl mode auto && cpubalctl register nginx "$pid" && cpubalctl move nginx/0 "$cpu" >/dev/null
	for ((i = 0; i < 300; i++)); do
		cpubalctl changes --permanent >"$dir/permanent"
		grep -qE '^worker_cpu_affinity 10*;$' "$dir/permanent" && break
		sleep 0.1
	done
	cpubalctl unregister nginx >/dev/null
	kill "$pid"
	{ sed -n '/^worker_/p' "$dir/permanent"; echo 'events {} http {}'; } >"$dir/nginx.conf"
	cat "$dir/permanent"
	grep -qE '^worker_cpu_affinity 10*;$' "$dir/permanent" && nginx -t -q -e stderr -p "$dir" -c "$dir/nginx.conf" -g "pid $dir/nginx.pid;"
}
cpu=$(awk '/^Cpus_allowed_list/ { split($2, a, /[-,]/); print a[1] }' /proc/self/status)
if ! command -v nginx >/dev/null; then
	skip "nginx takes what is printed for good" "no nginx here"
elif [ "$(nproc)" -lt 2 ]; then
	skip "nginx takes what is printed for good" "needs two CPUs"
else
	run "nginx takes what is printed for good" 0 '' for_good
fi
cpubalctl mode observe >/dev/null

# --- watch, host, machine ---
same "--watch shows it again" 3 "$(cpubalctl status --watch=100ms 2>&1 | grep -m3 -c '^MACHINE')"
run "--watch is not for changes" 2 'for commands that show something' cpubalctl pause --watch
run "--watch wants a span" 2 "'often' is not a time span" cpubalctl status --watch=often
run "a host is needed" 2 'needs a host' cpubalctl status --host=
run "processes are of this machine" 2 'log in there' cpubalctl -M box register web 1
# What ssh would run on the other machine, run here.
printf '#!/bin/sh\necho "$@" >>"%s/ssh"\nexec systemd-stdio-bridge --bus-path="%s"\n' "$dir" "$CB_BUS_ADDRESS" >"$dir/bin/ssh"
chmod 755 "$dir/bin/ssh"
if command -v systemd-stdio-bridge >/dev/null; then
	run "another machine is asked over ssh" 0 '^MACHINE' "$CB_BUILD/cpubalctl" -H root@far.example:2222 status
	run "ssh is told where" 0 '^-xT .*2222.*(root@far.example|root.*far.example)' cat "$dir/ssh"
else
	skip "another machine is asked over ssh" "no systemd-stdio-bridge here"
	skip "ssh is told where" "no systemd-stdio-bridge here"
fi
run "a container that is not there" 3 'the system bus of cpubalance-no-such cannot be reached' cpubalctl -M cpubalance-no-such status
run "a name that is none" 2 "is not the name of a container" cpubalctl -M 'a/b' status

# --- completion ---
sleep 600 &
sleeper=$!
cpubalctl register web "$sleeper" >/dev/null

# bash_completes WORD... - what is offered for the last of them, sorted
bash_completes() {
	bash -c '. completions/cpubalctl.bash; COMP_WORDS=(cpubalctl "$@"); COMP_CWORD=$#; _cpubalctl
		printf "%s\n" "${COMPREPLY[@]}" | sort | tr "\n" " "' bash "$@"
}
zsh_completes() {
	zsh -fc 'compadd() { [[ $1 == -a ]] && print -l -- ${(P)2} || print -l -- "$@" }
		words=(cpubalctl "$@"); CURRENT=$(($# + 1)); last=${words[CURRENT]}
		{ . completions/_cpubalctl } | grep -- "^$last" | sort | tr "\n" " "' zsh "$@"
}
for shell in bash zsh; do
	if ! command -v $shell >/dev/null; then
		for what in commands groups options; do skip "$shell completes $what" "no $shell here"; done
		continue
	fi
	same "$shell completes commands" "register release reload resume " "$("${shell}_completes" re | sed 's/re[^lgs ]* //g')"
	same "$shell completes groups and modes" "advise auto observe web " "$("${shell}_completes" mode '')"
	run "$shell completes a command's options" 0 '--allowed-cpus(=|\b)' "${shell}_completes" register --a
done
kill "$sleeper"
[ "$bad" = 0 ]
