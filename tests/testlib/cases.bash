# shellcheck shell=bash disable=SC2119,SC2120,SC2154
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# cases.bash - what the system tests in shell share on top of loop.bash: the steps of a case, and running CASES as TAP. A case is a
# function of that name; it says what went wrong, or sets $skip. To be sourced by way of pinned.bash or servers.bash, which say what
# a machine needs for them (stage_needs) and what is shown of the daemon when a case fails (show_stage).

# shellcheck source=tests/testlib/loop.bash
. tests/testlib/loop.bash

# The private test servers; and what Debian keeps from who is not root.
CB_PRIVATE=${CB_PRIVATE:-$CB_BUILD/private}
export CB_PRIVATE
PATH=$CB_PRIVATE/bin:$PATH:/usr/sbin:/sbin

# The first cases, up to this number, leave everything running for the next one.
cases_sharing=${cases_sharing:-0}

# --- steps ------------------------------------------------------------------------------------------

say() { echo "# $*"; }

# must CMD... - a step of a case; says which one failed
must() {
	"$@" && return
	say "failed: $*"
	return 1
}

quietly() { "$@" >"$loop_dir/out" 2>&1 || { sed 's/^/#   /' "$loop_dir/out"; return 1; }; }

# have PROGRAM - or the case is skipped
have() {
	command -v "$1" >/dev/null 2>&1 && return
	skip="no $1 here"
	return 1
}

# clear_stage - after each case; a script that has more of its own to put away says so in clear_more
clear_stage() {
	[ -n "$loop_daemon" ] && loop_daemon_stop
	loop_stop_all "$loop_net"
	# A case may have put a file system there, in a mount namespace of its own.
	mountpoint -q "$loop_dir/run" && umount -l "$loop_dir/run"
	rm -rf "$loop_dir/run" "$loop_dir/state" "$loop_dir/nginx" "$loop_dir"/*.pid
	clear_more
}
clear_more() { :; }

# --- run --------------------------------------------------------------------------------------------

# one_case NUMBER NAME
one_case() {
	local skip=''
	: >"$loop_dir/daemon.log"
	if "$2"; then
		echo "ok $1 - $2${skip:+ # SKIP $skip}"
	else
		show_stage 2>&1 | sed 's/^/#   /'
		sed 's/^/# daemon: /' "$loop_dir/daemon.log"
		echo "not ok $1 - $2"
	fi
	[ "$1" -le "$cases_sharing" ] || clear_stage
}

# run_cases NAME... - no case can change which one is next: neither the arguments of a function nor what is read-only are within its reach.
run_cases() {
	local -r n_cases=$#
	trap 'trap "" INT TERM HUP; loop_end' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
	loop_begin || exit 1
	if ! loop_net_start; then
		echo "1..0 # SKIP no network namespace can be made here"
		exit 0
	fi
	echo "1..$n_cases"
	while [ $# -gt 0 ]; do
		one_case $((n_cases - $# + 1)) "$1"
		shift
	done
}

# cases_main SCRIPT ARG... - the rest of a test script: SCRIPT again, on a private bus, with the cases named, or all of CASES.
cases_main() {
	local script=$1 skip=''
	shift
	if [ "${1:-}" = --inside ]; then
		shift
		[ $# -gt 0 ] || set -- "${CASES[@]}"
		run_cases "$@"
		exit
	fi
	if [ "$(id -u)" != 0 ]; then
		echo "1..0 # SKIP needs root, to see and to move what other users run"
		exit 0
	fi
	stage_needs || { echo "1..0 # SKIP $skip"; exit 0; }
	loop_session "$script" --inside "$@"
}
