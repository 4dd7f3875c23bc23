#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# cpubalctl against a real cpubalanced on a bus of its own: each verb with good and bad input, its exit code, and one
# clear line for each error. Works on two sleeping processes of its own; what it places it releases.
set -u

cd "${CB_SRC:-$(dirname "$0")/../..}" || exit 1
CB_BUILD=${CB_BUILD:-$PWD/build}
export CB_BUILD LC_ALL=C.UTF-8 TZ=UTC
unset COLUMNS NO_COLOR

if [ -z "${CB_CTL_DIR:-}" ]; then
	# Another user has to reach the bus and the tool: not below a private TMPDIR.
	CB_CTL_DIR=$(mktemp -d /tmp/cpubalance-ctl.XXXXXX) || exit 1
	chmod 755 "$CB_CTL_DIR"
	export CB_CTL_DIR
	TMPDIR=$CB_CTL_DIR tools/private-bus "$0"
	rc=$?
	rm -rf "$CB_CTL_DIR"
	exit $rc
fi

root=$([ "$(id -u)" = 0 ] && echo yes)
install -m 755 "$CB_BUILD/cpubalctl" "$CB_CTL_DIR/cpubalctl" || exit 1
ctl=("$CB_CTL_DIR/cpubalctl" "--bus=$CB_BUS_ADDRESS")
n=0 bad=0 daemon='' sleepers=()

finish() {
	[ -n "$daemon" ] && kill "$daemon" 2>/dev/null && wait "$daemon" 2>/dev/null
	[ "${#sleepers[@]}" -eq 0 ] || kill "${sleepers[@]}" 2>/dev/null
}
trap finish EXIT

ok() { n=$((n + 1)); echo "ok $n - $1"; }
not_ok() {
	n=$((n + 1)) bad=$((bad + 1))
	echo "not ok $n - $1"
	printf '%s\n' "${@:2}" | sed 's/^/#   /'
}
skip() { n=$((n + 1)); echo "ok $n - $1 # SKIP $2"; }

# run NAME STATUS PATTERN ARGUMENT... - the exit code, and an extended regular expression in standard output (for 0) or in
# the single line of standard error (else). RUN, when set, is put before the command.
RUN=()
run() {
	local name=$1 status=$2 pattern=$3 out err rc lines
	shift 3
	out=$("${RUN[@]}" "${ctl[@]}" "$@" 2>"$CB_CTL_DIR/err")
	rc=$?
	err=$(cat "$CB_CTL_DIR/err")
	lines=$(wc -l <"$CB_CTL_DIR/err")
	if [ "$rc" != "$status" ]; then
		not_ok "$name" "exit status $rc, expected $status" "$out" "$err"
	elif [ "$status" = 0 ] && ! grep -qE -- "$pattern" <<<"$out"; then
		not_ok "$name" "no line matches $pattern" "$out"
	elif [ "$status" = 0 ] && [ "$lines" != 0 ]; then
		not_ok "$name" "an error was printed" "$err"
	elif [ "$status" != 0 ] && { [ "$lines" != 1 ] || ! grep -qE -- "$pattern" <<<"$err"; }; then
		not_ok "$name" "not one line that matches $pattern" "$err"
	else
		ok "$name"
	fi
}

json() { # json NAME ARGUMENT... - the answer begins and ends as JSON does
	local name=$1 out
	shift
	if out=$("${ctl[@]}" --json "$@" 2>&1) && grep -qE '^[[{"]' <<<"${out:0:1}" && grep -qE '[]}"]$' <<<"${out: -1}"; then
		ok "$name"
	else
		not_ok "$name" "$out"
	fi
}

as_root() { # the same as run; needs root
	if [ "$root" ]; then run "$@"; else skip "$1" "needs root"; fi
}

as_nobody() {
	if [ "$root" ]; then
		RUN=(setpriv --reuid=nobody --regid=nogroup --clear-groups)
		run "$@"
		RUN=()
	else
		skip "$1" "needs root, to become somebody else"
	fi
}

until_true() { # wait for a condition; bounded, and no verdict depends on how long it took
	local i
	for ((i = 0; i < 300; i++)); do
		"$@" >/dev/null 2>&1 && return 0
		sleep 0.1
	done
	return 1
}

echo "1..108"

