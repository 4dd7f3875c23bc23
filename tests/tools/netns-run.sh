#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# netns-run COMMAND [ARGUMENT...]: run a command in a network namespace of its own, where only the
# loopback interface is up. The namespace has no name and no mount: it is gone with the last process
# in it, also when that was killed, so there is never anything to clean up. The command keeps the
# pid of this script. Join it from elsewhere with: nsenter --net --target PID COMMAND
set -eu
if [ $# -eq 0 ] || [ "$1" = --help ]; then
	echo "Usage: netns-run COMMAND [ARGUMENT...]"
	echo "Run a command in a private network namespace with loopback only (needs root)."
	[ $# -gt 0 ]
	exit
fi
exec unshare --net -- sh -c 'ip link set lo up && exec "$@"' netns-run "$@"
