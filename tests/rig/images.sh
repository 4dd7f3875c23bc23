#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# images.sh DIR IMAGE... - make the images that the test machines start from, where they are missing or older
# than this script and what it puts into them. Everything comes from Debian's packages, nothing is installed.
#
#   root         DIR/root.tar: systemd, the system bus, polkit, what cpubalance links and a few tools
#   disk         DIR/root.ext4: the same as a disk
#   6.1, 6.12    DIR/VERSION/{vmlinux,initrd,release}: Debian's cloud kernel of that series
#   qemu         DIR/qemu/run: the emulator, the installed one or, where that is too old, unpacked from Debian's backports
#
# Needs root. Exit status 77: something is missing here, its name on standard output; 1: failed.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
dir=$1
shift
mkdir -p "$dir"
dir=$(realpath "$dir")
work=

PACKAGES=systemd,systemd-sysv,dbus,dbus-bin,polkitd,apt,make,procps,iproute2,util-linux
PACKAGES+=,libnl-3-200,libnl-genl-3-200,libjson-c5,libinih1,libsystemd0,libmicrohttpd12
# In the initrd; the boot loads the first three, the guest's runner the others.
MODULES='virtio_pci virtio_blk ext4 virtio_net tcp_diag udp_diag'

missing() {
	echo "$*"
	exit 77
}

# shellcheck source=/dev/null
. /etc/os-release
[ "$(id -u)" = 0 ] || missing "root is needed"
[ "${ID:-}" = debian ] || missing "the programs are built here and run there: Debian is needed, this is ${ID:-unknown}"
[ "$(uname -m)" = x86_64 ] || missing "the machines are x86_64, this is $(uname -m)"
suite=$VERSION_CODENAME
# shellcheck disable=SC2016 # apt expands it
mirror=$(apt-get indextargets --format '$(SITE)' 2>/dev/null | grep -m 1 '/debian$' || echo http://deb.debian.org/debian)

# --- what an image was made from --------------------------------------------------------------------

sources() { cat "$here/images.sh" "$here"/guest/*; }
stamp_of() { { sources; echo "$suite $1"; } | sha256sum; }
fresh() { [ "$(cat "$dir/$1.stamp" 2>/dev/null)" = "$(stamp_of "$1")" ]; }

# --- root and disk ----------------------------------------------------------------------------------

# Units that only cost time under emulation, or want what a test machine does not have.
thin_out() {
	local root=$1 unit name
	rm -rf "$root"/usr/share/{doc,locale,info}/* "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*
	find "$root/usr/share/man" -type f -delete
	mkdir -p "$root"/usr/share/man/man{1,5,8}
	rm -f "$root"/{usr/lib,etc}/systemd/system/timers.target.wants/* \
		"$root"/usr/lib/systemd/system/multi-user.target.wants/systemd-{logind.service,ask-password-wall.path}
	for name in getty@tty1.service serial-getty@ttyS0.service console-getty.service getty.target \
		systemd-networkd.service systemd-networkd.socket systemd-resolved.service systemd-timesyncd.service \
		systemd-network-generator.service systemd-pstore.service e2scrub_reap.service systemd-firstboot.service \
		systemd-random-seed.service systemd-update-utmp.service systemd-update-utmp-runlevel.service \
		systemd-machine-id-commit.service systemd-journal-flush.service systemd-binfmt.service \
		systemd-repart.service systemd-modules-load.service kmod-static-nodes.service \
		modprobe@.service proc-sys-fs-binfmt_misc.automount sys-kernel-config.mount sys-kernel-debug.mount \
		sys-kernel-tracing.mount sys-fs-fuse-connections.mount dev-mqueue.mount dev-hugepages.mount; do
		ln -sf /dev/null "$root/etc/systemd/system/$name"
	done
	mkdir -p "$root/etc/systemd/system-generators"
	for unit in "$root"/usr/lib/systemd/system-generators/*; do
		ln -sf /dev/null "$root/etc/systemd/system-generators/${unit##*/}"
	done
}