# --- command lines ---
run "help lists the commands" 0 '^  status ' --help
run "the version is said" 0 '^cpubalctl [0-9]+\.' --version
run "no command is an error" 2 'say what to do'
run "an unknown command is an error" 2 'no such command: frob' frob
run "an unknown option is an error" 2 'no such option: --frob' --frob status
run "an unknown option of a command is an error" 2 'status: no such option: --all' status --all
run "a superfluous argument is an error" 2 "unexpected argument '3'" status 3
run "a bus that is no address is an error" 2 'expected system, session or an address' --bus=nowhere status
run "a bus that is not there is no daemon" 3 'cannot be reached' --bus=unix:path=/nonexistent/bus status
for verb in $("${ctl[@]}" --help | awk '/^Commands/ { on = 1; next } on && /^[^ ]/ { on = 0 } on && /^  [a-z]/ { print $1 }'); do
	text=$("${ctl[@]}" "$verb" --help) && grep -q "^Usage: cpubalctl $verb" <<<"$text" &&
		grep -q '^Exit codes:' <<<"$text" && grep -q '^Example:' <<<"$text" || helpless="${helpless:-} $verb"
done
if [ -z "${helpless:-}" ]; then ok "each command has help"; else not_ok "each command has help" "not: $helpless"; fi

# --- no daemon ---
for verb in status cpus plan monitor reload; do
	run "$verb without a daemon" 3 '^cpubalctl: cpubalanced is not running \(start it with: systemctl start cpubalanced\)$' "$verb"
done

# --- a daemon ---
mkdir "$CB_CTL_DIR/run" "$CB_CTL_DIR/lib"
printf '[Manager]\nMode=auto\nSampleIntervalSec=250ms\n[Verify]\nVerifyWindows=6\nSettleSec=5min\n' >"$CB_CTL_DIR/conf"
"$CB_BUILD/cpubalanced" --bus="$CB_BUS_ADDRESS" --config="$CB_CTL_DIR/conf" --run-dir="$CB_CTL_DIR/run" \
	--state-dir="$CB_CTL_DIR/lib" >"$CB_CTL_DIR/log" 2>&1 &
daemon=$!
sleep 600 & sleepers+=($!)
sleep 600 & sleepers+=($!)
measured() { "${ctl[@]}" cpus | grep -qE '^ +[0-9]+ .* (cool|warm|hot) '; }
if until_true measured; then
	ok "the daemon measures"
else
	not_ok "the daemon measures" "$(tail -n 5 "$CB_CTL_DIR/log")"
fi

run "status has a headline, a version and a mode" 0 '^(OK|ATTENTION|STARTING|PAUSED) .*cpubalanced [0-9.]+ +auto' status
run "status says how to register" 0 '^HARM +no worker is registered' status
run "cpus" 0 '^CPU +NODE +HEAT +BUSY%' cpus
run "irqs" 0 '^ *(IRQ +NAME|no interrupt|[0-9]+ idle)' irqs
run "irqs --all" 0 '^ *(IRQ +NAME|no interrupt)' irqs --all
run "groups of nobody" 0 '^no group is registered' groups
run "workers of nobody" 0 '^no worker is registered' workers
run "changes of nobody" 0 '^nothing is changed' changes
run "changes --shell of nobody" 0 '^$' changes --shell
run "changes --permanent of nobody" 0 '^# nothing is changed' changes --permanent
run "plan --permanent of nobody" 0 '^# nothing would be moved$' plan --permanent
run "plan of nobody" 0 '^No plan is made' plan
run "history of nobody" 0 '^no plan in this time' history
run "history since a span" 0 '^no plan in this time' history --since=2h
run "history since a date" 0 '^no plan in this time' history --since 2020-01-01T00:00:00Z
run "history since nonsense" 2 "since 'soon' is not a span such as" history --since soon
run "history of others" 0 '^nobody else has changed' history --foreign
run "sources" 0 '^cpu-times ' sources
run "metrics" 0 '^cpubalance_up 1$' metrics
run "explain the hottest" 0 '^CPU [0-9]+ ' explain
run "explain a CPU" 0 '^CPU 0 ' explain 0
run "explain no number" 2 "CPU 'x' is not a number between 0 and 4095" explain x
run "explain a CPU that is not there" 2 . explain 4095
run "workers of an unknown group" 5 'no group nosuch' workers nosuch
for verb in status cpus irqs groups workers changes plan history sources explain metrics; do
	json "$verb --json is JSON" "$verb"
