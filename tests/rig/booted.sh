#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# booted.sh - inside the container: the life of the service under systemd, with the system bus and polkit, as
# root and as another user. The cases follow one another.
# shellcheck disable=SC2317 # cases are called by name
set -u
# shellcheck source=tests/rig/guest.bash
. ./guest.bash

CASES=(
	the_machine_is_whole
	install
	nothing_starts_it_but_the_administrator
	enable_and_start
	the_service_looks_as_described
	everybody_may_look
	only_root_may_change
	whom_a_rule_allows_may_change
	another_user_cannot_take_its_name
	what_is_permanent_comes_back_without_it
	steering_needs_its_drop_in
	a_registered_worker_is_moved
	reload_takes_the_new_configuration
	reload_refuses_a_wrong_configuration_whole
	a_restart_keeps_the_placement
	a_restart_with_a_wrong_configuration_loses_nothing
	a_restoration_needs_no_bus
	a_crash_keeps_the_placement
	a_hang_is_ended_by_the_watchdog
	a_stop_restores
	disable
	uninstall_restores_and_leaves_nothing
)

make_in_source() { make -s -C $SRC -o all prefix=/usr "$@"; }

# Every file but those of this test and of the running system.
listing() {
	find /etc /usr /var/lib /var/spool /opt /run/cpubalanced -not -path '/var/lib/systemd/*' \
		-not -name '*.pyc' 2>/dev/null | sort
}

the_machine_is_whole() {
	must is "$(systemctl is-system-running --wait)" running &&
		must status_is 0 pkcheck --action-id org.freedesktop.systemd1.manage-units --process $$ &&
		mustnt as_tester sh -c 'pkcheck --action-id org.freedesktop.systemd1.manage-units --process $$' 2>/dev/null
}

install() {
	listing >$loop_dir/before
	must quietly make_in_source install && must test -x /usr/sbin/cpubalanced -a -x /usr/bin/cpubalctl || return 1
	# Documentation is thinned out of the image, and the manual pages' tool with it.
	must quietly systemd-analyze verify --man=no cpubalanced.service && must quietly cpubalanced --check-config
}

nothing_starts_it_but_the_administrator() {
	must status_is 3 ctl status && must status_is 3 as_tester cpubalctl status &&
		must is "$(systemctl is-enabled cpubalanced)" disabled && must is "$(systemctl is-active cpubalanced)" inactive
}

enable_and_start() {
	vital=1
	configure 10-test <<-END
		[Manager]
		SampleIntervalSec=250ms
		[Plan]
		QuietStartSec=0s
	END
	must quietly systemctl enable --now cpubalanced && must is "$(systemctl is-enabled cpubalanced)" enabled &&
		must is "$(systemctl is-active cpubalanced)" active
}

the_service_looks_as_described() {
	local pid
	pid=$(main_pid)
	say "STATUS=$(systemctl show -P StatusText cpubalanced)"
	must test -n "$(systemctl show -P StatusText cpubalanced)" &&
		must is "$(ps -o ni= -p "$pid" | tr -d ' ')" -10 &&
		must is "$(systemctl show -P NRestarts cpubalanced)" 0 &&
		must is "$(stat -c '%U %a' /run/cpubalanced)" 'root 755' &&
		must quietly busctl introspect org.cpubalance1 /org/cpubalance1
}

everybody_may_look() {
	local verb
	for verb in status cpus irqs groups workers changes plan history metrics; do
		must status_is 0 ctl $verb && must status_is 0 as_tester cpubalctl $verb &&
			must status_is 0 as_tester cpubalctl --json $verb || return 1
	done
	must status_is 0 as_tester cpubalctl explain
}

only_root_may_change() {
	workers 1 --cpus 0 || return 1
	must status_is 4 as_tester cpubalctl register mine "${w[0]}" &&
		must status_is 4 as_tester cpubalctl pause && must status_is 4 as_tester cpubalctl mode observe &&
		must status_is 4 as_tester cpubalctl release --all && must status_is 4 as_tester cpubalctl reload &&
		must is "$(reply groups | grep -c Name=)" 0
	local rc=$?
	no_workers
	return $rc
}

# rule ACTION... - the tester may, from now on
rule() {
	local action
	for action; do
		printf 'polkit.addRule(function(action, subject) {\n\tif (action.id == "%s" && subject.user == "tester")\n' "$action"
		printf '\t\treturn polkit.Result.YES;\n});\n'
	done >/etc/polkit-1/rules.d/50-rig.rules
	chmod 644 /etc/polkit-1/rules.d/50-rig.rules
}
allowed() { as_tester cpubalctl "$@" >$loop_dir/out 2>&1; }

