#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The archive of the sources, the packages of `make deb` in $CB_BUILD/deb and the spec file for rpm, as their own checkers
# see them, and that each of them has every file that `make install` installs.
set -u

cd "${CB_SRC:-$(dirname "$0")/../..}" || exit 1
CB_BUILD=${CB_BUILD:-$PWD/build}
version=$(sed -n 's/^VERSION := //p' Makefile)
debs=$CB_BUILD/deb
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
n=0 bad=0

verdict() {
	n=$((n + 1))
	if [ -z "$2" ]; then
		echo "ok $n - $1"
	else
		echo "not ok $n - $1"
		# shellcheck disable=SC2001 # a prefix for each line
		head -n 40 <<<"$2" | sed 's/^/#   /'
		bad=$((bad + 1))
	fi
}

[ -e "$debs/cpubalance_$version.orig.tar.gz" ] || { echo "1..0 # SKIP no packages in $debs: make deb"; exit 0; }
echo "1..6"

# --- the archive ---
again() { SOURCE_DATE_EPOCH=1 tools/dist "cpubalance-$version" "$1" 2>/dev/null; }
verdict "the same sources make the same archive" "$(
	again "$work/a.tar.gz" && again "$work/b.tar.gz" && cmp "$work/a.tar.gz" "$work/b.tar.gz" 2>&1)"
verdict "and so they do from the archive, without git" "$(
	tar -C "$work" -xzf "$work/a.tar.gz" && cd "$work/cpubalance-$version" && mkdir build && : >build/left &&
		again "$work/c.tar.gz" && cmp "$work/a.tar.gz" "$work/c.tar.gz" 2>&1)"

# --- what is installed, and what is packed ---
# Compressed or not, below /lib or below /usr/lib.
names() { sed -e 's/\.gz$//' -e 's,^/lib/,/usr/lib/,' -e 's,/vendor-completions/,/site-functions/,' | sort; }
make -s -o all BUILD="$CB_BUILD" DESTDIR="$work/root" prefix=/usr install >"$work/log" 2>&1 || cat "$work/log"
find "$work/root" -type f | sed "s,^$work/root,," | names >"$work/installed"

deb=$(ls "$debs"/cpubalance_*.deb)
dpkg-deb -c "$deb" | awk '!/^d/ { print substr($6, 2) }' | grep -v '^/usr/share/\(doc\|lintian\)/' | names >"$work/deb"
verdict "the Debian package has what is installed" "$(diff "$work/installed" "$work/deb")"

spec() { rpmspec --define '_unitdir /usr/lib/systemd/system' --define '_sysusersdir /usr/lib/sysusers.d' -P packaging/rpm/cpubalance.spec 2>&1; }
spec | awk '/^%files/ { on = 1; next } /^%changelog/ { on = 0 } on && !/^%(license|doc|dir)/ && NF { print $NF }' |
	sed 's/\*$//' | names >"$work/rpm"
verdict "the rpm has what is installed" "$(diff "$work/installed" "$work/rpm")"

# --- the checkers ---
verdict "lintian finds no error and nothing to warn of" "$(lintian --allow-root --fail-on error,warning "$debs"/*.changes 2>&1)"
verdict "rpmlint finds no error" "$(said=$(rpmlint packaging/rpm/cpubalance.spec 2>&1)
	grep -q ' 0 errors' <<<"$said" || echo "$said")"
[ "$bad" = 0 ]
