#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# run_booted.sh [--bind PATH]... IMAGES JOB - boot the root image with systemd as PID 1 in a container on the
# running kernel, run JOB/main in it as root, print its output, and exit with its status.
# PATH is seen there at the same place, read-only. The image is unpacked into memory, and gone at the end.
#
# Exit status 124: the time of TIMEOUT seconds (default 180) ran out; 125: the machine failed, its console is shown.
# shellcheck disable=SC2317 # some functions are called by name only
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
mkdir -p /run/rig /run/root
tar -C /run/root --numeric-owner -xf "$images/root.tar" || exit 125
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
	while [ -d "$group" ] && [ "$tries" -lt 100 ]; do
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
	exec setsid systemd-nspawn --quiet --directory=/run/root --machine="rig$$" \
		--boot --register=no --keep-unit --capability=all --private-network --console=pipe \
		--resolv-conf=off --timezone=off --link-journal=no --bind=/run/rig "${binds[@]}" \
		systemd.show_status=0
) >/run/console 2>&1 </dev/null &
nspawn=$!

status='' why='the machine ended without a word'
until=$((SECONDS + limit))
while kill -0 "$nspawn" 2>/dev/null; do
	[ "$SECONDS" -lt "$until" ] || { status=124 why="no end after $limit s"; break; }
	sleep 0.1
done
[ -z "$status" ] || echo 1 >"$group/cgroup.kill"
wait "$nspawn" 2>/dev/null

sed '/^rig: exit [0-9]*$/d' /run/rig/out
[ -n "$status" ] || status=$(sed -n 's/^rig: exit \([0-9]*\)$/\1/p' /run/rig/out)
if [ -z "$status" ] || [ "$status" = 124 ]; then
	echo "run_booted.sh: $why; its console ends:" >&2
	tail -n 40 /run/console >&2
fi
exit "${status:-125}"
