#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# test_faults.sh - what goes wrong around a running daemon: its journal is damaged or somebody else's, its run
# directory is full or read-only, its bus goes away, it is held up, the machine is suspended, workers die and interrupts
# are written by others. After each fault the daemon runs, and every thread has its original mask or the one that the
# journal says. It runs in a mount namespace of its own.
# shellcheck disable=SC2119 # functions that are called without their arguments
set -u

cd "${CB_SRC:-$(dirname "$0")/../..}" || exit 1
# shellcheck source=tests/testlib/pinned.bash
. tests/testlib/pinned.bash

CASES=(
	"a_torn_journal_loses_nothing"
	"damage_in_the_middle_keeps_what_is_valid"
	"a_truncated_journal_is_set_aside"
	"garbage_is_set_aside"
	"somebody_elses_file_is_set_aside"
	"a_newer_journal_is_set_aside"
	"a_journal_of_another_boot_is_set_aside"
	"a_full_run_directory_moves_nothing"
	"a_run_directory_that_fills_up_loses_nothing"
	"a_read_only_run_directory_loses_nothing"
	"an_offline_restore_reads_a_read_only_run_directory"
	"a_bus_that_goes_away_loses_nothing"
	"a_daemon_that_is_held_up_counts_it"
	"a_suspend_starts_the_measuring_anew"
	"a_clock_that_is_set_changes_nothing"
	"a_worker_that_dies_before_its_move_ends_the_plan"
	"workers_that_die_after_their_move_leave_nothing"
	"a_foreign_write_to_an_interrupt_is_found"
)

# --- the invariant --------------------------------------------------------------------------------------

journal_said() { json_of "$(ctl --json status | json_flat)" Manager.Journal; }
says() { case $(journal_said) in *"$1"*) ;; *) say "the journal's state is: $(journal_said)"; return 1 ;; esac; }
healthy() { [ "$(journal_said)" = ok ]; }

# mask_listed TID LIST - whether the listing of changes has this thread with this mask
mask_listed() { json_row "$listed" "" "TID=$1" "Set=$2" >/dev/null; }

# invariant PID... - the daemon answers; each thread has its original mask or the one that the journal says
invariant() {
	local tid mask listed
	must loop_alive "$loop_daemon" && must quietly ctl status || return 1
	listed=$(changes)
	while read -r tid mask; do
		[ "$mask" = "$loop_a" ] || mask_listed "$tid" "$mask" && continue
		say "thread $tid has CPU $mask, which neither it had nor the journal says"
		return 1
	done < <(loop_masks "$@")
}

# --- journals -------------------------------------------------------------------------------------------

kept_placement() {
	fresh && place "${w[0]}" && must loop_try 40 no_plan && must loop_all_on "$loop_b" "${w[0]}" || return 1
	kill_daemon
	journal=$loop_dir/run/journal
	must test -s "$journal"
}
no_plan() { [ "$(plan_now)" = 0 ]; }

# Nobody trusts it, nobody dies of it, and it is there for who wants to know.
set_aside_case() {
	local pid
	daemon && must says "$1" && must says "journal.set-aside.1" && must test -e "$loop_dir/run/journal.set-aside.1" &&
		must lists_none && must quietly ctl changes && must loop_all_on "$loop_b" "${w[0]}" || return 1
	for pid in "${w[@]}"; do
		quietly taskset -a -c -p "$loop_a" "$pid"
	done
	# It goes on from here as if nothing had been.
	must loop_try 10 has_name "${w[1]}" && place "${w[1]}" && invariant "${w[@]}" && must quietly ctl release --all &&
		must back "${w[@]}"
}

a_torn_journal_loses_nothing() {
	kept_placement || return 1
	printf 'deadbeef set knob=task_affinity tid=1' >>"$journal"
	daemon && must says "torn" && invariant "${w[@]}" && must lists_change && must quietly ctl release --all &&
		must back "${w[@]}" && must lists_none
}

