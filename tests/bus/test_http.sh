#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# cpubalanced-metrics on an activated socket, with a real cpubalanced on a bus of its own: what is served is well-formed in
# both formats, and a slow, a greedy or a malformed client harms nobody.
set -u

cd "${CB_SRC:-$(dirname "$0")/../..}" || exit 1
CB_BUILD=${CB_BUILD:-$PWD/build}
export CB_SRC=$PWD CB_BUILD LC_ALL=C.UTF-8
command -v systemd-socket-activate >/dev/null || { echo "1..0 # SKIP no systemd-socket-activate here"; exit 0; }
[ -n "${CB_BUS_ADDRESS:-}" ] || exec tools/private-bus "$0"

dir=$(mktemp -d "${TMPDIR:-/tmp}/cpubalance-http.XXXXXX") || exit 1
daemon='' http='' port='' others=()
finish() {
	local pid
	for pid in $daemon $http "${others[@]}"; do
		kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null
	done
	rm -rf "$dir"
}
trap finish EXIT

n=0 bad=0
ok() { n=$((n + 1)); echo "ok $n - $1"; }
not_ok() {
	n=$((n + 1)) bad=$((bad + 1))
	echo "not ok $n - $1"
	printf '%s\n' "${@:2}" | head -n 30 | sed 's/^/#   /'
}
skip() { n=$((n + 1)); echo "ok $n - $1 # SKIP $2"; }
same() { if [ "$2" = "$3" ]; then ok "$1"; else not_ok "$1" "wanted: $2" "is: $3"; fi; }
nothing() { if [ -z "$2" ]; then ok "$1"; else not_ok "$1" "$2"; fi; }

