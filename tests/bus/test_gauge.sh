#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# test_gauge.sh - cpubalanced-gauge: what it runs, what it refuses, what it survives; and a daemon that takes its numbers
# and goes on without them. Runs as nobody where the test is root, since it refuses to be root.
set -u

cd "${CB_SRC:-$(dirname "$0")/../..}" || exit 1
CB_BUILD=${CB_BUILD:-$PWD/build}
# Others than root have to get in.
dir=$(mktemp -d /tmp/cpubalance-gauge.XXXXXX) || exit 1
chmod 711 "$dir"
mkdir -m 777 "$dir/open"
socket=$dir/open/gauge.sock
pids=()
finish() {
	[ ${#pids[@]} = 0 ] || kill "${pids[@]}" 2>/dev/null
	wait 2>/dev/null
	rm -rf "$dir"
}
trap finish EXIT
n=0 bad=0

# same NAME WANTED IS
same() {
	n=$((n + 1))
	if [ "$2" = "$3" ]; then
		echo "ok $n - $1"
	else
		echo "not ok $n - $1"
		printf '#   is %s\n#   wanted %s\n' "$3" "$2"
		bad=$((bad + 1))
	fi
}
# begins NAME WANTED IS
begins() { same "$1" "$2" "${3:0:${#2}}"; }

try_for() {
	local until=$((SECONDS + $1))
	shift
	until "$@"; do
		[ "$SECONDS" -lt "$until" ] || return 1
		sleep 0.1
	done
}

unprivileged=()
[ "$(id -u)" != 0 ] || unprivileged=(setpriv --reuid=65534 --regid=65534 --clear-groups)

start_gauge() {
	"${unprivileged[@]}" "$CB_BUILD/cpubalanced-gauge" --listen="$socket" 2>"$dir/gauge.log" &
	gauge=$!
	pids+=("$gauge")
	try_for 10 test -S "$socket"
}

# ask COUNT REQUEST - the first COUNT lines that it answers
ask() {
	/usr/bin/python3 - "$socket" "$@" <<-'END'
		import socket, sys
		s = socket.socket(socket.AF_UNIX)
		s.settimeout(20)
		s.connect(sys.argv[1])
		s.sendall(sys.argv[3].encode() + b"\n")
		lines = s.makefile("r", errors="replace")
		print(" ".join(lines.readline().rstrip("\n") for i in range(int(sys.argv[2]))))
	END
}

# On a bus of its own: the daemon that asks the gauge of the test around it.
inside() {
	sleep 600 &
	worker=$!
	echo "$worker" >"$dir/pids"
	printf '[Verify]\nGaugeSocket=%s\n[Group web]\nPIDFile=%s\nServiceMetric=echo 99\n' "$socket" "$dir/pids" >"$dir/test.conf"
	"$CB_BUILD/cpubalanced" --bus="$CB_BUS_ADDRESS" --config="$dir/test.conf" --run-dir="$dir/run" --state-dir="$dir/state" \
		2>"$dir/daemon.log" &
	pids=($! "$worker")
	field() { "$CB_BUILD/cpubalctl" --bus="$CB_BUS_ADDRESS" --json groups 2>/dev/null | sed -nE "s/^ *\"$1\": *(.*[^,]),?$/\1/p"; }
	has() { [ "$(field ServiceMetric)" = 99.0 ]; }
	try_for 20 has
	echo "number $?"
	kill "$gauge"
	says() { field Note | grep -q 'no ServiceMetric='; }
	try_for 30 says
	echo "note $?"
	kill -0 "${pids[0]}" && echo "runs 0"
}
if [ "${1:-}" = --inside ]; then
	gauge=$2 socket=$3
	inside
	exit
fi

[ -x /usr/bin/python3 ] || { echo "1..0 # SKIP no python3"; exit 0; }
echo "1..22"

if [ "$(id -u)" = 0 ]; then
	"$CB_BUILD/cpubalanced-gauge" --listen="$socket" 2>"$dir/root.log"
	same "it refuses to run as root" "2 1" "$? $(wc -l <"$dir/root.log")"
else
	n=1
	echo "ok 1 - it refuses to run as root # SKIP this is not root"
fi
"${unprivileged[@]}" "$CB_BUILD/cpubalanced-gauge" 2>"$dir/none.log"
same "it wants a socket" "2 1" "$? $(wc -l <"$dir/none.log")"
start_gauge || { cat "$dir/gauge.log"; exit 1; }

# --- what it runs ---

same "a command's number" "+ 42.5" "$(ask 1 '100000 echo 42.5')"
same "again and again" "+ 7 + 7 + 7" "$(ask 3 '100000 echo 7')"
same "it is a shell's command" "+ 3" "$(ask 1 '100000 echo $((1 + 2)) | cat')"
same "a failure with its reason" "! exit status 3: it is closed" "$(ask 1 '100000 echo it is closed >&2; exit 3')"
same "no number" '! no number: "twelve"' "$(ask 1 '100000 echo twelve')"
same "two numbers are none" '! no number: "1"' "$(ask 1 '100000 echo 1; echo 2')"
same "a command that takes too long" "! it took longer than 5 s" "$(ask 1 '100000 sleep 60')"
same "one that prints too much" "! it printed more than 4096 bytes" "$(ask 1 '100000 yes')"
same "one that complains without end" "! it took longer than 5 s" "$(ask 1 '100000 yes >&2')"
same "one that is killed" "! ended by signal 9" "$(ask 1 '100000 kill -KILL $$')"
same "nothing to read, no terminal" "+ 0" "$(ask 1 '100000 wc -c; test ! -t 1')"
same "what it leaves behind is ended" "+ 1" "$(ask 1 "100000 sleep 987654 >/dev/null & echo 1")"
# shellcheck disable=SC2317
none_left() { ! pgrep -u "$(stat -c %u "$socket")" -f 'sleep 987654' >/dev/null; }
try_for 5 none_left
same "and is gone" 0 $?
[ "$(id -u)" != 0 ] || wanted=65534
same "without privileges" "+ ${wanted:-$(id -u)}" "$(ask 1 '100000 id -u')"
same "a word that is no request" "! no valid request" "$(ask 1 'hello')"

# --- URLs ---

if command -v curl >/dev/null; then
	mkdir "$dir/www" && echo 1234 >"$dir/www/metric"
	/usr/bin/python3 -u -m http.server --bind 127.0.0.1 --directory "$dir/www" 0 >"$dir/http.log" 2>&1 &
	pids+=($!)
	port_known() { port=$(sed -n 's/.* port \([0-9]*\) .*/\1/p' "$dir/http.log"); [ -n "$port" ]; }
	try_for 10 port_known
	same "a URL's number" "+ 1234" "$(ask 1 "100000 http://127.0.0.1:$port/metric")"
	begins "a URL that is not there" "! exit status 22: curl: " "$(ask 1 "100000 http://127.0.0.1:$port/none")"
else
	for name in "a URL's number" "a URL that is not there"; do n=$((n + 1)); echo "ok $n - $name # SKIP no curl"; done
fi

# --- a daemon ---

said=$(CB_SRC=$PWD CB_BUILD=$CB_BUILD tools/private-bus "$0" --inside "$gauge" "$socket" 2>&1)
same "a daemon takes the number" "number 0" "$(grep '^number' <<<"$said")"
same "and says that there is none, and goes on" "note 0 runs 0" "$(grep -E '^(note|runs)' <<<"$said" | paste -sd ' ')"
wait "$gauge"
same "the gauge ends when it is told" 0 $?
[ "$bad" = 0 ]
