#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# deb.sh - inside the container: the life of the Debian package, with a worker whose mask is watched all the while. The
# packages are below debs/old and debs/new, the second with a higher version. The cases follow one another.
# shellcheck disable=SC2317 # cases are called by name
set -u
# shellcheck source=tests/rig/guest.bash
. ./guest.bash

CASES=(
	an_installation_starts_nothing
	the_manual_pages_and_completions_are_there
	enabled_it_shows_its_status
	a_worker_is_placed
	figures_are_served_by_nobody
	an_upgrade_under_load_touches_no_mask
	an_upgrade_keeps_an_edited_configuration
	a_daemon_by_hand_is_in_the_way_of_a_removal
	a_removal_restores
	an_installation_after_it_finds_the_configuration
	a_purge_leaves_nothing
)

CONF=/etc/cpubalanced/cpubalanced.conf

apt() { DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 "$@" </dev/null; }
install_deb() { quietly apt install -y --no-install-recommends "$PWD"/debs/"$1"/cpubalance_*.deb; }
version() { dpkg-query -W -f '${Version}' cpubalance; }
state() { dpkg-query -W -f '${db:Status-Status}' cpubalance 2>/dev/null; }

listing() {
	find /etc /usr /lib /var /run/cpubalanced -not -path '/var/lib/dpkg/*' -not -path '/var/lib/apt/*' -not -path '/var/cache/*' \
		-not -path '/var/log/*' -not -path '/var/lib/systemd/coredump*' -not -path '/var/lib/systemd/linger*' \
		-not -path '/var/lib/private*' -not -path '/var/tmp/*' -not -name '*.pyc' -not -name '*.wants' 2>/dev/null | sort
}

an_installation_starts_nothing() {
	vital=1
	listing >$loop_dir/before
	must install_deb old && must is "$(state)" installed && must is "$(systemctl is-enabled cpubalanced)" disabled &&
		must is "$(systemctl is-active cpubalanced)" inactive &&
		must is "$(systemctl is-enabled cpubalanced-metrics.socket)" disabled && must status_is 3 ctl status &&
		must quietly cpubalanced --check-config
}

the_manual_pages_and_completions_are_there() {
	local file
	for file in man/man1/cpubalctl.1.gz man/man5/cpubalanced.conf.5.gz man/man5/org.cpubalance1.5.gz man/man8/cpubalanced.8.gz \
		man/man8/cpubalanced-metrics.8.gz bash-completion/completions/cpubalctl zsh/vendor-completions/_cpubalctl \
		dbus-1/system.d/org.cpubalance1.conf polkit-1/actions/org.cpubalance1.policy; do
		must test -s "/usr/share/$file" || return 1
	done
}

enabled_it_shows_its_status() {
	vital=1
	printf '[Manager]\nSampleIntervalSec=250ms\n[Plan]\nQuietStartSec=0s\n' >>$CONF
	must quietly systemctl enable --now cpubalanced && must quietly cpubalctl status &&
		must quietly as_tester cpubalctl status
}

registered() { field 0.Name workers | grep -q .; }
settled() { [ "$(field Plan.Id status)" = 0 ] || [ -z "$(field Plan.Id status)" ]; }

a_worker_is_placed() {
	vital=1
	# One that does no work gives nothing to judge a move by, so that it stays.
	taskset -c 0 sleep 900 &
	w=($!)
	must loop_try 10 loop_all_on 0 "${w[0]}" && must quietly ctl register web "${w[0]}" && must loop_try 10 registered &&
		must quietly ctl move web/0 1 && must loop_try 15 loop_all_on 1 "${w[0]}" && must loop_try 15 settled
}

# get PATH - what is served, head and all
get() {
	exec 7<>/dev/tcp/127.0.0.1/9788 || return 1
	printf 'GET %s HTTP/1.0\r\n\r\n' "$1" >&7
	timeout 10 cat <&7
	exec 7>&-
}

served() {
	get /metrics >$loop_dir/metrics
	grep -q '^cpubalance_up 1' $loop_dir/metrics
}