whom_a_rule_allows_may_change() {
	local own others rc=0
	as_tester sleep 600 &
	sleep 600 &
	others=$!
	must loop_try 10 pgrep -u tester -x sleep >/dev/null && own=$(pgrep -u tester -x sleep) || return 1
	must status_is 4 as_tester cpubalctl register mine "$own" || rc=1
	rule org.cpubalance1.manage-own
	must loop_try 20 allowed register mine "$own" && must status_is 0 as_tester cpubalctl mode mine advise &&
		must status_is 0 as_tester cpubalctl release mine &&
		must status_is 4 as_tester cpubalctl register mine "$others" && must status_is 4 as_tester cpubalctl pause &&
		must status_is 0 as_tester cpubalctl unregister mine || rc=1
	rule org.cpubalance1.manage-others org.cpubalance1.manage-machine
	# Nothing is proposed and nothing was kept: it gets as far as to be told so.
	must loop_try 20 allowed register others "$others" && must status_is 0 as_tester cpubalctl unregister others &&
		must status_is 5 as_tester cpubalctl apply && must status_is 5 as_tester cpubalctl rollback &&
		must status_is 0 as_tester cpubalctl pause && must status_is 0 as_tester cpubalctl resume &&
		must status_is 0 as_tester cpubalctl mode advise && must status_is 0 as_tester cpubalctl reload || rc=1
	rm /etc/polkit-1/rules.d/50-rig.rules
	refused() { ! allowed pause; }
	must loop_try 20 refused || rc=1
	ctl resume >/dev/null
	kill "$own" "$others"
	return $rc
}

another_user_cannot_take_its_name() {
	must quietly systemctl stop cpubalanced && mustnt as_tester busctl call org.freedesktop.DBus / \
		org.freedesktop.DBus RequestName su org.cpubalance1 0 2>/dev/null && must quietly systemctl start cpubalanced
}

# --- one worker through all of it ---------------------------------------------------------------------

registered() { field 0.Name workers | grep -q .; }

# The worker starts on CPU 0 and belongs on CPU 1, as an administrator says.
place() { must quietly ctl move web/0 1 && must loop_try 15 loop_all_on 1 "${w[0]}"; }

# A service that starts on CPU 0 is moved; what the tool prints for good makes it start there by itself.
what_is_permanent_comes_back_without_it() {
	local unit=/run/systemd/system/rigweb.service pid
	printf '[Service]\nExecStart=sleep 600\nCPUAffinity=0\n' >$unit
	must quietly systemctl daemon-reload && must quietly systemctl start rigweb || return 1
	pid=$(systemctl show -P MainPID rigweb)
	must quietly ctl register rig "$pid" && must is "$(field 0.Unit workers)" rigweb.service &&
		must quietly ctl move rig/0 1 && must loop_try 15 loop_all_on 1 "$pid" && must loop_try 15 settled || return 1
	mkdir $unit.d
	ctl changes --permanent >$loop_dir/permanent
	sed 's/^/#   /' $loop_dir/permanent
	sed -n '/^\[Service\]/,/^$/p' $loop_dir/permanent >$unit.d/50-cpus.conf
	must quietly ctl unregister rig && must loop_all_on 0 "$pid" && must quietly systemctl daemon-reload &&
		must quietly systemctl restart rigweb || return 1
	must is "$(cpus_of "$(systemctl show -P MainPID rigweb)")" 1
	local rc=$?
	systemctl stop rigweb
	rm -r $unit $unit.d
	systemctl daemon-reload
	return $rc
}

# The unit alone has not the rights that steering needs: it is refused, and what is missing is named. With the drop-in it works.
steering_needs_its_drop_in() {
	local drop_in=/etc/systemd/system/cpubalanced.service.d pid rc=0
	must workers 2 --cpus 0,1 && must quietly ctl register steer "${w[@]}" --steering=weighted || return 1
	steering_without && steering_with || rc=1
	ctl unregister steer >/dev/null 2>&1
	no_workers
	rm -rf "$drop_in"
	systemctl daemon-reload && systemctl restart cpubalanced || rc=1
	return $rc
}
steering_without() {
	must loop_try 30 refuses_to_drain 'lacks the right to steer, see doctor' && must is "$(share_of 0)" '' || return 1
	must doctor_names_it
}
steering_with() {
	mkdir "$drop_in" && cp /usr/share/cpubalance/steering.conf "$drop_in/" || return 1
	pid=$(main_pid)
	must quietly systemctl daemon-reload && must quietly systemctl restart cpubalanced && must loop_try 30 new_pid "$pid" &&
		must loop_try 30 drains && must is "$(share_of 0)" 0.0 && must is "$(share_of 1)" 1.0 && mustnt doctor_names_it &&
		must quietly ctl undrain steer 0 && must loop_try 20 no_share
}
refuses_to_drain() { ! ctl drain steer 0 >$loop_dir/out 2>&1 && grep -q "$1" $loop_dir/out; }
doctor_names_it() { ctl doctor 2>&1 | tr -s ' \n' ' ' | grep -q 'the service lacks the rights for it.*steering.conf'; }
drains() { ctl drain steer 0 >$loop_dir/out 2>&1; }
share_of() { field "$1.Share" workers; }
no_share() { [ -z "$(share_of 1)" ]; }

