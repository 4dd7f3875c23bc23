#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The unit files as systemd's own checkers see them: they load, their exposure stays below a limit (irqbalance's, which
# does a part of the same job, is scored in the same run for comparison), and each capability says what it is for.
set -u

cd "${CB_SRC:-$(dirname "$0")/../..}" || exit 1
CB_BUILD=${CB_BUILD:-$PWD/build}
private=${CB_PRIVATE:-$CB_BUILD/private}
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
n=0 bad=0

ok() { n=$((n + 1)); echo "ok $n - $1"; }
not_ok() {
	n=$((n + 1)) bad=$((bad + 1))
	echo "not ok $n - $1"
	printf '%s\n' "${@:2}" | sed 's/^/#   /'
}
skip() { n=$((n + 1)); echo "ok $n - $1 # SKIP $2"; }

# score UNIT-FILE - its exposure, 0.0 to 10.0
score() { systemd-analyze security --offline=yes --no-pager "$1" 2>/dev/null | sed -nE 's/.*exposure level for .*: ([0-9.]+) .*/\1/p'; }

# exposure UNIT LIMIT
exposure() {
	local name="the exposure of $1 is at most $2" value
	value=$(score "$work/$1")
	if [ -n "$value" ] && awk "BEGIN { exit !($value <= $2) }"; then
		ok "$name"
		echo "# $1: $value"
	else
		not_ok "$name" "is ${value:-unknown}" "$(systemd-analyze security --offline=yes --no-pager "$work/$1" 2>&1 | grep -v '✓')"
	fi
}

command -v systemd-analyze >/dev/null || { echo "1..0 # SKIP no systemd-analyze here"; exit 0; }
systemd-analyze security --help 2>/dev/null | grep -q -- --offline || { echo "1..0 # SKIP systemd older than 250"; exit 0; }

for unit in units/*.service.in; do
	sed -e "s|@s\?bindir@|$CB_BUILD|g" -e "s|@libexecdir@|$CB_BUILD|g" -e 's|@config@||' "$unit" >"$work/$(basename "$unit" .in)"
done
for unit in units/*.socket; do
	[ ! -e "$unit" ] || cp "$unit" "$work/"
done
units=$(cd "$work" && echo *)

echo "1..$(($(wc -w <<<"$units") + 7))"
for unit in $units; do
	# Only what is said about this file: units of the machine are not ours to judge.
	said=$(SYSTEMD_LOG_LEVEL=warning SYSTEMD_UNIT_PATH="$work:" systemd-analyze verify --man=no "$work/$unit" 2>&1 |
		grep -E "(^|/)cpubalance")
	if [ -z "$said" ]; then ok "$unit loads without a word"; else not_ok "$unit loads without a word" "$said"; fi
done

exposure cpubalanced.service 2.5
exposure cpubalanced-metrics.service 1.5
exposure cpubalanced-gauge.service 2.5
other=$(find "$private/irqbalance" -name irqbalance.service 2>/dev/null | head -n 1)
if [ -n "$other" ]; then
	mine=$(score "$work/cpubalanced.service") theirs=$(score "$other")
	echo "# irqbalance.service: $theirs"
	if awk "BEGIN { exit !(${mine:-11} < ${theirs:-0}) }"; then
		ok "it is less than that of irqbalance.service"
	else
		not_ok "it is less than that of irqbalance.service" "$mine and $theirs"
	fi
else
	skip "it is less than that of irqbalance.service" "its package could not be fetched"
fi

missing=
while read -r capability; do
	grep -q "^#   $capability  *[a-z]" "$work/cpubalanced.service" || missing+=" $capability"
done < <(sed -n 's/^CapabilityBoundingSet=//p' "$work/cpubalanced.service" | tr ' ' '\n')
if [ -z "$missing" ]; then ok "each capability says what it is for"; else not_ok "each capability says what it is for" "not:$missing"; fi

same=$(sed -n 's/^CapabilityBoundingSet=//p' "$work/cpubalanced-metrics.service")
if grep -qx 'CapabilityBoundingSet=' "$work/cpubalanced-metrics.service" && [ -z "$same" ] &&
	grep -qx 'DynamicUser=yes' "$work/cpubalanced-metrics.service"; then
	ok "who serves HTTP has no capability and is nobody"
else
	not_ok "who serves HTTP has no capability and is nobody" "capabilities: $same"
fi
if grep -Eq '^(ProtectKernelTunables=yes|ReadOnlyPaths=.*/(proc|sys))' "$work/cpubalanced.service"; then
	not_ok "interrupts stay writable" "$(grep -E '^(ProtectKernelTunables|ReadOnlyPaths)=' "$work/cpubalanced.service")"
else
	ok "interrupts stay writable"
fi
[ "$bad" = 0 ]
