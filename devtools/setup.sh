#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Install what a Debian 12 machine needs to build and try dpdk-lm.
# Idempotent: every step that is already done is skipped.
#
#   devtools/setup.sh [build] [demo] [test] [oracle] [lint]     (default: build demo)

set -eu

CACHE=${DPDK_LM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/dpdk-lm}
SUITE=bookworm-backports
SOURCES=/etc/apt/sources.list.d/dpdk-lm.sources
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

build_pkgs='gcc libc6-dev make meson ninja-build pkg-config python3 python3-pyelftools dpkg-dev
	libdpdk-dev libjansson-dev libbsd-dev libxxhash-dev libzstd-dev linux-libc-dev'
demo_pkgs='busybox-static cpio gzip xz-utils zstd kmod python3-matplotlib'
test_pkgs='dpdk dpdk-dev libcmocka-dev python3-pytest python3-hypothesis python3-scapy valgrind
	clang libclang-rt-14-dev gcovr'
oracle_pkgs='bison flex bc m4 libc6-dev xz-utils iproute2 ethtool'
lint_pkgs='git mypy clang-format clang-tidy cppcheck codespell shellcheck'

say()
{
	printf 'setup: %s\n' "$*"
}

die()
{
	printf 'setup: error: %s\n' "$*" >&2
	exit 1
}

installed()
{
	dpkg-query -W -f='${db:Status-Abbrev}' "$1" 2>/dev/null | grep -q '^ii'
}

as_root()
{
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif command -v sudo >/dev/null 2>&1; then
		sudo "$@"
	else
		die "'$*' needs root, and sudo is not installed"
	fi
}

apt_get()
{
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -q \
		-o Acquire::Check-Valid-Until=false -o Acquire::Retries=3 \
		-o Dpkg::Use-Pty=0 "$@" >"$CACHE/apt.log" 2>&1 || {
		tail -n 20 "$CACHE/apt.log" >&2
		die "apt-get $* failed (whole log: $CACHE/apt.log)"
	}
}

# QEMU 10 comes from backports, the driver SDK headers from the source package.
add_sources()
{
	[ -f "$SOURCES" ] && return 0
	say "adding $SOURCES (backports, and source packages for the driver SDK headers)"
	as_root tee "$SOURCES" >/dev/null <<-SRC
	Types: deb
	URIs: http://deb.debian.org/debian
	Suites: $SUITE
	Components: main
	Signed-By: $KEYRING

	Types: deb-src
	URIs: http://deb.debian.org/debian
	Suites: bookworm bookworm-updates
	Components: main
	Signed-By: $KEYRING

	Types: deb-src
	URIs: http://deb.debian.org/debian-security
	Suites: bookworm-security
	Components: main
	Signed-By: $KEYRING
	SRC
	rm -f "$CACHE/apt-updated"
}

update_once()
{
	[ -n "$(find "$CACHE/apt-updated" -mmin -720 2>/dev/null)" ] && return 0
	say 'apt-get update'
	apt_get update
	touch "$CACHE/apt-updated"
}

install_pkgs()
{
	missing=
	for p in "$@"; do
		installed "$p" || missing="$missing $p"
	done
	[ -n "$missing" ] || return 0
	update_once
	say "installing$missing"
	# shellcheck disable=SC2086
	apt_get install -y --no-install-recommends $missing
}

install_qemu()
{
	if installed qemu-system-x86; then
		ver=$(dpkg-query -W -f='${Version}' qemu-system-x86)
		dpkg --compare-versions "$ver" ge 1:10.0 && return 0
		say "QEMU $ver crashes with MSI-X and vhost-user under TCG; replacing it"
	fi
	update_once
	say "installing qemu-system-x86 from $SUITE"
	apt_get install -y --no-install-recommends -t "$SUITE" qemu-system-x86 seabios
}

# Debian ships no driver SDK headers; the source package has them.
fetch_sdk()
{
	ver=$(dpkg-query -W -f='${source:Version}' libdpdk-dev)
	sdk=$CACHE/dpdk-$ver
	if [ ! -f "$sdk/lib/ethdev/ethdev_driver.h" ]; then
		update_once
		say "fetching the DPDK $ver source package for the driver SDK headers"
		tmp=$(mktemp -d "$CACHE/sdk.XXXXXX")
		(
			cd "$tmp"
			apt-get -q -o Acquire::Check-Valid-Until=false --download-only \
				source "dpdk=$ver" >source.log 2>&1 || {
				tail -n 20 source.log >&2
				exit 1
			}
			dpkg-source --no-check -x ./*.dsc src >>source.log 2>&1
		) || die "no DPDK $ver source package; unpack one and pass -Ddpdk_source=DIR"
		rm -rf "$sdk"
		mv "$tmp/src" "$sdk"
		rm -rf "$tmp"
	fi
	ln -sfn "$sdk" "$CACHE/dpdk"
}

# The guest's kernel is unpacked, never installed on this machine.
fetch_kernel()
{
	[ -f "$CACHE/guest-kernel/vmlinuz" ] && return 0
	update_once
	pkg=$(apt-cache depends linux-image-cloud-amd64 |
		sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
	[ -n "$pkg" ] || die 'apt knows no linux-image-cloud-amd64'
	say "fetching $pkg for the guest"
	tmp=$(mktemp -d "$CACHE/kernel.XXXXXX")
	(
		cd "$tmp"
		apt-get -q download "$pkg" >download.log 2>&1 || {
			tail -n 20 download.log >&2
			exit 1
		}
		dpkg-deb -x ./*.deb root
	) || die "could not fetch $pkg"
	mkdir -p "$CACHE/guest-kernel"
	cp "$tmp"/root/boot/vmlinuz-* "$tmp/vmlinuz"
	rm -rf "$CACHE/guest-kernel/modules"
	mv "$tmp"/root/lib/modules/* "$CACHE/guest-kernel/modules"
	mv "$tmp/vmlinuz" "$CACHE/guest-kernel/vmlinuz"
	rm -rf "$tmp"
}

# A few hugepages when we may; everything works without them.
reserve_hugepages()
{
	f=/proc/sys/vm/nr_hugepages
	[ -w "$f" ] || return 0
	[ "$(cat "$f")" -ge 64 ] && return 0
	echo 64 >"$f" 2>/dev/null || true
	say "hugepages: $(cat "$f") of 2 MiB (none are needed)"
}

[ "$(dpkg --print-architecture 2>/dev/null)" = amd64 ] ||
	die 'this script knows Debian 12 on amd64; README.md lists what is needed elsewhere'
mkdir -p "$CACHE"
[ $# -gt 0 ] || set -- build demo
add_sources
for what in "$@"; do
	case $what in
	build)
		# shellcheck disable=SC2086
		install_pkgs $build_pkgs
		fetch_sdk
		reserve_hugepages
		;;
	demo)
		# shellcheck disable=SC2086
		install_pkgs $demo_pkgs
		install_qemu
		fetch_kernel
		;;
	test)
		# shellcheck disable=SC2086
		install_pkgs $test_pkgs
		;;
	oracle)
		# shellcheck disable=SC2086
		install_pkgs $oracle_pkgs
		;;
	lint)
		# shellcheck disable=SC2086
		install_pkgs $lint_pkgs
		;;
	*)
		die "unknown part '$what' (build, demo, test, oracle, lint)"
		;;
	esac
done