a_registered_worker_is_moved() {
	if [ "$(nproc)" -lt 2 ] || [[ " $(loop_allowed) " != *" 0 "*" 1 "* && " $(loop_allowed) " != " 0 1 "* ]]; then
		say "CPUs 0 and 1 are needed"
		return 1
	fi
	must workers 1 --cpus 0 && must quietly ctl register web "${w[0]}" && must loop_try 10 registered && place &&
		must loop_try 15 settled && must is "$(field 0.Was changes)" 0
}
# No plan is in flight
settled() { [ "$(field Plan.Id status)" = 0 ] || [ -z "$(field Plan.Id status)" ]; }

mode_now() { field Manager.Mode status; }

reload_takes_the_new_configuration() {
	configure 20-mode <<<$'[Manager]\nMode=observe'
	must quietly systemctl reload cpubalanced && must loop_try 10 mode_is observe &&
		must loop_all_on 1 "${w[0]}" || return 1
	configure 20-mode <<<$'[Manager]\nMode=advise'
	must quietly ctl reload && must mode_is advise
}
mode_is() { [ "$(mode_now)" = "$1" ]; }

reload_refuses_a_wrong_configuration_whole() {
	configure 20-mode <<<$'[Manager]\nMode=observe\n[Detect]\nHotOn=never'
	mustnt ctl reload >$loop_dir/out 2>&1
	rm $DROPINS/20-mode.conf
	must grep -q '20-mode.conf.*HotOn' $loop_dir/out && must mode_is advise &&
		must quietly ctl reload && must mode_is auto
}

# new_pid PID - the service is up again, and is another process
new_pid() { systemctl is-active -q cpubalanced && [ "$(main_pid)" != "$1" ] && ctl status >/dev/null 2>&1; }

# lives_on PID - what has to be true after any end that was no stop
lives_on() {
	must loop_try 30 new_pid "$1" && must loop_all_on 1 "${w[0]}" && must loop_try 10 registered &&
		must is "$(field 0.Was changes)" 0
}

a_restart_keeps_the_placement() {
	local pid
	pid=$(main_pid)
	must quietly systemctl restart cpubalanced && lives_on "$pid"
}

# What the service says when it has ended may come after systemctl has given up.
a_restart_with_a_wrong_configuration_loses_nothing() {
	configure 20-mode <<<$'[Detect]\nHotOn=never'
	mustnt systemctl restart cpubalanced 2>/dev/null && must loop_all_on 1 "${w[0]}" &&
		must quietly journal_says '20-mode.conf:2: HotOn' && must loop_try 10 journal_says 'Placements stay.*could not start' &&
		must is "$(systemctl is-active cpubalanced)" failed || return 1
	rm $DROPINS/20-mode.conf
	must quietly systemctl start cpubalanced && must loop_all_on 1 "${w[0]}" && must loop_try 10 registered &&
		must is "$(field 0.Was changes)" 0
}

a_restoration_needs_no_bus() {
	configure 20-mode <<<$'[Detect]\nHotOn=never'
	mustnt systemctl restart cpubalanced 2>/dev/null && must loop_all_on 1 "${w[0]}" || return 1
	# shellcheck disable=SC2016
	must quietly unshare --mount sh -c 'mount -t tmpfs tmpfs /run/dbus && mount -t tmpfs tmpfs /run/systemd &&
		! busctl list >/dev/null 2>&1 && cpubalanced --restore' && must loop_all_on 0 "${w[0]}" || return 1
	rm $DROPINS/20-mode.conf
	must quietly systemctl start cpubalanced && must loop_try 10 registered && place && must loop_try 15 settled
}

a_crash_keeps_the_placement() {
	local pid
	pid=$(main_pid)
	kill -KILL "$pid"
	lives_on "$pid" && must is "$(systemctl show -P NRestarts cpubalanced)" 1
}

a_hang_is_ended_by_the_watchdog() {
	local pid
	mkdir -p /run/systemd/system/cpubalanced.service.d
	printf '[Service]\nWatchdogSec=3\n' >/run/systemd/system/cpubalanced.service.d/quick.conf
	must quietly systemctl daemon-reload && must quietly systemctl restart cpubalanced || return 1
	pid=$(main_pid)
	kill -STOP "$pid"
	lives_on "$pid" && must quietly journal_says 'Watchdog timeout'
}
journal_says() { journalctl -q -u cpubalanced -o cat | grep -q "$1"; }

a_stop_restores() {
	must quietly systemctl stop cpubalanced && must loop_all_on 0 "${w[0]}" &&
		must is "$(systemctl show -P Result cpubalanced)" success && must status_is 3 ctl status
}

disable() {
	must quietly systemctl disable cpubalanced && must is "$(systemctl is-enabled cpubalanced)" disabled
}

uninstall_restores_and_leaves_nothing() {
	must quietly systemctl start cpubalanced && must quietly ctl register web "${w[0]}" &&
		must loop_try 10 registered && place || return 1
	rm -f $DROPINS/*.conf
	must quietly make_in_source uninstall && must loop_all_on 0 "${w[0]}" || return 1
	no_workers
	listing >$loop_dir/after
	must quietly diff $loop_dir/before $loop_dir/after && mustnt systemctl cat cpubalanced >/dev/null 2>&1
}

run_cases "${CASES[@]}"