figures_are_served_by_nobody() {
	local pid
	must quietly systemctl enable --now cpubalanced-metrics.socket && must loop_try 10 served || return 1
	pid=$(systemctl show -P MainPID cpubalanced-metrics.service)
	must is "$(stat -c %U "/proc/$pid")" cpubalance-metrics && must grep -qx $'CapBnd:\t0000000000000000' "/proc/$pid/status" &&
		must grep -qx $'CapEff:\t0000000000000000' "/proc/$pid/status"
}

# Every mask that PID is seen to have, without an end. No sleep: it is to see what lasts a moment.
watch_mask() {
	local line before=''
	while read -r line < <(grep '^Cpus_allowed_list' "/proc/$1/status"); do
		[ "$line" = "$before" ] || echo "${line##*[[:space:]]}"
		before=$line
	done
}

new_pid() { systemctl is-active -q cpubalanced && [ "$(main_pid)" != "$1" ] && ctl status >/dev/null 2>&1; }

an_upgrade_under_load_touches_no_mask() {
	local pid watcher load
	pid=$(main_pid)
	./tools/burn --cpus 0 --duty 80 --seconds 300 >/dev/null &
	load=$!
	watch_mask "${w[0]}" >$loop_dir/masks &
	watcher=$!
	must loop_try 10 test -s $loop_dir/masks && must install_deb new && must loop_try 30 new_pid "$pid"
	local rc=$?
	sleep 1
	kill $watcher $load
	wait $watcher $load 2>/dev/null
	[ $rc = 0 ] || return 1
	must is "$(sort -u $loop_dir/masks | tr '\n' ' ')" "1 " && must loop_all_on 1 "${w[0]}" &&
		must loop_try 10 registered && must is "$(field 0.Was changes)" 0 &&
		must is "$(systemctl is-enabled cpubalanced)" enabled && must test "$(version)" != "$old_version" &&
		must is "$(systemctl show -P NRestarts cpubalanced)" 0 && must loop_try 10 served
}

an_upgrade_keeps_an_edited_configuration() {
	must grep -q '^SampleIntervalSec=250ms' $CONF && must is "$(field Manager.Mode status)" auto
}

a_daemon_by_hand_is_in_the_way_of_a_removal() {
	local daemon rc
	must quietly systemctl stop cpubalanced && must loop_all_on 0 "${w[0]}" || return 1
	cpubalanced >$loop_dir/by-hand 2>&1 &
	daemon=$!
	must loop_try 10 ctl status && must mustnt apt remove -y cpubalance >$loop_dir/out 2>&1
	rc=$?
	must grep -q 'cpubalance: not removed' $loop_dir/out && must is "$(state)" installed &&
		must test -x /usr/sbin/cpubalanced || rc=1
	kill $daemon
	wait $daemon
	return $rc
}

a_removal_restores() {
	must quietly systemctl start cpubalanced && must loop_try 10 registered && must quietly ctl move web/0 1 &&
		must loop_try 15 loop_all_on 1 "${w[0]}" && must quietly apt remove -y cpubalance || return 1
	must loop_all_on 0 "${w[0]}" && must is "$(state)" config-files && mustnt systemctl cat cpubalanced >/dev/null 2>&1 &&
		must test ! -e /usr/sbin/cpubalanced -a -e $CONF && mustnt get /metrics >/dev/null 2>&1
}

an_installation_after_it_finds_the_configuration() {
	must install_deb new && must grep -q '^SampleIntervalSec=250ms' $CONF && must is "$(state)" installed
}

a_purge_leaves_nothing() {
	kill "${w[0]}"
	must quietly apt purge -y cpubalance || return 1
	must is "$(state)" "" && mustnt test -e /var/lib/cpubalanced && mustnt test -e /run/cpubalanced || return 1
	listing >$loop_dir/after
	must quietly diff $loop_dir/before $loop_dir/after
}

old_version=$(dpkg-deb -f debs/old/cpubalance_*.deb Version)
run_cases "${CASES[@]}"
