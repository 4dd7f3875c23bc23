#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# test_giant.sh - daemon and tool on machines of many CPUs that do not exist (tests/tools/giant): as --sysroot, where
# everything is looked at and nothing can be written, and in the place of the real /proc and /sys, where interrupts
# are really moved, refused and put back.
# shellcheck disable=SC2317 # cases are called by name
set -u

CB_SRC=${CB_SRC:-$(cd "$(dirname "$0")/../.." && pwd)}
CB_BUILD=${CB_BUILD:-$CB_SRC/build}
export CB_SRC CB_BUILD
cd "$CB_SRC" || exit 1
# shellcheck source=tests/testlib/loop.bash
. tests/testlib/loop.bash

CASES=(
	"a_thousand_cpus_are_shown_each_in_its_place"
	"a_thousand_cpus_are_answered_for_cheaply"
	"holes_and_slow_cores_are_shown"
	"a_capture_is_the_same_machine"
	"a_capture_of_this_machine_is_one_and_says_nothing_of_its_processes"
	"writes_are_refused_as_a_kernel_refuses_them"
	"hot_interrupts_are_moved_and_put_back"
	"what_a_driver_requests_anew_is_placed_again"
)

say() { echo "# $*"; }

# must CMD... - a step of a case; says which one failed
must() {
	"$@" && return
	say "failed: $*"
	return 1
}

is() { [ "$1" = "$2" ] || { say "is '$1', should be '$2'"; return 1; }; }

reply() { ctl --json "$@" | json_flat; }

conf() {
	cat >"$loop_dir/test.conf" <<-END
		[Manager]
		SampleIntervalSec=250ms
		[Detect]
		HotHarmSec=1s
		HotNoHarmSec=1s
		SmoothSec=500ms
		[Plan]
		QuietStartSec=0s
		CooldownSec=1s
		MovesPerHour=1000
		[Verify]
		SettleSec=250ms
		VerifyWindows=6
		VerifyWindowsMax=6
		[Group web]
		PIDFile=$loop_dir/web.pid
		Interfaces=eth0 eth1 lan0
	END
}

# --- machines -----------------------------------------------------------------------------------------
# Each of these runs a function of this file again, inside of giant, where the machine is.

# on MACHINE_OPTION... -- FUNCTION
on() {
	local machine=()
	while [ "$1" != -- ]; do
		machine+=("$1")
		shift
	done
	mkdir -p "$loop_dir/machine"
	"$loop_tools/giant" "${machine[@]}" "$loop_dir/machine" "$0" --on-machine "$loop_dir" "$2"
}

# daemon OPTION... - and it has seen the machine more than once
daemon() {
	conf
	must loop_daemon_start "$loop_dir/test.conf" "$@" && must loop_try 60 sampled
}
sampled() { json_row "$(reply cpus)" "" CPU=0 | grep -q 'BusyRaw='; }

THOUSAND=(--cpus 1024 --nodes 8 --nics 8 --queues 64 --start 16 --load 2 --workers 64 --worker-cpus 0-15 --isolated 1000-1003)

a_thousand_cpus_are_shown_each_in_its_place() { on "${THOUSAND[@]}" -- thousand_shown; }
thousand_shown() {
	local cpus
	seq 1001 1064 >"$loop_dir/web.pid"
	daemon --sysroot "$loop_dir/machine" || return 1
	cpus=$(reply cpus)
	must is "$(json_of "$(reply status)" Manager.CPUs)" 1024 &&
		must json_row "$cpus" "" CPU=0 Node=0 Package=0 Core=0 LLC=0 Isolated=false >/dev/null &&
		must json_row "$cpus" "" CPU=513 Node=0 Package=0 Core=1 LLC=0 Isolated=false >/dev/null &&
		must json_row "$cpus" "" CPU=500 Node=7 Package=3 Core=500 LLC=496 >/dev/null &&
		must json_row "$cpus" "" CPU=1001 Node=7 Package=3 Core=489 LLC=488 Isolated=true >/dev/null &&
		must is "$(json_rows "$cpus" "" | wc -l)" 1024 &&
		must is "$(reply irqs | grep -c '\.Interface=eth')" 512 &&
		must json_row "$(reply irqs)" "" Name=eth1-TxRx-3 Interface=eth1 Group=web Movable=true >/dev/null &&
		must loop_try 30 workers_are 64
}
workers_are() { [ "$(json_of "$(reply status)" Manager.Workers)" = "$1" ]; }