damage_in_the_middle_keeps_what_is_valid() {
	kept_placement || return 1
	sed -i '1a deadbeef set knob=task_affinity tid=1' "$journal"
	daemon && must says "damaged" && must test -e "$loop_dir/run/journal.set-aside.1" && invariant "${w[@]}" &&
		must lists_change && must quietly ctl release --all && must back "${w[@]}"
}

a_truncated_journal_is_set_aside() {
	kept_placement || return 1
	truncate -s 12 "$journal"
	set_aside_case "is no journal"
}

garbage_is_set_aside() {
	kept_placement || return 1
	head -c 5000 /dev/urandom >"$journal"
	set_aside_case "is no journal"
}

somebody_elses_file_is_set_aside() {
	kept_placement || return 1
	chmod 0666 "$journal"
	set_aside_case "is not a plain file of ours"
}

a_newer_journal_is_set_aside() {
	kept_placement || return 1
	sed -i '1s/^\(cpubalance-journal\) [0-9]*/\1 99/' "$journal"
	set_aside_case "is of another version"
}

a_journal_of_another_boot_is_set_aside() {
	kept_placement || return 1
	sed -i '1s/[0-9a-f-]*$/00000000-0000-4000-8000-000000000000/' "$journal"
	set_aside_case "is of another boot"
}

# --- run directories --------------------------------------------------------------------------------------

small_run_dir() {
	mkdir -p "$loop_dir/run" && must mount -t tmpfs -o size=128k,mode=700 tmpfs "$loop_dir/run"
}
fill_up() { dd if=/dev/zero of="$loop_dir/run/ballast" bs=1k 2>/dev/null; ! echo more 2>/dev/null >"$loop_dir/run/more"; }
room_again() { rm -f "$loop_dir/run/ballast" "$loop_dir/run/more"; }

# An original that cannot be recorded is not changed: the plan ends and says so, and later all works again. The journal may grow
# into the rest of its last page, so that it takes some plans until it is in need of another.
a_full_run_directory_moves_nothing() {
	local i to=$loop_b
	small_run_dir && fresh && must loop_try 10 has_name "${w[0]}" && must fill_up || return 1
	for ((i = 0; i < 30; i++)); do
		loop_try 10 no_plan
		disk_was_full && break
		quietly ctl move "$(name_of "${w[0]}")" "$to" >/dev/null && loop_try 10 placed_or_refused
		[ "$to" = "$loop_b" ] && to=$loop_a || to=$loop_b
		quietly ctl rollback >/dev/null
		invariant "${w[@]}" || return 1
	done
	must disk_was_full && must loop_try 10 no_plan && invariant "${w[@]}" || return 1
	room_again
	must loop_try 60 healthy && must quietly ctl release --all && must back "${w[@]}" && must lists_none &&
		place "${w[0]}" && must quietly ctl release --all && must back "${w[@]}" && must loop_daemon_stop
}
a_plan_failed() { json_row "$(ctl --json history | json_flat)" "" Verdict=failed >/dev/null; }
disk_was_full() { a_plan_failed || ! healthy; }
placed_or_refused() { no_plan || lists_change; }

# What was put back and could not be forgotten is forgotten later.
a_run_directory_that_fills_up_loses_nothing() {
	small_run_dir && fresh && place "${w[0]}" && must loop_try 40 no_plan && must fill_up || return 1
	quietly ctl release --all
	must back "${w[@]}" && invariant "${w[@]}" || return 1
	room_again
	must quietly ctl release --all && must loop_try 10 lists_none && must loop_try 60 healthy && must loop_daemon_stop &&
		must loop_all_on "$loop_a" "${w[@]}"
}

# Found so by a start after a crash; all the time nothing is moved, and the journal is taken over once it can be written.
a_read_only_run_directory_loses_nothing() {
	small_run_dir && kept_placement && must mount -o remount,ro "$loop_dir/run" && daemon && must says "Read-only" &&
		must lists_change && must loop_all_on "$loop_b" "${w[0]}" || return 1
	! quietly ctl move "${w[0]}" "$loop_a" >/dev/null || return 1
	must loop_alive "$loop_daemon" && must mount -o remount,rw "$loop_dir/run" && must loop_try 60 healthy &&
		must lists_change && invariant "${w[@]}" && must quietly ctl release --all && must back "${w[@]}" &&
		must lists_none && must loop_daemon_stop
}