make_root() {
	local root=$work/root
	mmdebstrap --quiet --mode=root --variant=essential --include="$PACKAGES" \
		--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr --dpkgopt=force-unsafe-io \
		--aptopt='APT::Install-Recommends "false"' "$suite" "$root" "$mirror" >"$work/log" 2>&1 ||
		{ tail -n 30 "$work/log" >&2; return 1; }
	thin_out "$root"
	# An empty machine id makes every boot a first one.
	echo 6370756261 6c616e6365 72696720 30303030 | tr -d ' ' | cut -c 1-32 >"$root/etc/machine-id"
	echo rig >"$root/etc/hostname"
	echo '127.0.0.1 localhost rig' >"$root/etc/hosts"
	: >"$root/etc/fstab"
	echo 'tester:x:1000:1000::/tmp:/bin/sh' >>"$root/etc/passwd"
	echo 'tester:x:1000:' >>"$root/etc/group"
	mkdir -p "$root/etc/systemd/journald.conf.d"
	printf '[Journal]\nStorage=volatile\nRateLimitBurst=0\n' >"$root/etc/systemd/journald.conf.d/rig.conf"
	install -D -m 755 "$here/guest/run" "$root/usr/lib/rig/run"
	install -D -m 644 "$here/guest/rig.service" "$root/usr/lib/systemd/system/rig.service"
	mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
	ln -sf /usr/lib/systemd/system/rig.service "$root/etc/systemd/system/multi-user.target.wants/rig.service"
	ln -sf /usr/lib/systemd/system/multi-user.target "$root/etc/systemd/system/default.target"
	tar -C "$root" --numeric-owner -cf "$work/root.tar" .
	mv "$work/root.tar" "$dir/root.tar"
}

make_disk() {
	need root
	mkdir "$work/root"
	tar -C "$work/root" --numeric-owner -xf "$dir/root.tar"
	mke2fs -q -t ext4 -O '^has_journal,^metadata_csum,^64bit' -m 0 -d "$work/root" "$work/disk" 700M >/dev/null
	mv "$work/disk" "$dir/root.ext4"
}

# --- kernels ----------------------------------------------------------------------------------------

# private_apt SUITES ARG... - apt-get with sources and lists of its own
private_apt() {
	local apt=$dir/apt suite
	local options=(-o Dir::Etc::sourceparts=/dev/null -o Dir::State::status="$apt/status"
		-o Dir::Etc::sourcelist="$apt/sources.list" -o Dir::State::lists="$apt/lists" -o Dir::Cache="$apt/cache"
		-o APT::Sandbox::User=root -o Acquire::Languages=none)
	mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
	: >"$apt/status"
	: >"$apt/sources.list"
	for suite in $1; do
		echo "deb [arch=amd64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main"
	done >"$apt/sources.list"
	shift
	apt-get -qq "${options[@]}" "$@"
}

# fetch_kernel VERSION - the package into the working directory; its metapackage names it
fetch_kernel() {
	local suites='bookworm bookworm-backports' from=bookworm-backports name
	[ "$1" != 6.1 ] || from=bookworm
	[ -n "${updated:-}" ] || private_apt "$suites" update
	updated=1
	name=$(private_apt "$suites" -t "$from" --no-install-recommends --print-uris install linux-image-cloud-amd64 |
		sed 's/%2b/+/g; s/%7e/~/g' | grep -o "linux-image-$1\.[^_/]*-cloud-amd64" | head -n 1)
	[ -n "$name" ] || { echo "images.sh: the archive has no cloud kernel $1" >&2; return 1; }
	(cd "$work" && private_apt "$suites" -t "$from" download "$name" >/dev/null)
}

u32_at() { od -An -tu4 -j "$2" -N 4 "$1" | tr -d ' '; }