done

# As the page's section JSON says: an array of objects, an object with certain keys, or a string.
shapes() {
	local verb
	for verb in cpus irqs groups workers changes history sources config discover; do
		"${ctl[@]}" --json $verb | /usr/bin/python3 -c 'import json, sys
rows = json.load(sys.stdin)
sys.exit(not (isinstance(rows, list) and all(isinstance(row, dict) for row in rows)))' || echo "$verb: is no array of objects"
	done
	for verb in plan:Id,Steps,Refusals explain:CPU,Rows status:Manager,CPUs,Workers,Interrupts,Findings,Plan; do
		"${ctl[@]}" --json ${verb%:*} | /usr/bin/python3 -c 'import json, sys
reply = json.load(sys.stdin)
sys.exit(not all(key in reply for key in sys.argv[1].split(",")))' "${verb#*:}" || echo "${verb%:*}: has not ${verb#*:}"
	done
	"${ctl[@]}" --json metrics | /usr/bin/python3 -c 'import json, sys; sys.exit(not isinstance(json.load(sys.stdin), str))' ||
		echo "metrics: is no string"
}
if [ -x /usr/bin/python3 ]; then
	wrong=$(shapes 2>&1)
	if [ -z "$wrong" ]; then ok "the answers are of the documented shapes"; else not_ok "the answers are of the documented shapes" "$wrong"; fi
else
	skip "the answers are of the documented shapes" "no python3 here"
fi

# --- registering ---
run "register without a pid" 2 'name at least one pid' register web
run "register a bad name" 2 "'a/b' is not a group's name" register a/b 1
run "register a bad pid" 2 "pid '1x' is not a number" register web 1x
run "register a pid that is not there" 5 'pid 4194304: no such process' register web 4194304
run "register on bad CPUs" 2 "allowed-cpus 'x' is not a list of CPUs" register web "${sleepers[0]}" --allowed-cpus=x
run "register in a bad mode" 2 "'fast' is not a mode: auto, advise or observe" register web "${sleepers[0]}" --mode=fast
run "register with a bad placement" 2 "'near' is not auto or core" register web "${sleepers[0]}" --placement=near
as_nobody "register as nobody" 4 'not permitted' register web "${sleepers[0]}"
as_root "register" 0 '^web: 1 process registered$' register web "${sleepers[0]}" --mode=observe
as_root "register one more" 0 '^web: 1 process registered$' register web "${sleepers[1]}"
as_root "the group is shown" 0 '^web +observe +2 +0 ' groups
as_root "its workers are shown" 0 "^web/1 +${sleepers[1]} +sleep " workers web
as_root "workers by a file" 0 '^web: workers by /nonexistent/pid$' register web --pid-file=/nonexistent/pid
command_line() { "${RUN[@]}" "${ctl[@]}" --json workers web | grep -o '"CommandLine": *"[^"]*"' | head -n 1; }
if [ "$root" ]; then
	seen=$(command_line)
	if grep -q '"sleep 600"' <<<"$seen"; then ok "root sees command lines"; else not_ok "root sees command lines" "$seen"; fi
	RUN=(setpriv --reuid=nobody --regid=nogroup --clear-groups)
	seen=$(command_line)
	if [ -z "$seen" ]; then ok "nobody sees no command line of root's"; else not_ok "nobody sees no command line of root's" "$seen"; fi
	RUN=()
else
	skip "root sees command lines" "needs root"
	skip "nobody sees no command line of root's" "needs root"
fi
# more than a message bus takes in one message
many=()
for ((i = 0; i < 20; i++)); do sleep 600 & many+=($!); done
sleepers+=("${many[@]}")
as_root "register twenty at once" 0 '^many: 20 processes registered$' register many "${many[@]}" --mode=observe
as_root "all twenty are there" 0 '^many +observe +20 +0 ' groups
kill "${many[@]}"

