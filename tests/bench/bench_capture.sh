#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# bench_capture.sh - the parser on the biggest capture of /proc/interrupts in the folder that CB_CORPUS= names (make bench DIR=...),
# as a ratio to a copy of it. Captures are not part of the project.
set -u
BUILD=${BUILD:-build}
[ -n "${CB_CORPUS:-}" ] || { echo "skip: no captures (DIR=)"; exit 0; }
dir=$(mktemp -d "${TMPDIR:-/tmp}/cpubalance-capture.XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
for file in "$CB_CORPUS"/interrupts/*; do
	case $file in
	*.bz2) bzcat "$file" >"$dir/next" ;;
	*) cp "$file" "$dir/next" ;;
	esac
	[ ! -e "$dir/biggest" ] || [ "$(wc -c <"$dir/next")" -gt "$(wc -c <"$dir/biggest")" ] && mv -f "$dir/next" "$dir/biggest"
done
[ -e "$dir/biggest" ] || { echo "skip: no interrupts/ below $CB_CORPUS"; exit 0; }
"$BUILD/tests/bench/bench_parse" "$dir/biggest"
