#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What org.cpubalance1(5) documents is what the daemon's introspection lists: each method with its arguments, each signal,
# each property with its type, of all three interfaces, and nothing more on either side.
set -u

cd "${CB_SRC:-$(dirname "$0")/../..}" || exit 1
CB_BUILD=${CB_BUILD:-$PWD/build}
export CB_SRC=$PWD CB_BUILD LC_ALL=C.UTF-8

if [ -z "${CB_BUS_ADDRESS:-}" ]; then
	exec tools/private-bus "$0"
fi

dir=$(mktemp -d "${TMPDIR:-/tmp}/cpubalance-introspect.XXXXXX") || exit 1
daemon='' worker=''
finish() {
	[ -n "$worker" ] && kill "$worker" 2>/dev/null
	[ -n "$daemon" ] && kill "$daemon" 2>/dev/null && wait "$daemon" 2>/dev/null
	rm -rf "$dir"
}
trap finish EXIT

n=0 bad=0
verdict() {
	n=$((n + 1))
	if [ -z "$2" ]; then
		echo "ok $n - $1"
	else
		echo "not ok $n - $1"
		# shellcheck disable=SC2001 # a prefix for each line
		sed 's/^/#   /' <<<"$2"
		bad=$((bad + 1))
	fi
}

# "method Name ss -> u", "signal Name us", "property Name s+" of an interface, sorted.
introspected() {
	busctl --address="$CB_BUS_ADDRESS" introspect org.cpubalance1 "$1" "$2" | awk '
		$2 == "method" { print "method", substr($1, 2), $3, "->", $4 }
		$2 == "signal" { print "signal", substr($1, 2), $3 }
		$2 == "property" { print "property", substr($1, 2), $3 ($NF == "emits-change" ? "+" : "") }' | sort
}

# The same from the page: `.BR Name "(s group) -> aa{sv}"` and `.B Name` before a line that begins with `(s+)`.
documented() {
	sed -e 's/\\-/-/g' docs/man/org.cpubalance1.5 | awk -v interface="$1" '
		# the types of "(s name, ah pidfds)"
		function types(list,   parts, i, k, word, ret) {
			gsub(/[()]/, "", list)
			k = split(list, parts, /, */)
			ret = ""
			for (i = 1; i <= k; i++) {
				split(parts[i], word, " ")
				ret = ret word[1]
			}
			return ret == "" ? "-" : ret
		}
		/^\.S[SH] Interface / { on = $3 == interface ":"; kind = "property" }
		/^\.SH \// || /^\.SH ERRORS/ { if ($0 !~ /cpubalance1$/) on = 0 }
		/^\.SS Reading/ { kind = "method"; on = interface == "org.cpubalance1.Manager" }
		/^\.SS Changing/ { kind = "method" }
		/^\.SS Signals/ { kind = "signal" }
		!on { next }
		kind == "property" && /^\.B / { name = $2; next }
		kind == "property" && /^\(/ && name != "" {
			print "property", name, substr($1, 2, length($1) - 2)
			name = ""
		}
		kind != "property" && /^\.BR / {
			line = $0
			sub(/^\.BR /, "", line)
			gsub(/"/, "", line)
			name = line
			sub(/[ (].*/, "", name)
			sub(/^[A-Za-z]+ */, "", line)
			split(line, side, / *-> */)
			print kind, name, types(side[1]) (kind == "method" ? " -> " types(side[2]) : "")
		}' | sort
}

compare() {
	introspected "$1" "$2" >"$dir/is"
	documented "$2" >"$dir/said"
	verdict "$2 is as org.cpubalance1(5) says" "$(
		[ -s "$dir/is" ] || echo "introspection of $1 lists nothing"
		diff "$dir/said" "$dir/is" | sed -n -e 's/^</documented only:/p' -e 's/^>/introspected only:/p')"
}

waited() {
	local i
	for ((i = 0; i < 300; i++)); do
		"$@" >/dev/null 2>&1 && return
		sleep 0.1
	done
	return 1
}

echo "1..3"
printf '[Manager]\nSampleIntervalSec=250ms\n[Group web]\nPIDFile=%s/web.pid\n' "$dir" >"$dir/test.conf"
sleep 600 &
worker=$!
echo "$worker" >"$dir/web.pid"
"$CB_BUILD/cpubalanced" --bus="$CB_BUS_ADDRESS" --config="$dir/test.conf" --run-dir="$dir/run" \
	--state-dir="$dir/state" --dry-run 2>"$dir/log" &
daemon=$!
waited busctl --address="$CB_BUS_ADDRESS" get-property org.cpubalance1 /org/cpubalance1/group/web \
	org.cpubalance1.Group Workers || { echo "Bail out! the daemon does not answer: $(cat "$dir/log")"; exit 1; }
compare /org/cpubalance1 org.cpubalance1.Manager
compare /org/cpubalance1/group/web org.cpubalance1.Group

# A plan object: order a move, in a dry run.
move() {
	busctl --address="$CB_BUS_ADDRESS" call org.cpubalance1 /org/cpubalance1 org.cpubalance1.Manager Move ss web/0 0 |
		grep -qx 'u 1'
}
if waited move; then
	compare /org/cpubalance1/plan/1 org.cpubalance1.Plan
else
	n=$((n + 1))
	echo "ok $n - org.cpubalance1.Plan is as org.cpubalance1(5) says # SKIP nowhere to move to: one CPU"
fi
[ "$bad" = 0 ]
