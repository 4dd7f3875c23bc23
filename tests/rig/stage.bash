# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# stage.bash - what the tests outside the test machines share: images, the job that goes in, skipping with a reason,
# and a second try, that is reported, for a machine that breaks.

CB_SRC=${CB_SRC:-$(cd "$(dirname "$0")/../.." && pwd)}
CB_BUILD=${CB_BUILD:-$CB_SRC/build}
cd "$CB_SRC" || exit 1
rig=tests/rig
images=$CB_BUILD/rig

skip_all() {
	echo "1..0 # SKIP $*"
	exit 0
}

# rig_images GROUP IMAGE... - the group's packages, then the images; or the whole test is skipped
rig_images() {
	local group=$1 said rc
	shift
	[ "$(id -u)" = 0 ] || skip_all "root is needed"
	said=$(BUILD=$CB_BUILD tools/deps "$group" 2>&1) || skip_all "packages are missing: $(tail -n 1 <<<"$said")"
	said=$($rig/images.sh "$images" "$@")
	rc=$?
	[ $rc = 77 ] && skip_all "$said"
	[ $rc = 0 ] && return
	echo "Bail out! the images could not be made"
	exit 1
}

# rig_job MAIN - a job directory with everything that goes into a machine; its path is in $job
rig_job() {
	local file
	job=$(mktemp -d "${TMPDIR:-/tmp}/cpubalance-job.XXXXXX") || exit 1
	trap 'rm -rf "$job"' EXIT
	mkdir -p "$job"/src/build "$job"/tools
	# What an installation needs beside the two programs: all but sources, tests and builds.
	for file in *; do
		case $file in
		build* | tests | lib | daemon | ctl | include) ;;
		*) cp -r "$file" "$job/src/" ;;
		esac
	done
	cp "$rig/$1" "$job/main"
	cp $rig/guest.bash tests/testlib/loop.bash "$job/"
	cp "$CB_BUILD"/cpubalanced{,-metrics,-gauge} "$CB_BUILD"/cpubalctl "$job/src/build/" &&
		cp "$CB_BUILD"/tests/tools/{rpserv,burn,httpload} "$job/tools/" || exit 1
}

# rig_run CMD... - run a machine; once more when it broke (and not its tests), which is said in the output
rig_run() {
	local rc
	"$@"
	rc=$?
	[ $rc = 124 ] || [ $rc = 125 ] || return $rc
	echo "# note: the machine broke (exit status $rc); this is the second and last try"
	"$@"
}