# What the journal says can be put back though it cannot be forgotten.
an_offline_restore_reads_a_read_only_run_directory() {
	small_run_dir && kept_placement && must mount -o remount,ro "$loop_dir/run" && must restore && must back "${w[@]}"
}

# --- the bus ----------------------------------------------------------------------------------------------

start_bus() {
	cat >"$loop_dir/bus.conf" <<-END
		<busconfig><listen>unix:path=$loop_dir/bus</listen><auth>EXTERNAL</auth>
		<policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/>
		<allow receive_sender="*"/></policy></busconfig>
	END
	rm -f "$loop_dir/bus"
	loop_run dbus-daemon --config-file="$loop_dir/bus.conf" --nofork --nopidfile
	bus=$loop_pid
	loop_try 10 test -S "$loop_dir/bus"
}
answers() { ctl --json status >/dev/null 2>&1; }

a_bus_that_goes_away_loses_nothing() {
	local bus CB_BUS_ADDRESS=unix:path=$loop_dir/bus
	must start_bus && fresh && place "${w[0]}" || return 1
	kill -KILL "$bus"
	wait "$bus" 2>/dev/null
	must loop_try 20 grep -q "Failed to stay connected to the bus" "$loop_dir/daemon.log" &&
		must loop_alive "$loop_daemon" && must start_bus && must loop_try 30 answers && invariant "${w[@]}" &&
		must quietly ctl release --all && must back "${w[@]}" && must lists_none
}

# --- time -------------------------------------------------------------------------------------------------

overruns() { json_of "$(ctl --json status | json_flat)" Manager.Overruns; }
more_overruns() { [ "$(overruns)" -ge $(($1 + 8)) ]; }

# Four seconds are sixteen of the intervals here, more than there are windows: the plan in flight is void.
a_daemon_that_is_held_up_counts_it() {
	local before plan
	fresh 14 && place "${w[0]}" || return 1
	plan=$(plan_now)
	before=$(overruns)
	kill -STOP "$loop_daemon"
	sleep 4
	kill -CONT "$loop_daemon"
	must loop_try 10 more_overruns "$before" && invariant "${w[@]}" && must loop_try 60 no_plan &&
		must has_verdict "$plan" void && must says_of "$plan" "nothing was measured" && invariant "${w[@]}" && must quietly ctl release --all && must back "${w[@]}"
}

# A machine that tests run on can neither be suspended nor have its clock set: the daemon's clocks are told to have gone on or back, by
# as many seconds as the file says, "WALL SUSPENDED".
clock_library() {
	cat >"$loop_dir/clocks.c" <<-'END'
		#define _GNU_SOURCE
		#include <stdio.h>
		#include <stdlib.h>
		#include <sys/syscall.h>
		#include <sys/time.h>
		#include <time.h>
		#include <unistd.h>
		static long moved(int by_suspend)
		{
			FILE *file = fopen(getenv("CLOCKS"), "re");
			long wall = 0, suspended = 0;
			if (!file)
				return 0;
			if (fscanf(file, "%ld %ld", &wall, &suspended) != 2)
				wall = suspended = 0;
			fclose(file);
			return by_suspend ? suspended : wall;
		}
		int clock_gettime(clockid_t id, struct timespec *ts)
		{
			long r = syscall(SYS_clock_gettime, id, ts);
			if (id == CLOCK_BOOTTIME || id == CLOCK_REALTIME)
				ts->tv_sec += moved(id == CLOCK_BOOTTIME);
			return (int)r;
		}
		time_t time(time_t *ret)
		{
			struct timespec ts;
			clock_gettime(CLOCK_REALTIME, &ts);
			if (ret)
				*ret = ts.tv_sec;
			return ts.tv_sec;
		}
	END
	# CC may be several words
	# shellcheck disable=SC2086
	${CC:-cc} -shared -fPIC -o "$loop_dir/clocks.so" "$loop_dir/clocks.c"
}

