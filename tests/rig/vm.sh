#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# vm.sh - inside the 16-CPU guest, with isolcpus=13 nohz_full=15: topology, signals, a bad start that is mended, CPUs that
# come and go, cpusets and partitions, and every mask as it was at the end. The cases follow one another.
# All CPUs share one of the outside, so only mechanics and the guest's own accounting are judged, never speed.
# shellcheck disable=SC2317 # cases are called by name
set -u
# shellcheck source=tests/rig/guest.bash
. ./guest.bash

CASES=(
	the_machine_is_as_described
	the_service_starts
	every_cpu_is_where_it_is
	missing_signals_are_named
	managed_interrupts_stay
	nothing_registered_nothing_moves
	other_cpus_are_hardly_interrupted
	a_bad_start_is_found_mended_and_judged
	isolated_cpus_stay_unused
	release_puts_every_mask_back
	interrupts_that_heat_a_cpu_are_moved_and_land
	packets_are_those_of_each_queue
	interrupts_that_their_driver_spreads_are_placed_again
	interrupts_that_are_requested_anew_are_placed_again
	release_puts_every_interrupt_back
	an_isolated_cpu_is_refused
	a_cpu_goes_offline_under_a_worker_and_comes_back
	the_only_cpu_of_a_worker_goes_and_comes_back
	a_storm_of_hotplug_loses_nothing
	a_cpuset_bounds_its_workers
	a_cpuset_that_changes_is_followed
	a_partition_is_nobody_elses
	a_stop_leaves_every_mask_as_it_was
)
ISOLATED='13 15'
kernel=$(uname -r | cut -d . -f 1-2)

# --- masks ------------------------------------------------------------------------------------------------

queue_irqs() { grep -l . /proc/irq/*/smp_affinity_list | while read -r f; do set -- "${f%/*}"/virtio2-*put.*; [ ! -d "$1" ] || basename "${f%/*}"; done; }

irq_masks() { grep -H . /proc/irq/[0-9]*/smp_affinity_list; }

# has_isolated LIST - whether a list of CPUs has one that is isolated
has_isolated() {
	local cpu
	for cpu in $(loop_expand "$1"); do
		[[ " $ISOLATED " != *" $cpu "* ]] || return 0
	done
	return 1
}

# Of the CPU without load balancing; the kernel itself may use one that only has no tick.
user_ticks() { awk '$1 == "cpu13" { print $2 + $3 }' /proc/stat; }

# --- the machine --------------------------------------------------------------------------------------

the_machine_is_as_described() {
	say "kernel $(uname -r)"
	must is "$(cat /sys/devices/system/cpu/online)" 0-15 &&
		must is "$(cat /sys/devices/system/node/node*/cpulist | tr '\n' ' ')" '0-3 4-7 8-11 12-15 ' &&
		must is "$(cat /sys/devices/system/cpu/isolated)" 13 && must is "$(cat /sys/devices/system/cpu/nohz_full)" 15 &&
		must is "$(queue_irqs | wc -l)" 16
}

the_service_starts() {
	vital=1
	irq_masks >$loop_dir/irqs.boot
	must quietly make -s -C $SRC -o all prefix=/usr install || return 1
	configure 10-test <<-END
		[Manager]
		SampleIntervalSec=1s
		TickBudget=50%
		[Detect]
		HotHarmSec=3s
		HotNoHarmSec=5s
		SmoothSec=1s
		[Plan]
		PlanSteps=8
		PlanStepsTrusted=8
		QuietStartSec=0s
		CooldownSec=1s
		MovesPerHour=1000
		MinItem=0%
		[Verify]
		SettleSec=1s
		VerifyWindows=6
		VerifyWindowsMax=12
		RollbacksPerHour=100
	END
	must quietly systemctl start cpubalanced && must await 20 cpu_is 15 Online true
}

cpu_is() { json_row "$(reply cpus)" "" "CPU=$1" "$2=$3" >/dev/null; }

every_cpu_is_where_it_is() {
	local cpu flat row isolated
	flat=$(reply cpus)
	for cpu in {0..15}; do
		[[ " $ISOLATED " == *" $cpu "* ]] && isolated=true || isolated=false
		row="CPU=$cpu Node=$((cpu / 4)) LLC=$((cpu / 4 * 4)) Core=$((cpu / 2 * 2)) Package=$((cpu / 8)) Isolated=$isolated"
		# shellcheck disable=SC2086 # words
		must json_row "$flat" "" $row >/dev/null || return 1
	done
}