# The kernel inside a bzImage (the boot protocol's setup_sects, payload_offset and payload_length): under
# emulation its own decompression would cost seconds of each boot. The last four bytes are the size.
extract_vmlinux() {
	local image=$1 sects offset length tool
	sects=$(od -An -tu1 -j 497 -N 1 "$image" | tr -d ' ')
	offset=$(((${sects/#0/4} + 1) * 512 + $(u32_at "$image" 584)))
	length=$(u32_at "$image" 588)
	for tool in zstd xz lz4 gzip; do
		tail -c "+$((offset + 1))" "$image" 2>/dev/null | head -c "$((length - 4))" | $tool -dc >"$2" 2>/dev/null || true
		[ "$(head -c 4 "$2" | tr -d '\177')" = ELF ] && return 0
	done
	echo "images.sh: no known compression in $image" >&2
	return 1
}

# Modules and busybox, which loads them, mounts the disk and goes on there.
make_initrd() {
	local tree=$1 release=$2 out=$3 root=$work/initrd module file
	mkdir -p "$root"/{bin,dev,proc,sys,root,modules}
	cp /bin/busybox "$root/bin/"
	install -m 755 "$here/guest/init" "$root/init"
	depmod -b "$tree" "$release"
	for module in $MODULES; do
		modprobe -d "$tree" -S "$release" --show-depends "$module" | awk '$1 == "insmod" { print $2 }'
	done | awk '!seen[$0]++' | while read -r file; do
		case $file in
		*.xz) xz -dc "$file" ;;
		*.zst) zstd -dc "$file" ;;
		*) cat "$file" ;;
		esac >"$root/modules/$(basename "$file" | sed 's/\.ko.*/.ko/')"
		basename "$file" | sed 's/\.ko.*/.ko/' >>"$root/modules/order"
	done
	(cd "$root" && find . | busybox cpio -o -H newc 2>/dev/null) >"$out"
}

make_kernel() {
	local tree=$work/tree out=$work/out release
	mkdir -p "$tree" "$out"
	fetch_kernel "$1"
	for deb in "$work"/*.deb; do
		dpkg-deb -x "$deb" "$tree"
	done
	release=$(ls "$tree/lib/modules")
	echo "$release" >"$out/release"
	cp "$tree/boot/config-$release" "$out/config"
	extract_vmlinux "$tree/boot/vmlinuz-$release" "$out/vmlinux"
	make_initrd "$tree" "$release" "$out/initrd"
	rm -rf "${dir:?}/$1"
	mv "$out" "$dir/$1"
}

# --- emulator ---------------------------------------------------------------------------------------

# Before 8.1 the first CPU that is busy has all the time that its clock counts, until it waits: the others starve, and a kernel that
# waits for them without saying so (6.1 does when it starts a CPU) waits for ever.
QEMU_OLDEST=8.1

make_qemu() {
	local out=$work/qemu version deb
	mkdir -p "$out"
	version=$(qemu-system-x86_64 --version | sed -n 's/.* version \([0-9.]*\).*/\1/p')
	if dpkg --compare-versions "$version" ge $QEMU_OLDEST; then
		printf '#!/bin/sh\nexec qemu-system-x86_64 "$@"\n' >"$out/run"
	else
		private_apt "$suite $suite-backports" update
		(cd "$work" && private_apt "$suite $suite-backports" -t "$suite-backports" download \
			qemu-system-x86 qemu-system-data seabios >/dev/null)
		for deb in "$work"/*.deb; do
			dpkg-deb -x "$deb" "$out"
		done
		printf '#!/bin/sh\nexec %s -L %s -L %s "$@"\n' "$dir/qemu/usr/bin/qemu-system-x86_64" \
			"$dir/qemu/usr/share/qemu" "$dir/qemu/usr/share/seabios" >"$out/run"
	fi
	chmod 755 "$out/run"
	rm -rf "${dir:?}/qemu"
	mv "$out" "$dir/qemu"
	"$dir/qemu/run" --version >/dev/null
}

# ----------------------------------------------------------------------------------------------------

# need IMAGE - make it unless it is there
need() {
	local image=$1 started=$SECONDS outer=$work free
	fresh "$image" && return 0
	free=$(df --output=avail -k "$dir" | tail -n 1)
	[ "$free" -gt 2500000 ] || missing "2.5 GB of free disk are needed below $dir"
	rm -f "$dir/$image.stamp"
	work=$(mktemp -d "$dir/make.XXXXXX")
	case $image in
	root) make_root ;;
	disk) make_disk ;;
	6.*) make_kernel "$image" ;;
	qemu) make_qemu ;;
	*) echo "images.sh: unknown image $image" >&2; exit 1 ;;
	esac
	rm -rf --one-file-system "$work"
	work=$outer
	stamp_of "$image" >"$dir/$image.stamp"
	echo "images.sh: made $image in $((SECONDS - started)) s" >&2
}

# shellcheck disable=SC2317 # by the trap
finish() {
	local left
	for left in "$dir"/make.*; do
		[ ! -e "$left" ] || rm -rf --one-file-system "$left"
	done
}

exec 9>"$dir/lock"
flock 9
trap finish EXIT
fetched=() others=()
for image; do
	case $image in
	6.* | qemu) fetched+=("$image") ;;
	*) others+=("$image") ;;
	esac
done
# Who fetches and who unpacks do not wait for each other.
for_all() {
	for image; do
		need "$image"
	done
}
(for_all "${fetched[@]}") &
pids=($!)
(for_all "${others[@]}") &
pids+=($!)
rc=0
for pid in "${pids[@]}"; do
	wait "$pid" || rc=$?
done
exit $rc