# cpu_ticks PID - CPU time so far in hundredths of a second
cpu_ticks() { awk '{ sub(/.*\) /, ""); print $12 + $13 }' "/proc/$1/stat"; }

# What an answer costs in CPU time, of daemon and tool, with the looks at the machine that fall into it.
a_thousand_cpus_are_answered_for_cheaply() { on "${THOUSAND[@]}" -- thousand_cheap; }
thousand_cheap() {
	local verb before spent rc=0
	seq 1001 1064 >"$loop_dir/web.pid"
	daemon --sysroot "$loop_dir/machine" && must loop_try 30 workers_are 64 && must loop_try 60 has_plan || return 1
	for verb in status cpus irqs explain plan; do
		before=$(($(cpu_ticks "$loop_daemon") + $(children_ticks)))
		ctl $verb >"$loop_dir/out" || { cat "$loop_dir/out"; return 1; }
		spent=$(($(cpu_ticks "$loop_daemon") + $(children_ticks) - before))
		say "$verb: $((spent * 10)) ms of CPU time"
		[ $spent -lt 100 ] || { say "$verb needs a second or more"; rc=1; }
	done
	return $rc
}
has_plan() { reply plan | grep -q '^Steps\.0\.'; }
children_ticks() { awk '{ sub(/.*\) /, ""); print $14 + $15 }' "/proc/$$/stat"; }

holes_and_slow_cores_are_shown() {
	on --cpus 256 --nodes 2 --threads 1 --holes 5 --slow 50 --isolated 7 --start 4 --load 1 -- holes_shown
}
holes_shown() {
	local cpus
	: >"$loop_dir/web.pid"
	daemon --sysroot "$loop_dir/machine" || return 1
	cpus=$(reply cpus)
	must is "$(json_of "$(reply status)" Manager.CPUs)" 256 && must is "$(json_rows "$cpus" "" | wc -l)" 256 &&
		must is "$(json_row "$cpus" "" CPU=4)" '' && must json_row "$cpus" "" CPU=318 Node=1 >/dev/null &&
		must json_row "$cpus" "" CPU=7 Isolated=true >/dev/null
}

# --- captures -----------------------------------------------------------------------------------------

# What is known of CPUs and interrupts without rates
identity() {
	reply cpus | grep -E '\.(CPU|Online|Node|Package|LLC|Core|Isolated)='
	reply irqs | grep -E '\.(IRQ|Name|Interface|Affinity|CPU|Node|Movable)='
}

a_capture_is_the_same_machine() {
	on --cpus 96 --nodes 2 --holes 7 --slow 25 --isolated 5 --nics 3 --queues 4 -- capture_same
}
capture_same() {
	: >"$loop_dir/web.pid"
	daemon --sysroot "$loop_dir/machine" && must loop_try 10 has_irqs || return 1
	identity >"$loop_dir/original"
	must loop_daemon_stop && must tests/tools/capture "$loop_dir/copy" "$loop_dir/machine" >"$loop_dir/out" || return 1
	say "$(tail -n 1 "$loop_dir/out")"
	conf
	must loop_daemon_start "$loop_dir/test.conf" --sysroot "$loop_dir/copy" && must loop_try 10 has_irqs || return 1
	identity >"$loop_dir/again"
	must diff "$loop_dir/original" "$loop_dir/again" && rm -rf "$loop_dir/copy"
}
has_irqs() { reply irqs | grep -q '\.Name='; }

a_capture_of_this_machine_is_one_and_says_nothing_of_its_processes() {
	local address
	must tests/tools/capture "$loop_dir/copy" >"$loop_dir/out" || return 1
	must is "$(find "$loop_dir/copy/proc" -mindepth 1 -maxdepth 1 -name '[0-9]*')" '' &&
		must is "$(cat "$loop_dir/copy/sys/devices/system/cpu/online")" "$(cat /sys/devices/system/cpu/online)" || return 1
	for address in $(cat /sys/class/net/*/address) "$(cat /proc/sys/kernel/random/boot_id)" "$(uname -n)"; do
		[ "$address" = 00:00:00:00:00:00 ] && continue
		! grep -rF -- "$address" "$loop_dir/copy" || { say "$address is in it"; return 1; }
	done
	: >"$loop_dir/web.pid"
	conf
	must loop_daemon_start "$loop_dir/test.conf" --sysroot "$loop_dir/copy" && must ctl status >"$loop_dir/out" &&
		must loop_daemon_stop
	local rc=$?
	rm -rf "$loop_dir/copy" "$loop_dir/run" "$loop_dir/state"
	return $rc
}

# --- in the place of the real files -------------------------------------------------------------------

# fails_with TEXT COMMAND - as the shell says it
fails_with() {
	local said
	said=$(LC_ALL=C bash -c "$2" 2>&1) && { say "succeeded: $2"; return 1; }
	[[ $said == *"$1"* ]] || { say "$2: $said"; return 1; }
}
first_irq() { basename "$(dirname "$(grep -l "^$1\$" /sys/kernel/irq/*/actions)")"; }
effective_is() { cat /proc/stat >/dev/null; [ "$(cat "/proc/irq/$1/effective_affinity_list")" = "$2" ]; }