missing_signals_are_named() {
	local missing
	missing=$(field Manager.Missing status)
	say "missing: $missing"
	# The size of /proc/PID/fd came with 6.2, the queues of an interface with 6.8.
	if [ "$kernel" = 6.1 ]; then
		must is "$missing" 'fd-count, netdev-queues'
	else
		must is "$missing" ''
	fi
}

managed_interrupts_stay() {
	local irq=() file row
	for file in /proc/irq/*/virtio0-req.*; do
		file=${file%/*}
		irq+=("${file##*/}")
	done
	must is "${#irq[@]}" 4 || return 1
	for file in "${irq[@]}"; do
		mustnt sh -c "echo 0 >/proc/irq/$file/smp_affinity_list" 2>/dev/null || return 1
		row=$(json_row "$(reply irqs)" "" "IRQ=$file" Movable=false) || return 1
	done
	say "refused as: $(json_in "$row" Reason)"
}

# Nobody is registered: workers on one CPU are looked at, and that is all.
nothing_registered_nothing_moves() {
	must workers 3 --port 8081 --cpus 0 || return 1
	sleep 5
	must quietly ctl status && must is "$(reply changes | grep -c Name=)" 0 && must loop_all_on 0 "${w[@]}" &&
		must quietly diff $loop_dir/irqs.boot <(irq_masks)
	local rc=$?
	no_workers
	return $rc
}

# Context switches are counted on each CPU, and to read the count of another one interrupts that. One CPU is nearly hot here, and
# is asked once in a tick.
READ_SECONDS=20
other_cpus_are_hardly_interrupted() {
	local burn ticks reads calls rc now
	./tools/burn --cpus 1 --duty 90 --seconds 900 >/dev/null &
	burn=$!
	# With somebody to tell, each signal is read in each tick.
	must quietly ctl register busy $burn --mode observe && must await 30 is_asked
	rc=$?
	read -r ticks reads < <(ticks_and_reads)
	calls=$(function_calls)
	sleep $READ_SECONDS
	read -r -a now < <(ticks_and_reads)
	calls=$(($(function_calls) - calls)) ticks=$((now[0] - ticks)) reads=$((now[1] - reads))
	ctl unregister busy >/dev/null
	kill $burn
	wait $burn 2>/dev/null
	say "$ticks ticks: $reads reads of other CPUs' counts, $calls function calls on all CPUs"
	[ $rc = 0 ] && must [ "$ticks" -ge $((READ_SECONDS / 2)) ] && must [ "$reads" -gt 0 ] && must [ "$reads" -le "$ticks" ]
}
# The two of one moment.
ticks_and_reads() { ctl metrics | awk '/^cpubalance_ticks_total / { t = $2 } /^cpubalance_cross_cpu_reads_total / { print t, $2 }'; }
is_asked() {
	local before now
	read -r -a before < <(ticks_and_reads)
	sleep 2
	read -r -a now < <(ticks_and_reads)
	[ $((now[1] - before[1])) -gt 0 ]
}
function_calls() { awk '$1 == "CAL:" { for (i = 2; i <= 17; i++) n += $i } END { print n }' /proc/interrupts; }

# --- the whole loop -----------------------------------------------------------------------------------

# Packets and requests come from outside while that address is there.
packets_come() { ip addr add 192.0.2.11/24 dev eth0; }
packets_end() { ip addr del 192.0.2.11/24 dev eth0; }

a_bad_start_is_found_mended_and_judged() {
	local irq wait_before wait_after history
	for irq in $(queue_irqs); do
		echo 0 >"/proc/irq/$irq/smp_affinity_list" || return 1
	done
	# Work that can be measured by the guest's own accounting of CPU time, which is all that counts here.
	hogs 4 && w=("${hogs[@]}") || return 1
	irq_masks >$loop_dir/irqs.before
	loop_masks "${w[@]}" >$loop_dir/workers.before
	user_ticks >$loop_dir/ticks.before
	packets_come
	must quietly ctl register web "${w[@]}" --interfaces eth0 && must await 60 waits || return 1
	wait_before=$(field Manager.RunQueueWait status)
	must await 90 more_verdicts 0 || return 1
	history=$(reply history)
	say "found: $(json_of "$history" 0.Finding)"
	say "verdict: $(json_of "$history" 0.Sentence)"
	must is "$(json_of "$history" 0.Verdict)" kept || return 1
	ctl changes | sed 's/^/# /'
	sleep 3
	wait_after=$(field Manager.RunQueueWait status)
	say "run-queue wait $wait_before -> $wait_after s/s"
	must awk -v a="$wait_before" -v b="$wait_after" 'BEGIN { exit !(b < a / 2) }'
}
# Four that want 60 % of one CPU each get a quarter and wait for the rest.
waits() { awk -v w="$(field Manager.RunQueueWait status)" 'BEGIN { exit !(w > 0.5) }'; }
n_verdicts() { reply history | grep -c 'Verdict=.'; }
more_verdicts() { [ "$(n_verdicts)" -gt "$1" ]; }
last_plan() { reply history | sed -n "s/^[0-9]*\.$1=//p" | tail -n 1; }

