#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Build Linux as an ordinary process (User-Mode Linux), once, into the cache:
#
#   test/uml/build-uml.sh [fetch]        fetch: only unpack the source
#
# Prints where the kernel is. Goes on where an earlier run was stopped. Status 77: the source cannot
# be had here. The kernel is GPL-2.0: for tests only, nothing of it is shipped.

set -eu

CACHE=${DPDK_LM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/dpdk-lm}
MIRROR=${DPDK_LM_MIRROR:-http://deb.debian.org/debian}
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
SUITES='trixie-backports forky sid'
OLDEST=7.2
HERE=$(cd "$(dirname "$0")" && pwd)
UML=$CACHE/uml
TREE=$UML/tree
UNAVAILABLE=77

say()
{
	printf 'uml: %s\n' "$*" >&2
}

unavailable()
{
	say "$*"
	exit $UNAVAILABLE
}

# This machine's apt is left alone: lists, state and sources are ours.
private_apt()
{
	command=$1
	shift
	"$command" -q -o "Dir::State=$UML/apt" -o "Dir::State::Lists=$UML/apt/lists" \
		-o "Dir::State::status=$UML/apt/status" -o "Dir::Cache=$UML/apt/cache" \
		-o "Dir::Etc::sourcelist=$UML/apt/sources.list" -o Dir::Etc::sourceparts=- \
		-o Dir::Etc::preferences=- -o Dir::Etc::preferencesparts=- \
		-o Acquire::Check-Valid-Until=false -o Acquire::Languages=none \
		-o Acquire::http::Timeout=30 -o Acquire::Retries=2 -o APT::Sandbox::User= "$@"
}

# linux-source-7.2, else the oldest that is newer. A suite that is not there does not hurt.
find_package()
{
	mkdir -p "$UML/apt/lists/partial" "$UML/apt/cache/archives/partial"
	touch "$UML/apt/status"
	: >"$UML/apt/sources.list"
	for suite in $SUITES; do
		echo "deb [signed-by=$KEYRING] $MIRROR $suite main" >>"$UML/apt/sources.list"
	done
	private_apt apt-get update >"$UML/apt.log" 2>&1 || true
	private_apt apt-cache pkgnames linux-source- 2>>"$UML/apt.log" |
		sed -n 's/^linux-source-\([0-9]*\.[0-9]*\)$/\1/p' | sort -V |
		while read -r version; do
			dpkg --compare-versions "$version" lt "$OLDEST" || echo "$version"
		done | head -n 1
}

fetch()
{
	[ -n "$(find "$UML" -maxdepth 1 -name 'linux-source-*.deb')" ] && return 0
	version=$(find_package)
	[ -n "$version" ] ||
		unavailable "no linux-source of $OLDEST or newer in $SUITES (log: $UML/apt.log)"
	say "fetching linux-source-$version (160 MB)"
	mkdir -p "$UML/part"
	(cd "$UML/part" && private_apt apt-get download "linux-source-$version") \
		>>"$UML/apt.log" 2>&1 ||
		unavailable "linux-source-$version does not come (log: $UML/apt.log)"
	mv "$UML"/part/linux-source-*.deb "$UML/"
	rm -rf "$UML/part" "$UML/apt"
}

# Tables of registers of graphics cards are a quarter of the source.
unpack()
{
	mended=$(sha256sum <"$HERE/mend-uml.sh")
	[ "$(cat "$TREE/.mended" 2>/dev/null)" = "$mended" ] && return 0
	deb=$(find "$UML" -maxdepth 1 -name 'linux-source-*.deb' | head -n 1)
	say "unpacking ${deb##*/}"
	rm -rf "$TREE"
	mkdir -p "$TREE"
	path=$(dpkg-deb --fsys-tarfile "$deb" | tar -t | grep '/linux-source-.*\.tar\.xz$')
	dpkg-deb --fsys-tarfile "$deb" | tar -x -O "$path" | xz -d |
		tar -x -C "$TREE" --strip-components=1 --exclude='*/amd/include/asic_reg'
	"$HERE/mend-uml.sh" "$TREE"
	basename "$deb" .deb >"$TREE/.package"
	echo "$mended" >"$TREE/.mended"
}

configure()
{
	make -C "$TREE" ARCH=um defconfig >"$UML/make.log" 2>&1
	(cd "$TREE" && scripts/kconfig/merge_config.sh -m .config "$HERE/uml.config") \
		>>"$UML/make.log" 2>&1
	make -C "$TREE" ARCH=um olddefconfig >>"$UML/make.log" 2>&1
	grep '^CONFIG_' "$HERE/uml.config" | while read -r line; do
		grep -qx "$line" "$TREE/.config" || say "left out by this kernel: $line"
	done
}

build()
{
	for tool in make gcc bison flex bc m4 xz; do
		command -v $tool >/dev/null ||
			unavailable "$tool is missing; devtools/setup.sh oracle installs it"
	done
	began=$(date +%s)
	fetch
	unpack
	[ "${1:-}" = fetch ] && return 0
	configure
	say "building $(cat "$TREE/.package") (some 8 minutes on two cores)"
	nice make -C "$TREE" ARCH=um -j"$(nproc)" linux >>"$UML/make.log" 2>&1 || {
		grep -E 'error|Error' "$UML/make.log" | head -n 10 >&2
		say "the build failed (log: $UML/make.log)"
		exit 1
	}
	strip -o "$UML/linux.new" "$TREE/linux"
	mv "$UML/linux.new" "$UML/linux"
	echo "$key" >"$UML/key"
	say "built in $(($(date +%s) - began)) s"
}

mkdir -p "$UML"
exec 9>"$UML/lock"
flock 9
key=$(cat "$HERE/mend-uml.sh" "$HERE/uml.config" | sha256sum | cut -d ' ' -f 1)
built=$(cat "$UML/key" 2>/dev/null || true)
if [ "${1:-}" = fetch ] || [ ! -x "$UML/linux" ] || [ "$built" != "$key" ]; then
	build "$@"
fi
echo "$UML/linux"