writes_are_refused_as_a_kernel_refuses_them() {
	on --cover --cpus 64 --nics 1 --queues 6 --start 4 --vectors 3 --disks 1 -- writes_refused
}
writes_refused() {
	local irq managed queue mask=/proc/irq
	irq=$(first_irq eth0-TxRx-0) managed=$(first_irq nvme0q1)
	must fails_with 'not permitted' "echo 3 >$mask/$managed/smp_affinity_list" &&
		must fails_with 'Invalid' "echo x >$mask/$irq/smp_affinity_list" &&
		must fails_with 'range' "echo 64 >$mask/$irq/smp_affinity_list" || return 1
	echo 5 >$mask/"$irq"/smp_affinity_list
	must is "$(cat $mask/"$irq"/smp_affinity_list)" 5 && must loop_try 10 effective_is "$irq" 5 || return 1
	echo 0 >/sys/devices/system/cpu/cpu7/online
	must fails_with 'Invalid' "echo 7 >$mask/$irq/smp_affinity_list" &&
		must is "$(cat /sys/devices/system/cpu/online)" 0-6,8-63 || return 1
	# A CPU takes three.
	for queue in 1 2 3; do
		echo 20 >"$mask/$(first_irq eth0-TxRx-$queue)/smp_affinity_list" || return 1
	done
	must fails_with 'No space' "echo 20 >$mask/$(first_irq eth0-TxRx-4)/smp_affinity_list"
}