isolated_cpus_stay_unused() {
	local row pid irq
	while IFS= read -r row; do
		irq=$(json_in "$row" IRQ)
		mustnt has_isolated "$(json_in "$row" Set)" || return 1
		[ -z "$irq" ] || mustnt has_isolated "$(cat "/proc/irq/$irq/effective_affinity_list")" || return 1
	done < <(json_rows "$(reply changes)" "")
	for pid in "${w[@]}"; do
		mustnt has_isolated "$(cpus_of "$pid")" || return 1
	done
	say "ticks of user time on CPU 13: $(cat $loop_dir/ticks.before) -> $(user_ticks)"
	must is "$(user_ticks)" "$(cat $loop_dir/ticks.before)"
}

release_puts_every_mask_back() {
	must quietly ctl release --all --pause && must await 20 nothing_changed &&
		must quietly diff $loop_dir/irqs.before <(irq_masks) &&
		must quietly diff $loop_dir/workers.before <(loop_masks "${w[@]}")
	local rc=$?
	packets_end
	no_hogs
	no_workers
	return $rc
}
nothing_changed() { ! reply changes | grep -q Name=; }

# Somebody else's work and the packets fill CPU 0; the group's worker is on another. What is gained cannot be seen in the packets,
# since all CPUs take turns on one of the host's; so the group is judged by a number of its own, how many queues are sent elsewhere.
# (Where they land would be none: a queue that has not been used since it was sent to CPU 0 still has to go there.)
interrupts_that_heat_a_cpu_are_moved_and_land() {
	local row irq n=0 verdicts files=()
	verdicts=$(n_verdicts)
	# The program that is asked has no view of interrupts.
	for irq in $(queue_irqs); do
		files+=("/proc/irq/$irq/smp_affinity_list")
	done
	must is ${#files[@]} 16 || return 1
	while awk '{ n += $1 != 0 } END { print 100 + 10 * n }' "${files[@]}" >/run/sent.new; do
		mv /run/sent.new /run/sent
		sleep 1
	done &
	counter=$!
	packets_come
	# A longer memory than with real CPUs, for the same reason.
	configure 20-calm <<-END
		[Detect]
		SmoothSec=10s
		[Group calm]
		PIDFile=/run/calm.pid
		Interfaces=eth0
		ServiceMetric=cat /run/sent
	END
	must quietly systemctl start cpubalanced-gauge.socket && hogs 1 --duty 60 &&
		must workers 1 --cpus 2 --burn-usec 0 --address 0.0.0.0 --seconds 900 &&
		cp $loop_dir/web.pid /run/calm.pid && must quietly ctl unregister web && must quietly ctl reload &&
		must await 30 known "${w[0]}" && must quietly ctl resume || return 1
	if ! await 150 an_interrupt_moved; then
		ctl explain 0 | sed 's/^/#   /'
		return 1
	fi
	while IFS= read -r row; do
		irq=$(json_in "$row" IRQ)
		[ -n "$irq" ] || continue
		n=$((n + 1))
		must loop_try 10 lands_in "$irq" "$(json_in "$row" Set)" || return 1
		mustnt has_isolated "$(cat "/proc/irq/$irq/effective_affinity_list")" || return 1
	done < <(json_rows "$moved" "")
	say "$n interrupts moved"
	must await 60 more_verdicts "$verdicts" || return 1
	say "verdict: $(last_plan Sentence)"
	must is "$(last_plan Verdict)" kept
}
an_interrupt_moved() {
	moved=$(reply changes)
	json_row "$moved" "" Kind=irq State=changed >/dev/null
}
# The kernel moves an interrupt when it next fires; these fire all the time.
lands_in() { [[ " $(loop_expand "$2") " == *" $(cat "/proc/irq/$1/effective_affinity_list") "* ]]; }

# Each receive queue has the packets that the kernel counts for it, where its driver tells (netdev, since 6.11 here).
packets_are_those_of_each_queue() {
	local flat row n=0 n_told=0 sum received
	received=$(cat /sys/class/net/eth0/statistics/rx_packets)
	flat=$(reply irqs)
	sleep 10
	received=$((($(cat /sys/class/net/eth0/statistics/rx_packets) - received) / 10))
	while IFS= read -r row; do
		n=$((n + 1))
		[ -z "$(json_in "$row" PacketsPerSec)" ] || n_told=$((n_told + 1))
	done < <(json_rows "$flat" "" | grep -P '\tInterface=eth0\t' | grep -P '\tQueueKind=rx\t')
	sum=$(json_rows "$flat" "" | tr '\t' '\n' | awk -F = '$1 == "PacketsPerSec" { n += $2 } END { printf "%d", n }')
	say "$n queues, $n_told of them with packets, $sum packets/s; the interface received $received packets/s"
	must is "$n" 8 || return 1
	if [ "$kernel" = 6.1 ]; then
		must is "$n_told" 0
	else
		must is "$n_told" 8 && must [ "$sum" -gt 0 ]
	fi
}

# placed_as_set - every interrupt that was moved may go where it was moved to, and there only; at least one is
placed_as_set() {
	local row irq n=0
	while IFS= read -r row; do
		irq=$(json_in "$row" IRQ)
		[ -n "$irq" ] || continue
		[ "$(cat "/proc/irq/$irq/smp_affinity_list")" = "$(json_in "$row" Set)" ] || return 1
		n=$((n + 1))
	done < <(json_rows "$(reply changes)" "")
	[ $n -gt 0 ]
}
queue_masks() { for irq in $(queue_irqs); do echo "$irq $(cat "/proc/irq/$irq/smp_affinity_list")"; done; }

# virtio-net gives its queues other CPUs whenever one comes or goes.
interrupts_that_their_driver_spreads_are_placed_again() {
	must placed_as_set && switch 9 0 || return 1
	queue_masks | tr '\n' ' ' | sed 's/^/# masks without CPU 9: /; s/ $/\n/'
	must await 30 placed_as_set && switch 9 1 && must await 30 placed_as_set
}

# A driver that is unbound and bound again, as with an update of firmware, has new interrupts.
interrupts_that_are_requested_anew_are_placed_again() {
	local driver=/sys/bus/virtio/drivers/virtio_net
	must placed_as_set && echo virtio2 >$driver/unbind && sleep 3 && echo virtio2 >$driver/bind &&
		must loop_try 20 test -e /sys/class/net/eth0 || return 1
	queue_masks | tr '\n' ' ' | sed 's/^/# masks of the new interrupts: /; s/ $/\n/'
	ip addr add 192.0.2.10/24 dev eth0 && ip addr add 192.0.2.11/24 dev eth0 && ip link set eth0 up &&
		must await 30 placed_as_set
}

# Those that were moved have what they had before, all others what they have.
release_puts_every_interrupt_back() {
	local row rc
	irq_masks | sort >$loop_dir/irqs.placed
	while IFS= read -r row; do
		[ -z "$(json_in "$row" IRQ)" ] ||
			sed -i "s|^\(/proc/irq/$(json_in "$row" IRQ)/smp_affinity_list\):.*|\1:$(json_in "$row" Was)|" $loop_dir/irqs.placed
	done < <(json_rows "$(reply changes)" "")
	must quietly ctl release --all --pause && must await 20 nothing_changed &&
		must quietly diff $loop_dir/irqs.placed <(irq_masks | sort)
	rc=$?
	packets_end
	kill "$counter"
	rm $DROPINS/20-calm.conf
	ctl reload
	no_hogs
	no_workers
	return $rc
}

# --- where nobody may go --------------------------------------------------------------------------------

# Workers without load, registered; Mode=observe, so that only the administrator moves them.
quiet_workers() {
	must workers "$1" --port 8081 --cpus 0 && must quietly ctl register idle "${w[@]}" --mode observe &&
		must quietly ctl resume && must await 20 known "${w[0]}"
}
known() { json_row "$(reply workers)" "" "PID=$1" >/dev/null; }
name_of() { json_in "$(json_row "$(reply workers)" "" "PID=$1")" Name; }

# refused REASON PID CPULIST [MASK] - an ordered move is refused, with the reason, and it stays where it is
refused() {
	must status_is 6 ctl move "$(name_of "$2")" "$3" && must grep -q "$1" $loop_dir/out && must loop_all_on "${4:-0}" "$2"
}

an_isolated_cpu_is_refused() {
	must quiet_workers 2 && must refused ISOLATED "${w[0]}" 13 && must refused ISOLATED "${w[0]}" 15
}

# --- CPUs that come and go ------------------------------------------------------------------------------

cpus_are() { [ "$(field Manager.CPUs status)" = "$1" ]; }

# switch CPU 0|1 - and the daemon has seen it
switch() {
	echo "$2" >"/sys/devices/system/cpu/cpu$1/online"
	must await 20 cpus_are $((15 + $2))
}

a_cpu_goes_offline_under_a_worker_and_comes_back() {
	local pid
	pid=$(main_pid)
	must ordered "${w[0]}" 4-7 && switch 5 0 &&
		mustnt cpu_is 5 Online true && must status_is 6 ctl move "$(name_of "${w[1]}")" 5 &&
		must grep -q OFFLINE $loop_dir/out && switch 5 1 && must cpu_is 5 Online true &&
		must ordered "${w[1]}" 5 || return 1
	must loop_all_on 4-7 "${w[0]}" && must quietly ctl release --all && must await 20 nothing_changed &&
		must loop_all_on 0 "${w[@]}" && must is "$(main_pid)" "$pid"
}
can_move() { ctl move "$(name_of "$1")" "$2" >$loop_dir/out 2>&1; }
# ordered PID LIST - moved by order, and no longer on trial
ordered() { must await 30 can_move "$1" "$2" && must await 30 loop_all_on "$2" "$1" && must await 60 settled; }
settled() { [ "$(field Manager.PlanId status)" = 0 ]; }

# The kernel lets it run anywhere then, and does not take that back.
the_only_cpu_of_a_worker_goes_and_comes_back() {
	local before after
	must ordered "${w[0]}" 5 && switch 5 0 || return 1
	before=$(cpus_of "${w[0]}")
	switch 5 1 || return 1
	after=$(cpus_of "${w[0]}")
	say "its mask without CPU 5: $before; with CPU 5 again: $after"
	must quietly ctl release --all && must await 20 nothing_changed && must loop_all_on 0 "${w[@]}"
}

# A minute of CPUs that come and go, several at a time, under workers that the daemon moves by itself and others that are moved by
# order, wherever they are just then. No write of anybody's may be forgotten, and nobody may die of it. All CPUs share the time of one,
# so a minute may see too few of them go; then it goes on.
STORM_SECONDS=60
STORM_TIMES=20
a_storm_of_hotplug_loses_nothing() {
	local pid cpu n=0 moves=0 end down=() i rc
	pid=$(main_pid)
	irq_masks >$loop_dir/irqs.storm
	must hogs 3 --duty 40 && must quietly ctl register storm "${hogs[@]}" && must await 20 known "${hogs[0]}" || return 1
	end=$((SECONDS + STORM_SECONDS))
	while [ $SECONDS -lt $end ] || { [ $n -lt $STORM_TIMES ] && [ $SECONDS -lt $((end + 3 * STORM_SECONDS)) ]; }; do
		down=()
		for ((i = 0; i < 4; i++)); do
			cpu=$((1 + RANDOM % 15))
			echo 0 >"/sys/devices/system/cpu/cpu$cpu/online" 2>/dev/null && down+=("$cpu") n=$((n + 1))
			can_move "${w[i % 2]}" "$((1 + RANDOM % 15))" && moves=$((moves + 1))
		done
		for cpu in "${down[@]}"; do
			echo 1 >"/sys/devices/system/cpu/cpu$cpu/online"
		done
	done
	say "$n times a CPU went offline, $moves ordered moves, plans so far: $(field Manager.LastPlanId status)"
	must await 30 cpus_are 16 && must is "$(main_pid)" "$pid" && must quietly ctl release --all --pause &&
		must await 30 nothing_changed && must loop_all_on 0 "${hogs[@]}" && must loop_all_on 0 "${w[@]}" &&
		must quietly diff $loop_dir/irqs.storm <(irq_masks) && must [ "$n" -ge $STORM_TIMES ] &&
		must quietly ctl unregister storm && must quietly ctl resume
	rc=$?
	no_hogs
	return $rc
}

# --- cpusets --------------------------------------------------------------------------------------------

# cpuset NAME LIST [PARTITION] - a group of that name with these CPUs
cpuset() {
	local group=/sys/fs/cgroup/$1
	echo +cpuset >/sys/fs/cgroup/cgroup.subtree_control && mkdir "$group" && echo "$2" >"$group/cpuset.cpus" || return 1
	[ -z "${3:-}" ] || { echo "$3" >"$group/cpuset.cpus.partition" && is "$(cat "$group/cpuset.cpus.partition")" "$3"; }
}

allowed_is() { [ "$(json_in "$(json_row "$(reply workers)" "" "PID=$1")" Allowed)" = "$2" ]; }

# starts_in [GROUP] - two workers, moved there, that want CPU 0, and registered then
starts_in() {
	local pid
	must quietly ctl unregister idle && no_workers && must workers 2 --port 8081 --cpus 0 || return 1
	for pid in ${1:+"${w[@]}"}; do
		echo "$pid" >"/sys/fs/cgroup/$1/cgroup.procs" && taskset -cp 0 "$pid" >/dev/null || return 1
	done
	must quietly ctl register idle "${w[@]}" --mode observe && must await 20 known "${w[0]}"
}

a_cpuset_bounds_its_workers() {
	must cpuset bounded 0-2 && starts_in bounded && must allowed_is "${w[0]}" 0-2 &&
		must refused OUTSIDE_CPUSET "${w[0]}" 8 && must ordered "${w[0]}" 1 && must quietly ctl release --all &&
		must await 20 nothing_changed && must loop_all_on 0 "${w[@]}"
}

# own_mask CPULIST - what is left of a worker's own mask in a cpuset that has got these CPUs: before 6.2 the kernel forgets it
own_mask() { [ "$kernel" = 6.1 ] && echo "$1" || echo 0; }

# It grows, it shrinks, it is made a partition, and a worker is moved into another one.
a_cpuset_that_changes_is_followed() {
	local group=/sys/fs/cgroup/bounded
	echo 0-5 >$group/cpuset.cpus && must await 20 allowed_is "${w[0]}" 0-5 && must ordered "${w[0]}" 4 && must quietly ctl release --all &&
		must await 20 nothing_changed && must loop_all_on "$(own_mask 0-5)" "${w[@]}" || return 1
	echo 0-2 >$group/cpuset.cpus && must await 20 allowed_is "${w[0]}" 0-2 &&
		must refused OUTSIDE_CPUSET "${w[0]}" 4 "$(own_mask 0-2)" || return 1
	echo root >$group/cpuset.cpus.partition && must is "$(cat $group/cpuset.cpus.partition)" root || return 1
	must await 20 allowed_is "${w[0]}" 0-2 && must refused OUTSIDE_CPUSET "${w[0]}" 4 "$(own_mask 0-2)" || return 1
	must cpuset other 6-7 root && echo "${w[1]}" >/sys/fs/cgroup/other/cgroup.procs &&
		must await 20 allowed_is "${w[1]}" 6-7 && must status_is 6 ctl move "$(name_of "${w[1]}")" 1 &&
		must grep -q OUTSIDE_CPUSET $loop_dir/out && must ordered "${w[1]}" 7 && must quietly ctl release --all && must await 20 nothing_changed &&
		must loop_all_on 6-7 "${w[1]}" && no_workers && must rmdir /sys/fs/cgroup/other && must rmdir $group
}

# What a partition has is taken from all others, also from those that are in no cpuset of their own.
a_partition_is_nobody_elses() {
	must cpuset part 10-11 root && must is "$(cat /sys/fs/cgroup/cpuset.cpus.effective)" 0-9,12-15 &&
		starts_in '' && must allowed_is "${w[0]}" 0-9,12,14 && must refused OUTSIDE_CPUSET "${w[0]}" 10 &&
		echo member >/sys/fs/cgroup/part/cpuset.cpus.partition && must rmdir /sys/fs/cgroup/part
}

a_stop_leaves_every_mask_as_it_was() {
	irq_masks >$loop_dir/irqs.stop # since the last CPU that came
	# New ones: the end of a partition is a cpuset that changes too.
	starts_in '' && must ordered "${w[1]}" 9 &&
		must quietly systemctl stop cpubalanced && must loop_all_on 0 "${w[@]}" &&
		must quietly diff $loop_dir/irqs.stop <(irq_masks)
}

run_cases "${CASES[@]}"
