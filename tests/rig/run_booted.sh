#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# run_booted.sh [--bind PATH]... IMAGES JOB - boot the root image with systemd as PID 1 in a container on the
# running kernel, run JOB/main in it as root, print its output, and exit with its status.
# PATH is seen there at the same place, read-only. The image itself is never written: an overlay is thrown away.
#
# Exit status 124: the time of TIMEOUT seconds (default 180) ran out; 125: the machine failed, its console is shown.
set -u

if [ "${RIG_PRIVATE:-}" != 1 ]; then
	# With a mount namespace and a /run of its own, systemd-nspawn leaves nothing behind.
	RIG_PRIVATE=1 exec unshare --mount --propagation slave -- "$0" "$@"
fi

binds=()
while [ "${1:-}" = --bind ]; do
	binds+=("--bind-ro=$(realpath "$2")")
	shift 2
done
images=$1 job=$2
limit=${TIMEOUT:-180}

mount -t tmpfs -o mode=755 tmpfs /run || exit 125
mkdir -p /run/rig
cp -a "$job" /run/rig/job
: >/run/rig/out

# Without a cgroup of its own the container's groups would be made in this machine's root group.
group=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
[ -n "$group" ] || { echo "run_booted.sh: no cgroup2 mount here" >&2; exit 125; }
group=$group/cpubalance-rig-$$
mkdir "$group" || exit 125

remove_group() {
	local tries=0
	echo 1 2>/dev/null >"$group/cgroup.kill"
	while [ -d "$group" ] && [ $tries -lt 100 ]; do
		find "$group" -depth -type d -exec rmdir {} + 2>/dev/null
		[ -d "$group" ] && sleep 0.1
		tries=$((tries + 1))
	done
}
trap remove_group EXIT
trap 'exit 125' INT TERM HUP

(
	echo "$BASHPID" >"$group/cgroup.procs"
	# No seccomp filter: which calls it lets through is not what is tested here.
	export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 SYSTEMD_SECCOMP=0
	exec setsid systemd-nspawn --quiet --directory="$images/root" --volatile=overlay --machine="rig$$" \
		--boot --register=no --keep-unit --capability=all --private-network --console=pipe \
		--resolv-conf=off --timezone=off --link-journal=no --bind=/run/rig "${binds[@]}" \
		systemd.show_status=0 systemd.log_target=console
) >/run/console 2>&1 </dev/null &
nspawn=$!

status=
# The shell is told when it ends, and when the time does.
(
	trap 'kill "$pid" 2>/dev/null' TERM
	sleep "$limit" &
	pid=$!
	wait "$pid" && echo 1 >"$group/cgroup.kill"
) &
timer=$!
wait "$nspawn"
kill -0 "$timer" 2>/dev/null || status=124
kill "$timer" 2>/dev/null

sed '/^rig: exit [0-9]*$/d' /run/rig/out
[ -n "$status" ] || status=$(sed -n 's/^rig: exit \([0-9]*\)$/\1/p' /run/rig/out)
case $status in
'' | 124)
	[ -n "$status" ] && why="no end after $limit s" || why="the machine ended without a word"
	echo "run_booted.sh: $why; its console ends:" >&2
	tail -n 40 /run/console >&2
	;;
esac
exit "${status:-125}"
