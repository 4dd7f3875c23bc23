#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# test_deb.sh - the packages of `make deb` in $CB_BUILD/deb through deb.sh in a container. What
# they are upgraded to is the same package with a higher version.
set -u
# shellcheck source=tests/rig/stage.bash
. "$(dirname "$0")/stage.bash"

debs=$CB_BUILD/deb
rig_images booted root
rig_job deb.sh
mkdir -p "$job"/debs/{old,new}
cp "$debs"/cpubalance_*.deb "$job/debs/old/" || { echo "Bail out! no package in $debs: make deb"; exit 1; }
dpkg-deb -R "$job"/debs/old/*.deb "$job/tree" &&
	sed -i 's/^Version: .*/&+later/' "$job/tree/DEBIAN/control" &&
	dpkg-deb --root-owner-group -Znone -b "$job/tree" "$job/debs/new/cpubalance_later.deb" >/dev/null || exit 1
rm -r "$job/tree"
rig_run $rig/run_booted.sh "$images" "$job"
