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
	a_bad_start_is_found_mended_and_judged
	isolated_cpus_stay_unused
	release_puts_every_mask_back
	interrupts_that_heat_a_cpu_are_moved_and_land
	release_puts_every_interrupt_back
	an_isolated_cpu_is_refused
	a_cpu_goes_offline_under_a_worker_and_comes_back
	the_only_cpu_of_a_worker_goes_and_comes_back
	a_storm_of_hotplug_loses_nothing
	a_cpuset_bounds_its_workers
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
	# The size of /proc/PID/fd came with 6.2.
	if [ "$kernel" = 6.1 ]; then
		must is "$missing" fd-count
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

# --- the whole loop -----------------------------------------------------------------------------------

# Packets and requests come from outside as soon as that address is there.
packets_come() { ip addr add 192.0.2.11/24 dev eth0; }

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
	must await 90 judged || return 1
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
judged() { [ -n "$(field 0.Verdict history)" ]; }

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
	no_hogs
	no_workers
	return $rc
}
nothing_changed() { ! reply changes | grep -q Name=; }

# Somebody else's work and the packets fill CPU 0; the group's worker is on another.
interrupts_that_heat_a_cpu_are_moved_and_land() {
	local row irq n=0 verdicts
	verdicts=$(n_verdicts)
	# All CPUs take turns on one of the host's, so what they do is jerky. Smoothed for longer, less of a gain is noise.
	configure 20-smooth <<<$'[Detect]\nSmoothSec=10s'
	must quietly ctl reload && hogs 1 --duty 60 && must workers 1 --cpus 2 --burn-usec 0 --address 0.0.0.0 --seconds 900 &&
		must quietly ctl register calm "${w[@]}" --interfaces eth0 && must quietly ctl resume || return 1
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
	say "verdict: $(reply history | sed -n 's/.*\.Sentence=//p' | tail -n 1)"
}
an_interrupt_moved() {
	moved=$(reply changes)
	json_row "$moved" "" Kind=irq State=changed >/dev/null
}
# The kernel moves an interrupt when it next fires; these fire all the time.
lands_in() { [[ " $(loop_expand "$2") " == *" $(cat "/proc/irq/$1/effective_affinity_list") "* ]]; }
n_verdicts() { reply history | grep -c 'Verdict=.'; }
more_verdicts() { [ "$(n_verdicts)" -gt "$1" ]; }

release_puts_every_interrupt_back() {
	must quietly ctl release --all --pause && must await 20 nothing_changed &&
		must quietly diff $loop_dir/irqs.before <(irq_masks)
	local rc=$?
	ip addr del 192.0.2.11/24 dev eth0
	rm $DROPINS/20-smooth.conf
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

# refused REASON PID CPULIST - an ordered move is refused, with the reason, and nothing happens
refused() {
	must status_is 6 ctl move "$(name_of "$2")" "$3" && must grep -q "$1" $loop_dir/out && must loop_all_on 0 "$2"
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
	must quietly ctl move "$(name_of "${w[0]}")" 4-7 && must await 30 loop_all_on 4-7 "${w[0]}" && switch 5 0 &&
		mustnt cpu_is 5 Online true && must status_is 6 ctl move "$(name_of "${w[1]}")" 5 &&
		must grep -q OFFLINE $loop_dir/out && switch 5 1 && must cpu_is 5 Online true &&
		must await 30 can_move "${w[1]}" 5 && must await 30 loop_all_on 5 "${w[1]}" || return 1
	must loop_all_on 4-7 "${w[0]}" && must quietly ctl release --all && must await 20 nothing_changed &&
		must loop_all_on 0 "${w[@]}" && must is "$(main_pid)" "$pid"
}
can_move() { ctl move "$(name_of "$1")" "$2" >$loop_dir/out 2>&1; }

# The kernel lets it run anywhere then, and does not take that back.
the_only_cpu_of_a_worker_goes_and_comes_back() {
	local before after
	must await 30 can_move "${w[0]}" 5 && must await 30 loop_all_on 5 "${w[0]}" && switch 5 0 || return 1
	before=$(cpus_of "${w[0]}")
	switch 5 1 || return 1
	after=$(cpus_of "${w[0]}")
	say "its mask without CPU 5: $before; with CPU 5 again: $after"
	must quietly ctl release --all && must await 20 nothing_changed && must loop_all_on 0 "${w[@]}"
}

# A minute of CPUs that come and go, several at a time, under workers that the daemon moves by itself and others that are moved by
# order, wherever they are just then. No write of anybody's may be forgotten, and nobody may die of it.
STORM_SECONDS=60
a_storm_of_hotplug_loses_nothing() {
	local pid cpu n=0 moves=0 end down=() i rc
	pid=$(main_pid)
	irq_masks >$loop_dir/irqs.storm
	must hogs 3 && must quietly ctl register storm "${hogs[@]}" && must await 20 known "${hogs[0]}" || return 1
	end=$((SECONDS + STORM_SECONDS))
	while [ $SECONDS -lt $end ]; do
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
		must quietly diff $loop_dir/irqs.storm <(irq_masks) && must [ "$n" -ge 20 ] &&
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

allowed_is() { is "$(json_in "$(json_row "$(reply workers)" "" "PID=$1")" Allowed)" "$2"; }

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
		must refused OUTSIDE_CPUSET "${w[0]}" 8 && must await 30 can_move "${w[0]}" 1 &&
		must await 30 loop_all_on 1 "${w[0]}" && must quietly ctl release --all &&
		must await 20 nothing_changed && must loop_all_on 0 "${w[@]}"
}

# What a partition has is taken from all others, also from those that are in no cpuset of their own.
a_partition_is_nobody_elses() {
	must cpuset part 10-11 root && must is "$(cat /sys/fs/cgroup/cpuset.cpus.effective)" 0-9,12-15 &&
		starts_in '' && must allowed_is "${w[0]}" 0-9,12,14 && must refused OUTSIDE_CPUSET "${w[0]}" 10 &&
		echo member >/sys/fs/cgroup/part/cpuset.cpus.partition && must rmdir /sys/fs/cgroup/part
}

a_stop_leaves_every_mask_as_it_was() {
	must await 30 can_move "${w[1]}" 9 && must await 30 loop_all_on 9 "${w[1]}" &&
		must quietly systemctl stop cpubalanced && must loop_all_on 0 "${w[@]}" &&
		must quietly diff $loop_dir/irqs.before <(irq_masks)
}

run_cases "${CASES[@]}"