masks() { grep -H . /proc/irq/*/smp_affinity_list; }
changed_irqs() { json_rows "$(reply changes)" "" | grep -c 'Kind=irq'; }
some_changed() { [ "$(changed_irqs)" -gt 0 ]; }
none_changed() { cat /proc/stat >/dev/null; [ "$(changed_irqs)" = 0 ]; }
judged() { [ -n "$(json_of "$(reply history)" 0.Verdict)" ]; }

# One real worker, which does nothing and is not on CPU 0, where all its interfaces' interrupts start.
hot_interrupts_are_moved_and_put_back() {
	[ "$(nproc --all)" -gt 1 ] || { skip="there is one real CPU only"; return 0; }
	on --cover --cpus 64 --nodes 2 --nics 2 --queues 8 --start 1 --load 2 -- moved_and_back
}
moved_and_back() {
	masks >"$loop_dir/before"
	loop_run taskset -c 1 sleep 600
	echo "$loop_pid" >"$loop_dir/web.pid"
	daemon && must loop_try 60 some_changed && must loop_try 60 judged || return 1
	say "verdict: $(json_of "$(reply history)" 0.Verdict), $(json_of "$(reply history)" 0.Sentence)"
	ctl release --all --pause >"$loop_dir/out" && must loop_try 30 none_changed && must diff "$loop_dir/before" <(masks)
}

# A placed interrupt that a crash has left and the daemon has taken over, in a network namespace where news of links can be made.
what_a_driver_requests_anew_is_placed_again() {
	[ "$(nproc --all)" -gt 1 ] || { skip="there is one real CPU only"; return 0; }
	[ -x "$CB_BUILD/faulty/tests/system/test_crash" ] || { skip="no build with fault points: make faulty"; return 0; }
	on --cover --cpus 64 --nodes 2 --nics 1 --queues 4 --start 2 --load 1 -- requested_anew
}
# news - of a link, as an interface makes it that goes down and comes back
news() { ip link set lo mtu "$1"; }
mask_is() { [ "$(cat "/proc/irq/$1/smp_affinity_list")" = "$2" ]; }
irq_row() { json_row "$(reply irqs)" "" "IRQ=$1" "${@:2}" >/dev/null; }
changed_is() { json_row "$(reply changes)" "" "IRQ=$1" State=changed Set=1 >/dev/null; }
# says FILE TEXT - from here on
says() {
	echo "$2" >"$loop_dir/said.${1//\//_}" && mount --bind "$loop_dir/said.${1//\//_}" "$1"
}
# The driver gives every interrupt its default mask again.
reset() { echo 0-1 >"/proc/irq/$1/smp_affinity_list"; }

requested_anew() {
	local irq device
	[ -n "${CB_GIANT_NET:-}" ] || { CB_GIANT_NET=yes unshare --net "$0" --on-machine "$loop_dir" requested_anew; return; }
	irq=$(first_irq eth0-TxRx-1) device=$(realpath /sys/class/net/eth0/device)
	loop_run taskset -c 0 sleep 600
	echo "$loop_pid" >"$loop_dir/web.pid"
	mkdir -m 700 "$loop_dir/run" || return 1
	CB_FAULT=journal-put:20 "$CB_BUILD/faulty/tests/system/test_crash" --life "$loop_dir/run" "$loop_pid" "$irq" 0 1 &
	wait $! 2>/dev/null
	must mask_is "$irq" 1 && daemon && must changed_is "$irq" && must mask_is "$irq" 1 && must irq_row "$irq" Node=0 || return 1
	# Under the same number and name
	reset "$irq"
	news 1400
	must loop_try 30 mask_is "$irq" 1 && must loop_try 10 changed_is "$irq" || return 1
	# The device and the interrupt disagree about the node; then the device says nothing.
	says "$device/numa_node" 1
	news 1401
	must loop_try 30 irq_row "$irq" Node=1 || return 1
	says "$device/numa_node" -1
	news 1402
	must loop_try 30 irq_row "$irq" Node=0 && must mask_is "$irq" 1 || return 1
	# The interface is renamed, and set up again.
	mount -t tmpfs tmpfs /sys/class/net && mkdir /sys/class/net/lan0 && ln -s "$device" /sys/class/net/lan0/device || return 1
	says "/sys/kernel/irq/$irq/actions" lan0-TxRx-1
	reset "$irq"
	news 1403
	must loop_try 30 irq_row "$irq" Interface=lan0 Name=lan0-TxRx-1 && must loop_try 30 mask_is "$irq" 1 &&
		must loop_try 10 changed_is "$irq" || return 1
	# And all the time its original was kept.
	ctl release --all --pause >"$loop_dir/out" && must loop_try 30 none_changed && must mask_is "$irq" 0-1
}

# --- run ----------------------------------------------------------------------------------------------

run_cases() {
	local i name skip failed=0
	trap 'trap "" INT TERM HUP; loop_end' EXIT
	loop_begin || exit 1
	echo "1..${#CASES[@]}"
	for ((i = 0; i < ${#CASES[@]}; i++)); do
		name=${CASES[i]} skip=
		if "$name"; then
			echo "ok $((i + 1)) - $name${skip:+ # SKIP $skip}"
		else
			echo "not ok $((i + 1)) - $name"
			failed=1
		fi
	done
	return $failed
}

# One case, where the machine is.
on_machine() {
	local rc
	loop_dir=$1
	"$2"
	rc=$?
	if [ $rc != 0 ] && [ -n "$loop_daemon" ]; then
		{ ctl status; tail -n 20 "$loop_dir/daemon.log"; } 2>&1 | sed 's/^/#   /'
	fi
	loop_machine_end
	return $rc
}
loop_machine_end() {
	local pid
	[ -n "$loop_daemon" ] && loop_stop "$loop_daemon"
	for pid in ${loop_pids[@]+"${loop_pids[@]}"}; do
		loop_stop "$pid"
	done
	rm -rf "$loop_dir/run" "$loop_dir/state" "$loop_dir/daemon.log"
}

case ${1:-} in
--inside)
	# Some of the cases alone: test_giant.sh NAME...
	shift
	[ $# -eq 0 ] || CASES=("$@")
	run_cases
	exit
	;;
--on-machine)
	on_machine "$2" "$3"
	exit
	;;
esac
if [ "$(id -u)" != 0 ]; then
	echo "1..0 # SKIP needs root, to mount a file system"
	exit 0
fi
if ! unshare --mount sh -c 'exec 3<>/dev/fuse' 2>/dev/null; then
	echo "1..0 # SKIP no /dev/fuse here, or no mount namespace"
	exit 0
fi
tools/private-bus "$0" --inside "$@"