# clocks WALL SUSPENDED - in one piece, as it is read
clocks() { echo "$1 $2" >"$CLOCKS.new" && mv "$CLOCKS.new" "$CLOCKS"; }

with_clocks() {
	clock_library >"$loop_dir/out" 2>&1 || { skip="no compiler for a shared library"; return 1; }
	export CLOCKS=$loop_dir/clocks
	clocks 0 0
}
preloaded() { LD_PRELOAD=$loop_dir/clocks.so "$@"; }

last_plan() { json_of "$(ctl --json status | json_flat)" Manager.LastPlanId; }
says_of() { grep -q "$2" <<<"$(sentence_of "$1")"; }
suspends() { grep -c "The machine was suspended" "$loop_dir/daemon.log"; }

# A plan that is being judged is void, an operator's stays all the same; what was kept, the journal and the history are as they were.
a_suspend_starts_the_measuring_anew() {
	local plan
	with_clocks || return 0
	preloaded fresh 24 && place "${w[0]}" || return 1
	plan=$(plan_now)
	clocks 0 3600
	must loop_try 10 grep -q "suspended for 3600 s" "$loop_dir/daemon.log" && invariant "${w[@]}" &&
		must loop_try 60 no_plan && must has_verdict "$plan" void && must says_of "$plan" suspended || return 1
	invariant "${w[@]}" && must [ "$(suspends)" = 1 ] && must lists_change && must quietly ctl release --all && must back "${w[@]}"
}

quarantine_of() { json_in "$(json_row "$(ctl --json workers | json_flat)" "" "PID=$1")" QuarantineLeftUSec; }
history_plans() { json_rows "$(ctl --json history | json_flat)" "" | while IFS= read -r row; do json_in "$row" Plan; done | paste -sd' '; }
ticks_are() { [ "$(ctl metrics | awk '$1 == "cpubalance_ticks_total" { print $2 }')" -ge "$1" ]; }
ticks_more() { loop_try 30 ticks_are $(($(ctl metrics | awk '$1 == "cpubalance_ticks_total" { print $2 }') + $1)); }

# stands_as_before - nothing that was there has been lost, whatever the wall clock says
stands_as_before() {
	local left
	left=$(quarantine_of "${w[0]}")
	must [ -n "$left" ] && must [ "$left" -le "$quarantine" ] && must [ "$left" -gt $((quarantine / 2)) ] &&
		must [ "$(history_plans)" = "$plans" ] && must lists_change && must loop_all_on "$loop_b" "${w[1]}" &&
		must [ "$(suspends)" = 0 ] && must healthy && invariant "${w[@]}"
}

# Ten years forward, twenty back, and once more while the daemon is away: one worker is in quarantine, one is placed.
a_clock_that_is_set_changes_nothing() {
	local plan plans quarantine
	with_clocks || return 0
	preloaded fresh && place "${w[0]}" || return 1
	plan=$(plan_now)
	clocks 315360000 0
	# What is being judged meanwhile is judged.
	must loop_try 60 no_plan && must [ -n "$(verdict_of "$plan")" ] && must quietly ctl veto "$plan" &&
		must back "${w[@]}" || return 1
	place_other && must loop_try 60 no_plan || return 1
	quarantine=$(quarantine_of "${w[0]}")
	plans=$(history_plans)
	must [ -n "$quarantine" ] && stands_as_before || return 1
	clocks -315360000 0
	ticks_more 8 && stands_as_before || return 1
	clocks 0 0
	ticks_more 8 && stands_as_before && must quietly ctl history || return 1
	# The next daemon lives in another decade, and adopts what the first has left.
	kill_daemon
	clocks -315360000 0
	preloaded daemon && must healthy && must lists_change && must [ "$(history_plans)" = "$plans" ] &&
		must loop_all_on "$loop_b" "${w[1]}" && invariant "${w[@]}" && must loop_try 10 has_name "${w[1]}" &&
		must quietly ctl release --all && must back "${w[@]}" && must lists_none
}

