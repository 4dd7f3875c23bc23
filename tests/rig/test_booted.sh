#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# test_booted.sh - booted.sh in a container with systemd as its first process.
set -u
# shellcheck source=tests/rig/stage.bash
. "$(dirname "$0")/stage.bash"

rig_images booted root
rig_job booted.sh
rig_run $rig/run_booted.sh "$images" "$job"
