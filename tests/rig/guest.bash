# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# guest.bash - what the tests inside the test machines share, to be sourced in the job's directory: the tool, the
# configuration, workers, and cases that are told as TAP. tests/testlib/loop.bash lies beside it.

CB_BUILD=/usr/bin # for loop.bash, whose sessions and buses are not needed here
# shellcheck source=tests/testlib/loop.bash
. ./loop.bash
loop_dir=/tmp/rig
mkdir -p $loop_dir

# shellcheck disable=SC2034 # for the callers
SRC=/job/src DROPINS=/etc/cpubalanced/cpubalanced.conf.d

say() { echo "# $*"; }

# must CMD... - a step of a case; says which one failed
must() {
	"$@" && return
	say "failed: $*"
	return 1
}

# mustnt CMD... - the same for what has to fail
mustnt() {
	"$@" || return 0
	say "succeeded: $*"
	return 1
}

# quietly CMD... - what it prints is shown when it fails
quietly() { "$@" >$loop_dir/out 2>&1 || { sed 's/^/#   /' $loop_dir/out; return 1; }; }

# is VALUE WANTED - as a step, says both
is() { [ "$1" = "$2" ] || { say "is '$1', should be '$2'"; return 1; }; }

# status_is N CMD... - the command's exit status
status_is() {
	local want=$1 rc
	shift
	"$@" >$loop_dir/out 2>&1
	rc=$?
	[ $rc = "$want" ] && return
	say "exit status $rc, should be $want: $*"
	sed 's/^/#   /' $loop_dir/out
	return 1
}

# await SECONDS CMD... - as loop_try, but looks less often: under emulation each look costs
await() {
	local until=$((SECONDS + $1 + 1))
	shift
	until "$@"; do
		[ "$SECONDS" -lt "$until" ] || return 1
		sleep 2
	done
}

as_tester() { runuser -u tester -- "$@"; }

ctl() { cpubalctl "$@"; }

# reply VERB... - what the tool says as lines "Key=value"
reply() { ctl --json "$@" 2>/dev/null | json_flat; }

# field KEY VERB... - one value of it
field() {
	local key=$1
	shift
	json_of "$(reply "$@")" "$key"
}

# configure NAME - standard input becomes a drop-in of the configuration
configure() { mkdir -p $DROPINS && cat >"$DROPINS/$1.conf"; }

cpus_of() { awk '/^Cpus_allowed_list:/ { print $2 }' "/proc/$1/status"; }

# workers N OPTION... - N workers of a small server; their pids are in ${w[*]}, their parent is $server
workers() {
	local n=$1
	shift
	rm -f $loop_dir/web.pid
	./tools/rpserv --workers "$n" --port 8080 --pid-file $loop_dir/web.pid "$@" >$loop_dir/rpserv.log 2>&1 &
	server=$!
	loop_try 20 test -s $loop_dir/web.pid || { cat $loop_dir/rpserv.log; return 1; }
	# shellcheck disable=SC2034 # for the caller
	mapfile -t w <$loop_dir/web.pid
}

# hogs N [OPTION...] - N processes that want 60 % of CPU 0 each and are allowed no other, in a network namespace where
# nothing is sent; their pids are in ${hogs[*]}
hogs() {
	local i n=$1
	shift
	hogs=()
	for ((i = 0; i < n; i++)); do
		unshare --net taskset -c 0 ./tools/burn --cpus 0 --duty 60 --seconds 900 "$@" >/dev/null &
		hogs+=($!)
	done
	sleep 1
	must loop_all_on 0 "${hogs[@]}"
}

no_hogs() {
	kill "${hogs[@]}" 2>/dev/null
	wait "${hogs[@]}" 2>/dev/null
}

no_workers() {
	[ -n "${server:-}" ] || return 0
	kill "$server" 2>/dev/null
	wait "$server" 2>/dev/null
	server=
}

main_pid() { systemctl show -P MainPID cpubalanced; }

# run_cases NAME... - each is a function; where the file "cases" has names, those are run. A case may set $skip to a reason, or
# $todo to what is known to be missing; when one that sets $vital fails, it is the last.
run_cases() {
	local i=0 name skip vital todo failed=0 rc begun
	# shellcheck disable=SC2046 # names
	[ ! -s ./cases ] || set -- $(cat ./cases)
	echo "1..$#"
	for name; do
		i=$((i + 1)) skip='' vital='' todo='' begun=$(uptime_ds)
		"$name"
		rc=$?
		say "$name: $((($(uptime_ds) - begun) / 10)) s of the guest's time"
		if [ $rc = 0 ]; then
			echo "ok $i - $name${skip:+ # SKIP $skip}"
			continue
		fi
		if [ -n "$todo" ]; then
			echo "not ok $i - $name # TODO $todo"
			continue
		fi
		{
			cpubalctl status
			cpubalctl workers
			journalctl -q --no-pager -o short-monotonic -t cpubalanced -n 25
		} 2>&1 | sed 's/^/#   /'
		echo "not ok $i - $name"
		failed=1
		[ -z "$vital" ] || { echo "Bail out! nothing more can be tried"; break; }
	done
	return $failed
}

# Tenths of a second since the boot.
uptime_ds() { awk '{ printf "%d", $1 * 10 }' /proc/uptime; }