# --- workers ----------------------------------------------------------------------------------------------

a_worker_that_dies_before_its_move_ends_the_plan() {
	policy 24 24
	idle_workers && daemon && must quietly ctl register web "${w[@]}" && must loop_try 10 has_name "${w[0]}" &&
		must quietly ctl move "$(name_of "${w[0]}")" "$loop_b" || return 1
	kill -KILL "${w[0]}"
	must loop_try 60 no_plan && must lists_none && invariant "${w[1]}" && must loop_all_on "$loop_a" "${w[1]}"
}

workers_that_die_after_their_move_leave_nothing() {
	fresh && place "${w[0]}" && place_other || return 1
	kill -KILL "${w[@]}"
	must loop_try 30 lists_none && must loop_try 60 no_plan && invariant
}
# The first plan has to end before another can begin.
place_other() { must loop_try 60 no_plan && place "${w[1]}"; }

# --- interrupts -------------------------------------------------------------------------------------------

harmless_irq() {
	local dir name
	for dir in /proc/irq/[0-9]*; do
		name=$(find "$dir" -mindepth 1 -maxdepth 1 -type d -printf '%f\n' | head -n 1)
		case $name in
		ttyS* | *-config | *-event) ;;
		*) continue ;;
		esac
		[ "$(cat "$dir/smp_affinity_list")" = "$(taskset_list)" ] || continue
		echo "${dir##*/}" && return
	done
	return 1
}
# How the kernel writes a mask of A and B
# shellcheck disable=SC2016 # awk expands it
taskset_list() { taskset -c "$loop_a,$loop_b" awk '/^Cpus_allowed_list:/ { print $2 }' /proc/self/status; }

irq_foreign() { json_row "$(changes)" "" "IRQ=$1" State=foreign >/dev/null; }
irq_mask() { cat "/proc/irq/$1/smp_affinity_list"; }

# A placed interrupt that a crash has left, adopted; then somebody writes to it. Found, said, left alone.
a_foreign_write_to_an_interrupt_is_found() {
	local irq original rc life=$CB_BUILD/faulty/tests/system/test_crash
	irq=$(harmless_irq) || { skip="no harmless movable interrupt"; return 0; }
	pgrep -x irqbalance >/dev/null && { skip="irqbalance runs"; return 0; }
	[ -x "$life" ] || { skip="no build with fault points: make faulty"; return 0; }
	original=$(irq_mask "$irq")
	foreign_irq_case
	rc=$?
	echo "$original" >"/proc/irq/$irq/smp_affinity_list"
	return $rc
}
foreign_irq_case() {
	policy 6 6
	idle_workers || return 1
	mkdir -m 700 "$loop_dir/run" || return 1
	# It places both, judges that, and dies while it goes on writing its journal.
	CB_FAULT=journal-put:20 "$life" --life "$loop_dir/run" "${w[0]}" "$irq" "$loop_a" "$loop_b" &
	wait $! 2>/dev/null
	must [ "$(irq_mask "$irq")" = "$loop_b" ] && daemon && must loop_try 10 lists_change &&
		must [ "$(irq_mask "$irq")" = "$loop_b" ] || return 1
	echo "$loop_a" >"/proc/irq/$irq/smp_affinity_list"
	must loop_try 10 irq_foreign "$irq" && must loop_daemon_stop && must [ "$(irq_mask "$irq")" = "$loop_a" ] &&
		must back "${w[@]}"
}

# --- run --------------------------------------------------------------------------------------------------

if [ "${1:-}" != --inside ] && [ -z "${CB_FAULTS_UNSHARED:-}" ] && unshare --mount true 2>/dev/null; then
	CB_FAULTS_UNSHARED=yes exec unshare --mount --propagation private "$0" "$@"
fi
cases_main "$0" "$@"
