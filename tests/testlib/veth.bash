# shellcheck shell=bash disable=SC2154
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# veth.bash - on top of pinned.bash: a pair of network interfaces, so that packets cross from one network namespace to another. veth0 is in
# $loop_net, with the server and the daemon, veth1 in $veth_peer, with the generator. What /sys shows of interfaces is the namespace
# that it was mounted in, so whoever looks at queues is run by veth_run or veth_do, in a mount namespace of its own.

veth_here=198.18.7.1
veth_there=198.18.7.2
veth_peer=

# The rest of its arguments in $loop_net, with its interfaces in /sys.
# shellcheck disable=SC2016 # expanded by that shell
veth_view=(unshare --mount -- sh -c 'mount -t sysfs sysfs /sys && exec "$@"' sh)

# veth_policy [INTERVAL] - as policy with windows as many as in real life, of INTERVAL when given. The share of its time that a CPU spends
# on the packets of one worker depends on the machine: the threshold is low here.
veth_policy() {
	policy 10 30
	sed -i "s/^\[Plan\]/HotNoHarmSec=2s\nSoftirqOn=10%\nSoftirqOff=5%\n&/
		s/^SampleIntervalSec=.*/SampleIntervalSec=${1:-250ms}/" "$loop_dir/test.conf"
}

# veth_start [OPTION...] - the pair; options of `ip link add` for veth0, such as numrxqueues 2
veth_start() {
	# shellcheck disable=SC2016 # expanded by that shell
	loop_run tests/tools/netns-run.sh sh -c 'echo >"$1"; exec sleep 7200' sh "$loop_dir/peer"
	veth_peer=$loop_pid
	loop_try 10 test -e "$loop_dir/peer" || return 1
	nsenter --net --target "$loop_net" ip link delete veth0 2>/dev/null
	nsenter --net --target "$loop_net" ip link add veth0 "$@" type veth peer name veth1 "$@" netns "$veth_peer" &&
		nsenter --net --target "$loop_net" ip address add "$veth_here/30" dev veth0 &&
		nsenter --net --target "$loop_net" ip link set veth0 up &&
		nsenter --net --target "$veth_peer" ip address add "$veth_there/30" dev veth1 &&
		nsenter --net --target "$veth_peer" ip link set veth1 up
}

# With its namespace, which clear_stage ends, the pair goes.
clear_more() {
	veth_peer=
	rm -f "$loop_dir/peer"
}

# veth_do COMMAND... - and its status; veth_run COMMAND... - as loop_run
veth_do() { nsenter --net --target "$loop_net" "${veth_view[@]}" "$@"; }
veth_run() { loop_net_run "${veth_view[@]}" "$@"; }

# mask_of CPU - "2" of CPU 1, as /sys writes it (of CPUs below 32)
mask_of() { printf '%x' $((1 << $1)); }

# queue FILE [VALUE] - what queues/FILE of veth0 holds, in hexadecimal without leading zeros and commas; or write it
queue() {
	if [ $# -gt 1 ]; then
		# shellcheck disable=SC2016 # expanded by that shell
		veth_do sh -c 'echo "$2" >/sys/class/net/veth0/queues/$1' sh "$1" "$2"
	else
		veth_do cat "/sys/class/net/veth0/queues/$1" | tr -d ',\n' | sed 's/^0*\(.\)/\1/'
	fi
}
queue_is() { [ "$(queue "$1")" = "$2" ]; }

# veth_daemon OPTION... - the daemon beside its server
veth_daemon() {
	veth_run nice -n -10 "$CB_BUILD/cpubalanced" --bus="$CB_BUS_ADDRESS" --config="$loop_dir/test.conf" \
		--run-dir="$loop_dir/run" --state-dir="$loop_dir/state" "$@" 2>>"$loop_dir/daemon.log"
	loop_daemon=$loop_pid
	loop_try 20 loop_daemon_up && loop_alive "$loop_daemon"
}

# veth_load NAME OPTION... - as loop_load, from the other side
veth_load() {
	local file=$loop_dir/$1.load
	shift
	: >"$file"
	loop_run nsenter --net --target "$veth_peer" "$loop_tools/httpload" --address "$veth_here" --port 8080 "$@" >"$file"
}