# --- modes and pauses ---
run "a bad mode" 2 "'fast' is not a mode" mode fast
as_nobody "mode as nobody" 4 'not permitted' mode advise
as_root "mode of an unknown group" 5 'no group nosuch' mode nosuch advise
as_root "mode of a group" 0 '^web is in mode auto$' mode web auto
as_root "mode of all" 0 '^cpubalanced is in mode advise$' mode advise
as_root "status shows the mode" 0 'cpubalanced [0-9.]+ +advise' status
as_root "mode back" 0 '^cpubalanced is in mode auto$' mode auto
run "pause for nonsense" 2 "for 'soon' is not a time span" pause --for=soon
run "pause for no time" 2 'no time at all' pause --for=0
as_nobody "pause as nobody" 4 'not permitted' pause
as_root "pause for a while" 0 '^paused for 10 min$' pause --for=10min
as_root "status shows the pause" 0 'paused for (10 min|9 min)' status
as_root "resume" 0 '^resumed$' resume

# --- acting ---
first=$(awk '/^Cpus_allowed_list/ { split($2, a, /[-,]/); print a[1] }' /proc/self/status)
original=$(awk '/^Cpus_allowed_list/ { print $2 }' "/proc/${sleepers[0]}/status")
placed() { [ "$(awk '/^Cpus_allowed_list/ { print $2 }' "/proc/${sleepers[0]}/status")" = "$1" ]; }
changed() { "${ctl[@]}" changes | grep -q '^web/0 '; }
run "move to nonsense" 2 "CPULIST '3-' is not a list of CPUs" move web/0 3-
as_root "move nobody's worker" 5 'no registered worker web/9' move web/9 "$first"
as_nobody "move as nobody" 4 'not permitted' move web/0 "$first"
as_nobody "release as nobody" 4 'not permitted' release --all
run "apply no number" 2 "plan 'x' is not a number" apply x
as_root "apply where nothing is proposed" 5 . apply
as_root "apply an unknown plan" 5 . apply 4000000
as_root "rollback where nothing is kept" 5 . rollback
if [ "$root" ] && [ "$original" != "$first" ]; then
	"${ctl[@]}" monitor >"$CB_CTL_DIR/monitor" 2>&1 &
	monitor=$!
	run "move" 0 '^plan #[0-9]+: watch it' move web/0 "$first"
	run "the plan is shown" 0 '^Plan #[0-9]+: .*ordered by an operator' plan
	run "the plan as commands" 0 "^taskset .*${sleepers[0]}" plan --shell
	until_true placed "$first"
	until_true changed
	run "a move while another is verified is refused" 6 . move web/1 "$first"
	run "the change is shown" 0 "^web/0 \(tid ${sleepers[0]}\) +web +$original +$first +[0-9]+ +changed" changes
	run "the change as a command" 0 "^taskset .*${sleepers[0]}" changes --shell
	run "the change as configuration" 0 '^# [0-9]+ of 2 workers belong to no service|^CPUAffinity=[0-9]' changes --permanent
	run "release of a group" 0 '^restored 1' release web
	heard() { grep -qE '^[0-9:]+  Plan(Applied|Ended) ' "$CB_CTL_DIR/monitor"; }
	if until_true heard; then ok "monitor tells of the plan"; else not_ok "monitor tells of the plan" "$(cat "$CB_CTL_DIR/monitor")"; fi
	kill "$monitor"
	if placed "$original"; then ok "the mask is the original"; else not_ok "the mask is the original"; fi
else
	for name in "move" "the plan is shown" "the plan as commands" "a move while another is verified is refused" "the change is shown" \
		"the change as a command" "the change as configuration" "release of a group" "monitor tells of the plan" "the mask is the original"; do
		skip "$name" "needs root and two CPUs"
	done
fi
run "release of nothing in particular" 2 'name a GROUP, or say --all' release
run "release of a group and all" 2 'not both' release web --all
as_root "release of an unknown group" 5 'no group nosuch' release nosuch
as_root "release of all, and a pause" 0 '^restored [0-9]+.*; paused until cpubalctl resume$' release --all --pause
as_nobody "reload as nobody" 4 'not permitted' reload
as_root "reload" 0 '^the configuration is read anew$' reload
as_root "unregister an unknown group" 5 'no group nosuch' unregister nosuch
as_root "unregister" 0 '^web: released and forgotten$' unregister web

[ "$bad" = 0 ]