# request METHOD PATH [HEADER]... - the answer, head and all, without carriage returns
request() {
	local method=$1 path=$2
	shift 2
	exec 7<>"/dev/tcp/127.0.0.1/$port" || return 1
	{
		printf '%s %s HTTP/1.1\r\nHost: localhost\r\n' "$method" "$path"
		[ $# -eq 0 ] || printf '%s\r\n' "$@"
		printf '\r\n'
	} >&7
	timeout 20 cat <&7 | tr -d '\r'
	exec 7>&-
}
status_of() { request "$@" | head -n 1 | cut -d ' ' -f 2; }
body_of() { request "$@" | sed '1,/^$/d'; }

start_daemon() {
	"$CB_BUILD/cpubalanced" --bus="$CB_BUS_ADDRESS" --config="$dir/test.conf" --run-dir="$dir/run" \
		--state-dir="$dir/state" --dry-run 2>"$dir/log" &
	daemon=$!
	local i
	for ((i = 0; i < 300; i++)); do
		"$CB_BUILD/cpubalctl" --bus="$CB_BUS_ADDRESS" --json cpus 2>/dev/null | grep -q BusyRaw && return
		sleep 0.1
	done
	echo "Bail out! the daemon does not answer: $(cat "$dir/log")"
	exit 1
}

# On a port that nobody has; a port is taken at the bind, so another is tried where it fails.
start_http() {
	local i
	for ((i = 0; i < 20; i++)); do
		port=$((20000 + RANDOM % 20000))
		systemd-socket-activate -l "127.0.0.1:$port" "$CB_BUILD/cpubalanced-metrics" --bus="$CB_BUS_ADDRESS" 2>"$dir/http.log" &
		http=$!
		for ((j = 0; j < 50; j++)); do
			grep -qs 'Listening on' "$dir/http.log" && return
			kill -0 "$http" 2>/dev/null || break
			sleep 0.1
		done
	done
	echo "Bail out! no port to listen on: $(cat "$dir/http.log")"
	exit 1
}

echo "1..22"
printf '[Manager]\nSampleIntervalSec=250ms\nMetricsDetail=full\n' >"$dir/test.conf"
start_http
same "without a daemon it says so" 503 "$(status_of GET /metrics)"
start_daemon
sleep 0.6 # what was fetched, an error too, is kept for half a second

text=$(request GET /metrics)
same "the text is served" 200 "$(head -n 1 <<<"$text" | cut -d ' ' -f 2)"
same "its type is that of the format 0.0.4" "Content-Type: text/plain; version=0.0.4; charset=utf-8" "$(grep -i '^content-type' <<<"$text")"
nothing "the text is well-formed" "$(sed '1,/^$/d' <<<"$text" | awk -v openmetrics=0 -f tests/testlib/exposition.awk)"
open=$(request GET /metrics 'Accept: application/openmetrics-text; version=1.0.0; q=0.8, text/plain; version=0.0.4; q=0.5, */*;q=0.1')
same "OpenMetrics is served to who asks for it" "Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8" "$(grep -i '^content-type' <<<"$open")"
nothing "OpenMetrics is well-formed" "$(sed '1,/^$/d' <<<"$open" | awk -v openmetrics=1 -f tests/testlib/exposition.awk)"
same "text is served to who likes it better" "Content-Type: text/plain; version=0.0.4; charset=utf-8" \
	"$(request GET /metrics 'Accept: application/openmetrics-text;q=0.3,text/plain;q=0.9' | grep -i '^content-type')"
# The set of series grows while the daemon is young (rates need two ticks) and with what it finds, so OpenMetrics is compared
# with the text where the text was the same before and after it.
series_of() { body_of GET /metrics "$@" | grep -v '^#' | sed 's/ [^ ]*$//' | sort | cksum; }
for ((i = 0; i < 30; i++)); do
	before=$(series_of)
	between=$(series_of 'Accept: application/openmetrics-text')
	sleep 0.6 # what was fetched is kept for half a second, for each format by itself
	after=$(series_of)
	[ "$before" != "$after" ] || break
done
same "both have the same series" "$before $after" "$between $between"

if command -v promtool >/dev/null; then
	nothing "promtool accepts the text" "$(body_of GET /metrics | promtool check metrics 2>&1)"
else
	skip "promtool accepts the text" "no promtool here"
fi
if /usr/bin/python3 -c 'import prometheus_client.openmetrics.parser' 2>/dev/null; then
	nothing "python3-prometheus-client accepts OpenMetrics" "$(sed '1,/^$/d' <<<"$open" | /usr/bin/python3 -c '
import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse
try: print(end="" if len(list(parse(sys.stdin.read()))) > 10 else "too few families")
except Exception as e: print(repr(e))' 2>&1)"
else
	skip "python3-prometheus-client accepts OpenMetrics" "no python3-prometheus-client here"
fi

# --- what is not served ---
same "there is nothing else" 404 "$(status_of GET /../../etc/passwd)"
same "a query does not matter" 200 "$(status_of GET '/metrics?x=1')"
same "HEAD has no body" "200 0" "$(status_of HEAD /metrics) $(body_of HEAD /metrics | wc -c)"
same "nothing can be posted" 405 "$(status_of POST /metrics 'Content-Length: 0')"
posted=$(exec 7<>"/dev/tcp/127.0.0.1/$port"
	printf 'POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n%100000s' x >&7 2>/dev/null
	timeout 20 head -n 1 <&7 | cut -d ' ' -f 2)
same "an upload is read and refused" 405 "$posted"
garbage=$(exec 7<>"/dev/tcp/127.0.0.1/$port"; head -c 3000 /dev/urandom | tr -d '\n' >&7; printf '\r\n\r\n' >&7; timeout 20 head -c 12 <&7 | tr -d '\0')
case $garbage in
'' | 'HTTP/1.'*) ok "garbage is refused" ;;
*) not_ok "garbage is refused" "$garbage" ;;
esac
long=$(exec 7<>"/dev/tcp/127.0.0.1/$port"; printf 'GET /%100000s HTTP/1.1\r\n\r\n' x 2>/dev/null | tr ' ' a >&7 2>/dev/null; timeout 20 head -n 1 <&7 | cut -d ' ' -f 2)
case $long in
4* | 5* | '') ok "a head without end is refused" ;;
*) not_ok "a head without end is refused" "$long" ;;
esac
same "it serves on" 200 "$(status_of GET /metrics)"

# --- slow and greedy ---
# More connections than it has places for, each with the beginning of a request.
for ((i = 0; i < 40; i++)); do
	(exec 7<>"/dev/tcp/127.0.0.1/$port" 2>/dev/null && printf 'GET /met' >&7 && timeout 30 cat <&7 >/dev/null) &
	others+=($!)
done
same "the silent give their places up" 200 "$(status_of GET /metrics)"
# A byte now and then, so that it is never silent.
(
	trap '' PIPE
	exec 7<>"/dev/tcp/127.0.0.1/$port"
	printf 'GET /metrics HTTP/1.1\r\nX: ' >&7
	while printf a >&7 2>/dev/null; do sleep 1; done
	echo ended >"$dir/slow"
) 2>/dev/null &
others+=($!)
for ((i = 0; i < 300; i++)); do [ -e "$dir/slow" ] && break; sleep 0.1; done
if [ -e "$dir/slow" ]; then ok "the slow are ended"; else not_ok "the slow are ended" "still connected"; fi

# Many in a row: the daemon is asked at most twice a second for each format.
ticks() { "$CB_BUILD/cpubalctl" --bus="$CB_BUS_ADDRESS" status >/dev/null && echo yes; }
failures=0
for ((i = 0; i < 300; i++)); do [ "$(status_of GET /metrics)" = 200 ] || failures=$((failures + 1)); done
same "300 requests in a row are answered" 0 "$failures"
same "the daemon is none the worse" yes "$(ticks)"
[ "$bad" = 0 ]
